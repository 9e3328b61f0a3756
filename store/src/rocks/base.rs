//! The store and the common ground of its files: lasting failures, writes, walks over the index,
//! room.

use super::ahead::Ahead;
use super::index;
use super::intent::{IntentLog, Marks};
use super::reached::Reached;
use super::space::{Claim, Space};
use crate::error::failed;
use crate::lock::DirLock;
use crate::own::Access;
use crate::pack::{Packs, Place};
use bytes::Bytes;
use cairn_block::{Cid, StoreError, StoreStats};
use parking_lot::Mutex;
use rocksdb::{
    ColumnFamily, DB, DBRawIterator, DEFAULT_COLUMN_FAMILY_NAME, ReadOptions, WriteBatch, WriteOptions,
    properties,
};
use rustc_hash::FxHashMap;
use std::{
    io,
    path::PathBuf,
    sync::Arc,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    time::Instant,
};

/// Sealed blocks in a directory of its own. See the picture in rocks.rs.
pub struct RocksStore {
    // Dropped first: its writer tells the index of its last blocks.
    pub(super) packs: Packs,
    pub(super) path: PathBuf,
    pub(super) db: Arc<DB>,
    pub(super) ahead: Ahead,
    pub(super) space: Space,
    pub(super) intent: Mutex<IntentLog>,
    pub(super) marks: Mutex<Marks>,
    /// Bytes of the intent log's files, for callers that must not wait until an append is
    /// durable.
    pub(super) intent_bytes: AtomicU64,
    /// Held while the log is synced: a caller that finds nothing to sync knows that no sync of it
    /// is under way.
    pub(super) syncing: Mutex<()>,
    pub(super) reclaiming: Mutex<()>,
    /// Held while the head is compared and swapped.
    pub(super) reached: Mutex<Reached>,
    /// Where blocks lie that the next swap of the head deletes. Nothing that lives is ever moved.
    pub(super) doomed: Mutex<FxHashMap<Cid, Place>>,
    pub(super) stats: Mutex<Option<(Instant, StoreStats)>>,
    pub(super) failed: AtomicBool,
    /// Opened to be read alone: every change is refused.
    pub(super) access: Access,
    // Dropped last: until then nothing of the store may be another's.
    pub(super) lock: DirLock,
}

impl RocksStore {
    pub(super) fn blocks(&self) -> &ColumnFamily {
        index::of(&self.db)
    }

    pub(super) fn journal(&self) -> &ColumnFamily {
        self.db
            .cf_handle(DEFAULT_COLUMN_FAMILY_NAME)
            .expect("every database has the default column family")
    }

    pub(super) fn meta(&self, verb: &'static str, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let value = self
            .db
            .get_cf(self.journal(), key)
            .map_err(|error| failed(verb, error))?;
        Ok(value.map(Bytes::from))
    }

    /// Remembers that a change failed, and says so.
    pub(super) fn poison(&self, verb: &'static str, error: rocksdb::Error) -> StoreError {
        self.failed.store(true, SeqCst);
        failed(verb, error)
    }

    pub(super) fn check_alive(&self, verb: &'static str) -> Result<(), StoreError> {
        if !self.access.writes() {
            return Err(StoreError::io(verb, io::ErrorKind::ReadOnlyFilesystem.into()));
        }
        if self.failed.load(SeqCst) {
            return Err(StoreError::io(
                verb,
                io::Error::other("an earlier write failed: reopen the store"),
            ));
        }
        Ok(())
    }

    /// A device without room is no failure; anything else is one for good.
    pub(super) fn poison_unless_full(&self, verb: &'static str, source: io::Error) -> StoreError {
        let error = StoreError::io(verb, source);
        if !error.is_full() {
            self.failed.store(true, SeqCst);
        }
        error
    }

    /// Fails for good once a flush or compaction has failed in the background.
    pub(super) fn check_background(&self, verb: &'static str) -> Result<(), StoreError> {
        let errors = self.db.property_int_value(properties::BACKGROUND_ERRORS);
        if errors.map_err(|error| failed(verb, error))?.unwrap_or(0) > 0 {
            self.failed.store(true, SeqCst);
        }
        self.check_alive(verb)
    }

    pub(super) fn write(
        &self,
        verb: &'static str,
        batch: WriteBatch,
        options: &WriteOptions,
    ) -> Result<(), StoreError> {
        self.db
            .write_opt(batch, options)
            .map_err(|error| self.poison(verb, error))
    }

    pub(super) fn take_space(&self, verb: &'static str, claim: Claim, bytes: u64) -> Result<(), StoreError> {
        self.space
            .take(claim, bytes)
            .map_err(|source| StoreError::io(verb, source))
    }

    /// Walks the keys of `prefix` from `start` until `visit` returns false.
    pub(super) fn walk(
        &self,
        verb: &'static str,
        family: &ColumnFamily,
        range: (u8, &[u8]),
        visit: impl FnMut(&DBRawIterator<'_>) -> bool,
    ) -> Result<(), StoreError> {
        self.walk_with(ReadOptions::default(), verb, family, range, visit)
    }

    pub(super) fn walk_with(
        &self,
        mut options: ReadOptions,
        verb: &'static str,
        family: &ColumnFamily,
        (prefix, start): (u8, &[u8]),
        mut visit: impl FnMut(&DBRawIterator<'_>) -> bool,
    ) -> Result<(), StoreError> {
        // Without the bound, a walk at the end of a prefix reads into tables of the next. And a
        // walk over everything must not push places of blocks in use out of the cache.
        options.set_iterate_upper_bound(vec![prefix + 1]);
        options.fill_cache(false);
        let mut iter = self.db.raw_iterator_cf_opt(family, options);
        iter.seek(start);
        while iter.valid() && visit(&iter) {
            iter.next();
        }
        // An iterator that meets damage is no longer valid: only its status tells that from the
        // end.
        iter.status().map_err(|error| failed(verb, error))
    }

    pub(super) fn drain(&self, verb: &'static str) -> Result<(), StoreError> {
        let drained = self.packs.drain();
        drained.map_err(|source| StoreError::io(verb, source))
    }

    pub(super) fn sync_packs(&self, verb: &'static str) -> Result<(), StoreError> {
        // Failed for good, even for want of room: the disk refused data once that was to be
        // durable.
        self.packs.sync().map_err(|source| {
            self.failed.store(true, SeqCst);
            StoreError::io(verb, source)
        })
    }

    pub(super) fn available_bytes(&self) -> Result<u64, StoreError> {
        let available = self.space.available_bytes();
        available.map_err(|source| StoreError::io("measure its room", source))
    }

    pub(super) fn measure(&self) -> Result<StoreStats, StoreError> {
        let io = |source| StoreError::io("measure its size", source);
        Ok(StoreStats {
            used_bytes: self.space.used_bytes().map_err(io)?
                + self.packs.used_bytes().map_err(io)?
                + self.intent_bytes.load(SeqCst),
            available_bytes: self.available_bytes()?,
            garbage_bytes: self.packs.garbage().bytes(),
        })
    }
}

/// Options of a write that is durable when it returns.
pub(super) fn synced() -> WriteOptions {
    let mut options = WriteOptions::default();
    options.set_sync(true);
    options
}
