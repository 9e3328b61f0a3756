//! Gives the room of deleted blocks back to the device.
//!
//! ```text
//!   delete --> tombstone --1. compact names--> blob files know their garbage; wholly dead ones vanish
//!                                                    | still much garbage?
//!                                                    v
//!                                       2. compact with blob GC: live blocks move together, the rest vanishes
//! ```
//!
//! The second pass rewrites live blocks and needs room for them until it ends, so it takes only as large a share
//! of the blob files as the device has room for, the oldest first. It also runs when many syncs of little bulk data
//! have left many small blob files, which it merges.

use super::RocksStore;
use crate::error::failed;
use cairn_merkle::StoreError;
use rocksdb::{BottommostLevelCompaction, CompactOptions, properties};

/// From here on garbage is worth a reclaim, whatever its share.
const WORTH_BYTES: u64 = 32 << 20;
/// Below this it is not, whatever its share.
const WORTHLESS_BYTES: u64 = 1 << 20;
/// More blob files than this, of less than [`SMALL_BYTES`] on average, are worth merging.
const SCATTERED_FILES: u64 = 256;
/// Merging files below this size on average costs less than what listing and opening them goes on costing.
const SMALL_BYTES: u64 = 1 << 20;
/// The smallest share of the blob files worth a pass on a device almost full.
const SHARE_MIN: f64 = 0.02;

const LIVE_BLOBS: &str = "rocksdb.live-blob-file-size";
const BLOB_FILES: &str = "rocksdb.num-blob-files";
const BLOB_GARBAGE: &str = "rocksdb.live-blob-file-garbage-size";

/// How much of the stored bytes is dead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Garbage {
    /// Bytes of all blob files.
    pub(crate) total_bytes: u64,
    /// Bytes of deleted blocks, known from compactions or estimated from tombstones.
    pub(crate) garbage_bytes: u64,
    /// Number of blob files.
    file_count: u64,
}

impl Garbage {
    /// Whether a reclaim should begin, or go on to its second pass.
    fn is_worth_it(self) -> bool {
        let dead = self.garbage_bytes > WORTH_BYTES
            || self.garbage_bytes > (self.total_bytes / 4).max(WORTHLESS_BYTES);
        dead || self.file_count > SCATTERED_FILES.max(self.total_bytes / SMALL_BYTES)
    }

    /// Share of the blob files that can be rewritten with `available_bytes` of room.
    fn share(self, available_bytes: u64) -> f64 {
        let live_bytes = self.total_bytes - self.garbage_bytes;
        if live_bytes <= available_bytes {
            return 1.0;
        }
        // How the garbage is spread is not known: assume the oldest files are all alive.
        available_bytes as f64 / self.total_bytes as f64
    }
}

impl RocksStore {
    /// Exact for what compactions have seen; for the tombstones since, blocks are taken to be of average size.
    pub(crate) fn garbage(&self) -> Result<Garbage, StoreError> {
        let verb = "measure garbage";
        let total_bytes = self.blocks_property(verb, LIVE_BLOBS)?;
        let known_bytes = self.blocks_property(verb, BLOB_GARBAGE)?;
        let mut entries = self.blocks_property(verb, "rocksdb.num-entries-active-mem-table")?;
        entries += self.blocks_property(verb, "rocksdb.num-entries-imm-mem-tables")?;
        let mut tombstones = self.blocks_property(verb, "rocksdb.num-deletes-active-mem-table")?;
        tombstones += self.blocks_property(verb, "rocksdb.num-deletes-imm-mem-tables")?;
        for file in self.db.live_files().map_err(|error| failed(verb, error))? {
            if file.column_family_name == super::BLOCKS {
                entries += file.num_entries;
                tombstones += file.num_deletions;
            }
        }
        // A put writes three entries, a delete two tombstones.
        let blocks = entries.saturating_sub(tombstones) / 3;
        let unknown_bytes = match blocks {
            0 => 0,
            blocks => (total_bytes - known_bytes.min(total_bytes)) / blocks * (tombstones / 2),
        };
        Ok(Garbage {
            file_count: self.blocks_property(verb, BLOB_FILES)?,
            total_bytes,
            garbage_bytes: known_bytes.saturating_add(unknown_bytes).min(total_bytes),
        })
    }

