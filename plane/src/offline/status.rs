//! How a volume is: `status` and `quota`.

use crate::cli::see::{QuotaArgs, StatusArgs};
use crate::error::{Error, Result};
use crate::mount::control::{self, Answer, Client, Request};
use crate::mount::state::Record;
use crate::mount::{lost, mountpoint};
use crate::offline::commands::{served, unexpected};
use crate::offline::volume::{self, For};
use crate::output::Output;
use crate::report::MountReport as Report;
use crate::text::{hex, human};
use cairn_merkle::{Blocks, SlotKind};
use cairn_store::StoreOptions;
use std::path::Path;

/// `status`.
pub(crate) fn status(args: &StatusArgs, out: &Output) -> Result<()> {
    let place = &args.place;
    if Record::find(place)?.is_none() && !mountpoint::is_cairn(place) {
        return of_store(place, out);
    }
    let mut client = Client::connect_within(place, args.timeout)?;
    let Answer::Status(report) = client.ask(&Request::Status, |_, _| {})? else {
        return Err(unexpected());
    };
    out.show(&report, || words(&report))?;
    // After the numbers, which tell more of it.
    match report.trouble {
        Some(trouble) => Err(Error::Remote {
            message: trouble.message,
            exit: trouble.exit,
        }),
        None => Ok(()),
    }
}

/// A mount, for people.
fn words(report: &Report) -> String {
    let state = match &report.read_only {
        Some(why) => format!("read-only: {why}"),
        None => "read-write".into(),
    };
    let Report {
        pid,
        store,
        mountpoint,
        volume_id,
        cipher,
        epoch,
        root,
        ..
    } = report;
    let repaired = report
        .repaired
        .as_ref()
        .map(|repaired| format!("\n{}", repaired.words()));
    let (used, dirty, memory) = (
        human(report.used_bytes),
        human(report.dirty_bytes),
        human(report.memory_bytes),
    );
    format!(
        "volume      {volume_id}\nsealed with {cipher}\nstore       {}\nmounted at  {} by pid {pid}, {state}\nepoch       {epoch}\n\
         root        {root}\nholds       {used} in {} inodes\n{}\nnot yet committed {dirty}, memory {memory}\n{}{}{}",
        store.display(),
        mountpoint.display(),
        report.inodes,
        report.quota.line(),
        report.freshness.words(),
        lost::status_lines(report.log_lost.as_ref(), report.log_torn.as_deref()),
        report.damage.words(),
    ) + &repaired.unwrap_or_default()
}

/// What a store tells without a key.
fn of_store(path: &Path, out: &Output) -> Result<()> {
    let store = volume::open_store(path, For::Reading, &StoreOptions::default())?;
    let headers = volume::headers(store.as_ref(), path)?;
    let header = headers.first().ok_or_else(unexpected)?;
    let stats = store
        .stats()
        .map_err(|error| volume::explain(path, "", error.into()))?;
    let slot = |kind: &SlotKind| match kind {
        SlotKind::KeyFile => "key file",
        SlotKind::Argon2id { .. } => "passphrase",
    };
    let slots: Vec<_> = header.slots.iter().map(|found| slot(&found.kind)).collect();
    let id = hex(&header.volume_id);
    let json = serde_json::json!({
        "store": crate::path::json(path), "volume_id": id, "record_size": header.record_size,
        "cipher": header.suite.name(), "key_slots": slots, "mounted": false,
        "used_bytes": stats.used_bytes, "garbage_bytes": stats.garbage_bytes, "available_bytes": stats.available_bytes,
    });
    out.show(&json, || {
        let (used, garbage) = (human(stats.used_bytes), human(stats.garbage_bytes));
        format!(
            "volume      {id}\nstore       {}, not mounted\nrecord size {}\nsealed with {}\nopens with  {}\n\
             occupies    {used}, of which {garbage} to be given back",
            path.display(),
            human(header.record_size.into()),
            header.suite.name(),
            slots.join(", "),
        )
    })
}

/// `quota`.
pub(crate) fn quota(args: &QuotaArgs, out: &Output) -> Result<()> {
    // As it is stored: 0 is no limit.
    let [bytes, inodes] = [args.bytes, args.inodes].map(|given| given.map(|limit| limit.0.unwrap_or(0)));
    let purpose = match bytes.or(inodes) {
        Some(_) => For::Writing,
        None => For::Reading,
    };
    let report = match served(&args.place)? {
        Some(mut client) => match client.ask(&Request::Quota { bytes, inodes }, |_, _| {})? {
            Answer::Quota(report) => report,
            _ => return Err(unexpected()),
        },
        None => volume::with(&args.place.place, &args.place.key, purpose, |engine| {
            control::quota(engine, bytes, inodes)
        })?,
    };
    out.show(&report, || report.words())
}
