//! What an fsync leaves in a store that loses power, and what a replay makes of it.

mod together;

use super::*;
use crate::fixture::stored::{
    Event, Store, at, blocks, config, copy, is_read_only, log_of, name, open, pattern, require_clean, tree,
    try_open, until_one_waits, view, volume,
};
use crate::log::op::{Replayed, decode_record};
use crate::{Config, Fallocate, Kind, Operations, RenameMode, SetAttr, XattrMode};
use cairn_merkle::testing::{CrashStore, Op as StoreOp};
use cairn_merkle::{Epoch, Log, LogPos};
use std::sync::Arc;
use std::sync::mpsc::channel;

const ROOT: InodeNo = InodeNo::ROOT;

/// The operations in the log of a store, by record.
fn logged(store: &Store, engine: &Engine) -> Vec<(LogPos, Vec<Replayed>)> {
    let opened = log_of(store).into_iter().map(|(pos, stored)| {
        let plain = engine.log_key.open(pos, &stored).unwrap().plain;
        (pos, decode_record(engine.log_key.suite(), &plain).unwrap().ops)
    });
    opened.collect()
}

fn words(ops: &[Replayed]) -> Vec<String> {
    let word = |op: &Replayed| {
        format!("{op:?}")
            .split([' ', '{'])
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    ops.iter().map(word).collect()
}

/// Directories and files that later operations change.
fn furnish(engine: &Engine) {
    for dir in [b"a".as_slice(), b"b"] {
        let dir = engine.t_dir(ROOT, dir);
        for file in [b"1".as_slice(), b"2", b"3"] {
            engine.t_write(engine.t_file(dir, file), 0, &pattern(9000, file[0]));
        }
        engine.t_dir(dir, b"empty");
    }
    let linked = engine.t_find(engine.t_find(ROOT, b"a").ino, b"3").ino;
    engine.link(linked, ROOT, &name(b"linked"), at(19)).unwrap();
}

/// Every operation that is logged, upon what [`furnish`] made. Syncs all that has content at last.
fn change(engine: &Engine) {
    let (a, b) = (engine.t_find(ROOT, b"a").ino, engine.t_find(ROOT, b"b").ino);
    let new = engine.t_file(a, b"new");
    engine.t_write(new, 5000, b"after a hole");
    let rename = |from: (InodeNo, &[u8]), to: (InodeNo, &[u8]), mode| {
        engine
            .rename(from.0, &name(from.1), to.0, &name(to.1), mode, at(31))
            .unwrap();
    };
    rename((a, b"1"), (b, b"1"), RenameMode::Replace);
    rename((a, b"2"), (b, b"2"), RenameMode::Exchange);
    rename((a, b"empty"), (b, b"moved"), RenameMode::NoReplace);
    let moved = engine.t_find(b, b"moved").ino;
    let deep = engine.t_file(moved, b"deep");
    engine.t_write(deep, 0, b"deep");
    engine.symlink(moved, &name(b"link"), b"target", at(32)).unwrap();
    engine
        .mknod(moved, &name(b"fifo"), Kind::Fifo, 0o600, 0, at(33))
        .unwrap();
    engine.link(new, b, &name(b"second"), at(34)).unwrap();
    let linked = engine.t_find(ROOT, b"linked").ino;
    engine.t_write(linked, 4090, b"across records");
    engine.unlink(ROOT, &name(b"linked"), at(35)).unwrap();
    engine.rmdir(b, &name(b"empty"), at(36)).unwrap();
    let attr = SetAttr {
        mode: Some(0o600),
        uid: Some(7),
        mtime: Some(crate::Time(99)),
        ..SetAttr::default()
    };
    engine.setattr(moved, attr, at(37)).unwrap();
    engine
        .setxattr(deep, b"user.a", b"1", XattrMode::Set, at(38))
        .unwrap();
    engine
        .setxattr(deep, b"user.b", b"2", XattrMode::Set, at(38))
        .unwrap();
    engine.removexattr(deep, b"user.a", at(39)).unwrap();
    let (cut, holed) = (engine.t_find(b, b"1").ino, engine.t_find(b, b"2").ino);
    engine.t_cut(cut, 4100);
    engine.t_cut(cut, 6000);
    engine.t_write(cut, 8000, b"end");
    engine
        .fallocate(holed, Fallocate::PunchHole, 100, 8000, at(40))
        .unwrap();
    let large = engine.t_find(b, b"3").ino;
    engine.t_write(large, 3, &pattern(3 << 20, 9));
    for ino in [new, deep, linked, cut, holed, large] {
        engine.fsync(ino, false).unwrap();
    }
}

#[test]
fn a_replay_makes_what_the_operations_made() {
    for committed in [true, false] {
        let (store, engine) = volume();
        furnish(&engine);
        match committed {
            true => engine.commit().unwrap(),
            false => {
                let (a, b) = (engine.t_find(ROOT, b"a").ino, engine.t_find(ROOT, b"b").ino);
                for (dir, file) in [(a, b"1"), (a, b"2"), (a, b"3"), (b, b"1"), (b, b"2"), (b, b"3")] {
                    engine.fsync(engine.t_find(dir, file).ino, false).unwrap();
                }
            }
        }
        change(&engine);
        let made = tree(&engine);
        let reader = view(store.cut());
        assert_eq!(tree(&reader), made, "read without a commit");
        assert_eq!(reader.status().inodes, engine.status().inodes);
        assert_eq!(
            reader.state.lock().log.pushed,
            0,
            "what is done again is not logged again"
        );
        let found = open(store.cut());
        assert_eq!(tree(&found), made, "committed: {committed}");
        assert!(found.log_loss().is_none() && found.log_torn().is_none());
        assert_eq!(found.damage().skipped.count, 0);
        require_clean(&found);
        // By an engine that has nothing in memory, and so logs where each inode is found.
        let crash = Arc::new(Store::over(CrashStore::new()));
        if committed {
            let (store, engine) = volume();
            furnish(&engine);
            engine.close().unwrap();
            copy(&*store.killed(), &*crash, |_, record| Some(record));
            let engine = open(crash.clone());
            change(&engine);
            assert_eq!(tree(&open(crash.cut())), tree(&engine));
            require_clean(&open(crash.cut()));
        }
    }
}

#[test]
fn an_fsync_makes_the_file_and_every_name_before_it_durable_and_no_other_bytes() {
    let (store, engine) = volume();
    let [synced, other] = [b"synced".as_slice(), b"other"].map(|name| engine.t_file(ROOT, name));
    engine.t_write(synced, 0, b"one");
    engine.t_write(other, 0, b"not synced");
    engine.fsync(synced, true).unwrap();
    assert_eq!(
        store.events(),
        [Event::Append(vec![pos(&engine, 0)]), Event::Mark]
    );
    engine.t_write(synced, 0, b"two");
    engine.t_file(ROOT, b"late");
    let found = view(store.cut());
    let contents = [b"synced".as_slice(), b"other"].map(|name| found.t_read(found.t_find(ROOT, name).ino));
    assert_eq!(contents, [b"one".to_vec(), b"".to_vec()]);
    assert!(!tree(&found).contains_key(b"/late".as_slice()));
    engine.fsync(synced, true).unwrap();
    engine.fsync(synced, true).unwrap();
    assert_eq!(store.events().len(), 2, "the third had nothing to make durable");
    let found = view(store.cut());
    assert_eq!(found.t_read(found.t_find(ROOT, b"synced").ino), b"two");
}

fn pos(engine: &Engine, seq: u64) -> LogPos {
    LogPos {
        epoch: engine.state.lock().open.number(),
        seq,
    }
}

#[test]
fn a_commit_makes_the_log_superfluous_and_one_that_began_before_a_record_does_not() {
    let (store, engine) = volume();
    let ino = engine.t_file(ROOT, b"file");
    engine.t_write(ino, 0, b"one");
    engine.fsync(ino, false).unwrap();
    assert_eq!(log_of(&*store).len(), 1);
    engine.commit().unwrap();
    assert!(log_of(&*store).is_empty());
    let other = engine.clone();
    engine.t_write(ino, 0, b"two");
    store.before(Event::is_put, move || {
        let late = other.t_file(ROOT, b"late");
        other.t_write(late, 0, b"late");
        other.fsync(late, false).unwrap();
    });
    engine.commit().unwrap();
    assert_eq!(
        log_of(&*store).iter().map(|(pos, _)| *pos).collect::<Vec<_>>(),
        [pos(&engine, 0)]
    );
    let is_durable = |state: crate::engine::Guard<'_>| state.log.durable >= state.log.pushed;
    assert!(is_durable(engine.state.lock()));
    let found = open(store.cut());
    assert_eq!(tree(&found), tree(&engine));
    require_clean(&found);
    assert!(log_of(&*store.killed()).len() == 1 && found.status().epoch > engine.status().epoch);
    let again = open(store.killed());
    assert!(
        again.state.lock().volume.log_salt != engine.state.lock().volume.log_salt,
        "a log of its own"
    );
}

#[test]
fn a_mount_replays_the_log_once_and_begins_another() {
    let (store, engine) = volume();
    let ino = engine.t_file(ROOT, b"file");
    engine.t_write(ino, 0, b"one");
    engine.fsync(ino, false).unwrap();
    let crash = Arc::new(Store::over(CrashStore::new()));
    copy(&*store.killed(), &*crash, |_, record| Some(record));
    crash.events();
    let again = open(crash.clone());
    let events = crash.events();
    assert!(events.iter().any(|event| matches!(
        event,
        Event::Swap {
            restarts_log: true,
            ..
        }
    )));
    assert!(log_of(&*crash).is_empty());
    let made = tree(&again);
    again.unlink(ROOT, &name(b"file"), at(50)).unwrap();
    again.fsync(ROOT, false).unwrap();
    assert!(tree(&view(crash.cut())).len() < made.len());
}

#[test]
fn an_inode_is_located_once_in_each_epoch_with_the_directories_above_it() {
    let (store, engine) = volume();
    let dir = engine.t_dir(engine.t_dir(ROOT, b"a"), b"b");
    let ino = engine.t_file(dir, b"file");
    let linked = engine.t_file(dir, b"linked");
    engine.link(linked, ROOT, &name(b"also"), at(20)).unwrap();
    engine.commit().unwrap();
    for _ in 0..2 {
        engine
            .setxattr(ino, b"user.a", b"1", XattrMode::Set, at(21))
            .unwrap();
        engine
            .setxattr(linked, b"user.a", b"1", XattrMode::Set, at(21))
            .unwrap();
    }
    engine.fsync(ROOT, false).unwrap();
    let [(_, ops)] = &logged(&store, &engine)[..] else {
        panic!("one record")
    };
    assert_eq!(
        words(ops),
        [
            "Locate",
            "Locate",
            "Locate",
            "Attr",
            "LocateLinked",
            "Attr",
            "Attr",
            "Attr"
        ]
    );
    let found = ops.iter().filter_map(|op| match op {
        Replayed::Locate { name, .. } => Some(name.as_bytes()),
        _ => None,
    });
    let found: Vec<_> = found.collect();
    assert_eq!(found, [b"a".as_slice(), b"b", b"file"], "from the root down");
    engine.commit().unwrap();
    engine
        .setxattr(ino, b"user.b", b"1", XattrMode::Set, at(22))
        .unwrap();
    engine.fsync(ROOT, false).unwrap();
    assert_eq!(
        words(&logged(&store, &engine)[0].1),
        ["Locate", "Locate", "Locate", "Attr"]
    );
    assert_eq!(tree(&open(store.cut())), tree(&engine));
}

#[test]
fn a_log_that_cannot_be_written_ends_all_writing() {
    let (store, engine) = volume();
    let ino = engine.t_file(ROOT, b"file");
    store.faults.fail_nth(StoreOp::LogAppend, 0);
    assert!(matches!(engine.fsync(ino, false), Err(Error::Merkle(_))));
    assert_eq!(
        engine.status().read_only,
        Some("the intent log could not be written")
    );
    assert!(is_read_only(engine.fsync(ino, false)) && is_read_only(engine.commit()));
    assert!(!tree(&open(store.cut())).contains_key(b"/file".as_slice()));
    // The same for the sync of what an fsync put.
    let (store, engine) = volume();
    let ino = engine.t_file(ROOT, b"file");
    engine.t_write(ino, 0, &pattern(2 << 20, 1));
    store.faults.fail_nth(StoreOp::Sync, 0);
    assert!(engine.fsync(ino, false).is_err() && is_read_only(engine.fsync(ino, false)));
}

#[test]
fn records_for_which_there_was_no_room_are_written_later_as_they_were() {
    let (store, engine) = volume();
    let ino = engine.t_file(ROOT, b"file");
    engine.t_write(ino, 0, b"bytes");
    store.faults.full_from_nth(StoreOp::LogAppend, 0);
    assert!(matches!(engine.fsync(ino, false), Err(Error::NoSpace)));
    assert_eq!(engine.status().read_only, None);
    assert!(!engine.state.lock().log.leader);
    assert!(tree(&view(store.cut())).len() == 1);
    engine.t_file(ROOT, b"later");
    store.faults.heal();
    engine.fsync(ino, false).unwrap();
    let positions: Vec<_> = log_of(&*store).iter().map(|(pos, _)| *pos).collect();
    assert_eq!(positions, [pos(&engine, 0), pos(&engine, 1)]);
    assert_eq!(tree(&open(store.cut())), tree(&engine));
}

#[test]
fn what_is_removed_outlives_the_process_without_an_fsync() {
    let (store, engine) = volume();
    for file in [b"1".as_slice(), b"2", b"3", b"4"] {
        engine.t_file(ROOT, file);
    }
    engine.commit().unwrap();
    store.events();
    let remove = |called: &[u8]| engine.unlink(ROOT, &name(called), at(30)).unwrap();
    remove(b"1");
    assert_eq!(store.events(), [Event::Write(vec![pos(&engine, 0)])]);
    assert!(!tree(&open(store.killed())).contains_key(b"/1".as_slice()));
    assert!(
        tree(&open(store.cut())).contains_key(b"/1".as_slice()),
        "no power cut"
    );
    // A rename before it would replace a file by one whose bytes are not there yet.
    engine
        .rename(
            ROOT,
            &name(b"3"),
            ROOT,
            &name(b"moved"),
            RenameMode::Replace,
            at(31),
        )
        .unwrap();
    remove(b"2");
    assert_eq!(store.events(), []);
    engine.fsync(ROOT, false).unwrap();
    let found = tree(&view(store.cut()));
    assert!(
        found
            .keys()
            .map(|path| &path[..])
            .eq([b"".as_slice(), b"/4", b"/moved"]),
        "and what was written before"
    );
    store.events();
    // Want of room keeps nothing from being removed.
    *store.refuse_writes.lock() = Some(std::io::ErrorKind::StorageFull);
    remove(b"4");
    assert_eq!(
        (engine.status().read_only, engine.state.lock().log.unwritten.len()),
        (None, 1)
    );
    *store.refuse_writes.lock() = None;
    engine.fsync(ROOT, false).unwrap();
    assert_eq!(tree(&view(store.cut())).len(), 2);
    *store.refuse_writes.lock() = Some(std::io::ErrorKind::Other);
    remove(b"moved");
    assert_eq!(
        engine.status().read_only,
        Some("the intent log could not be written")
    );
    assert!(!engine.state.lock().log.leader);
}

#[test]
fn what_a_large_fsync_puts_is_synced_before_the_log_names_it() {
    let (store, engine) = volume();
    let ino = engine.t_file(ROOT, b"file");
    engine.t_write(ino, 0, &pattern(2 << 20, 1));
    assert!(!engine.fsync_is_short(ino), "many records");
    engine.fsync(ino, false).unwrap();
    let events = store.events();
    let at = |which: fn(&Event) -> bool| events.iter().position(which).unwrap();
    let sync = at(|event| *event == Event::Sync);
    assert!(events.iter().rposition(Event::is_put).unwrap() < sync);
    assert!(sync < at(|event| matches!(event, Event::Append(_))));
    let stored = log_of(&*store)
        .iter()
        .map(|(_, record)| record.len())
        .sum::<usize>();
    assert!(
        stored < 1 << 17,
        "the log names leaves, it does not hold the bytes: {stored}"
    );
    let found = open(store.cut());
    assert_eq!(tree(&found), tree(&engine));
    require_clean(&found);
    assert!(engine.fsync_is_short(ino) && engine.fsync_is_short(ROOT));
    let small = engine.t_file(ROOT, b"small");
    engine.t_write(small, 0, b"x");
    assert!(engine.fsync_is_short(small));
    engine.fsync(small, false).unwrap();
    assert!(!store.events().contains(&Event::Sync), "nothing was put since");
}

#[test]
fn an_fsync_of_many_records_that_are_not_whole_puts_them_too() {
    let (store, engine) = volume();
    let (ino, other) = (engine.t_file(ROOT, b"file"), engine.t_file(ROOT, b"other"));
    (0..300).for_each(|at| engine.t_write(ino, at * 4096, &pattern(4000, 1)));
    assert_eq!(store.events(), []);
    engine.flush_large(&mut engine.state.lock(), ino).unwrap();
    assert!(
        !engine.fsync_is_short(other),
        "all that was put has to be synced first"
    );
    engine.t_write(ino, 0, &pattern(4000, 2));
    engine.fsync(ino, false).unwrap();
    let events = store.events();
    assert_eq!(
        events.iter().filter(|event| event.is_put()).count(),
        300,
        "the last write is logged"
    );
    (0..300).for_each(|at| engine.t_write(ino, at * 4096, &pattern(4000, 3)));
    engine.fsync(ino, false).unwrap();
    let events = store.events();
    assert_eq!(
        events.iter().filter(|event| event.is_put()).count(),
        300,
        "without being asked"
    );
    assert!(events.contains(&Event::Sync));
    let found = open(store.cut());
    assert_eq!(tree(&found), tree(&engine));
    require_clean(&found);
}

#[test]
fn blocks_that_an_fsync_put_and_no_log_names_are_freed_by_the_next_mount() {
    let (store, engine) = volume();
    let ino = engine.t_file(ROOT, b"file");
    engine.commit().unwrap();
    engine.t_write(ino, 0, &pattern(2 << 20, 1));
    engine.flush_large(&mut engine.state.lock(), ino).unwrap();
    let leaves = blocks(&*store).len();
    assert!(leaves > 500);
    let found = store.killed();
    let again = open(found.clone());
    require_clean(&again);
    assert!(blocks(&*found).len() < 5);
    // Those that a log names are not.
    engine.fsync(ino, false).unwrap();
    let found = store.killed();
    assert_eq!(tree(&open(found.clone())), tree(&engine));
    assert!(blocks(&*found).len() >= leaves);
}
