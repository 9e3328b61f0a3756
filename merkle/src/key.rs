//! Keys, which leave memory when dropped and never print themselves.
//!
//! ```text
//!  key file or passphrase --> Kek --unwraps a slot of the header--> VolumeKey --derive--> SubKey
//!  randomness ----------------------------------------------------> BlockKey (one block each)
//! ```
//!
//! - *Keys that open everything* ([`Kek`], [`VolumeKey`] and the log's) each lie once, in a
//!   locked page of their own. They are made in it, a clone is a reference to it, and it is wiped
//!   with the last one.
//! - *Keys that open one thing* are made and dropped by the thousand, and lie with their owner.

mod page;

use page::Page;
pub(crate) use page::leaving_no_trace;
use rand::CryptoRng;
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The key of one block, drawn at random and never used for another.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct BlockKey([u8; 32]);

/// The key of a volume. Seals nothing itself: all else is derived from it.
#[derive(Clone)]
pub struct VolumeKey(Locked);

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
#[derive(Clone)]
pub struct Kek(Locked);

/// A key in a page of its own.
#[derive(Clone)]
pub(crate) struct Locked(Arc<Page>);

impl Locked {
    fn try_filled<E>(fill: impl FnOnce(&mut [u8; 32]) -> Result<(), E>) -> Result<Self, E> {
        let page = leaving_no_trace(|| Page::filled(fill))?;
        Ok(Self(Arc::new(page)))
    }

    fn filled(fill: impl FnOnce(&mut [u8; 32])) -> Self {
        let made = Self::try_filled(|bytes| {
            fill(bytes);
            Ok::<_, Infallible>(())
        });
        match made {
            Ok(key) => key,
            Err(never) => match never {},
        }
    }

    pub(crate) fn derive(&self, context: &'static str, salt: &[u8]) -> SubKey {
        let mut key = SubKey([0; 32]);
        leaving_no_trace(|| derive(context, self.as_bytes(), salt, &mut key.0));
        key
    }

    fn as_bytes(&self) -> &[u8; 32] {
        self.0.bytes()
    }
}

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
        Self(Locked::filled(|bytes| rng.fill_bytes(bytes)))
    }

    /// A key that was kept elsewhere: for tests, since the argument is a copy on the stack.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Locked::filled(|place| *place = bytes))
    }

    /// A key that `fill` writes to where it stays.
    pub(crate) fn try_filled<E>(fill: impl FnOnce(&mut [u8; 32]) -> Result<(), E>) -> Result<Self, E> {
        Locked::try_filled(fill).map(Self)
    }

    /// The key of one purpose. `context` is a fixed string of the format, `cairn 2026-11 …`, so
    /// that no two purposes ever share a key; `salt` tells apart the uses within one.
    pub fn derive(&self, context: &'static str, salt: &[u8]) -> SubKey {
        self.0.derive(context, salt)
    }

    /// The same for a purpose that lasts as long as the volume is open.
    pub(crate) fn derive_locked(&self, context: &'static str, salt: &[u8]) -> Locked {
        Locked::filled(|key| derive(context, self.as_bytes(), salt, key))
    }

    /// The key itself, for tests that look for copies of it.
    #[cfg(feature = "testing")]
    pub fn reveal(&self) -> [u8; 32] {
        *self.as_bytes()
    }

    /// Whether the kernel keeps the key out of swap; it refuses where `RLIMIT_MEMLOCK` is used up.
    pub fn is_locked(&self) -> bool {
        self.0.0.is_locked()
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }
}

impl SubKey {
    /// A key of a narrower purpose.
    pub fn derive(&self, context: &'static str, salt: &[u8]) -> SubKey {
        let mut key = SubKey([0; 32]);
        derive(context, &self.0, salt, &mut key.0);
        key
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
    /// The 32 bytes of a key file, or Argon2id's output: for tests, since the argument is a copy on
    /// the stack.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Locked::filled(|place| *place = bytes))
    }

    /// The same, written by `fill` to where they stay.
    ///
    /// # Errors
    /// What `fill` fails with: then there is no key.
    pub fn try_filled<E>(fill: impl FnOnce(&mut [u8; 32]) -> Result<(), E>) -> Result<Self, E> {
        Locked::try_filled(fill).map(Self)
    }

    /// The key itself.
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// The key that wraps the volume key in the slot with this salt.
    pub(crate) fn wrapping_key(&self, salt: &[u8; 32]) -> SubKey {
        self.0.derive("cairn 2026-11 key slot", salt)
    }
}

fn draw(rng: &mut (impl CryptoRng + ?Sized)) -> [u8; 32] {
    let mut bytes = [0; 32];
    rng.fill_bytes(&mut bytes);
    bytes
}

fn derive(context: &'static str, key: &[u8; 32], salt: &[u8], derived: &mut [u8; 32]) {
    // The key's length is fixed, so key and salt need no separator.
    let mut hasher = blake3::Hasher::new_derive_key(context);
    hasher.update(key).update(salt);
    hasher.finalize_xof().fill(derived);
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
                self.as_bytes().ct_eq(other.as_bytes()).into()
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

secret!(BlockKey, VolumeKey, SubKey, BodyKey, Kek, Locked);

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
    fn a_clone_of_a_key_is_the_same_memory() {
        let key = VolumeKey::from_bytes([0xab; 32]);
        assert!(std::ptr::eq(key.clone().as_bytes(), key.as_bytes()));
        let kek = Kek::from_bytes([0xab; 32]);
        assert!(std::ptr::eq(kek.clone().as_bytes(), kek.as_bytes()));
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
