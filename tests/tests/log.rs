//! Logs that are not what was written, of a daemon that was killed and of a power cut.
//!
//! ```text
//!  LOGGED, one fsync each --> records 0 1 2 3 4, each says what was durable before it; the marks say it of all five
//!     |  alter                                                   (killed: with the marks; crashed: without)
//!     v
//!  open: files before the damage are there, none behind it; a loss is told where something said that there was more
//! ```

use bytes::Bytes;
use cairn_fs::{Config, Engine, Error, InodeNo, LogLoss, Quota, Result, Time};
use cairn_merkle::testing::{FaultStore, Op, TestRng};
use cairn_merkle::{Epoch, Heads, LogPos, MemoryStore};
use cairn_tests::op::Dice;
use cairn_tests::sample::{self, LOGGED};
use cairn_tests::volume::{self, Copy, config};
use cairn_tests::watched::{Call, Watched};
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// For what comes in a moment, or never.
const PATIENCE: Duration = Duration::from_secs(60);

type Log = Vec<(LogPos, Bytes)>;

/// How an altered log is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum How {
    ReadOnly,
    Writing,
    AcceptingLoss,
}

fn open(store: Arc<MemoryStore>, how: How) -> Result<Arc<Engine>> {
    let config = Config {
        read_only: how == How::ReadOnly,
        accept_log_loss: how == How::AcceptingLoss,
        ..config()
    };
    let key = volume::key_of(&*store)?;
    Engine::open(store, key, config, Time(60))
}

fn with_log(copy: &Copy, log: &[(LogPos, Bytes)]) -> Copy {
    Copy {
        log: log.to_vec(),
        ..copy.clone()
    }
}

fn without_marks(copy: &Copy) -> Copy {
    Copy {
        marks: Vec::new(),
        ..copy.clone()
    }
}

fn flipped(copy: &Copy, at: usize, bit: usize) -> Copy {
    let mut copy = copy.clone();
    let mut record = copy.log[at].1.to_vec();
    record[bit / 8] ^= 1 << (bit % 8);
    copy.log[at].1 = record.into();
    copy
}

/// How many of the logged files are there: those before the first that is not, with what was
/// fsynced.
fn replayed(engine: &Engine, what: &str) -> usize {
    let found: Vec<bool> = LOGGED
        .iter()
        .enumerate()
        .map(|(n, file)| match sample::read(engine, file) {
            Ok(seen) => {
                assert_eq!(seen.bytes(), sample::logged_bytes(n), "{what}, {file}");
                true
            }
            Err(Error::NoEntry) => false,
            Err(error) => panic!("{what}, {file}: {error}"),
        })
        .collect();
    let count = found.iter().take_while(|found| **found).count();
    assert!(
        found[count..].iter().all(|found| !found),
        "{what}: nothing behind a loss: {found:?}"
    );
    count
}

/// Requires that a volume whose log is whole up to `count` records tells the loss of the rest in
/// each way to open it, and goes on where that was asked for.
fn require_loss(copy: &Copy, count: usize, what: &str) -> LogLoss {
    let store = copy.clone().into_memory();
    for how in [How::ReadOnly, How::Writing] {
        let engine = open(store.clone(), how).unwrap_or_else(|error| panic!("{what}, {how:?}: {error}"));
        assert_eq!(replayed(&engine, what), count, "{what}, {how:?}");
        assert!(
            engine.is_read_only() && engine.status().read_only.is_some(),
            "{what}, {how:?}"
        );
        assert!(
            matches!(engine.require_log(), Err(Error::LogDamaged(_))),
            "{what}"
        );
        let report = engine
            .check(&|_| {})
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        let named = |path: &[u8]| report.damaged.iter().any(|damage| damage.path == path);
        assert!(named(b"(intent log)"), "{what}: {:?}", report.damaged);
        let refused = sample::put_file(&engine, InodeNo::ROOT, "more", b"more");
        assert!(
            matches!(refused, Err(Error::ReadOnly(_))),
            "{what}, {how:?}: {refused:?}"
        );
        engine.close().unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(Copy::of(&*store), *copy, "{what}, {how:?}: nothing is written");
    }
    let engine = open(store.clone(), How::AcceptingLoss).unwrap_or_else(|error| panic!("{what}: {error}"));
    let loss = engine
        .log_loss()
        .unwrap_or_else(|| panic!("{what}: no loss is told"))
        .clone();
    assert_eq!(replayed(&engine, what), count, "{what}");
    sample::put_file(&engine, InodeNo::ROOT, "more", b"more")
        .unwrap_or_else(|error| panic!("{what}: {error}"));
    engine.close().unwrap_or_else(|error| panic!("{what}: {error}"));
    require_goes_on(store, count, what);
    loss
}

