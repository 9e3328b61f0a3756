//! Counts what the process holds, without what a thread allocates aside.
#![allow(
    unsafe_code,
    reason = "an allocator is unsafe by its trait; it hands everything on to the system's"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

static HELD: AtomicI64 = AtomicI64::new(0);
static PEAK: AtomicI64 = AtomicI64::new(0);

thread_local! {
    static ASIDE: Cell<bool> = const { Cell::new(false) };
}

struct Counting;

fn count(bytes: i64) {
    // A thread that ends has no such variable any more, and holds nothing of ours.
    if !ASIDE.try_with(Cell::get).unwrap_or(false) {
        let held = HELD.fetch_add(bytes, Relaxed) + bytes;
        PEAK.fetch_max(held, Relaxed);
    }
}

// SAFETY: every call goes to the system's allocator with the arguments it came with.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: as promised by the caller.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-(layout.size() as i64));
        // SAFETY: as promised by the caller.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as i64);
        // SAFETY: as promised by the caller.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as i64 - layout.size() as i64);
        // SAFETY: as promised by the caller.
        unsafe { System.realloc(at, layout, size) }
    }
}

/// Runs `work`, whose allocations are not counted. What it frees must have been allocated so too.
pub(crate) fn aside<T>(work: impl FnOnce() -> T) -> T {
    let before = ASIDE.replace(true);
    let done = work();
    ASIDE.set(before);
    done
}

/// A span of time in which the most that is held is of interest.
pub(crate) struct Held {
    at_first: i64,
}

impl Held {
    pub(crate) fn begin() -> Self {
        let at_first = HELD.load(Relaxed);
        PEAK.store(at_first, Relaxed);
        Self { at_first }
    }

    /// The most that was held, beyond what was held at first.
    pub(crate) fn peak(&self) -> i64 {
        PEAK.load(Relaxed) - self.at_first
    }
}
