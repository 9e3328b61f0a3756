//! Memory for payloads and direct I/O: aligned, and reused, since fresh pages cost more than the
//! copy into them.
//!
//! A copy into memory that is not aligned costs the kernel and memcpy three times as much
//! (128 KiB out of a socket or a file in memory: 0.70 s of CPU a GB against 0.22).

use parking_lot::Mutex;
use std::sync::{Arc, Weak};

/// What direct I/O asks of memory, offsets and lengths, on any device.
pub const ALIGN: usize = 4096;

/// Bytes that begin at a multiple of [`ALIGN`]. Goes back to its pool when dropped.
pub struct Buffer {
    bytes: Vec<u8>,
    start: usize,
    len: usize,
    pool: Weak<Pool>,
}

impl Buffer {
    /// Zeros, at least `len` of them, that go back to no pool.
    pub fn zeroed(len: usize) -> Self {
        Self::new(len.next_multiple_of(ALIGN), Weak::new())
    }

    fn new(len: usize, pool: Weak<Pool>) -> Self {
        // One alignment more than asked: the start within it is chosen by the address that came.
        let bytes = vec![0; len + ALIGN];
        let start = bytes.as_ptr().align_offset(ALIGN).min(ALIGN);
        Self {
            bytes,
            start,
            len,
            pool,
        }
    }

    /// All of it, to be written.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[self.start..self.start + self.len]
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes[self.start..self.start + self.len]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(pool) = self.pool.upgrade() {
            pool.give_back(std::mem::take(&mut self.bytes));
        }
    }
}

/// Unused buffers of one size.
pub struct Pool {
    len: usize,
    count_max: usize,
    idle: Mutex<Vec<Vec<u8>>>,
}

impl Pool {
    /// A pool that keeps up to `count_max` buffers of `len` bytes.
    pub fn new(len: usize, count_max: usize) -> Arc<Self> {
        Arc::new(Self {
            len,
            count_max,
            idle: Mutex::default(),
        })
    }

    /// Whether `len` bytes fit a buffer of it.
    pub fn fits(&self, len: usize) -> bool {
        len <= self.len
    }

    /// A buffer of at least `len` bytes, with whatever its last user left in it; pooled if it is of
    /// the pool's size.
    pub fn take(self: &Arc<Self>, len: usize) -> Buffer {
        if !self.fits(len) {
            return Buffer::zeroed(len);
        }
        match self.idle.lock().pop() {
            // The vector is the same, but only its address says where an aligned start is.
            Some(bytes) => Buffer {
                start: bytes.as_ptr().align_offset(ALIGN).min(ALIGN),
                bytes,
                len: self.len,
                pool: Arc::downgrade(self),
            },
            None => Buffer::new(self.len, Arc::downgrade(self)),
        }
    }

    fn give_back(&self, bytes: Vec<u8>) {
        // Above the number it is freed: a burst of readers must not keep its memory for good.
        let mut idle = self.idle.lock();
        if idle.len() < self.count_max {
            idle.push(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_aligned_and_come_back_as_often_as_the_pool_keeps_them() {
        let pool = Pool::new(2 * ALIGN, 1);
        let (first, second) = (pool.take(1), pool.take(2 * ALIGN));
        assert_eq!(first.as_ref().as_ptr().align_offset(ALIGN), 0);
        assert_eq!(
            (first.as_ref().len(), second.as_ref().len()),
            (2 * ALIGN, 2 * ALIGN)
        );
        drop((first, second));
        assert_eq!(pool.idle.lock().len(), 1);
        drop(pool.take(2 * ALIGN + 1));
        assert_eq!(pool.idle.lock().len(), 1, "the pool keeps no larger one");
        assert_eq!(pool.take(9).as_ref().as_ptr().align_offset(ALIGN), 0);
    }
}
