//! Several connections, and what is done about one that is lost (RFC 7143, sections 4.2.5.1, 6.3.4, 7.2, 7.5 and 7.14).
//!
//! A command goes to the open connection with the least to write, and stays there with its data and its abort.
//!
//! A lost connection is left alone for Time2Wait and then logged out over another one. With error recovery level 2 and none
//! left the owner logs in anew under its CID, which logs it out implicitly. ExpCmdSN tells then which commands the target
//! never took: they are sent again under their numbers, so that no hole keeps the window shut. Those that it had taken are
//! continued with TASK REASSIGN at level 2, from the start of their data; below, they end with an error, and only now: until
//! the logout the target may have been executing them. When the times are over, everything ends as at level 0.

use std::time::Duration;

use iscsi_proto::pdu::{LogoutReason, Numbering, TaskResult};
use iscsi_proto::scsi::Lun;
use iscsi_proto::serial::Serial;

use super::super::command::Seat;
use super::super::error::{CommandError, ConnectionError};
use super::super::event::Event;
use super::super::task::{Kind, Leave, Slot, Task};
use super::link::{Link, LinkId, LinkState};
use super::{Core, Start, State, Time};

/// How long after an attempt to connect that failed the next one is made.
const REDIAL: Duration = Duration::from_secs(1);

/// A connection that is gone, and how far its recovery is.
#[derive(Debug)]
pub(super) struct Lost {
    error: ConnectionError,
    /// Whether the target keeps the tasks that it has taken.
    retained: bool,
    /// When the next step may be taken.
    at: Time,
    /// When all steps have to be done.
    until: Time,
    step: Step,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// It is to be logged out, or to be taken up again.
    Waiting,
    /// A logout for it is under way over another connection.
    LoggingOut,
    /// The owner is to connect again.
    Wanted,
    /// The owner connects again.
    Dialling,
    /// It is logged out, and its tasks are to be moved.
    LoggedOut,
    /// Its tasks are being moved.
    Moving,
}

impl Lost {
    /// Why it was lost.
    pub(super) const fn error(&self) -> &ConnectionError {
        &self.error
    }

    /// The reason to give when it is logged out over another connection.
    pub(super) const fn reason(&self) -> LogoutReason {
        if self.retained { LogoutReason::RemoveForRecovery } else { LogoutReason::CloseConnection }
    }

    /// When something has to be done about it.
    pub(super) fn deadline(&self) -> Time {
        match self.step {
            Step::Waiting | Step::LoggedOut => self.at.min(self.until),
            _ => self.until,
        }
    }
}

impl Core {
    /// Says that the owner can connect again when [`Core::dial`] asks for it. Without this, a session with error recovery
    /// level 2 ends with its last connection all the same.
    pub const fn reconnects(&mut self) {
        self.redials = true;
    }

    /// The connection that the owner is to take up again now, if there is one; there is one at a time. The outcome is told by
    /// [`Core::reinstate`] or [`Core::not_reinstated`].
    pub fn dial(&mut self) -> Option<(LinkId, Seat)> {
        let cmd_sn = self.window.current();
        if self.links.iter().any(|(id, _)| self.is_wanted(id)) {
            return None;
        }
        self.links.iter_mut().find_map(|(id, link)| match &mut link.state {
            LinkState::Lost(lost) if lost.step == Step::Wanted => {
                lost.step = Step::Dialling;
                Some((id, Seat { cid: link.cid, cmd_sn, exp_stat_sn: link.exp_stat_sn }))
            }
            _ => None,
        })
    }

    /// Whether the connection that [`Core::dial`] gave is still wanted.
    pub fn is_wanted(&self, link: LinkId) -> bool {
        matches!(&self.links[link].state, LinkState::Lost(Lost { step: Step::Dialling, .. }))
    }

    /// The owner has taken up a lost connection again: `start` is what its login ended with.
    ///
    /// `None` if it is not wanted any more; the new connection is then to be closed.
    pub fn reinstate(&mut self, lost: LinkId, start: &Start, now: Time) -> Option<LinkId> {
        self.now = now;
        if !self.is_wanted(lost) {
            return None;
        }
        let link = self.enter(start);
        self.report(Event::ConnectionRestored { cid: start.cid });
        self.logged_out(lost, now, None);
        self.pump();
        Some(link)
    }

    /// An attempt to take a lost connection up again has failed; there will be another one.
    pub fn not_reinstated(&mut self, lost: LinkId, now: Time) {
        self.now = now;
        if let LinkState::Lost(lost @ Lost { step: Step::Dialling, .. }) = &mut self.links[lost].state {
            (lost.step, lost.at) = (Step::Waiting, now + REDIAL);
        }
    }

