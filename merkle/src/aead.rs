//! ChaCha20-Poly1305 (RFC 8439) in place, the one cipher of the format.

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit};

/// Length of the tag behind every ciphertext.
pub(crate) const TAG_LEN: usize = 16;

/// The nonce of keys that seal one message only.
pub(crate) const ONE_TIME: [u8; 12] = [0; 12];

/// Turns `plain` into ciphertext and tag. Allocates only if `plain` has no [`TAG_LEN`] bytes of spare capacity.
pub(crate) fn seal(key: &[u8; 32], nonce: [u8; 12], aad: &[u8], plain: &mut Vec<u8>) {
    ChaCha20Poly1305::new(&(*key).into())
        .encrypt_in_place(&nonce.into(), aad, plain)
        .expect("a block is far shorter than the cipher's 256 GiB");
}

/// Turns ciphertext and tag into the plaintext, or leaves `sealed` without any plaintext in it.
pub(crate) fn open(key: &[u8; 32], nonce: [u8; 12], aad: &[u8], sealed: &mut Vec<u8>) -> Option<()> {
    ChaCha20Poly1305::new(&(*key).into())
        .decrypt_in_place(&nonce.into(), aad, sealed)
        .ok()
}

/// As [`open`], from one place to another: `plain` holds the plaintext, or zeros if `sealed` is refused. `None` also
/// when `plain` is not as long as the plaintext.
pub(crate) fn open_into(
    key: &[u8; 32],
    nonce: [u8; 12],
    aad: &[u8],
    sealed: &[u8],
    plain: &mut [u8],
) -> Option<()> {
    let (ciphertext, tag) = sealed.split_last_chunk::<TAG_LEN>()?;
    let between = InOutBuf::new(ciphertext, plain).ok()?;
    let opened = ChaCha20Poly1305::new(&(*key).into()).decrypt_inout_detached(
        &nonce.into(),
        aad,
        between,
        &(*tag).into(),
    );
    opened.inspect_err(|_| plain.fill(0)).ok()
}
