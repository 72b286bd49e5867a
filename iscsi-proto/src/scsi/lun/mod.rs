//! Logical unit numbers (SAM-5, section 4.7).
//!
//! ```text
//! byte 0   method(2) …   00 peripheral: byte 0 bus (0 here), byte 1 number, up to 255
//!                        01 flat: 14 bits in bytes 0 and 1, up to 16383
//!                        11 extended: byte 0 0xd2, 24 bits in bytes 1 to 3 (extended flat)
//! ```
//!
//! These are the forms that have a number. [`Lun::address`] tells all of them apart.

mod address;

pub use address::Address;

use std::fmt;
use std::str::FromStr;

/// A logical unit number in its 8-byte form, which is what goes on the wire.
///
/// Two forms of one number are different values: a target may treat them as different units, so
/// use the bytes that REPORT LUNS gave.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Lun([u8; 8]);

/// A text that is not a logical unit number.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a LUN: give a number up to 16777215, or 16 hexadecimal digits after 0x")]
pub struct LunError(String);

impl Lun {
    /// LUN 0, which every target has.
    pub const ZERO: Self = Self([0; 8]);

    /// The greatest number that fits a single-level LUN.
    pub const MAX_NUMBER: u32 = (1 << 24) - 1;

    /// The shortest form of `number`: peripheral up to 255, flat up to 16383, extended flat above.
    /// `None` above [`Lun::MAX_NUMBER`].
    pub const fn from_number(number: u32) -> Option<Self> {
        let [zero, high, middle, low] = number.to_be_bytes();
        Some(Self(match number {
            0..=0xff => [0, low, 0, 0, 0, 0, 0, 0],
            0x100..=0x3fff => [0x40 | middle, low, 0, 0, 0, 0, 0, 0],
            _ if zero == 0 => [0xd2, high, middle, low, 0, 0, 0, 0],
            _ => return None,
        }))
    }

    /// The number, if this is a single-level LUN in one of the three forms.
    pub const fn number(self) -> Option<u32> {
        let [a, b, c, d, rest @ ..] = self.0;
        if u32::from_be_bytes(rest) != 0 {
            return None;
        }
        match (a >> 6, c, d) {
            (0, 0, 0) if a == 0 => Some(b as u32),
            (1, 0, 0) => Some(((a & 0x3f) as u32) << 8 | b as u32),
            _ if a == 0xd2 => Some(u32::from_be_bytes([0, b, c, d])),
            _ => None,
        }
    }

    /// The LUN with these bytes.
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// The bytes of this LUN.
    pub const fn to_bytes(self) -> [u8; 8] {
        self.0
    }
}

impl From<u8> for Lun {
    fn from(number: u8) -> Self {
        Self([0, number, 0, 0, 0, 0, 0, 0])
    }
}

impl FromStr for Lun {
    type Err = LunError;

    /// A decimal number, or the 16 hexadecimal digits of the 8-byte form after `0x`.
    fn from_str(text: &str) -> Result<Self, LunError> {
        let lun = match text.strip_prefix("0x") {
            Some(digits) if digits.len() == 16 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                u64::from_str_radix(digits, 16).ok().map(|value| Self(value.to_be_bytes()))
            }
            None if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok().and_then(Self::from_number),
            _ => None,
        };
        lun.ok_or_else(|| LunError(text.chars().take(40).collect()))
    }
}

impl fmt::Display for Lun {
    /// The number, or the bytes in hexadecimal where there is none.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.number() {
            Some(number) if Self::from_number(number) == Some(*self) => fmt::Display::fmt(&number, f),
            _ => write!(f, "{:#018x}", u64::from_be_bytes(self.0)),
        }
    }
}

impl fmt::Debug for Lun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lun({self})")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn r016_numbers_take_their_shortest_form() {
        for (number, bytes) in [
            (0, [0; 8]),
            (1, [0, 1, 0, 0, 0, 0, 0, 0]),
            (255, [0, 255, 0, 0, 0, 0, 0, 0]),
            (256, [0x41, 0, 0, 0, 0, 0, 0, 0]),
            (300, [0x41, 0x2c, 0, 0, 0, 0, 0, 0]),
            (16383, [0x7f, 0xff, 0, 0, 0, 0, 0, 0]),
            (16384, [0xd2, 0, 0x40, 0, 0, 0, 0, 0]),
            (0xff_ffff, [0xd2, 0xff, 0xff, 0xff, 0, 0, 0, 0]),
        ] {
            assert_eq!(Lun::from_number(number), Some(Lun(bytes)), "{number}");
        }
        assert_eq!(Lun::from_number(0x100_0000), None);
    }

    #[test]
    fn other_forms_are_shown_as_bytes() {
        assert_eq!(Lun([0x40, 5, 0, 0, 0, 0, 0, 0]).number(), Some(5));
        for (bytes, text) in [
            ([0x40, 5, 0, 0, 0, 0, 0, 0], "0x4005000000000000"),
            ([0xc1, 1, 0, 0, 0, 0, 0, 0], "0xc101000000000000"),
            ([1, 2, 0, 3, 0, 0, 0, 0], "0x0102000300000000"),
        ] {
            assert_eq!(Lun(bytes).to_string(), text);
            assert_eq!(text.parse(), Ok(Lun(bytes)));
        }
        for bad in ["", "-1", "+1", "16777216", "0x5", "0x40050000000000000", "0x+005000000000000", "a"] {
            assert!(bad.parse::<Lun>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn every_lun_round_trips_through_its_text(bytes: [u8; 8], number in 0..=Lun::MAX_NUMBER) {
            for lun in [Lun(bytes), Lun::from_number(number).unwrap()] {
                prop_assert_eq!(lun.to_string().parse(), Ok(lun));
            }
            prop_assert_eq!(Lun::from_number(number).unwrap().number(), Some(number));
        }
    }
}
