//! The walk over one version after the other, directories first.
//!
//! ```text
//!  version: hard-link table (tables.rs) --> directories, depth first --> files (reading.rs)
//!           which of its inodes are damaged    `- a name that leads to one of those is named here
//!
//!  block met before?  whole below it --> passed over          damage below it (tainted) --> walked again, and named
//! ```
//!
//! Versions share almost everything, and a shared block is read once. What is damaged is needed by
//! all that share it, though, so a walk goes again into those directories and files, and no others,
//! to name its paths in each version.

use super::logged;
use super::report::{CheckProgress, CheckReport, Damage};
use super::source::Source;
use super::wounds::Finding;
use super::wounds::{Broken, DirWound, Wounds};
use crate::engine::Engine;
use crate::stored::name::DirKey;
use crate::stored::record::{Dentry, Record, Stored};
use crate::stored::snapshot::Snapshot;
use crate::stored::volume::Volume;
use crate::{InodeNo, Kind, Result};
use cairn_merkle::{Cid, Link, Version, btree};
use rustc_hash::{FxHashMap, FxHashSet};

/// Damages named one by one; a volume with more is beyond naming.
const DAMAGES_MAX: usize = 10_000;

/// Sixteen bytes of a name's hash: enough to tell a volume's blocks apart, at less than half the
/// memory.
pub(crate) fn digest(cid: &Cid) -> u128 {
    let bytes = cid.to_bytes();
    u128::from_le_bytes(*bytes.last_chunk().expect("a name ends with a hash of 32 bytes"))
}

/// An inode of a version's hard-link table.
#[derive(Default)]
pub(super) struct Linked {
    pub(super) nlink: u32,
    /// Names that were met, and the first of them.
    pub(super) names: u32,
    pub(super) path: Vec<u8>,
    /// What is wrong with its content.
    pub(super) broken: Option<Broken>,
}

/// What was counted of a version.
#[derive(Default)]
pub(super) struct Counted {
    pub(super) inodes: u64,
    pub(super) bytes: u64,
    /// Its hard-link table; `None` where that was met before, and is whole.
    pub(super) linked: Option<FxHashMap<InodeNo, Linked>>,
    /// Why some of the table cannot be read, and whether a name was met that leads there.
    pub(super) table_gap: Option<Finding>,
    pub(super) gap_named: bool,
}

/// The directories of a version that are yet to be walked, and the ways up from those that were.
#[derive(Default)]
struct Dirs {
    /// The directory above each, and its tree's root.
    ways: Vec<(usize, Option<u128>)>,
    rest: Vec<(Vec<u8>, Record, usize)>,
}

impl Dirs {
    fn push(&mut self, path: Vec<u8>, dir: Record, above: usize) {
        let root = match &dir.stored {
            Stored::Tree(root) => Some(digest(&root.cid)),
            _ => None,
        };
        self.ways.push((above, root));
        self.rest.push((path, dir, self.ways.len() - 1));
    }
}

/// A check under way.
pub(crate) struct Walk<'a> {
    pub(super) source: Source<'a>,
    pub(super) record_size: u32,
    dir_key: [u8; 32],
    /// Blocks that were met.
    pub(crate) seen: FxHashSet<u128>,
    /// Leaves among them that cannot be read, and why.
    pub(super) bad: FxHashMap<u128, Finding>,
    /// Nodes below which something cannot be read.
    pub(super) tainted: FxHashSet<u128>,
    /// Also what was met before is walked, to name paths.
    all: bool,
    /// The live tree is walked: a repair wants to know.
    pub(super) live: bool,
    pub(crate) wounds: Wounds,
    pub(crate) report: CheckReport,
    progress: &'a dyn Fn(CheckProgress),
    total: u64,
}

impl<'a> Walk<'a> {
    /// Begins a walk over versions of a volume whose store has `total` blocks.
    pub(crate) fn new(
        engine: &'a Engine,
        volume: &Volume,
        total: usize,
        progress: &'a dyn Fn(CheckProgress),
    ) -> Self {
        Self {
            source: Source::new(&engine.blocks),
            record_size: engine.record_size,
            dir_key: volume.dir_key,
            seen: FxHashSet::default(),
            bad: FxHashMap::default(),
            tainted: FxHashSet::default(),
            all: false,
            live: false,
            wounds: Wounds::default(),
            report: CheckReport::default(),
            progress,
            total: total as u64,
        }
    }

    /// Walks the newest version.
    pub(crate) fn newest(&mut self, version: Version, volume: &Volume) -> Result<()> {
        self.seen.insert(digest(&version.root));
        self.live = true;
        self.report.inodes = self.volume(b"/", volume)?;
        self.report.repaired = volume.repairs.summary.clone();
        Ok(())
    }

