//! The place of the last marks: a file of its own, written through the page cache.
//!
//! ```text
//!   intent/marks  mark | ... | mark | ...     each in a page of its own, the older of the two is overwritten
//! ```
//!
//! A mark says how far the log is durable, so it is written after each sync and has no sync of
//! its own. It outlives the process at once, and a power cut once the kernel has written it back.
//! It does not lie in the segments. There the next record would go past the page cache, over a
//! page that waits to be written.
//!
//! Format of a mark (little-endian): `length u32 | bytes`. A holder of the key can tell whether
//! it is one.

use bytes::Bytes;
use std::{
    fs::{self, File},
    io,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

const NAME: &str = "marks";
/// What one fault of a device is taken to reach.
const PAGE: usize = 4096;
const COUNT: usize = 2;

/// The file of the marks. Callers serialise.
pub(crate) struct Marks {
    dir: PathBuf,
    file: Option<File>,
    /// Which of the two is overwritten next.
    next: usize,
}

impl Marks {
    /// Opens the file in the log's directory, if it is there.
    pub(crate) fn open(dir: &Path) -> io::Result<Self> {
        let file = match File::options().read(true).write(true).open(dir.join(NAME)) {
            Ok(file) => Some(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let dir = dir.to_path_buf();
        Ok(Self { dir, file, next: 0 })
    }

    /// Makes the file, durable with its name, so that a mark never changes its length.
    pub(super) fn create(dir: &Path) -> io::Result<File> {
        let mut options = fs::OpenOptions::new();
        options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600);
        let file = options.open(dir.join(NAME))?;
        file.write_all_at(&[0; COUNT * PAGE], 0)?;
        file.sync_all()?;
        File::open(dir)?.sync_all()?;
        Ok(file)
    }

    /// Keeps a mark in the place of the older of the two.
    pub(crate) fn write(&mut self, mark: &[u8]) -> io::Result<()> {
        let len = u32::try_from(mark.len()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let slot = [&len.to_le_bytes(), mark].concat();
        if slot.len() > PAGE {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let file = match self.file.take() {
            Some(file) => file,
            None => Self::create(&self.dir)?,
        };
        let written = file.write_all_at(&slot, (self.next * PAGE) as u64);
        self.file = Some(file);
        self.next = (self.next + 1) % COUNT;
        written
    }

    /// Both, if there are so many.
    pub(crate) fn read(&self) -> io::Result<Vec<Bytes>> {
        let Some(file) = &self.file else {
            return Ok(Vec::new());
        };
        let mut found = Vec::new();
        for slot in 0..COUNT {
            let mut page = [0; PAGE];
            match file.read_exact_at(&mut page, (slot * PAGE) as u64) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => continue,
                Err(error) => return Err(error),
            }
            let (len, rest) = page.split_first_chunk().expect("a page has more than four bytes");
            let mark = rest.get(..u32::from_le_bytes(*len) as usize);
            found.extend(mark.filter(|mark| !mark.is_empty()).map(Bytes::copy_from_slice));
        }
        Ok(found)
    }
}
