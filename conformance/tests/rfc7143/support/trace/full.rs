//! The rules of the full feature phase.

use std::collections::{BTreeMap, VecDeque};

use iscsi_proto::pdu::{
    Ahs, DataIn, DataOut, Header, NopOut, Numbering, Opcode, Pdu, R2t, Reject, RejectReason, ScsiCommand, TaskFunction,
    TaskRequest, TaskResponse, TaskResult, TextRequest, parse_ahs,
};
use iscsi_proto::scsi::Lun;
use iscsi_proto::serial::Serial;
use iscsi_proto::tags::{Itt, Ttt};

use super::{Agreed, Broken, Wire, rule};

#[derive(Debug)]
pub(super) struct Full {
    limits: Limits,
    /// The next CmdSN.
    cmd_sn: Serial,
    max_cmd_sn: Serial,
    /// The last ExpStatSN.
    exp_stat_sn: Serial,
    /// The StatSN that the peer uses next.
    next_stat_sn: Serial,
    /// The last ExpCmdSN that the peer said.
    exp_cmd_sn: Serial,
    tasks: BTreeMap<u32, Task>,
    /// Tasks that the peer has ended, and the number of the PDU that did; data for them may be on its way still.
    ended: Vec<(Itt, Serial, Task)>,
    /// Data-In that the peer wants acknowledged.
    acknowledgements: Vec<Wanted>,
    /// Numbers of rejected commands, which have to be used again.
    holes: Vec<Serial>,
    /// Pings of the peer that want an answer.
    pings: Vec<(Ttt, Lun)>,
    logged_out: bool,
}

/// What the peer asked for with the A bit.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) ttt: Ttt,
    pub(super) lun: Lun,
    pub(super) itt: Itt,
    /// The DataSN behind the PDU that had the bit.
    pub(super) next: u32,
}

#[derive(Debug)]
struct Limits {
    segment: usize,
    burst: usize,
    first: usize,
    initial_r2t: bool,
    immediate: bool,
    level: usize,
    recovery: usize,
}

#[derive(Debug)]
pub(super) struct Task {
    opcode: Opcode,
    cmd_sn: Serial,
    lun: Lun,
    length: usize,
    /// What the initiator may send now, in order.
    grants: VecDeque<Grant>,
    /// Tag and LUN that the next request of a text exchange has to copy.
    text: Option<(Ttt, Lun)>,
    /// The task management function, and the task that it aborts.
    function: Option<(TaskFunction, Itt)>,
    /// The header of a SCSI command.
    header: Option<Header>,
    /// DataSN or R2TSN behind the last that the peer said.
    pub(super) sent: u32,
    /// DataSN behind the last that was acknowledged.
    pub(super) acknowledged: u32,
    /// R2TSNs that came.
    r2ts: Vec<Serial>,
    /// SNACK Tags that were used.
    pub(super) tags: Vec<u32>,
}

/// An R2T, or the unasked data of a command.
#[derive(Debug)]
struct Grant {
    ttt: Ttt,
    lun: Lun,
    offset: usize,
    left: usize,
    data_sn: Serial,
}

impl Full {
    pub(super) fn new(agreed: &Agreed, cmd_sn: Serial, numbering: Numbering) -> Self {
        let limits = Limits {
            segment: agreed.number("MaxRecvDataSegmentLength", 8192),
            burst: agreed.number("MaxBurstLength", 262_144),
            first: agreed.number("FirstBurstLength", 65_536),
            initial_r2t: agreed.yes("InitialR2T"),
            immediate: agreed.yes("ImmediateData"),
            level: agreed.number("iSCSIProtocolLevel", 1),
            recovery: agreed.number("ErrorRecoveryLevel", 0),
        };
        Self {
            limits,
            cmd_sn,
            max_cmd_sn: numbering.max_cmd_sn,
            exp_stat_sn: numbering.stat_sn.next(),
            next_stat_sn: numbering.stat_sn.next(),
            exp_cmd_sn: numbering.exp_cmd_sn,
            tasks: BTreeMap::new(),
            ended: Vec::new(),
            acknowledgements: Vec::new(),
            holes: Vec::new(),
            pings: Vec::new(),
            logged_out: false,
        }
    }

