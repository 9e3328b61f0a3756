//! A [`BlockStore`](cairn_block::BlockStore) in one directory: blocks in packs, RocksDB as their
//! index, the intent log in files of its own.
//!
//! ```text
//!   put ---------> packs (pack.rs) --written--> index: name -> place, fresh mark  } write-ahead log,
//!   delete ------> index                                                          } not synced (blocks.rs)
//!   sync --------> packs synced, then the write-ahead log
//!   swap_head ---> packs synced, twin written and synced, then one batch of head, deletes and
//!                  reached, synced (heads.rs)
//!   log_append --> segments, synced (log.rs, intent.rs)
//! ```
//!
//! - *The index names a block only after it was written*, and both are durable before a head can
//!   name it. Packs are synced before the write-ahead log that holds their places.
//! - *One write-ahead log orders all:* after a crash the index is a prefix of the changes to it.
//! - *Dead room is given back only after the delete is durable:* a reclaim takes the view it
//!   walks, then syncs the index, then punches.
//! - *The twin of a head* (twin.rs) is durable before the batch that makes it count.
//! - *Trim:* records of settled epochs may be overwritten once the head that settles them is
//!   durable. Until a reopen finds them gone they are passed over.
//!
//! After a failed write, flush or sync every later change or sync fails too. Data that the disk
//! refused once may be lost although a later sync succeeds. Reads go on, since the caller
//! verifies their answers.
//!
//! Lock order: `reached` (held for a swap), then `intent` for a moment, or RocksDB's own.
//! `reclaiming` is held over others' calls but never inside another lock. `syncing`, held until
//! the log is durable, comes before `intent`, and `intent` before the lock inside `space`.

mod ahead;
mod base;
mod blocks;
mod foreign;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod heads;
mod index;
mod intent;
mod keys;
mod log;
mod lookup;
mod open;
mod open_read;
mod options;
mod probe;
mod reached;
mod reclaim;
mod space;
mod unfinished;

pub use base::RocksStore;
pub use options::StoreOptions;
