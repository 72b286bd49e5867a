//! One connection of a session: its stream, its status numbers, and what waits to be written to it.

use std::collections::VecDeque;
use std::ops::{Index, IndexMut};

use iscsi_proto::framer::{FrameLimits, Framing};
use iscsi_proto::pdu::LogoutReason;
use iscsi_proto::serial::Serial;

use super::super::Time;
use super::super::error::ConnectionError;
use super::super::params::Negotiated;
use super::super::queue::SendQueue;
use super::super::task::Slot;
use super::receive::Landing;
use super::recover::Lost;
use super::repair::Recovery;

/// Names one connection of a [`Core`](super::Core).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkId(u16);

impl LinkId {
    /// The connection that the session began with.
    pub const FIRST: Self = Self(0);
}

/// How far a connection is.
#[derive(Debug)]
pub(super) enum LinkState {
    Open,
    /// The target wants it logged out: nothing new is sent on it, and the logout goes out when all is done or at this time.
    Draining(Time),
    /// A logout was sent on it: nothing new may follow.
    LoggingOut,
    /// Its transport is gone, and what it carried is being recovered.
    Lost(Lost),
    /// Nothing is left of it.
    Closed,
}

/// What belongs to one connection and to no other.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) cid: u16,
    pub(super) state: LinkState,
    pub(super) framing: Framing,
    /// Whether data segments have a digest.
    pub(super) data_digest: bool,
    /// The longest data segment that the target receives here, in bytes.
    pub(super) max_send: u32,
    pub(super) exp_stat_sn: Serial,
    /// What error recovery keeps, from level 1 on.
    pub(super) recovery: Option<Box<Recovery>>,
    pub(super) queue: SendQueue,
    /// Tasks with data that the target has asked for.
    pub(super) writers: VecDeque<Slot>,
    pub(super) landing: Option<Landing>,
    /// The text exchange that is under way; there is one at a time.
    pub(super) text: Option<Slot>,
    /// The ping that this side sent because the target was silent.
    pub(super) ping: Option<Slot>,
    /// Answers to the target's pings, and SNACKs without a task, that have not been written yet.
    pub(super) pongs: usize,
    /// When the target was last heard.
    pub(super) heard: Time,
    /// When the transport last took anything.
    pub(super) moved: Time,
}

impl Link {
    /// A connection that has just been logged in on.
    pub(super) fn new(negotiated: &Negotiated, cid: u16, exp_stat_sn: Serial, now: Time) -> Self {
        let limits = FrameLimits {
            max_data: negotiated.max_recv_data_segment_length,
            allow_ahs: false,
            header_digest: negotiated.header_digest,
            data_digest: negotiated.data_digest,
        };
        Self {
            cid,
            state: LinkState::Open,
            framing: Framing::new(limits),
            data_digest: negotiated.data_digest,
            max_send: negotiated.max_send_data_segment_length,
            exp_stat_sn,
            recovery: (negotiated.error_recovery_level != 0).then(|| Box::new(Recovery::new(exp_stat_sn))),
            queue: SendQueue::new(negotiated.header_digest, negotiated.data_digest),
            writers: VecDeque::new(),
            landing: None,
            text: None,
            ping: None,
            pongs: 0,
            heard: now,
            moved: now,
        }
    }

    pub(super) const fn is_open(&self) -> bool {
        matches!(self.state, LinkState::Open)
    }

    pub(super) const fn is_closed(&self) -> bool {
        matches!(self.state, LinkState::Closed)
    }

    /// The reason to give when it is logged out over another connection.
    pub(super) const fn reason(&self) -> LogoutReason {
        match &self.state {
            LinkState::Lost(lost) => lost.reason(),
            _ => LogoutReason::CloseConnection,
        }
    }

    /// Why it was lost, if it is being recovered.
    pub(super) const fn lost(&self) -> Option<&ConnectionError> {
        match &self.state {
            LinkState::Lost(lost) => Some(lost.error()),
            _ => None,
        }
    }

    /// Whether bytes come and go.
    pub(super) const fn is_live(&self) -> bool {
        !matches!(self.state, LinkState::Lost(_) | LinkState::Closed)
    }

    /// Nothing comes or goes any more, and what was carried is recovered.
    pub(super) fn lose(&mut self, lost: Lost) {
        self.stop();
        self.state = LinkState::Lost(lost);
    }

    /// Nothing comes or goes any more.
    pub(super) fn close(&mut self) {
        self.stop();
        self.state = LinkState::Closed;
    }

    fn stop(&mut self) {
        self.queue = SendQueue::default();
        self.landing = None;
        self.text = None;
        self.ping = None;
        self.writers.clear();
    }
}

/// The connections of a session. The place of one that is closed is used again, but never taken out, so that an id stays good.
#[derive(Debug)]
pub(super) struct Links(Vec<Link>);

impl Links {
    pub(super) fn new(first: Link) -> Self {
        Self(vec![first])
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (LinkId, &Link)> {
        self.0.iter().enumerate().map(|(at, link)| (LinkId(at as u16), link))
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (LinkId, &mut Link)> {
        self.0.iter_mut().enumerate().map(|(at, link)| (LinkId(at as u16), link))
    }

    /// Adds a connection, in the place of a closed one if there is one.
    pub(super) fn add(&mut self, link: Link) -> LinkId {
        let free = self.iter().find(|(_, link)| link.is_closed()).map(|(id, _)| id);
        if let Some(id) = free {
            self[id] = link;
            return id;
        }
        self.0.push(link);
        LinkId((self.0.len() - 1) as u16)
    }

    /// The connection for the next request: the open one with the least to write.
    pub(super) fn choose(&self) -> Option<LinkId> {
        if let [only] = &self.0[..] {
            return only.is_open().then_some(LinkId::FIRST);
        }
        let open = self.iter().filter(|(_, link)| link.is_open());
        open.min_by_key(|(_, link)| link.queue.len()).map(|(id, _)| id)
    }

    /// A connection over which text can be exchanged now.
    pub(super) fn choose_for_text(&self) -> Option<LinkId> {
        self.iter().find(|(_, link)| link.is_open() && link.text.is_none()).map(|(id, _)| id)
    }
}

#[expect(clippy::indexing_slicing, reason = "ids are made here, and no connection is taken out")]
impl Index<LinkId> for Links {
    type Output = Link;

    fn index(&self, id: LinkId) -> &Link {
        &self.0[usize::from(id.0)]
    }
}

#[expect(clippy::indexing_slicing, reason = "ids are made here, and no connection is taken out")]
impl IndexMut<LinkId> for Links {
    fn index_mut(&mut self, id: LinkId) -> &mut Link {
        &mut self.0[usize::from(id.0)]
    }
}
