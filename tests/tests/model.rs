//! Random operations on the engine and on the model, side by side: files, names, attributes, fsync,
//! commits, power cuts, remounts, snapshots and quotas.
//!
//! 10,000 operations by default; the long run is
//! `CAIRN_MODEL_OPS=1000000 cargo test --release -p cairn-tests --test model`. A failure prints its
//! seed and a short list of operations; `CAIRN_MODEL_SEED` runs one seed alone.

use cairn_merkle::Suite;
use cairn_tests::{op::Dice, replay};

/// Operations on one volume: enough for deep states, few enough to shrink.
const OPS_PER_VOLUME: u64 = 400;

fn setting(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|value| value.parse().expect("a number"))
}

fn run(seed: u64) {
    let mut dice = Dice::new(seed);
    let ops: Vec<_> = (0..OPS_PER_VOLUME).map(|_| dice.op()).collect();
    // Both ciphers, and records of one page and of several, which may be stored without their holes.
    let suite = Suite::ALL[usize::from(seed % 2 == 1)];
    let record_size = [4096, 32_768][usize::from(seed % 4 > 1)];
    replay(&format!("CAIRN_MODEL_SEED={seed}"), (suite, record_size), &ops);
}

#[test]
fn the_engine_does_what_the_model_does() {
    if let Some(seed) = setting("CAIRN_MODEL_SEED") {
        return run(seed);
    }
    let volumes = setting("CAIRN_MODEL_OPS")
        .unwrap_or(10_000)
        .div_ceil(OPS_PER_VOLUME);
    let next = std::sync::atomic::AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    if seed >= volumes {
                        return;
                    }
                    run(seed);
                }
            });
        }
    });
}
