//! Power cuts at every single write to the store, over workloads that touch every kind of state.
//!
//! ```text
//!  scripted, large, random workload --> cut_everywhere: each event x seeds, each event of each recovery
//!  rekey                            --> the old key or the new one, never both, never none
//!  fsync while a commit is under way --> the log then reaches over the head that the commit did not yet move
//! ```

use cairn_fs::{Engine, InodeNo, Kind, Name, Operations, Time};
use cairn_merkle::testing::{CrashImage, CrashStore, TestRng};
use cairn_merkle::{Header, Heads, Kek, MemoryStore, SlotKey, SlotKind, Suite};
use cairn_tests::op::{Dice, Op, Target};
use cairn_tests::run::Runner;
use cairn_tests::script::{self, create, fsync, write};
use cairn_tests::tree::{Dump, dump_engine};
use cairn_tests::volume::{self, Copy, root_at};
use cairn_tests::watched::{Call, Watched};
use cairn_tests::{cut_everywhere, volume::key_of};
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

const SEEDS: [u64; 4] = [0, u64::MAX, 1, 2];

#[test]
fn a_cut_at_any_write_leaves_the_last_commit_and_a_prefix_of_the_log() {
    for suite in Suite::ALL {
        let cuts = cut_everywhere(Runner::sealed_with(suite), &script::everything());
        assert!(cuts > 60, "the workload writes a lot: {cuts}");
    }
}

/// A commit of more than 4 MiB is put in several batches and synced before the head; an fsync of
/// more than 1 MiB seals records.
#[test]
fn a_cut_in_a_large_commit_or_fsync_leaves_no_less() {
    const RECORD: u64 = 1 << 20;
    let mut ops = vec![create(&[0]), create(&[1])];
    ops.push(write(&[0], 10, 2 * RECORD - 20, 1));
    ops.push(fsync(&[0]));
    for part in 0..6 {
        ops.push(write(&[1], part * RECORD + 5, RECORD - 10, part as u8));
    }
    ops.extend([
        Op::Commit,
        write(&[1], RECORD, RECORD, 9),
        Op::Truncate(Target::Path(vec![0]), 5),
        Op::Commit,
    ]);
    let cuts = cut_everywhere(Runner::with_record_size(RECORD as u32), &ops);
    assert!(cuts > 10, "batches, syncs and heads: {cuts}");
}

#[test]
fn a_cut_at_any_write_of_random_operations_leaves_what_history_allows() {
    for seed in 0..4 {
        let mut dice = Dice::new(0xc0_ffee + seed);
        let random = std::iter::repeat_with(|| dice.op());
        let ops: Vec<_> = random
            .filter(|op| !matches!(op, Op::Crash(_)))
            .take(150)
            .collect();
        let suite = Suite::ALL[usize::from(seed % 2 == 1)];
        cut_everywhere(Runner::sealed_with(suite), &ops);
    }
}

fn kek(byte: u8) -> Kek {
    Kek::from_bytes([byte; 32])
}

/// A volume with a file that is committed and one that only the log has.
fn crashed_volume() -> MemoryStore {
    let store = Arc::new(CrashStore::new());
    let engine = volume::create_and_open(store.clone()).expect("a new volume opens");
    put_file(&engine, "committed", &[1; 5000]);
    engine.commit().expect("a healthy store takes a commit");
    let logged = put_file(&engine, "logged", &[2; 9000]);
    engine
        .fsync(logged, false)
        .expect("a healthy store takes a log record");
    let found = store.crash(0);
    store.crash_at(0);
    engine.close().expect_err("there is no power");
    found
}

fn put_file(engine: &Engine, name: &str, bytes: &[u8]) -> InodeNo {
    let name = Name::new(name.as_bytes()).expect("a proper name");
    let made = engine.mknod(InodeNo::ROOT, &name, Kind::File, 0o644, 0, root_at(3));
    let ino = made.expect("there is room for a file").ino;
    engine
        .write(ino, 0, bytes, root_at(3), false)
        .expect("there is room for bytes");
    ino
}

#[derive(Clone, Default)]
struct Images(Arc<Mutex<Vec<CrashImage>>>);

impl Images {
    fn watch(store: &CrashStore) -> Self {
        let images = Self::default();
        let seen = images.clone();
        store.set_hook(move |_, image| seen.0.lock().push(image.clone()));
        images
    }

    fn take(&self) -> Vec<CrashImage> {
        std::mem::take(&mut *self.0.lock())
    }
}

