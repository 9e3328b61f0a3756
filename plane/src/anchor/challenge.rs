//! Answers challenges at the anchor: is the published version there and whole?
//!
//! ```text
//!  at intervals: pending_challenge --> check the anchored version, every block, in the background
//!                 |                     whole:   answer        (published meanwhile? check that version)
//!                 |                     damaged: report_fault, and look again: a block put back heals it
//!                 `-- retrieval: answered with what is anchored; what else it takes is the anchor's affair
//! ```
//!
//! Nothing is answered that was not checked after the challenge was seen.

use crate::anchor::explain;
use crate::error::{Error, Result};
use cairn_fs::Engine;
use cairn_merkle::{Anchor, AnchorError, Cancel, Challenge, ChallengeKind, Fault, Version};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

/// Looks for challenges while a volume is mounted.
pub(crate) struct Watcher {
    cancel: Cancel,
    thread: JoinHandle<()>,
}

impl Watcher {
    /// Looks from now on, on a thread of its own. Windows are days: an interval of half a minute is
    /// none too long.
    pub(crate) fn start(engine: Arc<Engine>, anchor: Arc<dyn Anchor>, interval: Duration) -> Result<Self> {
        let cancel = Cancel::new();
        let ends = cancel.clone();
        let watch = move || {
            while !ends.wait(interval) {
                if let Err(error) = look(&engine, anchor.as_ref(), &ends) {
                    tracing::warn!(anchor = anchor.describe(), why = explain(&error), "challenges");
                }
            }
        };
        let thread = std::thread::Builder::new().name("challenges".into()).spawn(watch);
        let thread = thread.map_err(|error| Error::io("cannot start a thread", error))?;
        Ok(Self { cancel, thread })
    }

    /// Ends; a check under way is waited for.
    pub(crate) fn finish(self) {
        self.cancel.cancel();
        if self.thread.join().is_err() {
            tracing::error!("the thread that looks for challenges panicked");
        }
    }
}

fn look(engine: &Engine, anchor: &dyn Anchor, cancel: &Cancel) -> std::result::Result<(), AnchorError> {
    let Some(challenge) = anchor.pending_challenge()? else {
        return Ok(());
    };
    // After the challenge was seen: an answer counts for a check that began later.
    let Some(version) = engine.standing().anchored else {
        return Ok(());
    };
    tracing::warn!(kind = ?challenge.kind, deadline_unix = challenge.deadline_unix, epoch = version.epoch.0, "challenged");
    match challenge.kind {
        // Without a check: it asks where the volume can be fetched, not whether it is whole.
        ChallengeKind::Retrieval => anchor.answer(&challenge, version, cancel),
        ChallengeKind::Integrity => answer_by_check(engine, anchor, &challenge, version, cancel),
    }
}

fn answer_by_check(
    engine: &Engine,
    anchor: &dyn Anchor,
    challenge: &Challenge,
    version: Version,
    cancel: &Cancel,
) -> std::result::Result<(), AnchorError> {
    let report = match engine.check_version(version, &|_| {}) {
        Ok(report) => report,
        // Published anew meanwhile, or a store that does not answer: neither whole nor damaged.
        // Asked again soon.
        Err(error) => {
            tracing::warn!(%error, "the published version cannot be checked now");
            return Ok(());
        }
    };
    // The mount ends. Nothing is sent that the end would have to wait for; the challenge is still
    // there for the next mount.
    if cancel.is_cancelled() {
        return Err(AnchorError::Cancelled);
    }
    if let Some(damage) = report.damaged.first() {
        let path = String::from_utf8_lossy(&damage.path).into_owned();
        tracing::error!(
            paths = report.damaged.len(),
            first = path,
            what = damage.what,
            "the published version is damaged"
        );
        return anchor.report_fault(
            &Fault {
                version,
                survivor: None,
            },
            cancel,
        );
    }
    match anchor.answer(challenge, version, cancel) {
        // The next look checks the newer one.
        Err(AnchorError::Conflict { .. }) => Ok(()),
        Ok(()) => {
            tracing::info!(
                blocks = report.blocks,
                epoch = version.epoch.0,
                "challenge answered"
            );
            Ok(())
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{self, Sample};
    use cairn_merkle::Blocks;
    use cairn_merkle::testing::MemoryAnchor;

    fn challenge(kind: ChallengeKind) -> Challenge {
        Challenge {
            id: [5; 32],
            kind,
            deadline_unix: 1 << 40,
        }
    }

    fn anchored(sample: &Sample, anchor: &MemoryAnchor) -> (Arc<dyn Anchor>, Version) {
        let instance: Arc<dyn Anchor> = Arc::new(anchor.instance());
        instance.boot([1; 32], &Cancel::new()).unwrap();
        let version = sample.engine.prepare_publication().unwrap().unwrap().version;
        instance.publish(None, version, &Cancel::new()).unwrap();
        sample.engine.confirmed(version);
        (instance, version)
    }

    #[test]
    fn a_challenge_is_answered_after_a_check_of_the_version_that_is_published() {
        for kind in [ChallengeKind::Integrity, ChallengeKind::Retrieval] {
            let (sample, anchor) = (Sample::new(), MemoryAnchor::new());
            sample.put("file", &[1; 300_000]);
            let (instance, version) = anchored(&sample, &anchor);
            sample
                .engine
                .unlink(cairn_fs::InodeNo::ROOT, &sample::name("file"), sample::caller())
                .unwrap();
            sample.engine.commit().unwrap();
            anchor.challenge(challenge(kind));
            let watcher =
                Watcher::start(Arc::clone(&sample.engine), instance, Duration::from_millis(1)).unwrap();
            let (answered, faults) = anchor.await_answer();
            assert_eq!(answered, [(challenge(kind), version)]);
            assert!(faults.is_empty());
            watcher.finish();
        }
    }

    #[test]
    fn a_lost_block_of_the_published_version_is_reported_and_answered_once_it_is_back() {
        let (sample, anchor) = (Sample::new(), MemoryAnchor::new());
        sample.put("file", &[1; 300_000]);
        let (instance, version) = anchored(&sample, &anchor);
        let leaf = sample
            .blocks()
            .into_iter()
            .find(|cid| cid.codec() == cairn_merkle::Codec::Leaf)
            .unwrap();
        let stored = sample.store.get(&leaf).unwrap().unwrap();
        sample.store.delete(&[leaf]).unwrap();
        anchor.challenge(challenge(ChallengeKind::Integrity));
        let cancel = Cancel::new();
        look(&sample.engine, instance.as_ref(), &cancel).unwrap();
        look(&sample.engine, instance.as_ref(), &cancel).unwrap();
        let (answered, faults) = anchor.await_answer();
        assert!(answered.is_empty());
        assert_eq!(
            faults,
            [Fault {
                version,
                survivor: None
            }]
        );
        sample.restore(leaf, stored);
        look(&sample.engine, instance.as_ref(), &cancel).unwrap();
        assert_eq!(
            anchor.await_answer().0,
            [(challenge(ChallengeKind::Integrity), version)]
        );
    }
}
