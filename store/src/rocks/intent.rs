//! The intent log, in files of its own: what an fsync waits for is one write into room that is already there.
//!
//! ```text
//!   intent/00000  header | record | record | record | what an earlier use left, or zeros
//!   intent/00001  header | record | (end)                <- active: the next append goes here
//!   intent/00002  zeros                                  <- free: written once, ready
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
//! Formats (integers little-endian): header `"cairnlog" | version u32 | salt 16 | checksum 16`, record
//! `length u32 | epoch u64 | seq u64 | checksum 16 | bytes`, each checksum the first half of a BLAKE3.
//!
//! What is synced at once is written past the page cache, in sectors: the last one again with the next record, as it was
//! and more. What only has to outlive the process goes through the page cache, and so does all else until the next sync.
//!
//! **Invariant:** nothing is written to a second segment before the first is synced, so what a crash leaves is a prefix.

use crate::direct;
use crate::pack::buffer::{ALIGN, Pool};
use bytes::Bytes;
use cairn_merkle::{Epoch, LogPos};
use rand::Rng;
use rustix::fs::fdatasync;
use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

/// Directory of the segments, within the store's.
pub(super) const DIR: &str = "intent";
/// Room of a segment: a few hundred fsyncs of a page.
const SEGMENT_BYTES: u64 = 4 << 20;
/// Free segments that are kept while the store is busy, and when it idles.
const FREE_MAX: usize = 16;
const FREE_IDLE_MAX: usize = 1;

/// What direct I/O writes in.
const SECTOR: u64 = 512;

const MAGIC: &[u8; 8] = b"cairnlog";
const VERSION: u32 = 1;
const HEADER_LEN: usize = 44;
const FRAME_LEN: usize = 36;
const SUM_LEN: usize = 16;

type Salt = [u8; 16];

/// One file, put to use or free.
struct Segment {
    slot: u32,
    file: Arc<File>,
    /// The same file past the page cache.
    direct: Option<File>,
    /// What lies between the last whole sector and `end`.
    tail: Vec<u8>,
    /// Something went through the page cache since the last sync.
    cached: bool,
    len: u64,
    salt: Salt,
    /// Where the next record goes.
    end: u64,
    /// Newest epoch in it.
    newest: Epoch,
    /// Something was written since it was last synced.
    unsynced: bool,
}

/// Where a record's bytes lie.
struct Place {
    file: Arc<File>,
    offset: u64,
    len: usize,
}

/// The log of one store. Callers serialise.
pub(super) struct IntentLog {
    dir: PathBuf,
    active: Option<Segment>,
    /// Ended, and still needed.
    full: Vec<Segment>,
    free: Vec<Segment>,
    next_slot: u32,
    records: BTreeMap<LogPos, Place>,
    buffers: Arc<Pool>,
}

