//! ChaCha20-Poly1305 (RFC 8439) in place, the one cipher of the format.
//!
//! A tag of Poly1305 alone does not fix the key: the holder of two keys can make a ciphertext
//! that opens under both. So a hash of its key stands behind the tag of every block. The hash
//! opens nothing, and names the one key that does. A block thus means one thing, whichever party
//! made it, and a proof that discloses a key discloses the only one.

#[cfg(feature = "aws-lc")]
mod aws_lc;
#[cfg(any(test, not(feature = "aws-lc")))]
mod portable;
mod tag;

pub(crate) use tag::TAG_LEN;

use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher, StreamCipherSeek};

#[cfg(feature = "aws-lc")]
use aws_lc as cipher;
#[cfg(not(feature = "aws-lc"))]
use portable as cipher;

/// The nonce of keys that seal one message only.
pub(crate) const ONE_TIME: [u8; 12] = [0; 12];

/// Stored bytes of a block beyond its plaintext: tag and commitment.
pub(crate) const OVERHEAD: usize = TAG_LEN + COMMITMENT_LEN;
const COMMITMENT_LEN: usize = 32;
/// Bytes of key stream that a counter stands for.
const KEY_STREAM_BLOCK: u64 = 64;

/// What stands behind the tag of a block: it tells the key from all others and nothing of the key.
fn commitment(key: &[u8; 32]) -> [u8; COMMITMENT_LEN] {
    *blake3::keyed_hash(key, b"cairn 2026-11 commitment").as_bytes()
}

/// What `stored` holds before its commitment to `key`; `None` if it is to another key.
fn committed<'a>(key: &[u8; 32], stored: &'a [u8]) -> Option<&'a [u8]> {
    let (sealed, found) = stored.split_last_chunk()?;
    (*found == commitment(key)).then_some(sealed)
}

/// Seals the content of a block, under a key that seals nothing else, so that no other key opens
/// it. Allocates only if `plain` has no [`OVERHEAD`] bytes of spare capacity.
pub(crate) fn seal_block(key: &[u8; 32], aad: &[u8], plain: &mut Vec<u8>) {
    seal(key, ONE_TIME, aad, plain);
    plain.extend_from_slice(&commitment(key));
}

/// As [`seal_block`], from one place to another: `stored` is [`OVERHEAD`] bytes longer than
/// `plain`.
///
/// # Panics
/// If it is not.
pub(crate) fn seal_block_into(key: &[u8; 32], aad: &[u8], plain: &[u8], stored: &mut [u8]) {
    let (ciphertext, rest) = stored.split_at_mut(plain.len());
    let tag = cipher::seal(key, ONE_TIME, aad, plain, ciphertext);
    let (tag_place, commitment_place) = rest.split_at_mut(TAG_LEN);
    tag_place.copy_from_slice(&tag);
    commitment_place.copy_from_slice(&commitment(key));
}

/// The counterpart of [`seal_block`].
pub(crate) fn open_block(key: &[u8; 32], aad: &[u8], stored: &mut Vec<u8>) -> Option<()> {
    let len = committed(key, stored)?.len();
    stored.truncate(len);
    open(key, ONE_TIME, aad, stored)
}

/// As [`open_block`], from one place to another: `plain` holds the plaintext, or zeros if `stored`
/// is refused. `None` also when `plain` is not as long as the plaintext.
pub(crate) fn open_block_into(key: &[u8; 32], aad: &[u8], stored: &[u8], plain: &mut [u8]) -> Option<()> {
    let opened = committed(key, stored).and_then(|sealed| open_into(key, ONE_TIME, aad, sealed, plain));
    if opened.is_none() {
        plain.fill(0);
    }
    opened
}

/// Turns `plain` into ciphertext and tag. Allocates only if `plain` has no [`TAG_LEN`] bytes of
/// spare capacity.
pub(crate) fn seal(key: &[u8; 32], nonce: [u8; 12], aad: &[u8], plain: &mut Vec<u8>) {
    let tag = cipher::seal_in_place(key, nonce, aad, plain);
    plain.extend_from_slice(&tag);
}

