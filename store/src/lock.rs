//! One handle of a store at a time, or several that only read.
//!
//! The lock is on the directory itself, held through its open file. The files in the directory
//! belong to the outside. It may take any of them away, RocksDB's `LOCK` too, and let a second
//! process in. The lock ends with the process. Where the filesystem below has no such locks
//! (NFS), only RocksDB's is left.

use crate::error::OpenError;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The right to use a store's directory, until it is dropped.
pub(crate) struct DirLock {
    /// Locked, where the filesystem below has such locks.
    dir: File,
}

impl DirLock {
    /// Takes it, or answers that another handle has it.
    pub(crate) fn take(path: &Path) -> Result<Self, OpenError> {
        Self::with(path, FlockOperation::NonBlockingLockExclusive)
    }

    /// Shares it with others that only read, or answers that a handle that writes has it. Works on a read-only disk: the
    /// lock is in the kernel's memory.
    pub(crate) fn share(path: &Path) -> Result<Self, OpenError> {
        Self::with(path, FlockOperation::NonBlockingLockShared)
    }

    /// Whether the directory that is locked is still the one at `path`.
    ///
    /// # Errors
    /// When nothing can be seen there.
    pub(crate) fn is_at(&self, path: &Path) -> io::Result<bool> {
        let (there, ours) = (fs::metadata(path)?, self.dir.metadata()?);
        Ok((there.dev(), there.ino()) == (ours.dev(), ours.ino()))
    }

    fn with(path: &Path, operation: FlockOperation) -> Result<Self, OpenError> {
        let io = |source| OpenError::Io {
            path: path.to_owned(),
            source,
        };
        let dir = File::open(path).map_err(io)?;
        match flock(&dir, operation) {
            Ok(()) => Ok(Self { dir }),
            Err(Errno::WOULDBLOCK) => Err(OpenError::Locked {
                path: path.to_owned(),
            }),
            Err(Errno::BADF | Errno::NOLCK | Errno::NOSYS | Errno::OPNOTSUPP | Errno::INVAL) => {
                tracing::warn!("the filesystem of the store has no locks for directories");
                Ok(Self { dir })
            }
            Err(error) => Err(io(error.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_lock_at_a_time_whatever_lies_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let first = DirLock::take(dir.path()).unwrap();
        let second = || DirLock::take(dir.path()).map(drop);
        assert!(matches!(second(), Err(OpenError::Locked { .. })));
        assert!(DirLock::share(dir.path()).is_err());
        drop(first);
        second().unwrap();
    }

    #[test]
    fn readers_share_a_directory_and_keep_a_writer_out() {
        let dir = tempfile::tempdir().unwrap();
        let readers = [(); 2].map(|()| DirLock::share(dir.path()).unwrap());
        assert!(matches!(DirLock::take(dir.path()), Err(OpenError::Locked { .. })));
        drop(readers);
        DirLock::take(dir.path()).unwrap();
    }
}
