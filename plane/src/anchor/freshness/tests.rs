//! Each line of the decision table, end to end: a store, an anchor, a mount's admission.

use super::*;

use crate::cli::anchor::Spec;
use crate::sample::{Sample, config, copy, opening};
use cairn_merkle::MemoryStore;
use cairn_merkle::testing::{MemoryAnchor, Mood};

fn admit_as(
    store: &Arc<MemoryStore>,
    anchor: &MemoryAnchor,
    policy: Policy,
    access: Access,
) -> Result<(Trust, Opening)> {
    let mut found = opening(store);
    let trust = admit(&mut found, &anchor.instance(), policy, access, &Cancel::new())?;
    Ok((trust, found))
}

fn admitted(store: &Arc<MemoryStore>, anchor: &MemoryAnchor) -> Result<Trust> {
    admit_as(store, anchor, Policy::Refuse, Access::ReadWrite).map(|(trust, _)| trust)
}

fn exit_of<T>(result: Result<T>) -> (Exit, String) {
    match result {
        Ok(_) => panic!("it is admitted"),
        Err(error) => (error.exit(), error.to_string()),
    }
}

fn publish(sample: &Sample, anchor: &MemoryAnchor) -> Version {
    let instance = anchor.instance();
    let previous = instance.boot([1; 32], &Cancel::new()).unwrap();
    let version = sample.engine.prepare_publication().unwrap().unwrap().version;
    instance.publish(previous, version, &Cancel::new()).unwrap();
    version
}

#[test]
fn a_volume_and_an_anchor_that_are_both_new_go_together() {
    let (sample, anchor) = (Sample::new(), MemoryAnchor::new());
    assert_eq!(admitted(&copy(&sample.store), &anchor).unwrap(), Trust::Booted);
}

#[test]
fn a_store_put_back_to_an_older_copy_is_stale_by_so_many_epochs() {
    let (sample, anchor) = (Sample::new(), MemoryAnchor::new());
    let old = copy(&sample.store);
    let old_epoch = opening(&old).standing().head.epoch.0;
    for n in 0..3 {
        sample.put("file", &[n; 100]);
        sample.engine.commit().unwrap();
    }
    let epochs = publish(&sample, &anchor).epoch.0 - old_epoch;
    let before = old.head_bytes();
    let (exit, message) = exit_of(admitted(&old, &anchor));
    assert_eq!(exit, Exit::Stale);
    assert!(
        message.contains(&format!("STALE by {epochs} epochs")),
        "{message}"
    );
    assert_eq!(old.head_bytes(), before, "nothing was written");
    // A mount that only reads is refused as well.
    let read = admit_as(&old, &anchor, Policy::Refuse, Access::ReadOnly);
    assert_eq!(exit_of(read).0, Exit::Stale);
}

trait HeadBytes {
    fn head_bytes(&self) -> bytes::Bytes;
}

impl HeadBytes for MemoryStore {
    fn head_bytes(&self) -> bytes::Bytes {
        cairn_merkle::Heads::head(self).unwrap().unwrap()
    }
}

#[test]
fn a_store_put_back_to_the_very_version_that_is_anchored_mounts_and_goes_on() {
    let (sample, anchor) = (Sample::new(), MemoryAnchor::new());
    sample.put("file", b"published");
    let version = publish(&sample, &anchor);
    let exact = copy(&sample.store);
    sample.put("file", b"later");
    sample.engine.commit().unwrap();
    let (trust, found) = admit_as(&exact, &anchor, Policy::Refuse, Access::ReadWrite).unwrap();
    assert_eq!(trust, Trust::Booted);
    let engine = found.open(config()).unwrap();
    assert_eq!(
        engine.standing().anchored,
        Some(version),
        "the first commit names it"
    );
    engine.close().unwrap();
}

#[test]
fn a_head_ahead_of_the_anchor_is_fresh_whether_the_version_was_confirmed_or_only_submitted() {
    for confirmed in [true, false] {
        let (sample, anchor) = (Sample::new(), MemoryAnchor::new());
        let version = publish(&sample, &anchor);
        if confirmed {
            sample.engine.confirmed(version);
        }
        sample.put("file", b"later");
        sample.engine.commit().unwrap();
        let (_, found) = admit_as(&sample.store, &anchor, Policy::Refuse, Access::ReadWrite).unwrap();
        let standing = found.standing();
        assert_eq!((standing.anchored, standing.submitted), (Some(version), vec![]));
    }
}

