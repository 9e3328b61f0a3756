//! What the ciphers cost on this machine, and what a user should know of it.

use crate::text::human;
use cairn_merkle::{LEAF_OVERHEAD, Suite, seal_trial};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// As long as a record of a new volume is by default.
const RECORD: usize = 128 << 10;
/// The ciphers take turns, so that what slows the machine for a moment slows one turn. The best
/// turn of each counts. All turns together take 50 ms.
const TURNS: u32 = 5;
const TURN: Duration = Duration::from_millis(5);
/// Below this a difference is no reason to choose.
const WORTH_TELLING: u64 = 2;

/// Bytes per second that one thread seals here, for each of [`Suite::ALL`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Speeds([u64; Suite::ALL.len()]);

impl Speeds {
    /// Measures them.
    pub(crate) fn measure() -> Self {
        let (plain, mut sealed) = (vec![0x5a; RECORD], vec![0; RECORD + LEAF_OVERHEAD]);
        let mut best = [0; Suite::ALL.len()];
        for _ in 0..TURNS {
            for (suite, best) in Suite::ALL.into_iter().zip(&mut best) {
                let (start, mut bytes) = (Instant::now(), 0.0);
                while start.elapsed() < TURN {
                    seal_trial(suite, &plain, &mut sealed);
                    bytes += RECORD as f64;
                }
                *best = (*best).max((bytes / start.elapsed().as_secs_f64()) as u64);
            }
        }
        Self(best)
    }

    /// By name, for `--json`.
    pub(crate) fn by_name(&self) -> BTreeMap<&'static str, u64> {
        Suite::ALL.map(Suite::name).into_iter().zip(self.0).collect()
    }

    /// What to say of the other cipher to a user who chose this one.
    pub(crate) fn advice(&self, chosen: Suite) -> Option<String> {
        let speed_of = |sought| {
            let mut speeds = Suite::ALL.into_iter().zip(self.0);
            speeds
                .find(|(suite, _)| *suite == sought)
                .map_or(0, |(_, speed)| speed)
        };
        let own = speed_of(chosen);
        let other = Suite::ALL.into_iter().find(|suite| *suite != chosen)?;
        let speed = speed_of(other);
        (speed >= own.saturating_mul(WORTH_TELLING)).then(|| {
            format!(
                "{name} would seal {times:.1} times as fast on this machine: {} a second on one thread, \
                 {chosen} {}. The cipher of a volume stays: `--cipher {name}` when it is created",
                human(speed),
                human(own),
                name = other.name(),
                times = speed as f64 / own.max(1) as f64,
                chosen = chosen.name(),
            )
        })
    }
}

/// The warning for a volume of this cipher, where the processor does not run it at full speed.
pub(crate) fn slow_here(suite: Suite, is_fast_here: bool) -> Option<String> {
    (!is_fast_here).then(|| {
        format!(
            "this processor has no instructions for {}: the volume works, and reads and writes are several times slower",
            suite.name()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_cipher_is_named_from_twice_the_speed_on() {
        let (chacha, aes) = (Suite::ChaCha20Poly1305, Suite::Aes256Gcm);
        let advice = Speeds([1 << 30, 4 << 30]).advice(chacha).unwrap();
        assert!(
            advice.starts_with("aes-256-gcm would seal 4.0 times as fast"),
            "{advice}"
        );
        assert!(
            advice.contains("4.00 GiB a second") && advice.contains("1.00 GiB"),
            "{advice}"
        );
        assert!(advice.ends_with("`--cipher aes-256-gcm` when it is created"));
        assert_eq!(Speeds([1 << 30, 4 << 30]).advice(aes), None);
        assert_eq!(Speeds([1000, 1999]).advice(chacha), None);
        assert!(Speeds([1000, 2000]).advice(chacha).is_some());
        let back = Speeds([2000, 1000]).advice(aes).unwrap();
        assert!(
            back.starts_with("chacha20-poly1305 would seal 2.0 times"),
            "{back}"
        );
    }

    #[test]
    fn every_cipher_is_measured() {
        let measured = Speeds::measure();
        assert!(measured.0.iter().all(|speed| *speed > 0), "{measured:?}");
        let named = measured.by_name();
        assert!(Suite::ALL.iter().all(|suite| named[suite.name()] > 0));
    }

    #[test]
    fn a_volume_that_is_slow_here_is_warned_of() {
        let warning = slow_here(Suite::Aes256Gcm, false).unwrap();
        assert!(
            warning.contains("aes-256-gcm") && warning.contains("works"),
            "{warning}"
        );
        assert_eq!(slow_here(Suite::Aes256Gcm, true), None);
    }
}
