//! The volume itself, beside what stands on chain.

use crate::error::{Error, Result};
use crate::mount::control::{Answer, Client, Request};
use crate::mount::mountpoint;
use crate::mount::state::Record;
use crate::offline::Place;
use crate::offline::volume::{self, For};
use cairn_chain::{Standing, Trouble};
use cairn_merkle::{Cancel, Cid, Copies, Epoch, Version};
use cairn_store::StoreOptions;
use serde::Serialize;
use std::path::Path;
use std::time::Duration;

/// The newest version that a mount or a store has.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Local {
    #[serde(serialize_with = "number")]
    epoch: Epoch,
    #[serde(serialize_with = "text")]
    root: Cid,
    mounted: bool,
}

fn number<S: serde::Serializer>(epoch: &Epoch, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_u64(epoch.0)
}

fn text<S: serde::Serializer>(root: &Cid, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_str(root)
}

impl Local {
    /// Asks the daemon, or reads the store's head, which is not verified without a key.
    pub(super) fn find(place: &Path) -> Result<Self> {
        if Record::find(place)?.is_none() && !mountpoint::is_cairn(place) {
            return Self::of_store(place);
        }
        let Answer::Status(report) = Client::connect(place)?.ask(&Request::Status, |_, _| {})? else {
            return Err(Error::Usage("the daemon is of another version of cairn".into()));
        };
        let root = report
            .root
            .parse()
            .map_err(|_| Error::Usage("the daemon names no root".into()))?;
        Ok(Self {
            epoch: Epoch(report.epoch),
            root,
            mounted: true,
        })
    }

    fn of_store(place: &Path) -> Result<Self> {
        let store = volume::open_store(place, For::Reading, &StoreOptions::default())?;
        let fail = |error: cairn_merkle::Error| volume::explain(place, "", error.into());
        let mut copies = Copies::read(store.as_ref()).map_err(fail)?;
        let head = copies.claimed_head(store.as_ref()).map_err(fail)?;
        let (head, _) = head.ok_or_else(|| Error::NotAVolume {
            store: place.into(),
            what: "it has no head".into(),
        })?;
        Ok(Self {
            epoch: head.epoch,
            root: head.root,
            mounted: false,
        })
    }

    /// Of the version that a place was opened at.
    pub(super) fn of_place(epoch: Epoch, place: &Place) -> Self {
        Self {
            epoch,
            root: place.root,
            mounted: place.daemon.is_some(),
        }
    }

    /// What it has.
    pub(super) fn version(&self) -> Version {
        Version {
            epoch: self.epoch,
            root: self.root,
        }
    }

    /// Epochs that are not on chain yet.
    pub(super) fn lag(&self, standing: &Standing) -> u64 {
        let published = standing.version().map_or(0, |version| version.epoch.0);
        self.epoch.0.saturating_sub(published)
    }

    /// What is wrong between the two. That a newer version descends from the one on chain, only the
    /// key can tell.
    pub(super) fn troubles(&self, standing: &Standing) -> Option<Trouble> {
        let published = standing.version()?;
        if self.epoch < published.epoch {
            let why = format!(
                "it holds epoch {}, and epoch {} was published",
                self.epoch, published.epoch
            );
            return Some(Trouble::Stale { why });
        }
        (self.epoch == published.epoch && self.root != published.root).then(|| Trouble::Forked {
            why: format!(
                "of epoch {} it holds {}, and {} was published",
                self.epoch, self.root, published.root
            ),
        })
    }
}

/// How long the chain may take to settle what a command waits for, unless it is told.
pub(super) const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// A wait that is given up after `time`.
pub(super) fn within(time: Duration) -> Cancel {
    let cancel = Cancel::new();
    let own = cancel.clone();
    // A thread that outlives a short command is ended with it.
    let _ = std::thread::Builder::new().spawn(move || {
        own.wait(time);
        own.cancel();
    });
    cancel
}
