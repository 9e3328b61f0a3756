//! Snapshots without the damaged ones, lists of blocks made anew, and what nothing names.
//!
//! ```text
//!   S1 --.  S3 (damaged, dropped)   live        dead list of a kept version: what the kept one before it names and it
//!         `------- S2 -------------'              does not, found by walking both
//! ```
//!
//! Everything here is of the version before the repair. What the repair itself drops goes the way
//! of all that a commit drops: over the live tree's dead list and the held list.

use super::marks::{Marks, all_roots, difference, mark, roots_of};
use super::mend::Mender;
use crate::blocks::Uncached;
use crate::check::{Wounds, digest, published};
use crate::engine::Engine;
use crate::stored::held::{HeldList, Row};
use crate::stored::snapshot::{Snapshot, dead_entry};
use crate::stored::volume::Volume;
use crate::{Name, Result};
use cairn_merkle::{Cid, Link, Version, btree};

/// What the walk knew before anything was mended.
pub(super) struct Lists<'a> {
    pub(super) engine: &'a Engine,
    pub(super) volume: &'a Volume,
    pub(super) newest: Version,
    /// All blocks in the store.
    pub(super) listed: Vec<Cid>,
    /// Those that some version or list names.
    pub(super) seen: Marks,
}

type Rows = Vec<(Vec<u8>, Option<btree::Entry>)>;

