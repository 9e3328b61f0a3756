//! One workload on one system in one round, in a process of its own.
//!
//! A process of its own can be killed when a filesystem hangs, starts with nothing in its memory,
//! and its CPU time is the workload's. The parent gives it a file that says what to do, and reads
//! the file that it answers with.

use crate::case;
use crate::proc;
use crate::result::{Cell, Figure};
use crate::size::Sizes;
use crate::stage::Stage;
use crate::system::{self, Kind, Place, Setup, System};
use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use serde::{Deserialize, Serialize};
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What to measure.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Spec {
    /// The workload.
    pub(crate) case: String,
    /// The system.
    pub(crate) system: String,
    /// Counted from 1.
    pub(crate) round: u32,
    /// How large everything is.
    pub(crate) sizes: Sizes,
    /// Below this directory everything happens.
    pub(crate) dir: PathBuf,
    /// The `cairn` program.
    pub(crate) cairn: PathBuf,
    /// Flags for `cairn create`.
    pub(crate) create_flags: Vec<String>,
    /// Flags for `cairn mount`.
    pub(crate) mount_flags: Vec<String>,
    /// Filesystem type of the disk.
    pub(crate) disk_type: String,
}

impl Spec {
    /// What systems need to know.
    pub(crate) fn setup(&self) -> Setup {
        Setup {
            cairn: self.cairn.clone(),
            create_flags: self.create_flags.clone(),
            mount_flags: self.mount_flags.clone(),
            disk_type: self.disk_type.clone(),
        }
    }

    fn place(&self) -> Place {
        Place::new(self.dir.join("volume"))
    }

    fn cell(&self, seconds: f64, figures: Vec<Figure>, notes: Vec<String>, error: Option<String>) -> Cell {
        let Self {
            case, system, round, ..
        } = self.clone();
        Cell {
            case,
            system,
            round,
            seconds,
            figures,
            notes,
            error,
        }
    }
}

/// Where the sources that workloads copy from lie.
pub(crate) fn sources(dir: &Path) -> PathBuf {
    dir.join("sources")
}

/// The child's side: measures, and leaves its answer in a file.
pub(crate) fn play(spec: &Path, answer: &Path) -> Result<()> {
    let spec: Spec = serde_json::from_slice(&fs::read(spec)?)?;
    let system = system::by_id(&spec.setup(), &spec.system)?;
    let case = case::by_id(&spec.case)?;
    let start = Instant::now();
    let cell = match Stage::set(&*system, spec.place(), sources(&spec.dir), spec.sizes) {
        Err(error) => spec.cell(
            0.0,
            Vec::new(),
            Vec::new(),
            Some(format!("setting up: {error:#}")),
        ),
        Ok(mut stage) => {
            let mut error = (case.run)(&mut stage).err().map(|error| format!("{error:#}"));
            // Kept aside, for a volume that cannot be unmounted takes its stage with it.
            let (figures, notes) = (stage.figures.clone(), stage.notes.clone());
            if let Err(struck) = stage.strike() {
                error.get_or_insert(format!("taking down: {struck:#}"));
            }
            spec.cell(start.elapsed().as_secs_f64(), figures, notes, error)
        }
    };
    crate::result::write_json(answer, &cell)
}

