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

use crate::memory::Image;
use crate::{
    BlockStore, Cid, Epoch, HeadSwap, LogPos, LogRest, MemoryStore, PutHint, Sealed, StoreError, StoreStats,
    Twin,
};
use bytes::Bytes;
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

/// What the disk may hold at one moment: the durable part, and all that may or may not have reached it.
#[derive(Clone, Debug, Default)]
pub struct CrashImage {
    durable: Image,
    pending: Vec<Pending>,
    /// Log records written and not yet durable.
    tail: Vec<(LogPos, Bytes)>,
    /// The newest two marks, neither known to be durable.
    marks: Vec<Bytes>,
    cut_off: Option<CutOff>,
}

#[derive(Clone, Debug)]
enum Pending {
    Put {
        epoch: Epoch,
        block: Sealed,
        hint: PutHint,
    },
    Delete(Cid),
}

/// The operation during which the power went. Puts and deletes simply stay pending.
#[derive(Clone, Debug)]
enum CutOff {
    Append(Vec<(LogPos, Bytes)>),
    Swap(OwnedSwap),
}

#[derive(Clone, Debug)]
struct OwnedSwap {
    head: Vec<u8>,
    header: Option<Vec<u8>>,
    root_block: Vec<u8>,
    delete: Vec<Cid>,
    settled: Epoch,
    restarts_log: bool,
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

    /// Calls `hook` during each event, with its index and what the disk may hold if the power goes right there.
    /// The hook must not call this store.
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

impl CrashImage {
    /// The store found after the power cut. Each pending operation and each mark is kept or lost as `seed` decides, each log
    /// record that is not durable is kept, torn or lost, and a swap cut off happened whole or not at all. Seed 0 loses
    /// all that may be lost, seed `u64::MAX` nothing.
    pub fn crash(&self, seed: u64) -> MemoryStore {
        let mut coin = Coin { seed, state: seed };
        let Self {
            mut durable, pending, ..
        } = self.after_cut_off(&mut coin);
        for pending in pending.iter().filter(|_| coin.keeps()) {
            pending.apply(&mut durable);
        }
        durable.into_store()
    }

    fn after_cut_off(&self, coin: &mut Coin) -> Self {
        let mut image = self.clone();
        let mut tail = std::mem::take(&mut image.tail);
        if let Some(CutOff::Append(records)) = &image.cut_off {
            tail.extend_from_slice(records);
        }
        let found: Vec<_> = tail
            .iter()
            .filter_map(|(pos, record)| Some((*pos, coin.writes_back(record)?)))
            .collect();
        image.durable.append(&found);
        for mark in std::mem::take(&mut image.marks) {
            if coin.keeps() {
                image.durable.mark(&mark);
            }
        }
        match image.cut_off.take() {
            Some(CutOff::Append(_)) => {}
            Some(CutOff::Swap(swap)) if coin.keeps() => image.swap(&swap.borrow()),
            Some(CutOff::Swap(_)) | None => {}
        }
        image
    }

    fn sync(&mut self) {
        for pending in self.pending.drain(..) {
            pending.apply(&mut self.durable);
        }
    }

    fn swap(&mut self, swap: &HeadSwap<'_>) {
        let small = |pending: &Pending| {
            matches!(
                pending,
                Pending::Put {
                    hint: PutHint::Small,
                    ..
                }
            )
        };
        // A small put outruns what is pending, so what came before it for the same name must not follow it later.
        while let Some(at) = self.pending.iter().position(small) {
            let put = self.pending.remove(at);
            let before = self
                .pending
                .drain(..at)
                .filter(|pending| pending.cid() != put.cid())
                .collect::<Vec<_>>();
            self.pending.splice(..0, before);
            put.apply(&mut self.durable);
        }
        self.pending
            .retain(|pending| !swap.delete.contains(pending.cid()));
        self.tail
            .retain(|(pos, _)| pos.epoch > swap.settled && !swap.restarts_log);
        self.durable.swap(swap);
    }
}

impl Pending {
    fn cid(&self) -> &Cid {
        match self {
            Self::Put { block, .. } => &block.cid,
            Self::Delete(cid) => cid,
        }
    }

    fn apply(&self, image: &mut Image) {
        match self {
            Self::Put { epoch, block, .. } => image.put(*epoch, block),
            Self::Delete(cid) => image.delete(cid),
        }
    }
}

impl OwnedSwap {
    fn of(swap: &HeadSwap<'_>) -> Self {
        Self {
            head: swap.head.to_vec(),
            header: swap.header.map(<[u8]>::to_vec),
            root_block: swap.root_block.to_vec(),
            delete: swap.delete.to_vec(),
            settled: swap.settled,
            restarts_log: swap.restarts_log,
        }
    }

    fn borrow(&self) -> HeadSwap<'_> {
        HeadSwap {
            expected: None,
            head: &self.head,
            header: self.header.as_deref(),
            root_block: &self.root_block,
            delete: &self.delete,
            settled: self.settled,
            restarts_log: self.restarts_log,
        }
    }
}

/// SplitMix64, one bit at a time.
struct Coin {
    seed: u64,
    state: u64,
}

impl Coin {
    fn keeps(&mut self) -> bool {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.state ^ (self.state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        match self.seed {
            0 => false,
            u64::MAX => true,
            _ => mixed >> 63 == 1,
        }
    }

    /// What is on the disk of a record that was not synced: all, its first half, or nothing.
    fn writes_back(&mut self, record: &Bytes) -> Option<Bytes> {
        if self.keeps() {
            return Some(record.clone());
        }
        let mut torn = record.to_vec();
        torn[record.len() / 2..].fill(0);
        self.keeps().then(|| torn.into())
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

impl BlockStore for CrashStore {
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

    fn log_mark(&self, mark: &[u8]) -> Result<(), StoreError> {
        // No event: a mark makes nothing durable, and a cut right after it is one before what comes next.
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

    fn log_read(&self, from: LogPos, bytes_max: usize) -> Result<Vec<(LogPos, Bytes)>, StoreError> {
        self.require_power()?;
        self.view.log_read(from, bytes_max)
    }

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

#[cfg(test)]
mod tests;
