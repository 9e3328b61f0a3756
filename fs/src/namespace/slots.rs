//! Cookies of a directory's names: 31 bits, so that programs of 32 bits can list it.
//!
//! ```text
//!   cookie = hash (27 bits) | slot (4 bits)
//!            names of one hash lie next to each other, by name; the slot is the place of one among them
//!                 `-- while the directory is open, a name that comes or goes moves no other: Slots remembers
//! ```
//!
//! Two names of a directory of a million share their hash in one case of 128; sixteen do in none of
//! a hundred million. Names above sixteen share the last slot, and a listing that is cut between
//! two of those loses the second.
//!
//! **Invariant:** the slot of a name that stays does not change while the directory is open.

use crate::stored::name::{DirKey, HASH_BITS};
use crate::{DirCookie, Name};
use std::collections::BTreeMap;

const SLOT_BITS: u32 = 31 - HASH_BITS;
const LAST_SLOT: usize = (1 << SLOT_BITS) - 1;

/// Where names of one hash were seen by listings that are under way, by hash: slots are places in
/// the list.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::tree::name;

    fn key(text: &str) -> DirKey {
        DirKey {
            hash: 9,
            name: name(text),
        }
    }

    fn names(texts: &[&str]) -> Vec<Name> {
        texts.iter().map(|text| name(text)).collect()
    }

    fn slot(slots: &Slots, text: &str, place: usize) -> u64 {
        let cookie = slots.cookie(&key(text), place);
        assert_eq!(hash_of(cookie), 9);
        cookie.0 & 15
    }

    #[test]
    fn without_changes_a_slot_is_the_place_up_to_the_last() {
        let slots = Slots::default();
        for place in [0, 1, 15, 16, 99] {
            assert_eq!(slots.cookie(&key("x"), place).0, 9 * 16 + place.min(15) as u64);
        }
        assert_eq!(hash_of(DirCookie(u64::MAX)), u32::MAX);
        assert_eq!(hash_of(DirCookie(0)), 0);
    }

    #[test]
    fn a_name_that_comes_or_goes_moves_no_other() {
        let mut slots = Slots::default();
        slots.change(&key("b"), names(&["c", "d"]), true);
        assert_eq!((slot(&slots, "c", 1), slot(&slots, "d", 2)), (0, 1));
        assert_eq!(slot(&slots, "b", 0), 2);
        slots.change(&key("c"), names(&["b", "d"]), false);
        assert_eq!((slot(&slots, "b", 0), slot(&slots, "d", 1)), (2, 1));
        slots.change(&key("c"), names(&["b", "d"]), true);
        assert_eq!(slot(&slots, "c", 1), 0, "it comes back to its place");
        let mut other = Slots::default();
        other.change(&key("a"), names(&["b"]), false);
        assert_eq!(slot(&other, "b", 0), 1, "as if the first were there");
    }

    #[test]
    fn a_name_that_is_alone_is_not_remembered() {
        let mut slots = Slots::default();
        slots.change(&key("a"), Vec::new(), true);
        slots.change(&key("a"), Vec::new(), false);
        assert!(slots.0.is_empty());
        slots.change(&key("a"), names(&["b"]), false);
        slots.change(&key("b"), Vec::new(), false);
        slots.change(&key("b"), Vec::new(), true);
        assert_eq!(slot(&slots, "b", 0), 1, "unless it had another place before");
    }

    #[test]
    fn the_place_of_one_that_went_is_taken_when_all_are() {
        let mut slots = Slots::default();
        let all: Vec<String> = (10..26).map(|n| n.to_string()).collect();
        let all: Vec<&str> = all.iter().map(String::as_str).collect();
        slots.change(&key("25"), names(&all[..15]), true);
        assert_eq!(slot(&slots, "25", 0), 15);
        let rest: Vec<&str> = all.iter().copied().filter(|text| *text != "13").collect();
        slots.change(&key("13"), names(&rest), false);
        slots.change(&key("99"), names(&rest), true);
        assert_eq!(slot(&slots, "99", 15), 3);
        assert_eq!(slot(&slots, "25", 14), 15);
    }
}
