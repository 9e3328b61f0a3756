//! Which blocks one version names and another does not, without a look at what both share.
//!
//! ```text
//!   births   9  8  8  5  4  ...      the youngest first; what both sides name is passed over, with all below it
//! ```
//!
//! A block is never older than what it leads to. So once all blocks above a birth are opened, every
//! block of that birth has been met that is named by one side alone, or lies below such a block.
//! The cost goes with the difference, whatever the trees look like and whatever was renamed.

use cairn_merkle::{Cid, Codec, Epoch, Link, NodeSource, Result};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;

/// Of which side a block was met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sides {
    ours: bool,
    theirs: bool,
}

impl Sides {
    const OURS: Self = Self {
        ours: true,
        theirs: false,
    };
    const THEIRS: Self = Self {
        ours: false,
        theirs: true,
    };

    fn both(self) -> bool {
        self.ours && self.theirs
    }

    /// What `other` has and this has not.
    fn lacks(self, other: Self) -> Self {
        Self {
            ours: other.ours && !self.ours,
            theirs: other.theirs && !self.theirs,
        }
    }

    fn join(self, other: Self) -> Self {
        Self {
            ours: self.ours || other.ours,
            theirs: self.theirs || other.theirs,
        }
    }
}

/// A block of the birth that is looked at.
struct Met {
    link: Link,
    sides: Sides,
    /// For which sides what it leads to was met.
    opened: Sides,
}

/// Told of a damaged node, and whether it is one of theirs. `Ok` goes past it: what it alone leads
/// to is not known.
pub(crate) type Damaged<'a> = dyn FnMut(&Link, bool, cairn_merkle::Error) -> Result<()> + 'a;

/// The blocks below `ours` that are not below `theirs`, and the other way round.
pub(crate) fn differ(
    source: &dyn NodeSource,
    ours: Vec<Link>,
    theirs: Vec<Link>,
    damaged: &mut Damaged<'_>,
) -> Result<(Vec<Link>, Vec<Link>)> {
    let mut walk = Walk {
        source,
        damaged,
        rest: BTreeMap::new(),
    };
    ours.into_iter().for_each(|link| walk.meet(link, Sides::OURS));
    theirs.into_iter().for_each(|link| walk.meet(link, Sides::THEIRS));
    let (mut only_ours, mut only_theirs) = (Vec::new(), Vec::new());
    while let Some(birth) = walk.rest.keys().next_back().copied() {
        for met in walk.of_birth(birth)? {
            match met.sides {
                Sides::OURS => only_ours.push(met.link),
                Sides::THEIRS => only_theirs.push(met.link),
                _ => {}
            }
        }
    }
    Ok((only_ours, only_theirs))
}

struct Walk<'a> {
    source: &'a dyn NodeSource,
    damaged: &'a mut Damaged<'a>,
    /// By birth, what was met and not looked at.
    rest: BTreeMap<Epoch, Vec<(Link, Sides)>>,
}

