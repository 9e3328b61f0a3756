//! One function per command, from parsed arguments to printed answer.

use crate::cli::key::KeyArgs;
use crate::cli::values::Limit;
use crate::cli::{PathArgs, PlaceArgs, RekeyArgs, SnapshotCommand};
use crate::clock;
use crate::error::{Error, Result};
use crate::mount::control::{self, Answer, Client, Request};
use crate::mount::state::{self, Record};
use crate::mount::{lost, mountpoint};
use crate::offline;
use crate::offline::cipher::Speeds;
use crate::offline::create;
use crate::offline::key::{self, IfAbsent};
use crate::offline::tree;
use crate::offline::volume::{self, For};
use crate::output::{Output, Progress};
use crate::report::SnapshotReport;
use crate::text::{hex, human};
use cairn_merkle::{Blocks, SlotKind};
use cairn_store::StoreOptions;
use std::path::Path;
use std::time::Duration;

/// `create`.
pub(crate) fn create(args: &crate::cli::CreateArgs, out: &Output) -> Result<()> {
    let header = create::create(args)?;
    let id = hex(&header.volume_id);
    // After the volume is there: a measurement is no reason for it to be late or not to be.
    let speeds = Speeds::measure();
    if let Some(advice) = speeds.advice(header.suite).filter(|_| !out.json) {
        eprintln!("cairn: note: {advice}");
    }
    let json = serde_json::json!({
        "store": crate::path::json(&args.store), "volume_id": id, "record_size": header.record_size,
        "cipher": header.suite.name(), "bytes_per_s": speeds.by_name(), "advice": speeds.advice(header.suite),
    });
    out.show(&json, || {
        let store = args.store.display();
        let key = args.key.key_file.as_ref().map_or("the passphrase".into(), |path| path.display().to_string());
        format!(
            "created volume {id} in {store}\nits key is {key}: without it the volume and all its data are lost. \
             Keep a copy elsewhere"
        )
    })
}

/// `status`.
pub(crate) fn status(place: &Path, out: &Output) -> Result<()> {
    if Record::find(place)?.is_none() && !mountpoint::is_cairn(place) {
        return store_status(place, out);
    }
    let Answer::Status(report) = Client::connect(place)?.ask(&Request::Status, |_, _| {})? else {
        return Err(unexpected());
    };
    out.show(&report, || {
        let state = report.read_only.as_ref().map_or("read-write".into(), |why| format!("read-only: {why}"));
        let Report { pid, store, mountpoint, volume_id, cipher, epoch, root, .. } = report.as_ref();
        let repaired = report.repaired.as_ref().map(|repaired| format!("\n{}", repaired.words()));
        let repaired = repaired.unwrap_or_default();
        let (used, dirty, memory) =
            (human(report.used_bytes), human(report.dirty_bytes), human(report.memory_bytes));
        format!(
            "volume      {volume_id}\nsealed with {cipher}\nstore       {}\nmounted at  {} by pid {pid}, {state}\nepoch       {epoch}\n\
             root        {root}\nholds       {used} in {} inodes\nnot yet committed {dirty}, memory {memory}\n{}{}{}",
            store.display(),
            mountpoint.display(),
            report.inodes,
            report.freshness.words(),
            lost::status_lines(report.log_lost.as_ref(), report.log_torn.as_deref()),
            report.damage.words(),
        ) + &repaired
    })
}

use crate::report::MountReport as Report;

pub(crate) fn unexpected() -> Error {
    Error::Usage("the daemon is of another version of cairn and answers something else".into())
}

/// What a store tells without a key.
fn store_status(path: &Path, out: &Output) -> Result<()> {
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

/// `sync`.
pub(crate) fn sync(dir: &Path, anchored: bool, timeout: Option<Duration>, out: &Output) -> Result<()> {
    let mut client = Client::connect(dir)?;
    // The daemon commits what it was given: pages of the kernel go first.
    mountpoint::flush_kernel(&client.record().mountpoint)?;
    let timeout_ms = timeout.map(|timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX));
    let (what, done, request) = match anchored {
        false => ("committing", "everything is durable in", Request::Sync),
        true => (
            "waiting for the anchor",
            "everything is anchored in",
            Request::SyncAnchored { timeout_ms },
        ),
    };
    let progress = Progress::spinner(out, what);
    client.ask(&request, |_, _| {})?;
    progress.finish();
    out.done(done, dir)
}

/// `quota`.
pub(crate) fn quota(dir: &Path, bytes: Option<Limit>, inodes: Option<Limit>, out: &Output) -> Result<()> {
    let (Some(Limit(bytes)), Some(Limit(inodes))) = (bytes, inodes) else {
        return Err(Error::Usage(
            "give both --bytes and --inodes; `none` lifts a limit".into(),
        ));
    };
    Client::connect(dir)?.ask(&Request::Quota { bytes, inodes }, |_, _| {})?;
    out.done("quota set on", dir)
}

