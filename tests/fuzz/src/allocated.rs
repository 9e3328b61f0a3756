//! How much memory a piece of code takes on its own thread: a decoder that believes a claimed
//! length is found by it.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    /// Bytes taken and not given back, and the most there were, since [`peak_of`] began.
    static TAKEN: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(bytes: isize) {
    // A thread that ends has no counters any more, and nothing to tell either.
    let _ = TAKEN.try_with(|taken| {
        taken.set(taken.get() + bytes);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(taken.get())));
    });
}

// SAFETY: every call is handed on to the system's allocator as it came; counting touches no memory
// of others.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller keeps the contract of this very method.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize);
        // SAFETY: as above.
        unsafe { System.realloc(at, layout, size) }
    }
}

/// What `work` answers, and the most memory it held at a time.
pub(crate) fn peak_of<T>(work: impl FnOnce() -> T) -> (T, usize) {
    TAKEN.set(0);
    PEAK.set(0);
    let answer = work();
    (answer, PEAK.get().unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_counts_while_it_is_held() {
        let (_, peak) = peak_of(|| drop((vec![0_u8; 1000], vec![0_u8; 500])));
        assert_eq!(peak, 1500);
        let (_, peak) = peak_of(|| (0..9).for_each(|_| drop(vec![0_u8; 100])));
        assert_eq!(peak, 100);
    }
}
