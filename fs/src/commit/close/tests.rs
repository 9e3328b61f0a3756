//! Commits over a store that is watched, fails and loses power.

mod durable;
mod freed;

use crate::commit::open::Pending;
use crate::fixture::caller;
use crate::fixture::stored::{
    Event, Store, at, blocks, config, copy, is_read_only, key_of, name, open, pattern, require_clean, tree,
    try_open, until_destroyed, until_one_waits, view, volume,
};
use crate::namespace::inode::{Content, Inode};
use crate::{Access, Config, Engine, Error, InodeNo, Kind, Operations, Quota, RenameMode, XattrMode};
use cairn_merkle::testing::Op;
use cairn_merkle::{Blocks, Cid, Heads, PutHint};
use std::sync::Arc;

const ROOT: InodeNo = InodeNo::ROOT;

/// Every kind of content, and every place that a record may lie in.
fn furnish(engine: &Engine) {
    let dir = engine.t_dir(ROOT, b"dir");
    let deep = engine.t_dir(engine.t_dir(dir, b"a"), b"b");
    engine.t_write(engine.t_file(dir, b"inline"), 0, b"few bytes");
    engine.t_write(engine.t_file(dir, b"leaf"), 0, &pattern(3000, 1));
    engine.t_write(engine.t_file(deep, b"index"), 0, &pattern(9 * 4096 + 7, 2));
    engine.t_write(engine.t_file(deep, b"sparse"), 40 * 4096, b"end");
    engine.t_file(ROOT, b"empty");
    let linked = engine.t_file(ROOT, b"one");
    engine.t_write(linked, 0, &pattern(5000, 3));
    engine.link(linked, deep, &name(b"two"), at(20)).unwrap();
    engine.symlink(ROOT, &name(b"symlink"), b"dir/a", at(21)).unwrap();
    engine
        .mknod(dir, &name(b"device"), Kind::CharDevice, 0o600, 77, at(22))
        .unwrap();
    for ino in [linked, deep] {
        engine
            .setxattr(ino, b"user.x", b"value", XattrMode::Set, at(23))
            .unwrap();
    }
    for at in 0..300 {
        engine.t_file(dir, format!("many-{at}").as_bytes());
    }
}

fn clear(engine: &Engine) {
    let dir = engine.t_find(ROOT, b"dir").ino;
    let a = engine.t_find(dir, b"a").ino;
    let deep = engine.t_find(a, b"b").ino;
    for at in 0..300 {
        engine.t_remove(dir, format!("many-{at}").as_bytes());
    }
    [b"index".as_slice(), b"sparse", b"two"]
        .iter()
        .for_each(|name| engine.t_remove(deep, name));
    [b"inline".as_slice(), b"leaf", b"device"]
        .iter()
        .for_each(|name| engine.t_remove(dir, name));
    [b"empty".as_slice(), b"one", b"symlink"]
        .iter()
        .for_each(|name| engine.t_remove(ROOT, name));
    for (parent, called, ino) in [(a, b"b".as_slice(), deep), (dir, b"a", a), (ROOT, b"dir", dir)] {
        engine.rmdir(parent, &name(called), at(30)).unwrap();
        engine.t_forget(ino);
    }
}

/// Writes most of each of so many records: none of them is put before a commit.
fn scatter(engine: &Engine, ino: InodeNo, records: u64, seed: u8) {
    (0..records).for_each(|at| engine.t_write(ino, at * 4096, &pattern(4000, seed)));
}

/// The names that the only swap of the head deletes.
fn deleted(events: &[Event]) -> Vec<Cid> {
    let mut swaps = events.iter().filter_map(|event| match event {
        Event::Swap { delete, .. } => Some(delete.clone()),
        _ => None,
    });
    let delete = swaps.next().unwrap();
    assert_eq!(swaps.next(), None);
    delete
}

#[track_caller]
fn holds_nothing_else(store: &Store, engine: &Engine) {
    assert_eq!(
        blocks(store),
        [engine.status().root],
        "only the commit block is left"
    );
    assert_eq!((engine.status().used_bytes, engine.status().inodes), (0, 1));
}

