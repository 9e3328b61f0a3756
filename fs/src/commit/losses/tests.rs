//! Commits around damaged blocks: what is placed, what is lost, and what is reported.

use crate::fixture::stored::{Store, at, name, open, pattern, require_clean, tree, view, volume};
use crate::{Engine, Error, InodeNo, Table};
use cairn_merkle::Cid;
use cairn_merkle::testing::Tamper;
use std::sync::Arc;

const ROOT: InodeNo = InodeNo::ROOT;

fn damage(store: &Store, engine: &Engine, cid: Cid) {
    store.faults.tamper(cid, Tamper::FlipBit(1));
    engine.blocks.forget(&[cid]);
}

/// An engine that has nothing in memory, over the same store.
fn anew(store: &Arc<Store>, engine: &Arc<Engine>) -> Arc<Engine> {
    engine.close().unwrap();
    open(store.clone())
}

fn places(engine: &Engine) -> Vec<(String, Option<Cid>)> {
    let lost = engine.damage().lost;
    assert_eq!(lost.count as usize, lost.named.len());
    let mut places: Vec<_> = lost
        .named
        .iter()
        .map(|note| (String::from_utf8_lossy(&note.place).into_owned(), note.cid))
        .collect();
    places.sort();
    places
}

fn is_damaged<T>(result: Result<T, Error>) -> bool {
    matches!(result, Err(Error::Damaged(_)))
}

/// The leaf of a record, as it is stored.
fn leaf_of(engine: &Engine, ino: InodeNo, recno: u64) -> Cid {
    let stored = engine
        .state
        .lock()
        .inodes
        .get(ino)
        .unwrap()
        .file()
        .unwrap()
        .stored
        .clone();
    match stored {
        crate::stored::record::Stored::Leaf(link) => link.cid,
        crate::stored::record::Stored::Index(root) => {
            cairn_merkle::index::get(&engine.blocks, Some(&root), recno)
                .unwrap()
                .unwrap()
                .cid
        }
        other => panic!("{other:?}"),
    }
}

fn node_of(engine: &Engine, dir: InodeNo) -> Cid {
    let state = engine.state.lock();
    state
        .inodes
        .get(dir)
        .unwrap()
        .dir()
        .unwrap()
        .stored
        .clone()
        .unwrap()
        .cid
}

#[test]
fn bytes_over_a_damaged_leaf_are_lost_and_the_other_records_are_written() {
    let (store, engine) = volume();
    engine.t_write(
        engine.t_file(engine.t_dir(ROOT, b"dir"), b"file"),
        0,
        &pattern(4 * 4096, 1),
    );
    let engine = anew(&store, &engine);
    let file = engine.t_find(engine.t_find(ROOT, b"dir").ino, b"file").ino;
    let leaf = leaf_of(&engine, file, 1);
    engine.t_write(file, 0, &pattern(4096, 2));
    engine.t_write(file, 4096 + 9, b"partly");
    engine.t_write(file, 2 * 4096 + 9, b"partly");
    damage(&store, &engine, leaf);
    engine.commit().unwrap();
    assert_eq!(
        places(&engine),
        [("/dir/file bytes 4096 to 8192".to_owned(), Some(leaf))]
    );
    assert!(is_damaged(engine.fsync(file, false)), "told once");
    engine.fsync(file, false).unwrap();
    assert!(is_damaged(engine.sync()), "and by the next sync of all");
    engine.sync().unwrap();
    store.faults.heal();
    engine.blocks.forget(&[leaf]);
    let mut bytes = pattern(4 * 4096, 1);
    bytes[..4096].copy_from_slice(&pattern(4096, 2));
    bytes[2 * 4096 + 9..][..6].copy_from_slice(b"partly");
    let found = view(store.cut());
    assert_eq!(
        tree(&found)[&b"/dir/file"[..]].bytes,
        bytes,
        "the record stays what it was"
    );
    require_clean(&engine);
    assert_eq!(engine.status().read_only, None);
}

#[test]
fn a_damaged_leaf_that_is_cut_or_replaced_whole_costs_nothing() {
    let (store, engine) = volume();
    engine.t_write(engine.t_file(ROOT, b"file"), 0, &pattern(3 * 4096, 1));
    engine.t_write(engine.t_file(ROOT, b"cut"), 0, &pattern(3000, 1));
    let engine = anew(&store, &engine);
    let [file, cut] = [b"file".as_slice(), b"cut"].map(|called| engine.t_find(ROOT, called).ino);
    damage(&store, &engine, leaf_of(&engine, file, 1));
    damage(&store, &engine, leaf_of(&engine, cut, 0));
    engine.t_write(file, 4096, &pattern(4096, 7));
    engine.commit().unwrap();
    assert_eq!(places(&engine), []);
    assert_eq!(engine.t_read(file)[4096..][..4096], pattern(4096, 7));
    // Without a write into it the damaged leaf stays as it is, which is no loss.
    let size = crate::SetAttr {
        size: Some(2500),
        ..crate::SetAttr::default()
    };
    if engine.setattr(cut, size, at(30)).is_ok() {
        engine.commit().unwrap();
        assert_eq!((places(&engine), engine.damage().kept.count), (vec![], 1));
        engine.fsync(cut, false).unwrap();
        engine.sync().unwrap();
    }
}

