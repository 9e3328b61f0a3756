//! A volume with one of everything, and what reading each of its paths gives.
//!
//! ```text
//!  /inline /leaf /index /hard --.     .snapshots/old: the same before /index and /dir/file were overwritten
//!  /symlink /dir/file /dir/sub/deep   |  and /gone was unlinked, hence a dead list
//!  /dir/wide-[0-5]: large xattrs, so that the directory has several nodes; /dir/hard is /hard
//! ```

use crate::tree::list;
use crate::volume::{self, Copy, root_at};
use cairn_fs::{Attr, Engine, InodeNo, Kind, Name, Operations, Quota, Result, Time, XattrMode};
use cairn_merkle::{MemoryStore, Suite};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a path shows of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    kind: Kind,
    size: u64,
    nlink: u32,
    bytes: Vec<u8>,
    xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    names: Vec<Name>,
}

/// Files that the log alone has, one record each, in a [`crashed`] volume.
pub const LOGGED: [&str; 5] = ["logged-0", "logged-1", "logged-2", "logged-3", "logged-4"];

/// All paths of the sample, its snapshot's included.
pub fn paths() -> Vec<String> {
    let live = [
        "", "inline", "leaf", "index", "hard", "symlink", "dir", "dir/file", "dir/hard", "dir/sub",
    ];
    let mut paths: Vec<String> = live.map(String::from).to_vec();
    paths.push("dir/sub/deep".into());
    paths.extend((0..6).map(|n| format!("dir/wide-{n}")));
    let old = paths.iter().map(|path| format!(".snapshots/old/{path}"));
    let old: Vec<_> = old.chain([".snapshots/old/gone".into()]).collect();
    paths.extend(old);
    paths
}

/// The sample, closed.
pub fn closed() -> Copy {
    closed_of(Suite::default())
}

/// The same, sealed with `suite`.
pub fn closed_of(suite: Suite) -> Copy {
    let store = Arc::new(MemoryStore::new());
    volume::create_of(suite, &*store, Quota::default(), volume::RECORD_SIZE).expect("memory takes a volume");
    let engine = volume::open(store.clone(), 2).expect("a new volume opens");
    fill(&engine).expect("a healthy store takes the sample");
    engine.close().expect("a healthy store closes");
    Copy::of(&*store)
}

/// `base`, mounted and cut off after each of [`LOGGED`] was fsynced, with more of it changed than
/// was committed.
pub fn crashed(base: &Copy) -> Copy {
    cut_off(base, 0)
}

/// The same, killed and not cut off: with all that was written, and with the marks beside the log.
pub fn killed(base: &Copy) -> Copy {
    cut_off(base, u64::MAX)
}

fn cut_off(base: &Copy, seed: u64) -> Copy {
    let store = Arc::new(base.clone().into_crash());
    let engine = volume::open(store.clone(), 20).expect("the sample opens");
    change(&engine).expect("a healthy store takes the changes");
    let found = store.crash(seed);
    store.crash_at(0);
    engine.close().expect_err("there is no power");
    Copy::of(&found)
}

/// What [`LOGGED`] holds: bytes for the log, a whole record as a block, both.
pub fn logged_bytes(index: usize) -> Vec<u8> {
    vec![index as u8 + 1; [100, 4096, 5000, 0, 9000][index]]
}

/// Reads all there is under a path.
pub fn read(engine: &Engine, path: &str) -> Result<Seen> {
    let mut held = Vec::new();
    let seen = walk(engine, path, &mut held).and_then(|attr| look(engine, &attr));
    held.into_iter().for_each(|ino| engine.forget(ino, 1));
    seen
}

fn walk(engine: &Engine, path: &str, held: &mut Vec<InodeNo>) -> Result<Attr> {
    let mut attr = engine.getattr(InodeNo::ROOT)?;
    for component in path.split('/').filter(|component| !component.is_empty()) {
        attr = engine.lookup(attr.ino, &name(component))?;
        held.push(attr.ino);
    }
    Ok(attr)
}

fn look(engine: &Engine, attr: &Attr) -> Result<Seen> {
    let mut xattrs = BTreeMap::new();
    for name in engine.listxattr(attr.ino)? {
        let value = engine.getxattr(attr.ino, &name)?;
        xattrs.insert(name, value);
    }
    let bytes = match attr.kind {
        Kind::File => engine.read(attr.ino, 0, attr.size as usize)?.to_vec(),
        Kind::Symlink => engine.readlink(attr.ino)?,
        _ => Vec::new(),
    };
    let names = match attr.kind {
        Kind::Directory => list(engine, attr.ino)?
            .into_iter()
            .map(|entry| entry.name)
            .collect(),
        _ => Vec::new(),
    };
    Ok(Seen {
        kind: attr.kind,
        size: attr.size,
        nlink: attr.nlink,
        bytes,
        xattrs,
        names,
    })
}

impl Seen {
    /// The names in a directory.
    pub fn names(&self) -> &[Name] {
        &self.names
    }

    /// The bytes of a file.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// A name of the test's own.
pub fn name(name: &str) -> Name {
    Name::new(name.as_bytes()).expect("tests use proper names")
}

/// Makes a file with these bytes; the kernel holds no reference to it afterwards.
pub fn put_file(engine: &Engine, dir: InodeNo, file: &str, bytes: &[u8]) -> Result<InodeNo> {
    let ino = engine
        .mknod(dir, &name(file), Kind::File, 0o644, 0, root_at(10))?
        .ino;
    let written = engine.write(ino, 0, bytes, root_at(10), false);
    engine.forget(ino, 1);
    written.map(|()| ino)
}

fn fill(engine: &Engine) -> Result<()> {
    let root = InodeNo::ROOT;
    put_file(engine, root, "inline", &[1; 100])?;
    put_file(engine, root, "leaf", &[2; 3000])?;
    put_file(engine, root, "index", &[3; 3 * 4096 + 500])?;
    let hard = put_file(engine, root, "hard", &[4; 6000])?;
    put_file(engine, root, "gone", &[5; 9000])?;
    engine.symlink(root, &name("symlink"), b"dir/file", root_at(11))?;
    let dir = engine.mkdir(root, &name("dir"), 0o755, root_at(11))?.ino;
    engine.link(hard, dir, &name("hard"), root_at(11))?;
    put_file(engine, dir, "file", &[6; 5000])?;
    let sub = engine.mkdir(dir, &name("sub"), 0o755, root_at(11))?.ino;
    put_file(engine, sub, "deep", &[7; 3000])?;
    for n in 0..6 {
        let wide = put_file(engine, dir, &format!("wide-{n}"), &[])?;
        engine.setxattr(wide, b"user.wide", &[n; 9000], XattrMode::Set, root_at(12))?;
    }
    engine.snapshot_create(&name("old"), Time(13))?;
    let index = engine.lookup(root, &name("index"))?.ino;
    let file = engine.lookup(dir, &name("file"))?.ino;
    engine.write(index, 4096, &[8; 5000], root_at(14), false)?;
    engine.write(file, 10, &[9; 10], root_at(14), false)?;
    // Gone from the tree, and held by the snapshot.
    engine.unlink(root, &name("gone"), root_at(14))?;
    engine.commit()
}

fn change(engine: &Engine) -> Result<()> {
    let index = engine.lookup(InodeNo::ROOT, &name("index"))?.ino;
    engine.write(index, 0, &[10; 4096], root_at(21), false)?;
    for (n, file) in LOGGED.iter().enumerate() {
        let ino = put_file(engine, InodeNo::ROOT, file, &logged_bytes(n))?;
        engine.fsync(ino, false)?;
    }
    Ok(())
}
