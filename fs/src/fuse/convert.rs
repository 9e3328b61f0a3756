//! The kernel's words as ours, and ours as the kernel's. Nothing here can fail but on an argument
//! that has no meaning, and nothing panics.

use crate::{
    Attr, Caller, Error, Fallocate, InodeNo, Kind, Name, RenameMode, Result, Seek, SetIdBits, Time, XattrMode,
};
use fuser::{FileAttr, FileType, INodeNo, RenameFlags, Request, TimeOrNow};
use std::{
    ffi::OsStr,
    os::unix::ffi::OsStrExt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// What `st_blksize` recommends for files: the block the volume seals and opens as one.
const FILE_BLOCK_BYTES: u32 = 128 * 1024;
const PAGE_BYTES: u32 = 4096;

pub(super) fn ino(ino: INodeNo) -> InodeNo {
    InodeNo(ino.0)
}

pub(super) fn name(name: &OsStr) -> Result<Name> {
    Name::new(name.as_bytes())
}

/// The process behind a request. `umask` is 0 where the kernel sends none.
pub(super) fn caller(request: &Request, umask: u32) -> Caller {
    Caller {
        uid: request.uid(),
        gid: request.gid(),
        umask: umask & 0o777,
        now: now(),
        // What it may keep is looked up where there is something to keep (rights.rs).
        set_id: SetIdBits::Drop,
        kernel_stamps: false,
    }
}

/// The clock of the mount: the one place of this crate that reads it.
pub(super) fn now() -> Time {
    time(SystemTime::now())
}

/// A time as fuser hands it over.
///
/// fuser 0.18 makes "-2 s and 0.8 s" (1.2 s before 1970) into 2.8 s before 1970: it subtracts the
/// nanoseconds where it must add them. Taking both parts apart with the same sign gives back what
/// the kernel sent.
pub(crate) fn time(time: SystemTime) -> Time {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => Time::new(
            i64::try_from(after.as_secs()).unwrap_or(i64::MAX),
            after.subsec_nanos(),
        ),
        Err(error) => {
            let before = error.duration();
            let seconds = 0i64.checked_sub_unsigned(before.as_secs()).unwrap_or(i64::MIN);
            Time::new(seconds, before.subsec_nanos())
        }
    }
}

pub(super) fn time_or_now(given: TimeOrNow, now: Time) -> Time {
    match given {
        TimeOrNow::SpecificTime(given) => time(given),
        TimeOrNow::Now => now,
    }
}

/// A time as fuser takes it; this direction it rounds correctly.
pub(super) fn system_time(time: Time) -> SystemTime {
    let (seconds, nanoseconds) = time.parts();
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let base = if seconds < 0 {
        UNIX_EPOCH.checked_sub(whole)
    } else {
        UNIX_EPOCH.checked_add(whole)
    };
    base.and_then(|base| base.checked_add(Duration::from_nanos(nanoseconds.into())))
        .unwrap_or(UNIX_EPOCH)
}

pub(super) fn file_type(kind: Kind) -> FileType {
    match kind {
        Kind::File => FileType::RegularFile,
        Kind::Directory => FileType::Directory,
        Kind::Symlink => FileType::Symlink,
        Kind::Fifo => FileType::NamedPipe,
        Kind::Socket => FileType::Socket,
        Kind::CharDevice => FileType::CharDevice,
        Kind::BlockDevice => FileType::BlockDevice,
    }
}

/// The kind that the type bits of a `mknod` mode name. No bits mean a regular file, as mknod(2) has
/// it.
pub(super) fn node_kind(mode: u32) -> Result<Kind> {
    match mode & libc::S_IFMT {
        0 | libc::S_IFREG => Ok(Kind::File),
        libc::S_IFIFO => Ok(Kind::Fifo),
        libc::S_IFSOCK => Ok(Kind::Socket),
        libc::S_IFCHR => Ok(Kind::CharDevice),
        libc::S_IFBLK => Ok(Kind::BlockDevice),
        _ => Err(Error::Invalid(
            "mknod makes files, pipes, sockets and device nodes",
        )),
    }
}

pub(super) fn file_attr(attr: &Attr) -> FileAttr {
    FileAttr {
        ino: INodeNo(attr.ino.0),
        size: attr.size,
        blocks: attr.blocks,
        atime: system_time(attr.atime),
        mtime: system_time(attr.mtime),
        ctime: system_time(attr.ctime),
        crtime: system_time(attr.btime),
        kind: file_type(attr.kind),
        perm: u16::try_from(attr.mode & 0o7777).unwrap_or(0),
        nlink: attr.nlink,
        uid: attr.uid,
        gid: attr.gid,
        rdev: attr.rdev,
        blksize: if attr.kind == Kind::File {
            FILE_BLOCK_BYTES
        } else {
            PAGE_BYTES
        },
        flags: 0,
    }
}

