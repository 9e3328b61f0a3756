//! What an fsync put into the log is what the next mount finds, however the bytes came about.

use super::*;
use crate::data::pieces::Pieces;
use crate::fixture::tree::{RECORD, ROOT, Tree, at, bytes, config, name};
use crate::{Fallocate, Operations, Quota, Time};
use cairn_merkle::testing::{CrashStore, FaultStore, Op as StoreOp};
use cairn_merkle::{Epoch, Link, MemoryStore};
use std::sync::Arc;

const R: u64 = RECORD as u64;

type Rig = Tree<FaultStore<MemoryStore>>;

fn rig() -> Rig {
    Tree::over(FaultStore::new(MemoryStore::new()), config(), Quota::default())
}

/// Makes a file of three committed records and a bit, changes it, and looks for it after a crash.
fn survives(change: impl Fn(&Rig, InodeNo)) {
    let mut tree = rig();
    let file = tree.file(ROOT, "file");
    tree.write(file, 0, &bytes(3 * RECORD + 77, 1));
    tree.engine.commit().unwrap();
    change(&tree, file);
    tree.engine.fsync(file, false).unwrap();
    let (expected, attr) = (tree.read(file), tree.engine.getattr(file).unwrap());
    tree.kill();
    let file = tree.hold(ROOT, "file");
    assert!(tree.read(file) == expected);
    let found = tree.engine.getattr(file).unwrap();
    assert_eq!(
        (found.size, found.mtime, found.ctime),
        (attr.size, attr.mtime, attr.ctime)
    );
    tree.engine.commit().unwrap();
    assert!(tree.read(file) == expected);
    tree.is_whole();
}

fn punch(tree: &Rig, file: InodeNo, from: u64, len: u64) {
    tree.engine
        .fallocate(file, Fallocate::PunchHole, from, len, at(3))
        .unwrap();
}

#[test]
fn scattered_bytes_and_whole_records_survive_a_crash() {
    survives(|tree, file| {
        tree.write(file, 5, b"a few");
        tree.write(file, RECORD - 3, &bytes(RECORD + 6, 2));
        tree.write(file, 10 * RECORD + 9, b"beyond");
    });
}

#[test]
fn cuts_and_what_was_written_after_them_survive_a_crash() {
    survives(|tree, file| tree.cut(file, RECORD + 10));
    survives(|tree, file| tree.cut(file, 0));
    survives(|tree, file| {
        tree.cut(file, RECORD + 10);
        tree.cut(file, 5 * RECORD);
        tree.write(file, RECORD + 50, b"after");
    });
    survives(|tree, file| {
        tree.write(file, RECORD, &bytes(RECORD, 3));
        tree.cut(file, RECORD + 500);
        tree.write(file, RECORD + 700, b"over zeros");
    });
}

#[test]
fn holes_and_what_lies_over_them_survive_a_crash() {
    survives(|tree, file| punch(tree, file, R, 2 * R));
    survives(|tree, file| {
        punch(tree, file, 0, 3 * R);
        tree.write(file, RECORD + 50, b"over a hole");
    });
    survives(|tree, file| {
        tree.write(file, 0, &bytes(RECORD, 4));
        tree.write(file, 7, b"over a leaf that no commit names");
        punch(tree, file, 100, 100);
    });
}

#[test]
fn a_record_that_was_touched_in_very_many_places_survives_a_crash() {
    survives(|tree, file| {
        for n in 0..200 {
            tree.write(file, RECORD + 20 * n, &bytes(3, n));
        }
    });
}

