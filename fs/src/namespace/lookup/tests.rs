//! References, handles and parents: what stays in memory, and what is found again.

use super::*;
use crate::fixture::stored::until_destroyed;
use crate::fixture::tree::{ROOT, Tree, at, bytes, config, name};
use crate::{Config, DirCookie, Kind, Operations, Quota};
use cairn_merkle::MemoryStore;
use cairn_merkle::testing::{FaultStore, Tamper};

fn in_memory(tree: &Tree<MemoryStore>, ino: InodeNo) -> bool {
    tree.engine.state.lock().inodes.has(ino)
}

#[test]
fn an_inode_is_in_memory_as_long_as_the_kernel_refers_to_it() {
    let mut tree = Tree::new();
    tree.file(tree.dir(ROOT, "dir"), "file");
    tree.reopen();
    let (dir, file) = (tree.hold(ROOT, "dir"), tree.walk(&["dir", "file"]));
    tree.hold(dir, "file");
    for references in [1, 0] {
        assert!(in_memory(&tree, file));
        tree.engine.forget(file, 1);
        assert_eq!(in_memory(&tree, file), references > 0);
    }
    tree.engine.forget(file, 1);
    let file = tree.hold(dir, "file");
    tree.engine.forget(dir, 2);
    assert!(in_memory(&tree, dir), "a child of it is");
    tree.engine.forget(file, 100);
    assert!(!in_memory(&tree, dir) && !in_memory(&tree, file));
    assert!(matches!(tree.engine.getattr(file), Err(Error::NoEntry)));
    tree.engine.forget(ROOT, 100);
    assert!(in_memory(&tree, ROOT));
}

#[test]
fn an_open_or_changed_inode_stays_though_it_is_forgotten() {
    let mut tree = Tree::new();
    tree.file(ROOT, "file");
    tree.reopen();
    let file = tree.hold(ROOT, "file");
    tree.open_file(file);
    tree.open_file(file);
    tree.engine.forget(file, 1);
    tree.engine.release(file);
    assert!(in_memory(&tree, file));
    tree.write(file, 0, b"changed");
    tree.engine.release(file);
    assert!(in_memory(&tree, file), "a commit needs it");
    assert_eq!(tree.read(file), b"changed");
    tree.engine.commit().unwrap();
    assert!(!in_memory(&tree, file));
    assert_eq!(tree.read(tree.hold(ROOT, "file")), b"changed");
}

#[test]
fn each_directory_knows_the_one_above() {
    let mut tree = Tree::new();
    let dir = tree.dir(ROOT, "dir");
    tree.dir(dir, "deep");
    tree.file(dir, "file");
    tree.engine.snapshot_create(&name("old"), at(1).now).unwrap();
    tree.always(|tree, when| {
        let (dir, deep) = (tree.walk(&["dir"]), tree.walk(&["dir", "deep"]));
        assert_eq!(tree.engine.parent(deep).unwrap(), dir, "{when}");
        assert_eq!(tree.engine.parent(dir).unwrap(), ROOT, "{when}");
        assert_eq!(tree.engine.parent(ROOT).unwrap(), ROOT, "{when}");
        let file = tree.hold(dir, "file");
        assert!(matches!(tree.engine.parent(file), Err(Error::NotDirectory)));
        let old = tree.hold(InodeNo::SNAPSHOTS, "old");
        assert_eq!(tree.engine.parent(old).unwrap(), InodeNo::SNAPSHOTS, "{when}");
        let kept = tree.hold(old, "dir");
        assert_eq!(tree.engine.parent(kept).unwrap(), old, "{when}");
        assert_eq!(tree.engine.parent(InodeNo::SNAPSHOTS).unwrap(), ROOT, "{when}");
    });
}

#[test]
fn names_are_found_where_they_are_and_nowhere_else() {
    let tree = Tree::new();
    let (dir, file) = (tree.dir(ROOT, "dir"), tree.file(ROOT, "file"));
    for committed in [false, true] {
        assert_eq!(
            tree.find(ROOT, "file").unwrap().ino,
            file,
            "committed: {committed}"
        );
        for wrong in ["fil", "file ", "FILE", "none"] {
            assert!(matches!(tree.find(ROOT, wrong), Err(Error::NoEntry)));
        }
        assert!(matches!(tree.find(dir, "file"), Err(Error::NoEntry)));
        assert!(matches!(tree.find(file, "file"), Err(Error::NotDirectory)));
        assert!(matches!(tree.find(InodeNo(999), "x"), Err(Error::NoEntry)));
        tree.engine.commit().unwrap();
    }
}

