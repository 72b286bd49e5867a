//! SCSI Command and SCSI Response (RFC 7143, sections 11.3 and 11.4; RFC 7144, section 5).
//!
//! ```text
//! command   byte 1   F R W . . ATTR(3)        byte 2   PRI(4) . . . .
//!           8 .. 15  LUN                      20 .. 23 Expected Data Transfer Length
//!           24 .. 31 CmdSN, ExpStatSN         32 .. 47 CDB
//! response  byte 1   1 . . o u O U .          byte 2   Response      byte 3  Status
//!           8 ..  9  Status Qualifier         20 .. 23 SNACK Tag
//!           36 .. 47 ExpDataSN, Bidirectional Read Residual Count, Residual Count
//! ```

use nom::Parser;
use nom::number::complete::{be_u8, be_u16, be_u32};

use super::PduError;
use super::header::{Builder, Header, Numbering, Opcode, array, bit, itt, lun, numbering, serial, skip};
use crate::scsi::{Lun, Status};
use crate::serial::Serial;
use crate::tags::Itt;

const FINAL: u8 = 0x80;
const READ: u8 = 0x40;
const WRITE: u8 = 0x20;
const BIDI_OVERFLOW: u8 = 0x10;
const BIDI_UNDERFLOW: u8 = 0x08;
const OVERFLOW: u8 = 0x04;
const UNDERFLOW: u8 = 0x02;

/// How a task is queued (ATTR).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[repr(u8)]
pub enum TaskAttribute {
    /// No attribute given.
    Untagged = 0,
    /// May be reordered with others.
    #[default]
    Simple = 1,
    /// After everything before it, before everything after it.
    Ordered = 2,
    /// Before everything that waits.
    HeadOfQueue = 3,
    /// During an auto contingent allegiance.
    Aca = 4,
}

impl TaskAttribute {
    fn from_bits(bits: u8) -> Result<Self, PduError> {
        Ok(match bits & 7 {
            0 => Self::Untagged,
            1 => Self::Simple,
            2 => Self::Ordered,
            3 => Self::HeadOfQueue,
            4 => Self::Aca,
            other => {
                return Err(PduError::ReservedValue { field: "ATTR", value: other.into(), section: "11.3.1" });
            }
        })
    }
}

/// SCSI Command.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScsiCommand {
    /// I bit.
    pub immediate: bool,
    /// F bit: no unsolicited Data-Out follows.
    pub fin: bool,
    /// R bit: data comes in.
    pub read: bool,
    /// W bit: data goes out.
    pub write: bool,
    /// ATTR.
    pub attribute: TaskAttribute,
    /// PRI, 0 to 15; zero unless iSCSIProtocolLevel is 2 or more (RFC 7144, section 5.1).
    pub priority: u8,
    /// Logical unit.
    pub lun: Lun,
    /// Initiator Task Tag.
    pub itt: Itt,
    /// Expected Data Transfer Length in bytes; the outgoing one of a bidirectional command.
    pub expected_length: u32,
    /// CmdSN.
    pub cmd_sn: Serial,
    /// ExpStatSN.
    pub exp_stat_sn: Serial,
    /// The first 16 bytes of the CDB, zero filled.
    pub cdb: [u8; 16],
}

impl ScsiCommand {
    /// Parses a SCSI Command header.
    pub fn parse(header: &Header) -> Result<Self, PduError> {
        let (_, flags, priority, (), lun, itt, expected_length, cmd_sn, exp_stat_sn, cdb) = header
            .parse(Opcode::ScsiCommand, |input| {
                (be_u8, be_u8, be_u8, skip::<5>, lun, itt, be_u32, serial, serial, array).parse(input)
            })?;
        Ok(Self {
            immediate: header.immediate(),
            fin: flags & FINAL != 0,
            read: flags & READ != 0,
            write: flags & WRITE != 0,
            attribute: TaskAttribute::from_bits(flags)?,
            priority: priority >> 4,
            lun,
            itt,
            expected_length,
            cmd_sn,
            exp_stat_sn,
            cdb,
        })
    }

