//! NOP-Out and NOP-In (RFC 7143, sections 11.18 and 11.19).
//!
//! ```text
//!  8 .. 15  LUN (with a valid TTT)    20 .. 23  Target Transfer Tag
//!
//!  ITT, TTT     NOP-Out                   NOP-In
//!  valid, none  ping                      answer to a ping
//!  none, valid  answer to the target      ping by the target
//!  none, none   acknowledges StatSN       carries the command window
//! ```

use nom::Parser;

use super::PduError;
use super::header::{Builder, Header, Numbering, Opcode, itt, lun, numbering, serial, skip, ttt};
use crate::scsi::Lun;
use crate::serial::Serial;
use crate::tags::{Itt, Ttt};

/// NOP-Out.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NopOut {
    /// I bit; set whenever `itt` is reserved.
    pub immediate: bool,
    /// Copied from the NOP-In that is answered.
    pub lun: Lun,
    /// Valid if an answer is wanted.
    pub itt: Itt,
    /// Copied from the NOP-In that is answered.
    pub ttt: Ttt,
    /// CmdSN.
    pub cmd_sn: Serial,
    /// ExpStatSN.
    pub exp_stat_sn: Serial,
}

impl NopOut {
    /// Parses a NOP-Out header.
    pub fn parse(header: &Header) -> Result<Self, PduError> {
        let (_, lun, itt, ttt, cmd_sn, exp_stat_sn) =
            header.parse(Opcode::NopOut, |input| (skip::<8>, lun, itt, ttt, serial, serial).parse(input))?;
        Ok(Self { immediate: header.immediate(), lun, itt, ttt, cmd_sn, exp_stat_sn })
    }

    /// The header of this PDU.
    pub fn encode(&self) -> Header {
        Builder::new(Opcode::NopOut, self.immediate, 0x80)
            .lun(self.lun)
            .itt(self.itt)
            .ttt(self.ttt)
            .request(self.cmd_sn, self.exp_stat_sn)
            .build()
    }
}

/// NOP-In.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NopIn {
    /// To be copied into the answer.
    pub lun: Lun,
    /// Valid in the answer to a ping.
    pub itt: Itt,
    /// Valid if the target wants an answer.
    pub ttt: Ttt,
    /// StatSN is consumed only if `itt` is valid.
    pub numbering: Numbering,
}

impl NopIn {
    /// Parses a NOP-In header.
    pub fn parse(header: &Header) -> Result<Self, PduError> {
        let (_, lun, itt, ttt, numbering) =
            header.parse(Opcode::NopIn, |input| (skip::<8>, lun, itt, ttt, numbering).parse(input))?;
        if !itt.is_reserved() && !ttt.is_reserved() {
            return Err(PduError::Inconsistent {
                rule: "a NOP-In is an answer or a ping, not both",
                section: "11.19.1",
            });
        }
        if itt.is_reserved() && header.data_len() != 0 {
            return Err(PduError::Inconsistent { rule: "only the answer to a ping carries data", section: "11.19" });
        }
        Ok(Self { lun, itt, ttt, numbering })
    }

    /// The header of this PDU.
    pub fn encode(&self) -> Header {
        Builder::new(Opcode::NopIn, false, 0x80)
            .lun(self.lun)
            .itt(self.itt)
            .ttt(self.ttt)
            .numbering(self.numbering)
            .build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R-225
    #[test]
    fn a_nop_in_that_is_both_answer_and_ping_is_refused() {
        let both = Header::new(Opcode::NopIn);
        assert!(matches!(NopIn::parse(&both), Err(PduError::Inconsistent { .. })));
        let mut ping = both;
        ping.0[16..20].copy_from_slice(&[0xff; 4]);
        assert!(NopIn::parse(&ping).is_ok());
        assert!(NopIn::parse(&ping.with_data_len(1)).is_err());
    }
}
