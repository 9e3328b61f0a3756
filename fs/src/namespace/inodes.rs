//! The inodes in memory: found by number, changed, counted, forgotten.
//!
//! ```text
//!  read from the tree, or made
//!      |
//!    insert --> in memory --change--> dirty --close (a commit begins)--> frozen
//!               |  |  ^                                                    |
//!               |  |  `---------------- the commit is done ---------------'
//!               |  `--evict_if_idle--> forgotten
//!               `-----park_some------> parked
//! ```
//!
//! **Invariant:** an inode is marked dirty exactly while it is in the dirty set; `extra_bytes` is
//! the sum of what the inodes in memory were last counted with; a directory counts the inodes in
//! memory, or parked, whose home it is.
//!
//! What an inode leads to is found one level up ([`crate::namespace::lookup`]): nothing is read
//! from blocks here.

use crate::config::INODE_BYTES;
use crate::machine::Machine;
use crate::namespace::inode::{Home, Inode, RECORD_COPIES};
use crate::namespace::parking::Parking;
use crate::namespace::view::view_of;
use crate::{Error, InodeNo, Result};
use rustc_hash::{FxHashMap, FxHashSet};
use std::time::Instant;

/// All inodes in memory.
pub(crate) struct Inodes {
    machine: Machine,
    map: FxHashMap<InodeNo, Inode>,
    parking: Parking,
    /// Inodes changed in the open epoch.
    dirty: FxHashSet<InodeNo>,
    /// Inodes that left the hard-link table in the open epoch.
    left_table: Vec<InodeNo>,
    /// Sum of [`Inode::extra_bytes`] of the inodes in memory, as last counted.
    extra_bytes: u64,
    /// Bytes that a commit takes for the records of dirty inodes. Only grows within an epoch.
    copies_bytes: u64,
}

/// What changed in an epoch that was closed.
pub(crate) struct Changed {
    /// Changed inodes, and the directories above them.
    pub(crate) inodes: FxHashSet<InodeNo>,
    pub(crate) left_table: Vec<InodeNo>,
    /// Bytes that their records take until they are committed.
    pub(crate) copies_bytes: u64,
}

impl Inodes {
    pub(crate) fn new(parking: Parking, machine: Machine) -> Self {
        Self {
            machine,
            map: FxHashMap::default(),
            parking,
            dirty: FxHashSet::default(),
            left_table: Vec::new(),
            extra_bytes: 0,
            copies_bytes: 0,
        }
    }

    /// # Errors
    /// [`Error::NoEntry`] if it is not in memory.
    pub(crate) fn get(&self, ino: InodeNo) -> Result<&Inode> {
        self.map.get(&ino).ok_or(Error::NoEntry)
    }

    /// For what no commit writes, such as references; see [`Self::change`].
    ///
    /// # Errors
    /// [`Error::NoEntry`] if it is not in memory.
    pub(crate) fn get_mut(&mut self, ino: InodeNo) -> Result<&mut Inode> {
        self.map.get_mut(&ino).ok_or(Error::NoEntry)
    }

    pub(crate) fn has(&self, ino: InodeNo) -> bool {
        self.map.contains_key(&ino)
    }

