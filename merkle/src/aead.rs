//! ChaCha20-Poly1305 (RFC 8439) in place, the one cipher of the format.
//!
//! A tag of Poly1305 alone does not fix the key: whoever knows two keys can make a ciphertext that opens under both.
//! Behind the tag of every block therefore stands a hash of its key, which opens nothing and names the one key that
//! does. So a block means one thing, whoever made it, and a proof that discloses a key discloses the only one there is.

use chacha20poly1305::aead::AeadInOut;
use chacha20poly1305::aead::inout::InOutBuf;
use chacha20poly1305::{ChaCha20Poly1305, KeyInit};

/// Length of the tag behind every ciphertext.
pub(crate) const TAG_LEN: usize = 16;

/// The nonce of keys that seal one message only.
pub(crate) const ONE_TIME: [u8; 12] = [0; 12];

/// Stored bytes of a block beyond its plaintext: tag and commitment.
pub(crate) const OVERHEAD: usize = TAG_LEN + COMMITMENT_LEN;
const COMMITMENT_LEN: usize = 32;

/// What stands behind the tag of a block: it tells the key from all others and nothing of the key.
fn commitment(key: &[u8; 32]) -> [u8; COMMITMENT_LEN] {
    *blake3::keyed_hash(key, b"cairn 2026-11 commitment").as_bytes()
}

/// What `stored` holds before its commitment to `key`; `None` if it is to another key.
fn committed<'a>(key: &[u8; 32], stored: &'a [u8]) -> Option<&'a [u8]> {
    let (sealed, found) = stored.split_last_chunk()?;
    (*found == commitment(key)).then_some(sealed)
}

/// Seals the content of a block, under a key that seals nothing else, so that no other key opens it. Allocates only
/// if `plain` has no [`OVERHEAD`] bytes of spare capacity.
pub(crate) fn seal_block(key: &[u8; 32], aad: &[u8], plain: &mut Vec<u8>) {
    seal(key, ONE_TIME, aad, plain);
    plain.extend_from_slice(&commitment(key));
}

/// As [`seal_block`], from one place to another: `stored` is [`OVERHEAD`] bytes longer than `plain`.
///
/// # Panics
/// If it is not.
pub(crate) fn seal_block_into(key: &[u8; 32], aad: &[u8], plain: &[u8], stored: &mut [u8]) {
    let (ciphertext, rest) = stored.split_at_mut(plain.len());
    let between = InOutBuf::new(plain, ciphertext).expect("they were split to be of one length");
    let tag = ChaCha20Poly1305::new(&(*key).into())
        .encrypt_inout_detached(&ONE_TIME.into(), aad, between)
        .expect("a block is far shorter than the cipher's 256 GiB");
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

/// As [`open_block`], from one place to another: `plain` holds the plaintext, or zeros if `stored` is refused. `None`
/// also when `plain` is not as long as the plaintext.
pub(crate) fn open_block_into(key: &[u8; 32], aad: &[u8], stored: &[u8], plain: &mut [u8]) -> Option<()> {
    let opened = committed(key, stored).and_then(|sealed| open_into(key, ONE_TIME, aad, sealed, plain));
    if opened.is_none() {
        plain.fill(0);
    }
    opened
}

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

/// As [`open`], from one place to another.
fn open_into(key: &[u8; 32], nonce: [u8; 12], aad: &[u8], sealed: &[u8], plain: &mut [u8]) -> Option<()> {
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
}
