//! More names for an inode, and fewer: link, unlink, rmdir.

use crate::commit::open::name_bytes;
use crate::data::admit::Claim;
use crate::engine::Engine;
use crate::log::op::Op;
use crate::namespace::inode::{Child, Home};
use crate::state::State;
use crate::stored::name::DirKey;
use crate::versions::snapshots;
use crate::{Attr, Caller, Error, InodeNo, Kind, Name, Result, Time};
use cairn_merkle::btree;

/// More names than this one inode cannot have (as in ext4).
const NLINK_MAX: u32 = 65_000;

impl Engine {
    /// Gives an inode another name.
    ///
    /// # Errors
    /// [`Error::NotPermitted`] for directories, [`Error::TooManyLinks`], [`Error::Exists`],
    /// [`Error::NoSpace`], [`Error::ReadOnly`].
    pub fn link(&self, ino: InodeNo, new_parent: InodeNo, name: &Name, caller: Caller) -> Result<Attr> {
        let state = &mut *self.begin_change(new_parent, Claim::More)?;
        Self::writable(state, ino)?;
        self.revive(state, ino)?;
        let key = self.free_key(state, new_parent, name)?;
        let inode = state.inodes.get(ino)?;
        if inode.meta.kind == Kind::Directory {
            return Err(Error::NotPermitted("directories have one name"));
        }
        if inode.home == Home::Orphan {
            return Err(Error::NoEntry);
        }
        if inode.meta.nlink >= NLINK_MAX {
            return Err(Error::TooManyLinks);
        }
        self.reach_table(state, ino)?;
        self.log(
            state,
            &[ino, new_parent],
            &Op::Link {
                ino,
                parent: new_parent,
                name,
                now: caller.now,
            },
        )?;
        self.apply_link(state, ino, new_parent, key, caller.now)?;
        let inode = state.inodes.get_mut(ino)?;
        inode.lookups += 1;
        Ok(inode.attr())
    }

    pub(crate) fn apply_link(
        &self,
        state: &mut State,
        ino: InodeNo,
        parent: InodeNo,
        key: DirKey,
        now: Time,
    ) -> Result<()> {
        let inode = state.inodes.change(ino)?;
        inode.meta.nlink += 1;
        inode.meta.ctime = now;
        let child = Child {
            ino,
            kind: inode.meta.kind,
            linked: true,
        };
        if let Home::Entry {
            parent: old,
            key: old_key,
        } = inode.home.clone()
        {
            state.open.change_name(name_bytes(&old_key));
            state
                .inodes
                .change(old)?
                .dir_mut()?
                .open
                .insert(old_key, Some(child));
            state.rehome(ino, Home::Table)?;
        }
        self.set_name(state, (parent, key), false, Some(child), now)
    }

    /// Reads the part of the hard-link table that an entry for this inode goes into: where it is
    /// damaged, the commit could not place one.
    pub(crate) fn reach_table(&self, state: &State, ino: InodeNo) -> Result<()> {
        let table = state.volume.trees.table.as_ref();
        Ok(btree::reach(&self.blocks, table, &ino.0.to_be_bytes())?)
    }

    /// Removes a name that is no directory's.
    ///
    /// # Errors
    /// [`Error::NoEntry`], [`Error::IsDirectory`], [`Error::ReadOnly`].
    pub fn unlink(&self, parent: InodeNo, name: &Name, caller: Caller) -> Result<()> {
        self.remove(parent, name, caller, false)
    }

    /// Removes an empty directory.
    ///
    /// # Errors
    /// [`Error::NoEntry`], [`Error::NotDirectory`], [`Error::NotEmpty`], [`Error::ReadOnly`].
    pub(crate) fn remove_dir(&self, parent: InodeNo, name: &Name, caller: Caller) -> Result<()> {
        self.remove(parent, name, caller, true)
    }

    fn remove(&self, parent: InodeNo, name: &Name, caller: Caller, directory: bool) -> Result<()> {
        keep_snapshots(parent, name)?;
        let mut entered = self.begin_change(parent, Claim::Less)?;
        let state = &mut *entered;
        let key = state.key(name);
        let child = self.find(state, parent, &key)?.ok_or(Error::NoEntry)?;
        match (directory, child.kind == Kind::Directory) {
            (true, false) => return Err(Error::NotDirectory),
            (false, true) => return Err(Error::IsDirectory),
            (true, true) if !state.inodes.is_empty_dir(child.ino)? => return Err(Error::NotEmpty),
            _ => {}
        }
        self.log(
            state,
            &[parent],
            &Op::Unlink {
                parent,
                name,
                now: caller.now,
            },
        )?;
        self.apply_unlink(state, parent, key, caller.now)?;
        self.write_log(&mut entered.into_guard());
        Ok(())
    }

    pub(crate) fn apply_unlink(
        &self,
        state: &mut State,
        parent: InodeNo,
        key: DirKey,
        now: Time,
    ) -> Result<()> {
        let child = self.find(state, parent, &key)?.ok_or(Error::NoEntry)?;
        self.set_name(state, (parent, key), true, None, now)?;
        self.name_gone(state, parent, child, now)
    }

    /// An inode lost one of its names.
    pub(crate) fn name_gone(
        &self,
        state: &mut State,
        parent: InodeNo,
        child: Child,
        now: Time,
    ) -> Result<()> {
        let inode = state.inodes.change(child.ino)?;
        inode.meta.ctime = now;
        if child.kind == Kind::Directory {
            inode.meta.nlink = 0;
            state.inodes.change(parent)?.meta.nlink -= 1;
        } else {
            inode.meta.nlink -= 1;
        }
        let inode = state.inodes.get(child.ino)?;
        if inode.meta.nlink == 0 {
            if inode.home == Home::Table {
                state.inodes.leaves_table(child.ino);
            }
            state.volume.inodes -= 1;
            state.rehome(child.ino, Home::Orphan)?;
        }
        Ok(())
    }
}

/// Refuses to take away or rename the directory of snapshots, which is found by name and no entry
/// of the root.
pub(crate) fn keep_snapshots(parent: InodeNo, name: &Name) -> Result<()> {
    match snapshots::is_dir(parent, name) {
        true => Err(Error::NotPermitted(".snapshots belongs to every volume")),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests;
