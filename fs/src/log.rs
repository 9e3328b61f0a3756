//! The intent log: what an fsync makes durable at once, before a commit does.
//!
//! ```text
//!  operation --push--> buffer --seal, append, sync--> the store's log --(life/replay.rs)--> operation
//! ```

pub(crate) mod buffer;
mod note;
pub(crate) mod op;
pub(crate) mod reach;
pub(crate) mod sync;
