//! Where each block of a CAR begins: CARv2's index `MultihashIndexSorted`, or the same table made
//! by one scan.
//!
//! ```text
//!   0x0401 | 1 hash | BLAKE3 | 1 width | 40 | bytes | hash, offset | hash, offset | ...   sorted by hash
//! ```
//!
//! The index of a file is searched in place, so a CARv2 of any size takes no memory. A scan takes
//! 40 bytes for each block. An index only says where to look.

use super::frame::malformed;
use super::frame::{SECTION_PREFIX_MAX, Section, put_varint};
use super::source::ReadAt;
use crate::{Cid, MULTIHASH_BLAKE3, Result, StoreError};
use std::io;

/// Codec of `MultihashIndexSorted`.
const CODEC: u64 = 0x0401;
/// A digest and an offset.
pub(super) const ENTRY_LEN: usize = 40;
/// Codec (2), hashes (4), hash (8), widths (4), width (4), bytes (8).
const PREFIX_LEN: usize = 30;

/// Hash of a block, then where its section begins in the payload, little-endian.
pub(super) type Entry = [u8; ENTRY_LEN];

/// What makes an error of the file one of the store.
pub(super) fn read_failed(source: io::Error) -> StoreError {
    StoreError::io("read the CAR", source)
}

pub(super) fn entry(cid: &Cid, offset: u64) -> Entry {
    let mut entry = [0; ENTRY_LEN];
    entry[..32].copy_from_slice(&cid.to_bytes()[4..]);
    entry[32..].copy_from_slice(&offset.to_le_bytes());
    entry
}

/// What stands before `count` entries.
pub(super) fn encode_prefix(count: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(PREFIX_LEN);
    put_varint(&mut out, CODEC);
    out.extend_from_slice(&1_u32.to_le_bytes());
    out.extend_from_slice(&MULTIHASH_BLAKE3.to_le_bytes());
    out.extend_from_slice(&1_u32.to_le_bytes());
    out.extend_from_slice(&(ENTRY_LEN as u32).to_le_bytes());
    out.extend_from_slice(&((count * ENTRY_LEN) as u64).to_le_bytes());
    out
}

/// A sorted table of entries.
pub(super) enum Index {
    /// As it lies in the file, from this offset on.
    Stored { at: u64, count: u64 },
    /// In memory.
    Scanned(Vec<Entry>),
}

impl Index {
    /// The index that begins at `at`, if it is of the one kind that is written here.
    pub(super) fn stored(source: &dyn ReadAt, at: u64, end: u64) -> Result<Option<Self>> {
        let mut prefix = [0; PREFIX_LEN];
        if end.saturating_sub(at) < PREFIX_LEN as u64 {
            return Err(malformed("it is cut short: its index is not whole"));
        }
        source.read_exact_at(&mut prefix, at).map_err(read_failed)?;
        let (known, bytes) = prefix.split_at(PREFIX_LEN - 8);
        if known != &encode_prefix(0)[..PREFIX_LEN - 8] {
            return Ok(None);
        }
        let bytes = u64::from_le_bytes(bytes.try_into().expect("the last 8 of 30"));
        let at = at + PREFIX_LEN as u64;
        if bytes % ENTRY_LEN as u64 != 0 || bytes > end - at {
            return Err(malformed("it is cut short: its index is not whole"));
        }
        let count = bytes / ENTRY_LEN as u64;
        Ok(Some(Self::Stored { at, count }))
    }

    /// The table of a payload without an index, from `first`, where its sections begin, to its end.
    pub(super) fn scan(source: &dyn ReadAt, payload: u64, first: u64, end: u64) -> Result<Self> {
        let mut entries = Vec::new();
        let mut at = first;
        while at < end {
            let section =
                section_at(source, at, end)?.ok_or(malformed("it is cut short: a section is not whole"))?;
            entries.push(entry(&section.cid, at - payload));
            at += section.len();
        }
        entries.sort_unstable();
        Ok(Self::Scanned(entries))
    }

    pub(super) fn count(&self) -> u64 {
        match self {
            Self::Stored { count, .. } => *count,
            Self::Scanned(entries) => entries.len() as u64,
        }
    }

    /// The entry at `place`, which is below [`Self::count`]: digest and offset.
    pub(super) fn get(
        &self,
        source: &dyn ReadAt,
        place: u64,
    ) -> std::result::Result<([u8; 32], u64), StoreError> {
        let mut entry = [0; ENTRY_LEN];
        match self {
            Self::Stored { at, .. } => source
                .read_exact_at(&mut entry, at + place * ENTRY_LEN as u64)
                .map_err(read_failed)?,
            Self::Scanned(entries) => entry = entries[place as usize],
        }
        let (digest, offset) = entry.split_first_chunk().expect("40 bytes begin with 32");
        let offset = u64::from_le_bytes(offset.try_into().expect("the other 8"));
        Ok((*digest, offset))
    }

    /// The first place whose digest is not below `digest`.
    pub(super) fn lower_bound(
        &self,
        source: &dyn ReadAt,
        digest: &[u8; 32],
    ) -> std::result::Result<u64, StoreError> {
        let (mut low, mut high) = (0, self.count());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.get(source, middle)?.0 < *digest {
                true => low = middle + 1,
                false => high = middle,
            }
        }
        Ok(low)
    }
}

/// The section at an offset of the file; `None` when it is not whole before `end`.
pub(super) fn section_at(source: &dyn ReadAt, at: u64, end: u64) -> Result<Option<Section>> {
    let mut prefix = [0; SECTION_PREFIX_MAX];
    let len = end.saturating_sub(at).min(SECTION_PREFIX_MAX as u64) as usize;
    source
        .read_exact_at(&mut prefix[..len], at)
        .map_err(read_failed)?;
    let section = Section::parse(&prefix[..len])?;
    Ok(section.filter(|section| section.len() <= end - at))
}
