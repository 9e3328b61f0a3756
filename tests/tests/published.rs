//! Versions that are published: they stay whole until a newer one is anchored, no longer, and
//! across any crash.
//!
//! ```text
//!  random changes, commits, snapshots, orphans | prepare -> (anchor takes it) -> confirmed | pins
//!      after each commit: blocks in the store == those of the head and of the held versions, exactly
//!      a cut at any write: the head is fresh against whatever the anchor had or has, and that is whole
//! ```

use cairn_fs::{Access, Config, Engine, InodeNo, Opening, Operations, Quota, Time};
use cairn_merkle::testing::{CrashImage, CrashStore};
use cairn_merkle::{BlockStore, Blocks, MemoryStore, Verdict, Version};
use cairn_tests::cut_everywhere;
use cairn_tests::op::{Dice, Op};
use cairn_tests::published::{audit, require_exactly};
use cairn_tests::run::Runner;
use cairn_tests::sample::{self, name, put_file};
use cairn_tests::script;
use cairn_tests::volume::{self, Copy, key_of, require_clean, root_at};
use parking_lot::Mutex;
use std::sync::Arc;

const ROOT: InodeNo = InodeNo::ROOT;
const FILES: u64 = 40;

fn commit(engine: &Engine) {
    engine.commit().expect("a healthy store takes a commit");
}

fn clean(engine: &Engine) {
    require_clean(engine).unwrap_or_else(|why| panic!("{why}"));
}

fn prepare(engine: &Engine) -> Version {
    let prepared = engine
        .prepare_publication()
        .expect("a healthy store takes a commit");
    prepared.expect("something changed").version
}

fn anchored(engine: &Engine) -> Version {
    let version = prepare(engine);
    engine.confirmed(version);
    version
}

fn file(n: u64) -> String {
    format!("file-{n}")
}

/// What a workload has beside files. Not both: an orphan's block that is older than a snapshot
/// stays, named by nothing, until that snapshot goes, so that what a store holds cannot be told
/// exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mix {
    Orphans,
    Snapshots,
}

impl Mix {
    fn of(seed: u64) -> Self {
        if seed.is_multiple_of(2) {
            Self::Orphans
        } else {
            Self::Snapshots
        }
    }
}

/// What is deleted goes at once here. A file that is destroyed bit by bit gets new nodes that no
/// snapshot names and that are younger than one all the same: they stay until it goes
/// (docs/format.md, section 14).
fn open(store: Arc<dyn BlockStore>, now: i64) -> cairn_fs::Result<Arc<Engine>> {
    let key = key_of(&*store)?;
    let config = Config {
        destroy_leaves: usize::MAX,
        ..volume::config()
    };
    Engine::open(store, key, config, Time(now.into()))
}

fn create_and_open(store: Arc<dyn BlockStore>) -> cairn_fs::Result<Arc<Engine>> {
    volume::create(&*store, Quota::default())?;
    open(store, 2)
}

