//! How RocksDB is set up, and why.
//!
//! ```text
//!   memory_bytes ---- 3/4  three memtables of `blocks`: one fills, one is flushed, one waits
//!                `--- 1/64 two memtables of `default` (the head)
//!                `--- 1/8  cache of index, filter and small values; sealed blocks are cached by those who open them
//! ```
//!
//! Sealed blocks do not compress, are written about once and die in groups: their values go to blob files, are
//! written once by the flush and never moved until [`super::reclaim`] does it on purpose.

use rocksdb::{BlockBasedOptions, Cache, DBCompressionType, DBRecoveryMode, LogLevel, Options};
use rustix::fs::{Mode, OFlags};
use std::path::Path;

/// What a store may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreOptions {
    /// Memory for memtables and caches together. Less means smaller flushes, not failure.
    pub memory_bytes: usize,
    /// Room on the device that block puts leave free, so that deletes and the swap of the head still succeed on a
    /// full one. Log records may take half of it.
    pub reserve_bytes: u64,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            memory_bytes: 256 << 20,
            reserve_bytes: 64 << 20,
        }
    }
}

/// Values below stay in the table: reading them costs one access instead of two, and moving them is cheap.
const BLOB_BYTES_MIN: u64 = 4 << 10;

/// Above this much write-ahead log, the memtables that keep it alive are flushed: it holds small puts, deletes and the
/// head. RocksDB preallocates up to this size.
const WAL_BYTES_MAX: u64 = 48 << 20;

/// Flush after this many range deletions, since every read consults them. Each swap of the head adds one.
pub(crate) const MEMTABLE_TUNING: [(&str, &str); 1] = [("memtable_max_range_deletions", "256")];

/// Options of the database as a whole.
pub(crate) fn database(dir: &Path, create: bool) -> Options {
    let mut options = Options::default();
    options.create_if_missing(create);
    options.create_missing_column_families(create);
    options.set_error_if_exists(create);
    options.set_paranoid_checks(true);
    // Log records up to the first torn one, which is what a crash leaves of writes nobody was told are durable.
    options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
    options.set_max_total_wal_size(WAL_BYTES_MAX);
    // Files written in order are read in order: the kernel may read ahead.
    options.set_advise_random_on_open(false);
    // Measured: 8 % faster than buffered, and the page cache keeps what is read rather than what was just written.
    options.set_use_direct_io_for_flush_and_compaction(direct_io_works(dir));
    options.set_bytes_per_sync(1 << 20);
    options.set_max_background_jobs(2);
    options.set_max_open_files(512);
    options.set_log_level(LogLevel::Warn);
    options.set_keep_log_file_num(2);
    options.set_max_log_file_size(1 << 20);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options
}

/// Options of the column family of blocks, their names and fresh marks.
pub(crate) fn blocks(store: &StoreOptions, cache: &Cache) -> Options {
    let mut options = family(cache);
    options.set_write_buffer_size((store.memory_bytes / 4).max(1 << 20));
    options.set_max_write_buffer_number(3);
    options.set_enable_blob_files(true);
    options.set_min_blob_size(BLOB_BYTES_MIN);
    options.set_blob_file_size(256 << 20);
    options.set_blob_compression_type(DBCompressionType::None);
    // In the background it would rewrite live blocks although nothing was deleted: 1.55 bytes written for each.
    options.set_enable_blob_gc(false);
    // Every sync with bulk data adds one small table: slow writers down late, compacting names is cheap.
    options.set_level_zero_slowdown_writes_trigger(40);
    options.set_level_zero_stop_writes_trigger(80);
    options
}

/// Options of the column family of the head and the header.
pub(crate) fn journal(store: &StoreOptions, cache: &Cache) -> Options {
    let mut options = family(cache);
    options.set_write_buffer_size((store.memory_bytes / 128).max(1 << 20));
    options.set_max_write_buffer_number(2);
    options
}

/// The cache both column families share.
pub(crate) fn cache(store: &StoreOptions) -> Cache {
    Cache::new_lru_cache((store.memory_bytes / 8).max(1 << 20))
}

fn family(cache: &Cache) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_block_size(16 << 10);
    table.set_bloom_filter(10.0, false);
    table.set_optimize_filters_for_memory(true);
    // Counted in the cache, so that filters of a large store stay within the budget.
    table.set_cache_index_and_filter_blocks(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    table.set_format_version(6);
    let mut options = Options::default();
    options.set_block_based_table_factory(&table);
    options.set_compression_type(DBCompressionType::None);
    options.set_bottommost_compression_type(DBCompressionType::None);
    options
}

/// Some filesystems (network, older tmpfs) refuse direct I/O only when a file is opened: ask with a nameless one.
fn direct_io_works(dir: &Path) -> bool {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::DIRECT | OFlags::CLOEXEC;
    rustix::fs::open(dir, flags, Mode::RUSR | Mode::WUSR).is_ok()
}
