//! One damaged block costs what it holds: the volume mounts, takes ordinary work and mounts again.
//!
//! ```text
//!  a volume with one of everything --for each of its blocks--> damaged: before the mount | between work and commit
//!     --> mount --> list, write, link, rename, unlink, rm -rf, fsync, snapshot --> commit --> kill --> mount
//!     each path reads as the model says, or fails for that block, and only if it needs it; nothing stops
//! ```

use cairn_fs::{Config, Engine, Error, InodeNo, Kind, Operations, RenameMode, Result, Table, Time};
use cairn_merkle::testing::{FaultStore, Tamper};
use cairn_merkle::{BlockStore, Cid, Codec, Head, MemoryStore};
use cairn_tests::sample::{name, put_file};
use cairn_tests::tree::list;
use cairn_tests::volume::{self, Copy, config, root_at};
use cairn_tests::watched::{Call, Watched};
use parking_lot::Mutex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const ROOT: InodeNo = InodeNo::ROOT;
/// Two nodes of the file index below one.
const LARGE: usize = 140 * 4096;
/// Of leaves, which are all alike, every so many is damaged.
const LEAF_STEP: usize = 20;

/// Bytes of each file by its path.
type Model = BTreeMap<String, Vec<u8>>;

/// A volume, what it holds, and which blocks each path takes.
struct Sample {
    copy: Copy,
    model: Model,
    needed: BTreeMap<String, BTreeSet<Cid>>,
    root: Cid,
}

fn bytes(seed: usize, len: usize) -> Vec<u8> {
    (0..len).map(|at| (at / 4096 + seed) as u8).collect()
}

fn is_damage(error: &Error) -> bool {
    matches!(error, Error::Damaged(_)) || matches!(error, Error::Merkle(error) if error.damaged().is_some())
}

