//! The buffer alone: what it counts, seals, keeps and lets go of.

use super::*;
use crate::InodeNo;
use cairn_merkle::{Suite, VolumeKey};

#[test]
fn what_is_written_during_a_commit_counts_towards_the_next() {
    let key = LogKey::new(&VolumeKey::from_bytes(Suite::default(), [1; 32]), [2; 32]);
    let mut log = LogBuffer::default();
    let write = |log: &mut LogBuffer, epoch, ops| {
        (0..ops).for_each(|_| log.push(Epoch(epoch), &Op::LocateLinked { ino: InodeNo(7) }));
        let records = log.seal(&key);
        records.iter().map(|(_, stored)| stored.len() as u64).sum::<u64>()
    };
    let before = write(&mut log, 1, 1000);
    log.freeze();
    let meanwhile = write(&mut log, 2, 10);
    assert_eq!(log.written, before + meanwhile);
    log.committed(Epoch(1));
    assert_eq!(log.written, meanwhile);
}

fn key() -> LogKey {
    LogKey::new(&VolumeKey::from_bytes(Suite::default(), [1; 32]), [2; 32])
}

fn note(log: &mut LogBuffer, epoch: u64, now: i64) {
    let name = crate::Name::new(b"name").unwrap();
    let op = Op::Unlink {
        parent: InodeNo(1),
        name: &name,
        now: Time(now.into()),
    };
    log.push(Epoch(epoch), &op);
}

fn places(records: &[(LogPos, Bytes)]) -> Vec<(u64, u64)> {
    records.iter().map(|(pos, _)| (pos.epoch.0, pos.seq)).collect()
}

#[test]
fn records_are_numbered_within_their_epoch_and_chained_across_epochs() {
    let (key, mut log) = (key(), LogBuffer::default());
    assert!(log.seal(&key).is_empty());
    note(&mut log, 1, 5);
    let first = log.seal(&key);
    note(&mut log, 1, 3);
    note(&mut log, 1, 4);
    note(&mut log, 2, 9);
    let rest = log.seal(&key);
    assert_eq!(
        (places(&first), places(&rest)),
        (vec![(1, 0)], vec![(1, 1), (2, 0)])
    );
    let all = [first, rest].concat();
    let mut last: Option<(LogPos, [u8; 16])> = None;
    for ((pos, stored), (newest, ops)) in all.iter().zip([(5, 1), (5, 2), (9, 1)]) {
        let opened = key.open(*pos, stored).unwrap();
        let record = crate::log::op::decode_record(key.suite(), &opened.plain).unwrap();
        assert_eq!(record.before, last.map(|(pos, _)| pos));
        assert_eq!(opened.previous, last.map_or([0; 16], |(_, tag)| tag));
        assert_eq!((record.newest, record.ops.len()), (Time(newest), ops));
        last = Some((*pos, opened.tag));
    }
    assert!(log.seal(&key).is_empty(), "sealed once");
}

#[test]
fn a_record_and_a_mark_name_as_durable_what_was_synced_before() {
    let (key, mut log) = (key(), LogBuffer::default());
    let durable = |records: &[(LogPos, Bytes)]| {
        let (pos, stored) = records.first().unwrap();
        crate::log::op::decode_record(key.suite(), &key.open(*pos, stored).unwrap().plain)
            .unwrap()
            .durable
    };
    assert!(log.next_mark().is_none(), "there is nothing to mark");
    note(&mut log, 1, 5);
    let first = log.seal(&key);
    assert_eq!(durable(&first), Reach::default());
    assert!(log.next_mark().is_none(), "sealed and not synced");
    note(&mut log, 1, 6);
    assert_eq!(durable(&log.seal(&key)), Reach::default());
    log.is_synced();
    log.mark_due = Some(Instant::now());
    let mark = log.next_mark().unwrap();
    assert!(log.mark_due.is_none() && log.next_mark().is_none(), "marked once");
    note(&mut log, 1, 7);
    let third = log.seal(&key);
    let mut said = Encoder::default();
    durable(&third).encode(&mut said);
    assert_eq!(said.0, mark.plain.0);
    assert_eq!(key.open_mark(&mark.seal(&key)).unwrap(), said.0);
    assert_eq!(durable(&third).newest(), Some(Time(6)));
    // Number after number: no nonce is used twice.
    log.is_synced();
    assert_eq!((mark.number, log.next_mark().unwrap().number), (0, 1));
    log.committed(Epoch(1));
    let mark = log.next_mark().unwrap();
    let plain = key.open_mark(&mark.seal(&key)).unwrap();
    let mut from = crate::stored::codec::Decoder::new("mark", &plain);
    assert_eq!(Reach::decode(&mut from).unwrap().committed(), Epoch(1));
}

