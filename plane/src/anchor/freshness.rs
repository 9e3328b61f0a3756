//! Whether the volume in a store may be mounted: its head held against the anchor, before anything
//! is written.
//!
//! ```text
//!  Opening (head, commit verified) --latest()--> stale, forked? refuse
//!     |  to be written:  boot(fresh nonce): fences every other instance --> what stood then --> decide again --> settle
//!     |  read-only:      that is all: nothing is fenced
//!     `--> Opening::open: what was judged is what is opened
//! ```
//!
//! A party on the way to the anchor may hold back `latest`; it spares a boot when the store is
//! stale anyway. The answer of `boot` cannot be an old one, for it is an answer to this boot.

use crate::anchor::explain;
use crate::anchor::publish::Publisher;
use crate::cli::anchor::{AnchorArgs, Policy};
use crate::error::{Error, Exit, Result};
use crate::output;
use cairn_fs::Opening;
use cairn_merkle::{Anchor, AnchorError, Cancel, Verdict, Version};
use rand::Rng;
use std::sync::Arc;
use std::time::Duration;

/// The first pause before an anchor that did not answer is asked again, and the longest.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// How far a mount's freshness is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Trust {
    /// There is no anchor: the outside can roll back to any state the volume had.
    None,
    /// The anchor did not answer, and policy says to mount read-only all the same.
    Unverified,
    /// The newest version the anchor showed: read-only, so no other instance was fenced.
    Checked,
    /// This instance booted: no other may publish, and the head goes on from what was published
    /// last.
    Booted,
}

/// A mount's freshness, while it runs.
#[derive(Clone)]
pub(crate) struct Freshness {
    /// As it was proven at the mount.
    pub(crate) trust: Trust,
    /// Where versions are published.
    pub(crate) anchor: Option<Arc<dyn Anchor>>,
    /// Publishes what changes; a mount that is read-only has none.
    pub(crate) publisher: Option<Arc<Publisher>>,
}

impl Freshness {
    /// Commits, and returns once that is anchored.
    pub(crate) fn sync(&self, timeout: Option<Duration>) -> Result<()> {
        match &self.publisher {
            Some(publisher) => publisher.sync(timeout),
            None => Err(Error::Anchor {
                what: "this mount publishes nothing: it has no anchor, or is read-only".into(),
                exit: Exit::Unreachable,
            }),
        }
    }
}

/// What the mount is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Others may publish meanwhile.
    ReadOnly,
    /// This instance alone.
    ReadWrite,
}

/// Refuses a volume that has been anchored and is to be mounted without its anchor.
pub(crate) fn without_anchor(opening: &Opening, args: &AnchorArgs, place: &str) -> Result<Trust> {
    let standing = opening.standing();
    // A version that was submitted may have arrived, and so may the head of an instance that
    // publishes: neither can say so itself. Both count as anchored.
    let known = standing.anchored.or(standing.submitted.last().copied());
    let Some(anchored) = known.or(standing.publishing.then_some(standing.head)) else {
        return Ok(Trust::None);
    };
    if !args.no_anchor {
        return Err(Error::Anchor {
            what: format!(
                "the volume in {place} has been anchored ({anchored}): give --anchor, or --no-anchor if it may be an old copy"
            ),
            exit: Exit::Unanchored,
        });
    }
    output::warn(&format!(
        "MOUNTED WITHOUT ITS ANCHOR: nothing tells whether this is the newest version; the last one it knows to be \
         published is {anchored}. What is written now can be rolled back unnoticed until it is mounted with its anchor"
    ));
    Ok(Trust::None)
}

