//! Renaming: within a directory, across directories, over another name, or one for the other.

use crate::data::admit::Claim;
use crate::engine::Engine;
use crate::log::op::Op;
use crate::namespace::inode::{Child, Home};
use crate::namespace::link::keep_snapshots;
use crate::state::State;
use crate::stored::name::DirKey;
use crate::versions::snapshots;
use crate::{Caller, Error, InodeNo, Kind, Name, RenameMode, Result, Time};

impl Engine {
    /// Moves a name, replacing, sparing or swapping with what is there.
    ///
    /// # Errors
    /// Those of rename(2).
    pub fn rename(
        &self,
        parent: InodeNo,
        name: &Name,
        new_parent: InodeNo,
        new_name: &Name,
        mode: RenameMode,
        caller: Caller,
    ) -> Result<()> {
        keep_snapshots(parent, name)?;
        let state = &mut *self.begin_change(parent, Claim::More)?;
        Self::writable(state, new_parent)?;
        self.revive(state, new_parent)?;
        let (key, new_key) = (state.key(name), state.key(new_name));
        let moved = self.find(state, parent, &key)?.ok_or(Error::NoEntry)?;
        let target = self.find(state, new_parent, &new_key)?;
        self.may_rename(state, (parent, moved), (new_parent, target), mode)?;
        if snapshots::is_dir(new_parent, new_name) {
            return Err(Error::Exists);
        }
        if target.is_some_and(|target| target.ino == moved.ino) {
            return Ok(());
        }
        let op = Op::Rename {
            from: (parent, name),
            to: (new_parent, new_name),
            mode,
            now: caller.now,
        };
        self.log(state, &[parent, new_parent], &op)?;
        self.apply_rename(state, (parent, key), (new_parent, new_key), mode, caller.now)
    }

    fn may_rename(
        &self,
        state: &mut State,
        (parent, moved): (InodeNo, Child),
        (new_parent, target): (InodeNo, Option<Child>),
        mode: RenameMode,
    ) -> Result<()> {
        if state.inodes.get(new_parent)?.home == Home::Orphan {
            return Err(Error::NoEntry);
        }
        if moved.kind == Kind::Directory && state.inodes.is_within(new_parent, moved.ino) {
            return Err(Error::Invalid("a directory cannot move into itself"));
        }
        match (mode, target) {
            (RenameMode::NoReplace, Some(_)) => Err(Error::Exists),
            (RenameMode::Exchange, None) => Err(Error::NoEntry),
            (RenameMode::Exchange, Some(target)) => {
                if target.kind == Kind::Directory && state.inodes.is_within(parent, target.ino) {
                    return Err(Error::Invalid("a directory cannot move into itself"));
                }
                Ok(())
            }
            (RenameMode::Replace, Some(target)) if target.ino != moved.ino => {
                match (moved.kind == Kind::Directory, target.kind == Kind::Directory) {
                    (true, false) => Err(Error::NotDirectory),
                    (false, true) => Err(Error::IsDirectory),
                    (true, true) if !state.inodes.is_empty_dir(target.ino)? => Err(Error::NotEmpty),
                    _ => Ok(()),
                }
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn apply_rename(
        &self,
        state: &mut State,
        (parent, key): (InodeNo, DirKey),
        (new_parent, new_key): (InodeNo, DirKey),
        mode: RenameMode,
        now: Time,
    ) -> Result<()> {
        let moved = self.find(state, parent, &key)?.ok_or(Error::NoEntry)?;
        let target = self.find(state, new_parent, &new_key)?;
        match (mode, target) {
            (RenameMode::Exchange, Some(target)) => {
                self.set_name(state, (parent, key.clone()), true, Some(target), now)?;
                self.moved(state, target, new_parent, (parent, key), now)?;
            }
            (_, target) => {
                self.set_name(state, (parent, key), true, None, now)?;
                if let Some(target) = target {
                    self.name_gone(state, new_parent, target, now)?;
                }
            }
        }
        let new = (new_parent, new_key.clone());
        self.set_name(state, new, target.is_some(), Some(moved), now)?;
        self.moved(state, moved, parent, (new_parent, new_key), now)
    }

    /// An inode's name is now somewhere else.
    fn moved(
        &self,
        state: &mut State,
        child: Child,
        from: InodeNo,
        (parent, key): (InodeNo, DirKey),
        now: Time,
    ) -> Result<()> {
        state.inodes.change(child.ino)?.meta.ctime = now;
        if !child.linked {
            state.rehome(child.ino, Home::Entry { parent, key })?;
        }
        if child.kind == Kind::Directory && from != parent {
            state.inodes.change(from)?.meta.nlink -= 1;
            state.inodes.change(parent)?.meta.nlink += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
