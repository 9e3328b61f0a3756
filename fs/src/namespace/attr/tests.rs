//! Set-id bits, capabilities and lists, without a kernel.

use super::*;
use crate::fixture::tree::{ROOT, Tree, at};
use crate::fixture::{caller, header_of};
use crate::{Config, Fallocate, Name, Operations, Quota, Time};
use cairn_merkle::MemoryStore;
use std::sync::Arc;

fn volume() -> (Arc<MemoryStore>, Arc<Engine>) {
    let (store, (header, key)) = (Arc::new(MemoryStore::new()), header_of(4096));
    crate::format(&*store, &header, &key, Quota::default(), caller()).unwrap();
    let engine = Engine::open(store.clone(), key, Config::default(), Time(1)).unwrap();
    (store, engine)
}

fn made(engine: &Engine, name: &[u8], kind: Kind, mode: u32) -> InodeNo {
    let name = Name::new(name).unwrap();
    let attr = engine.mknod(InodeNo::ROOT, &name, kind, mode, 0, caller());
    attr.unwrap().ino
}

fn by(set_id: SetIdBits) -> Caller {
    Caller { set_id, ..caller() }
}

type Change = fn(&Engine, InodeNo, Caller);

type Field = fn(&mut SetAttr);

#[test]
fn every_change_of_bytes_leaves_the_set_id_bits_that_its_caller_may_keep_and_no_capability() {
    let changes: [Change; 6] = [
        |engine, ino, caller| engine.write(ino, 0, b"x", caller, true).unwrap(),
        |engine, ino, caller| {
            let set = SetAttr {
                size: Some(1),
                ..SetAttr::default()
            };
            engine.setattr(ino, set, caller).unwrap();
        },
        |engine, ino, caller| engine.fallocate(ino, Fallocate::Allocate, 0, 9, caller).unwrap(),
        |engine, ino, caller| engine.fallocate(ino, Fallocate::PunchHole, 0, 9, caller).unwrap(),
        |engine, ino, caller| engine.fallocate(ino, Fallocate::ZeroRange, 0, 9, caller).unwrap(),
        |engine, ino, caller| assert_eq!(engine.copy_range(ino, 0, ino, 5, 3, caller).unwrap(), 3),
    ];
    let left = [
        (SetIdBits::Keep, 0o6755, 0o6755),
        (SetIdBits::DropForMember, 0o6755, 0o755),
        (SetIdBits::DropForMember, 0o6745, 0o2745),
        (SetIdBits::Drop, 0o6745, 0o745),
    ];
    let (_, engine) = volume();
    for (at, change) in changes.iter().enumerate() {
        for (set_id, before, after) in left {
            let ino = made(&engine, b"file", Kind::File, before);
            engine.write(ino, 0, b"program", caller(), false).unwrap();
            engine
                .setxattr(ino, CAPABILITY, b"all", XattrMode::Set, caller())
                .unwrap();
            change(&engine, ino, by(set_id));
            assert_eq!(
                engine.getattr(ino).unwrap().mode,
                after,
                "change {at}, {set_id:?}"
            );
            assert!(
                matches!(engine.getxattr(ino, CAPABILITY), Err(Error::NoXattr)),
                "change {at}"
            );
            engine
                .unlink(InodeNo::ROOT, &Name::new(b"file").unwrap(), caller())
                .unwrap();
        }
    }
}

#[test]
fn what_a_cache_writes_back_takes_no_privilege_away() {
    let (_, engine) = volume();
    let ino = made(&engine, b"file", Kind::File, 0o6755);
    engine
        .setxattr(ino, CAPABILITY, b"all", XattrMode::Set, caller())
        .unwrap();
    engine
        .write(ino, 0, b"program", by(SetIdBits::Drop), false)
        .unwrap();
    assert_eq!(engine.getattr(ino).unwrap().mode, 0o6755);
    assert_eq!(engine.getxattr(ino, CAPABILITY).unwrap(), b"all");
}

#[test]
fn a_lost_capability_is_lost_after_a_crash_too() {
    let (store, engine) = volume();
    let ino = made(&engine, b"file", Kind::File, 0o6755);
    engine
        .setxattr(ino, CAPABILITY, b"all", XattrMode::Set, caller())
        .unwrap();
    engine.commit().unwrap();
    engine
        .write(ino, 0, b"mine now", by(SetIdBits::Drop), true)
        .unwrap();
    engine.fsync(ino, false).unwrap();
    let key = engine.key.clone();
    std::mem::forget(engine);
    let engine = Engine::open(store, key, Config::default(), Time(2)).unwrap();
    let attr = engine
        .lookup(InodeNo::ROOT, &Name::new(b"file").unwrap())
        .unwrap();
    assert_eq!(attr.mode, 0o755);
    assert!(engine.getxattr(attr.ino, CAPABILITY).is_err());
}

