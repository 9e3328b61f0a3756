//! Which anchor a volume has: the command line's words for it, and the one place that picks an
//! implementation.
//!
//! ```text
//!  --anchor file:PATH --Spec--> open(volume) --> Arc<dyn Anchor> --> freshness.rs (mount), publish.rs, challenge.rs
//! ```
//!
//! To add a kind: a variant of [`Spec`], a line in its `FromStr`, one in [`Spec`]'s `Display`,
//! and one in [`open`].

pub(crate) mod challenge;
pub(crate) mod file;
pub(crate) mod freshness;
pub(crate) mod publish;

use crate::cli::anchor::Spec;
use crate::error::Result;
use cairn_merkle::{Anchor, AnchorError};
use file::FileAnchor;
use std::sync::Arc;

/// The anchor of the volume `volume_id`.
pub(crate) fn open(spec: &Spec, volume_id: [u8; 16]) -> Result<Arc<dyn Anchor>> {
    Ok(match spec {
        Spec::File(path) => Arc::new(FileAnchor::new(path.clone(), volume_id)),
        Spec::Eth(path) => Arc::new(cairn_chain::Config::read(path)?.anchor()?),
    })
}

/// An anchor's failure with all its causes, in one line.
pub(crate) fn explain(error: &AnchorError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(below) = cause {
        text = format!("{text}: {below}");
        cause = below.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_tells_its_causes() {
        let error = AnchorError::Unreachable {
            source: "no route".into(),
        };
        assert_eq!(explain(&error), "the anchor cannot be reached: no route");
    }
}
