//! Blocks of the store: in packs, under the names in the index.
//!
//! ```text
//!   get -----> pending in memory? --no--> place in the index --> read, and again if a punch came between
//!   put -----> packs --written--> index
//!   delete --> index --> room of the dead counted
//! ```

use super::base::RocksStore;
use super::intent::IntentLog;
use super::keys;
use super::probe;
use super::space::Claim;
use crate::pack::{Packs, Place};
use bytes::Bytes;
use cairn_block::group::Part;
use cairn_block::{Blocks, Cid, Epoch, PartHint, PutHint, PutProgress, Sealed, StoreError, StoreStats};
use rocksdb::{WriteBatch, WriteOptions};
use std::ops::Range;
use std::time::{Duration, Instant};

/// How long [`StoreStats`] are believed.
const STATS_BELIEVED: Duration = Duration::from_secs(1);

impl Blocks for RocksStore {
    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        if let Some(pending) = self.packs.pending(cid) {
            return Ok(Some(pending));
        }
        loop {
            // Read before the place: if no punch began since, what lay there is what was written.
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
        // In the order of the packs: neighbours are one read, and the device goes one way.
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
        // A punch came between: each again, with a look of its own.
        cids.iter().map(|cid| self.get(cid)).collect()
    }

    fn holds(&self, cid: &Cid) -> Result<bool, StoreError> {
        Ok(self.packs.pending(cid).is_some() || self.place(cid)?.is_some())
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

    fn put_progress(&self) -> PutProgress {
        self.packs.progress()
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
                // A delete does not know the epoch of the put, so its mark may have outlived the
                // block.
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

    fn probe(&self) -> Result<(), StoreError> {
        probe::probe(self)
    }

    fn reclaim(&self) -> Result<(), StoreError> {
        self.check_alive("reclaim")?;
        // One at a time; a second caller has nothing to add.
        let Some(_one) = self.reclaiming.try_lock() else {
            return Ok(());
        };
        // The log's spare segments first: they are free to give, and may make a walk needless.
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
