use super::*;
use crate::btree::{self, Entry};
use crate::testing::TestRng;
use crate::{Blocks, MemoryStore, PutHint, Sealed, seal_leaf, seal_node};
use proptest::prelude::*;

/// A commit over one B+tree of `count` entries; each entry's leaf holds its key.
struct Volume {
    store: MemoryStore,
    key: VolumeKey,
    root: Cid,
    header: Header,
}

struct Sink<'a>(Suite, &'a MemoryStore, Mutex<TestRng>);

impl crate::NodeSink for Sink<'_> {
    fn put_node(&self, node: Node) -> Result<Link> {
        let (sealed, link) = seal_node(self.0, &mut *self.2.lock(), Epoch(1), &node);
        put(self.1, sealed);
        Ok(link)
    }

    fn drop_block(&self, _: &Link) -> Result<()> {
        Ok(())
    }
}

fn put(store: &MemoryStore, sealed: Sealed) {
    store.put(Epoch(1), &[sealed], PutHint::Bulk).unwrap();
}

fn key(number: u64) -> Vec<u8> {
    format!("key {number:06}").into_bytes()
}

fn volume(count: u64) -> Volume {
    sealed_with(Suite::default(), count)
}

fn sealed_with(suite: Suite, count: u64) -> Volume {
    let store = MemoryStore::new();
    let mut rng = TestRng::new(11);
    let entries = (0..count)
        .map(|number| {
            let (sealed, link) = seal_leaf(suite, &mut rng, Epoch(1), &key(number));
            put(&store, sealed);
            let entry = Entry {
                key: key(number),
                value: vec![number as u8; 100],
                links: vec![link],
            };
            (entry.key.clone(), Some(entry))
        })
        .collect();
    let recorder = Recorder::new(&store);
    let sink = Sink(suite, &store, Mutex::new(TestRng::new(12)));
    let tree = btree::apply(&recorder, &sink, None, entries, &mut |_, error, _| Err(error))
        .unwrap()
        .unwrap();
    let slot = crate::SlotKey {
        kind: crate::SlotKind::KeyFile,
        kek: crate::Kek::from_bytes([1; 32]),
    };
    let params = crate::HeaderParams {
        record_size: 4096,
        compression: Default::default(),
        suite,
    };
    let (header, volume_key) = Header::create(&mut rng, params, &[slot]).unwrap();
    let commit = Commit {
        volume_id: [1; 16],
        epoch: Epoch(1),
        previous: None,
        links: vec![tree],
        header_hash: header.hash(),
        body: b"state".to_vec(),
    };
    let sealed = commit.seal(&mut rng, &volume_key);
    let root = sealed.cid;
    put(&store, sealed);
    Volume {
        store,
        key: volume_key,
        root,
        header,
    }
}

fn prove(volume: &Volume, sought: &[u8]) -> Proof {
    let recorder = Recorder::new(&volume.store);
    let commit = recorder.commit(&volume.root, &volume.key).unwrap();
    if let Some(entry) =
        btree::get_proven(&recorder, commit.links.first(), sought, &mut Shown::new()).unwrap()
    {
        recorder.leaf(&entry.links[0]).unwrap();
    }
    recorder.into_proof(volume.root, &volume.header, sought.to_vec(), true)
}

/// The value and the leaf under what the proof is for.
fn verify(proof: &Proof) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
    let commit = proof.commit()?;
    assert_eq!(proof.record_size(&commit)?, 4096);
    let found = btree::get_proven(proof, commit.links.first(), &proof.path, &mut Shown::new())?;
    found
        .map(|entry| Ok((entry.value.clone(), proof.leaf(&entry.links[0])?)))
        .transpose()
}

#[test]
fn a_proof_shows_what_is_there_and_what_is_not() {
    for suite in Suite::ALL {
        let volume = sealed_with(suite, 1000);
        for number in [0, 1, 499, 999] {
            let proof = Proof::decode(&prove(&volume, &key(number)).encode()).unwrap();
            assert_eq!(proof.root, volume.root);
            let found = verify(&proof).unwrap();
            assert_eq!(found, Some((vec![number as u8; 100], key(number))));
        }
        for absent in [&b"a"[..], b"key 000499a", b"z", b""] {
            let proof = Proof::decode(&prove(&volume, absent).encode()).unwrap();
            assert_eq!(verify(&proof).unwrap(), None);
        }
    }
}

