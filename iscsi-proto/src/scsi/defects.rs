//! READ DEFECT DATA (SBC-4): which places of the medium are not used.
//!
//! ```text
//! CDB   (10)  byte 2   . . . PLIST GLIST format(3)   7 .. 8 allocation length
//!       (12)  byte 1   the same   2 .. 5 first descriptor   6 .. 9 allocation length
//! data  (10)  1 . . . PLISTV GLISTV format(3)   2 .. 3 length   4 .. descriptors
//!       (12)  1 the same   2 .. 3 generation   4 .. 7 length   8 .. descriptors
//! descriptor  formats 0 and 3: a block address of 4 or 8 bytes
//!             formats 1, 2, 4 and 5: cylinder(3) head(1) bytes or sectors(4)
//! ```

use nom::number::complete::{be_u8, be_u16, be_u24, be_u32, be_u64};
use nom::{IResult, Parser};

use super::wire::{bit, list, read, skip, upto};
use super::{Cdb, CdbError, DataError};

const WHAT: &str = "READ DEFECT DATA data";
const PRIMARY: u8 = 0x10;
const GROWN: u8 = 0x08;
const SHORT_BLOCK: u8 = 0;
const LONG_BLOCK: u8 = 3;

/// READ DEFECT DATA(10) or (12).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct ReadDefects {
    /// REQ_PLIST bit: those that the medium came with.
    pub primary: bool,
    /// REQ_GLIST bit: those that were found since.
    pub grown: bool,
    /// DEFECT LIST FORMAT, 0 to 7; the device may answer in another one.
    pub format: u8,
    /// Bytes there is room for; above 65535 only in the 12-byte form.
    pub allocation: u32,
    /// The first descriptor that is wanted, in the 12-byte form; `None` takes the 10-byte form where that holds the
    /// allocation length.
    pub index: Option<u32>,
}

impl ReadDefects {
    pub(super) fn parse(cdb: &Cdb) -> Result<Self, CdbError> {
        let (flags, index, allocation) = if cdb.opcode() == 0x37 {
            let short = |input| (skip::<1>, be_u8, skip::<4>, be_u16).parse(input);
            cdb.fields(short).map(|((), flags, (), allocation)| (flags, None, allocation.into()))?
        } else {
            let (flags, index, allocation) = cdb.fields(|input| (be_u8, be_u32, be_u32).parse(input))?;
            (flags, Some(index), allocation)
        };
        let (primary, grown) = (flags & PRIMARY != 0, flags & GROWN != 0);
        Ok(Self { primary, grown, format: flags & 7, allocation, index })
    }

    /// The CDB of this command.
    pub const fn encode(&self) -> Cdb {
        let flags = bit(self.primary, PRIMARY) | bit(self.grown, GROWN) | (self.format & 7);
        match self.index {
            None if self.allocation <= 0xffff => Cdb::new(0x37).byte(2, flags).half(7, self.allocation as u16),
            None => Cdb::new(0xb7).byte(1, flags).word(6, self.allocation),
            Some(index) => Cdb::new(0xb7).byte(1, flags).word(2, index).word(6, self.allocation),
        }
    }
}

/// A place of the medium.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Defect {
    /// A logical block.
    Block(u64),
    /// A place on a disk.
    Physical {
        /// Cylinder, below 2^24.
        cylinder: u32,
        /// Head.
        head: u8,
        /// Bytes from the index, or the sector, as the format says; all ones for the whole track.
        place: u32,
    },
}

/// A list of defects.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct DefectList {
    /// PLISTV bit: it holds the primary ones.
    pub primary: bool,
    /// GLISTV bit: it holds the grown ones.
    pub grown: bool,
    /// DEFECT LIST FORMAT, 0 to 5.
    pub format: u8,
    /// Number of the list, which grows with each change; 0 if not told. Only the answer to the 12-byte form has it.
    pub generation: u16,
    /// Those that the data had room for.
    pub defects: Vec<Defect>,
    /// Bytes that the whole list has, as the target says; the header is not among them.
    pub list_len: u32,
}

impl DefectList {
    /// Parses the answer to the 12-byte form if `twelve`, else to the 10-byte one. A descriptor that is cut short ends
    /// the list; formats that the vendor made are errors.
    pub fn parse(bytes: &[u8], twelve: bool) -> Result<Self, DataError> {
        let (rest, ((), flags, generation, list_len)) = read(WHAT, bytes, |input| {
            if twelve {
                return (skip::<1>, be_u8, be_u16, be_u32).parse(input);
            }
            (skip::<1>, be_u8, be_u16).map(|((), flags, len)| ((), flags, 0, len.into())).parse(input)
        })?;
        let format = flags & 7;
        let rest = upto(rest, list_len as usize);
        let defects = match format {
            SHORT_BLOCK => list(rest, |input| be_u32.map(|lba| Defect::Block(lba.into())).parse(input)).1,
            LONG_BLOCK => list(rest, |input| be_u64.map(Defect::Block).parse(input)).1,
            1 | 2 | 4 | 5 => list(rest, physical).1,
            _ => return Err(DataError::Invalid { what: WHAT, field: "DEFECT LIST FORMAT", value: format.into() }),
        };
        Ok(Self { primary: flags & PRIMARY != 0, grown: flags & GROWN != 0, format, generation, defects, list_len })
    }

