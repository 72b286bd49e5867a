//! Copying without the data passing through the initiator (SPC-5, section 5.18; SBC-4, section 4.31).
//!
//! ```text
//! EXTENDED COPY (LID1)   83h/00h   10 .. 13 parameter list length            the list has the list identifier
//! EXTENDED COPY (LID4)   83h/01h   10 .. 13 parameter list length            the list has the list identifier
//! POPULATE TOKEN         83h/10h    6 ..  9 list identifier   10 .. 13 parameter list length   14 group
//! WRITE USING TOKEN      83h/11h    6 ..  9 list identifier   10 .. 13 parameter list length   14 group
//! COPY OPERATION ABORT   83h/1Ch    2 ..  5 list identifier
//! RECEIVE COPY RESULTS   84h/..     2 (LID1) or 2 .. 5 list identifier   10 .. 13 allocation length
//! ```

mod list;
mod parameters;
mod segment;
mod status;
mod token;

pub use list::{CopyHeader, CopyList};
pub use parameters::CopyParameters;
pub use segment::{CopyTarget, Segment};
pub use status::{CopyStatus, FailedSegment, OperationStatus};
pub use token::{PopulateList, RodToken, TokenReport, UseList};

use nom::Parser;
use nom::number::complete::{be_u8, be_u32};

use super::wire::skip;
use super::{Cdb, CdbError};

/// EXTENDED COPY.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct ExtendedCopy {
    /// The form with list identifiers of 4 bytes (LID4), else of 1 byte (LID1).
    pub long_id: bool,
    /// Bytes of the parameter list.
    pub length: u32,
}

impl ExtendedCopy {
    pub(super) fn parse(cdb: &Cdb) -> Result<Self, CdbError> {
        let ((), length) = cdb.fields(|input| (skip::<9>, be_u32).parse(input))?;
        Ok(Self { long_id: cdb.service_action() == 1, length })
    }

    /// The CDB of this command.
    pub const fn encode(&self) -> Cdb {
        Cdb::new(0x83).byte(1, self.long_id as u8).word(10, self.length)
    }
}

/// POPULATE TOKEN or WRITE USING TOKEN.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct TokenCommand {
    /// List identifier, by which the operation is asked about and aborted.
    pub list_id: u32,
    /// Bytes of the parameter list, a [`PopulateList`] or a [`UseList`].
    pub length: u32,
    /// Group number, 0 to 63.
    pub group: u8,
}

impl TokenCommand {
    pub(super) fn parse(cdb: &Cdb) -> Result<Self, CdbError> {
        let ((), list_id, length, group) = cdb.fields(|input| (skip::<5>, be_u32, be_u32, be_u8).parse(input))?;
        Ok(Self { list_id, length, group: group & 0x3f })
    }

    /// POPULATE TOKEN.
    pub const fn encode_populate(&self) -> Cdb {
        self.encode(0x10)
    }

    /// WRITE USING TOKEN.
    pub const fn encode_use(&self) -> Cdb {
        self.encode(0x11)
    }

    const fn encode(&self, action: u8) -> Cdb {
        Cdb::new(0x83).byte(1, action).word(6, self.list_id).word(10, self.length).byte(14, self.group & 0x3f)
    }
}

/// COPY OPERATION ABORT.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct CopyAbort {
    /// List identifier of the operation.
    pub list_id: u32,
}

impl CopyAbort {
    pub(super) fn parse(cdb: &Cdb) -> Result<Self, CdbError> {
        cdb.fields(|input| (skip::<1>, be_u32).parse(input)).map(|((), list_id)| Self { list_id })
    }

    /// The CDB of this command.
    pub const fn encode(&self) -> Cdb {
        Cdb::new(0x83).byte(1, 0x1c).word(2, self.list_id)
    }
}

/// What RECEIVE COPY RESULTS reports.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CopyQuery {
    /// COPY STATUS (LID1): how far it is, a [`CopyStatus`].
    Status(u8),
    /// OPERATING PARAMETERS: what the copy manager can do, [`CopyParameters`].
    Parameters,
    /// FAILED SEGMENT DETAILS: why it failed, a [`FailedSegment`].
    Failed(u8),
    /// COPY STATUS (LID4): how far it is, an [`OperationStatus`].
    LongStatus(u32),
    /// ROD TOKEN INFORMATION: what POPULATE TOKEN made, a [`TokenReport`].
    Tokens(u32),
    /// REPORT ALL ROD TOKENS: those that the copy manager keeps.
    AllTokens,
}

