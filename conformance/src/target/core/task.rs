//! SCSI commands from their PDU to their status (RFC 7143, sections 11.3, 11.4 and 11.7).

use iscsi_proto::pdu::{
    Ahs, DataIn, Header, Numbering, R2t, RejectReason, Residual, ScsiCommand, ScsiResponse, ServiceResponse, parse_ahs,
    sense_segment,
};
use iscsi_proto::scsi::{Lun, Sense};
use iscsi_proto::serial::Serial;
use iscsi_proto::tags::{Itt, Ttt};

use super::cut::{Cut, Piece};
use super::full::{Ending, FullFeature};
use super::kept::{Answer, Done};
use super::lost::Leaving;
use super::transfer::{Asked, Transfer, UNEXPECTED_DATA, Work};
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

/// How data goes in beside data that goes out: at most so many bytes, numbered from here on, behind the R2Ts.
#[derive(Clone, Copy)]
struct Inward {
    limit: u32,
    first: Serial,
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
            Work::Answer(outcome) if command.fin => {
                self.respond(&command, Inward { limit: extras.bidi_read, first: Serial(0) }, outcome, 0);
            }
            work => self.begin_transfer(command, extras.bidi_read, work, data),
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

    fn begin_transfer(&mut self, command: ScsiCommand, bidi_read: u32, work: Work, data: &[u8]) {
        if self.transfers.len() >= MAX_TRANSFERS {
            tracing::debug!("too many tasks wait for data");
            return self.end(Ending::Flush, Leaving::Failed);
        }
        let itt = command.itt;
        let mut transfer = Transfer::new(command, work, data.len() as u32, &self.params, self.node.now());
        transfer.bidi_read = bidi_read;
        transfer.put(0, data);
        if transfer.is_settled() && !transfer.lacks_data() {
            return self.answer(transfer);
        }
        if !transfer.command.immediate && !std::mem::take(&mut self.placed) {
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
        let now = self.node.now();
        let Some(transfer) = self.transfers.get_mut(&itt) else { return false };
        let Some(asked) = transfer.ask(&self.params, ttt, now) else { return false };
        self.send_r2t(itt, asked);
        true
    }

    pub(super) fn send_r2t(&mut self, itt: Itt, asked: Asked) {
        let Some(transfer) = self.transfers.get(&itt) else { return };
        let Asked { ttt, r2t_sn, offset, length } = asked;
        let (lun, numbering) = (transfer.command.lun, self.out.preview(&self.session));
        self.out.push(R2t { lun, itt, ttt, numbering, r2t_sn, offset, length }.encode(), Rope::new());
    }

    pub(super) fn answer(&mut self, transfer: Transfer) {
        let inward = Inward { limit: transfer.bidi_read, first: transfer.next_r2t_sn() };
        if let Some((command, outcome, length)) = transfer.finish() {
            self.respond(&command, inward, outcome, length);
        }
    }

    /// Sends data, if there is any, and status. `taken` is how many bytes the command wanted from the initiator.
    fn respond(&mut self, command: &ScsiCommand, inward: Inward, mut outcome: Outcome, taken: u64) {
        self.give_place_back();
        let presented = outcome.data.len() as u64;
        let bidi = command.read && command.write;
        let read = Lengths { expected: if bidi { inward.limit } else { command.expected_length }, presented };
        let write = Lengths { expected: command.expected_length, presented: taken };
        let (residual, bidi_residual) = match (command.read, command.write) {
            (true, true) => (write.residual(), read.residual()),
            (false, true) => (write.plus(presented).residual(), Residual::None),
            (_, false) => (read.plus(taken).residual(), Residual::None),
        };
        outcome.data.truncate(if command.read { read.expected as usize } else { 0 });
        let Outcome { status, sense, data } = outcome;
        let answer = Answer { lun: command.lun, itt: command.itt, status, sense, residual, bidi_residual, data };
        let collapse = !bidi && self.collapses(&answer);
        let shared = bidi && !answer.data.is_empty();
        let cut = self.cut(if shared { inward.first } else { Serial(0) });
        self.conclude(answer, cut, collapse);
    }

    fn collapses(&self, answer: &Answer) -> bool {
        let wanted = self.target.as_ref().is_some_and(|target| target.config.limits.status_in_data);
        wanted && answer.status.is_good_family() && answer.sense.is_none()
    }

    /// How data of a command is cut now, with the DataSN of its first piece.
    fn cut(&mut self, first: Serial) -> Cut {
        let ttt = if self.asks_for_acks { self.next_ttt() } else { Ttt::RESERVED };
        let (segment, burst) = (self.params.max_send as usize, self.params.max_burst as usize);
        Cut { first, start: 0, segment, burst, ttt }
    }

    /// Sends data, if there is any, and status; keeps both where they may have to be sent again.
    pub(super) fn conclude(&mut self, answer: Answer, cut: Cut, collapse: bool) {
        let stat_sn = self.out.next_stat_sn();
        let sent = self.send_data(&answer, cut, collapse);
        let collapsed = collapse && sent != cut.first;
        if !collapsed {
            let numbering = self.out.status(&self.session);
            let (header, data) = answer.response(numbering, sent, 0);
            self.out.push(header, data);
        }
        if let Some(kept) = self.out.kept() {
            let (total, acknowledged) = (answer.data.len(), cut.first);
            kept.insert(Done { answer, cut, stat_sn, collapsed, snack_tag: 0, total, acknowledged, has_data: true });
        }
    }

    /// Sends data in Data-In PDUs, the last one with the status if `collapse`; the DataSN after the last one.
    fn send_data(&mut self, answer: &Answer, cut: Cut, collapse: bool) -> Serial {
        let data = &answer.data;
        if data.is_empty() {
            return cut.first;
        }
        Counters::add(&self.node.counters().bytes_out, data.len().saturating_sub(cut.start) as u64);
        let (exp_cmd_sn, max_cmd_sn) = self.session.numbers();
        let mut next = cut.first;
        for piece in cut.pieces(data.len()) {
            let has_status = collapse && piece.last;
            let stat_sn = if has_status { self.out.take_stat_sn() } else { Serial(0) };
            let numbering = Numbering { stat_sn, exp_cmd_sn, max_cmd_sn };
            let pdu = answer.data_in(cut, piece, has_status, numbering);
            self.out.push(pdu.encode(), data.slice(piece.offset, piece.len));
            next = piece.data_sn.next();
        }
        next
    }
}

impl Answer {
    /// The Data-In for a piece of the data.
    pub(super) const fn data_in(&self, cut: Cut, piece: Piece, has_status: bool, numbering: Numbering) -> DataIn {
        let acknowledge = piece.fin && !cut.ttt.is_reserved();
        DataIn {
            fin: piece.fin,
            acknowledge,
            status: if has_status { Some((self.status, self.residual)) } else { None },
            lun: if acknowledge { self.lun } else { Lun::ZERO },
            itt: self.itt,
            ttt: if acknowledge { cut.ttt } else { Ttt::RESERVED },
            numbering,
            data_sn: piece.data_sn,
            offset: piece.offset as u32,
        }
    }

    /// The SCSI Response after Data-In PDUs up to `exp_data_sn`.
    pub(super) fn response(&self, numbering: Numbering, exp_data_sn: Serial, snack_tag: u32) -> (Header, Rope) {
        let response = ScsiResponse {
            response: ServiceResponse::Completed,
            status: self.status,
            qualifier: 0,
            itt: self.itt,
            snack_tag,
            numbering,
            exp_data_sn,
            bidi_residual: self.bidi_residual,
            residual: self.residual,
        };
        let sense = self.sense.map(|sense| sense_segment(&sense.to_fixed()));
        (response.encode(), sense.map(Rope::from).unwrap_or_default())
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
