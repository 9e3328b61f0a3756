//! Rows of snapshots and of dead lists, there and back, and cut or altered.

use super::*;
use crate::fixture::tree::name;
use crate::stored::record::{Meta, Stored, Xattrs, tests::meta};
use crate::{InodeNo, Kind};
use cairn_merkle::seal_leaf;
use cairn_merkle::testing::TestRng;

fn link(seed: u64) -> Link {
    seal_leaf(Default::default(), &mut TestRng::new(seed), Epoch(seed), &[1; 10]).1
}

fn snapshot(tree: Option<Link>, table: Option<Link>, dead: Option<Link>) -> Snapshot {
    let meta = Meta {
        ino: InodeNo::ROOT,
        kind: Kind::Directory,
        ..meta()
    };
    Snapshot {
        id: 3,
        epoch: Epoch(1 << 40),
        created: Time::new(5, 6),
        inodes: 7,
        bytes: 1 << 50,
        root: Record {
            meta,
            xattrs: Xattrs::default(),
            stored: tree.map_or(Stored::None, Stored::Tree),
        },
        table,
        dead,
        holds: vec![hold("backup"), hold("lawyer")],
    }
}

fn hold(tag: &str) -> Hold {
    Hold {
        tag: name(tag),
        since: Time::new(8, 9),
    }
}

#[test]
fn a_snapshot_comes_back_with_whatever_trees_it_has() {
    for bits in 0..8 {
        let tree = |bit: u64| (bits >> bit & 1 == 1).then(|| link(bit + 1));
        let snapshot = snapshot(tree(0), tree(1), tree(2));
        let entry = snapshot.encode(&name("old"));
        assert_eq!(entry.key, b"old");
        let (name_back, back) = Snapshot::decode(&entry).unwrap();
        assert_eq!(name_back, name("old"));
        assert_eq!(back.place(), (Epoch(1 << 40), 3));
        assert_eq!(
            (back.id, back.epoch, back.created),
            (3, Epoch(1 << 40), Time::new(5, 6))
        );
        assert_eq!((back.inodes, back.bytes, back.root), (7, 1 << 50, snapshot.root));
        assert_eq!((back.table, back.dead), (snapshot.table, snapshot.dead));
        assert_eq!(back.holds, snapshot.holds);
    }
}

#[test]
fn holds_that_are_out_of_order_or_twice_are_refused() {
    for tags in [["b", "a"], ["a", "a"]] {
        let mut snapshot = snapshot(None, None, None);
        snapshot.holds = tags.map(hold).to_vec();
        assert!(Snapshot::decode(&snapshot.encode(&name("old"))).is_err());
    }
}

#[test]
fn a_row_that_is_cut_or_goes_on_is_no_snapshot() {
    let entry = snapshot(Some(link(1)), None, Some(link(2))).encode(&name("old"));
    for len in 0..entry.value.len() {
        let mut cut = entry.clone();
        cut.value.truncate(len);
        assert!(Snapshot::decode(&cut).is_err(), "{len}");
    }
    let mut longer = entry.clone();
    longer.value.push(0);
    assert!(Snapshot::decode(&longer).is_err());
    let mut flag = entry.clone();
    // Behind it are two holds, of a tag of six bytes and a time each.
    let at = flag.value.len() - (4 + 2 * (4 + 6 + 12)) - 1;
    assert_eq!(flag.value[at], 1, "there is a dead list");
    flag.value[at] = 2;
    assert!(Snapshot::decode(&flag).is_err());
    for links in [&entry.links[..1], &entry.links[..0], &[link(1), link(2), link(3)]] {
        let mut other = entry.clone();
        other.links = links.to_vec();
        assert!(Snapshot::decode(&other).is_err(), "{} links", links.len());
    }
    for key in [&b""[..], b"a/b", b".."] {
        let mut other = entry.clone();
        other.key = key.to_vec();
        assert!(Snapshot::decode(&other).is_err());
    }
}

#[test]
fn a_dead_block_is_told_by_birth_name_and_length() {
    let entry = dead_entry(&link(9));
    assert_eq!(&entry.key[..8], 9u64.to_be_bytes());
    assert_eq!(decode_dead(&entry).unwrap(), (Epoch(9), link(9).cid, link(9).len));
    assert!(
        dead_entry(&link(9)).key < dead_entry(&link(256)).key,
        "in order of birth"
    );
    let mut broken = [0; 5].map(|_| entry.clone());
    broken[0].key.pop();
    broken[1].key.truncate(7);
    broken[2].value.pop();
    broken[3].value.push(0);
    broken[4].links.push(link(1));
    for entry in broken {
        assert!(decode_dead(&entry).is_err());
    }
}