    /// Both passes of the module's picture, as far as they are worth it.
    pub(crate) fn reclaim_garbage(&self) -> Result<(), StoreError> {
        let verb = "reclaim";
        let before = self.garbage()?;
        if !before.is_worth_it() {
            return Ok(());
        }
        self.flush_all(verb)?;
        self.compact(verb)?;
        let left = self.garbage()?;
        if left.is_worth_it() {
            let available_bytes = self
                .space
                .available_bytes(|| self.unwritten_bytes())
                .map_err(|source| StoreError::io(verb, source))?;
            let share = left.share(available_bytes);
            if share < SHARE_MIN {
                tracing::warn!(
                    ?left,
                    available_bytes,
                    "no room to move live blocks: their garbage stays"
                );
                return Ok(());
            }
            self.set_blob_gc(verb, Some(share))?;
            let compacted = self.compact(verb);
            // Off again whatever happened: in the background it would move live blocks for nothing.
            self.set_blob_gc(verb, None)?;
            compacted?;
        }
        tracing::debug!(?before, ?left, after = ?self.garbage()?, "reclaimed");
        Ok(())
    }

    /// Rewrites the tables of `blocks` so that tombstones meet what they delete.
    fn compact(&self, verb: &'static str) -> Result<(), StoreError> {
        let mut options = CompactOptions::default();
        options.set_bottommost_level_compaction(BottommostLevelCompaction::ForceOptimized);
        // Flushes and small compactions go on beside it.
        options.set_exclusive_manual_compaction(false);
        self.db
            .compact_range_cf_opt(self.blocks(), None::<&[u8]>, None::<&[u8]>, &options);
        // The call itself reports nothing.
        self.check_background(verb)
    }

    fn set_blob_gc(&self, verb: &'static str, share: Option<f64>) -> Result<(), StoreError> {
        let on = if share.is_some() { "true" } else { "false" };
        let share = format!("{:.3}", share.unwrap_or(0.25));
        let options = [
            ("enable_blob_garbage_collection", on),
            ("blob_garbage_collection_age_cutoff", &share),
        ];
        self.db
            .set_options_cf(self.blocks(), &options)
            .map_err(|error| failed(verb, error))
    }

    /// Bytes in memtables: they will want room on the device when they are flushed.
    pub(crate) fn unwritten_bytes(&self) -> u64 {
        let size = |family| {
            let size = self
                .db
                .property_int_value_cf(family, properties::CUR_SIZE_ALL_MEM_TABLES);
            size.ok().flatten().unwrap_or(0)
        };
        size(self.blocks()) + size(self.journal())
    }

    fn blocks_property(&self, verb: &'static str, name: &str) -> Result<u64, StoreError> {
        let value = self
            .db
            .property_int_value_cf(self.blocks(), name)
            .map_err(|error| failed(verb, error))?;
        Ok(value.unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_or_32_mib_is_worth_it_and_crumbs_are_not() {
        let worth = |total_bytes, garbage_bytes| {
            let garbage = Garbage {
                total_bytes,
                garbage_bytes,
                file_count: 1,
            };
            garbage.is_worth_it()
        };
        assert!(worth(1 << 30, 33 << 20));
        assert!(!worth(1 << 30, 31 << 20));
        assert!(worth(16 << 20, 5 << 20));
        assert!(!worth(16 << 20, 3 << 20));
        assert!(!worth(1 << 20, 1 << 20));
    }

    #[test]
    fn a_device_without_room_for_all_live_blocks_moves_a_share() {
        let garbage = Garbage {
            total_bytes: 1000,
            garbage_bytes: 400,
            file_count: 1,
        };
        assert_eq!(garbage.share(600), 1.0);
        assert_eq!(garbage.share(500), 0.5);
    }
}