/// A random change: a file made, rewritten in part, linked, unlinked while open or not; a snapshot
/// made or destroyed.
fn change(engine: &Engine, dice: &mut Dice, mix: Mix) {
    let n = dice.below(FILES);
    let found = engine.lookup(ROOT, &name(&file(n)));
    match (found, dice.below(12)) {
        (Err(_), _) => {
            let size = [100, 3000, 4096, 30_000][(n % 4) as usize];
            put_file(engine, ROOT, &file(n), &vec![n as u8; size]).expect("there is room");
        }
        (Ok(attr), 0 | 3) if mix == Mix::Orphans => {
            // The kernel's reference stays: an orphan that is open until the volume is closed.
            engine
                .open_file(attr.ino, Access::Write)
                .expect("it is in memory");
            engine
                .unlink(ROOT, &name(&file(n)), root_at(5))
                .expect("it has a name");
        }
        (Ok(attr), 1) => {
            let other = name(&format!("link-{n}-{}", dice.roll()));
            if let Ok(link) = engine.link(attr.ino, ROOT, &other, root_at(5)) {
                engine.forget(link.ino, 1);
            }
            engine.forget(attr.ino, 1);
        }
        (Ok(attr), 2) => {
            engine.forget(attr.ino, 1);
            engine
                .unlink(ROOT, &name(&file(n)), root_at(5))
                .expect("it has a name");
        }
        (Ok(attr), 0 | 3) => {
            engine.forget(attr.ino, 1);
            let snapshot = name(&format!("snapshot-{}", dice.below(4)));
            if engine.snapshot_create(&snapshot, Time(6)).is_err() {
                engine.snapshot_destroy(&snapshot).expect("it is there");
            }
        }
        (Ok(attr), _) => {
            let at = dice.below(30_000);
            engine
                .write(attr.ino, at, &vec![dice.roll() as u8; 3000], root_at(7), false)
                .expect("there is room");
            if dice.below(4) == 0 {
                engine
                    .fsync(attr.ino, false)
                    .expect("a healthy store takes the log");
            }
            engine.forget(attr.ino, 1);
        }
    }
}

/// The versions that must be whole, as the engine says itself.
fn whole(engine: &Engine) -> Vec<Version> {
    let standing = engine.standing();
    let mut versions = vec![standing.head];
    versions.extend(standing.anchored);
    versions.extend(standing.submitted);
    versions
}

#[test]
fn a_store_holds_the_head_and_the_published_versions_and_nothing_else() {
    for seed in 0..4 {
        let store = Arc::new(MemoryStore::new());
        let mut engine = create_and_open(store.clone()).expect("a new volume opens");
        let mut dice = Dice::new(seed);
        let mut under_way = None;
        for step in 0..80 {
            (0..dice.below(12)).for_each(|_| change(&engine, &mut dice, Mix::of(seed)));
            match (dice.below(6), under_way) {
                (0 | 1, None) => under_way = engine.prepare_publication().expect("a healthy store"),
                (0 | 1, Some(prepared)) => {
                    engine.confirmed(prepared.version);
                    under_way = None;
                }
                (2, _) if dice.below(4) == 0 => {
                    engine.close().expect("a healthy store closes");
                    engine = open(store.clone(), 9).expect("the volume opens");
                }
                _ => {}
            }
            commit(&engine);
            // A commit that notes a confirmation may have been the one before.
            require_exactly(&*store, &whole(&engine))
                .unwrap_or_else(|why| panic!("seed {seed}, step {step}: {why}"));
            if step % 20 == 0 {
                clean(&engine);
            }
        }
        engine.close().expect("a healthy store closes");
    }
}

#[test]
fn what_a_published_version_held_is_given_back_when_the_next_is_anchored() {
    let store = Arc::new(MemoryStore::new());
    let engine = create_and_open(store.clone()).expect("a new volume opens");
    put_file(&engine, ROOT, "file", &[1; 400_000]).expect("there is room");
    let first = anchored(&engine);
    engine
        .unlink(ROOT, &name("file"), root_at(3))
        .expect("it has a name");
    commit(&engine);
    audit(&*store, first).expect("the anchored version is whole");
    assert!(engine.standing().held_bytes > 400_000, "{:?}", engine.standing());
    assert_eq!(engine.status().used_bytes, 0, "what is held is nobody's file");
    assert!(engine.snapshot_list().is_empty(), "what is held is no snapshot");
    clean(&engine);
    let second = anchored(&engine);
    commit(&engine);
    assert!(audit(&*store, first).is_err(), "its space is given back");
    require_exactly(&*store, &[second, engine.standing().head]).unwrap_or_else(|why| panic!("{why}"));
    // Commit block and state alone: the empty volume of before holds them until the next.
    assert!(engine.standing().held_bytes < 16_384, "{:?}", engine.standing());
    clean(&engine);
}

