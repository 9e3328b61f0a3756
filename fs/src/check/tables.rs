//! What of a volume stands beside its directories: hard links, snapshots, unlinked files, lists of
//! blocks.
//!
//! Each answers whether some of it cannot be read, or notes that for a repair.

use super::walk::{Counted, Linked, Walk, digest};
use super::wounds::Finding;
use crate::stored::held::Row;
use crate::stored::record::Record;
use crate::stored::repairs::Gone;
use crate::stored::snapshot::{Snapshot, decode_dead};
use crate::{Error, Name, Result};
use cairn_merkle::{Link, btree};
use rustc_hash::FxHashMap;

impl Walk<'_> {
    /// The hard-link table of a version whose root is at `root_path`.
    pub(super) fn table(
        &mut self,
        root_path: &[u8],
        table: Option<&Link>,
        counted: &mut Counted,
    ) -> Result<()> {
        if table.is_some_and(|table| self.is_done(table)) {
            return Ok(());
        }
        let (entries, gaps) = self.entries(table)?;
        let mut linked = FxHashMap::default();
        let mut whole = gaps.is_empty();
        for entry in entries {
            let record = match Record::decode(&entry.value, &entry.links) {
                Ok(record) => record,
                Err(error) => {
                    self.damage(root_path, format!("in the hard-link table: {error}"));
                    continue;
                }
            };
            counted.inodes += 1;
            counted.bytes += record.meta.stored;
            let broken = self.file(&record)?;
            whole &= broken.is_none();
            if let Some(broken) = broken.clone().filter(|_| self.live) {
                self.wounds.linked.insert(record.meta.ino, broken);
            }
            let row = Linked {
                nlink: record.meta.nlink,
                broken,
                ..Linked::default()
            };
            linked.insert(record.meta.ino, row);
        }
        if let (false, Some(table)) = (whole, table) {
            self.tainted.insert(digest(&table.cid));
        }
        if let Some(gap) = gaps.into_iter().next() {
            self.wounds.table |= self.live;
            let what = format!("it has several names, and its inode cannot be read: {}", gap.what);
            counted.table_gap = Some(Finding { what, ..gap });
        }
        counted.linked = Some(linked);
        Ok(())
    }

    /// Holds the names that lead to each inode of the table against what it counts, once all
    /// directories are walked.
    pub(super) fn names(&mut self, root_path: &[u8], counted: &mut Counted) {
        if let Some(gap) = counted.table_gap.clone().filter(|_| !counted.gap_named) {
            let path = [root_path, b"(hard links)".as_slice()].concat();
            self.found(&path, &[gap]);
        }
        // A directory that cannot be read hides names that are there all the same.
        let whole = self.live && self.report.damaged.is_empty();
        for (ino, linked) in counted.linked.take().unwrap_or_default() {
            if !self.live && linked.names > 0 {
                continue;
            }
            let nameless = || [root_path, format!("(inode {ino})").as_bytes()].concat();
            if let Some(broken) = linked.broken.filter(|_| linked.names == 0) {
                self.found(&nameless(), &broken.findings);
            }
            if !self.live || linked.names == linked.nlink {
                continue;
            }
            self.wounds.names.push((ino, linked.names));
            if whole {
                let path = if linked.names > 0 { linked.path } else { nameless() };
                let (names, nlink) = (linked.names, linked.nlink);
                self.damage(&path, format!("it has {names} names and counts {nlink}"));
            }
        }
    }

    /// The counters of the newest version against what was found; damage found already explains any
    /// difference.
    pub(super) fn counters(&mut self, version: &Snapshot, found: &Counted) {
        self.wounds.inodes = found.inodes;
        self.wounds.bytes = found.bytes;
        // Orphans count as well, and are not in a version.
        self.wounds.miscounted = found.inodes != version.inodes || found.bytes > version.bytes;
        if !self.report.damaged.is_empty() {
            return;
        }
        if found.inodes != version.inodes {
            let (counts, has) = (version.inodes, found.inodes);
            self.damage(b"/", format!("the volume counts {counts} inodes and has {has}"));
        }
        if found.bytes > version.bytes {
            let (counts, has) = (version.bytes, found.bytes);
            self.damage(b"/", format!("the volume counts {counts} bytes and has {has}"));
        }
    }

    /// The snapshots that can be found.
    pub(super) fn snapshot_table(
        &mut self,
        path: &[u8],
        table: Option<&Link>,
        newest: bool,
    ) -> Result<Vec<(Name, Snapshot)>> {
        let (entries, gaps) = self.entries(table)?;
        let mut snapshots = Vec::new();
        for gap in &gaps {
            let what = format!("some snapshots cannot be found: {}", gap.what);
            self.found(path, &[Finding { what, ..gap.clone() }]);
        }
        self.wounds.snapshot_table |= newest && !gaps.is_empty();
        for entry in entries {
            match Snapshot::decode(&entry) {
                Ok(row) => snapshots.push(row),
                Err(error) => {
                    self.damage(path, error.to_string());
                    self.wounds.snapshot_table |= newest;
                }
            }
        }
        Ok(snapshots)
    }

    /// A dead list's own blocks, and those it lists: older snapshots name them, which are walked,
    /// or nothing does.
    pub(super) fn dead_list(&mut self, list: &Link) -> Result<bool> {
        self.list(b"(dead list)", list, &mut |walk, entry| {
            let (_, cid, _) = decode_dead(&entry)?;
            walk.seen.insert(digest(&cid));
            Ok(())
        })
    }

    /// The held list's own blocks, and those it lists: published versions name them, which are
    /// walked, or versions that are being read.
    pub(super) fn held_list(&mut self, list: &Link) -> Result<bool> {
        self.list(b"(held list)", list, &mut |walk, entry| {
            walk.seen.insert(digest(&Row::decode(&entry)?.cid));
            Ok(())
        })
    }

    /// The list of what repairs took away.
    pub(super) fn gone_list(&mut self, list: &Link, newest: bool) -> Result<bool> {
        self.list(b"(list of what repairs took away)", list, &mut |walk, entry| {
            let gone = Gone::decode(&entry)?;
            if newest {
                walk.report.gone.push(gone);
            }
            Ok(())
        })
    }

    pub(super) fn orphans(&mut self, orphans: &Link) -> Result<bool> {
        self.list(b"(unlinked files)", orphans, &mut |walk, entry| {
            let record = Record::decode(&entry.value, &entry.links)?;
            let path = format!("(unlinked inode {})", record.meta.ino);
            if let Some(broken) = walk.file(&record)? {
                walk.found(path.as_bytes(), &broken.findings);
            }
            Ok(())
        })
    }

    /// Reads a list, whose place in messages is `place`; answers whether some of it cannot be read.
    fn list(
        &mut self,
        place: &[u8],
        root: &Link,
        each: &mut dyn FnMut(&mut Self, btree::Entry) -> Result<()>,
    ) -> Result<bool> {
        let (entries, gaps) = self.entries(Some(root))?;
        self.found(place, &gaps);
        let mut damaged = !gaps.is_empty();
        for entry in entries {
            match each(self, entry) {
                Ok(()) => {}
                Err(Error::Merkle(error)) => {
                    self.note(place, error)?;
                    damaged = true;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(damaged)
    }
}
