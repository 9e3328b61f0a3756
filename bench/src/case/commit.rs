//! Time over time: pauses at commits, snapshots under load, a disk that fills up, a load that goes
//! on.
//!
//! Latency is measured open-loop: operations are due at fixed times, and each one's latency counts
//! from when it was due. A filesystem that stops for a second delays all that became due in it, and
//! they all show (a closed loop would show one).

use super::kind::{Case, Row, Tier, Unit, where_bytes_stay};
use crate::payload::{Payload, lay_out};
use crate::program;
use crate::size::MIB;
use crate::stage::{Sample, Stage, rate, seconds};
use crate::stats::{Histogram, Latency};
use crate::system::{Place, mount_image, unmount_path};
use anyhow::{Context, Result, anyhow};
use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Calls `work` at a fixed pace for a while; latencies count from when each call was due.
pub(super) fn open_loop(
    per_s: u32,
    time: Duration,
    mut work: impl FnMut(u64) -> Result<()>,
) -> Result<Histogram> {
    let mut histogram = Histogram::default();
    let (start, step) = (Instant::now(), Duration::from_secs(1) / per_s);
    let mut count = 0u32;
    loop {
        let due = step * count;
        if due >= time {
            return Ok(histogram);
        }
        // Late already, it does not wait: what became due meanwhile is done at once, and each
        // counts its own delay.
        if let Some(wait) = due.checked_sub(start.elapsed()) {
            thread::sleep(wait);
        }
        work(u64::from(count))?;
        histogram.record(start.elapsed().saturating_sub(due).as_nanos());
        count += 1;
    }
}

/// Milliseconds that one in a thousand exceeds.
pub(super) fn p999(histogram: Histogram) -> Result<Sample> {
    let latency = histogram.latency().context("nothing was measured")?;
    Ok(Sample {
        value: latency.p999_us / 1000.0,
        latency: Some(latency),
        ..Sample::default()
    })
}

/// Runs both at the same time.
fn together<A: Send, B: Send>(
    a: impl FnOnce() -> Result<A> + Send,
    b: impl FnOnce() -> Result<B> + Send,
) -> Result<(A, B)> {
    thread::scope(|scope| {
        let a = scope.spawn(a);
        let b = b();
        Ok((a.join().map_err(|_| anyhow!("a thread panicked"))??, b?))
    })
}

/// A steady writer across several commits.
pub(super) static PAUSE: Case = Case {
    id: "pause",
    title: "Pauses at commits",
    about: "40 MiB/s in 128 KiB writes and 200 small files per second, both at fixed times; latency from when each was due",
    rows: &[
        Row::unbounded(
            "pause.write",
            "steady writer: latency of a write, 99.9 %",
            Unit::Millis,
        ),
        Row::unbounded(
            "pause.create",
            "steady writer: latency of create + write + close, 99.9 %",
            Unit::Millis,
        ),
    ],
    programs: &[],
    tier: Tier::More,
    applies: where_bytes_stay,
    guess_s: |sizes| 2.0 + sizes.pause_s as f64,
    run: pause,
};

fn pause(stage: &mut Stage) -> Result<()> {
    const BLOCK: u64 = 128 << 10;
    const PER_S: u32 = 320;
    let time = Duration::from_secs(stage.sizes.pause_s);
    let bytes = stage.sizes.random_mib * MIB;
    let file = lay_out(&stage.dir().join("pause"), bytes)?;
    let small = stage.dir().join("files");
    fs::create_dir(&small)?;
    // Else the first pause would be the commit of what was laid out.
    stage.flush()?;
    let block = Payload::new(17).bytes(BLOCK as usize);
    let mut created = None;
    stage.measure("pause.write", time.as_secs() * u64::from(PER_S) * BLOCK, |_| {
        let (writes, creates) = together(
            || open_loop(PER_S, time, |n| Ok(file.write_all_at(&block, n * BLOCK % bytes)?)),
            || {
                open_loop(200, time, |n| {
                    Ok(fs::write(small.join(format!("{n}")), &block[..4096])?)
                })
            },
        )?;
        created = Some(p999(creates)?);
        p999(writes)
    })?;
    if let Some(created) = created {
        stage.derive("pause.create", created);
    }
    Ok(())
}

