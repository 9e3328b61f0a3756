//! What a repair did, and what earlier ones took away.

use cairn_fs::{Gone, Loss, Repaired};
use serde::{Deserialize, Serialize};

/// What repairs of a volume took away, in numbers.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct RepairedReport {
    /// The version that the last repair made.
    pub(crate) epoch: u64,
    /// How many repairs there were.
    pub(crate) repairs: u64,
    /// Names of files that are gone.
    pub(crate) files: u64,
    /// Names of files that are kept in part.
    pub(crate) partial: u64,
    /// Names that are gone with a part of their directory.
    pub(crate) names: u64,
    /// Files that lost all their names.
    pub(crate) nameless: u64,
    /// Snapshots that are gone.
    pub(crate) snapshots: u64,
    /// Losses that are not in the list, for it is full.
    pub(crate) unlisted: u64,
    /// The same in words.
    pub(crate) summary: String,
}

impl From<&Repaired> for RepairedReport {
    fn from(repaired: &Repaired) -> Self {
        Self {
            epoch: repaired.epoch,
            repairs: repaired.repairs,
            files: repaired.files,
            partial: repaired.partial,
            names: repaired.names,
            nameless: repaired.nameless,
            snapshots: repaired.snapshots,
            unlisted: repaired.unlisted,
            summary: repaired.words(),
        }
    }
}

impl RepairedReport {
    /// For people.
    pub(crate) fn words(&self) -> String {
        let times = match self.repairs {
            1 => String::new(),
            more => format!(", the last of {more} times,"),
        };
        format!(
            "this volume was repaired{times} in epoch {}: {}",
            self.epoch, self.summary
        )
    }
}

/// One loss.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct GoneReport {
    /// The version that the repair made.
    pub(crate) epoch: u64,
    /// From the volume's root (bytes that are no UTF-8 are replaced).
    pub(crate) path: String,
    /// `file`, `bytes`, `names`, `name`, `snapshot` or `part`.
    pub(crate) loss: String,
    /// Where the rest is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) kept: Option<String>,
    /// Ranges of bytes that are holes now: first byte, and the one behind the last.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) ranges: Vec<(u64, u64)>,
    /// Bytes or names lost.
    #[serde(default)]
    pub(crate) count: u64,
}

impl From<&Gone> for GoneReport {
    fn from(gone: &Gone) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (loss, kept, ranges, count) = match &gone.loss {
            Loss::File => ("file", None, Vec::new(), 0),
            Loss::Bytes { kept, ranges, bytes } => {
                let ranges = ranges.iter().map(|range| (range.start, range.end)).collect();
                ("bytes", Some(text(kept)), ranges, *bytes)
            }
            Loss::Names { count } => ("names", None, Vec::new(), *count),
            Loss::Name { kept } => ("name", Some(text(kept)), Vec::new(), 0),
            Loss::Snapshot => ("snapshot", None, Vec::new(), 0),
            Loss::Part => ("part", None, Vec::new(), 0),
        };
        Self {
            epoch: gone.epoch,
            path: text(&gone.path),
            loss: loss.into(),
            kept,
            ranges,
            count,
        }
    }
}

impl std::fmt::Display for GoneReport {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (path, count) = (&self.path, self.count);
        let kept = self.kept.as_deref().unwrap_or_default();
        match self.loss.as_str() {
            "bytes" => write!(f, "{path}: {count} bytes, now holes; the rest is {kept}"),
            "names" => write!(f, "{path}: {count} of its names, and all below them"),
            "name" => write!(f, "{path}: all its names; it is {kept} now"),
            "part" => write!(f, "{path}: a part of it"),
            _ => write!(f, "{path}"),
        }
    }
}
