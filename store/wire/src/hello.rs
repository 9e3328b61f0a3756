//! How a lane begins: the first of a session says hello, later ones join.
//!
//! ```text
//!   Hello --> Welcome, with the session's token     a lease to write, a version, capabilities
//!   Join (token) --> done                           another lane of that session
//! ```

use crate::frame::{Incoming, Message};
use crate::request::HEAD_MAX;
use bytes::{Buf, BufMut};

/// The version of the protocol that this crate speaks.
pub const VERSION: u16 = 1;
/// Kind of a hello.
pub(crate) const HELLO: u8 = 0;
/// Kind of a join.
pub(crate) const JOIN: u8 = 1;
/// The longest name of a volume.
pub const NAME_MAX: usize = 255;

const MAGIC: &[u8; 8] = b"cairnwir";

/// What a session is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Any number of sessions at a time.
    Read,
    /// One client at a time.
    Write,
}

/// The first frame of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The oldest and the newest version of the protocol that the client speaks.
    pub versions: (u16, u16),
    /// What it is for.
    pub access: Access,
    /// What the client knows beyond the version, a bit each. There is nothing yet.
    pub capabilities: u64,
    /// Random, the same as long as the client lives: who holds a lease takes it over.
    pub client: [u8; 16],
    /// The number of the lease that the client had last, 0 for none.
    pub fence: u64,
    /// Name of the volume; empty where the server has one only.
    pub volume: String,
}

/// The answer to a hello.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The version of the protocol that is spoken from here on.
    pub version: u16,
    /// What both sides know.
    pub capabilities: u64,
    /// The number of the lease: grows with each client that gets it. 0 for a reader.
    pub fence: u64,
    /// Lanes that the session may have at a time, at least one.
    pub lanes: u16,
    /// What later lanes join with.
    pub token: [u8; 32],
    /// Random, new with each start of the server: in another one, puts may be lost that had not
    /// been written.
    pub incarnation: [u8; 16],
    /// New with each start of the server's machine: after it, what was not synced may be lost.
    pub boot: [u8; 16],
}

impl Hello {
    /// As a frame.
    pub fn encode(&self) -> Message {
        let mut message = Message::of(HELLO);
        let fields = &mut message.fields;
        fields.put_slice(MAGIC);
        fields.put_u16_le(self.versions.0);
        fields.put_u16_le(self.versions.1);
        fields.put_u8(u8::from(self.access == Access::Write));
        fields.put_u64_le(self.capabilities);
        fields.put_slice(&self.client);
        fields.put_u64_le(self.fence);
        fields.put_slice(self.volume.as_bytes());
        message
    }

    /// `None` for what is no hello.
    pub fn decode(frame: &Incoming) -> Option<Self> {
        let mut fields = &frame.fields[..];
        let begins = frame.kind == HELLO && frame.payload.is_empty() && bytes(&mut fields)? == *MAGIC;
        if !begins {
            return None;
        }
        let mut u16 = || fields.try_get_u16_le().ok();
        let versions = (u16()?, u16()?);
        let access = match fields.try_get_u8().ok()? {
            0 => Access::Read,
            1 => Access::Write,
            _ => return None,
        };
        let hello = Self {
            versions,
            access,
            capabilities: fields.try_get_u64_le().ok()?,
            client: bytes(&mut fields)?,
            fence: fields.try_get_u64_le().ok()?,
            volume: str::from_utf8(fields).ok()?.to_owned(),
        };
        (hello.volume.len() <= NAME_MAX).then_some(hello)
    }
}

/// A later lane of the session with this token.
pub(crate) fn join(token: &[u8; 32]) -> Message {
    let mut message = Message::of(JOIN);
    message.fields.put_slice(MAGIC);
    message.fields.put_slice(token);
    message
}

/// The token of a join; `None` for what is none.
pub fn read_join(frame: &Incoming) -> Option<[u8; 32]> {
    let mut fields = &frame.fields[..];
    let begins = frame.kind == JOIN && frame.payload.is_empty() && bytes(&mut fields)? == *MAGIC;
    let token = begins.then(|| bytes(&mut fields))??;
    fields.is_empty().then_some(token)
}

impl Welcome {
    /// As a frame.
    pub fn encode(&self) -> Message {
        let mut message = Message::of(crate::answer::DONE);
        let fields = &mut message.fields;
        fields.put_u16_le(self.version);
        fields.put_u64_le(self.capabilities);
        fields.put_u64_le(self.fence);
        fields.put_u16_le(self.lanes);
        fields.put_slice(&self.token);
        fields.put_slice(&self.incarnation);
        fields.put_slice(&self.boot);
        message
    }

    /// `None` for what is no welcome.
    pub fn decode(frame: &Incoming) -> Option<Self> {
        let mut fields = &frame.fields[..];
        let welcome = Self {
            version: fields.try_get_u16_le().ok()?,
            capabilities: fields.try_get_u64_le().ok()?,
            fence: fields.try_get_u64_le().ok()?,
            lanes: fields.try_get_u16_le().ok()?,
            token: bytes(&mut fields)?,
            incarnation: bytes(&mut fields)?,
            boot: bytes(&mut fields)?,
        };
        (fields.is_empty() && frame.payload.is_empty()).then_some(welcome)
    }
}

fn bytes<const N: usize>(from: &mut &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    from.try_copy_to_slice(&mut bytes).ok()?;
    Some(bytes)
}

const _: () = assert!(NAME_MAX < HEAD_MAX, "a hello fits where a head fits");

#[cfg(test)]
mod tests {
    use super::*;

    fn incoming(message: Message) -> Incoming {
        Incoming {
            kind: message.kind,
            flags: 0,
            id: 0,
            fields: message.fields,
            payload: message.payload.concat().into(),
        }
    }

    #[test]
    fn what_begins_a_lane_is_decoded_as_it_was_encoded_and_nothing_else_is() {
        let hello = Hello {
            versions: (1, 2),
            access: Access::Write,
            capabilities: 4,
            client: [5; 16],
            fence: 6,
            volume: "volume".into(),
        };
        let welcome = Welcome {
            version: 1,
            capabilities: 2,
            fence: 3,
            lanes: 9,
            token: [4; 32],
            incarnation: [5; 16],
            boot: [6; 16],
        };
        let frame = incoming(hello.encode());
        assert_eq!(Hello::decode(&frame), Some(hello));
        assert_eq!(read_join(&frame), None);
        let mut foreign = frame.clone();
        foreign.fields[0] = b'C';
        let mut unknown = frame.clone();
        unknown.fields[12] = 2;
        let mut long = frame.clone();
        long.fields.resize(400, b'x');
        let mut no_text = frame;
        no_text.fields.push(0xff);
        for frame in [foreign, unknown, long, no_text] {
            assert_eq!(Hello::decode(&frame), None);
        }
        let frame = incoming(welcome.encode());
        assert_eq!(Welcome::decode(&frame), Some(welcome));
        let joining = incoming(join(&[9; 32]));
        assert_eq!(read_join(&joining), Some([9; 32]));
        assert_eq!(Hello::decode(&joining), None);
        for mut frame in [frame, joining] {
            frame.fields.push(0);
            assert_eq!((Welcome::decode(&frame), read_join(&frame)), (None, None));
        }
    }
}
