//! An anvil for one test, on a free port, ended with the test.
//!
//! The program lies in `contracts/node_modules`, where `npm ci` puts it. It is installed once if
//! it is missing. A failed install fails the test: a test that was not run must never look like
//! one that passed.

use crate::error::Result;
use crate::key::Key;
use crate::purse::Fees;
use crate::rpc::Endpoint;
use crate::settle::Pace;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

/// How tests wait: often, and not for long.
pub const FAST: Pace = Pace {
    poll: Duration::from_millis(20),
    patience: Duration::from_secs(60),
};

/// Between two blocks of [`Anvil::while_mining`].
const BLOCK_TIME: Duration = Duration::from_millis(25);

/// A running anvil.
#[derive(Debug)]
pub struct Anvil {
    process: Child,
    url: String,
    rpc: Endpoint,
}

impl Anvil {
    /// Starts one whose blocks are final when `2 * 4` lie on top of them. It mines a block for each
    /// transaction.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// As [`Self::start`], with more arguments.
    pub fn start_with(arguments: &[&str]) -> Self {
        let mut process = Command::new(program())
            .args(["--port", "0", "--slots-in-an-epoch", "4"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("anvil starts");
        let mut lines = BufReader::new(process.stdout.take().expect("it is piped")).lines();
        let address = lines
            .by_ref()
            .map_while(std::result::Result::ok)
            .find_map(|line| line.strip_prefix("Listening on ").map(str::to_owned))
            .expect("anvil says where it listens");
        // Unread output would fill the pipe and stop anvil.
        std::thread::spawn(move || lines.for_each(drop));
        let url = format!("http://{address}");
        let rpc = Endpoint::new(&url, Duration::from_secs(120)).expect("a URL");
        Self { process, url, rpc }
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Asks it.
    pub fn ask<T: DeserializeOwned>(&self, method: &'static str, params: Value) -> T {
        self.try_ask(method, &params)
            .unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    /// Asks it something it may refuse.
    pub fn try_ask<T: DeserializeOwned>(&self, method: &'static str, params: &Value) -> Result<T> {
        self.rpc.ask(method, params)
    }

    /// Mines so many blocks.
    pub fn mine(&self, blocks: u64) {
        self.ask::<Value>("anvil_mine", json!([format!("{blocks:#x}")]));
    }

    /// Mines until all there is is final.
    pub fn settle(&self) {
        self.mine(9);
    }

    /// Moves the chain's clock and mines a block that shows it.
    pub fn pass(&self, seconds: u64) {
        self.ask::<Value>("evm_increaseTime", json!([seconds]));
        self.mine(1);
    }

    /// Makes a block every few milliseconds while `work` goes on.
    pub fn while_mining<T>(&self, work: impl FnOnce() -> T) -> T {
        let (done, working) = mpsc::channel::<()>();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                // The channel closes when the work is done, however it ends.
                while working.recv_timeout(BLOCK_TIME) == Err(RecvTimeoutError::Timeout) {
                    self.mine(1);
                }
            });
            let done = done;
            let worked = work();
            drop(done);
            worked
        })
    }

    /// Takes the last `depth` blocks out and puts empty ones in their place.
    pub fn reorg(&self, depth: u64) {
        self.ask::<Value>("anvil_reorg", json!([depth, []]));
        // What was in them must not come back by itself.
        self.ask::<Value>("anvil_dropAllTransactions", json!([]));
    }

    /// Whether each transaction is mined at once.
    pub fn automine(&self, on: bool) {
        self.ask::<Value>("evm_setAutomine", json!([on]));
    }

    /// What a unit of gas costs from the next block on.
    pub fn base_fee(&self, gwei: u64) {
        self.ask::<Value>(
            "anvil_setNextBlockBaseFeePerGas",
            json!([format!("{:#x}", gwei * 1_000_000_000)]),
        );
    }

    /// Transactions that wait.
    pub fn waiting(&self) -> u64 {
        let status: Value = self.ask("txpool_status", json!([]));
        let pending = status["pending"]
            .as_str()
            .and_then(|hex| u64::from_str_radix(hex.trim_start_matches("0x"), 16).ok());
        pending.expect("a number")
    }

    /// A fresh account with 1,000 ether.
    pub fn account(&self) -> Key {
        let key = Key::random();
        self.ask::<Value>("anvil_setBalance", json!([key.address(), "0x3635c9adc5dea00000"]));
        key
    }

    /// Fees as they are here.
    pub fn fees() -> Fees {
        Fees {
            tip: 1_000_000_000,
            max: 500_000_000_000,
            bump_after: Duration::from_millis(100),
        }
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The program, installed if it is not there yet.
fn program() -> PathBuf {
    let contracts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../contracts");
    let arch = match std::env::consts::ARCH {
        "aarch64" => "arm64",
        _ => "amd64",
    };
    let program = contracts.join(format!("node_modules/@foundry-rs/anvil-linux-{arch}/bin/anvil"));
    // Tests run in parallel, in many processes: one of them installs.
    let lock = File::open(contracts.join("package.json")).expect("contracts/ is there");
    lock.lock().expect("files here can be locked");
    if !program.exists() {
        let installed = Command::new("npm")
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
            .current_dir(&contracts)
            .stdout(Stdio::null())
            .status();
        let installed = installed.is_ok_and(|status| status.success());
        assert!(
            installed && program.exists(),
            "there is no anvil: run `npm ci --ignore-scripts` in contracts/"
        );
    }
    program
}
