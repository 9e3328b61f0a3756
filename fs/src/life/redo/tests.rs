//! Operations of the log around damaged blocks.

use super::*;
use crate::fixture::stored::{Store, at, config, copy, name, open, pattern, tree, try_open, volume};
use crate::log::op::Replayed;
use crate::{Config, Operations, RenameMode, Time, XattrMode};
use cairn_merkle::testing::{CrashStore, Tamper};
use std::sync::Arc;

const ROOT: InodeNo = InodeNo::ROOT;

/// The node of a directory, as the last commit has it.
fn node_of(engine: &Engine, dir: InodeNo) -> Cid {
    let state = engine.state.lock();
    let stored = state.inodes.get(dir).unwrap().dir().unwrap().stored.clone();
    stored.unwrap().cid
}

/// The engine that is found after a kill, where this block is damaged.
fn found(store: &Store, damaged: Cid) -> Arc<Engine> {
    let to = Store::over(CrashStore::new());
    copy(&*store.killed(), &to, |_, record| Some(record));
    to.faults.tamper(damaged, Tamper::FlipBit(3));
    let config = Config {
        read_only: true,
        ..config()
    };
    try_open(Arc::new(to), config).unwrap()
}

#[test]
fn what_needs_a_damaged_block_is_skipped_and_the_rest_of_the_log_counts() {
    let (store, engine) = volume();
    let [whole, hurt] = [b"whole".as_slice(), b"hurt"].map(|called| {
        let dir = engine.t_dir(ROOT, called);
        engine.t_file(dir, b"file");
        dir
    });
    engine.commit().unwrap();
    let damaged = node_of(&engine, hurt);
    let before = tree(&engine);
    engine
        .rename(
            hurt,
            &name(b"file"),
            whole,
            &name(b"came"),
            RenameMode::Replace,
            at(30),
        )
        .unwrap();
    let new = engine.t_file(hurt, b"new");
    engine.t_write(new, 0, b"in what is lost");
    engine.fsync(new, false).unwrap();
    // What is made of what is lost is lost too, and what is done to that.
    engine.link(new, whole, &name(b"second"), at(31)).unwrap();
    engine.unlink(whole, &name(b"second"), at(31)).unwrap();
    // Would be done to something else: what came there did not come.
    engine.unlink(whole, &name(b"came"), at(31)).unwrap();
    let also = engine.t_file(whole, b"also");
    engine.t_write(also, 0, b"counts");
    engine.fsync(also, false).unwrap();
    let again = found(&store, damaged);
    let skipped = again.damage().skipped;
    let places: Vec<_> = skipped
        .named
        .iter()
        .map(|note| String::from_utf8_lossy(&note.place).into_owned())
        .collect();
    assert_eq!(skipped.count, 5, "the same place is named once: {places:?}");
    assert!(
        places.iter().any(|place| place == "/hurt/new") && places.iter().any(|place| place == "/whole/came")
    );
    assert_eq!(skipped.named[0].cid, Some(damaged));
    let later = "an operation before it, which it needs, was skipped";
    assert!(skipped.named.iter().any(|note| note.what == later));
    let whole = again.t_find(ROOT, b"whole").ino;
    assert_eq!(again.t_read(again.t_find(whole, b"also").ino), b"counts");
    assert!(again.lookup(whole, &name(b"came")).is_err());
    assert_eq!(
        again.t_find(whole, b"file").ino,
        before[&b"/whole/file"[..]].attr.ino
    );
    assert!(again.log_loss().is_none());
    // The same store without the damage has done all.
    let again = open(store.killed());
    assert_eq!((tree(&again), again.damage().skipped.count), (tree(&engine), 0));
}

#[test]
fn an_operation_on_a_file_in_a_damaged_directory_is_skipped() {
    let (store, engine) = volume();
    let hurt = engine.t_dir(ROOT, b"hurt");
    let inner = engine.t_file(hurt, b"file");
    engine.commit().unwrap();
    let damaged = node_of(&engine, hurt);
    engine
        .setxattr(inner, b"user.a", b"1", XattrMode::Set, at(30))
        .unwrap();
    engine.t_write(inner, 0, &pattern(100, 1));
    engine.fsync(inner, false).unwrap();
    let again = found(&store, damaged);
    let skipped = again.damage().skipped;
    let places: Vec<_> = skipped.named.iter().map(|note| note.place.clone()).collect();
    // Where it is found, its attribute, its bytes.
    assert_eq!(skipped.count as usize, places.len());
    assert_eq!(places[0], b"/hurt/file");
    assert!(
        places[1..]
            .iter()
            .all(|place| *place == format!("/(inode {inner})").into_bytes())
    );
    assert_eq!(tree_root(&again), [b"hurt".to_vec()]);
}

fn tree_root(engine: &Engine) -> Vec<Vec<u8>> {
    let listed = engine.readdir(ROOT, crate::DirCookie(0), 100, false).unwrap();
    listed
        .iter()
        .map(|entry| entry.name.as_bytes().to_vec())
        .collect()
}

