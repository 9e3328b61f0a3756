//! A damaged volume is repaired: whole afterwards, all else as it was, and what is gone is listed,
//! no more and no less.
//!
//! ```text
//!  every kind of block, each in turn, and pairs --removed--> open, repair --> check: whole, nothing leaked
//!      paths that could be read read the same, but for snapshots that are gone as a whole
//!      each path that is gone is in the list or below a directory that lost names; each entry of the list is gone
//!      a second repair does nothing; a cut at any write of the repair leaves the damage or the repaired version
//! ```

use cairn_fs::{Engine, Gone, InodeNo, Loss, Opening, Operations, RepairReport, Time};
use cairn_merkle::testing::CrashImage;
use cairn_merkle::{BlockStore, Blocks, Cid, MemoryStore, Version};
use cairn_tests::published::audit;
use cairn_tests::sample::{name, put_file};
use cairn_tests::various::{self, Paths};
use cairn_tests::volume::{self, Copy, RECORD_SIZE, key_of, root_at};
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::sync::Arc;

type Outcome = Result<(), String>;

const SNAPSHOTS: &[u8] = b"/.snapshots";

fn text(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

fn open(store: Arc<dyn BlockStore>) -> Result<Arc<Engine>, String> {
    volume::open(store, 60).map_err(|error| format!("open: {error}"))
}

fn repair(engine: &Engine) -> Result<RepairReport, String> {
    let repaired = engine.repair(Time(61), &|_| {});
    repaired.map_err(|error| format!("repair: {error}"))
}

fn close(engine: &Engine) -> Outcome {
    engine.close().map_err(|error| format!("close: {error}"))
}

fn without(copy: &Copy, cids: &[Cid]) -> Copy {
    let mut copy = copy.clone();
    for cid in cids {
        copy.blocks.remove(cid);
    }
    copy
}

fn head_of(copy: &Copy) -> Cid {
    let store = copy.clone().into_memory();
    let opening = Opening::newest(store.clone(), key_of(&*store).expect("it has its key"));
    opening
        .expect("an untouched volume is found")
        .standing()
        .head
        .root
}

/// The directory that a path is in.
fn above(path: &[u8]) -> &[u8] {
    let at = path.iter().rposition(|byte| *byte == b'/').unwrap_or(0);
    &path[..at]
}

fn is_below(path: &[u8], dir: &[u8]) -> bool {
    path.strip_prefix(dir).is_some_and(|rest| rest.starts_with(b"/"))
}

/// What the volume was before it was damaged, and after it was repaired.
struct Change<'a> {
    before: &'a Paths,
    /// What of it could be read with the damage.
    damaged: Paths,
    after: Paths,
    gone: Vec<Gone>,
}

impl Change<'_> {
    fn require(&self) -> Outcome {
        for (path, seen) in self.before {
            self.path(path, seen)?;
        }
        self.gone.iter().try_for_each(|gone| self.listed(gone))
    }

    /// Names of directories are looked at one by one.
    fn is_dir(&self, path: &[u8]) -> bool {
        path.is_empty() || self.before.keys().any(|other| is_below(other, path)) || path == SNAPSHOTS
    }

    fn path(&self, path: &[u8], seen: &Result<Vec<u8>, String>) -> Outcome {
        let (damaged, after) = (&self.damaged[path], &self.after[path]);
        let listed = self.gone.iter().any(|gone| covers(gone, path));
        match after {
            Ok(_) if self.is_dir(path) => Ok(()),
            // The last of several names counts those that went.
            Ok(after) if Ok(after) == seen.as_ref() => Ok(()),
            // One of several names is gone, and the others tell.
            Ok(after) if damaged.is_ok() && same_but_links(seen, after) => Ok(()),
            Ok(_) => Err(format!("{} reads otherwise after the repair", text(path))),
            Err(_) if listed => Ok(()),
            Err(why) => Err(format!("{} is gone and not listed: {why}", text(path))),
        }
    }

    /// What the list says is true.
    fn listed(&self, gone: &Gone) -> Outcome {
        let path = gone.path.strip_suffix(b"/").unwrap_or(&gone.path);
        let is_gone = |path: &[u8]| self.after.get(path).is_some_and(Result::is_err);
        let right = match &gone.loss {
            // No name led there: nothing shows it.
            Loss::File | Loss::Bytes { .. } if path.starts_with(b"(") => true,
            Loss::File | Loss::Bytes { .. } => is_gone(path) && self.damaged[path].is_err(),
            Loss::Names { count } => {
                let own = self
                    .before
                    .keys()
                    .filter(|other| above(other) == path && **other != path);
                let own =
                    own.filter(|other| is_gone(other) && !self.gone.iter().any(|gone| gone.path == **other));
                own.count() as u64 == *count
            }
            Loss::Snapshot => is_gone(path),
            Loss::Name { .. } | Loss::Part => true,
        };
        match right {
            true => Ok(()),
            false => Err(format!("the list has {gone:?}, which is not so")),
        }
    }
}

