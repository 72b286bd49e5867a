//! ```text
//! byte 4 .. 5 rotation rate   6 product type   7 WABEREQ(2) WACEREQ(2) form factor(4)
//!      8   . . ZONED(2) . . FUAB VBULS
//! ```

use std::fmt;

use nom::Parser;
use nom::number::complete::{be_u8, be_u16};

use super::{body, page};
use crate::scsi::wire::{bit, padded, read};
use crate::scsi::{DataError, Peripheral};

const WHAT: &str = "the block device characteristics page";
const LEN: usize = 60;
const FUAB: u8 = 0x02;
const VBULS: u8 = 0x01;

/// Page B1h: what the medium is like.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct MediumInfo {
    /// How fast it turns.
    pub rotation: Rotation,
    /// PRODUCT TYPE: 0 if not told, else the kind of memory card.
    pub product: u8,
    /// WABEREQ, 0 to 3: what reading an unwritten block does.
    pub unwritten_errors: u8,
    /// WACEREQ, 0 to 3: what reading a block after a sanitize operation does.
    pub sanitized_errors: u8,
    /// NOMINAL FORM FACTOR, 0 to 15.
    pub form_factor: u8,
    /// ZONED, 0 to 3: 1 host aware, 2 device managed.
    pub zoned: u8,
    /// FUAB bit: SYNCHRONIZE CACHE is honoured even with a non-volatile cache.
    pub fuab: bool,
    /// VBULS bit: VERIFY with BYTCHK 1 works on unmapped blocks.
    pub vbuls: bool,
}

/// How fast a medium turns.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Rotation {
    /// Not told.
    #[default]
    Unknown,
    /// It does not turn.
    SolidState,
    /// Turns per minute, 1025 to 65534.
    Rpm(u16),
    /// A reserved code.
    Reserved(u16),
}

impl MediumInfo {
    /// Page code.
    pub const CODE: u8 = 0xb1;

    /// What the form factor code means, in inches.
    pub const fn form_factor_name(&self) -> Option<&'static str> {
        Some(match self.form_factor {
            1 => "5.25",
            2 => "3.5",
            3 => "2.5",
            4 => "1.8",
            5 => "less than 1.8",
            _ => return None,
        })
    }

    /// Parses the page. Fields behind its end are zero.
    pub fn parse(bytes: &[u8]) -> Result<Self, DataError> {
        let bytes = padded::<5>(body(WHAT, Self::CODE, bytes)?);
        let (_, (rotation, product, shape, flags)) =
            read(WHAT, &bytes, |input| (be_u16, be_u8, be_u8, be_u8).parse(input))?;
        Ok(Self {
            rotation: Rotation::from_code(rotation),
            product,
            unwritten_errors: shape >> 6,
            sanitized_errors: shape >> 4 & 3,
            form_factor: shape & 0x0f,
            zoned: flags >> 4 & 3,
            fuab: flags & FUAB != 0,
            vbuls: flags & VBULS != 0,
        })
    }

    /// The page.
    pub fn encode(&self, peripheral: Peripheral) -> Vec<u8> {
        let [high, low] = self.rotation.code().to_be_bytes();
        let shape = self.unwritten_errors << 6 | (self.sanitized_errors & 3) << 4 | (self.form_factor & 0x0f);
        let flags = (self.zoned & 3) << 4 | bit(self.fuab, FUAB) | bit(self.vbuls, VBULS);
        page(peripheral, Self::CODE, &padded::<LEN>(&[high, low, self.product, shape, flags]))
    }
}

impl Rotation {
    const fn from_code(code: u16) -> Self {
        match code {
            0 => Self::Unknown,
            1 => Self::SolidState,
            0x401..=0xfffe => Self::Rpm(code),
            _ => Self::Reserved(code),
        }
    }

    const fn code(self) -> u16 {
        match self {
            Self::Unknown => 0,
            Self::SolidState => 1,
            Self::Rpm(code) | Self::Reserved(code) => code,
        }
    }
}

impl fmt::Display for Rotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.pad("unknown"),
            Self::SolidState => f.pad("solid state"),
            Self::Rpm(rpm) => write!(f, "{rpm} rpm"),
            Self::Reserved(code) => write!(f, "rotation code {code:#06x}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_page_parses_and_builds() {
        let info = MediumInfo {
            rotation: Rotation::Rpm(7200),
            product: 1,
            unwritten_errors: 2,
            sanitized_errors: 1,
            form_factor: 2,
            zoned: 1,
            fuab: true,
            vbuls: false,
        };
        let mut bytes = vec![0, 0xb1, 0, 60, 0x1c, 0x20, 1, 0x92, 0x12];
        bytes.resize(64, 0);
        assert_eq!(info.encode(Peripheral::DISK), bytes);
        assert_eq!(MediumInfo::parse(&bytes), Ok(info));
        assert_eq!(info.form_factor_name(), Some("3.5"));
        assert_eq!(MediumInfo::parse(&bytes[..6]).unwrap().rotation, info.rotation);
        assert_eq!(MediumInfo::parse(&bytes[..6]).unwrap().form_factor, 0);
    }

    #[test]
    fn every_rotation_code_round_trips() {
        for (code, rotation, text) in [
            (0, Rotation::Unknown, "unknown"),
            (1, Rotation::SolidState, "solid state"),
            (2, Rotation::Reserved(2), "rotation code 0x0002"),
            (0x400, Rotation::Reserved(0x400), "rotation code 0x0400"),
            (0x401, Rotation::Rpm(0x401), "1025 rpm"),
            (0xfffe, Rotation::Rpm(0xfffe), "65534 rpm"),
            (0xffff, Rotation::Reserved(0xffff), "rotation code 0xffff"),
        ] {
            assert_eq!((Rotation::from_code(code), rotation.code()), (rotation, code));
            assert_eq!(rotation.to_string(), text);
        }
    }

    proptest! {
        #[test]
        fn r301_what_parses_round_trips(mut bytes in prop::collection::vec(any::<u8>(), 4..80)) {
            let _ = MediumInfo::parse(&bytes);
            bytes[1] = 0xb1;
            let info = MediumInfo::parse(&bytes).unwrap();
            prop_assert_eq!(MediumInfo::parse(&info.encode(Peripheral::DISK)), Ok(info));
        }
    }
}
