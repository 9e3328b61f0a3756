//! What the documents say of the code, as far as a machine can tell: each test that they name is
//! there, and what they say the engine does not do does not stand in it.

#![allow(clippy::unwrap_used)] // Helpers of tests, outside of test functions.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Documents whose sentences are held by tests that they name.
const DOCUMENTS: [&str; 4] = [
    "docs/threat-model.md",
    "docs/semantics.md",
    "docs/operations.md",
    "docs/architecture.md",
];
/// Fewer words than this may be a system call or a setting.
const TEST_WORDS_MIN: usize = 4;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .unwrap()
        .to_path_buf()
}

/// Files below `dir` with this ending.
fn files(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true if name != "target" && !name.to_string_lossy().starts_with('.') => {
                found.extend(files(&path, ending));
            }
            false if name.to_string_lossy().ends_with(ending) => found.push(path),
            _ => {}
        }
    }
    found
}

fn crates() -> impl Iterator<Item = PathBuf> {
    let crates = ["merkle", "store", "fs", "chain", "plane", "bench", "tests"];
    crates.map(|name| root().join(name)).into_iter()
}

/// What stands between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

fn is_test_name(word: &str) -> bool {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    word.chars().all(allowed) && word.split('_').count() >= TEST_WORDS_MIN
}

/// Names of functions that stand right after the attribute of a test, other attributes between
/// them.
fn tests_of(source: &str) -> impl Iterator<Item = &str> {
    let mut is_test = false;
    source.lines().map(str::trim).filter_map(move |line| {
        if line == "#[test]" {
            is_test = true;
        }
        let name = line.strip_prefix("fn ")?.split(['(', '<']).next()?;
        std::mem::take(&mut is_test).then_some(name)
    })
}

#[test]
fn every_test_that_a_document_names_is_in_the_tree() {
    let sources: Vec<String> = crates()
        .flat_map(|dir| files(&dir, ".rs"))
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let tests: BTreeSet<&str> = sources.iter().flat_map(|source| tests_of(source)).collect();
    let mut missing = Vec::new();
    for document in DOCUMENTS {
        let text = fs::read_to_string(root().join(document)).unwrap();
        let named = quoted(&text).filter(|word| is_test_name(word) && !tests.contains(word));
        missing.extend(named.map(|name| format!("{document}: {name}")));
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

#[test]
fn every_file_and_every_step_of_a_script_that_a_document_names_is_in_the_tree() {
    let below = |dir: &str, ending| files(&root().join(dir), ending);
    let scripts = [below("tests", ".sh"), below("contracts", ".sh")].concat();
    let sources: Vec<PathBuf> = crates().flat_map(|dir| files(&dir, ".rs")).collect();
    let is_there = |name: &str| {
        let whole = root().join(name).exists();
        whole || scripts.iter().chain(&sources).any(|path| path.ends_with(name))
    };
    let mut missing = Vec::new();
    for document in DOCUMENTS {
        let text = fs::read_to_string(root().join(document)).unwrap();
        let path =
            |word: &&str| word.ends_with(".rs") || (word.starts_with("tests/") && word.ends_with(".sh"));
        let gone = quoted(&text).filter(path).filter(|name| !is_there(name));
        missing.extend(gone.map(|name| format!("{document}: {name}")));
        // As in: smoke "umount", umount.sh "umount in use".
        for line in text
            .lines()
            .filter(|line| line.starts_with('|') || line.contains("Held by"))
        {
            for (before, step) in steps(line) {
                let script = scripts.iter().find(|path| {
                    let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
                    before.ends_with(&format!("{stem}.sh")) || before.ends_with(&stem)
                });
                let Some(script) = script else { continue };
                if !fs::read_to_string(script).unwrap().contains(step) {
                    missing.push(format!("{document}: {} \"{step}\"", script.display()));
                }
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

/// Words in quotation marks, each with what stands before it.
fn steps(line: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let marks: Vec<usize> = line.match_indices('"').map(|(at, _)| at).collect();
    let mut script = "";
    for pair in marks.as_chunks::<2>().0 {
        let before = line[..pair[0]].trim_end();
        // Several steps of one script are set apart by commas.
        script = if before.ends_with(',') { script } else { before };
        found.push((script, &line[pair[0] + 1..pair[1]]));
    }
    found
}

/// Where `word` stands in the code of a crate, tests and the files in `but` left out.
fn uses(dir: &str, word: &str, but: &str) -> Vec<String> {
    let mut found = Vec::new();
    for path in files(&root().join(dir), ".rs") {
        let name = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
        if !but.is_empty() && name.contains(but) {
            continue;
        }
        let source = fs::read_to_string(&path).unwrap();
        let code = source.split("#[cfg(test)]\nmod tests").next().unwrap();
        let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
        found.extend(
            lines
                .filter(|line| line.contains(word))
                .map(|line| format!("{name}: {line}")),
        );
    }
    found
}

/// The numbers that a file of the code gives to versions.
fn versions_in(path: &str) -> Vec<String> {
    let source = fs::read_to_string(root().join(path)).unwrap();
    let code = source.split("#[cfg(test)]").next().unwrap();
    let number = |line: &str| {
        let line = line
            .trim()
            .trim_start_matches("pub(crate) ")
            .trim_start_matches("pub(super) ");
        let (name, value) = line
            .trim_start_matches("pub ")
            .strip_prefix("const ")?
            .split_once(" = ")?;
        let is_one = name.starts_with("VERSION:") || name.starts_with("FORMAT: &str");
        let digits: String = value.chars().filter(char::is_ascii_digit).collect();
        (is_one && !digits.is_empty()).then_some(digits)
    };
    code.lines().filter_map(number).collect()
}

#[test]
fn the_table_of_versions_says_what_the_code_says() {
    let text = fs::read_to_string(root().join("docs/format.md")).unwrap();
    let (_, table) = text.split_once("## 20. Numbers of versions").unwrap();
    let mut told: BTreeSet<(String, String)> = BTreeSet::new();
    for row in table
        .lines()
        .filter(|line| line.starts_with("| ") && line.contains('`'))
    {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let path = quoted(cells[4]).next().unwrap();
        assert!(versions_in(path).contains(&cells[3].to_owned()), "{row}");
        told.insert((path.to_owned(), cells[3].to_owned()));
    }
    assert_eq!(
        table.lines().filter(|line| line.starts_with("| ")).count(),
        11,
        "ten and the titles"
    );
    // None is forgotten.
    for dir in ["merkle/src", "fs/src", "store/src"] {
        for path in files(&root().join(dir), ".rs") {
            let path = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
            for version in versions_in(&path) {
                assert!(
                    told.contains(&(path.clone(), version.clone())),
                    "{path}: {version}"
                );
            }
        }
    }
}

#[test]
fn neither_merkle_nor_the_engine_reads_the_time_of_day() {
    for clock in ["SystemTime", "UNIX_EPOCH", "clock_gettime", "ClockId"] {
        assert_eq!(uses("merkle/src", clock, ""), [""; 0]);
        // The kernel's edge stamps each call, and hands the stamp on.
        assert_eq!(uses("fs/src", clock, "fs/src/fuse"), [""; 0]);
    }
    assert_eq!(
        uses("merkle/src", "Instant", "testing"),
        [""; 0],
        "nor how long anything takes"
    );
}
