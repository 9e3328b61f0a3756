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
//!
//! **Invariant:** each key of a volume carries the volume's cipher, from the header's slot down to
//! the last link. So no key is used with two ciphers, and no caller can name another one.

mod page;

use crate::Suite;
use crate::aead::AeadKey;
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
pub struct BlockKey {
    bytes: [u8; 32],
    #[zeroize(skip)]
    suite: Suite,
}

/// The key of a volume. Seals nothing itself: all else is derived from it.
#[derive(Clone)]
pub struct VolumeKey {
    locked: Locked,
    suite: Suite,
}

/// A key for one purpose, derived from a [`VolumeKey`].
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SubKey {
    bytes: [u8; 32],
    #[zeroize(skip)]
    suite: Suite,
}

/// Opens the body of one node and nothing below it: what a proof discloses.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct BodyKey {
    bytes: [u8; 32],
    #[zeroize(skip)]
    suite: Suite,
}

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

    /// A key of one purpose, for the cipher given.
    pub(crate) fn derive(&self, suite: Suite, context: &'static str, salt: &[u8]) -> SubKey {
        let mut key = SubKey::zero(suite);
        leaving_no_trace(|| derive(context, self.as_bytes(), salt, &mut key.bytes));
        key
    }

    fn as_bytes(&self) -> &[u8; 32] {
        self.0.bytes()
    }
}

impl BlockKey {
    /// A fresh key.
    pub fn random(suite: Suite, rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        let bytes = draw(rng);
        Self { bytes, suite }
    }

    /// A key read from a link's secret part, in a volume of this cipher.
    pub fn from_bytes(suite: Suite, bytes: [u8; 32]) -> Self {
        Self { bytes, suite }
    }

    /// The key itself.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// The key with its cipher.
    pub(crate) fn aead(&self) -> AeadKey<'_> {
        aead_key(self.suite, &self.bytes)
    }

    /// The keys of a node that this is the key of.
    pub(crate) fn node_keys(&self) -> NodeKeys {
        node_keys(self.aead())
    }

    /// The key of a leaf of extents that this is the key of.
    pub(crate) fn extents_key(&self) -> SubKey {
        let mut key = SubKey::zero(self.suite);
        derive("cairn 2026-11 leaf of extents", &self.bytes, &[], &mut key.bytes);
        key
    }
}

impl BodyKey {
    /// A key that a proof discloses, of a volume of this cipher.
    pub fn from_bytes(suite: Suite, bytes: [u8; 32]) -> Self {
        Self { bytes, suite }
    }

    /// The key itself.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// The key with its cipher.
    pub(crate) fn aead(&self) -> AeadKey<'_> {
        aead_key(self.suite, &self.bytes)
    }
}

impl VolumeKey {
    /// A fresh key of a volume of this cipher.
    pub fn random(suite: Suite, rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        let locked = Locked::filled(|bytes| rng.fill_bytes(bytes));
        Self { locked, suite }
    }

    /// A key that was kept elsewhere: for tests, since the argument is a copy on the stack.
    pub fn from_bytes(suite: Suite, bytes: [u8; 32]) -> Self {
        let locked = Locked::filled(|place| *place = bytes);
        Self { locked, suite }
    }

    /// A key that `fill` writes to where it stays.
    pub(crate) fn try_filled<E>(
        suite: Suite,
        fill: impl FnOnce(&mut [u8; 32]) -> Result<(), E>,
    ) -> Result<Self, E> {
        Ok(Self {
            locked: Locked::try_filled(fill)?,
            suite,
        })
    }

    /// The cipher that everything in the volume is sealed with.
    pub fn suite(&self) -> Suite {
        self.suite
    }

    /// The key of one purpose. `context` is a fixed string of the format, `cairn 2026-11 …`, so
    /// that no two purposes ever share a key; `salt` tells apart the uses within one.
    pub fn derive(&self, context: &'static str, salt: &[u8]) -> SubKey {
        self.locked.derive(self.suite, context, salt)
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
        self.locked.0.is_locked()
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        self.locked.as_bytes()
    }
}

impl SubKey {
    /// Where a key is put.
    fn zero(suite: Suite) -> Self {
        let bytes = [0; 32];
        Self { bytes, suite }
    }

    /// A key of a narrower purpose.
    pub fn derive(&self, context: &'static str, salt: &[u8]) -> SubKey {
        let mut key = SubKey::zero(self.suite);
        derive(context, &self.bytes, salt, &mut key.bytes);
        key
    }

    /// The keys of a node that this is the key of.
    pub(crate) fn node_keys(&self) -> NodeKeys {
        node_keys(self.aead())
    }

