//! A document of headings, text, tables and plots, written as Markdown or as one HTML page.

use std::fmt::Write;

/// Part of a document.
#[derive(Clone, Debug)]
pub(super) enum Block {
    /// Level and text.
    Heading(u8, String),
    /// A paragraph; `code` and **bold** as in Markdown.
    Text(String),
    /// Lines to type.
    Code(String),
    /// Header and rows; the first column is to the left, the others to the right if they hold
    /// numbers.
    Table(Vec<String>, Vec<Vec<String>>),
    /// Like a table, folded away where that is possible.
    Folded(String, Vec<String>, Vec<Vec<String>>),
    /// Name and title of a plot.
    Plot(String, String),
}

/// The whole.
#[derive(Clone, Debug, Default)]
pub(super) struct Document {
    blocks: Vec<Block>,
}

/// A number with as many digits as it deserves.
pub(crate) fn number(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        return "–".into();
    }
    let digits = match size {
        _ if size >= 100.0 => 0,
        _ if size >= 10.0 => 1,
        _ if size >= 1.0 || size == 0.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let (sign, whole) = whole.strip_prefix('-').map_or(("", whole), |whole| ("-", whole));
    let mut grouped = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{sign}{grouped}{rest}")
}

impl Document {
    /// One more part.
    pub(super) fn push(&mut self, block: Block) {
        self.blocks.push(block);
    }

    /// A heading.
    pub(super) fn heading(&mut self, level: u8, text: &str) {
        self.push(Block::Heading(level, text.to_owned()));
    }

    /// A paragraph.
    pub(super) fn text(&mut self, text: impl Into<String>) {
        self.push(Block::Text(text.into()));
    }

    /// A table, unless it has no rows.
    pub(super) fn table(&mut self, head: &[&str], rows: Vec<Vec<String>>) {
        if !rows.is_empty() {
            self.push(Block::Table(
                head.iter().map(|&cell| cell.to_owned()).collect(),
                rows,
            ));
        }
    }

    /// The same with no other plot than this.
    pub(super) fn only_plot(&self, name: &str) -> Self {
        let keep = |block: &&Block| !matches!(block, Block::Plot(other, _) if other != name);
        Self {
            blocks: self.blocks.iter().filter(keep).cloned().collect(),
        }
    }

    /// As Markdown; plots lie in `folder`.
    pub(super) fn markdown(&self, folder: &str) -> String {
        let mut out = String::new();
        for block in &self.blocks {
            match block {
                Block::Heading(level, text) => {
                    out += &format!("{} {text}\n\n", "#".repeat(usize::from(*level)))
                }
                Block::Text(text) => out += &format!("{text}\n\n"),
                Block::Code(text) => out += &format!("```sh\n{}\n```\n\n", text.trim_end()),
                Block::Table(head, rows) => markdown_table(&mut out, head, rows),
                Block::Folded(title, head, rows) => {
                    out += &format!("<details><summary>{}</summary>\n\n", escape(title));
                    markdown_table(&mut out, head, rows);
                    out += "</details>\n\n";
                }
                Block::Plot(name, title) => out += &format!("![{title}]({folder}/{name}.svg)\n\n"),
            }
        }
        out.truncate(out.trim_end().len());
        out + "\n"
    }

    /// As one page that needs nothing else: plots are given as SVG by name.
    pub(super) fn html(&self, plots: &[(String, String)]) -> String {
        let mut body = String::new();
        for block in &self.blocks {
            match block {
                Block::Heading(level, text) => body += &format!("<h{level}>{}</h{level}>\n", inline(text)),
                Block::Text(text) => body += &html_text(text),
                Block::Code(text) => body += &format!("<pre>{}</pre>\n", escape(text)),
                Block::Table(head, rows) => html_table(&mut body, head, rows),
                Block::Folded(title, head, rows) => {
                    body += &format!("<details><summary>{}</summary>\n", inline(title));
                    html_table(&mut body, head, rows);
                    body += "</details>\n";
                }
                Block::Plot(name, title) => {
                    if let Some((_, svg)) = plots.iter().find(|(other, _)| other == name) {
                        body += &format!(
                            "<figure>{svg}<figcaption>{}</figcaption></figure>\n",
                            inline(title)
                        );
                    }
                }
            }
        }
        PAGE.replace("BODY", &body)
    }
}

