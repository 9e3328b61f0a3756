//! Swaps of the head, and heads that the outside puts back.

use crate::stage::{block, create, killed, swap};
use cairn_block::{Blocks, Epoch, Heads, PutHint, StoreError};
use std::fs;
use std::slice::from_ref;

#[test]
fn a_swap_from_another_head_is_refused_and_changes_nothing() {
    let (_dir, store) = create();
    let kept = block(1, 64);
    store.put(Epoch(1), from_ref(&kept), PutHint::Bulk).unwrap();
    store.swap_head(&swap(None, b"one", &[], 0)).unwrap();
    for expected in [None, Some(&b"other"[..])] {
        let refused = store.swap_head(&swap(expected, b"two", &[kept.cid], 1));
        assert!(matches!(refused, Err(StoreError::HeadMoved)));
    }
    assert_eq!(store.head().unwrap().as_deref(), Some(&b"one"[..]));
    assert_eq!(store.fresh(None, 9).unwrap(), [(Epoch(1), kept.cid)]);
    assert_eq!(store.get(&kept.cid).unwrap(), Some(kept.bytes));
}

#[test]
fn a_head_that_is_put_back_on_disk_is_seen_although_the_store_is_open_and_damage_is_no_head() {
    let (dir, store) = create();
    let heads = [b"head 1", b"head 2", b"head 3", b"head 4"];
    let mut before: Option<&[u8]> = None;
    let mut old = None;
    for (settled, head) in (1..).zip(heads) {
        let mut swap = swap(before, head, &[], settled);
        swap.header = Some(b"header");
        store.swap_head(&swap).unwrap();
        before = Some(head);
        assert_eq!(store.head_afresh().unwrap().as_deref(), Some(&head[..]));
        if settled == 2 {
            old = Some(killed(dir.path()));
        }
    }
    let old = old.unwrap();
    for name in ["twin-0", "twin-1"] {
        fs::copy(old.path().join(name), dir.path().join(name)).unwrap();
    }
    assert_eq!(store.head_afresh().unwrap().as_deref(), Some(&b"head 2"[..]));
    for name in ["twin-0", "twin-1"] {
        fs::write(dir.path().join(name), "cairntwn and nothing like it").unwrap();
    }
    assert_eq!(store.head_afresh().unwrap(), None);
    for name in ["twin-0", "twin-1"] {
        fs::remove_file(dir.path().join(name)).unwrap();
    }
    assert_eq!(store.head_afresh().unwrap(), None);
}
