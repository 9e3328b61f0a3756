//! A version of a volume in one file that any IPLD tool reads: CARv1, as a stream, or CARv2, with
//! an index.
//!
//! ```text
//!   CARv1   | header: root = volume block | volume block | commit block | node | leaf | leaf | node | ...
//!   CARv2   | pragma | header | ------------------ the same ----------------- | index: hash --> offset |
//!
//!   volume block   [1, [commit block], volume header, head or null, since or null]
//! ```
//!
//! The header and the head of the volume are no blocks. So the file's root is a block that holds
//! them beside the link to the commit block. From there a reader walks to everything. Blocks come
//! in the order of a walk, each once. A file made *since* an older version leaves out that
//! version's blocks. It is read together with a file that has them ([`Layers`]).
//!
//! **Invariant:** everything in a file is hostile. Lengths are checked before memory is taken. A
//! section is believed to be the block its CID says, never to have the right bytes. The reader of
//! a block compares it with its name.
//!
//! The bytes are in `docs/format.md`, section 18.

mod frame;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod index;
mod layers;
mod source;
mod store;
#[cfg(test)]
mod tests;
mod volume;
mod write;

pub use layers::Layers;
pub use source::ReadAt;
pub use store::CarStore;
pub use volume::CarVolume;
pub use write::{CarWriter, ExportError, ExportProgress, Exported, export_v1, export_v2};
