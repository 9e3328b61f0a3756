//! Names of sealed blocks, and the seams to the untrusted sides: a store that keeps the blocks,
//! an anchor that publishes versions.
//!
//! ```text
//!        sealed blocks, opaque heads and log records        versions: Epoch, Cid of a commit
//!                          |                                              |
//!  merkle, fs  ------> BlockStore <------ store         plane  ------> Anchor <------ chain
//! ```
//!
//! **Invariant:** no key and no cipher lies here or in any crate below. `cairn-store` is built on
//! this crate and not on `cairn-merkle`, so it can neither read nor forge what it keeps.
//! [`MemoryStore`] is the reference for the meaning of [`BlockStore`], which is three traits in
//! one: [`Blocks`], [`Log`] and [`Heads`].

pub mod anchor;
mod blocks;
pub mod buffer;
mod cid;
mod empty;
mod epoch;
mod error;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod group;
mod heads;
mod log;
mod memory;
pub mod overlay;
mod store;
#[cfg(feature = "testing")]
pub mod testing;

pub use anchor::{Anchor, AnchorError, Cancel, Challenge, ChallengeKind, Fault, Verdict, Version, decide};
pub use blocks::{Blocks, MAX_STORED, PartHint, PutHint, PutProgress, Sealed, StoreStats};
pub use cid::{CODEC_DAG_CBOR, CODEC_RAW, Cid, Codec, MULTIHASH_BLAKE3};
pub use empty::EmptyStore;
pub use epoch::Epoch;
pub use error::StoreError;
pub use heads::{HeadSwap, Heads, Twin};
pub use log::{Log, LogPos, LogRest};
pub use memory::MemoryStore;
pub use store::BlockStore;
