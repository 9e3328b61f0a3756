//! The engine as the kernel edge sees it.
//!
//! ```text
//!  request --> in `.snapshots`? --yes--> versions/snapshot.rs
//!                  | no
//!                  v
//!  does it need room? --yes--> with_room (commit/room.rs), which begins it anew after a commit
//!                  | no                       |
//!                  v                          v
//!              namespace, data, log <---------'
//! ```
//!
//! `.snapshots` is no directory of the tree: it is found by name in the root, and holds a
//! directory for each snapshot.

use crate::namespace::create::NewInode;
use crate::operations::Operations;
use crate::versions::snapshots;
use crate::{
    Access, Attr, Caller, DirCookie, DirEntry, Engine, Error, Fallocate, InodeNo, Kind, Name, RenameMode,
    Result, Seek, SetAttr, StatFs, SyncDone, XattrMode,
};
use cairn_merkle::buffer::Buffer;

/// Bytes that a copy moves at once.
const COPY_STEP: u64 = 1 << 20;

impl Operations for Engine {
    fn lookup(&self, parent: InodeNo, name: &Name) -> Result<Attr> {
        match parent {
            InodeNo::SNAPSHOTS => self.snapshot_root(name),
            _ if snapshots::is_dir(parent, name) => self.snapshots_attr(),
            _ => self.look_up(parent, name),
        }
    }

    fn forget(&self, ino: InodeNo, count: u64) {
        Self::forget(self, ino, count);
    }

    fn parent(&self, ino: InodeNo) -> Result<InodeNo> {
        Self::parent(self, ino)
    }

    fn getattr(&self, ino: InodeNo) -> Result<Attr> {
        match ino {
            InodeNo::SNAPSHOTS => self.snapshots_attr(),
            _ => self.attributes(ino),
        }
    }

    fn setattr(&self, ino: InodeNo, set: SetAttr, caller: Caller) -> Result<Attr> {
        Self::setattr(self, ino, set, caller)
    }

    fn mknod(
        &self,
        parent: InodeNo,
        name: &Name,
        kind: Kind,
        mode: u32,
        rdev: u32,
        caller: Caller,
    ) -> Result<Attr> {
        let new = NewInode::empty(kind, mode, rdev);
        self.with_room(|tried| self.try_make(parent, name, &new, caller, tried))
    }

    fn mkdir(&self, parent: InodeNo, name: &Name, mode: u32, caller: Caller) -> Result<Attr> {
        if parent == InodeNo::SNAPSHOTS {
            self.snapshots_by_name()?;
            self.snapshot_create(name, caller.now)?;
            return self.snapshot_root(name);
        }
        let new = NewInode::empty(Kind::Directory, mode, 0);
        self.with_room(|tried| self.try_make(parent, name, &new, caller, tried))
    }

    fn symlink(&self, parent: InodeNo, name: &Name, target: &[u8], caller: Caller) -> Result<Attr> {
        let new = NewInode::symlink(target)?;
        self.with_room(|tried| self.try_make(parent, name, &new, caller, tried))
    }

    fn link(&self, ino: InodeNo, new_parent: InodeNo, name: &Name, caller: Caller) -> Result<Attr> {
        Self::link(self, ino, new_parent, name, caller)
    }

    fn unlink(&self, parent: InodeNo, name: &Name, caller: Caller) -> Result<()> {
        Self::unlink(self, parent, name, caller)
    }

    fn rmdir(&self, parent: InodeNo, name: &Name, caller: Caller) -> Result<()> {
        match parent {
            InodeNo::SNAPSHOTS => self
                .snapshots_by_name()
                .and_then(|()| self.snapshot_destroy(name)),
            _ => self.remove_dir(parent, name, caller),
        }
    }

    fn rename(
        &self,
        parent: InodeNo,
        name: &Name,
        new_parent: InodeNo,
        new_name: &Name,
        mode: RenameMode,
        caller: Caller,
    ) -> Result<()> {
        Self::rename(self, parent, name, new_parent, new_name, mode, caller)
    }

    fn readlink(&self, ino: InodeNo) -> Result<Vec<u8>> {
        Self::readlink(self, ino)
    }

