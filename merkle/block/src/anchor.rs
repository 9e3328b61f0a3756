//! The seam to the place of published versions of a volume, so that no party can pass off an
//! older one as the newest.
//!
//! ```text
//!  mount:   latest --decide--> boot(nonce): fences every other instance, answers what stood then --decide--> writes
//!  running: commit --> publish(previous, next): compared and swapped, final on return
//!  asked:   pending_challenge --> a full check of the version published --> answer, or report_fault
//! ```
//!
//! A publication is small: the number of a commit and the hash of its block ([`Version`]).
//! [`decide()`] tells a stale store from a fresh one: it is the table of `docs/threat-model.md`.
//!
//! **Invariant:** nothing here knows the make of an anchor, has a key or reads the clock. An
//! anchor's answer is believed only as far as its implementation can prove it. An unproven answer
//! is [`AnchorError::Untrustworthy`].

mod cancel;
mod decide;
mod version;

pub use cancel::Cancel;
pub use decide::{Verdict, decide};
pub use version::Version;

/// The cause of an anchor's failure, of whatever kind its implementation knows.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why an anchor did not do what it was asked. The plane says which anchor, from
/// [`Anchor::describe`].
#[derive(Debug, thiserror::Error)]
pub enum AnchorError {
    /// It does not answer, or not in time. Asking later may help.
    #[error("the anchor cannot be reached")]
    Unreachable {
        /// The cause.
        #[source]
        source: Cause,
    },
    /// It gives an answer that cannot be true, or that it cannot prove: another chain, another
    /// contract, an old view, garbage. Asking later, or asking another source, may help;
    /// believing it does not.
    #[error("the anchor cannot be trusted: {why}")]
    Untrustworthy {
        /// What gives it away.
        why: String,
        /// The cause, if there is one below.
        #[source]
        source: Option<Cause>,
    },
    /// Another instance has booted since this one did: only it may publish. Asking again never
    /// helps.
    #[error("another instance of this volume has taken over")]
    Fenced,
    /// The published version is not the one to be replaced: another writer published. Nothing was
    /// changed.
    #[error("the anchor holds {}, which is not the version that was to be replaced", held(*.latest))]
    Conflict {
        /// What is published.
        latest: Option<Version>,
    },
    /// It understood, and refuses: no such volume, out of funds, a rule of the contract broken.
    #[error("the anchor refuses: {why}")]
    Refused {
        /// Its reason, with the remedy where there is one.
        why: String,
        /// The cause, if there is one below.
        #[source]
        source: Option<Cause>,
    },
    /// The caller gave up waiting. What was begun may still come about.
    #[error("the wait for the anchor was given up")]
    Cancelled,
}

fn held(version: Option<Version>) -> String {
    version.map_or_else(|| "no version".into(), |version| version.to_string())
}

/// A party with a stake asks whether the published version is there and whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// What tells it from every other, as its anchor numbers them.
    pub id: [u8; 32],
    /// What an answer needs.
    pub kind: ChallengeKind,
    /// Seconds since 1970 until which an answer counts.
    pub deadline_unix: u64,
}

/// What a challenge asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChallengeKind {
    /// That every block of the newest published version is there and is what was written: a full
    /// check.
    Integrity,
    /// That the publisher can fetch the volume. What an answer says beside the version is the
    /// anchor's affair.
    Retrieval,
}

/// What a check of the newest published version found wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The version that is published and not whole.
    pub version: Version,
    /// The newest version that is whole, if there is one: how stale it is decides what is owed.
    pub survivor: Option<Version>,
}

/// Where versions of one volume are published. See the module's picture.
///
/// Every method may be called from many threads, and may take as long as its finality does; those
/// that wait take a [`Cancel`] and return [`AnchorError::Cancelled`] soon after it is set.
pub trait Anchor: Send + Sync {
    /// What it is and where, for messages: `the file /run/anchor`, `contract 0x… on chain 1`.
    fn describe(&self) -> String;

    /// The newest *final* version, or `None` when none was ever published. Proves nothing about
    /// freshness by itself: an anchor whose view the outside holds back answers an old version;
    /// [`Self::boot`] is what cannot be held back.
    fn latest(&self) -> Result<Option<Version>, AnchorError>;

    /// Begins this instance: from now on no other may publish. Returns once that is final, and
    /// answers the version that stood at that moment. `nonce` is fresh: an answer that carries it
    /// cannot be older than this call.
    fn boot(&self, nonce: [u8; 32], cancel: &Cancel) -> Result<Option<Version>, AnchorError>;

    /// Replaces `previous` by `next`; `Ok` once that is final. `next.epoch` is above
    /// `previous.epoch`. Publishing what is the latest version already is `Ok`, so that a caller
    /// a caller that does not know how an attempt ended repeats it.
    ///
    /// # Errors
    /// [`AnchorError::Conflict`] when something other than `previous` (and `next`) is published,
    /// [`AnchorError::Fenced`] when another instance has booted.
    fn publish(&self, previous: Option<Version>, next: Version, cancel: &Cancel) -> Result<(), AnchorError>;

    /// The challenge that waits for an answer, if there is one.
    fn pending_challenge(&self) -> Result<Option<Challenge>, AnchorError> {
        Ok(None)
    }

    /// Answers `challenge`: `checked` was found whole, by a check that began after the challenge
    /// was seen. `Ok` once that is final, and when it is answered already.
    ///
    /// # Errors
    /// [`AnchorError::Conflict`] when `checked` is not the newest published version any more: check
    /// that one.
    fn answer(&self, challenge: &Challenge, checked: Version, cancel: &Cancel) -> Result<(), AnchorError> {
        let _ = (challenge, checked, cancel);
        Ok(())
    }

    /// Says that the newest published version is not whole. `Ok` once that is final, and when it is
    /// said already.
    fn report_fault(&self, fault: &Fault, cancel: &Cancel) -> Result<(), AnchorError> {
        let _ = (fault, cancel);
        Ok(())
    }
}