/// RECEIVE COPY RESULTS.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CopyResults {
    /// What is asked, of the operation with this list identifier.
    pub query: CopyQuery,
    /// Bytes there is room for.
    pub allocation: u32,
}

impl CopyResults {
    pub(super) fn parse(cdb: &Cdb) -> Result<Self, CdbError> {
        let ((), id, (), allocation) = cdb.fields(|input| (skip::<1>, be_u32, skip::<4>, be_u32).parse(input))?;
        let query = match cdb.service_action() {
            0x00 => CopyQuery::Status((id >> 24) as u8),
            0x03 => CopyQuery::Parameters,
            0x04 => CopyQuery::Failed((id >> 24) as u8),
            0x05 => CopyQuery::LongStatus(id),
            0x07 => CopyQuery::Tokens(id),
            0x08 => CopyQuery::AllTokens,
            _ => return Err(CdbError::SERVICE_ACTION),
        };
        Ok(Self { query, allocation })
    }

    /// The CDB of this command.
    pub const fn encode(&self) -> Cdb {
        let (action, id) = match self.query {
            CopyQuery::Status(id) => (0x00, (id as u32) << 24),
            CopyQuery::Parameters => (0x03, 0),
            CopyQuery::Failed(id) => (0x04, (id as u32) << 24),
            CopyQuery::LongStatus(id) => (0x05, id),
            CopyQuery::Tokens(id) => (0x07, id),
            CopyQuery::AllTokens => (0x08, 0),
        };
        Cdb::new(0x84).byte(1, action).word(2, id).word(10, self.allocation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scsi::Command;

    #[test]
    fn the_commands_have_their_bytes() {
        let token = TokenCommand { list_id: 0x0102_0304, length: 0x38, group: 5 };
        let results = |query| Command::CopyResults(CopyResults { query, allocation: 0x0400 });
        for (command, bytes) in [
            (
                Command::ExtendedCopy(ExtendedCopy { long_id: false, length: 0x70 }),
                "83 00 00 00 00 00 00 00 00 00 00 00 00 70 00 00",
            ),
            (
                Command::ExtendedCopy(ExtendedCopy { long_id: true, length: 0x90 }),
                "83 01 00 00 00 00 00 00 00 00 00 00 00 90 00 00",
            ),
            (Command::PopulateToken(token), "83 10 00 00 00 00 01 02 03 04 00 00 00 38 05 00"),
            (Command::WriteUsingToken(token), "83 11 00 00 00 00 01 02 03 04 00 00 00 38 05 00"),
            (Command::CopyAbort(CopyAbort { list_id: 9 }), "83 1c 00 00 00 09 00 00 00 00 00 00 00 00 00 00"),
            (results(CopyQuery::Status(7)), "84 00 07 00 00 00 00 00 00 00 00 00 04 00 00 00"),
            (results(CopyQuery::Parameters), "84 03 00 00 00 00 00 00 00 00 00 00 04 00 00 00"),
            (results(CopyQuery::Failed(7)), "84 04 07 00 00 00 00 00 00 00 00 00 04 00 00 00"),
            (results(CopyQuery::LongStatus(7)), "84 05 00 00 00 07 00 00 00 00 00 00 04 00 00 00"),
            (results(CopyQuery::Tokens(7)), "84 07 00 00 00 07 00 00 00 00 00 00 04 00 00 00"),
            (results(CopyQuery::AllTokens), "84 08 00 00 00 00 00 00 00 00 00 00 04 00 00 00"),
        ] {
            assert_eq!(command.encode().to_string(), bytes);
            assert_eq!(Command::parse(command.encode().as_bytes()), Ok(command));
        }
        for (opcode, action) in [(0x83, 2), (0x83, 0x12), (0x84, 1), (0x84, 0x1f)] {
            let mut bytes = [0; 16];
            bytes[..2].copy_from_slice(&[opcode, action]);
            assert_eq!(Command::parse(&bytes), Err(CdbError::SERVICE_ACTION), "{opcode:#x}/{action:#x}");
        }
    }
}
