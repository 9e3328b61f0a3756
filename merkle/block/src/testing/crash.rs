//! A store that can lose power.
//!
//! ```text
//!  put, delete --> pending --sync--> durable
//!                     |                 ^
//!                     `-- Small puts ---+-- swap_head, log_append: durable on return
//!  log_write --> tail --log_append------'
//!  log_mark --> marks: durable perhaps
//!
//!  crash(seed) = durable + some of the pending, the tail and the marks + some of the operation cut off half way
//! ```
//!
//! Every operation that writes is an event with an index from 0. [`CrashStore::crash_at`] cuts
//! the power during the event with that index: it and all later operations fail. The result of
//! [`CrashStore::crash`] depends on the seed alone, so a failure replays.

mod image;

pub use image::CrashImage;

use crate::{
    Blocks, Cid, Epoch, HeadSwap, Heads, Log, LogPos, LogRest, MemoryStore, PutHint, Sealed, StoreError,
    StoreStats, Twin,
};
use bytes::Bytes;
use image::{CutOff, OwnedSwap, Pending};
use parking_lot::Mutex;
use std::fmt;
use std::io;

/// A store that can lose power.
#[derive(Default)]
pub struct CrashStore {
    view: MemoryStore,
    state: Mutex<State>,
}

type Hook = Box<dyn FnMut(u64, &CrashImage) + Send>;

#[derive(Default)]
struct State {
    image: CrashImage,
    events: u64,
    crash_at: Option<u64>,
    hook: Option<Hook>,
}

impl CrashStore {
    /// An empty store with power.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many operations that write were begun.
    pub fn events(&self) -> u64 {
        self.state.lock().events
    }

    /// Cuts the power during event `n`: it and all operations after it fail, reads included.
    pub fn crash_at(&self, n: u64) {
        self.state.lock().crash_at = Some(n);
    }

    /// Calls `hook` during each event, with its index and what the disk may hold if the power goes
    /// right there. The hook must not call this store.
    pub fn set_hook(&self, hook: impl FnMut(u64, &CrashImage) + Send + 'static) {
        self.state.lock().hook = Some(Box::new(hook));
    }

    /// What the disk may hold now.
    pub fn image(&self) -> CrashImage {
        self.state.lock().image.clone()
    }

    /// The store that is found after a power cut now. See [`CrashImage::crash`].
    pub fn crash(&self, seed: u64) -> MemoryStore {
        self.image().crash(seed)
    }

    fn require_power(&self) -> Result<(), StoreError> {
        let state = self.state.lock();
        if state.crash_at.is_some_and(|n| state.events > n) {
            Err(no_power())
        } else {
            Ok(())
        }
    }
}

impl State {
    /// Begins an event: `pending` and `cut_off` are what it may leave behind if it never ends.
    fn begin(&mut self, pending: Vec<Pending>, cut_off: Option<CutOff>) -> Result<(), StoreError> {
        if self.crash_at.is_some_and(|n| self.events > n) {
            return Err(no_power());
        }
        let n = self.events;
        self.events += 1;
        self.image.pending.extend(pending);
        self.image.cut_off = cut_off;
        if let Some(hook) = &mut self.hook {
            hook(n, &self.image);
        }
        if self.crash_at == Some(n) {
            return Err(no_power());
        }
        self.image.cut_off = None;
        Ok(())
    }
}

fn no_power() -> StoreError {
    StoreError::io("do anything", io::Error::other("the power is off"))
}

impl fmt::Debug for CrashStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CrashStore")
            .field("events", &self.events())
            .finish_non_exhaustive()
    }
}

impl Blocks for CrashStore {
    fn get(&self, cid: &Cid) -> Result<Option<Bytes>, StoreError> {
        self.require_power()?;
        self.view.get(cid)
    }

    fn put(&self, epoch: Epoch, blocks: &[Sealed], hint: PutHint) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        let puts = blocks.iter().map(|block| Pending::Put {
            epoch,
            block: block.clone(),
            hint,
        });
        state.begin(puts.collect(), None)?;
        self.view.put(epoch, blocks, hint)
    }

    fn delete(&self, cids: &[Cid]) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        state.begin(cids.iter().map(|cid| Pending::Delete(*cid)).collect(), None)?;
        self.view.delete(cids)
    }

    fn sync(&self) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        state.begin(Vec::new(), None)?;
        state.image.sync();
        Ok(())
    }

    fn fresh(&self, after: Option<(Epoch, Cid)>, count_max: usize) -> Result<Vec<(Epoch, Cid)>, StoreError> {
        self.require_power()?;
        self.view.fresh(after, count_max)
    }

    fn list(&self, after: Option<Cid>, count_max: usize) -> Result<Vec<Cid>, StoreError> {
        self.require_power()?;
        self.view.list(after, count_max)
    }

    fn stats(&self) -> Result<StoreStats, StoreError> {
        self.require_power()?;
        self.view.stats()
    }

    fn reclaim(&self) -> Result<(), StoreError> {
        self.require_power()
    }
}

impl Log for CrashStore {
    fn log_append(&self, records: &[(LogPos, Bytes)]) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        state.begin(Vec::new(), Some(CutOff::Append(records.to_vec())))?;
        let tail = std::mem::take(&mut state.image.tail);
        state.image.durable.append(&tail);
        state.image.durable.append(records);
        self.view.log_append(records)
    }

    fn log_write(&self, records: &[(LogPos, Bytes)]) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        state.begin(Vec::new(), Some(CutOff::Append(records.to_vec())))?;
        state.image.tail.extend_from_slice(records);
        self.view.log_append(records)
    }

    fn log_read(&self, from: LogPos, bytes_max: usize) -> Result<Vec<(LogPos, Bytes)>, StoreError> {
        self.require_power()?;
        self.view.log_read(from, bytes_max)
    }

    fn log_mark(&self, mark: &[u8]) -> Result<(), StoreError> {
        // No event: a mark makes nothing durable, and a cut right after it is one before what comes
        // next.
        self.require_power()?;
        let image = &mut self.state.lock().image;
        image.marks.push(Bytes::copy_from_slice(mark));
        let older = image.marks.len().saturating_sub(2);
        image.marks.drain(..older);
        self.view.log_mark(mark)
    }

    fn log_rest(&self) -> Result<LogRest, StoreError> {
        self.require_power()?;
        self.view.log_rest()
    }
}

impl Heads for CrashStore {
    fn head(&self) -> Result<Option<Bytes>, StoreError> {
        self.require_power()?;
        self.view.head()
    }

    fn header(&self) -> Result<Option<Bytes>, StoreError> {
        self.require_power()?;
        self.view.header()
    }

    fn twin(&self) -> Result<Option<Twin>, StoreError> {
        self.require_power()?;
        self.view.twin()
    }

    fn head_afresh(&self) -> Result<Option<Bytes>, StoreError> {
        self.require_power()?;
        self.view.head_afresh()
    }

    fn swap_head(&self, swap: &HeadSwap<'_>) -> Result<(), StoreError> {
        let mut state = self.state.lock();
        if self.view.head()?.as_deref() != swap.expected {
            return Err(StoreError::HeadMoved);
        }
        state.begin(Vec::new(), Some(CutOff::Swap(OwnedSwap::of(swap))))?;
        state.image.swap(swap);
        self.view.swap_head(swap)
    }
}

#[cfg(test)]
mod tests;
