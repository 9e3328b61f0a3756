//! Files that the store made, in a directory that others may change.

use rustix::fs::OFlags;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

/// What files of a store are opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Reads, and not one write: the disk may refuse them.
    Read,
    /// Both.
    Write,
}

impl Access {
    /// Whether anything is written.
    pub(crate) fn writes(self) -> bool {
        self == Self::Write
    }
}

/// Opens a file of the store. No link to elsewhere is followed, and no pipe waited for; whether it
/// is a regular file is for the caller to look at.
pub(crate) fn open(path: &Path, write: bool) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
    File::options()
        .read(true)
        .write(write)
        .custom_flags(flags)
        .open(path)
}

/// Whether a file is one that the store made: a regular file with this one name. Another name of it
/// may be a file of the host, which is not to be written.
pub(crate) fn is_ours(file: &File) -> bool {
    file.metadata()
        .is_ok_and(|about| about.is_file() && about.nlink() == 1)
}

/// Makes a file, in place of whatever lies there.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => fs::remove_dir(path)?,
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = File::options();
    options
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}
