//! The machine's clock and random bytes: arguments of the engine.
//!
//! What is stored depends on the random bytes and on the times that come with each call, and never
//! on this clock, which only paces commits and the log. With both given, a run can be repeated to
//! the last stored byte.

use rand::{TryCryptoRng, TryRng};
use std::convert::Infallible;
use std::fmt::{self, Debug, Formatter};
use std::sync::Arc;
use std::time::Instant;

/// A clock that never goes back.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Instant;
}

/// Random bytes that no adversary can predict: keys are made of them.
pub trait Random: Send + Sync {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);
}

/// What an engine takes from the machine that it runs on.
#[derive(Clone)]
pub struct Machine {
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl Machine {
    /// With these.
    pub fn new(clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        Self { clock, random }
    }

    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }

    pub(crate) fn rng(&self) -> Rng<'_> {
        Rng(self.random.as_ref())
    }
}

/// The system's monotonic clock, and a generator for each thread that the system seeds.
impl Default for Machine {
    fn default() -> Self {
        Self::new(Arc::new(System), Arc::new(System))
    }
}

impl Debug for Machine {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("Machine")
    }
}

struct System;

impl Clock for System {
    fn now(&self) -> Instant {
        Instant::now()
    }
}

impl Random for System {
    fn fill(&self, bytes: &mut [u8]) {
        rand::Rng::fill_bytes(&mut rand::rng(), bytes);
    }
}

/// [`Random`] as sealing takes it.
pub(crate) struct Rng<'a>(&'a dyn Random);

impl TryRng for Rng<'_> {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.0.fill(&mut bytes);
        Ok(u32::from_le_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        Ok(u64::from_le_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(bytes);
        Ok(())
    }
}

// The promise is `Random`'s.
impl TryCryptoRng for Rng<'_> {}

#[cfg(test)]
mod tests;