/// Attributes where only number and kind count: `.` and `..` in a listing, and, with number 0, the
/// name that the kernel shall remember as absent.
pub(super) fn bare_attr(ino: InodeNo, kind: Kind) -> FileAttr {
    FileAttr {
        ino: INodeNo(ino.0),
        size: 0,
        blocks: 0,
        atime: UNIX_EPOCH,
        mtime: UNIX_EPOCH,
        ctime: UNIX_EPOCH,
        crtime: UNIX_EPOCH,
        kind: file_type(kind),
        perm: 0,
        nlink: 0,
        uid: 0,
        gid: 0,
        rdev: 0,
        blksize: PAGE_BYTES,
        flags: 0,
    }
}

pub(super) fn rename_mode(flags: RenameFlags) -> Result<RenameMode> {
    if flags.is_empty() {
        Ok(RenameMode::Replace)
    } else if flags == RenameFlags::RENAME_NOREPLACE {
        Ok(RenameMode::NoReplace)
    } else if flags == RenameFlags::RENAME_EXCHANGE {
        Ok(RenameMode::Exchange)
    } else {
        Err(Error::Invalid("rename flags other than NOREPLACE or EXCHANGE"))
    }
}

pub(super) fn fallocate(mode: i32) -> Result<Fallocate> {
    const PUNCH: i32 = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
    const ZERO_KEEP: i32 = libc::FALLOC_FL_ZERO_RANGE | libc::FALLOC_FL_KEEP_SIZE;
    match mode {
        0 => Ok(Fallocate::Allocate),
        libc::FALLOC_FL_KEEP_SIZE => Ok(Fallocate::AllocateKeepSize),
        PUNCH => Ok(Fallocate::PunchHole),
        libc::FALLOC_FL_ZERO_RANGE => Ok(Fallocate::ZeroRange),
        ZERO_KEEP => Ok(Fallocate::ZeroRangeKeepSize),
        _ => Err(Error::Unsupported),
    }
}

/// A seek for data or holes; the kernel answers all others itself.
pub(super) fn seek(offset: i64, whence: i32) -> Result<(u64, Seek)> {
    let whence = match whence {
        libc::SEEK_DATA => Seek::Data,
        libc::SEEK_HOLE => Seek::Hole,
        _ => return Err(Error::Invalid("seek for neither data nor a hole")),
    };
    // lseek(2): a negative offset lies outside every file, as one past the end does.
    u64::try_from(offset)
        .map(|offset| (offset, whence))
        .map_err(|_| Error::NoData)
}

pub(super) fn xattr_mode(flags: i32) -> Result<XattrMode> {
    match flags {
        0 => Ok(XattrMode::Set),
        libc::XATTR_CREATE => Ok(XattrMode::Create),
        libc::XATTR_REPLACE => Ok(XattrMode::Replace),
        _ => Err(Error::Invalid("flags of setxattr")),
    }
}

