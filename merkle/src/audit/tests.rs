use super::*;
use crate::testing::Sample;
use crate::{Blocks, Epoch, Link, MemoryStore, Sealed};

fn audited(store: &dyn BlockStore, root: Cid, threads: usize) -> AuditReport {
    audit(store, root, threads, &|_| {}).unwrap()
}

fn only_fault(report: &AuditReport) -> BlockFault {
    assert_eq!(
        (report.fault_count, report.faults.len()),
        (1, 1),
        "{:?}",
        report.faults
    );
    report.faults[0]
}

#[test]
fn a_whole_version_has_all_its_blocks_counted_once() {
    let sample = Sample::grow(2, 3, 5);
    for threads in [1, 2, 8] {
        let report = audited(&sample.store, sample.root, threads);
        assert_eq!(report.faults, []);
        assert_eq!((report.leaves, report.nodes), (250, 1 + 2 * 31));
        assert_eq!(report.bytes, sample.store.stats().unwrap().used_bytes);
        let commit = report.commit.unwrap();
        assert_eq!(
            (commit.epoch, commit.volume_id),
            (Epoch(1), sample.header.volume_id)
        );
        assert!(report.distinct);
    }
}

#[test]
fn each_missing_block_is_named_with_its_parent_and_the_rest_is_still_verified() {
    let sample = Sample::grow(1, 2, 4);
    for cid in sample.cids() {
        let stored = sample.store.get(&cid).unwrap().unwrap();
        sample.lose(&cid);
        let report = audited(&sample.store, sample.root, 2);
        let fault = only_fault(&report);
        assert_eq!((fault.cid, fault.flaw), (cid, Flaw::Missing));
        match fault.parent {
            Some(parent) => assert!(
                crate::node_links(&sample.store.get(&parent).unwrap().unwrap())
                    .unwrap()
                    .contains(&cid)
            ),
            None => assert_eq!(cid, sample.root),
        }
        if cid.codec() == Codec::Leaf {
            assert_eq!((report.leaves, report.nodes), (15, 6));
        }
        sample.put(Sealed::new(cid, stored));
    }
    assert_eq!(audited(&sample.store, sample.root, 2).fault_count, 0);
}

#[test]
fn every_altered_byte_of_every_block_is_found() {
    let sample = Sample::grow(1, 1, 2);
    for cid in sample.cids() {
        let stored = sample.store.get(&cid).unwrap().unwrap();
        for byte in 0..stored.len() {
            sample.alter(&cid, 8 * byte + byte % 8);
            let fault = only_fault(&audited(&sample.store, sample.root, 1));
            assert_eq!((fault.cid, fault.flaw), (cid, Flaw::Altered));
            sample.put(Sealed::new(cid, stored.clone()));
        }
    }
}

#[test]
fn swapped_blocks_are_both_named() {
    let sample = Sample::grow(1, 1, 2);
    let leaves: Vec<_> = sample
        .cids()
        .into_iter()
        .filter(|cid| cid.codec() == Codec::Leaf)
        .collect();
    let [first, second] = leaves[..] else {
        panic!("two leaves")
    };
    let bytes = |cid| sample.store.get(cid).unwrap().unwrap();
    let (a, b) = (bytes(&first), bytes(&second));
    sample.put(Sealed::new(first, b));
    sample.put(Sealed::new(second, a));
    let mut found: Vec<_> = audited(&sample.store, sample.root, 2).faults;
    found.sort_by_key(|fault| fault.cid);
    assert!(found.iter().map(|fault| fault.cid).eq(leaves));
    assert!(found.iter().all(|fault| fault.flaw == Flaw::Altered));
}

#[test]
fn what_is_no_commit_block_is_no_root_and_what_is_no_node_is_named() {
    let sample = Sample::grow(1, 2, 2);
    let node = sample.links[0].cid;
    let fault = only_fault(&audited(&sample.store, node, 2));
    assert_eq!(
        fault.flaw,
        Flaw::Malformed {
            why: "it is no commit block"
        }
    );
    // A block under its right name that links to what this format does not have.
    let garbage = b"\x84\x01garbage";
    let cid = Cid::of(Codec::Node, garbage);
    sample.put(Sealed::new(cid, garbage.to_vec().into()));
    let mut sample = sample;
    let link = Link {
        cid,
        ..sample.links[0].clone()
    };
    let root = sample.commit(Epoch(2), None, vec![link]);
    let fault = only_fault(&audited(&sample.store, root, 2));
    assert_eq!((fault.cid, fault.parent), (cid, Some(root)));
    assert!(matches!(fault.flaw, Flaw::Malformed { .. }));
}

#[test]
fn a_block_with_more_ways_to_it_than_anyone_can_walk_is_visited_once() {
    let mut sample = Sample::grow(1, 1, 1);
    let mut link = sample.leaf(b"at the bottom");
    for _ in 0..200 {
        link = sample.node(vec![link.clone(), link]);
    }
    let root = sample.commit(Epoch(2), None, vec![link]);
    let report = audited(&sample.store, root, 4);
    assert_eq!((report.leaves, report.nodes, report.fault_count), (1, 201, 0));
}

#[test]
fn nodes_with_more_links_than_are_held_at_once_are_read_again() {
    let mut sample = Sample::grow(1, 1, 1);
    let leaf = sample.leaf(b"one of many");
    let last = sample.leaf(b"behind them all");
    let mut below = sample.leaf(b"at the bottom");
    let levels = 48;
    for _ in 0..levels {
        // The way down comes first, so all the others wait.
        let mut links = vec![below];
        links.extend(std::iter::repeat_n(leaf.clone(), 23_000));
        links.push(last.clone());
        below = sample.node(links);
    }
    let root = sample.commit(Epoch(2), None, vec![below]);
    sample.lose(&last.cid);
    let report = audited(&sample.store, root, 2);
    assert_eq!((report.leaves, report.nodes), (2, levels + 1));
    assert_eq!(only_fault(&report).cid, last.cid);
}

#[test]
fn a_store_that_fails_or_answers_too_little_never_passes() {
    /// Answers the first block of a batch, or fails.
    struct Poor<'a>(&'a MemoryStore, bool);
    impl crate::overlay::Overlay for Poor<'_> {
        type Below = MemoryStore;
        fn below(&self) -> &MemoryStore {
            self.0
        }
        fn get_many(&self, cids: &[Cid]) -> Result<Vec<Option<Bytes>>, StoreError> {
            match self.1 {
                true => Err(StoreError::io("read", std::io::ErrorKind::TimedOut.into())),
                false => cids.iter().take(1).map(|cid| self.0.get(cid)).collect(),
            }
        }
    }
    let sample = Sample::grow(1, 1, 6);
    let report = audited(&Poor(&sample.store, false), sample.root, 2);
    assert_eq!(report.fault_count, 5);
    assert!(audit(&Poor(&sample.store, true), sample.root, 4, &|_| {}).is_err());
}
