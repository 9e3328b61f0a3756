mod damage;

use super::*;
use crate::tree::tests::{Grove, link};
use crate::{Codec, Error, Node};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

type Model = BTreeMap<Vec<u8>, Entry>;

fn entry(key: &[u8], value_bytes: usize, links: u64) -> Entry {
    let links = (0..links).map(|number| link(Codec::Leaf, number)).collect();
    Entry {
        key: key.to_vec(),
        value: vec![key.len() as u8; value_bytes],
        links,
    }
}

fn numbered(number: u32) -> Entry {
    entry(&number.to_be_bytes(), 100, u64::from(number) % 3)
}

fn set(entry: Entry) -> (Vec<u8>, Option<Entry>) {
    (entry.key.clone(), Some(entry))
}

fn stop(_: &Link, error: Error, _: &[(Vec<u8>, Option<Entry>)]) -> Result<()> {
    Err(error)
}

fn change(grove: &Grove, root: Option<Link>, changes: Vec<(Vec<u8>, Option<Entry>)>) -> Option<Link> {
    let root = apply(grove, grove, root, changes, &mut stop).unwrap();
    grove.settle();
    root
}

fn load(grove: &Grove, numbers: impl Iterator<Item = u32>) -> Option<Link> {
    change(grove, None, numbers.map(|number| set(numbered(number))).collect())
}

/// The tree is sound, holds what the model holds, and every node that was put and not dropped is
/// part of it.
fn check(grove: &Grove, root: Option<&Link>, model: &Model) {
    let mut nodes = BTreeSet::new();
    let mut entries = Vec::new();
    let mut visit = |link: &Link| assert!(nodes.insert(link.cid));
    walk(grove, root, &mut visit, &mut |entry| {
        entries.push(entry);
        Ok(())
    })
    .unwrap();
    assert!(entries.iter().eq(model.values()));
    assert_eq!(nodes, grove.live());
}

fn level_of(grove: &Grove, root: &Link) -> usize {
    usize::from(Body::open(&grove.node(root).unwrap()).unwrap().level())
}

/// Keys of a small alphabet collide; long ones make inner nodes split.
fn key() -> impl Strategy<Value = Vec<u8>> {
    let short = proptest::collection::vec(b'a'..=b'd', 1..6);
    prop_oneof![4 => short.clone(), 1 => short.prop_map(|mut key| {
        key.resize(KEY_BYTES_MAX, b'z');
        key
    })]
}

fn value_bytes() -> impl Strategy<Value = usize> {
    prop_oneof![20 => 0..600_usize, 5 => 1000..9000_usize, 1 => 15_000..18_000_usize, 1 => Just(256 * 1024)]
}

fn batch() -> impl Strategy<Value = BTreeMap<Vec<u8>, Option<(usize, u64)>>> {
    let new = proptest::option::weighted(0.6, (value_bytes(), 0..4_u64));
    proptest::collection::btree_map(key(), new, 0..120)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_tree_does_what_a_map_does(
        batches in proptest::collection::vec((batch(), any::<bool>()), 1..12),
        probes in proptest::collection::vec(key(), 10),
        count_max in 0..50_usize,
    ) {
        let grove = Grove::default();
        let (mut model, mut root) = (Model::new(), None);
        for (batch, thin_out) in batches {
            let mut changes = BTreeMap::new();
            if thin_out {
                changes.extend(model.keys().skip(3).map(|key| (key.clone(), None)));
            }
            for (key, new) in batch {
                changes.insert(key.clone(), new.map(|(bytes, links)| entry(&key, bytes, links)));
            }
            for (key, new) in &changes {
                match new {
                    Some(entry) => drop(model.insert(key.clone(), entry.clone())),
                    None => drop(model.remove(key)),
                }
            }
            root = change(&grove, root, changes.into_iter().collect());
            check(&grove, root.as_ref(), &model);
        }
        for key in &probes {
            let found = get(&grove, root.as_ref(), key).unwrap();
            prop_assert_eq!(found.as_ref(), model.get(key));
            for from in [Bound::Included(key.as_slice()), Bound::Excluded(key.as_slice()), Bound::Unbounded] {
                let found = range(&grove, root.as_ref(), from, count_max).unwrap();
                let expected = model.range::<[u8], _>((from, Bound::Unbounded)).take(count_max);
                prop_assert!(found.iter().eq(expected.map(|(_, entry)| entry)));
            }
        }
        for (key, entry) in &model {
            let above = [key.as_slice(), &[0]].concat();
            let found = below(&grove, root.as_ref(), &above).unwrap();
            prop_assert_eq!(found.as_ref(), Some(entry));
            let found = below(&grove, root.as_ref(), key).unwrap();
            let before = model.range::<[u8], _>((Bound::Unbounded, Bound::Excluded(key.as_slice())));
            prop_assert!(found.is_none() || found.as_ref() == before.last().map(|(_, entry)| entry));
        }
        let mut left = model.values();
        destroy(&grove, &grove, root, &mut |entry| {
            assert_eq!(Some(&entry), left.next());
            Ok(())
        }, &mut crate::stop).unwrap();
        prop_assert!(left.next().is_none() && grove.live().is_empty());
    }

    #[test]
    fn no_body_makes_a_reader_panic(
        mut body in proptest::collection::vec(any::<u8>(), 0..80),
        head in proptest::option::of((0..2_u8, 0..4_u8)),
        links in 0..4_u64,
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
        whole in any::<bool>(),
    ) {
        let mut node = Node::default();
        if whole {
            node = body::encode(0, (0..4).map(numbered).collect()).unwrap();
        } else {
            if let Some((level, count)) = head && body.len() >= 8 {
                body[..8].copy_from_slice(&[1, level, 0, 0, count, 0, 0, 0]);
            }
            node.body = body;
            node.links = (0..links).map(|number| link(Codec::Node, number)).collect();
        }
        for (at, byte) in flips {
            if !node.body.is_empty() {
                let at = at.index(node.body.len());
                node.body[at] = byte;
            }
        }
        read_everything(node);
    }
}

