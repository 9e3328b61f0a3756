//! Deleted files and their blocks, over several commits and a crash.

use super::*;

#[test]
fn a_file_that_was_unlinked_while_open_is_there_until_it_is_closed_or_the_volume_is() {
    let (store, engine) = volume();
    let ino = engine.t_file(ROOT, b"file");
    engine.open_file(ino, Access::Write).unwrap();
    engine.t_write(ino, 0, &pattern(9000, 1));
    engine.t_remove(ROOT, b"file");
    engine.commit().unwrap();
    engine.t_write(ino, 9000, b"more");
    engine.commit().unwrap();
    assert_eq!(engine.t_read(ino)[..9000], pattern(9000, 1));
    require_clean(&engine);
    assert!(engine.state.lock().volume.trees.orphans.is_some());
    // A mount after a crash gives its space back, over several commits.
    let found = Arc::new(Store::over(copied(&store)));
    let again = open(found.clone());
    until_destroyed(&again);
    assert!(again.state.lock().volume.trees.orphans.is_none());
    holds_nothing_else(&found, &again);
    engine.release(ino);
    engine.commit().unwrap();
    until_destroyed(&engine);
    holds_nothing_else(&store, &engine);
    assert!(
        engine.state.lock().inodes.numbers().eq([ROOT]),
        "and is in memory no more"
    );
}

fn copied(store: &Store) -> cairn_merkle::testing::CrashStore {
    let to = cairn_merkle::testing::CrashStore::new();
    copy(&*store.killed(), &to, |_, record| Some(record));
    to
}

#[test]
fn an_inode_of_several_names_lies_in_the_table_of_hard_links() {
    let (store, engine) = volume();
    let ino = engine.t_file(ROOT, b"one");
    let dir = engine.t_dir(ROOT, b"dir");
    engine.t_write(ino, 0, b"bytes");
    engine.commit().unwrap();
    engine.link(ino, dir, &name(b"two"), at(30)).unwrap();
    engine.commit().unwrap();
    let found = view(store.cut());
    let attr = found.t_find(ROOT, b"one");
    assert_eq!((attr.ino, attr.nlink), (ino, 2));
    assert_eq!(found.t_find(found.t_find(ROOT, b"dir").ino, b"two").ino, ino);
    // A change through one name shows through the other.
    engine.t_write(ino, 5, b" more");
    engine.t_remove(ROOT, b"one");
    engine.commit().unwrap();
    let found = view(store.cut());
    let attr = found.t_find(found.t_find(ROOT, b"dir").ino, b"two");
    assert_eq!((attr.nlink, found.t_read(attr.ino)), (1, b"bytes more".to_vec()));
    engine.t_remove(dir, b"two");
    engine.rmdir(ROOT, &name(b"dir"), at(31)).unwrap();
    engine.t_forget(dir);
    engine.commit().unwrap();
    assert!(engine.state.lock().volume.trees.table.is_none());
    holds_nothing_else(&store, &engine);
}

#[test]
fn a_large_file_is_destroyed_over_several_commits_also_after_a_crash() {
    let (store, engine) = volume();
    engine.t_write(engine.t_file(ROOT, b"large"), 0, &pattern(3000 * 100 * 4, 1));
    engine.commit().unwrap();
    let (mut used, whole) = (engine.status().used_bytes, blocks(&*store).len());
    engine.t_remove(ROOT, b"large");
    engine.commit().unwrap();
    assert_eq!(engine.status().destroying, 1);
    assert!(engine.status().used_bytes < used && engine.status().used_bytes > used / 2);
    require_clean(&engine);
    let mut commits = 0;
    while engine.status().destroying > 0 {
        let again = Arc::new(Store::over(copied(&store)));
        require_clean(&open(again));
        used = engine.status().used_bytes;
        engine.commit().unwrap();
        assert!(engine.status().used_bytes < used);
        commits += 1;
    }
    assert!(commits >= 2 && whole > 200);
    holds_nothing_else(&store, &engine);
}

#[test]
fn a_commit_destroys_no_more_of_several_files_than_of_one() {
    let freed = |files: u8| {
        let (store, engine) = volume();
        (0..files).for_each(|file| {
            engine.t_write(engine.t_file(ROOT, &[b'a' + file]), 0, &pattern(200 * 4096, file));
        });
        engine.commit().unwrap();
        let used = engine.status().used_bytes;
        (0..files).for_each(|file| engine.t_remove(ROOT, &[b'a' + file]));
        engine.commit().unwrap();
        assert_eq!(engine.status().destroying, usize::from(files));
        require_clean(&engine);
        require_clean(&open(store.cut()));
        used - engine.status().used_bytes
    };
    assert!(freed(1) > 0);
    assert_eq!(freed(3), freed(1));
}

#[test]
fn a_file_that_was_emptied_keeps_nothing_of_what_it_was() {
    let (store, engine) = volume();
    let sizes = [100, 3000, 20 * 4096];
    let files = sizes.map(|size| {
        let ino = engine.t_file(ROOT, size.to_string().as_bytes());
        engine.t_write(ino, 0, &pattern(size, 7));
        ino
    });
    engine.commit().unwrap();
    for ino in files {
        engine.t_cut(ino, 0);
        engine.t_write(ino, 4096 + 10, b"new");
    }
    engine.commit().unwrap();
    assert_eq!(
        engine.status().used_bytes,
        3 * 13,
        "a hole, and the start of a record"
    );
    let found = view(store.cut());
    for (path, file) in tree(&found).into_iter().skip(1) {
        assert_eq!(file.bytes, [&[0; 4096 + 10][..], b"new"].concat(), "{path:?}");
    }
    require_clean(&engine);
}
