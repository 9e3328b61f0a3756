//! The head of the store with its header, and their second copies.
//!
//! ```text
//!   swap_head --> packs synced --> twin written and synced --> one batch, synced: head, deletes, reached
//!   twins_ahead --> adopt: one batch, synced | drop_twins_ahead: files removed
//! ```
//!
//! **Invariant:** a head is in place only with all its blocks and with its twin.

use super::base::{RocksStore, synced};
use super::reached::Reached;
use super::{keys, open};
use crate::twin;
use bytes::Bytes;
use cairn_block::{Cid, Epoch, HeadSwap, Heads, StoreError, Twin};
use rocksdb::WriteBatch;
use rustc_hash::FxHashMap;
use std::io;

impl Heads for RocksStore {
    fn head(&self) -> Result<Option<Bytes>, StoreError> {
        self.meta("read the head", keys::HEAD)
    }

    fn header(&self) -> Result<Option<Bytes>, StoreError> {
        self.meta("read the header", keys::HEADER)
    }

    fn twin(&self) -> Result<Option<Twin>, StoreError> {
        let verb = "read the second copy of the head";
        let swaps = self.reached.lock().swaps;
        if swaps == 0 {
            return Ok(None);
        }
        let found = twin::read(&self.path, swaps).map_err(|source| StoreError::io(verb, source))?;
        match found {
            Some(found) => Ok(Some(found)),
            None => Err(StoreError::io(verb, io::ErrorKind::InvalidData.into())),
        }
    }

    fn head_afresh(&self) -> Result<Option<Bytes>, StoreError> {
        let verb = "look at the head";
        let swaps = self.reached.lock().swaps;
        let found = twin::lying(&self.path, swaps).map_err(|source| StoreError::io(verb, source))?;
        Ok(found.map(|(_, twin)| twin.head))
    }

    fn twins_ahead(&self) -> Result<Vec<Twin>, StoreError> {
        let swaps = self.reached.lock().swaps;
        let head = self.head().unwrap_or_default();
        let ahead = self.twins_from(swaps)?.into_iter();
        let ahead = ahead.filter(|(of, twin)| *of > swaps || Some(&twin.head) != head.as_ref());
        Ok(ahead.map(|(_, twin)| twin).collect())
    }

    fn adopt(&self, twin: &Twin, settled: Epoch) -> Result<(), StoreError> {
        let verb = "adopt a head";
        self.check_alive(verb)?;
        let mut reached = self.reached.lock();
        // Under the lock: no swap may write over this twin before the batch counts it.
        let mut ahead = self.twins_from(reached.swaps)?.into_iter();
        let (swaps, _) = ahead
            .find(|(_, lying)| lying == twin)
            .ok_or(StoreError::HeadMoved)?;
        let next = Reached {
            swaps,
            // The floor of the log stays: records above `settled` are still to be replayed.
            ..reached.after(settled, None)
        };
        let mut batch = WriteBatch::default();
        // One batch, and no write to the twin: a crash before it leaves the old head, and this
        // twin to be found again. A crash after it leaves the new head with its twin.
        batch.put_cf(self.journal(), keys::HEAD, &twin.head);
        batch.put_cf(self.journal(), keys::HEADER, &twin.header);
        next.put_into(&mut batch, [self.journal(), self.blocks()]);
        self.write(verb, batch, &synced())?;
        *reached = next;
        drop(reached);
        // Only now that the head is durable may records it settles be overwritten. A crash before
        // this leaves them in the log, where a reopen passes them over.
        self.settle_log(None, settled);
        self.check_background(verb)
    }

    fn drop_twins_ahead(&self) -> Result<(), StoreError> {
        self.check_alive("give up a newer head")?;
        let reached = self.reached.lock();
        // The one of the newest swap itself is written over by the swap after the next.
        let later = self.twins_from(reached.swaps.saturating_add(1))?;
        let dropped = later
            .into_iter()
            .try_for_each(|(of, _)| twin::remove(&self.path, of));
        dropped.map_err(|source| StoreError::io("give up a newer head", source))
    }

