//! A file's bytes: what is dirty lies in layers over what is stored.
//!
//! ```text
//!  write --admit--> layer (records, pieces)          read --plan--> layers, then the store
//!                     `--logged--> the intent log
//! ```

pub(crate) mod admit;
mod allocate;
pub(crate) mod layer;
mod logged;
mod pieces;
pub(crate) mod plan;
pub(crate) mod puts;
mod read;
mod seek;
pub(crate) mod spread;
mod write;
