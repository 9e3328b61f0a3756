//! The directory a volume is mounted on: what is there, what was left there, and how it is taken
//! away again.
//!
//! **Invariant:** nothing is unmounted here but a mount of Cairn, whatever lies on the directory by
//! then.

mod apart;
mod table;

use crate::error::{Error, Result};
use crate::mount::state::{self, Record};
use crate::output;
pub(crate) use apart::{require_not_below, require_store_apart};
use rustix::fs::{IFlags, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::UnmountFlags;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Command;
pub(crate) use table::{Entry, Holder, elsewhere};

/// Whether the unmount may leave open files behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unmount {
    /// Refused while anything is open below.
    Whole,
    /// The name goes at once, the mount when the last file is closed.
    Lazy,
}

/// Whether something is mounted exactly at `path`.
pub(crate) fn is_mounted(path: &Path) -> bool {
    table::top(&table::own(), &state::resolve(path)).is_some()
}

/// Whether a mount of Cairn lies exactly at `path`, be its daemon gone. A store may be a mount
/// point itself.
pub(crate) fn is_cairn(path: &Path) -> bool {
    matches!(cairn_at(path), Ok(Some(_)))
}

/// All mounts of Cairn in this namespace, as far as they say that they are.
pub(crate) fn all_of_cairn() -> Vec<Entry> {
    let mut table = table::own();
    table.retain(Entry::looks_like_cairn);
    table
}

/// Whether a daemon's mount is in this namespace, be it below another one.
pub(crate) fn serves(record: &Record) -> bool {
    let own = |entry: &Entry| entry.at == record.mountpoint && record.is_of(&entry.device);
    table::own().iter().any(own)
}

/// The mount of Cairn that a call on `dir` meets; `None` if nothing is mounted there.
///
/// # Errors
/// What is there instead, if it is something else.
pub(crate) fn cairn_at(dir: &Path) -> Result<Option<Entry>> {
    let (dir, table) = (state::resolve(dir), table::own());
    let records = Record::all()?;
    let is_cairn = |entry: &Entry| {
        let recorded = |record: &Record| record.mountpoint == entry.at && record.is_of(&entry.device);
        entry.looks_like_cairn() || (entry.kind == "fuse" && records.iter().any(recorded))
    };
    let Some(top) = table::top(&table, &dir) else {
        return Ok(None);
    };
    if is_cairn(top) {
        return Ok(Some(top.clone()));
    }
    let (at, Entry { kind, source, .. }) = (dir.display(), top);
    let other = format!("what is mounted at {at} is not Cairn's: type {kind}, source {source}");
    let covered = table.iter().any(|entry| entry.at == dir && is_cairn(entry));
    Err(match covered {
        true => Error::Busy(format!(
            "{other}. It lies over a mount of Cairn, which goes on: take it away first with `umount {at}`"
        )),
        false => Error::NotMounted(format!("{other}. Nothing was done; `umount {at}` takes it away")),
    })
}

/// The device of the filesystem that is mounted at `dir`.
pub(crate) fn device(dir: &Path) -> Option<String> {
    table::top(&table::own(), &state::resolve(dir)).map(|entry| entry.device.clone())
}

/// Makes `dir` ready: a directory, nothing served on it. What a killed daemon left behind is taken
/// away, since it answers every call with ENOTCONN and is of no use to any process.
pub(crate) fn prepare(dir: &Path) -> Result<()> {
    // Not metadata: the kernel answers that from what it remembers, long after the daemon has died.
    if let Err(error) = std::fs::read_dir(dir)
        && error.kind() != std::io::ErrorKind::NotADirectory
    {
        if error.raw_os_error() != Some(Errno::NOTCONN.raw_os_error()) {
            return Err(Error::at("use the mount point", dir)(error));
        }
        let dead = cairn_at(dir).map_err(|other| Error::Busy(other.to_string()))?;
        if dead.is_some() {
            // Lazily: processes may stand in it still, and get errors there already.
            unmount(dir, Unmount::Lazy)?;
            output::warn(&format!(
                "took away the mount at {}, whose daemon was gone",
                dir.display()
            ));
        }
    }
    // After a dead mount was taken away, which would answer in the place of the directory.
    let metadata = std::fs::metadata(dir).map_err(Error::at("use the mount point", dir))?;
    if !metadata.is_dir() {
        return Err(Error::Usage(format!(
            "{} is no directory, so nothing can be mounted on it",
            dir.display()
        )));
    }
    Ok(())
}

