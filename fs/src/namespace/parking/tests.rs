//! What may be parked, and how references are kept meanwhile.

use super::*;
use crate::Kind;
use crate::fixture::tree::name;
use crate::stored::name::DirKey;
use crate::stored::record::{Stored, Xattrs, tests::meta};
use cairn_merkle::Epoch;

fn home() -> Home {
    Home::Entry {
        parent: InodeNo(20),
        key: DirKey {
            hash: 7,
            name: name("file"),
        },
    }
}

/// An inode that may be parked: the kernel refers to it, and nothing else does.
fn inode(ino: u64, kind: Kind, home: Home) -> Inode {
    let meta = crate::stored::record::Meta {
        ino: InodeNo(ino),
        kind,
        ..meta()
    };
    let mut inode = Inode::new(meta, Xattrs::default(), Stored::None, home);
    inode.lookups = 1;
    inode
}

#[test]
fn only_what_the_last_commit_holds_and_nobody_uses_is_parked() {
    let fine = inode(30, Kind::Directory, home());
    assert!(matches!(
        place_of(&fine),
        Some(Place::Entry {
            parent: InodeNo(20),
            hash: 7
        })
    ));
    let changes: [fn(&mut Inode); 8] = [
        |inode| inode.dirty = true,
        |inode| inode.frozen = true,
        |inode| inode.opens = 1,
        |inode| inode.children = 1,
        |inode| inode.lookups = 0,
        |inode| inode.lost = true,
        |inode| inode.home = Home::Root,
        |inode| {
            let (_, link) = cairn_merkle::seal_leaf(Default::default(), &mut rand::rng(), Epoch(1), b"");
            inode.dir_mut().unwrap().unread = Some(link);
        },
    ];
    for (at, change) in changes.iter().enumerate() {
        let mut busy = fine.clone();
        change(&mut busy);
        assert!(place_of(&busy).is_none(), "change {at}");
    }
    let linked = inode(30, Kind::File, Home::Table);
    assert!(matches!(place_of(&linked), Some(Place::Table)));
    let unlinked = inode(30, Kind::File, Home::Orphan);
    let mut parking = Parking::new(1, 1000);
    assert!(matches!(parking.place_for(&unlinked), Some(Place::Orphans)));
    parking.lose_orphans();
    assert!(parking.place_for(&unlinked).is_none(), "it may be nowhere else");
}

#[test]
fn an_open_inode_is_parked_where_it_is_heavy() {
    let mut heavy = inode(30, Kind::File, home());
    heavy.opens = 1;
    heavy.counted = HEAVY_BYTES - 1;
    assert!(place_of(&heavy).is_none());
    heavy.counted = HEAVY_BYTES;
    assert!(place_of(&heavy).is_some());
    heavy.lookups = 0;
    assert!(place_of(&heavy).is_some());
}

#[test]
fn references_are_those_before_and_while_it_was_parked() {
    let mut parking = Parking::new(1, 1000);
    let mut first = inode(30, Kind::File, home());
    assert!(!parking.arrive(&mut first), "it was not parked");
    (first.lookups, first.opens) = (3, 2);
    parking.park(&first, place_of_any());
    assert!(parking.place(InodeNo(30)).is_some() && parking.place(InodeNo(31)).is_none());
    assert!(matches!(parking.forget(InodeNo(30), 1, 1), Some(None)));
    let mut again = inode(30, Kind::File, home());
    again.lookups = 0;
    assert!(parking.arrive(&mut again));
    assert_eq!((again.lookups, again.opens), (2, 1));
    assert_ne!(first.stamp, again.stamp);
    assert!(parking.place(InodeNo(30)).is_none());
    assert_eq!(parking.next(), Some((InodeNo(30), first.stamp)));
    assert_eq!(parking.next(), Some((InodeNo(30), again.stamp)));
    assert_eq!(parking.next(), None);
    parking.pass_by(InodeNo(30), again.stamp);
    assert_eq!(parking.next(), Some((InodeNo(30), again.stamp)));
}

fn place_of_any() -> Place {
    Place::Entry {
        parent: InodeNo(20),
        hash: 7,
    }
}

#[test]
fn the_last_reference_or_handle_tells_where_it_was() {
    let mut parking = Parking::new(1, 1000);
    let mut parked = inode(30, Kind::File, home());
    (parked.lookups, parked.opens) = (1, 1);
    parking.park(&parked, place_of_any());
    assert!(parking.forget(InodeNo(31), 1, 0).is_none());
    assert!(
        matches!(parking.forget(InodeNo(30), 5, 0), Some(None)),
        "it is open"
    );
    assert!(matches!(
        parking.forget(InodeNo(30), 0, 1),
        Some(Some(Place::Entry { hash: 7, .. }))
    ));
    assert!(parking.forget(InodeNo(30), 0, 1).is_none());
    parking.refer(InodeNo(40));
    parking.refer(InodeNo(40));
    assert!(matches!(parking.forget(InodeNo(40), 1, 0), Some(None)));
    assert!(matches!(
        parking.forget(InodeNo(40), 1, 0),
        Some(Some(Place::Table))
    ));
}

#[test]
fn the_bounds_are_of_numbers_and_of_bytes() {
    let mut parking = Parking::new(10, 100_000);
    for (inodes, bytes, crowded) in [
        (10, 100_000, false),
        (11, 0, true),
        (0, 100_001, true),
        (0, 0, false),
    ] {
        assert_eq!(parking.is_crowded(inodes, bytes), crowded, "{inodes} of {bytes}");
    }
    let heavy = HEAVY_BYTES;
    assert_eq!(parking.steps(0), STEPS as u64);
    assert_eq!(parking.steps(100_000 + heavy - 1), STEPS as u64);
    assert_eq!(parking.steps(100_000 + 3 * heavy), STEPS as u64 + 3);
    assert_eq!(parking.steps(100_000 + 1000 * heavy), STEPS as u64 + STEPS_MAX);
    for ino in 0..2 * 3 + STEPS as u64 {
        parking.pass_by(InodeNo(ino), 0);
    }
    assert!(!parking.is_littered(3) && parking.is_littered(2));
    parking.pass_by(InodeNo(99), 0);
    assert!(parking.is_littered(3));
    parking.refer(InodeNo(40));
    assert!(parking.bytes() >= PARKED_BYTES + 11 * size_of::<(InodeNo, u64)>());
}