/// Whether a loss explains that a path is gone.
fn covers(gone: &Gone, path: &[u8]) -> bool {
    let at = gone.path.strip_suffix(b"/").unwrap_or(&gone.path);
    match gone.loss {
        Loss::File | Loss::Bytes { .. } => at == path,
        Loss::Names { .. } => is_below(path, at),
        Loss::Snapshot => at == path || is_below(path, at),
        Loss::Part => at == SNAPSHOTS && is_below(path, at),
        Loss::Name { .. } => false,
    }
}

/// Whether two readings of a file differ in the number of its names alone.
fn same_but_links(seen: &Result<Vec<u8>, String>, after: &[u8]) -> bool {
    let rest = |seen: &[u8]| {
        let mut parts = seen.splitn(3, |byte| *byte == b' ');
        (parts.next().map(<[u8]>::to_vec), parts.nth(1).map(<[u8]>::to_vec))
    };
    seen.as_ref().is_ok_and(|seen| rest(seen) == rest(after))
}

fn require_whole(engine: &Engine) -> Outcome {
    let report = volume::require_clean(engine)?;
    let status = engine.status();
    match report.inodes == status.inodes {
        true => Ok(()),
        false => Err(format!(
            "{} inodes are counted, {} are there",
            status.inodes, report.inodes
        )),
    }
}

/// Damages, repairs, and holds what comes of it against what there was.
fn repair_without(copy: &Copy, before: &Paths, cids: &[Cid]) -> Result<Vec<Gone>, String> {
    let paths: Vec<Vec<u8>> = before.keys().cloned().collect();
    let store = without(copy, cids).into_memory();
    let engine = open(store.clone())?;
    let damaged = various::read_all(&engine, &paths);
    let report = repair(&engine)?;
    require_whole(&engine)?;
    close(&engine)?;
    let engine = open(store)?;
    require_whole(&engine)?;
    let change = Change {
        before,
        damaged,
        after: various::read_all(&engine, &paths),
        gone: report.gone.clone(),
    };
    change.require()?;
    let listed = engine.check(&|_| {}).map_err(|error| error.to_string())?.gone;
    if listed != report.gone {
        return Err(format!(
            "the volume lists {listed:?}, the repair said {:?}",
            report.gone
        ));
    }
    let epoch = engine.status().epoch;
    let again = repair(&engine)?;
    if again != RepairReport::default() || engine.status().epoch != epoch {
        return Err(format!("a second repair does something: {again:?}"));
    }
    // What the live tree lost and a snapshot still had is given back with that.
    for snapshot in engine.snapshot_list() {
        let destroyed = engine.snapshot_destroy(&snapshot.name);
        destroyed.map_err(|error| format!("destroy {:?}: {error}", snapshot.name))?;
        require_whole(&engine).map_err(|why| format!("without {:?}: {why}", snapshot.name))?;
    }
    close(&engine)?;
    Ok(report.gone)
}

/// The sample, what it shows, and its blocks but for the commit block.
fn sample() -> (Copy, Paths, Vec<Cid>) {
    let copy = various::committed();
    let engine = open(copy.clone().into_memory()).expect("an untouched volume opens");
    let paths = various::paths(&engine);
    let before = various::read_all(&engine, &paths);
    close(&engine).expect("it closes");
    let head = head_of(&copy);
    let cids = copy.blocks.keys().copied().filter(|cid| *cid != head).collect();
    (copy, before, cids)
}

