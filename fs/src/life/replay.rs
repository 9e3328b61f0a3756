//! What is made of the intent log: its operations done again, and what it lost, told.
//!
//! ```text
//!  records in order --open, follows the one before?--> yes: its operations are done again
//!        |                                              no: the end. Nothing behind it is done, but all is read on:
//!        v                                                            what opens tells what was durable
//!  marks, and what records repeat of them  -  what was done again  =  lost (damage), or nothing (a torn end)
//! ```
//!
//! A whole record behind a broken one proves nothing by itself: what was not synced reaches the
//! disk in any order.
//!
//! **Invariant:** only what opens under the log's key counts, for a record and for a mark. What
//! the store says of positions and lengths does not.

use crate::engine::Engine;
use crate::life::redo::Redo;
use crate::log::op::{LogRecord, Replayed, decode_record, gap};
use crate::log::reach::{Missing, Reach};
use crate::state::State;
use crate::{Error, LogLoss, Result};
use cairn_merkle::{Cid, Epoch, LogKey, LogPos, LogRest};
use rustc_hash::FxHashSet;

/// Log bytes read at once.
const LOG_READ_BYTES: usize = 8 << 20;

/// What replaying came to.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Blocks that the replayed operations name.
    pub(crate) named: FxHashSet<Cid>,
    pub(crate) loss: Option<LogLoss>,
    /// What is at the end of the log and no record, above every mark: a write that was cut off, or
    /// damage.
    pub(crate) torn: Option<String>,
}

/// Where the replay ended before the log did.
struct End {
    at: LogPos,
    why: String,
}

/// A walk over all records.
struct Walk<'a> {
    head: Epoch,
    key: &'a LogKey,
    /// Place and tag of the last record that was replayed.
    last: Option<(LogPos, [u8; 16])>,
    replayed: Reach,
    /// What was durable, as far as it is known.
    durable: Reach,
    end: Option<End>,
    /// Records behind the end that open, and bytes of those that do not.
    whole: u64,
    broken_bytes: u64,
}

impl Engine {
    /// Applies the log as far as it is whole.
    pub(crate) fn replay(&self, state: &mut State, head: Epoch, key: &LogKey) -> Result<Outcome> {
        let mut walk = Walk::new(head, key);
        let rest = self.blocks.store.log_rest()?;
        // Before the records: a mark may tell of a lost commit, and no record behind that is done.
        rest.marks.iter().for_each(|mark| walk.mark(mark));
        if let Some(lost) = self.log_loss.as_ref().and_then(|loss| loss.commit) {
            walk.durable.commit(lost);
        }
        let mut redo = Redo::default();
        let mut from = Some(LogPos {
            epoch: head.next(),
            seq: 0,
        });
        while let Some(least) = from {
            let records = self.blocks.store.log_read(least, LOG_READ_BYTES)?;
            from = records.last().and_then(|(pos, _)| after(*pos));
            let mut least = least;
            for (pos, stored) in records {
                // The store is not believed: a record out of order could be one that was done
                // already.
                if pos < least {
                    return Err(gap(pos, "the store answers a record out of order"));
                }
                least = after(pos).unwrap_or(pos);
                for op in walk.record(pos, &stored)? {
                    self.redo(state, op, &mut redo).map_err(|error| match error {
                        Error::Merkle(error) => Error::Merkle(error),
                        _ => gap(pos, "it does not fit the tree it was written for"),
                    })?;
                }
                // Records behind the end are not done, and give the volume no epoch.
                if walk.end.is_none() {
                    state.open.reach(pos.epoch);
                }
            }
        }
        Ok(walk.finish(&rest, redo.named))
    }
}

/// The next place that a record may have.
fn after(pos: LogPos) -> Option<LogPos> {
    match pos.seq.checked_add(1) {
        Some(seq) => Some(LogPos { seq, ..pos }),
        None => Some(LogPos {
            epoch: Epoch(pos.epoch.0.checked_add(1)?),
            seq: 0,
        }),
    }
}

