//! The publisher over an anchor that does what a test says. The interval is an hour: what publishes
//! is asked for, and no test depends on how long anything takes.

use super::*;
use crate::sample::{Sample, config, copy, opening};
use cairn_fs::Operations;
use cairn_merkle::testing::{MemoryAnchor, Mood};

const HOUR: Settings = Settings {
    interval: Duration::from_secs(3600),
    bytes: u64::MAX,
};

fn publisher(engine: &Arc<Engine>, anchor: &MemoryAnchor) -> Arc<Publisher> {
    let instance = anchor.instance();
    instance.boot([1; 32], &Cancel::new()).unwrap();
    Publisher::start(Arc::clone(engine), Arc::new(instance), HOUR).unwrap()
}

fn exit_of(result: Result<()>) -> Exit {
    result.unwrap_err().exit()
}

#[test]
fn a_new_volume_is_published_at_once_and_an_idle_one_no_more() {
    let (sample, anchor) = (Sample::new(), MemoryAnchor::new());
    let publisher = publisher(&sample.engine, &anchor);
    publisher.sync(None).unwrap();
    publisher.sync(None).unwrap();
    sample.engine.commit().unwrap();
    publisher.sync(None).unwrap();
    assert_eq!(anchor.published().len(), 1);
    let window = publisher.window();
    assert_eq!((window.epochs, window.bytes, window.next), (0, 0, None));
    publisher.finish(Duration::from_secs(3600));
    assert_eq!(anchor.published().len(), 1, "nothing was left to publish");
    sample.engine.close().unwrap();
}

#[test]
fn an_anchored_sync_returns_when_what_was_written_before_it_is_final() {
    let (sample, anchor) = (Sample::new(), MemoryAnchor::new());
    let publisher = publisher(&sample.engine, &anchor);
    publisher.sync(None).unwrap();
    for n in 1..4_u8 {
        sample.put("file", &[n; 200_000]);
        assert!(publisher.window().epochs > 0 && publisher.window().bytes >= 200_000);
        publisher.sync(Some(Duration::from_secs(3600))).unwrap();
        let last = *anchor.published().last().unwrap();
        assert_eq!(sample.engine.standing().anchored, Some(last));
        assert!(sample.engine.standing().is_anchored());
    }
    publisher.finish(Duration::from_secs(3600));
}

#[test]
fn writers_go_on_while_the_anchor_takes_for_ever_and_the_unmount_gives_it_up() {
    let (sample, anchor) = (Sample::new(), MemoryAnchor::new());
    anchor.hold_back();
    let publisher = publisher(&sample.engine, &anchor);
    anchor.await_waiting();
    for n in 0..20_u8 {
        sample.put("file", &[n; 200_000]);
        sample.engine.commit().unwrap();
    }
    assert!(anchor.published().is_empty());
    let late = publisher.sync(Some(Duration::from_millis(1)));
    assert_eq!(exit_of(late), Exit::Unreachable);
    let epoch = sample.engine.standing().submitted[0].epoch;
    assert!(epoch < sample.engine.standing().head.epoch, "commits went on");
    publisher.finish(Duration::from_millis(1));
    sample.engine.close().unwrap();
    let found = opening(&sample.store).standing();
    assert_eq!(
        found.submitted.len(),
        1,
        "the next mount knows what may yet arrive"
    );
    assert!(found.verdict(Some(found.submitted[0])).is_fresh() && found.verdict(None).is_fresh());
}

#[test]
fn the_second_instance_of_one_state_fences_the_first_which_turns_read_only() {
    let (sample, anchor) = (Sample::new(), MemoryAnchor::new());
    let first = publisher(&sample.engine, &anchor);
    first.sync(None).unwrap();
    sample.engine.commit().unwrap();
    let twin = copy(&sample.store);
    let mut found = opening(&twin);
    found.settle(anchor.published().last().copied());
    let other = found.open(config()).unwrap();
    let second = publisher(&other, &anchor);
    second.sync(None).unwrap();
    sample.put("file", b"too late");
    assert_eq!(exit_of(first.sync(None)), Exit::Fenced);
    assert!(first.window().fenced && first.fenced().is_some());
    let refused = sample.engine.set_quota(cairn_fs::Quota::default()).unwrap_err();
    assert!(matches!(refused, cairn_fs::Error::ReadOnly(_)), "{refused}");
    let published = anchor.published().len();
    first.finish(Duration::from_secs(3600));
    sample.engine.close().unwrap_err();
    // The other goes on.
    let made = other.mknod(
        cairn_fs::InodeNo::ROOT,
        &crate::sample::name("file"),
        cairn_fs::Kind::File,
        0o644,
        0,
        crate::sample::caller(),
    );
    made.unwrap();
    second.sync(None).unwrap();
    assert_eq!(anchor.published().len(), published + 1);
    second.finish(Duration::from_secs(3600));
    other.close().unwrap();
}

#[test]
fn a_publication_whose_answer_is_lost_is_repeated_until_it_is_known() {
    let (sample, anchor) = (Sample::new(), MemoryAnchor::new());
    anchor.answer_with(Mood::LosesAnswers);
    let publisher = publisher(&sample.engine, &anchor);
    let arrived = anchor.await_published(|published| !published.is_empty());
    let lost = publisher.sync(Some(Duration::from_millis(1)));
    assert_eq!(exit_of(lost), Exit::Unreachable);
    assert_eq!(sample.engine.standing().anchored, None);
    anchor.answer_with(Mood::Well);
    sample.put("file", b"more");
    publisher.sync(None).unwrap();
    let published = anchor.published();
    assert_eq!(published[0], arrived[0], "the first was not published again");
    assert_eq!(published.len(), 2);
    publisher.finish(Duration::from_secs(3600));
    sample.engine.close().unwrap();
}

#[test]
fn an_unmount_publishes_what_is_left() {
    let (sample, anchor) = (Sample::new(), MemoryAnchor::new());
    let publisher = publisher(&sample.engine, &anchor);
    publisher.sync(None).unwrap();
    sample.put("file", b"the last words");
    publisher.finish(Duration::from_secs(3600));
    assert_eq!(anchor.published().len(), 2);
    sample.engine.close().unwrap();
    let found = opening(&sample.store).standing();
    assert!(found.is_anchored(), "{found:?}");
}

#[test]
fn many_bytes_do_not_wait_for_the_interval() {
    let (sample, anchor) = (Sample::new(), MemoryAnchor::new());
    let instance = anchor.instance();
    instance.boot([1; 32], &Cancel::new()).unwrap();
    let settings = Settings {
        bytes: 100_000,
        ..HOUR
    };
    let publisher = Publisher::start(Arc::clone(&sample.engine), Arc::new(instance), settings).unwrap();
    anchor.await_published(|published| published.len() == 1);
    sample.put("file", &[1; 200_000]);
    anchor.await_published(|published| published.len() == 2);
    publisher.finish(Duration::from_secs(3600));
    sample.engine.close().unwrap();
}