#[test]
fn each_fsync_logs_what_is_new() {
    let mut tree = rig();
    let file = tree.file(ROOT, "file");
    let appends = || tree.store.count(StoreOp::LogAppend);
    tree.write(file, 0, &bytes(3000, 1));
    tree.engine.fsync(file, false).unwrap();
    let (before, logged) = (appends(), tree.engine.state.lock().log.written);
    assert!(before > 0 && logged >= 3000);
    tree.engine.fsync(file, false).unwrap();
    assert_eq!(appends(), before, "there is nothing to log");
    tree.write(file, 2999, b"xy");
    tree.engine.fsync(file, false).unwrap();
    assert!(
        tree.engine.state.lock().log.written < logged + 1000,
        "the rest is in the log"
    );
    let mut expected = bytes(3000, 1);
    expected.truncate(2999);
    expected.extend_from_slice(b"xy");
    tree.kill();
    assert!(tree.read(tree.hold(ROOT, "file")) == expected);
}

#[test]
fn what_was_not_synced_is_not_half_there() {
    let mut tree = rig();
    let file = tree.file(ROOT, "file");
    tree.write(file, 0, b"synced");
    tree.engine.fsync(file, false).unwrap();
    tree.engine.write(file, 0, &bytes(9000, 1), at(7), true).unwrap();
    tree.kill();
    let file = tree.hold(ROOT, "file");
    assert_eq!(tree.read(file), b"synced");
    assert_eq!(tree.engine.getattr(file).unwrap().mtime, Time(1));
    tree.engine.commit().unwrap();
    tree.is_whole();
}

#[test]
fn much_is_sealed_and_the_log_names_it() {
    let mut tree = rig();
    let file = tree.file(ROOT, "file");
    let records = LOG_BYTES_MAX as usize / RECORD + 2;
    for n in 0..records {
        tree.write(file, n * RECORD + 1, &bytes(RECORD - 1, n));
    }
    let before = tree.store.count(StoreOp::Put);
    tree.engine.fsync(file, false).unwrap();
    assert_eq!(tree.store.count(StoreOp::Put), before + records as u64);
    assert!(tree.engine.state.lock().log.written < LOG_BYTES_MAX / 4);
    let expected = tree.read(file);
    tree.kill();
    assert!(tree.read(tree.hold(ROOT, "file")) == expected);
    tree.engine.commit().unwrap();
    tree.is_whole();
}

#[test]
fn less_than_that_is_logged_as_bytes() {
    let tree = rig();
    let file = tree.file(ROOT, "file");
    for n in 0..LOG_BYTES_MAX as usize / RECORD - 1 {
        tree.write(file, n * RECORD + 1, &bytes(RECORD - 1, n));
    }
    let before = tree.store.count(StoreOp::Put);
    tree.engine.fsync(file, false).unwrap();
    assert_eq!(tree.store.count(StoreOp::Put), before);
    assert!(tree.engine.state.lock().log.written > LOG_BYTES_MAX / 2);
}

#[test]
fn a_store_that_cannot_take_the_records_fails_the_fsync() {
    let tree = rig();
    let file = tree.file(ROOT, "file");
    for n in 0..LOG_BYTES_MAX as usize / RECORD + 2 {
        tree.write(file, n * RECORD + 1, &bytes(RECORD - 1, n));
    }
    let expected = tree.read(file);
    tree.store.fail_nth(StoreOp::Put, 3);
    assert!(tree.engine.fsync(file, false).is_err());
    assert!(tree.read(file) == expected);
    assert!(!tree.engine.state.lock().puts.is_busy());
}

#[test]
fn of_a_file_without_a_name_nothing_is_logged() {
    let mut tree = rig();
    let file = tree.file(ROOT, "file");
    tree.open_file(file);
    tree.unlink(ROOT, "file").unwrap();
    tree.engine.fsync(ROOT, false).unwrap();
    let before = tree.engine.state.lock().log.written;
    tree.write(file, 0, &bytes(2000, 1));
    tree.engine.fsync(file, false).unwrap();
    assert!(tree.engine.state.lock().log.written < before + 1000);
    assert_eq!(tree.read(file), bytes(2000, 1));
    tree.kill();
    assert!(tree.names(ROOT).is_empty());
}

