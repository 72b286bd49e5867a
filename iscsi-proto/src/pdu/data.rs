//! SCSI Data-Out and SCSI Data-In (RFC 7143, section 11.7).
//!
//! ```text
//! both      byte 1   F              8 .. 15  LUN     20 .. 23  Target Transfer Tag
//!           36 .. 43 DataSN, Buffer Offset
//! Data-In   byte 1   F A . . . O U S    byte 3   Status    44 .. 47  Residual Count
//! ```

use nom::Parser;
use nom::number::complete::{be_u8, be_u32};

use super::PduError;
use super::header::{Builder, Header, Numbering, Opcode, bit, itt, lun, numbering, serial, skip, ttt};
use super::scsi::Residual;
use crate::scsi::{Lun, Status};
use crate::serial::Serial;
use crate::tags::{Itt, Ttt};

const FINAL: u8 = 0x80;
const ACKNOWLEDGE: u8 = 0x40;
const OVERFLOW: u8 = 0x04;
const UNDERFLOW: u8 = 0x02;
const STATUS: u8 = 0x01;

/// Data-Out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DataOut {
    /// F bit: the last PDU of an unsolicited burst or of the answer to an R2T.
    pub fin: bool,
    /// Copied from the R2T; zero for unsolicited data.
    pub lun: Lun,
    /// Initiator Task Tag of the command.
    pub itt: Itt,
    /// Copied from the R2T; reserved for unsolicited data.
    pub ttt: Ttt,
    /// ExpStatSN.
    pub exp_stat_sn: Serial,
    /// Counts the PDUs of one burst from 0.
    pub data_sn: Serial,
    /// Where the data goes, in bytes from the start of the command's buffer.
    pub offset: u32,
}

impl DataOut {
    /// Parses a Data-Out header.
    pub fn parse(header: &Header) -> Result<Self, PduError> {
        let (_, flags, (), lun, itt, ttt, (), exp_stat_sn, (), data_sn, offset) = header
            .parse(Opcode::DataOut, |input| {
                (be_u8, be_u8, skip::<6>, lun, itt, ttt, skip::<4>, serial, skip::<4>, serial, be_u32).parse(input)
            })?;
        Ok(Self { fin: flags & FINAL != 0, lun, itt, ttt, exp_stat_sn, data_sn, offset })
    }

    /// The header of this PDU.
    #[inline]
    pub fn encode(&self) -> Header {
        Builder::new(Opcode::DataOut, false, bit(self.fin, FINAL))
            .lun(self.lun)
            .itt(self.itt)
            .ttt(self.ttt)
            .word(28, self.exp_stat_sn.0)
            .word(36, self.data_sn.0)
            .word(40, self.offset)
            .build()
    }
}

/// Data-In.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DataIn {
    /// F bit: the last PDU of a sequence.
    pub fin: bool,
    /// A bit: the target asks for a DataACK (error recovery level 1 and up).
    pub acknowledge: bool,
    /// Status and residual, if this PDU ends the command (S bit).
    pub status: Option<(Status, Residual)>,
    /// Valid only with a valid `ttt`.
    pub lun: Lun,
    /// Initiator Task Tag of the command.
    pub itt: Itt,
    /// Valid only with the A bit.
    pub ttt: Ttt,
    /// StatSN is valid and consumed only with the S bit.
    pub numbering: Numbering,
    /// Counts the Data-In PDUs of the command from 0.
    pub data_sn: Serial,
    /// Where the data goes, in bytes from the start of the command's buffer.
    pub offset: u32,
}

impl DataIn {
    /// Parses a Data-In header.
    #[inline]
    pub fn parse(header: &Header) -> Result<Self, PduError> {
        let (_, flags, (), status, (), lun, itt, ttt, numbering, data_sn, offset, count) =
            header.parse(Opcode::DataIn, |input| {
                (be_u8, be_u8, skip::<1>, be_u8, skip::<4>, lun, itt, ttt, numbering, serial, be_u32, be_u32)
                    .parse(input)
            })?;
        let fin = flags & FINAL != 0;
        let status = if flags & STATUS == 0 {
            None
        } else {
            let status = Status(status);
            if !fin {
                return Err(PduError::Inconsistent { rule: "S requires F", section: "11.7.3" });
            }
            if !status.is_good_family() {
                return Err(PduError::ReservedValue {
                    field: "Status with S",
                    value: status.0.into(),
                    section: "11.7.3",
                });
            }
            Some((status, Residual::from_bits(flags & OVERFLOW != 0, flags & UNDERFLOW != 0, count)?))
        };
        Ok(Self { fin, acknowledge: flags & ACKNOWLEDGE != 0, status, lun, itt, ttt, numbering, data_sn, offset })
    }

    /// The header of this PDU.
    #[inline]
    pub fn encode(&self) -> Header {
        let (status, residual) = self.status.unwrap_or_default();
        let (over, under, count) = residual.parts();
        let flags = bit(self.fin, FINAL)
            | bit(self.acknowledge, ACKNOWLEDGE)
            | bit(over, OVERFLOW)
            | bit(under, UNDERFLOW)
            | bit(self.status.is_some(), STATUS);
        Builder::new(Opcode::DataIn, false, flags)
            .byte(3, status.0)
            .lun(self.lun)
            .itt(self.itt)
            .ttt(self.ttt)
            .numbering(self.numbering)
            .word(36, self.data_sn.0)
            .word(40, self.offset)
            .word(44, count)
            .build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R-195, R-196
    #[test]
    fn status_needs_the_final_bit_and_a_good_status() {
        let mut header = Header::new(Opcode::DataIn);
        header.0[1] = STATUS;
        assert!(matches!(DataIn::parse(&header), Err(PduError::Inconsistent { .. })));
        header.0[1] = STATUS | FINAL;
        assert_eq!(DataIn::parse(&header).unwrap().status, Some((Status::GOOD, Residual::None)));
        header.0[3] = Status::CHECK_CONDITION.0;
        assert!(matches!(DataIn::parse(&header), Err(PduError::ReservedValue { .. })));
    }
}