#[test]
fn a_commit_that_only_notes_a_publication_is_not_worth_another() {
    let store = Arc::new(MemoryStore::new());
    let engine = create_and_open(store.clone()).expect("a new volume opens");
    let first = anchored(&engine);
    assert!(engine.standing().is_anchored());
    commit(&engine);
    clean(&engine);
    assert!(
        engine.standing().head.epoch > first.epoch,
        "the confirmation is noted"
    );
    assert_eq!(engine.prepare_publication().expect("nothing to do"), None);
    engine.close().expect("a healthy store closes");
    let engine = open(store, 5).expect("the volume opens");
    assert!(engine.standing().is_anchored(), "nor is a mount");
    put_file(&engine, ROOT, "file", b"news").expect("there is room");
    assert!(!engine.standing().is_anchored());
    let second = prepare(&engine);
    assert!(!engine.standing().is_anchored(), "not before it is confirmed");
    engine.confirmed(first);
    assert_eq!(
        engine.standing().anchored,
        Some(first),
        "only what was submitted is confirmed"
    );
    engine.confirmed(second);
    assert!(engine.standing().is_anchored());
}

#[test]
fn a_pinned_version_is_whole_until_the_pin_is_dropped_and_reads_as_it_was() {
    let store = Arc::new(MemoryStore::new());
    let engine = create_and_open(store.clone()).expect("a new volume opens");
    put_file(&engine, ROOT, "file", &[1; 9000]).expect("there is room");
    let first = anchored(&engine);
    let pin = engine.pin(first).expect("it is anchored");
    overwrite(&engine, &[2; 9000]);
    let second = anchored(&engine);
    for _ in 0..3 {
        commit(&engine);
        put_file(&engine, ROOT, "other", &[3; 5000]).expect("there is room");
        commit(&engine);
        engine
            .unlink(ROOT, &name("other"), root_at(5))
            .expect("it has a name");
    }
    commit(&engine);
    let key = key_of(&*store).expect("the volume has a key");
    let past = Opening::past(store.clone(), key, first).expect("it is whole");
    let past = past.open(volume::config()).expect("it is whole");
    assert_eq!(
        *past.read(past_file(&past), 0, 9000).expect("it reads"),
        [1; 9000]
    );
    clean(&past);
    past.close().expect("nothing was written");
    assert!(matches!(
        engine.pin(Version {
            epoch: second.epoch,
            ..first
        }),
        Err(cairn_fs::Error::NoEntry)
    ));
    drop(pin);
    commit(&engine);
    assert!(audit(&*store, first).is_err(), "its space is given back");
    require_exactly(&*store, &whole(&engine)).unwrap_or_else(|why| panic!("{why}"));
    assert!(engine.pin(first).is_err(), "it is not whole any more");
    assert_eq!(
        sample::read(&engine, "file").expect("it reads").bytes(),
        [2; 9000]
    );
}

fn overwrite(engine: &Engine, bytes: &[u8]) {
    let ino = engine.lookup(ROOT, &name("file")).expect("the file is there").ino;
    engine
        .write(ino, 0, bytes, root_at(4), false)
        .expect("there is room");
    engine.forget(ino, 1);
}

fn past_file(past: &Engine) -> InodeNo {
    past.lookup(ROOT, &name("file")).expect("it has the file").ino
}

#[test]
fn a_damaged_block_that_only_the_published_version_names_is_found_by_a_check() {
    let store = Arc::new(MemoryStore::new());
    let engine = create_and_open(store.clone()).expect("a new volume opens");
    put_file(&engine, ROOT, "file", &[1; 4096]).expect("there is room");
    let first = anchored(&engine);
    overwrite(&engine, &[2; 4096]);
    commit(&engine);
    let now = audit(&*store, engine.standing().head).expect("it is whole");
    let then = audit(&*store, first).expect("it is whole");
    let lost: Vec<_> = then.difference(&now).copied().collect();
    store.delete(&lost).expect("a store in memory deletes");
    let report = engine.check(&|_| {}).expect("the store answers");
    assert_eq!(report.damaged.len(), 1, "{:?}", report.damaged);
    let path = String::from_utf8_lossy(&report.damaged[0].path).into_owned();
    assert!(
        path.starts_with(&format!("(published {})", first.epoch)),
        "{path}"
    );
}