    /// The data of the 12-byte form if `twelve`, else of the 10-byte one, with the length that `defects` have: those that
    /// the length can tell, each in the shape that the format gives it. The caller cuts it to the allocation length.
    pub fn encode(&self, twelve: bool) -> Vec<u8> {
        let mut list = Vec::new();
        for defect in &self.defects {
            defect.encode_to(self.format, &mut list);
        }
        let flags = bit(self.primary, PRIMARY) | bit(self.grown, GROWN) | (self.format & 7);
        let mut out = vec![0, flags];
        if twelve {
            out.extend_from_slice(&self.generation.to_be_bytes());
            out.extend_from_slice(&(list.len() as u32).to_be_bytes());
        } else {
            list.truncate(0xfff8);
            out.extend_from_slice(&(list.len() as u16).to_be_bytes());
        }
        out.extend_from_slice(&list);
        out
    }
}

fn physical(input: &[u8]) -> IResult<&[u8], Defect> {
    (be_u24, be_u8, be_u32).map(|(cylinder, head, place)| Defect::Physical { cylinder, head, place }).parse(input)
}

impl Defect {
    fn encode_to(self, format: u8, out: &mut Vec<u8>) {
        match self {
            Self::Block(lba) if format == SHORT_BLOCK => out.extend_from_slice(&(lba as u32).to_be_bytes()),
            Self::Block(lba) => out.extend_from_slice(&lba.to_be_bytes()),
            Self::Physical { cylinder, head, place } => {
                out.extend_from_slice(&(cylinder << 8 | u32::from(head)).to_be_bytes());
                out.extend_from_slice(&place.to_be_bytes());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::scsi::Command;

    #[test]
    fn both_forms_have_their_bytes() {
        let ten = ReadDefects { grown: true, format: 3, allocation: 0x0102, ..ReadDefects::default() };
        for (command, bytes) in [
            (ten, "37 00 0b 00 00 00 00 01 02 00"),
            (ReadDefects { primary: true, index: Some(5), ..ten }, "b7 1b 00 00 00 05 00 00 01 02 00 00"),
        ] {
            assert_eq!(command.encode().to_string(), bytes);
            assert_eq!(Command::parse(command.encode().as_bytes()), Ok(Command::ReadDefects(command)));
        }
        assert_eq!(ReadDefects { allocation: 0xffff, ..ten }.encode().opcode(), 0x37);
        assert_eq!(ReadDefects { allocation: 0x1_0000, ..ten }.encode().opcode(), 0xb7);
    }

    #[test]
    fn lists_parse_and_build() {
        let physical = Defect::Physical { cylinder: 0x01_0203, head: 4, place: 0x0506_0708 };
        let list = DefectList { grown: true, format: 5, list_len: 8, defects: vec![physical], ..DefectList::default() };
        let ten = [0, 0x0d, 0, 8, 1, 2, 3, 4, 5, 6, 7, 8];
        assert_eq!(list.encode(false), ten);
        assert_eq!(DefectList::parse(&ten, false), Ok(list));
        let long = DefectList {
            primary: true,
            format: 3,
            generation: 7,
            defects: vec![Defect::Block(0x0102)],
            list_len: 8,
            ..DefectList::default()
        };
        let twelve = [0, 0x13, 0, 7, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 1, 2];
        assert_eq!(long.encode(true), twelve);
        assert_eq!(DefectList::parse(&twelve, true), Ok(long));
        assert_eq!(DefectList::parse(&twelve[..15], true).unwrap().defects, []);
        let short = DefectList::parse(&[0, 0, 0, 5, 0, 0, 0, 9, 1, 1], false).unwrap();
        assert_eq!((short.defects, short.list_len), (vec![Defect::Block(9)], 5));
        assert!(matches!(DefectList::parse(&[0, 6, 0, 0], false), Err(DataError::Invalid { value: 6, .. })));
        assert_eq!(DefectList::parse(&twelve[..7], true), Err(DataError::Truncated { what: WHAT }));
    }

    proptest! {
        #[test]
        fn r301_what_parses_round_trips(mut bytes in prop::collection::vec(any::<u8>(), 0..120), twelve: bool) {
            if let Some([high, ..]) = bytes.get_mut(if twelve { 4 } else { 2 }..) {
                *high = 0;
            }
            if let Ok(list) = DefectList::parse(&bytes, twelve) {
                prop_assert!(list.defects.len() * 4 <= bytes.len());
                let list_len = (list.defects.len() * if list.format == SHORT_BLOCK { 4 } else { 8 }) as u32;
                let whole = DefectList { list_len, ..list };
                prop_assert_eq!(DefectList::parse(&whole.encode(twelve), twelve), Ok(whole));
            }
        }
    }
}
