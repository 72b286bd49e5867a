//! READ CAPACITY (SBC-4).
//!
//! ```text
//! (10) data  0 .. 3 last LBA, ffffffff where it does not fit   4 .. 7 block length
//! (16) CDB   1 service action 10h   10 .. 13 allocation length
//!      data  0 .. 7 last LBA   8 .. 11 block length   12 . . RC_BASIS(2) P_TYPE(3) PROT_EN
//!            13 P_I_EXPONENT(4) physical exponent(4)  14 LBPME LBPRZ lowest aligned LBA(14)
//! ```

use nom::Parser;
use nom::number::complete::{be_u8, be_u16, be_u32, be_u64};

use super::wire::{bit, padded, read, skip};
use super::{Cdb, CdbError, DataError};

const WHAT10: &str = "READ CAPACITY(10) data";
const WHAT16: &str = "READ CAPACITY(16) data";
const LBPME: u16 = 0x8000;
const LBPRZ: u16 = 0x4000;
const PROT_EN: u8 = 0x01;

/// READ CAPACITY(16).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ReadCapacity16 {
    /// Bytes there is room for; the data has 32.
    pub allocation: u32,
}

impl ReadCapacity16 {
    pub(super) fn parse(cdb: &Cdb) -> Result<Self, CdbError> {
        let ((), allocation) = cdb.fields(|input| (skip::<9>, be_u32).parse(input))?;
        Ok(Self { allocation })
    }

    /// The CDB of this command.
    pub const fn encode(&self) -> Cdb {
        Cdb::new(0x9e).byte(1, 0x10).word(10, self.allocation)
    }
}

/// Type of protection information.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum Protection {
    /// Type 1: the reference tag is the low half of the address.
    Type1 = 0,
    /// Type 2: the reference tag comes in a 32-byte CDB.
    Type2 = 1,
    /// Type 3: the reference tag is not checked.
    Type3 = 2,
}

/// Size and shape of a logical unit.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Capacity {
    /// Address of the last logical block.
    pub last_lba: u64,
    /// Bytes of a logical block, without protection information.
    pub block_len: u32,
    /// Protection information, if the unit is formatted with it.
    pub protection: Option<Protection>,
    /// RC_BASIS, 0 to 3; only zoned devices use it.
    pub basis: u8,
    /// 2^this protection information intervals in a logical block, 0 to 15.
    pub protection_exponent: u8,
    /// 2^this logical blocks in a physical block, 0 to 15; 0 if not told.
    pub physical_exponent: u8,
    /// LBPME bit: blocks can be unmapped.
    pub provisioned: bool,
    /// LBPRZ bit: unmapped blocks read as zeroes.
    pub reads_zeroes: bool,
    /// The first logical block that starts a physical block, below 2^14.
    pub lowest_aligned: u16,
}

impl Capacity {
    /// Bytes of READ CAPACITY(16) data, and the allocation length to ask for.
    pub const LEN: usize = 32;

    /// A unit of `blocks` blocks, at least one, of `block_len` bytes.
    pub const fn new(blocks: u64, block_len: u32) -> Self {
        Self {
            last_lba: blocks.saturating_sub(1),
            block_len,
            protection: None,
            basis: 0,
            protection_exponent: 0,
            physical_exponent: 0,
            provisioned: false,
            reads_zeroes: false,
            lowest_aligned: 0,
        }
    }

    /// How many logical blocks there are.
    pub const fn blocks(&self) -> u64 {
        self.last_lba.saturating_add(1)
    }

    /// Size in bytes. Never saturates in a parsed value.
    pub const fn bytes(&self) -> u64 {
        self.blocks().saturating_mul(self.block_len as u64)
    }

    /// Bytes of a physical block.
    pub const fn physical_len(&self) -> u64 {
        (self.block_len as u64) << (self.physical_exponent & 0x0f)
    }

