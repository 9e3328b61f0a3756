//! The command's side: a mounted volume read through its daemon.
//!
//! ```text
//!  audit, export, check --get--> ServedBlocks --names--> daemon     (a store that can only be read)
//!  ls, cat, prove ----------------------------> daemon, which has the key
//! ```
//!
//! Nothing that the daemon answers is believed more than what a store answers: blocks are compared
//! with their names, and a proof is verified.

use super::frames::{self, Frame};
use super::server::{ASKED_MAX, kind};
use super::wish::{Opened, Wish};
use crate::error::{Error, Result};
use crate::mount::control::{Answer, Client, Request};
use crate::mount::mountpoint;
use crate::mount::state::Record;
use crate::mount::whereabouts::lives_elsewhere;
use crate::offline::tree::{Entry, Listing};
use crate::output;
use bytes::Bytes;
use cairn_merkle::overlay::Overlay;
use cairn_merkle::{Cid, EmptyStore, StoreError};
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// The daemon that serves a volume at `path`, which may be its mount point or its store. One whose
/// mount is gone serves no more: it commits and ends. A CAR needs none: any number may read it.
///
/// # Errors
/// When Cairn is mounted at `path` and its daemon is gone.
pub(crate) fn serving(path: &Path) -> Result<Option<Record>> {
    if path.is_file() {
        return Ok(None);
    }
    let record = Record::find(path)?.filter(|record| mountpoint::serves(record) || lives_elsewhere(record));
    match record {
        None if mountpoint::is_cairn(path) => {
            Client::connect(path).map(|client| Some(client.record().clone()))
        }
        record => Ok(record),
    }
}

/// Lists a directory.
///
/// # Errors
/// What finding the directory ended with. Damage within it is in the listing.
pub(crate) fn list(record: Record, path: &Path) -> Result<Listing> {
    let path = path.to_path_buf();
    Reading::begin(record, Wish::List { path })?.listing()
}

/// Writes a file's bytes.
///
/// # Errors
/// What finding or reading the file ended with; [`Error::NoReader`] where nothing takes the bytes.
pub(crate) fn copy(record: Record, path: &Path, out: &mut dyn Write) -> Result<()> {
    let path = path.to_path_buf();
    Reading::begin(record, Wish::Copy { path })?.copy(out)
}

/// The bytes of a proof that the daemon made, of at most `bytes_max`, and the version it is of.
pub(crate) fn prove(
    record: Record,
    path: &Path,
    root: Option<Cid>,
    content: bool,
    bytes_max: u64,
) -> Result<(Cid, Vec<u8>)> {
    let wish = Wish::Prove {
        path: path.to_path_buf(),
        root: root.map(|root| root.to_string()),
        content,
    };
    Reading::begin(record, wish)?.proof(bytes_max)
}

/// One version of a mounted volume, as a store that can only be read. It stays whole while this
/// lives.
pub(crate) struct ServedBlocks {
    /// `None` once the daemon did not answer: what comes later on the line is no answer.
    reading: Mutex<Option<Reading>>,
    root: Cid,
    head: Option<Bytes>,
    header: Bytes,
    pid: u32,
}

impl ServedBlocks {
    /// Has the daemon keep a version: the one of this commit block, or the newest.
    ///
    /// # Errors
    /// When the daemon does not answer.
    pub(crate) fn open(record: Record, root: Option<Cid>) -> Result<Self> {
        let root = root.map(|root| root.to_string());
        Self::over(Reading::begin(record, Wish::Blocks { root })?)
    }

    fn over(mut reading: Reading) -> Result<Self> {
        let opened = reading.opened()?;
        Ok(Self {
            pid: reading.client.record().pid,
            reading: Mutex::new(Some(reading)),
            root: root_of(&opened)?,
            head: opened.head.map(Bytes::from),
            header: opened.header.into(),
        })
    }

    /// The commit block of the version.
    pub(crate) fn root(&self) -> Cid {
        self.root
    }

    /// The head that names it, if one does.
    pub(crate) fn stored_head(&self) -> Option<&[u8]> {
        self.head.as_deref()
    }

    fn ask(&self, reading: &mut Reading, cids: &[Cid], found: &mut Vec<Option<Bytes>>) -> Answered<()> {
        let names: Vec<u8> = cids.iter().flat_map(|cid| cid.to_bytes()).collect();
        let stream = reading.client.stream();
        frames::send(stream.get_mut(), &[], &names).map_err(|error| self.gone(&error))?;
        let mut failed = None;
        // All of the answer, also behind a failure: the next one begins there.
        for _ in cids {
            let answer = frames::receive(stream, frames::BYTES_MAX).map_err(|error| self.gone(&error))?;
            let Frame::Bytes(answer) = answer else {
                return Err(self.gone(&io::ErrorKind::InvalidData.into()));
            };
            let answer = Bytes::from(answer);
            let words = || String::from_utf8_lossy(&answer[1..]).into_owned();
            match answer.first() {
                Some(&kind::NONE) => found.push(None),
                Some(&kind::BLOCK) => found.push(Some(answer.slice(1..))),
                Some(&kind::FAILED) => failed = Some(io::Error::other(words())),
                Some(&kind::DAMAGED) => failed = Some(io::Error::new(io::ErrorKind::InvalidData, words())),
                _ => return Err(self.gone(&io::ErrorKind::InvalidData.into())),
            }
        }
        Ok(failed.map_or(Ok(()), |source| Err(StoreError::io("read blocks", source))))
    }

