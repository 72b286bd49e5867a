//! PDUs of the target (RFC 7143, sections 11.4 to 11.19).

use bytes::Bytes;
use iscsi_proto::digest::{Crc32c, DIGEST_LEN};
use iscsi_proto::framer::{FrameError, Layout};
use iscsi_proto::pdu::{
    AsyncEvent, AsyncMessage, DataIn, Header, LogoutResponse, LogoutResult, NopIn, Opcode, PduError, R2t, Reject,
    Residual, ScsiResponse, ServiceResponse, TaskResponse, TextResponse, split_sense,
};
use iscsi_proto::scsi::Status;
use iscsi_proto::serial::Serial;
use iscsi_proto::tags::Itt;

use super::super::command::{Finished, Response, is_success};
use super::super::error::{CommandError, ConnectionError};
use super::super::event::Event;
use super::super::misbehaved::PeerMisbehaved;
use super::super::task::{Burst, Direction, Kind, Scsi, Slot, Task};
use super::link::LinkId;
use super::{Core, State, Time};

/// The most text of one answer. A discovery answer of this size names some 200 000 targets.
const MAX_TEXT: usize = 16 << 20;
/// Answers to the target's pings that may wait in the queue; a flood beyond it is not answered.
const MAX_PONGS: usize = 64;

type Checked<T = ()> = Result<T, PeerMisbehaved>;

/// A data segment that is on its way into a buffer.
#[derive(Debug)]
pub(super) struct Landing {
    pdu: DataIn,
    header: Header,
    slot: Option<Slot>,
    offset: usize,
    left: usize,
    /// Padding and digest that follow.
    tail: usize,
    crc: Option<Crc32c>,
}

impl Core {
    /// Takes whole PDUs off the front of `bytes`, which came over a connection, and the start of a long Data-In; says how many bytes were used.
    pub fn receive(&mut self, link: LinkId, bytes: &[u8], now: Time) -> usize {
        self.now = now;
        self.links[link].heard = now;
        let mut rest = bytes;
        while !self.links[link].is_closed() {
            match self.step(link, rest) {
                Ok(0) => break,
                Ok(used) => rest = rest.get(used..).unwrap_or_default(),
                Err(error) => self.break_off(link, error),
            }
        }
        let used = bytes.len() - rest.len();
        self.stats.bytes_received += used as u64;
        self.pump();
        self.log_out_when_drained();
        used
    }

    /// Where the next bytes of a connection's stream belong, if that is `at_least` bytes of a buffer.
    pub fn landing(&mut self, link: LinkId, at_least: usize) -> Option<&mut [u8]> {
        let landing = self.links[link].landing.as_ref().filter(|landing| landing.left >= at_least)?;
        let task = self.tasks.get_mut(landing.slot?)?;
        task.scsi()?.buffer.get_mut(landing.offset..landing.offset + landing.left)
    }

    /// `count` bytes were read into what [`Core::landing`] gave.
    pub fn landed(&mut self, link: LinkId, count: usize, now: Time) {
        self.now = now;
        self.links[link].heard = now;
        self.stats.bytes_received += count as u64;
        if let Err(error) = self.advance_landing(link, count) {
            self.break_off(link, error);
        }
        self.pump();
        self.log_out_when_drained();
    }

    /// The stream of a connection cannot be followed any further. Damage costs the connection; a target that breaks the rules
    /// costs the session (section 7.7).
    fn break_off(&mut self, link: LinkId, error: PeerMisbehaved) {
        match cause(error) {
            error @ ConnectionError::Damaged(_) => self.lost(link, &error),
            error => self.fail(&error),
        }
    }

    /// `count` bytes of the data segment are in their buffer now.
    fn advance_landing(&mut self, link: LinkId, count: usize) -> Checked {
        let now = self.now;
        let Some(landing) = &mut self.links[link].landing else { return Ok(()) };
        let from = landing.offset;
        landing.offset += count;
        landing.left = landing.left.saturating_sub(count);
        if let Some(task) = landing.slot.and_then(|slot| self.tasks.get_mut(slot)) {
            task.progress = now;
            let part = task.scsi().and_then(|scsi| scsi.buffer.get(from..from + count));
            if let (Some(crc), Some(part)) = (&mut landing.crc, part) {
                crc.update(part);
            }
        }
        if landing.left == 0 && landing.tail == 0 { self.finish_landing(link, &[]) } else { Ok(()) }
    }

