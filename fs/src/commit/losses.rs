//! What a commit cannot place or read, since the block that it belongs into is damaged.
//!
//! ```text
//!  index, directory, table: node damaged --> left as it is; changes below it -->.
//!  record: leaf below a partial write damaged ------------------------------------+--> Losses --install--> damage.rs
//!  dead list, held list: node damaged --> blocks that can be listed nowhere -->--'                         fsync: EIO
//! ```
//!
//! Operations read what they change before they change it, and those that meet damage fail there.
//! Left is what breaks between an operation and its commit, and bytes over a leaf that nothing had
//! a reason to read. A commit goes on around both, and places all else. An fsync of the file
//! reports once what had no place, and `cairn status` goes on to name it.
//!
//! Space is never given back on a guess: a block that cannot be put on its list is kept, and
//! counted as leaked.

use crate::damage::{Cause, Table};
use crate::engine::Engine;

use crate::commit::epoch::Frozen;
use crate::namespace::inode::Home;
use crate::state::State;
use crate::stored::name::DirKey;
use crate::{InodeNo, Name};
use cairn_merkle::btree::Change;
use cairn_merkle::{Error, Result};
use parking_lot::Mutex;
use rustc_hash::FxHashSet;

/// All of one commit. Written to from many threads.
#[derive(Default)]
pub(crate) struct Losses(Mutex<Vec<Loss>>);

enum Loss {
    /// A name's entry stays what it was.
    Name(InodeNo, Name, Cause),
    /// An inode's record does.
    Inode(InodeNo, Cause),
    /// A record of a file does.
    Record(InodeNo, u64, Cause),
    /// A damaged node below an inode was left as it is; nothing was to be changed in it.
    Kept(InodeNo, Cause),
    Table(Table, Cause),
    /// A block that is on no list, and of these bytes.
    Leak(u32),
}

impl Losses {
    fn add(&self, loss: Loss) {
        self.0.lock().push(loss);
    }

    /// A node of a directory is damaged, and these changes belong below it.
    pub(crate) fn names(&self, dir: InodeNo, error: &Error, changes: &[Change]) -> Result<()> {
        // No name belongs there: the node was only to be joined with another.
        if changes.is_empty() {
            self.kept(dir, error);
        }
        for name in changes.iter().filter_map(|(key, _)| DirKey::decode(key)) {
            self.add(Loss::Name(dir, name.name, error.into()));
        }
        Ok(())
    }

    /// A node of the hard-link table is.
    pub(crate) fn linked(&self, error: &Error, changes: &[Change]) -> Result<()> {
        self.table(Table::HardLinks, error);
        // An entry that was to go and stays is no loss.
        for (key, _) in changes.iter().filter(|(_, entry)| entry.is_some()) {
            let ino = key.as_slice().try_into().map_or(0, u64::from_be_bytes);
            self.add(Loss::Inode(InodeNo(ino), error.into()));
        }
        Ok(())
    }

    /// A node of a table is, which costs space and nothing else.
    pub(crate) fn table(&self, table: Table, error: &Error) {
        self.add(Loss::Table(table, error.into()));
    }

    /// A node of a list of blocks is, and these were to be listed.
    pub(crate) fn listed(&self, table: Table, error: &Error, changes: &[Change]) {
        self.table(table, error);
        let rows = changes.iter().filter_map(|(_, entry)| entry.as_ref());
        for row in rows {
            let len = row.value.as_slice().try_into().map_or(0, u32::from_le_bytes);
            self.add(Loss::Leak(len));
        }
    }

    /// New bytes of a record cannot be laid over the old ones, or have no place in the file's
    /// index.
    pub(crate) fn record(&self, ino: InodeNo, recno: u64, error: &Error) {
        self.add(Loss::Record(ino, recno, error.into()));
    }

    /// A damaged node of a file or directory stays as it is.
    pub(crate) fn kept(&self, ino: InodeNo, error: &Error) {
        self.add(Loss::Kept(ino, error.into()));
    }
}

impl Engine {
    /// Names what a commit lost, and has the next fsync of each of the files report it.
    pub(crate) fn tell_losses(&self, state: &mut State, frozen: &Frozen, losses: Losses) {
        let losses = losses.0.into_inner();
        if losses.is_empty() {
            return;
        }
        let mut inodes = FxHashSet::default();
        let mut names = FxHashSet::default();
        for loss in losses {
            let (place, cause) = match loss {
                Loss::Name(dir, name, cause) => {
                    let path = state.inodes.path_in(dir, &name);
                    names.insert((dir, name));
                    (path, cause)
                }
                Loss::Inode(ino, cause) => {
                    inodes.insert(ino);
                    (state.inodes.path_of(ino), cause)
                }
                Loss::Record(ino, recno, cause) => {
                    inodes.insert(ino);
                    let from = recno.saturating_mul(self.record_size.into());
                    let bytes = format!(
                        " bytes {from} to {}",
                        from.saturating_add(self.record_size.into())
                    );
                    ([state.inodes.path_of(ino), bytes.into_bytes()].concat(), cause)
                }
                // The next three lose nothing that was written, so no sync reports them.
                Loss::Kept(ino, cause) => {
                    self.damage.kept(state.inodes.path_of(ino), &cause);
                    continue;
                }
                Loss::Table(table, cause) => {
                    if table == Table::Orphans {
                        state.inodes.parking_mut().lose_orphans();
                    }
                    self.damage.table(table, &cause);
                    continue;
                }
                Loss::Leak(len) => {
                    self.damage.leaked(len.into());
                    continue;
                }
            };
            state.commits.note_loss();
            self.damage.lost(place, &cause);
        }
        // An inode lies in its entry: where that has no place, its fsync must fail, too.
        let unplaced = frozen.items.iter().filter(|item| match &item.home {
            Home::Entry { parent, key } => names.contains(&(*parent, key.name.clone())),
            Home::Root | Home::Table | Home::Orphan => false,
        });
        inodes.extend(unplaced.map(|item| item.meta.ino));
        for ino in inodes {
            if let Ok(inode) = state.inodes.get_mut(ino) {
                inode.lost = true;
            }
        }
    }
}

#[cfg(test)]
mod tests;