#[test]
fn logged_bytes_that_leave_their_record_are_refused() {
    let tree = rig();
    let file = tree.file(ROOT, "file");
    let mut state = tree.engine.state.lock();
    let meta = state.inodes.get(file).unwrap().meta.clone();
    let mut apply = |offset, len| {
        let part = ReplayedPart::Bytes {
            recno: 0,
            offset,
            bytes: vec![1; len],
        };
        tree.engine.apply_content(&mut state, &meta, None, vec![part])
    };
    apply(RECORD as u32 - 5, 5).unwrap();
    assert!(matches!(apply(RECORD as u32 - 5, 6), Err(Error::Invalid(_))));
    assert!(matches!(apply(u32::MAX, 1), Err(Error::Invalid(_))));
}

fn leaf() -> Link {
    cairn_merkle::seal_leaf(Default::default(), &mut rand::rng(), Epoch(1), &[1; RECORD]).1
}

/// Whether a part is a base: what it keeps, and whether of a leaf.
fn bases(parts: &[Part<'_>]) -> Vec<(u32, bool)> {
    let base = |part: &Part<'_>| match part {
        Part::Base { keep, link, .. } => Some((*keep, link.is_some())),
        Part::Bytes { .. } => None,
    };
    parts.iter().filter_map(base).collect()
}

fn runs(parts: &[Part<'_>]) -> Vec<(u32, usize)> {
    let run = |part: &Part<'_>| match part {
        Part::Base { .. } => None,
        Part::Bytes { offset, bytes, .. } => Some((*offset, bytes.len())),
    };
    parts.iter().filter_map(run).collect()
}

#[test]
fn a_record_is_told_by_its_base_and_its_bytes() {
    let size = RECORD as u32;
    let parts = parts_of(0, &Rec::Hole, None, size);
    assert_eq!((bases(&parts), runs(&parts)), (vec![(size, false)], vec![]));
    let rec = Rec::Clean(leaf());
    let parts = parts_of(0, &rec, None, size);
    assert_eq!((bases(&parts), runs(&parts)), (vec![(size, true)], vec![]));
    let mut pieces = Pieces::default();
    pieces.write(10, vec![1; 10]);
    pieces.write(50, vec![1; 10]);
    for (under, base) in [
        (Under::Below, vec![]),
        (Under::Hole, vec![(30, false)]),
        (Under::Leaf(leaf()), vec![(30, true)]),
    ] {
        let rec = Rec::Dirty(Dirty {
            under,
            keep: 30,
            pieces: pieces.clone(),
            version: 1,
        });
        let parts = parts_of(0, &rec, None, size);
        assert_eq!((bases(&parts), runs(&parts)), (base, vec![(10, 10), (50, 10)]));
        let touched = BTreeSet::from([(15, 18), (19, 55)]);
        let parts = parts_of(0, &rec, Some(&touched), size);
        assert_eq!(bases(&parts), []);
        assert_eq!(runs(&parts), [(15, 3), (19, 1), (50, 5)]);
    }
}

#[test]
fn a_leaf_that_the_log_names_outlives_a_power_cut() {
    let tree = Tree::over(CrashStore::new(), config(), Quota::default());
    let file = tree.file(ROOT, "file");
    tree.write(file, 0, &bytes(2 * RECORD, 1));
    let overhead = tree.engine.state.lock().open.overhead_bytes();
    assert!(
        overhead >= 2 * 1024,
        "each record takes memory beside its data: {overhead}"
    );
    tree.engine.fsync(file, false).unwrap();
    // All that may be lost is.
    let store = Arc::new(tree.store.crash(0));
    let engine = Engine::open(store, tree.engine.key.clone(), config(), Time(2)).unwrap();
    let found = engine.lookup(ROOT, &name("file")).unwrap();
    assert!(*engine.read(found.ino, 0, usize::MAX).unwrap() == bytes(2 * RECORD, 1));
}
