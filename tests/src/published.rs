//! What a version names, by the clear links alone, as a reader without the key sees it.

use cairn_merkle::{BlockStore, Cid, Codec, Version, node_links};
use std::collections::BTreeSet;

/// Walks everything that `version` names, and requires that all of it is there and is what its name
/// says.
///
/// # Errors
/// The first block that is not.
pub fn audit(store: &dyn BlockStore, version: Version) -> Result<BTreeSet<Cid>, String> {
    let mut named = BTreeSet::new();
    let mut next = vec![version.root];
    while let Some(cid) = next.pop() {
        // Versions share blocks, and so do nodes of one: each is verified once.
        if !named.insert(cid) {
            continue;
        }
        let stored = store.get(&cid).map_err(|error| error.to_string())?;
        let stored = stored.ok_or_else(|| format!("{version} names {cid}, which is gone"))?;
        if !cid.names(&stored) {
            return Err(format!("{cid} is not what {version} names"));
        }
        if cid.codec() == Codec::Node {
            next.extend(node_links(&stored).map_err(|error| format!("{cid}: {error}"))?);
        }
    }
    Ok(named)
}

/// Requires that `versions` are whole and that the store holds nothing beside them.
///
/// # Errors
/// The first block that is missing or too many.
pub fn require_exactly(store: &dyn BlockStore, versions: &[Version]) -> Result<(), String> {
    let mut named = BTreeSet::new();
    for version in versions {
        named.extend(audit(store, *version)?);
    }
    let more = crate::volume::block_names(store)
        .into_iter()
        .find(|cid| !named.contains(cid));
    more.map_or(Ok(()), |cid| {
        Err(format!("{cid} is named by none of {versions:?}"))
    })
}
