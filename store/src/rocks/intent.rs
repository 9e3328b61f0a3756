//! The intent log, in files of its own: what an fsync waits for is one write into room that is already there.
//!
//! ```text
//!   intent/00000  header | record | record | record | what an earlier use left, or zeros
//!   intent/00001  header | record | (end)                <- active: the next append goes here
//!   intent/00002  zeros                                  <- free, or being made by a thread while 00001 fills
//!
//!   write --active has room?--> write      sync: fdatasync      trim: segments of settled epochs become free
//! ```
//!
//! RocksDB's write-ahead log grows with each append, so that each sync of it waits for the journal of the filesystem
//! below as well; it would also write each record a second time when its memtable is flushed. A segment is written
//! with zeros once and used again and again: a sync of it has nothing to wait for but the device.
//!
//! A header draws a random salt whenever a segment is put to use, and each record's checksum covers that salt, so that
//! nothing of an earlier use passes for a record. Opening ends the active segment: what lies behind its last whole
//! record was never acknowledged and is never followed.
//!
//! What is synced at once is written past the page cache, in sectors: the last one again with the next record, as it was
//! and more. What only has to outlive the process goes through the page cache, and so does all else until the next sync.
//!
//! **Invariant:** nothing is written to a second segment before the first is synced, so what a crash leaves is a prefix.

mod segment;

pub(super) use segment::Soon;

use crate::pack::buffer::Pool;
use bytes::Bytes;
use cairn_merkle::{Epoch, LogPos};
use rustix::fs::fdatasync;
use segment::{HEADER_LEN, Place, SEGMENT_BYTES, Segment, framed_len, path_of};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
    thread::{self, JoinHandle},
};

/// Directory of the segments, within the store's.
pub(super) const DIR: &str = "intent";
/// Free segments that are kept while the store is busy (as much log as the engine lets grow before it commits), and
/// when it idles.
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
    records: BTreeMap<LogPos, Place>,
    buffers: Arc<Pool>,
}

#[cfg(feature = "fuzzing")]
pub(super) use segment::sum_again;

/// The file of a slot of the log of `store`.
#[cfg(feature = "fuzzing")]
pub(super) fn segment_path(store: &Path, slot: u32) -> PathBuf {
    segment::path_of(&store.join(DIR), slot)
}

impl IntentLog {
    /// Makes the directory of an empty log.
    pub(super) fn create(store: &Path) -> io::Result<()> {
        fs::create_dir(store.join(DIR))?;
        File::open(store)?.sync_all()
    }

    /// Opens the log and finds its records above `settled`.
    pub(super) fn open(store: &Path, settled: Option<Epoch>) -> io::Result<Self> {
        let mut log = Self {
            dir: store.join(DIR),
            active: None,
            full: Vec::new(),
            free: Vec::new(),
            coming: None,
            next_slot: 0,
            records: BTreeMap::new(),
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
            let segment = Segment::open(&log.dir, slot, &mut |pos, place| {
                records.insert(pos, place);
            })?;
            log.full.push(segment);
        }
        if let Some(settled) = settled {
            log.trim(settled);
        }
        Ok(log)
    }

