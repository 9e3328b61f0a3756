//! Two runs side by side: before and after a change.
//!
//! The disk's own filesystem was measured in both, so the table also shows how much the machine
//! itself differed. A change of Cairn's below that, or within the two runs' ranges, proves
//! nothing.

use crate::case::{self, Row};
use crate::output::print;
use crate::report::number;
use crate::result::RunDir;
use crate::stats::Summary;
use crate::table::Table;
use anyhow::Result;
use serde::Serialize;
use std::fmt::Write;
use std::path::Path;

/// One row of one system in both runs.
#[derive(Debug, Serialize)]
struct Change {
    row: &'static str,
    system: String,
    unit: &'static str,
    before: Summary,
    after: Summary,
    /// How many times better after than before; below 1 it is worse, whatever the unit.
    ratio: f64,
    /// Whether the ranges of the two runs do not even touch.
    clear: bool,
    /// The same ratio of the disk's own filesystem.
    machine: Option<f64>,
}

/// Prints the comparison.
pub(crate) fn compare(before: &Path, after: &Path, systems: &[String], json: bool) -> Result<()> {
    let load = |path: &Path| -> Result<Table> {
        let (dir, run) = RunDir::open(path)?;
        Ok(Table::new(run, dir.cells()?))
    };
    let (before, after) = (load(before)?, load(after)?);
    let changes = changes(&before, &after, systems);
    if json {
        return print(&format!("{}\n", serde_json::to_string_pretty(&changes)?));
    }
    let mut out = String::new();
    if before.run.sizes != after.run.sizes {
        writeln!(
            out,
            "The two runs have different sizes ({}, {}): ratios mean little.\n",
            before.run.depth.name(),
            after.run.depth.name()
        )?;
    }
    if before.run.machine.cpu != after.run.machine.cpu
        || before.run.machine.kernel != after.run.machine.kernel
    {
        writeln!(out, "The two runs are of different machines or kernels.\n")?;
    }
    writeln!(
        out,
        "{:<24} {:<18} {:>12} {:>12} {:>8}  {:>9}",
        "row", "system", "before", "after", "better", "disk's own"
    )?;
    for change in &changes {
        writeln!(
            out,
            "{:<24} {:<18} {:>12} {:>12} {:>7}×  {:>8}×{}",
            change.row,
            change.system,
            number(change.before.median),
            number(change.after.median),
            number(change.ratio),
            change.machine.map_or_else(|| "–".into(), number),
            if change.clear { "" } else { "  (within the spread)" }
        )?;
    }
    print(&out)
}

fn changes(before: &Table, after: &Table, systems: &[String]) -> Vec<Change> {
    let rows = case::ALL.iter().flat_map(|case| case.rows);
    let wanted = |id: &str| systems.is_empty() || systems.iter().any(|system| system == id);
    let ids: Vec<&str> = after
        .run
        .systems
        .iter()
        .map(|entry| entry.id.as_str())
        .filter(|id| wanted(id))
        .collect();
    rows.flat_map(|row| ids.iter().map(move |id| (row, *id)))
        .filter_map(|(row, id)| change(before, after, row, id))
        .collect()
}

fn better(row: &Row, before: &Summary, after: &Summary) -> f64 {
    if row.unit.grows_better() {
        after.median / before.median
    } else {
        before.median / after.median
    }
}

fn change(before: &Table, after: &Table, row: &'static Row, system: &str) -> Option<Change> {
    let (old, new) = (before.value(row.id, system)?, after.value(row.id, system)?);
    // The disk's own filesystem changes with the machine alone.
    let disk = before.value(row.id, "disk").zip(after.value(row.id, "disk"));
    Some(Change {
        row: row.id,
        system: system.to_owned(),
        unit: row.unit.name(),
        before: old,
        after: new,
        ratio: better(row, &old, &new),
        clear: old.max < new.min || new.max < old.min,
        machine: disk.map(|(old, new)| better(row, &old, &new)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::tests::table;

    #[test]
    fn a_change_is_clear_only_outside_the_spread_and_stands_beside_the_machines_own() {
        let before = table(&[
            ("tree.copy", "cairn", &[4.0, 5.0]),
            ("tree.copy", "disk", &[1.0]),
            ("small.stat", "cairn", &[10.0, 20.0]),
        ]);
        let after = table(&[
            ("tree.copy", "cairn", &[2.0, 2.5]),
            ("tree.copy", "disk", &[2.0]),
            ("small.stat", "cairn", &[15.0, 16.0]),
        ]);
        let changes = changes(&before, &after, &["cairn".into()]);
        assert_eq!(changes.len(), 2);
        let copy = changes.iter().find(|change| change.row == "tree.copy").unwrap();
        assert_eq!((copy.ratio, copy.clear, copy.machine), (2.0, true, Some(0.5)));
        let stat = changes.iter().find(|change| change.row == "small.stat").unwrap();
        assert!(!stat.clear && stat.machine.is_none());
    }
}
