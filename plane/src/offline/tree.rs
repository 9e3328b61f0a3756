//! Reading an engine by paths, in a command or in the daemon: listings, a file's bytes.

use crate::clock;
use crate::error::{Error, Result};
use crate::output::written;
use cairn_fs::{Access, Attr, DirCookie, DirEntry, Engine, InodeNo, Kind, Name, Operations};
use serde::{Deserialize, Serialize};
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

/// Entries asked of the engine at once. In JSON they fit a frame to a client of the daemon.
const BATCH: usize = 512;
/// Bytes asked of the engine at once: eight records of the default size.
const READ_BYTES: usize = 1 << 20;

/// One line of a listing. Of an inode that cannot be read only the name, the number and the kind
/// are known.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// Name (bytes that are no UTF-8 are replaced).
    pub(crate) name: String,
    /// Inode number.
    pub(crate) ino: u64,
    /// `file`, `directory`, …
    pub(crate) kind: String,
    /// Permission bits.
    pub(crate) mode: Option<u32>,
    /// Owner.
    pub(crate) uid: Option<u32>,
    /// Group.
    pub(crate) gid: Option<u32>,
    /// Size in bytes.
    pub(crate) size: Option<u64>,
    /// Seconds since 1970 of the last change of content.
    pub(crate) mtime: Option<i64>,
}

/// A directory, as far as it can be read.
pub(crate) struct Listing {
    /// Sorted by name.
    pub(crate) entries: Vec<Entry>,
    /// Damage that was met on the way, the last of it.
    pub(crate) damage: Option<Error>,
}

impl Listing {
    /// All entries of a directory; a file lists itself.
    ///
    /// # Errors
    /// As [`list`].
    pub(crate) fn read(engine: &Engine, path: &Path) -> Result<Self> {
        let mut entries = Vec::new();
        let damage = list(engine, path, &mut |batch| {
            entries.extend(batch);
            Ok(())
        })?;
        Ok(Self::sorted(entries, damage.map(Error::from)))
    }

    /// Of entries in any order.
    pub(crate) fn sorted(mut entries: Vec<Entry>, damage: Option<Error>) -> Self {
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Self { entries, damage }
    }
}

/// Hands out the entries of a directory in the directory's order, some hundred at a time; a file
/// lists itself. Answers the last damage that was met.
///
/// # Errors
/// What finding the directory, or a store that fails, ended with. Damage within the directory ends
/// nothing.
pub(crate) fn list(
    engine: &Engine,
    path: &Path,
    each: &mut dyn FnMut(Vec<Entry>) -> Result<()>,
) -> Result<Option<cairn_fs::Error>> {
    let found = walk(engine, path)?;
    let attr = &found.attr;
    if attr.kind != Kind::Directory {
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        each(vec![Entry::new(name, attr)])?;
        return Ok(None);
    }
    // No directory of the tree: its names have no places.
    if attr.ino == InodeNo::SNAPSHOTS {
        return list_open(engine, attr.ino, each);
    }
    // Open, it keeps the places of its names, whatever comes and goes meanwhile.
    engine.open_file(attr.ino, Access::Read)?;
    let listed = list_open(engine, attr.ino, each);
    engine.release(attr.ino);
    listed
}

fn list_open(
    engine: &Engine,
    dir: InodeNo,
    each: &mut dyn FnMut(Vec<Entry>) -> Result<()>,
) -> Result<Option<cairn_fs::Error>> {
    let mut damage = None;
    let mut after = DirCookie::default();
    loop {
        // Its last batch is the error, if names are missing.
        let batch = match engine.readdir(dir, after, BATCH, true) {
            Err(error) if is_damage(&error) => return Ok(Some(error)),
            batch => batch?,
        };
        let Some(last) = batch.last() else {
            return Ok(damage);
        };
        after = last.cookie;
        let mut entries = Vec::with_capacity(batch.len());
        for entry in &batch {
            let name = String::from_utf8_lossy(entry.name.as_bytes()).into_owned();
            match entry.attr.map_or_else(|| unlisted(engine, dir, entry), Ok) {
                Ok(attr) => entries.push(Entry::new(name, &attr)),
                Err(error) if is_damage(&error) => {
                    entries.push(Entry::unread(name, entry));
                    damage = Some(error);
                }
                // Removed since it was listed.
                Err(cairn_fs::Error::NoEntry) => {}
                Err(error) => return Err(error.into()),
            }
        }
        each(entries)?;
    }
}

