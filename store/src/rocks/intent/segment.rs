//! One file of the intent log: made of zeros, filled from its start, used again.
//!
//! ```text
//!   create: zeros, durable with its name --use_again(new salt)--> header | record | record | ... --full--> used again
//! ```
//!
//! Formats (integers little-endian): header `"cairnlog" | version u32 | salt 16 | checksum 16`, record
//! `length u32 | epoch u64 | seq u64 | checksum 16 | bytes`, each checksum the first half of a BLAKE3.

use crate::direct;
use crate::pack::buffer::{ALIGN, Pool};
use bytes::Bytes;
use cairn_merkle::{Epoch, LogPos};
use rand::Rng;
use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

/// Room of a segment: a few hundred fsyncs of a page.
pub(super) const SEGMENT_BYTES: u64 = 4 << 20;

/// What direct I/O writes in.
const SECTOR: u64 = 512;

const MAGIC: &[u8; 8] = b"cairnlog";
const VERSION: u32 = 1;
pub(super) const HEADER_LEN: usize = 44;
pub(super) const FRAME_LEN: usize = 36;
const SUM_LEN: usize = 16;

type Salt = [u8; 16];

/// How soon what is written is synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Soon {
    /// At once.
    Now,
    /// With whatever is synced next.
    Later,
}

/// One file, put to use or free.
pub(super) struct Segment {
    pub(super) slot: u32,
    pub(super) file: Arc<File>,
    /// The same file past the page cache.
    direct: Option<File>,
    /// What lies between the last whole sector and `end`.
    tail: Vec<u8>,
    /// Something went through the page cache since the last sync.
    pub(super) cached: bool,
    pub(super) len: u64,
    salt: Salt,
    /// Where the next record goes.
    pub(super) end: u64,
    /// Newest epoch in it.
    pub(super) newest: Epoch,
    /// Something was written since it was last synced.
    pub(super) unsynced: bool,
}

/// Where a record's bytes lie.
pub(super) struct Place {
    pub(super) file: Arc<File>,
    pub(super) offset: u64,
    pub(super) len: usize,
}

impl Segment {
    fn new(slot: u32, file: File, direct: Option<File>, len: u64) -> Self {
        Self {
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
        }
    }

    /// Makes a file of zeros, durable with its name.
    pub(super) fn create(dir: &Path, slot: u32, len: u64) -> io::Result<Self> {
        let path = path_of(dir, slot);
        let len = len.next_multiple_of(ALIGN as u64);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        let file = options.open(&path)?;
        let zeros = vec![0; SEGMENT_BYTES as usize];
        let mut at = 0;
        while at < len {
            let step = (len - at).min(SEGMENT_BYTES);
            file.write_all_at(&zeros[..step as usize], at)?;
            at += step;
        }
        file.sync_all()?;
        File::open(dir)?.sync_all()?;
        Ok(Self::new(slot, file, direct::open(&path), len))
    }

    /// Opens a file and hands its records to `each`, up to the first that is not whole.
    pub(super) fn open(dir: &Path, slot: u32, each: &mut dyn FnMut(LogPos, Place)) -> io::Result<Self> {
        let path = path_of(dir, slot);
        let file = File::options().read(true).write(true).open(&path)?;
        let len = file.metadata()?.len();
        let mut segment = Self::new(slot, file, direct::open(&path), len);
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
        while let Some((pos, place)) = segment.next_record()? {
            segment.end = place.offset + place.len as u64;
            segment.newest = segment.newest.max(pos.epoch);
            each(pos, place);
        }
        Ok(segment)
    }

    /// Forgets what is in it, and makes sure that nothing of it passes for a record again.
    pub(super) fn use_again(&mut self) {
        rand::rng().fill_bytes(&mut self.salt);
        self.end = 0;
        self.tail.clear();
        self.newest = Epoch(0);
    }

