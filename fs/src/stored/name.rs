//! A name as a directory's B+tree orders it.

use crate::Name;

/// Place of a name in its directory's order: keyed hash, then the name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct DirKey {
    pub(crate) hash: u32,
    pub(crate) name: Name,
}

/// Bits of a name's hash: with the slot of a name among those of one hash they make a cookie of 31 (namespace/slots.rs).
pub(crate) const HASH_BITS: u32 = 27;

impl DirKey {
    /// Key of a name in any directory of the volume whose key for names is `secret`.
    pub(crate) fn new(secret: &[u8; 32], name: &Name) -> Self {
        let hash = blake3::keyed_hash(secret, name.as_bytes());
        let (first, _) = hash.as_bytes().split_first_chunk().expect("a hash has 32 bytes");
        // Not 0: its cookies are those of `.` and `..`.
        Self {
            hash: (u32::from_be_bytes(*first) >> (32 - HASH_BITS)).max(1),
            name: name.clone(),
        }
    }

    /// Key in the directory's B+tree.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut key = self.hash.to_be_bytes().to_vec();
        key.extend_from_slice(self.name.as_bytes());
        key
    }

    pub(crate) fn decode(key: &[u8]) -> Option<Self> {
        let (hash, name) = key.split_first_chunk()?;
        let hash = u32::from_be_bytes(*hash);
        (1..1 << HASH_BITS).contains(&hash).then_some(Self {
            hash,
            name: Name::new(name).ok()?,
        })
    }
}
