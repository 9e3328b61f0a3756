//! The intent log of a killed daemon on disk, with one bit, one segment or all of it altered.
//!
//! ```text
//!  engine over a store in a directory: 100 files, each fsynced; no commit --copied as a kill leaves it-->
//!      copy: a bit flipped somewhere in a segment | a segment gone, empty, cut, exchanged | marks gone
//!      open: every file is there, or the loss is told and a prefix of them is there
//! ```

use cairn_fs::{Config, Engine, Error, InodeNo, Quota, Time};
use cairn_store::{RocksStore, StoreOptions};
use cairn_tests::on_disk::{copy_of, flip};
use cairn_tests::op::Dice;
use cairn_tests::sample::{self, put_file};
use cairn_tests::volume::{self, config};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tempfile::TempDir;

const FILES: usize = 100;

fn name(n: usize) -> String {
    format!("file-{n:03}")
}

/// About a tenth of a megabyte each, so that the log takes three segments.
fn bytes(n: usize) -> Vec<u8> {
    vec![n as u8; 60_000 + 700 * n]
}

/// The store of a daemon that was killed when every file had been fsynced.
fn killed() -> TempDir {
    let dir = tempfile::tempdir().expect("there is a place for it");
    let store =
        RocksStore::create(dir.path(), &StoreOptions::default()).expect("an empty directory takes a store");
    let store = Arc::new(store);
    let quota = Quota {
        bytes: None,
        inodes: None,
    };
    volume::create_with(&*store, quota, 128 << 10).expect("an empty store takes a volume");
    let engine = volume::open(store, 2).expect("a new volume opens");
    for n in 0..FILES {
        let ino = put_file(&engine, InodeNo::ROOT, &name(n), &bytes(n)).expect("there is room");
        engine.fsync(ino, false).expect("a healthy store takes the log");
    }
    let copy = copy_of(dir.path());
    engine.close().expect("a healthy store closes");
    copy
}

/// Segments that records lie in, in their order.
fn segments(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir.join("intent")).expect("a store has a log");
    let paths = entries.map(|entry| entry.expect("it can be read").path());
    let mut used: Vec<_> = paths
        .filter(|path| path.file_name().is_some_and(|name| name != "marks"))
        .filter(|path| {
            fs::read(path)
                .expect("a segment can be read")
                .starts_with(b"cairnlog")
        })
        .collect();
    used.sort();
    used
}

/// Where the last record ends that a segment of a young store has: only zeros are behind.
fn end_of(segment: &Path) -> u64 {
    let bytes = fs::read(segment).expect("a segment can be read");
    bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last as u64 + 1)
}

/// Opens the volume, and answers how many of the files are there: a prefix, as they were fsynced.
/// Fewer than all is told.
fn told(dir: &Path, how: Config, what: &str) -> (usize, Arc<Engine>) {
    let store =
        RocksStore::open(dir, &StoreOptions::default()).unwrap_or_else(|error| panic!("{what}: {error}"));
    let store = Arc::new(store);
    let key = volume::key_of(&*store).unwrap_or_else(|error| panic!("{what}: {error}"));
    let engine = Engine::open(store, key, how, Time(9)).unwrap_or_else(|error| panic!("{what}: {error}"));
    let found: Vec<bool> = (0..FILES)
        .map(|n| match sample::read(&engine, &name(n)) {
            Ok(seen) => seen.bytes() == bytes(n),
            Err(Error::NoEntry) => false,
            Err(error) => panic!("{what}, file {n}: {error}"),
        })
        .collect();
    let count = found.iter().take_while(|found| **found).count();
    assert!(
        found[count..].iter().all(|found| !found),
        "{what}: a prefix of the files"
    );
    let loss = engine.log_loss().map(|loss| loss.records);
    assert_eq!(
        loss.unwrap_or(0),
        (FILES - count) as u64,
        "{what}: as many as are lost"
    );
    if count < FILES {
        let report = engine
            .check(&|_| {})
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(report.damaged.is_empty(), how.accept_log_loss, "{what}");
        assert_eq!(engine.is_read_only(), !how.accept_log_loss, "{what}");
    }
    (count, engine)
}

fn close(engine: &Engine) {
    engine.close().expect("a healthy store closes");
}

#[test]
fn one_bit_of_a_killed_daemons_log_is_never_a_silent_loss() {
    let killed = killed();
    let used = segments(killed.path());
    assert!(used.len() >= 3, "the log takes several segments");
    let mut dice = Dice::new(31);
    let mut shorter = 0;
    for round in 0..48 {
        let copy = copy_of(killed.path());
        let segment = &segments(copy.path())[round % used.len()];
        // Heads of records, too: they are few, and each of their bits matters to the store.
        let at = match round % 8 {
            0 => dice.below(52),
            _ => dice.below(end_of(segment)),
        };
        let what = format!("round {round}: byte {at} of {}", segment.display());
        flip(segment, at, dice.below(8));
        let (count, engine) = told(copy.path(), config(), &what);
        assert!(count < FILES, "{what}: every bit below the mark matters");
        shorter += usize::from(count < FILES);
        close(&engine);
        if round % 8 < 2 {
            let accept = Config {
                accept_log_loss: true,
                ..config()
            };
            drop(engine);
            let (again, engine) = told(copy.path(), accept, &what);
            assert_eq!(again, count, "{what}");
            put_file(&engine, InodeNo::ROOT, "more", b"more")
                .unwrap_or_else(|error| panic!("{what}: {error}"));
            close(&engine);
            drop(engine);
            let store = RocksStore::open(copy.path(), &StoreOptions::default()).expect("the store opens");
            let engine = volume::open(Arc::new(store), 9).expect("the volume goes on");
            volume::require_clean(&engine).unwrap_or_else(|why| panic!("{what}: {why}"));
            assert!(engine.log_torn().is_none(), "{what}: what was lost is past");
            close(&engine);
        }
    }
    assert_eq!(shorter, 48);
}

