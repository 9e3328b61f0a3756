//! All cells of a run as one table: medians, ratios, limits, costs. Reports, targets and
//! comparisons read from here.

use crate::case::{self, Limit, Part, Row, Unit};
use crate::result::{Cell, Cost, Figure, Run};
use crate::stats::{Series, Summary, pairwise};
use std::collections::BTreeMap;

/// What can be asked of a row on a system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Metric {
    /// The row's own value.
    Value,
    /// CPU seconds of the daemon per GiB of payload.
    DaemonCpuPerGib,
    /// Bytes that the disk was given per byte of payload, by all processes.
    DevicePerByte,
    /// Growth of the space in use per byte of payload.
    SpacePerByte,
    /// Most memory of the daemon, in MiB.
    PeakMib,
}

impl Metric {
    fn of(self, figure: &Figure) -> Option<f64> {
        let cost: &Cost = &figure.cost;
        let payload = (cost.payload_bytes > 0).then_some(cost.payload_bytes as f64);
        match self {
            Self::Value => Some(figure.value),
            // Without a daemon there is nothing to tell: a kernel filesystem must not pass for one
            // that needs no processor.
            Self::DaemonCpuPerGib => Some(cost.daemon_cpu_s? / payload? * f64::from(1 << 30)),
            Self::DevicePerByte => Some(cost.device_bytes? as f64 / payload?),
            Self::SpacePerByte => Some(cost.space_bytes as f64 / payload?),
            Self::PeakMib => Some(cost.daemon_peak_bytes? as f64 / f64::from(1 << 20)),
        }
    }
}

/// A run with its cells.
pub(crate) struct Table {
    /// What was asked for, and where.
    pub(crate) run: Run,
    /// What came of it.
    pub(crate) cells: Vec<Cell>,
    /// Figures by row, system and round.
    figures: BTreeMap<(String, String), BTreeMap<u32, Figure>>,
}

impl Table {
    /// Of these cells.
    pub(crate) fn new(run: Run, cells: Vec<Cell>) -> Self {
        let mut figures: BTreeMap<(String, String), BTreeMap<u32, Figure>> = BTreeMap::new();
        for cell in &cells {
            for figure in &cell.figures {
                let key = (figure.row.clone(), cell.system.clone());
                figures.entry(key).or_default().insert(cell.round, figure.clone());
            }
        }
        Self { run, cells, figures }
    }

    /// The figures of a row on a system, by round.
    pub(crate) fn figures(&self, row: &str, system: &str) -> impl Iterator<Item = (u32, &Figure)> {
        let found = self.figures.get(&(row.to_owned(), system.to_owned()));
        found
            .into_iter()
            .flatten()
            .map(|(round, figure)| (*round, figure))
    }

    /// A metric by round.
    pub(crate) fn series(&self, row: &str, system: &str, metric: Metric) -> Series {
        self.figures(row, system)
            .filter_map(|(round, figure)| Some((round, metric.of(figure)?)))
            .collect()
    }

    /// A metric over all rounds.
    pub(crate) fn summary(&self, row: &str, system: &str, metric: Metric) -> Option<Summary> {
        Summary::of(self.series(row, system, metric).into_values())
    }

    /// The row's value over all rounds.
    pub(crate) fn value(&self, row: &str, system: &str) -> Option<Summary> {
        self.summary(row, system, Metric::Value)
    }

    /// How many times better `ours` is than `theirs`, pair by pair; below 1 it is worse, whatever
    /// the unit.
    pub(crate) fn ratio(&self, row: &Row, ours: &str, theirs: &str) -> Option<Summary> {
        let (a, b) = (
            self.series(row.id, ours, Metric::Value),
            self.series(row.id, theirs, Metric::Value),
        );
        if row.unit.grows_better() {
            // Above 1 is better in either case: of times the quotient is turned over.
            pairwise(&a, &b)
        } else {
            pairwise(&b, &a)
        }
    }

