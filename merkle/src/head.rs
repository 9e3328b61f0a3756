//! The head: the one mutable record, which names the newest commit.
//!
//! Its MAC tells the head of a holder of the volume key from any other. It cannot tell a new one
//! from an old one: that is the anchor's task.

use crate::clear::HeadClaim;
use crate::{Cid, Codec, Epoch, Error, Result, VolumeKey};
use subtle::ConstantTimeEq;

const CONTEXT: &str = "cairn 2026-11 head";
const VERSION: u8 = HeadClaim::VERSION;
const BODY_LEN: usize = 1 + 16 + 8 + Cid::LEN;

/// Names the newest commit of a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The volume.
    pub volume_id: [u8; 16],
    /// The number of the commit.
    pub epoch: Epoch,
    /// The commit block.
    pub root: Cid,
}

impl Head {
    /// Length of [`Self::encode`].
    pub const LEN: usize = BODY_LEN + 32;

    /// The stored form: version, volume id, epoch, root, MAC.
    pub fn encode(&self, key: &VolumeKey) -> Vec<u8> {
        let mut stored = Vec::with_capacity(Self::LEN);
        stored.push(VERSION);
        stored.extend_from_slice(&self.volume_id);
        stored.extend_from_slice(&self.epoch.0.to_le_bytes());
        stored.extend_from_slice(&self.root.to_bytes());
        let mac = key.derive(CONTEXT, &[]).mac(&stored);
        stored.extend_from_slice(&mac);
        stored
    }

    /// Verifies the MAC, then parses.
    pub fn decode(stored: &[u8], key: &VolumeKey) -> Result<Self> {
        let malformed = |why| Error::Malformed { what: "head", why };
        match stored.first() {
            Some(&VERSION) => {}
            Some(&version) => {
                return Err(Error::UnknownVersion {
                    what: "head",
                    version: version.into(),
                });
            }
            None => return Err(malformed("it is empty")),
        }
        if stored.len() != Self::LEN {
            return Err(malformed("it does not have 93 bytes"));
        }
        let (body, mac) = stored.split_at(BODY_LEN);
        if !bool::from(key.derive(CONTEXT, &[]).mac(body).ct_eq(mac)) {
            return Err(Error::HeadForged);
        }
        let root = Cid::from_bytes(&body[25..])
            .filter(|root| root.codec() == Codec::Node)
            .ok_or_else(|| malformed("its root is not the name of a node"))?;
        Ok(Self {
            volume_id: body[1..17].try_into().expect("17 - 1 are 16 bytes"),
            epoch: Epoch(u64::from_le_bytes(
                body[17..25].try_into().expect("25 - 17 are 8 bytes"),
            )),
            root,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Suite;
    use proptest::prelude::*;

    fn head() -> (Head, VolumeKey) {
        let root = Cid::of(Codec::Node, b"commit");
        (
            Head {
                volume_id: [1; 16],
                epoch: Epoch(7),
                root,
            },
            VolumeKey::from_bytes(Suite::default(), [2; 32]),
        )
    }

    #[test]
    fn a_head_decodes_to_what_was_encoded() {
        let (head, key) = head();
        assert_eq!(head.encode(&key).len(), Head::LEN);
        assert_eq!(Head::decode(&head.encode(&key), &key).unwrap(), head);
    }

    #[test]
    fn any_altered_bit_any_other_length_and_any_other_key_are_refused() {
        let (head, key) = head();
        let stored = head.encode(&key);
        for bit in 8..stored.len() * 8 {
            let mut altered = stored.clone();
            altered[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(Head::decode(&altered, &key), Err(Error::HeadForged)));
        }
        for len in 0..stored.len() {
            assert!(matches!(
                Head::decode(&stored[..len], &key),
                Err(Error::Malformed { .. })
            ));
        }
        assert!(matches!(
            Head::decode(&stored, &VolumeKey::from_bytes(Suite::default(), [3; 32])),
            Err(Error::HeadForged)
        ));
        let mut newer = stored;
        newer[0] = 2;
        assert!(matches!(
            Head::decode(&newer, &key),
            Err(Error::UnknownVersion { version: 2, .. })
        ));
    }

    proptest! {
        #[test]
        fn no_input_panics(stored in proptest::collection::vec(any::<u8>(), 0..120)) {
            prop_assert!(Head::decode(&stored, &head().1).is_err());
        }
    }
}