    /// Walks everything that a commit names; answers how many inodes its live tree has.
    pub(crate) fn volume(&mut self, path: &[u8], volume: &Volume) -> Result<u64> {
        let live = Snapshot::of(volume);
        let found = self.version(path, &live)?;
        let newest = std::mem::take(&mut self.live);
        if newest {
            self.counters(&live, &found);
        }
        let below = [path, b".snapshots/".as_slice()].concat();
        let snapshots = self.snapshot_table(&below, volume.trees.snapshots.as_ref(), newest)?;
        for (name, snapshot) in &snapshots {
            let path = [below.as_slice(), name.as_bytes(), b"/"].concat();
            let before = self.damage_count();
            self.version(&path, snapshot)?;
            if newest && self.damage_count() > before {
                self.wounds.snapshots.push(name.clone());
            }
        }
        let dead = snapshots.iter().map(|(_, snapshot)| &snapshot.dead);
        for list in dead.chain([&volume.trees.dead]).flatten() {
            self.wounds.dead |= self.dead_list(list)? && newest;
        }
        if let Some(orphans) = &volume.trees.orphans {
            self.wounds.orphans |= self.orphans(orphans)? && newest;
        }
        if let Some(list) = &volume.trees.held.root {
            self.wounds.held |= self.held_list(list)? && newest;
        }
        if let Some(list) = &volume.repairs.root {
            self.wounds.gone |= self.gone_list(list, newest)? && newest;
        }
        Ok(found.inodes)
    }

    /// Walks one version of the tree. What is shared with a version walked before is not read
    /// again, so the counts are right for the first one only.
    fn version(&mut self, path: &[u8], version: &Snapshot) -> Result<Counted> {
        let mut counted = Counted {
            inodes: 1,
            ..Counted::default()
        };
        self.table(path, version.table.as_ref(), &mut counted)?;
        let broken = |linked: &Linked| linked.broken.is_some();
        let linked = counted.linked.iter().flat_map(|linked| linked.values());
        // Directories that were whole before may hold names of what is damaged in this version's
        // table.
        self.all = counted.table_gap.is_some() || linked.into_iter().any(broken);
        let mut dirs = Dirs::default();
        dirs.push(path.to_vec(), version.root.clone(), 0);
        while let Some((path, dir, at)) = dirs.rest.pop() {
            self.directory(&path, &dir, at, &mut dirs, &mut counted)?;
        }
        self.all = false;
        self.names(path, &mut counted);
        Ok(counted)
    }

    fn directory(
        &mut self,
        path: &[u8],
        dir: &Record,
        at: usize,
        dirs: &mut Dirs,
        counted: &mut Counted,
    ) -> Result<()> {
        let root = match &dir.stored {
            Stored::Tree(root) => Some(root),
            _ => None,
        };
        if root.is_some_and(|root| self.is_done(root)) {
            return Ok(());
        }
        let before = self.damage_count();
        let (entries, gaps) = self.entries(root)?;
        let (mut names, mut subdirs) = (0, 0);
        for entry in entries {
            names += 1;
            let Some(key) = DirKey::decode(&entry.key) else {
                self.damage(path, "an entry's key is no hash and name");
                continue;
            };
            let path_of = [path, key.name.as_bytes()].concat();
            if key != DirKey::new(&self.dir_key, &key.name) {
                self.damage(&path_of, "its entry stands where a lookup does not find it");
            }
            match Dentry::decode(&entry.value, &entry.links) {
                Err(error) => {
                    self.damage(&path_of, error.to_string());
                    self.cut(path, key);
                }
                Ok(Dentry::Linked { ino, .. }) => self.linked_name(path, key, ino, counted),
                Ok(Dentry::Embedded(record)) if record.meta.kind == Kind::Directory => {
                    counted.inodes += 1;
                    subdirs += 1;
                    dirs.push([&path_of, b"/".as_slice()].concat(), record, at);
                }
                Ok(Dentry::Embedded(record)) => {
                    counted.inodes += 1;
                    counted.bytes += record.meta.stored;
                    self.only_name(path_of, &record)?;
                }
            }
        }
        self.dir_counts(path, dir, (names, subdirs), &gaps);
        if self.damage_count() > before {
            self.taint(dirs, at);
        }
        Ok(())
    }

    /// A file, or anything else but a directory, with one name.
    fn only_name(&mut self, path: Vec<u8>, record: &Record) -> Result<()> {
        if record.meta.nlink != 1 {
            self.damage(&path, format!("it has one name and counts {}", record.meta.nlink));
        }
        if let Some(broken) = self.file(record)? {
            self.found(&path, &broken.findings);
            if self.live {
                self.wounds.files.push((path, broken));
            }
        }
        Ok(())
    }

    /// A name of an inode in the hard-link table.
    fn linked_name(&mut self, dir: &[u8], key: DirKey, ino: InodeNo, counted: &mut Counted) {
        let Some(table) = &mut counted.linked else { return };
        let path = [dir, key.name.as_bytes()].concat();
        let Some(linked) = table.get_mut(&ino) else {
            let gap = counted.table_gap.clone();
            counted.gap_named |= gap.is_some();
            let finding = gap.unwrap_or_else(|| Finding {
                what: format!("it is inode {ino}, which is not in the hard-link table"),
                missing: false,
            });
            self.found(&path, &[finding]);
            self.cut(dir, key);
            return;
        };
        linked.names += 1;
        if let Some(broken) = &linked.broken {
            self.found(&path, &broken.findings);
            if self.live {
                self.wounds.linked_paths.push((path.clone(), ino));
            }
        }
        if linked.names == 1 {
            linked.path = path;
        }
    }

