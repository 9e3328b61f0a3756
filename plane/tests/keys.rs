//! Keys in the memory of a running `cairn`: one copy, in a locked page that is in no dump, and no
//! trace of how it came there. Needs root, to read the memory of a process that keeps others out;
//! the daemon needs /dev/fuse.

#![allow(clippy::unwrap_used)] // Helpers of tests, outside of test functions.

use cairn_fs::{Caller, Config, Engine, InodeNo, Kind, Name, Operations, SetIdBits, Time};
use cairn_merkle::{Header, Heads, Kek, VolumeKey};
use cairn_store::{RocksStore, StoreOptions};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;

/// Larger than what a pipe holds, so that who writes it waits.
const FILE_BYTES: usize = 4 << 20;
const WORDS: &str = "correct horse battery staple";

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("mnt")).unwrap();
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn cairn(&self, command: &str) -> Command {
        let mut cairn = Command::new(env!("CARGO_BIN_EXE_cairn"));
        cairn
            .env("CAIRN_RUN_DIR", self.path("run"))
            .current_dir(self.dir.path());
        cairn.args(command.split(' '));
        cairn
    }

    fn run(&self, command: &str, input: &str) -> String {
        let mut cairn = self.cairn(command);
        let mut child = cairn
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "cairn {command}: {}", output.status);
        String::from_utf8(output.stdout).unwrap()
    }

    /// The key of the volume `store`, which the key file opens.
    fn volume_key(&self) -> VolumeKey {
        let store = RocksStore::open(&self.path("store"), &StoreOptions::default()).unwrap();
        let header = Header::decode(&store.header().unwrap().unwrap()).unwrap();
        header
            .unlock(|_| Some(Kek::from_bytes(self.key_file_key())))
            .unwrap()
    }

    fn key_file_text(&self) -> String {
        fs::read_to_string(self.path("key")).unwrap().trim().to_owned()
    }

    fn key_file_key(&self) -> [u8; 32] {
        let text = self.key_file_text();
        let byte = |at: usize| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap();
        std::array::from_fn(byte)
    }

    /// Puts the file `/large` into the volume.
    fn write_large(&self) {
        let key = self.volume_key();
        let store = RocksStore::open(&self.path("store"), &StoreOptions::default()).unwrap();
        let engine = Engine::open(Arc::new(store), key, Config::with_memory(64 << 20), Time(1)).unwrap();
        let caller = Caller {
            uid: 0,
            gid: 0,
            umask: 0o022,
            now: Time(1),
            set_id: SetIdBits::Keep,
            kernel_stamps: false,
        };
        let name = Name::new(b"large").unwrap();
        let made = engine.mknod(InodeNo::ROOT, &name, Kind::File, 0o644, 0, caller);
        engine
            .write(made.unwrap().ino, 0, &vec![7; FILE_BYTES], caller, false)
            .unwrap();
        engine.close().unwrap();
    }

    /// What must and must not be in the memory of `pid`, which has the volume open.
    fn examine(&self, pid: u32, volume_key: [u8; 32]) {
        let memory = Memory::of(pid);
        let found = memory.find(&volume_key);
        assert_eq!(found.len(), 1, "copies of the volume's key: {found:?}");
        for flag in ["lo", "dd", "dc"] {
            assert!(
                found[0].split(' ').any(|has| has == flag),
                "{flag} of {}",
                found[0]
            );
        }
        let nowhere = |what: &str, bytes: &[u8]| {
            let found = memory.find(bytes);
            assert!(found.is_empty(), "{what}: {found:?}");
        };
        nowhere("the key file's key", &self.key_file_key());
        nowhere("the key file's text", self.key_file_text().as_bytes());
        nowhere("the passphrase", WORDS.as_bytes());
    }
}

/// What a process has mapped and could read.
struct Memory(Vec<(Vec<u8>, String)>);

