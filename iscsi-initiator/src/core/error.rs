//! Why a connection ended and why a command failed, by who is at fault.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use iscsi_proto::framer::FrameError;
use iscsi_proto::pdu::{LogoutResult, RejectReason, ServiceResponse, TaskResult};
use iscsi_proto::scsi::{Sense, Status};

use super::PeerMisbehaved;

/// Why a connection ended. One end is told to all who wait for it, so it can be cloned.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectionError {
    /// The target closed the TCP connection without a logout.
    #[error("the target closed the connection")]
    ClosedByTarget,
    /// The transport failed.
    #[error("the connection failed: {0}")]
    Io(#[source] Arc<io::Error>),
    /// A digest did not match: the bytes were damaged on their way.
    #[error("data was damaged on its way: {0}")]
    Damaged(#[source] FrameError),
    /// The target broke a rule of the protocol.
    #[error("the target broke the protocol: {0}{section}", section = Section(.0.section()))]
    Misbehaved(#[from] PeerMisbehaved),
    /// The target was silent for too long.
    #[error("the target has not answered {what} within {after:?}")]
    TimedOut {
        /// What was asked.
        what: &'static str,
        /// How long was waited.
        after: Duration,
    },
    /// The target announced that it drops the connection or the session.
    #[error("the target dropped the connection; it can be reached again in {time2wait} s")]
    DroppedByTarget {
        /// Do not reconnect before this many seconds.
        time2wait: u16,
        /// Tasks are kept for this many seconds after that.
        time2retain: u16,
    },
    /// The target answered a logout with a failure; the connection is closed all the same.
    #[error("the target could not complete the logout: {}", logout_text(*.result))]
    LogoutFailed {
        /// What it answered.
        result: LogoutResult,
        /// Do not log in again before this many seconds.
        time2wait: u16,
        /// The target waits for another logout for this many seconds after that.
        time2retain: u16,
    },
    /// The target rejected a logout; the connection is closed all the same.
    #[error("the target rejected the logout: {0}")]
    LogoutRejected(RejectReason),
    /// The session was logged out.
    #[error("the session is logged out")]
    LoggedOut,
    /// The target asked for a logout, and got it.
    #[error("the target asked for a logout")]
    LogoutRequested,
    /// A command made no progress, and the target did not abort it: what became of it cannot be learnt any more.
    #[error("a command made no progress for {after:?}, and the target did not abort it ({result:?})")]
    NotAborted {
        /// How long was waited.
        after: Duration,
        /// What it answered instead.
        result: TaskResult,
    },
    /// The same, when the target rejects the request to abort.
    #[error("a command made no progress, and the target rejected the request to abort it: {0}")]
    AbortRejected(RejectReason),
    /// Something was damaged or lost on its way, and did not come although it was asked for again (error recovery level 1).
    #[error("{what} was lost on the way and did not come although it was asked for again")]
    Unrecovered {
        /// What was asked for.
        what: &'static str,
    },
    /// The future that runs the connection was dropped.
    #[error("the connection is no longer being run")]
    Abandoned,
}

impl ConnectionError {
    /// Whether a new login may well succeed: the connection was lost, not refused and not ended on purpose.
    pub const fn is_retriable(&self) -> bool {
        !matches!(self, Self::LoggedOut | Self::Abandoned | Self::Misbehaved(_))
    }
}

impl From<io::Error> for ConnectionError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
                Self::ClosedByTarget
            }
            _ => Self::Io(Arc::new(error)),
        }
    }
}

struct At(Option<u64>);

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |offset| write!(f, ", from byte {offset} on"))
    }
}

struct Section(Option<&'static str>);

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |section| write!(f, " (RFC 7143, section {section})"))
    }
}

const fn logout_text(result: LogoutResult) -> &'static str {
    match result {
        LogoutResult::Closed => "closed",
        LogoutResult::CidNotFound => "there is no such connection",
        LogoutResult::RecoveryNotSupported => "connection recovery is not supported",
        LogoutResult::CleanupFailed => "cleanup failed",
    }
}

