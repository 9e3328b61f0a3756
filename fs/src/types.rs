//! The words of POSIX as types: what a caller asks with and is answered with.
//!
//! Everything is checked when it is made, so that nothing deeper in the crate checks again: a
//! [`Name`] has no slash and fits, an [`InodeNo`] is not an offset.

use crate::time::Time;
use std::fmt;

/// Number of an inode. Never used twice in a volume's life, so it needs no generation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InodeNo(pub u64);

impl InodeNo {
    /// The root directory; the number FUSE fixes for it.
    pub const ROOT: Self = Self(1);
    /// `/.snapshots`.
    pub const SNAPSHOTS: Self = Self(2);
    /// The first number given to a file.
    pub const FIRST: Self = Self(16);
}

impl fmt::Display for InodeNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One component of a path: 1 to 255 bytes, no `/`, no NUL, neither `.` nor `..`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Box<[u8]>);

impl Name {
    /// Longest name in bytes (NAME_MAX).
    pub const MAX: usize = 255;

    /// Checks a name.
    ///
    /// # Errors
    /// [`crate::Error::NameTooLong`] above 255 bytes, [`crate::Error::Invalid`] for anything else
    /// that is no name.
    pub fn new(bytes: &[u8]) -> crate::Result<Self> {
        if bytes.len() > Self::MAX {
            return Err(crate::Error::NameTooLong);
        }
        if bytes.is_empty() || bytes == b"." || bytes == b".." || bytes.iter().any(|&b| b == b'/' || b == 0) {
            return Err(crate::Error::Invalid(
                "a name is 1 to 255 bytes without '/' and NUL",
            ));
        }
        Ok(Self(bytes.into()))
    }

    /// The bytes, which need not be UTF-8.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", String::from_utf8_lossy(&self.0))
    }
}

/// Kind of an inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Regular file.
    File,
    /// Directory.
    Directory,
    /// Symbolic link.
    Symlink,
    /// Named pipe.
    Fifo,
    /// Unix socket.
    Socket,
    /// Character device.
    CharDevice,
    /// Block device.
    BlockDevice,
}

/// What `stat` answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attr {
    /// Inode number.
    pub ino: InodeNo,
    /// Kind.
    pub kind: Kind,
    /// Permission and set-id bits, `0o7777` at most.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Device number of a device node.
    pub rdev: u32,
    /// Names that lead here (2 + subdirectories for a directory).
    pub nlink: u32,
    /// Size in bytes.
    pub size: u64,
    /// Bytes that are not holes, in units of 512.
    pub blocks: u64,
    /// Last access.
    pub atime: Time,
    /// Last change of content.
    pub mtime: Time,
    /// Last change of content or attributes.
    pub ctime: Time,
    /// Creation.
    pub btime: Time,
    /// Whether the next commit will say the same of `blocks`.
    pub settled: bool,
}

/// What `chmod`, `chown`, `truncate` and `utimensat` change; `None` leaves a field alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetAttr {
    /// New permission bits.
    pub mode: Option<u32>,
    /// New owner.
    pub uid: Option<u32>,
    /// New group.
    pub gid: Option<u32>,
    /// New size.
    pub size: Option<u64>,
    /// New access time.
    pub atime: Option<Time>,
    /// New modification time.
    pub mtime: Option<Time>,
    /// New change time (the kernel owns it under the writeback cache).
    pub ctime: Option<Time>,
    /// The kernel names nothing but perhaps the time of change: that is a `chown` to nobody, which
    /// drops set-id bits as every other. Or, of a regular file and without the time, that the
    /// caller is about to change its bytes.
    pub names_nothing: bool,
}

/// Set-id bits that stay when a file is changed, as ext4 has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SetIdBits {
    /// All: the caller holds CAP_FSETID.
    #[default]
    Keep,
    /// Set-group-id where the group may not execute: the caller is in that group.
    DropForMember,
    /// None.
    Drop,
}

/// The caller and the time: the engine does not read the time of day itself, so that a log replays
/// exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// Effective user.
    pub uid: u32,
    /// Effective group.
    pub gid: u32,
    /// File mode creation mask.
    pub umask: u32,
    /// Time of the call.
    pub now: Time,
    /// Set-id bits that stay on a file it changes.
    pub set_id: SetIdBits,
    /// The kernel stamps changes of a file's bytes by its own clock, and tells the times by
    /// `setattr`.
    pub kernel_stamps: bool,
}

/// One line of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DirEntry {
    /// Inode it leads to.
    pub ino: InodeNo,
    /// Kind of that inode.
    pub kind: Kind,
    /// Its name (`.` and `..` are not listed here).
    pub name: Name,
    /// Where the listing goes on after this entry: stays right while names come and go.
    pub cookie: DirCookie,
    /// All attributes, when they were asked for.
    pub attr: Option<Attr>,
}

/// A place in a directory's order. Fits the 31 bits that `telldir` has for programs of 32 bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirCookie(pub u64);

/// What a handle is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing will change through it.
    Read,
    /// It may write, truncate, or be mapped as shared and writable.
    Write,
}

/// How `rename` treats what is already there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RenameMode {
    /// Replace it.
    #[default]
    Replace,
    /// Refuse.
    NoReplace,
    /// Swap the two.
    Exchange,
}

/// What `fallocate` does to a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fallocate {
    /// Room is there; the file grows.
    Allocate,
    /// Room is there; the size stays.
    AllocateKeepSize,
    /// Becomes a hole; the size stays.
    PunchHole,
    /// Becomes zeros; the file grows.
    ZeroRange,
    /// Becomes zeros; the size stays.
    ZeroRangeKeepSize,
}

/// `SEEK_DATA` or `SEEK_HOLE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seek {
    /// First byte of data at or after the offset.
    Data,
    /// First byte of a hole at or after the offset; the end of the file is one.
    Hole,
}

/// How `setxattr` treats an existing value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum XattrMode {
    /// Create or replace.
    Set,
    /// Fail when there is one.
    Create,
    /// Fail when there is none.
    Replace,
}

/// What `statfs` answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StatFs {
    /// Size of the volume in bytes: its quota, or what it uses and the store has left.
    pub total_bytes: u64,
    /// Bytes that can still be written.
    pub free_bytes: u64,
    /// Inodes the volume may hold.
    pub total_inodes: u64,
    /// Inodes that can still be made.
    pub free_inodes: u64,
}

/// A named snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotInfo {
    /// Its name.
    pub name: Name,
    /// The commit it holds.
    pub epoch: u64,
    /// When it was taken.
    pub created: Time,
    /// Files and directories in it.
    pub inodes: u64,
    /// Bytes its files refer to.
    pub bytes: u64,
    /// What keeps it from being destroyed, by tag.
    pub holds: Vec<Hold>,
}

/// A reason to keep a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// What it is called.
    pub tag: Name,
    /// Since when.
    pub since: Time,
}
