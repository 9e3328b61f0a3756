//! Reading a volume that is not mounted: paths to inodes, listings, a file's bytes.

use crate::clock;
use crate::error::{Error, Result};
use cairn_fs::{Attr, DirCookie, DirEntry, Engine, InodeNo, Kind, Name, Operations};
use serde::Serialize;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

/// Entries asked of the engine at once.
const BATCH: usize = 1024;
/// Bytes asked of the engine at once: eight records of the default size.
const READ_BYTES: usize = 1 << 20;

/// One line of a listing. Of an inode that cannot be read only the name, the number and the kind
/// are known.
#[derive(Debug, Serialize)]
pub(crate) struct Entry {
    /// Name (bytes that are no UTF-8 are replaced).
    pub(crate) name: String,
    /// Inode number.
    pub(crate) ino: u64,
    /// `file`, `directory`, …
    pub(crate) kind: &'static str,
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
    pub(crate) damage: Option<cairn_fs::Error>,
}

/// The entries of a directory; a file lists itself.
///
/// # Errors
/// What finding the directory, or a store that fails, ended with. Damage within the directory ends
/// nothing.
pub(crate) fn list(engine: &Engine, path: &Path) -> Result<Listing> {
    let attr = walk(engine, path)?;
    if attr.kind != Kind::Directory {
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        let entries = vec![Entry::new(name, &attr)];
        return Ok(Listing {
            entries,
            damage: None,
        });
    }
    let (mut entries, mut damage) = (Vec::new(), None);
    let mut after = DirCookie::default();
    loop {
        // Its last batch is the error, if names are missing.
        let batch = match engine.readdir(attr.ino, after, BATCH, true) {
            Err(error) if is_damage(&error) => {
                damage = Some(error);
                break;
            }
            batch => batch?,
        };
        let Some(last) = batch.last() else { break };
        after = last.cookie;
        for entry in &batch {
            let name = String::from_utf8_lossy(entry.name.as_bytes()).into_owned();
            match entry.attr.map_or_else(|| unlisted(engine, attr.ino, entry), Ok) {
                Ok(attr) => entries.push(Entry::new(name, &attr)),
                Err(error) if is_damage(&error) => {
                    entries.push(Entry::unread(name, entry));
                    damage = Some(error);
                }
                Err(error) => return Err(error.into()),
            }
        }
    }
    entries.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Listing { entries, damage })
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
    let attr = walk(engine, path)?;
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

fn written(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Error::NoReader,
        _ => Error::io("cannot write to standard output", error),
    }
}

/// From the root down. Symbolic links are not followed: what they lead to may lie outside the
/// volume.
fn walk(engine: &Engine, path: &Path) -> Result<Attr> {
    let mut attr = engine.getattr(InodeNo::ROOT)?;
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
        let found = Name::new(name.as_bytes()).and_then(|name| engine.lookup(attr.ino, &name));
        attr = found.map_err(|error| match error {
            cairn_fs::Error::NoEntry | cairn_fs::Error::NotDirectory => Error::Usage(format!(
                "{}: no such file or directory in the volume (at `{}`)",
                path.display(),
                name.to_string_lossy()
            )),
            error => error.into(),
        })?;
    }
    Ok(attr)
}

impl Entry {
    pub(crate) fn new(name: String, attr: &Attr) -> Self {
        Self {
            name,
            ino: attr.ino.0,
            kind: word(attr.kind),
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
            kind: word(entry.kind),
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
