//! A session in its full feature phase: all that RFC 7143 rules after login, for all of its connections.
//!
//! The owner submits requests, feeds what each connection receives, writes what is queued for it, and wakes the core at its
//! deadline. Completions and events are taken out afterwards.

mod holes;
mod link;
mod manage;
mod receive;
mod recover;
mod repair;
mod send;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io::IoSlice;
use std::time::Duration;

use iscsi_proto::pdu::{Opcode, TaskFunction};
use iscsi_proto::scsi::Lun;
use iscsi_proto::serial::Serial;
use iscsi_proto::tags::Itt;

use super::Time;
use super::command::{Completion, Data, Finished, Request, Token};
use super::error::{CommandError, ConnectionError};
use super::event::Event;
use super::params::Negotiated;
use super::stats::Stats;
use super::task::{Direction, Kind, Leave, Scsi, Slot, Task, Tasks, Text};
use super::window::Window;
use link::{Link, Links};

pub use link::LinkId;
pub(crate) use repair::Repair;

/// What a connection starts with when login has ended.
#[derive(Clone, Debug)]
pub struct Start {
    /// The values in force.
    pub negotiated: Negotiated,
    /// The connection's ID in its session.
    pub cid: u16,
    /// The first CmdSN to use: the one that login carried.
    pub cmd_sn: Serial,
    /// ExpCmdSN of the last login response.
    pub exp_cmd_sn: Serial,
    /// MaxCmdSN of the last login response.
    pub max_cmd_sn: Serial,
    /// The StatSN that comes next.
    pub exp_stat_sn: Serial,
}

/// How long the core waits for what.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// A command without progress.
    pub command: Duration,
    /// Task management, logout and text.
    pub management: Duration,
    /// Silence after which the target is pinged; `None` never pings.
    pub idle: Option<Duration>,
    /// The answer to a ping.
    pub ping: Duration,
}

impl Patience {
    /// How long error recovery waits for what it asked for, and a command for a sign of life before it is looked into.
    fn repair(&self) -> Duration {
        (self.command / 4).max(Duration::from_millis(1))
    }
}

#[derive(Debug)]
enum State {
    Open,
    /// A logout of the whole session was sent: nothing new may follow it.
    LoggingOut,
    Closed(ConnectionError),
}

/// The state of a session.
#[derive(Debug)]
pub struct Core {
    /// The values of the whole session; those of a connection are its own.
    negotiated: Negotiated,
    patience: Patience,
    state: State,
    links: Links,
    window: Window,
    tasks: Tasks,
    /// Tags of tasks that task management has ended, the latest last: what still comes for them is discarded.
    concluded: VecDeque<Itt>,
    /// Commands that have no CmdSN yet.
    waiting: VecDeque<Slot>,
    /// Text exchanges that wait for one under way.
    texts: VecDeque<Slot>,
    /// Whether the logout is the target's wish.
    at_their_wish: bool,
    /// Whether the owner can connect again.
    redials: bool,
    /// The connection ID that was given last.
    last_cid: u16,
    /// Who else wants to know how the logout under way ends.
    leaving: Vec<Token>,
    /// Boxes of commands that have ended, for those to come.
    #[expect(clippy::vec_box, reason = "the boxes are what is kept")]
    spare: Vec<Box<Scsi>>,
    done: Vec<(Token, Completion)>,
    events: VecDeque<Event>,
    stats: Stats,
    now: Time,
    expiry: Time,
}

/// Events that are kept for an owner that does not take them; the oldest go first.
const MAX_EVENTS: usize = 256;
/// Boxes that are kept.
const MAX_SPARE: usize = 512;

impl Core {
    /// The state after login, at time `now`.
    pub fn new(start: Start, patience: Patience, now: Time) -> Self {
        let Start { negotiated, cid, cmd_sn, exp_cmd_sn, max_cmd_sn, exp_stat_sn } = start;
        let first = Link::new(&negotiated, cid, exp_stat_sn, now);
        Self {
            negotiated,
            patience,
            state: State::Open,
            links: Links::new(first),
            window: Window::new(cmd_sn, exp_cmd_sn, max_cmd_sn),
            tasks: Tasks::new(),
            concluded: VecDeque::new(),
            waiting: VecDeque::new(),
            texts: VecDeque::new(),
            at_their_wish: false,
            redials: false,
            last_cid: cid,
            leaving: Vec::new(),
            spare: Vec::new(),
            done: Vec::new(),
            events: VecDeque::new(),
            stats: Stats::default(),
            now,
            expiry: now,
        }
    }

