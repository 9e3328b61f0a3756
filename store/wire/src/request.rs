//! Requests: what the methods of `Blocks`, `Log` and `Heads` are as frames.
//!
//! ```text
//!   Request --encode--> Message ... Incoming --decode--> Request, or None for what none is
//! ```

use crate::frame::{Incoming, Message};
use crate::names::{Names, put_name, put_pos, put_records, read_name, read_pos, read_records, take};
use bytes::{Buf, BufMut, Bytes};
use cairn_block::group::groups_len;
use cairn_block::{Cid, Epoch, LogPos, MAX_STORED, PartHint, PutHint, Sealed, Twin};
use std::ops::Range;

/// The longest head.
pub const HEAD_MAX: usize = 4 << 10;
/// The longest header.
pub const HEADER_MAX: usize = 64 << 10;
/// The longest mark of the log.
pub const MARK_MAX: usize = 4 << 10;
/// The most blocks in one put.
pub const PUT_COUNT_MAX: usize = 64;
/// The most records of the log in one frame.
pub const RECORDS_MAX: usize = 512;

/// What a client asks. Each is the method of this name; see the traits of `cairn-block`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the three traits say what each method means")]
pub enum Request {
    Get(Cid),
    GetNow(Cid),
    GetPart {
        cid: Cid,
        range: Range<u32>,
        hint: PartHint,
    },
    GetMany(Names),
    Holds(Cid),
    Put {
        epoch: Epoch,
        hint: PutHint,
        blocks: Vec<Sealed>,
    },
    Delete(Names),
    Sync,
    Fresh {
        after: Option<(Epoch, Cid)>,
        count_max: u32,
    },
    List {
        after: Option<Cid>,
        count_max: u32,
    },
    Stats,
    Probe,
    Reclaim,
    Close,
    LogAppend(Vec<(LogPos, Bytes)>),
    LogWrite(Vec<(LogPos, Bytes)>),
    LogRead {
        from: LogPos,
        bytes_max: u32,
    },
    LogMark(Bytes),
    LogRest,
    Head,
    Header,
    Twin,
    HeadAfresh,
    /// One of `twins_ahead`, by its place in that list.
    TwinAhead(u8),
    Adopt {
        twin: Twin,
        settled: Epoch,
    },
    DropTwinsAhead,
    /// Names for the `PrepareDelete` or `SwapHead` that follows on the same lane. Not answered.
    Stage(Names),
    /// Of the names staged before.
    PrepareDelete,
    /// Deletes the names staged before.
    SwapHead {
        expected: Option<Bytes>,
        head: Bytes,
        header: Option<Bytes>,
        root_block: Bytes,
        settled: Epoch,
        restarts_log: bool,
    },
}

/// Kinds of request frames. 0 and 1 are [`crate::hello`].
mod kind {
    pub(super) const GET: u8 = 2;
    pub(super) const GET_NOW: u8 = 3;
    pub(super) const GET_PART: u8 = 4;
    pub(super) const GET_MANY: u8 = 5;
    pub(super) const HOLDS: u8 = 6;
    pub(super) const PUT: u8 = 7;
    pub(super) const DELETE: u8 = 8;
    pub(super) const SYNC: u8 = 9;
    pub(super) const FRESH: u8 = 10;
    pub(super) const LIST: u8 = 11;
    pub(super) const STATS: u8 = 12;
    pub(super) const RECLAIM: u8 = 13;
    pub(super) const CLOSE: u8 = 14;
    pub(super) const LOG_APPEND: u8 = 15;
    pub(super) const LOG_WRITE: u8 = 16;
    pub(super) const LOG_READ: u8 = 17;
    pub(super) const LOG_MARK: u8 = 18;
    pub(super) const LOG_REST: u8 = 19;
    pub(super) const HEAD: u8 = 20;
    pub(super) const HEADER: u8 = 21;
    pub(super) const TWIN: u8 = 22;
    pub(super) const HEAD_AFRESH: u8 = 23;
    pub(super) const TWIN_AHEAD: u8 = 24;
    pub(super) const ADOPT: u8 = 25;
    pub(super) const DROP_TWINS_AHEAD: u8 = 26;
    pub(super) const STAGE: u8 = 27;
    pub(super) const PREPARE_DELETE: u8 = 28;
    pub(super) const SWAP_HEAD: u8 = 29;
    pub(super) const PROBE: u8 = 30;
}

