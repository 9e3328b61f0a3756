use super::*;
use crate::error::Exit;
use crate::mount::reads::server;
use crate::sample::{self, Sample};
use cairn_fs::{InodeNo, Operations};
use cairn_merkle::walk::Walk;
use cairn_merkle::{Blocks, Codec, Heads};
use std::collections::BTreeMap;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::thread::JoinHandle;

fn record() -> Record {
    Record {
        pid: 1,
        store: "/nowhere/store".into(),
        mountpoint: "/nowhere/mnt".into(),
        device: None,
    }
}

/// A daemon that grants one wish; its thread ends with it.
fn granted(sample: &Sample, wish: Wish) -> (Reading, JoinHandle<()>) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let engine = Arc::clone(&sample.engine);
    let served = std::thread::spawn(move || {
        let served = server::serve(&engine, &record(), &wish, &theirs);
        let answer = served.map_or_else(|error| Answer::from(&error), |()| Answer::Done);
        let mut line = serde_json::to_vec(&answer).unwrap();
        line.push(b'\n');
        let _ = (&theirs).write_all(&line);
    });
    let client = Client::over(ours, record());
    (Reading { client }, served)
}

fn newest(sample: &Sample) -> (ServedBlocks, JoinHandle<()>) {
    let (reading, served) = granted(sample, Wish::Blocks { root: None });
    (ServedBlocks::over(reading).unwrap(), served)
}

fn all(store: &dyn cairn_merkle::BlockStore, root: Cid) -> BTreeMap<Cid, Bytes> {
    let mut walk = Walk::over(store, root);
    std::iter::from_fn(|| walk.step().unwrap()).collect()
}

#[test]
fn a_version_is_read_from_the_daemon_as_it_was_whatever_is_written_meanwhile() {
    let sample = Sample::new();
    sample.put("file", &vec![1; 3_000_000]);
    let (served, thread) = newest(&sample);
    let root = served.root();
    let before = all(sample.store.as_ref(), root);
    for round in 2..5 {
        sample.put("file", &vec![round; 3_000_000]);
        sample.engine.commit().unwrap();
    }
    assert!(before.len() > 20);
    assert_eq!(all(&served, root), before);
    let cids: Vec<Cid> = before.keys().copied().collect();
    let many = Blocks::get_many(&served, &cids).unwrap();
    assert!(many.into_iter().eq(before.values().cloned().map(Some)));
    let unknown = Cid::of(Codec::Leaf, b"unknown");
    assert_eq!(Blocks::get(&served, &unknown).unwrap(), None);
    let claim = cairn_merkle::clear::HeadClaim::parse(served.stored_head().unwrap()).unwrap();
    assert_eq!(claim.root, root);
    assert_eq!(Heads::header(&served).unwrap(), sample.store.header().unwrap());
    // Another reader of the same version, and the first one leaves.
    let (reading, other) = granted(
        &sample,
        Wish::Blocks {
            root: Some(root.to_string()),
        },
    );
    let second = ServedBlocks::over(reading).unwrap();
    drop(served);
    thread.join().unwrap();
    sample.put("file", &vec![9; 3_000_000]);
    sample.engine.commit().unwrap();
    assert_eq!(all(&second, root), before);
    drop(second);
    other.join().unwrap();
    sample.put("file", &vec![10; 3_000_000]);
    sample.engine.commit().unwrap();
    let left = sample.store.get(&root).unwrap();
    assert_eq!(left, None, "a client that is gone keeps nothing");
}

#[test]
fn a_client_that_asks_for_nonsense_is_let_go_of() {
    let sample = Sample::new();
    let nine = vec![1; 9 * Cid::LEN];
    for asked in [&b"nonsense"[..], &nine, &[0; Cid::LEN]] {
        let (mut reading, thread) = granted(&sample, Wish::Blocks { root: None });
        reading.opened().unwrap();
        frames::send(reading.client.stream().get_mut(), &[], asked).unwrap();
        thread.join().unwrap();
        assert_eq!(reading.next().unwrap(), None);
    }
    let (mut reading, thread) = granted(
        &sample,
        Wish::Blocks {
            root: Some("no name".into()),
        },
    );
    let refused = reading.opened().unwrap_err();
    assert_eq!(refused.exit(), Exit::Usage);
    thread.join().unwrap();
}

