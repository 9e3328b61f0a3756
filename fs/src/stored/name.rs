//! A name as a directory's B+tree orders it.

use crate::Name;

/// Place of a name in its directory's order: keyed hash, then the name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct DirKey {
    pub(crate) hash: u32,
    pub(crate) name: Name,
}

/// Bits of a name's hash: with the slot of a name among those of one hash they make a cookie of 31
/// (namespace/slots.rs).
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

#[cfg(test)]
mod tests {
    use super::*;

    fn key(hash: u32, name: &[u8]) -> DirKey {
        let name = Name::new(name).unwrap();
        DirKey { hash, name }
    }

    #[test]
    fn a_hash_is_of_the_name_and_the_secret_alone() {
        let name = Name::new(b"file").unwrap();
        let hash = DirKey::new(&[1; 32], &name).hash;
        let full = blake3::keyed_hash(&[1; 32], b"file");
        let first = u32::from_be_bytes(full.as_bytes()[..4].try_into().unwrap());
        assert_eq!(hash, first >> 5);
        assert_ne!(hash, DirKey::new(&[2; 32], &name).hash);
        assert_ne!(hash, DirKey::new(&[1; 32], &Name::new(b"File").unwrap()).hash);
        assert!((1..1 << HASH_BITS).contains(&hash));
    }

    #[test]
    fn keys_are_ordered_by_hash_and_then_by_name_as_their_bytes_are() {
        let keys = [
            key(1, b"z"),
            key(2, b"a"),
            key(2, b"ab"),
            key(2, b"b"),
            key(300, b"a"),
        ];
        assert!(keys.is_sorted());
        let encoded: Vec<_> = keys.iter().map(DirKey::encode).collect();
        assert!(encoded.is_sorted());
        assert_eq!(encoded[4], b"\0\0\x01\x2ca");
        for (key, bytes) in keys.iter().zip(encoded) {
            assert_eq!(DirKey::decode(&bytes).as_ref(), Some(key));
        }
    }

    #[test]
    fn what_is_no_hash_and_name_is_no_key() {
        let last = (1u32 << HASH_BITS) - 1;
        assert!(DirKey::decode(&key(last, b"x").encode()).is_some());
        for (hash, name) in [
            (0, &b"x"[..]),
            (last + 1, b"x"),
            (u32::MAX, b"x"),
            (1, b""),
            (1, b".."),
            (1, b"a/b"),
            (1, &[b'x'; 256]),
        ] {
            let bytes = [&hash.to_be_bytes()[..], name].concat();
            assert!(DirKey::decode(&bytes).is_none(), "{hash} {}", name.escape_ascii());
        }
        assert!(DirKey::decode(&[0, 0, 1]).is_none());
    }
}
