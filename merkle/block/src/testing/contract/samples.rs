//! What the promises are asked with: blocks, swaps and places of the log.

use crate::group::groups_of;
use crate::{Blocks, Cid, Codec, Epoch, HeadSwap, LogPos, PutHint, Sealed, StoreError};
use bytes::Bytes;

pub(super) fn block(n: u64) -> Sealed {
    sealed(Bytes::from(format!("block {n}")))
}

pub(super) fn sealed(bytes: Bytes) -> Sealed {
    Sealed {
        cid: Cid::of(Codec::Leaf, &bytes),
        groups: groups_of(&bytes),
        bytes,
    }
}

pub(super) fn ok<T>(result: Result<T, StoreError>) -> T {
    result.unwrap_or_else(|error| panic!("a healthy store must not fail: {error}"))
}

pub(super) fn put(store: &impl Blocks, epoch: u64, blocks: &[Sealed]) {
    ok(store.put(Epoch(epoch), blocks, PutHint::Bulk));
}

pub(super) fn has(store: &impl Blocks, block: &Sealed) -> bool {
    ok(store.get(&block.cid)).is_some_and(|bytes| bytes == block.bytes)
}

pub(super) fn swap<'a>(expected: Option<&'a [u8]>, head: &'a [u8]) -> HeadSwap<'a> {
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

pub(super) fn pos(epoch: u64, seq: u64) -> LogPos {
    LogPos {
        epoch: Epoch(epoch),
        seq,
    }
}