/// Uses a hostile node in every way; all that counts is that it ends.
fn read_everything(node: Node) {
    let grove = Grove::default();
    let root = Some(grove.put_node(node).unwrap());
    grove.settle();
    let _ = get(&grove, root.as_ref(), &2_u32.to_be_bytes());
    let _ = range(&grove, root.as_ref(), Bound::Unbounded, 100);
    let _ = walk(&grove, root.as_ref(), &mut |_| (), &mut |_| Ok(()));
    let _ = apply(&grove, &grove, root, vec![set(numbered(2))], &mut stop);
}

fn refusal(node: Node) -> &'static str {
    let grove = Grove::default();
    let root = grove.put_node(node).unwrap();
    grove.settle();
    match walk(&grove, Some(&root), &mut |_| (), &mut |_| Ok(())) {
        Err(Error::Malformed { why, .. }) => why,
        other => panic!("{other:?}"),
    }
}

#[test]
fn crafted_nodes_are_refused() {
    let entries = || (0..3).map(numbered).collect::<Vec<_>>();
    let good = || body::encode(0, entries()).unwrap();
    let patched = |at: usize, byte: u8| {
        let mut node = good();
        node.body[at] = byte;
        node
    };
    assert_eq!(refusal(Node::default()), "cut short");
    assert_eq!(refusal(patched(0, 2)), "unknown version");
    assert_eq!(refusal(patched(1, 16)), "the level is too high");
    assert_eq!(
        refusal(patched(1, 1)),
        "an inner entry is not one key and one link"
    );
    assert_eq!(refusal(patched(2, 1)), "reserved bytes are not zero");
    assert_eq!(refusal(patched(4, 0)), "the count does not fit the body");
    assert_eq!(refusal(patched(7, 255)), "the count does not fit the body");
    assert_eq!(refusal(patched(8, 0)), "an entry out of bounds");
    assert_eq!(refusal(patched(15, 255)), "an entry out of bounds");
    let mut longer = good();
    longer.body.push(0);
    assert_eq!(refusal(longer), "bytes or links that no entry owns");
    let mut linked = good();
    linked.links.push(link(Codec::Leaf, 9));
    assert_eq!(refusal(linked), "bytes or links that no entry owns");
    let reversed = body::encode(0, entries().into_iter().rev().collect()).unwrap();
    assert_eq!(refusal(reversed), "keys are out of order");
    let large = body::encode(0, vec![entry(b"a", 9000, 0), entry(b"b", 9000, 0)]).unwrap();
    assert_eq!(refusal(large), "a node of several entries is too large");
}

#[test]
fn a_node_that_leads_to_itself_ends() {
    struct Loop(Arc<Node>);
    impl NodeSource for Loop {
        fn node(&self, _: &Link) -> Result<Arc<Node>> {
            Ok(self.0.clone())
        }
    }
    let child = |key: &[u8]| Entry {
        links: vec![link(Codec::Node, 1)],
        ..entry(key, 0, 0)
    };
    let source = Loop(Arc::new(body::encode(3, vec![child(b""), child(b"k")]).unwrap()));
    let root = link(Codec::Node, 1);
    assert!(get(&source, Some(&root), b"x").is_err());
    assert!(range(&source, Some(&root), Bound::Unbounded, 10).is_err());
    assert!(walk(&source, Some(&root), &mut |_| (), &mut |_| Ok(())).is_err());
    let grove = Grove::default();
    assert!(apply(&source, &grove, Some(root), vec![set(numbered(1))], &mut stop).is_err());
}

#[test]
fn a_bulk_load_writes_each_node_once_and_a_get_reads_one_per_level() {
    let grove = Grove::default();
    let root = load(&grove, 0..50_000).unwrap();
    assert_eq!(grove.put_count(), grove.live().len());
    let level = level_of(&grove, &root);
    assert_eq!(level, 2);
    for number in [0, 1, 777, 49_999] {
        let before = grove.read_count();
        assert_eq!(
            get(&grove, Some(&root), &u32::to_be_bytes(number)).unwrap(),
            Some(numbered(number))
        );
        assert_eq!(grove.read_count() - before, level + 1);
    }
    let before = grove.put_count();
    change(&grove, Some(root), vec![set(entry(&7_u32.to_be_bytes(), 50, 0))]);
    assert_eq!(grove.put_count() - before, level + 1);
}

