//! The indispensable parts of a volume lie twice: head, header and commit block.
//!
//! ```text
//!   first:   the store's head and header, the block that the head names        second: Twin, in a place of its own
//!        `-- verifies? used --- no --> the second verifies? used, and the first is named as damaged
//! ```
//!
//! One fault does not reach both copies, so no loss of one copy costs a volume.
//!
//! **Invariant:** the first copy is used wherever it verifies. The second was written with the
//! newest swap of the head, so it leads to no older version. An opened head is held against the
//! anchor all the same, from either copy.

use crate::clear::{HeadClaim, commit_info};
use crate::{BlockStore, Cid, Error, Result, StoreError, Twin};
use bytes::Bytes;
use std::fmt;

/// What lies twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The head.
    Head,
    /// The volume header.
    Header,
    /// The newest commit block.
    CommitBlock,
}

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Side {
    /// Among the store's other records and blocks.
    First,
    /// The [`Twin`].
    Second,
}

/// A copy that is not what was written, or not there. The other one is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DamagedCopy {
    /// Of what.
    pub part: Part,
    /// Which.
    pub side: Side,
}

impl fmt::Display for DamagedCopy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = match self.side {
            Side::First => "first",
            Side::Second => "second",
        };
        let part = match self.part {
            Part::Head => "head",
            Part::Header => "volume header",
            Part::CommitBlock => "newest commit block",
        };
        write!(f, "the {side} copy of the {part} is damaged")
    }
}

/// What a store has as its second copy.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Second {
    /// This kind of store keeps none.
    NotKept,
    Damaged,
    Found(Twin),
}

/// Both copies, read once. Bytes that the store cannot read for damage of its own are as good as
/// none.
#[derive(Clone, Debug)]
pub struct Copies {
    /// The first copy of the head: what the next swap has to expect.
    pub head: Option<Bytes>,
    /// The first copy of the header.
    pub header: Option<Bytes>,
    second: Second,
    damaged: Vec<DamagedCopy>,
}

impl Copies {
    /// Reads them.
    ///
    /// # Errors
    /// What the store failed with, other than damage.
    pub fn read(store: &dyn BlockStore) -> Result<Self> {
        let second = match store.twin() {
            Ok(None) => Second::NotKept,
            Ok(Some(twin)) => Second::Found(twin),
            Err(error) if error.is_damage() => Second::Damaged,
            Err(error) => return Err(error.into()),
        };
        Ok(Self {
            head: readable(store.head())?.flatten(),
            header: readable(store.header())?.flatten(),
            second,
            damaged: Vec::new(),
        })
    }

    /// Those of a swap of which the first copies do not tell: its twin alone.
    pub fn of_twin(twin: Twin) -> Self {
        Self {
            head: None,
            header: None,
            second: Second::Found(twin),
            damaged: Vec::new(),
        }
    }

    /// The copies that were found damaged by [`Self::choose`].
    pub fn damaged(&self) -> &[DamagedCopy] {
        &self.damaged
    }

    /// What `verify` makes of the copy that verifies, and its bytes. `None` if there is neither.
    ///
    /// # Errors
    /// What is wrong with the first if there is one, else with the second.
    pub fn choose<T>(
        &mut self,
        part: Part,
        verify: impl Fn(&Bytes) -> Result<T>,
    ) -> Result<Option<(T, Bytes)>> {
        let first = match part {
            Part::Head => self.head.clone(),
            Part::Header => self.header.clone(),
            Part::CommitBlock => None,
        };
        self.choose_from(part, first, verify)
    }

    /// The same of the commit block `root`.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Corrupt`], or what the store failed with.
    pub fn root_block(&mut self, store: &dyn BlockStore, root: &Cid) -> Result<Bytes> {
        let first = readable(store.get(root))?.flatten();
        let verify = |stored: &Bytes| match root.names(stored) {
            true => Ok(()),
            false => Err(Error::Corrupt { cid: *root }),
        };
        match self.choose_from(Part::CommitBlock, first.clone(), verify) {
            Ok(Some(((), block))) => Ok(block),
            // The second copy is of another version: it says nothing about this one.
            Err(_) if first.is_none() => Err(Error::Missing { cid: *root }),
            Ok(None) => Err(Error::Missing { cid: *root }),
            Err(error) => Err(error),
        }
    }

