//! Vital product data (SPC-5, SBC-4): the pages that INQUIRY with EVPD returns.
//!
//! ```text
//! byte 0   qualifier(3) type(5)    1 page code    2 .. 3 page length    4 .. the page
//! ```

mod copy;
mod extended;
mod identity;
mod limits;
mod medium;
mod pages;
mod provisioning;
mod serial;

pub use copy::{CopyFeature, ListLimits, ThirdPartyCopy, TokenLimits};
pub use extended::ExtendedInquiry;
pub use identity::{Association, Designation, Designator, DeviceId};
pub use limits::BlockLimits;
pub use medium::{MediumInfo, Rotation};
pub use pages::SupportedPages;
pub use provisioning::{Provisioning, ProvisioningType};
pub use serial::UnitSerial;

use nom::Parser;
use nom::number::complete::{be_u8, be_u16};

use super::wire::{read, upto};
use super::{DataError, Peripheral};

const HEADER_LEN: usize = 4;

/// How many bytes the whole page has as its header says, which may be more than `bytes` has.
///
/// `None` if the header itself is cut. A page with more bytes than were asked for is to be asked for again.
pub fn vpd_len(bytes: &[u8]) -> Option<usize> {
    let (_, len) = bytes.get(2..)?.split_first_chunk::<2>().map(|(len, rest)| (rest, *len))?;
    Some(usize::from(u16::from_be_bytes(len)) + HEADER_LEN)
}

/// The body of page `code`, as far as it is there. Another page is an error.
fn body<'a>(what: &'static str, code: u8, bytes: &'a [u8]) -> Result<&'a [u8], DataError> {
    let (rest, (_, found, len)) = read(what, bytes, |input| (be_u8, be_u8, be_u16).parse(input))?;
    if found == code {
        Ok(upto(rest, len.into()))
    } else {
        Err(DataError::Invalid { what, field: "PAGE CODE", value: found.into() })
    }
}

/// Page `code` with this body, of which at most 65535 bytes fit.
fn page(peripheral: Peripheral, code: u8, body: &[u8]) -> Vec<u8> {
    let body = upto(body, u16::MAX.into());
    let mut out = Vec::with_capacity(HEADER_LEN + body.len());
    out.extend_from_slice(&[peripheral.to_byte(), code]);
    out.extend_from_slice(&(body.len() as u16).to_be_bytes());
    out.extend_from_slice(body);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_says_how_long_the_page_is() {
        assert_eq!(vpd_len(&[0, 0x83, 1]), None);
        assert_eq!(vpd_len(&[0, 0x83, 1, 2]), Some(262));
        assert_eq!(vpd_len(&[0, 0x83, 0xff, 0xff, 9]), Some(65539));
    }

    #[test]
    fn a_page_has_its_code_and_at_most_the_bytes_that_its_length_can_tell() {
        let long = page(Peripheral::DISK, 0x83, &vec![7; 70_000]);
        assert_eq!((long.len(), &long[..5]), (65539, &[0, 0x83, 0xff, 0xff, 7][..]));
        assert_eq!(body("x", 0x83, &long).unwrap().len(), 65535);
        assert_eq!(body("x", 0x83, &[0, 0x83, 0, 2, 1]), Ok(&[1][..]));
        assert_eq!(body("x", 0x83, &[0, 0x83, 0, 1, 1, 2]), Ok(&[1][..]));
        assert_eq!(body("x", 0x83, &[0, 0x83, 0]), Err(DataError::Truncated { what: "x" }));
        let other = DataError::Invalid { what: "x", field: "PAGE CODE", value: 0x80 };
        assert_eq!(body("x", 0x83, &[0, 0x80, 0, 0]), Err(other));
    }
}
