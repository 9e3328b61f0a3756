use super::public::FIXED_LEN;
use super::slot::{M_KIB_MAX, SLOT_CLEAR_LEN};
use super::*;
use crate::testing::TestRng;
use proptest::prelude::*;

const PARAMS: HeaderParams = HeaderParams {
    record_size: 128 << 10,
    compression: Compression::None,
    suite: Suite::Aes256Gcm,
};

#[test]
fn the_parts_of_a_header_tell_its_hash_and_record_size_and_nothing_of_its_slots() {
    let mut rng = TestRng::new(9);
    let slot = SlotKey {
        kind: SlotKind::KeyFile,
        kek: Kek::from_bytes([1; 32]),
    };
    let (header, _) = Header::create(&mut rng, PARAMS, &[slot]).unwrap();
    let bytes = header.parts().to_bytes();
    let parts = HeaderParts::from_bytes(&bytes).unwrap();
    assert_eq!((parts.hash(), parts.record_size()), (header.hash(), 128 << 10));
    assert_eq!(parts.suite(), Suite::Aes256Gcm);
    assert_eq!(parts, header.parts());
    let public = bytes.len() - 32;
    assert_eq!(bytes[..public], header.encode()[..public]);
    for at in 0..bytes.len() {
        let mut altered = bytes.clone();
        altered[at] ^= 1;
        let altered = HeaderParts::from_bytes(&altered);
        assert!(
            !altered.is_ok_and(|parts| parts.hash() == header.hash()),
            "byte {at}"
        );
        assert!(HeaderParts::from_bytes(&bytes[..at]).is_err());
    }
    assert!(HeaderParts::from_bytes(&[&bytes[..], &[0]].concat()).is_err());
}

/// Offsets in the header.
const SUITE_AT: usize = 32;
const ORIGIN_AT: usize = 34;
const COUNTS_AT: usize = 94;

const PASSPHRASE: SlotKind = SlotKind::Argon2id {
    salt: [9; 16],
    m_kib: 64 << 10,
    t: 3,
    p: 4,
};

fn slots() -> [SlotKey; 2] {
    let slot = |kind, byte| SlotKey {
        kind,
        kek: Kek::from_bytes([byte; 32]),
    };
    [slot(SlotKind::KeyFile, 1), slot(PASSPHRASE, 2)]
}

fn header() -> (Header, VolumeKey) {
    Header::create(&mut TestRng::new(4), PARAMS, &slots()).unwrap()
}

fn key_file(kind: &SlotKind) -> Option<Kek> {
    (*kind == SlotKind::KeyFile).then(|| Kek::from_bytes([1; 32]))
}

fn passphrase(kind: &SlotKind) -> Option<Kek> {
    (*kind == PASSPHRASE).then(|| Kek::from_bytes([2; 32]))
}

#[test]
fn each_slot_opens_to_the_same_key_and_no_other_key_opens_any() {
    let (header, key) = header();
    let header = Header::decode(&header.encode()).unwrap();
    assert_eq!(header.unlock(key_file).unwrap(), key);
    assert_eq!(header.unlock(passphrase).unwrap(), key);
    assert!(matches!(
        header.unlock(|_| Some(Kek::from_bytes([3; 32]))),
        Err(Error::WrongKey)
    ));
    assert!(matches!(header.unlock(|_| None), Err(Error::WrongKey)));
}

#[test]
fn the_cipher_is_named_and_neither_the_other_one_nor_none_opens_anything() {
    for (suite, other) in [(0, 1), (1, 0)] {
        let params = HeaderParams {
            suite: Suite::ALL[suite],
            ..PARAMS
        };
        let (header, key) = Header::create(&mut TestRng::new(4), params, &slots()).unwrap();
        assert_eq!((header.suite, key.suite()), (params.suite, params.suite));
        let mut stored = header.encode();
        assert_eq!(Header::decode(&stored).unwrap(), header);
        stored[SUITE_AT] = Suite::ALL[other].number() as u8;
        let mixed = Header::decode(&stored).unwrap();
        assert!(matches!(mixed.unlock(key_file), Err(Error::WrongKey)));
        assert!(matches!(mixed.unlock(passphrase), Err(Error::WrongKey)));
        assert_ne!(mixed.hash(), header.hash());
        stored[SUITE_AT + 1] = 3;
        let unknown = Header::decode(&stored);
        assert!(matches!(unknown, Err(Error::UnknownSuite { number }) if number > 0x300));
    }
}

