//! Each decoder of this crate as a function of bytes, for `tests/fuzz` (see
//! [`cairn_block::fuzzing`]).

use crate::answer;
use crate::failure::Failure;
use crate::frame::{Incoming, Message, PAYLOAD_MAX, receive, send};
use crate::hello::{Access, Hello, VERSION, Welcome, read_join};
use crate::request::{Request, samples};
use bytes::Bytes;
use cairn_block::fuzzing::Target;
use cairn_block::{Cid, Epoch, LogPos, LogRest, MAX_STORED, PutProgress, StoreStats, Twin};

/// All decoders of this crate.
pub const TARGETS: &[Target] = &[
    Target {
        name: "wire_request",
        run: request,
        seeds: request_seeds,
    },
    Target {
        name: "wire_answer",
        run: answer,
        seeds: answer_seeds,
    },
];

fn stream(message: &Message) -> Vec<u8> {
    let mut stream = Vec::new();
    send(&mut stream, 1, message).expect("a vector takes a frame");
    stream
}

fn frame(message: &Message) -> Incoming {
    receive(&mut &stream(message)[..], PAYLOAD_MAX).expect("what was sent is received")
}

/// What is a request is one again when it is sent on.
fn request(data: &[u8]) {
    let Ok(came) = receive(&mut &*data, PAYLOAD_MAX) else {
        return;
    };
    let _ = read_join(&came);
    if let Some(hello) = Hello::decode(&came) {
        assert_eq!(Hello::decode(&frame(&hello.encode())), Some(hello));
    }
    if let Some(request) = Request::decode(&came) {
        assert_eq!(Request::decode(&frame(&request.encode())), Some(request));
    }
}

fn request_seeds() -> Vec<Vec<u8>> {
    let hello = Hello {
        versions: (VERSION, VERSION),
        access: Access::Write,
        capabilities: 0,
        client: [1; 16],
        fence: 2,
        volume: "volume".into(),
    };
    let requests = samples().into_iter().map(|request| request.encode());
    requests
        .chain([hello.encode(), crate::hello::join(&[3; 32])])
        .map(|message| stream(&message))
        .collect()
}

/// No answer of any shape is more than was asked for.
fn answer(data: &[u8]) {
    let Ok(came) = receive(&mut &*data, PAYLOAD_MAX) else {
        return;
    };
    let from = LogPos {
        epoch: Epoch(1),
        seq: 1,
    };
    let _ = (
        answer::read_nothing(&came),
        answer::read_truth(&came),
        answer::read_progress(&came),
    );
    let _ = (
        answer::read_stats(&came),
        Welcome::decode(&came),
        Failure::decode(&came),
    );
    if let Some(Some(value)) = answer::read_value(&came, 100) {
        assert!(value.len() <= 100);
    }
    if let Some(Some(part)) = answer::read_part(&came, &(16_384..32_768)) {
        assert_eq!(part.bytes.len(), 16_384);
    }
    if let Some(blocks) = answer::read_blocks(&came, 8) {
        assert!((1..=8).contains(&blocks.len()));
        assert!(blocks.iter().flatten().all(|block| block.len() <= MAX_STORED));
    }
    if let Some(marks) = answer::read_fresh(&came, None, 8) {
        assert!(marks.len() <= 8);
    }
    if let Some(cids) = answer::read_names(&came, None, 8) {
        assert!(cids.len() <= 8);
    }
    if let Some(records) = answer::read_log(&came, from) {
        assert!(records.iter().all(|(pos, _)| *pos >= from));
    }
    let _ = (answer::read_rest(&came), answer::read_a_twin(&came));
}

fn answer_seeds() -> Vec<Vec<u8>> {
    let bytes = || Bytes::from_static(b"bytes");
    let pos = LogPos {
        epoch: Epoch(1),
        seq: 1,
    };
    let (leaf, node) = (Cid::leaf([1; 32]), Cid::node([2; 32]));
    let twin = Twin {
        head: bytes(),
        header: bytes(),
        root_block: bytes(),
    };
    let rest = LogRest {
        marks: vec![bytes()],
        broken: vec!["intent/00001 at byte 7".into()],
    };
    let welcome = Welcome {
        version: VERSION,
        capabilities: 0,
        fence: 1,
        lanes: 32,
        token: [4; 32],
        incarnation: [5; 16],
        boot: [6; 16],
    };
    let answers = [
        answer::nothing(),
        answer::value(Some(bytes())),
        answer::truth(true),
        answer::blocks(&[Some(bytes()), None]),
        answer::progress(PutProgress::default()),
        answer::fresh(&[(Epoch(1), leaf), (Epoch(2), node)]),
        answer::names(&[leaf, node]),
        answer::stats(&StoreStats::default()),
        answer::records(&[(pos, bytes())]),
        answer::rest(&rest),
        answer::twin(Some(&twin)),
        welcome.encode(),
        Failure::new(crate::Code::Full, "no room").encode(),
    ];
    answers.iter().map(stream).collect()
}
