//! What never changes refuses it: snapshots, volumes mounted read-only, volumes that stopped.
//!
//! ```text
//!  open for writing --> EROFS    the kernel would keep what is written in its page cache, where readers see it
//!  open for reading --> goes on
//!  each change      --> EROFS    for callers that need no handle: setattr, xattrs, names
//! ```

use cairn_fs::{
    Access, Attr, Config, Engine, Error, Fallocate, InodeNo, Kind, Operations, RenameMode, Result,
};
use cairn_fs::{SetAttr, Time, XattrMode};
use cairn_merkle::MemoryStore;
use cairn_merkle::testing::{FaultStore, Op as Call};
use cairn_tests::sample::{self, name, put_file};
use cairn_tests::volume::{self, Copy, config, root_at};
use std::sync::Arc;

/// Follows a path; the references to what it passes are kept.
fn walk(engine: &Engine, path: &str) -> Attr {
    let mut attr = engine.getattr(InodeNo::ROOT).expect("there is a root");
    for component in path.split('/').filter(|component| !component.is_empty()) {
        attr = engine
            .lookup(attr.ino, &name(component))
            .expect("the path is there");
    }
    attr
}

fn require_refused<T>(what: &str, path: &str, result: Result<T>) {
    match result {
        Err(Error::ReadOnly(_)) => {}
        Err(other) => panic!("{what} of {path:?} is refused as {other}"),
        Ok(_) => panic!("{what} of {path:?} is not refused"),
    }
}

/// Every change that needs no name.
fn require_unchangeable(engine: &Engine, path: &str, attr: &Attr) {
    let (ino, caller) = (attr.ino, root_at(90));
    let set = |set: SetAttr| engine.setattr(ino, set, caller);
    let mode = SetAttr {
        mode: Some(0o600),
        ..SetAttr::default()
    };
    let mtime = SetAttr {
        mtime: Some(Time(1)),
        ..SetAttr::default()
    };
    require_refused("chmod", path, set(mode));
    require_refused("utimensat", path, set(mtime));
    let value = engine.setxattr(ino, b"user.new", b"1", XattrMode::Set, caller);
    require_refused("setxattr", path, value);
    require_refused("removexattr", path, engine.removexattr(ino, b"user.wide", caller));
    if attr.kind != Kind::File {
        return;
    }
    let size = SetAttr {
        size: Some(1),
        ..SetAttr::default()
    };
    require_refused("open for writing", path, engine.open_file(ino, Access::Write));
    require_refused("truncate", path, set(size));
    require_refused("write", path, engine.write(ino, 0, b"new", caller, false));
    let punched = engine.fallocate(ino, Fallocate::PunchHole, 0, 10, caller);
    require_refused("fallocate", path, punched);
    // Nothing is copied out of nothing.
    if attr.size > 0 {
        require_refused("copy onto", path, engine.copy_range(ino, 0, ino, 50, 10, caller));
    }
    engine
        .open_file(ino, Access::Read)
        .expect("what is there can be read");
    let bytes = engine
        .read(ino, 0, attr.size as usize)
        .expect("what is there can be read");
    assert_eq!(bytes.len() as u64, attr.size, "{path:?}");
    engine.release(ino);
}

/// Every change of names in a directory that has `file`.
fn require_names_stay(engine: &Engine, dir: InodeNo, file: &str, outside: InodeNo) {
    let (caller, new, old) = (root_at(91), name("new"), name(file));
    let replace = RenameMode::Replace;
    let ino = engine.lookup(dir, &old).expect("it is there").ino;
    let refused = |what: &str, result: Result<()>| require_refused(what, file, result);
    let made = engine.mknod(dir, &new, Kind::File, 0o644, 0, caller);
    refused("mknod", made.map(drop));
    refused("mkdir", engine.mkdir(dir, &new, 0o755, caller).map(drop));
    refused("symlink", engine.symlink(dir, &new, b"x", caller).map(drop));
    refused("link", engine.link(ino, dir, &new, caller).map(drop));
    refused("unlink", engine.unlink(dir, &old, caller));
    refused("rename", engine.rename(dir, &old, dir, &new, replace, caller));
    refused(
        "rename out",
        engine.rename(dir, &old, outside, &new, replace, caller),
    );
    engine.forget(ino, 1);
}

#[test]
fn nothing_in_a_snapshot_can_be_opened_for_writing_or_changed() {
    let engine = volume::open(sample::closed().into_memory(), 30).expect("the sample opens");
    let paths: Vec<_> = sample::paths()
        .into_iter()
        .filter(|path| path.starts_with(".snapshots"))
        .collect();
    let see = |path: &String| sample::read(&engine, path).expect("it reads");
    let before: Vec<_> = paths.iter().map(see).collect();
    for path in &paths {
        require_unchangeable(&engine, path, &walk(&engine, path));
    }
    let old = walk(&engine, ".snapshots/old");
    require_names_stay(&engine, old.ino, "leaf", InodeNo::ROOT);
    let inside = engine.rename(
        InodeNo::ROOT,
        &name("leaf"),
        old.ino,
        &name("new"),
        RenameMode::Replace,
        root_at(92),
    );
    require_refused("rename into", "leaf", inside);
    assert!(paths.iter().map(see).eq(before), "a snapshot changed");
    // The same file outside of it can be written as ever.
    let live = walk(&engine, "leaf").ino;
    engine
        .open_file(live, Access::Write)
        .expect("only snapshots refuse");
    engine
        .write(live, 0, b"new", root_at(93), false)
        .expect("there is room");
    engine.close().expect("a healthy store closes");
}

#[test]
fn nothing_in_a_volume_mounted_read_only_can_be_opened_for_writing_or_changed() {
    let store = sample::closed().into_memory();
    let before = Copy::of(&*store);
    let key = volume::key_of(&*store).expect("the volume has its key");
    let read_only = Config {
        read_only: true,
        ..config()
    };
    let engine = Engine::open(store.clone(), key, read_only, Time(30)).expect("the sample opens");
    for path in ["leaf", "index", "dir", "dir/hard", "symlink"] {
        require_unchangeable(&engine, path, &walk(&engine, path));
    }
    require_names_stay(&engine, InodeNo::ROOT, "leaf", walk(&engine, "dir").ino);
    engine.close().expect("a healthy store closes");
    drop(engine);
    assert_eq!(Copy::of(&*store), before, "nothing was written");
}

#[test]
fn a_volume_that_stopped_opens_nothing_for_writing() {
    let store = Arc::new(FaultStore::new(MemoryStore::new()));
    volume::create(&*store, cairn_fs::Quota::default()).expect("an empty store takes a volume");
    let engine = volume::open(store.clone(), 2).expect("a new volume opens");
    let ino = put_file(&engine, InodeNo::ROOT, "leaf", &[7; 3000]).expect("there is room");
    engine.open_file(ino, Access::Write).expect("nothing failed yet");
    engine.fsync(ino, false).expect("a healthy store takes the log");
    store.fail_nth(Call::SwapHead, 0);
    engine.commit().expect_err("the head cannot move");
    require_refused("open for writing", "leaf", engine.open_file(ino, Access::Write));
    engine
        .open_file(ino, Access::Read)
        .expect("what is there can be read");
    assert_eq!(*engine.read(ino, 0, 3000).expect("it reads"), [7; 3000]);
}
