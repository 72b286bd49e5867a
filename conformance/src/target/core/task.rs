//! SCSI commands from their PDU to their status (RFC 7143, sections 11.3, 11.4 and 11.7).

use iscsi_proto::pdu::{
    Ahs, DataIn, Header, Numbering, R2t, RejectReason, Residual, ScsiCommand, ScsiResponse, ServiceResponse, parse_ahs,
    sense_segment,
};
use iscsi_proto::scsi::{Lun, Sense, Status};
use iscsi_proto::serial::Serial;
use iscsi_proto::tags::{Itt, Ttt};

use super::full::{Ending, FullFeature};
use super::transfer::{Transfer, UNEXPECTED_DATA, Work};
use crate::target::counters::Counters;
use crate::target::rope::Rope;
use crate::target::unit::{Begin, Outcome};

/// Immediate commands that may wait for data; they take no place in the command window.
const MAX_IMMEDIATE: usize = 16;
/// Tasks, living and aborted, whose data is on its way. A peer that gets here never ends its bursts.
const MAX_TRANSFERS: usize = 1 << 17;

/// A CDB of any length, and what a bidirectional command may read.
struct Extras {
    cdb: Vec<u8>,
    bidi_read: u32,
}

/// Lengths of one direction of a command.
#[derive(Clone, Copy)]
struct Lengths {
    /// What the initiator expects.
    expected: u32,
    /// What the command wants to move.
    presented: u64,
}

impl FullFeature {
    pub(super) fn command(&mut self, command: ScsiCommand, header: &Header, ahs: &[u8], data: &[u8]) {
        if let Err(reason) = self.check_command(&command) {
            return self.reject(reason, header);
        }
        let Ok(extras) = Extras::new(&command, ahs) else {
            return self.reject(RejectReason::InvalidPduField, header);
        };
        let cdb = if ahs.is_empty() { &command.cdb[..] } else { &extras.cdb };
        let work = match self.refusal(&command, data) {
            Some(sense) => Work::Answer(Outcome::check(sense)),
            None => self.begin(&command, cdb),
        };
        match work {
            Work::Answer(outcome) if command.fin => self.respond(&command, extras.bidi_read, outcome, 0),
            work => self.begin_transfer(command, work, data),
        }
    }

    fn check_command(&self, command: &ScsiCommand) -> Result<(), RejectReason> {
        if command.itt.is_reserved() || (!command.fin && !command.write) {
            return Err(RejectReason::InvalidPduField);
        }
        if self.transfers.get(&command.itt).is_some_and(|transfer| transfer.work.is_some()) {
            return Err(RejectReason::TaskInProgress);
        }
        let immediate = |transfer: &&Transfer| transfer.command.immediate;
        if command.immediate && self.transfers.values().filter(immediate).count() >= MAX_IMMEDIATE {
            return Err(RejectReason::TooManyImmediate);
        }
        Ok(())
    }

    /// Why the data that comes with the command, or that it announces, is not acceptable.
    fn refusal(&self, command: &ScsiCommand, data: &[u8]) -> Option<Sense> {
        let limit = command.expected_length.min(self.params.first_burst) as usize;
        let immediate = !data.is_empty() && (!command.write || !self.params.immediate_data || data.len() > limit);
        let announced = !command.fin && self.params.initial_r2t;
        (immediate || announced).then_some(UNEXPECTED_DATA)
    }

    fn begin(&self, command: &ScsiCommand, cdb: &[u8]) -> Work {
        let (Some(target), Some(nexus)) = (&self.target, &self.session.nexus) else {
            return Work::Answer(Outcome::check(Sense::UNIT_NOT_SUPPORTED));
        };
        let expected = if command.write { command.expected_length } else { 0 };
        match target.device.begin(nexus, command.lun, cdb) {
            Begin::Done(outcome) => Work::Answer(outcome),
            Begin::Data(receiver) if receiver.accepts(expected) => Work::Receive(receiver),
            Begin::Data(_) => Work::Answer(Outcome::check(Sense::INVALID_FIELD)),
        }
    }

    fn begin_transfer(&mut self, command: ScsiCommand, work: Work, data: &[u8]) {
        if self.transfers.len() >= MAX_TRANSFERS {
            tracing::debug!("too many tasks wait for data");
            return self.end(Ending::Flush);
        }
        let itt = command.itt;
        let mut transfer = Transfer::new(command, work, data.len() as u32, &self.params);
        transfer.put(0, data);
        if transfer.is_settled() && !transfer.lacks_data() {
            return self.answer(transfer);
        }
        if !transfer.command.immediate {
            self.session.window(super::window::Window::task_began);
        }
        self.transfers.insert(itt, transfer);
        self.proceed(itt);
    }

    /// After data has come: asks for more, or ends the task.
    pub(super) fn proceed(&mut self, itt: Itt) {
        while self.ask(itt) {}
        if self.transfers.get(&itt).is_some_and(Transfer::is_settled)
            && let Some(transfer) = self.transfers.remove(&itt)
        {
            if transfer.work.is_some() {
                self.task_ended(&transfer);
                self.answer(transfer);
            } else {
                self.burst_ended(itt);
            }
        }
    }

    /// Gives the task's place in the command window back.
    pub(super) fn task_ended(&self, transfer: &Transfer) {
        if !transfer.command.immediate {
            self.session.window(super::window::Window::task_ended);
        }
    }

