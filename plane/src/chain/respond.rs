//! Answers a challenge for a volume that is not mounted. A mounted one answers by itself.

use super::args::ConfigArgs;
use super::place::within;
use crate::cli::KeyArgs;
use crate::control;
use crate::error::{Error, Result};
use crate::output::{Output, Progress};
use crate::volume;
use cairn_chain::Config;
use cairn_merkle::{Anchor, Version};
use rand::Rng;
use std::path::Path;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30 * 60);

/// `chain respond`.
pub(super) fn respond(config: &ConfigArgs, store: &Path, key: &KeyArgs, out: &Output) -> Result<()> {
    let anchor = Config::read(&config.config)?.anchor()?;
    let Some(challenge) = anchor.pending_challenge().map_err(refused)? else {
        return out.show(&serde_json::json!({ "answered": null }), || {
            "no challenge waits for an answer".into()
        });
    };
    // Holding the store is holding the volume: no daemon serves it, so this instance may fence all others.
    let checked = check(store, key, out)?;
    let mut nonce = [0; 32];
    rand::rng().fill_bytes(&mut nonce);
    let cancel = within(PATIENCE);
    let progress = Progress::spinner(out, "waiting until the chain has settled it");
    let published = anchor.boot(nonce, &cancel).map_err(refused)?;
    if published != Some(checked) {
        // Whether it goes on from what is published, or beside it, the mount finds out before it publishes.
        let message = format!(
            "the store holds {checked}, which is not what is published: mount it, and it publishes and answers"
        );
        return Err(Error::Trouble {
            code: 3,
            kind: "stale",
            message,
        });
    }
    anchor.answer(&challenge, checked, &cancel).map_err(refused)?;
    progress.finish();
    out.show(&serde_json::json!({ "answered": checked.epoch.0 }), || {
        format!("answered with {checked}")
    })
}

fn check(store: &Path, key: &KeyArgs, out: &Output) -> Result<Version> {
    let progress = Progress::blocks(out);
    let found = volume::with(store, key, true, |engine| {
        let status = engine.status();
        let report = control::check(engine, &|p: cairn_fs::CheckProgress| {
            progress.set(p.blocks_done, p.blocks_total);
        })?;
        Ok((status, report))
    });
    progress.finish();
    let (status, report) = found?;
    if !report.damaged.is_empty() {
        return Err(Error::Damaged {
            store: store.into(),
            what: format!("{} damaged", report.damaged.len()),
        });
    }
    Ok(Version {
        epoch: status.epoch,
        root: status.root,
    })
}

fn refused(error: cairn_merkle::AnchorError) -> Error {
    Error::Trouble {
        code: 7,
        kind: "unreachable",
        message: error.to_string(),
    }
}
