//! fsyncs that come together share one append of the log, and what they made durable waits longer
//! for a commit.
//!
//! ```text
//!  first --append, held at a gate--------|--answered
//!  ten more --noted, nobody waits--------|----one append--answered
//! ```

use cairn_fs::{Access, Engine, InodeNo, Operations, Quota};
use cairn_merkle::MemoryStore;
use cairn_tests::sample::put_file;
use cairn_tests::volume::{self, root_at};
use cairn_tests::watched::{Call, Watched};
use parking_lot::{Condvar, Mutex};
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// For what comes at once, or never.
const PATIENCE: Duration = Duration::from_secs(60);

/// Holds appends while it is shut, and counts them.
#[derive(Default)]
struct Gate {
    state: Mutex<(bool, u32)>,
    changed: Condvar,
}

impl Gate {
    fn pass(&self) {
        let mut state = self.state.lock();
        state.1 += 1;
        self.changed.notify_all();
        while state.0 {
            self.changed.wait(&mut state);
        }
    }

    fn set(&self, shut: bool) {
        self.state.lock().0 = shut;
        self.changed.notify_all();
    }

    fn wait_for(&self, appends: u32) {
        let mut state = self.state.lock();
        while state.1 < appends {
            self.changed.wait(&mut state);
        }
    }

    fn appends(&self) -> u32 {
        self.state.lock().1
    }
}

fn gated() -> (Arc<Gate>, Arc<Engine>) {
    let gate = Arc::new(Gate::default());
    let told = Arc::clone(&gate);
    let store = Watched::new(Arc::new(MemoryStore::new()), move |call| {
        if matches!(call, Call::LogAppend) {
            told.pass();
        }
    });
    let engine = volume::create_and_open(Arc::new(store)).expect("a new volume opens");
    (gate, engine)
}

#[test]
fn fsyncs_that_come_during_an_append_share_the_next_one() {
    let (gate, engine) = gated();
    let files: Vec<_> = (0..11)
        .map(|n| put_file(&engine, InodeNo::ROOT, &format!("file-{n}"), b"bytes").expect("there is room"))
        .collect();
    let before = gate.appends();
    gate.set(true);
    let first = {
        let (engine, ino) = (Arc::clone(&engine), files[0]);
        std::thread::spawn(move || engine.fsync(ino, false))
    };
    gate.wait_for(before + 1);
    let (told, answers) = mpsc::channel();
    for ino in &files[1..] {
        let told = told.clone();
        // Returns although nothing can be durable yet: a transport's thread is not held up.
        engine.fsync_then(
            *ino,
            false,
            false,
            Box::new(move |synced| told.send(synced).expect("somebody listens")),
        );
    }
    assert!(answers.try_recv().is_err(), "nothing is durable yet");
    gate.set(false);
    first.join().expect("no panic").expect("a healthy store syncs");
    for _ in 1..files.len() {
        answers
            .recv()
            .expect("all are answered")
            .expect("a healthy store syncs");
    }
    assert_eq!(
        gate.appends(),
        before + 2,
        "one append for the first, one for the ten"
    );
    engine.close().expect("a healthy store closes");
}

#[test]
fn a_thread_that_is_wanted_elsewhere_leaves_the_append_to_the_logger() {
    let (gate, engine) = gated();
    let file = put_file(&engine, InodeNo::ROOT, "file", b"bytes").expect("there is room");
    let (told, answers) = mpsc::channel();
    let before = gate.appends();
    gate.set(true);
    let answer = move |synced| {
        told.send((std::thread::current().id(), synced))
            .expect("somebody listens")
    };
    engine.fsync_then(file, false, true, Box::new(answer));
    // Returns while the append cannot end; answered by whoever makes it.
    gate.wait_for(before + 1);
    assert!(answers.try_recv().is_err(), "nothing is durable yet");
    gate.set(false);
    let (by, synced) = answers.recv().expect("it is answered");
    synced.expect("a healthy store syncs");
    assert_ne!(by, std::thread::current().id());
}

/// Of 64 MiB half may be dirty, and the quarter that is there for inodes, of which there are few: a
/// commit begins at half of that, 24 MiB, and at 36 MiB of what is synced.
#[test]
fn what_is_synced_fills_more_memory_before_a_commit_begins() {
    /// Half a record: one that is whole is put at once, and takes no memory.
    const BYTES: usize = 64 << 10;
    let (told, commits) = mpsc::channel();
    let store = Watched::new(Arc::new(MemoryStore::new()), move |call| {
        if matches!(call, Call::SwapHead) {
            // Nobody listens to the last ones.
            let _ = told.send(());
        }
    });
    volume::create_with(&store, Quota::default(), 2 * BYTES as u32).expect("an empty store takes a volume");
    let engine = volume::open(Arc::new(store), 2).expect("a new volume opens");
    let file = put_file(&engine, InodeNo::ROOT, "file", b"x").expect("there is room");
    engine
        .open_file(file, Access::Write)
        .expect("the file is in memory");
    engine.commit().expect("a healthy store commits");
    while commits.try_recv().is_ok() {}
    let write = |mib: usize, synced: bool| {
        for at in 0..(mib << 20) / BYTES {
            let offset = (at * 2 * BYTES) as u64;
            engine
                .write(file, offset, &[1; BYTES], root_at(3), false)
                .expect("there is room");
            if synced {
                engine.fsync(file, true).expect("a healthy store syncs");
            }
        }
    };
    let epoch = engine.status().epoch;
    write(34, true);
    engine.commit().expect("a healthy store commits");
    assert_eq!(
        engine.status().epoch,
        epoch.next(),
        "no commit but the one asked for"
    );
    while commits.try_recv().is_ok() {}
    write(38, true);
    commits.recv_timeout(PATIENCE).expect("one begins by itself");
    engine.commit().expect("a healthy store commits");
    while commits.try_recv().is_ok() {}
    write(26, false);
    commits.recv_timeout(PATIENCE).expect("and sooner without syncs");
    engine.close().expect("a healthy store closes");
}
