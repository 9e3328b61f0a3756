//! What may not lie below a mount: the files that its own daemon works with.
//!
//! ```text
//!  store on the mount point, below it, or around it --> the daemon opens a file through its own mount, and waits for
//!                                                       itself in the kernel, where no signal reaches it
//! ```
//!
//! Places are compared as the kernel knows them: by device and inode, and by the directory within
//! their filesystem. Names lie, through symbolic links and bind mounts, and a mount spreads to all
//! names of its directory.

use super::table::{self, Entry};
use crate::error::{Error, Result};
use crate::mount::state;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// How a directory lies to the mount point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    Apart,
    Same,
    /// The mount would hide it.
    Below,
    /// The mount would lie in it.
    Around,
}

/// Refuses to mount on `dir` what lies in `store`, if one of the two holds the other.
pub(crate) fn require_store_apart(dir: &Path, store: &Path) -> Result<()> {
    let (at, of) = (dir.display(), store.display());
    let why = match relation(dir, store) {
        Relation::Apart => return Ok(()),
        Relation::Same => format!("{at} is the volume's own store"),
        Relation::Below => format!("{at} holds the volume's own store {of}"),
        Relation::Around => format!("{at} lies in the volume's own store {of}"),
    };
    Err(Error::Usage(format!(
        "{why}: the daemon would wait for itself. Choose a mount point outside of it"
    )))
}

/// Refuses to hide a file or directory that the daemon goes on using by name.
pub(crate) fn require_not_below(dir: &Path, what: &str, path: &Path) -> Result<()> {
    match relation(dir, path) {
        Relation::Apart | Relation::Around => Ok(()),
        Relation::Same | Relation::Below => Err(Error::Usage(format!(
            "{what} {} lies below the mount point {}, where the mount would hide it",
            path.display(),
            dir.display()
        ))),
    }
}

fn relation(dir: &Path, other: &Path) -> Relation {
    let (dir, other) = (state::resolve(dir), state::resolve(other));
    let table = table::own();
    let (here, there) = (Place::of(&table, &dir), Place::of(&table, &other));
    match (there.is_within(&here), here.is_within(&there)) {
        (true, true) => Relation::Same,
        (true, false) => Relation::Below,
        (false, true) => Relation::Around,
        (false, false) => Relation::Apart,
    }
}

/// Where something is.
struct Place {
    /// Device and inode of it and of every directory above it, as its name goes; `None` of what is
    /// not there yet.
    above: Vec<Option<(u64, u64)>>,
    /// Device, and directory within that filesystem, of it and of every mount point above it.
    within: Vec<(String, PathBuf)>,
}

impl Place {
    fn of(table: &[Entry], path: &Path) -> Self {
        let identity = |path: &Path| fs::metadata(path).ok().map(|found| (found.dev(), found.ino()));
        let mut within = Vec::new();
        // What is not there yet will be where its directory is.
        let parent = || table::mount_of(path.parent()?);
        let mut mount = table::mount_of(path).or_else(parent);
        let mut at = path.to_path_buf();
        while let Some(entry) = mount.and_then(|id| table.iter().find(|entry| entry.id == id)) {
            let Ok(inner) = at.strip_prefix(&entry.at) else {
                break;
            };
            within.push((entry.device.clone(), entry.root.join(inner)));
            at.clone_from(&entry.at);
            // The root directory is its own parent.
            mount = Some(entry.parent).filter(|parent| *parent != entry.id);
        }
        Self {
            above: path.ancestors().map(identity).collect(),
            within,
        }
    }

    /// Whether this is `other`, or lies below any name of it.
    fn is_within(&self, other: &Self) -> bool {
        let named = other
            .above
            .first()
            .is_some_and(|it| it.is_some() && self.above.contains(it));
        let spread = other.within.first().is_some_and(|(device, root)| {
            let inside = |(on, inner): &(String, PathBuf)| on == device && inner.starts_with(root);
            self.within.iter().any(inside)
        });
        named || spread
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_on_around_or_below_the_mount_point_is_refused_and_one_beside_it_is_not() {
        let root = tempfile::tempdir().unwrap();
        let make = |name: &str| {
            let path = root.path().join(name);
            fs::create_dir_all(&path).unwrap();
            path
        };
        let (data, store, inside) = (make("data"), make("data/store"), make("data/store/sub"));
        let (beside, alike) = (make("data/mnt"), make("data/store2"));
        let link = root.path().join("link");
        std::os::unix::fs::symlink(&data, &link).unwrap();
        assert_eq!(relation(&store, &store), Relation::Same);
        assert_eq!(relation(&data, &store), Relation::Below);
        assert_eq!(relation(&link, &store), Relation::Below);
        assert_eq!(relation(&inside, &store), Relation::Around);
        assert_eq!(relation(&link.join("store/sub"), &store), Relation::Around);
        assert_eq!(relation(&beside, &store), Relation::Apart);
        assert_eq!(relation(&alike, &store), Relation::Apart);
        assert!(require_store_apart(&data, &store).is_err() && require_store_apart(&beside, &store).is_ok());
        assert!(require_not_below(&data, "the anchor", &store.join("anchor")).is_err());
        assert!(require_not_below(&inside, "the anchor", &store.join("anchor")).is_ok());
    }
}