/// Holds the volume against its anchor. An opening that is to be written has taken over what stood
/// at its boot.
pub(crate) fn admit(
    opening: &mut Opening,
    anchor: &dyn Anchor,
    policy: Policy,
    access: Access,
    cancel: &Cancel,
) -> Result<Trust> {
    // An old copy is refused here, before its boot could fence the instance that has the newest. A
    // reader boots nothing, so this is all that it learns.
    let Some(latest) = ask(anchor, policy, cancel, || anchor.latest())? else {
        return Ok(Trust::Unverified);
    };
    judge(opening, anchor, latest)?;
    if access == Access::ReadOnly {
        return Ok(Trust::Checked);
    }
    // Drawn anew for each attempt: an earlier one may still arrive. One that does fences the
    // others, even where the policy then mounts this volume read-only.
    let booted = ask(anchor, policy, cancel, || {
        let mut nonce = [0; 32];
        rand::rng().fill_bytes(&mut nonce);
        anchor.boot(nonce, cancel)
    })?;
    // Another instance may have published between the two answers, so it is decided again. After
    // the boot none can: what is judged now stays so.
    let Some(stood) = booted else {
        return Ok(Trust::Unverified);
    };
    judge(opening, anchor, stood)?;
    // In memory alone: the commit of the recovery stores it. A crash before that leads to another
    // boot, and to the same questions.
    opening.settle(stood);
    Ok(Trust::Booted)
}

/// Asks until there is an answer, as the policy says; `None` when it says to go on without one.
fn ask<T>(
    anchor: &dyn Anchor,
    policy: Policy,
    cancel: &Cancel,
    ask: impl Fn() -> std::result::Result<T, AnchorError>,
) -> Result<Option<T>> {
    let mut pause = PAUSE_FIRST;
    loop {
        let error = match ask() {
            Ok(answer) => return Ok(Some(answer)),
            Err(error @ (AnchorError::Unreachable { .. } | AnchorError::Untrustworthy { .. })) => error,
            Err(error) => return Err(failed(anchor, &error)),
        };
        match policy {
            Policy::Refuse => return Err(failed(anchor, &error)),
            Policy::ReadOnly => {
                let (anchor, why) = (anchor.describe(), explain(&error));
                output::warn(&format!(
                    "NOT VERIFIED: mounted read-only, and may be an old version: {anchor}: {why}"
                ));
                return Ok(None);
            }
            Policy::Wait => {
                let (anchor, why) = (anchor.describe(), explain(&error));
                output::warn(&format!("waiting for the anchor: {anchor}: {why}"));
                // SIGTERM ends a wait that has no other end. Nothing of the volume has been
                // written.
                if cancel.wait(pause) {
                    return Err(Error::Anchor {
                        what: format!("{anchor}: {why}; the wait was ended"),
                        exit: Exit::Unreachable,
                    });
                }
                pause = (pause * 2).min(PAUSE_MAX);
            }
        }
    }
}

/// An anchor's failure as this command's.
pub(crate) fn failed(anchor: &dyn Anchor, error: &AnchorError) -> Error {
    let exit = match error {
        AnchorError::Fenced | AnchorError::Conflict { .. } => Exit::Fenced,
        AnchorError::Unreachable { .. }
        | AnchorError::Untrustworthy { .. }
        | AnchorError::Refused { .. }
        | AnchorError::Cancelled => Exit::Unreachable,
    };
    Error::Anchor {
        what: format!("{}: {}", anchor.describe(), explain(error)),
        exit,
    }
}

fn judge(opening: &Opening, anchor: &dyn Anchor, latest: Option<Version>) -> Result<()> {
    let standing = opening.standing();
    let head = standing.head;
    let says = || match latest {
        Some(latest) => format!("{} holds {latest}", anchor.describe()),
        None => format!("{} holds nothing", anchor.describe()),
    };
    let (what, exit) = match standing.verdict(latest) {
        Verdict::Fresh { ahead } => {
            tracing::info!(epoch = head.epoch.0, ahead, "fresh");
            return Ok(());
        }
        Verdict::Unanchored => return Ok(()),
        Verdict::Stale { epochs } => (
            format!(
                "STALE by {epochs} epochs: the store holds {head}, but {}. An older copy was put back: get the newer one",
                says()
            ),
            Exit::Stale,
        ),
        Verdict::Forked => (
            format!(
                "FORKED: the store holds {head}, which does not go on from what was published: {}. It comes from an older \
                 copy that was written to, or the anchor was rolled back",
                says()
            ),
            Exit::Forked,
        ),
        Verdict::Forgotten => (
            format!(
                "the store holds {head} and knows that it was anchored, but {}: this is not its anchor, or the anchor was \
                 rolled back",
                says()
            ),
            Exit::Forked,
        ),
    };
    Err(Error::Anchor { what, exit })
}

#[cfg(test)]
mod tests;
