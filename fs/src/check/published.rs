//! Verifying a version that is published, while the volume goes on.

use crate::check::report::{CheckProgress, CheckReport, Damage};
use crate::engine::Engine;
use crate::life::open::Opening;
use crate::{Config, Error, Result};
use cairn_merkle::Version;

/// Caches of a past version that is verified: it reads each block once.
const PAST_MEMORY_BYTES: u64 = 16 << 20;

impl Engine {
    /// Verifies a version that is published, from its commit block down, while others go on. It
    /// stays whole meanwhile.
    ///
    /// # Errors
    /// [`Error::NoEntry`] if it is not held; a store that fails. Damage is in the report: a commit
    /// block that is not there or does not open is damage of the root.
    pub fn check_version(&self, version: Version, progress: &dyn Fn(CheckProgress)) -> Result<CheckReport> {
        let _pin = self.pin(version)?;
        let opened = Opening::past(self.blocks.store.clone(), self.key.clone(), version)
            .and_then(|opening| opening.open(Config::with_memory(PAST_MEMORY_BYTES)));
        match opened {
            Ok(past) => past.check(progress),
            Err(error @ Error::Merkle(cairn_merkle::Error::Store(_))) => Err(error),
            Err(Error::Merkle(error)) => Ok(CheckReport {
                damaged: vec![Damage::of(b"/", &error)],
                ..CheckReport::default()
            }),
            Err(error) => Err(error),
        }
    }
}