/// Attributes that a listing left out: why it did.
fn unlisted(engine: &Engine, dir: InodeNo, entry: &DirEntry) -> cairn_fs::Result<Attr> {
    let found = engine.lookup(dir, &entry.name)?;
    engine.forget(found.ino, 1);
    Ok(found)
}

fn is_damage(error: &cairn_fs::Error) -> bool {
    matches!(error, cairn_fs::Error::Merkle(error) if error.damaged().is_some())
}

/// Writes a file's bytes.
pub(crate) fn copy(engine: &Engine, path: &Path, out: &mut dyn Write) -> Result<()> {
    let found = walk(engine, path)?;
    let attr = &found.attr;
    if attr.kind != Kind::File {
        return Err(Error::Usage(format!(
            "{} is a {}, and only files can be written out",
            path.display(),
            word(attr.kind)
        )));
    }
    let mut offset = 0;
    while offset < attr.size {
        let bytes = engine.read(attr.ino, offset, READ_BYTES)?;
        if bytes.is_empty() {
            break;
        }
        out.write_all(&bytes).map_err(written)?;
        offset += bytes.len() as u64;
    }
    out.flush().map_err(written)
}

/// An inode that a path leads to. It stays usable while this lives, whatever becomes of its names.
struct Found<'a> {
    engine: &'a Engine,
    attr: Attr,
}

impl Drop for Found<'_> {
    fn drop(&mut self) {
        // The root was not looked up.
        if self.attr.ino != InodeNo::ROOT {
            self.engine.forget(self.attr.ino, 1);
        }
    }
}

/// From the root down. Symbolic links are not followed: what they lead to may lie outside the
/// volume.
fn walk<'a>(engine: &'a Engine, path: &Path) -> Result<Found<'a>> {
    let mut found = Found {
        engine,
        attr: engine.getattr(InodeNo::ROOT)?,
    };
    for component in path.components() {
        let name = match component {
            Component::RootDir | Component::CurDir => continue,
            Component::Normal(name) => name,
            Component::ParentDir | Component::Prefix(_) => {
                return Err(Error::Usage(format!(
                    "{}: write the path without `..`",
                    path.display()
                )));
            }
        };
        let next = Name::new(name.as_bytes()).and_then(|name| engine.lookup(found.attr.ino, &name));
        let attr = next.map_err(|error| match error {
            cairn_fs::Error::NoEntry | cairn_fs::Error::NotDirectory => Error::Usage(format!(
                "{}: no such file or directory in the volume (at `{}`)",
                path.display(),
                name.to_string_lossy()
            )),
            error => error.into(),
        })?;
        found = Found { engine, attr };
    }
    Ok(found)
}

/// Why there is no proof of a path.
pub(crate) fn unproven(path: &Path, error: cairn_fs::Error) -> Error {
    match error {
        cairn_fs::Error::TooLarge => Error::Usage(format!(
            "{} is above 64 MiB, which is more than a proof carries: prove it without --content",
            path.display()
        )),
        cairn_fs::Error::Invalid(why) => Error::Usage(format!("{}: {why}", path.display())),
        error => error.into(),
    }
}

impl Entry {
    pub(crate) fn new(name: String, attr: &Attr) -> Self {
        Self {
            name,
            ino: attr.ino.0,
            kind: word(attr.kind).into(),
            mode: Some(attr.mode),
            uid: Some(attr.uid),
            gid: Some(attr.gid),
            size: Some(attr.size),
            mtime: Some(attr.mtime.parts().0),
        }
    }

    fn unread(name: String, entry: &DirEntry) -> Self {
        Self {
            name,
            ino: entry.ino.0,
            kind: word(entry.kind).into(),
            mode: None,
            uid: None,
            gid: None,
            size: None,
            mtime: None,
        }
    }

    /// Like `ls -l`.
    pub(crate) fn long(&self) -> String {
        let Self {
            name,
            mode,
            uid,
            gid,
            size,
            mtime,
            kind,
            ..
        } = self;
        let (Some(mode), Some(uid), Some(gid), Some(size), Some(mtime)) = (mode, uid, gid, size, mtime)
        else {
            return format!("{kind:<9} ???? {0:>5} {0:>5} {0:>12} {0:<19} {name}", "?");
        };
        format!(
            "{kind:<9} {mode:04o} {uid:>5} {gid:>5} {size:>12} {} {name}",
            clock::date(*mtime)
        )
    }
}

/// What a kind is called.
pub(crate) fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::File => "file",
        Kind::Directory => "directory",
        Kind::Symlink => "symlink",
        Kind::Fifo => "fifo",
        Kind::Socket => "socket",
        Kind::CharDevice => "chardev",
        Kind::BlockDevice => "blockdev",
    }
}
