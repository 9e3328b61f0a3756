//! A damaged node costs the records below it: the others are read, changed and cut around it.

use super::*;

/// All nodes of an index, the root first.
fn nodes(pair: &Pair) -> Vec<Link> {
    let mut nodes = Vec::new();
    let mut visit = |link: &Link| nodes.push(link.clone());
    walk(&pair.grove, pair.root.as_ref(), &mut visit, &mut |_, _| Ok(())).unwrap();
    nodes
}

impl Pair {
    /// Records that cannot be read.
    fn hidden(&self) -> BTreeSet<u64> {
        let lost = |recno: &u64| get(&self.grove, self.root.as_ref(), *recno).is_err();
        self.model.keys().copied().filter(lost).collect()
    }

    /// Applies changes around what is damaged, and to the model those that were not left out.
    fn apply_around(&mut self, changes: &BTreeMap<u64, Option<Link>>) {
        let mut left = BTreeSet::new();
        let root = self.root.take();
        let applied = apply(
            &self.grove,
            &self.grove,
            root,
            changes,
            &mut |_| {},
            &mut |_, _, changes| {
                left.extend(changes.iter().map(|(recno, _)| *recno));
                Ok(())
            },
        );
        self.root = applied.unwrap();
        self.grove.settle();
        for (recno, new) in changes.iter().filter(|(recno, _)| !left.contains(recno)) {
            match new {
                Some(link) => _ = self.model.insert(*recno, link.clone()),
                None => _ = self.model.remove(recno),
            }
        }
    }

    fn truncate_around(&mut self, first: u64) {
        let hidden = self.hidden();
        // Records lie without gaps from 0 on, so the first one below the damaged node is where that
        // begins.
        let stays = hidden.first().is_some_and(|base| *base < first);
        let root = self.root.take();
        let cut = truncate(
            &self.grove,
            &self.grove,
            root,
            first,
            &mut |_| {},
            &mut |_, error, _| {
                assert!(error.damaged().is_some() && stays);
                Ok(())
            },
        );
        self.root = cut.unwrap();
        self.grove.settle();
        self.model
            .retain(|recno, _| *recno < first || stays && hidden.contains(recno));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..Default::default() })]

    #[test]
    fn records_go_around_a_damaged_node_and_a_healed_index_is_whole(
        count in 1..40_000_u64,
        damaged in any::<prop::sample::Index>(),
        changes in proptest::collection::btree_map(0..50_000_u64, any::<bool>(), 1..200),
        first in 0..50_000_u64,
    ) {
        let mut pair = Pair::default();
        pair.load(0..count);
        let nodes = nodes(&pair);
        let damaged = &nodes[damaged.index(nodes.len())];
        pair.grove.damage(damaged.cid, true);
        let changes: BTreeMap<_, _> = changes
            .into_iter()
            .map(|(recno, there)| (recno, there.then(|| leaf(recno + 1))))
            .collect();
        let reached = |recno: u64| reach(&pair.grove, pair.root.as_ref().unwrap(), recno, recno, u64::MAX).is_ok();
        let (reachable, others): (BTreeMap<_, _>, BTreeMap<_, _>) =
            changes.into_iter().partition(|(recno, _)| reached(*recno));
        let hidden = pair.hidden();
        prop_assert!(others.keys().all(|recno| hidden.contains(recno) || *recno >= count));
        pair.apply_around(&reachable);
        prop_assert!(reachable.iter().all(|(recno, link)| pair.model.get(recno) == link.as_ref()), "none was left out");
        pair.apply_around(&others);
        pair.grove.damage(damaged.cid, false);
        let all = range(&pair.grove, pair.root.as_ref(), 0, u64::MAX).unwrap();
        prop_assert!(all.iter().map(|(recno, link)| (recno, link)).eq(&pair.model));
        // The same node, if it is there still, and a cut.
        let mut pair = Pair::default();
        pair.load(0..count);
        pair.grove.damage(damaged.cid, true);
        pair.truncate_around(first.min(count));
        pair.grove.damage(damaged.cid, false);
        let all = range(&pair.grove, pair.root.as_ref(), 0, u64::MAX).unwrap();
        prop_assert!(all.iter().map(|(recno, link)| (recno, link)).eq(&pair.model));
    }
}

#[test]
fn an_emptied_index_drops_what_it_cannot_read_and_a_write_behind_it_needs_no_reach() {
    for damaged in 0..4 {
        let mut pair = Pair::default();
        pair.load(0..300);
        let link = nodes(&pair)[damaged].clone();
        pair.grove.damage(link.cid, true);
        let root = pair.root.clone().unwrap();
        assert!(reach(&pair.grove, &root, 0, 299, u64::MAX).is_err());
        assert!(
            reach(&pair.grove, &root, 0, 299, 0).is_ok(),
            "all of it is dropped first"
        );
        pair.truncate_around(0);
        // What the damaged node alone led to stays.
        assert!(pair.root.is_none() && !pair.grove.live().contains(&link.cid));
        assert!(damaged == 0 || pair.grove.live().is_empty());
    }
}
