//! A CAR as a read-only store.

use super::frame::malformed;
use super::frame::{HEADER_BYTES_MAX, decode_header, take_varint};
use super::index::{Index, read_failed, section_at};
use super::source::ReadAt;
use super::volume::CarVolume;
use super::write::{PRAGMA, V2_HEADER_LEN};
use crate::overlay::Overlay;
use crate::{Cid, Codec, EmptyStore, Error, Result, StoreError, StoreStats};
use bytes::Bytes;

/// A CAR as a store that can only be read. Blocks are handed out as they lie there, unverified, as
/// by any store.
pub struct CarStore {
    source: Box<dyn ReadAt>,
    /// Where the payload begins and ends in the file.
    payload: u64,
    end: u64,
    len: u64,
    index: Index,
    volume: CarVolume,
}

impl CarStore {
    /// Opens a CAR of one volume. A CARv2 is searched by its index; a CARv1 is scanned once, which
    /// takes 40 bytes of memory a block.
    ///
    /// # Errors
    /// [`Error::Malformed`] names the rule a file breaks, a file that is cut short included.
    pub fn open(source: Box<dyn ReadAt>) -> Result<Self> {
        let len = source.len().map_err(read_failed)?;
        let (payload, end, index_at) = match begins_with(source.as_ref(), len, &PRAGMA)? {
            true => v2_header(source.as_ref(), len)?,
            false => (0, len, None),
        };
        let (volume_cid, first) = header(source.as_ref(), payload, end)?;
        let stored = match index_at {
            Some(at) => Index::stored(source.as_ref(), at, len)?,
            None => None,
        };
        let index = match stored {
            Some(index) => index,
            None => Index::scan(source.as_ref(), payload, first, end)?,
        };
        let mut store = Self {
            source,
            payload,
            end,
            len,
            index,
            volume: CarVolume {
                root: volume_cid,
                header: Bytes::new(),
                head: None,
                since: None,
            },
        };
        let block = store
            .get(&volume_cid)?
            .ok_or(Error::Missing { cid: volume_cid })?;
        if !volume_cid.names(&block) {
            return Err(Error::Corrupt { cid: volume_cid });
        }
        store.volume = CarVolume::decode(&block)?;
        Ok(store)
    }

    /// What the file says of its volume.
    pub fn volume(&self) -> &CarVolume {
        &self.volume
    }

    /// Blocks in the file, the volume block included.
    pub fn block_count(&self) -> u64 {
        self.index.count()
    }

    /// The block in the section at an offset of the payload, if that is the one asked for.
    fn block_at(&self, cid: &Cid, offset: u64) -> std::result::Result<Option<Bytes>, StoreError> {
        let at = self.payload.saturating_add(offset);
        if at >= self.end {
            return Ok(None);
        }
        // An index that leads to anything but this block does not have it.
        let section = match section_at(self.source.as_ref(), at, self.end) {
            Ok(section) => section,
            Err(Error::Store(error)) => return Err(error),
            Err(_) => None,
        };
        let Some(section) = section.filter(|section| section.cid == *cid) else {
            return Ok(None);
        };
        let mut block = vec![0; section.block_len];
        self.source
            .read_exact_at(&mut block, at + section.block_at)
            .map_err(read_failed)?;
        Ok(Some(block.into()))
    }

    /// The codec of the block that an entry leads to.
    fn codec_at(&self, digest: &[u8; 32], offset: u64) -> Option<Cid> {
        let at = self.payload.saturating_add(offset);
        let section = section_at(self.source.as_ref(), at, self.end).ok()??;
        (section.cid.to_bytes()[4..] == *digest).then_some(section.cid)
    }
}

impl Overlay for CarStore {
    type Below = EmptyStore;

    fn below(&self) -> &EmptyStore {
        &EmptyStore
    }

    fn get(&self, cid: &Cid) -> std::result::Result<Option<Bytes>, StoreError> {
        let bytes = cid.to_bytes();
        let digest = bytes.last_chunk().expect("36 bytes end in 32");
        let mut place = self.index.lower_bound(self.source.as_ref(), digest)?;
        // A leaf and a node may have the same bytes.
        while place < self.index.count() {
            let (found, offset) = self.index.get(self.source.as_ref(), place)?;
            if found != *digest {
                break;
            }
            if let Some(block) = self.block_at(cid, offset)? {
                return Ok(Some(block));
            }
            place += 1;
        }
        Ok(None)
    }

