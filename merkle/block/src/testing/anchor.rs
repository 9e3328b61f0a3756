//! An anchor in memory that fails, lies and stalls on demand, and the promises of every anchor.
//!
//! ```text
//!  MemoryAnchor --instance()--> one per instance of the volume, all of one record
//!       `-- answer with(Mood) | hold_back: publications wait | challenge | what was answered
//! ```

use crate::anchor::{Anchor, AnchorError, Cancel, Challenge, Fault, Version};
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::time::Duration;

/// How an anchor answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mood {
    /// As it should.
    #[default]
    Well,
    /// Not at all.
    Unreachable,
    /// With what cannot be true.
    Lying,
    /// It takes what is published, and the answer is lost.
    LosesAnswers,
}

#[derive(Debug, Default)]
struct Record {
    latest: Option<Version>,
    published: Vec<Version>,
    boots: u64,
    mood: Mood,
    held_back: bool,
    waiting: usize,
    challenge: Option<Challenge>,
    answered: Vec<(Challenge, Version)>,
    faults: Vec<Fault>,
}

#[derive(Debug, Default)]
struct Shared {
    record: Mutex<Record>,
    changed: Condvar,
}

/// The record that all instances of one volume share.
#[derive(Clone, Debug, Default)]
pub struct MemoryAnchor(Arc<Shared>);

impl MemoryAnchor {
    /// One on which nothing is published.
    pub fn new() -> Self {
        Self::default()
    }

    /// The anchor as one instance of the volume sees it.
    pub fn instance(&self) -> MemoryInstance {
        MemoryInstance {
            shared: self.0.clone(),
            booted: Mutex::new(0),
        }
    }

    /// How it answers from now on.
    pub fn answer_with(&self, mood: Mood) {
        self.0.record.lock().mood = mood;
    }

    /// Publications wait until [`Self::let_go`].
    pub fn hold_back(&self) {
        self.0.record.lock().held_back = true;
    }

    /// Publications that wait go on.
    pub fn let_go(&self) {
        self.0.record.lock().held_back = false;
        self.0.changed.notify_all();
    }

    /// Returns once a publication waits.
    pub fn await_waiting(&self) {
        let mut record = self.0.record.lock();
        self.0
            .changed
            .wait_while(&mut record, |record| record.waiting == 0);
    }

    /// Returns once `enough` says so of all that was published, oldest first.
    pub fn await_published(&self, enough: impl Fn(&[Version]) -> bool) -> Vec<Version> {
        let mut record = self.0.record.lock();
        self.0
            .changed
            .wait_while(&mut record, |record| !enough(&record.published));
        record.published.clone()
    }

    /// All that was published, oldest first.
    pub fn published(&self) -> Vec<Version> {
        self.0.record.lock().published.clone()
    }

    /// Goes back to what was latest before, as a chain does that is reorganised.
    pub fn roll_back(&self, to: Option<Version>) {
        self.0.record.lock().latest = to;
    }

    /// Opens a challenge.
    pub fn challenge(&self, challenge: Challenge) {
        self.0.record.lock().challenge = Some(challenge);
    }

    /// Returns once a challenge is answered or a fault reported.
    pub fn await_answer(&self) -> (Vec<(Challenge, Version)>, Vec<Fault>) {
        let mut record = self.0.record.lock();
        self.0.changed.wait_while(&mut record, |record| {
            record.answered.is_empty() && record.faults.is_empty()
        });
        (record.answered.clone(), record.faults.clone())
    }
}

/// One instance's side of a [`MemoryAnchor`].
#[derive(Debug)]
pub struct MemoryInstance {
    shared: Arc<Shared>,
    booted: Mutex<u64>,
}

impl Shared {
    fn well(record: &Record) -> Result<(), AnchorError> {
        match record.mood {
            Mood::Well | Mood::LosesAnswers => Ok(()),
            Mood::Unreachable => Err(unreachable()),
            Mood::Lying => Err(AnchorError::Untrustworthy {
                why: "it is to lie".into(),
                source: None,
            }),
        }
    }
}

fn unreachable() -> AnchorError {
    AnchorError::Unreachable {
        source: "it is not to answer".into(),
    }
}

impl Anchor for MemoryInstance {
    fn describe(&self) -> String {
        "an anchor in memory".into()
    }

    fn latest(&self) -> Result<Option<Version>, AnchorError> {
        let record = self.shared.record.lock();
        Shared::well(&record)?;
        Ok(record.latest)
    }

