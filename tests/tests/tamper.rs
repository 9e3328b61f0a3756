//! What somebody who owns the store can do: remove, alter, cut, swap and bring back what he
//! pleases, in a closed volume and in one with a log.
//!
//! ```text
//!  sample --open, read each path--> the blocks that open and each path need   (Watched: who reads what)
//!     |
//!     `--tamper with one block--> the commit block: an error that names it, and nothing is written
//!                                 a path needs it: that path is an error that names it
//!                                 all other paths read as before, and check names what is damaged
//! ```
//!
//! Older states, put back whole, are not told apart here: that is the anchor's part.

use bytes::Bytes;
use cairn_fs::{Config, Engine, Error, InodeNo, Operations, Quota, RenameMode, Result, SetAttr, Time};
use cairn_merkle::testing::TestRng;
use cairn_merkle::{
    BlockStore, Cid, Codec, Compression, Head, Header, HeaderParams, Kek, MemoryStore, SlotKey, SlotKind,
    Suite, VolumeKey,
};
use cairn_tests::sample::{self, LOGGED, Seen, name, put_file};
use cairn_tests::volume::{self, Copy, config, root_at};
use cairn_tests::watched::{Call, Watched};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

type MerkleError = cairn_merkle::Error;

/// What an untouched volume reads as, and which blocks that takes.
struct Oracle {
    copy: Copy,
    /// The commit block.
    root: Cid,
    /// Blocks that opening reads, and recovery.
    open: BTreeSet<Cid>,
    /// Blocks that recovery does not free.
    kept: BTreeSet<Cid>,
    paths: BTreeMap<String, (BTreeSet<Cid>, Seen)>,
}

impl Oracle {
    fn new(copy: Copy, paths: Vec<String>) -> Self {
        let store = copy.clone().into_memory();
        let key = volume::key_of(&*store).expect("an untouched volume has its header");
        let head = copy.head.as_ref().expect("an untouched volume has its head");
        let root = Head::decode(head, &key).expect("an untouched head is whole").root;
        let (mut open, mut kept, mut seen) = (BTreeSet::new(), BTreeSet::new(), BTreeMap::new());
        for path in paths {
            let gets: Arc<Mutex<BTreeSet<Cid>>> = Arc::default();
            let noted = gets.clone();
            let tell = move |call: &Call<'_>| {
                if let Call::Get(cid) = call {
                    noted.lock().insert(**cid);
                }
            };
            let store = copy.clone().into_memory();
            let engine = volume::open(Arc::new(Watched::new(store.clone(), tell)), 50)
                .expect("an untouched volume opens");
            open = std::mem::take(&mut *gets.lock());
            kept = volume::block_names(&*store).into_iter().collect();
            let read = sample::read(&engine, &path).unwrap_or_else(|error| panic!("{path}: {error}"));
            let needed = std::mem::take(&mut *gets.lock());
            engine.close().expect("an untouched volume closes");
            seen.insert(path, (needed, read));
        }
        Self {
            copy,
            root,
            open,
            kept,
            paths: seen,
        }
    }

    /// Requires the right thing of the volume in `store`, in which `cid` was tampered with.
    fn require(&self, cid: &Cid, store: Arc<MemoryStore>) -> std::result::Result<(), String> {
        let tampered = Copy::of(&*store);
        let engine = match volume::open(store.clone(), 60) {
            Ok(_) if *cid == self.root => return Err("the volume opens without it".into()),
            Ok(engine) => engine,
            Err(error) if *cid == self.root && names(&error, cid) => {
                return unchanged(&tampered, &*store);
            }
            Err(error) => return Err(format!("open: {error}")),
        };
        let mut damaged = BTreeSet::new();
        let in_open = self.open.contains(cid);
        let skipped = engine.damage().skipped.count > 0;
        for (path, (needed, expected)) in &self.paths {
            match (needed.contains(cid), sample::read(&engine, path)) {
                (false, Ok(seen)) if seen == *expected => {}
                // A listing shows names whose inodes cannot be read.
                (true, Ok(seen)) if seen == *expected && !seen.names().is_empty() => {}
                (true, Err(error)) if names(&error, cid) => _ = damaged.insert(path.as_str()),
                // What opening has read is cached, so nobody knows who needs it.
                (_, Err(error)) if in_open && names(&error, cid) => _ = damaged.insert(path.as_str()),
                (_, Err(Error::Damaged(_))) if in_open && path.starts_with(".snapshots/") => {
                    damaged.insert(path.as_str());
                }
                (_, Err(Error::NoEntry)) if in_open && skipped && LOGGED.contains(&path.as_str()) => {}
                (_, Ok(_)) if in_open && skipped && (path.is_empty() || path == "index") => {}
                (needed, seen) => return Err(format!("{path} (needs it: {needed}): {:?}", seen.map(|_| ()))),
            }
        }
        if in_open {
            if !damaged.is_empty() {
                require_named(&engine, &damaged)?;
            }
            return engine.close().map_err(|error| format!("close: {error}"));
        }
        // A check without a mount, which must find the same and write nothing.
        for engine in [&engine, &read_only(tampered)?] {
            if self.kept.contains(cid) {
                require_named(engine, &damaged)?;
            } else {
                volume::require_clean(engine)?;
            }
        }
        engine.close().map_err(|error| format!("close: {error}"))
    }
}

