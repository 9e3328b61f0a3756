//! The cipher of AWS-LC. Its assembly keeps the stream and the authenticator of a block in flight
//! together, and so takes half the time of `portable`. The copy of the key inside it is
//! wiped when it is freed.

use super::tag::TAG_LEN;
use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};

const TOO_LONG: &str = "a block is far shorter than the cipher's 256 GiB";

fn cipher(key: &[u8; 32]) -> LessSafeKey {
    LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key).expect("the cipher's keys are of 32 bytes"))
}

/// Seals from one place to another of the same length.
pub(super) fn seal(
    key: &[u8; 32],
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

pub(super) fn seal_in_place(key: &[u8; 32], nonce: [u8; 12], aad: &[u8], bytes: &mut [u8]) -> [u8; TAG_LEN] {
    let (nonce, mut tag) = (Nonce::assume_unique_for_key(nonce), [0; TAG_LEN]);
    cipher(key)
        .seal_in_place_scatter(nonce, Aad::from(aad), bytes, &[], &mut tag)
        .expect(TOO_LONG);
    tag
}

/// Opens from one place to another of the same length, which holds anything if the tag is wrong.
pub(super) fn open(
    key: &[u8; 32],
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
    key: &[u8; 32],
    nonce: [u8; 12],
    aad: &[u8],
    tag: &[u8; TAG_LEN],
    bytes: &mut [u8],
) -> bool {
    let nonce = Nonce::assume_unique_for_key(nonce);
    let opened = cipher(key).open_in_place_separate_tag(nonce, Aad::from(aad), tag, bytes);
    opened.is_ok()
}
