//! Operations and records to bytes and back.

use super::*;
use crate::stored::record::{Stored, tests::meta};
use cairn_merkle::testing::TestRng;
use cairn_merkle::{Suite, seal_leaf};
use std::collections::BTreeMap;
use std::sync::Arc;

const A: InodeNo = InodeNo(21);
const B: InodeNo = InodeNo(22);

fn name(bytes: &[u8]) -> Name {
    Name::new(bytes).unwrap()
}

fn link() -> Link {
    seal_leaf(Suite::default(), &mut TestRng::new(3), Epoch(5), b"leaf").1
}

fn xattrs() -> Xattrs {
    Arc::new(BTreeMap::from([(b"user.a".to_vec(), b"1".to_vec())]))
}

fn parts() -> Vec<Part<'static>> {
    vec![
        Part::Base {
            recno: 1,
            keep: 9,
            link: Some(link()),
        },
        Part::Base {
            recno: 2,
            keep: 4096,
            link: None,
        },
        Part::Bytes {
            recno: 3,
            offset: 77,
            bytes: b"bytes",
        },
    ]
}

fn replayed_parts() -> Vec<ReplayedPart> {
    vec![
        ReplayedPart::Base {
            recno: 1,
            keep: 9,
            link: Some(link()),
        },
        ReplayedPart::Base {
            recno: 2,
            keep: 4096,
            link: None,
        },
        ReplayedPart::Bytes {
            recno: 3,
            offset: 77,
            bytes: b"bytes".to_vec(),
        },
    ]
}

fn encoded(op: &Op<'_>) -> Vec<u8> {
    let mut out = Encoder::default();
    op.encode(&mut out);
    out.0
}

fn decoded(bytes: &[u8]) -> Result<Replayed> {
    let mut from = Decoder::new("log record", bytes);
    let op = Replayed::decode(Suite::default(), &mut from)?;
    from.finish()?;
    Ok(op)
}

/// Calls `each` with every kind of operation and its time.
fn with_all(mut each: impl FnMut(Op<'_>, Option<Time>)) {
    let (n, o) = (&name(b"name"), &name(b"other"));
    let (parent, ino, now) = (A, B, Time(9));
    each(Op::Locate { ino, parent, name: n }, None);
    each(Op::LocateLinked { ino }, None);
    for stored in [Stored::None, Stored::Inline(Arc::from(&b"target"[..]))] {
        let record = &Record {
            meta: meta(),
            xattrs: xattrs(),
            stored,
        };
        each(
            Op::Create {
                parent,
                name: n,
                record,
            },
            Some(meta().ctime),
        );
    }
    each(
        Op::Link {
            ino,
            parent,
            name: n,
            now,
        },
        Some(now),
    );
    each(Op::Unlink { parent, name: n, now }, Some(now));
    for mode in [RenameMode::Replace, RenameMode::NoReplace, RenameMode::Exchange] {
        each(
            Op::Rename {
                from: (A, n),
                to: (B, o),
                mode,
                now,
            },
            Some(now),
        );
    }
    let (meta, xattrs) = (
        &Meta {
            ctime: Time(31),
            ..meta()
        },
        &xattrs(),
    );
    each(Op::Attr { meta, xattrs }, Some(Time(31)));
    for low in [None, Some(0), Some(12)] {
        each(
            Op::Content {
                meta,
                low,
                parts: parts(),
            },
            Some(Time(31)),
        );
    }
}

#[test]
fn every_operation_reads_back_as_it_was_written_and_nothing_shorter_does() {
    let mut seen = 0;
    with_all(|op, time| {
        let bytes = encoded(&op);
        // The two types have the same variants and fields.
        assert_eq!(format!("{:?}", decoded(&bytes).unwrap()), format!("{op:?}"));
        assert_eq!(op.time(), time, "{op:?}");
        for len in 0..bytes.len() {
            assert!(decoded(&bytes[..len]).is_err(), "{len} bytes of {op:?}");
        }
        seen += 1;
    });
    assert_eq!(seen, 13);
}

#[test]
fn what_no_operation_begins_with_is_refused() {
    for code in [0, 9, 255] {
        assert!(decoded(&[&[code][..], &[0; 64]].concat()).is_err(), "{code}");
    }
    let (n, now) = (name(b"n"), Time(1));
    let mut rename = encoded(&Op::Rename {
        from: (A, &n),
        to: (B, &n),
        mode: RenameMode::Exchange,
        now,
    });
    // In front of a time of 12 bytes.
    let mode = rename.len() - 13;
    assert_eq!(rename[mode], RenameMode::Exchange as u8);
    rename[mode] = 3;
    assert!(decoded(&rename).is_err());
    let content = |parts| {
        encoded(&Op::Content {
            meta: &meta(),
            low: None,
            parts,
        })
    };
    let (mut bytes, first) = (content(parts()), content(vec![]).len());
    bytes[first] = 2;
    assert!(decoded(&bytes).is_err(), "a part that is none");
}

#[test]
fn only_a_part_with_a_leaf_names_a_block() {
    let named: Vec<_> = replayed_parts().iter().map(ReplayedPart::block).collect();
    assert_eq!(named, [Some(link().cid), None, None]);
}

#[test]
fn a_record_says_what_came_before_it_and_holds_its_operations_in_order() {
    let mut durable = Reach::default();
    durable.add(Epoch(5), 100, Time(7));
    let operations = [
        encoded(&Op::LocateLinked { ino: A }),
        encoded(&Op::LocateLinked { ino: B }),
    ]
    .concat();
    let pos = LogPos {
        epoch: Epoch(5),
        seq: 3,
    };
    for before in [None, Some(pos)] {
        let plain = encode_record(before, Time(8), &durable, &operations);
        let read = decode_record(Suite::default(), &plain).unwrap();
        assert_eq!(
            (read.before, read.newest, &read.durable),
            (before, Time(8), &durable)
        );
        assert!(matches!(
            read.ops[..],
            [
                Replayed::LocateLinked { ino: A },
                Replayed::LocateLinked { ino: B }
            ]
        ));
        assert!(decode_record(Suite::default(), &plain[..plain.len() - 1]).is_err());
    }
    assert!(decode_record(Suite::default(), &[]).is_err());
    assert!(
        decode_record(Suite::default(), &encode_record(None, Time(8), &durable, &[]))
            .unwrap()
            .ops
            .is_empty()
    );
    assert!(matches!(
        gap(pos, "why"),
        Error::Merkle(cairn_merkle::Error::Log {
            epoch: Epoch(5),
            seq: 3,
            why: "why"
        })
    ));
}