#[test]
fn names_and_inodes_below_a_damaged_node_of_a_directory_are_lost() {
    let (store, engine) = volume();
    let [dir, whole] = [b"dir".as_slice(), b"whole"].map(|called| {
        let dir = engine.t_dir(ROOT, called);
        engine.t_file(dir, b"old");
        dir
    });
    engine.commit().unwrap();
    let old = engine.t_find(dir, b"old").ino;
    let new = engine.t_file(dir, b"new");
    engine.t_write(old, 0, b"changed");
    engine.t_write(engine.t_file(whole, b"new"), 0, b"placed");
    let node = node_of(&engine, dir);
    damage(&store, &engine, node);
    engine.commit().unwrap();
    let lost = [
        ("/dir/new".to_owned(), Some(node)),
        ("/dir/old".to_owned(), Some(node)),
    ];
    assert_eq!(places(&engine), lost);
    assert!(is_damaged(engine.fsync(new, false)) && is_damaged(engine.fsync(old, false)));
    engine.fsync(old, false).unwrap();
    engine.fsync(engine.t_find(whole, b"new").ino, false).unwrap();
    assert!(is_damaged(engine.sync()));
    engine.sync().unwrap();
    store.faults.heal();
    let found = view(store.killed());
    let found: Vec<_> = tree(&found)
        .into_iter()
        .map(|(path, found)| (path, found.bytes))
        .collect();
    let expected: Vec<(&[u8], &[u8])> = vec![
        (b"", b""),
        (b"/dir", b""),
        (b"/dir/old", b""),
        (b"/whole", b""),
        (b"/whole/new", b"placed"),
        (b"/whole/old", b""),
    ];
    assert!(
        found
            .iter()
            .map(|(path, bytes)| (&path[..], &bytes[..]))
            .eq(expected)
    );
}

#[test]
fn an_inode_that_has_no_place_in_the_table_of_hard_links_is_lost() {
    let (store, engine) = volume();
    let ino = engine.t_file(ROOT, b"one");
    engine.link(ino, ROOT, &name(b"two"), at(20)).unwrap();
    engine.commit().unwrap();
    let table = engine.state.lock().volume.trees.table.clone().unwrap().cid;
    engine.t_write(ino, 0, b"changed");
    damage(&store, &engine, table);
    engine.commit().unwrap();
    assert_eq!(places(&engine), [(format!("/(inode {ino})"), Some(table))]);
    assert_eq!(engine.damage().tables[0].table, Table::HardLinks);
    assert!(is_damaged(engine.fsync(ino, false)));
    engine.fsync(ino, false).unwrap();
    assert!(is_damaged(engine.sync()));
}

#[test]
fn an_entry_that_cannot_leave_the_table_of_hard_links_is_no_loss() {
    let (store, engine) = volume();
    let [ino, other] = [b"1", b"2"].map(|called| {
        let ino = engine.t_file(ROOT, called);
        engine.link(ino, ROOT, &name(&[called[0] + 5]), at(20)).unwrap();
        ino
    });
    engine.commit().unwrap();
    let table = engine.state.lock().volume.trees.table.clone().unwrap().cid;
    engine.t_remove(ROOT, b"1");
    engine.t_remove(ROOT, b"6");
    damage(&store, &engine, table);
    engine.commit().unwrap();
    assert_eq!(places(&engine), []);
    assert_eq!(engine.damage().tables[0].table, Table::HardLinks);
    engine.sync().unwrap();
    assert_ne!(ino, other);
}

#[test]
fn a_damaged_table_of_orphans_costs_space_and_nothing_else() {
    let (store, engine) = volume();
    let [one, two] = [b"1", b"2"].map(|called| {
        let ino = engine.t_file(ROOT, called);
        engine.open_file(ino, crate::Access::Read).unwrap();
        ino
    });
    engine.t_remove(ROOT, b"1");
    engine.commit().unwrap();
    let orphans = engine.state.lock().volume.trees.orphans.clone().unwrap().cid;
    engine.t_remove(ROOT, b"2");
    damage(&store, &engine, orphans);
    engine.commit().unwrap();
    assert_eq!(
        (places(&engine), engine.damage().tables[0].table),
        (vec![], Table::Orphans)
    );
    engine.sync().unwrap();
    assert_eq!((engine.t_read(one), engine.t_read(two)), (vec![], vec![]));
    // The next mount opens without it.
    let to = Store::over(cairn_merkle::testing::CrashStore::new());
    crate::fixture::stored::copy(&*store.killed(), &to, |_, record| Some(record));
    to.faults.tamper(orphans, Tamper::FlipBit(1));
    let again = open(Arc::new(to));
    assert_eq!(again.damage().tables[0].table, Table::Orphans);
    assert_eq!(tree(&again).len(), 1);
}
