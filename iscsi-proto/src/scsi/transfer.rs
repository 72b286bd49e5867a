//! READ and WRITE (SBC-4).
//!
//! ```text
//!  (6)   byte 1   . . . LBA(21) ‥ 3            4 length, 0 means 256
//! (10)   byte 1   protect(3) DPO FUA . . .    2 .. 5 LBA   6 group    7 ..  8 length
//! (12)   byte 1   the same                    2 .. 5 LBA   6 ..  9 length    10 group
//! (16)   byte 1   the same                    2 .. 9 LBA  10 .. 13 length    14 group
//! ```

use nom::Parser;
use nom::number::complete::{be_u8, be_u16, be_u24, be_u32, be_u64};

use super::wire::bit;
use super::{Cdb, CdbError};

const DPO: u8 = 0x10;
const FUA: u8 = 0x08;
const SIX_LBA: u32 = 0x1f_ffff;

/// How long a CDB that addresses blocks is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Form {
    /// 6 bytes: addresses below 2^21, 1 to 256 blocks, no flags.
    Six,
    /// 10 bytes: addresses below 2^32, up to 65535 blocks.
    #[default]
    Ten,
    /// 12 bytes: addresses below 2^32.
    Twelve,
    /// 16 bytes: every address and length.
    Sixteen,
}

/// READ or WRITE of consecutive blocks.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Transfer {
    /// First logical block.
    pub lba: u64,
    /// How many blocks; 0 moves nothing.
    pub blocks: u32,
    /// DPO bit: the blocks are unlikely to be used again soon.
    pub dpo: bool,
    /// FUA bit: past the volatile cache.
    pub fua: bool,
    /// RDPROTECT or WRPROTECT, 0 to 7.
    pub protect: u8,
    /// Group number, 0 to 63.
    pub group: u8,
    /// Which CDB carries it. One that cannot hold the other fields gives way to [`Form::Sixteen`].
    pub form: Form,
}

impl Transfer {
    /// `blocks` from `lba` on, in the shorter of the 10-byte and the 16-byte form.
    #[inline]
    pub const fn new(lba: u64, blocks: u32) -> Self {
        let form = if Self::fits_ten(lba, blocks) { Form::Ten } else { Form::Sixteen };
        Self { lba, blocks, dpo: false, fua: false, protect: 0, group: 0, form }
    }

    /// Whether address, last address and length fit a 10-byte CDB.
    #[inline]
    pub const fn fits_ten(lba: u64, blocks: u32) -> bool {
        blocks <= 0xffff && lba <= u32::MAX as u64 && lba + blocks as u64 <= 1 << 32
    }

    /// This transfer with the FUA bit set as told.
    #[inline]
    #[must_use]
    pub const fn with_fua(mut self, fua: bool) -> Self {
        self.fua = fua;
        self
    }

    pub(super) fn parse(cdb: &Cdb) -> Result<Self, CdbError> {
        let Place { form, lba, blocks, flags, group } = Place::parse(cdb)?;
        Ok(Self { lba, blocks, dpo: flags & DPO != 0, fua: flags & FUA != 0, protect: flags >> 5, group, form })
    }

    /// READ of these blocks.
    #[inline]
    pub const fn encode_read(&self) -> Cdb {
        self.place().encode(0x28, 0x88)
    }

    /// WRITE of these blocks.
    #[inline]
    pub const fn encode_write(&self) -> Cdb {
        self.place().encode(0x2a, 0x8a)
    }

    /// ORWRITE of these blocks, whose data is combined with what they hold, bit by bit. Only the 16-byte form exists.
    pub const fn encode_or_write(&self) -> Cdb {
        let mut place = self.place();
        place.form = Form::Sixteen;
        place.encode(0x2b, 0x8b)
    }

    #[inline]
    const fn place(&self) -> Place {
        let flags = self.protect << 5 | bit(self.dpo, DPO) | bit(self.fua, FUA);
        Place { form: self.form, lba: self.lba, blocks: self.blocks, flags, group: self.group }
    }
}

/// The fields that all CDBs of one form keep in the same bytes.
#[derive(Clone, Copy)]
pub(super) struct Place {
    pub(super) form: Form,
    pub(super) lba: u64,
    pub(super) blocks: u32,
    /// Byte 1, except in the 6-byte form, which has none.
    pub(super) flags: u8,
    pub(super) group: u8,
}

impl Place {
    #[inline]
    pub(super) fn parse(cdb: &Cdb) -> Result<Self, CdbError> {
        let form = Form::of(cdb.opcode());
        let (flags, lba, blocks, group) = cdb.fields(|input| match form {
            Form::Six => (be_u24, be_u8)
                .map(|(lba, blocks)| (0, (lba & SIX_LBA).into(), if blocks == 0 { 256 } else { blocks.into() }, 0))
                .parse(input),
            Form::Ten => (be_u8, be_u32, be_u8, be_u16)
                .map(|(flags, lba, group, blocks)| (flags, lba.into(), blocks.into(), group))
                .parse(input),
            Form::Twelve => (be_u8, be_u32, be_u32, be_u8)
                .map(|(flags, lba, blocks, group)| (flags, lba.into(), blocks, group))
                .parse(input),
            Form::Sixteen => (be_u8, be_u64, be_u32, be_u8).parse(input),
        })?;
        Ok(Self { form, lba, blocks, flags, group: group & 0x3f })
    }