    fn head(&self) -> std::result::Result<Option<Bytes>, StoreError> {
        Ok(self.volume.head.clone())
    }

    fn header(&self) -> std::result::Result<Option<Bytes>, StoreError> {
        Ok(Some(self.volume.header.clone()))
    }

    fn list(&self, after: Option<Cid>, count_max: usize) -> std::result::Result<Vec<Cid>, StoreError> {
        let mut place = match after {
            Some(after) => {
                let bytes = after.to_bytes();
                self.index.lower_bound(
                    self.source.as_ref(),
                    bytes.last_chunk().expect("36 bytes end in 32"),
                )?
            }
            None => 0,
        };
        let mut names = Vec::new();
        let mut last = after;
        while place < self.index.count() && names.len() < count_max {
            let (digest, offset) = self.index.get(self.source.as_ref(), place)?;
            place += 1;
            // Strictly upwards, whatever the index says: so every listing comes to an end.
            if let Some(cid) = self
                .codec_at(&digest, offset)
                .filter(|cid| last.is_none_or(|last| *cid > last))
            {
                names.push(cid);
                last = Some(cid);
            }
        }
        Ok(names)
    }

    fn stats(&self) -> std::result::Result<StoreStats, StoreError> {
        Ok(StoreStats {
            used_bytes: self.len,
            ..StoreStats::default()
        })
    }
}

fn begins_with(source: &dyn ReadAt, len: u64, magic: &[u8]) -> Result<bool> {
    let mut bytes = vec![0; magic.len()];
    if len < magic.len() as u64 {
        return Ok(false);
    }
    source.read_exact_at(&mut bytes, 0).map_err(read_failed)?;
    Ok(bytes == magic)
}

/// Where the payload of a CARv2 begins and ends, and where its index begins.
fn v2_header(source: &dyn ReadAt, len: u64) -> Result<(u64, u64, Option<u64>)> {
    let cut = malformed("it is cut short: it ends before its payload does");
    let begin = PRAGMA.len() as u64 + V2_HEADER_LEN as u64;
    if len < begin {
        return Err(cut);
    }
    let mut header = [0; V2_HEADER_LEN];
    source
        .read_exact_at(&mut header, PRAGMA.len() as u64)
        .map_err(read_failed)?;
    let (fields, _) = header[16..].as_chunks::<8>();
    let [payload, size, index] = [0, 1, 2].map(|at| u64::from_le_bytes(fields[at]));
    let end = payload.checked_add(size).filter(|_| payload >= begin);
    let end = end.ok_or(malformed("its header makes no sense"))?;
    match index {
        _ if size == 0 => Err(malformed("it was never finished: its header is empty")),
        _ if end > len => Err(cut),
        0 => Ok((payload, end, None)),
        index if index < end => Err(malformed("its index lies within its payload")),
        index if index >= len => Err(cut),
        index => Ok((payload, end, Some(index))),
    }
}

/// The root that the payload's header names, and where its sections begin.
fn header(source: &dyn ReadAt, payload: u64, end: u64) -> Result<(Cid, u64)> {
    let cut = || malformed("it is cut short: its header is not whole");
    let mut prefix = [0; 10];
    let some = (end - payload).min(10) as usize;
    source
        .read_exact_at(&mut prefix[..some], payload)
        .map_err(read_failed)?;
    let (len, len_bytes) = take_varint(&prefix[..some])?.ok_or_else(cut)?;
    if len > HEADER_BYTES_MAX {
        return Err(malformed("it does not begin as a CAR"));
    }
    let at = payload + len_bytes as u64;
    if len > end - at {
        return Err(cut());
    }
    let mut header = vec![0; len as usize];
    source.read_exact_at(&mut header, at).map_err(read_failed)?;
    let root = decode_header(&header)?;
    match root.codec() {
        Codec::Node => Ok((root, at + len)),
        Codec::Leaf => Err(malformed("its root is a leaf")),
    }
}
