//! CDBs of more than 16 bytes (SPC-5, section 4.2.3), and the 32-byte commands (SBC-4), which carry what protection
//! information of type 2 is checked against.
//!
//! ```text
//! byte 0 7Fh   1 CONTROL   6 group   7 additional length   8 .. 9 service action
//! 10 flags, as byte 1 of the 16-byte form   12 .. 19 LBA   20 .. 23 reference tag   24 .. 25 application tag
//! 26 .. 27 application tag mask   28 .. 31 length
//! ```

use std::fmt;

use nom::Parser;
use nom::number::complete::{be_u8, be_u16, be_u32, be_u64};

use super::cdb::{Cdb, CdbError};
use super::medium::{Verify, WriteSame};
use super::transfer::{Form, Transfer};
use super::wire::skip;

const VARIABLE: u8 = 0x7f;
const READ: u16 = 0x0009;
const VERIFY: u16 = 0x000a;
const WRITE: u16 = 0x000b;
const WRITE_AND_VERIFY: u16 = 0x000c;
const WRITE_SAME: u16 = 0x000d;

/// A command descriptor block of 17 to 260 bytes, which travels in two parts.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct LongCdb(Vec<u8>);

impl LongCdb {
    /// The longest block: the additional length, a multiple of 4 in one byte, counts all but the first 8 bytes.
    pub const MAX_LEN: usize = 260;

    /// A block with these bytes; `None` if it has fewer than 17 or more than 260, or its first byte is not 7Fh, or its
    /// additional length does not fit.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let known = matches!(bytes, [VARIABLE, _, _, _, _, _, _, additional, rest @ ..]
            if rest.len() == usize::from(*additional));
        let fits = (Cdb::MAX_LEN + 1..=Self::MAX_LEN).contains(&bytes.len()) && bytes.len().is_multiple_of(4);
        (known && fits).then(|| Self(bytes.to_vec()))
    }

    /// All bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The first 16 bytes.
    pub fn head(&self) -> Cdb {
        let (head, _) = self.0.split_at_checked(Cdb::MAX_LEN).unwrap_or_default();
        Cdb::from_bytes(head).unwrap_or(Cdb::new(VARIABLE))
    }

    /// The bytes from the 17th on, which go into an additional header segment.
    pub fn tail(&self) -> &[u8] {
        self.0.get(Cdb::MAX_LEN..).unwrap_or_default()
    }

    /// The service action.
    pub fn service_action(&self) -> u16 {
        self.0.get(8..).and_then(<[u8]>::first_chunk).map_or(0, |bytes| u16::from_be_bytes(*bytes))
    }
}

impl fmt::Debug for LongCdb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LongCdb({self})")
    }
}

impl fmt::Display for LongCdb {
    /// The bytes in hexadecimal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, byte) in self.0.iter().enumerate() {
            let gap = if i == 0 { "" } else { " " };
            write!(f, "{gap}{byte:02x}")?;
        }
        Ok(())
    }
}

/// What the protection information of the first block is checked against.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Tags {
    /// EXPECTED INITIAL LOGICAL BLOCK REFERENCE TAG; each further block counts one more.
    pub reference: u32,
    /// EXPECTED LOGICAL BLOCK APPLICATION TAG.
    pub application: u16,
    /// LOGICAL BLOCK APPLICATION TAG MASK: the bits of it that count.
    pub mask: u16,
}

/// A 32-byte command. The form in its fields means nothing here.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum LongCommand {
    /// READ(32).
    Read(Transfer, Tags),
    /// WRITE(32).
    Write(Transfer, Tags),
    /// VERIFY(32).
    Verify(Verify, Tags),
    /// WRITE AND VERIFY(32).
    WriteAndVerify(Verify, Tags),
    /// WRITE SAME(32).
    WriteSame(WriteSame, Tags),
}

impl LongCommand {
    /// Bytes of the CDB.
    pub const LEN: usize = 32;

    /// Parses a CDB. Reserved bits are ignored.
    pub fn parse(cdb: &LongCdb) -> Result<Self, CdbError> {
        let bytes: &[u8; Self::LEN] = cdb.as_bytes().try_into().map_err(|_| CdbError::Field { byte: 7, bit: None })?;
        let (_, (((), group, (), action), (flags, (), lba), (reference, application, mask, blocks))) =
            ((skip::<6>, be_u8, skip::<1>, be_u16), (be_u8, skip::<1>, be_u64), (be_u32, be_u16, be_u16, be_u32))
                .parse(&bytes[..])
                .map_err(|_: nom::Err<nom::error::Error<&[u8]>>| CdbError::Truncated)?;
        let tags = Tags { reference, application, mask };
        // The 16-byte form has the same fields, and one place where they are taken apart.
        let short = |opcode| Cdb::new(opcode).byte(1, flags).long(2, lba).word(10, blocks).byte(14, group);
        let shifted = |error| match error {
            CdbError::Field { bit, .. } => CdbError::Field { byte: 10, bit },
            other => other,
        };
        Ok(match action {
            READ => Self::Read(Transfer::parse(&short(0x88)).map_err(shifted)?, tags),
            WRITE => Self::Write(Transfer::parse(&short(0x8a)).map_err(shifted)?, tags),
            VERIFY => Self::Verify(Verify::parse_verify(&short(0x8f)).map_err(shifted)?, tags),
            WRITE_AND_VERIFY => Self::WriteAndVerify(Verify::parse_write(&short(0x8e)).map_err(shifted)?, tags),
            WRITE_SAME => Self::WriteSame(WriteSame::parse(&short(0x93)).map_err(shifted)?, tags),
            _ => return Err(CdbError::Field { byte: 8, bit: None }),
        })
    }

