//! Cairn whose roots are published on a chain, as `tests/devnet.sh` does it by hand.
//!
//! ```text
//! create:   anvil --> deploy, offer, open, fund --> cairn create
//! mount:    cairn mount --anchor eth:PLACE/chain.toml --publish-interval 10s
//! destroy:  anvil ends; it outlives every unmount, for the next mount asks it
//! ```
//!
//! All else is [`Cairn`]'s. The chain's processor time is not counted as the daemon's: a real one
//! is elsewhere.

use super::cairn::Cairn;
use super::kind::{About, Punctuality, Setup, System};
use super::place::Place;
use crate::{proc, program};
use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use serde::Deserialize;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Where `tests/anvil.sh` installs anvil, seen from the repository.
const INSTALLED: &str = "contracts/node_modules/@foundry-rs";
/// Anvil's own accounts that play a part: deployer, publisher, provider, and the payer of
/// transactions.
const ACCOUNTS: usize = 4;
/// What is funded, in whole tokens of the test token.
const FUNDING: &str = "100000";

/// Cairn with an anchor.
pub(super) struct Anchored(Cairn);

/// What anvil says of itself in its `--config-out`.
#[derive(Deserialize)]
struct Accounts {
    available_accounts: Vec<String>,
    private_keys: Vec<String>,
}

impl Anchored {
    /// Driven as plain Cairn is.
    pub(super) fn new(setup: &Setup) -> Self {
        Self(Cairn::new(setup))
    }

