//! Where a file has data: to the record, and within a record that has holes to the page.

use crate::data::layer::{Dirty, Rec, Under};
use crate::data::plan::Plan;
use crate::engine::Engine;
use crate::namespace::inode::FileBody;
use crate::stored::record::Stored;
use crate::{Error, InodeNo, Result, Seek};
use cairn_merkle::{Link, form, index};

const PAGE: u64 = form::PAGE as u64;

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Run {
    Hole,
    Data,
    /// Data with holes in it, perhaps.
    Mixed,
}

/// How far a look under the lock came.
enum Look {
    /// The answer.
    Found(u64),
    /// It depends on what is in the record from here on.
    In(u64, Box<Plan>),
    /// The place is not before the end.
    Past(u64),
}

impl Engine {
    /// The next data or hole, to the page where a record has both.
    ///
    /// # Errors
    /// [`Error::NoData`] at or past the end, or when there is no more data. EIO's causes where a
    /// record has to be read.
    pub fn seek(&self, ino: InodeNo, offset: u64, whence: Seek) -> Result<u64> {
        let mut place = offset;
        loop {
            let commits = self.state.lock().commits.done();
            let (from, plan) = match self.look(ino, place, whence)? {
                Look::Found(at) => return Ok(at),
                Look::In(from, plan) => (from, plan),
                // The file's end is a hole to those that come from before it.
                Look::Past(size) if place > offset && whence == Seek::Hole => return Ok(size),
                Look::Past(_) => return Err(Error::NoData),
            };
            // Without the lock: the record's leaf may have to be fetched.
            let bytes = match plan.run(&self.blocks) {
                // A commit freed the leaf: a newer plan knows the newer one.
                Err(Error::Merkle(cairn_merkle::Error::Missing { .. }))
                    if self.state.lock().commits.done() != commits =>
                {
                    continue;
                }
                read => read?,
            };
            if let Some(at) = within(&bytes, from, whence) {
                return Ok(at);
            }
            place = from / PAGE * PAGE + bytes.len() as u64;
        }
    }

    /// Goes over the records that are all hole or all data.
    fn look(&self, ino: InodeNo, offset: u64, whence: Seek) -> Result<Look> {
        let state = self.begin_read(ino)?;
        let inode = state.inode();
        let (size, record_size) = (inode.meta.size, u64::from(self.record_size));
        if offset >= size {
            return Ok(Look::Past(size));
        }
        let mut recno = offset / record_size;
        while recno.saturating_mul(record_size) < size {
            let from = offset.max(recno * record_size);
            let (run, until) = self.run(inode.file()?, recno)?;
            match (run, whence) {
                (Run::Hole, Seek::Hole) | (Run::Data, Seek::Data) => return Ok(Look::Found(from)),
                (Run::Mixed, _) => {
                    let page = from / PAGE * PAGE;
                    let len = ((recno + 1) * record_size).min(size) - page;
                    let plan = self.plan(&state, ino, page, usize::try_from(len).unwrap_or(usize::MAX))?;
                    return Ok(Look::In(from, Box::new(plan)));
                }
                (Run::Hole, Seek::Data) | (Run::Data, Seek::Hole) => recno = until,
            }
        }
        match whence {
            Seek::Hole => Ok(Look::Found(size)),
            Seek::Data => Err(Error::NoData),
        }
    }

    /// What record `recno` is, and a record up to which that is known to hold.
    pub(super) fn run(&self, file: &FileBody, recno: u64) -> Result<(Run, u64)> {
        let layers = [Some(&file.open), file.frozen.as_deref()];
        let mut until = u64::MAX;
        for layer in layers.into_iter().flatten() {
            match layer.records().get(&recno) {
                Some(Rec::Hole) => return Ok((Run::Hole, recno + 1)),
                Some(Rec::Clean(link)) => return Ok((of_leaf(link), recno + 1)),
                Some(Rec::Dirty(dirty)) if decides(dirty) => {
                    return Ok((self.of_dirty(dirty), recno + 1));
                }
                Some(Rec::Dirty(_)) => until = recno + 1,
                None => {}
            }
            if let Some((next, _)) = layer.records().range(recno + 1..).next() {
                until = until.min(*next);
            }
            if recno >= layer.floor {
                return Ok((Run::Hole, until));
            }
            until = until.min(layer.floor);
        }
        Ok(match &file.stored {
            Stored::Index(root) => match index::next_data(&self.blocks, Some(root), recno)? {
                Some(next) if next == recno => match index::next_hole(&self.blocks, Some(root), recno)? {
                    hole if hole == recno => (Run::Mixed, recno + 1),
                    hole => (Run::Data, until.min(hole)),
                },
                Some(next) => (Run::Hole, until.min(next)),
                None => (Run::Hole, until),
            },
            Stored::None | Stored::Tree(_) => (Run::Hole, until),
            Stored::Leaf(link) if recno == 0 => (of_leaf(link), 1),
            Stored::Inline(_) if recno == 0 => (Run::Data, 1),
            Stored::Inline(_) | Stored::Leaf(_) => (Run::Hole, until),
        })
    }

    fn of_dirty(&self, dirty: &Dirty) -> Run {
        match (dirty.is_whole(self.record_size), &dirty.under) {
            (true, _) => Run::Data,
            (false, Under::Leaf(link)) if dirty.keep >= self.record_size => of_leaf(link),
            (false, _) => Run::Mixed,
        }
    }
}

/// Whether a dirty record is not just what lies below it, cut.
fn decides(dirty: &Dirty) -> bool {
    dirty.pieces.bytes() > 0 || dirty.under != Under::Below
}

fn of_leaf(link: &Link) -> Run {
    match link.form.has_holes() {
        true => Run::Mixed,
        false => Run::Data,
    }
}

/// The first page of that kind in `bytes`, which begin with the page of `from`.
fn within(bytes: &[u8], from: u64, whence: Seek) -> Option<u64> {
    let page = from / PAGE * PAGE;
    let wanted = |page: &[u8]| form::is_zero(page) == (whence == Seek::Hole);
    let found = bytes.chunks(PAGE as usize).position(wanted)?;
    Some(from.max(page + found as u64 * PAGE))
}

#[cfg(test)]
mod tests;