    fn step(&mut self, link: LinkId, bytes: &[u8]) -> Checked<usize> {
        if self.links[link].landing.is_some() {
            return self.land(link, bytes);
        }
        let Some((header, layout)) = self.links[link].framing.head(bytes)? else { return Ok(0) };
        let opcode = header.opcode().map_err(PduError::UnassignedOpcode)?;
        if opcode == Opcode::DataIn && layout.data != 0 {
            self.count(opcode);
            self.window.update(&header.numbering());
            self.begin_landing(link, &header, layout)?;
            return Ok(layout.head);
        }
        let Some((_, segment)) = bytes.get(..layout.total()).and_then(|pdu| pdu.split_at_checked(layout.head)) else {
            return Ok(0);
        };
        self.links[link].framing.check_data(&header, segment)?;
        self.count(opcode);
        if !opcode.is_request() {
            self.window.update(&header.numbering());
        }
        self.handle(link, opcode, &header, segment.get(..layout.data).unwrap_or_default())?;
        Ok(layout.total())
    }

    fn handle(&mut self, link: LinkId, opcode: Opcode, header: &Header, data: &[u8]) -> Checked {
        match opcode {
            Opcode::ScsiResponse => self.on_scsi_response(link, &ScsiResponse::parse(header)?, data),
            Opcode::DataIn => self.on_empty_data_in(link, &DataIn::parse(header)?),
            Opcode::R2t => self.on_r2t(link, &R2t::parse(header)?),
            Opcode::NopIn => self.on_nop_in(link, &NopIn::parse(header)?),
            Opcode::TaskResponse => self.on_task_response(link, &TaskResponse::parse(header)?),
            Opcode::TextResponse => self.on_text(link, &TextResponse::parse(header)?, data),
            Opcode::LogoutResponse => self.on_logout(link, &LogoutResponse::parse(header)?),
            Opcode::AsyncMessage => self.on_async(link, &AsyncMessage::parse(header)?, data),
            Opcode::Reject => self.on_reject(link, &Reject::parse(header)?, data),
            opcode => Err(PeerMisbehaved::UnexpectedPdu { opcode }),
        }
    }

    /// Moves a connection's ExpStatSN, the only place that does. Says whether the status is new; an old one is to be discarded.
    fn accept_status(&mut self, link: LinkId, stat_sn: Serial) -> Checked<bool> {
        let link = &mut self.links[link];
        let expected = link.exp_stat_sn;
        if stat_sn == expected {
            link.exp_stat_sn = expected.next();
            return Ok(true);
        }
        if stat_sn.lt(expected) { Ok(false) } else { Err(PeerMisbehaved::StatusGap { expected, received: stat_sn }) }
    }

    /// The task with this tag, if it was sent, and on this connection.
    fn find(&mut self, link: LinkId, itt: Itt) -> Checked<Slot> {
        let unknown = PeerMisbehaved::UnknownTask { itt };
        let Some(slot) = self.tasks.find(itt) else { return Err(unknown) };
        match self.tasks.get_mut(slot) {
            Some(task) if !task.was_sent() => Err(unknown),
            Some(task) if task.link != link => Err(PeerMisbehaved::WrongConnection { itt }),
            _ => Ok(slot),
        }
    }

    /// Whether a task with this tag was ended by task management before its answer came.
    fn is_concluded(&self, itt: Itt) -> bool {
        self.concluded.contains(&itt) && self.tasks.find(itt).is_none()
    }

    /// The SCSI command with this tag.
    fn find_scsi(&mut self, link: LinkId, itt: Itt, opcode: Opcode) -> Checked<(Slot, &mut Task)> {
        let slot = self.find(link, itt)?;
        match self.tasks.get_mut(slot) {
            Some(task) if matches!(task.kind, Kind::Scsi(_)) => Ok((slot, task)),
            _ => Err(PeerMisbehaved::WrongTask { itt, opcode }),
        }
    }

    // Data-In

    fn begin_landing(&mut self, link: LinkId, header: &Header, layout: Layout) -> Checked {
        let pdu = DataIn::parse(header)?;
        let slot = self.admit_data(link, &pdu, layout.data)?;
        let crc = self.links[link].data_digest.then(Crc32c::new);
        let offset = pdu.offset as usize;
        let (left, tail) = (layout.data, layout.tail);
        self.links[link].landing = Some(Landing { pdu, header: *header, slot, offset, left, tail, crc });
        Ok(())
    }

