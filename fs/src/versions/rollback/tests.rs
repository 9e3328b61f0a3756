//! Going back: to the very tree, as a new version, with all snapshots as they were and no block
//! lost or left over, whatever came before and wherever it is cut off.

use crate::fixture::stored::{
    Event, Found, Store, at, blocks, is_read_only, name, open, pattern, require_clean, tree, tree_below,
    until_destroyed, view, volume,
};
use crate::namespace::view::{in_view, view_of};
use crate::{Access, Engine, Error, InodeNo, Operations, RenameMode, Time};
use cairn_merkle::testing::{Op, Tamper};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering::Relaxed};
use std::time::Duration;

const ROOT: InodeNo = InodeNo::ROOT;

type Contents = BTreeMap<Vec<u8>, Found>;

fn take(engine: &Engine, called: &str) {
    engine
        .snapshot_create(&name(called.as_bytes()), Time(70))
        .unwrap();
}

/// Has the kernel forget all inodes of the live tree.
fn forget_all(engine: &Engine) {
    let numbers: Vec<InodeNo> = engine.state.lock().inodes.numbers().collect();
    for ino in numbers
        .into_iter()
        .filter(|ino| view_of(*ino) == 0 && *ino != ROOT)
    {
        engine.t_forget(ino);
    }
}

fn back(engine: &Engine, to: &str, before: &str) -> crate::Result<()> {
    forget_all(engine);
    let (to, before) = (name(to.as_bytes()), name(before.as_bytes()));
    engine.snapshot_rollback(&to, &before, Time(80)).map(drop)
}

fn live(engine: &Engine) -> Contents {
    let found = tree(engine);
    forget_all(engine);
    found
}

/// What a snapshot holds, with the inode numbers that the live tree has.
fn held(engine: &Engine, called: &str) -> Contents {
    let root = engine.t_find(InodeNo::SNAPSHOTS, called.as_bytes()).ino;
    let mut found = tree_below(engine, root);
    for found in found.values_mut() {
        found.attr.ino = in_view(found.attr.ino, 0);
    }
    found
}

/// A volume with a snapshot `old`, another tree since, and what each is.
fn two() -> (Arc<Store>, Arc<Engine>, Contents, Contents) {
    let (store, engine) = volume();
    let dir = engine.t_dir(ROOT, b"dir");
    let file = engine.t_file(dir, b"file");
    engine.t_write(file, 0, &pattern(20_000, 1));
    let gone = engine.t_file(ROOT, b"gone");
    engine.t_write(gone, 0, &pattern(9000, 2));
    engine.link(file, ROOT, &name(b"link"), at(20)).unwrap();
    take(&engine, "old");
    let old = live(&engine);
    engine.t_write(
        engine.t_find(dir_of(&engine), b"file").ino,
        4096,
        &pattern(5000, 3),
    );
    engine.t_remove(ROOT, b"gone");
    engine.t_write(engine.t_file(ROOT, b"new"), 0, &pattern(9000, 4));
    let now = live(&engine);
    (store, engine, old, now)
}

fn dir_of(engine: &Engine) -> InodeNo {
    engine.t_find(ROOT, b"dir").ino
}

#[test]
fn the_live_tree_is_the_snapshots_and_the_tree_before_is_a_snapshot_too() {
    let (store, engine, old, now) = two();
    let (epoch, inodes) = (engine.status().epoch, engine.status().inodes);
    back(&engine, "old", "before").unwrap();
    assert_eq!(live(&engine), old);
    assert!(engine.status().epoch > epoch, "history goes forward");
    assert_eq!(engine.status().inodes, old.len() as u64 - 1, "one has two names");
    require_clean(&engine);
    for engine in [engine.clone(), open(store.cut()), view(store.cut())] {
        assert_eq!(held(&engine, "old"), old);
        assert_eq!(held(&engine, "before"), now);
        assert_eq!(live(&engine), old);
    }
    // And forward again.
    back(&engine, "before", "between").unwrap();
    assert_eq!((live(&engine), engine.status().inodes), (now.clone(), inodes));
    assert_eq!(held(&engine, "between"), old);
    require_clean(&engine);
    require_clean(&open(store.cut()));
    // It goes on as any tree.
    engine.t_write(engine.t_find(ROOT, b"new").ino, 0, b"more");
    assert_eq!(held(&engine, "before"), now);
    require_clean(&engine);
}

#[test]
fn inode_numbers_are_not_given_twice_after_it() {
    let (_, engine, _, now) = two();
    back(&engine, "old", "before").unwrap();
    let made = engine.t_file(ROOT, b"made");
    assert!(now.values().all(|found| found.attr.ino < made));
}