#[test]
fn a_link_that_has_no_place_in_a_damaged_table_is_not_made_by_half() {
    let (store, engine) = volume();
    let [linked, single] = [b"linked".as_slice(), b"single"].map(|name| engine.t_file(ROOT, name));
    engine.link(linked, ROOT, &name(b"also"), at(20)).unwrap();
    engine.commit().unwrap();
    let table = engine.state.lock().volume.trees.table.clone().unwrap().cid;
    engine.link(single, ROOT, &name(b"second"), at(30)).unwrap();
    engine.fsync(single, false).unwrap();
    let again = found(&store, table);
    assert_eq!(again.damage().skipped.named[0].place, b"/second");
    assert!(again.lookup(ROOT, &name(b"second")).is_err());
    assert_eq!(again.t_find(ROOT, b"single").nlink, 1);
}

/// Operations that none of what is in this directory fits.
fn unfit(dir: InodeNo, file: InodeNo) -> Vec<Replayed> {
    let (now, parent, unknown) = (Time(50), dir, InodeNo(900));
    let meta = crate::stored::record::tests::meta();
    let record = crate::stored::record::Record {
        meta: crate::stored::record::Meta { ino: unknown, ..meta },
        xattrs: Default::default(),
        stored: crate::stored::record::Stored::None,
    };
    let [taken, none, new] = [b"file".as_slice(), b"none", b"x"].map(name);
    vec![
        Replayed::Locate {
            ino: unknown,
            parent,
            name: taken.clone(),
        },
        Replayed::Locate {
            ino: file,
            parent,
            name: none.clone(),
        },
        Replayed::LocateLinked { ino: unknown },
        Replayed::Create {
            parent,
            name: taken.clone(),
            record,
        },
        Replayed::Link {
            ino: file,
            parent,
            name: taken,
            now,
        },
        Replayed::Link {
            ino: unknown,
            parent,
            name: new.clone(),
            now,
        },
        Replayed::Unlink {
            parent,
            name: none.clone(),
            now,
        },
        Replayed::Rename {
            from: (dir, none),
            to: (dir, new),
            mode: RenameMode::Replace,
            now,
        },
    ]
}

#[test]
fn an_operation_that_does_not_fit_its_tree_is_an_error_and_not_done() {
    let (_, engine) = volume();
    let dir = engine.t_dir(ROOT, b"dir");
    let file = engine.t_file(dir, b"file");
    engine.link(file, ROOT, &name(b"linked"), at(20)).unwrap();
    engine.commit().unwrap();
    let before = tree(&engine);
    let redo = |op| engine.redo(&mut engine.state.lock(), op, &mut Redo::default());
    for op in unfit(dir, file) {
        let told = format!("{op:?}");
        assert!(redo(op).is_err(), "{told}");
        assert_eq!(tree(&engine), before, "{told}");
    }
    redo(Replayed::Locate {
        ino: file,
        parent: dir,
        name: name(b"file"),
    })
    .unwrap();
}

#[test]
fn what_was_lost_takes_along_what_touches_it() {
    let lost = InodeNo(7);
    let touches = |op: &Replayed, redo: &Redo| redo.needs_lost(&Touched::of(op));
    let (n, o, now) = (name(b"n"), name(b"o"), Time(1));
    let (dir, other) = (InodeNo(2), InodeNo(3));
    let redo = Redo {
        lost_inodes: [lost].into_iter().collect(),
        ..Redo::default()
    };
    let link = |ino, parent| Replayed::Link {
        ino,
        parent,
        name: n.clone(),
        now,
    };
    let rename = |from, to, name: &Name| Replayed::Rename {
        from: (from, n.clone()),
        to: (to, name.clone()),
        mode: RenameMode::Replace,
        now,
    };
    assert!(touches(&link(lost, dir), &redo) && touches(&link(other, lost), &redo));
    assert!(!touches(&link(other, dir), &redo));
    assert!(touches(&rename(lost, dir, &o), &redo) && touches(&rename(dir, lost, &o), &redo));
    assert!(touches(&Replayed::LocateLinked { ino: lost }, &redo));
    let mut redo = Redo::default();
    redo.lose(Touched::of(&rename(dir, other, &o)));
    let unlink = |parent, name: &Name| Replayed::Unlink {
        parent,
        name: name.clone(),
        now,
    };
    assert!(touches(&unlink(dir, &n), &redo) && touches(&unlink(other, &o), &redo));
    assert!(!touches(&unlink(dir, &o), &redo) && !touches(&unlink(other, &n), &redo));
    assert!(
        touches(&rename(other, dir, &n), &redo),
        "the second name counts too"
    );
    let mut redo = Redo::default();
    redo.lose(Touched::of(&Replayed::Locate {
        ino: lost,
        parent: dir,
        name: n.clone(),
    }));
    assert!(touches(&Replayed::LocateLinked { ino: lost }, &redo) && touches(&unlink(dir, &n), &redo));
    assert!(
        !touches(&unlink(dir, &o), &redo),
        "another name of the same directory"
    );
}

#[test]
fn an_inode_that_moved_in_a_skipped_rename_is_found_in_memory() {
    let (_, engine) = volume();
    let file = engine.t_file(ROOT, b"file");
    let mut redo = Redo::default();
    redo.lost_names.insert((ROOT, name(b"moved")));
    let locate = |called: &[u8]| Replayed::Locate {
        ino: file,
        parent: ROOT,
        name: name(called),
    };
    let mut state = engine.state.lock();
    engine.redo(&mut state, locate(b"elsewhere"), &mut redo).unwrap();
    assert_eq!(engine.damage().skipped.count, 0);
    assert!(
        engine
            .redo(&mut state, locate(b"elsewhere"), &mut Redo::default())
            .is_err()
    );
}
