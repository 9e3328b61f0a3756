//! What repairs took away, as every later commit carries it.
//!
//! ```text
//!  commit --> summary: counts, epoch of the last repair
//!        `--> list: a B+tree of epoch and number --> path, what it lost, where the rest is
//! ```
//!
//! A repair makes a volume whole by giving up what cannot be read. So that this is no silent loss,
//! it says in the version it makes what that was. `docs/format.md` section 14.2 is this file as a
//! table.

use crate::stored::codec::{Decoder, Encoder};
use cairn_merkle::{Link, Result, btree};
use std::ops::Range;

/// Losses listed one by one, of all repairs together.
pub(crate) const LISTED_MAX: u64 = 10_000;
/// Ranges listed of one file.
const RANGES_MAX: usize = 256;

/// What repairs of a volume took away, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repaired {
    /// The version that the last repair made.
    pub epoch: u64,
    /// How many repairs there were.
    pub repairs: u64,
    /// Names of files that are gone.
    pub files: u64,
    /// Names of files that moved to `/lost+found`, with holes where bytes cannot be read.
    pub partial: u64,
    /// Names that are gone with a part of their directory.
    pub names: u64,
    /// Files that moved to `/lost+found` because no name leads to them any more.
    pub nameless: u64,
    /// Snapshots that are gone, as far as their names are known.
    pub snapshots: u64,
    /// Losses that are not in the list, for it is full.
    pub unlisted: u64,
}

/// One loss.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gone {
    /// The version that the repair made.
    pub epoch: u64,
    /// From the volume's root; of what is no path, in brackets.
    pub path: Vec<u8>,
    /// What it lost.
    pub loss: Loss,
}

/// What a repair took away of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Loss {
    /// The whole file: nothing of it can be read, or not its inode.
    File,
    /// Bytes of a file: they are holes now, and its name is another one.
    Bytes {
        /// Where it is now.
        kept: Vec<u8>,
        /// The first of the ranges lost.
        ranges: Vec<Range<u64>>,
        /// How many bytes they have, with those not listed.
        bytes: u64,
    },
    /// Names in a directory, and all that is below them.
    Names {
        /// How many.
        count: u64,
    },
    /// All names of a file.
    Name {
        /// Where it is now.
        kept: Vec<u8>,
    },
    /// A snapshot.
    Snapshot,
    /// A part of the volume that users do not see, or cannot name.
    Part,
}

impl Loss {
    /// The bytes of a file that are holes now.
    pub(crate) fn bytes(kept: Vec<u8>, lost: &[Range<u64>]) -> Self {
        Self::Bytes {
            kept,
            ranges: lost.iter().take(RANGES_MAX).cloned().collect(),
            bytes: lost.iter().map(|range| range.end - range.start).sum(),
        }
    }
}

impl Gone {
    pub(crate) fn encode(&self, number: u64) -> btree::Entry {
        let mut key = self.epoch.to_be_bytes().to_vec();
        key.extend_from_slice(&number.to_be_bytes());
        let mut out = Encoder::default();
        let nothing = (&[][..], &[][..], 0);
        let (code, (kept, ranges, count)) = match &self.loss {
            Loss::File => (1, nothing),
            Loss::Bytes { kept, ranges, bytes } => (2, (kept.as_slice(), ranges.as_slice(), *bytes)),
            Loss::Names { count } => (3, (nothing.0, nothing.1, *count)),
            Loss::Name { kept } => (4, (kept.as_slice(), nothing.1, 0)),
            Loss::Snapshot => (5, nothing),
            Loss::Part => (6, nothing),
        };
        out.u8(code).bytes(&self.path).bytes(kept).u64(count);
        out.u32(u32::try_from(ranges.len()).expect("RANGES_MAX fits 32 bits"));
        for range in ranges {
            out.u64(range.start).u64(range.end);
        }
        btree::Entry {
            key,
            value: out.0,
            links: Vec::new(),
        }
    }

