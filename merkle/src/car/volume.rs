//! The block at the root of a CAR: the parts of a volume that are no blocks themselves.

use super::frame::malformed;
use crate::clear::{self, ClearLink, HeadClaim};
use crate::{Cid, Codec, Error, MAX_STORED, Result};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_bytes::{ByteArray, Bytes as CborBytes};

const VERSION: u64 = 1;
/// Sixteen features and eight key slots take 1522 bytes; newer headers may take more.
const HEADER_BYTES_MAX: usize = 64 << 10;

/// What a CAR says of the volume whose blocks it carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CarVolume {
    /// The commit block of the version.
    pub root: Cid,
    /// The volume's header, sealed as it lies in the store.
    pub header: Bytes,
    /// The head, if this was the newest version: only a holder of the key can make one.
    pub head: Option<Bytes>,
    /// The older version whose blocks were left out.
    pub since: Option<Cid>,
}

/// As stored: version, link to the commit block, header, head, since.
#[derive(Serialize, Deserialize)]
struct Stored<'a>(
    u64,
    Vec<ClearLink>,
    #[serde(borrow)] &'a CborBytes,
    Option<ByteArray<{ HeadClaim::HEAD_LEN }>>,
    Option<ByteArray<{ Cid::LEN }>>,
);

impl CarVolume {
    /// The stored block; its name is that of a node.
    pub fn encode(&self) -> Vec<u8> {
        let head = self
            .head
            .as_ref()
            .and_then(|head| <[u8; HeadClaim::HEAD_LEN]>::try_from(&head[..]).ok());
        clear::encode(&Stored(
            VERSION,
            vec![ClearLink(self.root)],
            CborBytes::new(&self.header),
            head.map(ByteArray::new),
            self.since.map(|since| ByteArray::new(since.to_bytes())),
        ))
    }

    /// Parses a block that was compared with its name. One volume block has one encoding.
    pub fn decode(stored: &[u8]) -> Result<Self> {
        match stored {
            [0x85, version, ..] if u64::from(*version) == VERSION && stored.len() <= MAX_STORED => {}
            [0x85, version @ 0..=0x17, ..] => {
                return Err(Error::UnknownVersion {
                    what: "CAR's volume block",
                    version: u64::from(*version),
                });
            }
            _ => return Err(malformed("its root is no volume block: it is none of Cairn's")),
        }
        let not_ours = |_| malformed("its volume block is not the dag-cbor array it should be");
        let parsed: Stored<'_> = serde_ipld_dagcbor::from_slice(stored).map_err(not_ours)?;
        let [ClearLink(root)] = parsed.1[..] else {
            return Err(malformed("its volume block has not exactly one link"));
        };
        if root.codec() != Codec::Node || parsed.2.len() > HEADER_BYTES_MAX {
            return Err(malformed("its volume block breaks a rule"));
        }
        let since = match &parsed.4 {
            Some(since) => Some(
                Cid::from_bytes(&since[..]).ok_or(malformed("the version it was made since has no CID"))?,
            ),
            None => None,
        };
        let volume = Self {
            root,
            header: Bytes::copy_from_slice(parsed.2),
            head: parsed.3.map(|head| Bytes::copy_from_slice(&head[..])),
            since,
        };
        if let Some(head) = &volume.head
            && HeadClaim::parse(head)?.root != root
        {
            return Err(malformed("its head names another commit block"));
        }
        match volume.encode() == stored {
            true => Ok(volume),
            false => Err(malformed("its volume block is not canonical")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn volume(head: bool, since: bool) -> CarVolume {
        let root = Cid::of(Codec::Node, b"commit");
        let mut stored = vec![1; HeadClaim::HEAD_LEN];
        stored[25..25 + Cid::LEN].copy_from_slice(&root.to_bytes());
        CarVolume {
            root,
            header: Bytes::from_static(b"header"),
            head: head.then(|| stored.into()),
            since: since.then(|| Cid::of(Codec::Node, b"older")),
        }
    }

    #[test]
    fn a_volume_block_decodes_to_what_was_encoded() {
        for (head, since) in [(false, false), (true, false), (false, true), (true, true)] {
            let volume = volume(head, since);
            assert_eq!(CarVolume::decode(&volume.encode()).unwrap(), volume);
        }
        let mut other = volume(true, false);
        other.root = Cid::of(Codec::Node, b"another commit");
        assert!(matches!(
            CarVolume::decode(&other.encode()),
            Err(Error::Malformed { .. })
        ));
        let newer = clear::encode(&(2_u64, 1_u64, 1_u64, 1_u64, 1_u64));
        assert!(matches!(
            CarVolume::decode(&newer),
            Err(Error::UnknownVersion { version: 2, .. })
        ));
    }

    proptest! {
        #[test]
        fn what_decodes_encodes_to_the_same_bytes(at in any::<prop::sample::Index>(), byte: u8, cut in 0..10_usize) {
            let mut stored = volume(true, true).encode();
            let at = at.index(stored.len());
            stored[at] = byte;
            stored.truncate(stored.len() - cut);
            if let Ok(volume) = CarVolume::decode(&stored) {
                prop_assert_eq!(volume.encode(), stored);
            }
        }
    }
}
