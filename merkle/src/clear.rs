//! The clear part of nodes and commit blocks, which a reader without a key can read.
//!
//! ```text
//!  node           [1, [link, ...], secrets, sealed]
//!  commit block   [1, [link, ...], secrets, sealed, volume id, epoch, previous, salt]
//! ```
//!
//! Both are dag-cbor, and links are CIDs under tag 42, so that any IPLD tool walks a volume. The
//! clear elements are the associated data of the sealed one: the same array without it, the
//! sealed secrets of the links included.
//!
//! **Invariant:** one block has one encoding. A block that decodes but would encode to other
//! bytes is refused. So no two readers can see different things in one CID.

use crate::{Cid, Codec, Epoch, Error, MAX_STORED, Result};
use cid::serde::CID_SERDE_PRIVATE_IDENTIFIER;
use serde::de;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_bytes::{ByteArray, Bytes};
use std::fmt;

/// The version of nodes and commit blocks.
pub(crate) const VERSION: u64 = 1;

/// First bytes of the two shapes: dag-cbor arrays of 4 and of 8.
const NODE_ARRAY: u8 = 0x84;
const COMMIT_ARRAY: u8 = 0x88;

/// A node as stored: version, links, sealed secrets of the links, sealed body.
#[derive(Serialize, Deserialize)]
pub(crate) struct StoredNode<'a>(
    pub(crate) u64,
    pub(crate) Vec<ClearLink>,
    #[serde(borrow)] pub(crate) &'a Bytes,
    #[serde(borrow)] pub(crate) &'a Bytes,
);

/// A commit block as stored: version, links, sealed secrets, sealed body, volume id, epoch,
/// previous root, salt.
#[derive(Serialize, Deserialize)]
pub(crate) struct StoredCommit<'a>(
    pub(crate) u64,
    pub(crate) Vec<ClearLink>,
    #[serde(borrow)] pub(crate) &'a Bytes,
    #[serde(borrow)] pub(crate) &'a Bytes,
    pub(crate) ByteArray<16>,
    pub(crate) u64,
    pub(crate) Option<ByteArray<{ Cid::LEN }>>,
    pub(crate) ByteArray<32>,
);

/// The names of all blocks that a node or a commit block links to, in order. Needs no key; the
/// caller has compared the bytes with their CID.
pub fn node_links(stored: &[u8]) -> Result<Vec<Cid>> {
    let links = match stored.first() {
        Some(&COMMIT_ARRAY) => StoredCommit::parse(stored)?.1,
        _ => StoredNode::parse(stored)?.1,
    };
    Ok(names(links))
}

/// What a commit block says in the clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitInfo {
    /// The volume it belongs to.
    pub volume_id: [u8; 16],
    /// Its number.
    pub epoch: Epoch,
    /// The commit before it, which is no link.
    pub previous: Option<Cid>,
    /// The names of the trees below it.
    pub links: Vec<Cid>,
}

/// What a commit block says in the clear. The caller has compared the bytes with their CID.
pub fn commit_info(stored: &[u8]) -> Result<CommitInfo> {
    let commit = StoredCommit::parse(stored)?;
    Ok(CommitInfo {
        volume_id: *commit.4,
        epoch: Epoch(commit.5),
        previous: commit.previous(),
        links: names(commit.1),
    })
}

/// What a head claims. Only its MAC proves it, which takes the volume key; what it names proves
/// itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadClaim {
    /// The volume.
    pub volume_id: [u8; 16],
    /// The number of the commit.
    pub epoch: Epoch,
    /// The commit block.
    pub root: Cid,
}

impl HeadClaim {
    /// The version this build writes.
    pub const VERSION: u8 = 1;
    /// Length of a stored head: version, volume id, epoch, root, MAC (docs/format.md, section 8).
    pub const HEAD_LEN: usize = 1 + 16 + 8 + Cid::LEN + 32;

