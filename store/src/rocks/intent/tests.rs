//! The log in a directory: its records after a reopen, whole, broken and used again.

use super::head::{HEAD_LEN, Head};
use super::*;

fn pos(epoch: u64, seq: u64) -> LogPos {
    LogPos {
        epoch: Epoch(epoch),
        seq,
    }
}

fn log() -> (tempfile::TempDir, IntentLog) {
    let dir = tempfile::tempdir().unwrap();
    IntentLog::create(dir.path()).unwrap();
    let log = reopen(&dir);
    (dir, log)
}

fn reopen(dir: &tempfile::TempDir) -> IntentLog {
    IntentLog::open(dir.path(), None, Use::FIRST, Access::Write).unwrap()
}

fn all(log: &IntentLog) -> Vec<(LogPos, Bytes)> {
    log.read(pos(0, 0), usize::MAX)
}

#[test]
fn records_follow_each_other_whether_synced_at_once_or_later() {
    let (dir, mut log) = log();
    let mut written = Vec::new();
    for seq in 0..60 {
        let record = (
            pos(1, seq),
            Bytes::from(vec![seq as u8; (seq as usize * 97) % 1500]),
        );
        let soon = if seq % 7 < 3 { Soon::Later } else { Soon::Now };
        log.write(std::slice::from_ref(&record), soon).unwrap();
        written.push(record);
        if seq % 5 == 0 {
            log.take_unsynced();
        }
        assert_eq!(all(&reopen(&dir)), written);
    }
    assert_eq!(all(&log), written);
}

fn files(dir: &tempfile::TempDir) -> usize {
    // Without that of the marks.
    fs::read_dir(dir.path().join(DIR)).unwrap().count() - 1
}

#[test]
fn records_come_back_after_a_reopen_whatever_their_size() {
    let (dir, mut log) = log();
    let sizes = [
        0,
        1,
        4096,
        (SEGMENT_BYTES / 2) as usize,
        SEGMENT_BYTES as usize,
        3 << 20,
        7,
    ];
    let records: Vec<_> = sizes
        .iter()
        .zip(0..)
        .map(|(size, seq)| (pos(3, seq), Bytes::from(vec![seq as u8; *size])))
        .collect();
    log.write(&records[..3], Soon::Now).unwrap();
    log.write(&records[3..], Soon::Later).unwrap();
    assert_eq!(all(&log), records);
    let again = reopen(&dir);
    assert_eq!(all(&again), records);
    assert!(all(&IntentLog::open(dir.path(), Some(Epoch(3)), Use::FIRST, Access::Write).unwrap()).is_empty());
}

/// Three records of 100 bytes, in one append.
fn three() -> [(LogPos, Bytes); 3] {
    [0, 1, 2].map(|seq| (pos(1, seq), Bytes::from(vec![seq as u8; 100])))
}

/// Alters a byte of the first segment.
fn alter(dir: &tempfile::TempDir, at: usize) {
    let path = path_of(&dir.path().join(DIR), 0);
    let mut bytes = fs::read(&path).unwrap();
    bytes[at] ^= 0xff;
    fs::write(&path, bytes).unwrap();
}

#[test]
fn what_lies_behind_a_broken_record_is_handed_on_too() {
    let step = HEAD_LEN + 100;
    for at in 0..3 * step {
        let (dir, mut log) = log();
        log.write(&three(), Soon::Now).unwrap();
        alter(&dir, at);
        let log = reopen(&dir);
        let (broken, within) = (at / step, at % step);
        let found = all(&log);
        let others = |(pos, _): &&(LogPos, Bytes)| pos.seq != broken as u64;
        assert_eq!(found.iter().filter(others).count(), 2, "byte {at}");
        assert!(found.iter().filter(others).all(|record| three().contains(record)));
        // A record whose head is whole is handed on as it is.
        let head = within < HEAD_LEN;
        assert_eq!(found.len(), if head { 2 } else { 3 }, "byte {at}");
        let place = format!("{DIR}/00000 at byte {}", broken * step);
        assert_eq!(log.broken(), if head { vec![place] } else { vec![] }, "byte {at}");
    }
}