fn dir_of(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// Finds a path; the references it takes are never given back, as by a kernel with much memory.
fn find(engine: &Engine, path: &str) -> Result<InodeNo> {
    let mut ino = ROOT;
    for component in path.split('/').filter(|component| !component.is_empty()) {
        ino = engine.lookup(ino, &name(component))?.ino;
    }
    Ok(ino)
}

fn read(engine: &Engine, path: &str) -> Result<Vec<u8>> {
    let ino = find(engine, path)?;
    let size = engine.getattr(ino)?.size;
    Ok(engine.read(ino, 0, size as usize)?.to_vec())
}

fn put(engine: &Engine, model: &mut Model, path: &str, content: Vec<u8>) -> Result<()> {
    let (dir, file) = dir_of(path);
    put_file(engine, find(engine, dir)?, file, &content)?;
    model.insert(path.into(), content);
    Ok(())
}

fn fill(engine: &Engine, model: &mut Model) -> Result<()> {
    for dir in ["keep", "wide", "work", "work/deep"] {
        let (parent, dir) = dir_of(dir);
        engine.mkdir(find(engine, parent)?, &name(dir), 0o755, root_at(3))?;
    }
    put(engine, model, "keep/small", bytes(1, 100))?;
    put(engine, model, "keep/leaf", bytes(2, 4000))?;
    put(engine, model, "keep/large", bytes(3, LARGE))?;
    put(engine, model, "keep/linked", bytes(4, 3000))?;
    put(engine, model, "work/large", bytes(5, LARGE))?;
    put(engine, model, "work/leaf", bytes(6, 4096))?;
    put(engine, model, "work/linked", bytes(7, 3000))?;
    put(engine, model, "work/deep/old", bytes(8, 3000))?;
    for n in 0..60 {
        put(engine, model, &format!("wide/f{n}"), bytes(n, 1500))?;
    }
    for (from, to) in [("keep/linked", "keep/other"), ("work/linked", "work/other")] {
        let (dir, file) = dir_of(to);
        engine.link(find(engine, from)?, find(engine, dir)?, &name(file), root_at(4))?;
        let content = model[from].clone();
        model.insert(to.into(), content);
    }
    engine.commit()
}

/// Snapshots with dead lists, a published version with a held list, an orphan, and a log.
fn age(engine: &Engine, model: &mut Model) -> Result<()> {
    for (n, snapshot) in ["one", "two"].into_iter().enumerate() {
        put(
            engine,
            model,
            &format!("keep/only-{snapshot}"),
            bytes(20 + n, 5000),
        )?;
        engine.snapshot_create(&name(snapshot), Time(5))?;
        engine.unlink(
            find(engine, "keep")?,
            &name(&format!("only-{snapshot}")),
            root_at(6),
        )?;
        model.remove(&format!("keep/only-{snapshot}"));
        let overwritten = bytes(30 + n, 4096);
        engine.write(find(engine, "work/leaf")?, 0, &overwritten, root_at(6), false)?;
        model.insert("work/leaf".into(), overwritten);
        engine.commit()?;
    }
    let published = engine.prepare_publication()?.expect("much is not anchored");
    engine.confirmed(published.version);
    engine.write(
        find(engine, "work/deep/old")?,
        0,
        &bytes(40, 3000),
        root_at(7),
        false,
    )?;
    model.insert("work/deep/old".into(), bytes(40, 3000));
    engine.commit()?;
    put(engine, model, "orphan", bytes(9, LARGE))?;
    let orphan = find(engine, "orphan")?;
    engine.open_file(orphan, cairn_fs::Access::Read)?;
    engine.unlink(ROOT, &name("orphan"), root_at(8))?;
    model.remove("orphan");
    engine.commit()?;
    put(engine, model, "work/logged", bytes(10, 9000))?;
    engine.fsync(find(engine, "work/logged")?, false)
}

fn sample() -> Sample {
    let store = Arc::new(MemoryStore::new());
    let engine = volume::create_and_open(store.clone()).expect("a new volume opens");
    let mut model = Model::new();
    fill(&engine, &mut model).expect("a healthy store takes it");
    age(&engine, &mut model).expect("a healthy store takes it");
    let copy = Copy::of(&*store);
    let key = volume::key_of(&*store).expect("it has a header");
    let root = Head::decode(copy.head.as_ref().expect("it has a head"), &key)
        .expect("it is whole")
        .root;
    let mut needed = BTreeMap::new();
    for path in model.keys() {
        let gets: Arc<Mutex<BTreeSet<Cid>>> = Arc::default();
        let noted = gets.clone();
        let tell = move |call: &Call<'_>| {
            if let Call::Get(cid) = call {
                noted.lock().insert(**cid);
            }
        };
        let engine = reader(Arc::new(Watched::new(copy.clone().into_memory(), tell))).expect("it opens");
        // Of what the log needs, all may be: an operation that met damage is skipped.
        let mut own = match path.as_str() {
            "work/logged" => gets.lock().clone(),
            _ => BTreeSet::new(),
        };
        gets.lock().clear();
        assert_eq!(read(&engine, path).expect("it is whole"), model[path], "{path}");
        own.extend(gets.lock().iter());
        needed.insert(path.clone(), own);
    }
    Sample {
        copy,
        model,
        needed,
        root,
    }
}

fn reader(store: Arc<dyn BlockStore>) -> Result<Arc<Engine>> {
    let key = volume::key_of(&*store)?;
    let config = Config {
        read_only: true,
        // Nothing is cached.
        memory_bytes: 1,
        ..config()
    };
    Engine::open(store, key, config, Time(50))
}

/// Some of everything that is done to files every day. What succeeds is in the model; what fails
/// fails for damage.
struct Work<'a> {
    engine: &'a Engine,
    model: Model,
    /// Paths of which the outcome is not told: part of what was done to them failed.
    unsure: BTreeSet<String>,
}

