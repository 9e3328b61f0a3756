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
//! **Invariant:** this crate knows no path, no errno, no FUSE and no Ethereum; it never reads the clock and draws
//! randomness only through its arguments, so that every test can replay it.

mod cid;
mod epoch;
pub mod store;

pub use cid::{CODEC_DAG_CBOR, CODEC_RAW, Cid, Codec, MULTIHASH_BLAKE3};
pub use epoch::Epoch;
pub use store::{BlockStore, HeadSwap, LogPos, PutHint, Sealed, StoreError, StoreStats};
