//! Which versions of a volume are published, and which stay whole for it.
//!
//! ```text
//!   prepare --commit--> version --(the plane submits it)--> anchor --> confirmed
//!      |                                                                  |
//!      `-- submitted: in every commit from the next on                    `-- anchored: in every commit from the next on
//! ```
//!
//! A version cannot name itself: the first commit that can say that it was submitted is the next
//! one. Nothing is lost in between, for until then the head *is* that version. From then on a
//! crash at any point leaves a head whose commit names the version, whatever became of it on the
//! anchor (`cairn_merkle::decide`).
//!
//! Every version that is anchored or submitted is held ([`crate::commit::held`]), and so is a pinned one.

use crate::engine::{Engine, Guard};
use crate::namespace::attr::VERSION_XATTRS;
use crate::state::State;
use crate::stored::publication::SUBMITTED_MAX;
use crate::versions::standing::{Join, Prepared, Standing};
use crate::{Error, Result};

use crate::commit::epoch::Holds;

use crate::stored::volume::Volume;
use cairn_merkle::{Epoch, Version};

/// Keeps a version whole while it lives.
pub struct Pin<'a> {
    engine: &'a Engine,
    version: Version,
}

impl Pin<'_> {
    /// The version that is kept.
    pub fn version(&self) -> Version {
        self.version
    }
}

impl Drop for Pin<'_> {
    fn drop(&mut self) {
        let mut state = self.engine.state.lock();
        if let Some(at) = state.pins.iter().position(|pin| *pin == self.version.epoch) {
            state.pins.swap_remove(at);
        }
        // The next commit lets go of what only this held.
        if state.volume.trees.held.root.is_some() && state.life.read_only().is_none() {
            state.open.touch();
        }
    }
}

impl State {
    /// Versions that the next commit must leave whole.
    pub(crate) fn holds(&self) -> Holds {
        let published = &self.volume.publication;
        let versions = published.anchored.iter().chain(&published.submitted);
        Holds::new(
            versions
                .map(|version| version.epoch)
                .chain(self.pins.iter().copied())
                .collect(),
        )
    }

    /// Whether the open epoch holds anything worth publishing.
    pub(crate) fn has_user_changes(&self) -> bool {
        self.inodes.dirty().len() > 0 || self.open.is_rekeyed() || self.snapshots.has_user_requests()
    }

    fn standing(&self) -> Standing {
        let published = &self.volume.publication;
        let changed = if self.has_user_changes() {
            self.open.number()
        } else {
            published.changed
        };
        Standing {
            head: self.head_version(),
            anchored: published.anchored,
            submitted: published.submitted.clone(),
            publishing: published.publishing,
            changed,
            held_bytes: self.volume.trees.held.bytes,
            written_bytes: self.open.written_bytes(),
            full: self.commits.is_full(),
        }
    }

    fn head_version(&self) -> Version {
        self.committed.version
    }

    /// Notes the head as submitted. No commit is under way.
    fn submit(&mut self) -> Result<Prepared> {
        let version = self.head_version();
        let published = &mut self.volume.publication;
        if published.submitted.last() != Some(&version) {
            if published.submitted.len() >= SUBMITTED_MAX {
                return Err(Error::Invalid("too many versions wait for the anchor"));
            }
            published.submitted.push(version);
        }
        published.publishing = true;
        Ok(Prepared {
            version,
            closed: self.committed.closed,
        })
    }

    /// A commit came to its end: submits what it made, if a publication waits for that and it is
    /// worth one.
    pub(crate) fn submit_joined(&mut self) {
        let published = &self.volume.publication;
        let anchored = published.anchored.map_or(Epoch(0), |version| version.epoch);
        if matches!(self.commits.join, Join::Wanted)
            && published.changed > anchored
            && published.changed <= self.committed.epoch()
            && let Ok(prepared) = self.submit()
        {
            self.commits.join = Join::Submitted(prepared);
        }
    }
}

impl Engine {
    /// What the volume knows of its own freshness now.
    pub fn standing(&self) -> Standing {
        self.state.lock().standing()
    }

    /// Has a version held, and named as submitted by every later commit, so that it can be
    /// published. It is that of a commit under way, else of one made for it. `None` if all that
    /// changed is anchored already.
    ///
    /// # Errors
    /// As [`Self::commit`]; [`Error::Invalid`] if too many versions are under way.
    pub fn prepare_publication(&self) -> Result<Option<Prepared>> {
        let mut state = self.state.lock();
        state.life.writable()?;
        if state.standing().is_anchored() {
            return Ok(None);
        }
        if let Some(joined) = self.join_commit(&mut state) {
            return Ok(Some(joined));
        }
        let committed = self.commit_locked(&mut state);
        // What a commit under way names was settled when it began, so none may be.
        self.await_commit(&mut state);
        state.life.writable()?;
        match committed {
            // Publishing the commit before gives back what older versions hold, which is what the
            // store needs.
            Err(Error::NoSpace) if state.volume.publication.anchored != Some(state.head_version()) => {}
            committed => committed?,
        }
        // The lock was held since the wait: no commit began, so the next one names this version.
        state.submit().map(Some)
    }

