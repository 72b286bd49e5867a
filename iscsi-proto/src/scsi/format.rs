//! FORMAT UNIT (SBC-4): gives the medium its blocks anew, and takes what was on it.
//!
//! ```text
//! CDB     byte 1   protection(2) LONGLIST FMTDATA CMPLST defect format(3)    4 . . . . . . FFMT(2)
//! short   0 protection usage(3)   1 FOV DPRY DCRT STPF IP . IMMED .   2 .. 3 defect list length
//! long    0, 1 the same   3 . . . . interval exponent(4)   4 .. 7 defect list length
//! pattern, if IP   0 . . SI . . . . .   1 type   2 .. 3 length   4 .. pattern
//! and the defect list
//! ```

use nom::Parser;
use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u16, be_u32};

use super::wire::{bit, read, skip, upto};
use super::{Cdb, CdbError, DataError};

const WHAT: &str = "the FORMAT UNIT parameter list";
const LONGLIST: u8 = 0x20;
const FMTDATA: u8 = 0x10;
const CMPLST: u8 = 0x08;
const FOV: u8 = 0x80;
const DPRY: u8 = 0x40;
const DCRT: u8 = 0x20;
const STPF: u8 = 0x10;
const IP: u8 = 0x08;
const IMMED: u8 = 0x02;
const SI: u8 = 0x20;

/// FORMAT UNIT.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct FormatUnit {
    /// FMTPINFO, 0 to 3: which protection information the blocks get.
    pub protection: u8,
    /// FMTDATA bit: a [`FormatList`] is sent, with the long header (LONGLIST) if the value is true.
    pub list: Option<bool>,
    /// CMPLST bit: the defect list sent is complete, and known defects are forgotten.
    pub complete: bool,
    /// DEFECT LIST FORMAT, 0 to 7.
    pub defect_format: u8,
    /// FFMT, 0 to 3: 0 for all that formatting does, 1 and 2 for faster ways.
    pub fast: u8,
}

impl FormatUnit {
    pub(super) fn parse(cdb: &Cdb) -> Result<Self, CdbError> {
        let (flags, (), fast) = cdb.fields(|input| (be_u8, skip::<2>, be_u8).parse(input))?;
        Ok(Self {
            protection: flags >> 6,
            list: (flags & FMTDATA != 0).then_some(flags & LONGLIST != 0),
            complete: flags & CMPLST != 0,
            defect_format: flags & 7,
            fast: fast & 3,
        })
    }

    /// The CDB of this command.
    pub const fn encode(&self) -> Cdb {
        let list = match self.list {
            None => 0,
            Some(long) => FMTDATA | bit(long, LONGLIST),
        };
        let flags = self.protection << 6 | list | bit(self.complete, CMPLST) | (self.defect_format & 7);
        Cdb::new(0x04).byte(1, flags).byte(4, self.fast & 3)
    }
}

/// What all blocks hold after formatting.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct InitPattern {
    /// SI bit: reassigned blocks are overwritten too.
    pub security: bool,
    /// Type: 0 what the device likes, 1 the pattern.
    pub kind: u8,
    /// The pattern, at most 65535 bytes.
    pub bytes: Vec<u8>,
}

/// The parameter list of FORMAT UNIT.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct FormatList {
    /// PROTECTION FIELD USAGE, 0 to 7.
    pub protection_usage: u8,
    /// FOV bit: the next three count.
    pub options: bool,
    /// DPRY bit: the primary defects are ignored.
    pub ignore_primary: bool,
    /// DCRT bit: the medium is not certified.
    pub no_certification: bool,
    /// STPF bit: formatting stops when a defect list is not found.
    pub stop: bool,
    /// IMMED bit: status comes before the operation has ended; REQUEST SENSE tells how far it is.
    pub immediate: bool,
    /// What the blocks hold afterwards, if it is told (IP).
    pub pattern: Option<InitPattern>,
    /// PROTECTION INTERVAL EXPONENT, 0 to 15; only the long header has it.
    pub interval_exponent: u8,
    /// The defect list, in the format that the CDB names; at most 65535 bytes with the short header.
    pub defects: Vec<u8>,
}

