//! The head of a record: the bytes before its content, with the number of the use it belongs to.
//!
//! Format of a record (integers little-endian): `"cairnlog" | length u32 | use u64 | epoch u64 |
//! seq u64 | checksum 16 | bytes`. The checksum is the first half of a BLAKE3 of the record's
//! offset and of the bytes before the checksum. It covers the head alone: the side with the key
//! says whether the bytes are those written.

use bytes::Bytes;
use cairn_block::{Epoch, LogPos};

pub(super) const MAGIC: &[u8; 8] = b"cairnlog";
pub(super) const HEAD_LEN: usize = 52;
const SUM_LEN: usize = 16;

/// Number of a use of a segment. They grow, so that what an earlier use left is told from what came
/// after.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Use(pub(crate) u64);

impl Use {
    /// The first one: zeros are of none.
    pub(crate) const FIRST: Self = Self(1);
    /// No log ever comes here. What claims to is none of ours, or the numbers would end.
    pub(super) const MAX: Self = Self(1 << 62);
    /// Far more uses than there ever are between two heads. Checksums have no key: a record that
    /// claims a later use was put there, and what is written after it would be beyond all numbers
    /// before long.
    const AHEAD_MAX: u64 = 1 << 32;

    /// The first use that cannot be of a log which begins with this one.
    pub(super) fn beyond(self) -> Self {
        Self(self.0.saturating_add(Self::AHEAD_MAX))
    }
}

/// What stands before a record's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) len: u32,
    pub(super) used: Use,
    pub(super) pos: LogPos,
}

impl Head {
    pub(super) fn encode(&self, offset: u64) -> [u8; HEAD_LEN] {
        let mut head = [0; HEAD_LEN];
        head[..8].copy_from_slice(MAGIC);
        head[8..12].copy_from_slice(&self.len.to_le_bytes());
        head[12..20].copy_from_slice(&self.used.0.to_le_bytes());
        head[20..28].copy_from_slice(&self.pos.epoch.0.to_le_bytes());
        head[28..36].copy_from_slice(&self.pos.seq.to_le_bytes());
        let sum = checksum(offset, &head[..36]);
        head[36..].copy_from_slice(&sum);
        head
    }

    /// What stands at `offset`, if it is a head.
    pub(super) fn decode(head: &[u8; HEAD_LEN], offset: u64) -> Option<Self> {
        let (said, sum) = head.split_at(36);
        if said[..8] != *MAGIC || sum != checksum(offset, said) {
            return None;
        }
        let found = Self {
            len: u32::from_le_bytes(*said[8..].first_chunk()?),
            used: use_in(head),
            pos: LogPos {
                epoch: Epoch(u64::from_le_bytes(*said[20..].first_chunk()?)),
                seq: u64::from_le_bytes(*said[28..].first_chunk()?),
            },
        };
        (found.used < Use::MAX).then_some(found)
    }
}

/// The use that a head claims, be it whole or not.
pub(super) fn use_in(head: &[u8; HEAD_LEN]) -> Use {
    Use(u64::from_le_bytes(head[12..20].try_into().expect("eight bytes")))
}

/// Makes the checksums of heads right, as far as their lengths lead to more.
#[cfg(feature = "fuzzing")]
pub(in crate::rocks) fn sum_again(segment: &mut [u8]) {
    let mut at = 0;
    while let Some(head) = segment.get_mut(at..at + HEAD_LEN) {
        let sum = checksum(at as u64, &head[..36]);
        head[36..].copy_from_slice(&sum);
        let len = u32::from_le_bytes(*head[8..].first_chunk().expect("a head has a length"));
        at += HEAD_LEN + len as usize;
    }
}

/// Bytes a record takes.
pub(super) fn framed_len(bytes: &Bytes) -> u64 {
    (HEAD_LEN + bytes.len()) as u64
}

fn checksum(offset: u64, said: &[u8]) -> [u8; SUM_LEN] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&offset.to_le_bytes());
    hasher.update(said);
    let hash = hasher.finalize();
    let (first, _) = hash.as_bytes().split_first_chunk().expect("a hash has 32 bytes");
    *first
}
