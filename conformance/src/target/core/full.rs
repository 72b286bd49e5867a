//! Full feature phase of one connection: requests are numbered, sorted and sent to who handles them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use iscsi_proto::framer::{FrameError, Framing, Layout};
use iscsi_proto::pdu::{
    AsyncEvent, AsyncMessage, DataOut, Header, LogoutRequest, NopIn, NopOut, Opcode, PduError, Reject, RejectReason,
    ScsiCommand, TaskRequest, TextRequest,
};
use iscsi_proto::portal::Portal;
use iscsi_proto::scsi::Lun;
use iscsi_proto::serial::Serial;
use iscsi_proto::tags::{Itt, Ttt};

use super::connection::HIGH_WATER;
use super::lost::Leaving;
use super::manage::Waiting;
use super::node::{Node, Target};
use super::outbox::Outbox;
use super::params::Params;
use super::session::{Link, Mail, Session};
use super::text::TextPhase;
use super::transfer::Transfer;
use super::turn::Probe;
use super::window::{Arrival, Held, Request};
use crate::target::counters::Counters;
use crate::target::rope::Rope;

/// Requests that were ignored but whose data may still come.
const IGNORED: usize = 64;

/// A connection after its login.
#[derive(Debug)]
pub(super) struct FullFeature {
    pub(super) node: Arc<Node>,
    pub(super) session: Arc<Session>,
    pub(super) target: Option<Arc<Target>>,
    pub(super) params: Params,
    pub(super) out: Outbox,
    /// Commands that wait for data, and aborted ones whose data has not ended yet.
    pub(super) transfers: HashMap<Itt, Transfer>,
    /// Task management that waits for data of aborted tasks to end.
    pub(super) waiting: Vec<Waiting>,
    pub(super) text: TextPhase,
    pub(super) link: Arc<Link>,
    /// Whether Data-In asks for DataACKs.
    pub(super) asks_for_acks: bool,
    pub(super) probe: Option<Probe>,
    framing: Framing,
    ignored: Vec<Itt>,
    /// Whether the request that is worked on has a place in the command window already.
    pub(super) placed: bool,
    last_ttt: u32,
    commands: u64,
    ending: Ending,
}

/// Whether a connection goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ending {
    /// It does.
    Open,
    /// It ends once everything in its outbox is sent.
    Flush,
    /// It ends at once.
    Now,
}

/// A request that is understood and waits for its turn.
enum Parsed {
    Command(ScsiCommand),
    Task(TaskRequest),
    Text(TextRequest),
    Nop(NopOut),
    Logout(LogoutRequest),
}

impl FullFeature {
    pub(super) fn new(
        node: Arc<Node>,
        session: Arc<Session>,
        link: Arc<Link>,
        params: Params,
        portal: Portal,
        mut out: Outbox,
    ) -> Self {
        let target = session.identity.target.clone();
        if params.recovers_data() {
            out.keep();
        }
        Self {
            asks_for_acks: params.recovers_data()
                && target.as_ref().is_some_and(|target| target.config.limits.data_ack),
            probe: None,
            target,
            framing: Framing::new(params.frame_limits()),
            node,
            session,
            params,
            out,
            transfers: HashMap::new(),
            waiting: Vec::new(),
            text: TextPhase::new(portal),
            link,
            ignored: Vec::new(),
            placed: false,
            last_ttt: 0,
            commands: 0,
            ending: Ending::Open,
        }
    }

    /// Works on the complete PDUs at the start of `bytes`; how many bytes those had.
    pub(super) fn receive(&mut self, bytes: &[u8]) -> usize {
        let session = self.session.clone();
        let inside = session.enter();
        let _turn = session.turn();
        if inside.is_none() || !self.unpark() {
            self.end(Ending::Now, Leaving::Failed);
            return bytes.len();
        }
        let mut used = 0;
        while self.is_open() && self.out.bytes() < HIGH_WATER {
            let rest = bytes.get(used..).unwrap_or_default();
            match self.framing.head(rest) {
                Ok(Some((header, layout))) if rest.len() >= layout.total() => {
                    self.whole(&header, layout, rest);
                    used += layout.total();
                }
                Ok(_) => break,
                Err(error) => self.fatal(&error),
            }
        }
        self.park();
        self.count(used);
        used
    }

