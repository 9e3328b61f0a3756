//! New volumes, new headers, and versions that are past.

use super::*;
use crate::Time;
use crate::fixture::stored::{
    Event, Store, blocks, config, formatted, is_read_only, kek, key_of, name, open, require_clean, tree,
    view, volume,
};
use crate::fixture::{caller, header};
use cairn_merkle::testing::CrashStore;
use cairn_merkle::{Blocks, Feature, Heads, Kek, Need, SlotKey, SlotKind};

const ROOT: InodeNo = InodeNo::ROOT;

#[test]
fn a_new_volume_is_an_empty_directory_of_its_owner() {
    let store = Store::over(CrashStore::new());
    let (header, key) = header();
    let owner = Caller {
        uid: 7,
        gid: 8,
        now: Time(99),
        ..caller()
    };
    let quota = Quota {
        bytes: Some(5 << 20),
        inodes: None,
    };
    format(&store, &header, &key, quota, owner).unwrap();
    let engine = view(store.cut());
    let found = tree(&engine);
    let attr = &found[&b""[..]].attr;
    assert_eq!(found.len(), 1);
    assert_eq!(
        (attr.ino, attr.kind, attr.mode, attr.nlink),
        (ROOT, Kind::Directory, 0o755, 2)
    );
    assert_eq!((attr.uid, attr.gid, attr.rdev), (7, 8, 0));
    assert!(
        [attr.atime, attr.mtime, attr.ctime, attr.btime]
            .iter()
            .all(|time| *time == Time(99))
    );
    let status = engine.status();
    assert_eq!((status.quota, status.inodes, status.used_bytes), (quota, 1, 0));
    assert_eq!((status.epoch, status.volume_id), (Epoch(1), header.volume_id));
    assert_eq!(blocks(&store), [status.root]);
    assert!(
        store.fresh(None, 9).unwrap().is_empty(),
        "the first commit settles what it put"
    );
    let engine = open(store.cut());
    let made = engine.t_file(ROOT, b"file");
    assert_eq!(made, InodeNo::FIRST);
    engine.snapshot_create(&name(b"first"), Time(1)).unwrap();
    require_clean(&engine);
}

#[test]
fn secrets_differ_from_volume_to_volume() {
    let volume = || empty(Quota::default(), caller(), &Machine::default());
    let (one, other) = (volume(), volume());
    assert!(one.dir_key != other.dir_key && one.log_salt != other.log_salt && one.dir_key != one.log_salt);
}

#[test]
fn a_store_that_holds_anything_is_left_as_it_is() {
    let (store, _engine) = volume();
    let (header, key) = header();
    store.events();
    let refused = format(&*store, &header, &key, Quota::default(), caller());
    assert!(matches!(refused, Err(Error::Exists)) && store.events().is_empty());
    // A header is enough, or a head that cannot be read.
    let bare = Store::over(CrashStore::new());
    bare.swap_head(&HeadSwap {
        expected: None,
        head: b"what is left of a head",
        header: None,
        root_block: &[],
        delete: &[],
        settled: Epoch(0),
        restarts_log: false,
    })
    .unwrap();
    assert!(matches!(
        format(&bare, &header, &key, Quota::default(), caller()),
        Err(Error::Exists)
    ));
}

/// The header of a volume under another key, and that key.
fn renewed(store: &Store) -> (Header, Header, Kek) {
    let unlocked = Header::decode(&store.header().unwrap().unwrap()).unwrap();
    let other = Kek::from_bytes([9; 32]);
    let slot = SlotKey {
        kind: SlotKind::KeyFile,
        kek: other.clone(),
    };
    let renewed = unlocked.rekey(&mut rand::rng(), &key_of(store), &[slot]).unwrap();
    (unlocked, renewed, other)
}

