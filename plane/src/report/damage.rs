//! What `status` tells of damage that a mount has met.

use crate::text::human;
use cairn_fs::{KnownDamage, Note, Notes};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

/// Notes that are printed of each kind; JSON has more.
const PRINTED: usize = 5;

/// All that is known to be damaged.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct DamageReport {
    /// Parts of the volume that cannot be read.
    pub(crate) tables: Vec<NoteReport>,
    /// Operations of the intent log that were not done again.
    pub(crate) skipped_operations: NotesReport,
    /// What of head, header and commit block had a damaged copy when the volume was opened.
    pub(crate) copies: Vec<String>,
    /// Damaged blocks that commits left as they are.
    pub(crate) kept: NotesReport,
    /// Changes that commits could not place.
    pub(crate) lost: NotesReport,
    /// Blocks that are kept though nothing may need them.
    pub(crate) leaked_blocks: u64,
    /// Their bytes.
    pub(crate) leaked_bytes: u64,
}

/// The first of many, and how many there are.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct NotesReport {
    /// How many there are.
    pub(crate) count: u64,
    /// The first of them.
    pub(crate) named: Vec<NoteReport>,
}

/// One thing that met damage.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct NoteReport {
    /// A path (bytes that are no UTF-8 are replaced), or the part of the volume.
    pub(crate) place: String,
    /// CID of the damaged block.
    pub(crate) block: Option<String>,
    /// What is wrong.
    pub(crate) what: String,
}

impl From<&Note> for NoteReport {
    fn from(note: &Note) -> Self {
        Self {
            place: String::from_utf8_lossy(&note.place).into_owned(),
            block: note.cid.map(|cid| cid.to_string()),
            what: note.what.clone(),
        }
    }
}

impl From<&Notes> for NotesReport {
    fn from(notes: &Notes) -> Self {
        Self {
            count: notes.count,
            named: notes.named.iter().map(NoteReport::from).collect(),
        }
    }
}

impl From<&KnownDamage> for DamageReport {
    fn from(known: &KnownDamage) -> Self {
        let tables = known.tables.iter().map(|damaged| NoteReport {
            place: damaged.table.word().into(),
            block: damaged.cid.map(|cid| cid.to_string()),
            what: damaged.what.clone(),
        });
        Self {
            tables: tables.collect(),
            skipped_operations: (&known.skipped).into(),
            copies: known.copies.iter().map(ToString::to_string).collect(),
            kept: (&known.kept).into(),
            lost: (&known.lost).into(),
            leaked_blocks: known.leaked_blocks,
            leaked_bytes: known.leaked_bytes,
        }
    }
}

impl DamageReport {
    /// Lines for people; nothing if there is nothing to tell.
    pub(crate) fn words(&self) -> String {
        let mut text = String::new();
        for table in &self.tables {
            let _ = write!(text, "\nDAMAGED     {}: {}", table.place, table.what);
        }
        for copy in &self.copies {
            let _ = write!(text, "\nDAMAGED     {copy}: the other one is used");
        }
        let lists = [
            (
                "LOST",
                "operations of the log met damage",
                &self.skipped_operations,
            ),
            ("LOST", "changes could not be stored", &self.lost),
            ("DAMAGED", "blocks were left as they are", &self.kept),
        ];
        for (word, what, notes) in lists {
            if notes.count == 0 {
                continue;
            }
            let _ = write!(text, "\n{word:<11} {} {what}:", notes.count);
            for note in notes.named.iter().take(PRINTED) {
                let _ = write!(text, "\n            {}: {}", note.place, note.what);
            }
            if notes.count > PRINTED as u64 {
                let _ = write!(text, "\n            and {} more", notes.count - PRINTED as u64);
            }
        }
        if self.leaked_blocks > 0 {
            let (blocks, bytes) = (self.leaked_blocks, human(self.leaked_bytes));
            let _ = write!(
                text,
                "\nDAMAGED     {blocks} blocks ({bytes}) are kept, for no list can take them"
            );
        }
        // The mount names the first of each kind, as it met them. Only a check looks at
        // everything.
        if !text.is_empty() {
            text.push_str("\n`cairn check` names the paths of all that is damaged");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cairn_fs::{DamagedTable, Table};
    use cairn_merkle::DamagedCopy;
    use cairn_merkle::twin::{Part, Side};

    fn known() -> KnownDamage {
        let note = |n: u64| Note {
            place: format!("/d/f{n}").into_bytes(),
            cid: None,
            what: "block b is missing from the store".into(),
        };
        KnownDamage {
            tables: vec![DamagedTable {
                table: Table::Snapshots,
                cid: None,
                what: "block a is not what was written".into(),
            }],
            skipped: Notes {
                count: 70,
                named: (0..64).map(note).collect(),
            },
            copies: vec![DamagedCopy {
                part: Part::CommitBlock,
                side: Side::First,
            }],
            ..KnownDamage::default()
        }
    }

    #[test]
    fn all_known_damage_is_told_in_words_and_as_json() {
        let report = DamageReport::from(&known());
        let words = report.words();
        for expected in [
            "DAMAGED     snapshots: block a is not what was written",
            "DAMAGED     the first copy of the newest commit block is damaged: the other one is used",
            "LOST        70 operations of the log met damage:",
            "/d/f4: block b is missing from the store",
            "and 65 more",
        ] {
            assert!(words.contains(expected), "{expected:?} in {words}");
        }
        assert!(!words.contains("/d/f5"), "{words}");
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["tables"][0]["place"], "snapshots");
        assert_eq!(json["skipped_operations"]["count"], 70);
        assert_eq!(json["skipped_operations"]["named"][63]["place"], "/d/f63");
        assert_eq!(
            json["copies"][0],
            "the first copy of the newest commit block is damaged"
        );
    }

    #[test]
    fn a_whole_volume_has_no_line_for_damage() {
        assert_eq!(DamageReport::from(&KnownDamage::default()).words(), "");
    }
}
