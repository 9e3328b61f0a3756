//! The filesystem without a mount: one lock, one open epoch, one commit under way.
//!
//! ```text
//!  callers --> names, attributes, file bytes --> open epoch --(freeze)--> frozen epoch --> commit --> head
//!     |                                             |
//!     `--fsync--> intent log <----------------------'
//! ```
//!
//! Locks: [`Engine::state`] is the only one that is ever held while another is taken (those inside the caches).
//! Sealing, hashing and reading file data happen outside of it; directory nodes are read inside, from a cache.
//!
//! **Invariant:** the engine never reads the time of day; times come with each call, so a log replays to the same tree. It
//! measures how long things take, to pace itself; nothing that is stored depends on that.

use crate::blocks::Blocks;
use crate::damage::{DamageRecord, KnownDamage};
use crate::namespace::view::view_of;
use crate::recover::LogLoss;
use crate::state::State;
use crate::{Error, InodeNo, Result};
use cairn_merkle::{Epoch, LogKey, VolumeKey};
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::time::Duration;

/// What part of [`Config::memory_bytes`] is for what: one in so many.
pub(crate) const DIRTY_SHARE: u64 = 2;
pub(crate) const CACHE_SHARE: u64 = 4;
pub(crate) const INODES_SHARE: u64 = 4;

/// How much memory the engine takes and how often it commits.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Upper bound for dirty data (half of it), caches and inodes (a quarter each) together, without the store's own. What
    /// inodes leave of theirs, dirty data may take.
    pub memory_bytes: u64,
    /// Inodes in memory that the kernel refers to and nobody uses; more are found again when they are needed.
    pub inodes_max: usize,
    /// Longest time that data stays in the open epoch.
    pub commit_interval: Duration,
    /// Threads that seal during a commit.
    pub workers: usize,
    /// Leaves of deleted files that one commit frees at most; the next ones go on with the rest.
    pub destroy_leaves: usize,
    /// How long after a sync of the log the mark may come that says so; a kill before that leaves it to the next record.
    pub mark_delay: Duration,
    /// Refuse all changes; nothing at all is written to the store.
    pub read_only: bool,
    /// Go on, for writing too, with what comes before the damage if the intent log is damaged; otherwise the volume is
    /// read-only then.
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
            inodes_max: crate::namespace::parking::inodes_in(memory_bytes / INODES_SHARE),
            commit_interval: Duration::from_secs(5),
            workers,
            // 4 GiB of records of the default size: the head's step, for which writers wait, stays below 50 ms.
            destroy_leaves: 1 << 15,
            // A busy log is marked a hundred times a second, at no cost that shows.
            mark_delay: Duration::from_millis(10),
            read_only: false,
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

/// A mounted volume's filesystem.
pub struct Engine {
    pub(crate) state: Mutex<State>,
    pub(crate) blocks: Blocks,
    pub(crate) key: VolumeKey,
    pub(crate) log_key: LogKey,
    pub(crate) volume_id: [u8; 16],
    pub(crate) record_size: u32,
    pub(crate) config: Config,
    /// A held version and not the newest one.
    pub(crate) past: bool,
    pub(crate) signals: Signals,
    /// What replaying the log found: what it lost, and what at its end is no record.
    pub(crate) log_loss: Option<LogLoss>,
    pub(crate) log_torn: Option<String>,
    pub(crate) damage: DamageRecord,
    pub(crate) committer: Mutex<Option<std::thread::JoinHandle<()>>>,
    pub(crate) logger: Mutex<Option<std::thread::JoinHandle<()>>>,
}

/// What threads wait for, all with [`Engine::state`].
#[derive(Default)]
pub(crate) struct Signals {
    /// The log's durable end moved.
    pub(crate) logged: Condvar,
    /// A commit ended.
    pub(crate) committed: Condvar,
    /// Nobody puts blocks for the open epoch any more.
    pub(crate) puts_done: Condvar,
    /// The committer has something to do.
    pub(crate) wake: Condvar,
    /// Somebody waits for the log and nobody appends to it.
    pub(crate) log_wanted: Condvar,
}

pub(crate) type Guard<'a> = MutexGuard<'a, State>;

impl Engine {
    /// What this mount has met that is damaged.
    pub fn damage(&self) -> KnownDamage {
        self.damage.known()
    }

    /// Refuses changes to read-only volumes and to snapshots.
    pub(crate) fn writable(state: &State, ino: InodeNo) -> Result<()> {
        if view_of(ino) != 0 || ino == InodeNo::SNAPSHOTS {
            return Err(Error::ReadOnly("snapshots never change"));
        }
        state.writable()
    }

    /// Waits until the open epoch accepts puts, and joins them: the epoch is not frozen before [`Self::end_put`].
    pub(crate) fn begin_put(&self, state: &mut Guard<'_>) -> Epoch {
        while state.log.freezing {
            self.signals.puts_done.wait(state);
        }
        state.log.putting += 1;
        state.epoch
    }

    /// The counterpart of [`Self::begin_put`].
    pub(crate) fn end_put(&self, state: &mut Guard<'_>) {
        state.log.putting -= 1;
        self.signals.puts_done.notify_all();
    }

    /// Stops all writing: what the store refused once is not trusted to be there later.
    pub(crate) fn fail(&self, state: &mut State, why: &'static str, error: &Error) {
        tracing::error!(%error, "{why}: the volume is read-only from now on");
        self.stop(state, why);
    }

    /// Nothing is written any more; whoever waits for it learns so.
    pub(crate) fn stop(&self, state: &mut State, why: &'static str) {
        state.read_only.get_or_insert(why);
        self.signals.logged.notify_all();
        self.signals.committed.notify_all();
        self.signals.puts_done.notify_all();
        self.signals.wake.notify_all();
    }
}
