//! Names: make, link, unlink, rename.
//!
//! ```text
//!  check (exists? empty? a loop?) -> apply to the open epoch -> note in the intent log
//!                                       ^
//!                              replay comes in here, with facts that were checked once
//! ```

use crate::acl;
use crate::admit::{Claim, name_bytes};
use crate::engine::Engine;
use crate::inode::{Child, Home, Inode};
use crate::intent::Op;
use crate::state::{State, view_of};
use crate::stored::name::DirKey;
use crate::stored::record::{Meta, Record, Stored, Xattrs};
use crate::{Attr, Caller, Error, InodeNo, Kind, Name, RenameMode, Result, Time};
use cairn_merkle::btree;

/// More names than this one inode cannot have (as in ext4).
const NLINK_MAX: u32 = 65_000;
/// Longest target of a symlink (PATH_MAX less its NUL).
const TARGET_MAX: usize = 4095;

/// What is to be made.
struct NewInode {
    kind: Kind,
    mode: u32,
    rdev: u32,
    stored: Stored,
}

impl Engine {
    /// Makes a file of any kind but directory and symlink. The kernel holds one reference to it.
    ///
    /// # Errors
    /// [`Error::Exists`], [`Error::NoSpace`], [`Error::ReadOnly`].
    pub fn mknod(
        &self,
        parent: InodeNo,
        name: &Name,
        kind: Kind,
        mode: u32,
        rdev: u32,
        caller: Caller,
    ) -> Result<Attr> {
        self.make(
            parent,
            name,
            NewInode {
                kind,
                mode,
                rdev,
                stored: Stored::None,
            },
            caller,
        )
    }

    /// Makes a directory; in `.snapshots`, takes a snapshot of that name.
    ///
    /// # Errors
    /// As [`Self::mknod`].
    pub fn mkdir(&self, parent: InodeNo, name: &Name, mode: u32, caller: Caller) -> Result<Attr> {
        if parent == InodeNo::SNAPSHOTS {
            self.snapshot_create(name, caller.now)?;
            return self.lookup(parent, name);
        }
        self.make(
            parent,
            name,
            NewInode {
                kind: Kind::Directory,
                mode,
                rdev: 0,
                stored: Stored::None,
            },
            caller,
        )
    }

    /// Makes a symbolic link.
    ///
    /// # Errors
    /// As [`Self::mknod`], and [`Error::NameTooLong`] for a target of 4096 bytes or more.
    pub fn symlink(&self, parent: InodeNo, name: &Name, target: &[u8], caller: Caller) -> Result<Attr> {
        if target.len() > TARGET_MAX {
            return Err(Error::NameTooLong);
        }
        if target.is_empty() {
            return Err(Error::NoEntry);
        }
        let stored = Stored::Inline(target.into());
        self.make(
            parent,
            name,
            NewInode {
                kind: Kind::Symlink,
                mode: 0o777,
                rdev: 0,
                stored,
            },
            caller,
        )
    }

    fn make(&self, parent: InodeNo, name: &Name, new: NewInode, caller: Caller) -> Result<Attr> {
        let mut state = self.state.lock();
        Self::writable(&state, parent)?;
        self.wait_for_room(&mut state, Claim::More)?;
        let state = &mut *state;
        self.enter(state, parent)?;
        let key = self.free_key(state, parent, name)?;
        self.admit_inode(state)?;
        let ino = InodeNo(state.volume.next_ino);
        if view_of(ino) != 0 {
            return Err(Error::NoSpace);
        }
        let record = new_record(state.inode(parent)?, ino, new, caller);
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
        let inode = state.inode_mut(ino)?;
        inode.lookups = 1;
        Ok(inode.attr())
    }

