//! A store that fails, at each call of each kind, and one that is full.
//!
//! ```text
//!  Runner --> engine --> FaultStore --> CrashStore
//!                          `-- the nth call of one kind fails, n = 0, 1, 2, ... until the workload has no more
//!
//!  error: the caller learns of it; after sync, log or commit the volume is read-only; reads stay right;
//!         after a power cut nothing that was acknowledged is missing
//!  full:  no space; names can still be removed; once there is room, the commit that waited goes through
//! ```

use cairn_fs::{Access, Config, Engine, Error, InodeNo, Operations, Quota, Time};
use cairn_merkle::MemoryStore;
use cairn_merkle::testing::{FaultStore, Op as Call};
use cairn_tests::op::{Op, Target};
use cairn_tests::run::{Outcome, Runner};
use cairn_tests::sample::{self, put_file};
use cairn_tests::script;
use cairn_tests::volume::{self, config, root_at};
use cairn_tests::watched::Watched;
use std::collections::BTreeSet;
use std::sync::Arc;

const SEEDS: [u64; 2] = [0, u64::MAX];

fn has_no_room(why: &str) -> bool {
    ["no space", "no storage space", "NoSpace", "StorageFull"]
        .iter()
        .any(|words| why.contains(words))
}

/// The first step that fails, and how.
fn run_until_failure(runner: &mut Runner, ops: &[Op]) -> Option<(usize, String)> {
    ops.iter()
        .enumerate()
        .find_map(|(index, op)| Some((index, runner.step(op).err()?)))
}

/// Does `after` with each way in which one call of `kind` fails, until the workload makes no more
/// such calls.
fn at_each(kind: Call, after: impl Fn(&mut Runner, &[Op]) -> Outcome) -> u64 {
    let ops = script::everything();
    for n in 0.. {
        let mut runner = Runner::new();
        runner.store().fail_nth(kind, n);
        let Some((index, why)) = run_until_failure(&mut runner, &ops) else {
            return n;
        };
        let op = &ops[index];
        // A removal is done when its record cannot be written, and promised nothing about it: the
        // next change tells.
        let removed = index.checked_sub(1).map(|before| &ops[before]);
        let told_late = matches!(removed, Some(Op::Unlink(..) | Op::Rmdir(..)))
            && kind == Call::LogAppend
            && why.contains("the intent log could not be written");
        assert!(
            why.contains("injected fault") || told_late,
            "{kind:?} {n}: {op:?}: {why}"
        );
        runner.store().heal();
        after(&mut runner, &ops[index..])
            .unwrap_or_else(|why| panic!("{kind:?} {n} failed in {op:?}: {why}"));
    }
    unreachable!("a workload ends")
}

/// All reads are right and all writes refused, and the next mount finds what was acknowledged.
fn require_read_only(runner: &mut Runner, seed: u64) -> Outcome {
    if runner.engine().status().read_only.is_none() {
        return Err("the volume can still be written".into());
    }
    runner.compare()?;
    let refused = runner
        .step(&Op::Mkdir(vec![2, 2], 0o755))
        .and_then(|()| runner.step(&Op::Fsync(Target::Path(vec![]))));
    match refused {
        Err(why) if why.contains("read-only") || why.contains("ReadOnly") => {}
        other => return Err(format!("a change was not refused: {other:?}")),
    }
    runner.compare()?;
    runner.step(&Op::Crash(seed))
}

#[test]
fn after_a_failed_sync_log_append_or_head_swap_the_volume_is_read_only_and_loses_nothing() {
    for kind in [Call::Sync, Call::LogAppend, Call::SwapHead] {
        for seed in SEEDS {
            let calls = at_each(kind, |runner, _| require_read_only(runner, seed));
            assert!(calls > 3, "the workload makes {calls} calls of {kind:?}");
        }
    }
}

#[test]
fn a_failed_put_of_a_write_is_an_error_of_that_write_and_one_of_a_commit_stops_the_volume() {
    for seed in SEEDS {
        at_each(Call::Put, |runner, rest| {
            if runner.engine().status().read_only.is_some() {
                return require_read_only(runner, seed);
            }
            runner.compare()?;
            rest.iter().try_for_each(|op| runner.step(op))?;
            runner.finish()
        });
    }
}

#[test]
fn a_failed_read_is_an_error_once_and_right_the_next_time() {
    // Everything is read from the store again after a remount.
    let mut ops = script::everything();
    ops.retain(|op| !matches!(op, Op::SnapshotDestroy(_)));
    ops.extend([0, 1, 2].map(Op::SnapshotRead));
    for n in 0.. {
        let mut runner = Runner::new();
        runner.store().fail_nth(Call::Get, n);
        let failed = ops.iter().enumerate().find_map(|(index, op)| {
            let outcome = runner.step(op).and_then(|()| runner.compare());
            Some((index, outcome.err()?))
        });
        let Some((index, why)) = failed else {
            assert!(n > 20, "the workload reads {n} blocks");
            return;
        };
        assert!(why.contains("injected fault"), "{n}: {:?}: {why}", ops[index]);
        let again = if runner.engine().status().read_only.is_some() {
            require_read_only(&mut runner, 0)
        } else {
            runner.compare().and_then(|()| runner.finish())
        };
        again.unwrap_or_else(|why| panic!("read {n} failed in {:?}: {why}", ops[index]));
    }
}

