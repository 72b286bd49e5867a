//! XDWRITEREAD(10) (SBC-3): the one command of block devices that moves data both ways.
//!
//! ```text
//! byte 1   protect(3) DPO FUA DISABLE_WRITE . XORPINFO   2 .. 5 LBA   6 group   7 .. 8 length
//! ```

use nom::Parser;
use nom::number::complete::{be_u8, be_u16, be_u32};

use super::wire::bit;
use super::{Cdb, CdbError};

const DPO: u8 = 0x10;
const FUA: u8 = 0x08;
const DISABLE_WRITE: u8 = 0x04;
const XORPINFO: u8 = 0x01;

/// XDWRITEREAD(10): writes blocks, and returns them combined with what was there by exclusive or.
///
/// It is not among [`Command`](super::Command)s, whose data goes one way. On iSCSI it needs an additional header segment with
/// the length of what is read.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct XdWriteRead {
    /// First logical block.
    pub lba: u32,
    /// How many blocks go either way.
    pub blocks: u16,
    /// DPO bit: the blocks are unlikely to be used again soon.
    pub dpo: bool,
    /// FUA bit: past the volatile cache.
    pub fua: bool,
    /// DISABLE WRITE bit: nothing is written.
    pub disable_write: bool,
    /// XORPINFO bit: protection information is combined too.
    pub xor_protection: bool,
    /// WRPROTECT, 0 to 7.
    pub protect: u8,
    /// Group number, 0 to 63.
    pub group: u8,
}

impl XdWriteRead {
    /// Operation code.
    pub const OPCODE: u8 = 0x53;

    /// Parses the CDB.
    pub fn parse(bytes: &[u8]) -> Result<Self, CdbError> {
        let cdb = Cdb::read_from(bytes)?;
        if cdb.opcode() != Self::OPCODE {
            return Err(CdbError::Opcode(cdb.opcode()));
        }
        let (flags, lba, group, blocks) = cdb.fields(|input| (be_u8, be_u32, be_u8, be_u16).parse(input))?;
        Ok(Self {
            lba,
            blocks,
            dpo: flags & DPO != 0,
            fua: flags & FUA != 0,
            disable_write: flags & DISABLE_WRITE != 0,
            xor_protection: flags & XORPINFO != 0,
            protect: flags >> 5,
            group: group & 0x3f,
        })
    }

    /// The CDB of this command.
    pub const fn encode(&self) -> Cdb {
        let flags = self.protect << 5
            | bit(self.dpo, DPO)
            | bit(self.fua, FUA)
            | bit(self.disable_write, DISABLE_WRITE)
            | bit(self.xor_protection, XORPINFO);
        Cdb::new(Self::OPCODE).byte(1, flags).word(2, self.lba).byte(6, self.group & 0x3f).half(7, self.blocks)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_command_has_its_bytes() {
        let command = XdWriteRead { lba: 0x0102, blocks: 3, disable_write: true, ..XdWriteRead::default() };
        assert_eq!(command.encode().to_string(), "53 04 00 00 01 02 00 00 03 00");
        assert_eq!(XdWriteRead::parse(&[0x28; 10]), Err(CdbError::Opcode(0x28)));
        assert_eq!(XdWriteRead::parse(&[0x53; 9]), Err(CdbError::Truncated));
    }

    proptest! {
        #[test]
        fn r301_what_parses_round_trips(mut bytes: [u8; 10]) {
            bytes[0] = XdWriteRead::OPCODE;
            let command = XdWriteRead::parse(&bytes).unwrap();
            prop_assert_eq!(XdWriteRead::parse(command.encode().as_bytes()), Ok(command));
        }
    }
}
