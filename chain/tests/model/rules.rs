//! The contract's rules, written once more: the effect of each act, or the error it meets.
//! Nothing here asks the chain.
//!
//! Invariant: an act that is refused changes nothing.

use cairn_chain::Status;
use cairn_chain::bindings::{Publication, Terms};
use std::collections::BTreeMap;

mod agreements;
mod challenges;
mod heads;
mod leaving;

/// Share of the whole, in the contract's unit.
const WHOLE_BPS: u128 = 10_000;

/// Why an act is refused: the name of the contract's error.
pub(crate) type Refusal = &'static str;
type Outcome = Result<(), Refusal>;

/// Who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who {
    /// Owns the data.
    Publisher,
    /// Stakes.
    Provider,
    /// Of all volumes.
    Arbiter,
    /// Any other account.
    Stranger,
}

/// A key, by its number: 0 and 1 are in TEEs, 2 is a thief's.
pub(crate) type KeyNo = usize;

/// A root, by its number; zero is none.
pub(crate) type Root = [u8; 32];

/// A head by its number: those of the volumes first, then that of the plane of each key in a TEE.
pub(crate) type HeadNo = usize;

/// What stands for a volume or plane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Head {
    /// The newest root.
    pub(crate) root: Root,
    /// Its epoch.
    pub(crate) epoch: u64,
    /// The boot that may publish.
    pub(crate) boot: u64,
    /// When it was published.
    pub(crate) published_at: u64,
    /// Who may publish.
    pub(crate) signer: Option<KeyNo>,
}

/// A challenge that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Open {
    /// 1 presence, 2 fault, 3 retrieval.
    pub(crate) kind: u8,
    /// Its number.
    pub(crate) number: u64,
    /// When.
    pub(crate) opened_at: u64,
    /// Last second for an answer.
    pub(crate) deadline: u64,
    /// What stood then.
    pub(crate) epoch: u64,
    /// What stood then.
    pub(crate) root: Root,
    /// What the publisher put down.
    pub(crate) bond: u128,
    /// What can be read.
    pub(crate) surviving: (u64, Root),
}

/// One volume.
#[derive(Clone, Debug)]
pub(crate) struct Volume {
    /// One of None, Offered, Active, Frozen, Slashed, Closed.
    pub(crate) stored: Status,
    /// What both agreed on.
    pub(crate) terms: Terms,
    /// Who offered.
    pub(crate) offered_by: Who,
    /// The signer that the offer names.
    pub(crate) offered_signer: Option<KeyNo>,
    /// Until when.
    pub(crate) expires: u64,
    /// What is staked now.
    pub(crate) stake: u128,
    /// When it was opened.
    pub(crate) opened_at: u64,
    /// End of grace.
    pub(crate) grace_ends: u64,
    /// End of the notice.
    pub(crate) notice_ends: u64,
    /// End of the freeze.
    pub(crate) frozen_until: u64,
    /// End of the pause, by track.
    pub(crate) cooled: [u64; 2],
    /// Challenges and faults so far.
    pub(crate) challenges: u64,
    /// Faults so far.
    pub(crate) faults: u64,
    /// Changes of the signer so far.
    pub(crate) rotations: u64,
    /// Those by both parties.
    pub(crate) replacements: u64,
    /// Signers, with the number of replacements when they were named.
    pub(crate) answers: BTreeMap<KeyNo, u64>,
    /// What is open, by track.
    pub(crate) open: [Option<Open>; 2],
}

impl Volume {
    fn new() -> Self {
        Self {
            stored: Status::None,
            terms: Terms::default(),
            offered_by: Who::Stranger,
            offered_signer: None,
            expires: 0,
            stake: 0,
            opened_at: 0,
            grace_ends: 0,
            notice_ends: 0,
            frozen_until: 0,
            cooled: [0; 2],
            challenges: 0,
            faults: 0,
            rotations: 0,
            replacements: 0,
            answers: BTreeMap::new(),
            open: [None; 2],
        }
    }

    /// What `recordOf` says.
    pub(crate) fn status(&self) -> Status {
        match self.stored {
            Status::Active if self.open.iter().any(Option::is_some) => Status::Challenged,
            Status::Active if self.grace_ends != 0 => Status::Grace,
            Status::Active if self.notice_ends != 0 => Status::Leaving,
            stored => stored,
        }
    }

    fn active(&self) -> Outcome {
        require(self.stored == Status::Active, "WrongStatus")
    }

    fn staked(&self) -> Outcome {
        require(
            matches!(self.stored, Status::Active | Status::Frozen),
            "WrongStatus",
        )
    }
}

/// A message of the storage plane about a version it has checked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Check {
    /// The boot it holds.
    pub(crate) boot: u64,
    /// The challenge.
    pub(crate) number: u64,
    /// The version.
    pub(crate) epoch: u64,
    /// Its root.
    pub(crate) root: Root,
    /// Who signed.
    pub(crate) by: KeyNo,
}

