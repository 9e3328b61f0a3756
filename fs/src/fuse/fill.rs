//! Puts the rest of a record into the kernel's page cache after a small read of it.
//!
//! ```text
//!   READ 4 KiB, not in memory --> fetch and open a part of the record, or all of it, answer
//!                                   `--> fill thread: the whole record --FUSE_NOTIFY_STORE--> page cache
//! ```
//!
//! Whoever reads pages of a record in no order would pay for each page a trip to the daemon and more; this way he pays once,
//! and does not wait for the rest. Of a file that the page cache cannot hold he would lose it before he comes back:
//! there the page that is asked for is read alone ([`Operations::read_part`]).
//!
//! Threads of their own do it, behind a short queue: they wait for the device, and for pages that reads under way have
//! locked, and no answer to those reads may ever queue behind that. What does not fit the queue is not filled, which
//! costs time only.

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

/// Threads that fill, at most. One alone waits for the device half its time: with two a file is in memory twice as soon.
const THREADS_MAX: usize = 4;
/// Fills that may wait for each of them. Longer queues hold what was asked for too long ago: measured, they help less.
const QUEUE_MAX: usize = 8;

/// Divisor of the machine's memory: files up to this size are thought to fit the page cache.
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

    /// Whether the record around `offset` of a file of `size` bytes is filled after a read of `len` bytes, unless too many
    /// wait: nobody writes to the file, the page cache may still hold it when somebody comes back, and there is more of it
    /// than the read brings.
    pub(super) fn will_fill(&self, node: INodeNo, size: u64, unit: usize, offset: u64, len: usize) -> bool {
        let start = offset - offset % unit as u64;
        let has_more = offset > start || offset + (len as u64) < size.min(start + unit as u64);
        has_more && size <= self.file_bytes_max && !self.writers.any(node)
    }

    /// Fills the record around `offset`, unless the file is open for writing or too many fills wait already.
    pub(super) fn fill<O: Operations + ?Sized>(&self, fs: &Arc<O>, node: INodeNo, offset: u64) {
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
            queued.fetch_sub(1, Relaxed);
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