    /// Writes as many of these as there is room for; answers where they lie.
    pub(super) fn write(
        &mut self,
        records: &[(LogPos, Bytes)],
        soon: Soon,
        buffers: &Arc<Pool>,
    ) -> io::Result<Vec<(LogPos, Place)>> {
        let begin = self.end;
        let mut out = Vec::new();
        if begin == 0 {
            out.extend_from_slice(&encode_header(&self.salt));
        }
        let mut places = Vec::new();
        for (pos, bytes) in records {
            let offset = begin + out.len() as u64;
            if offset + framed_len(bytes) > self.len {
                break;
            }
            let len = u32::try_from(bytes.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
            out.extend_from_slice(&len.to_le_bytes());
            out.extend_from_slice(&pos.epoch.0.to_le_bytes());
            out.extend_from_slice(&pos.seq.to_le_bytes());
            out.extend_from_slice(&checksum(&self.salt, offset, *pos, bytes));
            out.extend_from_slice(bytes);
            let place = Place {
                file: Arc::clone(&self.file),
                offset: offset + FRAME_LEN as u64,
                len: bytes.len(),
            };
            places.push((*pos, place));
        }
        self.append(&out, soon, buffers)?;
        let newest = places.iter().map(|(pos, _)| pos.epoch).max();
        self.newest = self.newest.max(newest.unwrap_or(Epoch(0)));
        Ok(places)
    }

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
    /// The record at a segment's end, if there is a whole one.
    fn next_record(&self) -> io::Result<Option<(LogPos, Place)>> {
        let left = self.len.saturating_sub(self.end);
        let mut frame = [0; FRAME_LEN];
        if left < FRAME_LEN as u64 {
            return Ok(None);
        }
        self.file.read_exact_at(&mut frame, self.end)?;
        let number = |at: usize| u64::from_le_bytes(frame[at..at + 8].try_into().expect("eight bytes"));
        let len = u32::from_le_bytes(frame[..4].try_into().expect("four bytes"));
        if u64::from(len) > left - FRAME_LEN as u64 {
            return Ok(None);
        }
        let pos = LogPos {
            epoch: Epoch(number(4)),
            seq: number(12),
        };
        let offset = self.end + FRAME_LEN as u64;
        let mut bytes = vec![0; len as usize];
        self.file.read_exact_at(&mut bytes, offset)?;
        if frame[20..] != checksum(&self.salt, self.end, pos, &bytes) {
            return Ok(None);
        }
        let place = Place {
            file: Arc::clone(&self.file),
            offset,
            len: bytes.len(),
        };
        Ok(Some((pos, place)))
    }
}

/// Makes the checksums of a segment right, as far as its lengths lead to records.
#[cfg(feature = "fuzzing")]
pub(in crate::rocks) fn sum_again(segment: &mut [u8]) {
    let Some((header, _)) = segment.split_first_chunk_mut::<HEADER_LEN>() else {
        return;
    };
    let sum = half(&blake3::hash(&header[..28]));
    header[28..].copy_from_slice(&sum);
    let salt: Salt = header[12..28].try_into().expect("28 - 12 are 16 bytes");
    let mut at = HEADER_LEN;
    while let Some((frame, rest)) = segment[at..].split_first_chunk_mut::<FRAME_LEN>() {
        let len = u32::from_le_bytes(frame[..4].try_into().expect("four bytes")) as usize;
        let number = |at: usize| u64::from_le_bytes(frame[at..at + 8].try_into().expect("eight bytes"));
        let pos = LogPos {
            epoch: Epoch(number(4)),
            seq: number(12),
        };
        let Some(bytes) = rest.get(..len) else { return };
        let sum = checksum(&salt, at as u64, pos, bytes);
        frame[20..].copy_from_slice(&sum);
        at += FRAME_LEN + len;
    }
}

/// The file of a slot.
pub(super) fn path_of(dir: &Path, slot: u32) -> PathBuf {
    dir.join(format!("{slot:05}"))
}

/// Bytes a record takes.
pub(super) fn framed_len(bytes: &Bytes) -> u64 {
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

pub(super) fn encode_header(salt: &Salt) -> [u8; HEADER_LEN] {
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
