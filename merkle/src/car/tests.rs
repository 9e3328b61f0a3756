use super::*;
use crate::audit::audit;
use crate::testing::Sample;
use crate::walk::{Flaw, Walk, WalkError};
use crate::{BlockStore, Blocks, Cid, Codec, Epoch, Error, Heads, Log};
use std::io::Cursor;
use std::sync::Arc;

fn volume(sample: &Sample, since: Option<Cid>) -> CarVolume {
    CarVolume {
        root: sample.root,
        header: sample.header.encode().into(),
        head: sample.store.head().unwrap(),
        since,
    }
}

fn v1(sample: &Sample) -> Vec<u8> {
    let mut out = Vec::new();
    let exported = export_v1(&sample.store, &volume(sample, None), None, &mut out, &|_| {}).unwrap();
    assert_eq!(exported.bytes, out.len() as u64);
    out
}

fn v2(sample: &Sample) -> Vec<u8> {
    let mut out = Cursor::new(Vec::new());
    let exported = export_v2(&sample.store, &volume(sample, None), None, &mut out, &|_| {}).unwrap();
    assert_eq!(exported.bytes, out.get_ref().len() as u64);
    out.into_inner()
}

fn open(car: &[u8]) -> Result<CarStore, Error> {
    CarStore::open(Box::new(car.to_vec()))
}

#[test]
fn a_car_holds_every_block_and_audits_as_its_store_does() {
    let sample = Sample::grow(3, 2, 5);
    let of_store = audit(&sample.store, sample.root, 2, &|_| {}).unwrap();
    for car in [v1(&sample), v2(&sample)] {
        let store = open(&car).unwrap();
        assert_eq!(*store.volume(), volume(&sample, None));
        assert_eq!(audit(&store, sample.root, 2, &|_| {}).unwrap(), of_store);
        let mut names = sample.cids();
        assert_eq!(store.block_count(), names.len() as u64 + 1);
        names.push(Cid::of(Codec::Node, &volume(&sample, None).encode()));
        names.sort_unstable();
        let mut listed = Vec::new();
        while let Some(batch) =
            Some(store.list(listed.last().copied(), 7).unwrap()).filter(|batch| !batch.is_empty())
        {
            listed.extend(batch);
        }
        assert_eq!(listed, names);
        assert_eq!(store.get(&Cid::of(Codec::Leaf, b"no such")).unwrap(), None);
        assert!(store.delete(&names).is_err() && store.log_append(&[]).is_err());
    }
}

#[test]
fn a_car_made_since_a_version_has_what_that_one_has_not() {
    let mut sample = Sample::grow(3, 2, 5);
    let (old_root, full) = (sample.root, v2(&sample));
    let added = {
        let leaf = sample.leaf(b"new");
        sample.node(vec![leaf])
    };
    let mut links = sample.links.clone();
    links[0] = added;
    sample.commit(Epoch(2), Some(old_root), links);
    let seen = Walk::names(&sample.store, old_root).unwrap();
    let mut out = Vec::new();
    let wanted = volume(&sample, Some(old_root));
    let exported = export_v1(&sample.store, &wanted, Some(&seen), &mut out, &|_| {}).unwrap();
    // Volume block, commit block, node, leaf.
    assert_eq!(exported.blocks, 4);
    let alone = open(&out).unwrap();
    assert_eq!(alone.volume().since, Some(old_root));
    assert_eq!(audit(&alone, sample.root, 2, &|_| {}).unwrap().fault_count, 2);
    let layers = Layers::new(
        Arc::new(alone),
        [Arc::new(open(&full).unwrap()) as Arc<dyn BlockStore>],
    );
    let report = audit(&layers, sample.root, 2, &|_| {}).unwrap();
    assert_eq!((report.fault_count, report.leaves), (0, 51));
    assert_eq!(
        layers.list(None, usize::MAX).unwrap().len(),
        sample.cids().len() + 2
    );
}