/// What the anchor may hold at an event of the store: all of these, one at a time.
type Timeline = Arc<Mutex<Vec<Option<Version>>>>;

/// A workload with publications; answers each moment's image and what the anchor may have held
/// then.
fn published_workload(seed: u64) -> Vec<(CrashImage, Vec<Option<Version>>)> {
    let store = Arc::new(CrashStore::new());
    let engine = create_and_open(store.clone()).expect("a new volume opens");
    let may_hold: Timeline = Arc::new(Mutex::new(vec![None]));
    let moments = Arc::new(Mutex::new(Vec::new()));
    let (seen, holds) = (moments.clone(), may_hold.clone());
    store.set_hook(move |_, image: &CrashImage| seen.lock().push((image.clone(), holds.lock().clone())));
    let mut dice = Dice::new(seed);
    for _ in 0..5 {
        (0..6).for_each(|_| change(&engine, &mut dice, Mix::of(seed)));
        let before = *may_hold.lock().last().expect("there is always one");
        let version = prepare(&engine);
        // From here on it is on its way: whether it is there already, nobody inside can tell.
        *may_hold.lock() = vec![before, Some(version)];
        (0..4).for_each(|_| change(&engine, &mut dice, Mix::of(seed)));
        commit(&engine);
        change(&engine, &mut dice, Mix::of(seed));
        *may_hold.lock() = vec![Some(version)];
        if dice.below(3) > 0 {
            engine.confirmed(version);
        }
        commit(&engine);
        // A store is freed of what was held before by the commit after that.
        change(&engine, &mut dice, Mix::of(seed));
        commit(&engine);
    }
    store.set_hook(|_, _| {});
    engine.close().expect("a healthy store closes");
    Arc::try_unwrap(moments).map_or_else(|shared| shared.lock().clone(), Mutex::into_inner)
}

fn require_recovers(found: MemoryStore, latest: Option<Version>) -> Result<(), String> {
    let store = Arc::new(found);
    if let Some(latest) = latest {
        audit(&*store, latest)?;
    }
    let key = key_of(&*store).map_err(|error| error.to_string())?;
    let mut opening = Opening::newest(store.clone(), key).map_err(|error| error.to_string())?;
    let verdict = opening.standing().verdict(latest);
    if !verdict.is_fresh() {
        return Err(format!(
            "{verdict:?}: {:?} against {latest:?}",
            opening.standing()
        ));
    }
    opening.settle(latest);
    let engine = opening
        .open(volume::config())
        .map_err(|error| error.to_string())?;
    require_clean(&engine)?;
    engine.commit().map_err(|error| error.to_string())?;
    require_exactly(&*store, &whole(&engine))?;
    if engine.standing().anchored != latest {
        return Err(format!("{:?} is not {latest:?}", engine.standing()));
    }
    engine.close().map_err(|error| error.to_string())
}

#[test]
fn a_cut_at_any_write_leaves_a_fresh_head_and_whatever_the_anchor_holds_whole() {
    let mut cuts = 0;
    for seed in 0..2 {
        for (event, (image, may_hold)) in published_workload(seed).into_iter().enumerate() {
            for cut in [0, u64::MAX] {
                for latest in &may_hold {
                    require_recovers(image.crash(cut), *latest)
                        .unwrap_or_else(|why| panic!("seed {seed}, event {event}, cut {cut}: {why}"));
                    cuts += 1;
                }
            }
        }
    }
    assert!(cuts > 300, "{cuts}");
}

#[test]
fn a_volume_that_publishes_keeps_what_every_other_keeps_whenever_it_is_cut_off() {
    let cuts = cut_everywhere(Runner::new().publishing(), &script::everything());
    assert!(cuts > 60, "{cuts}");
    let mut dice = Dice::new(0xa2c402);
    let ops: Vec<_> = std::iter::repeat_with(|| dice.op())
        .filter(|op| !matches!(op, Op::Crash(_)))
        .take(100)
        .collect();
    cut_everywhere(Runner::new().publishing(), &ops);
}

