//! A run: decides what is measured, measures it round by round, survives being interrupted.
//!
//! ```text
//! for round in 1..=rounds
//!     for workload
//!         for system        <- next to each other, so that each round gives a pair for every two systems
//!             cell, unless RUN/cells has it already
//! ```
//!
//! **Invariant:** `run.json` is written before the first cell and never changes, so a resumed run
//! measures with the same sizes, systems and settings.

use crate::case::{self, Case, Tier};
use crate::cell::{self, Spec};
use crate::cli::RunArgs;
use crate::install;
use crate::machine::Machine;
use crate::program;
use crate::progress::Progress;
use crate::report;
use crate::result::{Absence, Cell, FORMAT, Run, RunDir, SystemEntry};
use crate::size::{Depth, Sizes};
use crate::system::{self, About, Kind, Setup, System};
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Measures and reports.
pub(crate) fn run(args: &RunArgs) -> Result<()> {
    let dir = working_dir(&args.dir)?;
    let _lock = lock(&dir)?;
    let setup = Setup {
        cairn: cairn_program(args.cairn.as_deref()),
        create_flags: words(&args.create_flags),
        mount_flags: words(&args.mount_flags),
        disk_type: Machine::here(&dir).disk_type,
    };
    let (results, run) = match &args.resume {
        Some(path) => RunDir::open(path)?,
        None => begin(args, &setup, &dir)?,
    };
    for absence in run.absent.iter().chain(&run.absent_cases) {
        eprintln!("not measured: {}: {}", absence.id, absence.why);
    }
    ensure!(!run.systems.is_empty(), "there is nothing to measure");
    let interrupted = interruptible()?;
    let specs = plan(&run, &setup, &dir)?;
    // Interrupted from here on, a run can be resumed: its plan is written, and each cell is saved
    // when it ends.
    let outcome = measure_all(args, &results, &run, specs, &interrupted);
    // What was measured is reported even if the rest was not.
    let files = report::write(results.path(), None, None)?;
    outcome?;
    let shown = files
        .iter()
        .find(|file| file.ends_with("report.html"))
        .or(files.first());
    if let Some(file) = shown {
        println!("{}", file.display());
    }
    Ok(())
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// The program to measure: as told, or built here, or installed.
pub(crate) fn cairn_program(told: Option<&Path>) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    let built = target.join("release/cairn");
    let found = told
        .map(Path::to_owned)
        .or_else(|| built.is_file().then_some(built))
        .or_else(|| program::find("cairn"))
        .unwrap_or_else(|| "target/release/cairn".into());
    std::path::absolute(&found).unwrap_or(found)
}

/// The directory that everything is measured in, without symbolic links: mount points are looked up
/// by their path.
fn working_dir(dir: &Path) -> Result<PathBuf> {
    fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let dir = fs::canonicalize(dir)?;
    ensure!(
        dir.to_str().is_some_and(|path| !path.contains([' ', ',', ':'])),
        "{} holds a character that mount options cannot",
        dir.display()
    );
    Ok(dir)
}

/// Two runs in one directory would measure each other.
fn lock(dir: &Path) -> Result<fs::File> {
    let file = fs::File::create(dir.join("lock"))?;
    rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive)
        .ok()
        .with_context(|| format!("another run works in {}: choose another --dir", dir.display()))?;
    Ok(file)
}

fn interruptible() -> Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&flag))?;
    }
    Ok(flag)
}

