//! Remembers whether bulk data was written that no flush has covered yet.
//!
//! ```text
//!   put:   write to RocksDB ----> wrote()                  count goes up only after the data is in a memtable
//!   sync:  pending() ----> flush ----> flushed(pending)    count is read before the flush begins
//! ```
//!
//! **Invariant:** a put that returned before a sync began is counted in that sync's `pending`, and a count is marked
//! flushed only by a flush that began after it. Counting before the write would break the second half: a flush could
//! pass between, and the next sync would find nothing to do.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

#[derive(Default)]
pub(crate) struct Unsynced {
    wrote: AtomicU64,
    flushed: AtomicU64,
}

impl Unsynced {
    /// Bulk data was written; called after the write and before the put returns.
    pub(crate) fn wrote(&self) {
        self.wrote.fetch_add(1, SeqCst);
    }

    /// What a flush that begins now will cover, or `None` when there is nothing to flush.
    pub(crate) fn pending(&self) -> Option<u64> {
        let wrote = self.wrote.load(SeqCst);
        (wrote > self.flushed.load(SeqCst)).then_some(wrote)
    }

    /// A flush that began after `pending` was read has ended well.
    pub(crate) fn flushed(&self, pending: u64) {
        self.flushed.fetch_max(pending, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_put_during_a_flush_is_left_to_the_next() {
        let unsynced = Unsynced::default();
        assert_eq!(unsynced.pending(), None);
        unsynced.wrote();
        let pending = unsynced.pending().unwrap();
        unsynced.wrote();
        unsynced.flushed(pending);
        assert_eq!(unsynced.pending(), Some(2));
        unsynced.flushed(2);
        assert_eq!(unsynced.pending(), None);
    }
}
