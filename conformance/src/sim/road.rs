//! One connection of several: its login, its place in the session, and the network between its ends.

use std::io::IoSlice;
use std::sync::Arc;

use bytes::BytesMut;
use iscsi_initiator::core::chap::Nonce;
use iscsi_initiator::core::login::{Login, LoginConfig, LoginError, Request, Step};
use iscsi_initiator::core::session::{Core, LinkId, Start};
use iscsi_initiator::core::{ConnectionError, Time};
use iscsi_proto::framer::{FrameLimits, Framer, encode_frame};
use iscsi_proto::portal::Portal;
use rand::RngExt;
use rand::rngs::StdRng;

use super::link::{Arrival, Link, Manner};
use super::peer::Peer;
use crate::target::core::Node;

/// Why a connection is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The session begins with it.
    First,
    /// It joins the session.
    Further,
    /// It takes the place of this one, which was lost.
    Instead(LinkId),
}

/// What came of the bytes that have arrived.
pub(super) enum Heard {
    Nothing,
    /// The login has ended with this; the bytes belong to the session.
    LoggedIn(Start, u16, Vec<u8>),
    /// The stream has ended, or the login has failed.
    End,
}

/// One connection.
pub(super) struct Road {
    pub(super) purpose: Purpose,
    /// Its place in the session, once it is logged in.
    pub(super) link: Option<LinkId>,
    login: Option<Box<Login>>,
    framer: Framer,
    /// Bytes of login that wait to be sent.
    out: BytesMut,
    /// Bytes that have arrived and are not used yet.
    staged: Vec<u8>,
    pub(super) up: Link,
    pub(super) down: Link,
    pub(super) peer: Option<Peer>,
    /// Whether the network has lost it, which its ends may not have noticed yet.
    pub(super) lost: bool,
}

impl Road {
    pub(super) fn new(
        node: &Arc<Node>,
        purpose: Purpose,
        config: LoginConfig,
        portal: Portal,
        manner: Manner,
    ) -> Result<Self, LoginError> {
        let (login, request) = Login::new(config, Nonce::random()?)?;
        let mut road = Self {
            purpose,
            link: None,
            login: Some(Box::new(login)),
            framer: Framer::new(FrameLimits::LOGIN),
            out: BytesMut::new(),
            staged: Vec::new(),
            up: Link::new(manner, None),
            down: Link::new(manner, None),
            peer: Some(Peer::new(node, portal, None)),
            lost: false,
        };
        road.say(&request);
        Ok(road)
    }

    fn say(&mut self, request: &Request) {
        encode_frame(request.header, &[], &request.data, false, false, &mut self.out);
    }

    /// Lets both ends send what there is room for. Says whether anything moved.
    pub(super) fn exchange(&mut self, core: Option<&mut Core>, now: Time, rng: &mut StdRng) -> bool {
        let sent = self.outgoing(core, now);
        self.up.push(&sent, now, rng);
        let Some(peer) = &mut self.peer else { return !sent.is_empty() };
        let answered = peer.outgoing(self.down.room());
        let over = peer.is_over();
        self.down.push(&answered, now, rng);
        if over {
            self.leave(now);
        }
        over || !sent.is_empty() || !answered.is_empty()
    }

    fn outgoing(&mut self, core: Option<&mut Core>, now: Time) -> Vec<u8> {
        let room = self.up.room();
        if !self.out.is_empty() {
            return self.out.split_to(room.min(self.out.len())).to_vec();
        }
        let (Some(core), Some(link)) = (core, self.link) else { return Vec::new() };
        let mut slices = [IoSlice::new(&[]); 8];
        let filled = core.outgoing(link, &mut slices);
        let all = slices.iter().take(filled).flat_map(|slice| slice.iter().copied());
        let bytes: Vec<u8> = all.take(room).collect();
        core.sent(link, bytes.len(), now);
        bytes
    }

    /// What arrives next has reached the target.
    pub(super) fn arrive_up(&mut self, now: Time) {
        match (self.up.take(), &mut self.peer) {
            (Arrival::Bytes(bytes), Some(peer)) => peer.receive(&bytes),
            (Arrival::End, _) => self.leave(now),
            _ => {}
        }
    }

    /// What arrives next has reached the initiator.
    pub(super) fn arrive_down(&mut self, core: Option<&mut Core>, now: Time, rng: &mut StdRng) -> Heard {
        let Arrival::Bytes(bytes) = self.down.take() else {
            if let (Some(core), Some(link)) = (core, self.link) {
                core.lost(link, &ConnectionError::ClosedByTarget, now);
            }
            return Heard::End;
        };
        match (core, self.link) {
            (Some(core), Some(link)) => {
                self.work(core, link, &bytes, now, rng);
                Heard::Nothing
            }
            _ => self.log_in(&bytes),
        }
    }

    fn log_in(&mut self, bytes: &[u8]) -> Heard {
        self.framer.feed(bytes);
        loop {
            let Ok(frame) = self.framer.next_frame() else { return Heard::End };
            let Some(frame) = frame else { return Heard::Nothing };
            let Some(login) = self.login.take() else { return Heard::End };
            match login.receive(&frame.header, &frame.data) {
                Ok(Step::Send(next, request)) => {
                    self.login = Some(Box::new(next));
                    self.say(&request);
                }
                Ok(Step::Done(done)) => {
                    return Heard::LoggedIn(done.start, done.tsih.get(), self.framer.buffer().to_vec());
                }
                Ok(Step::Redirect(_)) | Err(_) => return Heard::End,
            }
        }
    }

    /// Like the driver: what fills a buffer goes there at once, the rest is staged.
    pub(super) fn work(&mut self, core: &mut Core, link: LinkId, bytes: &[u8], now: Time, rng: &mut StdRng) {
        let mut bytes = bytes;
        while !bytes.is_empty() && core.is_live(link) {
            let least = rng.random_range(1..600);
            let direct = core.landing(link, least).filter(|_| self.staged.is_empty() && least % 2 == 0);
            if let Some(room) = direct {
                let len = room.len().min(bytes.len());
                room.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
                core.landed(link, len, now);
                bytes = bytes.get(len..).unwrap_or_default();
            } else {
                self.staged.extend_from_slice(bytes);
                let used = core.receive(link, &self.staged, now);
                self.staged.drain(..used);
                return;
            }
        }
    }

    /// The network loses it.
    pub(super) fn lose(&mut self, now: Time, rng: &mut StdRng) {
        self.lost = true;
        self.up.lose(now, rng.random());
        self.down.lose(now, rng.random());
    }

    /// The target's end is gone.
    fn leave(&mut self, now: Time) {
        self.peer = None;
        self.up.abandon();
        self.down.end(now);
    }

    /// The initiator's end is gone.
    pub(super) fn hang_up(&mut self, now: Time) {
        self.link = None;
        self.login = None;
        self.out.clear();
        self.up.end(now);
        self.down.abandon();
    }

    /// Whether both ends are gone.
    pub(super) const fn is_over(&self) -> bool {
        self.peer.is_none() && self.link.is_none() && self.login.is_none()
    }
}
