//! The intent log, in files of its own: an fsync waits for one write into room that is already
//! there.
//!
//! ```text
//!   intent/00000  record | record | record | record | what an earlier use left, or zeros
//!   intent/00001  record | record | (end)                <- active: the next append goes here
//!   intent/00002  zeros                                  <- free, or being made by a thread while 00001 fills
//!   intent/marks  how far it was durable                 <- after each sync (marks.rs)
//!
//!   write --active has room?--> write      sync: fdatasync      trim: segments of settled epochs become free
//! ```
//!
//! RocksDB's write-ahead log grows with each append, so each sync of it waits for the journal of
//! the filesystem below as well. RocksDB would also write each record a second time when it
//! flushes its memtable. A segment is written with zeros once and used again and again: a sync of
//! it waits for the device alone.
//!
//! Each use of a segment has a number, and each record carries it. So remains of an earlier use
//! are never taken for later records, and the records of a replayed log are past for good
//! ([`IntentLog::restart`]). A record is handed on whether it is whole or not, and so is
//! everything behind a broken one. The side with the key tells damage from an end.
//!
//! A record that is synced at once is written past the page cache, in sectors. The next record
//! writes the last sector again, with the same bytes and more. A record that only has to outlive
//! the process goes through the page cache, and so does all else until the next sync.
//!
//! **Invariant:** nothing is written to a second segment before the first is synced. Opening ends
//! the active segment.

mod head;
mod marks;
mod scan;
mod segment;

pub(super) use head::Use;
pub(super) use marks::Marks;
pub(super) use segment::Soon;

use crate::own::Access;
use bytes::Bytes;
use cairn_block::buffer::Pool;
use cairn_block::{Epoch, LogPos};
use head::framed_len;
use rustix::fs::fdatasync;
use segment::{Place, SEGMENT_BYTES, Segment, path_of};
use std::{
    collections::btree_map::{BTreeMap, Entry},
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
    thread::{self, JoinHandle},
};

/// Directory of the segments, within the store's.
pub(super) const DIR: &str = "intent";
/// Free segments that are kept while the store is busy (as much log as the engine lets grow before
/// it commits), and when it idles.
const FREE_MAX: usize = 64;
const FREE_IDLE_MAX: usize = 1;

/// A segment on its way.
type Coming = JoinHandle<io::Result<Segment>>;

/// The log of one store. Callers serialise.
pub(super) struct IntentLog {
    dir: PathBuf,
    active: Option<Segment>,
    /// Ended, and still needed.
    full: Vec<Segment>,
    free: Vec<Segment>,
    coming: Option<Coming>,
    next_slot: u32,
    next_use: Use,
    records: BTreeMap<LogPos, Place>,
    /// Places where the head of a record is broken, for people.
    broken: Vec<String>,
    buffers: Arc<Pool>,
}

#[cfg(feature = "fuzzing")]
pub(super) use head::sum_again;

/// The file of a slot of the log of `store`.
#[cfg(feature = "fuzzing")]
pub(super) fn segment_path(store: &Path, slot: u32) -> PathBuf {
    segment::path_of(&store.join(DIR), slot)
}

impl IntentLog {
    /// Makes the directory of an empty log.
    pub(super) fn create(store: &Path) -> io::Result<()> {
        let dir = store.join(DIR);
        fs::create_dir(&dir)?;
        Marks::create(&dir)?;
        // Makes the name of the directory durable. A crash before this leaves no store: the
        // marker of its format is written last (open.rs).
        File::open(store)?.sync_all()
    }

    /// Opens the log and finds its records above `settled`, of uses from `floor` on. Where it is
    /// only read, no segment becomes free, and none is removed.
    pub(super) fn open(store: &Path, settled: Option<Epoch>, floor: Use, access: Access) -> io::Result<Self> {
        let mut log = Self {
            dir: store.join(DIR),
            active: None,
            full: Vec::new(),
            free: Vec::new(),
            coming: None,
            next_slot: 0,
            next_use: floor,
            records: BTreeMap::new(),
            broken: Vec::new(),
            buffers: Pool::new(64 << 10, 2),
        };
        for entry in fs::read_dir(&log.dir)? {
            let name = entry?.file_name();
            let slot = name.to_str().and_then(|name| name.parse::<u32>().ok());
            // A file that nothing here would have named so is none of ours.
            let ours = slot.filter(|slot| path_of(&log.dir, *slot).file_name() == Some(&name));
            let Some((slot, next)) = ours.and_then(|slot| Some((slot, slot.checked_add(1)?))) else {
                continue;
            };
            log.next_slot = log.next_slot.max(next);
            let records = &mut log.records;
            let segment = Segment::open(&log.dir, (slot, access), floor, &mut |pos, place| {
                if Some(pos.epoch) > settled {
                    insert(records, pos, place);
                }
            })?;
            log.next_use = log.next_use.max(Use(segment.used.0 + 1));
            log.broken
                .extend(segment.broken.map(|at| format!("{DIR}/{slot:05} at byte {at}")));
            log.full.push(segment);
        }
        if let Some(settled) = settled.filter(|_| access.writes()) {
            // After all segments are read: those whose records are all settled become free.
            log.trim(settled);
        }
        Ok(log)
    }

