//! The hashes halfway up a block's BLAKE3 tree, which check a part of it against the block's
//! name.
//!
//! ```text
//!                name = root
//!               /           \
//!          parent            ...
//!         /      \
//!   group hash  group hash  ...     kept beside the block, by its store: 32 bytes for each 16 KiB
//!       |           |
//!    16 KiB      16 KiB    ...      of the stored block; the last may be shorter
//! ```
//!
//! Group hashes are chaining values of BLAKE3 (its paper, section 2.1), so a block's name is the
//! same with and without them. No reader has to believe them: merged they give the name, or they
//! are refused.

use crate::Cid;
use blake3::hazmat::{
    ChainingValue, HasherExt, Mode, left_subtree_len, merge_subtrees_non_root, merge_subtrees_root,
};
use blake3::{CHUNK_LEN, Hasher};
use bytes::Bytes;
use std::ops::Range;

/// Bytes of a group: 16 chunks, enough for the hash to run at its full width.
pub const GROUP_BYTES: usize = 16 * CHUNK_LEN;
/// Bytes of a group's hash.
pub const GROUP_HASH_LEN: usize = 32;
/// Blocks from here on have groups: of a smaller one, all costs no more than a part.
const GROUPED_BYTES_MIN: usize = 4 * GROUP_BYTES;

/// A part of a stored block, unverified, and what it is verified with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Where it lies in the block, in bytes: whole groups, as [`groups_around`] gives them.
    pub range: Range<usize>,
    /// Its bytes.
    pub bytes: Bytes,
    /// The hashes of all groups of the block, one behind the other.
    pub groups: Bytes,
}

/// Length of the group hashes of a block of `stored_len` bytes; 0 if it has none.
pub fn groups_len(stored_len: usize) -> usize {
    match stored_len {
        0..GROUPED_BYTES_MIN => 0,
        _ => stored_len.div_ceil(GROUP_BYTES) * GROUP_HASH_LEN,
    }
}

/// The whole groups that hold `range` of a block of `stored_len` bytes.
pub fn groups_around(range: &Range<usize>, stored_len: usize) -> Range<usize> {
    let end = range.end.next_multiple_of(GROUP_BYTES).min(stored_len);
    range.start - range.start % GROUP_BYTES..end
}

/// A block's hash, and those of its groups if it has any.
pub fn hash(stored: &[u8]) -> ([u8; 32], Bytes) {
    let groups = group_hashes(stored);
    let hash = match groups.is_empty() {
        true => *blake3::hash(stored).as_bytes(),
        false => root(&groups, stored.len() as u64),
    };
    (hash, groups.concat().into())
}

/// The hashes of a block's groups, for a store that was not told them; empty if it has none.
pub fn groups_of(stored: &[u8]) -> Bytes {
    group_hashes(stored).concat().into()
}

fn group_hashes(stored: &[u8]) -> Vec<ChainingValue> {
    if groups_len(stored.len()) == 0 {
        return Vec::new();
    }
    let groups = stored.chunks(GROUP_BYTES).enumerate();
    groups.map(|(number, bytes)| group_hash(number, bytes)).collect()
}

/// Whether a part is what it should be of the block of this name and length.
pub fn is_part_of(part: &Part, cid: &Cid, stored_len: usize) -> bool {
    let Range { start, end } = part.range;
    let is_whole =
        start.is_multiple_of(GROUP_BYTES) && (end.is_multiple_of(GROUP_BYTES) || end == stored_len);
    let is_possible = start < end && end <= stored_len && part.bytes.len() == end - start;
    let (groups, []) = part.groups.as_chunks::<GROUP_HASH_LEN>() else {
        return false;
    };
    let has_groups = !groups.is_empty() && part.groups.len() == groups_len(stored_len);
    if !is_whole || !is_possible || !has_groups || root(groups, stored_len as u64) != cid.digest() {
        return false;
    }
    let first = start / GROUP_BYTES;
    let mut found = part.bytes.chunks(GROUP_BYTES).zip(first..);
    found.all(|(bytes, number)| groups.get(number) == Some(&group_hash(number, bytes)))
}

fn group_hash(number: usize, bytes: &[u8]) -> ChainingValue {
    let offset = (number * GROUP_BYTES) as u64;
    Hasher::new()
        .set_input_offset(offset)
        .update(bytes)
        .finalize_non_root()
}

/// Merges the groups of a block of `len` bytes, two or more, into its hash.
fn root(groups: &[ChainingValue], len: u64) -> [u8; 32] {
    let (left, right) = halves(groups, len);
    *merge_subtrees_root(&left, &right, Mode::Hash).as_bytes()
}