    /// Adds what was counted before the full feature phase: the login.
    pub fn add_stats(&mut self, before: &Stats) {
        self.stats += before;
    }

    /// Takes a request. Its completion comes out of [`Core::take_done`] once, under `token`.
    pub fn submit(&mut self, request: Request, token: Token, now: Time) {
        self.now = now;
        match request {
            Request::Stats => self.done.push((token, Ok(Finished::Stats(Box::new(self.stats()))))),
            Request::Seat => {
                let seat = self.seat().map(Finished::Seat);
                self.done.push((token, seat));
            }
            // A logout is under way already: it does for both.
            Request::Logout if self.is_leaving() => self.leaving.push(token),
            request => {
                let leaves = matches!(request, Request::Logout);
                if let Err(error) = self.accept(request, Some(token)) {
                    self.done.push((token, Err(error)));
                }
                // Without a connection to say goodbye over the session ends as it is: nobody wants a new one any more.
                if let Some(error) = self.cut_off().filter(|_| leaves) {
                    self.fail(&error);
                }
            }
        }
    }

    /// Nobody waits for `token` any more: it completes as aborted at once, if it has not completed. What was sent runs to
    /// its end unseen; what was not is forgotten.
    pub fn cancel(&mut self, token: Token) {
        let aborted = || (token, Err(CommandError::Aborted));
        if let Some(at) = self.leaving.iter().position(|leaving| *leaving == token) {
            self.leaving.remove(at);
            return self.done.push(aborted());
        }
        let found = self.tasks.iter().find(|(_, task)| task.token == Some(token)).map(|(slot, _)| slot);
        let Some(slot) = found else { return };
        match self.tasks.get_mut(slot) {
            Some(task) if task.was_sent() => {
                task.token = None;
                self.done.push(aborted());
            }
            _ => self.forget(slot, CommandError::Aborted),
        }
    }

    /// The bytes to write next to a connection; says how many slices were filled.
    pub fn outgoing<'a>(&'a mut self, link: LinkId, slices: &mut [IoSlice<'a>]) -> usize {
        self.fill(link);
        self.links[link].queue.slices(slices)
    }

    /// Whether there is anything to write to a connection.
    pub fn has_outgoing(&self, link: LinkId) -> bool {
        let link = &self.links[link];
        link.queue.len() != 0 || !link.writers.is_empty()
    }

    /// `count` bytes were written to a connection.
    pub fn sent(&mut self, link: LinkId, count: usize, now: Time) {
        self.now = now;
        self.stats.bytes_sent += count as u64;
        let Self { links, tasks, .. } = self;
        let Link { queue, pongs, moved, .. } = &mut links[link];
        *moved = now;
        queue.advance(count, |itt, whole| {
            if itt.is_reserved() {
                *pongs = pongs.saturating_sub(whole.into());
            } else if let Some(task) = tasks.find(itt).and_then(|slot| tasks.get_mut(slot)) {
                // What is on its way over a slow link is not without progress.
                task.progress = now;
            }
        });
    }

    /// The transport of a connection is gone. The session goes on over its other connections, or over the one that the owner
    /// makes when [`Core::dial`] asks for it; without any it is over.
    pub fn lost(&mut self, link: LinkId, error: &ConnectionError, now: Time) {
        self.now = now;
        self.lose(link, error);
    }

    /// The session is over: everything that waits ends with `error`.
    pub fn fail(&mut self, error: &ConnectionError) {
        if self.closed().is_some() {
            return;
        }
        self.state = State::Closed(error.clone());
        self.count_damage(error);
        self.links.iter_mut().filter(|(_, link)| !link.is_closed()).for_each(|(_, link)| link.close());
        self.waiting.clear();
        self.texts.clear();
        for token in std::mem::take(&mut self.leaving) {
            let left = matches!(error, ConnectionError::LoggedOut | ConnectionError::LogoutRequested);
            let closed = CommandError::Closed { error: error.clone(), sent: true };
            self.done.push((token, if left { Ok(Finished::LoggedOut) } else { Err(closed) }));
        }
        for task in self.tasks.drain() {
            let sent = task.was_sent();
            self.finish(task.token, Err(CommandError::Closed { error: error.clone(), sent }));
        }
    }