    /// The best of some systems at a row.
    pub(crate) fn best<'a>(&self, row: &Row, systems: &[&'a str]) -> Option<&'a str> {
        let mut found: Vec<(&str, f64)> = systems
            .iter()
            .filter_map(|system| Some((*system, self.value(row.id, system)?.median)))
            .collect();
        found.sort_by(|a, b| a.1.total_cmp(&b.1));
        let best = if row.unit.grows_better() {
            found.last()
        } else {
            found.first()
        };
        best.map(|(system, _)| *system)
    }

    /// The limit of a row on this machine, in the row's unit.
    pub(crate) fn limit(&self, row: &Row) -> Option<f64> {
        let seconds = match row.limit {
            Limit::Unknown => return None,
            Limit::Serial(parts) => {
                parts
                    .iter()
                    .map(|part| self.part(row, *part))
                    .sum::<Option<Load>>()?
                    .wall
            }
            Limit::Pipeline(parts) => {
                let loads: Vec<Load> = parts
                    .iter()
                    .map(|part| self.part(row, *part))
                    .collect::<Option<_>>()?;
                // Parts that overlap take as long as the slowest of them. All of them share the
                // processors, though.
                let slowest = loads.iter().map(|load| load.wall).fold(0.0, f64::max);
                let cpu: f64 = loads.iter().map(|load| load.cpu).sum();
                slowest.max(cpu / self.run.machine.cpus.max(1) as f64)
            }
        };
        Some(if row.unit.grows_better() {
            1.0 / seconds
        } else {
            seconds
        })
    }

    /// How much of the limit a system reaches.
    pub(crate) fn share(&self, row: &Row, system: &str) -> Option<f64> {
        let (limit, value) = (self.limit(row)?, self.value(row.id, system)?.median);
        Some(if row.unit.grows_better() {
            value / limit
        } else {
            limit / value
        })
    }

    /// What one unit of a row costs in one of its parts.
    fn part(&self, row: &Row, part: Part) -> Option<Load> {
        let (id, system) = match part {
            Part::Hop => (row.id, "null"),
            Part::Disk => (row.id, "disk"),
            Part::Raw(id) => (id, "disk"),
        };
        // A raw limit has a row, and so a unit, of its own.
        let unit = case::row(id).map_or(row.unit, |(_, row)| row.unit);
        let loads: Vec<Load> = self
            .figures(id, system)
            .map(|(_, figure)| Load::of(figure, unit))
            .collect();
        Some(Load {
            wall: Summary::of(loads.iter().map(|load| load.wall))?.median,
            cpu: Summary::of(loads.iter().map(|load| load.cpu))?.median,
        })
    }
}

/// Seconds per unit: on the clock, and of processors.
#[derive(Clone, Copy, Debug, Default)]
struct Load {
    wall: f64,
    cpu: f64,
}

impl Load {
    fn of(figure: &Figure, unit: Unit) -> Self {
        let cost = figure.cost;
        let cpu = cost.app_cpu_s + cost.daemon_cpu_s.unwrap_or(0.0);
        if unit.grows_better() {
            let cpu = if figure.units > 0.0 {
                cpu / figure.units
            } else {
                0.0
            };
            Self {
                wall: 1.0 / figure.value,
                cpu,
            }
        } else {
            Self {
                wall: figure.value,
                cpu,
            }
        }
    }
}

