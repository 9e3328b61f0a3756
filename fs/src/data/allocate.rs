//! What changes where a file has data without writing any: fallocate.

use crate::data::admit::Claim;
use crate::data::layer::{Rec, cut};
use crate::data::seek::Run;
use crate::data::write::SIZE_MAX;
use crate::engine::{Engine, Guard};
use crate::state::State;
use crate::{Caller, Error, Fallocate, InodeNo, Result};

/// Holes that are made at one go: each takes memory until it is committed.
const HOLES_MAX: u64 = 1024;

impl Engine {
    /// Changes what lies allocated in a range; see [`Fallocate`].
    ///
    /// # Errors
    /// [`Error::NoSpace`], [`Error::TooLarge`], [`Error::Invalid`] for an empty range,
    /// [`Error::ReadOnly`].
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
        let claim = match mode {
            Fallocate::PunchHole => Claim::Less,
            _ => Claim::More,
        };
        let entered = self.begin_change(ino, claim)?;
        let size = entered.inode().meta.size;
        entered.inode().file()?;
        let mut state = entered.into_guard();
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

    /// Makes `from..until` read as zeros: whole records become holes, those in the middle as there
    /// is memory for them.
    fn zero(&self, state: &mut Guard<'_>, ino: InodeNo, from: u64, until: u64) -> Result<()> {
        let size = state.inodes.get(ino)?.meta.size;
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

    /// Makes holes of the records in `from..until` that are none: those that are cost nothing,
    /// however many. Answers where to go on, if that were enough of them.
    fn make_holes(&self, state: &mut State, ino: InodeNo, from: u64, until: u64) -> Result<Option<u64>> {
        let (mut recno, mut left) = (from, HOLES_MAX);
        while recno < until {
            let (run, next) = self.run(state.inodes.get(ino)?.file()?, recno)?;
            let mut next = next.min(until);
            if run != Run::Hole {
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
}

#[cfg(test)]
mod tests;
