//! Volumes of a newer `cairn`: refused by the name of what is unknown, or read and never changed.
//! Needs root and /dev/fuse, for the mount.

#![allow(clippy::unwrap_used)] // Helpers of tests, outside of test functions.

use cairn_merkle::{Feature, Header, Heads, Kek, Need, SlotKey, SlotKind};
use cairn_store::{RocksStore, StoreOptions};
use std::fs;
use std::process::Command;
use std::sync::Arc;

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    /// A volume that has a feature with this need.
    fn with_feature(need: Need, name: &str) -> Self {
        let place = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        fs::create_dir(place.dir.path().join("mnt")).unwrap();
        assert_eq!(place.cairn("create store --key-file key").0, Some(0));
        let text = fs::read_to_string(place.dir.path().join("key")).unwrap();
        let byte = |at: usize| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap();
        let kek = || Kek::from_bytes(std::array::from_fn(byte));
        let store = RocksStore::open(&place.dir.path().join("store"), &StoreOptions::default()).unwrap();
        let old = Header::decode(&store.header().unwrap().unwrap()).unwrap();
        let key = old.unlock(|_| Some(kek())).unwrap();
        let mut newer = old.clone();
        newer.features = vec![Feature {
            need,
            name: name.to_owned(),
        }];
        let slot = SlotKey {
            kind: SlotKind::KeyFile,
            kek: kek(),
        };
        let newer = newer.rekey(&mut rand::rng(), &key, &[slot]).unwrap();
        cairn_fs::rekey(Arc::new(store), key, &old, &newer).unwrap();
        place
    }

    /// Exit code, and all that was said.
    fn cairn(&self, command: &str) -> (Option<i32>, String) {
        let mut cairn = Command::new(env!("CARGO_BIN_EXE_cairn"));
        cairn
            .env("CAIRN_RUN_DIR", self.dir.path().join("run"))
            .current_dir(self.dir.path());
        let output = cairn.args(command.split(' ')).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(said).unwrap())
    }

    fn require(&self, command: &str, code: i32, words: &str) {
        let (got, said) = self.cairn(command);
        assert_eq!(got, Some(code), "{command}: {said}");
        assert!(said.contains(words), "{command}: {said}");
    }
}

#[test]
fn a_feature_that_is_needed_to_read_is_refused_by_its_name() {
    let place = Place::with_feature(Need::Reading, "sharded");
    let words = "to read this volume takes its feature `sharded`";
    for command in [
        "ls store / --key-file key",
        "check store --key-file key",
        "mount store mnt --key-file key --read-only",
        "status store",
    ] {
        place.require(command, 5, words);
    }
}

#[test]
fn a_feature_that_is_needed_to_change_leaves_the_volume_to_be_read() {
    let place = Place::with_feature(Need::Writing, "clones");
    let words = "to change this volume takes its feature `clones`";
    place.require("ls store / --key-file key", 0, "");
    place.require("check store --key-file key", 0, "whole");
    place.require("snapshot create store one --key-file key", 5, words);
    place.require("rekey store --key-file key --new-key-file other", 5, words);
    place.require("mount store mnt --key-file key", 0, words);
    let file = place.dir.path().join("mnt/file");
    let refused = fs::write(file, "bytes").map_err(|error| error.kind());
    place.require("status mnt", 0, "read-only");
    place.require("umount mnt", 0, "");
    assert_eq!(refused, Err(std::io::ErrorKind::ReadOnlyFilesystem));
}