impl std::iter::Sum for Load {
    fn sum<I: Iterator<Item = Self>>(loads: I) -> Self {
        loads.fold(Self::default(), |a, b| Self {
            wall: a.wall + b.wall,
            cpu: a.cpu + b.cpu,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::machine::Machine;
    use crate::result::{Absence, FORMAT, SystemEntry};
    use crate::size::Depth;

    /// A table of these values: row, system, one value per round.
    pub(crate) fn table(values: &[(&str, &str, &[f64])]) -> Table {
        let mut systems: Vec<SystemEntry> = Vec::new();
        let mut cells: Vec<Cell> = Vec::new();
        let mut cases: Vec<String> = Vec::new();
        for (row, system, rounds) in values {
            let case = row.split('.').next().unwrap().to_owned();
            if !systems.iter().any(|entry| entry.id == *system) {
                systems.push(SystemEntry {
                    id: (*system).into(),
                    title: format!("the {system}"),
                    version: "1.0".into(),
                    includes: "much".into(),
                    leaves_out: "little".into(),
                });
            }
            if !cases.contains(&case) {
                cases.push(case.clone());
            }
            for (index, value) in rounds.iter().enumerate() {
                let cost = Cost {
                    seconds: 1.0,
                    payload_bytes: 1 << 30,
                    daemon_cpu_s: Some(0.5),
                    app_cpu_s: 0.25,
                    daemon_peak_bytes: Some(100 << 20),
                    device_bytes: Some(2 << 30),
                    ..Cost::default()
                };
                let figure = Figure {
                    row: (*row).into(),
                    value: *value,
                    units: *value,
                    latency: None,
                    cost,
                };
                cells.push(Cell {
                    case: case.clone(),
                    system: (*system).into(),
                    round: index as u32 + 1,
                    seconds: 2.0,
                    figures: vec![figure],
                    notes: Vec::new(),
                    error: None,
                });
            }
        }
        let run = Run {
            format: FORMAT,
            started: "2026-01-01 00:00:00".into(),
            command: "cairn-bench run".into(),
            machine: Machine {
                cpus: 2,
                cpu: "A <processor>".into(),
                ..Machine::default()
            },
            depth: Depth::Full,
            sizes: Depth::Full.sizes(),
            rounds: 2,
            systems,
            absent: vec![Absence {
                id: "zfs".into(),
                why: "there is no /dev/zfs".into(),
            }],
            cases,
            absent_cases: Vec::new(),
        };
        Table::new(run, cells)
    }

    #[test]
    fn a_ratio_above_one_is_better_in_every_unit() {
        let table = table(&[
            ("small.create", "cairn", &[100.0, 220.0]),
            ("small.create", "disk", &[50.0, 110.0]),
            ("tree.copy", "cairn", &[1.0, 2.0]),
            ("tree.copy", "disk", &[2.0, 4.0]),
        ]);
        for id in ["small.create", "tree.copy"] {
            let row = case::row(id).unwrap().1;
            let ratio = table.ratio(row, "cairn", "disk").unwrap();
            assert_eq!((ratio.median, ratio.count), (2.0, 2), "{id}");
            assert_eq!(table.best(row, &["disk", "cairn", "nobody"]), Some("cairn"));
        }
    }

    #[test]
    fn parts_in_a_row_add_their_times_and_parts_at_once_their_cpu() {
        let table = table(&[
            ("fsync.t1", "null", &[10_000.0]),
            ("raw.disk_fsync", "disk", &[10_000.0]),
            ("fsync.t1", "cairn", &[2500.0]),
            ("stream.write", "null", &[1000.0]),
            ("raw.disk_write", "disk", &[2000.0]),
            ("raw.blake3", "disk", &[4000.0]),
            ("raw.aead", "disk", &[500.0]),
        ]);
        let serial = case::row("fsync.t1").unwrap().1;
        assert!((table.limit(serial).unwrap() - 5000.0).abs() < 1e-6);
        assert!((table.share(serial, "cairn").unwrap() - 0.5).abs() < 1e-9);
        // The slowest part is the cipher, at 500; the CPU of all: 0.75 s of each second and part,
        // on two processors.
        let pipeline = case::row("stream.write").unwrap().1;
        assert!((table.limit(pipeline).unwrap() - 500.0).abs() < 1e-6);
        let unknown = case::row("random.read_16k").unwrap().1;
        assert_eq!(table.limit(unknown), None);
    }

    #[test]
    fn costs_are_per_payload() {
        let table = table(&[("stream.write", "cairn", &[1000.0])]);
        let metric = |metric| {
            table
                .summary("stream.write", "cairn", metric)
                .map(|summary| summary.median)
        };
        assert_eq!(metric(Metric::DaemonCpuPerGib), Some(0.5));
        assert_eq!(metric(Metric::DevicePerByte), Some(2.0));
        assert_eq!(metric(Metric::PeakMib), Some(100.0));
        assert_eq!(metric(Metric::SpacePerByte), Some(0.0));
    }
}
