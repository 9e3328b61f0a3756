//! Blocks in and out of the store, verified, opened and cached.
//!
//! ```text
//!   node(link), leaf(link) --miss--> store.get --verify, open--> cache
//!   node_among(siblings)   --miss--> the same, and has the siblings read ahead (ahead.rs)
//!   Writer (writer.rs): put_node, put_record --seal--> batch --full--> store.put
//!                       drop_block --> names the commit will free or hand to a dead list
//! ```
//!
//! A block never changes, so a cached one is right for ever; the cache is bounded in bytes and
//! keyed by name.

mod ahead;
mod cache;
mod differ;
mod reader;
mod writer;

pub(crate) use differ::differ;
pub(crate) use reader::{Blocks, Cached, Uncached};
pub(crate) use writer::Writer;
