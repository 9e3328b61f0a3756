//! What one epoch changed in one file, on top of what lies below it.
//!
//! ```text
//!   open layer      what was written since the last commit was cut
//!   frozen layer    what the commit under way is writing (immutable)
//!   stored          what the last commit holds: inline bytes, a leaf or an index
//! ```
//!
//! A record is looked up from the top down; the first layer that knows it ends the search, except
//! that scattered writes ([`Rec::Dirty`]) lie over whatever is below them.

use crate::data::pieces::Pieces;
use cairn_merkle::{LEAF_OVERHEAD, Link};
use std::collections::BTreeMap;

/// What a changed record takes until it is committed, beside its data: its place here, among what
/// the log lacks, and among the changes that the commit makes to the index.
const RECORD_BYTES: u64 = 1024;
/// What a piece takes beside its bytes: its place here and among what the log lacks.
const PIECE_BYTES: u64 = 96;
/// Records of a layer that are added up where assertions are on.
const ASSERTED_MAX: usize = 32;

/// Scattered bytes over something older.
#[derive(Clone, Debug)]
pub(crate) struct Dirty {
    /// What the pieces lie over.
    pub(crate) under: Under,
    /// Bytes of `under` from here on are gone (a truncation cut them) and read as zeros.
    pub(crate) keep: u32,
    /// What was written.
    pub(crate) pieces: Pieces,
    /// Grows with each change, so that a background seal can tell whether it still holds the newest
    /// bytes.
    pub(crate) version: u64,
}

impl Dirty {
    /// Whether the first `len` bytes were written, all of them.
    pub(crate) fn is_whole(&self, len: u32) -> bool {
        self.pieces.bytes() >= len as usize
    }

    /// Bytes it takes once it is stored: those of the leaf under it and its pages, or all of it
    /// where these are more than half ([`cairn_merkle::form`]). What lies in the layers below is
    /// not counted.
    fn will_take(&self, record_size: u32) -> u64 {
        let under = match &self.under {
            Under::Leaf(link) => plain_len(link),
            Under::Below | Under::Hole => 0,
        };
        let bytes = under + u64::from(self.pieces.pages());
        match bytes * 2 > u64::from(record_size) {
            true => u64::from(record_size),
            false => bytes,
        }
    }
}

/// What a [`Dirty`] record lies over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Under {
    /// Whatever the next layer down says.
    Below,
    /// Zeros.
    Hole,
    /// A leaf put in the same epoch, which no commit names yet.
    Leaf(Link),
}

/// One record in a layer.
#[derive(Clone, Debug)]
pub(crate) enum Rec {
    /// Zeros.
    Hole,
    /// Sealed and put already.
    Clean(Link),
    /// In memory.
    Dirty(Dirty),
}

impl Rec {
    /// The leaf that goes when this record is replaced.
    pub(crate) fn into_link(self) -> Option<Link> {
        match self {
            Self::Clean(link)
            | Self::Dirty(Dirty {
                under: Under::Leaf(link),
                ..
            }) => Some(link),
            Self::Hole | Self::Dirty(_) => None,
        }
    }

    /// What it adds to the [`Held`] of a layer of such records.
    fn held(&self, record_size: u32) -> Held {
        match self {
            Self::Hole => Held::default(),
            Self::Clean(link) => Held {
                sealed_bytes: plain_len(link),
                ..Held::default()
            },
            Self::Dirty(dirty) => Held {
                dirty_bytes: dirty.will_take(record_size),
                partial_records: usize::from(!dirty.is_whole(record_size)),
                pieces: dirty.pieces.count(),
                ..Held::default()
            },
        }
    }
}

/// What a layer's records come to: `stat` asks for it, and a file may have a million of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Held {
    sealed_bytes: u64,
    dirty_bytes: u64,
    /// Dirty records of which a part was not written: what they take is a guess.
    partial_records: usize,
    pieces: usize,
}

impl Held {
    fn add(&mut self, other: Self) {
        self.sealed_bytes += other.sealed_bytes;
        self.dirty_bytes += other.dirty_bytes;
        self.partial_records += other.partial_records;
        self.pieces += other.pieces;
    }

    fn remove(&mut self, other: Self) {
        self.sealed_bytes -= other.sealed_bytes;
        self.dirty_bytes -= other.dirty_bytes;
        self.partial_records -= other.partial_records;
        self.pieces -= other.pieces;
    }
}

/// Changed records of one file in one epoch.
#[derive(Clone, Debug)]
pub(crate) struct Layer {
    /// Records from here on that this layer does not hold are holes, whatever lies below.
    pub(crate) floor: u64,
    /// By record number.
    records: BTreeMap<u64, Rec>,
    held: Held,
    /// Bytes of a whole record, once there is one that is not sealed.
    record_size: u32,
}

