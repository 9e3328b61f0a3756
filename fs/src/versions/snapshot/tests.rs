//! Snapshots: what they hold, and what becomes of it when they go.

use crate::fixture::stored::{
    Event, Store, at, blocks, is_read_only, name, open, pattern, require_clean, tree, tree_below,
    until_destroyed, until_one_waits, view, volume,
};
use crate::{Engine, Error, InodeNo, Operations, Time};
use cairn_merkle::testing::{Op, Tamper};
use std::sync::Arc;

const ROOT: InodeNo = InodeNo::ROOT;

type Contents = Vec<(Vec<u8>, Vec<u8>)>;

fn take(engine: &Engine, called: &[u8]) {
    engine.snapshot_create(&name(called), Time(70)).unwrap();
}

fn destroy(engine: &Engine, called: &[u8]) {
    engine.snapshot_destroy(&name(called)).unwrap();
}

/// Contents of a snapshot's files, by path.
fn seen(engine: &Engine, called: &[u8]) -> Contents {
    let root = engine.t_find(InodeNo::SNAPSHOTS, called).ino;
    let found = tree_below(engine, root).into_iter();
    found.map(|(path, found)| (path, found.bytes)).collect()
}

fn now(engine: &Engine) -> Contents {
    tree(engine)
        .into_iter()
        .map(|(path, found)| (path, found.bytes))
        .collect()
}

/// A change that replaces some blocks, and leaves others as they are.
fn change(engine: &Engine, round: u8) {
    let called = [b'a' + round];
    let file = engine.t_file(ROOT, &called);
    engine.t_write(file, 0, &pattern(9000, round));
    engine.link(file, ROOT, &name(&[b'A' + round]), at(20)).unwrap();
    if round > 0 {
        engine.t_write(
            engine.t_find(ROOT, &[b'a' + round - 1]).ino,
            4096,
            &pattern(100, 99),
        );
    }
    if round > 1 {
        engine.t_remove(ROOT, &[b'a' + round - 2]);
        engine.t_remove(ROOT, &[b'A' + round - 2]);
    }
}

/// Three snapshots with changes before, between and after them, and what each holds.
fn three() -> (Arc<Store>, Arc<Engine>, [Contents; 3]) {
    let (store, engine) = volume();
    let held = [b"one".as_slice(), b"two", b"three"].map(|called| {
        let round = engine.snapshot_list().len() as u8;
        change(&engine, round);
        take(&engine, called);
        now(&engine)
    });
    change(&engine, 3);
    engine.commit().unwrap();
    (store, engine, held)
}

fn empty(engine: &Engine) {
    for called in b"abcdABCD" {
        if engine.lookup(ROOT, &name(&[*called])).is_ok() {
            engine.t_remove(ROOT, &[*called]);
        }
    }
    engine.commit().unwrap();
    until_destroyed(engine);
}

#[test]
fn a_snapshot_stays_as_it_was_and_is_found_by_a_fresh_engine() {
    let (store, engine, held) = three();
    let list = engine.snapshot_list();
    let names: Vec<_> = list.iter().map(|info| info.name.as_bytes()).collect();
    assert_eq!(names, [b"one".as_slice(), b"two", b"three"], "oldest first");
    assert!(list.windows(2).all(|two| two[0].epoch < two[1].epoch));
    assert_eq!(
        (list[0].created, list[0].inodes, list[0].bytes),
        (Time(70), 2, 9000)
    );
    empty(&engine);
    for engine in [engine.clone(), view(store.cut()), open(store.cut())] {
        for (called, held) in [b"one".as_slice(), b"two", b"three"].iter().zip(&held) {
            assert_eq!(&seen(&engine, called), held);
        }
        assert_eq!(engine.snapshot_list(), list);
        if !engine.is_read_only() {
            require_clean(&engine);
        }
    }
    assert!(is_read_only(
        view(store.cut()).snapshot_create(&name(b"n"), Time(1)).map(drop)
    ));
    assert!(is_read_only(view(store.cut()).snapshot_destroy(&name(b"one"))));
}

