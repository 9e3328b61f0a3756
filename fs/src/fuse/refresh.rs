//! Has the kernel forget what it remembers of a mount, when the tree below it is about to be another.
//!
//! ```text
//!   reconfigure the superblock --> names that nothing uses, absent ones too, are dropped, and their inodes with
//!                                  their pages --> FORGET for each: what is left is in use
//!   invalidate the root        --> its attributes and its listing, which no name leads to
//! ```
//!
//! A reconfiguration that changes nothing is the one call that has the kernel drop absent names:
//! only their own text could name them, and that is nowhere here.

use super::told::TTL;
use fuser::{INodeNo, Notifier};
use rustix::fs::CWD;
use rustix::mount::{FsPickFlags, fsconfig_reconfigure, fspick};
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// How many changes of the whole tree are under way.
#[derive(Clone, Debug, Default)]
pub(super) struct Turning(Arc<AtomicUsize>);

impl Turning {
    /// How long the kernel may remember that a name is absent.
    pub(super) fn absent_ttl(&self) -> Duration {
        match self.0.load(SeqCst) {
            0 => TTL,
            _ => Duration::ZERO,
        }
    }
}

/// The kernel's memory of a mount.
#[derive(Clone, Debug)]
pub struct KernelMemory {
    pub(super) mountpoint: PathBuf,
    /// The device of the mount: another may lie over it by now.
    pub(super) device: Option<u64>,
    pub(super) notifier: Arc<OnceLock<Notifier>>,
    pub(super) turning: Turning,
}

/// While it lives, the kernel remembers no absent name that it asks for.
pub struct Watchful(Turning);

impl Drop for Watchful {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, SeqCst);
    }
}

impl KernelMemory {
    /// Begins a change of the whole tree. An answer from before it could come to the kernel after
    /// it, and stay for a day.
    pub fn watch(&self) -> Watchful {
        self.turning.0.fetch_add(1, SeqCst);
        Watchful(self.turning.clone())
    }

    /// Has the kernel write back what it holds, and forget all that is not in use. It says so by
    /// requests, which come after this returns.
    ///
    /// # Errors
    /// What the kernel refuses, of a plain user all; `NotFound` if something else lies on the mount
    /// point.
    pub fn forget(&self) -> io::Result<()> {
        if self.device != Some(fs::metadata(&self.mountpoint)?.dev()) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let mount = fspick(CWD, &self.mountpoint, FsPickFlags::FSPICK_CLOEXEC)?;
        fsconfig_reconfigure(&mount)?;
        match self.notifier.get() {
            Some(kernel) => kernel.inval_inode(INodeNo(1), 0, 0),
            None => Ok(()),
        }
    }
}
