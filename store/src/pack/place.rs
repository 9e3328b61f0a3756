//! Where a block lies: what the index says of each name.

/// Blocks begin at multiples of this: what direct I/O asks of most devices. The rest of a block's last unit is zeros.
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

    /// `None` for anything [`Self::encode`] does not write.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; Self::LEN] = bytes.try_into().ok()?;
        let number = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        let place = Self {
            pack: number(0),
            offset: u64::from(number(4)) * UNIT,
            len: number(8),
        };
        (place.len as usize <= cairn_merkle::MAX_STORED).then_some(place)
    }

    /// Where the next block may begin.
    pub(crate) fn end(self) -> u64 {
        (self.offset + u64::from(self.len)).next_multiple_of(UNIT)
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
        assert_eq!(Place::decode(&place.encode()), Some(place));
        assert_eq!(place.end(), 5 * UNIT);
        assert_eq!(Place::decode(&place.encode()[1..]), None);
        let huge = Place {
            len: u32::MAX,
            ..place
        };
        assert_eq!(Place::decode(&huge.encode()), None);
    }
}
