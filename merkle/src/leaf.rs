//! Seals file data into leaves and opens them again.
//!
//! ```text
//!  plain --ChaCha20-Poly1305, fresh key, nonce zero--> ciphertext | tag | hash of the key --BLAKE3--> Cid
//!  stored: length, then hash, then tag, and only then does a byte of plaintext leave
//! ```
//!
//! A key seals one block only, so no nonce is ever used twice, whatever is cloned or rolled back. The hash behind
//! the tag makes that key the only one that opens the block: `aead.rs` says why.

use crate::aead;
use crate::buffer::Buffer;
use crate::{BlockKey, Cid, Codec, Epoch, Error, Link, Result, Sealed};
use bytes::Bytes;
use rand::CryptoRng;

pub use crate::clear::MAX_STORED;

/// Stored bytes of a leaf beyond its plaintext.
pub const LEAF_OVERHEAD: usize = aead::OVERHEAD;

/// Seals `plain` under a fresh key.
///
/// # Panics
/// If the leaf would exceed [`MAX_STORED`]: records are at most 1 MiB.
pub fn seal_leaf(rng: &mut (impl CryptoRng + ?Sized), birth: Epoch, plain: &[u8]) -> (Sealed, Link) {
    let key = BlockKey::random(rng);
    let mut stored = Buffer::stale(plain.len() + LEAF_OVERHEAD);
    aead::seal_block_into(key.as_bytes(), &[], plain, &mut stored);
    finish(Codec::Leaf, key, birth, Bytes::from_owner(stored))
}

/// Verifies and opens a leaf. Decrypts in place when nobody else holds `stored`.
pub fn open_leaf(link: &Link, stored: Bytes) -> Result<Vec<u8>> {
    verify(link, Codec::Leaf, &stored)?;
    let mut plain = Vec::from(stored);
    aead::open_block(link.key.as_bytes(), &[], &mut plain).ok_or(Error::Corrupt { cid: link.cid })?;
    Ok(plain)
}

/// Verifies a leaf and opens it into `plain`, which must be as long as what was sealed; it holds zeros after an error.
pub fn open_leaf_into(link: &Link, stored: &[u8], plain: &mut [u8]) -> Result<()> {
    verify(link, Codec::Leaf, stored)
        .inspect_err(|_| plain.fill(0))
        .and_then(|()| {
            aead::open_block_into(link.key.as_bytes(), &[], stored, plain)
                .ok_or(Error::Corrupt { cid: link.cid })
        })
}

/// Names a block that is complete, and makes the link to it.
pub(crate) fn finish(codec: Codec, key: BlockKey, birth: Epoch, stored: Bytes) -> (Sealed, Link) {
    assert!(
        stored.len() <= MAX_STORED,
        "a block of {} bytes is above the format's limit",
        stored.len()
    );
    let cid = Cid::of(codec, &stored);
    let link = Link {
        cid,
        key,
        birth,
        len: stored.len() as u32,
    };
    (Sealed { cid, bytes: stored }, link)
}

/// Whether `stored` are the bytes `link` names. The length goes first: it is free to compare.
pub(crate) fn verify(link: &Link, codec: Codec, stored: &[u8]) -> Result<()> {
    let same = link.cid.codec() == codec && stored.len() == link.len as usize && stored.len() <= MAX_STORED;
    if same && link.cid.names(stored) {
        Ok(())
    } else {
        Err(Error::Corrupt { cid: link.cid })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestRng;

    fn leaf(plain: &[u8]) -> (Sealed, Link) {
        seal_leaf(&mut TestRng::new(1), Epoch(3), plain)
    }

    #[test]
    fn a_leaf_opens_to_what_was_sealed() {
        for len in [0, 1, 16, 4096, 1 << 20] {
            let plain = vec![0x5a; len];
            let (sealed, link) = leaf(&plain);
            assert_eq!(sealed.bytes.len(), len + LEAF_OVERHEAD);
            assert_eq!((link.len as usize, link.birth), (len + LEAF_OVERHEAD, Epoch(3)));
            assert_eq!(open_leaf(&link, sealed.bytes.clone()).unwrap(), plain);
            let mut into = vec![1; len];
            open_leaf_into(&link, &sealed.bytes, &mut into).unwrap();
            assert_eq!(into, plain);
            assert!(open_leaf_into(&link, &sealed.bytes, &mut vec![1; len + 1]).is_err());
            assert_eq!(open_leaf(&link, sealed.bytes).unwrap(), plain);
        }
    }

    #[test]
    fn any_altered_bit_and_any_other_length_are_refused() {
        let (sealed, link) = leaf(b"some bytes of a file");
        for bit in 0..sealed.bytes.len() * 8 {
            let mut stored = sealed.bytes.to_vec();
            stored[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(
                open_leaf(&link, stored.clone().into()),
                Err(Error::Corrupt { .. })
            ));
            // The hash agrees now; the tag still must not.
            let renamed = Link {
                cid: Cid::of(Codec::Leaf, &stored),
                ..link.clone()
            };
            let mut into = vec![1; stored.len().saturating_sub(LEAF_OVERHEAD)];
            assert!(open_leaf_into(&link, &stored, &mut into).is_err());
            assert!(open_leaf_into(&renamed, &stored, &mut into).is_err());
            assert!(into.iter().all(|byte| *byte == 0), "nothing of it leaves");
            assert!(matches!(
                open_leaf(&renamed, stored.into()),
                Err(Error::Corrupt { .. })
            ));
        }
        for len in 0..sealed.bytes.len() {
            let stored = sealed.bytes.slice(..len);
            assert!(open_leaf(&link, stored.clone()).is_err());
            let renamed = Link {
                cid: Cid::of(Codec::Leaf, &stored),
                len: len as u32,
                ..link.clone()
            };
            assert!(open_leaf(&renamed, stored).is_err());
        }
    }

    #[test]
    fn a_leaf_in_the_place_of_another_or_of_a_node_is_refused() {
        let mut rng = TestRng::new(1);
        let (_, first) = seal_leaf(&mut rng, Epoch(1), b"first");
        let (other, _) = seal_leaf(&mut rng, Epoch(1), b"other");
        assert!(open_leaf(&first, other.bytes).is_err());
        let (sealed, link) = leaf(b"data");
        let as_node = Link {
            cid: Cid::of(Codec::Node, &sealed.bytes),
            ..link
        };
        assert!(open_leaf(&as_node, sealed.bytes).is_err());
    }

    #[test]
    fn equal_plaintexts_have_different_names() {
        let mut rng = TestRng::new(1);
        let (first, _) = seal_leaf(&mut rng, Epoch(1), b"same");
        let (second, _) = seal_leaf(&mut rng, Epoch(1), b"same");
        assert_ne!(first.cid, second.cid);
    }
}
