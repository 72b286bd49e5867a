//! MODE SENSE and MODE SELECT (SPC-5, SBC-4): how a unit behaves.
//!
//! ```text
//! SENSE CDB   byte 1   . . . LLBAA DBD . . .    2 PC(2) page(6)    3 subpage    4 or 7 .. 8 allocation length
//! SELECT CDB  byte 1   . . . PF . . . SP        4 or 7 .. 8 parameter list length
//! header (6)  0 length   1 medium type   2 WP . . DPOFUA . . . .   3 block descriptor length
//!       (10)  0 .. 1 length   2 medium type   3 the same   4 LONGLBA   6 .. 7 block descriptor length
//! ```

mod page;

pub use page::{Caching, Control, ModePage};

use nom::Parser;
use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u16, be_u24, be_u32, be_u64};

use super::wire::{bit, list, read, skip, upto};
use super::{Cdb, CdbError, DataError};

const WHAT: &str = "mode data";
const LLBAA: u8 = 0x10;
const DBD: u8 = 0x08;
const PF: u8 = 0x10;
const SP: u8 = 0x01;
const WP: u8 = 0x80;
const DPOFUA: u8 = 0x10;
const LONGLBA: u8 = 0x01;

/// Which values of the pages are meant (PC).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[repr(u8)]
pub enum PageControl {
    /// Those in force.
    #[default]
    Current = 0,
    /// A mask of the bits that can be changed.
    Changeable = 1,
    /// Those that the device comes with.
    Default = 2,
    /// Those that survive a power cycle.
    Saved = 3,
}

impl PageControl {
    /// The values that the low two bits of `code` mean.
    pub(super) const fn from_code(code: u8) -> Self {
        match code & 3 {
            0 => Self::Current,
            1 => Self::Changeable,
            2 => Self::Default,
            _ => Self::Saved,
        }
    }
}

/// MODE SENSE(6) or (10).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct ModeSense {
    /// Which page, 0 to 63; see the constants.
    pub page: u8,
    /// Which subpage; 0 for the page itself, 255 for all.
    pub subpage: u8,
    /// Which values.
    pub control: PageControl,
    /// DBD bit: without block descriptors.
    pub no_descriptors: bool,
    /// LLBAA bit: long block descriptors are welcome. Only the 10-byte form has it.
    pub long_descriptors: bool,
    /// Bytes there is room for; above 255 only in the 10-byte form.
    pub allocation: u16,
    /// The 10-byte form, which is also taken where the 6-byte form does not hold the rest.
    pub ten: bool,
}

impl ModeSense {
    /// All pages.
    pub const ALL_PAGES: u8 = 0x3f;

    /// The current values of a page, without block descriptors, in the 6-byte form.
    pub const fn new(page: u8) -> Self {
        let control = PageControl::Current;
        Self { page, subpage: 0, control, no_descriptors: true, long_descriptors: false, allocation: 252, ten: false }
    }

    pub(super) fn parse(cdb: &Cdb) -> Result<Self, CdbError> {
        let (flags, page, subpage) = cdb.fields(|input| (be_u8, be_u8, be_u8).parse(input))?;
        let ten = cdb.opcode() == 0x5a;
        Ok(Self {
            page: page & 0x3f,
            subpage,
            control: PageControl::from_code(page >> 6),
            no_descriptors: flags & DBD != 0,
            long_descriptors: ten && flags & LLBAA != 0,
            allocation: length(cdb, ten)?,
            ten,
        })
    }

    /// The CDB of this command.
    pub const fn encode(&self) -> Cdb {
        let page = (self.control as u8) << 6 | (self.page & 0x3f);
        let flags = bit(self.no_descriptors, DBD) | bit(self.long_descriptors, LLBAA);
        let ten = self.ten || self.long_descriptors;
        with_length(ten, 0x1a, self.allocation).byte(1, flags).byte(2, page).byte(3, self.subpage)
    }
}