    /// The key of a name that is not taken in a directory that still exists.
    fn free_key(&self, state: &mut State, parent: InodeNo, name: &Name) -> Result<DirKey> {
        let dir = state.inode(parent)?;
        dir.dir()?;
        if dir.home == Home::Orphan {
            return Err(Error::NoEntry);
        }
        if parent == InodeNo::ROOT && name.as_bytes() == crate::snapshot::DIR_NAME {
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
        let located = state.epoch;
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
        state.insert(inode);
        state.change(ino)?;
        state.volume.next_ino = state.volume.next_ino.max(ino.0 + 1);
        state.volume.inodes += 1;
        let child = Child {
            ino,
            kind,
            linked: false,
        };
        self.set_name(state, (parent, key), false, Some(child), now)?;
        if kind == Kind::Directory {
            state.change(parent)?.meta.nlink += 1;
        }
        Ok(())
    }

    /// Points a name somewhere, or removes it, and moves the directory's times and size along. No damage
    /// keeps it from ending what was begun: the caller knows whether the name `had` led somewhere.
    fn set_name(
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
        let dir = state.change(parent)?;
        match (had, child.is_some()) {
            (false, true) => dir.meta.size += 1,
            (true, false) => dir.meta.size -= 1,
            _ => {}
        }
        dir.meta.mtime = now;
        dir.meta.ctime = now;
        let bytes = name_bytes(&key);
        if dir.dir_mut()?.open.insert(key, child).is_none() {
            state.overhead_bytes += bytes;
        }
        Ok(())
    }

    /// Gives an inode another name.
    ///
    /// # Errors
    /// [`Error::NotPermitted`] for directories, [`Error::TooManyLinks`], and as [`Self::mknod`].
    pub fn link(&self, ino: InodeNo, new_parent: InodeNo, name: &Name, caller: Caller) -> Result<Attr> {
        let mut state = self.state.lock();
        Self::writable(&state, new_parent)?;
        Self::writable(&state, ino)?;
        self.wait_for_room(&mut state, Claim::More)?;
        let state = &mut *state;
        self.enter(state, new_parent)?;
        self.revive(state, ino)?;
        let key = self.free_key(state, new_parent, name)?;
        let inode = state.inode(ino)?;
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
        let inode = state.inode_mut(ino)?;
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
        let inode = state.change(ino)?;
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
            state.overhead_bytes += name_bytes(&old_key);
            state.change(old)?.dir_mut()?.open.insert(old_key, Some(child));
            state.rehome(ino, Home::Table)?;
        }
        self.set_name(state, (parent, key), false, Some(child), now)
    }

    /// Reads the part of the hard-link table that an entry for this inode goes into: where it is damaged, the commit
    /// could not place one.
    pub(crate) fn reach_table(&self, state: &State, ino: InodeNo) -> Result<()> {
        let table = state.volume.table.as_ref();
        Ok(btree::reach(&self.blocks, table, &ino.0.to_be_bytes())?)
    }

    /// Removes a name that is no directory's.
    ///
    /// # Errors
    /// [`Error::NoEntry`], [`Error::IsDirectory`], [`Error::ReadOnly`].
    pub fn unlink(&self, parent: InodeNo, name: &Name, caller: Caller) -> Result<()> {
        self.remove(parent, name, caller, false)
    }

    /// Removes an empty directory; in `.snapshots`, destroys the snapshot of that name.
    ///
    /// # Errors
    /// [`Error::NoEntry`], [`Error::NotDirectory`], [`Error::NotEmpty`], [`Error::ReadOnly`].
    pub fn rmdir(&self, parent: InodeNo, name: &Name, caller: Caller) -> Result<()> {
        if parent == InodeNo::SNAPSHOTS {
            return self.snapshot_destroy(name);
        }
        self.remove(parent, name, caller, true)
    }

