//! Mode pages.
//!
//! ```text
//! page     byte 0   PS 0 code(6)   1 length                        2 .. the page
//! subpage  byte 0   PS 1 code(6)   1 subpage    2 .. 3 length      4 .. the page
//! ```

use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u16};
use nom::{IResult, Parser};

use crate::scsi::DataError;

const SPF: u8 = 0x40;

/// One page of mode data. Whether it can be saved (PS) is not kept.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct ModePage {
    /// Page code, 0 to 63.
    pub code: u8,
    /// Subpage code, 0 for the page itself.
    pub subpage: u8,
    /// What follows the header: at most 255 bytes, or 65535 in a subpage.
    pub bytes: Vec<u8>,
}

impl ModePage {
    pub(super) fn read(input: &[u8]) -> IResult<&[u8], Self> {
        let (input, code) = be_u8(input)?;
        let (input, (subpage, bytes)) = if code & SPF == 0 {
            let (input, len) = be_u8(input)?;
            take(len).map(|bytes| (0, bytes)).parse(input)?
        } else {
            let (input, (subpage, len)) = (be_u8, be_u16).parse(input)?;
            take(len).map(|bytes| (subpage, bytes)).parse(input)?
        };
        Ok((input, Self { code: code & 0x3f, subpage, bytes: bytes.to_vec() }))
    }

    pub(super) fn encode_to(&self, out: &mut Vec<u8>) -> Result<(), DataError> {
        let (code, len) = (self.code & 0x3f, self.bytes.len());
        let too_long = |limit| DataError::TooLong { what: "a mode page", len, limit };
        if self.subpage == 0 {
            let len = u8::try_from(len).map_err(|_| too_long(u8::MAX.into()))?;
            out.extend_from_slice(&[code, len]);
        } else {
            let len = u16::try_from(len).map_err(|_| too_long(u16::MAX.into()))?;
            let [high, low] = len.to_be_bytes();
            out.extend_from_slice(&[code | SPF, self.subpage, high, low]);
        }
        out.extend_from_slice(&self.bytes);
        Ok(())
    }
}

/// A page whose bits have names, and whose other bytes are kept, so that it can be sent back changed in one bit.
///
/// Offsets count from byte 2 of the page, the first behind its header.
macro_rules! page {
    ($(#[$doc:meta])* $name:ident $code:literal $len:literal
     $($at:literal $mask:literal $get:ident $set:ident $bit_doc:literal;)+) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, Debug)]
        pub struct $name(Vec<u8>);

        impl $name {
            /// Page code.
            pub const CODE: u8 = $code;

            /// This page, if `page` is it.
            pub fn from_page(page: &ModePage) -> Option<Self> {
                (page.code == Self::CODE && page.subpage == 0).then(|| Self(page.bytes.clone()))
            }

            /// The page for a parameter list or for mode data, as long as it came.
            pub fn to_page(&self) -> ModePage {
                ModePage { code: Self::CODE, subpage: 0, bytes: self.0.clone() }
            }

            $(
                #[doc = $bit_doc]
                pub fn $get(&self) -> bool {
                    self.0.get($at).is_some_and(|byte| byte & $mask != 0)
                }

                #[doc = concat!("Sets the same; without effect in a page that is too short. ", $bit_doc)]
                pub fn $set(&mut self, on: bool) {
                    if let Some(byte) = self.0.get_mut($at) {
                        *byte = if on { *byte | $mask } else { *byte & !$mask };
                    }
                }
            )+
        }

        impl Default for $name {
            fn default() -> Self {
                Self(vec![0; $len])
            }
        }
    };
}

page! {
    /// Caching page (SBC-4). The default is a page with every bit zero.
    Caching 0x08 18
    0 0x04 write_cache set_write_cache "WCE bit: writes may stay in a volatile cache.";
    0 0x01 read_cache_off set_read_cache_off "RCD bit: reads do not come from the cache.";
    10 0x20 read_ahead_off set_read_ahead_off "DRA bit: nothing is read ahead.";
    10 0x01 non_volatile_off set_non_volatile_off "NV_DIS bit: a non-volatile cache is off.";
}

