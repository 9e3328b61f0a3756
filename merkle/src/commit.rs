//! The commit block: the root of the tree of one epoch.
//!
//! ```text
//!  stored: dag-cbor [1, [CIDs], secrets, sealed, volume id, epoch, previous root, salt]
//!                                 |        |    `------ clear, and associated data ---'
//!                                 |        `-- header hash, the filesystem's state
//!                                 `-- each link's secret
//! ```
//!
//! No link leads to this one block, so its key is derived from the volume key and a fresh salt.
//! From there on it is sealed as a node is. The previous root is plain bytes and no link: a walk
//! over one version does not enter all older ones.

use crate::aead;
use crate::clear::{self, StoredCommit, VERSION};
use crate::key::NodeKeys;
use crate::node::{clear_links, open_secrets, seal_secrets, with_room};
use crate::{BodyKey, Cid, Codec, Epoch, Error, Header, Link, MAX_STORED, Result, Sealed, VolumeKey};
use bytes::Bytes;
use rand::CryptoRng;
use serde_bytes::ByteArray;

const CONTEXT: &str = "cairn 2026-11 commit block";
const HEADER_HASH_LEN: usize = 32;

/// The root of one version of a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The volume it belongs to.
    pub volume_id: [u8; 16],
    /// Its number.
    pub epoch: Epoch,
    /// The commit before it.
    pub previous: Option<Cid>,
    /// Links to the trees of this version.
    pub links: Vec<Link>,
    /// [`Header::hash`] of the header it was made under.
    pub header_hash: [u8; 32],
    /// The filesystem's state, which this crate does not look into.
    pub body: Vec<u8>,
}

impl Commit {
    /// Seals the commit under a key derived from `key` and a fresh salt.
    ///
    /// # Panics
    /// If the stored block would exceed [`MAX_STORED`].
    pub fn seal(&self, rng: &mut (impl CryptoRng + ?Sized), key: &VolumeKey) -> Sealed {
        let mut salt = [0; 32];
        rng.fill_bytes(&mut salt);
        let keys = key.derive(CONTEXT, &salt).node_keys();
        let secrets = seal_secrets(&keys, &self.links);
        let mut sealed = with_room(&[&self.header_hash, &self.body]);
        let mut stored = StoredCommit(
            VERSION,
            clear_links(&self.links),
            serde_bytes::Bytes::new(&secrets),
            serde_bytes::Bytes::new(&[]),
            ByteArray::new(self.volume_id),
            self.epoch.0,
            self.previous.map(|cid| ByteArray::new(cid.to_bytes())),
            ByteArray::new(salt),
        );
        aead::seal_block(keys.body.aead(), &stored.associated_data(), &mut sealed);
        stored.3 = serde_bytes::Bytes::new(&sealed);
        let stored = clear::encode(&stored);
        assert!(
            stored.len() <= MAX_STORED,
            "a commit of {} bytes is above the limit",
            stored.len()
        );
        Sealed::new(Cid::of(Codec::Node, &stored), stored.into())
    }

    /// Verifies and opens the commit block `cid`: hash, structure, tag, in this order.
    pub fn open(cid: &Cid, stored: Bytes, key: &VolumeKey) -> Result<Self> {
        let parsed = parse(cid, &stored)?;
        let keys = keys(&parsed, key);
        let secrets = parsed.2;
        let (mut commit, names) = Self::open_body(cid, &parsed, &keys.body)?;
        commit.links = open_secrets(&keys, names, secrets).ok_or(Error::Corrupt { cid: *cid })?;
        Ok(commit)
    }

    /// All but the links' secrets: the names of the links come beside it.
    pub(crate) fn open_body(cid: &Cid, parsed: &StoredCommit<'_>, key: &BodyKey) -> Result<(Self, Vec<Cid>)> {
        let corrupt = || Error::Corrupt { cid: *cid };
        let mut plain = parsed.3.to_vec();
        aead::open_block(key.aead(), &parsed.associated_data(), &mut plain).ok_or_else(corrupt)?;
        let header_hash = *plain.first_chunk::<HEADER_HASH_LEN>().ok_or_else(corrupt)?;
        plain.drain(..HEADER_HASH_LEN);
        let commit = Self {
            volume_id: *parsed.4,
            epoch: Epoch(parsed.5),
            previous: parsed.previous(),
            links: Vec::new(),
            header_hash,
            body: plain,
        };
        Ok((commit, parsed.1.iter().map(|link| link.0).collect()))
    }

    /// The key that discloses what the commit block `cid` says, and nothing below it.
    pub(crate) fn body_key(cid: &Cid, stored: &[u8], key: &VolumeKey) -> Result<BodyKey> {
        Ok(keys(&parse(cid, stored)?, key).body)
    }

