//! Brings a change about and waits until it is final.
//!
//! ```text
//!   loop:  newest final block: is it there?  ----------------------------------> done
//!          newest block:       under way by another transaction of ours?  ----> wait
//!                              else send, or bring on what was sent       ----> wait
//! ```
//!
//! The goal is a state of the chain and not the inclusion of a transaction. So a reorganisation,
//! a lost transaction and one that came about although its sender gave up are the same case here.
//! Failures that may pass are borne for `patience`.

use crate::contract::Contract;
use crate::error::{Error, Result};
use crate::purse::{Progress, Purse, Sending};
use crate::view::View;
use cairn_block::Cancel;
use ethers_core::types::{Address, Bytes, H256};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How a wait goes.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Between two looks.
    pub poll: Duration,
    /// How long failures that may pass are borne in a row.
    pub patience: Duration,
}

/// A state of the chain.
pub(crate) trait Goal {
    /// What is known once it is reached.
    type Reached;

    /// Looks for it in the newest final block. `hashes` are the transactions sent for it.
    ///
    /// # Errors
    /// When it can never be reached any more.
    fn reached(&mut self, settled: &View, hashes: &[H256]) -> Result<Option<Self::Reached>>;

    /// Whether it is there in the newest block already, so that nothing need be sent.
    fn under_way(&mut self, newest: &View) -> Result<bool> {
        let _ = newest;
        Ok(false)
    }

    /// A transaction sent for it is final, or another one took its nonce, and the goal is not
    /// reached. It is sent again unless this is an error.
    fn taken(&mut self, nonce: u64) -> Result<()> {
        tracing::warn!(nonce, "a transaction was of no effect; trying again");
        Ok(())
    }

    /// What to send, as of `newest`.
    fn transaction(&mut self, newest: &View) -> Result<(Option<Address>, Bytes)>;
}

/// Reaches `goal`.
pub(crate) fn settle<G: Goal>(
    contract: &Contract,
    purse: &Arc<Purse>,
    pace: Pace,
    cancel: &Cancel,
    goal: &mut G,
) -> Result<G::Reached> {
    let mut sending = None;
    let mut hashes = Vec::new();
    let mut well = Instant::now();
    loop {
        match step(contract, purse, goal, &mut sending, &mut hashes) {
            Ok(Some(reached)) => return Ok(reached),
            Ok(None) => well = Instant::now(),
            Err(error) if error.is_passing() && well.elapsed() < pace.patience => {
                tracing::warn!(%error, "the chain cannot be asked; trying again");
            }
            Err(error) => return Err(error),
        }
        if cancel.wait(pace.poll) {
            return Err(Error::Cancelled);
        }
    }
}

fn step<G: Goal>(
    contract: &Contract,
    purse: &Arc<Purse>,
    goal: &mut G,
    sending: &mut Option<Sending>,
    hashes: &mut Vec<H256>,
) -> Result<Option<G::Reached>> {
    // The final block first: the goal may be there by an earlier run of this program, or by a
    // transaction whose answer was lost. Nothing is sent for what is done.
    let settled = contract.view()?;
    if let Some(reached) = goal.reached(&settled, hashes)? {
        return Ok(Some(reached));
    }
    let chain = contract.chain();
    let newest = chain.newest()?;
    if let Some(sent) = sending {
        // Before any look at the goal: a reorganisation may have taken it out since the last look.
        let progress = sent.advance(chain, &newest)?;
        // Each form it was sent in may be the one that a block has.
        hashes.extend_from_slice(sent.hashes());
        hashes.sort_unstable();
        hashes.dedup();
        if progress == Progress::Pending || goal.under_way(&newest)? {
            return Ok(None);
        }
        // Its nonce is used and the goal is not there. Only if that is final was it another
        // transaction, or one that reverted. Before that a new one could undo a good one.
        if chain.sent(&settled, purse.address())? > sent.nonce() {
            let nonce = sent.nonce();
            *sending = None;
            goal.taken(nonce)?;
        }
        return Ok(None);
    }
    // Nothing of this run is on its way. Another's may be, and a second one would be refused or,
    // worse, paid for and of no effect.
    if !goal.under_way(&newest)? {
        let (to, data) = goal.transaction(&newest)?;
        let sent = purse.begin(chain, &newest, to, &data)?;
        hashes.extend_from_slice(sent.hashes());
        *sending = Some(sent);
    }
    Ok(None)
}
