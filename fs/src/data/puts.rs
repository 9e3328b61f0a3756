//! Leaves that are put while their epoch is open, outside the lock: the epoch is closed only
//! between such puts.
//!
//! ```text
//!  writers: enter --(lock released: seal, put)--> leave
//!              `-- while it is shut, they wait
//!  a commit: shut --> wait until none is inside --> open
//! ```
//!
//! **Invariant:** a leaf is born in the epoch whose layers name it. What a sync covers had landed
//! when it began.

/// The gate that leaves pass on their way into the open epoch, and how many have passed.
#[derive(Debug, Default)]
pub(crate) struct PutGate {
    /// Puts under way.
    inside: u32,
    /// A freeze waits for them to end.
    shut: bool,
    /// Bulk puts that ended, and how many of them a sync has covered.
    landed: u64,
    synced: u64,
}

impl PutGate {
    pub(crate) fn is_shut(&self) -> bool {
        self.shut
    }

    pub(crate) fn enter(&mut self) {
        debug_assert!(!self.shut, "a put waits while the gate is shut");
        self.inside += 1;
    }

    pub(crate) fn leave(&mut self) {
        self.inside -= 1;
    }

    pub(crate) fn shut(&mut self) {
        // Later puts wait outside: under busy writers none would ever be the last.
        self.shut = true;
    }

    pub(crate) fn open(&mut self) {
        debug_assert_eq!(self.inside, 0, "it opens when none is inside");
        self.shut = false;
    }

    /// Whether puts are under way.
    pub(crate) fn is_busy(&self) -> bool {
        self.inside > 0
    }

    /// A leaf was put.
    pub(crate) fn land(&mut self) {
        self.landed += 1;
    }

    /// Leaves put so far.
    pub(crate) fn landed(&self) -> u64 {
        self.landed
    }

    /// Whether a leaf was put that no sync has covered.
    pub(crate) fn needs_sync(&self) -> bool {
        self.landed > self.synced
    }

    /// A sync that began when so many leaves had been put is done.
    pub(crate) fn synced(&mut self, landed: u64) {
        // Never back: a commit tells what had landed at its freeze, and the log may have synced
        // more.
        self.synced = self.synced.max(landed);
    }
}
