//! One file: streamed, and read and written at random. fio does it, with the jobs in `bench/fio/`.

use super::kind::{Case, Limit, Part, Row, Tier, Unit, everywhere};
use crate::fio::{self, Cache, Outcome, Settings, Side};
use crate::payload;
use crate::size::MIB;
use crate::stage::{Sample, Stage};
use anyhow::Result;
use std::path::Path;

const FIO: &[(&str, &str)] = &[("fio", "fio")];

const fn row(id: &'static str, title: &'static str, unit: Unit, limit: Limit) -> Row {
    Row {
        id,
        title,
        unit,
        limit,
    }
}

/// Two passes over the data and one write of the disk, all of which can overlap.
const SEALED_WRITE: Limit = Limit::Pipeline(&[
    Part::Hop,
    Part::Raw("raw.disk_write"),
    Part::Raw("raw.blake3"),
    Part::Raw("raw.aead"),
]);
const SEALED_READ: Limit = Limit::Pipeline(&[
    Part::Hop,
    Part::Raw("raw.disk_read"),
    Part::Raw("raw.blake3"),
    Part::Raw("raw.aead"),
]);
/// A random read is bound by the hop alone: one read of the disk may bring a record that answers
/// many.
const HOP_ONLY: Limit = Limit::Pipeline(&[Part::Hop]);

/// A large file from start to end.
pub(super) static STREAM: Case = Case {
    id: "stream",
    title: "Streams",
    about: "a file is written in 1 MiB requests and fsynced, then read cold and again from the page cache",
    rows: &[
        row(
            "stream.write",
            "sequential write, fsync included",
            Unit::MibPerS,
            SEALED_WRITE,
        ),
        row(
            "stream.read_cold",
            "sequential read, cold",
            Unit::MibPerS,
            SEALED_READ,
        ),
        row(
            "stream.read_warm",
            "sequential read, page cache",
            Unit::MibPerS,
            Limit::Pipeline(&[Part::Disk]),
        ),
    ],
    programs: FIO,
    tier: Tier::Core,
    applies: everywhere,
    guess_s: |sizes| 2.0 + sizes.stream_mib as f64 / 120.0,
    run: |stage| {
        let bytes = stage.sizes.stream_mib * MIB;
        stream_rows(
            stage,
            bytes,
            Cache::Buffered,
            ["stream.write", "stream.read_cold"],
        )?;
        // Right behind the cold read, which has left the file in the page cache.
        stage.measure("stream.read_warm", bytes, |dir| read(dir, bytes, Cache::Buffered))?;
        Ok(())
    },
};

fn read(dir: &Path, bytes: u64, cache: Cache) -> Result<Sample> {
    let file = dir.join("stream");
    let settings = Settings {
        cache,
        ..Settings::file(&file, bytes)
    };
    Ok(fio::run(fio::STREAM_READ, &settings)?.mib_per_s(Side::Read))
}

fn stream_rows(stage: &mut Stage, bytes: u64, cache: Cache, rows: [&str; 2]) -> Result<()> {
    stage.measure(rows[0], bytes, |dir| {
        let file = dir.join("stream");
        let settings = Settings {
            cache,
            ..Settings::file(&file, bytes)
        };
        Ok(fio::run(fio::STREAM_WRITE, &settings)?.mib_per_s(Side::Write))
    })?;
    // Else the read would be answered from the pages that the write left.
    stage.cold()?;
    stage.measure(rows[1], bytes, |dir| read(dir, bytes, cache))?;
    Ok(())
}

/// Points of a middling file.
pub(super) static RANDOM: Case = Case {
    id: "random",
    title: "Random access",
    about: "blocks of a file are read cold at random, then overwritten at random with a final fsync, 4 KiB and 16 KiB",
    rows: &[
        row("random.read_4k", "random read 4 KiB, cold", Unit::PerS, HOP_ONLY),
        row(
            "random.read_16k",
            "random read 16 KiB, cold",
            Unit::PerS,
            HOP_ONLY,
        ),
        row(
            "random.write_4k",
            "random write 4 KiB, buffered, final fsync included",
            Unit::PerS,
            HOP_ONLY,
        ),
        row(
            "random.write_16k",
            "random write 16 KiB, buffered, final fsync included",
            Unit::PerS,
            HOP_ONLY,
        ),
    ],
    programs: FIO,
    tier: Tier::Core,
    applies: everywhere,
    guess_s: |sizes| 4.0 + sizes.random_mib as f64 / 120.0 + 3.0 * sizes.runtime_ms as f64 / 1000.0,
    run: |stage| {
        let bytes = stage.sizes.random_mib * MIB;
        lay_out(stage, bytes)?;
        for (row, block) in [("random.read_4k", 4096), ("random.read_16k", 16384)] {
            // Before each row: the one before has warmed a part of the file.
            stage.cold()?;
            point(
                stage,
                row,
                fio::RANDOM_READ,
                Side::Read,
                bytes,
                block,
                Cache::Buffered,
            )?;
        }
        for (row, block) in [("random.write_4k", 4096), ("random.write_16k", 16384)] {
            point(
                stage,
                row,
                fio::RANDOM_WRITE,
                Side::Write,
                bytes,
                block,
                Cache::Buffered,
            )?;
        }
        Ok(())
    },
};