/// MODE SELECT(6) or (10).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct ModeSelect {
    /// PF bit: the pages have the form that the standard gives them.
    pub page_format: bool,
    /// SP bit: save the pages.
    pub save: bool,
    /// Bytes of the parameter list; above 255 only in the 10-byte form.
    pub length: u16,
    /// The 10-byte form, which is also taken where the 6-byte form does not hold the length.
    pub ten: bool,
}

impl ModeSelect {
    pub(super) fn parse(cdb: &Cdb) -> Result<Self, CdbError> {
        let flags = cdb.fields(be_u8)?;
        let ten = cdb.opcode() == 0x55;
        Ok(Self { page_format: flags & PF != 0, save: flags & SP != 0, length: length(cdb, ten)?, ten })
    }

    /// The CDB of this command.
    pub const fn encode(&self) -> Cdb {
        with_length(self.ten, 0x15, self.length).byte(1, bit(self.page_format, PF) | bit(self.save, SP))
    }
}

/// The length of either form.
fn length(cdb: &Cdb, ten: bool) -> Result<u16, CdbError> {
    if ten {
        cdb.fields(|input| (skip::<6>, be_u16).parse(input)).map(|((), length)| length)
    } else {
        cdb.fields(|input| (skip::<3>, be_u8).parse(input)).map(|((), length)| length.into())
    }
}

const fn with_length(ten: bool, six: u8, length: u16) -> Cdb {
    if ten || length > 0xff { Cdb::new(six | 0x40).half(7, length) } else { Cdb::new(six).byte(4, length as u8) }
}

/// How many blocks there are and how long they are, as mode data tells it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct BlockDescriptor {
    /// How many blocks.
    pub blocks: u64,
    /// Bytes of a block.
    pub block_len: u32,
}

/// Mode data: what MODE SENSE returns and MODE SELECT takes.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct ModeData {
    /// MEDIUM TYPE, 0 for a disk.
    pub medium_type: u8,
    /// WP bit: the medium is write protected.
    pub write_protected: bool,
    /// DPOFUA bit: READ and WRITE may have the DPO and FUA bits.
    pub dpofua: bool,
    /// The first block descriptor.
    pub descriptor: Option<BlockDescriptor>,
    /// The pages.
    pub pages: Vec<ModePage>,
}

struct Head {
    len: usize,
    medium_type: u8,
    flags: u8,
    long_lba: bool,
    descriptors: usize,
}

impl ModeData {
    /// Parses what MODE SENSE(6), or (10) if `ten`, returned. A page that is cut short ends the list.
    pub fn parse(bytes: &[u8], ten: bool) -> Result<Self, DataError> {
        let (_, head) = Head::read(bytes, ten)?;
        Self::read(upto(bytes, head.len), ten).map(|(data, _)| data)
    }

    /// Parses the parameter list of MODE SELECT(6), or (10) if `ten`.
    ///
    /// Stricter than [`ModeData::parse`]: what is cut short is an error, for the list comes from an initiator.
    pub fn parse_select(bytes: &[u8], ten: bool) -> Result<Self, DataError> {
        match Self::read(bytes, ten)? {
            (data, []) => Ok(data),
            _ => Err(DataError::Truncated { what: WHAT }),
        }
    }

    /// The data, and what follows the last whole page.
    fn read(bytes: &[u8], ten: bool) -> Result<(Self, &[u8]), DataError> {
        let (rest, head) = Head::read(bytes, ten)?;
        let (rest, descriptors) = read(WHAT, rest, take(head.descriptors))?;
        let (rest, pages) = list(rest, ModePage::read);
        let data = Self {
            medium_type: head.medium_type,
            write_protected: head.flags & WP != 0,
            dpofua: head.flags & DPOFUA != 0,
            descriptor: BlockDescriptor::read(descriptors, head.long_lba),
            pages,
        };
        Ok((data, rest))
    }

    /// A page, if it is there.
    pub fn page(&self, code: u8, subpage: u8) -> Option<&ModePage> {
        self.pages.iter().find(|page| page.code == code && page.subpage == subpage)
    }

    /// The caching page, if it is there.
    pub fn caching(&self) -> Option<Caching> {
        self.pages.iter().find_map(Caching::from_page)
    }

