//! The operations on names and bytes, each done to both sides and compared.

use crate::model::{Ino, Model, ROOT};
use crate::op::{Op, Path};
use crate::run::{Outcome, Runner};
use cairn_fs::{Attr, DirCookie, DirEntry, Error, Kind, Name, Operations, Result, Seek, SetAttr, Time};
use std::collections::{BTreeMap, BTreeSet};
use std::mem::discriminant;

/// Fails with `why` unless `holds`.
pub(crate) fn require(holds: bool, why: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(why()) }
}

/// Both succeed, or both fail with the same error.
pub(crate) fn same<A, B>(what: &str, expected: &Result<A>, got: &Result<B>) -> Outcome {
    match (expected, got) {
        (Ok(_), Ok(_)) => Ok(()),
        (Err(expected), Err(got)) if alike(expected, got) => Ok(()),
        (expected, got) => {
            let words = |error: Option<&Error>| error.map_or("success".into(), |error| format!("{error:?}"));
            Err(format!(
                "{what}: expected {}, got {}",
                words(expected.as_ref().err()),
                words(got.as_ref().err())
            ))
        }
    }
}

/// The same error, whatever it carries.
fn alike(expected: &Error, got: &Error) -> bool {
    discriminant(expected) == discriminant(got)
}

/// POSIX lets a filesystem choose between these when more than one applies to a `rename`.
fn either_of_rename(error: &Error) -> bool {
    matches!(
        error,
        Error::NotEmpty
            | Error::IsDirectory
            | Error::NotDirectory
            | Error::Invalid(_)
            | Error::Exists
            | Error::NoEntry
    )
}

/// The engine's attributes are those of the model's inode.
pub(crate) fn same_attr(model: &Model, ino: Ino, attr: &Attr) -> Outcome {
    let inode = model.inode(ino);
    let expected = (inode.kind, inode.mode, inode.uid);
    let got = (attr.kind, attr.mode, attr.uid);
    require(expected == got, || {
        format!("attributes of inode {ino}: expected {expected:?}, got {got:?}")
    })?;
    // That of the root may count `.snapshots`, which the model has not.
    require(ino == ROOT || inode.nlink == attr.nlink, || {
        format!(
            "link count of inode {ino}: expected {}, got {}",
            inode.nlink, attr.nlink
        )
    })?;
    let times = (inode.mtime, inode.ctime);
    let got = (attr.mtime, attr.ctime);
    require(times == got, || {
        format!("mtime, ctime of inode {ino}: expected {times:?}, got {got:?}")
    })?;
    let size = inode.bytes.len() as u64;
    // How large a directory is, the engine may say.
    require(inode.kind == Kind::Directory || size == attr.size, || {
        format!("size of inode {ino}: expected {size}, got {}", attr.size)
    })
}