#[test]
fn a_snapshot_shows_the_same_names_with_numbers_of_its_own() {
    let mut tree = Tree::new();
    let dir = tree.dir(ROOT, "dir");
    let file = tree.file(dir, "file");
    tree.link(file, ROOT, "linked");
    tree.write(file, 0, b"then");
    tree.engine.snapshot_create(&name("old"), at(1).now).unwrap();
    tree.write(file, 0, b"now!");
    tree.unlink(ROOT, "linked").unwrap();
    let attr = tree.find(ROOT, ".snapshots").unwrap();
    assert_eq!(
        (attr.ino, attr.kind, attr.nlink),
        (InodeNo::SNAPSHOTS, Kind::Directory, 3)
    );
    assert_eq!(tree.engine.getattr(InodeNo::SNAPSHOTS).unwrap(), attr);
    tree.always(|tree, when| {
        let old = tree.hold(InodeNo::SNAPSHOTS, "old");
        let kept = tree.hold(tree.hold(old, "dir"), "file");
        assert_eq!(in_view(kept, 0), file, "{when}");
        assert_eq!(view_of(kept), view_of(old), "{when}");
        assert_ne!(view_of(old), 0);
        assert_eq!(tree.hold(old, "linked"), kept, "{when}");
        assert_eq!(tree.engine.getattr(kept).unwrap().nlink, 2, "{when}");
        assert_eq!(tree.read(kept), b"then", "{when}");
        assert_eq!(tree.read(tree.walk(&["dir", "file"])), b"now!", "{when}");
        let open = |access| tree.engine.open_file(kept, access);
        assert!(matches!(open(Access::Write), Err(Error::ReadOnly(_))), "{when}");
        open(Access::Read).unwrap();
        tree.engine.release(kept);
        assert!(matches!(
            tree.find(InodeNo::SNAPSHOTS, "none"),
            Err(Error::NoEntry)
        ));
    });
}

#[test]
fn nothing_is_opened_for_writing_where_nothing_may_change() {
    let mut tree = Tree::new();
    tree.file(ROOT, "file");
    tree.engine.close().unwrap();
    let file = tree.hold(ROOT, "file");
    let refused = tree.engine.open_file(file, Access::Write);
    assert!(matches!(refused, Err(Error::ReadOnly(_))));
    tree.open_file(file);
    tree.reopen();
    let file = tree.hold(ROOT, "file");
    tree.engine.open_file(file, Access::Write).unwrap();
    let missing = tree.engine.open_file(InodeNo(999), Access::Read);
    assert!(matches!(missing, Err(Error::NoEntry)));
}

/// A volume with files beyond one in memory: the others are parked.
fn crowded() -> Tree<MemoryStore> {
    let config = Config {
        inodes_max: 1,
        ..config()
    };
    Tree::with(config, Quota::default())
}

#[test]
fn what_is_parked_is_found_again_as_it_was() {
    let tree = crowded();
    let dir = tree.dir(ROOT, "dir");
    let files: Vec<InodeNo> = (0..40).map(|n| tree.file(dir, &format!("f{n}"))).collect();
    for (n, file) in files.iter().enumerate() {
        tree.write(*file, 0, &bytes(10 + n, n));
        tree.link(*file, ROOT, &format!("l{n}"));
        if n % 2 == 0 {
            tree.unlink(dir, &format!("f{n}")).unwrap();
        }
    }
    let plain: Vec<InodeNo> = (0..40).map(|n| tree.file(dir, &format!("p{n}"))).collect();
    for (n, file) in plain.iter().enumerate() {
        tree.write(*file, 0, &bytes(50 + n, n));
    }
    tree.engine.commit().unwrap();
    for _ in 0..40 {
        tree.engine.getattr(ROOT).unwrap();
    }
    let few = tree.engine.state.lock().inodes.len();
    assert!(few < 6, "{few} inodes are in memory");
    for (n, (file, plain)) in files.iter().zip(&plain).enumerate() {
        assert!(!in_memory(&tree, *file) && !in_memory(&tree, *plain));
        assert_eq!(tree.read(*file), bytes(10 + n, n));
        assert_eq!(tree.engine.getattr(*file).unwrap().nlink, 2 - (n as u32 + 1) % 2);
        assert_eq!(tree.read(*plain), bytes(50 + n, n));
        tree.write(*plain, 0, b"again");
        tree.rename(
            (dir, &format!("p{n}")),
            (ROOT, &format!("p{n}")),
            crate::RenameMode::Replace,
        )
        .unwrap();
    }
    tree.engine.commit().unwrap();
    for (n, file) in plain.iter().enumerate() {
        assert_eq!(tree.find(ROOT, &format!("p{n}")).unwrap().ino, *file);
        assert_eq!(&tree.read(*file)[..5], b"again");
    }
    tree.is_whole();
}

#[test]
fn a_parked_inode_is_forgotten_with_its_last_reference() {
    let tree = crowded();
    let dir = tree.dir(ROOT, "dir");
    let (one, two) = (tree.file(dir, "one"), tree.file(dir, "two"));
    tree.hold(dir, "two");
    tree.engine.commit().unwrap();
    tree.engine.forget(dir, 1);
    for _ in 0..8 {
        tree.engine.getattr(ROOT).unwrap();
    }
    let parked = |ino| tree.engine.state.lock().inodes.parking_mut().place(ino).is_some();
    assert!(parked(one) && parked(two));
    tree.engine.forget(one, 1);
    tree.engine.forget(two, 1);
    assert!(!parked(one) && parked(two) && in_memory(&tree, dir));
    assert!(matches!(tree.engine.getattr(one), Err(Error::NoEntry)));
    tree.engine.forget(two, 1);
    assert!(!parked(two) && !in_memory(&tree, dir), "its children are gone");
    assert_eq!(tree.shape(), ["dir/", "dir/one 1", "dir/two 1"]);
}

