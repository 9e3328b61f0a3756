//! Writing a file's bytes, and cutting it.
//!
//! ```text
//! whole records --seal, outside the lock--> leaf in the open layer
//! the rest      --copy--------------------> pieces in the open layer
//! ```

use crate::blocks::Cached;
use crate::data::admit::{Refused, Tried};
use crate::data::layer::{Layer, Rec, cut};
use crate::engine::{Engine, Guard};
use crate::state::State;
use crate::stored::record::Stored;
use crate::{Caller, Error, InodeNo, Result};
use cairn_merkle::{Link, PutHint, index};
use parking_lot::MutexGuard;

/// Largest file: what a 64-bit offset of the kernel reaches.
pub(crate) const SIZE_MAX: u64 = i64::MAX as u64;

/// A part of a write that lies within one record.
enum Chunk {
    Whole(Link),
    Part { offset: u32, bytes: Vec<u8> },
}

impl Engine {
    /// Writes all of `bytes` at `offset`. Not durable before fsync or the next commit.
    /// `unprivileges` if it is the caller who changes them, and not a cache that writes back what
    /// was changed before.
    ///
    /// # Errors
    /// [`Error::NoSpace`], [`Error::TooLarge`], [`Error::ReadOnly`]; that a commit must come
    /// first.
    pub(crate) fn try_write(
        &self,
        ino: InodeNo,
        (offset, bytes): (u64, &[u8]),
        caller: Caller,
        unprivileges: bool,
        tried: &mut Tried,
    ) -> Result<(), Refused> {
        let end = offset
            .checked_add(bytes.len() as u64)
            .filter(|end| *end <= SIZE_MAX)
            .ok_or(Error::TooLarge)?;
        let mut state = self.state.lock();
        // Not by way of `begin_change`: admission, which may wait, comes after the look at the
        // file's index.
        Self::writable(&state, ino)?;
        self.enter(&mut state, ino)?;
        state.inodes.get(ino)?.file()?;
        if bytes.is_empty() {
            return Ok(());
        }
        self.reach_records(&mut state, ino, offset, end)?;
        self.admit_bytes(&mut state, bytes.len() as u64, tried)?;
        // No epoch is closed from here to `drop(put)`; and from there to the end the lock is held.
        // So each leaf is born in the epoch whose layer names it.
        let put = self.begin_put(&mut state);
        let chunks = MutexGuard::unlocked(put.state, || self.seal_whole(put.epoch, offset, bytes));
        drop(put);
        let chunks = chunks?;
        let state = &mut *state;
        // While the lock was released, the inode may have been parked.
        self.revive(state, ino)?;
        // Under one hold of the lock: a read sees all of these bytes or none.
        for (recno, chunk) in chunks {
            self.apply_chunk(state, ino, recno, chunk)?;
        }
        let inode = state.inodes.change(ino)?;
        inode.meta.size = inode.meta.size.max(end);
        self.stamp(state, ino, caller)?;
        if unprivileges {
            self.unprivilege(state, ino, caller)?;
        }
        Ok(())
    }

    /// Refuses to change records whose place in the file's index cannot be read: the commit could
    /// not store them. Nodes are read outside of the lock, if they are not cached.
    pub(crate) fn reach_records(
        &self,
        state: &mut Guard<'_>,
        ino: InodeNo,
        from: u64,
        until: u64,
    ) -> Result<()> {
        let size = u64::from(self.record_size);
        let (first, last) = (from / size, until.saturating_sub(1) / size);
        loop {
            let file = state.inodes.get(ino)?.file()?;
            let Stored::Index(root) = &file.stored else {
                return Ok(());
            };
            let floor = file.frozen.as_ref().map_or(u64::MAX, |frozen| frozen.floor);
            let floor = floor.min(file.open.floor);
            if index::reach(&Cached(&self.blocks), root, first, last, floor).is_ok() {
                return Ok(());
            }
            let (root, commits) = (root.clone(), state.commits.done());
            let reached =
                MutexGuard::unlocked(state, || index::reach(&self.blocks, &root, first, last, floor));
            self.revive(state, ino)?;
            match reached {
                // A commit may have freed what was to be read; its own nodes are newer.
                Err(cairn_merkle::Error::Missing { .. }) if state.commits.done() != commits => {}
                done => return Ok(done?),
            }
        }
    }

    /// Seals and puts the records that `bytes` covers whole; copies the rest.
    fn seal_whole(&self, epoch: cairn_merkle::Epoch, offset: u64, bytes: &[u8]) -> Result<Vec<(u64, Chunk)>> {
        let mut chunks = Vec::new();
        let mut sealed = Vec::new();
        let mut at = 0;
        for (recno, from, to) in cut(offset, bytes.len() as u64, self.record_size) {
            let part = &bytes[at..at + (to - from) as usize];
            at += part.len();
            if part.len() == self.record_size as usize {
                let (block, link) = self.blocks.seal_leaf(epoch, part);
                sealed.push(block);
                chunks.push((recno, Chunk::Whole(link)));
            } else {
                chunks.push((
                    recno,
                    Chunk::Part {
                        offset: from,
                        bytes: part.to_vec(),
                    },
                ));
            }
        }
        if !sealed.is_empty() {
            self.blocks.store.put(epoch, &sealed, PutHint::Bulk)?;
        }
        Ok(chunks)
    }

    fn apply_chunk(&self, state: &mut State, ino: InodeNo, recno: u64, chunk: Chunk) -> Result<()> {
        match chunk {
            Chunk::Whole(link) => {
                // Before any record names it: the next fsync must know that a sync is due.
                state.puts.land();
                state.open.put_leaf(self.record_size.into());
                self.set_record(state, ino, recno, Rec::Clean(link))
            }
            Chunk::Part { offset, bytes } => self.write_piece(state, ino, recno, offset, bytes),
        }
    }

    pub(crate) fn set_record(&self, state: &mut State, ino: InodeNo, recno: u64, rec: Rec) -> Result<()> {
        let file = state.inodes.change(ino)?.file_mut()?;
        file.unlogged.replace(recno);
        let set = |layer: &mut Layer, dropped: &mut Vec<Link>| layer.set(recno, rec, dropped);
        state.open.change_layer(&mut file.open, set);
        Ok(())
    }

    pub(crate) fn write_piece(
        &self,
        state: &mut State,
        ino: InodeNo,
        recno: u64,
        offset: u32,
        bytes: Vec<u8>,
    ) -> Result<()> {
        let file = state.inodes.change(ino)?.file_mut()?;
        file.unlogged.touch(recno, offset, offset + bytes.len() as u32);
        let write = |layer: &mut Layer| layer.write(recno, self.record_size, offset, bytes);
        state.open.write(&mut file.open, write);
        Ok(())
    }

    /// Gives a file another size.
    pub(crate) fn set_size(&self, state: &mut State, ino: InodeNo, size: u64) -> Result<()> {
        if size > SIZE_MAX {
            return Err(Error::TooLarge);
        }
        state.inodes.get(ino)?.file()?;
        let inode = state.inodes.change(ino)?;
        let shrinks = size < inode.meta.size;
        inode.meta.size = size;
        let file = inode.file_mut()?;
        file.unlogged.meta = true;
        if shrinks {
            let record_size = self.record_size;
            file.unlogged.cut(size, size.div_ceil(u64::from(record_size)));
            // On a full store this may make room, once it is committed.
            state.commits.note_deleted();
            let cut = |layer: &mut Layer, dropped: &mut Vec<Link>| layer.cut(size, record_size, dropped);
            state.open.change_layer(&mut file.open, cut);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
