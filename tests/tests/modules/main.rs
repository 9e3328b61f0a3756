//! The rooms of the house: no file imports in a circle, and none imports upwards. No untrusted side
//! is built on code with a key.
//!
//! `docs/architecture.md` has a table of layers for each crate, top to bottom. Each file of the
//! crate lies in one of them; it imports from its own layer or from those below.

#![allow(clippy::unwrap_used)] // Helpers of tests, outside of test functions.

mod crates;
mod graph;

use crates::Lock;
use graph::{Crate, Import};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The layers of a crate as the architecture tells them: modules, and the number of their row.
fn layers(document: &str, name: &str) -> Vec<(String, usize)> {
    let heading = format!("### Modules of `{name}`");
    let section = document
        .split(&heading)
        .nth(1)
        .expect("docs/architecture.md has a table of each crate's modules");
    let section = section
        .split("\n#")
        .next()
        .expect("split answers one part at least");
    let rows = section.lines().filter(|line| line.starts_with("| ")).skip(1);
    let cells = rows.enumerate().flat_map(|(row, line)| {
        let modules = line.split('|').nth(2).unwrap_or_default();
        let names = modules.split('`').skip(1).step_by(2);
        names
            .map(move |module| (module.to_owned(), row))
            .collect::<Vec<_>>()
    });
    cells.collect()
}

/// The row of a file: that of the longest name in the table that it is or lies in.
fn row_of(file: &str, layers: &[(String, usize)]) -> Option<usize> {
    let within = |module: &str| {
        file == module
            || file
                .strip_prefix(module)
                .is_some_and(|rest| rest.starts_with('/'))
    };
    let found = layers.iter().filter(|(module, _)| within(module));
    found.max_by_key(|(module, _)| module.len()).map(|(_, row)| *row)
}

/// What a crate does that the table forbids.
fn wrongs(name: &str, document: &str) -> Vec<String> {
    let read = Crate::read(name, &root().join(name).join("src"));
    let layers = layers(document, name);
    let mut wrongs = Vec::new();
    let files: Vec<&str> = read.files().collect();
    for (module, _) in &layers {
        if !files
            .iter()
            .any(|file| row_of(file, &[(module.clone(), 0)]).is_some())
        {
            wrongs.push(format!("{name}: the table names `{module}`, which is no module"));
        }
    }
    let rows: BTreeMap<&str, usize> = files
        .iter()
        .filter_map(|file| Some((*file, row_of(file, &layers)?)))
        .collect();
    for file in &files {
        if !rows.contains_key(file) {
            wrongs.push(format!("{name}: {file} is in no layer of the table"));
        }
    }
    for Import { from, to, path } in read.imports() {
        if let (Some(here), Some(there)) = (rows.get(from.as_str()), rows.get(to.as_str()))
            && there < here
        {
            wrongs.push(format!(
                "{name}: {from} imports {path} of {to}, which lies above it"
            ));
        }
    }
    for circle in read.circles() {
        let within = |file: &String| circle.contains(&file.as_str());
        let arrows = read
            .imports()
            .filter(|import| within(&import.from) && within(&import.to));
        let arrows: BTreeSet<String> = arrows
            .map(|import| format!("{} -> {}", import.from, import.to))
            .collect();
        let arrows: Vec<String> = arrows.into_iter().collect();
        wrongs.push(format!(
            "{name}: these files import each other in a circle: {}",
            arrows.join(", ")
        ));
    }
    wrongs
}

#[test]
fn no_file_imports_in_a_circle_or_upwards() {
    let document = std::fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let crates = [
        "merkle/block",
        "merkle",
        "store",
        "store/wire",
        "store/server",
        "fs",
        "chain",
        "plane",
        "bench",
    ];
    let wrongs: Vec<String> = crates.iter().flat_map(|name| wrongs(name, &document)).collect();
    assert!(
        wrongs.is_empty(),
        "{} wrongs:\n{}",
        wrongs.len(),
        wrongs.join("\n")
    );
}

#[test]
fn the_untrusted_sides_are_built_without_a_key_and_the_store_without_a_cipher() {
    let lock = Lock::read(&std::fs::read_to_string(root().join("Cargo.lock")).unwrap());
    let ciphers = [
        "chacha20",
        "chacha20poly1305",
        "aes",
        "aes-gcm",
        "ctr",
        "aws-lc-rs",
        "argon2",
        "aead",
        "cipher",
    ];
    let sealing = lock.below("cairn-merkle");
    for cipher in ["chacha20poly1305", "aes-gcm", "aws-lc-rs"] {
        assert!(
            sealing.contains(cipher),
            "where cairn-merkle seals, {cipher} would be seen"
        );
    }
    let outside = [
        "cairn-block",
        "cairn-store",
        "cairn-wire",
        "cairn-store-server",
        "cairn-chain",
    ];
    for package in outside {
        let below = lock.below(package);
        assert!(below.contains("cairn-block"), "{package} knows the seams");
        assert!(
            !below.contains("cairn-merkle"),
            "{package} reaches code with keys"
        );
        // A chain speaks TLS and signs: its ciphers are not those of a volume.
        if package != "cairn-chain" {
            let found: Vec<_> = ciphers.iter().filter(|name| below.contains(*name)).collect();
            assert!(found.is_empty(), "{package} is built on {found:?}");
        }
    }
}

#[test]
fn circles_and_arrows_of_every_form_are_seen() {
    let files = [
        ("lib", "mod low; mod high; mod folder; pub use high::Shown;"),
        (
            "low",
            "use crate::Shown; fn one() { crate::folder::inner::call(); }",
        ),
        (
            "high",
            "pub struct Shown; use crate::folder::*; fn two(_: Given) {} mod own { use super::Shown; }",
        ),
        ("folder", "pub(crate) mod inner; pub(crate) use inner::Given;"),
        (
            "folder/inner",
            "use super::super::low::one as other; pub struct Given; pub(crate) fn call() {}",
        ),
    ];
    let read = Crate::of(
        "sample",
        files.iter().map(|(name, text)| ((*name).to_owned(), *text)),
    );
    let arrows: Vec<_> = read
        .imports()
        .map(|import| (import.from.as_str(), import.to.as_str()))
        .collect();
    for arrow in [
        ("low", "high"),
        ("low", "folder/inner"),
        ("high", "folder"),
        ("folder/inner", "low"),
    ] {
        assert!(arrows.contains(&arrow), "{arrow:?} is missing from {arrows:?}");
    }
    assert_eq!(read.circles().count(), 1);
}
