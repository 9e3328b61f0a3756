//! The workloads: what is done, which rows it fills, what it needs.
//!
//! ```text
//! Case "small" --run(stage)--> rows small.create, small.stat, small.list_cold, ...
//! ```
//!
//! A case is one file's worth of work on one fresh volume. It fills its rows in the order of its list; the rows' names
//! are what targets, reports and comparisons speak of, and never change their meaning.

mod apps;
mod commit;
mod copy;
mod database;
mod engine;
mod files;
mod grow;
mod publish;
mod raw;
mod stream;

use crate::program;
use crate::size::Sizes;
use crate::stage::Stage;
use crate::system::{Kind, System};
use anyhow::{Context, Result};

pub(crate) use copy::make_sources;

/// What a value counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// MiB per second.
    MibPerS,
    /// Operations per second.
    PerS,
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Millis,
    /// A quotient of two values of the same cell.
    Ratio,
    /// How often something happened.
    Count,
}

impl Unit {
    /// As tables show it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::MibPerS => "MiB/s",
            Self::PerS => "/s",
            Self::Seconds => "s",
            Self::Millis => "ms",
            Self::Ratio => "×",
            Self::Count => "times",
        }
    }

    /// Whether values of two systems compare. A quotient says how a system behaves beside itself, a count what a value
    /// stands on.
    pub(crate) fn compares(self) -> bool {
        !matches!(self, Self::Ratio | Self::Count)
    }

    /// Whether more is better.
    pub(crate) fn grows_better(self) -> bool {
        matches!(self, Self::MibPerS | Self::PerS | Self::Ratio | Self::Count)
    }
}

/// A part of what bounds a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The same row on the empty FUSE filesystem.
    Hop,
    /// The same row on the disk's own filesystem.
    Disk,
    /// A row of the case `raw`.
    Raw(&'static str),
}

/// What no sealed FUSE filesystem on this machine can beat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// Nobody has worked it out.
    Unknown,
    /// The parts come one after the other for each operation: their times add.
    Serial(&'static [Part]),
    /// The parts overlap: the slowest bounds, and so does the sum of their CPU time over all processors.
    Pipeline(&'static [Part]),
}

/// One line of the tables.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    /// Its name.
    pub(crate) id: &'static str,
    /// What it says to people.
    pub(crate) title: &'static str,
    /// What its values count.
    pub(crate) unit: Unit,
    /// What bounds it.
    pub(crate) limit: Limit,
}

impl Row {
    /// A row that nothing known bounds.
    const fn unbounded(id: &'static str, title: &'static str, unit: Unit) -> Self {
        Self {
            id,
            title,
            unit,
            limit: Limit::Unknown,
        }
    }
}

/// When a case runs without being asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Tier {
    /// In every run.
    Core,
    /// In full runs.
    More,
    /// Only with `--all` or by name: it takes long.
    Long,
}

/// A workload.
pub(crate) struct Case {
    /// Its name.
    pub(crate) id: &'static str,
    /// Its name for people.
    pub(crate) title: &'static str,
    /// What it does, in a sentence.
    pub(crate) about: &'static str,
    /// What it fills, in order.
    pub(crate) rows: &'static [Row],
    /// Programs it cannot do without, each with its Debian package.
    pub(crate) programs: &'static [(&'static str, &'static str)],
    /// When it runs.
    pub(crate) tier: Tier,
    /// On what it makes sense.
    pub(crate) applies: fn(&dyn System) -> bool,
    /// About how long it takes, in seconds; the remaining time starts from it.
    pub(crate) guess_s: fn(&Sizes) -> f64,
    /// Does it.
    pub(crate) run: fn(&mut Stage) -> Result<()>,
}

impl Case {
    /// What is missing on this machine to run it, with the packages that would bring it.
    pub(crate) fn missing(&self) -> Option<(String, Vec<&'static str>)> {
        let missing: Vec<_> = self
            .programs
            .iter()
            .filter(|(name, _)| program::find(name).is_none())
            .collect();
        (!missing.is_empty()).then(|| {
            let names: Vec<_> = missing.iter().map(|(name, _)| *name).collect();
            let packages: Vec<_> = missing.iter().map(|(_, package)| *package).collect();
            (
                format!("needs {}: apt install {}", names.join(", "), packages.join(" ")),
                packages,
            )
        })
    }
}

/// Every case, in the order of tables.
pub(crate) static ALL: &[&Case] = &[
    &raw::RAW,
    &engine::ENGINE,
    &stream::STREAM,
    &stream::RANDOM,
    &stream::FSYNC,
    &files::SMALL,
    &copy::TREE,
    &database::SQLITE,
    &stream::BIG,
    &stream::DIRECT,
    &stream::MIXED,
    &files::APPEND,
    &files::DEEP,
    &apps::PROGRAMS,
    &apps::LSM,
    &database::POSTGRES,
    &commit::PAUSE,
    &commit::SNAPSHOT,
    &publish::PUBLISH,
    &grow::TREE,
    &grow::FLAT,
    &commit::FILL,
    &commit::SUSTAINED,
];

/// The case with this name.
pub(crate) fn by_id(id: &str) -> Result<&'static Case> {
    ALL.iter()
        .find(|case| case.id == id)
        .copied()
        .with_context(|| format!("there is no workload `{id}`: see `cairn-bench list`"))
}

/// The row with this name, and its case.
pub(crate) fn row(id: &str) -> Option<(&'static Case, &'static Row)> {
    ALL.iter()
        .find_map(|case| Some((*case, case.rows.iter().find(|row| row.id == id)?)))
}

/// For cases that every system can run, the empty one too.
fn everywhere(_system: &dyn System) -> bool {
    true
}

/// For cases that read back what they wrote.
fn where_bytes_stay(system: &dyn System) -> bool {
    system.keeps_bytes()
}

/// For cases that measure the machine.
fn on_the_disk(system: &dyn System) -> bool {
    system.about().kind == Kind::Disk
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_a_row_begins_with_its_case() {
        let cases: BTreeSet<_> = ALL.iter().map(|case| case.id).collect();
        assert_eq!(cases.len(), ALL.len());
        let rows: Vec<_> = ALL
            .iter()
            .flat_map(|case| case.rows.iter().map(move |row| (case, row)))
            .collect();
        assert_eq!(
            rows.iter().map(|(_, row)| row.id).collect::<BTreeSet<_>>().len(),
            rows.len()
        );
        for (case, row) in rows {
            assert!(row.id.starts_with(&format!("{}.", case.id)), "{}", row.id);
        }
    }

    #[test]
    fn limits_name_rows_of_the_raw_case() {
        for row in ALL.iter().flat_map(|case| case.rows) {
            let (Limit::Serial(parts) | Limit::Pipeline(parts)) = row.limit else {
                continue;
            };
            for part in parts {
                if let Part::Raw(id) = part {
                    assert!(raw::RAW.rows.iter().any(|raw| raw.id == *id), "{}: {id}", row.id);
                }
            }
        }
    }
}
