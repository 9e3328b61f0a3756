//! What a commit makes of a file's layer: inline bytes, one leaf, or an index.
//!
//! ```text
//!   dirty records of all files --a few threads: gather, seal, put--> links --one thread--> index of each file
//! ```
//!
//! Nothing here holds the engine's lock: the layers are frozen.

use crate::Result;
use crate::blocks::{Blocks, Writer};
use crate::engine::Config;
use crate::freeze::{Item, Work};
use crate::layer::{Dirty, Layer, Rec, Under, plain_len};
use crate::read::record_of;
use crate::record::Stored;
use crate::spread::spread;
use cairn_merkle::index::{self, IndexRoot};
use cairn_merkle::{Link, NodeSink};
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A file up to this size lies in its inode: half a page, so that a directory's leaf holds several.
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

    fn seal(&self, writer: &Writer<'_>, blocks: &Blocks, recno: u64, record_size: u32) -> Result<Made> {
        let bytes = record_of(
            self.layer,
            self.stored,
            recno,
            self.len(recno, record_size),
            blocks,
        )?;
        if self.single && self.item.meta.size <= INLINE_MAX {
            return Ok(Made::Inline(Arc::from(&*bytes)));
        }
        Ok(Made::Leaf(writer.put_leaf(&bytes)?))
    }
}

/// Writes the contents of all files among `items`; answers them by their place there. Of those that are dead it drops
/// `config.destroy_leaves` leaves or a little more; what is left of them stays their content.
pub(crate) fn write(
    blocks: &Blocks,
    writer: &Writer<'_>,
    items: &[Item],
    record_size: u32,
    config: &Config,
) -> Result<Vec<Option<NewContent>>> {
    let files: Vec<Option<File<'_>>> = items.iter().map(File::new).collect();
    let mut jobs = Vec::new();
    for (at, file) in files.iter().enumerate() {
        if let Some(file) = file.as_ref().filter(|file| !file.item.dead) {
            jobs.extend(file.to_seal(record_size).map(|recno| (at, recno)));
        }
    }
    // Files made one after the other are often read so: their leaves lie behind each other.
    jobs.sort_unstable_by_key(|(at, recno)| (items[*at].meta.ino, *recno));
    let made = Mutex::new(MadeByFile::default());
    let seal = |(at, recno): &(usize, u64)| {
        let file = files[*at].as_ref().expect("only files have jobs");
        let done = file.seal(writer, blocks, *recno, record_size)?;
        made.lock().entry(*at).or_default().insert(*recno, done);
        Ok(())
    };
    spread(&jobs, config.workers, &seal)?;
    let mut made = made.into_inner();
    let mut budget = config.destroy_leaves;
    let mut contents = Vec::with_capacity(items.len());
    for (at, file) in files.iter().enumerate() {
        contents.push(match file {
            None => None,
            Some(file) if file.item.dead => Some(drop_dead(blocks, writer, file, &mut budget)?),
            Some(file) => Some(assemble(
                blocks,
                writer,
                file,
                made.remove(&at).unwrap_or_default(),
            )?),
        });
    }
    Ok(contents)
}

type MadeByFile = FxHashMap<usize, BTreeMap<u64, Made>>;

/// What a dead file has is dropped, as far as `budget` leaves reach; the rest is left to the next commits.
fn drop_dead(
    blocks: &Blocks,
    writer: &Writer<'_>,
    file: &File<'_>,
    budget: &mut usize,
) -> Result<NewContent> {
    for rec in file.layer.records().values() {
        if let Some(link) = rec.clone().into_link() {
            writer.drop_block(&link)?;
        }
    }
    let root = match file.stored {
        Stored::Index(root) => root.clone(),
        Stored::Leaf(_) | Stored::None | Stored::Inline(_) | Stored::Tree(_) => {
            drop_all_stored(blocks, writer, file.stored)?;
            return Ok(NewContent {
                stored: Stored::None,
                bytes: 0,
            });
        }
    };
    if *budget == 0 {
        return Ok(NewContent {
            stored: Stored::Index(root),
            bytes: file.item.meta.stored,
        });
    }
    let mut dropped = Vec::new();
    let rest = index::destroy_some(blocks, writer, root, *budget, &mut |link| {
        dropped.push(link.clone())
    })?;
    *budget = budget.saturating_sub(dropped.len());
    let gone: u64 = dropped.iter().map(plain_len).sum();
    dropped.iter().try_for_each(|link| writer.drop_block(link))?;
    Ok(NewContent {
        bytes: match rest {
            Some(_) => file.item.meta.stored.saturating_sub(gone),
            None => 0,
        },
        stored: rest.map_or(Stored::None, Stored::Index),
    })
}