    /// If a commit is under way, marks its result for submission and waits for it. Its epoch was
    /// closed a moment ago. One more commit after it would make the publication late.
    fn join_commit(&self, state: &mut Guard<'_>) -> Option<Prepared> {
        state.commits.join = Join::Wanted;
        while state.commits.is_under_way() && matches!(state.commits.join, Join::Wanted) {
            self.signals.committed.wait(state);
        }
        // Taken whatever came: a wish left behind would submit a version that no caller takes.
        match std::mem::take(&mut state.commits.join) {
            Join::Submitted(prepared) => Some(prepared),
            Join::Nobody | Join::Wanted => None,
        }
    }

    /// The anchor has `version`, finally. It takes the place of what was anchored before, which is
    /// let go by the next commit. Anything but a version that was submitted is ignored.
    pub fn confirmed(&self, version: Version) {
        let mut state = self.state.lock();
        let published = &mut state.volume.publication;
        if !published.submitted.contains(&version) {
            return;
        }
        // In memory until the next commit. After a crash before it, the head is this version or
        // names it as submitted, and the mount is fresh all the same.
        published.anchored = Some(version);
        published.submitted.retain(|other| other.epoch > version.epoch);
        if state.life.read_only().is_none() {
            state.open.touch();
        }
    }

    /// Keeps a version that is whole now (the newest, or one that is anchored or submitted) whole
    /// until the pin is dropped.
    ///
    /// # Errors
    /// [`Error::NoEntry`] for any other version.
    pub fn pin(&self, version: Version) -> Result<Pin<'_>> {
        let mut state = self.state.lock();
        // A commit under way decides by the holds it began with.
        self.await_commit(&mut state);
        let published = &state.volume.publication;
        let mut whole = published.anchored.iter().chain(&published.submitted);
        if !whole.any(|held| *held == version) && version != state.head_version() {
            return Err(Error::NoEntry);
        }
        Ok(self.pin_locked(&mut state, version))
    }

    /// Keeps a version from now on. No commit is under way.
    pub(crate) fn pin_locked(&self, state: &mut State, version: Version) -> Pin<'_> {
        state.pins.push(version.epoch);
        Pin {
            engine: self,
            version,
        }
    }

    /// What `cairn.*` attributes say, which every file has and no list shows: `None` for any other
    /// name.
    pub(crate) fn version_xattr(&self, state: &State, name: &[u8]) -> Option<Result<Vec<u8>>> {
        let standing = state.standing();
        let anchored = || standing.anchored.ok_or(Error::NoXattr);
        let text = match name.strip_prefix(VERSION_XATTRS)? {
            b"epoch" => Ok(standing.changed.to_string()),
            b"root" => Ok(standing.head.root.to_string()),
            b"anchored" => anchored().map(|version| version.epoch.to_string()),
            b"anchored-root" => anchored().map(|version| version.root.to_string()),
            _ => Err(Error::NoXattr),
        };
        Some(text.map(String::into_bytes))
    }

    /// Commits what is open, and pins it; answers also what the commit says.
    pub(crate) fn pin_newest(&self) -> Result<(Pin<'_>, Volume)> {
        let mut state = self.state.lock();
        self.commit_locked(&mut state)?;
        // A commit under way decides by the holds it began with, as in `pin`.
        self.await_commit(&mut state);
        let version = state.head_version();
        let pin = self.pin_locked(&mut state, version);
        let mut volume = state.volume.clone();
        // The state counts those of the open epoch.
        volume.inodes = state.committed.inodes;
        drop(state);
        Ok((pin, volume))
    }

    /// Stops all writing for a reason that lies outside of the store.
    pub fn fence(&self, why: &'static str) {
        let mut state = self.state.lock();
        tracing::error!("{why}: the volume is read-only from now on");
        self.stop(&mut state, why);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{caller, header};
    use crate::{Config, InodeNo, Quota, Time};
    use cairn_merkle::MemoryStore;
    use std::sync::Arc;
    use std::time::Duration;

    fn engine() -> Arc<Engine> {
        let store = MemoryStore::new();
        let (header, key) = header();
        crate::format(&store, &header, &key, Quota::default(), caller()).unwrap();
        let config = Config {
            // No commit but those of the test.
            commit_interval: Duration::from_secs(24 * 3600),
            ..Config::default()
        };
        Engine::open(Arc::new(store), key, config, Time(1)).unwrap()
    }

    #[test]
    fn a_publication_joins_the_commit_that_is_under_way() {
        let engine = engine();
        let mut state = engine.state.lock();
        state.inodes.change(InodeNo::ROOT).unwrap();
        let epoch = state.open.number();
        state.commits.begin();
        drop(state);
        let other = Arc::clone(&engine);
        let publisher = std::thread::spawn(move || other.prepare_publication().unwrap());
        // True once it waits for the commit: it looks, and waits on.
        while !engine.signals.committed.notify_one() {
            std::thread::yield_now();
        }
        let mut state = engine.state.lock();
        engine.commit_once(&mut state).unwrap();
        state.inodes.change(InodeNo::ROOT).unwrap();
        let closed = state.committed.closed;
        drop(state);
        let prepared = publisher.join().unwrap().unwrap();
        assert_eq!((prepared.version.epoch, prepared.closed), (epoch, closed));
        let standing = engine.standing();
        assert_eq!(
            (standing.head, standing.submitted),
            (prepared.version, vec![prepared.version])
        );
        assert!(standing.changed > epoch, "what came later waits for the next one");
        engine.close().unwrap();
    }
}