    /// What the login of a further connection has to say. It is added by [`Core::join`].
    pub(super) fn seat(&mut self) -> Result<Seat, CommandError> {
        self.refuse_when_over()?;
        let taken = |cid| self.links.iter().any(|(_, link)| link.cid == cid && !link.is_closed());
        let mut cid = self.last_cid.wrapping_add(1);
        while taken(cid) {
            cid = cid.wrapping_add(1);
        }
        self.last_cid = cid;
        Ok(Seat { cid, cmd_sn: self.window.current(), exp_stat_sn: Serial(0) })
    }

    /// Adds a connection that was logged in on; `start` is what its login ended with.
    ///
    /// # Errors
    ///
    /// The session is over, or has as many connections as were agreed on. The connection is then to be closed.
    pub fn join(&mut self, start: &Start, now: Time) -> Result<LinkId, CommandError> {
        self.now = now;
        self.refuse_when_over()?;
        let link = self.enter(start);
        self.report(Event::ConnectionAdded { cid: start.cid });
        self.pump();
        Ok(link)
    }

    /// A session whose connections are all lost takes a new one, as long as it waits for any.
    fn refuse_when_over(&self) -> Result<(), CommandError> {
        if self.cut_off().is_none() {
            self.open_link()?;
        }
        let limit = self.negotiated.max_connections;
        let count = self.links.iter().filter(|(_, link)| !link.is_closed()).count();
        if count < usize::from(limit) { Ok(()) } else { Err(CommandError::TooManyConnections { limit }) }
    }

    fn enter(&mut self, start: &Start) -> LinkId {
        let (stat_sn, exp_cmd_sn, max_cmd_sn) = (start.exp_stat_sn, start.exp_cmd_sn, start.max_cmd_sn);
        self.window.update(&Numbering { stat_sn, exp_cmd_sn, max_cmd_sn });
        // Those that are lost can be logged out over this one.
        for (_, link) in self.links.iter_mut() {
            if let LinkState::Lost(lost @ Lost { step: Step::Wanted, .. }) = &mut link.state {
                lost.step = Step::Waiting;
            }
        }
        self.links.add(Link::new(&start.negotiated, start.cid, start.exp_stat_sn, self.now))
    }

    /// A connection is lost: what it carried is recovered if it can be, and ends with `error` otherwise.
    pub(super) fn lose(&mut self, link: LinkId, error: &ConnectionError) {
        if !self.links[link].is_live() {
            return;
        }
        self.window.gone(link);
        let (wait, retain) = self.times(error);
        let retained = self.negotiated.error_recovery_level >= 2 && retain != 0;
        let open = self.links.iter().any(|(other, state)| other != link && state.is_open());
        let recovers = matches!(self.state, State::Open) && (open || (retained && self.redials));
        if recovers {
            let at = self.now + seconds(wait);
            let until = if retained { at + seconds(retain) } else { Time::MAX };
            self.count_damage(error);
            self.strand(link, Lost { error: error.clone(), retained, at, until, step: Step::Waiting });
        } else if self.is_last(link) || self.carries_goodbye(link) {
            self.fail(error);
        } else {
            self.count_damage(error);
            self.links[link].close();
            self.end_all(link, error);
        }
        self.pump();
    }

    /// For how many seconds a lost connection is left alone, and for how many the target keeps it after that (section 7.5).
    const fn times(&self, error: &ConnectionError) -> (u16, u16) {
        match *error {
            ConnectionError::DroppedByTarget { time2wait, time2retain } => (time2wait, time2retain),
            _ => (self.negotiated.default_time2wait, self.negotiated.default_time2retain),
        }
    }

    /// Whether the logout of the whole session is under way on a connection.
    fn carries_goodbye(&self, link: LinkId) -> bool {
        let goodbye = |task: &Task| task.link == link && matches!(task.kind, Kind::Logout(Leave::Session));
        self.tasks.iter().any(|(_, task)| goodbye(task))
    }