#[test]
fn a_repair_after_damage_to_any_block_leaves_a_whole_volume_and_lists_what_is_gone() {
    let (copy, before, cids) = sample();
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for (at, cid) in cids.iter().enumerate() {
        let gone = repair_without(&copy, &before, &[*cid]);
        for gone in gone.unwrap_or_else(|why| panic!("block {at}, {cid}: {why}")) {
            let kind = format!("{:?}", gone.loss);
            let kind = kind.split([' ', '{']).next().unwrap_or_default().to_owned();
            *kinds.entry(kind).or_default() += 1;
        }
    }
    for kind in ["File", "Bytes", "Names", "Snapshot", "Part"] {
        assert!(kinds.contains_key(kind), "nothing of the kind {kind}: {kinds:?}");
    }
}

#[test]
fn a_repair_after_damage_to_two_blocks_leaves_a_whole_volume() {
    let (copy, before, cids) = sample();
    for step in [1, 11, 29] {
        for at in (0..cids.len()).step_by(2) {
            let pair = [cids[at], cids[(at + step) % cids.len()]];
            repair_without(&copy, &before, &pair).unwrap_or_else(|why| panic!("{pair:?}: {why}"));
        }
    }
}

#[test]
fn a_repair_after_damage_to_half_of_all_blocks_leaves_a_whole_volume() {
    let (copy, before, cids) = sample();
    for part in 0..2 {
        let half: Vec<Cid> = cids.iter().copied().skip(part).step_by(2).collect();
        repair_without(&copy, &before, &half).unwrap_or_else(|why| panic!("half {part}: {why}"));
    }
}

/// The blocks that reading a path takes beyond those that another takes.
fn blocks_of(copy: &Copy, path: &str, beyond: &[&str]) -> Vec<Cid> {
    use cairn_tests::watched::{Call, Watched};
    let gets = |path: &str| {
        let got: Arc<Mutex<Vec<Cid>>> = Arc::default();
        let noted = got.clone();
        let tell = move |call: &Call<'_>| {
            if let Call::Get(cid) = call {
                noted.lock().push(**cid);
            }
        };
        let engine = open(Arc::new(Watched::new(copy.clone().into_memory(), tell))).expect("it opens");
        got.lock().clear();
        let read = various::read_all(&engine, &[path.as_bytes().to_vec()]);
        assert!(read.values().all(Result::is_ok), "{read:?}");
        let got = std::mem::take(&mut *got.lock());
        close(&engine).expect("it closes");
        got
    };
    let others: Vec<Cid> = beyond.iter().flat_map(|path| gets(path)).collect();
    gets(path)
        .into_iter()
        .filter(|cid| !others.contains(cid))
        .collect()
}

#[test]
fn a_file_that_lost_a_record_moves_aside_with_a_hole_and_its_other_bytes() {
    let store = Arc::new(MemoryStore::new());
    let engine = volume::create_and_open(store.clone()).expect("a new volume opens");
    let dir = engine
        .mkdir(InodeNo::ROOT, &name("dir"), 0o755, root_at(3))
        .expect("there is room")
        .ino;
    let bytes: Vec<u8> = (0..3 * RECORD_SIZE)
        .map(|at| 1 + (at / RECORD_SIZE) as u8)
        .collect();
    put_file(&engine, dir, "file", &bytes).expect("there is room");
    close(&engine).expect("it closes");
    let copy = Copy::of(&*store);
    let lost = blocks_of(&copy, "/dir/file", &["/dir"]);
    // The index, then its leaves in order.
    let store = without(&copy, &lost[2..3]).into_memory();
    let engine = open(store).expect("it opens");
    let gone = repair(&engine).expect("it repairs").gone;
    let (from, to) = (u64::from(RECORD_SIZE), 2 * u64::from(RECORD_SIZE));
    let kept = b"/lost+found/dir%2Ffile".to_vec();
    let loss = Loss::Bytes {
        kept: kept.clone(),
        ranges: std::iter::once(from..to).collect(),
        bytes: to - from,
    };
    let epoch = gone[0].epoch;
    let path = b"/dir/file".to_vec();
    assert_eq!(
        gone,
        [Gone {
            epoch,
            path: path.clone(),
            loss
        }]
    );
    assert_eq!(epoch, engine.status().epoch.0, "of the version that says so");
    let read = various::read_all(&engine, &[path.clone(), kept.clone()]);
    assert!(read[&path].is_err());
    let mut expected = bytes;
    expected[from as usize..to as usize].fill(0);
    assert!(read[&kept].as_ref().is_ok_and(|seen| seen.ends_with(&expected)));
    close(&engine).expect("it closes");
}

