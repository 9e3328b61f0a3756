//! Space: what nothing names any more is given back, and snapshots cost what they differ by.
//!
//! ```text
//!  blocks in the store:  empty --write, overwrite, delete, crash--> empty again
//!                        one tree --1,000 snapshots--> more --destroy, in any order--> one tree
//! ```

use cairn_fs::{Access, Engine, Fallocate, InodeNo, Operations, Quota, Seek, Time};
use cairn_merkle::{BlockStore, MemoryStore};
use cairn_tests::op::Dice;
use cairn_tests::sample::{self, name, put_file};
use cairn_tests::volume::{self, Copy, block_names, require_clean, root_at};
use cairn_tests::watched::{Call, Watched};
use parking_lot::Mutex;
use std::sync::Arc;

const ROOT: InodeNo = InodeNo::ROOT;
const FILES: u64 = 12;

fn volume() -> (Arc<MemoryStore>, Arc<Engine>) {
    let store = Arc::new(MemoryStore::new());
    let engine = volume::create_and_open(store.clone()).expect("a new volume opens");
    (store, engine)
}

fn count(store: &dyn BlockStore) -> usize {
    block_names(store).len()
}

fn clean(engine: &Engine) {
    require_clean(engine).unwrap_or_else(|why| panic!("{why}"));
}

/// Commits until everything that was deleted is gone.
fn commit(engine: &Engine) {
    engine.commit().expect("a healthy store takes a commit");
    while engine.status().destroying > 0 {
        engine.commit().expect("a healthy store takes a commit");
    }
}

fn file(n: u64) -> String {
    format!("file-{n}")
}

/// Sizes of every shape: inline, one leaf, an index.
fn size(n: u64) -> usize {
    [100, 4096, 3000, 20_000][(n % 4) as usize]
}

fn fill(engine: &Engine) {
    for n in 0..FILES {
        let ino = put_file(engine, ROOT, &file(n), &vec![n as u8; size(n)]).expect("there is room");
        if n.is_multiple_of(3) {
            let link = engine
                .link(ino, ROOT, &name(&format!("link-{n}")), root_at(3))
                .expect("there is room");
            engine.forget(link.ino, 1);
        }
    }
}

/// Rewrites some bytes of a file, within its size.
fn overwrite(engine: &Engine, dice: &mut Dice, fill: u8) {
    let n = dice.below(FILES);
    let ino = engine
        .lookup(ROOT, &name(&file(n)))
        .expect("the file is there")
        .ino;
    let from = dice.below(size(n) as u64);
    let len = dice.below(size(n) as u64 - from) + 1;
    engine
        .write(ino, from, &vec![fill; len as usize], root_at(4), false)
        .expect("there is room");
    if dice.below(3) == 0 {
        engine.fsync(ino, false).expect("a healthy store takes the log");
    }
    engine.forget(ino, 1);
}

fn delete_all(engine: &Engine) {
    for n in 0..FILES {
        engine
            .unlink(ROOT, &name(&file(n)), root_at(5))
            .expect("the file is there");
        if n.is_multiple_of(3) {
            engine
                .unlink(ROOT, &name(&format!("link-{n}")), root_at(5))
                .expect("the link is there");
        }
    }
}

#[test]
fn overwriting_and_deleting_gives_every_block_back() {
    let (store, engine) = volume();
    commit(&engine);
    let empty = count(&*store);
    let mut dice = Dice::new(1);
    for round in 0..3 {
        fill(&engine);
        commit(&engine);
        let full = count(&*store);
        for change in 0..200 {
            overwrite(&engine, &mut dice, change as u8);
            if dice.below(8) == 0 {
                commit(&engine);
                assert_eq!(count(&*store), full, "round {round}, change {change}");
            }
        }
        delete_all(&engine);
        commit(&engine);
        assert_eq!(count(&*store), empty, "round {round}: an empty volume");
        clean(&engine);
    }
    engine.close().expect("a healthy store closes");
}

