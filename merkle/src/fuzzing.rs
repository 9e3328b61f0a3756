//! Each decoder of outside bytes as a function of bytes, for `tests/fuzz`.
//!
//! Each asserts the promises of its decoder: it never panics, and what decodes encodes back to
//! the same bytes. The allocator of `tests/fuzz` watches from outside that no claimed length
//! allocates memory.
//!
//! Content behind an AEAD is fed to the decoder as plaintext: mutation never gets past a tag, an
//! older writer's bug does.

pub(crate) mod input;

pub use cairn_block::fuzzing::{Target, chosen};
pub use input::{entry, entry_bytes, join, links, parts};

use crate::btree::Entry;
use crate::car::{CarStore, CarVolume};
use crate::clear::{self, HeadClaim, StoredCommit, StoredNode};
use crate::testing::TestRng;
use crate::*;

/// All decoders of this crate.
pub const TARGETS: &[Target] = &[
    Target {
        name: "header",
        run: header,
        seeds: header_seeds,
    },
    Target {
        name: "head",
        run: head,
        seeds: head_seeds,
    },
    Target {
        name: "node",
        run: node,
        seeds: node_seeds,
    },
    Target {
        name: "commit",
        run: commit,
        seeds: commit_seeds,
    },
    Target {
        name: "link_secrets",
        run: link_secrets,
        seeds: secret_seeds,
    },
    Target {
        name: "btree_node",
        run: btree::fuzzing::run,
        seeds: btree::fuzzing::seeds,
    },
    Target {
        name: "index_node",
        run: index::fuzzing::run,
        seeds: index::fuzzing::seeds,
    },
    Target {
        name: "sealed_log_record",
        run: log_record,
        seeds: log_seeds,
    },
    Target {
        name: "car",
        run: car,
        seeds: car::fuzzing::seeds,
    },
    Target {
        name: "car_volume",
        run: car_volume,
        seeds: car_volume_seeds,
    },
    Target {
        name: "proof",
        run: proof,
        seeds: proof_seeds,
    },
];

fn key() -> VolumeKey {
    VolumeKey::from_bytes(Suite::default(), [2; 32])
}

fn header(data: &[u8]) {
    if let Ok(header) = Header::decode(data) {
        assert_eq!(header.encode(), data);
        assert_eq!(header.parts().hash(), header.hash());
        assert_eq!(header.parts().record_size(), header.record_size);
        assert_eq!(header.parts().suite(), header.suite);
    }
    if let Ok(parts) = HeaderParts::from_bytes(data) {
        assert_eq!(parts.to_bytes(), data);
    }
}

fn head(data: &[u8]) {
    assert!(Head::decode(data, &key()).is_err(), "a head was forged");
    if let Ok(claim) = HeadClaim::parse(data) {
        let head = Head {
            volume_id: claim.volume_id,
            epoch: claim.epoch,
            root: claim.root,
        };
        let stored = head.encode(&key());
        assert_eq!(stored[..stored.len() - 32], data[..data.len() - 32]);
        assert_eq!(Head::decode(&stored, &key()).ok(), Some(head));
    }
}

fn node(data: &[u8]) {
    let _ = node_links(data);
    if let Ok(node) = StoredNode::parse(data) {
        assert_eq!(clear::encode(&node), data);
    }
    let cid = Cid::of(Codec::Node, data);
    let len = data.len() as u32;
    let link = Link {
        cid,
        len,
        ..links(1).remove(0)
    };
    let _ = open_node(&link, data.to_vec().into());
}

fn commit(data: &[u8]) {
    if let Ok(commit) = StoredCommit::parse(data) {
        assert_eq!(clear::encode(&commit), data);
        clear::commit_info(data).expect("what parses tells what it is");
    }
    let cid = Cid::of(Codec::Node, data);
    assert!(
        Commit::open(&cid, data.to_vec().into(), &key()).is_err(),
        "a commit was forged"
    );
}

fn link_secrets(data: &[u8]) {
    let cids: Vec<_> = links(data.len() / SECRET_LEN)
        .iter()
        .map(|link| link.cid)
        .collect();
    if let Some(links) = Link::join_secrets(Suite::default(), cids, data) {
        let mut again = Vec::new();
        links.iter().for_each(|link| link.encode_secret(&mut again));
        assert_eq!(again, data);
    }
}

fn log_record(data: &[u8]) {
    let log = LogKey::new(&key(), [3; 32]);
    let pos = LogPos {
        epoch: Epoch(5),
        seq: 1,
    };
    let _ = (log.open(pos, data), log.open_mark(data));
    let (sealed, tag) = log.seal(pos, [4; 16], data);
    let (plain, previous) = (data.to_vec(), [4; 16]);
    let expected = Opened { plain, previous, tag };
    assert_eq!(log.open(pos, &sealed).ok(), Some(expected));
    assert_eq!(log.open_mark(&log.seal_mark(7, data)).as_deref(), Some(data));
}

fn car(data: &[u8]) {
    let Ok(car) = CarStore::open(Box::new(data.to_vec())) else {
        return;
    };
    let mut last = None;
    while let Ok(names) = car.list(last, 16) {
        for cid in &names {
            assert!(last.is_none_or(|last| last < *cid), "names grow");
            last = Some(*cid);
            let _ = car.get(cid);
        }
        if names.is_empty() {
            break;
        }
    }
}

