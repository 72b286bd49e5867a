//! Serial-number arithmetic (RFC 1982 with `SERIAL_BITS` 32; RFC 7143, section 4.2.2.1).

use std::fmt;

const HALF: u32 = 1 << 31;

/// A CmdSN, StatSN, DataSN or R2TSN: a 32-bit counter that wraps.
///
/// Two numbers exactly 2^31 apart have no order: every comparison between them is `false`.
/// For that reason `Serial` has no `Ord`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Serial(pub u32);

impl Serial {
    /// `self < other` in serial arithmetic.
    #[inline]
    pub const fn lt(self, other: Self) -> bool {
        let ahead = other.0.wrapping_sub(self.0);
        ahead != 0 && ahead < HALF
    }

    /// `self ≤ other` in serial arithmetic.
    #[inline]
    pub const fn le(self, other: Self) -> bool {
        other.0.wrapping_sub(self.0) < HALF
    }

    /// `self > other` in serial arithmetic.
    #[inline]
    pub const fn gt(self, other: Self) -> bool {
        other.lt(self)
    }

    /// The number after this one.
    #[inline]
    #[must_use]
    pub const fn next(self) -> Self {
        self.add(1)
    }

    /// This number moved forward by `n`; `n` up to 2^31 − 1 keeps the order defined.
    #[inline]
    #[must_use]
    pub const fn add(self, n: u32) -> Self {
        Self(self.0.wrapping_add(n))
    }

    /// This number moved back by `n`.
    #[inline]
    #[must_use]
    pub const fn sub(self, n: u32) -> Self {
        Self(self.0.wrapping_sub(n))
    }

    /// How far `self` is ahead of `earlier`, modulo 2^32.
    #[inline]
    pub const fn distance_from(self, earlier: Self) -> u32 {
        self.0.wrapping_sub(earlier.0)
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<u32> for Serial {
    fn from(value: u32) -> Self {
        Self(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    ///
    #[test]
    fn order_survives_the_wrap() {
        let last = Serial(u32::MAX);
        assert!(last.lt(last.next()));
        assert_eq!(last.next(), Serial(0));
        assert!(Serial(0).gt(last));
        assert!(Serial(5).le(Serial(5)) && !Serial(5).lt(Serial(5)) && !Serial(5).gt(Serial(5)));
    }

    ///
    #[test]
    fn numbers_half_the_range_apart_have_no_order() {
        let (a, b) = (Serial(7), Serial(7).add(HALF));
        assert!(!a.lt(b) && !a.gt(b) && !a.le(b) && !b.le(a));
    }

    proptest! {
        #[test]
        fn a_number_moved_forward_is_greater(start: u32, step in 1..HALF) {
            let later = Serial(start).add(step);
            prop_assert!(Serial(start).lt(later) && later.gt(Serial(start)));
            prop_assert!(Serial(start).le(later) && !later.le(Serial(start)));
            prop_assert_eq!(later.distance_from(Serial(start)), step);
            prop_assert_eq!(later.sub(step), Serial(start));
        }
    }
}