fn read_only(copy: Copy) -> std::result::Result<Arc<Engine>, String> {
    let store = copy.into_memory();
    let config = Config {
        read_only: true,
        ..config()
    };
    volume::key_of(&*store)
        .and_then(|key| Engine::open(store, key, config, Time(60)))
        .map_err(|error| format!("open without writing: {error}"))
}

/// The check names each damaged path or a directory above it, and nothing that is whole.
fn require_named(engine: &Engine, damaged: &BTreeSet<&str>) -> std::result::Result<(), String> {
    let report = engine.check(&|_| {}).map_err(|error| format!("check: {error}"))?;
    let noted: BTreeSet<String> = report
        .damaged
        .iter()
        .map(|damage| {
            String::from_utf8_lossy(&damage.path)
                .trim_start_matches('/')
                .to_owned()
        })
        .collect();
    if noted.is_empty() {
        return Err("check finds nothing".into());
    }
    let covers = |note: &str, path: &str| {
        note == path || path.starts_with(note) && (note.is_empty() || note.ends_with('/'))
    };
    let within = |note: &str, path: &str| covers(note, path) || note.trim_end_matches('/') == path;
    // A listing shows the attributes of what is in a directory, too.
    let shows = |note: &str, path: &str| {
        let in_dir = note.strip_prefix(path).map(|rest| rest.trim_start_matches('/'));
        in_dir.is_some_and(|name| !name.is_empty() && !name.contains('/'))
    };
    for path in damaged {
        if !noted.iter().any(|note| within(note, path) || shows(note, path)) {
            return Err(format!("check notes {noted:?} and not {path}"));
        }
    }
    for note in &noted {
        let list = note.starts_with('(');
        if !list && !damaged.iter().any(|path| within(note, path)) {
            return Err(format!("check notes {note}, damaged are {damaged:?}"));
        }
    }
    Ok(())
}

fn names(error: &Error, cid: &Cid) -> bool {
    matches!(error, Error::Merkle(MerkleError::Missing { cid: named } | MerkleError::Corrupt { cid: named }) if named == cid)
}

fn unchanged(before: &Copy, store: &dyn BlockStore) -> std::result::Result<(), String> {
    if Copy::of(store) == *before {
        Ok(())
    } else {
        Err("an open that failed wrote something".into())
    }
}

/// Everything that is done to a block; `other` is another block's bytes.
fn versions(bytes: &Bytes, other: &Bytes) -> Vec<(&'static str, Option<Bytes>)> {
    let flip = |at: usize| {
        let mut altered = bytes.to_vec();
        altered[at] ^= 1;
        Some(altered.into())
    };
    let len = bytes.len();
    vec![
        ("removed", None),
        ("another version", flip(1)),
        ("first byte flipped", flip(0)),
        ("middle byte flipped", flip(len / 2)),
        ("last byte flipped", flip(len - 1)),
        ("emptied", Some(Bytes::new())),
        ("cut in half", Some(bytes.slice(..len / 2))),
        ("cut by one", Some(bytes.slice(..len - 1))),
        ("lengthened", Some([&bytes[..], &[0]].concat().into())),
        ("replaced", Some(other.clone())),
    ]
}

