//! What a commit makes of a file's layer: inline bytes, one leaf, or an index.
//!
//! ```text
//!   dirty records of all files --a few threads: gather, seal, put--> links --one thread--> index of each file
//! ```
//!
//! Nothing here holds the engine's lock: the layers are frozen.
//!
//! New bytes may lie over a damaged leaf, or below a damaged node of the index. Such a record
//! stays what it was: its rest cannot be had, and a record is stored whole. All other records of
//! the file are written (losses.rs).

use crate::blocks::{Blocks, Writer};
use crate::data::layer::{Dirty, Layer, Rec, Under, plain_len};
use crate::data::plan::record_of;
use crate::data::spread::spread;

use crate::{Config, Error, Result};

use crate::commit::epoch::{Item, Work};
use crate::commit::losses::Losses;
use crate::stored::record::Stored;
use cairn_merkle::index::{self, IndexRoot};
use cairn_merkle::{Link, NodeSink};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A file up to this size lies in its inode: half a page, so that a directory's leaf holds
/// several.
const INLINE_MAX: u64 = 2048;

/// A file's bytes as the commit stores them.
pub(crate) struct NewContent {
    pub(crate) stored: Stored,
    /// Plain bytes in it.
    pub(crate) bytes: u64,
}

/// What a dirty record became.
enum Made {
    Inline(Arc<[u8]>),
    Leaf(Link),
    /// What lies under it is damaged: this leaf of the same epoch, or what is stored.
    Kept(Option<Link>),
}

type MadeByFile = FxHashMap<usize, BTreeMap<u64, Made>>;

/// What a commit writes contents with.
#[derive(Clone, Copy)]
pub(crate) struct Contents<'a> {
    pub(crate) blocks: &'a Blocks,
    pub(crate) writer: &'a Writer<'a>,
    pub(crate) losses: &'a Losses,
    pub(crate) record_size: u32,
}

/// One file on its way.
struct File<'a> {
    item: &'a Item,
    stored: &'a Stored,
    layer: &'a Arc<Layer>,
    single: bool,
}

impl<'a> File<'a> {
    fn new(item: &'a Item) -> Option<Self> {
        let Work::File { stored, layer } = &item.work else {
            return None;
        };
        let only_first = layer.records().keys().all(|recno| *recno == 0);
        let single = only_first && (layer.floor == 0 || !matches!(stored, Stored::Index(_)));
        Some(Self {
            item,
            stored,
            layer,
            single,
        })
    }

    fn len(&self, recno: u64, record_size: u32) -> u32 {
        let left = self.item.meta.size.saturating_sub(recno * u64::from(record_size));
        u32::try_from(left).unwrap_or(u32::MAX).min(record_size)
    }

    /// Records that have to be sealed.
    fn to_seal(&self, record_size: u32) -> impl Iterator<Item = u64> {
        let dirty = self
            .layer
            .records()
            .iter()
            .filter(|(_, rec)| matches!(rec, Rec::Dirty(_)))
            .map(|(recno, _)| *recno);
        // Inline bytes move out of the inode when other records join them.
        let first = !self.single
            && matches!(self.stored, Stored::Inline(_))
            && self.layer.floor > 0
            && !self.layer.records().contains_key(&0);
        let first = first.then_some(0);
        first
            .into_iter()
            .chain(dirty)
            .filter(move |recno| self.len(*recno, record_size) > 0)
    }

    /// Its content as it was.
    fn unchanged(&self) -> NewContent {
        NewContent {
            stored: self.stored.clone(),
            bytes: self.item.meta.stored,
        }
    }

    /// What an index is to have of the changed records. One that stays as it was is no change.
    fn changes(&self, mut made: BTreeMap<u64, Made>) -> BTreeMap<u64, Option<Link>> {
        let mut changes = BTreeMap::new();
        for (recno, rec) in self.layer.records() {
            let link = match (rec, made.remove(recno)) {
                (_, Some(Made::Kept(None))) => continue,
                (_, Some(Made::Leaf(link) | Made::Kept(Some(link)))) => Some(link),
                (Rec::Clean(link), _) => Some(link.clone()),
                (Rec::Hole | Rec::Dirty(_), _) => None,
            };
            changes.insert(*recno, link);
        }
        // The first bytes, which moved out of the inode.
        for (recno, made) in made {
            if let Made::Leaf(link) = made {
                changes.insert(recno, Some(link));
            }
        }
        changes
    }

    /// Whether a record was written to: it may also be dirty for being cut.
    fn has_bytes(&self, recno: u64) -> bool {
        let rec = self.layer.records().get(&recno);
        matches!(rec, Some(Rec::Dirty(dirty)) if dirty.pieces.bytes() > 0)
    }

    /// Whether all of a record was written.
    fn is_whole(&self, recno: u64, len: u32) -> bool {
        let rec = self.layer.records().get(&recno);
        matches!(rec, Some(Rec::Dirty(dirty)) if dirty.is_whole(len))
    }