/// Does the workload while every call of `kind` from the nth on finds the store full. Answers
/// whether one did.
fn run_full(runner: &mut Runner, kind: Call, n: u64) -> bool {
    runner.expect_full();
    let before = runner.store().count(kind);
    runner.store().full_from_nth(kind, n);
    for op in script::everything()
        .iter()
        .filter(|op| !matches!(op, Op::Remount))
    {
        let done = runner.step(op);
        let may_wait = matches!(op, Op::Commit | Op::Fsync(_) | Op::SnapshotDestroy(_));
        let refused = |why: &String| may_wait && has_no_room(why);
        assert!(
            done.as_ref().err().is_none_or(refused),
            "{kind:?} {n} on: {op:?}: {done:?}"
        );
        runner
            .compare()
            .unwrap_or_else(|why| panic!("{kind:?} {n} on: after {op:?}: {why}"));
        let stopped = runner.engine().status().read_only;
        assert_eq!(
            stopped, None,
            "{kind:?} {n} on: {op:?}: a full store is no reason to stop"
        );
    }
    runner.store().count(kind) > before + n
}

/// Fills the store at each call that may find it full, and does `after` then.
fn at_each_full(after: impl Fn(&mut Runner) -> Outcome) {
    for kind in [Call::Put, Call::SwapHead] {
        for n in 0.. {
            let mut runner = Runner::new();
            if !run_full(&mut runner, kind, n) {
                assert!(n > 5, "the workload makes {n} calls of {kind:?}");
                break;
            }
            after(&mut runner).unwrap_or_else(|why| panic!("{kind:?} {n} on: {why}"));
        }
    }
}

#[test]
fn a_full_store_loses_nothing_acknowledged_and_commits_once_there_is_room() {
    at_each_full(|runner| {
        runner.store().heal();
        runner.step(&Op::Commit)?;
        require_no_other_snapshots(runner)?;
        // What the commit acknowledged is there though all that is not synced is lost.
        runner.step(&Op::Crash(0))?;
        runner.finish()
    });
}

#[test]
fn a_power_cut_while_the_store_is_full_loses_nothing_acknowledged() {
    for seed in SEEDS {
        at_each_full(|runner| {
            runner.step(&Op::Crash(seed))?;
            runner.finish()
        });
    }
}

/// A snapshot that was refused does not turn up later.
fn require_no_other_snapshots(runner: &Runner) -> Outcome {
    let found: BTreeSet<_> = runner
        .engine()
        .snapshot_list()
        .into_iter()
        .map(|info| info.name)
        .collect();
    if found == runner.snapshot_names() {
        Ok(())
    } else {
        Err(format!("snapshots {found:?}"))
    }
}

#[test]
fn a_head_that_moved_though_the_store_said_no_keeps_its_blocks() {
    let store = Arc::new(MemoryStore::new());
    volume::create(&*store, Quota::default()).expect("an empty store takes a volume");
    let watched = Arc::new(Watched::new(store.clone(), |_| {}));
    let engine = volume::open(watched.clone(), 2).expect("a new volume opens");
    put_file(&engine, InodeNo::ROOT, "file", &[1; 9000]).expect("there is room");
    watched.lose_next_swap();
    engine.commit().expect_err("the answer is lost");
    assert!(engine.status().read_only.is_some());
    engine.close().expect_err("nothing more is written");
    let engine = volume::open(store, 3).expect("the volume is whole");
    let read = sample::read(&engine, "file").expect("the file is there");
    assert_eq!(read.bytes(), [1; 9000]);
    volume::require_clean(&engine).unwrap_or_else(|why| panic!("{why}"));
    engine.close().expect("a healthy store closes");
}

/// Dirty data up to the limit asks for a commit by itself; nobody waits for the interval, which is
/// a day here.
#[test]
fn writers_at_the_dirty_limit_go_on_and_are_refused_when_the_store_is_full() {
    let store = Arc::new(FaultStore::new(MemoryStore::new()));
    volume::create_with(&*store, Quota::default(), 1 << 20).expect("an empty store takes a volume");
    let key = volume::key_of(&*store).expect("the volume has its key");
    let small = Config {
        memory_bytes: 6 << 20,
        ..config()
    };
    let engine = Engine::open(store.clone(), key, small, Time(2)).expect("a new volume opens");
    let file = put_file(&engine, InodeNo::ROOT, "file", b"x").expect("there is room");
    engine
        .open_file(file, Access::Write)
        .expect("the file is in memory");
    let write = |at: u64| engine.write(file, at << 16, &[at as u8; 1 << 16], root_at(3), false);
    (0..128).try_for_each(write).expect("there is room for 8 MiB");
    store.full_from_nth(Call::Put, 0);
    let refused = (0..128).try_for_each(write).expect_err("and then there is none");
    assert!(matches!(refused, Error::NoSpace), "{refused}");
    store.heal();
    engine.commit().expect("there is room again");
    (0..128).try_for_each(write).expect("and for writers, too");
    engine.close().expect("a healthy store closes");
}
