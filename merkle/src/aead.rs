//! Sealing and opening, in place or from one place to another, with the cipher of the key's suite:
//! ChaCha20-Poly1305 (RFC 8439) or AES-256-GCM (NIST SP 800-38D).
//!
//! A tag of Poly1305 or GHASH alone fixes neither key nor cipher: the holder of two keys can make
//! a ciphertext that opens under both, and one key can do for both ciphers. So a hash of its key
//! and its cipher's name stands behind the tag of every block. The hash opens nothing, and names
//! the one key and cipher that do. A block thus means one thing, whichever party made it, and a
//! proof that discloses a key discloses the only one.

#[cfg(feature = "aws-lc")]
mod aws_lc;
mod key;
#[cfg(any(test, not(feature = "aws-lc")))]
mod portable;
mod tag;

pub(crate) use key::AeadKey;
pub(crate) use tag::TAG_LEN;

use crate::Suite;
use aes::Aes256;
use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher, StreamCipherSeek};
use ctr::Ctr32BE;

#[cfg(feature = "aws-lc")]
use aws_lc as cipher;
#[cfg(not(feature = "aws-lc"))]
use portable as cipher;

/// The nonce of keys that seal one message only.
pub(crate) const ONE_TIME: [u8; 12] = [0; 12];

/// Stored bytes of a block beyond its plaintext: tag and commitment.
pub(crate) const OVERHEAD: usize = TAG_LEN + COMMITMENT_LEN;
const COMMITMENT_LEN: usize = 32;
/// Bytes of ChaCha20's key stream before those of the message: the first block is the key of the
/// authenticator (RFC 8439, section 2.8).
const CHACHA_BEFORE: u64 = 64;
/// The counter of a GCM message's first block. The one before it masks the tag (NIST SP 800-38D,
/// section 7.1).
const GCM_FIRST: u32 = 2;

/// What stands behind the tag of a block: it tells key and cipher from all others, and nothing of
/// the key.
fn commitment(key: AeadKey<'_>) -> [u8; COMMITMENT_LEN] {
    let context: &[u8] = match key.suite {
        Suite::ChaCha20Poly1305 => b"cairn 2026-11 commitment chacha20-poly1305",
        Suite::Aes256Gcm => b"cairn 2026-11 commitment aes-256-gcm",
    };
    *blake3::keyed_hash(key.bytes, context).as_bytes()
}

/// What `stored` holds before its commitment to `key`; `None` if it is to another key.
fn committed<'a>(key: AeadKey<'_>, stored: &'a [u8]) -> Option<&'a [u8]> {
    let (sealed, found) = stored.split_last_chunk()?;
    (*found == commitment(key)).then_some(sealed)
}

/// Seals the content of a block, under a key that seals nothing else, so that no other key opens
/// it. Allocates only if `plain` has no [`OVERHEAD`] bytes of spare capacity.
pub(crate) fn seal_block(key: AeadKey<'_>, aad: &[u8], plain: &mut Vec<u8>) {
    seal(key, ONE_TIME, aad, plain);
    plain.extend_from_slice(&commitment(key));
}

/// As [`seal_block`], from one place to another: `stored` is [`OVERHEAD`] bytes longer than
/// `plain`.
///
/// # Panics
/// If it is not.
pub(crate) fn seal_block_into(key: AeadKey<'_>, aad: &[u8], plain: &[u8], stored: &mut [u8]) {
    let (ciphertext, rest) = stored.split_at_mut(plain.len());
    let tag = cipher::seal(key, ONE_TIME, aad, plain, ciphertext);
    let (tag_place, commitment_place) = rest.split_at_mut(TAG_LEN);
    tag_place.copy_from_slice(&tag);
    commitment_place.copy_from_slice(&commitment(key));
}

/// The counterpart of [`seal_block`].
pub(crate) fn open_block(key: AeadKey<'_>, aad: &[u8], stored: &mut Vec<u8>) -> Option<()> {
    let len = committed(key, stored)?.len();
    stored.truncate(len);
    open(key, ONE_TIME, aad, stored)
}

/// As [`open_block`], from one place to another: `plain` holds the plaintext, or zeros if `stored`
/// is refused. `None` also when `plain` is not as long as the plaintext.
pub(crate) fn open_block_into(key: AeadKey<'_>, aad: &[u8], stored: &[u8], plain: &mut [u8]) -> Option<()> {
    let opened = committed(key, stored).and_then(|sealed| open_into(key, ONE_TIME, aad, sealed, plain));
    if opened.is_none() {
        plain.fill(0);
    }
    opened
}

/// Turns `plain` into ciphertext and tag. Allocates only if `plain` has no [`TAG_LEN`] bytes of
/// spare capacity.
pub(crate) fn seal(key: AeadKey<'_>, nonce: [u8; 12], aad: &[u8], plain: &mut Vec<u8>) {
    let tag = cipher::seal_in_place(key, nonce, aad, plain);
    plain.extend_from_slice(&tag);
}

/// Turns ciphertext and tag into the plaintext, or leaves `sealed` without any plaintext in it.
pub(crate) fn open(key: AeadKey<'_>, nonce: [u8; 12], aad: &[u8], sealed: &mut Vec<u8>) -> Option<()> {
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
pub(crate) fn seal_into(key: AeadKey<'_>, nonce: [u8; 12], aad: &[u8], plain: &[u8], sealed: &mut [u8]) {
    let (ciphertext, tag_place) = sealed.split_at_mut(plain.len());
    let tag = cipher::seal(key, nonce, aad, plain, ciphertext);
    tag_place.copy_from_slice(&tag);
}

/// As [`open`], from one place to another.
pub(crate) fn open_into(
    key: AeadKey<'_>,
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
pub(crate) fn open_part(key: AeadKey<'_>, sealed: &[u8], at: usize, plain: &mut [u8]) {
    match key.suite {
        Suite::ChaCha20Poly1305 => {
            let mut stream = ChaCha20::new(key.bytes.into(), &ONE_TIME.into());
            stream.seek(CHACHA_BEFORE + at as u64);
            stream.apply_keystream_b2b(sealed, plain);
        }
        Suite::Aes256Gcm => {
            let mut first = [0; 16];
            first[..12].copy_from_slice(&ONE_TIME);
            first[12..].copy_from_slice(&GCM_FIRST.to_be_bytes());
            let mut stream = Ctr32BE::<Aes256>::new(key.bytes.into(), &first.into());
            stream.seek(at as u64);
            stream.apply_keystream_b2b(sealed, plain);
        }
    }
}

#[cfg(test)]
mod tests;
