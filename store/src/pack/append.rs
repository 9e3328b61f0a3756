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

use super::buffer::{ALIGN, Pool};
use super::file::{PACK_BYTES, Pack};
use super::place::{Place, UNIT};
use cairn_block::{Cid, Epoch, Sealed};
use parking_lot::{Condvar, Mutex, MutexGuard};
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

/// Bytes of one write, about; and of the buffer it is gathered in, which must hold one more block.
const WRITE_BYTES: usize = 2 << 20;
const BUFFER_BYTES: usize = WRITE_BYTES + cairn_block::MAX_STORED + ALIGN;
/// Bytes that may wait for the writer before a put does.
const QUEUE_BYTES_MAX: usize = 12 << 20;
/// Room allocated at a time.
const GROW_BYTES: u64 = 16 << 20;

/// A block that was written, for the index.
pub(crate) struct Written {
    /// The epoch of its put.
    pub(crate) epoch: Epoch,
    /// Its name.
    pub(crate) cid: Cid,
    /// Where it lies.
    pub(crate) place: Place,
    /// The hashes of its groups, if it came with them.
    pub(crate) groups: bytes::Bytes,
}

/// Makes the index know blocks.
pub(crate) type Index = Box<dyn Fn(&[Written]) -> io::Result<()> + Send>;

/// The pack that grows.
struct Active {
    pack: Arc<Pack>,
    /// Where the next write goes.
    end: u64,
    /// Most that the queued blocks can take.
    reserved: u64,
    allocated: u64,
}

struct Queued {
    pack: Arc<Pack>,
    epoch: Epoch,
    block: Sealed,
}

#[derive(Default)]
struct State {
    /// The one that puts reserve room in, and before it those that still have blocks queued.
    active: VecDeque<Active>,
    next_number: u32,
    queue: VecDeque<Queued>,
    queued_bytes: usize,
    /// By name, with how often it is queued.
    pending: FxHashMap<Cid, (bytes::Bytes, u32)>,
    put_count: u64,
    written_count: u64,
    unsynced: Vec<Arc<Pack>>,
    failed: Option<String>,
    ending: bool,
}

