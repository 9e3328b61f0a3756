//! Logs that are cut, torn, altered or reordered.

use super::*;
use crate::fixture::stored::{
    Store, at, config, copy, is_read_only, log_of, name, open, require_clean, tree, try_open, view, volume,
};
use crate::log::op::encode_record;
use crate::{Config, InodeNo, Kind, Operations};
use bytes::Bytes;
use cairn_merkle::testing::CrashStore;
use cairn_merkle::{Log, VolumeKey};
use std::sync::Arc;

const ROOT: InodeNo = InodeNo::ROOT;

/// A store with three synced files, a record for each, and their names in order.
fn synced() -> (Arc<Store>, Arc<Engine>) {
    let (store, engine) = volume();
    for file in [b"1", b"2", b"3"] {
        let ino = engine.t_file(ROOT, file);
        engine.t_write(ino, 0, file);
        engine.fsync(ino, false).unwrap();
    }
    (store, engine)
}

/// The store after a kill, with another log.
fn altered(store: &Store, record: impl FnMut(LogPos, Bytes) -> Option<Bytes>) -> Arc<Store> {
    let to = Store::over(CrashStore::new());
    copy(&*store.killed(), &to, record);
    to.events();
    Arc::new(to)
}

/// The same without any mark.
fn unmarked(store: &Store, record: impl FnMut(LogPos, Bytes) -> Option<Bytes>) -> Arc<Store> {
    let to = altered(store, record);
    // Only the newest two are kept.
    (0..2).for_each(|_| to.log_mark(b"no mark").unwrap());
    to
}

fn names(engine: &Engine) -> Vec<Vec<u8>> {
    tree(engine)
        .into_keys()
        .skip(1)
        .map(|path| path[1..].to_vec())
        .collect()
}

fn accepting() -> Config {
    Config {
        accept_log_loss: true,
        ..config()
    }
}

#[test]
fn a_synced_record_that_is_gone_makes_the_volume_read_only() {
    for lost in [0, 1, 2] {
        let (store, engine) = synced();
        let bytes: usize = log_of(&*store)
            .iter()
            .skip(lost)
            .map(|(_, record)| record.len())
            .sum();
        let found = altered(&store, |pos, record| (pos.seq != lost as u64).then_some(record));
        let again = open(found.clone());
        let loss = again.log_loss().unwrap().clone();
        assert_eq!((loss.records, loss.bytes), (3 - lost as u64, bytes as u64));
        assert_eq!(
            (loss.commit, loss.whole),
            (None, 2 - lost as u64),
            "those behind it are whole"
        );
        assert_eq!(loss.from, (lost > 0).then_some(crate::Time(12)));
        assert_eq!(loss.until, Some(crate::Time(12)));
        let epoch = engine.state.lock().open.number();
        let why = match lost {
            2 => format!("record 2 of the intent log of epoch {epoch} is missing"),
            // Found where the next one did not follow.
            _ => format!("record {lost} of the intent log of epoch {epoch} is missing"),
        };
        assert_eq!(loss.what, why);
        assert_eq!(
            names(&again),
            [b"1", b"2", b"3"][..lost]
                .iter()
                .map(|name| name.to_vec())
                .collect::<Vec<_>>()
        );
        assert!(again.is_read_only() && again.require_log().is_err() && again.log_torn().is_none());
        assert!(is_read_only(again.mknod(
            ROOT,
            &name(b"n"),
            Kind::File,
            0o644,
            0,
            at(1)
        )));
        assert_eq!(
            again.status().read_only,
            Some("what was synced is lost, and the loss was not accepted")
        );
        again.close().unwrap();
        assert!(
            found
                .events()
                .iter()
                .all(|event| !event.is_swap() && !event.is_put()),
            "nothing was written"
        );
        // The loss is accepted: it goes on with what comes before, and the log begins anew.
        let again = try_open(found.clone(), accepting()).unwrap();
        assert!(again.log_loss().is_some() && again.require_log().is_ok());
        assert_eq!(names(&again).len(), lost);
        again.t_file(ROOT, b"new");
        again.commit().unwrap();
        require_clean(&again);
        assert!(open(found.cut()).log_loss().is_none());
    }
}

