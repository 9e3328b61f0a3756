//! Attributes: mode, owner, times, size, and extended attributes with the access lists among them.

use crate::data::admit::Claim;
use crate::engine::Engine;
use crate::log::op::Op;
use crate::namespace::acl;
use crate::namespace::inode::Inode;
use crate::state::State;
use crate::stored::record::Xattrs;
use crate::{Attr, Caller, Error, InodeNo, Kind, Result, SetAttr, SetIdBits, XattrMode};
use std::sync::Arc;

/// Namespaces of attributes to which the kernel checks a caller's rights.
const NAMESPACES: [&[u8]; 3] = [b"user.", b"trusted.", b"security."];
/// Attributes that tell of versions. Not in `user.`, which belongs to users.
pub(crate) const VERSION_XATTRS: &[u8] = b"cairn.";

/// Bytes of names and values that one inode may carry: an inode must fit a node of the tree.
const XATTR_BYTES_MAX: usize = 128 << 10;

/// Extended attribute with the capabilities that a program has when it is run.
const CAPABILITY: &[u8] = b"security.capability";

/// Mode bits of an inode after a change that leaves it these set-id bits.
fn mode_left(inode: &Inode, set_id: SetIdBits) -> u32 {
    let mode = inode.meta.mode;
    match set_id {
        _ if inode.meta.kind == Kind::Directory => mode,
        SetIdBits::Keep => mode,
        SetIdBits::DropForMember if mode & 0o010 == 0 => mode & !0o4000,
        SetIdBits::DropForMember | SetIdBits::Drop => mode & !0o6000,
    }
}

/// Set-id bits that a change of owner or size leaves.
fn left_by(inode: &Inode, set: &SetAttr, caller: Caller) -> SetIdBits {
    let chown = set.uid.is_some() || set.gid.is_some() || is_to_nobody(inode, set);
    let known = |gid| gid == inode.meta.gid || gid == caller.gid;
    let strange_group = set.gid.is_some_and(|gid| !known(gid));
    match caller.set_id {
        SetIdBits::Keep if chown => SetIdBits::DropForMember,
        // A mode that changes is held against the new group, and nothing is known of the caller and
        // that one.
        SetIdBits::DropForMember if strange_group && inode.meta.mode & 0o4000 != 0 => SetIdBits::Drop,
        other => other,
    }
}

/// What a program may do by being run goes when its file is changed: set-id bits unless they may
/// stay, capabilities in any case. Answers whether anything went.
fn drop_privileges(inode: &mut Inode, set_id: SetIdBits) -> bool {
    if inode.meta.kind == Kind::Directory {
        return false;
    }
    let mode = mode_left(inode, set_id);
    let capable = inode.xattrs.contains_key(CAPABILITY);
    if capable {
        Arc::make_mut(&mut inode.xattrs).remove(CAPABILITY);
    }
    std::mem::replace(&mut inode.meta.mode, mode) != mode || capable
}

impl Engine {
    /// Changes attributes, and answers what they are then.
    ///
    /// # Errors
    /// [`Error::ReadOnly`], [`Error::NoSpace`] or [`Error::TooLarge`] for a size.
    pub fn setattr(&self, ino: InodeNo, set: SetAttr, caller: Caller) -> Result<Attr> {
        let shrinks = |inode: &Inode| set.size.is_some_and(|size| size < inode.meta.size);
        let mut entered =
            self.begin_change_as(ino, |state| match state.inodes.get(ino).is_ok_and(shrinks) {
                true => Claim::Less,
                false => Claim::More,
            })?;
        // The kernel has not looked: it took out what a `chown` to nobody does before it checked.
        let inode = entered.inode();
        let strange = caller.uid != 0 && caller.uid != inode.meta.uid;
        let left = left_by(inode, &set, caller);
        if strange && is_to_nobody(inode, &set) && mode_left(inode, left) != inode.meta.mode {
            return Err(Error::NotPermitted(
                "set-id bits are taken away by a file's owner",
            ));
        }
        let state = &mut *entered;
        if let Some(size) = set.size {
            self.set_size(state, ino, size)?;
            self.stamp(state, ino, caller)?;
        }
        let inode = state.inodes.change(ino)?;
        apply(inode, &set, caller);
        if let Ok(file) = inode.file_mut() {
            file.unlogged.meta |= set.size.is_some();
        }
        state.inodes.weigh(ino);
        self.log_attr(state, ino)?;
        Ok(state.inodes.get(ino)?.attr())
    }

