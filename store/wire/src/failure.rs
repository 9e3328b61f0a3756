//! How a request fails, as an answer.

use crate::frame::{Incoming, Message};
use bytes::Bytes;
use cairn_block::StoreError;
use std::io;

/// Kind of an answer to what failed.
pub const FAILED: u8 = 1;

/// Characters of a reason, at most.
const REASON_MAX: usize = 300;

/// Why a request failed. The numbers are those of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The disk, or whatever keeps the bytes.
    Other = 0,
    /// [`StoreError::HeadMoved`].
    HeadMoved = 1,
    /// There is no room.
    Full = 2,
    /// What was asked for is damaged.
    Damage = 3,
    /// The store is only read.
    ReadOnly = 4,
    /// The request is none, or not one for this session.
    Refused = 5,
    /// The session is over, or unknown: say hello anew.
    NoSession = 6,
    /// Another client holds the lease.
    Busy = 7,
    /// Another client has had the lease since: this one must not go on.
    Fenced = 8,
    /// There is no such volume, or it cannot be opened.
    NoVolume = 9,
    /// No version of the protocol is spoken by both sides.
    Version = 10,
}

const CODES: [Code; 11] = [
    Code::Other,
    Code::HeadMoved,
    Code::Full,
    Code::Damage,
    Code::ReadOnly,
    Code::Refused,
    Code::NoSession,
    Code::Busy,
    Code::Fenced,
    Code::NoVolume,
    Code::Version,
];

/// A failure, and what a person may want to know of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Why.
    pub code: Code,
    /// In words.
    pub reason: String,
}

impl Failure {
    /// With a reason in words.
    pub fn new(code: Code, reason: impl Into<String>) -> Self {
        let reason = reason.into();
        Self { code, reason }
    }

    /// As a frame.
    pub fn encode(&self) -> Message {
        let mut message = Message::of(FAILED);
        message.fields.push(self.code as u8);
        message.payload.push(Bytes::from(plain(&self.reason)));
        message
    }

    /// `None` for what is no failure. Nothing in the reason acts on a terminal.
    pub fn decode(frame: &Incoming) -> Option<Self> {
        let [code] = frame.fields[..] else { return None };
        let code = *CODES.get(usize::from(code))?;
        // Four bytes a character.
        let is_short = frame.payload.len() <= REASON_MAX * 4;
        let reason = is_short.then(|| plain(&String::from_utf8_lossy(&frame.payload)))?;
        Some(Self { code, reason })
    }

    /// As the error of a call that does `verb`.
    pub fn into_error(self, verb: &'static str) -> StoreError {
        let kind = match self.code {
            Code::HeadMoved => return StoreError::HeadMoved,
            Code::Full => io::ErrorKind::StorageFull,
            Code::Damage => io::ErrorKind::InvalidData,
            Code::ReadOnly => io::ErrorKind::ReadOnlyFilesystem,
            Code::NoVolume => io::ErrorKind::NotFound,
            Code::Busy | Code::Fenced => io::ErrorKind::ResourceBusy,
            Code::Other | Code::Refused | Code::NoSession | Code::Version => io::ErrorKind::Other,
        };
        StoreError::io(verb, io::Error::new(kind, self.reason))
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let StoreError::Io { source, .. } = error else {
            return Self::new(Code::HeadMoved, error.to_string());
        };
        let code = match source.kind() {
            io::ErrorKind::StorageFull => Code::Full,
            io::ErrorKind::InvalidData => Code::Damage,
            io::ErrorKind::ReadOnlyFilesystem => Code::ReadOnly,
            _ => Code::Other,
        };
        Self::new(code, source.to_string())
    }
}

fn plain(text: &str) -> String {
    let shown = text.chars().filter(|c| !c.is_control());
    shown.take(REASON_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(failure: &Failure) -> Option<Failure> {
        let message = failure.encode();
        Failure::decode(&Incoming {
            kind: message.kind,
            flags: 0,
            id: 0,
            fields: message.fields,
            payload: message.payload.concat().into(),
        })
    }

    #[test]
    fn a_failure_keeps_its_kind_on_the_way() {
        for (number, code) in CODES.into_iter().enumerate() {
            assert_eq!(code as usize, number);
            let failure = Failure::new(code, "why");
            assert_eq!(sent(&failure), Some(failure));
        }
        let of = |kind: io::ErrorKind| {
            let failure = Failure::from(StoreError::io("sync", kind.into()));
            sent(&failure).unwrap().into_error("sync")
        };
        assert!(of(io::ErrorKind::StorageFull).is_full());
        assert!(of(io::ErrorKind::InvalidData).is_damage());
        let moved = sent(&StoreError::HeadMoved.into()).unwrap();
        assert!(matches!(moved.into_error("swap"), StoreError::HeadMoved));
    }

    #[test]
    fn a_reason_neither_fills_nor_acts_on_a_terminal() {
        let loud = Failure::new(Code::Other, "\u{1b}[2J\r\n".to_owned() + &"x".repeat(9000));
        let message = Message {
            payload: vec![Bytes::from("\u{1b}[31mred")],
            ..loud.encode()
        };
        let frame = Incoming {
            kind: FAILED,
            flags: 0,
            id: 0,
            fields: message.fields,
            payload: message.payload.concat().into(),
        };
        assert_eq!(Failure::decode(&frame).unwrap().reason, "[31mred");
        let short = sent(&loud).unwrap().reason;
        assert!(short.starts_with("[2Jxxx") && short.len() == REASON_MAX);
        let unknown = Incoming {
            fields: vec![CODES.len() as u8],
            ..frame
        };
        assert_eq!(Failure::decode(&unknown), None);
    }
}
