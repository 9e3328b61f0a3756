//! Where daemons are found: one record per mount, in a directory of the user's own.
//!
//! ```text
//! /run/cairn/<hash of the mount point>.json   pid, store, mount point
//!                                     .sock   the control socket (see `control.rs`)
//!                                     .log    the daemon's log, unless --log-file says otherwise
//! ```
//!
//! The directory is `$CAIRN_RUN_DIR`, else `/run/cairn` for root, else `$XDG_RUNTIME_DIR/cairn`, else
//! `~/.local/state/cairn`. It lies inside the trusted environment: never beside the store, which anybody may write.
//!
//! **Invariant:** a record is a hint. Whether a volume is open is decided by the store's lock alone.

use crate::error::{Error, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// One daemon.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Its process.
    pub(crate) pid: u32,
    /// The store, absolute.
    pub(crate) store: PathBuf,
    /// The mount point, absolute.
    pub(crate) mountpoint: PathBuf,
}

/// The directory of the records, made if it is missing.
pub(crate) fn run_dir() -> Result<PathBuf> {
    let env = |name| {
        std::env::var_os(name)
            .filter(|v| !v.is_empty())
            .map(PathBuf::from)
    };
    let dir = env("CAIRN_RUN_DIR")
        .or_else(|| {
            rustix::process::geteuid()
                .is_root()
                .then(|| PathBuf::from("/run/cairn"))
        })
        .or_else(|| env("XDG_RUNTIME_DIR").map(|dir| dir.join("cairn")))
        .or_else(|| env("HOME").map(|dir| dir.join(".local/state/cairn")))
        .ok_or_else(|| Error::Usage("set CAIRN_RUN_DIR: there is neither XDG_RUNTIME_DIR nor HOME".into()))?;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&dir)
        .map_err(Error::at("create", &dir))?;
    Ok(dir)
}

/// The path of `mountpoint`'s file with this extension.
pub(crate) fn file(mountpoint: &Path, extension: &str) -> Result<PathBuf> {
    let hash = blake3::hash(resolve(mountpoint).as_os_str().as_bytes()).to_hex();
    Ok(run_dir()?.join(format!("{}.{extension}", &hash[..16])))
}

/// Without symbolic links, so that every spelling of a path finds the same record. A mount whose daemon is gone
/// cannot be resolved itself; its parent can.
pub(crate) fn resolve(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_path_buf());
    let (Some(parent), Some(name)) = (absolute.parent(), absolute.file_name()) else {
        return absolute;
    };
    fs::canonicalize(&absolute).unwrap_or_else(|_| match fs::canonicalize(parent) {
        Ok(parent) => parent.join(name),
        Err(_) => absolute.clone(),
    })
}

impl Record {
    /// Writes the record, whole or not at all.
    pub(crate) fn save(&self) -> Result<()> {
        let path = file(&self.mountpoint, "json")?;
        let new = path.with_extension("json.new");
        let text = serde_json::to_vec(self).map_err(|error| Error::io("cannot write a record", error))?;
        let _ = fs::remove_file(&new);
        let mut options = fs::OpenOptions::new();
        let mut out = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)
            .map_err(Error::at("create", &new))?;
        std::io::Write::write_all(&mut out, &text).map_err(Error::at("write", &new))?;
        fs::rename(&new, &path).map_err(Error::at("rename", &new))
    }

    /// Takes record and socket away; the log stays.
    pub(crate) fn remove(&self) {
        for extension in ["json", "sock"] {
            if let Ok(path) = file(&self.mountpoint, extension) {
                let _ = fs::remove_file(path);
            }
        }
    }

    /// Whether the process still runs.
    pub(crate) fn alive(&self) -> bool {
        !self.ends_within(Duration::ZERO)
    }

    /// Waits for the process to end, at most so long. One that has ended and that its parent has not yet taken note of
    /// counts as ended.
    pub(crate) fn ends_within(&self, time: Duration) -> bool {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        let Some(Ok(process)) = pid.map(|pid| pidfd_open(pid, PidfdFlags::empty())) else {
            return true;
        };
        let mut ended = [PollFd::new(&process, PollFlags::IN)];
        let time = Timespec::try_from(time).ok();
        matches!(poll(&mut ended, time.as_ref()), Ok(1))
    }

    /// The daemon that serves `path`, which may be its mount point or its store.
    pub(crate) fn find(path: &Path) -> Result<Option<Self>> {
        let path = resolve(path);
        let dir = run_dir()?;
        for entry in fs::read_dir(&dir).map_err(Error::at("list", &dir))?.flatten() {
            if entry
                .path()
                .extension()
                .is_none_or(|extension| extension != "json")
            {
                continue;
            }
            // A record being replaced, or one cut short by a full disk, is as good as none.
            let Ok(text) = fs::read(entry.path()) else {
                continue;
            };
            let Ok(record) = serde_json::from_slice::<Self>(&text) else {
                continue;
            };
            if (record.mountpoint == path || record.store == path) && record.alive() {
                return Ok(Some(record));
            }
        }
        Ok(None)
    }
}
