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
//! What needs no key lies below, in `cairn-block`: names, epochs and the seams to store and
//! anchor. This crate hands them on, so that its users name one crate.

mod aead;
pub mod audit;
pub mod btree;
pub mod buffer;
pub mod car;
pub mod clear;
pub mod commit;
pub mod error;
pub mod form;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod head;
pub mod header;
pub mod index;
pub mod key;
pub mod leaf;
pub mod link;
pub mod log;
pub mod node;
pub mod proof;
pub mod suite;
#[cfg(feature = "testing")]
pub mod testing;
mod tree;
pub mod twin;
pub mod walk;

pub use cairn_block::{
    Anchor, AnchorError, BlockStore, Blocks, CODEC_DAG_CBOR, CODEC_RAW, Cancel, Challenge, ChallengeKind,
    Cid, Codec, EmptyStore, Epoch, Fault, HeadSwap, Heads, Log, LogPos, LogRest, MAX_STORED,
    MULTIHASH_BLAKE3, MemoryStore, PartHint, PutHint, Sealed, StoreError, StoreStats, Twin, Verdict, Version,
    decide, group, overlay,
};
pub use clear::node_links;
pub use commit::Commit;
pub use error::{Error, Result};
pub use form::Form;
pub use head::Head;
pub use header::{Compression, Feature, Header, HeaderParams, HeaderParts, Need, Slot, SlotKey, SlotKind};
pub use key::{BlockKey, BodyKey, Kek, SubKey, VolumeKey};
pub use leaf::{
    LEAF_OVERHEAD, open_leaf, open_leaf_into, open_leaf_part, part_for, seal_leaf, seal_leaf_as, seal_sparse,
    seal_trial,
};
pub use link::{Link, SECRET_LEN};
pub use log::{LogKey, Opened};
pub use node::{Node, open_node, seal_node};
pub use proof::{Proof, ProofSource, Recorder};
pub use suite::Suite;
pub use tree::{Damaged, NodeSink, NodeSource, stop};
pub use twin::{Copies, DamagedCopy, root_block};
