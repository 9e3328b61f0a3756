//! How much memory the engine takes and how often it commits; a volume's limits.

use std::time::Duration;

/// Divisors of [`Config::memory_bytes`]: dirty data gets 1/2, the cache and inodes 1/4 each.
pub(crate) const DIRTY_SHARE: u64 = 2;

pub(crate) const CACHE_SHARE: u64 = 4;

pub(crate) const INODES_SHARE: u64 = 4;

/// What an inode in memory takes, with its name, its body and its place in the tables.
pub(crate) const INODE_BYTES: u64 = 800;

/// As many inodes as fit `bytes`.
pub(crate) fn inodes_in(bytes: u64) -> usize {
    usize::try_from(bytes / INODE_BYTES).unwrap_or(usize::MAX)
}

/// How much memory the engine takes and how often it commits.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Upper bound for dirty data (half of it), caches and inodes (a quarter each) together,
    /// without the store's own. What inodes leave of theirs, dirty data may take.
    pub memory_bytes: u64,
    /// Idle inodes in memory that the kernel refers to; more are found again when they are needed.
    pub inodes_max: usize,
    /// Longest time that data stays in the open epoch.
    pub commit_interval: Duration,
    /// Threads that seal during a commit.
    pub workers: usize,
    /// Leaves of deleted files that one commit frees at most; the next ones go on with the rest.
    pub destroy_leaves: usize,
    /// How long after a sync of the log the mark may come that says so; a kill before that leaves
    /// it to the next record.
    pub mark_delay: Duration,
    /// Refuse all changes; nothing at all is written to the store.
    pub read_only: bool,
    /// `mkdir` and `rmdir` in `.snapshots` take and destroy snapshots. Without it they are refused:
    /// what restores a tree would make snapshots of the volume it writes to.
    pub snapshot_dirs: bool,
    /// If what was synced is lost, of the intent log or with a commit: go on, for writing too, with
    /// what comes before it. Otherwise the volume is read-only then.
    pub accept_log_loss: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self::with_memory(384 << 20)
    }
}

impl Config {
    /// The defaults, for this much memory.
    pub fn with_memory(memory_bytes: u64) -> Self {
        let workers = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            memory_bytes,
            inodes_max: inodes_in(memory_bytes / INODES_SHARE),
            commit_interval: Duration::from_secs(5),
            workers,
            // 4 GiB of records of the default size: the head's step, for which writers wait, stays
            // below 50 ms.
            destroy_leaves: 1 << 15,
            // A busy log is marked a hundred times a second, at no cost that shows.
            mark_delay: Duration::from_millis(10),
            read_only: false,
            snapshot_dirs: false,
            accept_log_loss: false,
        }
    }
}

/// Limits of a volume; `None` for none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// Plain bytes.
    pub bytes: Option<u64>,
    /// Files, directories and everything else with an inode.
    pub inodes: Option<u64>,
}
