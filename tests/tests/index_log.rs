//! The write-ahead log of the store's index with one bit altered, after a close and after a kill.
//!
//! ```text
//!  engine over a store in a directory: a file, a commit; another, another; two more fsynced --closed, or copied as killed-->
//!      copy: a bit of RocksDB's log flipped | no marks
//!      open: every file is there, or the loss is told and the older ones are there; accepted, it goes on
//! ```
//!
//! RocksDB drops what lies behind the damage without a word, the newest head with it.

use cairn_fs::{Config, Engine, InodeNo, Quota, Time};
use cairn_store::{RocksStore, StoreOptions};
use cairn_tests::on_disk::{copy_of, flip};
use cairn_tests::sample::{self, put_file};
use cairn_tests::volume::{self, config};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

/// Each of its own commit, and behind the last of those, each of its own fsync.
const COMMITTED: usize = 4;
const FILES: usize = 6;
/// Every so many bytes of the log a bit is flipped.
const STEP: usize = 37;

fn name(n: usize) -> String {
    format!("file-{n}")
}

fn bytes(n: usize) -> Vec<u8> {
    vec![n as u8; 9000 + n]
}

/// A store with [`FILES`] files: closed, or as a kill leaves it.
fn store(killed: bool) -> TempDir {
    let dir = tempfile::tempdir().expect("there is a place for it");
    let store =
        RocksStore::create(dir.path(), &StoreOptions::default()).expect("an empty directory takes a store");
    let quota = Quota {
        bytes: None,
        inodes: None,
    };
    volume::create_with(&store, quota, 128 << 10).expect("an empty store takes a volume");
    drop(store);
    let store = RocksStore::open(dir.path(), &StoreOptions::default()).expect("the store opens");
    let engine = volume::open(Arc::new(store), 2).expect("a new volume opens");
    for n in 0..FILES {
        let ino = put_file(&engine, InodeNo::ROOT, &name(n), &bytes(n)).expect("there is room");
        match n < COMMITTED {
            true => engine.commit().expect("a healthy store takes a commit"),
            false => engine.fsync(ino, false).expect("a healthy store takes the log"),
        }
    }
    let copy = killed.then(|| copy_of(dir.path()));
    engine.close().expect("a healthy store closes");
    drop(engine);
    copy.unwrap_or(dir)
}

/// RocksDB's logs, in the order of their numbers.
fn logs(dir: &Path) -> Vec<PathBuf> {
    let files = fs::read_dir(dir).expect("a store is a directory");
    let mut logs: Vec<_> = files
        .map(|file| file.expect("it can be read").path())
        .filter(|path| path.extension().is_some_and(|is| is == "log"))
        .collect();
    logs.sort();
    logs
}

/// Opens the volume and counts the files from the first on that are there.
fn open(dir: &Path, config: Config, what: &str) -> (usize, Arc<Engine>) {
    let store = RocksStore::open(dir, &StoreOptions::default())
        .unwrap_or_else(|error| panic!("{what}: the store does not open: {error}"));
    let store = Arc::new(store);
    let key = volume::key_of(&*store).unwrap_or_else(|error| panic!("{what}: {error}"));
    let engine = Engine::open(store, key, config, Time(9))
        .unwrap_or_else(|error| panic!("{what}: the volume does not open: {error}"));
    let found: Vec<bool> = (0..FILES)
        .map(|n| match sample::read(&engine, &name(n)) {
            Ok(seen) => {
                assert_eq!(seen.bytes(), bytes(n), "{what}: file {n}");
                true
            }
            Err(_) => false,
        })
        .collect();
    let count = found.iter().take_while(|found| **found).count();
    assert!(found[count..].iter().all(|found| !found), "{what}: {found:?}");
    (count, engine)
}

/// How many of the files were there with a bit of the log altered, and whether a loss was told: one
/// or the other each time.
fn altered(whole: &Path) -> Vec<(usize, bool)> {
    let mut outcomes = Vec::new();
    for log in logs(whole) {
        let len = fs::metadata(&log).expect("it is there").len();
        for at in (0..len).step_by(STEP) {
            let copy = copy_of(whole);
            let log = copy.path().join(log.file_name().expect("a log has a name"));
            flip(&log, at, at % 8);
            outcomes.push(opened(copy.path(), &format!("byte {at} of {}", log.display())));
        }
    }
    outcomes
}

/// Opens a volume that is perhaps damaged, and goes on with it.
fn opened(dir: &Path, what: &str) -> (usize, bool) {
    let (count, engine) = open(dir, config(), what);
    let told = engine.log_loss().is_some();
    // It is also told where the commit that is lost held no more than the ones before it and the
    // log.
    assert!(told || count == FILES, "{what}: {count} files");
    assert_eq!(engine.is_read_only(), told, "{what}");
    engine.close().expect("a healthy store closes");
    drop(engine);
    // Told again, until it is accepted; then it is past.
    if told {
        let (again, engine) = open(dir, config(), what);
        assert_eq!((again, engine.log_loss().is_some()), (count, true), "{what}");
    }
    let accept = Config {
        accept_log_loss: true,
        ..config()
    };
    let (again, engine) = open(dir, accept, what);
    assert_eq!((again, engine.log_loss().is_some()), (count, told), "{what}");
    put_file(&engine, InodeNo::ROOT, "more", b"more").unwrap_or_else(|error| panic!("{what}: {error}"));
    engine.close().expect("a healthy store closes");
    drop(engine);
    let (again, engine) = open(dir, config(), what);
    assert_eq!((again, engine.log_loss().is_some()), (count, false), "{what}");
    assert!(sample::read(&engine, "more").is_ok(), "{what}");
    let report = engine.check(&|_| {}).expect("a healthy store is read");
    assert!(report.damaged.is_empty(), "{what}: {:?}", report.damaged);
    engine.close().expect("a healthy store closes");
    (count, told)
}

#[test]
fn one_bit_of_the_indexs_log_of_a_closed_volume_is_never_a_silent_loss() {
    let outcomes = altered(store(false).path());
    assert!(
        outcomes.contains(&(FILES, false)),
        "the last commit comes back where its blocks are there"
    );
    assert!(
        outcomes.iter().any(|(count, _)| *count < FILES),
        "not where those are lost"
    );
}

#[test]
fn one_bit_of_the_indexs_log_of_a_killed_daemon_is_never_a_silent_loss() {
    let outcomes = altered(store(true).path());
    assert!(outcomes.iter().any(|(count, _)| *count < FILES));
}

#[test]
fn a_commit_that_a_crash_cut_off_behind_its_twin_is_no_loss_and_leaks_nothing() {
    let whole = store(false);
    // What a cut leaves: a twin of the swap that was never done, and no mark that says it was.
    let log = logs(whole.path()).pop().expect("there is a log");
    let len = fs::metadata(&log).expect("it is there").len();
    fs::File::options()
        .write(true)
        .open(&log)
        .and_then(|file| file.set_len(len - 1))
        .expect("it can be cut");
    fs::remove_file(whole.path().join("intent/marks")).expect("there are marks");
    let (count, engine) = open(whole.path(), config(), "cut");
    assert!(count >= COMMITTED);
    assert!(engine.log_loss().is_none());
    engine.commit().expect("a healthy store takes a commit");
    volume::require_clean(&engine).expect("nothing is left of the commit that was cut off");
    engine.close().expect("a healthy store closes");
}
