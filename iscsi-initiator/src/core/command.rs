//! What a caller asks for and what comes back.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use iscsi_proto::pdu::{Residual, TaskAttribute, TaskFunction, TaskResult};
use iscsi_proto::scsi::{Cdb, LongCdb, Lun, Sense, SenseKey, Status};
use iscsi_proto::serial::Serial;

use super::error::CommandError;
use super::payload::Payload;
use super::stats::Stats;

/// A SCSI command for [`Session::execute`](crate::Session::execute).
#[derive(Clone, Debug)]
pub struct Command {
    /// The CDB, or the first 16 bytes of a longer one.
    pub cdb: Cdb,
    /// The bytes of a longer CDB from the 17th on, at most 244; usually none.
    pub extended_cdb: Bytes,
    /// What is transferred.
    pub data: Data,
    /// How the task is queued; default simple.
    pub attribute: TaskAttribute,
    /// How long it may make no progress before it is aborted; default: the session's timeout.
    pub timeout: Option<Duration>,
}

/// The data of a command.
#[derive(Clone, Debug, Default)]
pub enum Data {
    /// None.
    #[default]
    None,
    /// The target sends; the buffer's length is the Expected Data Transfer Length, and data lands in it.
    In(BytesMut),
    /// The target receives all of it.
    Out(Payload),
    /// The target receives all of the payload, and sends: data lands in the buffer, whose length is the Bidirectional Read
    /// Expected Data Transfer Length (RFC 7143, section 11.2.2.4). [`Command::bidirectional`] makes it.
    Both(Box<(Payload, BytesMut)>),
}

impl Command {
    /// A command without data.
    pub fn new(cdb: Cdb) -> Self {
        Self { cdb, extended_cdb: Bytes::new(), data: Data::None, attribute: TaskAttribute::Simple, timeout: None }
    }

    /// A command of more than 16 bytes, without data. Its end travels in an additional header segment, which few targets know:
    /// a target without them rejects the command or closes the connection.
    ///
    /// ```
    /// use bytes::BytesMut;
    /// use iscsi_initiator::core::{Command, Data};
    /// use iscsi_proto::scsi::{LongCommand, Tags, Transfer};
    ///
    /// let cdb = LongCommand::Read(Transfer::new(0, 8), Tags { reference: 0, ..Tags::default() }).encode();
    /// let command = Command { data: Data::In(BytesMut::zeroed(8 * 512)), ..Command::long(&cdb) };
    /// assert_eq!(command.extended_cdb.len(), 16);
    /// ```
    pub fn long(cdb: &LongCdb) -> Self {
        Self { extended_cdb: Bytes::copy_from_slice(cdb.tail()), ..Self::new(cdb.head()) }
    }

    /// A command that reads into `buffer`, whose length is what the target may send at most.
    pub fn read(cdb: Cdb, buffer: BytesMut) -> Self {
        Self { data: Data::In(buffer), ..Self::new(cdb) }
    }

    /// A command that writes `payload`.
    pub fn write(cdb: Cdb, payload: impl Into<Payload>) -> Self {
        Self { data: Data::Out(payload.into()), ..Self::new(cdb) }
    }

    /// A command that moves data both ways: it writes `payload`, and reads into `buffer`, whose length is what the target may
    /// send at most.
    ///
    /// The length of what is read travels in an additional header segment, which few targets know: one without them rejects the
    /// command or closes the connection. On a session whose ErrorRecoveryLevel is above 0 the command ends in
    /// [`CommandError::Invalid`], and nothing is sent: what is lost of data that shares its numbers with requests for data is
    /// not recovered.
    ///
    /// ```
    /// use bytes::BytesMut;
    /// use iscsi_initiator::core::Command;
    /// use iscsi_proto::scsi::XdWriteRead;
    ///
    /// let cdb = XdWriteRead { lba: 0, blocks: 1, ..XdWriteRead::default() }.encode();
    /// let command = Command::bidirectional(cdb, vec![7; 512], BytesMut::zeroed(512));
    /// ```
    pub fn bidirectional(cdb: Cdb, payload: impl Into<Payload>, buffer: BytesMut) -> Self {
        Self { data: Data::Both(Box::new((payload.into(), buffer))), ..Self::new(cdb) }
    }
}

/// How a command ended that the target completed, whatever its status.
#[derive(Clone, Debug)]
pub struct Response {
    /// SCSI status.
    pub status: Status,
    /// Sense data as it came; empty if there was none.
    pub sense: Bytes,
    /// The buffer that was read into. Its length is how many bytes are valid: none unless the status is GOOD, or
    /// CHECK CONDITION with a recovered error.
    pub data: BytesMut,
    /// How far the target says that it was off the expected length; that of what was written, if data went both ways.
    pub residual: Residual,
    /// The same of what was read by a command that moves data both ways; none for all others.
    pub read_residual: Residual,
}

/// Whether a status means that the command did what it should: one of the good ones, or CHECK CONDITION with a recovered
/// error of this command. Deferred sense is of an earlier command; this one was not done.
pub(crate) fn is_success(status: Status, sense: &[u8]) -> bool {
    let recovered = |sense: Sense| sense.key == SenseKey::RecoveredError && !sense.deferred;
    status.is_good_family() || (status == Status::CHECK_CONDITION && Sense::parse(sense).is_ok_and(recovered))
}

/// Names a request to the owner of the core.
pub type Token = usize;

/// How a request ended.
#[derive(Debug)]
#[non_exhaustive]
pub enum Finished {
    /// A SCSI command, with any status.
    Scsi(Response),
    /// A text exchange: the key=value text of the whole answer.
    Text(Vec<u8>),
    /// A task management function.
    Task(TaskResult),
    /// A ping.
    Pong,
    /// A logout.
    LoggedOut,
    /// The counts asked for.
    Stats(Box<Stats>),
    /// What the login of a further connection has to say.
    Seat(Seat),
    /// A further connection was added.
    Joined,
}

/// What the login of a further connection, or of one in the place of a lost one, has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seat {
    /// Its number in the session.
    pub cid: u16,
    /// The CmdSN of its login.
    pub cmd_sn: Serial,
    /// The StatSN that the lost connection expected; 0 for a further one.
    pub exp_stat_sn: Serial,
}

/// The end of a request.
pub type Completion = Result<Finished, CommandError>;

/// What the core can be asked for.
#[derive(Debug)]
#[non_exhaustive]
pub enum Request {
    /// A SCSI command for a logical unit.
    Scsi {
        /// The logical unit.
        lun: Lun,
        /// The command.
        command: Command,
    },
    /// A text exchange that sends this key=value text.
    Text(Vec<u8>),
    /// A task management function: ABORT TASK SET, CLEAR ACA, CLEAR TASK SET or a reset. ABORT TASK the core sends on its
    /// own; the others need levels that it does not offer.
    Task {
        /// The function.
        function: TaskFunction,
        /// The logical unit, for functions that name one.
        lun: Lun,
    },
    /// A NOP-Out that is to be answered.
    Ping,
    /// A logout that closes the session.
    Logout,
    /// The counts of the session so far.
    Stats,
    /// A place for a further connection.
    Seat,
}
