//! Copies that are damaged, and heads that went back.

use crate::fixture::stored::{
    Event, Store, at, blocks, config, copy, is_read_only, key_of, name, open, pattern, require_clean, tree,
    try_open, view, volume,
};
use crate::{Config, Engine, Error, InodeNo, Kind, Opening, Operations};
use cairn_merkle::testing::{CrashStore, Tamper};
use cairn_merkle::twin::{Part, Side};
use cairn_merkle::{Blocks, Epoch, Heads, Log, PutHint, Sealed, Twin};
use std::sync::Arc;

const ROOT: InodeNo = InodeNo::ROOT;

/// A store whose index went back by one commit: all blocks of both versions are there.
struct WentBack {
    store: Arc<Store>,
    older: Arc<Engine>,
    newer: Arc<Engine>,
    twin: Twin,
}

fn went_back(marked: bool) -> WentBack {
    let (store, engine) = volume();
    let file = engine.t_file(ROOT, b"file");
    engine.t_write(file, 0, &pattern(9000, 1));
    engine.commit().unwrap();
    let old = store.killed();
    // Synced, and then in a commit: the old log holds it.
    let logged = engine.t_file(ROOT, b"logged");
    engine.fsync(logged, false).unwrap();
    let with_log = store.killed();
    engine.t_write(file, 4096, &pattern(5000, 2));
    engine.commit().unwrap();
    let new = store.killed();
    let to = Store::over(CrashStore::new());
    copy(&*with_log, &to, |_, record| Some(record));
    for cid in blocks(&*new) {
        if old.get(&cid).unwrap().is_none() {
            let block = Sealed::new(cid, new.get(&cid).unwrap().unwrap());
            to.put(engine.status().epoch, &[block], PutHint::Bulk).unwrap();
        }
    }
    to.sync().unwrap();
    let marks = if marked {
        new.log_rest().unwrap().marks
    } else {
        vec![]
    };
    marks.iter().for_each(|mark| to.log_mark(mark).unwrap());
    let twin = new.twin().unwrap().unwrap();
    to.ahead.lock().push(twin.clone());
    to.events();
    WentBack {
        store: Arc::new(to),
        older: open(with_log),
        newer: engine,
        twin,
    }
}

fn accepting() -> Config {
    Config {
        accept_log_loss: true,
        ..config()
    }
}

/// Parts and sides of the copies that were found damaged.
fn damaged(found: &Opening) -> Vec<(Part, Side)> {
    let copies = found.damaged_copies().iter();
    copies.map(|copy| (copy.part, copy.side)).collect()
}

#[test]
fn a_commit_that_was_done_is_brought_back_from_its_twin() {
    let WentBack {
        store, newer, older, ..
    } = went_back(true);
    let head = Epoch(newer.status().epoch.0 - 1);
    let reader = view(store.clone());
    assert_eq!(tree(&reader), tree(&newer));
    reader.close().unwrap();
    assert_eq!(store.events(), [Event::Close], "a reader adopts nothing");
    let opening = Opening::newest(store.clone(), key_of(&*store)).unwrap();
    assert_eq!(opening.standing().head.epoch, newer.status().epoch);
    let again = opening.open(config()).unwrap();
    assert_eq!(tree(&again), tree(&newer));
    assert_ne!(tree(&again), tree(&older));
    assert!(again.log_loss().is_none());
    let events = store.events();
    assert!(
        matches!(events[0], Event::Adopt(epoch) if epoch == head.next()),
        "before all else: {:?}",
        events[0]
    );
    again.t_file(ROOT, b"more");
    again.commit().unwrap();
    assert_eq!(tree(&view(store.cut())), tree(&again));
}

#[test]
fn a_commit_that_a_crash_cut_off_does_not_count() {
    let WentBack { store, older, .. } = went_back(false);
    let again = open(store.clone());
    assert_eq!(tree(&again), tree(&older), "the version before and its log");
    assert!(again.log_loss().is_none() && !again.is_read_only());
    assert!(
        !store
            .events()
            .iter()
            .any(|event| matches!(event, Event::Adopt(_)))
    );
    require_clean(&again);
}

