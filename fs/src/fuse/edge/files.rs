//! Files: their attributes, opening them to write, writing.
//!
//! ```text
//!   stat of a file that is open for writing --> flusher: the kernel writes its end back, then the answer
//!   asked with a writer's handle, room is short --> flusher: what it wrote is fetched, then the answer, or ENOSPC
//!   open to write, existing file ----------> the kernel shall ask for its blocks anew (told.rs)
//!   write --large, out of the kernel's cache--> streams
//!         --synchronous, round the cache------> pool, with an fsync
//!         --else------------------------------> here
//! ```

use super::{CACHED, Edge, WRITER};
use crate::fuse::{
    convert::{self, ino},
    linger::{After, Lingering},
    reply::{answer, logged},
    rights,
    room::WRITE_BYTES,
    told,
    writers::Writers,
};
use crate::namespace::acl;
use crate::operations::Operations;
use crate::{Access, Attr, Caller, Error, Result, SetAttr, SetIdBits};
use fuser::{FileHandle, INodeNo, Notifier, ReplyAttr, ReplyOpen, ReplyWrite, Request, WriteFlags};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// What the kernel writes back in requests of this size or more is a stream.
const STREAM_BYTES_MIN: usize = 128 << 10;

/// Where a write comes from.
#[derive(Clone, Copy)]
pub(super) struct How {
    /// From the caller itself, and not out of the kernel's cache.
    by_caller: bool,
    /// The kernel says that the caller may keep no set-id bits.
    unprivileged: bool,
    /// It is durable when it is answered. The kernel follows a synchronous write with an fsync
    /// only where it waits for the write itself. It does not for AIO with O_DIRECT.
    synced: bool,
}

impl How {
    pub(super) fn new(write: WriteFlags, open: i32) -> Self {
        Self {
            by_caller: !write.contains(WriteFlags::FUSE_WRITE_CACHE),
            unprivileged: write.contains(WriteFlags::FUSE_WRITE_KILL_SUIDGID),
            synced: open & libc::O_DIRECT != 0 && open & (libc::O_SYNC | libc::O_DSYNC) != 0,
        }
    }
}

impl<O: Operations + ?Sized> Edge<O> {
    /// The process behind a request. It keeps no set-id bits: where there may be some, see
    /// [`Self::changer`].
    fn caller(&self, request: &Request) -> Caller {
        Caller {
            kernel_stamps: self.agreed.writeback,
            ..convert::caller(request, 0)
        }
    }

    /// The same, of a request that changes a file which may have set-id bits.
    pub(super) fn changer(&self, request: &Request, node: INodeNo) -> Caller {
        let file = self.fs.getattr(ino(node));
        Caller {
            set_id: file.map_or(SetIdBits::Drop, |file| rights::of(request, &file)),
            ..self.caller(request)
        }
    }

    /// An attribute was set or removed: one of them has a say in the mode.
    pub(super) fn restate(&self, node: INodeNo, attribute: &OsStr) {
        if attribute.as_bytes() == acl::ACCESS {
            self.writers.restate(node);
        }
    }

    /// `stat`. A writer names its handle and wants to know no blocks; all others do.
    pub(super) fn tell(&self, node: INodeNo, handle: Option<FileHandle>, reply: ReplyAttr) {
        if handle == Some(WRITER) && self.writers.room().is_short() {
            return self.admit_write(node, reply);
        }
        let written = self.writers.ttl(node);
        if handle.is_some() || written.is_none() || self.writers.is_restated(node) {
            let _next = Lingering(&self.linger, After::Step);
            return attributes("getattr", node, written, reply, self.fs.getattr(ino(node)));
        }
        let (fs, notifier) = (Arc::clone(&self.fs), Arc::clone(&self.notifier));
        // Session threads have to take the pages that this has the kernel write back.
        self.flusher.run(move || {
            if let Some(kernel) = notifier.get() {
                told::flush_tail(&*fs, kernel, node);
            }
            attributes("getattr", node, written, reply, fs.getattr(ino(node)));
        });
    }

    /// The kernel asks before a write (or a seek to the end): refused when there is no room. The
    /// answer counts what was written before, so its pages are fetched first; not by a session's
    /// thread, which has to take them.
    fn admit_write(&self, node: INodeNo, reply: ReplyAttr) {
        self.look_at_room();
        let (fs, notifier) = (Arc::clone(&self.fs), Arc::clone(&self.notifier));
        let writers = Arc::clone(&self.writers);
        self.flusher.run(move || {
            // Before the look: room must count all that was written.
            fetch_pages(&notifier, node);
            if fs.room() < WRITE_BYTES && fs.make_room() < WRITE_BYTES {
                return reply.error(logged("write", node, &Error::NoSpace));
            }
            attributes("getattr", node, writers.ttl(node), reply, fs.getattr(ino(node)));
        });
    }

    /// Has the pages of open files fetched, and the kernel ask before each write to them, if room
    /// has become short.
    pub(super) fn look_at_room(&self) {
        for node in self.writers.room().note(self.fs.room()) {
            let notifier = Arc::clone(&self.notifier);
            self.flusher.run(move || fetch_pages(&notifier, node));
        }
    }

