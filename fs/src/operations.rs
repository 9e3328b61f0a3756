//! What a transport of kernel requests asks of the filesystem.
//!
//! ```text
//! kernel --> fuser today, another transport tomorrow --> Operations --> Engine
//! ```
//!
//! No type of the transport appears here. Every method may be called from many threads at once and
//! may block.
//!
//! The kernel checks permissions (`default_permissions`), so no method has to. What it leaves to
//! us, because `HANDLE_KILLPRIV_V2` is on and `DONT_MASK` is set: dropping set-id bits, and the
//! umask, which counts only where the parent has no default ACL.

use crate::{
    Access, Attr, Caller, DirCookie, DirEntry, Fallocate, InodeNo, Kind, Name, RenameMode, Result, Seek,
    SetAttr, StatFs, XattrMode,
};
use cairn_merkle::buffer::Buffer;

/// Takes the outcome of an fsync.
pub type SyncDone = Box<dyn FnOnce(Result<()>) + Send>;

/// The filesystem as the kernel sees it.
///
/// [`lookup`](Self::lookup), [`retain`](Self::retain), [`mknod`](Self::mknod),
/// [`mkdir`](Self::mkdir), [`symlink`](Self::symlink) and [`link`](Self::link) each count one
/// reference of the kernel to the inode they answer with; [`forget`](Self::forget) gives references
/// back. An inode with references or open files stays usable after its last name is gone.
pub trait Operations: Send + Sync + 'static {
    /// Finds a name. Counts one reference.
    fn lookup(&self, parent: InodeNo, name: &Name) -> Result<Attr>;
    /// The kernel gives `count` references back.
    fn forget(&self, ino: InodeNo, count: u64);
    /// The directory above a directory; the root is its own.
    fn parent(&self, ino: InodeNo) -> Result<InodeNo>;
    /// `stat`.
    fn getattr(&self, ino: InodeNo) -> Result<Attr>;
    /// `chmod`, `chown`, `truncate`, `utimensat`, and the times that the kernel's writeback cache
    /// owns. A change of owner or size drops file capabilities, and set-id bits as
    /// [`Caller::set_id`] says; directories have none.
    fn setattr(&self, ino: InodeNo, set: SetAttr, caller: Caller) -> Result<Attr>;
    /// Creates anything but a directory or a symbolic link. Counts one reference.
    fn mknod(
        &self,
        parent: InodeNo,
        name: &Name,
        kind: Kind,
        mode: u32,
        rdev: u32,
        caller: Caller,
    ) -> Result<Attr>;
    /// Creates a directory. Counts one reference.
    fn mkdir(&self, parent: InodeNo, name: &Name, mode: u32, caller: Caller) -> Result<Attr>;
    /// Creates a symbolic link. Counts one reference.
    fn symlink(&self, parent: InodeNo, name: &Name, target: &[u8], caller: Caller) -> Result<Attr>;
    /// Gives an inode one more name. Counts one reference.
    fn link(&self, ino: InodeNo, new_parent: InodeNo, name: &Name, caller: Caller) -> Result<Attr>;
    /// Removes a name of anything but a directory.
    fn unlink(&self, parent: InodeNo, name: &Name, caller: Caller) -> Result<()>;
    /// Removes an empty directory.
    fn rmdir(&self, parent: InodeNo, name: &Name, caller: Caller) -> Result<()>;
    /// Moves a name.
    fn rename(
        &self,
        parent: InodeNo,
        name: &Name,
        new_parent: InodeNo,
        new_name: &Name,
        mode: RenameMode,
        caller: Caller,
    ) -> Result<()>;
    /// Target of a symbolic link.
    fn readlink(&self, ino: InodeNo) -> Result<Vec<u8>>;
    /// Up to `count_max` entries after a cookie; an empty answer is the end. Cookies of entries are
    /// at least 16. Counts no references, whatever `with_attr` says.
    fn readdir(
        &self,
        ino: InodeNo,
        after: DirCookie,
        count_max: usize,
        with_attr: bool,
    ) -> Result<Vec<DirEntry>>;
    /// Counts one reference to an entry that is about to be handed to the kernel; `None` if its
    /// attributes cannot be read.
    fn retain(&self, parent: InodeNo, entry: &DirEntry) -> Result<Option<Attr>>;
    /// An open file or directory keeps its inode, and a directory the places of its names. Opening
    /// what cannot change for writing is refused.
    fn open_file(&self, ino: InodeNo, access: Access) -> Result<()>;
    /// Ends one [`open_file`](Self::open_file).
    fn release(&self, ino: InodeNo);
    /// Reads; shorter than `len` only at the end of the file.
    fn read(&self, ino: InodeNo, offset: u64, len: usize) -> Result<Buffer>;
    /// The same, if it takes no wait for a device: for a transport's thread that must not block.
    /// `None` says nothing.
    fn read_now(&self, ino: InodeNo, offset: u64, len: usize) -> Option<Buffer> {
        self.read(ino, offset, len).ok()
    }
    /// The same, if it is a small part of a unit; `None` says nothing. It waits for a device.
    /// Whether the unit is read as a whole next is for the caller to know (`rest_follows`).
    fn read_part(&self, ino: InodeNo, offset: u64, len: usize, rest_follows: bool) -> Option<Buffer> {
        let _ = (ino, offset, len, rest_follows);
        None
    }
    /// Unit that a read opens as a whole, in bytes: what else it holds may be handed to the kernel
    /// at little cost.
    fn read_unit(&self) -> usize;
    /// Writes all of `bytes`. `unprivileges`: drops file capabilities, and set-id bits as
    /// [`Caller::set_id`] says, as a write does; the kernel's cache writes back what has done so
    /// before.
    fn write(
        &self,
        ino: InodeNo,
        offset: u64,
        bytes: &[u8],
        caller: Caller,
        unprivileges: bool,
    ) -> Result<()>;
    /// Makes a file or a directory durable, together with every earlier change of names.
    fn fsync(&self, ino: InodeNo, data_only: bool) -> Result<()>;
    /// As [`fsync`](Self::fsync), with the answer through `done`, from whichever thread ends it:
    /// another one than the caller's, if that is `wanted` for something else.
    fn fsync_then(&self, ino: InodeNo, data_only: bool, wanted: bool, done: SyncDone) {
        let _ = wanted;
        done(self.fsync(ino, data_only));
    }
    /// Whether an fsync would wait for no more than one write of the device. A transport may then
    /// call [`fsync_then`](Self::fsync_then) where it should not block for long; a wrong guess
    /// costs time and nothing else.
    fn fsync_is_short(&self, ino: InodeNo) -> bool {
        let _ = ino;
        false
    }
    /// Changes the allocation of a range. Drops file capabilities and set-id bits as a write does.
    fn fallocate(&self, ino: InodeNo, mode: Fallocate, offset: u64, len: u64, caller: Caller) -> Result<()>;
    /// `SEEK_DATA` and `SEEK_HOLE`.
    fn seek(&self, ino: InodeNo, offset: u64, whence: Seek) -> Result<u64>;
    /// Copies a range and says how much of it. Drops file capabilities and set-id bits of the
    /// target as a write does.
    fn copy_range(
        &self,
        from: InodeNo,
        from_offset: u64,
        to: InodeNo,
        to_offset: u64,
        len: u64,
        caller: Caller,
    ) -> Result<u64>;
    /// Value of an extended attribute.
    fn getxattr(&self, ino: InodeNo, name: &[u8]) -> Result<Vec<u8>>;
    /// Names of all extended attributes.
    fn listxattr(&self, ino: InodeNo) -> Result<Vec<Vec<u8>>>;
    /// Sets an extended attribute.
    fn setxattr(
        &self,
        ino: InodeNo,
        name: &[u8],
        value: &[u8],
        mode: XattrMode,
        caller: Caller,
    ) -> Result<()>;
    /// Removes an extended attribute.
    fn removexattr(&self, ino: InodeNo, name: &[u8], caller: Caller) -> Result<()>;
    /// Capacity of the volume.
    fn statfs(&self) -> Result<StatFs>;
    /// Bytes that can still be written, by quota and store, as far as is known.
    fn room(&self) -> u64 {
        u64::MAX
    }
    /// The same, once all that was deleted or overwritten has made room.
    fn make_room(&self) -> u64 {
        self.room()
    }
}
