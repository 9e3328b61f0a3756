//! The promises of every store, as one function that each implementation's tests call.

mod blocks;
mod heads;
mod log;
mod samples;

use crate::BlockStore;

/// Panics, naming the promise, if a store that `make` builds breaks one. `make` must build an empty
/// store each time.
pub fn store_contract<S: BlockStore>(make: impl Fn() -> S) {
    blocks::contract(&make);
    log::contract(&make);
    heads::contract(&make);
}
