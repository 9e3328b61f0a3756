//! Versions that stay whole: published, pinned, and let go of.

use crate::fixture::stored::{
    Event, Store, at, blocks, config, key_of, name, open, pattern, require_clean, tree, until_destroyed,
    volume,
};
use crate::{Engine, Error, InodeNo, Opening, Operations, RenameMode, Table};
use cairn_merkle::testing::{Op, Tamper};
use cairn_merkle::{Blocks, Version};
use std::sync::Arc;

const ROOT: InodeNo = InodeNo::ROOT;

type Tree = std::collections::BTreeMap<Vec<u8>, crate::fixture::stored::Found>;

fn publish(engine: &Engine) -> (Version, Tree) {
    let prepared = engine.prepare_publication().unwrap().unwrap();
    (prepared.version, tree(engine))
}

fn past(store: &Arc<Store>, version: Version) -> Result<Tree, Error> {
    let opening = Opening::past(store.clone(), key_of(&**store), version)?;
    Ok(tree(&*opening.open(config())?))
}

/// Replaces blocks of every kind.
fn change(engine: &Engine, round: u8) {
    for called in [b"file".as_slice(), b"linked", b"gone"] {
        if engine.lookup(ROOT, &name(called)).is_err() {
            engine.t_file(ROOT, called);
        }
    }
    let linked = engine.t_find(ROOT, b"linked").ino;
    engine.link(linked, ROOT, &name(&[b'l', round]), at(20)).unwrap();
    let file = engine.t_find(ROOT, b"file").ino;
    engine.t_write(file, 0, &pattern(9000, round));
    engine.t_write(linked, 0, &pattern(5000, round));
    engine
        .rename(
            ROOT,
            &name(b"gone"),
            ROOT,
            &name(b"file"),
            RenameMode::Replace,
            at(21),
        )
        .unwrap();
    engine.t_forget(file);
}

fn empty(engine: &Engine) {
    for (path, found) in tree(engine) {
        if found.attr.ino != ROOT {
            engine.t_remove(ROOT, &path[1..]);
        }
    }
    engine.commit().unwrap();
    until_destroyed(engine);
}

#[test]
fn what_is_submitted_stays_whole_until_a_later_version_is_anchored() {
    let (store, engine) = volume();
    change(&engine, 1);
    let (first, seen_first) = publish(&engine);
    (2..5).for_each(|round| {
        change(&engine, round);
        engine.commit().unwrap();
        assert_eq!(past(&store, first).unwrap(), seen_first);
    });
    assert!(engine.standing().held_bytes > 0);
    require_clean(&engine);
    let (second, seen_second) = publish(&engine);
    let standing = engine.standing();
    assert_eq!(
        (standing.submitted, standing.anchored),
        (vec![first, second], None)
    );
    change(&engine, 5);
    engine.commit().unwrap();
    assert_eq!(
        (past(&store, first).unwrap(), past(&store, second).unwrap()),
        (seen_first.clone(), seen_second.clone())
    );
    engine.confirmed(first);
    assert_eq!(engine.standing().anchored, Some(first));
    engine.commit().unwrap();
    assert_eq!(
        (past(&store, first).unwrap(), past(&store, second).unwrap()),
        (seen_first, seen_second.clone())
    );
    let (held, count) = (engine.standing().held_bytes, blocks(&*store).len());
    engine.confirmed(second);
    engine.commit().unwrap();
    assert!(past(&store, first).is_err());
    assert_eq!(past(&store, second).unwrap(), seen_second);
    assert!(engine.standing().held_bytes < held && blocks(&*store).len() < count);
    assert_eq!(engine.standing().submitted, []);
    require_clean(&engine);
    // Of what is let go of at last, nothing is left.
    empty(&engine);
    let (last, _) = publish(&engine);
    engine.confirmed(last);
    engine.commit().unwrap();
    assert_eq!(engine.standing().anchored, Some(last));
    require_clean(&engine);
    engine.commit().unwrap();
    let list = engine.state.lock().volume.trees.held.root.clone().unwrap().cid;
    let named = [list, engine.status().root];
    let left = blocks(&*store).into_iter().filter(|cid| !named.contains(cid));
    let left: usize = left.map(|cid| store.get(&cid).unwrap().unwrap().len()).sum();
    assert_eq!(
        engine.standing().held_bytes,
        left as u64,
        "what is neither the newest commit nor the list"
    );
    assert!(
        blocks(&*store).len() <= 4,
        "it held nothing but its commit and its own list"
    );
}

