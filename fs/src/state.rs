//! What the engine's lock guards: inodes in memory, the open epoch, the log buffer, the volume's numbers.

use crate::commit::epoch::{Closed, Frozen, Holds};

use crate::log::buffer::LogBuffer;
use crate::namespace::inode::{Content, Home, Inode};
use crate::namespace::parking::Parking;

use crate::config::INODE_BYTES;
use crate::stored::name::DirKey;
use crate::stored::volume::Volume;
use crate::versions::snapshots::Snapshots;
use crate::versions::standing::Join;
use crate::{Error, InodeNo, Name, Result};
use cairn_merkle::{Cid, Epoch, Link};
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::Arc;
use std::time::Instant;

/// Everything behind the one lock.
pub(crate) struct State {
    pub(crate) inodes: FxHashMap<InodeNo, Inode>,
    pub(crate) parking: Parking,
    /// Inodes changed in the open epoch.
    pub(crate) dirty: FxHashSet<InodeNo>,
    /// Inodes that left the hard-link table in the open epoch.
    pub(crate) left_table: Vec<InodeNo>,
    /// Leaves put in the open epoch (or the last) that nothing names any more.
    pub(crate) dropped: Vec<Link>,
    /// Blocks that a crash left and nothing names: the next commit frees them.
    pub(crate) stranded: Vec<Cid>,
    /// The epoch that is filling.
    pub(crate) epoch: Epoch,
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
    /// Bytes of pieces in open layers, and in those of the commit under way.
    pub(crate) dirty_bytes: u64,
    pub(crate) frozen_bytes: u64,
    /// Inodes of the commit under way.
    pub(crate) frozen_inodes: usize,
    /// Memory that the open epoch takes beside data, inodes and the log, and that of the commit under way. Only grows
    /// within an epoch: see `data/admit.rs`.
    pub(crate) overhead_bytes: u64,
    pub(crate) frozen_overhead_bytes: u64,
    /// Sum of [`Inode::extra_bytes`] of the inodes in memory, as last counted.
    pub(crate) extra_bytes: u64,
    /// Bytes of files in the epochs closed since the volume was opened.
    pub(crate) written_bytes: u64,
    /// Bytes of leaves put in the open epoch, and in the one that is being committed: what a quota must count.
    pub(crate) put_bytes: u64,
    pub(crate) frozen_put_bytes: u64,
    /// Bulk puts that ended, and how many of them a sync has covered.
    pub(crate) bulk_puts: u64,
    pub(crate) bulk_synced: u64,
    /// An epoch that did not fit the store: frozen, and tried again before anything else is committed.
    pub(crate) stalled: Option<Box<Frozen>>,
    /// The last commit found the store full. Unlike `stalled`, it stays while that epoch is tried again.
    pub(crate) full: bool,
    /// The volume's own state changed: a quota, the log's salt.
    pub(crate) touched: bool,
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
    /// The header, put with each commit, and the hash of it that commits carry.
    pub(crate) header: Arc<[u8]>,
    /// The open epoch has another header than the one before.
    pub(crate) rekeyed: bool,
    pub(crate) header_hash: [u8; 32],
}

impl State {
    /// The state of a volume at its newest commit, which is `(epoch, root, head)`.
    pub(crate) fn new(
        volume: Volume,
        snapshots: Snapshots,
        (committed, (root, root_len), head): (Epoch, (Cid, u32), Option<Vec<u8>>),
        (header, header_hash): (Arc<[u8]>, [u8; 32]),
        parking: Parking,
    ) -> Self {
        Self {
            inodes: FxHashMap::default(),
            parking,
            dirty: FxHashSet::default(),
            left_table: Vec::new(),
            dropped: Vec::new(),
            stranded: Vec::new(),
            epoch: committed.next(),
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
            dirty_bytes: 0,
            frozen_bytes: 0,
            frozen_inodes: 0,
            overhead_bytes: 0,
            frozen_overhead_bytes: 0,
            extra_bytes: 0,
            written_bytes: 0,
            put_bytes: 0,
            frozen_put_bytes: 0,
            bulk_puts: 0,
            bulk_synced: 0,
            stalled: None,
            full: false,
            touched: false,
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
            header,
            rekeyed: false,
            header_hash,
        }
    }

    pub(crate) fn inode(&self, ino: InodeNo) -> Result<&Inode> {
        self.inodes.get(&ino).ok_or(Error::NoEntry)
    }

    pub(crate) fn inode_mut(&mut self, ino: InodeNo) -> Result<&mut Inode> {
        self.inodes.get_mut(&ino).ok_or(Error::NoEntry)
    }

    /// The inode, about to be changed: it joins the open epoch.
    pub(crate) fn change(&mut self, ino: InodeNo) -> Result<&mut Inode> {
        let inode = self.inodes.get_mut(&ino).ok_or(Error::NoEntry)?;
        if !inode.dirty {
            inode.dirty = true;
            self.dirty.insert(ino);
            self.overhead_bytes += crate::namespace::inode::RECORD_COPIES * inode.counted;
        }
        debug_assert!(self.dirty.contains(&ino), "a dirty inode is in the open epoch");
        if let Ok(file) = inode.file_mut() {
            file.unlogged.since.get_or_insert_with(Instant::now);
        }
        Ok(inode)
    }

    /// Whether a commit would change anything.
    pub(crate) fn has_changes(&self) -> bool {
        !self.dirty.is_empty() || self.asks_for_commit()
    }

