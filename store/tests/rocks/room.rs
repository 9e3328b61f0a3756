//! Devices that are full, and the room that a reclaim gives back.

use crate::stage::{MIB, block, create, killed, open, pos, swap, used};
use bytes::Bytes;
use cairn_block::{Blocks, Epoch, Heads, Log, PutHint};
use cairn_store::{RocksStore, StoreOptions};
use std::path::Path;
use std::slice::from_ref;
use std::time::Instant;

#[test]
fn a_full_device_refuses_puts_and_records_but_not_deletes_and_swaps() {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions {
        reserve_bytes: u64::MAX / 2,
        ..StoreOptions::default()
    };
    let store = RocksStore::create(dir.path(), &options).unwrap();
    let refused = block(1, 64);
    assert!(
        store
            .put(Epoch(1), from_ref(&refused), PutHint::Bulk)
            .unwrap_err()
            .is_full()
    );
    assert!(
        store
            .log_append(&[(pos(1, 0), Bytes::new())])
            .unwrap_err()
            .is_full()
    );
    store.delete(&[refused.cid]).unwrap();
    store.swap_head(&swap(None, b"head", &[refused.cid], 1)).unwrap();
    store.sync().unwrap();
}

/// Writes, deletes all but each `keep`th block and reclaims; returns the bytes used before and
/// after.
fn fill_and_reclaim(total: u64, keep: u64) -> (u64, u64) {
    let (dir, store) = create();
    let count = total / (128 << 10);
    let start = Instant::now();
    for first in (0..count).step_by(32) {
        let blocks: Vec<_> = (first..count.min(first + 32))
            .map(|n| block(n, 128 << 10))
            .collect();
        store.put(Epoch(1), &blocks, PutHint::Bulk).unwrap();
    }
    store.sync().unwrap();
    let written = start.elapsed();
    let before = used(dir.path());
    let cids: Vec<_> = (0..count)
        .filter(|n| n % keep != 0)
        .map(|n| block(n, 128 << 10).cid)
        .collect();
    store.swap_head(&swap(None, b"head", &cids, 1)).unwrap();
    let garbage = store.stats().unwrap().garbage_bytes;
    let start = Instant::now();
    store.reclaim().unwrap();
    let after = used(dir.path());
    eprintln!(
        "wrote {total} in {written:?}, {before} -> {after} in {:?}, garbage {garbage}",
        start.elapsed()
    );
    assert!(garbage > total / 4, "{garbage}");
    assert!(store.stats().unwrap().garbage_bytes < 32 * MIB);
    for n in (0..count).step_by(keep as usize).filter(|_| keep <= count) {
        assert!(store.get(&block(n, 128 << 10).cid).unwrap().is_some());
    }
    drop(store);
    assert!(open(dir.path()).is_ok());
    (before, after)
}

#[test]
fn reclaim_gives_back_the_room_of_deleted_blocks() {
    let (before, after) = fill_and_reclaim(256 * MIB, u64::MAX);
    assert!(before > 256 * MIB && after < 96 * MIB, "{before} -> {after}");
}

#[test]
fn reclaim_gives_back_what_lies_between_blocks_that_live() {
    let (before, after) = fill_and_reclaim(256 * MIB, 4);
    assert!(before > 256 * MIB && after < 112 * MIB, "{before} -> {after}");
}

#[test]
fn after_a_kill_reclaim_finds_what_nobody_knows_of() {
    let (dir, store) = create();
    let blocks: Vec<_> = (0..512).map(|n| block(n, 128 << 10)).collect();
    store.put(Epoch(1), &blocks, PutHint::Bulk).unwrap();
    store.sync().unwrap();
    let dead: Vec<_> = blocks[1..].iter().map(|block| block.cid).collect();
    store.swap_head(&swap(None, b"head", &dead, 1)).unwrap();
    let copy = killed(dir.path());
    let revived = open(copy.path()).unwrap();
    assert!(used(copy.path()) > 64 * MIB);
    revived.reclaim().unwrap();
    assert!(used(copy.path()) < 24 * MIB, "{}", used(copy.path()));
    assert_eq!(
        revived.get(&blocks[0].cid).unwrap().as_ref(),
        Some(&blocks[0].bytes)
    );
}

#[test]
fn blocks_put_while_a_reclaim_runs_stay() {
    let (_dir, store) = create();
    let first: Vec<_> = (0..256).map(|n| block(n, 9000)).collect();
    store.put(Epoch(1), &first, PutHint::Bulk).unwrap();
    let dead: Vec<_> = first.iter().map(|block| block.cid).collect();
    store.swap_head(&swap(None, b"head", &dead, 0)).unwrap();
    let kept: Vec<_> = (1000..1600).map(|n| block(n, 9000)).collect();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for some in kept.chunks(3) {
                store.put(Epoch(2), some, PutHint::Bulk).unwrap();
            }
        });
        for round in 0..20 {
            let gone = block(5000 + round, 2 << 20);
            store.put(Epoch(2), from_ref(&gone), PutHint::Bulk).unwrap();
            store.delete(&[gone.cid]).unwrap();
            store.reclaim().unwrap();
        }
    });
    store.sync().unwrap();
    assert!(
        kept.iter()
            .all(|block| store.get(&block.cid).unwrap().as_ref() == Some(&block.bytes))
    );
}

#[test]
#[ignore = "writes 2 GiB"]
fn reclaim_after_deleting_2_gib_leaves_less_than_128_mib() {
    let (_, after) = fill_and_reclaim(2048 * MIB, u64::MAX);
    assert!(after < 128 * MIB, "{after}");
}

/// Run with `CAIRN_SMALL_DIR` naming an empty directory on a device of 300 MiB to 1 GiB.
#[test]
#[ignore = "needs a small device"]
fn a_device_written_full_can_be_emptied_again() {
    let dir = std::env::var_os("CAIRN_SMALL_DIR").expect("CAIRN_SMALL_DIR names the directory");
    let dir = Path::new(&dir);
    let store = RocksStore::create(dir, &StoreOptions::default()).unwrap();
    let mut head = None::<Vec<u8>>;
    for round in 1..=3 {
        let mut cids = Vec::new();
        let full = loop {
            let blocks: Vec<_> = (0..16)
                .map(|n| block((round << 32) + cids.len() as u64 + n, 128 << 10))
                .collect();
            match store.put(Epoch(round), &blocks, PutHint::Bulk) {
                Ok(()) => cids.extend(blocks.iter().map(|block| block.cid)),
                Err(error) => break error,
            }
        };
        assert!(full.is_full(), "{full}");
        assert!(cids.len() > 400, "{} blocks", cids.len());
        store.sync().unwrap();
        store
            .log_append(&[(pos(round, 0), Bytes::from(vec![1; 1 << 20]))])
            .unwrap();
        let next = round.to_be_bytes().to_vec();
        store
            .swap_head(&swap(head.as_deref(), &next, &cids, round))
            .unwrap();
        head = Some(next);
        store.reclaim().unwrap();
    }
}