    /// Checks where data would go. `None` for data that has come before or comes too late.
    fn admit_data(&mut self, link: LinkId, pdu: &DataIn, length: usize) -> Checked<Option<Slot>> {
        let now = self.now;
        let is_repeated = pdu.status.is_some() && pdu.numbering.stat_sn.lt(self.links[link].exp_stat_sn);
        if is_repeated || self.is_concluded(pdu.itt) {
            return Ok(None);
        }
        let (slot, task) = self.find_scsi(link, pdu.itt, Opcode::DataIn)?;
        task.progress = now;
        let wrong = PeerMisbehaved::WrongTask { itt: pdu.itt, opcode: Opcode::DataIn };
        let Some(scsi) = task.scsi().filter(|scsi| scsi.direction == Direction::In) else { return Err(wrong) };
        if pdu.data_sn.lt(scsi.data_sn) {
            return Ok(None);
        }
        if pdu.data_sn != scsi.data_sn {
            return Err(PeerMisbehaved::DataGap { expected: scsi.data_sn, received: pdu.data_sn });
        }
        let (offset, limit) = (pdu.offset as usize, scsi.buffer.len());
        if offset.checked_add(length).is_none_or(|end| end > limit) {
            return Err(PeerMisbehaved::DataBeyondEnd { offset: pdu.offset, length: length as u32, limit });
        }
        if offset != scsi.received {
            let expected = scsi.received as u32;
            return Err(PeerMisbehaved::DataOffset { expected, received: pdu.offset });
        }
        Ok(Some(slot))
    }

    /// Moves bytes of the data segment, or its end, out of `bytes`.
    fn land(&mut self, link: LinkId, bytes: &[u8]) -> Checked<usize> {
        let Some(landing) = &mut self.links[link].landing else { return Ok(0) };
        if landing.left == 0 {
            let Some(tail) = bytes.get(..landing.tail) else { return Ok(0) };
            self.finish_landing(link, tail)?;
            return Ok(tail.len());
        }
        let part = bytes.get(..landing.left).unwrap_or(bytes);
        let place = landing.offset..landing.offset + part.len();
        let scsi = landing.slot.and_then(|slot| self.tasks.get_mut(slot)?.scsi());
        match scsi.and_then(|scsi| scsi.buffer.get_mut(place)) {
            Some(room) => room.copy_from_slice(part),
            // Data that came before, or that nobody waits for, is not kept, but its digest is checked.
            None => landing.crc.iter_mut().for_each(|crc| crc.update(part)),
        }
        self.advance_landing(link, part.len())?;
        Ok(part.len())
    }

    fn finish_landing(&mut self, link: LinkId, tail: &[u8]) -> Checked {
        let landing = self.links[link].landing.take();
        let Some(Landing { pdu, header, slot, offset, crc, .. }) = landing else { return Ok(()) };
        if let (Some(mut crc), Some((pad, received))) = (crc, tail.split_last_chunk::<DIGEST_LEN>()) {
            crc.update(pad);
            self.links[link].framing.compare_data(&header, u32::from_le_bytes(crc.wire()), *received)?;
        }
        if let Some(scsi) = slot.and_then(|slot| self.tasks.get_mut(slot)?.scsi()) {
            self.stats.data_received += (offset - scsi.received) as u64;
            scsi.received = offset;
            scsi.data_sn = scsi.data_sn.next();
        }
        self.end_data_in(link, &pdu)
    }

    fn on_empty_data_in(&mut self, link: LinkId, pdu: &DataIn) -> Checked {
        if let Some(slot) = self.admit_data(link, pdu, 0)? {
            let scsi = self.tasks.get_mut(slot).and_then(|task| task.scsi());
            if let Some(scsi) = scsi {
                scsi.data_sn = scsi.data_sn.next();
                // A command of n bytes has at most n PDUs with data, and one without ends each sequence.
                if pdu.status.is_none() && scsi.data_sn.0 as usize > 2 * scsi.buffer.len() + 16 {
                    return Err(PeerMisbehaved::EmptyData);
                }
            }
        }
        self.end_data_in(link, pdu)
    }

    /// Ends the command if the Data-In carried its status.
    fn end_data_in(&mut self, link: LinkId, pdu: &DataIn) -> Checked {
        let Some((status, residual)) = pdu.status else { return Ok(()) };
        if self.accept_status(link, pdu.numbering.stat_sn)? && !self.is_concluded(pdu.itt) {
            let slot = self.find(link, pdu.itt)?;
            self.complete(slot, status, residual, Bytes::new());
        }
        Ok(())
    }

    // SCSI Response