    /// Whether bytes come and go over a connection. The transport of one that is not live is to be closed.
    pub fn is_live(&self, link: LinkId) -> bool {
        self.links[link].is_live()
    }

    /// Why the session is over, if it is.
    pub const fn closed(&self) -> Option<&ConnectionError> {
        match &self.state {
            State::Closed(error) => Some(error),
            _ => None,
        }
    }

    /// Whether there is any task that has not ended.
    pub const fn is_waiting(&self) -> bool {
        self.tasks.len() != 0
    }

    /// Takes the completions since the last call.
    pub fn take_done(&mut self, into: &mut Vec<(Token, Completion)>) {
        into.append(&mut self.done);
    }

    /// Takes the oldest event.
    pub fn take_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// What went over the wire so far.
    pub fn stats(&self) -> Stats {
        let mut stats = self.stats.clone();
        stats.room = self.window.room();
        stats.in_flight = self.tasks.len();
        stats.connections = self.links.iter().filter(|(_, link)| link.is_live()).count();
        stats
    }

    fn accept(&mut self, request: Request, token: Option<Token>) -> Result<Slot, CommandError> {
        let waits = matches!(request, Request::Scsi { .. } | Request::Text(_));
        let link = match self.open_link() {
            Err(_) if waits && self.cut_off().is_some() => LinkId::FIRST,
            link => link?,
        };
        self.accept_on(link, request, token)
    }

    /// Takes a request; what does not have to wait is sent on `link`.
    fn accept_on(&mut self, link: LinkId, request: Request, token: Option<Token>) -> Result<Slot, CommandError> {
        let (kind, lun, timeout) = match request {
            Request::Scsi { lun, command } => {
                let timeout = command.timeout.unwrap_or(self.patience.command);
                let scsi = scsi(command)?;
                if scsi.direction == Direction::Both && self.negotiated.error_recovery_level != 0 {
                    return Err(CommandError::Invalid("data goes both ways only at error recovery level 0"));
                }
                (Kind::Scsi(self.boxed(scsi)), lun, timeout)
            }
            Request::Text(request) => {
                let text = Text { request, answer: Vec::new() };
                (Kind::Text(text), Lun::ZERO, self.patience.management)
            }
            Request::Task { function, lun } => {
                is_sent_on_request(function)?;
                (Kind::Management { aborts: None, function }, lun, self.patience.management)
            }
            Request::Ping => (Kind::Ping, Lun::ZERO, self.patience.ping),
            Request::Logout => (Kind::Logout(Leave::Session), Lun::ZERO, self.patience.management),
            Request::Stats | Request::Seat => return Err(CommandError::Invalid("this is no task")),
        };
        self.start(Task { token, link, ..Task::new(kind, lun, self.now, timeout) })
    }

    /// The box of a command that has ended, or a new one.
    fn boxed(&mut self, scsi: Scsi) -> Box<Scsi> {
        match self.spare.pop() {
            Some(mut spare) => {
                *spare = scsi;
                spare
            }
            None => Box::new(scsi),
        }
    }

    /// Keeps the box of a command that has ended, without what was in it.
    fn keep_box(&mut self, mut scsi: Box<Scsi>) {
        if self.spare.len() < MAX_SPARE {
            scsi.release();
            self.spare.push(scsi);
        }
    }

    /// Puts a task into the table and on its way.
    fn start(&mut self, task: Task) -> Result<Slot, CommandError> {
        let (expires, link) = (task.expires(), task.link);
        let line = match task.kind {
            Kind::Scsi(_) => Some(&mut self.waiting),
            Kind::Text(_) => Some(&mut self.texts),
            _ => None,
        };
        let slot = self.tasks.insert(task).ok_or(CommandError::Invalid("65535 commands are under way already"))?;
        self.expiry = self.expiry.min(expires).max(self.now);
        match line {
            Some(line) => {
                line.push_back(slot);
                self.pump();
            }
            None => self.issue(slot, link),
        }
        Ok(slot)
    }

