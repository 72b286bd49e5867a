//! Asynchronous Message (RFC 7143, section 11.9).
//!
//! ```text
//!  8 .. 15  LUN (SCSI events)
//! 36 .. 43  AsyncEvent, AsyncVCode, Parameter1, Parameter2, Parameter3
//! 48 ..     SenseLength, sense data, event data
//! ```

use nom::Parser;
use nom::number::complete::{be_u8, be_u16};

use super::PduError;
use super::header::{Builder, Header, Numbering, Opcode, lun, numbering, skip};
use crate::scsi::Lun;
use crate::tags::Itt;

/// What happened. Times are in seconds.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AsyncEvent {
    /// A SCSI event; the data segment holds sense data.
    Scsi,
    /// The target asks for a logout of this connection.
    LogoutRequest {
        /// Within this time.
        deadline: u16,
    },
    /// The target is about to drop a connection.
    ConnectionDrop {
        /// Which one.
        cid: u16,
        /// Do not reconnect before this time.
        time2wait: u16,
        /// Tasks are kept for this time after `time2wait`.
        time2retain: u16,
    },
    /// The target is about to drop all connections of the session.
    SessionDrop {
        /// Do not reconnect before this time.
        time2wait: u16,
        /// Tasks are kept for this time after `time2wait`.
        time2retain: u16,
    },
    /// The target asks for a text negotiation.
    Negotiate {
        /// Within this time.
        deadline: u16,
    },
    /// All tasks of a logical unit were terminated by another initiator (FastAbort only).
    TasksTerminated,
    /// 248 to 255.
    Vendor {
        /// The event code.
        event: u8,
        /// AsyncVCode.
        code: u8,
        /// Parameter1 to Parameter3.
        parameters: [u16; 3],
    },
}

/// Asynchronous Message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AsyncMessage {
    /// Logical unit of a SCSI event or of terminated tasks.
    pub lun: Lun,
    /// StatSN is consumed.
    pub numbering: Numbering,
    /// What happened.
    pub event: AsyncEvent,
}

impl AsyncMessage {
    /// Parses an Asynchronous Message header.
    pub fn parse(header: &Header) -> Result<Self, PduError> {
        let (_, lun, (), numbering, event, code, p1, p2, p3) = header.parse(Opcode::AsyncMessage, |input| {
            (skip::<8>, lun, skip::<8>, numbering, be_u8, be_u8, be_u16, be_u16, be_u16).parse(input)
        })?;
        let event = match event {
            0 => AsyncEvent::Scsi,
            1 => AsyncEvent::LogoutRequest { deadline: p3 },
            2 => AsyncEvent::ConnectionDrop { cid: p1, time2wait: p2, time2retain: p3 },
            3 => AsyncEvent::SessionDrop { time2wait: p2, time2retain: p3 },
            4 => AsyncEvent::Negotiate { deadline: p3 },
            5 => AsyncEvent::TasksTerminated,
            248.. => AsyncEvent::Vendor { event, code, parameters: [p1, p2, p3] },
            other => {
                return Err(PduError::ReservedValue { field: "AsyncEvent", value: other.into(), section: "11.9.1" });
            }
        };
        Ok(Self { lun, numbering, event })
    }

    /// The header of this message.
    pub fn encode(&self) -> Header {
        let (event, code, [p1, p2, p3]) = match self.event {
            AsyncEvent::Scsi => (0, 0, [0; 3]),
            AsyncEvent::LogoutRequest { deadline } => (1, 0, [0, 0, deadline]),
            AsyncEvent::ConnectionDrop { cid, time2wait, time2retain } => (2, 0, [cid, time2wait, time2retain]),
            AsyncEvent::SessionDrop { time2wait, time2retain } => (3, 0, [0, time2wait, time2retain]),
            AsyncEvent::Negotiate { deadline } => (4, 0, [0, 0, deadline]),
            AsyncEvent::TasksTerminated => (5, 0, [0; 3]),
            AsyncEvent::Vendor { event, code, parameters } => (event, code, parameters),
        };
        Builder::new(Opcode::AsyncMessage, false, 0x80)
            .lun(self.lun)
            .itt(Itt::RESERVED)
            .numbering(self.numbering)
            .byte(36, event)
            .byte(37, code)
            .half(38, p1)
            .half(40, p2)
            .half(42, p3)
            .build()
    }
}
