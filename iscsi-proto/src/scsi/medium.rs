//! Commands that address blocks without being a plain READ or WRITE (SBC-4).
//!
//! ```text
//! VERIFY, WRITE AND VERIFY  byte 1   protect(3) DPO . BYTCHK(2) .
//! SYNCHRONIZE CACHE         byte 1   . . . . . . IMMED .            length 0 reaches to the end
//! WRITE SAME                byte 1   protect(3) ANCHOR UNMAP . . NDOB   NDOB only in the 16-byte form
//! COMPARE AND WRITE         byte 1   protect(3) DPO FUA . . .   2 .. 9 LBA   13 length   14 group
//! ```
//!
//! Address, length and group are where READ and WRITE of the same form have them.

use nom::Parser;
use nom::number::complete::{be_u8, be_u64};

use super::transfer::Place;
use super::wire::{bit, skip};
use super::{Cdb, CdbError, Form, Transfer};

const DPO: u8 = 0x10;
const FUA: u8 = 0x08;
const IMMED: u8 = 0x02;
const ANCHOR: u8 = 0x10;
const UNMAP: u8 = 0x08;
/// PBDATA and LBDATA, which are obsolete and would have the addresses written into the blocks.
const OBSOLETE_DATA: u8 = 0x06;
const NDOB: u8 = 0x01;

/// What a verification compares with (BYTCHK).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[repr(u8)]
pub enum ByteCheck {
    /// Nothing: the medium is checked, and no data moves.
    #[default]
    Medium = 0,
    /// All blocks with the data sent.
    Compare = 1,
    /// Each block with the one block sent; not in WRITE AND VERIFY.
    CompareOne = 3,
}

/// VERIFY or WRITE AND VERIFY.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Verify {
    /// First logical block.
    pub lba: u64,
    /// How many blocks.
    pub blocks: u32,
    /// DPO bit: the blocks are unlikely to be used again soon.
    pub dpo: bool,
    /// What is compared.
    pub check: ByteCheck,
    /// VRPROTECT or WRPROTECT, 0 to 7.
    pub protect: u8,
    /// Group number, 0 to 63.
    pub group: u8,
    /// Which CDB carries it, not [`Form::Six`]; see [`Transfer::form`].
    pub form: Form,
}

impl Verify {
    /// `blocks` from `lba` on, without a comparison.
    pub const fn new(lba: u64, blocks: u32) -> Self {
        let form = Transfer::new(lba, blocks).form;
        Self { lba, blocks, dpo: false, check: ByteCheck::Medium, protect: 0, group: 0, form }
    }

    pub(super) fn parse_verify(cdb: &Cdb) -> Result<Self, CdbError> {
        let Place { form, lba, blocks, flags, group } = Place::parse(cdb)?;
        let check = match flags >> 1 & 3 {
            0 => ByteCheck::Medium,
            1 => ByteCheck::Compare,
            3 => ByteCheck::CompareOne,
            _ => return Err(CdbError::Field { byte: 1, bit: Some(2) }),
        };
        Ok(Self { lba, blocks, dpo: flags & DPO != 0, check, protect: flags >> 5, group, form })
    }

    pub(super) fn parse_write(cdb: &Cdb) -> Result<Self, CdbError> {
        match Self::parse_verify(cdb)? {
            Self { check: ByteCheck::CompareOne, .. } => Err(CdbError::Field { byte: 1, bit: Some(2) }),
            command => Ok(command),
        }
    }

    /// VERIFY of these blocks.
    pub const fn encode_verify(&self) -> Cdb {
        self.place().encode(0x2f, 0x8f)
    }

    /// WRITE AND VERIFY of these blocks.
    pub const fn encode_write(&self) -> Cdb {
        self.place().encode(0x2e, 0x8e)
    }

    const fn place(&self) -> Place {
        let form = match self.form {
            Form::Six => Form::Sixteen,
            form => form,
        };
        let flags = self.protect << 5 | bit(self.dpo, DPO) | (self.check as u8) << 1;
        Place { form, lba: self.lba, blocks: self.blocks, flags, group: self.group }
    }
}

/// SYNCHRONIZE CACHE.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct SyncCache {
    /// First logical block.
    pub lba: u64,
    /// How many blocks; 0 reaches to the end of the medium.
    pub blocks: u32,
    /// IMMED bit: status comes before the operation has ended.
    pub immediate: bool,
    /// Group number, 0 to 63.
    pub group: u8,
    /// [`Form::Ten`] or [`Form::Sixteen`]; others give way to the latter, as does one that is too small.
    pub form: Form,
}

impl SyncCache {
    /// The whole unit, in the 10-byte form that every target knows.
    pub const ALL: Self = Self { lba: 0, blocks: 0, immediate: false, group: 0, form: Form::Ten };

