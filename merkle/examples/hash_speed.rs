//! MiB/s of BLAKE3 over blocks of 128 KiB on all processors: the limit of an audit that need not
//! wait for a disk.

use cairn_merkle::{Cid, Codec};
use std::time::{Duration, Instant};

fn main() {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let run = Duration::from_secs(2);
    let begun = Instant::now();
    let blocks: u64 = std::thread::scope(|scope| {
        let hash = || {
            let block = vec![0x5a; 128 << 10];
            let mut count = 0;
            while begun.elapsed() < run {
                std::hint::black_box(Cid::of(Codec::Leaf, std::hint::black_box(&block)));
                count += 1;
            }
            count
        };
        let threads: Vec<_> = (0..processors).map(|_| scope.spawn(hash)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or(0)).sum()
    });
    println!("{:.0}", blocks as f64 / 8.0 / begun.elapsed().as_secs_f64());
}
