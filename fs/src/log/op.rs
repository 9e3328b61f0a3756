//! The intent log: what fsync makes durable before the next commit does.
//!
//! ```text
//!  operations --push--> buffer, one part per epoch --fsync: seal, number, chain--> store.log_append
//!                                                                 (one append for all waiters)
//! ```
//!
//! Operations are facts ("this name now leads to this new inode"), not calls, and are replayed in
//! order. File content is not logged when written but when its file is fsynced, as of then.
//!
//! A record holds the operations of one epoch. Its plaintext begins with the place of the record
//! before it, so a missing one is noticed. It repeats how far the log was durable ([`Reach`]). So
//! a record that was lost is told from one that never was there.

use crate::log::reach::Reach;
use crate::stored::codec::{Decoder, Encoder};
use crate::stored::record::{Meta, Record, Xattrs};
use crate::{Error, InodeNo, Name, RenameMode, Result, Time};
use cairn_merkle::{Cid, Epoch, Link, LogPos, SECRET_LEN, Suite};

/// One part of [`Op::Content`].
#[derive(Debug)]
pub(crate) enum Part<'a> {
    /// The record starts from this leaf, or from zeros, of which `keep` bytes count.
    Base {
        recno: u64,
        keep: u32,
        link: Option<Link>,
    },
    /// Bytes within a record.
    Bytes {
        recno: u64,
        offset: u32,
        bytes: &'a [u8],
    },
}

/// A logged operation.
#[derive(Debug)]
pub(crate) enum Op<'a> {
    /// Where an inode that a later operation names is found.
    Locate {
        ino: InodeNo,
        parent: InodeNo,
        name: &'a Name,
    },
    /// The same for one in the hard-link table.
    LocateLinked { ino: InodeNo },
    /// A new inode under a new name.
    Create {
        parent: InodeNo,
        name: &'a Name,
        record: &'a Record,
    },
    Link {
        ino: InodeNo,
        parent: InodeNo,
        name: &'a Name,
        now: Time,
    },
    /// Also a directory's end.
    Unlink {
        parent: InodeNo,
        name: &'a Name,
        now: Time,
    },
    Rename {
        from: (InodeNo, &'a Name),
        to: (InodeNo, &'a Name),
        mode: RenameMode,
        now: Time,
    },
    /// All attributes but size and what lies stored.
    Attr { meta: &'a Meta, xattrs: &'a Xattrs },
    /// A file's bytes as of its fsync: cut to `low` first, then the parts, then `meta.size`.
    Content {
        meta: &'a Meta,
        low: Option<u64>,
        parts: Vec<Part<'a>>,
    },
}

fn encode_link(out: &mut Encoder, link: Option<&Link>) {
    match link {
        None => drop(out.u8(0)),
        Some(link) => {
            // With its secret: no tree names the leaf yet, and only this opens it again.
            out.u8(1).raw(&link.cid.to_bytes());
            link.encode_secret(&mut out.0);
        }
    }
}

fn decode_link(suite: Suite, from: &mut Decoder<'_>) -> cairn_merkle::Result<Option<Link>> {
    if !from.flag()? {
        return Ok(None);
    }
    let cid = Cid::from_bytes(from.raw(Cid::LEN)?).ok_or(from.error("a link's name is none of ours"))?;
    let link = Link::decode_secret(suite, cid, &from.array::<SECRET_LEN>()?);
    link.map(Some)
        .ok_or(from.error("a leaf has a form that this build does not know"))
}

impl Op<'_> {
    /// When it was done, if it says so.
    pub(crate) fn time(&self) -> Option<Time> {
        match self {
            Self::Locate { .. } | Self::LocateLinked { .. } => None,
            Self::Create { record, .. } => Some(record.meta.ctime),
            Self::Link { now, .. } | Self::Unlink { now, .. } | Self::Rename { now, .. } => Some(*now),
            Self::Attr { meta, .. } | Self::Content { meta, .. } => Some(meta.ctime),
        }
    }

    pub(crate) fn encode(&self, out: &mut Encoder) {
        match self {
            Self::Locate { ino, parent, name } => {
                out.u8(1).u64(ino.0).u64(parent.0).bytes(name.as_bytes());
            }
            Self::LocateLinked { ino } => drop(out.u8(2).u64(ino.0)),
            Self::Create { parent, name, record } => {
                // Without links: a new inode has no blocks yet.
                let (value, _) = record.encode();
                out.u8(3).u64(parent.0).bytes(name.as_bytes()).bytes(&value);
            }
            Self::Link {
                ino,
                parent,
                name,
                now,
            } => {
                out.u8(4)
                    .u64(ino.0)
                    .u64(parent.0)
                    .bytes(name.as_bytes())
                    .time(*now);
            }
            Self::Unlink { parent, name, now } => {
                out.u8(5).u64(parent.0).bytes(name.as_bytes()).time(*now);
            }
            Self::Rename { from, to, mode, now } => {
                out.u8(6)
                    .u64(from.0.0)
                    .bytes(from.1.as_bytes())
                    .u64(to.0.0)
                    .bytes(to.1.as_bytes());
                out.u8(*mode as u8).time(*now);
            }
            Self::Attr { meta, xattrs } => {
                out.u8(7);
                meta.encode(out);
                crate::stored::record::encode_xattrs(out, xattrs);
            }
            Self::Content { meta, low, parts } => encode_content(out, meta, *low, parts),
        }
    }
}

