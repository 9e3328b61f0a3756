//! A [`BlockStore`] in one directory: blocks in packs, RocksDB as their index, the intent log in
//! files of its own.
//!
//! ```text
//!   put ---------> packs (pack.rs) --written--> index: name -> place, fresh mark   } write-ahead log, not synced
//!   delete ------> index                                                           }
//!   sync --------> packs synced, then the write-ahead log
//!   swap_head ---> packs synced, twin written and synced, then one batch of head, deletes and reached, synced
//!   log_append --> segments, synced (log.rs, intent.rs)
//! ```
//!
//! - *The index names a block only after it was written*, and both are durable before a head can
//!   name it. Packs are synced before the write-ahead log that holds their places.
//! - *One write-ahead log orders all:* after a crash the index is a prefix of the changes to it.
//! - *Dead room is given back only after the delete is durable:* a reclaim takes the view it
//!   walks, then syncs the index, then punches.
//! - *The twin of a head* (twin.rs) is durable before the batch that makes it count.
//! - *Trim:* records of settled epochs may be overwritten once the head that settles them is
//!   durable. Until a reopen finds them gone they are passed over.
//!
//! After a failed write, flush or sync every later change or sync fails too. Data that the disk
//! refused once may be lost although a later sync succeeds. Reads go on, since the caller
//! verifies their answers.
//!
//! Lock order: `reached` (held for a swap), then `intent` for a moment, or RocksDB's own.
//! `reclaiming` is held over others' calls but never inside another lock. `syncing`, held until
//! the log is durable, comes before `intent`, and `intent` before the lock inside `space`.

mod ahead;
mod base;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod index;
mod intent;
mod keys;
mod log;
mod lookup;
mod open;
mod open_read;
mod options;
mod reached;
mod reclaim;
mod space;
mod unfinished;

pub use base::RocksStore;
pub use options::StoreOptions;

use crate::pack::{Packs, Place};
use crate::twin;
use base::synced;
use bytes::Bytes;
use cairn_merkle::group::Part;
use cairn_merkle::{
    BlockStore, Cid, Epoch, HeadSwap, LogPos, LogRest, PartHint, PutHint, Sealed, StoreError, StoreStats,
    Twin,
};
use intent::{IntentLog, Soon};
use reached::Reached;
use rocksdb::{WriteBatch, WriteOptions};
use rustc_hash::FxHashMap;
use space::Claim;
use std::{
    io,
    ops::Range,
    time::{Duration, Instant},
};

/// How long [`StoreStats`] are believed.
const STATS_BELIEVED: Duration = Duration::from_secs(1);