    pub(super) fn heard(&mut self, pdu: &Pdu, wire: &Wire<'_>) -> Result<(), Broken> {
        let (limit, length) = (self.limits.segment, wire.data.len());
        rule!(length <= limit, "{length} bytes of data, the peer takes {limit}: {pdu:?}");
        self.acknowledges(pdu)?;
        match pdu {
            Pdu::ScsiCommand(command) => self.command(command, wire),
            Pdu::DataOut(data) => self.data_out(data, length),
            Pdu::NopOut(nop) => self.nop_out(nop, length),
            Pdu::TextRequest(text) => self.text(text),
            Pdu::TaskRequest(request) => self.task(request),
            Pdu::LogoutRequest(logout) => {
                self.number(logout.immediate, logout.cmd_sn)?;
                self.begin(logout.itt, task(Opcode::LogoutRequest, logout.cmd_sn, Lun::ZERO))?;
                self.logged_out = true;
                Ok(())
            }
            Pdu::Snack(snack) if self.limits.recovery != 0 => self.snack(snack),
            other => Err(format!("{other:?} from an initiator at error recovery level {}", self.limits.recovery)),
        }
    }

    /// ExpStatSN neither goes back nor beyond what was said.
    fn acknowledges(&mut self, pdu: &Pdu) -> Result<(), Broken> {
        let header = pdu.encode();
        let exp_stat_sn = Serial(u32::from_be_bytes(header.0[28..32].try_into().expect("four bytes")));
        let (last, next) = (self.exp_stat_sn, self.next_stat_sn);
        rule!(!exp_stat_sn.lt(last), "ExpStatSN went back from {last} to {exp_stat_sn}");
        rule!(!exp_stat_sn.gt(next), "ExpStatSN {exp_stat_sn} acknowledges what was never sent; next is {next}");
        self.exp_stat_sn = exp_stat_sn;
        Ok(())
    }

    fn number(&mut self, immediate: bool, cmd_sn: Serial) -> Result<(), Broken> {
        rule!(!self.logged_out, "a request after a logout");
        let (next, max) = (self.cmd_sn, self.max_cmd_sn);
        if immediate {
            rule!(cmd_sn == next, "an immediate request has CmdSN {cmd_sn}, the next is {next}");
        } else if let Some(at) = self.holes.iter().position(|hole| *hole == cmd_sn) {
            self.holes.remove(at);
        } else {
            rule!(cmd_sn == next, "CmdSN {cmd_sn} came where {next} was due");
            rule!(cmd_sn.le(max), "CmdSN {cmd_sn} is beyond MaxCmdSN {max}");
            self.cmd_sn = next.next();
        }
        Ok(())
    }

    fn begin(&mut self, itt: Itt, task: Task) -> Result<(), Broken> {
        rule!(!itt.is_reserved(), "a task has the reserved tag");
        rule!(!self.tasks.contains_key(&itt.0), "{itt} names two tasks");
        self.ended.retain(|(ended, ..)| *ended != itt);
        self.tasks.insert(itt.0, task);
        Ok(())
    }

    fn command(&mut self, command: &ScsiCommand, wire: &Wire<'_>) -> Result<(), Broken> {
        let unfinished = |task: &Task| task.grants.front().is_some_and(|grant| grant.ttt.is_reserved());
        rule!(!self.tasks.values().any(unfinished), "a command before the unasked data of the one before it");
        let again = self.tasks.get(&command.itt.0).filter(|task| self.limits.recovery != 0 && task.header.is_some());
        match again.and_then(|task| task.header) {
            Some(header) => self.retry(command, &header, &wire.header)?,
            None => self.number(command.immediate, command.cmd_sn)?,
        }
        let length = command.expected_length as usize;
        rule!(command.read || command.write || length == 0, "data without a direction: {command:?}");
        rule!(command.write || command.fin, "a command that does not write announces data: {command:?}");
        rule!(command.priority == 0 || self.limits.level >= 2, "a priority below level 2");
        let ahs = parse_ahs(wire.ahs).map_err(|error| error.to_string())?;
        let second = ahs.iter().any(|ahs| matches!(ahs, Ahs::BidiReadLength(_)));
        rule!(!command.read || !command.write || second, "both directions without a second length");
        let mut task = task(Opcode::ScsiCommand, command.cmd_sn, command.lun);
        task.length = if command.write { length } else { 0 };
        task.grants = self.unasked(command, wire.data.len())?.into_iter().collect();
        task.header = Some(wire.header);
        self.begin(command.itt, task)
    }