#[test]
fn in_whatever_order_they_go_all_that_only_they_held_is_freed_and_nothing_else() {
    let orders: [[usize; 3]; 6] = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];
    for order in orders {
        let (store, engine, held) = three();
        let names = [b"one".as_slice(), b"two", b"three"];
        for (step, at) in order.iter().enumerate() {
            let count = blocks(&*store).len();
            destroy(&engine, names[*at]);
            assert!(blocks(&*store).len() < count, "{order:?}");
            assert!(engine.lookup(InodeNo::SNAPSHOTS, &name(names[*at])).is_err());
            for left in &order[step + 1..] {
                assert_eq!(seen(&engine, names[*left]), held[*left], "{order:?}");
            }
            require_clean(&engine);
            require_clean(&open(store.cut()));
        }
        empty(&engine);
        assert_eq!(blocks(&*store), [engine.status().root], "{order:?}");
    }
}

#[test]
fn all_go_in_one_commit_as_they_do_one_by_one() {
    let (store, engine, _) = three();
    let names = [b"two".as_slice(), b"three", b"one"].map(name);
    let mut state = engine.state.lock();
    state.snapshots.to_destroy.extend(names);
    state.snapshots.to_create.push((name(b"new"), Time(80)));
    drop(state);
    engine.commit().unwrap();
    let list = engine.snapshot_list();
    assert_eq!(list.len(), 1);
    assert_eq!(seen(&engine, b"new"), now(&engine));
    require_clean(&engine);
    destroy(&engine, b"new");
    empty(&engine);
    assert_eq!(blocks(&*store), [engine.status().root]);
}

#[test]
fn what_came_and_went_between_two_snapshots_is_freed_at_once() {
    let (store, engine) = volume();
    engine.t_file(ROOT, b"kept");
    take(&engine, b"snap");
    let before = blocks(&*store).len();
    engine.t_write(engine.t_file(ROOT, b"file"), 0, &pattern(9000, 1));
    engine.commit().unwrap();
    engine.t_remove(ROOT, b"file");
    engine.commit().unwrap();
    until_destroyed(&engine);
    // The directory's new node, and the dead list that has the old one.
    assert!(blocks(&*store).len() <= before + 2);
    require_clean(&engine);
}

#[test]
fn a_snapshot_that_a_check_held_goes_with_the_next_mount() {
    let (store, engine) = volume();
    engine.t_file(ROOT, b"file");
    engine
        .state
        .lock()
        .snapshots
        .to_create
        .push((name(b".check"), Time(1)));
    engine.commit().unwrap();
    assert_eq!(engine.state.lock().snapshots.by_name.len(), 1);
    assert_eq!(engine.snapshot_list(), [], "nobody sees it");
    let again = open(store.cut());
    assert!(again.state.lock().snapshots.by_name.is_empty());
    require_clean(&again);
}

#[test]
fn numbers_are_not_used_twice() {
    let (store, engine) = volume();
    engine.t_write(engine.t_file(ROOT, b"file"), 0, b"old");
    take(&engine, b"snap");
    let first = engine.t_find(InodeNo::SNAPSHOTS, b"snap").ino;
    destroy(&engine, b"snap");
    take(&engine, b"snap");
    assert_ne!(engine.t_find(InodeNo::SNAPSHOTS, b"snap").ino, first);
    let again = open(store.cut());
    let next = again.state.lock().volume.trees.next_snapshot;
    assert_eq!(next, engine.state.lock().volume.trees.next_snapshot);
    assert_eq!(next, 3);
}

#[test]
fn a_name_that_is_taken_none_at_all_or_not_to_be_had_is_refused() {
    let (store, engine) = volume();
    take(&engine, b"snap");
    assert!(matches!(
        engine.snapshot_create(&name(b"snap"), Time(1)),
        Err(Error::Exists)
    ));
    assert!(matches!(
        engine.snapshot_create(&name(b".check"), Time(1)),
        Err(Error::Invalid(_))
    ));
    assert!(matches!(
        engine.snapshot_destroy(&name(b"none")),
        Err(Error::NoEntry)
    ));
    engine.state.lock().volume.trees.next_snapshot = (1 << 24) - 1;
    store.events();
    assert!(matches!(
        engine.snapshot_create(&name(b"more"), Time(1)),
        Err(Error::NoSpace)
    ));
    assert_eq!(store.events(), []);
}

