//! A filesystem as plain maps and bytes: the independent definition of right.
//!
//! It is written from POSIX and `rename(2)`, never from the engine, and does each thing in the most
//! obvious way. Holes are zero bytes. Inodes are shared between copies until one of them changes,
//! so keeping old states is cheap.

use cairn_fs::{Error, Fallocate, Kind, Name, RenameMode, Result, Time, XattrMode};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Number of an inode of the model; not the engine's.
pub type Ino = u64;

/// The root directory.
pub const ROOT: Ino = 1;

/// One inode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inode {
    /// File, directory or symbolic link.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Names that lead here; 2 + subdirectories for a directory.
    pub nlink: u32,
    /// Names in a directory.
    pub names: BTreeMap<Name, Ino>,
    /// Directory that holds this directory.
    pub parent: Ino,
    /// Bytes of a file, target of a symbolic link.
    pub bytes: Arc<Vec<u8>>,
    /// Extended attributes.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Last change of content.
    pub mtime: Time,
    /// Last change of anything.
    pub ctime: Time,
    /// How often it is held open.
    pub opens: u32,
}

/// The filesystem.
#[derive(Clone, Debug)]
pub struct Model {
    inodes: BTreeMap<Ino, Arc<Inode>>,
    next: Ino,
    now: Time,
}

impl Model {
    /// An empty root directory, made at `now`.
    pub fn new(now: Time) -> Self {
        let mut model = Self {
            inodes: BTreeMap::new(),
            next: ROOT,
            now,
        };
        let root = model.add(Kind::Directory, 0o755, ROOT, Vec::new());
        debug_assert_eq!(root, ROOT);
        model
    }

    /// The time of the operations to come.
    pub fn set_now(&mut self, now: Time) {
        self.now = now;
    }

    /// The inode `ino`, which exists.
    pub fn inode(&self, ino: Ino) -> &Inode {
        &self.inodes[&ino]
    }

    /// The inode `ino`, about to be changed.
    pub fn inode_mut(&mut self, ino: Ino) -> &mut Inode {
        Arc::make_mut(
            self.inodes
                .get_mut(&ino)
                .expect("only existing inodes are changed"),
        )
    }

    /// Whether `ino` is still there.
    pub fn has(&self, ino: Ino) -> bool {
        self.inodes.contains_key(&ino)
    }

    /// How many inodes there are, the root included.
    pub fn len(&self) -> usize {
        self.inodes.len()
    }

    /// Never: there is always a root.
    pub fn is_empty(&self) -> bool {
        self.inodes.is_empty()
    }

    /// The inode under a name.
    pub fn lookup(&self, parent: Ino, name: &Name) -> Result<Ino> {
        self.require_dir(parent)?;
        self.inode(parent).names.get(name).copied().ok_or(Error::NoEntry)
    }

    /// `mknod`, `mkdir` and `symlink` in one: an inode of `kind` under a new name.
    pub fn create(
        &mut self,
        parent: Ino,
        name: &Name,
        kind: Kind,
        mode: u32,
        target: Vec<u8>,
    ) -> Result<Ino> {
        self.require_dir(parent)?;
        self.require_free(parent, name)?;
        let ino = self.add(kind, mode, parent, target);
        self.attach(parent, name, ino);
        Ok(ino)
    }

    /// `link(2)`.
    pub fn link(&mut self, ino: Ino, parent: Ino, name: &Name) -> Result<()> {
        self.require_dir(parent)?;
        self.require_free(parent, name)?;
        if self.inode(ino).kind == Kind::Directory {
            return Err(Error::NotPermitted("a directory has one name"));
        }
        self.inode_mut(ino).nlink += 1;
        self.touch_attributes(ino);
        self.attach(parent, name, ino);
        Ok(())
    }

    /// `unlink(2)`.
    pub fn unlink(&mut self, parent: Ino, name: &Name) -> Result<()> {
        let ino = self.lookup(parent, name)?;
        if self.inode(ino).kind == Kind::Directory {
            return Err(Error::IsDirectory);
        }
        self.detach(parent, name);
        self.drop_name(ino);
        Ok(())
    }

    /// `rmdir(2)`.
    pub fn rmdir(&mut self, parent: Ino, name: &Name) -> Result<()> {
        let ino = self.lookup(parent, name)?;
        self.require_dir(ino)?;
        self.require_no_names(ino)?;
        self.detach(parent, name);
        self.drop_name(ino);
        Ok(())
    }

