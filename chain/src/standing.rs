//! The standing of a volume on chain, and the trouble in it.
//!
//! ```text
//! one final block:  head, record, challenges, balance of the gas account --> Standing
//!                   what its owner tolerates (Limits)   --> [Trouble], the worst first
//! Watch: the same again and again, plus: is what was seen before still part of the chain?
//! ```

use crate::bindings::{Challenge, Head, Record};
use crate::contract::{Contract, Status, Track};
use crate::error::{Error, Result};
use crate::view::View;
use cairn_block::Version;
use ethers_core::types::{Address, H256, U256};
use serde::Serialize;
use serde_json::json;
use std::collections::VecDeque;
use std::fmt;

/// How many newest blocks a watch remembers to tell how deep a reorganisation went.
const REMEMBERED: usize = 256;

/// A volume on chain, as of one block.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The block.
    pub view: View,
    /// The newest version and the accounts that may publish.
    pub head: Head,
    /// Terms, stake and times.
    pub record: Record,
    /// Where it stands.
    pub status: Status,
    /// The open challenge to show that it is whole, or the fault that is not healed.
    pub storage: Option<Challenge>,
    /// The open challenge to hand it over.
    pub retrieval: Option<Challenge>,
    /// The account that pays for the storage plane, and what it holds in wei.
    pub gas: Option<(Address, U256)>,
}

/// What is tolerated.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// Seconds since the newest publication, by the chain's clock.
    pub age_max: Option<u64>,
    /// Least that the gas account should hold, in wei.
    pub gas_min: Option<U256>,
}

/// News for a watcher of the volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "trouble", rename_all = "snake_case")]
pub enum Trouble {
    /// The endpoints cannot be asked or not be believed.
    Unreachable {
        /// Why.
        why: String,
    },
    /// The store holds another history than the chain.
    Forked {
        /// How that shows.
        why: String,
    },
    /// The stake, or a part of it, went to the publisher.
    Slashed,
    /// The volume has ended without.
    Closed,
    /// Of the version that the chain names, something is not what was written.
    Altered {
        /// The block, or the path.
        why: String,
    },
    /// Of the version that the chain names, a block is not there, and none that is there was
    /// altered.
    Incomplete {
        /// The block, or the path.
        why: String,
    },
    /// The storage plane has signed two versions of one epoch.
    Frozen {
        /// Until when the parties may agree, in seconds since 1970.
        until: u64,
    },
    /// A deadline has passed: a claim, which any account may send, takes the stake, or a part of
    /// it, for the publisher.
    Missed {
        /// The challenge.
        number: u64,
        /// When it ended.
        deadline: u64,
    },
    /// A challenge waits for its answer.
    Challenged {
        /// The challenge.
        number: u64,
        /// `presence`, `fault` or `retrieval`.
        kind: &'static str,
        /// When it ends.
        deadline: u64,
    },
    /// What the store holds is older than what the chain names, or nothing was published for too
    /// long.
    Stale {
        /// How that shows.
        why: String,
    },
    /// Blocks that were seen are not part of the chain any more.
    Reorganised {
        /// So many at least.
        blocks: u64,
    },
    /// The publisher has not paid.
    Unpaid {
        /// When the provider may leave.
        grace_ends: u64,
    },
    /// The provider wants to leave.
    Leaving {
        /// When it may.
        notice_ends: u64,
    },
    /// Soon the storage plane cannot pay for publishing.
    LowGas {
        /// The account.
        account: Address,
        /// What it holds, in wei.
        balance: U256,
    },
}

impl Trouble {
    /// The lower, the worse; of several troubles the worst gives the exit code.
    pub fn rank(&self) -> u8 {
        match self {
            Self::Slashed | Self::Closed => 0,
            Self::Forked { .. } => 1,
            Self::Unreachable { .. } => 2,
            Self::Altered { .. } => 3,
            Self::Incomplete { .. } => 4,
            Self::Missed { .. } => 5,
            Self::Challenged { .. } | Self::Frozen { .. } => 6,
            Self::Stale { .. } => 7,
            Self::Reorganised { .. } | Self::Unpaid { .. } | Self::Leaving { .. } | Self::LowGas { .. } => 8,
        }
    }

    /// From a failure to ask the chain.
    pub fn unreachable(error: &Error) -> Self {
        Self::Unreachable {
            why: error.to_string(),
        }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { why } => write!(f, "the chain cannot be asked: {why}"),
            Self::Forked { why } => write!(f, "forked: {why}"),
            Self::Slashed => f.write_str("slashed: the stake went to the publisher"),
            Self::Closed => f.write_str("closed: the volume has ended on chain"),
            Self::Altered { why } => write!(f, "altered: {why}"),
            Self::Incomplete { why } => write!(f, "incomplete: {why}"),
            Self::Frozen { until } => {
                write!(f, "frozen until {until}: two versions of one epoch were signed")
            }
            Self::Missed { number, deadline } => {
                write!(
                    f,
                    "challenge {number} was not answered by {deadline}: it can be claimed"
                )
            }
            Self::Challenged {
                number,
                kind,
                deadline,
            } => {
                write!(f, "challenge {number} ({kind}) is open until {deadline}")
            }
            Self::Stale { why } => write!(f, "stale: {why}"),
            Self::Reorganised { blocks } => write!(f, "the chain was reorganised, {blocks} blocks deep"),
            Self::Unpaid { grace_ends } => write!(f, "unpaid: the provider may leave after {grace_ends}"),
            Self::Leaving { notice_ends } => write!(f, "the provider may leave after {notice_ends}"),
            Self::LowGas { account, balance } => {
                write!(f, "the gas account {account:?} holds only {balance} wei")
            }
        }
    }
}