#[test]
fn what_is_changed_or_open_is_not_parked() {
    let tree = crowded();
    let (changed, open) = (tree.file(ROOT, "changed"), tree.file(ROOT, "open"));
    tree.engine.commit().unwrap();
    tree.open_file(open);
    tree.write(changed, 0, b"dirty");
    for _ in 0..8 {
        tree.engine.getattr(ROOT).unwrap();
    }
    assert!(in_memory(&tree, changed) && in_memory(&tree, open));
    tree.engine.release(open);
    tree.engine.commit().unwrap();
    for _ in 0..8 {
        tree.engine.getattr(ROOT).unwrap();
    }
    assert!(!in_memory(&tree, changed) && !in_memory(&tree, open));
    assert_eq!(tree.read(changed), b"dirty");
}

#[test]
fn a_parked_inode_is_found_among_others_of_its_hash() {
    let tree = crowded();
    let mut seen = std::collections::BTreeMap::new();
    let mut pairs = Vec::new();
    for n in 0..60_000 {
        let text = format!("{n}");
        let hash = tree.engine.state.lock().key(&name(&text)).hash;
        if let Some(other) = seen.insert(hash, text.clone()) {
            pairs.push([other, text]);
        }
    }
    assert!(!pairs.is_empty());
    let files: Vec<InodeNo> = pairs.iter().flatten().map(|text| tree.file(ROOT, text)).collect();
    tree.engine.commit().unwrap();
    for _ in 0..files.len() {
        tree.engine.getattr(ROOT).unwrap();
    }
    assert!(files.iter().all(|file| !in_memory(&tree, *file)));
    for file in &files {
        assert_eq!(tree.engine.getattr(*file).unwrap().ino, *file);
    }
    for (text, file) in pairs.iter().flatten().zip(&files) {
        assert_eq!(tree.find(ROOT, text).unwrap().ino, *file);
    }
}

#[test]
fn a_name_whose_inode_cannot_be_read_is_listed_all_the_same() {
    let mut tree = Tree::over(FaultStore::new(MemoryStore::new()), config(), Quota::default());
    let file = tree.file(ROOT, "one");
    tree.link(file, ROOT, "two");
    tree.reopen();
    let table = tree.engine.state.lock().volume.trees.table.clone().unwrap();
    tree.store.tamper(table.cid, Tamper::FlipBit(77));
    let rows = tree.engine.readdir(ROOT, DirCookie(0), 10, true).unwrap();
    assert_eq!(rows.len(), 2);
    for row in &rows {
        assert_eq!((row.ino, row.attr), (file, None));
        assert!(tree.find(ROOT, "one").is_err());
        assert_eq!(tree.engine.retain(ROOT, row).unwrap(), None);
        assert!(tree.engine.getattr(file).is_err());
    }
    tree.store.heal();
    assert_eq!(tree.engine.getattr(file).unwrap().nlink, 2);
    tree.engine.forget(file, 1);
    assert!(tree.engine.getattr(file).is_ok(), "one more reference is left");
    assert!(tree.engine.retain(ROOT, &rows[0]).unwrap().is_some());
    tree.engine.forget(file, 2);
    assert!(tree.engine.getattr(file).is_err());
    tree.unlink(ROOT, "one").unwrap();
    tree.unlink(ROOT, "two").unwrap();
    let gone = tree.engine.retain(ROOT, &rows[0]);
    assert!(matches!(gone, Err(Error::NoEntry)));
}

#[test]
fn an_unlinked_inode_is_parked_and_destroyed_with_its_last_reference() {
    let tree = crowded();
    let files: Vec<InodeNo> = (0..4).map(|n| tree.file(ROOT, &format!("f{n}"))).collect();
    for (n, file) in files.iter().enumerate() {
        tree.write(*file, 0, &bytes(300_000, n));
        tree.hold(ROOT, &format!("f{n}"));
        tree.unlink(ROOT, &format!("f{n}")).unwrap();
    }
    let park = || {
        tree.engine.commit().unwrap();
        for _ in 0..8 {
            tree.engine.getattr(ROOT).unwrap();
        }
    };
    park();
    for (n, file) in files.iter().enumerate() {
        assert!(!in_memory(&tree, *file));
        assert_eq!(tree.read(*file), bytes(300_000, n));
        tree.write(*file, 300_000, b"more");
    }
    park();
    let orphans = || tree.engine.state.lock().volume.trees.orphans.is_some();
    assert!(orphans());
    for file in &files {
        assert!(!in_memory(&tree, *file));
        assert_eq!(&tree.read(*file)[300_000..], b"more");
    }
    park();
    for file in files {
        tree.engine.forget(file, 1);
        assert!(!in_memory(&tree, file));
        tree.engine.forget(file, 1);
        assert!(in_memory(&tree, file), "the next commit destroys it");
    }
    tree.engine.commit().unwrap();
    until_destroyed(&tree.engine);
    assert!(!orphans());
    tree.is_whole();
}
