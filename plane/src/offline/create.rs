//! `create`: the one command that formats.
//!
//! **Invariant:** only in a new or empty directory, and whole or not at all.

use super::new_store::{UnfinishedStore, require_empty};
use crate::cli::CreateArgs;
use crate::clock::now;
use crate::error::{Error, Result};
use crate::offline::key::{self, IfAbsent};
use crate::offline::volume::explain;
use cairn_fs::{Caller, Quota, SetIdBits};
use cairn_merkle::{Blocks, Compression, Header, HeaderParams};
use rand::rand_core::UnwrapErr;
use rand::rngs::SysRng;

/// Makes a volume and returns its header.
pub(crate) fn create(args: &CreateArgs) -> Result<Header> {
    // Before a key file is made: a command that is refused leaves nothing behind.
    require_empty(&args.store)?;
    let record_size = u32::try_from(args.record_size).unwrap_or(u32::MAX);
    let sizes = Header::RECORD_SIZE_MIN..=Header::RECORD_SIZE_MAX;
    if !record_size.is_power_of_two() || !sizes.contains(&record_size) {
        return Err(Error::Usage(
            "--record-size is a power of two from 4K to 1M".into(),
        ));
    }
    // The key file is durable before anything is sealed with it. A crash up to the end leaves a
    // key that opens nothing, and the next `create` takes it.
    let slot = key::provider(&args.key, IfAbsent::Create)?.new_slot()?;
    let params = HeaderParams {
        record_size,
        compression: Compression::None,
        suite: args.cipher,
    };
    // From the system itself: a generator in this process keeps what it has drawn.
    let (header, key) =
        Header::create(&mut UnwrapErr(SysRng), params, &[slot]).map_err(cairn_fs::Error::from)?;
    // Declared before the store, so that the store is closed when what is left of it is taken away.
    let (unfinished, store) = UnfinishedStore::begin(&args.store)?;
    let quota = Quota {
        bytes: args.quota,
        inodes: args.inodes,
    };
    let owner = Caller {
        uid: rustix::process::getuid().as_raw(),
        gid: rustix::process::getgid().as_raw(),
        umask: 0o022,
        now: now(),
        set_id: SetIdBits::Keep,
        kernel_stamps: false,
    };
    let formatted = cairn_fs::format(&store, &header, &key, quota, owner);
    // Closed before the marker goes: without the marker every command takes this for a volume.
    let closed = formatted.and_then(|()| Ok(store.close()?));
    closed.map_err(|error| explain(&args.store, "", error))?;
    unfinished.finish(&store)?;
    Ok(header)
}
