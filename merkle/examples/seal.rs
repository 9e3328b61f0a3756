//! What a block costs with each cipher, on one thread: sealed and named, verified and opened.
//!
//! `cargo run --release -p cairn-merkle --example seal`

use cairn_merkle::{Epoch, LEAF_OVERHEAD, Suite, open_leaf_into, seal_leaf, seal_trial};
use std::hint::black_box;
use std::time::{Duration, Instant};

const TURN: Duration = Duration::from_millis(300);

/// Microseconds that `work` takes: the best of a few turns.
fn micros(mut work: impl FnMut()) -> f64 {
    let turn = |_| {
        let (start, mut count) = (Instant::now(), 0_u32);
        while start.elapsed() < TURN {
            (0..16).for_each(|_| work());
            count += 16;
        }
        start.elapsed().as_secs_f64() * 1e6 / f64::from(count)
    };
    (0..5).map(turn).fold(f64::INFINITY, f64::min)
}

fn main() {
    println!("cipher, bytes: µs of the cipher alone, of a leaf sealed, of a leaf opened");
    for suite in Suite::ALL {
        for len in [512, 4 << 10, 16 << 10, 128 << 10] {
            let plain = vec![0x5a; len];
            let mut stored = vec![0; len + LEAF_OVERHEAD];
            let alone = micros(|| seal_trial(suite, black_box(&plain), &mut stored));
            let mut rng = rand::rng();
            let sealed = micros(|| drop(black_box(seal_leaf(suite, &mut rng, Epoch(1), &plain))));
            let (leaf, link) = seal_leaf(suite, &mut rng, Epoch(1), &plain);
            let mut into = vec![0; len];
            let opened = micros(|| {
                open_leaf_into(&link, black_box(&leaf.bytes), &mut into).expect("it was sealed so");
            });
            println!("{}, {len}: {alone:.2}, {sealed:.2}, {opened:.2}", suite.name());
        }
    }
}