#[test]
fn failures_of_the_store_are_told_from_the_end_of_the_daemon() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let opened = Opened {
        root: Cid::of(Codec::Node, b"root").to_string(),
        head: None,
        header: Vec::new(),
        lacks: None,
    };
    let mut sent = Vec::new();
    frames::send(&mut sent, &[], &serde_json::to_vec(&opened).unwrap()).unwrap();
    for (kind, words) in [
        (kind::FAILED, &b"no disk"[..]),
        (kind::NONE, b""),
        (kind::DAMAGED, b"a wrong bit"),
        (kind::BLOCK, b"block"),
        (9, b"what"),
    ] {
        frames::send(&mut sent, &[kind], words).unwrap();
    }
    (&theirs).write_all(&sent).unwrap();
    let reading = Reading {
        client: Client::over(ours, record()),
    };
    let served = ServedBlocks::over(reading).unwrap();
    let cid = Cid::of(Codec::Leaf, b"block");
    let exit = |error: StoreError| Error::from(cairn_fs::Error::from(error)).exit();
    let failed = Blocks::get_many(&served, &[cid, cid]).unwrap_err();
    assert!(failed.to_string().contains("no disk"), "{failed}");
    assert_eq!(exit(failed), Exit::Store);
    assert!(Blocks::get(&served, &cid).unwrap_err().is_damage());
    assert_eq!(Blocks::get(&served, &cid).unwrap().unwrap(), "block");
    assert_eq!(exit(Blocks::get(&served, &cid).unwrap_err()), Exit::NotMounted);
    // Out of step: what comes now is no answer.
    let _ = frames::send(&mut &theirs, &[kind::NONE], &[]);
    let gone = Blocks::get(&served, &cid).unwrap_err();
    assert!(
        gone.to_string().contains("the daemon (pid 1) answers no more"),
        "{gone}"
    );
    assert_eq!(exit(gone), Exit::NotMounted);
}

#[test]
fn a_daemon_that_ends_in_the_middle_is_named() {
    let sample = Sample::new();
    let (ours, theirs) = UnixStream::pair().unwrap();
    frames::send(&mut &theirs, &[], b"half").unwrap();
    drop(theirs);
    let reading = Reading {
        client: Client::over(ours, record()),
    };
    let mut got = Vec::new();
    let ended = reading.copy(&mut got).unwrap_err();
    assert_eq!((ended.exit(), &got[..]), (Exit::NotMounted, &b"half"[..]));
    // One that ends between two blocks.
    let (served, thread) = newest(&sample);
    let mut open = served.reading.lock().unwrap();
    let stream = open.as_mut().unwrap().client.stream();
    stream.get_ref().shutdown(std::net::Shutdown::Both).unwrap();
    drop(open);
    thread.join().unwrap();
    let gone = Blocks::get(&served, &served.root()).unwrap_err();
    assert!(gone.to_string().contains("it ended"), "{gone}");
}

#[test]
fn listings_and_files_come_as_the_volume_is_now_and_hold_no_inode() {
    let sample = Sample::new();
    for number in 0..1200 {
        sample.put(&format!("file {number:04}"), b"");
    }
    sample.put("large", &vec![3; 2_500_000]);
    let listing = granted(&sample, Wish::List { path: "/".into() })
        .0
        .listing()
        .unwrap();
    assert_eq!(listing.entries.len(), 1201);
    assert!(listing.damage.is_none() && listing.entries.is_sorted_by_key(|entry| entry.name.clone()));
    let copy = |path: &str| {
        let mut got = Vec::new();
        let (reading, thread) = granted(&sample, Wish::Copy { path: path.into() });
        let copied = reading.copy(&mut got);
        thread.join().unwrap();
        copied.map(|()| got)
    };
    assert!(copy("/large").unwrap() == vec![3; 2_500_000]);
    assert_eq!(copy("/file 0007").unwrap(), b"");
    for path in ["/nothing", "/large/below", "/../large", "/"] {
        assert_eq!(copy(path).unwrap_err().exit(), Exit::Usage, "{path}");
    }
    let ino = sample
        .engine
        .lookup(InodeNo::ROOT, &sample::name("large"))
        .unwrap()
        .ino;
    let root = InodeNo::ROOT;
    sample
        .engine
        .unlink(root, &sample::name("large"), sample::caller())
        .unwrap();
    assert!(sample.engine.getattr(ino).is_ok(), "this test still refers to it");
    sample.engine.forget(ino, 1);
    // It goes with its space.
    sample.engine.commit().unwrap();
    assert!(
        sample.engine.getattr(ino).is_err(),
        "a client that was served does not"
    );
}

#[test]
fn a_proof_is_made_with_the_key_of_the_daemon() {
    let sample = Sample::new();
    sample.put("file", &[4; 300_000]);
    let wish = |path: &str, root| Wish::Prove {
        path: path.into(),
        root,
        content: true,
    };
    let (root, proof) = granted(&sample, wish("/file", None)).0.proof(u64::MAX).unwrap();
    let shown = cairn_fs::verify_proof(&cairn_merkle::Proof::decode(&proof).unwrap()).unwrap();
    assert_eq!((shown.root, &shown.path[..]), (root, &b"/file"[..]));
    let before = sample.engine.keep(root).unwrap();
    sample.put("file", &[5; 300_000]);
    let asked = wish("/file", Some(before.version().root.to_string()));
    assert_eq!(granted(&sample, asked).0.proof(u64::MAX).unwrap(), (root, proof));
    let (other, _) = granted(&sample, wish("/file", None)).0.proof(u64::MAX).unwrap();
    assert_ne!(other, root);
    let refused = granted(&sample, wish("/a/../b", None))
        .0
        .proof(u64::MAX)
        .unwrap_err();
    assert_eq!(refused.exit(), Exit::Usage);
    let long = granted(&sample, wish("/file", None)).0.proof(1000).unwrap_err();
    assert_eq!(long.exit(), Exit::Usage);
}