#[test]
fn what_changed_is_in_the_tree_and_a_fresh_engine_reads_it() {
    let (store, engine) = volume();
    furnish(&engine);
    let before = tree(&engine);
    engine.commit().unwrap();
    assert_eq!(tree(&engine), before, "the engine itself");
    assert_eq!(tree(&view(store.cut())), before, "after a power cut");
    require_clean(&open(store.cut()));
    // Now against what is stored.
    let dir = engine.t_find(ROOT, b"dir").ino;
    let deep = engine.t_find(engine.t_find(dir, b"a").ino, b"b").ino;
    engine.t_write(engine.t_find(deep, b"index").ino, 5000, &pattern(9000, 9));
    engine.t_write(engine.t_find(deep, b"sparse").ino, 9, b"begin");
    engine.t_write(engine.t_find(dir, b"inline").ino, 3 * 4096, b"grown");
    engine.t_cut(engine.t_find(dir, b"leaf").ino, 100);
    engine.t_cut(engine.t_find(ROOT, b"one").ino, 4097);
    engine.t_remove(dir, b"many-7");
    engine
        .rename(
            deep,
            &name(b"sparse"),
            ROOT,
            &name(b"moved"),
            RenameMode::Replace,
            at(40),
        )
        .unwrap();
    engine
        .rename(
            dir,
            &name(b"a"),
            ROOT,
            &name(b"empty-not"),
            RenameMode::NoReplace,
            at(41),
        )
        .unwrap();
    let before = tree(&engine);
    engine.commit().unwrap();
    assert_eq!(tree(&view(store.cut())), before);
    require_clean(&engine);
    require_clean(&open(store.cut()));
}

#[test]
fn what_was_removed_is_gone_from_the_store() {
    let (store, engine) = volume();
    let names = |store: &Store| blocks(store).len();
    assert_eq!(names(&store), 1);
    furnish(&engine);
    clear(&engine);
    engine.commit().unwrap();
    until_destroyed(&engine);
    holds_nothing_else(&store, &engine);
    furnish(&engine);
    engine.commit().unwrap();
    assert!(names(&store) > 20);
    clear(&engine);
    engine.commit().unwrap();
    until_destroyed(&engine);
    holds_nothing_else(&store, &engine);
    require_clean(&engine);
}

#[test]
fn the_bytes_of_the_volume_are_those_of_its_files() {
    let (store, engine) = volume();
    let used = || {
        engine.commit().unwrap();
        assert_eq!(
            open(store.killed()).status().used_bytes,
            engine.status().used_bytes
        );
        require_clean(&engine);
        engine.status().used_bytes
    };
    let ino = engine.t_file(ROOT, b"file");
    engine.t_write(ino, 0, &pattern(100, 0));
    assert_eq!(used(), 100, "inline");
    engine.t_write(ino, 100, &pattern(3000, 0));
    assert_eq!(used(), 3100, "one leaf");
    engine.t_write(ino, 3100, &pattern(4096, 0));
    assert_eq!(used(), 7196, "an index over the leaf");
    engine.t_write(ino, 10 * 4096, &pattern(10, 0));
    assert_eq!(used(), 7206, "holes take nothing");
    engine.t_write(ino, 4096, &pattern(4096, 5));
    assert_eq!(used(), 2 * 4096 + 10, "written over");
    engine.t_cut(ino, 5000);
    assert_eq!(used(), 5000, "cut within the index");
    engine.t_cut(ino, 0);
    engine.t_write(ino, 4096, b"later");
    assert_eq!(used(), 5, "emptied, and a hole before what is new");
    engine.t_cut(ino, 0);
    assert_eq!(used(), 0);
    assert_eq!(engine.t_read(ino), b"");
    let inline = engine.t_file(ROOT, b"inline");
    engine.t_write(inline, 0, &pattern(1000, 1));
    assert_eq!(used(), 1000);
    engine.t_write(inline, 3 * 4096, b"far");
    assert_eq!(
        used(),
        4099,
        "the first bytes moved out of the inode, as a whole record"
    );
    let bytes = engine.t_read(inline);
    assert_eq!(bytes[..1000], pattern(1000, 1));
    assert_eq!(
        (&bytes[1000..3 * 4096], &bytes[3 * 4096..]),
        (&[0; 3 * 4096 - 1000][..], &b"far"[..])
    );
    engine.t_cut(inline, 600);
    assert_eq!(used(), 600);
    engine.t_remove(ROOT, b"inline");
    assert_eq!(used(), 0);
}

fn ino_of(engine: &Engine, called: &[u8]) -> InodeNo {
    engine.t_find(ROOT, called).ino
}

