//! A file's bytes: read, write, cut, allocate, seek, copy.
//!
//! ```text
//! write: whole records --seal, outside the lock--> leaf in the open layer
//!        the rest      --copy--------------------> pieces in the open layer
//! read:  open layer > frozen layer > stored; leaves are fetched outside the lock
//! fsync: what of it goes to the log, and comes back from there: logged.rs
//! ```

mod logged;

use crate::admit::{Claim, DROPPED_BYTES};
use crate::blocks::Cached;
use crate::engine::{Engine, Guard};
use crate::layer::{Layer, Rec, Under};
use crate::namespace::inode::FileBody;
use crate::read::Plan;
use crate::state::State;
use crate::stored::record::Stored;
use crate::{Caller, Error, Fallocate, InodeNo, Result, Seek};
use cairn_merkle::buffer::Buffer;
use cairn_merkle::{Link, PutHint, index, seal_leaf};
use parking_lot::MutexGuard;

/// Largest file: what a 64-bit offset of the kernel reaches.
const SIZE_MAX: u64 = i64::MAX as u64;

/// Holes that are made at one go: each takes memory until it is committed.
const HOLES_MAX: u64 = 1024;

/// A part of a write that lies within one record.
enum Chunk {
    Whole(Link),
    Part { offset: u32, bytes: Vec<u8> },
}

/// Record number, and the range within it, of each record that `offset..offset + len` touches.
pub(crate) fn cut(offset: u64, len: u64, record_size: u32) -> impl Iterator<Item = (u64, u32, u32)> {
    let size = u64::from(record_size);
    let until = offset + len;
    let records = if len == 0 {
        0..0
    } else {
        offset / size..until.div_ceil(size)
    };
    records.map(move |recno| {
        let start = recno * size;
        let from = offset.saturating_sub(start);
        let to = (until - start).min(size);
        (recno, from as u32, to as u32)
    })
}

impl Engine {
    /// Up to `len` bytes from `offset`; fewer only at the end of the file.
    ///
    /// # Errors
    /// EIO's causes: a block that is missing or is not what was written.
    pub fn read(&self, ino: InodeNo, offset: u64, len: usize) -> Result<Buffer> {
        loop {
            let (plan, commits) = {
                let mut state = self.state.lock();
                self.enter(&mut state, ino)?;
                (self.plan(&state, ino, offset, len)?, state.commits_done)
            };
            match plan.run(&self.blocks) {
                // A commit may have freed what the plan was about to read; a newer plan knows the newer blocks.
                Err(Error::Merkle(cairn_merkle::Error::Missing { .. }))
                    if self.state.lock().commits_done != commits => {}
                done => return done,
            }
        }
    }

    /// [`Self::read`], if that takes no wait for a device; an error is left to [`Self::read`] to find.
    pub fn read_now(&self, ino: InodeNo, offset: u64, len: usize) -> Option<Buffer> {
        self.plan_now(ino, offset, len)?.run_now(&self.blocks)
    }

    /// [`Self::read`], if the range is a small part of a record. Unless the whole record is read next (`rest_follows`),
    /// somebody may come back to that part. Whatever else, errors too, is left to [`Self::read`].
    pub fn read_part(&self, ino: InodeNo, offset: u64, len: usize, rest_follows: bool) -> Option<Buffer> {
        self.plan_now(ino, offset, len)?
            .run_part(&self.blocks, rest_follows)
    }

    /// Plans a read of a file that is in memory.
    /// Plans a read of a file, if it is in memory.
    fn plan_now(&self, ino: InodeNo, offset: u64, len: usize) -> Option<Plan> {
        self.plan(&self.state.lock(), ino, offset, len).ok()
    }

    fn plan(&self, state: &State, ino: InodeNo, offset: u64, len: usize) -> Result<Plan> {
        let inode = state.inode(ino)?;
        let (file, size) = (inode.file()?, inode.meta.size);
        Ok(Plan::new(file, size, offset, len as u64, self.record_size))
    }