    fn on_scsi_response(&mut self, link: LinkId, pdu: &ScsiResponse, data: &[u8]) -> Checked {
        if !self.accept_status(link, pdu.numbering.stat_sn)? || self.is_concluded(pdu.itt) {
            return Ok(());
        }
        let (slot, task) = self.find_scsi(link, pdu.itt, Opcode::ScsiResponse)?;
        if pdu.response != ServiceResponse::Completed {
            self.end(slot, Err(CommandError::Delivery(pdu.response)));
            return Ok(());
        }
        let received = task.scsi().map_or(Serial(0), |scsi| scsi.data_sn);
        if pdu.exp_data_sn.gt(received) && task.scsi().is_some_and(|scsi| scsi.direction == Direction::In) {
            return Err(PeerMisbehaved::DataGap { expected: received, received: pdu.exp_data_sn });
        }
        let (sense, _) = split_sense(data)?;
        self.complete(slot, pdu.status, pdu.residual, Bytes::copy_from_slice(sense));
        Ok(())
    }

    /// Ends a command with its status.
    fn complete(&mut self, slot: Slot, status: Status, residual: Residual, sense: Bytes) {
        let Some(scsi) = self.tasks.get_mut(slot).and_then(|task| task.scsi()) else { return };
        let success = is_success(status, &sense);
        let mut data = std::mem::take(&mut scsi.buffer);
        data.truncate(if success { valid_length(data.len(), scsi.received, residual) } else { 0 });
        let lost = if success { unsent(scsi, residual) } else { None };
        let response = Response { status, sense, data, residual };
        self.end(slot, lost.map_or(Ok(Finished::Scsi(response)), Err));
    }

    /// Takes a task out of the table and tells whoever waits for it.
    pub(super) fn end(&mut self, slot: Slot, completion: Result<Finished, CommandError>) {
        let Some(task) = self.tasks.remove(slot) else { return };
        if let Kind::Scsi(scsi) = &task.kind
            && !scsi.bursts.is_empty()
        {
            self.links[task.link].writers.retain(|writer| *writer != slot);
        }
        if let Some(Kind::Management { aborts, .. }) =
            task.aborted_by.and_then(|by| self.tasks.get_mut(by)).map(|by| &mut by.kind)
        {
            *aborts = None;
        }
        if let Kind::Scsi(scsi) = task.kind {
            self.keep_box(scsi);
        }
        self.finish(task.token, completion);
    }

    // R2T

    fn on_r2t(&mut self, link: LinkId, pdu: &R2t) -> Checked {
        let (now, limit, max_r2ts) = (self.now, self.negotiated.max_burst_length, self.negotiated.max_outstanding_r2t);
        if self.is_concluded(pdu.itt) {
            return Ok(());
        }
        let (slot, task) = self.find_scsi(link, pdu.itt, Opcode::R2t)?;
        if pdu.lun != task.lun {
            return Err(PeerMisbehaved::WrongLun { itt: pdu.itt });
        }
        task.progress = now;
        let wrong = PeerMisbehaved::WrongTask { itt: pdu.itt, opcode: Opcode::R2t };
        let Some(scsi) = task.scsi().filter(|scsi| scsi.direction == Direction::Out) else { return Err(wrong) };
        if pdu.r2t_sn.lt(scsi.r2t_sn) {
            return Ok(());
        }
        check_r2t(pdu, scsi, limit)?;
        if scsi.bursts.len() >= usize::from(max_r2ts) {
            return Err(PeerMisbehaved::TooManyR2ts { limit: max_r2ts });
        }
        let (offset, left) = (pdu.offset as usize, pdu.length as usize);
        scsi.r2t_sn = scsi.r2t_sn.next();
        scsi.requested = offset + left;
        scsi.bursts.push_back(Burst { ttt: pdu.ttt, offset, left, data_sn: Serial(0) });
        if scsi.bursts.len() == 1 {
            self.links[link].writers.push_back(slot);
        }
        Ok(())
    }

    // NOP-In, Text, Logout

    fn on_nop_in(&mut self, link: LinkId, pdu: &NopIn) -> Checked {
        if !pdu.itt.is_reserved() {
            if !self.accept_status(link, pdu.numbering.stat_sn)? {
                return Ok(());
            }
            let slot = self.tasks.find(pdu.itt).ok_or(PeerMisbehaved::UnknownPing { itt: pdu.itt })?;
            if !self.tasks.get_mut(slot).is_some_and(|task| task.link == link && matches!(task.kind, Kind::Ping)) {
                return Err(PeerMisbehaved::UnknownPing { itt: pdu.itt });
            }
            if self.links[link].ping == Some(slot) {
                self.links[link].ping = None;
            }
            self.end(slot, Ok(Finished::Pong));
        } else if !pdu.ttt.is_reserved() && self.links[link].pongs < MAX_PONGS {
            self.links[link].pongs += 1;
            self.send_nop(link, pdu.lun, Itt::RESERVED, pdu.ttt, true, self.window.current());
        }
        Ok(())
    }

