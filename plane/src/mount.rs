//! A mounted volume: its daemon, what serves it, and how it is spoken to and ended.
//!
//! ```text
//!  cairn mount --daemon--> child --serve--> engine + FUSE session + control socket
//!  cairn status, umount ... --control client~~socket~~> control server
//!  cairn export, ls ... -----reads/client~~~~socket~~~> reads/server
//! ```

pub(crate) mod control;
pub(crate) mod daemon;
mod handover;
pub(crate) mod instance;
pub(crate) mod list;
mod logging;
pub(crate) mod lost;
pub(crate) mod memory;
pub(crate) mod mountpoint;
pub(crate) mod reads;
pub(crate) mod serve;
pub(crate) mod state;
pub(crate) mod unmount;
pub(crate) mod whereabouts;
