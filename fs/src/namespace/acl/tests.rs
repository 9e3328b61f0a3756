//! Access lists and the mode bits that they stand for.

use super::*;
use crate::fixture::tree::{ROOT, Tree, at, name};
use crate::{Caller, Error, Operations, SetAttr, SetIdBits, XattrMode};

const NOBODY: u32 = u32::MAX;
const USER: u16 = 0x02;
const GROUP: u16 = 0x08;

fn list(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let entries: Vec<Entry> = entries
        .iter()
        .map(|&(tag, perm, id)| Entry { tag, perm, id })
        .collect();
    encode(&entries)
}

/// A list that says no more than mode bits do.
fn minimal(user: u16, group: u16, other: u16) -> Vec<u8> {
    list(&[
        (USER_OBJ, user, NOBODY),
        (GROUP_OBJ, group, NOBODY),
        (OTHER, other, NOBODY),
    ])
}

/// One for a user and a group beside the owners, with a mask.
fn extended(group: u16, mask: u16) -> Vec<u8> {
    list(&[
        (USER_OBJ, 7, NOBODY),
        (USER, 5, 1000),
        (GROUP_OBJ, group, NOBODY),
        (GROUP, 6, 2000),
        (MASK, mask, NOBODY),
        (OTHER, 1, NOBODY),
    ])
}

#[test]
fn a_list_is_two_and_whole_entries() {
    assert!(is_valid(&minimal(6, 4, 0)) && is_valid(&2u32.to_le_bytes()));
    let mut other = minimal(6, 4, 0);
    assert_eq!(&other[..12], [2, 0, 0, 0, 1, 0, 6, 0, 255, 255, 255, 255]);
    other[0] = 1;
    assert!(!is_valid(&other));
    for len in [0, 3, 5, 11, 13, 27] {
        assert!(!is_valid(&minimal(6, 4, 0)[..len]), "{len}");
    }
    let entries = parse(&extended(4, 6)).unwrap();
    assert_eq!(encode(&entries), extended(4, 6));
}

#[test]
fn a_list_stands_for_mode_bits_of_owner_mask_and_others() {
    assert_eq!(mode_of(&minimal(6, 4, 1), 0o4777), Some((0o4641, true)));
    // The mask, where there is one, and not the group.
    assert_eq!(mode_of(&extended(4, 6), 0o2000), Some((0o2761, false)));
    assert_eq!(mode_of(&extended(7, 0), 0), Some((0o701, false)));
    assert_eq!(mode_of(b"", 0o777), None);
    let wide = list(&[(USER_OBJ, 0xff07, 0), (GROUP_OBJ, 0o10, 0), (OTHER, 0, 0)]);
    assert_eq!(
        mode_of(&wide, 0),
        Some((0o700, true)),
        "permissions are three bits"
    );
}

#[test]
fn a_new_mode_is_written_into_the_list() {
    assert_eq!(after_chmod(&minimal(6, 4, 1), 0o4720), Some(minimal(7, 2, 0)));
    let expected = list(&[
        (USER_OBJ, 6, NOBODY),
        (USER, 5, 1000),
        (GROUP_OBJ, 4, NOBODY),
        (GROUP, 6, 2000),
        (MASK, 3, NOBODY),
        (OTHER, 5, NOBODY),
    ]);
    assert_eq!(after_chmod(&extended(4, 6), 0o635), Some(expected));
    assert_eq!(after_chmod(b"no list", 0o777), None);
}

fn with_default(default: Vec<u8>) -> BTreeMap<Vec<u8>, Vec<u8>> {
    BTreeMap::from([(DEFAULT.to_vec(), default), (b"user.a".to_vec(), b"1".to_vec())])
}

#[test]
fn without_a_default_list_the_umask_counts() {
    let none = BTreeMap::new();
    assert_eq!(
        inherit(&none, Kind::File, 0o6666, 0o022),
        (0o6644, BTreeMap::new())
    );
    let broken = with_default(b"no list".to_vec());
    assert_eq!(
        inherit(&broken, Kind::File, 0o666, 0o022),
        (0o644, BTreeMap::new())
    );
}

#[test]
fn a_default_list_is_handed_on_masked_by_the_mode() {
    let parent = with_default(extended(5, 6));
    let (mode, lists) = inherit(&parent, Kind::File, 0o4640, 0o777);
    assert_eq!(mode, 0o4640, "and the umask does not count");
    let access = list(&[
        (USER_OBJ, 6, NOBODY),
        (USER, 5, 1000),
        (GROUP_OBJ, 5, NOBODY),
        (GROUP, 6, 2000),
        (MASK, 4, NOBODY),
        (OTHER, 0, NOBODY),
    ]);
    assert_eq!(lists, BTreeMap::from([(ACCESS.to_vec(), access)]));
    let (_, lists) = inherit(&parent, Kind::Directory, 0o755, 0);
    assert_eq!(lists[DEFAULT], extended(5, 6));
    assert_eq!(lists.len(), 2);
}

