//! The pages of each pack that still hold anything.
//!
//! ```text
//!   index: every place --> one bit a page --> runs of pages without a bit are holes to punch
//! ```
//!
//! Nothing is moved: a page that any live block touches stays. Packs are looked at in groups, so
//! that memory follows the group and not the store.

use super::file::PACK_BYTES;
use super::place::Place;
use cairn_block::buffer::ALIGN;
use rustc_hash::FxHashMap;

/// Packs looked at together: 8 KiB each.
pub(crate) const GROUP: usize = 1024;
const PAGE: u64 = ALIGN as u64;
const WORDS: usize = (PACK_BYTES / PAGE / 64) as usize;

/// The pages in use of some packs.
pub(crate) struct Live {
    packs: FxHashMap<u32, Vec<u64>>,
}

impl Live {
    /// Nothing in use yet.
    pub(crate) fn of(packs: &[u32]) -> Self {
        Self {
            packs: packs.iter().map(|pack| (*pack, vec![0; WORDS])).collect(),
        }
    }

    /// Notes a block that lives. Places of other packs, and such as cannot be, are passed over.
    pub(crate) fn note(&mut self, place: Place) {
        let Some(words) = self.packs.get_mut(&place.pack) else {
            return;
        };
        // An empty block still has a place: its page stays. Ends are rounded up, never down.
        for page in place.offset / PAGE..place.end().max(place.offset + 1).div_ceil(PAGE) {
            // What the index says is not believed: a page beyond the pack is no page.
            if let Some(word) = words.get_mut((page / 64) as usize) {
                *word |= 1 << (page % 64);
            }
        }
    }

    /// Whether no page of a pack is in use.
    pub(crate) fn is_dead(&self, pack: u32) -> bool {
        self.packs
            .get(&pack)
            .is_some_and(|words| words.iter().all(|word| *word == 0))
    }

    /// Runs of pages below `limit` that nothing lives in, as ranges of bytes.
    pub(crate) fn holes(&self, pack: u32, limit: u64) -> Vec<(u64, u64)> {
        let Some(words) = self.packs.get(&pack) else {
            return Vec::new();
        };
        let (mut holes, mut begin) = (Vec::new(), None);
        let pages = limit.min(PACK_BYTES) / PAGE;
        // One page more than there are, taken as in use: it ends the last hole.
        for page in 0..=pages {
            let in_use = page == pages || words[(page / 64) as usize] >> (page % 64) & 1 == 1;
            match (begin, in_use) {
                (None, false) => begin = Some(page),
                (Some(first), true) => {
                    holes.push((first * PAGE, page * PAGE));
                    begin = None;
                }
                _ => {}
            }
        }
        holes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_in_use_while_any_block_touches_it() {
        let mut live = Live::of(&[3]);
        let place = |pack, offset, len| Place { pack, offset, len };
        assert!(live.is_dead(3) && !live.is_dead(4));
        assert_eq!(live.holes(3, 10 * PAGE), [(0, 10 * PAGE)]);
        live.note(place(3, 512, 100));
        live.note(place(3, 3 * PAGE - 512, 513));
        live.note(place(4, 0, 9));
        live.note(place(3, PACK_BYTES, 9));
        assert!(!live.is_dead(3));
        assert_eq!(
            live.holes(3, 10 * PAGE),
            [(PAGE, 2 * PAGE), (4 * PAGE, 10 * PAGE)]
        );
        assert_eq!(live.holes(3, 2 * PAGE + 1), [(PAGE, 2 * PAGE)]);
    }
}
