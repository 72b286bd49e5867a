//! Requests and data on their way out (RFC 7143, sections 4.2.5.2 and 11.7).

use iscsi_proto::pdu::{
    Ahs, DataOut, LogoutReason, LogoutRequest, NopOut, Opcode, ScsiCommand, TaskFunction, TaskRequest, TextRequest,
};
use iscsi_proto::scsi::Lun;
use iscsi_proto::serial::Serial;
use iscsi_proto::tags::{Itt, Ttt};

use super::super::params::Negotiated;
use super::super::task::{Burst, Direction, Kind, Leave, Scsi, Slot};
use super::Core;
use super::link::{Link, LinkId};

/// Bytes in the queue beyond which no more Data-Out is added: the commands behind it take their turn first.
const HIGH_WATER: usize = 256 * 1024;
/// The longest Data-Out segment, however much the target takes: others take turns with it.
const MAX_DATA_OUT: usize = 256 * 1024;

/// How the data of a write starts out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unasked {
    /// Bytes in the command's own PDU.
    pub(super) immediate: usize,
    /// Bytes sent before the first R2T, `immediate` among them.
    pub(super) total: usize,
}

impl Unasked {
    /// What the negotiated values allow for a write of `length` bytes.
    pub(super) fn new(negotiated: &Negotiated, max_send: u32, length: usize) -> Self {
        let first = length.min(negotiated.first_burst_length as usize);
        let mut immediate = 0;
        if negotiated.immediate_data {
            immediate = segment(first, max_send);
        }
        let total = if negotiated.initial_r2t { immediate } else { first };
        Self { immediate, total }
    }
}

/// The length of the next data segment of a burst of `left` bytes: whole words unless it is the last.
fn segment(left: usize, max: u32) -> usize {
    let max = max as usize;
    if left <= max { left } else { max & !3 }
}

impl Core {
    /// Gives numbers to waiting commands, as many as the window takes, and queues them; and the next text if none is under
    /// way. Text is sent as immediate: some targets never move the window of a discovery session.
    pub(super) fn pump(&mut self) {
        while self.window.is_open() && !self.waiting.is_empty() {
            let Some(link) = self.links.choose() else { break };
            let Some(slot) = self.waiting.pop_front() else { break };
            self.issue(slot, link);
        }
        if !self.texts.is_empty()
            && let Some(link) = self.links.choose_for_text()
            && let Some(slot) = self.texts.pop_front()
        {
            self.issue(slot, link);
        }
    }

    /// Queues the request of a task on a connection, to which all of the task belongs from now on.
    pub(super) fn issue(&mut self, slot: Slot, link: LinkId) {
        let itt = self.tasks.itt(slot);
        let now = self.now;
        let Some(task) = self.tasks.get_mut(slot) else { return };
        task.progress = now;
        task.link = link;
        match task.kind {
            Kind::Scsi(_) => self.issue_scsi(link, slot, itt),
            Kind::Text(_) => self.issue_text(link, slot, itt, Lun::ZERO, Ttt::RESERVED),
            Kind::Management { aborts, function } => self.issue_management(link, slot, itt, aborts, function),
            Kind::Reassign { task } => self.issue_reassign(link, slot, itt, task),
            Kind::Ping => self.issue_ping(link, slot, itt),
            Kind::Plug => self.issue_plug(link, slot, itt),
            Kind::Logout(leave) => self.issue_logout(link, slot, itt, leave),
        }
    }

    fn issue_scsi(&mut self, link: LinkId, slot: Slot, itt: Itt) {
        let Link { exp_stat_sn, max_send, ref mut queue, .. } = self.links[link];
        let Some(task) = self.tasks.get_mut(slot) else { return };
        // What the target has not taken goes out again under its number when its connection is lost (section 7.2.1).
        let cmd_sn = match task.cmd_sn {
            Some(cmd_sn) => {
                self.stats.retries += 1;
                self.window.retried(cmd_sn, link);
                task.scsi().into_iter().for_each(|scsi| scsi.bursts.clear());
                cmd_sn
            }
            None => self.window.take_on(link),
        };
        task.cmd_sn = Some(cmd_sn);
        let lun = task.lun;
        let Kind::Scsi(scsi) = &mut task.kind else { return };
        (scsi.r2t_sn, scsi.resumed) = (Serial(0), false);
        let unasked = Unasked::new(&self.negotiated, max_send, scsi.payload.len());
        scsi.requested = unasked.total;
        let header = ScsiCommand {
            immediate: false,
            fin: unasked.immediate == unasked.total,
            read: scsi.direction.reads(),
            write: scsi.direction.writes(),
            attribute: scsi.attribute,
            priority: 0,
            lun,
            itt,
            expected_length: if scsi.direction.writes() { scsi.payload.len() } else { scsi.buffer.len() } as u32,
            cmd_sn,
            exp_stat_sn,
            cdb: scsi.cdb,
        };
        let ahs = extended(scsi);
        queue.push_data(header.encode(), &ahs, &scsi.payload, 0, unasked.immediate);
        self.stats.count(Opcode::ScsiCommand);
        self.stats.data_sent += unasked.immediate as u64;
        self.send_unasked(link, slot, itt, unasked);
        self.remind(link);
    }

