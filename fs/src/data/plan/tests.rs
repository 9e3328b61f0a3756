//! Parts of records, over stores that count and lie.

use crate::fixture::{caller, header_of};
use crate::{Config, Engine, InodeNo, Kind, Name, Operations, Quota, Time};
use cairn_merkle::testing::{FaultStore, Op, Tamper};
use cairn_merkle::{Blocks as _, Cid, Codec, MemoryStore};
use std::sync::Arc;

const RECORD: u32 = 128 << 10;
const SIZE: usize = 3 * RECORD as usize + 70_000;

struct Rig {
    store: Arc<FaultStore<MemoryStore>>,
    engine: Arc<Engine>,
    ino: InodeNo,
    content: Vec<u8>,
}

/// A file of some records in a volume that was mounted anew: nothing is cached.
fn rig() -> Rig {
    let store = Arc::new(FaultStore::new(MemoryStore::new()));
    let (header, key) = header_of(RECORD);
    crate::format(&*store, &header, &key, Quota::default(), caller()).unwrap();
    let content: Vec<u8> = (0..SIZE).map(|at| (at * 31 + at / 257) as u8).collect();
    let name = Name::new(b"file").unwrap();
    let open = |key| Engine::open(store.clone(), key, Config::default(), Time(1)).unwrap();
    let engine = open(key.clone());
    let ino = engine
        .mknod(InodeNo::ROOT, &name, Kind::File, 0o600, 0, caller())
        .unwrap()
        .ino;
    engine.write(ino, 0, &content, caller(), false).unwrap();
    engine.close().unwrap();
    let engine = open(key);
    let ino = engine.lookup(InodeNo::ROOT, &name).unwrap().ino;
    Rig {
        store,
        engine,
        ino,
        content,
    }
}

impl Rig {
    /// Reads of whole leaves and of parts so far.
    fn reads(&self) -> (u64, u64) {
        (self.store.count(Op::Get), self.store.count(Op::GetPart))
    }

    fn part(&self, at: usize, len: usize) -> Option<Vec<u8>> {
        let bytes = self.engine.read_part(self.ino, at as u64, len, false);
        bytes.map(|bytes| bytes.to_vec())
    }

    fn leaves(&self) -> Vec<Cid> {
        let all = self.store.list(None, usize::MAX).unwrap();
        all.into_iter().filter(|cid| cid.codec() == Codec::Leaf).collect()
    }
}

#[test]
fn a_page_of_a_record_is_read_alone_until_the_record_is_read() {
    let rig = rig();
    for (record, at) in [(0, 0), (1, 16_000), (2, 131_000), (3, 69_990)] {
        let at = record * RECORD as usize + at;
        let len = 4096.min(SIZE - at).min(RECORD as usize - at % RECORD as usize);
        let (_, parts) = rig.reads();
        assert_eq!(
            rig.part(at, 4096.min(len)).unwrap(),
            rig.content[at..at + len],
            "{at}"
        );
        assert_eq!(rig.part(at, len).unwrap(), rig.content[at..at + len]);
        assert_eq!(rig.reads().1, parts + 2);
        assert_eq!(
            &*rig.engine.read(rig.ino, at as u64, len).unwrap(),
            &rig.content[at..at + len]
        );
        assert_eq!(rig.part(at, len), None, "it is cached");
        assert_eq!(rig.reads().1, parts + 2);
    }
}

#[test]
fn what_is_large_or_in_two_records_or_at_hand_is_no_part() {
    let rig = rig();
    let record = RECORD as usize;
    assert_eq!(rig.part(0, record), None);
    assert_eq!(rig.part(0, 40_000), None);
    assert_eq!(rig.part(record - 10, 20), None);
    assert_eq!(rig.part(SIZE, 10), None);
    assert_eq!(rig.reads().1, 0);
    rig.engine.read(rig.ino, 10, 10).unwrap();
    assert_eq!(rig.part(100, 10), None, "the record is cached");
    assert_eq!(rig.reads().1, 0);
}

#[test]
fn what_was_written_since_lies_over_a_part() {
    let rig = rig();
    rig.engine
        .write(rig.ino, 1000, b"written since", caller(), false)
        .unwrap();
    let mut expected = rig.content[..4096].to_vec();
    expected[1000..1013].copy_from_slice(b"written since");
    assert_eq!(rig.part(0, 4096).unwrap(), expected);
    assert_eq!(rig.reads().1, 1);
}

#[test]
fn a_part_that_was_tampered_with_is_never_answered_and_the_others_are() {
    let bit = 8 * 40_000;
    for tamper in [Tamper::FlipBit(bit), Tamper::Truncate(40_000), Tamper::Drop] {
        let rig = rig();
        for cid in rig.leaves() {
            rig.store.tamper(cid, tamper.clone());
        }
        assert_eq!(rig.part(38_000, 4096), None);
        assert!(rig.engine.read(rig.ino, 38_000, 4096).is_err());
        assert_eq!(rig.reads().1, 1);
        let elsewhere = rig.part(RECORD as usize + 100, 4096);
        let intact = matches!(tamper, Tamper::FlipBit(_) | Tamper::Truncate(_));
        let at = RECORD as usize + 100;
        assert_eq!(elsewhere, intact.then(|| rig.content[at..at + 4096].to_vec()));
    }
}

#[test]
fn a_store_that_fails_to_read_a_part_is_asked_for_all_of_it() {
    let rig = rig();
    rig.store.fail_from_nth(Op::GetPart, 0);
    assert_eq!(rig.part(0, 4096), None);
    assert_eq!(&*rig.engine.read(rig.ino, 0, 4096).unwrap(), &rig.content[..4096]);
}

#[test]
fn where_the_rest_follows_it_is_a_part_too() {
    let rig = rig();
    for at in [0, 5000, 0, 90_000] {
        let bytes = rig.engine.read_part(rig.ino, at, 4096, true).unwrap();
        assert_eq!(&*bytes, &rig.content[at as usize..at as usize + 4096]);
    }
    assert_eq!(rig.reads().1, 4);
}