    /// The control page, if it is there.
    pub fn control(&self) -> Option<Control> {
        self.pages.iter().find_map(Control::from_page)
    }

    /// The data that MODE SENSE(6), or (10) if `ten`, returns.
    ///
    /// A page, or all of it together, that is longer than the length before it can tell is [`DataError::TooLong`]. Of a
    /// block descriptor that the 6-byte form cannot hold the greatest number of blocks is told, as the standard has it.
    pub fn encode(&self, ten: bool) -> Result<Vec<u8>, DataError> {
        let mut out = self.build(ten)?;
        let flags = bit(self.write_protected, WP) | bit(self.dpofua, DPOFUA);
        let len = out.len();
        let too_long = |limit| DataError::TooLong { what: WHAT, len, limit };
        match out.as_mut_slice() {
            [high, low, _, device, ..] if ten => {
                let len = u16::try_from(len.saturating_sub(2)).map_err(|_| too_long(0x1_0001))?;
                [*high, *low] = len.to_be_bytes();
                *device = flags;
            }
            [first, _, device, ..] => {
                *first = u8::try_from(len.saturating_sub(1)).map_err(|_| too_long(0x100))?;
                *device = flags;
            }
            _ => {}
        }
        Ok(out)
    }

    /// The parameter list of MODE SELECT(6), or (10) if `ten`, in which the length and the flags are reserved.
    ///
    /// A page longer than the length before it can tell, or a list longer than the CDB can, is [`DataError::TooLong`].
    pub fn encode_select(&self, ten: bool) -> Result<Vec<u8>, DataError> {
        let (out, limit) = (self.build(ten)?, if ten { u16::MAX.into() } else { u8::MAX.into() });
        let len = out.len();
        if len > limit { Err(DataError::TooLong { what: WHAT, len, limit }) } else { Ok(out) }
    }

    fn build(&self, ten: bool) -> Result<Vec<u8>, DataError> {
        let long = ten && self.descriptor.is_some_and(BlockDescriptor::is_long);
        let descriptor = self.descriptor.map(|descriptor| descriptor.encode(long)).unwrap_or_default();
        let len = descriptor.len() as u8;
        let mut out = if ten {
            vec![0, 0, self.medium_type, 0, bit(long, LONGLBA), 0, 0, len]
        } else {
            vec![0, self.medium_type, 0, len]
        };
        out.extend_from_slice(&descriptor);
        for page in &self.pages {
            page.encode_to(&mut out)?;
        }
        Ok(out)
    }
}

impl Head {
    fn read(bytes: &[u8], ten: bool) -> Result<(&[u8], Self), DataError> {
        if ten {
            let (rest, (len, medium_type, flags, long, (), descriptors)) =
                read(WHAT, bytes, |input| (be_u16, be_u8, be_u8, be_u8, skip::<1>, be_u16).parse(input))?;
            let long_lba = long & LONGLBA != 0;
            Ok((
                rest,
                Self { len: usize::from(len) + 2, medium_type, flags, long_lba, descriptors: descriptors.into() },
            ))
        } else {
            let (rest, (len, medium_type, flags, descriptors)) =
                read(WHAT, bytes, |input| (be_u8, be_u8, be_u8, be_u8).parse(input))?;
            let descriptors = descriptors.into();
            Ok((rest, Self { len: usize::from(len) + 1, medium_type, flags, long_lba: false, descriptors }))
        }
    }
}

impl BlockDescriptor {
    fn read(bytes: &[u8], long: bool) -> Option<Self> {
        let (blocks, block_len) = if long {
            let (_, (blocks, (), len)) = read(WHAT, bytes, |input| (be_u64, skip::<4>, be_u32).parse(input)).ok()?;
            (blocks, len)
        } else {
            let (_, (blocks, (), len)) = read(WHAT, bytes, |input| (be_u32, skip::<1>, be_u24).parse(input)).ok()?;
            (blocks.into(), len)
        };
        Some(Self { blocks, block_len })
    }