    /// `renameat2(2)`.
    pub fn rename(&mut self, from: (Ino, &Name), to: (Ino, &Name), mode: RenameMode) -> Result<()> {
        let ino = self.lookup(from.0, from.1)?;
        self.require_dir(to.0)?;
        let there = self.inode(to.0).names.get(to.1).copied();
        match (mode, there) {
            (RenameMode::NoReplace, Some(_)) => return Err(Error::Exists),
            (RenameMode::Exchange, None) => return Err(Error::NoEntry),
            _ => {}
        }
        // All refusals come before the first change: the model refuses or changes, never both.
        self.require_not_below(to.0, ino)?;
        match there {
            Some(there) if mode == RenameMode::Exchange => {
                self.require_not_below(from.0, there)?;
                if there != ino {
                    self.exchange(from, to, ino, there);
                }
                return Ok(());
            }
            // Two names of one inode: POSIX has this succeed and do nothing.
            Some(there) if there == ino => return Ok(()),
            Some(there) => {
                self.require_replaceable(ino, there)?;
                self.detach(to.0, to.1);
                self.drop_name(there);
            }
            None => {}
        }
        self.detach(from.0, from.1);
        self.attach(to.0, to.1, ino);
        self.touch_attributes(ino);
        Ok(())
    }

    fn exchange(&mut self, from: (Ino, &Name), to: (Ino, &Name), ino: Ino, there: Ino) {
        // Both go before either comes: both names may lie in one directory.
        self.detach(from.0, from.1);
        self.detach(to.0, to.1);
        self.attach(from.0, from.1, there);
        self.attach(to.0, to.1, ino);
        self.touch_attributes(ino);
        self.touch_attributes(there);
    }

    /// Holds an inode open, or lets go of it: the last one frees an inode without names.
    pub fn open(&mut self, ino: Ino) {
        self.inode_mut(ino).opens += 1;
    }

    /// See [`Self::open`].
    pub fn release(&mut self, ino: Ino) {
        self.inode_mut(ino).opens -= 1;
        self.free_if_unused(ino);
    }

    /// `pread(2)`.
    pub fn read(&self, ino: Ino, offset: u64, len: u64) -> Result<Vec<u8>> {
        self.require_file(ino)?;
        let bytes = &self.inode(ino).bytes;
        let start = bytes.len().min(offset as usize);
        let end = bytes.len().min((offset + len) as usize);
        Ok(bytes[start..end].to_vec())
    }

    /// `pwrite(2)`.
    pub fn write(&mut self, ino: Ino, offset: u64, written: &[u8]) -> Result<()> {
        self.require_file(ino)?;
        // A write of nothing changes no time.
        if written.is_empty() {
            return Ok(());
        }
        let end = offset as usize + written.len();
        let bytes = self.bytes_mut(ino);
        bytes.resize(bytes.len().max(end), 0);
        bytes[offset as usize..end].copy_from_slice(written);
        self.touch_content(ino);
        Ok(())
    }

    /// `truncate(2)`.
    pub fn truncate(&mut self, ino: Ino, size: u64) -> Result<()> {
        self.require_file(ino)?;
        self.bytes_mut(ino).resize(size as usize, 0);
        self.touch_content(ino);
        Ok(())
    }

    /// `fallocate(2)`. Its times are left to the caller: filesystems differ.
    pub fn fallocate(&mut self, ino: Ino, mode: Fallocate, offset: u64, len: u64) -> Result<()> {
        self.require_file(ino)?;
        if len == 0 {
            return Err(Error::Invalid("nothing to allocate"));
        }
        let end = (offset + len) as usize;
        let bytes = self.bytes_mut(ino);
        if matches!(mode, Fallocate::Allocate | Fallocate::ZeroRange) {
            bytes.resize(bytes.len().max(end), 0);
        }
        // What is only allocated shows nowhere: a hole is zero bytes here.
        if !matches!(mode, Fallocate::Allocate | Fallocate::AllocateKeepSize) {
            let end = bytes.len().min(end);
            let start = end.min(offset as usize);
            bytes[start..end].fill(0);
        }
        Ok(())
    }

    /// `setxattr(2)`.
    pub fn set_xattr(&mut self, ino: Ino, name: &[u8], value: &[u8], mode: XattrMode) -> Result<()> {
        match (mode, self.inode(ino).xattrs.contains_key(name)) {
            (XattrMode::Create, true) => return Err(Error::Exists),
            (XattrMode::Replace, false) => return Err(Error::NoXattr),
            _ => {}
        }
        self.inode_mut(ino).xattrs.insert(name.to_vec(), value.to_vec());
        self.touch_attributes(ino);
        Ok(())
    }

