//! Proves what a path leads to, or that it leads to nothing, to a verifier with a root and no key.
//!
//! ```text
//!  commit block --> root directory --(hash of the name)--> entry --> next directory --> ... --> inode --> leaves
//!        `--> snapshots, for a path below /.snapshots      `--> hard-link table, for an inode of several names
//! ```
//!
//! Prover and verifier run the same search ([`Search`]); the prover over the store, noting what it
//! reads, the verifier over what was noted ([`cairn_merkle::proof`]). A name is absent when the
//! one leaf it could be in does not have it. The order of a directory is that of a keyed hash, so
//! the proof discloses that key, which stands in the commit block.
//!
//! What a proof discloses beside its path: the nodes on the way have other names in them.
//! [`Finding::also_shown`] tells.

use crate::stored::name::DirKey;
use crate::stored::record::{Dentry, Meta, Record, Stored};
use crate::stored::snapshot::Snapshot;
use crate::stored::volume::Volume;
use crate::versions::snapshots::DIR_NAME;
use crate::{Attr, Error, InodeNo, Kind, Name, Result};
use cairn_merkle::proof::{ProofSource, Shown};
use cairn_merkle::twin::Part;
use cairn_merkle::{
    BlockStore, Cid, Commit, Copies, Epoch, Header, Link, Proof, Recorder, VolumeKey, btree, index,
};
use std::collections::BTreeSet;

/// The most content one proof carries.
pub const PROVEN_CONTENT_MAX: u64 = 64 << 20;

/// What a proof shows if its root is trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The commit block it holds under.
    pub root: Cid,
    /// The volume.
    pub volume_id: [u8; 16],
    /// The number of the commit.
    pub epoch: Epoch,
    /// What was looked for.
    pub path: Vec<u8>,
    /// What there is.
    pub outcome: Outcome,
    /// Other names that the nodes on the way lay open, with the attributes and small contents that
    /// stand beside them.
    pub also_shown: BTreeSet<Vec<u8>>,
}

/// What there is at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It leads to an inode.
    There {
        /// Its attributes.
        attr: Box<Attr>,
        /// Its extended attributes.
        xattrs: Vec<(Vec<u8>, Vec<u8>)>,
        /// A file's bytes or a symbolic link's target: always if it is small, else if the proof
        /// has them.
        content: Option<Vec<u8>>,
    },
    /// It leads to nothing.
    Absent {
        /// The path up to the component at which it ends.
        at: Vec<u8>,
        /// Why it does.
        why: Absence,
    },
}

/// Why a path leads to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence {
    /// The directory has no such name.
    NoName,
    /// What is above it is no directory.
    NoDirectory(Kind),
}

/// Proves what `path`, from the volume's root, leads to under the commit block `root`. With
/// `with_content` the proof has the bytes of a file, of up to [`PROVEN_CONTENT_MAX`].
///
/// # Errors
/// [`Error::Invalid`] for a path that no volume can have, [`Error::TooLarge`] for too much
/// content, and what the store has not or not right.
pub fn prove(
    store: &dyn BlockStore,
    key: &VolumeKey,
    root: Cid,
    path: &[u8],
    with_content: bool,
) -> Result<(Proof, Finding)> {
    search(store, key, root, path, with_content, Content::Gathered)
}

/// The same without what it shows.
///
/// # Errors
/// As there.
pub(crate) fn prove_only(
    store: &dyn BlockStore,
    key: &VolumeKey,
    root: Cid,
    path: &[u8],
    with_content: bool,
) -> Result<Proof> {
    search(store, key, root, path, with_content, Content::Passed).map(|(proof, _)| proof)
}

fn search(
    store: &dyn BlockStore,
    key: &VolumeKey,
    root: Cid,
    path: &[u8],
    with_content: bool,
    content: Content,
) -> Result<(Proof, Finding)> {
    let names = components(path)?;
    let no_header = cairn_merkle::Error::Header { why: "there is none" };
    let recorder = Recorder::new(store);
    let commit = recorder.commit(&root, key)?;
    let header = Copies::read(store)?.choose(Part::Header, |stored| {
        let header = Header::decode(stored)?;
        // A verifier takes the record size from it, and accepts only the one this commit seals.
        commit.require_header(&header).map(|()| header)
    })?;
    let (header, _) = header.ok_or(no_header)?;
    let mut search = Search::new(&recorder, &commit, header.record_size)?;
    search.gathers = content;
    let finding = search.run(root, &commit, &names, with_content)?;
    Ok((
        recorder.into_proof(root, &header, joined(&names), with_content),
        finding,
    ))
}

