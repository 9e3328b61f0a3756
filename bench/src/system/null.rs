//! An empty FUSE filesystem: names and attributes in memory, bytes thrown away, zeros read back.
//!
//! ```text
//! application --> kernel --/dev/fuse--> here: a lookup in a map, an answer
//! ```
//!
//! It asks the kernel for the same things as Cairn's own edge: writeback cache, long times, 1 MiB
//! requests, large readahead, as many dirty pages. It serves as most daemons do, with two threads
//! that sleep while no request comes. It costs the hop. A daemon whose thread stays awake between
//! two requests, as Cairn's does, can be faster on a row.

use super::kind::{About, Kind, System};
use super::place::{Place, wait_mounted};
use anyhow::Result;
use fuser::{
    Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, InitFlags,
    KernelConfig, LockOwner, MountOption, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData,
    ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyOpen, ReplyStatfs, ReplyWrite, Request,
    SessionACL, TimeOrNow, WriteFlags,
};
use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// The system; its daemon is this same program.
pub(super) struct Null;

impl System for Null {
    fn about(&self) -> About {
        About {
            id: "null",
            title: "empty FUSE",
            kind: Kind::Null,
            sealed: false,
            includes: "the hop through FUSE and a lookup in memory, with Cairn's mount settings",
            leaves_out: "storage: bytes are thrown away and read back as zeros",
            packages: &["fuse3"],
            by_default: true,
        }
    }

    fn version(&self) -> Result<String> {
        anyhow::ensure!(
            Path::new("/dev/fuse").exists(),
            "there is no /dev/fuse: modprobe fuse"
        );
        Ok(format!("cairn-bench {}", env!("CARGO_PKG_VERSION")))
    }

    fn create(&self, _place: &Place) -> Result<()> {
        Ok(())
    }

    fn mount(&self, place: &Place) -> Result<()> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("null-fs").arg(place.mnt());
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        wait_mounted(&place.mnt())
    }

    fn can_crash(&self) -> bool {
        false
    }
}

/// Serves at `mnt` until it is unmounted.
pub(crate) fn serve(mnt: &Path) -> Result<()> {
    let mut config = Config::default();
    config.mount_options = vec![
        MountOption::FSName("null".into()),
        MountOption::DefaultPermissions,
    ];
    config.acl = SessionACL::All;
    config.n_threads = Some(2);
    config.clone_fd = true;
    // Mounted first: only a mount has a device that can be tuned.
    let session = fuser::spawn_mount(Empty::new(), mnt, &config)?;
    tune(mnt);
    Ok(session.join()?)
}

/// What Cairn sets for its mount: readahead, and how much may be dirty. Needs root; without it
/// requests are smaller.
fn tune(mnt: &Path) {
    let Ok(meta) = std::fs::metadata(mnt) else { return };
    let (major, minor) = (rustix::fs::major(meta.dev()), rustix::fs::minor(meta.dev()));
    for (name, value) in [
        ("read_ahead_kb", "4096"),
        ("max_ratio", "15"),
        ("min_ratio", "15"),
    ] {
        let _ = std::fs::write(format!("/sys/class/bdi/{major}:{minor}/{name}"), value);
    }
}

const DAY: Duration = Duration::from_secs(86_400);
const GENERATION: Generation = Generation(0);

/// The filesystem.
struct Empty {
    tree: Mutex<Tree>,
    zeros: Vec<u8>,
}

#[derive(Default)]
struct Tree {
    nodes: HashMap<u64, Node>,
    last: u64,
}

struct Node {
    attr: FileAttr,
    parent: u64,
    /// Ordered by number, which is the cookie of a listing: it stays right when names come and go.
    names: BTreeMap<u64, OsString>,
    children: HashMap<OsString, u64>,
    /// It has no name any more, and goes when the kernel forgets it: until then times may still be
    /// written back to it.
    gone: bool,
}

impl Tree {
    fn add(
        &mut self,
        parent: u64,
        name: &OsStr,
        kind: FileType,
        perm: u32,
        request: &Request,
    ) -> Result<FileAttr, Errno> {
        self.last += 1;
        let ino = self.last;
        let (uid, gid) = (request.uid(), request.gid());
        let dir = self.nodes.get_mut(&parent).ok_or(Errno::ENOENT)?;
        if dir.children.contains_key(name) {
            return Err(Errno::EEXIST);
        }
        dir.children.insert(name.to_owned(), ino);
        dir.names.insert(ino, name.to_owned());
        let node = Node::new(ino, parent, kind, perm, uid, gid);
        let attr = node.attr;
        self.nodes.insert(ino, node);
        Ok(attr)
    }

    fn find(&self, parent: u64, name: &OsStr) -> Result<&Node, Errno> {
        let dir = self.nodes.get(&parent).ok_or(Errno::ENOENT)?;
        dir.children
            .get(name)
            .and_then(|ino| self.nodes.get(ino))
            .ok_or(Errno::ENOENT)
    }

    fn detach(&mut self, parent: u64, name: &OsStr) -> Result<u64, Errno> {
        let dir = self.nodes.get_mut(&parent).ok_or(Errno::ENOENT)?;
        let ino = dir.children.remove(name).ok_or(Errno::ENOENT)?;
        dir.names.remove(&ino);
        Ok(ino)
    }

