//! One file of the intent log: made of zeros, filled from its start, used again.
//!
//! ```text
//!   create: zeros, durable with its name --use_again(next number)--> record | record | ... --full--> used again
//!   open:   head is ours? --> hand it on, hop over its bytes      else: search for the next head (scan.rs)
//! ```

use super::head::{HEAD_LEN, Head, Use, framed_len};
use super::scan::Scan;
use crate::direct;
use crate::own::{self, Access};
use bytes::Bytes;
use cairn_block::buffer::{ALIGN, Pool};
use cairn_block::{Epoch, LogPos};
use rustix::io::Errno;
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
    /// Where the next record goes.
    pub(super) end: u64,
    /// Newest use and epoch in it.
    pub(super) used: Use,
    pub(super) newest: Epoch,
    /// Something was written since it was last synced.
    pub(super) unsynced: bool,
    /// Where the head of a record is broken.
    pub(super) broken: Option<u64>,
}

/// Where a record's bytes lie.
pub(super) struct Place {
    pub(super) file: Arc<File>,
    pub(super) offset: u64,
    pub(super) len: usize,
    pub(super) used: Use,
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
            end: 0,
            used: Use(0),
            newest: Epoch(0),
            unsynced: false,
            broken: None,
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
        Ok(Self::new(slot, file, direct::open(&path, Access::Write), len))
    }

    /// Opens a file and hands all its records of uses from `floor` on to `each`, those behind a
    /// broken one too.
    pub(super) fn open(
        dir: &Path,
        (slot, access): (u32, Access),
        floor: Use,
        each: &mut dyn FnMut(LogPos, Place),
    ) -> io::Result<Self> {
        let path = path_of(dir, slot);
        let file = open_segment(&path, access)?;
        let len = file.metadata()?.len();
        let mut segment = Self::new(slot, file, direct::open(&path, access), len);
        let file = Arc::clone(&segment.file);
        let mut scan = Scan::new(&file, len, floor);
        while let Some((offset, head)) = scan.next_record()? {
            if head.used < floor {
                continue;
            }
            segment.end = offset + HEAD_LEN as u64 + u64::from(head.len);
            segment.newest = segment.newest.max(head.pos.epoch);
            segment.used = segment.used.max(head.used);
            let place = Place {
                file: Arc::clone(&file),
                offset: offset + HEAD_LEN as u64,
                len: head.len as usize,
                used: head.used,
            };
            each(head.pos, place);
        }
        segment.broken = scan.broken();
        Ok(segment)
    }

    /// Takes the broken head away, now that it is past: what use it claims cannot be verified.
    pub(super) fn forget_broken(&mut self) {
        let Some(at) = self.broken.take() else { return };
        if let Err(error) = self.file.write_all_at(&[0; HEAD_LEN], at) {
            tracing::warn!(slot = self.slot, %error, "a broken record of the intent log stays and will be met again");
        }
    }

    /// Forgets what is in it; what is written from now on is told from that by the number of this
    /// use.
    pub(super) fn use_again(&mut self, used: Use) {
        self.used = used;
        self.end = 0;
        self.tail.clear();
        self.newest = Epoch(0);
        self.broken = None;
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
        let mut places = Vec::new();
        for (pos, bytes) in records {
            let offset = begin + out.len() as u64;
            if offset + framed_len(bytes) > self.len {
                break;
            }
            let head = Head {
                len: u32::try_from(bytes.len()).map_err(|_| io::ErrorKind::FileTooLarge)?,
                used: self.used,
                pos: *pos,
            };
            out.extend_from_slice(&head.encode(offset));
            out.extend_from_slice(bytes);
            let place = Place {
                file: Arc::clone(&self.file),
                offset: offset + HEAD_LEN as u64,
                len: bytes.len(),
                used: self.used,
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
            let sectors = &mut buffer.bytes_mut()[..whole];
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

/// Opens a file that the log has made: what is written here must not reach a file outside the
/// store.
fn open_segment(path: &Path, access: Access) -> io::Result<File> {
    let why = match own::open(path, access.writes()) {
        Ok(file) if file.metadata()?.is_file() => return Ok(file),
        Err(error) if !is_foreign(&error) => return Err(error),
        found => found.map_or_else(|error| error.to_string(), |_| "it is no regular file".to_owned()),
    };
    let text = format!(
        "{} is no segment of the log ({why}): move it away, or restore it",
        path.display()
    );
    Err(io::Error::new(io::ErrorKind::InvalidData, text))
}

/// Whether something else lies in a file's place: a link, a directory, a socket. Any other failure
/// is the device's.
fn is_foreign(error: &io::Error) -> bool {
    let raw = error.raw_os_error();
    [Errno::LOOP, Errno::ISDIR, Errno::NXIO]
        .iter()
        .any(|foreign| raw == Some(foreign.raw_os_error()))
}

/// The file of a slot.
pub(super) fn path_of(dir: &Path, slot: u32) -> PathBuf {
    dir.join(format!("{slot:05}"))
}
