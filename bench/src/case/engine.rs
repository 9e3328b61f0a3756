//! OpenZFS' engine by itself: libzpool on a file of the disk, called directly, without a file
//! layer, FUSE or a kernel.
//!
//! ```text
//!   zpoolbench (bench/zfs/zpoolbench.c) --one line a row--> rows of this case
//! ```
//!
//! A floor for what ZFS costs where no kernel has it. Everything above the engine is left out, and
//! so is every system call of an application. It is no filesystem, so it stands beside the
//! machine's limits and not among systems.

use super::kind::{Case, Row, Tier, Unit, on_the_disk};
use crate::program;
use crate::stage::{Sample, Stage};
use crate::system::engine_program;
use anyhow::{Context, Result};

/// The engine alone.
pub(super) static ENGINE: Case = Case {
    id: "engine",
    title: "OpenZFS' engine alone",
    about: "OpenZFS' engine (libzpool; aes-256-gcm, sha256, 128 KiB records) called directly: a floor, without file layer, FUSE or system calls",
    rows: &[
        Row::unbounded(
            "engine.write",
            "sequential write, final sync included",
            Unit::MibPerS,
        ),
        Row::unbounded("engine.read_cold", "sequential read, cold", Unit::MibPerS),
        Row::unbounded(
            "engine.write_4k",
            "random write 4 KiB, final sync included",
            Unit::PerS,
        ),
        Row::unbounded("engine.fsync", "write 4 KiB + commit of the log", Unit::PerS),
        Row::unbounded("engine.read_4k", "random read 4 KiB, cold", Unit::PerS),
        Row::unbounded(
            "engine.create",
            "create objects of 4 KiB, final sync included",
            Unit::PerS,
        ),
        Row::unbounded("engine.delete", "delete them, final sync included", Unit::PerS),
    ],
    programs: &[],
    tier: Tier::More,
    applies: on_the_disk,
    guess_s: |sizes| 10.0 + sizes.stream_mib as f64 / 60.0 + 4.0 * sizes.runtime_ms as f64 / 1000.0,
    run,
};

/// A row's line begins so; the value is the last number in it before this unit.
static LINES: &[(&str, &str, &str)] = &[
    ("engine.write", "seqwrite 1M + sync", " MiB/s"),
    ("engine.read_cold", "seqread 1M cold", " MiB/s"),
    ("engine.write_4k", "randwrite 4k async", " IOPS incl."),
    ("engine.fsync", "randwrite 4k + zil_commit", " IOPS"),
    ("engine.read_4k", "randread 4k from cold", " IOPS"),
    ("engine.create", "create 10k x 4KiB", "/s incl."),
    ("engine.delete", "remove 10k", "/s incl."),
];

fn run(stage: &mut Stage) -> Result<()> {
    let mut command = match engine_program("zpoolbench") {
        Ok(command) => command,
        Err(error) => {
            stage.note(&format!("{error:#}"));
            return Ok(());
        }
    };
    let file = stage.dir().join("pool");
    let seconds = (stage.sizes.runtime_ms / 1000).clamp(1, 10);
    let pool_mib = 8 * stage.sizes.stream_mib + 4096;
    command
        .arg(&file)
        .arg(pool_mib.to_string())
        .args(["enc", "sha256", "131072"])
        .arg(seconds.to_string())
        .arg(stage.sizes.stream_mib.to_string());
    let said = program::run(&mut command)?;
    for (row, begins, unit) in LINES {
        let value =
            value_of(&said, begins, unit).with_context(|| format!("zpoolbench said nothing of {row}"))?;
        stage.measure(row, 0, |_| Ok(Sample::from(value)))?;
    }
    Ok(())
}

fn value_of(said: &str, begins: &str, unit: &str) -> Option<f64> {
    let line = said.lines().find(|line| line.starts_with(begins))?;
    let (before, _) = line[begins.len()..].split_once(unit)?;
    before.rsplit(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_in_what_zpoolbench_says() {
        let said = "\
seqwrite 1M + sync                 269 MiB/s (3.81 s; submit 3.40 s)
randwrite 4k async                 14000 IOPS submit, 11000 IOPS incl. final sync (10.3 s)
randwrite 4k + zil_commit each     1920 IOPS
randread 4k from cold (cap: secs)  2468 IOPS
create 10k x 4KiB                  40000/s submit, 28100/s incl. sync
";
        let found = |at: usize| value_of(said, LINES[at].1, LINES[at].2);
        assert_eq!(found(0), Some(269.0));
        assert_eq!(found(2), Some(11000.0));
        assert_eq!(found(3), Some(1920.0));
        assert_eq!(found(4), Some(2468.0));
        assert_eq!(found(5), Some(28100.0));
        assert_eq!(found(1), None);
    }
}
