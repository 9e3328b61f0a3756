//! Cookies of a directory's names: 31 bits, so that programs of 32 bits can list it.
//!
//! ```text
//!   cookie = hash (27 bits) | slot (4 bits)
//!            names of one hash lie next to each other, by name; the slot is the place of one among them
//!                 `-- while the directory is open, a name that comes or goes moves no other: Slots remembers
//! ```
//!
//! Two names of a directory of a million share their hash in one case of 128; sixteen do in none of a hundred million. Names
//! above sixteen share the last slot, and a listing that is cut between two of those loses the second.
//!
//! **Invariant:** the slot of a name that stays does not change while the directory is open.

use crate::stored::name::{DirKey, HASH_BITS};
use crate::{DirCookie, Name};
use std::collections::BTreeMap;

const SLOT_BITS: u32 = 31 - HASH_BITS;
const LAST_SLOT: usize = (1 << SLOT_BITS) - 1;

/// Where names of one hash were seen by listings that are under way, by hash: slots are places in the list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Slots(BTreeMap<u32, Vec<Name>>);

impl Slots {
    /// A name comes or goes; `others` are those of its hash that are there, in their order.
    pub(crate) fn change(&mut self, key: &DirKey, others: Vec<Name>, comes: bool) {
        // One that is alone has the first slot, unless it had another before.
        if others.is_empty() && !self.0.contains_key(&key.hash) {
            return;
        }
        let mut seen = others.clone();
        if !comes {
            seen.push(key.name.clone());
            seen.sort_unstable();
        }
        let slots = self.0.entry(key.hash).or_insert(seen);
        if !comes || slots.contains(&key.name) {
            return;
        }
        let gone = slots.iter().position(|name| !others.contains(name));
        match gone {
            Some(gone) if slots.len() > LAST_SLOT => slots[gone] = key.name.clone(),
            _ => slots.push(key.name.clone()),
        }
    }

    /// The cookie of a name that is the `place`th of its hash.
    pub(crate) fn cookie(&self, key: &DirKey, place: usize) -> DirCookie {
        let seen = self.0.get(&key.hash);
        let slot = seen.and_then(|names| names.iter().position(|name| *name == key.name));
        let slot = slot.unwrap_or(place).min(LAST_SLOT) as u64;
        DirCookie(u64::from(key.hash) << SLOT_BITS | slot)
    }
}

/// The hash with which a listing that comes back with this cookie goes on.
pub(crate) fn hash_of(cookie: DirCookie) -> u32 {
    u32::try_from(cookie.0 >> SLOT_BITS).unwrap_or(u32::MAX)
}
