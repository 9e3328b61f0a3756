//! How far the intent log reaches: what a mark says of what is durable, and each record repeats of
//! the last mark.
//!
//! ```text
//!  seal: record --add--> sealed so far --sync returned--> mark: marks file, and every record from then on
//!  replay: marks, records found anywhere --merge--> what must be there  -  what was replayed  =  what is lost
//! ```
//!
//! It covers the epochs that no commit has made superfluous: the open one, and the one under
//! commit.
//!
//! **Invariant:** a reach is written down as a mark only after everything in it was synced. So a
//! record that is in it and is not found was there once.

use crate::stored::codec::{Decoder, Encoder};
use crate::{Result, Time};
use cairn_merkle::{Epoch, LogKey, LogPos};

/// One epoch's records, from the first on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Share {
    epoch: Epoch,
    records: u64,
    /// As they are stored.
    bytes: u64,
}

/// So many records of these epochs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reach {
    shares: Vec<Share>,
    /// Of the newest operation in them; 1970 while there is none.
    newest: Time,
    /// The newest commit that was done.
    committed: Epoch,
}

/// What one reach has and another lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Missing {
    /// The first record.
    pub(crate) first: LogPos,
    pub(crate) records: u64,
    pub(crate) bytes: u64,
}

/// Epochs that are not settled: the one under commit and the open one.
const SHARES_MAX: u8 = 2;

impl Reach {
    /// One more record, the next of its epoch, with operations up to `newest`.
    pub(crate) fn add(&mut self, epoch: Epoch, bytes: usize, newest: Time) {
        self.newest = self.newest.max(newest);
        let share = match self.shares.iter_mut().find(|share| share.epoch == epoch) {
            Some(share) => share,
            None => self.shares.push_mut(Share {
                epoch,
                records: 0,
                bytes: 0,
            }),
        };
        // A count says which: the records of an epoch are numbered from 0.
        share.records += 1;
        share.bytes += bytes as u64;
    }

    /// A commit made the records of epochs up to `settled` superfluous.
    pub(crate) fn settle(&mut self, settled: Epoch) {
        self.shares.retain(|share| share.epoch > settled);
    }

    /// The commit of `epoch` is done, durably.
    pub(crate) fn commit(&mut self, epoch: Epoch) {
        self.committed = self.committed.max(epoch);
        // The head holds what these records say, so none of them can be missed any more.
        self.settle(epoch);
    }

    /// The newest commit that was done.
    pub(crate) fn committed(&self) -> Epoch {
        self.committed
    }

