//! How a volume stands, once or again and again.

use super::place::Local;
use crate::cli::chain::{ConfigArgs, LimitArgs, WatchArgs};
use crate::error::{Error, Exit, Result};
use crate::output::Output;
use cairn_chain::{Config, Limits, Standing, Trouble, Watch};
use cairn_merkle::Cancel;
use ethers_core::types::{Address, U256};
use serde::Serialize;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// How long a webhook may take: the next look waits for it.
const WEBHOOK_DEADLINE: Duration = Duration::from_secs(10);

/// What is told of one look.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Report {
    verdict: String,
    exit: u8,
    troubles: Vec<Trouble>,
    #[serde(skip_serializing_if = "Option::is_none")]
    chain: Option<OnChain>,
    #[serde(skip_serializing_if = "Option::is_none")]
    local: Option<Local>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lag_epochs: Option<u64>,
}

#[derive(Clone, Debug, Serialize)]
struct OnChain {
    block: u64,
    timestamp: u64,
    status: cairn_chain::Status,
    epoch: u64,
    root: Option<String>,
    boot: u64,
    signer: Address,
    published_at: u64,
    age_secs: u64,
    stake: String,
    deadlines: Vec<Deadline>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gas: Option<(Address, String)>,
}

#[derive(Clone, Debug, Serialize)]
struct Deadline {
    what: &'static str,
    at: u64,
}

impl OnChain {
    fn new(standing: &Standing) -> Self {
        let times = [
            (
                "storage challenge",
                standing.storage.as_ref().map_or(0, |open| open.deadline),
            ),
            (
                "retrieval challenge",
                standing.retrieval.as_ref().map_or(0, |open| open.deadline),
            ),
            ("grace period", standing.record.grace_ends),
            ("notice", standing.record.notice_ends),
            ("freeze", standing.record.frozen_until),
        ];
        Self {
            block: standing.view.number,
            timestamp: standing.view.timestamp,
            status: standing.status,
            epoch: standing.head.epoch,
            root: standing.version().map(|version| version.root.to_string()),
            boot: standing.head.boot,
            signer: standing.head.signer,
            published_at: standing.head.published_at,
            age_secs: standing.age_secs(),
            stake: standing.record.stake.to_string(),
            deadlines: times
                .into_iter()
                .filter(|&(_, at)| at > 0)
                .map(|(what, at)| Deadline { what, at })
                .collect(),
            gas: standing
                .gas
                .map(|(account, balance)| (account, balance.to_string())),
        }
    }
}

impl Report {
    pub(super) fn new(standing: Option<&Standing>, mut troubles: Vec<Trouble>, local: Option<Local>) -> Self {
        if let (Some(standing), Some(local)) = (standing, &local) {
            troubles.extend(local.troubles(standing));
        }
        troubles.sort_by_key(Trouble::rank);
        let worst = troubles.first().map(Exit::from);
        Self {
            verdict: worst.map_or("fresh".into(), Exit::kind),
            exit: worst.map_or(0, |exit| exit as u8),
            troubles,
            chain: standing.map(OnChain::new),
            lag_epochs: standing.zip(local).map(|(standing, local)| local.lag(standing)),
            local,
        }
    }

    pub(super) fn words(&self) -> String {
        let mut lines = vec![self.verdict.clone()];
        lines.extend(self.troubles.iter().map(|trouble| format!("  {trouble}")));
        if let Some(chain) = &self.chain {
            let root = chain.root.as_deref().unwrap_or("nothing published");
            lines.push(format!(
                "on chain    epoch {}, {root}, {} s old",
                chain.epoch, chain.age_secs
            ));
            lines.push(format!(
                "            block {}, boot {}, signer {:?}",
                chain.block, chain.boot, chain.signer
            ));
            lines.push(format!("stake       {}, {:?}", chain.stake, chain.status));
            lines.extend(
                chain
                    .deadlines
                    .iter()
                    .map(|d| format!("{:<11} ends at {}", d.what, d.at)),
            );
            lines.extend(
                chain
                    .gas
                    .as_ref()
                    .map(|(account, wei)| format!("gas         {wei} wei in {account:?}")),
            );
        }
        if let Some(local) = &self.local {
            lines.push(format!("volume      {}", local.version()));
            lines.extend(
                self.lag_epochs
                    .map(|lag| format!("not yet on chain: {lag} epochs")),
            );
        }
        lines.join("\n")
    }

    /// The exit code of the worst.
    pub(super) fn end(&self) -> Result<()> {
        let Some(worst) = self.troubles.first() else {
            return Ok(());
        };
        Err(Error::Anchor {
            what: worst.to_string(),
            exit: Exit::from(worst),
        })
    }
}

fn limits(args: &LimitArgs) -> Limits {
    Limits {
        age_max: args.age_max.map(|time| time.as_secs()),
        gas_min: args.gas_min.map(|gwei| U256::from(gwei) * U256::exp10(9)),
    }
}

fn gas_account(args: &LimitArgs, config: &Config) -> Option<Address> {
    // Without its key file, which only the storage plane has, the account must be named.
    args.gas_account
        .or_else(|| config.purse().ok().map(|purse| purse.address()))
}

/// `chain status`.
pub(super) fn status(args: &ConfigArgs, place: Option<&Path>, limit: &LimitArgs, out: &Output) -> Result<()> {
    let config = Config::read(&args.config)?;
    let local = place.map(Local::find).transpose()?;
    let gas = gas_account(limit, &config);
    let (standing, troubles) =
        Watch::default().look(&config.contract()?, config.volume.id(), gas, &limits(limit))?;
    let report = Report::new(standing.as_ref(), troubles, local);
    out.show(&report, || report.words())?;
    report.end()
}

/// `chain watch`.
pub(super) fn watch(args: &WatchArgs, out: &Output) -> Result<()> {
    let config = Config::read(&args.config.config)?;
    let (contract, volume) = (config.contract()?, config.volume.id());
    let (limit, gas) = (limits(&args.limits), gas_account(&args.limits, &config));
    let (mut watch, mut told) = (Watch::default(), None);
    let pause = Cancel::new();
    loop {
        let (standing, troubles) = watch.look(&contract, volume, gas, &limit)?;
        let local = args.place.as_deref().map(Local::find).transpose()?;
        let report = Report::new(standing.as_ref(), troubles, local);
        if told.as_ref() != Some(&report.troubles) {
            out.show(&report, || report.words())?;
            tell(args, &report);
        }
        if args.once || (args.end && !report.troubles.is_empty()) {
            return report.end();
        }
        told = Some(report.troubles);
        pause.wait(args.every);
    }
}

/// Tells the command and the webhook. A failure goes to standard error: `watch` goes on.
fn tell(args: &WatchArgs, report: &Report) {
    let Ok(json) = serde_json::to_string(report) else {
        return;
    };
    if let Some(command) = &args.run
        && let Err(error) = run(command, &json)
    {
        eprintln!("cairn: cannot run `{command}`: {error}");
    }
    if let Some(url) = &args.webhook
        && let Err(error) = cairn_chain::rpc::post(url, &json, WEBHOOK_DEADLINE)
    {
        eprintln!("cairn: the webhook failed: {error}");
    }
}

fn run(command: &str, json: &str) -> std::io::Result<()> {
    let mut child = Command::new("/bin/sh")
        .args(["-c", command])
        .stdin(Stdio::piped())
        .spawn()?;
    if let Some(mut input) = child.stdin.take() {
        // A command that does not read it is none the worse.
        let _ = writeln!(input, "{json}");
    }
    child.wait().map(drop)
}
