//! Names and holds of snapshots.

use crate::fixture::stored::{is_read_only, name, open, require_clean, view, volume};
use crate::{Error, InodeNo, Operations, Time};
use cairn_merkle::testing::Op;

#[test]
fn a_renamed_snapshot_is_the_same_one_under_another_name() {
    let (store, engine) = volume();
    engine.t_write(engine.t_file(InodeNo::ROOT, b"file"), 0, b"old");
    engine.snapshot_create(&name(b"one"), Time(70)).unwrap();
    let seen = engine.t_find(InodeNo::SNAPSHOTS, b"one").ino;
    engine.snapshot_rename(&name(b"one"), &name(b"two")).unwrap();
    for engine in [engine.clone(), open(store.cut())] {
        assert!(matches!(
            engine.lookup(InodeNo::SNAPSHOTS, &name(b"one")),
            Err(Error::NoEntry)
        ));
        assert_eq!(engine.t_find(InodeNo::SNAPSHOTS, b"two").ino, seen);
        assert_eq!(engine.snapshot_list().len(), 1);
        require_clean(&engine);
    }
    engine.snapshot_create(&name(b"three"), Time(71)).unwrap();
    let rename = |from: &[u8], to: &[u8]| engine.snapshot_rename(&name(from), &name(to));
    assert!(matches!(rename(b"two", b"three"), Err(Error::Exists)));
    assert!(matches!(rename(b"one", b"four"), Err(Error::NoEntry)));
    assert!(matches!(rename(b"two", b".check"), Err(Error::Invalid(_))));
    assert!(is_read_only(
        view(store.cut()).snapshot_rename(&name(b"two"), &name(b"x"))
    ));
}

#[test]
fn a_held_snapshot_is_not_destroyed_before_each_hold_is_released() {
    let (store, engine) = volume();
    engine.snapshot_create(&name(b"snap"), Time(70)).unwrap();
    let hold = |tag: &[u8]| engine.snapshot_hold(&name(b"snap"), &name(tag), Time(75));
    hold(b"backup").unwrap();
    hold(b"audit").unwrap();
    assert!(matches!(hold(b"audit"), Err(Error::Exists)));
    let again = open(store.cut());
    let holds = again.snapshot_list().remove(0).holds;
    let tags: Vec<_> = holds.iter().map(|hold| hold.tag.as_bytes()).collect();
    assert_eq!(
        (tags, holds[0].since),
        (vec![b"audit".as_slice(), b"backup"], Time(75))
    );
    for engine in [&engine, &again] {
        let refused = engine.snapshot_destroy(&name(b"snap"));
        assert!(matches!(refused, Err(Error::Held(tags)) if tags == "audit, backup"));
        let refused = engine.rmdir(InodeNo::SNAPSHOTS, &name(b"snap"), crate::fixture::stored::at(9));
        assert!(refused.is_err());
    }
    let release = |tag: &[u8]| engine.snapshot_release(&name(b"snap"), &name(tag));
    release(b"audit").unwrap();
    assert!(matches!(release(b"audit"), Err(Error::NoEntry)));
    // A name does not end a hold.
    engine.snapshot_rename(&name(b"snap"), &name(b"other")).unwrap();
    assert!(matches!(
        engine.snapshot_destroy(&name(b"other")),
        Err(Error::Held(_))
    ));
    engine
        .snapshot_release(&name(b"other"), &name(b"backup"))
        .unwrap();
    engine.snapshot_destroy(&name(b"other")).unwrap();
    require_clean(&engine);
}

#[test]
fn holds_of_one_snapshot_have_a_bound() {
    let (_, engine) = volume();
    engine.snapshot_create(&name(b"snap"), Time(70)).unwrap();
    let hold = |tag: usize| engine.snapshot_hold(&name(b"snap"), &name(tag.to_string().as_bytes()), Time(75));
    (0..64).for_each(|tag| hold(tag).unwrap());
    assert!(matches!(hold(64), Err(Error::Invalid(_))));
}

#[test]
fn what_found_no_room_is_not_done_later() {
    let (store, engine) = volume();
    engine.snapshot_create(&name(b"one"), Time(70)).unwrap();
    store.faults.full_from_nth(Op::Put, 0);
    assert!(matches!(
        engine.snapshot_rename(&name(b"one"), &name(b"two")),
        Err(Error::NoSpace)
    ));
    let held = engine.snapshot_hold(&name(b"one"), &name(b"tag"), Time(75));
    assert!(matches!(held, Err(Error::NoSpace)));
    store.faults.heal();
    engine.t_file(InodeNo::ROOT, b"file");
    engine.commit().unwrap();
    let list = engine.snapshot_list();
    assert_eq!(
        (list.len(), list[0].name.as_bytes(), list[0].holds.len()),
        (1, b"one".as_slice(), 0)
    );
}
