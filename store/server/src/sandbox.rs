//! The rights that this process keeps.
//!
//! ```text
//!   user, groups     those of the directory's owner, where root started it
//!   capabilities     none, and no way to new ones
//!   files            the store's directory, and a number that RocksDB draws from /proc
//!   network          no connection but those that come to it
//!   system calls     those that a store needs; all others are answered as unknown
//!   memory           a limit, and no core dump
//! ```
//!
//! All else is given up before a byte of the store is read, and before there is a second thread: the
//! kernel does most of this thread by thread, and later threads inherit it. What RocksDB makes of
//! altered files then reaches no further than the store, which is the outside's anyway.

mod calls;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus, Scope,
};
use rustix::process::{Gid, Resource, Rlimit, Uid, geteuid, getrlimit, setrlimit};
use rustix::thread::{CapabilitySet, CapabilitySets};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// Memory beside index and caches: threads, requests under way, RocksDB while it flushes.
const OVERHEAD_BYTES: u64 = 768 << 20;
/// Files that a store and its connections have open at a time.
const FILES_MAX: u64 = 4096;
/// What RocksDB draws the ids of its databases from.
const UUID: &str = "/proc/sys/kernel/random/uuid";

/// What happens where the kernel cannot confine a process to a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Demand {
    /// The program ends
    Require,
    /// It says so, and goes on
    Try,
    /// No right is given up
    Off,
}

/// Gives up what serving the store in `dir` does not need.
pub(crate) fn enter(dir: &Path, writes: bool, memory_bytes: usize, demand: Demand) -> Result<()> {
    // Also without a sandbox: there is nothing to serve.
    let about = std::fs::metadata(dir).with_context(|| format!("there is no store at {}", dir.display()))?;
    if demand == Demand::Off {
        return Ok(());
    }
    limit(memory_bytes).context("cannot limit memory and files")?;
    // While it is root: the owner may be another user.
    if geteuid().is_root() && about.uid() != 0 {
        become_user(about.uid(), about.gid()).context("cannot become the owner of the store")?;
    }
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    rustix::thread::set_capabilities(None, none).context("cannot give up capabilities")?;
    let confined = confine(dir, writes).context("cannot confine itself to the store")?;
    match demand {
        Demand::Require if !confined => {
            bail!(
                "this kernel has no landlock, which is to confine this process to the store (--sandbox require)"
            )
        }
        _ if !confined => {
            tracing::warn!("this kernel has no landlock: this process is not confined to the store")
        }
        _ => {}
    }
    calls::filter().context("cannot filter system calls")
}

fn limit(memory_bytes: usize) -> rustix::io::Result<()> {
    let bytes = memory_bytes as u64 * 2 + OVERHEAD_BYTES;
    let at_most = |bytes| Rlimit {
        current: Some(bytes),
        maximum: Some(bytes),
    };
    setrlimit(Resource::Data, at_most(bytes))?;
    setrlimit(Resource::Core, at_most(0))?;
    let files = getrlimit(Resource::Nofile).maximum.unwrap_or(FILES_MAX);
    setrlimit(Resource::Nofile, at_most(files.min(FILES_MAX)))
}

fn become_user(uid: u32, gid: u32) -> rustix::io::Result<()> {
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    // Groups first: the right to change them goes with the user.
    rustix::thread::set_thread_groups(&[])?;
    rustix::thread::set_thread_res_gid(gid, gid, gid)?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)
}

/// Whether the kernel does it.
fn confine(dir: &Path, writes: bool) -> Result<bool> {
    // Scopes are the newest of it. An older kernel does as much as it knows; the filter of system
    // calls has no new sockets in any case.
    let abi = ABI::V6;
    let below = match writes {
        true => AccessFs::from_all(abi),
        false => AccessFs::from_read(abi),
    };
    let links_and_devices = AccessFs::Execute
        | AccessFs::MakeChar
        | AccessFs::MakeBlock
        | AccessFs::MakeSock
        | AccessFs::MakeFifo
        | AccessFs::MakeSym;
    let ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(abi))?
        .handle_access(AccessNet::from_all(abi))?
        .scope(Scope::from_all(abi))?
        .create()?
        .add_rule(PathBeneath::new(PathFd::new(dir)?, below & !links_and_devices))?
        .add_rule(PathBeneath::new(PathFd::new(UUID)?, AccessFs::ReadFile))?;
    let status = ruleset.restrict_self()?;
    Ok(status.ruleset != RulesetStatus::NotEnforced)
}