impl Default for Layer {
    fn default() -> Self {
        Self {
            floor: u64::MAX,
            records: BTreeMap::new(),
            held: Held::default(),
            record_size: 0,
        }
    }
}

impl Layer {
    /// Whether the layer changes nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.floor == u64::MAX && self.records.is_empty()
    }

    /// The records, by number.
    pub(crate) fn records(&self) -> &BTreeMap<u64, Rec> {
        &self.records
    }

    /// Bytes that a file of `size` bytes has in blocks once this layer is committed, over `below`
    /// bytes in blocks below it, and whether that is exact. It is not where a record may lie over
    /// another, or has parts that were not written and may be a hole.
    pub(crate) fn bytes_held(&self, below: u64, size: u64) -> (u64, bool) {
        if self.is_empty() {
            return (below, true);
        }
        let record_size = u64::from(self.record_size);
        let below = below.min(self.floor.saturating_mul(record_size.max(1)));
        let tail = size.checked_div(record_size).unwrap_or(0);
        let (mut dirty, mut partial) = (self.held.dirty_bytes, self.held.partial_records);
        if let Some(Rec::Dirty(last)) = self.records.get(&tail) {
            let len = (size % record_size) as u32;
            dirty -= last.will_take(self.record_size).saturating_sub(u64::from(len));
            partial -= usize::from(last.is_whole(len) && !last.is_whole(self.record_size));
        }
        (below + self.held.sealed_bytes + dirty, below == 0 && partial == 0)
    }

    /// Bytes of memory it takes beside that data, until it is committed.
    pub(crate) fn overhead(&self) -> u64 {
        self.records.len() as u64 * RECORD_BYTES + self.held.pieces as u64 * PIECE_BYTES
    }

    /// Overlays `bytes` at `offset` of a record of full length `record_size`. Returns by how many
    /// bytes its pieces grew.
    pub(crate) fn write(&mut self, recno: u64, record_size: u32, offset: u32, bytes: Vec<u8>) -> usize {
        self.change(recno, record_size, |dirty| dirty.pieces.write(offset, bytes))
    }

    /// What lies under a record reads as zeros from byte `keep` on.
    pub(crate) fn keep(&mut self, recno: u64, record_size: u32, keep: u32) {
        self.change(recno, record_size, |dirty| dirty.keep = keep);
    }

    /// Changes the dirty form of a record, made from whatever form it has.
    fn change<T>(&mut self, recno: u64, record_size: u32, change: impl FnOnce(&mut Dirty) -> T) -> T {
        let under = if recno >= self.floor {
            Under::Hole
        } else {
            Under::Below
        };
        let fresh = |under| Dirty {
            under,
            keep: record_size,
            pieces: Pieces::default(),
            version: 0,
        };
        let rec = self.records.entry(recno).or_insert_with(|| {
            let dirty = Rec::Dirty(fresh(under));
            self.held.add(dirty.held(record_size));
            dirty
        });
        self.record_size = record_size;
        self.held.remove(rec.held(record_size));
        match rec {
            Rec::Hole => *rec = Rec::Dirty(fresh(Under::Hole)),
            Rec::Clean(link) => *rec = Rec::Dirty(fresh(Under::Leaf(link.clone()))),
            Rec::Dirty(_) => {}
        }
        let changed = match rec {
            Rec::Dirty(dirty) => {
                dirty.version += 1;
                change(dirty)
            }
            Rec::Hole | Rec::Clean(_) => unreachable!("made dirty just above"),
        };
        self.held.add(rec.held(record_size));
        self.assert_sum();
        changed
    }

    /// What is counted is what the records hold. A layer of many is too long to add up at each
    /// change.
    fn assert_sum(&self) {
        let sum = || {
            let mut sum = Held::default();
            let each = self.records.values().map(|rec| rec.held(self.record_size));
            each.for_each(|held| sum.add(held));
            sum
        };
        debug_assert!(
            self.records.len() > ASSERTED_MAX || self.held == sum(),
            "a count is not the sum"
        );
    }

    /// Replaces a record; leaves that go are pushed to `dropped`.
    pub(crate) fn set(&mut self, recno: u64, rec: Rec, dropped: &mut Vec<Link>) {
        self.held.add(rec.held(self.record_size));
        if let Some(replaced) = self.records.insert(recno, rec) {
            self.held.remove(replaced.held(self.record_size));
            dropped.extend(replaced.into_link());
        }
        self.assert_sum();
    }

    /// Everything from byte `size` on is gone.
    pub(crate) fn cut(&mut self, size: u64, record_size: u32, dropped: &mut Vec<Link>) {
        self.record_size = record_size;
        let whole = size.div_ceil(u64::from(record_size));
        for (_, rec) in self.records.split_off(&whole) {
            self.held.remove(rec.held(record_size));
            dropped.extend(rec.into_link());
        }
        self.floor = self.floor.min(whole);
        let keep = u32::try_from(size % u64::from(record_size)).expect("below the record size");
        if keep > 0 {
            let recno = size / u64::from(record_size);
            self.change(recno, record_size, |dirty| {
                dirty.keep = dirty.keep.min(keep);
                dirty.pieces.cut(keep);
            });
        }
    }
}

