//! Task management (RFC 7143, sections 4.2.3, 11.5 and 11.6).

use iscsi_proto::pdu::{Header, Opcode, TaskFunction, TaskRequest, TaskResponse, TaskResult};
use iscsi_proto::scsi::Lun;
use iscsi_proto::serial::Serial;
use iscsi_proto::tags::Itt;

use super::full::{Ending, FullFeature};
use super::lost::Leaving;
use crate::target::rope::Rope;

/// A task management function that is carried out and whose answer waits: bursts of tasks that it aborted have not
/// ended yet (section 4.2.3.3).
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) itt: Itt,
    bursts: Vec<Itt>,
    cold_reset: bool,
}

impl FullFeature {
    pub(super) fn manage(&mut self, request: &TaskRequest) {
        match request.function {
            TaskFunction::AbortTask => {
                let result = self.abort_task(request);
                self.task_response(request.itt, result);
            }
            TaskFunction::AbortTaskSet | TaskFunction::ClearTaskSet | TaskFunction::LogicalUnitReset => {
                self.manage_unit(request);
            }
            TaskFunction::TargetWarmReset | TaskFunction::TargetColdReset => self.reset_target(request),
            TaskFunction::TaskReassign => self.reassign(request),
            _ => self.task_response(request.itt, TaskResult::FunctionNotSupported),
        }
    }

    fn abort_task(&mut self, request: &TaskRequest) -> TaskResult {
        let referenced = request.referenced;
        if self.abort_transfer(referenced, |_| true) || self.session.abort_lost(referenced) {
            return TaskResult::FunctionComplete;
        }
        let is_it = |header: &Header| header.itt() == referenced && header.opcode() == Ok(Opcode::ScsiCommand);
        let (cid, earlier) = (self.cid(), request.ref_cmd_sn.lt(request.cmd_sn));
        let found = self
            .session
            .window(|window| window.drop_held(is_it) != 0 || (earlier && window.plug(request.ref_cmd_sn, cid)));
        if found { TaskResult::FunctionComplete } else { TaskResult::TaskDoesNotExist }
    }

    /// Aborts one task if it is alive and meant; what it still sends is swallowed.
    fn abort_transfer(&mut self, itt: Itt, meant: impl FnOnce(Lun) -> bool) -> bool {
        let Some(transfer) = self.transfers.get_mut(&itt) else { return false };
        if !meant(transfer.command.lun) || !transfer.abort() {
            return false;
        }
        if let Some(transfer) = self.transfers.get(&itt) {
            self.task_ended(transfer);
        }
        true
    }

    fn manage_unit(&mut self, request: &TaskRequest) {
        let (Some(target), Some(nexus)) = (&self.target, &self.session.nexus) else { return };
        let Some(unit) = target.device.unit(request.lun) else {
            return self.task_response(request.itt, TaskResult::LunDoesNotExist);
        };
        match request.function {
            TaskFunction::AbortTaskSet => nexus.abort_tasks(unit),
            TaskFunction::ClearTaskSet => unit.clear_tasks(),
            _ => unit.reset(),
        }
        let lun = request.lun;
        self.abort_and_answer(request, |other| other == lun);
    }

    fn reset_target(&mut self, request: &TaskRequest) {
        if let Some(target) = &self.target {
            target.device.reset_all();
        }
        self.abort_and_answer(request, |_| true);
    }

    /// Aborts the session's tasks on the units that are meant, and answers once their bursts have ended.
    fn abort_and_answer(&mut self, request: &TaskRequest, meant: impl Fn(Lun) -> bool) {
        let limit = request.cmd_sn;
        self.session.window(|window| {
            window.drop_held(|header| {
                header.opcode() == Ok(Opcode::ScsiCommand) && cmd_sn(header).lt(limit) && meant(lun(header))
            })
        });
        let all: Vec<Itt> = self.transfers.keys().copied().collect();
        for itt in all {
            self.abort_transfer(itt, &meant);
        }
        let ends = |itt: &Itt| self.transfers.get(itt).is_some_and(|transfer| meant(transfer.command.lun));
        let bursts: Vec<Itt> = self.transfers.keys().copied().filter(ends).collect();
        let cold_reset = request.function == TaskFunction::TargetColdReset;
        self.waiting.push(Waiting { itt: request.itt, bursts, cold_reset });
        self.answer_waiting();
    }

    /// The last burst of an aborted task has ended.
    pub(super) fn burst_ended(&mut self, itt: Itt) {
        for waiting in &mut self.waiting {
            waiting.bursts.retain(|other| *other != itt);
        }
        self.answer_waiting();
    }

    fn answer_waiting(&mut self) {
        while let Some(at) = self.waiting.iter().position(|waiting| waiting.bursts.is_empty()) {
            let done = self.waiting.remove(at);
            self.task_response(done.itt, TaskResult::FunctionComplete);
            if done.cold_reset {
                self.close_everything();
            }
        }
    }

    /// What a cold reset does after its answer: all sessions to the target end.
    fn close_everything(&mut self) {
        self.end(Ending::Flush, Leaving::LoggedOut);
        if let Some(target) = &self.target {
            self.node.close_sessions_to(target, &self.session);
        }
        self.node.close_session(&self.session);
    }

    pub(super) fn task_response(&mut self, itt: Itt, result: TaskResult) {
        let numbering = self.out.status(&self.session);
        let response = TaskResponse { result, information: [0; 3], itt, numbering };
        self.out.push(response.encode(), Rope::new());
    }
}

fn cmd_sn(header: &Header) -> Serial {
    header.numbering().stat_sn
}

fn lun(header: &Header) -> Lun {
    let bytes = header.0.get(8..).and_then(|bytes| bytes.first_chunk());
    bytes.copied().map_or(Lun::ZERO, Lun::from_bytes)
}
