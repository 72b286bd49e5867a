//! What a connection keeps until the initiator has acknowledged it (RFC 7143, sections 4.2.2.2 and 11.16).
//!
//! Only at error recovery level 1 and up. It is bounded: of an initiator that never acknowledges, the oldest is forgotten.

use std::collections::{HashMap, VecDeque};

use iscsi_proto::pdu::{Header, Opcode, Residual};
use iscsi_proto::scsi::{Lun, Sense, Status};
use iscsi_proto::serial::Serial;
use iscsi_proto::tags::{Itt, Ttt};

use super::cut::Cut;
use crate::target::rope::Rope;

/// Responses of one connection that are kept.
const MAX_STATUSES: usize = 8192;
/// Bytes of Data-In of one connection that are kept.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// Responses that are not acknowledged, and what the commands among them returned.
#[derive(Debug)]
pub(super) struct Kept {
    /// In the order of their StatSN, without a gap; the last one is the last that was sent.
    statuses: VecDeque<(Header, Rope)>,
    /// The next StatSN that the initiator waits for, as far as it has told.
    acknowledged: Serial,
    done: HashMap<Itt, Done>,
    /// The commands in `done` whose data is kept, oldest first.
    order: VecDeque<Itt>,
    /// Bytes of that data.
    bytes: usize,
}

/// The answer to a command.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) lun: Lun,
    pub(super) itt: Itt,
    pub(super) status: Status,
    pub(super) sense: Option<Sense>,
    pub(super) residual: Residual,
    pub(super) bidi_residual: Residual,
    pub(super) data: Rope,
}

/// A command that was answered.
#[derive(Clone, Debug)]
pub(super) struct Done {
    pub(super) answer: Answer,
    pub(super) cut: Cut,
    /// StatSN of its status, and whether that travels in the last Data-In.
    pub(super) stat_sn: Serial,
    pub(super) collapsed: bool,
    pub(super) snack_tag: u32,
    /// Bytes of data that were sent.
    pub(super) total: usize,
    /// The next DataSN that the initiator waits for, as far as it has told.
    pub(super) acknowledged: Serial,
    /// Whether the data is still there.
    pub(super) has_data: bool,
}

/// Numbers that a SNACK names.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) begin: Serial,
    pub(super) length: u32,
}

impl Kept {
    /// Nothing; `next` is the StatSN of the next response.
    pub(super) fn new(next: Serial) -> Self {
        Self { statuses: VecDeque::new(), acknowledged: next, done: HashMap::new(), order: VecDeque::new(), bytes: 0 }
    }

    /// Keeps a response.
    pub(super) fn push(&mut self, header: Header, data: Rope) {
        self.statuses.push_back((header, data));
        if self.statuses.len() > MAX_STATUSES {
            self.forget_oldest();
        }
    }

    /// Keeps what has to be known of a command to send its data and its status again.
    pub(super) fn insert(&mut self, done: Done) {
        if done.has_data && !done.answer.data.is_empty() {
            self.bytes += done.answer.data.len();
            self.order.push_back(done.answer.itt);
        }
        if let Some(old) = self.done.insert(done.answer.itt, done) {
            self.bytes -= old.answer.data.len();
        }
        while self.bytes > MAX_BYTES
            && let Some(oldest) = self.order.pop_front()
        {
            self.give_up_data(oldest);
        }
    }

    /// Gives back what [`Kept::take`] took.
    pub(super) fn put_back(&mut self, done: Done) {
        self.bytes += done.answer.data.len();
        self.done.insert(done.answer.itt, done);
    }

    /// Takes a command out, to work on it and to give it back.
    pub(super) fn take(&mut self, itt: Itt) -> Option<Done> {
        let done = self.done.remove(&itt)?;
        self.bytes -= done.answer.data.len();
        Some(done)
    }

    /// The command that a DataACK with this tag is about.
    pub(super) fn by_ttt(&self, ttt: Ttt) -> Option<Itt> {
        let found = self.done.values().find(|done| done.cut.ttt == ttt && !ttt.is_reserved());
        found.map(|done| done.answer.itt)
    }

    pub(super) fn contains(&self, itt: Itt) -> bool {
        self.done.contains_key(&itt)
    }