    pub(crate) fn decode(entry: &btree::Entry) -> Result<Self> {
        let mut from = Decoder::new("list of what repairs took away", &entry.value);
        let (epoch, number) = entry
            .key
            .split_first_chunk()
            .ok_or(from.error("a key is cut short"))?;
        if number.len() != 8 {
            return Err(from.error("a key is not two numbers"));
        }
        let (code, path) = (from.u8()?, from.bytes()?.to_vec());
        let (kept, count) = (from.bytes()?.to_vec(), from.u64()?);
        let mut ranges = Vec::new();
        for _ in 0..from.u32()? {
            ranges.push(from.u64()?..from.u64()?);
        }
        let loss = match code {
            1 => Loss::File,
            2 => Loss::Bytes {
                kept,
                ranges,
                bytes: count,
            },
            3 => Loss::Names { count },
            4 => Loss::Name { kept },
            5 => Loss::Snapshot,
            6 => Loss::Part,
            _ => return Err(from.error("a loss of an unknown kind")),
        };
        let gone = Self {
            epoch: u64::from_be_bytes(*epoch),
            path,
            loss,
        };
        let number = number
            .first_chunk()
            .map_or(0, |number| u64::from_be_bytes(*number));
        // Also what a loss of this kind has no use for, and what follows it.
        match gone.encode(number) == *entry {
            true => Ok(gone),
            false => Err(from.error("its encoding is not canonical")),
        }
    }
}

/// The list as a commit carries it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Repairs {
    /// A B+tree by epoch and number.
    pub(crate) root: Option<Link>,
    pub(crate) summary: Option<Repaired>,
}

impl Repairs {
    pub(crate) fn encode(&self, out: &mut Encoder) {
        out.u8(u8::from(self.summary.is_some()));
        if let Some(summary) = &self.summary {
            summary.fields().into_iter().for_each(|field| _ = out.u64(field));
        }
    }

    pub(crate) fn decode(from: &mut Decoder<'_>, root: Option<Link>) -> Result<Self> {
        let summary = match from.u8()? {
            0 => None,
            1 => {
                let mut fields = [0; 8];
                for field in &mut fields {
                    *field = from.u64()?;
                }
                Some(Repaired::of(fields))
            }
            _ => return Err(from.error("whether it was repaired is neither yes nor no")),
        };
        Ok(Self { root, summary })
    }
}

impl Repaired {
    /// In the order of the format.
    fn fields(&self) -> [u64; 8] {
        [
            self.epoch,
            self.repairs,
            self.files,
            self.partial,
            self.names,
            self.nameless,
            self.snapshots,
            self.unlisted,
        ]
    }

    fn of(fields: [u64; 8]) -> Self {
        let [
            epoch,
            repairs,
            files,
            partial,
            names,
            nameless,
            snapshots,
            unlisted,
        ] = fields;
        Self {
            epoch,
            repairs,
            files,
            partial,
            names,
            nameless,
            snapshots,
            unlisted,
        }
    }

    /// Counts one more loss.
    pub(crate) fn add(&mut self, loss: &Loss) {
        match loss {
            Loss::File => self.files += 1,
            Loss::Bytes { .. } => self.partial += 1,
            Loss::Names { count } => self.names += count,
            Loss::Name { .. } => self.nameless += 1,
            Loss::Snapshot => self.snapshots += 1,
            Loss::Part => {}
        }
    }

    /// For messages: how much of what, without what is zero.
    pub fn words(&self) -> String {
        let counts = [
            (self.files, "names of files lost"),
            (self.partial, "files kept in part, in /lost+found"),
            (self.names, "names lost with their directory's blocks"),
            (self.nameless, "files that lost their names, in /lost+found"),
            (self.snapshots, "snapshots lost"),
        ];
        let some = counts.into_iter().filter(|(count, _)| *count > 0);
        let words: Vec<String> = some.map(|(count, what)| format!("{count} {what}")).collect();
        match words.is_empty() {
            true => "no file lost".into(),
            false => words.join(", "),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_decodes_to_what_was_encoded_and_nothing_shorter_does() {
        let kept = b"/lost+found/a".to_vec();
        let losses = [
            Loss::File,
            Loss::bytes(kept.clone(), &[0..4096, 8192..9000]),
            Loss::Names { count: 7 },
            Loss::Name { kept },
            Loss::Snapshot,
            Loss::Part,
        ];
        for (number, loss) in losses.into_iter().enumerate() {
            let gone = Gone {
                epoch: 9,
                path: b"/a/b".to_vec(),
                loss,
            };
            let entry = gone.encode(number as u64);
            assert_eq!(Gone::decode(&entry).unwrap(), gone);
            for len in 0..entry.value.len() {
                let value = entry.value[..len].to_vec();
                assert!(
                    Gone::decode(&btree::Entry {
                        value,
                        ..entry.clone()
                    })
                    .is_err()
                );
            }
            let key = entry.key[1..].to_vec();
            assert!(Gone::decode(&btree::Entry { key, ..entry }).is_err());
        }
    }
}
