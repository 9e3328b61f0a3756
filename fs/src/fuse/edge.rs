//! Where a mount's requests are served, and on which thread.
//!
//! ```text
//!                     .--> answered by the session's thread, which then lingers for the next   (what need not wait)
//!   kernel --request--+--> pool      syncs, cold reads, copies                                 (what waits for a device)
//!                     +--> flusher   what must see the pages the kernel still holds, or wait for a fill
//!                     `--> filler    the rest of a record of which a part was asked for
//! ```
//!
//! What each request says stands in [`requests`]; here is what they have in common.

mod requests;

use super::{
    convert::{self, ino, name},
    fill::Filler,
    kernel::Agreed,
    linger::{After, Linger, Lingering},
    ops::Operations,
    pace::Pace,
    part::Part,
    pool::Pool,
    reply::{answer, done},
    writers::Writers,
};
use crate::{Access, Attr, Caller, InodeNo, Kind, Result, SetAttr};
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

/// How long the kernel may keep what it was told: nobody else changes it.
const TTL: Duration = Duration::from_secs(24 * 60 * 60);
/// Handles carry no state but this: inode numbers are never reused, and every request names its inode.
const READER: FileHandle = FileHandle(0);
const WRITER: FileHandle = FileHandle(1);
/// Inode numbers are never used twice, so one generation does.
const GENERATION: Generation = Generation(0);

/// Serves one mount.
pub(super) struct Edge<O: ?Sized> {
    fs: Arc<O>,
    pool: Pool,
    /// A thread of its own: it waits for pages that cold reads have locked, and those must not queue behind it.
    flusher: Pool,
    notifier: Arc<OnceLock<Notifier>>,
    writers: Arc<Writers>,
    filler: Arc<Filler>,
    agreed: Agreed,
    linger: Arc<Linger>,
    syncs: Pace,
    /// Reads of parts of records.
    part_reads: Pace,
}

impl<O: Operations + ?Sized> Edge<O> {
    pub(super) fn new(fs: Arc<O>, threads: usize) -> io::Result<Self> {
        let notifier = Arc::default();
        let writers = Arc::new(Writers::new());
        Ok(Self {
            fs,
            pool: Pool::start("cairn-wait", threads)?,
            flusher: Pool::start("cairn-flush", 1)?,
            filler: Arc::new(Filler::start(Arc::clone(&notifier), Arc::clone(&writers))?),
            notifier,
            writers,
            agreed: Agreed::default(),
            linger: Arc::default(),
            syncs: Pace::default(),
            part_reads: Pace::default(),
        })
    }

    /// Where the way back to the kernel goes once the session has one.
    pub(super) fn notifier(&self) -> Arc<OnceLock<Notifier>> {
        Arc::clone(&self.notifier)
    }

    /// What looks for the next request, once it knows where.
    pub(super) fn linger(&self) -> Arc<Linger> {
        Arc::clone(&self.linger)
    }

    fn blocking(&self, job: impl FnOnce(&O) + Send + 'static) {
        let fs = Arc::clone(&self.fs);
        self.pool.run(move || job(&fs));
    }

    /// A sync that takes as long as the hop to another thread is answered here; see [`Pool`]. But not while others ask,
    /// who may want a sync too and share one, nor when syncs have been taking long, for others may come.
    fn sync(&self, what: &'static str, node: INodeNo, data_only: bool, reply: ReplyEmpty) {
        if self.fs.fsync_is_short(ino(node)) {
            let _next = Lingering(&self.linger, After::Sync);
            let (begun, pace) = (Instant::now(), self.syncs.clone());
            let wanted = !pace.is_quick() || self.linger.is_asked();
            let answer = move |synced| {
                pace.done_since(begun);
                done(what, node, reply, synced);
            };
            self.fs.fsync_then(ino(node), data_only, wanted, Box::new(answer));
        } else {
            self.blocking(move |fs| done(what, node, reply, fs.fsync(ino(node), data_only)));
        }
    }

    /// A read of which not all is in memory. One who reads a part of a record alone waits for the device or for a hop to
    /// another thread, which takes as long: as a sync does.
    fn read_stored(&self, node: INodeNo, offset: u64, len: usize, direct: bool, reply: ReplyData) {
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

    /// Flags of an open file. O_DIRECT bypasses the page cache, and its writes may then run side by side.
    fn open_flags(&self, flags: i32) -> FopenFlags {
        if flags & libc::O_DIRECT != 0 && self.agreed.direct_io {
            FopenFlags::FOPEN_DIRECT_IO | FopenFlags::FOPEN_PARALLEL_DIRECT_WRITES
        } else {
            FopenFlags::FOPEN_KEEP_CACHE
        }
    }

    /// Runs `change` as one that an announced writer makes: on another thread if it has to wait for a fill.
    fn change(&self, node: INodeNo, change: impl FnOnce(&O) + Send + 'static) {
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
            .inspect_err(|_| self.fs.forget(attr.ino, 1))?;
        Ok(attr)
    }
}

fn handle(flags: i32) -> FileHandle {
    let reads = OpenFlags(flags).acc_mode() == OpenAccMode::O_RDONLY && flags & libc::O_TRUNC == 0;
    if reads { READER } else { WRITER }
}

/// `open` of a writer who is announced: truncates where asked, and takes the count back if that fails.
fn open_counted<O: Operations + ?Sized>(fs: &O, ino: InodeNo, flags: i32, caller: Caller) -> Result<()> {
    fs.open_file(ino, Access::Write)?;
    if flags & libc::O_TRUNC == 0 {
        return Ok(());
    }
    let set = SetAttr {
        size: Some(0),
        kill_suid_sgid: caller.uid != 0,
        ..SetAttr::default()
    };
    fs.setattr(ino, set, caller)
        .map(drop)
        .inspect_err(|_| fs.release(ino))
}

/// How long names in a directory may be kept.
fn names_ttl(parent: INodeNo) -> Duration {
    if ino(parent) == InodeNo::SNAPSHOTS {
        Duration::ZERO
    } else {
        TTL
    }
}

fn attr_ttl(of: InodeNo) -> Duration {
    if of == InodeNo::SNAPSHOTS {
        Duration::ZERO
    } else {
        TTL
    }
}

/// Answers a request that made or found a name.
fn entry(what: &'static str, parent: INodeNo, reply: ReplyEntry, result: Result<Attr>) {
    answer(what, parent, reply, result, |reply, attr| {
        let sent = convert::file_attr(&attr);
        reply.entry_with_ttls(&attr_ttl(attr.ino), &names_ttl(parent), &sent, GENERATION);
    });
}