/// Puts a file's new records into its old content.
fn assemble(
    blocks: &Blocks,
    writer: &Writer<'_>,
    file: &File<'_>,
    made: BTreeMap<u64, Made>,
) -> Result<NewContent> {
    let bytes = file.item.meta.stored;
    if file.layer.is_empty() {
        return Ok(NewContent {
            stored: file.stored.clone(),
            bytes,
        });
    }
    // The leaf below scattered writes has been sealed anew together with them.
    for rec in file.layer.records().values() {
        if let Rec::Dirty(Dirty {
            under: Under::Leaf(link),
            ..
        }) = rec
        {
            writer.drop_block(link)?;
        }
    }
    if file.single {
        single(blocks, writer, file, made)
    } else {
        indexed(blocks, writer, file, made)
    }
}

fn single(
    blocks: &Blocks,
    writer: &Writer<'_>,
    file: &File<'_>,
    mut made: BTreeMap<u64, Made>,
) -> Result<NewContent> {
    let stored = match (file.layer.records().get(&0), made.remove(&0)) {
        (_, Some(Made::Inline(bytes))) => Stored::Inline(bytes),
        (_, Some(Made::Leaf(link))) => Stored::Leaf(link),
        (Some(Rec::Clean(link)), None) => Stored::Leaf(link.clone()),
        (None, None) if file.layer.floor > 0 => {
            return Ok(NewContent {
                stored: file.stored.clone(),
                bytes: file.item.meta.stored,
            });
        }
        _ => Stored::None,
    };
    drop_all_stored(blocks, writer, file.stored)?;
    let bytes = match &stored {
        Stored::Inline(bytes) => bytes.len() as u64,
        Stored::Leaf(link) => plain_len(link),
        _ => 0,
    };
    Ok(NewContent { stored, bytes })
}

fn drop_all_stored(blocks: &Blocks, writer: &Writer<'_>, stored: &Stored) -> Result<()> {
    match stored {
        Stored::Leaf(link) => writer.drop_block(link)?,
        Stored::Index(root) => drop(truncate(blocks, writer, Some(root.clone()), 0, &mut |_| {})?),
        Stored::None | Stored::Inline(_) | Stored::Tree(_) => {}
    }
    Ok(())
}

fn indexed(
    blocks: &Blocks,
    writer: &Writer<'_>,
    file: &File<'_>,
    made: BTreeMap<u64, Made>,
) -> Result<NewContent> {
    // Of a file that was emptied nothing stays, also where a damaged index does not tell what it held.
    let emptied = file.layer.floor == 0;
    let mut gone = 0;
    let mut changes: BTreeMap<u64, Option<Link>> = BTreeMap::new();
    for (recno, rec) in file.layer.records() {
        changes.insert(
            *recno,
            match rec {
                Rec::Clean(link) => Some(link.clone()),
                Rec::Hole | Rec::Dirty(_) => None,
            },
        );
    }
    for (recno, made) in made {
        if let Made::Leaf(link) = made {
            changes.insert(recno, Some(link));
        }
    }
    let added: u64 = changes.values().flatten().map(plain_len).sum();
    let root = match file.stored {
        Stored::Index(root) => truncate(blocks, writer, Some(root.clone()), file.layer.floor, &mut |len| {
            gone += len
        })?,
        Stored::Leaf(link) if emptied || changes.contains_key(&0) => {
            gone += plain_len(link);
            writer.drop_block(link)?;
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
    let mut dropped = Vec::new();
    let root = index::apply(blocks, writer, root, &changes, &mut |link| {
        dropped.push(link.clone())
    })?;
    for link in dropped {
        gone += plain_len(&link);
        writer.drop_block(&link)?;
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
    blocks: &Blocks,
    writer: &Writer<'_>,
    root: Option<IndexRoot>,
    first: u64,
    gone: &mut dyn FnMut(u64),
) -> Result<Option<IndexRoot>> {
    if first == u64::MAX {
        return Ok(root);
    }
    let mut dropped = Vec::new();
    let root = index::truncate(blocks, writer, root, first, &mut |link| {
        dropped.push(link.clone())
    })?;
    for link in dropped {
        gone(plain_len(&link));
        writer.drop_block(&link)?;
    }
    // Whoever changes the tree next reads what was just put.
    writer.flush()?;
    Ok(root)
}