impl Work<'_> {
    fn expect(&mut self, path: &str, done: Result<()>) -> bool {
        match done {
            Ok(()) => true,
            Err(error) => {
                assert!(is_damage(&error), "{path}: {error}");
                self.unsure.insert(path.into());
                false
            }
        }
    }

    fn write(&mut self, path: &str, offset: usize, new: &[u8]) {
        let done = find(self.engine, path)
            .and_then(|ino| self.engine.write(ino, offset as u64, new, root_at(60), false));
        if self.expect(path, done) {
            let content = self
                .model
                .get_mut(path)
                .expect("only files of the model are written");
            let end = offset + new.len();
            content.resize(content.len().max(end), 0);
            content[offset..end].copy_from_slice(new);
        }
    }

    fn put(&mut self, path: &str, content: Vec<u8>) {
        let done = put(self.engine, &mut self.model, path, content);
        self.expect(path, done);
    }

    fn unlink(&mut self, path: &str) {
        let (dir, file) = dir_of(path);
        let done = find(self.engine, dir).and_then(|dir| self.engine.unlink(dir, &name(file), root_at(61)));
        if self.expect(path, done) {
            self.model.remove(path);
        }
    }

    fn rename(&mut self, from: &str, to: &str) {
        let ((dir, file), (new_dir, new_file)) = (dir_of(from), dir_of(to));
        let done = find(self.engine, dir).and_then(|dir| {
            let (new_dir, mode) = (find(self.engine, new_dir)?, RenameMode::Replace);
            self.engine
                .rename(dir, &name(file), new_dir, &name(new_file), mode, root_at(62))
        });
        if self.expect(from, done) {
            let content = self
                .model
                .remove(from)
                .expect("only files of the model are renamed");
            self.model.insert(to.into(), content);
        } else {
            self.unsure.insert(to.into());
        }
    }

    fn link(&mut self, from: &str, to: &str) {
        let (dir, file) = dir_of(to);
        let done = find(self.engine, from).and_then(|ino| {
            let dir = find(self.engine, dir)?;
            self.engine.link(ino, dir, &name(file), root_at(63)).map(drop)
        });
        if self.expect(to, done) {
            let content = self.model[from].clone();
            self.model.insert(to.into(), content);
        }
    }

    fn remove_all(&mut self, dir: &str) {
        for path in self
            .model
            .keys()
            .filter(|path| dir_of(path).0 == dir)
            .cloned()
            .collect::<Vec<_>>()
        {
            self.unlink(&path);
        }
        let (parent, file) = dir_of(dir);
        let done =
            find(self.engine, parent).and_then(|parent| self.engine.rmdir(parent, &name(file), root_at(64)));
        if let Err(error) = done {
            assert!(
                matches!(error, Error::NotEmpty) || is_damage(&error),
                "{dir}: {error}"
            );
        }
    }

    /// All but what `commit` does.
    fn all(&mut self) {
        self.write("work/large", 4096 * 3, &[1; 4096]);
        self.write("work/large", 4096 * 130 + 7, &[2; 9]);
        self.write("work/large", LARGE, &[3; 5000]);
        self.write("work/leaf", 5, &[4; 5]);
        self.put("work/new", bytes(11, 5000));
        self.put("work/deep/new", bytes(12, 10));
        self.put("new", bytes(13, 9000));
        self.link("work/leaf", "work/deep/leaf");
        self.link("work/large", "large");
        self.rename("work/other", "work/deep/other");
        self.rename("work/deep/old", "old");
        let kept: BTreeSet<usize> = [7, 23, 41].into();
        for n in (0..60).filter(|n| !kept.contains(n)) {
            self.unlink(&format!("wide/f{n}"));
        }
        for n in kept {
            self.write(&format!("wide/f{n}"), 10, b"changed");
        }
        self.put("wide/new", bytes(14, 100));
    }
}

