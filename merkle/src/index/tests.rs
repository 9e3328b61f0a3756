mod damage;

use super::*;
use crate::tree::tests::{Grove, link as numbered};
use crate::{Codec, Error, Node, NodeSink};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

type Model = BTreeMap<u64, Link>;

fn leaf(number: u64) -> Link {
    numbered(Codec::Leaf, number)
}

fn stop(_: &Link, error: Error, _: &[Change<'_>]) -> Result<()> {
    Err(error)
}

/// An index beside the map it is to equal.
#[derive(Default)]
struct Pair {
    grove: Grove,
    root: Option<IndexRoot>,
    model: Model,
}

impl Pair {
    /// Applies to both and compares what was dropped.
    fn apply(&mut self, changes: &BTreeMap<u64, Option<Link>>) {
        let mut expected = Vec::new();
        for (&recno, new) in changes {
            let old = match new {
                Some(new) => self.model.insert(recno, new.clone()),
                None => self.model.remove(&recno),
            };
            expected.extend(old.filter(|old| Some(old) != new.as_ref()));
        }
        let mut dropped = Vec::new();
        let mut note = |link: &Link| dropped.push(link.clone());
        let root = self.root.take();
        self.root = apply(&self.grove, &self.grove, root, changes, &mut note, &mut stop).unwrap();
        assert_eq!(dropped, expected);
        self.check();
    }

    fn load(&mut self, records: impl Iterator<Item = u64>) {
        self.apply(&records.map(|recno| (recno, Some(leaf(recno)))).collect());
    }

    fn truncate(&mut self, first: u64) {
        let mut dropped = Vec::new();
        let mut note = |link: &Link| dropped.push(link.clone());
        let root = self.root.take();
        self.root = truncate(&self.grove, &self.grove, root, first, &mut note, &mut stop).unwrap();
        let cut = self.model.split_off(&first);
        assert!(dropped.iter().rev().eq(cut.values()));
        self.check();
    }

    fn destroy_some(&mut self, leaf_max: usize) {
        let Some(root) = self.root.take() else { return };
        let mut dropped = Vec::new();
        let mut note = |link: &Link| dropped.push(link.clone());
        self.root = destroy_some(&self.grove, &self.grove, root, leaf_max, &mut note, &mut stop).unwrap();
        assert!((1..=leaf_max.max(1)).contains(&dropped.len()));
        for link in dropped {
            assert_eq!(self.model.pop_last().map(|(_, link)| link), Some(link));
        }
        self.check();
    }

    /// The index is sound, holds what the model holds, and every node put and not dropped is part
    /// of it.
    fn check(&self) {
        self.grove.settle();
        let mut nodes = BTreeSet::new();
        let mut found = Model::new();
        let mut visit = |link: &Link| assert!(nodes.insert(link.cid));
        walk(&self.grove, self.root.as_ref(), &mut visit, &mut |recno, link| {
            assert!(found.last_key_value().is_none_or(|(&last, _)| last < recno));
            found.insert(recno, link.clone());
            Ok(())
        })
        .unwrap();
        assert_eq!(found, self.model);
        assert_eq!(nodes, self.grove.live());
    }

    fn probe(&self, recno: u64, count: u64) {
        let (grove, root) = (&self.grove, self.root.as_ref());
        assert_eq!(get(grove, root, recno).unwrap().as_ref(), self.model.get(&recno));
        let next = self.model.range(recno..).next().map(|(&recno, _)| recno);
        assert_eq!(next_data(grove, root, recno).unwrap(), next);
        let hole = (recno..u64::MAX).find(|recno| !self.model.contains_key(recno));
        assert_eq!(next_hole(grove, root, recno).unwrap(), hole.unwrap_or(u64::MAX));
        let mut expected = self
            .model
            .range(recno..)
            .take_while(|(at, _)| **at - recno < count);
        for (recno, link) in range(grove, root, recno, count).unwrap() {
            assert_eq!(expected.next(), Some((&recno, &link)));
        }
        assert_eq!(expected.next(), None);
    }
}

/// Near the edges of nodes of every height, where the mistakes are.
fn recno() -> impl Strategy<Value = u64> {
    let edge = (0..10_u32, 0..200_u64);
    prop_oneof![
        4 => 0..600_u64,
        2 => edge.prop_map(|(digits, offset)| (1_u64 << (7 * digits)).wrapping_add(offset).wrapping_sub(100)),
        1 => any::<u64>(),
        1 => Just(u64::MAX),
    ]
}

#[derive(Clone, Debug)]
enum Op {
    Apply(BTreeMap<u64, Option<u64>>),
    Fill(u64, u64),
    Truncate(u64),
    DestroySome(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let new = proptest::option::weighted(0.6, 0..5_u64);
    prop_oneof![
        4 => proptest::collection::btree_map(recno(), new, 0..40).prop_map(Op::Apply),
        2 => (recno(), 0..400_u64).prop_map(|(first, count)| Op::Fill(first, count)),
        2 => recno().prop_map(Op::Truncate),
        1 => (0..300_usize).prop_map(Op::DestroySome),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..Default::default() })]

    #[test]
    fn an_index_does_what_a_map_does(
        ops in proptest::collection::vec(op(), 1..16),
        probes in proptest::collection::vec((recno(), 0..1000_u64), 8),
    ) {
        let mut pair = Pair::default();
        for op in ops {
            match op {
                Op::Apply(changes) => {
                    pair.apply(&changes.into_iter().map(|(recno, new)| (recno, new.map(leaf))).collect());
                }
                Op::Fill(first, count) => pair.load(first..first.saturating_add(count)),
                Op::Truncate(first) => pair.truncate(first),
                Op::DestroySome(leaf_max) => pair.destroy_some(leaf_max),
            }
            for &(recno, count) in &probes {
                pair.probe(recno, count);
            }
        }
        pair.truncate(0);
        prop_assert!(pair.root.is_none() && pair.grove.live().is_empty());
    }

    #[test]
    fn no_body_makes_a_reader_panic(
        body in proptest::collection::vec(any::<u8>(), 0..20),
        own in proptest::option::of(0..12_u8),
        height in 0..12_u8,
        links in 0..4_u64,
        recno in recno(),
    ) {
        let mut node = Node { body, links: (0..links).map(leaf).collect() };
        if let Some(own) = own {
            // Sparse bitmaps, so that slots and links often agree.
            let bitmap = (1_u128 << (recno % 128)) | (1 << (links * 40)) | 1;
            node.body = [&[1, own], &bitmap.to_le_bytes()[..]].concat();
        }
        let grove = Grove::default();
        let root = IndexRoot { link: grove.put_node(node).unwrap(), height };
        grove.settle();
        let _ = get(&grove, Some(&root), recno);
        let _ = range(&grove, Some(&root), recno, u64::MAX);
        let _ = next_data(&grove, Some(&root), recno);
        let _ = next_hole(&grove, Some(&root), recno);
        let _ = walk(&grove, Some(&root), &mut |_| (), &mut |_, _| Ok(()));
        let changes = BTreeMap::from([(recno, Some(leaf(1)))]);
        let _ = apply(&grove, &grove, Some(root), &changes, &mut |_| (), &mut stop);
    }
}