    /// The leaf under a partly dirty record, if it is of the same epoch.
    fn under(&self, recno: u64) -> Option<&Link> {
        match self.layer.records().get(&recno)? {
            Rec::Dirty(Dirty {
                under: Under::Leaf(link),
                ..
            }) => Some(link),
            Rec::Dirty(_) | Rec::Hole | Rec::Clean(_) => None,
        }
    }
}

impl Contents<'_> {
    /// Writes the contents of all files among `items`; answers them by their place there. Of those
    /// that are dead it drops `config.destroy_leaves` leaves or a little more; what is left of
    /// them stays their content.
    pub(crate) fn write(self, items: &[Item], config: &Config) -> Result<Vec<Option<NewContent>>> {
        let files: Vec<Option<File<'_>>> = items.iter().map(File::new).collect();
        let mut jobs = Vec::new();
        for (at, file) in files.iter().enumerate() {
            if let Some(file) = file.as_ref().filter(|file| !file.item.dead) {
                jobs.extend(file.to_seal(self.record_size).map(|recno| (at, recno)));
            }
        }
        // Files made one after the other are often read so: their leaves lie behind each other.
        jobs.sort_unstable_by_key(|(at, recno)| (items[*at].meta.ino, *recno));
        let made = Mutex::new(MadeByFile::default());
        let seal = |(at, recno): &(usize, u64)| {
            let file = files[*at].as_ref().expect("only files have jobs");
            if let Some(done) = self.seal(file, *recno)? {
                made.lock().entry(*at).or_default().insert(*recno, done);
            }
            Ok(())
        };
        // All leaves first, in any order and on all cores: an index needs the links of its file.
        spread(&jobs, config.workers, &seal)?;
        let mut made = made.into_inner();
        let mut budget = config.destroy_leaves;
        let mut contents = Vec::with_capacity(items.len());
        for (at, file) in files.iter().enumerate() {
            contents.push(match file {
                None => None,
                Some(file) if file.item.dead => Some(self.drop_dead(file, &mut budget)?),
                Some(file) => Some(self.assemble(file, made.remove(&at).unwrap_or_default())?),
            });
        }
        Ok(contents)
    }

    /// What a record becomes; `None` for a hole.
    fn seal(self, file: &File<'_>, recno: u64) -> Result<Option<Made>> {
        let len = file.len(recno, self.record_size);
        let bytes = match record_of(file.layer, file.stored, recno, len, self.blocks) {
            Err(Error::Merkle(error)) if error.damaged().is_some() => {
                match file.has_bytes(recno) {
                    true => self.losses.record(file.item.meta.ino, recno, &error),
                    false => self.losses.kept(file.item.meta.ino, &error),
                }
                return Ok(Some(Made::Kept(file.under(recno).cloned())));
            }
            read => read?,
        };
        if file.single && file.item.meta.size <= INLINE_MAX {
            return Ok(Some(Made::Inline(Arc::from(&*bytes))));
        }
        let link = self.writer.put_record(&bytes, file.is_whole(recno, len))?;
        Ok(link.map(Made::Leaf))
    }

    /// What a dead file has is dropped, as far as `budget` leaves reach; the rest is left to the
    /// next commits.
    fn drop_dead(self, file: &File<'_>, budget: &mut usize) -> Result<NewContent> {
        for rec in file.layer.records().values() {
            if let Some(link) = rec.clone().into_link() {
                self.writer.drop_block(&link)?;
            }
        }
        let root = match file.stored {
            Stored::Index(root) => root.clone(),
            Stored::Leaf(_) | Stored::None | Stored::Inline(_) | Stored::Tree(_) => {
                self.drop_all_stored(file)?;
                return Ok(NewContent {
                    stored: Stored::None,
                    bytes: 0,
                });
            }
        };
        // Its row among the orphans keeps the rest: after a crash the next mount goes on.
        if *budget == 0 {
            return Ok(NewContent {
                stored: Stored::Index(root),
                bytes: file.item.meta.stored,
            });
        }
        let mut dropped = Vec::new();
        let mut drop = |link: &Link| dropped.push(link.clone());
        let rest = index::destroy_some(
            self.blocks,
            self.writer,
            root,
            *budget,
            &mut drop,
            &mut self.cut_around(file),
        )?;
        *budget = budget.saturating_sub(dropped.len());
        let gone: u64 = dropped.iter().map(plain_len).sum();
        dropped.iter().try_for_each(|link| self.writer.drop_block(link))?;
        Ok(NewContent {
            bytes: match rest {
                Some(_) => file.item.meta.stored.saturating_sub(gone),
                None => 0,
            },
            stored: rest.map_or(Stored::None, Stored::Index),
        })
    }

    /// Puts a file's new records into its old content.
    fn assemble(self, file: &File<'_>, made: BTreeMap<u64, Made>) -> Result<NewContent> {
        if file.layer.is_empty() {
            return Ok(file.unchanged());
        }
        // The leaf below scattered writes has been sealed anew together with them.
        for recno in file.layer.records().keys() {
            if let Some(link) = file.under(*recno)
                && !matches!(made.get(recno), Some(Made::Kept(_)))
            {
                self.writer.drop_block(link)?;
            }
        }
        if file.single {
            self.single(file, made)
        } else {
            self.indexed(file, made)
        }
    }

    fn single(self, file: &File<'_>, mut made: BTreeMap<u64, Made>) -> Result<NewContent> {
        let stored = match (file.layer.records().get(&0), made.remove(&0)) {
            (_, Some(Made::Inline(bytes))) => Stored::Inline(bytes),
            (_, Some(Made::Leaf(link) | Made::Kept(Some(link)))) => Stored::Leaf(link),
            (_, Some(Made::Kept(None))) => return Ok(file.unchanged()),
            (Some(Rec::Clean(link)), None) => Stored::Leaf(link.clone()),
            (None, None) if file.layer.floor > 0 => return Ok(file.unchanged()),
            _ => Stored::None,
        };
        // Behind the cases that keep the old content.
        self.drop_all_stored(file)?;
        let bytes = match &stored {
            Stored::Inline(bytes) => bytes.len() as u64,
            Stored::Leaf(link) => plain_len(link),
            _ => 0,
        };
        Ok(NewContent { stored, bytes })
    }

    fn drop_all_stored(self, file: &File<'_>) -> Result<()> {
        match file.stored {
            Stored::Leaf(link) => self.writer.drop_block(link)?,
            Stored::Index(root) => drop(self.truncate(file, root.clone(), 0, &mut |_| {})?),
            Stored::None | Stored::Inline(_) | Stored::Tree(_) => {}
        }
        Ok(())
    }

    fn indexed(self, file: &File<'_>, made: BTreeMap<u64, Made>) -> Result<NewContent> {
        // Of a file that was emptied nothing stays, also where a damaged index does not tell what
        // it held.
        let emptied = file.layer.floor == 0;
        let mut gone = 0;
        let mut changes = file.changes(made);
        let mut added: u64 = changes.values().flatten().map(plain_len).sum();
        // Cut before the changes: the layer may have new records beyond its cut.
        let root = match file.stored {
            Stored::Index(root) => {
                self.truncate(file, root.clone(), file.layer.floor, &mut |len| gone += len)?
            }
            Stored::Leaf(link) if emptied || changes.contains_key(&0) => {
                gone += plain_len(link);
                self.writer.drop_block(link)?;
                None
            }
            Stored::Leaf(link) => {
                changes.insert(0, Some(link.clone()));
                None
            }
            Stored::Inline(bytes) => {
                gone += bytes.len() as u64;
                None
            }
            Stored::None | Stored::Tree(_) => None,
        };
        let (mut dropped, mut unplaced) = (Vec::new(), Vec::new());
        let mut drop = |link: &Link| dropped.push(link.clone());
        let left_out: &mut index::LeftOut<'_> = &mut |_, error, changes| {
            for (recno, link) in changes {
                match link {
                    Some(_) => self.losses.record(file.item.meta.ino, *recno, &error),
                    None => self.losses.kept(file.item.meta.ino, &error),
                }
                unplaced.extend(link.iter().cloned());
            }
            Ok(())
        };
        let root = index::apply(self.blocks, self.writer, root, &changes, &mut drop, left_out)?;
        added -= unplaced.iter().map(plain_len).sum::<u64>();
        gone += dropped.iter().map(plain_len).sum::<u64>();
        // A leaf without a place goes with the replaced ones: no tree would ever drop it.
        for link in dropped.iter().chain(&unplaced) {
            self.writer.drop_block(link)?;
        }
        let bytes = match emptied {
            true => added,
            false => (file.item.meta.stored + added).saturating_sub(gone),
        };
        Ok(NewContent {
            stored: root.map_or(Stored::None, Stored::Index),
            bytes,
        })
    }

    /// Cuts an index, drops its leaves from `first` on, and tells how long each was.
    fn truncate(
        self,
        file: &File<'_>,
        root: IndexRoot,
        first: u64,
        gone: &mut dyn FnMut(u64),
    ) -> Result<Option<IndexRoot>> {
        if first == u64::MAX {
            return Ok(Some(root));
        }
        let mut dropped = Vec::new();
        let mut drop = |link: &Link| dropped.push(link.clone());
        let (blocks, writer) = (self.blocks, self.writer);
        let left_out = &mut self.cut_around(file);
        let root = index::truncate(blocks, writer, Some(root), first, &mut drop, left_out)?;
        for link in dropped {
            gone(plain_len(&link));
            writer.drop_block(&link)?;
        }
        // The next change of the tree reads what was just put.
        writer.flush()?;
        Ok(root)
    }

    /// A cut leaves a damaged node whole of which something is to stay.
    fn cut_around(
        self,
        file: &File<'_>,
    ) -> impl FnMut(&Link, cairn_merkle::Error, &[index::Change<'_>]) -> cairn_merkle::Result<()> {
        let (losses, ino) = (self.losses, file.item.meta.ino);
        move |_, error, _| {
            losses.kept(ino, &error);
            Ok(())
        }
    }
}
