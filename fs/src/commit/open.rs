//! The epoch that is filling, apart from its inodes and its log; and what the one before still
//! takes.
//!
//! ```text
//!  writes, names --> OpenEpoch --close (a commit begins)--> Frozen: what it writes
//!                        |                            `---> Pending: what is counted meanwhile
//!                        `--> the next one, empty
//! ```

use crate::data::layer::Layer;
use crate::stored::name::DirKey;
use cairn_merkle::{Cid, Epoch, Link};
use std::sync::Arc;

/// What a leaf takes that was replaced, on its way to being deleted.
pub(crate) const DROPPED_BYTES: u64 = 384;

/// What a changed name takes until it is committed.
pub(crate) fn name_bytes(key: &DirKey) -> u64 {
    384 + 3 * key.name.as_bytes().len() as u64
}

/// The volume's header as it is stored, and the hash of it that commits carry.
#[derive(Clone, Debug)]
pub(crate) struct HeaderBlock {
    pub(crate) bytes: Arc<[u8]>,
    pub(crate) hash: [u8; 32],
}

/// The epoch that is filling. All counts are bytes, and only grow: what was written and cut off
/// again is counted until the commit, which frees it.
pub(crate) struct OpenEpoch {
    number: Epoch,
    /// Of pieces in open layers.
    dirty_bytes: u64,
    /// Of leaves that were put: what a quota must count.
    put_bytes: u64,
    /// Of memory for names, records of files, and leaves that were replaced.
    overhead_bytes: u64,
    /// Of files, in the epochs closed since the volume was opened.
    written_before: u64,
    /// Leaves put in this epoch (or the last) that nothing names any more.
    dropped: Vec<Link>,
    /// Blocks that a crash left and nothing names: the commit frees them.
    stranded: Vec<Cid>,
    /// The volume's own state changed: a quota, the log's salt.
    touched: bool,
    /// The header, put with each commit; whether the epoch before had another.
    header: HeaderBlock,
    rekeyed: bool,
}

impl OpenEpoch {
    pub(crate) fn new(number: Epoch, header: HeaderBlock) -> Self {
        Self {
            number,
            dirty_bytes: 0,
            put_bytes: 0,
            overhead_bytes: 0,
            written_before: 0,
            dropped: Vec::new(),
            stranded: Vec::new(),
            touched: false,
            header,
            rekeyed: false,
        }
    }

    pub(crate) fn number(&self) -> Epoch {
        self.number
    }

    /// Operations of a later epoch are replayed: the volume goes on with that one.
    pub(crate) fn reach(&mut self, number: Epoch) {
        self.number = self.number.max(number);
    }

    /// Ends this epoch, and begins the next one.
    pub(crate) fn close(&mut self) -> Self {
        let next = Self {
            written_before: self.written_bytes(),
            // Not `rekeyed`: the commit of the closing epoch puts the new header.
            ..Self::new(self.number.next(), self.header.clone())
        };
        std::mem::replace(self, next)
    }

    pub(crate) fn dirty_bytes(&self) -> u64 {
        self.dirty_bytes
    }

    pub(crate) fn put_bytes(&self) -> u64 {
        self.put_bytes
    }

    pub(crate) fn overhead_bytes(&self) -> u64 {
        self.overhead_bytes
    }

    /// Bytes of files written since the volume was opened.
    pub(crate) fn written_bytes(&self) -> u64 {
        self.written_before + self.dirty_bytes + self.put_bytes
    }

    /// A leaf of so many bytes was put, for a record that was written whole.
    pub(crate) fn put_leaf(&mut self, bytes: u64) {
        self.put_bytes += bytes;
    }

    /// A name comes, goes or leads elsewhere, for the first time in this epoch.
    pub(crate) fn change_name(&mut self, bytes: u64) {
        self.overhead_bytes += bytes;
    }

    /// Writes to a file's open layer; `write` answers by how many bytes its pieces grew.
    pub(crate) fn write(&mut self, layer: &mut Layer, write: impl FnOnce(&mut Layer) -> usize) {
        let grown = self.change_layer(layer, |layer, _| write(layer));
        self.dirty_bytes += grown as u64;
    }

    /// Changes a file's open layer, and counts what that takes. Leaves that go are pushed to the
    /// second argument.
    pub(crate) fn change_layer<T>(
        &mut self,
        layer: &mut Layer,
        change: impl FnOnce(&mut Layer, &mut Vec<Link>) -> T,
    ) -> T {
        let (overhead, dropped) = (layer.overhead(), self.dropped.len());
        let done = change(layer, &mut self.dropped);
        // Growth only: the memory of what shrinks counts until the commit frees it.
        self.overhead_bytes += layer.overhead().saturating_sub(overhead);
        self.overhead_bytes += (self.dropped.len() - dropped) as u64 * DROPPED_BYTES;
        done
    }

    /// A leaf was put and is not wanted.
    pub(crate) fn drop_leaf(&mut self, link: Link) {
        // Counted, for it waits in memory until the commit.
        self.overhead_bytes += DROPPED_BYTES;
        self.dropped.push(link);
    }

    /// Blocks of a tree are replaced. Uncounted: a repair waits for no room.
    pub(crate) fn drop_blocks(&mut self, links: impl IntoIterator<Item = Link>) {
        self.dropped.extend(links);
    }

    /// Blocks that the commit frees, beside those it replaces.
    pub(crate) fn dropped(&self) -> &[Link] {
        &self.dropped
    }

    /// Blocks that nothing names: the commit frees them.
    pub(crate) fn free(&mut self, stranded: Vec<Cid>) {
        self.stranded.extend(stranded);
    }

    /// Has a commit made though no inode changed.
    pub(crate) fn touch(&mut self) {
        self.touched = true;
    }

    /// The header that commits put.
    pub(crate) fn header(&self) -> &HeaderBlock {
        &self.header
    }

    /// Gives the volume another header.
    pub(crate) fn rekey(&mut self, header: HeaderBlock) {
        self.header = header;
        self.rekeyed = true;
    }

    pub(crate) fn is_rekeyed(&self) -> bool {
        self.rekeyed
    }

    /// Whether there is something that only a commit does, and that is not in the log.
    pub(crate) fn asks_for_commit(&self) -> bool {
        self.touched || self.rekeyed
    }

    /// Takes what the commit frees: leaves that were replaced, and blocks that nothing names.
    pub(crate) fn into_freed(self) -> (Vec<Link>, Vec<Cid>) {
        (self.dropped, self.stranded)
    }
}

/// What a closed epoch takes until its commit is done: nothing, while there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pending {
    pub(crate) inodes: usize,
    /// As in [`OpenEpoch`].
    pub(crate) dirty_bytes: u64,
    pub(crate) put_bytes: u64,
    pub(crate) overhead_bytes: u64,
}

impl Pending {
    /// Of an epoch with so many changed inodes, whose records take `copies_bytes`.
    pub(crate) fn of(closed: &OpenEpoch, inodes: usize, copies_bytes: u64) -> Self {
        Self {
            inodes,
            dirty_bytes: closed.dirty_bytes,
            put_bytes: closed.put_bytes,
            overhead_bytes: closed.overhead_bytes + copies_bytes,
        }
    }
}

#[cfg(test)]
impl OpenEpoch {
    /// Counts so many bytes more than there are.
    pub(crate) fn pretend_dirty(&mut self, more: u64) {
        self.dirty_bytes += more;
    }

    /// Counts none.
    pub(crate) fn pretend_clean(&mut self) {
        self.dirty_bytes = 0;
    }
}
