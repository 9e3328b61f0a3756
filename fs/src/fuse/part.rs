//! Small reads of large records.
//!
//! ```text
//!   READ --a part of the record, verified alone--> answer --worth filling?--> fill thread: the rest, for the page cache
//! ```

use super::{fill::Filler, pace::Pace};
use crate::InodeNo;
use crate::operations::Operations;
use cairn_merkle::buffer::Buffer;
use fuser::INodeNo;
use std::{sync::Arc, time::Instant};

/// A read of a part of a record.
#[derive(Clone, Copy)]
pub(super) struct Part {
    pub(super) node: INodeNo,
    pub(super) offset: u64,
    pub(super) len: usize,
    /// The rest of the record is for the page cache.
    pub(super) fills: bool,
}

impl Part {
    /// Reads nothing else, if that can be, and notes whether it took long.
    pub(super) fn read<O: Operations + ?Sized>(self, fs: &O, pace: &Pace) -> Option<Buffer> {
        let begun = Instant::now();
        let bytes = fs.read_part(InodeNo(self.node.0), self.offset, self.len, self.fills)?;
        pace.done_since(begun);
        Some(bytes)
    }

    pub(super) fn fill<O: Operations + ?Sized>(self, fs: &Arc<O>, filler: &Filler) {
        if self.fills {
            filler.fill(fs, self.node, self.offset);
        }
    }
}