/// What can be done. Volumes by number.
#[derive(Clone, Debug)]
#[allow(missing_docs)] // IStorageStaking.sol says it
pub(crate) enum Act {
    Offer {
        v: usize,
        by: Who,
        terms: Box<Terms>,
        signer: Option<KeyNo>,
        expires: u64,
    },
    WithdrawOffer {
        v: usize,
        by: Who,
    },
    Accept {
        v: usize,
        by: Who,
        signer: KeyNo,
        consent: bool,
        proof: KeyNo,
    },
    OpenPlane {
        key: KeyNo,
    },
    Boot {
        head: HeadNo,
        boot: u64,
        by: KeyNo,
    },
    Publish {
        head: HeadNo,
        publication: Publication,
        by: KeyNo,
    },
    Batch {
        heads: Vec<HeadNo>,
        publications: Vec<Publication>,
        by: KeyNo,
    },
    Checkpoint {
        v: usize,
        publication: Publication,
    },
    Challenge {
        v: usize,
        track: usize,
        by: Who,
    },
    Answer {
        v: usize,
        check: Check,
    },
    Heal {
        v: usize,
        check: Check,
    },
    Fault {
        v: usize,
        check: Check,
        surviving: (u64, Root),
    },
    Acknowledge {
        v: usize,
        number: u64,
        by: Who,
    },
    Locate {
        v: usize,
        check: Check,
        text: &'static str,
    },
    Rule {
        v: usize,
        by: Who,
        share_bps: u16,
    },
    Claim {
        v: usize,
        track: usize,
    },
    ClaimFrozen {
        v: usize,
    },
    StartGrace {
        v: usize,
    },
    CancelGrace {
        v: usize,
    },
    Deposit {
        amount: u128,
    },
    Draw {
        amount: u128,
    },
    GiveNotice {
        v: usize,
        by: Who,
    },
    Exit {
        v: usize,
        by: Who,
    },
    Release {
        v: usize,
        by: Who,
    },
    Settle {
        v: usize,
        to_publisher: u128,
        expires: u64,
        agreed: bool,
    },
    Withdraw {
        by: Who,
    },
    Rotate {
        v: usize,
        to: KeyNo,
        boot: u64,
        rotation: u64,
        old: KeyNo,
    },
    Replace {
        v: usize,
        to: KeyNo,
        rotation: u64,
        agreed: bool,
    },
    Equivocate {
        v: usize,
        boot: u64,
        epoch: u64,
        roots: [Root; 2],
        by: KeyNo,
    },
}

/// The contract, and the money of those around it.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// Time of the newest block.
    pub(crate) now: u64,
    /// The volumes.
    pub(crate) volumes: Vec<Volume>,
    /// Heads: of the volumes, then of the planes.
    pub(crate) heads: Vec<Head>,
    /// What may be withdrawn.
    pub(crate) credits: BTreeMap<Who, u128>,
    /// The contract's debts.
    pub(crate) owed: u128,
    /// What each holds, relative to the beginning.
    pub(crate) holds: BTreeMap<Who, i128>,
    /// Deposited for the pod.
    pub(crate) available: u128,
}

fn require(holds: bool, error: Refusal) -> Outcome {
    if holds { Ok(()) } else { Err(error) }
}

impl Rules {
    /// So many volumes without an offer, at `now`.
    pub(crate) fn new(volumes: usize, now: u64) -> Self {
        Self {
            now,
            volumes: vec![Volume::new(); volumes],
            heads: vec![Head::default(); volumes + 2],
            credits: BTreeMap::new(),
            owed: 0,
            holds: BTreeMap::new(),
            available: 0,
        }
    }

    /// Does `act` at `now`.
    pub(crate) fn act(&mut self, act: &Act, now: u64) -> Outcome {
        let mut after = self.clone();
        after.now = now;
        let outcome = after.attempt(act);
        self.now = now;
        if outcome.is_ok() {
            *self = after;
        }
        outcome
    }

    fn attempt(&mut self, act: &Act) -> Outcome {
        use Act::{Accept, Offer, Replace, Rotate, WithdrawOffer};
        use Act::{Batch, Boot, Checkpoint, Equivocate, OpenPlane, Publish};
        use Act::{CancelGrace, Deposit, Draw, Exit, GiveNotice, Release, Settle, StartGrace, Withdraw};
        match act {
            Offer { .. } | WithdrawOffer { .. } | Accept { .. } | Rotate { .. } | Replace { .. } => {
                self.agree(act)
            }
            OpenPlane { .. }
            | Boot { .. }
            | Publish { .. }
            | Batch { .. }
            | Checkpoint { .. }
            | Equivocate { .. } => self.move_on(act),
            StartGrace { .. } | CancelGrace { .. } | GiveNotice { .. } | Exit { .. } | Release { .. } => {
                self.leave(act)
            }
            Settle { .. } | Deposit { .. } | Draw { .. } | Withdraw { .. } => self.leave(act),
            _ => self.ask(act),
        }
    }

    fn take_in(&mut self, from: Who, amount: u128) {
        self.owed += amount;
        *self.holds.entry(from).or_default() -= amount as i128;
    }

    fn take_back(&mut self, v: usize) {
        let stake = std::mem::take(&mut self.volumes[v].stake);
        *self.credits.entry(Who::Provider).or_default() += stake;
    }

    fn close(&mut self, v: usize, track: usize, bond_to: Who) {
        if let Some(open) = self.volumes[v].open[track].take() {
            *self.credits.entry(bond_to).or_default() += open.bond;
        }
    }

    fn close_answered(&mut self, v: usize, track: usize, bond_to: Who) {
        self.volumes[v].cooled[track] = self.now + u64::from(self.volumes[v].terms.cooldown);
        self.close(v, track, bond_to);
    }

    fn end(&mut self, v: usize, status: Status, to_publisher: u128) {
        let stake = std::mem::take(&mut self.volumes[v].stake);
        self.volumes[v].stored = status;
        self.heads[v].signer = None;
        self.close(v, 0, Who::Publisher);
        self.close(v, 1, Who::Publisher);
        *self.credits.entry(Who::Publisher).or_default() += to_publisher;
        *self.credits.entry(Who::Provider).or_default() += stake - to_publisher;
    }

    fn share(&self, v: usize, bps: u16) -> u128 {
        self.volumes[v].stake * u128::from(bps) / WHOLE_BPS
    }
}