fn encode_content(out: &mut Encoder, meta: &Meta, low: Option<u64>, parts: &[Part<'_>]) {
    out.u8(8);
    meta.encode(out);
    // The largest number says that the file was not cut.
    out.u64(low.unwrap_or(u64::MAX))
        .u32(u32::try_from(parts.len()).expect("bounded by the file's dirty data"));
    for part in parts {
        match part {
            Part::Base { recno, keep, link } => {
                out.u8(0).u64(*recno).u32(*keep);
                encode_link(out, link.as_ref());
            }
            Part::Bytes { recno, offset, bytes } => drop(out.u8(1).u64(*recno).u32(*offset).bytes(bytes)),
        }
    }
}

/// What a logged operation reads back as.
#[derive(Debug)]
pub(crate) enum Replayed {
    Locate {
        ino: InodeNo,
        parent: InodeNo,
        name: Name,
    },
    LocateLinked {
        ino: InodeNo,
    },
    Create {
        parent: InodeNo,
        name: Name,
        record: Record,
    },
    Link {
        ino: InodeNo,
        parent: InodeNo,
        name: Name,
        now: Time,
    },
    Unlink {
        parent: InodeNo,
        name: Name,
        now: Time,
    },
    Rename {
        from: (InodeNo, Name),
        to: (InodeNo, Name),
        mode: RenameMode,
        now: Time,
    },
    Attr {
        meta: Meta,
        xattrs: Xattrs,
    },
    Content {
        meta: Meta,
        low: Option<u64>,
        parts: Vec<ReplayedPart>,
    },
}

/// [`Part`], owned.
#[derive(Debug)]
pub(crate) enum ReplayedPart {
    Base {
        recno: u64,
        keep: u32,
        link: Option<Link>,
    },
    Bytes {
        recno: u64,
        offset: u32,
        bytes: Vec<u8>,
    },
}

impl ReplayedPart {
    /// The block it names.
    pub(crate) fn block(&self) -> Option<Cid> {
        match self {
            Self::Base { link: Some(link), .. } => Some(link.cid),
            _ => None,
        }
    }
}

fn ino(from: &mut Decoder<'_>) -> Result<InodeNo> {
    Ok(InodeNo(from.u64()?))
}

fn name(from: &mut Decoder<'_>) -> Result<Name> {
    Name::new(from.bytes()?)
}

pub(crate) fn time(from: &mut Decoder<'_>) -> Result<Time> {
    Ok(from.time()?)
}

impl Replayed {
    fn decode(suite: Suite, from: &mut Decoder<'_>) -> Result<Self> {
        Ok(match from.u8()? {
            1 => Self::Locate {
                ino: ino(from)?,
                parent: ino(from)?,
                name: name(from)?,
            },
            2 => Self::LocateLinked { ino: ino(from)? },
            3 => Self::Create {
                parent: ino(from)?,
                name: name(from)?,
                record: Record::decode(from.bytes()?, &[])?,
            },
            4 => Self::Link {
                ino: ino(from)?,
                parent: ino(from)?,
                name: name(from)?,
                now: time(from)?,
            },
            5 => Self::Unlink {
                parent: ino(from)?,
                name: name(from)?,
                now: time(from)?,
            },
            6 => Self::Rename {
                from: (ino(from)?, name(from)?),
                to: (ino(from)?, name(from)?),
                mode: match from.u8()? {
                    0 => RenameMode::Replace,
                    1 => RenameMode::NoReplace,
                    2 => RenameMode::Exchange,
                    _ => return Err(from.error("a rename's mode is unknown").into()),
                },
                now: time(from)?,
            },
            7 => Self::Attr {
                meta: Meta::decode(from)?,
                xattrs: crate::stored::record::decode_xattrs(from)?,
            },
            8 => decode_content(suite, from)?,
            // Not passed over: those behind it were made for the tree that it leaves.
            _ => return Err(from.error("an operation is unknown").into()),
        })
    }
}

fn decode_content(suite: Suite, from: &mut Decoder<'_>) -> Result<Replayed> {
    let meta = Meta::decode(from)?;
    let low = Some(from.u64()?).filter(|low| *low != u64::MAX);
    let count = from.u32()?;
    // Grows as parts are read: the count alone allocates nothing.
    let mut parts = Vec::new();
    for _ in 0..count {
        parts.push(match from.u8()? {
            0 => ReplayedPart::Base {
                recno: from.u64()?,
                keep: from.u32()?,
                link: decode_link(suite, from)?,
            },
            1 => ReplayedPart::Bytes {
                recno: from.u64()?,
                offset: from.u32()?,
                bytes: from.bytes()?.to_vec(),
            },
            _ => return Err(from.error("a part of a file is unknown").into()),
        });
    }
    Ok(Replayed::Content { meta, low, parts })
}

/// What a record says.
pub(crate) struct LogRecord {
    /// Place of its predecessor.
    pub(crate) before: Option<LogPos>,
    /// Time of the newest operation in it and before.
    pub(crate) newest: Time,
    /// What was known to be durable when it was sealed.
    pub(crate) durable: Reach,
    pub(crate) ops: Vec<Replayed>,
}

/// A record, whose operations are encoded already.
pub(crate) fn encode_record(
    before: Option<LogPos>,
    newest: Time,
    durable: &Reach,
    operations: &[u8],
) -> Vec<u8> {
    let mut plain = Encoder::default();
    match before {
        None => drop(plain.u8(0)),
        Some(pos) => drop(plain.u8(1).u64(pos.epoch.0).u64(pos.seq)),
    }
    plain.time(newest);
    durable.encode(&mut plain);
    plain.raw(operations);
    plain.0
}

/// Reads a record of a volume of this cipher.
pub(crate) fn decode_record(suite: Suite, plain: &[u8]) -> Result<LogRecord> {
    let mut from = Decoder::new("log record", plain);
    let before = match from.flag()? {
        false => None,
        true => Some(LogPos {
            epoch: Epoch(from.u64()?),
            seq: from.u64()?,
        }),
    };
    let newest = time(&mut from)?;
    let durable = Reach::decode(&mut from)?;
    let mut ops = Vec::new();
    while !from.is_empty() {
        ops.push(Replayed::decode(suite, &mut from)?);
    }
    Ok(LogRecord {
        before,
        newest,
        durable,
        ops,
    })
}

/// The error of a log that does not continue.
pub(crate) fn gap(pos: LogPos, why: &'static str) -> Error {
    Error::Merkle(cairn_merkle::Error::Log {
        epoch: pos.epoch,
        seq: pos.seq,
        why,
    })
}

#[cfg(test)]
mod tests;
