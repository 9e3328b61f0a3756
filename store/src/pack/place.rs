//! The place of a block: the index's entry for its name.

use super::label::LABEL_LEN;
use cairn_block::group::groups_len;
use std::ops::Range;

/// Blocks begin at multiples of this: what direct I/O asks of most devices. A block's last unit ends
/// in its label, with zeros before.
pub(crate) const UNIT: u64 = 512;

/// Where a block lies in the packs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Number of the pack.
    pub(crate) pack: u32,
    /// In bytes, a multiple of [`UNIT`].
    pub(crate) offset: u64,
    /// Of the block, in bytes.
    pub(crate) len: u32,
}

impl Place {
    /// Stored length of [`Self::encode`].
    pub(crate) const LEN: usize = 12;

    /// Pack, offset in units, length: 4 bytes each, little-endian (docs/format.md, section 17).
    pub(crate) fn encode(self) -> [u8; Self::LEN] {
        let units = u32::try_from(self.offset / UNIT).expect("a pack is far shorter than 2 TiB");
        let mut bytes = [0; Self::LEN];
        bytes[..4].copy_from_slice(&self.pack.to_le_bytes());
        bytes[4..8].copy_from_slice(&units.to_le_bytes());
        bytes[8..].copy_from_slice(&self.len.to_le_bytes());
        bytes
    }

    /// The place at the start of an index entry, and the group hashes behind it: those of all its
    /// groups, or none. `None` for anything else.
    pub(crate) fn decode(entry: &[u8]) -> Option<(Self, &[u8])> {
        let (bytes, groups) = entry.split_first_chunk::<{ Self::LEN }>()?;
        let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        let place = Self {
            pack: number(0),
            offset: u64::from(number(4)) * UNIT,
            len: number(8),
        };
        let len = place.len as usize;
        // Checked here, so that no reader takes memory for a length that no block has.
        let fits = groups.is_empty() || groups.len() == groups_len(len);
        (fits && len <= cairn_block::MAX_STORED).then_some((place, groups))
    }

    /// Where a part of the block lies, whose range begins at a multiple of [`UNIT`].
    pub(crate) fn part(self, range: &Range<usize>) -> Option<Self> {
        let is_within = range.start < range.end && range.end <= self.len as usize;
        // Direct reads begin at a unit; groups are multiples of it, so every good caller passes.
        let starts_well = (range.start as u64).is_multiple_of(UNIT);
        (is_within && starts_well).then(|| Self {
            offset: self.offset + range.start as u64,
            len: range.len() as u32,
            ..self
        })
    }

    /// Where the next block may begin.
    pub(crate) fn end(self) -> u64 {
        (self.offset + u64::from(self.len) + LABEL_LEN as u64).next_multiple_of(UNIT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_decodes_to_what_was_encoded_and_nothing_else_decodes() {
        let place = Place {
            pack: 7,
            offset: 3 * UNIT,
            len: 700,
        };
        assert_eq!(Place::decode(&place.encode()), Some((place, &[][..])));
        let large = Place {
            len: 131_120,
            ..place
        };
        let entry = [&large.encode()[..], &[7; 9 * 32]].concat();
        assert_eq!(Place::decode(&entry), Some((large, &[7; 9 * 32][..])));
        assert_eq!(Place::decode(&entry[..entry.len() - 1]), None);
        assert_eq!(Place::decode(&[&entry[..], &[7; 32]].concat()), None);
        assert_eq!(Place::decode(&[&place.encode()[..], &[7; 32]].concat()), None);
        assert_eq!(place.end(), 5 * UNIT);
        assert_eq!(Place::decode(&place.encode()[1..]), None);
        let huge = Place {
            len: u32::MAX,
            ..place
        };
        assert_eq!(Place::decode(&huge.encode()), None);
    }
}
