//! What two trees do not have in common, without a look at what they share.
//!
//! ```text
//!   old   [ A | B | C ]      B has the same name on both sides: passed over
//!   new   [ A'| B | D ]      A and A', C and D: opened, and compared key by key
//! ```
//!
//! Trees that come from each other share all but the ways to what changed, so the cost goes with
//! the difference. A shared node is found as such where both sides stand before it. Wherever the
//! nodes are cut otherwise, the sides are opened until they meet again.

use super::Entry;
use super::body::Body;
use crate::{Link, NodeSource, Result};
use std::cmp::Ordering;

/// What stands next on one side.
enum Next {
    /// All below a node whose first key and level are these; a root has no key.
    Below {
        first: Option<Vec<u8>>,
        level: Option<u8>,
        link: Link,
    },
    Entry(Entry),
}

/// One side, in the order of its keys; the next one is last.
struct Side<'a> {
    src: &'a dyn NodeSource,
    rest: Vec<Next>,
}

impl<'a> Side<'a> {
    fn new(src: &'a dyn NodeSource, root: Option<&Link>) -> Self {
        let whole = root.map(|link| Next::Below {
            first: None,
            level: None,
            link: link.clone(),
        });
        Self {
            src,
            rest: whole.into_iter().collect(),
        }
    }

    /// Puts what lies in the next node in its place.
    fn open(&mut self) -> Result<()> {
        let Some(Next::Below { level, link, .. }) = self.rest.pop() else {
            return Ok(());
        };
        let node = self.src.node(&link)?;
        let body = Body::open_expecting(&node, level)?;
        let below = body.level().checked_sub(1);
        let entries = body.entries()?.into_iter().rev();
        self.rest.extend(entries.map(|entry| match below {
            None => Next::Entry(entry),
            Some(level) => Next::Below {
                first: Some(entry.key),
                level: Some(level),
                link: entry.links[0].clone(),
            },
        }));
        Ok(())
    }

    /// Takes the next entry; there must be one.
    fn take(&mut self) -> Option<Entry> {
        match self.rest.pop() {
            Some(Next::Entry(entry)) => Some(entry),
            _ => None,
        }
    }
}

/// What is to be done with both sides as they stand.
enum Step {
    /// Both stand before the same node, or the same entry.
    Pass,
    Open {
        old: bool,
        new: bool,
    },
    /// Take an entry from these sides: it is there alone, or on both with other content.
    Take {
        old: bool,
        new: bool,
    },
    End,
}

fn step(old: Option<&Next>, new: Option<&Next>) -> Step {
    let open = |old, new| Step::Open { old, new };
    let take = |old, new| Step::Take { old, new };
    match (old, new) {
        (None, None) => Step::End,
        (Some(Next::Below { .. }), None) => open(true, false),
        (None, Some(Next::Below { .. })) => open(false, true),
        (Some(Next::Entry(_)), None) => take(true, false),
        (None, Some(Next::Entry(_))) => take(false, true),
        (Some(Next::Below { link: a, .. }), Some(Next::Below { link: b, .. })) if a.cid == b.cid => {
            Step::Pass
        }
        (
            Some(Next::Below {
                first: a, level: x, ..
            }),
            Some(Next::Below {
                first: b, level: y, ..
            }),
        ) => match a.cmp(b) {
            // What lies below the smaller key comes first, and what is higher may hold the other.
            Ordering::Less => open(true, false),
            Ordering::Greater => open(false, true),
            Ordering::Equal if x > y => open(true, false),
            Ordering::Equal if x < y => open(false, true),
            Ordering::Equal => open(true, true),
        },
        (Some(Next::Below { first, .. }), Some(Next::Entry(entry))) => match first {
            Some(first) if *first > entry.key => take(false, true),
            _ => open(true, false),
        },
        (Some(Next::Entry(entry)), Some(Next::Below { first, .. })) => match first {
            Some(first) if *first > entry.key => take(true, false),
            _ => open(false, true),
        },
        (Some(Next::Entry(a)), Some(Next::Entry(b))) => match a.key.cmp(&b.key) {
            Ordering::Less => take(true, false),
            Ordering::Greater => take(false, true),
            Ordering::Equal if a == b => Step::Pass,
            Ordering::Equal => take(true, true),
        },
    }
}