/// `snapshot`.
pub(crate) fn snapshot(command: &SnapshotCommand, out: &Output) -> Result<()> {
    match command {
        SnapshotCommand::Create { place, name } => {
            let made = match served(place)? {
                Some(mut client) => {
                    // A snapshot holds what the daemon has, so pages of the kernel go first.
                    mountpoint::flush_kernel(&client.record().mountpoint)?;
                    snapshots(client.ask(&Request::SnapshotCreate { name: name.clone() }, |_, _| {})?)?
                }
                None => volume::with(&place.place, &place.key, For::Writing, |engine| {
                    control::snapshot_create(engine, name).map(|made| vec![made])
                })?,
            };
            out.show(&made, || format!("created snapshot {name}"))
        }
        SnapshotCommand::List { place } => {
            let list = match served(place)? {
                Some(mut client) => snapshots(client.ask(&Request::SnapshotList, |_, _| {})?)?,
                None => volume::with(&place.place, &place.key, For::Reading, control::snapshot_list)?,
            };
            out.show(&list, || table(&list))
        }
        SnapshotCommand::Destroy { place, name } => {
            match served(place)? {
                Some(mut client) => {
                    client.ask(&Request::SnapshotDestroy { name: name.clone() }, |_, _| {})?;
                }
                None => volume::with(&place.place, &place.key, For::Writing, |engine| {
                    Ok(engine.snapshot_destroy(&cairn_fs::Name::new(name.as_bytes())?)?)
                })?,
            }
            out.show(&serde_json::json!({ "destroyed": name }), || {
                format!("destroyed snapshot {name}")
            })
        }
    }
}

fn snapshots(answer: Answer) -> Result<Vec<SnapshotReport>> {
    if let Answer::Snapshots { snapshots } = answer {
        Ok(snapshots)
    } else {
        Err(unexpected())
    }
}

fn table(list: &[SnapshotReport]) -> String {
    let row = |s: &SnapshotReport| {
        format!(
            "{}  epoch {:>8}  {:>12}  {:>9} inodes  {}",
            clock::date(s.created),
            s.epoch,
            human(s.bytes),
            s.inodes,
            s.name
        )
    };
    list.iter().map(row).collect::<Vec<_>>().join("\n")
}

/// The daemon, if one serves `place`; without one, a key must say how to open the store.
pub(crate) fn served(place: &PlaceArgs) -> Result<Option<Client>> {
    let at = &place.place;
    match Record::find(at)? {
        None if !mountpoint::is_cairn(at) => Ok(None),
        _ => Client::connect(at).map(Some),
    }
}

/// `rekey`.
pub(crate) fn rekey(args: &RekeyArgs, out: &Output) -> Result<()> {
    let new = KeyArgs {
        key_file: args.new_key_file.clone(),
        passphrase: args.new_passphrase,
        passphrase_file: args.new_passphrase_file.clone(),
        handed_over: false,
    };
    if new.key_file.is_none() && !new.passphrase && new.passphrase_file.is_none() {
        return Err(Error::Usage(
            "give --new-key-file, --new-passphrase or --new-passphrase-file".into(),
        ));
    }
    let path = &args.store;
    let store = volume::open_store_patiently(path, For::Writing, &StoreOptions::default())?;
    let headers = volume::headers(store.as_ref(), path)?;
    let old = key::provider(&args.key, IfAbsent::Refuse)?;
    // The lock is held until the swap: no mount begins with the old header in between.
    let (key, header) = volume::unlock(headers, path, old.as_ref())?;
    // Only now, with the old key proven, is a new key file made.
    let slot = key::provider(&new, IfAbsent::Create)?.new_slot()?;
    let renewed = header
        .rekey(&mut rand::rng(), &key, &[slot])
        .map_err(cairn_fs::Error::from)?;
    // One swap of the head brings the new header and a commit that accepts no other. A crash
    // before it leaves the old key in force, and a new key file that opens nothing.
    cairn_fs::rekey(store, key, &header, &renewed)
        .map_err(|error| volume::explain(path, &old.describe(), error))?;
    out.done("the old key no longer opens the volume in", path)
}

/// `ls`.
pub(crate) fn ls(args: &PathArgs, long: bool, out: &Output) -> Result<()> {
    require_unmounted(&args.store)?;
    let (listing, lost) = offline::with_version(&args.store, &args.version, &args.key, |engine| {
        Ok((
            tree::list(engine, &args.path)?,
            lost::after_reading(engine, &args.store),
        ))
    })?;
    let entries = listing.entries;
    let line = |entry: &tree::Entry| if long { entry.long() } else { entry.name.clone() };
    out.show(&entries, || {
        entries.iter().map(line).collect::<Vec<_>>().join("\n")
    })?;
    // After what can be listed, as `ls` of a mount does.
    if let Some(error) = listing.damage {
        return Err(error.into());
    }
    lost.map_or(Ok(()), Err)
}

/// `cat`.
pub(crate) fn cat(args: &PathArgs) -> Result<()> {
    require_unmounted(&args.store)?;
    offline::with_version(&args.store, &args.version, &args.key, |engine| {
        tree::copy(engine, &args.path, &mut std::io::stdout().lock())?;
        lost::after_reading(engine, &args.store).map_or(Ok(()), Err)
    })
}

fn require_unmounted(store: &Path) -> Result<()> {
    let Some(record) = Record::find(store)?.filter(|record| mountpoint::is_mounted(&record.mountpoint))
    else {
        return Ok(());
    };
    let (store, at) = (state::resolve(store), record.mountpoint.display().to_string());
    Err(Error::Busy(format!(
        "the volume in {} is mounted: read it at {at}",
        store.display()
    )))
}