/// Snapshots beside a writer.
pub(super) static SNAPSHOT: Case = Case {
    id: "snapshot",
    title: "Snapshots under load",
    about: "blocks are overwritten at random, first undisturbed, then while snapshots are taken one after the other",
    rows: &[
        Row::unbounded(
            "snapshot.create",
            "take a snapshot under load, median (starting its command included)",
            Unit::Millis,
        ),
        Row::unbounded(
            "snapshot.writer",
            "writer's rate while snapshots are taken, over undisturbed",
            Unit::Ratio,
        ),
    ],
    programs: &[],
    tier: Tier::More,
    applies: |system| system.has_snapshots(),
    guess_s: |sizes| 5.0 + sizes.snapshots as f64 / 10.0,
    run: snapshots,
};

fn snapshots(stage: &mut Stage) -> Result<()> {
    let bytes = stage.sizes.random_mib * MIB;
    let file = lay_out(&stage.dir().join("data"), bytes)?;
    let count = stage.sizes.snapshots;
    let (system, place) = (stage.system(), stage.place().clone());
    let (stop, written) = (AtomicBool::new(false), AtomicU64::new(0));
    let (mut before, mut during, mut latency) = (0.0, 0.0, None);
    // `System` is not shared between threads: this one takes the snapshots, the other writes.
    thread::scope(|scope| -> Result<()> {
        let writer = scope.spawn(|| overwrite(&file, bytes, &stop, &written));
        let phase = |work: &mut dyn FnMut() -> Result<()>| -> Result<f64> {
            let start = written.load(Ordering::Relaxed);
            let took = seconds(work)?;
            Ok((written.load(Ordering::Relaxed) - start) as f64 / took)
        };
        // One writer through both phases. The undisturbed one comes first, when no snapshot holds
        // blocks yet.
        let outcome = (|| {
            // As long as the pauses between the snapshots below take together.
            let pause = Duration::from_millis(50 * count);
            before = phase(&mut || {
                thread::sleep(pause);
                Ok(())
            })?;
            let mut histogram = Histogram::default();
            during = phase(&mut || {
                for number in 0..count {
                    let start = Instant::now();
                    system.snapshot(&place, &format!("s{number}"))?;
                    histogram.record(start.elapsed().as_nanos());
                    thread::sleep(Duration::from_millis(50));
                }
                Ok(())
            })?;
            latency = histogram.latency();
            Ok(())
        })();
        stop.store(true, Ordering::Relaxed);
        writer
            .join()
            .map_err(|_| anyhow!("the writer panicked"))?
            .and(outcome)
    })?;
    let latency: Latency = latency.context("no snapshot was taken")?;
    let create = Sample {
        value: latency.p50_us / 1000.0,
        latency: Some(latency),
        ..Sample::default()
    };
    stage.derive("snapshot.create", create);
    stage.derive("snapshot.writer", during / before);
    Ok(())
}

