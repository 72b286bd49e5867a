//! Data on its way out of the initiator: unsolicited bursts and R2Ts (RFC 7143, sections 11.7 and 11.8).

use std::collections::VecDeque;
use std::time::Duration;

use iscsi_proto::pdu::{DataOut, ScsiCommand};
use iscsi_proto::scsi::{Sense, SenseKey};
use iscsi_proto::serial::Serial;
use iscsi_proto::tags::Ttt;

use super::kept::Run;
use super::params::Params;
use crate::target::unit::{Outcome, Receiver};

/// 0B/0C/0C: unsolicited data where none was allowed.
pub(super) const UNEXPECTED_DATA: Sense = Sense::new(SenseKey::AbortedCommand, 0x0c, 0x0c);
/// 0B/0C/0D: more or less data than there should be.
pub(super) const WRONG_AMOUNT: Sense = Sense::new(SenseKey::AbortedCommand, 0x0c, 0x0d);
/// 0B/47/05: data was lost or damaged on its way (section 7.8; 7.9 counts a gap in DataSN in).
pub(super) const DATA_LOST: Sense = Sense::new(SenseKey::AbortedCommand, 0x47, 0x05);

/// R2Ts by which one command may ask again for data that was lost.
const MAX_RECOVERIES: u16 = 256;

/// A command that waits for data.
#[derive(Debug)]
pub(super) struct Transfer {
    pub(super) command: ScsiCommand,
    /// Bytes that the initiator takes of a command that moves data both ways.
    pub(super) bidi_read: u32,
    /// What is done with the data; `None` once the task was aborted, when the data is only swallowed.
    pub(super) work: Option<Work>,
    /// Bytes that the initiator sends and the command takes.
    wanted: u32,
    /// The burst that the initiator sends unasked.
    unsolicited: Option<Burst>,
    /// Bursts that R2Ts asked for, in order.
    solicited: VecDeque<Burst>,
    /// How far R2Ts have asked.
    asked: u32,
    next_r2t_sn: Serial,
    failure: Option<Sense>,
    /// Whether lost data is asked for again (error recovery level 1 and up).
    recovers: bool,
    /// Data that was lost: offset and length, in order.
    holes: VecDeque<(u32, u32)>,
    recoveries: u16,
    /// When the target last heard of the data, or asked for it.
    touched: Duration,
}

/// What becomes of the data.
#[derive(Debug)]
pub(super) enum Work {
    Receive(Receiver),
    /// The command is over already; its answer waits until the initiator has sent what it had announced.
    Answer(Outcome),
}

/// A run of Data-Out PDUs that ends with the F bit.
#[derive(Debug)]
struct Burst {
    ttt: Ttt,
    /// Of its R2T.
    r2t_sn: Serial,
    start: u32,
    next: u32,
    end: u32,
    data_sn: Serial,
}

/// What a Data-Out PDU does to its burst.
enum Step {
    /// Its data is what comes next, and bytes before it may have been lost: offset and length.
    Data {
        lost: (u32, u32),
    },
    /// It has been here before.
    Repeated,
    Wrong(Sense),
}

/// An R2T to send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Asked {
    pub(super) ttt: Ttt,
    pub(super) r2t_sn: Serial,
    pub(super) offset: u32,
    pub(super) length: u32,
}

/// A Data-Out that belongs to no burst of its task.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stray;

impl Transfer {
    /// A task whose immediate data, `immediate` bytes, has been dealt with.
    pub(super) fn new(command: ScsiCommand, work: Work, immediate: u32, params: &Params, now: Duration) -> Self {
        let expected = if command.write { command.expected_length } else { 0 };
        let length = match &work {
            Work::Receive(receiver) => receiver.length(),
            Work::Answer(_) => 0,
        };
        let first = expected.min(params.first_burst);
        let unsolicited = (!command.fin).then_some(Burst {
            ttt: Ttt::RESERVED,
            r2t_sn: Serial(0),
            start: immediate,
            next: immediate,
            end: first.max(immediate),
            data_sn: Serial(0),
        });
        let asked = if command.fin { immediate } else { first.max(immediate) };
        Self {
            command,
            bidi_read: 0,
            work: Some(work),
            wanted: u32::try_from(length).map_or(expected, |length| length.min(expected)),
            unsolicited,
            solicited: VecDeque::new(),
            asked,
            next_r2t_sn: Serial(0),
            failure: None,
            recovers: params.recovers_data(),
            holes: VecDeque::new(),
            recoveries: 0,
            touched: now,
        }
    }

