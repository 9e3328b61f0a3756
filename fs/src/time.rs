//! Points in time.

/// Nanoseconds since the epoch; negative before 1970. Holds whatever the kernel's times say, whose
/// seconds have 64 bits: with its writeback cache it shows a time as it was set, so nothing may be
/// cut off here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(pub i128);

impl Time {
    const SECOND: i128 = 1_000_000_000;

    /// From seconds and nanoseconds.
    pub fn new(seconds: i64, nanoseconds: u32) -> Self {
        Self(i128::from(seconds) * Self::SECOND + i128::from(nanoseconds))
    }

    /// Whole seconds (rounded down) and the nanoseconds above them.
    pub fn parts(self) -> (i64, u32) {
        let (seconds, rest) = (self.0.div_euclid(Self::SECOND), self.0.rem_euclid(Self::SECOND));
        let edge = if seconds < 0 { i64::MIN } else { i64::MAX };
        (
            i64::try_from(seconds).unwrap_or(edge),
            u32::try_from(rest).unwrap_or(0),
        )
    }
}
