//! Where a volume in use is mounted, as messages say it.

use crate::mount::mountpoint;
use crate::mount::state::Record;
use std::path::Path;
/// Whether a daemon that no longer serves in this namespace serves in another one.
pub(crate) fn lives_elsewhere(record: &Record) -> bool {
    let device = record.device.as_deref();
    device.is_some_and(|device| !mountpoint::elsewhere(device).is_empty())
}

/// What `dir` is to be called in a message of a volume that is in use.
pub(crate) fn whereabouts(record: &Record, store: &Path) -> String {
    let (store, at, pid) = (store.display(), record.mountpoint.display(), record.pid);
    let elsewhere = match mountpoint::serves(record) {
        true => "",
        false => ", in another mount namespace",
    };
    format!("the volume in {store} is in use: pid {pid} serves it at {at}{elsewhere}")
}