#[test]
fn bulk_appends_cost_no_more_per_entry_than_the_first() {
    let grove = Grove::default();
    let mut root = None;
    for batch in 0..5_u32 {
        let before = (grove.put_count(), grove.read_count());
        let numbers = batch * 10_000..(batch + 1) * 10_000;
        root = change(
            &grove,
            root,
            numbers.map(|number| set(numbered(number))).collect(),
        );
        assert!(grove.put_count() - before.0 < 250);
        assert!(grove.read_count() - before.1 <= 4);
    }
    check(
        &grove,
        root.as_ref(),
        &(0..50_000)
            .map(numbered)
            .map(|entry| (entry.key.clone(), entry))
            .collect(),
    );
}

#[test]
fn what_changes_nothing_writes_nothing() {
    let grove = Grove::default();
    let root = load(&grove, 0..1000);
    let before = grove.put_count();
    let absent = (b"absent".to_vec(), None);
    assert_eq!(change(&grove, root.clone(), vec![set(numbered(5)), absent]), root);
    assert_eq!(grove.put_count(), before);
}

#[test]
fn thinning_out_leaves_few_nodes_and_removing_all_leaves_none() {
    let grove = Grove::default();
    let mut root = load(&grove, 0..20_000);
    // One by one in a scattered order, so that nodes shrink beside neighbours that stay.
    for number in (0..20_000_u32)
        .map(|number| number * 7919 % 20_000)
        .filter(|number| number % 40 != 0)
    {
        root = change(&grove, root, vec![(number.to_be_bytes().to_vec(), None)]);
    }
    let left: Model = (0..20_000)
        .step_by(40)
        .map(numbered)
        .map(|entry| (entry.key.clone(), entry))
        .collect();
    check(&grove, root.as_ref(), &left);
    let cost = left.values().map(body::entry_cost).sum::<usize>();
    assert!(grove.live().len() <= cost / body::NODE_COST_MIN + 2);
    let all = left.keys().map(|key| (key.clone(), None)).collect();
    assert_eq!(change(&grove, root, all), None);
    assert!(grove.live().is_empty());
}

#[test]
fn a_huge_entry_is_alone_in_its_node_and_rests_when_neighbours_change() {
    let grove = Grove::default();
    let huge = entry(&500_u32.to_be_bytes(), 256 * 1024, 0);
    let mut changes: Vec<_> = (0..1000).map(|number| set(numbered(number))).collect();
    changes[500] = set(huge.clone());
    let root = change(&grove, None, changes);
    let near = (480..500_u32)
        .chain(501..520)
        .map(|number| (number.to_be_bytes().to_vec(), None))
        .collect();
    let root = change(&grove, root, near);
    let lone = |grove: &Grove| {
        let mut links = Vec::new();
        walk(
            grove,
            root.as_ref(),
            &mut |link| links.push(link.clone()),
            &mut |_| Ok(()),
        )
        .unwrap();
        links
            .into_iter()
            .filter(|link| link.len > 200_000)
            .collect::<Vec<_>>()
    };
    let [lone] = lone(&grove).try_into().unwrap();
    let node = grove.node(&lone).unwrap();
    assert_eq!(Body::open(&node).unwrap().entries().unwrap(), [huge]);
    change(
        &grove,
        root,
        vec![
            (479_u32.to_be_bytes().to_vec(), None),
            set(entry(&521_u32.to_be_bytes(), 9, 0)),
        ],
    );
    assert!(grove.live().contains(&lone.cid));
}

#[test]
fn changes_no_node_can_hold_are_refused_before_anything_is_written() {
    let grove = Grove::default();
    let refused = |changes| {
        matches!(
            apply(&grove, &grove, None, changes, &mut stop),
            Err(Error::Malformed { .. })
        )
    };
    assert!(refused(vec![set(numbered(2)), set(numbered(1))]));
    assert!(refused(vec![set(numbered(1)), set(numbered(1))]));
    assert!(refused(vec![(b"another".to_vec(), Some(numbered(1)))]));
    assert!(refused(vec![set(entry(&[0; KEY_BYTES_MAX + 1], 0, 0))]));
    assert!(refused(vec![set(entry(b"a", ENTRY_COST_MAX, 0))]));
    assert_eq!(grove.put_count(), 0);
}

#[test]
fn a_node_has_the_bytes_of_the_format() {
    let entries = vec![entry(b"a", 2, 1), entry(b"bc", 0, 0)];
    let node = body::encode(0, entries).unwrap();
    let expected = [
        &[1, 0, 0, 0, 2, 0, 0, 0][..],
        &[3, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0],
        &[5, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0],
        &[0x61, 1, 1, 0x62, 0x63],
    ];
    assert_eq!(node.body, expected.concat());
    assert_eq!(node.links.len(), 1);
}
