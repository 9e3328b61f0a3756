//! How a volume is mounted.

use fuser::{Config, SessionACL};
use std::ffi::OsString;

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
    /// Source shown by `mount` and `df`: any bytes.
    pub fsname: OsString,
    /// Threads that take requests, and answer those that need not wait. One that polls
    /// (`fuse::linger`) answers faster than two that wake each other: measured on two
    /// processors, 1.3 times as many creates and 1.5 times the stream. More are for many
    /// processors, as sealing a stream takes one.
    pub threads: usize,
    /// Threads for requests that wait: syncs, cold reads, copies.
    pub threads_blocking: usize,
    /// Readahead of the mount. The kernel's own 128 KiB would cut cold reads into requests of that
    /// size.
    pub read_ahead_kib: u32,
    /// This mount's share of the machine's dirty pages, in percent: a limit and a reservation. The
    /// kernel's 1 % for FUSE has it write scattered pages back at once, one request each. With far
    /// more, the fsync of a stream waits for all of it to be written.
    pub dirty_percent: u32,
    /// With less room than this, the kernel asks before each write. `None` for as much as it may
    /// hold of this mount's dirty pages: 64 MiB, or an eighth of the room there is now if that is
    /// more, but no more than `dirty_percent`.
    pub full_margin_bytes: Option<u64>,
}

impl Default for MountOptions {
    fn default() -> Self {
        Self {
            read_only: false,
            flags: Vec::new(),
            allow_other: false,
            fsname: "cairn".into(),
            threads: (1 + processors() / 4).min(4),
            threads_blocking: 8,
            read_ahead_kib: 4096,
            dirty_percent: 15,
            full_margin_bytes: None,
        }
    }
}

impl MountOptions {
    pub(super) fn config(&self) -> Config {
        let mut config = Config::default();
        config.n_threads = Some(self.threads.max(1));
        config.clone_fd = self.threads > 1;
        config.acl = self.acl();
        config
    }

    pub(super) fn acl(&self) -> SessionACL {
        match self.allow_other {
            true => SessionACL::All,
            false => SessionACL::Owner,
        }
    }
}

/// Processors of the machine, as far as this process may use them.
pub(super) fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
