//! What a report says, in its order.

use super::document::{Block, Document, number};
use super::plot::OVERVIEW;
use crate::case::{self, Case, Row};
use crate::size::Depth;
use crate::stats::Summary;
use crate::system::{self, DISK, OURS, Setup};
use crate::table::{Metric, Table};
use crate::target::{self, Outcome, Verdict};
use std::collections::BTreeSet;

/// The whole report.
pub(super) fn document(table: &Table, guest: Option<&Table>, plots: &[(String, String)]) -> Document {
    let mut out = Document::default();
    let verdicts = target::judge(table);
    out.heading(1, "Benchmarks");
    opening(&mut out, table, &verdicts);
    if plots.iter().any(|(name, _)| name == OVERVIEW) {
        let title = "Every row as a multiple of the disk's own filesystem: dots are medians, lines the range of all rounds";
        out.push(Block::Plot(OVERVIEW.into(), title.into()));
    }
    targets(&mut out, &verdicts);
    machine(&mut out, table);
    systems(&mut out, table);
    for case in case::ALL
        .iter()
        .filter(|case| table.run.cases.iter().any(|id| id == case.id))
    {
        one_case(&mut out, table, case);
        if plots.iter().any(|(name, _)| name == case.id) {
            out.push(Block::Plot(
                case.id.into(),
                format!(
                    "{}: medians, whiskers from the worst to the best round",
                    case.title
                ),
            ));
        }
    }
    if let Some(guest) = guest {
        in_a_guest(&mut out, table, guest);
    }
    trouble(&mut out, table);
    repeat(&mut out, table);
    out
}

/// ZFS where no kernel has it: the real module in a guest that is slower than the machine, so only
/// beside ext4 there.
fn in_a_guest(out: &mut Document, table: &Table, guest: &Table) {
    out.heading(2, "The real ZFS module in a guest");
    out.text(format!(
        "This machine's kernel has no ZFS. `bench/zfs/uml.sh` runs the real module in User-Mode Linux {} (depth {}, {} rounds, `{}`). The guest is two to four \
         times slower than the machine, so none of its figures is shown: only ZFS as a multiple of ext4 *in that guest*, and Cairn as a multiple of ext4 *here*. \
         Above 1 is better than ext4, whatever the unit. The last column divides the two; it is an estimate across two machines, not a measurement.",
        guest.run.machine.kernel,
        guest.run.depth.name(),
        guest.run.rounds,
        guest.run.command
    ));
    let ratio = |table: &Table, row, system| table.ratio(row, system, DISK);
    for system in guest.run.systems.iter().filter(|system| system.id != DISK) {
        let rows = case::ALL.iter().flat_map(|case| case.rows);
        let lines = rows.filter_map(|row| {
            let there = ratio(guest, row, &system.id)?;
            let here = ratio(table, row, OURS);
            let shown = |value: Option<String>| value.unwrap_or_else(|| "–".into());
            Some(vec![
                row.title.to_owned(),
                with_range(&there),
                shown(here.as_ref().map(with_range)),
                shown(here.map(|here| number(here.median / there.median))),
            ])
        });
        let zfs = format!("{} / ext4, in the guest", system.title);
        out.table(
            &["row", &zfs, "Cairn / ext4, here", "Cairn / ZFS, estimated"],
            lines.collect(),
        );
    }
}

fn opening(out: &mut Document, table: &Table, verdicts: &[Verdict]) {
    let run = &table.run;
    out.text(format!(
        "Made by `cairn-bench report` from one run of {} (UTC), depth **{}**, {} rounds, on {}. Do not edit: measure again.",
        run.started,
        run.depth.name(),
        run.rounds,
        run.machine.cpu
    ));
    if run.depth != Depth::Full {
        out.text(format!(
            "**A {} run: its files are smaller than what targets are stated for, and its times short. It shows that everything works and gives orders of magnitude; it proves no target.**",
            run.depth.name()
        ));
    }
    let missing = missing_cells(table);
    if missing > 0 {
        out.text(format!(
            "**Not complete: {missing} of {} cells were not measured (the run was interrupted, or out of time). Such values stand on fewer rounds.**",
            missing + table.cells.len()
        ));
    }
    let count = |outcome| {
        verdicts
            .iter()
            .filter(|verdict| verdict.outcome == outcome)
            .count()
    };
    out.text(format!(
        "Targets: {} met in every round, {} met by the median but not in every round, {} missed, {} not measured.",
        count(Outcome::Met),
        count(Outcome::Barely),
        count(Outcome::Missed),
        count(Outcome::Open)
    ));
}

