//! The progress of the store: the number of the newest swap of the head, the epoch settled, the
//! start of the log.
//!
//! ```text
//!   column family `default`: m reached --.
//!                                     +-- the further of those that can be read
//!   column family `blocks`:  m reached --'
//! ```
//!
//! It is in tables of both: damage to the tables of the head does not reach the number of that
//! head's twin.

use super::intent::Use;
use super::{index, keys};
use crate::error::failed;
use cairn_block::{Epoch, StoreError};
use rocksdb::{ColumnFamily, DB, DEFAULT_COLUMN_FAMILY_NAME, WriteBatch};

const LEN: usize = 3 * 8;

/// See the module's picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reached {
    /// Swaps of the head so far.
    pub(super) swaps: u64,
    /// Highest epoch settled so far.
    pub(super) settled: Option<Epoch>,
    /// The first use of a segment whose records are not past.
    pub(super) log_floor: Use,
}

impl Default for Reached {
    fn default() -> Self {
        Self {
            swaps: 0,
            settled: None,
            log_floor: Use::FIRST,
        }
    }
}

impl Reached {
    /// Reads it.
    ///
    /// # Errors
    /// When neither copy can be read.
    pub(super) fn read(db: &DB) -> Result<Self, StoreError> {
        let families = [db.cf_handle(DEFAULT_COLUMN_FAMILY_NAME), Some(index::of(db))];
        let read = families.into_iter().flatten().map(|family| {
            let found = db.get_cf(family, keys::REACHED);
            found.map_err(|error| failed("read how far it is", error))
        });
        // The further one: both are written in one batch, so one that is behind was restored or
        // lost.
        let (mut reached, mut failure, mut readable) = (Self::default(), None, false);
        for found in read {
            match found {
                Ok(found) => {
                    readable = true;
                    let found = found.and_then(|bytes| Self::decode(&bytes)).unwrap_or_default();
                    reached = if found.swaps > reached.swaps {
                        found
                    } else {
                        reached
                    };
                }
                Err(error) => failure = Some(error),
            }
        }
        match failure {
            // One damaged copy is what the other is for. A read that failed otherwise may work next
            // time, and must not open the store at an older swap.
            Some(error) if !readable || !error.is_damage() => Err(error),
            _ => Ok(reached),
        }
    }

    /// What a swap leaves which settles `settled`, and begins the log anew at `log_floor` if it
    /// does.
    pub(super) fn after(self, settled: Epoch, log_floor: Option<Use>) -> Self {
        Self {
            swaps: self.swaps + 1,
            settled: self.settled.max(Some(settled)),
            log_floor: log_floor.unwrap_or(self.log_floor),
        }
    }

    /// Has `batch` write both copies, one in each of these column families.
    pub(super) fn put_into(self, batch: &mut WriteBatch, families: [&ColumnFamily; 2]) {
        for family in families {
            batch.put_cf(family, keys::REACHED, self.encode());
        }
    }

    /// Big-endian: swaps, settled epoch, floor of the log (docs/format.md, section 17). There is
    /// none before the first swap.
    pub(super) fn encode(self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        bytes[..8].copy_from_slice(&self.swaps.to_be_bytes());
        bytes[8..16].copy_from_slice(&self.settled.unwrap_or(Epoch(0)).0.to_be_bytes());
        bytes[16..].copy_from_slice(&self.log_floor.0.to_be_bytes());
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; LEN] = bytes.try_into().ok()?;
        let number = |at: usize| u64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
        Some(Self {
            swaps: number(0),
            settled: Some(Epoch(number(8))),
            log_floor: Use(number(16)),
        })
    }
}