    /// A command that is sent again is the same, and was not acknowledged.
    fn retry(&mut self, command: &ScsiCommand, first: &Header, again: &Header) -> Result<(), Broken> {
        let without = |header: &Header| {
            let mut header = *header;
            header.0[28..32].fill(0);
            header
        };
        rule!(without(first) == without(again), "{} is sent again, but not as it was: {command:?}", command.itt);
        rule!(!command.cmd_sn.lt(self.exp_cmd_sn), "{command:?} is sent again although the peer has it");
        let guarded = self.cmd_sn.distance_from(command.cmd_sn) < 1 << 31;
        rule!(guarded, "CmdSN went more than half its range beyond {}", command.cmd_sn);
        self.tasks.remove(&command.itt.0);
        Ok(())
    }

    /// Checks immediate data, and says what else comes unasked.
    fn unasked(&self, command: &ScsiCommand, immediate: usize) -> Result<Option<Grant>, Broken> {
        let Limits { first, initial_r2t, immediate: allowed, .. } = self.limits;
        let length = command.expected_length as usize;
        if immediate != 0 {
            rule!(allowed, "immediate data although ImmediateData=No");
            rule!(command.write, "immediate data of a command that does not write");
            rule!(
                immediate <= first.min(length),
                "{immediate} immediate bytes of {length}, the first burst is {first}"
            );
        }
        if command.fin {
            return Ok(None);
        }
        rule!(!initial_r2t, "unasked data although InitialR2T=Yes");
        let left = first.min(length).saturating_sub(immediate);
        rule!(left != 0, "unasked data is announced, but none is left");
        Ok(Some(Grant { ttt: Ttt::RESERVED, lun: Lun::ZERO, offset: immediate, left, data_sn: Serial(0) }))
    }

    fn data_out(&mut self, data: &DataOut, length: usize) -> Result<(), Broken> {
        let Some(task) = self.tasks.get_mut(&data.itt.0) else {
            rule!(self.has_ended(data.itt), "data for {}, which is no task", data.itt);
            return Ok(());
        };
        let Some(grant) = task.grants.front_mut() else { return Err(format!("nobody asked for {data:?}")) };
        rule!(data.ttt == grant.ttt && data.lun == grant.lun, "{data:?} is not what was asked for first: {grant:?}");
        rule!(data.data_sn == grant.data_sn, "DataSN {} came where {} was due", data.data_sn, grant.data_sn);
        rule!(data.offset as usize == grant.offset, "offset {} came where {} was due", data.offset, grant.offset);
        rule!(length != 0 && length <= grant.left, "{length} bytes where {} were asked for", grant.left);
        rule!(data.fin == (length == grant.left), "the F bit of {data:?} with {length} bytes of {}", grant.left);
        rule!(data.fin || length.is_multiple_of(4), "{length} bytes in a segment that is not the last");
        grant.data_sn = grant.data_sn.next();
        grant.offset += length;
        grant.left -= length;
        if grant.left == 0 {
            task.grants.pop_front();
        }
        Ok(())
    }

    fn nop_out(&mut self, nop: &NopOut, length: usize) -> Result<(), Broken> {
        self.number(nop.immediate, nop.cmd_sn)?;
        if nop.itt.is_reserved() {
            rule!(nop.immediate, "a NOP-Out without a tag is not immediate");
            rule!(length == 0, "data in a NOP-Out that wants no answer");
            let answered = self.pings.iter().position(|ping| *ping == (nop.ttt, nop.lun));
            let Some(at) = answered else { return Err(format!("{nop:?} answers no ping")) };
            self.pings.remove(at);
            return Ok(());
        }
        rule!(nop.ttt.is_reserved(), "a ping with a transfer tag");
        self.begin(nop.itt, task(Opcode::NopOut, nop.cmd_sn, nop.lun))
    }