#[test]
fn a_chown_takes_set_id_bits_from_all_but_directories() {
    let (_, engine) = volume();
    let chown = |uid, names_nothing| SetAttr {
        uid,
        names_nothing,
        ctime: names_nothing.then_some(Time(9)),
        ..SetAttr::default()
    };
    for kind in [
        Kind::File,
        Kind::Fifo,
        Kind::Socket,
        Kind::CharDevice,
        Kind::BlockDevice,
    ] {
        for set in [chown(Some(7), false), chown(None, true)] {
            let ino = made(&engine, b"node", kind, 0o6711);
            assert_eq!(
                engine.setattr(ino, set, caller()).unwrap().mode,
                0o711,
                "{kind:?}"
            );
            engine
                .unlink(InodeNo::ROOT, &Name::new(b"node").unwrap(), caller())
                .unwrap();
        }
    }
    let ino = made(&engine, b"moved", Kind::File, 0o6701);
    let set = SetAttr {
        gid: Some(9),
        ..SetAttr::default()
    };
    assert_eq!(
        engine
            .setattr(ino, set, by(SetIdBits::DropForMember))
            .unwrap()
            .mode,
        0o701
    );
    let ino = made(&engine, b"node", Kind::File, 0o6711);
    let stranger = Caller {
        uid: 7,
        ..by(SetIdBits::Drop)
    };
    let refused = engine.setattr(ino, chown(None, true), stranger);
    assert!(matches!(refused, Err(Error::NotPermitted(_))));
    assert_eq!(engine.getattr(ino).unwrap().mode, 0o6711);
    let name = Name::new(b"dir").unwrap();
    let dir = engine.mkdir(InodeNo::ROOT, &name, 0o6711, caller()).unwrap().ino;
    let set = chown(Some(7), false);
    assert_eq!(
        engine.setattr(dir, set, by(SetIdBits::Drop)).unwrap().mode,
        0o6711
    );
}

#[test]
fn an_access_list_that_is_not_there_can_be_removed() {
    let (_, engine) = volume();
    let ino = made(&engine, b"file", Kind::File, 0o644);
    let before = engine.getattr(ino).unwrap();
    for name in [acl::ACCESS, acl::DEFAULT] {
        engine.removexattr(ino, name, caller()).unwrap();
        engine.removexattr(InodeNo::ROOT, name, caller()).unwrap();
    }
    assert_eq!(engine.getattr(ino).unwrap(), before);
    assert!(matches!(
        engine.removexattr(ino, b"user.a", caller()),
        Err(Error::NoXattr)
    ));
}

#[test]
fn the_kernels_times_stay_where_it_keeps_them() {
    let (_, engine) = volume();
    let ino = made(&engine, b"file", Kind::File, 0o644);
    let before = engine.getattr(ino).unwrap();
    let late = Caller {
        now: Time(1000),
        kernel_stamps: true,
        ..caller()
    };
    engine.write(ino, 0, b"bytes", late, false).unwrap();
    engine.fallocate(ino, Fallocate::Allocate, 0, 100, late).unwrap();
    let set = SetAttr {
        size: Some(100),
        ..SetAttr::default()
    };
    let after = engine.setattr(ino, set, late).unwrap();
    assert_eq!((after.mtime, after.ctime), (before.mtime, before.ctime));
}

#[test]
fn blocks_are_those_of_the_next_commit_where_nothing_lies_below() {
    let (_, engine) = volume();
    // What is written in parts may turn out to be zeros, and so a hole.
    for (size, at, len, settled) in [
        (0, 0, 10, true),
        (0, 0, 100_000, true),
        (50_000, 20_000, 10, false),
        (9_000, 8_500, 200, false),
        (1, 4096, 4096, true),
    ] {
        let ino = made(&engine, b"file", Kind::File, 0o644);
        let set = SetAttr {
            size: Some(size),
            ..SetAttr::default()
        };
        engine.setattr(ino, set, caller()).unwrap();
        engine.write(ino, at, &vec![7; len], caller(), false).unwrap();
        let before = engine.getattr(ino).unwrap();
        engine.commit().unwrap();
        assert_eq!(
            (before.blocks, before.settled),
            (engine.getattr(ino).unwrap().blocks, settled)
        );
        engine.write(ino, 0, b"over it", caller(), false).unwrap();
        assert!(!engine.getattr(ino).unwrap().settled);
        engine
            .unlink(InodeNo::ROOT, &Name::new(b"file").unwrap(), caller())
            .unwrap();
    }
}

