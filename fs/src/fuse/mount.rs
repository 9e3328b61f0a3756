//! Mounts, waits and unmounts.
//!
//! ```text
//! mount() --> INIT agreed, serving --> Mount --join()--> unmounted by anyone: umount(8), Unmounter, a signal
//! ```

use super::attach::attach;
use super::edge::Edge;
use super::options::{MountOptions, processors};
use super::refresh::KernelMemory;
use super::room::MARGIN_MIN;
use crate::operations::Operations;
use fuser::{BackgroundSession, Session};
use rustix::{
    fs::{major, minor},
    io::Errno,
    mount::{UnmountFlags, unmount},
};
use std::{
    fs, io,
    os::{fd::AsFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
    process::Command,
    sync::Arc,
};

/// One in so many of the room's bytes may be dirty in the kernel.
const ROOM_SHARE: u64 = 8;

/// A mounted filesystem. Dropped, it goes on until it is unmounted.
#[derive(Debug)]
pub struct Mount {
    session: BackgroundSession,
    mountpoint: PathBuf,
    memory: KernelMemory,
}

impl Mount {
    /// Waits until it is unmounted and every request is answered.
    ///
    /// # Errors
    /// What ended the session, if it was anything but an unmount.
    pub fn join(self) -> io::Result<()> {
        self.session.join()
    }

    /// Unmounts and waits.
    ///
    /// # Errors
    /// `EBUSY` while a file is open or a process stands in it: the mount goes on and its handle is
    /// gone, so use [`Mount::unmounter`] to try first.
    pub fn unmount(self) -> io::Result<()> {
        self.unmounter().unmount()?;
        self.join()
    }

    /// A handle that unmounts from elsewhere (a signal handler's thread) while this one is waited
    /// for.
    pub fn unmounter(&self) -> Unmounter {
        unmounter(&self.mountpoint)
    }

    /// What the kernel remembers of it.
    pub fn memory(&self) -> KernelMemory {
        self.memory.clone()
    }

    /// Where it is mounted, as an absolute path.
    pub fn mountpoint(&self) -> &Path {
        &self.mountpoint
    }
}

fn unmounter(mountpoint: &Path) -> Unmounter {
    Unmounter {
        mountpoint: mountpoint.to_path_buf(),
    }
}

/// Unmounts a [`Mount`] that another thread waits for.
#[derive(Clone, Debug)]
pub struct Unmounter {
    mountpoint: PathBuf,
}

impl Unmounter {
    /// Writes dirty pages back and unmounts.
    ///
    /// # Errors
    /// `EBUSY` while it is in use.
    pub fn unmount(&self) -> io::Result<()> {
        self.detach(UnmountFlags::empty(), "-u")
    }

    /// Takes the mount out of the tree at once; it ends when its last user is gone.
    ///
    /// # Errors
    /// When there is no such mount.
    pub fn unmount_lazily(&self) -> io::Result<()> {
        self.detach(UnmountFlags::DETACH, "-uz")
    }

    fn detach(&self, flags: UnmountFlags, switch: &str) -> io::Result<()> {
        match unmount(&self.mountpoint, flags) {
            // A user other than root mounted through fusermount3, and unmounts through it.
            Err(Errno::PERM) => {
                let status = Command::new("fusermount3")
                    .arg(switch)
                    .arg("--")
                    .arg(&self.mountpoint)
                    .status()?;
                status
                    .success()
                    .then_some(())
                    .ok_or_else(|| io::Error::other("fusermount3 could not unmount"))
            }
            other => Ok(other?),
        }
    }
}

/// Mounts `fs` at `mountpoint`. When this returns, the mount answers.
///
/// # Errors
/// When the mount point, the options or the kernel refuse.
pub fn mount<O: Operations + ?Sized>(
    fs: Arc<O>,
    mountpoint: &Path,
    options: &MountOptions,
) -> io::Result<Mount> {
    let mountpoint = mountpoint.canonicalize()?;
    let (threads, waiting) = (options.threads.max(1), options.threads_blocking);
    let edge = Edge::new(Arc::clone(&fs), threads, waiting)?;
    let (notifier, linger, writers) = (edge.notifier(), edge.linger(), edge.writers());
    let turning = edge.turning();
    let device = attach(&mountpoint, options)?;
    let session = Session::from_fd(edge, device, options.acl(), options.config());
    // What does not serve must not stay: each call on it would wait.
    let session = session.inspect_err(|_| drop(unmounter(&mountpoint).unmount_lazily()))?;
    // Fails only when it is set already, and it is set here alone.
    let _ = notifier.set(session.notifier());
    // On one processor, polling would keep the sender of the next request from running.
    if processors() > 1 {
        linger.set(session.as_fd().try_clone_to_owned()?);
    }
    let session = session.spawn()?;
    if let Err(error) = tune(&mountpoint, options) {
        tracing::warn!(%error, "could not set readahead and dirty limit: cold reads and scattered writes will be slower");
    }
    let margin = options.full_margin_bytes;
    let margin = margin.unwrap_or_else(|| bound_dirty(&mountpoint, fs.room() / ROOM_SHARE));
    writers.room().set_margin(margin);
    let memory = KernelMemory {
        device: fs::metadata(&mountpoint).ok().map(|mounted| mounted.dev()),
        mountpoint: mountpoint.clone(),
        notifier,
        turning,
    };
    Ok(Mount {
        session,
        mountpoint,
        memory,
    })
}

/// Has the kernel hold no more than `bytes` of a mount's dirty pages, or [`MARGIN_MIN`]; answers
/// how many it may hold.
fn bound_dirty(mountpoint: &Path, bytes: u64) -> u64 {
    let bytes = bytes.max(MARGIN_MIN);
    let held = || -> io::Result<u64> {
        let dir = device_dir(mountpoint)?;
        let most = || fs::read_to_string(dir.join("max_bytes"));
        if most()?.trim().parse().is_ok_and(|most: u64| most > bytes) {
            // Nothing may be promised above it.
            fs::write(dir.join("min_ratio"), "0")?;
            fs::write(dir.join("max_bytes"), bytes.to_string())?;
        }
        Ok(most()?.trim().parse().unwrap_or(bytes))
    };
    // Only root may ask and set: to others the kernel gives one hundredth of what is dirty.
    held().map_or(MARGIN_MIN, |held| held.max(MARGIN_MIN))
}

/// Where the kernel shows and takes what it does for the mount as a device.
fn device_dir(mountpoint: &Path) -> io::Result<PathBuf> {
    let device = fs::metadata(mountpoint)?.dev();
    Ok(PathBuf::from(format!(
        "/sys/class/bdi/{}:{}",
        major(device),
        minor(device)
    )))
}

/// Sets what the kernel's defaults for FUSE are too small for; only root may.
fn tune(mountpoint: &Path, options: &MountOptions) -> io::Result<()> {
    let dir = device_dir(mountpoint)?;
    fs::write(dir.join("read_ahead_kb"), options.read_ahead_kib.to_string())?;
    fs::write(dir.join("max_ratio"), options.dirty_percent.to_string())?;
    // Shares that are promised add up to 100 at most: with many mounts the last ones go without the
    // promise.
    let promised = fs::write(dir.join("min_ratio"), options.dirty_percent.to_string());
    promised.or_else(|error| match error.kind() {
        io::ErrorKind::InvalidInput => Ok(()),
        _ => Err(error),
    })
}