    /// Places where the head of a record that is not past is broken.
    pub(super) fn broken(&self) -> &[String] {
        &self.broken
    }

    /// Every use so far has a number below this one.
    pub(super) fn next_use(&self) -> Use {
        self.next_use
    }

    /// All uses below `floor` are past, whatever their records. Must be durable knowledge.
    pub(super) fn restart(&mut self, floor: Use) {
        // The floor is durable, so a crash from here on loses nothing: a reopen passes over all
        // below it.
        self.records.retain(|_, place| place.used >= floor);
        self.broken.clear();
        // None of it is written to again: the next append begins another use.
        self.full
            .extend(self.active.take_if(|active| active.used < floor));
        for segment in self.full.iter_mut().filter(|segment| segment.used < floor) {
            // As of epoch 0 the trim that follows frees it, whatever epochs its records had.
            segment.newest = Epoch(0);
            segment.forget_broken();
        }
    }

    /// Bytes the next append takes from the device: none while there is room in what is already
    /// there.
    pub(super) fn wants_bytes(&self, records: &[(LogPos, Bytes)]) -> u64 {
        let needed: u64 = records.iter().map(|(_, bytes)| framed_len(bytes)).sum();
        let active = self.active.as_ref().map_or(0, |active| active.len - active.end);
        let free: u64 = self.free.iter().map(|free| free.len).sum();
        let coming = self.coming.as_ref().map_or(0, |_| SEGMENT_BYTES);
        match needed.saturating_sub(active + free + coming) {
            0 => 0,
            more => more.max(SEGMENT_BYTES),
        }
    }

    /// Bytes that [`Self::make_ahead`] takes from the device: none while it need not be called.
    pub(super) fn wants_ahead(&self) -> u64 {
        let half_full = self
            .active
            .as_ref()
            .is_some_and(|active| active.end > active.len / 2);
        match half_full && self.free.is_empty() && self.coming.is_none() {
            true => SEGMENT_BYTES,
            false => 0,
        }
    }

    /// Has a thread make the next segment, so that no fsync waits until it is written.
    pub(super) fn make_ahead(&mut self) {
        let (dir, slot) = (self.dir.clone(), self.next_slot);
        self.next_slot += 1;
        let make = move || Segment::create(&dir, slot, SEGMENT_BYTES);
        // Without the thread, the segment is made when it is needed.
        self.coming = thread::Builder::new()
            .name("cairn-segment".to_owned())
            .spawn(make)
            .ok();
    }

    /// Waits for the segment that is on its way. One that could not be made is made again when it
    /// is needed, and then says why.
    fn arrive(&mut self) {
        if let Some(Ok(Ok(made))) = self.coming.take().map(JoinHandle::join) {
            self.free.push(made);
        }
    }

    /// Writes records; a kill of the process does not lose them.
    pub(super) fn write(&mut self, mut records: &[(LogPos, Bytes)], soon: Soon) -> io::Result<()> {
        let buffers = Arc::clone(&self.buffers);
        while let Some((_, first)) = records.first() {
            let written = self.room_for(framed_len(first))?.write(records, soon, &buffers)?;
            records = &records[written.len()..];
            for (pos, place) in written {
                insert(&mut self.records, pos, place);
            }
        }
        Ok(())
    }

    /// The file whose sync makes the writes so far durable, if there were any. The caller that
    /// takes it syncs it, or reports nothing of them as durable.
    pub(super) fn take_unsynced(&mut self) -> Option<Arc<File>> {
        let active = self.active.as_mut().filter(|active| active.unsynced)?;
        // Before the sync: a write beside it sets this anew, and waits for a sync of its own.
        active.unsynced = false;
        active.cached = false;
        Some(Arc::clone(&active.file))
    }

