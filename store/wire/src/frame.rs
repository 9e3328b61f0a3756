//! Frames: what a stream carries, in both directions.
//!
//! ```text
//!   head, 64 bytes: lengths, kind, flags, id, up to 40 bytes of fields | longer fields | payload
//! ```
//!
//! Most requests and answers are their head alone: one system call on each side. Payload is
//! written from where it lies, and read to where it stays.
//!
//! **Invariant:** a claimed length takes no memory before bytes arrive, but for one step.

use crate::error::WireError;
use bytes::{Buf, BufMut, Bytes};
use cairn_block::buffer::{Buffer, Pool};
use std::io::{ErrorKind, IoSlice, Read, Write};
use std::sync::{Arc, LazyLock};

/// Length of a head.
pub const HEAD_LEN: usize = 64;
/// Fields of up to this many bytes lie in the head.
pub const INLINE_MAX: usize = 40;
/// The most bytes of fields.
pub const FIELDS_MAX: usize = 16 << 10;
/// The most bytes of payload: a block, or a record of the log, with room to spare.
pub const PAYLOAD_MAX: usize = 4 << 20;
/// Flag of a request that may have been carried out already, its answer lost.
pub const AGAIN: u8 = 1;

/// Memory taken on the word of a head alone.
const STEP_BYTES: usize = 256 << 10;
/// Steps that are kept for reuse.
const STEP_COUNT: usize = 16;
/// Payloads from here on go into aligned memory.
const ALIGNED_BYTES_MIN: usize = 64 << 10;
/// Parts written in one system call: below the kernel's 1,024.
const SLICES_MAX: usize = 512;

static STEPS: LazyLock<Arc<Pool>> = LazyLock::new(|| Pool::new(STEP_BYTES, STEP_COUNT));

/// A frame to be sent, but for its id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Which request, or how it ended.
    pub kind: u8,
    /// [`AGAIN`] or 0.
    pub flags: u8,
    /// Numbers and names, at most [`FIELDS_MAX`] bytes.
    pub fields: Vec<u8>,
    /// Parts of the payload, at most [`PAYLOAD_MAX`] bytes together.
    pub payload: Vec<Bytes>,
}

impl Message {
    /// A frame with nothing but its kind.
    pub fn of(kind: u8) -> Self {
        Self {
            kind,
            ..Self::default()
        }
    }

    /// Bytes of the payload.
    pub fn payload_len(&self) -> usize {
        self.payload.iter().map(Bytes::len).sum()
    }
}

/// A frame that was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incoming {
    /// Which request, or how it ended.
    pub kind: u8,
    /// [`AGAIN`] or 0.
    pub flags: u8,
    /// That of the request.
    pub id: u64,
    /// At most [`FIELDS_MAX`] bytes.
    pub fields: Vec<u8>,
    /// At most as many bytes as [`receive`] was told.
    pub payload: Bytes,
}

/// Writes a frame.
///
/// # Errors
/// Those of the stream; [`WireError::TooLong`], with nothing written, for what no frame holds.
pub fn send(stream: &mut impl Write, id: u64, message: &Message) -> Result<(), WireError> {
    let payload_len = message.payload_len();
    if message.fields.len() > FIELDS_MAX || payload_len > PAYLOAD_MAX {
        return Err(WireError::TooLong);
    }
    let mut head = Vec::with_capacity(HEAD_LEN);
    head.put_u32_le(payload_len as u32);
    head.put_u16_le(message.fields.len() as u16);
    head.put_u8(message.kind);
    head.put_u8(message.flags);
    head.put_u64_le(id);
    head.put_u64_le(0);
    let (inline, behind) = match message.fields.len() {
        0..=INLINE_MAX => (&message.fields[..], &[][..]),
        _ => (&[][..], &message.fields[..]),
    };
    head.put_slice(inline);
    head.resize(HEAD_LEN, 0);
    let mut parts = vec![&head[..], behind];
    parts.extend(message.payload.iter().map(|part| &part[..]));
    parts.retain(|part| !part.is_empty());
    parts.chunks(SLICES_MAX).try_for_each(|some| {
        let mut slices: Vec<_> = some.iter().map(|part| IoSlice::new(part)).collect();
        write_all(stream, &mut slices)
    })
}

