//! A server that lies: the client gets an error in time, takes no memory, and goes on with the
//! next honest one.

#![allow(
    clippy::unwrap_used,
    reason = "the lint spares test functions, not the functions they share"
)]

mod stage;

use bytes::Bytes;
use cairn_block::{Blocks, Cid, Heads, Log, MAX_STORED};
use cairn_wire::frame::{Incoming, Message, PAYLOAD_MAX, receive, send};
use cairn_wire::hello::{VERSION, Welcome};
use cairn_wire::{Client, ClientOptions, Connect, answer};
use stage::{block, options, pos};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What is done with each request after the welcome.
type Lie = Arc<dyn Fn(&mut UnixStream, &Incoming) -> io::Result<()> + Send + Sync>;

struct Liar(Lie);

fn welcome() -> Message {
    let welcome = Welcome {
        version: VERSION,
        capabilities: 0,
        fence: 1,
        lanes: 8,
        token: [1; 32],
        incarnation: [2; 16],
        boot: [3; 16],
    };
    welcome.encode()
}

impl Connect for Liar {
    fn connect(&self, _: Instant) -> io::Result<OwnedFd> {
        let (near, mut far) = UnixStream::pair()?;
        let lie = Arc::clone(&self.0);
        std::thread::spawn(move || {
            while let Ok(frame) = receive(&mut far, PAYLOAD_MAX) {
                let told = match frame.kind {
                    0 => send(&mut far, frame.id, &welcome()).map_err(io::Error::other),
                    1 => send(&mut far, frame.id, &answer::nothing()).map_err(io::Error::other),
                    _ => lie(&mut far, &frame),
                };
                if told.is_err() {
                    return;
                }
            }
        });
        Ok(near.into())
    }
}

fn client(lie: impl Fn(&mut UnixStream, &Incoming) -> io::Result<()> + Send + Sync + 'static) -> Client {
    let options = ClientOptions {
        wait: Duration::from_millis(500),
        wait_long: Duration::from_millis(500),
        ..options()
    };
    Client::connect(Box::new(Liar(Arc::new(lie))), options).unwrap()
}

/// Every kind of call fails, and none takes longer than it may.
fn all_fail(client: &Client) {
    let cid = block(1).cid;
    let begun = Instant::now();
    assert!(client.get(&cid).is_err());
    assert!(client.get_many(&[cid, block(2).cid]).is_err());
    assert!(
        client
            .get_part(&cid, 0..16_384, cairn_block::PartHint::Once)
            .is_err()
    );
    assert!(client.holds(&cid).is_err());
    assert!(client.sync().is_err());
    assert!(client.list(None, 10).is_err());
    assert!(client.fresh(None, 10).is_err());
    assert!(client.stats().is_err());
    assert!(client.log_append(&[(pos(1), block(1).bytes)]).is_err());
    assert!(client.log_read(pos(0), 1000).is_err());
    assert!(client.log_rest().is_err());
    assert!(client.head().is_err());
    assert!(client.twin().is_err());
    assert!(client.twins_ahead().is_err());
    assert!(
        begun.elapsed() < Duration::from_secs(60),
        "each call ends, whatever the server does"
    );
}

#[test]
fn garbage_is_an_error() {
    all_fail(&client(|far, _| far.write_all(&[0xa5; 4096])));
    // A head as it should be, of an answer that is none.
    all_fail(&client(|far, frame| {
        let message = Message {
            kind: 77,
            ..answer::nothing()
        };
        send(far, frame.id, &message).map_err(io::Error::other)
    }));
}

#[test]
fn an_answer_of_another_shape_is_an_error() {
    all_fail(&client(|far, frame| {
        let strange = Message {
            fields: vec![9; 77],
            payload: vec![Bytes::from(vec![7; 100_000])],
            ..answer::nothing()
        };
        send(far, frame.id, &strange).map_err(io::Error::other)
    }));
}

#[test]
fn more_than_was_asked_for_is_an_error() {
    let long = client(|far, frame| {
        let long = Bytes::from(vec![1; MAX_STORED + 1]);
        send(far, frame.id, &answer::value(Some(long))).map_err(io::Error::other)
    });
    assert!(long.get(&block(1).cid).is_err() && long.head().is_err());
    let many = client(|far, frame| {
        let cids: Vec<Cid> = (0..100).map(|n| Cid::leaf([n; 32])).collect();
        send(far, frame.id, &answer::names(&cids)).map_err(io::Error::other)
    });
    assert!(many.list(None, 99).is_err());
    assert_eq!(many.list(None, 100).unwrap().len(), 100);
    let over_and_over = many.list(None, 101);
    assert!(over_and_over.is_err(), "the same names again are no step forward");
}

#[test]
fn a_claimed_length_without_bytes_is_an_error_in_time() {
    all_fail(&client(|far, frame| {
        let mut stream = Vec::new();
        let long = answer::value(Some(Bytes::from(vec![0; 1 << 20])));
        send(&mut stream, frame.id, &long).map_err(io::Error::other)?;
        far.write_all(&stream[..1000])
    }));
}

#[test]
fn no_answer_is_an_error_in_time() {
    all_fail(&client(|_, _| Ok(())));
    all_fail(&client(|_, _| Err(io::ErrorKind::BrokenPipe.into())));
}

#[test]
fn an_answer_given_twice_answers_no_other_request() {
    let twice = client(|far, frame| {
        let cid = block(1).cid;
        let is_first = frame.fields.starts_with(&cid.digest());
        let value = if is_first { "one" } else { "two" };
        let answer = answer::value(Some(Bytes::from(value)));
        send(far, frame.id, &answer).map_err(io::Error::other)?;
        send(far, frame.id, &answer).map_err(io::Error::other)
    });
    for _ in 0..10 {
        assert_eq!(twice.get(&block(1).cid).unwrap().unwrap(), "one");
        assert_eq!(twice.get(&block(2).cid).unwrap().unwrap(), "two");
    }
}

#[test]
fn what_a_server_says_of_itself_does_not_act_on_a_terminal() {
    let loud = client(|far, frame| {
        let message = Message {
            kind: cairn_wire::failure::FAILED,
            fields: vec![0],
            payload: vec![Bytes::from("\u{1b}[2Jgone")],
            ..Message::default()
        };
        send(far, frame.id, &message).map_err(io::Error::other)
    });
    let error = loud.sync().unwrap_err().to_string();
    assert!(
        error.ends_with("[2Jgone") && !error.contains('\u{1b}'),
        "{error:?}"
    );
}
