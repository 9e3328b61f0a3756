//! Takes blocks, and writes them behind each other in a thread of its own.
//!
//! ```text
//!   put: room allocated? --> queue, pending ----> writer: copy together --write--> index --> no longer pending
//!                                |                                                  |
//!                 a get is answered from there until ...                    ... it finds the place
//! ```
//!
//! The index names a block only after it was written, so a kill of the process leaves no name of
//! unwritten bytes. Only the writer decides where a block goes: each write begins and ends with a
//! page.
//!
//! **Invariant:** room for the whole queue is allocated: a write cannot fail for want of it.

mod queue;
mod writer;

pub(crate) use writer::{Index, Written};

use super::file::Pack;
use cairn_block::{Cid, Epoch, PutProgress, Sealed};
use parking_lot::{Mutex, MutexGuard};
use queue::{Queued, Shared, State, reserve_of};
use rustc_hash::FxHashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

/// Bytes that may wait for the writer before a put does.
const QUEUE_BYTES_MAX: usize = 12 << 20;

/// Appends blocks to packs. See the module's picture.
pub(crate) struct Appender {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// Held while packs are synced: a caller that finds nothing to sync knows that no sync of it
    /// is under way.
    syncing: Mutex<()>,
}

impl Appender {
    /// Starts the writer; the first pack it makes is `next_number`.
    pub(crate) fn start(dir: PathBuf, next_number: u32, index: Index) -> io::Result<Self> {
        let shared = Arc::new(Shared::new(dir, next_number));
        let writer = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("cairn-append".to_owned());
        let thread = thread.spawn(move || writer::run(&writer, &index))?;
        Ok(Self {
            shared,
            thread: Mutex::new(Some(thread)),
            syncing: Mutex::default(),
        })
    }

    /// Queues blocks. `claim` is asked before room is taken from the device.
    ///
    /// # Errors
    /// `StorageFull`, or what an earlier write failed with.
    pub(crate) fn put(
        &self,
        epoch: Epoch,
        blocks: &[Sealed],
        claim: &dyn Fn(u64) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut state = self.shared.state.lock();
        while state.queued_bytes > QUEUE_BYTES_MAX && state.failed.is_none() {
            self.shared.done.wait(&mut state);
        }
        state.check()?;
        if state.ending {
            return Err(io::Error::other("the store is closed"));
        }
        let reserved = blocks.iter().map(reserve_of).sum();
        // Room first: a put that fails here queues nothing, and a queued block never lacks room.
        let pack = state.reserve(&self.shared.dir, reserved, claim)?;
        for block in blocks {
            // Pending under the same lock as queued: a get finds the block here until the index
            // has it.
            let pending = state.pending.entry(block.cid);
            pending.or_insert_with(|| (block.bytes.clone(), 0)).1 += 1;
            state.queued_bytes += block.bytes.len();
            state.queue.push_back(Queued {
                pack: Arc::clone(&pack),
                epoch,
                block: block.clone(),
            });
        }
        state.put_count += blocks.len() as u64;
        self.shared.work.notify_one();
        Ok(())
    }

    /// A block that is not yet written.
    pub(crate) fn pending(&self, cid: &Cid) -> Option<bytes::Bytes> {
        let state = self.shared.state.lock();
        state.pending.get(cid).map(|(bytes, _)| bytes.clone())
    }

    /// How many blocks were put, and how many of them are written and known to the index.
    pub(crate) fn progress(&self) -> PutProgress {
        let state = self.shared.state.lock();
        PutProgress {
            accepted: state.put_count,
            written: state.written_count,
        }
    }

    /// Waits until every block put before is written, and known to the index.
    pub(crate) fn drain(&self) -> io::Result<()> {
        drop(self.drained()?);
        Ok(())
    }

    fn drained(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.shared.state.lock();
        // As many as were put so far: puts that come meanwhile must not hold this caller up.
        let wanted = state.put_count;
        while state.written_count < wanted && state.failed.is_none() {
            self.shared.done.wait(&mut state);
        }
        state.check()?;
        Ok(state)
    }

    /// Makes every block put before durable. Waits for a sync that is under way, which may have
    /// some of them in hand.
    pub(crate) fn sync(&self) -> io::Result<()> {
        let _one = self.syncing.lock();
        // Drained first: only then are the packs of all these blocks in the list that is taken.
        let unsynced = std::mem::take(&mut self.drained()?.unsynced);
        self.sync_packs(&unsynced).inspect_err(|error| {
            // Before the lock is free: the next caller finds nothing to sync, and must not take
            // that for durable.
            self.shared.state.lock().failed = Some(format!("blocks could not be synced: {error}"));
        })
    }

    fn sync_packs(&self, unsynced: &[Arc<Pack>]) -> io::Result<()> {
        let is_new = |pack: &Arc<Pack>| !pack.is_named();
        if unsynced.iter().any(is_new) {
            // A pack without a durable name is lost with all that is synced in it. Named only
            // after this: a failure here fails the store.
            std::fs::File::open(&self.shared.dir)?.sync_all()?;
        }
        for pack in unsynced {
            pack.set_named();
            pack.sync()?;
        }
        Ok(())
    }

    /// The packs that may still grow, with how far each is written and known to the index; and the
    /// number that the next pack will have.
    pub(crate) fn growing(&self) -> (FxHashMap<u32, u64>, u32) {
        let state = self.shared.state.lock();
        let active = state.active.iter();
        let growing = active.map(|active| (active.pack.number, active.end));
        (growing.collect(), state.next_number)
    }

    /// Ends the writer once all is written, and gives back what was allocated ahead, durably: after
    /// a clean close nothing looks for it again. Further puts fail.
    pub(crate) fn end(&self) -> io::Result<()> {
        self.shared.state.lock().ending = true;
        self.shared.work.notify_one();
        let thread = self.thread.lock().take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread that writes blocks ended in a panic");
        }
        // The writer has ended, so each `end` is final. A crash before this leaves the room
        // allocated ahead: the next reclaim finds it.
        let mut state = self.shared.state.lock();
        state
            .active
            .drain(..)
            .try_for_each(|active| active.pack.end_at(active.end).and_then(|()| active.pack.sync()))
    }
}
