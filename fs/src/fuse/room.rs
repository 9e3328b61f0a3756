//! When room is short, `write` itself says so.
//!
//! ```text
//!   room >= margin   pages wait in the kernel, and there is room for all that may wait there
//!   room <  margin   the pages of open files are fetched, and the kernel forgets their attributes: it asks for them, with
//!                    the file's handle, before each write. Fetch what was written; room for one more? the answer, or ENOSPC
//! ```
//!
//! The kernel takes a write into its page cache without asking whether there is room. It tells of
//! a failure at the next fsync or at the close, and few programs look at these. Until the margin
//! is reached that does no harm: it is as large as what the kernel may hold of this mount.
//!
//! Open files that bypass the page cache (FOPEN_DIRECT_IO) would have it simpler, but the kernel
//! then moves no times.
//!
//! **Invariant:** a file is noted among those being written before the look whether room is short.
//! Room is noted to be short before the look which files those are. So at least one of the two
//! sides sees the other.

use fuser::INodeNo;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

/// The least margin that is chosen where none is given.
pub(super) const MARGIN_MIN: u64 = 64 << 20;
/// Room that a write must find, whose length the kernel does not tell: 1 MiB, and the nodes above
/// it.
pub(super) const WRITE_BYTES: u64 = (1 << 20) + (1 << 16);
/// Bytes that arrive between two looks at the room.
const LOOK_BYTES: u64 = 1 << 20;

/// Whether room is short, and which files are open for writing.
pub(super) struct Room {
    margin: AtomicU64,
    short: AtomicBool,
    /// Bytes that arrived since the last look.
    arrived: AtomicU64,
    /// By inode, how often it is open for writing.
    written: Mutex<FxHashMap<INodeNo, u32>>,
}

impl Room {
    pub(super) fn new() -> Self {
        Self {
            margin: AtomicU64::new(MARGIN_MIN),
            short: AtomicBool::new(false),
            arrived: AtomicU64::new(0),
            written: Mutex::default(),
        }
    }

    pub(super) fn set_margin(&self, bytes: u64) {
        self.margin.store(bytes, SeqCst);
    }

    /// Notes how much room there is. Answers the files that are open for writing, if it has just
    /// become short.
    pub(super) fn note(&self, room: u64) -> Vec<INodeNo> {
        let short = room < self.margin.load(SeqCst);
        // Noted before the files are listed: one that is opened meanwhile is listed, or sees it.
        // Only the first look that finds room short lists them.
        if self.short.swap(short, SeqCst) || !short {
            return Vec::new();
        }
        tracing::info!(
            room,
            "room is short: the kernel asks before each write from now on"
        );
        self.written.lock().keys().copied().collect()
    }

    pub(super) fn is_short(&self) -> bool {
        self.short.load(SeqCst)
    }

    /// Whether it is time to look after `len` more bytes.
    pub(super) fn is_due(&self, len: usize) -> bool {
        let due = self.arrived.fetch_add(len as u64, SeqCst) >= LOOK_BYTES;
        if due {
            // Bytes that arrive in between are not counted: the next look comes a little later.
            self.arrived.store(0, SeqCst);
        }
        due
    }

    /// A file is opened for writing.
    pub(super) fn opened(&self, node: INodeNo) {
        *self.written.lock().entry(node).or_default() += 1;
    }

    /// The counterpart of [`Self::opened`].
    pub(super) fn closed(&self, node: INodeNo) {
        let mut written = self.written.lock();
        if let Some(count) = written.get_mut(&node) {
            *count -= 1;
            if *count == 0 {
                written.remove(&node);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: INodeNo = INodeNo(16);

    #[test]
    fn files_that_are_open_are_named_once_when_room_becomes_short() {
        let room = Room::new();
        room.opened(FILE);
        room.opened(FILE);
        assert!(room.note(MARGIN_MIN).is_empty() && !room.is_short());
        assert_eq!(room.note(MARGIN_MIN - 1), [FILE]);
        assert!(room.note(0).is_empty() && room.is_short(), "told twice");
        room.closed(FILE);
        assert!(room.note(MARGIN_MIN).is_empty() && !room.is_short());
        assert_eq!(room.note(0), [FILE], "it is open once more");
        room.closed(FILE);
        assert!(room.note(MARGIN_MIN).is_empty() && room.note(0).is_empty());
    }

    #[test]
    fn a_look_is_due_once_a_mebibyte() {
        let room = Room::new();
        let looks = (0..1024).filter(|_| room.is_due(128 << 10)).count();
        assert!((100..=128).contains(&looks), "{looks} looks at 128 MiB");
    }
}
