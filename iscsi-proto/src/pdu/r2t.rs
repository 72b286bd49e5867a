//! Ready To Transfer (RFC 7143, section 11.8).
//!
//! ```text
//!  8 .. 15  LUN     20 .. 23  Target Transfer Tag
//! 36 .. 47  R2TSN, Buffer Offset, Desired Data Transfer Length
//! ```

use nom::Parser;
use nom::number::complete::be_u32;

use super::PduError;
use super::header::{Builder, Header, Numbering, Opcode, itt, lun, numbering, serial, skip, ttt};
use crate::scsi::Lun;
use crate::serial::Serial;
use crate::tags::{Itt, Ttt};

/// Ready To Transfer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct R2t {
    /// Logical unit of the command.
    pub lun: Lun,
    /// Initiator Task Tag of the command.
    pub itt: Itt,
    /// To be copied into the Data-Out PDUs; never reserved.
    pub ttt: Ttt,
    /// StatSN is the next one and is not consumed.
    pub numbering: Numbering,
    /// Counts the R2Ts of the command from 0.
    pub r2t_sn: Serial,
    /// First byte that is wanted.
    pub offset: u32,
    /// How many bytes are wanted; never 0.
    pub length: u32,
}

impl R2t {
    /// Parses an R2T header.
    pub fn parse(header: &Header) -> Result<Self, PduError> {
        let (_, lun, itt, ttt, numbering, r2t_sn, offset, length) = header
            .parse(Opcode::R2t, |input| (skip::<8>, lun, itt, ttt, numbering, serial, be_u32, be_u32).parse(input))?;
        header.without_data("11.8.1")?;
        if ttt.is_reserved() {
            return Err(PduError::ReservedValue { field: "Target Transfer Tag", value: ttt.0, section: "11.8.5" });
        }
        if length == 0 {
            return Err(PduError::Inconsistent {
                rule: "Desired Data Transfer Length must not be 0",
                section: "11.8.4",
            });
        }
        Ok(Self { lun, itt, ttt, numbering, r2t_sn, offset, length })
    }

    /// The header of this R2T.
    pub fn encode(&self) -> Header {
        Builder::new(Opcode::R2t, false, 0x80)
            .lun(self.lun)
            .itt(self.itt)
            .ttt(self.ttt)
            .numbering(self.numbering)
            .word(36, self.r2t_sn.0)
            .word(40, self.offset)
            .word(44, self.length)
            .build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R-184
    #[test]
    fn an_r2t_for_nothing_or_without_a_tag_is_refused() {
        let mut header = Header::new(Opcode::R2t);
        assert!(matches!(R2t::parse(&header), Err(PduError::Inconsistent { .. })));
        header.0[47] = 1;
        assert!(R2t::parse(&header).is_ok());
        header.0[20..24].copy_from_slice(&[0xff; 4]);
        assert!(matches!(R2t::parse(&header), Err(PduError::ReservedValue { .. })));
    }
}
