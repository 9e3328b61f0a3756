//! The cipher of RustCrypto, for builds without the feature `aws-lc`, and the measure of the
//! other one in tests.

use super::tag::TAG_LEN;
use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit};

const TOO_LONG: &str = "a block is far shorter than the cipher's 256 GiB";

fn cipher(key: &[u8; 32]) -> ChaCha20Poly1305 {
    ChaCha20Poly1305::new(&(*key).into())
}

/// Seals from one place to another of the same length.
pub(super) fn seal(
    key: &[u8; 32],
    nonce: [u8; 12],
    aad: &[u8],
    plain: &[u8],
    sealed: &mut [u8],
) -> [u8; TAG_LEN] {
    let between = InOutBuf::new(plain, sealed).expect("both are of one length");
    let tag = cipher(key).encrypt_inout_detached(&nonce.into(), aad, between);
    tag.expect(TOO_LONG).into()
}

pub(super) fn seal_in_place(key: &[u8; 32], nonce: [u8; 12], aad: &[u8], bytes: &mut [u8]) -> [u8; TAG_LEN] {
    let tag = cipher(key).encrypt_inout_detached(&nonce.into(), aad, bytes.into());
    tag.expect(TOO_LONG).into()
}

/// Opens from one place to another of the same length, which holds anything if the tag is wrong.
pub(super) fn open(
    key: &[u8; 32],
    nonce: [u8; 12],
    aad: &[u8],
    (sealed, tag): (&[u8], &[u8; TAG_LEN]),
    plain: &mut [u8],
) -> bool {
    let Ok(between) = InOutBuf::new(sealed, plain) else {
        return false;
    };
    let opened = cipher(key).decrypt_inout_detached(&nonce.into(), aad, between, &(*tag).into());
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
    let opened = cipher(key).decrypt_inout_detached(&nonce.into(), aad, bytes.into(), &(*tag).into());
    opened.is_ok()
}