#[test]
fn the_list_of_what_is_gone_stays_in_later_versions_and_grows_with_the_next_repair() {
    let (copy, _, _) = sample();
    let leaf = |path: &str| *blocks_of(&copy, path, &["/"]).last().expect("it has a leaf");
    let (first, second) = (leaf("/leaf"), leaf("/dir/sub/deep"));
    let store = without(&copy, &[first]).into_memory();
    let engine = open(store.clone()).expect("it opens");
    repair(&engine).expect("it repairs");
    for n in 0..3 {
        put_file(&engine, InodeNo::ROOT, &format!("more-{n}"), &[n; 3000]).expect("there is room");
        engine.commit().expect("it commits");
    }
    let repaired = engine.status().repaired.expect("it was repaired");
    assert_eq!((repaired.repairs, repaired.files), (1, 1));
    close(&engine).expect("it closes");
    let store = without(&Copy::of(&*store), &[second]).into_memory();
    let engine = open(store).expect("it opens");
    repair(&engine).expect("it repairs");
    let report = engine.check(&|_| {}).expect("it can be checked");
    let paths: Vec<String> = report.gone.iter().map(|gone| text(&gone.path)).collect();
    let live: Vec<&String> = paths
        .iter()
        .filter(|path| !path.starts_with("/.snapshots"))
        .collect();
    assert_eq!(live, ["/leaf", "/dir/sub/deep"]);
    let repaired = report.repaired.expect("it was repaired");
    assert_eq!((repaired.repairs, repaired.files), (2, 2));
    close(&engine).expect("it closes");
}

/// A list that met damage goes on saying so until its end, and no longer than there is damage.
#[test]
fn a_repaired_directory_that_was_listed_before_is_listed_whole() {
    let (copy, ..) = sample();
    let node = *blocks_of(&copy, "/dir", &["/"]).last().expect("it has a node");
    let engine = open(without(&copy, &[node]).into_memory()).expect("it opens");
    // Held, as by an application whose working directory it is.
    let dir = engine
        .lookup(InodeNo::ROOT, &name("dir"))
        .expect("it is there")
        .ino;
    let listed = || various::read_all(&engine, &[b"/dir".to_vec()])[b"/dir".as_slice()].clone();
    assert!(listed().is_err(), "a node of it is gone");
    repair(&engine).expect("it repairs");
    listed().expect("it can be listed to its end");
    engine.forget(dir, 1);
    close(&engine).expect("it closes");
}

#[test]
fn a_repair_frees_blocks_that_nothing_names() {
    let (copy, before, _) = sample();
    let store = copy.into_memory();
    let strays: Vec<_> = (0..5_u8)
        .map(|n| {
            cairn_merkle::seal_leaf(
                Default::default(),
                &mut cairn_merkle::testing::TestRng::new(n.into()),
                cairn_merkle::Epoch(1),
                &[n; 500],
            )
            .0
        })
        .collect();
    store
        .put(cairn_merkle::Epoch(1), &strays, cairn_merkle::PutHint::Small)
        .expect("memory takes them");
    let engine = open(store.clone()).expect("it opens");
    assert_eq!(engine.check(&|_| {}).expect("it can be checked").leaked_blocks, 5);
    let report = repair(&engine).expect("it repairs");
    assert_eq!((report.freed_blocks, report.gone.len()), (5, 0));
    require_whole(&engine).unwrap_or_else(|why| panic!("{why}"));
    let paths: Vec<Vec<u8>> = before.keys().cloned().collect();
    assert!(various::read_all(&engine, &paths) == before);
    close(&engine).expect("it closes");
}

