//! The signed bytes are exactly those of the contract: `contracts/vectors/eip712.json`, which the
//! contract's own tests hold to the contract.

use cairn_chain::bindings::{Checked, Fault, Locator, Publication, Terms};
use cairn_chain::message::{
    Agreement, Answer, Batch, Boot, Domain, Heal, Receipt, Replacement, Rotation, Settlement, SignerProof,
};
use cairn_chain::{Key, VolumeName};
use ethers_core::types::{Address, H256};
use serde_json::Value;
use std::collections::BTreeSet;

const VECTORS: &str = include_str!("../../contracts/vectors/eip712.json");

fn vectors() -> Value {
    serde_json::from_str(VECTORS).expect("the file is JSON")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a string")
}

fn word(value: &Value) -> [u8; 32] {
    text(value).parse::<H256>().expect("32 bytes").0
}

fn address(value: &Value) -> Address {
    text(value).parse().expect("an address")
}

/// Numbers above 2^53 stand as text.
fn number<T: TryFrom<u128>>(value: &Value) -> T {
    let number = value
        .as_u64()
        .map_or_else(|| text(value).parse().expect("a number"), u128::from);
    T::try_from(number).ok().expect("it is in range")
}

fn domain(vectors: &Value) -> Domain {
    Domain {
        chain_id: number(&vectors["domain"]["chainId"]),
        contract: address(&vectors["domain"]["verifyingContract"]),
    }
}

fn terms(m: &Value) -> Terms {
    Terms {
        token: address(&m["token"]),
        stake: number(&m["stake"]),
        bond: number(&m["bond"]),
        funding: address(&m["funding"]),
        min_funding: number(&m["minFunding"]),
        arbiter: address(&m["arbiter"]),
        challenge_window: number(&m["challengeWindow"]),
        cooldown: number(&m["cooldown"]),
        grace: number(&m["grace"]),
        notice: number(&m["notice"]),
        stale_epochs: number(&m["staleEpochs"]),
        refund_share_bps: number(&m["refundShareBps"]),
        equivocation: number(&m["equivocation"]),
    }
}

fn agreement(m: &Value) -> Agreement {
    Agreement {
        publisher: address(&m["publisher"]),
        provider: address(&m["provider"]),
        pod_id: word(&m["podId"]),
        index: number(&m["index"]),
        terms: terms(&m["terms"]),
        signer: address(&m["signer"]),
        expires: number(&m["expires"]),
    }
}

fn publication(m: &Value) -> Publication {
    Publication {
        volume: word(&m["volume"]),
        boot: number(&m["boot"]),
        epoch: number(&m["epoch"]),
        root: word(&m["root"]),
        previous_root: word(&m["previousRoot"]),
    }
}

fn checked(m: &Value) -> Checked {
    Checked {
        volume: word(&m["volume"]),
        boot: number(&m["boot"]),
        number: number(&m["number"]),
        epoch: number(&m["epoch"]),
        root: word(&m["root"]),
    }
}

fn fault(m: &Value) -> Fault {
    Fault {
        volume: word(&m["volume"]),
        boot: number(&m["boot"]),
        number: number(&m["number"]),
        epoch: number(&m["epoch"]),
        root: word(&m["root"]),
        surviving_epoch: number(&m["survivingEpoch"]),
        surviving_root: word(&m["survivingRoot"]),
    }
}

fn locator(m: &Value) -> Locator {
    Locator {
        volume: word(&m["volume"]),
        boot: number(&m["boot"]),
        number: number(&m["number"]),
        epoch: number(&m["epoch"]),
        root: word(&m["root"]),
        locator: text(&m["locator"]).into(),
    }
}

/// The digest of the message `m` of the type `kind`, as this crate has it.
fn digest(domain: Domain, kind: &str, m: &Value) -> [u8; 32] {
    let volume = || H256(word(&m["volume"]));
    match kind {
        "Agreement" => domain.digest(&agreement(m)),
        "SignerProof" => domain.digest(&SignerProof(&agreement(m))),
        "Publication" => domain.digest(&publication(m)),
        "Batch" => {
            let list = m["publications"].as_array().expect("a list");
            domain.digest(&Batch(&list.iter().map(publication).collect::<Vec<_>>()))
        }
        "Boot" => domain.digest(&Boot {
            volume: volume(),
            boot: number(&m["boot"]),
            nonce: word(&m["nonce"]),
        }),
        "Answer" => domain.digest(&Answer(&checked(m))),
        "Heal" => domain.digest(&Heal(&checked(m))),
        "Fault" => domain.digest(&fault(m)),
        "Locator" => domain.digest(&locator(m)),
        "Receipt" => domain.digest(&Receipt {
            volume: volume(),
            number: number(&m["number"]),
        }),
        "Rotation" => domain.digest(&Rotation {
            volume: volume(),
            boot: number(&m["boot"]),
            rotation: number(&m["rotation"]),
            signer: address(&m["signer"]),
        }),
        "Replacement" => domain.digest(&Replacement {
            volume: volume(),
            rotation: number(&m["rotation"]),
            signer: address(&m["signer"]),
        }),
        "Settlement" => domain.digest(&Settlement {
            volume: volume(),
            to_publisher: number(&m["toPublisher"]),
            expires: number(&m["expires"]),
        }),
        unknown => panic!("this crate knows no message {unknown}"),
    }
}

#[test]
fn the_domain_is_the_contracts() {
    let vectors = vectors();
    assert_eq!(domain(&vectors).separator(), word(&vectors["domainSeparator"]));
}

#[test]
fn the_name_of_a_volume_is_the_contracts() {
    let volume = &vectors()["volume"];
    let key = VolumeName {
        publisher: address(&volume["publisher"]),
        provider: address(&volume["provider"]),
        pod: H256(word(&volume["podId"])),
        index: number(&volume["index"]),
    };
    assert_eq!(key.id().0, word(&volume["id"]));
}

#[test]
fn every_message_has_the_digest_and_the_signature_that_the_contract_takes() {
    let vectors = vectors();
    let keys: Vec<Key> = vectors["keys"]
        .as_object()
        .expect("keys by name")
        .values()
        .map(|secret| Key::from_bytes(&word(secret)).expect("a key"))
        .collect();
    let mut seen = BTreeSet::new();
    for entry in vectors["messages"].as_array().expect("a list") {
        let kind = text(&entry["type"]);
        let digest = digest(domain(&vectors), kind, &entry["message"]);
        assert_eq!(digest, word(&entry["digest"]), "digest of {kind}");
        let by = address(&entry["by"]);
        let key = keys.iter().find(|key| key.address() == by).expect("a key of it");
        // Both sides derive the nonce of a signature from key and digest (RFC 6979): the bytes are
        // the same.
        let signature = format!("0x{}", ethers_core::utils::hex::encode(key.sign(&digest)));
        assert_eq!(signature, text(&entry["signature"]), "signature of {kind}");
        seen.insert(kind.to_owned());
    }
    assert_eq!(seen.len(), 13, "{seen:?}");
}