    /// The CDB of this command.
    pub fn encode(&self) -> LongCdb {
        let sixteen = Form::Sixteen;
        let (action, short, tags) = match *self {
            Self::Read(command, tags) => (READ, Transfer { form: sixteen, ..command }.encode_read(), tags),
            Self::Write(command, tags) => (WRITE, Transfer { form: sixteen, ..command }.encode_write(), tags),
            Self::Verify(command, tags) => (VERIFY, Verify { form: sixteen, ..command }.encode_verify(), tags),
            Self::WriteAndVerify(command, tags) => {
                (WRITE_AND_VERIFY, Verify { form: sixteen, ..command }.encode_write(), tags)
            }
            Self::WriteSame(command, tags) => (WRITE_SAME, WriteSame { form: sixteen, ..command }.encode(), tags),
        };
        let [_, flags, place @ .., group, _] = short.as_padded();
        let mut out = vec![VARIABLE, 0, 0, 0, 0, 0, group, (Self::LEN - 8) as u8];
        out.extend_from_slice(&action.to_be_bytes());
        out.extend_from_slice(&[flags, 0]);
        let (lba, blocks) = place.split_at_checked(8).unwrap_or_default();
        out.extend_from_slice(lba);
        out.extend_from_slice(&tags.reference.to_be_bytes());
        out.extend_from_slice(&tags.application.to_be_bytes());
        out.extend_from_slice(&tags.mask.to_be_bytes());
        out.extend_from_slice(blocks);
        LongCdb(out)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::scsi::ByteCheck;

    const TAGS: Tags = Tags { reference: 0x1112_1314, application: 0x1516, mask: 0x1718 };

    #[test]
    fn the_commands_have_their_bytes() {
        let transfer =
            Transfer { dpo: true, fua: true, protect: 1, group: 5, ..Transfer::new(0x0102_0304_0506_0708, 9) };
        let verify = Verify { check: ByteCheck::Compare, ..Verify::new(0x0102_0304_0506_0708, 9) };
        let same = WriteSame { unmap: true, no_data: true, ..WriteSame::new(0x0102_0304_0506_0708, 9) };
        let rest = "00 01 02 03 04 05 06 07 08 11 12 13 14 15 16 17 18 00 00 00 09";
        for (command, head) in [
            (LongCommand::Read(transfer, TAGS), "7f 00 00 00 00 00 05 18 00 09 38"),
            (LongCommand::Verify(verify, TAGS), "7f 00 00 00 00 00 00 18 00 0a 02"),
            (LongCommand::Write(transfer, TAGS), "7f 00 00 00 00 00 05 18 00 0b 38"),
            (LongCommand::WriteAndVerify(verify, TAGS), "7f 00 00 00 00 00 00 18 00 0c 02"),
            (LongCommand::WriteSame(same, TAGS), "7f 00 00 00 00 00 00 18 00 0d 09"),
        ] {
            let cdb = command.encode();
            assert_eq!(cdb.to_string(), format!("{head} {rest}"));
            assert_eq!([cdb.head().as_bytes(), cdb.tail()].concat(), cdb.as_bytes());
            assert_eq!(LongCdb::from_bytes(cdb.as_bytes()).as_ref(), Some(&cdb));
            assert_eq!(LongCommand::parse(&cdb), Ok(command));
        }
    }

    #[test]
    fn a_block_has_the_length_that_it_tells() {
        let block = |len: usize, additional: u8| {
            let mut bytes = vec![0; len];
            bytes[0] = VARIABLE;
            bytes[7] = additional;
            LongCdb::from_bytes(&bytes)
        };
        assert_eq!(block(20, 12).unwrap().tail().len(), 4);
        assert_eq!(block(260, 252).unwrap().tail().len(), 244);
        for (len, additional) in [(16, 8), (18, 10), (32, 20), (32, 28), (264, 255), (8, 0)] {
            assert_eq!(block(len, additional), None, "{len} {additional}");
        }
        let mut other = LongCommand::Read(Transfer::new(0, 1), TAGS).encode().as_bytes().to_vec();
        other[0] = 0x7e;
        assert_eq!(LongCdb::from_bytes(&other), None);
    }

    #[test]
    fn what_is_wrong_with_a_command_is_told_apart() {
        let change = |at: usize, value| {
            let mut bytes = LongCommand::Verify(Verify::new(0, 1), TAGS).encode().as_bytes().to_vec();
            bytes[at] = value;
            LongCommand::parse(&LongCdb::from_bytes(&bytes).unwrap())
        };
        assert_eq!(change(9, 0x0e), Err(CdbError::Field { byte: 8, bit: None }));
        assert_eq!(change(10, 0x04), Err(CdbError::Field { byte: 10, bit: Some(2) }));
        let mut longer = vec![0; 36];
        (longer[0], longer[7], longer[9]) = (VARIABLE, 28, 9);
        let longer = LongCdb::from_bytes(&longer).unwrap();
        assert_eq!(LongCommand::parse(&longer), Err(CdbError::Field { byte: 7, bit: None }));
        assert_eq!(longer.service_action(), 9);
    }

    proptest! {
        #[test]
        fn r301_what_parses_round_trips(mut bytes: [u8; 32], action in 8..0x10u8) {
            (bytes[0], bytes[7], bytes[8], bytes[9]) = (VARIABLE, 0x18, 0, action);
            let cdb = LongCdb::from_bytes(&bytes).unwrap();
            if let Ok(command) = LongCommand::parse(&cdb) {
                prop_assert_eq!(LongCommand::parse(&command.encode()), Ok(command));
            }
        }
    }
}