    /// fuser does not hand on FATTR_KILL_SUIDGID, so its causes are told apart here.
    pub(super) fn set(&self, request: &Request, node: INodeNo, set: SetAttr, reply: ReplyAttr) {
        let kills = set.uid.is_some() || set.gid.is_some() || set.size.is_some() || set.names_nothing;
        let caller = if kills {
            self.changer(request, node)
        } else {
            self.caller(request)
        };
        let written = self.writers.ttl(node);
        let apply = move |fs: &O| {
            attributes(
                "setattr",
                node,
                written,
                reply,
                fs.setattr(ino(node), set, caller),
            );
        };
        if set.size.is_none() {
            return apply(&self.fs);
        }
        // Announced before the look for fills in `change`, so one side sees the other. The fill of
        // an old page after a cut would bring cut bytes back.
        self.writers.opened(node);
        let writers = Arc::clone(&self.writers);
        self.change(node, move |fs| {
            apply(fs);
            // Behind the cut: a fill that begins now reads the new end.
            writers.closed(node);
        });
    }

    pub(super) fn open_to_write(&self, request: &Request, node: INodeNo, flags: i32, reply: ReplyOpen) {
        let caller = if flags & libc::O_TRUNC != 0 {
            self.changer(request, node)
        } else {
            self.caller(request)
        };
        // Before both looks: a fill that begins later gives up, and a shortage of room that begins
        // later finds this file.
        self.writers.opened(node);
        self.look_at_room();
        let (writers, notifier) = (Arc::clone(&self.writers), Arc::clone(&self.notifier));
        self.change(node, move |fs| {
            let opened = open_counted(fs, node, flags, caller).inspect_err(|_| writers.closed(node));
            // Before the answer: until then the opener holds the kernel's inode, and this waits
            // for nothing.
            if opened.is_ok() {
                forget_blocks(fs, &notifier, &writers, node);
            }
            answer("open", node, reply, opened, |reply, ()| {
                reply.opened(WRITER, CACHED)
            });
        });
    }

    pub(super) fn write_bytes(
        &self,
        request: &Request,
        node: INodeNo,
        (offset, bytes): (u64, &[u8]),
        how: How,
        reply: ReplyWrite,
    ) {
        if self.writers.outdates(node) {
            let notifier = Arc::clone(&self.notifier);
            self.flusher.run(move || forget_attr(&notifier, node));
        }
        if self.writers.room().is_due(bytes.len()) {
            self.look_at_room();
        }
        let caller = if how.unprivileged {
            self.changer(request, node)
        } else {
            Caller {
                set_id: SetIdBits::Keep,
                ..self.caller(request)
            }
        };
        let streams = !how.by_caller && bytes.len() >= STREAM_BYTES_MIN;
        if !how.synced && !streams {
            let _next = Lingering(&self.linger, After::Write);
            let done = self.fs.write(ino(node), offset, bytes, caller, how.by_caller);
            return written(node, bytes.len(), reply, done);
        }
        // The request and its buffer end with this call.
        let bytes = bytes.to_vec();
        let write = move |fs: &O| {
            let mut done = fs.write(ino(node), offset, &bytes, caller, how.by_caller);
            if how.synced {
                // Before the answer, which says that the bytes are durable.
                done = done.and_then(|()| fs.fsync(ino(node), true));
            }
            written(node, bytes.len(), reply, done);
        };
        if streams {
            self.stream(write);
        } else {
            self.blocking(write);
        }
    }
}

fn attributes(
    what: &'static str,
    node: INodeNo,
    written: Option<Duration>,
    reply: ReplyAttr,
    result: Result<Attr>,
) {
    answer(what, node, reply, result, |reply, attr| {
        let told = told::of(&attr, written);
        reply.attr(&told.ttl, &told.sent);
    });
}

fn written(node: INodeNo, len: usize, reply: ReplyWrite, result: Result<()>) {
    answer("write", node, reply, result, |reply, ()| {
        reply.written(u32::try_from(len).unwrap_or(u32::MAX));
    });
}

/// `open` of an announced writer: truncates where asked, and takes the count back if that fails.
fn open_counted<O: Operations + ?Sized>(fs: &O, node: INodeNo, flags: i32, caller: Caller) -> Result<()> {
    fs.open_file(ino(node), Access::Write)?;
    if flags & libc::O_TRUNC == 0 {
        return Ok(());
    }
    let set = SetAttr {
        size: Some(0),
        ..SetAttr::default()
    };
    fs.setattr(ino(node), set, caller)
        .map(drop)
        // No handle comes of it that the kernel would release.
        .inspect_err(|_| fs.release(ino(node)))
}

/// The kernel asks for a file's attributes again.
fn forget_attr(notifier: &OnceLock<Notifier>, node: INodeNo) {
    if let Some(Err(error)) = notifier.get().map(|kernel| kernel.inval_inode(node, -1, 0)) {
        tracing::debug!(ino = node.0, %error, "the kernel keeps old attributes");
    }
}

/// Has the kernel write a file's dirty pages back, drop all of them and forget its attributes. Not
/// for a session thread, which has to take those writes.
fn fetch_pages(notifier: &OnceLock<Notifier>, node: INodeNo) {
    if let Some(Err(error)) = notifier.get().map(|kernel| kernel.inval_inode(node, 0, 0)) {
        tracing::debug!(ino = node.0, %error, "could not fetch a file's pages");
    }
}

/// A file that the kernel has long known is opened for writing: the kernel is to ask for its
/// blocks anew. At once if it knows of none or room is short, else when the first bytes arrive.
/// The opener holds the kernel's inode, so this waits for nothing and may run on a session thread.
fn forget_blocks<O: Operations + ?Sized>(
    fs: &O,
    notifier: &OnceLock<Notifier>,
    writers: &Writers,
    node: INodeNo,
) {
    match fs.getattr(ino(node)) {
        Ok(attr) if attr.blocks == 0 || writers.room().is_short() => forget_attr(notifier, node),
        _ => writers.remembers(node),
    }
}
