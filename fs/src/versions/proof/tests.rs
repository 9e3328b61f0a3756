use super::*;
use crate::fixture::{caller, header};
use crate::{Config, Engine, Operations, Quota, SetAttr, Time};
use cairn_merkle::{Heads, MemoryStore};
use std::sync::Arc;

const KEY: [u8; 32] = [9; 32];

/// A volume with a large, a small, a linked and a hidden file, a symlink, and a snapshot from
/// before some of it.
fn volume() -> (Arc<MemoryStore>, Cid) {
    let store = Arc::new(MemoryStore::new());
    let (header, key) = header();
    let wrapped = header.rekey(&mut rand::rng(), &key, &[]);
    assert!(wrapped.is_err(), "a header without slots");
    // The key is fixed, so that tests can open the volume again.
    let key = VolumeKey::from_bytes(Default::default(), KEY);
    crate::format(store.as_ref(), &header, &key, Quota::default(), caller()).unwrap();
    let engine = Engine::open(store.clone(), key, Config::default(), Time(1)).unwrap();
    let name = |name: &str| Name::new(name.as_bytes()).unwrap();
    let file = |parent, path: &str, bytes: &[u8]| {
        let attr = engine
            .mknod(parent, &name(path), Kind::File, 0o644, 0, caller())
            .unwrap();
        engine.write(attr.ino, 0, bytes, caller(), false).unwrap();
        attr.ino
    };
    let dir = engine
        .mkdir(InodeNo::ROOT, &name("dir"), 0o755, caller())
        .unwrap()
        .ino;
    file(dir, "old", b"before the snapshot");
    engine.snapshot_create(&name("snap"), Time(2)).unwrap();
    engine.unlink(dir, &name("old"), caller()).unwrap();
    for number in 0..300 {
        file(
            dir,
            &format!("file {number}"),
            format!("secret {number}").as_bytes(),
        );
    }
    file(dir, "large", &large());
    let linked = file(dir, "one name", &[7; 5000]);
    engine
        .link(linked, InodeNo::ROOT, &name("another name"), caller())
        .unwrap();
    engine
        .symlink(InodeNo::ROOT, &name("to"), b"dir/large", caller())
        .unwrap();
    let sparse = file(InodeNo::ROOT, "sparse", b"begin");
    let longer = SetAttr {
        size: Some(1 << 40),
        ..SetAttr::default()
    };
    engine.setattr(sparse, longer, caller()).unwrap();
    engine.close().unwrap();
    let root = cairn_merkle::clear::HeadClaim::parse(&store.head().unwrap().unwrap())
        .unwrap()
        .root;
    (store, root)
}

fn large() -> Vec<u8> {
    (0..1_000_000_u32).map(|at| (at / 7) as u8).collect()
}

fn shown(store: &MemoryStore, root: Cid, path: &str, with_content: bool) -> (Proof, Finding) {
    let key = VolumeKey::from_bytes(Default::default(), KEY);
    let (proof, finding) = prove(store, &key, root, path.as_bytes(), with_content).unwrap();
    let carried = Proof::decode(&proof.encode()).unwrap();
    assert_eq!(verify_proof(&carried).unwrap(), finding, "{path}");
    (carried, finding)
}

fn content(finding: &Finding) -> Option<&[u8]> {
    match &finding.outcome {
        Outcome::There { content, .. } => content.as_deref(),
        Outcome::Absent { .. } => panic!("absent"),
    }
}

#[test]
fn a_proof_shows_each_kind_of_path_as_the_filesystem_has_it() {
    let (store, root) = volume();
    let there = |path, with_content| shown(&store, root, path, with_content).1;
    assert_eq!(content(&there("/dir/file 17", false)), Some(&b"secret 17"[..]));
    assert_eq!(content(&there("/dir/large", false)), None);
    assert_eq!(content(&there("/dir/large", true)), Some(&large()[..]));
    assert_eq!(content(&there("/another name", true)), Some(&[7; 5000][..]));
    assert_eq!(content(&there("/dir/one name/", true)), Some(&[7; 5000][..]));
    assert_eq!(content(&there("/to", false)), Some(&b"dir/large"[..]));
    assert_eq!(content(&there("/sparse", false)), None);
    assert_eq!(
        content(&there("/.snapshots/snap/dir/old", false)),
        Some(&b"before the snapshot"[..])
    );
    for dir in ["/", "/dir", "/.snapshots/snap"] {
        let finding = there(dir, true);
        assert!(matches!(&finding.outcome, Outcome::There { attr, .. } if attr.kind == Kind::Directory));
    }
}

