//! The ciphers of RustCrypto, for builds without the feature `aws-lc`, and the measure of the
//! others in tests. They take constant time on every processor.

use super::key::AeadKey;
use super::tag::TAG_LEN;
use crate::Suite;
use aes_gcm::Aes256Gcm;
use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::aead::{AeadInOut, Nonce, Tag};
use chacha20poly1305::{ChaCha20Poly1305, KeyInit};

/// Runs `$run` with `$cipher` as the cipher of `$key`: they are types, and a suite is a value.
macro_rules! with {
    ($key:expr, $cipher:ident => $run:expr) => {
        match $key.suite {
            Suite::ChaCha20Poly1305 => {
                let $cipher = ChaCha20Poly1305::new($key.bytes.into());
                $run
            }
            Suite::Aes256Gcm => {
                let $cipher = Aes256Gcm::new($key.bytes.into());
                $run
            }
        }
    };
}

/// Seals from one place to another of the same length.
pub(super) fn seal(
    key: AeadKey<'_>,
    nonce: [u8; 12],
    aad: &[u8],
    plain: &[u8],
    sealed: &mut [u8],
) -> [u8; TAG_LEN] {
    let between = InOutBuf::new(plain, sealed).expect("both are of one length");
    with!(key, cipher => encrypt(&cipher, nonce, aad, between))
}

pub(super) fn seal_in_place(
    key: AeadKey<'_>,
    nonce: [u8; 12],
    aad: &[u8],
    bytes: &mut [u8],
) -> [u8; TAG_LEN] {
    with!(key, cipher => encrypt(&cipher, nonce, aad, bytes.into()))
}

/// Opens from one place to another of the same length, which holds anything if the tag is wrong.
pub(super) fn open(
    key: AeadKey<'_>,
    nonce: [u8; 12],
    aad: &[u8],
    (sealed, tag): (&[u8], &[u8; TAG_LEN]),
    plain: &mut [u8],
) -> bool {
    let Ok(between) = InOutBuf::new(sealed, plain) else {
        return false;
    };
    with!(key, cipher => decrypt(&cipher, nonce, aad, between, tag))
}

/// As [`open`], in place.
pub(super) fn open_in_place(
    key: AeadKey<'_>,
    nonce: [u8; 12],
    aad: &[u8],
    tag: &[u8; TAG_LEN],
    bytes: &mut [u8],
) -> bool {
    with!(key, cipher => decrypt(&cipher, nonce, aad, bytes.into(), tag))
}

fn encrypt<C>(cipher: &C, nonce: [u8; 12], aad: &[u8], bytes: InOutBuf<'_, '_, u8>) -> [u8; TAG_LEN]
where
    C: AeadInOut,
    Nonce<C>: From<[u8; 12]>,
    [u8; TAG_LEN]: From<Tag<C>>,
{
    let tag = cipher.encrypt_inout_detached(&nonce.into(), aad, bytes);
    tag.expect("a block is far shorter than the ciphers' 64 GiB")
        .into()
}

fn decrypt<C>(
    cipher: &C,
    nonce: [u8; 12],
    aad: &[u8],
    bytes: InOutBuf<'_, '_, u8>,
    tag: &[u8; TAG_LEN],
) -> bool
where
    C: AeadInOut,
    Nonce<C>: From<[u8; 12]>,
    Tag<C>: From<[u8; TAG_LEN]>,
{
    let opened = cipher.decrypt_inout_detached(&nonce.into(), aad, bytes, &(*tag).into());
    opened.is_ok()
}
