//! Keys, which leave memory when dropped and never print themselves.
//!
//! ```text
//!  key file or passphrase --> Kek --unwraps a slot of the header--> VolumeKey --derive--> SubKey
//!  randomness ----------------------------------------------------> BlockKey (one block each)
//! ```

use rand::CryptoRng;
use std::fmt;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The key of one block, drawn at random and never used for another.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct BlockKey([u8; 32]);

/// The key of a volume. Seals nothing itself: all else is derived from it. A clone is for another reader of the same
/// volume in this process, and leaves memory on its own.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct VolumeKey([u8; 32]);

/// A key for one purpose, derived from a [`VolumeKey`].
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SubKey([u8; 32]);

/// Opens the body of one node and nothing below it: what a proof discloses.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct BodyKey([u8; 32]);

/// What the key of a node turns into.
pub(crate) struct NodeKeys {
    /// Seals the secrets of its links.
    pub(crate) secrets: SubKey,
    /// Seals all else.
    pub(crate) body: BodyKey,
}

/// A key-encryption key: what a key file holds, or what a passphrase stretches to.
#[derive(Zeroize, ZeroizeOnDrop)]
pub struct Kek([u8; 32]);

impl BlockKey {
    /// A fresh key.
    pub fn random(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        Self(draw(rng))
    }

    /// A key read from a link's secret part.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key itself.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The keys of a node that this is the key of.
    pub(crate) fn node_keys(&self) -> NodeKeys {
        node_keys(&self.0)
    }
}

impl BodyKey {
    /// A key that a proof discloses.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key itself.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl VolumeKey {
    /// A fresh key.
    pub fn random(rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        Self(draw(rng))
    }

    /// A key that was kept elsewhere.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key of one purpose. `context` is a fixed string of the format, `cairn 2026-11 …`, so that no two
    /// purposes ever share a key; `salt` tells apart the uses within one.
    pub fn derive(&self, context: &'static str, salt: &[u8]) -> SubKey {
        SubKey(derive(context, &self.0, salt))
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl SubKey {
    /// A key of a narrower purpose.
    pub fn derive(&self, context: &'static str, salt: &[u8]) -> SubKey {
        SubKey(derive(context, &self.0, salt))
    }

    /// The keys of a node that this is the key of.
    pub(crate) fn node_keys(&self) -> NodeKeys {
        node_keys(&self.0)
    }

    /// BLAKE3 of `bytes`, keyed.
    pub fn mac(&self, bytes: &[u8]) -> [u8; 32] {
        *blake3::keyed_hash(&self.0, bytes).as_bytes()
    }

    /// The key itself.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl Kek {
    /// The 32 bytes of a key file, or Argon2id's output.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The key that wraps the volume key in the slot with this salt.
    pub(crate) fn wrapping_key(&self, salt: &[u8; 32]) -> SubKey {
        SubKey(derive("cairn 2026-11 key slot", &self.0, salt))
    }
}

fn draw(rng: &mut (impl CryptoRng + ?Sized)) -> [u8; 32] {
    let mut bytes = [0; 32];
    rng.fill_bytes(&mut bytes);
    bytes
}

fn derive(context: &'static str, key: &[u8; 32], salt: &[u8]) -> [u8; 32] {
    // The key's length is fixed, so key and salt need no separator.
    let mut hasher = blake3::Hasher::new_derive_key(context);
    hasher.update(key).update(salt);
    *hasher.finalize().as_bytes()
}

/// One output of BLAKE3 is 64 bytes: both keys for the price of one.
fn node_keys(key: &[u8; 32]) -> NodeKeys {
    let mut output = [0; 64];
    blake3::Hasher::new_derive_key("cairn 2026-11 node")
        .update(key)
        .finalize_xof()
        .fill(&mut output);
    let (secrets, body) = output.split_first_chunk().expect("64 bytes begin with 32");
    let keys = NodeKeys {
        secrets: SubKey(*secrets),
        body: BodyKey(*body.first_chunk().expect("the other 32 are left")),
    };
    output.zeroize();
    keys
}

/// Gives each key a comparison in constant time and a `Debug` that tells nothing.
macro_rules! secret {
    ($($key:ident),*) => {$(
        impl PartialEq for $key {
            fn eq(&self, other: &Self) -> bool {
                self.0.ct_eq(&other.0).into()
            }
        }

        impl Eq for $key {}

        impl fmt::Debug for $key {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($key), "(..)"))
            }
        }
    )*};
}

secret!(BlockKey, VolumeKey, SubKey, BodyKey, Kek);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_prints_nothing_of_itself() {
        assert_eq!(
            format!("{:?}", VolumeKey::from_bytes([0xab; 32])),
            "VolumeKey(..)"
        );
        assert_eq!(format!("{:?}", BlockKey::from_bytes([0xab; 32])), "BlockKey(..)");
    }

    #[test]
    fn context_key_and_salt_all_change_what_is_derived() {
        let key = VolumeKey::from_bytes([1; 32]);
        let derived = key.derive("cairn 2026-11 test", b"salt");
        assert_eq!(derived, key.derive("cairn 2026-11 test", b"salt"));
        assert_ne!(derived, key.derive("cairn 2026-11 other", b"salt"));
        assert_ne!(derived, key.derive("cairn 2026-11 test", b"sal"));
        assert_ne!(
            derived,
            VolumeKey::from_bytes([2; 32]).derive("cairn 2026-11 test", b"salt")
        );
    }
}