    /// Ends a task that was never sent.
    fn forget(&mut self, slot: Slot, error: CommandError) {
        self.waiting.retain(|waiting| *waiting != slot);
        self.texts.retain(|waiting| *waiting != slot);
        self.end(slot, Err(error));
    }

    /// A connection for what is sent at once, if new requests are taken at all.
    fn open_link(&self) -> Result<LinkId, CommandError> {
        let error = match &self.state {
            State::Open => match self.links.choose() {
                Some(link) => return Ok(link),
                None => self.cut_off().unwrap_or(ConnectionError::LogoutRequested),
            },
            State::LoggingOut => ConnectionError::LoggedOut,
            State::Closed(error) => error.clone(),
        };
        Err(CommandError::Closed { error, sent: false })
    }

    fn has_open_link(&self) -> bool {
        self.links.iter().any(|(_, link)| link.is_open())
    }

    /// Whether no other connection is left.
    fn is_last(&self, link: LinkId) -> bool {
        self.links.iter().all(|(id, other)| id == link || !other.is_live())
    }

    /// Whether a logout of the session is under way, or will be when all is done.
    fn is_leaving(&self) -> bool {
        match self.state {
            State::Open => !self.has_open_link() && self.links.iter().any(|(_, link)| link.is_live()),
            State::LoggingOut => true,
            State::Closed(_) => false,
        }
    }

    /// Why nothing can be sent just now, if connections are lost and will be back.
    fn cut_off(&self) -> Option<ConnectionError> {
        let open = matches!(self.state, State::Open) && self.links.iter().all(|(_, link)| !link.is_live());
        open.then(|| self.links.iter().find_map(|(_, link)| link.lost().cloned())).flatten()
    }

    fn finish(&mut self, token: Option<Token>, completion: Completion) {
        if let Some(token) = token {
            self.done.push((token, completion));
        }
    }

    fn report(&mut self, event: Event) {
        if self.events.len() == MAX_EVENTS {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    fn count_damage(&mut self, end: &ConnectionError) {
        self.stats.digest_errors += u64::from(matches!(end, ConnectionError::Damaged(_)));
    }

    fn count(&mut self, opcode: Opcode) {
        self.stats.count(opcode);
    }
}

/// Refuses the functions that are not the caller's to send: ABORT TASK belongs to the core, TASK REASSIGN to error recovery
/// level 2, and the rest to protocol level 2.
fn is_sent_on_request(function: TaskFunction) -> Result<(), CommandError> {
    match function {
        TaskFunction::AbortTaskSet
        | TaskFunction::ClearAca
        | TaskFunction::ClearTaskSet
        | TaskFunction::LogicalUnitReset
        | TaskFunction::TargetWarmReset
        | TaskFunction::TargetColdReset => Ok(()),
        _ => Err(CommandError::Invalid("this task management function is not sent on request")),
    }
}

/// The longest extended CDB: what a TotalAHSLength of 255 words leaves, and SPC's 260 bytes.
const MAX_EXTENDED_CDB: usize = 244;

fn scsi(command: super::Command) -> Result<Scsi, CommandError> {
    let super::Command { cdb, extended_cdb, data, attribute, timeout: _ } = command;
    let mut scsi = Scsi {
        cdb: cdb.as_padded(),
        extended_cdb,
        attribute,
        direction: Direction::None,
        buffer: bytes::BytesMut::new(),
        received: 0,
        data_sn: Serial(0),
        payload: super::Payload::default(),
        requested: 0,
        r2t_sn: Serial(0),
        bursts: VecDeque::new(),
        resumed: false,
        repair: None,
        moved: false,
    };
    match data {
        Data::None => {}
        Data::In(buffer) => (scsi.direction, scsi.buffer) = (Direction::In, buffer),
        Data::Out(payload) => (scsi.direction, scsi.payload) = (Direction::Out, payload),
        Data::Both(both) => (scsi.direction, (scsi.payload, scsi.buffer)) = (Direction::Both, *both),
    }
    if scsi.extended_cdb.len() > MAX_EXTENDED_CDB {
        return Err(CommandError::Invalid("a CDB has at most 260 bytes"));
    }
    if u32::try_from(scsi.buffer.len().max(scsi.payload.len())).is_err() {
        return Err(CommandError::Invalid("one command transfers less than 4 GiB"));
    }
    Ok(scsi)
}