    fn text(&mut self, text: &TextRequest) -> Result<(), Broken> {
        self.number(text.immediate, text.cmd_sn)?;
        if text.ttt.is_reserved() {
            let under_way = self.tasks.values().any(|task| task.opcode == Opcode::TextRequest);
            rule!(!under_way, "a text exchange before the end of the last");
            return self.begin(text.itt, task(Opcode::TextRequest, text.cmd_sn, text.lun));
        }
        let copied = self.tasks.get_mut(&text.itt.0).and_then(|task| task.text.take());
        rule!(copied == Some((text.ttt, text.lun)), "{text:?} goes on where {copied:?} was said");
        Ok(())
    }

    fn task(&mut self, request: &TaskRequest) -> Result<(), Broken> {
        self.number(request.immediate, request.cmd_sn)?;
        rule!((request.function as u8) < 8, "{:?} at level 0 or below protocol level 2", request.function);
        if request.function == TaskFunction::AbortTask {
            if let Some(task) = self.tasks.get(&request.referenced.0) {
                rule!(task.lun == request.lun, "an abort for another LUN: {request:?}");
                rule!(task.cmd_sn == request.ref_cmd_sn, "an abort with another RefCmdSN: {request:?}");
            } else {
                rule!(self.has_ended(request.referenced), "an abort of no task: {request:?}");
            }
        } else {
            rule!(request.referenced.is_reserved(), "{request:?} names a task");
        }
        let mut task = task(Opcode::TaskRequest, request.cmd_sn, request.lun);
        task.function = Some((request.function, request.referenced));
        self.begin(request.itt, task)
    }

    // What the peer says.

    pub(super) fn said(&mut self, pdu: &Pdu, data: &[u8]) {
        let Numbering { stat_sn, exp_cmd_sn, max_cmd_sn } = pdu.encode().numbering();
        if !max_cmd_sn.lt(exp_cmd_sn.sub(1)) && max_cmd_sn.gt(self.max_cmd_sn) {
            self.max_cmd_sn = max_cmd_sn;
        }
        if exp_cmd_sn.gt(self.exp_cmd_sn) {
            self.exp_cmd_sn = exp_cmd_sn;
        }
        if let Pdu::DataIn(data) = pdu {
            self.data_in(data);
        }
        if has_status(pdu) && stat_sn == self.next_stat_sn {
            self.next_stat_sn = stat_sn.next();
        }
        match pdu {
            Pdu::ScsiResponse(response) => self.end(response.itt, stat_sn),
            Pdu::DataIn(data) if data.status.is_some() => self.end(data.itt, stat_sn),
            Pdu::NopIn(nop) if !nop.itt.is_reserved() => self.end(nop.itt, stat_sn),
            Pdu::NopIn(nop) if !nop.ttt.is_reserved() => self.pings.push((nop.ttt, nop.lun)),
            Pdu::LogoutResponse(response) => self.end(response.itt, stat_sn),
            Pdu::TextResponse(text) if text.fin => self.end(text.itt, stat_sn),
            Pdu::TextResponse(text) => {
                if let Some(task) = self.tasks.get_mut(&text.itt.0) {
                    task.text = Some((text.ttt, text.lun));
                }
            }
            Pdu::TaskResponse(response) => self.task_done(response),
            Pdu::R2t(r2t) => self.grant(r2t),
            Pdu::Reject(reject) => self.rejected(reject, data),
            _ => {}
        }
    }

    fn end(&mut self, itt: Itt, stat_sn: Serial) {
        if let Some(task) = self.tasks.remove(&itt.0) {
            self.ended.push((itt, stat_sn, task));
        }
    }

    fn has_ended(&self, itt: Itt) -> bool {
        self.ended.iter().any(|(ended, ..)| *ended == itt)
    }

    /// A task that has not ended, or whose status is not acknowledged by `exp_stat_sn`.
    pub(super) fn unacknowledged(&mut self, itt: Itt, exp_stat_sn: Serial) -> Option<&mut Task> {
        let ended = self.ended.iter_mut().find(|(ended, stat_sn, _)| *ended == itt && !stat_sn.lt(exp_stat_sn));
        self.tasks.get_mut(&itt.0).or(ended.map(|(.., task)| task))
    }

    /// The numbers of status that may be asked for.
    pub(super) const fn statuses(&self) -> (Serial, Serial) {
        (self.exp_stat_sn, self.next_stat_sn)
    }

