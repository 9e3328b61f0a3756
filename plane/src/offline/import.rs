//! `import`: a CAR, over those it builds on, becomes a store. What is written is what the version's root leads to:
//! every block is verified on the way, and none is missing at the end.

use super::Place;
use super::export::walk_failed;
use crate::cli::verify::{ImportArgs, VersionArgs};
use crate::error::{Error, Result};
use crate::offline::volume;
use crate::output::{Bytes, Output};
use crate::text::human;
use cairn_merkle::clear::HeadClaim;
use cairn_merkle::group::groups_of;
use cairn_merkle::walk::Walk;
use cairn_merkle::{BlockStore, Head, HeadSwap, PutHint, Sealed, root_block};
use cairn_store::{RocksStore, StoreOptions};

/// Blocks put at once.
const BATCH_BYTES: usize = 8 << 20;

/// `import`.
pub(crate) fn import(args: &ImportArgs, out: &Output) -> Result<()> {
    if !args.car.is_file() {
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
    volume::require_empty(&args.store)?;
    let head = head(&place, args)?;
    let claim = HeadClaim::parse(&head).map_err(|error| place.explain(error))?;
    let store = RocksStore::create(&args.store, &StoreOptions::default())
        .map_err(|error| volume::store_error(&args.store, &error))?;
    let bar = Bytes::start(out, "written");
    let copied = copy(&place, &store, claim, &bar).and_then(|done| {
        let swap = HeadSwap {
            expected: None,
            head: &head,
            header: Some(&place.header()?),
            root_block: &root_block(place.store.as_ref(), &place.root)
                .map_err(|error| place.explain(error))?,
            delete: &[],
            settled: claim.epoch,
            restarts_log: false,
        };
        store
            .swap_head(&swap)
            .and_then(|()| store.close())
            .map_err(|error| volume::explain(&args.store, "", error.into()))?;
        Ok(done)
    });
    bar.finish();
    drop(store);
    let (blocks, bytes) = copied.inspect_err(|_| {
        // It was empty, and what is in it now is no volume.
        let _ = std::fs::remove_dir_all(&args.store);
    })?;
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

/// The head of the new store: the CAR's, or, of a version that was not the newest, one made with the key.
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

fn copy(place: &Place, store: &RocksStore, claim: HeadClaim, bar: &Bytes) -> Result<(u64, u64)> {
    let failed = |error: cairn_merkle::StoreError| volume::explain(&place.path, "", error.into());
    let (mut batch, mut batch_bytes) = (Vec::new(), 0);
    let (mut blocks, mut bytes) = (0, 0);
    let mut walk = Walk::over(place.store.as_ref(), place.root);
    while let Some((cid, stored)) = walk.step().map_err(|error| walk_failed(&place.path, error))? {
        blocks += 1;
        bytes += stored.len() as u64;
        batch_bytes += stored.len();
        batch.push(Sealed {
            cid,
            groups: groups_of(&stored),
            bytes: stored,
        });
        if batch_bytes >= BATCH_BYTES {
            store.put(claim.epoch, &batch, PutHint::Bulk).map_err(failed)?;
            (batch, batch_bytes) = (Vec::new(), 0);
            bar.set(bytes);
        }
    }
    store.put(claim.epoch, &batch, PutHint::Bulk).map_err(failed)?;
    store.sync().map_err(failed)?;
    Ok((blocks, bytes))
}
