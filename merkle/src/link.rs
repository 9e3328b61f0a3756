//! A link: the right to fetch, verify and open one block.
//!
//! Its CID stands in the clear part of the parent, so that any reader can walk the tree. The
//! rest, its secret, stands in the sealed part. Handing out one link hands out one subtree and
//! nothing else.

use crate::{BlockKey, Cid, Codec, Epoch, Form, Suite};

/// Stored bytes of a link's secret: key 32, birth 8, length 3, form 1 (docs/format.md, section 5).
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
    /// Length of the stored bytes: 24 bits.
    pub len: u32,
    /// How a leaf holds its record; a node has the plain form.
    pub form: Form,
}

impl Link {
    /// Appends what of this link must stay sealed.
    pub fn encode_secret(&self, plain: &mut Vec<u8>) {
        plain.extend_from_slice(self.key.as_bytes());
        plain.extend_from_slice(&self.birth.0.to_le_bytes());
        let [low, middle, high, above] = self.len.to_le_bytes();
        debug_assert_eq!(above, 0, "no block is that long");
        plain.extend_from_slice(&[low, middle, high, self.form.code()]);
    }

    /// Joins a clear name with its secret again, in a volume of this cipher; `None` for a form that this build does not know,
    /// or that no node has.
    pub fn decode_secret(suite: Suite, cid: Cid, secret: &[u8; SECRET_LEN]) -> Option<Self> {
        let (key, rest) = secret.split_first_chunk().expect("44 bytes begin with 32");
        let (birth, rest) = rest.split_first_chunk().expect("the other 12 begin with 8");
        let [low, middle, high, form] = *rest.first_chunk().expect("the last 4 are left");
        let form = Form::from_code(form).filter(|form| *form == Form::Plain || cid.codec() == Codec::Leaf)?;
        Some(Self {
            cid,
            key: BlockKey::from_bytes(suite, *key),
            birth: Epoch(u64::from_le_bytes(*birth)),
            len: u32::from_le_bytes([low, middle, high, 0]),
            form,
        })
    }

    /// Joins names with their secrets; `None` unless there is one for each.
    pub(crate) fn join_secrets(suite: Suite, cids: Vec<Cid>, secrets: &[u8]) -> Option<Vec<Self>> {
        let (secrets, rest) = secrets.as_chunks();
        if !rest.is_empty() || secrets.len() != cids.len() {
            return None;
        }
        let pairs = cids.into_iter().zip(secrets);
        pairs
            .map(|(cid, secret)| Self::decode_secret(suite, cid, secret))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_decodes_to_the_link_it_came_from() {
        let suite = Suite::Aes256Gcm;
        let link = Link {
            cid: Cid::of(Codec::Leaf, b"stored"),
            key: BlockKey::from_bytes(suite, [7; 32]),
            birth: Epoch(0x0102_0304_0506_0708),
            len: 0x0b_0c0d,
            form: Form::Extents,
        };
        let mut secret = Vec::new();
        link.encode_secret(&mut secret);
        assert_eq!(secret.len(), SECRET_LEN);
        assert_eq!(secret[32..], [8, 7, 6, 5, 4, 3, 2, 1, 0x0d, 0x0c, 0x0b, 1]);
        let mut stored: [u8; SECRET_LEN] = secret[..].try_into().unwrap();
        assert_eq!(Link::decode_secret(suite, link.cid, &stored), Some(link.clone()));
        let node = Cid::of(Codec::Node, b"stored");
        assert_eq!(
            Link::decode_secret(suite, node, &stored),
            None,
            "a node has no extents"
        );
        stored[SECRET_LEN - 1] = 0;
        assert_eq!(
            Link::decode_secret(suite, node, &stored).unwrap().form,
            Form::Plain
        );
        stored[SECRET_LEN - 1] = 99;
        assert_eq!(
            Link::decode_secret(suite, link.cid, &stored),
            None,
            "no form has this code"
        );
    }

    #[test]
    fn there_is_one_secret_for_each_name() {
        let cid = Cid::of(Codec::Leaf, b"stored");
        for wrong in [0, SECRET_LEN - 1, SECRET_LEN + 1, 2 * SECRET_LEN] {
            assert!(Link::join_secrets(Suite::default(), vec![cid], &vec![9; wrong]).is_none());
        }
        let one = Link::join_secrets(Suite::default(), vec![cid], &[0; SECRET_LEN]);
        assert_eq!(one.unwrap().len(), 1);
    }
}
