//! Little-endian fields in and out of byte strings: the plain parts of records, log entries and the volume state.
//!
//! What is read has passed an AEAD, so it is ours; it is still parsed as if it were not, since a bug of an older
//! writer must surface as an error that names the structure and never as a panic.

use crate::Time;
use cairn_merkle::Error;

/// Appends fields.
#[derive(Default)]
pub(crate) struct Encoder(pub(crate) Vec<u8>);

impl Encoder {
    pub(crate) fn u8(&mut self, value: u8) -> &mut Self {
        self.0.push(value);
        self
    }

    pub(crate) fn u32(&mut self, value: u32) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(crate) fn u64(&mut self, value: u64) -> &mut Self {
        self.0.extend_from_slice(&value.to_le_bytes());
        self
    }

    /// Whole seconds, signed, and the nanoseconds above them.
    pub(crate) fn time(&mut self, time: Time) -> &mut Self {
        let (seconds, nanoseconds) = time.parts();
        self.raw(&seconds.to_le_bytes()).u32(nanoseconds)
    }

    /// Fixed-length bytes: the reader knows how many.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// A 32-bit length and the bytes.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.u32(u32::try_from(bytes.len()).expect("no field of a record reaches 4 GiB"));
        self.raw(bytes)
    }
}

/// Takes fields off the front.
pub(crate) struct Decoder<'a> {
    rest: &'a [u8],
    what: &'static str,
}

impl<'a> Decoder<'a> {
    pub(crate) fn new(what: &'static str, bytes: &'a [u8]) -> Self {
        Self { rest: bytes, what }
    }

    pub(crate) fn error(&self, why: &'static str) -> Error {
        Error::Malformed { what: self.what, why }
    }

    pub(crate) fn raw(&mut self, len: usize) -> Result<&'a [u8], Error> {
        let (field, rest) = self
            .rest
            .split_at_checked(len)
            .ok_or(self.error("it ends too early"))?;
        self.rest = rest;
        Ok(field)
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let mut array = [0; N];
        array.copy_from_slice(self.raw(N)?);
        Ok(array)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Error> {
        Ok(self.array::<1>()?[0])
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Error> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(crate) fn u64(&mut self) -> Result<u64, Error> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(crate) fn time(&mut self) -> Result<Time, Error> {
        let (seconds, nanoseconds) = (i64::from_le_bytes(self.array()?), self.u32()?);
        if nanoseconds >= 1_000_000_000 {
            return Err(self.error("a time has too many nanoseconds"));
        }
        Ok(Time::new(seconds, nanoseconds))
    }

    /// A byte that is 0 or 1: of two encodings of one thing, one is none.
    pub(crate) fn flag(&mut self) -> Result<bool, Error> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(self.error("a flag is neither 0 nor 1")),
        }
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Error> {
        let len = self.u32()? as usize;
        self.raw(len)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Nothing may follow the last field.
    pub(crate) fn finish(self) -> Result<(), Error> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(self.error("bytes follow its end"))
        }
    }
}
