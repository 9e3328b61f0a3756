//! Which version is the newest one: that of the head, or a later one whose twin says that the head
//! went back.
//!
//! ```text
//!   head, or its twin --verifies--> version n
//!   twins of later swaps --verify, of a later epoch--> was that commit done (a mark says so)?
//!        no:  a crash cut it off. Version n and its log hold all that was synced
//!        yes: the index lost it. Are the blocks there that were born after n?
//!             yes: it is opened, and the store adopts it      no: version n, and what is lost is told
//! ```
//!
//! A damaged write-ahead log of the index is why. What lies behind the damage is gone without a
//! word, and an older head counts again.
//!
//! **Invariant:** a version older than one whose commit was done is never opened as if it were the
//! newest.

use crate::log::reach::Reach;
use crate::stored::volume::Volume;
use crate::{Error, LogLoss, Result};
use bytes::Bytes;
use cairn_merkle::twin::Part;
use cairn_merkle::{
    BlockStore, Cid, Codec, Commit, Copies, Epoch, Head, Header, Link, LogKey, Twin, Version, VolumeKey,
    open_node,
};
use rustc_hash::FxHashSet;

/// A version whose head, commit block and header verify.
pub(super) struct Found {
    pub(super) version: Version,
    /// Bytes of its commit block.
    pub(super) root_len: u32,
    pub(super) commit: Commit,
    pub(super) header: (Header, Bytes),
    pub(super) copies: Copies,
}

/// The newest version that can be opened.
pub(super) struct Newest {
    pub(super) found: Found,
    /// It is that of this twin, which the store has yet to adopt.
    pub(super) ahead: Option<Twin>,
    /// A later one is lost.
    pub(super) lost: Option<LogLoss>,
}

impl Newest {
    /// See the module's picture.
    ///
    /// # Errors
    /// What is wrong with head, header or commit, by name, where no later version can be opened
    /// either; what the store failed with.
    pub(super) fn find(store: &dyn BlockStore, key: &VolumeKey) -> Result<Self> {
        let first = Copies::read(store)
            .map_err(Error::from)
            .and_then(|copies| Found::read(store, key, copies));
        let older = first.as_ref().ok().map(|found| found.version.epoch);
        let mut lost = None;
        // Newest first, so the first one that is whole is the newest of all.
        for twin in store.twins_ahead()? {
            // Neither one of another volume, nor a damaged one.
            let Ok(later) = Found::read(store, key, Copies::of_twin(twin.clone())) else {
                continue;
            };
            let epoch = later.version.epoch;
            // Without a mark a crash may have cut its swap off: the head and its log hold all that
            // was acknowledged then. Where no head is readable, any twin counts.
            if let Some(older) = older
                && (epoch <= older || !later.was_done(store, key)?)
            {
                continue;
            }
            match later.missing(store, older)? {
                None => {
                    tracing::warn!(
                        "the index of the store lost commit {epoch}: its second copy is used, and is whole"
                    );
                    return Ok(Self {
                        lost: lost.map(|lost| lost_behind(lost, &later)),
                        found: later,
                        ahead: Some(twin),
                    });
                }
                Some(cid) => {
                    let what = format!("block {cid} of it is missing");
                    lost.get_or_insert(LogLoss {
                        commit: Some(epoch),
                        what,
                        ..LogLoss::default()
                    });
                }
            }
        }
        first.map(|found| Self {
            lost: lost.map(|lost| lost_behind(lost, &found)),
            found,
            ahead: None,
        })
    }
}

/// Says with a loss which version is left, for there may be several commits between.
fn lost_behind(lost: LogLoss, found: &Found) -> LogLoss {
    let what = format!(
        "{}; commit {} is the newest one left",
        lost.what, found.version.epoch
    );
    LogLoss { what, ..lost }
}

/// That a mark tells of the commit `done`, and the head of `head`.
pub(super) fn lost(done: Epoch, head: Epoch) -> LogLoss {
    LogLoss {
        commit: Some(done),
        what: format!("the store tells of commit {head} as the newest one"),
        ..LogLoss::default()
    }
}

impl Found {
    /// Reads what the head names, each part from the copy that verifies.
    fn read(store: &dyn BlockStore, key: &VolumeKey, mut copies: Copies) -> Result<Self> {
        // Each proves the next: the key the head, the head the commit block, that the header.
        let head = copies.choose(Part::Head, |stored| Head::decode(stored, key))?;
        let (head, _) = head.ok_or(nothing("it has no head, so it holds no volume"))?;
        let version = Version {
            epoch: head.epoch,
            root: head.root,
        };
        let block = copies.root_block(store, &version.root)?;
        let root_len = u32::try_from(block.len()).unwrap_or(u32::MAX);
        let commit = Commit::open(&version.root, block, key)?;
        let header = copies.choose(Part::Header, |stored| {
            let header = Header::decode(stored)?;
            commit.require_header(&header).map(|()| header)
        })?;
        let header = header.ok_or(nothing("it has no header"))?;
        if header.0.volume_id != head.volume_id {
            return Err(cairn_merkle::Error::HeadForged.into());
        }
        Ok(Self {
            version,
            root_len,
            commit,
            header,
            copies,
        })
    }

    /// Whether a mark says that this commit was done.
    fn was_done(&self, store: &dyn BlockStore, key: &VolumeKey) -> Result<bool> {
        let volume = Volume::decode(&self.commit.body, &self.commit.links)?;
        let key = LogKey::new(key, volume.log_salt);
        let marks = store.log_rest()?.marks;
        let reaches = marks.iter().filter_map(|mark| Reach::of_mark(mark, &key));
        let done = reaches.map(|reach| reach.committed()).max();
        Ok(done >= Some(self.version.epoch))
    }

    /// One of the blocks born after `older` that are not there. What lies below a damaged block is
    /// not looked for: it is damage that the volume opens with.
    fn missing(&self, store: &dyn BlockStore, older: Option<Epoch>) -> Result<Option<Cid>> {
        let mut rest: Vec<Link> = self.commit.links.clone();
        let mut seen = FxHashSet::default();
        while let Some(link) = rest.pop() {
            let is_node = link.cid.codec() == Codec::Node;
            // Leaves, of which there are a hundred times as many, have one link each but for a
            // few.
            if older.is_some_and(|older| link.birth <= older) || is_node && !seen.insert(link.cid) {
                continue;
            }
            let stored = match store.get(&link.cid) {
                Ok(Some(stored)) => stored,
                Ok(None) => return Ok(Some(link.cid)),
                Err(error) if error.is_damage() => continue,
                Err(error) => return Err(error.into()),
            };
            if is_node && let Ok(node) = open_node(&link, stored) {
                rest.extend(node.links);
            }
        }
        Ok(None)
    }
}

pub(super) fn nothing(why: &'static str) -> Error {
    Error::Merkle(cairn_merkle::Error::Malformed { what: "store", why })
}

#[cfg(test)]
mod tests;