    /// Works on what other connections of the session left for this one, and on what is overdue at the node's time.
    pub(super) fn poll(&mut self) {
        let session = self.session.clone();
        let inside = session.enter();
        let _turn = session.turn();
        if inside.is_none() || self.link.is_closed() || !self.unpark() {
            return self.end(Ending::Now, Leaving::Failed);
        }
        self.take_mail();
        self.overdue();
        self.park();
        self.count(0);
    }

    fn take_mail(&mut self) {
        for mail in self.link.take_mail() {
            match mail {
                Mail::Request(held) => self.held(held),
                Mail::Lost(cid) => self.tell_lost(cid),
            }
        }
    }

    /// Sends a ping that the initiator has to answer.
    pub(super) fn ping(&mut self) {
        let ttt = self.next_ttt();
        let numbering = self.out.preview(&self.session);
        let nop = NopIn { lun: Lun::ZERO, itt: Itt::RESERVED, ttt, numbering };
        self.out.push(nop.encode(), Rope::new());
    }

    /// Sends an Asynchronous Message.
    pub(super) fn announce(&mut self, event: AsyncEvent, lun: Lun, data: Rope) {
        let session = self.session.clone();
        let _turn = session.turn();
        self.unpark();
        self.send_event(event, lun, data);
        self.park();
    }

    pub(super) fn send_event(&mut self, event: AsyncEvent, lun: Lun, data: Rope) {
        let numbering = self.out.status(&self.session);
        self.out.push(AsyncMessage { lun, numbering, event }.encode(), data);
    }

    /// Bytes of the PDU that `bytes` starts with, if that can be told and it is not complete.
    pub(super) fn wanted(&self, bytes: &[u8]) -> Option<usize> {
        self.framing.head(bytes).ok().flatten().map(|(_, layout)| layout.total())
    }

    /// Whether the connection goes on. Others may have closed it.
    pub(super) fn ending(&self) -> Ending {
        match self.ending {
            Ending::Open if self.link.is_closed() => Ending::Now,
            ending => ending,
        }
    }

    /// Takes the connection out of its session. What the first call says holds.
    pub(super) fn end(&mut self, ending: Ending, leaving: Leaving) {
        if self.ending == Ending::Open {
            self.ending = ending;
            let tasks = self.take_tasks();
            self.node.leave(&self.session, &self.link, leaving, tasks);
        }
    }

    pub(super) fn cid(&self) -> u16 {
        self.link.cid
    }

    pub(super) fn is_open(&self) -> bool {
        self.ending() == Ending::Open
    }

    fn whole(&mut self, header: &Header, layout: Layout, bytes: &[u8]) {
        let segment = bytes.get(layout.head..layout.total()).unwrap_or_default();
        let data = segment.get(..layout.data).unwrap_or_default();
        let ahs = bytes.get(iscsi_proto::pdu::BHS_LEN..).and_then(|ahs| ahs.get(..layout.ahs)).unwrap_or_default();
        match self.framing.check_data(header, segment) {
            Ok(()) => self.pdu(header, ahs, data),
            Err(error) => self.damaged(header, &error),
        }
    }

    fn pdu(&mut self, header: &Header, ahs: &[u8], data: &[u8]) {
        if self.params.recovers_data() {
            self.out.acknowledge(exp_stat_sn(header));
        }
        match header.opcode() {
            Ok(Opcode::DataOut) => self.data_out(header, Some(data)),
            Ok(Opcode::Snack) => self.snack(header),
            Ok(Opcode::LoginRequest) => self.reject(RejectReason::ProtocolError, header),
            Ok(opcode) if opcode.is_request() => self.request(header, ahs, data),
            Ok(_) => {
                tracing::debug!(?header, "a PDU that only targets send");
                self.end(Ending::Flush, Leaving::Failed);
            }
            Err(_) => self.reject(RejectReason::CommandNotSupported, header),
        }
    }

