//! The bytes of the format never change: today's output equals the committed vectors, and opens.
//!
//! `CAIRN_GOLDEN=write cargo test -p cairn-merkle --test golden` writes the vectors anew, with a
//! new version only.

#![allow(clippy::unwrap_used)] // Helpers of tests, outside of test functions.

use cairn_merkle::testing::TestRng;
use cairn_merkle::*;
use std::path::PathBuf;

fn require_golden(name: &str, bytes: &[u8]) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
        .with_extension("hex");
    let digits: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    if std::env::var_os("CAIRN_GOLDEN").is_some_and(|mode| mode == "write") {
        std::fs::write(&path, digits.clone() + "\n").expect("the vectors' folder can be written");
    }
    let golden = std::fs::read_to_string(&path).expect("each vector is committed");
    assert_eq!(digits, golden.trim_end(), "{name} is not what older volumes hold");
}

/// The vectors of the first suite have no name of a suite.
fn name_of(suite: Suite, name: &str) -> String {
    match suite {
        Suite::ChaCha20Poly1305 => name.to_owned(),
        Suite::Aes256Gcm => format!("aes_{name}"),
    }
}

#[test]
fn blocks_have_the_bytes_they_always_had() {
    Suite::ALL.into_iter().for_each(blocks);
}

fn blocks(suite: Suite) {
    let require_golden = |name: &str, bytes: &[u8]| require_golden(&name_of(suite, name), bytes);
    let mut rng = TestRng::new(2026);
    let (leaf, leaf_link) = seal_leaf(suite, &mut rng, Epoch(1), b"hello");
    require_golden("leaf", &leaf.bytes);
    let mut secret = Vec::new();
    leaf_link.encode_secret(&mut secret);
    require_golden("link_secret", &secret);
    require_golden("cid", &leaf.cid.to_bytes());
    let node = Node {
        links: vec![leaf_link.clone()],
        body: b"body".to_vec(),
    };
    let (sealed, link) = seal_node(suite, &mut rng, Epoch(2), &node);
    require_golden("node", &sealed.bytes);
    assert_eq!(open_node(&link, sealed.bytes).unwrap(), node);
    assert_eq!(open_leaf(&leaf_link, leaf.bytes).unwrap(), b"hello");
}

#[test]
fn records_have_the_bytes_they_always_had() {
    Suite::ALL.into_iter().for_each(records);
}

fn records(suite: Suite) {
    let require_golden = |name: &str, bytes: &[u8]| require_golden(&name_of(suite, name), bytes);
    let mut rng = TestRng::new(2027);
    let passphrase = SlotKind::Argon2id {
        salt: [5; 16],
        m_kib: 65536,
        t: 3,
        p: 4,
    };
    let slots = [
        SlotKey {
            kind: SlotKind::KeyFile,
            kek: Kek::from_bytes([1; 32]),
        },
        SlotKey {
            kind: passphrase,
            kek: Kek::from_bytes([2; 32]),
        },
    ];
    let params = HeaderParams {
        record_size: 128 << 10,
        compression: Compression::None,
        suite,
    };
    let (header, key) = Header::create(&mut rng, params, &slots).unwrap();
    require_golden("header", &header.encode());
    let previous = Some(Cid::of(Codec::Node, b"previous"));
    let (_, link) = seal_leaf(suite, &mut rng, Epoch(6), b"tree");
    let commit = Commit {
        volume_id: header.volume_id,
        epoch: Epoch(7),
        previous,
        links: vec![link],
        header_hash: header.hash(),
        body: b"state".to_vec(),
    };
    let sealed = commit.seal(&mut rng, &key);
    require_golden("commit", &sealed.bytes);
    let head = Head {
        volume_id: header.volume_id,
        epoch: Epoch(7),
        root: sealed.cid,
    };
    require_golden("head", &head.encode(&key));
    let log = LogKey::new(&key, [9; 32]);
    let pos = LogPos {
        epoch: Epoch(8),
        seq: 1,
    };
    let (record, _) = log.seal(pos, [3; 16], b"write");
    require_golden("log_record", &record);
    assert_eq!(log.open(pos, &record).unwrap().plain, b"write");
    require_golden("log_mark", &log.seal_mark(2, b"reach"));
    assert_eq!(Commit::open(&sealed.cid, sealed.bytes, &key).unwrap(), commit);
}