    /// Numbers of all in memory.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = InodeNo> {
        self.map.keys().copied()
    }

    /// The inode, about to be changed: it joins the open epoch.
    ///
    /// # Errors
    /// [`Error::NoEntry`] if it is not in memory.
    pub(crate) fn change(&mut self, ino: InodeNo) -> Result<&mut Inode> {
        let inode = self.map.get_mut(&ino).ok_or(Error::NoEntry)?;
        if !inode.dirty {
            inode.dirty = true;
            self.dirty.insert(ino);
            self.copies_bytes += RECORD_COPIES * inode.counted;
        }
        debug_assert!(self.dirty.contains(&ino), "a dirty inode is in the open epoch");
        if let Ok(file) = inode.file_mut() {
            file.unlogged.since.get_or_insert_with(|| self.machine.now());
        }
        Ok(inode)
    }

    /// Adds an inode that was read from the tree or made just now.
    pub(crate) fn insert(&mut self, mut inode: Inode) {
        // One that was parked counts among its parent's children already.
        let parked = self.parking.arrive(&mut inode);
        if !parked {
            self.count_child(&inode.home);
        }
        let ino = inode.meta.ino;
        inode.counted = 0;
        if let Some(replaced) = self.map.insert(ino, inode) {
            self.extra_bytes -= replaced.counted;
        }
        self.weigh(ino);
    }

    /// Takes an inode out of memory.
    pub(crate) fn take(&mut self, ino: InodeNo) -> Option<Inode> {
        let inode = self.map.remove(&ino)?;
        self.extra_bytes -= inode.counted;
        Some(inode)
    }

    /// Counts anew what an inode takes. What a dirty one takes more, its commit takes too.
    pub(crate) fn weigh(&mut self, ino: InodeNo) {
        if let Some(inode) = self.map.get_mut(&ino) {
            let bytes = inode.extra_bytes();
            let before = std::mem::replace(&mut inode.counted, bytes);
            self.extra_bytes = self.extra_bytes + inode.counted - before;
            if inode.dirty {
                self.copies_bytes += RECORD_COPIES * inode.counted;
            }
        }
    }

    /// Gives an inode another home. Answers the directory that it left, if it was in one: that may
    /// be idle now.
    pub(crate) fn rehome(&mut self, ino: InodeNo, home: Home) -> Result<Option<InodeNo>> {
        self.count_child(&home);
        let old = std::mem::replace(&mut self.change(ino)?.home, home);
        let Home::Entry { parent, .. } = old else {
            return Ok(None);
        };
        self.uncount_child(parent);
        Ok(Some(parent))
    }

    fn count_child(&mut self, home: &Home) {
        if let Home::Entry { parent, .. } = home
            && let Some(parent) = self.map.get_mut(parent)
        {
            parent.children += 1;
        }
    }

    /// An inode of this directory left memory, or has another home.
    pub(crate) fn uncount_child(&mut self, parent: InodeNo) {
        if let Some(inode) = self.map.get_mut(&parent) {
            inode.children = inode.children.saturating_sub(1);
        }
    }

    /// A last name of the hard-link table is gone.
    pub(crate) fn leaves_table(&mut self, ino: InodeNo) {
        self.left_table.push(ino);
    }

    /// Forgets an inode without references that the tree holds as it is, and then the directories
    /// above it. A dead one joins the open epoch, whose commit frees its blocks. Answers whether
    /// one is dead.
    pub(crate) fn evict_if_idle(&mut self, ino: InodeNo) -> bool {
        let mut next = Some(ino);
        while let Some(ino) = next.take() {
            let Some(inode) = self.map.get(&ino) else {
                break;
            };
            if ino == InodeNo::ROOT || !inode.is_idle() || inode.frozen {
                break;
            }
            if inode.is_dead() {
                if !inode.dirty && self.change(ino).is_err() {
                    tracing::error!(%ino, "an inode vanished");
                }
                return true;
            }
            if inode.dirty {
                break;
            }
            if let Some(Home::Entry { parent, .. }) = self.take(ino).map(|inode| inode.home) {
                self.uncount_child(parent);
                next = Some(parent);
            }
        }
        false
    }

    /// Looks at the inodes that came first: parks those that are not in use while there are too
    /// many, and forgets the places in the order of those that left.
    pub(crate) fn park_some(&mut self) {
        let mut steps = self.parking.steps(self.bytes());
        // One that is parked is no step: a heavy inode takes the place of a hundred light ones.
        while steps > 0 {
            let crowded = self.parking.is_crowded(self.map.len(), self.bytes());
            if !crowded && !self.parking.is_littered(self.map.len()) {
                return;
            }
            let Some((ino, stamp)) = self.parking.next() else {
                return;
            };
            let Some(inode) = self.map.get(&ino).filter(|inode| inode.stamp == stamp) else {
                steps -= 1;
                continue;
            };
            match self.parking.place_for(inode) {
                Some(place) if crowded => {
                    self.parking.park(inode, place);
                    self.take(ino);
                }
                _ => {
                    self.parking.pass_by(ino, stamp);
                    steps -= 1;
                }
            }
        }
    }

    /// Whether anything refers to an inode of the live tree, or has the root open. The root itself
    /// is always referred to.
    pub(crate) fn live_in_use(&self) -> bool {
        let used = |(ino, inode): (&InodeNo, &Inode)| match *ino {
            InodeNo::ROOT => inode.opens > 0,
            ino => view_of(ino) == 0 && (inode.lookups > 0 || inode.opens > 0),
        };
        self.map.iter().any(used) || self.parking.has_live()
    }

    /// Gives the live tree another root, and forgets all else of it. Nothing of it is changed or
    /// referred to, but for the root.
    pub(crate) fn replace_live(&mut self, mut root: Inode) {
        root.lookups = self.map.get(&InodeNo::ROOT).map_or(0, |before| before.lookups);
        let gone: Vec<InodeNo> = self.numbers().filter(|ino| view_of(*ino) == 0).collect();
        for ino in gone {
            self.take(ino);
        }
        self.insert(root);
    }

    /// Those that are not in memory though the kernel refers to them.
    pub(crate) fn parking(&self) -> &Parking {
        &self.parking
    }

    pub(crate) fn parking_mut(&mut self) -> &mut Parking {
        &mut self.parking
    }

    /// Closes the open epoch: takes what changed in it, with the directories above, whose blocks
    /// change too.
    pub(crate) fn close(&mut self) -> Changed {
        let mut rising: Vec<InodeNo> = self.dirty.iter().copied().collect();
        while let Some(ino) = rising.pop() {
            let Some(Home::Entry { parent, .. }) = self.map.get(&ino).map(|inode| &inode.home) else {
                continue;
            };
            let parent = *parent;
            if self.dirty.insert(parent) {
                let counted = self.map.get(&parent).map_or(0, |inode| inode.counted);
                self.copies_bytes += RECORD_COPIES * counted;
                rising.push(parent);
            }
        }
        Changed {
            inodes: std::mem::take(&mut self.dirty),
            left_table: std::mem::take(&mut self.left_table),
            copies_bytes: std::mem::take(&mut self.copies_bytes),
        }
    }

    /// Inodes changed in the open epoch.
    pub(crate) fn dirty(&self) -> impl ExactSizeIterator<Item = InodeNo> {
        self.dirty.iter().copied()
    }

    /// Changed files that were synced since this was asked last, and of which the log lacks
    /// little.
    pub(crate) fn take_synced(&mut self) -> Vec<InodeNo> {
        let Self { map, dirty, .. } = self;
        let mut is_synced = |ino: &InodeNo| {
            let file = map.get_mut(ino).and_then(|inode| inode.file_mut().ok());
            file.is_some_and(|file| std::mem::take(&mut file.synced) && file.unlogged.is_short())
        };
        dirty.iter().copied().filter(|ino| is_synced(ino)).collect()
    }

    /// Bytes that a commit now would take for the records of dirty inodes.
    pub(crate) fn copies_bytes(&self) -> u64 {
        self.copies_bytes
    }

    /// When the oldest content was changed, or before, that the log lacks.
    pub(crate) fn unlogged_since(&self) -> Option<Instant> {
        let unlogged = self.dirty.iter().filter_map(|ino| {
            let file = self.map.get(ino)?.file().ok()?;
            file.unlogged.since.filter(|_| !file.unlogged.is_empty())
        });
        unlogged.min()
    }

    /// Bytes of memory that all this takes, roughly.
    pub(crate) fn bytes(&self) -> u64 {
        self.map.len() as u64 * INODE_BYTES + self.extra_bytes + self.parking.bytes() as u64
    }
}

#[cfg(test)]
impl Inodes {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.map.len()
    }

    /// Counts so many bytes more or less.
    pub(crate) fn pretend(&mut self, more: i64) {
        self.extra_bytes = self.extra_bytes.saturating_add_signed(more);
    }

    /// That the sum is that of what is there.
    pub(crate) fn assert_counted(&self) {
        let extra: u64 = self.map.values().map(Inode::extra_bytes).sum();
        assert_eq!(self.extra_bytes, extra);
    }
}
