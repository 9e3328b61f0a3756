//! Bytes that depend on a seed alone and do not compress: every system gets the same ones.

use anyhow::Result;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;

/// A new file of this size, written from start to end and fsynced, every MiB of it different.
pub(crate) fn lay_out(path: &Path, bytes: u64) -> Result<File> {
    const BLOCK: u64 = 1 << 20;
    let file = OpenOptions::new()
        .create(true)
        .read(true)
        .write(true)
        .truncate(true)
        .open(path)?;
    let mut block = Payload::new(16).bytes(BLOCK as usize);
    for at in (0..bytes).step_by(BLOCK as usize) {
        // No two alike: a filesystem that stores equal blocks once would write nothing.
        block[..8].copy_from_slice(&at.to_le_bytes());
        let len = BLOCK.min(bytes - at) as usize;
        file.write_all_at(&block[..len], at)?;
    }
    // Before any clock: the writeback of these bytes is no cost of what follows.
    file.sync_all()?;
    Ok(file)
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, fast, and good enough that no codec finds a
/// pattern.
#[derive(Clone, Debug)]
pub(crate) struct Payload(u64);

impl Payload {
    /// The stream that belongs to this seed.
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, which is not 0. The bias of the remainder is far below any noise
    /// here.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    /// A number in (0, 1].
    pub(crate) fn unit(&mut self) -> f64 {
        ((self.next() >> 11) + 1) as f64 / (1u64 << 53) as f64
    }

    /// Normally distributed, by Box and Muller.
    pub(crate) fn normal(&mut self) -> f64 {
        (-2.0 * self.unit().ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()
    }

    /// So many bytes.
    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(len + 8);
        while out.len() < len {
            out.extend_from_slice(&self.next().to_le_bytes());
        }
        out.truncate(len);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_bytes() {
        assert_eq!(Payload::new(7).bytes(1001), Payload::new(7).bytes(1001));
        assert_ne!(Payload::new(7).bytes(64), Payload::new(8).bytes(64));
        assert_eq!(Payload::new(7).bytes(13).len(), 13);
    }

    #[test]
    fn a_file_has_the_size_asked_for_and_no_two_blocks_alike() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("file");
        lay_out(&path, (2 << 20) + 5).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len(), (2 << 20) + 5);
        assert_ne!(bytes[..1 << 20], bytes[1 << 20..2 << 20]);
    }

    #[test]
    fn a_normal_sample_has_mean_zero_and_variance_one() {
        let mut payload = Payload::new(1);
        let samples: Vec<f64> = (0..10_000).map(|_| payload.normal()).collect();
        let mean = samples.iter().sum::<f64>() / 10_000.0;
        let variance = samples.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 10_000.0;
        assert!(
            mean.abs() < 0.05 && (variance - 1.0).abs() < 0.05,
            "{mean} {variance}"
        );
    }
}
