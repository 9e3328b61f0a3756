//! Names of blocks: CIDv1 with BLAKE3-256.
//!
//! Inside Cairn a name is its 32 bytes of hash and the codec. Only this module makes and parses
//! the multiformats form (bytes and text).

use multihash::Multihash;
use std::fmt;

/// Multicodec of a leaf: raw bytes.
pub const CODEC_RAW: u64 = 0x55;
/// Multicodec of a node: dag-cbor.
pub const CODEC_DAG_CBOR: u64 = 0x71;
/// Multihash code of BLAKE3-256.
pub const MULTIHASH_BLAKE3: u64 = 0x1e;

/// What a block holds, as its name says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Codec {
    /// Ciphertext and tag of file data.
    Leaf,
    /// A dag-cbor node whose links stand in the clear.
    Node,
}

impl Codec {
    /// Its number among the multicodecs.
    fn code(self) -> u64 {
        match self {
            Self::Leaf => CODEC_RAW,
            Self::Node => CODEC_DAG_CBOR,
        }
    }
}

/// Content identifier of a sealed block: BLAKE3 of its stored bytes, and its codec.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Cid {
    hash: [u8; 32],
    codec: Codec,
}

impl Cid {
    /// Length of [`Self::to_bytes`].
    pub const LEN: usize = 36;

    /// Hashes stored bytes into their name.
    pub fn of(codec: Codec, stored: &[u8]) -> Self {
        Self {
            hash: *blake3::hash(stored).as_bytes(),
            codec,
        }
    }

    /// The leaf whose stored bytes have this hash.
    pub fn leaf(digest: [u8; 32]) -> Self {
        Self {
            hash: digest,
            codec: Codec::Leaf,
        }
    }

    /// The node whose stored bytes have this hash, learnt from a source that keeps hashes only.
    pub fn node(digest: [u8; 32]) -> Self {
        Self {
            hash: digest,
            codec: Codec::Node,
        }
    }

    /// The BLAKE3 hash alone.
    pub fn digest(&self) -> [u8; 32] {
        self.hash
    }

    /// Whether `stored` are the bytes this names.
    pub fn names(&self, stored: &[u8]) -> bool {
        blake3::hash(stored) == self.hash
    }

    /// Leaf or node.
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// The binary CIDv1: `01 55|71 1e 20` and the hash.
    pub fn to_bytes(self) -> [u8; Self::LEN] {
        let mut bytes = [0; Self::LEN];
        // Codecs, hash code and length are all below 0x80: one varint byte each.
        bytes[..4].copy_from_slice(&[1, self.codec.code() as u8, MULTIHASH_BLAKE3 as u8, 32]);
        bytes[4..].copy_from_slice(&self.hash);
        bytes
    }

    /// Parses [`Self::to_bytes`]; `None` for any other version, codec, hash or length.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let codec = match bytes.get(..4)? {
            [1, 0x55, 0x1e, 32] => Codec::Leaf,
            [1, 0x71, 0x1e, 32] => Codec::Node,
            _ => return None,
        };
        Some(Self {
            hash: bytes[4..].try_into().ok()?,
            codec,
        })
    }

    /// Parses the text form; `None` for what is no CID, or none of a block of ours.
    pub fn from_text(text: &str) -> Option<Self> {
        cid::Cid::try_from(text)
            .ok()
            .and_then(|cid| Self::from_ipld(&cid))
    }

    /// The same name as the `cid` crate's type, for IPLD encoders and text.
    pub fn to_ipld(self) -> cid::Cid {
        let hash = Multihash::wrap(MULTIHASH_BLAKE3, &self.hash).expect("a hash of 32 bytes fits");
        cid::Cid::new_v1(self.codec.code(), hash)
    }

    /// The name an IPLD decoder found, if it is one of ours.
    pub fn from_ipld(cid: &cid::Cid) -> Option<Self> {
        let codec = [Codec::Leaf, Codec::Node]
            .into_iter()
            .find(|codec| codec.code() == cid.codec())?;
        if cid.version() != cid::Version::V1 || cid.hash().code() != MULTIHASH_BLAKE3 {
            return None;
        }
        let hash = cid.hash().digest().try_into().ok()?;
        Some(Self { hash, codec })
    }
}

/// Reads what [`Display`](fmt::Display) writes; `Err` for the name of anything that is no block of
/// ours.
impl std::str::FromStr for Cid {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let cid = cid::Cid::try_from(text).map_err(drop)?;
        Self::from_ipld(&cid).ok_or(())
    }
}

impl fmt::Display for Cid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_ipld().fmt(f)
    }
}

impl fmt::Debug for Cid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