impl Standing {
    /// Reads it in the newest final block.
    pub fn read(contract: &Contract, volume: H256, gas: Option<Address>) -> Result<Self> {
        let view = contract.view()?;
        let record = contract.record(&view, volume)?;
        let status = Status::from_number(record.status).ok_or_else(|| Error::NotTheContract {
            address: contract.address(),
            why: format!("it knows a status {}", record.status),
        })?;
        if status == Status::None {
            return Err(Error::NoVolume(volume));
        }
        Ok(Self {
            view,
            head: contract.head(&view, volume)?,
            storage: contract.challenge(&view, volume, Track::Storage)?,
            retrieval: contract.challenge(&view, volume, Track::Retrieval)?,
            gas: gas
                .map(|account| Ok::<_, Error>((account, contract.chain().balance(&view, account)?)))
                .transpose()?,
            record,
            status,
        })
    }

    /// The newest version published.
    pub fn version(&self) -> Option<Version> {
        crate::anchor::version(self.head.epoch, self.head.root)
    }

    /// Seconds since the newest publication, by the chain's clock.
    pub fn age_secs(&self) -> u64 {
        self.view.timestamp.saturating_sub(self.head.published_at)
    }

    /// What is wrong, the worst first.
    pub fn troubles(&self, limits: &Limits) -> Vec<Trouble> {
        let mut found = Vec::new();
        match self.status {
            // Nothing else matters of what has ended.
            Status::Slashed => return vec![Trouble::Slashed],
            Status::Closed => return vec![Trouble::Closed],
            Status::Frozen => found.push(Trouble::Frozen {
                until: self.record.frozen_until,
            }),
            _ => {}
        }
        for open in self.storage.iter().chain(&self.retrieval) {
            found.push(self.challenge(open));
        }
        if limits.age_max.is_some_and(|limit| self.age_secs() > limit) {
            let why = format!("nothing was published for {} s", self.age_secs());
            found.push(Trouble::Stale { why });
        }
        if self.record.grace_ends > 0 {
            found.push(Trouble::Unpaid {
                grace_ends: self.record.grace_ends,
            });
        }
        if self.record.notice_ends > 0 {
            found.push(Trouble::Leaving {
                notice_ends: self.record.notice_ends,
            });
        }
        if let (Some((account, balance)), Some(least)) = (self.gas, limits.gas_min)
            && balance < least
        {
            found.push(Trouble::LowGas { account, balance });
        }
        found
    }

    fn challenge(&self, open: &Challenge) -> Trouble {
        let (number, deadline) = (open.number, open.deadline);
        if self.view.timestamp > deadline {
            return Trouble::Missed { number, deadline };
        }
        let kind = ["none", "presence", "fault", "retrieval"]
            .get(usize::from(open.kind))
            .copied()
            .unwrap_or("unknown");
        Trouble::Challenged {
            number,
            kind,
            deadline,
        }
    }
}

/// Looks again and again.
#[derive(Debug, Default)]
pub struct Watch {
    seen: VecDeque<View>,
}

impl Watch {
    /// One look: how the volume stands, and what is wrong.
    ///
    /// # Errors
    /// When looking again can never help, such as for a volume that does not exist.
    pub fn look(
        &mut self,
        contract: &Contract,
        volume: H256,
        gas: Option<Address>,
        limits: &Limits,
    ) -> Result<(Option<Standing>, Vec<Trouble>)> {
        match self.try_look(contract, volume, gas, limits) {
            Ok((standing, troubles)) => Ok((Some(standing), troubles)),
            // An endpoint that shows another contract may be lying: the next look may find the
            // right one.
            Err(error) if error.is_passing() || matches!(error, Error::NotTheContract { .. }) => {
                Ok((None, vec![Trouble::unreachable(&error)]))
            }
            Err(error) => Err(error),
        }
    }

    fn try_look(
        &mut self,
        contract: &Contract,
        volume: H256,
        gas: Option<Address>,
        limits: &Limits,
    ) -> Result<(Standing, Vec<Trouble>)> {
        let standing = Standing::read(contract, volume, gas)?;
        let mut troubles = standing.troubles(limits);
        let newest = contract.chain().newest()?;
        let mut gone = 0;
        while let Some(last) = self.seen.back() {
            let still = contract
                .chain()
                .block(json!(ethers_core::types::U64::from(last.number)))?;
            if still.is_some_and(|block| block.hash == last.hash) {
                break;
            }
            gone = newest.number.saturating_sub(last.number) + 1;
            self.seen.pop_back();
        }
        if gone > 0 {
            troubles.push(Trouble::Reorganised { blocks: gone });
        }
        if self.seen.back().is_none_or(|last| last.hash != newest.hash) {
            self.seen.push_back(newest);
        }
        if self.seen.len() > REMEMBERED {
            self.seen.pop_front();
        }
        Ok((standing, troubles))
    }
}