#[test]
fn after_a_rekey_the_new_header_counts_and_the_old_one_no_more() {
    let store = formatted(Quota::default());
    let key = key_of(&*store);
    let engine = open(store.clone());
    engine.t_file(ROOT, b"file");
    engine.close().unwrap();
    let (old, new, other) = renewed(&store);
    let changed = engine.standing().changed;
    rekey(store.clone(), key.clone(), &old, &new).unwrap();
    let stored = Header::decode(&store.header().unwrap().unwrap()).unwrap();
    assert_eq!(stored.hash(), new.hash());
    assert!(stored.unlock(|_| Some(kek())).is_err());
    let key = stored.unlock(|_| Some(other.clone())).unwrap();
    let opening = Opening::newest(store.clone(), key.clone()).unwrap();
    opening.require_unlocked(&new).unwrap();
    assert!(opening.require_unlocked(&old).is_err());
    assert!(opening.standing().changed > changed, "worth publishing");
    let engine = opening.open(config()).unwrap();
    assert!(tree(&engine).contains_key(&b"/file"[..]));
    engine.close().unwrap();
    // A caller that unlocked the old one cannot rekey.
    assert!(rekey(store.clone(), key, &old, &old).is_err());
    let stored = Header::decode(&store.header().unwrap().unwrap()).unwrap();
    assert_eq!(stored.hash(), new.hash());
}

#[test]
fn a_new_header_is_one_change_and_no_more() {
    let (store, engine) = volume();
    let (_, new, _) = renewed(&store);
    engine.put_header(&new).unwrap();
    assert_eq!(
        Header::decode(&store.header().unwrap().unwrap()).unwrap().hash(),
        new.hash()
    );
    assert_eq!(engine.standing().changed, engine.status().epoch);
    store.events();
    engine.commit().unwrap();
    assert_eq!(store.events(), []);
}

#[test]
fn the_header_of_another_volume_is_refused() {
    let store = formatted(Quota::default());
    let unlocked = Header::decode(&store.header().unwrap().unwrap()).unwrap();
    let (foreign, _) = header();
    assert!(rekey(store.clone(), key_of(&*store), &unlocked, &foreign).is_err());
    let stored = Header::decode(&store.header().unwrap().unwrap()).unwrap();
    assert_eq!(stored.hash(), unlocked.hash());
}

#[test]
fn a_volume_with_a_feature_that_is_unknown_is_read_and_never_changed() {
    let (store, engine) = volume();
    engine.t_write(engine.t_file(ROOT, b"file"), 0, b"bytes");
    let (mut header, ..) = renewed(&store);
    header.features = vec![Feature {
        need: Need::Writing,
        name: "clones".into(),
    }];
    let slot = SlotKey {
        kind: SlotKind::KeyFile,
        kek: kek(),
    };
    let featured = header.rekey(&mut rand::rng(), &key_of(&*store), &[slot]).unwrap();
    engine.put_header(&featured).unwrap();
    let before = tree(&engine);
    engine.close().unwrap();
    store.events();
    let engine = open(store.clone());
    assert!(engine.is_read_only());
    assert_eq!(tree(&engine), before);
    assert!(is_read_only(engine.unlink(ROOT, &name(b"file"), caller())));
    engine.close().unwrap();
    let refused = rekey(store.clone(), key_of(&*store), &featured, &featured).unwrap_err();
    assert!(refused.to_string().contains("`clones`"), "{refused}");
    let writes = |event: &Event| *event != Event::Close;
    assert!(!store.events().iter().any(writes));
}

#[test]
fn a_past_version_is_read_and_never_changed() {
    let (store, engine) = volume();
    engine.t_write(engine.t_file(ROOT, b"file"), 0, b"before");
    let version = engine.prepare_publication().unwrap().unwrap().version;
    let before = tree(&engine);
    engine.t_write(engine.t_find(ROOT, b"file").ino, 0, b"after!");
    let synced = engine.t_file(ROOT, b"synced");
    engine.fsync(synced, false).unwrap();
    engine.commit().unwrap();
    store.events();
    let past = Opening::past(store.clone(), key_of(&*store), version)
        .unwrap()
        .open(config())
        .unwrap();
    assert!(past.is_read_only() && past.past);
    assert_eq!(tree(&past), before, "no log goes on from it");
    assert!(is_read_only(past.unlink(ROOT, &name(b"file"), caller())));
    past.close().unwrap();
    assert_eq!(store.events(), [], "the store is another's");
    let other = cairn_merkle::Version {
        epoch: version.epoch.next(),
        ..version
    };
    assert!(
        Opening::past(store.clone(), key_of(&*store), other).is_err(),
        "of another epoch"
    );
}
