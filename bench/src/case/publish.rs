//! What publishing costs a writer, and whether it is on time.
//!
//! ```text
//! ring written over and over:  at 100 MB/s, each write due at a fixed time --> publish.write, publish.latency
//! the system's own word:       how late publications were, and how many    --> publish.late, .handed ..., .count
//! ring written again:          as fast as it goes, for the same time       --> publish.flat_out
//! ```
//!
//! Plain Cairn does the same work beside it, so that the ratio of the two is the cost.

use super::commit::{open_loop, p999};
use super::kind::{Case, Row, Tier, Unit};
use crate::payload::{Payload, lay_out};
use crate::size::MIB;
use crate::stage::{Sample, Stage};
use crate::system::{ANCHORED, OURS};
use anyhow::Result;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

/// One write.
const BLOCK: u64 = 128 << 10;
/// Writes a second that make 100 MB/s.
const PER_S: u32 = 763;

/// A writer while versions are published.
pub(super) static PUBLISH: Case = Case {
    id: "publish",
    title: "Publishing",
    about: "a file is written over and over in 128 KiB writes, at 100 MB/s and then as fast as it goes; Cairn with and without an anchor",
    rows: &[
        Row::unbounded(
            "publish.write",
            "100 MB/s writer, final fsync included",
            Unit::MibPerS,
        ),
        Row::unbounded(
            "publish.latency",
            "100 MB/s writer: latency of a write, 99.9 %",
            Unit::Millis,
        ),
        Row::unbounded(
            "publish.late",
            "publications: begun after they were to begin, worst",
            Unit::Millis,
        ),
        Row::unbounded(
            "publish.handed",
            "publications: handed to the chain after they were due, the last",
            Unit::Millis,
        ),
        Row::unbounded(
            "publish.handed_worst",
            "the same, worst since the mount",
            Unit::Millis,
        ),
        Row::unbounded("publish.count", "publications on schedule", Unit::Count),
        Row::unbounded(
            "publish.flat_out",
            "writer that never rests, final fsync included",
            Unit::MibPerS,
        ),
    ],
    programs: &[],
    tier: Tier::Long,
    applies: |system| [OURS, ANCHORED].contains(&system.about().id),
    guess_s: |sizes| 20.0 + sizes.publish_mib as f64 / 120.0 + 2.0 * sizes.publish_s as f64,
    run: publish,
};

fn publish(stage: &mut Stage) -> Result<()> {
    let time = Duration::from_secs(stage.sizes.publish_s);
    let mut ring = Ring::lay_out(stage)?;
    let mut latency = None;
    stage.measure("publish.write", time.as_secs() * u64::from(PER_S) * BLOCK, |_| {
        ring.rate(|ring| {
            latency = Some(p999(open_loop(PER_S, time, |_| ring.write())?)?);
            Ok(())
        })
    })?;
    if let Some(latency) = latency {
        stage.derive("publish.latency", latency);
    }
    // Before the next pace, which a disk may not carry.
    lateness(stage)?;
    let flat_out = stage.measure("publish.flat_out", 0, |_| {
        ring.rate(|ring| {
            let start = Instant::now();
            while start.elapsed() < time {
                ring.write()?;
            }
            Ok(())
        })
    })?;
    // How much is moved within the time is known only afterwards.
    if let Some(figure) = stage.figures.last_mut() {
        figure.cost.payload_bytes = (flat_out.units * MIB as f64) as u64;
    }
    Ok(())
}

/// What the system says of its publications.
fn lateness(stage: &mut Stage) -> Result<()> {
    if let Some(found) = stage.system().punctuality(stage.place())? {
        stage.derive("publish.late", found.closed_late_ms_max);
        stage.derive("publish.handed", found.handed_late_ms);
        stage.derive("publish.handed_worst", found.handed_late_ms_max);
        stage.derive("publish.count", found.publications as f64);
    }
    Ok(())
}

/// A file that is written from start to end, again and again.
struct Ring {
    file: File,
    blocks: u64,
    block: Vec<u8>,
    /// Writes so far.
    written: u64,
}

impl Ring {
    fn lay_out(stage: &Stage) -> Result<Self> {
        let bytes = stage.sizes.publish_mib * MIB;
        let file = lay_out(&stage.dir().join("ring"), bytes)?;
        stage.flush()?;
        Ok(Self {
            file,
            blocks: bytes / BLOCK,
            block: Payload::new(21).bytes(BLOCK as usize),
            written: 0,
        })
    }

    /// The next block, like no other.
    fn write(&mut self) -> Result<()> {
        self.block[..8].copy_from_slice(&self.written.to_le_bytes());
        // Over the same file again and again: the volume stays as large as it is, whatever the
        // pace.
        let at = self.written % self.blocks * BLOCK;
        self.file.write_all_at(&self.block, at)?;
        self.written += 1;
        Ok(())
    }

    /// MiB a second that `work` writes, all of it durable.
    fn rate(&mut self, work: impl FnOnce(&mut Self) -> Result<()>) -> Result<Sample> {
        let (start, before) = (Instant::now(), self.written);
        work(self)?;
        // Within the clock: a rate of bytes that are not durable says nothing of publishing.
        self.file.sync_all()?;
        let units = ((self.written - before) * BLOCK) as f64 / MIB as f64;
        Ok(Sample {
            value: units / start.elapsed().as_secs_f64().max(1e-9),
            units,
            ..Sample::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stage::tests::on_a_directory;

    #[test]
    fn a_system_that_publishes_nothing_fills_the_writers_rows() {
        on_a_directory(|stage| {
            publish(stage).unwrap();
            let filled: Vec<_> = stage.figures.iter().map(|figure| figure.row.as_str()).collect();
            assert_eq!(filled, ["publish.write", "publish.latency", "publish.flat_out"]);
            let figure = &stage.figures[2];
            assert!(figure.value > 0.0 && figure.cost.payload_bytes > 0, "{figure:?}");
        });
    }

    #[test]
    fn a_ring_begins_again_when_it_is_full() {
        on_a_directory(|stage| {
            let mut ring = Ring::lay_out(stage).unwrap();
            (0..=ring.blocks).for_each(|_| ring.write().unwrap());
            let mut first = [0; 8];
            ring.file.read_exact_at(&mut first, 0).unwrap();
            assert_eq!(u64::from_le_bytes(first), ring.blocks);
            assert_eq!(ring.file.metadata().unwrap().len(), ring.blocks * BLOCK);
        });
    }
}
