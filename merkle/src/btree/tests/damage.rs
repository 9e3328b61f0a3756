//! A damaged node costs its own content: the rest of the tree is read and changed around it.

use super::*;

/// All nodes of a tree, the root first.
fn nodes(grove: &Grove, root: Option<&Link>) -> Vec<Link> {
    let mut nodes = Vec::new();
    walk(grove, root, &mut |link| nodes.push(link.clone()), &mut |_| Ok(())).unwrap();
    nodes
}

/// The entries that can be read.
fn readable(grove: &Grove, root: Option<&Link>) -> (Vec<Entry>, usize) {
    let mut unread = 0;
    let entries = range_past(grove, root, Bound::Unbounded, usize::MAX, &mut |_, error| {
        assert!(error.damaged().is_some());
        unread += 1;
        Ok(())
    });
    (entries.unwrap(), unread)
}

/// Applies changes around what is damaged; answers which were left out.
fn change_around(
    grove: &Grove,
    root: Option<Link>,
    changes: &[(Vec<u8>, Option<Entry>)],
) -> (Option<Link>, Vec<Vec<u8>>) {
    let mut left = Vec::new();
    let root = apply(grove, grove, root, changes.to_vec(), &mut |_, error, changes| {
        assert!(error.damaged().is_some());
        left.extend(changes.iter().map(|(key, _)| key.clone()));
        Ok(())
    });
    grove.settle();
    (root.unwrap(), left)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

    #[test]
    fn changes_go_around_a_damaged_node_and_a_healed_tree_is_whole(
        count in 1..6000_u32,
        damaged in any::<prop::sample::Index>(),
        batches in proptest::collection::vec((proptest::collection::btree_set(0..6000_u32, 0..200), 0..4_u8), 1..4),
    ) {
        let grove = Grove::default();
        let mut root = load(&grove, 0..count);
        let mut model: Model = (0..count).map(|n| (n.to_be_bytes().to_vec(), numbered(n))).collect();
        let nodes = nodes(&grove, root.as_ref());
        let damaged = &nodes[damaged.index(nodes.len())];
        grove.damage(damaged.cid, true);
        for (numbers, way) in batches {
            // Mostly everything goes, so that what is left wants to join.
            let all = 0..count;
            let gone = all.filter(|n| way < 3 && !numbers.contains(n)).map(|n| (n.to_be_bytes().to_vec(), None));
            let kept = numbers.iter().map(|n| set(Entry { value: vec![way; 50], ..numbered(*n) }));
            let changes: BTreeMap<_, _> = gone.chain(kept).collect();
            let changes: Vec<_> = changes.into_iter().collect();
            let (changed, left) = change_around(&grove, root, &changes);
            root = changed;
            for (key, entry) in changes.into_iter().filter(|(key, _)| !left.contains(key)) {
                match entry {
                    Some(entry) => _ = model.insert(key, entry),
                    None => _ = model.remove(&key),
                }
            }
        }
        let (entries, unread) = readable(&grove, root.as_ref());
        prop_assert_eq!(unread, 1, "a node that cannot be read is never dropped");
        prop_assert!(entries.iter().all(|entry| model.get(&entry.key) == Some(entry)));
        grove.damage(damaged.cid, false);
        check(&grove, root.as_ref(), &model);
    }
}

#[test]
fn each_node_of_a_tree_hides_its_own_entries_and_no_others() {
    let grove = Grove::default();
    let root = load(&grove, 0..4000);
    let root = root.as_ref();
    for node in nodes(&grove, root) {
        grove.damage(node.cid, true);
        let (entries, unread) = readable(&grove, root);
        assert_eq!(unread, 1);
        let keys: BTreeSet<_> = entries.iter().map(|entry| entry.key.clone()).collect();
        for number in (0..4000_u32).step_by(7) {
            let key = number.to_be_bytes();
            let found = get(&grove, root, &key).map(|found| found.is_some());
            assert_eq!(found.is_ok(), keys.contains(key.as_slice()));
            assert_eq!(reach(&grove, root, &key).is_ok(), found.is_ok());
        }
        assert!(keys.len() < 4000);
        assert!(range(&grove, root, Bound::Unbounded, usize::MAX).is_err());
        grove.damage(node.cid, false);
    }
}

#[test]
fn nothing_is_passed_by_unless_the_caller_says_so_or_when_the_store_fails() {
    struct Failing;
    impl crate::NodeSource for Failing {
        fn node(&self, _: &Link) -> Result<Arc<Node>> {
            Err(Error::Malformed {
                what: "test",
                why: "test",
            })
        }
    }
    let grove = Grove::default();
    let root = load(&grove, 0..10).unwrap();
    let mut pass = |_: &Link, _: Error| Ok(());
    assert!(range_past(&Failing, Some(&root), Bound::Unbounded, 1, &mut pass).is_err());
    grove.damage(root.cid, true);
    let all = Bound::Unbounded;
    assert!(
        range_past(&grove, Some(&root), all, 1, &mut pass)
            .unwrap()
            .is_empty()
    );
    assert!(range_past(&grove, Some(&root), all, 1, &mut crate::stop).is_err());
    let refused = apply(
        &grove,
        &grove,
        Some(root.clone()),
        vec![set(numbered(3))],
        &mut |_, error, _| Err(error),
    );
    assert!(matches!(refused, Err(Error::Corrupt { cid }) if cid == root.cid));
    destroy(&grove, &grove, Some(root), &mut |_| Ok(()), &mut pass).unwrap();
    assert!(grove.live().is_empty(), "a damaged node is dropped unread");
}
