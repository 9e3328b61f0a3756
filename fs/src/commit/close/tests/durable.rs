//! What is durable when, and what a commit that fails leaves.

use super::*;

#[test]
fn a_few_small_blocks_become_durable_with_the_head_and_many_are_synced_before_it() {
    let (store, engine) = volume();
    let ino = engine.t_file(ROOT, b"file");
    scatter(&engine, ino, 3, 1);
    let epoch = engine.state.lock().open.number();
    engine.commit().unwrap();
    let events = store.events();
    let hints = events.iter().filter_map(|event| match event {
        Event::Put(put, hint, _) => Some((*put, *hint)),
        _ => None,
    });
    let hints: Vec<_> = hints.collect();
    assert!(!hints.is_empty() && hints.iter().all(|hint| *hint == (epoch, PutHint::Small)));
    assert!(!events.contains(&Event::Sync));
    assert_eq!(events.last(), Some(&Event::Mark), "that it was done");
    let swap = events.iter().position(Event::is_swap).unwrap();
    assert!(events[swap..].iter().all(|event| !event.is_put()));
    assert!(events[..swap].contains(&Event::Prepare(deleted(&events))));

    scatter(&engine, ino, 1500, 2);
    assert_eq!(
        store.events(),
        [],
        "a record that is not whole is put by its commit"
    );
    engine.commit().unwrap();
    let events = store.events();
    assert!(
        events
            .iter()
            .any(|event| matches!(event, Event::Put(_, PutHint::Bulk, _)))
    );
    let sync = events.iter().rposition(|event| *event == Event::Sync).unwrap();
    let swap = events.iter().position(Event::is_swap).unwrap();
    let last_put = events.iter().rposition(Event::is_put).unwrap();
    assert!(last_put < sync && sync < swap, "{last_put} {sync} {swap}");
    assert_eq!(
        tree(&view(store.cut())),
        tree(&engine),
        "all that the head names is durable"
    );
}

#[test]
fn what_an_fsync_put_unsynced_is_synced_before_the_head() {
    let (store, engine) = volume();
    let ino = engine.t_file(ROOT, b"file");
    engine.t_write(ino, 0, &pattern(2 << 20, 2));
    // The leaves are put, the log is not written.
    engine.flush_large(&mut engine.state.lock(), ino).unwrap();
    assert!(
        store
            .events()
            .iter()
            .all(|event| matches!(event, Event::Put(_, PutHint::Bulk, _)))
    );
    engine.commit().unwrap();
    let events = store.events();
    let sync = events.iter().position(|event| *event == Event::Sync).unwrap();
    assert!(sync < events.iter().position(Event::is_swap).unwrap());
    assert_eq!(tree(&view(store.cut())), tree(&engine));
    let state = engine.state.lock();
    assert!(!state.puts.needs_sync() && state.put_bytes() == 0);
    drop(state);
    engine.t_write(engine.t_file(ROOT, b"other"), 0, b"x");
    engine.commit().unwrap();
    assert!(!store.events().contains(&Event::Sync), "nothing was put since");
}

#[test]
fn a_commit_that_fails_leaves_the_old_version_and_ends_all_writing() {
    for op in [Op::Put, Op::Sync, Op::SwapHead] {
        let (store, engine) = volume();
        engine.t_write(engine.t_file(ROOT, b"file"), 0, &pattern(5000, 1));
        engine.commit().unwrap();
        let (before, epoch) = (tree(&engine), engine.status().epoch);
        engine.t_write(ino_of(&engine, b"file"), 0, &pattern(6 << 20, 2));
        engine.t_file(ROOT, b"other");
        store.faults.fail_nth(op, 0);
        assert!(matches!(engine.commit(), Err(Error::Merkle(_))), "{op:?}");
        assert_eq!(engine.status().read_only, Some("a commit failed"));
        assert!(
            !engine.state.lock().commits.is_under_way() && engine.state.lock().commits.stalled().is_none()
        );
        assert!(is_read_only(engine.mknod(
            ROOT,
            &name(b"n"),
            Kind::File,
            0o644,
            0,
            caller()
        )));
        assert!(is_read_only(engine.commit()), "{op:?}: not tried again");
        assert_eq!(engine.status().epoch, epoch);
        assert_eq!(tree(&engine).len(), 3, "what was done can still be read");
        for found in [store.killed(), store.cut()] {
            let found = open(found);
            assert_eq!(tree(&found), before, "{op:?}");
            require_clean(&found);
        }
    }
}

