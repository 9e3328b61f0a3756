//! Page-cache prefill: puts the rest of a record into the kernel's page cache after a small read.
//!
//! ```text
//!   READ 4 KiB, not in memory --> fetch and open a part of the record, or all of it, answer
//!                                   `--> fill thread: the whole record --FUSE_NOTIFY_STORE--> page cache
//! ```
//!
//! A program that reads pages of a record in random order would pay a trip to the daemon for each
//! page. With prefill it pays once, and does not wait for the rest. A file that the page cache
//! cannot hold would lose the pages before they are read. There the page asked for is read alone
//! ([`Operations::read_part`]).
//!
//! Threads of their own do it, behind a short queue. They wait for the device, and for pages that
//! reads under way have locked. No answer to those reads may queue behind that. A fill that does
//! not fit the queue is dropped, which costs time only.

use super::{pool::Pool, writers::Writers};
use crate::InodeNo;
use crate::operations::Operations;
use fuser::{INodeNo, Notifier};
use std::{
    io,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

/// Threads that fill, at most. One waits for the device half its time: two fill a file twice as
/// fast.
const THREADS_MAX: usize = 4;
/// Fills that may wait for each of them. Longer queues hold stale requests: measured, they help
/// less.
const QUEUE_MAX: usize = 8;

/// Divisor of the machine's memory: files up to this size are taken to fit the page cache.
const MEMORY_SHARE: u64 = 4;

/// Bytes of memory the machine has.
fn memory_bytes() -> u64 {
    let system = rustix::system::sysinfo();
    (system.totalram as u64).saturating_mul(system.mem_unit.into())
}

/// The threads that fill, and their queue.
pub(super) struct Filler {
    pool: Pool,
    queued: Arc<AtomicUsize>,
    queue_max: usize,
    /// Larger files are not filled.
    file_bytes_max: u64,
    notifier: Arc<OnceLock<Notifier>>,
    writers: Arc<Writers>,
}

impl Filler {
    pub(super) fn start(notifier: Arc<OnceLock<Notifier>>, writers: Arc<Writers>) -> io::Result<Self> {
        let threads = thread::available_parallelism()
            .map_or(1, usize::from)
            .min(THREADS_MAX);
        Ok(Self {
            pool: Pool::start("cairn-fill", threads)?,
            queued: Arc::default(),
            queue_max: threads * QUEUE_MAX,
            file_bytes_max: memory_bytes() / MEMORY_SHARE,
            notifier,
            writers,
        })
    }

    /// Whether the record around `offset` is filled after a read of `len` bytes, unless too many
    /// fills wait. The file (`size` bytes) must have no writer and fit the page cache, and the
    /// record must hold more than the read brings.
    pub(super) fn will_fill(&self, node: INodeNo, size: u64, unit: usize, offset: u64, len: usize) -> bool {
        let start = offset - offset % unit as u64;
        let has_more = offset > start || offset + (len as u64) < size.min(start + unit as u64);
        has_more && size <= self.file_bytes_max && !self.writers.any(node)
    }

    /// Fills the record around `offset`, unless the file is open for writing or too many fills
    /// wait already.
    pub(super) fn fill<O: Operations + ?Sized>(&self, fs: &Arc<O>, node: INodeNo, offset: u64) {
        // A look that saves the hop. The one that counts is `begin`, on the other thread.
        if self.writers.any(node) {
            return;
        }
        if self.queued.fetch_add(1, Relaxed) >= self.queue_max {
            self.queued.fetch_sub(1, Relaxed);
            return;
        }
        let (fs, queued) = (Arc::clone(fs), Arc::clone(&self.queued));
        let (notifier, writers) = (Arc::clone(&self.notifier), Arc::clone(&self.writers));
        self.pool.run(move || {
            // The limit is on fills that wait, and this one begins.
            queued.fetch_sub(1, Relaxed);
            // Held to the end: a writer that comes meanwhile waits until the pages are stored.
            // Else old bytes could cover its own.
            let (Some(_filling), Some(kernel)) = (writers.begin(node), notifier.get()) else {
                return;
            };
            let unit = fs.read_unit();
            let start = offset - offset % unit as u64;
            let Ok(bytes) = fs.read(InodeNo(node.0), start, unit) else {
                return;
            };
            if let Err(error) = kernel.store(node, start, &bytes) {
                tracing::debug!(ino = node.0, %error, "the kernel took no pages");
            }
        });
    }
}
