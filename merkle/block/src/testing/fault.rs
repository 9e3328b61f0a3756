//! A store that counts its calls, and fails or lies on demand.
//!
//! It stands at the trait, so the same operations run over it as over any store. It passes no
//! refused call on: an injected failure changes nothing below.

use crate::group::Part;
use crate::{BlockStore, Cid, Epoch, HeadSwap, LogPos, PartHint, PutHint, Sealed, StoreError, Twin};
use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;

/// What can be counted and made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Op {
    /// A block read; `get_many` counts once for each block.
    Get,
    /// A read of a part of a block.
    GetPart,
    /// A batch of puts.
    Put,
    /// A batch of deletes.
    Delete,
    /// A sync.
    Sync,
    /// A batch of log records.
    LogAppend,
    /// A mark of the log.
    LogMark,
    /// A swap of the head.
    SwapHead,
}

/// How a block read back differs from the one stored.
#[derive(Clone, Debug)]
pub enum Tamper {
    /// It is gone.
    Drop,
    /// One bit is flipped, counted modulo the block's bits.
    FlipBit(usize),
    /// Only this many bytes are left.
    Truncate(usize),
    /// Other bytes stand in its place.
    Replace(Bytes),
}

/// A store that counts its calls, and fails or lies on demand.
#[derive(Debug, Default)]
pub struct FaultStore<S> {
    inner: S,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    counts: BTreeMap<Op, u64>,
    fail_at: BTreeMap<Op, u64>,
    fail_from: BTreeMap<Op, u64>,
    full_from: BTreeMap<Op, u64>,
    room_bytes: Option<u64>,
    tampers: BTreeMap<Cid, Tamper>,
}

impl<S> FaultStore<S> {
    /// Passes everything on until told otherwise.
    pub fn new(inner: S) -> Self {
        Self {
            inner,
            state: Mutex::default(),
        }
    }

    /// The store below.
    pub fn inner(&self) -> &S {
        &self.inner
    }

    /// The store below, once the test is done with the faults.
    pub fn into_inner(self) -> S {
        self.inner
    }

    /// How often `op` was called, failures included.
    pub fn count(&self, op: Op) -> u64 {
        self.state.lock().counts.get(&op).copied().unwrap_or(0)
    }

    /// Fails one call of `op`: the next one if `n` is 0, the one after if it is 1.
    pub fn fail_nth(&self, op: Op, n: u64) {
        let at = self.count(op) + n;
        self.state.lock().fail_at.insert(op, at);
    }

    /// Fails the call [`Self::fail_nth`] would, and all calls of `op` after it.
    pub fn fail_from_nth(&self, op: Op, n: u64) {
        let from = self.count(op) + n;
        self.state.lock().fail_from.insert(op, from);
    }

    /// Answers `StorageFull` to the call [`Self::fail_nth`] would fail, and to all calls of `op`
    /// after it.
    pub fn full_from_nth(&self, op: Op, n: u64) {
        let from = self.count(op) + n;
        self.state.lock().full_from.insert(op, from);
    }

    /// Lets this many more bytes of blocks and log records in, then answers `StorageFull`. Deletes
    /// give none back.
    pub fn full_after(&self, room_bytes: u64) {
        self.state.lock().room_bytes = Some(room_bytes);
    }

    /// From now on, answers reads of `cid` with something else.
    pub fn tamper(&self, cid: Cid, tamper: Tamper) {
        self.state.lock().tampers.insert(cid, tamper);
    }

    /// Takes all faults back; the counts stay.
    pub fn heal(&self) {
        let mut state = self.state.lock();
        *state = State {
            counts: std::mem::take(&mut state.counts),
            ..State::default()
        };
    }

    fn enter(&self, op: Op, verb: &'static str) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        let count = state.counts.entry(op).or_default();
        let n = *count;
        *count += 1;
        let reached = |from: Option<&u64>| from.is_some_and(|from| n >= *from);
        if state.fail_at.get(&op) == Some(&n) || reached(state.fail_from.get(&op)) {
            Err(StoreError::io(verb, io::Error::other("injected fault")))
        } else if reached(state.full_from.get(&op)) {
            Err(StoreError::io(verb, io::ErrorKind::StorageFull.into()))
        } else {
            Ok(())
        }
    }

    fn take_room(&self, verb: &'static str, bytes: usize) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        let Some(room) = state.room_bytes else {
            return Ok(());
        };
        let left = room.checked_sub(bytes as u64);
        state.room_bytes = Some(left.ok_or_else(|| StoreError::io(verb, io::ErrorKind::StorageFull.into()))?);
        Ok(())
    }
}

impl Tamper {
    fn apply(&self, stored: Bytes) -> Option<Bytes> {
        match self {
            Self::Drop => None,
            Self::FlipBit(bit) => {
                let mut altered = stored.to_vec();
                let bit = bit % (altered.len() * 8).max(1);
                if let Some(byte) = altered.get_mut(bit / 8) {
                    *byte ^= 1 << (bit % 8);
                }
                Some(altered.into())
            }
            Self::Truncate(len) => Some(stored.slice(..stored.len().min(*len))),
            Self::Replace(other) => Some(other.clone()),
        }
    }
}

