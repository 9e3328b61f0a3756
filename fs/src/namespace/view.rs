//! Inode numbers of the live tree and of snapshots: the same tree can be seen through several.

use crate::InodeNo;

/// Inode numbers of a snapshot's files carry the snapshot's number above these bits.
pub(crate) const VIEW_SHIFT: u32 = 40;

/// The snapshot an inode number belongs to; 0 for the live tree.
pub(crate) fn view_of(ino: InodeNo) -> u32 {
    u32::try_from(ino.0 >> VIEW_SHIFT).unwrap_or(u32::MAX)
}

/// The number as the tree stores it, seen through a snapshot (or 0 for live).
pub(crate) fn in_view(ino: InodeNo, view: u32) -> InodeNo {
    InodeNo((ino.0 & ((1 << VIEW_SHIFT) - 1)) | (u64::from(view) << VIEW_SHIFT))
}