/// Requires that the volume opens for writing with so many files of the log, and is whole.
fn require_goes_on(store: Arc<MemoryStore>, count: usize, what: &str) {
    let engine = open(store, How::Writing).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(replayed(&engine, what), count, "{what}");
    volume::require_clean(&engine).unwrap_or_else(|why| panic!("{what}: {why}"));
    engine.close().unwrap_or_else(|error| panic!("{what}: {error}"));
}

/// Requires that the end of this log is taken for one that a crash cut off.
fn require_torn(copy: &Copy, count: usize, what: &str) {
    let store = copy.clone().into_memory();
    let engine = open(store.clone(), How::Writing).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(engine.log_loss(), None, "{what}");
    assert!(
        engine.log_torn().is_some(),
        "{what}: what does not verify is told"
    );
    assert_eq!(replayed(&engine, what), count, "{what}");
    volume::require_clean(&engine).unwrap_or_else(|why| panic!("{what}: {why}"));
    engine.close().unwrap_or_else(|error| panic!("{what}: {error}"));
    // Once: the log has begun anew.
    let engine = open(store, How::ReadOnly).unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(engine.log_torn(), None, "{what}");
    assert_eq!(replayed(&engine, what), count, "{what}");
}

/// Bits worth flipping: all of version, previous tag and the first of the ciphertext, and of the
/// tag; some of the rest.
fn bits(record: &Bytes) -> Vec<usize> {
    let bits = record.len() * 8;
    (0..160)
        .step_by(5)
        .chain((160..bits).step_by(997))
        .chain((bits - 128..bits).step_by(31))
        .collect()
}

#[test]
fn any_bit_below_the_last_mark_is_a_loss_that_is_told() {
    let copy = sample::killed(&sample::closed());
    assert_eq!(copy.log.len(), LOGGED.len(), "one record for each fsync");
    for at in 0..copy.log.len() {
        for bit in bits(&copy.log[at].1) {
            let what = format!("bit {bit} of record {at}");
            let loss = require_loss(&flipped(&copy, at, bit), at, &what);
            let lost = &copy.log[at..];
            assert_eq!(loss.records, lost.len() as u64, "{what}");
            let bytes: usize = lost.iter().map(|(_, record)| record.len()).sum();
            assert_eq!(loss.bytes, bytes as u64, "{what}");
            assert_eq!(loss.whole, loss.records - 1, "{what}");
            assert_eq!(loss.until, Some(Time(10)), "{what}");
            assert_eq!(loss.from, (at > 0).then_some(Time(10)), "{what}");
        }
    }
}

#[test]
fn without_the_marks_each_record_says_it_of_those_before() {
    let copy = sample::crashed(&sample::closed());
    assert!(copy.marks.is_empty());
    let last = copy.log.len() - 1;
    for at in 0..=last {
        for bit in bits(&copy.log[at].1).into_iter().step_by(3) {
            let (what, altered) = (format!("bit {bit} of record {at}"), flipped(&copy, at, bit));
            match at == last {
                false => assert_eq!(
                    require_loss(&altered, at, &what).records,
                    (last - at) as u64,
                    "{what}"
                ),
                true => require_torn(&altered, at, &what),
            }
        }
    }
}

