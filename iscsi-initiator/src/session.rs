//! A logged-in session.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use iscsi_proto::isid::Isid;
use iscsi_proto::keys::Key;
use iscsi_proto::name::IscsiName;
use iscsi_proto::pdu::{TaskFunction, TaskResult};
use iscsi_proto::portal::{Portal, PortalGroupTag};
use iscsi_proto::scsi::{Cdb, Inquiry, InquiryData, Lun as LunNumber, LunList, ReportLuns, Sense, Status, vpd_len};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::broadcast;

use crate::core::command::{Command, Finished, Request, Response, Seat, is_success};
use crate::core::login::Authentication;
use crate::core::{CommandError, ConnectionError, Event, Negotiated, Stats};
use crate::driver::dial::{Dialer, Joined};
use crate::driver::mailbox::{Mailbox, Pending};
use crate::error::ConnectError;
use crate::lun::{Lun, Retry};

/// A session with a target. Clones are handles of one session.
///
/// When the last handle is dropped, logical units and commands that wait included, the session is logged out behind
/// the scenes. Call [`Session::logout`] to know how that went.
#[derive(Clone)]
pub struct Session(Arc<Handle>);

/// What all handles share; the last one to go says goodbye.
struct Handle {
    mailbox: Arc<Mailbox>,
    /// The connection holds the sender, so that listeners see the end when it does.
    events: broadcast::WeakSender<Event>,
    info: Info,
    /// How long a busy unit is waited for.
    patience: Duration,
    /// How further connections are logged in; `None` in a discovery session.
    dialer: Option<Arc<Dialer>>,
}

/// What is known of a session since login.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Info {
    /// The target; `None` in a discovery session.
    pub target: Option<IscsiName>,
    /// What people call the target, if it said so. Any UTF-8: escape it before it reaches a terminal.
    pub target_alias: Option<String>,
    /// The portal that was asked for, or the last one that a redirect named.
    pub portal: Option<Portal>,
    /// The address that the connection goes to.
    pub peer: Option<SocketAddr>,
    /// The address that the connection comes from.
    pub local: Option<SocketAddr>,
    /// This side's part of the session's identity.
    pub isid: Isid,
    /// The target's part of it.
    pub tsih: u16,
    /// The portal group, if the target named it.
    pub portal_group: Option<PortalGroupTag>,
    /// How both sides proved who they are.
    pub authentication: Authentication,
    /// Keys that the target should have answered in login and did not.
    pub unanswered: Vec<Key>,
    /// The values in force.
    pub negotiated: Negotiated,
}

/// A stream of [`Event`]s, from the time it was asked for. An owner that falls behind by 64 events loses the oldest.
#[derive(Debug)]
pub struct Events(broadcast::Receiver<Event>);

/// How many times data of unknown length is asked for, each time with more room.
const ROUNDS: usize = 4;
/// Room for a first REPORT LUNS: 2047 logical units.
const LUN_LIST: u32 = 16 * 1024;
/// Room for standard INQUIRY data.
const INQUIRY: u16 = 255;

impl Session {
    pub(crate) fn new(
        mailbox: Arc<Mailbox>,
        events: broadcast::WeakSender<Event>,
        info: Info,
        patience: Duration,
        dialer: Option<Arc<Dialer>>,
    ) -> Self {
        Self(Arc::new(Handle { mailbox, events, info, patience, dialer }))
    }

    /// What is known of the session since login.
    pub fn info(&self) -> &Info {
        &self.0.info
    }

    /// Why the session is over, if it is.
    pub fn closed(&self) -> Option<ConnectionError> {
        self.0.mailbox.closed()
    }

    /// Events from now on; none if the session is over.
    pub fn events(&self) -> Events {
        let over = || broadcast::channel(1).1;
        Events(self.0.events.upgrade().map_or_else(over, |events| events.subscribe()))
    }

    /// Adds a connection to `portal`, which has to be of the session's portal group, and says which number it has in the
    /// session. Commands are spread over all connections from then on; each stays on the one that it was sent on.
    ///
    /// There may be as many as [`Negotiated::max_connections`] says, which is 1 unless [`Offer::max_connections`] offered
    /// more (RFC 7143, sections 4.2.5.1 and 6.3.3). One that is lost is told by an [`Event`], and is not replaced as long as
    /// others are left. The task that runs the session runs them all.
    ///
    /// # Errors
    ///
    /// [`ConnectError::NotAdded`] if the session is over, is a discovery session, or has all its connections; otherwise as
    /// when a session is logged in. The session goes on as it was.
    ///
    /// # Cancellation
    ///
    /// The TCP connection is closed, unless the session has taken it in.
    ///
    /// [`Offer::max_connections`]: crate::core::Offer::max_connections
    pub async fn add_connection(&self, portal: &Portal) -> Result<u16, ConnectError> {
        let (dialer, seat) = self.seat().await?;
        self.attach(dialer.dial(portal, seat).await?, seat).await
    }