#[test]
fn the_end_of_a_log_that_was_not_synced_is_torn_and_no_loss() {
    let (store, _engine) = synced();
    for keep in [0, 10] {
        let torn = |pos: LogPos, record: Bytes| match pos.seq {
            2 if keep == 0 => None,
            2 => Some(record.slice(..keep)),
            _ => Some(record),
        };
        // The last record repeats what the mark before it said: that two are durable.
        let again = open(unmarked(&store, torn));
        assert!(again.log_loss().is_none(), "{keep}: {:?}", again.log_loss());
        assert_eq!(names(&again), [b"1", b"2"]);
        assert_eq!(again.log_torn().is_some(), keep > 0);
        assert!(!again.is_read_only());
        require_clean(&again);
        // With the mark it is a loss.
        let again = open(altered(&store, torn));
        assert_eq!(again.log_loss().unwrap().records, 1);
    }
    let torn = open(unmarked(&store, |pos, record| {
        Some(if pos.seq == 2 { record.slice(..10) } else { record })
    }));
    let told = torn.log_torn().unwrap();
    assert!(
        told.ends_with("; 10 bytes do not verify, 0 whole records are behind"),
        "{told}"
    );
}

#[test]
fn a_record_that_is_not_what_was_written_ends_the_replay() {
    let (store, _engine) = synced();
    let flipped = |pos: LogPos, record: Bytes| {
        let mut record = record.to_vec();
        if pos.seq == 1 {
            *record.last_mut().unwrap() ^= 1;
        }
        Some(record.into())
    };
    let again = open(altered(&store, flipped));
    let loss = again.log_loss().unwrap();
    assert_eq!((loss.records, loss.whole), (2, 1));
    assert_eq!(names(&again), [b"1"]);
    // Without marks the record behind it still says that it was durable.
    let again = open(unmarked(&store, flipped));
    assert_eq!(again.log_loss().unwrap().records, 1);
}

#[test]
fn a_log_of_two_epochs_goes_on_across_them() {
    let (store, engine) = volume();
    let ino = engine.t_file(ROOT, b"first");
    engine.fsync(ino, false).unwrap();
    // The commit that closes the first epoch finds no room: both epochs are in the log.
    store.faults.full_from_nth(cairn_merkle::testing::Op::Put, 0);
    engine.commit().unwrap_err();
    let ino = engine.t_file(ROOT, b"second");
    engine.fsync(ino, false).unwrap();
    let log = log_of(&*store);
    assert_eq!(log.len(), 2);
    assert_eq!(log[1].0.epoch, log[0].0.epoch.next());
    let again = open(store.cut());
    assert_eq!(names(&again), [b"first".to_vec(), b"second".to_vec()]);
    assert!(again.status().epoch > log[1].0.epoch || again.status().epoch == log[1].0.epoch);
    require_clean(&again);
    // Without the first, the second follows nothing.
    let first = log[0].0;
    let again = open(unmarked(&store, |pos, record| (pos != first).then_some(record)));
    assert_eq!(names(&again), Vec::<Vec<u8>>::new());
    assert_eq!(again.log_loss().unwrap().records, 1);
}

#[test]
fn the_log_of_another_mount_is_none() {
    let (store, _engine) = synced();
    let (other, _other_engine) = synced();
    let mut foreign = log_of(&*other).into_iter();
    let found = unmarked(&store, |_, _| Some(foreign.next().unwrap().1));
    let again = open(found);
    assert_eq!(names(&again), Vec::<Vec<u8>>::new());
    assert!(again.log_loss().is_none() && again.log_torn().is_some());
}

#[test]
fn a_replay_writes_nothing_where_the_volume_is_read_only() {
    let (store, engine) = synced();
    let found = altered(&store, |_, record| Some(record));
    let again = view(found.clone());
    assert_eq!(tree(&again), tree(&engine));
    assert_eq!(again.status().read_only, Some("it was mounted read-only"));
    again.close().unwrap();
    assert_eq!(found.events(), [crate::fixture::stored::Event::Close]);
    assert_eq!(log_of(&*found).len(), 3);
}

fn key() -> LogKey {
    LogKey::new(&VolumeKey::from_bytes(Default::default(), [1; 32]), [2; 32])
}

fn at_pos(epoch: u64, seq: u64) -> LogPos {
    LogPos {
        epoch: Epoch(epoch),
        seq,
    }
}

/// Seals a record without operations.
fn record(
    key: &LogKey,
    pos: LogPos,
    before: Option<(LogPos, [u8; 16])>,
    durable: &Reach,
) -> (Bytes, [u8; 16]) {
    let (before, tag) = before.map_or((None, [0; 16]), |(pos, tag)| (Some(pos), tag));
    key.seal(pos, tag, &encode_record(before, crate::Time(5), durable, &[]))
}

