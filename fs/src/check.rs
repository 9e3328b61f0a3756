//! Scrubbing: every block of every kept version is read, verified and opened, and the tree held against what POSIX
//! and the volume's own counters say.
//!
//! ```text
//!  list names --> pin the newest version --> walk it, its hard links, snapshots, dead lists; then published versions
//!                                      each block once; a damaged one is noted with its path, and the walk goes on
//!  listed, named by nothing, still there --> leaked
//! ```
//!
//! The pin keeps commits from deleting what is being read, so a check runs beside writers. A volume that is not mounted is
//! checked without writing: its last commit, and the blocks that the intent log names (logged.rs).

mod logged;

use crate::blocks::Uncached;
use crate::engine::Engine;
use crate::held::Row;
use crate::inode::DirKey;
use crate::layer::plain_len;
use crate::record::{Dentry, Record, Stored};
use crate::snapshot::{Snapshot, Snapshots};
use crate::volume::Volume;
use crate::{Error, InodeNo, Kind, Result};
use cairn_merkle::{Cid, Commit, Link, Version, btree, index};
use rustc_hash::{FxHashMap, FxHashSet};

/// Damages named one by one; a volume with more is beyond naming.
const DAMAGES_MAX: usize = 10_000;
/// Names asked of the store at once.
const LIST_BATCH: usize = 4096;

/// How far a check is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CheckProgress {
    /// Blocks verified.
    pub blocks_done: u64,
    /// Blocks in the store when the check began.
    pub blocks_total: u64,
}

/// A path that does not hold what was written to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// From the volume's root; within a snapshot, below `/.snapshots`.
    pub path: Vec<u8>,
    /// What is wrong.
    pub what: String,
    /// Whether a block is not there, rather than not what was written.
    pub missing: bool,
}

impl Damage {
    /// From what opening or reading `path` failed with; `place` is put before it.
    pub(crate) fn of(path: &[u8], place: &str, error: &cairn_merkle::Error) -> Self {
        Self {
            path: path.to_vec(),
            what: format!("{place}{error}"),
            missing: matches!(error, cairn_merkle::Error::Missing { .. }),
        }
    }
}

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// Blocks verified, each counted once.
    pub blocks: u64,
    /// Their stored bytes.
    pub bytes: u64,
    /// Blocks among them that the intent log names and no commit does; a mounted volume has committed before.
    pub logged_blocks: u64,
    /// Inodes of the live tree.
    pub inodes: u64,
    /// Paths that are not whole.
    pub damaged: Vec<Damage>,
    /// Blocks in the store that nothing names.
    pub leaked_blocks: u64,
}

impl Engine {
    /// Verifies the whole volume as it is now, snapshots included, while others go on using it.
    ///
    /// # Errors
    /// Only what keeps it from checking: a store that fails, a volume that cannot be committed. Damage is in the report.
    pub fn check(&self, progress: &dyn Fn(CheckProgress)) -> Result<CheckReport> {
        let listed = self.list_blocks()?;
        let (pin, volume, snapshots) = self.pin_newest()?;
        let mut walk = Walk {
            source: Uncached(&self.blocks),
            record_size: self.record_size,
            dir_key: volume.dir_key,
            seen: FxHashSet::default(),
            report: CheckReport::default(),
            progress,
            total: listed.len() as u64,
        };
        walk.seen.insert(digest(&pin.version().root));
        walk.report.inodes = walk.volume(b"/", &volume, &snapshots)?;
        if self.config.read_only && !self.past {
            let (files, inodes) = {
                let state = self.state.lock();
                (logged::logged(&state), state.volume.inodes)
            };
            walk.logged(&files)?;
            // The walk met those of the last commit; the log made some and removed others.
            walk.report.inodes = (walk.report.inodes + inodes).saturating_sub(volume.inodes);
        }
        if !self.past {
            for version in published(&volume, pin.version()) {
                self.check_published(&mut walk, version)?;
            }
        }
        let Walk { seen, mut report, .. } = walk;
        // What a past version does not name, a newer one may.
        if !self.past {
            report.leaked_blocks = self.leaked(listed, &seen)?;
        }
        Ok(report)
    }

    /// Walks what an older version names beside the newest one: what is published must be whole too.
    fn check_published(&self, walk: &mut Walk<'_>, version: Version) -> Result<()> {
        let path = format!("(published {})/", version.epoch).into_bytes();
        let stored = self.blocks.store.get(&version.root)?;
        let opened = stored
            .ok_or(cairn_merkle::Error::Missing { cid: version.root })
            .and_then(|stored| Commit::open(&version.root, stored, &self.key))
            .and_then(|commit| Volume::decode(&commit.body, &commit.links));
        walk.seen.insert(digest(&version.root));
        let volume = match opened {
            Ok(volume) => volume,
            Err(error) => return walk.note(&path, Err(error)),
        };
        match Snapshots::load(&self.blocks, volume.snapshots.as_ref()) {
            Ok(snapshots) => walk.volume(&path, &volume, &snapshots).map(drop),
            Err(Error::Merkle(error)) => walk.note(&path, Err(error)),
            Err(error) => Err(error),
        }
    }