    /// As far as the further of the two.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.newest = self.newest.max(other.newest);
        self.committed = self.committed.max(other.committed);
        for share in &other.shares {
            match self.shares.iter_mut().find(|mine| mine.epoch == share.epoch) {
                // Both were true when they were sealed: the one that reaches further counts.
                Some(mine) if mine.records >= share.records => {}
                Some(mine) => *mine = *share,
                None => self.shares.push(*share),
            }
        }
    }

    /// What of this `other` lacks.
    pub(crate) fn beyond(&self, other: &Self) -> Option<Missing> {
        let mut shares = self.shares.clone();
        // By epoch: the loss is named by the first record that is missing.
        shares.sort_unstable_by_key(|share| share.epoch);
        let mut missing: Option<Missing> = None;
        for share in shares {
            let has = other.shares.iter().find(|has| has.epoch == share.epoch);
            let (records, bytes) = has.map_or((0, 0), |has| (has.records, has.bytes));
            if records >= share.records {
                continue;
            }
            let first = LogPos {
                epoch: share.epoch,
                seq: records,
            };
            let total = missing.get_or_insert(Missing {
                first,
                records: 0,
                bytes: 0,
            });
            total.records += share.records - records;
            total.bytes += share.bytes.saturating_sub(bytes);
        }
        missing
    }

    /// Of the newest operation, if there is one.
    pub(crate) fn newest(&self) -> Option<Time> {
        Some(self.newest).filter(|newest| *newest != Time::default())
    }

    pub(crate) fn encode(&self, out: &mut Encoder) {
        debug_assert!(
            self.shares.len() <= SHARES_MAX.into(),
            "a log spans two epochs at most"
        );
        out.time(self.newest)
            .u64(self.committed.0)
            .u8(u8::try_from(self.shares.len()).expect("two at most"));
        for share in &self.shares {
            out.u64(share.epoch.0).u64(share.records).u64(share.bytes);
        }
    }

    /// What a stored mark says; `None` if it is none of the mount with this key.
    pub(crate) fn of_mark(stored: &[u8], key: &LogKey) -> Option<Self> {
        let plain = key.open_mark(stored)?;
        Self::decode(&mut Decoder::new("mark", &plain)).ok()
    }

    pub(crate) fn decode(from: &mut Decoder<'_>) -> Result<Self> {
        let newest = from.time()?;
        let committed = Epoch(from.u64()?);
        let count = from.u8()?;
        if count > SHARES_MAX {
            return Err(from.error("a log spans more than two epochs").into());
        }
        let mut shares = Vec::new();
        for _ in 0..count {
            shares.push(Share {
                epoch: Epoch(from.u64()?),
                records: from.u64()?,
                bytes: from.u64()?,
            });
        }
        Ok(Self {
            shares,
            newest,
            committed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(shares: &[(u64, u64, u64)], newest: i64) -> Reach {
        let share = |&(epoch, records, bytes)| Share {
            epoch: Epoch(epoch),
            records,
            bytes,
        };
        Reach {
            shares: shares.iter().map(share).collect(),
            newest: Time(newest.into()),
            committed: Epoch(0),
        }
    }

    #[test]
    fn records_add_up_and_commits_take_them_away() {
        let mut sealed = Reach::default();
        sealed.add(Epoch(5), 100, Time(7));
        sealed.add(Epoch(5), 20, Time(3));
        sealed.add(Epoch(6), 1, Time(9));
        assert_eq!(sealed, reach(&[(5, 2, 120), (6, 1, 1)], 9));
        let settled = reach(&[(6, 1, 1)], 9);
        let mut past = sealed.clone();
        past.settle(Epoch(5));
        assert_eq!(past, settled);
        sealed.commit(Epoch(5));
        assert_eq!(sealed.committed(), Epoch(5));
        assert_eq!(sealed.shares, settled.shares);
        sealed.merge(&past);
        assert_eq!(sealed.committed(), Epoch(5), "the later commit counts");
        past.merge(&sealed);
        assert_eq!(past.committed(), Epoch(5));
    }

    #[test]
    fn what_one_has_beyond_another_is_counted_from_the_first_missing_one() {
        let must = reach(&[(5, 4, 400), (6, 2, 70)], 9);
        assert_eq!(must.beyond(&must), None);
        assert_eq!(Reach::default().beyond(&must), None);
        let missing = |epoch, seq, records, bytes| Missing {
            first: LogPos {
                epoch: Epoch(epoch),
                seq,
            },
            records,
            bytes,
        };
        let has = reach(&[(5, 4, 400), (6, 1, 30), (7, 9, 9)], 9);
        assert_eq!(must.beyond(&has), Some(missing(6, 1, 1, 40)));
        assert_eq!(must.beyond(&reach(&[(5, 1, 90)], 2)), Some(missing(5, 1, 5, 380)));
        assert_eq!(must.beyond(&Reach::default()), Some(missing(5, 0, 6, 470)));
    }

    #[test]
    fn the_further_of_two_counts_epoch_by_epoch() {
        let mut must = reach(&[(5, 4, 400)], 5);
        must.merge(&reach(&[(5, 3, 300), (6, 1, 10)], 9));
        must.merge(&reach(&[(6, 2, 20)], 8));
        assert_eq!(must, reach(&[(5, 4, 400), (6, 2, 20)], 9));
    }

    #[test]
    fn it_reads_back_as_it_was_written_and_not_otherwise() {
        for written in [Reach::default(), reach(&[(5, 4, 400), (6, 2, 70)], 9)] {
            let mut out = Encoder::default();
            written.encode(&mut out);
            let mut from = Decoder::new("mark", &out.0);
            assert_eq!(Reach::decode(&mut from).unwrap(), written);
            assert!(from.is_empty());
            for len in 0..out.0.len() {
                assert!(Reach::decode(&mut Decoder::new("mark", &out.0[..len])).is_err());
            }
            // The count, behind a time of 12 bytes and the commit.
            out.0[20] = 3;
            assert!(Reach::decode(&mut Decoder::new("mark", &out.0)).is_err());
        }
    }
}
