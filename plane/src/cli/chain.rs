//! The command line of `cairn chain`.

use crate::error::Exit;
use clap::{Args, Subcommand, ValueEnum};
use ethers_core::types::{Address, Bytes, H256};
use std::path::PathBuf;
use std::time::Duration;

/// `cairn chain`: the parties' side of the staking contract.
#[derive(Debug, Subcommand)]
#[command(after_help = Exit::checks())]
pub(crate) enum ChainCommand {
    /// Make a key file with mode 0600, for an account or for the signer, and print its address
    Key {
        /// The file; it must not exist
        file: PathBuf,
    },
    /// Put the contract on a chain, and write a configuration that names it
    #[command(
        after_help = "Example:\n  cairn chain deploy --rpc http://127.0.0.1:8545 --key-file deployer.key --write chain.toml --test-token"
    )]
    Deploy(DeployArgs),
    /// Provider: offer terms, and put the stake in
    #[command(
        after_help = "Example:\n  cairn chain offer --config chain.toml --key-file provider.key --terms terms.toml --signer 0x…"
    )]
    Offer {
        #[command(flatten)]
        party: PartyArgs,
        /// The terms, in TOML: see docs/chain.md
        #[arg(long, value_name = "FILE")]
        terms: PathBuf,
        /// Address of the storage plane's signer [default: that of `signer` in the configuration]
        #[arg(long, value_name = "ADDRESS")]
        signer: Option<Address>,
        /// How long it can be accepted
        #[arg(long, value_name = "TIME", default_value = "1d", value_parser = crate::cli::values::span)]
        valid: Duration,
    },
    /// Storage plane: print the signer's consent to the offer that stands on chain
    Consent {
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Publisher: accept the offer that stands on chain, which opens the volume
    Open {
        #[command(flatten)]
        party: PartyArgs,
        /// What `cairn chain consent` printed [default: made with `signer` of the configuration]
        #[arg(long, value_name = "HEX")]
        consent: Option<Bytes>,
    },
    /// Publisher: pay into the funding contract of the terms
    Fund {
        #[command(flatten)]
        party: PartyArgs,
        /// How much, in the smallest unit of the token
        #[arg(long)]
        amount: u128,
    },
    /// Storage plane: publish the newest version of a volume that is not mounted (a mount does by
    /// itself)
    #[command(
        after_help = "Example:\n  cairn chain publish /srv/store --key-file /etc/cairn/volume.key --config chain.toml"
    )]
    Publish {
        #[command(flatten)]
        config: ConfigArgs,
        /// The store
        store: PathBuf,
        #[command(flatten)]
        key: crate::cli::key::KeyArgs,
        /// Give up waiting after so long
        #[arg(long, value_name = "TIME", default_value = "30m", value_parser = crate::cli::values::span)]
        timeout: Duration,
    },
    /// Publisher: ask the storage plane to show that the volume is whole, or to hand it over
    Challenge {
        #[command(flatten)]
        party: PartyArgs,
        #[command(flatten)]
        track: TrackArgs,
    },
    /// Publisher: say that the volume was handed over, which closes the challenge for it
    Acknowledge {
        #[command(flatten)]
        party: PartyArgs,
    },
    /// Storage plane: answer the open challenge after a full check of a volume that is not mounted
    /// (a mount does by itself)
    Respond {
        #[command(flatten)]
        config: ConfigArgs,
        /// The store
        store: PathBuf,
        #[command(flatten)]
        key: crate::cli::key::KeyArgs,
    },
    /// Any account: end the volume after a deadline has passed without an answer; the stake goes to
    /// the publisher
    Claim {
        #[command(flatten)]
        party: PartyArgs,
        #[command(flatten)]
        track: TrackArgs,
    },
    /// Any account: start or cancel the grace period of a publisher who does not pay
    Grace {
        #[command(flatten)]
        party: PartyArgs,
        /// Which
        #[arg(value_enum)]
        act: GraceAct,
    },
    /// Provider: leave with the stake, if grace period or notice is over; publisher: let the
    /// provider leave (--release)
    Exit {
        #[command(flatten)]
        party: PartyArgs,
        /// Give notice, after which a later `exit` leaves
        #[arg(long, conflicts_with = "release")]
        notice: bool,
        /// Publisher: end the volume and give the stake back at once
        #[arg(long)]
        release: bool,
    },
    /// Either side: have paid out what the contract owes
    Withdraw {
        #[command(flatten)]
        party: PartyArgs,
        /// Where to [default: the account itself]
        #[arg(long, value_name = "ADDRESS")]
        to: Option<Address>,
    },
    /// Storage plane: hand over from the configured signer to a new one
    Rotate {
        #[command(flatten)]
        party: PartyArgs,
        /// File with the new signer's key, made with `cairn chain key`
        #[arg(long, value_name = "FILE")]
        new_signer: PathBuf,
    },
    /// How the volume stands on chain, and beside it the volume itself
    #[command(after_help = Exit::checks())]
    Status {
        #[command(flatten)]
        config: ConfigArgs,
        /// Mount point or store to compare with
        place: Option<PathBuf>,
        #[command(flatten)]
        limits: LimitArgs,
    },
    /// Every version ever published, gaps and forks
    #[command(after_help = Exit::checks())]
    History {
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Look again and again, and tell what changes: staleness, challenges, missed deadlines,
    /// reorganisations, low gas
    #[command(
        after_help = "Examples:\n  cairn chain watch --config chain.toml --age-max 10m --run 'mail -s cairn ops@example'\n  \
        cairn chain watch --config chain.toml --once; echo $?"
    )]
    Watch(WatchArgs),
}

