//! LOG SENSE (SPC-5): what a unit counts and measures.
//!
//! ```text
//! CDB        byte 1   . . . . . . . SP    2 PC(2) page(6)   3 subpage   5 .. 6 parameter   7 .. 8 allocation length
//! page       0 DS SPF page(6)   1 subpage   2 .. 3 length   4 .. parameters
//! parameter  0 .. 1 code   2 DU . TSD ETC TMC(2) format(2)   3 length   4 .. value
//! page 00    4 .. for each page: its code; with subpage FFh: code and subpage
//! ```

use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u16};
use nom::{IResult, Parser};

use super::wire::{bit, list, read, skip, upto};
use super::{Cdb, CdbError, DataError, PageControl};

const WHAT: &str = "a log page";
const SP: u8 = 0x01;
const DISABLED: u8 = 0x80;
const WITH_SUBPAGE: u8 = 0x40;
const ALL_SUBPAGES: u8 = 0xff;

/// LOG SENSE.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct LogSense {
    /// Which page, 0 to 63; see the constants of [`LogPage`].
    pub page: u8,
    /// Which subpage; 0 for the page itself.
    pub subpage: u8,
    /// Which values; counters are in [`PageControl::Changeable`] cumulative ones, in [`PageControl::Current`] thresholds.
    pub control: PageControl,
    /// SP bit: the device saves what can be saved.
    pub save: bool,
    /// The first parameter that is wanted.
    pub parameter: u16,
    /// Bytes there is room for.
    pub allocation: u16,
}

impl LogSense {
    /// The cumulative values of a page.
    pub const fn new(page: u8, subpage: u8, allocation: u16) -> Self {
        Self { page, subpage, control: PageControl::Changeable, save: false, parameter: 0, allocation }
    }

    pub(super) fn parse(cdb: &Cdb) -> Result<Self, CdbError> {
        let (flags, page, subpage, (), parameter, allocation) =
            cdb.fields(|input| (be_u8, be_u8, be_u8, skip::<1>, be_u16, be_u16).parse(input))?;
        let control = PageControl::from_code(page >> 6);
        Ok(Self { page: page & 0x3f, subpage, control, save: flags & SP != 0, parameter, allocation })
    }

    /// The CDB of this command.
    pub const fn encode(&self) -> Cdb {
        let page = (self.control as u8) << 6 | (self.page & 0x3f);
        let cdb = Cdb::new(0x4d).byte(1, bit(self.save, SP)).byte(2, page).byte(3, self.subpage);
        cdb.half(5, self.parameter).half(7, self.allocation)
    }
}

/// One value of a log page.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct LogParameter {
    /// What it is, within its page.
    pub code: u16,
    /// The control byte: how it is kept and compared; its low two bits tell a number (00), text (01) or bytes (11).
    pub control: u8,
    /// The value, at most 255 bytes.
    pub value: Vec<u8>,
}

impl LogParameter {
    /// The value as a number, if it has 1 to 8 bytes.
    pub fn number(&self) -> Option<u64> {
        let fits = matches!(self.value.len(), 1..=8);
        fits.then(|| self.value.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn encode_to(&self, out: &mut Vec<u8>) {
        let value = upto(&self.value, u8::MAX.into());
        out.extend_from_slice(&self.code.to_be_bytes());
        out.extend_from_slice(&[self.control, value.len() as u8]);
        out.extend_from_slice(value);
    }
}

/// A log page with its parameters. What they mean hangs on the page.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct LogPage {
    /// Page code, 0 to 63.
    pub page: u8,
    /// Subpage, if the page has that format (SPF).
    pub subpage: Option<u8>,
    /// DS bit: the page is not saved.
    pub unsaved: bool,
    /// Those that the data had room for.
    pub parameters: Vec<LogParameter>,
}

impl LogPage {
    /// Page 0Dh: temperatures.
    pub const TEMPERATURE: u8 = 0x0d;
    /// Page 2Fh: what the device foresees of its failure.
    pub const INFORMATIONAL_EXCEPTIONS: u8 = 0x2f;

    /// How many bytes the whole page has as its header says, which may be more than `bytes` has; `None` if the header
    /// itself is cut.
    pub fn byte_len(bytes: &[u8]) -> Option<usize> {
        let len = bytes.get(2..)?.first_chunk::<2>()?;
        Some(usize::from(u16::from_be_bytes(*len)) + 4)
    }