/// The parent's side: starts the child, watches over it, and cleans up behind it.
pub(crate) fn measure(spec: &Spec, interrupted: &AtomicBool, keep: bool, tick: impl Fn()) -> Result<Cell> {
    let system = system::by_id(&spec.setup(), &spec.system)?;
    // What a killed run left would be measured, or keep the place busy.
    clear(&*system, &spec.place())?;
    let (file, answer) = (spec.dir.join("spec.json"), spec.dir.join("answer.json"));
    // A cell that dies leaves none. That of the cell before must not pass for it.
    remove(&answer)?;
    crate::result::write_json(&file, spec)?;
    let log = fs::File::create(spec.dir.join("cell.log"))?;
    let start = Instant::now();
    let mut child = Command::new(std::env::current_exe()?)
        .arg("cell")
        .args([&file, &answer])
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        // A group of its own: the terminal's Ctrl-C reaches this process alone, which then ends the
        // child's whole group.
        .process_group(0)
        .spawn()
        .context("cannot start a cell")?;
    let ended = watch(&mut child, spec.sizes.timeout_s, interrupted, tick)?;
    let seconds = start.elapsed().as_secs_f64();
    let cell = match ended {
        Ended::Itself => answered(spec, &answer, seconds),
        Ended::TooLate => spec.cell(
            seconds,
            Vec::new(),
            Vec::new(),
            Some(format!("took longer than {} s", spec.sizes.timeout_s)),
        ),
        Ended::Interrupted => {
            clear(&*system, &spec.place())?;
            bail!("interrupted");
        }
    };
    // The answer is read by now, and lies outside the place.
    if !(keep && cell.error.is_some()) {
        clear(&*system, &spec.place())?;
    }
    Ok(Cell { seconds, ..cell })
}

fn answered(spec: &Spec, answer: &Path, seconds: f64) -> Cell {
    let read = || -> Result<Cell> { Ok(serde_json::from_slice(&fs::read(answer)?)?) };
    read().unwrap_or_else(|_| {
        let log = fs::read_to_string(spec.dir.join("cell.log")).unwrap_or_default();
        let last = log.lines().last().unwrap_or("no word").to_owned();
        spec.cell(
            seconds,
            Vec::new(),
            Vec::new(),
            Some(format!("its process died: {last}")),
        )
    })
}

enum Ended {
    Itself,
    TooLate,
    Interrupted,
}

fn watch(child: &mut Child, timeout_s: u64, interrupted: &AtomicBool, tick: impl Fn()) -> Result<Ended> {
    let start = Instant::now();
    loop {
        if child.try_wait()?.is_some() {
            return Ok(Ended::Itself);
        }
        let stopped = interrupted.load(Ordering::Relaxed);
        if stopped || start.elapsed() > Duration::from_secs(timeout_s) {
            // The group: fio, cp and the like go with the cell.
            let group = i32::try_from(child.id())
                .ok()
                .and_then(rustix::process::Pid::from_raw);
            if let Some(group) = group {
                let _ = rustix::process::kill_process_group(group, Signal::KILL);
            }
            child.wait()?;
            return Ok(if stopped {
                Ended::Interrupted
            } else {
                Ended::TooLate
            });
        }
        tick();
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Removes a place with all that is mounted in it and all that serves it. Only processes whose
/// command line names this very place are ended.
fn clear(system: &dyn System, place: &Place) -> Result<()> {
    if !place.root().exists() {
        return Ok(());
    }
    let small_disk = place.file("disk");
    // The volume on the small disk first: it keeps that disk busy.
    for place in [&Place::new(small_disk.join("volume")), place] {
        if system.about().kind == Kind::Kernel {
            // A pool stays imported when its mount is merely detached. The kernel's filesystems do
            // not hang.
            let _ = system.unmount(place);
        }
        let pids = system.daemons(place);
        // A daemon that lives ends by itself once its mount is gone. One that hangs is killed
        // below.
        system::take_away(&place.mnt());
        if !proc::wait_gone(&pids, Duration::from_secs(2)) {
            pids.iter().for_each(|&pid| proc::signal(pid, Signal::KILL));
            proc::wait_gone(&pids, Duration::from_secs(10));
        }
        system.destroy(place);
    }
    system::take_away(&small_disk);
    fs::remove_dir_all(place.root()).with_context(|| format!("cannot remove {}", place.root().display()))?;
    // The disk gives the space back now, not during the next measurement.
    rustix::fs::syncfs(fs::File::open(place.root().parent().unwrap_or(Path::new("/")))?)?;
    Ok(())
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    }
}
