//! The decoder of a tree's node, for `tests/fuzz`.

use super::body::{Body, check_size, encode};
use super::*;
use crate::Node;
use crate::fuzzing::input;

/// First byte: how many links the node has. The rest: its body.
pub(crate) fn run(data: &[u8]) {
    let Some((links, body)) = data.split_first() else {
        return;
    };
    let node = Node {
        links: input::links(usize::from(*links % 8)),
        body: body.to_vec(),
    };
    let Ok(opened) = Body::open(&node) else { return };
    let _ = Body::open_at(&node, 0);
    for at in 0..opened.count() {
        let _ = opened.child(at);
        let _ = opened.entry(at).map(|entry| check_size(&entry));
    }
    for key in [&b""[..], b"m", &[0xff; 20]] {
        let _ = opened.search(key);
    }
    if let Ok(entries) = opened.entries() {
        for (at, entry) in entries.iter().enumerate() {
            assert_eq!(
                opened.search(&entry.key).ok(),
                Some(Ok(at)),
                "a key that is there is found"
            );
        }
        assert_eq!(encode(opened.level(), entries).ok(), Some(node));
    }
}

/// A leaf of two entries, and an inner node.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let entry = |key: &[u8], value: &[u8], links| Entry {
        key: key.to_vec(),
        value: value.to_vec(),
        links: input::links(links),
    };
    let leaf = encode(0, vec![entry(b"a", b"first", 0), entry(b"b", b"", 2)]);
    let inner = encode(1, vec![entry(b"a", b"", 1), entry(b"k", b"", 1)]);
    let seed = |node: Result<Node>| {
        let node = node.expect("these entries fit a node");
        [&[node.links.len() as u8][..], &node.body].concat()
    };
    vec![seed(leaf), seed(inner)]
}

/// The node of a tree that has these entries alone.
pub(crate) fn leaf(entries: Vec<Entry>) -> Vec<u8> {
    encode(0, entries).expect("these entries fit a node").body
}