impl Runner {
    pub(crate) fn add_name(&mut self, op: &Op) -> Outcome {
        let (Op::Create(path, _) | Op::Mkdir(path, _) | Op::Symlink(path, _) | Op::Link(_, path)) = op else {
            return Ok(());
        };
        let caller = self.caller();
        let source = match op {
            Op::Link(from, _) => self.find(from)?,
            _ => None,
        };
        if matches!(op, Op::Link(..)) && source.is_none() {
            return Ok(());
        }
        let Some((dir, name)) = self.find_parent(path)? else {
            return Ok(());
        };
        let (parent, real) = (dir.ino, dir.real);
        // Done to a copy: if the engine refuses for lack of room, the model stays as it is.
        let mut model = self.model.clone();
        let (expected, got) = match op {
            Op::Create(_, mode) => {
                let expected = model.create(parent, &name, Kind::File, *mode, Vec::new());
                (
                    expected,
                    self.engine.mknod(real, &name, Kind::File, *mode, 0, caller),
                )
            }
            Op::Mkdir(_, mode) => {
                let expected = model.create(parent, &name, Kind::Directory, *mode, Vec::new());
                (expected, self.engine.mkdir(real, &name, *mode, caller))
            }
            Op::Symlink(_, len) => {
                let target = vec![b't'; *len as usize];
                let expected = model.create(parent, &name, Kind::Symlink, 0o777, target.clone());
                (expected, self.engine.symlink(real, &name, &target, caller))
            }
            _ => {
                let Some(source) = &source else { return Ok(()) };
                let expected = model.link(source.ino, parent, &name).map(|()| source.ino);
                (expected, self.engine.link(source.real, real, &name, caller))
            }
        };
        // The references of the walk go first: what is not held may be parked.
        drop((dir, source));
        if self.may_be_full(&got) && expected.is_ok() {
            return Ok(());
        }
        same(&format!("{op:?}"), &expected, &got)?;
        let (Ok(ino), Ok(attr)) = (expected, got) else {
            return Ok(());
        };
        self.model = model;
        // A link finds an inode that is known by its number already.
        if matches!(op, Op::Link(..)) {
            self.engine.forget(attr.ino, 1);
            return same_attr(&self.model, ino, &attr);
        }
        self.adopt(ino, &attr)
    }

    pub(crate) fn change_name(&mut self, op: &Op) -> Outcome {
        let (Op::Unlink(path) | Op::Rmdir(path) | Op::Rename(path, ..)) = op else {
            return Ok(());
        };
        let caller = self.caller();
        let Some((dir, name)) = self.find_parent(path)? else {
            return Ok(());
        };
        let mut model = self.model.clone();
        let (expected, got) = match op {
            Op::Unlink(_) => (
                model.unlink(dir.ino, &name),
                self.engine.unlink(dir.real, &name, caller),
            ),
            Op::Rmdir(_) => (
                model.rmdir(dir.ino, &name),
                self.engine.rmdir(dir.real, &name, caller),
            ),
            Op::Rename(_, to, mode) => {
                let Some((to, to_name)) = self.find_parent(to)? else {
                    return Ok(());
                };
                let expected = model.rename((dir.ino, &name), (to.ino, &to_name), *mode);
                let got = self
                    .engine
                    .rename(dir.real, &name, to.real, &to_name, *mode, caller);
                if self.may_be_full(&got) {
                    return Ok(());
                }
                (expected, got)
            }
            _ => return Ok(()),
        };
        drop(dir);
        if let (Op::Rename(..), Err(expected), Err(got)) = (op, &expected, &got)
            && either_of_rename(expected)
            && either_of_rename(got)
        {
            return Ok(());
        }
        same(&format!("{op:?}"), &expected, &got)?;
        if expected.is_ok() {
            self.model = model;
        }
        Ok(())
    }

    pub(crate) fn change_bytes(&mut self, op: &Op) -> Outcome {
        let (Op::Write(target, ..)
        | Op::Read(target, _)
        | Op::Truncate(target, _)
        | Op::Fallocate(target, ..)) = op
        else {
            return Ok(());
        };
        let caller = self.caller();
        let Some(found) = self.find_target(target)? else {
            return Ok(());
        };
        let (ino, real) = (found.ino, found.real);
        if self.model.inode(ino).kind != Kind::File {
            return Ok(()); // the kernel never opens anything else for bytes
        }
        let mut model = self.model.clone();
        let (expected, got) = match op {
            Op::Write(_, range, fill) => {
                let bytes = Self::bytes_of(*fill, *range);
                let got = self.engine.write(real, range.offset, &bytes, caller, false);
                (model.write(ino, range.offset, &bytes), got)
            }
            Op::Read(_, range) => {
                let expected = model.read(ino, range.offset, range.len);
                let got = self.engine.read(real, range.offset, range.len as usize);
                same("read", &expected, &got)?;
                return require(expected.ok().as_deref() == got.ok().as_deref(), || {
                    format!("{op:?} gives other bytes")
                });
            }
            Op::Truncate(_, size) => {
                let set = SetAttr {
                    size: Some(*size),
                    ..SetAttr::default()
                };
                let got = self.engine.setattr(real, set, caller).map(|_| ());
                (model.truncate(ino, *size), got)
            }
            Op::Fallocate(_, mode, range) => {
                let got = self
                    .engine
                    .fallocate(real, *mode, range.offset, range.len, caller);
                (model.fallocate(ino, *mode, range.offset, range.len), got)
            }
            _ => return Ok(()),
        };
        drop(found);
        // Giving space back must succeed on a full store.
        let shrinks = matches!(op, Op::Truncate(_, 0));
        if self.may_be_full(&got) && !shrinks {
            return self.same_bytes(ino);
        }
        same(&format!("{op:?}"), &expected, &got)?;
        if expected.is_ok() {
            self.model = model;
            if matches!(op, Op::Fallocate(..)) {
                self.adopt_times(ino)?;
            }
        }
        self.same_bytes(ino)
    }