    /// Whether `header` is the one this commit was made under. An older or foreign one is refused.
    pub fn require_header(&self, header: &Header) -> Result<()> {
        let same = self.volume_id == header.volume_id && self.header_hash == header.hash();
        if same { Ok(()) } else { Err(Error::HeaderMismatch) }
    }
}

/// Verifies the name, then the structure.
pub(crate) fn parse<'a>(cid: &Cid, stored: &'a [u8]) -> Result<StoredCommit<'a>> {
    if cid.codec() != Codec::Node || stored.len() > MAX_STORED || !cid.names(stored) {
        return Err(Error::Corrupt { cid: *cid });
    }
    StoredCommit::parse(stored).map_err(clear::unreadable(*cid))
}

fn keys(parsed: &StoredCommit<'_>, key: &VolumeKey) -> NodeKeys {
    key.derive(CONTEXT, &parsed.7[..]).node_keys()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestRng;
    use crate::{HeaderParams, Kek, SlotKey, SlotKind, Suite, node_links, seal_leaf};

    fn commit(suite: Suite, previous: Option<Cid>) -> (Commit, VolumeKey, Sealed) {
        let mut rng = TestRng::new(5);
        let key = VolumeKey::random(suite, &mut rng);
        let links = (0..2)
            .map(|_| seal_leaf(suite, &mut rng, Epoch(8), b"leaf").1)
            .collect();
        let body = b"next inode, counters".to_vec();
        let commit = Commit {
            volume_id: [3; 16],
            epoch: Epoch(9),
            previous,
            links,
            header_hash: [4; 32],
            body,
        };
        let sealed = commit.seal(&mut rng, &key);
        (commit, key, sealed)
    }

    #[test]
    fn a_commit_opens_to_what_was_sealed() {
        let older = Some(Cid::of(Codec::Node, b"older"));
        for (suite, previous) in [(0, None), (0, older), (1, None), (1, older)] {
            let (commit, key, sealed) = commit(Suite::ALL[suite], previous);
            assert_eq!(
                Commit::open(&sealed.cid, sealed.bytes.clone(), &key).unwrap(),
                commit
            );
            // The previous root is no link: a walk over one version must not enter all older ones.
            let names: Vec<_> = commit.links.iter().map(|link| link.cid).collect();
            assert_eq!(node_links(&sealed.bytes).unwrap(), names);
        }
    }

    #[test]
    fn any_altered_bit_any_other_length_and_any_other_key_or_cipher_are_refused() {
        for (suite, other) in [(0, 1), (1, 0)] {
            let older = Some(Cid::of(Codec::Node, b"older"));
            let (_, key, sealed) = commit(Suite::ALL[suite], older);
            let mixed = VolumeKey::from_bytes(Suite::ALL[other], *key.as_bytes());
            assert!(Commit::open(&sealed.cid, sealed.bytes.clone(), &mixed).is_err());
            require_whole(&key, sealed);
        }
    }

    fn require_whole(key: &VolumeKey, sealed: Sealed) {
        for bit in 0..sealed.bytes.len() * 8 {
            let mut stored = sealed.bytes.to_vec();
            stored[bit / 8] ^= 1 << (bit % 8);
            assert!(
                Commit::open(&Cid::of(Codec::Node, &stored), stored.clone().into(), key).is_err(),
                "bit {bit}"
            );
            assert!(Commit::open(&sealed.cid, stored.into(), key).is_err());
        }
        for len in 0..sealed.bytes.len() {
            let stored = sealed.bytes.slice(..len);
            assert!(Commit::open(&Cid::of(Codec::Node, &stored), stored, key).is_err());
        }
        assert!(
            Commit::open(
                &sealed.cid,
                sealed.bytes,
                &VolumeKey::from_bytes(key.suite(), [0; 32])
            )
            .is_err()
        );
    }

    #[test]
    fn a_commit_accepts_only_the_header_it_was_made_under() {
        let mut rng = TestRng::new(6);
        let slot = || {
            [SlotKey {
                kind: SlotKind::KeyFile,
                kek: Kek::from_bytes([1; 32]),
            }]
        };
        let params = HeaderParams {
            record_size: 128 << 10,
            compression: Default::default(),
            suite: Suite::default(),
        };
        let (header, key) = Header::create(&mut rng, params, &slot()).unwrap();
        let (mut commit, ..) = commit(Suite::default(), None);
        commit.volume_id = header.volume_id;
        commit.header_hash = header.hash();
        commit.require_header(&header).unwrap();
        let rekeyed = header.rekey(&mut rng, &key, &slot()).unwrap();
        assert!(matches!(
            commit.require_header(&rekeyed),
            Err(Error::HeaderMismatch)
        ));
    }
}
