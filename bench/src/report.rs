//! Reports: the same document as Markdown and as one HTML page, plots as SVG and PNG, and the
//! numbers as JSON.
//!
//! ```text
//! RUN/run.json, cells/ --> Table --> Document --> report.md, report.html, docs/benchmarks.md
//!                            |`----> plots/*.svg --> plots/*.png
//!                            `-----> summary.json
//! ```
//!
//! **Invariant:** a report is made from a run's directory alone, so it can be made again, elsewhere
//! and later.

mod document;
mod plot;
mod sections;

use crate::result::{RunDir, write_json};
use crate::table::{Metric, Table};
use crate::{case, system, target};
use anyhow::{Context, Result};
use document::Document;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

pub(crate) use document::number;

/// Writes all of a run's reports; answers the files. `docs` gets the text too, with one plot beside
/// it. `guest` is a run of ZFS and ext4 in a guest: its ratios are shown, and none of its figures.
pub(crate) fn write(run: &Path, docs: Option<&Path>, guest: Option<&Path>) -> Result<Vec<PathBuf>> {
    let load = |path: &Path| -> Result<(RunDir, Table)> {
        let (dir, run) = RunDir::open(path)?;
        let table = Table::new(run, dir.cells()?);
        Ok((dir, table))
    };
    let (dir, table) = load(run)?;
    let guest = guest.map(load).transpose()?.map(|(_, table)| table);
    let plots = plot::all(&table);
    let mut files = Vec::new();
    let mut keep = |path: PathBuf, bytes: &[u8]| -> Result<()> {
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        files.push(path);
        Ok(())
    };
    let folder = dir.path().join("plots");
    fs::create_dir_all(&folder)?;
    for (name, svg) in &plots {
        keep(folder.join(format!("{name}.svg")), svg.as_bytes())?;
        keep(folder.join(format!("{name}.png")), &plot::png(svg)?)?;
    }
    let document: Document = sections::document(&table, guest.as_ref(), &plots);
    keep(dir.path().join("report.html"), document.html(&plots).as_bytes())?;
    keep(
        dir.path().join("report.md"),
        document.markdown("plots").as_bytes(),
    )?;
    if let Some(docs) = docs {
        let stem = docs.file_stem().context("--docs names no file")?;
        let beside = docs.with_file_name(stem);
        fs::create_dir_all(&beside)?;
        let shown = document.only_plot(plot::OVERVIEW);
        if let Some((name, svg)) = plots.iter().find(|(name, _)| name == plot::OVERVIEW) {
            keep(beside.join(format!("{name}.svg")), svg.as_bytes())?;
        }
        keep(
            docs.to_owned(),
            shown.markdown(&stem.to_string_lossy()).as_bytes(),
        )?;
    }
    let summary = dir.path().join("summary.json");
    write_json(&summary, &summarise(&table))?;
    files.push(summary);
    Ok(files)
}

