//! A new volume, and a new header for an old one.

use crate::commit::open::HeaderBlock;
use crate::engine::Engine;
use crate::life::open::Opening;
use crate::machine::Machine;
use crate::stored::record::{Meta, Record, Stored, Xattrs};
use crate::stored::volume::{Trees, Volume};
use crate::{Caller, Config, Error, InodeNo, Kind, Quota, Result};
use cairn_merkle::{BlockStore, Commit, Epoch, Head, HeadSwap, Header, PutHint, VolumeKey};
use rand::Rng;
use std::sync::Arc;

/// Makes an empty volume in an empty store: a first commit whose root directory belongs to
/// `owner`.
///
/// # Errors
/// [`Error::Exists`] when the store holds anything already; nothing is written then.
pub fn format(
    store: &dyn BlockStore,
    header: &Header,
    key: &VolumeKey,
    quota: Quota,
    owner: Caller,
) -> Result<()> {
    format_on(store, header, key, quota, owner, &Machine::default())
}

/// As [`format()`], with these random bytes.
///
/// # Errors
/// As [`format()`].
pub fn format_on(
    store: &dyn BlockStore,
    header: &Header,
    key: &VolumeKey,
    quota: Quota,
    owner: Caller,
    machine: &Machine,
) -> Result<()> {
    // Either of the two tells of a volume, whose key slots a new header would replace.
    if store.head()?.is_some() || store.header()?.is_some() {
        return Err(Error::Exists);
    }
    let epoch = Epoch(1);
    let (body, links) = empty(quota, owner, machine).encode();
    let commit = Commit {
        volume_id: header.volume_id,
        epoch,
        previous: None,
        links,
        header_hash: header.hash(),
        body,
    };
    let sealed = commit.seal(&mut machine.rng(), key);
    let head = Head {
        volume_id: header.volume_id,
        epoch,
        root: sealed.cid,
    }
    .encode(key);
    let root_block = sealed.bytes.clone();
    // Before the head that names it, and durable with it. A crash in between leaves a store
    // without a volume.
    store.put(epoch, &[sealed], PutHint::Small)?;
    store.swap_head(&HeadSwap {
        expected: None,
        head: &head,
        header: Some(&header.encode()),
        root_block: &root_block,
        delete: &[],
        settled: epoch,
        restarts_log: false,
    })?;
    Ok(())
}

fn empty(quota: Quota, owner: Caller, machine: &Machine) -> Volume {
    let secret = || {
        let mut bytes = [0; 32];
        machine.rng().fill_bytes(&mut bytes);
        bytes
    };
    let meta = Meta {
        ino: InodeNo::ROOT,
        kind: Kind::Directory,
        mode: 0o755,
        uid: owner.uid,
        gid: owner.gid,
        rdev: 0,
        nlink: 2,
        size: 0,
        stored: 0,
        atime: owner.now,
        mtime: owner.now,
        ctime: owner.now,
        btime: owner.now,
    };
    Volume {
        next_ino: InodeNo::FIRST.0,
        inodes: 1,
        quota_bytes: quota.bytes.unwrap_or(0),
        quota_inodes: quota.inodes.unwrap_or(0),
        dir_key: secret(),
        log_salt: secret(),
        trees: Trees {
            bytes: 0,
            next_snapshot: 1,
            root: Record {
                meta,
                xattrs: Xattrs::default(),
                stored: Stored::None,
            },
            table: None,
            orphans: None,
            snapshots: None,
            dead: None,
            held: Default::default(),
        },
        publication: Default::default(),
        repairs: Default::default(),
    }
}

/// Puts `renewed` in the place of the header that `key` was `unlocked` with, together with a
/// commit that accepts no other.
///
/// # Errors
/// As [`Engine::open`] and [`Engine::commit`]; the old header stays in place then.
pub fn rekey(store: Arc<dyn BlockStore>, key: VolumeKey, unlocked: &Header, renewed: &Header) -> Result<()> {
    let opening = Opening::newest(store, key)?;
    opening.require_unlocked(unlocked)?;
    opening.require_writable()?;
    let engine = opening.open(Config::default())?;
    // An engine whose log lost something is read-only. Its commit does nothing and reports no
    // error: the old header would stay, and seem replaced.
    let swapped = engine.require_log().and_then(|()| engine.put_header(renewed));
    let closed = engine.close();
    swapped.and(closed)
}

impl Engine {
    fn put_header(&self, renewed: &Header) -> Result<()> {
        if renewed.volume_id != self.volume_id {
            return Err(cairn_merkle::Error::HeaderMismatch.into());
        }
        let mut state = self.state.lock();
        // The commit seals the hash of this header, and its head puts the header. So a crash
        // leaves both old or both new.
        state.open.rekey(HeaderBlock {
            bytes: renewed.encode().into(),
            hash: renewed.hash(),
        });
        self.commit_locked(&mut state)
    }
}

#[cfg(test)]
mod tests;
