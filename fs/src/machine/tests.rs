//! Runs with a clock that tests move and with bytes that a seed repeats.

use super::*;
use crate::fixture::stored::{Event, Store, config, formatted, key_of};
use crate::fixture::{caller, header_with};
use crate::life::format::format_on;
use crate::{Config, Engine, InodeNo, Opening, Quota};
use cairn_merkle::testing::{CrashStore, TestRng};
use cairn_merkle::{Blocks, Cid, Epoch, Heads, Log, LogPos};
use parking_lot::Mutex;
use rand::Rng as _;
use std::sync::mpsc::channel;
use std::time::Duration;

struct Seeded(Mutex<TestRng>);

impl Random for Seeded {
    fn fill(&self, bytes: &mut [u8]) {
        self.0.lock().fill_bytes(bytes);
    }
}

/// A clock that stands still until it is moved.
struct Manual(Mutex<Instant>);

impl Clock for Manual {
    fn now(&self) -> Instant {
        *self.0.lock()
    }
}

/// Names of all blocks, records of the log, and the head.
type Stored = (Vec<Cid>, Vec<(LogPos, bytes::Bytes)>, Option<bytes::Bytes>);

/// What a volume's store holds after a commit and an fsync behind it.
fn run(seed: u64) -> Stored {
    let machine = Machine::new(Arc::new(System), Arc::new(Seeded(Mutex::new(TestRng::new(seed)))));
    let (header, key) = header_with(&mut machine.rng());
    let store = Arc::new(Store::over(CrashStore::new()));
    format_on(&*store, &header, &key, Quota::default(), caller(), &machine).unwrap();
    // One thread seals: with more, their order would decide which block gets which key.
    let one = Config {
        workers: 1,
        ..config()
    };
    let opening = Opening::newest(store.clone(), key).unwrap();
    let engine = opening.open_on(one, machine).unwrap();
    let file = engine.t_file(InodeNo::ROOT, b"file");
    engine.t_write(file, 0, &[7; 10_000]);
    engine.commit().unwrap();
    engine.t_write(file, 3, b"behind the commit");
    engine.fsync(file, false).unwrap();
    let log = store
        .log_read(
            LogPos {
                epoch: Epoch(0),
                seq: 0,
            },
            usize::MAX,
        )
        .unwrap();
    let found = (store.list(None, 99).unwrap(), log, store.head().unwrap());
    engine.close().unwrap();
    found
}

#[test]
fn a_seed_repeats_a_run_to_the_last_stored_byte() {
    let first = run(1);
    assert!(first.0.len() > 3 && !first.1.is_empty() && first.2.is_some());
    assert_eq!(run(1), first);
    let other = run(2);
    assert!(other.0.iter().all(|cid| !first.0.contains(cid)));
}

#[test]
fn the_committer_goes_by_the_clock_that_it_was_given() {
    let store = formatted(Quota::default());
    let clock = Arc::new(Manual(Mutex::new(Instant::now())));
    let machine = Machine::new(clock.clone(), Arc::new(System));
    let opening = Opening::newest(store.clone(), key_of(&*store)).unwrap();
    let engine = opening.open_on(config(), machine).unwrap();
    engine.t_file(InodeNo::ROOT, b"file");
    let (done, told) = channel();
    store.before(Event::is_swap, move || done.send(()).unwrap());
    // The committer's thread may not have read the clock yet: days go by until it has.
    while told.try_recv().is_err() {
        *clock.0.lock() += config().commit_interval + Duration::from_secs(1);
        look_again(&engine);
    }
    engine.close().unwrap();
}

/// Has the committer look at its clock.
fn look_again(engine: &Engine) {
    // Under the lock, so that it does not come between a look and the wait that follows.
    let _state = engine.state.lock();
    engine.signals.wake.notify_all();
}