    /// The head without a key, and what it claims: the first copy if the commit block it names is
    /// there and says the same, else the second if it is so there, else what can be said of the
    /// first. A later twin of the same volume is taken before both, and these are its copies then:
    /// the store has lost its first ones, or a crash came before they were written.
    ///
    /// # Errors
    /// A head that has not the form of one; what the store failed with.
    pub fn claimed_head(&mut self, store: &dyn BlockStore) -> Result<Option<(HeadClaim, Bytes)>> {
        let known = self.known_head(store);
        for twin in store.twins_ahead()? {
            let Ok(claim) = HeadClaim::parse(&twin.head) else {
                continue;
            };
            let is_later = match &known {
                Ok(Some((known, _))) => known.volume_id == claim.volume_id && known.epoch < claim.epoch,
                _ => true,
            };
            if is_later
                && claim.root.names(&twin.root_block)
                && require_agreed(&claim, &twin.root_block).is_ok()
            {
                *self = Self::of_twin(twin);
                return self.choose(Part::Head, |stored| HeadClaim::parse(stored));
            }
        }
        known
    }

    fn known_head(&mut self, store: &dyn BlockStore) -> Result<Option<(HeadClaim, Bytes)>> {
        let agrees = |stored: &Bytes| {
            let claim = HeadClaim::parse(stored)?;
            require_agreed(&claim, &root_block(store, &claim.root)?).map(|()| claim)
        };
        match self.choose(Part::Head, agrees) {
            Ok(Some(chosen)) => Ok(Some(chosen)),
            _ => self.choose(Part::Head, |stored| HeadClaim::parse(stored)),
        }
    }

    fn choose_from<T>(
        &mut self,
        part: Part,
        first: Option<Bytes>,
        verify: impl Fn(&Bytes) -> Result<T>,
    ) -> Result<Option<(T, Bytes)>> {
        let second = match &self.second {
            Second::Found(twin) => Some(match part {
                Part::Head => twin.head.clone(),
                Part::Header => twin.header.clone(),
                Part::CommitBlock => twin.root_block.clone(),
            }),
            Second::NotKept | Second::Damaged => None,
        };
        // Where nothing was to be kept, nothing was lost.
        let second = second.filter(|stored| !stored.is_empty());
        let failure = match first.as_ref().map(&verify) {
            Some(Ok(value)) => {
                if second != first && self.second != Second::NotKept {
                    self.note(part, Side::Second);
                }
                return Ok(Some((value, first.unwrap_or_default())));
            }
            Some(Err(error)) => Some(error),
            None => None,
        };
        match (second.as_ref().map(&verify), failure) {
            (Some(Ok(value)), _) => {
                self.note(part, Side::First);
                Ok(Some((value, second.unwrap_or_default())))
            }
            (_, Some(error)) | (Some(Err(error)), None) => Err(error),
            (None, None) => Ok(None),
        }
    }

    fn note(&mut self, part: Part, side: Side) {
        self.damaged.push(DamagedCopy { part, side });
    }

    /// Every header there is, the first copy first: only a key tells which is right.
    pub fn headers(&self) -> Vec<Bytes> {
        let mut headers: Vec<_> = self.header.iter().cloned().collect();
        if let Second::Found(twin) = &self.second
            && !twin.header.is_empty()
            && !headers.contains(&twin.header)
        {
            headers.push(twin.header.clone());
        }
        headers
    }
}

/// Refuses a commit block that says another volume or epoch than the head which names it.
fn require_agreed(claim: &HeadClaim, root_block: &[u8]) -> Result<()> {
    let commit = commit_info(root_block)?;
    match (commit.volume_id, commit.epoch) == (claim.volume_id, claim.epoch) {
        true => Ok(()),
        false => Err(Error::Corrupt { cid: claim.root }),
    }
}

