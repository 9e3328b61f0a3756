//! What a server may still do once it serves.

mod stage;

use cairn_block::{Blocks, Epoch, PutHint, Sealed};
use stage::{Stage, block};
use std::fs;

fn status(pid: u32, name: &str) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    Some(line.trim().to_owned())
}

#[test]
fn a_server_has_no_capability_and_few_system_calls() {
    let stage = Stage::new();
    let _client = stage.client();
    let has = |name| status(stage.pid(), name);
    for set in ["CapEff", "CapPrm", "CapInh", "CapAmb"] {
        assert_eq!(has(set).as_deref(), Some("0000000000000000"), "{set}");
    }
    assert_eq!(has("NoNewPrivs").as_deref(), Some("1"));
    assert_eq!(has("Seccomp").as_deref(), Some("2"));
    let limits = fs::read_to_string(format!("/proc/{}/limits", stage.pid())).unwrap();
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"))
        .unwrap();
    assert!(core.split_whitespace().nth(4) == Some("0"), "{core}");
    let data = limits
        .lines()
        .find(|line| line.starts_with("Max data size"))
        .unwrap();
    assert!(!data.contains("unlimited"), "{data}");
}

#[test]
fn a_link_out_of_the_store_leads_nowhere() {
    let stage = Stage::new();
    let client = stage.client();
    let block: Sealed = block(1, 100_000);
    client
        .put(Epoch(1), std::slice::from_ref(&block), PutHint::Bulk)
        .unwrap();
    client.sync().unwrap();
    drop(client);
    // Another process: this one has the pack open.
    stage.kill();
    let (pack, elsewhere) = (
        stage.store().join("packs/00000000"),
        stage.store().with_extension("pack"),
    );
    fs::rename(&pack, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &pack).unwrap();
    let client = stage.client();
    // The bytes are there, and the server may not have them.
    let found = client.get(&block.cid);
    assert!(!found.is_ok_and(|found| found.is_some()));
    fs::remove_file(&pack).unwrap();
    fs::rename(&elsewhere, &pack).unwrap();
    stage.kill();
    assert_eq!(stage.client().get(&block.cid).unwrap(), Some(block.bytes));
}
