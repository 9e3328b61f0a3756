//! The directory a volume is mounted on: what is there, what was left there, and how it is taken away again.

use crate::error::{Error, Result};
use rustix::fs::{IFlags, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::UnmountFlags;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::Command;

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
    let path = crate::state::resolve(path);
    let Ok(table) = std::fs::read("/proc/self/mountinfo") else {
        return false;
    };
    table.split(|&b| b == b'\n').any(|line| {
        let field = line.split(|&b| b == b' ').nth(4);
        field.is_some_and(|field| unescape(field).as_path() == path)
    })
}

/// mountinfo writes blanks, tabs, newlines and backslashes as three octal digits.
fn unescape(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, tail)) = rest.split_first() {
        let octal = tail
            .get(..3)
            .filter(|_| first == b'\\')
            .and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) => (bytes.push(byte), rest = &tail[3..]),
            None => (bytes.push(first), rest = tail),
        };
    }
    PathBuf::from(std::ffi::OsString::from_vec(bytes))
}

/// Makes `dir` ready: a directory, nothing served on it. What a killed daemon left behind is taken away, since it
/// answers every call with ENOTCONN and nobody can have use for it.
pub(crate) fn prepare(dir: &Path) -> Result<()> {
    // Not metadata: the kernel answers that from what it remembers, long after the daemon has died.
    if let Err(error) = std::fs::read_dir(dir)
        && error.kind() != std::io::ErrorKind::NotADirectory
    {
        if error.raw_os_error() != Some(Errno::NOTCONN.raw_os_error()) {
            return Err(Error::at("use the mount point", dir)(error));
        }
        unmount(dir, Unmount::Lazy)?;
        tracing::warn!(mountpoint = %dir.display(), "took away a mount whose daemon was gone");
    }
    let metadata = std::fs::metadata(dir).map_err(Error::at("use the mount point", dir))?;
    if !metadata.is_dir() {
        return Err(Error::Usage(format!(
            "{} is no directory, so nothing can be mounted on it",
            dir.display()
        )));
    }
    Ok(())
}

/// Gives the empty directory below a future mount the immutable flag: then nobody, root included, can write there
/// while nothing is mounted, and a pod whose volume is missing fails instead of filling the host's disk.
pub(crate) fn protect(dir: &Path) -> Result<()> {
    let mut entries = std::fs::read_dir(dir).map_err(Error::at("list", dir))?;
    if entries.next().is_some() {
        return Err(Error::Usage(format!(
            "{} is not empty: --protect-mountpoint is for an empty one",
            dir.display()
        )));
    }
    let fd = open_dir(dir)?;
    let flags = rustix::fs::ioctl_getflags(&fd).map_err(Error::at("read the flags of", dir))?;
    rustix::fs::ioctl_setflags(&fd, flags | IFlags::IMMUTABLE).map_err(Error::at("make immutable", dir))
}

/// Hands what the kernel's page cache holds to the daemon: sync(2) of a FUSE mount goes no further than that.
pub(crate) fn flush_kernel(dir: &Path) -> Result<()> {
    rustix::fs::syncfs(open_dir(dir)?).map_err(Error::at("flush", dir))
}

fn open_dir(dir: &Path) -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(dir, flags, Mode::empty()).map_err(Error::at("open", dir))
}

/// Unmounts; without root, through the setuid helper that FUSE brings.
pub(crate) fn unmount(dir: &Path, how: Unmount) -> Result<()> {
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

fn busy(dir: &Path) -> Error {
    let users = users(dir);
    let who = if users.is_empty() {
        String::new()
    } else {
        format!(" by {}", users.join(", "))
    };
    let dir = dir.display();
    Error::Busy(format!(
        "{dir} is in use{who}: end what uses it, or detach it with `cairn umount --lazy {dir}`"
    ))
}

/// Up to five processes with a working directory or an open file below `dir`. Reads names only, so it cannot hang.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mountinfo_escapes_are_undone() {
        assert_eq!(unescape(br"/mnt/a\040b\134c"), PathBuf::from(r"/mnt/a b\c"));
        assert_eq!(unescape(br"/mnt/\0"), PathBuf::from(r"/mnt/\0"));
    }

    #[test]
    fn proc_is_a_mount_and_its_files_are_not() {
        assert!(is_mounted(Path::new("/proc")));
        assert!(!is_mounted(Path::new("/proc/self/status")));
    }
}