#[test]
fn a_log_that_lost_its_end_is_told_from_one_that_ended_there_by_the_marks_alone() {
    let killed = sample::killed(&sample::closed());
    for kept in 0..killed.log.len() {
        let what = format!("{kept} kept");
        let cut = with_log(&killed, &killed.log[..kept]);
        let loss = require_loss(&cut, kept, &what);
        assert_eq!(
            (loss.records, loss.whole),
            ((killed.log.len() - kept) as u64, 0),
            "{what}"
        );
        // Cut together with the marks, it is a log that ended there.
        require_goes_on(without_marks(&cut).into_memory(), kept, &what);
    }
    require_goes_on(killed.into_memory(), LOGGED.len(), "whole");
}

fn after(pos: LogPos) -> LogPos {
    LogPos {
        seq: pos.seq + 1,
        ..pos
    }
}

/// Every other log made of this one: what is wrong with it, how many records come before that,
/// whether one behind them says that there were more, and the log.
fn altered_logs(log: &Log, foreign: &Log) -> Vec<(String, usize, bool, Log)> {
    let mut altered = Vec::new();
    for (at, (_, record)) in log.iter().enumerate() {
        let with = |bytes: Bytes| {
            let mut log = log.clone();
            log[at].1 = bytes;
            log
        };
        let more = at + 1 < log.len();
        for len in [0, 1, 20, record.len() - 1] {
            altered.push((
                format!("record {at} cut short"),
                at,
                more,
                with(record.slice(..len)),
            ));
        }
        let other = with(foreign[at].1.clone());
        altered.push((format!("a record of another mount at {at}"), at, more, other));
        let newer = [&[9], &record[1..]].concat();
        altered.push((
            format!("record {at} of another version"),
            at,
            more,
            with(newer.into()),
        ));
        if let Some((_, next)) = log.get(at + 1) {
            let gap = [&log[..at], &log[at + 1..]].concat();
            altered.push((format!("record {at} dropped"), at, true, gap));
            let mut swapped = with(next.clone());
            swapped[at + 1].1 = record.clone();
            // Those behind the two say that both were there.
            altered.push((
                format!("record {at} swapped with the next"),
                at,
                at + 2 < log.len(),
                swapped,
            ));
            let moved: Log = log[at..]
                .iter()
                .zip(&log[at + 1..])
                .map(|((pos, _), (_, next))| (*pos, next.clone()))
                .collect();
            // None of them opens where it is.
            altered.push((
                format!("records behind {at} moved up"),
                at,
                false,
                [&log[..at], &moved].concat(),
            ));
        }
    }
    altered
}

#[test]
fn no_log_with_a_gap_a_swap_a_copy_or_a_foreign_record_is_silently_shorter() {
    let base = sample::closed();
    let (copy, foreign) = (sample::killed(&base), sample::killed(&base).log);
    for (what, count, more, log) in altered_logs(&copy.log, &foreign) {
        let altered = with_log(&copy, &log);
        require_loss(&altered, count, &what);
        match more {
            true => _ = require_loss(&without_marks(&altered), count, &format!("{what}, no marks")),
            false => require_torn(&without_marks(&altered), count, &format!("{what}, no marks")),
        }
    }
    for (at, (_, record)) in copy.log.iter().enumerate() {
        let end = after(copy.log[copy.log.len() - 1].0);
        let log = [&copy.log[..], &[(end, record.clone())]].concat();
        require_torn(
            &with_log(&copy, &log),
            LOGGED.len(),
            &format!("record {at} again at the end"),
        );
    }
}