#[test]
fn a_snapshot_for_which_there_was_no_room_is_not_taken_later() {
    let (store, engine) = volume();
    engine.t_file(ROOT, b"file");
    store.faults.full_from_nth(Op::Put, 0);
    assert!(matches!(
        engine.snapshot_create(&name(b"snap"), Time(1)),
        Err(Error::NoSpace)
    ));
    // Again: what waits for room has one of that name no more.
    assert!(matches!(
        engine.snapshot_create(&name(b"snap"), Time(1)),
        Err(Error::NoSpace)
    ));
    store.faults.heal();
    engine.t_file(ROOT, b"other");
    engine.commit().unwrap();
    assert!(engine.snapshot_list().is_empty());
    require_clean(&engine);
    take(&engine, b"snap");
}

#[test]
fn a_snapshot_that_is_asked_for_during_a_commit_has_what_was_done_until_then() {
    let (store, engine) = volume();
    engine.t_file(ROOT, b"first");
    let (other, (done, told)) = (engine.clone(), std::sync::mpsc::channel());
    store.before(Event::is_put, move || {
        other.t_file(ROOT, b"second");
        let late = other.clone();
        std::thread::spawn(move || {
            take(&late, b"snap");
            done.send(()).unwrap();
        });
        until_one_waits(&other);
    });
    engine.commit().unwrap();
    told.recv().unwrap();
    assert_eq!(seen(&engine, b"snap").len(), 3);
    require_clean(&engine);
}

/// The block of a link in the state of the volume.
fn link_of(
    engine: &Engine,
    which: fn(&crate::stored::volume::Volume) -> Option<cairn_merkle::Link>,
) -> cairn_merkle::Cid {
    which(&engine.state.lock().volume).unwrap().cid
}

fn damage(store: &Store, engine: &Engine, cid: cairn_merkle::Cid) {
    store.faults.tamper(cid, Tamper::FlipBit(1));
    engine.blocks.forget(&[cid]);
}

#[test]
fn with_a_damaged_table_of_snapshots_none_is_taken_or_destroyed() {
    let (store, engine, held) = three();
    damage(
        &store,
        &engine,
        link_of(&engine, |volume| volume.trees.snapshots.clone()),
    );
    let before = blocks(&*store).len();
    assert!(matches!(
        engine.snapshot_destroy(&name(b"two")),
        Err(Error::Damaged(_))
    ));
    assert!(matches!(
        engine.snapshot_create(&name(b"n"), Time(1)),
        Err(Error::Damaged(_))
    ));
    assert_eq!(seen(&engine, b"two"), held[1]);
    assert!(blocks(&*store).len() >= before);
    let known = engine.damage();
    assert!(
        known
            .tables
            .iter()
            .any(|table| table.table == crate::Table::Snapshots)
    );
    assert_eq!(engine.status().read_only, None);
    store.faults.heal();
    let again = open(store.cut());
    assert_eq!(again.snapshot_list().len(), 3);
    require_clean(&again);
}

#[test]
fn a_snapshot_whose_dead_list_is_damaged_is_kept() {
    let (store, engine, held) = three();
    let dead = engine.state.lock().snapshots.by_name[&name(b"two")]
        .dead
        .clone()
        .unwrap()
        .cid;
    damage(&store, &engine, dead);
    assert!(matches!(
        engine.snapshot_destroy(&name(b"two")),
        Err(Error::Damaged(_))
    ));
    assert_eq!(seen(&engine, b"two"), held[1]);
    assert!(
        engine
            .damage()
            .tables
            .iter()
            .any(|table| table.table == crate::Table::DeadList)
    );
    // The others go all the same; what the damaged list would take is looked at again later.
    destroy(&engine, b"three");
    store.faults.heal();
    engine.blocks.forget(&[dead]);
    destroy(&engine, b"two");
    destroy(&engine, b"one");
    empty(&engine);
    assert_eq!(blocks(&*store), [engine.status().root]);
}

#[test]
fn what_belongs_on_a_damaged_dead_list_is_kept_and_counted_as_leaked() {
    let (store, engine, held) = three();
    damage(
        &store,
        &engine,
        link_of(&engine, |volume| volume.trees.dead.clone()),
    );
    engine.t_remove(ROOT, b"c");
    engine.t_remove(ROOT, b"C");
    engine.commit().unwrap();
    let known = engine.damage();
    assert!(known.leaked_blocks > 0 && known.leaked_bytes > 0);
    assert!(
        known
            .tables
            .iter()
            .any(|table| table.table == crate::Table::DeadList)
    );
    assert_eq!(
        seen(&engine, b"three"),
        held[2],
        "no space is given back on a guess"
    );
    assert_eq!((engine.status().read_only, known.lost.count), (None, 0));
}