/// The file that points are picked from, written from start to end.
fn lay_out(stage: &mut Stage, bytes: u64) -> Result<()> {
    payload::lay_out(&stage.dir().join("random"), bytes)?;
    stage.flush()
}

/// One row of random access to that file.
fn point(
    stage: &mut Stage,
    row: &str,
    job: fio::Job,
    side: Side,
    bytes: u64,
    block: u64,
    cache: Cache,
) -> Result<()> {
    let runtime_ms = stage.sizes.runtime_ms;
    let mut moved = 0;
    stage.measure(row, 0, |dir| {
        let file = dir.join("random");
        let settings = Settings {
            block,
            runtime_ms,
            cache,
            ..Settings::file(&file, bytes)
        };
        let outcome: Outcome = fio::run(job, &settings)?;
        moved = outcome.bytes(Side::Read) + outcome.bytes(Side::Write);
        Ok(outcome.per_s(side))
    })?;
    // How much is moved within the time is known only afterwards.
    if let Some(figure) = stage.figures.last_mut() {
        figure.cost.payload_bytes = moved;
    }
    Ok(())
}

/// Small synchronous writes by several threads.
pub(super) static FSYNC: Case = Case {
    id: "fsync",
    title: "Small synchronous writes",
    about: "1, 4 and 16 threads overwrite 4 KiB blocks of a file each and fsync after every one",
    rows: &[
        row(
            "fsync.t1",
            "write 4 KiB + fsync, 1 thread",
            Unit::PerS,
            Limit::Serial(&[Part::Hop, Part::Raw("raw.disk_fsync")]),
        ),
        row("fsync.t4", "write 4 KiB + fsync, 4 threads", Unit::PerS, HOP_ONLY),
        row(
            "fsync.t16",
            "write 4 KiB + fsync, 16 threads",
            Unit::PerS,
            HOP_ONLY,
        ),
    ],
    programs: FIO,
    tier: Tier::Core,
    applies: everywhere,
    guess_s: |sizes| 4.0 + sizes.random_mib as f64 / 60.0 + 3.0 * sizes.runtime_ms as f64 / 1000.0,
    run: |stage| {
        let (bytes, runtime_ms) = (stage.sizes.random_mib * MIB, stage.sizes.runtime_ms);
        for (row, threads) in [("fsync.t1", 1), ("fsync.t4", 4), ("fsync.t16", 16)] {
            // All files together are as large as the one file is: the same amount is laid out for
            // each.
            let each = bytes / threads;
            for job in 0..threads {
                payload::lay_out(&stage.dir().join(format!("fsync.{job}")), each)?;
            }
            // Else the first fsyncs of the row would pay for the laying out.
            stage.flush()?;
            let mut moved = 0;
            stage.measure(row, 0, |dir| {
                let settings = Settings {
                    threads,
                    runtime_ms,
                    ..Settings::file(dir, each)
                };
                let outcome = fio::run(fio::WRITE_FSYNC, &settings)?;
                moved = outcome.bytes(Side::Write);
                Ok(Sample {
                    latency: outcome.sync_latency(),
                    ..outcome.per_s(Side::Write)
                })
            })?;
            if let Some(figure) = stage.figures.last_mut() {
                figure.cost.payload_bytes = moved;
            }
        }
        Ok(())
    },
};