/// Overwrites 16 KiB blocks at random, with an fsync after every 64th, until it is told to stop.
fn overwrite(file: &File, bytes: u64, stop: &AtomicBool, written: &AtomicU64) -> Result<()> {
    const BLOCK: u64 = 16 << 10;
    let mut payload = Payload::new(18);
    let block = payload.bytes(BLOCK as usize);
    for number in 1u64.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        file.write_all_at(&block, payload.below(bytes / BLOCK) * BLOCK)?;
        if number.is_multiple_of(64) {
            // A writer that never syncs would be bound by memory, not by the filesystem.
            file.sync_data()?;
        }
        written.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// A load that goes on.
pub(super) static SUSTAINED: Case = Case {
    id: "sustained",
    title: "A sustained load",
    about: "16 KiB blocks are overwritten at random without a break, an fsync after every 64th, beside a reader at 100 reads per second",
    rows: &[
        Row::unbounded("sustained.writes", "sustained overwrites of 16 KiB", Unit::PerS),
        Row::unbounded(
            "sustained.drift",
            "rate in the last sixth over the first",
            Unit::Ratio,
        ),
        Row::unbounded(
            "sustained.read",
            "steady reader beside it: latency of 4 KiB, 99.9 %",
            Unit::Millis,
        ),
    ],
    programs: &[],
    tier: Tier::Long,
    applies: where_bytes_stay,
    guess_s: |sizes| 3.0 + sizes.sustained_s as f64,
    run: sustained,
};

fn sustained(stage: &mut Stage) -> Result<()> {
    let (bytes, time) = (
        stage.sizes.random_mib * MIB,
        Duration::from_secs(stage.sizes.sustained_s),
    );
    let file = lay_out(&stage.dir().join("data"), bytes)?;
    // Else the first sixth would carry the commit of what was laid out, and the drift would look
    // better than it is.
    stage.flush()?;
    let (stop, written) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut marks = Vec::new();
    let mut reads = None;
    stage.measure("sustained.writes", 0, |_| {
        let start = Instant::now();
        let read = || {
            let mut places = Payload::new(19);
            let mut buffer = [0; 4096];
            let sixth = time / 6;
            let histogram = open_loop(100, time, |_| {
                // By the reader, which keeps its pace. The writer may be held up just when a sixth
                // ends.
                if start.elapsed() >= sixth * (marks.len() as u32 + 1) {
                    marks.push(written.load(Ordering::Relaxed));
                }
                Ok(file.read_exact_at(&mut buffer, places.below(bytes / 4096) * 4096)?)
            });
            stop.store(true, Ordering::Relaxed);
            histogram
        };
        let (histogram, ()) = together(read, || overwrite(&file, bytes, &stop, &written))?;
        reads = Some(p999(histogram)?);
        Ok((written.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64()).into())
    })?;
    if let [first, .., before, last] = marks[..] {
        stage.derive("sustained.drift", (last - before) as f64 / first.max(1) as f64);
    }
    if let Some(reads) = reads {
        stage.derive("sustained.read", reads);
    }
    Ok(())
}

/// A disk that fills up.
pub(super) static FILL: Case = Case {
    id: "fill",
    title: "A full disk",
    about: "the store lies on a small disk of its own (an ext4 image), which is filled to nine tenths with files of 4 MiB, each fsynced",
    rows: &[
        Row::unbounded(
            "fill.first",
            "write to an empty disk (first tenth)",
            Unit::MibPerS,
        ),
        Row::unbounded(
            "fill.last",
            "write to a full disk (up to nine tenths)",
            Unit::MibPerS,
        ),
        Row::unbounded("fill.delete", "delete all of it, flush included", Unit::Seconds),
    ],
    programs: &[("mkfs.ext4", "e2fsprogs"), ("losetup", "mount")],
    tier: Tier::Long,
    applies: |system| system.keeps_bytes() && system.fills_with_its_disk(),
    guess_s: |sizes| 5.0 + sizes.fill_mib as f64 / 100.0,
    run: fill,
};

fn fill(stage: &mut Stage) -> Result<()> {
    let (image, disk) = (stage.place().file("disk.image"), stage.place().file("disk"));
    File::create(&image)?.set_len(stage.sizes.fill_mib * MIB)?;
    program::run(program::command("mkfs.ext4")?.args(["-q", "-m", "0"]).arg(&image))?;
    fs::create_dir(&disk)?;
    mount_image(&image, &disk, "ext4")?;
    let outcome = fill_disk(stage, &disk);
    // Unmounted whatever came of it; the first error is the one that tells.
    outcome.and(unmount_path(&disk))
}

/// Share of the disk in use.
fn used(disk: &Path) -> Result<f64> {
    let stat = rustix::fs::statvfs(disk)?;
    Ok(1.0 - stat.f_bavail as f64 / stat.f_blocks.max(1) as f64)
}

fn fill_disk(stage: &mut Stage, disk: &Path) -> Result<()> {
    let system = stage.system();
    let place = Place::new(disk.join("volume"));
    place.prepare()?;
    system.create(&place)?;
    system.mount(&place)?;
    let outcome = fill_volume(stage, disk, &place);
    let outcome = outcome.and(system.unmount(&place));
    // The unmount came first, whatever the filling came to: the small disk is busy until then.
    system.destroy(&place);
    outcome
}

fn fill_volume(stage: &mut Stage, disk: &Path, place: &Place) -> Result<()> {
    const FILE: u64 = 4 * MIB;
    let dir = stage.system().directory(place);
    let block = Payload::new(20).bytes(FILE as usize);
    let (mut count, mut full) = (0, None);
    let mut up_to = |share: f64| -> Result<(u64, f64)> {
        let before = count;
        let took = seconds(|| {
            while full.is_none() && used(disk)? < share {
                let path = dir.join(format!("fill{count}"));
                // Synced one by one: `used` counts only what has reached the disk.
                match fs::write(&path, &block).and_then(|()| File::open(&path)?.sync_all()) {
                    Ok(()) => count += 1,
                    Err(error) if error.kind() == ErrorKind::StorageFull => {
                        full = Some(used(disk)?);
                        fs::remove_file(path)?;
                    }
                    Err(error) => return Err(error.into()),
                }
            }
            Ok(())
        })?;
        Ok((count - before, took))
    };
    // A filesystem and an empty volume take space already: the first tenth counts from there.
    let empty = used(disk)?;
    let (first, took) = up_to(empty + 0.1)?;
    stage.derive("fill.first", (first * FILE / MIB) as f64 / took);
    // Only filled: rates are taken of the first tenth and of the last.
    up_to(0.8)?;
    let (last, took) = up_to(0.9)?;
    if let Some(share) = full {
        stage.note(&format!(
            "refused more with {:.0} % of the disk in use",
            share * 100.0
        ));
    }
    if last > 1 {
        stage.derive("fill.last", (last * FILE / MIB) as f64 / took);
    }
    let delete = rate(1.0, || {
        (0..count).try_for_each(|number| fs::remove_file(dir.join(format!("fill{number}"))))?;
        // Within the clock: deletes are cheap until a commit gives the space back.
        stage.system().flush(place)
    })?;
    stage.derive("fill.delete", 1.0 / delete.value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::tests::on_a_directory;

    #[test]
    fn a_pause_delays_everything_that_became_due_in_it() {
        let histogram = open_loop(1000, Duration::from_millis(200), |n| {
            if n == 50 {
                thread::sleep(Duration::from_millis(100));
            }
            Ok(())
        })
        .unwrap();
        let latency = histogram.latency().unwrap();
        assert!(latency.max_us >= 100_000.0, "{latency:?}");
        // A closed loop would have seen one slow call in two hundred, and a median of nothing.
        assert!(
            latency.p50_us < latency.p99_us && latency.p99_us > 50_000.0,
            "{latency:?}"
        );
    }

    #[test]
    fn pause_and_sustained_fill_their_rows() {
        for case in [&PAUSE, &SUSTAINED] {
            on_a_directory(|stage| {
                (case.run)(stage).unwrap();
                let filled: Vec<_> = stage.figures.iter().map(|figure| figure.row.as_str()).collect();
                assert_eq!(filled, case.rows.iter().map(|row| row.id).collect::<Vec<_>>());
            });
        }
    }
}