    fn readdir(
        &self,
        ino: InodeNo,
        after: DirCookie,
        count_max: usize,
        with_attr: bool,
    ) -> Result<Vec<DirEntry>> {
        match ino {
            InodeNo::SNAPSHOTS => self.snapshots_listed(after, count_max),
            _ => self.list_names(ino, after, count_max, with_attr),
        }
    }

    fn retain(&self, parent: InodeNo, entry: &DirEntry) -> Result<Option<Attr>> {
        match self.lookup(parent, &entry.name) {
            Err(Error::Merkle(error)) if error.damaged().is_some() => {
                self.refer_unread(parent, &entry.name, error)?;
                Ok(None)
            }
            found => found.map(Some),
        }
    }

    fn open_file(&self, ino: InodeNo, access: Access) -> Result<()> {
        Self::open_file(self, ino, access)
    }

    fn release(&self, ino: InodeNo) {
        Self::release(self, ino);
    }

    fn read(&self, ino: InodeNo, offset: u64, len: usize) -> Result<Buffer> {
        Self::read(self, ino, offset, len)
    }

    fn read_unit(&self) -> usize {
        self.record_size as usize
    }

    fn read_now(&self, ino: InodeNo, offset: u64, len: usize) -> Option<Buffer> {
        Self::read_now(self, ino, offset, len)
    }

    fn read_part(&self, ino: InodeNo, offset: u64, len: usize, rest_follows: bool) -> Option<Buffer> {
        Self::read_part(self, ino, offset, len, rest_follows)
    }

    fn write(
        &self,
        ino: InodeNo,
        offset: u64,
        bytes: &[u8],
        caller: Caller,
        unprivileges: bool,
    ) -> Result<()> {
        self.with_room(|tried| self.try_write(ino, (offset, bytes), caller, unprivileges, tried))
    }

    fn fsync_is_short(&self, ino: InodeNo) -> bool {
        Self::fsync_is_short(self, ino)
    }

    fn fsync(&self, ino: InodeNo, data_only: bool) -> Result<()> {
        Self::fsync(self, ino, data_only)
    }

    fn fsync_then(&self, ino: InodeNo, data_only: bool, wanted: bool, done: SyncDone) {
        Self::fsync_then(self, ino, data_only, wanted, done);
    }

    fn fallocate(&self, ino: InodeNo, mode: Fallocate, offset: u64, len: u64, caller: Caller) -> Result<()> {
        Self::fallocate(self, ino, mode, offset, len, caller)
    }

    fn seek(&self, ino: InodeNo, offset: u64, whence: Seek) -> Result<u64> {
        Self::seek(self, ino, offset, whence)
    }

    fn copy_range(
        &self,
        from: InodeNo,
        from_offset: u64,
        to: InodeNo,
        to_offset: u64,
        len: u64,
        caller: Caller,
    ) -> Result<u64> {
        // The end as it is now: within one file, the copy may move it.
        let len = len.min(self.getattr(from)?.size.saturating_sub(from_offset));
        let mut copied = 0;
        while copied < len {
            let step = usize::try_from((len - copied).min(COPY_STEP)).unwrap_or(usize::MAX);
            let bytes = self.read(from, from_offset + copied, step)?;
            if bytes.is_empty() {
                break;
            }
            self.write(to, to_offset + copied, &bytes, caller, true)?;
            copied += bytes.len() as u64;
        }
        Ok(copied)
    }

    fn getxattr(&self, ino: InodeNo, name: &[u8]) -> Result<Vec<u8>> {
        Self::getxattr(self, ino, name)
    }

    fn listxattr(&self, ino: InodeNo) -> Result<Vec<Vec<u8>>> {
        Self::listxattr(self, ino)
    }

    fn setxattr(
        &self,
        ino: InodeNo,
        name: &[u8],
        value: &[u8],
        mode: XattrMode,
        caller: Caller,
    ) -> Result<()> {
        Self::setxattr(self, ino, name, value, mode, caller)
    }

    fn removexattr(&self, ino: InodeNo, name: &[u8], caller: Caller) -> Result<()> {
        Self::removexattr(self, ino, name, caller)
    }

    fn statfs(&self) -> Result<StatFs> {
        Self::statfs(self)
    }

    fn room(&self) -> u64 {
        Self::room(self)
    }

    fn make_room(&self) -> u64 {
        Self::make_room(self)
    }
}
