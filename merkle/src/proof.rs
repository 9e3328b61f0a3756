//! Proofs: the least that a reader without the key must see to look for one thing under a trusted
//! root.
//!
//! ```text
//!  with the key:     Recorder --reads--> store      notes each block a search opens, and the key of its body
//!                       `--into_proof--> Proof      root, path, blocks with their keys
//!  without:          Proof --the same search-->     each block by its CID, opened with the key beside it
//! ```
//!
//! To verify a proof is to run the search again with only the proof to read from. So every answer
//! comes from blocks whose names lead up to the root. A body key opens the body of a node and not
//! the secrets of its links ([`crate::node`]). So a proof discloses the nodes it carries and
//! nothing below them. No block opens under two keys (`aead.rs`). So a proof cannot show anything
//! else than the volume's readers see, whichever party made both.
//!
//! **Invariant:** everything in a proof is hostile, except the root that the verifier compares it
//! with.

use crate::clear::{self, ClearLink, StoredNode};
use crate::{
    BlockKey, BlockStore, BodyKey, Cid, Codec, Commit, Epoch, Error, Form, Header, HeaderParts, Link,
    MAX_STORED, Node, NodeSource, Result, Suite, VolumeKey, aead, open_leaf, open_node,
};
use bytes::Bytes;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteArray;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

const VERSION: u64 = 2;

/// Where a search that is to be proven, or verified, reads.
pub trait ProofSource: NodeSource {
    /// The plaintext of a leaf.
    fn leaf(&self, link: &Link) -> Result<Vec<u8>>;
}

/// One block of a proof, with the key that opens as much of it as is disclosed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Disclosed {
    /// A node, or the commit block: what it says, without the secrets of its links.
    Body(BodyKey, Bytes),
    /// A leaf, and how it holds its record; it opens in no other form.
    Leaf(BlockKey, Form, Bytes),
}

/// Blocks under one root, opened as far as one search needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The commit block. The verifier compares it with its trusted root.
    pub root: Cid,
    /// What was looked for. This crate does not look into it.
    pub path: Vec<u8>,
    /// Whether the leaves of what was found are disclosed, too.
    pub with_content: bool,
    header: HeaderParts,
    blocks: BTreeMap<Cid, Disclosed>,
}

/// As stored: version, root, path, whether leaves are there, the header's parts, the blocks in the
/// order of their names.
#[derive(Serialize, Deserialize)]
struct StoredProof<'a>(
    u64,
    ClearLink,
    #[serde(borrow)] &'a serde_bytes::Bytes,
    bool,
    #[serde(borrow)] &'a serde_bytes::Bytes,
    #[serde(borrow)] Vec<StoredBlock<'a>>,
);

/// Kind, key and stored bytes; the name is computed. The kind is the codec, which tells leaf from
/// node, and above it, times 256, the leaf's form.
#[derive(Serialize, Deserialize)]
struct StoredBlock<'a>(u64, ByteArray<32>, #[serde(borrow)] &'a serde_bytes::Bytes);

impl Proof {
    /// The bytes of the proof (docs/format.md, section 19).
    pub fn encode(&self) -> Vec<u8> {
        clear::encode(&self.stored(&self.header.to_bytes()))
    }

    /// The same, written without being in memory once more.
    ///
    /// # Errors
    /// What the writer failed with.
    pub fn write(&self, to: impl io::Write) -> io::Result<()> {
        serde_ipld_dagcbor::to_writer(to, &self.stored(&self.header.to_bytes())).map_err(io::Error::other)
    }

    /// `header` is what a proof holds of it.
    fn stored<'a>(&'a self, header: &'a [u8]) -> StoredProof<'a> {
        let blocks = self.blocks.values().map(|block| match block {
            Disclosed::Body(key, stored) => StoredBlock(
                crate::CODEC_DAG_CBOR,
                ByteArray::new(*key.as_bytes()),
                serde_bytes::Bytes::new(stored),
            ),
            Disclosed::Leaf(key, form, stored) => StoredBlock(
                crate::CODEC_RAW | u64::from(form.code()) << 8,
                ByteArray::new(*key.as_bytes()),
                serde_bytes::Bytes::new(stored),
            ),
        });
        StoredProof(
            VERSION,
            ClearLink(self.root),
            serde_bytes::Bytes::new(&self.path),
            self.with_content,
            serde_bytes::Bytes::new(header),
            blocks.collect(),
        )
    }

    /// Parses a proof. One proof has one encoding; nothing is verified yet.
    pub fn decode(encoded: &[u8]) -> Result<Self> {
        let malformed = |why| Error::Malformed { what: "proof", why };
        match encoded {
            [0x86, version, ..] if u64::from(*version) == VERSION => {}
            [0x86, version @ 0..=0x17, ..] => {
                return Err(Error::UnknownVersion {
                    what: "proof",
                    version: u64::from(*version),
                });
            }
            _ => return Err(malformed("it does not begin as one")),
        }
        let StoredProof(_, root, path, with_content, header, stored) =
            serde_ipld_dagcbor::from_slice(encoded)
                .map_err(|_| malformed("it is not the dag-cbor array it should be"))?;
        let header = HeaderParts::from_bytes(header)?;
        let suite = header.suite();
        let mut blocks = BTreeMap::new();
        for StoredBlock(kind, key, bytes) in stored {
            if bytes.len() > MAX_STORED {
                return Err(malformed("a block is longer than the format allows"));
            }
            let bytes = Bytes::copy_from_slice(bytes);
            let form = u8::try_from(kind >> 8).ok().and_then(Form::from_code);
            let (cid, block) = match (kind & 0xff, form) {
                (crate::CODEC_DAG_CBOR, Some(Form::Plain)) => (
                    Cid::of(Codec::Node, &bytes),
                    Disclosed::Body(BodyKey::from_bytes(suite, *key), bytes),
                ),
                (crate::CODEC_RAW, Some(form)) => (
                    Cid::of(Codec::Leaf, &bytes),
                    Disclosed::Leaf(BlockKey::from_bytes(suite, *key), form, bytes),
                ),
                _ => return Err(malformed("a block is neither node nor leaf of a known form")),
            };
            blocks.insert(cid, block);
        }
        let proof = Self {
            root: root.0,
            path: path.to_vec(),
            with_content,
            header,
            blocks,
        };
        // Order, repetition and every length of the encoding in one comparison.
        match proof.encode() == encoded {
            true => Ok(proof),
            false => Err(malformed("its encoding is not canonical")),
        }
    }