#[test]
fn a_damaged_volume_is_not_exported_and_the_block_is_named() {
    let sample = Sample::grow(1, 2, 3);
    let lost = sample
        .cids()
        .into_iter()
        .find(|cid| cid.codec() == Codec::Leaf)
        .unwrap();
    let parent_of = |error| match error {
        ExportError::Walk(WalkError::Fault(fault)) => (fault.cid, fault.flaw),
        other => panic!("{other}"),
    };
    sample.alter(&lost, 3);
    let out = &mut Vec::new();
    let altered = export_v1(&sample.store, &volume(&sample, None), None, &mut *out, &|_| {});
    assert_eq!(parent_of(altered.unwrap_err()), (lost, Flaw::Altered));
    sample.lose(&lost);
    let missing = export_v2(
        &sample.store,
        &volume(&sample, None),
        None,
        Cursor::new(Vec::new()),
        &|_| {},
    );
    assert_eq!(parent_of(missing.unwrap_err()), (lost, Flaw::Missing));
}

#[test]
fn every_truncation_is_refused_or_names_what_is_missing() {
    let sample = Sample::grow(1, 1, 3);
    for car in [v1(&sample), v2(&sample)] {
        for len in 0..car.len() {
            match open(&car[..len]) {
                // A stream that ends between two sections is a CAR: of a volume with blocks
                // missing.
                Ok(store) => assert_ne!(
                    audit(&store, sample.root, 1, &|_| {}).unwrap().fault_count,
                    0,
                    "{len}"
                ),
                Err(Error::Malformed { what: "CAR", .. } | Error::Missing { .. }) => {}
                Err(error) => panic!("{len}: {error}"),
            }
        }
    }
}

#[test]
fn every_altered_byte_is_refused_or_found_by_an_audit_or_of_no_consequence() {
    let sample = Sample::grow(1, 1, 3);
    let whole = audit(&sample.store, sample.root, 1, &|_| {}).unwrap();
    for car in [v1(&sample), v2(&sample)] {
        for at in 0..car.len() {
            let mut altered = car.clone();
            altered[at] ^= 1 << (at % 8);
            let Ok(store) = open(&altered) else { continue };
            let report = audit(&store, sample.root, 1, &|_| {}).unwrap();
            // Whatever an index says, a version passes only with every block right.
            assert!(report.fault_count > 0 || report == whole, "byte {at}");
            let _ = store.list(None, usize::MAX).unwrap();
        }
    }
}

#[test]
fn blocks_that_changed_places_are_both_named() {
    let sample = Sample::grow(1, 1, 2);
    let mut car = v1(&sample);
    let leaves: Vec<_> = sample
        .cids()
        .into_iter()
        .filter(|cid| cid.codec() == Codec::Leaf)
        .collect();
    let place = |cid: &Cid| {
        let bytes = cid.to_bytes();
        let at = (0..car.len()).rfind(|at| car[*at..].starts_with(&bytes)).unwrap();
        at + Cid::LEN
    };
    let (a, b) = (place(&leaves[0]), place(&leaves[1]));
    let len = sample.store.get(&leaves[0]).unwrap().unwrap().len();
    for byte in 0..len {
        car.swap(a + byte, b + byte);
    }
    let report = audit(&open(&car).unwrap(), sample.root, 1, &|_| {}).unwrap();
    let mut found: Vec<_> = report.faults.iter().map(|fault| fault.cid).collect();
    found.sort_unstable();
    assert_eq!(found, leaves);
    assert!(report.faults.iter().all(|fault| fault.flaw == Flaw::Altered));
}

#[test]
fn what_is_not_ours_is_refused_with_a_reason() {
    let reason = |car: &[u8]| match open(car) {
        Err(error) => error.to_string(),
        Ok(_) => panic!("opened"),
    };
    assert!(reason(b"").contains("cut short"));
    assert!(reason(&[0xff; 100]).contains("64 bits"));
    assert!(reason(b"this is a text, and no CAR at all").contains("cut short"));
    let sample = Sample::grow(1, 1, 1);
    let mut unfinished = v2(&sample);
    unfinished[11..51].fill(0);
    assert!(reason(&unfinished).contains("never finished") || reason(&unfinished).contains("makes no sense"));
    // A CAR whose root is a commit block, as another program might write it.
    let stored = sample.store.get(&sample.root).unwrap().unwrap();
    let mut foreign = frame::encode_header(sample.root);
    foreign.extend_from_slice(&frame::section_prefix(&sample.root, &stored));
    foreign.extend_from_slice(&stored);
    assert!(reason(&foreign).contains("no volume block"));
}

proptest::proptest! {
    #[test]
    fn no_input_panics(
        mut car in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300),
        second: bool,
    ) {
        if second {
            let mut begun = write::PRAGMA.to_vec();
            begun.append(&mut car);
            car = begun;
        }
        let _ = open(&car);
    }
}
