//! Each decoder of this crate as a function of bytes, for `tests/fuzz` (see
//! [`cairn_merkle::fuzzing`]).

use crate::log::op::{Op, Part, Replayed, ReplayedPart, decode_record, encode_record};
use crate::log::reach::Reach;
use crate::namespace::acl;
use crate::stored::codec::Encoder;
use crate::stored::held::{HeldList, Row};
use crate::stored::name::DirKey;
use crate::stored::publication::Publication;
use crate::stored::record::{Dentry, Meta, Record, Stored, Xattrs};
use crate::stored::repairs::{Gone, Loss, Repairs};
use crate::stored::snapshot::{Snapshot, dead_entry, decode_dead};
use crate::stored::volume::{Trees, Volume};
use crate::{InodeNo, Kind, Name, RenameMode, Time};
use cairn_merkle::btree::Entry;
use cairn_merkle::fuzzing::{Target, entry, entry_bytes, forge_proof, join, links, parts, tree_node};
use cairn_merkle::index::IndexRoot;
use cairn_merkle::{Cid, Codec, Epoch, Link, LogPos, Suite, Version};
use std::collections::BTreeMap;
use std::sync::Arc;

/// All decoders of this crate.
pub const TARGETS: &[Target] = &[
    Target {
        name: "inode",
        run: inode,
        seeds: inode_seeds,
    },
    Target {
        name: "directory_entry",
        run: directory_entry,
        seeds: directory_entry_seeds,
    },
    Target {
        name: "volume_state",
        run: volume_state,
        seeds: volume_state_seeds,
    },
    Target {
        name: "snapshot",
        run: snapshot,
        seeds: snapshot_seeds,
    },
    Target {
        name: "list_rows",
        run: list_rows,
        seeds: list_row_seeds,
    },
    Target {
        name: "log_operations",
        run: log_operations,
        seeds: log_operation_seeds,
    },
    Target {
        name: "access_list",
        run: access_list,
        seeds: access_list_seeds,
    },
    Target {
        name: "verify_proof",
        run: verify_proof,
        seeds: verify_proof_seeds,
    },
];

/// The first byte of the input tells how many links go with the rest.
fn with_links(data: &[u8]) -> Option<(Vec<Link>, &[u8])> {
    let (count, value) = data.split_first()?;
    Some((links(usize::from(*count % 8)), value))
}

fn seed(encoded: (Vec<u8>, Vec<Link>)) -> Vec<u8> {
    [&[encoded.1.len() as u8][..], &encoded.0].concat()
}

fn inode(data: &[u8]) {
    let Some((links, value)) = with_links(data) else {
        return;
    };
    if let Ok(record) = Record::decode(value, &links) {
        assert_eq!(record.encode(), (value.to_vec(), links));
    }
}

fn directory_entry(data: &[u8]) {
    if let Some(key) = DirKey::decode(data) {
        assert_eq!(key.encode(), data);
    }
    let Some((links, value)) = with_links(data) else {
        return;
    };
    if let Ok(dentry) = Dentry::decode(value, &links) {
        assert_eq!(dentry.encode(), (value.to_vec(), links));
    }
}

fn volume_state(data: &[u8]) {
    let Some((links, body)) = with_links(data) else {
        return;
    };
    if let Ok(volume) = Volume::decode(body, &links) {
        assert_eq!(volume.encode(), (body.to_vec(), links));
    }
}

fn snapshot(data: &[u8]) {
    let Some(entry) = entry(data) else { return };
    if let Ok((name, snapshot)) = Snapshot::decode(&entry) {
        assert_eq!(snapshot.encode(&name), entry);
    }
}

/// Rows of the list of held blocks, of the lists of dead ones and of the list of what repairs took
/// away.
fn list_rows(data: &[u8]) {
    let Some(entry) = entry(data) else { return };
    if let Ok(row) = Row::decode(&entry) {
        assert_eq!(row.encode(), entry);
    }
    if let Ok(gone) = Gone::decode(&entry) {
        let number = entry.key.last_chunk().expect("a key is two numbers");
        assert_eq!(gone.encode(u64::from_be_bytes(*number)), entry);
    }
    if let Ok((birth, cid, len)) = decode_dead(&entry) {
        assert_eq!(dead_entry(&dead(birth, cid, len)), entry);
    }
}

fn dead(birth: Epoch, cid: Cid, len: u32) -> Link {
    let link = links(1).remove(0);
    Link {
        cid,
        birth,
        len,
        ..link
    }
}

fn log_operations(data: &[u8]) {
    if let Ok(record) = decode_record(Suite::default(), data) {
        let mut out = Encoder::default();
        let operations = record.ops.iter();
        operations.for_each(|operation| logged(operation, &mut out));
        assert_eq!(
            encode_record(record.before, record.newest, &record.durable, &out.0),
            data
        );
    }
}