fn tamper_with_each_block(oracle: &Oracle) {
    let blocks: Vec<_> = oracle.copy.blocks.iter().collect();
    for (at, (cid, (epoch, bytes))) in blocks.iter().enumerate() {
        let (_, (_, other)) = blocks[(at + 1) % blocks.len()];
        for (what, version) in versions(bytes, other) {
            let mut copy = oracle.copy.clone();
            match version {
                Some(bytes) => _ = copy.blocks.insert(**cid, (*epoch, bytes)),
                None => _ = copy.blocks.remove(*cid),
            }
            if let Err(why) = oracle.require(cid, copy.into_memory()) {
                panic!("block {at} of {}, {cid}, {what}: {why}", blocks.len());
            }
        }
    }
}

#[test]
fn a_block_of_a_closed_volume_costs_the_paths_that_need_it_and_no_others() {
    for suite in Suite::ALL {
        let oracle = Oracle::new(sample::closed_of(suite), sample::paths());
        assert!(
            oracle.copy.blocks.len() > 20,
            "{} blocks",
            oracle.copy.blocks.len()
        );
        tamper_with_each_block(&oracle);
    }
}

#[test]
fn a_block_of_a_volume_with_a_log_costs_the_paths_that_need_it_and_no_others() {
    let paths = [sample::paths(), LOGGED.map(String::from).to_vec()].concat();
    for suite in Suite::ALL {
        let oracle = Oracle::new(sample::crashed(&sample::closed_of(suite)), paths.clone());
        tamper_with_each_block(&oracle);
    }
}

#[test]
fn a_damaged_file_can_be_deleted_replaced_and_emptied_and_the_volume_goes_on() {
    let store = Arc::new(MemoryStore::new());
    let engine = volume::create_and_open(store.clone()).expect("a new volume opens");
    let bytes: Vec<u8> = (0..300 * 4096_u32).map(|at| (at / 4096) as u8).collect();
    put_file(&engine, InodeNo::ROOT, "large", &bytes).expect("there is room");
    put_file(&engine, InodeNo::ROOT, "other", &[1; 9000]).expect("there is room");
    engine.close().expect("a healthy store closes");
    let oracle = Oracle::new(Copy::of(&*store), vec!["large".into(), "other".into()]);
    let (other, expected) = &oracle.paths["other"];
    let mut own: Vec<_> = oracle.paths["large"].0.difference(other).copied().collect();
    // All four nodes, and a few of the leaves.
    own.sort_by_key(|cid| cid.codec() != Codec::Node);
    assert_eq!(own.iter().filter(|cid| cid.codec() == Codec::Node).count(), 4);
    let (large, new, empty) = (
        name("large"),
        name("new"),
        SetAttr {
            size: Some(0),
            ..SetAttr::default()
        },
    );
    for (cid, way) in own
        .iter()
        .take(8)
        .flat_map(|cid| (0..4).map(move |way| (cid, way)))
    {
        let mut copy = oracle.copy.clone();
        copy.blocks.remove(cid);
        let store = copy.into_memory();
        let engine = volume::open(store.clone(), 60).expect("open does not need it");
        let ino = engine.lookup(InodeNo::ROOT, &large).expect("it has a name").ino;
        let done = match way {
            0 => engine.unlink(InodeNo::ROOT, &large, root_at(61)),
            1 => engine.setattr(ino, empty, root_at(61)).map(drop),
            2 => engine
                .setattr(ino, empty, root_at(61))
                .and_then(|_| engine.write(ino, 0, &bytes[..20_000], root_at(62), false)),
            _ => put_file(&engine, InodeNo::ROOT, "new", b"new").and_then(|_| {
                let replace = RenameMode::Replace;
                engine.rename(InodeNo::ROOT, &new, InodeNo::ROOT, &large, replace, root_at(61))
            }),
        };
        done.unwrap_or_else(|error| panic!("{cid}, way {way}: {error}"));
        engine.fsync(ino, false).expect("a healthy store takes the log");
        let crashed = Copy::of(&*store).into_memory();
        engine.forget(ino, 1);
        engine
            .close()
            .unwrap_or_else(|error| panic!("{cid}, way {way}: {error}"));
        for store in [store, crashed] {
            let engine = volume::open(store, 70).unwrap_or_else(|error| panic!("{cid}, way {way}: {error}"));
            while engine.status().destroying > 0 {
                engine.commit().expect("what is damaged is dropped unread");
            }
            let report = engine.check(&|_| {}).expect("the volume can be checked");
            assert_eq!(report.damaged, [], "{cid}, way {way}");
            let seen = sample::read(&engine, "other").expect("nothing happened to it");
            assert!(seen == *expected, "{cid}, way {way}");
            engine.close().expect("the volume goes on");
        }
    }
}

