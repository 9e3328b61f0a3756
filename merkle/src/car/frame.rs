//! The framing of CARv1: lengths as unsigned LEB128, a header in dag-cbor, then sections of CID
//! and block.

use crate::clear::{self, ClearLink};
use crate::{Cid, Error, MAX_STORED, Result};
use serde::{Deserialize, Serialize};

/// The longest length: ten bytes hold 64 bits. A writer here needs four, for 2 MiB.
const VARINT_BYTES_MAX: usize = 10;
/// The longest header: one root takes 58 bytes, and files with many roots are not volumes.
pub(super) const HEADER_BYTES_MAX: u64 = 4096;
/// The longest section.
pub(super) const SECTION_BYTES_MAX: u64 = (MAX_STORED + Cid::LEN) as u64;
/// What has to be read of a section to know its length and its CID.
pub(super) const SECTION_PREFIX_MAX: usize = VARINT_BYTES_MAX + Cid::LEN;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    roots: Vec<ClearLink>,
    version: u64,
}

/// The header, with its length before it.
pub(super) fn encode_header(root: Cid) -> Vec<u8> {
    let header = clear::encode(&Header {
        roots: vec![ClearLink(root)],
        version: 1,
    });
    let mut framed = Vec::with_capacity(header.len() + 1);
    put_varint(&mut framed, header.len() as u64);
    framed.extend_from_slice(&header);
    framed
}

/// The root that a header (without its length) names.
pub(super) fn decode_header(header: &[u8]) -> Result<Cid> {
    let parsed: Header = serde_ipld_dagcbor::from_slice(header)
        .map_err(|_| malformed("its header is not that of a CARv1 of ours"))?;
    if clear::encode(&parsed) != header {
        return Err(malformed("its header is not canonical"));
    }
    match (parsed.version, &parsed.roots[..]) {
        (1, [root]) => Ok(root.0),
        (1, _) => Err(malformed("it has not exactly one root")),
        _ => Err(malformed("its payload is no CARv1")),
    }
}

/// What stands before the block in its section.
pub(super) fn section_prefix(cid: &Cid, stored: &[u8]) -> Vec<u8> {
    let mut prefix = Vec::with_capacity(SECTION_PREFIX_MAX);
    put_varint(&mut prefix, (Cid::LEN + stored.len()) as u64);
    prefix.extend_from_slice(&cid.to_bytes());
    prefix
}

/// One section, by its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) cid: Cid,
    /// Where the block begins, counted from the section's beginning.
    pub(super) block_at: u64,
    /// Length of the block.
    pub(super) block_len: usize,
}

impl Section {
    /// Parses the beginning of a section; `prefix` may go on behind it. `None` when it ends too
    /// early.
    pub(super) fn parse(prefix: &[u8]) -> Result<Option<Self>> {
        let Some((len, len_bytes)) = take_varint(prefix)? else {
            return Ok(None);
        };
        if len > SECTION_BYTES_MAX {
            return Err(malformed("a section is longer than a block may be"));
        }
        let block_len = (len as usize)
            .checked_sub(Cid::LEN)
            .ok_or(malformed("a section is too short for a CID"))?;
        let Some(cid) = prefix.get(len_bytes..len_bytes + Cid::LEN) else {
            return Ok(None);
        };
        let cid = Cid::from_bytes(cid).ok_or(malformed("a section has a CID that is none of ours"))?;
        Ok(Some(Self {
            cid,
            block_at: (len_bytes + Cid::LEN) as u64,
            block_len,
        }))
    }

    /// Length of the whole section.
    pub(super) fn len(&self) -> u64 {
        self.block_at + self.block_len as u64
    }
}

/// A length and how many bytes it took; `None` when `bytes` end within it. Only the shortest form
/// is one.
pub(super) fn take_varint(bytes: &[u8]) -> Result<Option<(u64, usize)>> {
    let mut value = 0_u64;
    for (at, byte) in bytes.iter().take(VARINT_BYTES_MAX).enumerate() {
        let bits = u64::from(byte & 0x7f);
        if at == VARINT_BYTES_MAX - 1 && bits > 1 {
            return Err(malformed("a length has more than 64 bits"));
        }
        value |= bits << (7 * at);
        if byte & 0x80 == 0 {
            return match (at, byte) {
                (1.., 0) => Err(malformed("a length is not in its shortest form")),
                _ => Ok(Some((value, at + 1))),
            };
        }
    }
    match bytes.len() {
        VARINT_BYTES_MAX.. => Err(malformed("a length has more than 64 bits")),
        _ => Ok(None),
    }
}

pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The error of a file that breaks a rule.
pub(crate) fn malformed(why: &'static str) -> Error {
    Error::Malformed { what: "CAR", why }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Codec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_length_comes_back_and_has_one_form(value: u64) {
            let mut bytes = Vec::new();
            put_varint(&mut bytes, value);
            prop_assert_eq!(take_varint(&bytes).unwrap(), Some((value, bytes.len())));
            for len in 0..bytes.len() {
                prop_assert_eq!(take_varint(&bytes[..len]).unwrap(), None);
            }
        }

        #[test]
        fn whatever_parses_is_in_its_shortest_form(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(Some((value, len))) = take_varint(&bytes) {
                let mut again = Vec::new();
                put_varint(&mut again, value);
                prop_assert_eq!(&again[..], &bytes[..len]);
            }
            let _ = decode_header(&bytes);
            if let Ok(Some(section)) = Section::parse(&bytes) {
                let block = vec![0; section.block_len];
                let again = section_prefix(&section.cid, &block);
                prop_assert_eq!(&again[..], &bytes[..again.len()]);
            }
        }
    }

    #[test]
    fn a_header_names_one_root() {
        let root = Cid::of(Codec::Node, b"root");
        let framed = encode_header(root);
        assert_eq!(framed[0] as usize, framed.len() - 1);
        assert_eq!(decode_header(&framed[1..]).unwrap(), root);
        for len in 0..framed.len() - 1 {
            assert!(decode_header(&framed[1..][..len]).is_err());
        }
        let two = clear::encode(&Header {
            roots: vec![ClearLink(root), ClearLink(root)],
            version: 1,
        });
        assert!(decode_header(&two).is_err());
        let newer = clear::encode(&Header {
            roots: vec![ClearLink(root)],
            version: 2,
        });
        assert!(decode_header(&newer).is_err());
    }

    #[test]
    fn sections_of_impossible_lengths_are_refused() {
        for len in [0, Cid::LEN as u64 - 1, SECTION_BYTES_MAX + 1, u64::MAX] {
            let mut prefix = Vec::new();
            put_varint(&mut prefix, len);
            prefix.extend_from_slice(&Cid::of(Codec::Leaf, b"").to_bytes());
            assert!(Section::parse(&prefix).is_err(), "{len}");
        }
    }
}