#[test]
fn a_volume_that_publishes_does_what_the_model_does() {
    for seed in 0..3 {
        let mut runner = Runner::new().publishing();
        let mut dice = Dice::new(0xb00_0000 + seed);
        for step in 0..1500 {
            let op = dice.op();
            runner
                .step(&op)
                .unwrap_or_else(|why| panic!("seed {seed}, step {step}, {op:?}: {why}"));
        }
        runner.finish().unwrap_or_else(|why| panic!("seed {seed}: {why}"));
    }
}

#[test]
fn a_version_that_may_have_been_submitted_is_named_by_whoever_goes_on_without_the_anchor() {
    let store = Arc::new(MemoryStore::new());
    create_and_open(store.clone())
        .and_then(|engine| engine.close())
        .expect("a new volume");
    let mut opening = Opening::newest(store.clone(), key_of(&*store).expect("its key")).expect("it is whole");
    opening.settle(None);
    let engine = opening.open(volume::config()).expect("it is whole");
    put_file(&engine, ROOT, "file", &[1; 9000]).expect("there is room");
    let version = prepare(&engine);
    // It is on its way, and no commit has said so yet.
    let crashed = Copy::of(&*store).into_memory();
    for _ in 0..3 {
        let engine = open(crashed.clone(), 9).expect("it opens");
        engine.unlink(ROOT, &name("file"), root_at(4)).ok();
        engine.close().expect("a healthy store closes");
        audit(&*crashed, version).expect("it is held");
        let opening =
            Opening::newest(crashed.clone(), key_of(&*crashed).expect("its key")).expect("it is whole");
        assert!(
            opening.standing().verdict(Some(version)).is_fresh(),
            "{:?}",
            opening.standing()
        );
        assert_eq!(opening.standing().submitted, [version], "and no other");
    }
}

fn epoch_of(copy: &Copy) -> u64 {
    let store = copy.clone().into_memory();
    let key = key_of(&*store).expect("the volume has a key");
    Opening::newest(store, key)
        .expect("it is whole")
        .standing()
        .head
        .epoch
        .0
}

#[test]
fn an_older_copy_is_stale_and_a_copy_that_went_another_way_is_forked() {
    let store = Arc::new(MemoryStore::new());
    let engine = create_and_open(store.clone()).expect("a new volume opens");
    anchored(&engine);
    commit(&engine);
    let old = Copy::of(&*store);
    put_file(&engine, ROOT, "file", b"news").expect("there is room");
    let exact = prepare(&engine);
    let at_it = Copy::of(&*store);
    engine.confirmed(exact);
    commit(&engine);
    let verdict = |copy: &Copy, latest| {
        let store = copy.clone().into_memory();
        let key = key_of(&*store).expect("the volume has a key");
        let opening = Opening::newest(store, key).expect("it is whole");
        opening.standing().verdict(Some(latest))
    };
    assert_eq!(
        verdict(&old, exact),
        Verdict::Stale {
            epochs: exact.epoch.0 - epoch_of(&old)
        }
    );
    assert_eq!(verdict(&at_it, exact), Verdict::Fresh { ahead: 0 });
    assert!(matches!(
        verdict(&Copy::of(&*store), exact),
        Verdict::Fresh { ahead: 1.. }
    ));
    // The same epochs again, from the old copy.
    let twin = old.clone().into_memory();
    let other = open(twin.clone(), 8).expect("the copy opens");
    put_file(&other, ROOT, "file", b"lies").expect("there is room");
    while other.standing().head.epoch <= exact.epoch {
        let now = other.standing().head.epoch;
        other
            .set_quota(cairn_fs::Quota::default())
            .expect("a healthy store takes a commit");
        assert!(other.standing().head.epoch > now);
    }
    assert_eq!(verdict(&Copy::of(&*twin), exact), Verdict::Forked);
}
