//! The commands of publisher and provider, from a contract's deployment to a volume's end, on a
//! chain of the test's own.

#![allow(clippy::unwrap_used)] // Helpers of tests, outside of test functions.

use cairn_chain::testing::Anvil;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

struct Place {
    anvil: Anvil,
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let (anvil, dir) = (Anvil::start(), tempfile::tempdir().unwrap());
        Self { anvil, dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Makes a key, gives its account ether, answers its address.
    fn account(&self, name: &str) -> String {
        let (code, answer) = self.run(&["key", self.path(name).to_str().unwrap()]);
        assert_eq!(code, 0);
        let address = answer["address"].as_str().unwrap().to_owned();
        let ether = "0x3635c9adc5dea00000";
        self.anvil
            .ask::<Value>("anvil_setBalance", serde_json::json!([address, ether]));
        address
    }

    /// `cairn --json chain …`: exit code and answer.
    fn run(&self, arguments: &[&str]) -> (i32, Value) {
        let output = Command::new(env!("CARGO_BIN_EXE_cairn"))
            .args(["--json", "chain"])
            .args(arguments)
            .env("CAIRN_CHAIN", self.path("chain.toml"))
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        // A check prints its report, and then its failure.
        let first = text.lines().next().unwrap_or_default();
        (
            output.status.code().unwrap(),
            serde_json::from_str(first).unwrap_or(Value::Null),
        )
    }

    fn done(&self, arguments: &[&str]) -> Value {
        let (code, answer) = self.run(arguments);
        assert_eq!(code, 0, "{arguments:?}: {answer}");
        answer
    }

    fn standing(&self) -> (i32, Value) {
        self.run(&["status"])
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn a_volume_goes_from_deployment_over_a_missed_challenge_to_a_paid_claim() {
    let place = Place::new();
    let [publisher, provider] = ["publisher.key", "provider.key"].map(|name| place.account(name));
    place.account("deployer.key");
    let (_, gas) = (
        place.run(&["key", text(&place.path("signer.key"))]),
        place.account("gas.key"),
    );
    let pod = format!("0x{}", "22".repeat(32));
    let (config, deployer) = (place.path("chain.toml"), place.path("deployer.key"));
    let deploy = [
        "deploy",
        "--rpc",
        place.anvil.url(),
        "--key-file",
        text(&deployer),
        "--write",
        text(&config),
    ];
    let volume = ["--publisher", &publisher, "--provider", &provider, "--pod", &pod];
    let local = [
        "--test-token",
        "--confirmations",
        "0",
        "--signer",
        "signer.key",
        "--gas",
        "gas.key",
    ];
    let made = place.done(&[&deploy[..], &volume, &local].concat());
    assert!(made["contract"].as_str().unwrap().starts_with("0x"));
    assert_eq!(place.standing().0, 1, "no volume yet");

    let [by_publisher, by_provider] = ["publisher.key", "provider.key"].map(|name| place.path(name));
    let [by_publisher, by_provider] = [text(&by_publisher), text(&by_provider)];
    let terms = place.path("terms.toml");
    place.done(&["offer", "--key-file", by_provider, "--terms", text(&terms)]);
    place.done(&["consent"]);
    place.done(&["open", "--key-file", by_publisher]);
    place.done(&["fund", "--key-file", by_publisher, "--amount", "1000"]);
    let (code, fresh) = place.standing();
    assert_eq!((code, &fresh["verdict"]), (0, &"fresh".into()), "{fresh}");
    assert_eq!(fresh["chain"]["gas"][0], gas.to_lowercase());

    missed(&place, by_publisher, by_provider);
}

/// No answer: from the challenge to the claim, its payment and its place in the history.
fn missed(place: &Place, by_publisher: &str, by_provider: &str) {
    place.done(&["challenge", "--key-file", by_publisher]);
    let (code, challenged) = place.standing();
    assert_eq!(
        (code, &challenged["troubles"][0]["kind"]),
        (18, &"presence".into()),
        "{challenged}"
    );
    let (early, _) = place.run(&["claim", "--key-file", by_provider]);
    assert_ne!(early, 0, "before the deadline nothing can be claimed");
    place.anvil.pass(3601);
    let (code, missed) = place.run(&["watch", "--once"]);
    assert_eq!(
        (code, &missed["troubles"][0]["trouble"]),
        (18, &"missed".into()),
        "{missed}"
    );
    place.done(&["claim", "--key-file", by_publisher]);
    assert_eq!(place.standing().0, 19);
    let withdrawn = place.done(&["withdraw", "--key-file", by_publisher]);
    assert_eq!(withdrawn["done"], "withdrew 1001000", "stake and bond");
    let history = place.done(&["history"]);
    let what: Vec<_> = history["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["what"].as_str().unwrap())
        .collect();
    assert!(
        what.contains(&"opened") && what.iter().any(|what| what.starts_with("challenge 1")),
        "{what:?}"
    );
}

#[test]
fn a_chain_that_cannot_be_asked_ends_with_the_code_of_an_anchor_that_is_unreachable() {
    let place = Place::new();
    let dead = Anvil::start();
    let url = dead.url().to_owned();
    drop(dead);
    let zero = format!("0x{}", "00".repeat(20));
    let pod = format!("0x{}", "00".repeat(32));
    let text = format!(
        "rpc = [\"{url}\"]\nchain_id = 1\ncontract = \"{zero}\"\n[volume]\npublisher = \"{zero}\"\nprovider = \"{zero}\"\npod = \"{pod}\"\n"
    );
    std::fs::write(place.path("chain.toml"), text).unwrap();
    let (code, answer) = place.standing();
    assert_eq!(
        (code, &answer["verdict"]),
        (12, &"unreachable".into()),
        "{answer}"
    );
}
