//! What survives a reopen, a kill and many writers.

use crate::stage::{MIB, block, create, killed, open, pos, swap, used};
use bytes::Bytes;
use cairn_block::{Blocks, Epoch, HeadSwap, Heads, Log, PutHint};
use std::slice::from_ref;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

#[test]
fn everything_survives_a_reopen() {
    let (dir, store) = create();
    let blocks = [block(1, 100), block(2, 128 << 10), block(3, 2 << 20)];
    store.put(Epoch(1), &blocks[..2], PutHint::Bulk).unwrap();
    store.put(Epoch(2), &blocks[2..], PutHint::Small).unwrap();
    store
        .log_append(&[(pos(2, 0), Bytes::from_static(b"record"))])
        .unwrap();
    store
        .swap_head(&HeadSwap {
            header: Some(b"header"),
            ..swap(None, b"head", &[], 0)
        })
        .unwrap();
    drop(store);
    let store = open(dir.path()).unwrap();
    for block in &blocks {
        assert_eq!(store.get(&block.cid).unwrap().as_ref(), Some(&block.bytes));
    }
    assert_eq!(store.head().unwrap().as_deref(), Some(&b"head"[..]));
    assert_eq!(store.header().unwrap().as_deref(), Some(&b"header"[..]));
    assert_eq!(
        store.log_read(pos(0, 0), 0).unwrap(),
        [(pos(2, 0), Bytes::from_static(b"record"))]
    );
    let mut names = blocks.map(|block| block.cid);
    names.sort();
    assert_eq!(store.list(None, 9).unwrap(), names);
    assert_eq!(store.list(Some(names[0]), 1).unwrap(), [names[1]]);
}

#[test]
fn a_kill_keeps_what_counts_as_written() {
    let (dir, store) = create();
    let blocks: Vec<_> = (0..40).map(|n| block(n, 100_000)).collect();
    for some in blocks.chunks(3) {
        store.put(Epoch(1), some, PutHint::Bulk).unwrap();
    }
    assert_eq!(store.put_progress().accepted, 40);
    while store.put_progress().written < 10 {
        std::thread::yield_now();
    }
    let written = store.put_progress().written as usize;
    // Not synced: the page cache has what is not on the device.
    let copy = killed(dir.path());
    let store = open(copy.path()).unwrap();
    for block in &blocks[..written] {
        assert!(store.get(&block.cid).unwrap().as_ref() == Some(&block.bytes));
    }
}

#[test]
fn a_kill_keeps_what_was_synced_and_the_log() {
    let (dir, store) = create();
    let (bulk, small, late) = (block(1, 128 << 10), block(2, 5000), block(3, 128 << 10));
    store.put(Epoch(1), from_ref(&bulk), PutHint::Bulk).unwrap();
    store.put(Epoch(1), from_ref(&small), PutHint::Small).unwrap();
    store.sync().unwrap();
    store
        .log_append(&[
            (pos(1, 0), Bytes::from_static(b"zero")),
            (pos(1, 1), Bytes::from_static(b"one")),
        ])
        .unwrap();
    store.swap_head(&swap(None, b"head", &[], 0)).unwrap();
    store.put(Epoch(2), from_ref(&late), PutHint::Bulk).unwrap();
    let copy = killed(dir.path());
    let revived = open(copy.path()).unwrap();
    assert_eq!(revived.get(&bulk.cid).unwrap(), Some(bulk.bytes));
    assert_eq!(revived.get(&small.cid).unwrap(), Some(small.bytes));
    assert_eq!(revived.head().unwrap().as_deref(), Some(&b"head"[..]));
    assert_eq!(revived.log_read(pos(1, 0), usize::MAX).unwrap().len(), 2);
    // Never synced: there or not, but never other bytes.
    assert!(
        revived
            .get(&late.cid)
            .unwrap()
            .is_none_or(|bytes| bytes == late.bytes)
    );
    assert_eq!(store.get(&late.cid).unwrap(), Some(late.bytes));
}

#[test]
fn a_kill_replays_no_old_delete_over_a_synced_put() {
    let (dir, store) = create();
    let [again, gone, lost] = [block(1, 9000), block(2, 9000), block(3, 9000)];
    store
        .put(Epoch(1), &[again.clone(), gone.clone()], PutHint::Bulk)
        .unwrap();
    store.sync().unwrap();
    store.delete(&[again.cid, gone.cid]).unwrap();
    store.put(Epoch(2), from_ref(&again), PutHint::Bulk).unwrap();
    store.sync().unwrap();
    // Put and deleted before anything was synced.
    store.put(Epoch(3), from_ref(&lost), PutHint::Bulk).unwrap();
    store.swap_head(&swap(None, b"head", &[lost.cid], 0)).unwrap();
    let revived_dir = killed(dir.path());
    let revived = open(revived_dir.path()).unwrap();
    assert_eq!(revived.get(&again.cid).unwrap(), Some(again.bytes));
    assert_eq!(revived.get(&gone.cid).unwrap(), None);
    assert_eq!(revived.get(&lost.cid).unwrap(), None);
    assert_eq!(revived.list(None, 9).unwrap(), [again.cid]);
}

