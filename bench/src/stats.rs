//! Few samples, said honestly: medians with their spread, and ratios taken pair by pair.
//!
//! ```text
//! round   1    2    3            A / B of one round were measured next to each other, so what
//! A      100  120  110           disturbs the machine disturbs both: the ratio is taken per round,
//! B       50   61   54   --->    and its median and range say more than the ratio of the medians.
//! A/B    2.0  1.97 2.04
//! ```
//!
//! **Invariant:** nothing here reads the clock or draws at random.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Values of one quantity by round.
pub(crate) type Series = BTreeMap<u32, f64>;

/// What a handful of samples says.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Summary {
    /// The middle one, or the mean of the two in the middle.
    pub(crate) median: f64,
    /// The smallest.
    pub(crate) min: f64,
    /// The largest.
    pub(crate) max: f64,
    /// How many there were.
    pub(crate) count: usize,
}

impl Summary {
    /// Of all finite samples; none if there is not a single one.
    pub(crate) fn of(samples: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = samples.into_iter().filter(|x| x.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let count = sorted.len();
        let (&min, &max) = (sorted.first()?, sorted.last()?);
        let median = if count % 2 == 1 {
            sorted[count / 2]
        } else {
            f64::midpoint(sorted[count / 2 - 1], sorted[count / 2])
        };
        Some(Self {
            median,
            min,
            max,
            count,
        })
    }

    /// Half the range as a share of the median: what stands behind ± in the tables.
    pub(crate) fn spread(&self) -> f64 {
        if self.median == 0.0 {
            0.0
        } else {
            (self.max - self.min) / 2.0 / self.median.abs()
        }
    }
}

/// `ours / theirs` of each round that has both.
pub(crate) fn pairwise(ours: &Series, theirs: &Series) -> Option<Summary> {
    Summary::of(
        ours.iter()
            .filter_map(|(round, a)| theirs.get(round).filter(|&&b| b > 0.0).map(|b| a / b)),
    )
}

/// Latencies of single operations, in nanoseconds.
#[derive(Debug, Default)]
pub(crate) struct Histogram(Vec<u64>);

impl Histogram {
    /// One more operation.
    pub(crate) fn record(&mut self, nanos: u128) {
        self.0.push(u64::try_from(nanos).unwrap_or(u64::MAX));
    }

    /// Its percentiles; none if nothing was recorded.
    pub(crate) fn latency(mut self) -> Option<Latency> {
        self.0.sort_unstable();
        let last = self.0.len().checked_sub(1)?;
        // Nearest rank: the smallest sample that at least that share of all does not exceed.
        let at = |share: f64| {
            let rank = (share * self.0.len() as f64).ceil() as usize;
            self.0[rank.saturating_sub(1).min(last)] as f64 / 1000.0
        };
        Some(Latency {
            p50_us: at(0.5),
            p99_us: at(0.99),
            p999_us: at(0.999),
            max_us: self.0[last] as f64 / 1000.0,
        })
    }
}

/// Percentiles of single operations, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Latency {
    /// Half were faster.
    pub(crate) p50_us: f64,
    /// One in a hundred was slower.
    pub(crate) p99_us: f64,
    /// One in a thousand was slower.
    pub(crate) p999_us: f64,
    /// The slowest.
    pub(crate) max_us: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_the_middle_and_ignores_what_is_no_number() {
        let odd = Summary::of([3.0, 1.0, f64::NAN, 2.0]).unwrap();
        assert_eq!((odd.median, odd.min, odd.max, odd.count), (2.0, 1.0, 3.0, 3));
        assert_eq!(Summary::of([1.0, 2.0, 3.0, 10.0]).unwrap().median, 2.5);
        assert!(Summary::of([f64::INFINITY]).is_none());
    }

    #[test]
    fn spread_is_half_the_range_over_the_median() {
        let summary = Summary::of([90.0, 100.0, 110.0]).unwrap();
        assert!((summary.spread() - 0.1).abs() < 1e-12);
        assert_eq!(Summary::of([0.0]).unwrap().spread(), 0.0);
    }

    #[test]
    fn ratios_are_taken_within_a_round_only() {
        let ours = Series::from([(1, 100.0), (2, 300.0), (3, 7.0)]);
        let theirs = Series::from([(1, 50.0), (2, 100.0), (4, 1.0)]);
        let ratio = pairwise(&ours, &theirs).unwrap();
        assert_eq!((ratio.min, ratio.max, ratio.count), (2.0, 3.0, 2));
        assert!(pairwise(&ours, &Series::from([(1, 0.0)])).is_none());
    }

    #[test]
    fn percentiles_are_samples_that_occurred() {
        let mut histogram = Histogram::default();
        (1..=1000u128).for_each(|n| histogram.record(n * 1000));
        let latency = histogram.latency().unwrap();
        assert_eq!((latency.p50_us, latency.p99_us), (500.0, 990.0));
        assert_eq!((latency.p999_us, latency.max_us), (999.0, 1000.0));
        assert!(Histogram::default().latency().is_none());
    }
}
