//! Head, header and commit block lie twice: whichever copy is damaged, the volume opens for writing
//! with all it holds, the damage is named, and the next commit has both whole again.

use bytes::Bytes;
use cairn_fs::{Config, Engine, InodeNo, Opening, Result, Time};
use cairn_merkle::twin::{DamagedCopy, Part, Side};
use cairn_merkle::{Heads, MemoryStore, Twin};
use cairn_tests::doctored::Doctored;
use cairn_tests::sample::{self, Seen, put_file};
use cairn_tests::volume::{self, config};
use std::sync::Arc;

const PARTS: [Part; 3] = [Part::Head, Part::Header, Part::CommitBlock];
const SIDES: [Side; 2] = [Side::First, Side::Second];

fn of(twin: &Twin, part: Part) -> Bytes {
    match part {
        Part::Head => twin.head.clone(),
        Part::Header => twin.header.clone(),
        Part::CommitBlock => twin.root_block.clone(),
    }
}

fn flipped(bytes: &Bytes, bit: usize) -> Bytes {
    let mut altered = bytes.to_vec();
    altered[bit / 8] ^= 1 << (bit % 8);
    altered.into()
}

fn twin_of(store: &MemoryStore) -> Twin {
    store
        .twin()
        .expect("a store in memory answers")
        .expect("a volume has a second copy")
}

/// Every copy of every part, with its bytes.
fn copies(store: &MemoryStore) -> impl Iterator<Item = (DamagedCopy, Bytes)> {
    let twin = twin_of(store);
    let copies = PARTS
        .into_iter()
        .flat_map(|part| SIDES.map(|side| DamagedCopy { part, side }));
    copies.map(move |copy| (copy, of(&twin, copy.part)))
}

fn seen(engine: &Engine) -> Vec<Seen> {
    let read = |path: &String| sample::read(engine, path).unwrap_or_else(|error| panic!("{path}: {error}"));
    sample::paths().iter().map(read).collect()
}

fn open(store: Arc<Doctored<MemoryStore>>, whole: &MemoryStore, config: Config) -> Result<Arc<Engine>> {
    Engine::open(store, volume::key_of(whole)?, config, Time(60))
}

#[test]
fn any_bit_of_any_copy_may_be_wrong_and_the_newest_version_is_found() {
    let store = sample::closed().into_memory();
    let standing = |opening: &Opening| opening.standing().head;
    let expected = {
        let key = volume::key_of(&*store).unwrap();
        standing(&Opening::newest(store.clone(), key).unwrap())
    };
    for (copy, bytes) in copies(&store) {
        for bit in 0..bytes.len() * 8 {
            let altered = Some(flipped(&bytes, bit));
            let doctored = Arc::new(Doctored::new(store.clone(), copy, altered));
            let key = volume::key_of(&*store).unwrap();
            let opening =
                Opening::newest(doctored, key).unwrap_or_else(|error| panic!("{copy}, bit {bit}: {error}"));
            assert_eq!(standing(&opening), expected);
            assert_eq!(opening.damaged_copies(), [copy], "bit {bit}");
        }
    }
}

#[test]
fn a_volume_with_a_damaged_or_missing_copy_is_mounted_written_and_whole_again() {
    let base = sample::closed();
    let expected = {
        let engine = volume::open(base.clone().into_memory(), 50).unwrap();
        seen(&engine)
    };
    let whole = base.clone().into_memory();
    for (copy, bytes) in copies(&whole) {
        let some_bits = (0..bytes.len() * 8).step_by(bytes.len() / 2 + 1);
        let altered = some_bits.map(|bit| Some(flipped(&bytes, bit)));
        let cut = Some(bytes.slice(..bytes.len() - 1));
        for bytes in altered.chain([cut, Some(Bytes::new()), None]) {
            let store = base.clone().into_memory();
            let doctored = Arc::new(Doctored::new(store.clone(), copy, bytes));
            let reading = Config {
                read_only: true,
                ..config()
            };
            let reader = open(doctored.clone(), &whole, reading).unwrap();
            let report = reader.check(&|_| {}).unwrap();
            let named: Vec<_> = report.damaged.iter().map(|damage| damage.what.clone()).collect();
            assert_eq!(named, [copy.to_string()]);
            drop(reader);
            assert!(doctored.is_altered());

            let engine = open(doctored.clone(), &whole, config()).unwrap();
            assert_eq!(engine.damage().copies, [copy]);
            assert_eq!(seen(&engine), expected);
            let made = put_file(&engine, InodeNo::ROOT, "new", b"bytes").unwrap();
            engine.forget(made, 1);
            engine.commit().unwrap();
            assert!(!doctored.is_altered());
            volume::require_clean(&engine).unwrap();
            engine.close().unwrap();
            let twin = twin_of(&store);
            assert_eq!(store.head().unwrap(), Some(twin.head));
            assert_eq!(store.header().unwrap(), Some(twin.header));
        }
    }
}

#[test]
fn a_volume_with_both_copies_of_a_part_damaged_is_refused() {
    let mut base = sample::closed();
    // What is in the copy goes into both.
    let head = base.head.as_mut().unwrap();
    head[40] ^= 1;
    let store = base.into_memory();
    assert!(volume::open(store, 60).is_err());
}

#[test]
fn a_second_copy_of_an_older_version_never_passes_for_the_newest() {
    let base = sample::closed();
    let old = twin_of(&base.clone().into_memory());
    let store = base.into_memory();
    let engine = volume::open(store.clone(), 50).unwrap();
    engine.close().unwrap();
    let copy = |part| DamagedCopy {
        part,
        side: Side::Second,
    };
    let newest = twin_of(&store);
    assert_ne!(old.head, newest.head);
    let doctored = Arc::new(Doctored::new(store.clone(), copy(Part::Head), Some(old.head)));
    let opening = Opening::newest(doctored, volume::key_of(&*store).unwrap()).unwrap();
    assert_eq!(opening.damaged_copies(), [copy(Part::Head)]);
    let expected = Opening::newest(store.clone(), volume::key_of(&*store).unwrap()).unwrap();
    assert_eq!(opening.standing().head, expected.standing().head);
}