impl Request {
    /// Whether it changes the store: refused to a session that only reads.
    pub fn changes(&self) -> bool {
        matches!(
            self,
            Self::Put { .. }
                | Self::Delete(_)
                | Self::Reclaim
                | Self::Close
                | Self::LogAppend(_)
                | Self::LogWrite(_)
                | Self::LogMark(_)
                | Self::Adopt { .. }
                | Self::DropTwinsAhead
                | Self::PrepareDelete
                | Self::SwapHead { .. }
        )
    }

    /// As a frame.
    pub fn encode(&self) -> Message {
        let mut message = Message::of(self.kind());
        let (fields, payload) = (&mut message.fields, &mut message.payload);
        match self {
            Self::Get(cid) | Self::GetNow(cid) | Self::Holds(cid) => put_name(fields, cid),
            Self::GetPart { cid, range, hint } => {
                put_name(fields, cid);
                fields.put_u8(u8::from(*hint == PartHint::Again));
                fields.put_u32_le(range.start);
                fields.put_u32_le(range.end);
            }
            Self::GetMany(names) | Self::Delete(names) | Self::Stage(names) => payload.push(names.bytes()),
            Self::Put { epoch, hint, blocks } => {
                fields.put_u64_le(epoch.0);
                fields.put_u8(u8::from(*hint == PutHint::Small));
                for block in blocks {
                    put_name(fields, &block.cid);
                    fields.put_u32_le(block.bytes.len() as u32);
                    fields.put_u16_le(block.groups.len() as u16);
                    payload.extend([block.bytes.clone(), block.groups.clone()]);
                }
            }
            Self::Fresh { after, count_max } => {
                fields.put_u32_le(*count_max);
                if let Some((epoch, cid)) = after {
                    fields.put_u64_le(epoch.0);
                    put_name(fields, cid);
                }
            }
            Self::List { after, count_max } => {
                fields.put_u32_le(*count_max);
                after.iter().for_each(|cid| put_name(fields, cid));
            }
            Self::LogAppend(records) | Self::LogWrite(records) => put_records(fields, payload, records),
            Self::LogRead { from, bytes_max } => {
                put_pos(fields, *from);
                fields.put_u32_le(*bytes_max);
            }
            Self::LogMark(mark) => payload.push(mark.clone()),
            Self::TwinAhead(at) => fields.put_u8(*at),
            Self::Adopt { twin, settled } => {
                fields.put_u64_le(settled.0);
                put_twin(fields, payload, twin);
            }
            Self::SwapHead { .. } => self.encode_swap(fields, payload),
            _ => {}
        }
        message
    }

    fn encode_swap(&self, fields: &mut Vec<u8>, payload: &mut Vec<Bytes>) {
        let Self::SwapHead {
            expected,
            head,
            header,
            root_block,
            settled,
            restarts_log,
        } = self
        else {
            return;
        };
        fields.put_u64_le(settled.0);
        let bits = [*restarts_log, expected.is_some(), header.is_some()];
        fields.put_u8(bits.iter().rev().fold(0, |all, bit| all << 1 | u8::from(*bit)));
        let (none, expected) = (Bytes::new(), expected.clone());
        let header = header.clone().unwrap_or_else(|| none.clone());
        for part in [&expected.unwrap_or(none), head, &header, root_block] {
            fields.put_u32_le(part.len() as u32);
            payload.push(part.clone());
        }
    }

    /// The request that a frame is; `None` for what is none.
    pub fn decode(frame: &Incoming) -> Option<Self> {
        let (mut fields, payload) = (&frame.fields[..], frame.payload.clone());
        let request = Self::read(frame.kind, &mut fields, payload)?;
        fields.is_empty().then_some(request)
    }