#[test]
fn names_that_the_kernel_does_not_guard_are_no_attributes() {
    let (_, engine) = volume();
    let ino = made(&engine, b"file", Kind::File, 0o600);
    let set = |name: &[u8]| engine.setxattr(ino, name, b"1", XattrMode::Set, caller());
    for name in [
        "system.x",
        "foo.bar",
        "system",
        "user",
        "Trusted.a",
        "trustedX",
        "system.posix_acl_accessory",
    ] {
        let name = name.as_bytes();
        assert!(
            matches!(set(name), Err(Error::Unsupported)),
            "{}",
            name.escape_ascii()
        );
        assert!(matches!(engine.getxattr(ino, name), Err(Error::Unsupported)));
        assert!(matches!(
            engine.removexattr(ino, name, caller()),
            Err(Error::Unsupported)
        ));
    }
    for name in ["user.", "trusted.", "security."] {
        assert!(matches!(set(name.as_bytes()), Err(Error::Invalid(_))));
    }
    for name in ["user.a", "trusted.a", "security.a"] {
        set(name.as_bytes()).unwrap();
    }
    assert_eq!(engine.listxattr(ino).unwrap().len(), 3);
}

#[test]
fn each_field_that_is_named_is_set_and_no_other() {
    let mut tree = Tree::new();
    let fields: [(&str, Field); 6] = [
        ("mode", |set| set.mode = Some(0o177_4321)),
        ("uid", |set| set.uid = Some(70)),
        ("gid", |set| set.gid = Some(80)),
        ("size", |set| set.size = Some(9000)),
        ("atime", |set| set.atime = Some(Time(-5))),
        ("mtime", |set| set.mtime = Some(Time(6))),
    ];
    let named = |field: Field| {
        let mut set = SetAttr::default();
        field(&mut set);
        set
    };
    for (text, field) in fields {
        let file = tree.file(ROOT, text);
        let answer = tree.engine.setattr(file, named(field), at(50)).unwrap();
        assert_eq!(answer, tree.engine.getattr(file).unwrap(), "{text}");
    }
    tree.always(|tree, when| {
        for (text, field) in fields {
            let (attr, set) = (tree.find(ROOT, text).unwrap(), named(field));
            let mode = set.mode.map_or(0o644, |_| 0o4321);
            assert_eq!(attr.mode, mode, "{text} {when}");
            let ids = (set.uid.unwrap_or(0), set.gid.unwrap_or(0));
            assert_eq!((attr.uid, attr.gid), ids, "{text} {when}");
            assert_eq!(attr.size, set.size.unwrap_or(0), "{text} {when}");
            let cut = set.size.map_or(Time(1), |_| Time(50));
            assert_eq!(attr.atime, set.atime.unwrap_or(Time(1)), "{text} {when}");
            assert_eq!(attr.mtime, set.mtime.unwrap_or(cut), "{text} {when}");
            assert_eq!([attr.ctime, attr.btime], [Time(50), Time(1)], "{text} {when}");
        }
    });
}

#[test]
fn directories_and_links_have_attributes_but_no_size_to_set() {
    let mut tree = Tree::new();
    let set = SetAttr {
        mode: Some(0o1700),
        uid: Some(3),
        atime: Some(Time(30)),
        ctime: Some(Time(31)),
        ..SetAttr::default()
    };
    for (text, kind) in [
        ("dir", Kind::Directory),
        ("link", Kind::Symlink),
        ("fifo", Kind::Fifo),
    ] {
        let ino = tree.try_make(ROOT, text, kind).unwrap();
        tree.engine.setattr(ino, set, at(2)).unwrap();
        let size = SetAttr {
            size: Some(0),
            ..SetAttr::default()
        };
        let refused = tree.engine.setattr(ino, size, at(2));
        match kind {
            Kind::Directory => assert!(matches!(refused, Err(Error::IsDirectory))),
            _ => assert!(matches!(refused, Err(Error::Invalid(_)))),
        }
    }
    tree.always(|tree, when| {
        for text in ["dir", "link", "fifo"] {
            let attr = tree.find(ROOT, text).unwrap();
            assert_eq!((attr.mode, attr.uid, attr.gid), (0o1700, 3, 0), "{text} {when}");
            assert_eq!([attr.atime, attr.ctime], [Time(30), Time(31)], "{text} {when}");
        }
    });
    let missing = tree.engine.setattr(InodeNo(999), set, at(2));
    assert!(matches!(missing, Err(Error::NoEntry)));
    let refused = tree.engine.setattr(InodeNo::SNAPSHOTS, set, at(2));
    assert!(matches!(refused, Err(Error::ReadOnly(_))));
}