const PAGE: &str = "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>Cairn: benchmarks</title>\n<style>\n\
body{font:15px/1.5 system-ui,sans-serif;max-width:78rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}\n\
table{border-collapse:collapse;margin:1rem 0;font-variant-numeric:tabular-nums;display:block;overflow-x:auto}\n\
th,td{padding:.25rem .6rem;border-bottom:1px solid #ddd;text-align:right;white-space:nowrap}\n\
th:first-child,td:first-child,td.word{text-align:left;white-space:normal}\n\
tbody tr:hover{background:#f5f7fa}th{border-bottom:2px solid #888}\n\
code,pre{background:#f2f2f2;border-radius:3px;padding:.1em .3em}pre{padding:.8em;overflow-x:auto}\n\
figure{margin:1rem 0;overflow-x:auto}figcaption{color:#666;font-size:.9em}\n\
summary{cursor:pointer;color:#446}b{color:#a11}\n</style></head>\n<body>\nBODY</body></html>\n";

fn markdown_table(out: &mut String, head: &[String], rows: &[Vec<String>]) {
    // What would end the cell or the row.
    let cell = |text: &str| text.replace('|', "\\|").replace('\n', " ");
    let line = |cells: &[String]| {
        format!(
            "| {} |\n",
            cells
                .iter()
                .map(|text| cell(text))
                .collect::<Vec<_>>()
                .join(" | ")
        )
    };
    *out += &line(head);
    let rules: Vec<String> = (0..head.len())
        .map(|column| if wordy(rows, column) { "---" } else { "---:" }.to_owned())
        .collect();
    *out += &line(&rules);
    rows.iter().for_each(|row| *out += &line(row));
    out.push('\n');
}

/// Whether a column holds words rather than numbers.
fn wordy(rows: &[Vec<String>], column: usize) -> bool {
    let is_word = |text: &String| {
        text.chars()
            .next()
            .is_some_and(|first| first.is_alphabetic() || "`*≥≤/".contains(first))
    };
    rows.iter().filter_map(|row| row.get(column)).any(is_word)
}

fn html_table(out: &mut String, head: &[String], rows: &[Vec<String>]) {
    *out += "<table><thead><tr>";
    head.iter()
        .for_each(|cell| *out += &format!("<th>{}</th>", inline(cell)));
    *out += "</tr></thead><tbody>\n";
    for row in rows {
        *out += "<tr>";
        for (column, cell) in row.iter().enumerate() {
            let class = if wordy(rows, column) {
                " class=\"word\""
            } else {
                ""
            };
            *out += &format!("<td{class}>{}</td>", inline(cell));
        }
        *out += "</tr>\n";
    }
    *out += "</tbody></table>\n";
}

/// Paragraphs and lists.
fn html_text(text: &str) -> String {
    if text.starts_with("- ") {
        let items: String = text
            .lines()
            .map(|line| format!("<li>{}</li>", inline(line.trim_start_matches("- "))))
            .collect();
        format!("<ul>{items}</ul>\n")
    } else {
        format!("<p>{}</p>\n", inline(text))
    }
}

/// What SVG and HTML must not take for markup.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}

/// `code` and **bold**; everything else is plain.
fn inline(text: &str) -> String {
    let mut out = String::new();
    for (index, part) in text.split('`').enumerate() {
        if index % 2 == 1 {
            let _ = write!(out, "<code>{}</code>", escape(part));
            continue;
        }
        for (index, part) in part.split("**").enumerate() {
            let part = escape(part);
            out += &if index % 2 == 1 {
                format!("<b>{part}</b>")
            } else {
                part
            };
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_the_digits_they_deserve() {
        let shown = [0.0, 0.01234, 1.005, 12.34, 123.4, 1234.0, 1_234_567.0, -1234.0].map(number);
        assert_eq!(
            shown,
            [
                "0.00",
                "0.012",
                "1.00",
                "12.3",
                "123",
                "1,234",
                "1,234,567",
                "-1,234"
            ]
        );
        assert_eq!(number(f64::NAN), "–");
    }

    #[test]
    fn what_a_program_printed_is_no_markup() {
        let mut document = Document::default();
        document.table(&["a", "b"], vec![vec!["x|y <script>".into(), "1.5".into()]]);
        document.text("run `a < b` **now**");
        let markdown = document.markdown("plots");
        assert!(
            markdown.contains("x\\|y") && markdown.contains("| --- | ---: |"),
            "{markdown}"
        );
        let html = document.html(&[]);
        assert!(
            html.contains("&lt;script&gt;") && html.contains("<code>a &lt; b</code> <b>now</b>"),
            "{html}"
        );
    }
}
