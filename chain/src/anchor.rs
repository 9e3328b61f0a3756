//! The chain as an [`Anchor`].
//!
//! ```text
//! latest    headOf in the newest final block
//! boot      Boot(volume, boot + 1, nonce), signed --> final --> the Booted event with our nonce says what stood then
//! publish   Publication(boot, epoch, root, previous root), signed --> final
//! challenge Presence, Fault --> a full check --> Answer, Heal          Retrieval --> Locator
//! ```
//!
//! **Invariant:** "done" is said of final blocks only, on which enough endpoints agree. The
//! boot's event carries a nonce that was unknown before the call, so its statement about the
//! volume is newer than the call.

use crate::bindings::{
    AnswerCall, BootCall, BootedFilter, Challenge as OnChain, Checked, Fault as FaultMessage, Head, HealCall,
    LocateCall, Locator, Publication, PublishCall, ReportFaultCall, StorageStakingErrors,
};
use crate::contract::{Contract, Status, Track};
use crate::error::{Error, Result};
use crate::history::{self, Range};
use crate::key::Key;
use crate::message::{Answer, Boot, Heal};
use crate::purse::Purse;
use crate::settle::{Goal, Pace, settle};
use crate::view::View;
use crate::volume::VolumeName;
use cairn_block::{Anchor, AnchorError, Cancel, Challenge, ChallengeKind, Fault, Version};
use ethers_core::abi::AbiEncode;
use ethers_core::types::{Address, Bytes, H256};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Numbers of `ChallengeKind` in the contract.
const FAULT: u8 = 2;
const RETRIEVAL: u8 = 3;

/// One volume's place in the staking contract.
#[derive(Debug)]
pub struct EthAnchor {
    contract: Contract,
    volume: H256,
    signer: Key,
    purse: Arc<Purse>,
    pace: Pace,
    locator: Option<String>,
    /// The boot this instance holds; 0 before it has one.
    boot: AtomicU64,
}

impl EthAnchor {
    /// The volume `key` in `contract`. Its messages are signed by `signer`, gas is paid from
    /// `purse`; a retrieval challenge is answered with `locator`, if there is one.
    pub fn new(
        contract: Contract,
        key: &VolumeName,
        signer: Key,
        purse: Arc<Purse>,
        pace: Pace,
        locator: Option<String>,
    ) -> Self {
        Self {
            contract,
            volume: key.id(),
            signer,
            purse,
            pace,
            locator,
            boot: AtomicU64::new(0),
        }
    }

    /// The contract.
    pub fn contract(&self) -> &Contract {
        &self.contract
    }

    fn settle<G: Goal>(&self, goal: &mut G, cancel: &Cancel) -> Result<G::Reached> {
        settle(&self.contract, &self.purse, self.pace, cancel, goal)
    }

    fn signature(&self, message: &impl crate::message::Message) -> Bytes {
        self.signer
            .sign(&self.contract.domain().digest(message))
            .to_vec()
            .into()
    }

    fn head(&self, view: &View) -> Result<Head> {
        self.contract.head(view, self.volume)
    }

    /// The boot this instance holds. All its messages carry it: once fenced, none of them counts.
    fn held(&self) -> u64 {
        self.boot.load(Ordering::Acquire)
    }

    fn to(&self) -> Option<Address> {
        Some(self.contract.address())
    }

    fn open(&self, view: &View) -> Result<Option<(Track, OnChain)>> {
        if let Some(open) = self.contract.challenge(view, self.volume, Track::Storage)? {
            return Ok(Some((Track::Storage, open)));
        }
        let open = self.contract.challenge(view, self.volume, Track::Retrieval)?;
        // Without a locator there is nothing this instance can say: the publisher's receipt closes
        // it.
        Ok(open
            .filter(|_| self.locator.is_some())
            .map(|open| (Track::Retrieval, open)))
    }
}

/// What stands there as a version; the contract's zero is none.
pub fn version(epoch: u64, root: [u8; 32]) -> Option<Version> {
    (root != [0; 32]).then(|| Version::from_digest(epoch, root))
}

fn digest(version: Option<Version>) -> [u8; 32] {
    version.map_or([0; 32], |version| version.root.digest())
}

