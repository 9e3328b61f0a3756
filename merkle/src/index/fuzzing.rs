//! The decoder of an index's node, for `tests/fuzz`.

use super::table::Slot;
use super::*;
use crate::fuzzing::input;
use crate::{Node, NodeSink};
use std::cell::RefCell;

/// Keeps the one node that is written.
#[derive(Default)]
struct Last(RefCell<Option<Node>>);

impl NodeSink for Last {
    fn put_node(&self, node: Node) -> Result<Link> {
        self.0.replace(Some(node));
        Ok(input::links(1).remove(0))
    }

    fn drop_block(&self, _: &Link) -> Result<()> {
        Ok(())
    }
}

/// First byte: how many links the node has; second: the height its parent says. The rest: its body.
pub(crate) fn run(data: &[u8]) {
    let Some(([links, height], body)) = data.split_first_chunk() else {
        return;
    };
    let node = Node {
        links: input::links(usize::from(*links)),
        body: body.to_vec(),
    };
    let Ok(view) = View::open(&node, *height) else {
        return;
    };
    let children: Vec<_> = view.children().collect();
    assert_eq!(children.len(), node.links.len());
    for (slot, link) in &children {
        assert_eq!(view.child(*slot), Some(*link), "a slot leads to its link");
        let base = base_of(0, *height, *slot);
        assert!(last_of(base, *height) >= base);
    }
    let kept = children
        .into_iter()
        .map(|(slot, link)| (slot, Slot::Kept(link.clone())));
    let table = Table {
        height: *height,
        slots: kept.collect(),
    };
    let sink = Last::default();
    table.write(&sink).expect("this sink takes all");
    assert_eq!(sink.0.into_inner(), Some(node));
}

/// A node with two slots at the bottom, and a root.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let seed = |height: u8, slots: [u8; 2]| {
        let links = input::links(2).into_iter().map(Slot::Kept);
        let table = Table {
            height,
            slots: slots.into_iter().zip(links).collect(),
        };
        let sink = Last::default();
        table.write(&sink).expect("this sink takes all");
        let node = sink.0.into_inner().expect("it was written");
        [&[2, height][..], &node.body].concat()
    };
    vec![seed(1, [0, 127]), seed(3, [1, 5]), seed(10, [0, 1])]
}