#[test]
fn a_rekeyed_header_opens_with_the_new_slots_only() {
    let (old, key) = header();
    let rekeyed = old.rekey(&mut TestRng::new(5), &key, &slots()[1..]).unwrap();
    assert_eq!((rekeyed.volume_id, rekeyed.slots.len()), (old.volume_id, 1));
    assert_eq!(rekeyed.unlock(passphrase).unwrap(), key);
    assert!(rekeyed.unlock(key_file).is_err());
    assert_ne!(rekeyed.hash(), old.hash());
}

#[test]
fn any_altered_bit_keeps_some_slot_from_opening_and_nothing_but_its_key_is_spared() {
    let (header, _) = header();
    let stored = header.encode();
    let wrapped_second = stored.len() - WRAPPED_LEN;
    for bit in 0..stored.len() * 8 {
        let mut altered = stored.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        let Ok(altered) = Header::decode(&altered) else {
            continue;
        };
        assert_ne!(altered.hash(), header.hash());
        let first_wrapped = FIXED_LEN + SLOT_CLEAR_LEN..FIXED_LEN + SLOT_LEN;
        if bit / 8 < wrapped_second {
            assert!(altered.unlock(key_file).is_err(), "bit {bit}");
        }
        if !first_wrapped.contains(&(bit / 8)) {
            assert!(altered.unlock(passphrase).is_err(), "bit {bit}");
        }
    }
}

#[test]
fn swapped_and_dropped_slots_open_nothing() {
    let (header, _) = header();
    let mut swapped = header.clone();
    swapped.slots.swap(0, 1);
    assert!(swapped.unlock(key_file).is_err());
    let mut dropped = header;
    dropped.slots.pop();
    assert!(dropped.unlock(key_file).is_err());
}

#[test]
fn costs_sizes_and_counts_out_of_bounds_are_refused() {
    for (m_kib, t, p) in [
        (M_KIB_MAX + 1, 1, 1),
        (64, 17, 1),
        (1024, 1, 17),
        (7, 1, 1),
        (64, 0, 1),
        (64, 1, 0),
    ] {
        let kind = SlotKind::Argon2id {
            salt: [0; 16],
            m_kib,
            t,
            p,
        };
        let slot = SlotKey {
            kind,
            kek: Kek::from_bytes([0; 32]),
        };
        assert!(Header::create(&mut TestRng::new(1), PARAMS, &[slot]).is_err());
    }
    for record_size in [0, 2048, 5000, 2 << 20] {
        let params = HeaderParams {
            record_size,
            ..PARAMS
        };
        assert!(Header::create(&mut TestRng::new(1), params, &slots()).is_err());
    }
    assert!(Header::create(&mut TestRng::new(1), PARAMS, &[]).is_err());
    let many: Vec<_> = (0..5).flat_map(|_| slots()).collect();
    assert!(Header::create(&mut TestRng::new(1), PARAMS, &many).is_err());
}

#[test]
fn truncated_and_newer_headers_are_refused() {
    let mut stored = header().0.encode();
    for len in 0..stored.len() {
        assert!(Header::decode(&stored[..len]).is_err());
    }
    stored[8] = 9;
    assert!(matches!(
        Header::decode(&stored),
        Err(Error::UnknownVersion { version: 9, .. })
    ));
}

fn with_features(features: &[(Need, &str)]) -> (Header, VolumeKey) {
    let (mut header, key) = header();
    let named = features.iter().map(|(need, name)| Feature {
        need: *need,
        name: (*name).into(),
    });
    header.features = named.collect();
    // One with a name that is none cannot be sealed.
    match header.rekey(&mut TestRng::new(6), &key, &slots()) {
        Ok(sealed) => (sealed, key),
        Err(_) => (header, key),
    }
}