/// Decides what a new run measures, and writes that down.
fn begin(args: &RunArgs, setup: &Setup, dir: &Path) -> Result<(RunDir, Run)> {
    let depth = args.depth();
    if args.install {
        install_missing(args, setup, depth)?;
    }
    let (cases, absent_cases) = choose_cases(args, depth)?;
    let (systems, absent) = choose_systems(args, setup)?;
    let mut sizes = depth.sizes();
    if let Some(minutes) = args.minutes {
        sizes.sustained_s = minutes * 60;
    }
    // A long load needs its own time and the usual time around it.
    sizes.timeout_s = sizes.timeout_s.max(sizes.sustained_s + sizes.timeout_s);
    let now = now_utc();
    let run = Run {
        format: FORMAT,
        started: now.clone(),
        command: command_line(std::env::args()),
        machine: Machine::here(dir),
        depth,
        sizes,
        rounds: args.rounds.unwrap_or(depth.rounds()),
        systems,
        absent,
        cases: cases.iter().map(|case| case.id.to_owned()).collect(),
        absent_cases,
    };
    let default = || Path::new("bench/results").join(now.replace(' ', "T").replace(':', ""));
    let out = args.out.clone().unwrap_or_else(default);
    Ok((RunDir::create(&out, &run)?, run))
}

/// The command without the directories that its programs happen to lie in here: others have them
/// elsewhere.
fn command_line(words: impl Iterator<Item = String>) -> String {
    let name = |word: String| match word.rsplit_once('/') {
        Some((_, name)) if word.starts_with('/') => name.to_owned(),
        _ => word,
    };
    words.map(name).collect::<Vec<_>>().join(" ")
}

/// The time in UTC, as date(1) tells it: the one thing here that a calendar would be needed for.
fn now_utc() -> String {
    program::command("date")
        .and_then(|mut date| program::run(date.args(["-u", "+%Y-%m-%d %H:%M:%S"])))
        .map_or_else(|_| "unknown time".into(), |text| text.trim().to_owned())
}

/// Whether a case belongs to a run.
fn wanted(args: &RunArgs, depth: Depth, case: &Case) -> bool {
    let tier = match depth {
        _ if args.all => Tier::Long,
        Depth::Full => Tier::More,
        Depth::Quick | Depth::Tiny => Tier::Core,
    };
    let named = args.only.iter().any(|id| id == case.id);
    (named || args.only.is_empty() && case.tier <= tier) && !args.skip.iter().any(|id| id == case.id)
}

fn choose_cases(args: &RunArgs, depth: Depth) -> Result<(Vec<&'static Case>, Vec<Absence>)> {
    for id in args.only.iter().chain(&args.skip) {
        case::by_id(id)?;
    }
    let mut absent = Vec::new();
    let mut cases = Vec::new();
    for case in case::ALL.iter().filter(|case| wanted(args, depth, case)) {
        match case.missing() {
            None => cases.push(*case),
            Some((why, _)) => absent.push(Absence {
                id: case.id.to_owned(),
                why,
            }),
        }
    }
    Ok((cases, absent))
}

/// Whether a system belongs to a run.
fn asked_for(args: &RunArgs, system: &dyn System) -> bool {
    let about = system.about();
    let named = |list: &[String]| list.iter().any(|id| id == about.id);
    named(&args.systems)
        || named(&args.add)
        || args.systems.is_empty() && about.by_default && !passed_over(args, &about)
}

/// A quick run has time for the disk, the hop and the FUSE rivals.
fn passed_over(args: &RunArgs, about: &About) -> bool {
    args.depth() == Depth::Quick && (about.kind == Kind::Kernel || about.id.starts_with("zlfuse"))
}

fn choose_systems(args: &RunArgs, setup: &Setup) -> Result<(Vec<SystemEntry>, Vec<Absence>)> {
    for id in args.systems.iter().chain(&args.add) {
        system::by_id(setup, id)?;
    }
    let (mut entries, mut absent) = (Vec::new(), Vec::new());
    for system in system::all(setup)
        .iter()
        .filter(|system| asked_for(args, &***system))
    {
        let about = system.about();
        match system.version() {
            Ok(version) => entries.push(SystemEntry {
                id: about.id.into(),
                title: about.title.into(),
                version,
                includes: about.includes.into(),
                leaves_out: about.leaves_out.into(),
            }),
            Err(error) => absent.push(Absence {
                id: about.id.into(),
                why: format!("{error:#}{}", hint(about.packages)),
            }),
        }
    }
    if args.systems.is_empty() {
        let skipped = system::all(setup).into_iter().map(|system| system.about());
        let skipped = skipped.filter(|about| about.by_default && passed_over(args, about));
        absent.extend(
            skipped
                .filter(|about| !args.add.iter().any(|id| id == about.id))
                .map(|about| Absence {
                    id: about.id.into(),
                    why: format!("a quick run leaves it out: --add {}", about.id),
                }),
        );
    }
    Ok((entries, absent))
}

