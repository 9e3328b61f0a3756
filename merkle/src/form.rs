//! How a leaf holds a record: as it is, or without its holes.
//!
//! ```text
//!  record    |....[====]...............[==]....|          zeros between
//!  extents   count | offset length | offset length | ==== | ==
//! ```
//!
//! A page written into a hole would else be stored as a whole record. Which form a leaf has stands
//! in its link, sealed: nothing from outside decides how it is read.

use crate::{Error, Result};
use std::ops::Range;

/// The longest record: what the header allows.
pub const RECORD_MAX: usize = 1 << 20;

/// Bytes of a page. Holes are found by the page: the kernel writes nothing smaller.
pub const PAGE: usize = 4096;
const COUNT_BYTES: usize = 2;
const EXTENT_BYTES: usize = 8;

/// How a leaf's plaintext stands for its record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Form {
    /// It is the record, up to where that ends in zeros.
    #[default]
    Plain,
    /// It is what is not zero in it, and where.
    Extents,
}

impl Form {
    /// The byte in a link.
    pub fn code(self) -> u8 {
        match self {
            Self::Plain => 0,
            Self::Extents => 1,
        }
    }

    /// The form of a byte in a link; `None` for one that this build does not know.
    pub fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Plain),
            1 => Some(Self::Extents),
            _ => None,
        }
    }

    /// Whether parts of the record may be holes.
    pub fn has_holes(self) -> bool {
        self == Self::Extents
    }

    /// The record of a leaf with this plaintext; what is left of it is zeros. At most
    /// [`RECORD_MAX`] bytes.
    ///
    /// # Errors
    /// [`Error::Malformed`] for bytes that are not of this form.
    pub fn unpack(self, plain: Vec<u8>) -> Result<Vec<u8>> {
        if self == Self::Plain {
            return Ok(plain);
        }
        let extents = extents(&plain)?;
        let len = extents.last().map_or(0, |(range, _)| range.end);
        let mut record = vec![0; len];
        for (range, bytes) in extents {
            record[range].copy_from_slice(bytes);
        }
        Ok(record)
    }
}

/// What a record becomes.
#[derive(Debug, PartialEq, Eq)]
pub enum Packed {
    /// Nothing: all of it is zeros.
    Zeros,
    /// The plaintext of a leaf of the form [`Form::Extents`].
    Extents(Vec<u8>),
    /// It has few holes: it is stored as it is.
    Plain,
}

/// Leaves the holes out of a record when they are at least half of it.
pub fn pack(record: &[u8]) -> Packed {
    let pages = record.chunks(PAGE).map(is_zero);
    let zeros = pages.clone().filter(|zero| *zero).count();
    if zeros * 2 < pages.len() || record.len() > RECORD_MAX {
        return Packed::Plain;
    }
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (page, _) in pages.enumerate().filter(|(_, zero)| !zero) {
        let range = page * PAGE..record.len().min((page + 1) * PAGE);
        match runs.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => runs.push(range),
        }
    }
    match runs.is_empty() {
        true => Packed::Zeros,
        false => Packed::Extents(encode(record, &runs)),
    }
}

fn encode(record: &[u8], runs: &[Range<usize>]) -> Vec<u8> {
    let bytes: usize = runs.iter().map(Range::len).sum();
    let mut plain = Vec::with_capacity(COUNT_BYTES + runs.len() * EXTENT_BYTES + bytes);
    plain.extend_from_slice(&(runs.len() as u16).to_le_bytes());
    for run in runs {
        plain.extend_from_slice(&(run.start as u32).to_le_bytes());
        plain.extend_from_slice(&(run.len() as u32).to_le_bytes());
    }
    for run in runs {
        plain.extend_from_slice(&record[run.clone()]);
    }
    plain
}

/// Whether a page is all zeros. The first bytes tell of most pages that hold data.
pub fn is_zero(page: &[u8]) -> bool {
    let head = page.len().min(16);
    page[..head].iter().all(|byte| *byte == 0) && page.iter().all(|byte| *byte == 0)
}

/// Where the bytes of a leaf of the form [`Form::Extents`] lie in its record: in order, apart, none
/// of them empty.
///
/// # Errors
/// [`Error::Malformed`].
pub fn extents(plain: &[u8]) -> Result<Vec<(Range<usize>, &[u8])>> {
    let (count, rest) = plain.split_first_chunk().ok_or(malformed("cut short"))?;
    let count = usize::from(u16::from_le_bytes(*count));
    let (table, mut bytes) = rest
        .split_at_checked(count * EXTENT_BYTES)
        .ok_or(malformed("cut short"))?;
    let mut found = Vec::with_capacity(count);
    let mut behind = None;
    for row in table.as_chunks::<EXTENT_BYTES>().0 {
        let [a, b, c, d, e, f, g, h] = *row;
        let start = u32::from_le_bytes([a, b, c, d]) as usize;
        let len = u32::from_le_bytes([e, f, g, h]) as usize;
        if len == 0 || len > RECORD_MAX || start > RECORD_MAX - len {
            return Err(malformed("an extent is empty or beyond the record"));
        }
        if behind.is_some_and(|end| start <= end) {
            return Err(malformed("extents overlap, touch or are out of order"));
        }
        let (run, rest) = bytes.split_at_checked(len).ok_or(malformed("cut short"))?;
        (bytes, behind) = (rest, Some(start + len));
        found.push((start..start + len, run));
    }
    match bytes.is_empty() && count > 0 {
        true => Ok(found),
        false => Err(malformed("bytes without an extent")),
    }
}

