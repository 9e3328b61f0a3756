//! Promises of RocksStore beyond the contract of every store: opening, the remains after a kill,
//! the room given back.

#![allow(
    clippy::unwrap_used,
    reason = "the lint spares test functions, not the functions they share"
)]

use bytes::Bytes;
use cairn_block::group::{GROUP_BYTES, groups_of};
use cairn_block::{Blocks, Cid, Codec, Epoch, HeadSwap, Heads, Log, LogPos, PartHint, PutHint, Sealed};
use cairn_store::{OpenError, RocksStore, StoreOptions};
use std::{
    fs, path::Path, slice::from_ref, sync::atomic::AtomicBool, sync::atomic::Ordering::SeqCst, time::Instant,
};
use tempfile::TempDir;

const MIB: u64 = 1 << 20;

/// A unique block: `len` bytes that start with `n`.
fn block(n: u64, len: usize) -> Sealed {
    let mut bytes = vec![n as u8; len];
    bytes[..8].copy_from_slice(&n.to_be_bytes());
    Sealed::new(Cid::of(Codec::Leaf, &bytes), Bytes::from(bytes))
}

fn swap<'a>(expected: Option<&'a [u8]>, head: &'a [u8], delete: &'a [Cid], settled: u64) -> HeadSwap<'a> {
    HeadSwap {
        expected,
        head,
        header: None,
        root_block: b"root block",
        delete,
        settled: Epoch(settled),
        restarts_log: false,
    }
}

fn pos(epoch: u64, seq: u64) -> LogPos {
    LogPos {
        epoch: Epoch(epoch),
        seq,
    }
}

fn create() -> (TempDir, RocksStore) {
    let dir = tempfile::tempdir().unwrap();
    let store = RocksStore::create(dir.path(), &StoreOptions::default()).unwrap();
    (dir, store)
}

fn open(path: &Path) -> Result<RocksStore, OpenError> {
    RocksStore::open(path, &StoreOptions::default())
}

/// What a kill at this moment leaves: the files as they are, without the closing of the store.
fn killed(dir: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    copy_files(dir, copy.path());
    copy
}

fn copy_files(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir(&to).unwrap();
            copy_files(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn used(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let of = |entry: fs::DirEntry| match entry.file_type().unwrap().is_dir() {
        true => used(&entry.path()),
        false => entry.metadata().unwrap().blocks() * 512,
    };
    fs::read_dir(dir).unwrap().map(|entry| of(entry.unwrap())).sum()
}

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
fn a_swap_from_another_head_is_refused_and_changes_nothing() {
    let (_dir, store) = create();
    let kept = block(1, 64);
    store.put(Epoch(1), from_ref(&kept), PutHint::Bulk).unwrap();
    store.swap_head(&swap(None, b"one", &[], 0)).unwrap();
    for expected in [None, Some(&b"other"[..])] {
        let refused = store.swap_head(&swap(expected, b"two", &[kept.cid], 1));
        assert!(matches!(refused, Err(cairn_block::StoreError::HeadMoved)));
    }
    assert_eq!(store.head().unwrap().as_deref(), Some(&b"one"[..]));
    assert_eq!(store.fresh(None, 9).unwrap(), [(Epoch(1), kept.cid)]);
    assert_eq!(store.get(&kept.cid).unwrap(), Some(kept.bytes));
}

#[test]
fn create_refuses_a_directory_that_is_not_empty() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("letter"), "dear").unwrap();
    let refused = RocksStore::create(dir.path(), &StoreOptions::default()).map(drop);
    let Err(OpenError::NotEmpty { path }) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(path, dir.path());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn open_leaves_alone_what_is_no_store() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(
        open(&dir.path().join("none")),
        Err(OpenError::Missing { .. })
    ));
    assert!(matches!(open(dir.path()), Err(OpenError::NotAStore { .. })));
    fs::write(dir.path().join("letter"), "dear").unwrap();
    assert!(matches!(open(dir.path()), Err(OpenError::NotAStore { .. })));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    let foreign = dir.path().join("foreign");
    drop(rocksdb::DB::open_default(&foreign).unwrap());
    let before = fs::read_dir(&foreign).unwrap().count();
    assert!(matches!(open(&foreign), Err(OpenError::NotAStore { .. })));
    assert_eq!(fs::read_dir(&foreign).unwrap().count(), before);
}

#[test]
fn open_refuses_an_unknown_format() {
    let (dir, store) = create();
    drop(store);
    let db = rocksdb::DB::open_cf(&rocksdb::Options::default(), dir.path(), ["blocks"]).unwrap();
    db.put(b"mformat", "cairn-store 5").unwrap();
    drop(db);
    let refused = open(dir.path()).map(drop);
    assert!(matches!(refused, Err(OpenError::UnknownFormat { found, .. }) if found == "cairn-store 5"));
}

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
fn a_second_open_finds_the_store_locked() {
    let (dir, _store) = create();
    let refused = open(dir.path()).map(drop);
    assert!(matches!(refused, Err(OpenError::Locked { .. })), "{refused:?}");
    // The files in the directory are the outside's to take.
    fs::remove_file(dir.path().join("LOCK")).unwrap();
    let refused = open(dir.path()).map(drop);
    assert!(matches!(refused, Err(OpenError::Locked { .. })), "{refused:?}");
}

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

/// Writes, deletes all but each `keep`th block and reclaims; returns the bytes used before and after.
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

#[test]
fn a_head_that_is_put_back_on_disk_is_seen_although_the_store_is_open_and_damage_is_no_head() {
    let (dir, store) = create();
    let heads = [b"head 1", b"head 2", b"head 3", b"head 4"];
    let mut before: Option<&[u8]> = None;
    let mut old = None;
    for (settled, head) in (1..).zip(heads) {
        let mut swap = swap(before, head, &[], settled);
        swap.header = Some(b"header");
        store.swap_head(&swap).unwrap();
        before = Some(head);
        assert_eq!(store.head_afresh().unwrap().as_deref(), Some(&head[..]));
        if settled == 2 {
            old = Some(killed(dir.path()));
        }
    }
    let old = old.unwrap();
    for name in ["twin-0", "twin-1"] {
        fs::copy(old.path().join(name), dir.path().join(name)).unwrap();
    }
    assert_eq!(store.head_afresh().unwrap().as_deref(), Some(&b"head 2"[..]));
    for name in ["twin-0", "twin-1"] {
        fs::write(dir.path().join(name), "cairntwn and nothing like it").unwrap();
    }
    assert_eq!(store.head_afresh().unwrap(), None);
    for name in ["twin-0", "twin-1"] {
        fs::remove_file(dir.path().join(name)).unwrap();
    }
    assert_eq!(store.head_afresh().unwrap(), None);
}
