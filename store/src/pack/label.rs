//! What stands behind each block in its pack: which block it is.
//!
//! ```text
//!   | block ........ zeros, label | block ... label | hole | ...      each label ends a unit
//! ```
//!
//! So an index that is lost can be made anew from the packs: each unit that ends in a label is the
//! last of a block, and the bytes before it must hash to its name. Nothing else is believed of a
//! label, and while there is an index nothing reads one.

use cairn_block::{Cid, Epoch};

/// Stored length of a label.
pub(crate) const LABEL_LEN: usize = 64;

const MAGIC: &[u8; 8] = b"cairnblk";

/// Names a block in its pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Label {
    /// The epoch of its put.
    pub(crate) epoch: Epoch,
    /// Its length in bytes.
    pub(crate) len: u32,
    /// Its name.
    pub(crate) cid: Cid,
}

impl Label {
    /// Magic, epoch, length, name, zeros (docs/format.md, section 17).
    pub(crate) fn encode(&self) -> [u8; LABEL_LEN] {
        let mut label = [0; LABEL_LEN];
        label[..8].copy_from_slice(MAGIC);
        label[8..16].copy_from_slice(&self.epoch.0.to_le_bytes());
        label[16..20].copy_from_slice(&self.len.to_le_bytes());
        label[20..20 + Cid::LEN].copy_from_slice(&self.cid.to_bytes());
        label
    }
}