fn write_all(stream: &mut impl Write, mut slices: &mut [IoSlice<'_>]) -> Result<(), WireError> {
    while !slices.is_empty() {
        match stream.write_vectored(slices) {
            Ok(0) => return Err(WireError::Io(ErrorKind::WriteZero.into())),
            Ok(written) => IoSlice::advance_slices(&mut slices, written),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(WireError::Io(error)),
        }
    }
    Ok(())
}

/// Reads a frame whose payload has at most `payload_max` bytes.
///
/// # Errors
/// [`WireError::Ended`] where the stream ends before a frame, [`WireError::Broken`] for what is no
/// frame or a longer one; those of the stream.
pub fn receive(stream: &mut impl Read, payload_max: usize) -> Result<Incoming, WireError> {
    let mut head = [0; HEAD_LEN];
    fill(stream, &mut head, true)?;
    let mut rest = &head[..];
    let payload_len = rest.get_u32_le() as usize;
    let fields_len = rest.get_u16_le() as usize;
    let (kind, flags, id) = (rest.get_u8(), rest.get_u8(), rest.get_u64_le());
    if rest.get_u64_le() != 0 || flags & !AGAIN != 0 {
        return Err(WireError::Broken("a head with unknown parts"));
    }
    if fields_len > FIELDS_MAX || payload_len > payload_max.min(PAYLOAD_MAX) {
        return Err(WireError::Broken("a frame longer than was agreed"));
    }
    let fields = if fields_len <= INLINE_MAX {
        rest[..fields_len].to_vec()
    } else {
        let mut fields = vec![0; fields_len];
        fill(stream, &mut fields, false)?;
        fields
    };
    let payload = read_payload(stream, payload_len)?;
    Ok(Incoming {
        kind,
        flags,
        id,
        fields,
        payload,
    })
}

/// Reads a payload into aligned memory, where it is large. A head alone is not worth more than a
/// step of memory, and a step that has arrived not more than a payload.
fn read_payload(stream: &mut impl Read, len: usize) -> Result<Bytes, WireError> {
    if len < ALIGNED_BYTES_MIN {
        // Held for as long as its reader likes: no more than it needs.
        let mut payload = vec![0; len];
        fill(stream, &mut payload, false)?;
        return Ok(payload.into());
    }
    let first = len.min(STEP_BYTES);
    let mut buffer = STEPS.take(first);
    fill(stream, &mut buffer.bytes_mut()[..first], false)?;
    if len > first {
        let mut whole = Buffer::zeroed(len);
        let (begun, rest) = whole.bytes_mut()[..len].split_at_mut(first);
        begun.copy_from_slice(&buffer.as_ref()[..first]);
        fill(stream, rest, false)?;
        buffer = whole;
    }
    Ok(Bytes::from_owner(buffer).slice(..len))
}

fn fill(stream: &mut impl Read, bytes: &mut [u8], may_end: bool) -> Result<(), WireError> {
    let mut filled = 0;
    while filled < bytes.len() {
        match stream.read(&mut bytes[filled..]) {
            Ok(0) if filled == 0 && may_end => return Err(WireError::Ended),
            Ok(0) => return Err(WireError::Broken("a frame that was cut off")),
            Ok(read) => filled += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(WireError::Io(error)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sent(message: &Message) -> Vec<u8> {
        let mut stream = Vec::new();
        send(&mut stream, 7, message).unwrap();
        stream
    }

    fn message(fields_len: usize, payload: &[usize]) -> Message {
        Message {
            kind: 3,
            flags: AGAIN,
            fields: (0..fields_len).map(|at| at as u8).collect(),
            payload: payload.iter().map(|len| vec![*len as u8; *len].into()).collect(),
        }
    }

    #[test]
    fn a_frame_is_received_as_it_was_sent() {
        let many = vec![1; 1500];
        for (fields_len, payload) in [
            (0, &[][..]),
            (INLINE_MAX, &[0, 1]),
            (INLINE_MAX + 1, &[700_000, 0, 2_000_000]),
            (FIELDS_MAX, &[PAYLOAD_MAX]),
            (1, &many),
        ] {
            let message = message(fields_len, payload);
            let stream = sent(&message);
            let mut rest = &stream[..];
            let got = receive(&mut rest, PAYLOAD_MAX).unwrap();
            assert!(rest.is_empty());
            assert_eq!((got.kind, got.flags, got.id), (3, AGAIN, 7));
            assert_eq!(got.fields, message.fields);
            assert_eq!(got.payload, message.payload.concat());
            assert!(matches!(receive(&mut rest, PAYLOAD_MAX), Err(WireError::Ended)));
        }
        assert_eq!(
            sent(&message(INLINE_MAX, &[])).len(),
            HEAD_LEN,
            "most frames are a head"
        );
    }

    #[test]
    fn a_frame_that_is_cut_too_long_or_of_another_kind_is_refused() {
        let whole = sent(&message(50, &[100]));
        for len in 1..whole.len() {
            let cut = receive(&mut &whole[..len], PAYLOAD_MAX);
            assert!(matches!(cut, Err(WireError::Broken(_))), "{len}");
        }
        assert!(receive(&mut &whole[..], 99).is_err());
        for (at, value) in [(3, 0xff), (5, 0xff), (7, 2), (16, 1), (23, 0x80)] {
            let mut altered = whole.clone();
            altered[at] = value;
            assert!(receive(&mut &altered[..], PAYLOAD_MAX).is_err(), "byte {at}");
        }
        for longer in [message(FIELDS_MAX + 1, &[]), message(0, &[PAYLOAD_MAX, 1])] {
            let mut stream = Vec::new();
            let refused = send(&mut stream, 7, &longer);
            assert!(matches!(refused, Err(WireError::TooLong)));
            assert!(stream.is_empty());
        }
    }
}
