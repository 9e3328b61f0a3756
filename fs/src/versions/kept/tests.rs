use super::*;
use crate::fixture::stored::{
    Store, blocks, config, key_of, name, pattern, require_clean, tree, view, volume,
};
use crate::{InodeNo, Opening, Operations};
use cairn_merkle::testing::Op;
use cairn_merkle::{Codec, Heads, MemoryStore};
use std::sync::Arc;

const ROOT: InodeNo = InodeNo::ROOT;

type Tree = std::collections::BTreeMap<Vec<u8>, crate::fixture::stored::Found>;

/// What a version holds, read anew from the store.
fn past(store: &Arc<Store>, version: Version) -> Result<Tree> {
    let opening = Opening::past(store.clone(), key_of(&**store), version)?;
    Ok(tree(&*opening.open(config())?))
}

/// Replaces all bytes of a file.
fn change(engine: &Engine, round: u8) {
    let found = engine.lookup(ROOT, &name(b"file"));
    let file = found.map_or_else(|_| engine.t_file(ROOT, b"file"), |attr| attr.ino);
    engine.t_write(file, 0, &pattern(9000, round));
}

#[test]
fn the_newest_version_has_what_was_done_and_stays_whole_under_writers() {
    let (store, engine) = volume();
    change(&engine, 1);
    let newest = engine.keep_newest();
    let (version, seen) = (newest.pin.version(), tree(&engine));
    assert!(newest.lacks.is_none());
    assert!(names(&newest.head.clone().unwrap(), version));
    for round in 2..5 {
        change(&engine, round);
        engine.commit().unwrap();
    }
    assert_eq!(past(&store, version).unwrap(), seen);
    let other = engine.keep_newest();
    assert!(other.pin.version().epoch > version.epoch && other.head != newest.head);
    drop((newest, other));
    change(&engine, 5);
    engine.commit().unwrap();
    engine.commit().unwrap();
    assert!(past(&store, version).is_err(), "nothing keeps it any more");
    require_clean(&engine);
}

#[test]
fn a_version_that_only_a_reader_keeps_can_be_kept_by_another_one() {
    let (store, engine) = volume();
    change(&engine, 1);
    let first = engine.keep_newest().pin;
    let (version, seen) = (first.version(), tree(&engine));
    change(&engine, 2);
    engine.commit().unwrap();
    let second = engine.keep(version.root).unwrap();
    assert_eq!(second.version(), version);
    drop(first);
    change(&engine, 3);
    engine.commit().unwrap();
    assert_eq!(past(&store, version).unwrap(), seen);
    let unknown = Cid::of(Codec::Node, b"no version");
    assert!(engine.keep(unknown).is_err());
    let (_, other) = volume();
    let foreign = other.blocks.store.get(&other.status().root).unwrap().unwrap();
    let block = cairn_merkle::Sealed::new(other.status().root, foreign);
    let small = cairn_merkle::PutHint::Small;
    cairn_merkle::Blocks::put(&*store, version.epoch, std::slice::from_ref(&block), small).unwrap();
    assert!(engine.keep(block.cid).is_err(), "another volume's commit block");
}

#[test]
fn where_nothing_can_be_committed_the_version_before_is_kept_and_what_it_lacks_is_said() {
    let (store, engine) = volume();
    change(&engine, 1);
    engine.commit().unwrap();
    let before = engine.standing().head;
    change(&engine, 2);
    store.faults.fail_nth(Op::SwapHead, 0);
    let newest = engine.keep_newest();
    assert_eq!(newest.pin.version(), before);
    assert!(newest.lacks.is_some());
    assert!(names(&newest.head.unwrap(), before));
}