    /// Whether the short form cannot hold it.
    const fn is_long(self) -> bool {
        self.blocks > u32::MAX as u64 || self.block_len > 0xff_ffff
    }

    fn encode(self, long: bool) -> Vec<u8> {
        if long {
            return [&self.blocks.to_be_bytes()[..], &[0; 4], &self.block_len.to_be_bytes()].concat();
        }
        let blocks = u32::try_from(self.blocks).unwrap_or(u32::MAX);
        let block_len = self.block_len.min(0xff_ffff);
        [blocks.to_be_bytes(), block_len.to_be_bytes()].concat()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::scsi::Command;

    #[test]
    fn the_commands_have_their_bytes() {
        let sense = ModeSense { subpage: 1, control: PageControl::Saved, ..ModeSense::new(0x0a) };
        let select = ModeSelect { page_format: true, save: true, length: 24, ten: false };
        for (command, bytes) in [
            (Command::ModeSense(sense), "1a 08 ca 01 fc 00"),
            (Command::ModeSense(ModeSense { ten: true, ..sense }), "5a 08 ca 01 00 00 00 00 fc 00"),
            (Command::ModeSense(ModeSense { allocation: 0x100, ..sense }), "5a 08 ca 01 00 00 00 01 00 00"),
            (Command::ModeSense(ModeSense { long_descriptors: true, ..sense }), "5a 18 ca 01 00 00 00 00 fc 00"),
            (Command::ModeSelect(select), "15 11 00 00 18 00"),
            (Command::ModeSelect(ModeSelect { ten: true, ..select }), "55 11 00 00 00 00 00 00 18 00"),
            (Command::ModeSelect(ModeSelect { length: 256, ..select }), "55 11 00 00 00 00 00 01 00 00"),
        ] {
            assert_eq!(command.encode().to_string(), bytes);
        }
    }

    #[test]
    fn the_short_form_has_no_long_descriptors() {
        let Ok(Command::ModeSense(sense)) = Command::parse(&[0x1a, 0x10, 8, 0, 4, 0]) else { panic!() };
        assert!(!sense.long_descriptors && !sense.ten && !sense.no_descriptors);
    }

    fn data() -> ModeData {
        ModeData {
            write_protected: true,
            dpofua: true,
            descriptor: Some(BlockDescriptor { blocks: 0x1000, block_len: 512 }),
            pages: vec![ModePage { code: 0x0a, subpage: 1, bytes: vec![7; 3] }],
            ..ModeData::default()
        }
    }

    #[test]
    fn both_headers_parse_and_build() {
        let tail = [0, 0, 0x10, 0, 0, 0, 2, 0, 0x4a, 1, 0, 3, 7, 7, 7];
        let six = [&[18, 0, 0x90, 8][..], &tail].concat();
        let ten = [&[0, 21, 0, 0x90, 0, 0, 0, 8][..], &tail].concat();
        for (bytes, form) in [(six, false), (ten, true)] {
            assert_eq!(data().encode(form).unwrap(), bytes);
            assert_eq!(ModeData::parse(&bytes, form), Ok(data()));
            let select = ModeData { write_protected: false, dpofua: false, ..data() };
            let list = data().encode_select(form).unwrap();
            assert_eq!(ModeData::parse_select(&list, form), Ok(select));
            assert_eq!((list.len(), list[0], list[1]), (bytes.len(), 0, 0));
        }
    }

    #[test]
    fn long_block_descriptors_need_the_long_form() {
        let large = BlockDescriptor { blocks: 1 << 33, block_len: 4096 };
        let data = ModeData { descriptor: Some(large), ..ModeData::default() };
        let bytes = data.encode(true).unwrap();
        assert_eq!(bytes[..8], [0, 22, 0, 0, 1, 0, 0, 16]);
        assert_eq!(ModeData::parse(&bytes, true), Ok(data.clone()));
        let clipped = BlockDescriptor { blocks: u32::MAX.into(), block_len: 4096 };
        assert_eq!(ModeData::parse(&data.encode(false).unwrap(), false).unwrap().descriptor, Some(clipped));
    }

    /// R-301
    #[test]
    fn r301_lengths_that_leave_the_data_are_seen() {
        let bytes = data().encode(false).unwrap();
        assert_eq!(ModeData::parse(&bytes[..3], false), Err(DataError::Truncated { what: WHAT }));
        assert_eq!(ModeData::parse(&bytes[..11], false), Err(DataError::Truncated { what: WHAT }));
        assert_eq!(ModeData::parse(&bytes[..18], false).unwrap().pages, []);
        let mut short = bytes.clone();
        short[0] = 11;
        assert_eq!(ModeData::parse(&short, false).unwrap().pages, []);
        assert_eq!(ModeData::parse_select(&bytes[..18], false), Err(DataError::Truncated { what: WHAT }));
        assert!(ModeData::parse_select(&bytes, false).is_ok());
    }

    #[test]
    fn data_too_long_for_its_length_is_refused_and_not_cut() {
        // One page in the long form of its header, by the code of the short one: it cannot be sent on as it came.
        let odd = [&[0, 0, 0, 0, 0, 0, 0, 0, 0x41, 0, 1, 44][..], &[9; 300]].concat();
        let data = ModeData::parse_select(&odd, true).unwrap();
        let refused = Err(DataError::TooLong { what: "a mode page", len: 300, limit: 255 });
        assert_eq!((data.encode(true), data.encode_select(true)), (refused.clone(), refused));
        // Two pages that fit one by one: head and pages have 4 + 126 + 2 + n bytes.
        let two = |last| {
            let pages = [124, last].map(|len| ModePage { code: 1, subpage: 0, bytes: vec![9; len] });
            ModeData { pages: pages.into(), ..ModeData::default() }
        };
        let too_long = |len, limit| Err(DataError::TooLong { what: WHAT, len, limit });
        assert_eq!(two(123).encode_select(false).unwrap().len(), 255);
        assert_eq!(two(124).encode_select(false), too_long(256, 255));
        assert_eq!(two(124).encode(false).unwrap()[0], 255);
        assert_eq!(two(125).encode(false), too_long(257, 256));
        assert_eq!(two(125).encode(true).unwrap()[..2], [1, 3]);
    }

    fn page() -> impl Strategy<Value = ModePage> {
        (0..64u8, any::<u8>(), prop::collection::vec(any::<u8>(), 0..30)).prop_map(|(code, subpage, bytes)| ModePage {
            code,
            subpage,
            bytes,
        })
    }

    proptest! {
        #[test]
        fn the_commands_round_trip(page in 0..64u8, subpage: u8, flags: (bool, bool, bool), allocation: u16) {
            let (no_descriptors, long_descriptors, ten) = flags;
            let ten = ten || long_descriptors || allocation > 255;
            let control = PageControl::Changeable;
            let sense = ModeSense { page, subpage, control, no_descriptors, long_descriptors, allocation, ten };
            let select = ModeSelect { page_format: no_descriptors, save: long_descriptors, length: allocation, ten };
            for command in [Command::ModeSense(sense), Command::ModeSelect(select)] {
                prop_assert_eq!(Command::parse(command.encode().as_bytes()), Ok(command));
            }
        }

        #[test]
        fn mode_data_round_trips(
            medium_type: u8, write_protected: bool, dpofua: bool, blocks: Option<u64>, block_len: u32,
            pages in prop::collection::vec(page(), 0..5),
        ) {
            let descriptor = blocks.map(|blocks| BlockDescriptor { blocks, block_len });
            let data = ModeData { medium_type, write_protected, dpofua, descriptor, pages };
            prop_assert_eq!(ModeData::parse(&data.encode(true).unwrap(), true), Ok(data));
        }

        #[test]
        fn r301_arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), ten: bool) {
            for parsed in [ModeData::parse(&bytes, ten), ModeData::parse_select(&bytes, ten)].into_iter().flatten() {
                let total: usize = parsed.pages.iter().map(|page| page.bytes.len() + 2).sum();
                prop_assert!(total <= bytes.len());
            }
        }
    }
}
