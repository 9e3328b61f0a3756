//! The parties' side of the staking contract, and the publisher's checks.
//!
//! ```text
//! provider   offer, exit, withdraw          publisher  open, fund, challenge, acknowledge, exit --release, withdraw
//! plane      consent, publish, respond,     any party  claim, grace, status, history, watch, verify
//!            rotate
//!      |                                         |
//!      `--> party: a transaction that is final   `--> standing: one final block, and what of it is trouble
//! ```
//!
//! Everything a command needs to know stands in one configuration file ([`cairn_chain::Config`])
//! and on chain. Keys come from files, never from arguments.

mod amount;
mod deploy;
mod history;
mod party;
mod place;
mod publish;
mod respond;
pub(crate) mod terms;
mod verify;
mod watch;

use crate::cli::chain::{ChainCommand, VerifyArgs};
use crate::error::Result;
use crate::output::Output;

/// `cairn chain`.
pub(crate) fn run(command: &ChainCommand, out: &Output) -> Result<()> {
    match command {
        ChainCommand::Key { file } => party::key(file, out),
        ChainCommand::Deploy(args) => deploy::deploy(args, out),
        ChainCommand::Offer {
            party,
            terms,
            signer,
            valid,
        } => party::offer(party, terms, *signer, *valid, out),
        ChainCommand::Consent { config } => party::consent(config, out),
        ChainCommand::Open { party, consent } => party::open(party, consent.as_ref(), out),
        ChainCommand::Fund { party, amount } => party::fund(party, *amount, out),
        ChainCommand::Challenge { party, track } => party::challenge(party, *track, out),
        ChainCommand::Acknowledge { party } => party::acknowledge(party, out),
        ChainCommand::Publish {
            config,
            store,
            key,
            timeout,
        } => publish::publish(config, store, key, *timeout, out),
        ChainCommand::Respond { config, store, key } => respond::respond(config, store, key, out),
        ChainCommand::Claim { party, track } => party::claim(party, *track, out),
        ChainCommand::Grace { party, act } => party::grace(party, *act, out),
        ChainCommand::Exit {
            party,
            notice,
            release,
        } => party::exit(party, *notice, *release, out),
        ChainCommand::Withdraw { party, to } => party::withdraw(party, *to, out),
        ChainCommand::Rotate { party, new_signer } => party::rotate(party, new_signer, out),
        ChainCommand::Status {
            config,
            place,
            limits,
        } => watch::status(config, place.as_deref(), limits, out),
        ChainCommand::History { config } => history::history(config, out),
        ChainCommand::Watch(args) => watch::watch(args, out),
    }
}

/// `cairn verify`.
pub(crate) fn verify(args: &VerifyArgs, out: &Output) -> Result<()> {
    verify::verify(args, out)
}
