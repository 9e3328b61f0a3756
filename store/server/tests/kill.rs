//! The server is killed at every request, before it hears of it, while it works and before its
//! answer is heard: nothing acknowledged is lost, and every request has its effect once.

#![allow(
    clippy::unwrap_used,
    reason = "the lint spares test functions, not the functions they share"
)]

mod stage;

use bytes::Bytes;
use cairn_block::{Blocks, Cid, Epoch, Heads, Log, LogPos, PutHint, StoreError};
use cairn_store::{RocksStore, StoreOptions};
use cairn_wire::frame::{Incoming, Message, PAYLOAD_MAX, receive, send};
use cairn_wire::{Client, Connect};
use stage::{Stage, block, options, pos, swap};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Instant;

/// When the server is killed, as seen from one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// The request does not reach it.
    Before,
    /// It has the request, and may be at any point of it.
    While,
    /// It is done, and the client does not hear so.
    After,
    /// The client hears so, and the server is gone.
    Heard,
}

/// Passes frames on, and kills the server at one of them.
#[derive(Clone)]
struct Killer {
    stage: Stage,
    at: usize,
    moment: Moment,
    requests: Arc<AtomicUsize>,
}

fn message(frame: &Incoming) -> Message {
    Message {
        kind: frame.kind,
        flags: frame.flags,
        fields: frame.fields.clone(),
        payload: vec![frame.payload.clone()],
    }
}

impl Killer {
    /// Passes one request and its answer on. Names that are staged have no answer.
    fn pass(&self, near: &mut UnixStream, far: &mut UnixStream) -> Option<()> {
        const STAGE: u8 = 27;
        let request = receive(near, PAYLOAD_MAX).ok()?;
        // Greetings are not counted: how many there are depends on the kill.
        let is_counted = request.kind > 1;
        let hit = is_counted && self.requests.fetch_add(1, SeqCst) == self.at;
        let kills = |moment| hit && self.moment == moment;
        if kills(Moment::Before) {
            self.stage.kill();
            return None;
        }
        send(far, request.id, &message(&request)).ok()?;
        if kills(Moment::While) {
            self.stage.kill();
            return None;
        }
        if request.kind == STAGE {
            return Some(());
        }
        let answer = receive(far, PAYLOAD_MAX).ok()?;
        if kills(Moment::After) || kills(Moment::Heard) {
            self.stage.kill();
        }
        if kills(Moment::After) {
            return None;
        }
        send(near, answer.id, &message(&answer)).ok()
    }
}

impl Connect for Killer {
    fn connect(&self, until: Instant) -> io::Result<OwnedFd> {
        let mut far = UnixStream::from(self.stage.connect(until)?);
        let (ours, mut near) = UnixStream::pair()?;
        let killer = self.clone();
        std::thread::spawn(move || while killer.pass(&mut near, &mut far).is_some() {});
        Ok(ours.into())
    }
}

const LARGE: usize = 300_000;

fn record(seq: u64) -> (LogPos, Bytes) {
    (pos(seq), Bytes::from(format!("record {seq}")))
}

/// Something of everything that changes a store.
fn work(client: &Client) -> Result<(), StoreError> {
    let all: Vec<_> = (0..8).map(|n| block(n, LARGE)).collect();
    client.put(Epoch(1), &all[..2], PutHint::Bulk)?;
    client.put(Epoch(1), &all[2..3], PutHint::Bulk)?;
    client.log_append(&[record(0), record(1)])?;
    client.delete(&[all[2].cid])?;
    client.sync()?;
    client.put(Epoch(1), &all[3..7], PutHint::Small)?;
    client.log_write(&[record(2)])?;
    client.log_append(&[record(3)])?;
    client.log_mark(b"mark")?;
    client.prepare_delete(&[all[0].cid])?;
    client.swap_head(&swap(None, b"one", &[all[0].cid]))?;
    client.put(Epoch(2), &all[7..], PutHint::Bulk)?;
    client.swap_head(&swap(Some(b"one"), b"two", &[all[3].cid]))?;
    client.reclaim()?;
    client.sync()
}

/// What `work` leaves, read from the store itself.
fn looks_as_worked(stage: &Stage, what: &str) {
    stage.kill();
    let store = RocksStore::open(&stage.store(), &StoreOptions::default()).unwrap();
    let gone = [0, 2, 3];
    for n in 0..8 {
        let found = store.get(&block(n, LARGE).cid).unwrap();
        let expected = (!gone.contains(&n)).then(|| block(n, LARGE).bytes);
        assert!(found == expected, "{what}: block {n}");
    }
    let mut cids: Vec<Cid> = store.list(None, 100).unwrap();
    cids.sort_unstable();
    assert_eq!(cids.len(), 5, "{what}: nothing came back");
    assert_eq!(store.head().unwrap().as_deref(), Some(&b"two"[..]), "{what}");
    assert_eq!(store.twin().unwrap().unwrap().head, "two", "{what}");
    let log = store.log_read(pos(0), 1 << 20).unwrap();
    assert_eq!(log, [record(0), record(1), record(2), record(3)], "{what}");
    assert!(
        store.log_rest().unwrap().marks.iter().any(|mark| mark == "mark"),
        "{what}"
    );
}

fn run(at: usize, moment: Moment) -> usize {
    let killer = Killer {
        stage: Stage::new(),
        at,
        moment,
        requests: Arc::default(),
    };
    let what = format!("killed at request {at}, {moment:?}");
    let client = Client::connect(Box::new(killer.clone()), options()).unwrap();
    work(&client).unwrap_or_else(|error| panic!("{what}: {error}"));
    looks_as_worked(&killer.stage, &what);
    killer.requests.load(SeqCst)
}

fn at_every_request(moment: Moment) {
    let requests = run(usize::MAX, moment);
    assert!(requests > 15);
    for at in 0..requests {
        run(at, moment);
    }
}

#[test]
fn a_server_killed_before_a_request_is_asked_again() {
    at_every_request(Moment::Before);
}

#[test]
fn a_server_killed_while_it_works_loses_nothing_and_does_nothing_twice() {
    at_every_request(Moment::While);
}

#[test]
fn a_server_killed_before_its_answer_is_heard_does_nothing_twice() {
    at_every_request(Moment::After);
}

#[test]
fn a_server_killed_after_its_answer_is_heard_loses_nothing() {
    at_every_request(Moment::Heard);
}

#[test]
fn while_no_server_is_there_a_call_waits_and_ends_in_time() {
    let stage = Stage::new();
    let impatient = cairn_wire::ClientOptions {
        wait: std::time::Duration::from_millis(300),
        ..options()
    };
    let client = Client::connect(Box::new(stage.clone()), impatient).unwrap();
    client.put(Epoch(1), &[block(1, 100)], PutHint::Bulk).unwrap();
    stage.kill();
    std::fs::rename(stage.store(), stage.store().with_extension("away")).unwrap();
    assert!(client.get(&block(1, 100).cid).is_err());
    std::fs::rename(stage.store().with_extension("away"), stage.store()).unwrap();
    let found = client.get(&block(1, 100).cid).unwrap();
    assert_eq!(
        found,
        Some(block(1, 100).bytes),
        "put before the kill, and put again after it"
    );
}
