//! Blocks that wait to be written, and the packs that have room for them.
//!
//! ```text
//!   reserve: room in the newest pack --> queue --next_run--> written --wrote--> room freed, pack to be synced
//!                `-- full: a new pack; the one before retires once its queue is written
//! ```
//!
//! All of it lies under one lock. What a block reserves is the most it can take, so a run of
//! blocks never outgrows what is allocated.

use crate::pack::file::{PACK_BYTES, Pack};
use crate::pack::label::LABEL_LEN;
use crate::pack::place::UNIT;
use cairn_block::buffer::ALIGN;
use cairn_block::{Cid, Epoch, Sealed};
use parking_lot::{Condvar, Mutex};
use rustc_hash::FxHashMap;
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes of one write, about.
pub(super) const WRITE_BYTES: usize = 2 << 20;
/// Room allocated at a time.
const GROW_BYTES: u64 = 16 << 20;

/// The pack that grows.
pub(super) struct Active {
    pub(super) pack: Arc<Pack>,
    /// Where the next write goes.
    pub(super) end: u64,
    /// Most that the queued blocks can take.
    pub(super) reserved: u64,
    pub(super) allocated: u64,
}

/// A block that waits, and where to.
pub(super) struct Queued {
    pub(super) pack: Arc<Pack>,
    pub(super) epoch: Epoch,
    pub(super) block: Sealed,
}

/// What waits, and the packs it goes to.
#[derive(Default)]
pub(super) struct State {
    /// The one that puts reserve room in, and before it those that still have blocks queued.
    pub(super) active: VecDeque<Active>,
    pub(super) next_number: u32,
    pub(super) queue: VecDeque<Queued>,
    pub(super) queued_bytes: usize,
    /// By name, with how often it is queued.
    pub(super) pending: FxHashMap<Cid, (bytes::Bytes, u32)>,
    pub(super) put_count: u64,
    pub(super) written_count: u64,
    pub(super) unsynced: Vec<Arc<Pack>>,
    pub(super) failed: Option<String>,
    pub(super) ending: bool,
}

/// What puts and the writer share.
pub(super) struct Shared {
    pub(super) dir: PathBuf,
    pub(super) state: Mutex<State>,
    /// Something is queued, or the end has come.
    pub(super) work: Condvar,
    /// Something was written, or failed.
    pub(super) done: Condvar,
}

impl Shared {
    /// Nothing waits; the first pack that is made is `next_number`.
    pub(super) fn new(dir: PathBuf, next_number: u32) -> Self {
        Self {
            dir,
            state: Mutex::new(State {
                next_number,
                ..State::default()
            }),
            work: Condvar::new(),
            done: Condvar::new(),
        }
    }
}

impl State {
    pub(super) fn check(&self) -> io::Result<()> {
        match &self.failed {
            Some(failed) => Err(io::Error::other(failed.clone())),
            None => Ok(()),
        }
    }

    /// Has `bytes` allocated in the pack that puts go to.
    pub(super) fn reserve(
        &mut self,
        dir: &Path,
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
            // Ahead, so that few puts allocate; on a device almost full, just what this one needs.
            let ahead = (active.allocated + GROW_BYTES).min(PACK_BYTES).max(wanted);
            active
                .grow(ahead, claim)
                .or_else(|_| active.grow(wanted, claim))?;
        }
        // Counted last: a put that was refused above reserves nothing.
        active.reserved += bytes;
        Ok(Arc::clone(&active.pack))
    }

    /// Packs that nothing more will be written to end where they are written to.
    fn retire(&mut self) {
        while self.active.len() > 1 && self.active[0].reserved == 0 {
            let Some(done) = self.active.pop_front() else {
                return;
            };
            // Only a loss of room: the blocks below the end are written, whatever lies behind.
            if let Err(error) = done.pack.end_at(done.end) {
                tracing::warn!(%error, "room allocated ahead stays until the next reclaim");
            }
        }
    }

    /// Blocks of one pack, for one write.
    pub(super) fn next_run(&mut self) -> Vec<Queued> {
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

    pub(super) fn end_of(&self, pack: &Arc<Pack>) -> u64 {
        let found = self
            .active
            .iter()
            .find(|active| active.pack.number == pack.number);
        found.map_or(0, |active| active.end)
    }

    pub(super) fn wrote(&mut self, pack: &Arc<Pack>, end: u64, run: &[Queued]) {
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
pub(super) fn reserve_of(block: &Sealed) -> u64 {
    units_of(block) as u64 + ALIGN as u64
}

pub(super) fn units_of(block: &Sealed) -> usize {
    (block.bytes.len() + LABEL_LEN).next_multiple_of(UNIT as usize)
}