    /// After a change of a file's bytes: its times, unless the kernel keeps them.
    pub(crate) fn stamp(&self, state: &mut State, ino: InodeNo, caller: Caller) -> Result<()> {
        let inode = state.inodes.change(ino)?;
        if !caller.kernel_stamps {
            inode.meta.mtime = caller.now;
            inode.meta.ctime = caller.now;
        }
        inode.file_mut()?.unlogged.meta = true;
        Ok(())
    }

    /// After a change of a file's bytes: what its program may no longer do.
    pub(crate) fn unprivilege(&self, state: &mut State, ino: InodeNo, caller: Caller) -> Result<()> {
        if drop_privileges(state.inodes.change(ino)?, caller.set_id) {
            self.log_attr(state, ino)?;
        }
        Ok(())
    }

    /// Notes all attributes but the size, which goes with the content.
    fn log_attr(&self, state: &mut State, ino: InodeNo) -> Result<()> {
        let inode = state.inodes.get(ino)?;
        let (meta, xattrs) = (inode.meta.clone(), inode.xattrs.clone());
        self.log(
            state,
            &[ino],
            &Op::Attr {
                meta: &meta,
                xattrs: &xattrs,
            },
        )
    }

    /// Applies logged attributes.
    pub(crate) fn apply_attr(
        &self,
        state: &mut State,
        meta: &crate::stored::record::Meta,
        xattrs: Xattrs,
    ) -> Result<()> {
        let inode = state.inodes.change(meta.ino)?;
        inode.meta.mode = meta.mode;
        inode.meta.uid = meta.uid;
        inode.meta.gid = meta.gid;
        inode.meta.atime = meta.atime;
        inode.meta.mtime = meta.mtime;
        inode.meta.ctime = meta.ctime;
        inode.xattrs = xattrs;
        state.inodes.weigh(meta.ino);
        Ok(())
    }

    /// The value of an extended attribute. `cairn.epoch`, `cairn.root`, `cairn.anchored` and
    /// `cairn.anchored-root` tell of the volume's versions, whatever file is asked.
    ///
    /// # Errors
    /// [`Error::NoXattr`]; for names outside the namespaces of xattr(7), [`Error::Unsupported`].
    pub fn getxattr(&self, ino: InodeNo, name: &[u8]) -> Result<Vec<u8>> {
        if ino == InodeNo::SNAPSHOTS {
            return Err(Error::NoXattr);
        }
        let state = self.begin_read(ino)?;
        if let Some(value) = self.version_xattr(&state, name) {
            return value;
        }
        require_kept(name)?;
        state.inode().xattrs.get(name).cloned().ok_or(Error::NoXattr)
    }

    /// Names of all extended attributes.
    ///
    /// # Errors
    /// [`Error::NoEntry`] when the inode is not in memory.
    pub fn listxattr(&self, ino: InodeNo) -> Result<Vec<Vec<u8>>> {
        if ino == InodeNo::SNAPSHOTS {
            return Ok(Vec::new());
        }
        Ok(self.begin_read(ino)?.inode().xattrs.keys().cloned().collect())
    }

    /// Sets an extended attribute. An access list also sets the mode bits it stands for.
    ///
    /// # Errors
    /// [`Error::Exists`] and [`Error::NoXattr`] as `mode` says, [`Error::XattrTooLarge`],
    /// [`Error::Invalid`] for a malformed access list, [`Error::Unsupported`] for names outside the
    /// namespaces of xattr(7).
    pub fn setxattr(
        &self,
        ino: InodeNo,
        name: &[u8],
        value: &[u8],
        mode: XattrMode,
        caller: Caller,
    ) -> Result<()> {
        if name.starts_with(VERSION_XATTRS) {
            return Err(Error::NotPermitted("attributes in cairn. tell of the volume"));
        }
        require_kept(name)?;
        let mut entered = self.begin_change(ino, Claim::More)?;
        let inode = entered.inode();
        match (mode, inode.xattrs.contains_key(name)) {
            (XattrMode::Create, true) => return Err(Error::Exists),
            (XattrMode::Replace, false) => return Err(Error::NoXattr),
            _ => {}
        }
        let others: usize = inode
            .xattrs
            .iter()
            .filter(|(other, _)| *other != name)
            .map(|(n, v)| n.len() + v.len())
            .sum();
        if others + name.len() + value.len() > XATTR_BYTES_MAX {
            return Err(Error::XattrTooLarge);
        }
        let state = &mut *entered;
        let inode = state.inodes.change(ino)?;
        if set_list(inode, name, value, caller.set_id)? {
            Arc::make_mut(&mut inode.xattrs).insert(name.to_vec(), value.to_vec());
        }
        inode.meta.ctime = caller.now;
        state.inodes.weigh(ino);
        self.log_attr(state, ino)
    }