    /// The active segment, with room for `needed` bytes.
    fn room_for(&mut self, needed: u64) -> io::Result<&mut Segment> {
        if let Some(active) = self.active.take_if(|active| active.len - active.end < needed) {
            // Before the next segment is written, which must not be the first to be durable: a
            // crash then never leaves later records without these. Also when a sync of it is under
            // way elsewhere.
            fdatasync(&*active.file)?;
            self.full.push(active);
        }
        let active = match self.active.take() {
            Some(active) => active,
            None => self.next_segment(needed)?,
        };
        Ok(self.active.insert(active))
    }

    /// A free segment of at least this length, ready for use.
    fn next_segment(&mut self, len: u64) -> io::Result<Segment> {
        if self.free.is_empty() {
            self.arrive();
        }
        let mut segment = match self.free.iter().position(|free| free.len >= len) {
            Some(at) => self.free.swap_remove(at),
            None => {
                let slot = self.next_slot;
                self.next_slot += 1;
                Segment::create(&self.dir, slot, len.max(SEGMENT_BYTES))?
            }
        };
        // In memory alone: until its first record is written, a crash leaves the segment in its
        // old use.
        segment.use_again(self.next_use);
        self.next_use.0 += 1;
        Ok(segment)
    }

    /// Records from `from` on, in order, until `bytes_max` is passed; one that cannot be read is
    /// empty.
    pub(super) fn read(&self, from: LogPos, bytes_max: usize) -> Vec<(LogPos, Bytes)> {
        let (mut found, mut total) = (Vec::new(), 0);
        for (pos, place) in self.records.range(from..) {
            let mut bytes = vec![0; place.len];
            if let Err(error) = place.file.read_exact_at(&mut bytes, place.offset) {
                // Not what was written, like one with a wrong bit: what the others say is worth as
                // much.
                tracing::warn!(epoch = pos.epoch.0, seq = pos.seq, %error, "a record of the intent log cannot be read");
                bytes.clear();
            }
            total += bytes.len();
            found.push((*pos, Bytes::from(bytes)));
            if total >= bytes_max {
                break;
            }
        }
        found
    }

    /// Records of epochs up to `settled` are needed no more. Must be durable knowledge: they may be
    /// overwritten.
    pub(super) fn trim(&mut self, settled: Epoch) {
        let kept = match settled.0.checked_add(1) {
            Some(next) => self.records.split_off(&LogPos {
                epoch: Epoch(next),
                seq: 0,
            }),
            None => BTreeMap::new(),
        };
        // Records before segments: no place may lead into a segment that is written over.
        self.records = kept;
        let (done, full): (Vec<_>, Vec<_>) = std::mem::take(&mut self.full)
            .into_iter()
            .partition(|segment| segment.newest <= settled);
        self.full = full;
        self.free.extend(done);
        self.free_at_most(FREE_MAX);
    }

    /// Gives the room of most free segments back.
    pub(super) fn shrink(&mut self) {
        self.arrive();
        self.free_at_most(FREE_IDLE_MAX);
    }

    fn free_at_most(&mut self, max: usize) {
        // Those of unusual size, and the rest by age of their slot: the newest go first.
        self.free
            .sort_by_key(|free| (free.len != SEGMENT_BYTES, free.slot));
        for gone in self.free.drain(max.min(self.free.len())..) {
            // Should it stay, it is found free when the store is opened.
            if let Err(error) = fs::remove_file(path_of(&self.dir, gone.slot)) {
                tracing::warn!(slot = gone.slot, %error, "a segment of the intent log could not be removed");
            }
        }
    }

    /// Bytes the segments occupy.
    pub(super) fn used_bytes(&self) -> u64 {
        let segments = self.full.iter().chain(&self.free).chain(&self.active);
        let coming = self.coming.as_ref().map_or(0, |_| SEGMENT_BYTES);
        segments.map(|segment| segment.len).sum::<u64>() + coming
    }
}

/// Of records with one position, the one written last counts.
fn insert(records: &mut BTreeMap<LogPos, Place>, pos: LogPos, place: Place) {
    match records.entry(pos) {
        Entry::Vacant(entry) => _ = entry.insert(place),
        Entry::Occupied(mut entry) => {
            let before = entry.get();
            if (place.used, place.offset) >= (before.used, before.offset) {
                entry.insert(place);
            }
        }
    }
}

impl Drop for IntentLog {
    /// Nothing of a store changes once it is closed.
    fn drop(&mut self) {
        self.arrive();
    }
}

#[cfg(test)]
mod tests;
