//! Text Request and Text Response (RFC 7143, sections 11.10 and 11.11).
//!
//! ```text
//!  byte 1   F C . . . . . .
//!  8 .. 15  LUN (copied by the initiator where TTT is valid)
//! 20 .. 23  Target Transfer Tag
//! ```

use nom::Parser;
use nom::number::complete::be_u8;

use super::PduError;
use super::header::{Builder, Header, Numbering, Opcode, bit, itt, lun, numbering, serial, skip, ttt};
use crate::scsi::Lun;
use crate::serial::Serial;
use crate::tags::{Itt, Ttt};

const FINAL: u8 = 0x80;
const CONTINUE: u8 = 0x40;

/// Text Request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TextRequest {
    /// I bit.
    pub immediate: bool,
    /// F bit: the initiator has nothing more to say.
    pub fin: bool,
    /// C bit: the text continues in the next request.
    pub more: bool,
    /// Copied from the response that carried `ttt`.
    pub lun: Lun,
    /// Initiator Task Tag, the same in the whole exchange.
    pub itt: Itt,
    /// Copied from the last response, or reserved in a new exchange.
    pub ttt: Ttt,
    /// CmdSN.
    pub cmd_sn: Serial,
    /// ExpStatSN.
    pub exp_stat_sn: Serial,
}

impl TextRequest {
    /// Parses a Text Request header.
    pub fn parse(header: &Header) -> Result<Self, PduError> {
        let (_, flags, (), lun, itt, ttt, cmd_sn, exp_stat_sn) = header.parse(Opcode::TextRequest, |input| {
            (be_u8, be_u8, skip::<6>, lun, itt, ttt, serial, serial).parse(input)
        })?;
        let (fin, more) = ends(flags)?;
        Ok(Self { immediate: header.immediate(), fin, more, lun, itt, ttt, cmd_sn, exp_stat_sn })
    }

    /// The header of this request.
    pub fn encode(&self) -> Header {
        Builder::new(Opcode::TextRequest, self.immediate, bit(self.fin, FINAL) | bit(self.more, CONTINUE))
            .lun(self.lun)
            .itt(self.itt)
            .ttt(self.ttt)
            .request(self.cmd_sn, self.exp_stat_sn)
            .build()
    }
}

/// Text Response.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TextResponse {
    /// F bit: the exchange ends.
    pub fin: bool,
    /// C bit: the text continues in the next response.
    pub more: bool,
    /// To be copied with `ttt`.
    pub lun: Lun,
    /// Initiator Task Tag of the request.
    pub itt: Itt,
    /// Names the exchange while it goes on, reserved when it ends.
    pub ttt: Ttt,
    /// StatSN is consumed.
    pub numbering: Numbering,
}

impl TextResponse {
    /// Parses a Text Response header.
    pub fn parse(header: &Header) -> Result<Self, PduError> {
        let (_, flags, (), lun, itt, ttt, numbering) = header
            .parse(Opcode::TextResponse, |input| (be_u8, be_u8, skip::<6>, lun, itt, ttt, numbering).parse(input))?;
        let (fin, more) = ends(flags)?;
        Ok(Self { fin, more, lun, itt, ttt, numbering })
    }

    /// The header of this response.
    pub fn encode(&self) -> Header {
        Builder::new(Opcode::TextResponse, false, bit(self.fin, FINAL) | bit(self.more, CONTINUE))
            .lun(self.lun)
            .itt(self.itt)
            .ttt(self.ttt)
            .numbering(self.numbering)
            .build()
    }
}

fn ends(flags: u8) -> Result<(bool, bool), PduError> {
    match (flags & FINAL != 0, flags & CONTINUE != 0) {
        (true, true) => Err(PduError::Inconsistent { rule: "C and F exclude each other", section: "11.11.2" }),
        bits => Ok(bits),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R-040
    #[test]
    fn text_that_both_ends_and_continues_is_refused() {
        let mut header = Header::new(Opcode::TextResponse);
        header.0[1] = FINAL | CONTINUE;
        assert!(matches!(TextResponse::parse(&header), Err(PduError::Inconsistent { .. })));
    }
}
