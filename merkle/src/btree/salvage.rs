//! A tree with unreadable nodes: a survey of the rest, and the tree without the gaps.
//!
//! ```text
//!   level 1       [ a | k | p ]                   survey: a b c d, then the gap k..p, then p z
//!                  /    |    \
//!   level 0      a b   ###   p z                  prune:  [ a | p ] over a b and p z
//! ```
//!
//! The parent's entries for a node (its level, its first key, the start of the next node) bound
//! the loss of a damaged one. A node that breaks the tree's promises counts as damaged: none of
//! its content is believed.

use super::body::Entry;
use super::body::{self, Body, NODE_COST_MAX, encode, malformed};
use crate::{Error, Link, NodeSink, NodeSource, Result};

/// A part of a tree that cannot be read.
#[derive(Debug)]
pub struct Gap {
    /// The node that is damaged.
    pub link: Link,
    /// The smallest key below it; `None` where the whole tree is lost.
    pub first: Option<Vec<u8>>,
    /// The smallest key behind it; `None` at the end.
    pub end: Option<Vec<u8>>,
    /// What is wrong with it.
    pub error: Error,
}

/// What its parent says of a node.
struct Expected {
    level: u8,
    first: Vec<u8>,
    end: Option<Vec<u8>>,
}

impl Expected {
    /// What an inner node of `level`, of which its own parent says `own`, says of its child at
    /// `at`.
    fn of_child(own: Option<&Self>, level: u8, entries: &[Entry], at: usize) -> Self {
        let next = entries.get(at + 1).map(|next| next.key.clone());
        Self {
            level: level - 1,
            first: entries[at].key.clone(),
            end: next.or_else(|| own?.end.clone()),
        }
    }
}

/// Visits the whole tree in order and verifies all that the module promises of it, as
/// [`super::walk`] does: `visit_node` sees each node before it is read, `each` every entry. What
/// cannot be read is handed to `gap`, and the survey goes on behind it.
///
/// # Errors
/// A store that does not answer, and what `each` or `gap` fail with.
pub fn survey(
    src: &dyn NodeSource,
    root: Option<&Link>,
    visit_node: &mut dyn FnMut(&Link),
    each: &mut dyn FnMut(Entry) -> Result<()>,
    gap: &mut dyn FnMut(Gap) -> Result<()>,
) -> Result<()> {
    let Some(root) = root else { return Ok(()) };
    let mut survey = Survey {
        src,
        visit_node,
        each,
        gap,
    };
    survey.below(root, None)
}

struct Survey<'a> {
    src: &'a dyn NodeSource,
    visit_node: &'a mut dyn FnMut(&Link),
    each: &'a mut dyn FnMut(Entry) -> Result<()>,
    gap: &'a mut dyn FnMut(Gap) -> Result<()>,
}

impl Survey<'_> {
    fn below(&mut self, link: &Link, expected: Option<&Expected>) -> Result<()> {
        (self.visit_node)(link);
        let (level, entries) = match read(self.src, link, expected) {
            Ok(read) => read,
            Err(error) if error.is_damage() => {
                return (self.gap)(Gap {
                    link: link.clone(),
                    first: expected.map(|expected| expected.first.clone()),
                    end: expected.and_then(|expected| expected.end.clone()),
                    error,
                });
            }
            Err(error) => return Err(error),
        };
        if level == 0 {
            return entries.into_iter().try_for_each(&mut *self.each);
        }
        for at in 0..entries.len() {
            let child = Expected::of_child(expected, level, &entries, at);
            self.below(&entries[at].links[0], Some(&child))?;
        }
        Ok(())
    }
}

/// A node's level and entries, held against what the module promises and its parent says.
fn read(src: &dyn NodeSource, link: &Link, expected: Option<&Expected>) -> Result<(u8, Vec<Entry>)> {
    let node = src.node(link)?;
    let body = Body::open_expecting(&node, expected.map(|expected| expected.level))?;
    let level = body.level();
    let entries = body.entries()?;
    if entries.len() > 1 && body::cost(&entries) > NODE_COST_MAX {
        return Err(malformed("a node of several entries is too large"));
    }
    let Some(expected) = expected else {
        return match level > 0 && entries.len() < 2 {
            true => Err(malformed("an inner root has one child")),
            false => Ok((level, entries)),
        };
    };
    if entries[0].key != expected.first {
        return Err(malformed("a child does not begin with its parent's key"));
    }
    let beyond = |end: &Vec<u8>| entries.last().is_some_and(|last| last.key >= *end);
    if expected.end.as_ref().is_some_and(beyond) {
        return Err(malformed("keys are out of order"));
    }
    Ok((level, entries))
}

/// Cuts out what [`survey`] finds no way into, and returns the new root. Leaves stay as they are,
/// and so do nodes below which nothing is damaged. What a damaged node alone led to stays in the
/// store.
///
/// # Errors
/// A store that does not answer, and what the sink fails with.
pub fn prune(src: &dyn NodeSource, sink: &dyn NodeSink, root: Option<Link>) -> Result<Option<Link>> {
    let Some(root) = root else { return Ok(None) };
    let pruner = Pruner { src, sink };
    let (mut level, mut left) = match pruner.below(&root, None)? {
        Pruned::Whole => return Ok(Some(root)),
        Pruned::Gone => return Ok(None),
        Pruned::Less(level, left) => (level, left),
    };
    // An inner root has at least two children: one that lost the others gives way to the one that
    // is left.
    while left.len() == 1 {
        match left.remove(0) {
            Child::Less(below, children) => (level, left) = (below, children),
            Child::Whole(entry) => {
                let link = &entry.links[0];
                let node = src.node(link)?;
                let body = Body::open_at(&node, level - 1)?;
                if body.level() == 0 || body.count() > 1 {
                    return Ok(Some(link.clone()));
                }
                sink.drop_block(link)?;
                level = body.level();
                left = body.entries()?.into_iter().map(Child::Whole).collect();
            }
        }
    }
    Ok(pruner.put(level, left)?.links.pop())
}