#[test]
fn a_copy_that_went_another_way_is_forked() {
    let (sample, anchor) = (Sample::new(), MemoryAnchor::new());
    let twin = copy(&sample.store);
    sample.put("file", b"one");
    let version = publish(&sample, &anchor);
    let other = opening(&twin).open(config()).unwrap();
    while other.standing().head.epoch <= version.epoch {
        other.set_quota(cairn_fs::Quota::default()).unwrap();
        let (exit, message) = match opening(&twin).standing().head.epoch.cmp(&version.epoch) {
            std::cmp::Ordering::Less => (Exit::Stale, "STALE"),
            _ => (Exit::Forked, "FORKED"),
        };
        let refused = exit_of(admitted(&twin, &anchor));
        assert_eq!(refused.0, exit);
        assert!(refused.1.contains(message), "{}", refused.1);
    }
}

#[test]
fn an_anchor_that_forgot_a_version_or_went_back_is_refused() {
    let (sample, anchor) = (Sample::new(), MemoryAnchor::new());
    let first = publish(&sample, &anchor);
    sample.engine.confirmed(first);
    sample.put("file", b"more");
    let second = sample.engine.prepare_publication().unwrap().unwrap().version;
    sample.engine.confirmed(second);
    sample.put("file", b"most");
    sample.engine.commit().unwrap();
    anchor.roll_back(Some(first));
    assert_eq!(exit_of(admitted(&sample.store, &anchor)).0, Exit::Forked);
    anchor.roll_back(None);
    let (exit, message) = exit_of(admitted(&sample.store, &anchor));
    assert_eq!(exit, Exit::Forked);
    assert!(message.contains("holds nothing"), "{message}");
}

#[test]
fn an_anchor_that_does_not_answer_or_lies_is_met_as_the_policy_says() {
    for mood in [Mood::Unreachable, Mood::Lying] {
        let (sample, anchor) = (Sample::new(), MemoryAnchor::new());
        publish(&sample, &anchor);
        anchor.answer_with(mood);
        let refused = admit_as(&sample.store, &anchor, Policy::Refuse, Access::ReadWrite);
        assert_eq!(exit_of(refused).0, Exit::Unreachable);
        let (trust, _) = admit_as(&sample.store, &anchor, Policy::ReadOnly, Access::ReadWrite).unwrap();
        assert_eq!(trust, Trust::Unverified);
        let cancel = Cancel::new();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                let mut found = opening(&sample.store);
                admit(
                    &mut found,
                    &anchor.instance(),
                    Policy::Wait,
                    Access::ReadWrite,
                    &cancel,
                )
            });
            cancel.cancel();
            assert_eq!(exit_of(waiting.join().unwrap()).0, Exit::Unreachable);
        });
        anchor.answer_with(Mood::Well);
        let (trust, _) = admit_as(&sample.store, &anchor, Policy::Wait, Access::ReadWrite).unwrap();
        assert_eq!(trust, Trust::Booted);
    }
}

#[test]
fn a_reader_checks_and_fences_nobody() {
    let (sample, anchor) = (Sample::new(), MemoryAnchor::new());
    let instance = anchor.instance();
    instance.boot([1; 32], &Cancel::new()).unwrap();
    let version = sample.engine.prepare_publication().unwrap().unwrap().version;
    instance.publish(None, version, &Cancel::new()).unwrap();
    let (trust, _) = admit_as(&sample.store, &anchor, Policy::Refuse, Access::ReadOnly).unwrap();
    assert_eq!(trust, Trust::Checked);
    sample.engine.confirmed(version);
    sample.put("file", b"more");
    let next = sample.engine.prepare_publication().unwrap().unwrap().version;
    instance.publish(Some(version), next, &Cancel::new()).unwrap();
}

#[test]
fn a_volume_that_has_been_anchored_is_not_mounted_without_its_anchor_unless_somebody_says_so() {
    let args = |no_anchor| AnchorArgs {
        anchor: None::<Spec>,
        no_anchor,
        anchor_policy: Policy::Refuse,
        publish_interval: Duration::from_secs(60),
        publish_bytes: 1 << 30,
        challenge_interval: Duration::from_secs(30),
        publish_last: Duration::from_secs(1),
    };
    let (sample, anchor) = (Sample::new(), MemoryAnchor::new());
    let new = opening(&copy(&sample.store));
    assert_eq!(without_anchor(&new, &args(false), "here").unwrap(), Trust::None);
    publish(&sample, &anchor);
    sample.put("file", b"more");
    sample.engine.commit().unwrap();
    let found = opening(&sample.store);
    assert_eq!(
        exit_of(without_anchor(&found, &args(false), "here")).0,
        Exit::Unanchored
    );
    assert_eq!(without_anchor(&found, &args(true), "here").unwrap(), Trust::None);
}
