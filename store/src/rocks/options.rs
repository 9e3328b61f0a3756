//! The settings of RocksDB, the index, and the reasons for them.
//!
//! ```text
//!   memory_bytes ---- 1/4  three memtables of `blocks`: one fills, one is flushed, one waits
//!                `--- 1/64 two memtables of `default` (the head)
//!                `--- 1/2  cache of places and filters; sealed blocks are cached where they are opened
//! ```
//!
//! Entries are some fifty bytes each and looked up one at a time, by names that are spread
//! evenly. Hence there is a filter for absent names, and no compression. Table blocks of 16 KiB
//! are a quarter as many as of RocksDB's 4 KiB. So are the reads where most of a cold index is
//! looked up.
//!
//! Filters and indexes of tables are in parts of a few KiB, and the cache in few shards. The
//! cache never keeps an entry larger than a shard. An undivided filter of a table of a million
//! blocks (1.3 MB) was read from its file for each lookup.
//!
//! Both column families are flushed together, and each always has a row to flush. So one log of
//! RocksDB's is in use at a time, and all before it are past. Were one flushed alone, damage of a
//! log that only the other needs would make RocksDB refuse the database.
//!
//! RocksDB would write the machine's name into each table, and the store's path into a log of its
//! own beside them. The outside can read everything in the store. So tables name no host, and
//! RocksDB's messages go to our log.

use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, DBCompressionType, DBRecoveryMode, Error, InfoLogger,
    LogLevel, LruCacheOptions, Options,
};

/// What a store may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreOptions {
    /// Memory for memtables and caches together. Less means smaller flushes, not failure.
    pub memory_bytes: usize,
    /// Room on the device that block puts leave free, so that deletes and the swap of the head
    /// still succeed on a full one. Log records may take half of it.
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

/// Above this much write-ahead log, the memtables that keep it alive are flushed. RocksDB
/// preallocates up to this size.
const WAL_BYTES_MAX: u64 = 16 << 20;

/// More would only make recovery after a crash longer.
const MEMTABLE_BYTES_MAX: usize = 8 << 20;

/// A power of two: enough for the few threads that look blocks up.
const CACHE_SHARD_BITS: i32 = 2;

/// Flush after this many range deletions, since every read consults them. Each swap of the head
/// adds one.
pub(crate) const MEMTABLE_TUNING: [(&str, &str); 1] = [("memtable_max_range_deletions", "256")];

/// Options of the database as a whole.
pub(crate) fn database(create: bool) -> Result<Options, Error> {
    // The crate has no setter for it.
    let mut options = Options::default().get_options_from_string("db_host_id=cairn")?;
    options.create_if_missing(create);
    options.create_missing_column_families(create);
    options.set_error_if_exists(create);
    options.set_paranoid_checks(true);
    // Log records up to the first torn one. A crash leaves such a one only of writes that were
    // never reported durable.
    options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
    options.set_atomic_flush(true);
    options.set_max_total_wal_size(WAL_BYTES_MAX);
    options.set_bytes_per_sync(1 << 20);
    options.set_max_background_jobs(2);
    options.set_max_open_files(512);
    options.set_info_logger(InfoLogger::new_callback_logger(LogLevel::Warn, log));
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    Ok(options)
}

fn log(level: LogLevel, line: &str) {
    match level {
        LogLevel::Error | LogLevel::Fatal => tracing::error!("RocksDB: {line}"),
        LogLevel::Warn => tracing::warn!("RocksDB: {line}"),
        // The header of a log without a file: versions and options.
        LogLevel::Debug | LogLevel::Info | LogLevel::Header => {}
    }
}

/// Options of the column family of blocks, their names and fresh marks.
pub(crate) fn blocks(store: &StoreOptions, cache: &Cache) -> Options {
    let mut options = family(cache);
    options.set_write_buffer_size((store.memory_bytes / 12).clamp(1 << 20, MEMTABLE_BYTES_MAX));
    options.set_max_write_buffer_number(3);
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
    let mut options = LruCacheOptions::default();
    options.set_capacity((store.memory_bytes / 2).max(1 << 20));
    options.set_num_shard_bits(CACHE_SHARD_BITS);
    Cache::new_lru_cache_opts(&options)
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
    table.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
    table.set_partition_filters(true);
    table.set_pin_top_level_index_and_filter(true);
    table.set_format_version(6);
    let mut options = Options::default();
    options.set_block_based_table_factory(&table);
    options.set_compression_type(DBCompressionType::None);
    options.set_bottommost_compression_type(DBCompressionType::None);
    options
}