    /// Starts a chain of this place's own: a block each second, final two later. Returns where it
    /// listens.
    fn start_chain(place: &Place) -> Result<String> {
        let log = place.file("anvil.log");
        let file = fs::File::create(&log)?;
        let mut command = Command::new(anvil()?);
        command
            // A port that is free: runs beside each other do not meet.
            .args(["--port", "0", "--block-time", "1", "--slots-in-an-epoch", "1"])
            // Also how the process is found again.
            .arg("--config-out")
            .arg(place.file("anvil.json"))
            // Where it keeps states that it has no memory for.
            .env("HOME", place.root())
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file);
        let mut child = command.spawn().context("cannot start anvil")?;
        for _ in 0..1000 {
            let said = fs::read_to_string(&log)?;
            if let Some(address) = listening(&said) {
                return Ok(format!("http://{address}"));
            }
            if child.try_wait()?.is_some() {
                bail!("anvil ended: {said}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        bail!("anvil did not listen within 20 s")
    }

    /// Deploys the contract and opens a volume in it.
    fn open_volume(&self, place: &Place, url: &str) -> Result<()> {
        let (accounts, [deployer, publisher, provider, gas]) = parties(place)?;
        let signer = place.file("signer.key");
        program::run(self.0.command(place, "chain").arg("key").arg(&signer))?;
        let mut deploy = self.0.command(place, "chain");
        deploy.args(["deploy", "--test-token", "--rpc", url]);
        deploy
            .arg("--key-file")
            .arg(deployer)
            .arg("--write")
            .arg(config(place));
        deploy.args(["--publisher", &accounts.available_accounts[1]]);
        deploy.args(["--provider", &accounts.available_accounts[2]]);
        deploy.args(["--pod", &format!("0x{:064}", 1)]);
        deploy.arg("--signer").arg(signer).arg("--gas").arg(gas);
        program::run(&mut deploy)?;
        let act = |who: &PathBuf, words: &[&str]| {
            let mut command = self.0.command(place, "chain");
            command.env("CAIRN_CHAIN", config(place)).args(words);
            program::run(command.arg("--key-file").arg(who)).map(drop)
        };
        let terms = place.file("terms.toml");
        let terms = terms.to_str().context("the place's path is no UTF-8")?;
        act(&provider, &["offer", "--terms", terms])?;
        act(&publisher, &["open"])?;
        act(&publisher, &["fund", "--amount", FUNDING])
    }
}

/// Where the program is.
fn anvil() -> Result<PathBuf> {
    let installed = fs::read_dir(INSTALLED).into_iter().flatten().flatten();
    installed
        .filter(|entry| entry.file_name().to_string_lossy().starts_with("anvil-"))
        .map(|entry| entry.path().join("bin/anvil"))
        .find(|path| path.is_file())
        .or_else(|| program::find("anvil"))
        .context("there is no anvil: run tests/anvil.sh in the repository, which installs it with npm")
}

/// The address after `Listening on`, once that line is whole.
fn listening(log: &str) -> Option<&str> {
    let (_, rest) = log.split_once("Listening on ")?;
    Some(rest.split_once('\n')?.0.trim())
}

/// The accounts, and the key files of those that play a part.
fn parties(place: &Place) -> Result<(Accounts, [PathBuf; ACCOUNTS])> {
    let accounts: Accounts = serde_json::from_slice(&fs::read(place.file("anvil.json"))?)?;
    let keys = ["deployer", "publisher", "provider", "gas"].map(|who| place.file(&format!("{who}.key")));
    anyhow::ensure!(
        accounts.private_keys.len().min(accounts.available_accounts.len()) >= ACCOUNTS,
        "anvil has too few accounts"
    );
    for (file, key) in keys.iter().zip(&accounts.private_keys) {
        fs::write(file, key)?;
        fs::set_permissions(file, std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    }
    Ok((accounts, keys))
}

/// Tells the anchor where it is.
fn config(place: &Place) -> PathBuf {
    place.file("chain.toml")
}

impl System for Anchored {
    fn about(&self) -> About {
        About {
            id: "cairn-anchored",
            title: "Cairn, anchored",
            includes: "as Cairn, and its root published on a local chain (anvil, a block each second) every 10 s",
            leaves_out: "a store behind a socket; the processor time of the chain, which runs on the same machine",
            by_default: false,
            ..self.0.about()
        }
    }

    fn version(&self) -> Result<String> {
        let anvil = program::run(Command::new(anvil()?).arg("--version").stdin(Stdio::null()))?;
        let anvil = anvil.lines().next().unwrap_or("anvil").to_owned();
        Ok(format!("{}, {anvil}", self.0.version()?))
    }

    fn create(&self, place: &Place) -> Result<()> {
        // The chain first: what is opened on it goes into the file that the mounts are given.
        let url = Self::start_chain(place)?;
        self.open_volume(place, &url)?;
        self.0.create(place)
    }

    fn mount(&self, place: &Place) -> Result<()> {
        let anchor = format!("eth:{}", config(place).display());
        self.0
            .mount_with(place, &["--anchor", &anchor, "--publish-interval", "10s"])
    }

    fn unmount(&self, place: &Place) -> Result<()> {
        self.0.unmount(place)
    }

    fn destroy(&self, place: &Place) {
        let pids = proc::with_argument(&place.file("anvil.json"));
        // At once: nothing of this chain is kept.
        pids.iter().for_each(|&pid| proc::signal(pid, Signal::KILL));
        proc::wait_gone(&pids, Duration::from_secs(10));
    }

    fn flush(&self, place: &Place) -> Result<()> {
        self.0.flush(place)
    }

    fn has_snapshots(&self) -> bool {
        self.0.has_snapshots()
    }

    fn snapshot(&self, place: &Place, name: &str) -> Result<()> {
        self.0.snapshot(place, name)
    }

    fn punctuality(&self, place: &Place) -> Result<Option<Punctuality>> {
        let report = program::run(self.0.command(place, "status").arg("--json").arg(place.mnt()))?;
        punctuality(&report).map(Some)
    }
}

/// From what `cairn status --json` prints.
fn punctuality(report: &str) -> Result<Punctuality> {
    let report: serde_json::Value = serde_json::from_str(report)?;
    let schedule = &report["freshness"]["window"]["schedule"];
    serde_json::from_value(schedule.clone()).context("its status tells nothing of a schedule")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_there_once_its_line_is_whole() {
        assert_eq!(listening("... \nListening on 127.0.0.1:80"), None);
        assert_eq!(
            listening("\nListening on 127.0.0.1:8045\n"),
            Some("127.0.0.1:8045")
        );
    }

    #[test]
    fn a_status_tells_how_late_publications_were() {
        let status = r#"{"freshness":{"window":{"schedule":{"publications":6,"closed_late_ms":1.5,
            "closed_late_ms_max":2.5,"handed_late_ms":3.0,"handed_late_ms_max":40.0}}}}"#;
        let found = punctuality(status).unwrap();
        assert_eq!((found.publications, found.closed_late_ms_max), (6, 2.5));
        assert!(punctuality(r#"{"freshness":{"window":null}}"#).is_err());
    }
}
