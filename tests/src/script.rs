//! A workload that touches every kind of state a volume has.
//!
//! Paths are indexes into [`crate::op::NAMES`]. All of the operations succeed on a new volume.

use crate::op::{Op, Range, Target};
use cairn_fs::{RenameMode, XattrMode};

/// All of it: contents, names, snapshots.
pub fn everything() -> Vec<Op> {
    [contents(), names(), snapshots()].concat()
}

fn at(path: &[u8]) -> Target {
    Target::Path(path.to_vec())
}

/// Writes bytes that `fill` tells from others.
pub fn write(path: &[u8], offset: u64, len: u64, fill: u8) -> Op {
    Op::Write(at(path), Range { offset, len }, fill)
}

/// Makes a file.
pub fn create(path: &[u8]) -> Op {
    Op::Create(path.to_vec(), 0o644)
}

/// Makes what lies under a path durable.
pub fn fsync(path: &[u8]) -> Op {
    Op::Fsync(at(path))
}

/// Contents of every shape a file has: inline, one leaf, an index; written in parts and in whole
/// records.
fn contents() -> Vec<Op> {
    vec![
        create(&[0]),
        write(&[0], 0, 100, 1),
        Op::Mkdir(vec![1], 0o755),
        fsync(&[0]),
        create(&[1, 0]),
        write(&[1, 0], 0, 3000, 2),
        create(&[1, 1]),
        write(&[1, 1], 0, 3 * 4096 + 500, 3),
        // Far behind the rest: a hole in the index.
        write(&[1, 1], 40 * 4096, 4096, 4),
        fsync(&[1, 1]),
        fsync(&[1]),
        Op::Commit,
        // Across the boundary of two records that a commit holds.
        write(&[1, 1], 4000, 200, 5),
        fsync(&[1, 1]),
        write(&[1, 1], 4096, 4096, 6),
        // Into the record that was just replaced.
        Op::Truncate(at(&[1, 1]), 5000),
        fsync(&[1, 1]),
        // Inline no more.
        write(&[0], 50, 5000, 7),
        write(&[1, 0], 0, 4096, 8),
        fsync(&[1, 0]),
        // A part of what the log has whole.
        write(&[1, 0], 10, 10, 9),
        fsync(&[1, 0]),
        Op::Commit,
    ]
}

/// Names: links, renames over something, attributes, files that lose their last name while they are
/// open.
fn names() -> Vec<Op> {
    vec![
        Op::Link(vec![0], vec![1, 2]),
        fsync(&[0]),
        Op::SetXattr(at(&[0]), 0, 9000, XattrMode::Set),
        Op::Symlink(vec![2], 60),
        Op::Commit,
        // Over a file that has another name: its inode stays.
        Op::Rename(vec![1, 0], vec![0], RenameMode::Replace),
        fsync(&[0]),
        Op::SetXattr(at(&[1, 2]), 1, 9000, XattrMode::Set),
        Op::Chmod(at(&[1, 2]), 0o600),
        Op::Rename(vec![2], vec![1, 1], RenameMode::Exchange),
        fsync(&[]),
        // From here on an inode loses its name, and is written, synced and committed without one.
        Op::Open(vec![1, 2], 0),
        Op::Unlink(vec![1, 2]),
        Op::Write(Target::Open(0), Range { offset: 0, len: 9000 }, 11),
        Op::Fsync(Target::Open(0)),
        fsync(&[1]),
        Op::Commit,
        Op::Write(
            Target::Open(0),
            Range {
                offset: 4096,
                len: 4096,
            },
            12,
        ),
        Op::Fsync(Target::Open(0)),
        Op::Commit,
        Op::Close(0),
        Op::Mkdir(vec![1, 0], 0o755),
        create(&[1, 0, 0]),
        write(&[1, 0, 0], 0, 8192, 13),
        // A directory, with what is below it.
        Op::Rename(vec![1, 0], vec![1, 2], RenameMode::NoReplace),
        fsync(&[1, 2, 0]),
        Op::Unlink(vec![1, 2, 0]),
        Op::Rmdir(vec![1, 2]),
        Op::RemoveXattr(at(&[0]), 0),
        fsync(&[1]),
        Op::Remount,
    ]
}

/// Snapshots between overwrites, destroyed out of order.
fn snapshots() -> Vec<Op> {
    vec![
        Op::SnapshotCreate(0),
        write(&[2], 0, 8192, 20),
        fsync(&[2]),
        Op::SnapshotCreate(1),
        write(&[2], 4096, 4096, 21),
        // From here on snapshots alone hold this file.
        Op::Unlink(vec![0]),
        Op::SnapshotCreate(2),
        fsync(&[2]),
        // The one in the middle first: both of its neighbours stay.
        Op::SnapshotDestroy(1),
        write(&[2], 0, 100, 22),
        fsync(&[2]),
        Op::SnapshotDestroy(0),
        Op::Truncate(at(&[2]), 0),
        Op::SnapshotDestroy(2),
        Op::Remount,
    ]
}
