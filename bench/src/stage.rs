//! Where a workload plays: one fresh volume, mounted, with a meter beside it.
//!
//! ```text
//! measure(row, payload, work):
//!     reset peaks, read counters -> work (timed) -> flush -> read counters -> Figure { value, cost }
//! cold():  flush -> unmount -> mount -> drop the kernel's caches
//! ```
//!
//! What a step wrote is flushed before its costs are read, so that they belong to it and not to
//! its successor. The flush is no part of its time, unless the work itself syncs.
//!
//! **Invariant:** everything a stage writes is below its place, or is in the shared sources, which
//! no workload changes.

use crate::machine::drop_caches;
use crate::proc;
use crate::result::{Cost, Figure};
use crate::size::Sizes;
use crate::stats::Latency;
use crate::system::{Place, System};
use anyhow::{Result, ensure};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Processor seconds within a second below which a process rests.
const RESTING_CPU_S: f64 = 0.05;

/// What a piece of work answers: a value in its row's unit.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sample {
    /// The value.
    pub(crate) value: f64,
    /// How much was done: MiB or operations, as the value counts them.
    pub(crate) units: f64,
    /// Of single operations, if they were timed.
    pub(crate) latency: Option<Latency>,
    /// CPU time of the work, where the program that did it knows better: fio's own start is none of
    /// it.
    pub(crate) app_cpu_s: Option<f64>,
}

impl From<f64> for Sample {
    fn from(value: f64) -> Self {
        Self {
            value,
            ..Self::default()
        }
    }
}

/// Runs something and answers how many of its units were done per second.
pub(crate) fn rate(units: f64, work: impl FnOnce() -> Result<()>) -> Result<Sample> {
    Ok(Sample {
        value: units / seconds(work)?,
        units,
        ..Sample::default()
    })
}

/// Runs something and answers how long it took.
pub(crate) fn seconds(work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed().as_secs_f64().max(1e-9))
}

/// One system's volume, and what was measured on it.
pub(crate) struct Stage<'a> {
    system: &'a dyn System,
    place: Place,
    sources: PathBuf,
    /// Space in use when the last step ended. Remembered, because counting it touches every file of
    /// the store: done right before a step it would warm what `cold` has just cooled.
    space_bytes: u64,
    /// How large everything is.
    pub(crate) sizes: Sizes,
    /// What was measured so far.
    pub(crate) figures: Vec<Figure>,
    /// What a reader should know.
    pub(crate) notes: Vec<String>,
}

impl<'a> Stage<'a> {
    /// A fresh volume of `system` in `place`, mounted. `sources` holds what workloads copy from.
    pub(crate) fn set(system: &'a dyn System, place: Place, sources: PathBuf, sizes: Sizes) -> Result<Self> {
        place.prepare()?;
        system.create(&place)?;
        system.mount(&place)?;
        let space_bytes = proc::space_bytes(&place.store());
        let stage = Self {
            system,
            place,
            sources,
            space_bytes,
            sizes,
            figures: Vec::new(),
            notes: Vec::new(),
        };
        stage.still_mounted()?;
        Ok(stage)
    }

    /// Where applications work.
    pub(crate) fn dir(&self) -> PathBuf {
        self.system.directory(&self.place)
    }

    /// Where workloads copy from.
    pub(crate) fn sources(&self) -> &Path {
        &self.sources
    }

