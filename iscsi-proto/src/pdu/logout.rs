//! Logout Request and Logout Response (RFC 7143, sections 11.14 and 11.15).
//!
//! ```text
//! request   byte 1   1 Reason(7)     20 .. 21  CID
//! response  byte 2   Response        40 .. 43  Time2Wait, Time2Retain
//! ```

use nom::Parser;
use nom::number::complete::{be_u8, be_u16};

use super::PduError;
use super::header::{Builder, Header, Numbering, Opcode, itt, numbering, serial, skip};
use crate::serial::Serial;
use crate::tags::Itt;

/// What is to be closed.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum LogoutReason {
    /// All connections of the session.
    CloseSession = 0,
    /// The connection that CID names.
    CloseConnection = 1,
    /// The connection that CID names, to recover its tasks (error recovery level 2).
    RemoveForRecovery = 2,
}

/// Logout Request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogoutRequest {
    /// I bit.
    pub immediate: bool,
    /// What to close.
    pub reason: LogoutReason,
    /// Initiator Task Tag.
    pub itt: Itt,
    /// Connection ID; not valid when the session is closed.
    pub cid: u16,
    /// CmdSN.
    pub cmd_sn: Serial,
    /// ExpStatSN.
    pub exp_stat_sn: Serial,
}

impl LogoutRequest {
    /// Parses a Logout Request header.
    pub fn parse(header: &Header) -> Result<Self, PduError> {
        let (_, reason, (), itt, cid, (), cmd_sn, exp_stat_sn) = header.parse(Opcode::LogoutRequest, |input| {
            (skip::<1>, be_u8, skip::<14>, itt, be_u16, skip::<2>, serial, serial).parse(input)
        })?;
        header.without_data("11.14.2")?;
        let reason = match reason & 0x7f {
            0 => LogoutReason::CloseSession,
            1 => LogoutReason::CloseConnection,
            2 => LogoutReason::RemoveForRecovery,
            other => {
                return Err(PduError::ReservedValue { field: "Reason Code", value: other.into(), section: "11.14.1" });
            }
        };
        Ok(Self { immediate: header.immediate(), reason, itt, cid, cmd_sn, exp_stat_sn })
    }

    /// The header of this request.
    pub fn encode(&self) -> Header {
        Builder::new(Opcode::LogoutRequest, self.immediate, 0x80 | self.reason as u8)
            .itt(self.itt)
            .half(20, self.cid)
            .request(self.cmd_sn, self.exp_stat_sn)
            .build()
    }
}

/// How a logout ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
pub enum LogoutResult {
    /// Closed.
    Closed = 0,
    /// There is no such connection.
    CidNotFound = 1,
    /// The target cannot recover connections.
    RecoveryNotSupported = 2,
    /// The target could not clean up.
    CleanupFailed = 3,
}

/// Logout Response.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogoutResponse {
    /// The outcome.
    pub result: LogoutResult,
    /// Initiator Task Tag of the request.
    pub itt: Itt,
    /// StatSN is consumed.
    pub numbering: Numbering,
    /// Seconds to wait before tasks may be recovered.
    pub time2wait: u16,
    /// Seconds, after `time2wait`, that the target keeps the tasks.
    pub time2retain: u16,
}

impl LogoutResponse {
    /// Parses a Logout Response header.
    pub fn parse(header: &Header) -> Result<Self, PduError> {
        let (_, result, (), itt, (), numbering, (), time2wait, time2retain) = header
            .parse(Opcode::LogoutResponse, |input| {
                (skip::<2>, be_u8, skip::<13>, itt, skip::<4>, numbering, skip::<4>, be_u16, be_u16).parse(input)
            })?;
        header.without_data("11.15.2")?;
        let result = match result {
            0 => LogoutResult::Closed,
            1 => LogoutResult::CidNotFound,
            2 => LogoutResult::RecoveryNotSupported,
            3 => LogoutResult::CleanupFailed,
            other => {
                return Err(PduError::ReservedValue { field: "Response", value: other.into(), section: "11.15.1" });
            }
        };
        Ok(Self { result, itt, numbering, time2wait, time2retain })
    }

    /// The header of this response.
    pub fn encode(&self) -> Header {
        Builder::new(Opcode::LogoutResponse, false, 0x80)
            .byte(2, self.result as u8)
            .itt(self.itt)
            .numbering(self.numbering)
            .half(40, self.time2wait)
            .half(42, self.time2retain)
            .build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R-004, R-258
    #[test]
    fn reserved_codes_are_refused() {
        let mut header = Header::new(Opcode::LogoutResponse);
        header.0[2] = 4;
        assert!(matches!(LogoutResponse::parse(&header), Err(PduError::ReservedValue { .. })));
        let mut header = Header::new(Opcode::LogoutRequest);
        header.0[1] = 0x83;
        assert!(matches!(LogoutRequest::parse(&header), Err(PduError::ReservedValue { .. })));
    }
}