    pub(crate) fn move_bytes(&mut self, op: &Op) -> Outcome {
        match op {
            Op::Seek(target, offset, whence) => {
                let Some(found) = self.find_target(target)? else {
                    return Ok(());
                };
                if self.model.inode(found.ino).kind != Kind::File {
                    return Ok(());
                }
                let got = self.engine.seek(found.real, *offset, *whence);
                right_seek(&self.model.inode(found.ino).bytes, *offset, *whence, &got)
            }
            Op::CopyRange(from, from_offset, to, range) => {
                let (Some(from), Some(to)) = (self.find_target(from)?, self.find_target(to)?) else {
                    return Ok(());
                };
                let is_file = |ino| self.model.inode(ino).kind == Kind::File;
                if !is_file(from.ino) || !is_file(to.ino) || from.ino == to.ino {
                    return Ok(());
                }
                let (real, ino, offset) = (from.real, to.ino, range.offset);
                let bytes = self
                    .model
                    .read(from.ino, *from_offset, range.len)
                    .map_err(|error| error.to_string())?;
                let got =
                    self.engine
                        .copy_range(real, *from_offset, to.real, offset, range.len, self.caller());
                drop((from, to));
                if self.may_be_full(&got) {
                    return self.same_bytes(ino);
                }
                let copied = got.map_err(|error| format!("{op:?}: {error}"))? as usize;
                // As copy_file_range, it may copy less than was asked for, but not nothing.
                require(copied <= bytes.len() && (copied > 0 || bytes.is_empty()), || {
                    format!("{op:?} copied {copied} of {} bytes", bytes.len())
                })?;
                self.model
                    .write(ino, offset, &bytes[..copied])
                    .map_err(|error| error.to_string())?;
                self.same_bytes(ino)
            }
            _ => Ok(()),
        }
    }

    fn same_bytes(&self, ino: Ino) -> Outcome {
        let real = self.inos[&ino];
        // Only what is named or open can be asked for by number alone.
        let Ok(attr) = self.engine.getattr(real) else {
            return Ok(());
        };
        same_attr(&self.model, ino, &attr)?;
        let got = self
            .engine
            .read(real, 0, attr.size as usize)
            .map_err(|error| format!("read: {error}"))?;
        let expected = &self.model.inode(ino).bytes;
        let at = got.iter().zip(expected.iter()).position(|(a, b)| a != b);
        require(at.is_none() && got.len() == expected.len(), || {
            format!("bytes of inode {ino} differ from {at:?}")
        })
    }

    /// Takes the engine's times where filesystems may differ, as long as they do not run backwards.
    fn adopt_times(&mut self, ino: Ino) -> Outcome {
        let Ok(attr) = self.engine.getattr(self.inos[&ino]) else {
            return Ok(());
        };
        let now = self.caller().now;
        let inode = self.model.inode_mut(ino);
        let right = |before: Time, after: Time| after == before || after == now;
        require(
            right(inode.mtime, attr.mtime) && right(inode.ctime, attr.ctime),
            || format!("times of inode {ino} are neither the old nor the new ones"),
        )?;
        (inode.mtime, inode.ctime) = (attr.mtime, attr.ctime);
        Ok(())
    }

