//! Writes a version of a volume into a CAR, block by block in the order of a walk.

use super::frame::{encode_header, section_prefix};
use super::index::{self, Entry};
use super::volume::CarVolume;
use crate::walk::{Seen, Walk, WalkError};
use crate::{BlockStore, Cid, Codec};
use std::io::{self, Seek, SeekFrom, Write};

/// What a CARv2 begins with: a CARv1 header of version 2, so that readers of CARv1 refuse it.
pub(super) const PRAGMA: [u8; 11] = [0x0a, 0xa1, 0x67, b'v', b'e', b'r', b's', b'i', b'o', b'n', 0x02];
/// Characteristics (16), payload's offset (8), its size (8), index's offset (8).
pub(super) const V2_HEADER_LEN: usize = 40;
/// The first characteristic: the index has every section.
const FULLY_INDEXED: u8 = 0x80;

/// What was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exported {
    /// Blocks, the volume block included.
    pub blocks: u64,
    /// Bytes of the whole file.
    pub bytes: u64,
}

/// How far an export is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExportProgress {
    /// Blocks written.
    pub blocks: u64,
    /// Bytes written.
    pub bytes: u64,
}

/// Why an export did not come about.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The volume is not whole, or its store failed.
    #[error(transparent)]
    Walk(#[from] WalkError),
    /// The file, or whatever the stream leads to, failed.
    #[error("cannot write the CAR: {0}")]
    Write(#[from] io::Error),
}

/// Writes the sections of a CARv1 payload.
pub struct CarWriter<W> {
    out: W,
    at: u64,
    blocks: u64,
    /// What an index needs, if there is to be one.
    index: Option<Vec<Entry>>,
}

impl<W: Write> CarWriter<W> {
    /// Begins a payload: header, and the volume block, which is its root.
    pub fn new(out: W, volume: &CarVolume) -> io::Result<Self> {
        Self::begin(out, volume, None)
    }

    fn begin(mut out: W, volume: &CarVolume, index: Option<Vec<Entry>>) -> io::Result<Self> {
        let stored = volume.encode();
        let cid = Cid::of(Codec::Node, &stored);
        let header = encode_header(cid);
        out.write_all(&header)?;
        let mut writer = Self {
            out,
            at: header.len() as u64,
            blocks: 0,
            index,
        };
        writer.put(&cid, &stored)?;
        Ok(writer)
    }

    /// Adds a block.
    pub fn put(&mut self, cid: &Cid, stored: &[u8]) -> io::Result<()> {
        let prefix = section_prefix(cid, stored);
        self.out.write_all(&prefix)?;
        self.out.write_all(stored)?;
        if let Some(index) = &mut self.index {
            index.push(index::entry(cid, self.at));
        }
        self.at += (prefix.len() + stored.len()) as u64;
        self.blocks += 1;
        Ok(())
    }

    /// Adds everything below the volume's root but what `skip` has.
    fn fill(
        &mut self,
        store: &dyn BlockStore,
        root: Cid,
        skip: Option<&Seen>,
        progress: &dyn Fn(ExportProgress),
    ) -> Result<(), ExportError> {
        let mut walk = Walk::new(store, root, skip);
        while let Some(visit) = walk.next()? {
            self.put(&visit.cid, &visit.stored)?;
            progress(ExportProgress {
                blocks: self.blocks,
                bytes: self.at,
            });
        }
        Ok(())
    }
}

/// Writes a CARv1, as a stream: nothing is written twice. What `skip` has, and all below it, is
/// left out; `volume.since` says which version that is.
///
/// # Errors
/// A block that is missing or altered is named; what was written so far is then no whole CAR.
pub fn export_v1(
    store: &dyn BlockStore,
    volume: &CarVolume,
    skip: Option<&Seen>,
    out: impl Write,
    progress: &dyn Fn(ExportProgress),
) -> Result<Exported, ExportError> {
    let mut writer = CarWriter::new(out, volume)?;
    writer.fill(store, volume.root, skip, progress)?;
    writer.out.flush()?;
    Ok(Exported {
        blocks: writer.blocks,
        bytes: writer.at,
    })
}

/// Writes a CARv2 with an index over every block, which is gathered in memory: 40 bytes a block. As
/// [`export_v1`] otherwise. Its header is written last, so that a file that was not finished is
/// none.
///
/// # Errors
/// As [`export_v1`].
pub fn export_v2<W: Write + Seek>(
    store: &dyn BlockStore,
    volume: &CarVolume,
    skip: Option<&Seen>,
    mut out: W,
    progress: &dyn Fn(ExportProgress),
) -> Result<Exported, ExportError> {
    out.write_all(&PRAGMA)?;
    out.write_all(&[0; V2_HEADER_LEN])?;
    let payload = (PRAGMA.len() + V2_HEADER_LEN) as u64;
    let mut writer = CarWriter::begin(out, volume, Some(Vec::new()))?;
    writer.fill(store, volume.root, skip, progress)?;
    let CarWriter {
        mut out,
        at,
        blocks,
        index,
    } = writer;
    let mut entries = index.unwrap_or_default();
    entries.sort_unstable();
    let prefix = index::encode_prefix(entries.len());
    out.write_all(&prefix)?;
    for entry in &entries {
        out.write_all(entry)?;
    }
    let mut header = [0; V2_HEADER_LEN];
    header[0] = FULLY_INDEXED;
    for (field, value) in [payload, at, payload + at].into_iter().enumerate() {
        header[16 + 8 * field..][..8].copy_from_slice(&value.to_le_bytes());
    }
    out.seek(SeekFrom::Start(PRAGMA.len() as u64))?;
    out.write_all(&header)?;
    out.flush()?;
    let index_bytes = (prefix.len() + entries.len() * index::ENTRY_LEN) as u64;
    Ok(Exported {
        blocks,
        bytes: payload + at + index_bytes,
    })
}
