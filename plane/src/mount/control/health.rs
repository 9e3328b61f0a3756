//! Whether a mount is well: what `cairn status` ends with.

use crate::anchor::freshness::Freshness;
use crate::error::Error;
use crate::report::Trouble;
use cairn_fs::Engine;
use std::path::Path;

/// The worst that is wrong with a mount that answers, if anything is.
pub(super) fn trouble(engine: &Engine, freshness: &Freshness, store: &Path) -> Option<Trouble> {
    let of = |error: &Error| Trouble {
        message: error.to_string(),
        exit: error.exit(),
    };
    // A fence stops the volume, too, and is the reason to tell.
    let publisher = freshness.publisher.as_ref();
    if let Some(fenced) = publisher.and_then(|publisher| publisher.fenced()) {
        return Some(of(&fenced));
    }
    let in_store = |what: String| {
        Some(of(&Error::Store {
            store: store.to_path_buf(),
            what,
        }))
    };
    let full = match engine.probe_store().and_then(|()| engine.is_store_full()) {
        Ok(full) => full,
        Err(error) => return in_store(format!("{error}. The volume cannot go on without it")),
    };
    let status = engine.status();
    match status.read_only {
        Some(why) if status.stopped => in_store(format!(
            "{why}, and the volume takes no more changes. What was acknowledged is on disk: unmount, mend the store, \
             mount"
        )),
        _ if status.full => in_store(
            "it is full, and a commit waits for room: delete files or snapshots, or enlarge it".into(),
        ),
        _ if full => {
            in_store("it is full, and takes no more data: delete files or snapshots, or enlarge it".into())
        }
        _ => None,
    }
}
