//! What Cairn is to reach, as data: the targets of the project's issues, and whether a run met
//! them.
//!
//! A target names a row, what of it, against what, and how much. `rival` is the better of gocryptfs
//! and securefs, row by row. A target whose row, rival or limit was not measured is open, never
//! met.

use crate::case::{self, Row};
use crate::stats::Summary;
use crate::system::{ANCHORED, DISK, OURS};
use crate::table::{Metric, Table};

/// The best FUSE rival is one of these.
pub(crate) const RIVALS: [&str; 2] = ["gocryptfs", "securefs"];
/// Every encrypted form of ZFS.
const SEALED_ZFS: [&str; 4] = ["zfs", "zfs-blake3", "zlfuse", "zlfuse-blake3"];
/// The kernel's own, encrypted.
const KERNEL_ZFS: [&str; 2] = ["zfs", "zfs-blake3"];

/// Against what.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Against {
    /// The best FUSE rival at this row.
    Rival,
    /// One system.
    System(&'static str),
    /// The row's limit on this machine.
    Limit,
    /// Nothing: a metric of its own must reach it (or stay below it, where less is better).
    Itself(Metric),
}

/// One target.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    /// The issue that sets it.
    pub(crate) issue: u32,
    /// The row it is about.
    pub(crate) row: &'static str,
    /// The system that is to reach it.
    system: &'static str,
    against: Against,
    wanted: f64,
}

const fn target(issue: u32, row: &'static str, against: Against, wanted: f64) -> Target {
    Target {
        issue,
        row,
        system: OURS,
        against,
        wanted,
    }
}

const fn rival(issue: u32, row: &'static str, wanted: f64) -> Target {
    target(issue, row, Against::Rival, wanted)
}

const fn disk(issue: u32, row: &'static str, wanted: f64) -> Target {
    target(issue, row, Against::System(DISK), wanted)
}

const fn btrfs(row: &'static str, wanted: f64) -> Target {
    target(3, row, Against::System("btrfs"), wanted)
}

const fn itself(issue: u32, row: &'static str, metric: Metric, wanted: f64) -> Target {
    target(issue, row, Against::Itself(metric), wanted)
}

const fn anchored(row: &'static str, against: Against, wanted: f64) -> Target {
    Target {
        system: ANCHORED,
        ..target(4, row, against, wanted)
    }
}