    /// Queues the rest of the first burst right behind its command, as the order of commands demands.
    fn send_unasked(&mut self, link: LinkId, slot: Slot, itt: Itt, unasked: Unasked) {
        let mut burst = Burst {
            ttt: Ttt::RESERVED,
            offset: unasked.immediate,
            left: unasked.total - unasked.immediate,
            data_sn: Serial(0),
        };
        while burst.left != 0 {
            self.send_data(link, slot, itt, Lun::ZERO, &mut burst);
        }
    }

    /// Queues Data-Out that R2Ts ask for, one PDU per task in turn.
    pub(super) fn fill(&mut self, link: LinkId) {
        while self.links[link].queue.len() < HIGH_WATER {
            let Some(slot) = self.links[link].writers.pop_front() else { return };
            let itt = self.tasks.itt(slot);
            let Some(task) = self.tasks.get_mut(slot) else { continue };
            let lun = task.lun;
            let Some(mut burst) = task.scsi().and_then(|scsi| scsi.bursts.pop_front()) else { continue };
            self.send_data(link, slot, itt, lun, &mut burst);
            let Some(scsi) = self.tasks.get_mut(slot).and_then(|task| task.scsi()) else { continue };
            if burst.left != 0 {
                scsi.bursts.push_front(burst);
            }
            if !scsi.bursts.is_empty() {
                self.links[link].writers.push_back(slot);
            }
        }
    }

    /// Queues the next Data-Out PDU of `burst` and moves it on.
    fn send_data(&mut self, link: LinkId, slot: Slot, itt: Itt, lun: Lun, burst: &mut Burst) {
        let now = self.now;
        let Link { exp_stat_sn, max_send, ref mut queue, .. } = self.links[link];
        let Some(task) = self.tasks.get_mut(slot) else { return };
        task.progress = now;
        let Some(scsi) = task.scsi() else { return };
        let length = segment(burst.left, max_send.min(MAX_DATA_OUT as u32));
        let header = DataOut {
            fin: length == burst.left,
            lun,
            itt,
            ttt: burst.ttt,
            exp_stat_sn,
            data_sn: burst.data_sn,
            offset: burst.offset as u32,
        };
        queue.push_data(header.encode(), &[], &scsi.payload, burst.offset, length);
        burst.offset += length;
        burst.left -= length;
        burst.data_sn = burst.data_sn.next();
        self.stats.data_sent += length as u64;
        self.stats.count(Opcode::DataOut);
    }

    /// Queues the first or the next request of a text exchange.
    pub(super) fn issue_text(&mut self, link: LinkId, slot: Slot, itt: Itt, lun: Lun, ttt: Ttt) {
        let cmd_sn = self.window.current();
        let Link { exp_stat_sn, max_send, ref mut queue, text: ref mut under_way, .. } = self.links[link];
        let Some(task) = self.tasks.get_mut(slot) else { return };
        task.cmd_sn = Some(cmd_sn);
        let Kind::Text(text) = &mut task.kind else { return };
        let rest = text.request.split_off(text.request.len().min(max_send as usize));
        let part = std::mem::replace(&mut text.request, rest);
        let more = !text.request.is_empty();
        let header = TextRequest { immediate: true, fin: !more, more, lun, itt, ttt, cmd_sn, exp_stat_sn };
        queue.push_copy(header.encode(), &part);
        *under_way = Some(slot);
        self.count(Opcode::TextRequest);
    }

    fn issue_management(&mut self, link: LinkId, slot: Slot, itt: Itt, aborts: Option<Slot>, function: TaskFunction) {
        let cmd_sn = self.window.current();
        let mut referenced = Itt::RESERVED;
        let mut ref_cmd_sn = Serial(0);
        if let Some(aborted) = aborts {
            referenced = self.tasks.itt(aborted);
            ref_cmd_sn = self.tasks.get_mut(aborted).and_then(|task| task.cmd_sn).unwrap_or(cmd_sn);
        }
        let names_a_lun = !matches!(function, TaskFunction::TargetWarmReset | TaskFunction::TargetColdReset);
        let Some(task) = self.tasks.get_mut(slot) else { return };
        task.cmd_sn = Some(cmd_sn);
        let header = TaskRequest {
            immediate: true,
            function,
            lun: if names_a_lun { task.lun } else { Lun::ZERO },
            itt,
            referenced,
            cmd_sn,
            exp_stat_sn: self.links[link].exp_stat_sn,
            ref_cmd_sn,
            exp_data_sn: Serial(0),
        };
        self.links[link].queue.push(&header.encode());
        self.count(Opcode::TaskRequest);
    }