/// Why a command failed.
///
/// After every variant but those of [`CommandError::is_known_not_executed`] a write may or may not have reached the
/// medium, in part or as a whole.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CommandError {
    /// CHECK CONDITION: the logical unit says why.
    #[error("{0}")]
    Sense(Sense),
    /// Another status than GOOD, without sense data.
    #[error("the logical unit answered {0}")]
    Status(Status),
    /// The target reports that the command was not delivered to the logical unit.
    #[error("the target could not deliver the command ({0:?})")]
    Delivery(ServiceResponse),
    /// The target rejected the request as a PDU.
    #[error("the target rejected the request: {0}")]
    Rejected(RejectReason),
    /// GOOD status, but fewer bytes than the command asked for.
    #[error("{received} of {expected} bytes were transferred although the status was GOOD")]
    Short {
        /// Bytes that were to be transferred.
        expected: usize,
        /// Bytes that were.
        received: usize,
    },
    /// The data that came is not what the command returns.
    #[error("the answer to {command} is malformed: {problem}")]
    Malformed {
        /// The command.
        command: &'static str,
        /// What is wrong with it.
        problem: String,
    },
    /// What is on the medium is not what it was compared with. Nothing was written.
    #[error("the medium holds something else than what it was compared with{}", At(*.offset))]
    Miscompare {
        /// The first byte that differs, in bytes from the start of what was to be compared, if the logical unit told.
        offset: Option<u64>,
    },
    /// The logical unit cannot do this. Nothing was done.
    #[error("the logical unit does not support {0}")]
    Unsupported(&'static str),
    /// Offset or length is not a multiple of the block size.
    #[error("offset {offset} and length {length} must be multiples of the block size {block_size}")]
    Misaligned {
        /// Offset in bytes.
        offset: u64,
        /// Length in bytes.
        length: u64,
        /// Block size in bytes.
        block_size: u32,
    },
    /// The range reaches beyond the end of the logical unit. Nothing was sent.
    #[error("{length} bytes at offset {offset} reach beyond the end of the logical unit, which has {size} bytes")]
    OutOfRange {
        /// Offset in bytes.
        offset: u64,
        /// Length in bytes.
        length: u64,
        /// Size of the logical unit in bytes.
        size: u64,
    },
    /// No progress for the time allowed. The task was aborted if it had been sent.
    #[error("the command made no progress for {after:?}{}", if *.sent { " and was aborted" } else { " and was never sent: the target takes no more commands" })]
    TimedOut {
        /// How long was waited.
        after: Duration,
        /// Whether it had been sent; if not, it was not executed.
        sent: bool,
    },
    /// Data was damaged on its way, and the target would not send it again (a SNACK was rejected). The logical unit has
    /// executed the command (RFC 7143, section 7.8).
    #[error("data was damaged on its way, and the target would not send it again")]
    Damaged,
    /// The task was ended by a task management function.
    #[error("the command was aborted")]
    Aborted,
    /// The command cannot be sent as it is. Nothing was sent.
    #[error("{0}")]
    Invalid(&'static str),
    /// The connection that carried the command was lost, and the target did not go on with it over another one. Whether it was
    /// executed is not known.
    #[error("the connection was lost, and the target did not go on with the command ({result:?})")]
    NotReassigned {
        /// What the target answered.
        result: TaskResult,
    },
    /// The session has as many connections as its two sides agreed on (MaxConnections).
    #[error("the session has its {limit} connections already")]
    TooManyConnections {
        /// How many there may be.
        limit: u16,
    },
    /// The connection ended before the command did.
    #[error("the session ended: {error}")]
    Closed {
        /// Why it ended.
        #[source]
        error: ConnectionError,
        /// Whether the command had been sent; if not, it was not executed.
        sent: bool,
    },
    /// One command of a write that takes several was not executed, others were or may have been.
    #[error("{error}; other parts of the range may have been written")]
    Partial {
        /// Why the first part that failed did.
        #[source]
        error: Box<Self>,
    },
}

impl CommandError {
    /// Whether it is certain that the logical unit did not execute the command.
    pub const fn is_known_not_executed(&self) -> bool {
        matches!(
            self,
            Self::Misaligned { .. }
                | Self::OutOfRange { .. }
                | Self::Invalid(_)
                | Self::Unsupported(_)
                | Self::TooManyConnections { .. }
                | Self::Miscompare { .. }
                | Self::TimedOut { sent: false, .. }
                | Self::Closed { sent: false, .. }
                | Self::Status(Status::BUSY | Status::TASK_SET_FULL | Status::RESERVATION_CONFLICT)
        )
    }

    /// Whether the same command may succeed if it is sent again, now or on a new session.
    ///
    /// Sending a command again is safe only if doing it twice is: see [`CommandError::is_known_not_executed`].
    pub const fn is_retriable(&self) -> bool {
        match self {
            Self::Status(status) => matches!(*status, Status::BUSY | Status::TASK_SET_FULL | Status::TASK_ABORTED),
            Self::TimedOut { .. } | Self::Aborted | Self::Damaged | Self::NotReassigned { .. } => true,
            Self::Closed { error, .. } => error.is_retriable(),
            Self::Partial { error } => error.is_retriable(),
            _ => false,
        }
    }
}

impl From<CommandError> for io::Error {
    fn from(error: CommandError) -> Self {
        Self::new(kind(&error), error)
    }
}

fn kind(error: &CommandError) -> io::ErrorKind {
    match error {
        CommandError::TimedOut { .. } => io::ErrorKind::TimedOut,
        CommandError::Closed { .. } | CommandError::NotReassigned { .. } => io::ErrorKind::ConnectionAborted,
        CommandError::Misaligned { .. } | CommandError::OutOfRange { .. } | CommandError::Invalid(_) => {
            io::ErrorKind::InvalidInput
        }
        CommandError::Unsupported(_) => io::ErrorKind::Unsupported,
        CommandError::Short { .. } => io::ErrorKind::UnexpectedEof,
        CommandError::Malformed { .. } => io::ErrorKind::InvalidData,
        CommandError::Status(Status::BUSY | Status::TASK_SET_FULL) => io::ErrorKind::ResourceBusy,
        CommandError::Status(Status::RESERVATION_CONFLICT) => io::ErrorKind::PermissionDenied,
        CommandError::Partial { error } => kind(error),
        _ => io::ErrorKind::Other,
    }
}
