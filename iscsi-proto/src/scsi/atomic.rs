//! WRITE ATOMIC(16) (SBC-4).
//!
//! ```text
//! byte 1   protect(3) DPO FUA . . .   2 .. 9 LBA   10 .. 11 boundary   12 .. 13 length   14 group
//! ```

use nom::Parser;
use nom::number::complete::{be_u8, be_u16, be_u64};

use super::wire::bit;
use super::{Cdb, CdbError};

const DPO: u8 = 0x10;
const FUA: u8 = 0x08;

/// WRITE ATOMIC(16): all of its blocks are written or none, also through a loss of power.
///
/// Limits are in [`BlockLimits`](super::BlockLimits).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct WriteAtomic {
    /// First logical block.
    pub lba: u64,
    /// How many blocks.
    pub blocks: u16,
    /// Blocks of each atomic part; 0 makes one of the whole.
    pub boundary: u16,
    /// DPO bit: the blocks are unlikely to be used again soon.
    pub dpo: bool,
    /// FUA bit: past the volatile cache.
    pub fua: bool,
    /// WRPROTECT, 0 to 7.
    pub protect: u8,
    /// Group number, 0 to 63.
    pub group: u8,
}

impl WriteAtomic {
    pub(super) fn parse(cdb: &Cdb) -> Result<Self, CdbError> {
        let (flags, lba, boundary, blocks, group) =
            cdb.fields(|input| (be_u8, be_u64, be_u16, be_u16, be_u8).parse(input))?;
        let (dpo, fua) = (flags & DPO != 0, flags & FUA != 0);
        Ok(Self { lba, blocks, boundary, dpo, fua, protect: flags >> 5, group: group & 0x3f })
    }

    /// The CDB of this command.
    pub const fn encode(&self) -> Cdb {
        Cdb::new(0x9c)
            .byte(1, self.protect << 5 | bit(self.dpo, DPO) | bit(self.fua, FUA))
            .long(2, self.lba)
            .half(10, self.boundary)
            .half(12, self.blocks)
            .byte(14, self.group & 0x3f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::scsi::{Command, Form, Transfer};

    #[test]
    fn the_commands_have_their_bytes() {
        let atomic = WriteAtomic {
            lba: 0x0102,
            blocks: 0x0304,
            boundary: 8,
            dpo: true,
            fua: true,
            protect: 1,
            ..WriteAtomic::default()
        };
        for (command, bytes) in [
            (Command::WriteAtomic(atomic), "9c 38 00 00 00 00 00 00 01 02 00 08 03 04 00 00"),
            (Command::OrWrite(Transfer::new(3, 4).with_fua(true)), "8b 08 00 00 00 00 00 00 00 03 00 00 00 04 00 00"),
        ] {
            assert_eq!(command.encode().to_string(), bytes);
        }
    }

    proptest! {
        #[test]
        fn they_round_trip(lba: u64, blocks: u32, boundary: u16, flags: (bool, bool), protect in 0..8u8, group in 0..64u8) {
            let (dpo, fua) = flags;
            let write = WriteAtomic { lba, blocks: blocks as u16, boundary, dpo, fua, protect, group };
            let or = Transfer { lba, blocks, dpo, fua, protect, group, form: Form::Sixteen };
            for command in [Command::WriteAtomic(write), Command::OrWrite(or)] {
                prop_assert_eq!(Command::parse(command.encode().as_bytes()), Ok(command));
            }
        }
    }
}
