//! Where the inodes in memory stand in the tree: below which directory, under which path.

use crate::namespace::inode::{Content, Home};
use crate::namespace::inodes::Inodes;
use crate::{Error, InodeNo, Name, Result};

impl Inodes {
    /// Whether a directory is empty, with its open and frozen changes.
    ///
    /// # Errors
    /// [`Error::NoEntry`], [`Error::NotDirectory`].
    pub(crate) fn is_empty_dir(&self, ino: InodeNo) -> Result<bool> {
        let inode = self.get(ino)?;
        match &inode.content {
            Content::Dir(_) => Ok(inode.meta.size == 0),
            _ => Err(Error::NotDirectory),
        }
    }

    /// Whether `ino` is `ancestor` or lies below it.
    pub(crate) fn is_within(&self, mut ino: InodeNo, ancestor: InodeNo) -> bool {
        loop {
            if ino == ancestor {
                return true;
            }
            match self.get(ino).map(|inode| &inode.home) {
                Ok(Home::Entry { parent, .. }) => ino = *parent,
                _ => return false,
            }
        }
    }

    /// The path of an inode, as far as it is known.
    pub(crate) fn path_of(&self, ino: InodeNo) -> Vec<u8> {
        let mut names = Vec::new();
        let mut at = ino;
        loop {
            match self.get(at).map(|inode| &inode.home) {
                Ok(Home::Entry { parent, key }) => {
                    names.push(key.name.as_bytes());
                    at = *parent;
                }
                Ok(Home::Root) => break,
                // Several names lead to it, or none, or the one that does is not in memory.
                Ok(Home::Table | Home::Orphan) | Err(_) => return format!("/(inode {ino})").into_bytes(),
            }
        }
        let path = names.iter().rev();
        path.flat_map(|name| [b"/".as_slice(), name].concat()).collect()
    }

    /// The path of a name in a directory.
    pub(crate) fn path_in(&self, dir: InodeNo, name: &Name) -> Vec<u8> {
        [self.path_of(dir).as_slice(), b"/", name.as_bytes()].concat()
    }
}