#[test]
fn a_kill_after_the_swap_keeps_its_small_puts_deletes_and_trims() {
    let (dir, store) = create();
    let (old, new) = (block(1, 128 << 10), block(2, 600));
    store.put(Epoch(1), from_ref(&old), PutHint::Bulk).unwrap();
    store.sync().unwrap();
    store
        .log_append(&[
            (pos(1, 0), Bytes::new()),
            (pos(2, 0), Bytes::new()),
            (pos(3, 0), Bytes::new()),
        ])
        .unwrap();
    store.put(Epoch(2), from_ref(&new), PutHint::Small).unwrap();
    store.put(Epoch(3), &[block(3, 8)], PutHint::Small).unwrap();
    store.swap_head(&swap(None, b"one", &[old.cid], 2)).unwrap();
    let copy = killed(dir.path());
    for store in [store, open(copy.path()).unwrap()] {
        assert_eq!(store.get(&old.cid).unwrap(), None);
        assert_eq!(store.get(&new.cid).unwrap().as_ref(), Some(&new.bytes));
        assert_eq!(
            store.log_read(pos(0, 0), usize::MAX).unwrap(),
            [(pos(3, 0), Bytes::new())]
        );
        assert_eq!(store.fresh(None, 9).unwrap(), [(Epoch(3), block(3, 8).cid)]);
        store.swap_head(&swap(Some(b"one"), b"two", &[], 3)).unwrap();
        assert_eq!(store.fresh(None, 9).unwrap(), []);
    }
}

#[test]
fn fresh_marks_are_listed_in_pages_across_a_reopen() {
    let (dir, store) = create();
    let blocks: Vec<_> = (0..10).map(|n| block(n, 64)).collect();
    store.put(Epoch(1), &blocks[..5], PutHint::Bulk).unwrap();
    store.put(Epoch(2), &blocks[5..], PutHint::Bulk).unwrap();
    drop(store);
    let store = open(dir.path()).unwrap();
    let all = store.fresh(None, 100).unwrap();
    assert_eq!(all.len(), 10);
    assert!(all.is_sorted());
    let mut paged = store.fresh(None, 4).unwrap();
    while let page = store.fresh(paged.last().copied(), 4).unwrap()
        && !page.is_empty()
    {
        paged.extend(page);
    }
    assert_eq!(paged, all);
    store.swap_head(&swap(None, b"head", &[], 1)).unwrap();
    assert_eq!(store.fresh(None, 100).unwrap(), all[5..]);
}

#[test]
fn puts_that_returned_before_a_sync_survive_a_kill_whoever_else_writes() {
    let (dir, store) = create();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in (1 << 32).. {
                if stop.load(SeqCst) {
                    break;
                }
                store.put(Epoch(9), &[block(n, 4096)], PutHint::Bulk).unwrap();
                store.sync().unwrap();
            }
        });
        let mut synced = Vec::new();
        for n in 0..20 {
            let hint = if n % 3 == 0 { PutHint::Small } else { PutHint::Bulk };
            store.put(Epoch(1), &[block(n, 6000)], hint).unwrap();
            store.sync().unwrap();
            synced.push(block(n, 6000));
        }
        stop.store(true, SeqCst);
        synced
    })
    .iter()
    .for_each(|block| assert!(store.get(&block.cid).unwrap().is_some()));
    let copy = killed(dir.path());
    let revived = open(copy.path()).unwrap();
    assert!((0..20).all(|n| revived.get(&block(n, 6000).cid).unwrap().is_some()));
}

#[test]
fn a_thousand_swaps_leave_a_small_log() {
    let (dir, store) = create();
    let mut head = None::<Vec<u8>>;
    for epoch in 1..=1200 {
        store
            .log_append(&[(pos(epoch, 0), Bytes::from(vec![7; 64 << 10]))])
            .unwrap();
        let next = epoch.to_be_bytes().to_vec();
        store
            .swap_head(&swap(head.as_deref(), &next, &[], epoch))
            .unwrap();
        head = Some(next);
    }
    assert!(store.log_read(pos(0, 0), usize::MAX).unwrap().is_empty());
    let used = used(dir.path());
    assert!(used < 160 * MIB, "{used} bytes");
}