impl Anchor for EthAnchor {
    fn describe(&self) -> String {
        format!(
            "contract {:?} on chain {}",
            self.contract.address(),
            self.contract.chain().id()
        )
    }

    fn latest(&self) -> Result<Option<Version>, AnchorError> {
        let view = self.contract.view().map_err(failed)?;
        let head = self.head(&view).map_err(failed)?;
        Ok(version(head.epoch, head.root))
    }

    fn boot(&self, nonce: [u8; 32], cancel: &Cancel) -> Result<Option<Version>, AnchorError> {
        // Noted before anything is sent: this boot's event cannot lie in an earlier block.
        let from = self.contract.view().map_err(failed)?.number;
        let mut goal = Booting {
            anchor: self,
            nonce,
            from,
            under_way: false,
        };
        let booted = self.settle(&mut goal, cancel).map_err(failed)?;
        // Only once the boot is final: messages carry its number. A crash before this loses the
        // number alone, and the next start takes another boot, which fences this one.
        self.boot.store(booted.boot, Ordering::Release);
        Ok(version(booted.epoch, booted.root))
    }

    fn publish(&self, previous: Option<Version>, next: Version, cancel: &Cancel) -> Result<(), AnchorError> {
        let mut goal = Publishing {
            anchor: self,
            // Read once: a publication under an older boot must fail, and not go on under a newer
            // one.
            boot: self.held(),
            previous,
            next,
            found: None,
        };
        match self.settle(&mut goal, cancel) {
            Ok(()) => Ok(()),
            Err(Error::Reverted(revert)) => Err(match revert.error() {
                Some(StorageStakingErrors::WrongBoot(_)) => AnchorError::Fenced,
                Some(StorageStakingErrors::WrongPreviousRoot(_) | StorageStakingErrors::StaleEpoch(_)) => {
                    AnchorError::Conflict { latest: goal.found }
                }
                _ => failed(Error::Reverted(revert)),
            }),
            Err(Error::Fenced) => Err(AnchorError::Fenced),
            Err(Error::Conflict) => Err(AnchorError::Conflict { latest: goal.found }),
            Err(error) => Err(failed(error)),
        }
    }

    fn pending_challenge(&self) -> Result<Option<Challenge>, AnchorError> {
        let view = self.contract.view().map_err(failed)?;
        let open = self.open(&view).map_err(failed)?;
        Ok(open.map(|(_, open)| Challenge {
            id: id(open.number),
            kind: if open.kind == RETRIEVAL {
                ChallengeKind::Retrieval
            } else {
                ChallengeKind::Integrity
            },
            deadline_unix: open.deadline,
        }))
    }

    fn answer(&self, challenge: &Challenge, checked: Version, cancel: &Cancel) -> Result<(), AnchorError> {
        let number = number(&challenge.id);
        let mut goal = Answering {
            anchor: self,
            number,
            checked,
        };
        self.settle(&mut goal, cancel)
            .map_err(|error| self.conflict(error))
    }

    fn report_fault(&self, fault: &Fault, cancel: &Cancel) -> Result<(), AnchorError> {
        self.settle(
            &mut Reporting {
                anchor: self,
                fault: fault.clone(),
            },
            cancel,
        )
        .map_err(|error| self.conflict(error))
    }
}

impl EthAnchor {
    /// A message about a version that is not the newest any more is a conflict, for which the
    /// caller has a remedy.
    fn conflict(&self, error: Error) -> AnchorError {
        match error {
            Error::Conflict => AnchorError::Conflict {
                latest: self.latest().ok().flatten(),
            },
            Error::Reverted(revert) => match revert.error() {
                Some(StorageStakingErrors::WrongBoot(_)) => AnchorError::Fenced,
                Some(StorageStakingErrors::WrongVersion(_)) => AnchorError::Conflict {
                    latest: self.latest().ok().flatten(),
                },
                _ => failed(Error::Reverted(revert)),
            },
            error => failed(error),
        }
    }
}

fn id(number: u64) -> [u8; 32] {
    let mut id = [0; 32];
    id[24..].copy_from_slice(&number.to_be_bytes());
    id
}

