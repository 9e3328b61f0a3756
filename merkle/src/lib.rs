//! Sealed, content-addressed blocks, and the trees made of them.
//!
//! ```text
//!  plain --seal(one-time key)--> sealed block --BLAKE3--> Cid
//!                                     |                    |
//!                                 BlockStore      Link = (Cid, key, birth, length)
//!                                                          |
//!  leaf (file data) <-- index node <-- directory node <-- commit block <-- head
//! ```
//!
//! **Invariant:** this crate knows no path, no errno, no FUSE and no Ethereum. It never reads the
//! clock and draws randomness only through its arguments, so that every test can replay it.
//!
//! Without the feature `sealing` only the keyless parts are built: names, the store's seam, and
//! the walk over the links of nodes.

pub mod anchor;
pub mod audit;
pub mod buffer;
pub mod car;
mod cid;
pub mod clear;
mod epoch;
pub mod error;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod group;
pub mod memory;
pub mod store;
pub mod twin;
pub mod walk;

#[cfg(feature = "sealing")]
mod aead;
#[cfg(feature = "sealing")]
pub mod btree;
#[cfg(feature = "sealing")]
pub mod commit;
#[cfg(feature = "sealing")]
pub mod head;
#[cfg(feature = "sealing")]
pub mod header;
#[cfg(feature = "sealing")]
pub mod index;
#[cfg(feature = "sealing")]
pub mod key;
#[cfg(feature = "sealing")]
pub mod leaf;
#[cfg(feature = "sealing")]
pub mod link;
#[cfg(feature = "sealing")]
pub mod log;
#[cfg(feature = "sealing")]
pub mod node;
#[cfg(feature = "sealing")]
pub mod proof;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "sealing")]
mod tree;

pub use anchor::{Anchor, AnchorError, Cancel, Challenge, ChallengeKind, Fault, Verdict, Version, decide};
pub use cid::{CODEC_DAG_CBOR, CODEC_RAW, Cid, Codec, MULTIHASH_BLAKE3};
pub use clear::{MAX_STORED, node_links};
pub use epoch::Epoch;
pub use error::{Error, Result, StoreError};
pub use memory::MemoryStore;
pub use store::{BlockStore, HeadSwap, LogPos, LogRest, PartHint, PutHint, Sealed, StoreStats, Twin};
pub use twin::{Copies, DamagedCopy, root_block};

#[cfg(feature = "sealing")]
pub use {
    commit::Commit,
    head::Head,
    header::{Compression, Header, HeaderParams, HeaderParts, Slot, SlotKey, SlotKind},
    key::{BlockKey, BodyKey, Kek, SubKey, VolumeKey},
    leaf::{LEAF_OVERHEAD, open_leaf, open_leaf_into, open_leaf_part, part_for, seal_leaf},
    link::{Link, SECRET_LEN},
    log::{LogKey, Opened},
    node::{Node, open_node, seal_node},
    proof::{Proof, ProofSource, Recorder},
    tree::{Damaged, NodeSink, NodeSource, stop},
};
