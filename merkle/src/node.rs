//! Seals nodes, the inner blocks of every tree, and opens them again.
//!
//! ```text
//!  Node { links, body }
//!     |        `-- each link's secret, then the body --seal(fresh key)--> sealed
//!     `----------- each link's CID ----------------> clear, and associated data
//!  stored: dag-cbor [1, [CIDs], sealed]
//! ```
//!
//! What a body means is up to whoever wrote it: [`crate::btree`] and [`crate::index`].

use crate::aead::{self, ONE_TIME, TAG_LEN};
use crate::clear::{self, ClearLink, StoredNode, VERSION};
use crate::leaf::{finish, verify};
use crate::{BlockKey, Codec, Epoch, Error, Link, Result, SECRET_LEN, Sealed};
use bytes::Bytes;
use rand::CryptoRng;

pub use crate::clear::node_links;

/// An inner block before it is sealed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Links to the blocks below.
    pub links: Vec<Link>,
    /// Everything else, sealed.
    pub body: Vec<u8>,
}

/// Seals a node under a fresh key.
///
/// # Panics
/// If the stored node would exceed [`clear::MAX_STORED`]: trees split their nodes long before.
pub fn seal_node(rng: &mut (impl CryptoRng + ?Sized), birth: Epoch, node: &Node) -> (Sealed, Link) {
    let key = BlockKey::random(rng);
    let mut sealed = plaintext(&[], &node.links, &node.body);
    let mut stored = StoredNode(VERSION, clear_links(&node.links), serde_bytes::Bytes::new(&[]));
    aead::seal(key.as_bytes(), ONE_TIME, &stored.associated_data(), &mut sealed);
    stored.2 = serde_bytes::Bytes::new(&sealed);
    finish(Codec::Node, key, birth, clear::encode(&stored))
}

/// Verifies and opens a node: length, hash, structure, tag, in this order.
pub fn open_node(link: &Link, stored: Bytes) -> Result<Node> {
    verify(link, Codec::Node, &stored)?;
    let corrupt = || Error::Corrupt { cid: link.cid };
    let parsed = StoredNode::parse(&stored).map_err(clear::unreadable(link.cid))?;
    let mut plain = parsed.2.to_vec();
    aead::open(
        link.key.as_bytes(),
        ONE_TIME,
        &parsed.associated_data(),
        &mut plain,
    )
    .ok_or_else(corrupt)?;
    let (links, body) = Link::split_secrets(clear::names(parsed.1), plain).ok_or_else(corrupt)?;
    Ok(Node { links, body })
}

/// What is sealed: `lead`, the secrets of `links`, `body`; with room for the tag, so that sealing moves nothing.
pub(crate) fn plaintext(lead: &[u8], links: &[Link], body: &[u8]) -> Vec<u8> {
    let len = lead.len() + links.len() * SECRET_LEN + body.len();
    let mut plain = Vec::with_capacity(len + TAG_LEN);
    plain.extend_from_slice(lead);
    links.iter().for_each(|link| link.encode_secret(&mut plain));
    plain.extend_from_slice(body);
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

    fn node() -> (Node, Sealed, Link) {
        let mut rng = TestRng::new(2);
        let links = (0..3_u64)
            .map(|n| seal_leaf(&mut rng, Epoch(n), &[n as u8; 9]).1)
            .collect();
        let node = Node {
            links,
            body: b"names and sizes".to_vec(),
        };
        let (sealed, link) = seal_node(&mut rng, Epoch(4), &node);
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
        let (node, sealed, link) = node();
        let names: Vec<_> = node.links.iter().map(|link| link.cid).collect();
        assert_eq!(node_links(&sealed.bytes).unwrap(), names);
        assert!(!sealed.bytes.windows(5).any(|window| window == b"names"));
        assert_eq!(open_node(&link, sealed.bytes).unwrap(), node);
        let (sealed, link) = seal_node(&mut TestRng::new(3), Epoch(1), &Node::default());
        assert_eq!(open_node(&link, sealed.bytes).unwrap(), Node::default());
    }

    #[test]
    fn any_altered_bit_and_any_other_length_are_refused() {
        let (_, sealed, link) = node();
        for bit in 0..sealed.bytes.len() * 8 {
            let mut stored = sealed.bytes.to_vec();
            stored[bit / 8] ^= 1 << (bit % 8);
            let renamed = renamed(&link, &stored);
            assert!(open_node(&link, stored.clone().into()).is_err());
            assert!(open_node(&renamed, stored.into()).is_err(), "bit {bit}");
        }
        for len in 0..sealed.bytes.len() {
            let stored = sealed.bytes.slice(..len);
            assert!(open_node(&renamed(&link, &stored), stored).is_err());
        }
    }

    #[test]
    fn swapped_links_are_refused_even_under_the_right_name() {
        let (_, sealed, link) = node();
        let mut parsed = StoredNode::parse(&sealed.bytes).unwrap();
        parsed.1.swap(0, 1);
        let stored = clear::encode(&parsed);
        assert!(matches!(
            open_node(&renamed(&link, &stored), stored.into()),
            Err(Error::Corrupt { .. })
        ));
    }
}
