//! Finding inodes by name and by number, and the references that the kernel holds to them.
//!
//! Every operation enters through [`Engine::enter`], which brings the inode it is about back into
//! memory.

use crate::damage::Table;
use crate::engine::Engine;
use crate::namespace::inode::{Child, Home, Inode};
use crate::namespace::parking::Place;
use crate::namespace::slots::Slots;
use crate::namespace::view::{in_view, view_of};
use crate::state::State;
use crate::stored::name::DirKey;
use crate::stored::record::{Dentry, Record};
use crate::{Access, Attr, Error, InodeNo, Name, Result};
use cairn_merkle::{Link, btree};

impl Engine {
    /// Finds what `key` leads to in a directory, and has its inode in memory if it is not in the
    /// hard-link table.
    pub(crate) fn child(&self, state: &mut State, parent: InodeNo, key: &DirKey) -> Result<Option<Child>> {
        let dir = state.inodes.get(parent)?.dir()?;
        if let Some(change) = dir.open.get(key) {
            return Ok(*change);
        }
        if let Some(change) = dir.frozen.as_ref().and_then(|names| names.get(key)) {
            return Ok(*change);
        }
        let Some(entry) = btree::get(&self.blocks, dir.stored.as_ref(), &key.encode())? else {
            return Ok(None);
        };
        let dentry = Dentry::decode(&entry.value, &entry.links)?;
        Ok(Some(self.adopt(state, parent, key, dentry)))
    }

    /// Turns a stored entry into what it leads to; an embedded inode comes into memory unless it is
    /// there already.
    pub(crate) fn adopt(&self, state: &mut State, parent: InodeNo, key: &DirKey, dentry: Dentry) -> Child {
        let view = view_of(parent);
        match dentry {
            Dentry::Linked { ino, kind } => Child {
                ino: in_view(ino, view),
                kind,
                linked: true,
            },
            Dentry::Embedded(Record {
                mut meta,
                xattrs,
                stored,
            }) => {
                meta.ino = in_view(meta.ino, view);
                let child = Child {
                    ino: meta.ino,
                    kind: meta.kind,
                    linked: false,
                };
                if !state.inodes.has(meta.ino) {
                    state.inodes.insert(Inode::new(
                        meta,
                        xattrs,
                        stored,
                        Home::Entry {
                            parent,
                            key: key.clone(),
                        },
                    ));
                }
                child
            }
        }
    }

    /// Has an inode of the hard-link table in memory.
    pub(crate) fn load_linked(&self, state: &mut State, ino: InodeNo) -> Result<()> {
        if state.inodes.has(ino) {
            return Ok(());
        }
        let view = view_of(ino);
        let table = match view {
            0 => state.volume.trees.table.clone(),
            _ => state.snapshots.by_id(view).ok_or(Error::NoEntry)?.table.clone(),
        };
        self.load_row(state, table.as_ref(), ino, Home::Table)
    }

    /// Has an unlinked inode in memory.
    fn load_orphan(&self, state: &mut State, ino: InodeNo) -> Result<()> {
        if state.inodes.has(ino) {
            return Ok(());
        }
        let orphans = state.volume.trees.orphans.clone();
        self.load_row(state, orphans.as_ref(), ino, Home::Orphan)
    }

    /// Brings an inode into memory from a table of records by number.
    fn load_row(&self, state: &mut State, table: Option<&Link>, ino: InodeNo, home: Home) -> Result<()> {
        let key = in_view(ino, 0).0.to_be_bytes();
        let entry = btree::get(&self.blocks, table, &key)?.ok_or(Error::NoEntry)?;
        let mut record = Record::decode(&entry.value, &entry.links)?;
        // A snapshot's table has the number without the view.
        record.meta.ino = ino;
        state
            .inodes
            .insert(Inode::new(record.meta, record.xattrs, record.stored, home));
        Ok(())
    }

    /// [`Self::child`], with the inode in memory in any case.
    pub(crate) fn find(&self, state: &mut State, parent: InodeNo, key: &DirKey) -> Result<Option<Child>> {
        let child = self.child(state, parent, key)?;
        if let Some(child) = child
            && child.linked
        {
            self.load_linked(state, child.ino)?;
        }
        Ok(child)
    }

    /// Attributes of a name's inode; the kernel holds one more reference to it.
    ///
    /// # Errors
    /// [`Error::NoEntry`] when there is no such name.
    pub(crate) fn look_up(&self, parent: InodeNo, name: &Name) -> Result<Attr> {
        let mut state = self.begin_read(parent)?;
        let key = state.key(name);
        let child = self.find(&mut state, parent, &key)?.ok_or(Error::NoEntry)?;
        let inode = state.inodes.get_mut(child.ino)?;
        inode.lookups += 1;
        Ok(inode.attr())
    }

    /// The kernel drops `count` references.
    pub fn forget(&self, ino: InodeNo, count: u64) {
        let mut state = self.state.lock();
        if !self.forget_parked(&mut state, ino, count, 0)
            && let Ok(inode) = state.inodes.get_mut(ino)
        {
            inode.lookups = inode.lookups.saturating_sub(count);
            state.evict_if_idle(ino);
        }
        self.signals.forgotten.notify_all();
    }

