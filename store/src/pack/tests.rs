//! Packs, their garbage, and reclaims beside puts.

use super::*;

#[test]
fn neighbours_are_read_together_and_others_apart() {
    let place = |pack, offset, len| Place { pack, offset, len };
    let places = [
        place(1, 0, 448),
        place(1, 512, 960),
        place(1, 1536, 8),
        place(1, 4096, 8),
        place(2, 4608, 8),
    ];
    let runs: Vec<_> = Packs::runs(&places).map(<[Place]>::len).collect();
    assert_eq!(runs, [3, 1, 1]);
    let large: Vec<_> = (0..40).map(|n| place(1, n * 131_584, 131_088)).collect();
    assert!(Packs::runs(&large).all(|run| run.len() <= 16));
    assert_eq!(Packs::runs(&large).map(<[Place]>::len).sum::<usize>(), 40);
}

#[test]
fn garbage_is_known_after_a_clean_close_and_unknown_after_any_other() {
    let dir = tempfile::tempdir().unwrap();
    Packs::create(dir.path()).unwrap();
    let open = || Packs::open(dir.path(), Box::new(|_| Ok(())), Access::Write).unwrap();
    let packs = open();
    assert!(!packs.garbage().is_unknown());
    fs::write(dir.path().join(DIR).join("00000005"), "").unwrap();
    packs.forget(&[Place {
        pack: 5,
        offset: 0,
        len: 700,
    }]);
    drop(packs);
    let packs = open();
    assert_eq!(
        (packs.garbage().bytes(), packs.garbage().is_unknown()),
        (1024, false)
    );
    std::mem::forget(packs);
    assert!(open().garbage().is_unknown());
}

/// Packs whose index is told only while the gate is open, and the index.
struct Gated {
    packs: Packs,
    gate: Arc<Mutex<()>>,
    index: Arc<Mutex<Vec<Place>>>,
    _dir: tempfile::TempDir,
}

impl Gated {
    /// As after a crash: what is in the packs is unknown.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join(DIR)).unwrap();
        let (gate, index) = (Arc::<Mutex<()>>::default(), Arc::<Mutex<Vec<Place>>>::default());
        let (wait, learn) = (Arc::clone(&gate), Arc::clone(&index));
        let learn = move |written: &[Written]| {
            let _open = wait.lock();
            learn.lock().extend(written.iter().map(|written| written.place));
            Ok(())
        };
        let packs = Packs::open(dir.path(), Box::new(learn), Access::Write).unwrap();
        Self {
            packs,
            gate,
            index,
            _dir: dir,
        }
    }

    fn put(&self, n: u32) {
        let mut bytes = vec![(n % 255) as u8 + 1; 1 << 20];
        bytes[..4].copy_from_slice(&n.to_le_bytes());
        let block = Sealed::new(Cid::of(cairn_block::Codec::Leaf, &bytes), bytes.into());
        self.packs.put(Epoch(1), &[block], &|_| Ok(())).unwrap();
    }

    /// What a walk of the index finds now.
    fn live(&self, suspects: &[Suspect]) -> Live {
        let numbers: Vec<_> = suspects.iter().map(|suspect| suspect.number).collect();
        let mut live = Live::of(&numbers);
        self.index.lock().iter().for_each(|place| live.note(*place));
        live
    }

    fn is_whole(&self, place: Place) -> bool {
        let found = self.packs.read(place).unwrap();
        found.is_some_and(|bytes| bytes[4] > 0 && bytes[4..].iter().all(|byte| *byte == bytes[4]))
    }
}

#[test]
fn a_pack_that_grew_when_a_reclaim_began_and_ended_during_its_walk_stays() {
    let gated = Gated::new();
    let shut = gated.gate.lock();
    // Pack 0 is made; its block waits for the writer, and the index knows nothing of it yet.
    gated.put(0);
    let garbage = gated.packs.take_garbage();
    let suspects = gated.packs.suspects(&garbage).unwrap();
    assert_eq!(suspects.len(), 1);
    let live = gated.live(&suspects);
    drop(shut);
    // During the walk, puts fill the pack and begin the next.
    (1..300).for_each(|n| gated.put(n));
    gated.packs.sync().unwrap();
    let places = gated.index.lock().clone();
    assert!(places.last().unwrap().pack > 0);
    gated.packs.punch(&suspects, &live).unwrap();
    assert!(places.iter().all(|place| gated.is_whole(*place)));
}

