//! Memory is taken after lengths are checked: whatever a decoder of outside bytes is told about how
//! much follows, it takes no more memory than in proportion to what it was given.
//!
//! The process's allocator counts, so this file has one test.

use cairn_merkle::car::{self, CarStore};
use cairn_merkle::clear::{HeadClaim, commit_info, node_links};
use cairn_merkle::testing::Sample;
use cairn_merkle::{Blocks, Cid, Codec, Commit, Head, Header, Heads, LogKey, LogPos, Proof, VolumeKey};
use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Counts what is allocated, and the most of it at one time.
struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

#[allow(
    unsafe_code,
    reason = "an allocator is made of unsafe functions; these hand on to the system's"
)]
// SAFETY: each call is handed on as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(live, Relaxed);
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: `memory` came from `alloc`.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What serde reserves at most on the word of a length alone, and as much again for decoders of our
/// own.
const ON_TRUST: usize = 2 << 20;
/// Bytes of memory for a byte of input: a link of 41 bytes becomes one of 36 and a key of its own.
const EACH: usize = 64;

fn bounded(what: &str, input: &[u8], decode: impl FnOnce(&[u8])) {
    let before = LIVE.load(Relaxed);
    PEAK.store(before, Relaxed);
    decode(input);
    let taken = PEAK.load(Relaxed) - before;
    assert!(
        taken <= ON_TRUST + EACH * input.len(),
        "{what} of {} bytes ({:02x?} …) took {taken} bytes",
        input.len(),
        &input[..input.len().min(24)]
    );
}

/// Everything that decodes what the outside hands in.
fn decode_as_anything(input: &[u8], key: &VolumeKey) {
    let cid = Cid::of(Codec::Node, input);
    bounded("a header", input, |input| drop(Header::decode(input)));
    bounded("a head", input, |input| {
        drop((HeadClaim::parse(input), Head::decode(input, key)))
    });
    bounded("a node", input, |input| drop(node_links(input)));
    bounded("a commit block", input, |input| drop(commit_info(input)));
    bounded("an opened commit block", input, |input| {
        drop(Commit::open(&cid, input.to_vec().into(), key));
    });
    bounded("a proof", input, |input| drop(Proof::decode(input)));
    bounded("a CAR", input, |input| {
        drop(CarStore::open(Box::new(input.to_vec())))
    });
    let pos = LogPos {
        epoch: cairn_merkle::Epoch(1),
        seq: 0,
    };
    bounded("a log record", input, |input| {
        drop(LogKey::new(key, [0; 32]).open(pos, input))
    });
}

/// Lengths that promise more than follows, as CBOR and as CARs write them.
fn promises() -> Vec<Vec<u8>> {
    let mut inputs = Vec::new();
    for begin in [&[][..], &[0x84, 1], &[0x88, 1], &[0x86, 1]] {
        for length in [
            &[0x9b, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff][..],
            &[0x9a, 0xff, 0xff, 0xff, 0xff],
            &[0x5b, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff],
            &[0x5a, 0xff, 0xff, 0xff, 0xff],
            &[0xbb, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff],
            // A varint of a CAR.
            &[0xff, 0xff, 0xff, 0xff, 0x7f],
        ] {
            inputs.push([begin, length].concat());
            inputs.push([begin, length, &[0; 100]].concat());
        }
    }
    inputs
}

#[test]
fn no_decoder_takes_memory_on_the_word_of_its_input() {
    let sample = Sample::grow(2, 2, 3);
    let mut inputs = promises();
    inputs.push(sample.header.encode());
    inputs.extend(sample.store.head().unwrap().map(|head| head.to_vec()));
    let cids = [&sample.cids()[..4], &[sample.root]].concat();
    inputs.extend(
        cids.iter()
            .map(|cid| sample.store.get(cid).unwrap().unwrap().to_vec()),
    );
    let volume = car::CarVolume {
        root: sample.root,
        header: sample.header.encode().into(),
        head: sample.store.head().unwrap(),
        since: None,
    };
    let mut whole = std::io::Cursor::new(Vec::new());
    car::export_v2(&sample.store, &volume, None, &mut whole, &|_| {}).unwrap();
    inputs.push(whole.into_inner());
    for input in inputs {
        decode_as_anything(&input, &sample.key);
        // Each byte in turn as if it were the first of a length.
        for at in 0..input.len().min(600) {
            for value in [0x5b, 0x7f, 0x9b, 0xff] {
                let mut altered = input.clone();
                let end = altered.len().min(at + 5);
                altered[at] = value;
                altered[at + 1..end].fill(0xff);
                decode_as_anything(&altered, &sample.key);
            }
        }
    }
}
