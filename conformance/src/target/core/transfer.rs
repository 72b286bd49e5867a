//! Data on its way out of the initiator: unsolicited bursts and R2Ts (RFC 7143, sections 11.7 and 11.8).

use std::collections::VecDeque;

use iscsi_proto::pdu::{DataOut, ScsiCommand};
use iscsi_proto::scsi::{Sense, SenseKey};
use iscsi_proto::serial::Serial;
use iscsi_proto::tags::Ttt;

use super::params::Params;
use crate::target::unit::{Outcome, Receiver};

/// 0B/0C/0C: unsolicited data where none was allowed.
pub(super) const UNEXPECTED_DATA: Sense = Sense::new(SenseKey::AbortedCommand, 0x0c, 0x0c);
/// 0B/0C/0D: more or less data than there should be.
pub(super) const WRONG_AMOUNT: Sense = Sense::new(SenseKey::AbortedCommand, 0x0c, 0x0d);
/// 0B/47/05: data was lost or damaged on its way (section 7.8; 7.9 counts a gap in DataSN in).
pub(super) const DATA_LOST: Sense = Sense::new(SenseKey::AbortedCommand, 0x47, 0x05);

/// A command that waits for data.
#[derive(Debug)]
pub(super) struct Transfer {
    pub(super) command: ScsiCommand,
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
    next: u32,
    end: u32,
    data_sn: Serial,
}

/// An R2T to send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Asked {
    pub(super) r2t_sn: Serial,
    pub(super) offset: u32,
    pub(super) length: u32,
}

/// A Data-Out that belongs to no burst of its task.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Stray;

impl Transfer {
    /// A task whose immediate data, `immediate` bytes, has been dealt with.
    pub(super) fn new(command: ScsiCommand, work: Work, immediate: u32, params: &Params) -> Self {
        let expected = if command.write { command.expected_length } else { 0 };
        let length = match &work {
            Work::Receive(receiver) => receiver.length(),
            Work::Answer(_) => 0,
        };
        let first = expected.min(params.first_burst);
        let unsolicited = (!command.fin).then_some(Burst {
            ttt: Ttt::RESERVED,
            next: immediate,
            end: first.max(immediate),
            data_sn: Serial(0),
        });
        let asked = if command.fin { immediate } else { first.max(immediate) };
        Self {
            command,
            work: Some(work),
            wanted: u32::try_from(length).map_or(expected, |length| length.min(expected)),
            unsolicited,
            solicited: VecDeque::new(),
            asked,
            next_r2t_sn: Serial(0),
            failure: None,
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

    /// The next R2T, while fewer than `limit` are open. It will be answered under `ttt`.
    pub(super) fn ask(&mut self, params: &Params, ttt: Ttt) -> Option<Asked> {
        if self.solicited.len() >= usize::from(params.max_outstanding_r2t) || !self.lacks_data() {
            return None;
        }
        let (offset, length) = (self.asked, (self.wanted - self.asked).min(params.max_burst));
        let r2t_sn = self.next_r2t_sn;
        self.next_r2t_sn = r2t_sn.next();
        self.asked += length;
        self.solicited.push_back(Burst { ttt, next: offset, end: offset + length, data_sn: Serial(0) });
        Some(Asked { r2t_sn, offset, length })
    }

    /// Whether there is data that no burst has been opened for.
    pub(super) fn lacks_data(&self) -> bool {
        let wants = matches!(&self.work, Some(Work::Receive(receiver)) if !receiver.is_cleared());
        wants && self.failure.is_none() && self.asked < self.wanted
    }

    /// Takes a Data-Out PDU; `data` is `None` if its digest was wrong.
    pub(super) fn take(&mut self, pdu: &DataOut, data: Option<&[u8]>) -> Result<(), Stray> {
        let lun = self.command.lun;
        let burst = self.burst(pdu.ttt).ok_or(Stray)?;
        let fault = match data {
            None => Some(DATA_LOST),
            Some(_) if !pdu.ttt.is_reserved() && pdu.lun != lun => Some(WRONG_AMOUNT),
            Some(data) => burst.check(pdu, data.len()),
        };
        match (fault, data) {
            (None, Some(data)) => self.put(pdu.offset, data),
            (fault, _) => self.fail(fault.unwrap_or(DATA_LOST)),
        }
        if pdu.fin {
            self.close_burst(pdu.ttt);
        }
        Ok(())
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
    /// Moves on by a PDU with `len` bytes; what is wrong with it, if anything is.
    fn check(&mut self, pdu: &DataOut, len: usize) -> Option<Sense> {
        if pdu.data_sn != self.data_sn {
            return Some(DATA_LOST);
        }
        self.data_sn = self.data_sn.next();
        if pdu.offset != self.next || len > (self.end - self.next) as usize {
            return Some(WRONG_AMOUNT);
        }
        self.next += len as u32;
        (pdu.fin && self.next != self.end).then_some(WRONG_AMOUNT)
    }
}