fn number(id: &[u8; 32]) -> u64 {
    id.last_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

/// One more than the current boot, whichever that turns out to be.
struct Booting<'a> {
    anchor: &'a EthAnchor,
    nonce: [u8; 32],
    from: u64,
    /// A block has it, though perhaps no answer told of the transaction that was sent.
    under_way: bool,
}

impl Goal for Booting<'_> {
    type Reached = BootedFilter;

    fn reached(&mut self, settled: &View, hashes: &[H256]) -> Result<Option<BootedFilter>> {
        // No transaction for it is known: there is no event to ask for.
        if hashes.is_empty() && !self.under_way {
            return Ok(None);
        }
        let range = Range {
            from: self.from,
            to: settled.number,
        };
        let events = history::events::<BootedFilter>(&self.anchor.contract, self.anchor.volume, range)?;
        Ok(events
            .into_iter()
            .map(|found| found.event)
            .find(|event| event.nonce == self.nonce))
    }

    fn under_way(&mut self, newest: &View) -> Result<bool> {
        let range = Range {
            from: self.from,
            to: newest.number,
        };
        let events = history::events::<BootedFilter>(&self.anchor.contract, self.anchor.volume, range)?;
        self.under_way |= events.iter().any(|found| found.event.nonce == self.nonce);
        Ok(self.under_way)
    }

    fn transaction(&mut self, newest: &View) -> Result<(Option<Address>, Bytes)> {
        let anchor = self.anchor;
        let message = Boot {
            volume: anchor.volume,
            // As of the newest block: if another boot takes this number first, the contract
            // refuses the message, and the next try takes the number after that.
            boot: anchor.head(newest)?.boot + 1,
            nonce: self.nonce,
        };
        let call = BootCall {
            volume: anchor.volume.0,
            number: message.boot,
            nonce: self.nonce,
            signature: anchor.signature(&message),
        };
        Ok((anchor.to(), call.encode().into()))
    }
}

struct Publishing<'a> {
    anchor: &'a EthAnchor,
    boot: u64,
    previous: Option<Version>,
    next: Version,
    found: Option<Version>,
}

impl Goal for Publishing<'_> {
    type Reached = ();

    fn reached(&mut self, settled: &View, _: &[H256]) -> Result<Option<()>> {
        let head = self.anchor.head(settled)?;
        self.found = version(head.epoch, head.root);
        // Before any refusal: a publication that is final succeeded, even if another instance
        // booted since.
        if self.found == Some(self.next) {
            return Ok(Some(()));
        }
        // A later boot is final: from now on the contract takes no message of this one.
        if head.boot > self.boot {
            return Err(Error::Fenced);
        }
        // The contract takes rising epochs alone, so this version can never be published.
        if self.found.is_some_and(|found| found.epoch >= self.next.epoch) {
            return Err(Error::Conflict);
        }
        Ok(None)
    }

    fn under_way(&mut self, newest: &View) -> Result<bool> {
        let head = self.anchor.head(newest)?;
        self.found = version(head.epoch, head.root);
        Ok(self.found == Some(self.next))
    }

    fn transaction(&mut self, _: &View) -> Result<(Option<Address>, Bytes)> {
        let publication = Publication {
            volume: self.anchor.volume.0,
            boot: self.boot,
            epoch: self.next.epoch.0,
            root: self.next.root.digest(),
            previous_root: digest(self.previous),
        };
        let digest = self.anchor.contract.domain().digest(&publication);
        let (r, vs) = self.anchor.signer.sign_compact(&digest);
        let call = PublishCall { r, vs, publication };
        Ok((self.anchor.to(), call.encode().into()))
    }
}

struct Answering<'a> {
    anchor: &'a EthAnchor,
    number: u64,
    checked: Version,
}

impl Answering<'_> {
    fn still_open(&self, view: &View) -> Result<Option<(Track, OnChain)>> {
        let open = self.anchor.open(view)?;
        Ok(open.filter(|(_, open)| open.number == self.number))
    }
}

