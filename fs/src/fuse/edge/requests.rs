//! The kernel's requests, one method each: unpack, call, answer.

use super::{CACHED, Edge, GENERATION, READER, WRITER, entry, files::How, handle, names_ttl};
use crate::fuse::{
    convert::{self, caller, ino, name},
    kernel,
    linger::{After, Lingering},
    listing,
    reply::{self, answer, done},
    span::span,
    told,
};
use crate::operations::Operations;
use crate::{Access, Error, InodeNo, Kind, SetAttr};
use fuser::{
    AccessFlags, BsdFileFlags, CopyFileRangeFlags, Errno, FileHandle, Filesystem, FopenFlags, INodeNo,
    IoctlFlags, KernelConfig, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyIoctl, ReplyLseek, ReplyOpen,
    ReplyStatfs, ReplyWrite, ReplyXattr, Request, TimeOrNow, WriteFlags,
};
use std::{ffi::OsStr, io, os::unix::ffi::OsStrExt, path::Path, sync::Arc, time::SystemTime};

/// Longest copy per request; the caller comes again. Keeps a request's answer in 32 bits, and its
/// wait short.
const COPY_BYTES_MAX: u64 = 1 << 30;
/// Unit of `statfs`.
const STATFS_BYTES: u32 = 4096;

impl<O: Operations + ?Sized> Filesystem for Edge<O> {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        self.agreed = kernel::negotiate(config);
        Ok(())
    }

    fn lookup(&self, request: &Request, parent: INodeNo, file: &OsStr, reply: ReplyEntry) {
        let _next = Lingering(&self.linger, After::Step);
        let _span = span("lookup", request, parent);
        match name(file).and_then(|name| self.fs.lookup(ino(parent), &name)) {
            // Inode 0 with a lifetime: the kernel remembers that the name is absent.
            Err(Error::NoEntry) => {
                reply.entry(
                    &names_ttl(parent).min(self.turning.absent_ttl()),
                    &convert::bare_attr(InodeNo(0), Kind::Directory),
                    GENERATION,
                );
            }
            result => entry("lookup", parent, &self.writers, reply, result),
        }
    }

    fn forget(&self, request: &Request, node: INodeNo, count: u64) {
        let _span = span("forget", request, node);
        self.fs.forget(ino(node), count);
    }

    fn getattr(&self, request: &Request, node: INodeNo, handle: Option<FileHandle>, reply: ReplyAttr) {
        let _span = span("getattr", request, node);
        self.tell(node, handle, reply);
    }

    fn setattr(
        &self,
        request: &Request,
        node: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        ctime: Option<SystemTime>,
        _: Option<FileHandle>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let _next = Lingering(&self.linger, After::Step);
        let _span = span("setattr", request, node);
        let now = convert::now();
        let told = mode.is_some() || size.is_some() || atime.is_some() || mtime.is_some();
        let set = SetAttr {
            mode: mode.map(|mode| mode & 0o7777),
            uid,
            gid,
            size,
            atime: atime.map(|given| convert::time_or_now(given, now)),
            mtime: mtime.map(|given| convert::time_or_now(given, now)),
            ctime: ctime.map(convert::time),
            names_nothing: !told && uid.is_none() && gid.is_none(),
        };
        self.set(request, node, set, reply);
    }

    fn readlink(&self, request: &Request, node: INodeNo, reply: ReplyData) {
        let _span = span("readlink", request, node);
        answer(
            "readlink",
            node,
            reply,
            self.fs.readlink(ino(node)),
            |reply, target| reply.data(&target),
        );
    }

    fn mknod(
        &self,
        request: &Request,
        parent: INodeNo,
        file: &OsStr,
        mode: u32,
        umask: u32,
        rdev: u32,
        reply: ReplyEntry,
    ) {
        let _span = span("mknod", request, parent);
        let made = name(file).and_then(|name| {
            let kind = convert::node_kind(mode)?;
            self.fs.mknod(
                ino(parent),
                &name,
                kind,
                mode & 0o7777,
                rdev,
                caller(request, umask),
            )
        });
        entry("mknod", parent, &self.writers, reply, made);
    }

    fn mkdir(
        &self,
        request: &Request,
        parent: INodeNo,
        file: &OsStr,
        mode: u32,
        umask: u32,
        reply: ReplyEntry,
    ) {
        let _next = Lingering(&self.linger, After::Step);
        let _span = span("mkdir", request, parent);
        let caller = caller(request, umask);
        let made = name(file).and_then(|name| self.fs.mkdir(ino(parent), &name, mode & 0o7777, caller));
        entry("mkdir", parent, &self.writers, reply, made);
    }

    fn symlink(&self, request: &Request, parent: INodeNo, file: &OsStr, target: &Path, reply: ReplyEntry) {
        let _next = Lingering(&self.linger, After::Step);
        let _span = span("symlink", request, parent);
        let target = target.as_os_str().as_bytes();
        let made =
            name(file).and_then(|name| self.fs.symlink(ino(parent), &name, target, caller(request, 0)));
        entry("symlink", parent, &self.writers, reply, made);
    }

    fn link(&self, request: &Request, node: INodeNo, parent: INodeNo, file: &OsStr, reply: ReplyEntry) {
        let _span = span("link", request, node);
        let caller = caller(request, 0);
        let made = name(file).and_then(|name| self.fs.link(ino(node), ino(parent), &name, caller));
        entry("link", parent, &self.writers, reply, made);
    }

    fn unlink(&self, request: &Request, parent: INodeNo, file: &OsStr, reply: ReplyEmpty) {
        let _next = Lingering(&self.linger, After::Step);
        let _span = span("unlink", request, parent);
        let gone = name(file).and_then(|name| self.fs.unlink(ino(parent), &name, caller(request, 0)));
        done("unlink", parent, reply, gone);
    }

    fn rmdir(&self, request: &Request, parent: INodeNo, file: &OsStr, reply: ReplyEmpty) {
        let _next = Lingering(&self.linger, After::Step);
        let _span = span("rmdir", request, parent);
        let gone = name(file).and_then(|name| self.fs.rmdir(ino(parent), &name, caller(request, 0)));
        done("rmdir", parent, reply, gone);
    }

    fn rename(
        &self,
        request: &Request,
        parent: INodeNo,
        file: &OsStr,
        new_parent: INodeNo,
        new_file: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let _next = Lingering(&self.linger, After::Step);
        let _span = span("rename", request, parent);
        let moved = || {
            let (from, to, mode) = (name(file)?, name(new_file)?, convert::rename_mode(flags)?);
            self.fs
                .rename(ino(parent), &from, ino(new_parent), &to, mode, caller(request, 0))
        };
        done("rename", parent, reply, moved());
    }

    fn open(&self, request: &Request, node: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let _next = Lingering(&self.linger, After::Step);
        let _span = span("open", request, node);
        if handle(flags.0) == WRITER {
            return self.open_to_write(request, node, flags.0, reply);
        }
        let opened = self.fs.open_file(ino(node), Access::Read);
        answer("open", node, reply, opened, |reply, ()| {
            reply.opened(READER, CACHED)
        });
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        file: &OsStr,
        mode: u32,
        umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let _next = Lingering(&self.linger, After::Step);
        let _span = span("create", request, parent);
        let made = self.create_open(parent, file, mode, caller(request, umask));
        answer("create", parent, reply, made, |reply, attr| {
            let handle = handle(flags);
            if handle == WRITER {
                // Before the answer: the first write may come at once, on another thread.
                self.writers.opened(INodeNo(attr.ino.0));
                self.look_at_room();
            }
            // One lifetime for name and attributes: the kernel asks once more for both.
            let told = told::of(
                &attr,
                self.writers.ttl(INodeNo(attr.ino.0)).filter(|_| handle == WRITER),
            );
            reply.created(&told.ttl, &told.sent, GENERATION, handle, CACHED);
        });
    }

    fn release(
        &self,
        request: &Request,
        node: INodeNo,
        handle: FileHandle,
        _: OpenFlags,
        _: Option<LockOwner>,
        _: bool,
        reply: ReplyEmpty,
    ) {
        let _next = Lingering(&self.linger, After::Step);
        let _span = span("release", request, node);
        if handle == WRITER {
            // The kernel has written its pages back by now, so a fill may begin.
            self.writers.closed(node);
            self.writers.outdates(node);
        }
        self.fs.release(ino(node));
        reply.ok();
    }

    fn read(
        &self,
        request: &Request,
        node: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        flags: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let span = span("read", request, node);
        let len = usize::try_from(size).unwrap_or(usize::MAX);
        // Here if no device is needed: the hop to another thread takes longer than the answer.
        if let Some(bytes) = self.fs.read_now(ino(node), offset, len) {
            let _next = Lingering(&self.linger, After::Read);
            let _span = span;
            return reply.data(&bytes);
        }
        self.read_stored(span, (node, offset, len), flags.0 & libc::O_DIRECT != 0, reply);
    }

    fn write(
        &self,
        request: &Request,
        node: INodeNo,
        _: FileHandle,
        offset: u64,
        bytes: &[u8],
        write_flags: WriteFlags,
        flags: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let _span = span("write", request, node);
        let how = How::new(write_flags, flags.0);
        self.write_bytes(request, node, (offset, bytes), how, reply);
    }

    // The kernel writes dirty pages back before it would ask, and after ENOSYS asks no more.
    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        let _next = Lingering(&self.linger, After::Step);
        reply.error(Errno::ENOSYS);
    }

    fn fsync(&self, request: &Request, node: INodeNo, _: FileHandle, data_only: bool, reply: ReplyEmpty) {
        self.sync(span("fsync", request, node), "fsync", node, data_only, reply);
    }

    fn opendir(&self, request: &Request, node: INodeNo, _: OpenFlags, reply: ReplyOpen) {
        let _next = Lingering(&self.linger, After::Step);
        let _span = span("opendir", request, node);
        if ino(node) == InodeNo::SNAPSHOTS {
            // Not cached: the kernel does not see snapshots come and go.
            return reply.opened(READER, FopenFlags::empty());
        }
        let cached = FopenFlags::FOPEN_CACHE_DIR | FopenFlags::FOPEN_KEEP_CACHE;
        let opened = self.fs.open_file(ino(node), Access::Read);
        answer("opendir", node, reply, opened, |reply, ()| {
            reply.opened(READER, cached)
        });
    }

    fn releasedir(&self, request: &Request, node: INodeNo, _: FileHandle, _: OpenFlags, reply: ReplyEmpty) {
        let _next = Lingering(&self.linger, After::Step);
        let _span = span("releasedir", request, node);
        // The counterpart of `opendir`, which opens nothing there.
        if ino(node) != InodeNo::SNAPSHOTS {
            self.fs.release(ino(node));
        }
        reply.ok();
    }

    fn readdir(&self, request: &Request, node: INodeNo, _: FileHandle, offset: u64, reply: ReplyDirectory) {
        let _span = span("readdir", request, node);
        listing::plain(&*self.fs, node, offset, reply);
    }

    fn readdirplus(
        &self,
        request: &Request,
        node: INodeNo,
        _: FileHandle,
        offset: u64,
        reply: ReplyDirectoryPlus,
    ) {
        let _next = Lingering(&self.linger, After::Step);
        let _span = span("readdirplus", request, node);
        listing::plus(&*self.fs, &self.writers, node, offset, names_ttl(node), reply);
    }

    fn fsyncdir(&self, request: &Request, node: INodeNo, _: FileHandle, data_only: bool, reply: ReplyEmpty) {
        self.sync(
            span("fsyncdir", request, node),
            "fsyncdir",
            node,
            data_only,
            reply,
        );
    }

    fn statfs(&self, request: &Request, node: INodeNo, reply: ReplyStatfs) {
        let _span = span("statfs", request, node);
        answer("statfs", node, reply, self.fs.statfs(), |reply, stat| {
            let unit = u64::from(STATFS_BYTES);
            let (total, free) = (stat.total_bytes / unit, stat.free_bytes / unit);
            let (inodes, inodes_free) = (stat.total_inodes, stat.free_inodes);
            reply.statfs(
                total,
                free,
                free,
                inodes,
                inodes_free,
                STATFS_BYTES,
                255,
                STATFS_BYTES,
            );
        });
    }

    fn setxattr(
        &self,
        request: &Request,
        node: INodeNo,
        attribute: &OsStr,
        value: &[u8],
        flags: i32,
        _: u32,
        reply: ReplyEmpty,
    ) {
        let _span = span("setxattr", request, node);
        let caller = self.changer(request, node);
        let set = convert::xattr_mode(flags).and_then(|mode| {
            self.fs
                .setxattr(ino(node), attribute.as_bytes(), value, mode, caller)
        });
        // Before the answer: the `stat` that follows it must find the note.
        self.restate(node, attribute);
        done("setxattr", node, reply, set);
    }

    fn getxattr(&self, request: &Request, node: INodeNo, attribute: &OsStr, size: u32, reply: ReplyXattr) {
        let _next = Lingering(&self.linger, After::Step);
        let _span = span("getxattr", request, node);
        reply::xattr(
            "getxattr",
            node,
            size,
            reply,
            self.fs.getxattr(ino(node), attribute.as_bytes()),
        );
    }

    fn listxattr(&self, request: &Request, node: INodeNo, size: u32, reply: ReplyXattr) {
        let _span = span("listxattr", request, node);
        let names = self
            .fs
            .listxattr(ino(node))
            .map(|names| convert::xattr_names(&names, request.uid()));
        reply::xattr("listxattr", node, size, reply, names);
    }

    fn removexattr(&self, request: &Request, node: INodeNo, attribute: &OsStr, reply: ReplyEmpty) {
        let _span = span("removexattr", request, node);
        let removed = self
            .fs
            .removexattr(ino(node), attribute.as_bytes(), caller(request, 0));
        self.restate(node, attribute);
        done("removexattr", node, reply, removed);
    }

    // `default_permissions`: the kernel has checked already.
    fn access(&self, _: &Request, _: INodeNo, _: AccessFlags, reply: ReplyEmpty) {
        reply.error(Errno::ENOSYS);
    }

    fn ioctl(
        &self,
        _: &Request,
        _: INodeNo,
        _: FileHandle,
        _: IoctlFlags,
        _: u32,
        _: &[u8],
        _: u32,
        reply: ReplyIoctl,
    ) {
        reply.error(Errno::ENOTTY);
    }

    fn fallocate(
        &self,
        request: &Request,
        node: INodeNo,
        _: FileHandle,
        offset: u64,
        len: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let _span = span("fallocate", request, node);
        let caller = self.changer(request, node);
        // It may wait for a commit: session threads have to take what others write.
        self.blocking(move |fs| {
            let mode = convert::fallocate(mode);
            let changed = mode.and_then(|mode| fs.fallocate(ino(node), mode, offset, len, caller));
            done("fallocate", node, reply, changed);
        });
    }

    // The kernel asks without writing its dirty pages back, and the engine would take them for
    // holes: `cp` of a file that is still being written would lose data. Invalidating the pages
    // writes them; it must not be done on a session thread, which has to take those writes.
    fn lseek(
        &self,
        request: &Request,
        node: INodeNo,
        _: FileHandle,
        offset: i64,
        whence: i32,
        reply: ReplyLseek,
    ) {
        let _span = span("lseek", request, node);
        let fs = Arc::clone(&self.fs);
        let seek = move || {
            let found =
                convert::seek(offset, whence).and_then(|(offset, whence)| fs.seek(ino(node), offset, whence));
            answer("lseek", node, reply, found, |reply, at| {
                reply.offset(i64::try_from(at).unwrap_or(i64::MAX))
            });
        };
        if !self.writers.any(node) {
            return seek();
        }
        let notifier = Arc::clone(&self.notifier);
        self.flusher.run(move || {
            if let Some(Err(error)) = notifier.get().map(|kernel| kernel.inval_inode(node, 0, 0)) {
                tracing::debug!(ino = node.0, %error, "could not flush before a seek");
            }
            seek();
        });
    }

    fn copy_file_range(
        &self,
        request: &Request,
        from: INodeNo,
        _: FileHandle,
        from_offset: u64,
        to: INodeNo,
        _: FileHandle,
        to_offset: u64,
        len: u64,
        _: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        let _span = span("copy_file_range", request, to);
        let caller = self.changer(request, to);
        let len = len.min(COPY_BYTES_MAX);
        self.blocking(move |fs| {
            let copied = fs.copy_range(ino(from), from_offset, ino(to), to_offset, len, caller);
            answer("copy_file_range", to, reply, copied, |reply, copied| {
                reply.written(u32::try_from(copied).unwrap_or(u32::MAX));
            });
        });
    }
}