#[test]
fn two_blocks_that_changed_places_are_both_refused() {
    let oracle = Oracle::new(sample::closed(), sample::paths());
    let cids: Vec<_> = oracle.copy.blocks.keys().copied().collect();
    for pair in cids
        .windows(2)
        .filter(|pair| pair.iter().all(|cid| !oracle.open.contains(cid)))
    {
        let mut copy = oracle.copy.clone();
        let (first, second) = (copy.blocks[&pair[0]].clone(), copy.blocks[&pair[1]].clone());
        copy.blocks.extend([(pair[0], second), (pair[1], first)]);
        let engine = volume::open(copy.into_memory(), 60).expect("open needs neither");
        for (path, (needed, expected)) in &oracle.paths {
            match sample::read(&engine, path) {
                // A listing shows names whose inodes cannot be read.
                Ok(seen) => assert!(
                    seen == *expected
                        && (pair.iter().all(|cid| !needed.contains(cid)) || !seen.names().is_empty()),
                    "{path}"
                ),
                Err(error) => assert!(
                    pair.iter().any(|cid| needed.contains(cid) && names(&error, cid)),
                    "{path}: {error}"
                ),
            }
        }
        engine.close().expect("the volume closes");
    }
}

fn key() -> VolumeKey {
    let store = sample_store(&sample::closed());
    volume::key_of(&*store).expect("every sample has the same key")
}

fn sample_store(copy: &Copy) -> Arc<MemoryStore> {
    copy.clone().into_memory()
}

/// Opens with a key that was had before the tampering, and requires that a failure wrote nothing.
fn open(copy: Copy) -> Result<Arc<Engine>> {
    let store = copy.into_memory();
    let before = Copy::of(&*store);
    let opened = Engine::open(store.clone(), key(), config(), Time(60));
    if opened.is_err() {
        unchanged(&before, &*store).unwrap_or_else(|why| panic!("{why}"));
    }
    opened
}

fn refused(copy: Copy, what: &str) -> MerkleError {
    match open(copy) {
        Err(Error::Merkle(error)) => error,
        Err(error) => panic!("{what}: {error}"),
        Ok(_) => panic!("{what}: the volume opens"),
    }
}

#[test]
fn a_head_that_is_gone_altered_cut_foreign_or_old_is_refused() {
    let copy = sample::closed();
    let with = |head: Option<Vec<u8>>| Copy { head, ..copy.clone() };
    let head = copy.head.clone().expect("the sample has a head");
    let gone = refused(with(None), "no head");
    assert!(
        matches!(gone, MerkleError::Malformed { what: "store", .. }),
        "{gone}"
    );
    for at in 0..head.len() {
        let mut altered = head.clone();
        altered[at] ^= 0x10;
        let error = refused(with(Some(altered)), "an altered head");
        let expected = match error {
            MerkleError::UnknownVersion { what: "head", .. } => at == 0,
            MerkleError::HeadForged => at > 0,
            _ => false,
        };
        assert!(expected, "byte {at}: {error}");
        let error = refused(with(Some(head[..at].to_vec())), "a head cut short");
        assert!(
            matches!(error, MerkleError::Malformed { what: "head", .. }),
            "{error}"
        );
    }
    let foreign = refused(with(other_volume().head), "the head of another volume");
    assert!(matches!(foreign, MerkleError::HeadForged), "{foreign}");
    let newer = sample::crashed(&copy);
    let old = refused(
        Copy {
            head: copy.head.clone(),
            ..newer
        },
        "an old head without its blocks",
    );
    assert!(matches!(old, MerkleError::Missing { .. }), "{old}");
}

