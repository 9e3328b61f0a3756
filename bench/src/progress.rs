//! How far a run is, and how long it will still take.
//!
//! The rest is first guessed from the sizes. As cells come in, each guess gives way to what the
//! same workload took on the same system. Without that it is scaled by how wrong the guesses were
//! so far.

use indicatif::{ProgressBar, ProgressStyle};
use std::collections::HashMap;
use std::time::Duration;

/// One cell to come: workload, system, and a guess in seconds.
pub(crate) type Ahead = (String, String, f64);

/// What is known of how long cells take.
#[derive(Debug, Default)]
struct Pace {
    measured: HashMap<(String, String), f64>,
    guessed_s: f64,
    took_s: f64,
}

impl Pace {
    fn learn(&mut self, (case, system, guess): &Ahead, took: f64) {
        self.guessed_s += guess;
        self.took_s += took;
        self.measured.insert((case.clone(), system.clone()), took);
    }

    fn rest_s(&self, ahead: &[Ahead]) -> f64 {
        let scale = if self.guessed_s > 0.0 {
            self.took_s / self.guessed_s
        } else {
            1.0
        };
        ahead
            .iter()
            .map(|(case, system, guess)| {
                self.measured
                    .get(&(case.clone(), system.clone()))
                    .copied()
                    .unwrap_or(guess * scale)
            })
            .sum()
    }
}

/// The bar, and the queue it stands for.
pub(crate) struct Progress {
    bar: ProgressBar,
    pace: Pace,
    ahead: Vec<Ahead>,
}

impl Progress {
    /// Over these cells.
    pub(crate) fn new(ahead: Vec<Ahead>) -> Self {
        let bar = ProgressBar::new(ahead.len() as u64);
        let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {msg} ({elapsed} so far)");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        Self {
            bar,
            pace: Pace::default(),
            ahead,
        }
    }

    /// The next cell begins.
    pub(crate) fn begin(&self, round: u32) {
        let Some((case, system, _)) = self.ahead.first() else {
            return;
        };
        let rest = Duration::from_secs_f64(self.pace.rest_s(&self.ahead));
        let rest = indicatif::HumanDuration(rest);
        self.bar
            .set_message(format!("round {round}: {case} on {system}, about {rest} left"));
    }

    /// Time passes.
    pub(crate) fn tick(&self) {
        self.bar.tick();
    }

    /// The cell has ended.
    pub(crate) fn end(&mut self, took: f64) {
        if !self.ahead.is_empty() {
            let cell = self.ahead.remove(0);
            self.pace.learn(&cell, took);
        }
        self.bar.inc(1);
    }

    /// A line above the bar; on standard error where there is no terminal.
    pub(crate) fn say(&self, line: &str) {
        if self.bar.is_hidden() {
            eprintln!("{line}");
        } else {
            self.bar.println(line);
        }
    }

    /// No more cells.
    pub(crate) fn finish(self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rest_follows_what_was_measured() {
        let cell = |case: &str, system: &str, guess| (case.to_owned(), system.to_owned(), guess);
        let ahead = [cell("a", "x", 10.0), cell("a", "y", 10.0)];
        let mut pace = Pace::default();
        assert_eq!(pace.rest_s(&ahead), 20.0, "guesses");
        pace.learn(&ahead[0], 5.0);
        assert_eq!(pace.rest_s(&ahead), 10.0, "one measured, one scaled by half");
    }
}
