//! fio for what fio measures. Its jobs are files in `bench/fio/`, compiled in, so that a user can
//! run them by hand.

use crate::program;
use crate::size::MIB;
use crate::stage::Sample;
use crate::stats::Latency;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::Path;

const COMMON: &str = include_str!("../fio/common.fio");

/// A job file.
#[derive(Clone, Copy)]
pub(crate) struct Job(&'static str);

/// `stream-write.fio`
pub(crate) const STREAM_WRITE: Job = Job(include_str!("../fio/stream-write.fio"));
/// `stream-read.fio`
pub(crate) const STREAM_READ: Job = Job(include_str!("../fio/stream-read.fio"));
/// `random-read.fio`
pub(crate) const RANDOM_READ: Job = Job(include_str!("../fio/random-read.fio"));
/// `random-write.fio`
pub(crate) const RANDOM_WRITE: Job = Job(include_str!("../fio/random-write.fio"));
/// `random-mixed.fio`
pub(crate) const RANDOM_MIXED: Job = Job(include_str!("../fio/random-mixed.fio"));
/// `write-fsync.fio`
pub(crate) const WRITE_FSYNC: Job = Job(include_str!("../fio/write-fsync.fio"));

/// Whether a job goes round the page cache.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cache {
    /// Through it, as programs do unless they ask for something else.
    Buffered,
    /// O_DIRECT.
    Direct,
}

/// The variables of a job.
#[derive(Clone, Copy)]
pub(crate) struct Settings<'a> {
    /// The file, or the directory of the files.
    pub(crate) path: &'a Path,
    /// Of each file.
    pub(crate) bytes: u64,
    /// Of one request, where the job does not fix it.
    pub(crate) block: u64,
    /// Longest time.
    pub(crate) runtime_ms: u64,
    /// Threads, where the job has any.
    pub(crate) threads: u64,
    /// Page cache or not.
    pub(crate) cache: Cache,
}

impl<'a> Settings<'a> {
    /// A whole file, buffered.
    pub(crate) fn file(path: &'a Path, bytes: u64) -> Self {
        Self {
            path,
            bytes,
            block: 4096,
            runtime_ms: 0,
            threads: 1,
            cache: Cache::Buffered,
        }
    }
}

/// What fio measured, as its JSON says.
pub(crate) struct Outcome(Value);

/// Reads or writes of an outcome.
#[derive(Clone, Copy)]
pub(crate) enum Side {
    /// Reads.
    Read,
    /// Writes.
    Write,
}

/// Runs a job to its end.
pub(crate) fn run(job: Job, settings: &Settings) -> Result<Outcome> {
    let mut command = program::command("fio")?;
    // A run time of zero means none to fio.
    command
        .args(["--output-format=json", "-"])
        .env("BENCH_FILE", settings.path)
        .env("BENCH_DIR", settings.path)
        .env("BENCH_BYTES", settings.bytes.to_string())
        .env("BENCH_BLOCK", settings.block.to_string())
        .env("BENCH_TIME", format!("{}ms", settings.runtime_ms))
        .env("BENCH_THREADS", settings.threads.to_string())
        .env(
            "BENCH_DIRECT",
            if settings.cache == Cache::Direct { "1" } else { "0" },
        );
    let text = program::run_with_input(&mut command, format!("{COMMON}\n{}", job.0).as_bytes())?;
    // Warnings come before the object.
    let json = text
        .find('{')
        .map(|at| &text[at..])
        .context("fio answered without JSON")?;
    // Rates are those that fio tells: its start and the parsing are in none.
    let value: Value = serde_json::from_str(json).context("fio's JSON makes no sense")?;
    let job = value.pointer("/jobs/0").cloned().context("fio reported no job")?;
    ensure!(
        number(&job, "/error") == 0.0,
        "fio ended with error {}",
        job["error"]
    );
    Ok(Outcome(job))
}

fn number(value: &Value, path: &str) -> f64 {
    value.pointer(path).and_then(Value::as_f64).unwrap_or(0.0)
}

impl Outcome {
    fn at(&self, side: Side, name: &str) -> f64 {
        let side = match side {
            Side::Read => "read",
            Side::Write => "write",
        };
        number(&self.0, &format!("/{side}/{name}"))
    }

    /// Bytes moved.
    pub(crate) fn bytes(&self, side: Side) -> u64 {
        self.at(side, "io_bytes") as u64
    }

    /// MiB per second over the whole run time, a final fsync included.
    pub(crate) fn mib_per_s(&self, side: Side) -> Sample {
        let units = self.at(side, "io_bytes") / MIB as f64;
        Sample {
            value: units / self.run_seconds(side),
            units,
            latency: None,
            app_cpu_s: self.cpu_seconds(),
        }
    }

    /// Requests per second over the whole run time, a final fsync included.
    pub(crate) fn per_s(&self, side: Side) -> Sample {
        let latency = self.latency(match side {
            Side::Read => "/read/clat_ns",
            Side::Write => "/write/clat_ns",
        });
        let units = self.at(side, "total_ios");
        Sample {
            value: units / self.run_seconds(side),
            units,
            latency,
            app_cpu_s: self.cpu_seconds(),
        }
    }

    /// Percentiles of the fsyncs.
    pub(crate) fn sync_latency(&self) -> Option<Latency> {
        self.latency("/sync/lat_ns")
    }

    /// fio reports shares of the jobs' run time.
    fn cpu_seconds(&self) -> Option<f64> {
        let share = (self.0.pointer("/usr_cpu")?.as_f64()? + self.0.pointer("/sys_cpu")?.as_f64()?) / 100.0;
        Some(share * self.0.pointer("/job_runtime")?.as_f64()? / 1000.0)
    }

    fn run_seconds(&self, side: Side) -> f64 {
        (self.at(side, "runtime") / 1000.0).max(0.001)
    }

    fn latency(&self, path: &str) -> Option<Latency> {
        let stats = self.0.pointer(path)?;
        let micros = |name: &str| Some(stats.pointer(name)?.as_f64()? / 1000.0);
        Some(Latency {
            p50_us: micros("/percentile/50.000000")?,
            p99_us: micros("/percentile/99.000000")?,
            p999_us: micros("/percentile/99.900000")?,
            max_us: micros("/max")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_taken_over_the_whole_run_time() {
        let percentile = serde_json::json!({ "50.000000": 2000, "99.000000": 9000, "99.900000": 10_000 });
        let outcome = Outcome(serde_json::json!({
            "write": {
                "io_bytes": 2_097_152, "runtime": 500, "total_ios": 512,
                "clat_ns": { "max": 20_000, "percentile": percentile },
            },
        }));
        assert_eq!(outcome.mib_per_s(Side::Write).value, 4.0);
        let sample = outcome.per_s(Side::Write);
        assert_eq!(sample.value, 1024.0);
        assert_eq!(sample.latency.unwrap().p999_us, 10.0);
        assert!(outcome.sync_latency().is_none() && outcome.bytes(Side::Read) == 0);
    }
}
