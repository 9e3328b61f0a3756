//! Seals nodes, the inner blocks of every tree, and opens them again.
//!
//! ```text
//!  Node { links, body }
//!     |        `-- body -------------------seal(body key)----> sealed
//!     |----------- each link's secret --seal(secrets key)--> secrets   associated data of the body
//!     `----------- each link's CID ------------------------> clear     associated data of the body
//!  stored: dag-cbor [1, [CIDs], secrets, sealed]              both keys from the one in the link that leads here
//! ```
//!
//! There are two keys, because a proof has to show a node's body without the keys of everything
//! below it. A proof discloses body keys, and follows the CIDs. The writer of a body gives it its
//! meaning: [`crate::btree`] and [`crate::index`].

use crate::aead::{self, ONE_TIME, TAG_LEN};
use crate::clear::{self, ClearLink, StoredNode, VERSION};
use crate::key::NodeKeys;
use crate::leaf::{finish, verify};
use crate::{BlockKey, Cid, Codec, Epoch, Error, Link, Result, SECRET_LEN, Sealed, Suite};
use bytes::Bytes;
use rand::CryptoRng;
use zeroize::Zeroizing;

pub use crate::clear::node_links;

/// An inner block before it is sealed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Links to the blocks below.
    pub links: Vec<Link>,
    /// Everything else, sealed.
    pub body: Vec<u8>,
}

/// Seals a node under a fresh key, with the volume's cipher.
///
/// # Panics
/// If the stored node would exceed [`MAX_STORED`](crate::MAX_STORED): trees split their nodes long
/// before.
pub fn seal_node(
    suite: Suite,
    rng: &mut (impl CryptoRng + ?Sized),
    birth: Epoch,
    node: &Node,
) -> (Sealed, Link) {
    let key = BlockKey::random(suite, rng);
    let keys = key.node_keys();
    let secrets = seal_secrets(&keys, &node.links);
    let mut sealed = with_room(&[&node.body]);
    let mut stored = StoredNode(
        VERSION,
        clear_links(&node.links),
        serde_bytes::Bytes::new(&secrets),
        serde_bytes::Bytes::new(&[]),
    );
    aead::seal_block(keys.body.aead(), &stored.associated_data(), &mut sealed);
    stored.3 = serde_bytes::Bytes::new(&sealed);
    let stored = clear::encode(&stored);
    finish(Cid::of(Codec::Node, &stored), key, birth, stored.into())
}

/// Verifies and opens a node: length, hash, structure, tag, in this order.
pub fn open_node(link: &Link, stored: Bytes) -> Result<Node> {
    verify(link, Codec::Node, &stored)?;
    let corrupt = || Error::Corrupt { cid: link.cid };
    let parsed = StoredNode::parse(&stored).map_err(clear::unreadable(link.cid))?;
    let keys = link.key.node_keys();
    let mut body = parsed.3.to_vec();
    aead::open_block(keys.body.aead(), &parsed.associated_data(), &mut body).ok_or_else(corrupt)?;
    let links = open_secrets(&keys, clear::names(parsed.1), parsed.2).ok_or_else(corrupt)?;
    Ok(Node { links, body })
}

/// The sealed secrets of `links`: nothing for none.
pub(crate) fn seal_secrets(keys: &NodeKeys, links: &[Link]) -> Vec<u8> {
    let mut secrets = Vec::with_capacity(links.len() * SECRET_LEN + TAG_LEN);
    links.iter().for_each(|link| link.encode_secret(&mut secrets));
    if !secrets.is_empty() {
        // No associated data: the body's tag covers what comes out of here, together with the
        // names.
        aead::seal(keys.secrets.aead(), ONE_TIME, &[], &mut secrets);
    }
    secrets
}

