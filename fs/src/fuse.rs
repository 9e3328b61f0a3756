//! The kernel edge: unpacks requests, calls the filesystem, logs once, answers. No logic lives
//! here.
//!
//! ```text
//! kernel ==/dev/fuse==> session threads --- Edge --- convert ---> Operations (the engine)
//!   ^                                        |                        ^
//!   |                                        `-- may wait --> Pool ---'
//!   `------- reply: value, or errno (errno.rs) -- from whichever thread has it
//! ```
//!
//! Only this mount changes the volume, so what the kernel caches is right by construction and kept
//! for a day: names, absent names, attributes, pages, listings, link targets. `/.snapshots` is the
//! exception: the command makes and destroys snapshots beside the mount, so the kernel asks about
//! its names every time.
//!
//! With the writeback cache the kernel owns the size and times of a file until it writes them back;
//! `close` and `fsync` do so before they return. Where room is short it asks before each write:
//! room.rs.
//!
//! A small read leaves the rest of its record in the kernel's page cache (fill.rs).
//!
//! Invariant: no lock is held over a call into the engine, and no session thread waits for more of
//! the disk than one short append to the log.

mod attach;
mod convert;
mod edge;
mod fill;
mod kernel;
mod linger;
mod listing;
mod mount;
mod options;
mod pace;
mod part;
mod pool;
mod refresh;
mod reply;
mod rights;
mod room;
mod span;
mod told;
mod writers;

pub use mount::{Mount, Unmounter, mount};
pub use options::{MountFlag, MountOptions};
pub use refresh::{KernelMemory, Watchful};