/// The numbers behind the tables, for programs.
fn summarise(table: &Table) -> Value {
    let rows = case::ALL.iter().flat_map(|case| case.rows);
    let rows: Vec<Value> = rows
        .flat_map(|row| {
            table
                .run
                .systems
                .iter()
                .map(move |system| (row, system.id.as_str()))
        })
        .filter_map(|(row, system)| {
            let metric = |metric| {
                table
                    .summary(row.id, system, metric)
                    .map(|summary| summary.median)
            };
            Some(json!({
                "row": row.id,
                "system": system,
                "unit": row.unit.name(),
                "value": table.value(row.id, system)?,
                "limit": table.limit(row),
                "share_of_limit": table.share(row, system),
                "ratio_of_cairn": table.ratio(row, system::OURS, system),
                "daemon_cpu_s_per_gib": metric(Metric::DaemonCpuPerGib),
                "daemon_peak_mib": metric(Metric::PeakMib),
                "device_per_byte": metric(Metric::DevicePerByte),
                "space_per_byte": metric(Metric::SpacePerByte),
            }))
        })
        .collect();
    let targets: Vec<Value> = target::judge(table)
        .into_iter()
        .map(|verdict| {
            json!({
                "issue": verdict.issue,
                "row": verdict.row,
                "wanted": verdict.wanted,
                "found": verdict.found,
                "outcome": verdict.outcome.word().trim_matches('*'),
            })
        })
        .collect();
    json!({ "run": table.run, "rows": rows, "targets": targets })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::tests::table;

    #[test]
    fn a_report_is_whole_and_can_be_made_again() {
        let temp = tempfile::tempdir().unwrap();
        let table = table(&[
            ("stream.write", "disk", &[900.0, 1000.0]),
            ("stream.write", "cairn", &[400.0, 500.0]),
            ("stream.write", "gocryptfs", &[300.0, 310.0]),
            ("tree.copy", "cairn", &[2.0]),
        ]);
        let run = temp.path().join("run");
        let dir = RunDir::create(&run, &table.run).unwrap();
        table.cells.iter().for_each(|cell| dir.save(cell).unwrap());
        let docs = temp.path().join("docs/benchmarks.md");
        fs::create_dir(temp.path().join("docs")).unwrap();
        write(&run, Some(&docs), None).unwrap();
        write(&run, Some(&docs), None).unwrap();
        let html = fs::read_to_string(run.join("report.html")).unwrap();
        assert!(
            html.contains("<svg") && html.contains("A &lt;processor&gt;"),
            "inline plots, escaped text"
        );
        assert!(
            !html.contains("src=\"http") && !html.contains("href=\"http"),
            "opens without a network"
        );
        let text = fs::read_to_string(docs).unwrap();
        for needed in [
            "sequential write",
            "the gocryptfs",
            "±",
            "**missed**",
            "no /dev/zfs",
            "cairn-bench run",
            "benchmarks/overview.svg",
        ] {
            assert!(text.contains(needed), "{needed} is not in\n{text}");
        }
        assert!(!text.contains("User-Mode"));
        let summary: Value = serde_json::from_slice(&fs::read(run.join("summary.json")).unwrap()).unwrap();
        let median = summary["rows"]
            .as_array()
            .unwrap()
            .iter()
            .find(|row| row["system"] == "cairn")
            .unwrap();
        assert_eq!(median["value"]["median"], 450.0);
        assert!(
            fs::read(run.join("plots/stream.png"))
                .unwrap()
                .starts_with(b"\x89PNG")
        );
    }

    #[test]
    fn what_holds_rows_of_one_cause_is_said_once() {
        let table = table(&[
            ("small.create", "disk", &[40_000.0]),
            ("small.create", "cairn", &[10_000.0]),
            ("tree.copy", "disk", &[1.0]),
            ("tree.copy", "cairn", &[3.0]),
        ]);
        let text = sections::document(&table, None, &[]).markdown("plots");
        let said: Vec<_> = text
            .lines()
            .filter(|line| line.starts_with("### What holds"))
            .collect();
        assert_eq!(said, ["### What holds `small.create`, `tree.copy`"], "{text}");
    }

    #[test]
    fn of_a_guest_only_ratios_are_shown() {
        let here = table(&[
            ("stream.write", "disk", &[1000.0]),
            ("stream.write", "cairn", &[500.0]),
        ]);
        let there = table(&[
            ("stream.write", "disk", &[311.0]),
            ("stream.write", "zfs", &[77.75]),
        ]);
        let text = sections::document(&here, Some(&there), &[]).markdown("plots");
        let line = text.lines().find(|line| line.contains("0.250"));
        assert!(
            line.is_some_and(|line| line.contains("0.500") && line.contains("2.00")),
            "{text}"
        );
        assert!(!text.contains("311") && !text.contains("77.8"));
        let failed = table(&[("stream.write", "disk", &[311.0]), ("sqlite.wal", "zfs", &[9.0])]);
        let text = sections::document(&here, Some(&failed), &[]).markdown("plots");
        assert!(!text.contains("in the guest |"), "a table without rows:\n{text}");
    }
}
