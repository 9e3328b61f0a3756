//! A link: the right to fetch, verify and open one block.
//!
//! Its CID stands in the clear part of the parent, so that any reader can walk the tree. The
//! rest, its secret, stands in the sealed part. Handing out one link hands out one subtree and
//! nothing else.

use crate::{BlockKey, Cid, Epoch, Suite};

/// Stored bytes of a link's secret: key 32, birth 8, length 4 (docs/format.md, section 5).
pub const SECRET_LEN: usize = 44;

/// The right to fetch, verify and open one block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Name of the stored bytes.
    pub cid: Cid,
    /// The block's one-time key.
    pub key: BlockKey,
    /// The epoch the block was written in: what is younger than every snapshot can be freed without
    /// counting.
    pub birth: Epoch,
    /// Length of the stored bytes.
    pub len: u32,
}

impl Link {
    /// Appends what of this link must stay sealed.
    pub fn encode_secret(&self, plain: &mut Vec<u8>) {
        plain.extend_from_slice(self.key.as_bytes());
        plain.extend_from_slice(&self.birth.0.to_le_bytes());
        plain.extend_from_slice(&self.len.to_le_bytes());
    }

    /// Joins a clear name with its secret again, in a volume of this cipher.
    pub fn decode_secret(suite: Suite, cid: Cid, secret: &[u8; SECRET_LEN]) -> Self {
        let (key, rest) = secret.split_first_chunk().expect("44 bytes begin with 32");
        let (birth, rest) = rest.split_first_chunk().expect("the other 12 begin with 8");
        let len = rest.first_chunk().expect("the last 4 are left");
        Self {
            cid,
            key: BlockKey::from_bytes(suite, *key),
            birth: Epoch(u64::from_le_bytes(*birth)),
            len: u32::from_le_bytes(*len),
        }
    }

    /// Joins names with their secrets; `None` unless there is one for each.
    pub(crate) fn join_secrets(suite: Suite, cids: Vec<Cid>, secrets: &[u8]) -> Option<Vec<Self>> {
        let (secrets, rest) = secrets.as_chunks();
        if !rest.is_empty() || secrets.len() != cids.len() {
            return None;
        }
        let pairs = cids.into_iter().zip(secrets);
        Some(
            pairs
                .map(|(cid, secret)| Self::decode_secret(suite, cid, secret))
                .collect(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Codec;

    #[test]
    fn a_secret_decodes_to_the_link_it_came_from() {
        let link = Link {
            cid: Cid::of(Codec::Leaf, b"stored"),
            key: BlockKey::from_bytes(Suite::Aes256Gcm, [7; 32]),
            birth: Epoch(0x0102_0304_0506_0708),
            len: 0x0a0b_0c0d,
        };
        let mut secret = Vec::new();
        link.encode_secret(&mut secret);
        assert_eq!(secret.len(), SECRET_LEN);
        assert_eq!(secret[32..], [8, 7, 6, 5, 4, 3, 2, 1, 0x0d, 0x0c, 0x0b, 0x0a]);
        assert_eq!(
            Link::decode_secret(Suite::Aes256Gcm, link.cid, secret[..].try_into().unwrap()),
            link
        );
    }

    #[test]
    fn there_is_one_secret_for_each_name() {
        let cid = Cid::of(Codec::Leaf, b"stored");
        for wrong in [0, SECRET_LEN - 1, SECRET_LEN + 1, 2 * SECRET_LEN] {
            assert!(Link::join_secrets(Suite::default(), vec![cid], &vec![9; wrong]).is_none());
        }
        let one = Link::join_secrets(Suite::default(), vec![cid], &[9; SECRET_LEN]);
        assert_eq!(one.unwrap().len(), 1);
    }
}