    /// Reads a head without its MAC.
    pub fn parse(stored: &[u8]) -> Result<Self> {
        let malformed = |why| Error::Malformed { what: "head", why };
        match stored.first() {
            Some(&Self::VERSION) => {}
            Some(&version) => {
                let version = version.into();
                return Err(Error::UnknownVersion {
                    what: "head",
                    version,
                });
            }
            None => return Err(malformed("it is empty")),
        }
        let stored: &[u8; Self::HEAD_LEN] = stored
            .try_into()
            .map_err(|_| malformed("it does not have 93 bytes"))?;
        let (volume_id, rest) = stored[1..].split_first_chunk().expect("92 bytes begin with 16");
        let (epoch, rest) = rest.split_first_chunk().expect("the other 76 begin with 8");
        let root = Cid::from_bytes(&rest[..Cid::LEN])
            .filter(|root| root.codec() == Codec::Node)
            .ok_or_else(|| malformed("its root is not the name of a node"))?;
        Ok(Self {
            volume_id: *volume_id,
            epoch: Epoch(u64::from_le_bytes(*epoch)),
            root,
        })
    }
}

impl<'a> StoredNode<'a> {
    /// Parses strictly: one block, one encoding.
    pub(crate) fn parse(stored: &'a [u8]) -> Result<Self> {
        let node: Self = decode("node", NODE_ARRAY, stored)?;
        require_canonical("node", &node, stored)?;
        Ok(node)
    }

    /// Associated data of the sealed part.
    pub(crate) fn associated_data(&self) -> Vec<u8> {
        encode(&(self.0, &self.1, self.2))
    }
}

impl<'a> StoredCommit<'a> {
    pub(crate) fn parse(stored: &'a [u8]) -> Result<Self> {
        let commit: Self = decode("commit block", COMMIT_ARRAY, stored)?;
        require_canonical("commit block", &commit, stored)?;
        if commit
            .6
            .as_ref()
            .is_some_and(|previous| Cid::from_bytes(&previous[..]).is_none())
        {
            return Err(Error::Malformed {
                what: "commit block",
                why: "its previous root is not a CID",
            });
        }
        Ok(commit)
    }

    /// The commit before it.
    pub(crate) fn previous(&self) -> Option<Cid> {
        self.6.as_ref().and_then(|bytes| Cid::from_bytes(&bytes[..]))
    }

    /// Associated data of the sealed part.
    pub(crate) fn associated_data(&self) -> Vec<u8> {
        encode(&(self.0, &self.1, self.2, self.4, self.5, self.6, self.7))
    }
}

/// The error of block `cid`, whose bytes are the ones named but do not parse: damage, unless they
/// are newer.
pub(crate) fn unreadable(cid: Cid) -> impl FnOnce(Error) -> Error {
    move |error| match error {
        Error::UnknownVersion { .. } => error,
        _ => Error::Corrupt { cid },
    }
}

/// Encodes to dag-cbor.
pub(crate) fn encode(value: &impl Serialize) -> Vec<u8> {
    serde_ipld_dagcbor::to_vec(value)
        .expect("numbers, bytes and CIDs always encode, into a vector that grows")
}

/// The names behind clear links.
pub(crate) fn names(links: Vec<ClearLink>) -> Vec<Cid> {
    links.into_iter().map(|link| link.0).collect()
}

fn decode<'a, T: Deserialize<'a>>(what: &'static str, array: u8, stored: &'a [u8]) -> Result<T> {
    if stored.len() > MAX_STORED {
        return Err(Error::TooLarge {
            what,
            len: stored.len(),
            len_max: MAX_STORED,
        });
    }
    // Versions come first, so that a newer shape is reported as newer and not as broken.
    match stored {
        [0x80..=0x97, version @ 0..=0x17, ..] if u64::from(*version) != VERSION => {
            Err(Error::UnknownVersion {
                what,
                version: u64::from(*version),
            })
        }
        [first, version, ..] if (*first, u64::from(*version)) == (array, VERSION) => {
            serde_ipld_dagcbor::from_slice(stored).map_err(|_| Error::Malformed {
                what,
                why: "it is not the dag-cbor array it should be",
            })
        }
        _ => Err(Error::Malformed {
            what,
            why: "it does not begin as one",
        }),
    }
}

fn require_canonical(what: &'static str, value: &impl Serialize, stored: &[u8]) -> Result<()> {
    if encode(value) == stored {
        Ok(())
    } else {
        Err(Error::Malformed {
            what,
            why: "its encoding is not canonical",
        })
    }
}

/// A [`Cid`] under dag-cbor's tag 42, read and written without the detour over the `cid` crate's
/// heap.
pub(crate) struct ClearLink(pub(crate) Cid);

