//! Files that the store made, in a directory that others may change.

use rustix::fs::OFlags;
use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Opens a file of the store. No link to elsewhere is followed, and no pipe waited for; whether it is a regular file is
/// for the caller to look at.
pub(crate) fn open(path: &Path, write: bool) -> io::Result<File> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits() as i32;
    File::options()
        .read(true)
        .write(write)
        .custom_flags(flags)
        .open(path)
}