/// The commit block `root`, from whichever copy has the bytes it was named by.
///
/// # Errors
/// [`Error::Missing`], [`Error::Corrupt`], or what the store failed with.
pub fn root_block(store: &dyn BlockStore, root: &Cid) -> Result<Bytes> {
    match readable(store.get(root))?.flatten() {
        Some(stored) if root.names(&stored) => Ok(stored),
        _ => Copies::read(store)?.root_block(store, root),
    }
}

/// Damage of the store's own is no answer; any other failure stays one.
fn readable<T>(answer: std::result::Result<T, StoreError>) -> std::result::Result<Option<T>, StoreError> {
    match answer {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.is_damage() => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(all(test, feature = "testing"))]
mod tests {
    use super::*;
    use crate::Blocks;

    fn copies(first: Option<&'static [u8]>, second: Second) -> Copies {
        Copies {
            head: first.map(Bytes::from_static),
            header: None,
            second,
            damaged: Vec::new(),
        }
    }

    fn twin(head: &'static [u8]) -> Second {
        Second::Found(Twin {
            head: Bytes::from_static(head),
            ..Twin::default()
        })
    }

    /// Accepts what begins with `good`; answers what was chosen, and what was found damaged.
    fn chosen(mut copies: Copies) -> (Option<Bytes>, Vec<Side>) {
        let verify = |stored: &Bytes| match stored.starts_with(b"good") {
            true => Ok(()),
            false => Err(Error::HeadForged),
        };
        let chosen = copies.choose(Part::Head, verify);
        let found = chosen.ok().flatten().map(|((), bytes)| bytes);
        (found, copies.damaged.iter().map(|copy| copy.side).collect())
    }

    /// The first copy, the second, what is used of them, and what is found damaged.
    type Case<'a> = (Option<&'a [u8]>, Second, Option<Bytes>, Vec<Side>);

    #[test]
    fn the_first_copy_is_used_where_it_verifies_and_the_second_where_it_does_not() {
        let good = |bytes: &'static [u8]| Some(Bytes::from_static(bytes));
        let (first, second) = (vec![Side::First], vec![Side::Second]);
        let cases: [Case<'_>; 9] = [
            (Some(b"good"), twin(b"good"), good(b"good"), vec![]),
            (Some(b"good"), Second::NotKept, good(b"good"), vec![]),
            (Some(b"good"), Second::Damaged, good(b"good"), second.clone()),
            (Some(b"good"), twin(b"bad"), good(b"good"), second.clone()),
            (Some(b"good"), twin(b"good too"), good(b"good"), second),
            (Some(b"bad"), twin(b"good"), good(b"good"), first.clone()),
            (None, twin(b"good"), good(b"good"), first),
            (Some(b"bad"), twin(b"bad"), None, vec![]),
            (None, Second::Damaged, None, vec![]),
        ];
        for (first, second, found, damaged) in cases {
            assert_eq!(
                chosen(copies(first, second.clone())),
                (found, damaged),
                "{first:?} {second:?}"
            );
        }
    }

    #[test]
    fn a_commit_block_comes_from_the_copy_that_has_its_bytes() {
        let sample = crate::testing::Sample::grow(1, 1, 2);
        let block = sample.store.get(&sample.root).unwrap().unwrap();
        assert_eq!(root_block(&sample.store, &sample.root).unwrap(), block);
        sample.store.delete(&[sample.root]).unwrap();
        assert_eq!(root_block(&sample.store, &sample.root).unwrap(), block);
        let mut copies = Copies::read(&sample.store).unwrap();
        assert_eq!(copies.root_block(&sample.store, &sample.root).unwrap(), block);
        assert_eq!(
            copies
                .damaged()
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>(),
            ["the first copy of the newest commit block is damaged"]
        );
        let other = Cid::of(crate::Codec::Node, b"other");
        assert!(matches!(
            root_block(&sample.store, &other),
            Err(Error::Missing { .. })
        ));
    }
}