    fn read(kind: u8, fields: &mut &[u8], payload: Bytes) -> Option<Self> {
        if !has_payload(kind) && !payload.is_empty() {
            return None;
        }
        let request = match kind {
            kind::GET => Self::Get(read_name(fields)?),
            kind::GET_NOW => Self::GetNow(read_name(fields)?),
            kind::HOLDS => Self::Holds(read_name(fields)?),
            kind::GET_PART => Self::GetPart {
                cid: read_name(fields)?,
                hint: [PartHint::Once, PartHint::Again][bit(fields)?],
                range: fields.try_get_u32_le().ok()?..fields.try_get_u32_le().ok()?,
            },
            kind::GET_MANY => Self::GetMany(Names::read(payload)?),
            kind::PUT => Self::read_put(fields, payload)?,
            kind::DELETE => Self::Delete(Names::read(payload)?),
            kind::SYNC => Self::Sync,
            kind::FRESH => {
                let count_max = fields.try_get_u32_le().ok()?;
                let after = match fields.is_empty() {
                    true => None,
                    false => Some((Epoch(fields.try_get_u64_le().ok()?), read_name(fields)?)),
                };
                Self::Fresh { after, count_max }
            }
            kind::LIST => {
                let count_max = fields.try_get_u32_le().ok()?;
                let after = match fields.is_empty() {
                    true => None,
                    false => Some(read_name(fields)?),
                };
                Self::List { after, count_max }
            }
            kind::STATS => Self::Stats,
            kind::PROBE => Self::Probe,
            kind::RECLAIM => Self::Reclaim,
            kind::CLOSE => Self::Close,
            kind::LOG_APPEND => Self::LogAppend(read_records(std::mem::take(fields), payload)?),
            kind::LOG_WRITE => Self::LogWrite(read_records(std::mem::take(fields), payload)?),
            kind::LOG_READ => Self::LogRead {
                from: read_pos(fields)?,
                bytes_max: fields.try_get_u32_le().ok()?,
            },
            kind::LOG_MARK => Self::LogMark(Some(payload).filter(|mark| mark.len() <= MARK_MAX)?),
            kind::LOG_REST => Self::LogRest,
            kind::HEAD => Self::Head,
            kind::HEADER => Self::Header,
            kind::TWIN => Self::Twin,
            kind::HEAD_AFRESH => Self::HeadAfresh,
            kind::TWIN_AHEAD => Self::TwinAhead(fields.try_get_u8().ok()?),
            kind::ADOPT => Self::Adopt {
                settled: Epoch(fields.try_get_u64_le().ok()?),
                twin: read_twin(fields, payload)?,
            },
            kind::DROP_TWINS_AHEAD => Self::DropTwinsAhead,
            kind::STAGE => Self::Stage(Names::read(payload)?),
            kind::PREPARE_DELETE => Self::PrepareDelete,
            kind::SWAP_HEAD => Self::read_swap(fields, payload)?,
            _ => return None,
        };
        Some(request)
    }

    fn read_put(fields: &mut &[u8], mut payload: Bytes) -> Option<Self> {
        let epoch = Epoch(fields.try_get_u64_le().ok()?);
        let hint = [PutHint::Bulk, PutHint::Small][bit(fields)?];
        let mut blocks = Vec::new();
        while !fields.is_empty() && blocks.len() < PUT_COUNT_MAX {
            let cid = read_name(fields)?;
            let len = fields.try_get_u32_le().ok()? as usize;
            let hashes_len = usize::from(fields.try_get_u16_le().ok()?);
            if len > MAX_STORED || (hashes_len != 0 && hashes_len != groups_len(len)) {
                return None;
            }
            blocks.push(Sealed {
                cid,
                bytes: take(&mut payload, len)?,
                groups: take(&mut payload, hashes_len)?,
            });
        }
        payload.is_empty().then_some(Self::Put { epoch, hint, blocks })
    }