#[test]
fn an_unknown_feature_is_refused_by_its_name_or_leaves_the_volume_to_be_read() {
    let (plain, _) = header();
    let (header, _) = with_features(&[(Need::Reading, "sharded")]);
    let refused = Header::decode(&header.encode()).unwrap_err();
    let words = "to read this volume takes its feature `sharded`";
    assert!(refused.to_string().starts_with(words), "{refused}");
    // Whatever follows the features may have another form.
    let mut other = header.encode();
    other.truncate(other.len() - 100);
    assert!(matches!(Header::decode(&other), Err(Error::UnknownFeature { name, .. }) if name == "sharded"));
    let (header, key) = with_features(&[(Need::Writing, "clones"), (Need::Writing, "x")]);
    let decoded = Header::decode(&header.encode()).unwrap();
    assert_eq!((decoded.unlock(key_file).unwrap(), &decoded), (key, &header));
    assert_eq!(decoded.unknown_feature(), Some(&decoded.features[0]));
    let refused = decoded.require_writable().unwrap_err();
    assert!(
        refused
            .to_string()
            .starts_with("to change this volume takes its feature `clones`")
    );
    plain.require_writable().unwrap();
    assert_eq!(
        HeaderParts::from_bytes(&header.parts().to_bytes())
            .unwrap()
            .hash(),
        header.hash()
    );
}

#[test]
fn an_altered_feature_opens_nothing() {
    let (header, _) = with_features(&[(Need::Writing, "clones")]);
    let stored = header.encode();
    for bit in COUNTS_AT * 8..(COUNTS_AT + 4 + feature::FEATURE_LEN) * 8 {
        let mut altered = stored.clone();
        altered[bit / 8] ^= 1 << (bit % 8);
        let unlocked = Header::decode(&altered).and_then(|header| header.unlock(key_file));
        assert!(unlocked.is_err(), "bit {bit}");
    }
}

#[test]
fn names_of_features_are_of_one_form_each_once_and_few() {
    let writing = |names: &[&str]| {
        let features: Vec<_> = names.iter().map(|name| (Need::Writing, *name)).collect();
        Header::decode(&with_features(&features).0.encode()).map(drop)
    };
    writing(&["a-1", "b", "c"]).unwrap();
    let terminal = "\u{1b}[2J";
    for names in [&["b", "a"][..], &["a", "a"], &[""], &["A"], &["a b"], &[terminal]] {
        assert!(matches!(writing(names), Err(Error::Header { .. })), "{names:?}");
    }
    let many: Vec<String> = (b'a'..=b'q')
        .map(|letter| char::from(letter).to_string())
        .collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    writing(&many[..16]).unwrap();
    assert!(matches!(writing(&many), Err(Error::Header { .. })));
}

#[test]
fn reserved_room_is_empty_or_a_features_which_leaves_it_as_it_is() {
    let (plain, _) = header();
    let (featured, key) = with_features(&[(Need::Writing, "clones")]);
    let room = Reserved {
        origin: [3; 56],
        key_epoch: 7,
        replicas: vec![[4; REPLICA_LEN]; 2],
        older_keys: vec![[5; OLDER_KEY_LEN]; 6],
    };
    let mut stored = plain.encode();
    stored[ORIGIN_AT] = 1;
    assert!(matches!(Header::decode(&stored), Err(Error::Header { .. })));
    let filled = |header: &Header| Header {
        reserved: room.clone(),
        ..header.clone()
    };
    assert!(Header::decode(&filled(&plain).encode()).is_err());
    let sealed = filled(&featured)
        .rekey(&mut TestRng::new(8), &key, &slots())
        .unwrap();
    let decoded = Header::decode(&sealed.encode()).unwrap();
    assert_eq!((&decoded, decoded.unlock(key_file).unwrap()), (&sealed, key));
    for len in 0..sealed.encode().len() {
        assert!(Header::decode(&sealed.encode()[..len]).is_err());
    }
}

proptest! {
    #[test]
    fn what_decodes_encodes_to_the_same_bytes(at in any::<prop::sample::Index>(), byte: u8) {
        let mut stored = header().0.encode();
        let at = at.index(stored.len());
        stored[at] = byte;
        if let Ok(decoded) = Header::decode(&stored) {
            prop_assert_eq!(decoded.encode(), stored);
        }
    }

    #[test]
    fn no_input_panics(stored in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Header::decode(&stored).is_err());
    }
}