#[test]
fn a_log_that_was_replayed_is_past_for_good() {
    let (dir, mut log) = log();
    log.write(&three(), Soon::Now).unwrap();
    alter(&dir, HEAD_LEN + 100);
    let mut log = reopen(&dir);
    assert_eq!((all(&log).len(), log.broken().len()), (2, 1));
    let floor = log.next_use();
    log.restart(floor);
    log.trim(Epoch(0));
    assert!(all(&log).is_empty() && log.broken().is_empty());
    // Neither what it had comes back, nor what of it lies behind the new records.
    log.write(&three()[..1], Soon::Now).unwrap();
    let again = IntentLog::open(dir.path(), None, floor, Access::Write).unwrap();
    assert_eq!(all(&again), three()[..1]);
    assert!(again.broken().is_empty());
    assert!(again.next_use() > floor);
}

#[test]
fn a_broken_head_is_told_once_whatever_use_it_claims() {
    for byte in [0, 8, 12, 15, 40] {
        let (dir, mut log) = log();
        log.write(&three()[..1], Soon::Now).unwrap();
        alter(&dir, byte);
        let mut log = reopen(&dir);
        assert_eq!(log.broken().len(), 1, "byte {byte}");
        let floor = log.next_use();
        log.restart(floor);
        let again = IntentLog::open(dir.path(), None, floor, Access::Write).unwrap();
        assert!(again.broken().is_empty(), "byte {byte}");
    }
}

#[test]
fn of_two_marks_the_last_ones_come_back() {
    let (dir, _) = log();
    let dir = dir.path().join(DIR);
    let mut marks = Marks::open(&dir, Access::Write).unwrap();
    assert!(marks.read().unwrap().is_empty());
    for mark in [b"one", b"two", b"six"] {
        marks.write(mark).unwrap();
    }
    let read = Marks::open(&dir, Access::Write).unwrap().read().unwrap();
    assert_eq!(read, [&b"six"[..], b"two"]);
    // It is made again where it is gone, and a length that is none costs nothing.
    fs::remove_file(dir.join("marks")).unwrap();
    let mut marks = Marks::open(&dir, Access::Write).unwrap();
    marks.write(b"new").unwrap();
    marks.write(b"old").unwrap();
    let file = File::options().write(true).open(dir.join("marks")).unwrap();
    file.write_all_at(&u32::MAX.to_le_bytes(), 0).unwrap();
    assert_eq!(marks.read().unwrap(), [&b"old"[..]]);
    assert!(marks.write(&[0; 5000]).is_err());
}

#[test]
fn segments_are_used_again_and_hold_nothing_of_before() {
    let (dir, mut log) = log();
    let big = |epoch, seq| (pos(epoch, seq), Bytes::from(vec![epoch as u8; 1 << 20]));
    for epoch in 1..=20 {
        for seq in 0..7 {
            log.write(&[big(epoch, seq)], Soon::Now).unwrap();
        }
        log.trim(Epoch(epoch));
    }
    assert!(files(&dir) <= 4, "{} files", files(&dir));
    assert!(all(&log).is_empty());
    log.write(&[big(21, 0)], Soon::Now).unwrap();
    let again = IntentLog::open(dir.path(), Some(Epoch(20)), Use::FIRST, Access::Write).unwrap();
    assert_eq!(all(&again), [big(21, 0)]);
    let again = reopen(&dir);
    assert!(
        all(&again).len() <= 3 * files(&dir),
        "what was overwritten is not there"
    );
}

/// A record a little larger than half a segment.
fn half(seq: u64) -> (LogPos, Bytes) {
    (
        pos(1, seq),
        Bytes::from(vec![seq as u8; (SEGMENT_BYTES / 2) as usize]),
    )
}

#[test]
fn the_next_segment_is_made_ahead_and_taken_when_it_is_needed() {
    let (dir, mut log) = log();
    assert_eq!(log.wants_ahead(), 0);
    log.write(&[half(0)], Soon::Now).unwrap();
    assert_eq!(log.wants_ahead(), SEGMENT_BYTES);
    log.make_ahead();
    assert_eq!(
        (log.wants_ahead(), log.wants_bytes(&[half(1)]), log.used_bytes()),
        (0, 0, 2 * SEGMENT_BYTES)
    );
    log.write(&[half(1)], Soon::Now).unwrap();
    assert_eq!(files(&dir), 2);
    assert_eq!(all(&log), [half(0), half(1)]);
    assert_eq!(all(&reopen(&dir)), [half(0), half(1)]);
}

