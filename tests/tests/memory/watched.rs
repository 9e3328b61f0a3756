//! The operations, with a note of which were called and of what the engine says it takes.

use cairn_fs::{
    Access, Attr, Caller, DirCookie, DirEntry, Engine, Fallocate, InodeNo, Kind, Name, Operations,
    RenameMode, Result, Seek, SetAttr, StatFs, XattrMode,
};
use cairn_merkle::buffer::Buffer;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

pub(crate) type Called = BTreeSet<&'static str>;

/// Calls between two looks at what the engine takes.
const LOOK_EVERY: u64 = 16;

pub(crate) struct Watched {
    pub(crate) engine: Arc<Engine>,
    called: Mutex<Called>,
    calls: AtomicU64,
    counted: AtomicU64,
}

impl Watched {
    pub(crate) fn new(engine: Arc<Engine>) -> Self {
        Self {
            engine,
            called: Mutex::default(),
            calls: AtomicU64::new(0),
            counted: AtomicU64::new(0),
        }
    }

    pub(crate) fn called(&self) -> Called {
        self.called.lock().clone()
    }

    /// The most that the engine said it takes.
    pub(crate) fn counted_most(&self) -> u64 {
        self.counted.load(Relaxed)
    }

    fn note(&self, what: &'static str) -> &Engine {
        self.called.lock().insert(what);
        if self.calls.fetch_add(1, Relaxed).is_multiple_of(LOOK_EVERY) {
            self.counted.fetch_max(self.engine.status().memory_bytes, Relaxed);
        }
        &self.engine
    }
}

/// Implements each operation by the engine's, and lists them all: one that is new in the trait does
/// not compile before it stands here, and fails the test before a loop calls it.
macro_rules! operations {
    ($($name:ident($($argument:ident: $kind:ty),*) -> $answer:ty;)+) => {
        impl Operations for Watched {
            $(fn $name(&self, $($argument: $kind),*) -> $answer {
                Operations::$name(self.note(stringify!($name)), $($argument),*)
            })+
        }

        pub(crate) fn all() -> Called {
            [$(stringify!($name)),+].into_iter().collect()
        }
    };
}

operations! {
    lookup(parent: InodeNo, name: &Name) -> Result<Attr>;
    forget(ino: InodeNo, count: u64) -> ();
    parent(ino: InodeNo) -> Result<InodeNo>;
    getattr(ino: InodeNo) -> Result<Attr>;
    setattr(ino: InodeNo, set: SetAttr, caller: Caller) -> Result<Attr>;
    mknod(parent: InodeNo, name: &Name, kind: Kind, mode: u32, rdev: u32, caller: Caller) -> Result<Attr>;
    mkdir(parent: InodeNo, name: &Name, mode: u32, caller: Caller) -> Result<Attr>;
    symlink(parent: InodeNo, name: &Name, target: &[u8], caller: Caller) -> Result<Attr>;
    link(ino: InodeNo, new_parent: InodeNo, name: &Name, caller: Caller) -> Result<Attr>;
    unlink(parent: InodeNo, name: &Name, caller: Caller) -> Result<()>;
    rmdir(parent: InodeNo, name: &Name, caller: Caller) -> Result<()>;
    rename(
        parent: InodeNo, name: &Name, new_parent: InodeNo, new_name: &Name, mode: RenameMode, caller: Caller
    ) -> Result<()>;
    readlink(ino: InodeNo) -> Result<Vec<u8>>;
    readdir(ino: InodeNo, after: DirCookie, count_max: usize, with_attr: bool) -> Result<Vec<DirEntry>>;
    retain(parent: InodeNo, entry: &DirEntry) -> Result<Option<Attr>>;
    open_file(ino: InodeNo, access: Access) -> Result<()>;
    release(ino: InodeNo) -> ();
    read(ino: InodeNo, offset: u64, len: usize) -> Result<Buffer>;
    read_now(ino: InodeNo, offset: u64, len: usize) -> Option<Buffer>;
    read_part(ino: InodeNo, offset: u64, len: usize, rest_follows: bool) -> Option<Buffer>;
    read_unit() -> usize;
    write(ino: InodeNo, offset: u64, bytes: &[u8], caller: Caller, kill_suid_sgid: bool) -> Result<()>;
    fsync(ino: InodeNo, data_only: bool) -> Result<()>;
    fallocate(ino: InodeNo, mode: Fallocate, offset: u64, len: u64, caller: Caller) -> Result<()>;
    seek(ino: InodeNo, offset: u64, whence: Seek) -> Result<u64>;
    copy_range(
        from: InodeNo, from_offset: u64, to: InodeNo, to_offset: u64, len: u64, caller: Caller
    ) -> Result<u64>;
    getxattr(ino: InodeNo, name: &[u8]) -> Result<Vec<u8>>;
    listxattr(ino: InodeNo) -> Result<Vec<Vec<u8>>>;
    setxattr(ino: InodeNo, name: &[u8], value: &[u8], mode: XattrMode, caller: Caller) -> Result<()>;
    removexattr(ino: InodeNo, name: &[u8], caller: Caller) -> Result<()>;
    statfs() -> Result<StatFs>;
    room() -> u64;
    make_room() -> u64;
}