/// Encodes what was read as it was written.
fn logged(operation: &Replayed, out: &mut Encoder) {
    match operation {
        Replayed::Locate { ino, parent, name } => Op::Locate {
            ino: *ino,
            parent: *parent,
            name,
        }
        .encode(out),
        Replayed::LocateLinked { ino } => Op::LocateLinked { ino: *ino }.encode(out),
        Replayed::Create { parent, name, record } => Op::Create {
            parent: *parent,
            name,
            record,
        }
        .encode(out),
        Replayed::Link {
            ino,
            parent,
            name,
            now,
        } => {
            Op::Link {
                ino: *ino,
                parent: *parent,
                name,
                now: *now,
            }
            .encode(out);
        }
        Replayed::Unlink { parent, name, now } => Op::Unlink {
            parent: *parent,
            name,
            now: *now,
        }
        .encode(out),
        Replayed::Rename { from, to, mode, now } => {
            let (from, to) = ((from.0, &from.1), (to.0, &to.1));
            Op::Rename {
                from,
                to,
                mode: *mode,
                now: *now,
            }
            .encode(out);
        }
        Replayed::Attr { meta, xattrs } => Op::Attr { meta, xattrs }.encode(out),
        Replayed::Content { meta, low, parts } => {
            let parts = parts.iter().map(|part| match part {
                ReplayedPart::Base { recno, keep, link } => Part::Base {
                    recno: *recno,
                    keep: *keep,
                    link: link.clone(),
                },
                ReplayedPart::Bytes { recno, offset, bytes } => Part::Bytes {
                    recno: *recno,
                    offset: *offset,
                    bytes,
                },
            });
            Op::Content {
                meta,
                low: *low,
                parts: parts.collect(),
            }
            .encode(out);
        }
    }
}

fn access_list(data: &[u8]) {
    let valid = acl::is_valid(data);
    assert_eq!(acl::mode_of(data, 0o644).is_some(), valid);
    assert_eq!(
        acl::after_chmod(data, 0o644).is_some_and(|list| list.len() == data.len()),
        valid
    );
}

/// A path, the state in the commit, then bodies of nodes. All of it opens: what is searched is what
/// the input says.
fn verify_proof(data: &[u8]) {
    let [path, state, nodes @ ..] = &parts(data)[..] else {
        return;
    };
    let nodes = &nodes[..nodes.len().min(5)];
    let _ = crate::verify_proof(&forge_proof(path, state, nodes));
}

fn meta(kind: Kind) -> Meta {
    Meta {
        ino: InodeNo(77),
        kind,
        mode: 0o4755,
        uid: 1,
        gid: 2,
        rdev: 3,
        nlink: 1,
        size: 5,
        stored: 5,
        atime: Time(-1),
        mtime: Time(2),
        ctime: Time(3),
        btime: Time(4),
    }
}

fn records() -> Vec<Record> {
    let xattrs: Xattrs = Arc::new(BTreeMap::from([
        (b"user.a".to_vec(), b"1".to_vec()),
        (b"user.b".to_vec(), Vec::new()),
    ]));
    let link = links(1).remove(0);
    let kinds = [
        (Kind::File, Stored::Inline(Arc::from(&b"hello"[..]))),
        (Kind::File, Stored::Leaf(link.clone())),
        (
            Kind::File,
            Stored::Index(IndexRoot {
                height: 2,
                link: link.clone(),
            }),
        ),
        (Kind::Directory, Stored::Tree(link)),
        (Kind::Fifo, Stored::None),
    ];
    let record = |(kind, stored)| Record {
        meta: meta(kind),
        xattrs: Arc::clone(&xattrs),
        stored,
    };
    kinds.map(record).into()
}

fn inode_seeds() -> Vec<Vec<u8>> {
    records().iter().map(|record| seed(record.encode())).collect()
}

fn name() -> Name {
    Name::new(b"name").expect("four letters are a name")
}

fn directory_entry_seeds() -> Vec<Vec<u8>> {
    let linked = Dentry::Linked {
        ino: InodeNo(9),
        kind: Kind::File,
    };
    let embedded = records()
        .into_iter()
        .map(|record| seed(Dentry::Embedded(record).encode()));
    let key = DirKey::new(&[1; 32], &name()).encode();
    embedded.chain([seed(linked.encode()), key]).collect()
}

fn state(root: Record) -> Volume {
    let link = || Some(links(2).remove(1));
    Volume {
        next_ino: 17,
        inodes: 2,
        quota_bytes: 0,
        quota_inodes: 9,
        dir_key: [1; 32],
        log_salt: [2; 32],
        trees: Trees {
            bytes: 5,
            next_snapshot: 4,
            root,
            table: link(),
            orphans: None,
            snapshots: link(),
            dead: None,
            held: HeldList {
                root: None,
                bytes: 77,
            },
        },
        publication: Publication {
            anchored: Some(Version::from_digest(3, [3; 32])),
            submitted: vec![Version::from_digest(5, [5; 32])],
            changed: Epoch(6),
            publishing: true,
        },
        repairs: Repairs::default(),
    }
}

fn volume_state_seeds() -> Vec<Vec<u8>> {
    records()
        .into_iter()
        .map(|root| seed(state(root).encode()))
        .collect()
}

