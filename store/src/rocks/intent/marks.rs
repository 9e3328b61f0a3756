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

use crate::own::{self, Access};
use bytes::Bytes;
use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
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
    /// Opens the file in the log's directory, if it is there. Whatever else lies in its place, a
    /// link to elsewhere, a file with another name, a pipe, is no file of marks: the next mark
    /// makes one.
    pub(crate) fn open(dir: &Path, access: Access) -> io::Result<Self> {
        let file = match own::open(&dir.join(NAME), access.writes()) {
            Ok(file) => Some(file).filter(own::is_ours),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(error),
            Err(_) => None,
        };
        let dir = dir.to_path_buf();
        Ok(Self { dir, file, next: 0 })
    }

    /// Makes the file, durable with its name, so that a mark never changes its length.
    pub(super) fn create(dir: &Path) -> io::Result<File> {
        let file = own::create(&dir.join(NAME))?;
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

    /// Makes them durable.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.as_ref().map_or(Ok(()), File::sync_data)
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn marks_are_never_written_through_a_link_to_a_file_of_the_host() {
        let dir = tempfile::tempdir().unwrap();
        let (elsewhere, marks) = (dir.path().join("elsewhere"), dir.path().join(NAME));
        let replaced = |what: &str| {
            let mut file = Marks::open(dir.path(), Access::Write).unwrap();
            assert!(file.read().unwrap().is_empty(), "{what}");
            file.write(b"mark").unwrap();
            assert_eq!(fs::read(&elsewhere).unwrap(), [7; 2 * PAGE], "{what}");
            let again = Marks::open(dir.path(), Access::Write).unwrap();
            assert_eq!(again.read().unwrap(), [Bytes::from_static(b"mark")], "{what}");
            fs::remove_file(&marks).unwrap();
        };
        fs::write(&elsewhere, [7; 2 * PAGE]).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &marks).unwrap();
        replaced("a symbolic link");
        fs::hard_link(&elsewhere, &marks).unwrap();
        replaced("a hard link");
        fs::create_dir(&marks).unwrap();
        replaced("a directory");
    }
}