fn malformed(why: &'static str) -> Error {
    Error::Malformed {
        what: "record of extents",
        why,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn packed(record: &[u8]) -> Vec<u8> {
        match pack(record) {
            Packed::Extents(plain) => plain,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_page_in_a_hole_takes_a_page_and_its_place() {
        let mut record = vec![0; 128 << 10];
        record[5 * PAGE..6 * PAGE].fill(7);
        record[9 * PAGE + 1] = 8;
        let plain = packed(&record);
        assert_eq!(plain.len(), COUNT_BYTES + 2 * EXTENT_BYTES + 2 * PAGE);
        assert_eq!(
            plain[..18],
            [2, 0, 0, 0x50, 0, 0, 0, 0x10, 0, 0, 0, 0x90, 0, 0, 0, 0x10, 0, 0]
        );
        let again = Form::Extents.unpack(plain).unwrap();
        assert_eq!(again[..], record[..10 * PAGE]);
    }

    #[test]
    fn a_record_with_few_holes_stays_as_it_is_and_one_of_zeros_is_none() {
        let mut record = vec![1; 8 * PAGE];
        record[..3 * PAGE].fill(0);
        assert_eq!(pack(&record), Packed::Plain);
        record[3 * PAGE..4 * PAGE].fill(0);
        packed(&record);
        assert_eq!(pack(&vec![0; 5000]), Packed::Zeros);
        assert_eq!(pack(&[]), Packed::Zeros);
        assert_eq!(pack(&[1; 10]), Packed::Plain);
        let mut late = vec![0; PAGE + 5];
        late[PAGE + 4] = 1;
        assert_eq!(Form::Extents.unpack(packed(&late)).unwrap(), late);
    }

    #[test]
    fn what_breaks_a_rule_is_malformed() {
        let row = |start: u32, len: u32| [start.to_le_bytes(), len.to_le_bytes()].concat();
        let of = |rows: &[(u32, u32)], bytes: usize| {
            let mut plain = (rows.len() as u16).to_le_bytes().to_vec();
            rows.iter()
                .for_each(|(start, len)| plain.extend(row(*start, *len)));
            plain.extend(vec![1; bytes]);
            Form::Extents.unpack(plain)
        };
        assert_eq!(of(&[(1, 2), (4, 1)], 3).unwrap(), [0, 1, 1, 0, 1]);
        let wrong: &[(&[(u32, u32)], usize)] = &[
            (&[], 0),
            (&[(0, 0)], 0),
            (&[(0, 2)], 1),
            (&[(0, 2)], 3),
            (&[(0, 2), (2, 1)], 3),
            (&[(4, 1), (0, 1)], 2),
            (&[(RECORD_MAX as u32, 1)], 1),
            (&[(u32::MAX, u32::MAX)], 1),
        ];
        for (rows, bytes) in wrong {
            assert!(of(rows, *bytes).is_err(), "{rows:?} {bytes}");
        }
        assert!(Form::Extents.unpack(vec![1]).is_err());
        assert!(Form::Extents.unpack(vec![1, 0, 0]).is_err());
        let last = of(&[(RECORD_MAX as u32 - 1, 1)], 1).unwrap();
        assert_eq!(last.len(), RECORD_MAX);
    }

    #[test]
    fn each_form_has_its_code() {
        for form in [Form::Plain, Form::Extents] {
            assert_eq!(Form::from_code(form.code()), Some(form));
        }
        assert_eq!(Form::from_code(2), None);
    }

    proptest! {
        #[test]
        fn a_record_comes_back_as_it_was(
            pages in prop::collection::vec(any::<u8>().prop_map(|byte| if byte < 160 { 0 } else { byte }), 0..40),
            tail in 0..PAGE,
        ) {
            let mut record: Vec<u8> = pages.iter().flat_map(|byte| vec![*byte; PAGE]).collect();
            record.extend(vec![3; tail]);
            match pack(&record) {
                Packed::Extents(plain) => {
                    prop_assert!(plain.len() <= record.len() / 2 + PAGE + COUNT_BYTES + 64 * EXTENT_BYTES);
                    let mut again = Form::Extents.unpack(plain).unwrap();
                    again.resize(record.len(), 0);
                    prop_assert_eq!(again, record);
                }
                Packed::Zeros => prop_assert!(record.iter().all(|byte| *byte == 0)),
                Packed::Plain => {}
            }
        }

        #[test]
        fn no_bytes_make_it_panic(plain in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(record) = Form::Extents.unpack(plain) {
                prop_assert!(record.len() <= RECORD_MAX);
            }
        }
    }
}
