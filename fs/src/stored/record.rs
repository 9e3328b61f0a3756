//! An inode as it is stored: in its directory entry, in the hard-link table, among the orphans or,
//! for the root directory, in the commit.
//!
//! ```text
//! Record --encode--> value bytes + links --> B+tree entry
//!   attributes, extended attributes, content:
//!      inline bytes | one leaf | file index | directory tree | symlink target | none
//! ```
//!
//! `docs/format.md` section 12 is this file as a table.

use crate::stored::codec::{Decoder, Encoder};
use crate::{Attr, InodeNo, Kind, Time};
use cairn_merkle::index::IndexRoot;
use cairn_merkle::{Error, Link};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Extended attributes of one inode by name; shared between the live inode and the epoch being
/// written.
pub(crate) type Xattrs = Arc<BTreeMap<Vec<u8>, Vec<u8>>>;

/// Attributes that are stored; `stat` derives the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) ino: InodeNo,
    pub(crate) kind: Kind,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) rdev: u32,
    pub(crate) nlink: u32,
    /// Bytes of a file or symlink; names of a directory.
    pub(crate) size: u64,
    /// Plain bytes in the blocks of the last commit.
    pub(crate) stored: u64,
    pub(crate) atime: Time,
    pub(crate) mtime: Time,
    pub(crate) ctime: Time,
    pub(crate) btime: Time,
}

/// Where the bytes or names of an inode are, as of the last commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stored {
    /// Nothing: an empty file or directory, or a special file.
    None,
    /// A small file's bytes, or a symlink's target.
    Inline(Arc<[u8]>),
    /// A file of one record.
    Leaf(Link),
    /// A larger file.
    Index(IndexRoot),
    /// A directory's B+tree.
    Tree(Link),
}

/// A whole inode.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) meta: Meta,
    pub(crate) xattrs: Xattrs,
    pub(crate) stored: Stored,
}

fn kind_code(kind: Kind) -> u8 {
    match kind {
        Kind::File => 1,
        Kind::Directory => 2,
        Kind::Symlink => 3,
        Kind::Fifo => 4,
        Kind::Socket => 5,
        Kind::CharDevice => 6,
        Kind::BlockDevice => 7,
    }
}

fn kind_of(code: u8) -> Option<Kind> {
    Some(match code {
        1 => Kind::File,
        2 => Kind::Directory,
        3 => Kind::Symlink,
        4 => Kind::Fifo,
        5 => Kind::Socket,
        6 => Kind::CharDevice,
        7 => Kind::BlockDevice,
        _ => return None,
    })
}

impl Meta {
    /// As the kernel and proofs tell it, with what counts as its size and the bytes it takes.
    pub(crate) fn attr(&self, size: u64, bytes: u64) -> Attr {
        Attr {
            ino: self.ino,
            kind: self.kind,
            mode: self.mode,
            uid: self.uid,
            gid: self.gid,
            rdev: self.rdev,
            nlink: self.nlink,
            size,
            blocks: bytes.div_ceil(512),
            atime: self.atime,
            mtime: self.mtime,
            ctime: self.ctime,
            btime: self.btime,
            settled: true,
        }
    }

    pub(crate) fn encode(&self, out: &mut Encoder) {
        out.u64(self.ino.0)
            .u8(kind_code(self.kind))
            .u32(self.mode)
            .u32(self.uid)
            .u32(self.gid);
        out.u32(self.rdev).u32(self.nlink).u64(self.size).u64(self.stored);
        out.time(self.atime)
            .time(self.mtime)
            .time(self.ctime)
            .time(self.btime);
    }

    pub(crate) fn decode(from: &mut Decoder<'_>) -> Result<Self, Error> {
        Ok(Self {
            ino: InodeNo(from.u64()?),
            kind: decode_kind(from)?,
            mode: from.u32()?,
            uid: from.u32()?,
            gid: from.u32()?,
            rdev: from.u32()?,
            nlink: from.u32()?,
            size: from.u64()?,
            stored: from.u64()?,
            atime: from.time()?,
            mtime: from.time()?,
            ctime: from.time()?,
            btime: from.time()?,
        })
    }
}

pub(crate) fn decode_kind(from: &mut Decoder<'_>) -> Result<Kind, Error> {
    let code = from.u8()?;
    kind_of(code).ok_or(from.error("its kind is unknown"))
}

pub(crate) fn encode_xattrs(out: &mut Encoder, xattrs: &Xattrs) {
    out.u32(u32::try_from(xattrs.len()).expect("bounded by their size"));
    for (name, value) in xattrs.iter() {
        out.bytes(name).bytes(value);
    }
}

pub(crate) fn decode_xattrs(from: &mut Decoder<'_>) -> Result<Xattrs, Error> {
    let count = from.u32()?;
    let mut xattrs = BTreeMap::new();
    for _ in 0..count {
        let (name, value) = (from.bytes()?, from.bytes()?);
        if xattrs
            .last_key_value()
            .is_some_and(|(last, _): (&Vec<u8>, _)| name <= &last[..])
        {
            return Err(from.error("its extended attributes are out of order"));
        }
        xattrs.insert(name.to_vec(), value.to_vec());
    }
    Ok(Arc::new(xattrs))
}

