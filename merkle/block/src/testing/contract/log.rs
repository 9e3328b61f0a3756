//! The promises of [`Log`].

use super::samples::{ok, pos};
use crate::{Log, LogRest};
use bytes::Bytes;

/// Asks a new store for each promise.
pub(super) fn contract<S: Log>(make: &impl Fn() -> S) {
    an_empty_store_has_no_log(&make());
    the_log_is_read_in_order_and_in_portions(&make());
    the_newest_mark_is_kept(&make());
}

fn an_empty_store_has_no_log(store: &impl Log) {
    assert!(
        ok(store.log_read(pos(0, 0), 1 << 20)).is_empty(),
        "an empty store has no log"
    );
}

fn the_log_is_read_in_order_and_in_portions(store: &impl Log) {
    let record = |epoch, seq| (pos(epoch, seq), Bytes::from(vec![seq as u8; 100]));
    let all = [
        record(1, 0),
        record(1, 1),
        record(1, 2),
        record(2, 0),
        record(256, 0),
        record(256, 1),
    ];
    ok(store.log_append(&all[..2]));
    ok(store.log_append(&all[2..]));
    ok(store.log_append(&[]));
    assert_eq!(
        ok(store.log_read(pos(0, 0), 1 << 20)),
        all,
        "the log is read in order"
    );
    assert_eq!(
        ok(store.log_read(pos(1, 2), 1 << 20)),
        all[2..],
        "the log is read from where asked, inclusive"
    );
    assert_eq!(
        ok(store.log_read(pos(1, 3), 1 << 20)),
        all[3..],
        "a position that is not there leads to the next"
    );
    let portion = ok(store.log_read(pos(0, 0), 250));
    assert!(
        (1..all.len()).contains(&portion.len()),
        "a read stops after about as many bytes as asked"
    );
    assert_eq!(portion, all[..portion.len()]);
    assert!(
        !ok(store.log_read(pos(0, 0), 0)).is_empty(),
        "a read brings at least one record"
    );
    assert!(ok(store.log_read(pos(256, 2), 1 << 20)).is_empty());
    ok(store.log_append(&all[5..]));
    assert_eq!(
        ok(store.log_read(pos(0, 0), 1 << 20)),
        all,
        "a record sent twice is there once"
    );
}

fn the_newest_mark_is_kept(store: &impl Log) {
    assert_eq!(
        ok(store.log_rest()),
        LogRest::default(),
        "an empty store has no marks"
    );
    for mark in [&b"first"[..], b"the second", b"third"] {
        ok(store.log_mark(mark));
        let marks = ok(store.log_rest()).marks;
        assert!(
            marks.iter().any(|kept| kept == mark),
            "the newest mark is kept, as it was given"
        );
    }
    assert!(
        ok(store.log_read(pos(0, 0), 1 << 20)).is_empty(),
        "a mark is no record"
    );
}