struct Shared {
    dir: PathBuf,
    state: Mutex<State>,
    /// Something is queued, or the end has come.
    work: Condvar,
    /// Something was written, or failed.
    done: Condvar,
}

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
        let shared = Arc::new(Shared {
            dir,
            state: Mutex::new(State {
                next_number,
                ..State::default()
            }),
            work: Condvar::new(),
            done: Condvar::new(),
        });
        let writer = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("cairn-append".to_owned());
        let thread = thread.spawn(move || writer.run(&index))?;
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

    /// Waits until every block put before is written, and known to the index.
    pub(crate) fn drain(&self) -> io::Result<()> {
        drop(self.drained()?);
        Ok(())
    }

    fn drained(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.shared.state.lock();
        let wanted = state.put_count;
        while state.written_count < wanted && state.failed.is_none() {
            self.shared.done.wait(&mut state);
        }
        state.check()?;
        Ok(state)
    }

    /// Makes every block put before durable. Waits for a sync that is under way, which may have some of them in hand.
    pub(crate) fn sync(&self) -> io::Result<()> {
        let _one = self.syncing.lock();
        // Drained first: only then are the packs of all these blocks in the list that is taken.
        let unsynced = std::mem::take(&mut self.drained()?.unsynced);
        self.sync_packs(&unsynced).inspect_err(|error| {
            // Before the lock is free: the next caller finds nothing to sync, and must not take that for durable.
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

    /// The packs that may still grow, with how far each is written and known to the index; and the number that the next
    /// pack will have.
    pub(crate) fn growing(&self) -> (FxHashMap<u32, u64>, u32) {
        let state = self.shared.state.lock();
        let active = state.active.iter();
        let growing = active.map(|active| (active.pack.number, active.end));
        (growing.collect(), state.next_number)
    }

    /// Ends the writer once all is written, and gives back what was allocated ahead, durably: after a clean close nothing
    /// looks for it again. Further puts fail.
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

impl State {
    fn check(&self) -> io::Result<()> {
        match &self.failed {
            Some(failed) => Err(io::Error::other(failed.clone())),
            None => Ok(()),
        }
    }

    /// Has `bytes` allocated in the pack that puts go to.
    fn reserve(
        &mut self,
        dir: &std::path::Path,
        bytes: u64,
        claim: &dyn Fn(u64) -> io::Result<()>,
    ) -> io::Result<Arc<Pack>> {
        let has_room = |active: &Active| active.end + active.reserved + bytes <= PACK_BYTES;
        if !self.active.back().is_some_and(has_room) {
            // Asked before the file is made: a refusal leaves no empty pack.
            claim(bytes)?;
            let pack = Pack::create(dir, self.next_number)?;
            self.next_number += 1;
            self.active.push_back(Active {
                pack: Arc::new(pack),
                end: 0,
                reserved: 0,
                allocated: 0,
            });
            // The pack before it gets no more blocks: it ends once those in the queue are
            // written.
            self.retire();
        }
        let active = self.active.back_mut().expect("one was made just above");
        let wanted = active.end + active.reserved + bytes;
        if active.allocated < wanted {
            let ahead = (active.allocated + GROW_BYTES).min(PACK_BYTES).max(wanted);
            active
                .grow(ahead, claim)
                .or_else(|_| active.grow(wanted, claim))?;
        }
        active.reserved += bytes;
        Ok(Arc::clone(&active.pack))
    }

    /// Packs that nothing more will be written to end where they are written to.
    fn retire(&mut self) {
        while self.active.len() > 1 && self.active[0].reserved == 0 {
            let Some(done) = self.active.pop_front() else {
                return;
            };
            if let Err(error) = done.pack.end_at(done.end) {
                tracing::warn!(%error, "room allocated ahead stays until the next reclaim");
            }
        }
    }
}

impl Active {
    fn grow(&mut self, until: u64, claim: &dyn Fn(u64) -> io::Result<()>) -> io::Result<()> {
        // Set only once the room is there: after a failure the caller may ask for less.
        claim(until - self.allocated)?;
        self.pack.allocate(self.allocated, until)?;
        self.allocated = until;
        Ok(())
    }
}

/// Most that a block takes: its own units, and the rest of a page behind it.
fn reserve_of(block: &Sealed) -> u64 {
    units_of(block) as u64 + ALIGN as u64
}

fn units_of(block: &Sealed) -> usize {
    block.bytes.len().max(1).next_multiple_of(UNIT as usize)
}

impl Shared {
    fn run(&self, index: &Index) {
        let pool = Pool::new(BUFFER_BYTES, 1);
        let mut state = self.state.lock();
        loop {
            let run = state.next_run();
            let Some((pack, offset)) = run
                .first()
                .map(|first| (Arc::clone(&first.pack), state.end_of(&first.pack)))
            else {
                if state.ending {
                    return;
                }
                self.work.wait(&mut state);
                continue;
            };
            // Without the lock: puts and gets go on beside the write.
            let written = MutexGuard::unlocked(&mut state, || write_run(&pool, &pack, offset, &run, index));
            match written {
                Ok(end) => state.wrote(&pack, end, &run),
                Err(error) => {
                    tracing::error!(%error, pack = pack.number, "blocks could not be written");
                    // For good: a later sync must not pass without the blocks of this run.
                    state.failed = Some(format!("blocks could not be written: {error}"));
                }
            }
            self.done.notify_all();
            if state.failed.is_some() {
                return;
            }
        }
    }
}

impl State {
    /// Blocks of one pack, for one write.
    fn next_run(&mut self) -> Vec<Queued> {
        let (mut run, mut bytes) = (Vec::<Queued>::new(), 0);
        while bytes < WRITE_BYTES
            && let Some(next) = self.queue.pop_front_if(|next| {
                run.first()
                    .is_none_or(|first| first.pack.number == next.pack.number)
            })
        {
            bytes += units_of(&next.block);
            run.push(next);
        }
        run
    }

    fn end_of(&self, pack: &Arc<Pack>) -> u64 {
        let found = self
            .active
            .iter()
            .find(|active| active.pack.number == pack.number);
        found.map_or(0, |active| active.end)
    }

    fn wrote(&mut self, pack: &Arc<Pack>, end: u64, run: &[Queued]) {
        // The index knows these blocks by now, so a get no longer needs the pending copy.
        for Queued { block, .. } in run {
            self.queued_bytes -= block.bytes.len();
            if let Some((_, count)) = self.pending.get_mut(&block.cid) {
                *count -= 1;
                if *count == 0 {
                    self.pending.remove(&block.cid);
                }
            }
        }
        // Count and pack under one lock: a sync that sees the count finds the pack to sync.
        self.written_count += run.len() as u64;
        if !self.unsynced.iter().any(|known| known.number == pack.number) {
            self.unsynced.push(Arc::clone(pack));
        }
        if let Some(active) = self
            .active
            .iter_mut()
            .find(|active| active.pack.number == pack.number)
        {
            active.end = end;
            active.reserved -= run.iter().map(|queued| reserve_of(&queued.block)).sum::<u64>();
        }
        self.retire();
    }
}

/// Writes blocks behind each other from `offset` on, tells the index, and answers where the next write goes.
fn write_run(pool: &Arc<Pool>, pack: &Pack, offset: u64, run: &[Queued], index: &Index) -> io::Result<u64> {
    let len: usize = run.iter().map(|queued| units_of(&queued.block)).sum();
    let len = len.next_multiple_of(ALIGN);
    let mut buffer = pool.take(len);
    let pages = &mut buffer.as_mut()[..len];
    let (mut at, mut written) = (0, Vec::with_capacity(run.len()));
    for Queued { epoch, block, .. } in run {
        let (own, rest) = pages[at..].split_at_mut(block.bytes.len());
        own.copy_from_slice(&block.bytes);
        rest[..units_of(block) - own.len()].fill(0);
        written.push(Written {
            epoch: *epoch,
            cid: block.cid,
            place: Place {
                pack: pack.number,
                offset: offset + at as u64,
                len: own.len() as u32,
            },
            groups: block.groups.clone(),
        });
        at += units_of(block);
    }
    pages[at..].fill(0);
    // Written before it is named: a crash between the two leaves bytes without a name. A reopen
    // begins another pack, and the next reclaim gives their room back.
    pack.write(pages, offset)?;
    index(&written)?;
    Ok(offset + len as u64)
}