#[test]
fn extended_attributes_are_set_replaced_and_removed() {
    let mut tree = Tree::new();
    let file = tree.file(ROOT, "file");
    let set = |name: &[u8], value: &[u8], mode| tree.engine.setxattr(file, name, value, mode, at(4));
    set(b"user.a", b"1", XattrMode::Create).unwrap();
    assert_eq!(tree.engine.getattr(file).unwrap().ctime, Time(4));
    assert!(matches!(
        set(b"user.a", b"2", XattrMode::Create),
        Err(Error::Exists)
    ));
    assert!(matches!(
        set(b"user.b", b"2", XattrMode::Replace),
        Err(Error::NoXattr)
    ));
    assert_eq!(tree.engine.getxattr(file, b"user.a").unwrap(), b"1");
    set(b"user.a", b"", XattrMode::Replace).unwrap();
    set(b"user.b", b"3", XattrMode::Set).unwrap();
    set(b"trusted.c", b"4", XattrMode::Set).unwrap();
    tree.engine.removexattr(file, b"user.b", at(5)).unwrap();
    let again = tree.engine.removexattr(file, b"user.b", at(6));
    assert!(matches!(again, Err(Error::NoXattr)));
    let volume = set(b"cairn.root", b"x", XattrMode::Set);
    assert!(matches!(volume, Err(Error::NotPermitted(_))));
    tree.always(|tree, when| {
        let file = tree.hold(ROOT, "file");
        assert_eq!(
            tree.engine.listxattr(file).unwrap(),
            [&b"trusted.c"[..], b"user.a"],
            "{when}"
        );
        assert_eq!(tree.engine.getxattr(file, b"user.a").unwrap(), b"", "{when}");
        assert_eq!(tree.engine.getxattr(file, b"trusted.c").unwrap(), b"4", "{when}");
        assert!(matches!(
            tree.engine.getxattr(file, b"user.b"),
            Err(Error::NoXattr)
        ));
        assert_eq!(tree.engine.getattr(file).unwrap().ctime, Time(5), "{when}");
    });
    assert!(tree.engine.listxattr(InodeNo::SNAPSHOTS).unwrap().is_empty());
    let none = tree.engine.getxattr(InodeNo::SNAPSHOTS, b"user.a");
    assert!(matches!(none, Err(Error::NoXattr)));
}

#[test]
fn one_inode_carries_128_kib_of_attributes() {
    let tree = Tree::new();
    let file = tree.file(ROOT, "file");
    let set = |name: &[u8], len| {
        tree.engine
            .setxattr(file, name, &vec![1; len], XattrMode::Set, at(1))
    };
    set(b"user.a", 60_000).unwrap();
    let rest = XATTR_BYTES_MAX - 60_000 - 12;
    assert!(matches!(set(b"user.b", rest + 1), Err(Error::XattrTooLarge)));
    set(b"user.b", rest).unwrap();
    assert!(matches!(set(b"user.c", 0), Err(Error::XattrTooLarge)));
    // What is replaced does not count.
    set(b"user.a", 60_000).unwrap();
    assert!(matches!(set(b"user.a", 60_001), Err(Error::XattrTooLarge)));
    tree.engine.removexattr(file, b"user.b", at(1)).unwrap();
    set(b"user.c", 60_000).unwrap();
    tree.engine.commit().unwrap();
    tree.is_whole();
}

#[test]
fn the_set_group_id_bit_stays_with_a_group_that_the_caller_is_in() {
    let tree = Tree::new();
    let owner = Caller {
        uid: 5,
        gid: 6,
        ..by(SetIdBits::DropForMember)
    };
    for (gid, before, after) in [
        (6, 0o6744, 0o2744),
        (7, 0o6744, 0o744),
        (7, 0o2744, 0o2744),
        (6, 0o6754, 0o754),
    ] {
        let file = tree.file(ROOT, "file");
        let set = SetAttr {
            mode: Some(before),
            ..SetAttr::default()
        };
        tree.engine.setattr(file, set, at(1)).unwrap();
        let set = SetAttr {
            gid: Some(gid),
            ..SetAttr::default()
        };
        assert_eq!(
            tree.engine.setattr(file, set, owner).unwrap().mode,
            after,
            "{gid}"
        );
        tree.unlink(ROOT, "file").unwrap();
    }
}