/// Which chain, contract and volume.
#[derive(Clone, Debug, Args)]
pub(crate) struct ConfigArgs {
    /// The configuration: see docs/chain.md
    #[arg(long, value_name = "FILE", env = "CAIRN_CHAIN")]
    pub(crate) config: PathBuf,
}

/// The acting party.
#[derive(Clone, Debug, Args)]
pub(crate) struct PartyArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// File with the key of the account that acts and pays for gas
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: PathBuf,
    /// Give up waiting after so long
    #[arg(long, value_name = "TIME", default_value = "30m", value_parser = crate::cli::values::span)]
    pub(crate) timeout: Duration,
}

/// Which kind of challenge.
#[derive(Clone, Copy, Debug, Args)]
pub(crate) struct TrackArgs {
    /// The challenge to hand the volume over, rather than the one to show that it is whole
    #[arg(long)]
    pub(crate) retrieval: bool,
}

/// `chain deploy`.
#[derive(Debug, Args)]
pub(crate) struct DeployArgs {
    /// URL of an endpoint, once for each
    #[arg(long, required = true)]
    pub(crate) rpc: Vec<String>,
    /// File with the key of the account that pays
    #[arg(long, value_name = "FILE")]
    pub(crate) key_file: PathBuf,
    /// Configuration to write; it must not exist. Publisher, provider and pod are to be filled in
    #[arg(long, value_name = "FILE")]
    pub(crate) write: PathBuf,
    /// The volume's publisher
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) publisher: Option<Address>,
    /// The volume's provider
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) provider: Option<Address>,
    /// The volume's pod
    #[arg(long, value_name = "HASH")]
    pub(crate) pod: Option<H256>,
    /// Also deploy a token that any account may mint, a funding contract for it, and terms that use
    /// them, beside the configuration: for a chain of one's own
    #[arg(long)]
    pub(crate) test_token: bool,
    /// File with the signer's key, relative to the configuration, to be named in it
    #[arg(long, value_name = "FILE")]
    pub(crate) signer: Option<PathBuf>,
    /// File with the key of the account that pays for the storage plane, relative to the
    /// configuration, to be named in it
    #[arg(long, value_name = "FILE")]
    pub(crate) gas: Option<PathBuf>,
    /// Believe blocks as soon as so many lie on top of them, on a chain that never says `finalized`
    #[arg(long, value_name = "BLOCKS")]
    pub(crate) confirmations: Option<u64>,
}

/// `chain grace`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum GraceAct {
    /// The publisher has not paid.
    Start,
    /// The publisher has paid again.
    Cancel,
}

/// `verify`.
#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// Mount point, store, or a CAR
    pub(crate) place: PathBuf,
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    #[command(flatten)]
    pub(crate) key: crate::cli::key::KeyArgs,
    /// A CAR with the blocks that this one leaves out; the newest first, if there are several
    #[arg(long, value_name = "CAR")]
    pub(crate) base: Vec<PathBuf>,
    /// Longest time since the newest publication
    #[arg(long, value_name = "TIME", value_parser = crate::cli::values::span)]
    pub(crate) age_max: Option<Duration>,
}

/// What is tolerated.
#[derive(Clone, Debug, Args)]
pub(crate) struct LimitArgs {
    /// Longest time since the newest publication
    #[arg(long, value_name = "TIME", value_parser = crate::cli::values::span)]
    pub(crate) age_max: Option<Duration>,
    /// Least that the gas account should hold, in gwei
    #[arg(long, value_name = "GWEI")]
    pub(crate) gas_min: Option<u64>,
    /// The account that pays for the storage plane [default: that of `gas` in the configuration]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) gas_account: Option<Address>,
}

/// `chain watch`.
#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    #[command(flatten)]
    pub(crate) config: ConfigArgs,
    /// Mount point or store to compare with
    pub(crate) place: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) limits: LimitArgs,
    /// Time between two looks
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = crate::cli::values::span)]
    pub(crate) every: Duration,
    /// Look once and end with the exit code of what was found
    #[arg(long)]
    pub(crate) once: bool,
    /// End with the first trouble's exit code, rather than go on
    #[arg(long)]
    pub(crate) end: bool,
    /// Run this in a shell at each change, with the report in JSON on its standard input
    #[arg(long, value_name = "COMMAND")]
    pub(crate) run: Option<String>,
    /// POST the report in JSON to this URL at each change
    #[arg(long, value_name = "URL")]
    pub(crate) webhook: Option<String>,
}
