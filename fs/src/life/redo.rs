//! Doing the operations of the log again, one by one, around what is damaged.
//!
//! ```text
//!  operation --is one of its inodes or names lost?--yes--> skipped: all it would have made is lost too
//!      |no
//!  read what it changes --damaged--> skipped, counted, named
//!      |
//!  apply: from here on nothing is read, so an operation is done whole or not at all
//! ```
//!
//! An operation that cannot be done leaves its names and new inodes in a state that the log no
//! longer describes. Later operations on them would be done to something else. To unlink a name
//! whose renaming was skipped would remove the only copy of what it led to before. So those are
//! skipped as well, and the rest of the log counts.

use crate::damage::Cause;
use crate::engine::Engine;
use crate::log::op::{Replayed, ReplayedPart};
use crate::state::State;
use crate::stored::name::DirKey;
use crate::{Error, InodeNo, Name, Result};
use cairn_merkle::Cid;
use rustc_hash::FxHashSet;

/// What a replay knows beside the state it changes.
#[derive(Default)]
pub(crate) struct Redo {
    /// Blocks that operations name which were done.
    pub(crate) named: FxHashSet<Cid>,
    /// What skipped operations would have made or changed.
    lost_inodes: FxHashSet<InodeNo>,
    lost_names: FxHashSet<(InodeNo, Name)>,
}

/// What an operation makes, changes or finds its inodes by.
struct Touched {
    /// Inodes that must be in memory.
    needs: [Option<InodeNo>; 2],
    /// An inode that it makes or brings into memory.
    brings: Option<InodeNo>,
    names: [Option<(InodeNo, Name)>; 2],
}

impl Touched {
    fn of(op: &Replayed) -> Self {
        let (needs, brings, name) = match op {
            Replayed::Locate { ino, parent, name } => {
                ([Some(*parent), None], Some(*ino), Some((parent, name)))
            }
            Replayed::LocateLinked { ino } => ([None, None], Some(*ino), None),
            Replayed::Create { parent, name, record } => {
                ([Some(*parent), None], Some(record.meta.ino), Some((parent, name)))
            }
            Replayed::Link {
                ino, parent, name, ..
            } => ([Some(*ino), Some(*parent)], None, Some((parent, name))),
            Replayed::Unlink { parent, name, .. } => ([Some(*parent), None], None, Some((parent, name))),
            Replayed::Rename { from, to, .. } => ([Some(from.0), Some(to.0)], None, Some((&from.0, &from.1))),
            Replayed::Attr { meta, .. } | Replayed::Content { meta, .. } => {
                ([Some(meta.ino), None], None, None)
            }
        };
        let second = match op {
            Replayed::Rename { to, .. } => Some(to.clone()),
            _ => None,
        };
        Self {
            needs,
            brings,
            names: [name.map(|(dir, name)| (*dir, name.clone())), second],
        }
    }

    /// For people: the name, or else the inode's path.
    fn place(&self, state: &State) -> Vec<u8> {
        let inode = self.needs[0].or(self.brings).unwrap_or(InodeNo::ROOT);
        match &self.names[0] {
            Some((dir, name)) => state.inodes.path_in(*dir, name),
            None => state.inodes.path_of(inode),
        }
    }
}

impl Redo {
    fn needs_lost(&self, op: &Touched) -> bool {
        let inodes = op.needs.iter().chain([&op.brings]).flatten();
        let mut names = op.names.iter().flatten();
        inodes.into_iter().any(|ino| self.lost_inodes.contains(ino))
            || names.any(|name| self.lost_names.contains(name))
    }

    fn lose(&mut self, op: Touched) {
        self.lost_inodes.extend(op.brings);
        self.lost_names.extend(op.names.into_iter().flatten());
    }
}