    /// Writes all of `bytes` at `offset`. Not durable before fsync or the next commit. `unprivileges` if it is the caller who
    /// changes them, and not a cache that writes back what was changed before.
    ///
    /// # Errors
    /// [`Error::NoSpace`], [`Error::TooLarge`], [`Error::ReadOnly`].
    pub fn write(
        &self,
        ino: InodeNo,
        offset: u64,
        bytes: &[u8],
        caller: Caller,
        unprivileges: bool,
    ) -> Result<()> {
        let end = offset
            .checked_add(bytes.len() as u64)
            .filter(|end| *end <= SIZE_MAX)
            .ok_or(Error::TooLarge)?;
        let mut state = self.state.lock();
        Self::writable(&state, ino)?;
        self.enter(&mut state, ino)?;
        state.inode(ino)?.file()?;
        if bytes.is_empty() {
            return Ok(());
        }
        self.reach_records(&mut state, ino, offset, end)?;
        self.admit_bytes(&mut state, bytes.len() as u64)?;
        let epoch = self.begin_put(&mut state);
        let chunks = MutexGuard::unlocked(&mut state, || self.seal_whole(epoch, offset, bytes));
        self.end_put(&mut state);
        let chunks = chunks?;
        let state = &mut *state;
        self.revive(state, ino)?;
        for (recno, chunk) in chunks {
            self.apply_chunk(state, ino, recno, chunk)?;
        }
        let inode = state.change(ino)?;
        inode.meta.size = inode.meta.size.max(end);
        self.stamp(state, ino, caller)?;
        if unprivileges {
            self.unprivilege(state, ino, caller)?;
        }
        Ok(())
    }

    /// Refuses to change records whose place in the file's index cannot be read: the commit could not store them. Nodes are
    /// read outside of the lock, if they are not cached.
    fn reach_records(&self, state: &mut Guard<'_>, ino: InodeNo, from: u64, until: u64) -> Result<()> {
        let size = u64::from(self.record_size);
        let (first, last) = (from / size, until.saturating_sub(1) / size);
        loop {
            let file = state.inode(ino)?.file()?;
            let Stored::Index(root) = &file.stored else {
                return Ok(());
            };
            let floor = file.frozen.as_ref().map_or(u64::MAX, |frozen| frozen.floor);
            let floor = floor.min(file.open.floor);
            if index::reach(&Cached(&self.blocks), root, first, last, floor).is_ok() {
                return Ok(());
            }
            let (root, commits) = (root.clone(), state.commits_done);
            let reached =
                MutexGuard::unlocked(state, || index::reach(&self.blocks, &root, first, last, floor));
            self.revive(state, ino)?;
            match reached {
                // A commit may have freed what was to be read; its own nodes are newer.
                Err(cairn_merkle::Error::Missing { .. }) if state.commits_done != commits => {}
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
                let (block, link) = seal_leaf(&mut rand::rng(), epoch, part);
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
                state.bulk_puts += 1;
                state.put_bytes += u64::from(self.record_size);
                self.set_record(state, ino, recno, Rec::Clean(link))
            }
            Chunk::Part { offset, bytes } => self.write_piece(state, ino, recno, offset, bytes),
        }
    }

    fn set_record(&self, state: &mut State, ino: InodeNo, recno: u64, rec: Rec) -> Result<()> {
        let file = state.change(ino)?.file_mut()?;
        file.unlogged.replace(recno);
        Self::change_layer(state, ino, |open, dropped| open.set(recno, rec, dropped))
    }

    pub(crate) fn write_piece(
        &self,
        state: &mut State,
        ino: InodeNo,
        recno: u64,
        offset: u32,
        bytes: Vec<u8>,
    ) -> Result<()> {
        let file = state.change(ino)?.file_mut()?;
        file.unlogged.touch(recno, offset, offset + bytes.len() as u32);
        let record_size = self.record_size;
        let grown = Self::change_layer(state, ino, |open, _| {
            open.write(recno, record_size, offset, bytes)
        })?;
        state.dirty_bytes += grown as u64;
        Ok(())
    }