    fn ask(&mut self, itt: Itt) -> bool {
        let ttt = self.next_ttt();
        let Some(transfer) = self.transfers.get_mut(&itt) else { return false };
        let Some(asked) = transfer.ask(&self.params, ttt) else { return false };
        let r2t = R2t {
            lun: transfer.command.lun,
            itt,
            ttt,
            numbering: self.out.preview(&self.session),
            r2t_sn: asked.r2t_sn,
            offset: asked.offset,
            length: asked.length,
        };
        self.out.push(r2t.encode(), Rope::new());
        true
    }

    fn answer(&mut self, transfer: Transfer) {
        if let Some((command, outcome, length)) = transfer.finish() {
            self.respond(&command, 0, outcome, length);
        }
    }

    /// Sends data, if there is any, and status. `taken` is how many bytes the command wanted from the initiator.
    fn respond(&mut self, command: &ScsiCommand, bidi_read: u32, mut outcome: Outcome, taken: u64) {
        let presented = outcome.data.len() as u64;
        let bidi = command.read && command.write;
        let read = Lengths { expected: if bidi { bidi_read } else { command.expected_length }, presented };
        let write = Lengths { expected: command.expected_length, presented: taken };
        let (residual, bidi_residual) = match (command.read, command.write) {
            (true, true) => (write.residual(), read.residual()),
            (false, true) => (write.plus(presented).residual(), Residual::None),
            (_, false) => (read.plus(taken).residual(), Residual::None),
        };
        outcome.data.truncate(if command.read { read.expected as usize } else { 0 });
        let collapse = !bidi && self.collapses(&outcome);
        let sent = self.send_data(command.itt, &outcome.data, collapse.then_some((outcome.status, residual)));
        if !(collapse && sent.0 != 0) {
            self.send_status(command.itt, &outcome, residual, bidi_residual, sent);
        }
    }

    fn collapses(&self, outcome: &Outcome) -> bool {
        let wanted = self.target.as_ref().is_some_and(|target| target.config.limits.status_in_data);
        wanted && outcome.status.is_good_family() && outcome.sense.is_none()
    }

    /// Sends `data` in Data-In PDUs, the last one with `status` if there is one; how many PDUs that took.
    fn send_data(&mut self, itt: Itt, data: &Rope, status: Option<(Status, Residual)>) -> Serial {
        if data.is_empty() {
            return Serial(0);
        }
        Counters::add(&self.node.counters().bytes_out, data.len() as u64);
        let (exp_cmd_sn, max_cmd_sn) = self.session.numbers();
        let (mut offset, mut data_sn) = (0, Serial(0));
        while offset < data.len() {
            let burst_left = self.params.max_burst as usize - offset % self.params.max_burst as usize;
            let len = (self.params.max_send as usize).min(burst_left).min(data.len() - offset);
            let last = offset + len == data.len();
            let status = status.filter(|_| last);
            let stat_sn = if status.is_some() { self.out.take_stat_sn() } else { Serial(0) };
            let pdu = DataIn {
                fin: last || len == burst_left,
                acknowledge: false,
                status,
                lun: Lun::ZERO,
                itt,
                ttt: Ttt::RESERVED,
                numbering: Numbering { stat_sn, exp_cmd_sn, max_cmd_sn },
                data_sn,
                offset: offset as u32,
            };
            self.out.push(pdu.encode(), data.slice(offset, len));
            offset += len;
            data_sn = data_sn.next();
        }
        data_sn
    }

    fn send_status(&mut self, itt: Itt, outcome: &Outcome, residual: Residual, bidi_residual: Residual, sent: Serial) {
        let response = ScsiResponse {
            response: ServiceResponse::Completed,
            status: outcome.status,
            qualifier: 0,
            itt,
            snack_tag: 0,
            numbering: self.out.status(&self.session),
            exp_data_sn: sent,
            bidi_residual,
            residual,
        };
        let sense = outcome.sense.map(|sense| sense_segment(&sense.to_fixed()));
        self.out.push(response.encode(), sense.map(Rope::from).unwrap_or_default());
    }
}

impl Extras {
    fn new(command: &ScsiCommand, ahs: &[u8]) -> Result<Self, iscsi_proto::pdu::PduError> {
        let mut extras = Self { cdb: Vec::new(), bidi_read: 0 };
        if ahs.is_empty() {
            return Ok(extras);
        }
        extras.cdb.extend_from_slice(&command.cdb);
        for segment in parse_ahs(ahs)? {
            match segment {
                Ahs::ExtendedCdb(rest) => extras.cdb.extend_from_slice(&rest),
                Ahs::BidiReadLength(len) => extras.bidi_read = len,
            }
        }
        Ok(extras)
    }
}

impl Lengths {
    /// Counts what the command wants to move the other way, for which there is no room at all.
    const fn plus(self, other_way: u64) -> Self {
        Self { presented: self.presented + other_way, ..self }
    }

    fn residual(self) -> Residual {
        let expected = u64::from(self.expected);
        let count = |bytes: u64| u32::try_from(bytes).unwrap_or(u32::MAX);
        match self.presented.cmp(&expected) {
            std::cmp::Ordering::Equal => Residual::None,
            std::cmp::Ordering::Greater => Residual::Overflow(count(self.presented - expected)),
            std::cmp::Ordering::Less => Residual::Underflow(count(expected - self.presented)),
        }
    }
}
