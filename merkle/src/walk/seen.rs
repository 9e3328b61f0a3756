//! The names a walk has met, in bounded memory.
//!
//! No block can lie below itself, since its name is its hash. But one block can have many
//! parents. Snapshots share almost everything, and a hostile volume can double the ways to a
//! block with each level. [`Seen`] remembers the names met, 16 bytes each, up to a number. Beyond
//! it shared blocks are visited again: slower, never wrong.

use crate::Cid;
use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};

/// Names met so far, as far as they are remembered.
pub struct Seen {
    /// Two hashes of 64 bits under secret keys: no outsider can make two names look the same.
    hashers: [RandomState; 2],
    met: HashSet<u128>,
    count_max: usize,
}

impl Seen {
    /// Remembers up to `count_max` names, in about 36 bytes each at worst.
    pub fn new(count_max: usize) -> Self {
        Self {
            hashers: [RandomState::new(), RandomState::new()],
            met: HashSet::new(),
            count_max,
        }
    }

    /// Whether `cid` is met for the first time, as far as is remembered.
    pub fn insert(&mut self, cid: &Cid) -> bool {
        let print = self.print(cid);
        if self.met.len() < self.count_max {
            return self.met.insert(print);
        }
        // Full: new names look new each time, so shared blocks are visited again and none is
        // missed.
        !self.met.contains(&print)
    }

    /// Whether `cid` was met.
    pub fn contains(&self, cid: &Cid) -> bool {
        self.met.contains(&self.print(cid))
    }

    fn print(&self, cid: &Cid) -> u128 {
        let [high, low] = &self.hashers;
        u128::from(high.hash_one(cid)) << 64 | u128::from(low.hash_one(cid))
    }
}
