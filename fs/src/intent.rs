//! The intent log: what fsync makes durable before the next commit does.
//!
//! ```text
//!  operations --push--> buffer, one part per epoch --fsync: seal, number, chain--> store.log_append
//!                                                                 (one append for all who wait)
//! ```
//!
//! Operations are facts ("this name now leads to this new inode"), not calls, and are replayed in order. File
//! content is not logged when written but when its file is fsynced, as of then. A record holds the operations of one
//! epoch; its plaintext begins with the place of the record before it, so that a missing one is noticed even
//! where the chain of tags starts anew with an epoch.

use crate::codec::{Decoder, Encoder};
use crate::record::{Meta, Record, Xattrs};
use crate::sync::Waiter;
use crate::{Error, InodeNo, Name, RenameMode, Result, Time};
use bytes::Bytes;
use cairn_merkle::{Cid, Epoch, Link, LogKey, LogPos, SECRET_LEN};
use std::collections::VecDeque;
use std::time::Instant;

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
            out.u8(1).raw(&link.cid.to_bytes());
            link.encode_secret(&mut out.0);
        }
    }
}

fn decode_link(from: &mut Decoder<'_>) -> cairn_merkle::Result<Option<Link>> {
    if !from.flag()? {
        return Ok(None);
    }
    let cid = Cid::from_bytes(from.raw(Cid::LEN)?).ok_or(from.error("a link's name is none of ours"))?;
    Ok(Some(Link::decode_secret(cid, &from.array::<SECRET_LEN>()?)))
}

impl Op<'_> {
    pub(crate) fn encode(&self, out: &mut Encoder) {
        match self {
            Self::Locate { ino, parent, name } => {
                out.u8(1).u64(ino.0).u64(parent.0).bytes(name.as_bytes());
            }
            Self::LocateLinked { ino } => drop(out.u8(2).u64(ino.0)),
            Self::Create { parent, name, record } => {
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
                crate::record::encode_xattrs(out, xattrs);
            }
            Self::Content { meta, low, parts } => encode_content(out, meta, *low, parts),
        }
    }
}

fn encode_content(out: &mut Encoder, meta: &Meta, low: Option<u64>, parts: &[Part<'_>]) {
    out.u8(8);
    meta.encode(out);
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

fn time(from: &mut Decoder<'_>) -> Result<Time> {
    Ok(from.time()?)
}

impl Replayed {
    fn decode(from: &mut Decoder<'_>) -> Result<Self> {
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
                xattrs: crate::record::decode_xattrs(from)?,
            },
            8 => decode_content(from)?,
            _ => return Err(from.error("an operation is unknown").into()),
        })
    }
}

