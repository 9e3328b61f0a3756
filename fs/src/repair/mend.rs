//! The live tree is made whole in memory: by pruning what is stored, and by the operations that
//! users have.
//!
//! ```text
//!  directories, from the root down: tree without its gaps, counts --> names that lead nowhere are cut
//!     --> inodes that count other names than they have --> files: holes, and away from under their names
//! ```
//!
//! The order matters: names are removed and moved only once every directory counts what it has.

use crate::blocks::{Uncached, Writer};
use crate::check::{Broken, DirWound, Wounds};
use crate::data::layer::Rec;
use crate::engine::Engine;
use crate::namespace::inode::Home;
use crate::state::State;
use crate::stored::name::DirKey;
use crate::stored::record::{Meta, Record, Stored, Xattrs};
use crate::stored::repairs::{Gone, LISTED_MAX, Loss, Repaired, Repairs};
use crate::{Error, InodeNo, Kind, Name, RenameMode, Result, Time};
use cairn_merkle::{Epoch, Link, btree, index};

/// Where files go that cannot stay under their names.
const LOST_FOUND: &str = "lost+found";
/// Bytes of a path that a name in it keeps.
const KEPT_MAX: usize = 200;

/// One repair's work on the tree.
pub(super) struct Mender<'a> {
    pub(super) engine: &'a Engine,
    pub(super) state: &'a mut State,
    /// Nodes of the open epoch, whose commit names them.
    pub(super) writer: Writer<'a>,
    now: Time,
    epoch: Epoch,
    gone: Vec<Gone>,
    lost_found: Option<(InodeNo, Name)>,
}

impl<'a> Mender<'a> {
    pub(super) fn new(engine: &'a Engine, state: &'a mut State, now: Time) -> Self {
        let epoch = state.open.number();
        Self {
            engine,
            writer: Writer::new(&engine.blocks, epoch),
            state,
            now,
            epoch,
            gone: Vec::new(),
            lost_found: None,
        }
    }