/// Bytes inside a leaf: what is stored less what sealing adds.
pub(crate) fn plain_len(link: &Link) -> u64 {
    u64::from(link.len).saturating_sub(LEAF_OVERHEAD as u64)
}

/// Record number, and the range within it, of each record that `offset..offset + len` touches.
pub(crate) fn cut(offset: u64, len: u64, record_size: u32) -> impl Iterator<Item = (u64, u32, u32)> {
    let size = u64::from(record_size);
    let until = offset + len;
    let records = if len == 0 {
        0..0
    } else {
        offset / size..until.div_ceil(size)
    };
    records.map(move |recno| {
        let start = recno * size;
        let from = offset.saturating_sub(start);
        let to = (until - start).min(size);
        (recno, from as u32, to as u32)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_merkle::testing::TestRng;
    use cairn_merkle::{Epoch, seal_leaf};
    use proptest::prelude::*;

    const RECORD: u32 = 64;

    #[derive(Clone, Debug)]
    enum Change {
        Write(u64, u32, usize),
        Keep(u64, u32),
        Set(u64, bool),
        Cut(u64),
    }

    fn change() -> impl Strategy<Value = Change> {
        prop_oneof![
            (0u64..8, 0..RECORD, 0usize..64).prop_map(|(recno, at, len)| Change::Write(
                recno,
                at,
                len.min((RECORD - at) as usize)
            )),
            (0u64..8, 0..RECORD).prop_map(|(recno, keep)| Change::Keep(recno, keep)),
            (0u64..8, any::<bool>()).prop_map(|(recno, clean)| Change::Set(recno, clean)),
            (0u64..512).prop_map(Change::Cut),
        ]
    }

    proptest! {
        #[test]
        fn what_a_layer_holds_is_what_its_records_hold(changes in prop::collection::vec(change(), 1..60)) {
            let (_, link) = seal_leaf(Default::default(), &mut TestRng::new(1), Epoch(1), &[7; RECORD as usize]);
            let (mut layer, mut dropped) = (Layer::default(), Vec::new());
            for change in changes {
                match change {
                    Change::Write(recno, at, len) => _ = layer.write(recno, RECORD, at, vec![1; len]),
                    Change::Keep(recno, keep) => layer.keep(recno, RECORD, keep),
                    Change::Set(recno, true) => layer.set(recno, Rec::Clean(link.clone()), &mut dropped),
                    Change::Set(recno, false) => layer.set(recno, Rec::Hole, &mut dropped),
                    Change::Cut(size) => layer.cut(size, RECORD, &mut dropped),
                }
                let mut sum = Held::default();
                layer.records().values().for_each(|rec| sum.add(rec.held(RECORD)));
                prop_assert_eq!(layer.held, sum);
            }
        }
    }

    fn link(seed: u64) -> Link {
        seal_leaf(
            Default::default(),
            &mut TestRng::new(seed),
            Epoch(1),
            &[7; RECORD as usize],
        )
        .1
    }

    fn dirty(layer: &Layer, recno: u64) -> &Dirty {
        match &layer.records()[&recno] {
            Rec::Dirty(dirty) => dirty,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn bytes_are_written_over_whatever_the_record_was() {
        let (mut layer, mut dropped) = (Layer::default(), Vec::new());
        assert!(layer.is_empty());
        layer.set(1, Rec::Hole, &mut dropped);
        layer.set(2, Rec::Clean(link(2)), &mut dropped);
        for recno in 0..3 {
            assert_eq!(layer.write(recno, RECORD, 4, vec![1; 10]), 10);
            assert_eq!(layer.write(recno, RECORD, 10, vec![1; 10]), 6);
        }
        for (recno, under) in [Under::Below, Under::Hole, Under::Leaf(link(2))]
            .into_iter()
            .enumerate()
        {
            let dirty = dirty(&layer, recno as u64);
            assert_eq!((&dirty.under, dirty.keep, dirty.version), (&under, RECORD, 2));
        }
        assert!(!layer.is_empty() && dropped.is_empty());
        assert_eq!(layer.overhead(), 3 * (RECORD_BYTES + PIECE_BYTES));
        layer.write(0, RECORD, 60, vec![1; 4]);
        assert_eq!(layer.overhead(), 3 * (RECORD_BYTES + PIECE_BYTES) + PIECE_BYTES);
    }

    #[test]
    fn leaves_that_are_replaced_or_cut_off_go() {
        let (mut layer, mut dropped) = (Layer::default(), Vec::new());
        for recno in 0..4 {
            layer.set(recno, Rec::Clean(link(recno)), &mut dropped);
        }
        layer.set(0, Rec::Clean(link(9)), &mut dropped);
        layer.write(1, RECORD, 0, vec![1]);
        layer.set(1, Rec::Hole, &mut dropped);
        layer.set(1, Rec::Clean(link(8)), &mut dropped);
        assert_eq!(dropped, [link(0), link(1)]);
        layer.cut(2 * u64::from(RECORD), RECORD, &mut dropped);
        assert_eq!(dropped, [link(0), link(1), link(2), link(3)]);
        assert_eq!((layer.floor, layer.records().len()), (2, 2));
    }

    #[test]
    fn a_cut_within_a_record_keeps_what_lies_before_it() {
        let (mut layer, mut dropped) = (Layer::default(), Vec::new());
        layer.write(1, RECORD, 10, vec![1; 20]);
        layer.write(2, RECORD, 0, vec![1; 20]);
        layer.cut(u64::from(RECORD) + 15, RECORD, &mut dropped);
        assert_eq!((layer.floor, layer.records().len()), (2, 1));
        assert_eq!((dirty(&layer, 1).keep, dirty(&layer, 1).pieces.bytes()), (15, 5));
        layer.cut(u64::from(RECORD) + 40, RECORD, &mut dropped);
        assert_eq!(dirty(&layer, 1).keep, 15, "what was cut off does not come back");
        layer.write(7, RECORD, 0, vec![1]);
        assert_eq!(dirty(&layer, 7).under, Under::Hole, "it lies above the floor");
        layer.cut(0, RECORD, &mut dropped);
        assert_eq!((layer.floor, layer.records().len()), (0, 0));
        assert!(!layer.is_empty() && dropped.is_empty());
    }

    #[test]
    fn what_a_file_will_take_is_counted_by_records_up_to_its_end() {
        let (mut layer, mut dropped) = (Layer::default(), Vec::new());
        let record = u64::from(RECORD);
        assert_eq!(layer.bytes_held(500, 1000), (500, true));
        layer.write(0, RECORD, 3, vec![1]);
        assert_eq!(layer.bytes_held(0, 4), (4, false), "it may be all zeros");
        layer.write(0, RECORD, 0, vec![1; 3]);
        assert_eq!(layer.bytes_held(0, 4), (4, true));
        assert_eq!(layer.bytes_held(0, 5 * record), (record, false));
        layer.write(0, RECORD, 0, vec![1; RECORD as usize]);
        assert_eq!(layer.bytes_held(0, 5 * record), (record, true));
        assert_eq!(layer.bytes_held(100, 5 * record), (record + 100, false));
        layer.set(4, Rec::Clean(link(1)), &mut dropped);
        assert_eq!(layer.bytes_held(0, 5 * record), (2 * record, true));
        layer.write(4, RECORD, 3, vec![1]);
        assert_eq!(
            layer.bytes_held(0, 5 * record),
            (2 * record, false),
            "the leaf under it counts"
        );
        layer.cut(4 * record + 9, RECORD, &mut dropped);
        assert_eq!(layer.bytes_held(0, 4 * record + 9), (record + 9, false));
        layer.cut(record, RECORD, &mut dropped);
        assert_eq!(layer.bytes_held(10 * record, record), (2 * record, false));
    }

    #[test]
    fn a_range_is_cut_at_the_borders_of_records() {
        let pieces = |offset, len| cut(offset, len, RECORD).collect::<Vec<_>>();
        assert_eq!(pieces(10, 0), []);
        assert_eq!(pieces(10, 20), [(0, 10, 30)]);
        assert_eq!(pieces(0, 128), [(0, 0, 64), (1, 0, 64)]);
        assert_eq!(pieces(63, 67), [(0, 63, 64), (1, 0, 64), (2, 0, 2)]);
        assert_eq!(plain_len(&link(1)), u64::from(RECORD));
        let short = Link { len: 3, ..link(1) };
        assert_eq!(plain_len(&short), 0);
    }
}
