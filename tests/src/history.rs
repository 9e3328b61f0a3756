//! Which trees a power cut may leave.
//!
//! ```text
//!  namespace: commit or any fsync --o--o--o--o--> now     one of these states, for the whole tree
//!  file f:    commit or fsync(f) ----o-----o----> now     one of these contents, each file for itself
//! ```
//!
//! An fsync of anything makes all earlier changes of names and attributes durable. It makes the
//! bytes durable only of the file it was called on. Those of other files may be at their last
//! durable state or at any later one.

use crate::model::{Ino, Model};
use crate::tree::{Dump, dump_model, model_firsts};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The states since each thing was last durable.
#[derive(Clone, Debug, Default)]
pub struct History {
    states: Vec<Model>,
    contents: BTreeMap<Ino, Vec<Arc<Vec<u8>>>>,
}

impl History {
    /// Starts at a state that is durable.
    pub fn new(model: &Model) -> Self {
        let mut history = Self::default();
        history.commit(model);
        history
    }

    /// Notes the state after an operation.
    pub fn note(&mut self, model: &Model) {
        for ino in model_firsts(model).into_values() {
            let bytes = &model.inode(ino).bytes;
            let seen = self.contents.entry(ino).or_default();
            if seen.last().is_none_or(|last| !Arc::ptr_eq(last, bytes)) {
                seen.push(bytes.clone());
            }
        }
        self.states.push(model.clone());
    }

    /// Everything is durable.
    pub fn commit(&mut self, model: &Model) {
        self.states.clear();
        self.contents.clear();
        self.note(model);
    }

    /// Names and attributes are durable, and the bytes of `file`.
    pub fn fsync(&mut self, model: &Model, file: Ino) {
        self.states.clear();
        // `note` brings the present content back as the only one. Other files keep all of theirs.
        self.contents.remove(&file);
        self.note(model);
    }

    /// The state of the model that a tree found after a power cut stands for, or the reason why
    /// there is none. States that look alike are told apart by `fits`, which knows the inode
    /// numbers.
    pub fn find(&self, found: &Dump, fits: &dyn Fn(&Model) -> Result<(), String>) -> Result<Model, String> {
        let mut reason = String::from("no state");
        for state in self.states.iter().rev() {
            let mut state = state.clone();
            // A power cut closes every file: what had no name is gone.
            state.lose_opens();
            let expected = dump_model(&state);
            if expected.tree != found.tree {
                let difference = expected.difference(found).unwrap_or_default();
                reason = format!(
                    "none of {} states of the tree; the first: {difference}",
                    self.states.len()
                );
                continue;
            }
            match self
                .adopt_contents(state, found)
                .and_then(|state| fits(&state).map(|()| state))
            {
                Ok(state) => return Ok(state),
                Err(why) => reason = why,
            }
        }
        Err(reason)
    }

    fn adopt_contents(&self, mut state: Model, found: &Dump) -> Result<Model, String> {
        let firsts = model_firsts(&state);
        for (path, bytes) in &found.contents {
            let ino = firsts[path];
            let seen = self.contents.get(&ino).map_or(&[][..], Vec::as_slice);
            if !seen.contains(bytes) {
                let lens = seen.iter().map(|bytes| bytes.len()).collect::<Vec<_>>();
                let path = String::from_utf8_lossy(path);
                return Err(format!(
                    "{path} has {} bytes that it never had; lengths seen: {lens:?}",
                    bytes.len()
                ));
            }
            state.inode_mut(ino).bytes = bytes.clone();
        }
        Ok(state)
    }
}
