//! The engine keeps to its memory, whatever is done to a volume.
//!
//! ```text
//!   loops.rs: each operation, over and over --> Watched --> Engine, 16 MiB --> Aside --> MemoryStore
//!                                                  |           |                 `-- its memory is not counted
//!                                                  |           `-- what it says it takes, and what is allocated
//!                                                  `-- which operations were called: all of them
//! ```

#[path = "memory/allocator.rs"]
mod allocator;
#[path = "memory/aside.rs"]
mod aside;
#[path = "memory/loops.rs"]
mod loops;
#[path = "memory/watched.rs"]
mod watched;

use allocator::Held;
use aside::Aside;
use cairn_fs::{Config, Engine, Quota, Time};
use cairn_merkle::MemoryStore;
use cairn_tests::volume;
use std::sync::Arc;
use std::time::Duration;
use watched::Watched;

/// What the engine may take.
const MEMORY_BYTES: u64 = 16 << 20;
/// What one operation adds to is looked at before it: it may be that much more afterwards.
const OVERSHOOT_BYTES: u64 = MEMORY_BYTES / 8;
/// What is on its way to the store, and what a commit builds nodes from, comes on top.
const BUFFER_BYTES: i64 = 8 << 20;

fn engine() -> Arc<Engine> {
    let store = Arc::new(Aside::new(MemoryStore::new()));
    let unlimited = Quota {
        bytes: None,
        inodes: None,
    };
    volume::create(&*store, unlimited).expect("an empty store takes a volume");
    let key = volume::key_of(&*store).expect("the volume has a header");
    let config = Config {
        // What is not admitted by what it holds is not saved by a commit that comes in time.
        commit_interval: Duration::from_secs(24 * 3600),
        workers: 2,
        ..Config::with_memory(MEMORY_BYTES)
    };
    Engine::open(store, key, config, Time(2)).expect("a new volume opens")
}

#[test]
fn no_operation_takes_more_memory_than_the_engine_may() {
    let mut called = watched::Called::default();
    let mut over = Vec::new();
    for (name, run) in loops::ALL {
        let watched = Watched::new(engine());
        let held = Held::begin();
        let begun = std::time::Instant::now();
        run(&watched);
        let peak = held.peak();
        println!(
            "{name}: {} KiB, counted {} KiB, {:?}",
            peak >> 10,
            watched.counted_most() >> 10,
            begun.elapsed()
        );
        if peak > MEMORY_BYTES as i64 + BUFFER_BYTES {
            over.push(format!("{name} allocated {} KiB", peak >> 10));
        }
        if watched.counted_most() > MEMORY_BYTES + OVERSHOOT_BYTES {
            over.push(format!("{name} counted {} KiB", watched.counted_most() >> 10));
        }
        called.extend(watched.called());
        watched.engine.close().expect("the volume closes");
    }
    assert!(over.is_empty(), "more than {} KiB: {over:#?}", MEMORY_BYTES >> 10);
    assert_eq!(
        called,
        watched::all(),
        "operations that no loop calls, or that are not listed"
    );
}
