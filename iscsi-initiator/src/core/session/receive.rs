//! PDUs of the target (RFC 7143, sections 11.4 to 11.19).

use std::time::Duration;

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
use super::super::task::{Burst, Direction, Kind, Leave, Scsi, Slot, Task};
use super::link::LinkId;
use super::recover::outcome;
use super::repair::{Held, MAX_R2TS, Place};
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
    slot: Option<(Slot, Place)>,
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
        while self.links[link].is_live() {
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
        let task = self.tasks.get_mut(landing.slot?.0)?;
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
            error @ ConnectionError::Damaged(_) => self.lose(link, &error),
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
        if let Some(task) = landing.slot.and_then(|(slot, _)| self.tasks.get_mut(slot)) {
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
        if let Err(error) = self.links[link].framing.check_data(&header, segment) {
            self.damaged(link, &header, error)?;
            return Ok(layout.total());
        }
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
        if !self.links[link].is_live() {
            return Ok(());
        }
        self.links[link].landing = Some(Landing { pdu, header: *header, slot, offset, left, tail, crc });
        Ok(())
    }

    /// Checks where data would go. `None` for data that has come before or comes too late.
    fn admit_data(&mut self, link: LinkId, pdu: &DataIn, length: usize) -> Checked<Option<(Slot, Place)>> {
        let now = self.now;
        let is_repeated = pdu.status.is_some() && self.is_old_status(link, pdu.numbering.stat_sn);
        if is_repeated || self.is_concluded(pdu.itt) {
            return Ok(None);
        }
        let (slot, task) = self.find_scsi(link, pdu.itt, Opcode::DataIn)?;
        task.progress = now;
        let wrong = PeerMisbehaved::WrongTask { itt: pdu.itt, opcode: Opcode::DataIn };
        let Some(scsi) = task.scsi().filter(|scsi| scsi.direction.reads()) else { return Err(wrong) };
        let (offset, limit) = (pdu.offset as usize, scsi.buffer.len());
        if offset.checked_add(length).is_none_or(|end| end > limit) {
            return Err(PeerMisbehaved::DataBeyondEnd { offset: pdu.offset, length: length as u32, limit });
        }
        if pdu.data_sn == scsi.data_sn && offset == scsi.received && scsi.repair.is_none() {
            return Ok(Some((slot, Place::Next)));
        }
        let place = self.place_data(link, slot, pdu, length)?;
        Ok(Some((slot, place)).filter(|(_, place)| *place != Place::Nowhere))
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
        let scsi = landing.slot.and_then(|(slot, _)| self.tasks.get_mut(slot)?.scsi());
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
        let (length, recovers) = (offset - pdu.offset as usize, self.links[link].recovery.is_some());
        if let (Some(mut crc), Some((pad, received))) = (crc, tail.split_last_chunk::<DIGEST_LEN>()) {
            crc.update(pad);
            let computed = u32::from_le_bytes(crc.wire());
            if let Err(error) = self.links[link].framing.compare_data(&header, computed, *received) {
                return if recovers { self.data_damaged(link, slot, &pdu, length) } else { Err(error.into()) };
            }
        }
        if slot.is_some() {
            self.stats.data_received += length as u64;
        }
        self.data_landed(link, slot, &pdu, length)
    }

    /// The data of a Data-In PDU is whole and in its buffer, if it has one.
    #[inline]
    fn data_landed(&mut self, link: LinkId, at: Option<(Slot, Place)>, pdu: &DataIn, length: usize) -> Checked {
        let Some((slot, place)) = at else { return self.end_data_in(link, pdu) };
        self.data_came(slot, place, pdu, length);
        if self.links[link].recovery.is_some() {
            self.wants_acknowledgement(link, slot, pdu);
            self.mend(link, slot);
        }
        self.end_data_in(link, pdu)
    }

    fn on_empty_data_in(&mut self, link: LinkId, pdu: &DataIn) -> Checked {
        let place = self.admit_data(link, pdu, 0)?;
        let scsi = place.and_then(|(slot, _)| self.tasks.get_mut(slot)?.scsi());
        // Its number is not counted yet.
        if scsi.is_some_and(|scsi| pdu.status.is_none() && scsi.data_sn.0 as usize >= scsi.last_data_sn()) {
            return Err(PeerMisbehaved::EmptyData);
        }
        self.data_landed(link, place, pdu, 0)
    }

    /// Ends the command if the Data-In carried its status.
    fn end_data_in(&mut self, link: LinkId, pdu: &DataIn) -> Checked {
        let Some((status, residual)) = pdu.status else { return Ok(()) };
        if self.accept_status(link, pdu.numbering.stat_sn)? && !self.is_concluded(pdu.itt) {
            let slot = self.find(link, pdu.itt)?;
            let scsi = self.tasks.get_mut(slot).and_then(|task| task.scsi());
            if scsi.as_ref().is_some_and(|scsi| scsi.direction == Direction::Both) {
                return Err(PeerMisbehaved::StatusInData { itt: pdu.itt });
            }
            if scsi.is_some_and(|scsi| scsi.repair.is_none()) {
                self.complete(slot, status, (residual, Residual::None), Bytes::new());
                return Ok(());
            }
            let held = Held { stat_sn: pdu.numbering.stat_sn, status, residual, sense: Bytes::new() };
            self.settle(link, slot, held, 0);
        }
        Ok(())
    }

    // SCSI Response

    fn on_scsi_response(&mut self, link: LinkId, pdu: &ScsiResponse, data: &[u8]) -> Checked {
        if !self.accept_status(link, pdu.numbering.stat_sn)? || self.is_concluded(pdu.itt) {
            return Ok(());
        }
        let (slot, task) = self.find_scsi(link, pdu.itt, Opcode::ScsiResponse)?;
        let is_whole = task.scsi().is_some_and(|scsi| scsi.is_whole(pdu.exp_data_sn));
        if pdu.response != ServiceResponse::Completed {
            self.end(slot, Err(CommandError::Delivery(pdu.response)));
            return Ok(());
        }
        let sense = Bytes::copy_from_slice(split_sense(data)?.0);
        if is_whole {
            self.complete(slot, pdu.status, (pdu.residual, pdu.bidi_residual), sense);
            return Ok(());
        }
        let stat_sn = pdu.numbering.stat_sn;
        let held = Held { stat_sn, status: pdu.status, residual: pdu.residual, sense };
        self.data_ends_at(link, slot, pdu.exp_data_sn, &held)?;
        self.settle(link, slot, held, pdu.snack_tag);
        Ok(())
    }

    /// Ends a command with its status. The second residual counts if data went both ways.
    pub(super) fn complete(
        &mut self,
        slot: Slot,
        status: Status,
        (residual, bidi): (Residual, Residual),
        sense: Bytes,
    ) {
        let Some(scsi) = self.tasks.get_mut(slot).and_then(|task| task.scsi()) else { return };
        let success = is_success(status, &sense);
        let both = scsi.direction == Direction::Both;
        let read_residual = if both { bidi } else { Residual::None };
        let mut data = std::mem::take(&mut scsi.buffer);
        let inward = if both { bidi } else { residual };
        data.truncate(if success { valid_length(data.len(), scsi.received, inward) } else { 0 });
        let lost = if success { unsent(scsi, residual) } else { None };
        let response = Response { status, sense, data, residual, read_residual };
        self.end(slot, lost.map_or(Ok(Finished::Scsi(response)), Err));
    }

    /// Takes a task out of the table and tells whoever waits for it.
    pub(super) fn end(&mut self, slot: Slot, completion: Result<Finished, CommandError>) {
        let itt = self.tasks.itt(slot);
        let Some(task) = self.tasks.remove(slot) else { return };
        // What ends a command may come over another connection while its data comes in; the place is another's from now on.
        if let Some(landing) = &mut self.links[task.link].landing {
            landing.slot = landing.slot.filter(|(landing, _)| *landing != slot);
        }
        if let Kind::Scsi(scsi) = &task.kind
            && !scsi.bursts.is_empty()
        {
            self.links[task.link].writers.retain(|writer| *writer != slot);
        }
        if let Some(Kind::Management { aborts: of, .. } | Kind::Reassign { task: of }) =
            task.manager.and_then(|by| self.tasks.get_mut(by)).map(|by| &mut by.kind)
        {
            *of = None;
        }
        if let Kind::Scsi(scsi) = task.kind {
            if let Some(repair) = &scsi.repair {
                self.release_status(task.link, itt, repair);
            }
            self.keep_box(scsi);
        }
        self.finish(task.token, completion);
    }

    // R2T

    fn on_r2t(&mut self, link: LinkId, pdu: &R2t) -> Checked {
        let (now, limit, max_r2ts) = (self.now, self.negotiated.max_burst_length, self.negotiated.max_outstanding_r2t);
        let recovers = self.links[link].recovery.is_some();
        if self.is_concluded(pdu.itt) {
            return Ok(());
        }
        let (slot, task) = self.find_scsi(link, pdu.itt, Opcode::R2t)?;
        if pdu.lun != task.lun {
            return Err(PeerMisbehaved::WrongLun { itt: pdu.itt });
        }
        task.progress = now;
        let wrong = PeerMisbehaved::WrongTask { itt: pdu.itt, opcode: Opcode::R2t };
        let Some(scsi) = task.scsi().filter(|scsi| scsi.direction.writes()) else { return Err(wrong) };
        check_range(pdu, scsi.payload.len(), limit)?;
        if pdu.r2t_sn != scsi.r2t_sn && !self.place_r2t(link, slot, pdu)? {
            return Ok(());
        }
        let Some(scsi) = self.tasks.get_mut(slot).and_then(|task| task.scsi()) else { return Ok(()) };
        let room = usize::from(max_r2ts) + if recovers { MAX_R2TS } else { 0 };
        if scsi.bursts.len() >= room {
            return Err(PeerMisbehaved::TooManyR2ts { limit: max_r2ts });
        }
        scsi.asked_for(pdu, recovers)?;
        let (offset, left) = (pdu.offset as usize, pdu.length as usize);
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
            if !self
                .tasks
                .get_mut(slot)
                .is_some_and(|task| task.link == link && matches!(task.kind, Kind::Ping | Kind::Plug))
            {
                return Err(PeerMisbehaved::UnknownPing { itt: pdu.itt });
            }
            if self.links[link].ping == Some(slot) {
                self.links[link].ping = None;
            }
            let sent_before = self.tasks.get_mut(slot).and_then(|task| task.cmd_sn);
            self.end(slot, Ok(Finished::Pong));
            if let Some(sent_before) = sent_before {
                self.retry_lost(link, sent_before);
            }
            return Ok(());
        }
        self.foresee_status(link, pdu.numbering.stat_sn);
        if !pdu.ttt.is_reserved() && self.links[link].pongs < MAX_PONGS {
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
        let Some(Kind::Logout(leave)) = self.tasks.get_mut(slot).map(|task| &task.kind) else {
            return Err(PeerMisbehaved::WrongTask { itt: pdu.itt, opcode: Opcode::LogoutResponse });
        };
        let leave = *leave;
        let LogoutResponse { result, time2wait, time2retain, .. } = *pdu;
        let error = ConnectionError::LogoutFailed { result, time2wait, time2retain };
        let after = self.now + Duration::from_secs(time2wait.into());
        match (leave, result) {
            (Leave::Session | Leave::Own, LogoutResult::Closed) | (Leave::Lost(_), _) => {
                self.end(slot, Ok(Finished::LoggedOut));
            }
            _ => {}
        }
        match (leave, result) {
            (Leave::Session, LogoutResult::Closed) if self.at_their_wish => {
                self.fail(&ConnectionError::LogoutRequested);
            }
            (Leave::Session, LogoutResult::Closed) => self.fail(&ConnectionError::LoggedOut),
            (Leave::Session, _) => self.fail(&error),
            (Leave::Own, LogoutResult::Closed) => self.logged_out(link, self.now, None),
            (Leave::Own, _) => self.lose(link, &error),
            (Leave::Lost(lost), LogoutResult::Closed) => self.logged_out(lost, after, Some(time2retain)),
            // The target has forgotten it already.
            (Leave::Lost(lost), LogoutResult::CidNotFound) => self.logged_out(lost, self.now, None),
            (Leave::Lost(lost), _) => self.not_logged_out(lost, &error, time2wait, time2retain),
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
                let dropped = self.links.iter().find(|(_, link)| link.cid == cid && link.is_live());
                if let Some((dropped, _)) = dropped {
                    self.lose(dropped, &ConnectionError::DroppedByTarget { time2wait, time2retain });
                }
            }
            AsyncEvent::SessionDrop { time2wait, time2retain } => {
                let all: Vec<LinkId> = self.links.iter().map(|(id, _)| id).collect();
                let error = ConnectionError::DroppedByTarget { time2wait, time2retain };
                for link in all {
                    self.lose(link, &error);
                }
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
        if rejected.opcode() == Ok(Opcode::Snack) {
            self.snack_rejected(link, &rejected);
        }
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
            Kind::Management { .. } | Kind::Reassign { .. } => Opcode::TaskRequest,
            Kind::Ping | Kind::Plug => Opcode::NopOut,
            Kind::Logout(_) => Opcode::LogoutRequest,
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
        if let Kind::Reassign { task } = task.kind {
            self.end(slot, Ok(Finished::Task(pdu.result)));
            if let Some(task) = task {
                self.moved(task, link, outcome(pdu.result));
            }
            return Ok(());
        }
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

fn check_range(pdu: &R2t, limit: usize, max_burst: u32) -> Checked {
    let R2t { offset, length, .. } = *pdu;
    if length > max_burst {
        return Err(PeerMisbehaved::R2tTooLong { length, limit: max_burst });
    }
    if u64::from(offset) + u64::from(length) > limit as u64 {
        return Err(PeerMisbehaved::R2tBeyondEnd { offset, length, limit });
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
    let skipped = scsi.repair.as_ref().map_or(0, |repair| repair.skipped());
    let received = scsi.requested.saturating_sub(pending + skipped);
    (received < expected).then_some(CommandError::Short { expected, received })
}