    /// The header of this command.
    #[inline]
    pub fn encode(&self) -> Header {
        let flags = bit(self.fin, FINAL) | bit(self.read, READ) | bit(self.write, WRITE) | self.attribute as u8;
        Builder::new(Opcode::ScsiCommand, self.immediate, flags)
            .byte(2, self.priority << 4)
            .lun(self.lun)
            .itt(self.itt)
            .word(20, self.expected_length)
            .request(self.cmd_sn, self.exp_stat_sn)
            .bytes(32, self.cdb)
            .build()
    }
}

/// How far the transferred length was off the expected one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Residual {
    /// As expected.
    #[default]
    None,
    /// The command wanted to move this many bytes more than were expected.
    Overflow(u32),
    /// This many bytes of those expected were not moved.
    Underflow(u32),
}

impl Residual {
    pub(super) fn from_bits(over: bool, under: bool, count: u32) -> Result<Self, PduError> {
        match (over, under) {
            (false, false) => Ok(Self::None),
            (true, false) => Ok(Self::Overflow(count)),
            (false, true) => Ok(Self::Underflow(count)),
            (true, true) => Err(PduError::Inconsistent {
                rule: "residual overflow and underflow exclude each other",
                section: "11.4.1",
            }),
        }
    }

    pub(super) const fn parts(self) -> (bool, bool, u32) {
        match self {
            Self::None => (false, false, 0),
            Self::Overflow(count) => (true, false, count),
            Self::Underflow(count) => (false, true, count),
        }
    }
}

/// The iSCSI service response (byte 2 of a SCSI Response).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ServiceResponse {
    /// Command completed at target: the SCSI status counts.
    Completed,
    /// Target failure: there is no SCSI status.
    TargetFailure,
    /// 0x80 to 0xff.
    Vendor(u8),
}

/// SCSI Response.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ScsiResponse {
    /// Whether the command reached its end.
    pub response: ServiceResponse,
    /// SCSI status, valid only with [`ServiceResponse::Completed`].
    pub status: Status,
    /// Status Qualifier; to be ignored below iSCSIProtocolLevel 2 (RFC 7144, section 5.2).
    pub qualifier: u16,
    /// Initiator Task Tag of the command.
    pub itt: Itt,
    /// SNACK Tag of the R-Data SNACK that this answers, else 0.
    pub snack_tag: u32,
    /// StatSN is consumed.
    pub numbering: Numbering,
    /// How many Data-In PDUs the target has sent for the command.
    pub exp_data_sn: Serial,
    /// Residual of the incoming data of a bidirectional command.
    pub bidi_residual: Residual,
    /// Residual of the data.
    pub residual: Residual,
}

impl ScsiResponse {
    /// Parses a SCSI Response header.
    ///
    /// Flags and status are not looked at unless the command completed at the target.
    pub fn parse(header: &Header) -> Result<Self, PduError> {
        let (_, flags, response, status, (), qualifier, (), itt, snack_tag, numbering, exp_data_sn, bidi, count) =
            header.parse(Opcode::ScsiResponse, |input| {
                (
                    be_u8, be_u8, be_u8, be_u8, skip::<4>, be_u16, skip::<6>, itt, be_u32, numbering, serial, be_u32,
                    be_u32,
                )
                    .parse(input)
            })?;
        let response = match response {
            0 => ServiceResponse::Completed,
            1 => ServiceResponse::TargetFailure,
            0x80.. => ServiceResponse::Vendor(response),
            other => {
                return Err(PduError::ReservedValue { field: "Response", value: other.into(), section: "11.4.3" });
            }
        };
        let flags = if response == ServiceResponse::Completed { flags } else { 0 };
        Ok(Self {
            response,
            status: Status(status),
            qualifier,
            itt,
            snack_tag,
            numbering,
            exp_data_sn,
            bidi_residual: Residual::from_bits(flags & BIDI_OVERFLOW != 0, flags & BIDI_UNDERFLOW != 0, bidi)?,
            residual: Residual::from_bits(flags & OVERFLOW != 0, flags & UNDERFLOW != 0, count)?,
        })
    }