/// Cells that the run did not measure. A workload that makes no sense on a system was never to be a
/// cell.
fn missing_cells(table: &Table) -> usize {
    let setup = Setup::default();
    let systems = table
        .run
        .systems
        .iter()
        .filter_map(|entry| system::by_id(&setup, &entry.id).ok());
    let cases: Vec<&Case> = table
        .run
        .cases
        .iter()
        .filter_map(|id| case::by_id(id).ok())
        .collect();
    let pairs: usize = systems
        .map(|system| cases.iter().filter(|case| (case.applies)(&*system)).count())
        .sum();
    (pairs * table.run.rounds as usize).saturating_sub(table.cells.len())
}

/// A median and half the range.
fn with_spread(summary: &Summary) -> String {
    if summary.count < 2 {
        return format!("{} (once)", number(summary.median));
    }
    format!("{} ± {:.0} %", number(summary.median), summary.spread() * 100.0)
}

/// A median and the range.
fn with_range(summary: &Summary) -> String {
    if summary.count < 2 {
        return format!("{} (once)", number(summary.median));
    }
    format!(
        "{} [{}–{}]",
        number(summary.median),
        number(summary.min),
        number(summary.max)
    )
}

fn targets(out: &mut Document, verdicts: &[Verdict]) {
    out.heading(2, "Targets");
    out.text(
        "A ratio is taken pair by pair, within each round, so that what disturbs the machine disturbs both sides; shown are its median and range. \
         Above 1 Cairn is better, whatever the unit. The best FUSE rival is the better of gocryptfs and securefs at that row.",
    );
    let line = |verdict: &Verdict| {
        vec![
            verdict.title.clone(),
            format!("`{}`", verdict.row),
            verdict.issue.to_string(),
            verdict.wanted.clone(),
            verdict.found.as_ref().map_or_else(|| "–".into(), with_range),
            verdict.outcome.word().into(),
        ]
    };
    let head = ["workload", "row", "issue", "wanted", "measured", "outcome"];
    let measured: Vec<_> = verdicts
        .iter()
        .filter(|verdict| verdict.outcome != Outcome::Open)
        .collect();
    out.table(&head, measured.iter().map(|verdict| line(verdict)).collect());
    let open: Vec<_> = verdicts
        .iter()
        .filter(|verdict| verdict.outcome == Outcome::Open)
        .map(line)
        .collect();
    if !open.is_empty() {
        let head = head.iter().map(|&cell| cell.to_owned()).collect();
        out.push(Block::Folded(
            "Targets that this run did not measure".into(),
            head,
            open,
        ));
    }
    // A row may miss a target of two issues, and rows may have one cause.
    let mut told = BTreeSet::new();
    let missed = measured
        .iter()
        .filter(|verdict| verdict.outcome == Outcome::Missed)
        .map(|verdict| verdict.row.as_str());
    for (rows, note) in missed.filter_map(note).filter(|(rows, _)| told.insert(*rows)) {
        out.heading(3, &format!("What holds `{}`", rows.replace(", ", "`, `")));
        out.text(note);
    }
}

/// Sections of `bench/notes.md`: the rows each is about, with commas between them, and what it
/// says.
fn notes() -> impl Iterator<Item = (&'static str, &'static str)> {
    let sections = include_str!("../../notes.md").split("\n## ").skip(1);
    sections.filter_map(|section| section.split_once('\n'))
}

/// What they say to a row.
fn note(row: &str) -> Option<(&'static str, &'static str)> {
    let (rows, note) = notes().find(|(rows, _)| rows.split(", ").any(|name| name == row))?;
    Some((rows, note.trim()))
}

