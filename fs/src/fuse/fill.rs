//! Puts the rest of a record into the kernel's page cache after a small read has paid for opening all of it.
//!
//! ```text
//!   READ 4 KiB, not in memory --> pool: fetch and open the record, answer
//!                                   `--> fill thread: the whole record --FUSE_NOTIFY_STORE--> page cache
//! ```
//!
//! A record is verified and opened as a whole. Whoever reads pages of it in no order would pay that price for each
//! page, or at least a trip to the daemon; this way he pays it once.
//!
//! One thread does it, behind a short queue: it waits for pages that reads under way have locked, and no answer to
//! those reads may ever queue behind it. What does not fit the queue is not filled, which costs time only.

use super::{ops::Operations, pool::Pool, writers::Writers};
use crate::InodeNo;
use fuser::{INodeNo, Notifier};
use std::{
    io,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

/// Fills that may wait.
const QUEUE_MAX: usize = 4;

/// The thread that fills, and its queue.
pub(super) struct Filler {
    pool: Pool,
    queued: Arc<AtomicUsize>,
    notifier: Arc<OnceLock<Notifier>>,
    writers: Arc<Writers>,
}

impl Filler {
    pub(super) fn start(notifier: Arc<OnceLock<Notifier>>, writers: Arc<Writers>) -> io::Result<Self> {
        Ok(Self {
            pool: Pool::start("cairn-fill", 1)?,
            queued: Arc::default(),
            notifier,
            writers,
        })
    }

    /// Whether the record around `offset` holds more of the file than a read of `len` bytes brings.
    pub(super) fn has_more<O: Operations + ?Sized>(
        &self,
        fs: &O,
        node: INodeNo,
        offset: u64,
        len: usize,
    ) -> bool {
        let unit = fs.read_unit() as u64;
        let start = offset - offset % unit;
        let end = fs
            .getattr(InodeNo(node.0))
            .map_or(0, |attr| attr.size.min(start + unit));
        offset > start || offset + (len as u64) < end
    }

    /// Fills the record around `offset`, unless somebody writes to the file or too many fills wait already.
    pub(super) fn fill<O: Operations + ?Sized>(&self, fs: &Arc<O>, node: INodeNo, offset: u64) {
        if self.writers.any(node) {
            return;
        }
        if self.queued.fetch_add(1, Relaxed) >= QUEUE_MAX {
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
