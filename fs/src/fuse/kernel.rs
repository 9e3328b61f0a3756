//! What is agreed with the kernel when the session starts.

use fuser::{InitFlags, KernelConfig};

/// Longest request: what the kernel allows by default (`fs.fuse.max_pages_limit`, 256 pages).
const REQUEST_BYTES_MAX: u32 = 1024 * 1024;
/// Readahead and writeback requests in flight. 16, the default, starves two CPUs with 1 MiB
/// requests; each takes its size in memory while it waits for the device.
const BACKGROUND_MAX: u16 = 32;
const CONGESTED_AT: u16 = 24;

/// Everything we want; what an older kernel lacks is left out.
///
/// Not here, on purpose: ATOMIC_O_TRUNC (the kernel would forget the size of each file it creates
/// with O_TRUNC and ask for it before the first write; a file that exists costs two requests either
/// way), POSIX_LOCKS and FLOCK_LOCKS (the kernel locks locally, and correctly), EXPORT_SUPPORT,
/// AUTO_INVAL_DATA (one writer), HANDLE_KILLPRIV (V2 replaces it), SETXATTR_EXT (panics fuser 0.18)
/// and OVER_IO_URING (fuser has no transport for it).
const WANTED: [InitFlags; 11] = [
    InitFlags::FUSE_ASYNC_READ,
    InitFlags::FUSE_BIG_WRITES,
    InitFlags::FUSE_DONT_MASK,
    InitFlags::FUSE_DO_READDIRPLUS,
    InitFlags::FUSE_READDIRPLUS_AUTO,
    InitFlags::FUSE_ASYNC_DIO,
    InitFlags::FUSE_PARALLEL_DIROPS,
    InitFlags::FUSE_POSIX_ACL,
    InitFlags::FUSE_MAX_PAGES,
    InitFlags::FUSE_CACHE_SYMLINKS,
    InitFlags::FUSE_HANDLE_KILLPRIV_V2,
];

/// What the kernel agreed to, as far as answers depend on it.
#[derive(Clone, Copy, Default)]
pub(super) struct Agreed {
    /// The kernel writes through a cache of its own, and keeps the times of regular files.
    pub(super) writeback: bool,
}

/// Asks for what we want and takes what there is.
pub(super) fn negotiate(config: &mut KernelConfig) -> Agreed {
    for flag in WANTED {
        if config.add_capabilities(flag).is_err() {
            tracing::debug!(?flag, "the kernel does not have this capability");
        }
    }
    let writeback = config.add_capabilities(InitFlags::FUSE_WRITEBACK_CACHE).is_ok();
    // These refuse nothing but zero and values above fuser's 16 MiB.
    let _ = config.set_max_write(REQUEST_BYTES_MAX);
    let _ = config.set_max_background(BACKGROUND_MAX);
    let _ = config.set_congestion_threshold(CONGESTED_AT);
    Agreed { writeback }
}
