//! Several calls at a time, and the logger.

use super::*;

#[test]
fn calls_that_come_during_an_append_share_the_next_one() {
    let (store, engine) = volume();
    let first = engine.t_file(ROOT, b"first");
    let others = [b"2", b"3", b"4"].map(|name| {
        let ino = engine.t_file(ROOT, name);
        engine.t_write(ino, 0, name);
        ino
    });
    let (other, (done, told)) = (engine.clone(), channel());
    store.before(
        |event| matches!(event, Event::Append(_)),
        move || {
            for ino in others {
                let done = done.clone();
                other.fsync_then(ino, false, false, Box::new(move |result| drop(done.send(result))));
            }
            assert_eq!(other.state.lock().log.waiting.len(), 3);
        },
    );
    engine.fsync(first, false).unwrap();
    (0..3).for_each(|_| told.recv().unwrap().unwrap());
    let appends = store.events();
    let appends = appends.iter().filter(|event| matches!(event, Event::Append(_)));
    assert_eq!(appends.count(), 2);
    assert_eq!(tree(&open(store.cut())), tree(&engine));
    // With no append under way it is done by the caller, and otherwise by the logger.
    let here = std::thread::current().id();
    for (wanted, by_caller) in [(false, true), (true, false)] {
        engine.t_write(first, 0, &[1, u8::from(wanted)]);
        let (done, told) = channel();
        let tell = move |result: Result<()>| {
            result.unwrap();
            done.send(std::thread::current().id()).unwrap();
        };
        engine.fsync_then(first, false, wanted, Box::new(tell));
        assert_eq!(told.recv().unwrap() == here, by_caller);
    }
    // What is durable already is answered at once.
    let (done, told) = channel();
    engine.fsync_then(
        first,
        false,
        true,
        Box::new(move |_| done.send(std::thread::current().id()).unwrap()),
    );
    assert_eq!(told.try_recv().unwrap(), here);
}

#[test]
fn each_waiting_call_is_told_of_a_failure() {
    for (full, op) in [(true, StoreOp::LogAppend), (false, StoreOp::LogAppend)] {
        let (store, engine) = volume();
        let files = [b"1", b"2", b"3"].map(|name| engine.t_file(ROOT, name));
        let (other, (done, told)) = (engine.clone(), channel());
        let late = files[1..].to_vec();
        store.before(
            |event| matches!(event, Event::Append(_)),
            move || {
                for ino in late {
                    other.t_write(ino, 0, b"late");
                    let done = done.clone();
                    other.fsync_then(ino, false, false, Box::new(move |result| drop(done.send(result))));
                }
            },
        );
        match full {
            true => store.faults.full_from_nth(op, 0),
            false => store.faults.fail_nth(op, 0),
        }
        assert!(engine.fsync(files[0], false).is_err());
        for _ in 0..2 {
            match told.recv().unwrap() {
                Err(Error::NoSpace) => assert!(full),
                Err(Error::ReadOnly("the intent log could not be written")) => assert!(!full),
                other => panic!("{other:?}"),
            }
        }
    }
}

#[test]
fn a_sync_of_what_cannot_change_does_nothing() {
    let (store, engine) = volume();
    engine.t_file(ROOT, b"file");
    engine.snapshot_create(&name(b"snap"), crate::Time(5)).unwrap();
    let snap = engine.t_find(InodeNo::SNAPSHOTS, b"snap").ino;
    store.events();
    engine.t_file(ROOT, b"more");
    engine.fsync(snap, false).unwrap();
    engine.fsync(InodeNo::SNAPSHOTS, false).unwrap();
    assert_eq!(store.events(), []);
    let reader = view(store.killed());
    reader.fsync(ROOT, false).unwrap();
}

#[test]
fn a_sync_of_what_is_frozen_and_not_logged_waits_for_its_commit() {
    let (store, engine) = volume();
    let ino = engine.t_file(ROOT, b"file");
    engine.t_write(ino, 0, b"bytes");
    let (other, (done, told)) = (engine.clone(), channel());
    store.before(Event::is_put, move || {
        assert!(!other.fsync_is_short(ino));
        let late = other.clone();
        std::thread::spawn(move || {
            let synced = late.fsync(ino, false);
            done.send((synced.is_ok(), late.state.lock().committed.epoch()))
                .unwrap();
        });
        until_one_waits(&other);
    });
    let epoch = engine.state.lock().open.number();
    engine.commit().unwrap();
    assert_eq!(told.recv().unwrap(), (true, epoch));
    // One that is stalled would be waited for in vain.
    engine.t_write(ino, 0, b"other");
    engine
        .state
        .lock()
        .inodes
        .get_mut(ino)
        .unwrap()
        .file_mut()
        .unwrap()
        .synced = false;
    store.faults.full_from_nth(StoreOp::Put, 0);
    engine.commit().unwrap_err();
    assert!(matches!(engine.fsync(ino, false), Err(Error::NoSpace)));
}

#[test]
fn what_is_synced_again_and_again_is_in_the_log_before_its_commit() {
    let (store, engine) = volume();
    let ino = engine.t_file(ROOT, b"file");
    engine.t_write(ino, 0, b"one");
    engine.fsync(ino, false).unwrap();
    engine.t_write(ino, 0, b"two");
    let other = engine.clone();
    store.before(Event::is_put, move || {
        // Without waiting for the commit, which is this very thread's.
        other.fsync(ino, false).unwrap();
    });
    engine.commit().unwrap();
    assert!(store.was_done());
    assert_eq!(tree(&open(store.cut())), tree(&engine));
}

#[test]
fn much_log_asks_for_a_commit() {
    let small = Config {
        memory_bytes: 8 << 20,
        ..config()
    };
    let (volume, _) = volume();
    let store = Arc::new(Store::over(CrashStore::new()));
    copy(&*volume.killed(), &*store, |_, record| Some(record));
    let engine = try_open(store.clone(), small).unwrap();
    let ino = engine.t_file(ROOT, b"file");
    let (done, told) = channel();
    store.before(Event::is_swap, move || done.send(()).unwrap());
    // The same bytes again and again: little is dirty, and the log has all of it.
    let committed = (0..200).any(|_| {
        (0..75).for_each(|at| engine.t_write(ino, at * 4096, &pattern(4000, 1)));
        engine.fsync(ino, false).unwrap();
        told.try_recv().is_ok()
    });
    assert!(committed);
}

#[test]
fn a_mark_is_written_at_once_or_soon_by_the_logger() {
    let (store, _) = volume();
    let crash = Arc::new(Store::over(CrashStore::new()));
    copy(&*store.killed(), &*crash, |_, record| Some(record));
    let soon = Config {
        mark_delay: std::time::Duration::from_millis(1),
        ..config()
    };
    let engine = try_open(crash.clone(), soon).unwrap();
    let ino = engine.t_file(ROOT, b"file");
    let (done, told) = channel();
    let by = move || done.send(std::thread::current().id()).unwrap();
    crash.before(|event| *event == Event::Mark, by);
    engine.fsync(ino, false).unwrap();
    assert_ne!(told.recv().unwrap(), std::thread::current().id());
    // A mark that cannot be written fails nothing.
    let (store, engine) = volume();
    let ino = engine.t_file(ROOT, b"file");
    store.faults.fail_nth(StoreOp::LogMark, 0);
    engine.fsync(ino, false).unwrap();
    assert_eq!(
        (store.faults.count(StoreOp::LogMark), engine.status().read_only),
        (2, None)
    );
    assert!(store.log_rest().unwrap().marks.len() == 1 && engine.state.lock().committed.epoch() > Epoch(0));
}
