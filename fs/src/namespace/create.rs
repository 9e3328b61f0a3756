//! Names: make, link, unlink, rename.
//!
//! ```text
//!  check (exists? empty? a loop?) -> apply to the open epoch -> note in the intent log
//!                                       ^
//!                              replay comes in here, with facts that were checked once
//! ```

use crate::commit::open::name_bytes;
use crate::data::admit::{Claim, Refused, Tried};
use crate::engine::Engine;
use crate::log::op::Op;
use crate::namespace::acl;
use crate::namespace::inode::{Child, Home, Inode};
use crate::namespace::view::view_of;
use crate::state::State;
use crate::stored::name::DirKey;
use crate::stored::record::{Meta, Record, Stored, Xattrs};
use crate::versions::snapshots;
use crate::{Attr, Caller, Error, InodeNo, Kind, Name, Result, Time};

/// Longest target of a symlink (PATH_MAX less its NUL).
const TARGET_MAX: usize = 4095;

/// What is to be made.
pub(crate) struct NewInode {
    kind: Kind,
    mode: u32,
    rdev: u32,
    stored: Stored,
}

impl NewInode {
    /// Anything but a symbolic link.
    pub(crate) fn empty(kind: Kind, mode: u32, rdev: u32) -> Self {
        Self {
            kind,
            mode,
            rdev,
            stored: Stored::None,
        }
    }

    /// A symbolic link.
    ///
    /// # Errors
    /// [`Error::NameTooLong`] for a target of 4096 bytes or more, [`Error::NoEntry`] for none.
    pub(crate) fn symlink(target: &[u8]) -> Result<Self> {
        match target.len() {
            0 => Err(Error::NoEntry),
            1..=TARGET_MAX => Ok(Self {
                kind: Kind::Symlink,
                mode: 0o777,
                rdev: 0,
                stored: Stored::Inline(target.into()),
            }),
            _ => Err(Error::NameTooLong),
        }
    }
}

impl Engine {
    /// Makes an inode with one name. The kernel holds one reference to it.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::NoSpace`], [`Error::ReadOnly`]; that a commit must come first.
    pub(crate) fn try_make(
        &self,
        parent: InodeNo,
        name: &Name,
        new: &NewInode,
        caller: Caller,
        tried: &mut Tried,
    ) -> Result<Attr, Refused> {
        let state = &mut *self.begin_change(parent, Claim::More)?;
        let key = self.free_key(state, parent, name)?;
        self.admit_inode(state, tried)?;
        let ino = InodeNo(state.volume.next_ino);
        if view_of(ino) != 0 {
            return Err(Error::NoSpace.into());
        }
        let record = new_record(state.inodes.get(parent)?, ino, new, caller);
        self.log(
            state,
            &[parent],
            &Op::Create {
                parent,
                name,
                record: &record,
            },
        )?;
        self.apply_create(state, parent, key, record)?;
        let inode = state.inodes.get_mut(ino)?;
        inode.lookups = 1;
        Ok(inode.attr())
    }

    /// The key of a name that is not taken in a directory that still exists.
    pub(crate) fn free_key(&self, state: &mut State, parent: InodeNo, name: &Name) -> Result<DirKey> {
        let dir = state.inodes.get(parent)?;
        dir.dir()?;
        if dir.home == Home::Orphan {
            return Err(Error::NoEntry);
        }
        if snapshots::is_dir(parent, name) {
            return Err(Error::Exists);
        }
        let key = state.key(name);
        if self.child(state, parent, &key)?.is_some() {
            return Err(Error::Exists);
        }
        Ok(key)
    }

    pub(crate) fn apply_create(
        &self,
        state: &mut State,
        parent: InodeNo,
        key: DirKey,
        record: Record,
    ) -> Result<()> {
        let (ino, kind, now) = (record.meta.ino, record.meta.kind, record.meta.ctime);
        let located = state.open.number();
        let mut inode = Inode::new(
            record.meta,
            record.xattrs,
            record.stored,
            Home::Entry {
                parent,
                key: key.clone(),
            },
        );
        inode.located = located;
        state.inodes.insert(inode);
        state.inodes.change(ino)?;
        state.volume.next_ino = state.volume.next_ino.max(ino.0 + 1);
        state.volume.inodes += 1;
        let child = Child {
            ino,
            kind,
            linked: false,
        };
        self.set_name(state, (parent, key), false, Some(child), now)?;
        if kind == Kind::Directory {
            state.inodes.change(parent)?.meta.nlink += 1;
        }
        Ok(())
    }

    /// Points a name somewhere, or removes it, and moves the directory's times and size along. No
    /// damage keeps it from ending what was begun: the caller knows whether the name `had` led
    /// somewhere.
    pub(crate) fn set_name(
        &self,
        state: &mut State,
        (parent, key): (InodeNo, DirKey),
        had: bool,
        child: Option<Child>,
        now: Time,
    ) -> Result<()> {
        if had != child.is_some() {
            self.note_slots(state, parent, &key, !had)?;
        }
        let dir = state.inodes.change(parent)?;
        match (had, child.is_some()) {
            (false, true) => dir.meta.size += 1,
            (true, false) => dir.meta.size -= 1,
            _ => {}
        }
        dir.meta.mtime = now;
        dir.meta.ctime = now;
        let bytes = name_bytes(&key);
        if dir.dir_mut()?.open.insert(key, child).is_none() {
            state.open.change_name(bytes);
        }
        Ok(())
    }

    /// The target of a symlink.
    ///
    /// # Errors
    /// [`Error::Invalid`] for anything else.
    pub fn readlink(&self, ino: InodeNo) -> Result<Vec<u8>> {
        match &self.begin_read(ino)?.inode().content {
            crate::namespace::inode::Content::Fixed(Stored::Inline(target)) => Ok(target.to_vec()),
            _ => Err(Error::Invalid("not a symbolic link")),
        }
    }
}

fn new_record(parent: &Inode, ino: InodeNo, new: &NewInode, caller: Caller) -> Record {
    let (mode, acls) = acl::inherit(&parent.xattrs, new.kind, new.mode & 0o7777, caller.umask);
    let setgid = parent.meta.mode & 0o2000 != 0;
    let gid = if setgid { parent.meta.gid } else { caller.gid };
    let mode = if setgid && new.kind == Kind::Directory {
        mode | 0o2000
    } else {
        mode
    };
    let size = match &new.stored {
        Stored::Inline(target) => target.len() as u64,
        _ => 0,
    };
    Record {
        meta: Meta {
            ino,
            kind: new.kind,
            mode,
            uid: caller.uid,
            gid,
            rdev: new.rdev,
            nlink: if new.kind == Kind::Directory { 2 } else { 1 },
            size,
            stored: 0,
            atime: caller.now,
            mtime: caller.now,
            ctime: caller.now,
            btime: caller.now,
        },
        xattrs: Xattrs::from(acls),
        stored: new.stored.clone(),
    }
}

#[cfg(test)]
mod tests;
