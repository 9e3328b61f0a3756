//! Mounts, waits and unmounts.
//!
//! ```text
//! mount() --> INIT agreed, serving --> Mount --join()--> unmounted by anyone: umount(8), Unmounter, a signal
//! ```

use super::{edge::Edge, room::MARGIN_MIN};
use crate::operations::Operations;
use fuser::{BackgroundSession, Config, MountOption, Session, SessionACL};
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

/// What a mount refuses or does beyond the filesystem's own: options of mount(8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MountFlag {
    /// Set-id bits have no effect.
    NoSuid,
    /// Device nodes cannot be opened.
    NoDev,
    /// Programs cannot be run.
    NoExec,
    /// As on every mount: reading changes no access time.
    NoAtime,
    /// Every write is an fsync too.
    Sync,
    /// Every change of a directory is an fsync too.
    DirSync,
}

/// How a volume is mounted.
#[derive(Clone, Debug)]
pub struct MountOptions {
    /// The kernel refuses every change.
    pub read_only: bool,
    /// See [`MountFlag`].
    pub flags: Vec<MountFlag>,
    /// Other users than the mounting one may enter; permissions are checked either way.
    pub allow_other: bool,
    /// Source shown by `mount` and `df`.
    pub fsname: String,
    /// Threads that take requests, and answer those that need not wait. One that polls
    /// ([`super::linger`]) answers faster than two that wake each other: measured on two processors,
    /// 1.3 times as many creates and 1.5 times the stream. More are for many processors, as sealing
    /// a stream takes one.
    pub threads: usize,
    /// Threads for requests that wait: syncs, cold reads, copies.
    pub threads_blocking: usize,
    /// Readahead of the mount. The kernel's own 128 KiB would cut cold reads into requests of that size.
    pub read_ahead_kib: u32,
    /// This mount's share of the machine's dirty pages, in percent: a limit and a reservation. The
    /// kernel's 1 % for FUSE has it write scattered pages back at once, one request each. With far
    /// more, the fsync of a stream waits for all of it to be written.
    pub dirty_percent: u32,
    /// With less room than this, the kernel asks before each write. `None` for as much as it may hold of this mount's dirty
    /// pages: 64 MiB, or an eighth of the room there is now if that is more, but no more than `dirty_percent`.
    pub full_margin_bytes: Option<u64>,
}

impl Default for MountOptions {
    fn default() -> Self {
        Self {
            read_only: false,
            flags: Vec::new(),
            allow_other: false,
            fsname: "cairn".to_owned(),
            threads: (1 + processors() / 4).min(4),
            threads_blocking: 8,
            read_ahead_kib: 4096,
            dirty_percent: 15,
            full_margin_bytes: None,
        }
    }
}

impl MountOptions {
    fn config(&self) -> Config {
        let mut options = vec![
            MountOption::FSName(self.fsname.clone()),
            MountOption::Subtype("cairn".to_owned()),
            MountOption::DefaultPermissions,
        ];
        // What a local filesystem is mounted with; only root may, and fusermount3 would refuse the rest.
        if rustix::process::geteuid().is_root() {
            let unless = |flag, option| (!self.flags.contains(&flag)).then_some(option);
            options.extend(unless(MountFlag::NoDev, MountOption::Dev));
            options.extend(unless(MountFlag::NoSuid, MountOption::Suid));
        }
        options.extend(self.flags.iter().map(|flag| match flag {
            MountFlag::NoSuid => MountOption::NoSuid,
            MountFlag::NoDev => MountOption::NoDev,
            MountFlag::NoExec => MountOption::NoExec,
            MountFlag::NoAtime => MountOption::NoAtime,
            MountFlag::Sync => MountOption::Sync,
            MountFlag::DirSync => MountOption::DirSync,
        }));
        if self.read_only {
            options.push(MountOption::RO);
        }
        let mut config = Config::default();
        config.mount_options = options;
        config.acl = if self.allow_other {
            SessionACL::All
        } else {
            SessionACL::Owner
        };
        config.n_threads = Some(self.threads.max(1));
        config.clone_fd = self.threads > 1;
        config
    }
}

/// One in so many of the room's bytes may be dirty in the kernel.
const ROOM_SHARE: u64 = 8;

/// A mounted filesystem. Dropping it unmounts.
#[derive(Debug)]
pub struct Mount {
    session: BackgroundSession,
    mountpoint: PathBuf,
}

impl Mount {
    /// Waits until it is unmounted and every request is answered.
    ///
    /// # Errors
    /// What ended the session, if it was anything but an unmount.
    pub fn join(mut self) -> io::Result<()> {
        // Dropped, fuser's session unmounts whatever lies on the directory: by then that may be another's.
        let nothing = std::thread::spawn(|| Ok(()));
        let thread = std::mem::replace(&mut self.session.guard, nothing);
        std::mem::forget(self.session);
        let ended = thread.join();
        ended.map_err(|_| io::Error::other("the session's thread panicked"))?
    }

    /// Unmounts and waits.
    ///
    /// # Errors
    /// `EBUSY` while a file is open or a process stands in it: the mount goes on and its handle is gone, so use
    /// [`Mount::unmounter`] to try first.
    pub fn unmount(self) -> io::Result<()> {
        self.unmounter().unmount()?;
        self.join()
    }

    /// A handle that unmounts from elsewhere (a signal handler's thread) while this one is waited for.
    pub fn unmounter(&self) -> Unmounter {
        Unmounter {
            mountpoint: self.mountpoint.clone(),
        }
    }

    /// Where it is mounted, as an absolute path.
    pub fn mountpoint(&self) -> &Path {
        &self.mountpoint
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
    let session = Session::new(edge, &mountpoint, &options.config())?;
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
    Ok(Mount { session, mountpoint })
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Has the kernel hold no more than `bytes` of a mount's dirty pages, or [`MARGIN_MIN`]; answers how many it may hold.
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
    // Shares that are promised add up to 100 at most: with many mounts the last ones go without the promise.
    let promised = fs::write(dir.join("min_ratio"), options.dirty_percent.to_string());
    promised.or_else(|error| match error.kind() {
        io::ErrorKind::InvalidInput => Ok(()),
        _ => Err(error),
    })
}
