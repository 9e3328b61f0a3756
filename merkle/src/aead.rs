//! ChaCha20-Poly1305 (RFC 8439) in place, the one cipher of the format.

use chacha20poly1305::aead::AeadInOut;
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