/// How soon what is written is synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Soon {
    /// At once.
    Now,
    /// With whatever is synced next.
    Later,
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
            next_slot: 0,
            records: BTreeMap::new(),
            buffers: Pool::new(64 << 10, 2),
        };
        for entry in fs::read_dir(&log.dir)? {
            let entry = entry?;
            let slot = entry.file_name().to_str().and_then(|name| name.parse().ok());
            let Some(slot) = slot else { continue };
            let file = File::options().read(true).write(true).open(entry.path())?;
            log.next_slot = log.next_slot.max(slot + 1);
            let segment = log.load(slot, file, direct::open(&entry.path()))?;
            log.full.push(segment);
        }
        if let Some(settled) = settled {
            log.trim(settled);
        }
        Ok(log)
    }

    /// Reads a segment's records, up to the first that is not whole.
    fn load(&mut self, slot: u32, file: File, direct: Option<File>) -> io::Result<Segment> {
        let len = file.metadata()?.len();
        let mut segment = Segment {
            slot,
            file: Arc::new(file),
            direct,
            tail: Vec::new(),
            cached: false,
            len,
            salt: Salt::default(),
            end: 0,
            newest: Epoch(0),
            unsynced: false,
        };
        let mut header = [0; HEADER_LEN];
        if len < HEADER_LEN as u64 {
            return Ok(segment);
        }
        segment.file.read_exact_at(&mut header, 0)?;
        let Some(salt) = decode_header(&header) else {
            return Ok(segment);
        };
        segment.salt = salt;
        segment.end = HEADER_LEN as u64;
        while let Some((pos, place)) = next_record(&segment)? {
            segment.end = place.offset + place.len as u64;
            segment.newest = segment.newest.max(pos.epoch);
            self.records.insert(pos, place);
        }
        Ok(segment)
    }

    /// Bytes the next append takes from the device: none while there is room in what is already there.
    pub(super) fn wants_bytes(&self, records: &[(LogPos, Bytes)]) -> u64 {
        let needed: u64 = records.iter().map(|(_, bytes)| framed_len(bytes)).sum();
        let active = self.active.as_ref().map_or(0, |active| active.len - active.end);
        let free: u64 = self.free.iter().map(|free| free.len - HEADER_LEN as u64).sum();
        match needed.saturating_sub(active + free) {
            0 => 0,
            more => more.max(SEGMENT_BYTES),
        }
    }

    /// Writes records; a kill of the process does not lose them.
    pub(super) fn write(&mut self, mut records: &[(LogPos, Bytes)], soon: Soon) -> io::Result<()> {
        while let Some((_, first)) = records.first() {
            self.make_room(framed_len(first))?;
            let written = self.write_some(records, soon)?;
            records = &records[written..];
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

    /// As many records as the active segment has room for.
    fn write_some(&mut self, records: &[(LogPos, Bytes)], soon: Soon) -> io::Result<usize> {
        let Some(active) = &mut self.active else {
            return Ok(0);
        };
        let begin = active.end;
        let mut out = Vec::new();
        if begin == 0 {
            out.extend_from_slice(&encode_header(&active.salt));
        }
        let mut places = Vec::new();
        for (pos, bytes) in records {
            let offset = begin + out.len() as u64;
            if offset + framed_len(bytes) > active.len {
                break;
            }
            let len = u32::try_from(bytes.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
            out.extend_from_slice(&len.to_le_bytes());
            out.extend_from_slice(&pos.epoch.0.to_le_bytes());
            out.extend_from_slice(&pos.seq.to_le_bytes());
            out.extend_from_slice(&checksum(&active.salt, offset, *pos, bytes));
            out.extend_from_slice(bytes);
            places.push((*pos, offset + FRAME_LEN as u64, bytes.len()));
        }
        active.append(&out, soon, &self.buffers)?;
        for (pos, offset, len) in &places {
            active.newest = active.newest.max(pos.epoch);
            let place = Place {
                file: Arc::clone(&active.file),
                offset: *offset,
                len: *len,
            };
            self.records.insert(*pos, place);
        }
        Ok(places.len())
    }

    /// Has an active segment with room for `needed` bytes.
    fn make_room(&mut self, needed: u64) -> io::Result<()> {
        if let Some(active) = self.active.take_if(|active| active.len - active.end < needed) {
            // Also when a sync of it is under way elsewhere: the next segment must not be the first to be durable.
            fdatasync(&*active.file)?;
            self.full.push(active);
        }
        if self.active.is_some() {
            return Ok(());
        }
        let needed = needed + HEADER_LEN as u64;
        let mut segment = match self.free.iter().position(|free| free.len >= needed) {
            Some(at) => self.free.swap_remove(at),
            None => self.new_segment(needed.max(SEGMENT_BYTES))?,
        };
        rand::rng().fill_bytes(&mut segment.salt);
        segment.end = 0;
        segment.tail.clear();
        segment.newest = Epoch(0);
        self.active = Some(segment);
        Ok(())
    }

    /// Writes a segment of zeros, durable with its name.
    fn new_segment(&mut self, len: u64) -> io::Result<Segment> {
        let slot = self.next_slot;
        let len = len.next_multiple_of(ALIGN as u64);
        let path = self.dir.join(name_of(slot));
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        self.next_slot += 1;
        let zeros = vec![0; SEGMENT_BYTES as usize];
        let mut at = 0;
        while at < len {
            let step = (len - at).min(SEGMENT_BYTES);
            file.write_all_at(&zeros[..step as usize], at)?;
            at += step;
        }
        file.sync_all()?;
        File::open(&self.dir)?.sync_all()?;
        Ok(Segment {
            slot,
            file: Arc::new(file),
            direct: direct::open(&path),
            tail: Vec::new(),
            cached: false,
            len,
            salt: Salt::default(),
            end: 0,
            newest: Epoch(0),
            unsynced: false,
        })
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
        self.free_at_most(FREE_IDLE_MAX);
    }

    fn free_at_most(&mut self, max: usize) {
        // Those of unusual size, and the rest by age of their slot: the newest go first.
        self.free
            .sort_by_key(|free| (free.len != SEGMENT_BYTES, free.slot));
        for gone in self.free.drain(max.min(self.free.len())..) {
            // Should it stay, it is found free when the store is opened.
            if let Err(error) = fs::remove_file(self.dir.join(name_of(gone.slot))) {
                tracing::warn!(slot = gone.slot, %error, "a segment of the intent log could not be removed");
            }
        }
    }

    /// Bytes the segments occupy.
    pub(super) fn used_bytes(&self) -> u64 {
        let segments = self.full.iter().chain(&self.free).chain(&self.active);
        segments.map(|segment| segment.len).sum()
    }
}

impl Segment {
    /// Writes behind what is there.
    fn append(&mut self, bytes: &[u8], soon: Soon, buffers: &Arc<Pool>) -> io::Result<()> {
        self.unsynced = true;
        if soon == Soon::Later || self.cached {
            self.cached = true;
            self.file.write_all_at(bytes, self.end)?;
        } else {
            let len = self.tail.len() + bytes.len();
            let whole = len.next_multiple_of(SECTOR as usize);
            let mut buffer = buffers.take(whole);
            let sectors = &mut buffer.as_mut()[..whole];
            sectors[..self.tail.len()].copy_from_slice(&self.tail);
            sectors[self.tail.len()..len].copy_from_slice(bytes);
            sectors[len..].fill(0);
            let offset = self.end - self.tail.len() as u64;
            direct::write(self.direct.as_ref(), &self.file, sectors, offset)?;
        }
        self.end += bytes.len() as u64;
        self.tail.extend_from_slice(bytes);
        let behind = (self.end % SECTOR) as usize;
        self.tail.drain(..self.tail.len() - behind);
        Ok(())
    }
}

fn name_of(slot: u32) -> String {
    format!("{slot:05}")
}

fn framed_len(bytes: &Bytes) -> u64 {
    (FRAME_LEN + bytes.len()) as u64
}

fn half(hash: &blake3::Hash) -> [u8; SUM_LEN] {
    let (first, _) = hash.as_bytes().split_first_chunk().expect("a hash has 32 bytes");
    *first
}

fn checksum(salt: &Salt, offset: u64, pos: LogPos, bytes: &[u8]) -> [u8; SUM_LEN] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(salt);
    hasher.update(&offset.to_le_bytes());
    hasher.update(&pos.epoch.0.to_le_bytes());
    hasher.update(&pos.seq.to_le_bytes());
    hasher.update(bytes);
    half(&hasher.finalize())
}

fn encode_header(salt: &Salt) -> [u8; HEADER_LEN] {
    let mut header = [0; HEADER_LEN];
    header[..8].copy_from_slice(MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    header[12..28].copy_from_slice(salt);
    let sum = half(&blake3::hash(&header[..28]));
    header[28..].copy_from_slice(&sum);
    header
}

/// The salt of a segment that was put to use.
fn decode_header(header: &[u8; HEADER_LEN]) -> Option<Salt> {
    let (said, sum) = header.split_at(28);
    let valid =
        said[..8] == *MAGIC && said[8..12] == VERSION.to_le_bytes() && sum == half(&blake3::hash(said));
    valid.then(|| said[12..].try_into().ok()).flatten()
}

/// The record at a segment's end, if there is a whole one.
fn next_record(segment: &Segment) -> io::Result<Option<(LogPos, Place)>> {
    let left = segment.len.saturating_sub(segment.end);
    let mut frame = [0; FRAME_LEN];
    if left < FRAME_LEN as u64 {
        return Ok(None);
    }
    segment.file.read_exact_at(&mut frame, segment.end)?;
    let number = |at: usize| u64::from_le_bytes(frame[at..at + 8].try_into().expect("eight bytes"));
    let len = u32::from_le_bytes(frame[..4].try_into().expect("four bytes"));
    if u64::from(len) > left - FRAME_LEN as u64 {
        return Ok(None);
    }
    let pos = LogPos {
        epoch: Epoch(number(4)),
        seq: number(12),
    };
    let offset = segment.end + FRAME_LEN as u64;
    let mut bytes = vec![0; len as usize];
    segment.file.read_exact_at(&mut bytes, offset)?;
    if frame[20..] != checksum(&segment.salt, segment.end, pos, &bytes) {
        return Ok(None);
    }
    let place = Place {
        file: Arc::clone(&segment.file),
        offset,
        len: bytes.len(),
    };
    Ok(Some((pos, place)))
}

#[cfg(test)]
mod tests {
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
        let path = dir.path().join(DIR).join(name_of(0));
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
