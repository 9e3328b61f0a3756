//! What is known to be damaged in the volume that is open: for `cairn status`, and so that a loss
//! is never silent.
//!
//! ```text
//!  open    a damaged copy of what lies twice, tables      that could not be read --.
//!  replay  operations that met damage --------------------------------------------+--> KnownDamage --> status
//!  commit  links kept without reading, changes that could not be placed ----------'
//! ```
//!
//! A volume goes on with what it can read; what it cannot read is noted here when it is met.
//! Nothing of this is stored: damage that is still there is met again by the next mount, and
//! `cairn check` finds all of it.
//!
//! **Invariant:** each list is bounded, its count is not. The lock is taken alone, or last.

use cairn_merkle::{Cid, DamagedCopy, Error};
use parking_lot::Mutex;

/// Notes named one by one, of each kind.
const NAMED_MAX: usize = 64;

/// Everything known of damage at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownDamage {
    /// Tables of the volume that could not be read, whole or in part.
    pub tables: Vec<DamagedTable>,
    /// Operations of the intent log that were not done again.
    pub skipped: Notes,
    /// Copies of head, header and commit block that were not whole when the volume was opened; the
    /// other one was.
    pub copies: Vec<DamagedCopy>,
    /// Links that commits kept as they were, without reading what they lead to.
    pub kept: Notes,
    /// Changes that commits could not place: they are lost.
    pub lost: Notes,
    /// Blocks that could be put on no list, and are kept though nothing may need them: space that
    /// only a repair gives back.
    pub leaked_blocks: u64,
    /// Their stored bytes.
    pub leaked_bytes: u64,
}

/// Why something is not there.
#[derive(Clone, Debug)]
pub(crate) struct Cause {
    cid: Option<Cid>,
    what: String,
}

impl Cause {
    pub(crate) fn new(what: &str) -> Self {
        Self {
            cid: None,
            what: what.into(),
        }
    }
}

impl From<&Error> for Cause {
    fn from(error: &Error) -> Self {
        Self {
            cid: error.damaged(),
            what: error.to_string(),
        }
    }
}

/// A part of the volume beside its tree of directories.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Table {
    /// Inodes with several names.
    HardLinks,
    /// Unlinked files that were open.
    Orphans,
    /// The snapshots.
    Snapshots,
    /// Blocks that only snapshots name.
    DeadList,
    /// Blocks that only published versions name.
    HeldList,
}

/// A table that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedTable {
    /// Which one.
    pub table: Table,
    /// The block that is damaged, if one is.
    pub cid: Option<Cid>,
    /// What is wrong with it.
    pub what: String,
}

/// The first of many notes, and how many there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// How many there are.
    pub count: u64,
    /// The first of them.
    pub named: Vec<Note>,
}

/// One thing that met damage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// A path from the volume's root, or the part of the volume in brackets.
    pub place: Vec<u8>,
    /// The block that is damaged, if one is.
    pub cid: Option<Cid>,
    /// What is wrong.
    pub what: String,
}

impl Table {
    /// For messages.
    pub fn word(self) -> &'static str {
        match self {
            Self::HardLinks => "hard links",
            Self::Orphans => "unlinked files",
            Self::Snapshots => "snapshots",
            Self::DeadList => "dead list",
            Self::HeldList => "held list",
        }
    }
}

impl Notes {
    /// Adds one; one that stands there already is not counted again.
    fn add(&mut self, note: Note) {
        if self.named.contains(&note) {
            return;
        }
        self.count += 1;
        if self.named.len() < NAMED_MAX {
            self.named.push(note);
        }
    }
}

impl KnownDamage {
    /// Whether nothing is known to be damaged.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// The engine's record, filled from wherever damage is met.
#[derive(Debug, Default)]
pub(crate) struct DamageRecord(Mutex<KnownDamage>);

impl DamageRecord {
    /// Goes on from what the opening found.
    pub(crate) fn new(known: KnownDamage) -> Self {
        Self(Mutex::new(known))
    }

    /// What is known now.
    pub(crate) fn known(&self) -> KnownDamage {
        self.0.lock().clone()
    }

    /// Notes a table that could not be read.
    pub(crate) fn table(&self, table: Table, cause: &Cause) {
        let mut known = self.0.lock();
        let damaged = DamagedTable {
            table,
            cid: cause.cid,
            what: cause.what.clone(),
        };
        if known.tables.len() < NAMED_MAX && !known.tables.contains(&damaged) {
            let (table, what) = (table.word(), &cause.what);
            tracing::error!(table, what, "the volume goes on without a part that is damaged");
            known.tables.push(damaged);
        }
    }

    /// Notes an operation of the log that was not done again.
    pub(crate) fn skipped(&self, place: Vec<u8>, cause: &Cause) {
        self.note(
            |known| &mut known.skipped,
            place,
            cause,
            "an operation of the log is skipped",
        );
    }

    /// Notes a damaged block that a commit left as it is.
    pub(crate) fn kept(&self, place: Vec<u8>, cause: &Cause) {
        self.note(
            |known| &mut known.kept,
            place,
            cause,
            "a damaged block stays as it is",
        );
    }

    /// Notes a change that a commit could not place.
    pub(crate) fn lost(&self, place: Vec<u8>, cause: &Cause) {
        self.note(
            |known| &mut known.lost,
            place,
            cause,
            "a change could not be stored",
        );
    }

    /// Notes a block that could be put on no list.
    pub(crate) fn leaked(&self, bytes: u64) {
        let mut known = self.0.lock();
        known.leaked_blocks += 1;
        known.leaked_bytes += bytes;
    }

    fn note(&self, list: fn(&mut KnownDamage) -> &mut Notes, place: Vec<u8>, cause: &Cause, event: &str) {
        let note = Note {
            place,
            cid: cause.cid,
            what: cause.what.clone(),
        };
        let mut known = self.0.lock();
        let list = list(&mut known);
        if list.named.len() < NAMED_MAX && !list.named.contains(&note) {
            tracing::error!(place = %String::from_utf8_lossy(&note.place), what = note.what, "{event}");
        }
        list.add(note);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_merkle::Codec;
    use cairn_merkle::twin::{Part, Side};

    const HEAD: DamagedCopy = DamagedCopy {
        part: Part::Head,
        side: Side::First,
    };

    fn missing(text: &str) -> Error {
        Error::Missing {
            cid: Cid::of(Codec::Node, text.as_bytes()),
        }
    }

    #[test]
    fn each_list_is_bounded_and_its_count_is_not() {
        let record = DamageRecord::default();
        assert!(record.known().is_none());
        let cause = Cause::from(&missing("leaf"));
        let skip = |n| record.skipped(format!("/f{n}").into_bytes(), &cause);
        for n in 0..1000 {
            skip(n);
        }
        skip(0);
        let known = record.known();
        assert_eq!(
            (known.skipped.count, known.skipped.named.len()),
            (1000, NAMED_MAX)
        );
        assert_eq!(known.skipped.named[3].place, b"/f3");
        assert_eq!(known.skipped.named[3].cid, Some(Cid::of(Codec::Node, b"leaf")));
        assert_eq!((known.kept.count, known.lost.count), (0, 0));
    }

    #[test]
    fn a_table_is_noted_once_for_each_block() {
        let record = DamageRecord::new(KnownDamage {
            copies: vec![HEAD],
            ..KnownDamage::default()
        });
        for block in ["a", "b", "a"] {
            record.table(Table::Snapshots, &(&missing(block)).into());
        }
        let known = record.known();
        assert_eq!(known.tables.len(), 2);
        assert_eq!(known.copies, [HEAD]);
        assert!(!record.known().is_none());
    }
}