#[test]
fn segments_that_are_gone_cut_emptied_or_exchanged_are_told_and_those_of_one_use_may_change_names() {
    let killed = killed();
    let last = segments(killed.path()).len() - 1;
    type Alter = fn(&[PathBuf]);
    let alterations: [(&str, Alter); 7] = [
        ("the first is gone", |all| {
            fs::remove_file(&all[0]).expect("it is there")
        }),
        ("the last is gone", |all| {
            fs::remove_file(&all[all.len() - 1]).expect("it is there")
        }),
        ("all are gone", |all| {
            all.iter()
                .for_each(|path| fs::remove_file(path).expect("it is there"))
        }),
        ("the second is empty", |all| {
            fs::write(&all[1], b"").expect("it can be written")
        }),
        ("the second is zeros", |all| {
            fs::write(&all[1], vec![0; 4 << 20]).expect("it can be written")
        }),
        ("the second is cut", |all| {
            let file = fs::File::options()
                .write(true)
                .open(&all[1])
                .expect("it is there");
            file.set_len(1_000_000).expect("it can be cut");
        }),
        ("the second is a copy of the first", |all| {
            _ = fs::copy(&all[0], &all[1]).expect("it can be copied")
        }),
    ];
    assert!(last >= 2);
    for (what, alter) in alterations {
        let copy = copy_of(killed.path());
        alter(&segments(copy.path()));
        let (count, engine) = told(copy.path(), config(), what);
        assert!(count < FILES, "{what}");
        close(&engine);
    }
    // A segment says itself what it holds.
    let copy = copy_of(killed.path());
    let all = segments(copy.path());
    let aside = copy.path().join("intent/aside");
    fs::rename(&all[0], &aside).expect("it is there");
    fs::rename(&all[1], &all[0]).expect("it is there");
    fs::rename(&aside, &all[1]).expect("it is there");
    let (count, engine) = told(copy.path(), config(), "names exchanged");
    assert_eq!(count, FILES);
    close(&engine);
}

#[test]
fn without_marks_the_records_tell_all_but_the_last_and_marks_alone_cost_nothing() {
    let killed = killed();
    let marks = |copy: &TempDir| fs::remove_file(copy.path().join("intent/marks")).expect("there are marks");
    let copy = copy_of(killed.path());
    marks(&copy);
    let (count, engine) = told(copy.path(), config(), "no marks");
    assert_eq!(count, FILES);
    close(&engine);
    let copy = copy_of(killed.path());
    marks(&copy);
    let all = segments(copy.path());
    flip(&all[0], 100_000, 0);
    let (count, engine) = told_without_the_last(copy.path(), "no marks, a bit of the first segment");
    assert!(count < FILES / 2);
    close(&engine);
    // The end, and nothing says that there was more: a write that a crash cut off.
    let copy = copy_of(killed.path());
    marks(&copy);
    let end = &all[all.len() - 1];
    let end = copy
        .path()
        .join("intent")
        .join(end.file_name().expect("a segment has a name"));
    flip(&end, end_of(&end) - 5, 0);
    let store = RocksStore::open(copy.path(), &StoreOptions::default()).expect("the store opens");
    let engine = volume::open(Arc::new(store), 9).expect("the volume goes on");
    assert!(engine.log_loss().is_none() && engine.log_torn().is_some());
    assert!(sample::read(&engine, &name(FILES - 2)).is_ok());
    assert!(matches!(
        sample::read(&engine, &name(FILES - 1)),
        Err(Error::NoEntry)
    ));
    volume::require_clean(&engine).expect("the volume is whole");
    close(&engine);
}

/// As [`told`] where the last record is known to nobody but itself.
fn told_without_the_last(dir: &Path, what: &str) -> (usize, Arc<Engine>) {
    let store = RocksStore::open(dir, &StoreOptions::default()).expect("the store opens");
    let engine = volume::open(Arc::new(store), 9).expect("the volume opens");
    let count = (0..FILES)
        .take_while(|n| sample::read(&engine, &name(*n)).is_ok())
        .count();
    let loss = engine
        .log_loss()
        .unwrap_or_else(|| panic!("{what}: nothing is told"));
    assert_eq!(loss.records, (FILES - 1 - count) as u64, "{what}");
    (count, engine)
}
