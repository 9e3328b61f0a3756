//! Reused memory for blocks and answers: fresh pages cost about as much as sealing their content.
//!
//! ```text
//!  stale(len) <-- idle, up to 16 MiB in all <-- drop          below 64 KiB the allocator does as well
//! ```
//!
//! A buffer holds the bytes of its last user, which may be another file's plaintext.
//! **Invariant:** the user that takes a buffer overwrites all of it before any other reader sees
//! it.

use parking_lot::Mutex;
use std::ops::{Deref, DerefMut};

/// Shorter ones are left to the allocator.
const POOLED_MIN: usize = 64 << 10;
/// Idle memory that is kept, in all.
const IDLE_BYTES_MAX: usize = 16 << 20;

/// Unused buffers, the last used last: its bytes may still be in a cache.
static IDLE: Mutex<Idle> = Mutex::new(Idle {
    buffers: Vec::new(),
    bytes: 0,
});

struct Idle {
    buffers: Vec<Vec<u8>>,
    bytes: usize,
}

impl Idle {
    fn take(&mut self, len: usize) -> Option<Vec<u8>> {
        // Not one that is far too large: another caller needs it.
        let fits = |buffer: &Vec<u8>| (len..=2 * len).contains(&buffer.len());
        let at = self.buffers.iter().rposition(fits)?;
        let taken = self.buffers.remove(at);
        self.bytes -= taken.len();
        Some(taken)
    }

    /// Keeps `buffer`, or gives it back if there are enough.
    fn keep(&mut self, buffer: Vec<u8>) -> Option<Vec<u8>> {
        if self.bytes + buffer.len() > IDLE_BYTES_MAX {
            return Some(buffer);
        }
        self.bytes += buffer.len();
        self.buffers.push(buffer);
        None
    }
}

/// Bytes whose memory is used again once they are dropped.
#[derive(Debug, Default)]
pub struct Buffer {
    bytes: Vec<u8>,
    len: usize,
}

impl Buffer {
    /// `len` bytes with their old content, for a caller that overwrites them all.
    pub fn stale(len: usize) -> Self {
        let idle = match len {
            POOLED_MIN.. => IDLE.lock().take(len),
            _ => None,
        };
        let mut bytes = idle.unwrap_or_else(|| vec![0; len]);
        if cfg!(debug_assertions) {
            // What is not overwritten shows in tests.
            bytes.fill(0xa5);
        }
        Self { bytes, len }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.bytes.len() >= POOLED_MIN {
            let surplus = IDLE.lock().keep(std::mem::take(&mut self.bytes));
            // Freed without the lock.
            drop(surplus);
        }
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.len]
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_buffers_are_found_again_by_size_and_bounded() {
        let mut idle = Idle {
            buffers: Vec::new(),
            bytes: 0,
        };
        assert!(idle.keep(vec![0; 100 << 10]).is_none());
        assert!(idle.keep(vec![0; 1 << 20]).is_none());
        assert!(
            idle.take(101 << 10).is_none(),
            "one is too small, one far too large"
        );
        assert_eq!(idle.take(90 << 10).map(|found| found.len()), Some(100 << 10));
        assert_eq!(idle.bytes, 1 << 20);
        for _ in 0..15 {
            assert!(idle.keep(vec![0; 1 << 20]).is_none());
        }
        assert!(idle.keep(vec![0; POOLED_MIN]).is_some(), "that would be too many");
    }

    #[test]
    fn a_buffer_is_as_long_as_asked() {
        for len in [0, 1, POOLED_MIN, POOLED_MIN + 1, 3 << 20] {
            let mut buffer = Buffer::stale(len);
            buffer.fill(7);
            assert_eq!(*buffer, vec![7; len]);
        }
    }
}