#[test]
fn the_list_is_right_after_a_mount_too() {
    let (store, engine) = volume();
    change(&engine, 1);
    let (first, seen) = publish(&engine);
    change(&engine, 2);
    engine.commit().unwrap();
    engine.close().unwrap();
    let head = engine.standing().head;
    // It may have been submitted by the mount that made it, which it cannot say itself.
    let engine = open(store.clone());
    assert_eq!(engine.standing().submitted, [first, head]);
    assert_eq!(past(&store, first).unwrap(), seen);
    require_clean(&engine);
    let (second, _) = publish(&engine);
    engine.confirmed(second);
    engine.close().unwrap();
    // A released version goes, also when the mount that held it has ended.
    let engine = open(store.clone());
    assert!(past(&store, first).is_err());
    assert_eq!(engine.standing().anchored, Some(second));
    require_clean(&engine);
}

#[test]
fn a_mount_that_has_asked_the_anchor_knows_what_was_submitted() {
    let (store, engine) = volume();
    change(&engine, 1);
    let (first, _) = publish(&engine);
    change(&engine, 2);
    let (second, _) = publish(&engine);
    engine.close().unwrap();
    let mut opening = Opening::newest(store.clone(), key_of(&*store)).unwrap();
    assert_eq!(
        opening.standing().submitted,
        [first],
        "a version cannot name itself"
    );
    opening.settle(Some(second));
    let engine = opening.open(config()).unwrap();
    let standing = engine.standing();
    assert_eq!((standing.anchored, standing.submitted), (Some(second), vec![]));
    assert!(past(&store, first).is_err() && past(&store, second).is_ok());
    require_clean(&engine);
}

#[test]
fn a_pinned_version_is_whole_until_the_pin_is_dropped() {
    let (store, engine) = volume();
    change(&engine, 1);
    engine.commit().unwrap();
    let (version, seen) = (engine.standing().head, tree(&engine));
    let pin = engine.pin(version).unwrap();
    let twice = engine.pin(version).unwrap();
    assert_eq!(pin.version(), version);
    change(&engine, 2);
    engine.commit().unwrap();
    drop(pin);
    change(&engine, 3);
    engine.commit().unwrap();
    assert_eq!(past(&store, version).unwrap(), seen, "one pin is left");
    assert!(
        matches!(engine.pin(version), Err(Error::NoEntry)),
        "neither the newest nor published"
    );
    drop(twice);
    assert!(
        engine.state.lock().open.asks_for_commit(),
        "the next commit lets go of it"
    );
    engine.commit().unwrap();
    assert!(past(&store, version).is_err());
    assert_eq!(engine.standing().held_bytes, 0);
    assert!(
        engine.state.lock().volume.trees.held.root.is_none(),
        "nothing is on the list"
    );
    require_clean(&engine);
    let (published, _) = publish(&engine);
    change(&engine, 4);
    engine.commit().unwrap();
    drop(engine.pin(published).unwrap());
    engine.confirmed(published);
    drop(engine.pin(published).unwrap());
    // One of nothing that is held asks for no commit.
    let (_, engine) = volume();
    drop(engine.pin(engine.standing().head).unwrap());
    assert!(!engine.state.lock().open.asks_for_commit());
}

#[test]
fn only_what_was_submitted_is_confirmed_and_it_takes_older_ones_along() {
    let (_, engine) = volume();
    change(&engine, 1);
    let (first, _) = publish(&engine);
    change(&engine, 2);
    let (second, _) = publish(&engine);
    change(&engine, 3);
    let (third, _) = publish(&engine);
    engine.confirmed(Version {
        epoch: second.epoch,
        ..first
    });
    assert_eq!(engine.standing().anchored, None);
    engine.confirmed(second);
    let standing = engine.standing();
    assert_eq!(
        (standing.anchored, standing.submitted),
        (Some(second), vec![third])
    );
    engine.confirmed(first);
    assert_eq!(
        engine.standing().anchored,
        Some(second),
        "it is submitted no more"
    );
}

