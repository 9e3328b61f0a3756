//! How a read is answered: what to fetch, and what to lay over it.
//!
//! ```text
//!  stored leaf | hole  --cut at keep, lay frozen pieces over--> --cut at keep, lay open pieces over--> bytes
//! ```
//!
//! A plan is made under the engine's lock and copies only what is dirty in the range; it runs
//! without the lock. The leaves it has to fetch are asked for together, since neighbours cost the
//! store one access. One that is read whole is opened straight into the answer and not cached: the
//! kernel keeps what it was told. Of a large leaf that is asked for a few pages only those are
//! fetched, verified and opened, until more of it is asked for.

use crate::Result;
use crate::blocks::{Blocks, Cached};

use crate::data::layer::{Layer, Rec, Under, cut, plain_len};
use crate::namespace::inode::FileBody;
use crate::stored::record::Stored;
use bytes::Bytes;
use cairn_merkle::buffer::Buffer;
use cairn_merkle::{Form, Link, NodeSource, PartHint, index, open_leaf_into, open_leaf_part, part_for};
use std::sync::Arc;

/// Divisor of a leaf's length: a part up to this size is opened alone.
const PART_SHARE: usize = 4;

/// What lies at the bottom of a record.
enum Base {
    Hole,
    Leaf(Link),
    /// Wherever the last commit has it.
    Stored(Stored),
}

/// One layer's scattered bytes.
struct Step {
    keep: u32,
    pieces: Vec<(u32, Vec<u8>)>,
}

struct RecordPlan {
    recno: u64,
    from: u32,
    until: u32,
    base: Base,
    /// Topmost first.
    steps: Vec<Step>,
}

/// Everything a read needs, apart from the blocks.
pub(crate) struct Plan {
    records: Vec<RecordPlan>,
    len: usize,
}

impl Plan {
    /// Plans `offset..offset + len`, clipped to `size`.
    pub(crate) fn new(file: &FileBody, size: u64, offset: u64, len: u64, record_size: u32) -> Self {
        let len = len.min(size.saturating_sub(offset));
        let plan = |(recno, from, until)| plan_record(file, recno, from, until);
        let records = cut(offset, len, record_size).map(plan).collect();
        Self {
            records,
            len: usize::try_from(len).unwrap_or(usize::MAX),
        }
    }

    /// Fetches, opens and overlays.
    pub(crate) fn run(&self, blocks: &Blocks) -> Result<Buffer> {
        let leaves = self.records.iter().map(|record| record.leaf(blocks));
        let leaves: Vec<Option<Link>> = leaves.collect::<Result<_>>()?;
        let fetched = fetch(blocks, leaves.iter().flatten())?;
        self.answer(blocks, &leaves, fetched)
    }

    /// [`Self::run`], if that takes no wait: everything is in a cache, here or in the store. Errors
    /// are for [`Self::run`] to find again.
    pub(crate) fn run_now(&self, blocks: &Blocks) -> Option<Buffer> {
        let mut leaves = Vec::with_capacity(self.records.len());
        let mut fetched = Vec::with_capacity(self.records.len());
        for record in &self.records {
            let leaf = record.leaf(&Cached(blocks)).ok()?;
            if let Some(link) = &leaf {
                fetched.push(match blocks.holds(&link.cid) {
                    true => None,
                    false => Some(blocks.fetch_now(&link.cid)?),
                });
            }
            leaves.push(leaf);
        }
        self.answer(blocks, &leaves, fetched).ok()
    }

    /// [`Self::run`], if a small part of one large leaf does: opening the rest would cost many
    /// times as much. Unless `rest_follows`, the store keeps it at hand. Errors are for
    /// [`Self::run`] to find again.
    pub(crate) fn run_part(&self, blocks: &Blocks, rest_follows: bool) -> Option<Buffer> {
        let [record] = &self.records[..] else {
            return None;
        };
        let link = record.leaf(blocks).ok().flatten()?;
        let range = record.from as usize..record.until as usize;
        let stored = part_for(&link, &range)?;
        if stored.len() * PART_SHARE > link.len as usize || blocks.holds(&link.cid) {
            return None;
        }
        let hint = match rest_follows {
            true => PartHint::Once,
            false => PartHint::Again,
        };
        let part = blocks.fetch_part(&link.cid, stored, hint)?;
        let mut bytes = Buffer::stale(self.len);
        open_leaf_part(&link, &part, range.start, &mut bytes).ok()?;
        record.lay_over(&mut bytes);
        Some(bytes)
    }

    /// Opens what was fetched, one for each leaf there is, and lays over it what is dirty.
    fn answer(
        &self,
        blocks: &Blocks,
        leaves: &[Option<Link>],
        fetched: Vec<Option<Bytes>>,
    ) -> Result<Buffer> {
        let mut bytes = Buffer::stale(self.len);
        let mut fetched = fetched.into_iter();
        let mut at = 0;
        for (record, leaf) in self.records.iter().zip(leaves) {
            let len = (record.until - record.from) as usize;
            let out = &mut bytes[at..at + len];
            match leaf {
                Some(link) => record.open(blocks, link, fetched.next().flatten(), out)?,
                None => out.fill(0),
            }
            record.lay_over(out);
            at += len;
        }
        Ok(bytes)
    }
}