#[test]
fn the_log_of_another_mount_is_a_loss_and_an_old_one_is_past() {
    let base = sample::closed();
    let (copy, foreign) = (sample::killed(&base), sample::killed(&base));
    require_loss(&with_log(&copy, &foreign.log), 0, "the log of another mount");
    // With its marks too, there is nothing that this mount has written.
    let both = Copy {
        marks: foreign.marks,
        ..with_log(&copy, &foreign.log)
    };
    require_torn(&both, 0, "log and marks of another mount");
    // Records of epochs that a commit has closed say nothing any more, whoever wrote them.
    let past = |(pos, record): &(LogPos, Bytes)| {
        let epoch = Epoch(1);
        (LogPos { epoch, ..*pos }, record.clone())
    };
    let past: Log = copy.log.iter().map(past).collect();
    require_goes_on(
        without_marks(&with_log(&copy, &past)).into_memory(),
        0,
        "a log of the past",
    );
}

#[test]
fn a_store_that_names_any_position_is_answered() {
    let copy = sample::killed(&sample::closed());
    for (epoch, seq) in [
        (u64::MAX, u64::MAX),
        (u64::MAX, 0),
        (copy.log[0].0.epoch.0, u64::MAX),
    ] {
        let epoch = Epoch(epoch);
        let log = [
            &copy.log[..],
            &[(LogPos { epoch, seq }, Bytes::from_static(b"record"))],
        ]
        .concat();
        require_torn(&with_log(&copy, &log), LOGGED.len(), "a record far away");
    }
}

/// Whatever is altered, and however much: a prefix is replayed, and one that lacks what a mark or a
/// later record names is told.
#[test]
fn random_damage_to_log_and_marks_leaves_a_prefix_and_no_silence() {
    let copy = sample::killed(&sample::closed());
    let mut dice = Dice::new(17);
    for round in 0..150 {
        let (mut altered, mut bad, mut marks) = (copy.clone(), Vec::new(), copy.marks.len());
        for _ in 0..=dice.below(3) {
            let at = dice.below((copy.log.len() + copy.marks.len()) as u64) as usize;
            let flip = |bytes: &mut Bytes, bit: usize| {
                let mut flipped = bytes.to_vec();
                flipped[bit / 8 % bytes.len()] ^= 1 << (bit % 8);
                *bytes = flipped.into();
            };
            match at.checked_sub(copy.log.len()) {
                None if bad.contains(&at) => {}
                None => {
                    bad.push(at);
                    flip(&mut altered.log[at].1, dice.below(1 << 20) as usize);
                }
                Some(mark) if altered.marks[mark] == copy.marks[mark] => {
                    marks -= 1;
                    flip(&mut altered.marks[mark], dice.below(1 << 20) as usize);
                }
                Some(_) => {}
            }
        }
        let what = format!("round {round}: records {bad:?}, {marks} marks left");
        let engine = open(altered.clone().into_memory(), How::ReadOnly)
            .unwrap_or_else(|error| panic!("{what}: {error}"));
        let first = bad.iter().min().copied().unwrap_or(LOGGED.len());
        assert_eq!(replayed(&engine, &what), first, "{what}");
        // The older mark covers all but the last record, and so does the last record.
        let last = LOGGED.len() - 1;
        let newest = altered.marks.last() == copy.marks.last();
        let told = newest || (first < last && (marks > 0 || !bad.contains(&last)));
        if first < LOGGED.len() && told {
            assert!(engine.log_loss().is_some(), "{what}");
        }
        assert_eq!(
            first == LOGGED.len(),
            engine.log_loss().is_none() && engine.log_torn().is_none(),
            "{what}"
        );
    }
}