#[test]
fn a_commit_that_was_done_and_lacks_a_block_is_lost_and_named() {
    for lose in [false, true] {
        let WentBack {
            store, older, newer, ..
        } = went_back(true);
        let born = store.fresh(None, usize::MAX).unwrap().into_iter();
        let born: Vec<_> = born.filter(|(epoch, _)| *epoch == newer.status().epoch).collect();
        let lost = born
            .iter()
            .find(|(_, cid)| *cid != newer.status().root && lose)
            .copied();
        let lost = lost
            .unwrap_or(
                *born
                    .iter()
                    .find(|(_, cid)| cid.codec() == cairn_merkle::Codec::Leaf)
                    .unwrap(),
            )
            .1;
        store.faults.tamper(lost, Tamper::Drop);
        let again = open(store.clone());
        let loss = again.log_loss().unwrap().clone();
        assert_eq!(loss.commit, Some(newer.status().epoch));
        assert!(
            loss.what.contains(&format!("block {lost} of it is missing")),
            "{}",
            loss.what
        );
        assert_eq!(tree(&again), tree(&older));
        assert!(is_read_only(again.mknod(
            ROOT,
            &name(b"n"),
            Kind::File,
            0o644,
            0,
            at(1)
        )));
        again.close().unwrap();
        assert_eq!(store.events(), [Event::Close], "nothing is given up");
        let again = try_open(store.clone(), accepting()).unwrap();
        assert_eq!(tree(&again), tree(&older));
        assert_eq!(store.events()[0], Event::DropTwins);
        again.t_file(ROOT, b"n");
        again.commit().unwrap();
        assert!(open(store.cut()).log_loss().is_none());
    }
}

#[test]
fn a_block_that_is_damaged_and_there_is_damage_and_no_loss() {
    let WentBack { store, newer, .. } = went_back(true);
    let born = store.fresh(None, usize::MAX).unwrap().into_iter();
    let mut leaves = born.filter(|(_, cid)| cid.codec() == cairn_merkle::Codec::Leaf);
    store.faults.tamper(leaves.next().unwrap().1, Tamper::FlipBit(9));
    let again = view(store);
    assert_eq!(again.status().epoch, newer.status().epoch);
    assert!(again.log_loss().is_none());
}

#[test]
fn twins_of_older_versions_of_other_volumes_and_damaged_ones_do_not_count() {
    let WentBack {
        store, older, twin, ..
    } = went_back(true);
    let (other, _) = volume();
    let foreign = other.twin().unwrap().or(other.killed().twin().unwrap()).unwrap();
    let damaged = Twin {
        head: vec![7; 9].into(),
        ..twin.clone()
    };
    let head = store.killed().twin().unwrap().unwrap();
    *store.ahead.lock() = vec![foreign, damaged, head];
    let reader = view(store.clone());
    assert_eq!(tree(&reader)[&b"/file"[..]], tree(&older)[&b"/file"[..]]);
    // Behind them is the one that counts.
    store.ahead.lock().push(twin);
    assert!(view(store.clone()).status().epoch > reader.status().epoch);
}

#[test]
fn where_the_head_cannot_be_read_a_later_twin_is_opened_without_a_mark() {
    let WentBack { store, newer, .. } = went_back(false);
    let key = key_of(&*store);
    *store.torn_head.lock() = true;
    let opened = Opening::newest(store.clone(), key.clone())
        .unwrap()
        .open(config())
        .unwrap();
    assert_eq!(tree(&opened), tree(&newer));
    // And with no twin either there is nothing to open.
    let WentBack { store, .. } = went_back(false);
    *store.torn_head.lock() = true;
    store.ahead.lock().clear();
    assert!(matches!(Opening::newest(store, key), Err(Error::Merkle(_))));
}

#[test]
fn a_damaged_copy_is_named_and_the_next_commit_writes_both() {
    let (store, engine) = volume();
    engine.t_write(engine.t_file(ROOT, b"file"), 0, b"bytes");
    engine.close().unwrap();
    let to = Arc::new(Store::over(CrashStore::new()));
    copy(&*store.killed(), &*to, |_, record| Some(record));
    *to.keeps_twin.lock() = true;
    let opening = |store: &Arc<Store>| Opening::newest(store.clone(), key_of(&*to)).unwrap();
    assert_eq!(opening(&to).damaged_copies(), []);
    let root = engine.status().root;
    to.faults.tamper(root, Tamper::FlipBit(5));
    let found = opening(&to);
    assert_eq!(damaged(&found), [(Part::CommitBlock, Side::First)]);
    let again = found.open(config()).unwrap();
    assert_eq!(again.damage().copies.len(), 1);
    assert_eq!(tree(&again), tree(&engine));
    assert!(!again.state.lock().committed.twin_doubted);
    assert_eq!(opening(&to).damaged_copies(), []);
    // The first copy of the head: the swap still expects what lies there.
    again.close().unwrap();
    *to.torn_head.lock() = true;
    let found = opening(&to);
    assert_eq!(damaged(&found), [(Part::Head, Side::First)]);
    let again = found.open(config()).unwrap();
    assert!(!*to.torn_head.lock(), "written anew");
    assert_eq!(tree(&again), tree(&engine));
    again.close().unwrap();
    // The second of the head: it tells nothing until a commit has written it.
    *to.other_twin.lock() = Some(vec![1; 40].into());
    let reader = Opening::newest(to.clone(), key_of(&*to)).unwrap();
    assert_eq!(damaged(&reader), [(Part::Head, Side::Second)]);
    let reader = reader
        .open(Config {
            read_only: true,
            ..config()
        })
        .unwrap();
    assert!(reader.state.lock().committed.twin_doubted);
}
