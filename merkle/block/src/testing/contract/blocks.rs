//! The promises of [`Blocks`].

use super::samples::{block, has, ok, put, sealed};
use crate::group::{GROUP_BYTES, groups_around, is_part_of};
use crate::{Blocks, Epoch, MAX_STORED, PartHint, PutHint, Sealed};
use bytes::Bytes;

/// Asks a new store for each promise.
pub(super) fn contract<S: Blocks>(make: &impl Fn() -> S) {
    an_empty_store_has_no_block(&make());
    what_was_put_is_there_until_it_is_deleted(&make());
    what_was_synced_counts_as_written(&make());
    answers_come_in_the_order_asked(&make());
    putting_twice_and_deleting_twice_are_harmless(&make());
    large_and_empty_blocks_come_back_whole(&make());
    a_part_is_that_of_the_block_or_is_not_given(&make());
    fresh_and_list_continue_after_the_last(&make());
    many_threads_may_call(&make());
}

fn an_empty_store_has_no_block(store: &impl Blocks) {
    assert_eq!(ok(store.get(&block(0).cid)), None, "an empty store has no block");
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

fn what_was_put_is_there_until_it_is_deleted(store: &impl Blocks) {
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

fn what_was_synced_counts_as_written(store: &impl Blocks) {
    for n in 1..=3 {
        put(store, 1, &[block(n), block(10 + n)]);
        let progress = store.put_progress();
        assert!(
            progress.written <= progress.accepted,
            "no more is written than was put"
        );
        ok(store.sync());
        let synced = store.put_progress();
        assert!(
            synced.written >= progress.accepted,
            "a sync writes what was put before"
        );
    }
}

fn answers_come_in_the_order_asked(store: &impl Blocks) {
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

fn putting_twice_and_deleting_twice_are_harmless(store: &impl Blocks) {
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

fn large_and_empty_blocks_come_back_whole(store: &impl Blocks) {
    let blocks = [0, 1, 4096, 128 << 10, MAX_STORED].map(|len| sealed(Bytes::from(vec![0xa5; len])));
    put(store, 1, &blocks);
    ok(store.sync());
    assert!(
        blocks.iter().all(|block| has(store, block)),
        "blocks up to 2 MiB come back whole"
    );
}

fn a_part_is_that_of_the_block_or_is_not_given(store: &impl Blocks) {
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

fn fresh_and_list_continue_after_the_last(store: &impl Blocks) {
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

fn many_threads_may_call(store: &impl Blocks) {
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