    /// Takes the wish for an acknowledgement by its tag.
    pub(super) fn take_wanted(&mut self, ttt: u32, lun: Lun) -> Option<Wanted> {
        let at = self.acknowledgements.iter().position(|wanted| wanted.ttt.0 == ttt && wanted.lun == lun)?;
        Some(self.acknowledgements.remove(at))
    }

    fn data_in(&mut self, data: &DataIn) {
        if let Some(task) = self.tasks.get_mut(&data.itt.0) {
            task.sent = task.sent.max(data.data_sn.0.wrapping_add(1));
        }
        if data.acknowledge {
            let (ttt, lun, itt, next) = (data.ttt, data.lun, data.itt, data.data_sn.0.wrapping_add(1));
            self.acknowledgements.push(Wanted { ttt, lun, itt, next });
        }
    }

    fn grant(&mut self, r2t: &R2t) {
        let Limits { burst, recovery, .. } = self.limits;
        self.sent_r2t(r2t);
        let Some(task) = self.tasks.get_mut(&r2t.itt.0) else { return };
        // With recovery a number that comes again is a copy.
        if recovery != 0 && task.r2ts.contains(&r2t.r2t_sn) {
            return;
        }
        task.r2ts.push(r2t.r2t_sn);
        let (offset, left) = (r2t.offset as usize, r2t.length as usize);
        if r2t.lun == task.lun && left <= burst && offset + left <= task.length {
            task.grants.push_back(Grant { ttt: r2t.ttt, lun: r2t.lun, offset, left, data_sn: Serial(0) });
        }
    }

    fn sent_r2t(&mut self, r2t: &R2t) {
        if let Some(task) = self.tasks.get_mut(&r2t.itt.0) {
            task.sent = task.sent.max(r2t.r2t_sn.0.wrapping_add(1));
        }
    }

    /// The peer says this, and it does not arrive.
    pub(super) fn lost(&mut self, pdu: &Pdu, data: &[u8]) {
        match pdu {
            Pdu::R2t(r2t) => self.sent_r2t(r2t),
            pdu => self.said(pdu, data),
        }
    }

    fn task_done(&mut self, response: &TaskResponse) {
        let Some(task) = self.tasks.get(&response.itt.0) else { return };
        let (function, lun, cmd_sn) = (task.function, task.lun, task.cmd_sn);
        let stat_sn = response.numbering.stat_sn;
        self.end(response.itt, stat_sn);
        let (Some((function, referenced)), TaskResult::FunctionComplete) = (function, response.result) else { return };
        if function == TaskFunction::AbortTask {
            return self.end(referenced, stat_sn);
        }
        let everywhere = matches!(function, TaskFunction::TargetWarmReset | TaskFunction::TargetColdReset);
        let affected = |task: &Task| {
            task.opcode == Opcode::ScsiCommand && task.cmd_sn.lt(cmd_sn) && (everywhere || task.lun == lun)
        };
        let ended: Vec<Itt> = self.tasks.iter().filter(|(_, task)| affected(task)).map(|(itt, _)| Itt(*itt)).collect();
        for itt in ended {
            self.end(itt, stat_sn);
        }
    }

    fn rejected(&mut self, reject: &Reject, data: &[u8]) {
        let Some(header) = Header::read(data) else { return };
        let Some(task) = self.tasks.get(&header.itt().0) else { return };
        // A command whose data came damaged may be sent again.
        let again = self.limits.recovery != 0 && reject.reason == RejectReason::DataDigestError;
        if header.opcode() == Ok(task.opcode) && !again {
            if !header.immediate() {
                self.holes.push(task.cmd_sn);
            }
            self.end(header.itt(), reject.numbering.stat_sn);
        }
    }
}

fn task(opcode: Opcode, cmd_sn: Serial, lun: Lun) -> Task {
    Task {
        opcode,
        cmd_sn,
        lun,
        length: 0,
        grants: VecDeque::new(),
        text: None,
        function: None,
        header: None,
        sent: 0,
        acknowledged: 0,
        r2ts: Vec::new(),
        tags: Vec::new(),
    }
}

/// Whether the PDU takes a StatSN.
fn has_status(pdu: &Pdu) -> bool {
    match pdu {
        Pdu::R2t(_) => false,
        Pdu::DataIn(data) => data.status.is_some(),
        Pdu::NopIn(nop) => !nop.itt.is_reserved(),
        _ => true,
    }
}