    /// Removes an extended attribute.
    ///
    /// # Errors
    /// [`Error::NoXattr`], [`Error::ReadOnly`]; for names outside the namespaces of xattr(7),
    /// [`Error::Unsupported`].
    pub fn removexattr(&self, ino: InodeNo, name: &[u8], caller: Caller) -> Result<()> {
        require_kept(name)?;
        let mut entered = self.begin_change(ino, Claim::Less)?;
        if !entered.inode().xattrs.contains_key(name) {
            // As local filesystems have it: afterwards there is no list, and tools rely on that.
            let is_list = name == acl::ACCESS || name == acl::DEFAULT;
            return if is_list { Ok(()) } else { Err(Error::NoXattr) };
        }
        let state = &mut *entered;
        let inode = state.inodes.change(ino)?;
        Arc::make_mut(&mut inode.xattrs).remove(name);
        inode.meta.ctime = caller.now;
        state.inodes.weigh(ino);
        self.log_attr(state, ino)
    }
}

/// Refuses names that no local filesystem keeps. The kernel checks rights to `user.`, `trusted.`
/// and `security.` alone: any other name would be everybody's to set, on every file.
fn require_kept(name: &[u8]) -> Result<()> {
    if name == acl::ACCESS || name == acl::DEFAULT {
        return Ok(());
    }
    let rest = NAMESPACES
        .iter()
        .find_map(|namespace| name.strip_prefix(*namespace));
    match rest {
        Some([]) => Err(Error::Invalid("an attribute's name is only its namespace")),
        Some(_) => Ok(()),
        None => Err(Error::Unsupported),
    }
}

/// Takes an access list into the mode bits; answers whether the attribute is to be kept as well.
fn set_list(inode: &mut Inode, name: &[u8], value: &[u8], set_id: SetIdBits) -> Result<bool> {
    if name == acl::DEFAULT {
        if inode.meta.kind != Kind::Directory || !acl::is_valid(value) {
            return Err(Error::Invalid(
                "no well-formed default access list of a directory",
            ));
        }
        return Ok(true);
    }
    if name != acl::ACCESS {
        return Ok(true);
    }
    let (mode, minimal) =
        acl::mode_of(value, inode.meta.mode).ok_or(Error::Invalid("no well-formed access list"))?;
    // An owner outside the file's group cannot lend it out.
    let lent = if set_id == SetIdBits::Drop { 0o2000 } else { 0 };
    inode.meta.mode = mode & !lent;
    if minimal {
        Arc::make_mut(&mut inode.xattrs).remove(name);
    }
    Ok(!minimal)
}

/// See [`SetAttr::names_nothing`].
fn is_to_nobody(inode: &Inode, set: &SetAttr) -> bool {
    set.names_nothing && (set.ctime.is_some() || inode.meta.kind != Kind::File)
}

fn apply(inode: &mut Inode, set: &SetAttr, caller: Caller) {
    let is_file = inode.meta.kind == Kind::File;
    if set.uid.is_some() || set.gid.is_some() || set.size.is_some() || set.names_nothing {
        drop_privileges(inode, left_by(inode, set, caller));
    }
    let meta = &mut inode.meta;
    meta.uid = set.uid.unwrap_or(meta.uid);
    meta.gid = set.gid.unwrap_or(meta.gid);
    if let Some(mode) = set.mode {
        meta.mode = mode & 0o7777;
        if let Some(list) = inode
            .xattrs
            .get(acl::ACCESS)
            .and_then(|list| acl::after_chmod(list, mode))
        {
            Arc::make_mut(&mut inode.xattrs).insert(acl::ACCESS.to_vec(), list);
        }
    }
    let meta = &mut inode.meta;
    meta.atime = set.atime.unwrap_or(meta.atime);
    meta.mtime = set.mtime.unwrap_or(meta.mtime);
    // Where the kernel keeps times and names none, it has moved none: a truncation to the same
    // size.
    let now = if caller.kernel_stamps && is_file {
        meta.ctime
    } else {
        caller.now
    };
    meta.ctime = set.ctime.unwrap_or(now);
}

#[cfg(test)]
mod tests;
