//! What of a file's content an fsync puts into the log, and how it comes back from there.
//!
//! ```text
//! fsync:    much of it  --seal--> leaves, and the log names them
//!           the rest    --------> its bytes, in the log
//! recovery: log --apply_content--> the open layer, as if it had just been written
//! ```

use crate::data::layer::{Dirty, Rec, Under};
use crate::data::spread::spread;
use crate::engine::{Engine, Guard};
use crate::log::op::{Op, Part, ReplayedPart};
use crate::namespace::inode::{Home, Unlogged};
use crate::state::State;
use crate::stored::record::Meta;
use crate::{Error, InodeNo, Kind, Result};
use cairn_merkle::PutHint;
use parking_lot::MutexGuard;
use std::collections::BTreeSet;

/// Above this much unlogged data an fsync seals records instead of logging bytes.
const LOG_BYTES_MAX: u64 = 1 << 20;

impl Engine {
    /// Seals what is dirty in a file when it is too much for the log.
    pub(crate) fn flush_large(&self, state: &mut Guard<'_>, ino: InodeNo) -> Result<()> {
        let dirty: Vec<(u64, u64)> = {
            let Ok(file) = state.inodes.get(ino).and_then(|inode| inode.file()) else {
                return Ok(());
            };
            // From the few that are unlogged: a file may have very many dirty ones.
            let dirty = |recno: &u64| match file.open.records().get(recno)? {
                Rec::Dirty(dirty) => Some((*recno, dirty.pieces.bytes() as u64)),
                _ => None,
            };
            file.unlogged.records.keys().filter_map(dirty).collect()
        };
        if dirty.iter().map(|(_, bytes)| bytes).sum::<u64>() < LOG_BYTES_MAX {
            return Ok(());
        }
        // A writer that stops to sync waits for all of it: on as many processors as a commit
        // takes.
        let seal = |(recno, _): &(u64, u64)| self.seal_record(&mut self.state.lock(), ino, *recno);
        MutexGuard::unlocked(state, || spread(&dirty, self.config.workers, &seal))
    }

    /// Turns a dirty record into a leaf, unless it changes meanwhile.
    fn seal_record(&self, state: &mut Guard<'_>, ino: InodeNo, recno: u64) -> Result<()> {
        let put = self.begin_put(state);
        let Some((version, bytes)) = Self::dirty_version(put.state, ino, recno) else {
            return Ok(());
        };
        let start = recno * u64::from(self.record_size);
        let plan = self.plan(put.state, ino, start, self.record_size as usize)?;
        let sealed = MutexGuard::unlocked(put.state, || -> Result<_> {
            let record = plan.run(&self.blocks)?;
            let whole = bytes >= record.len();
            let Some((block, link)) = self.blocks.seal_record(put.epoch, &record, whole) else {
                return Ok(Rec::Hole);
            };
            self.blocks.store.put(put.epoch, &[block], PutHint::Bulk)?;
            Ok(Rec::Clean(link))
        });
        drop(put);
        let sealed = match sealed {
            // A commit freed what lay below; the record is as dirty as it was, and is logged as
            // bytes.
            Err(Error::Merkle(cairn_merkle::Error::Missing { .. })) => return Ok(()),
            other => other?,
        };
        state.puts.land();
        // Looked at again: a write may have come while the lock was released. No layer has this
        // leaf then, and the commit frees it.
        if Self::dirty_version(state, ino, recno).is_some_and(|(now, _)| now == version) {
            return self.set_record(state, ino, recno, sealed);
        }
        if let Some(link) = sealed.into_link() {
            state.open.drop_leaf(link);
        }
        Ok(())
    }

    /// Which version of a dirty record there is, and how much of it was written.
    fn dirty_version(state: &State, ino: InodeNo, recno: u64) -> Option<(u64, usize)> {
        match state
            .inodes
            .get(ino)
            .ok()?
            .file()
            .ok()?
            .open
            .records()
            .get(&recno)?
        {
            Rec::Dirty(dirty) => Some((dirty.version, dirty.pieces.bytes())),
            _ => None,
        }
    }

