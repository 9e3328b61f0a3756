//! Operations on their way into the log: buffered, sealed into records, counted.
//!
//! ```text
//!  push --> part --seal--> record, chained to the last one --append, sync--> durable --> mark
//!                            `-- no room in the store: kept as it is, for the next append
//! ```
//!
//! **Invariant:** records and marks name as durable only what was sealed when a sync began that
//! succeeded.

use crate::Time;
use crate::log::op::{Op, encode_record};
use crate::log::reach::Reach;
use crate::machine::Machine;
use crate::operations::SyncDone;
use crate::stored::codec::Encoder;
use bytes::Bytes;
use cairn_merkle::{Epoch, LogKey, LogPos};
use std::collections::VecDeque;
use std::time::Instant;

/// An fsync that waits for the log.
pub(crate) struct Waiter {
    /// Position in the stream of operations up to which it must be durable.
    pub(crate) wanted: u64,
    pub(crate) done: SyncDone,
}

/// Operations that wait for an fsync or for the commit that makes them superfluous.
#[derive(Default)]
pub(crate) struct LogBuffer {
    machine: Machine,
    /// Unwritten operations by epoch: at most the frozen one and the open one.
    parts: VecDeque<Part>,
    /// Memory that these take.
    buffered: usize,
    /// Sealed records that the store had no room for. Their places are taken: they are written as
    /// they are, or never.
    pub(crate) unwritten: Vec<(LogPos, Bytes)>,
    /// Among [`Self::parts`] is what must not be written before its blocks or its data are durable
    /// too.
    pub(crate) holds_back: bool,
    /// Position in the stream of operations: everything pushed, and everything durable, in bytes.
    pub(crate) pushed: u64,
    pub(crate) durable: u64,
    /// When the oldest operation was pushed, or before, that is not durable.
    pub(crate) volatile_since: Option<Instant>,
    /// Where the stream stood when the epoch under commit was closed: the commit makes what is
    /// before it durable.
    frozen_end: u64,
    /// Place and tag of the last record written.
    last: Option<(LogPos, [u8; 16])>,
    /// All records sealed of epochs that are not settled, those of them that are durable, and
    /// those that the last mark covers.
    sealed: Reach,
    synced: Reach,
    marked: Reach,
    /// Marks sealed so far.
    marks: u64,
    /// When the next mark is to be written, if there is something to mark.
    pub(crate) mark_due: Option<Instant>,
    /// Time of the newest operation pushed.
    newest: Time,
    /// Bytes of records written that no commit has made superfluous, and of those how many there
    /// were when the epoch under commit was closed.
    pub(crate) written: u64,
    frozen_written: u64,
    /// A leader is appending.
    pub(crate) leader: bool,
    /// There is a thread that appends for those in [`Self::waiting`].
    pub(crate) has_logger: bool,
    /// Waiters for the log to be durable up to a position.
    pub(crate) waiting: Vec<Waiter>,
}

/// Operations of one record to be.
struct Part {
    epoch: Epoch,
    ops: Encoder,
    /// Time of the newest operation in it and before.
    newest: Time,
}

/// What a mark is to say.
pub(crate) struct NextMark {
    number: u64,
    plain: Encoder,
}

impl NextMark {
    pub(crate) fn seal(&self, key: &LogKey) -> Vec<u8> {
        key.seal_mark(self.number, &self.plain.0)
    }
}

const RECORD_BYTES_MAX: usize = 1 << 20;

impl LogBuffer {
    pub(crate) fn new(machine: Machine) -> Self {
        Self {
            machine,
            ..Self::default()
        }
    }

    /// Bytes of memory that operations and records take which are not in the store's log.
    pub(crate) fn bytes(&self) -> u64 {
        let unwritten = self.unwritten.iter().map(|(_, stored)| stored.len());
        let sealed = unwritten.sum::<usize>();
        (self.buffered + sealed) as u64
    }