#[test]
fn a_tree_that_is_used_or_a_name_that_is_taken_refuses_it_and_leaves_all_as_it_was() {
    let (store, engine, _, now) = two();
    let refused = |to: &str, before: &str| {
        let (to, before) = (name(to.as_bytes()), name(before.as_bytes()));
        engine.snapshot_rollback(&to, &before, Time(80)).unwrap_err()
    };
    let file = engine.t_find(ROOT, b"new").ino;
    assert!(
        matches!(refused("old", "before"), Error::InUse),
        "a name is remembered"
    );
    assert!(!engine.await_unused(Duration::ZERO));
    engine.open_file(file, Access::Read).unwrap();
    engine.t_forget(file);
    assert!(matches!(refused("old", "before"), Error::InUse), "a file is open");
    engine.release(file);
    assert!(engine.await_unused(Duration::ZERO));
    engine.open_file(ROOT, Access::Read).unwrap();
    assert!(
        matches!(refused("old", "before"), Error::InUse),
        "the root is open"
    );
    engine.release(ROOT);
    assert!(matches!(refused("other", "before"), Error::NoEntry));
    assert!(matches!(refused("old", "old"), Error::Exists));
    assert_eq!(engine.snapshot_list().len(), 1);
    assert_eq!(live(&engine), now);
    let reader = view(store.cut());
    let at = |text: &str| name(text.as_bytes());
    assert!(is_read_only(reader.snapshot_rollback(
        &at("old"),
        &at("b"),
        Time(1)
    )));
}

#[test]
fn a_store_without_room_refuses_it_and_leaves_all_as_it_was() {
    for full_from in 0..6 {
        let (store, engine, _, now) = two();
        engine.commit().unwrap();
        store.faults.full_from_nth(Op::Put, full_from);
        let done = back(&engine, "old", "before");
        store.faults.heal();
        if done.is_ok() {
            assert!(full_from > 1, "it puts blocks");
            continue;
        }
        assert!(matches!(done, Err(Error::NoSpace)), "{done:?}");
        assert_eq!(live(&engine), now);
        engine.t_file(ROOT, b"it goes on");
        engine.commit().unwrap();
        require_clean(&engine);
        require_clean(&open(store.cut()));
    }
}

#[test]
fn cut_off_anywhere_it_leaves_the_tree_before_or_the_one_after() {
    static LEFT: AtomicI32 = AtomicI32::new(0);
    let (mut befores, mut afters) = (0, 0);
    for call in 0.. {
        let (store, engine, old, _) = two();
        engine.commit().unwrap();
        // What was synced is on the tree before, and must never come to the one after.
        let file = engine.t_find(ROOT, b"new").ino;
        engine.t_write(file, 0, b"synced");
        engine.fsync(file, false).unwrap();
        let now = live(&engine);
        let cuts = Arc::new(Mutex::new(None));
        let (into, of) = (cuts.clone(), store.clone());
        LEFT.store(call, Relaxed);
        store.before(
            |_| LEFT.fetch_sub(1, Relaxed) == 0,
            move || *into.lock() = Some((of.killed(), of.cut())),
        );
        back(&engine, "old", "before").unwrap();
        let Some((killed, cut)) = cuts.lock().take() else {
            break;
        };
        for found in [killed, cut] {
            let again = open(found);
            let found = live(&again);
            match found == old {
                true => afters += 1,
                false => {
                    assert_eq!(found, now, "call {call}");
                    befores += 1;
                }
            }
            require_clean(&again);
        }
    }
    assert!(befores > 4 && afters > 0, "{befores} before, {afters} after");
}

#[test]
fn a_version_that_is_held_stays_whole_through_it() {
    let (_, engine, _, _) = two();
    engine.commit().unwrap();
    let (pin, _) = engine.pin_newest().unwrap();
    let version = pin.version();
    back(&engine, "old", "before").unwrap();
    for called in ["old", "before"] {
        engine.snapshot_destroy(&name(called.as_bytes())).unwrap();
    }
    engine.t_remove(dir_of(&engine), b"file");
    engine.commit().unwrap();
    until_destroyed(&engine);
    let volume = engine.volume_at(version).unwrap();
    let mut walk = crate::check::Walk::new(&engine, &volume, 0, &|_| {});
    walk.newest(version, &volume).unwrap();
    assert_eq!(walk.report.damaged, []);
    drop(pin);
    engine.commit().unwrap();
    require_clean(&engine);
}

#[test]
fn what_is_synced_on_the_tree_after_is_replayed_there() {
    let (store, engine, old, _) = two();
    back(&engine, "old", "before").unwrap();
    let file = engine.t_find(dir_of(&engine), b"file").ino;
    engine.t_write(file, 0, b"after");
    engine.fsync(file, false).unwrap();
    let again = open(store.killed());
    let found = live(&again);
    assert_eq!(&found[b"/dir/file".as_slice()].bytes[..5], b"after");
    assert_eq!(found.len(), old.len());
    require_clean(&again);
}