    /// The volume's place.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// The system itself.
    pub(crate) fn system(&self) -> &'a dyn System {
        self.system
    }

    /// Takes the volume away.
    pub(crate) fn strike(self) -> Result<(Vec<Figure>, Vec<String>)> {
        self.system.unmount(&self.place)?;
        // Only now: what outlives an unmount, such as a chain, is asked by it.
        self.system.destroy(&self.place);
        Ok((self.figures, self.notes))
    }

    /// Without this a dead mount would let us measure the directory below it.
    pub(crate) fn still_mounted(&self) -> Result<()> {
        let dir = self.dir();
        ensure!(
            dir != self.place.mnt() || proc::mounted_at(&dir).is_some(),
            "the filesystem is no longer mounted"
        );
        Ok(())
    }

    /// Everything written so far is on disk.
    pub(crate) fn flush(&self) -> Result<()> {
        self.system.flush(&self.place)
    }

    /// The next read finds nothing in memory.
    pub(crate) fn cold(&mut self) -> Result<()> {
        // The kernel drops clean pages only.
        self.flush()?;
        // What keeps its bytes in memory would forget more than its caches.
        if self.system.keeps_bytes() {
            self.system.unmount(&self.place)?;
            self.system.mount(&self.place)?;
            self.still_mounted()?;
        }
        // Last: the flush and the mount have read from the store themselves.
        if !drop_caches() {
            self.note("caches could not be dropped (not root): cold figures are too good");
        }
        Ok(())
    }

    /// Waits until the system's processes rest: what they still do about the work before is not
    /// part of the next. A minute at most.
    pub(crate) fn settle(&self) {
        let daemons = self.system.daemons(&self.place);
        if daemons.is_empty() {
            return;
        }
        let cpu_s = || daemons.iter().map(|&pid| proc::cpu_seconds(pid)).sum::<f64>();
        let mut before = cpu_s();
        for _ in 0..60 {
            std::thread::sleep(Duration::from_secs(1));
            let now = cpu_s();
            if now - before < RESTING_CPU_S {
                return;
            }
            before = now;
        }
    }

    /// Something a reader should know; said once.
    pub(crate) fn note(&mut self, text: &str) {
        if !self.notes.iter().any(|note| note == text) {
            self.notes.push(text.to_owned());
        }
    }

    /// Does the work and keeps its value and costs as a figure of `row`.
    pub(crate) fn measure(
        &mut self,
        row: &str,
        payload_bytes: u64,
        work: impl FnOnce(&Path) -> Result<Sample>,
    ) -> Result<Sample> {
        let meter = Meter::start(self);
        let dir = self.dir();
        let start = Instant::now();
        let sample = work(&dir)?;
        // The clock stops here. The meter goes on: what the step left dirty is written on its
        // account.
        let seconds = start.elapsed().as_secs_f64();
        self.still_mounted()?;
        let flush_s = self::seconds(|| self.flush())?;
        let mut cost = meter.stop(self);
        cost.flush_s = flush_s;
        // After the meter has stopped: the walk through the store takes processor time of this
        // process.
        let space = proc::space_bytes(&self.place.store());
        cost.space_bytes = space.cast_signed() - self.space_bytes.cast_signed();
        self.space_bytes = space;
        cost.seconds = seconds;
        cost.payload_bytes = payload_bytes;
        cost.app_cpu_s = sample.app_cpu_s.unwrap_or(cost.app_cpu_s);
        self.keep(row, sample, cost);
        Ok(sample)
    }

    /// A figure that follows from others, or was timed elsewhere.
    pub(crate) fn derive(&mut self, row: &str, sample: impl Into<Sample>) {
        self.keep(row, sample.into(), Cost::default());
    }

    fn keep(&mut self, row: &str, sample: Sample, cost: Cost) {
        let Sample {
            value,
            units,
            latency,
            ..
        } = sample;
        self.figures.push(Figure {
            row: row.to_owned(),
            value,
            units,
            latency,
            cost,
        });
    }
}

/// Counters at the start of a step.
struct Meter {
    daemons: Vec<i32>,
    daemon_cpu_s: f64,
    app_cpu_s: f64,
    device_bytes: Option<u64>,
}

impl Meter {
    fn start(stage: &Stage) -> Self {
        let daemons = stage.system.daemons(&stage.place);
        // A peak of the step before is no cost of this one.
        daemons.iter().for_each(|&pid| proc::reset_peak(pid));
        Self {
            daemon_cpu_s: daemons.iter().map(|&pid| proc::cpu_seconds(pid)).sum(),
            app_cpu_s: proc::own_cpu_seconds(),
            device_bytes: proc::device_written_bytes(&stage.place.store()),
            daemons,
        }
    }

    fn stop(self, stage: &Stage) -> Cost {
        let own = self.app_cpu_s;
        let has_daemon = !self.daemons.is_empty();
        let cpu: f64 = self.daemons.iter().map(|&pid| proc::cpu_seconds(pid)).sum();
        let after = proc::device_written_bytes(&stage.place.store());
        Cost {
            daemon_cpu_s: has_daemon.then_some(cpu - self.daemon_cpu_s),
            app_cpu_s: proc::own_cpu_seconds() - own,
            daemon_peak_bytes: has_daemon
                .then(|| self.daemons.iter().map(|&pid| proc::peak_bytes(pid)).sum()),
            device_bytes: after
                .zip(self.device_bytes)
                .map(|(after, before)| after.saturating_sub(before)),
            ..Cost::default()
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::size::Depth;
    use crate::system::{Setup, by_id};

    /// A stage on a plain directory.
    pub(crate) fn on_a_directory<T>(act: impl FnOnce(&mut Stage) -> T) -> T {
        let temp = tempfile::tempdir().unwrap();
        let system = by_id(&Setup::default(), "disk").unwrap();
        let place = Place::new(temp.path().join("place"));
        let sources = temp.path().join("sources");
        let mut stage = Stage::set(&*system, place, sources, Depth::Tiny.sizes()).unwrap();
        let out = act(&mut stage);
        stage.strike().unwrap();
        out
    }

    #[test]
    fn a_step_is_charged_with_what_it_wrote() {
        on_a_directory(|stage| {
            let write = |dir: &Path| rate(1.0, || Ok(std::fs::write(dir.join("a"), vec![7; 1 << 20])?));
            stage.measure("some.row", 1 << 20, write).unwrap();
            stage.derive("other.row", 2.5);
            let figure = &stage.figures[0];
            assert_eq!(
                (figure.row.as_str(), figure.cost.payload_bytes),
                ("some.row", 1 << 20)
            );
            assert!(
                figure.value > 0.0 && figure.cost.space_bytes >= 1 << 20,
                "{figure:?}"
            );
            assert_eq!(figure.cost.daemon_cpu_s, None, "a plain directory has no daemon");
            assert_eq!(stage.figures[1].value, 2.5);
        });
    }
}