page! {
    /// Control page (SPC-5). The default is a page with every bit zero.
    Control 0x0a 10
    0 0x04 descriptor_sense set_descriptor_sense "D_SENSE bit: sense data comes in the descriptor format.";
    2 0x08 software_protect set_software_protect "SWP bit: the unit is write protected by software.";
    3 0x40 task_aborted_status set_task_aborted_status "TAS bit: tasks aborted by others end with TASK ABORTED.";
}

impl Control {
    /// TST, 0 to 7: 0 one task set for all initiators, 1 one for each.
    pub fn task_set(&self) -> u8 {
        self.0.first().map_or(0, |byte| byte >> 5)
    }

    /// QUEUE ALGORITHM MODIFIER, 0 to 15: 1 lets simple commands be reordered without limit.
    pub fn queue_algorithm(&self) -> u8 {
        self.0.get(1).map_or(0, |byte| byte >> 4)
    }

    /// QERR, 0 to 3: what happens to other tasks if one fails; 0 nothing.
    pub fn queue_error(&self) -> u8 {
        self.0.get(1).map_or(0, |byte| byte >> 1 & 3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caching(first: u8, eleventh: u8) -> ModePage {
        let mut bytes = vec![0; 18];
        (bytes[0], bytes[10]) = (first, eleventh);
        ModePage { code: 0x08, subpage: 0, bytes }
    }

    #[test]
    fn caching_bits_are_where_the_standard_has_them() {
        let mut page = Caching::from_page(&caching(0x04, 0)).unwrap();
        assert_eq!((page.write_cache(), page.read_cache_off(), page.read_ahead_off()), (true, false, false));
        page.set_write_cache(false);
        page.set_read_cache_off(true);
        page.set_read_ahead_off(true);
        page.set_non_volatile_off(true);
        assert_eq!(page.to_page(), caching(0x01, 0x21));
        assert!(page.non_volatile_off());
    }

    #[test]
    fn a_page_keeps_what_it_does_not_understand() {
        let old = ModePage { code: 0x08, subpage: 0, bytes: vec![0xfb, 1, 2] };
        let mut page = Caching::from_page(&old).unwrap();
        page.set_write_cache(true);
        page.set_read_ahead_off(true);
        assert_eq!(page.to_page(), ModePage { bytes: vec![0xff, 1, 2], ..old });
    }

    #[test]
    fn control_fields_are_where_the_standard_has_them() {
        let bytes = vec![0x24, 0x16, 0x08, 0x40, 0, 0, 0, 0, 0, 0];
        let page = ModePage { code: 0x0a, subpage: 0, bytes };
        let mut control = Control::from_page(&page).unwrap();
        assert!(control.descriptor_sense() && control.software_protect() && control.task_aborted_status());
        assert_eq!((control.task_set(), control.queue_algorithm(), control.queue_error()), (1, 1, 3));
        control.set_software_protect(false);
        assert!(!control.software_protect());
        assert_eq!(Control::from_page(&ModePage { subpage: 1, ..page.clone() }), None);
        assert_eq!(Caching::from_page(&page), None);
        assert_eq!(Control::default().to_page().bytes, [0; 10]);
    }

    #[test]
    fn a_page_too_long_for_its_length_is_refused_and_not_cut() {
        for (subpage, limit, head) in [(0, 255, &[1, 255][..]), (1, 65_535, &[0x41, 1, 255, 255])] {
            let mut page = ModePage { code: 1, subpage, bytes: vec![9; limit] };
            let mut out = Vec::new();
            assert_eq!(page.encode_to(&mut out), Ok(()));
            assert_eq!((&out[..head.len()], out.len()), (head, head.len() + limit));
            page.bytes.push(9);
            let mut out = Vec::new();
            let refused = Err(DataError::TooLong { what: "a mode page", len: limit + 1, limit });
            assert_eq!((page.encode_to(&mut out), out.len()), (refused, 0));
        }
    }
}