/// What is left of a node.
enum Pruned {
    Whole,
    Gone,
    /// An inner node of this level with some of its children, yet to be written.
    Less(u8, Vec<Child>),
}

/// A child of a node that is not written yet.
enum Child {
    /// It stays: its parent's entry for it.
    Whole(Entry),
    /// As in [`Pruned`].
    Less(u8, Vec<Child>),
}

struct Pruner<'a> {
    src: &'a dyn NodeSource,
    sink: &'a dyn NodeSink,
}

impl Pruner<'_> {
    fn below(&self, link: &Link, expected: Option<&Expected>) -> Result<Pruned> {
        let (level, entries) = match read(self.src, link, expected) {
            Ok(read) => read,
            Err(error) if error.is_damage() => {
                self.sink.drop_block(link)?;
                return Ok(Pruned::Gone);
            }
            Err(error) => return Err(error),
        };
        if level == 0 {
            return Ok(Pruned::Whole);
        }
        let mut left = Vec::with_capacity(entries.len());
        let mut changed = false;
        for at in 0..entries.len() {
            let child = Expected::of_child(expected, level, &entries, at);
            match self.below(&entries[at].links[0], Some(&child))? {
                Pruned::Whole => {
                    left.push(Child::Whole(entries[at].clone()));
                    continue;
                }
                Pruned::Gone => {}
                Pruned::Less(level, children) => left.push(Child::Less(level, children)),
            }
            changed = true;
        }
        if !changed {
            return Ok(Pruned::Whole);
        }
        self.sink.drop_block(link)?;
        Ok(match left.is_empty() {
            true => Pruned::Gone,
            false => Pruned::Less(level, left),
        })
    }

    /// Writes an inner node after its children: its parent's entry for it.
    fn put(&self, level: u8, children: Vec<Child>) -> Result<Entry> {
        let entries = children.into_iter().map(|child| match child {
            Child::Whole(entry) => Ok(entry),
            Child::Less(level, children) => self.put(level, children),
        });
        let entries = entries.collect::<Result<Vec<Entry>>>()?;
        Ok(Entry {
            key: entries[0].key.clone(),
            value: Vec::new(),
            links: vec![self.sink.put_node(encode(level, entries)?)?],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::btree::{apply, walk};
    use crate::tree::tests::Grove;
    use crate::{Cid, Node};
    use std::collections::BTreeSet;
    use std::sync::Arc;

    /// A grove in which one node cannot be read.
    struct Holey<'a>(&'a Grove, Cid);

    impl NodeSource for Holey<'_> {
        fn node(&self, link: &Link) -> Result<Arc<Node>> {
            match link.cid == self.1 {
                true => Err(Error::Corrupt { cid: link.cid }),
                false => self.0.node(link),
            }
        }
    }

    fn grow(count: u32) -> (Grove, Link) {
        let grove = Grove::default();
        let entry = |number: u32| {
            let key = number.to_be_bytes().to_vec();
            let entry = Entry {
                key: key.clone(),
                value: vec![7; 300],
                links: Vec::new(),
            };
            (key, Some(entry))
        };
        let root = apply(
            &grove,
            &grove,
            None,
            (0..count).map(entry).collect(),
            &mut |_, error, _| Err(error),
        )
        .unwrap();
        grove.settle();
        (grove, root.unwrap())
    }

    fn keys(src: &dyn NodeSource, root: Option<&Link>) -> (Vec<Vec<u8>>, Vec<Gap>, BTreeSet<Cid>) {
        let (mut keys, mut gaps, mut nodes) = (Vec::new(), Vec::new(), BTreeSet::new());
        survey(
            src,
            root,
            &mut |link| _ = nodes.insert(link.cid),
            &mut |entry| {
                keys.push(entry.key);
                Ok(())
            },
            &mut |gap| {
                gaps.push(gap);
                Ok(())
            },
        )
        .unwrap();
        (keys, gaps, nodes)
    }

    #[test]
    fn a_damaged_node_costs_its_own_keys_and_pruning_leaves_a_sound_tree_of_the_others() {
        let (grove, root) = grow(9000);
        let (all, _, nodes) = keys(&grove, Some(&root));
        assert!(nodes.len() > 100, "three levels: {} nodes", nodes.len());
        for hole in nodes.into_iter().step_by(7) {
            let (grove, root) = grow(9000);
            let holey = Holey(&grove, hole);
            let (left, gaps, _) = keys(&holey, Some(&root));
            let [gap] = gaps.as_slice() else {
                panic!("one gap: {gaps:?}")
            };
            let lost = |key: &&Vec<u8>| {
                let from = gap.first.as_ref().is_none_or(|first| *key >= first);
                from && gap.end.as_ref().is_none_or(|end| *key < end)
            };
            assert!(all.iter().filter(|key| !lost(key)).eq(&left));
            let pruned = prune(&holey, &grove, Some(root)).unwrap();
            grove.settle();
            let mut found = Vec::new();
            let each = &mut |entry: Entry| {
                found.push(entry.key);
                Ok(())
            };
            walk(&grove, pruned.as_ref(), &mut |_| {}, each).unwrap();
            assert_eq!(found, left);
        }
    }
}