fn node(height: u8, bitmap: u128, links: u64) -> Node {
    let body = [&[1, height], &bitmap.to_le_bytes()[..]].concat();
    Node {
        body,
        links: (0..links).map(leaf).collect(),
    }
}

fn refusal(node: Node, height: u8) -> &'static str {
    let grove = Grove::default();
    let root = IndexRoot {
        link: grove.put_node(node).unwrap(),
        height,
    };
    grove.settle();
    match get(&grove, Some(&root), 0) {
        Err(Error::Malformed { why, .. }) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn crafted_nodes_are_refused() {
    assert_eq!(refusal(Node::default(), 1), "cut short");
    assert_eq!(
        refusal(
            Node {
                body: vec![2; 18],
                links: vec![]
            },
            2
        ),
        "unknown version"
    );
    assert_eq!(
        refusal(
            Node {
                body: vec![1; 17],
                links: vec![]
            },
            1
        ),
        "the bitmap is not 16 bytes"
    );
    assert_eq!(refusal(node(2, 1, 1), 1), "not the height its parent says");
    assert_eq!(refusal(node(1, 0, 0), 1), "slots and links do not agree");
    assert_eq!(refusal(node(1, 1, 2), 1), "slots and links do not agree");
    assert_eq!(refusal(node(10, 4, 1), 10), "records beyond 64 bits");
    assert_eq!(refusal(node(0, 1, 1), 0), "no index has this height");
    assert_eq!(refusal(node(11, 1, 1), 11), "no index has this height");
}

#[test]
fn a_node_that_leads_to_itself_ends() {
    struct Loop(Arc<Node>);
    impl NodeSource for Loop {
        fn node(&self, _: &Link) -> Result<Arc<Node>> {
            Ok(self.0.clone())
        }
    }
    let source = Loop(Arc::new(node(5, 3, 2)));
    let root = IndexRoot {
        link: leaf(0),
        height: 5,
    };
    assert!(get(&source, Some(&root), 0).is_err());
    assert!(range(&source, Some(&root), 0, u64::MAX).is_err());
    assert!(walk(&source, Some(&root), &mut |_| (), &mut |_, _| Ok(())).is_err());
}

#[test]
fn a_root_that_is_higher_than_it_need_be_is_refused_by_walk() {
    let grove = Grove::default();
    let low = grove.put_node(node(1, 1, 1)).unwrap();
    let high = Node {
        links: vec![low],
        ..node(2, 1, 0)
    };
    let root = IndexRoot {
        link: grove.put_node(high).unwrap(),
        height: 2,
    };
    grove.settle();
    assert!(walk(&grove, Some(&root), &mut |_| (), &mut |_, _| Ok(())).is_err());
}

#[test]
fn a_bulk_load_writes_each_node_once_and_a_get_reads_one_per_level() {
    let mut pair = Pair::default();
    pair.load(0..100_000);
    assert_eq!(
        pair.grove.put_count(),
        100_000_usize.div_ceil(128) + 782_usize.div_ceil(128) + 1
    );
    let height = pair.root.as_ref().unwrap().height;
    assert_eq!(height, 3);
    let before = pair.grove.read_count();
    assert_eq!(
        get(&pair.grove, pair.root.as_ref(), 77_777).unwrap(),
        Some(leaf(77_777))
    );
    assert_eq!(pair.grove.read_count() - before, usize::from(height));
    let before = pair.grove.put_count();
    pair.apply(&BTreeMap::from([(5, None)]));
    assert_eq!(pair.grove.put_count() - before, usize::from(height));
}

#[test]
fn reads_cost_what_is_there_not_what_is_asked_for() {
    let mut pair = Pair::default();
    pair.load([3, 1 << 40].into_iter());
    let before = pair.grove.read_count();
    assert_eq!(
        range(&pair.grove, pair.root.as_ref(), 0, u64::MAX).unwrap().len(),
        2
    );
    assert!(pair.grove.read_count() - before <= 2 * 6);
}

#[test]
fn what_changes_nothing_writes_nothing() {
    let mut pair = Pair::default();
    pair.load(0..1000);
    let (before, root) = (pair.grove.put_count(), pair.root.clone());
    pair.apply(&BTreeMap::from([
        (7, Some(leaf(7))),
        (1001, None),
        (u64::MAX, None),
    ]));
    pair.truncate(1000);
    assert_eq!((pair.grove.put_count(), &pair.root), (before, &root));
}

#[test]
fn a_huge_file_is_destroyed_bit_by_bit() {
    let mut pair = Pair::default();
    pair.load((0..20_000).chain([1 << 30]));
    let mut rounds = 0;
    while pair.root.is_some() {
        pair.destroy_some(1000);
        rounds += 1;
    }
    assert_eq!(rounds, 21);
    assert!(pair.grove.live().is_empty());
}

#[test]
fn a_node_has_the_bytes_of_the_format() {
    let mut pair = Pair::default();
    pair.load([0, 9].into_iter());
    let node = pair.grove.node(&pair.root.as_ref().unwrap().link).unwrap();
    assert_eq!(node.body, [&[1, 1, 1, 2][..], &[0; 14]].concat());
    assert_eq!(node.links, [leaf(0), leaf(9)]);
}