    fn remove(&self, parent: InodeNo, name: &Name, caller: Caller, directory: bool) -> Result<()> {
        let mut guard = self.state.lock();
        Self::writable(&guard, parent)?;
        self.wait_for_room(&mut guard, Claim::Less)?;
        let state = &mut *guard;
        self.enter(state, parent)?;
        let key = state.key(name);
        let child = self.find(state, parent, &key)?.ok_or(Error::NoEntry)?;
        match (directory, child.kind == Kind::Directory) {
            (true, false) => return Err(Error::NotDirectory),
            (false, true) => return Err(Error::IsDirectory),
            (true, true) if !state.is_empty_dir(child.ino)? => return Err(Error::NotEmpty),
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
        self.write_log(&mut guard);
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
    fn name_gone(&self, state: &mut State, parent: InodeNo, child: Child, now: Time) -> Result<()> {
        let inode = state.change(child.ino)?;
        inode.meta.ctime = now;
        if child.kind == Kind::Directory {
            inode.meta.nlink = 0;
            state.change(parent)?.meta.nlink -= 1;
        } else {
            inode.meta.nlink -= 1;
        }
        let inode = state.inode(child.ino)?;
        if inode.meta.nlink == 0 {
            if inode.home == Home::Table {
                state.left_table.push(child.ino);
            }
            state.volume.inodes -= 1;
            state.rehome(child.ino, Home::Orphan)?;
        }
        Ok(())
    }

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
        let mut state = self.state.lock();
        Self::writable(&state, parent)?;
        Self::writable(&state, new_parent)?;
        self.wait_for_room(&mut state, Claim::More)?;
        let state = &mut *state;
        self.enter(state, parent)?;
        self.revive(state, new_parent)?;
        let (key, new_key) = (state.key(name), state.key(new_name));
        let moved = self.find(state, parent, &key)?.ok_or(Error::NoEntry)?;
        let target = self.find(state, new_parent, &new_key)?;
        self.may_rename(state, (parent, moved), (new_parent, target), mode)?;
        if new_parent == InodeNo::ROOT && new_name.as_bytes() == crate::snapshot::DIR_NAME {
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
        if state.inode(new_parent)?.home == Home::Orphan {
            return Err(Error::NoEntry);
        }
        if moved.kind == Kind::Directory && is_within(state, new_parent, moved.ino) {
            return Err(Error::Invalid("a directory cannot move into itself"));
        }
        match (mode, target) {
            (RenameMode::NoReplace, Some(_)) => Err(Error::Exists),
            (RenameMode::Exchange, None) => Err(Error::NoEntry),
            (RenameMode::Exchange, Some(target)) => {
                if target.kind == Kind::Directory && is_within(state, parent, target.ino) {
                    return Err(Error::Invalid("a directory cannot move into itself"));
                }
                Ok(())
            }
            (RenameMode::Replace, Some(target)) if target.ino != moved.ino => {
                match (moved.kind == Kind::Directory, target.kind == Kind::Directory) {
                    (true, false) => Err(Error::NotDirectory),
                    (false, true) => Err(Error::IsDirectory),
                    (true, true) if !state.is_empty_dir(target.ino)? => Err(Error::NotEmpty),
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
        state.change(child.ino)?.meta.ctime = now;
        if !child.linked {
            state.rehome(child.ino, Home::Entry { parent, key })?;
        }
        if child.kind == Kind::Directory && from != parent {
            state.change(from)?.meta.nlink -= 1;
            state.change(parent)?.meta.nlink += 1;
        }
        Ok(())
    }

    /// The target of a symlink.
    ///
    /// # Errors
    /// [`Error::Invalid`] for anything else.
    pub fn readlink(&self, ino: InodeNo) -> Result<Vec<u8>> {
        let mut state = self.state.lock();
        self.enter(&mut state, ino)?;
        match &state.inode(ino)?.content {
            crate::inode::Content::Fixed(Stored::Inline(target)) => Ok(target.to_vec()),
            _ => Err(Error::Invalid("not a symbolic link")),
        }
    }
}

/// Whether `ino` is `ancestor` or lies below it.
fn is_within(state: &State, mut ino: InodeNo, ancestor: InodeNo) -> bool {
    loop {
        if ino == ancestor {
            return true;
        }
        match state.inodes.get(&ino).map(|inode| &inode.home) {
            Some(Home::Entry { parent, .. }) => ino = *parent,
            _ => return false,
        }
    }
}

fn new_record(parent: &Inode, ino: InodeNo, new: NewInode, caller: Caller) -> Record {
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
        stored: new.stored,
    }
}