impl<S: BlockStore> crate::overlay::Overlay for FaultStore<S> {
    type Below = S;

    fn below(&self) -> &S {
        &self.inner
    }

    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        self.enter(Op::Get, "read a block")?;
        let stored = self.inner.get(cid)?;
        let tamper = self.state.lock().tampers.get(cid).cloned();
        Ok(match (stored, tamper) {
            (Some(stored), Some(tamper)) => tamper.apply(stored),
            (stored, _) => stored,
        })
    }

    fn get_part(&self, cid: &Cid, range: Range<usize>, hint: PartHint) -> Result<Option<Part>, StoreError> {
        self.enter(Op::GetPart, "read a part of a block")?;
        let part = self.inner.get_part(cid, range.clone(), hint)?;
        let tamper = self.state.lock().tampers.get(cid).cloned();
        let (Some(part), Some(tamper)) = (&part, tamper) else {
            return Ok(part);
        };
        let stored = self.inner.get(cid)?.and_then(|stored| tamper.apply(stored));
        let stored = stored.filter(|stored| range.end <= stored.len());
        Ok(stored.map(|stored| Part {
            bytes: stored.slice(range),
            ..part.clone()
        }))
    }

    fn put(&self, epoch: Epoch, blocks: &[Sealed], hint: PutHint) -> Result<(), StoreError> {
        self.enter(Op::Put, "put blocks")?;
        self.take_room("put blocks", blocks.iter().map(|block| block.bytes.len()).sum())?;
        self.inner.put(epoch, blocks, hint)
    }

    fn delete(&self, cids: &[Cid]) -> Result<(), StoreError> {
        self.enter(Op::Delete, "delete blocks")?;
        self.inner.delete(cids)
    }

    fn sync(&self) -> Result<(), StoreError> {
        self.enter(Op::Sync, "sync")?;
        self.inner.sync()
    }

    fn log_append(&self, records: &[(LogPos, Bytes)]) -> Result<(), StoreError> {
        self.enter(Op::LogAppend, "append to the log")?;
        self.take_room(
            "append to the log",
            records.iter().map(|(_, record)| record.len()).sum(),
        )?;
        self.inner.log_append(records)
    }

    fn log_mark(&self, mark: &[u8]) -> Result<(), StoreError> {
        self.enter(Op::LogMark, "mark the log")?;
        self.inner.log_mark(mark)
    }

    fn drop_twins_ahead(&self) -> Result<(), StoreError> {
        self.enter(Op::SwapHead, "give up a head")?;
        self.inner.drop_twins_ahead()
    }

    fn adopt(&self, twin: &Twin, settled: Epoch) -> Result<(), StoreError> {
        self.enter(Op::SwapHead, "adopt a head")?;
        self.inner.adopt(twin, settled)
    }

    fn swap_head(&self, swap: &HeadSwap<'_>) -> Result<(), StoreError> {
        self.enter(Op::SwapHead, "swap the head")?;
        self.inner.swap_head(swap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Blocks, Codec, MemoryStore};

    fn block() -> Sealed {
        let bytes = Bytes::from_static(b"block");
        Sealed::new(Cid::of(Codec::Leaf, &bytes), bytes)
    }

    #[test]
    fn without_faults_it_keeps_the_contract() {
        crate::testing::store_contract(|| FaultStore::new(MemoryStore::new()));
    }

    #[test]
    fn only_the_call_asked_for_fails() {
        let store = FaultStore::new(MemoryStore::new());
        store.fail_nth(Op::Sync, 1);
        assert!(store.sync().is_ok());
        assert!(store.sync().is_err());
        assert!(store.sync().is_ok());
        store.fail_from_nth(Op::Sync, 0);
        assert!(store.sync().is_err() && store.sync().is_err());
        store.heal();
        assert!(store.sync().is_ok());
        assert_eq!(store.count(Op::Sync), 6);
    }

    #[test]
    fn a_full_store_says_so_and_takes_nothing() {
        let store = FaultStore::new(MemoryStore::new());
        store.full_after(7);
        store.put(Epoch(1), &[block()], PutHint::Bulk).unwrap();
        let refused = store.put(Epoch(1), &[block()], PutHint::Bulk);
        assert!(refused.is_err_and(|error| error.is_full()));
        store.heal();
        store.full_from_nth(Op::Put, 1);
        store.put(Epoch(1), &[block()], PutHint::Bulk).unwrap();
        let refused = store.put(Epoch(1), &[block()], PutHint::Bulk);
        assert!(refused.is_err_and(|error| error.is_full()));
        store.sync().unwrap();
    }

    #[test]
    fn a_tampered_block_reads_back_differently() {
        let store = FaultStore::new(MemoryStore::new());
        store.put(Epoch(1), &[block()], PutHint::Bulk).unwrap();
        let cid = block().cid;
        for tamper in [
            Tamper::Drop,
            Tamper::FlipBit(3),
            Tamper::Truncate(2),
            Tamper::Replace(Bytes::new()),
        ] {
            store.tamper(cid, tamper);
            assert_ne!(store.get(&cid).unwrap(), Some(block().bytes));
        }
        store.heal();
        assert_eq!(store.get(&cid).unwrap(), Some(block().bytes));
    }
}