impl<'a> Walk<'a> {
    fn new(head: Epoch, key: &'a LogKey) -> Self {
        Self {
            head,
            key,
            last: None,
            replayed: Reach::default(),
            durable: Reach::default(),
            end: None,
            whole: 0,
            broken_bytes: 0,
        }
    }

    /// Takes a mark into account if it is one of this log's.
    fn mark(&mut self, stored: &[u8]) {
        if let Some(mark) = Reach::of_mark(stored, self.key) {
            self.durable.merge(&mark);
        }
    }

    /// The operations of the next record, if it is to be replayed.
    fn record(&mut self, pos: LogPos, stored: &[u8]) -> Result<Vec<Replayed>> {
        let opened = match self.key.open(pos, stored) {
            Ok(opened) => opened,
            Err(error) => {
                self.broken_bytes += stored.len() as u64;
                self.ends(pos, error.to_string());
                return Ok(Vec::new());
            }
        };
        let LogRecord {
            before,
            newest,
            durable,
            ops,
        } = decode_record(self.key.suite(), &opened.plain)?;
        // Also behind the end: it opened, so what it says of earlier records was true.
        self.durable.merge(&durable);
        let follows = match (before, self.last) {
            (before, Some((last, tag))) => before == Some(last) && opened.previous == tag,
            (None, None) => true,
            (Some(before), None) => before.epoch <= self.head,
        };
        if !follows {
            self.ends(pos, "the record before it is missing".into());
        }
        // That commit may have held what was never logged.
        if self.durable.committed() > self.head && pos.epoch > self.head.next() {
            self.ends(pos, "the commit before it is lost".into());
        }
        if self.end.is_some() {
            self.whole += 1;
            return Ok(Vec::new());
        }
        self.replayed.add(pos.epoch, stored.len(), newest);
        self.last = Some((pos, opened.tag));
        Ok(ops)
    }

    fn ends(&mut self, at: LogPos, why: String) {
        self.end.get_or_insert(End { at, why });
    }

    fn finish(mut self, rest: &LogRest, named: FxHashSet<Cid>) -> Outcome {
        if let Some((pos, _)) = self.last {
            tracing::info!(epoch = pos.epoch.0, seq = pos.seq, "replayed the intent log");
        }
        // What earlier epochs logged is in the tree of the head.
        self.durable.settle(self.head);
        let missing = self.durable.beyond(&self.replayed);
        let loss = missing.map(|missing| self.loss(&missing, rest));
        // A later commit was done, and this log begins after an older one.
        let commit = Some(self.durable.committed()).filter(|committed| *committed > self.head);
        let loss = match (loss, commit) {
            (loss, None) => loss,
            (loss, Some(commit)) => Some(LogLoss {
                commit: Some(commit),
                ..loss.unwrap_or_else(|| super::newest::lost(commit, self.head))
            }),
        };
        let torn = match &loss {
            Some(_) => None,
            None => self.torn(rest),
        };
        Outcome { named, loss, torn }
    }

    fn loss(&self, missing: &Missing, rest: &LogRest) -> LogLoss {
        let LogPos { epoch, seq } = missing.first;
        let mut what = match &self.end {
            Some(end) if end.at == missing.first => end.why.clone(),
            _ => format!("record {seq} of the intent log of epoch {epoch} is missing"),
        };
        if let Some(place) = rest.broken.first() {
            what = format!("{what}; something that is no record lies in {place}");
        }
        LogLoss {
            commit: None,
            records: missing.records,
            bytes: missing.bytes,
            whole: self.whole.min(missing.records),
            from: self.replayed.newest(),
            until: self.durable.newest(),
            what,
        }
    }

    /// What is no record, above all that is known to have been durable.
    fn torn(&self, rest: &LogRest) -> Option<String> {
        let end = self.end.as_ref().map(|end| {
            let (whole, bytes) = (self.whole, self.broken_bytes);
            format!(
                "{}; {bytes} bytes do not verify, {whole} whole records are behind",
                end.why
            )
        });
        let broken = rest.broken.first();
        end.or_else(|| broken.map(|place| format!("something that is no record lies in {place}")))
    }
}

#[cfg(test)]
mod tests;