/// Refuses a directory in which something is: the mount would hide it, and a wrong mount point is
/// found late.
pub(crate) fn require_empty(dir: &Path) -> Result<()> {
    let mut entries = std::fs::read_dir(dir).map_err(Error::at("list", dir))?;
    match entries.next() {
        None => Ok(()),
        Some(_) => Err(Error::Usage(format!(
            "{} is not empty, and the mount would hide what is in it: choose an empty directory, or mount with --nonempty",
            dir.display()
        ))),
    }
}

/// Gives the empty directory below a future mount the immutable flag. Then no user, root included,
/// can write there while nothing is mounted. A pod whose volume is missing fails instead of
/// filling the host's disk.
pub(crate) fn protect(dir: &Path) -> Result<()> {
    let mut entries = std::fs::read_dir(dir).map_err(Error::at("list", dir))?;
    if entries.next().is_some() {
        return Err(Error::Usage(format!(
            "{} is not empty: --protect-mountpoint is for an empty one",
            dir.display()
        )));
    }
    // Only after that look: the flag would keep what is in the directory from being removed.
    let fd = open_dir(dir)?;
    let flags = rustix::fs::ioctl_getflags(&fd).map_err(Error::at("read the flags of", dir))?;
    rustix::fs::ioctl_setflags(&fd, flags | IFlags::IMMUTABLE).map_err(Error::at("make immutable", dir))
}

/// Hands what the kernel's page cache holds to the daemon: sync(2) of a FUSE mount goes no further
/// than that.
pub(crate) fn flush_kernel(dir: &Path) -> Result<()> {
    rustix::fs::syncfs(open_dir(dir)?).map_err(Error::at("flush", dir))
}

fn open_dir(dir: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(dir, flags, Mode::empty()).map_err(Error::at("open", dir))
}

/// Unmounts the mount with this device, if it is still what lies on `dir`.
pub(crate) fn unmount_device(dir: &Path, device: Option<&str>, how: Unmount) -> Result<()> {
    // The table is read anew: what was laid over the mount since the caller looked has another
    // device, and stays.
    match cairn_at(dir)? {
        Some(entry) if device.is_none_or(|device| device == entry.device) => unmount(dir, how),
        _ => Err(Error::NotMounted(format!(
            "the mount at {} is gone already",
            dir.display()
        ))),
    }
}

/// Unmounts; without root, through the setuid helper that FUSE brings. The caller has seen that it
/// is Cairn's.
fn unmount(dir: &Path, how: Unmount) -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        return unmount_as_user(dir, how);
    }
    let flags = match how {
        Unmount::Whole => UnmountFlags::NOFOLLOW,
        Unmount::Lazy => UnmountFlags::NOFOLLOW | UnmountFlags::DETACH,
    };
    match rustix::mount::unmount(dir, flags) {
        Ok(()) => Ok(()),
        Err(Errno::BUSY) => Err(busy(dir)),
        Err(Errno::INVAL) => Err(Error::NotMounted(format!(
            "nothing is mounted at {}",
            dir.display()
        ))),
        Err(error) => Err(Error::at("unmount", dir)(error)),
    }
}

fn unmount_as_user(dir: &Path, how: Unmount) -> Result<()> {
    let mut command = Command::new("fusermount3");
    command.arg("-u");
    if how == Unmount::Lazy {
        command.arg("-z");
    }
    let output = command.arg("--").arg(dir).output();
    let output =
        output.map_err(|error| Error::io("cannot run fusermount3 (install the package fuse3)", error))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(if said.contains("busy") {
        busy(dir)
    } else {
        Error::NotMounted(said)
    })
}

/// What uses a mount, as words behind "in use".
pub(crate) fn used_by(dir: &Path) -> String {
    match users(dir) {
        users if users.is_empty() => String::new(),
        users => format!(" by {}", users.join(", ")),
    }
}

fn busy(dir: &Path) -> Error {
    let who = used_by(dir);
    let dir = dir.display();
    Error::Busy(format!(
        "{dir} is in use{who}: end what uses it, detach it with `cairn umount --lazy {dir}`, or commit and end it \
         under its users with `cairn umount --force {dir}`"
    ))
}

/// Up to five processes with a working directory or an open file below `dir`. Reads names only, so
/// it cannot hang.
fn users(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for process in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let pid = process.file_name();
        if !pid.as_bytes().iter().all(u8::is_ascii_digit) {
            continue;
        }
        let files = std::fs::read_dir(process.path().join("fd"))
            .into_iter()
            .flatten()
            .flatten()
            .map(|fd| fd.path());
        let mut links = files.chain([process.path().join("cwd"), process.path().join("root")]);
        if links.any(|link| std::fs::read_link(link).is_ok_and(|to| to.starts_with(dir))) {
            let name = std::fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            found.push(format!("{} (pid {})", name.trim(), pid.to_string_lossy()));
        }
        if found.len() == 5 {
            break;
        }
    }
    found
}
