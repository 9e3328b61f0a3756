//! Bytes written to one record and not yet sealed.
//!
//! ```text
//! record    |----------------------------------------------|  (128 KiB by default)
//! pieces         [====]      [==========]
//! ```
//!
//! Pieces never overlap and never touch: writes that meet are joined, so a stream is one growing
//! buffer and a scattered writer costs what it wrote and not a record for each touch.

use cairn_merkle::form;
use std::collections::BTreeMap;

const PAGE: u32 = form::PAGE as u32;
/// Pieces whose pages are added up: it is asked at each write.
const COUNTED_MAX: usize = 64;

/// Non-overlapping, non-touching runs of bytes by offset within a record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Pieces {
    runs: BTreeMap<u32, Vec<u8>>,
    /// Length of all of them: asked for at each write, and a record may have thousands.
    bytes: usize,
}

fn end(offset: u32, bytes: &[u8]) -> u32 {
    offset + len(bytes)
}

fn len(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).expect("a record is at most 1 MiB")
}

impl Pieces {
    /// Overlays `bytes` at `offset`. Returns by how many bytes the pieces grew.
    pub(crate) fn write(&mut self, offset: u32, bytes: Vec<u8>) -> usize {
        let grown = self.overlay(offset, bytes);
        self.bytes += grown;
        self.assert_apart();
        grown
    }

    /// Pieces neither overlap nor touch, and their count is their sum; checked while there are few.
    fn assert_apart(&self) {
        let apart = || {
            let ends = self.runs.iter().map(|(start, piece)| end(*start, piece));
            ends.zip(self.runs.keys().skip(1)).all(|(end, next)| end < *next)
        };
        let sum = || self.runs.values().map(Vec::len).sum::<usize>();
        debug_assert!(
            self.runs.len() > 32 || apart() && sum() == self.bytes,
            "pieces overlap, touch or are miscounted"
        );
    }

    fn overlay(&mut self, offset: u32, bytes: Vec<u8>) -> usize {
        if bytes.is_empty() {
            return 0;
        }
        let before = self.len_near(offset, end(offset, &bytes));
        if let Some((&start, piece)) = self.runs.range_mut(..=offset).next_back()
            && end(start, piece) >= offset
        {
            let at = (offset - start) as usize;
            let within = bytes.len().min(piece.len() - at);
            piece[at..at + within].copy_from_slice(&bytes[..within]);
            piece.extend_from_slice(&bytes[within..]);
            self.join(start);
            return self.len_near(offset, end(offset, &bytes)).saturating_sub(before);
        }
        let until = end(offset, &bytes);
        self.runs.insert(offset, bytes);
        self.join(offset);
        self.len_near(offset, until).saturating_sub(before)
    }

    /// Bytes in the pieces that overlap or touch `from..until`.
    fn len_near(&self, from: u32, until: u32) -> usize {
        let first = self
            .runs
            .range(..from)
            .next_back()
            .filter(|(start, piece)| end(**start, piece) >= from);
        first.map_or(0, |(_, piece)| piece.len())
            + self
                .runs
                .range(from..=until)
                .map(|(_, piece)| piece.len())
                .sum::<usize>()
    }

    /// Joins the piece at `start`, which wins, with all that it now overlaps or touches.
    fn join(&mut self, start: u32) {
        let Some(mut piece) = self.runs.remove(&start) else {
            return;
        };
        while let Some((&next, _)) = self.runs.range(start..).next()
            && next <= end(start, &piece)
        {
            let tail = self.runs.remove(&next).expect("just seen");
            let covered = (end(start, &piece) - next) as usize;
            if let Some(rest) = tail.get(covered..) {
                piece.extend_from_slice(rest);
            }
        }
        self.runs.insert(start, piece);
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.runs.len()
    }

    /// Forgets everything at and after `keep`.
    pub(crate) fn cut(&mut self, keep: u32) {
        self.runs.split_off(&keep);
        if let Some((&start, piece)) = self.runs.range_mut(..keep).next_back() {
            piece.truncate((keep - start) as usize);
        }
        self.bytes = self.runs.values().map(Vec::len).sum();
    }

    /// The parts within `from..until`, as offset and bytes.
    pub(crate) fn within(&self, from: u32, until: u32) -> impl Iterator<Item = (u32, &[u8])> {
        let first = self
            .runs
            .range(..from)
            .next_back()
            .map_or(from, |(start, _)| *start);
        self.runs.range(first..until).filter_map(move |(&start, piece)| {
            let lo = start.max(from);
            let hi = end(start, piece).min(until);
            (lo < hi).then(|| (lo, &piece[(lo - start) as usize..(hi - start) as usize]))
        })
    }

    /// Bytes of the pages that the pieces touch; `u32::MAX` where there are many pieces.
    pub(crate) fn pages(&self) -> u32 {
        if self.runs.len() > COUNTED_MAX {
            return u32::MAX;
        }
        let (mut bytes, mut behind) = (0, 0);
        for (start, piece) in &self.runs {
            // A page that two pieces touch counts once.
            let from = (start / PAGE * PAGE).max(behind);
            behind = end(*start, piece).next_multiple_of(PAGE).max(behind);
            bytes += behind - from;
        }
        bytes
    }

    /// Bytes held.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn pieces_read_like_a_plain_buffer(
            ops in prop::collection::vec((0u32..200, prop::collection::vec(any::<u8>(), 0..60), any::<bool>()), 1..40)
        ) {
            let mut pieces = Pieces::default();
            let mut model: Vec<Option<u8>> = vec![None; 300];
            for (offset, bytes, cut) in ops {
                if cut {
                    pieces.cut(offset);
                    model[offset as usize..].fill(None);
                } else {
                    let before = pieces.bytes();
                    let grown = pieces.write(offset, bytes.clone());
                    prop_assert_eq!(before + grown, pieces.bytes());
                    for (i, byte) in bytes.iter().enumerate() {
                        model[offset as usize + i] = Some(*byte);
                    }
                }
                let mut seen = vec![None; 300];
                for (start, bytes) in pieces.within(0, 300) {
                    for (i, byte) in bytes.iter().enumerate() {
                        seen[start as usize + i] = Some(*byte);
                    }
                }
                prop_assert_eq!(&seen, &model);
                prop_assert_eq!(pieces.bytes(), model.iter().flatten().count());
            }
        }
    }
}