fn machine(out: &mut Document, table: &Table) {
    let machine = &table.run.machine;
    out.heading(2, "Machine and method");
    let pairs = [
        ("processor", format!("{} × {}", machine.cpus, machine.cpu)),
        ("memory", format!("{} MiB", machine.memory_mib)),
        ("kernel", format!("Linux {}, {}", machine.kernel, machine.os)),
        ("disk", format!("{}: {}", machine.disk_type, machine.disk)),
        ("load average when it began", machine.load.clone()),
        (
            "caches dropped for cold rows",
            if machine.drops_caches {
                "yes".into()
            } else {
                "**no** (not root)".into()
            },
        ),
        ("command", format!("`{}`", table.run.command)),
    ];
    out.table(
        &["", ""],
        pairs
            .into_iter()
            .map(|(name, value)| vec![name.to_owned(), value])
            .collect(),
    );
    out.text(
        "- Each cell is one workload on one system on a fresh volume, in a process of its own; systems follow each other within each round.\n\
         - Cold means: flushed, unmounted, mounted, and the kernel's caches dropped. Files hold bytes that do not compress.\n\
         - Values are medians over rounds, ± is half the range. CPU, memory and bytes are counted from the start of a step until what it wrote is flushed.\n\
         - Bytes on the device are everybody's, journal and neighbours included, so the round with the fewest is the nearest to the truth.\n\
         - The limit of a row is what its parts allow on this machine in this run: the same row on an empty FUSE filesystem, the raw disk, the hash and the cipher. Parts that wait for each other add their times; parts that overlap are bound by the slowest and by their CPU time on all processors.",
    );
}

fn systems(out: &mut Document, table: &Table) {
    out.heading(2, "Systems");
    let rows = table.run.systems.iter().map(|entry| {
        let entry = entry.clone();
        vec![
            entry.title,
            format!("`{}`", entry.id),
            entry.version,
            entry.includes,
            entry.leaves_out,
        ]
    });
    out.table(
        &["system", "name", "version", "includes", "leaves out"],
        rows.collect(),
    );
    let absent: Vec<String> = table
        .run
        .absent
        .iter()
        .chain(&table.run.absent_cases)
        .map(|absence| format!("- `{}`: {}", absence.id, absence.why.replace('\n', " ")))
        .collect();
    if !absent.is_empty() {
        out.text("Not measured, and why:");
        out.text(absent.join("\n"));
    }
}

/// The systems that have a figure in a case.
fn present<'a>(table: &'a Table, case: &Case) -> Vec<(&'a str, &'a str)> {
    let has = |system: &str| case.rows.iter().any(|row| table.value(row.id, system).is_some());
    table
        .run
        .systems
        .iter()
        .filter(|entry| has(&entry.id))
        .map(|entry| (entry.id.as_str(), entry.title.as_str()))
        .collect()
}

fn one_case(out: &mut Document, table: &Table, case: &Case) {
    let systems = present(table, case);
    if systems.is_empty() {
        return;
    }
    out.heading(2, &format!("{} (`{}`)", case.title, case.id));
    out.text(capitalise(case.about));
    values(out, table, case, &systems);
    ratios(out, table, case, &systems);
    costs(out, table, case, &systems);
}

fn capitalise(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_uppercase().collect::<String>() + letters.as_str()
    }) + "."
}

fn values(out: &mut Document, table: &Table, case: &Case, systems: &[(&str, &str)]) {
    let mut head = vec!["row", "unit", "limit"];
    head.extend(systems.iter().map(|(_, title)| *title));
    let cell = |row: &Row, system: &str| {
        let Some(value) = table.value(row.id, system) else {
            return "–".into();
        };
        match table.share(row, system) {
            Some(share) if system == OURS => {
                format!("{}, {:.0} % of limit", with_spread(&value), share * 100.0)
            }
            _ => with_spread(&value),
        }
    };
    let line = |row: &Row| {
        let mut cells = vec![row.title.to_owned(), row.unit.name().to_owned()];
        cells.push(table.limit(row).map_or_else(|| "–".into(), number));
        cells.extend(systems.iter().map(|(system, _)| cell(row, system)));
        cells
    };
    let rows = case
        .rows
        .iter()
        .filter(|row| systems.iter().any(|(id, _)| table.value(row.id, id).is_some()));
    out.table(&head, rows.map(line).collect());
}

/// Cairn over each other system.
fn ratios(out: &mut Document, table: &Table, case: &Case, systems: &[(&str, &str)]) {
    let others: Vec<_> = systems.iter().filter(|(id, _)| *id != OURS).collect();
    // Without a figure of Cairn there is nothing to divide.
    if others.is_empty() || others.len() == systems.len() {
        return;
    }
    let titles: Vec<String> = others
        .iter()
        .map(|(_, title)| format!("Cairn / {title}"))
        .collect();
    let mut head = vec!["better by (× , pair by pair)"];
    head.extend(titles.iter().map(String::as_str));
    let line = |row: &Row| {
        let mut cells = vec![row.title.to_owned()];
        cells.extend(others.iter().map(|(id, _)| {
            table
                .ratio(row, OURS, id)
                .as_ref()
                .map_or_else(|| "–".into(), with_range)
        }));
        cells
    };
    let rows = case
        .rows
        .iter()
        .filter(|row| row.unit.compares() && table.value(row.id, OURS).is_some());
    out.table(&head, rows.map(line).collect());
}

