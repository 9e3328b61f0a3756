//! The filesystems that are measured, each behind one small trait.
//!
//! ```text
//! create -> mount -> (work in directory()) -> flush -> unmount -> mount ... -> unmount -> destroy
//!              `------ crash (kill -9 of the daemons) ------> mount
//! ```
//!
//! A system keeps everything below its [`Place`], so that removing the place removes all of it.
//! Adding a system is one file here and one line in [`all`].
//!
//! **Invariant:** a system that cannot be measured on this machine says why and how to get it. It
//! is never measured in part or replaced in silence.

mod anchored;
mod cairn;
mod fuse;
mod kernel;
mod kind;
mod null;
mod place;
mod zfs;

use anyhow::{Context, Result};

pub(crate) use kernel::mount_image;
pub(crate) use kind::{ANCHORED, About, DISK, Kind, OURS, Setup, System};
pub(crate) use null::serve as serve_null;
pub(crate) use place::{Place, take_away, unmount_path};
pub(crate) use zfs::engine_program;

/// Every system, in the order of tables.
pub(crate) fn all(setup: &Setup) -> Vec<Box<dyn System>> {
    let mut systems: Vec<Box<dyn System>> = vec![
        Box::new(kernel::Disk::new(&setup.disk_type)),
        Box::new(null::Null),
        Box::new(cairn::Cairn::new(setup)),
        Box::new(anchored::Anchored::new(setup)),
    ];
    systems.extend(fuse::all());
    systems.extend(kernel::all());
    systems.extend(zfs::all());
    systems
}

/// The one with this name.
pub(crate) fn by_id(setup: &Setup, id: &str) -> Result<Box<dyn System>> {
    all(setup)
        .into_iter()
        .find(|system| system.about().id == id)
        .with_context(|| format!("there is no system `{id}`: see `cairn-bench list`"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_every_system_says_what_it_leaves_out() {
        let systems = all(&Setup::default());
        let ids: BTreeSet<&str> = systems.iter().map(|system| system.about().id).collect();
        assert_eq!(ids.len(), systems.len());
        for about in systems.iter().map(|system| system.about()) {
            assert!(
                !about.includes.is_empty() && !about.leaves_out.is_empty(),
                "{}",
                about.id
            );
        }
        assert!(by_id(&Setup::default(), "nonsense").is_err());
    }
}