impl FormatList {
    /// Parses the list, whose header is long if the CDB says so. What is behind the defect list is ignored.
    pub fn parse(bytes: &[u8], long: bool) -> Result<Self, DataError> {
        let (rest, (usage, flags, exponent, len)) = read(WHAT, bytes, |input| {
            let (input, (usage, flags)) = (be_u8, be_u8).parse(input)?;
            if long {
                let (input, ((), exponent, len)) = (skip::<1>, be_u8, be_u32).parse(input)?;
                return Ok((input, (usage, flags, exponent & 0x0f, len)));
            }
            be_u16.map(|len| (usage, flags, 0, len.into())).parse(input)
        })?;
        let (rest, pattern) = match flags & IP {
            0 => (rest, None),
            _ => read_pattern(rest).map(|(rest, pattern)| (rest, Some(pattern)))?,
        };
        let (_, defects) = read(WHAT, rest, take(len))?;
        Ok(Self {
            protection_usage: usage & 7,
            options: flags & FOV != 0,
            ignore_primary: flags & DPRY != 0,
            no_certification: flags & DCRT != 0,
            stop: flags & STPF != 0,
            immediate: flags & IMMED != 0,
            pattern,
            interval_exponent: exponent,
            defects: defects.to_vec(),
        })
    }

    /// The list, with the long header if asked for.
    pub fn encode(&self, long: bool) -> Vec<u8> {
        let flags = bit(self.options, FOV)
            | bit(self.ignore_primary, DPRY)
            | bit(self.no_certification, DCRT)
            | bit(self.stop, STPF)
            | bit(self.pattern.is_some(), IP)
            | bit(self.immediate, IMMED);
        let defects = upto(&self.defects, if long { u32::MAX as usize } else { u16::MAX.into() });
        let mut out = vec![self.protection_usage & 7, flags];
        if long {
            out.extend_from_slice(&[0, self.interval_exponent & 0x0f]);
            out.extend_from_slice(&(defects.len() as u32).to_be_bytes());
        } else {
            out.extend_from_slice(&(defects.len() as u16).to_be_bytes());
        }
        if let Some(pattern) = &self.pattern {
            pattern.encode_to(&mut out);
        }
        out.extend_from_slice(defects);
        out
    }
}

fn read_pattern(bytes: &[u8]) -> Result<(&[u8], InitPattern), DataError> {
    let (rest, (flags, kind, len)) = read(WHAT, bytes, |input| (be_u8, be_u8, be_u16).parse(input))?;
    let (rest, bytes) = read(WHAT, rest, take(len))?;
    Ok((rest, InitPattern { security: flags & SI != 0, kind, bytes: bytes.to_vec() }))
}

impl InitPattern {
    fn encode_to(&self, out: &mut Vec<u8>) {
        let bytes = upto(&self.bytes, u16::MAX.into());
        out.extend_from_slice(&[bit(self.security, SI), self.kind]);
        out.extend_from_slice(&(bytes.len() as u16).to_be_bytes());
        out.extend_from_slice(bytes);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::scsi::Command;

    #[test]
    fn the_command_has_its_bytes() {
        let plain = FormatUnit::default();
        for (command, bytes) in [
            (plain, "04 00 00 00 00 00"),
            (FormatUnit { protection: 2, list: Some(false), ..plain }, "04 90 00 00 00 00"),
            (FormatUnit { list: Some(true), complete: true, defect_format: 3, fast: 1, ..plain }, "04 3b 00 00 01 00"),
        ] {
            assert_eq!(command.encode().to_string(), bytes);
            assert_eq!(Command::parse(command.encode().as_bytes()), Ok(Command::FormatUnit(command)));
        }
    }

    #[test]
    fn both_headers_parse_and_build() {
        let short = FormatList { options: true, immediate: true, defects: vec![0, 0, 0, 9], ..FormatList::default() };
        let bytes = [0, 0x82, 0, 4, 0, 0, 0, 9];
        assert_eq!(short.encode(false), bytes);
        assert_eq!(FormatList::parse(&bytes, false), Ok(short));
        assert_eq!(FormatList::parse(&bytes[..7], false), Err(DataError::Truncated { what: WHAT }));
        let pattern = Some(InitPattern { security: true, kind: 1, bytes: vec![7] });
        let long =
            FormatList { protection_usage: 1, pattern, interval_exponent: 3, stop: true, ..FormatList::default() };
        let bytes = [1, 0x18, 0, 3, 0, 0, 0, 0, 0x20, 1, 0, 1, 7];
        assert_eq!(long.encode(true), bytes);
        assert_eq!(FormatList::parse(&bytes, true), Ok(long));
        for len in 0..bytes.len() {
            assert_eq!(FormatList::parse(&bytes[..len], true), Err(DataError::Truncated { what: WHAT }), "{len}");
        }
    }

    proptest! {
        #[test]
        fn r301_what_parses_round_trips(bytes in prop::collection::vec(any::<u8>(), 0..80), long: bool) {
            if let Ok(list) = FormatList::parse(&bytes, long) {
                prop_assert!(list.defects.len() < bytes.len());
                prop_assert_eq!(FormatList::parse(&list.encode(long), long), Ok(list));
            }
        }
    }
}