/// Names as `listxattr` wants them: each ended by a NUL. `trusted.*` exists for root alone; FUSE
/// leaves hiding it to us.
pub(super) fn xattr_names(names: &[Vec<u8>], uid: u32) -> Vec<u8> {
    let shown = names
        .iter()
        .filter(|name| uid == 0 || !name.starts_with(b"trusted."));
    shown.flat_map(|name| name.iter().copied().chain([0])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What fuser 0.18 makes of a time of the kernel's (`system_time_from_time`).
    fn as_fuser_does(seconds: i64, nanoseconds: u32) -> SystemTime {
        let whole = Duration::new(seconds.unsigned_abs(), nanoseconds);
        if seconds >= 0 {
            UNIX_EPOCH + whole
        } else {
            UNIX_EPOCH - whole
        }
    }

    #[test]
    fn times_before_1970_survive_fuser() {
        for (seconds, nanoseconds) in [
            (0, 0),
            (0, 1),
            (5, 999_999_999),
            (-1, 0),
            (-1, 1),
            (-2, 800_000_000),
        ] {
            let given = time(as_fuser_does(seconds, nanoseconds));
            assert_eq!(given.parts(), (seconds, nanoseconds));
        }
    }

    #[test]
    fn times_far_away_stay_what_they_are() {
        for seconds in [i64::MIN, i64::MIN + 1, -10_000_000_000, 10_413_792_000, i64::MAX] {
            let given = time(as_fuser_does(seconds, 0));
            assert_eq!(given.parts(), (seconds, 0));
            assert_eq!(time(system_time(given)), given);
        }
    }

    #[test]
    fn a_time_is_sent_to_the_nanosecond() {
        let before = UNIX_EPOCH - Duration::new(1, 200_000_000);
        assert_eq!(system_time(Time::new(-2, 800_000_000)), before);
        assert_eq!(system_time(Time::new(3, 7)), UNIX_EPOCH + Duration::new(3, 7));
    }

    #[test]
    fn rename_knows_three_modes() {
        assert!(matches!(
            rename_mode(RenameFlags::empty()),
            Ok(RenameMode::Replace)
        ));
        assert!(matches!(
            rename_mode(RenameFlags::RENAME_NOREPLACE),
            Ok(RenameMode::NoReplace)
        ));
        assert!(matches!(
            rename_mode(RenameFlags::RENAME_EXCHANGE),
            Ok(RenameMode::Exchange)
        ));
        let both = RenameFlags::RENAME_NOREPLACE | RenameFlags::RENAME_EXCHANGE;
        for refused in [RenameFlags::RENAME_WHITEOUT, both] {
            assert!(matches!(rename_mode(refused), Err(Error::Invalid(_))));
        }
    }

    #[test]
    fn fallocate_knows_five_modes() {
        let (keep, punch, zero) = (
            libc::FALLOC_FL_KEEP_SIZE,
            libc::FALLOC_FL_PUNCH_HOLE,
            libc::FALLOC_FL_ZERO_RANGE,
        );
        assert!(matches!(fallocate(0), Ok(Fallocate::Allocate)));
        assert!(matches!(fallocate(keep), Ok(Fallocate::AllocateKeepSize)));
        assert!(matches!(fallocate(punch | keep), Ok(Fallocate::PunchHole)));
        assert!(matches!(fallocate(zero), Ok(Fallocate::ZeroRange)));
        assert!(matches!(fallocate(zero | keep), Ok(Fallocate::ZeroRangeKeepSize)));
        for refused in [
            punch,
            libc::FALLOC_FL_COLLAPSE_RANGE,
            libc::FALLOC_FL_INSERT_RANGE,
            -1,
        ] {
            assert!(matches!(fallocate(refused), Err(Error::Unsupported)));
        }
    }

    #[test]
    fn a_seek_before_the_file_finds_no_data() {
        assert!(matches!(seek(7, libc::SEEK_DATA), Ok((7, Seek::Data))));
        assert!(matches!(seek(7, libc::SEEK_HOLE), Ok((7, Seek::Hole))));
        assert!(matches!(seek(-1, libc::SEEK_HOLE), Err(Error::NoData)));
        assert!(matches!(seek(7, libc::SEEK_END), Err(Error::Invalid(_))));
    }

    #[test]
    fn setxattr_cannot_create_and_replace_at_once() {
        assert!(matches!(xattr_mode(0), Ok(XattrMode::Set)));
        assert!(matches!(xattr_mode(libc::XATTR_CREATE), Ok(XattrMode::Create)));
        assert!(matches!(xattr_mode(libc::XATTR_REPLACE), Ok(XattrMode::Replace)));
        assert!(xattr_mode(libc::XATTR_CREATE | libc::XATTR_REPLACE).is_err());
    }

    #[test]
    fn only_root_sees_trusted_attributes() {
        let names = [b"user.a".to_vec(), b"trusted.b".to_vec()];
        assert_eq!(xattr_names(&names, 0), b"user.a\0trusted.b\0");
        assert_eq!(xattr_names(&names, 7), b"user.a\0");
        assert!(xattr_names(&[], 0).is_empty());
    }

    #[test]
    fn mknod_makes_neither_directories_nor_symlinks() {
        let made = [
            (0, Kind::File),
            (libc::S_IFREG, Kind::File),
            (libc::S_IFIFO, Kind::Fifo),
            (libc::S_IFSOCK, Kind::Socket),
            (libc::S_IFCHR, Kind::CharDevice),
            (libc::S_IFBLK, Kind::BlockDevice),
        ];
        for (bits, kind) in made {
            assert_eq!(node_kind(bits | 0o644).unwrap(), kind);
        }
        assert!(node_kind(libc::S_IFDIR).is_err());
        assert!(node_kind(libc::S_IFLNK).is_err());
    }
}