    fn prepare_delete(&self, cids: &[Cid]) -> Result<(), StoreError> {
        let mut doomed = FxHashMap::default();
        for cid in cids {
            // One that is not written yet has no place: the swap looks for it again.
            doomed.extend(self.place(cid)?.map(|place| (*cid, place)));
        }
        *self.doomed.lock() = doomed;
        Ok(())
    }

    fn swap_head(&self, swap: &HeadSwap<'_>) -> Result<(), StoreError> {
        let verb = "swap the head";
        self.check_alive(verb)?;
        let mut reached = self.reached.lock();
        let swaps = reached.swaps + 1;
        // First: a swap that expects another head must leave everything as it was, the twin too.
        let header = self.require_expected(swap)?;
        // Before twin and head, which both lead to these blocks. Always asked: a sync that is
        // under way may have some of them in hand. A crash here leaves blocks that no head names.
        self.sync_packs(verb)?;
        // Before the batch that makes it count, and not over the twin of the head in place. A
        // crash here leaves the old head with its twin, and a later twin that opening judges.
        self.write_twin(verb, swaps, swap, &header)?;
        // From here to the write: one batch, so that a crash leaves all of it or none. The floor
        // of the log rises with the head that holds the log's records.
        let floor = self.log_floor(swap);
        let next = reached.after(swap.settled, floor);
        let mut batch = WriteBatch::default();
        batch.put_cf(self.journal(), keys::HEAD, swap.head);
        if swap.header.is_some() {
            batch.put_cf(self.journal(), keys::HEADER, &header);
        }
        // Beside the head: whatever damages one may damage all that is there.
        batch.put_cf(self.journal(), keys::FORMAT, open::FORMAT);
        next.put_into(&mut batch, [self.journal(), self.blocks()]);
        // Deletes go with the head that does not need these blocks: no head is without its
        // blocks.
        let forgotten = self.delete_into(&mut batch, swap.delete)?;
        if reached.settled < next.settled {
            // From where the last range ended: ranges that overlap make every read slower.
            let settled = reached.settled;
            let from = settled.map_or_else(|| vec![keys::FRESH], |settled| keys::above(keys::FRESH, settled));
            batch.delete_range_cf(self.blocks(), from, keys::above(keys::FRESH, swap.settled));
        }
        // The step that commits. After a failure the head may be old or new, so the store fails.
        self.write(verb, batch, &synced())?;
        *reached = next;
        drop(reached);
        // Counted only after the delete: a reclaim between the two would take the count, find the
        // blocks alive, and their room would be counted no more. A crash here loses the count,
        // and the next reclaim looks at every pack.
        self.packs.forget(&forgotten);
        // Last, for it allows writes over settled records: the head that settles them must be
        // durable. A crash before this leaves records that a reopen passes over.
        self.settle_log(floor, swap.settled);
        self.check_background(verb)
    }
}

impl RocksStore {
    /// Compares the head with the one that a swap expects, where one that cannot be read is none;
    /// answers the header that the swap leaves.
    fn require_expected(&self, swap: &HeadSwap<'_>) -> Result<Bytes, StoreError> {
        let head = match self.head() {
            Err(error) if error.is_damage() => None,
            head => head?,
        };
        if head.as_deref() != swap.expected {
            return Err(StoreError::HeadMoved);
        }
        match swap.header {
            Some(header) => Ok(Bytes::copy_from_slice(header)),
            None => Ok(self.header()?.unwrap_or_default()),
        }
    }

    /// The second copies of the swaps from `least` on, newest first, and which ones those are.
    fn twins_from(&self, least: u64) -> Result<Vec<(u64, Twin)>, StoreError> {
        let mut ahead = Vec::new();
        for place in [0, 1] {
            let lying = twin::lying(&self.path, place);
            let lying = lying.map_err(|source| StoreError::io("look for a newer head", source))?;
            ahead.extend(lying.filter(|(of, _)| *of >= least));
        }
        ahead.sort_unstable_by_key(|(of, _)| std::cmp::Reverse(*of));
        Ok(ahead)
    }

    fn write_twin(
        &self,
        verb: &'static str,
        swaps: u64,
        swap: &HeadSwap<'_>,
        header: &[u8],
    ) -> Result<(), StoreError> {
        let written = twin::write(&self.path, swaps, swap, header);
        written.map_err(|source| self.poison_unless_full(verb, source))
    }
}