    /// `removexattr(2)`.
    pub fn remove_xattr(&mut self, ino: Ino, name: &[u8]) -> Result<()> {
        self.inode_mut(ino).xattrs.remove(name).ok_or(Error::NoXattr)?;
        self.touch_attributes(ino);
        Ok(())
    }

    /// Says that attributes changed now.
    pub fn touch_attributes(&mut self, ino: Ino) {
        let now = self.now;
        self.inode_mut(ino).ctime = now;
    }

    fn touch_content(&mut self, ino: Ino) {
        self.inode_mut(ino).mtime = self.now;
        self.touch_attributes(ino);
    }

    fn bytes_mut(&mut self, ino: Ino) -> &mut Vec<u8> {
        Arc::make_mut(&mut self.inode_mut(ino).bytes)
    }

    fn add(&mut self, kind: Kind, mode: u32, parent: Ino, bytes: Vec<u8>) -> Ino {
        let ino = self.next;
        self.next += 1;
        let inode = Inode {
            kind,
            mode,
            uid: 0,
            nlink: if kind == Kind::Directory { 2 } else { 1 },
            names: BTreeMap::new(),
            parent,
            bytes: Arc::new(bytes),
            xattrs: BTreeMap::new(),
            mtime: self.now,
            ctime: self.now,
            opens: 0,
        };
        self.inodes.insert(ino, Arc::new(inode));
        ino
    }

    fn attach(&mut self, parent: Ino, name: &Name, ino: Ino) {
        self.inode_mut(parent).names.insert(name.clone(), ino);
        if self.inode(ino).kind == Kind::Directory {
            self.inode_mut(ino).parent = parent;
            self.inode_mut(parent).nlink += 1;
        }
        self.touch_content(parent);
    }

    fn detach(&mut self, parent: Ino, name: &Name) {
        let ino = self
            .inode_mut(parent)
            .names
            .remove(name)
            .expect("the name was looked up");
        if self.inode(ino).kind == Kind::Directory {
            self.inode_mut(parent).nlink -= 1;
        }
        self.touch_content(parent);
    }

    fn drop_name(&mut self, ino: Ino) {
        let inode = self.inode_mut(ino);
        inode.nlink -= if inode.kind == Kind::Directory { 2 } else { 1 };
        self.touch_attributes(ino);
        self.free_if_unused(ino);
    }

    fn free_if_unused(&mut self, ino: Ino) {
        let Inode {
            nlink: 0, opens: 0, ..
        } = self.inode(ino)
        else {
            return;
        };
        self.inodes.remove(&ino);
    }

    /// What a crash does to files that are held open: those without a name are gone.
    pub fn lose_opens(&mut self) {
        let inos = self.inodes.keys().copied().collect::<Vec<_>>();
        for ino in inos {
            self.inode_mut(ino).opens = 0;
            self.free_if_unused(ino);
        }
    }

    fn require_dir(&self, ino: Ino) -> Result<()> {
        if self.inode(ino).kind == Kind::Directory {
            Ok(())
        } else {
            Err(Error::NotDirectory)
        }
    }

    fn require_file(&self, ino: Ino) -> Result<()> {
        match self.inode(ino).kind {
            Kind::File => Ok(()),
            Kind::Directory => Err(Error::IsDirectory),
            _ => Err(Error::Invalid("not a regular file")),
        }
    }

    fn require_free(&self, parent: Ino, name: &Name) -> Result<()> {
        if self.inode(parent).names.contains_key(name) {
            Err(Error::Exists)
        } else {
            Ok(())
        }
    }

    fn require_no_names(&self, ino: Ino) -> Result<()> {
        if self.inode(ino).names.is_empty() {
            Ok(())
        } else {
            Err(Error::NotEmpty)
        }
    }

    fn require_replaceable(&self, ino: Ino, there: Ino) -> Result<()> {
        match (self.inode(ino).kind, self.inode(there).kind) {
            (Kind::Directory, Kind::Directory) => self.require_no_names(there),
            (Kind::Directory, _) => Err(Error::NotDirectory),
            (_, Kind::Directory) => Err(Error::IsDirectory),
            _ => Ok(()),
        }
    }

    /// A directory cannot go into itself or below.
    fn require_not_below(&self, mut dir: Ino, ancestor: Ino) -> Result<()> {
        loop {
            if dir == ancestor {
                return Err(Error::Invalid("a directory cannot move below itself"));
            }
            if dir == ROOT {
                return Ok(());
            }
            dir = self.inode(dir).parent;
        }
    }
}