impl Memory {
    fn of(pid: u32) -> Self {
        let memory = File::open(format!("/proc/{pid}/mem")).unwrap();
        let table = fs::read_to_string(format!("/proc/{pid}/smaps")).unwrap();
        let (mut mappings, mut range) = (Vec::new(), None);
        for line in table.lines() {
            if let Some(flags) = line.strip_prefix("VmFlags: ") {
                let (from, until) = range.take().unwrap();
                mappings.push((Self::read(&memory, from, until), flags.to_owned()));
            } else if let Some((from, until)) = line.split(' ').next().unwrap().split_once('-') {
                let parse = |end| u64::from_str_radix(end, 16).unwrap();
                range = Some((parse(from), parse(until)));
            }
        }
        Self(mappings)
    }

    /// Page by page: some cannot be read, such as what lies behind the end of a mapped file.
    fn read(memory: &File, from: u64, until: u64) -> Vec<u8> {
        const STEP: usize = 1 << 20;
        let mut bytes = Vec::new();
        for at in (from..until).step_by(STEP) {
            let len = STEP.min((until - at) as usize);
            let mut step = vec![0; len];
            if memory.read_exact_at(&mut step, at).is_err() {
                for page in (0..len).step_by(4096) {
                    let _ = memory.read_exact_at(&mut step[page..page + 4096], at + page as u64);
                }
            }
            bytes.extend(step);
        }
        bytes
    }

    /// The flags of the mappings that hold `bytes`, once for each copy.
    fn find(&self, bytes: &[u8]) -> Vec<&str> {
        let mut found = Vec::new();
        for (mapping, flags) in &self.0 {
            let mut rest = &mapping[..];
            // Most windows differ in the first byte.
            while let Some(at) = rest.iter().position(|byte| *byte == bytes[0]) {
                if rest[at..].starts_with(bytes) {
                    found.push(flags.as_str());
                }
                rest = &rest[at + 1..];
            }
        }
        found
    }
}

fn may_look_into_others() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("skipped: only root may read the memory of a process that keeps others out");
    }
    root
}

#[test]
fn a_command_that_reads_a_volume_has_its_key_once_and_locked() {
    if !may_look_into_others() {
        return;
    }
    let place = Place::new();
    place.run("create store --key-file key", "");
    place.write_large();
    let key = place.volume_key().reveal();
    let mut cat = place.cairn("cat store /large --key-file key");
    let mut cat = cat.stdout(Stdio::piped()).spawn().unwrap();
    let mut output = cat.stdout.take().unwrap();
    // It has begun, and waits for the reader.
    let mut first = [0];
    output.read_exact(&mut first).unwrap();
    place.examine(cat.id(), key);
    drop(output);
    cat.wait().unwrap();
}

#[test]
fn a_daemon_has_its_volumes_key_once_and_locked_however_it_was_told() {
    if !may_look_into_others() {
        return;
    }
    if !std::path::Path::new("/dev/fuse").exists() {
        eprintln!("skipped: there is no /dev/fuse");
        return;
    }
    let place = Place::new();
    place.run("create store --key-file key", "");
    let key = place.volume_key().reveal();
    place.run("mount store mnt --key-file key", "");
    work_and_examine(&place, key);
    // The same volume key behind a passphrase.
    place.run(
        "rekey store --key-file key --new-passphrase",
        &format!("{WORDS}\n"),
    );
    place.run("mount store mnt --passphrase", &format!("{WORDS}\n"));
    work_and_examine(&place, key);
    fs::write(place.path("words"), WORDS).unwrap();
    place.run("mount store mnt --passphrase-file words", "");
    work_and_examine(&place, key);
}

/// Has the daemon use all that is derived from the key, looks into it, and ends it.
fn work_and_examine(place: &Place, key: [u8; 32]) {
    let status = place.run("--json status mnt", "");
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let pid = u32::try_from(status["pid"].as_u64().unwrap()).unwrap();
    let file = File::create(place.path("mnt/file")).unwrap();
    for round in 0..20 {
        file.write_all_at(&vec![round; 100_000], u64::from(round) * 100_000)
            .unwrap();
        file.sync_all().unwrap();
    }
    drop(file);
    place.run("sync mnt", "");
    place.run("snapshot create mnt s", "");
    place.run("check mnt", "");
    place.examine(pid, key);
    place.run("snapshot destroy mnt s", "");
    place.run("umount mnt", "");
    // A process that has ended may still have an entry, until its parent asks how it ended: without
    // memory.
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    assert!(maps.is_empty(), "the daemon has ended: {maps}");
}
