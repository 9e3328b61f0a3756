//! Little-endian fields in and out of byte strings: the plain parts of records, log entries and the
//! volume state.
//!
//! What is read has passed an AEAD, so it is ours; it is still parsed as if it were not, since a
//! bug of an older writer must surface as an error that names the structure and never as a panic.

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

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded() -> Vec<u8> {
        let mut out = Encoder::default();
        out.u8(7).u32(0x0102_0304).u64(0x0506_0708_090a_0b0c);
        out.time(Time::new(-2, 5)).raw(b"raw").bytes(b"some").u8(1);
        out.0
    }

    #[test]
    fn fields_are_little_endian_and_come_back_in_order() {
        let bytes = encoded();
        let mut expected = vec![7, 4, 3, 2, 1, 0xc, 0xb, 0xa, 9, 8, 7, 6, 5, 0xfe];
        expected.extend_from_slice(&[0xff; 7]);
        expected.extend_from_slice(b"\x05\0\0\0raw\x04\0\0\0some\x01");
        assert_eq!(bytes, expected);
        let mut from = Decoder::new("test", &bytes);
        assert!(!from.is_empty());
        assert_eq!(from.u8().unwrap(), 7);
        assert_eq!(from.u32().unwrap(), 0x0102_0304);
        assert_eq!(from.u64().unwrap(), 0x0506_0708_090a_0b0c);
        assert_eq!(from.time().unwrap(), Time(-2_000_000_000 + 5));
        assert_eq!(&from.array::<3>().unwrap(), b"raw");
        assert_eq!(from.bytes().unwrap(), b"some");
        assert!(from.flag().unwrap());
        assert!(from.is_empty());
        from.finish().unwrap();
    }

    #[test]
    fn what_is_cut_short_or_goes_on_is_refused_by_name() {
        let short = |decode: fn(&mut Decoder<'_>) -> bool, len| {
            let bytes = vec![0; len];
            let mut from = Decoder::new("test", &bytes);
            assert!(decode(&mut from), "{len} bytes are enough");
            assert!(from.is_empty());
            assert!(!decode(&mut Decoder::new("test", &bytes[..len - 1])));
        };
        short(|from| from.u8().is_ok(), 1);
        short(|from| from.flag().is_ok(), 1);
        short(|from| from.u32().is_ok(), 4);
        short(|from| from.bytes().is_ok(), 4);
        short(|from| from.u64().is_ok(), 8);
        short(|from| from.time().is_ok(), 12);
        let mut from = Decoder::new("test", b"\x03\0\0\0ab");
        assert!(matches!(
            from.bytes(),
            Err(Error::Malformed {
                what: "test",
                why: "it ends too early"
            })
        ));
        let followed = Decoder::new("test", b"x").finish();
        assert!(matches!(followed, Err(Error::Malformed { what: "test", .. })));
    }

    #[test]
    fn what_has_two_encodings_has_one_that_is_right() {
        assert!(!Decoder::new("test", &[0]).flag().unwrap());
        assert!(Decoder::new("test", &[2]).flag().is_err());
        let time = |nanoseconds: u32| {
            let mut out = Encoder::default();
            out.u64(3).u32(nanoseconds);
            Decoder::new("test", &out.0).time().ok()
        };
        assert_eq!(time(999_999_999), Some(Time(3_999_999_999)));
        assert_eq!(time(1_000_000_000), None);
    }
}
