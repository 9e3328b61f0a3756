//! One function per command, from parsed arguments to printed answer.

use crate::cli::key::KeyArgs;
use crate::cli::place::PlaceArgs;
use crate::cli::{PathArgs, RekeyArgs};
use crate::error::{Error, Result};
use crate::mount::control::{Client, Request};
use crate::mount::reads::client::{self, serving};
use crate::mount::state::Record;
use crate::mount::{lost, mountpoint};
use crate::offline;
use crate::offline::cipher::Speeds;
use crate::offline::create;
use crate::offline::key::{self, IfAbsent};
use crate::offline::tree::{self, Listing};
use crate::offline::volume::{self, For};
use crate::output::{Output, Progress};
use crate::text::hex;
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

pub(crate) fn unexpected() -> Error {
    Error::Usage("the daemon is of another version of cairn and answers something else".into())
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
    let writable = header.require_writable();
    writable.map_err(|error| volume::explain(path, "", error.into()))?;
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
    let listing = match served_as_it_is(args)? {
        Some(record) => client::list(record, &args.path)?,
        None => offline::with_version(&args.store, &args.version, &args.key, |engine| {
            let mut listing = Listing::read(engine, &args.path)?;
            listing.damage = listing
                .damage
                .or_else(|| lost::after_reading(engine, &args.store));
            Ok(listing)
        })?,
    };
    let entries = listing.entries;
    let line = |entry: &tree::Entry| if long { entry.long() } else { entry.name.clone() };
    out.show(&entries, || {
        entries.iter().map(line).collect::<Vec<_>>().join("\n")
    })?;
    // After what can be listed, as `ls` of a mount does.
    listing.damage.map_or(Ok(()), Err)
}

/// `cat`.
pub(crate) fn cat(args: &PathArgs) -> Result<()> {
    let out = &mut std::io::stdout().lock();
    match served_as_it_is(args)? {
        Some(record) => client::copy(record, &args.path, out),
        None => offline::with_version(&args.store, &args.version, &args.key, |engine| {
            tree::copy(engine, &args.path, out)?;
            lost::after_reading(engine, &args.store).map_or(Ok(()), Err)
        }),
    }
}

/// The daemon, if the volume is mounted and read as it is now. Another version needs the key here,
/// and its blocks from the daemon.
fn served_as_it_is(args: &PathArgs) -> Result<Option<Record>> {
    match args.version.is_given() {
        true => Ok(None),
        false => serving(&args.store),
    }
}