/// Requires each path to be as the model has it, or to fail for damage if that is its own.
fn require(
    engine: &Engine,
    what: &str,
    model: &Model,
    unsure: &BTreeSet<String>,
    may_fail: &dyn Fn(&str) -> bool,
) {
    for (path, content) in model.iter().filter(|(path, _)| !unsure.contains(*path)) {
        match read(engine, path) {
            Ok(read) => assert!(read == *content, "{what}: {path} reads as something else"),
            Err(error) => assert!(is_damage(&error) && may_fail(path), "{what}: {path}: {error}"),
        }
    }
}

/// Lists all directories as far as they can be listed.
fn list_all(engine: &Engine, dir: InodeNo) {
    match list(engine, dir) {
        Ok(entries) => {
            for entry in entries.iter().filter(|entry| entry.kind == Kind::Directory) {
                if let Ok(attr) = engine.lookup(dir, &entry.name) {
                    list_all(engine, attr.ino);
                }
            }
        }
        Err(error) => assert!(is_damage(&error), "{error}"),
    }
}

impl Sample {
    /// All nodes but the commit block, and some leaves.
    fn blocks(&self) -> Vec<Cid> {
        let mut blocks = self.copy.names(Codec::Node);
        blocks.retain(|cid| *cid != self.root);
        blocks.extend(self.copy.names(Codec::Leaf).into_iter().step_by(LEAF_STEP));
        blocks
    }

    /// What a mount holds: all, but for what the log alone knew and could not be done again.
    fn expected(&self, engine: &Engine) -> Model {
        let mut model = self.model.clone();
        if engine.damage().skipped.count > 0 {
            model.remove("work/logged");
        }
        model
    }

    /// Whether a path of the sample, or one beside it, needs a block.
    fn may_fail(&self, cid: Cid) -> impl Fn(&str) -> bool {
        let hit: BTreeSet<String> = self
            .needed
            .iter()
            .filter(|(_, needed)| needed.contains(&cid))
            .map(|(path, _)| path.clone())
            .collect();
        // A name that is new or moved lies beside others, in the leaf of one of them or in a file
        // that was moved.
        let known: BTreeSet<String> = self.needed.keys().cloned().collect();
        move |path: &str| hit.contains(path) || !known.contains(path) && !hit.is_empty()
    }

    /// Mounts again what a kill left, and requires the same.
    fn again(&self, what: &str, store: Arc<MemoryStore>, model: &Model, unsure: &BTreeSet<String>, cid: Cid) {
        let engine =
            volume::open(store.clone(), 70).unwrap_or_else(|error| panic!("{what}: second mount: {error}"));
        require(&engine, what, model, unsure, &self.may_fail(cid));
        if let Err(error) = put_file(&engine, ROOT, "again", b"again") {
            assert!(is_damage(&error), "{what}: {error}");
        }
        engine.commit().unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(engine.status().read_only, None, "{what}");
        engine
            .check(&|_| {})
            .unwrap_or_else(|error| panic!("{what}: check: {error}"));
        engine.close().unwrap_or_else(|error| panic!("{what}: {error}"));
    }
}

