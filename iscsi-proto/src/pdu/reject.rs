//! Reject (RFC 7143, section 11.17). Its data segment starts with the header of the bad PDU.
//!
//! ```text
//!  byte 2   Reason     36 .. 39  DataSN or R2TSN (protocol error answer to a SNACK)
//! ```

use std::fmt;

use nom::Parser;
use nom::number::complete::be_u8;

use super::PduError;
use super::header::{Builder, Header, Numbering, Opcode, numbering, serial, skip};
use crate::serial::Serial;
use crate::tags::Itt;

/// Why a PDU was rejected.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
#[allow(missing_docs)] // the variants are the reason names of section 11.17.1
pub enum RejectReason {
    DataDigestError = 2,
    SnackReject = 3,
    ProtocolError = 4,
    CommandNotSupported = 5,
    TooManyImmediate = 6,
    TaskInProgress = 7,
    InvalidDataAck = 8,
    InvalidPduField = 9,
    LongOperation = 10,
    NegotiationReset = 11,
    WaitingForLogout = 12,
}

impl RejectReason {
    fn from_code(code: u8) -> Result<Self, PduError> {
        Ok(match code {
            2 => Self::DataDigestError,
            3 => Self::SnackReject,
            4 => Self::ProtocolError,
            5 => Self::CommandNotSupported,
            6 => Self::TooManyImmediate,
            7 => Self::TaskInProgress,
            8 => Self::InvalidDataAck,
            9 => Self::InvalidPduField,
            10 => Self::LongOperation,
            11 => Self::NegotiationReset,
            12 => Self::WaitingForLogout,
            other => {
                return Err(PduError::ReservedValue { field: "Reason", value: other.into(), section: "11.17.1" });
            }
        })
    }
}

impl fmt::Display for RejectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::DataDigestError => "data digest error",
            Self::SnackReject => "SNACK rejected",
            Self::ProtocolError => "protocol error",
            Self::CommandNotSupported => "command not supported",
            Self::TooManyImmediate => "too many immediate commands",
            Self::TaskInProgress => "task in progress",
            Self::InvalidDataAck => "invalid data acknowledgement",
            Self::InvalidPduField => "invalid PDU field",
            Self::LongOperation => "no target transfer tag to be had",
            Self::NegotiationReset => "negotiation reset",
            Self::WaitingForLogout => "waiting for logout",
        })
    }
}

/// Reject.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reject {
    /// Why.
    pub reason: RejectReason,
    /// StatSN is consumed.
    pub numbering: Numbering,
    /// The next number that the target would send, in answer to a bad SNACK.
    pub data_sn: Serial,
}

impl Reject {
    /// Parses a Reject header.
    pub fn parse(header: &Header) -> Result<Self, PduError> {
        let (_, reason, (), numbering, data_sn) =
            header.parse(Opcode::Reject, |input| (skip::<2>, be_u8, skip::<21>, numbering, serial).parse(input))?;
        Ok(Self { reason: RejectReason::from_code(reason)?, numbering, data_sn })
    }

    /// The header of this PDU.
    pub fn encode(&self) -> Header {
        Builder::new(Opcode::Reject, false, 0x80)
            .byte(2, self.reason as u8)
            .itt(Itt::RESERVED)
            .numbering(self.numbering)
            .word(36, self.data_sn.0)
            .build()
    }
}