#[test]
fn without_changes_there_is_nothing_to_publish() {
    let (store, engine) = volume();
    change(&engine, 1);
    let (version, _) = publish(&engine);
    engine.confirmed(version);
    engine.commit().unwrap();
    store.events();
    assert!(engine.prepare_publication().unwrap().is_none());
    assert!(!store.events().iter().any(Event::is_swap));
    change(&engine, 2);
    let changed = engine.state.lock().open.number();
    assert_eq!(engine.standing().changed, changed, "the open epoch");
    let (second, _) = publish(&engine);
    assert_eq!((second.epoch, engine.standing().head), (changed, second));
    assert!(engine.standing().publishing);
    // The same again is not submitted twice.
    assert_eq!(engine.prepare_publication().unwrap().unwrap().version, second);
    assert_eq!(engine.standing().submitted, [second]);
}

#[test]
fn no_more_versions_are_under_way_than_a_commit_can_name() {
    let (_, engine) = volume();
    for round in 1..=16 {
        change(&engine, round);
        publish(&engine);
    }
    change(&engine, 17);
    assert!(matches!(engine.prepare_publication(), Err(Error::Invalid(_))));
    assert_eq!(engine.standing().submitted.len(), 16);
    require_clean(&engine);
}

#[test]
fn where_the_store_is_full_the_commit_before_is_published() {
    let (store, engine) = volume();
    change(&engine, 1);
    engine.commit().unwrap();
    let head = engine.standing().head;
    change(&engine, 2);
    store.faults.full_from_nth(Op::Put, 0);
    assert_eq!(engine.prepare_publication().unwrap().unwrap().version, head);
    engine.confirmed(head);
    assert!(
        matches!(engine.prepare_publication(), Err(Error::NoSpace)),
        "it is anchored already"
    );
    store.faults.heal();
    engine.commit().unwrap();
    require_clean(&engine);
    change(&engine, 3);
    let (version, _) = publish(&engine);
    engine.commit().unwrap();
    engine.fence("for a reason");
    assert_eq!(engine.status().read_only, Some("for a reason"));
    assert!(matches!(
        engine.prepare_publication(),
        Err(Error::ReadOnly("for a reason"))
    ));
    let pin = engine.pin(engine.standing().head).unwrap();
    drop(pin);
    engine.confirmed(version);
    assert_eq!(engine.standing().anchored, Some(version));
    assert!(
        !engine.state.lock().open.asks_for_commit(),
        "nothing is committed any more"
    );
}

#[test]
fn every_file_tells_which_version_it_is_of() {
    let (_, engine) = volume();
    let prefix = crate::namespace::attr::VERSION_XATTRS;
    let xattr = |which: &str| engine.getxattr(ROOT, &[prefix, which.as_bytes()].concat());
    let text = |which: &str| String::from_utf8(xattr(which).unwrap()).unwrap();
    assert!(
        matches!(xattr("anchored"), Err(Error::NoXattr))
            && matches!(xattr("anchored-root"), Err(Error::NoXattr))
    );
    change(&engine, 1);
    let (version, _) = publish(&engine);
    assert_eq!(
        (text("epoch"), text("root")),
        (version.epoch.to_string(), version.root.to_string())
    );
    engine.confirmed(version);
    change(&engine, 2);
    engine.commit().unwrap();
    assert_eq!(
        (text("anchored"), text("anchored-root")),
        (version.epoch.to_string(), version.root.to_string())
    );
    assert_eq!(text("epoch"), engine.status().epoch.to_string());
    assert_eq!(text("root"), engine.status().root.to_string());
    assert!(matches!(xattr("other"), Err(Error::NoXattr)));
    assert_eq!(engine.listxattr(ROOT).unwrap(), Vec::<Vec<u8>>::new());
}

#[test]
fn what_cannot_be_listed_for_damage_stays_in_the_store() {
    let (store, engine) = volume();
    change(&engine, 1);
    let (first, seen) = publish(&engine);
    engine.t_file(ROOT, b"new");
    engine.commit().unwrap();
    let list = engine.state.lock().volume.trees.held.root.clone().unwrap().cid;
    let held = engine.standing().held_bytes;
    store.faults.tamper(list, Tamper::FlipBit(1));
    engine.blocks.forget(&[list]);
    engine.t_write(engine.t_find(ROOT, b"linked").ino, 0, &pattern(5000, 9));
    engine.commit().unwrap();
    assert_eq!(past(&store, first).unwrap(), seen);
    assert_eq!(
        engine.standing().held_bytes,
        held,
        "what was not listed is not counted"
    );
    let known = engine.damage();
    assert!(known.tables.iter().any(|table| table.table == Table::HeldList));
    assert!(known.leaked_blocks > 0 && known.leaked_bytes > 0);
}