    fn remove(&mut self, parent: u64, name: &OsStr) -> Result<(), Errno> {
        if !self.find(parent, name)?.children.is_empty() {
            return Err(Errno::ENOTEMPTY);
        }
        let ino = self.detach(parent, name)?;
        if let Some(node) = self.nodes.get_mut(&ino) {
            node.gone = true;
        }
        Ok(())
    }

    fn rename(&mut self, parent: u64, name: &OsStr, target: u64, new: &OsStr) -> Result<(), Errno> {
        let ino = self.detach(parent, name)?;
        if self.find(target, new).is_ok() {
            self.remove(target, new)?;
        }
        let dir = self.nodes.get_mut(&target).ok_or(Errno::ENOENT)?;
        dir.children.insert(new.to_owned(), ino);
        dir.names.insert(ino, new.to_owned());
        if let Some(node) = self.nodes.get_mut(&ino) {
            node.parent = target;
        }
        Ok(())
    }
}

impl Node {
    fn new(ino: u64, parent: u64, kind: FileType, perm: u32, uid: u32, gid: u32) -> Self {
        let now = SystemTime::now();
        let attr = FileAttr {
            ino: INodeNo(ino),
            size: 0,
            blocks: 0,
            atime: now,
            mtime: now,
            ctime: now,
            crtime: now,
            kind,
            perm: (perm & 0o7777) as u16,
            nlink: if kind == FileType::Directory { 2 } else { 1 },
            uid,
            gid,
            rdev: 0,
            blksize: 4096,
            flags: 0,
        };
        Self {
            attr,
            parent,
            names: BTreeMap::new(),
            children: HashMap::new(),
            gone: false,
        }
    }
}

impl Empty {
    fn new() -> Self {
        let root = Node::new(1, 1, FileType::Directory, 0o755, 0, 0);
        Self {
            tree: Mutex::new(Tree {
                nodes: HashMap::from([(1, root)]),
                last: 1,
            }),
            zeros: vec![0; 1 << 20],
        }
    }

    fn tree(&self) -> MutexGuard<'_, Tree> {
        self.tree.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Calls `each` with cookie, name and attributes of what follows `offset`, until it says that
    /// it is full.
    fn list(
        &self,
        ino: INodeNo,
        offset: u64,
        mut each: impl FnMut(u64, &OsStr, &FileAttr) -> bool,
    ) -> Result<(), Errno> {
        let tree = self.tree();
        let dir = tree.nodes.get(&ino.0).ok_or(Errno::ENOENT)?;
        // Inode numbers start at 1 (the root, which has no parent), so 0 and 1 are free for the
        // dots.
        let dots = [(0, ".", ino.0), (1, "..", dir.parent)];
        for (at, name, target) in dots.into_iter().filter(|dot| dot.0 >= offset) {
            let Some(node) = tree.nodes.get(&target) else {
                continue;
            };
            if each(at + 1, OsStr::new(name), &node.attr) {
                return Ok(());
            }
        }
        for (&child, name) in dir.names.range(offset.max(2)..) {
            let Some(node) = tree.nodes.get(&child) else {
                continue;
            };
            if each(child + 1, name, &node.attr) {
                break;
            }
        }
        Ok(())
    }
}

fn done(outcome: Result<(), Errno>, reply: ReplyEmpty) {
    match outcome {
        Ok(()) => reply.ok(),
        Err(errno) => reply.error(errno),
    }
}

fn entry(outcome: Result<FileAttr, Errno>, reply: ReplyEntry) {
    match outcome {
        Ok(attr) => reply.entry(&DAY, &attr, GENERATION),
        Err(errno) => reply.error(errno),
    }
}

impl Filesystem for Empty {
    fn init(&mut self, _request: &Request, config: &mut KernelConfig) -> io::Result<()> {
        for flag in [
            InitFlags::FUSE_ASYNC_READ,
            InitFlags::FUSE_ATOMIC_O_TRUNC,
            InitFlags::FUSE_BIG_WRITES,
            InitFlags::FUSE_DO_READDIRPLUS,
            InitFlags::FUSE_READDIRPLUS_AUTO,
            InitFlags::FUSE_ASYNC_DIO,
            InitFlags::FUSE_WRITEBACK_CACHE,
            InitFlags::FUSE_PARALLEL_DIROPS,
            InitFlags::FUSE_MAX_PAGES,
            InitFlags::FUSE_HANDLE_KILLPRIV_V2,
        ] {
            // What an older kernel lacks is left out.
            let _ = config.add_capabilities(flag);
        }
        // As Cairn's own edge asks for: a hop that carries less at a time would make Cairn look
        // better.
        let _ = config.set_max_write(1 << 20);
        let _ = config.set_max_background(64);
        let _ = config.set_congestion_threshold(48);
        Ok(())
    }

    fn lookup(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let found = self.tree().find(parent.0, name).map(|node| node.attr);
        entry(found, reply);
    }