#[test]
fn no_block_makes_a_volume_unmountable_or_read_only() {
    let sample = sample();
    let damaged = |cid: &Cid, way: usize| {
        let mut copy = sample.copy.clone();
        if way == 0 {
            copy.blocks.remove(cid);
        } else if let Some((_, stored)) = copy.blocks.get_mut(cid) {
            let mut altered = stored.to_vec();
            altered[way % stored.len()] ^= 1;
            *stored = altered.into();
        }
        copy.into_memory()
    };
    let blocks = sample.blocks();
    assert!(blocks.len() > 40, "{} blocks", blocks.len());
    for (at, cid) in blocks.iter().enumerate() {
        // Removed, or one bit of it flipped.
        let way = [0, 40][at % 2];
        let what = format!("block {at} of {}, {cid}, way {way}", blocks.len());
        let may_fail = sample.may_fail(*cid);
        let none = BTreeSet::new();
        let past = reader(damaged(cid, way)).unwrap_or_else(|error| panic!("{what}: read-only: {error}"));
        require(&past, &what, &sample.expected(&past), &none, &may_fail);
        let store = damaged(cid, way);
        let engine = volume::open(store.clone(), 60).unwrap_or_else(|error| panic!("{what}: mount: {error}"));
        list_all(&engine, ROOT);
        let model = sample.expected(&engine);
        require(&engine, &what, &model, &none, &may_fail);
        let mut work = Work {
            engine: &engine,
            model,
            unsure: BTreeSet::new(),
        };
        work.all();
        engine
            .commit()
            .unwrap_or_else(|error| panic!("{what}: commit: {error}"));
        work.remove_all("wide");
        if let Err(error) = engine.snapshot_create(&name("three"), Time(65)) {
            assert!(is_damage(&error), "{what}: {error}");
            assert!(
                engine
                    .damage()
                    .tables
                    .iter()
                    .any(|table| table.table == Table::Snapshots)
            );
        }
        if let Err(error) = engine.snapshot_destroy(&name("one")) {
            assert!(is_damage(&error), "{what}: {error}");
        }
        work.put("synced", b"synced".to_vec());
        if let Ok(ino) = find(&engine, "synced") {
            engine
                .fsync(ino, false)
                .unwrap_or_else(|error| panic!("{what}: fsync: {error}"));
        }
        engine
            .commit()
            .unwrap_or_else(|error| panic!("{what}: commit: {error}"));
        assert_eq!(engine.status().read_only, None, "{what}");
        let (model, unsure) = (work.model, work.unsure);
        require(&engine, &what, &model, &unsure, &may_fail);
        let killed = Copy::of(&*store).into_memory();
        engine
            .close()
            .unwrap_or_else(|error| panic!("{what}: close: {error}"));
        sample.again(&what, killed, &model, &unsure, *cid);
    }
}

#[test]
fn a_block_that_breaks_between_work_and_commit_is_left_as_it_is() {
    let sample = sample();
    let blocks = sample.blocks();
    for (at, cid) in blocks.iter().enumerate() {
        let what = format!("block {at} of {}, {cid}", blocks.len());
        let store = Arc::new(FaultStore::new(MemoryStore::new()));
        sample.copy.put_into(&*store);
        let key = volume::key_of(&*store).expect("it has a header");
        let config = Config {
            // Nothing is cached: the commit reads what the work read before.
            memory_bytes: 1 << 16,
            ..config()
        };
        let engine = Engine::open(store.clone(), key, config, Time(60)).expect("it is whole");
        let mut work = Work {
            engine: &engine,
            model: sample.model.clone(),
            unsure: BTreeSet::new(),
        };
        work.all();
        assert!(work.unsure.is_empty(), "{:?}", work.unsure);
        store.tamper(*cid, Tamper::FlipBit(9));
        engine
            .commit()
            .unwrap_or_else(|error| panic!("{what}: commit: {error}"));
        assert_eq!(engine.status().read_only, None, "{what}");
        let known = engine.damage();
        let model = work.model;
        let copy = Copy::of(&*store).into_memory();
        // What was told to be lost, and what lies below a lost name, may be anything that is no
        // silent mistake.
        let told: BTreeSet<String> = model
            .keys()
            .filter(|path| {
                let is_told = |note: &cairn_fs::Note| {
                    let place = String::from_utf8_lossy(&note.place).into_owned();
                    place.contains("(inode") || place.trim_start_matches('/').starts_with(path.as_str())
                };
                known.lost.named.iter().any(is_told)
            })
            .cloned()
            .collect();
        if known.lost.count > 0 {
            let heard = engine.sync().expect_err("it is told once");
            assert!(is_damage(&heard), "{what}: {heard}");
        }
        engine.sync().unwrap_or_else(|error| panic!("{what}: {error}"));
        engine
            .close()
            .unwrap_or_else(|error| panic!("{what}: close: {error}"));
        sample.again(&what, copy, &model, &told, *cid);
    }
}
