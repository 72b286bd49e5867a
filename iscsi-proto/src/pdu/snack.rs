//! SNACK Request (RFC 7143, section 11.16).
//!
//! ```text
//!  byte 1   1 . . . Type(4)     8 .. 15  LUN (DataACK)
//! 20 .. 23  Target Transfer Tag or SNACK Tag
//! 40 .. 47  BegRun, RunLength
//! ```

use nom::Parser;
use nom::number::complete::{be_u8, be_u32};

use super::PduError;
use super::header::{Builder, Header, Opcode, itt, lun, serial, skip};
use crate::scsi::Lun;
use crate::serial::Serial;
use crate::tags::Itt;

/// What is asked for again, or acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum SnackType {
    /// Data-In or R2T PDUs.
    Data = 0,
    /// Status.
    Status = 1,
    /// Acknowledges Data-In PDUs.
    DataAck = 2,
    /// Data-In PDUs, cut anew.
    RData = 3,
}

/// SNACK Request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Snack {
    /// What it is.
    pub kind: SnackType,
    /// Copied from the Data-In that is acknowledged.
    pub lun: Lun,
    /// Initiator Task Tag of the command, or reserved.
    pub itt: Itt,
    /// Target Transfer Tag (DataACK), SNACK Tag (R-Data) or reserved.
    pub tag: u32,
    /// ExpStatSN.
    pub exp_stat_sn: Serial,
    /// First number that is wanted, or next one expected.
    pub begin: Serial,
    /// How many; 0 means all from `begin`.
    pub length: u32,
}

impl Snack {
    /// Parses a SNACK header.
    pub fn parse(header: &Header) -> Result<Self, PduError> {
        let (_, kind, (), lun, itt, tag, (), exp_stat_sn, (), begin, length) =
            header.parse(Opcode::Snack, |input| {
                (skip::<1>, be_u8, skip::<6>, lun, itt, be_u32, skip::<4>, serial, skip::<8>, serial, be_u32)
                    .parse(input)
            })?;
        header.without_data("11.2.1.6")?;
        let kind = match kind & 0x0f {
            0 => SnackType::Data,
            1 => SnackType::Status,
            2 => SnackType::DataAck,
            3 => SnackType::RData,
            other => {
                return Err(PduError::ReservedValue { field: "Type", value: other.into(), section: "11.16.1" });
            }
        };
        Ok(Self { kind, lun, itt, tag, exp_stat_sn, begin, length })
    }

    /// The header of this request.
    pub fn encode(&self) -> Header {
        Builder::new(Opcode::Snack, false, 0x80 | self.kind as u8)
            .lun(self.lun)
            .itt(self.itt)
            .word(20, self.tag)
            .word(28, self.exp_stat_sn.0)
            .word(40, self.begin.0)
            .word(44, self.length)
            .build()
    }
}
