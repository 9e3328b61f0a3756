//! Answers a challenge for a volume that is not mounted. A mounted one answers by itself.

use super::place::{PATIENCE, within};
use crate::anchor::freshness;
use crate::cli::chain::ConfigArgs;
use crate::cli::key::KeyArgs;
use crate::cli::verify::VersionArgs;
use crate::error::{Error, Exit, Result};
use crate::offline::Place;
use crate::output::{Output, Progress};
use cairn_chain::Config;
use cairn_merkle::{Anchor, Version};
use cairn_store::StoreOptions;
use rand::Rng;
use std::path::Path;

/// `chain respond`: what is checked is the version that the chain names, not what the store has
/// since.
pub(super) fn respond(config: &ConfigArgs, store: &Path, key: &KeyArgs, out: &Output) -> Result<()> {
    let anchor = Config::read(&config.config)?.anchor()?;
    let refused = |error| freshness::failed(&anchor, &error);
    let waiting = anchor.pending_challenge().map_err(&refused)?;
    let (Some(challenge), Some(published)) = (waiting, anchor.latest().map_err(&refused)?) else {
        return out.show(&serde_json::json!({ "answered": null }), || {
            "no challenge waits for an answer".into()
        });
    };
    check(store, published, key, out)?;
    // No other process had the store open, so no daemon serves the volume, and this instance may
    // fence all others.
    let mut nonce = [0; 32];
    rand::rng().fill_bytes(&mut nonce);
    let cancel = within(PATIENCE);
    let progress = Progress::spinner(out, "waiting until the chain has settled it");
    let stood = anchor.boot(nonce, &cancel).map_err(&refused)?;
    if stood != Some(published) {
        return Err(Error::Anchor {
            what: format!(
                "{published} was checked, and meanwhile another version was published: run it again"
            ),
            exit: Exit::Stale,
        });
    }
    anchor.answer(&challenge, published, &cancel).map_err(&refused)?;
    progress.finish();
    out.show(&serde_json::json!({ "answered": published.epoch.0 }), || {
        format!("answered with {published}")
    })
}

fn check(store: &Path, published: Version, key: &KeyArgs, out: &Output) -> Result<()> {
    let version = VersionArgs {
        root: Some(published.root),
        base: Vec::new(),
    };
    // Never through a daemon: the boot that follows would fence it.
    let place = Place::open_with(store, &version, &StoreOptions::default())?;
    let report = place.check(key, out)?;
    match report.damaged.first() {
        None => Ok(()),
        Some(first) => Err(Error::Damaged {
            store: store.into(),
            what: format!("{}: {}", first.path, first.what),
        }),
    }
}
