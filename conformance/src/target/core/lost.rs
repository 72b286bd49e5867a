//! Tasks whose connection has gone, and how another takes them over (RFC 7143, sections 7.1.4.3, 7.2.2 and 7.5).

use std::collections::HashMap;
use std::time::Duration;

use iscsi_proto::pdu::{Header, Opcode, TaskRequest, TaskResult};
use iscsi_proto::serial::Serial;
use iscsi_proto::tags::Itt;

use super::full::FullFeature;
use super::kept::{Done, Kept};
use super::manage::Waiting;
use super::session::{Link, Mail};
use super::transfer::{DATA_LOST, Transfer};
use super::window::Request;
use crate::target::rope::Rope;
use crate::target::unit::Outcome;

/// The tasks of one connection.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    pub(super) transfers: HashMap<Itt, Transfer>,
    pub(super) waiting: Vec<Waiting>,
    pub(super) kept: Option<Box<Kept>>,
    /// Commands whose turn had come and that were not begun.
    pub(super) pending: Vec<Request>,
}

/// A connection that has gone.
#[derive(Debug)]
pub(super) struct Lost {
    pub(super) cid: u16,
    pub(super) tasks: Tasks,
    /// Whether it was logged out for recovery since.
    pub(super) logged_out: bool,
    /// The tasks end at this time of the node.
    pub(super) until: Duration,
}

/// How a connection leaves its session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Leaving {
    /// Without a word.
    Failed,
    /// For good.
    LoggedOut,
    /// To have its tasks taken over.
    ForRecovery,
}

/// A task that can be taken over.
#[derive(Debug)]
pub(super) enum Task {
    /// It waits for data.
    Transfer(Box<Transfer>),
    /// It was answered.
    Done(Box<Done>),
    /// It was not begun.
    Pending(Request),
}

impl Tasks {
    /// Whether a living SCSI task has this tag.
    pub(super) fn contains(&self, itt: Itt) -> bool {
        self.transfers.get(&itt).is_some_and(|transfer| transfer.work.is_some())
            || self.kept.as_ref().is_some_and(|kept| kept.contains(itt))
            || self.pending.iter().any(|request| request.header.itt() == itt)
    }

    /// Whether something else has it: task management, a text exchange, a logout.
    pub(super) fn has_other(&self, itt: Itt) -> bool {
        self.waiting.iter().any(|waiting| waiting.itt == itt)
            || self.kept.as_ref().is_some_and(|kept| kept.has_other(itt))
    }

    pub(super) fn take(&mut self, itt: Itt) -> Option<Task> {
        if let Some(transfer) = self.transfers.remove(&itt) {
            return Some(Task::Transfer(Box::new(transfer)));
        }
        if let Some(done) = self.kept.as_mut().and_then(|kept| kept.take(itt)) {
            return Some(Task::Done(Box::new(done)));
        }
        let at = self.pending.iter().position(|request| request.header.itt() == itt)?;
        Some(Task::Pending(self.pending.swap_remove(at)))
    }

    /// Places that the living tasks take in the command window.
    pub(super) fn places(&self) -> u32 {
        let transfers: u32 = self.transfers.values().map(|transfer| u32::from(transfer.takes_place())).sum();
        transfers + self.pending.len() as u32
    }

    /// Adds what waits for a connection that does not come to it any more.
    pub(super) fn collect(&mut self, link: &Link) {
        let requests = link.take_mail().into_iter().filter_map(|mail| match mail {
            Mail::Request(held) => held.request,
            Mail::Lost(_) => None,
        });
        self.pending.extend(requests.filter(|request| request.header.opcode() == Ok(Opcode::ScsiCommand)));
    }

    /// Drops what does not outlive its connection: immediate commands (section 7.14) and what is dead already. The places
    /// that this gives back.
    pub(super) fn prune(&mut self) -> u32 {
        let before = self.places();
        self.transfers.retain(|_, transfer| !transfer.command.immediate && !transfer.is_cleared());
        before - self.places()
    }
}

impl Lost {
    pub(super) const fn log_out(&mut self, until: Duration) {
        self.logged_out = true;
        self.until = until;
    }
}

impl Task {
    /// Whether it was ended by somebody else.
    pub(super) fn is_over(&self) -> bool {
        matches!(self, Self::Transfer(transfer) if transfer.is_cleared())
    }

    /// Places that it takes in the command window.
    pub(super) fn takes_place(&self) -> u32 {
        match self {
            Self::Transfer(transfer) => transfer.takes_place().into(),
            Self::Pending(_) => 1,
            Self::Done(_) => 0,
        }
    }
}

impl FullFeature {
    /// TASK REASSIGN (section 11.5.1).
    pub(super) fn reassign(&mut self, request: &TaskRequest) {
        match self.take_over(request) {
            Err(result) => self.task_response(request.itt, result),
            Ok(task) => {
                self.task_response(request.itt, TaskResult::FunctionComplete);
                self.resume(task, request.exp_data_sn);
            }
        }
    }

    fn take_over(&mut self, request: &TaskRequest) -> Result<Task, TaskResult> {
        let itt = request.referenced;
        if !self.params.recovers_connections() {
            return Err(TaskResult::ReassignmentNotSupported);
        }
        if !request.immediate {
            return Err(TaskResult::FunctionRejected);
        }
        let transfers = self.transfers.get(&itt).is_some_and(|transfer| transfer.work.is_some());
        if transfers || self.out.kept().is_some_and(|kept| kept.contains(itt)) {
            return Err(TaskResult::TaskStillAllegiant);
        }
        if self.waiting.iter().any(|waiting| waiting.itt == itt)
            || self.out.kept().is_some_and(|kept| kept.has_other(itt))
        {
            return Err(TaskResult::FunctionRejected);
        }
        self.session.reassign(itt)
    }

    fn resume(&mut self, task: Task, expected: Serial) {
        match task {
            Task::Transfer(mut transfer) => {
                transfer.reassign(expected);
                let itt = transfer.command.itt;
                self.transfers.insert(itt, *transfer);
                self.proceed(itt);
            }
            Task::Done(done) => self.answer_again(*done, expected),
            Task::Pending(request) => self.begin_again(&request),
        }
    }

    /// Sends what the initiator has not acknowledged of the data, and the status under a number of this connection.
    fn answer_again(&mut self, mut done: Done, expected: Serial) {
        let (next, segment) = (done.next(), self.params.max_send as usize);
        if done.acknowledged.lt(expected) && expected.le(next) {
            done.acknowledged = expected;
        }
        if !done.has_data && done.acknowledged != next {
            let Outcome { status, sense, .. } = Outcome::check(DATA_LOST);
            (done.answer.status, done.answer.sense, done.answer.data) = (status, sense, Rope::new());
        }
        let mut cut = done.cut.again(done.acknowledged, segment, done.total);
        if !cut.ttt.is_reserved() {
            cut.ttt = self.next_ttt();
        }
        let collapse = done.collapsed && done.answer.sense.is_none();
        self.conclude(done.answer, cut, collapse);
    }

    /// Begins a command that had its turn. Data that was to come unasked has gone with its connection.
    fn begin_again(&mut self, request: &Request) {
        let mut header: Header = request.header;
        if let Some(flags) = header.0.get_mut(1) {
            *flags |= 0x80;
        }
        self.placed = true;
        self.request_in_turn(&header, &request.ahs, &request.data);
    }
}
