//! Where a check reads from, as long as it is wanted.

use crate::blocks::{Blocks, Uncached};
use cairn_merkle::{Link, Node, NodeSource, Result, StoreError};
use std::io;
use std::sync::Arc;

/// The store past all caches. Each read asks first whether its check is still wanted.
pub(crate) struct Source<'a> {
    blocks: Uncached<'a>,
    /// Whether the check is to go on.
    pub(super) wanted: &'a dyn Fn() -> bool,
}

impl<'a> Source<'a> {
    /// For a check that nothing ends.
    pub(super) fn new(blocks: &'a Blocks) -> Self {
        Self {
            blocks: Uncached(blocks),
            wanted: &|| true,
        }
    }

    /// Verifies a leaf and forgets it.
    pub(super) fn leaf(&self, link: &Link) -> Result<()> {
        self.go_on()?;
        self.blocks.leaf(link)
    }

    /// A failure of the store ends a walk; damage would be noted, and passed by.
    fn go_on(&self) -> Result<()> {
        match (self.wanted)() {
            true => Ok(()),
            false => Err(StoreError::io("go on", io::ErrorKind::Interrupted.into()).into()),
        }
    }
}

impl NodeSource for Source<'_> {
    fn node(&self, link: &Link) -> Result<Arc<Node>> {
        self.go_on()?;
        self.blocks.node(link)
    }
}

#[cfg(test)]
mod tests {
    use crate::fixture::stored::{pattern, volume};
    use crate::{Error, InodeNo};
    use cairn_merkle::testing::Op;
    use std::cell::Cell;

    #[test]
    fn a_check_that_is_not_wanted_any_more_reads_no_further_block() {
        let (store, engine) = volume();
        for at in 0..20 {
            engine.t_write(engine.t_file(InodeNo::ROOT, &[b'a' + at]), 0, &pattern(9000, at));
        }
        let all = engine.check(&|_| {}).unwrap().blocks;
        let (before, asked) = (store.faults.count(Op::Get), Cell::new(0));
        let wanted = || {
            asked.set(asked.get() + 1);
            asked.get() <= 7
        };
        let found = engine.check_while(&|_| {}, &wanted);
        assert!(matches!(found, Err(Error::GivenUp)), "{found:?}");
        let read = store.faults.count(Op::Get) - before;
        assert!(read <= 10 && all > 60, "{read} of {all}");
        assert!(engine.check_while(&|_| {}, &|| true).unwrap().is_whole());
    }
}