#[test]
fn a_pack_that_grows_gives_back_what_died_below_where_the_writer_was() {
    let gated = Gated::new();
    (0..8).for_each(|n| gated.put(n));
    gated.packs.drain().unwrap();
    let suspects = gated.packs.suspects(&gated.packs.take_garbage()).unwrap();
    (8..16).for_each(|n| gated.put(n));
    gated.packs.drain().unwrap();
    let kept = gated.index.lock()[3];
    let dead: Vec<_> = gated.index.lock()[..8].to_vec();
    let mut live = Live::of(&[0]);
    live.note(kept);
    gated.packs.punch(&suspects, &live).unwrap();
    let whole = |place: &Place| gated.is_whole(*place);
    assert_eq!(dead.iter().filter(|place| whole(place)).count(), 1);
    assert!(whole(&kept) && gated.index.lock()[8..].iter().all(whole));
    let used = gated.packs.used_bytes().unwrap();
    assert!(used < 34 << 20, "{used}");
}

#[test]
fn what_dies_after_a_reclaim_began_is_left_to_the_next() {
    let gated = Gated::new();
    gated.packs.take_garbage();
    gated.put(1);
    gated.packs.drain().unwrap();
    let place = gated.index.lock()[0];
    let garbage = gated.packs.take_garbage();
    gated.packs.forget(&[place]);
    assert!(!garbage.suspects(0), "nothing was dead yet");
    assert!(gated.packs.garbage().suspects(0));
}

/// Reads packs as one who has lost the index, by docs/format.md alone.
fn labelled(pack: &[u8]) -> Vec<(Epoch, Cid, u64, u32)> {
    let mut found = Vec::new();
    for end in (512..=pack.len()).step_by(512) {
        let label = &pack[end - 64..end];
        if !label.starts_with(b"cairnblk") || label[56..] != [0; 8] {
            continue;
        }
        let epoch = u64::from_le_bytes(label[8..16].try_into().unwrap());
        let len = u32::from_le_bytes(label[16..20].try_into().unwrap());
        let cid = Cid::from_bytes(&label[20..56]).unwrap();
        let begin = end - (len as usize + 64).next_multiple_of(512);
        assert!(cid.names(&pack[begin..begin + len as usize]));
        found.push((Epoch(epoch), cid, begin as u64, len));
    }
    found
}

#[test]
fn every_block_of_a_pack_is_found_without_the_index() {
    let dir = tempfile::tempdir().unwrap();
    Packs::create(dir.path()).unwrap();
    let index = Arc::<Mutex<Vec<_>>>::default();
    let told = Arc::clone(&index);
    let learn = move |written: &[Written]| {
        let entry = |at: &Written| (at.epoch, at.cid, at.place.offset, at.place.len);
        told.lock().extend(written.iter().map(entry));
        Ok(())
    };
    let packs = Packs::open(dir.path(), Box::new(learn), Access::Write).unwrap();
    let lens = [
        0,
        1,
        447,
        448,
        449,
        511,
        512,
        4144,
        16_000,
        131_120,
        1 << 20,
        2 << 20,
    ];
    for (n, len) in lens.into_iter().enumerate() {
        let bytes: Vec<u8> = (0..len).map(|at: usize| (at / 7 + n) as u8).collect();
        let codec = [cairn_block::Codec::Leaf, cairn_block::Codec::Node][n % 2];
        let block = Sealed::new(Cid::of(codec, &bytes), bytes.into());
        packs.put(Epoch(n as u64), &[block], &|_| Ok(())).unwrap();
    }
    packs.sync().unwrap();
    let pack = fs::read(dir.path().join(DIR).join("00000000")).unwrap();
    let told = index.lock().clone();
    assert_eq!(told.len(), lens.len());
    assert_eq!(labelled(&pack), told);
}
