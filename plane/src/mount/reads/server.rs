//! The daemon's side of a client that reads.
//!
//! A version is kept whole as long as its client is there. A client that says nothing for ten
//! minutes is let go of, for what it keeps takes room in the store.

use super::frames::{self, Frame, Frames};
use super::wish::{Opened, Wish};
use crate::cli::verify::cid;
use crate::error::{Error, Result};
use crate::mount::lost;
use crate::mount::state::Record;
use crate::offline::tree;
use bytes::Bytes;
use cairn_fs::{Engine, Pin};
use cairn_merkle::{Cid, MAX_STORED, Proof, StoreError};
use serde::Serialize;
use std::io::{self, BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Names that are asked for at once. Eight blocks take 1 MiB at the default record size, and 16 MiB
/// at most.
pub(super) const ASKED_MAX: usize = 8;
/// How long a client may take to ask for the next block, or to take one.
const IDLE_MAX: Duration = Duration::from_secs(600);
/// How long a client may take to receive a proof: others wait for it.
const PROOF_IDLE_MAX: Duration = Duration::from_secs(60);
/// Proofs are made one at a time: one takes as much memory as the content it carries.
static PROVING: Mutex<()> = Mutex::new(());

/// What an answer for a block is, in the first byte of its frame.
pub(super) mod kind {
    /// The store has no such block.
    pub(crate) const NONE: u8 = 0;
    /// Its bytes.
    pub(crate) const BLOCK: u8 = 1;
    /// The store failed, in these words.
    pub(crate) const FAILED: u8 = 2;
    /// The same, for damage of its own.
    pub(crate) const DAMAGED: u8 = 3;
}

/// Reads for one client until it has all or goes away. The end mark is sent whatever came of it:
/// the caller's last line follows.
///
/// # Errors
/// What the client is told in that line.
pub(crate) fn serve(engine: &Engine, record: &Record, wish: &Wish, stream: &UnixStream) -> Result<()> {
    let served = match wish {
        Wish::Blocks { root } => blocks(engine, root.as_deref(), stream),
        Wish::List { path } => list(engine, record, path, stream),
        Wish::Copy { path } => copy(engine, record, path, stream),
        Wish::Prove { path, root, content } => prove(engine, path, root.as_deref(), *content, stream),
    };
    // One that cannot be sent has no client to miss it.
    let _ = frames::end(&mut &*stream);
    served
}

/// A failure to reach the client, which nothing is left to hear of.
fn gone(error: io::Error) -> Error {
    Error::io("cannot answer the client", error)
}

fn patience(stream: &UnixStream, time: Duration) -> Result<()> {
    let set = stream.set_read_timeout(Some(time));
    set.and_then(|()| stream.set_write_timeout(Some(time)))
        .map_err(gone)
}

fn send_json(to: &mut dyn Write, value: &impl Serialize) -> Result<()> {
    let text = serde_json::to_vec(value).map_err(|error| gone(error.into()))?;
    frames::send(to, &[], &text).map_err(gone)
}

/// The version that was asked for, kept as far as it is there.
struct Version<'a> {
    opened: Opened,
    root: Cid,
    _pin: Option<Pin<'a>>,
}

impl<'a> Version<'a> {
    fn find(engine: &'a Engine, root: Option<&str>) -> Result<Self> {
        let header = engine.sealed_header().to_vec();
        let Some(root) = root else {
            let newest = engine.keep_newest();
            let root = newest.pin.version().root;
            let opened = Opened {
                root: root.to_string(),
                head: newest.head.map(Bytes::into),
                header,
                lacks: newest.lacks.map(|why| why.to_string()),
            };
            let _pin = Some(newest.pin);
            return Ok(Self { opened, root, _pin });
        };
        let root = cid(root).map_err(Error::Usage)?;
        // What is wrong with its commit block the client finds when it reads that, and names it.
        let _pin = engine.keep(root).ok();
        let opened = Opened {
            root: root.to_string(),
            head: None,
            header,
            lacks: None,
        };
        Ok(Self { opened, root, _pin })
    }
}

fn blocks(engine: &Engine, root: Option<&str>, stream: &UnixStream) -> Result<()> {
    patience(stream, IDLE_MAX)?;
    let version = Version::find(engine, root)?;
    send_json(&mut &*stream, &version.opened)?;
    // Until the client closes its end, hangs, or asks for something else than blocks.
    while let Ok(Frame::Bytes(asked)) = frames::receive(&mut &*stream, ASKED_MAX * Cid::LEN) {
        let Some(cids) = names(&asked) else { break };
        let found = engine.sealed(&version.root, &cids);
        let mut out = BufWriter::with_capacity(64 << 10, stream);
        let answered = match found {
            Ok(found) => found
                .iter()
                .try_for_each(|stored| send_block(&mut out, stored.as_ref())),
            Err(error) => send_failure(&mut out, &error, cids.len()),
        };
        if answered.and_then(|()| out.flush()).is_err() {
            break;
        }
    }
    Ok(())
}