/// Turns ciphertext and tag into the plaintext, or leaves `sealed` without any plaintext in it.
pub(crate) fn open(key: &[u8; 32], nonce: [u8; 12], aad: &[u8], sealed: &mut Vec<u8>) -> Option<()> {
    let tag = *sealed.last_chunk()?;
    sealed.truncate(sealed.len() - TAG_LEN);
    let opened = cipher::open_in_place(key, nonce, aad, &tag, sealed);
    if !opened {
        sealed.fill(0);
    }
    opened.then_some(())
}

/// As [`seal`], from one place to another: `sealed` is [`TAG_LEN`] bytes longer than `plain`.
///
/// # Panics
/// If it is not.
pub(crate) fn seal_into(key: &[u8; 32], nonce: [u8; 12], aad: &[u8], plain: &[u8], sealed: &mut [u8]) {
    let (ciphertext, tag_place) = sealed.split_at_mut(plain.len());
    let tag = cipher::seal(key, nonce, aad, plain, ciphertext);
    tag_place.copy_from_slice(&tag);
}

/// As [`open`], from one place to another.
pub(crate) fn open_into(
    key: &[u8; 32],
    nonce: [u8; 12],
    aad: &[u8],
    sealed: &[u8],
    plain: &mut [u8],
) -> Option<()> {
    let (ciphertext, tag) = sealed.split_last_chunk()?;
    let opened = ciphertext.len() == plain.len() && cipher::open(key, nonce, aad, (ciphertext, tag), plain);
    if !opened {
        plain.fill(0);
    }
    opened.then_some(())
}