impl BlockStore for RocksStore {
    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        if let Some(pending) = self.packs.pending(cid) {
            return Ok(Some(pending));
        }
        loop {
            let punches = self.packs.punches();
            let Some(place) = self.place(cid)? else {
                return Ok(None);
            };
            let found = self.packs.read(place);
            if self.packs.punches() == punches {
                return found.map_err(|source| StoreError::io("read a block", source));
            }
        }
    }

    fn get_now(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        if let Some(pending) = self.packs.pending(cid) {
            return Ok(Some(pending));
        }
        let punches = self.packs.punches();
        let found = self.place(cid)?.and_then(|place| self.packs.read_now(place));
        Ok(found.filter(|_| self.packs.punches() == punches))
    }

    fn get_part(&self, cid: &Cid, range: Range<usize>, hint: PartHint) -> Result<Option<Part>, StoreError> {
        // What is not written yet is in memory, whole.
        if self.packs.pending(cid).is_some() {
            return Ok(None);
        }
        let punches = self.packs.punches();
        let part = self.entry(cid, |place, groups| {
            let place = place.part(&range)?;
            (!groups.is_empty()).then(|| (place, Bytes::copy_from_slice(groups)))
        })?;
        let Some((place, groups)) = part else {
            return Ok(None);
        };
        let read = self.packs.read_part(place, hint);
        let read = read.map_err(|source| StoreError::io("read a part of a block", source))?;
        let bytes = read.filter(|_| self.packs.punches() == punches);
        Ok(bytes.map(|bytes| Part { range, bytes, groups }))
    }

    fn get_many(&self, cids: &[Cid]) -> Result<Vec<Option<Bytes>>, StoreError> {
        let mut found = vec![None; cids.len()];
        let mut places = Vec::with_capacity(cids.len());
        let punches = self.packs.punches();
        for (at, cid) in cids.iter().enumerate() {
            found[at] = self.packs.pending(cid);
            if found[at].is_none() {
                places.extend(self.place(cid)?.map(|place| (place, at)));
            }
        }
        places.sort_unstable();
        let sorted: Vec<Place> = places.iter().map(|(place, _)| *place).collect();
        let mut asked = places.iter().map(|(_, at)| *at);
        let runs: Vec<&[Place]> = Packs::runs(&sorted).collect();
        if runs.len() > 1 {
            self.packs.announce(&runs);
        }
        for run in runs {
            let read = self.packs.read_run(run);
            let read = read.map_err(|source| StoreError::io("read blocks", source))?;
            for (bytes, at) in read.into_iter().zip(asked.by_ref()) {
                found[at] = bytes;
            }
        }
        if self.packs.punches() == punches {
            return Ok(found);
        }
        cids.iter().map(|cid| self.get(cid)).collect()
    }

    fn put(&self, epoch: Epoch, blocks: &[Sealed], hint: PutHint) -> Result<(), StoreError> {
        let verb = "put blocks";
        self.check_alive(verb)?;
        let claim = match hint {
            PutHint::Bulk => Claim::Blocks,
            PutHint::Small => Claim::Nodes,
        };
        let claim = |bytes| self.space.take(claim, bytes);
        let put = self.packs.put(epoch, blocks, &claim);
        put.map_err(|source| self.poison_unless_full(verb, source))
    }

    fn delete(&self, cids: &[Cid]) -> Result<(), StoreError> {
        self.check_alive("delete blocks")?;
        let mut batch = WriteBatch::default();
        let forgotten = self.delete_into(&mut batch, cids)?;
        self.write("delete blocks", batch, &WriteOptions::default())?;
        // After the delete, as in `swap_head`.
        self.packs.forget(&forgotten);
        Ok(())
    }

    fn holds(&self, cid: &Cid) -> Result<bool, StoreError> {
        Ok(self.packs.pending(cid).is_some() || self.place(cid)?.is_some())
    }

    fn sync(&self) -> Result<(), StoreError> {
        let verb = "sync";
        self.check_alive(verb)?;
        // Packs before the write-ahead log: a crash between the two leaves blocks that the index
        // may not name.
        self.sync_packs(verb)?;
        self.db
            .flush_wal(true)
            .map_err(|error| self.poison(verb, error))?;
        self.check_background(verb)
    }

    fn log_append(&self, records: &[(LogPos, Bytes)]) -> Result<(), StoreError> {
        self.append_to_log(records)
    }

    fn log_write(&self, records: &[(LogPos, Bytes)]) -> Result<(), StoreError> {
        self.write_records(records, Soon::Later)
    }

    fn log_mark(&self, mark: &[u8]) -> Result<(), StoreError> {
        self.mark_log(mark)
    }

    fn log_read(&self, from: LogPos, bytes_max: usize) -> Result<Vec<(LogPos, Bytes)>, StoreError> {
        Ok(self.intent.lock().read(from, bytes_max))
    }

    fn log_rest(&self) -> Result<LogRest, StoreError> {
        self.rest_of_log()
    }

    fn head(&self) -> Result<Option<Bytes>, StoreError> {
        self.meta("read the head", keys::HEAD)
    }

    fn header(&self) -> Result<Option<Bytes>, StoreError> {
        self.meta("read the header", keys::HEADER)
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

    fn fresh(&self, after: Option<(Epoch, Cid)>, count_max: usize) -> Result<Vec<(Epoch, Cid)>, StoreError> {
        self.drain("list fresh blocks")?;
        // Marks of settled epochs are passed over even where they still lie.
        let settled = self.reached.lock().settled;
        let start = settled.map_or_else(|| vec![keys::FRESH], |settled| keys::above(keys::FRESH, settled));
        let start = start.max(after.map_or_else(Vec::new, |(epoch, cid)| keys::fresh(epoch, &cid)));
        let mut marks = Vec::new();
        let mut error = None;
        self.walk(
            "list fresh blocks",
            self.blocks(),
            (keys::FRESH, &start),
            |iter| {
                let mark = iter.key().and_then(keys::parse_fresh);
                let Some(mark) = mark.filter(|mark| Some(*mark) != after && marks.len() < count_max) else {
                    return marks.len() < count_max;
                };
                // A delete does not know the epoch of the put, so its mark may have outlived the block.
                match self.place(&mark.1) {
                    Ok(Some(_)) => marks.push(mark),
                    Ok(None) => {}
                    Err(failure) => error = Some(failure),
                }
                marks.len() < count_max && error.is_none()
            },
        )?;
        error.map_or(Ok(marks), Err)
    }

    fn list(&self, after: Option<Cid>, count_max: usize) -> Result<Vec<Cid>, StoreError> {
        self.drain("list blocks")?;
        let start = after.map_or_else(|| vec![keys::BLOCKS], |cid| keys::block(&cid));
        let mut cids = Vec::new();
        self.walk("list blocks", self.blocks(), (keys::BLOCKS, &start), |iter| {
            let cid = iter.key().and_then(keys::parse_block);
            cids.extend(cid.filter(|cid| Some(*cid) != after && cids.len() < count_max));
            cids.len() < count_max
        })?;
        Ok(cids)
    }

    fn stats(&self) -> Result<StoreStats, StoreError> {
        let mut known = self.stats.lock();
        match *known {
            // How much room there is must not be old: writers are admitted by it.
            Some((at, stats)) if at.elapsed() < STATS_BELIEVED => Ok(StoreStats {
                available_bytes: self.available_bytes()?,
                ..stats
            }),
            _ => {
                let stats = self.measure()?;
                *known = Some((Instant::now(), stats));
                Ok(stats)
            }
        }
    }

    fn reclaim(&self) -> Result<(), StoreError> {
        self.check_alive("reclaim")?;
        // One at a time; a second caller has nothing to add.
        let Some(_one) = self.reclaiming.try_lock() else {
            return Ok(());
        };
        self.trim_intent(IntentLog::shrink);
        self.reclaim_garbage()?;
        *self.stats.lock() = None;
        Ok(())
    }

    fn close(&self) -> Result<(), StoreError> {
        if !self.access.writes() {
            return Ok(());
        }
        // Not beside a reclaim, which has the count of what is dead in its hands.
        let _one = self.reclaiming.lock();
        let io = |source| StoreError::io("close", source);
        self.packs.close().map_err(io)?;
        self.marks.lock().sync().map_err(io)
    }
}

impl RocksStore {
    /// Compares the head with the one that a swap expects, where one that cannot be read is none; answers the header that
    /// the swap leaves.
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