#[test]
fn a_proof_shows_that_a_path_leads_to_nothing_and_where_it_ends() {
    let (store, root) = volume();
    for (path, end, why) in [
        ("/dir/old", "/dir/old", Absence::NoName),
        ("/dir/file 300", "/dir/file 300", Absence::NoName),
        ("/nowhere/at/all", "/nowhere", Absence::NoName),
        ("/.snapshots/other/x", "/.snapshots/other", Absence::NoName),
        ("/dir/large/below", "/dir/large", Absence::NoDirectory(Kind::File)),
        ("/to/large", "/to", Absence::NoDirectory(Kind::Symlink)),
    ] {
        let (_, finding) = shown(&store, root, path, true);
        let at = end.as_bytes().to_vec();
        assert_eq!(finding.outcome, Outcome::Absent { at, why }, "{path}");
    }
    for path in ["/dir//old", "/dir/../x", "/./x", "/.snapshots", "/nul\0"] {
        let key = VolumeKey::from_bytes(Default::default(), KEY);
        assert!(matches!(
            prove(store.as_ref(), &key, root, path.as_bytes(), false),
            Err(Error::Invalid(_))
        ));
    }
    let key = VolumeKey::from_bytes(Default::default(), KEY);
    let sparse = prove(store.as_ref(), &key, root, b"/sparse", true);
    assert!(matches!(sparse, Err(Error::TooLarge)));
}

#[test]
fn a_proof_discloses_neighbours_in_its_nodes_and_no_content_beside_them() {
    let (store, root) = volume();
    let (proof, finding) = shown(&store, root, "/dir/file 17", false);
    assert!(
        (1..300).contains(&finding.also_shown.len()),
        "{}",
        finding.also_shown.len()
    );
    assert!(!finding.also_shown.contains(&b"file 17"[..]));
    // No leaf of any file is in it, nor what would open one.
    assert!(proof.cids().all(|cid| cid.codec() == cairn_merkle::Codec::Node));
    let (proof, _) = shown(&store, root, "/another name", true);
    let leaves = proof
        .cids()
        .filter(|cid| cid.codec() == cairn_merkle::Codec::Leaf)
        .count();
    assert_eq!(leaves, 2);
}

#[test]
fn a_proof_of_one_path_shows_another_only_if_it_has_every_block_for_it() {
    let (store, root) = volume();
    let (proof, _) = shown(&store, root, "/dir/file 17", false);
    let carried: BTreeSet<&Cid> = proof.cids().collect();
    let as_proof_of = |path: &str| {
        let mut other = proof.clone();
        other.path = path.as_bytes().to_vec();
        verify_proof(&other)
    };
    let (mut found, mut refused) = (0, 0);
    // The order of names in a directory is another in each volume: which of them lie beside
    // `file 17` is chance.
    let absent = (0..20).map(|number| format!("/dir/no such name {number}"));
    for path in absent.chain(["/dir/large".to_owned(), "/to/x".to_owned()]) {
        let (own, finding) = shown(&store, root, &path, false);
        if own.cids().all(|cid| carried.contains(cid)) {
            assert_eq!(as_proof_of(&path).unwrap().outcome, finding.outcome, "{path}");
            found += 1;
        } else {
            assert!(as_proof_of(&path).is_err(), "{path}");
            refused += 1;
        }
    }
    assert!(found >= 1 && refused >= 1, "{found} found, {refused} refused");
    for path in ["/dir/../dir", "/dir/", "dir"] {
        assert!(as_proof_of(path).is_err(), "{path}");
    }
}