#[test]
fn of_a_volume_that_is_only_read_the_last_commit_is_kept_and_the_log_is_named() {
    let (store, engine) = volume();
    change(&engine, 1);
    engine.commit().unwrap();
    let (version, seen) = (engine.standing().head, tree(&engine));
    let reader = view(store.killed());
    let newest = reader.keep_newest();
    assert_eq!(newest.pin.version(), version);
    assert!(newest.lacks.is_none() && newest.head.is_some());
    let file = engine.t_find(ROOT, b"file").ino;
    engine.t_write(file, 0, &pattern(9000, 2));
    engine.fsync(file, false).unwrap();
    let killed = store.killed();
    let reader = view(killed.clone());
    let newest = reader.keep_newest();
    assert_eq!(newest.pin.version(), version);
    assert!(newest.lacks.unwrap().to_string().contains("intent log"));
    let opening = Opening::past(killed.clone(), key_of(&*killed), version).unwrap();
    let older = opening.open(config()).unwrap();
    assert_eq!(tree(&older), seen);
    assert!(older.keep_newest().head.is_none(), "no head names it");
}

/// A store whose first copy of the head has lost what it named.
struct Headless(Arc<MemoryStore>);

impl cairn_merkle::overlay::Overlay for Headless {
    type Below = MemoryStore;

    fn below(&self) -> &MemoryStore {
        &self.0
    }

    fn head(&self) -> std::result::Result<Option<Bytes>, StoreError> {
        let head = self.0.head()?;
        Ok(head.map(|head| head.iter().map(|byte| byte ^ 1).collect()))
    }
}

#[test]
fn the_head_comes_from_the_second_copy_where_the_first_is_damaged() {
    let (store, engine) = volume();
    change(&engine, 1);
    engine.commit().unwrap();
    let reader = view(Arc::new(Headless(store.killed())));
    let newest = reader.keep_newest();
    assert_eq!(newest.pin.version(), engine.standing().head);
    assert!(names(&newest.head.unwrap(), newest.pin.version()));
}

#[test]
fn sealed_blocks_are_those_of_the_store_and_the_commit_block_comes_from_either_copy() {
    let (store, engine) = volume();
    change(&engine, 1);
    let newest = engine.keep_newest();
    let root = newest.pin.version().root;
    let cids = blocks(&*store);
    let sealed = engine.sealed(&root, &cids).unwrap();
    assert!(
        sealed
            .iter()
            .zip(&cids)
            .all(|(stored, cid)| cid.names(stored.as_ref().unwrap()))
    );
    let unknown = Cid::of(Codec::Leaf, b"unknown");
    assert_eq!(
        engine.sealed(&root, &[unknown, cids[0]]).unwrap(),
        [None, sealed[0].clone()]
    );
    let killed = store.killed();
    let reader = view(killed.clone());
    cairn_merkle::Blocks::delete(&*killed, &[root]).unwrap();
    let stored = reader.sealed(&root, &[root]).unwrap().pop().unwrap().unwrap();
    assert!(root.names(&stored), "the second copy");
    assert!(
        reader.sealed(&root, &cids).unwrap().contains(&None),
        "as the store has it"
    );
    let header = cairn_merkle::Header::decode(&engine.sealed_header()).unwrap();
    assert_eq!(header.volume_id, engine.status().volume_id);
}

#[test]
fn a_proof_made_beside_writers_is_the_one_that_the_store_gives() {
    let (store, engine) = volume();
    change(&engine, 1);
    let newest = engine.keep_newest();
    let root = newest.pin.version().root;
    change(&engine, 2);
    engine.commit().unwrap();
    for with_content in [false, true] {
        let (expected, _) = crate::prove(&*store, &key_of(&*store), root, b"/file", with_content).unwrap();
        let proof = engine.prove(root, b"/file", with_content).unwrap();
        assert_eq!(proof, expected);
        let mut written = Vec::new();
        proof.write(&mut written).unwrap();
        assert_eq!(written, proof.encode());
    }
    assert!(matches!(
        engine.prove(root, b"/../file", false),
        Err(Error::Invalid(_))
    ));
}