    /// What is there all the time is listed once, what comes or goes meanwhile once at most.
    pub(crate) fn readdir(&mut self, path: &Path, count_max: usize, toggled: &Name) -> Outcome {
        let Some(dir) = self.find(path)? else {
            return Ok(());
        };
        let (ino, real) = (dir.ino, dir.real);
        if self.model.inode(ino).kind != Kind::Directory {
            return Ok(());
        }
        let page = |after| {
            self.engine
                .readdir(real, after, count_max, true)
                .map_err(|error| format!("readdir: {error}"))
        };
        let mut listed = page(DirCookie::default())?;
        drop(dir);
        let index = crate::op::NAMES
            .iter()
            .position(|name| name.as_bytes() == toggled.as_bytes())
            .unwrap_or(0);
        let toggled_path = [path.as_slice(), &[index as u8]].concat();
        // Between two pages: a cookie must hold although a name came or went.
        if self.model.lookup(ino, toggled).is_ok() {
            self.change_name(&Op::Unlink(toggled_path))?;
        } else {
            self.add_name(&Op::Create(toggled_path, 0o644))?;
        }
        let Some(_held) = self.find(path)? else {
            return Err("the directory went away".into());
        };
        let page = |after| {
            self.engine
                .readdir(real, after, count_max, true)
                .map_err(|error| format!("readdir: {error}"))
        };
        while let Some(last) = listed.last().map(|entry| entry.cookie) {
            let next = page(last)?;
            if next.is_empty() {
                break;
            }
            require(next.len() <= count_max, || {
                format!("{} entries instead of {count_max}", next.len())
            })?;
            listed.extend(next);
        }
        self.right_listing(ino, toggled, &listed)
    }

    fn right_listing(&self, ino: Ino, toggled: &Name, listed: &[DirEntry]) -> Outcome {
        let steady = |name: &Name| name != toggled && name.as_bytes() != b".snapshots";
        let names = listed.iter().map(|entry| &entry.name).collect::<Vec<_>>();
        let once = names.iter().collect::<BTreeSet<_>>().len() == names.len();
        require(once, || format!("a name is listed twice: {names:?}"))?;
        let expected = self
            .model
            .inode(ino)
            .names
            .iter()
            .filter(|(name, _)| steady(name));
        let expected: BTreeMap<_, _> = expected.map(|(name, child)| (name, self.inos[child])).collect();
        let got: BTreeMap<_, _> = listed
            .iter()
            .filter(|entry| steady(&entry.name))
            .map(|entry| (&entry.name, entry.ino))
            .collect();
        require(expected == got, || {
            format!("readdir: expected {expected:?}, got {got:?}")
        })
    }
}

/// A filesystem may call zeros data, and never data a hole.
fn right_seek(bytes: &[u8], offset: u64, whence: Seek, got: &Result<u64>) -> Outcome {
    let size = bytes.len() as u64;
    let zeros = |from: u64, to: u64| bytes[from as usize..to as usize].iter().all(|byte| *byte == 0);
    let right = match (whence, got) {
        (_, Err(Error::NoData)) if offset >= size => true,
        (Seek::Data, Err(Error::NoData)) => zeros(offset, size),
        (Seek::Data, Ok(at)) => (offset..size).contains(at) && zeros(offset, *at),
        (Seek::Hole, Ok(at)) => {
            offset < size && (offset..=size).contains(at) && (*at == size || bytes[*at as usize] == 0)
        }
        _ => false,
    };
    require(right, || {
        format!("seek {whence:?} from {offset} of {size}: {got:?}")
    })
}
