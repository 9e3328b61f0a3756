//! One pack: a file that blocks are appended to, and out of which dead ones are punched.
//!
//! ```text
//!   00000007   block | block | hole | block | ... | room allocated ahead
//!              read: through the page cache, or past it      append: past it, in whole pages
//! ```
//!
//! Room is allocated ahead, so that an append changes no length and a full device is noticed
//! before anything is written. Whole pages are written, each once, so that nothing read through
//! the page cache can be half written.

use super::place::Place;
use crate::own::Access;
use cairn_block::buffer::{ALIGN, Buffer};
use rustix::fs::{Advice, FallocateFlags, fadvise, fallocate};
use rustix::io::{Errno, ReadWriteFlags, preadv2};
use std::fs::{self, File, OpenOptions};
use std::io;
use std::num::NonZeroU64;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// A pack is not appended to beyond this.
pub(crate) const PACK_BYTES: u64 = 256 << 20;

/// One pack, open.
pub(crate) struct Pack {
    /// Its name, as a number.
    pub(crate) number: u32,
    path: PathBuf,
    file: File,
    /// The same file past the page cache, where the filesystem below allows that.
    direct: Option<File>,
    /// Its name is durable.
    named: AtomicBool,
}

impl Pack {
    /// Makes an empty pack.
    pub(crate) fn create(dir: &Path, number: u32) -> io::Result<Self> {
        let path = path_of(dir, number);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(0o600);
        let file = options.open(&path)?;
        let direct = crate::direct::open(&path, Access::Write);
        Ok(Self::with(number, path, (file, direct), false))
    }

    /// Opens one that exists.
    pub(crate) fn open(dir: &Path, number: u32, access: Access) -> io::Result<Self> {
        let path = path_of(dir, number);
        let file = File::options().read(true).write(access.writes()).open(&path)?;
        // A second handle, since past the cache or through it is a property of the handle.
        let direct = crate::direct::open(&path, access);
        Ok(Self::with(number, path, (file, direct), true))
    }

    fn with(number: u32, path: PathBuf, (file, direct): (File, Option<File>), named: bool) -> Self {
        Self {
            number,
            path,
            file,
            direct,
            named: AtomicBool::new(named),
        }
    }

    /// Whether its name is known to be durable.
    pub(crate) fn is_named(&self) -> bool {
        self.named.load(Relaxed)
    }

    /// Its directory was synced.
    pub(crate) fn set_named(&self) {
        self.named.store(true, Relaxed);
    }

    /// Allocates `from..until`.
    pub(crate) fn allocate(&self, from: u64, until: u64) -> io::Result<()> {
        match fallocate(&self.file, FallocateFlags::empty(), from, until - from) {
            // The filesystem below cannot: room is taken when it is written.
            Err(Errno::OPNOTSUPP) => self.file.set_len(until),
            done => Ok(done?),
        }
    }

    /// Writes whole pages.
    pub(crate) fn write(&self, pages: &[u8], offset: u64) -> io::Result<()> {
        crate::direct::write(self.direct.as_ref(), &self.file, pages, offset)
    }

    /// Reads `offset..offset + len` through the page cache: small blocks, which have neighbours
    /// worth reading too.
    pub(crate) fn read_cached(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(bytes, offset)
    }

    /// As [`Self::read_cached`], if that takes no wait: whether all of it was there.
    pub(crate) fn read_now(&self, bytes: &mut [u8], offset: u64) -> bool {
        let len = bytes.len();
        let into = &mut [io::IoSliceMut::new(bytes)];
        preadv2(&self.file, into, offset, ReadWriteFlags::NOWAIT).is_ok_and(|read| read == len)
    }

    /// Has the kernel begin to read `offset..offset + len` into the page cache. It need not, and
    /// says nothing of errors.
    pub(crate) fn will_read(&self, offset: u64, len: u64) {
        let _ = fadvise(&self.file, offset, NonZeroU64::new(len), Advice::WillNeed);
    }

    /// Reads past the page cache into the start of `buffer`, from a multiple of
    /// [`super::place::UNIT`] on; what lies behind the file's end stays as it is.
    pub(crate) fn read_direct(&self, buffer: &mut Buffer, offset: u64, len: usize) -> io::Result<()> {
        let whole = len.next_multiple_of(super::place::UNIT as usize);
        if let Some(direct) = &self.direct {
            match read_full(direct, &mut buffer.bytes_mut()[..whole], offset) {
                // A filesystem that takes the flag and then not the read: through the cache, below.
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
                Ok(read) if read < len => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        self.file.read_exact_at(&mut buffer.bytes_mut()[..len], offset)
    }

    /// Makes what was written durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::fdatasync(&self.file)?)
    }

    /// Gives `from..until` back to the device; whole pages.
    pub(crate) fn punch(&self, from: u64, until: u64) -> io::Result<()> {
        // The length stays, so that places behind the hole are where they were.
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        Ok(fallocate(&self.file, flags, from, until - from)?)
    }

    /// Gives the room behind `len` back.
    pub(crate) fn end_at(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len.next_multiple_of(ALIGN as u64))
    }

    /// Length of the file, allocated room included.
    pub(crate) fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Removes the file. Readers that have it open go on.
    pub(crate) fn remove(&self) -> io::Result<()> {
        fs::remove_file(&self.path)
    }
}

/// Numbers of the packs in a directory.
pub(crate) fn numbers(dir: &Path) -> io::Result<Vec<u32>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(dir)? {
        let name = entry?.file_name();
        // The count of garbage lies here too, and the outside may put anything beside it.
        let name = name.to_str().filter(|name| name.len() == NAME_LEN);
        numbers.extend(name.and_then(|name| u32::from_str_radix(name, 16).ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// Bytes on the device that the files of a directory take.
pub(crate) fn used_bytes(dir: &Path) -> io::Result<u64> {
    let mut used = 0;
    for entry in fs::read_dir(dir)? {
        // A file may be removed between the listing and this look at it.
        if let Ok(meta) = entry?.metadata() {
            used += meta.blocks() * 512;
        }
    }
    Ok(used)
}

/// Whether a place can lie in a pack at all: what the index says is read from outside.
pub(crate) fn is_possible(place: Place) -> bool {
    place.end() <= PACK_BYTES
}

const NAME_LEN: usize = 8;

fn path_of(dir: &Path, number: u32) -> PathBuf {
    dir.join(format!("{number:08x}"))
}

/// Reads until `bytes` is full or the file ends.
fn read_full(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut read = 0;
    while read < bytes.len() {
        match file.read_at(&mut bytes[read..], offset + read as u64) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}
