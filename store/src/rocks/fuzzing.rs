//! Each decoder of this crate as a function of bytes, for `tests/fuzz` (see
//! [`cairn_block::fuzzing`]).

use super::intent::{self, IntentLog, Soon, Use};
use super::keys;
use super::reached::Reached;
use crate::own::Access;
use crate::pack::{Place, fuzzing as pack};
use crate::twin::fuzzing as twin;
use bytes::Bytes;
use cairn_block::fuzzing::Target;
use cairn_block::{Cid, Codec, Epoch, LogPos};
use std::{cell::LazyCell, fs, path::Path};
use tempfile::TempDir;

/// All decoders of this crate.
pub const TARGETS: &[Target] = &[
    Target {
        name: "place",
        run: place,
        seeds: place_seeds,
    },
    Target {
        name: "index_keys",
        run: index_keys,
        seeds: index_key_seeds,
    },
    Target {
        name: "garbage",
        run: garbage,
        seeds: || {
            [0, 1]
                .map(|right| [&[right][..], &pack::garbage()].concat())
                .to_vec()
        },
    },
    Target {
        name: "twin",
        run: twin,
        seeds: || {
            [0, 1]
                .map(|right| [&[right][..], &twin::twin()].concat())
                .to_vec()
        },
    },
    Target {
        name: "reached",
        run: reached,
        seeds: || vec![vec![7; 24]],
    },
    Target {
        name: "log_segment",
        run: log_segment,
        seeds: log_segment_seeds,
    },
];

thread_local! {
    /// What is read from files lies in memory, if there is such a place: a look takes microseconds
    /// then.
    static STORE: LazyCell<TempDir> = const { LazyCell::new(|| {
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let dir = TempDir::new_in(parent).expect("a temporary directory can be made");
        IntentLog::create(dir.path()).expect("it takes a directory");
        dir
    }) };
}

fn place(data: &[u8]) {
    if let Some((place, groups)) = Place::decode(data) {
        assert_eq!([&place.encode()[..], groups].concat(), data);
        assert!(place.end() >= place.offset);
        for range in [0..0, 0..1, 0..usize::MAX, 512..513, 1..2] {
            let _ = place.part(&range);
        }
    }
}

fn index_keys(data: &[u8]) {
    if let Some(cid) = keys::parse_block(data) {
        assert_eq!(keys::block(&cid), data);
    }
    if let Some((epoch, cid)) = keys::parse_fresh(data) {
        assert_eq!(keys::fresh(epoch, &cid), data);
        assert!(keys::above(keys::FRESH, epoch)[..] > *data);
    }
}

/// First byte: whether the checksum is made right, which takes no key. The rest: the file.
fn garbage(data: &[u8]) {
    if let Some((right, file)) = data.split_first() {
        pack::decode_garbage(file.to_vec(), right % 2 == 1);
    }
}

/// First byte: whether the checksum is made right, which takes no key. The rest: the file.
fn twin(data: &[u8]) {
    if let Some((right, file)) = data.split_first() {
        STORE.with(|dir| twin::read_twin(dir.path(), file.to_vec(), right % 2 == 1));
    }
}

fn reached(data: &[u8]) {
    if let Some(reached) = Reached::decode(data) {
        assert_eq!(reached.encode()[..], *data);
    }
}

/// First byte: whether the checksums are made right, which takes no key. The rest: the segment.
fn log_segment(data: &[u8]) {
    let Some((right, segment)) = data.split_first() else {
        return;
    };
    let mut segment = segment.to_vec();
    if right % 2 == 1 {
        intent::sum_again(&mut segment);
    }
    STORE.with(|dir| {
        fs::write(intent::segment_path(dir.path(), 0), &segment).expect("a file can be written");
        let log = IntentLog::open(dir.path(), None, Use::FIRST, Access::Write).expect("a file can be read");
        let first = LogPos {
            epoch: Epoch(0),
            seq: 0,
        };
        let _ = log.read(first, usize::MAX);
    });
}

fn place_seeds() -> Vec<Vec<u8>> {
    let place = |len| Place {
        pack: 7,
        offset: 1536,
        len,
    };
    let large = [&place(131_120).encode()[..], &[7; 9 * 32]].concat();
    vec![place(700).encode().to_vec(), large]
}

fn index_key_seeds() -> Vec<Vec<u8>> {
    let cid = Cid::of(Codec::Leaf, b"block");
    vec![keys::block(&cid), keys::fresh(Epoch(7), &cid)]
}

fn log_segment_seeds() -> Vec<Vec<u8>> {
    let dir = TempDir::new().expect("a temporary directory can be made");
    IntentLog::create(dir.path()).expect("it takes a directory");
    let mut log = IntentLog::open(dir.path(), None, Use::FIRST, Access::Write).expect("it was just made");
    let record = |seq, bytes| (LogPos { epoch: Epoch(5), seq }, Bytes::from_static(bytes));
    let written = log.write(&[record(0, b"first"), record(1, b"second")], Soon::Later);
    written.expect("there is room for two records");
    let mut segment = fs::read(intent::segment_path(dir.path(), 0)).expect("it was just written");
    // The rest is zeros.
    segment.truncate(256);
    vec![[&[1][..], &segment].concat(), [&[0][..], &segment].concat()]
}
