//! A volume with every kind of block, several of most, for tests of what one damaged block costs.
//!
//! ```text
//!  /inline /leaf /large (an index of two levels) /twice --.   /dir/sub/deep  /dir/wide-[0-7]: large attributes, hence
//!  /links/[ab]-[0-3]: large inodes with two names ---------+-- several nodes in a directory and in the hard-link table
//!  .snapshots/{one,two,three}: of roots with large attributes, hence several nodes in the table of snapshots
//!  an unlinked file that is open, dead lists of two snapshots and of the live tree
//! ```

use crate::sample::{name, put_file};
use crate::tree::list;
use crate::volume::{self, Copy, RECORD_SIZE, root_at};
use cairn_fs::{Access, DirCookie, Engine, InodeNo, Kind, Operations, Result, Time, XattrMode};
use cairn_merkle::MemoryStore;
use std::collections::BTreeMap;
use std::sync::Arc;

const ROOT: InodeNo = InodeNo::ROOT;
/// Large enough that two entries with it do not share a node.
const WIDE: usize = 9000;

/// What a path shows, or why it cannot be read.
pub type Paths = BTreeMap<Vec<u8>, std::result::Result<Vec<u8>, String>>;

/// The volume, committed, with a file unlinked and open.
pub fn committed() -> Copy {
    let store = Arc::new(MemoryStore::new());
    let engine = volume::create_and_open(store.clone()).expect("a new volume opens");
    fill(&engine).expect("a healthy store takes the sample");
    Copy::of(&*store)
}

/// Makes the sample's files in an empty volume, and commits.
pub fn fill(engine: &Engine) -> Result<()> {
    let dir = engine.mkdir(ROOT, &name("dir"), 0o755, root_at(10))?.ino;
    let sub = engine.mkdir(dir, &name("sub"), 0o755, root_at(10))?.ino;
    let links = engine.mkdir(ROOT, &name("links"), 0o755, root_at(10))?.ino;
    put_file(engine, ROOT, "inline", b"inline")?;
    put_file(engine, ROOT, "leaf", &[2; 3000])?;
    put_file(engine, sub, "deep", &[3; 3000])?;
    put_file(engine, dir, "file", &[4; 9000])?;
    put_file(engine, dir, "old", &[5; 3000])?;
    let large = put_file(engine, ROOT, "large", &[6; 3 * RECORD_SIZE as usize])?;
    // Far apart, so that the index gets a second level.
    for (n, recno) in [130_u64, 131, 300].into_iter().enumerate() {
        let offset = recno * u64::from(RECORD_SIZE);
        engine.write(large, offset, &[7 + n as u8; 4000], root_at(10), false)?;
    }
    let twice = put_file(engine, ROOT, "twice", &[10; 3000])?;
    engine.link(twice, dir, &name("twice"), root_at(11))?;
    for n in 0..8 {
        let wide = put_file(engine, dir, &format!("wide-{n}"), &[n; 20])?;
        engine.setxattr(wide, b"user.wide", &[n; WIDE], XattrMode::Set, root_at(11))?;
    }
    for n in 0..4 {
        let linked = put_file(engine, links, &format!("a-{n}"), &[20 + n; 3000])?;
        engine.setxattr(linked, b"user.wide", &[n; WIDE], XattrMode::Set, root_at(11))?;
        engine.link(linked, links, &name(&format!("b-{n}")), root_at(11))?;
    }
    let symlink = engine.symlink(ROOT, &name("symlink"), b"target", root_at(11))?;
    engine.forget(symlink.ino, 1);
    for (n, snapshot) in ["one", "two", "three"].into_iter().enumerate() {
        let n = n as u8;
        // Large roots that differ fill several nodes of the table of snapshots.
        engine.setxattr(ROOT, b"user.wide", &[n; WIDE], XattrMode::Set, root_at(12))?;
        engine.snapshot_create(&name(snapshot), Time(13))?;
        let large = engine.lookup(ROOT, &name("large"))?.ino;
        // Overwritten after each snapshot: what was there goes on a dead list.
        engine.write(large, 0, &[30 + n; 4096], root_at(14), false)?;
        let file = engine.lookup(dir, &name("file"))?.ino;
        engine.write(file, 10, &[40 + n; 10], root_at(14), false)?;
    }
    engine.unlink(dir, &name("old"), root_at(15))?;
    engine.removexattr(ROOT, b"user.wide", root_at(15))?;
    let unlinked = put_file(engine, ROOT, "unlinked", &[50; 9000])?;
    // Opened before it loses its name: only so does the commit have an orphan to hold.
    engine.open_file(unlinked, Access::Read)?;
    engine.unlink(ROOT, &name("unlinked"), root_at(15))?;
    engine.commit()
}

/// The paths of the whole volume, snapshots included, as an untouched one has them.
pub fn paths(engine: &Engine) -> Vec<Vec<u8>> {
    let mut paths = Vec::new();
    let mut rest: Vec<(Vec<u8>, InodeNo)> =
        vec![(Vec::new(), ROOT), (b"/.snapshots".to_vec(), InodeNo::SNAPSHOTS)];
    while let Some((path, ino)) = rest.pop() {
        for entry in list(engine, ino).expect("an untouched directory lists") {
            let path = [&path, b"/".as_slice(), entry.name.as_bytes()].concat();
            if entry.kind == Kind::Directory {
                let found = engine.lookup(ino, &entry.name).expect("what is listed is there");
                rest.push((path, found.ino));
            } else {
                paths.push(path);
            }
        }
        paths.push(path);
    }
    paths.sort();
    paths
}

/// Reads each of these paths.
pub fn read_all(engine: &Engine, paths: &[Vec<u8>]) -> Paths {
    let read = |path: &Vec<u8>| {
        let seen = read(engine, path).map_err(|error| error.to_string());
        (path.clone(), seen)
    };
    paths.iter().map(read).collect()
}

/// Everything a path shows but times and, of a directory, its size: in bytes that can be compared.
fn read(engine: &Engine, path: &[u8]) -> Result<Vec<u8>> {
    let mut held = Vec::new();
    let mut attr = engine.getattr(ROOT)?;
    let found = path
        .split(|byte| *byte == b'/')
        .filter(|component| !component.is_empty())
        .try_for_each(|component| {
            let component = String::from_utf8_lossy(component);
            attr = engine.lookup(attr.ino, &name(&component))?;
            held.push(attr.ino);
            Ok(())
        });
    let read = found.and_then(|()| match attr.kind {
        Kind::Directory => names(engine, attr.ino),
        Kind::Symlink => engine.readlink(attr.ino),
        _ => {
            let mut seen = format!("{} {} {:o} ", attr.size, attr.nlink, attr.mode).into_bytes();
            for name in engine.listxattr(attr.ino)? {
                seen.extend(engine.getxattr(attr.ino, &name)?);
            }
            seen.extend_from_slice(&engine.read(attr.ino, 0, attr.size as usize)?);
            Ok(seen)
        }
    });
    held.into_iter().for_each(|ino| engine.forget(ino, 1));
    read
}

/// The names in a directory, in an order that tells nothing.
fn names(engine: &Engine, dir: InodeNo) -> Result<Vec<u8>> {
    let mut names: Vec<Vec<u8>> = Vec::new();
    let mut after = DirCookie::default();
    loop {
        let page = engine.readdir(dir, after, 100, false)?;
        let Some(last) = page.last() else { break };
        after = last.cookie;
        names.extend(page.iter().map(|entry| entry.name.as_bytes().to_vec()));
    }
    names.sort_unstable();
    Ok(names.join(&b'/'))
}