    fn issue_ping(&mut self, link: LinkId, slot: Slot, itt: Itt) {
        let cmd_sn = self.window.current();
        if let Some(task) = self.tasks.get_mut(slot) {
            task.cmd_sn = Some(cmd_sn);
        }
        self.send_nop(link, Lun::ZERO, itt, Ttt::RESERVED, true, cmd_sn);
    }

    /// Queues a NOP-Out without data.
    pub(super) fn send_nop(&mut self, link: LinkId, lun: Lun, itt: Itt, ttt: Ttt, immediate: bool, cmd_sn: Serial) {
        let header = NopOut { immediate, lun, itt, ttt, cmd_sn, exp_stat_sn: self.links[link].exp_stat_sn };
        self.links[link].queue.push(&header.encode());
        self.count(Opcode::NopOut);
    }

    /// Queues the ping that stands for a request that was rejected, under its number.
    fn issue_plug(&mut self, link: LinkId, slot: Slot, itt: Itt) {
        let Some(cmd_sn) = self.tasks.get_mut(slot).and_then(|task| task.cmd_sn) else { return };
        self.send_nop(link, Lun::ZERO, itt, Ttt::RESERVED, false, cmd_sn);
    }

    /// Queues a TASK REASSIGN. What has come of a read is dropped and comes again: nothing of it was acknowledged.
    fn issue_reassign(&mut self, link: LinkId, slot: Slot, itt: Itt, moved: Option<Slot>) {
        let cmd_sn = self.window.current();
        let referenced = moved.map_or(Itt::RESERVED, |moved| self.tasks.itt(moved));
        if let Some(task) = self.tasks.get_mut(slot) {
            task.cmd_sn = Some(cmd_sn);
        }
        let header = TaskRequest {
            immediate: true,
            function: TaskFunction::TaskReassign,
            lun: Lun::ZERO,
            itt,
            referenced,
            cmd_sn,
            exp_stat_sn: self.links[link].exp_stat_sn,
            ref_cmd_sn: Serial(0),
            exp_data_sn: Serial(0),
        };
        self.links[link].queue.push(&header.encode());
        self.count(Opcode::TaskRequest);
    }

    fn issue_logout(&mut self, link: LinkId, slot: Slot, itt: Itt, leave: Leave) {
        let cmd_sn = self.window.current();
        if let Some(task) = self.tasks.get_mut(slot) {
            task.cmd_sn = Some(cmd_sn);
        }
        let (closes, reason) = match leave {
            Leave::Session => (link, LogoutReason::CloseSession),
            Leave::Own => (link, LogoutReason::CloseConnection),
            Leave::Lost(lost) => (lost, self.links[lost].reason()),
        };
        let Link { cid, exp_stat_sn, .. } = self.links[closes];
        let header = LogoutRequest { immediate: true, reason, itt, cid, cmd_sn, exp_stat_sn };
        self.links[link].queue.push(&header.encode());
        self.count(Opcode::LogoutRequest);
        self.close_the_door(link, leave);
    }
}

/// The additional header segments: the end of a CDB longer than 16 bytes, and what a command that writes reads besides.
fn extended(scsi: &Scsi) -> Vec<u8> {
    let mut ahs = Vec::new();
    if !scsi.extended_cdb.is_empty() {
        Ahs::ExtendedCdb(scsi.extended_cdb.to_vec()).encode_to(&mut ahs);
    }
    if scsi.direction == Direction::Both {
        Ahs::BidiReadLength(scsi.buffer.len() as u32).encode_to(&mut ahs);
    }
    ahs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unasked(initial_r2t: bool, immediate_data: bool, first: u32, segment: u32, length: usize) -> (usize, usize) {
        let negotiated = Negotiated { initial_r2t, immediate_data, first_burst_length: first, ..Negotiated::default() };
        let Unasked { immediate, total } = Unasked::new(&negotiated, segment, length);
        (immediate, total)
    }

    #[test]
    fn r172_to_r176_what_goes_out_unasked() {
        for (r2t, immediate, first, segment, length, expected) in [
            (true, false, 65536, 8192, 100_000, (0, 0)),
            (true, true, 65536, 8192, 100_000, (8192, 8192)),
            (true, true, 4096, 8192, 100_000, (4096, 4096)),
            (true, true, 65536, 8192, 512, (512, 512)),
            (false, false, 65536, 8192, 100_000, (0, 65536)),
            (false, false, 65536, 8192, 512, (0, 512)),
            (false, true, 65536, 8192, 100_000, (8192, 65536)),
            (false, true, 65536, 65536, 65536, (65536, 65536)),
            (false, true, 65536, 513, 1024, (512, 1024)),
            (false, true, 65536, 8192, 0, (0, 0)),
        ] {
            assert_eq!(unasked(r2t, immediate, first, segment, length), expected, "{r2t} {immediate} {length}");
        }
    }

    #[test]
    fn r193_segments_are_whole_words_unless_they_are_the_last() {
        assert_eq!(segment(2000, 513), 512);
        assert_eq!(segment(513, 513), 513);
        assert_eq!(segment(3, 512), 3);
        assert_eq!(segment(514, 513), 512);
    }
}
