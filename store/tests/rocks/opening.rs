//! What is created, opened and refused.

use crate::stage::{create, open};
use cairn_store::{OpenError, RocksStore, StoreOptions};
use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

#[test]
fn create_refuses_a_directory_that_is_not_empty() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("letter"), "dear").unwrap();
    let refused = RocksStore::create(dir.path(), &StoreOptions::default()).map(drop);
    let Err(OpenError::NotEmpty { path }) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(path, dir.path());
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[test]
fn open_leaves_alone_what_is_no_store() {
    let dir = tempfile::tempdir().unwrap();
    assert!(matches!(
        open(&dir.path().join("none")),
        Err(OpenError::Missing { .. })
    ));
    assert!(matches!(open(dir.path()), Err(OpenError::NotAStore { .. })));
    fs::write(dir.path().join("letter"), "dear").unwrap();
    assert!(matches!(open(dir.path()), Err(OpenError::NotAStore { .. })));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    let foreign = dir.path().join("foreign");
    drop(rocksdb::DB::open_default(&foreign).unwrap());
    let before = fs::read_dir(&foreign).unwrap().count();
    assert!(matches!(open(&foreign), Err(OpenError::NotAStore { .. })));
    assert_eq!(fs::read_dir(&foreign).unwrap().count(), before);
}

#[test]
fn open_refuses_an_unknown_format() {
    let (dir, store) = create();
    drop(store);
    let db = rocksdb::DB::open_cf(&rocksdb::Options::default(), dir.path(), ["blocks"]).unwrap();
    db.put(b"mformat", "cairn-store 9").unwrap();
    drop(db);
    let refused = open(dir.path()).map(drop);
    assert!(matches!(refused, Err(OpenError::UnknownFormat { found, .. }) if found == "cairn-store 9"));
}

#[test]
fn a_second_open_finds_the_store_locked() {
    let (dir, _store) = create();
    let refused = open(dir.path()).map(drop);
    assert!(matches!(refused, Err(OpenError::Locked { .. })), "{refused:?}");
    // The files in the directory are the outside's to take.
    fs::remove_file(dir.path().join("LOCK")).unwrap();
    let refused = open(dir.path()).map(drop);
    assert!(matches!(refused, Err(OpenError::Locked { .. })), "{refused:?}");
}

#[test]
fn no_link_and_no_pipe_in_place_of_a_file_is_opened() {
    let (dir, store) = create();
    drop(store);
    let elsewhere = dir.path().with_extension("elsewhere");
    let named = |begin: &str| {
        let mut names = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap());
        let found = names.find(|entry| entry.file_name().to_string_lossy().starts_with(begin));
        found.unwrap().path()
    };
    let paths = ["CURRENT", "LOCK", "MANIFEST-", "OPTIONS-", "packs", "intent", "0"].map(named);
    for path in &paths {
        let aside = dir.path().join("aside");
        fs::rename(path, &aside).unwrap();
        let is_dir = aside.is_dir();
        let makes: [(&str, &dyn Fn()); 3] = [
            ("a symbolic link", &|| symlink(&elsewhere, path).unwrap()),
            ("a pipe", &|| {
                assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
            }),
            ("a file with a second name", &|| {
                fs::hard_link(&elsewhere, path).unwrap()
            }),
        ];
        for (what, make) in makes {
            fs::copy(
                if is_dir {
                    dir.path().join("CURRENT")
                } else {
                    aside.clone()
                },
                &elsewhere,
            )
            .unwrap();
            let before = fs::read(&elsewhere).unwrap();
            make();
            let opened = [
                open(dir.path()),
                RocksStore::open_read_only(dir.path(), &StoreOptions::default()),
            ];
            for opened in opened {
                let refused = opened.map(drop).unwrap_err().to_string();
                let name = path.file_name().unwrap().to_str().unwrap();
                assert!(refused.contains(name) || name == "CURRENT", "{what}: {refused}");
            }
            assert_eq!(fs::read(&elsewhere).unwrap(), before, "{what}");
            fs::remove_file(path).unwrap();
            fs::remove_file(&elsewhere).unwrap();
        }
        fs::rename(&aside, path).unwrap();
    }
    open(dir.path()).unwrap();
}