fn snapshot_seeds() -> Vec<Vec<u8>> {
    let snapshot = |root| Snapshot::of(&state(root)).encode(&name());
    records()
        .into_iter()
        .map(|root| entry_bytes(&snapshot(root)))
        .collect()
}

fn list_row_seeds() -> Vec<Vec<u8>> {
    let cid = Cid::of(Codec::Leaf, b"leaf");
    let dead = dead_entry(&dead(Epoch(3), cid, 77));
    let held = Entry {
        key: [&9_u64.to_be_bytes()[..], &dead.key].concat(),
        ..dead.clone()
    };
    let lost = Loss::Bytes {
        kept: b"/kept".to_vec(),
        ranges: vec![4096..8192, 16384..20480],
        bytes: 4096,
    };
    let gone = [lost, Loss::Names { count: 3 }, Loss::File].map(|loss| {
        let gone = Gone {
            epoch: 9,
            path: b"/file".to_vec(),
            loss,
        };
        entry_bytes(&gone.encode(1))
    });
    [vec![entry_bytes(&dead), entry_bytes(&held)], gone.into()].concat()
}

fn log_operation_seeds() -> Vec<Vec<u8>> {
    let (ino, parent, now, name) = (InodeNo(9), InodeNo(1), Time(5), &name());
    let record = &records()[0];
    let (meta, xattrs) = (&record.meta, &record.xattrs);
    let link = Some(links(1).remove(0));
    let parts = vec![
        Part::Base {
            recno: 1,
            keep: 7,
            link,
        },
        Part::Base {
            recno: 2,
            keep: 0,
            link: None,
        },
        Part::Bytes {
            recno: 1,
            offset: 3,
            bytes: b"bytes",
        },
    ];
    let operations = [
        Op::Locate { ino, parent, name },
        Op::LocateLinked { ino },
        Op::Create { parent, name, record },
        Op::Link {
            ino,
            parent,
            name,
            now,
        },
        Op::Unlink { parent, name, now },
        Op::Rename {
            from: (parent, name),
            to: (ino, name),
            mode: RenameMode::Exchange,
            now,
        },
        Op::Attr { meta, xattrs },
        Op::Content {
            meta,
            low: Some(3),
            parts,
        },
    ];
    let encode = |operation: &Op<'_>| {
        let mut out = Encoder::default();
        operation.encode(&mut out);
        out.0
    };
    let each: Vec<_> = operations.iter().map(encode).collect();
    let before = Some(LogPos {
        epoch: Epoch(4),
        seq: 2,
    });
    let mut durable = Reach::default();
    let first = |one: &Vec<u8>| encode_record(None, Time(5), &Reach::default(), one);
    let mut seeds: Vec<_> = each.iter().map(first).collect();
    durable.add(Epoch(4), 700, Time(5));
    durable.add(Epoch(5), 100, Time(7));
    seeds.push(encode_record(before, Time(9), &durable, &each.concat()));
    seeds
}

fn access_list_seeds() -> Vec<Vec<u8>> {
    let entries = [[1, 0, 7, 0], [4, 0, 5, 0], [0x20, 0, 4, 0]];
    let entries = entries.map(|entry| [entry, [0xff; 4]].concat());
    vec![[&2_u32.to_le_bytes()[..], &entries.concat()].concat()]
}

fn verify_proof_seeds() -> Vec<Vec<u8>> {
    // The root directory is the tree of node 0: a file, one that claims to be huge, and a name of
    // the hard-link table.
    let [file, _, _, directory, _] = &records()[..] else {
        return Vec::new();
    };
    let dentry = |name: &[u8], dentry: Dentry| {
        let name = Name::new(name).expect("a letter is a name");
        let (value, links) = dentry.encode();
        Entry {
            key: DirKey::new(&[1; 32], &name).encode(),
            value,
            links,
        }
    };
    let mut huge = file.clone();
    huge.meta.size = 32 << 20;
    let mut entries = vec![
        dentry(b"f", Dentry::Embedded(file.clone())),
        dentry(b"h", Dentry::Embedded(huge)),
        dentry(
            b"l",
            Dentry::Linked {
                ino: InodeNo(9),
                kind: Kind::File,
            },
        ),
    ];
    entries.sort_by(|a, b| a.key.cmp(&b.key));
    let (value, _) = file.encode();
    let table = tree_node(vec![Entry {
        key: 9_u64.to_be_bytes().to_vec(),
        value,
        links: Vec::new(),
    }]);
    // A node of a directory or of the table links to nothing here.
    let [tree, table] = [tree_node(entries), table].map(|body| [&[0][..], &body].concat());
    let (state, _) = state(directory.clone()).encode();
    [
        &b"/f"[..],
        b"/h",
        b"/l",
        b"/none",
        b"/f/below",
        b"/.snapshots/s/f",
        b"/",
    ]
    .map(|path| join(&[path, &state, &tree, &table, &table]))
    .into()
}