impl Serialize for ClearLink {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(CID_SERDE_PRIVATE_IDENTIFIER, Bytes::new(&self.0.to_bytes()))
    }
}

impl<'de> Deserialize<'de> for ClearLink {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(CID_SERDE_PRIVATE_IDENTIFIER, LinkVisitor)
    }
}

struct LinkVisitor;

impl<'de> de::Visitor<'de> for LinkVisitor {
    type Value = ClearLink;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a CID of BLAKE3 under tag 42")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(
        self,
        inner: D,
    ) -> std::result::Result<ClearLink, D::Error> {
        inner.deserialize_bytes(self)
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> std::result::Result<ClearLink, E> {
        Cid::from_bytes(bytes)
            .map(ClearLink)
            .ok_or_else(|| E::custom("not a CID this format knows"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn node(links: usize, sealed: &[u8]) -> Vec<u8> {
        let links = (0..links)
            .map(|n| ClearLink(Cid::of(Codec::Leaf, &n.to_le_bytes())))
            .collect();
        encode(&StoredNode(
            VERSION,
            links,
            Bytes::new(b"secrets"),
            Bytes::new(sealed),
        ))
    }

    #[test]
    fn links_are_read_without_a_key() {
        for count in [0, 1, 23, 24, 256] {
            let links = node_links(&node(count, b"sealed")).unwrap();
            assert_eq!(links.len(), count);
            assert!(
                links
                    .iter()
                    .enumerate()
                    .all(|(n, cid)| *cid == Cid::of(Codec::Leaf, &n.to_le_bytes()))
            );
        }
    }

    #[test]
    fn the_ipld_crates_see_the_same_links() {
        let stored = node(3, b"sealed");
        let links: (u64, Vec<cid::Cid>, serde_bytes::ByteBuf, serde_bytes::ByteBuf) =
            serde_ipld_dagcbor::from_slice(&stored).unwrap();
        let ours: Vec<_> = node_links(&stored)
            .unwrap()
            .into_iter()
            .map(Cid::to_ipld)
            .collect();
        assert_eq!(links.1, ours);
        assert_eq!(encode(&links), stored);
    }

    #[test]
    fn another_version_is_named_as_such() {
        let stored = encode(&(2_u64, "anything"));
        assert!(matches!(
            node_links(&stored),
            Err(Error::UnknownVersion { version: 2, .. })
        ));
    }

    #[test]
    fn encodings_that_are_not_canonical_are_refused() {
        let canonical = node(1, b"sealed");
        let mut long_length = canonical.clone();
        // The length 6 in a byte of its own, where it fits the head of the byte string.
        let at = long_length.len() - 7;
        assert_eq!(long_length[at], 0x46);
        long_length.splice(at..=at, [0x58, 6]);
        assert!(matches!(node_links(&long_length), Err(Error::Malformed { .. })));
        let mut long_version = canonical.clone();
        long_version.splice(1..2, [0x18, 1]);
        assert!(matches!(node_links(&long_version), Err(Error::Malformed { .. })));
        let mut trailing = canonical.clone();
        trailing.push(0);
        assert!(node_links(&trailing).is_err());
        for len in 0..canonical.len() {
            assert!(node_links(&canonical[..len]).is_err());
        }
        assert!(matches!(
            node_links(&vec![NODE_ARRAY; MAX_STORED + 1]),
            Err(Error::TooLarge { .. })
        ));
    }

    #[test]
    fn links_of_other_hashes_are_refused() {
        let sha256 =
            cid::Cid::try_from("bafkreibme22gw2h7y2h7tg2fhqotaqjucnbc24deqo72b6mkl2egezxhvy").unwrap();
        assert!(
            node_links(&encode(&(
                VERSION,
                vec![sha256],
                Bytes::new(b"secrets"),
                Bytes::new(b"sealed")
            )))
            .is_err()
        );
    }

    proptest! {
        #[test]
        fn no_input_panics(stored in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = node_links(&stored);
        }

        #[test]
        fn what_decodes_encodes_to_the_same_bytes(at in any::<prop::sample::Index>(), byte: u8, links in 0..30_usize) {
            let mut stored = node(links, b"sealed");
            let at = at.index(stored.len());
            stored[at] = byte;
            if let Ok(parsed) = StoredNode::parse(&stored) {
                prop_assert_eq!(encode(&parsed), stored);
            }
        }
    }
}
