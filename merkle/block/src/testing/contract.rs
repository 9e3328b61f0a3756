//! The promises of every store, as one function that each implementation's tests call.

use crate::group::{GROUP_BYTES, groups_around, groups_of, is_part_of};
use crate::{
    BlockStore, Cid, Codec, Epoch, HeadSwap, LogPos, LogRest, PartHint, PutHint, Sealed, StoreError, Twin,
};
use bytes::Bytes;

/// Panics, naming the promise, if a store that `make` builds breaks one. `make` must build an empty store each time.
pub fn store_contract<S: BlockStore>(make: impl Fn() -> S) {
    an_empty_store_has_nothing(&make());
    what_was_put_is_there_until_it_is_deleted(&make());
    answers_come_in_the_order_asked(&make());
    putting_twice_and_deleting_twice_are_harmless(&make());
    large_and_empty_blocks_come_back_whole(&make());
    a_part_is_that_of_the_block_or_is_not_given(&make());
    the_head_moves_only_from_what_is_expected(&make());
    a_swap_does_all_it_says(&make());
    the_log_is_read_in_order_and_in_portions(&make());
    the_newest_mark_is_kept(&make());
    a_swap_begins_the_log_anew_if_it_is_to(&make());
    fresh_and_list_continue_after_the_last(&make());
    many_threads_may_call(&make());
}

fn block(n: u64) -> Sealed {
    sealed(Bytes::from(format!("block {n}")))
}

fn sealed(bytes: Bytes) -> Sealed {
    Sealed {
        cid: Cid::of(Codec::Leaf, &bytes),
        groups: groups_of(&bytes),
        bytes,
    }
}

fn ok<T>(result: Result<T, StoreError>) -> T {
    result.unwrap_or_else(|error| panic!("a healthy store must not fail: {error}"))
}

fn put(store: &impl BlockStore, epoch: u64, blocks: &[Sealed]) {
    ok(store.put(Epoch(epoch), blocks, PutHint::Bulk));
}

fn has(store: &impl BlockStore, block: &Sealed) -> bool {
    ok(store.get(&block.cid)).is_some_and(|bytes| bytes == block.bytes)
}

fn swap<'a>(expected: Option<&'a [u8]>, head: &'a [u8]) -> HeadSwap<'a> {
    HeadSwap {
        expected,
        head,
        header: None,
        root_block: b"root block",
        delete: &[],
        settled: Epoch(0),
        restarts_log: false,
    }
}

fn pos(epoch: u64, seq: u64) -> LogPos {
    LogPos {
        epoch: Epoch(epoch),
        seq,
    }
}

fn an_empty_store_has_nothing(store: &impl BlockStore) {
    assert_eq!(ok(store.get(&block(0).cid)), None, "an empty store has no block");
    assert_eq!(ok(store.head()), None, "an empty store has no head");
    assert_eq!(ok(store.header()), None, "an empty store has no header");
    assert_eq!(ok(store.twin()), None, "an empty store has no twin");
    assert!(
        ok(store.log_read(pos(0, 0), 1 << 20)).is_empty(),
        "an empty store has no log"
    );
    assert!(
        ok(store.fresh(None, 10)).is_empty(),
        "an empty store has nothing fresh"
    );
    assert!(
        ok(store.list(None, 10)).is_empty(),
        "an empty store lists nothing"
    );
    ok(store.sync());
    ok(store.reclaim());
    ok(store.stats());
}

fn what_was_put_is_there_until_it_is_deleted(store: &impl BlockStore) {
    put(store, 1, &[block(1), block(2)]);
    ok(store.put(Epoch(1), &[block(3)], PutHint::Small));
    for n in 1..=3 {
        assert!(has(store, &block(n)), "a put is seen at once");
    }
    ok(store.sync());
    ok(store.delete(&[block(1).cid]));
    assert!(!has(store, &block(1)), "a delete is seen at once");
    assert!(has(store, &block(2)), "a delete spares other blocks");
    ok(store.sync());
    ok(store.reclaim());
    assert!(!has(store, &block(1)), "a deleted block stays away");
    assert!(
        has(store, &block(2)) && has(store, &block(3)),
        "reclaim spares what is there"
    );
    let listed = ok(store.fresh(None, 10));
    assert!(
        !listed.iter().any(|(_, cid)| *cid == block(1).cid),
        "a deleted block is not fresh"
    );
    put(store, 2, &[block(1)]);
    assert!(has(store, &block(1)), "a deleted block can be put again");
    put(store, 2, &[]);
    ok(store.delete(&[]));
}

fn answers_come_in_the_order_asked(store: &impl BlockStore) {
    put(store, 1, &[block(1), block(2)]);
    let asked = [block(2).cid, block(9).cid, block(1).cid, block(2).cid];
    let expected = [
        Some(block(2).bytes),
        None,
        Some(block(1).bytes),
        Some(block(2).bytes),
    ];
    assert_eq!(
        ok(store.get_many(&asked)),
        expected,
        "get_many answers in the order asked"
    );
    assert!(ok(store.get_many(&[])).is_empty());
}