/// Points of a file that is larger than what caches of indexes like.
pub(super) static BIG: Case = Case {
    id: "big",
    title: "A large file",
    about: "4 KiB blocks of a large file are read cold at random",
    rows: &[row(
        "big.read_4k",
        "random read 4 KiB of a large file, cold",
        Unit::PerS,
        HOP_ONLY,
    )],
    programs: FIO,
    tier: Tier::More,
    applies: everywhere,
    guess_s: |sizes| 3.0 + sizes.big_mib as f64 / 200.0 + sizes.runtime_ms as f64 / 1000.0,
    run: |stage| {
        let bytes = stage.sizes.big_mib * MIB;
        lay_out(stage, bytes)?;
        stage.cold()?;
        point(
            stage,
            "big.read_4k",
            fio::RANDOM_READ,
            Side::Read,
            bytes,
            4096,
            Cache::Buffered,
        )
    },
};

/// Round the page cache.
pub(super) static DIRECT: Case = Case {
    id: "direct",
    title: "Round the page cache",
    about: "the same with O_DIRECT: no page cache above the filesystem",
    rows: &[
        row(
            "direct.write",
            "sequential write, O_DIRECT, fsync included",
            Unit::MibPerS,
            SEALED_WRITE,
        ),
        row(
            "direct.read",
            "sequential read, O_DIRECT, cold",
            Unit::MibPerS,
            SEALED_READ,
        ),
        row(
            "direct.read_4k",
            "random read 4 KiB, O_DIRECT",
            Unit::PerS,
            HOP_ONLY,
        ),
        row(
            "direct.read_16k",
            "random read 16 KiB, O_DIRECT",
            Unit::PerS,
            HOP_ONLY,
        ),
        row(
            "direct.write_4k",
            "random write 4 KiB, O_DIRECT, final fsync included",
            Unit::PerS,
            HOP_ONLY,
        ),
        row(
            "direct.write_16k",
            "random write 16 KiB, O_DIRECT, final fsync included",
            Unit::PerS,
            HOP_ONLY,
        ),
    ],
    programs: FIO,
    tier: Tier::More,
    applies: everywhere,
    guess_s: |sizes| 6.0 + sizes.stream_mib as f64 / 100.0 + 4.0 * sizes.runtime_ms as f64 / 1000.0,
    run: |stage| {
        let stream = stage.sizes.stream_mib * MIB;
        stream_rows(stage, stream, Cache::Direct, ["direct.write", "direct.read"])?;
        let bytes = stage.sizes.random_mib * MIB;
        lay_out(stage, bytes)?;
        for (row, block) in [("direct.read_4k", 4096), ("direct.read_16k", 16384)] {
            stage.cold()?;
            point(
                stage,
                row,
                fio::RANDOM_READ,
                Side::Read,
                bytes,
                block,
                Cache::Direct,
            )?;
        }
        for (row, block) in [("direct.write_4k", 4096), ("direct.write_16k", 16384)] {
            point(
                stage,
                row,
                fio::RANDOM_WRITE,
                Side::Write,
                bytes,
                block,
                Cache::Direct,
            )?;
        }
        Ok(())
    },
};

/// Reads and writes together.
pub(super) static MIXED: Case = Case {
    id: "mixed",
    title: "Reads and writes together",
    about: "70 reads to 30 writes of 4 KiB at random, cold at the start, final fsync included",
    rows: &[
        row(
            "mixed.reads",
            "mixed 70/30, 4 KiB: reads",
            Unit::PerS,
            Limit::Unknown,
        ),
        row(
            "mixed.writes",
            "mixed 70/30, 4 KiB: writes",
            Unit::PerS,
            Limit::Unknown,
        ),
    ],
    programs: FIO,
    tier: Tier::More,
    applies: everywhere,
    guess_s: |sizes| 3.0 + sizes.random_mib as f64 / 120.0 + sizes.runtime_ms as f64 / 1000.0,
    run: |stage| {
        let (bytes, runtime_ms) = (stage.sizes.random_mib * MIB, stage.sizes.runtime_ms);
        lay_out(stage, bytes)?;
        stage.cold()?;
        let mut writes = None;
        stage.measure("mixed.reads", 0, |dir| {
            let file = dir.join("random");
            let settings = Settings {
                runtime_ms,
                ..Settings::file(&file, bytes)
            };
            let outcome = fio::run(fio::RANDOM_MIXED, &settings)?;
            writes = Some(outcome.per_s(Side::Write));
            Ok(outcome.per_s(Side::Read))
        })?;
        if let Some(writes) = writes {
            stage.derive("mixed.writes", writes);
        }
        Ok(())
    },
};