fn hint(packages: &[&str]) -> String {
    if packages.is_empty() {
        String::new()
    } else {
        format!(" (apt install {})", packages.join(" "))
    }
}

fn install_missing(args: &RunArgs, setup: &Setup, depth: Depth) -> Result<()> {
    let mut packages: Vec<&str> = Vec::new();
    for case in case::ALL.iter().filter(|case| wanted(args, depth, case)) {
        packages.extend(case.missing().map(|(_, packages)| packages).unwrap_or_default());
    }
    for system in system::all(setup)
        .iter()
        .filter(|system| asked_for(args, &***system))
    {
        // ZFS' module cannot be built for every kernel, and building it is nothing to do in
        // passing.
        let about = system.about();
        if system.version().is_err() && !about.id.starts_with("zfs") {
            packages.extend(about.packages);
        }
    }
    packages.sort_unstable();
    packages.dedup();
    for failure in install::install(&packages)? {
        eprintln!("could not install {failure}");
    }
    Ok(())
}

/// Every cell of a run, in order.
fn plan(run: &Run, setup: &Setup, dir: &Path) -> Result<Vec<(Spec, f64)>> {
    let mut specs = Vec::new();
    // Rounds outside, systems inside: those of one round follow each other, so what disturbs the
    // machine for an hour disturbs all of them.
    for round in 1..=run.rounds {
        for case in &run.cases {
            let case = case::by_id(case)?;
            for entry in &run.systems {
                let system = system::by_id(setup, &entry.id)?;
                if (case.applies)(&*system) {
                    let guess = (case.guess_s)(&run.sizes);
                    specs.push((spec(case, &*system, round, run.sizes, setup, dir), guess));
                }
            }
        }
    }
    Ok(specs)
}

fn spec(case: &Case, system: &dyn System, round: u32, sizes: Sizes, setup: &Setup, dir: &Path) -> Spec {
    Spec {
        case: case.id.into(),
        system: system.about().id.into(),
        round,
        sizes,
        dir: dir.to_owned(),
        cairn: setup.cairn.clone(),
        create_flags: setup.create_flags.clone(),
        mount_flags: setup.mount_flags.clone(),
        disk_type: setup.disk_type.clone(),
    }
}

/// Whether a cell that exists need not be measured again.
fn settled(cell: &Cell, again: bool) -> bool {
    cell.error.is_none() || !again
}