    /// BLAKE3 of `bytes`, keyed.
    pub fn mac(&self, bytes: &[u8]) -> [u8; 32] {
        *blake3::keyed_hash(&self.bytes, bytes).as_bytes()
    }

    /// The key itself.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    /// The key with its cipher.
    pub(crate) fn aead(&self) -> AeadKey<'_> {
        aead_key(self.suite, &self.bytes)
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

    /// The key that wraps the volume key in the slot with this salt, in a volume of this cipher.
    pub(crate) fn wrapping_key(&self, suite: Suite, salt: &[u8; 32]) -> SubKey {
        self.0.derive(suite, "cairn 2026-11 key slot", salt)
    }
}

fn aead_key(suite: Suite, bytes: &[u8; 32]) -> AeadKey<'_> {
    AeadKey { suite, bytes }
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
fn node_keys(AeadKey { suite, bytes: key }: AeadKey<'_>) -> NodeKeys {
    let mut output = [0; 64];
    blake3::Hasher::new_derive_key("cairn 2026-11 node")
        .update(key)
        .finalize_xof()
        .fill(&mut output);
    let (secrets, body) = output.split_first_chunk().expect("64 bytes begin with 32");
    let keys = NodeKeys {
        secrets: SubKey {
            bytes: *secrets,
            suite,
        },
        body: BodyKey {
            bytes: *body.first_chunk().expect("the other 32 are left"),
            suite,
        },
    };
    output.zeroize();
    keys
}

/// Gives each key a comparison in constant time and a `Debug` that tells nothing. Ciphers are no
/// secret.
macro_rules! secret {
    ($($key:ident $(.$suite:ident)?),*) => {$(
        impl PartialEq for $key {
            fn eq(&self, other: &Self) -> bool {
                $(if self.$suite != other.$suite {
                    return false;
                })?
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

secret!(
    BlockKey.suite,
    VolumeKey.suite,
    SubKey.suite,
    BodyKey.suite,
    Kek,
    Locked
);

#[cfg(test)]
mod tests {
    use super::*;

    const SUITE: Suite = Suite::Aes256Gcm;

    #[test]
    fn a_key_prints_nothing_of_itself() {
        assert_eq!(
            format!("{:?}", VolumeKey::from_bytes(SUITE, [0xab; 32])),
            "VolumeKey(..)"
        );
        assert_eq!(
            format!("{:?}", BlockKey::from_bytes(SUITE, [0xab; 32])),
            "BlockKey(..)"
        );
    }

    #[test]
    fn a_clone_of_a_key_is_the_same_memory() {
        let key = VolumeKey::from_bytes(SUITE, [0xab; 32]);
        assert!(std::ptr::eq(key.clone().as_bytes(), key.as_bytes()));
        let kek = Kek::from_bytes([0xab; 32]);
        assert!(std::ptr::eq(kek.clone().as_bytes(), kek.as_bytes()));
    }

    #[test]
    fn context_key_and_salt_all_change_what_is_derived() {
        let key = VolumeKey::from_bytes(SUITE, [1; 32]);
        let derived = key.derive("cairn 2026-11 test", b"salt");
        assert_eq!(derived, key.derive("cairn 2026-11 test", b"salt"));
        assert_ne!(derived, key.derive("cairn 2026-11 other", b"salt"));
        assert_ne!(derived, key.derive("cairn 2026-11 test", b"sal"));
        assert_ne!(
            derived,
            VolumeKey::from_bytes(SUITE, [2; 32]).derive("cairn 2026-11 test", b"salt")
        );
    }

    #[test]
    fn every_key_of_a_volume_is_for_the_volumes_cipher() {
        for suite in Suite::ALL {
            let key = VolumeKey::from_bytes(suite, [1; 32]);
            let derived = key.derive("cairn 2026-11 test", b"salt");
            let keys = derived.node_keys();
            let wrapping = Kek::from_bytes([1; 32]).wrapping_key(suite, &[2; 32]);
            let block = BlockKey::from_bytes(suite, [3; 32]);
            let narrower = derived.derive("cairn 2026-11 test", b"");
            for aead in [
                derived.aead(),
                narrower.aead(),
                keys.secrets.aead(),
                keys.body.aead(),
                block.aead(),
                block.node_keys().secrets.aead(),
                wrapping.aead(),
            ] {
                assert_eq!(aead.suite, suite);
            }
        }
        let of = |suite| VolumeKey::from_bytes(suite, [1; 32]);
        assert_ne!(of(Suite::ALL[0]), of(Suite::ALL[1]));
    }
}