    fn on_text(&mut self, link: LinkId, pdu: &TextResponse, data: &[u8]) -> Checked {
        if !self.accept_status(link, pdu.numbering.stat_sn)? {
            return Ok(());
        }
        let now = self.now;
        let slot = self.find(link, pdu.itt)?;
        let wrong = PeerMisbehaved::WrongTask { itt: pdu.itt, opcode: Opcode::TextResponse };
        let Some(task) = self.tasks.get_mut(slot) else { return Err(wrong) };
        let Kind::Text(text) = &mut task.kind else { return Err(wrong) };
        if text.answer.len() + data.len() > MAX_TEXT {
            return Err(PeerMisbehaved::TextTooLong { limit: MAX_TEXT });
        }
        let more_to_say = !text.request.is_empty();
        if if pdu.fin { more_to_say } else { pdu.ttt.is_reserved() || (data.is_empty() && !more_to_say) } {
            return Err(PeerMisbehaved::TextSequence);
        }
        text.answer.extend_from_slice(data);
        task.progress = now;
        if !pdu.fin {
            self.issue_text(link, slot, pdu.itt, pdu.lun, pdu.ttt);
            return Ok(());
        }
        let answer = std::mem::take(&mut text.answer);
        self.links[link].text = None;
        self.end(slot, Ok(Finished::Text(answer)));
        Ok(())
    }

    fn on_logout(&mut self, link: LinkId, pdu: &LogoutResponse) -> Checked {
        if !self.accept_status(link, pdu.numbering.stat_sn)? {
            return Ok(());
        }
        let slot = self.find(link, pdu.itt)?;
        if !self.tasks.get_mut(slot).is_some_and(|task| matches!(task.kind, Kind::Logout)) {
            return Err(PeerMisbehaved::WrongTask { itt: pdu.itt, opcode: Opcode::LogoutResponse });
        }
        let whole = matches!(self.state, State::LoggingOut);
        if pdu.result != LogoutResult::Closed {
            let error = ConnectionError::LogoutFailed(pdu.result);
            if whole {
                self.fail(&error);
            } else {
                self.lost(link, &error);
            }
            return Ok(());
        }
        self.end(slot, Ok(Finished::LoggedOut));
        if !whole {
            self.lost(link, &ConnectionError::LogoutRequested);
        } else if self.at_their_wish {
            self.fail(&ConnectionError::LogoutRequested);
        } else {
            self.fail(&ConnectionError::LoggedOut);
        }
        Ok(())
    }

    // Asynchronous Message, Reject

    fn on_async(&mut self, link: LinkId, pdu: &AsyncMessage, data: &[u8]) -> Checked {
        if !self.accept_status(link, pdu.numbering.stat_sn)? {
            return Ok(());
        }
        match pdu.event {
            AsyncEvent::Scsi => {
                let (sense, _) = split_sense(data)?;
                self.report(Event::Sense { lun: pdu.lun, sense: Bytes::copy_from_slice(sense) });
                return Ok(());
            }
            AsyncEvent::LogoutRequest { deadline } => self.drain(link, deadline),
            AsyncEvent::ConnectionDrop { cid, time2wait, time2retain } => {
                let dropped = self.links.iter().find(|(_, link)| link.cid == cid && !link.is_closed());
                if let Some((dropped, _)) = dropped {
                    self.lost(dropped, &ConnectionError::DroppedByTarget { time2wait, time2retain });
                }
            }
            AsyncEvent::SessionDrop { time2wait, time2retain } => {
                self.fail(&ConnectionError::DroppedByTarget { time2wait, time2retain });
            }
            AsyncEvent::Negotiate { .. } => self.negotiate_nothing(link),
            _ => {}
        }
        self.report(Event::Message(pdu.event));
        Ok(())
    }

    fn on_reject(&mut self, link: LinkId, pdu: &Reject, data: &[u8]) -> Checked {
        if !self.accept_status(link, pdu.numbering.stat_sn)? {
            return Ok(());
        }
        let rejected = Header::read(data).ok_or(PeerMisbehaved::ShortReject)?;
        match self.sent_as(link, &rejected) {
            Some(slot) => self.rejected(slot, pdu.reason),
            // The task of any other PDU still gets its response.
            None => self.report(Event::Reject(pdu.reason)),
        }
        Ok(())
    }