    /// Whether the tag belongs to a request that is no SCSI command.
    pub(super) fn has_other(&self, itt: Itt) -> bool {
        self.statuses.iter().any(|(header, _)| header.itt() == itt && !is_command(header))
    }

    /// The initiator waits for StatSN `expected`; all before it have arrived. `next` was not sent yet.
    pub(super) fn acknowledge(&mut self, expected: Serial, next: Serial) {
        let is_news = self.acknowledged.lt(expected) && expected.le(next);
        if !is_news {
            return;
        }
        self.acknowledged = expected;
        while self.statuses.front().is_some_and(|(header, _)| stat_sn(header).lt(expected)) {
            self.forget_oldest();
        }
        while self.order.front().is_some_and(|itt| !self.done.contains_key(itt)) {
            self.order.pop_front();
        }
    }

    /// Whether responses wait to be acknowledged.
    pub(super) fn is_waiting(&self) -> bool {
        !self.statuses.is_empty()
    }

    /// The responses that a status SNACK names. `None` inside where one is kept no more.
    pub(super) fn statuses(&self, run: Run, next: Serial) -> Result<Option<Vec<(Header, Rope)>>, Serial> {
        let (begin, end) = run.within(self.acknowledged, next)?;
        let wanted = self.statuses.iter().filter(|(header, _)| begin.le(stat_sn(header)) && stat_sn(header).lt(end));
        let found: Vec<_> = wanted.cloned().collect();
        Ok((found.len() as u32 == end.distance_from(begin)).then_some(found))
    }

    /// Replaces a response by another with the same StatSN.
    pub(super) fn replace(&mut self, header: Header, data: Rope) {
        let number = stat_sn(&header);
        if let Some(old) = self.statuses.iter_mut().find(|(old, _)| stat_sn(old) == number) {
            *old = (header, data);
        }
    }

    fn forget_oldest(&mut self) {
        let Some((header, _)) = self.statuses.pop_front() else { return };
        let is_its = |done: &Done| done.stat_sn == stat_sn(&header);
        if is_command(&header) && self.done.get(&header.itt()).is_some_and(is_its) {
            self.take(header.itt());
        }
    }

    fn give_up_data(&mut self, itt: Itt) {
        if let Some(done) = self.done.get_mut(&itt) {
            self.bytes -= done.answer.data.len();
            done.answer.data = Rope::new();
            done.has_data = false;
        }
    }
}

impl Done {
    /// The DataSN after the last one.
    pub(super) fn next(&self) -> Serial {
        self.cut.next(self.total)
    }

    /// Data before this DataSN has arrived. The data goes once all of it has.
    pub(super) fn acknowledge(&mut self, data_sn: Serial) {
        self.acknowledged = data_sn;
        if data_sn == self.next() {
            self.answer.data = Rope::new();
            self.has_data = false;
        }
    }
}

impl Run {
    /// Whether it means everything that is not acknowledged.
    pub(super) fn is_all(self) -> bool {
        self.begin == Serial(0) && self.length == 0
    }

    /// From which number up to, but without, which one, of those between `acknowledged` and `next`. The error is `next`.
    pub(super) fn within(self, acknowledged: Serial, next: Serial) -> Result<(Serial, Serial), Serial> {
        let Self { begin, length } = self;
        if self.is_all() {
            return Ok((acknowledged, next));
        }
        let fits = acknowledged.le(begin) && begin.lt(next) && length <= next.distance_from(begin);
        let end = if length == 0 { next } else { begin.add(length) };
        if fits { Ok((begin, end)) } else { Err(next) }
    }
}

/// Whether a PDU of a target takes a StatSN for itself.
pub fn takes_stat_sn(header: &Header) -> bool {
    match header.opcode() {
        Ok(Opcode::R2t) => false,
        Ok(Opcode::NopIn) => !header.itt().is_reserved(),
        Ok(Opcode::DataIn) => header.flags() & 1 != 0,
        _ => true,
    }
}

fn is_command(header: &Header) -> bool {
    matches!(header.opcode(), Ok(Opcode::ScsiResponse | Opcode::DataIn))
}

fn stat_sn(header: &Header) -> Serial {
    header.numbering().stat_sn
}

#[cfg(test)]
mod tests {
    use super::*;
    use iscsi_proto::pdu::{Numbering, ScsiResponse, ServiceResponse};

