//! What the machine can do at most: its disk, its memory and its processor at the cryptography that
//! Cairn uses.
//!
//! The disk is asked with O_DIRECT, through its own filesystem, on a file whose blocks are
//! allocated. Cryptography runs on one thread, in blocks as large as Cairn's records, and in 4 KiB.

use super::kind::{Case, Row, Tier, Unit, on_the_disk};
use crate::payload::Payload;
use crate::size::MIB;
use crate::stage::{Sample, Stage, rate};
use crate::stats::Histogram;
use anyhow::{Context, Result, anyhow};
use aws_lc_rs::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use std::fs::{File, OpenOptions};
use std::hint::black_box;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

/// The machine's limits.
pub(super) static RAW: Case = Case {
    id: "raw",
    title: "The machine's limits",
    about: "the raw limits of the machine: disk, memory, hash and cipher, without any filesystem of ours",
    rows: &[
        Row::unbounded(
            "raw.disk_write",
            "disk: sequential write, O_DIRECT, fsync",
            Unit::MibPerS,
        ),
        Row::unbounded("raw.disk_read", "disk: sequential read, O_DIRECT", Unit::MibPerS),
        Row::unbounded(
            "raw.disk_random_read",
            "disk: random read 4 KiB, O_DIRECT, one at a time",
            Unit::PerS,
        ),
        Row::unbounded(
            "raw.disk_fsync",
            "disk: overwrite 4 KiB, O_DIRECT, fdatasync",
            Unit::PerS,
        ),
        Row::unbounded("raw.memcpy", "memory: copy, one thread", Unit::MibPerS),
        Row::unbounded("raw.blake3", "BLAKE3, 128 KiB blocks, one thread", Unit::MibPerS),
        Row::unbounded(
            "raw.aead",
            "ChaCha20-Poly1305, 128 KiB blocks, one thread",
            Unit::MibPerS,
        ),
        Row::unbounded(
            "raw.open_4k",
            "open a sealed 4 KiB block: BLAKE3 and ChaCha20-Poly1305",
            Unit::PerS,
        ),
    ],
    programs: &[],
    tier: Tier::Core,
    applies: on_the_disk,
    guess_s: |sizes| 4.0 + sizes.stream_mib as f64 / 200.0 + sizes.runtime_ms as f64 / 500.0,
    run,
};

/// O_DIRECT of Linux; the constant is the same on x86-64 and most others, and differs on aarch64.
const O_DIRECT: i32 = if cfg!(target_arch = "aarch64") {
    0o200_000
} else {
    0o40_000
};
const BLOCK: usize = 4096;

fn run(stage: &mut Stage) -> Result<()> {
    let sizes = stage.sizes;
    let time = Duration::from_millis((sizes.runtime_ms / 2).min(2000));
    let bytes = sizes.stream_mib * MIB;
    let file = stage.dir().join("raw");
    if OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .custom_flags(O_DIRECT)
        .open(&file)
        .is_err()
    {
        stage.note("the disk refuses O_DIRECT: its limits are not measured");
    } else {
        stage.measure("raw.disk_write", bytes, |_| stream(&file, bytes, Way::Write))?;
        stage.cold()?;
        stage.measure("raw.disk_read", bytes, |_| stream(&file, bytes, Way::Read))?;
        stage.cold()?;
        // On the file that was written: of blocks never allocated the filesystem makes zeros
        // itself.
        stage.measure("raw.disk_random_read", 0, |_| {
            random(&file, bytes, time, Way::Read)
        })?;
        stage.measure("raw.disk_fsync", 0, |_| random(&file, bytes, time, Way::Write))?;
    }
    stage.measure("raw.memcpy", 0, |_| memcpy(time))?;
    stage.measure("raw.blake3", 0, |_| {
        let block = Payload::new(1).bytes(128 << 10);
        repeat(time, 128.0 / 1024.0, || {
            black_box(blake3::hash(black_box(&block)));
            Ok(())
        })
    })?;
    stage.measure("raw.aead", 0, |_| seal(time, 128 << 10))?;
    stage.measure("raw.open_4k", 0, |_| open_4k(time))?;
    Ok(())
}

/// Calls `work`, which does so many units, until the time is over; answers units per second.
fn repeat(time: Duration, units: f64, mut work: impl FnMut() -> Result<()>) -> Result<Sample> {
    let start = Instant::now();
    let mut done = 0.0;
    while start.elapsed() < time {
        work()?;
        done += units;
    }
    Ok(Sample {
        value: done / start.elapsed().as_secs_f64(),
        units: done,
        ..Sample::default()
    })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Read,
    Write,
}