    fn boot(&self, _nonce: [u8; 32], cancel: &Cancel) -> Result<Option<Version>, AnchorError> {
        let mut record = self.shared.record.lock();
        if cancel.is_cancelled() {
            return Err(AnchorError::Cancelled);
        }
        Shared::well(&record)?;
        record.boots += 1;
        *self.booted.lock() = record.boots;
        Ok(record.latest)
    }

    fn publish(&self, previous: Option<Version>, next: Version, cancel: &Cancel) -> Result<(), AnchorError> {
        let mut record = self.shared.record.lock();
        record.waiting += 1;
        self.shared.changed.notify_all();
        while record.held_back && !cancel.is_cancelled() {
            // A cancel does not signal this condition, so the wait looks for it again and again.
            self.shared
                .changed
                .wait_for(&mut record, Duration::from_millis(5));
        }
        record.waiting -= 1;
        if cancel.is_cancelled() {
            return Err(AnchorError::Cancelled);
        }
        Shared::well(&record)?;
        if *self.booted.lock() != record.boots {
            return Err(AnchorError::Fenced);
        }
        if record.latest != Some(next) {
            if record.latest != previous {
                return Err(AnchorError::Conflict {
                    latest: record.latest,
                });
            }
            record.latest = Some(next);
            record.published.push(next);
            self.shared.changed.notify_all();
        }
        if record.mood == Mood::LosesAnswers {
            return Err(unreachable());
        }
        Ok(())
    }

    fn pending_challenge(&self) -> Result<Option<Challenge>, AnchorError> {
        let record = self.shared.record.lock();
        Shared::well(&record)?;
        Ok(record.challenge.clone())
    }

    fn answer(&self, challenge: &Challenge, checked: Version, _cancel: &Cancel) -> Result<(), AnchorError> {
        let mut record = self.shared.record.lock();
        if record.latest != Some(checked) {
            return Err(AnchorError::Conflict {
                latest: record.latest,
            });
        }
        record.challenge = None;
        record.answered.push((challenge.clone(), checked));
        self.shared.changed.notify_all();
        Ok(())
    }

    fn report_fault(&self, fault: &Fault, _cancel: &Cancel) -> Result<(), AnchorError> {
        let mut record = self.shared.record.lock();
        if !record.faults.contains(fault) {
            record.faults.push(fault.clone());
        }
        self.shared.changed.notify_all();
        Ok(())
    }
}

/// What every anchor promises. `instance` begins another instance of one and the same volume, on
/// which nothing is published yet.
///
/// # Panics
/// If it does not hold.
pub fn anchor_contract(instance: &dyn Fn() -> Box<dyn Anchor>) {
    let cancel = Cancel::new();
    let version = |epoch: u64| Version::from_digest(epoch, [epoch as u8; 32]);
    let first = instance();
    assert!(!first.describe().is_empty(), "it has a name");
    assert_eq!(first.latest().expect("it answers"), None, "nothing is published");
    assert_eq!(first.boot([1; 32], &cancel).expect("it boots"), None);
    first.publish(None, version(3), &cancel).expect("it publishes");
    first
        .publish(None, version(3), &cancel)
        .expect("what is published already is no error");
    first
        .publish(Some(version(3)), version(7), &cancel)
        .expect("counters may skip");
    assert_eq!(first.latest().expect("it answers"), Some(version(7)));
    for wrong in [None, Some(version(3)), Some(version(6))] {
        match first.publish(wrong, version(9), &cancel) {
            Err(AnchorError::Conflict { latest }) => assert_eq!(latest, Some(version(7))),
            other => panic!("{wrong:?} is not what is published: {other:?}"),
        }
    }
    let second = instance();
    assert_eq!(
        second.latest().expect("it answers"),
        Some(version(7)),
        "before it boots"
    );
    assert_eq!(second.boot([2; 32], &cancel).expect("it boots"), Some(version(7)));
    let fenced = first.publish(Some(version(7)), version(8), &cancel);
    assert!(matches!(fenced, Err(AnchorError::Fenced)), "{fenced:?}");
    second
        .publish(Some(version(7)), version(8), &cancel)
        .expect("the newest instance publishes");
    assert_eq!(first.latest().expect("it answers"), Some(version(8)));
    cancel.cancel();
    let given_up = instance().boot([3; 32], &cancel);
    assert!(
        matches!(given_up, Err(AnchorError::Cancelled)),
        "a boot that was given up does not wait: {given_up:?}"
    );
    second
        .publish(Some(version(8)), version(9), &Cancel::new())
        .expect("a boot that was given up at once fences no instance");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_anchor_in_memory_keeps_the_contract() {
        let anchor = MemoryAnchor::new();
        anchor_contract(&|| Box::new(anchor.instance()));
    }
}