fn decode_content(from: &mut Decoder<'_>) -> Result<Replayed> {
    let meta = Meta::decode(from)?;
    let low = Some(from.u64()?).filter(|low| *low != u64::MAX);
    let count = from.u32()?;
    let mut parts = Vec::new();
    for _ in 0..count {
        parts.push(match from.u8()? {
            0 => ReplayedPart::Base {
                recno: from.u64()?,
                keep: from.u32()?,
                link: decode_link(from)?,
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

/// A record: the place of its predecessor, then its operations, which are encoded already.
pub(crate) fn encode_record(before: Option<LogPos>, operations: &[u8]) -> Vec<u8> {
    let mut plain = Encoder::default();
    match before {
        None => drop(plain.u8(0)),
        Some(pos) => drop(plain.u8(1).u64(pos.epoch.0).u64(pos.seq)),
    }
    plain.raw(operations);
    plain.0
}

/// A record's place of its predecessor, and its operations.
pub(crate) fn decode_record(plain: &[u8]) -> Result<(Option<LogPos>, Vec<Replayed>)> {
    let mut from = Decoder::new("log record", plain);
    let before = match from.flag()? {
        false => None,
        true => Some(LogPos {
            epoch: Epoch(from.u64()?),
            seq: from.u64()?,
        }),
    };
    let mut ops = Vec::new();
    while !from.is_empty() {
        ops.push(Replayed::decode(&mut from)?);
    }
    Ok((before, ops))
}

/// Operations that wait for an fsync or for the commit that makes them superfluous.
#[derive(Default)]
pub(crate) struct LogBuffer {
    /// Unwritten operations by epoch: at most the frozen one and the open one.
    parts: VecDeque<(Epoch, Encoder)>,
    /// Memory that these take.
    buffered: usize,
    /// Sealed records that the store had no room for. Their places are taken: they are written as they are, or never.
    pub(crate) unwritten: Vec<(LogPos, Bytes)>,
    /// Among [`Self::parts`] is what must not be written before its blocks or its data are durable too.
    pub(crate) holds_back: bool,
    /// Position in the stream of operations: everything pushed, and everything durable, in bytes.
    pub(crate) pushed: u64,
    pub(crate) durable: u64,
    /// When the oldest operation was pushed, or before, that is not durable.
    pub(crate) volatile_since: Option<Instant>,
    /// Where the stream stood when the epoch under commit was closed: the commit makes what is before it durable.
    frozen_end: u64,
    /// Place and tag of the last record written.
    last: Option<(LogPos, [u8; 16])>,
    /// Bytes of records written that no commit has made superfluous, and of those how many there were when the epoch
    /// under commit was closed.
    pub(crate) written: u64,
    frozen_written: u64,
    /// A leader is appending.
    pub(crate) leader: bool,
    /// There is a thread that appends for those in [`Self::waiting`].
    pub(crate) has_logger: bool,
    /// Who asked to be told when the log is durable up to a position.
    pub(crate) waiting: Vec<Waiter>,
    /// Puts for the open epoch that have not ended, and whether a freeze waits for them.
    pub(crate) putting: u32,
    pub(crate) freezing: bool,
}

const RECORD_BYTES_MAX: usize = 1 << 20;
impl LogBuffer {
    /// Bytes of memory that operations and records take which are not in the store's log.
    pub(crate) fn bytes(&self) -> u64 {
        let unwritten = self.unwritten.iter().map(|(_, stored)| stored.len());
        let sealed = unwritten.sum::<usize>();
        (self.buffered + sealed) as u64
    }

    pub(crate) fn push(&mut self, epoch: Epoch, op: &Op<'_>) {
        self.holds_back |= matches!(op, Op::Content { .. } | Op::Rename { .. });
        if self
            .parts
            .back()
            .is_none_or(|(last, out)| *last != epoch || out.0.len() > RECORD_BYTES_MAX)
        {
            // A part that is complete grows no more.
            if let Some((_, out)) = self.parts.back_mut() {
                self.buffered -= out.0.capacity();
                out.0.shrink_to_fit();
                self.buffered += out.0.capacity();
            }
            self.parts.push_back((epoch, Encoder::default()));
        }
        if let Some((_, out)) = self.parts.back_mut() {
            let (before, capacity) = (out.0.len(), out.0.capacity());
            op.encode(out);
            self.buffered += out.0.capacity() - capacity;
            self.pushed += (out.0.len() - before) as u64;
        }
        self.volatile_since.get_or_insert_with(Instant::now);
    }

    /// Everything up to `upto` is durable; what was pushed behind it was pushed after `since`.
    pub(crate) fn is_durable_to(&mut self, upto: u64, since: Instant) {
        self.durable = self.durable.max(upto);
        self.volatile_since = (self.durable < self.pushed).then_some(since);
    }

    /// Takes all that waits as sealed records.
    pub(crate) fn seal(&mut self, key: &LogKey) -> Vec<(LogPos, Bytes)> {
        let mut records = std::mem::take(&mut self.unwritten);
        self.holds_back = false;
        self.buffered = 0;
        for (epoch, ops) in self.parts.drain(..) {
            let (seq, prev) = match self.last {
                Some((pos, tag)) if pos.epoch == epoch => (pos.seq + 1, tag),
                Some((_, tag)) => (0, tag),
                None => (0, [0; 16]),
            };
            let plain = encode_record(self.last.map(|(pos, _)| pos), &ops.0);
            let pos = LogPos { epoch, seq };
            let (stored, tag) = key.seal(pos, prev, &plain);
            self.last = Some((pos, tag));
            self.written += stored.len() as u64;
            records.push((pos, stored));
        }
        records
    }

    /// An epoch is closed: a commit begins, which makes all of it superfluous.
    pub(crate) fn freeze(&mut self) {
        self.frozen_end = self.pushed;
        self.frozen_written = self.written;
    }

    /// A commit made the operations up to `epoch` superfluous.
    pub(crate) fn committed(&mut self, epoch: Epoch) {
        self.written -= std::mem::take(&mut self.frozen_written);
        self.unwritten.retain(|(pos, _)| pos.epoch > epoch);
        while self.parts.front().is_some_and(|(first, _)| *first <= epoch) {
            let first = self.parts.pop_front();
            self.buffered -= first.map_or(0, |(_, out)| out.0.capacity());
        }
        self.durable = self.durable.max(self.frozen_end);
        if self.durable >= self.pushed {
            self.volatile_since = None;
        }
    }
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
mod tests {
    use super::*;
    use cairn_merkle::VolumeKey;

    #[test]
    fn what_is_written_during_a_commit_counts_towards_the_next() {
        let key = LogKey::new(&VolumeKey::from_bytes([1; 32]), [2; 32]);
        let mut log = LogBuffer::default();
        let write = |log: &mut LogBuffer, epoch, ops| {
            (0..ops).for_each(|_| log.push(Epoch(epoch), &Op::LocateLinked { ino: InodeNo(7) }));
            let records = log.seal(&key);
            records.iter().map(|(_, stored)| stored.len() as u64).sum::<u64>()
        };
        let before = write(&mut log, 1, 1000);
        log.freeze();
        let meanwhile = write(&mut log, 2, 10);
        assert_eq!(log.written, before + meanwhile);
        log.committed(Epoch(1));
        assert_eq!(log.written, meanwhile);
    }
}