/// A slice of whole blocks that begins where the disk's DMA may begin.
fn aligned(buffer: &mut [u8], len: usize) -> &mut [u8] {
    let skip = buffer.as_ptr().align_offset(BLOCK);
    &mut buffer[skip..skip + len]
}

fn direct(path: &Path, way: Way) -> Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(way == Way::Write).custom_flags(O_DIRECT);
    options
        .open(path)
        .with_context(|| format!("cannot open {}", path.display()))
}

/// From start to end in requests of 1 MiB.
fn stream(path: &Path, bytes: u64, way: Way) -> Result<Sample> {
    let len = MIB as usize;
    let mut buffer = Payload::new(2).bytes(len + BLOCK);
    let buffer = aligned(&mut buffer, len);
    let file = direct(path, way)?;
    rate((bytes / MIB) as f64, || {
        for at in (0..bytes).step_by(len) {
            match way {
                Way::Read => file.read_exact_at(buffer, at)?,
                Way::Write => file.write_all_at(buffer, at)?,
            }
        }
        if way == Way::Write {
            file.sync_all()?;
        }
        Ok(())
    })
}

/// One block after another at random, each write with its sync.
fn random(path: &Path, bytes: u64, time: Duration, way: Way) -> Result<Sample> {
    let mut buffer = Payload::new(3).bytes(2 * BLOCK);
    let buffer = aligned(&mut buffer, BLOCK);
    let file = direct(path, way)?;
    let mut places = Payload::new(4);
    let mut histogram = Histogram::default();
    let sample = repeat(time, 1.0, || {
        let at = places.below(bytes / BLOCK as u64) * BLOCK as u64;
        let start = Instant::now();
        match way {
            Way::Read => file.read_exact_at(buffer, at)?,
            Way::Write => {
                file.write_all_at(buffer, at)?;
                file.sync_data()?;
            }
        }
        histogram.record(start.elapsed().as_nanos());
        Ok(())
    })?;
    Ok(Sample {
        latency: histogram.latency(),
        ..sample
    })
}

/// Between buffers that no cache holds.
fn memcpy(time: Duration) -> Result<Sample> {
    let from = Payload::new(5).bytes(64 << 20);
    // Not of zeros: such pages are mapped at their first use, which would fall into the clock.
    let mut to = vec![1u8; 64 << 20];
    repeat(time, 64.0, || {
        black_box(&mut to).copy_from_slice(black_box(&from));
        Ok(())
    })
}

fn cipher(key: u8) -> Result<LessSafeKey> {
    let key = UnboundKey::new(&CHACHA20_POLY1305, &[key; 32]);
    Ok(LessSafeKey::new(
        key.map_err(|_| anyhow!("the cipher takes no key"))?,
    ))
}

fn nonce() -> Nonce {
    Nonce::assume_unique_for_key([0; 12])
}

/// As Cairn seals: a key per block, nonce zero.
fn seal(time: Duration, len: usize) -> Result<Sample> {
    let block = Payload::new(6).bytes(len);
    let (mut sealed, mut tag) = (vec![0; len], [0; 16]);
    let mut key = 0u8;
    repeat(time, len as f64 / MIB as f64, || {
        key = key.wrapping_add(1);
        cipher(key)?
            .seal_out_of_place_scatter(nonce(), Aad::empty(), &block, &mut sealed, &[], &mut tag)
            .map_err(|_| anyhow!("sealing failed"))?;
        black_box((&sealed, &tag));
        Ok(())
    })
}

/// As Cairn opens: the name is checked, then the tag.
fn open_4k(time: Duration) -> Result<Sample> {
    let mut sealed = Payload::new(7).bytes(BLOCK);
    let tag = cipher(9)?
        .seal_in_place_separate_tag(nonce(), Aad::empty(), &mut sealed)
        .map_err(|_| anyhow!("sealing failed"))?;
    let mut plain = vec![0; BLOCK];
    repeat(time, 1.0, || {
        black_box(blake3::hash(&sealed));
        cipher(9)?
            .open_separate_gather(nonce(), Aad::empty(), &sealed, tag.as_ref(), &mut plain)
            .map_err(|_| anyhow!("opening failed"))?;
        black_box(&plain);
        Ok(())
    })
}