    pub(crate) fn push(&mut self, epoch: Epoch, op: &Op<'_>) {
        self.holds_back |= matches!(op, Op::Content { .. } | Op::Rename { .. });
        self.newest = self.newest.max(op.time().unwrap_or_default());
        if self
            .parts
            .back()
            .is_none_or(|last| last.epoch != epoch || last.ops.0.len() > RECORD_BYTES_MAX)
        {
            // A part that is complete grows no more.
            if let Some(Part { ops, .. }) = self.parts.back_mut() {
                self.buffered -= ops.0.capacity();
                ops.0.shrink_to_fit();
                self.buffered += ops.0.capacity();
            }
            self.parts.push_back(Part {
                epoch,
                ops: Encoder::default(),
                newest: self.newest,
            });
        }
        if let Some(Part { ops, newest, .. }) = self.parts.back_mut() {
            let (before, capacity) = (ops.0.len(), ops.0.capacity());
            op.encode(ops);
            self.buffered += ops.0.capacity() - capacity;
            self.pushed += (ops.0.len() - before) as u64;
            *newest = self.newest;
        }
        self.volatile_since.get_or_insert_with(|| self.machine.now());
    }

    /// Everything up to `upto` is durable; what was pushed behind it was pushed after `since`.
    pub(crate) fn is_durable_to(&mut self, upto: u64, since: Instant) {
        self.durable = self.durable.max(upto);
        self.volatile_since = (self.durable < self.pushed).then_some(since);
    }

    /// Takes all that waits as sealed records.
    pub(crate) fn seal(&mut self, key: &LogKey) -> Vec<(LogPos, Bytes)> {
        // First those that found no room before: later records chain to them.
        let mut records = std::mem::take(&mut self.unwritten);
        self.holds_back = false;
        self.buffered = 0;
        for Part { epoch, ops, newest } in self.parts.drain(..) {
            let (seq, prev) = match self.last {
                Some((pos, tag)) if pos.epoch == epoch => (pos.seq + 1, tag),
                Some((_, tag)) => (0, tag),
                None => (0, [0; 16]),
            };
            let before = self.last.map(|(pos, _)| pos);
            // Each repeats what was durable: it tells of the records before it, should a mark be
            // lost.
            let plain = encode_record(before, newest, &self.synced, &ops.0);
            let pos = LogPos { epoch, seq };
            let (stored, tag) = key.seal(pos, prev, &plain);
            // Taken even if the append fails: other bytes at this place would use a nonce twice.
            self.last = Some((pos, tag));
            self.written += stored.len() as u64;
            self.sealed.add(epoch, stored.len(), newest);
            records.push((pos, stored));
        }
        records
    }

    /// Everything that was sealed is durable: each record says so from now on.
    pub(crate) fn is_synced(&mut self) {
        // One leader seals at a time, so the sync that ended covered all that is sealed.
        self.synced = self.sealed.clone();
    }

    /// The mark to be written of what is durable, if there is no such mark yet.
    pub(crate) fn next_mark(&mut self) -> Option<NextMark> {
        self.mark_due = None;
        if self.synced == self.marked {
            return None;
        }
        self.marked = self.synced.clone();
        // Counted before it is written: no number may be sealed twice, whatever the write does.
        let (number, mut plain) = (self.marks, Encoder::default());
        self.marks += 1;
        self.marked.encode(&mut plain);
        Some(NextMark { number, plain })
    }

    /// An epoch is closed: a commit begins, which makes all of it superfluous.
    pub(crate) fn freeze(&mut self) {
        self.frozen_end = self.pushed;
        self.frozen_written = self.written;
    }

    /// A commit made the operations up to `epoch` superfluous.
    pub(crate) fn committed(&mut self, epoch: Epoch) {
        self.written -= std::mem::take(&mut self.frozen_written);
        // The head settled them. Replay accepts a first record whose predecessor is settled, so
        // the log may begin behind those that go here.
        self.unwritten.retain(|(pos, _)| pos.epoch > epoch);
        for reach in [&mut self.sealed, &mut self.synced] {
            reach.commit(epoch);
        }
        while self.parts.front().is_some_and(|first| first.epoch <= epoch) {
            let first = self.parts.pop_front();
            self.buffered -= first.map_or(0, |first| first.ops.0.capacity());
        }
        // The tree holds what was pushed before the freeze: no fsync need wait for its records.
        self.durable = self.durable.max(self.frozen_end);
        if self.durable >= self.pushed {
            self.volatile_since = None;
        }
    }
}

#[cfg(test)]
mod tests;