    /// The connection is of no use any more.
    fn gone(&self, error: &io::Error) -> StoreError {
        let why = match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
                "it ended, or had waited ten minutes for this command: run it again".to_owned()
            }
            _ => error.to_string(),
        };
        let why = format!("the daemon (pid {}) answers no more: {why}", self.pid);
        // The kind of which `exit` makes "its daemon is gone".
        StoreError::io(
            "read blocks",
            io::Error::new(io::ErrorKind::ConnectionAborted, why),
        )
    }
}

/// Of an exchange: `Err` if the connection is out of step, else what the store answered.
type Answered<T> = std::result::Result<std::result::Result<T, StoreError>, StoreError>;

impl Overlay for ServedBlocks {
    type Below = EmptyStore;

    fn below(&self) -> &EmptyStore {
        &EmptyStore
    }

    fn get(&self, cid: &Cid) -> std::result::Result<Option<Bytes>, StoreError> {
        Ok(Overlay::get_many(self, std::slice::from_ref(cid))?
            .pop()
            .flatten())
    }

    fn get_many(&self, cids: &[Cid]) -> std::result::Result<Vec<Option<Bytes>>, StoreError> {
        let mut found = Vec::with_capacity(cids.len());
        // One exchange at a time. Other threads hash meanwhile what they were answered before.
        let mut reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        for asked in cids.chunks(ASKED_MAX) {
            let Some(open) = reading.as_mut() else {
                return Err(self.gone(&io::ErrorKind::UnexpectedEof.into()));
            };
            match self.ask(open, asked, &mut found) {
                Ok(answered) => answered?,
                Err(error) => {
                    *reading = None;
                    return Err(error);
                }
            }
        }
        Ok(found)
    }

    fn head(&self) -> std::result::Result<Option<Bytes>, StoreError> {
        Ok(self.head.clone())
    }

    fn header(&self) -> std::result::Result<Option<Bytes>, StoreError> {
        Ok(Some(self.header.clone()))
    }
}

/// A wish that the daemon is granting.
struct Reading {
    client: Client,
}

impl Reading {
    fn begin(record: Record, wish: Wish) -> Result<Self> {
        // First, where this process sees the mount: what the kernel still holds is in no version.
        if mountpoint::serves(&record)
            && let Err(error) = mountpoint::flush_kernel(&record.mountpoint)
        {
            output::warn(&format!("what the kernel still holds is not read: {error}"));
        }
        let mut client = Client::of(record)?;
        client.send(&Request::Read(wish))?;
        Ok(Self { client })
    }

    /// The next frame; `None` at the end mark.
    fn next(&mut self) -> Result<Option<Vec<u8>>> {
        let pid = self.client.record().pid;
        match frames::receive(self.client.stream(), frames::BYTES_MAX) {
            Ok(Frame::Bytes(bytes)) => Ok(Some(bytes)),
            Ok(Frame::End) => Ok(None),
            Err(error) => Err(Error::NotMounted(format!(
                "the daemon (pid {pid}) ended before it had answered all: {error}"
            ))),
        }
    }

    /// The version that is read, with a warning of what is not in it.
    fn opened(&mut self) -> Result<Opened> {
        let Some(bytes) = self.next()? else {
            self.ended()?;
            return Err(other_version());
        };
        let opened: Opened = parsed(&bytes)?;
        if let Some(why) = &opened.lacks {
            let root = &opened.root;
            output::warn(&format!(
                "{root} is the newest version that is committed, and may lack changes: {why}"
            ));
        }
        Ok(opened)
    }

    fn listing(mut self) -> Result<Listing> {
        let mut entries = Vec::<Entry>::new();
        while let Some(bytes) = self.next()? {
            entries.extend(parsed::<Vec<Entry>>(&bytes)?);
        }
        match (self.ended(), entries.is_empty()) {
            (Err(error), true) => Err(error),
            (ended, _) => Ok(Listing::sorted(entries, ended.err())),
        }
    }

    fn copy(mut self, out: &mut dyn Write) -> Result<()> {
        while let Some(bytes) = self.next()? {
            out.write_all(&bytes).map_err(output::written)?;
        }
        out.flush().map_err(output::written)?;
        self.ended()
    }

    fn proof(mut self, bytes_max: u64) -> Result<(Cid, Vec<u8>)> {
        let opened = self.opened()?;
        let mut proof = Vec::new();
        while let Some(bytes) = self.next()? {
            proof.extend_from_slice(&bytes);
            if proof.len() as u64 > bytes_max {
                return Err(other_version());
            }
        }
        self.ended()?;
        Ok((root_of(&opened)?, proof))
    }

    /// What the daemon says behind the last frame.
    fn ended(&mut self) -> Result<()> {
        match self.client.next()? {
            Answer::Done => Ok(()),
            _ => Err(other_version()),
        }
    }
}

fn parsed<'a, T: serde::Deserialize<'a>>(bytes: &'a [u8]) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|_| other_version())
}

fn root_of(opened: &Opened) -> Result<Cid> {
    opened.root.parse().map_err(|()| other_version())
}

fn other_version() -> Error {
    Error::Usage("the daemon is of another version of cairn and answers something else".into())
}

#[cfg(test)]
mod tests;