    /// Changes a file's open layer, and counts what that takes. Leaves that go are pushed to the second argument.
    fn change_layer<T>(
        state: &mut State,
        ino: InodeNo,
        change: impl FnOnce(&mut Layer, &mut Vec<Link>) -> T,
    ) -> Result<T> {
        let mut dropped = std::mem::take(&mut state.dropped);
        let dropped_before = dropped.len();
        let changed = state.change(ino).and_then(|inode| {
            let open = &mut inode.file_mut()?.open;
            let before = open.overhead();
            let done = change(open, &mut dropped);
            Ok((done, open.overhead().saturating_sub(before)))
        });
        state.overhead_bytes += (dropped.len() - dropped_before) as u64 * DROPPED_BYTES;
        state.dropped = dropped;
        let (done, grown) = changed?;
        state.overhead_bytes += grown;
        Ok(done)
    }

    /// Gives a file another size.
    pub(crate) fn set_size(&self, state: &mut State, ino: InodeNo, size: u64) -> Result<()> {
        if size > SIZE_MAX {
            return Err(Error::TooLarge);
        }
        state.inode(ino)?.file()?;
        let inode = state.change(ino)?;
        let shrinks = size < inode.meta.size;
        inode.meta.size = size;
        let file = inode.file_mut()?;
        file.unlogged.meta = true;
        if shrinks {
            let record_size = self.record_size;
            file.unlogged.cut(size, size.div_ceil(u64::from(record_size)));
            Self::change_layer(state, ino, |open, dropped| open.cut(size, record_size, dropped))?;
        }
        Ok(())
    }

    /// Changes what lies allocated in a range; see [`Fallocate`].
    ///
    /// # Errors
    /// [`Error::NoSpace`], [`Error::TooLarge`], [`Error::Invalid`] for an empty range, [`Error::ReadOnly`].
    pub fn fallocate(
        &self,
        ino: InodeNo,
        mode: Fallocate,
        offset: u64,
        len: u64,
        caller: Caller,
    ) -> Result<()> {
        let end = offset
            .checked_add(len)
            .filter(|end| *end <= SIZE_MAX)
            .ok_or(Error::TooLarge)?;
        if len == 0 {
            return Err(Error::Invalid("an empty range"));
        }
        let mut state = self.state.lock();
        Self::writable(&state, ino)?;
        let claim = match mode {
            Fallocate::PunchHole => Claim::Less,
            _ => Claim::More,
        };
        self.wait_for_room(&mut state, claim)?;
        self.enter(&mut state, ino)?;
        let inode = state.inode(ino)?;
        let size = inode.meta.size;
        inode.file()?;
        let grows = match mode {
            Fallocate::Allocate | Fallocate::ZeroRange => end > size,
            _ => false,
        };
        if matches!(mode, Fallocate::Allocate | Fallocate::AllocateKeepSize) {
            self.admit_allocation(&state, len)?;
        } else {
            self.reach_records(&mut state, ino, offset, end.min(size))?;
            self.zero(&mut state, ino, offset, end.min(size))?;
        }
        if grows {
            self.set_size(&mut state, ino, end)?;
        }
        self.stamp(&mut state, ino, caller)?;
        self.unprivilege(&mut state, ino, caller)
    }

    /// Makes `from..until` read as zeros: whole records become holes, those in the middle as there is memory for them.
    fn zero(&self, state: &mut Guard<'_>, ino: InodeNo, from: u64, until: u64) -> Result<()> {
        let size = state.inode(ino)?.meta.size;
        let record_size = u64::from(self.record_size);
        // The file's end counts as a record's end: nothing lies behind it.
        let end = if until == size {
            until.next_multiple_of(record_size)
        } else {
            until
        };
        let (first, last) = (from.div_ceil(record_size), end / record_size);
        if first >= last {
            return self.zero_pieces(state, ino, from, until);
        }
        self.zero_pieces(state, ino, from, first * record_size)?;
        self.zero_pieces(state, ino, last * record_size, until)?;
        // At once, for the file may grow into this record later.
        self.make_holes(state, ino, last - 1, last)?;
        let mut made = self.make_holes(state, ino, first, last - 1)?;
        while let Some(next) = made {
            self.wait_for_room(state, Claim::Less)?;
            self.enter(state, ino)?;
            made = self.make_holes(state, ino, next, last - 1)?;
        }
        Ok(())
    }

    /// Writes zeros.
    fn zero_pieces(&self, state: &mut State, ino: InodeNo, from: u64, until: u64) -> Result<()> {
        for (recno, lo, hi) in cut(from, until.saturating_sub(from), self.record_size) {
            self.write_piece(state, ino, recno, lo, vec![0; (hi - lo) as usize])?;
        }
        Ok(())
    }