    /// A PDU whose data digest was wrong (section 7.8).
    fn damaged(&mut self, header: &Header, error: &FrameError) {
        tracing::debug!(%error, "discarding a PDU");
        self.reject(RejectReason::DataDigestError, header);
        if header.opcode() == Ok(Opcode::DataOut) {
            self.data_out(header, None);
        }
    }

    /// Gives a request its place in the order of the session.
    fn request(&mut self, header: &Header, ahs: &[u8], data: &[u8]) {
        let parsed = match Parsed::new(header) {
            Ok(parsed) => parsed,
            Err(error) => {
                tracing::debug!(%error, "rejecting a request");
                return self.reject(RejectReason::InvalidPduField, header);
            }
        };
        if header.immediate() {
            return self.dispatch(parsed, header, ahs, data);
        }
        let cmd_sn = cmd_sn(header);
        match self.session.arrive(cmd_sn, header) {
            Arrival::Next => {
                self.placed = self.session.places(header);
                self.dispatch(parsed, header, ahs, data);
                self.give_place_back();
                self.release();
            }
            Arrival::Early => {
                let request =
                    Some(Request { header: *header, ahs: ahs.to_vec(), data: data.to_vec(), behind: Vec::new() });
                let held = Held { cmd_sn, cid: self.link.cid, request };
                self.session.hold(&self.link, held);
            }
            Arrival::Ignored => self.ignore(header),
        }
    }

    /// Works on held requests whose turn has come, or passes them on to the connection that they came on.
    fn release(&mut self) {
        while let Some(held) = self.session.release(self.link.cid) {
            self.held(held);
        }
    }

    fn held(&mut self, held: Held) {
        if let Some(Request { header, ahs, data, behind }) = held.request {
            self.placed = self.session.places(&header);
            self.request_in_turn(&header, &ahs, &data);
            for (header, data) in behind {
                self.data_out(&header, Some(&data));
            }
        }
    }

    /// Works on a request that has had its place in the order.
    pub(super) fn request_in_turn(&mut self, header: &Header, ahs: &[u8], data: &[u8]) {
        if let Ok(parsed) = Parsed::new(header) {
            self.dispatch(parsed, header, ahs, data);
        }
        self.give_place_back();
    }

    /// A request that left no task behind needs its place no more.
    pub(super) fn give_place_back(&mut self) {
        if std::mem::take(&mut self.placed) {
            self.session.window(super::window::Window::task_ended);
        }
    }

    fn ignore(&mut self, header: &Header) {
        tracing::debug!(cmd_sn = %cmd_sn(header), "ignoring a request outside the window");
        if !header.is_final() {
            if self.ignored.len() == IGNORED {
                self.ignored.remove(0);
            }
            self.ignored.push(header.itt());
        }
    }

    fn dispatch(&mut self, parsed: Parsed, header: &Header, ahs: &[u8], data: &[u8]) {
        if self.session.nexus.is_none() && !parsed.is_for_discovery() {
            return self.reject(RejectReason::ProtocolError, header);
        }
        match parsed {
            Parsed::Command(command) => {
                self.commands += 1;
                self.ignored.retain(|itt| *itt != command.itt);
                self.command(command, header, ahs, data);
            }
            Parsed::Task(request) => self.manage(&request),
            Parsed::Text(request) => self.text_request(&request, header, data),
            Parsed::Nop(nop) => self.nop(&nop, header, data),
            Parsed::Logout(request) => self.logout(&request),
        }
    }

    fn data_out(&mut self, header: &Header, data: Option<&[u8]>) {
        let Ok(pdu) = DataOut::parse(header) else { return self.reject(RejectReason::InvalidPduField, header) };
        let (len, now, limit) = (header.data_len(), self.node.now(), self.params.first_burst as usize);
        if !self.transfers.contains_key(&pdu.itt) {
            self.take_mail();
        }
        let taken = self.transfers.get_mut(&pdu.itt).map(|transfer| transfer.take(&pdu, len, data, now));
        match taken {
            Some(Ok(())) => self.proceed(pdu.itt),
            // The reject for the digest has been sent.
            _ if data.is_none() => {}
            None if self.ignored.contains(&pdu.itt) => {}
            // Its command waits for others that were sent before it over another connection.
            None if data.is_some_and(|data| self.session.hold_data(self.link.cid, header, data, limit)) => {}
            _ => self.reject(RejectReason::InvalidPduField, header),
        }
    }

