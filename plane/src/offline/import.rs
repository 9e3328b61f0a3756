//! `import`: a CAR, over those it builds on, becomes a store. What is written is what the version's
//! root leads to: every block is verified on the way, and none is missing at the end.

use super::Place;
use super::export::walk_failed;
use super::new_store::{UnfinishedStore, require_empty};
use crate::cli::verify::{ImportArgs, VersionArgs};
use crate::error::{Error, Result};
use crate::offline::volume;
use crate::output::{Bytes, Output};
use crate::text::human;
use cairn_merkle::clear::HeadClaim;
use cairn_merkle::group::groups_of;
use cairn_merkle::walk::{Walk, WalkError};
use cairn_merkle::{Blocks, Head, HeadSwap, Heads, PutHint, Sealed, StoreError, root_block};
use cairn_store::RocksStore;

/// Blocks put at once.
const BATCH_BYTES: usize = 8 << 20;

/// `import`.
pub(crate) fn import(args: &ImportArgs, out: &Output) -> Result<()> {
    let is_file = match std::fs::metadata(&args.car) {
        // What may not be looked at is not known to be no CAR.
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
            return Err(Error::at("open", &args.car)(error));
        }
        found => found.is_ok_and(|found| found.is_file()),
    };
    if !is_file {
        return Err(Error::NotAVolume {
            store: args.car.clone(),
            what: "it is no file; `import` reads a CAR".into(),
        });
    }
    let version = VersionArgs {
        root: None,
        base: args.base.clone(),
    };
    let place = Place::open(&args.car, &version)?;
    // Before the key is asked for, and before the first file: a refusal leaves nothing behind.
    require_empty(&args.store)?;
    let head = head(&place, args)?;
    let claim = HeadClaim::parse(&head).map_err(|error| place.explain(error))?;
    // Declared before the store, so that the store is closed when what is left of it is taken away.
    let (unfinished, store) = UnfinishedStore::begin(&args.store)?;
    let bar = Bytes::start(out, "written");
    let copied = copy(&place, &store, claim, &|done| {
        bar.set(done);
        // Asked after each batch, so that a signal is heard within 8 MiB.
        unfinished.go_on()
    });
    bar.finish();
    let (blocks, bytes) = copied.map_err(|error| error.at(&place, args))?;
    // Read from the CAR: the store gets it with the head, as its second copy.
    let root_block = root_block(place.store.as_ref(), &place.root);
    // All blocks are durable by now. The marker lies over both sides of the swap: no command opens
    // what a crash leaves, with a head or without.
    let swap = HeadSwap {
        expected: None,
        head: &head,
        header: Some(&place.header()?),
        root_block: &root_block.map_err(|error| place.explain(error))?,
        delete: &[],
        settled: claim.epoch,
        restarts_log: false,
    };
    store
        .swap_head(&swap)
        .and_then(|()| store.close())
        .map_err(|error| volume::explain(&args.store, "", error.into()))?;
    // Last: from here on it is a volume.
    unfinished.finish(&store)?;
    let json = serde_json::json!({
        "store": crate::path::json(&args.store), "root": place.root.to_string(), "epoch": claim.epoch.0, "blocks": blocks, "bytes": bytes,
    });
    out.show(&json, || {
        let (store, epoch) = (args.store.display(), claim.epoch);
        format!(
            "{store}: epoch {epoch} of {}, {blocks} blocks, {}",
            place.root,
            human(bytes)
        )
    })
}

/// The head of the new store: the CAR's, or, of a version that was not the newest, one made with
/// the key.
fn head(place: &Place, args: &ImportArgs) -> Result<Vec<u8>> {
    if let Some(head) = place.stored_head()? {
        return Ok(head.to_vec());
    }
    let given = args.key.key_file.is_some() || args.key.passphrase || args.key.passphrase_file.is_some();
    if !given {
        return Err(Error::Usage(format!(
            "{} holds a version that was not the newest: give the volume's key, so that a head can be made for it",
            place.path.display()
        )));
    }
    let (key, header) = place.unlock(&args.key)?;
    let head = Head {
        volume_id: header.volume_id,
        epoch: place.epoch()?,
        root: place.root,
    };
    Ok(head.encode(&key))
}

/// Which side of a copy failed.
enum CopyError {
    /// The CAR: a block is missing or altered, or it cannot be read.
    Read(WalkError),
    /// The new store.
    Write(StoreError),
    /// Neither.
    Ended(Error),
}

impl CopyError {
    fn at(self, place: &Place, args: &ImportArgs) -> Error {
        match self {
            Self::Read(error) => walk_failed(&place.path, error),
            Self::Write(error) => volume::explain(&args.store, "", error.into()),
            Self::Ended(error) => error,
        }
    }
}

fn copy(
    place: &Place,
    store: &RocksStore,
    claim: HeadClaim,
    progress: &dyn Fn(u64) -> Result<()>,
) -> std::result::Result<(u64, u64), CopyError> {
    let (mut batch, mut batch_bytes) = (Vec::new(), 0);
    let (mut blocks, mut bytes) = (0, 0);
    let mut walk = Walk::over(place.store.as_ref(), place.root);
    while let Some((cid, stored)) = walk.step().map_err(CopyError::Read)? {
        blocks += 1;
        bytes += stored.len() as u64;
        batch_bytes += stored.len();
        batch.push(Sealed {
            cid,
            groups: groups_of(&stored),
            bytes: stored,
        });
        if batch_bytes >= BATCH_BYTES {
            let put = store.put(claim.epoch, &batch, PutHint::Bulk);
            put.map_err(CopyError::Write)?;
            (batch, batch_bytes) = (Vec::new(), 0);
            progress(bytes).map_err(CopyError::Ended)?;
        }
    }
    let put = store.put(claim.epoch, &batch, PutHint::Bulk);
    // Before the head that names them.
    put.and_then(|()| store.sync()).map_err(CopyError::Write)?;
    Ok((blocks, bytes))
}