    /// Makes holes of the records in `from..until` that are none: those that are cost nothing, however many. Answers where
    /// to go on, if that were enough of them.
    fn make_holes(&self, state: &mut State, ino: InodeNo, from: u64, until: u64) -> Result<Option<u64>> {
        let (mut recno, mut left) = (from, HOLES_MAX);
        while recno < until {
            let (is_data, next) = self.run(state.inode(ino)?.file()?, recno)?;
            let mut next = next.min(until);
            if is_data {
                next = next.min(recno + left);
                for data in recno..next {
                    self.set_record(state, ino, data, Rec::Hole)?;
                }
                left -= next - recno;
            }
            recno = next;
            if left == 0 {
                return Ok(Some(recno));
            }
        }
        Ok(None)
    }

    /// The next data or hole, to the record.
    ///
    /// # Errors
    /// [`Error::NoData`] at or past the end, or when there is no more data.
    pub fn seek(&self, ino: InodeNo, offset: u64, whence: Seek) -> Result<u64> {
        let mut state = self.state.lock();
        self.enter(&mut state, ino)?;
        let inode = state.inode(ino)?;
        let size = inode.meta.size;
        if offset >= size {
            return Err(Error::NoData);
        }
        let record_size = u64::from(self.record_size);
        let mut recno = offset / record_size;
        while recno.saturating_mul(record_size) < size {
            let (is_data, until) = self.run(inode.file()?, recno)?;
            if is_data == (whence == Seek::Data) {
                return Ok(offset.max(recno * record_size));
            }
            recno = until;
        }
        if whence == Seek::Hole {
            Ok(size)
        } else {
            Err(Error::NoData)
        }
    }

    /// Whether record `recno` is data, and a record up to which that is known to hold.
    fn run(&self, file: &FileBody, recno: u64) -> Result<(bool, u64)> {
        let layers = [Some(&file.open), file.frozen.as_deref()];
        let mut until = u64::MAX;
        for layer in layers.into_iter().flatten() {
            match layer.records().get(&recno) {
                Some(Rec::Hole) => return Ok((false, recno + 1)),
                Some(Rec::Clean(_)) => return Ok((true, recno + 1)),
                Some(Rec::Dirty(dirty)) if dirty.pieces.bytes() > 0 || dirty.under != Under::Below => {
                    return Ok((true, recno + 1));
                }
                Some(Rec::Dirty(_)) => until = recno + 1,
                None => {}
            }
            if let Some((next, _)) = layer.records().range(recno + 1..).next() {
                until = until.min(*next);
            }
            if recno >= layer.floor {
                return Ok((false, until));
            }
            until = until.min(layer.floor);
        }
        Ok(match &file.stored {
            Stored::Index(root) => match index::next_data(&self.blocks, Some(root), recno)? {
                Some(next) if next == recno => {
                    let hole = index::next_hole(&self.blocks, Some(root), recno)?;
                    (true, until.min(hole))
                }
                Some(next) => (false, until.min(next)),
                None => (false, until),
            },
            Stored::None | Stored::Tree(_) => (false, until),
            Stored::Inline(_) | Stored::Leaf(_) => (recno == 0, until.min(recno + 1)),
        })
    }

    /// Copies up to `len` bytes between files (or within one, where the ranges do not overlap).
    ///
    /// # Errors
    /// As [`Self::read`] and [`Self::write`]; what was copied before stays.
    pub fn copy_range(
        &self,
        from: InodeNo,
        from_offset: u64,
        to: InodeNo,
        to_offset: u64,
        len: u64,
        caller: Caller,
    ) -> Result<u64> {
        const STEP: u64 = 1 << 20;
        let mut copied = 0;
        while copied < len {
            let step = usize::try_from((len - copied).min(STEP)).unwrap_or(usize::MAX);
            let bytes = self.read(from, from_offset + copied, step)?;
            if bytes.is_empty() {
                break;
            }
            self.write(to, to_offset + copied, &bytes, caller, true)?;
            copied += bytes.len() as u64;
        }
        Ok(copied)
    }
}
