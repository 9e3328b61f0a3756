//! Memory for one key: a page of its own, and the remains of a computation with it.
//!
//! ```text
//!  mmap --> mlock, DONTDUMP, DONTFORK --> filled in place --> shared by reference --> wiped, munmap
//! ```
//!
//! **Invariant:** the key is written straight into its page and never moves. Only this place of
//! the crate has unsafe code, and only this one asks the operating system for anything.
#![allow(unsafe_code, reason = "pages of memory are had by system calls on addresses")]

use std::alloc::{Layout, handle_alloc_error};
use std::hint::black_box;
use std::ptr::NonNull;
use zeroize::Zeroize;

/// The kernel maps whole pages, whatever is asked for.
const LEN: usize = 32;
/// More than BLAKE3 or the cipher of a key slot take of the stack.
const STACK_BYTES: usize = 8 << 10;

/// 32 secret bytes that are not swapped, not in a core dump and not in a child process.
pub(super) struct Page {
    bytes: NonNull<[u8; 32]>,
    locked: bool,
}

// SAFETY: the page belongs to this value alone, and a shared reference gives no way to write to it.
unsafe impl Send for Page {}
// SAFETY: as above.
unsafe impl Sync for Page {}

impl Page {
    /// A page that `fill` writes the key into. If it fails the page is wiped and gone.
    pub(super) fn filled<E>(fill: impl FnOnce(&mut [u8; 32]) -> Result<(), E>) -> Result<Self, E> {
        let mut page = Self::zeroed();
        // SAFETY: the mapping is writable, longer than 32 bytes and aligned, and nothing else
        // refers to it yet.
        fill(unsafe { page.bytes.as_mut() })?;
        Ok(page)
    }

    /// The key.
    pub(super) fn bytes(&self) -> &[u8; 32] {
        // SAFETY: the mapping lives as long as `self`, and nothing writes to it after `filled`.
        unsafe { self.bytes.as_ref() }
    }

    /// Whether the kernel keeps the page in memory. It refuses where `RLIMIT_MEMLOCK` is used up.
    pub(super) fn is_locked(&self) -> bool {
        self.locked
    }

    fn zeroed() -> Self {
        let (protection, flags) = (
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
        );
        // SAFETY: an anonymous mapping at an address of the kernel's choice overlaps no other
        // memory.
        let at = unsafe { libc::mmap(std::ptr::null_mut(), LEN, protection, flags, -1, 0) };
        let mapped = (at != libc::MAP_FAILED).then_some(at.cast::<[u8; 32]>());
        let Some(bytes) = mapped.and_then(NonNull::new) else {
            handle_alloc_error(Layout::new::<[u8; 32]>());
        };
        // SAFETY: both calls are about the mapping made above, and change nothing of what it holds.
        let locked = unsafe {
            // Neither is refused for such a mapping; if one were, the key would be where all other
            // memory is.
            libc::madvise(at, LEN, libc::MADV_DONTDUMP);
            libc::madvise(at, LEN, libc::MADV_DONTFORK);
            libc::mlock(at, LEN) == 0
        };
        Self { bytes, locked }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        // SAFETY: nothing refers to the page any more. munmap cannot fail for the whole of a
        // mapping.
        unsafe {
            self.bytes.as_mut().zeroize();
            libc::munmap(self.bytes.as_ptr().cast(), LEN);
        }
    }
}

/// Runs `work`, which has a key in its hands, and overwrites what that left on the stack: hashes
/// and ciphers copy their input there and do not wipe it.
#[inline(never)]
pub(crate) fn leaving_no_trace<T>(work: impl FnOnce() -> T) -> T {
    let result = apart(work);
    overwrite_stack();
    result
}

/// In a frame of its own, so that all it takes of the stack lies where [`overwrite_stack`] writes
/// next.
#[inline(never)]
fn apart<T>(work: impl FnOnce() -> T) -> T {
    work()
}

#[inline(never)]
fn overwrite_stack() {
    let mut zeros = [0_u8; STACK_BYTES];
    // The compiler has to believe that these bytes are read.
    black_box(&mut zeros);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The flags of the mapping that holds `address`, as the kernel tells them.
    fn flags(address: usize) -> String {
        let maps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let mut inside = false;
        for line in maps.lines() {
            let range = line.split(' ').next().and_then(|range| range.split_once('-'));
            let parse = |end: &str| usize::from_str_radix(end, 16).ok();
            if let Some((from, to)) = range.and_then(|(from, to)| Some((parse(from)?, parse(to)?))) {
                inside = (from..to).contains(&address);
            }
            if let Some(flags) = line.strip_prefix("VmFlags:").filter(|_| inside) {
                return flags.to_owned();
            }
        }
        String::new()
    }

    #[test]
    fn a_key_lies_in_memory_that_is_locked_and_in_no_dump_and_no_child() {
        let page = Page::filled(|bytes| {
            bytes.fill(7);
            Ok::<_, ()>(())
        });
        let page = page.unwrap();
        assert_eq!(page.bytes(), &[7; 32]);
        let flags = flags(page.bytes().as_ptr() as usize);
        let has = |flag: &str| flags.split(' ').any(|found| found == flag);
        assert!(has("dd") && has("dc"), "{flags}");
        assert_eq!(has("lo"), page.is_locked());
        assert!(page.is_locked(), "one page is within every usual RLIMIT_MEMLOCK");
    }

    #[test]
    fn what_cannot_be_filled_is_no_key() {
        assert_eq!(Page::filled(|_| Err("no")).map(drop), Err("no"));
    }
}