impl Lists<'_> {
    fn source(&self) -> Uncached<'_> {
        Uncached(&self.engine.blocks)
    }

    /// Writes what has to be written anew; answers the blocks that nothing names.
    pub(super) fn write(mut self, mender: &mut Mender<'_>, wounds: &Wounds) -> Result<Vec<Cid>> {
        let anchored: Vec<Version> = published(self.volume, self.newest).collect();
        let of_snapshots =
            wounds.of_snapshots() || (wounds.prunes() && self.volume.trees.snapshots.is_some());
        let relist = wounds.held || (!anchored.is_empty() && (of_snapshots || wounds.prunes()));
        let mut kept = Vec::new();
        if of_snapshots {
            // First: only the snapshots that are kept go on to name blocks.
            kept = self.kept(wounds)?;
            self.snapshots(mender, &mut kept)?;
        }
        if relist {
            self.drop_list(mender, self.volume.trees.held.root.as_ref())?;
        }
        // What is dropped is freed by the commit, which knows which version holds it.
        mender.drop_replaced();
        let dropped = mender.state.open.dropped().iter().map(|link| digest(&link.cid));
        let dropped: Marks = dropped.collect();
        if of_snapshots || relist {
            let mut named = Marks::default();
            self.mark_named(of_snapshots, &kept, &mut named)?;
            if relist {
                self.held(mender, &named, &dropped, &anchored)?;
            }
            if of_snapshots {
                self.only(named, &anchored, relist)?;
            }
        }
        // They pass for named: the commit frees them, or lists them for a version that is held.
        self.seen.extend(dropped);
        // What a damaged published version names below its damage is not known: all is kept.
        match wounds.published {
            true => Ok(Vec::new()),
            false => self.engine.unnamed(self.listed, &self.seen),
        }
    }

    /// What the newest version goes on to name.
    fn mark_named(&self, of_snapshots: bool, kept: &[(Name, Snapshot)], named: &mut Marks) -> Result<()> {
        let mut roots = match of_snapshots {
            true => roots_of(&Snapshot::of(self.volume)),
            false => all_roots(self.volume),
        };
        roots.extend(kept.iter().flat_map(|(_, snapshot)| roots_of(snapshot)));
        roots.extend(self.volume.trees.orphans.clone());
        roots.extend(self.volume.repairs.root.clone());
        mark(&self.source(), roots, named)
    }

    /// The snapshots that are whole, oldest first.
    fn kept(&self, wounds: &Wounds) -> Result<Vec<(Name, Snapshot)>> {
        let mut kept = Vec::new();
        let (source, table) = (self.source(), self.volume.trees.snapshots.as_ref());
        btree::survey(
            &source,
            table,
            &mut |_| {},
            &mut |entry| {
                kept.extend(Snapshot::decode(&entry).ok());
                Ok(())
            },
            &mut |_| Ok(()),
        )?;
        kept.retain(|(name, _)| !wounds.snapshots.contains(name));
        kept.sort_by_key(|(_, snapshot)| snapshot.place());
        Ok(kept)
    }

    /// Gives each kept snapshot, and the live tree, the dead list that it has without the others.
    fn snapshots(&self, mender: &mut Mender<'_>, kept: &mut [(Name, Snapshot)]) -> Result<()> {
        self.drop_old(mender)?;
        let live = Snapshot::of(self.volume);
        // From the newest back: a block that a later one names is on no list before it, also where
        // one in between does not name it. That is so after a rollback.
        let mut later = Marks::default();
        for at in (0..=kept.len()).rev() {
            let roots = roots_of(kept.get(at).map_or(&live, |(_, snapshot)| snapshot));
            mark(&self.source(), roots, &mut later)?;
            // The oldest has none before it, so it has no dead list.
            let dead = match at.checked_sub(1).and_then(|before| kept.get(before)) {
                None => None,
                Some((_, older)) => {
                    let dead = difference(&self.source(), roots_of(older), &later)?;
                    let rows = dead
                        .iter()
                        .map(dead_entry)
                        .map(|entry| (entry.key.clone(), Some(entry)));
                    self.tree(mender, rows.collect())?
                }
            };
            match kept.get_mut(at) {
                Some((_, snapshot)) => snapshot.dead = dead,
                None => mender.state.volume.trees.dead = dead,
            }
        }
        let rows = kept.iter().map(|(name, snapshot)| snapshot.encode(name));
        let rows = rows.map(|entry| (entry.key.clone(), Some(entry))).collect();
        mender.state.volume.trees.snapshots = self.tree(mender, rows)?;
        mender.state.snapshots.replace(kept.to_vec());
        Ok(())
    }

    /// The old table of snapshots and the old dead lists go, as far as their nodes are known.
    fn drop_old(&self, mender: &mut Mender<'_>) -> Result<()> {
        let mut lists: Vec<Link> = self.volume.trees.dead.iter().cloned().collect();
        let mut old = Vec::new();
        btree::survey(
            &self.source(),
            self.volume.trees.snapshots.as_ref(),
            &mut |link| old.push(link.clone()),
            &mut |entry| {
                lists.extend(
                    Snapshot::decode(&entry)
                        .ok()
                        .and_then(|(_, snapshot)| snapshot.dead),
                );
                Ok(())
            },
            &mut |_| Ok(()),
        )?;
        mender.state.open.drop_blocks(old);
        mender.state.open.touch();
        lists
            .iter()
            .try_for_each(|list| self.drop_list(mender, Some(list)))
    }

    /// The nodes of a list go, as far as they are known.
    fn drop_list(&self, mender: &mut Mender<'_>, root: Option<&Link>) -> Result<()> {
        let mut old = Vec::new();
        let visit = &mut |link: &Link| old.push(link.clone());
        btree::survey(&self.source(), root, visit, &mut |_| Ok(()), &mut |_| Ok(()))?;
        mender.state.open.drop_blocks(old);
        Ok(())
    }

    /// A tree of rows, written anew.
    fn tree(&self, mender: &Mender<'_>, mut rows: Rows) -> Result<Option<Link>> {
        rows.sort_by(|a, b| a.0.cmp(&b.0));
        let root = btree::apply(&self.source(), &mender.writer, None, rows, &mut |_, error, _| {
            Err(error)
        })?;
        mender.writer.flush()?;
        Ok(root)
    }

    /// The held list: what a published version names and the newest does not.
    fn held(
        &self,
        mender: &mut Mender<'_>,
        named: &Marks,
        dropped: &Marks,
        anchored: &[Version],
    ) -> Result<()> {
        let freed = mender.state.open.number();
        let (mut rows, mut bytes) = (Rows::new(), 0);
        let mut met = Marks::default();
        for version in anchored {
            // Unreadable, and told: nothing is freed while a published version is damaged.
            let Ok(volume) = self.engine.volume_at(*version) else {
                continue;
            };
            let block = self.engine.blocks.store.get(&version.root)?;
            let len = u32::try_from(block.map_or(0, |block| block.len())).unwrap_or(u32::MAX);
            let commit = Row::new(freed, version.epoch, version.root, len);
            let links = difference(&self.source(), all_roots(&volume), named)?;
            let links = links.into_iter().filter(|link| {
                let name = digest(&link.cid);
                // The commit lists those that it drops: a second row would count them twice.
                !dropped.contains(&name) && met.insert(name)
            });
            let rest = links.map(|link| Row::new(freed, link.birth, link.cid, link.len));
            for row in std::iter::once(commit).chain(rest) {
                let entry = row.encode();
                bytes += u64::from(row.len);
                rows.push((entry.key.clone(), Some(entry)));
            }
        }
        let root = self.tree(mender, rows)?;
        mender.state.volume.trees.held = HeldList { root, bytes };
        // Right for no set of epochs yet: the commit looks at every row.
        mender.state.committed.held_for = None;
        mender.state.open.touch();
        Ok(())
    }

    /// From here on only this is named: what the newest version goes on to name, and what is
    /// published.
    fn only(&mut self, mut named: Marks, anchored: &[Version], relisted: bool) -> Result<()> {
        let list = self.volume.trees.held.root.as_ref().filter(|_| !relisted);
        mark(&self.source(), list.into_iter().cloned().collect(), &mut named)?;
        btree::survey(
            &self.source(),
            list,
            &mut |_| {},
            &mut |entry| {
                named.insert(digest(&Row::decode(&entry)?.cid));
                Ok(())
            },
            &mut |_| Ok(()),
        )?;
        named.insert(digest(&self.newest.root));
        for version in anchored {
            named.insert(digest(&version.root));
            if let Ok(volume) = self.engine.volume_at(*version) {
                mark(&self.source(), all_roots(&volume), &mut named)?;
            }
        }
        self.seen = named;
        Ok(())
    }
}
