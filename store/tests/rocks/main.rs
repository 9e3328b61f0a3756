//! Promises of RocksStore beyond the contract of every store: opening, the remains after a kill,
//! the room given back.

#![allow(
    clippy::unwrap_used,
    reason = "the lint spares test functions, not the functions they share"
)]

mod durable;
mod heads;
mod opening;
mod reads;
mod room;
mod stage;