#[test]
fn a_power_cut_strands_nothing_that_the_next_mount_does_not_free() {
    let (store, engine) = volume();
    fill(&engine);
    engine.close().expect("a healthy store closes");
    let full = count(&*store);
    let mut copy = Copy::of(&*store);
    let mut dice = Dice::new(2);
    for round in 0..20 {
        let store = Arc::new(copy.into_crash());
        let engine = volume::open(store.clone(), 10).expect("the volume opens");
        // Recovery has freed what was stranded, and begun with the orphans.
        commit(&engine);
        assert_eq!(
            count(&*store),
            full,
            "round {round}: the same tree takes the same blocks"
        );
        clean(&engine);
        for change in 0..10 {
            overwrite(&engine, &mut dice, change);
        }
        // Open files without a name, some of them in a commit.
        for n in 0..2 {
            let orphan = put_file(&engine, ROOT, "orphan", &[n; 9000]).expect("there is room");
            engine.open_file(orphan, Access::Write).expect("it is in memory");
            if round % 2 == 0 {
                commit(&engine);
            }
            engine
                .unlink(ROOT, &name("orphan"), root_at(6))
                .expect("it has a name");
        }
        commit(&engine);
        overwrite(&engine, &mut dice, 99);
        let seed = dice.pick(&[0, u64::MAX, dice.clone().roll()]);
        copy = Copy::of(&store.crash(seed));
        store.crash_at(0);
        engine.close().expect_err("there is no power");
    }
}

/// What one snapshot writes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Cost {
    calls: usize,
    blocks: usize,
    bytes: usize,
}

/// Counts what is written while `act` runs.
fn cost_of(costs: &Mutex<Cost>, act: impl FnOnce()) -> Cost {
    *costs.lock() = Cost::default();
    act();
    *costs.lock()
}

#[test]
fn the_thousandth_snapshot_costs_no_more_writes_than_the_tenth_and_all_give_their_space_back() {
    const SNAPSHOTS: usize = 1000;
    let store = Arc::new(MemoryStore::new());
    volume::create(&*store, Quota::default()).expect("an empty store takes a volume");
    let costs: Arc<Mutex<Cost>> = Arc::default();
    let counted = costs.clone();
    let tell = move |call: &Call<'_>| {
        let mut cost = counted.lock();
        cost.calls += usize::from(!matches!(call, Call::Get(_)));
        if let Call::Put(blocks) = call {
            cost.blocks += blocks.len();
            cost.bytes += blocks.iter().map(|block| block.bytes.len()).sum::<usize>();
        }
    };
    let engine = volume::open(Arc::new(Watched::new(store.clone(), tell)), 2).expect("a new volume opens");
    fill(&engine);
    commit(&engine);
    let before = count(&*store);
    let mut dice = Dice::new(3);
    let mut taken = Vec::new();
    for n in 0..SNAPSHOTS {
        // A file that every snapshot shares all but one record of.
        let ino = engine
            .lookup(ROOT, &name(&file(3)))
            .expect("the file is there")
            .ino;
        engine
            .write(ino, 4096, &[n as u8; 4096], root_at(7), false)
            .expect("there is room");
        engine.forget(ino, 1);
        taken.push(cost_of(&costs, || {
            engine
                .snapshot_create(&name(&format!("snapshot-{n:04}")), Time(7))
                .expect("there is room");
        }));
    }
    let (tenth, last) = (taken[9], taken[SNAPSHOTS - 1]);
    assert_eq!(last.calls, tenth.calls, "{last:?} against {tenth:?}");
    // The table of snapshots has grown by two levels at most.
    assert!(last.blocks <= tenth.blocks + 2, "{last:?} against {tenth:?}");
    assert!(
        last.bytes <= tenth.bytes + (64 << 10),
        "{last:?} against {tenth:?}"
    );
    clean(&engine);
    let mut names: Vec<_> = engine.snapshot_list().into_iter().map(|info| info.name).collect();
    assert_eq!(names.len(), SNAPSHOTS);
    while !names.is_empty() {
        let name = names.swap_remove(dice.below(names.len() as u64) as usize);
        engine.snapshot_destroy(&name).expect("the snapshot is there");
    }
    assert_eq!(count(&*store), before, "the tree alone");
    clean(&engine);
    engine.close().expect("a healthy store closes");
}