#[test]
fn a_header_that_is_gone_altered_cut_foreign_or_old_is_refused() {
    let copy = sample::closed();
    let with = |header: Option<Vec<u8>>| Copy {
        header,
        ..copy.clone()
    };
    let header = copy.header.clone().expect("the sample has a header");
    let gone = refused(with(None), "no header");
    assert!(
        matches!(gone, MerkleError::Malformed { what: "store", .. }),
        "{gone}"
    );
    for at in 0..header.len() {
        let mut altered = header.clone();
        altered[at] ^= 1;
        // Whoever has to unwrap the key notices, and so does whoever has it already.
        let unlocked =
            Header::decode(&altered).and_then(|header| header.unlock(|_| Some(Kek::from_bytes([7; 32]))));
        assert!(
            unlocked.is_err(),
            "byte {at}: the key is had from an altered header"
        );
        refused(with(Some(altered)), "an altered header");
        refused(with(Some(header[..at].to_vec())), "a header cut short");
    }
    let mut version = header.clone();
    version[8] += 1;
    let error = refused(with(Some(version)), "a newer header");
    assert!(
        matches!(error, MerkleError::UnknownVersion { version: 3, .. }),
        "{error}"
    );
    let foreign = refused(with(other_volume().header), "the header of another volume");
    assert!(matches!(foreign, MerkleError::HeaderMismatch), "{foreign}");
    let rekeyed = Copy {
        header: copy.header.clone(),
        ..rekeyed(&copy)
    };
    let old = refused(rekeyed, "the header from before a rekey");
    assert!(matches!(old, MerkleError::HeaderMismatch), "{old}");
}

#[test]
fn another_key_opens_nothing() {
    let copy = sample::closed();
    let store = sample_store(&copy);
    let opened = Engine::open(
        store.clone(),
        VolumeKey::from_bytes(Suite::default(), [1; 32]),
        config(),
        Time(60),
    );
    assert!(matches!(opened, Err(Error::Merkle(MerkleError::HeadForged))));
    unchanged(&copy, &*store).unwrap_or_else(|why| panic!("{why}"));
    let header = Header::decode(&copy.header.expect("the sample has a header")).expect("it is whole");
    let unlocked = header.unlock(|_| Some(Kek::from_bytes([8; 32])));
    assert!(matches!(unlocked, Err(MerkleError::WrongKey)));
}

fn slot() -> SlotKey {
    SlotKey {
        kind: SlotKind::KeyFile,
        kek: Kek::from_bytes([7; 32]),
    }
}

/// Another volume, behind the same key-encryption key.
fn other_volume() -> Copy {
    let params = HeaderParams {
        record_size: volume::RECORD_SIZE,
        compression: Compression::None,
        suite: Suite::default(),
    };
    let store = Arc::new(MemoryStore::new());
    let (header, key) = Header::create(&mut TestRng::new(2), params, &[slot()]).expect("one slot is allowed");
    cairn_fs::format(&*store, &header, &key, Quota::default(), root_at(1))
        .expect("an empty store takes a volume");
    Copy::of(&*store)
}

fn rekeyed(copy: &Copy) -> Copy {
    let store = sample_store(copy);
    let header = Header::decode(copy.header.as_ref().expect("the sample has a header")).expect("it is whole");
    let renewed = header
        .rekey(&mut TestRng::new(3), &key(), &[slot()])
        .expect("one slot is allowed");
    cairn_fs::rekey(store.clone(), key(), &header, &renewed).expect("a healthy store takes a header");
    Copy::of(&*store)
}

#[test]
fn a_check_without_a_mount_counts_and_verifies_what_the_log_alone_names() {
    let copy = sample::crashed(&sample::closed());
    let logged = read_only(copy.clone()).expect("the volume opens");
    let report = volume::require_clean(&logged).expect("nothing was tampered with");
    // Whole records of the logged files: one, one and two.
    assert_eq!(report.logged_blocks, 4);
    let engine = volume::open(copy.into_memory(), 60).expect("the volume opens");
    let mounted = volume::require_clean(&engine).expect("nothing was tampered with");
    assert_eq!(mounted.logged_blocks, 0, "recovery has committed them");
    assert_eq!(report.inodes, mounted.inodes);
}
