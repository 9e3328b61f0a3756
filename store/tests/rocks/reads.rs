//! Blocks read whole, in parts and many at once, also from packs that the outside took.

use crate::stage::{block, create, open};
use cairn_block::group::{GROUP_BYTES, groups_of};
use cairn_block::{Blocks, Epoch, PartHint, PutHint, Sealed};
use std::fs;
use std::slice::from_ref;

#[test]
fn a_block_without_group_hashes_is_read_whole_only() {
    let (_dir, store) = create();
    let plain = block(1, 131_120);
    let with_groups = Sealed {
        groups: groups_of(&block(2, 131_120).bytes),
        ..block(2, 131_120)
    };
    store
        .put(Epoch(1), &[plain.clone(), with_groups.clone()], PutHint::Bulk)
        .unwrap();
    store.sync().unwrap();
    assert_eq!(
        store
            .get_part(&plain.cid, 0..GROUP_BYTES, PartHint::Once)
            .unwrap(),
        None
    );
    let part = store
        .get_part(&with_groups.cid, GROUP_BYTES..2 * GROUP_BYTES, PartHint::Once)
        .unwrap()
        .unwrap();
    assert_eq!(part.bytes, with_groups.bytes.slice(GROUP_BYTES..2 * GROUP_BYTES));
    assert_eq!(part.groups, with_groups.groups);
    let tail = store
        .get_part(&with_groups.cid, 8 * GROUP_BYTES..131_120, PartHint::Again)
        .unwrap()
        .unwrap();
    assert_eq!(tail.bytes, with_groups.bytes.slice(8 * GROUP_BYTES..));
    let odd = store.get_part(&with_groups.cid, 3..40, PartHint::Once).unwrap();
    assert_eq!(odd, None, "no range of whole groups");
}

#[test]
fn many_blocks_come_back_in_the_order_asked_whether_neighbours_or_not() {
    let (_dir, store) = create();
    let blocks: Vec<_> = (0..200)
        .map(|n| block(n, 100 + (n as usize * 7919) % 140_000))
        .collect();
    store.put(Epoch(1), &blocks, PutHint::Bulk).unwrap();
    store.sync().unwrap();
    let asked: Vec<_> = (0..200_u64).map(|n| &blocks[(n * 77 % 200) as usize]).collect();
    let cids: Vec<_> = asked
        .iter()
        .map(|block| block.cid)
        .chain([block(999, 9).cid, asked[0].cid])
        .collect();
    let found = store.get_many(&cids).unwrap();
    assert!(
        asked
            .iter()
            .zip(&found)
            .all(|(block, found)| found.as_ref() == Some(&block.bytes))
    );
    assert_eq!((&found[200], &found[201]), (&None, &Some(asked[0].bytes.clone())));
}

#[test]
fn a_pack_that_the_outside_takes_or_cuts_is_missing_blocks_and_no_failure() {
    let (dir, store) = create();
    let (lost, cut) = (block(1, 128 << 10), block(2, 128 << 10));
    store.put(Epoch(1), from_ref(&lost), PutHint::Bulk).unwrap();
    drop(store);
    let store = open(dir.path()).unwrap();
    store.put(Epoch(1), from_ref(&cut), PutHint::Bulk).unwrap();
    drop(store);
    fs::remove_file(dir.path().join("packs/00000000")).unwrap();
    let pack = fs::File::options()
        .write(true)
        .open(dir.path().join("packs/00000001"))
        .unwrap();
    pack.set_len(4096).unwrap();
    let store = open(dir.path()).unwrap();
    assert_eq!(store.get_many(&[lost.cid, cut.cid]).unwrap(), [None, None]);
    assert_eq!(store.get(&lost.cid).unwrap(), None);
    store.put(Epoch(2), from_ref(&lost), PutHint::Bulk).unwrap();
    assert_eq!(store.get(&lost.cid).unwrap(), Some(lost.bytes));
}
