//! Where a mount's requests are served, and on which thread.
//!
//! ```text
//!                     .--> answered by the session's thread, which then lingers for the next   (what need not wait)
//!   kernel --request--+--> pool      syncs, cold reads, copies                                 (what waits for a device)
//!                     +--> streams   large writes out of the kernel's cache, which wait for the device
//!                     +--> flusher   what must see the pages the kernel still holds, or wait for a fill
//!                     `--> filler    the rest of a record of which a part was asked for
//! ```
//!
//! [`requests`] unpacks each request; this file has what they share.

mod files;
mod requests;

use super::{
    convert::{ino, name},
    fill::Filler,
    kernel::Agreed,
    linger::{After, Linger, Lingering},
    pace::Pace,
    part::Part,
    pool::Pool,
    refresh::Turning,
    reply::{answer, done},
    told::{self, TTL},
    writers::Writers,
};
use crate::operations::Operations;
use crate::{Access, Attr, Caller, InodeNo, Kind, Result};
use fuser::{
    FileHandle, FopenFlags, Generation, INodeNo, Notifier, OpenAccMode, OpenFlags, ReplyData, ReplyEmpty,
    ReplyEntry,
};
use std::{
    ffi::OsStr,
    io,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};
use tracing::{Span, span::EnteredSpan};

/// Handles carry no state but this: inode numbers are never reused, and every request names its
/// inode.
const READER: FileHandle = FileHandle(0);
const WRITER: FileHandle = FileHandle(1);
/// Flags of every open file. FOPEN_DIRECT_IO with O_DIRECT would have writes move no times; the
/// kernel bypasses its cache without it too.
const CACHED: FopenFlags = FopenFlags::FOPEN_KEEP_CACHE;
/// Inode numbers are never used twice, so one generation does.
const GENERATION: Generation = Generation(0);

/// Serves one mount.
pub(super) struct Edge<O: ?Sized> {
    fs: Arc<O>,
    pool: Pool,
    /// As many threads as take requests: more would seal at the cost of the writers.
    streams: Pool,
    /// A thread of its own: it waits for pages that cold reads have locked, and those must not
    /// queue behind it.
    flusher: Pool,
    notifier: Arc<OnceLock<Notifier>>,
    writers: Arc<Writers>,
    filler: Arc<Filler>,
    turning: Turning,
    agreed: Agreed,
    linger: Arc<Linger>,
    syncs: Pace,
    /// Reads of parts of records.
    part_reads: Pace,
}

impl<O: Operations + ?Sized> Edge<O> {
    pub(super) fn new(fs: Arc<O>, threads: usize, threads_blocking: usize) -> io::Result<Self> {
        let notifier = Arc::default();
        let writers = Arc::new(Writers::new());
        Ok(Self {
            fs,
            pool: Pool::start("cairn-wait", threads_blocking)?,
            streams: Pool::start("cairn-stream", threads)?,
            flusher: Pool::start("cairn-flush", 1)?,
            filler: Arc::new(Filler::start(Arc::clone(&notifier), Arc::clone(&writers))?),
            notifier,
            writers,
            turning: Turning::default(),
            agreed: Agreed::default(),
            linger: Arc::default(),
            syncs: Pace::default(),
            part_reads: Pace::default(),
        })
    }

    /// Filled once the session has a notifier.
    pub(super) fn notifier(&self) -> Arc<OnceLock<Notifier>> {
        Arc::clone(&self.notifier)
    }

    /// Files open for writing. Their margin of room is known once the kernel has its dirty limit.
    pub(super) fn writers(&self) -> Arc<Writers> {
        Arc::clone(&self.writers)
    }

    /// Whether the whole tree is about to be another.
    pub(super) fn turning(&self) -> Turning {
        self.turning.clone()
    }

    /// Polls for the next request, once it has the connection.
    pub(super) fn linger(&self) -> Arc<Linger> {
        Arc::clone(&self.linger)
    }

    /// Writes of a stream wait for the device, dozens at a time; making a file meanwhile must not.
    fn stream(&self, job: impl FnOnce(&O) + Send + 'static) {
        let fs = Arc::clone(&self.fs);
        self.streams.run(move || job(&fs));
    }

    fn blocking(&self, job: impl FnOnce(&O) + Send + 'static) {
        let fs = Arc::clone(&self.fs);
        self.pool.run(move || job(&fs));
    }