    /// Parses any page but the lists of pages (00h). A parameter that is cut short ends the list.
    pub fn parse(bytes: &[u8]) -> Result<Self, DataError> {
        let (head, subpage, body) = header(bytes)?;
        let (_, parameters) = list(body, parameter);
        let subpage = (head & WITH_SUBPAGE != 0).then_some(subpage);
        Ok(Self { page: head & 0x3f, subpage, unsaved: head & DISABLED != 0, parameters })
    }

    /// The first parameter with this code.
    pub fn find(&self, code: u16) -> Option<&LogParameter> {
        self.parameters.iter().find(|parameter| parameter.code == code)
    }

    /// Degrees Celsius, if this is a page that has them and the device knows.
    pub fn temperature(&self) -> Option<u8> {
        let at = match self.page {
            Self::TEMPERATURE => 1,
            Self::INFORMATIONAL_EXCEPTIONS => 2,
            _ => return None,
        };
        self.find(0)?.value.get(at).copied().filter(|degrees| *degrees != 0xff)
    }

    /// The page, with as many of the parameters as its length can tell. The caller cuts it to the allocation length.
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        for parameter in &self.parameters {
            let before = body.len();
            parameter.encode_to(&mut body);
            if body.len() > u16::MAX.into() {
                body.truncate(before);
                break;
            }
        }
        let head = bit(self.unsaved, DISABLED) | bit(self.subpage.is_some(), WITH_SUBPAGE) | (self.page & 0x3f);
        page(head, self.subpage.unwrap_or(0), &body)
    }
}

/// The log pages that there are: page 00h, alone or with subpage FFh.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct LogPages(pub Vec<(u8, u8)>);

impl LogPages {
    /// Whether there is a page with this subpage.
    pub fn contains(&self, page: u8, subpage: u8) -> bool {
        self.0.contains(&(page, subpage))
    }

    /// Parses either list; that without subpages gives them as 0.
    pub fn parse(bytes: &[u8]) -> Result<Self, DataError> {
        let (head, _, body) = header(bytes)?;
        match head & 0x3f {
            0 if head & WITH_SUBPAGE == 0 => Ok(Self(body.iter().map(|page| (page & 0x3f, 0)).collect())),
            0 => Ok(Self(list(body, |input| (be_u8.map(|page| page & 0x3f), be_u8).parse(input)).1)),
            other => Err(DataError::Invalid { what: WHAT, field: "PAGE CODE", value: other.into() }),
        }
    }

    /// The list with subpages if asked for, else that of the pages without one.
    pub fn encode(&self, subpages: bool) -> Vec<u8> {
        if subpages {
            let body: Vec<u8> = self.0.iter().flat_map(|(page, subpage)| [page & 0x3f, *subpage]).collect();
            return page(WITH_SUBPAGE, ALL_SUBPAGES, upto(&body, 0xfffe));
        }
        let plain = self.0.iter().filter(|(_, subpage)| *subpage == 0);
        page(0, 0, upto(&plain.map(|(page, _)| page & 0x3f).collect::<Vec<u8>>(), u16::MAX.into()))
    }
}

fn header(bytes: &[u8]) -> Result<(u8, u8, &[u8]), DataError> {
    let (rest, (head, subpage, len)) = read(WHAT, bytes, |input| (be_u8, be_u8, be_u16).parse(input))?;
    Ok((head, subpage, upto(rest, len.into())))
}

fn page(head: u8, subpage: u8, body: &[u8]) -> Vec<u8> {
    let [high, low] = (body.len() as u16).to_be_bytes();
    let mut out = vec![head, subpage, high, low];
    out.extend_from_slice(body);
    out
}

