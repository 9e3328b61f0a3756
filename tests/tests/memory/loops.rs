//! Each operation over and over, far beyond what the engine's memory holds.

use crate::watched::Watched;
use cairn_fs::{
    Access, Caller, DirCookie, Fallocate, InodeNo, Kind, Name, Operations, RenameMode, Seek, SetAttr,
    XattrMode,
};
use cairn_tests::volume::root_at;

type Loop = (&'static str, fn(&Watched));

/// What is done to a volume of its own each.
pub(crate) const ALL: [Loop; 18] = [
    ("one attribute of one file", one_attribute),
    ("attributes of many files", many_attributes),
    ("attributes of open files", attributes_of_open_files),
    ("modes of one file", modes),
    ("names of new files", new_files),
    ("directories", directories),
    ("symbolic links", symlinks),
    ("hard links", links),
    ("renames between two names", renames),
    ("renames to new names", moving_on),
    ("files deleted while open", orphans),
    ("single bytes", single_bytes),
    ("whole records", whole_records),
    ("one record", one_record),
    ("growing and cutting", growing_and_cutting),
    ("holes", holes),
    ("small synced writes", synced_writes),
    ("listing and looking", listing),
];

const ROOT: InodeNo = InodeNo::ROOT;
const KIB: u64 = 1024;

fn caller() -> Caller {
    root_at(10)
}

/// A name of 100 bytes.
fn name(number: usize) -> Name {
    Name::new(format!("{number:0>100}").as_bytes()).expect("digits are a name")
}

fn make(on: &Watched, parent: InodeNo, number: usize) -> InodeNo {
    let made = on.mknod(parent, &name(number), Kind::File, 0o644, 0, caller());
    made.expect("there is room").ino
}

fn set(on: &Watched, ino: InodeNo, attribute: &[u8], bytes: usize) {
    let value = vec![7; bytes];
    on.setxattr(ino, attribute, &value, XattrMode::Set, caller())
        .expect("an attribute");
}

fn cut(on: &Watched, ino: InodeNo, size: u64) {
    let set = SetAttr {
        size: Some(size),
        ..SetAttr::default()
    };
    on.setattr(ino, set, caller()).expect("a size");
}

fn write(on: &Watched, ino: InodeNo, offset: u64, bytes: &[u8]) {
    on.write(ino, offset, bytes, caller(), false).expect("a write");
}

fn one_attribute(on: &Watched) {
    let file = make(on, ROOT, 0);
    for _ in 0..1000 {
        set(on, file, b"user.a", 60 << 10);
    }
    on.removexattr(file, b"user.a", caller()).expect("it is there");
}

fn many_attributes(on: &Watched) {
    let files: Vec<_> = (0..1500).map(|at| make(on, ROOT, at)).collect();
    for file in &files {
        set(on, *file, b"user.a", 30 << 10);
    }
    for file in &files {
        assert_eq!(on.getxattr(*file, b"user.a").expect("it is set").len(), 30 << 10);
        assert_eq!(on.listxattr(*file).expect("a list").len(), 1);
    }
    for file in &files {
        on.removexattr(*file, b"user.a", caller()).expect("it is there");
    }
    files.iter().for_each(|file| on.forget(*file, 1));
}

fn attributes_of_open_files(on: &Watched) {
    let files: Vec<_> = (0..1500).map(|at| make(on, ROOT, at)).collect();
    for file in &files {
        on.open_file(*file, Access::Write).expect("a handle");
        set(on, *file, b"user.a", 30 << 10);
    }
    for file in &files {
        on.getattr(*file).expect("it is open");
        on.release(*file);
        on.forget(*file, 1);
    }
}

fn modes(on: &Watched) {
    let file = make(on, ROOT, 0);
    let mode = |mode| SetAttr {
        mode: Some(mode),
        ..SetAttr::default()
    };
    for at in 0..200_000 {
        on.setattr(file, mode(at % 512), caller()).expect("a mode");
    }
    // The log repeats all attributes with each.
    set(on, file, b"user.a", 60 << 10);
    for at in 0..1000 {
        on.setattr(file, mode(at % 512), caller()).expect("a mode");
    }
}

fn new_files(on: &Watched) {
    for at in 0..30_000 {
        let file = make(on, ROOT, at);
        on.unlink(ROOT, &name(at), caller()).expect("it is there");
        on.forget(file, 1);
    }
}

fn directories(on: &Watched) {
    for at in 0..15_000 {
        let made = on.mkdir(ROOT, &name(at), 0o755, caller()).expect("a directory");
        assert_eq!(on.parent(made.ino).expect("it is there"), ROOT);
        on.rmdir(ROOT, &name(at), caller()).expect("it is empty");
        on.forget(made.ino, 1);
    }
    // A deep tree of which all is known to the kernel.
    let mut parent = ROOT;
    for at in 0..300 {
        let made = on.mkdir(parent, &name(at), 0o755, caller());
        parent = made.expect("a directory").ino;
    }
}

fn symlinks(on: &Watched) {
    let target = vec![b'a'; 4000];
    for at in 0..10_000 {
        let made = on.symlink(ROOT, &name(at), &target, caller()).expect("a link");
        assert_eq!(on.readlink(made.ino).expect("a target").len(), 4000);
        if at % 2 == 0 {
            on.unlink(ROOT, &name(at), caller()).expect("it is there");
            on.forget(made.ino, 1);
        }
    }
}

fn links(on: &Watched) {
    let file = make(on, ROOT, 0);
    for at in 1..30_000 {
        on.link(file, ROOT, &name(at), caller()).expect("a link");
    }
    for at in 1..30_000 {
        on.unlink(ROOT, &name(at), caller()).expect("it is there");
    }
    on.forget(file, 30_000);
}

fn rename(on: &Watched, from: usize, to: usize) {
    let moved = on.rename(ROOT, &name(from), ROOT, &name(to), RenameMode::Replace, caller());
    moved.expect("the name is there");
}

fn renames(on: &Watched) {
    make(on, ROOT, 0);
    for at in 0..100_000 {
        rename(on, at % 2, (at + 1) % 2);
    }
}

fn moving_on(on: &Watched) {
    make(on, ROOT, 0);
    for at in 0..40_000 {
        rename(on, at, at + 1);
    }
}

fn orphans(on: &Watched) {
    // What is open and has no name stays in memory: as many as fit.
    let files = (0..3000).map(|at| {
        let file = make(on, ROOT, at);
        on.open_file(file, Access::Write).expect("a handle");
        write(on, file, 0, &[7; 1500]);
        on.unlink(ROOT, &name(at), caller()).expect("it is there");
        file
    });
    for file in files.collect::<Vec<_>>() {
        write(on, file, 1500, &[8; 500]);
        on.release(file);
        on.forget(file, 1);
    }
}

fn single_bytes(on: &Watched) {
    let file = make(on, ROOT, 0);
    for at in 0..200_000 {
        write(on, file, at * 2, b"x");
    }
    // One in each record.
    for at in 0..20_000 {
        write(on, file, at * 4 * KIB, b"x");
    }
}

fn whole_records(on: &Watched) {
    let file = make(on, ROOT, 0);
    let bytes = vec![7; 64 << 10];
    for at in 0..1500 {
        write(on, file, at * 64 * KIB, &bytes);
    }
    let copy = make(on, ROOT, 1);
    let len = 1500 * 64 * KIB;
    let copied = on.copy_range(file, 0, copy, 0, len, caller()).expect("a copy");
    assert_eq!(copied, len);
}

fn one_record(on: &Watched) {
    let file = make(on, ROOT, 0);
    for _ in 0..10_000 {
        write(on, file, 0, &[7; 4096]);
    }
}

fn growing_and_cutting(on: &Watched) {
    let file = make(on, ROOT, 0);
    for at in 0..4000 {
        write(on, file, at % 7, &[7; 10_000]);
        cut(on, file, at % 5);
    }
}

fn holes(on: &Watched) {
    let file = make(on, ROOT, 0);
    let (bytes, len) = (vec![7; 64 << 10], 1500 * 64 * KIB);
    for at in 0..1500 {
        write(on, file, at * 64 * KIB, &bytes);
    }
    on.fsync(file, true).expect("a sync");
    for mode in [Fallocate::PunchHole, Fallocate::ZeroRange, Fallocate::Allocate] {
        on.fallocate(file, mode, 0, len, caller()).expect("a range");
    }
    assert!(on.seek(file, 0, Seek::Data).is_err(), "there is data left");
    for at in 0..20_000 {
        let from = at * 4 * KIB + 1;
        on.fallocate(file, Fallocate::PunchHole, from, 100, caller())
            .expect("a range");
    }
}

fn synced_writes(on: &Watched) {
    let file = make(on, ROOT, 0);
    for at in 0..20_000 {
        write(on, file, at % 1000 * 5000, &[7; 2000]);
        on.fsync(file, true).expect("a sync");
    }
}

fn listing(on: &Watched) {
    const FILES: usize = 12_000;
    for at in 0..FILES {
        let file = make(on, ROOT, at);
        on.forget(file, 1);
    }
    on.engine.commit().expect("a commit");
    let (mut after, mut known) = (DirCookie(0), Vec::new());
    loop {
        let page = on.readdir(ROOT, after, 64, true).expect("a page");
        let Some(last) = page.last() else { break };
        after = last.cookie;
        for entry in &page {
            known.push(
                on.retain(ROOT, entry)
                    .expect("it is there")
                    .expect("it is whole")
                    .ino,
            );
        }
    }
    assert_eq!(known.len(), FILES);
    for at in 0..FILES {
        let found = on.lookup(ROOT, &name(at)).expect("it is there");
        let unit = on.read_unit();
        assert!(on.read(found.ino, 0, unit).expect("bytes").is_empty());
        let _ = (
            on.read_now(found.ino, 0, unit),
            on.read_part(found.ino, 0, 1, false),
        );
        on.open_file(found.ino, Access::Read).expect("a handle");
        let (stat, room) = (on.statfs().expect("numbers"), on.room().min(on.make_room()));
        assert!(stat.free_bytes > 0 && room > 0);
    }
    for ino in known {
        on.release(ino);
        on.forget(ino, 2);
    }
}