fn subtree(groups: &[ChainingValue], len: u64) -> ChainingValue {
    if let [only] = groups {
        return *only;
    }
    let (left, right) = halves(groups, len);
    merge_subtrees_non_root(&left, &right, Mode::Hash)
}

/// The two subtrees below a node over `len` bytes: the left one is full, so it ends between two
/// groups.
fn halves(groups: &[ChainingValue], len: u64) -> (ChainingValue, ChainingValue) {
    let left_len = left_subtree_len(len);
    let (left, right) = groups.split_at((left_len / GROUP_BYTES as u64) as usize);
    (subtree(left, left_len), subtree(right, len - left_len))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Codec;

    fn block(len: usize) -> Vec<u8> {
        (0..len).map(|at| (at * 7 + at / 253) as u8).collect()
    }

    fn part(stored: &[u8], range: Range<usize>) -> Part {
        Part {
            bytes: Bytes::copy_from_slice(&stored[range.clone()]),
            groups: groups_of(stored),
            range,
        }
    }

    #[test]
    fn groups_change_no_name() {
        let edges = (0..12).flat_map(|n| [n * GROUP_BYTES, n * GROUP_BYTES + 1, (n + 1) * GROUP_BYTES - 1]);
        for len in edges.chain([
            131_120,
            3 * CHUNK_LEN + 5,
            1 << 20,
            (1 << 20) + 48,
            crate::MAX_STORED,
        ]) {
            let stored = block(len);
            let (hash, groups) = hash(&stored);
            assert_eq!(hash, *blake3::hash(&stored).as_bytes(), "{len}");
            assert_eq!(groups.len(), groups_len(len), "{len}");
        }
    }

    #[test]
    fn every_part_of_whole_groups_is_accepted() {
        let stored = block(131_120);
        let cid = Cid::of(Codec::Leaf, &stored);
        for range in [
            0..1,
            5..16_384,
            16_383..16_385,
            100_000..131_072,
            131_071..131_120,
            0..131_120,
        ] {
            let whole = groups_around(&range, stored.len());
            assert!(whole.start <= range.start && range.end <= whole.end);
            assert!(is_part_of(&part(&stored, whole), &cid, stored.len()), "{range:?}");
        }
    }

    #[test]
    fn whatever_is_changed_a_part_is_refused() {
        let stored = block(131_120);
        let cid = Cid::of(Codec::Leaf, &stored);
        let good = part(&stored, 32_768..49_152);
        let accepts = |part: &Part| is_part_of(part, &cid, stored.len());
        assert!(accepts(&good));
        for bit in [0, 77, 8 * 16_383 + 7] {
            let mut bytes = good.bytes.to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            let bytes = bytes.into();
            assert!(!accepts(&Part {
                bytes,
                ..good.clone()
            }));
        }
        for byte in 0..good.groups.len() {
            let mut groups = good.groups.to_vec();
            groups[byte] ^= 1;
            let groups = groups.into();
            assert!(
                !accepts(&Part {
                    groups,
                    ..good.clone()
                }),
                "{byte}"
            );
        }
        let with = |range, bytes: &[u8], groups: &Bytes| Part {
            range,
            bytes: Bytes::copy_from_slice(bytes),
            groups: groups.clone(),
        };
        let refused = [
            with(16_384..32_768, &good.bytes, &good.groups),
            with(32_768..49_152, &good.bytes[1..], &good.groups),
            with(32_769..49_153, &stored[32_769..49_153], &good.groups),
            with(32_768..49_000, &stored[32_768..49_000], &good.groups),
            with(131_072..147_456, &block(16_384), &good.groups),
            with(32_768..32_768, &[], &good.groups),
            with(32_768..49_152, &good.bytes, &good.groups.slice(32..)),
            with(32_768..49_152, &good.bytes, &good.groups.slice(1..)),
            with(32_768..49_152, &good.bytes, &Bytes::new()),
            with(
                32_768..49_152,
                &good.bytes,
                &[&good.groups[..], &[0; 32]].concat().into(),
            ),
        ];
        for (at, part) in refused.iter().enumerate() {
            assert!(!accepts(part), "{at}");
        }
        // Right in itself, but of another block, or of another length. (Only the last group tells
        // lengths within a group apart: the link alone gives the length that counts.)
        let other = block(131_121);
        assert!(!accepts(&part(&other, 32_768..49_152)));
        assert!(!is_part_of(&good, &cid, stored.len() + GROUP_BYTES));
        assert!(!is_part_of(&good, &cid, 16_384));
    }
}