#[test]
fn an_fsync_whose_mark_cannot_be_written_is_durable_all_the_same() {
    let store = Arc::new(FaultStore::new(MemoryStore::new()));
    let engine = volume::create_and_open(store.clone()).expect("a new volume opens");
    let before = store.count(Op::LogMark);
    // Of the commit that the opening made.
    let marks = Copy::of(&*store).marks;
    store.fail_from_nth(Op::LogMark, 0);
    for (n, file) in LOGGED.iter().enumerate() {
        let ino =
            sample::put_file(&engine, InodeNo::ROOT, file, &sample::logged_bytes(n)).expect("there is room");
        engine
            .fsync(ino, false)
            .expect("the mark is not what it waits for");
    }
    assert_eq!(
        store.count(Op::LogMark) - before,
        LOGGED.len() as u64,
        "one mark for each sync"
    );
    let copy = Copy::of(&*store);
    assert_eq!(copy.marks, marks);
    require_goes_on(copy.into_memory(), LOGGED.len(), "no marks");
    engine.close().expect("a healthy store closes");
}

#[test]
fn a_mark_follows_each_sync_and_no_sync_follows_a_mark() {
    let store = Arc::new(FaultStore::new(MemoryStore::new()));
    let engine = volume::create_and_open(store.clone()).expect("a new volume opens");
    let ino = sample::put_file(&engine, InodeNo::ROOT, "file", b"bytes").expect("there is room");
    let counts = || [Op::LogAppend, Op::Sync, Op::LogMark].map(|op| store.count(op));
    let before = counts();
    engine.fsync(ino, false).expect("a healthy store takes the log");
    let [append, sync, mark] = counts();
    assert_eq!(
        [append - before[0], sync - before[1], mark - before[2]],
        [1, 0, 1]
    );
    // Nothing was written since: no append, no mark.
    engine.fsync(ino, false).expect("a healthy store takes the log");
    assert_eq!(counts(), [append, sync, mark]);
    engine.close().expect("a healthy store closes");
}

#[test]
fn a_mark_comes_a_moment_after_a_sync_with_nobody_waiting_for_it() {
    let store = Arc::new(MemoryStore::new());
    let (tell, marked) = mpsc::channel();
    let watched = Watched::new(store.clone(), move |call| {
        if matches!(call, Call::LogMark) {
            // The test may have ended.
            let _ = tell.send(());
        }
    });
    volume::create(&*store, Quota::default()).expect("an empty store takes a volume");
    let key = volume::key_of(&*store).expect("the volume has its key");
    let config = Config {
        mark_delay: Duration::from_millis(1),
        ..config()
    };
    let engine = Engine::open(Arc::new(watched), key, config, Time(2)).expect("a new volume opens");
    for (n, file) in LOGGED.iter().enumerate() {
        let ino =
            sample::put_file(&engine, InodeNo::ROOT, file, &sample::logged_bytes(n)).expect("there is room");
        engine.fsync(ino, false).expect("a healthy store takes the log");
        marked.recv_timeout(PATIENCE).expect("a mark comes");
    }
    // The mark before the last one, at least, has been written.
    let copy = Copy::of(&*store);
    assert!(!copy.marks.is_empty());
    require_loss(&flipped(&copy, 2, 300), 2, "a bit of the third record");
    engine.close().expect("a healthy store closes");
}

#[test]
fn what_would_write_to_a_store_that_is_not_mounted_is_refused_after_a_loss() {
    let copy = flipped(&sample::killed(&sample::closed()), 1, 400);
    let store = copy.clone().into_memory();
    let key = volume::key_of(&*store).expect("the volume has its key");
    let stored = store.header().ok().flatten().expect("a volume has a header");
    let header = cairn_merkle::Header::decode(&stored).expect("the header is whole");
    let slot = cairn_merkle::SlotKey {
        kind: cairn_merkle::SlotKind::KeyFile,
        kek: cairn_merkle::Kek::from_bytes([9; 32]),
    };
    let renewed = header
        .rekey(&mut TestRng::new(5), &key, &[slot])
        .expect("one slot is allowed");
    let refused = cairn_fs::rekey(store.clone(), key, &header, &renewed);
    assert!(matches!(refused, Err(Error::LogDamaged(_))), "{refused:?}");
    assert_eq!(Copy::of(&*store), copy, "nothing is written");
}