#[test]
fn snapshots_of_everything_give_all_blocks_back_in_any_order() {
    for seed in 0..6 {
        let (store, engine) = volume();
        commit(&engine);
        let empty = count(&*store);
        let mut dice = Dice::new(seed);
        let mut names = Vec::new();
        fill(&engine);
        for n in 0..60_u8 {
            (0..dice.below(6)).for_each(|_| overwrite(&engine, &mut dice, n));
            let there = !names.is_empty() && dice.below(3) == 0;
            if there {
                let name = names.swap_remove(dice.below(names.len() as u64) as usize);
                engine.snapshot_destroy(&name).expect("the snapshot is there");
            } else {
                names.push(name(&format!("snapshot-{n}")));
                engine
                    .snapshot_create(&names[names.len() - 1], Time(8))
                    .expect("there is room");
            }
        }
        clean(&engine);
        delete_all(&engine);
        while !names.is_empty() {
            let name = names.swap_remove(dice.below(names.len() as u64) as usize);
            engine.snapshot_destroy(&name).expect("the snapshot is there");
        }
        assert_eq!(count(&*store), empty, "seed {seed}: an empty volume");
        clean(&engine);
        engine.close().expect("a healthy store closes");
    }
}

#[test]
fn an_old_snapshot_reads_the_same_while_its_files_are_overwritten_and_deleted() {
    let (_, engine) = volume();
    fill(&engine);
    engine
        .snapshot_create(&name("old"), Time(9))
        .expect("there is room");
    let paths: Vec<_> = (0..FILES)
        .map(|n| format!(".snapshots/old/{}", file(n)))
        .collect();
    let read = || {
        paths
            .iter()
            .map(|path| sample::read(&engine, path).expect("the snapshot has it"))
            .collect::<Vec<_>>()
    };
    let expected = read();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut dice = Dice::new(4);
            for round in 0..40 {
                (0..10).for_each(|n| overwrite(&engine, &mut dice, n));
                commit(&engine);
                if round % 10 == 9 {
                    delete_all(&engine);
                    commit(&engine);
                    fill(&engine);
                }
            }
        });
        while !writer.is_finished() {
            assert!(read() == expected, "a snapshot changed");
        }
    });
    assert!(read() == expected, "a snapshot changed");
    clean(&engine);
    engine.close().expect("a healthy store closes");
}

#[test]
fn snapshots_taken_at_once_are_destroyed_one_by_one() {
    let (_, engine) = volume();
    for round in 0..20 {
        let names: Vec<_> = (0..4).map(|n| name(&format!("s{round}-{n}"))).collect();
        put_file(&engine, ROOT, &format!("f{round}"), &vec![round; 20_000]).expect("there is room");
        std::thread::scope(|scope| {
            for name in &names {
                scope.spawn(|| engine.snapshot_create(name, Time(9)).expect("there is room"));
            }
        });
        engine
            .unlink(ROOT, &name(&format!("f{round}")), root_at(5))
            .expect("the file is there");
        commit(&engine);
        for name in &names {
            clean(&engine);
            engine.snapshot_destroy(name).expect("it is there");
        }
        clean(&engine);
    }
}