fn car_volume(data: &[u8]) {
    if let Ok(volume) = CarVolume::decode(data) {
        assert_eq!(volume.encode(), data);
    }
}

fn proof(data: &[u8]) {
    if let Ok(proof) = Proof::decode(data) {
        assert_eq!(proof.encode(), data);
        let _ = proof.commit().map(|commit| proof.record_size(&commit));
    }
}

fn new_volume() -> (Header, VolumeKey) {
    let argon = SlotKind::Argon2id {
        salt: [5; 16],
        m_kib: 65536,
        t: 3,
        p: 4,
    };
    let slots = [SlotKind::KeyFile, argon].map(|kind| SlotKey {
        kind,
        kek: Kek::from_bytes([1; 32]),
    });
    let params = HeaderParams {
        record_size: 4096,
        compression: Compression::None,
        suite: Suite::default(),
    };
    Header::create(&mut TestRng::new(1), params, &slots).expect("these slots are valid")
}

fn header_seeds() -> Vec<Vec<u8>> {
    let (mut header, _) = new_volume();
    let plain = header.encode();
    let parts = header.parts().to_bytes();
    header.features = vec![Feature {
        need: Need::Writing,
        name: "clones".into(),
    }];
    vec![plain, parts, header.encode()]
}

fn head_seeds() -> Vec<Vec<u8>> {
    let root = Cid::of(Codec::Node, b"commit");
    let head = Head {
        volume_id: [1; 16],
        epoch: Epoch(7),
        root,
    };
    // Under another key than the target's: one that proves itself is no forgery.
    vec![head.encode(&VolumeKey::from_bytes(Suite::default(), [9; 32]))]
}

fn node_seeds() -> Vec<Vec<u8>> {
    let node = |count| Node {
        links: links(count),
        body: b"body".to_vec(),
    };
    let sealed = |count| {
        seal_node(Suite::default(), &mut TestRng::new(2), Epoch(2), &node(count))
            .0
            .bytes
            .to_vec()
    };
    vec![sealed(0), sealed(3)]
}

/// A commit and all that it seals.
fn sealed_commit(links: Vec<Link>, body: &[u8]) -> (Sealed, Header, VolumeKey) {
    let (header, key) = new_volume();
    let commit = Commit {
        volume_id: header.volume_id,
        epoch: Epoch(9),
        previous: Some(Cid::of(Codec::Node, b"previous")),
        links,
        header_hash: header.hash(),
        body: body.to_vec(),
    };
    (commit.seal(&mut TestRng::new(3), &key), header, key)
}

fn commit_seeds() -> Vec<Vec<u8>> {
    vec![sealed_commit(links(2), b"state").0.bytes.to_vec()]
}

fn secret_seeds() -> Vec<Vec<u8>> {
    let mut secrets = Vec::new();
    links(2).iter().for_each(|link| link.encode_secret(&mut secrets));
    vec![secrets]
}

fn log_seeds() -> Vec<Vec<u8>> {
    let log = LogKey::new(&key(), [3; 32]);
    let pos = LogPos {
        epoch: Epoch(5),
        seq: 1,
    };
    vec![log.seal(pos, [4; 16], b"operations").0.to_vec()]
}

fn car_volume_seeds() -> Vec<Vec<u8>> {
    let (commit, header, key) = sealed_commit(Vec::new(), b"state");
    let head = Head {
        volume_id: header.volume_id,
        epoch: Epoch(9),
        root: commit.cid,
    };
    let whole = CarVolume {
        root: commit.cid,
        header: header.encode().into(),
        head: Some(head.encode(&key).into()),
        since: None,
    };
    let bare = CarVolume {
        head: None,
        since: Some(links(1)[0].cid),
        ..whole.clone()
    };
    vec![whole.encode(), bare.encode()]
}

fn proof_seeds() -> Vec<Vec<u8>> {
    vec![forge_proof(b"/a", b"state", &[b"\0node"]).encode()]
}

/// A proof whose every block opens: of a commit with this body, which links to all nodes, and of
/// nodes with these. The first byte of a node is the number of nodes before it to which its links
/// lead; the rest is its body. Any party can make such a proof, since it brings its own keys;
/// only its root is not free to choose.
pub fn forge_proof(path: &[u8], body: &[u8], nodes: &[&[u8]]) -> Proof {
    let mut rng = TestRng::new(4);
    let store = MemoryStore::new();
    let mut links: Vec<Link> = Vec::new();
    let recorder = Recorder::new(&store);
    for (count, body) in nodes.iter().filter_map(|node| node.split_first()) {
        let node = Node {
            links: links.iter().take(usize::from(*count)).cloned().collect(),
            body: body.to_vec(),
        };
        let (sealed, link) = seal_node(Suite::default(), &mut rng, Epoch(1), &node);
        store
            .put(Epoch(1), &[sealed], PutHint::Small)
            .expect("a store in memory takes all");
        recorder.node(&link).expect("it was just put");
        links.push(link);
    }
    let (commit, header, key) = sealed_commit(links, body);
    let root = commit.cid;
    store
        .put(Epoch(1), &[commit], PutHint::Small)
        .expect("a store in memory takes all");
    recorder.commit(&root, &key).expect("it was just put");
    recorder.into_proof(root, &header, path.to_vec(), false)
}

/// The body of a tree's node that has these entries alone.
pub fn tree_node(entries: Vec<Entry>) -> Vec<u8> {
    btree::fuzzing::leaf(entries)
}
