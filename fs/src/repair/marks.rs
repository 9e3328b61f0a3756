//! Which blocks a version names, by its clear links alone: nodes are read, leaves are not.

use crate::Result;
use crate::blocks::Uncached;
use crate::check::digest;
use crate::stored::snapshot::Snapshot;
use crate::stored::volume::Volume;
use cairn_merkle::{Codec, Link, NodeSource};
use rustc_hash::FxHashSet;

/// Blocks by sixteen bytes of their names.
pub(super) type Marks = FxHashSet<u128>;

/// Roots of the trees that belong to a version of the directories.
pub(super) fn roots_of(version: &Snapshot) -> Vec<Link> {
    let (_, mut roots) = version.root.encode();
    roots.extend(version.table.clone());
    roots
}

/// Roots of everything that a commit names.
pub(super) fn all_roots(volume: &Volume) -> Vec<Link> {
    volume.encode().1
}

/// Adds everything below `roots` to `marks`. A node that cannot be read is one of them, and what
/// it alone leads to is not known.
pub(super) fn mark(source: &Uncached<'_>, roots: Vec<Link>, marks: &mut Marks) -> Result<()> {
    let mut rest = roots;
    while let Some(link) = rest.pop() {
        // A leaf leads nowhere: its name is enough.
        if !marks.insert(digest(&link.cid)) || link.cid.codec() == Codec::Leaf {
            continue;
        }
        match source.node(&link) {
            Ok(node) => rest.extend(node.links.iter().cloned()),
            Err(error) if error.is_damage() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// What is below `roots` and not in `other`.
pub(super) fn difference(source: &Uncached<'_>, roots: Vec<Link>, other: &Marks) -> Result<Vec<Link>> {
    let mut met = Marks::default();
    let mut found = Vec::new();
    let mut rest = roots;
    while let Some(link) = rest.pop() {
        let name = digest(&link.cid);
        // What is shared leads to what is shared.
        if other.contains(&name) || !met.insert(name) {
            continue;
        }
        if link.cid.codec() == Codec::Node {
            match source.node(&link) {
                Ok(node) => rest.extend(node.links.iter().cloned()),
                Err(error) if error.is_damage() => {}
                Err(error) => return Err(error.into()),
            }
        }
        found.push(link);
    }
    Ok(found)
}