/// The header of a proof names the cipher before anything has proven the header.
#[test]
fn a_proof_that_names_the_other_cipher_or_none_proves_nothing() {
    for (suite, other) in [(0, 1), (1, 0)] {
        let proof = prove(&sealed_with(Suite::ALL[suite], 10), &key(3));
        let header = proof.header.to_bytes();
        let named = |number| {
            let (mut header, mut encoded) = (header.clone(), proof.encode());
            let at = encoded
                .windows(header.len())
                .position(|window| window == &header[..]);
            header[32] = number as u8;
            encoded[at.unwrap()..][..header.len()].copy_from_slice(&header);
            Proof::decode(&encoded)
        };
        let mixed = named(Suite::ALL[other].number()).unwrap();
        assert!(matches!(verify(&mixed), Err(Error::Corrupt { cid }) if cid == proof.root));
        assert!(matches!(named(9), Err(Error::UnknownSuite { number: 9 })));
        assert_eq!(named(Suite::ALL[suite].number()).unwrap(), proof);
    }
}

#[test]
fn a_proof_holds_no_key_of_what_lies_beside_its_path() {
    let volume = volume(1000);
    let proof = prove(&volume, &key(499));
    let encoded = proof.encode();
    // Every key there is in the volume, found by walking it with the volume key.
    let recorder = Recorder::new(&volume.store);
    let commit = recorder.commit(&volume.root, &volume.key).unwrap();
    let mut links = commit.links.clone();
    let mut seen = 0;
    while let Some(link) = links.pop() {
        seen += 1;
        let on_path = proof.blocks.contains_key(&link.cid);
        let disclosed = encoded.windows(32).any(|window| window == link.key.as_bytes());
        let leaf_of_path = on_path && link.cid.codec() == Codec::Leaf;
        assert_eq!(disclosed, leaf_of_path, "{}", link.cid);
        if link.cid.codec() == Codec::Node {
            links.extend(recorder.node(&link).unwrap().links.iter().cloned());
        }
    }
    assert!(seen > 1000);
    assert!(!encoded.windows(32).any(|window| window == volume.key.as_bytes()));
    // Nor does it open the secrets of any node: what it discloses is not what they are sealed
    // under.
    for (cid, block) in &proof.blocks {
        if let (Disclosed::Body(key, stored), true) = (block, *cid != volume.root) {
            let link = Link {
                key: BlockKey::from_bytes(Suite::default(), *key.as_bytes()),
                len: stored.len() as u32,
                ..hollow(*cid)
            };
            assert!(open_node(&link, stored.clone()).is_err());
        }
    }
}

#[test]
fn a_proof_without_one_of_its_blocks_names_it() {
    let volume = volume(1000);
    let proof = prove(&volume, &key(499));
    for cid in proof.cids().copied().collect::<Vec<_>>() {
        let mut less = proof.clone();
        less.blocks.remove(&cid);
        assert!(matches!(verify(&less), Err(Error::Missing { cid: missing }) if missing == cid));
    }
}

#[test]
fn no_altered_bit_of_a_proof_verifies_to_something_else() {
    let volume = volume(300);
    for sought in [key(123), b"key 000123a".to_vec()] {
        let proof = prove(&volume, &sought);
        let encoded = proof.encode();
        let right = verify(&proof).unwrap();
        for at in 0..encoded.len() {
            let mut altered = encoded.clone();
            altered[at] ^= 1 << (at % 8);
            let Ok(decoded) = Proof::decode(&altered) else {
                continue;
            };
            // Another root or another path is another question; the same question has the same
            // answer or none.
            if (decoded.root, &decoded.path) == (proof.root, &proof.path)
                && let Ok(answer) = verify(&decoded)
            {
                assert_eq!(answer, right, "byte {at}");
            }
        }
    }
}

#[test]
fn a_path_that_leaves_a_node_out_proves_nothing() {
    // The child that holds the key is hidden behind one that does not: the parent's keys give it
    // away.
    let volume = volume(1000);
    let recorder = Recorder::new(&volume.store);
    let commit = recorder.commit(&volume.root, &volume.key).unwrap();
    let top = recorder.node(&commit.links[0]).unwrap();
    let swapped = Node {
        links: top.links.iter().rev().cloned().collect(),
        body: top.body.clone(),
    };
    let (sealed, link) = seal_node(Suite::default(), &mut TestRng::new(5), Epoch(1), &swapped);
    put(&volume.store, sealed);
    let sought = btree::get_proven(&recorder, Some(&link), &key(3), &mut Shown::new());
    assert!(matches!(sought, Err(Error::Malformed { .. })), "{sought:?}");
}

proptest! {
    #[test]
    fn no_input_panics(encoded in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Proof::decode(&encoded);
        let mut begun = vec![0x86, 2];
        begun.extend_from_slice(&encoded);
        let _ = Proof::decode(&begun);
    }

    #[test]
    fn what_decodes_encodes_to_the_same_bytes(at in any::<prop::sample::Index>(), byte: u8) {
        let mut encoded = prove(&volume(3), &key(1)).encode();
        let at = at.index(encoded.len());
        encoded[at] = byte;
        if let Ok(proof) = Proof::decode(&encoded) {
            prop_assert_eq!(proof.encode(), encoded);
            let _ = verify(&proof);
        }
    }
}
