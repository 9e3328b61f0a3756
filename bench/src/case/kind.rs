//! What a case is made of: its rows, their units and limits, when it runs and on which systems.
//!
//! ```text
//! Case --rows--> Row --unit--> Unit      what its values count
//!   |             `---limit--> Limit --> Part, Part, ...
//!   `--applies: everywhere, where_bytes_stay, on_the_disk
//! ```

use crate::program;
use crate::size::Sizes;
use crate::stage::Stage;
use crate::system::{Kind, System};
use anyhow::Result;

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

    /// Whether values of two systems compare. A quotient says how a system behaves beside itself, a
    /// count what a value stands on.
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
    /// Not worked out yet.
    Unknown,
    /// The parts come one after the other for each operation: their times add.
    Serial(&'static [Part]),
    /// The parts overlap: the slowest bounds, and so does the sum of their CPU time over all
    /// processors.
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
    pub(super) const fn unbounded(id: &'static str, title: &'static str, unit: Unit) -> Self {
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

/// For cases that every system can run, the empty one too.
pub(super) fn everywhere(_system: &dyn System) -> bool {
    true
}

/// For cases that read back what they wrote.
pub(super) fn where_bytes_stay(system: &dyn System) -> bool {
    system.keeps_bytes()
}

/// For cases that measure the machine.
pub(super) fn on_the_disk(system: &dyn System) -> bool {
    system.about().kind == Kind::Disk
}