    /// `blocks` from `lba` on; 0 reaches to the end of the medium.
    pub const fn new(lba: u64, blocks: u32) -> Self {
        Self { lba, blocks, form: Transfer::new(lba, blocks).form, ..Self::ALL }
    }

    pub(super) fn parse(cdb: &Cdb) -> Result<Self, CdbError> {
        let Place { form, lba, blocks, flags, group } = Place::parse(cdb)?;
        Ok(Self { lba, blocks, immediate: flags & IMMED != 0, group, form })
    }

    /// The CDB of this command.
    pub const fn encode(&self) -> Cdb {
        let flags = bit(self.immediate, IMMED);
        Place { form: long(self.form), lba: self.lba, blocks: self.blocks, flags, group: self.group }.encode(0x35, 0x91)
    }
}

/// WRITE SAME: one block, written over and over.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct WriteSame {
    /// First logical block.
    pub lba: u64,
    /// How many blocks; 0 reaches to the end of the medium, unless block limits forbid it (WSNZ).
    pub blocks: u32,
    /// UNMAP bit: blocks may be unmapped if they then read as the data sent.
    pub unmap: bool,
    /// ANCHOR bit: unmapped blocks stay anchored.
    pub anchor: bool,
    /// NDOB bit: no block is sent, zeroes are meant. Only the 16-byte form has it.
    pub no_data: bool,
    /// WRPROTECT, 0 to 7.
    pub protect: u8,
    /// Group number, 0 to 63.
    pub group: u8,
    /// [`Form::Ten`] or [`Form::Sixteen`]; others give way to the latter, as does one that is too small.
    pub form: Form,
}

impl WriteSame {
    /// `blocks` from `lba` on, with the block sent.
    pub const fn new(lba: u64, blocks: u32) -> Self {
        let form = Transfer::new(lba, blocks).form;
        Self { lba, blocks, unmap: false, anchor: false, no_data: false, protect: 0, group: 0, form }
    }

    pub(super) fn parse(cdb: &Cdb) -> Result<Self, CdbError> {
        let Place { form, lba, blocks, flags, group } = Place::parse(cdb)?;
        if flags & OBSOLETE_DATA != 0 {
            return Err(CdbError::Field { byte: 1, bit: Some(2) });
        }
        let no_data = flags & NDOB != 0;
        if no_data && form != Form::Sixteen {
            return Err(CdbError::Field { byte: 1, bit: Some(0) });
        }
        let (unmap, anchor) = (flags & UNMAP != 0, flags & ANCHOR != 0);
        Ok(Self { lba, blocks, unmap, anchor, no_data, protect: flags >> 5, group, form })
    }

    /// The CDB of this command.
    pub const fn encode(&self) -> Cdb {
        let form = if self.no_data { Form::Sixteen } else { long(self.form) };
        let flags = self.protect << 5 | bit(self.anchor, ANCHOR) | bit(self.unmap, UNMAP) | bit(self.no_data, NDOB);
        Place { form, lba: self.lba, blocks: self.blocks, flags, group: self.group }.encode(0x41, 0x93)
    }
}

/// COMPARE AND WRITE: blocks to compare with, then blocks to write if they are equal.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct CompareAndWrite {
    /// First logical block.
    pub lba: u64,
    /// How many blocks; twice as many are sent.
    pub blocks: u8,
    /// DPO bit: the blocks are unlikely to be used again soon.
    pub dpo: bool,
    /// FUA bit: past the volatile cache.
    pub fua: bool,
    /// WRPROTECT, 0 to 7.
    pub protect: u8,
    /// Group number, 0 to 63.
    pub group: u8,
}

impl CompareAndWrite {
    pub(super) fn parse(cdb: &Cdb) -> Result<Self, CdbError> {
        let (flags, lba, (), blocks, group) =
            cdb.fields(|input| (be_u8, be_u64, skip::<3>, be_u8, be_u8).parse(input))?;
        let (dpo, fua) = (flags & DPO != 0, flags & FUA != 0);
        Ok(Self { lba, blocks, dpo, fua, protect: flags >> 5, group: group & 0x3f })
    }

    /// The CDB of this command.
    pub const fn encode(&self) -> Cdb {
        Cdb::new(0x89)
            .byte(1, self.protect << 5 | bit(self.dpo, DPO) | bit(self.fua, FUA))
            .long(2, self.lba)
            .byte(13, self.blocks)
            .byte(14, self.group & 0x3f)
    }
}

