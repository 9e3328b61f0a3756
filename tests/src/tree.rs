//! What a tree looks like from outside, so that the engine's and the model's can be compared.
//!
//! Inode numbers differ between the two; what is compared instead is which names share an inode.

use crate::model::{Ino, Model, ROOT};
use cairn_fs::{Attr, DirCookie, DirEntry, Engine, InodeNo, Kind, Name, Operations, Result};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A whole tree: its paths, each with `/` before every component, and what stands there.
pub type Tree = BTreeMap<Vec<u8>, Node>;

/// One path's inode. Times are left out: they are checked operation by operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// The first path that leads to the same inode.
    pub same_as: Vec<u8>,
    /// Kind.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Link count; 0 for the root, whose count includes `.snapshots` or not.
    pub nlink: u32,
    /// Extended attributes.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Target of a symbolic link.
    pub target: Vec<u8>,
}

/// Contents of the files of a tree, by the first path of each.
pub type Contents = BTreeMap<Vec<u8>, Arc<Vec<u8>>>;

/// A tree and its contents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dump {
    /// Everything but file contents.
    pub tree: Tree,
    /// File contents.
    pub contents: Contents,
}

impl Dump {
    /// Where the two first differ, in words.
    pub fn difference(&self, other: &Self) -> Option<String> {
        let show = |path: &[u8]| String::from_utf8_lossy(path).into_owned();
        for path in self.tree.keys().chain(other.tree.keys()) {
            let (here, there) = (self.tree.get(path), other.tree.get(path));
            if here != there {
                return Some(format!("{}: {here:?} against {there:?}", show(path)));
            }
        }
        for (path, here) in &self.contents {
            let there = other.contents.get(path)?;
            if here != there {
                let at = here.iter().zip(there.iter()).position(|(a, b)| a != b);
                return Some(format!(
                    "{}: {} against {} bytes, from {at:?}",
                    show(path),
                    here.len(),
                    there.len()
                ));
            }
        }
        None
    }
}

/// Reads all of the model.
pub fn dump_model(model: &Model) -> Dump {
    let mut dump = Dump::default();
    let mut firsts = BTreeMap::new();
    dump_model_at(model, ROOT, Vec::new(), &mut firsts, &mut dump);
    dump
}

/// The first path of each inode, to find the inode behind a path.
pub fn model_firsts(model: &Model) -> BTreeMap<Vec<u8>, Ino> {
    let mut firsts = BTreeMap::new();
    dump_model_at(model, ROOT, Vec::new(), &mut firsts, &mut Dump::default());
    firsts.into_iter().map(|(ino, path)| (path, ino)).collect()
}

fn dump_model_at(
    model: &Model,
    ino: Ino,
    path: Vec<u8>,
    firsts: &mut BTreeMap<Ino, Vec<u8>>,
    dump: &mut Dump,
) {
    let inode = model.inode(ino);
    let same_as = firsts.entry(ino).or_insert_with(|| path.clone()).clone();
    if inode.kind == Kind::File {
        dump.contents.insert(same_as.clone(), inode.bytes.clone());
    }
    let node = Node {
        same_as,
        kind: inode.kind,
        mode: inode.mode,
        uid: inode.uid,
        nlink: if path.is_empty() { 0 } else { inode.nlink },
        xattrs: inode.xattrs.clone(),
        target: if inode.kind == Kind::Symlink {
            inode.bytes.to_vec()
        } else {
            Vec::new()
        },
    };
    dump.tree.insert(path.clone(), node);
    for (name, child) in &inode.names {
        dump_model_at(model, *child, join(&path, name), firsts, dump);
    }
}

/// Reads all of the tree below a directory through the engine.
pub fn dump_engine(engine: &Engine, root: InodeNo) -> Result<Dump> {
    let mut dump = Dump::default();
    let attr = engine.getattr(root)?;
    dump_engine_at(engine, &attr, Vec::new(), &mut BTreeMap::new(), &mut dump)?;
    Ok(dump)
}

fn dump_engine_at(
    engine: &Engine,
    attr: &Attr,
    path: Vec<u8>,
    firsts: &mut BTreeMap<InodeNo, Vec<u8>>,
    dump: &mut Dump,
) -> Result<()> {
    let same_as = firsts.entry(attr.ino).or_insert_with(|| path.clone()).clone();
    if attr.kind == Kind::File {
        // Past the size: nothing may be read behind the end.
        let bytes = engine.read(attr.ino, 0, attr.size as usize + 10)?.to_vec();
        assert_eq!(
            bytes.len() as u64,
            attr.size,
            "size of {}",
            String::from_utf8_lossy(&path)
        );
        dump.contents.insert(same_as.clone(), Arc::new(bytes));
    }
    let mut xattrs = BTreeMap::new();
    for name in engine.listxattr(attr.ino)? {
        xattrs.insert(name.clone(), engine.getxattr(attr.ino, &name)?);
    }
    let node = Node {
        same_as,
        kind: attr.kind,
        mode: attr.mode,
        uid: attr.uid,
        nlink: if path.is_empty() { 0 } else { attr.nlink },
        xattrs,
        target: if attr.kind == Kind::Symlink {
            engine.readlink(attr.ino)?
        } else {
            Vec::new()
        },
    };
    dump.tree.insert(path.clone(), node);
    if attr.kind != Kind::Directory {
        return Ok(());
    }
    let mut entries = list(engine, attr.ino)?;
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    for entry in entries {
        let child = engine.lookup(attr.ino, &entry.name)?;
        assert_eq!(
            (child.ino, child.kind),
            (entry.ino, entry.kind),
            "readdir and lookup of {:?}",
            entry.name
        );
        let dumped = dump_engine_at(engine, &child, join(&path, &entry.name), firsts, dump);
        // Before a failure is passed on: a reference left behind would keep the inode in memory.
        engine.forget(child.ino, 1);
        dumped?;
    }
    Ok(())
}

/// The names in a directory, `.snapshots` at the root left out.
pub fn list(engine: &Engine, dir: InodeNo) -> Result<Vec<DirEntry>> {
    let mut entries: Vec<DirEntry> = Vec::new();
    let mut after = DirCookie::default();
    loop {
        // Small pages, so that most directories take several.
        let page = engine.readdir(dir, after, 7, true)?;
        let Some(last) = page.last() else { break };
        after = last.cookie;
        entries.extend(page);
    }
    entries.retain(|entry| entry.ino != InodeNo::SNAPSHOTS);
    Ok(entries)
}

fn join(path: &[u8], name: &Name) -> Vec<u8> {
    [path, b"/", name.as_bytes()].concat()
}