    /// A sync that takes as long as the hop to another thread is answered here; see [`Pool`]. Not
    /// while other requests wait, which may be syncs and share one; nor while syncs are slow, when
    /// others may come.
    fn sync(&self, span: EnteredSpan, what: &'static str, node: INodeNo, data_only: bool, reply: ReplyEmpty) {
        if self.fs.fsync_is_short(ino(node)) {
            let _next = Lingering(&self.linger, After::Sync);
            // Ends before the wait for the next request.
            let _span = span;
            let (begun, pace) = (Instant::now(), self.syncs.clone());
            let wanted = !pace.is_quick() || self.linger.is_asked();
            // Kept until the answer, which may come from the log's thread.
            let span = Span::current();
            let answer = move |synced| {
                pace.done_since(begun);
                span.in_scope(|| done(what, node, reply, synced));
            };
            self.fs.fsync_then(ino(node), data_only, wanted, Box::new(answer));
        } else {
            self.blocking(move |fs| done(what, node, reply, fs.fsync(ino(node), data_only)));
        }
    }

    /// A read of which not all is in memory. A lone read of a part of a record is answered here:
    /// the device takes as long as the hop to another thread.
    fn read_stored(
        &self,
        span: EnteredSpan,
        (node, offset, len): (INodeNo, u64, usize),
        direct: bool,
        reply: ReplyData,
    ) {
        let unit = self.fs.read_unit();
        let size = || self.fs.getattr(ino(node)).map_or(0, |attr| attr.size);
        let size = if len < unit { size() } else { 0 };
        let small = (len as u64) < size;
        let part = Part {
            node,
            offset,
            len,
            fills: small && !direct && self.filler.will_fill(node, size, unit, offset, len),
        };
        let here = small && self.part_reads.is_quick() && !self.linger.is_asked();
        if here && let Some(bytes) = part.read(&*self.fs, &self.part_reads) {
            let _next = Lingering(&self.linger, After::Read);
            let _span = span;
            // The answer first: the fill waits for the pages that this read has locked.
            reply.data(&bytes);
            return part.fill(&self.fs, &self.filler);
        }
        let (fs, filler) = (Arc::clone(&self.fs), Arc::clone(&self.filler));
        let pace = self.part_reads.clone();
        self.pool.run(move || {
            if small
                && !here
                && let Some(bytes) = part.read(&*fs, &pace)
            {
                reply.data(&bytes);
                return part.fill(&fs, &filler);
            }
            let bytes = fs.read(ino(node), offset, len);
            answer("read", node, reply, bytes, |reply, bytes| reply.data(&bytes));
            part.fill(&fs, &filler);
        });
    }

    /// Runs `change` for an announced writer: on another thread if it must wait for a fill.
    fn change(&self, node: INodeNo, change: impl FnOnce(&O) + Send + 'static) {
        // The writer was announced before: a fill that begins later sees it and gives up.
        if !self.writers.filling(node) {
            return change(&self.fs);
        }
        let (fs, writers) = (Arc::clone(&self.fs), Arc::clone(&self.writers));
        self.flusher.run(move || {
            writers.wait_for_fills(node);
            change(&fs);
        });
    }

    fn create_open(&self, parent: INodeNo, file: &OsStr, mode: u32, caller: Caller) -> Result<Attr> {
        let attr = self
            .fs
            .mknod(ino(parent), &name(file)?, Kind::File, mode & 0o7777, 0, caller)?;
        self.fs
            .open_file(attr.ino, Access::Write)
            // The kernel hears of no inode, so the reference that `mknod` counted goes back.
            .inspect_err(|_| self.fs.forget(attr.ino, 1))?;
        Ok(attr)
    }
}

fn handle(flags: i32) -> FileHandle {
    let reads = OpenFlags(flags).acc_mode() == OpenAccMode::O_RDONLY && flags & libc::O_TRUNC == 0;
    if reads { READER } else { WRITER }
}

/// How long names in a directory may be kept.
fn names_ttl(parent: INodeNo) -> Duration {
    if ino(parent) == InodeNo::SNAPSHOTS {
        Duration::ZERO
    } else {
        TTL
    }
}

/// Answers a request that made or found a name.
fn entry(what: &'static str, parent: INodeNo, writers: &Writers, reply: ReplyEntry, result: Result<Attr>) {
    answer(what, parent, reply, result, |reply, attr| {
        let told = told::of_found(&attr, writers);
        reply.entry_with_ttls(&told.ttl, &names_ttl(parent), &told.sent, GENERATION);
    });
}