    /// Puts aside what a lost connection carried. Immediate requests are not recovered. Others wait for the logout, even where
    /// it ends them: until then the target may still be executing them.
    fn strand(&mut self, link: LinkId, lost: Lost) {
        let error = lost.error.clone();
        let (time2wait, time2retain) = self.times(&error);
        let cid = self.links[link].cid;
        self.report(Event::ConnectionLost { cid, error: error.to_string(), time2wait, time2retain });
        self.links[link].lose(lost);
        for slot in self.on(link) {
            let Some(task) = self.tasks.get_mut(slot) else { continue };
            let known = task.cmd_sn.is_some_and(|cmd_sn| self.window.is_acknowledged(cmd_sn));
            match &mut task.kind {
                Kind::Scsi(scsi) => {
                    (task.progress, task.manager) = (self.now, None);
                    scsi.rewind();
                }
                Kind::Plug if !known => task.progress = self.now,
                // Whether the target has moved the task is not known; it is if its new connection is logged out as well.
                Kind::Reassign { task: Some(moved) } => {
                    let moved = *moved;
                    self.adopt(moved, link);
                    self.give_up(slot, &error);
                }
                _ => self.give_up(slot, &error),
            }
        }
        let all: Vec<LinkId> = self.links.iter().map(|(id, _)| id).collect();
        for link in all {
            self.close_when_moved(link);
        }
    }

    fn give_up(&mut self, slot: Slot, error: &ConnectionError) {
        self.leave_undone(slot);
        self.end(slot, Err(CommandError::Closed { error: error.clone(), sent: true }));
    }

    /// A logout on behalf of another connection will not be answered: it is made anew.
    fn leave_undone(&mut self, slot: Slot) {
        let Some(Kind::Logout(Leave::Lost(of))) = self.tasks.get_mut(slot).map(|task| &task.kind) else { return };
        let of = *of;
        if let LinkState::Lost(lost @ Lost { step: Step::LoggingOut, .. }) = &mut self.links[of].state {
            lost.step = Step::Waiting;
        }
    }

    /// Lets a task belong to a lost connection.
    fn adopt(&mut self, slot: Slot, link: LinkId) {
        let now = self.now;
        if let Some(task) = self.tasks.get_mut(slot) {
            (task.link, task.progress, task.manager) = (link, now, None);
        }
    }

    /// The tasks that a connection carries, in the order of their numbers.
    fn on(&self, link: LinkId) -> Vec<Slot> {
        let first = self.window.current();
        let carried = self.tasks.iter().filter(|(_, task)| task.link == link);
        let numbered = carried.filter_map(|(slot, task)| Some((first.distance_from(task.cmd_sn?), slot)));
        let mut slots: Vec<_> = numbered.collect();
        slots.sort_unstable_by_key(|(age, _)| std::cmp::Reverse(*age));
        slots.into_iter().map(|(_, slot)| slot).collect()
    }

    /// Ends what a connection carries.
    fn end_all(&mut self, link: LinkId, error: &ConnectionError) {
        for slot in self.on(link) {
            self.give_up(slot, error);
        }
    }

    /// Takes the next step for a lost connection.
    pub(super) fn recover(&mut self, link: LinkId) {
        let LinkState::Lost(lost) = &self.links[link].state else { return };
        if lost.until <= self.now {
            return self.recovery_failed(link);
        }
        match lost.step {
            Step::Waiting if lost.at <= self.now => self.start_over(link),
            Step::LoggedOut if lost.at <= self.now => self.move_tasks(link),
            _ => {}
        }
    }

    /// Logs a lost connection out over another one, or has it taken up again.
    fn start_over(&mut self, link: LinkId) {
        let Some(over) = self.links.choose() else { return self.set_step(link, Step::Wanted) };
        self.set_step(link, Step::LoggingOut);
        let kind = Kind::Logout(Leave::Lost(link));
        let logout = Task { link: over, ..Task::new(kind, Lun::ZERO, self.now, self.patience.management) };
        if self.start(logout).is_err() {
            self.recovery_failed(link);
        }
    }

    fn set_step(&mut self, link: LinkId, step: Step) {
        if let LinkState::Lost(lost) = &mut self.links[link].state {
            lost.step = step;
        }
    }

    /// The time for the recovery is over. What was to be moved ends; without a logout there is no going on.
    fn recovery_failed(&mut self, link: LinkId) {
        let LinkState::Lost(Lost { error, step, .. }) = &self.links[link].state else { return };
        let (error, step) = (error.clone(), *step);
        match step {
            Step::LoggedOut | Step::Moving if self.has_open_link() => self.retire(link, &error),
            _ => self.fail(&error),
        }
    }

    /// Ends what is left of a connection that has been logged out.
    fn retire(&mut self, link: LinkId, error: &ConnectionError) {
        self.end_all(link, error);
        self.window.gone(link);
        self.links[link].close();
        if self.links.iter().all(|(_, link)| link.is_closed()) {
            self.fail(error);
        }
    }