    /// The header of this response.
    pub fn encode(&self) -> Header {
        let (over, under, count) = self.residual.parts();
        let (bidi_over, bidi_under, bidi_count) = self.bidi_residual.parts();
        let flags = FINAL
            | bit(over, OVERFLOW)
            | bit(under, UNDERFLOW)
            | bit(bidi_over, BIDI_OVERFLOW)
            | bit(bidi_under, BIDI_UNDERFLOW);
        let response = match self.response {
            ServiceResponse::Completed => 0,
            ServiceResponse::TargetFailure => 1,
            ServiceResponse::Vendor(code) => code,
        };
        Builder::new(Opcode::ScsiResponse, false, flags)
            .byte(2, response)
            .byte(3, self.status.0)
            .half(8, self.qualifier)
            .itt(self.itt)
            .word(20, self.snack_tag)
            .numbering(self.numbering)
            .word(36, self.exp_data_sn.0)
            .word(40, bidi_count)
            .word(44, count)
            .build()
    }
}

/// Sense data and what follows it in the data segment of a SCSI Response or an Asynchronous Message.
///
/// An empty segment has neither (RFC 7143, section 11.4.7).
pub fn split_sense(data: &[u8]) -> Result<(&[u8], &[u8]), PduError> {
    let Some((len, rest)) = data.split_first_chunk::<2>() else {
        return if data.is_empty() { Ok((&[], &[])) } else { Err(PduError::Truncated) };
    };
    rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))
        .ok_or(PduError::Inconsistent { rule: "SenseLength is larger than the data segment", section: "11.4.7.1" })
}

/// A data segment that holds `sense` behind its length.
pub fn sense_segment(sense: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(sense.len() + 2);
    out.extend_from_slice(&(sense.len() as u16).to_be_bytes());
    out.extend_from_slice(sense);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R-001: the command of the digest example in appendix A.4.
    #[test]
    fn read_10_of_the_standard() {
        let command = ScsiCommand {
            immediate: false,
            fin: true,
            read: true,
            write: false,
            attribute: TaskAttribute::Untagged,
            priority: 0,
            lun: Lun::ZERO,
            itt: Itt(0x1400_0000),
            expected_length: 0x400,
            cmd_sn: Serial(0x14),
            exp_stat_sn: Serial(0x18),
            cdb: [0x28, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0],
        };
        assert_eq!(crate::digest::wire(&command.encode().0), [0x56, 0x3a, 0x96, 0xd9]);
    }

    /// R-207
    #[test]
    fn overflow_with_underflow_is_refused() {
        let mut header = Header::new(Opcode::ScsiResponse);
        header.0[1] = FINAL | OVERFLOW | UNDERFLOW;
        assert!(matches!(ScsiResponse::parse(&header), Err(PduError::Inconsistent { .. })));
    }

    /// R-208, R-210: neither counts nor flags of a delivery failure are believed.
    #[test]
    fn residual_counts_without_their_flag_are_ignored() {
        let mut header = Header::new(Opcode::ScsiResponse);
        header.0[44..].copy_from_slice(&999u32.to_be_bytes());
        assert_eq!(ScsiResponse::parse(&header).unwrap().residual, Residual::None);
        header.0[1] = OVERFLOW | UNDERFLOW;
        header.0[2] = 1;
        assert_eq!(ScsiResponse::parse(&header).unwrap().response, ServiceResponse::TargetFailure);
    }

    /// R-004
    #[test]
    fn reserved_response_codes_are_refused() {
        let mut header = Header::new(Opcode::ScsiResponse);
        header.0[2] = 2;
        assert!(matches!(ScsiResponse::parse(&header), Err(PduError::ReservedValue { .. })));
    }

    /// R-211
    #[test]
    fn sense_stays_inside_its_segment() {
        assert_eq!(split_sense(&[]), Ok((&[][..], &[][..])));
        assert_eq!(split_sense(&[0, 2, 7, 8, 9]), Ok((&[7, 8][..], &[9][..])));
        assert!(split_sense(&[0]).is_err() && split_sense(&[0, 3, 7, 8]).is_err());
        assert_eq!(split_sense(&sense_segment(&[1, 2, 3])), Ok((&[1, 2, 3][..], &[][..])));
    }
}