    /// The CDB in the form asked for if that holds it, else in the 16-byte form. The operation codes of the
    /// other forms follow from the 10-byte one.
    #[inline]
    pub(super) const fn encode(self, ten: u8, sixteen: u8) -> Cdb {
        let group = self.group & 0x3f;
        match self.fitting() {
            Form::Six => Cdb::new(ten & 0x1f).word(1, (self.lba as u32) << 8 | (self.blocks & 0xff)),
            Form::Ten => {
                Cdb::new(ten).byte(1, self.flags).word(2, self.lba as u32).byte(6, group).half(7, self.blocks as u16)
            }
            Form::Twelve => {
                Cdb::new(ten | 0x80).byte(1, self.flags).word(2, self.lba as u32).word(6, self.blocks).byte(10, group)
            }
            Form::Sixteen => {
                Cdb::new(sixteen).byte(1, self.flags).long(2, self.lba).word(10, self.blocks).byte(14, group)
            }
        }
    }

    #[inline]
    const fn fitting(&self) -> Form {
        let plain = (self.flags | self.group & 0x3f) == 0;
        let short = self.lba <= u32::MAX as u64;
        match self.form {
            Form::Six if plain && self.lba <= SIX_LBA as u64 && self.blocks >= 1 && self.blocks <= 256 => Form::Six,
            Form::Ten if short && self.blocks <= 0xffff => Form::Ten,
            Form::Twelve if short => Form::Twelve,
            _ => Form::Sixteen,
        }
    }
}

impl Form {
    /// The form that an operation code has. Only codes of the four groups get here.
    const fn of(opcode: u8) -> Self {
        match opcode >> 5 {
            0 => Self::Six,
            4 => Self::Sixteen,
            5 => Self::Twelve,
            _ => Self::Ten,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::scsi::Command;

    #[test]
    fn each_form_has_its_bytes() {
        let full =
            Transfer { lba: 0x01_0203, blocks: 4, dpo: true, fua: true, protect: 5, group: 0x2a, form: Form::Ten };
        let plain = Transfer { form: Form::Six, ..Transfer::new(0x01_0203, 4) };
        for (cdb, bytes) in [
            (plain.encode_read(), "08 01 02 03 04 00"),
            (Transfer { blocks: 256, ..plain }.encode_write(), "0a 01 02 03 00 00"),
            (full.encode_read(), "28 b8 00 01 02 03 2a 00 04 00"),
            (Transfer { form: Form::Twelve, ..full }.encode_write(), "aa b8 00 01 02 03 00 00 00 04 2a 00"),
            (Transfer { form: Form::Sixteen, ..full }.encode_read(), "88 b8 00 00 00 00 00 01 02 03 00 00 00 04 2a 00"),
        ] {
            assert_eq!(cdb.to_string(), bytes);
        }
    }

    #[test]
    fn a_form_that_is_too_small_gives_way() {
        let six = Transfer { form: Form::Six, ..Transfer::new(0, 1) };
        for (transfer, opcode) in [
            (Transfer { lba: 0x1f_ffff, blocks: 256, ..six }, 0x08),
            (Transfer { lba: 0x20_0000, ..six }, 0x88),
            (Transfer { blocks: 0, ..six }, 0x88),
            (Transfer { blocks: 257, ..six }, 0x88),
            (Transfer { fua: true, ..six }, 0x88),
            (Transfer { form: Form::Ten, lba: 0xffff_ffff, blocks: 0xffff, ..six }, 0x28),
            (Transfer { form: Form::Ten, blocks: 0x1_0000, ..six }, 0x88),
            (Transfer { form: Form::Twelve, blocks: u32::MAX, ..six }, 0xa8),
            (Transfer { form: Form::Twelve, lba: 1 << 32, ..six }, 0x88),
        ] {
            assert_eq!(transfer.encode_read().opcode(), opcode, "{transfer:?}");
        }
    }

    #[test]
    fn the_six_byte_length_zero_is_256_blocks() {
        let parsed = Command::parse(&[0x08, 0xff, 0xff, 0xff, 0, 0]).unwrap();
        let want = Transfer { lba: 0x1f_ffff, blocks: 256, form: Form::Six, ..Transfer::default() };
        assert_eq!(parsed, Command::Read(want));
    }

    #[test]
    fn the_constructors_agree_with_the_struct() {
        for (lba, blocks) in
            [(0, 0), (1 << 32, 0), (7, 0xffff), (7, 0x1_0000), (0xffff_ffff, 1), (0xffff_ffff, 2), (u64::MAX, 1)]
        {
            assert_eq!(Transfer::new(lba, blocks).encode_read(), Cdb::read(lba, blocks));
            assert_eq!(Transfer::new(lba, blocks).encode_write(), Cdb::write(lba, blocks));
        }
        assert_eq!(Transfer::new(1, 1).with_fua(true).encode_write().as_padded()[1], 0x08);
    }

    pub(crate) fn form() -> impl Strategy<Value = Form> {
        prop::sample::select(vec![Form::Six, Form::Ten, Form::Twelve, Form::Sixteen])
    }

    proptest! {
        #[test]
        fn every_transfer_round_trips_but_for_its_form(
            lba in prop_oneof![any::<u64>(), 0..0x3f_ffffu64], blocks in prop_oneof![any::<u32>(), 0..300u32],
            dpo: bool, fua: bool, protect in 0..8u8, group in 0..64u8, form in form(), plain: bool,
        ) {
            let mut transfer = Transfer { lba, blocks, form, ..Transfer::default() };
            if !plain {
                transfer = Transfer { dpo, fua, protect, group, ..transfer };
            }
            let Ok(Command::Read(read)) = Command::parse(transfer.encode_read().as_bytes()) else { panic!() };
            let Ok(Command::Write(write)) = Command::parse(&transfer.encode_write().as_padded()) else { panic!() };
            prop_assert_eq!(read, write);
            prop_assert!(read.form == form || read.form == Form::Sixteen);
            prop_assert_eq!(Transfer { form, ..read }, transfer);
        }
    }
}
