//! A source tree is copied in, read back and removed. The tree is generated: the same on every
//! machine.

use super::kind::{Case, Limit, Part, Row, Tier, Unit, everywhere};
use crate::payload::Payload;
use crate::program;
use crate::size::Sizes;
use crate::stage::{Stage, seconds};
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::{Path, PathBuf};

/// As above.
pub(super) static TREE: Case = Case {
    id: "tree",
    title: "A source tree",
    about: "a generated source tree (log-normal sizes, median 3 KiB) is copied with cp -a, read back cold, and removed",
    rows: &[
        Row {
            id: "tree.copy",
            title: "copy a source tree, flush included",
            unit: Unit::Seconds,
            limit: HOP,
        },
        Row {
            id: "tree.read_cold",
            title: "read it back, cold",
            unit: Unit::Seconds,
            limit: HOP,
        },
        Row {
            id: "tree.remove",
            title: "remove it with rm -rf",
            unit: Unit::Seconds,
            limit: HOP,
        },
    ],
    programs: &[],
    tier: Tier::Core,
    applies: everywhere,
    guess_s: |sizes| 3.0 + sizes.tree_files as f64 / 300.0,
    run,
};

const HOP: Limit = Limit::Pipeline(&[Part::Hop]);

fn run(stage: &mut Stage) -> Result<()> {
    let source = stage.sources().join("tree");
    // Also brings the source into the page cache, so that its own disk is no part of the figure.
    let wanted = Digest::of(&source)?;
    let target = stage.dir().join("tree");
    // `measure` flushes after the work; here the flush is part of it, as a user who copies a tree
    // expects.
    let (system, place) = (stage.system(), stage.place().clone());
    stage.measure("tree.copy", wanted.bytes, |_| {
        Ok(seconds(|| {
            program::run(program::command("cp")?.arg("-a").arg(&source).arg(&target))?;
            system.flush(&place)
        })?
        .into())
    })?;
    stage.cold()?;
    let mut found = Digest::default();
    stage.measure("tree.read_cold", wanted.bytes, |_| {
        Ok(seconds(|| {
            found = Digest::of(&target)?;
            Ok(())
        })?
        .into())
    })?;
    if stage.system().keeps_bytes() {
        ensure!(found == wanted, "the copy differs from its source");
    }
    stage.measure("tree.remove", 0, |_| {
        Ok(seconds(|| program::run(program::command("rm")?.arg("-rf").arg(&target)).map(drop))?.into())
    })?;
    Ok(())
}

/// What a tree holds: names, modes and bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Digest {
    files: u64,
    bytes: u64,
    hash: [u8; 32],
}

impl Digest {
    fn of(top: &Path) -> Result<Self> {
        let mut hasher = blake3::Hasher::new();
        let mut digest = Self::default();
        digest.walk(top, top, &mut hasher)?;
        digest.hash = *hasher.finalize().as_bytes();
        Ok(digest)
    }

    fn walk(&mut self, top: &Path, dir: &Path, hasher: &mut blake3::Hasher) -> Result<()> {
        let mut paths: Vec<PathBuf> = fs::read_dir(dir)?
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<_>>()?;
        // Each filesystem lists in an order of its own, and the hash must not depend on it.
        paths.sort();
        for path in paths {
            let meta = fs::symlink_metadata(&path)?;
            if meta.is_dir() {
                self.walk(top, &path, hasher)?;
                continue;
            }
            let bytes = fs::read(&path)?;
            hasher.update(path.strip_prefix(top)?.as_os_str().as_encoded_bytes());
            hasher.update(&(bytes.len() as u64).to_le_bytes());
            hasher.update(&bytes);
            self.files += 1;
            self.bytes += bytes.len() as u64;
        }
        Ok(())
    }
}

/// Makes what workloads copy from, once per working directory: the tree, an archive of it, a git
/// repository, a crate.
pub(crate) fn make_sources(dir: &Path, sizes: &Sizes) -> Result<()> {
    let done = dir.join("done");
    let recipe = format!("1 {}", sizes.tree_files);
    if fs::read_to_string(&done).is_ok_and(|text| text == recipe) {
        return Ok(());
    }
    if dir.exists() {
        // Of other sizes, or cut short: either way not what the recipe says.
        fs::remove_dir_all(dir)?;
    }
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    make_tree(&dir.join("tree"), sizes.tree_files)?;
    program::run(
        program::command("tar")?
            .arg("-C")
            .arg(dir)
            .arg("-cf")
            .arg(dir.join("tree.tar"))
            .arg("tree"),
    )?;
    if program::find("git").is_some() {
        make_repository(dir)?;
    }
    make_crate(&dir.join("crate"))?;
    // Last: sources whose making was cut short have no recipe, and are made anew.
    Ok(fs::write(done, recipe)?)
}

