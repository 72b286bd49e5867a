//! Task Management Function Request and Response (RFC 7143, sections 11.5 and 11.6; RFC 7144, section 6).
//!
//! ```text
//! request   byte 1   1 Function(7)    20 .. 23  Referenced Task Tag
//!           32 .. 39 RefCmdSN, ExpDataSN
//! response  byte 2   Response         8 .. 10   Additional Response Information
//! ```

use nom::Parser;
use nom::number::complete::{be_u8, be_u32};

use super::PduError;
use super::header::{Builder, Header, Numbering, Opcode, array, itt, lun, numbering, serial, skip};
use crate::scsi::Lun;
use crate::serial::Serial;
use crate::tags::Itt;

/// What a task management request asks for. Functions 9 to 12 need iSCSIProtocolLevel 2.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
#[allow(missing_docs)] // the variants are the function names of section 11.5.1
pub enum TaskFunction {
    AbortTask = 1,
    AbortTaskSet = 2,
    ClearAca = 3,
    ClearTaskSet = 4,
    LogicalUnitReset = 5,
    TargetWarmReset = 6,
    TargetColdReset = 7,
    TaskReassign = 8,
    QueryTask = 9,
    QueryTaskSet = 10,
    ItNexusReset = 11,
    QueryAsyncEvent = 12,
}

impl TaskFunction {
    fn from_code(code: u8) -> Result<Self, PduError> {
        Ok(match code {
            1 => Self::AbortTask,
            2 => Self::AbortTaskSet,
            3 => Self::ClearAca,
            4 => Self::ClearTaskSet,
            5 => Self::LogicalUnitReset,
            6 => Self::TargetWarmReset,
            7 => Self::TargetColdReset,
            8 => Self::TaskReassign,
            9 => Self::QueryTask,
            10 => Self::QueryTaskSet,
            11 => Self::ItNexusReset,
            12 => Self::QueryAsyncEvent,
            other => {
                return Err(PduError::ReservedValue { field: "Function", value: other.into(), section: "11.5.1" });
            }
        })
    }
}

/// Task Management Function Request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TaskRequest {
    /// I bit.
    pub immediate: bool,
    /// What to do.
    pub function: TaskFunction,
    /// Logical unit, for functions that name one.
    pub lun: Lun,
    /// Initiator Task Tag of this request.
    pub itt: Itt,
    /// The task that is meant, or reserved.
    pub referenced: Itt,
    /// CmdSN.
    pub cmd_sn: Serial,
    /// ExpStatSN.
    pub exp_stat_sn: Serial,
    /// CmdSN of the task that is meant.
    pub ref_cmd_sn: Serial,
    /// Next DataSN of a task that is reassigned.
    pub exp_data_sn: Serial,
}

impl TaskRequest {
    /// Parses a task management request header.
    pub fn parse(header: &Header) -> Result<Self, PduError> {
        let (_, function, (), lun, itt, referenced, cmd_sn, exp_stat_sn, ref_cmd_sn, exp_data_sn) = header
            .parse(Opcode::TaskRequest, |input| {
                (be_u8, be_u8, skip::<6>, lun, itt, be_u32, serial, serial, serial, serial).parse(input)
            })?;
        header.without_data("11.5.2")?;
        Ok(Self {
            immediate: header.immediate(),
            function: TaskFunction::from_code(function & 0x7f)?,
            lun,
            itt,
            referenced: Itt(referenced),
            cmd_sn,
            exp_stat_sn,
            ref_cmd_sn,
            exp_data_sn,
        })
    }

    /// The header of this request.
    pub fn encode(&self) -> Header {
        Builder::new(Opcode::TaskRequest, self.immediate, 0x80 | self.function as u8)
            .lun(self.lun)
            .itt(self.itt)
            .word(20, self.referenced.0)
            .request(self.cmd_sn, self.exp_stat_sn)
            .word(32, self.ref_cmd_sn.0)
            .word(36, self.exp_data_sn.0)
            .build()
    }
}

/// How a task management function ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(u8)]
#[allow(missing_docs)] // the variants are the response names of section 11.6.1
pub enum TaskResult {
    FunctionComplete = 0,
    TaskDoesNotExist = 1,
    LunDoesNotExist = 2,
    TaskStillAllegiant = 3,
    ReassignmentNotSupported = 4,
    FunctionNotSupported = 5,
    AuthorizationFailed = 6,
    FunctionSucceeded = 7,
    FunctionRejected = 255,
}

impl TaskResult {
    fn from_code(code: u8) -> Result<Self, PduError> {
        Ok(match code {
            0 => Self::FunctionComplete,
            1 => Self::TaskDoesNotExist,
            2 => Self::LunDoesNotExist,
            3 => Self::TaskStillAllegiant,
            4 => Self::ReassignmentNotSupported,
            5 => Self::FunctionNotSupported,
            6 => Self::AuthorizationFailed,
            7 => Self::FunctionSucceeded,
            255 => Self::FunctionRejected,
            other => {
                return Err(PduError::ReservedValue { field: "Response", value: other.into(), section: "11.6.1" });
            }
        })
    }
}

/// Task Management Function Response.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TaskResponse {
    /// The outcome.
    pub result: TaskResult,
    /// Additional Response Information (RFC 7144, section 6.4.1).
    pub information: [u8; 3],
    /// Initiator Task Tag of the request.
    pub itt: Itt,
    /// StatSN is consumed.
    pub numbering: Numbering,
}

impl TaskResponse {
    /// Parses a task management response header.
    pub fn parse(header: &Header) -> Result<Self, PduError> {
        let (_, result, (), information, (), itt, (), numbering) = header.parse(Opcode::TaskResponse, |input| {
            (skip::<2>, be_u8, skip::<5>, array, skip::<5>, itt, skip::<4>, numbering).parse(input)
        })?;
        header.without_data("11.6.2")?;
        Ok(Self { result: TaskResult::from_code(result)?, information, itt, numbering })
    }

    /// The header of this response.
    pub fn encode(&self) -> Header {
        Builder::new(Opcode::TaskResponse, false, 0x80)
            .byte(2, self.result as u8)
            .bytes(8, self.information)
            .itt(self.itt)
            .numbering(self.numbering)
            .build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// R-004, R-248
    #[test]
    fn responses_are_the_nine_assigned_codes() {
        let mut header = Header::new(Opcode::TaskResponse);
        let accepted = (0..=255u8).filter(|code| {
            header.0[2] = *code;
            TaskResponse::parse(&header).is_ok()
        });
        assert_eq!(accepted.collect::<Vec<_>>(), [0, 1, 2, 3, 4, 5, 6, 7, 255]);
    }
}