#[test]
fn a_commit_that_finds_the_store_full_waits_for_room() {
    for op in [Op::Put, Op::SwapHead] {
        let (store, engine) = volume();
        let file = engine.t_file(ROOT, b"file");
        engine.t_write(file, 0, &pattern(5000, 1));
        engine.commit().unwrap();
        let before = tree(&engine);
        engine.t_write(file, 0, &pattern(9000, 2));
        store.faults.full_from_nth(op, 0);
        assert!(matches!(engine.commit(), Err(Error::NoSpace)), "{op:?}");
        assert_eq!(engine.status().read_only, None);
        assert!(engine.standing().full && engine.state.lock().commits.stalled().is_some());
        assert_eq!(tree(&view(store.cut())), before, "{op:?}");
        let later = engine.t_file(ROOT, b"later");
        engine.t_write(later, 0, b"written while it was full");
        engine.t_write(file, 4000, b"over what waits");
        assert!(matches!(engine.commit(), Err(Error::NoSpace)));
        assert_eq!(engine.t_read(file)[..4000], pattern(4000, 2));
        store.faults.heal();
        engine.commit().unwrap();
        assert!(!engine.standing().full && engine.state.lock().commits.stalled().is_none());
        let all = tree(&engine);
        assert_eq!(all.len(), 3);
        assert_eq!(tree(&view(store.cut())), all, "both epochs are in");
        require_clean(&engine);
        require_clean(&open(store.cut()));
    }
}

#[test]
fn what_a_try_put_is_deleted_by_the_head_of_the_next() {
    let (store, engine) = volume();
    engine.t_write(engine.t_file(ROOT, b"file"), 0, &pattern(5000, 1));
    store.faults.full_from_nth(Op::SwapHead, 0);
    store.events();
    engine.commit().unwrap_err();
    let put: Vec<Cid> = store
        .events()
        .into_iter()
        .filter_map(|event| match event {
            Event::Put(_, _, cids) => Some(cids),
            _ => None,
        })
        .flatten()
        .collect();
    assert!(put.len() >= 3, "leaves, a directory, the commit");
    store.faults.heal();
    engine.commit().unwrap();
    let deleted = deleted(&store.events());
    assert!(put.iter().all(|cid| deleted.contains(cid)));
    require_clean(&engine);
    // A try that did not come as far as the head takes back what it put at once.
    scatter(&engine, ino_of(&engine, b"file"), 1500, 1);
    store.faults.full_from_nth(Op::Put, 2);
    engine.commit().unwrap_err();
    assert!(
        store
            .events()
            .iter()
            .any(|event| matches!(event, Event::Delete(cids) if !cids.is_empty()))
    );
}

#[test]
fn the_head_that_another_put_there_ends_all_writing_and_a_damaged_one_does_not() {
    let (store, engine) = volume();
    let old = store.head().unwrap().unwrap();
    engine.t_file(ROOT, b"one");
    engine.commit().unwrap();
    engine.require_head().unwrap();
    *store.afresh.lock() = Some(b"no head at all".to_vec().into());
    engine.t_file(ROOT, b"two");
    engine.commit().unwrap();
    engine.require_head().unwrap();
    let before = tree(&engine);
    // Not asked where the second copy told nothing when the volume was opened.
    *store.afresh.lock() = Some(old);
    engine.state.lock().committed.twin_doubted = true;
    engine.require_head().unwrap();
    engine.t_file(ROOT, b"three");
    let swaps = store.faults.count(Op::SwapHead);
    engine.state.lock().committed.twin_doubted = false;
    assert!(engine.commit().is_err());
    assert_eq!(store.faults.count(Op::SwapHead), swaps, "nothing was swapped");
    assert_eq!(engine.status().read_only, Some("a commit failed"));
    assert!(engine.require_head().is_err());
    assert_eq!(tree(&view(store.cut())), before);
    let (store, engine) = volume();
    let old = store.head().unwrap().unwrap();
    engine.t_file(ROOT, b"one");
    engine.state.lock().committed.twin_doubted = true;
    engine.commit().unwrap();
    *store.afresh.lock() = Some(old);
    assert!(engine.require_head().is_err(), "a commit has written both copies");
    assert_eq!(engine.status().read_only, Some("the head of its store was moved"));
}

#[test]
fn a_closed_volume_is_committed_and_takes_nothing_more() {
    let (store, engine) = volume();
    engine.t_file(ROOT, b"file");
    engine.close().unwrap();
    assert_eq!(store.events().last(), Some(&Event::Close));
    engine.close().unwrap();
    assert_eq!(store.events(), [], "once");
    assert!(is_read_only(engine.mknod(
        ROOT,
        &name(b"n"),
        Kind::File,
        0o644,
        0,
        caller()
    )));
    assert!(tree(&view(store.cut())).contains_key(b"/file".as_slice()));
    let (store, engine) = volume();
    engine.t_file(ROOT, b"file");
    store.faults.fail_nth(Op::SwapHead, 0);
    assert!(engine.close().is_err());
}

#[test]
fn a_quota_is_durable_on_return() {
    let (store, engine) = volume();
    let quota = Quota {
        bytes: Some(1 << 30),
        inodes: Some(99),
    };
    engine.set_quota(quota).unwrap();
    assert_eq!(view(store.cut()).status().quota, quota);
    assert_eq!(
        engine.standing().changed,
        engine.status().epoch,
        "that is worth publishing"
    );
    let past = Config {
        read_only: true,
        ..config()
    };
    assert!(is_read_only(
        try_open(store.clone(), past).unwrap().set_quota(Quota::default())
    ));
}
