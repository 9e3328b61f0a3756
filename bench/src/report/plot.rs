//! Plots, drawn as SVG by hand: bars for the rows of a workload, and one overview of everything.

use super::document::{escape, number};
use crate::case::{self, Case, Row};
use crate::stats::Summary;
use crate::system::{DISK, OURS};
use crate::table::Table;
use anyhow::{Context, Result};
use resvg::{tiny_skia, usvg};
use std::fmt::Write;
use std::sync::{Arc, OnceLock};

/// Name of the plot that shows everything.
pub(super) const OVERVIEW: &str = "overview";

const WIDTH: f64 = 960.0;
const LEFT: f64 = 330.0;
const RIGHT: f64 = 150.0;
/// Okabe and Ito's colours, which colour-blind readers can tell apart; Cairn's comes first.
const COLOURS: [&str; 8] = [
    "#D55E00", "#0072B2", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999",
];

/// All plots of a run, by name.
pub(super) fn all(table: &Table) -> Vec<(String, String)> {
    let mut plots = Vec::new();
    plots.extend(overview(table).map(|svg| (OVERVIEW.to_owned(), svg)));
    for case in case::ALL
        .iter()
        .filter(|case| table.run.cases.iter().any(|id| id == case.id))
    {
        plots.extend(bars(table, case).map(|svg| (case.id.to_owned(), svg)));
    }
    plots
}

/// The same picture as PNG, at twice the size. Text needs a font of the machine; without one the
/// picture has none.
pub(super) fn png(svg: &str) -> Result<Vec<u8>> {
    // Reading all fonts of a machine takes longer than drawing.
    static FONTS: OnceLock<Arc<usvg::fontdb::Database>> = OnceLock::new();
    let fonts = FONTS.get_or_init(|| {
        let mut fonts = usvg::fontdb::Database::new();
        fonts.load_system_fonts();
        fonts.set_sans_serif_family("DejaVu Sans");
        Arc::new(fonts)
    });
    let options = usvg::Options {
        fontdb: Arc::clone(fonts),
        ..usvg::Options::default()
    };
    let tree = usvg::Tree::from_str(svg, &options).context("a plot is no SVG")?;
    let size = tree.size().to_int_size();
    let mut pixels =
        tiny_skia::Pixmap::new(size.width() * 2, size.height() * 2).context("a plot is too large")?;
    resvg::render(
        &tree,
        tiny_skia::Transform::from_scale(2.0, 2.0),
        &mut pixels.as_mut(),
    );
    pixels.encode_png().context("a plot cannot be encoded")
}

fn colour(table: &Table, system: &str) -> &'static str {
    if system == OURS {
        return COLOURS[0];
    }
    let others = table.run.systems.iter().filter(|entry| entry.id != OURS);
    let index = others
        .into_iter()
        .position(|entry| entry.id == system)
        .unwrap_or(0);
    COLOURS[1 + index % (COLOURS.len() - 1)]
}

fn title_of<'a>(table: &'a Table, system: &'a str) -> &'a str {
    table
        .run
        .systems
        .iter()
        .find(|entry| entry.id == system)
        .map_or(system, |entry| entry.title.as_str())
}

fn svg(height: f64, title: &str, body: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" viewBox=\"0 0 {WIDTH} {height}\" \
         font-family=\"DejaVu Sans, Verdana, sans-serif\" font-size=\"12\" role=\"img\">\
         <title>{}</title><rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#fff\"/>{body}</svg>",
        escape(title)
    )
}

fn text(out: &mut String, (x, y): (f64, f64), anchor: &str, style: &str, text: &str) {
    let _ = write!(
        out,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" {style}>{}</text>",
        escape(text)
    );
}

fn line(out: &mut String, from: (f64, f64), to: (f64, f64), style: &str) {
    let _ = write!(
        out,
        "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" {style}/>",
        from.0, from.1, to.0, to.1
    );
}

/// One group of bars per row.
fn bars(table: &Table, case: &Case) -> Option<String> {
    let mut body = String::new();
    let bottom = case
        .rows
        .iter()
        .fold(10.0, |top, row| group(&mut body, table, row, top));
    (bottom > 10.0).then(|| svg(bottom + 14.0, case.about, &body))
}

/// The bars of one row: the median, the range as a whisker, the limit as a dashed line. Answers
/// where it ends.
fn group(body: &mut String, table: &Table, row: &Row, top: f64) -> f64 {
    let entries = table.run.systems.iter();
    let values: Vec<_> = entries
        .filter_map(|entry| Some((entry.id.as_str(), table.value(row.id, &entry.id)?)))
        .collect();
    // A row without a figure takes no room.
    if values.is_empty() {
        return top;
    }
    let limit = table.limit(row);
    let most = values
        .iter()
        .map(|(_, value)| value.max)
        .chain(limit)
        .fold(0.0, f64::max);
    let at = |value: f64| LEFT + (WIDTH - LEFT - RIGHT) * value / most.max(1e-12);
    let better = if row.unit.grows_better() {
        "more is better"
    } else {
        "less is better"
    };
    let heading = format!("{} ({}, {better})", row.title, row.unit.name());
    text(
        body,
        (10.0, top + 22.0),
        "start",
        "font-weight=\"bold\"",
        &heading,
    );
    let first = top + 30.0;
    let mut y = first;
    for (system, value) in values {
        bar(body, table, system, value, y, &at);
        y += BAR;
    }
    if let Some(x) = limit.map(at) {
        line(
            body,
            (x, first),
            (x, y),
            "stroke=\"#a00\" stroke-dasharray=\"4 3\"",
        );
        text(
            body,
            (x, first - 1.0),
            "middle",
            "fill=\"#a00\" font-size=\"10\"",
            "limit",
        );
    }
    y
}

