//! Files past the page cache, where the filesystem below allows that.
//!
//! ```text
//!   write: direct handle? --EINVAL or none--> the same bytes through the page cache
//! ```

use crate::own::Access;
use rustix::fs::OFlags;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// A second handle of a file, past the page cache; `None` where there can be none.
pub(crate) fn open(path: &Path, access: Access) -> Option<File> {
    // Never another file than the handle before, were its name a link by now.
    let flags = (OFlags::DIRECT | OFlags::NOFOLLOW).bits() as i32;
    let mut options = File::options();
    options.read(true).write(access.writes());
    options.custom_flags(flags).open(path).ok()
}

/// Writes aligned bytes past the page cache if that is possible, else through it.
pub(crate) fn write(direct: Option<&File>, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    match direct.map(|direct| direct.write_all_at(bytes, offset)) {
        // A device of sectors larger than ours: the page cache serves any.
        Some(Err(error)) if error.kind() == io::ErrorKind::InvalidInput => file.write_all_at(bytes, offset),
        Some(done) => done,
        None => file.write_all_at(bytes, offset),
    }
}