/// Hands each entry that is in one of two trees alone, or is another there, to `each`: as it was
/// and as it is, in the order of the keys. Reads no node that both trees share, but for some that
/// lie beside a difference.
pub fn diff(
    src: &dyn NodeSource,
    old: Option<&Link>,
    new: Option<&Link>,
    each: &mut dyn FnMut(Option<Entry>, Option<Entry>) -> Result<()>,
) -> Result<()> {
    let (mut old, mut new) = (Side::new(src, old), Side::new(src, new));
    loop {
        match step(old.rest.last(), new.rest.last()) {
            Step::End => return Ok(()),
            Step::Pass => {
                old.rest.pop();
                new.rest.pop();
            }
            Step::Open { old: a, new: b } => {
                if a {
                    old.open()?;
                }
                if b {
                    new.open()?;
                }
            }
            Step::Take { old: a, new: b } => {
                let was = a.then(|| old.take()).flatten();
                let is = b.then(|| new.take()).flatten();
                each(was, is)?;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::btree::{apply, walk};
    use crate::tree::tests::Grove;
    use std::collections::BTreeMap;

    type Map = BTreeMap<Vec<u8>, Vec<u8>>;

    fn key(number: u32) -> Vec<u8> {
        number.to_be_bytes().to_vec()
    }

    fn changed(grove: &Grove, root: Option<Link>, changes: &[(u32, Option<&[u8]>)]) -> Option<Link> {
        let changes = changes.iter().map(|(number, value)| {
            let entry = value.map(|value| Entry {
                key: key(*number),
                value: value.to_vec(),
                links: Vec::new(),
            });
            (key(*number), entry)
        });
        let root = apply(
            grove,
            &Keep(grove),
            root,
            changes.collect(),
            &mut |_, error, _| Err(error),
        );
        grove.settle();
        root.unwrap()
    }

    /// Keeps what is dropped: the old tree is still read.
    struct Keep<'a>(&'a Grove);

    impl crate::NodeSink for Keep<'_> {
        fn put_node(&self, node: crate::Node) -> Result<Link> {
            self.0.put_node(node)
        }

        fn drop_block(&self, _: &Link) -> Result<()> {
            Ok(())
        }
    }

    fn map(grove: &Grove, root: Option<&Link>) -> Map {
        let mut map = Map::new();
        walk(grove, root, &mut |_| {}, &mut |entry| {
            map.insert(entry.key, entry.value);
            Ok(())
        })
        .unwrap();
        map
    }

    type Rows = Vec<(Vec<u8>, Option<Vec<u8>>, Option<Vec<u8>>)>;

    fn found(grove: &Grove, old: Option<&Link>, new: Option<&Link>) -> Rows {
        let mut rows = Rows::new();
        diff(grove, old, new, &mut |was, is| {
            let key = was.as_ref().or(is.as_ref()).unwrap().key.clone();
            rows.push((key, was.map(|entry| entry.value), is.map(|entry| entry.value)));
            Ok(())
        })
        .unwrap();
        rows
    }

    /// The same, of the whole contents.
    fn expected(old: &Map, new: &Map) -> Rows {
        let keys: std::collections::BTreeSet<_> = old.keys().chain(new.keys()).collect();
        let rows = keys
            .into_iter()
            .map(|key| (key.clone(), old.get(key).cloned(), new.get(key).cloned()));
        rows.filter(|(_, was, is)| was != is).collect()
    }

    #[test]
    fn two_trees_differ_in_what_their_maps_differ_in_whatever_changed() {
        let grove = Grove::default();
        let mut dice = 1_u32;
        let mut roll = |below: u32| {
            dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (dice >> 8) % below
        };
        let mut roots = vec![None];
        for round in 0..40 {
            let count = [1, 5, 400, 3000][round % 4];
            let value = vec![round as u8; 40];
            let mut changes: Vec<(u32, Option<&[u8]>)> = (0..count)
                .map(|_| (roll(5000), (roll(3) > 0).then_some(value.as_slice())))
                .collect();
            changes.sort_by_key(|(number, _)| *number);
            changes.dedup_by_key(|(number, _)| *number);
            roots.push(changed(&grove, roots.last().cloned().flatten(), &changes));
        }
        for (at, old) in roots.iter().enumerate().step_by(3) {
            for new in &roots[at..] {
                let (a, b) = (map(&grove, old.as_ref()), map(&grove, new.as_ref()));
                assert_eq!(found(&grove, old.as_ref(), new.as_ref()), expected(&a, &b));
                assert_eq!(found(&grove, new.as_ref(), old.as_ref()), expected(&b, &a));
            }
        }
    }

    #[test]
    fn the_cost_goes_with_the_difference() {
        let grove = Grove::default();
        let value = [7; 100];
        let all: Vec<_> = (0..50_000)
            .map(|number| (number, Some(value.as_slice())))
            .collect();
        let old = changed(&grove, None, &all);
        let new = changed(&grove, old.clone(), &[(25_000, Some(b"other")), (49_000, None)]);
        let before = grove.read_count();
        assert_eq!(found(&grove, old.as_ref(), new.as_ref()).len(), 2);
        let read = grove.read_count() - before;
        assert!(read <= 12, "{read} nodes");
        assert_eq!(found(&grove, new.as_ref(), new.as_ref()), []);
        // A damaged node is no difference: it is told.
        grove.damage(new.as_ref().unwrap().cid, true);
        let told = diff(&grove, old.as_ref(), new.as_ref(), &mut |_, _| Ok(()));
        assert!(told.is_err());
    }
}