/// One bar with its name and value.
fn bar(body: &mut String, table: &Table, system: &str, value: Summary, y: f64, at: &dyn Fn(f64) -> f64) {
    let (middle, colour) = (y + BAR / 2.0, colour(table, system));
    text(
        body,
        (LEFT - 8.0, middle + 4.0),
        "end",
        "",
        title_of(table, system),
    );
    let (top, width, height) = (y + 2.0, (at(value.median) - LEFT).max(1.0), BAR - 4.0);
    let _ = write!(
        body,
        "<rect x=\"{LEFT}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{colour}\"/>"
    );
    let ends = ((at(value.min), middle), (at(value.max), middle));
    line(body, ends.0, ends.1, "stroke=\"#333\" stroke-width=\"1.5\"");
    let after = (at(value.max) + 6.0, middle + 4.0);
    text(body, after, "start", "fill=\"#333\"", &number(value.median));
}

const BAR: f64 = 17.0;
const STEP: f64 = 20.0;
const TOP: f64 = 62.0;

/// Where a ratio stands on the overview's logarithmic scale, from 1 % to 10 times; what is beyond
/// stands at its end.
fn at_ratio(ratio: f64) -> f64 {
    let (low, high) = (-2.0f64, 1.0f64);
    LEFT + (WIDTH - LEFT - 30.0) * (ratio.log10().clamp(low, high) - low) / (high - low)
}

/// Every row as a line, every system as a dot: how many times the disk's own filesystem.
fn overview(table: &Table) -> Option<String> {
    let rows: Vec<&Row> = case::ALL
        .iter()
        .flat_map(|case| case.rows)
        .filter(|row| {
            !row.id.starts_with("raw.") && row.unit.compares() && table.value(row.id, DISK).is_some()
        })
        .collect();
    let entries = table.run.systems.iter().map(|entry| entry.id.as_str());
    let systems: Vec<&str> = entries.filter(|id| *id != DISK).collect();
    if rows.is_empty() || systems.is_empty() {
        return None;
    }
    let bottom = TOP + rows.len() as f64 * STEP;
    let mut body = String::new();
    // First: what SVG draws later lies above.
    scale(&mut body, bottom);
    legend(&mut body, table, &systems);
    for (index, row) in rows.iter().enumerate() {
        let y = TOP + (index as f64 + 0.5) * STEP;
        text(
            &mut body,
            (LEFT - 8.0, y + 4.0),
            "end",
            "font-size=\"11\"",
            row.title,
        );
        line(&mut body, (LEFT, y), (WIDTH - 30.0, y), "stroke=\"#f0f0f0\"");
        // Cairn's dot last, so that none covers it.
        let (ours, others): (Vec<&str>, Vec<&str>) = systems.iter().partition(|id| **id == OURS);
        for system in others.into_iter().chain(ours) {
            dot(&mut body, table, row, system, y);
        }
    }
    Some(svg(
        bottom + 14.0,
        "Every row against the disk's own filesystem",
        &body,
    ))
}

fn dot(body: &mut String, table: &Table, row: &Row, system: &str, y: f64) {
    let Some(ratio) = table.ratio(row, system, DISK) else {
        return;
    };
    let (x, colour) = (at_ratio(ratio.median), colour(table, system));
    let ends = ((at_ratio(ratio.min), y), (at_ratio(ratio.max), y));
    line(
        body,
        ends.0,
        ends.1,
        &format!("stroke=\"{colour}\" stroke-width=\"2\""),
    );
    let _ = write!(
        body,
        "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4.5\" fill=\"{colour}\"/>"
    );
}

fn scale(body: &mut String, bottom: f64) {
    let marks = [
        (0.01, "1 %"),
        (0.03, "3 %"),
        (0.1, "10 %"),
        (0.3, "30 %"),
        (1.0, "1 ×"),
        (3.0, "3 ×"),
        (10.0, "10 ×"),
    ];
    for (mark, name) in marks {
        let (x, colour) = (at_ratio(mark), if mark == 1.0 { "#555" } else { "#ddd" });
        line(body, (x, TOP - 8.0), (x, bottom), &format!("stroke=\"{colour}\""));
        text(
            body,
            (x, TOP - 14.0),
            "middle",
            "fill=\"#555\" font-size=\"11\"",
            name,
        );
    }
}

fn legend(body: &mut String, table: &Table, systems: &[&str]) {
    let mut x = 10.0;
    for system in systems {
        let (title, colour) = (title_of(table, system), colour(table, system));
        let _ = write!(
            body,
            "<circle cx=\"{:.1}\" cy=\"16\" r=\"5\" fill=\"{colour}\"/>",
            x + 6.0
        );
        text(body, (x + 16.0, 20.0), "start", "", title);
        x += 36.0 + 7.2 * title.chars().count() as f64;
    }
}
