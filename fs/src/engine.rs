//! The filesystem without a mount: one lock, one open epoch, one commit under way.
//!
//! ```text
//!  callers --> names, attributes, file bytes --> open epoch --(freeze)--> frozen epoch --> commit --> head
//!     |                                             |
//!     `--fsync--> intent log <----------------------'
//! ```
//!
//! Locks: [`Engine::state`] is the only one that is ever held while another is taken (those inside
//! the caches). Sealing, hashing and reading file data happen outside of it; directory nodes are
//! read inside, from a cache.
//!
//! **Invariant:** the engine never reads the time of day; times come with each call, so a log
//! replays to the same tree. Its clock, an argument as its random bytes are ([`crate::Machine`]),
//! measures how long things take, to pace commits; nothing that is stored depends on that.

use crate::blocks::Blocks;
use crate::damage::{DamageRecord, KnownDamage};
use crate::namespace::view::view_of;
use crate::{Config, Error, InodeNo, LogLoss, Result};

use crate::state::State;
use cairn_merkle::{Epoch, LogKey, Twin, VolumeKey};
use parking_lot::{Condvar, Mutex, MutexGuard};
use std::time::Instant;

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
    /// What it was opened at, where the store's own head is an older one and was not made to
    /// follow.
    pub(crate) ahead: Option<Twin>,
    pub(crate) signals: Signals,
    /// Held while snapshots are made, changed or destroyed: one of these at a time.
    pub(crate) snapshotting: Mutex<()>,
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
    /// No put for the open epoch is under way any more.
    pub(crate) puts_done: Condvar,
    /// The committer has something to do.
    pub(crate) wake: Condvar,
    /// An fsync waits for the log and no append is under way.
    pub(crate) log_wanted: Condvar,
    /// The kernel refers to less.
    pub(crate) forgotten: Condvar,
}

pub(crate) type Guard<'a> = MutexGuard<'a, State>;

impl Engine {
    /// The engine's clock.
    pub(crate) fn now(&self) -> Instant {
        self.blocks.machine.now()
    }

    /// What this mount has met that is damaged.
    pub fn damage(&self) -> KnownDamage {
        self.damage.known()
    }

    /// Refuses changes to read-only volumes and to snapshots.
    pub(crate) fn writable(state: &State, ino: InodeNo) -> Result<()> {
        if view_of(ino) != 0 || ino == InodeNo::SNAPSHOTS {
            return Err(Error::ReadOnly("snapshots never change"));
        }
        state.life.writable()
    }

    /// Waits until the open epoch accepts puts, and joins them: the epoch is not closed before
    /// what this answers is dropped.
    pub(crate) fn begin_put<'s, 'g>(&'s self, state: &'s mut Guard<'g>) -> Put<'s, 'g> {
        while state.puts.is_shut() {
            self.signals.puts_done.wait(state);
        }
        state.puts.enter();
        Put {
            puts_done: &self.signals.puts_done,
            epoch: state.open.number(),
            state,
        }
    }

    /// Waits until no put for the open epoch is under way; those that come meanwhile wait for the
    /// next one.
    pub(crate) fn await_puts(&self, state: &mut Guard<'_>) {
        state.puts.shut();
        while state.puts.is_busy() {
            self.signals.puts_done.wait(state);
        }
        state.puts.open();
        self.signals.puts_done.notify_all();
    }

    /// Waits until no commit is under way.
    pub(crate) fn await_commit(&self, state: &mut Guard<'_>) {
        while state.commits.is_under_way() {
            self.signals.committed.wait(state);
        }
    }

    /// Has the committer begin a commit soon.
    pub(crate) fn want_commit(&self, state: &mut State) {
        if state.commits.want() {
            self.signals.wake.notify_all();
        }
    }

    /// Runs `replay`, in which operations are not logged again and no inode leaves memory.
    pub(crate) fn replaying<T>(state: &mut State, replay: impl FnOnce(&mut State) -> T) -> T {
        state.life.set_replaying(true);
        let done = replay(state);
        state.life.set_replaying(false);
        done
    }

    /// Stops all writing: what the store refused once is not trusted to be there later.
    pub(crate) fn fail(&self, state: &mut State, why: &'static str, error: &Error) {
        tracing::error!(%error, "{why}: the volume is read-only from now on");
        self.stop(state, why);
    }

    /// Ends all writing, and wakes every waiter to learn of it.
    pub(crate) fn stop(&self, state: &mut State, why: &'static str) {
        state.life.end_writing(why);
        self.signals.logged.notify_all();
        self.signals.committed.notify_all();
        self.signals.puts_done.notify_all();
        self.signals.wake.notify_all();
    }
}

/// A put for the open epoch, under way as long as this lives.
pub(crate) struct Put<'s, 'g> {
    puts_done: &'s Condvar,
    pub(crate) epoch: Epoch,
    pub(crate) state: &'s mut Guard<'g>,
}

impl Drop for Put<'_, '_> {
    fn drop(&mut self) {
        self.state.puts.leave();
        self.puts_done.notify_all();
    }
}
