//! Reading a file's bytes: open layer over frozen layer over what is stored. Leaves are fetched
//! outside the lock.

use crate::data::plan::Plan;
use crate::engine::Engine;
use crate::state::State;
use crate::{Error, InodeNo, Result};
use cairn_merkle::buffer::Buffer;

impl Engine {
    /// Up to `len` bytes from `offset`; fewer only at the end of the file.
    ///
    /// # Errors
    /// EIO's causes: a block that is missing or is not what was written.
    pub fn read(&self, ino: InodeNo, offset: u64, len: usize) -> Result<Buffer> {
        loop {
            let (plan, commits) = {
                let state = self.begin_read(ino)?;
                (self.plan(&state, ino, offset, len)?, state.commits.done())
            };
            match plan.run(&self.blocks) {
                // A commit may have freed what the plan was about to read; a newer plan knows the
                // newer blocks.
                Err(Error::Merkle(cairn_merkle::Error::Missing { .. }))
                    if self.state.lock().commits.done() != commits => {}
                done => return done,
            }
        }
    }

    /// [`Self::read`], if that takes no wait for a device; an error is left to [`Self::read`] to
    /// find.
    pub fn read_now(&self, ino: InodeNo, offset: u64, len: usize) -> Option<Buffer> {
        self.plan_now(ino, offset, len)?.run_now(&self.blocks)
    }

    /// [`Self::read`], if the range is a small part of a record. Unless the whole record is read
    /// next (`rest_follows`), that part may be asked for again. Whatever else, errors too, is
    /// left to [`Self::read`].
    pub fn read_part(&self, ino: InodeNo, offset: u64, len: usize, rest_follows: bool) -> Option<Buffer> {
        self.plan_now(ino, offset, len)?
            .run_part(&self.blocks, rest_follows)
    }

    /// Plans a read of a file, if it is in memory.
    fn plan_now(&self, ino: InodeNo, offset: u64, len: usize) -> Option<Plan> {
        self.plan(&self.state.lock(), ino, offset, len).ok()
    }

    pub(crate) fn plan(&self, state: &State, ino: InodeNo, offset: u64, len: usize) -> Result<Plan> {
        let inode = state.inodes.get(ino)?;
        let (file, size) = (inode.file()?, inode.meta.size);
        Ok(Plan::new(file, size, offset, len as u64, self.record_size))
    }
}
