//! Names of blocks and records of the log, as bytes of a payload.

use bytes::{Buf, BufMut, Bytes};
use cairn_block::{Cid, Codec, Epoch, LogPos};

/// Bytes of a name: the digest, and the codec's number.
pub const NAME_LEN: usize = 33;

/// The most names in one frame.
pub const NAMES_MAX: usize = 32 << 10;

pub(crate) fn put_name(into: &mut Vec<u8>, cid: &Cid) {
    into.put_slice(&cid.digest());
    into.put_u8(cid.to_bytes()[1]);
}

pub(crate) fn read_name(from: &mut &[u8]) -> Option<Cid> {
    let mut digest = [0; 32];
    from.try_copy_to_slice(&mut digest).ok()?;
    let codec = from.try_get_u8().ok()?;
    let cid = [Cid::leaf(digest), Cid::node(digest)];
    cid.into_iter().find(|cid| cid.to_bytes()[1] == codec)
}

/// Names in one piece of memory, each checked when they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names(Bytes);

impl Names {
    /// Takes up to [`NAMES_MAX`] names.
    pub fn new<'a>(cids: impl IntoIterator<Item = &'a Cid>) -> Self {
        let mut bytes = Vec::new();
        for cid in cids.into_iter().take(NAMES_MAX) {
            put_name(&mut bytes, cid);
        }
        Self(bytes.into())
    }

    /// `None` for what is not names alone, or more than [`NAMES_MAX`].
    pub fn read(bytes: Bytes) -> Option<Self> {
        let whole = bytes.len().is_multiple_of(NAME_LEN) && bytes.len() <= NAMES_MAX * NAME_LEN;
        let known = |name: &[u8]| {
            let codecs = [Codec::Leaf, Codec::Node].map(code);
            codecs.contains(&name[NAME_LEN - 1])
        };
        (whole && bytes.chunks(NAME_LEN).all(known)).then_some(Self(bytes))
    }

    /// As a payload.
    pub fn bytes(&self) -> Bytes {
        self.0.clone()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len() / NAME_LEN
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// One after the other.
    pub fn iter(&self) -> impl Iterator<Item = Cid> + '_ {
        self.0
            .chunks(NAME_LEN)
            .filter_map(|mut name| read_name(&mut name))
    }
}

fn code(codec: Codec) -> u8 {
    let cid = match codec {
        Codec::Leaf => Cid::leaf([0; 32]),
        Codec::Node => Cid::node([0; 32]),
    };
    cid.to_bytes()[1]
}

pub(crate) fn put_pos(into: &mut Vec<u8>, pos: LogPos) {
    into.put_u64_le(pos.epoch.0);
    into.put_u64_le(pos.seq);
}

pub(crate) fn read_pos(from: &mut &[u8]) -> Option<LogPos> {
    Some(LogPos {
        epoch: Epoch(from.try_get_u64_le().ok()?),
        seq: from.try_get_u64_le().ok()?,
    })
}

/// Takes `len` bytes off the front, which share memory with the rest.
pub(crate) fn take(from: &mut Bytes, len: usize) -> Option<Bytes> {
    (len <= from.len()).then(|| from.split_to(len))
}

/// Records of the log, and how long each is.
pub(crate) fn put_records(fields: &mut Vec<u8>, payload: &mut Vec<Bytes>, records: &[(LogPos, Bytes)]) {
    for (pos, record) in records {
        put_pos(fields, *pos);
        fields.put_u32_le(record.len() as u32);
        payload.push(record.clone());
    }
}

/// All that `fields` tell of, where the payload has just these bytes.
pub(crate) fn read_records(mut fields: &[u8], mut payload: Bytes) -> Option<Vec<(LogPos, Bytes)>> {
    let mut records = Vec::new();
    while !fields.is_empty() {
        let pos = read_pos(&mut fields)?;
        let len = fields.try_get_u32_le().ok()? as usize;
        records.push((pos, take(&mut payload, len)?));
    }
    payload.is_empty().then_some(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_were_written_and_nothing_else_is() {
        let cids = [Cid::leaf([1; 32]), Cid::node([1; 32]), Cid::node([2; 32])];
        let names = Names::new(&cids);
        assert_eq!((names.len(), names.is_empty()), (3, false));
        assert_eq!(Names::read(names.bytes()), Some(names.clone()));
        assert_eq!(names.iter().collect::<Vec<_>>(), cids);
        assert_eq!(Names::read(names.bytes().slice(1..)), None);
        let mut foreign = names.bytes().to_vec();
        foreign[NAME_LEN - 1] = 0x70;
        assert_eq!(Names::read(foreign.into()), None);
    }

    #[test]
    fn records_are_read_only_where_every_byte_is_told_of() {
        let pos = |seq| LogPos { epoch: Epoch(1), seq };
        let records = [(pos(0), Bytes::from("one")), (pos(1), Bytes::new())];
        let (mut fields, mut payload) = (Vec::new(), Vec::new());
        put_records(&mut fields, &mut payload, &records);
        let payload = Bytes::from(payload.concat());
        assert_eq!(
            read_records(&fields, payload.clone()).as_deref(),
            Some(&records[..])
        );
        assert_eq!(read_records(&fields[1..], payload.clone()), None);
        assert_eq!(read_records(&fields, payload.slice(1..)), None);
        assert_eq!(read_records(&fields, Bytes::from("ones")), None);
    }
}