impl Engine {
    /// Does an operation of the log again, or notes that it met damage, or needs one that did.
    ///
    /// # Errors
    /// A store that fails; an operation that does not fit the tree though nothing that it needs
    /// was skipped.
    pub(crate) fn redo(&self, state: &mut State, op: Replayed, redo: &mut Redo) -> Result<()> {
        let touched = Touched::of(&op);
        if let Replayed::Locate { ino, .. } = &op
            && !redo.lost_names.is_empty()
            && state.inodes.has(*ino)
        {
            // In memory already. After a skipped operation its name may be another than here.
            return Ok(());
        }
        if redo.needs_lost(&touched) {
            let why = Cause::new("an operation before it, which it needs, was skipped");
            self.damage.skipped(touched.place(state), &why);
            // Lost in turn: what later operations do with it has no base.
            redo.lose(touched);
            return Ok(());
        }
        // Told and not skipped: all other bytes of the file are there.
        self.note_missing(state, &op)?;
        match self.apply(state, op, &mut redo.named) {
            Err(Error::Merkle(error)) if error.damaged().is_some() => {
                self.damage.skipped(touched.place(state), &(&error).into());
                redo.lose(touched);
                Ok(())
            }
            done => done,
        }
    }

    /// Tells of blocks that an operation names and that are not there: bytes that were synced, and
    /// whose places the store's index lost.
    fn note_missing(&self, state: &State, op: &Replayed) -> Result<()> {
        let Replayed::Content { meta, parts, .. } = op else {
            return Ok(());
        };
        for cid in parts.iter().filter_map(ReplayedPart::block) {
            if !self.blocks.store.holds(&cid)? {
                let missing = cairn_merkle::Error::Missing { cid };
                self.damage
                    .lost(state.inodes.path_of(meta.ino), &(&missing).into());
            }
        }
        Ok(())
    }

    /// Reads all that an operation changes, then changes it: so it is done whole or not at all.
    fn apply(&self, state: &mut State, op: Replayed, named: &mut FxHashSet<Cid>) -> Result<()> {
        match op {
            Replayed::Locate { ino, parent, name } => {
                let key = state.key(&name);
                match self.find(state, parent, &key)? {
                    Some(child) if child.ino == ino => Ok(()),
                    _ => Err(Error::NoEntry),
                }
            }
            Replayed::LocateLinked { ino } => self.load_linked(state, ino),
            Replayed::Create { parent, name, record } => {
                let key = self.vacant(state, parent, &name)?;
                self.apply_create(state, parent, key, record)
            }
            Replayed::Link {
                ino,
                parent,
                name,
                now,
            } => {
                let key = self.vacant(state, parent, &name)?;
                // Read before the change, so that damage is met while nothing is done.
                self.reach_table(state, ino)?;
                self.apply_link(state, ino, parent, key, now)
            }
            Replayed::Unlink { parent, name, now } => {
                let key = state.key(&name);
                self.apply_unlink(state, parent, key, now)
            }
            Replayed::Rename {
                from: (parent, name),
                to: (new_parent, new_name),
                mode,
                now,
            } => {
                let (key, new_key) = (state.key(&name), state.key(&new_name));
                self.apply_rename(state, (parent, key), (new_parent, new_key), mode, now)
            }
            Replayed::Attr { meta, xattrs } => self.apply_attr(state, &meta, xattrs),
            Replayed::Content { meta, low, parts } => {
                let blocks: Vec<Cid> = parts.iter().filter_map(ReplayedPart::block).collect();
                self.apply_content(state, &meta, low, parts)?;
                // Only once it is done: leaves of a skipped operation are stranded, and freed.
                named.extend(blocks);
                Ok(())
            }
        }
    }

    /// The key of a name that nothing has.
    fn vacant(&self, state: &mut State, parent: InodeNo, name: &Name) -> Result<DirKey> {
        let key = state.key(name);
        match self.child(state, parent, &key)? {
            Some(_) => Err(Error::Exists),
            None => Ok(key),
        }
    }
}

#[cfg(test)]
mod tests;
