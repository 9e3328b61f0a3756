//! Operations on a filesystem, drawn from small alphabets so that they keep meeting each other.

use cairn_fs::{Fallocate, Name, RenameMode, Seek, XattrMode};

/// Components of a path as indexes into [`NAMES`]; empty for the root.
pub type Path = Vec<u8>;

/// All the names there are.
pub const NAMES: [&str; 3] = ["a", "b", "c"];
/// Names of extended attributes.
pub const XATTRS: [&str; 2] = ["user.one", "user.two"];
/// How many files may be held open at once.
pub const SLOTS: u8 = 3;

// Both sides of the boundaries of records, the start twice as often, and one far behind.
const OFFSETS: [u64; 12] = [0, 0, 1, 100, 4000, 4095, 4096, 4097, 8192, 10_000, 20_480, 70_000];
const LENGTHS: [u64; 9] = [0, 1, 10, 100, 500, 4095, 4096, 5000, 12_288];
const MODES: [u32; 4] = [0o600, 0o644, 0o755, 0o777];

/// A file, found by its path or held open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Whatever the path leads to.
    Path(Path),
    /// The file in this slot, which need not have a name any more.
    Open(u8),
}

/// A range of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// First byte.
    pub offset: u64,
    /// Number of bytes.
    pub len: u64,
}

/// One operation. Its fields are what the system call of that name takes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each variant is the system call of that name")]
pub enum Op {
    Create(Path, u32),
    Mkdir(Path, u32),
    Symlink(Path, u64),
    Link(Path, Path),
    Unlink(Path),
    Rmdir(Path),
    Rename(Path, Path, RenameMode),
    Open(Path, u8),
    Close(u8),
    Write(Target, Range, u8),
    Read(Target, Range),
    Truncate(Target, u64),
    Fallocate(Target, Fallocate, Range),
    Seek(Target, u64, Seek),
    CopyRange(Target, u64, Target, Range),
    SetXattr(Target, u8, u64, XattrMode),
    RemoveXattr(Target, u8),
    Chmod(Target, u32),
    Chown(Target, u32),
    Utimens(Target, i64),
    /// Pages through a directory; between the first two pages the name is made or removed.
    Readdir(Path, usize, u8),
    Fsync(Target),
    Commit,
    /// Closes the volume and opens it again.
    Remount,
    /// Cuts the power; the seed decides what of the unsynced is lost.
    Crash(u64),
    SnapshotCreate(u8),
    SnapshotDestroy(u8),
    SnapshotRead(u8),
    /// Lets the volume grow by so many bytes and inodes, or without limit.
    Quota(Option<(u64, u64)>),
}

/// The name with this index.
pub fn name(index: u8) -> Name {
    let name = NAMES[usize::from(index) % NAMES.len()];
    Name::new(name.as_bytes()).expect("the alphabet has proper names")
}

/// SplitMix64: written here so that a seed means the same operations for ever.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The sequence of `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.roll() % end.max(1)
    }

    /// One of `choices`.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[(self.roll() % choices.len() as u64) as usize]
    }

    fn index(&mut self, end: u8) -> u8 {
        (self.roll() % u64::from(end)) as u8
    }

    fn path(&mut self) -> Path {
        let depth = self.pick(&[1, 1, 1, 2, 2, 3]);
        (0..depth).map(|_| self.index(NAMES.len() as u8)).collect()
    }

    fn dir(&mut self) -> Path {
        let mut path = self.path();
        path.pop();
        path
    }

    fn target(&mut self) -> Target {
        if self.below(4) == 0 {
            Target::Open(self.index(SLOTS))
        } else {
            Target::Path(self.path())
        }
    }

    fn range(&mut self) -> Range {
        Range {
            offset: self.pick(&OFFSETS),
            len: self.pick(&LENGTHS),
        }
    }

    /// The operation that `seed` stands for.
    pub fn op_of(seed: u64) -> Op {
        Self::new(seed).op()
    }

    /// The next operation.
    pub fn op(&mut self) -> Op {
        match self.below(100) {
            0..=39 => self.namespace_op(),
            40..=74 => self.data_op(),
            75..=86 => self.attribute_op(),
            _ => self.volume_op(),
        }
    }

    fn namespace_op(&mut self) -> Op {
        match self.below(20) {
            0..=5 => Op::Create(self.path(), self.pick(&MODES)),
            6..=8 => Op::Mkdir(self.path(), self.pick(&MODES)),
            9 => Op::Symlink(self.path(), self.pick(&[1, 60, 4095])),
            10 => Op::Link(self.path(), self.path()),
            11..=12 => Op::Unlink(self.path()),
            13 => Op::Rmdir(self.path()),
            14..=16 => {
                let mode = self.pick(&[RenameMode::Replace, RenameMode::NoReplace, RenameMode::Exchange]);
                Op::Rename(self.path(), self.path(), mode)
            }
            17 => Op::Open(self.path(), self.index(SLOTS)),
            18 => Op::Close(self.index(SLOTS)),
            _ => Op::Readdir(self.dir(), self.pick(&[1, 2, 100]), self.index(NAMES.len() as u8)),
        }
    }

    fn data_op(&mut self) -> Op {
        match self.below(16) {
            0..=6 => Op::Write(self.target(), self.range(), self.roll() as u8),
            7..=8 => Op::Read(self.target(), self.range()),
            9..=10 => Op::Truncate(self.target(), self.pick(&OFFSETS)),
            11..=12 => {
                let mode = self.pick(&[
                    Fallocate::Allocate,
                    Fallocate::AllocateKeepSize,
                    Fallocate::PunchHole,
                    Fallocate::ZeroRange,
                    Fallocate::ZeroRangeKeepSize,
                ]);
                Op::Fallocate(self.target(), mode, self.range())
            }
            13 => Op::Seek(
                self.target(),
                self.pick(&OFFSETS),
                self.pick(&[Seek::Data, Seek::Hole]),
            ),
            _ => Op::CopyRange(self.target(), self.pick(&OFFSETS), self.target(), self.range()),
        }
    }

    fn attribute_op(&mut self) -> Op {
        match self.below(7) {
            0..=1 => {
                let mode = self.pick(&[
                    XattrMode::Set,
                    XattrMode::Set,
                    XattrMode::Create,
                    XattrMode::Replace,
                ]);
                Op::SetXattr(self.target(), self.index(2), self.pick(&[0, 5, 300, 9000]), mode)
            }
            2 => Op::RemoveXattr(self.target(), self.index(2)),
            3..=4 => Op::Chmod(self.target(), self.pick(&MODES)),
            5 => Op::Chown(self.target(), self.pick(&[0, 1000])),
            _ => Op::Utimens(self.target(), self.pick(&[-5, 0, 1_000_000_007])),
        }
    }

    fn volume_op(&mut self) -> Op {
        match self.below(26) {
            0..=8 => Op::Fsync(self.target()),
            9..=10 => Op::Fsync(Target::Path(self.dir())),
            11..=14 => Op::Commit,
            15..=16 => Op::Remount,
            17..=19 => Op::Crash(self.pick(&[0, u64::MAX, 1, 2, 3])),
            20..=21 => Op::SnapshotCreate(self.index(3)),
            22 => Op::SnapshotDestroy(self.index(3)),
            23 => Op::SnapshotRead(self.index(3)),
            24 => Op::Quota(Some((self.pick(&[0, 5000, 100_000]), self.pick(&[0, 3, 100])))),
            _ => Op::Quota(None),
        }
    }
}
