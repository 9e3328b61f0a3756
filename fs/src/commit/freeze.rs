//! The short pause of a commit: the open epoch is set aside, and the next one begins empty.
//!
//! ```text
//!   open layers, names, attributes --(under the lock, by moving pointers)--> Frozen --> close.rs writes it
//!   inodes above a changed one join, up to the root: their blocks change too
//! ```
//!
//! **Invariant:** between a freeze and the commit's end each frozen inode stays in memory, and its
//! frozen layer is read under the open one.

use crate::InodeNo;
use crate::commit::epoch::{Closed, Frozen, Holds, Item, Work};
use crate::commit::open::Pending;
use crate::namespace::inode::{Content, Home, Inode};
use crate::namespace::inodes::Inodes;
use crate::state::State;
use rustc_hash::{FxHashMap, FxHashSet};
use std::sync::Arc;
use std::time::Instant;

/// Closes the open epoch, between puts ([`crate::engine::Engine::await_puts`]): those that ended
/// belong to it.
pub(super) fn freeze(state: &mut State, now: Instant) -> Frozen {
    debug_assert!(
        !state.puts.is_busy(),
        "a put belongs to the epoch in which it began"
    );
    // First: the sets that it looks at are emptied below.
    if state.has_user_changes() {
        state.volume.publication.changed = state.open.number();
    }
    let changed = state.inodes.close();
    let items = freeze_inodes(&mut state.inodes, changed.inodes);
    // Under the same lock as the layers. A later cut would call operations durable that are not in
    // this commit.
    state.log.freeze();
    // This commit fulfils the wish. Any wish from here on is for the next one.
    state.commits.take_wanted();
    let closed = state.open.close();
    state.pending = Pending::of(&closed, items.len(), changed.copies_bytes);
    let written_bytes = closed.written_bytes();
    let (epoch, header) = (closed.number(), closed.header().clone());
    let (dropped, stranded) = closed.into_freed();
    Frozen {
        epoch,
        closed: Closed {
            at: now,
            written_bytes,
        },
        previous: (
            state.committed.version.root,
            state.committed.epoch(),
            state.committed.root_len,
        ),
        items,
        left_table: changed.left_table,
        dropped,
        stranded,
        snapshots: state.snapshots.take_requests(),
        volume: state.volume.clone(),
        holds: Holds::default(),
        held_before: state.committed.held_for.clone(),
        rollback: None,
        header,
        // As of now: leaves of the next epoch need no sync before this head.
        landed: state.puts.landed(),
        unsynced: state.puts.needs_sync(),
    }
}

fn freeze_inodes(inodes: &mut Inodes, changed: FxHashSet<InodeNo>) -> Vec<Item> {
    let mut depths = FxHashMap::default();
    let mut items = Vec::with_capacity(changed.len());
    for ino in changed {
        let depth = depth_of(inodes, ino, &mut depths);
        if let Ok(inode) = inodes.get_mut(ino) {
            items.push(freeze_inode(inode, depth));
        }
    }
    items
}

fn depth_of(inodes: &Inodes, ino: InodeNo, known: &mut FxHashMap<InodeNo, u32>) -> u32 {
    let mut path = Vec::new();
    let mut at = ino;
    let mut depth = loop {
        if let Some(depth) = known.get(&at) {
            break *depth;
        }
        path.push(at);
        match inodes.get(at).map(|inode| &inode.home) {
            Ok(Home::Entry { parent, .. }) => at = *parent,
            _ => {
                path.pop();
                known.insert(at, 0);
                break 0;
            }
        }
    };
    for ino in path.into_iter().rev() {
        depth += 1;
        known.insert(ino, depth);
    }
    depth
}

fn freeze_inode(inode: &mut Inode, depth: u32) -> Item {
    let dead = inode.is_dead();
    let work = match &mut inode.content {
        Content::File(file) => {
            let layer = Arc::new(std::mem::take(&mut file.open));
            // An fsync waits for the commit if the log lacks some of these bytes.
            file.frozen_unlogged = !std::mem::take(&mut file.unlogged).is_empty();
            file.frozen = Some(layer.clone());
            Work::File {
                stored: file.stored.clone(),
                layer,
            }
        }
        Content::Dir(dir) => {
            let names = Arc::new(std::mem::take(&mut dir.open));
            dir.frozen = Some(names.clone());
            Work::Dir {
                stored: dir.stored.clone(),
                names,
            }
        }
        Content::Fixed(stored) => Work::Fixed(stored.clone()),
    };
    // Frozen, it stays in memory: reads look below the open layer until the commit is done.
    inode.dirty = false;
    inode.frozen = true;
    Item {
        meta: inode.meta.clone(),
        xattrs: inode.xattrs.clone(),
        home: inode.home.clone(),
        work,
        dead,
        depth,
    }
}