    /// Parses READ CAPACITY(10) data; `None` if the unit is too large for it, so that the 16-byte command must be used.
    ///
    /// A block length of zero is an error.
    pub fn parse10(bytes: &[u8]) -> Result<Option<Self>, DataError> {
        let (_, (last_lba, block_len)) = read(WHAT10, bytes, |input| (be_u32, be_u32).parse(input))?;
        match last_lba {
            u32::MAX => Ok(None),
            _ => Self { last_lba: last_lba.into(), block_len, ..Self::default() }.checked(WHAT10).map(Some),
        }
    }

    /// READ CAPACITY(10) data.
    pub fn encode10(&self) -> [u8; 8] {
        let last_lba = u32::try_from(self.last_lba).unwrap_or(u32::MAX);
        (u64::from(last_lba) << 32 | u64::from(self.block_len)).to_be_bytes()
    }

    /// Parses READ CAPACITY(16) data. What follows the block length may be missing.
    ///
    /// A block length of zero, and a size that is not below 2^64 bytes, are errors.
    pub fn parse16(bytes: &[u8]) -> Result<Self, DataError> {
        let (rest, (last_lba, block_len)) = read(WHAT16, bytes, |input| (be_u64, be_u32).parse(input))?;
        let rest = padded::<4>(rest);
        let (_, (flags, exponents, alignment)) = read(WHAT16, &rest, |input| (be_u8, be_u8, be_u16).parse(input))?;
        Self {
            last_lba,
            block_len,
            protection: protection(flags)?,
            basis: flags >> 4 & 3,
            protection_exponent: exponents >> 4,
            physical_exponent: exponents & 0x0f,
            provisioned: alignment & LBPME != 0,
            reads_zeroes: alignment & LBPRZ != 0,
            lowest_aligned: alignment & !(LBPME | LBPRZ),
        }
        .checked(WHAT16)
    }

    /// READ CAPACITY(16) data.
    pub fn encode16(&self) -> [u8; Self::LEN] {
        let protection = self.protection.map_or(0, |kind| (kind as u8) << 1 | PROT_EN);
        let provisioning = (u16::from(bit(self.provisioned, 0x80)) | u16::from(bit(self.reads_zeroes, 0x40))) << 8;
        let alignment = provisioning | self.lowest_aligned & !(LBPME | LBPRZ);
        let mut out = Vec::with_capacity(Self::LEN);
        out.extend_from_slice(&self.last_lba.to_be_bytes());
        out.extend_from_slice(&self.block_len.to_be_bytes());
        out.push((self.basis & 3) << 4 | protection);
        out.push((self.protection_exponent & 0x0f) << 4 | self.physical_exponent & 0x0f);
        out.extend_from_slice(&alignment.to_be_bytes());
        padded(&out)
    }

    fn checked(self, what: &'static str) -> Result<Self, DataError> {
        let size = self.last_lba.checked_add(1).and_then(|blocks| blocks.checked_mul(self.block_len.into()));
        match size {
            Some(0) => Err(DataError::Invalid { what, field: "LOGICAL BLOCK LENGTH", value: 0 }),
            Some(_) => Ok(self),
            None => Err(DataError::Invalid { what, field: "RETURNED LOGICAL BLOCK ADDRESS", value: self.last_lba }),
        }
    }
}