#[test]
fn a_minimal_default_list_is_a_mode_and_no_list() {
    let parent = with_default(minimal(6, 5, 4));
    assert_eq!(
        inherit(&parent, Kind::File, 0o777, 0o777),
        (0o654, BTreeMap::new())
    );
    let (mode, lists) = inherit(&parent, Kind::Directory, 0o1733, 0o777);
    assert_eq!(mode, 0o1610);
    assert_eq!(lists, BTreeMap::from([(DEFAULT.to_vec(), minimal(6, 5, 4))]));
    assert_eq!(
        inherit(&parent, Kind::Symlink, 0o777, 0o022),
        (0o777, BTreeMap::new())
    );
}

#[test]
fn lists_and_modes_of_files_go_together() {
    let mut tree = Tree::new();
    let file = tree.file(ROOT, "file");
    let set = |value: &[u8], caller| tree.engine.setxattr(file, ACCESS, value, XattrMode::Set, caller);
    let mode = || tree.engine.getattr(file).unwrap().mode;
    let chmod = |mode| {
        let set = SetAttr {
            mode: Some(mode),
            ..SetAttr::default()
        };
        tree.engine.setattr(file, set, at(3)).unwrap().mode
    };
    assert!(matches!(set(b"no list", at(2)), Err(Error::Invalid(_))));
    set(&extended(4, 6), at(2)).unwrap();
    assert_eq!((mode(), tree.engine.getattr(file).unwrap().ctime.0), (0o761, 2));
    assert_eq!(chmod(0o2640), 0o2640);
    let kept = tree.engine.getxattr(file, ACCESS).unwrap();
    assert_eq!(mode_of(&kept, 0), Some((0o640, false)));
    // A stranger to the group does not lend it out.
    let stranger = Caller {
        set_id: SetIdBits::Drop,
        ..at(3)
    };
    set(&extended(4, 6), stranger).unwrap();
    assert_eq!(mode(), 0o761);
    set(&minimal(6, 4, 0), at(3)).unwrap();
    assert_eq!(mode(), 0o640);
    assert!(matches!(tree.engine.getxattr(file, ACCESS), Err(Error::NoXattr)));
    let default = tree
        .engine
        .setxattr(file, DEFAULT, &extended(4, 6), XattrMode::Set, at(3));
    assert!(matches!(default, Err(Error::Invalid(_))), "it is no directory");
    set(&extended(4, 5), at(3)).unwrap();
    tree.always(|tree, when| {
        let file = tree.hold(ROOT, "file");
        assert_eq!(tree.engine.getattr(file).unwrap().mode, 0o751, "{when}");
        assert_eq!(
            tree.engine.getxattr(file, ACCESS).unwrap(),
            extended(4, 5),
            "{when}"
        );
    });
}

#[test]
fn what_is_made_below_a_default_list_has_it() {
    let mut tree = Tree::new();
    let dir = tree.dir(ROOT, "dir");
    let bad = tree
        .engine
        .setxattr(dir, DEFAULT, b"no list", XattrMode::Set, at(1));
    assert!(matches!(bad, Err(Error::Invalid(_))));
    tree.engine
        .setxattr(dir, DEFAULT, &extended(5, 6), XattrMode::Set, at(1))
        .unwrap();
    assert_eq!(
        tree.engine.getattr(dir).unwrap().mode,
        0o755,
        "it governs nothing here"
    );
    let masked = Caller {
        umask: 0o777,
        ..at(1)
    };
    tree.engine
        .mknod(dir, &name("file"), Kind::File, 0o666, 0, masked)
        .unwrap();
    let below = tree.engine.mkdir(dir, &name("sub"), 0o777, masked).unwrap().ino;
    tree.engine
        .mknod(below, &name("deep"), Kind::Fifo, 0o666, 0, masked)
        .unwrap();
    tree.always(|tree, when| {
        let attr = |path: &[&str]| tree.engine.getattr(tree.walk(path)).unwrap();
        assert_eq!(attr(&["dir", "file"]).mode, 0o660, "{when}");
        assert_eq!(attr(&["dir", "sub"]).mode, 0o761, "{when}");
        assert_eq!(attr(&["dir", "sub", "deep"]).mode, 0o660, "{when}");
        let sub = tree.walk(&["dir", "sub"]);
        assert_eq!(
            tree.engine.getxattr(sub, DEFAULT).unwrap(),
            extended(5, 6),
            "{when}"
        );
        assert_eq!(tree.engine.listxattr(sub).unwrap().len(), 2, "{when}");
    });
}