    /// The same over a transport of the caller's.
    pub async fn add_connection_with<IO>(&self, io: IO) -> Result<u16, ConnectError>
    where
        IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (dialer, seat) = self.seat().await?;
        self.attach(dialer.join_over(io, seat).await?, seat).await
    }

    async fn seat(&self) -> Result<(&Dialer, Seat), ConnectError> {
        let discovery = CommandError::Invalid("a discovery session has one connection");
        let dialer = self.0.dialer.as_deref().ok_or(ConnectError::NotAdded(discovery))?;
        let take = |finished| if let Finished::Seat(seat) = finished { Some(seat) } else { None };
        let seat = self.ask(Request::Seat, take).await.map_err(ConnectError::NotAdded)?;
        Ok((dialer, seat))
    }

    async fn attach(&self, joined: Joined, seat: Seat) -> Result<u16, ConnectError> {
        self.0.mailbox.attach(joined).await.map_err(ConnectError::NotAdded)?;
        Ok(seat.cid)
    }

    /// Sends a command and waits for its status, whatever that is. [`good`] makes an error of a bad one.
    ///
    /// Nothing is sent again here: a UNIT ATTENTION or BUSY is the caller's to deal with.
    ///
    /// # Cancellation
    ///
    /// A command that has not been numbered yet is forgotten. One that has runs to its end on the target, and its
    /// buffer lives until then.
    pub async fn execute(&self, lun: LunNumber, command: Command) -> Result<Response, CommandError> {
        response(self.start(lun, command).await)
    }

    /// Sends a command; it is on its way whether or not the result is awaited.
    pub(crate) fn start(&self, lun: LunNumber, command: Command) -> Pending {
        self.0.mailbox.submit(Request::Scsi { lun, command })
    }

    /// The logical units that the target has for this initiator, in its order (REPORT LUNS).
    pub async fn luns(&self) -> Result<Vec<LunNumber>, CommandError> {
        let mut allocation = LUN_LIST;
        for _ in 0..ROUNDS {
            let command = ReportLuns { select: ReportLuns::ADDRESSABLE, allocation };
            let data = self.read_data(LunNumber::ZERO, command.encode(), allocation as usize).await?;
            let list = LunList::parse(&data).map_err(|error| malformed("REPORT LUNS", &error))?;
            match list.retry_allocation(allocation) {
                Some(larger) => allocation = larger,
                None => return Ok(list.luns),
            }
        }
        Err(malformed("REPORT LUNS", &"the list grows faster than it can be read"))
    }

    /// What a logical unit says of itself (standard INQUIRY data).
    pub async fn inquiry(&self, lun: LunNumber) -> Result<InquiryData, CommandError> {
        let command = Inquiry { page: None, allocation: INQUIRY };
        let data = self.read_data(lun, command.encode(), INQUIRY.into()).await?;
        InquiryData::parse(&data).map_err(|error| malformed("INQUIRY", &error))
    }

    /// A page of vital product data, as it came (INQUIRY with EVPD).
    pub async fn vital_product_data(&self, lun: LunNumber, page: u8) -> Result<BytesMut, CommandError> {
        let mut allocation = INQUIRY;
        for _ in 0..ROUNDS {
            let command = Inquiry { page: Some(page), allocation };
            let data = self.read_data(lun, command.encode(), allocation.into()).await?;
            if data.get(1) != Some(&page) {
                return Err(malformed("INQUIRY", &format!("another page than {page:#04x}")));
            }
            match vpd_len(&data).and_then(|whole| u16::try_from(whole).ok()) {
                Some(whole) if whole > allocation => allocation = whole,
                _ => return Ok(data),
            }
        }
        Err(malformed("INQUIRY", &"the page grows faster than it can be read"))
    }

    /// Opens a logical unit of a block device: asks for its size, block size, limits and identity.
    ///
    /// That works on a path in standby too, if the unit tells its size there; reads and writes then end with the sense of it.
    ///
    /// # Cancellation
    ///
    /// Nothing is left behind.
    pub async fn open(&self, lun: LunNumber) -> Result<Lun, CommandError> {
        Lun::open(self.clone(), lun).await
    }

    /// Sends LOGICAL UNIT RESET. Commands of this session on it end with [`CommandError::Aborted`], those of others do
    /// not end well either.
    ///
    /// # Cancellation
    ///
    /// The reset takes place all the same.
    pub async fn reset_lun(&self, lun: LunNumber) -> Result<TaskResult, CommandError> {
        self.task(TaskFunction::LogicalUnitReset, lun).await
    }

    /// Sends ABORT TASK SET: ends all commands of this session on a logical unit.
    ///
    /// # Cancellation
    ///
    /// The function takes place all the same.
    pub async fn abort_tasks(&self, lun: LunNumber) -> Result<TaskResult, CommandError> {
        self.task(TaskFunction::AbortTaskSet, lun).await
    }

    async fn task(&self, function: TaskFunction, lun: LunNumber) -> Result<TaskResult, CommandError> {
        let request = Request::Task { function, lun };
        self.ask(request, |finished| if let Finished::Task(result) = finished { Some(result) } else { None }).await
    }

    /// Asks the target for a sign of life (NOP-Out).
    pub async fn ping(&self) -> Result<(), CommandError> {
        self.0.mailbox.submit(Request::Ping).await.map(drop)
    }

    /// Exchanges key=value text, and gives the whole answer as it came.
    ///
    /// # Cancellation
    ///
    /// The exchange goes on to its end, unseen.
    pub async fn text(&self, request: Vec<u8>) -> Result<Vec<u8>, CommandError> {
        let request = Request::Text(request);
        self.ask(request, |finished| if let Finished::Text(answer) = finished { Some(answer) } else { None }).await
    }

    /// What went over the wire, login included. After the end of the session that is all that ever went.
    pub async fn stats(&self) -> Result<Stats, CommandError> {
        self.ask(Request::Stats, |finished| if let Finished::Stats(stats) = finished { Some(*stats) } else { None })
            .await
    }

    async fn ask<T>(&self, request: Request, take: fn(Finished) -> Option<T>) -> Result<T, CommandError> {
        answer(self.0.mailbox.submit(request).await, take)
    }

    /// Logs out, and returns when the session is over. Commands that have not ended by then end with an error; wait for
    /// them first. If a logout is under way already, this waits for that one.
    ///
    /// # Cancellation
    ///
    /// The logout takes place all the same.
    pub async fn logout(&self) -> Result<(), CommandError> {
        let mut events = self.events();
        match self.0.mailbox.submit(Request::Logout).await {
            Ok(_) | Err(CommandError::Closed { error: ConnectionError::LoggedOut, .. }) => {}
            Err(error) => return Err(error),
        }
        while events.next().await.is_some() {}
        match self.closed() {
            None | Some(ConnectionError::LoggedOut) => Ok(()),
            Some(error) => Err(CommandError::Closed { error, sent: true }),
        }
    }

    /// The rules by which a command is sent again.
    pub(crate) fn retry(&self) -> Retry {
        Retry::new(self.0.patience)
    }

    /// Sends a command that reads up to `length` bytes, again where that is safe and may help.
    pub(crate) async fn read_data(&self, lun: LunNumber, cdb: Cdb, length: usize) -> Result<BytesMut, CommandError> {
        self.read_data_by(self.retry(), lun, cdb, length).await
    }

    /// The same by rules of the caller's.
    pub(crate) async fn read_data_by(
        &self,
        retry: Retry,
        lun: LunNumber,
        cdb: Cdb,
        length: usize,
    ) -> Result<BytesMut, CommandError> {
        let command = |mut buffer: BytesMut| {
            buffer.resize(length, 0);
            Command::read(cdb, buffer)
        };
        let pending = self.start(lun, command(BytesMut::new()));
        Ok(self.insist(lun, pending, retry, command).await?.data)
    }

    /// Sends what `command` makes, again where that is safe and may help, until it does what it should.
    pub(crate) async fn repeat(
        &self,
        lun: LunNumber,
        command: impl Fn(BytesMut) -> Command,
    ) -> Result<Response, CommandError> {
        let pending = self.start(lun, command(BytesMut::new()));
        self.insist(lun, pending, self.retry(), command).await
    }

    /// The same for a command that is under way already. Each new one gets the buffer of the one before.
    pub(crate) async fn insist(
        &self,
        lun: LunNumber,
        pending: Pending,
        mut retry: Retry,
        command: impl Fn(BytesMut) -> Command,
    ) -> Result<Response, CommandError> {
        let mut answer = response(pending.await)?;
        while let Some(error) = failure(&answer) {
            retry.wait(error).await?;
            answer = self.execute(lun, command(answer.data)).await?;
        }
        Ok(answer)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.mailbox.shut_down();
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("info", &self.0.info).field("closed", &self.closed()).finish()
    }
}