    fn nop(&mut self, nop: &NopOut, header: &Header, data: &[u8]) {
        if nop.itt.is_reserved() {
            if !nop.immediate {
                self.reject(RejectReason::ProtocolError, header);
            }
            return;
        }
        if !nop.ttt.is_reserved() {
            return self.reject(RejectReason::InvalidPduField, header);
        }
        let echo = data.get(..self.params.max_send as usize).unwrap_or(data);
        let numbering = self.out.status(&self.session);
        let answer = NopIn { lun: Lun::ZERO, itt: nop.itt, ttt: Ttt::RESERVED, numbering };
        self.out.push(answer.encode(), echo.to_vec().into());
    }

    /// Sends a Reject with the header of the PDU that it is about.
    pub(super) fn reject(&mut self, reason: RejectReason, bad: &Header) {
        self.reject_with(reason, Serial(0), bad);
    }

    /// Sends a Reject that tells the DataSN or R2TSN of the next PDU besides.
    pub(super) fn reject_with(&mut self, reason: RejectReason, data_sn: Serial, bad: &Header) {
        tracing::debug!(%reason, ?bad, "rejecting");
        Counters::add(&self.node.counters().rejects, 1);
        let numbering = self.out.status(&self.session);
        let reject = Reject { reason, numbering, data_sn };
        self.out.push(reject.encode(), bad.0.to_vec().into());
    }

    /// A tag for data or text that the initiator is to send; never the reserved one.
    pub(super) fn next_ttt(&mut self) -> Ttt {
        self.last_ttt = self.last_ttt.wrapping_add(1);
        if Ttt(self.last_ttt).is_reserved() {
            self.last_ttt = 0;
        }
        Ttt(self.last_ttt)
    }

    pub(super) fn fatal(&mut self, error: &dyn std::error::Error) {
        tracing::debug!(%error, "closing a connection");
        self.end(Ending::Flush, Leaving::Failed);
    }

    fn count(&mut self, bytes_in: usize) {
        let counters: [(&AtomicU64, u64); 2] = [
            (&self.node.counters().commands, std::mem::take(&mut self.commands)),
            (&self.node.counters().bytes_in, bytes_in as u64),
        ];
        for (counter, n) in counters {
            Counters::add(counter, n);
        }
    }
}

impl Drop for FullFeature {
    fn drop(&mut self) {
        let session = self.session.clone();
        let _turn = session.turn();
        self.unpark();
        self.end(Ending::Now, Leaving::Failed);
    }
}

impl Parsed {
    fn new(header: &Header) -> Result<Self, PduError> {
        Ok(match header.opcode() {
            Ok(Opcode::ScsiCommand) => Self::Command(ScsiCommand::parse(header)?),
            Ok(Opcode::TaskRequest) => Self::Task(TaskRequest::parse(header)?),
            Ok(Opcode::TextRequest) => Self::Text(TextRequest::parse(header)?),
            Ok(Opcode::NopOut) => Self::Nop(NopOut::parse(header)?),
            Ok(Opcode::LogoutRequest) => Self::Logout(LogoutRequest::parse(header)?),
            found => return Err(PduError::Opcode { expected: Opcode::ScsiCommand, found }),
        })
    }

    /// Whether a discovery session may carry it. The RFC leaves only text and logout; pings do no harm.
    const fn is_for_discovery(&self) -> bool {
        matches!(self, Self::Text(_) | Self::Logout(_) | Self::Nop(_))
    }
}

/// CmdSN is where a target's PDU has its StatSN.
fn cmd_sn(header: &Header) -> Serial {
    header.numbering().stat_sn
}

/// ExpStatSN is where a target's PDU has its ExpCmdSN.
fn exp_stat_sn(header: &Header) -> Serial {
    header.numbering().exp_cmd_sn
}