    /// What the commit block says. Its links lead through this proof only: they have names and no
    /// keys.
    pub fn commit(&self) -> Result<Commit> {
        let (key, stored) = self.body(&self.root)?;
        let parsed = crate::commit::parse(&self.root, stored)?;
        let (mut commit, names) = Commit::open_body(&self.root, &parsed, key)?;
        commit.links = names.into_iter().map(hollow).collect();
        Ok(commit)
    }

    /// The volume's record size, which `commit` binds.
    pub fn record_size(&self, commit: &Commit) -> Result<u32> {
        match self.header.hash() == commit.header_hash {
            true => Ok(self.header.record_size()),
            false => Err(Error::HeaderMismatch),
        }
    }

    /// Names of the blocks it carries.
    pub fn cids(&self) -> impl Iterator<Item = &Cid> {
        self.blocks.keys()
    }

    fn body(&self, cid: &Cid) -> Result<(&BodyKey, &Bytes)> {
        match self.blocks.get(cid) {
            Some(Disclosed::Body(key, stored)) => Ok((key, stored)),
            _ => Err(Error::Missing { cid: *cid }),
        }
    }
}

/// A link without its secret, whatever its cipher: enough to follow it through a proof.
fn hollow(cid: Cid) -> Link {
    Link {
        cid,
        key: BlockKey::from_bytes(Suite::default(), [0; 32]),
        birth: Epoch(0),
        len: 0,
        form: Form::Plain,
    }
}

impl NodeSource for Proof {
    fn node(&self, link: &Link) -> Result<Arc<Node>> {
        let (key, stored) = self.body(&link.cid)?;
        let corrupt = || Error::Corrupt { cid: link.cid };
        let parsed = StoredNode::parse(stored).map_err(clear::unreadable(link.cid))?;
        let mut body = parsed.3.to_vec();
        aead::open_block(key.aead(), &parsed.associated_data(), &mut body).ok_or_else(corrupt)?;
        let links = clear::names(parsed.1).into_iter().map(hollow).collect();
        Ok(Arc::new(Node { links, body }))
    }
}

impl ProofSource for Proof {
    fn leaf(&self, link: &Link) -> Result<Vec<u8>> {
        let Some(Disclosed::Leaf(key, form, stored)) = self.blocks.get(&link.cid) else {
            return Err(Error::Missing { cid: link.cid });
        };
        let link = Link {
            key: key.clone(),
            form: *form,
            len: u32::try_from(stored.len()).map_err(|_| Error::Corrupt { cid: link.cid })?,
            ..link.clone()
        };
        open_leaf(&link, stored.clone())
    }
}

/// Reads a store with its keys, and notes what it read.
pub struct Recorder<'a> {
    store: &'a dyn BlockStore,
    blocks: Mutex<BTreeMap<Cid, Disclosed>>,
}

impl<'a> Recorder<'a> {
    /// Nothing noted yet.
    pub fn new(store: &'a dyn BlockStore) -> Self {
        Self {
            store,
            blocks: Mutex::default(),
        }
    }

    /// Opens the commit block `root`.
    pub fn commit(&self, root: &Cid, key: &VolumeKey) -> Result<Commit> {
        let stored = crate::root_block(self.store, root)?;
        let commit = Commit::open(root, stored.clone(), key)?;
        let body_key = Commit::body_key(root, &stored, key)?;
        self.blocks
            .lock()
            .insert(*root, Disclosed::Body(body_key, stored));
        Ok(commit)
    }

    /// What was read, as a proof.
    pub fn into_proof(self, root: Cid, header: &Header, path: Vec<u8>, with_content: bool) -> Proof {
        Proof {
            root,
            path,
            with_content,
            header: header.parts(),
            blocks: self.blocks.into_inner(),
        }
    }

    fn fetch(&self, cid: &Cid) -> Result<Bytes> {
        self.store.get(cid)?.ok_or(Error::Missing { cid: *cid })
    }
}

impl NodeSource for Recorder<'_> {
    fn node(&self, link: &Link) -> Result<Arc<Node>> {
        let stored = self.fetch(&link.cid)?;
        let node = open_node(link, stored.clone())?;
        let block = Disclosed::Body(link.key.node_keys().body, stored);
        self.blocks.lock().insert(link.cid, block);
        Ok(Arc::new(node))
    }
}

impl ProofSource for Recorder<'_> {
    fn leaf(&self, link: &Link) -> Result<Vec<u8>> {
        let stored = self.fetch(&link.cid)?;
        let plain = open_leaf(link, stored.clone())?;
        let block = Disclosed::Leaf(link.key.clone(), link.form, stored);
        self.blocks.lock().insert(link.cid, block);
        Ok(plain)
    }
}

/// Keys of B+tree entries that a search laid open, whichever it was for.
pub type Shown = BTreeSet<Vec<u8>>;

#[cfg(test)]
mod tests;