fn parameter(input: &[u8]) -> IResult<&[u8], LogParameter> {
    let (input, (code, control, len)) = (be_u16, be_u8, be_u8).parse(input)?;
    let (input, value) = take(len)(input)?;
    Ok((input, LogParameter { code, control, value: value.to_vec() }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::scsi::Command;

    #[test]
    fn the_command_has_its_bytes() {
        let command = LogSense { save: true, parameter: 0x0304, ..LogSense::new(0x0d, 1, 0x0102) };
        assert_eq!(command.encode().to_string(), "4d 01 4d 01 00 03 04 01 02 00");
        for control in [PageControl::Current, PageControl::Changeable, PageControl::Default, PageControl::Saved] {
            let command = Command::LogSense(LogSense { control, ..command });
            assert_eq!(Command::parse(command.encode().as_bytes()), Ok(command));
        }
    }

    #[test]
    fn a_page_parses_and_builds() {
        let page = LogPage {
            page: LogPage::TEMPERATURE,
            parameters: vec![
                LogParameter { code: 0, control: 3, value: vec![0, 35] },
                LogParameter { code: 1, control: 3, value: vec![0, 60] },
            ],
            ..LogPage::default()
        };
        let bytes = [0x0d, 0, 0, 12, 0, 0, 3, 2, 0, 35, 0, 1, 3, 2, 0, 60];
        assert_eq!(page.encode(), bytes);
        assert_eq!(LogPage::parse(&bytes), Ok(page.clone()));
        assert_eq!((page.temperature(), page.find(1).unwrap().number()), (Some(35), Some(60)));
        assert_eq!(LogPage::byte_len(&bytes[..4]), Some(16));
        assert_eq!(LogPage::byte_len(&bytes[..3]), None);
        for len in 10..bytes.len() {
            assert_eq!(LogPage::parse(&bytes[..len]).unwrap().parameters, page.parameters[..1], "{len}");
        }
        let mut unknown = bytes;
        unknown[9] = 0xff;
        assert_eq!(LogPage::parse(&unknown).unwrap().temperature(), None);
        assert_eq!(LogPage { page: 2, ..page }.temperature(), None);
        assert_eq!(LogPage::parse(&bytes[..3]), Err(DataError::Truncated { what: WHAT }));
    }

    #[test]
    fn foreseen_failures_come_with_a_temperature() {
        let bytes = [0x2f, 0, 0, 8, 0, 0, 3, 4, 0x5d, 0, 41, 0];
        assert_eq!(LogPage::parse(&bytes).unwrap().temperature(), Some(41));
    }

    #[test]
    fn numbers_have_one_to_eight_bytes() {
        for (value, number) in [(vec![], None), (vec![1, 2], Some(0x0102)), (vec![1; 9], None)] {
            assert_eq!(LogParameter { value, ..LogParameter::default() }.number(), number);
        }
    }

    #[test]
    fn both_lists_of_pages_parse_and_build() {
        let pages = LogPages(vec![(0, 0), (0x0d, 0), (0x18, 1)]);
        assert_eq!(pages.encode(false), [0, 0, 0, 2, 0, 0x0d]);
        assert_eq!(LogPages::parse(&pages.encode(false)), Ok(LogPages(vec![(0, 0), (0x0d, 0)])));
        let bytes = [0x40, 0xff, 0, 6, 0, 0, 0x0d, 0, 0x18, 1];
        assert_eq!(pages.encode(true), bytes);
        assert_eq!(LogPages::parse(&bytes), Ok(pages.clone()));
        assert_eq!(LogPages::parse(&bytes[..9]).unwrap().0, pages.0[..2]);
        assert!(pages.contains(0x18, 1) && !pages.contains(0x18, 0));
        assert!(matches!(LogPages::parse(&[0x0d, 0, 0, 0]), Err(DataError::Invalid { value: 0x0d, .. })));
    }

    #[test]
    fn a_page_holds_no_more_than_its_length_can_tell() {
        let long = LogParameter { value: vec![0; 300], ..LogParameter::default() };
        let page = LogPage { parameters: vec![long; 300], ..LogPage::default() };
        let bytes = page.encode();
        assert_eq!((bytes.len(), LogPage::byte_len(&bytes)), (253 * 259 + 4, Some(253 * 259 + 4)));
        assert_eq!(LogPage::parse(&bytes).unwrap().parameters.len(), 253);
    }

    proptest! {
        #[test]
        fn r301_what_parses_round_trips(bytes in prop::collection::vec(any::<u8>(), 0..120)) {
            if let Ok(page) = LogPage::parse(&bytes) {
                prop_assert!(page.parameters.len() * 4 <= bytes.len());
                prop_assert_eq!(LogPage::parse(&page.encode()), Ok(page));
            }
            if let Ok(pages) = LogPages::parse(&bytes) {
                prop_assert!(pages.0.len() <= bytes.len());
                prop_assert_eq!(LogPages::parse(&pages.encode(true)), Ok(pages));
            }
        }
    }
}