    /// Bytes the next append takes from the device: none while there is room in what is already there.
    pub(super) fn wants_bytes(&self, records: &[(LogPos, Bytes)]) -> u64 {
        let room = |len: u64| len - HEADER_LEN as u64;
        let needed: u64 = records.iter().map(|(_, bytes)| framed_len(bytes)).sum();
        let active = self.active.as_ref().map_or(0, |active| active.len - active.end);
        let free: u64 = self.free.iter().map(|free| room(free.len)).sum();
        let coming = self.coming.as_ref().map_or(0, |_| room(SEGMENT_BYTES));
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

    /// Has a thread make the segment that is to be the next: nobody's fsync then waits until it is written.
    pub(super) fn make_ahead(&mut self) {
        let (dir, slot) = (self.dir.clone(), self.next_slot);
        self.next_slot += 1;
        let make = move || Segment::create(&dir, slot, SEGMENT_BYTES);
        // Without it, it is made when it is needed.
        self.coming = thread::Builder::new()
            .name("cairn-segment".to_owned())
            .spawn(make)
            .ok();
    }

    /// Waits for the segment that is on its way. One that could not be made is made again when it is needed, and then
    /// says why.
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
            self.records.extend(written);
        }
        Ok(())
    }

    /// The file that a sync makes durable what was written with, if there is anything. Whoever takes it syncs it, or
    /// tells nobody that it is durable.
    pub(super) fn take_unsynced(&mut self) -> Option<Arc<File>> {
        let active = self.active.as_mut().filter(|active| active.unsynced)?;
        active.unsynced = false;
        active.cached = false;
        Some(Arc::clone(&active.file))
    }

    /// The active segment, with room for `needed` bytes.
    fn room_for(&mut self, needed: u64) -> io::Result<&mut Segment> {
        if let Some(active) = self.active.take_if(|active| active.len - active.end < needed) {
            // Also when a sync of it is under way elsewhere: the next segment must not be the first to be durable.
            fdatasync(&*active.file)?;
            self.full.push(active);
        }
        let active = match self.active.take() {
            Some(active) => active,
            None => self.next_segment(needed + HEADER_LEN as u64)?,
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
        segment.use_again();
        Ok(segment)
    }

    /// Records from `from` on, in order, until `bytes_max` is passed.
    pub(super) fn read(&self, from: LogPos, bytes_max: usize) -> io::Result<Vec<(LogPos, Bytes)>> {
        let (mut found, mut total) = (Vec::new(), 0);
        for (pos, place) in self.records.range(from..) {
            let mut bytes = vec![0; place.len];
            place.file.read_exact_at(&mut bytes, place.offset)?;
            total += bytes.len();
            found.push((*pos, Bytes::from(bytes)));
            if total >= bytes_max {
                break;
            }
        }
        Ok(found)
    }

    /// Records of epochs up to `settled` are needed no more. Must be durable knowledge: they may be overwritten.
    pub(super) fn trim(&mut self, settled: Epoch) {
        let kept = match settled.0.checked_add(1) {
            Some(next) => self.records.split_off(&LogPos {
                epoch: Epoch(next),
                seq: 0,
            }),
            None => BTreeMap::new(),
        };
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

impl Drop for IntentLog {
    /// Nothing of a store changes once it is closed.
    fn drop(&mut self) {
        self.arrive();
    }
}

#[cfg(test)]
mod tests {
    use super::segment::{FRAME_LEN, encode_header};
    use super::*;

    fn pos(epoch: u64, seq: u64) -> LogPos {
        LogPos {
            epoch: Epoch(epoch),
            seq,
        }
    }

    fn log() -> (tempfile::TempDir, IntentLog) {
        let dir = tempfile::tempdir().unwrap();
        IntentLog::create(dir.path()).unwrap();
        let log = IntentLog::open(dir.path(), None).unwrap();
        (dir, log)
    }

    fn all(log: &IntentLog) -> Vec<(LogPos, Bytes)> {
        log.read(pos(0, 0), usize::MAX).unwrap()
    }

    #[test]
    fn records_follow_each_other_whether_synced_at_once_or_later() {
        let (dir, mut log) = log();
        let mut written = Vec::new();
        for seq in 0..60 {
            let record = (
                pos(1, seq),
                Bytes::from(vec![seq as u8; (seq as usize * 97) % 1500]),
            );
            let soon = if seq % 7 < 3 { Soon::Later } else { Soon::Now };
            log.write(std::slice::from_ref(&record), soon).unwrap();
            written.push(record);
            if seq % 5 == 0 {
                log.take_unsynced();
            }
            assert_eq!(all(&IntentLog::open(dir.path(), None).unwrap()), written);
        }
        assert_eq!(all(&log), written);
    }

    fn files(dir: &tempfile::TempDir) -> usize {
        fs::read_dir(dir.path().join(DIR)).unwrap().count()
    }

    #[test]
    fn records_come_back_after_a_reopen_whatever_their_size() {
        let (dir, mut log) = log();
        let sizes = [
            0,
            1,
            4096,
            (SEGMENT_BYTES / 2) as usize,
            SEGMENT_BYTES as usize,
            3 << 20,
            7,
        ];
        let records: Vec<_> = sizes
            .iter()
            .zip(0..)
            .map(|(size, seq)| (pos(3, seq), Bytes::from(vec![seq as u8; *size])))
            .collect();
        log.write(&records[..3], Soon::Now).unwrap();
        log.write(&records[3..], Soon::Later).unwrap();
        assert_eq!(all(&log), records);
        let again = IntentLog::open(dir.path(), None).unwrap();
        assert_eq!(all(&again), records);
        assert!(all(&IntentLog::open(dir.path(), Some(Epoch(3))).unwrap()).is_empty());
    }

    #[test]
    fn a_torn_record_ends_the_log_and_nothing_of_it_returns() {
        let (dir, mut log) = log();
        let record = |seq| (pos(1, seq), Bytes::from(vec![seq as u8; 100]));
        log.write(&[record(0), record(1), record(2)], Soon::Now).unwrap();
        let path = path_of(&dir.path().join(DIR), 0);
        let file = File::options().write(true).open(&path).unwrap();
        // Within the second record; the third stays whole behind it.
        file.write_all_at(b"x", (HEADER_LEN + 2 * FRAME_LEN + 150) as u64)
            .unwrap();
        let mut log = IntentLog::open(dir.path(), None).unwrap();
        assert_eq!(all(&log), [record(0)]);
        // A record of the same length in its place does not bring the third back.
        log.write(&[record(7)], Soon::Now).unwrap();
        assert_eq!(all(&log), [record(0), record(7)]);
        assert_eq!(
            all(&IntentLog::open(dir.path(), None).unwrap()),
            [record(0), record(7)]
        );
    }

    #[test]
    fn segments_are_used_again_and_hold_nothing_of_before() {
        let (dir, mut log) = log();
        let big = |epoch, seq| (pos(epoch, seq), Bytes::from(vec![epoch as u8; 1 << 20]));
        for epoch in 1..=20 {
            for seq in 0..7 {
                log.write(&[big(epoch, seq)], Soon::Now).unwrap();
            }
            log.trim(Epoch(epoch));
        }
        assert!(files(&dir) <= 4, "{} files", files(&dir));
        assert!(all(&log).is_empty());
        log.write(&[big(21, 0)], Soon::Now).unwrap();
        let again = IntentLog::open(dir.path(), Some(Epoch(20))).unwrap();
        assert_eq!(all(&again), [big(21, 0)]);
        let again = IntentLog::open(dir.path(), None).unwrap();
        assert!(
            all(&again).len() <= 3 * files(&dir),
            "what was overwritten is not there"
        );
    }

    /// A record a little larger than half a segment.
    fn half(seq: u64) -> (LogPos, Bytes) {
        (
            pos(1, seq),
            Bytes::from(vec![seq as u8; (SEGMENT_BYTES / 2) as usize]),
        )
    }

    #[test]
    fn the_next_segment_is_made_ahead_and_taken_when_it_is_needed() {
        let (dir, mut log) = log();
        assert_eq!(log.wants_ahead(), 0);
        log.write(&[half(0)], Soon::Now).unwrap();
        assert_eq!(log.wants_ahead(), SEGMENT_BYTES);
        log.make_ahead();
        assert_eq!(
            (log.wants_ahead(), log.wants_bytes(&[half(1)]), log.used_bytes()),
            (0, 0, 2 * SEGMENT_BYTES)
        );
        log.write(&[half(1)], Soon::Now).unwrap();
        assert_eq!(files(&dir), 2);
        assert_eq!(all(&log), [half(0), half(1)]);
        assert_eq!(
            all(&IntentLog::open(dir.path(), None).unwrap()),
            [half(0), half(1)]
        );
    }

    #[test]
    fn a_segment_that_could_not_be_made_ahead_is_made_when_it_is_needed() {
        let (dir, mut log) = log();
        log.write(&[half(0)], Soon::Now).unwrap();
        fs::write(path_of(&dir.path().join(DIR), 1), "in the way").unwrap();
        log.make_ahead();
        log.write(&[half(1)], Soon::Now).unwrap();
        assert_eq!(all(&log), [half(0), half(1)]);
    }

    #[test]
    fn an_idle_log_gives_its_room_back() {
        let (dir, mut log) = log();
        for seq in 0..40 {
            log.write(&[(pos(1, seq), Bytes::from(vec![0; 1 << 20]))], Soon::Now)
                .unwrap();
        }
        assert!(log.used_bytes() > 40 << 20);
        log.trim(Epoch(1));
        log.shrink();
        assert_eq!(files(&dir), 2);
        assert_eq!(log.used_bytes(), 2 * SEGMENT_BYTES);
    }

    #[test]
    fn rubbish_is_no_record() {
        let (dir, log) = log();
        drop(log);
        let path = dir.path().join(DIR);
        fs::write(path.join("00000"), b"").unwrap();
        fs::write(path.join("00001"), vec![0xff; 4096]).unwrap();
        let mut lying = encode_header(&[1; 16]).to_vec();
        lying.extend_from_slice(&u32::MAX.to_le_bytes());
        lying.extend_from_slice(&[0; 64]);
        fs::write(path.join("00002"), lying).unwrap();
        fs::write(path.join("notes"), b"not ours").unwrap();
        let mut log = IntentLog::open(dir.path(), None).unwrap();
        assert!(all(&log).is_empty());
        log.write(&[(pos(1, 0), Bytes::from_static(b"record"))], Soon::Now)
            .unwrap();
        assert_eq!(all(&log).len(), 1);
    }
}
