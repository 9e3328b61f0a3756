//! The store loses what it may, and nothing else.

use super::*;
use crate::Codec;
use std::sync::Arc;

const NOTHING_MORE: u64 = 0;
const EVERYTHING: u64 = u64::MAX;

fn block(n: u8) -> Sealed {
    let bytes = Bytes::from(vec![n; 8]);
    Sealed::new(Cid::of(Codec::Leaf, &bytes), bytes)
}

fn has(store: &MemoryStore, n: u8) -> bool {
    store.get(&block(n).cid).unwrap().is_some()
}

fn put(store: &CrashStore, n: u8, hint: PutHint) {
    store.put(Epoch(1), &[block(n)], hint).unwrap();
}

fn swap(head: &[u8]) -> HeadSwap<'_> {
    HeadSwap {
        expected: None,
        head,
        header: None,
        root_block: b"root",
        delete: &[],
        settled: Epoch(0),
        restarts_log: false,
    }
}

#[test]
fn with_power_it_keeps_the_contract() {
    crate::testing::store_contract(CrashStore::new);
}

#[test]
fn what_was_synced_survives_and_the_rest_may_not() {
    let store = CrashStore::new();
    put(&store, 1, PutHint::Bulk);
    store.sync().unwrap();
    put(&store, 2, PutHint::Bulk);
    store.delete(&[block(1).cid]).unwrap();
    let lost = store.crash(NOTHING_MORE);
    assert!(has(&lost, 1) && !has(&lost, 2));
    let kept = store.crash(EVERYTHING);
    assert!(!has(&kept, 1) && has(&kept, 2));
    let outcomes = (1..40)
        .map(|seed| has(&store.crash(seed), 2))
        .collect::<std::collections::BTreeSet<_>>();
    assert_eq!(outcomes.len(), 2);
}

#[test]
fn a_swap_makes_small_puts_durable_and_no_others() {
    let store = CrashStore::new();
    put(&store, 1, PutHint::Bulk);
    put(&store, 3, PutHint::Small);
    store.delete(&[block(2).cid]).unwrap();
    put(&store, 2, PutHint::Small);
    store.swap_head(&swap(b"head")).unwrap();
    for seed in [NOTHING_MORE, 7, EVERYTHING] {
        let image = store.crash(seed);
        assert!(has(&image, 2) && has(&image, 3));
        assert_eq!(image.head().unwrap().as_deref(), Some(&b"head"[..]));
    }
    assert!(!has(&store.crash(NOTHING_MORE), 1));
}

#[test]
fn after_the_crash_nothing_answers_and_the_operation_cut_off_is_whole_or_absent() {
    let store = CrashStore::new();
    store.crash_at(1);
    let record = |seq| (LogPos { epoch: Epoch(1), seq }, Bytes::from_static(b"record"));
    store.log_append(&[record(0)]).unwrap();
    assert!(store.swap_head(&swap(b"head")).is_err());
    assert!(store.head().is_err() && store.sync().is_err());
    assert_eq!(store.events(), 2);
    assert_eq!(store.crash(NOTHING_MORE).head().unwrap(), None);
    assert_eq!(
        store.crash(EVERYTHING).head().unwrap().as_deref(),
        Some(&b"head"[..])
    );
    let log = store
        .crash(NOTHING_MORE)
        .log_read(
            LogPos {
                epoch: Epoch(0),
                seq: 0,
            },
            100,
        )
        .unwrap();
    assert_eq!(log, [record(0)]);
}

#[test]
fn records_written_and_marks_may_be_lost_and_an_append_makes_records_durable() {
    let store = CrashStore::new();
    let pos = |seq| LogPos { epoch: Epoch(1), seq };
    let record = |seq| (pos(seq), Bytes::from_static(b"record"));
    let left = |seed| store.crash(seed).log_read(pos(0), 1000).unwrap();
    store.log_write(&[record(0), record(1)]).unwrap();
    assert_eq!(left(NOTHING_MORE), []);
    assert_eq!(left(EVERYTHING), [record(0), record(1)]);
    store.log_append(&[]).unwrap();
    store.log_write(&[record(2)]).unwrap();
    assert_eq!(left(NOTHING_MORE), [record(0), record(1)]);
    let torn = |seed: &u64| left(*seed).get(2).is_some_and(|found| *found != record(2));
    assert!(
        (1..40).any(|seed| torn(&seed)),
        "one that was not synced may be torn"
    );
    store.log_mark(b"mark").unwrap();
    let marks = |seed| store.crash(seed).log_rest().unwrap().marks;
    assert!(marks(NOTHING_MORE).is_empty());
    assert_eq!(marks(EVERYTHING), [&b"mark"[..]]);
}

#[test]
fn the_hook_sees_each_event_in_flight() {
    let store = CrashStore::new();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    store.set_hook(move |n, image| log.lock().push((n, has(&image.crash(NOTHING_MORE), 1))));
    put(&store, 1, PutHint::Bulk);
    store.sync().unwrap();
    store.sync().unwrap();
    assert_eq!(*seen.lock(), [(0, false), (1, false), (2, true)]);
}
