//! What the intent log names and no commit does, for a check of a volume that is not mounted.
//!
//! ```text
//!  log --verified, replayed (life/replay.rs)--> inodes in memory --> their paths, and the leaves in their open layers
//!                                                                each leaf is read like those of the tree
//! ```
//!
//! Such a check writes nothing, so what was replayed is never brought into a tree that could be
//! walked. Records of the log were verified by the replay, and a gap or an alteration ended it with
//! an error; left are the blocks they name.

use crate::data::layer::{Dirty, Rec, Under};
use crate::namespace::inode::{Content, Home};
use crate::state::State;
use cairn_merkle::Link;

/// A file whose newest bytes lie in blocks that the log names.
pub(super) struct Logged {
    pub(super) path: Vec<u8>,
    pub(super) size: u64,
    /// By record number.
    pub(super) leaves: Vec<(u64, Link)>,
}

/// All such files, by path.
pub(super) fn logged(state: &State) -> Vec<Logged> {
    let inodes = &state.inodes;
    let mut files: Vec<Logged> = inodes
        .dirty()
        .filter_map(|ino| {
            let inode = inodes.get(ino).ok()?;
            let Content::File(file) = &inode.content else {
                return None;
            };
            // What cannot be reached is freed by the next mount.
            let leaves: Vec<_> = file.open.records().iter().filter_map(leaf).collect();
            (inode.home != Home::Orphan && !leaves.is_empty()).then(|| Logged {
                path: inodes.path_of(ino),
                size: inode.meta.size,
                leaves,
            })
        })
        .collect();
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

fn leaf((recno, rec): (&u64, &Rec)) -> Option<(u64, Link)> {
    match rec {
        Rec::Clean(link)
        | Rec::Dirty(Dirty {
            under: Under::Leaf(link),
            ..
        }) => Some((*recno, link.clone())),
        Rec::Hole | Rec::Dirty(_) => None,
    }
}