    /// Whether there is something that only a commit does, and that is not in the log.
    pub(crate) fn asks_for_commit(&self) -> bool {
        self.stalled.is_some() || self.touched || self.rekeyed || self.snapshots.has_requests()
    }

    /// When the oldest change was made, or before, that a crash now would lose; `None` if the log has everything.
    pub(crate) fn volatile_since(&self) -> Option<Instant> {
        let unlogged = self.dirty.iter().filter_map(|ino| {
            let file = self.inodes.get(ino)?.file().ok()?;
            file.unlogged.since.filter(|_| !file.unlogged.is_empty())
        });
        unlogged.chain(self.log.volatile_since).min()
    }

    pub(crate) fn writable(&self) -> Result<()> {
        self.read_only.map_or(Ok(()), |why| Err(Error::ReadOnly(why)))
    }

    /// The path of an inode in memory, as far as it is known.
    pub(crate) fn path_of(&self, ino: InodeNo) -> Vec<u8> {
        let mut names = Vec::new();
        let mut at = ino;
        loop {
            match self.inodes.get(&at).map(|inode| &inode.home) {
                Some(Home::Entry { parent, key }) => {
                    names.push(key.name.as_bytes());
                    at = *parent;
                }
                Some(Home::Root) => break,
                // Several names lead to it, or none, or the one that does is not in memory.
                Some(Home::Table | Home::Orphan) | None => return format!("/(inode {ino})").into_bytes(),
            }
        }
        let path = names.iter().rev();
        path.flat_map(|name| [b"/".as_slice(), name].concat()).collect()
    }

    /// The path of a name in a directory.
    pub(crate) fn path_in(&self, dir: InodeNo, name: &Name) -> Vec<u8> {
        [self.path_of(dir).as_slice(), b"/", name.as_bytes()].concat()
    }

    /// Key of a name in any directory of this volume.
    pub(crate) fn key(&self, name: &Name) -> DirKey {
        DirKey::new(&self.volume.dir_key, name)
    }

    /// Adds an inode that was read from the tree or made just now.
    pub(crate) fn insert(&mut self, mut inode: Inode) {
        // One that was parked counts among its parent's children already.
        let parked = self.parking.arrive(&mut inode);
        if let Home::Entry { parent, .. } = &inode.home
            && !parked
            && let Some(parent) = self.inodes.get_mut(parent)
        {
            parent.children += 1;
        }
        let ino = inode.meta.ino;
        inode.counted = 0;
        if let Some(replaced) = self.inodes.insert(ino, inode) {
            self.extra_bytes -= replaced.counted;
        }
        self.weigh(ino);
    }

    /// Takes an inode out of memory.
    pub(crate) fn take(&mut self, ino: InodeNo) -> Option<Inode> {
        let inode = self.inodes.remove(&ino)?;
        self.extra_bytes -= inode.counted;
        Some(inode)
    }

    /// Counts anew what an inode takes. What a dirty one takes more, its commit takes too.
    pub(crate) fn weigh(&mut self, ino: InodeNo) {
        if let Some(inode) = self.inodes.get_mut(&ino) {
            let bytes = inode.extra_bytes();
            let before = std::mem::replace(&mut inode.counted, bytes);
            self.extra_bytes = self.extra_bytes + inode.counted - before;
            if inode.dirty {
                self.overhead_bytes += crate::namespace::inode::RECORD_COPIES * inode.counted;
            }
        }
    }

    /// Gives an inode another home.
    pub(crate) fn rehome(&mut self, ino: InodeNo, home: Home) -> Result<()> {
        if let Home::Entry { parent, .. } = &home
            && let Some(parent) = self.inodes.get_mut(parent)
        {
            parent.children += 1;
        }
        let old = std::mem::replace(&mut self.change(ino)?.home, home);
        if let Home::Entry { parent, .. } = old {
            self.child_gone(parent);
        }
        Ok(())
    }

    pub(crate) fn child_gone(&mut self, parent: InodeNo) {
        if let Some(inode) = self.inodes.get_mut(&parent) {
            inode.children = inode.children.saturating_sub(1);
        }
        self.evict_if_idle(parent);
    }

    /// Forgets an inode without references that the tree holds as it is. What is dead joins the open epoch, whose
    /// commit frees its blocks.
    pub(crate) fn evict_if_idle(&mut self, ino: InodeNo) {
        let Some(inode) = self.inodes.get(&ino) else {
            return;
        };
        if self.replaying || ino == InodeNo::ROOT || !inode.is_idle() || inode.frozen {
            return;
        }
        if inode.is_dead() {
            let dirty = inode.dirty;
            self.deleted = true;
            if !dirty && self.change(ino).is_err() {
                tracing::error!(%ino, "an inode vanished");
            }
            return;
        }
        if inode.dirty {
            return;
        }
        if let Some(Inode {
            home: Home::Entry { parent, .. },
            ..
        }) = self.take(ino)
        {
            self.child_gone(parent);
        }
    }

    /// Bytes the inodes in memory take, roughly.
    pub(crate) fn inode_bytes(&self) -> u64 {
        self.inodes.len() as u64 * INODE_BYTES + self.extra_bytes + self.parking.bytes() as u64
    }

    /// Whether a directory's open or frozen changes or its tree might hold names.
    pub(crate) fn is_empty_dir(&self, ino: InodeNo) -> Result<bool> {
        let inode = self.inode(ino)?;
        match &inode.content {
            Content::Dir(_) => Ok(inode.meta.size == 0),
            _ => Err(Error::NotDirectory),
        }
    }
}