    /// Gives data of `offset` to the command, as far as it wants it.
    pub(super) fn put(&mut self, offset: u32, data: &[u8]) {
        let room = self.wanted.saturating_sub(offset) as usize;
        let data = data.get(..room).unwrap_or(data);
        if let Some(Work::Receive(receiver)) = &mut self.work
            && !data.is_empty()
        {
            receiver.put(offset, data);
        }
    }

    /// The next R2T, while fewer than the limit are open. It will be answered under `ttt`.
    pub(super) fn ask(&mut self, params: &Params, ttt: Ttt, now: Duration) -> Option<Asked> {
        if self.solicited.len() >= usize::from(params.max_outstanding_r2t) || !self.wants_more() {
            return None;
        }
        let settled = self.is_settled();
        let (offset, length) = match self.holes.front_mut() {
            // What is asked for again comes before what was not asked for yet, and after what is on its way.
            Some(_) if !settled => return None,
            Some((offset, length)) => {
                let part = (*offset, (*length).min(params.max_burst));
                (*offset, *length) = (part.0 + part.1, *length - part.1);
                part
            }
            None if self.asked < self.wanted => (self.asked, (self.wanted - self.asked).min(params.max_burst)),
            None => return None,
        };
        self.holes.retain(|(_, length)| *length != 0);
        self.asked = self.asked.max(offset + length);
        self.touched = now;
        let r2t_sn = self.next_r2t_sn;
        self.next_r2t_sn = r2t_sn.next();
        let (next, end) = (offset, offset + length);
        self.solicited.push_back(Burst { ttt, r2t_sn, start: offset, next, end, data_sn: Serial(0) });
        Some(Asked { ttt, r2t_sn, offset, length })
    }

    /// Whether there is data that no burst has been opened for.
    pub(super) fn lacks_data(&self) -> bool {
        self.wants_more() && (self.asked < self.wanted || !self.holes.is_empty())
    }

    fn wants_more(&self) -> bool {
        let wants = matches!(&self.work, Some(Work::Receive(receiver)) if !receiver.is_cleared());
        wants && self.failure.is_none()
    }

    /// Takes a Data-Out PDU of `len` bytes; `data` is `None` if its digest was wrong.
    pub(super) fn take(&mut self, pdu: &DataOut, len: u32, data: Option<&[u8]>, now: Duration) -> Result<(), Stray> {
        let (lun, recovers) = (self.command.lun, self.recovers);
        let burst = self.burst(pdu.ttt).ok_or(Stray)?;
        let step = match data {
            None if !recovers => Step::Wrong(DATA_LOST),
            Some(_) if !pdu.ttt.is_reserved() && pdu.lun != lun => Step::Wrong(WRONG_AMOUNT),
            _ => burst.check(pdu, len, recovers),
        };
        self.touched = now;
        match step {
            Step::Repeated => return Ok(()),
            Step::Wrong(sense) => self.fail(sense),
            Step::Data { lost } => {
                self.lose(lost);
                match data {
                    Some(data) => self.put(pdu.offset, data),
                    None => self.lose((pdu.offset, len)),
                }
            }
        }
        if pdu.fin {
            self.close_burst(pdu.ttt);
        }
        Ok(())
    }

    /// Remembers that data did not arrive.
    fn lose(&mut self, (offset, length): (u32, u32)) {
        let length = length.min(self.wanted.saturating_sub(offset));
        if length == 0 {
            return;
        }
        self.recoveries += 1;
        if self.recoveries > MAX_RECOVERIES {
            return self.fail(DATA_LOST);
        }
        let at = self.holes.partition_point(|hole| hole.0 < offset);
        match at.checked_sub(1).and_then(|before| self.holes.get_mut(before)) {
            Some((start, before)) if *start + *before == offset => *before += length,
            _ => self.holes.insert(at, (offset, length)),
        }
    }

    /// After so long without data: the R2Ts to send once more. Bursts that have begun are asked for anew; those that are
    /// only swallowed count as over.
    pub(super) fn overdue(&mut self, patience: Duration, now: Duration) -> Option<Vec<Asked>> {
        if !self.recovers || self.is_settled() || now < self.touched + patience {
            return None;
        }
        self.touched = now;
        if !self.wants_more() {
            self.solicited.clear();
            self.unsolicited = None;
        }
        let (idle, begun): (Vec<Burst>, Vec<Burst>) =
            std::mem::take(&mut self.solicited).into_iter().partition(|burst| burst.next == burst.start);
        self.solicited = idle.into();
        for burst in begun.into_iter().chain(self.unsolicited.take()) {
            self.lose((burst.next, burst.end - burst.next));
        }
        Some(self.solicited.iter().map(Burst::asked).collect())
    }