impl Record {
    /// Value bytes and links of the B+tree entry that holds this inode.
    pub(crate) fn encode(&self) -> (Vec<u8>, Vec<Link>) {
        let mut out = Encoder::default();
        self.meta.encode(&mut out);
        encode_xattrs(&mut out, &self.xattrs);
        let mut links = Vec::new();
        match &self.stored {
            Stored::None => drop(out.u8(0)),
            Stored::Inline(bytes) => drop(out.u8(1).bytes(bytes)),
            Stored::Leaf(link) => {
                out.u8(2);
                links.push(link.clone());
            }
            Stored::Index(root) => {
                out.u8(3).u8(root.height);
                links.push(root.link.clone());
            }
            Stored::Tree(link) => {
                out.u8(4);
                links.push(link.clone());
            }
        }
        (out.0, links)
    }

    pub(crate) fn decode(value: &[u8], links: &[Link]) -> Result<Self, Error> {
        let mut from = Decoder::new("inode", value);
        let meta = Meta::decode(&mut from)?;
        let xattrs = decode_xattrs(&mut from)?;
        let link = |from: &Decoder<'_>| links.first().cloned().ok_or(from.error("its link is missing"));
        let stored = match from.u8()? {
            0 => Stored::None,
            1 => Stored::Inline(from.bytes()?.into()),
            2 => Stored::Leaf(link(&from)?),
            3 => Stored::Index(IndexRoot {
                height: from.u8()?,
                link: link(&from)?,
            }),
            4 => Stored::Tree(link(&from)?),
            _ => return Err(from.error("its content is of an unknown kind")),
        };
        if links.len() != usize::from(!matches!(stored, Stored::None | Stored::Inline(_))) {
            return Err(from.error("it has links that nothing names"));
        }
        from.finish()?;
        Ok(Self { meta, xattrs, stored })
    }
}

/// A directory entry's value.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "most are of the large kind, and none is kept"
)]
pub(crate) enum Dentry {
    /// The inode itself: it has this one name.
    Embedded(Record),
    /// An inode with several names: see the hard-link table.
    Linked { ino: InodeNo, kind: Kind },
}

impl Dentry {
    pub(crate) fn encode(&self) -> (Vec<u8>, Vec<Link>) {
        match self {
            Self::Embedded(record) => {
                let (mut value, links) = record.encode();
                value.push(0);
                (value, links)
            }
            Self::Linked { ino, kind } => {
                let mut out = Encoder::default();
                out.u64(ino.0).u8(kind_code(*kind)).u8(1);
                (out.0, Vec::new())
            }
        }
    }

    pub(crate) fn decode(value: &[u8], links: &[Link]) -> Result<Self, Error> {
        let malformed = |why| Error::Malformed {
            what: "directory entry",
            why,
        };
        match value.split_last() {
            Some((0, record)) => Ok(Self::Embedded(Record::decode(record, links)?)),
            Some((1, _)) if !links.is_empty() => Err(malformed("it has links that nothing names")),
            Some((1, value)) => {
                let mut from = Decoder::new("directory entry", value);
                let linked = Self::Linked {
                    ino: InodeNo(from.u64()?),
                    kind: decode_kind(&mut from)?,
                };
                from.finish()?;
                Ok(linked)
            }
            _ => Err(malformed("it is of an unknown kind")),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn meta() -> Meta {
        Meta {
            ino: InodeNo(77),
            kind: Kind::File,
            mode: 0o4755,
            uid: 1,
            gid: 2,
            rdev: 3,
            nlink: 1,
            size: 5,
            stored: 5,
            atime: Time(-1),
            mtime: Time(2),
            ctime: Time(3),
            btime: Time(4),
        }
    }

    #[test]
    fn an_inode_with_everything_comes_back_whole() {
        let xattrs = BTreeMap::from([
            (b"user.a".to_vec(), b"1".to_vec()),
            (b"user.b".to_vec(), Vec::new()),
        ]);
        let record = Record {
            meta: meta(),
            xattrs: Arc::new(xattrs),
            stored: Stored::Inline(Arc::from(&b"hello"[..])),
        };
        let (value, links) = Dentry::Embedded(record.clone()).encode();
        assert_eq!(Dentry::decode(&value, &links).unwrap(), Dentry::Embedded(record));
    }

    #[test]
    fn every_truncation_is_refused() {
        let record = Record {
            meta: meta(),
            xattrs: Xattrs::default(),
            stored: Stored::None,
        };
        let (value, _) = record.encode();
        for len in 0..value.len() {
            assert!(Record::decode(&value[..len], &[]).is_err(), "{len} bytes");
        }
    }
}