impl Events {
    /// The next event; `None` once the session is over.
    ///
    /// # Cancellation
    ///
    /// No event is lost.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            match self.0.recv().await {
                Ok(event) => return Some(event),
                Err(broadcast::error::RecvError::Lagged(_)) => {}
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

/// The response of a SCSI command.
pub(crate) fn response(completion: Result<Finished, CommandError>) -> Result<Response, CommandError> {
    answer(completion, |finished| if let Finished::Scsi(response) = finished { Some(response) } else { None })
}

fn answer<T>(completion: Result<Finished, CommandError>, take: fn(Finished) -> Option<T>) -> Result<T, CommandError> {
    take(completion?).ok_or(CommandError::Invalid("another request was answered"))
}

/// Makes an error of a response whose status does not say that the command did what it should. A recovered error does.
pub fn good(response: Response) -> Result<Response, CommandError> {
    failure(&response).map_or(Ok(response), Err)
}

/// The error that a response stands for, if it stands for one.
pub(crate) fn failure(response: &Response) -> Option<CommandError> {
    if is_success(response.status, &response.sense) {
        return None;
    }
    match Sense::parse(&response.sense) {
        Ok(sense) if response.status == Status::CHECK_CONDITION => Some(CommandError::Sense(sense)),
        _ => Some(CommandError::Status(response.status)),
    }
}

pub(crate) fn malformed(command: &'static str, problem: &dyn fmt::Display) -> CommandError {
    CommandError::Malformed { command, problem: problem.to_string() }
}