    /// Notes a file's unlogged content for the log.
    pub(crate) fn log_content(&self, state: &mut State, ino: InodeNo) -> Result<()> {
        if !Self::has_unlogged(state, ino)? {
            return Ok(());
        }
        self.locate(state, ino)?;
        let record_size = self.record_size;
        let State {
            inodes, log, open, ..
        } = state;
        let inode = inodes.get_mut(ino)?;
        // Lent to the log, byte by byte: an append to a record that is nearly full must not copy
        // all of it.
        let file = inode.file()?;
        let parts = file.unlogged.records.iter().flat_map(|(recno, ranges)| {
            let rec = file.open.records().get(recno);
            rec.map(|rec| parts_of(*recno, rec, ranges.as_ref(), record_size))
                .unwrap_or_default()
        });
        let op = Op::Content {
            meta: &inode.meta,
            low: file.unlogged.low,
            parts: parts.collect(),
        };
        log.push(open.number(), &op);
        inode.file_mut()?.unlogged = Unlogged::default();
        Ok(())
    }

    /// Before an epoch is closed: notes for the log what files that are synced again and again
    /// have not synced yet. The next sync takes it from there, and need not wait for the commit.
    pub(crate) fn log_for_syncs(&self, state: &mut State) {
        for ino in state.inodes.take_synced() {
            if let Err(error) = self.log_content(state, ino) {
                // It is as it was: a sync waits for the commit.
                tracing::debug!(%error, ino = ino.0, "not logged ahead of a commit");
            }
        }
    }

    /// Whether the log lacks some of a file's content. Of files without a name the log says
    /// nothing.
    fn has_unlogged(state: &State, ino: InodeNo) -> Result<bool> {
        let inode = state.inodes.get(ino)?;
        let unlogged = inode.file().is_ok_and(|file| !file.unlogged.is_empty());
        Ok(unlogged
            && !state.life.is_replaying()
            && inode.home != Home::Orphan
            && inode.meta.kind == Kind::File)
    }

    /// Applies logged content: the counterpart of [`Self::log_content`].
    pub(crate) fn apply_content(
        &self,
        state: &mut State,
        meta: &Meta,
        low: Option<u64>,
        parts: Vec<ReplayedPart>,
    ) -> Result<()> {
        let ino = meta.ino;
        if let Some(low) = low
            && low < state.inodes.get(ino)?.meta.size
        {
            // Before the parts: bytes beyond the cut must not come back where the file grows
            // again.
            self.set_size(state, ino, low)?;
        }
        for part in parts {
            match part {
                ReplayedPart::Base { recno, keep, link } => {
                    self.set_record(state, ino, recno, link.map_or(Rec::Hole, Rec::Clean))?;
                    if keep < self.record_size {
                        let file = state.inodes.change(ino)?.file_mut()?;
                        file.open.keep(recno, self.record_size, keep);
                    }
                }
                ReplayedPart::Bytes { recno, offset, bytes } => {
                    let end = u64::from(offset) + bytes.len() as u64;
                    if end > u64::from(self.record_size) {
                        return Err(Error::Invalid("a logged write leaves its record"));
                    }
                    self.write_piece(state, ino, recno, offset, bytes)?;
                }
            }
        }
        let inode = state.inodes.change(ino)?;
        // `stored` is that of the last commit, and operations on names count links.
        let kept = (inode.meta.stored, inode.meta.nlink);
        inode.meta = meta.clone();
        (inode.meta.stored, inode.meta.nlink) = kept;
        Ok(())
    }
}

/// What the log has to say of one record; `ranges` are those that changed, or all of it did.
fn parts_of<'a>(
    recno: u64,
    rec: &'a Rec,
    ranges: Option<&BTreeSet<(u32, u32)>>,
    record_size: u32,
) -> Vec<Part<'a>> {
    let whole = |link| {
        vec![Part::Base {
            recno,
            keep: record_size,
            link,
        }]
    };
    let dirty = match rec {
        Rec::Hole => return whole(None),
        Rec::Clean(link) => return whole(Some(link.clone())),
        Rec::Dirty(dirty) => dirty,
    };
    let bytes = |from, until| {
        let within = dirty.pieces.within(from, until);
        within.map(move |(offset, bytes)| Part::Bytes { recno, offset, bytes })
    };
    match ranges {
        None => base_of(recno, dirty)
            .into_iter()
            .chain(bytes(0, record_size))
            .collect(),
        Some(ranges) => ranges
            .iter()
            .flat_map(|(from, until)| bytes(*from, *until))
            .collect(),
    }
}

/// What a dirty record starts from, when the log must say so.
fn base_of(recno: u64, dirty: &Dirty) -> Option<Part<'static>> {
    let link = match &dirty.under {
        Under::Below => return None,
        Under::Hole => None,
        Under::Leaf(link) => Some(link.clone()),
    };
    Some(Part::Base {
        recno,
        keep: dirty.keep,
        link,
    })
}

#[cfg(test)]
mod tests;