fn names(asked: &[u8]) -> Option<Vec<Cid>> {
    asked.chunks(Cid::LEN).map(Cid::from_bytes).collect()
}

fn send_block(out: &mut dyn Write, stored: Option<&Bytes>) -> io::Result<()> {
    match stored {
        // Of what is too long to be a block, as much as is enough to be none.
        Some(stored) => frames::send(out, &[kind::BLOCK], &stored[..stored.len().min(MAX_STORED)]),
        None => frames::send(out, &[kind::NONE], &[]),
    }
}

fn send_failure(out: &mut dyn Write, error: &StoreError, count: usize) -> io::Result<()> {
    let kind = match error.is_damage() {
        true => kind::DAMAGED,
        false => kind::FAILED,
    };
    let words = match error {
        StoreError::Io { source, .. } => source.to_string(),
        StoreError::HeadMoved => error.to_string(),
    };
    (0..count).try_for_each(|_| frames::send(out, &[kind], words.as_bytes()))
}

fn list(engine: &Engine, record: &Record, path: &Path, stream: &UnixStream) -> Result<()> {
    let mut out = BufWriter::with_capacity(64 << 10, stream);
    let damage = tree::list(engine, path, &mut |entries| send_json(&mut out, &entries))?;
    out.flush().map_err(gone)?;
    damage.map_or_else(|| complete(engine, record), |error| Err(error.into()))
}

fn copy(engine: &Engine, record: &Record, path: &Path, stream: &UnixStream) -> Result<()> {
    tree::copy(engine, path, &mut Frames(stream))?;
    complete(engine, record)
}

/// Refuses to call an answer whole that is as of before a loss which was not accepted.
fn complete(engine: &Engine, record: &Record) -> Result<()> {
    match engine.require_log() {
        Ok(()) => Ok(()),
        Err(_) => lost::after_reading(engine, &record.store).map_or(Ok(()), Err),
    }
}

fn prove(engine: &Engine, path: &Path, root: Option<&str>, content: bool, stream: &UnixStream) -> Result<()> {
    patience(stream, PROOF_IDLE_MAX)?;
    let _one = PROVING.lock().unwrap_or_else(PoisonError::into_inner);
    let (opened, proof) = proof(engine, path, root, content)?;
    send_json(&mut &*stream, &opened)?;
    let mut out = BufWriter::with_capacity(1 << 20, Frames(stream));
    proof.write(&mut out).and_then(|()| out.flush()).map_err(gone)
}

/// The version is let go of when the proof is made: it carries all that it needs.
fn proof(engine: &Engine, path: &Path, root: Option<&str>, content: bool) -> Result<(Opened, Proof)> {
    let version = Version::find(engine, root)?;
    let proof = engine.prove(version.root, path.as_os_str().as_bytes(), content);
    let proof = proof.map_err(|error| tree::unproven(path, error))?;
    Ok((version.opened, proof))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_for_a_block_is_sent_as_none_that_has_its_name() {
        let long = Bytes::from(vec![5; MAX_STORED + 1]);
        let mut sent = Vec::new();
        send_block(&mut sent, Some(&long)).unwrap();
        let Frame::Bytes(frame) = frames::receive(&mut sent.as_slice(), frames::BYTES_MAX).unwrap() else {
            panic!("a frame");
        };
        assert_eq!((frame[0], frame.len()), (kind::BLOCK, 1 + MAX_STORED));
        assert!(!Cid::of(cairn_merkle::Codec::Leaf, &long).names(&frame[1..]));
    }

    #[test]
    fn names_that_are_none_are_refused() {
        let cid = Cid::of(cairn_merkle::Codec::Node, b"node");
        let two = [cid.to_bytes(), cid.to_bytes()].concat();
        assert_eq!(names(&two), Some(vec![cid, cid]));
        assert_eq!(names(&two[1..]), None);
        assert_eq!(names(&two[..40]), None);
    }

    #[test]
    fn a_failure_of_the_store_is_answered_for_each_name() {
        let damage = io::Error::new(io::ErrorKind::InvalidData, "a wrong bit");
        for (error, expected) in [
            (StoreError::io("read", damage), kind::DAMAGED),
            (StoreError::io("read", io::Error::other("no disk")), kind::FAILED),
        ] {
            let mut sent = Vec::new();
            send_failure(&mut sent, &error, 2).unwrap();
            let mut from = sent.as_slice();
            for _ in 0..2 {
                let frame = frames::receive(&mut from, frames::BYTES_MAX).unwrap();
                assert!(matches!(frame, Frame::Bytes(bytes) if bytes[0] == expected && bytes.len() > 4));
            }
            assert!(from.is_empty());
        }
    }
}