fn measure_all(
    args: &RunArgs,
    results: &RunDir,
    run: &Run,
    specs: Vec<(Spec, f64)>,
    interrupted: &AtomicBool,
) -> Result<()> {
    let todo: Vec<(Spec, f64)> = specs
        .into_iter()
        .filter(|(spec, _)| {
            !results
                .cell(&spec.case, &spec.system, spec.round)
                .is_some_and(|cell| settled(&cell, args.again))
        })
        .collect();
    let start = Instant::now();
    let mut progress = Progress::new(
        todo.iter()
            .map(|(spec, guess)| (spec.case.clone(), spec.system.clone(), *guess))
            .collect(),
    );
    let budget = args.budget.or(run.depth.budget_s()).map(Duration::from_secs);
    // Before the first cell: no system pays for making what all of them copy.
    if let Some((spec, _)) = todo.first() {
        case::make_sources(&cell::sources(&spec.dir), &run.sizes)?;
    }
    let mut left = todo.len();
    for (spec, _) in &todo {
        // Between cells only: one that is cut short would be none.
        if budget.is_some_and(|budget| start.elapsed() > budget) {
            progress.say(&format!(
                "out of time: {left} of {} cells not measured; --resume goes on",
                todo.len()
            ));
            break;
        }
        progress.begin(spec.round);
        match cell::measure(spec, interrupted, args.keep, || progress.tick()) {
            Ok(cell) => {
                if let Some(error) = &cell.error {
                    progress.say(&format!(
                        "{} on {}, round {}: {error}",
                        cell.case, cell.system, cell.round
                    ));
                }
                progress.end(cell.seconds);
                // At once: a run that is killed later has lost one cell at most.
                results.save(&cell)?;
            }
            Err(_) if interrupted.load(Ordering::Relaxed) => {
                progress.finish();
                bail!(
                    "interrupted: `cairn-bench run --resume {}` goes on",
                    results.path().display()
                );
            }
            Err(error) => return Err(error),
        }
        left -= 1;
    }
    progress.finish();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;

    fn args(line: &str) -> RunArgs {
        match Cli::parse_from(line.split(' ')).command {
            Command::Run(args) => *args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_command_is_told_without_the_machines_own_directories() {
        let words = [
            "/opt/bin/cairn-bench",
            "run",
            "--cairn",
            "/opt/bin/cairn",
            "--out",
            "bench/results/x",
        ];
        assert_eq!(
            command_line(words.into_iter().map(String::from)),
            "cairn-bench run --cairn cairn --out bench/results/x"
        );
    }

    #[test]
    fn a_depth_decides_what_runs_unless_it_is_named() {
        let ids = |line: &str| {
            let args = args(line);
            case::ALL
                .iter()
                .filter(|case| wanted(&args, args.depth(), case))
                .map(|case| case.id)
                .collect::<Vec<_>>()
        };
        let quick = ids("cairn-bench run --quick");
        assert!(quick.contains(&"small") && !quick.contains(&"big") && !quick.contains(&"scale"));
        assert!(ids("cairn-bench run").contains(&"big") && !ids("cairn-bench run").contains(&"scale"));
        assert!(ids("cairn-bench run --all --skip big").contains(&"scale"));
        assert_eq!(ids("cairn-bench run --quick --only scale"), ["scale"]);
    }

    #[test]
    fn systems_of_one_round_follow_each_other() {
        let system = |id: &str| SystemEntry {
            id: id.into(),
            title: String::new(),
            version: String::new(),
            includes: String::new(),
            leaves_out: String::new(),
        };
        let run = Run {
            format: FORMAT,
            started: String::new(),
            command: String::new(),
            machine: Machine::default(),
            depth: Depth::Tiny,
            sizes: Depth::Tiny.sizes(),
            rounds: 2,
            systems: vec![system("disk"), system("cairn")],
            absent: Vec::new(),
            cases: vec!["raw".into(), "small".into()],
            absent_cases: Vec::new(),
        };
        let plan = plan(&run, &Setup::default(), Path::new("/x")).unwrap();
        let order: Vec<_> = plan
            .iter()
            .map(|(spec, _)| (spec.round, spec.case.as_str(), spec.system.as_str()))
            .collect();
        assert_eq!(
            order,
            [
                (1, "raw", "disk"),
                (1, "small", "disk"),
                (1, "small", "cairn"),
                (2, "raw", "disk"),
                (2, "small", "disk"),
                (2, "small", "cairn"),
            ]
        );
    }

    #[test]
    fn what_failed_is_measured_again_only_when_asked() {
        let cell = |error: Option<&str>| Cell {
            case: String::new(),
            system: String::new(),
            round: 1,
            seconds: 0.0,
            figures: Vec::new(),
            notes: Vec::new(),
            error: error.map(str::to_owned),
        };
        assert!(settled(&cell(None), true) && settled(&cell(Some("no")), false));
        assert!(!settled(&cell(Some("no")), true));
    }
}
