//! Names and inodes: in memory, found, made, renamed, listed, and their attributes.

pub(crate) mod acl;
pub(crate) mod attr;
pub(crate) mod create;
pub(crate) mod entered;
pub(crate) mod inode;
pub(crate) mod inodes;
pub(crate) mod link;
mod list;
pub(crate) mod lookup;
pub(crate) mod parking;
mod paths;
mod rename;
pub(crate) mod slots;
pub(crate) mod view;