/// All of them but those that name every row.
static TARGETS: &[Target] = &[
    rival(2, "stream.write", 1.3),
    rival(2, "stream.read_cold", 1.3),
    rival(2, "random.write_4k", 1.0),
    rival(2, "random.read_4k", 1.0),
    rival(2, "fsync.t1", 1.0),
    rival(2, "tree.copy", 1.0),
    rival(2, "small.create", 1.2),
    rival(2, "small.delete", 1.2),
    rival(2, "small.stat", 2.0),
    rival(2, "small.list_cold", 1.0),
    itself(2, "scale.create", Metric::Value, 0.7),
    itself(2, "scale.read", Metric::Value, 0.7),
    itself(2, "scale.delete", Metric::Value, 0.7),
    itself(2, "scale.fsync", Metric::Value, 0.8),
    itself(2, "flat.create", Metric::Value, 0.7),
    itself(2, "flat.read", Metric::Value, 0.7),
    itself(2, "flat.delete", Metric::Value, 0.7),
    itself(2, "scale.mount_clean", Metric::Value, 1.0),
    itself(2, "scale.mount_crashed", Metric::Value, 5.0),
    target(3, "stream.write", Against::Limit, 0.65),
    rival(3, "stream.write", 1.8),
    btrfs("stream.write", 1.3),
    rival(3, "stream.read_cold", 1.5),
    disk(3, "stream.read_cold", 1.0),
    disk(3, "stream.read_warm", 0.9),
    rival(3, "random.write_4k", 1.5),
    rival(3, "random.read_4k", 1.1),
    rival(3, "big.read_4k", 1.0),
    disk(3, "fsync.t1", 0.8),
    btrfs("fsync.t1", 3.0),
    disk(3, "fsync.t16", 1.0),
    btrfs("fsync.t16", 3.0),
    rival(3, "small.create", 1.5),
    disk(3, "small.create", 0.5),
    rival(3, "small.stat", 3.0),
    rival(3, "small.list_cold", 1.3),
    rival(3, "small.delete", 1.5),
    rival(3, "tree.copy", 1.5),
    disk(3, "tree.copy", 0.5),
    rival(3, "tree.read_cold", 1.5),
    rival(3, "tree.remove", 1.5),
    rival(3, "sqlite.wal", 1.3),
    disk(3, "sqlite.wal", 0.6),
    rival(3, "sqlite.delete", 1.2),
    rival(3, "postgres.c2", 1.0),
    rival(3, "postgres.c4", 1.0),
    itself(3, "stream.write", Metric::DevicePerByte, 1.1),
    itself(3, "fsync.t1", Metric::DevicePerByte, 4.0),
    itself(3, "pause.write", Metric::Value, 50.0),
    itself(3, "pause.create", Metric::Value, 50.0),
    itself(3, "stream.write", Metric::DaemonCpuPerGib, 2.0),
    itself(3, "stream.read_cold", Metric::DaemonCpuPerGib, 1.8),
    anchored("publish.write", Against::System(OURS), 0.97),
    anchored("publish.late", Against::Itself(Metric::Value), 100.0),
    anchored("publish.handed", Against::Itself(Metric::Value), 100.0),
];

/// Most memory of the daemon at any row, in MiB.
const PEAK_MIB: f64 = 768.0;

/// How it came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Reached by the median and in every round.
    Met,
    /// Reached by the median, but not in every round.
    Barely,
    /// Not reached by the median.
    Missed,
    /// Not measured.
    Open,
}

impl Outcome {
    /// In a word.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Barely => "met, not in every round",
            Self::Missed => "**missed**",
            Self::Open => "not measured",
        }
    }

    fn of(found: Option<Summary>, wanted: f64, more_is_better: bool) -> Self {
        let Some(found) = found else { return Self::Open };
        // The median decides, so that one disturbed round fails no target. The worst round tells
        // whether it was close.
        let (good, worst) = if more_is_better {
            (found.median >= wanted, found.min >= wanted)
        } else {
            (found.median <= wanted, found.max <= wanted)
        };
        match (good, worst) {
            (true, true) => Self::Met,
            (true, false) => Self::Barely,
            (false, _) => Self::Missed,
        }
    }
}

/// A target with what a run says to it.
#[derive(Clone, Debug)]
pub(crate) struct Verdict {
    /// The issue that sets it.
    pub(crate) issue: u32,
    /// The row it is about.
    pub(crate) row: String,
    /// The same for people.
    pub(crate) title: String,
    /// What is wanted, in words.
    pub(crate) wanted: String,
    /// What was found, in the same unit.
    pub(crate) found: Option<Summary>,
    /// How it came out.
    pub(crate) outcome: Outcome,
}

/// All targets, judged by a run.
pub(crate) fn judge(table: &Table) -> Vec<Verdict> {
    let mut verdicts: Vec<Verdict> = TARGETS.iter().filter_map(|target| target.judge(table)).collect();
    verdicts.push(memory(table));
    verdicts.extend(against_zfs(table));
    verdicts
}

