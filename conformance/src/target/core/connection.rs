use std::sync::Arc;
use std::task::Waker;

use iscsi_proto::pdu::{AsyncEvent, BHS_LEN};
use iscsi_proto::portal::Portal;
use iscsi_proto::scsi::Lun;

use super::full::{Ending, FullFeature};
use super::login::{Login, Turn};
use super::node::Node;
use super::outbox::Outbox;
use super::wire::{Digests, OutPdu};
use crate::target::counters::Counters;
use crate::target::rope::Rope;

/// Bytes of answers that may wait before no more requests are worked on.
pub const HIGH_WATER: usize = 4 * 1024 * 1024;

/// One connection of an initiator: bytes go in, PDUs come out. Does no IO and keeps no clock.
///
/// It leaves its session when it is dropped.
#[derive(Debug)]
pub struct Connection {
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    Login(Box<Login>),
    Full(Box<FullFeature>),
    /// The login has failed.
    Over(Outbox),
}

impl Connection {
    /// A connection that came in at `portal`.
    ///
    /// `waker` is woken when another connection of the node has left something to do: call [`Connection::poll`] then.
    pub fn new(node: Arc<Node>, portal: Portal, waker: Waker) -> Self {
        Counters::add(&node.counters().connections, 1);
        Self { phase: Phase::Login(Box::new(Login::new(node, portal, waker))) }
    }

    /// Works on complete PDUs at the start of `bytes`, as many as there is room for answers to.
    ///
    /// Returns how many bytes that took. The rest has to come again, with more behind it or once answers were taken.
    pub fn receive(&mut self, bytes: &[u8]) -> usize {
        let mut used = 0;
        loop {
            let rest = bytes.get(used..).unwrap_or_default();
            let step = match &mut self.phase {
                Phase::Over(_) => return bytes.len(),
                Phase::Full(full) => return used + full.receive(rest),
                Phase::Login(login) => {
                    let (step, turn) = login.receive(rest);
                    self.turn(turn);
                    step
                }
            };
            used += step;
            if step == 0 {
                return used;
            }
        }
    }

    fn turn(&mut self, turn: Turn) {
        let Phase::Login(login) = &mut self.phase else { return };
        match turn {
            Turn::Continue => {}
            Turn::Done(full) => self.phase = Phase::Full(full),
            Turn::Failed => {
                let out = std::mem::replace(&mut login.out, Outbox::new(iscsi_proto::serial::Serial(0)));
                self.phase = Phase::Over(out);
            }
        }
    }

    /// Bytes that have to be there before [`Connection::receive`] can go on with what starts `bytes`.
    pub fn wanted(&self, bytes: &[u8]) -> usize {
        let total = match &self.phase {
            Phase::Login(_) => Login::wanted(bytes),
            Phase::Full(full) => full.wanted(bytes),
            Phase::Over(_) => None,
        };
        // Without a whole header there is no telling; additional segments and a digest may follow it.
        total.unwrap_or(BHS_LEN + 1024)
    }

    /// Does what other connections have left to do, and what is overdue by the [time of the node](Node::advance).
    pub fn poll(&mut self) {
        if let Phase::Full(full) = &mut self.phase {
            full.poll();
        }
    }

    /// The next PDU to send.
    pub fn next_pdu(&mut self) -> Option<OutPdu> {
        self.outbox().pop()
    }

    /// Whether the connection goes on.
    pub fn ending(&self) -> Ending {
        match &self.phase {
            Phase::Login(_) => Ending::Open,
            Phase::Full(full) => full.ending(),
            Phase::Over(_) => Ending::Flush,
        }
    }

    /// Whether login has succeeded.
    pub const fn is_logged_in(&self) -> bool {
        matches!(self.phase, Phase::Full(_))
    }

    /// Whether it has to be polled now and then although nothing comes in: data may be overdue.
    pub fn keeps_time(&self) -> bool {
        matches!(&self.phase, Phase::Full(full) if full.params.recovers_data())
    }

    /// The digests of PDUs that come in.
    pub fn digests(&self) -> Digests {
        match &self.phase {
            Phase::Full(full) => Digests { header: full.params.header_digest, data: full.params.data_digest },
            _ => Digests::default(),
        }
    }

    /// Sends a NOP-In that the initiator has to answer. Does nothing before login has ended.
    pub fn ping(&mut self) {
        if let Phase::Full(full) = &mut self.phase {
            full.ping();
        }
    }

    /// Sends an Asynchronous Message; `data` is its data segment. Does nothing before login has ended.
    pub fn announce(&mut self, event: AsyncEvent, lun: Lun, data: Rope) {
        if let Phase::Full(full) = &mut self.phase {
            full.announce(event, lun, data);
        }
    }

    const fn outbox(&mut self) -> &mut Outbox {
        match &mut self.phase {
            Phase::Login(login) => &mut login.out,
            Phase::Full(full) => &mut full.out,
            Phase::Over(out) => out,
        }
    }
}
