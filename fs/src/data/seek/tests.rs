//! Records of several pages, some of which were never written.

use super::*;
use crate::fixture::stored::{Store, config, tree, try_open, view};
use crate::fixture::{caller, header_of};
use crate::{Fallocate, InodeNo, Operations, Quota};
use cairn_merkle::Blocks;
use cairn_merkle::testing::CrashStore;
use std::sync::Arc;

const ROOT: InodeNo = InodeNo::ROOT;
const RECORD: u64 = 64 << 10;

fn volume() -> (Arc<Store>, Arc<Engine>) {
    let store = Arc::new(Store::over(CrashStore::new()));
    let (header, key) = header_of(RECORD as u32);
    crate::format(&*store, &header, &key, Quota::default(), caller()).unwrap();
    let engine = try_open(store.clone(), config()).unwrap();
    (store, engine)
}

/// Where a file has data: each run with its end.
fn runs(engine: &Engine, ino: InodeNo) -> Vec<(u64, u64)> {
    let mut runs = Vec::new();
    let mut place = 0;
    while let Ok(data) = engine.seek(ino, place, Seek::Data) {
        place = engine.seek(ino, data, Seek::Hole).unwrap();
        runs.push((data / PAGE, place / PAGE));
    }
    runs
}

/// A file of four records: a page in a hole, one across two records, and a whole record.
fn scattered(engine: &Engine) -> InodeNo {
    let file = engine.t_file(ROOT, b"file");
    engine.t_write(file, 3 * PAGE, &[1; PAGE as usize]);
    engine.t_write(file, RECORD - PAGE, &[2; 2 * PAGE as usize]);
    engine.t_write(file, 3 * RECORD, &[3; RECORD as usize]);
    file
}

/// Bytes in records, as the last commit counted them.
fn stored(engine: &Engine, ino: InodeNo) -> u64 {
    engine.state.lock().inodes.get(ino).unwrap().meta.stored
}

const FOUND: [(u64, u64); 3] = [(3, 4), (15, 17), (48, 64)];

fn stored_bytes(store: &Store) -> usize {
    let blocks = store.list(None, 1000).unwrap();
    let each = blocks.iter().map(|cid| store.get(cid).unwrap().unwrap().len());
    each.sum()
}

#[test]
fn pages_in_a_hole_take_their_bytes_and_are_found_before_and_after_a_commit() {
    let (store, engine) = volume();
    let file = scattered(&engine);
    let before = stored_bytes(&store);
    assert_eq!(runs(&engine, file), FOUND, "in memory");
    let held = 3 * PAGE + RECORD;
    let attr = engine.getattr(file).unwrap();
    let blocks = held / 512..2 * held / 512;
    assert!(blocks.contains(&attr.blocks) && !attr.settled, "{}", attr.blocks);
    engine.commit().unwrap();
    let attr = engine.getattr(file).unwrap();
    assert!((held..held + 100).contains(&stored(&engine, file)) && attr.settled);
    assert_eq!(attr.blocks, stored(&engine, file).div_ceil(512));
    assert!(stored_bytes(&store) - before < 3 * PAGE as usize + 4096);
    let again = view(store.cut());
    let file = again.t_find(ROOT, b"file").ino;
    assert_eq!(runs(&again, file), FOUND, "stored");
    let bytes = again.read(file, 0, 4 * RECORD as usize).unwrap();
    let page = |at: u64| bytes[(at * PAGE) as usize];
    let found: Vec<u8> = (0..64).map(page).filter(|byte| *byte != 0).collect();
    assert_eq!(found[..4], [1, 2, 2, 3]);
    assert_eq!(found.len(), 19);
}

#[test]
fn a_seek_within_a_record_answers_as_one_across_records() {
    let (_, engine) = volume();
    let file = scattered(&engine);
    for committed in [false, true] {
        if committed {
            engine.commit().unwrap();
        }
        let seek = |at, whence| engine.seek(file, at, whence).ok();
        assert_eq!(seek(3 * PAGE + 7, Seek::Data), Some(3 * PAGE + 7));
        assert_eq!(seek(3 * PAGE + 7, Seek::Hole), Some(4 * PAGE));
        assert_eq!(seek(4 * PAGE + 7, Seek::Hole), Some(4 * PAGE + 7));
        assert_eq!(seek(4 * PAGE + 7, Seek::Data), Some(15 * PAGE));
        assert_eq!(seek(RECORD + PAGE, Seek::Data), Some(3 * RECORD));
        assert_eq!(seek(3 * RECORD, Seek::Hole), Some(4 * RECORD), "the end");
        assert_eq!(seek(4 * RECORD, Seek::Hole), None);
        assert_eq!(seek(4 * RECORD, Seek::Data), None);
    }
}

#[test]
fn the_end_of_a_file_whose_last_record_has_holes_is_a_hole() {
    let (_, engine) = volume();
    let file = engine.t_file(ROOT, b"file");
    engine.t_write(file, RECORD + 15 * PAGE, &[1; 100]);
    for _ in 0..2 {
        let seek = |at, whence| engine.seek(file, at, whence).ok();
        let end = RECORD + 15 * PAGE + 100;
        assert_eq!(seek(0, Seek::Data), Some(end - 100));
        assert_eq!(seek(end - 1, Seek::Hole), Some(end));
        engine.commit().unwrap();
    }
}

#[test]
fn a_record_that_fills_up_is_whole_and_one_that_is_punched_gives_its_pages_back() {
    let (store, engine) = volume();
    let file = scattered(&engine);
    engine.commit().unwrap();
    let small = stored(&engine, file);
    for page in (0..16).step_by(2) {
        engine.t_write(file, page * PAGE, &[9; PAGE as usize]);
    }
    engine.commit().unwrap();
    assert_eq!(stored(&engine, file), small + RECORD - 2 * PAGE - 18);
    assert_eq!(runs(&engine, file)[0], (0, 17), "it is stored whole");
    let punch = |from, len| engine.fallocate(file, Fallocate::PunchHole, from, len, caller());
    punch(0, 14 * PAGE).unwrap();
    engine.commit().unwrap();
    assert_eq!(runs(&engine, file)[0], (14, 17));
    assert!(stored(&engine, file) < small + PAGE);
    punch(14 * PAGE, 3 * PAGE).unwrap();
    engine.commit().unwrap();
    assert_eq!(
        runs(&engine, file),
        [(48, 64)],
        "nothing is left of the first two records"
    );
    assert_eq!(stored(&engine, file), RECORD);
    let before = tree(&engine);
    engine.close().unwrap();
    assert_eq!(tree(&view(store.cut())), before);
}

#[test]
fn what_an_fsync_seals_has_no_holes_either() {
    let (store, engine) = volume();
    let file = engine.t_file(ROOT, b"file");
    // More than the log takes as bytes, a page in each record.
    for record in 0..300 {
        engine.t_write(file, record * RECORD + 5 * PAGE, &[7; PAGE as usize]);
    }
    let before = stored_bytes(&store);
    engine.fsync(file, false).unwrap();
    let stored = stored_bytes(&store) - before;
    assert!(
        (300 * PAGE as usize..310 * PAGE as usize).contains(&stored),
        "{stored}"
    );
    let killed = try_open(store.killed(), config()).unwrap();
    let file = killed.t_find(ROOT, b"file").ino;
    assert_eq!(runs(&killed, file).len(), 300);
    assert_eq!(runs(&killed, file)[299], (299 * 16 + 5, 299 * 16 + 6));
    assert!(killed.getattr(file).unwrap().blocks < 320 * PAGE / 512);
}