/// Turns a piece of a block's ciphertext, which lies at `at` in it, into plaintext: for pieces that
/// are verified already.
///
/// # Panics
/// If the two are not of one length.
pub(crate) fn open_part(key: &[u8; 32], sealed: &[u8], at: usize, plain: &mut [u8]) {
    let mut stream = ChaCha20::new(&(*key).into(), &ONE_TIME.into());
    // The first block of the key stream is the authenticator's key (RFC 8439, section 2.8).
    stream.seek(KEY_STREAM_BLOCK + at as u64);
    stream.apply_keystream_b2b(sealed, plain);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_that_commits_to_another_key_is_refused_although_the_tag_agrees() {
        let (key, other) = ([7; 32], [8; 32]);
        let mut sealed = b"plain".to_vec();
        seal(&key, ONE_TIME, b"", &mut sealed);
        for wrong in [vec![], vec![0; COMMITMENT_LEN], commitment(&other).to_vec()] {
            let mut stored = [&sealed[..], &wrong].concat();
            assert!(open_block_into(&key, b"", &stored, &mut [1; 5]).is_none());
            assert!(open_block(&key, b"", &mut stored).is_none());
        }
        let mut stored = b"plain".to_vec();
        seal_block(&key, b"", &mut stored);
        assert_eq!(stored.len(), 5 + OVERHEAD);
        let mut elsewhere = vec![9; 5 + OVERHEAD];
        seal_block_into(&key, b"", b"plain", &mut elsewhere);
        assert_eq!(elsewhere, stored);
        let mut plain = [1; 5];
        open_block_into(&key, b"", &stored, &mut plain).unwrap();
        assert_eq!(&plain, b"plain");
        open_block(&key, b"", &mut stored).unwrap();
        assert_eq!(stored, b"plain");
    }
    /// RFC 8439, section 2.8.2.
    #[test]
    fn the_cipher_is_that_of_the_rfc() {
        let key: [u8; 32] = std::array::from_fn(|at| 0x80 + at as u8);
        let nonce = [7, 0, 0, 0, 0x40, 0x41, 0x42, 0x43, 0x44, 0x45, 0x46, 0x47];
        let aad = [
            0x50, 0x51, 0x52, 0x53, 0xc0, 0xc1, 0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7,
        ];
        let mut sealed = b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, sunscreen would be it.".to_vec();
        seal(&key, nonce, &aad, &mut sealed);
        assert_eq!(sealed[..8], [0xd3, 0x1a, 0x8d, 0x34, 0x64, 0x8e, 0x60, 0xdb]);
        let tag = [
            0x1a, 0xe1, 0x0b, 0x59, 0x4f, 0x09, 0xe2, 0x6a, 0x7e, 0x90, 0x2e, 0xcb, 0xd0, 0x60, 0x06, 0x91,
        ];
        assert_eq!(sealed[sealed.len() - TAG_LEN..], tag);
    }

    #[test]
    fn what_one_cipher_seals_the_other_opens_and_neither_what_was_changed() {
        for len in [
            0usize, 1, 15, 16, 17, 63, 64, 65, 191, 192, 193, 511, 4096, 5000, 131_071, 131_072,
        ] {
            let key: [u8; 32] = std::array::from_fn(|at| (at + len) as u8);
            let nonce = std::array::from_fn(|at| (3 * at + len) as u8);
            let aad = vec![5; len % 40];
            let plain: Vec<u8> = (0..len).map(|at| (at * 31 + at / 251) as u8).collect();
            let mut one = plain.clone();
            let tag = portable::seal_in_place(&key, nonce, &aad, &mut one);
            let mut two = vec![0xee; len];
            assert_eq!(cipher::seal(&key, nonce, &aad, &plain, &mut two), tag);
            assert_eq!(one, two);
            assert_eq!(portable::seal(&key, nonce, &aad, &plain, &mut two), tag);
            assert_eq!(one, two);
            let mut three = plain.clone();
            assert_eq!(cipher::seal_in_place(&key, nonce, &aad, &mut three), tag);
            assert_eq!(one, three);
            let mut back = vec![0xee; len];
            assert!(cipher::open(&key, nonce, &aad, (&one, &tag), &mut back));
            assert_eq!(back, plain);
            assert!(portable::open(&key, nonce, &aad, (&one, &tag), &mut back));
            assert_eq!(back, plain);
            assert!(portable::open_in_place(&key, nonce, &aad, &tag, &mut two));
            assert_eq!(two, plain);
            let mut wrong = tag;
            wrong[len % TAG_LEN] ^= 1;
            assert!(!cipher::open(&key, nonce, &aad, (&one, &wrong), &mut back));
            assert!(!cipher::open_in_place(
                &key,
                nonce,
                &aad,
                &wrong,
                &mut three.clone()
            ));
            if len > 0 {
                one[len / 2] ^= 0x80;
                assert!(!cipher::open(&key, nonce, &aad, (&one, &tag), &mut back));
            }
            assert!(cipher::open_in_place(&key, nonce, &aad, &tag, &mut three));
            assert_eq!(three, plain);
        }
    }

    #[test]
    fn a_piece_of_a_block_opens_as_it_does_with_the_rest() {
        let key = [0x5a; 32];
        let plain: Vec<u8> = (0..200_000usize).map(|at| (at * 13 + at / 999) as u8).collect();
        let mut stored = plain.clone();
        seal_block(&key, b"", &mut stored);
        for (at, len) in [
            (0, 1),
            (0, 64),
            (1, 63),
            (63, 2),
            (64, 64),
            (65, 4096),
            (131_072, 5),
            (199_999, 1),
            (7, 0),
        ] {
            let mut piece = vec![0xee; len];
            open_part(&key, &stored[at..at + len], at, &mut piece);
            assert_eq!(piece, plain[at..at + len], "{at}");
        }
    }

    #[test]
    fn nothing_of_a_refused_message_stays() {
        let mut sealed = vec![3; 100];
        seal(&[1; 32], ONE_TIME, b"", &mut sealed);
        let mut plain = vec![9; 100];
        assert!(open_into(&[2; 32], ONE_TIME, b"", &sealed, &mut plain).is_none());
        assert_eq!(plain, [0; 100]);
        let mut short = vec![9; 99];
        assert!(open_into(&[1; 32], ONE_TIME, b"", &sealed, &mut short).is_none());
        assert_eq!(short, [0; 99]);
        assert!(open(&[2; 32], ONE_TIME, b"", &mut sealed).is_none());
        assert!(sealed.iter().all(|byte| *byte == 0));
        assert!(open(&[1; 32], ONE_TIME, b"", &mut vec![1; TAG_LEN - 1]).is_none());
    }
}