impl Target {
    fn judge(&self, table: &Table) -> Option<Verdict> {
        let (_, row) = case::row(self.row)?;
        let (found, wanted, more_is_better) = match self.against {
            Against::Rival => {
                // Row by row: neither rival is the better one everywhere.
                let best = table.best(row, &RIVALS);
                let name = best.map_or_else(String::new, |best| format!(" ({best})"));
                let found = best.and_then(|best| table.ratio(row, self.system, best));
                (found, format!("≥ {} × best FUSE rival{name}", self.wanted), true)
            }
            Against::System(system) => {
                let entry = table.run.systems.iter().find(|entry| entry.id == system);
                let name = entry.map_or(system, |entry| entry.title.as_str());
                (
                    table.ratio(row, self.system, system),
                    format!("≥ {} × {name}", self.wanted),
                    true,
                )
            }
            Against::Limit => (
                self.share(table, row),
                format!("≥ {:.0} % of the limit", self.wanted * 100.0),
                true,
            ),
            Against::Itself(metric) => {
                let found = table.summary(row.id, self.system, metric);
                let more = metric == Metric::Value && row.unit.grows_better();
                let sign = if more { '≥' } else { '≤' };
                (
                    found,
                    format!("{sign} {} {}", self.wanted, unit_of(metric, row)),
                    more,
                )
            }
        };
        Some(Verdict {
            issue: self.issue,
            row: row.id.into(),
            title: row.title.into(),
            wanted,
            found,
            outcome: Outcome::of(found.map(|found| self.judged(found)), self.wanted, more_is_better),
        })
    }

    /// The disk's counters hold what others wrote too, which can only add. So the quietest round
    /// decides, and the median takes the place of the worst.
    fn judged(&self, found: Summary) -> Summary {
        match self.against {
            Against::Itself(Metric::DevicePerByte) => Summary {
                median: found.min,
                max: found.median,
                ..found
            },
            _ => found,
        }
    }

    /// Share of the limit, round by round.
    fn share(&self, table: &Table, row: &Row) -> Option<Summary> {
        let limit = table.limit(row)?;
        let shares = table.series(row.id, self.system, Metric::Value).into_values();
        Summary::of(shares.map(|value| {
            if row.unit.grows_better() {
                value / limit
            } else {
                limit / value
            }
        }))
    }
}

fn unit_of(metric: Metric, row: &Row) -> &'static str {
    match metric {
        Metric::Value => row.unit.name(),
        Metric::DaemonCpuPerGib => "s of daemon CPU per GiB",
        Metric::DevicePerByte => "bytes on the device per byte of payload",
        Metric::SpacePerByte => "bytes of space per byte of payload",
        Metric::PeakMib => "MiB",
    }
}

/// The daemon's memory at its worst row.
fn memory(table: &Table) -> Verdict {
    let rows = case::ALL.iter().flat_map(|case| case.rows);
    let peaks: Vec<(&Row, Summary)> = rows
        .filter_map(|row| Some((row, table.summary(row.id, OURS, Metric::PeakMib)?)))
        .collect();
    let worst = peaks.iter().max_by(|a, b| a.1.max.total_cmp(&b.1.max));
    let found = worst.map(|(_, summary)| *summary);
    Verdict {
        issue: 2,
        row: worst.map_or_else(|| "all".into(), |(row, _)| row.id.into()),
        title: "peak memory of the daemon, at the worst row".into(),
        wanted: format!("≤ {PEAK_MIB} MiB"),
        found,
        outcome: Outcome::of(found, PEAK_MIB, false),
    }
}

