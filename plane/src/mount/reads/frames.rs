//! How bytes of any kind pass the control socket.
//!
//! ```text
//!  length (4 bytes, big-endian) | so many bytes          ff ff ff ff: no more frames, the last line follows
//! ```
//!
//! **Invariant:** memory grows with the bytes that arrived, never with a length that was claimed.

use cairn_merkle::MAX_STORED;
use std::io::{self, Read, Write};

/// The longest frame: a block, and what kind of an answer it is.
pub(super) const BYTES_MAX: usize = 1 + MAX_STORED;

const END: u32 = u32::MAX;

/// What arrived.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// These bytes.
    Bytes(Vec<u8>),
    /// The last line is next.
    End,
}

/// Sends one frame, which is `kind` and `bytes` behind each other.
pub(super) fn send(to: &mut dyn Write, kind: &[u8], bytes: &[u8]) -> io::Result<()> {
    let len = kind.len() + bytes.len();
    let len = u32::try_from(len).ok().filter(|_| len <= BYTES_MAX);
    let len = len.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "longer than a frame"))?;
    to.write_all(&len.to_be_bytes())?;
    to.write_all(kind)?;
    to.write_all(bytes)
}

/// Says that no more frames come.
pub(super) fn end(to: &mut dyn Write) -> io::Result<()> {
    to.write_all(&END.to_be_bytes())?;
    to.flush()
}

/// The next frame, of at most `bytes_max`.
///
/// # Errors
/// A longer one; one that is cut off.
pub(super) fn receive(from: &mut dyn Read, bytes_max: usize) -> io::Result<Frame> {
    let mut len = [0; 4];
    from.read_exact(&mut len)?;
    let len = u32::from_be_bytes(len);
    if len == END {
        return Ok(Frame::End);
    }
    if usize::try_from(len).map_or(true, |len| len > bytes_max) {
        let why = format!("a frame of {len} bytes, where {bytes_max} are the most");
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    let mut bytes = Vec::new();
    from.take(len.into()).read_to_end(&mut bytes)?;
    match bytes.len() as u64 == u64::from(len) {
        true => Ok(Frame::Bytes(bytes)),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Sends what is written to it, a frame for each write.
pub(super) struct Frames<W>(pub(super) W);

impl<W: Write> Write for Frames<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let bytes = &bytes[..bytes.len().min(BYTES_MAX)];
        send(&mut self.0, &[], bytes).map(|()| bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_as_they_were_sent_until_the_end_mark() {
        let mut sent = Vec::new();
        send(&mut sent, b"a", b"bc").unwrap();
        send(&mut sent, b"", b"").unwrap();
        let long = vec![7; BYTES_MAX + 3];
        Frames(&mut sent).write_all(&long).unwrap();
        end(&mut sent).unwrap();
        let from: &mut dyn Read = &mut sent.as_slice();
        let mut next = || receive(from, BYTES_MAX).unwrap();
        assert_eq!(next(), Frame::Bytes(b"abc".to_vec()));
        assert_eq!(next(), Frame::Bytes(Vec::new()));
        assert_eq!(next(), Frame::Bytes(long[..BYTES_MAX].to_vec()));
        assert_eq!(next(), Frame::Bytes(long[BYTES_MAX..].to_vec()));
        assert_eq!(next(), Frame::End);
        assert!(receive(from, BYTES_MAX).is_err(), "nothing is there");
        assert!(send(&mut Vec::new(), b"x", &long).is_err());
    }

    #[test]
    fn a_frame_that_claims_more_than_it_may_or_has_is_refused() {
        let mut claimed = 0x7fff_ffff_u32.to_be_bytes().to_vec();
        claimed.extend(b"little");
        let refused = receive(&mut claimed.as_slice(), BYTES_MAX).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::InvalidData);
        let mut short = 9_u32.to_be_bytes().to_vec();
        short.extend(b"little");
        let cut = receive(&mut short.as_slice(), BYTES_MAX).unwrap_err();
        assert_eq!(cut.kind(), io::ErrorKind::UnexpectedEof);
        assert!(receive(&mut short.as_slice(), 8).is_err());
    }
}
