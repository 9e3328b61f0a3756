//! Seals file data into leaves and opens them again.
//!
//! ```text
//!  plain --the volume's cipher, fresh key, nonce zero--> ciphertext | tag | hash of the key --BLAKE3--> Cid
//!  stored: length, then hash, then tag, and only then does a byte of plaintext leave
//! ```
//!
//! A key seals one block only, so no nonce is ever used twice, whatever is cloned or rolled back.
//! The hash behind the tag makes that key the only one that opens the block: `aead.rs` says why.

use crate::aead::{self, AeadKey};
use crate::buffer::Buffer;
use crate::form::{self, Packed};
use crate::group::{self, Part};
use crate::{BlockKey, Cid, Codec, Epoch, Error, Form, Link, MAX_STORED, Result, Sealed, Suite};
use bytes::Bytes;
use rand::CryptoRng;
use std::ops::Range;

/// Stored bytes of a leaf beyond its plaintext.
pub const LEAF_OVERHEAD: usize = aead::OVERHEAD;

/// Seals `plain` under a fresh key, with the volume's cipher.
///
/// # Panics
/// If the leaf would exceed [`MAX_STORED`]: records are at most 1 MiB.
pub fn seal_leaf(
    suite: Suite,
    rng: &mut (impl CryptoRng + ?Sized),
    birth: Epoch,
    plain: &[u8],
) -> (Sealed, Link) {
    seal_leaf_as(Form::Plain, suite, rng, birth, plain)
}

/// Seals `plain`, which is a record in this form, under a fresh key.
///
/// # Panics
/// As [`seal_leaf`].
pub fn seal_leaf_as(
    form: Form,
    suite: Suite,
    rng: &mut (impl CryptoRng + ?Sized),
    birth: Epoch,
    plain: &[u8],
) -> (Sealed, Link) {
    let key = BlockKey::random(suite, rng);
    let mut stored = Buffer::stale(plain.len() + LEAF_OVERHEAD);
    with_key(&key, form, |key| {
        aead::seal_block_into(key, &[], plain, &mut stored)
    });
    let stored = Bytes::from_owner(stored);
    let (digest, groups) = group::hash(&stored);
    let (sealed, link) = finish(Cid::leaf(digest), key, birth, stored);
    (Sealed { groups, ..sealed }, Link { form, ..link })
}

/// Seals `plain` into `stored`, which is [`LEAF_OVERHEAD`] longer, as a leaf is sealed but under a
/// key of zeros: to measure what a cipher costs on this machine.
///
/// # Panics
/// If the lengths do not fit.
pub fn seal_trial(suite: Suite, plain: &[u8], stored: &mut [u8]) {
    let key = BlockKey::from_bytes(suite, [0; 32]);
    aead::seal_block_into(key.aead(), &[], plain, stored);
}

/// Seals a record without its holes, where they are half of it or more; `None` for a record that
/// is all zeros, which needs no leaf.
///
/// # Panics
/// As [`seal_leaf`].
pub fn seal_sparse(
    suite: Suite,
    rng: &mut (impl CryptoRng + ?Sized),
    birth: Epoch,
    record: &[u8],
) -> Option<(Sealed, Link)> {
    Some(match form::pack(record) {
        Packed::Zeros => return None,
        Packed::Plain => seal_leaf(suite, rng, birth, record),
        Packed::Extents(plain) => seal_leaf_as(Form::Extents, suite, rng, birth, &plain),
    })
}

