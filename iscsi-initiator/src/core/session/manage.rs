//! Time, task management, logout (RFC 7143, sections 4.2.3, 7.11, 11.5, 11.9 and 11.14).

use std::time::Duration;

use iscsi_proto::pdu::{RejectReason, TaskFunction, TaskResult};
use iscsi_proto::scsi::Lun;
use iscsi_proto::serial::Serial;
use iscsi_proto::tags::Itt;

use super::super::command::Request;
use super::super::error::{CommandError, ConnectionError};
use super::super::task::{Kind, Leave, Slot, Task};
use super::link::{Link, LinkId, LinkState};
use super::repair::is_damage;
use super::{Core, State, Time};

/// Tags of ended tasks that are remembered.
const MAX_CONCLUDED: usize = 1024;

impl Core {
    /// When [`Core::expire`] wants to be called, at the latest.
    pub fn deadline(&self) -> Option<Time> {
        if self.closed().is_some() {
            return None;
        }
        let tasks = (self.tasks.len() != 0).then_some(self.expiry);
        let of = |link| self.link_deadline(link).into_iter().chain(self.repair_deadline(link)).min();
        let links = self.links.iter().filter_map(|(_, link)| of(link)).min();
        tasks.into_iter().chain(links).min()
    }

    /// When a connection is pinged, logged out or recovered, if nothing happens before.
    fn link_deadline(&self, link: &Link) -> Option<Time> {
        match link.state {
            LinkState::Draining(at) => Some(at),
            LinkState::Lost(ref lost) if matches!(self.state, State::Open) => Some(lost.deadline()),
            // A session that is being logged out asks for no signs of life.
            LinkState::Open if link.ping.is_none() && matches!(self.state, State::Open) => {
                Some(link.heard.saturating_add(self.patience.idle?))
            }
            _ => None,
        }
    }

    /// Lets time pass: aborts what makes no progress, pings a silent target.
    pub fn expire(&mut self, now: Time) {
        self.now = now;
        if self.expiry <= now {
            self.expire_tasks();
        }
        let due = |link: &Link| self.repair_deadline(link).is_some_and(|at| at <= now);
        let due: Vec<LinkId> = self.links.iter().filter(|(_, link)| due(link)).map(|(id, _)| id).collect();
        for link in due {
            self.repair_due(link);
        }
        let due = |link: &Link| self.link_deadline(link).is_some_and(|at| at <= now);
        let due: Vec<LinkId> = self.links.iter().filter(|(_, link)| due(link)).map(|(id, _)| id).collect();
        for link in due {
            match self.links[link].state {
                LinkState::Draining(_) => self.send_logout(link),
                LinkState::Lost(_) => self.recover(link),
                _ => self.links[link].ping = self.accept_on(link, Request::Ping, None).ok(),
            }
        }
    }

    fn expire_tasks(&mut self) {
        let now = self.now;
        let due: Vec<Slot> =
            self.tasks.iter().filter(|(_, task)| task.expires() <= now).map(|(slot, _)| slot).collect();
        for slot in due {
            if !self.is_on_its_way(slot) {
                self.expire_task(slot);
            }
        }
        self.log_out_when_drained();
        let next = self.tasks.iter().map(|(_, task)| task.expires()).min();
        self.expiry = next.unwrap_or(Time::MAX);
    }

    /// Whether a task still waits in the queue, and the queue moves: over a slow link that takes its time.
    fn is_on_its_way(&mut self, slot: Slot) -> bool {
        let (now, itt) = (self.now, self.tasks.itt(slot));
        let Some(task) = self.tasks.get_mut(slot) else { return false };
        let Link { moved, ref queue, .. } = self.links[task.link];
        if moved <= task.progress || !queue.holds(itt) {
            return false;
        }
        task.progress = moved;
        task.expires() > now
    }

    fn expire_task(&mut self, slot: Slot) {
        let Some(task) = self.tasks.get_mut(slot) else { return };
        let (after, link) = (task.timeout, task.link);
        match task.kind {
            // The recovery of its connection has a deadline of its own.
            _ if task.was_sent() && !self.links[link].is_live() => task.progress = self.now,
            _ if !task.was_sent() => {
                self.stats.timeouts += 1;
                self.forget(slot, CommandError::TimedOut { after, sent: false });
            }
            Kind::Scsi(_) => {
                self.stats.timeouts += 1;
                self.abort(slot);
            }
            Kind::Text(_) => self.lose_silent(link, "a text request", after),
            Kind::Management { .. } | Kind::Reassign { .. } => {
                self.lose_silent(link, "a task management request", after);
            }
            Kind::Ping | Kind::Plug => self.lose_silent(link, "a ping", after),
            Kind::Logout(_) => self.lose_silent(link, "a logout", after),
        }
    }