impl Walk<'_> {
    fn meet(&mut self, link: Link, sides: Sides) {
        self.rest.entry(link.birth).or_default().push((link, sides));
    }

    /// All blocks of a birth. None is older than what leads to it, and some are as old.
    fn of_birth(&mut self, birth: Epoch) -> Result<Vec<Met>> {
        let mut met: FxHashMap<Cid, Met> = FxHashMap::default();
        while let Some(more) = self.rest.remove(&birth) {
            let mut touched = Vec::with_capacity(more.len());
            for (link, sides) in more {
                touched.push(link.cid);
                let known = met.entry(link.cid).or_insert(Met {
                    link,
                    sides: Sides::default(),
                    opened: Sides::default(),
                });
                known.sides = known.sides.join(sides);
            }
            for cid in touched {
                if let Some(known) = met.get_mut(&cid) {
                    self.open(known)?;
                }
            }
        }
        Ok(met.into_values().collect())
    }

    /// Meets what a block leads to, of the sides that it is of alone. One that turns out to be of
    /// both, after it was opened for one, is opened for the other: what is below meets there, too.
    fn open(&mut self, met: &mut Met) -> Result<()> {
        let sides = met.opened.lacks(met.sides);
        let unopened = met.opened == Sides::default();
        let leaf = met.link.cid.codec() == Codec::Leaf;
        if leaf || sides == Sides::default() || (unopened && met.sides.both()) {
            return Ok(());
        }
        met.opened = met.sides;
        match self.source.node(&met.link) {
            Ok(node) => {
                for link in &node.links {
                    self.meet(link.clone(), sides);
                }
                Ok(())
            }
            Err(error) if error.is_damage() => (self.damaged)(&met.link, sides.theirs, error),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::blocks::Blocks;
    use crate::blocks::Writer;
    use crate::machine::Machine;
    use cairn_merkle::{MemoryStore, Node, NodeSink, Suite};
    use std::collections::BTreeSet;
    use std::sync::Arc;

    fn below(source: &dyn NodeSource, roots: &[Link]) -> BTreeSet<Cid> {
        let (mut all, mut rest) = (BTreeSet::new(), roots.to_vec());
        while let Some(link) = rest.pop() {
            if all.insert(link.cid) && link.cid.codec() == Codec::Node {
                rest.extend(source.node(&link).unwrap().links.iter().cloned());
            }
        }
        all
    }

    fn names(links: &[Link]) -> BTreeSet<Cid> {
        let names: BTreeSet<_> = links.iter().map(|link| link.cid).collect();
        assert_eq!(names.len(), links.len(), "none is told twice");
        names
    }

    /// Versions of a tree of three levels, each of which replaces some ways, and moves a node.
    fn versions(blocks: &Blocks) -> Vec<Link> {
        let mut dice = 9_u64;
        let mut roll = |below: usize| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (dice >> 33) as usize % below
        };
        let mut tree: Vec<Vec<Link>> = Vec::new();
        let mut roots = Vec::new();
        for epoch in 1..=12 {
            let writer = Writer::new(blocks, Epoch(epoch));
            if tree.is_empty() {
                tree = (0..5_u8)
                    .map(|at| (0..6).map(|to| writer.put_leaf(&[at, to]).unwrap()).collect())
                    .collect();
            }
            for _ in 0..roll(3) {
                let at = roll(5);
                let to = roll(tree[at].len());
                tree[at][to] = writer.put_leaf(&[epoch as u8]).unwrap();
            }
            let moved = tree[0].pop().unwrap();
            tree[1 + roll(4)].push(moved);
            tree[0].push(writer.put_leaf(&[epoch as u8, 77]).unwrap());
            let inner = tree.iter().map(|links| {
                let node = Node {
                    links: links.clone(),
                    body: vec![epoch as u8],
                };
                writer.put_node(node).unwrap()
            });
            let links = inner.collect();
            let root = Node {
                links,
                body: Vec::new(),
            };
            roots.push(writer.put_node(root).unwrap());
            writer.flush().unwrap();
        }
        roots
    }

    #[test]
    fn two_versions_differ_in_the_blocks_that_a_whole_walk_of_both_tells() {
        let blocks = Blocks::new(
            Arc::new(MemoryStore::new()),
            Suite::default(),
            1 << 20,
            Machine::default(),
        );
        let roots = versions(&blocks);
        for old in &roots {
            for new in &roots {
                let stop: &mut Damaged<'_> = &mut |_, _, error| Err(error);
                let (ours, theirs) = differ(&blocks, vec![old.clone()], vec![new.clone()], stop).unwrap();
                let (a, b) = (
                    below(&blocks, std::slice::from_ref(old)),
                    below(&blocks, std::slice::from_ref(new)),
                );
                assert_eq!(names(&ours), a.difference(&b).copied().collect());
                assert_eq!(names(&theirs), b.difference(&a).copied().collect());
            }
        }
    }
}