    fn response(n: u32) -> Header {
        let numbering = Numbering { stat_sn: Serial(n), ..Numbering::default() };
        ScsiResponse {
            response: ServiceResponse::Completed,
            status: Status::GOOD,
            qualifier: 0,
            itt: Itt(n),
            snack_tag: 0,
            numbering,
            exp_data_sn: Serial(0),
            bidi_residual: Residual::None,
            residual: Residual::None,
        }
        .encode()
    }

    fn done(n: u32, data: Rope) -> Done {
        let (lun, status, none) = (Lun::ZERO, Status::GOOD, Residual::None);
        let total = data.len();
        let cut = Cut { first: Serial(0), start: 0, segment: 1 << 20, burst: 1 << 20, ttt: Ttt(n) };
        Done {
            answer: Answer { lun, itt: Itt(n), status, sense: None, residual: none, bidi_residual: none, data },
            cut,
            stat_sn: Serial(n),
            collapsed: false,
            snack_tag: 0,
            total,
            acknowledged: Serial(0),
            has_data: true,
        }
    }

    fn filled(count: u32, data: &Rope) -> Kept {
        let mut kept = Kept::new(Serial(0));
        for n in 0..count {
            kept.push(response(n), Rope::new());
            kept.insert(done(n, data.clone()));
        }
        kept
    }

    #[test]
    fn acknowledged_responses_go_with_their_data() {
        let mut kept = filled(4, &vec![1; 10].into());
        kept.acknowledge(Serial(2), Serial(4));
        assert!(!kept.contains(Itt(1)) && kept.contains(Itt(2)));
        assert_eq!((kept.bytes, kept.order.len(), kept.statuses.len()), (20, 2, 2));
        // Numbers that were not sent or go back say nothing.
        for wrong in [5, 1, 0, u32::MAX] {
            kept.acknowledge(Serial(wrong), Serial(4));
        }
        assert_eq!(kept.statuses.len(), 2);
        kept.acknowledge(Serial(4), Serial(4));
        assert_eq!((kept.bytes, kept.order.len(), kept.done.len(), kept.is_waiting()), (0, 0, 0, false));
    }

    #[test]
    fn what_nobody_acknowledges_is_forgotten_from_the_oldest_on() {
        let mut kept = filled(70, &vec![0; 1 << 20].into());
        assert_eq!(kept.bytes, MAX_BYTES);
        assert!(!kept.done[&Itt(5)].has_data && kept.done[&Itt(6)].has_data && kept.contains(Itt(0)));
        for n in 70..MAX_STATUSES as u32 + 10 {
            kept.push(response(n), Rope::new());
        }
        assert_eq!(kept.statuses.len(), MAX_STATUSES);
        assert!(!kept.contains(Itt(9)) && kept.contains(Itt(10)));
        let next = Serial(MAX_STATUSES as u32 + 10);
        assert!(kept.statuses(Run { begin: Serial(9), length: 1 }, next).unwrap().is_none());
        assert_eq!(kept.statuses(Run { begin: Serial(10), length: 1 }, next).unwrap().unwrap().len(), 1);
    }

    #[test]
    fn runs_name_numbers_that_were_sent_and_are_not_acknowledged() {
        let within = |begin, length| Run { begin: Serial(begin), length }.within(Serial(3), Serial(7));
        assert_eq!(within(0, 0), Ok((Serial(3), Serial(7))));
        assert_eq!(within(3, 0), Ok((Serial(3), Serial(7))));
        assert_eq!(within(4, 2), Ok((Serial(4), Serial(6))));
        assert_eq!(within(6, 1), Ok((Serial(6), Serial(7))));
        for (begin, length) in [(2, 1), (2, 0), (7, 0), (7, 1), (6, 2), (3, u32::MAX), (0, 1)] {
            assert_eq!(within(begin, length), Err(Serial(7)), "{begin} {length}");
        }
    }

    #[test]
    fn a_response_is_replaced_in_its_place() {
        let mut kept = filled(2, &Rope::new());
        let mut other = response(1);
        other.0[20] = 9;
        kept.replace(other, vec![1].into());
        let all = kept.statuses(Run { begin: Serial(0), length: 0 }, Serial(2)).unwrap().unwrap();
        assert_eq!((all[0].0, all[1].0), (response(0), other));
    }
}
