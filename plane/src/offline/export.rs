//! `export`: a version as a CAR, whole or what is new since an older one.

use super::Place;
use super::place::explain;
use super::unfinished::{UnfinishedFile, writing};
use crate::cli::verify::{ExportArgs, VersionArgs, cid};
use crate::error::{Error, Result};
use crate::output::{Bytes, Output};
use crate::text::human;
use cairn_merkle::Cid;
use cairn_merkle::car::{CarVolume, ExportError, ExportProgress, Exported, export_v1, export_v2};
use cairn_merkle::walk::{BlockFault, Flaw, Seen, Walk, WalkError};
use std::ffi::OsStr;
use std::io::BufWriter;
use std::path::Path;

const BUFFER_BYTES: usize = 1 << 20;

/// `export`.
pub(crate) fn export(args: &ExportArgs, out: &Output) -> Result<()> {
    let stream = args.car == Path::new("-");
    if stream && !args.v1 {
        return Err(Error::Usage(
            "a CARv2 needs a file: with `--car -` goes --v1".into(),
        ));
    }
    if stream && out.json {
        return Err(Error::Usage(
            "--json and the CAR cannot both have standard output".into(),
        ));
    }
    // Holds the lock of a store, or has the daemon keep the version, to the end: no commit deletes
    // a block under the walk.
    let place = Place::open(&args.place, &args.version)?;
    if place.has_log() {
        eprintln!(
            "cairn: the intent log holds changes that are in no version yet: mount and unmount the volume first to export them"
        );
    }
    let spinner = crate::output::Progress::spinner(out, "reading what the older version has");
    // Before the file is begun: what is wrong with the older version costs no work.
    let since = args
        .since
        .as_deref()
        .map(|since| older(&place, since))
        .transpose()?;
    spinner.finish();
    let (skip, since) = since.unzip();
    let newest = place.head.is_some_and(|head| head.root == place.root);
    let head = if newest { place.stored_head()? } else { None };
    let volume = CarVolume {
        root: place.root,
        header: place.header()?,
        head,
        since,
    };
    let bar = Bytes::start(out, "written");
    let progress = |done: ExportProgress| bar.set(done.bytes);
    let written = write(args, &place, &volume, skip.as_ref(), &progress);
    bar.finish();
    let written = written?;
    let json = serde_json::json!({
        "car": crate::path::json(&args.car), "root": place.root.to_string(), "since": since.map(|since| since.to_string()),
        "version": if args.v1 { 1 } else { 2 }, "blocks": written.blocks, "bytes": written.bytes,
    });
    if stream {
        return Ok(());
    }
    out.show(&json, || {
        let since = since.map_or(String::new(), |since| format!(", new since {since}"));
        let Exported { blocks, bytes } = written;
        format!(
            "{}: {blocks} blocks of {}{since}, {}",
            args.car.display(),
            place.root,
            human(bytes)
        )
    })
}

fn write(
    args: &ExportArgs,
    place: &Place,
    volume: &CarVolume,
    skip: Option<&Seen>,
    progress: &dyn Fn(ExportProgress),
) -> Result<Exported> {
    let failed = |error: ExportError| match error {
        ExportError::Walk(error) => walk_failed(&place.path, error),
        ExportError::Write(error) => writing(&args.car, error),
    };
    let store = place.store.as_ref();
    if args.car == Path::new("-") {
        let stdout = BufWriter::with_capacity(BUFFER_BYTES, std::io::stdout().lock());
        return export_v1(store, volume, skip, stdout, progress).map_err(failed);
    }
    let unfinished = UnfinishedFile::create(&args.car, 0o666)?;
    let mut file = BufWriter::with_capacity(BUFFER_BYTES, &unfinished.file);
    let written = match args.v1 {
        true => export_v1(store, volume, skip, &mut file, progress),
        false => export_v2(store, volume, skip, &mut file, progress),
    };
    let written = written.map_err(failed)?;
    // The writer of the CAR has flushed and told of failures. A drop tells of none.
    drop(file);
    // The CAR is whole; only now does it get its name.
    unfinished.finish()?;
    Ok(written)
}

/// What the older version has, and its root.
fn older(place: &Place, since: &OsStr) -> Result<(Seen, Cid)> {
    let (car, said) = (Path::new(since), since.display());
    let older = if car.is_file() {
        Place::open(car, &VersionArgs::default())?
    } else {
        let root = cid(&since.to_string_lossy())
            .map_err(|_| Error::Usage(format!("`{said}` is neither a CAR nor the CID of a version")))?;
        place.at(root)?
    };
    if let Some(base) = older.since {
        return Err(Error::Usage(format!(
            "{said} leaves out what version {base} has, so it does not say all that its own has: name a whole CAR"
        )));
    }
    let seen =
        Walk::names(older.store.as_ref(), older.root).map_err(|error| walk_failed(&older.path, error))?;
    Ok((seen, older.root))
}

/// The error of a walk that met a block which is missing or altered.
pub(super) fn walk_failed(path: &Path, error: WalkError) -> Error {
    let store = path.to_path_buf();
    match error {
        WalkError::Fault(
            fault @ BlockFault {
                flaw: Flaw::Missing, ..
            },
        ) => Error::Incomplete {
            store,
            what: fault.to_string(),
        },
        WalkError::Fault(fault) => Error::Damaged {
            store,
            what: fault.to_string(),
        },
        WalkError::Store(error) => explain(path, error.into()),
    }
}