/// What `proof` shows under its root. The caller compares that with the trusted root: nothing else
/// was verified.
///
/// # Errors
/// The block that is missing, altered or does not follow the format.
pub fn verify_proof(proof: &Proof) -> Result<Finding> {
    let names = components(&proof.path)?;
    // Else one place would have paths of several forms.
    if joined(&names) != proof.path {
        return Err(Error::Invalid("the proof's path is not in its one form"));
    }
    let commit = proof.commit()?;
    let mut search = Search::new(proof, &commit, proof.record_size(&commit)?)?;
    search.run(proof.root, &commit, &names, proof.with_content)
}

/// The names of a path. `.`, `..` and empty ones would make two paths of one.
fn components(path: &[u8]) -> Result<Vec<Name>> {
    let inner = path.strip_prefix(b"/").unwrap_or(path);
    let inner = inner.strip_suffix(b"/").unwrap_or(inner);
    if inner.is_empty() {
        return Ok(Vec::new());
    }
    let name = |name: &[u8]| match name {
        b"" | b"." | b".." => Err(Error::Invalid("write the path without `.`, `..` and empty names")),
        name => Name::new(name),
    };
    inner.split(|byte| *byte == b'/').map(name).collect()
}

fn joined(names: &[Name]) -> Vec<u8> {
    match names {
        [] => b"/".to_vec(),
        names => names
            .iter()
            .flat_map(|name| [b"/", name.as_bytes()].concat())
            .collect(),
    }
}

/// What a search does with the bytes of a file beside noting their blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    /// It answers them.
    Gathered,
    /// Nothing: they would take as much memory once more.
    Passed,
}

/// One search for one path.
struct Search<'a> {
    source: &'a dyn ProofSource,
    volume: Volume,
    record_size: u32,
    gathers: Content,
    shown: Shown,
    /// Keys the path itself asked for.
    asked: BTreeSet<Vec<u8>>,
}

impl<'a> Search<'a> {
    fn new(source: &'a dyn ProofSource, commit: &Commit, record_size: u32) -> Result<Self> {
        Ok(Self {
            source,
            volume: Volume::decode(&commit.body, &commit.links)?,
            record_size,
            gathers: Content::Gathered,
            shown: Shown::new(),
            asked: BTreeSet::new(),
        })
    }

    fn run(&mut self, root: Cid, commit: &Commit, names: &[Name], with_content: bool) -> Result<Finding> {
        let outcome = match self.walk(names)? {
            Ok(record) => self.there(record, with_content)?,
            Err(absent) => absent,
        };
        // The names of the path itself are no disclosure.
        let others = self.shown.difference(&self.asked);
        Ok(Finding {
            root,
            volume_id: commit.volume_id,
            epoch: commit.epoch,
            path: joined(names),
            outcome,
            also_shown: others.map(|key| shown_name(key)).collect(),
        })
    }

    fn walk(&mut self, names: &[Name]) -> Result<std::result::Result<Record, Outcome>> {
        let (mut record, mut table) = (self.volume.trees.root.clone(), self.volume.trees.table.clone());
        let mut begin = 0;
        if let [first, rest @ ..] = names
            && first.as_bytes() == DIR_NAME
        {
            let [snapshot, ..] = rest else {
                return Err(Error::Invalid(
                    "`/.snapshots` is no directory of the tree: name a snapshot in it",
                ));
            };
            let tree = self.volume.trees.snapshots.clone();
            let Some(entry) = self.get(tree.as_ref(), snapshot.as_bytes())? else {
                return Ok(Err(absent(&names[..2], Absence::NoName)));
            };
            let (_, snapshot) = Snapshot::decode(&entry)?;
            // With the hard-link table of its time: that of the live tree has other rows.
            (record, table) = (snapshot.root, snapshot.table);
            begin = 2;
        }
        for at in begin..names.len() {
            if record.meta.kind != Kind::Directory {
                let why = Absence::NoDirectory(record.meta.kind);
                return Ok(Err(absent(&names[..at], why)));
            }
            let tree = match &record.stored {
                Stored::Tree(link) => Some(link.clone()),
                _ => None,
            };
            let key = DirKey::new(&self.volume.dir_key, &names[at]).encode();
            let Some(entry) = self.get(tree.as_ref(), &key)? else {
                return Ok(Err(absent(&names[..=at], Absence::NoName)));
            };
            record = match Dentry::decode(&entry.value, &entry.links)? {
                Dentry::Embedded(record) => record,
                Dentry::Linked { ino, .. } => self.linked(table.as_ref(), ino)?,
            };
        }
        Ok(Ok(record))
    }