#[test]
fn what_is_done_during_a_commit_belongs_to_the_next_one() {
    let (store, engine) = volume();
    let [kept, cut, gone, moved] = [b"kept".as_slice(), b"cut", b"gone", b"moved"].map(|name| {
        let ino = engine.t_file(ROOT, name);
        engine.t_write(ino, 0, &pattern(9000, 1));
        ino
    });
    let before = tree(&engine);
    let other = engine.clone();
    store.before(Event::is_put, move || {
        assert!(is_frozen(&other, kept) && other.state.lock().commits.is_under_way());
        other.t_write(kept, 100, b"during the commit");
        other.t_cut(cut, 10);
        other.t_remove(ROOT, b"gone");
        other
            .rename(
                ROOT,
                &name(b"moved"),
                ROOT,
                &name(b"to"),
                RenameMode::Replace,
                at(50),
            )
            .unwrap();
        let new = other.t_file(other.t_dir(ROOT, b"dir"), b"new");
        other.t_write(new, 0, b"new");
        assert_eq!(
            other.t_read(kept)[..100],
            pattern(100, 1),
            "what is frozen lies under it"
        );
    });
    engine.commit().unwrap();
    assert!(store.was_done());
    assert_eq!(tree(&view(store.cut())), before);
    assert!(
        ![kept, cut, gone, moved]
            .iter()
            .any(|ino| is_frozen(&engine, *ino))
    );
    let after = tree(&engine);
    assert_eq!(
        after.keys().map(|path| path.as_slice()).collect::<Vec<_>>(),
        [b"".as_slice(), b"/cut", b"/dir", b"/dir/new", b"/kept", b"/to"]
    );
    engine.commit().unwrap();
    assert_eq!(tree(&view(store.cut())), after);
    require_clean(&engine);
    let status = engine.status();
    assert_eq!((status.dirty_bytes, status.used_bytes), (0, 9000 + 10 + 9000 + 3));
}

fn is_frozen(engine: &Engine, ino: InodeNo) -> bool {
    let state = engine.state.lock();
    let is_frozen = |inode: &Inode| match &inode.content {
        Content::File(file) => inode.frozen || file.frozen.is_some(),
        Content::Dir(dir) => inode.frozen || dir.frozen.is_some(),
        Content::Fixed(_) => inode.frozen,
    };
    state.inodes.get(ino).is_ok_and(is_frozen)
}

#[test]
fn a_call_during_a_commit_waits_for_the_next_one() {
    let (store, engine) = volume();
    engine.t_file(ROOT, b"file");
    let (other, (done, told)) = (engine.clone(), std::sync::mpsc::channel());
    store.before(Event::is_put, move || {
        other.t_file(ROOT, b"late");
        let late = other.clone();
        std::thread::spawn(move || done.send(late.commit().map(|()| late.status().epoch)));
        until_one_waits(&other);
    });
    let epoch = engine.state.lock().open.number();
    engine.commit().unwrap();
    assert_eq!(told.recv().unwrap().unwrap(), epoch.next());
    assert!(tree(&view(store.cut())).contains_key(b"/late".as_slice()));
}

#[test]
fn without_changes_nothing_is_written() {
    let (store, engine) = volume();
    let epoch = engine.status().epoch;
    engine.commit().unwrap();
    engine.sync().unwrap();
    assert_eq!((store.events(), engine.status().epoch), (vec![], epoch));
    let reader = view(store.clone());
    reader.commit().unwrap();
    reader.close().unwrap();
    assert_eq!(store.events(), [Event::Close]);
}

#[test]
fn a_commit_names_its_predecessor_its_epoch_and_what_is_past() {
    let (store, engine) = volume();
    let (root, epoch) = (engine.status().root, engine.state.lock().open.number());
    let ino = engine.t_file(ROOT, b"file");
    engine.t_write(ino, 0, &pattern(1000, 1));
    engine.commit().unwrap();
    let events = store.events();
    let swap = events.iter().find(|event| event.is_swap()).unwrap();
    assert!(matches!(swap, Event::Swap { settled, restarts_log: false, .. } if *settled == epoch));
    assert_eq!(
        deleted(&events),
        [root],
        "the commit before, and nothing else was dropped"
    );
    let stored = store.get(&engine.status().root).unwrap().unwrap();
    let commit = cairn_merkle::Commit::open(&engine.status().root, stored, &key_of(&*store)).unwrap();
    assert_eq!((commit.epoch, commit.previous), (epoch, Some(root)));
    let state = engine.state.lock();
    assert_eq!(
        (state.committed.epoch(), state.open.number()),
        (epoch, epoch.next())
    );
    assert_eq!(state.committed.inodes, 2);
    assert!(!state.committed.restarts_log && state.inodes.dirty().len() == 0);
    assert_eq!(state.pending, Pending::default());
    assert_eq!(
        (state.committed.closed.written_bytes, state.open.written_bytes()),
        (1000, 1000)
    );
    // What was noted for the log, and never written, is durable with it.
    assert!(state.log.pushed > 0 && state.log.durable == state.log.pushed);
    // With the bytes that lie in the inode now.
    state.inodes.assert_counted();
    drop(state);
    store.events();
    engine.t_file(ROOT, b"another");
    engine.commit().unwrap();
    let gone = deleted(&store.events());
    assert_eq!(gone.len(), 2, "the commit, and the node of the root directory");
    assert!(
        !gone.iter().any(|cid| engine.blocks.holds(cid)),
        "what was deleted is not cached"
    );
}
