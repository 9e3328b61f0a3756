//! Each decoder of this crate as a function of bytes, for `tests/fuzz.sh` (see
//! [`cairn_merkle::fuzzing`]). A build by that script is the fuzzer itself: nothing can use a
//! command from outside.

use crate::mount::control::{Answer, Request, SnapshotAsk};
use crate::mount::state::Record;
use crate::offline::key;
use crate::{anchor, chain};
use cairn_merkle::fuzzing::Target;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// All decoders of this crate.
pub(crate) const TARGETS: &[Target] = &[
    Target {
        name: "control_request",
        run: again::<Request>,
        seeds: request_seeds,
    },
    Target {
        name: "control_answer",
        run: again::<Answer>,
        seeds: answer_seeds,
    },
    Target {
        name: "daemon_record",
        run: again::<Record>,
        seeds: record_seeds,
    },
    Target {
        name: "anchor_file",
        run: anchor::file::fuzzing::run,
        seeds: anchor::file::fuzzing::seeds,
    },
    Target {
        name: "key_file",
        run: key_file,
        seeds: || vec![vec![b'7'; 64]],
    },
    Target {
        name: "terms_file",
        run: chain::terms::fuzzing::run,
        seeds: chain::terms::fuzzing::seeds,
    },
];

#[cfg(cairn_fuzz)]
mod fuzzer {
    use std::sync::LazyLock;

    static TARGET: LazyLock<&super::Target> =
        LazyLock::new(|| cairn_merkle::fuzzing::chosen(super::TARGETS.iter()));

    libfuzzer_sys::fuzz_target!(init: { LazyLock::force(&TARGET); }, |input: &[u8]| (TARGET.run)(input));
}

/// One line of JSON, which has many encodings: it must mean the same when it is encoded and decoded
/// again.
fn again<T: Serialize + DeserializeOwned>(data: &[u8]) {
    if let Ok(decoded) = serde_json::from_slice::<T>(data) {
        let text = serde_json::to_string(&decoded).ok();
        let twice = text
            .as_deref()
            .and_then(|text| serde_json::from_str::<T>(text).ok());
        assert_eq!(twice.and_then(|twice| serde_json::to_string(&twice).ok()), text);
    }
}

fn key_file(data: &[u8]) {
    if let Some(key) = key::parse_hex(data) {
        assert_eq!(key::hex_line(&key).trim_ascii_end(), data.to_ascii_lowercase());
    }
}

fn request_seeds() -> Vec<Vec<u8>> {
    let name = || "monday".to_owned();
    let snapshot = |what| Request::Snapshot { what };
    let requests = [
        Request::Status,
        Request::SyncAnchored { timeout_ms: Some(5) },
        snapshot(SnapshotAsk::Create { name: name() }),
        snapshot(SnapshotAsk::Hold {
            name: name(),
            tag: name(),
        }),
        snapshot(SnapshotAsk::Diff {
            from: name(),
            to: None,
        }),
        Request::Quota {
            bytes: None,
            inodes: Some(7),
        },
    ];
    requests
        .iter()
        .filter_map(|request| serde_json::to_vec(request).ok())
        .collect()
}

fn answer_seeds() -> Vec<Vec<u8>> {
    let failed = Answer::Failed {
        message: "why".into(),
        exit: crate::error::Exit::Other,
    };
    let answers = [Answer::Done, Answer::Progress { done: 1, total: 2 }, failed];
    answers
        .iter()
        .filter_map(|answer| serde_json::to_vec(answer).ok())
        .collect()
}

fn record_seeds() -> Vec<Vec<u8>> {
    let record = Record {
        pid: 7,
        store: "/srv/store".into(),
        mountpoint: "/mnt/data".into(),
        device: None,
    };
    vec![serde_json::to_vec(&record).unwrap_or_default()]
}

#[test]
fn every_decoder_keeps_its_promises_over_its_seeds_and_near_them() {
    for target in TARGETS {
        for seed in (target.seeds)() {
            (target.run)(&seed);
            for at in 0..seed.len() {
                for change in [1, 2, 0x20, 0x80] {
                    let mut near = seed.clone();
                    near[at] ^= change;
                    (target.run)(&near);
                }
                (target.run)(&seed[..at]);
            }
        }
        let found = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../tests/fuzz/seeds")
            .join(target.name);
        for input in found.read_dir().into_iter().flatten() {
            (target.run)(&std::fs::read(input.unwrap().path()).unwrap());
        }
    }
}
