//! Publishes for a volume that is not mounted. A mounted one publishes by itself.

use super::place::within;
use crate::anchor;
use crate::anchor::freshness::{self, Access};
use crate::anchor::publish::{Publisher, Settings};
use crate::cli::anchor::{Policy, Spec};
use crate::cli::chain::ConfigArgs;
use crate::cli::key::KeyArgs;
use crate::error::Result;
use crate::mount::lost;
use crate::offline::volume::{self, For};
use crate::output::{Output, Progress};
use cairn_fs::{Config, Engine};
use cairn_merkle::Anchor;
use cairn_store::StoreOptions;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// `chain publish`: as a mount that ends at once.
pub(super) fn publish(
    config: &ConfigArgs,
    store: &Path,
    key: &KeyArgs,
    timeout: Duration,
    out: &Output,
) -> Result<()> {
    let opened = volume::open_store_patiently(store, For::Writing, &StoreOptions::default())?;
    let mut opening = volume::opening(opened, store, key)?;
    let anchor = anchor::open(&Spec::Eth(config.config.clone()), opening.volume_id())?;
    let progress = Progress::spinner(out, "waiting until the chain has settled it");
    let cancel = within(timeout);
    let policy = Policy::Refuse;
    freshness::admit(&mut opening, anchor.as_ref(), policy, Access::ReadWrite, &cancel)?;
    let engine = opening
        .open(Config::default())
        .map_err(|error| volume::explain(store, "", error))?;
    let published = lost::refuse_writing(&engine, store).and_then(|()| newest(&engine, anchor, timeout));
    let standing = engine.standing();
    let closed = engine.close().map_err(|error| volume::explain(store, "", error));
    progress.finish();
    published.and(closed)?;
    let anchored = standing.anchored;
    let epoch = anchored.map(|version| version.epoch.0);
    let root = anchored.map(|version| version.root.to_string());
    out.show(&serde_json::json!({ "epoch": epoch, "root": root }), || {
        anchored.map_or_else(
            || "there is nothing to publish".into(),
            |version| format!("{version} is published"),
        )
    })
}

fn newest(engine: &Arc<Engine>, anchor: Arc<dyn Anchor>, timeout: Duration) -> Result<()> {
    let settings = Settings {
        interval: timeout,
        bytes: u64::MAX,
    };
    let publisher = Publisher::start(Arc::clone(engine), anchor, settings)?;
    let result = publisher.sync(Some(timeout));
    publisher.finish(Duration::ZERO);
    result
}