    fn list_blocks(&self) -> Result<Vec<Cid>> {
        let mut listed = Vec::new();
        loop {
            let more = self.blocks.store.list(listed.last().copied(), LIST_BATCH)?;
            if more.is_empty() {
                return Ok(listed);
            }
            listed.extend(more);
        }
    }

    /// Blocks that were there before the walk, that it did not meet, that are still there, and that the next mount
    /// will not free either.
    fn leaked(&self, listed: Vec<Cid>, seen: &FxHashSet<u128>) -> Result<u64> {
        let mut suspects: FxHashSet<Cid> = listed
            .into_iter()
            .filter(|cid| !seen.contains(&digest(cid)))
            .collect();
        let mut after = None;
        while !suspects.is_empty() {
            let fresh = self.blocks.store.fresh(after, LIST_BATCH)?;
            let Some(last) = fresh.last() else { break };
            after = Some(*last);
            for (_, cid) in &fresh {
                suspects.remove(cid);
            }
        }
        let mut leaked = 0;
        for cid in suspects {
            leaked += u64::from(self.blocks.store.get(&cid)?.is_some());
        }
        Ok(leaked)
    }
}

/// Versions beside the newest that must be whole.
fn published(volume: &Volume, newest: Version) -> impl Iterator<Item = Version> {
    let versions = volume.publication.anchored.iter();
    let versions = versions.chain(&volume.publication.submitted).copied();
    versions.filter(move |version| *version != newest)
}

/// Sixteen bytes of a name's hash: enough to tell a volume's blocks apart, at less than half the memory.
fn digest(cid: &Cid) -> u128 {
    let bytes = cid.to_bytes();
    u128::from_le_bytes(*bytes.last_chunk().expect("a name ends with a hash of 32 bytes"))
}

/// What was counted on a walk.
#[derive(Default)]
struct Counted {
    inodes: u64,
    bytes: u64,
    /// Inodes in the hard-link table: how many names were seen, and the first of them.
    names: FxHashMap<InodeNo, (u32, Vec<u8>)>,
}

struct Walk<'a> {
    source: Uncached<'a>,
    record_size: u32,
    dir_key: [u8; 32],
    seen: FxHashSet<u128>,
    report: CheckReport,
    progress: &'a dyn Fn(CheckProgress),
    total: u64,
}

