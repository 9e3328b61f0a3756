//! Recovery: the state as of the last commit and the log, committed before anything else happens.

use crate::damage::Table;
use crate::engine::Engine;
use crate::life::replay::Outcome;
use crate::namespace::inode::{Home, Inode};
use crate::state::State;
use crate::stored::record::{Record, Xattrs};
use crate::versions::snapshots::CHECK_NAME;
use crate::{LogLoss, Name, Result};
use cairn_merkle::{Cid, Epoch, LogKey, btree};
use rustc_hash::FxHashSet;
use std::ops::Bound;

/// Unlinked inodes read at once.
const ORPHANS_BATCH: usize = 64;
/// Stranded names asked for at once.
const FRESH_BATCH: usize = 4096;

impl Engine {
    pub(crate) fn recover(&mut self, head: Epoch, old_log: &LogKey, salt: [u8; 32]) -> Result<()> {
        let outcome = self.restore(head, old_log)?;
        if let Some(what) = &outcome.torn {
            tracing::warn!(
                what,
                "the end of the intent log does not verify: a write that a crash cut off, or damage"
            );
        }
        self.log_torn = outcome.torn;
        self.log_loss = match (self.log_loss.take(), outcome.loss) {
            // How much of the log there was behind the commit, and why the commit is lost.
            (Some(LogLoss { commit, what, .. }), Some(records)) => Some(LogLoss {
                commit,
                what,
                ..records
            }),
            (commit, records) => commit.or(records),
        };
        if let Some(loss) = &self.log_loss {
            tracing::error!("what was synced is lost: {loss}");
        }
        // Going on would make final what a mended disk, or a copy of the log, could still bring
        // back.
        self.config.read_only |= self.log_loss.is_some() && !self.config.accept_log_loss;
        let ahead = self.ahead.take_if(|_| !self.config.read_only);
        let mut state = self.state.lock();
        if self.config.read_only {
            let lost = self.log_loss.is_some();
            state.life.end_writing(match lost {
                true => "what was synced is lost, and the loss was not accepted",
                false => "it was mounted read-only",
            });
            return Ok(());
        }
        // Before anything else is written. The next swap of the head writes over the only copy of
        // what is adopted, and what was given up must not come back.
        if let Some(twin) = ahead {
            self.blocks.store.adopt(&twin, head)?;
        }
        if self.log_loss.is_some() {
            self.blocks.store.drop_twins_ahead()?;
        }
        // After the replay, which knows the leaves that the log names: those stay.
        state.open.free(self.stranded(head, &outcome.named)?);
        // No record is sealed under it before the commit below names it. A crash before that head
        // leaves the old salt with the old log, to be replayed again.
        state.volume.log_salt = salt;
        state.open.touch();
        // This head makes all of the log past: it was replayed, and nothing was logged since.
        state.committed.restarts_log = true;
        if let Ok(name) = Name::new(CHECK_NAME) {
            state.snapshots.to_destroy.push(name);
        }
        self.commit_locked(&mut state)
    }

    /// The state as of the last commit and the log.
    fn restore(&self, head: Epoch, old_log: &LogKey) -> Result<Outcome> {
        let mut state = self.state.lock();
        let root = state.volume.trees.root.clone();
        state
            .inodes
            .insert(Inode::new(root.meta, root.xattrs, root.stored, Home::Root));
        Self::replaying(&mut state, |state| {
            // Before the log, which may name orphans without saying where they lie.
            self.load_orphans(state)?;
            match self.past {
                false => self.replay(state, head, old_log),
                true => Ok(Outcome::default()),
            }
        })
    }

    /// Brings the inodes that were unlinked while open into memory, where the next commit finds
    /// them dead. Those in a damaged block stay in the table, unknown: their space is not given
    /// back before a repair.
    fn load_orphans(&self, state: &mut State) -> Result<()> {
        let root = state.volume.trees.orphans.clone();
        let mut after = None;
        loop {
            let mut damaged = false;
            let orphans = btree::range_past(
                &self.blocks,
                root.as_ref(),
                after.as_deref().map_or(Bound::Unbounded, Bound::Excluded),
                ORPHANS_BATCH,
                &mut |_, error| {
                    damaged = true;
                    self.damage.table(Table::Orphans, &(&error).into());
                    Ok(())
                },
            )?;
            if damaged {
                state.inodes.parking_mut().lose_orphans();
            }
            let ended = orphans.len() < ORPHANS_BATCH;
            after = orphans.last().map(|entry| entry.key.clone());
            for entry in orphans {
                let record = Record::decode(&entry.value, &entry.links)?;
                let ino = record.meta.ino;
                // Dead, as no process has it open: nothing asks for its attributes any more.
                // With them, what a user left open before a crash would not fit in memory.
                let dead = Inode::new(record.meta, Xattrs::default(), record.stored, Home::Orphan);
                state.inodes.insert(dead);
                state.inodes.change(ino)?;
            }
            if ended {
                return Ok(());
            }
        }
    }

    /// Blocks that were put after the last commit and that the log does not name.
    fn stranded(&self, head: Epoch, named: &FxHashSet<Cid>) -> Result<Vec<Cid>> {
        let mut stranded = Vec::new();
        let mut after = None;
        loop {
            let fresh = self.blocks.store.fresh(after, FRESH_BATCH)?;
            let Some(last) = fresh.last() else {
                return Ok(stranded);
            };
            after = Some(*last);
            let lost = fresh
                .iter()
                .filter(|(epoch, cid)| *epoch > head && !named.contains(cid));
            stranded.extend(lost.map(|(_, cid)| *cid));
        }
    }
}