    fn lose_silent(&mut self, link: LinkId, what: &'static str, after: Duration) {
        self.lose(link, &ConnectionError::TimedOut { what, after });
    }

    /// Sends ABORT TASK for a command that makes no progress. It ends when the target has answered.
    fn abort(&mut self, slot: Slot) {
        let now = self.now;
        let Some(task) = self.tasks.get_mut(slot) else { return };
        if task.manager.is_some() {
            // The answer to the abort is waited for separately, and ends this task or the connection.
            task.progress = now;
            return;
        }
        task.progress = now;
        let link = task.link;
        let kind = Kind::Management { aborts: Some(slot), function: TaskFunction::AbortTask };
        let request = Task { link, ..Task::new(kind, task.lun, now, self.patience.management) };
        match self.start(request) {
            Ok(by) => {
                if let Some(task) = self.tasks.get_mut(slot) {
                    task.manager = Some(by);
                }
            }
            Err(_) => self.lose_silent(link, "a command", self.patience.command),
        }
    }

    /// Ends the tasks that a task management function has ended: those that were sent before it (section 4.2.3.3).
    ///
    /// `limit` is the CmdSN that the request carried.
    pub(super) fn conclude(&mut self, function: TaskFunction, lun: Lun, limit: Option<Serial>, result: TaskResult) {
        if !matches!(result, TaskResult::FunctionComplete | TaskResult::FunctionSucceeded) {
            return;
        }
        let ended: Vec<Slot> = self
            .tasks
            .iter()
            .filter(|(_, task)| matches!(task.kind, Kind::Scsi(_)) && ends(function, lun, task.lun))
            // What became of the tasks of a lost connection is asked when they are moved.
            .filter(|(_, task)| self.links[task.link].is_live())
            .filter(|(_, task)| task.cmd_sn.zip(limit).is_some_and(|(cmd_sn, limit)| cmd_sn.lt(limit)))
            .map(|(slot, _)| slot)
            .collect();
        for slot in ended {
            self.remember(self.tasks.itt(slot));
            self.end(slot, Err(CommandError::Aborted));
        }
    }

    /// A command was to be aborted because it made no progress. If the target would not, or knows nothing of it, what it
    /// did with the command cannot be learnt on this connection any more.
    pub(super) fn conclude_abort(&mut self, slot: Slot, result: TaskResult) {
        let now = self.now;
        let Some(link) = self.tasks.get_mut(slot).map(|task| task.link) else { return };
        // Its answer may be among those that are being asked for again, or have come before its data.
        let ending = self.is_being_ended(slot) || self.lacks_status(link) || self.holds_status(slot);
        let ending = result == TaskResult::TaskDoesNotExist && ending;
        let Some(task) = self.tasks.get_mut(slot) else { return };
        let after = task.timeout;
        let moved = task.scsi().is_some_and(|scsi| scsi.moved);
        if ending {
            // The answer to the other function ends it, or that function's deadline the connection.
            (task.progress, task.manager) = (now, None);
        } else if result == TaskResult::FunctionComplete {
            self.remember(self.tasks.itt(slot));
            self.end(slot, Err(CommandError::TimedOut { after, sent: true }));
        } else if moved && result == TaskResult::TaskDoesNotExist {
            // The target did not take it along when its connection was lost.
            self.remember(self.tasks.itt(slot));
            self.end(slot, Err(CommandError::NotReassigned { result }));
        } else {
            self.lose(link, &ConnectionError::NotAborted { after, result });
        }
    }

    /// Keeps the tag of a task that is ended here but may be answered all the same (section 4.2.3.3).
    pub(super) fn remember(&mut self, itt: Itt) {
        if self.concluded.len() == MAX_CONCLUDED {
            self.concluded.pop_front();
        }
        self.concluded.push_back(itt);
    }

    /// Whether a function is under way that ends the task with others. Its answer may come later than that of a function
    /// that was sent after it: the target waits for the data of all tasks that it has ended.
    fn is_being_ended(&self, slot: Slot) -> bool {
        let Some((_, ended)) = self.tasks.iter().find(|(other, _)| *other == slot) else { return false };
        self.tasks.iter().any(|(_, task)| match task.kind {
            Kind::Management { aborts: None, function } => {
                ends(function, task.lun, ended.lun)
                    && ended.cmd_sn.zip(task.cmd_sn).is_some_and(|(cmd_sn, limit)| cmd_sn.lt(limit))
            }
            _ => false,
        })
    }

