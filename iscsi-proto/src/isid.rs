//! The initiator part of a session identifier (RFC 7143, section 11.12.5).
//!
//! ```text
//!        0               1               2               3
//!   8  | T |     A     |              B                |      C        |
//!  12  |               D               |
//! ```

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// The six bytes that tell the sessions of one initiator to one portal group apart.
///
/// ```
/// use iscsi_proto::isid::Isid;
///
/// let isid = Isid::random([0x12, 0x34, 0x56], 1);
/// assert_eq!(isid.to_string(), "0x801234560001");
/// assert_eq!("0x801234560001".parse(), Ok(isid));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Isid(pub [u8; 6]);

/// What the T field says about who chose an [`Isid`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IsidFormat {
    /// An IEEE OUI and a 24-bit qualifier.
    Oui,
    /// An IANA enterprise number and a 16-bit qualifier.
    Enterprise,
    /// A random number and a 16-bit qualifier.
    Random,
    /// T = 11b, which the RFC reserves.
    Reserved,
}

/// Why a text is not an ISID.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is not an ISID: it takes 12 hexadecimal digits, with or without 0x before them")]
pub struct IsidError(String);

impl Isid {
    /// An ISID under an IEEE OUI (company identifier, as in the first three bytes of a MAC address).
    /// The I/G and U/L bits are dropped, as the RFC asks. `None` if the qualifier takes more than 24 bits.
    pub const fn from_oui(oui: [u8; 3], qualifier: u32) -> Option<Self> {
        let [high, c, d0, d1] = qualifier.to_be_bytes();
        if high != 0 {
            return None;
        }
        let [a, b0, b1] = oui;
        Some(Self([a >> 2, b0, b1, c, d0, d1]))
    }

    /// An ISID under an IANA enterprise number. `None` if the number takes more than 24 bits.
    pub const fn from_enterprise(number: u32, qualifier: u16) -> Option<Self> {
        let [high, b0, b1, c] = number.to_be_bytes();
        if high != 0 {
            return None;
        }
        let [d0, d1] = qualifier.to_be_bytes();
        Some(Self([0x40, b0, b1, c, d0, d1]))
    }

    /// An ISID from 24 random bits, which the caller draws once and keeps (section 10.1.1 wants an ISID reused).
    pub const fn random(bits: [u8; 3], qualifier: u16) -> Self {
        let [b0, b1, c] = bits;
        let [d0, d1] = qualifier.to_be_bytes();
        Self([0x80, b0, b1, c, d0, d1])
    }

    /// The format that the T field names.
    pub const fn format(self) -> IsidFormat {
        match self.0[0] >> 6 {
            0 => IsidFormat::Oui,
            1 => IsidFormat::Enterprise,
            2 => IsidFormat::Random,
            _ => IsidFormat::Reserved,
        }
    }

    /// The D field: the last 16 bits, which every format leaves to the initiator.
    pub const fn qualifier(self) -> u16 {
        u16::from_be_bytes([self.0[4], self.0[5]])
    }

    /// The same ISID with another D field, for a second session to the same portal group.
    #[must_use]
    pub const fn with_qualifier(self, qualifier: u16) -> Self {
        let [t, b0, b1, c, ..] = self.0;
        let [d0, d1] = qualifier.to_be_bytes();
        Self([t, b0, b1, c, d0, d1])
    }
}

impl fmt::Display for Isid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("0x")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Isid {
    type Err = IsidError;

    fn from_str(text: &str) -> Result<Self, IsidError> {
        let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
        let wrong = || IsidError(text.chars().take(32).collect());
        if digits.len() != 12 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        let number = u64::from_str_radix(digits, 16).map_err(|_| wrong())?;
        let [_, _, bytes @ ..] = number.to_be_bytes();
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_format_sets_its_type_bits() {
        let oui = Isid::from_oui([0x00, 0x02, 0x3d], 0x01_0203).unwrap();
        assert_eq!(oui.0, [0x00, 0x02, 0x3d, 0x01, 0x02, 0x03]);
        assert_eq!(oui.format(), IsidFormat::Oui);
        let number = Isid::from_enterprise(0x00_abcd, 7).unwrap();
        assert_eq!(number.0, [0x40, 0x00, 0xab, 0xcd, 0x00, 0x07]);
        assert_eq!(number.format(), IsidFormat::Enterprise);
        let random = Isid::random([0xff; 3], 0xffff);
        assert_eq!(random.0, [0x80, 0xff, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(random.format(), IsidFormat::Random);
        assert_eq!(Isid([0xc0, 0, 0, 0, 0, 0]).format(), IsidFormat::Reserved);
    }

    #[test]
    fn an_oui_loses_its_two_flag_bits_and_never_touches_the_type() {
        let isid = Isid::from_oui([0xff, 0xff, 0xff], 0).unwrap();
        assert_eq!(isid.0, [0x3f, 0xff, 0xff, 0, 0, 0]);
    }

    #[test]
    fn a_field_that_does_not_fit_is_refused() {
        assert!(Isid::from_oui([0; 3], 0x00ff_ffff).is_some());
        assert_eq!(Isid::from_oui([0; 3], 0x0100_0000), None);
        assert!(Isid::from_enterprise(0x00ff_ffff, 0).is_some());
        assert_eq!(Isid::from_enterprise(0x0100_0000, 0), None);
    }

    #[test]
    fn only_the_qualifier_changes() {
        let isid = Isid::random([1, 2, 3], 4).with_qualifier(0x0506);
        assert_eq!(isid, Isid([0x80, 1, 2, 3, 5, 6]));
        assert_eq!(isid.qualifier(), 0x0506);
    }

    #[test]
    fn text_that_is_not_twelve_digits_is_refused() {
        for text in ["", "0x", "0x80123456000", "0x8012345600011", "0x80123456000g", "+80123456001"] {
            assert!(text.parse::<Isid>().is_err(), "{text}");
        }
        let error = "\u{1b}[2J".repeat(99).parse::<Isid>().unwrap_err().to_string();
        assert!(error.starts_with("\"\\u{1b}[2J") && error.len() < 400, "{error}");
        assert_eq!("00023D000001".parse(), Ok(Isid([0, 2, 0x3d, 0, 0, 1])));
    }

    proptest! {
        #[test]
        fn text_round_trips(bytes: [u8; 6]) {
            prop_assert_eq!(Isid(bytes).to_string().parse(), Ok(Isid(bytes)));
        }
    }
}