#[test]
fn a_segment_that_could_not_be_made_ahead_is_made_when_it_is_needed() {
    let (dir, mut log) = log();
    log.write(&[half(0)], Soon::Now).unwrap();
    fs::write(path_of(&dir.path().join(DIR), 1), "in the way").unwrap();
    log.make_ahead();
    log.write(&[half(1)], Soon::Now).unwrap();
    assert_eq!(all(&log), [half(0), half(1)]);
}

#[test]
fn an_idle_log_gives_its_room_back() {
    let (dir, mut log) = log();
    for seq in 0..40 {
        log.write(&[(pos(1, seq), Bytes::from(vec![0; 1 << 20]))], Soon::Now)
            .unwrap();
    }
    assert!(log.used_bytes() > 40 << 20);
    log.trim(Epoch(1));
    log.shrink();
    assert_eq!(files(&dir), 2);
    assert_eq!(log.used_bytes(), 2 * SEGMENT_BYTES);
}

#[test]
fn rubbish_is_no_record() {
    let (dir, log) = log();
    drop(log);
    let path = dir.path().join(DIR);
    fs::write(path.join("00000"), b"").unwrap();
    fs::write(path.join("00001"), vec![0xff; 4096]).unwrap();
    let mut lying = Head {
        len: u32::MAX,
        used: Use(3),
        pos: pos(1, 0),
    };
    fs::write(path.join("00002"), [&lying.encode(0)[..], &[0; 64]].concat()).unwrap();
    (lying.len, lying.used) = (8, Use(u64::MAX));
    fs::write(path.join("00003"), [&lying.encode(0)[..], &[0; 64]].concat()).unwrap();
    fs::write(path.join("00004"), b"cairnlog".repeat(20_000)).unwrap();
    fs::write(path.join("notes"), b"not ours").unwrap();
    let mut log = reopen(&dir);
    assert!(all(&log).is_empty());
    log.write(&[(pos(1, 0), Bytes::from_static(b"record"))], Soon::Now)
        .unwrap();
    assert_eq!(all(&log).len(), 1);
}

#[test]
fn a_forged_use_does_not_end_the_numbers() {
    for used in [Use(1 << 40), Use((1 << 62) - 1)] {
        let (dir, mut log) = log();
        log.write(&three()[..1], Soon::Now).unwrap();
        drop(log);
        let forged = Head {
            len: 0,
            used,
            pos: pos(9, 9),
        };
        let mut bytes = forged.encode(0).to_vec();
        bytes.resize(SEGMENT_BYTES as usize, 0);
        fs::write(path_of(&dir.path().join(DIR), 7), bytes).unwrap();
        let mut log = reopen(&dir);
        assert_eq!(all(&log), three()[..1], "what was written is there, and no more");
        let floor = log.next_use();
        assert!(floor < Use(1 << 33), "{floor:?}");
        log.restart(floor);
        log.write(&three()[1..], Soon::Now).unwrap();
        let again = IntentLog::open(dir.path(), None, floor, Access::Write).unwrap();
        assert_eq!(all(&again), three()[1..], "what is written after it comes back");
    }
}

#[test]
fn what_is_no_file_of_the_log_is_not_written_to() {
    let (dir, mut log) = log();
    log.write(&three(), Soon::Now).unwrap();
    drop(log);
    let (path, victim) = (path_of(&dir.path().join(DIR), 0), dir.path().join("victim"));
    fs::write(&victim, vec![7; SEGMENT_BYTES as usize]).unwrap();
    let open = || IntentLog::open(dir.path(), None, Use::FIRST, Access::Write).map(drop);
    for put in [
        (|victim: &Path, path: &Path| std::os::unix::fs::symlink(victim, path))
            as fn(&Path, &Path) -> io::Result<()>,
        |_, path| fs::create_dir(path),
    ] {
        fs::remove_file(&path).unwrap();
        put(&victim, &path).unwrap();
        let error = open().unwrap_err();
        assert!(error.to_string().contains("no segment of the log"), "{error}");
        let _ = fs::remove_dir(&path);
        fs::write(&path, "").unwrap();
    }
    assert!(fs::read(&victim).unwrap().iter().all(|byte| *byte == 7));
}
