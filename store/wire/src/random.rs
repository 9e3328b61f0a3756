//! Numbers that nothing outside this process can guess.

use rustix::rand::{GetRandomFlags, getrandom};

/// Random bytes, of the kernel.
pub(crate) fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let got = getrandom(&mut bytes, GetRandomFlags::empty());
    assert_eq!(got, Ok(N), "the kernel gives a few random bytes at once");
    bytes
}