/// CPU, memory, bytes, space and latency of each row on each system.
fn costs(out: &mut Document, table: &Table, case: &Case, systems: &[(&str, &str)]) {
    let head = [
        "row",
        "system",
        "daemon CPU s",
        "application CPU s",
        "daemon CPU s/GiB",
        "peak MiB",
        "device/byte",
        "space/byte",
        "p50 µs",
        "p99 µs",
        "p99.9 µs",
        "max µs",
    ];
    let mut rows = Vec::new();
    for row in case.rows {
        for (system, title) in systems {
            rows.extend(cost_line(table, row, system, title));
        }
    }
    if !rows.is_empty() {
        let head = head.iter().map(|&cell| cell.to_owned()).collect();
        out.push(Block::Folded(
            format!("Costs and latencies of `{}`, medians", case.id),
            head,
            rows,
        ));
    }
}

fn cost_line(table: &Table, row: &Row, system: &str, title: &str) -> Option<Vec<String>> {
    let figures: Vec<_> = table.figures(row.id, system).map(|(_, figure)| figure).collect();
    // A derived figure has no cost of its own.
    if figures
        .iter()
        .all(|figure| figure.cost.seconds == 0.0 && figure.latency.is_none())
    {
        return None;
    }
    let shown =
        |summary: Option<Summary>| summary.map_or_else(|| "–".into(), |summary| number(summary.median));
    let metric = |metric| shown(table.summary(row.id, system, metric));
    let latency = |pick: fn(&crate::stats::Latency) -> f64| {
        shown(Summary::of(
            figures
                .iter()
                .filter_map(|figure| figure.latency.as_ref().map(pick)),
        ))
    };
    Some(vec![
        row.title.to_owned(),
        title.to_owned(),
        shown(Summary::of(
            figures.iter().filter_map(|figure| figure.cost.daemon_cpu_s),
        )),
        shown(Summary::of(figures.iter().map(|figure| figure.cost.app_cpu_s))),
        metric(Metric::DaemonCpuPerGib),
        metric(Metric::PeakMib),
        metric(Metric::DevicePerByte),
        metric(Metric::SpacePerByte),
        latency(|latency| latency.p50_us),
        latency(|latency| latency.p99_us),
        latency(|latency| latency.p999_us),
        latency(|latency| latency.max_us),
    ])
}

/// What went wrong, and what a reader should know.
fn trouble(out: &mut Document, table: &Table) {
    let mut lines: Vec<String> = Vec::new();
    for cell in &table.cells {
        let place = format!("`{}` on `{}`", cell.case, cell.system);
        let said = cell
            .error
            .iter()
            .map(|error| format!("failed: {error}"))
            .chain(cell.notes.iter().cloned());
        for text in said {
            let line = format!("- {place}: {}", text.replace('\n', " "));
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
    }
    if !lines.is_empty() {
        out.heading(2, "Failures and remarks");
        out.text(lines.join("\n"));
    }
}

fn repeat(out: &mut Document, table: &Table) {
    out.heading(2, "How to repeat it");
    out.push(Block::Code(
        "cargo build --release\n\
         sudo target/release/cairn-bench run --install             # everything; --quick for less than three minutes\n\
         target/release/cairn-bench list                           # systems, workloads, rows, targets\n\
         target/release/cairn-bench report RUN --docs docs/benchmarks.md"
            .into(),
    ));
    let sizes = serde_json::to_value(table.run.sizes).unwrap_or_default();
    let rows = sizes
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, value)| vec![format!("`{name}`"), value.to_string()]);
    let head = vec!["size".to_owned(), "value".to_owned()];
    out.push(Block::Folded("Sizes of this run".into(), head, rows.collect()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_note_is_about_rows_there_are() {
        let rows: Vec<_> = notes().flat_map(|(rows, _)| rows.split(", ")).collect();
        assert!(rows.len() > 10, "{rows:?}");
        assert!(rows.iter().all(|row| case::row(row).is_some()), "{rows:?}");
        let once: BTreeSet<_> = rows.iter().collect();
        assert_eq!(once.len(), rows.len(), "{rows:?}");
    }
}
