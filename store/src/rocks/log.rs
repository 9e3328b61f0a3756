//! The store's side of the intent log: room, failures and the locks around [`IntentLog`].
//!
//! ```text
//!   log_append --> write (lock `intent`) --> fdatasync (lock `syncing`, without `intent`) --> log_mark
//!   swap_head  --> trim; the first of a mount: the log begins anew, and its floor is written with the head
//! ```
//!
//! **Invariant:** a failed sync leaves the store failed, so no mark ever says more than is
//! durable.

use super::base::RocksStore;
use super::intent::{IntentLog, Soon, Use};
use super::space::Claim;
use bytes::Bytes;
use cairn_block::{Epoch, HeadSwap, Log, LogPos, LogRest, StoreError};
use std::io;
use std::sync::atomic::Ordering::SeqCst;

impl Log for RocksStore {
    fn log_append(&self, records: &[(LogPos, Bytes)]) -> Result<(), StoreError> {
        self.write_records(records, Soon::Now)?;
        // Outside the log's lock: what comes meanwhile is written beside the sync, and waits for
        // one of its own.
        let _one = self.syncing.lock();
        // Asked again: the sync that was waited for may have failed, and with it these records.
        self.check_alive("append to the log")?;
        let unsynced = self.intent.lock().take_unsynced();
        let Some(file) = unsynced else { return Ok(()) };
        rustix::fs::fdatasync(&*file).map_err(|error| self.log_failed(error.into()))
    }

    fn log_write(&self, records: &[(LogPos, Bytes)]) -> Result<(), StoreError> {
        self.write_records(records, Soon::Later)
    }

    fn log_read(&self, from: LogPos, bytes_max: usize) -> Result<Vec<(LogPos, Bytes)>, StoreError> {
        Ok(self.intent.lock().read(from, bytes_max))
    }

    /// The mark is behind a sync that went well. That it is not written costs what it would have
    /// proven, and no sync.
    fn log_mark(&self, mark: &[u8]) -> Result<(), StoreError> {
        let verb = "mark the log";
        self.check_alive(verb)?;
        let marked = self.marks.lock().write(mark);
        marked.map_err(|source| StoreError::io(verb, source))
    }

    fn log_rest(&self) -> Result<LogRest, StoreError> {
        let marks = self.marks.lock().read();
        Ok(LogRest {
            marks: marks.map_err(|source| StoreError::io("read the marks of the log", source))?,
            broken: self.intent.lock().broken().to_vec(),
        })
    }
}

impl RocksStore {
    fn write_records(&self, records: &[(LogPos, Bytes)], soon: Soon) -> Result<(), StoreError> {
        let verb = "append to the log";
        self.check_alive(verb)?;
        let mut intent = self.intent.lock();
        // Room first: a refusal leaves no half of a record.
        match intent.wants_bytes(records) {
            0 => {}
            bytes => self.take_space(verb, Claim::Log, bytes)?,
        }
        let written = intent.write(records, soon);
        // Not out of what is kept back: without it, fsync is slower for a moment and nothing else.
        let ahead = intent.wants_ahead();
        if ahead > 0 && self.space.take(Claim::Blocks, ahead).is_ok() {
            intent.make_ahead();
        }
        self.intent_bytes.store(intent.used_bytes(), SeqCst);
        written.map_err(|source| self.log_failed(source))
    }

    /// Where the log begins after this swap, if it begins anew.
    pub(super) fn log_floor(&self, swap: &HeadSwap<'_>) -> Option<Use> {
        swap.restarts_log.then(|| self.intent.lock().next_use())
    }

    /// A swap of the head is durable.
    pub(super) fn settle_log(&self, floor: Option<Use>, settled: Epoch) {
        self.trim_intent(|intent| {
            // The floor first: records below it are past whatever their epoch says.
            if let Some(floor) = floor {
                intent.restart(floor);
            }
            intent.trim(settled);
        });
    }

    pub(super) fn trim_intent(&self, trim: impl FnOnce(&mut IntentLog)) {
        let mut intent = self.intent.lock();
        trim(&mut intent);
        self.intent_bytes.store(intent.used_bytes(), SeqCst);
    }

    fn log_failed(&self, source: io::Error) -> StoreError {
        self.failed.store(true, SeqCst);
        StoreError::io("append to the log", source)
    }
}