/// Every row against every encrypted form of ZFS that was measured.
fn against_zfs(table: &Table) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for row in case::ALL
        .iter()
        .filter(|case| case.id != "raw")
        .flat_map(|case| case.rows)
        .filter(|row| row.unit.compares())
    {
        for system in SEALED_ZFS {
            let Some(found) = table.ratio(row, OURS, system) else {
                continue;
            };
            let strict = row.id.starts_with("stream.") || row.id.starts_with("fsync.");
            let wanted = if KERNEL_ZFS.contains(&system) && !strict {
                0.8
            } else {
                1.0
            };
            verdicts.push(Verdict {
                issue: 3,
                row: row.id.into(),
                title: row.title.into(),
                wanted: format!("≥ {wanted} × {system}"),
                found: Some(found),
                outcome: Outcome::of(Some(found), wanted, true),
            });
        }
    }
    verdicts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::tests::table;

    fn find<'a>(verdicts: &'a [Verdict], row: &str, wanted: &str) -> &'a Verdict {
        let found = verdicts
            .iter()
            .find(|verdict| verdict.row == row && verdict.wanted.starts_with(wanted));
        found.unwrap_or_else(|| panic!("no target {row} {wanted}: {verdicts:#?}"))
    }

    #[test]
    fn every_target_names_a_row_that_exists() {
        assert!(TARGETS.iter().all(|target| case::row(target.row).is_some()));
    }

    #[test]
    fn the_rival_is_the_better_of_two_and_rounds_are_paired() {
        let verdicts = judge(&table(&[
            ("stream.write", "cairn", &[400.0, 800.0]),
            ("stream.write", "gocryptfs", &[200.0, 400.0]),
            ("stream.write", "securefs", &[100.0, 100.0]),
        ]));
        let verdict = find(&verdicts, "stream.write", "≥ 1.8 ×");
        assert!(verdict.wanted.contains("gocryptfs"), "{}", verdict.wanted);
        assert_eq!(
            (verdict.found.unwrap().median, verdict.outcome),
            (2.0, Outcome::Met)
        );
        assert_eq!(
            find(&verdicts, "stream.write", "≥ 1.3 × btrfs").outcome,
            Outcome::Open
        );
    }

    #[test]
    fn less_is_better_for_times_and_costs() {
        let verdicts = judge(&table(&[
            ("scale.mount_clean", "cairn", &[0.5, 1.5]),
            ("stream.write", "cairn", &[400.0]),
            ("pause.write", "cairn", &[80.0]),
        ]));
        assert_eq!(
            find(&verdicts, "scale.mount_clean", "≤ 1 s").outcome,
            Outcome::Barely,
            "median 1.0, once 1.5"
        );
        assert_eq!(
            find(&verdicts, "stream.write", "≤ 1.1").outcome,
            Outcome::Missed,
            "two bytes for one"
        );
        assert_eq!(find(&verdicts, "pause.write", "≤ 50").outcome, Outcome::Missed);
        let memory = verdicts
            .iter()
            .find(|verdict| verdict.wanted == "≤ 768 MiB")
            .unwrap();
        assert_eq!(memory.outcome, Outcome::Met);
    }

    #[test]
    fn what_publishing_costs_is_anchored_cairn_against_plain() {
        let verdicts = judge(&table(&[
            ("publish.write", "cairn", &[100.0, 100.0]),
            ("publish.write", "cairn-anchored", &[98.0, 96.0]),
            ("publish.late", "cairn-anchored", &[3.0, 120.0]),
        ]));
        let cost = find(&verdicts, "publish.write", "≥ 0.97 × the cairn");
        assert_eq!(
            (cost.found.unwrap().median, cost.outcome),
            (0.97, Outcome::Barely)
        );
        let late = find(&verdicts, "publish.late", "≤ 100 ms");
        assert_eq!(late.outcome, Outcome::Barely);
    }

    #[test]
    fn only_zfs_forms_that_were_measured_are_judged_and_the_kernels_more_mildly() {
        let verdicts = judge(&table(&[
            ("small.create", "cairn", &[90.0]),
            ("small.create", "zlfuse", &[100.0]),
            ("small.create", "zfs", &[100.0]),
        ]));
        assert_eq!(
            find(&verdicts, "small.create", "≥ 1 × zlfuse").outcome,
            Outcome::Missed
        );
        assert_eq!(
            find(&verdicts, "small.create", "≥ 0.8 × zfs").outcome,
            Outcome::Met
        );
        assert!(
            !verdicts
                .iter()
                .any(|verdict| verdict.wanted.ends_with("zfs-blake3"))
        );
    }
}