    /// Holds a directory's counts against the names in it.
    fn dir_counts(&mut self, path: &[u8], dir: &Record, (names, subdirs): (u64, u32), gaps: &[Finding]) {
        let before = self.damage_count();
        let lost = match gaps {
            [] => 0,
            _ => dir.meta.size.saturating_sub(names),
        };
        if let [gap, more @ ..] = gaps {
            let more = match more.len() {
                0 => String::new(),
                more => format!(", and {more} more"),
            };
            self.add(Damage {
                path: path.to_vec(),
                what: format!(
                    "{lost} of its {} names cannot be read: {}{more}",
                    dir.meta.size, gap.what
                ),
                missing: gaps.iter().all(|gap| gap.missing),
                names: lost,
            });
        } else {
            if names != dir.meta.size {
                self.damage(
                    path,
                    format!("it holds {names} names and counts {}", dir.meta.size),
                );
            }
            let nlink = dir.meta.nlink;
            if nlink != subdirs + 2 {
                self.damage(
                    path,
                    format!("it holds {subdirs} directories and its link count is {nlink}"),
                );
            }
        }
        if self.live && self.damage_count() > before {
            self.wounds.dirs.push(DirWound {
                path: path.to_vec(),
                names,
                subdirs,
                lost,
            });
        }
    }

    /// The blocks that the log names.
    pub(super) fn logged(&mut self, files: &[logged::Logged]) -> Result<()> {
        let before = self.report.blocks;
        for file in files {
            for (recno, link) in &file.leaves {
                if let Some(finding) = self.leaf(*recno, link, file.size)? {
                    self.found(&file.path, &[finding]);
                }
            }
        }
        self.report.logged_blocks = self.report.blocks - before;
        Ok(())
    }

    /// Whether all below a node was met before and there is nothing to name.
    pub(super) fn is_done(&self, root: &Link) -> bool {
        let root = digest(&root.cid);
        !self.all && self.seen.contains(&root) && !self.tainted.contains(&root)
    }

    /// A directory and all above it are walked again in each version.
    fn taint(&mut self, dirs: &Dirs, mut at: usize) {
        loop {
            let (above, root) = dirs.ways[at];
            self.tainted.extend(root);
            if at == above {
                return;
            }
            at = above;
        }
    }

    /// Notes an entry that leads nowhere.
    fn cut(&mut self, dir: &[u8], key: DirKey) {
        if self.live {
            self.wounds.cut.push((dir.to_vec(), key));
        }
    }

    /// Everything noted so far, the unnamed included.
    pub(crate) fn damage_count(&self) -> u64 {
        self.report.damaged.len() as u64 + self.report.damaged_more
    }

    /// What is there, and says what it should not.
    pub(super) fn damage(&mut self, path: &[u8], what: impl Into<String>) {
        self.add(Damage {
            path: path.to_vec(),
            what: what.into(),
            missing: false,
            names: 0,
        });
    }

    /// Notes what was found, under one of the paths that lead there.
    pub(super) fn found(&mut self, path: &[u8], findings: &[Finding]) {
        for Finding { what, missing } in findings {
            self.add(Damage {
                path: path.to_vec(),
                what: what.clone(),
                missing: *missing,
                names: 0,
            });
        }
    }

    fn add(&mut self, damage: Damage) {
        if self.report.damaged.len() < DAMAGES_MAX {
            self.report.damaged.push(damage);
        } else {
            self.report.damaged_more += 1;
        }
    }

    /// Turns a failure that only this path suffers into a note.
    pub(crate) fn note(&mut self, path: &[u8], error: cairn_merkle::Error) -> Result<()> {
        if !error.is_damage() {
            return Err(error.into());
        }
        self.add(Damage::of(path, &error));
        Ok(())
    }

    pub(super) fn tick(&self) {
        (self.progress)(CheckProgress {
            blocks_done: self.report.blocks,
            blocks_total: self.total,
        });
    }

    /// All entries of a tree as far as it can be read, and why the others cannot.
    pub(super) fn entries(&mut self, root: Option<&Link>) -> Result<(Vec<btree::Entry>, Vec<Finding>)> {
        let (mut entries, mut gaps) = (Vec::new(), Vec::new());
        let Self {
            seen, report, source, ..
        } = self;
        btree::survey(
            source,
            root,
            &mut |link| _ = count(seen, report, link),
            &mut |entry| {
                entries.push(entry);
                Ok(())
            },
            &mut |gap| {
                gaps.push(Finding::of("", &gap.error));
                Ok(())
            },
        )?;
        self.tick();
        Ok((entries, gaps))
    }
}

/// Whether a block is met for the first time; counts it then.
pub(super) fn count(seen: &mut FxHashSet<u128>, report: &mut CheckReport, link: &Link) -> bool {
    let first = seen.insert(digest(&link.cid));
    if first {
        report.blocks += 1;
        report.bytes += u64::from(link.len);
    }
    first
}