    /// The R2Ts that a SNACK names; the error is the R2TSN of the next one.
    pub(super) fn asked_again(&self, run: Run) -> Result<Vec<Asked>, Serial> {
        let next = self.next_r2t_sn;
        let (begin, end) = run.within(self.solicited.front().map_or(next, |burst| burst.r2t_sn), next)?;
        let named = self.solicited.iter().filter(|burst| begin.le(burst.r2t_sn) && burst.r2t_sn.lt(end));
        Ok(named.map(Burst::asked).collect())
    }

    /// Goes on at another connection: what is still on its way will not come. `expected` is the R2TSN that the initiator
    /// waits for, where that can be; else the R2Ts that show no sign of having arrived count as not sent.
    pub(super) fn reassign(&mut self, expected: Serial) {
        let unseen = self.solicited.iter().find(|burst| burst.next == burst.start).map(|burst| burst.r2t_sn);
        let can_be = expected != Serial(0) && expected.le(self.next_r2t_sn);
        self.next_r2t_sn = if can_be { expected } else { unseen.unwrap_or(self.next_r2t_sn) };
        for burst in std::mem::take(&mut self.solicited).into_iter().chain(self.unsolicited.take()) {
            self.lose((burst.next, burst.end - burst.next));
        }
    }

    /// Whether it takes a place in the command window.
    pub(super) const fn takes_place(&self) -> bool {
        self.work.is_some() && !self.command.immediate
    }

    /// The number of the next R2T, or of Data-In behind the R2Ts.
    pub(super) const fn next_r2t_sn(&self) -> Serial {
        self.next_r2t_sn
    }

    /// Whether its task was ended by somebody else.
    pub(super) fn is_cleared(&self) -> bool {
        match &self.work {
            Some(Work::Receive(receiver)) => receiver.is_cleared(),
            Some(Work::Answer(_)) => false,
            None => true,
        }
    }

    /// Remembers why the command has to fail; the first reason stays.
    pub(super) fn fail(&mut self, sense: Sense) {
        self.failure.get_or_insert(sense);
    }

    /// Whether no more data is on its way.
    pub(super) fn is_settled(&self) -> bool {
        self.unsolicited.is_none() && self.solicited.is_empty()
    }

    /// Ends the task without an answer. Whether it was alive.
    pub(super) fn abort(&mut self) -> bool {
        self.work.take().is_some()
    }

    /// What to answer, and how many bytes the command wanted; `None` if the task was aborted.
    pub(super) fn finish(self) -> Option<(ScsiCommand, Outcome, u64)> {
        let (outcome, length) = match (self.work?, self.failure) {
            (Work::Receive(receiver), None) => {
                let length = receiver.length();
                (receiver.finish()?, length)
            }
            (Work::Receive(receiver), Some(_)) if receiver.is_cleared() => return None,
            (_, Some(sense)) => (Outcome::check(sense), 0),
            (Work::Answer(outcome), None) => (outcome, 0),
        };
        Some((self.command, outcome, length))
    }

    fn burst(&mut self, ttt: Ttt) -> Option<&mut Burst> {
        if ttt.is_reserved() {
            return self.unsolicited.as_mut();
        }
        self.solicited.iter_mut().find(|burst| burst.ttt == ttt)
    }

    fn close_burst(&mut self, ttt: Ttt) {
        if ttt.is_reserved() {
            self.unsolicited = None;
        } else {
            self.solicited.retain(|burst| burst.ttt != ttt);
        }
    }
}

impl Burst {
    /// Moves on by a PDU with `len` bytes, and says what that means.
    fn check(&mut self, pdu: &DataOut, len: u32, recovers: bool) -> Step {
        if recovers && pdu.data_sn.lt(self.data_sn) {
            return Step::Repeated;
        }
        let gap = pdu.data_sn != self.data_sn;
        if gap && !recovers {
            return Step::Wrong(DATA_LOST);
        }
        self.data_sn = pdu.data_sn.next();
        let lost = (self.next, pdu.offset.saturating_sub(self.next));
        let fits = pdu.offset == self.next || (gap && pdu.offset > self.next && pdu.offset <= self.end);
        if !fits || len > self.end - pdu.offset {
            return Step::Wrong(WRONG_AMOUNT);
        }
        self.next = pdu.offset + len;
        if pdu.fin && self.next != self.end { Step::Wrong(WRONG_AMOUNT) } else { Step::Data { lost } }
    }

    const fn asked(&self) -> Asked {
        Asked { ttt: self.ttt, r2t_sn: self.r2t_sn, offset: self.start, length: self.end - self.start }
    }
}