const fn long(form: Form) -> Form {
    match form {
        Form::Ten => Form::Ten,
        _ => Form::Sixteen,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::scsi::Command;

    fn hex(command: Command) -> String {
        command.encode().to_string()
    }

    #[test]
    fn the_commands_have_their_bytes() {
        let verify = Verify { dpo: true, check: ByteCheck::Compare, protect: 1, group: 5, ..Verify::new(0x1_0000, 2) };
        let write_same = WriteSame { unmap: true, anchor: true, ..WriteSame::new(8, 9) };
        let swap = CompareAndWrite { lba: 0x0102, blocks: 1, fua: true, ..CompareAndWrite::default() };
        for (command, bytes) in [
            (Command::Verify(verify), "2f 32 00 01 00 00 05 00 02 00"),
            (Command::Verify(Verify { form: Form::Twelve, ..verify }), "af 32 00 01 00 00 00 00 00 02 05 00"),
            (Command::WriteAndVerify(verify), "2e 32 00 01 00 00 05 00 02 00"),
            (Command::WriteAndVerify(Verify::new(1 << 32, 2)), "8e 00 00 00 00 01 00 00 00 00 00 00 00 02 00 00"),
            (Command::SyncCache(SyncCache::ALL), "35 00 00 00 00 00 00 00 00 00"),
            (
                Command::SyncCache(SyncCache { immediate: true, ..SyncCache::new(1, 0x1_0000) }),
                "91 02 00 00 00 00 00 00 00 01 00 01 00 00 00 00",
            ),
            (Command::WriteSame(write_same), "41 18 00 00 00 08 00 00 09 00"),
            (
                Command::WriteSame(WriteSame { no_data: true, ..write_same }),
                "93 19 00 00 00 00 00 00 00 08 00 00 00 09 00 00",
            ),
            (Command::CompareAndWrite(swap), "89 08 00 00 00 00 00 00 01 02 00 00 00 01 00 00"),
        ] {
            assert_eq!(hex(command), bytes);
        }
    }

    #[test]
    fn a_form_that_does_not_exist_gives_way() {
        let six = Form::Six;
        for (command, opcode) in [
            (Command::Verify(Verify { form: six, ..Verify::new(1, 1) }), 0x8f),
            (Command::WriteAndVerify(Verify { form: six, ..Verify::new(1, 1) }), 0x8e),
            (Command::SyncCache(SyncCache { form: six, ..SyncCache::ALL }), 0x91),
            (Command::WriteSame(WriteSame { form: Form::Twelve, ..WriteSame::new(1, 1) }), 0x93),
        ] {
            assert_eq!(command.encode().opcode(), opcode);
        }
    }

    #[test]
    fn fields_with_reserved_values_are_refused() {
        let refused =
            |opcode: u8, flags: u8| Command::parse(&[opcode, flags, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        let error = |bit| Err(CdbError::Field { byte: 1, bit: Some(bit) });
        for opcode in [0x2f, 0xaf, 0x8f, 0x2e, 0xae, 0x8e] {
            assert_eq!(refused(opcode, 0x04), error(2), "{opcode:#x}");
            assert!(refused(opcode, 0x02).is_ok(), "{opcode:#x}");
            assert_eq!(refused(opcode, 0x06).is_ok(), opcode & 0x0f == 0x0f, "{opcode:#x}");
        }
        assert_eq!(refused(0x41, 0x02), error(2));
        assert_eq!(refused(0x93, 0x04), error(2));
        assert_eq!(refused(0x41, 0x01), error(0));
        assert!(refused(0x93, 0x01).is_ok());
    }

    proptest! {
        #[test]
        fn the_commands_round_trip(
            lba: u64, blocks: u32, shift in 0..33u32, group in 0..64u8, protect in 0..8u8, flags: (bool, bool, bool),
            check in prop::sample::select(vec![ByteCheck::Medium, ByteCheck::Compare, ByteCheck::CompareOne]),
        ) {
            let (a, b, c) = flags;
            let (lba, blocks) = (lba >> shift, blocks >> (shift / 2));
            let verify = Verify { dpo: a, check, protect, group, ..Verify::new(lba, blocks) };
            let write = Verify { check: if b { ByteCheck::Compare } else { ByteCheck::Medium }, ..verify };
            let same = WriteSame { unmap: a, anchor: b, protect, group, ..WriteSame::new(lba, blocks) };
            let same = if c { WriteSame { no_data: true, form: Form::Sixteen, ..same } } else { same };
            for command in [
                Command::Verify(verify),
                Command::WriteAndVerify(write),
                Command::SyncCache(SyncCache { immediate: a, group, ..SyncCache::new(lba, blocks) }),
                Command::WriteSame(same),
                Command::CompareAndWrite(CompareAndWrite { lba, blocks: blocks as u8, dpo: a, fua: b, protect, group }),
            ] {
                prop_assert_eq!(Command::parse(&command.encode().as_padded()), Ok(command));
            }
        }
    }
}
