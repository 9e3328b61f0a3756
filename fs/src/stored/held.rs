//! The held list as a commit carries it: blocks that only published or pinned versions name.

use cairn_merkle::{Cid, Epoch, Link, btree};

/// The list as a commit carries it.
#[derive(Clone, Debug, Default)]
pub(crate) struct HeldList {
    /// A B+tree by epoch of freeing, birth and name.
    pub(crate) root: Option<Link>,
    /// Stored bytes of the blocks on it.
    pub(crate) bytes: u64,
}

/// One row of the list.
pub(crate) struct Row {
    pub(crate) freed: Epoch,
    pub(crate) birth: Epoch,
    pub(crate) cid: Cid,
    pub(crate) len: u32,
}

impl Row {
    pub(crate) fn new(freed: Epoch, birth: Epoch, cid: Cid, len: u32) -> Self {
        Self {
            freed,
            birth,
            cid,
            len,
        }
    }

    pub(crate) fn key(&self) -> Vec<u8> {
        let mut key = self.freed.0.to_be_bytes().to_vec();
        key.extend_from_slice(&self.birth.0.to_be_bytes());
        key.extend_from_slice(&self.cid.to_bytes());
        key
    }

    pub(crate) fn encode(&self) -> btree::Entry {
        btree::Entry {
            key: self.key(),
            value: self.len.to_le_bytes().to_vec(),
            links: Vec::new(),
        }
    }

    pub(crate) fn decode(entry: &btree::Entry) -> cairn_merkle::Result<Self> {
        let row = || {
            let (freed, rest) = entry.key.split_first_chunk()?;
            let (birth, cid) = rest.split_first_chunk()?;
            entry.links.is_empty().then_some(Self {
                freed: Epoch(u64::from_be_bytes(*freed)),
                birth: Epoch(u64::from_be_bytes(*birth)),
                cid: Cid::from_bytes(cid)?,
                len: u32::from_le_bytes(entry.value.as_slice().try_into().ok()?),
            })
        };
        row().ok_or(cairn_merkle::Error::Malformed {
            what: "held list",
            why: "an entry is not two epochs, a name and a length",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_merkle::Codec;

    #[test]
    fn rows_decode_to_what_was_encoded_and_nothing_else_does() {
        let row = Row {
            freed: Epoch(9),
            birth: Epoch(3),
            cid: Cid::of(Codec::Leaf, b"leaf"),
            len: 77,
        };
        let entry = row.encode();
        let read = Row::decode(&entry).unwrap();
        assert_eq!((read.key(), read.len), (row.key(), row.len));
        for len in 0..entry.key.len() {
            let key = entry.key[..len].to_vec();
            assert!(Row::decode(&btree::Entry { key, ..entry.clone() }).is_err());
        }
        let value = vec![1; 3];
        assert!(Row::decode(&btree::Entry { value, ..entry }).is_err());
    }
}