#[test]
fn a_damaged_snapshot_is_not_gone_back_to() {
    let (store, engine, _, now) = two();
    engine.commit().unwrap();
    let root = engine.state.lock().snapshots.by_name[&name(b"old")].root.clone();
    let crate::stored::record::Stored::Tree(link) = root.stored else {
        panic!("it has names");
    };
    let engine = {
        engine.close().unwrap();
        store.faults.tamper(link.cid, Tamper::FlipBit(3));
        open(store.clone())
    };
    assert!(matches!(back(&engine, "old", "before"), Err(Error::Merkle(_))));
    assert_eq!(live(&engine), now);
    assert_eq!(
        engine.snapshot_list().len(),
        1,
        "the one taken first is gone again"
    );
}

/// A change that replaces some blocks and leaves others, by a number.
fn change(engine: &Engine, dice: &mut impl FnMut(u32) -> u32, round: u32) {
    for step in 0..3 {
        let called = [b'a' + dice(8) as u8];
        match (engine.lookup(ROOT, &name(&called)), dice(5)) {
            (Ok(found), 0) => {
                engine.t_forget(found.ino);
                engine.t_remove(ROOT, &called);
            }
            (Ok(found), 1) => {
                let second = [called[0], b'2'];
                let _ = engine.link(found.ino, ROOT, &name(&second), at(20));
            }
            (Ok(_), 2) => {
                let other = [b'a' + dice(8) as u8];
                let moved = engine.rename(
                    ROOT,
                    &name(&called),
                    ROOT,
                    &name(&other),
                    RenameMode::Replace,
                    at(9),
                );
                moved.unwrap();
            }
            (Ok(found), _) => {
                engine.t_write(
                    found.ino,
                    u64::from(dice(5)) * 4096,
                    &pattern(5000, (round + step) as u8),
                );
            }
            (Err(_), _) => {
                let file = engine.t_file(ROOT, &called);
                engine.t_write(file, 0, &pattern(9000 + dice(9000) as usize, round as u8));
            }
        }
    }
    forget_all(engine);
}

/// In any order snapshots give all back that only they had, and an empty volume has one block.
fn give_all_back(
    store: &Store,
    engine: &Engine,
    mut known: BTreeMap<String, Contents>,
    dice: &mut impl FnMut(u32) -> u32,
) {
    while !known.is_empty() {
        let names: Vec<_> = known.keys().cloned().collect();
        let gone = &names[dice(names.len() as u32) as usize];
        engine.snapshot_destroy(&name(gone.as_bytes())).unwrap();
        known.remove(gone);
        require_clean(engine);
        for (called, contents) in &known {
            assert_eq!(&held(engine, called), contents, "without {gone}: {called}");
        }
    }
    for (path, _) in live(engine).into_iter().filter(|(path, _)| !path.is_empty()) {
        engine.t_remove(ROOT, &path[1..]);
    }
    engine.commit().unwrap();
    until_destroyed(engine);
    assert_eq!(blocks(store), [engine.status().root]);
}

#[test]
fn in_any_order_of_changes_snapshots_and_ways_back_each_holds_what_it_held_and_no_block_is_left() {
    for seed in 0..40_u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) + 1;
        let mut dice = move |below: u32| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u32 % below
        };
        let (store, mut engine) = volume();
        let mut store = store;
        let mut known: BTreeMap<String, Contents> = BTreeMap::new();
        for round in 0..24 {
            change(&engine, &mut dice, round);
            let pick = |dice: &mut dyn FnMut(u32) -> u32, known: &BTreeMap<String, Contents>| {
                let names: Vec<_> = known.keys().cloned().collect();
                (!names.is_empty()).then(|| names[dice(names.len() as u32) as usize].clone())
            };
            match (dice(6), pick(&mut dice, &known)) {
                (0 | 1, _) => {
                    let called = format!("s{round}");
                    take(&engine, &called);
                    known.insert(called, live(&engine));
                }
                (2, Some(gone)) => {
                    engine.snapshot_destroy(&name(gone.as_bytes())).unwrap();
                    known.remove(&gone);
                }
                (3 | 4, Some(to)) => {
                    let before = format!("b{round}");
                    let now = live(&engine);
                    back(&engine, &to, &before).unwrap();
                    known.insert(before, now);
                    assert_eq!(live(&engine), known[&to], "seed {seed}, round {round}");
                }
                (5, _) => {
                    let now = live(&engine);
                    engine.close().unwrap();
                    let copy = Arc::new(Store::over(cairn_merkle::testing::CrashStore::new()));
                    crate::fixture::stored::copy(&*store.killed(), &*copy, |_, record| Some(record));
                    store = copy;
                    engine = open(store.clone());
                    assert_eq!(live(&engine), now, "seed {seed}, round {round}");
                }
                _ => {}
            }
            require_clean(&engine);
            for (called, contents) in &known {
                assert_eq!(
                    &held(&engine, called),
                    contents,
                    "seed {seed}, round {round}, {called}"
                );
            }
        }
        give_all_back(&store, &engine, known, &mut dice);
        assert!(store.events().iter().any(Event::is_swap));
    }
}
