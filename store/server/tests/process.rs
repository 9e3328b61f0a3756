//! A server as a process of its own: the contract, its end, and what it refuses.

mod stage;

use cairn_block::testing::store_contract;
use cairn_block::{Blocks, Epoch, Heads, PutHint};
use cairn_store::{RocksStore, StoreOptions};
use stage::{Stage, block, options, swap};
use std::process::{Command, Stdio};

#[test]
fn a_client_of_a_process_keeps_the_contract() {
    store_contract(|| Stage::new().client());
}

#[test]
fn a_server_that_is_told_to_end_leaves_a_store_that_opens_whole() {
    let stage = Stage::new();
    let client = stage.client();
    client.put(Epoch(1), &[block(1, 100_000)], PutHint::Bulk).unwrap();
    client.swap_head(&swap(None, b"head", &[])).unwrap();
    assert!(
        RocksStore::open(&stage.store(), &StoreOptions::default()).is_err(),
        "it is in use"
    );
    assert_eq!(stage.terminate(), Some(0));

    assert!(stage.store().join("packs/garbage").exists(), "it was closed well");
    let store = RocksStore::open(&stage.store(), &StoreOptions::default()).unwrap();
    assert_eq!(
        store.get(&block(1, 100_000).cid).unwrap(),
        Some(block(1, 100_000).bytes)
    );
    drop(store);
    // And the client goes on with the next one.
    assert_eq!(client.head().unwrap().as_deref(), Some(&b"head"[..]));
}

#[test]
fn what_is_no_store_is_an_error_at_once_that_names_it() {
    let stage = Stage::new();
    std::fs::remove_file(stage.store().join("CURRENT")).unwrap();
    let refused = cairn_wire::Client::connect(Box::new(stage.clone()), options());
    let error = refused.unwrap_err().to_string();
    assert!(error.contains("holds no Cairn store"), "{error}");
    stage.kill();
    std::fs::remove_dir_all(stage.store()).unwrap();
    let tried = Command::new(env!("CARGO_BIN_EXE_cairn-store"))
        .args(["serve", "--handed"])
        .arg(stage.store())
        .output()
        .unwrap();
    let said = String::from_utf8(tried.stderr).unwrap();
    assert!(
        !tried.status.success() && said.contains("there is no store at"),
        "{said}"
    );
}

#[test]
fn a_place_that_is_taken_is_refused() {
    let stage = Stage::new();
    let _client = stage.client();
    let serve = |socket: &std::path::Path| {
        let tried = Command::new(env!("CARGO_BIN_EXE_cairn-store"))
            .arg("serve")
            .arg(stage.store())
            .arg("--socket")
            .arg(socket)
            .output()
            .unwrap();
        assert!(!tried.status.success());
        String::from_utf8(tried.stderr).unwrap()
    };
    assert!(serve(&stage.socket()).contains("listens at"));
    let file = stage.store().join("packs/garbage");
    std::fs::write(&file, "a file").unwrap();
    assert!(serve(&file).contains("is no socket"));
    assert_eq!(std::fs::read(&file).unwrap(), b"a file");
}

#[test]
fn a_server_that_listens_nowhere_lives_as_long_as_its_client() {
    let stage = Stage::new();
    let (handing, far) = cairn_wire::hand::control().unwrap();
    let mut process = Command::new(env!("CARGO_BIN_EXE_cairn-store"))
        .arg("serve")
        .arg(stage.store())
        .arg("--handed")
        .stdin(Stdio::from(far))
        .spawn()
        .unwrap();
    let client = cairn_wire::Client::connect(Box::new(handing), options()).unwrap();
    client.put(Epoch(1), &[block(1, 100)], PutHint::Bulk).unwrap();
    assert_eq!(client.get(&block(1, 100).cid).unwrap(), Some(block(1, 100).bytes));
    drop(client);
    assert!(process.wait().unwrap().success());
    let store = RocksStore::open(&stage.store(), &StoreOptions::default()).unwrap();
    assert!(store.holds(&block(1, 100).cid).unwrap());
}
