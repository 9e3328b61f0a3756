//! Noting an operation for the log, preceded by where its inodes are found.

use crate::engine::Engine;
use crate::log::op::Op;
use crate::namespace::inode::Home;
use crate::state::State;
use crate::{InodeNo, Result};

impl Engine {
    /// Notes an operation for the intent log, preceded by where its inodes are found if the log
    /// does not say yet.
    pub(crate) fn log(&self, state: &mut State, inodes: &[InodeNo], op: &Op<'_>) -> Result<()> {
        // What a replay or a repair does, the commit behind it holds.
        if state.life.is_replaying() {
            return Ok(());
        }
        for ino in inodes {
            self.locate(state, *ino)?;
        }
        let epoch = state.open.number();
        state.log.push(epoch, op);
        Ok(())
    }

    /// Tells the log where an inode is found, if it does not say yet.
    pub(crate) fn locate(&self, state: &mut State, ino: InodeNo) -> Result<()> {
        let epoch = state.open.number();
        let inode = state.inodes.get_mut(ino)?;
        if ino == InodeNo::ROOT || inode.located == epoch {
            return Ok(());
        }
        // Once in each epoch: a head settles the records of those before.
        inode.located = epoch;
        match inode.home.clone() {
            Home::Entry { parent, key } => {
                // The directory first, for replay looks for the name in it.
                self.locate(state, parent)?;
                state.log.push(
                    epoch,
                    &Op::Locate {
                        ino,
                        parent,
                        name: &key.name,
                    },
                );
            }
            Home::Table => state.log.push(epoch, &Op::LocateLinked { ino }),
            Home::Root | Home::Orphan => {}
        }
        Ok(())
    }
}