/// The stored bytes of those leaves that are not cached.
fn fetch<'a>(blocks: &Blocks, leaves: impl Iterator<Item = &'a Link>) -> Result<Vec<Option<Bytes>>> {
    let leaves: Vec<&Link> = leaves.collect();
    let missing = leaves.iter().filter(|link| !blocks.holds(&link.cid));
    let missing: Vec<_> = missing.map(|link| link.cid).collect();
    let mut stored = blocks.fetch_many(&missing)?.into_iter();
    let mut wanted = missing.iter().peekable();
    let each = leaves.iter().map(|link| {
        wanted
            .next_if(|cid| **cid == link.cid)
            .and_then(|_| stored.next())
    });
    Ok(each.collect())
}

fn plan_record(file: &FileBody, recno: u64, from: u32, until: u32) -> RecordPlan {
    let mut plan = RecordPlan {
        recno,
        from,
        until,
        base: Base::Hole,
        steps: Vec::new(),
    };
    for layer in [Some(&file.open), file.frozen.as_deref()].into_iter().flatten() {
        if let Some(base) = plan.through(layer) {
            plan.base = base;
            return plan;
        }
    }
    plan.base = Base::Stored(file.stored.clone());
    plan
}

/// Plans one record of a layer over what is stored: what a commit does with each of its dirty
/// records. Under one that was written whole nothing is read.
pub(crate) fn record_of(
    layer: &Arc<Layer>,
    stored: &Stored,
    recno: u64,
    len: u32,
    blocks: &Blocks,
) -> Result<Buffer> {
    let mut plan = RecordPlan {
        recno,
        from: 0,
        until: len,
        base: Base::Hole,
        steps: Vec::new(),
    };
    plan.base = match (plan.through(layer), layer.records().get(&recno)) {
        (_, Some(Rec::Dirty(dirty))) if dirty.pieces.bytes() >= len as usize => Base::Hole,
        (base, _) => base.unwrap_or_else(|| Base::Stored(stored.clone())),
    };
    let plan = Plan {
        records: vec![plan],
        len: len as usize,
    };
    plan.run(blocks)
}

impl RecordPlan {
    /// Notes what a layer has; answers the base if the search ends there.
    fn through(&mut self, layer: &Layer) -> Option<Base> {
        match layer.records().get(&self.recno) {
            Some(Rec::Hole) => Some(Base::Hole),
            Some(Rec::Clean(link)) => Some(Base::Leaf(link.clone())),
            Some(Rec::Dirty(dirty)) => {
                let pieces = dirty.pieces.within(self.from, self.until);
                let pieces = pieces.map(|(offset, bytes)| (offset, bytes.to_vec())).collect();
                self.steps.push(Step {
                    keep: dirty.keep,
                    pieces,
                });
                match &dirty.under {
                    Under::Below => None,
                    Under::Hole => Some(Base::Hole),
                    Under::Leaf(link) => Some(Base::Leaf(link.clone())),
                }
            }
            None => (self.recno >= layer.floor).then_some(Base::Hole),
        }
    }

    /// The leaf at the bottom, if there is one.
    fn leaf(&self, nodes: &impl NodeSource) -> Result<Option<Link>> {
        Ok(match &self.base {
            Base::Leaf(link) => Some(link.clone()),
            Base::Stored(Stored::Leaf(link)) if self.recno == 0 => Some(link.clone()),
            Base::Stored(Stored::Index(root)) => index::get(nodes, Some(root), self.recno)?,
            Base::Hole | Base::Stored(_) => None,
        })
    }

    /// Opens the leaf, or what was fetched of it, into `out`, whatever that held.
    fn open(&self, blocks: &Blocks, link: &Link, fetched: Option<Bytes>, out: &mut [u8]) -> Result<()> {
        let plain = match fetched {
            Some(stored)
                if self.from == 0 && link.form == Form::Plain && plain_len(link) == out.len() as u64 =>
            {
                return Ok(open_leaf_into(link, &stored, out)?);
            }
            Some(stored) => blocks.keep_leaf(link, stored)?,
            None => blocks.leaf(link)?,
        };
        self.copy(&plain, out);
        Ok(())
    }

    /// Lays what is dirty over what lies at the bottom.
    fn lay_over(&self, out: &mut [u8]) {
        if let Base::Stored(Stored::Inline(bytes)) = &self.base
            && self.recno == 0
        {
            self.copy(bytes, out);
        }
        for step in self.steps.iter().rev() {
            let keep = (step.keep.max(self.from) - self.from) as usize;
            if let Some(gone) = out.get_mut(keep..) {
                gone.fill(0);
            }
            for (offset, bytes) in &step.pieces {
                let at = (offset - self.from) as usize;
                out[at..at + bytes.len()].copy_from_slice(bytes);
            }
        }
    }

    /// What a leaf holds of the range; a leaf that ends early ends in zeros.
    fn copy(&self, plain: &[u8], out: &mut [u8]) {
        let until = plain.len().min(self.until as usize);
        let part = plain.get(self.from as usize..until).unwrap_or_default();
        let (head, tail) = out.split_at_mut(part.len());
        head.copy_from_slice(part);
        tail.fill(0);
    }
}

#[cfg(test)]
mod tests;