fn putting_twice_and_deleting_twice_are_harmless(store: &impl BlockStore) {
    put(store, 1, &[block(1)]);
    put(store, 1, &[block(1), block(1)]);
    assert!(has(store, &block(1)), "a block put twice is there");
    assert_eq!(
        ok(store.list(None, 10)),
        [block(1).cid],
        "a block put twice is listed once"
    );
    assert_eq!(
        ok(store.fresh(None, 10)),
        [(Epoch(1), block(1).cid)],
        "a block put twice is fresh once"
    );
    ok(store.delete(&[block(1).cid, block(1).cid, block(7).cid]));
    ok(store.delete(&[block(1).cid]));
    assert!(!has(store, &block(1)), "one delete undoes any number of puts");
}

fn large_and_empty_blocks_come_back_whole(store: &impl BlockStore) {
    let blocks = [0, 1, 4096, 128 << 10, crate::MAX_STORED].map(|len| sealed(Bytes::from(vec![0xa5; len])));
    put(store, 1, &blocks);
    ok(store.sync());
    assert!(
        blocks.iter().all(|block| has(store, block)),
        "blocks up to 2 MiB come back whole"
    );
}

fn a_part_is_that_of_the_block_or_is_not_given(store: &impl BlockStore) {
    let bytes: Vec<u8> = (0..131_120u32).map(|at| (at * 31 / 7) as u8).collect();
    let (large, small) = (sealed(bytes.into()), block(5));
    let plain = Sealed::new(large.cid, large.bytes.clone());
    // Before and after it is written out, with and without the hashes of its groups.
    for put in [&[large.clone(), small.clone()][..], &[plain]] {
        for synced in [false, true] {
            store
                .put(Epoch(1), put, PutHint::Bulk)
                .expect("the store takes blocks");
            if synced {
                store.sync().expect("the store syncs");
            }
            let ranges = [0..1, 40_000..90_000, 131_072..131_120];
            // The second `Again` may find what the first one kept.
            let hints = [PartHint::Once, PartHint::Again, PartHint::Again];
            for (range, hint) in ranges
                .into_iter()
                .flat_map(|range| hints.map(|hint| (range.clone(), hint)))
            {
                let range = groups_around(&range, large.bytes.len());
                if let Some(part) = store
                    .get_part(&large.cid, range.clone(), hint)
                    .expect("the store reads")
                {
                    assert_eq!(part.range, range);
                    assert_eq!(part.bytes, large.bytes.slice(range));
                    assert!(is_part_of(&part, &large.cid, large.bytes.len()));
                }
            }
        }
        store.delete(&[large.cid]).expect("the store forgets");
    }
    assert_eq!(
        store
            .get_part(&large.cid, 0..GROUP_BYTES, PartHint::Again)
            .expect("the store reads"),
        None
    );
    store
        .put(Epoch(1), std::slice::from_ref(&large), PutHint::Bulk)
        .expect("the store takes blocks");
    for beyond in [131_072..147_456, 147_456..163_840] {
        assert_eq!(
            store
                .get_part(&large.cid, beyond, PartHint::Once)
                .expect("the store reads"),
            None
        );
    }
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

fn the_log_is_read_in_order_and_in_portions(store: &impl BlockStore) {
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

fn the_newest_mark_is_kept(store: &impl BlockStore) {
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

fn fresh_and_list_continue_after_the_last(store: &impl BlockStore) {
    let blocks: Vec<_> = (0..10).map(block).collect();
    for (n, block) in blocks.iter().enumerate() {
        put(store, 1 + n as u64 % 3 * 255, std::slice::from_ref(block));
    }
    let (mut fresh, mut listed) = (Vec::new(), Vec::new());
    loop {
        let part = ok(store.fresh(fresh.last().copied(), 3));
        assert!(part.len() <= 3, "fresh answers no more than asked");
        if part.is_empty() {
            break;
        }
        fresh.extend(part);
    }
    loop {
        let part = ok(store.list(listed.last().copied(), 3));
        assert!(part.len() <= 3, "list answers no more than asked");
        if part.is_empty() {
            break;
        }
        listed.extend(part);
    }
    assert_eq!(fresh.len(), blocks.len(), "fresh finds each block once");
    let mut expected: Vec<_> = blocks.iter().map(|block| block.cid).collect();
    expected.sort_unstable();
    assert_eq!(
        listed, expected,
        "list goes in the order of names and finds each once"
    );
}

fn many_threads_may_call(store: &impl BlockStore) {
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                for n in 0..50 {
                    let block = block(thread * 1000 + n);
                    put(store, 1, std::slice::from_ref(&block));
                    assert!(has(store, &block), "a thread sees its own put");
                    if n % 10 == 0 {
                        ok(store.sync());
                    }
                }
            });
        }
    });
    assert_eq!(
        ok(store.list(None, 1000)).len(),
        200,
        "no put of any thread is lost"
    );
}
