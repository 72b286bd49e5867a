//! The initiator's side: its login and its session, fed with bytes and asked for bytes.

use std::io::IoSlice;

use bytes::BytesMut;
use iscsi_initiator::core::chap::Nonce;
use iscsi_initiator::core::login::{Login, LoginConfig, LoginError, Request, Step};
use iscsi_initiator::core::session::{Core, LinkId, Patience, Start};
use iscsi_initiator::core::{ConnectionError, Time};
use iscsi_proto::framer::{FrameLimits, Framer, encode_frame};
use rand::RngExt;
use rand::rngs::StdRng;

/// How many bytes more than its data segment a PDU takes at most.
const OVERHEAD: usize = 48 + 3 + 8;

/// One connection of the initiator.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) phase: Phase,
    patience: Patience,
    /// Bytes of login that wait to be sent.
    out: BytesMut,
    /// Bytes that have arrived and are not used yet.
    staged: Vec<u8>,
    longest: usize,
}

#[derive(Debug)]
pub(super) enum Phase {
    Login { login: Option<Box<Login>>, framer: Framer },
    Full(Box<Core>),
    Failed(String),
}

impl Host {
    pub(super) fn new(config: LoginConfig, patience: Patience) -> Result<Self, LoginError> {
        let (login, request) = Login::new(config, Nonce::random()?)?;
        let phase = Phase::Login { login: Some(Box::new(login)), framer: Framer::new(FrameLimits::LOGIN) };
        let mut host = Self { phase, patience, out: BytesMut::new(), staged: Vec::new(), longest: 0 };
        host.say(&request);
        Ok(host)
    }

    /// The session, once there is one.
    pub(super) fn core(&mut self) -> Option<&mut Core> {
        match &mut self.phase {
            Phase::Full(core) => Some(core),
            _ => None,
        }
    }

    /// Whether it has given up, or logged out.
    pub(super) fn is_over(&self) -> bool {
        match &self.phase {
            Phase::Login { .. } => false,
            Phase::Full(core) => core.closed().is_some(),
            Phase::Failed(_) => true,
        }
    }

    /// Takes what has arrived. Gives with what the session starts, when it does, and the bytes that belong to it.
    pub(super) fn receive(&mut self, bytes: &[u8], now: Time, rng: &mut StdRng) -> Option<(Start, Vec<u8>)> {
        match &mut self.phase {
            Phase::Login { framer, .. } => {
                framer.feed(bytes);
                self.log_in(now)
            }
            Phase::Full(_) => {
                self.work(bytes, now, rng);
                None
            }
            Phase::Failed(_) => None,
        }
    }

    /// The stream has ended.
    pub(super) fn end(&mut self, now: Time) {
        match &mut self.phase {
            Phase::Login { login, .. } => {
                let error = login.take().map(|login| login.closed().to_string());
                self.phase = Phase::Failed(error.unwrap_or_default());
            }
            Phase::Full(core) => core.lost(LinkId::FIRST, &ConnectionError::ClosedByTarget, now),
            Phase::Failed(_) => {}
        }
    }

    /// At most `room` bytes to send.
    pub(super) fn outgoing(&mut self, room: usize, now: Time) -> Vec<u8> {
        if !self.out.is_empty() {
            return self.out.split_to(room.min(self.out.len())).to_vec();
        }
        let Phase::Full(core) = &mut self.phase else { return Vec::new() };
        let mut slices = [IoSlice::new(&[]); 8];
        let filled = core.outgoing(LinkId::FIRST, &mut slices);
        let all = slices.iter().take(filled).flat_map(|slice| slice.iter().copied());
        let bytes: Vec<u8> = all.take(room).collect();
        core.sent(LinkId::FIRST, bytes.len(), now);
        bytes
    }

    /// What is held of the stream must not exceed one PDU.
    pub(super) fn check(&self) -> Result<(), String> {
        let limit = self.longest + OVERHEAD;
        if self.staged.len() > limit {
            return Err(format!("{} bytes of the stream are held, one PDU has {limit}", self.staged.len()));
        }
        Ok(())
    }

    fn log_in(&mut self, now: Time) -> Option<(Start, Vec<u8>)> {
        loop {
            let Phase::Login { login, framer } = &mut self.phase else { return None };
            let frame = match framer.next_frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => return None,
                Err(error) => {
                    self.phase = Phase::Failed(error.to_string());
                    return None;
                }
            };
            match login.take()?.receive(&frame.header, &frame.data) {
                Ok(Step::Send(next, request)) => {
                    *login = Some(Box::new(next));
                    self.say(&request);
                }
                Ok(Step::Done(done)) => {
                    let rest = framer.buffer().to_vec();
                    self.longest = done.start.negotiated.max_recv_data_segment_length as usize;
                    self.phase = Phase::Full(Box::new(Core::new(done.start.clone(), self.patience, now)));
                    return Some((done.start, rest));
                }
                Ok(Step::Redirect(redirect)) => self.phase = Phase::Failed(format!("{redirect:?}")),
                Err(error) => self.phase = Phase::Failed(error.to_string()),
            }
        }
    }

    fn say(&mut self, request: &Request) {
        encode_frame(request.header, &[], &request.data, false, false, &mut self.out);
    }

    /// Like the driver: what fills a buffer goes there at once, the rest is staged.
    fn work(&mut self, mut bytes: &[u8], now: Time, rng: &mut StdRng) {
        let Phase::Full(core) = &mut self.phase else { return };
        while !bytes.is_empty() && core.closed().is_none() {
            let least = rng.random_range(1..600);
            let direct = core.landing(LinkId::FIRST, least).filter(|_| self.staged.is_empty() && least % 2 == 0);
            if let Some(room) = direct {
                let len = room.len().min(bytes.len());
                room.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
                core.landed(LinkId::FIRST, len, now);
                bytes = bytes.get(len..).unwrap_or_default();
            } else {
                self.staged.extend_from_slice(bytes);
                let used = core.receive(LinkId::FIRST, &self.staged, now);
                self.staged.drain(..used);
                if core.closed().is_some() {
                    self.staged.clear();
                }
                return;
            }
        }
    }
}
