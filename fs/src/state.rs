//! What the engine's lock guards: inodes in memory, the open epoch, the log buffer, the volume's numbers.

use crate::commit::epoch::{Closed, Frozen, Holds};
use crate::commit::open::{HeaderBlock, OpenEpoch, Pending};
use crate::data::puts::PutGate;
use crate::log::buffer::LogBuffer;
use crate::namespace::inode::Home;
use crate::namespace::inodes::Inodes;
use crate::namespace::parking::Parking;
use crate::stored::name::DirKey;
use crate::stored::volume::Volume;
use crate::versions::snapshots::Snapshots;
use crate::versions::standing::Join;
use crate::{Error, InodeNo, Name, Result};
use cairn_merkle::{Cid, Epoch};
use std::time::Instant;

/// Everything behind the one lock.
pub(crate) struct State {
    pub(crate) inodes: Inodes,
    pub(crate) open: OpenEpoch,
    /// What the epoch of the commit under way, or of the one that waits for room, takes.
    pub(crate) pending: Pending,
    pub(crate) puts: PutGate,
    /// The last commit, and its block.
    pub(crate) committed: Epoch,
    pub(crate) root: Cid,
    pub(crate) root_len: u32,
    /// When that commit's epoch was closed; for one that was found, when the volume was opened.
    pub(crate) closed: Closed,
    /// Inodes in the last commit; [`Volume::inodes`] counts those of the open epoch.
    pub(crate) committed_inodes: u64,
    /// The first copy of the head, as the store holds it; `None` if it cannot be read.
    pub(crate) head: Option<Vec<u8>>,
    /// The second copy of the head was not that head when the volume was opened: it tells nothing before a commit has
    /// written it.
    pub(crate) twin_doubted: bool,
    pub(crate) volume: Volume,
    /// What the held list is right for; `None` until a commit of this mount has seen to it.
    pub(crate) held_for: Option<Holds>,
    /// Pinned epochs: read at the moment, and whole until they are not.
    pub(crate) pins: Vec<Epoch>,
    pub(crate) snapshots: Snapshots,
    pub(crate) log: LogBuffer,
    /// An epoch that did not fit the store: frozen, and tried again before anything else is committed.
    pub(crate) stalled: Option<Box<Frozen>>,
    /// The last commit found the store full. Unlike `stalled`, it stays while that epoch is tried again.
    pub(crate) full: bool,
    /// A commit is wanted soon; the engine is being closed.
    pub(crate) commit_wanted: bool,
    pub(crate) closing: bool,
    /// A commit is under way.
    pub(crate) committing: bool,
    /// Whether a publication waits for it.
    pub(crate) join: Join,
    /// Commits that are done, for those who wait.
    pub(crate) commits_done: u64,
    /// How many commits were done when the store was last asked, for want of room, to give back what was deleted.
    pub(crate) given_back: u64,
    /// Something was deleted since: it may make room.
    pub(crate) deleted: bool,
    /// Deleted files of which the last commit left something to the next.
    pub(crate) destroying: usize,
    /// A commit could not place something, and no sync has reported it yet.
    pub(crate) untold_losses: bool,
    /// Why nothing may be written.
    pub(crate) read_only: Option<&'static str>,
    /// While the log is replayed, operations are not logged again and nothing is evicted.
    pub(crate) replaying: bool,
    /// The next head makes all of the log past: it was replayed, and nothing was logged since.
    pub(crate) restarts_log: bool,
}

impl State {
    /// The state of a volume at its newest commit, which is `(epoch, root, head)`.
    pub(crate) fn new(
        volume: Volume,
        snapshots: Snapshots,
        (committed, (root, root_len), head): (Epoch, (Cid, u32), Option<Vec<u8>>),
        header: HeaderBlock,
        parking: Parking,
    ) -> Self {
        Self {
            inodes: Inodes::new(parking),
            open: OpenEpoch::new(committed.next(), header),
            pending: Pending::default(),
            puts: PutGate::default(),
            committed,
            root,
            root_len,
            closed: Closed {
                at: Instant::now(),
                written_bytes: 0,
            },
            committed_inodes: volume.inodes,
            head,
            twin_doubted: false,
            volume,
            held_for: None,
            pins: Vec::new(),
            snapshots,
            log: LogBuffer::default(),
            stalled: None,
            full: false,
            commit_wanted: false,
            closing: false,
            committing: false,
            join: Join::default(),
            commits_done: 0,
            given_back: 0,
            deleted: false,
            destroying: 0,
            untold_losses: false,
            read_only: None,
            replaying: false,
            restarts_log: false,
        }
    }

    /// Whether a commit would change anything.
    pub(crate) fn has_changes(&self) -> bool {
        self.inodes.dirty().len() > 0 || self.asks_for_commit()
    }

    /// Whether there is something that only a commit does, and that is not in the log.
    pub(crate) fn asks_for_commit(&self) -> bool {
        self.stalled.is_some() || self.open.asks_for_commit() || self.snapshots.has_requests()
    }

    /// When the oldest change was made, or before, that a crash now would lose; `None` if the log has everything.
    pub(crate) fn volatile_since(&self) -> Option<Instant> {
        let unlogged = self.inodes.unlogged_since();
        unlogged.into_iter().chain(self.log.volatile_since).min()
    }

    pub(crate) fn writable(&self) -> Result<()> {
        self.read_only.map_or(Ok(()), |why| Err(Error::ReadOnly(why)))
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
        if !self.replaying {
            self.deleted |= self.inodes.evict_if_idle(ino);
        }
    }
}
