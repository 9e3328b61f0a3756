//! What a store promises of the intent log: sealed records in order, and marks beside them.

use crate::{Epoch, StoreError};
use bytes::Bytes;

/// Place of a record in the intent log: first by the epoch it adds to, then by its number within
/// it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogPos {
    /// The open epoch whose operations the record holds.
    pub epoch: Epoch,
    /// Counts from 0 within the epoch.
    pub seq: u64,
}

/// What a store found of its log besides whole records. None of it is believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogRest {
    /// What was given to [`Log::log_mark`] last, as far as it is there: one or more of the newest.
    pub marks: Vec<Bytes>,
    /// Places where there is something of a record, but not what would tell which one, as people
    /// find them.
    pub broken: Vec<String>,
}

/// The intent log. Only a swap of the head trims it ([`crate::HeadSwap`]).
pub trait Log: Send + Sync {
    /// Appends log records; durable when it returns, with all that were written before. Of an
    /// append that a crash cuts off, any record may be there, whole or torn. Does not make earlier
    /// puts durable.
    fn log_append(&self, records: &[(LogPos, Bytes)]) -> Result<(), StoreError>;

    /// Appends log records that outlive this process when it returns, and a power cut from the next
    /// [`Self::log_append`] on, which may have none of its own.
    fn log_write(&self, records: &[(LogPos, Bytes)]) -> Result<(), StoreError> {
        self.log_append(records)
    }

    /// Log records from `from` on in order, stopping after about `bytes_max` (but at least one if
    /// there is one). Also those that may not be what was written, and those behind them.
    fn log_read(&self, from: LogPos, bytes_max: usize) -> Result<Vec<(LogPos, Bytes)>, StoreError>;

    /// Keeps a mark beside the log: what the trusted side says of how far it is durable. It
    /// outlives this process when it returns, and a power cut perhaps; it makes nothing wait. The
    /// newest ones are kept.
    fn log_mark(&self, mark: &[u8]) -> Result<(), StoreError> {
        let _ = mark;
        Ok(())
    }

    /// The marks, and what of the log is there without being a record.
    fn log_rest(&self) -> Result<LogRest, StoreError> {
        Ok(LogRest::default())
    }
}