/// Runs with the key that a leaf of this form is sealed under. They differ, and a block commits to
/// its own: a proof that discloses one cannot claim another form.
fn with_key<T>(key: &BlockKey, form: Form, run: impl FnOnce(AeadKey<'_>) -> T) -> T {
    match form {
        Form::Plain => run(key.aead()),
        Form::Extents => run(key.extents_key().aead()),
    }
}

/// Verifies and opens a leaf; answers its record, up to where that ends in zeros. Decrypts in place
/// when `stored` is not shared.
pub fn open_leaf(link: &Link, stored: Bytes) -> Result<Vec<u8>> {
    let corrupt = || Error::Corrupt { cid: link.cid };
    verify(link, Codec::Leaf, &stored)?;
    let mut plain = Vec::from(stored);
    with_key(&link.key, link.form, |key| aead::open_block(key, &[], &mut plain)).ok_or_else(corrupt)?;
    link.form.unpack(plain).map_err(|_| corrupt())
}

/// Verifies a leaf of the plain form and opens it into `plain`, which must be as long as what was
/// sealed; it holds zeros after an error.
pub fn open_leaf_into(link: &Link, stored: &[u8], plain: &mut [u8]) -> Result<()> {
    verify(link, Codec::Leaf, stored)
        .inspect_err(|_| plain.fill(0))
        .and_then(|()| {
            aead::open_block_into(link.key.aead(), &[], stored, plain).ok_or(Error::Corrupt { cid: link.cid })
        })
}

/// The whole groups of a leaf's stored bytes that hold `range` of its plaintext; `None` if a part
/// of it cannot be opened.
pub fn part_for(link: &Link, range: &Range<usize>) -> Option<Range<usize>> {
    let stored_len = link.len as usize;
    let is_within = range.start < range.end && range.end + LEAF_OVERHEAD <= stored_len;
    let is_plain = link.form == Form::Plain;
    (is_plain && is_within && group::groups_len(stored_len) > 0)
        .then(|| group::groups_around(range, stored_len))
}

/// Verifies a part of a leaf against the leaf's name. Opens as much of it as fills `plain`, which
/// lies at `at` in the plaintext. Touches `plain` only if all is well.
///
/// The name stands for the ciphertext, so the tag over all of it has nothing to add: the maker of
/// the link sealed these bytes, or it would not be that maker's link.
pub fn open_leaf_part(link: &Link, part: &Part, at: usize, plain: &mut [u8]) -> Result<()> {
    let corrupt = Error::Corrupt { cid: link.cid };
    let wanted = at..at.saturating_add(plain.len());
    if link.cid.codec() != Codec::Leaf || part_for(link, &wanted).as_ref() != Some(&part.range) {
        return Err(corrupt);
    }
    if !group::is_part_of(part, &link.cid, link.len as usize) {
        return Err(corrupt);
    }
    let from = at - part.range.start;
    aead::open_part(link.key.aead(), &part.bytes[from..from + plain.len()], at, plain);
    Ok(())
}

/// Makes the link to a block that is complete.
///
/// # Panics
/// If the block would exceed [`MAX_STORED`].
pub(crate) fn finish(cid: Cid, key: BlockKey, birth: Epoch, stored: Bytes) -> (Sealed, Link) {
    assert!(
        stored.len() <= MAX_STORED,
        "a block of {} bytes is above the format's limit",
        stored.len()
    );
    let link = Link {
        cid,
        key,
        birth,
        len: stored.len() as u32,
        form: Form::Plain,
    };
    (Sealed::new(cid, stored), link)
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

    fn leaf(suite: Suite, plain: &[u8]) -> (Sealed, Link) {
        seal_leaf(suite, &mut TestRng::new(1), Epoch(3), plain)
    }

    #[test]
    fn a_leaf_opens_to_what_was_sealed() {
        let lens = [0, 1, 16, 4096, 1 << 20];
        for (suite, len) in Suite::ALL
            .into_iter()
            .flat_map(|suite| lens.map(|len| (suite, len)))
        {
            let plain = vec![0x5a; len];
            let (sealed, link) = leaf(suite, &plain);
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
        for suite in Suite::ALL {
            require_whole(leaf(suite, b"some bytes of a file"));
        }
    }

    fn require_whole((sealed, link): (Sealed, Link)) {
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
    fn a_leaf_of_the_other_cipher_is_refused() {
        let plain = vec![0x5a; 128 << 10];
        for (suite, other) in [(0, 1), (1, 0)] {
            let (sealed, link) = leaf(Suite::ALL[suite], &plain);
            let mixed = Link {
                key: BlockKey::from_bytes(Suite::ALL[other], *link.key.as_bytes()),
                ..link.clone()
            };
            let mut into = vec![1; plain.len()];
            assert!(open_leaf_into(&mixed, &sealed.bytes, &mut into).is_err());
            assert!(into.iter().all(|byte| *byte == 0), "nothing of it leaves");
            assert!(open_leaf(&mixed, sealed.bytes).is_err());
        }
    }

    #[test]
    fn a_part_of_a_leaf_opens_to_what_was_sealed_there() {
        let plain: Vec<u8> = (0..128 << 10).map(|at| (at / 100) as u8).collect();
        for suite in Suite::ALL {
            let (sealed, link) = leaf(suite, &plain);
            let range = part_for(&link, &(20_000..24_000)).unwrap();
            let part = Part {
                bytes: sealed.bytes.slice(range.clone()),
                groups: sealed.groups.clone(),
                range,
            };
            let mut piece = [0; 4000];
            open_leaf_part(&link, &part, 20_000, &mut piece).unwrap();
            assert_eq!(piece[..], plain[20_000..24_000]);
        }
    }

    #[test]
    fn a_leaf_in_the_place_of_another_or_of_a_node_is_refused() {
        let mut rng = TestRng::new(1);
        let (_, first) = seal_leaf(Suite::default(), &mut rng, Epoch(1), b"first");
        let (other, _) = seal_leaf(Suite::default(), &mut rng, Epoch(1), b"other");
        assert!(open_leaf(&first, other.bytes).is_err());
        let (sealed, link) = leaf(Suite::default(), b"data");
        let as_node = Link {
            cid: Cid::of(Codec::Node, &sealed.bytes),
            ..link
        };
        assert!(open_leaf(&as_node, sealed.bytes).is_err());
    }

    #[test]
    fn a_leaf_opens_in_the_form_it_was_sealed_in_and_in_no_other() {
        let packed = [1, 0, 2, 0, 0, 0, 3, 0, 0, 0, 7, 8, 9];
        let (sealed, link) = seal_leaf_as(
            Form::Extents,
            Suite::default(),
            &mut TestRng::new(1),
            Epoch(3),
            &packed,
        );
        assert_eq!(open_leaf(&link, sealed.bytes.clone()).unwrap(), [0, 0, 7, 8, 9]);
        let as_plain = Link {
            form: Form::Plain,
            ..link.clone()
        };
        assert!(open_leaf(&as_plain, sealed.bytes.clone()).is_err());
        assert!(open_leaf_into(&as_plain, &sealed.bytes, &mut [1; 13]).is_err());
        assert!(open_leaf_into(&link, &sealed.bytes, &mut [1; 13]).is_err());
        let (plain, link) = seal_leaf(Suite::default(), &mut TestRng::new(1), Epoch(3), &packed);
        let as_extents = Link {
            form: Form::Extents,
            ..link
        };
        assert!(open_leaf(&as_extents, plain.bytes).is_err());
        let (sealed, link) = seal_leaf_as(
            Form::Extents,
            Suite::default(),
            &mut TestRng::new(1),
            Epoch(3),
            &packed[1..],
        );
        assert!(open_leaf(&link, sealed.bytes).is_err(), "it is malformed");
        let (_, large) = seal_leaf_as(
            Form::Extents,
            Suite::default(),
            &mut TestRng::new(1),
            Epoch(3),
            &[0; 100_000],
        );
        assert_eq!(part_for(&large, &(0..10)), None);
    }

    #[test]
    fn equal_plaintexts_have_different_names() {
        let mut rng = TestRng::new(1);
        let (first, _) = seal_leaf(Suite::default(), &mut rng, Epoch(1), b"same");
        let (second, _) = seal_leaf(Suite::default(), &mut rng, Epoch(1), b"same");
        assert_ne!(first.cid, second.cid);
    }
}