#[test]
fn what_names_blocks_or_moves_files_is_held_back_until_it_is_sealed() {
    let (key, mut log) = (key(), LogBuffer::default());
    let (name, meta) = (
        crate::Name::new(b"n").unwrap(),
        crate::stored::record::tests::meta(),
    );
    note(&mut log, 1, 1);
    assert!(!log.holds_back);
    let rename = Op::Rename {
        from: (InodeNo(1), &name),
        to: (InodeNo(1), &name),
        mode: crate::RenameMode::Replace,
        now: Time(1),
    };
    let content = Op::Content {
        meta: &meta,
        low: None,
        parts: vec![],
    };
    for op in [rename, content] {
        log.push(Epoch(1), &op);
        note(&mut log, 1, 1);
        assert!(log.holds_back, "{op:?}");
        log.seal(&key);
        assert!(!log.holds_back, "{op:?}");
    }
}

#[test]
fn it_counts_what_it_takes_of_memory() {
    let (key, mut log) = (key(), LogBuffer::default());
    assert_eq!(log.bytes(), 0);
    // More than one record: the parts that are complete take no more than they hold.
    while log.parts.len() < 3 {
        note(&mut log, 1, 1);
    }
    let held = |log: &LogBuffer| log.parts.iter().map(|part| part.ops.0.capacity()).sum::<usize>() as u64;
    assert_eq!(log.bytes(), held(&log));
    assert!(
        log.parts
            .iter()
            .take(2)
            .all(|part| part.ops.0.len() > RECORD_BYTES_MAX)
    );
    assert!(log.bytes() < 3 * RECORD_BYTES_MAX as u64);
    note(&mut log, 2, 1);
    log.committed(Epoch(1));
    assert_eq!((log.parts.len(), log.bytes()), (1, held(&log)));
    log.unwritten = log.seal(&key);
    let sealed = log
        .unwritten
        .iter()
        .map(|(_, stored)| stored.len() as u64)
        .sum::<u64>();
    assert!(sealed > 0 && log.bytes() == sealed);
    note(&mut log, 3, 1);
    let records = log.seal(&key);
    assert_eq!(
        places(&records),
        [(2, 0), (3, 0)],
        "what found no room goes first"
    );
    log.unwritten = records;
    log.committed(Epoch(2));
    assert_eq!(
        places(&log.unwritten),
        [(3, 0)],
        "and goes no more when it is superfluous"
    );
}

#[test]
fn a_commit_makes_durable_what_was_noted_before_it_was_closed() {
    let (key, mut log) = (key(), LogBuffer::default());
    note(&mut log, 1, 1);
    let closed = log.pushed;
    log.freeze();
    note(&mut log, 2, 2);
    assert!(log.pushed > closed && log.durable == 0 && log.volatile_since.is_some());
    log.committed(Epoch(1));
    assert_eq!(log.durable, closed);
    assert!(log.volatile_since.is_some(), "the later one is not");
    let begun = Instant::now();
    let upto = log.pushed;
    note(&mut log, 2, 3);
    log.is_durable_to(upto, begun);
    assert_eq!((log.durable, log.volatile_since), (upto, Some(begun)));
    log.is_durable_to(closed, begun);
    assert_eq!(log.durable, upto, "never back");
    log.is_durable_to(log.pushed, begun);
    assert_eq!(log.volatile_since, None);
    note(&mut log, 2, 4);
    assert!(log.volatile_since.is_some());
    log.seal(&key);
    log.freeze();
    log.committed(Epoch(2));
    assert_eq!(
        (log.durable, log.volatile_since, log.written),
        (log.pushed, None, 0)
    );
}