impl Goal for Answering<'_> {
    type Reached = ();

    fn reached(&mut self, settled: &View, _: &[H256]) -> Result<Option<()>> {
        if self.still_open(settled)?.is_some() {
            return Ok(None);
        }
        // Closed, but how? Claimed means that the answer came too late.
        match self.anchor.contract.record(settled, self.anchor.volume)?.status {
            status if status == Status::Slashed as u8 => Err(Error::Ended("its stake is lost")),
            _ => Ok(Some(())),
        }
    }

    fn under_way(&mut self, newest: &View) -> Result<bool> {
        Ok(self.still_open(newest)?.is_none())
    }

    fn transaction(&mut self, newest: &View) -> Result<(Option<Address>, Bytes)> {
        let anchor = self.anchor;
        let kind = self.still_open(newest)?.map(|(_, open)| open.kind);
        let (volume, boot, number) = (anchor.volume.0, anchor.held(), self.number);
        let (epoch, root) = (self.checked.epoch.0, self.checked.root.digest());
        if kind == Some(RETRIEVAL) {
            let locator = anchor.locator.clone().unwrap_or_default();
            let locator = Locator {
                volume,
                boot,
                number,
                epoch,
                root,
                locator,
            };
            let signature = anchor.signature(&locator);
            return Ok((anchor.to(), LocateCall { locator, signature }.encode().into()));
        }
        let checked = Checked {
            volume,
            boot,
            number,
            epoch,
            root,
        };
        let call = if kind == Some(FAULT) {
            let signature = anchor.signature(&Heal(&checked));
            HealCall { checked, signature }.encode()
        } else {
            let signature = anchor.signature(&Answer(&checked));
            AnswerCall { checked, signature }.encode()
        };
        Ok((anchor.to(), call.into()))
    }
}

struct Reporting<'a> {
    anchor: &'a EthAnchor,
    fault: Fault,
}

impl Reporting<'_> {
    fn is_said(&self, view: &View) -> Result<bool> {
        let open = self
            .anchor
            .contract
            .challenge(view, self.anchor.volume, Track::Storage)?;
        let survivor = self.fault.survivor;
        Ok(open.is_some_and(|open| {
            open.kind == FAULT && version(open.surviving_epoch, open.surviving_root) == survivor
        }))
    }
}

impl Goal for Reporting<'_> {
    type Reached = ();

    fn reached(&mut self, settled: &View, _: &[H256]) -> Result<Option<()>> {
        Ok(self.is_said(settled)?.then_some(()))
    }

    fn under_way(&mut self, newest: &View) -> Result<bool> {
        self.is_said(newest)
    }

    fn transaction(&mut self, newest: &View) -> Result<(Option<Address>, Bytes)> {
        let anchor = self.anchor;
        let survivor = self.fault.survivor;
        let fault = FaultMessage {
            volume: anchor.volume.0,
            boot: anchor.held(),
            number: anchor.contract.record(newest, anchor.volume)?.faults + 1,
            epoch: self.fault.version.epoch.0,
            root: self.fault.version.root.digest(),
            surviving_epoch: survivor.map_or(0, |version| version.epoch.0),
            surviving_root: digest(survivor),
        };
        let signature = anchor.signature(&fault);
        Ok((anchor.to(), ReportFaultCall { fault, signature }.encode().into()))
    }
}

/// A failure of the chain in an anchor's words.
pub fn failed(error: Error) -> AnchorError {
    let why = error.to_string();
    match error {
        Error::Unreachable { .. } | Error::NotInTime { .. } => AnchorError::Unreachable {
            source: Box::new(error),
        },
        Error::TooLong { .. }
        | Error::Nonsense { .. }
        | Error::WrongChain { .. }
        | Error::Disagree { .. }
        | Error::NotTheContract { .. }
        | Error::OldChain { .. } => AnchorError::Untrustworthy {
            why,
            source: Some(Box::new(error)),
        },
        Error::Cancelled => AnchorError::Cancelled,
        Error::Fenced => AnchorError::Fenced,
        Error::Conflict
        | Error::Ended(_)
        | Error::Refused { .. }
        | Error::NoVolume(_)
        | Error::Reverted(_)
        | Error::NonceTaken { .. }
        | Error::TooExpensive { .. }
        | Error::NoGas { .. }
        | Error::Config(_)
        | Error::Key { .. } => AnchorError::Refused {
            why,
            source: Some(Box::new(error)),
        },
    }
}
