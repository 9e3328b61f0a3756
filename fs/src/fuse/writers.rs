//! What may change a file's pages in the kernel: handles that are open for writing, or a fill that
//! the daemon began.
//!
//! ```text
//!   open for writing, truncate --> opened() --> wait until no fill is under way --> go on ... closed()
//!   fill (fill.rs)             --> begin()  --> refused while a handle writes; else read, store, drop
//! ```
//!
//! A file that is not open for writing has no dirty pages: `close` and `munmap` write them back
//! before the kernel releases the handle. So a fill that excludes writers can overwrite nothing
//! that is newer than what it read.
//!
//! **Invariant:** both sides first announce themselves and then look for the other (sequentially
//! consistent), so at least one of them sees the other. Session threads never wait here:
//! [`Writers::filling`] tells them to hand the request to a thread that may.

use super::room::Room;
use fuser::INodeNo;
use parking_lot::{Condvar, Mutex};
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::SeqCst};
use std::time::{Duration, Instant};

/// While it is written: the kernel asks before each `write` when it is over.
pub(super) const WRITTEN_TTL: Duration = Duration::from_millis(10);

/// So long the kernel has to learn a mode that an access list changed.
const RESTATED: Duration = Duration::from_secs(1);

const SLOTS: usize = 1024;

#[derive(Default)]
struct Slot {
    writers: AtomicU32,
    fills: AtomicU32,
}

/// Counts both by inode number modulo 1024. Two files that share a slot cost a needless flush or
/// wait and never a missed one; in return there is no growth.
pub(super) struct Writers {
    slots: Box<[Slot]>,
    /// Files opened for writing of which the kernel has kept attributes since before.
    remembered: Mutex<FxHashSet<INodeNo>>,
    /// Inodes whose mode changed with an access list, and when.
    restated: Mutex<FxHashMap<INodeNo, Instant>>,
    room: Room,
    lock: Mutex<()>,
    filled: Condvar,
}

/// A fill under way; ends when it is dropped.
pub(super) struct Filling {
    writers: Arc<Writers>,
    ino: INodeNo,
}

impl Writers {
    pub(super) fn new() -> Self {
        Self {
            slots: (0..SLOTS).map(|_| Slot::default()).collect(),
            remembered: Mutex::default(),
            restated: Mutex::default(),
            room: Room::new(),
            lock: Mutex::default(),
            filled: Condvar::default(),
        }
    }

    pub(super) fn opened(&self, ino: INodeNo) {
        self.slot(ino).writers.fetch_add(1, SeqCst);
        self.room.opened(ino);
    }

    /// The kernel keeps attributes of a file that was just opened for writing.
    pub(super) fn remembers(&self, ino: INodeNo) {
        self.remembered.lock().insert(ino);
    }

    /// Whether it still does when the first write arrives: once.
    pub(super) fn outdates(&self, ino: INodeNo) -> bool {
        self.remembered.lock().remove(&ino)
    }

    /// An access list changed the mode: the kernel asks for it, since the answer to that call
    /// carries no attributes.
    pub(super) fn restate(&self, ino: INodeNo) {
        let mut restated = self.restated.lock();
        restated.retain(|_, since| since.elapsed() < RESTATED);
        restated.insert(ino, Instant::now());
    }

    /// Whether that was a moment ago. The kernel drops an answer that overtakes a flush of the
    /// file, and would go on with the mode of before: it is answered without a flush now.
    pub(super) fn is_restated(&self, ino: INodeNo) -> bool {
        let restated = self.restated.lock();
        restated.get(&ino).is_some_and(|since| since.elapsed() < RESTATED)
    }

    pub(super) fn closed(&self, ino: INodeNo) {
        self.slot(ino).writers.fetch_sub(1, SeqCst);
        self.room.closed(ino);
    }

    /// Room for what they write.
    pub(super) fn room(&self) -> &Room {
        &self.room
    }

    /// How long the kernel may keep attributes of a file that is open for writing: where room is
    /// short, it asks before each write.
    pub(super) fn ttl(&self, ino: INodeNo) -> Option<Duration> {
        let ttl = if self.room.is_short() {
            Duration::ZERO
        } else {
            WRITTEN_TTL
        };
        self.any(ino).then_some(ttl)
    }

    pub(super) fn any(&self, ino: INodeNo) -> bool {
        self.slot(ino).writers.load(SeqCst) > 0
    }

    /// Whether a writer that has announced itself must wait.
    pub(super) fn filling(&self, ino: INodeNo) -> bool {
        self.slot(ino).fills.load(SeqCst) > 0
    }

    /// Waits until no fill is under way; none begins while a writer is announced.
    pub(super) fn wait_for_fills(&self, ino: INodeNo) {
        let mut lock = self.lock.lock();
        while self.filling(ino) {
            self.filled.wait(&mut lock);
        }
    }

    /// Begins a fill, unless the file is open for writing.
    pub(super) fn begin(self: &Arc<Self>, ino: INodeNo) -> Option<Filling> {
        // Announced before the look. If a writer is there, the drop of `filling` takes it back.
        self.slot(ino).fills.fetch_add(1, SeqCst);
        let filling = Filling {
            writers: Arc::clone(self),
            ino,
        };
        (!self.any(ino)).then_some(filling)
    }

    fn slot(&self, ino: INodeNo) -> &Slot {
        let slot = usize::try_from(ino.0 % SLOTS as u64).unwrap_or(0);
        &self.slots[slot]
    }
}

impl Drop for Filling {
    fn drop(&mut self) {
        // So that no waiter misses the end between its look and its wait.
        let _lock = self.writers.lock.lock();
        self.writers.slot(self.ino).fills.fetch_sub(1, SeqCst);
        self.writers.filled.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicBool;

    #[test]
    fn a_file_has_writers_until_the_last_one_closes() {
        let writers = Writers::new();
        let ino = INodeNo(u64::MAX);
        writers.opened(ino);
        writers.opened(ino);
        writers.closed(ino);
        assert!(writers.any(ino));
        writers.closed(ino);
        assert!(!writers.any(ino));
    }

    #[test]
    fn nobody_fills_while_somebody_writes() {
        let writers = Arc::new(Writers::new());
        writers.opened(INodeNo(1));
        assert!(writers.begin(INodeNo(1)).is_none());
        assert!(!writers.filling(INodeNo(1)), "a refused fill is none");
        assert!(writers.begin(INodeNo(2)).is_some());
        writers.closed(INodeNo(1));
        assert!(writers.begin(INodeNo(1)).is_some());
    }

    #[test]
    fn a_writer_waits_for_the_fill_that_began_before() {
        let writers = Arc::new(Writers::new());
        let done = AtomicBool::new(false);
        let filling = writers.begin(INodeNo(1)).unwrap();
        writers.opened(INodeNo(1));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                writers.wait_for_fills(INodeNo(1));
                assert!(done.load(SeqCst));
            });
            done.store(true, SeqCst);
            drop(filling);
        });
    }
}
