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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_seen_through_one_snapshot_at_a_time() {
        let last = InodeNo((1 << VIEW_SHIFT) - 1);
        assert_eq!((view_of(InodeNo::ROOT), view_of(last)), (0, 0));
        assert_eq!(view_of(InodeNo(last.0 + 1)), 1);
        for ino in [InodeNo::ROOT, last] {
            let seen = in_view(ino, 5);
            assert_eq!((view_of(seen), in_view(seen, 0)), (5, ino));
            assert_eq!(in_view(seen, 6), in_view(ino, 6));
        }
        assert_eq!(in_view(InodeNo(1), 1).0, (1 << 40) + 1);
        assert_eq!(view_of(in_view(last, (1 << 24) - 1)), (1 << 24) - 1);
    }
}
