//! Power cuts at every write of a workload, and at every write of the recovery from each.
//!
//! ```text
//!  ops --Runner--> CrashStore --hook--> what the disk may hold, at each event
//!                      |                     |  x seeds: which of the unsynced is there
//!           History before and after         v
//!              the operation --------> open: a tree that History allows, and a clean check
//!                                            `--hook--> each event of the recovery x seeds --> open: the same tree
//! ```
//!
//! An operation that was cut off may have happened or not; one that was acknowledged is held to its
//! word.

use crate::compare::require;
use crate::history::History;
use crate::model::Ino;
use crate::op::Op;
use crate::run::{Outcome, Runner, same_numbers};
use crate::tree::{Dump, dump_engine};
use crate::volume::{self, Copy};
use cairn_fs::{Engine, InodeNo, Name, Operations};
use cairn_merkle::MemoryStore;
use cairn_merkle::testing::{CrashImage, CrashStore};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// What of the unsynced survives a cut: nothing, all, and three mixtures.
const SEEDS: [u64; 5] = [0, u64::MAX, 1, 2, 3];
/// The same for cuts of a recovery, of which there are many more.
const RECOVERY_SEEDS: [u64; 2] = [0, u64::MAX];

type Images = Arc<Mutex<Vec<(u64, CrashImage)>>>;

/// What may be found before an operation, or after it.
struct Allowed {
    history: History,
    snapshots: BTreeMap<Name, Dump>,
}

/// A power cut during one operation.
struct Cut {
    /// For the message: index of the operation, the operation, the store's event.
    origin: String,
    image: CrashImage,
    before: Arc<Allowed>,
    after: Arc<Allowed>,
    inos: Arc<BTreeMap<Ino, InodeNo>>,
}

/// Does `ops` on `runner`, cuts the power at every event of the store, and requires that each
/// volume found is whole. Answers how many cuts there were.
///
/// # Panics
/// If one is not, or if engine and model differ before; names operation, event and seed.
pub fn cut_everywhere(runner: Runner, ops: &[Op]) -> usize {
    let cuts = collect(runner, ops);
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while let Some(cut) = cuts.get(next.fetch_add(1, Ordering::Relaxed)) {
                    cut.require_whole();
                }
            });
        }
    });
    cuts.len()
}

fn collect(mut runner: Runner, ops: &[Op]) -> Vec<Cut> {
    // From here on: the events of making the volume belong to no operation.
    let images = watch(runner.store().inner());
    let mut cuts = Vec::new();
    let mut before = Arc::new(Allowed::of(&runner));
    for (index, op) in ops.iter().enumerate() {
        if let Err(why) = runner.step(op).and_then(|()| runner.compare()) {
            panic!("operation {index}, {op:?}: {why}");
        }
        let after = Arc::new(Allowed::of(&runner));
        let inos = Arc::new(runner.inos.clone());
        // Taken after each operation: a cut belongs to the one during which it fell.
        cuts.extend(
            std::mem::take(&mut *images.lock())
                .into_iter()
                .map(|(event, image)| Cut {
                    origin: format!("cut at event {event}, in operation {index}, {op:?}"),
                    image,
                    before: before.clone(),
                    after: after.clone(),
                    inos: inos.clone(),
                }),
        );
        before = after;
    }
    cuts
}

fn watch(store: &CrashStore) -> Images {
    let images = Images::default();
    let seen = images.clone();
    store.set_hook(move |event, image| seen.lock().push((event, image.clone())));
    images
}

impl Allowed {
    fn of(runner: &Runner) -> Self {
        Self {
            history: runner.history.clone(),
            snapshots: runner.snapshots.clone(),
        }
    }
}

impl Cut {
    fn require_whole(&self) {
        for seed in SEEDS {
            if let Err(why) = self.recover(seed) {
                panic!("{}, seed {seed}: {why}", self.origin);
            }
        }
    }

    /// Recovers, and then again from each cut of that recovery.
    fn recover(&self, seed: u64) -> Outcome {
        let found = self.image.crash(seed);
        // Into a store that can be cut again, with all that survived durable.
        let store = Arc::new(Copy::of(&found).into_crash());
        let images = watch(&store);
        let engine = volume::open(store, 1_000_000).map_err(|error| format!("open: {error}"))?;
        // Taken now: reading and closing make events of their own, which are no part of the
        // recovery.
        let images = std::mem::take(&mut *images.lock());
        let tree = self.verify(&engine)?;
        engine.close().map_err(|error| format!("close: {error}"))?;
        for (event, image) in images {
            for seed in RECOVERY_SEEDS {
                self.recover_again(image.crash(seed), &tree).map_err(|why| {
                    format!("cut again at event {event} of the recovery, seed {seed}: {why}")
                })?;
            }
        }
        Ok(())
    }

    /// What the log said when the power went first is what every later recovery makes of it.
    fn recover_again(&self, found: MemoryStore, tree: &Dump) -> Outcome {
        let engine = volume::open(Arc::new(found), 1_000_000).map_err(|error| format!("open: {error}"))?;
        let again = self.verify(&engine)?;
        engine.close().map_err(|error| format!("close: {error}"))?;
        tree.difference(&again)
            .map_or(Ok(()), |difference| Err(format!("another tree: {difference}")))
    }

    fn verify(&self, engine: &Engine) -> Result<Dump, String> {
        let tree =
            dump_engine(engine, InodeNo::ROOT).map_err(|error| format!("reading the tree: {error}"))?;
        let fits = |state: &_| same_numbers(engine, &self.inos, state);
        // The history after an operation holds the states before it, unless the operation was a
        // sync. A cut within a sync may leave those, too.
        if let Err(why) = self.after.history.find(&tree, &fits) {
            let found = self.before.history.find(&tree, &fits);
            found.map_err(|before| format!("neither before: {before}; nor after: {why}"))?;
        }
        self.verify_snapshots(engine)?;
        volume::require_clean(engine)?;
        Ok(tree)
    }

    /// A snapshot is there and right, unless the operation cut off makes or destroys it.
    fn verify_snapshots(&self, engine: &Engine) -> Outcome {
        let (before, after) = (&self.before.snapshots, &self.after.snapshots);
        let found: BTreeMap<Name, Dump> = engine
            .snapshot_list()
            .into_iter()
            .map(|info| dump_snapshot(engine, &info.name).map(|dump| (info.name, dump)))
            .collect::<Result<_, _>>()?;
        for name in before.keys().filter(|name| after.contains_key(name)) {
            require(found.contains_key(name), || format!("snapshot {name:?} is gone"))?;
        }
        for (name, dump) in &found {
            let expected = before.get(name).or(after.get(name));
            let expected = expected.ok_or_else(|| format!("snapshot {name:?} was never made"))?;
            if let Some(difference) = expected.difference(dump) {
                return Err(format!("snapshot {name:?}: {difference}"));
            }
        }
        Ok(())
    }
}

fn dump_snapshot(engine: &Engine, name: &Name) -> Result<Dump, String> {
    let read = || {
        let root = engine.lookup(InodeNo::SNAPSHOTS, name)?.ino;
        let dump = dump_engine(engine, root);
        engine.forget(root, 1);
        dump
    };
    read().map_err(|error| format!("reading snapshot {name:?}: {error}"))
}
