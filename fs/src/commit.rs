//! Closing an epoch: what changed becomes the tree, and the head moves.
//!
//! ```text
//!  freeze --> contents --> trees --> ledger, held list --> commit block --> head --> what was frozen is stored
//! ```

mod close;
pub(crate) mod committed;
mod committer;
mod content;
pub(crate) mod epoch;
mod freeze;
pub(crate) mod held;
pub(crate) mod ledger;
pub(crate) mod losses;
mod moved;
pub(crate) mod open;
pub(crate) mod phase;
mod rollback;
pub(crate) mod room;
pub(crate) mod trees;