    fn forget(&self, _request: &Request, ino: INodeNo, _lookups: u64) {
        let mut tree = self.tree();
        if tree.nodes.get(&ino.0).is_some_and(|node| node.gone) {
            tree.nodes.remove(&ino.0);
        }
    }

    fn getattr(&self, _request: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        match self.tree().nodes.get(&ino.0) {
            Some(node) => reply.attr(&DAY, &node.attr),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn setattr(
        &self,
        _request: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<fuser::BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let mut tree = self.tree();
        let Some(node) = tree.nodes.get_mut(&ino.0) else {
            return reply.error(Errno::ENOENT);
        };
        let attr = &mut node.attr;
        attr.perm = mode.map_or(attr.perm, |mode| (mode & 0o7777) as u16);
        attr.uid = uid.unwrap_or(attr.uid);
        attr.gid = gid.unwrap_or(attr.gid);
        attr.size = size.unwrap_or(attr.size);
        reply.attr(&DAY, attr);
    }

    fn mkdir(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        reply: ReplyEntry,
    ) {
        let made = self
            .tree()
            .add(parent.0, name, FileType::Directory, mode, request);
        entry(made, reply);
    }

    fn create(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        _umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        match self
            .tree()
            .add(parent.0, name, FileType::RegularFile, mode, request)
        {
            Ok(attr) => reply.created(
                &DAY,
                &attr,
                GENERATION,
                FileHandle(0),
                FopenFlags::FOPEN_KEEP_CACHE,
            ),
            Err(errno) => reply.error(errno),
        }
    }

    fn unlink(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        done(self.tree().remove(parent.0, name), reply);
    }

    fn rmdir(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        done(self.tree().remove(parent.0, name), reply);
    }

    fn rename(
        &self,
        _request: &Request,
        parent: INodeNo,
        name: &OsStr,
        target: INodeNo,
        new: &OsStr,
        _flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        done(self.tree().rename(parent.0, name, target.0, new), reply);
    }

    fn open(&self, _request: &Request, _ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        reply.opened(FileHandle(0), FopenFlags::FOPEN_KEEP_CACHE);
    }

    fn opendir(&self, _request: &Request, _ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        reply.opened(
            FileHandle(0),
            FopenFlags::FOPEN_KEEP_CACHE | FopenFlags::FOPEN_CACHE_DIR,
        );
    }

    fn read(
        &self,
        _request: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        // Copied out of the lock: the answer is written to the kernel without it.
        let end = self.tree().nodes.get(&ino.0).map_or(0, |node| node.attr.size);
        let len = u64::from(size)
            .min(end.saturating_sub(offset))
            .min(self.zeros.len() as u64);
        reply.data(&self.zeros[..len as usize]);
    }

    fn write(
        &self,
        _request: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        data: &[u8],
        _kind: WriteFlags,
        _flags: OpenFlags,
        _owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        // The bytes go, the size stays: reads are answered up to it.
        if let Some(node) = self.tree().nodes.get_mut(&ino.0) {
            node.attr.size = node.attr.size.max(offset + data.len() as u64);
        }
        reply.written(data.len() as u32);
    }

    fn fsync(&self, _request: &Request, _ino: INodeNo, _fh: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsyncdir(
        &self,
        _request: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        _datasync: bool,
        reply: ReplyEmpty,
    ) {
        reply.ok();
    }

    fn readdir(
        &self,
        _request: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        match self.list(ino, offset, |next, name, attr| {
            reply.add(attr.ino, next, attr.kind, name)
        }) {
            Ok(()) => reply.ok(),
            Err(errno) => reply.error(errno),
        }
    }

    fn readdirplus(
        &self,
        _request: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        match self.list(ino, offset, |next, name, attr| {
            reply.add(attr.ino, next, name, &DAY, attr, GENERATION)
        }) {
            Ok(()) => reply.ok(),
            Err(errno) => reply.error(errno),
        }
    }

    fn statfs(&self, _request: &Request, _ino: INodeNo, reply: ReplyStatfs) {
        reply.statfs(1 << 30, 1 << 30, 1 << 30, 1 << 30, 1 << 30, 4096, 255, 4096);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_goes_on_after_its_cookie_although_names_went_away() {
        let empty = Empty::new();
        for ino in 2..6u64 {
            let name = OsString::from(format!("f{ino}"));
            let mut tree = empty.tree();
            tree.nodes
                .insert(ino, Node::new(ino, 1, FileType::RegularFile, 0o644, 0, 0));
            let root = tree.nodes.get_mut(&1).unwrap();
            root.children.insert(name.clone(), ino);
            root.names.insert(ino, name);
        }
        let mut cookies = Vec::new();
        empty
            .list(INodeNo(1), 0, |next, _, _| {
                cookies.push(next);
                cookies.len() == 3
            })
            .unwrap();
        assert_eq!(cookies, [1, 2, 3], "the dots and one file");
        empty.tree().remove(1, OsStr::new("f2")).unwrap();
        let mut names = Vec::new();
        empty
            .list(INodeNo(1), 3, |_, name, _| {
                names.push(name.to_owned());
                false
            })
            .unwrap();
        assert_eq!(names, ["f3", "f4", "f5"]);
    }
}