    /// The task that was started by this header, tag, number and kind.
    fn sent_as(&mut self, link: LinkId, header: &Header) -> Option<Slot> {
        let slot = self.tasks.find(header.itt())?;
        let task = self.tasks.get_mut(slot)?;
        let opcode = match task.kind {
            Kind::Scsi(_) => Opcode::ScsiCommand,
            Kind::Text(_) => Opcode::TextRequest,
            Kind::Management { .. } => Opcode::TaskRequest,
            Kind::Ping => Opcode::NopOut,
            Kind::Logout => Opcode::LogoutRequest,
        };
        // CmdSN stands where PDUs of the target have StatSN.
        let cmd_sn = header.numbering().stat_sn;
        (header.opcode() == Ok(opcode) && task.link == link && task.cmd_sn == Some(cmd_sn)).then_some(slot)
    }

    fn on_task_response(&mut self, link: LinkId, pdu: &TaskResponse) -> Checked {
        if !self.accept_status(link, pdu.numbering.stat_sn)? {
            return Ok(());
        }
        let slot = self.find(link, pdu.itt)?;
        let wrong = PeerMisbehaved::WrongTask { itt: pdu.itt, opcode: Opcode::TaskResponse };
        let Some(task) = self.tasks.get_mut(slot) else { return Err(wrong) };
        let Kind::Management { aborts, function } = task.kind else { return Err(wrong) };
        let (lun, limit) = (task.lun, task.cmd_sn);
        self.end(slot, Ok(Finished::Task(pdu.result)));
        match aborts {
            Some(aborted) => self.conclude_abort(aborted, pdu.result),
            None => self.conclude(function, lun, limit, pdu.result),
        }
        Ok(())
    }

    /// Queues an empty text exchange, which is what the target gets when it asks for a negotiation.
    fn negotiate_nothing(&mut self, link: LinkId) {
        if self.links[link].text.is_none() && matches!(self.state, State::Open) {
            let _ = self.accept(super::Request::Text(Vec::new()), None);
        }
    }
}

/// What to call an error in the stream: damage on the way, or a fault of the target.
fn cause(error: PeerMisbehaved) -> ConnectionError {
    match error {
        PeerMisbehaved::Frame(error @ (FrameError::HeaderDigest { .. } | FrameError::DataDigest { .. })) => {
            ConnectionError::Damaged(error)
        }
        error => error.into(),
    }
}

fn check_r2t(pdu: &R2t, scsi: &Scsi, max_burst: u32) -> Checked {
    let (offset, length, limit) = (pdu.offset, pdu.length, scsi.payload.len());
    if pdu.r2t_sn != scsi.r2t_sn {
        return Err(PeerMisbehaved::R2tGap { expected: scsi.r2t_sn, received: pdu.r2t_sn });
    }
    if length > max_burst {
        return Err(PeerMisbehaved::R2tTooLong { length, limit: max_burst });
    }
    if u64::from(offset) + u64::from(length) > limit as u64 {
        return Err(PeerMisbehaved::R2tBeyondEnd { offset, length, limit });
    }
    // Sequences are in order, and this is the first time that this side hears of the bytes behind the last.
    if (offset as usize) < scsi.requested {
        return Err(PeerMisbehaved::R2tBackwards { offset, end: scsi.requested });
    }
    if offset as usize > scsi.requested {
        return Err(PeerMisbehaved::R2tSkips { offset, end: scsi.requested });
    }
    Ok(())
}

/// How many bytes of the buffer hold data: those that came, less what the target says it did not mean to send.
fn valid_length(expected: usize, received: usize, residual: Residual) -> usize {
    match residual {
        Residual::Underflow(short) => received.min(expected.saturating_sub(short as usize)),
        _ => received,
    }
}

/// The error of a write that is called done although the target never took all of its data.
fn unsent(scsi: &Scsi, residual: Residual) -> Option<CommandError> {
    let expected = match residual {
        Residual::Underflow(short) => scsi.payload.len().saturating_sub(short as usize),
        _ => scsi.payload.len(),
    };
    let pending: usize = scsi.bursts.iter().map(|burst| burst.left).sum();
    let received = scsi.requested.saturating_sub(pending);
    (received < expected).then_some(CommandError::Short { expected, received })
}