    fn read_swap(fields: &mut &[u8], mut payload: Bytes) -> Option<Self> {
        let settled = Epoch(fields.try_get_u64_le().ok()?);
        let bits = Some(fields.try_get_u8().ok()?).filter(|bits| *bits < 8)?;
        let mut part = |len_max: usize| {
            let len = fields.try_get_u32_le().ok()? as usize;
            (len <= len_max).then(|| take(&mut payload, len))?
        };
        let expected = Some(part(HEAD_MAX)?);
        let head = part(HEAD_MAX)?;
        let header = Some(part(HEADER_MAX)?);
        let root_block = part(MAX_STORED)?;
        payload.is_empty().then(|| Self::SwapHead {
            expected: expected.filter(|_| bits & 2 != 0),
            head,
            header: header.filter(|_| bits & 4 != 0),
            root_block,
            settled,
            restarts_log: bits & 1 != 0,
        })
    }

    fn kind(&self) -> u8 {
        match self {
            Self::Get(_) => kind::GET,
            Self::GetNow(_) => kind::GET_NOW,
            Self::GetPart { .. } => kind::GET_PART,
            Self::GetMany(_) => kind::GET_MANY,
            Self::Holds(_) => kind::HOLDS,
            Self::Put { .. } => kind::PUT,
            Self::Delete(_) => kind::DELETE,
            Self::Sync => kind::SYNC,
            Self::Fresh { .. } => kind::FRESH,
            Self::List { .. } => kind::LIST,
            Self::Stats => kind::STATS,
            Self::Probe => kind::PROBE,
            Self::Reclaim => kind::RECLAIM,
            Self::Close => kind::CLOSE,
            Self::LogAppend(_) => kind::LOG_APPEND,
            Self::LogWrite(_) => kind::LOG_WRITE,
            Self::LogRead { .. } => kind::LOG_READ,
            Self::LogMark(_) => kind::LOG_MARK,
            Self::LogRest => kind::LOG_REST,
            Self::Head => kind::HEAD,
            Self::Header => kind::HEADER,
            Self::Twin => kind::TWIN,
            Self::HeadAfresh => kind::HEAD_AFRESH,
            Self::TwinAhead(_) => kind::TWIN_AHEAD,
            Self::Adopt { .. } => kind::ADOPT,
            Self::DropTwinsAhead => kind::DROP_TWINS_AHEAD,
            Self::Stage(_) => kind::STAGE,
            Self::PrepareDelete => kind::PREPARE_DELETE,
            Self::SwapHead { .. } => kind::SWAP_HEAD,
        }
    }
}

/// Whether anything is behind the fields of a request of this kind.
fn has_payload(kind: u8) -> bool {
    matches!(
        kind,
        kind::GET_MANY
            | kind::PUT
            | kind::DELETE
            | kind::STAGE
            | kind::LOG_APPEND
            | kind::LOG_WRITE
            | kind::LOG_MARK
            | kind::ADOPT
            | kind::SWAP_HEAD
    )
}

fn bit(fields: &mut &[u8]) -> Option<usize> {
    let bit = usize::from(fields.try_get_u8().ok()?);
    (bit < 2).then_some(bit)
}

pub(crate) fn put_twin(fields: &mut Vec<u8>, payload: &mut Vec<Bytes>, twin: &Twin) {
    for part in [&twin.head, &twin.header, &twin.root_block] {
        fields.put_u32_le(part.len() as u32);
        payload.push(part.clone());
    }
}

pub(crate) fn read_twin(fields: &mut &[u8], mut payload: Bytes) -> Option<Twin> {
    let mut part = |len_max: usize| {
        let len = fields.try_get_u32_le().ok()? as usize;
        (len <= len_max).then(|| take(&mut payload, len))?
    };
    let twin = Twin {
        head: part(HEAD_MAX)?,
        header: part(HEADER_MAX)?,
        root_block: part(MAX_STORED)?,
    };
    payload.is_empty().then_some(twin)
}

#[cfg(any(test, feature = "fuzzing"))]
mod samples;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use samples::samples;

#[cfg(test)]
mod tests;