/// Log-normal sizes, median 3 KiB, at most 2 MiB, as source trees have.
fn make_tree(top: &Path, files: u64) -> Result<()> {
    let mut payload = Payload::new(11);
    for index in 0..files {
        let folder = top
            .join(format!("p{:02}", index % 83))
            .join(format!("s{}", index % 7));
        fs::create_dir_all(&folder)?;
        let size = (8.0 + 1.6 * payload.normal()).exp().min(2.0 * 1024.0 * 1024.0);
        fs::write(folder.join(format!("m{index}.rs")), payload.bytes(size as usize))?;
    }
    Ok(())
}

/// A bare repository with the tree as its only commit.
fn make_repository(dir: &Path) -> Result<()> {
    let git = |arguments: &[&str]| {
        let mut command = program::command("git")?;
        command.arg("-C").arg(dir.join("tree")).args([
            "-c",
            "user.name=bench",
            "-c",
            "user.email=bench@localhost",
        ]);
        program::run(
            command
                .args(["-c", "gc.auto=0", "-c", "core.compression=0"])
                .args(arguments),
        )
    };
    git(&["init", "-q"])?;
    git(&["add", "."])?;
    git(&["commit", "-q", "-m", "The tree"])?;
    let bare = dir.join("tree.git");
    // Out of the tree: what workloads copy holds no repository.
    fs::rename(dir.join("tree/.git"), &bare)?;
    let mut command = program::command("git")?;
    program::run(command.arg("-C").arg(&bare).args(["config", "core.bare", "true"])).map(drop)
}

/// A crate of some modules without dependencies, so that building it needs no network.
fn make_crate(dir: &Path) -> Result<()> {
    const MODULES: usize = 24;
    fs::create_dir_all(dir.join("src"))?;
    fs::write(
        dir.join("Cargo.toml"),
        "[package]\nname = \"sample\"\nversion = \"0.1.0\"\nedition = \"2021\"\n\n[workspace]\n",
    )?;
    let mut main = String::new();
    for module in 0..MODULES {
        let mut text = String::from("//! Generated.\n");
        for item in 0..40 {
            text.push_str(&format!(
                "#[derive(Clone, Debug, PartialEq)]\npub struct S{item} {{ pub a: u64, pub b: String, pub c: Vec<u32> }}\n\
                 pub fn f{item}(x: u64) -> S{item} {{ S{item} {{ a: x * {item}, b: format!(\"{{x}}\"), c: (0..x as u32).collect() }} }}\n"
            ));
        }
        fs::write(dir.join(format!("src/m{module}.rs")), text)?;
        main.push_str(&format!("mod m{module};\n"));
    }
    main.push_str("fn main() {\n");
    for module in 0..MODULES {
        main.push_str(&format!("    println!(\"{{:?}}\", m{module}::f{module}(3));\n"));
    }
    main.push_str("}\n");
    Ok(fs::write(dir.join("src/main.rs"), main)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::size::Depth;
    use crate::stage::tests::on_a_directory;

    #[test]
    fn a_generated_tree_is_the_same_every_time_and_copies_intact() {
        on_a_directory(|stage| {
            let sizes = Depth::Tiny.sizes();
            make_sources(stage.sources(), &sizes).unwrap();
            let first = Digest::of(&stage.sources().join("tree")).unwrap();
            let again = stage.dir().join("again");
            make_tree(&again, sizes.tree_files).unwrap();
            assert_eq!(Digest::of(&again).unwrap(), first);
            assert_eq!(first.files, sizes.tree_files);
            fs::remove_dir_all(again).unwrap();
            run(stage).unwrap();
            assert_eq!(stage.figures.len(), 3);
        });
    }

    #[test]
    fn sources_are_made_once() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("sources");
        make_sources(&dir, &Depth::Tiny.sizes()).unwrap();
        fs::write(dir.join("mark"), "").unwrap();
        make_sources(&dir, &Depth::Tiny.sizes()).unwrap();
        assert!(dir.join("mark").exists());
        let sizes = Sizes {
            tree_files: 61,
            ..Depth::Tiny.sizes()
        };
        make_sources(&dir, &sizes).unwrap();
        assert!(!dir.join("mark").exists(), "other sizes, other sources");
    }
}