/// Joins names with their secrets again.
pub(crate) fn open_secrets(keys: &NodeKeys, cids: Vec<Cid>, sealed: &[u8]) -> Option<Vec<Link>> {
    if cids.is_empty() {
        return sealed.is_empty().then(Vec::new);
    }
    let mut secrets = Zeroizing::new(sealed.to_vec());
    let key = keys.secrets.aead();
    aead::open(key, ONE_TIME, &[], &mut secrets)?;
    Link::join_secrets(key.suite, cids, &secrets)
}

/// The parts in one vector that sealing need not move.
pub(crate) fn with_room(parts: &[&[u8]]) -> Vec<u8> {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    let mut plain = Vec::with_capacity(len + aead::OVERHEAD);
    parts.iter().for_each(|part| plain.extend_from_slice(part));
    plain
}

pub(crate) fn clear_links(links: &[Link]) -> Vec<ClearLink> {
    links.iter().map(|link| ClearLink(link.cid)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestRng;
    use crate::{Cid, seal_leaf};

    fn node(suite: Suite) -> (Node, Sealed, Link) {
        let mut rng = TestRng::new(2);
        let links = (0..3_u64)
            .map(|n| seal_leaf(suite, &mut rng, Epoch(n), &[n as u8; 9]).1)
            .collect();
        let node = Node {
            links,
            body: b"names and sizes".to_vec(),
        };
        let (sealed, link) = seal_node(suite, &mut rng, Epoch(4), &node);
        (node, sealed, link)
    }

    fn renamed(link: &Link, stored: &[u8]) -> Link {
        Link {
            cid: Cid::of(Codec::Node, stored),
            len: stored.len() as u32,
            ..link.clone()
        }
    }

    #[test]
    fn a_node_opens_to_what_was_sealed_and_shows_only_its_links() {
        for suite in Suite::ALL {
            let (node, sealed, link) = node(suite);
            let names: Vec<_> = node.links.iter().map(|link| link.cid).collect();
            assert_eq!(node_links(&sealed.bytes).unwrap(), names);
            assert!(!sealed.bytes.windows(5).any(|window| window == b"names"));
            // Links that were sealed have the cipher of the node.
            assert_eq!(open_node(&link, sealed.bytes).unwrap(), node);
            let (sealed, link) = seal_node(suite, &mut TestRng::new(3), Epoch(1), &Node::default());
            assert_eq!(open_node(&link, sealed.bytes).unwrap(), Node::default());
        }
    }

    #[test]
    fn any_altered_bit_any_other_length_and_the_other_cipher_are_refused() {
        for (suite, other) in [(0, 1), (1, 0)] {
            let (_, sealed, link) = node(Suite::ALL[suite]);
            let mixed = Link {
                key: BlockKey::from_bytes(Suite::ALL[other], *link.key.as_bytes()),
                ..link.clone()
            };
            assert!(open_node(&mixed, sealed.bytes.clone()).is_err());
            require_whole(&sealed, &link);
        }
    }

    fn require_whole(sealed: &Sealed, link: &Link) {
        for bit in 0..sealed.bytes.len() * 8 {
            let mut stored = sealed.bytes.to_vec();
            stored[bit / 8] ^= 1 << (bit % 8);
            let renamed = renamed(link, &stored);
            assert!(open_node(link, stored.clone().into()).is_err());
            assert!(open_node(&renamed, stored.into()).is_err(), "bit {bit}");
        }
        for len in 0..sealed.bytes.len() {
            let stored = sealed.bytes.slice(..len);
            assert!(open_node(&renamed(link, &stored), stored).is_err());
        }
    }

    #[test]
    fn swapped_links_are_refused_even_under_the_right_name() {
        let (_, sealed, link) = node(Suite::default());
        let mut parsed = StoredNode::parse(&sealed.bytes).unwrap();
        parsed.1.swap(0, 1);
        let stored = clear::encode(&parsed);
        assert!(matches!(
            open_node(&renamed(&link, &stored), stored.into()),
            Err(Error::Corrupt { .. })
        ));
    }
}
