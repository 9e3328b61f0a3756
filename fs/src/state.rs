//! What the engine's lock guards, in parts.
//!
//! ```text
//!  inodes, log, open, puts --freeze--> pending --install--> committed, volume, snapshots
//!                               how far that is: commits        kept whole: pins
//! ```
//!
//! **The rule of the lock.** A function that takes a [`Guard`](crate::engine::Guard) by reference
//! may release the lock while it waits, for a commit, an append, a put or a block: what its caller
//! looked up before may be gone afterwards. A function that takes `&mut State` cannot: all it does
//! is one step to every other thread.

mod life;

use crate::commit::committed::Committed;
use crate::commit::open::{HeaderBlock, OpenEpoch, Pending};
use crate::commit::phase::Commits;
use crate::data::puts::PutGate;
use crate::log::buffer::LogBuffer;
use crate::machine::Machine;
use crate::namespace::inode::Home;
use crate::namespace::inodes::Inodes;
use crate::namespace::parking::Parking;
use crate::state::life::Life;
use crate::stored::name::DirKey;
use crate::stored::volume::Volume;
use crate::versions::snapshots::Snapshots;
use crate::{InodeNo, Name, Result};
use cairn_merkle::Epoch;
use std::time::Instant;

/// Everything behind the one lock. A part is changed by its own functions, or
/// replaced as a whole.
pub(crate) struct State {
    pub(crate) inodes: Inodes,
    pub(crate) open: OpenEpoch,
    /// What the epoch of the commit under way, or of the one that waits for room, takes.
    pub(crate) pending: Pending,
    pub(crate) puts: PutGate,
    pub(crate) committed: Committed,
    pub(crate) commits: Commits,
    pub(crate) volume: Volume,
    pub(crate) snapshots: Snapshots,
    /// Pinned epochs: read at the moment, and whole until they are not.
    pub(crate) pins: Vec<Epoch>,
    pub(crate) log: LogBuffer,
    pub(crate) life: Life,
}

impl State {
    /// The state of a volume that was found at this commit.
    pub(crate) fn new(
        volume: Volume,
        snapshots: Snapshots,
        committed: Committed,
        header: HeaderBlock,
        parking: Parking,
        machine: &Machine,
    ) -> Self {
        Self {
            inodes: Inodes::new(parking, machine.clone()),
            open: OpenEpoch::new(committed.epoch().next(), header),
            pending: Pending::default(),
            puts: PutGate::default(),
            committed,
            commits: Commits::default(),
            volume,
            snapshots,
            pins: Vec::new(),
            log: LogBuffer::new(machine.clone()),
            life: Life::default(),
        }
    }

    /// Whether a commit would change anything.
    pub(crate) fn has_changes(&self) -> bool {
        self.inodes.dirty().len() > 0 || self.asks_for_commit()
    }

    /// Whether there is something that only a commit does, and that is not in the log.
    pub(crate) fn asks_for_commit(&self) -> bool {
        self.commits.stalled().is_some() || self.open.asks_for_commit() || self.snapshots.has_requests()
    }

    /// When the oldest change was made, or before, that a crash now would lose; `None` if the log
    /// has everything.
    pub(crate) fn volatile_since(&self) -> Option<Instant> {
        let unlogged = self.inodes.unlogged_since();
        unlogged.into_iter().chain(self.log.volatile_since).min()
    }

    /// Key of a name in any directory of this volume.
    pub(crate) fn key(&self, name: &Name) -> DirKey {
        DirKey::new(&self.volume.dir_key, name)
    }

    /// Gives an inode another home.
    pub(crate) fn rehome(&mut self, ino: InodeNo, home: Home) -> Result<()> {
        if let Some(left) = self.inodes.rehome(ino, home)? {
            self.evict_if_idle(left);
        }
        Ok(())
    }

    /// A parked inode of this directory is forgotten.
    pub(crate) fn child_gone(&mut self, parent: InodeNo) {
        self.inodes.uncount_child(parent);
        self.evict_if_idle(parent);
    }

    /// [`Inodes::evict_if_idle`], but while the log is replayed, which may need it again.
    pub(crate) fn evict_if_idle(&mut self, ino: InodeNo) {
        if !self.life.is_replaying() && self.inodes.evict_if_idle(ino) {
            self.commits.note_deleted();
        }
    }
}