    pub(super) fn source(&self) -> Uncached<'a> {
        Uncached(&self.engine.blocks)
    }

    /// Notes a loss.
    pub(super) fn lose(&mut self, path: &[u8], loss: Loss) {
        self.gone.push(Gone {
            epoch: self.epoch.0,
            path: path.to_vec(),
            loss,
        });
    }

    /// Prunes, counts, cuts and moves; nothing of a tree without wounds.
    pub(super) fn tree(&mut self, wounds: &Wounds) -> Result<()> {
        if wounds.is_none() {
            return Ok(());
        }
        // From the root down: a path is found only through directories that can be read.
        for dir in &wounds.dirs {
            self.directory(dir)?;
        }
        // Before an inode is looked for there.
        if wounds.table {
            let table = self.state.volume.trees.table.take();
            self.state.volume.trees.table = self.prune(table)?;
        }
        // As the walk counted them. The operations below count on from here.
        (self.state.volume.inodes, self.state.volume.trees.bytes) = (wounds.inodes, wounds.bytes);
        self.state.open.touch();
        for (dir, key) in &wounds.cut {
            self.cut(dir, key)?;
        }
        // Before names come or go: each of those changes the count by one.
        for (ino, names) in &wounds.names {
            self.engine.load_linked(self.state, *ino)?;
            self.state.inodes.change(*ino)?.meta.nlink = *names;
        }
        for (path, broken) in &wounds.files {
            self.broken_file(path, broken)?;
        }
        self.linked_files(wounds)
    }

    fn prune(&mut self, root: Option<Link>) -> Result<Option<Link>> {
        let pruned = btree::prune(&self.source(), &self.writer, root)?;
        self.writer.flush()?;
        Ok(pruned)
    }

    /// A directory without the names that cannot be read.
    fn directory(&mut self, wound: &DirWound) -> Result<()> {
        let ino = self.resolve(&wound.path)?;
        let stored = self.state.inodes.get(ino)?.dir()?.stored.clone();
        let pruned = self.prune(stored)?;
        let now = self.now;
        let inode = self.state.inodes.change(ino)?;
        inode.meta.size = wound.names;
        inode.meta.nlink = wound.subdirs + 2;
        inode.meta.mtime = now;
        inode.meta.ctime = now;
        let dir = inode.dir_mut()?;
        dir.stored = pruned;
        // Else a list would go on ending with the node that is cut away.
        dir.unread = None;
        if wound.lost > 0 {
            self.lose(&wound.path, Loss::Names { count: wound.lost });
        }
        Ok(())
    }

    /// Removes an entry that leads to no inode.
    fn cut(&mut self, dir: &[u8], key: &DirKey) -> Result<()> {
        let ino = self.resolve(dir)?;
        let now = self.now;
        let inode = self.state.inodes.change(ino)?;
        inode.meta.size = inode.meta.size.saturating_sub(1);
        inode.meta.mtime = now;
        inode.meta.ctime = now;
        inode.dir_mut()?.open.insert(key.clone(), None);
        self.lose(&[dir, key.name.as_bytes()].concat(), Loss::File);
        Ok(())
    }

    /// A file with one name.
    fn broken_file(&mut self, path: &[u8], broken: &Broken) -> Result<()> {
        let ino = self.resolve(path)?;
        self.content(ino, broken)?;
        if broken.lost.is_empty() {
            return Ok(());
        }
        self.away(path, broken)
    }

    /// Files with several names, or with none that is left.
    fn linked_files(&mut self, wounds: &Wounds) -> Result<()> {
        for (ino, broken) in &wounds.linked {
            self.engine.load_linked(self.state, *ino)?;
            self.content(*ino, broken)?;
        }
        for (path, ino) in &wounds.linked_paths {
            if let Some(broken) = wounds.linked.get(ino).filter(|broken| !broken.lost.is_empty()) {
                self.away(path, broken)?;
            }
        }
        for (ino, _) in wounds.names.iter().filter(|(_, names)| *names == 0) {
            let place = format!("(inode {ino})").into_bytes();
            match wounds.linked.get(ino) {
                Some(broken) if !broken.readable => {
                    // Neither names nor bytes: as an unlinked file, which the commit frees.
                    self.state.inodes.leaves_table(*ino);
                    self.state.volume.inodes -= 1;
                    self.state.rehome(*ino, Home::Orphan)?;
                    self.lose(&place, Loss::File);
                }
                broken => {
                    let (dir, key, kept) = self.free_name(format!("inode-{ino}").as_bytes())?;
                    self.engine.apply_link(self.state, *ino, dir, key, self.now)?;
                    let lost = broken.filter(|broken| !broken.lost.is_empty());
                    let loss = match lost {
                        Some(broken) => Loss::bytes(kept, &broken.lost),
                        None => Loss::Name { kept },
                    };
                    self.lose(&place, loss);
                }
            }
        }
        Ok(())
    }

    /// Makes holes of what of a file cannot be read. Of one of which nothing can be, everything
    /// goes.
    fn content(&mut self, ino: InodeNo, broken: &Broken) -> Result<()> {
        let source = self.source();
        let mut dropped = Vec::new();
        let inode = self.state.inodes.change(ino)?;
        let before = inode.meta.stored;
        let file = inode.file_mut()?;
        let mut after = broken.stored;
        match (&file.stored, broken.readable) {
            (Stored::Index(root), true) => {
                let pruned = index::prune(&source, &self.writer, Some(root.clone()))?;
                file.stored = pruned.map_or(Stored::None, Stored::Index);
            }
            (Stored::Index(root), false) => {
                let root = Some(root.clone());
                let mut drop = |link: &Link| dropped.push(link.clone());
                index::truncate(&source, &self.writer, root, 0, &mut drop, &mut |_, error, _| {
                    Err(error)
                })?;
                (file.stored, after) = (Stored::None, 0);
            }
            (Stored::Leaf(link), false) => {
                dropped.push(link.clone());
                (file.stored, after) = (Stored::None, 0);
            }
            (Stored::Inline(bytes), _) => after = bytes.len() as u64,
            _ => {}
        }
        if broken.readable {
            for recno in &broken.records {
                // In the open layer: the commit drops the leaves below.
                file.open.set(*recno, Rec::Hole, &mut dropped);
            }
        }
        inode.meta.stored = after;
        self.state.volume.trees.bytes = (self.state.volume.trees.bytes + after).saturating_sub(before);
        self.state.open.drop_blocks(dropped);
        Ok(self.writer.flush()?)
    }

    /// Takes a file of which bytes are lost away from under its name.
    fn away(&mut self, path: &[u8], broken: &Broken) -> Result<()> {
        let (parent, name) = self.entry(path)?;
        let key = self.state.key(&name);
        if !broken.readable {
            // Nothing of it can be read, so nothing moves.
            self.engine.apply_unlink(self.state, parent, key, self.now)?;
            self.lose(path, Loss::File);
            return Ok(());
        }
        let (dir, new_key, kept) = self.free_name(&kept_name(path))?;
        self.engine.apply_rename(
            self.state,
            (parent, key),
            (dir, new_key),
            RenameMode::NoReplace,
            self.now,
        )?;
        self.lose(path, Loss::bytes(kept, &broken.lost));
        Ok(())
    }

    /// The inode that a path leads to.
    fn resolve(&mut self, path: &[u8]) -> Result<InodeNo> {
        let mut ino = InodeNo::ROOT;
        for component in path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
            let key = self.state.key(&Name::new(component)?);
            let child = self.engine.find(self.state, ino, &key)?;
            ino = child.ok_or_else(vanished)?.ino;
        }
        Ok(ino)
    }

    /// The directory that a path's last name is in, and that name.
    fn entry(&mut self, path: &[u8]) -> Result<(InodeNo, Name)> {
        let at = path.iter().rposition(|byte| *byte == b'/').ok_or_else(vanished)?;
        Ok((self.resolve(&path[..at])?, Name::new(&path[at + 1..])?))
    }

    /// A name in `/lost+found` that is not taken, and its path.
    fn free_name(&mut self, wanted: &[u8]) -> Result<(InodeNo, DirKey, Vec<u8>)> {
        let (dir, dir_name) = self.lost_found()?;
        for number in 0_u64.. {
            let name = match number {
                0 => Name::new(wanted)?,
                number => Name::new(&[wanted, format!(".{number}").as_bytes()].concat())?,
            };
            let key = self.state.key(&name);
            if self.engine.child(self.state, dir, &key)?.is_none() {
                let path = [b"/", dir_name.as_bytes(), b"/", name.as_bytes()].concat();
                return Ok((dir, key, path));
            }
        }
        Err(vanished())
    }

    /// The directory for what cannot stay where it was. One that is there is used.
    fn lost_found(&mut self) -> Result<(InodeNo, Name)> {
        if let Some(found) = &self.lost_found {
            return Ok(found.clone());
        }
        for number in 0_u64.. {
            let name = match number {
                0 => Name::new(LOST_FOUND.as_bytes())?,
                number => Name::new(format!("{LOST_FOUND}.{number}").as_bytes())?,
            };
            let key = self.state.key(&name);
            let ino = match self.engine.find(self.state, InodeNo::ROOT, &key)? {
                Some(child) if child.kind == Kind::Directory => child.ino,
                // Taken by something else.
                Some(_) => continue,
                None => self.make_dir(key)?,
            };
            self.lost_found = Some((ino, name.clone()));
            return Ok((ino, name));
        }
        Err(vanished())
    }

    fn make_dir(&mut self, key: DirKey) -> Result<InodeNo> {
        let ino = InodeNo(self.state.volume.next_ino);
        let now = self.now;
        let meta = Meta {
            ino,
            kind: Kind::Directory,
            // What was readable for some only must not become so for all.
            mode: 0o700,
            uid: 0,
            gid: 0,
            rdev: 0,
            nlink: 2,
            size: 0,
            stored: 0,
            atime: now,
            mtime: now,
            ctime: now,
            btime: now,
        };
        let record = Record {
            meta,
            xattrs: Xattrs::default(),
            stored: Stored::None,
        };
        self.engine.apply_create(self.state, InodeNo::ROOT, key, record)?;
        Ok(ino)
    }

    /// Notes what is lost beside the tree.
    pub(super) fn snapshots_lost(&mut self, wounds: &Wounds) -> Result<()> {
        for name in &wounds.snapshots {
            let path = [b"/.snapshots/", name.as_bytes(), b"/"].concat();
            self.lose(&path, Loss::Snapshot);
        }
        let parts = [
            (wounds.snapshot_table, "/.snapshots/"),
            (wounds.dead, "(dead list)"),
            (wounds.held, "(held list)"),
            (wounds.orphans, "(unlinked files)"),
            (wounds.gone, "(list of what repairs took away)"),
        ];
        for (_, place) in parts.into_iter().filter(|(lost, _)| *lost) {
            self.lose(place.as_bytes(), Loss::Part);
        }
        Ok(())
    }

    /// Cuts what cannot be read out of the tables of orphans and of what is gone, and adds what
    /// this repair took away.
    pub(super) fn tables(&mut self, wounds: &Wounds) -> Result<()> {
        if wounds.orphans {
            // Uncut, the table would be damaged in the next version, too.
            let orphans = self.state.volume.trees.orphans.take();
            self.state.volume.trees.orphans = self.prune(orphans)?;
        }
        if wounds.gone {
            let list = self.state.volume.repairs.root.take();
            self.state.volume.repairs.root = self.prune(list)?;
        }
        self.list_gone()
    }

    /// Puts what was written, for the commit to name; answers what is gone.
    pub(super) fn finish(mut self) -> Result<Vec<Gone>> {
        self.writer.flush()?;
        // Counts as a leaf that landed, so the commit syncs before its head names these nodes.
        if self.writer.put_bulk() {
            self.state.puts.land();
        }
        self.drop_replaced();
        Ok(self.gone)
    }

    /// The commit drops what was replaced.
    pub(super) fn drop_replaced(&mut self) {
        let dropped = self.writer.take_dropped();
        self.state.open.drop_blocks(dropped);
    }

    /// Adds what is gone to the list that commits carry.
    fn list_gone(&mut self) -> Result<()> {
        if self.gone.is_empty() {
            return Ok(());
        }
        let Repairs { root, summary } = &self.state.volume.repairs;
        let mut summary = summary.clone().unwrap_or_default();
        let mut listed = 0;
        // Counted anew: pruning may have cut rows away.
        btree::walk(&self.source(), root.as_ref(), &mut |_| {}, &mut |_| {
            listed += 1;
            Ok(())
        })?;
        let mut rows = Vec::new();
        for (number, gone) in self.gone.iter().enumerate() {
            summary.add(&gone.loss);
            if listed + rows.len() as u64 >= LISTED_MAX {
                summary.unlisted += 1;
                continue;
            }
            let entry = gone.encode(number as u64);
            rows.push((entry.key.clone(), Some(entry)));
        }
        summary = Repaired {
            epoch: self.epoch.0,
            repairs: summary.repairs + 1,
            ..summary
        };
        let root = btree::apply(
            &self.source(),
            &self.writer,
            root.clone(),
            rows,
            &mut |_, error, _| Err(error),
        )?;
        self.writer.flush()?;
        self.state.volume.repairs = Repairs {
            root,
            summary: Some(summary),
        };
        self.state.open.touch();
        Ok(())
    }
}

/// A path as one name: `dir/file` becomes `dir%2Ffile`. Of a long one the end is kept.
fn kept_name(path: &[u8]) -> Vec<u8> {
    let mut name = Vec::new();
    for byte in path.strip_prefix(b"/").unwrap_or(path) {
        match byte {
            b'/' => name.extend_from_slice(b"%2F"),
            b'%' => name.extend_from_slice(b"%25"),
            byte => name.push(*byte),
        }
    }
    match name.len().checked_sub(KEPT_MAX) {
        Some(over) if over > 0 => [b"...", &name[over..]].concat(),
        _ => name,
    }
}

/// A place in the volume that cannot be found a second time.
fn vanished() -> Error {
    Error::Merkle(cairn_merkle::Error::Malformed {
        what: "tree",
        why: "what a check found a moment ago is not there",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_name_tells_the_path_and_fits_a_name() {
        assert_eq!(kept_name(b"/file"), b"file");
        assert_eq!(kept_name(b"/a/50%/c"), b"a%2F50%25%2Fc");
        let deep = b"/abcdefghi".repeat(100);
        let name = kept_name(&deep);
        assert!(name.ends_with(b"%2Fabcdefghi") && name.starts_with(b"...") && name.len() < 220);
    }
}