#[test]
fn a_walk_goes_on_only_with_the_record_that_follows() {
    let (key, none) = (key(), Reach::default());
    let (first, tag) = record(&key, at_pos(5, 0), None, &none);
    let walked = |pos: LogPos, stored: &Bytes| {
        let mut walk = Walk::new(Epoch(4), &key);
        walk.record(at_pos(5, 0), &first).unwrap();
        assert!(walk.end.is_none());
        walk.record(pos, stored).unwrap();
        (walk.end.is_none(), walk.whole, walk.broken_bytes)
    };
    let follows = record(&key, at_pos(5, 1), Some((at_pos(5, 0), tag)), &none).0;
    assert_eq!(walked(at_pos(5, 1), &follows), (true, 0, 0));
    let skips = record(&key, at_pos(5, 2), Some((at_pos(5, 1), tag)), &none).0;
    assert_eq!(walked(at_pos(5, 2), &skips), (false, 1, 0), "another place");
    let forged = record(&key, at_pos(5, 1), Some((at_pos(5, 0), [7; 16])), &none).0;
    assert_eq!(walked(at_pos(5, 1), &forged), (false, 1, 0), "another tag");
    assert_eq!(
        walked(at_pos(5, 1), &first),
        (false, 0, first.len() as u64),
        "of another place"
    );
    let begins = record(&key, at_pos(5, 1), None, &none).0;
    assert_eq!(
        walked(at_pos(5, 1), &begins),
        (false, 1, 0),
        "one that says it is the first"
    );
}

#[test]
fn the_first_record_follows_what_the_commit_made_superfluous() {
    let (key, none) = (key(), Reach::default());
    let begins = |before: Option<(u64, u64)>| {
        let before = before.map(|(epoch, seq)| (at_pos(epoch, seq), [3; 16]));
        let mut walk = Walk::new(Epoch(4), &key);
        walk.record(at_pos(5, 0), &record(&key, at_pos(5, 0), before, &none).0)
            .unwrap();
        walk.end.is_none() && walk.replayed != Reach::default()
    };
    assert!(begins(None) && begins(Some((4, 9))) && begins(Some((3, 0))));
    assert!(!begins(Some((5, 0))));
}

#[test]
fn nothing_is_replayed_behind_a_commit_that_is_lost() {
    let (key, mut durable) = (key(), Reach::default());
    let mut walk = Walk::new(Epoch(4), &key);
    let (first, tag) = record(&key, at_pos(5, 0), None, &durable);
    walk.record(at_pos(5, 0), &first).unwrap();
    durable.commit(Epoch(5));
    let second = record(&key, at_pos(6, 0), Some((at_pos(5, 0), tag)), &durable).0;
    walk.record(at_pos(6, 0), &second).unwrap();
    let end = walk.end.as_ref().unwrap();
    assert_eq!(
        (end.at, end.why.as_str()),
        (at_pos(6, 0), "the commit before it is lost")
    );
    let outcome = walk.finish(&LogRest::default(), FxHashSet::default());
    let loss = outcome.loss.unwrap();
    assert_eq!((loss.commit, outcome.torn), (Some(Epoch(5)), None));
    assert_eq!(loss.what, "the store tells of commit 4 as the newest one");
}

#[test]
fn what_is_no_record_is_told_with_its_place() {
    let (key, mut durable) = (key(), Reach::default());
    let rest = LogRest {
        broken: vec!["segment 7".into()],
        ..LogRest::default()
    };
    let outcome = Walk::new(Epoch(4), &key).finish(&rest, FxHashSet::default());
    assert_eq!(
        outcome.torn.unwrap(),
        "something that is no record lies in segment 7"
    );
    assert!(outcome.loss.is_none());
    let mut walk = Walk::new(Epoch(4), &key);
    durable.add(Epoch(5), 100, crate::Time(8));
    let mut plain = crate::stored::codec::Encoder::default();
    durable.encode(&mut plain);
    walk.mark(&key.seal_mark(0, &plain.0));
    walk.mark(b"no mark at all");
    let outcome = walk.finish(&rest, FxHashSet::default());
    let loss = outcome.loss.unwrap();
    assert_eq!((loss.records, loss.bytes, outcome.torn), (1, 100, None));
    assert_eq!(
        loss.what,
        "record 0 of the intent log of epoch 5 is missing; something that is no record lies in segment 7"
    );
    // Of epochs that the commit has, nothing is missing.
    let mut walk = Walk::new(Epoch(5), &key);
    walk.mark(&key.seal_mark(0, &plain.0));
    assert!(
        walk.finish(&LogRest::default(), FxHashSet::default())
            .loss
            .is_none()
    );
}

#[test]
fn places_come_one_after_the_other_and_end() {
    assert_eq!(after(at_pos(5, 3)), Some(at_pos(5, 4)));
    assert_eq!(after(at_pos(5, u64::MAX)), Some(at_pos(6, 0)));
    assert_eq!(after(at_pos(u64::MAX, u64::MAX)), None);
}
