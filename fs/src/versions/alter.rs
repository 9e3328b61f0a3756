//! Renaming, holding and releasing snapshots: one commit each, which changes the row and nothing
//! that the snapshot holds.

use crate::engine::Engine;
use crate::versions::snapshots::{Alteration, CHECK_NAME, Snapshots};
use crate::{Error, Hold, Name, Result, Time};

/// Holds of one snapshot: enough for those who have a reason, and a bound for the row.
const HOLDS_MAX: usize = 64;

impl Engine {
    /// Gives a snapshot another name; durable on return. After a crash it has one of the two.
    ///
    /// # Errors
    /// [`Error::NoEntry`], [`Error::Exists`], [`Error::ReadOnly`], [`Error::NoSpace`],
    /// [`Error::Damaged`] if not all snapshots are known.
    pub fn snapshot_rename(&self, from: &Name, to: &Name) -> Result<()> {
        if to.as_bytes() == CHECK_NAME {
            return Err(Error::Invalid(
                "`.check` is the name of the snapshots that checks used to hold",
            ));
        }
        let may = |snapshots: &Snapshots| match snapshots.by_name.contains_key(to) {
            true => Err(Error::Exists),
            false => Ok(()),
        };
        let (from, to) = (from.clone(), to.clone());
        self.alter_snapshot(may, &Alteration::Rename { from, to: to.clone() })
    }

    /// Keeps a snapshot from being destroyed, by whoever asks, until this tag is released.
    ///
    /// # Errors
    /// As [`Self::snapshot_rename`]; [`Error::Exists`] if it has a hold with this tag,
    /// [`Error::Invalid`] if it has too many.
    pub fn snapshot_hold(&self, name: &Name, tag: &Name, now: Time) -> Result<()> {
        let may = |snapshots: &Snapshots| {
            let holds = &snapshots.by_name.get(name).ok_or(Error::NoEntry)?.holds;
            if holds.iter().any(|hold| hold.tag == *tag) {
                return Err(Error::Exists);
            }
            match holds.len() < HOLDS_MAX {
                true => Ok(()),
                false => Err(Error::Invalid("a snapshot has at most 64 holds")),
            }
        };
        let hold = Hold {
            tag: tag.clone(),
            since: now,
        };
        let name = name.clone();
        self.alter_snapshot(
            may,
            &Alteration::Hold {
                name: name.clone(),
                hold,
            },
        )
    }

    /// Ends a hold.
    ///
    /// # Errors
    /// As [`Self::snapshot_rename`]; [`Error::NoEntry`] if there is no such hold.
    pub fn snapshot_release(&self, name: &Name, tag: &Name) -> Result<()> {
        let may = |snapshots: &Snapshots| {
            let holds = &snapshots.by_name.get(name).ok_or(Error::NoEntry)?.holds;
            let held = holds.iter().any(|hold| hold.tag == *tag);
            held.then_some(()).ok_or(Error::NoEntry)
        };
        let (name, tag) = (name.clone(), tag.clone());
        self.alter_snapshot(
            may,
            &Alteration::Release {
                name: name.clone(),
                tag,
            },
        )
    }

    fn alter_snapshot(
        &self,
        may: impl FnOnce(&Snapshots) -> Result<()>,
        alteration: &Alteration,
    ) -> Result<()> {
        let _one = self.snapshotting.lock();
        let [from, _] = alteration.names();
        {
            let mut state = self.state.lock();
            // The commit under way may be taking or destroying it.
            self.await_commit(&mut state);
            state.life.writable()?;
            state.snapshots.all_known()?;
            if from.as_bytes() == CHECK_NAME || !state.snapshots.by_name.contains_key(from) {
                return Err(Error::NoEntry);
            }
            may(&state.snapshots)?;
            state.snapshots.to_alter.push(alteration.clone());
        }
        let committed = self.commit();
        let mut state = self.state.lock();
        // A later commit may be doing it: only its end tells.
        self.await_commit(&mut state);
        if state.snapshots.have(alteration) {
            return Ok(());
        }
        // What was refused must not be done later, when there is room again.
        state.snapshots.to_alter.clear();
        if let Some(frozen) = state.commits.stalled_mut() {
            frozen.snapshots.to_alter.clear();
        }
        committed.and(Err(Error::Damaged("the row of this snapshot is damaged")))
    }
}

#[cfg(test)]
mod tests;
