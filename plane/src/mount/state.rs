//! Where daemons are found: one record per mount, in a directory of the user's own.
//!
//! ```text
//! /run/cairn/<hash of the mount point>.json   pid, store, mount point
//!                                     .sock   the control socket (see `control.rs`)
//!                                     .log    the daemon's log, unless --log-file says otherwise
//! ```
//!
//! The directory is `$CAIRN_RUN_DIR`, else `/run/cairn` for root, else `$XDG_RUNTIME_DIR/cairn`,
//! else `~/.local/state/cairn`. It lies inside the trusted environment: never beside the store,
//! which others may write. One that another user owns or may write to is refused: records and
//! sockets in it could be that user's.
//!
//! **Invariant:** a record is a hint. Whether a volume is open is decided by the store's lock
//! alone.

use crate::error::{Error, Result};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Far longer than a pid and two paths.
const RECORD_BYTES_MAX: u64 = 64 << 10;

/// One daemon.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Its process.
    pub(crate) pid: u32,
    /// The store, absolute.
    #[serde(with = "crate::path")]
    pub(crate) store: PathBuf,
    /// The mount point, absolute.
    #[serde(with = "crate::path")]
    pub(crate) mountpoint: PathBuf,
    /// The device number of the mount, once it is there.
    pub(crate) device: Option<String>,
}

/// Where the directory of the records is, or is to be.
fn run_dir_path() -> Result<PathBuf> {
    let env = |name| {
        std::env::var_os(name)
            .filter(|v| !v.is_empty())
            .map(PathBuf::from)
    };
    env("CAIRN_RUN_DIR")
        .or_else(|| {
            rustix::process::geteuid()
                .is_root()
                .then(|| PathBuf::from("/run/cairn"))
        })
        .or_else(|| env("XDG_RUNTIME_DIR").map(|dir| dir.join("cairn")))
        .or_else(|| env("HOME").map(|dir| dir.join(".local/state/cairn")))
        .ok_or_else(|| Error::Usage("set CAIRN_RUN_DIR: there is neither XDG_RUNTIME_DIR nor HOME".into()))
}

/// The directory of the records, made if it is missing.
pub(crate) fn run_dir() -> Result<PathBuf> {
    let dir = run_dir_path()?;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(&dir)
        .map_err(Error::at("create", &dir))?;
    require_own(&dir)?;
    Ok(dir)
}

/// Refuses a directory in which another user could put records, sockets or links of its own. In a
/// place that all may write to, another user may have made it.
fn require_own(dir: &Path) -> Result<()> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    // As the path says, and with its last link followed: either must be the user's own, or root's.
    let link = fs::symlink_metadata(dir).map_err(Error::at("look at", dir))?;
    let target = rustix::fs::open(dir, flags, Mode::empty()).map_err(Error::at("open", dir))?;
    let target = fs::File::from(target)
        .metadata()
        .map_err(Error::at("look at", dir))?;
    let trusted = [0, rustix::process::geteuid().as_raw()];
    let foreign = [&link, &target].map(MetadataExt::uid);
    let foreign = foreign.into_iter().find(|uid| !trusted.contains(uid));
    let why = match foreign {
        Some(uid) => format!("it belongs to uid {uid}"),
        None if target.mode() & 0o022 != 0 => {
            format!(
                "others may write to it (mode {:03o}): chmod 700 it",
                target.mode() & 0o777
            )
        }
        None => return Ok(()),
    };
    Err(Error::Usage(format!(
        "the run directory {} is not safe to use: {why}",
        dir.display()
    )))
}

/// The path of `mountpoint`'s file with this extension.
pub(crate) fn file(mountpoint: &Path, extension: &str) -> Result<PathBuf> {
    let hash = blake3::hash(resolve(mountpoint).as_os_str().as_bytes()).to_hex();
    Ok(run_dir()?.join(format!("{}.{extension}", &hash[..16])))
}

/// Without symbolic links, so that every spelling of a path finds the same record. A mount whose
/// daemon is gone cannot be resolved itself; its parent can.
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
        // What a killed daemon left. `create_new` then follows no link.
        let _ = fs::remove_file(&new);
        let mut options = fs::OpenOptions::new();
        let mut out = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)
            .map_err(Error::at("create", &new))?;
        std::io::Write::write_all(&mut out, &text).map_err(Error::at("write", &new))?;
        // Not synced: after a crash of the machine there is no daemon that a record could lead to.
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

    /// Waits for the process to end, at most so long. One that has ended and that its parent has
    /// not yet taken note of counts as ended.
    pub(crate) fn ends_within(&self, time: Duration) -> bool {
        let pid = i32::try_from(self.pid).ok().and_then(Pid::from_raw);
        // A number may have been given to another process. Then its record leads to a socket that
        // nothing answers: an error, and no harm.
        let Some(Ok(process)) = pid.map(|pid| pidfd_open(pid, PidfdFlags::empty())) else {
            return true;
        };
        let mut ended = [PollFd::new(&process, PollFlags::IN)];
        let time = Timespec::try_from(time).ok();
        matches!(poll(&mut ended, time.as_ref()), Ok(1))
    }

    /// Whether the mount with this device number is this daemon's.
    pub(crate) fn is_of(&self, device: &str) -> bool {
        self.device.as_deref() == Some(device)
    }

    /// The daemon that serves `path`, which may be its mount point or its store.
    pub(crate) fn find(path: &Path) -> Result<Option<Self>> {
        let path = resolve(path);
        let serves = |record: &Self| record.mountpoint == path || record.store == path;
        Ok(Self::all()?
            .into_iter()
            .find(|record| serves(record) && record.alive()))
    }

    /// All records, those that daemons left behind when they were killed included.
    pub(crate) fn all() -> Result<Vec<Self>> {
        let dir = run_dir_path()?;
        // A command that looks makes none: its disk may be full or read-only.
        if fs::symlink_metadata(&dir).is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound) {
            return Ok(Vec::new());
        }
        require_own(&dir)?;
        let mut records = Vec::new();
        for entry in fs::read_dir(&dir).map_err(Error::at("list", &dir))?.flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|extension| extension == "json") {
                // A record being replaced, or one cut short by a full disk, is as good as none.
                records.extend(Self::read(&path));
            }
        }
        Ok(records)
    }

    fn read(path: &Path) -> Option<Self> {
        let mut text = Vec::new();
        let file = fs::File::open(path).ok()?;
        file.take(RECORD_BYTES_MAX).read_to_end(&mut text).ok()?;
        serde_json::from_slice(&text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    #[test]
    fn a_run_directory_that_others_own_or_write_to_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("run");
        fs::create_dir(&dir).unwrap();
        let allow = |mode| fs::set_permissions(&dir, fs::Permissions::from_mode(mode)).unwrap();
        for (mode, safe) in [
            (0o700, true),
            (0o755, true),
            (0o770, false),
            (0o777, false),
            (0o1777, false),
        ] {
            allow(mode);
            assert_eq!(require_own(&dir).is_ok(), safe, "{mode:o}");
        }
        allow(0o700);
        let link = root.path().join("link");
        symlink(&dir, &link).unwrap();
        assert!(require_own(&link).is_ok());
        // Only root can give files away, and needs the test.
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::lchown(&link, Some(65_534), None).unwrap();
            assert!(require_own(&link).is_err(), "the link of another user");
            chown(&dir, Some(65_534), None).unwrap();
            assert!(require_own(&dir).is_err(), "the directory of another user");
        }
    }
}