#[test]
fn a_huge_deleted_file_goes_bit_by_bit_and_a_crash_in_between_loses_no_space() {
    const RECORDS: usize = 200;
    let (store, engine) = volume();
    let crash = |store: &dyn BlockStore| Arc::new(Copy::of(store).into_crash());
    put_file(&engine, ROOT, "small", &[1; 9000]).expect("there is room");
    commit(&engine);
    let (without, used) = (count(&*store), engine.status().used_bytes);
    put_file(&engine, ROOT, "huge", &vec![2; RECORDS * 4096]).expect("there is room");
    commit(&engine);
    engine
        .unlink(ROOT, &name("huge"), root_at(5))
        .expect("it has a name");
    let mut store = crash(&*store);
    let mut engine = engine;
    let mut commits = 0;
    loop {
        let before = count(&*store);
        if commits % 7 == 0 {
            // A removal is in the log at once.
            store = crash(&*store);
            engine = volume::open(store.clone(), 10).expect("the volume opens");
        } else {
            engine.commit().expect("a healthy store takes a commit");
        }
        commits += 1;
        let freed = before.saturating_sub(count(&*store));
        // Three leaves, and nodes of the index that became empty.
        assert!(freed <= 3 + 4, "commit {commits} frees {freed} blocks");
        // A check takes a snapshot and destroys it: two commits more.
        clean(&engine);
        if engine.status().destroying == 0 {
            break;
        }
    }
    assert!(commits >= RECORDS / 9, "{commits} commits");
    assert_eq!(count(&*store), without);
    assert_eq!(engine.status().used_bytes, used);
    engine.close().expect("a healthy store closes");
}

#[test]
fn what_was_deleted_makes_room_under_the_quota_at_once() {
    const MAX: u64 = 1 << 20;
    let (_, engine) = volume();
    let limit = Quota {
        bytes: Some(MAX),
        inodes: None,
    };
    engine.set_quota(limit).expect("a quota can be set");
    for round in 0..3 {
        let bytes = vec![round; (MAX - 8192) as usize];
        put_file(&engine, ROOT, "large", &bytes).expect("there is room");
        put_file(&engine, ROOT, "more", &bytes).expect_err("and no more");
        engine
            .unlink(ROOT, &name("more"), root_at(5))
            .expect("it was made");
        commit(&engine);
        engine
            .unlink(ROOT, &name("large"), root_at(5))
            .expect("it has a name");
    }
    clean(&engine);
}

#[test]
fn a_hole_is_punched_whatever_its_size() {
    let (_, engine) = volume();
    let ino = put_file(&engine, ROOT, "sparse", &[7; 9000]).expect("there is room");
    let end = 1 << 60;
    engine
        .write(ino, end, b"end", root_at(3), false)
        .expect("there is room");
    engine.open_file(ino, Access::Write).expect("it is there");
    for _ in 0..2 {
        engine
            .fallocate(ino, Fallocate::PunchHole, 4096, end - 4096, root_at(4))
            .expect("punching takes no room");
        assert_eq!(*engine.read(ino, 4095, 3).expect("it reads"), [7, 0, 0]);
        assert_eq!(&*engine.read(ino, end, 9).expect("it reads"), b"end");
        assert_eq!(engine.seek(ino, 4096, Seek::Data).expect("there is data"), end);
        commit(&engine);
    }
    clean(&engine);
}

#[test]
fn a_stream_of_whole_records_stops_at_the_quota() {
    const MAX: u64 = 1 << 20;
    let (_, engine) = volume();
    engine
        .set_quota(Quota {
            bytes: Some(MAX),
            inodes: None,
        })
        .expect("a quota can be set");
    let ino = put_file(&engine, ROOT, "stream", b"").expect("there is room");
    let step = vec![1; 64 << 10];
    let taken = (0..64)
        .take_while(|n| {
            engine
                .write(ino, n * step.len() as u64, &step, root_at(3), false)
                .is_ok()
        })
        .count() as u64;
    assert_eq!(taken * step.len() as u64, MAX);
    commit(&engine);
    assert!(engine.status().used_bytes <= MAX);
    clean(&engine);
}