fn protection(flags: u8) -> Result<Option<Protection>, DataError> {
    match (flags & PROT_EN, flags >> 1 & 7) {
        (0, _) => Ok(None),
        (_, 0) => Ok(Some(Protection::Type1)),
        (_, 1) => Ok(Some(Protection::Type2)),
        (_, 2) => Ok(Some(Protection::Type3)),
        (_, other) => Err(DataError::Invalid { what: WHAT16, field: "P_TYPE", value: other.into() }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::scsi::Command;

    #[test]
    fn the_command_has_its_bytes() {
        let command = ReadCapacity16 { allocation: 32 };
        assert_eq!(command.encode().as_bytes(), [0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0]);
        assert_eq!(Command::parse(command.encode().as_bytes()), Ok(Command::ReadCapacity16(command)));
        assert_eq!(Command::parse(&[0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0]), Ok(Command::ReadCapacity10));
        assert_eq!(Command::ReadCapacity10.encode().as_bytes(), [0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn the_short_data_parses_and_builds() {
        let capacity = Capacity::new(0x2_0000, 512);
        let bytes = [0, 1, 0xff, 0xff, 0, 0, 2, 0];
        assert_eq!(capacity.encode10(), bytes);
        assert_eq!(Capacity::parse10(&bytes), Ok(Some(capacity)));
        assert_eq!((capacity.blocks(), capacity.bytes()), (0x2_0000, 64 << 20));
        assert_eq!(Capacity::parse10(&bytes[..7]), Err(DataError::Truncated { what: WHAT10 }));
        for (blocks, fits) in [(u64::from(u32::MAX), true), (1 << 32, false), ((1 << 32) + 1, false)] {
            let capacity = Capacity::new(blocks, 512);
            assert_eq!(Capacity::parse10(&capacity.encode10()), Ok(fits.then_some(capacity)), "{blocks}");
        }
    }

    #[test]
    fn the_long_data_parses_and_builds() {
        let capacity = Capacity {
            protection: Some(Protection::Type3),
            physical_exponent: 3,
            provisioned: true,
            reads_zeroes: true,
            lowest_aligned: 7,
            ..Capacity::new(0x0102_0304_0506, 512)
        };
        let mut bytes = [0; 32];
        bytes[..16].copy_from_slice(&[0, 0, 1, 2, 3, 4, 5, 5, 0, 0, 2, 0, 0x05, 0x03, 0xc0, 7]);
        assert_eq!(capacity.encode16(), bytes);
        assert_eq!(Capacity::parse16(&bytes), Ok(capacity));
        assert_eq!(capacity.physical_len(), 4096);
        assert_eq!(Capacity::parse16(&bytes[..12]), Ok(Capacity::new(0x0102_0304_0506, 512)));
        assert_eq!(Capacity::parse16(&bytes[..11]), Err(DataError::Truncated { what: WHAT16 }));
    }

    /// R-301
    #[test]
    fn r301_sizes_that_make_no_sense_are_refused() {
        assert!(Capacity::parse10(&[0; 8]).is_err());
        let unit = |last_lba, block_len| Capacity { last_lba, block_len, ..Capacity::default() }.encode16();
        assert!(Capacity::parse16(&unit(9, 0)).is_err());
        assert!(Capacity::parse16(&unit(u64::MAX, 1)).is_err());
        assert!(Capacity::parse16(&unit(u64::MAX - 1, 1)).is_ok());
        assert!(Capacity::parse16(&unit((1 << 55) - 2, 512)).is_ok());
        assert!(Capacity::parse16(&unit((1 << 55) - 1, 512)).is_err());
        let mut bytes = unit(9, 512);
        bytes[12] = 0x07;
        assert!(Capacity::parse16(&bytes).is_err());
        bytes[12] = 0x06;
        assert_eq!(Capacity::parse16(&bytes).unwrap().protection, None);
    }

    proptest! {
        #[test]
        fn r301_what_parses_round_trips(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = Capacity::parse10(&bytes);
            if let Ok(capacity) = Capacity::parse16(&bytes) {
                prop_assert_eq!(capacity.bytes() / u64::from(capacity.block_len), capacity.blocks());
                prop_assert_eq!(Capacity::parse16(&capacity.encode16()), Ok(capacity));
            }
        }

        #[test]
        fn every_capacity_round_trips(
            last_lba in 0..1u64 << 40, block_len in 1..1u32 << 20, exponents: (u8, u8), basis in 0..4u8,
            flags: (bool, bool), lowest_aligned in 0..0x4000u16,
            protection in prop::sample::select(vec![None, Some(Protection::Type1), Some(Protection::Type2)]),
        ) {
            let capacity = Capacity {
                last_lba, block_len, protection, basis, lowest_aligned,
                protection_exponent: exponents.0 & 15, physical_exponent: exponents.1 & 15,
                provisioned: flags.0, reads_zeroes: flags.1,
            };
            prop_assert_eq!(Capacity::parse16(&capacity.encode16()), Ok(capacity));
        }
    }
}
