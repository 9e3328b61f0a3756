//! The ciphers of AWS-LC. Its assembly keeps the stream and the authenticator of a block in flight
//! together, and so takes half the time of `portable`. Without instructions for AES it computes
//! AES and GHASH without tables, in constant time. The copy of the key inside it is wiped when it
//! is freed.

use super::key::AeadKey;
use super::tag::TAG_LEN;
use crate::Suite;
use aws_lc_rs::aead::{AES_256_GCM, Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

const TOO_LONG: &str = "a block is far shorter than the ciphers' 64 GiB";

fn cipher(key: AeadKey<'_>) -> LessSafeKey {
    let algorithm = match key.suite {
        Suite::ChaCha20Poly1305 => &CHACHA20_POLY1305,
        Suite::Aes256Gcm => &AES_256_GCM,
    };
    LessSafeKey::new(UnboundKey::new(algorithm, key.bytes).expect("the ciphers' keys are of 32 bytes"))
}

/// Seals from one place to another of the same length.
pub(super) fn seal(
    key: AeadKey<'_>,
    nonce: [u8; 12],
    aad: &[u8],
    plain: &[u8],
    sealed: &mut [u8],
) -> [u8; TAG_LEN] {
    let (nonce, mut tag) = (Nonce::assume_unique_for_key(nonce), [0; TAG_LEN]);
    cipher(key)
        .seal_out_of_place_scatter(nonce, Aad::from(aad), plain, sealed, &[], &mut tag)
        .expect(TOO_LONG);
    tag
}

pub(super) fn seal_in_place(
    key: AeadKey<'_>,
    nonce: [u8; 12],
    aad: &[u8],
    bytes: &mut [u8],
) -> [u8; TAG_LEN] {
    let (nonce, mut tag) = (Nonce::assume_unique_for_key(nonce), [0; TAG_LEN]);
    cipher(key)
        .seal_in_place_scatter(nonce, Aad::from(aad), bytes, &[], &mut tag)
        .expect(TOO_LONG);
    tag
}

/// Opens from one place to another of the same length, which holds anything if the tag is wrong.
pub(super) fn open(
    key: AeadKey<'_>,
    nonce: [u8; 12],
    aad: &[u8],
    (sealed, tag): (&[u8], &[u8; TAG_LEN]),
    plain: &mut [u8],
) -> bool {
    let nonce = Nonce::assume_unique_for_key(nonce);
    let opened = cipher(key).open_separate_gather(nonce, Aad::from(aad), sealed, tag, plain);
    opened.is_ok()
}

/// As [`open`], in place.
pub(super) fn open_in_place(
    key: AeadKey<'_>,
    nonce: [u8; 12],
    aad: &[u8],
    tag: &[u8; TAG_LEN],
    bytes: &mut [u8],
) -> bool {
    let nonce = Nonce::assume_unique_for_key(nonce);
    let opened = cipher(key).open_in_place_separate_tag(nonce, Aad::from(aad), tag, bytes);
    opened.is_ok()
}