impl Walk<'_> {
    /// Walks everything that a commit names; answers how many inodes its live tree has.
    fn volume(&mut self, path: &[u8], volume: &Volume, snapshots: &Snapshots) -> Result<u64> {
        let live = Snapshot::of(volume);
        let found = self.version(path, &live)?;
        if path == b"/" {
            self.counters(&live, &found);
        }
        for (name, snapshot) in snapshots.iter() {
            let path = [path, b".snapshots/".as_slice(), name.as_bytes(), b"/"].concat();
            self.version(&path, snapshot)?;
        }
        let below = [path, b".snapshots/".as_slice()].concat();
        let dead = snapshots.iter().map(|(_, snapshot)| &snapshot.dead);
        for list in dead.chain([&volume.dead]).flatten() {
            self.dead_list(&below, list)?;
        }
        if let Some(orphans) = &volume.orphans {
            self.orphans(orphans)?;
        }
        if let Some(table) = &volume.snapshots {
            self.entries(&below, table)?;
        }
        if let Some(list) = &volume.held.root {
            self.held_list(list)?;
        }
        Ok(found.inodes)
    }

    /// Walks one version of the tree. What is shared with a version walked before is not read again, so the counts
    /// are right for the first one only.
    fn version(&mut self, path: &[u8], version: &Snapshot) -> Result<Counted> {
        let mut counted = Counted {
            inodes: 1,
            ..Counted::default()
        };
        let mut dirs = vec![(path.to_vec(), version.root.clone())];
        while let Some((path, dir)) = dirs.pop() {
            self.directory(&path, &dir, &mut dirs, &mut counted)?;
        }
        if let Some(table) = &version.table {
            self.table(path, table, &mut counted)?;
        }
        Ok(counted)
    }

    /// What is there, and says what it should not.
    fn damage(&mut self, path: &[u8], what: impl Into<String>) {
        self.add(Damage {
            path: path.to_vec(),
            what: what.into(),
            missing: false,
        });
    }

    fn add(&mut self, damage: Damage) {
        if self.report.damaged.len() < DAMAGES_MAX {
            self.report.damaged.push(damage);
        }
    }

    /// Turns a failure that only this path suffers into a note.
    fn note(&mut self, path: &[u8], result: cairn_merkle::Result<()>) -> Result<()> {
        match result {
            Err(cairn_merkle::Error::Store(error)) => Err(error.into()),
            Err(error) => {
                self.add(Damage::of(path, "", &error));
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// Whether a block is met for the first time; counts it then.
    fn first(&mut self, link: &Link) -> bool {
        count(&mut self.seen, &mut self.report, link)
    }

    fn tick(&self) {
        (self.progress)(CheckProgress {
            blocks_done: self.report.blocks,
            blocks_total: self.total,
        });
    }

    fn directory(
        &mut self,
        path: &[u8],
        dir: &Record,
        dirs: &mut Vec<(Vec<u8>, Record)>,
        counted: &mut Counted,
    ) -> Result<()> {
        let Stored::Tree(root) = &dir.stored else {
            if dir.meta.size != 0 {
                self.damage(path, "a directory that has names has no tree");
            }
            return Ok(());
        };
        if self.seen.contains(&digest(&root.cid)) {
            return Ok(());
        }
        let entries = self.entries(path, root)?;
        let (mut names, mut subdirs) = (0, 0);
        for entry in entries {
            names += 1;
            let Some(key) = DirKey::decode(&entry.key) else {
                self.damage(path, "an entry's key is no hash and name");
                continue;
            };
            let path = [path, key.name.as_bytes()].concat();
            if key != DirKey::new(&self.dir_key, &key.name) {
                self.damage(&path, "its entry stands where a lookup does not find it");
            }
            match Dentry::decode(&entry.value, &entry.links) {
                Err(error) => self.damage(&path, error.to_string()),
                Ok(Dentry::Linked { ino, .. }) => counted.names.entry(ino).or_insert((0, path)).0 += 1,
                Ok(Dentry::Embedded(record)) => {
                    counted.inodes += 1;
                    counted.bytes += record.meta.stored;
                    if record.meta.kind == Kind::Directory {
                        subdirs += 1;
                        dirs.push(([&path, b"/".as_slice()].concat(), record));
                    } else {
                        if record.meta.nlink != 1 {
                            self.damage(&path, format!("it has one name and counts {}", record.meta.nlink));
                        }
                        self.file(&path, &record)?;
                    }
                }
            }
        }
        if names != dir.meta.size {
            self.damage(
                path,
                format!("it holds {names} names and counts {}", dir.meta.size),
            );
        }
        if dir.meta.nlink != subdirs + 2 {
            self.damage(
                path,
                format!(
                    "it holds {subdirs} directories and its link count is {}",
                    dir.meta.nlink
                ),
            );
        }
        Ok(())
    }

    fn file(&mut self, path: &[u8], record: &Record) -> Result<()> {
        let size = record.meta.size;
        match &record.stored {
            Stored::None | Stored::Tree(_) => Ok(()),
            Stored::Inline(bytes) if bytes.len() as u64 > size => {
                self.damage(path, "more bytes lie in it than its size says");
                Ok(())
            }
            Stored::Inline(_) => Ok(()),
            Stored::Leaf(link) => self.leaf(path, 0, link, size),
            Stored::Index(root) => {
                if self.seen.contains(&digest(&root.link.cid)) {
                    return Ok(());
                }
                let mut leaves = Vec::new();
                let mut bytes = 0;
                let Self {
                    seen, report, source, ..
                } = self;
                let walked = index::walk(
                    source,
                    Some(root),
                    &mut |link| _ = count(seen, report, link),
                    &mut |recno, link| {
                        bytes += plain_len(link);
                        leaves.push((recno, link.clone()));
                        Ok(())
                    },
                );
                let whole = walked.is_ok();
                self.note(path, walked)?;
                for (recno, link) in leaves {
                    self.leaf(path, recno, &link, size)?;
                }
                if whole && bytes != record.meta.stored {
                    self.damage(
                        path,
                        format!(
                            "its blocks hold {bytes} bytes and it counts {}",
                            record.meta.stored
                        ),
                    );
                }
                Ok(())
            }
        }
    }

    fn leaf(&mut self, path: &[u8], recno: u64, link: &Link, size: u64) -> Result<()> {
        let start = recno.saturating_mul(u64::from(self.record_size));
        if plain_len(link) > u64::from(self.record_size) || start >= size.max(1) {
            self.damage(path, format!("record {recno} lies beyond its end"));
        }
        if !self.first(link) {
            return Ok(());
        }
        if self.report.blocks.is_multiple_of(64) {
            self.tick();
        }
        match self.source.leaf(link) {
            Err(cairn_merkle::Error::Store(error)) => Err(error.into()),
            Err(error) => {
                let end = (start + u64::from(self.record_size)).min(size);
                self.add(Damage::of(path, &format!("bytes {start} to {end}: "), &error));
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// The blocks that the log names.
    fn logged(&mut self, files: &[logged::Logged]) -> Result<()> {
        let before = self.report.blocks;
        for file in files {
            for (recno, link) in &file.leaves {
                self.leaf(&file.path, *recno, link, file.size)?;
            }
        }
        self.report.logged_blocks = self.report.blocks - before;
        Ok(())
    }

    fn table(&mut self, root_path: &[u8], table: &Link, counted: &mut Counted) -> Result<()> {
        let fresh = !self.seen.contains(&digest(&table.cid));
        let entries = self.entries(root_path, table)?;
        if !fresh {
            return Ok(());
        }
        // A directory that cannot be read hides names that are there all the same.
        let whole = root_path == b"/" && self.report.damaged.is_empty();
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
            // Directories shared with a version walked before were skipped, and so were the names in them.
            let named = counted.names.remove(&record.meta.ino);
            let nameless = || [root_path, format!("(inode {})", record.meta.ino).as_bytes()].concat();
            let (names, path) = named.unwrap_or_else(|| (0, nameless()));
            self.file(&path, &record)?;
            if whole && names != record.meta.nlink {
                self.damage(
                    &path,
                    format!("it has {names} names and counts {}", record.meta.nlink),
                );
            }
        }
        Ok(())
    }

    /// The counters of the newest version against what was found; damage found already explains any difference.
    fn counters(&mut self, version: &Snapshot, found: &Counted) {
        if !self.report.damaged.is_empty() {
            return;
        }
        if found.inodes != version.inodes {
            self.damage(
                b"/",
                format!(
                    "the volume counts {} inodes and has {}",
                    version.inodes, found.inodes
                ),
            );
        }
        // Orphans count as well, and are not in a version.
        if found.bytes > version.bytes {
            self.damage(
                b"/",
                format!(
                    "the volume counts {} bytes and has {}",
                    version.bytes, found.bytes
                ),
            );
        }
    }

    /// A dead list's own blocks, and those it lists: older snapshots name them, which are walked, or nothing does.
    fn dead_list(&mut self, path: &[u8], list: &Link) -> Result<()> {
        for entry in self.entries(path, list)? {
            match crate::snapshot::dead_cid(&entry) {
                Ok((_, cid)) => _ = self.seen.insert(digest(&cid)),
                Err(error) => self.damage(path, error.to_string()),
            }
        }
        Ok(())
    }

    /// The held list's own blocks, and those it lists: published versions name them, which are walked, or versions that
    /// somebody reads.
    fn held_list(&mut self, list: &Link) -> Result<()> {
        const PATH: &[u8] = b"(published)";
        for entry in self.entries(PATH, list)? {
            match Row::decode(&entry) {
                Ok(row) => _ = self.seen.insert(digest(&row.cid)),
                Err(error) => self.damage(PATH, error.to_string()),
            }
        }
        Ok(())
    }

    fn orphans(&mut self, orphans: &Link) -> Result<()> {
        for entry in self.entries(b"(unlinked files)", orphans)? {
            match Record::decode(&entry.value, &entry.links) {
                Ok(record) => self.file(
                    format!("(unlinked inode {})", record.meta.ino).as_bytes(),
                    &record,
                )?,
                Err(error) => self.damage(b"(unlinked files)", error.to_string()),
            }
        }
        Ok(())
    }

    /// All entries of a tree as far as it can be read; what cannot is noted under `path`.
    fn entries(&mut self, path: &[u8], root: &Link) -> Result<Vec<btree::Entry>> {
        let mut entries = Vec::new();
        let Self {
            seen, report, source, ..
        } = self;
        let walked = btree::walk(
            source,
            Some(root),
            &mut |link| _ = count(seen, report, link),
            &mut |entry| {
                entries.push(entry);
                Ok(())
            },
        );
        self.note(path, walked)?;
        self.tick();
        Ok(entries)
    }
}

/// Whether a block is met for the first time; counts it then.
fn count(seen: &mut FxHashSet<u128>, report: &mut CheckReport, link: &Link) -> bool {
    let first = seen.insert(digest(&link.cid));
    if first {
        report.blocks += 1;
        report.bytes += u64::from(link.len);
    }
    first
}