    /// The target could not clean up behind a lost connection (section 11.15.3).
    pub(super) fn not_logged_out(&mut self, link: LinkId, error: &ConnectionError, wait: u16, retain: u16) {
        let at = self.now + seconds(wait);
        match &mut self.links[link].state {
            LinkState::Lost(lost) if retain != 0 => {
                (lost.step, lost.at, lost.until) = (Step::Waiting, at, at + seconds(retain));
            }
            _ => self.fail(error),
        }
    }

    /// A connection has been logged out, by a request or by the login of its successor: what the target had not taken goes
    /// out again under its number, and what it had is to be moved from `at` on.
    pub(super) fn logged_out(&mut self, link: LinkId, at: Time, retain: Option<u16>) {
        for slot in self.on(link) {
            let taken = |cmd_sn| self.window.is_acknowledged(cmd_sn);
            let Some(task) = self.tasks.get_mut(slot) else { continue };
            if task.is_numbered() && !task.cmd_sn.is_some_and(taken) {
                self.send_again(slot);
            }
        }
        let until = retain.map(|retain| at + seconds(retain));
        match &mut self.links[link].state {
            LinkState::Lost(lost) if lost.retained && retain != Some(0) => {
                (lost.step, lost.at) = (Step::LoggedOut, at);
                lost.until = until.unwrap_or(lost.until);
                self.recover(link);
                self.close_when_moved(link);
            }
            LinkState::Lost(lost) => {
                let error = lost.error.clone();
                self.retire(link, &error);
            }
            _ => self.retire(link, &ConnectionError::LogoutRequested),
        }
    }

    fn send_again(&mut self, slot: Slot) {
        if let Some(over) = self.links.choose() {
            self.issue(slot, over);
        }
    }

    /// Asks the target to go on with the tasks of a lost connection (section 11.5.1).
    fn move_tasks(&mut self, link: LinkId) {
        if !self.has_open_link() {
            return self.postpone(link);
        }
        for slot in self.on(link) {
            let Some(over) = self.links.choose() else { return self.postpone(link) };
            let waits = |task: &Task| task.manager.is_none() && matches!(task.kind, Kind::Scsi(_));
            if !self.tasks.get_mut(slot).is_some_and(|task| waits(task)) {
                continue;
            }
            let kind = Kind::Reassign { task: Some(slot) };
            let request = Task { link: over, ..Task::new(kind, Lun::ZERO, self.now, self.patience.management) };
            let manager = self.start(request);
            match (manager, self.tasks.get_mut(slot)) {
                (Ok(by), Some(task)) => task.manager = Some(by),
                (Err(error), _) => self.end(slot, Err(error)),
                (Ok(_), None) => {}
            }
        }
        self.set_step(link, Step::Moving);
    }

    /// The next step is taken a little later.
    fn postpone(&mut self, link: LinkId) {
        let at = self.now + REDIAL;
        if let LinkState::Lost(lost) = &mut self.links[link].state {
            lost.at = at;
        }
    }

    /// The target has answered the request to go on with a task over the connection `link`.
    pub(super) fn moved(&mut self, slot: Slot, link: LinkId, completion: Result<(), CommandError>) {
        let now = self.now;
        let Some(task) = self.tasks.get_mut(slot) else { return };
        let lost = std::mem::replace(&mut task.link, link);
        if let Some(scsi) = task.scsi() {
            scsi.moved = true;
        }
        (task.progress, task.manager) = (now, None);
        if let Err(error) = completion {
            self.end(slot, Err(error));
        }
        self.close_when_moved(lost);
    }

    /// Once its tasks are elsewhere, a connection that has been logged out is done with.
    pub(super) fn close_when_moved(&mut self, link: LinkId) {
        let done = |lost: &Lost| matches!(lost.step, Step::LoggedOut | Step::Moving);
        if matches!(&self.links[link].state, LinkState::Lost(lost) if done(lost)) && !self.carries_any(link) {
            self.links[link].close();
        }
    }
}

fn seconds(count: u16) -> Duration {
    Duration::from_secs(count.into())
}

/// What becomes of a task by the target's answer to the request to go on with it.
///
/// LIO says "function rejected" when it does go on, and "complete" when it knows no such task. For commands "rejected" has
/// no other meaning (section 11.5.1), so both are waited for; if nothing comes, the abort that follows makes that clear.
pub(super) fn outcome(result: TaskResult) -> Result<(), CommandError> {
    match result {
        TaskResult::FunctionComplete | TaskResult::FunctionSucceeded | TaskResult::FunctionRejected => Ok(()),
        result => Err(CommandError::NotReassigned { result }),
    }
}
