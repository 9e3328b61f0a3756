//! The promises of [`Heads`](crate::Heads). A swap reaches blocks and log as well, so it is asked
//! of whole stores.

use super::samples::{block, has, ok, pos, put, swap};
use crate::{BlockStore, Epoch, HeadSwap, StoreError, Twin};
use bytes::Bytes;

/// Asks a new store for each promise.
pub(super) fn contract<S: BlockStore>(make: &impl Fn() -> S) {
    an_empty_store_has_no_head(&make());
    the_head_moves_only_from_what_is_expected(&make());
    a_swap_does_all_it_says(&make());
    a_swap_begins_the_log_anew_if_it_is_to(&make());
}

fn an_empty_store_has_no_head(store: &impl BlockStore) {
    assert_eq!(ok(store.head()), None, "an empty store has no head");
    assert_eq!(ok(store.header()), None, "an empty store has no header");
    assert_eq!(ok(store.twin()), None, "an empty store has no twin");
}

fn the_head_moves_only_from_what_is_expected(store: &impl BlockStore) {
    let moved = |result| matches!(result, Err(StoreError::HeadMoved));
    assert!(
        moved(store.swap_head(&swap(Some(b"one"), b"two"))),
        "no head is not any head"
    );
    ok(store.swap_head(&swap(None, b"one")));
    assert!(
        moved(store.swap_head(&swap(None, b"two"))),
        "a head in place is not overwritten by a create"
    );
    assert!(
        moved(store.swap_head(&swap(Some(b"other"), b"two"))),
        "another head is not overwritten"
    );
    put(store, 1, &[block(1)]);
    let delete = [block(1).cid];
    let refused = HeadSwap {
        header: Some(b"header"),
        delete: &delete,
        settled: Epoch(1),
        ..swap(None, b"two")
    };
    assert!(moved(store.swap_head(&refused)));
    assert!(has(store, &block(1)), "a refused swap deletes nothing");
    assert_eq!(ok(store.header()), None, "a refused swap leaves the header");
    assert_eq!(
        ok(store.twin()).map(|twin| twin.head).as_deref(),
        Some(&b"one"[..]),
        "a refused swap leaves the twin"
    );
    assert_eq!(
        ok(store.fresh(None, 10)).len(),
        1,
        "a refused swap settles nothing"
    );
    assert_eq!(
        ok(store.head()).as_deref(),
        Some(&b"one"[..]),
        "a refused swap leaves the head"
    );
    ok(store.swap_head(&swap(Some(b"one"), b"two")));
    assert_eq!(ok(store.head()).as_deref(), Some(&b"two"[..]));
}

fn a_swap_does_all_it_says(store: &impl BlockStore) {
    put(store, 1, &[block(1), block(2)]);
    put(store, 2, &[block(3)]);
    ok(store.log_append(&[(pos(1, 0), Bytes::from("old")), (pos(2, 0), Bytes::from("new"))]));
    let delete = [block(1).cid, block(8).cid];
    let create = HeadSwap {
        header: Some(b"header"),
        delete: &delete,
        settled: Epoch(1),
        ..swap(None, b"head")
    };
    ok(store.swap_head(&create));
    assert_eq!(
        ok(store.header()).as_deref(),
        Some(&b"header"[..]),
        "a swap sets the header"
    );
    assert!(!has(store, &block(1)), "a swap deletes");
    assert!(
        has(store, &block(2)) && has(store, &block(3)),
        "a swap spares other blocks"
    );
    assert_eq!(
        ok(store.fresh(None, 10)),
        [(Epoch(2), block(3).cid)],
        "a swap settles up to its epoch, not above"
    );
    let log = ok(store.log_read(pos(0, 0), 1 << 20));
    assert_eq!(
        log,
        [(pos(2, 0), Bytes::from("new"))],
        "a swap trims the log up to its epoch, not above"
    );
    ok(store.swap_head(&HeadSwap {
        settled: Epoch(2),
        ..swap(Some(b"head"), b"next")
    }));
    assert_eq!(
        ok(store.header()).as_deref(),
        Some(&b"header"[..]),
        "a swap without a header keeps the old one"
    );
    let twin = Twin {
        head: Bytes::from("next"),
        header: Bytes::from("header"),
        root_block: Bytes::from("root block"),
    };
    assert_eq!(ok(store.twin()), Some(twin), "a swap leaves a second copy");
    assert!(ok(store.fresh(None, 10)).is_empty());
    assert!(has(store, &block(3)), "a settled block stays");
}

fn a_swap_begins_the_log_anew_if_it_is_to(store: &impl BlockStore) {
    let record = |seq| (pos(7, seq), Bytes::from("record"));
    ok(store.log_append(&[record(0), record(1)]));
    ok(store.swap_head(&HeadSwap {
        restarts_log: true,
        settled: Epoch(6),
        ..swap(None, b"head")
    }));
    assert!(
        ok(store.log_read(pos(0, 0), 1 << 20)).is_empty(),
        "what was there is past, also in epochs that are not settled"
    );
    ok(store.log_append(&[record(0)]));
    assert_eq!(
        ok(store.log_read(pos(0, 0), 1 << 20)),
        [record(0)],
        "what comes then is there"
    );
}