    /// The directory that holds directory `ino`; the root's parent is the root.
    ///
    /// # Errors
    /// [`Error::NotDirectory`] for anything that can have several parents.
    pub fn parent(&self, ino: InodeNo) -> Result<InodeNo> {
        if ino == InodeNo::SNAPSHOTS {
            return Ok(InodeNo::ROOT);
        }
        let state = self.begin_read(ino)?;
        let inode = state.inode();
        inode.dir()?;
        Ok(match &inode.home {
            Home::Entry { parent, .. } => *parent,
            Home::Root if view_of(ino) != 0 => InodeNo::SNAPSHOTS,
            _ => InodeNo::ROOT,
        })
    }

    /// Attributes of an inode the caller holds a reference to.
    ///
    /// # Errors
    /// [`Error::NoEntry`] when it is not in memory.
    pub(crate) fn attributes(&self, ino: InodeNo) -> Result<Attr> {
        Ok(self.begin_read(ino)?.inode().attr())
    }

    /// A handle was opened: an unlinked inode stays until [`Self::release`].
    ///
    /// What cannot change is refused here and not at the first write: that one goes to the kernel's
    /// page cache, where readers would see it until it comes to be written back.
    ///
    /// # Errors
    /// [`Error::NoEntry`] when the inode is not in memory, [`Error::ReadOnly`].
    pub fn open_file(&self, ino: InodeNo, access: Access) -> Result<()> {
        let mut state = self.begin_read(ino)?;
        if access == Access::Write {
            Self::writable(&state, ino)?;
        }
        state.inode_mut().opens += 1;
        Ok(())
    }

    /// A handle was closed.
    pub fn release(&self, ino: InodeNo) {
        let mut state = self.state.lock();
        if self.forget_parked(&mut state, ino, 0, 1) {
            return;
        }
        if let Ok(inode) = state.inodes.get_mut(ino) {
            inode.opens = inode.opens.saturating_sub(1);
            if inode.opens == 0
                && let Ok(dir) = inode.dir_mut()
            {
                // What comes and goes while it is closed is not noted: a later listing that went by
                // these places would meet a name twice, or not at all.
                dir.slots = Slots::default();
            }
            state.evict_if_idle(ino);
        }
    }

    /// The kernel drops references to an inode that may be parked, and closes handles. Answers
    /// whether it was.
    fn forget_parked(&self, state: &mut State, ino: InodeNo, lookups: u64, opens: u32) -> bool {
        let Some(left) = state.inodes.parking_mut().forget(ino, lookups, opens) else {
            return false;
        };
        match left {
            Some(Place::Entry { parent, .. }) => state.child_gone(parent),
            // Dead now: the next commit finds it in memory and frees its blocks.
            Some(Place::Orphans) => match self.load_orphan(state, ino) {
                Ok(()) => state.evict_if_idle(ino),
                // It stays in the table. The next mount frees its blocks, or a repair does.
                Err(Error::Merkle(error)) => self.damage.table(Table::Orphans, &(&error).into()),
                Err(error) => tracing::error!(%ino, %error, "an unlinked inode is not where it was"),
            },
            Some(Place::Table) | None => {}
        }
        true
    }

    /// Begins an operation on `ino`: it is in memory afterwards, and so is the directory it is in.
    /// See [`crate::namespace::entered`].
    ///
    /// # Errors
    /// [`Error::NoEntry`] if the engine knows nothing of it, or what reading it failed with.
    pub(crate) fn enter(&self, state: &mut State, ino: InodeNo) -> Result<()> {
        state.inodes.park_some();
        self.revive(state, ino)
    }

    /// [`Self::enter`] for the second inode of an operation: parks nothing.
    pub(crate) fn revive(&self, state: &mut State, ino: InodeNo) -> Result<()> {
        if state.inodes.has(ino) {
            return Ok(());
        }
        match state.inodes.parking().place(ino) {
            None => Err(Error::NoEntry),
            Some(Place::Table) => self.load_linked(state, ino),
            Some(Place::Orphans) => self.load_orphan(state, ino),
            Some(Place::Entry { parent, hash }) => self.load_entry(state, ino, parent, hash),
        }
    }

    fn load_entry(&self, state: &mut State, ino: InodeNo, parent: InodeNo, hash: u32) -> Result<()> {
        let root = state.inodes.get(parent)?.dir()?.stored.clone();
        // Downwards from the end of the hash's range, which reads what a lookup of the name would
        // read, and no more.
        let mut above = (hash + 1).to_be_bytes().to_vec();
        while let Some(entry) = btree::below(&self.blocks, root.as_ref(), &above)? {
            let Some(key) = DirKey::decode(&entry.key).filter(|key| key.hash == hash) else {
                break;
            };
            let dentry = Dentry::decode(&entry.value, &entry.links)?;
            if self.adopt(state, parent, &key, dentry).ino == ino {
                return Ok(());
            }
            above = entry.key;
        }
        tracing::error!(%ino, %parent, "an inode is not where it was committed");
        Err(Error::NoEntry)
    }
}

#[cfg(test)]
mod tests;