/// A volume whose last version but one is anchored.
fn anchored() -> (Copy, Version) {
    let store = Arc::new(MemoryStore::new());
    let engine = volume::create_and_open(store.clone()).expect("a new volume opens");
    various::fill(&engine).expect("there is room");
    let prepared = engine
        .prepare_publication()
        .expect("it commits")
        .expect("it changed");
    engine.confirmed(prepared.version);
    let large = engine
        .lookup(InodeNo::ROOT, &name("large"))
        .expect("it is there")
        .ino;
    engine
        .write(large, 0, &[77; 9000], root_at(20), false)
        .expect("there is room");
    engine
        .unlink(InodeNo::ROOT, &name("leaf"), root_at(20))
        .expect("it is there");
    engine.commit().expect("it commits");
    (Copy::of(&*store), prepared.version)
}

/// Opens a volume of which the anchor has this version, and knows of no other.
fn open_settled(store: Arc<MemoryStore>, version: Version) -> Result<Arc<Engine>, String> {
    let text = |error: cairn_fs::Error| format!("open: {error}");
    let key = key_of(&*store).map_err(text)?;
    let mut opening = Opening::newest(store, key).map_err(text)?;
    opening.settle(Some(version));
    opening.open(volume::config()).map_err(text)
}

#[test]
fn a_repair_leaves_whole_what_is_published() {
    let (copy, version) = anchored();
    let named = audit(&*copy.clone().into_memory(), version).expect("it is whole");
    let head = head_of(&copy);
    let own: Vec<Cid> = copy
        .blocks
        .keys()
        .copied()
        .filter(|cid| !named.contains(cid) && *cid != head)
        .collect();
    assert!(own.len() > 5, "{} blocks", own.len());
    for cid in own {
        let store = without(&copy, &[cid]).into_memory();
        let run = || {
            let engine = open_settled(store.clone(), version)?;
            repair(&engine)?;
            require_whole(&engine).map_err(|why| format!("repaired: {why}"))?;
            audit(&*store, version)?;
            // The next version takes its place: what only the old one had goes, and nothing is
            // left.
            put_file(&engine, InodeNo::ROOT, "next", b"next").map_err(|error| error.to_string())?;
            let next = engine.prepare_publication().map_err(|error| error.to_string())?;
            engine.confirmed(next.ok_or("nothing changed")?.version);
            engine.commit().map_err(|error| error.to_string())?;
            require_whole(&engine).map_err(|why| format!("the next anchored: {why}"))?;
            close(&engine)
        };
        run().unwrap_or_else(|why| panic!("{cid}: {why}"));
    }
}

#[test]
fn a_cut_at_any_write_of_a_repair_leaves_the_damage_or_the_repaired_version() {
    let (copy, before, cids) = sample();
    let paths: Vec<Vec<u8>> = before.keys().cloned().collect();
    for pair in cids.windows(3).step_by(7) {
        let store = Arc::new(without(&copy, pair).into_crash());
        let engine = open(store.clone()).expect("it opens");
        let damaged = various::read_all(&engine, &paths);
        let images: Arc<Mutex<Vec<CrashImage>>> = Arc::default();
        let seen = images.clone();
        store.set_hook(move |_, image| seen.lock().push(image.clone()));
        let gone = repair(&engine)
            .unwrap_or_else(|why| panic!("{pair:?}: {why}"))
            .gone;
        let after = various::read_all(&engine, &paths);
        let images = std::mem::take(&mut *images.lock());
        assert!(images.len() > 1, "a repair writes");
        for (event, image) in images.iter().enumerate() {
            for seed in [0, u64::MAX, 1] {
                let cut = || {
                    let engine = open(Arc::new(image.crash(seed)))?;
                    let found = various::read_all(&engine, &paths);
                    let report = engine.check(&|_| {}).map_err(|error| error.to_string())?;
                    match report.is_whole() {
                        true if found == after && report.gone == gone => {}
                        false if found == damaged && report.gone.is_empty() => {}
                        whole => return Err(format!("a third version, whole: {whole}")),
                    }
                    repair(&engine)?;
                    require_whole(&engine)?;
                    close(&engine)
                };
                cut().unwrap_or_else(|why| panic!("{pair:?}, event {event}, seed {seed}: {why}"));
            }
        }
    }
}