#[test]
fn a_cut_in_a_rekey_leaves_exactly_one_key_that_opens() {
    let store = Arc::new(Copy::of(&crashed_volume()).into_crash());
    let key = || key_of(&*store).expect("the volume has its first key");
    let stored = store.header().ok().flatten().expect("a volume has a header");
    let slot = SlotKey {
        kind: SlotKind::KeyFile,
        kek: kek(9),
    };
    let header = Header::decode(&stored).expect("the header is whole");
    let renewed = header
        .rekey(&mut TestRng::new(5), &key(), &[slot])
        .expect("one slot is allowed");
    let images = Images::watch(&store);
    cairn_fs::rekey(store.clone(), key(), &header, &renewed).expect("a healthy store takes a header");
    let (mut old, mut new) = (0, 0);
    for (event, image) in images.take().iter().enumerate() {
        for seed in SEEDS {
            let found = image.crash(seed);
            let opened =
                open_with_either(found).unwrap_or_else(|why| panic!("event {event}, seed {seed}: {why}"));
            *(if opened == 7 { &mut old } else { &mut new }) += 1;
        }
    }
    assert!(
        old > 0 && new > 0,
        "cuts before and after the new header: {old}, {new}"
    );
}

/// The key-encryption key that opens the volume, which is whole.
fn open_with_either(found: MemoryStore) -> Result<u8, String> {
    let stored = found.header().ok().flatten().ok_or("there is no header")?;
    let header = Header::decode(&stored).map_err(|error| error.to_string())?;
    let fits: Vec<u8> = [7, 9]
        .into_iter()
        .filter(|byte| header.unlock(|_| Some(kek(*byte))).is_ok())
        .collect();
    let [byte] = fits[..] else {
        return Err(format!("keys that open: {fits:?}"));
    };
    let key = header
        .unlock(|_| Some(kek(byte)))
        .map_err(|error| error.to_string())?;
    let engine =
        Engine::open(Arc::new(found), key, volume::config(), Time(6)).map_err(|error| error.to_string())?;
    let dump = dump(&engine);
    require_file(&dump, "committed", &[1; 5000])?;
    require_file(&dump, "logged", &[2; 9000])?;
    volume::require_clean(&engine)?;
    engine.close().map_err(|error| error.to_string())?;
    Ok(byte)
}

fn dump(engine: &Engine) -> Dump {
    dump_engine(engine, InodeNo::ROOT).expect("the tree can be read")
}

fn require_file(dump: &Dump, name: &str, bytes: &[u8]) -> Result<(), String> {
    let path = format!("/{name}").into_bytes();
    match dump.contents.get(&path) {
        Some(found) if found[..] == *bytes => Ok(()),
        Some(found) => Err(format!("{name} has {} other bytes", found.len())),
        None => Err(format!("{name} is not there")),
    }
}

/// While a commit writes epoch n, an fsync appends to the log of epoch n + 1: until the head moves,
/// replay must go over both epochs, and after that over the second alone.
#[test]
fn what_is_fsynced_while_a_commit_is_under_way_survives_a_cut_at_any_point() {
    let store = Arc::new(CrashStore::new());
    volume::create(&*store, cairn_fs::Quota::default()).expect("an empty store takes a volume");
    let engine: Arc<Mutex<Option<Arc<Engine>>>> = Arc::default();
    let armed = Arc::new(AtomicBool::new(false));
    let acknowledged = Arc::new(Mutex::new(None));
    let tell = {
        let (engine, armed, acknowledged, store) =
            (engine.clone(), armed.clone(), acknowledged.clone(), store.clone());
        move |call: &Call<'_>| {
            if matches!(call, Call::Put(_)) && armed.swap(false, Ordering::Relaxed) {
                let engine = engine.lock().clone().expect("the volume is open when it commits");
                let late = put_file(&engine, "late", &[3; 9000]);
                engine
                    .fsync(late, false)
                    .expect("the log takes records while a commit writes");
                *acknowledged.lock() = Some(store.events());
            }
        }
    };
    let opened = volume::open(Arc::new(Watched::new(store.clone(), tell)), 2).expect("a new volume opens");
    *engine.lock() = Some(opened.clone());
    let early = put_file(&opened, "early", &[1; 100]);
    opened
        .fsync(early, false)
        .expect("a healthy store takes a log record");
    opened
        .write(early, 100, &[1; 5000], root_at(4), false)
        .expect("there is room");
    let images = Images::watch(&store);
    let first = store.events();
    armed.store(true, Ordering::Relaxed);
    opened.commit().expect("a healthy store takes a commit");
    opened.commit().expect("and the epoch after it");
    let acknowledged = acknowledged
        .lock()
        .take()
        .expect("the fsync was within the commit");
    for (event, image) in (first..).zip(images.take()) {
        for seed in SEEDS {
            require_late(image.crash(seed), event >= acknowledged).unwrap_or_else(|why| {
                panic!("event {event} (fsync ended at {acknowledged}), seed {seed}: {why}")
            });
        }
    }
    engine.lock().take();
    opened.close().expect("a healthy store closes");
}

fn require_late(found: MemoryStore, acknowledged: bool) -> Result<(), String> {
    let engine = volume::open(Arc::new(found), 9).map_err(|error| error.to_string())?;
    let dump = dump(&engine);
    let long = [1; 5100];
    require_file(&dump, "early", &long).or_else(|_| require_file(&dump, "early", &long[..100]))?;
    let late = require_file(&dump, "late", &[3; 9000]);
    if acknowledged {
        late?;
    }
    volume::require_clean(&engine)?;
    engine.close().map_err(|error| error.to_string())
}
