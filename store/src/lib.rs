//! The untrusted side: where sealed blocks lie. It knows no key.
//!
//! ```text
//!   cairn_block: BlockStore = Blocks (rocks/blocks.rs) + Log (rocks/log.rs) + Heads (rocks/heads.rs)
//!            |
//!       RocksStore ---- pack: blocks behind each other in large files
//!            |     `--- lock: one handle at a time
//!            |     `--- twin: head, header and commit block once more
//!            |     `--- keys: what each record of the index is called
//!            |     `--- options: how RocksDB is set up, and why
//!            |     `--- space: refuses a write before the disk does
//!            |     `--- reclaim: gives the room of deleted blocks back
//!            v
//!      one directory
//! ```
//!
//! **Invariant:** nothing here can read or forge the stored content, and only
//! [`RocksStore::create`] ever formats a directory. [`RocksStore::open`] answers a directory that
//! it cannot open with an error, and leaves it as it was.

mod direct;
mod error;
mod lock;
mod own;
mod pack;
mod rocks;
mod twin;

#[cfg(feature = "fuzzing")]
pub mod fuzzing {
    //! Each decoder of this crate as a function of bytes, for `tests/fuzz`.
    pub use crate::rocks::fuzzing::TARGETS;
}

pub use error::OpenError;
pub use rocks::{RocksStore, StoreOptions};