    /// The target rejected the request of a task.
    pub(super) fn rejected(&mut self, slot: Slot, reason: RejectReason) {
        let Some(task) = self.tasks.get_mut(slot) else { return };
        let (cmd_sn, link) = (task.cmd_sn, task.link);
        match task.kind {
            Kind::Logout(Leave::Lost(_)) => return self.fail(&ConnectionError::LogoutRejected(reason)),
            Kind::Logout(_) => return self.lose(link, &ConnectionError::LogoutRejected(reason)),
            Kind::Management { aborts: Some(_), .. } => {
                return self.lose(link, &ConnectionError::AbortRejected(reason));
            }
            Kind::Text(_) => self.links[link].text = None,
            Kind::Ping => self.links[link].ping = None,
            Kind::Reassign { task: Some(moved) } => {
                self.end(slot, Err(CommandError::Rejected(reason)));
                return self.moved(moved, link, Err(CommandError::Rejected(reason)));
            }
            Kind::Scsi(_) | Kind::Management { .. } | Kind::Reassign { .. } | Kind::Plug => {}
        }
        let numbered = matches!(task.kind, Kind::Scsi(_));
        // The data came damaged: it goes out again with its command (section 7.8).
        if numbered && is_damage(reason) && self.retry(slot) {
            return;
        }
        self.end(slot, Err(CommandError::Rejected(reason)));
        if reason == RejectReason::WaitingForLogout {
            return self.drain(link, 0);
        }
        // A rejected command leaves a hole in the numbers, at which the target would wait for ever.
        if let Some(cmd_sn) = cmd_sn.filter(|cmd_sn| numbered && !self.window.is_acknowledged(*cmd_sn)) {
            self.plug(link, cmd_sn);
        }
    }

    /// Sends a ping under the number of a request that was rejected.
    fn plug(&mut self, link: LinkId, cmd_sn: Serial) {
        let plug = Task::new(Kind::Plug, Lun::ZERO, self.now, self.patience.ping);
        // Without it the target waits for the number until a command makes no progress.
        let _ = self.start(Task { cmd_sn: Some(cmd_sn), link, ..plug });
    }

    /// The target wants a connection logged out within so many seconds.
    pub(super) fn drain(&mut self, link: LinkId, seconds: u16) {
        if !matches!(self.state, State::Open) || !self.links[link].is_open() {
            return;
        }
        // Half the time for the commands under way, the rest for the logout itself.
        let at = self.now + Duration::from_millis(u64::from(seconds) * 500);
        self.links[link].state = LinkState::Draining(at);
        if !self.has_open_link() {
            self.refuse_waiting();
        }
        self.log_out_when_drained();
    }

    pub(super) fn log_out_when_drained(&mut self) {
        let draining = |link: &Link| matches!(link.state, LinkState::Draining(_));
        let drained = |core: &Self| {
            let mut links = core.links.iter();
            links.find(|(id, link)| draining(link) && !core.carries_any(*id)).map(|(id, _)| id)
        };
        while let Some(link) = drained(self) {
            self.send_logout(link);
        }
    }

    /// Whether a connection carries a task.
    pub(super) fn carries_any(&self, link: LinkId) -> bool {
        self.tasks.iter().any(|(_, task)| task.link == link && task.was_sent())
    }

    fn send_logout(&mut self, link: LinkId) {
        // The last connection takes the session with it.
        let leave = if self.is_last(link) { Leave::Session } else { Leave::Own };
        let logout = Task { link, ..Task::new(Kind::Logout(leave), Lun::ZERO, self.now, self.patience.management) };
        self.at_their_wish |= self.is_last(link);
        if self.start(logout).is_err() {
            self.lose(link, &ConnectionError::LogoutRequested);
        }
    }

    /// A logout of a connection or of the whole session is on its way: nothing new may follow it.
    pub(super) fn close_the_door(&mut self, link: LinkId, leave: Leave) {
        match leave {
            Leave::Session => {
                self.links[link].state = LinkState::LoggingOut;
                self.state = State::LoggingOut;
                self.refuse_waiting();
            }
            Leave::Own => self.links[link].state = LinkState::LoggingOut,
            Leave::Lost(_) => {}
        }
    }

    /// Ends the tasks that were never sent.
    fn refuse_waiting(&mut self) {
        let waiting = std::mem::take(&mut self.waiting).into_iter().chain(std::mem::take(&mut self.texts));
        for slot in waiting {
            self.end(slot, Err(CommandError::Closed { error: ConnectionError::LoggedOut, sent: false }));
        }
    }
}

/// Whether a task management function for `unit` ends the tasks of `lun` that were sent before it.
fn ends(function: TaskFunction, unit: Lun, lun: Lun) -> bool {
    match function {
        TaskFunction::AbortTaskSet | TaskFunction::ClearTaskSet | TaskFunction::LogicalUnitReset => unit == lun,
        TaskFunction::TargetWarmReset | TaskFunction::TargetColdReset => true,
        _ => false,
    }
}