    fn get(&mut self, tree: Option<&Link>, key: &[u8]) -> Result<Option<btree::Entry>> {
        self.asked.insert(key.to_vec());
        Ok(btree::get_proven(self.source, tree, key, &mut self.shown)?)
    }

    /// An inode of the hard-link table, which says nothing of names.
    fn linked(&mut self, table: Option<&Link>, ino: InodeNo) -> Result<Record> {
        // Kept apart: rows of this table show no names.
        let mut shown = Shown::new();
        let entry = btree::get_proven(self.source, table, &ino.0.to_be_bytes(), &mut shown)?;
        let entry = entry.ok_or(cairn_merkle::Error::Malformed {
            what: "directory entry",
            why: "the hard-link table does not have its inode",
        })?;
        Ok(Record::decode(&entry.value, &entry.links)?)
    }

    fn there(&self, record: Record, with_content: bool) -> Result<Outcome> {
        let content = self.content(&record, with_content)?;
        let Record { meta, xattrs, .. } = record;
        Ok(Outcome::There {
            attr: Box::new(meta.attr(meta.size, meta.stored)),
            xattrs: xattrs
                .iter()
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect(),
            content,
        })
    }

    /// All bytes of a file, holes as zeros; `None` if it has leaves and they are not asked for.
    fn content(&self, record: &Record, with_content: bool) -> Result<Option<Vec<u8>>> {
        let Meta { kind, size, .. } = record.meta;
        if !matches!(kind, Kind::File | Kind::Symlink) {
            return Ok(None);
        }
        // A proof of a few bytes may claim any size: it takes no more memory than a record.
        let inline = matches!(record.stored, Stored::Inline(_));
        let small = size == 0 || inline && size <= u64::from(self.record_size);
        if !small && !with_content {
            return Ok(None);
        }
        if size > PROVEN_CONTENT_MAX {
            // A small file with a large hole behind it is no reason to fail.
            return if with_content {
                Err(Error::TooLarge)
            } else {
                Ok(None)
            };
        }
        let gathered = match self.gathers {
            Content::Gathered => usize::try_from(size).map_err(|_| Error::TooLarge)?,
            Content::Passed => 0,
        };
        let mut content = vec![0; gathered];
        let mut place = |at: u64, bytes: &[u8]| {
            let at = usize::try_from(at).unwrap_or(usize::MAX);
            let room = content.get_mut(at..).unwrap_or_default();
            let len = room.len().min(bytes.len());
            room[..len].copy_from_slice(&bytes[..len]);
        };
        match &record.stored {
            Stored::Inline(bytes) => place(0, bytes),
            Stored::Leaf(link) => place(0, &self.source.leaf(link)?),
            Stored::Index(root) => {
                let mut leaves = Vec::new();
                index::walk(self.source, Some(root), &mut |_| {}, &mut |record, link| {
                    leaves.push((record, link.clone()));
                    Ok(())
                })?;
                for (record, link) in leaves {
                    let at = record.saturating_mul(self.record_size.into());
                    place(at, &self.source.leaf(&link)?);
                }
            }
            Stored::None | Stored::Tree(_) => {}
        }
        Ok(Some(content))
    }
}

fn absent(names: &[Name], why: Absence) -> Outcome {
    Outcome::Absent {
        at: joined(names),
        why,
    }
}

/// The name in a key of a directory, or of the list of snapshots, which has no hash before it.
fn shown_name(key: &[u8]) -> Vec<u8> {
    match DirKey::decode(key) {
        Some(key) => key.name.as_bytes().to_vec(),
        None => key.to_vec(),
    }
}

#[cfg(test)]
mod tests;
