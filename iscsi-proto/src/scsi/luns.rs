//! REPORT LUNS (SPC-5).
//!
//! ```text
//! CDB   2 select report   6 .. 9 allocation length
//! data  0 .. 3 LUN list length in bytes   4 .. 7 reserved   8 .. LUNs of 8 bytes
//! ```

use nom::Parser;
use nom::number::complete::{be_u8, be_u32};

use super::wire::{read, skip, upto};
use super::{Cdb, CdbError, DataError, Lun};

const WHAT: &str = "REPORT LUNS data";

/// REPORT LUNS.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ReportLuns {
    /// Which logical units: see the constants.
    pub select: u8,
    /// Bytes there is room for, at least 16.
    pub allocation: u32,
}

impl ReportLuns {
    /// All logical units but the well known ones.
    pub const ADDRESSABLE: u8 = 0;
    /// Well known logical units only.
    pub const WELL_KNOWN: u8 = 1;
    /// All logical units.
    pub const ALL: u8 = 2;

    /// Refuses reserved reports and, as SPC asks, an allocation length below 16.
    pub(super) fn parse(cdb: &Cdb) -> Result<Self, CdbError> {
        let ((), select, (), allocation) = cdb.fields(|input| (skip::<1>, be_u8, skip::<3>, be_u32).parse(input))?;
        match (select, allocation) {
            (3..0x10 | 0x13..0xf8, _) => Err(CdbError::Field { byte: 2, bit: None }),
            (_, 0..16) => Err(CdbError::Field { byte: 6, bit: None }),
            _ => Ok(Self { select, allocation }),
        }
    }

    /// The CDB of this command.
    pub const fn encode(&self) -> Cdb {
        Cdb::new(0xa0).byte(2, self.select).word(6, self.allocation)
    }
}

/// The logical units of a target.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LunList {
    /// Those that the data had room for.
    pub luns: Vec<Lun>,
    /// Bytes that the whole list has, as the target says; more than 8 for each of `luns` if it was cut.
    pub list_len: u32,
}

impl LunList {
    /// The largest allocation length worth asking for: room for 65536 logical units.
    pub const MAX_ALLOCATION: u32 = 8 + 8 * 0x1_0000;

    /// Parses REPORT LUNS data. A list that is longer than the data is cut, not an error.
    pub fn parse(bytes: &[u8]) -> Result<Self, DataError> {
        let (rest, (list_len, ())) = read(WHAT, bytes, |input| (be_u32, skip::<4>).parse(input))?;
        let (luns, _) = upto(rest, list_len as usize).as_chunks();
        Ok(Self { luns: luns.iter().copied().map(Lun::from_bytes).collect(), list_len })
    }

    /// Whether the target has more than the data had room for.
    pub fn is_cut(&self) -> bool {
        u64::from(self.list_len / 8) > self.luns.len() as u64
    }

    /// The allocation length that the command is worth repeating with, after one with `previous` was answered so.
    ///
    /// At most [`LunList::MAX_ALLOCATION`]; `None` if nothing is missing or asking again would not help.
    pub fn retry_allocation(&self, previous: u32) -> Option<u32> {
        let wanted = self.list_len.saturating_add(8).min(Self::MAX_ALLOCATION);
        (self.is_cut() && wanted > previous).then_some(wanted)
    }

    /// The data that reports `luns`. The caller cuts it to the allocation length.
    pub fn encode(luns: &[Lun]) -> Vec<u8> {
        let mut out = Vec::with_capacity(8 + luns.len() * 8);
        out.extend_from_slice(&(luns.len() as u32 * 8).to_be_bytes());
        out.extend_from_slice(&[0; 4]);
        for lun in luns {
            out.extend_from_slice(&lun.to_bytes());
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::scsi::Command;

    /// R-217
    #[test]
    fn r217_the_command_has_its_bytes() {
        let command = ReportLuns { select: 2, allocation: 0x0102_0304 };
        assert_eq!(command.encode().as_bytes(), [0xa0, 0, 2, 0, 0, 0, 1, 2, 3, 4, 0, 0]);
        assert_eq!(Command::parse(command.encode().as_bytes()), Ok(Command::ReportLuns(command)));
        for (select, allocation, byte) in [(3, 16, 2), (0x0f, 16, 2), (0x13, 16, 2), (0xf7, 16, 2), (0, 15, 6)] {
            let refused = Command::parse(ReportLuns { select, allocation }.encode().as_bytes());
            assert_eq!(refused, Err(CdbError::Field { byte, bit: None }), "{select} {allocation}");
        }
        for (select, allocation) in [(0, 16), (0x10, 16), (0x12, 99), (0xf8, 16)] {
            assert!(Command::parse(ReportLuns { select, allocation }.encode().as_bytes()).is_ok());
        }
    }

    #[test]
    fn a_list_parses_and_builds() {
        let bytes = [0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        let list = LunList { luns: vec![Lun::ZERO, Lun::from(1)], list_len: 16 };
        assert_eq!(LunList::encode(&list.luns), bytes);
        assert_eq!(LunList::parse(&bytes), Ok(list.clone()));
        assert_eq!(list.retry_allocation(16), None);
        assert_eq!(LunList::parse(&bytes[..7]), Err(DataError::Truncated { what: WHAT }));
        let mut shorter = bytes;
        shorter[3] = 15;
        assert_eq!(LunList::parse(&shorter).unwrap(), LunList { luns: vec![Lun::ZERO], list_len: 15 });
        assert_eq!(LunList::parse(&[0; 8]), Ok(LunList::default()));
    }

    /// R-218: the length of the list decides what to ask for next, within a limit, and never forever.
    #[test]
    fn r218_a_cut_list_is_asked_for_again() {
        let answer = |list_len: u32| LunList::parse(&[&list_len.to_be_bytes()[..], &[0; 12]].concat()).unwrap();
        for (list_len, previous, wanted) in [
            (8, 16, None),
            (15, 16, None),
            (16, 16, Some(24)),
            (16, 24, None),
            (0x8_0000, 16, Some(LunList::MAX_ALLOCATION)),
            (0xffff_fff8, 16, Some(LunList::MAX_ALLOCATION)),
            (0xffff_fff8, LunList::MAX_ALLOCATION, None),
        ] {
            assert_eq!(answer(list_len).retry_allocation(previous), wanted, "{list_len:#x} after {previous}");
            assert_eq!(answer(list_len).luns.len(), 1);
        }
    }

    proptest! {
        #[test]
        fn every_list_round_trips(luns in prop::collection::vec(any::<[u8; 8]>().prop_map(Lun::from_bytes), 0..50)) {
            let list_len = luns.len() as u32 * 8;
            prop_assert_eq!(LunList::parse(&LunList::encode(&luns)), Ok(LunList { luns, list_len }));
        }

        #[test]
        fn r301_no_more_logical_units_than_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(list) = LunList::parse(&bytes) {
                prop_assert!(list.luns.len() * 8 + 8 <= bytes.len());
                prop_assert!(list.retry_allocation(0).unwrap_or(0) <= LunList::MAX_ALLOCATION);
            }
        }
    }
}
