//! What a disk may hold at one moment, and what is found there after a power cut.
//!
//! ```text
//!   durable + each pending change, tail record and mark: kept or lost, as a coin says
//!           + the operation cut off: an append record by record, a swap whole or not at all
//! ```

use crate::memory::Image;
use crate::{Cid, Epoch, HeadSwap, LogPos, MemoryStore, PutHint, Sealed};
use bytes::Bytes;

/// What the disk may hold at one moment: the durable part, and all that may or may not have reached
/// it.
#[derive(Clone, Debug, Default)]
pub struct CrashImage {
    pub(super) durable: Image,
    pub(super) pending: Vec<Pending>,
    /// Log records written and not yet durable.
    pub(super) tail: Vec<(LogPos, Bytes)>,
    /// The newest two marks, neither known to be durable.
    pub(super) marks: Vec<Bytes>,
    pub(super) cut_off: Option<CutOff>,
}

/// A change that may have reached the disk.
#[derive(Clone, Debug)]
pub(super) enum Pending {
    Put {
        epoch: Epoch,
        block: Sealed,
        hint: PutHint,
    },
    Delete(Cid),
}

/// The operation during which the power went. Puts and deletes simply stay pending.
#[derive(Clone, Debug)]
pub(super) enum CutOff {
    Append(Vec<(LogPos, Bytes)>),
    Swap(OwnedSwap),
}

/// A [`HeadSwap`] that outlives its call.
#[derive(Clone, Debug)]
pub(super) struct OwnedSwap {
    head: Vec<u8>,
    header: Option<Vec<u8>>,
    root_block: Vec<u8>,
    delete: Vec<Cid>,
    settled: Epoch,
    restarts_log: bool,
}

impl CrashImage {
    /// The store found after the power cut. Each pending operation and each mark is kept or lost as
    /// `seed` decides, each log record that is not durable is kept, torn or lost, and a swap cut
    /// off happened whole or not at all. Seed 0 loses all that may be lost, seed `u64::MAX`
    /// nothing.
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

    pub(super) fn sync(&mut self) {
        for pending in self.pending.drain(..) {
            pending.apply(&mut self.durable);
        }
    }

    pub(super) fn swap(&mut self, swap: &HeadSwap<'_>) {
        let small = |pending: &Pending| {
            matches!(
                pending,
                Pending::Put {
                    hint: PutHint::Small,
                    ..
                }
            )
        };
        // A small put outruns what is pending, so what came before it for the same name must not
        // follow it later.
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
    pub(super) fn of(swap: &HeadSwap<'_>) -> Self {
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
