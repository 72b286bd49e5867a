//! The target's side: its core, fed with bytes and asked for bytes.

use std::sync::Arc;
use std::task::Waker;

use bytes::Buf;
use iscsi_proto::pdu::{AsyncEvent, Opcode};
use iscsi_proto::portal::Portal;
use iscsi_proto::scsi::Lun;
use rand::RngExt;
use rand::rngs::StdRng;

use crate::target::core::{Connection, Ending, HIGH_WATER, Node, Wire};
use crate::target::rope::Rope;

/// One connection of the target.
#[derive(Debug)]
pub(super) struct Peer {
    connection: Connection,
    input: Vec<u8>,
    wire: Wire,
    /// One in so many Data-In PDUs and SCSI Responses is lost, and what decides which.
    loss: Option<(u32, StdRng)>,
}

impl Peer {
    pub(super) fn new(node: &Arc<Node>, portal: Portal, loss: Option<(u32, StdRng)>) -> Self {
        let connection = Connection::new(node.clone(), portal, Waker::noop().clone());
        Self { connection, input: Vec::new(), wire: Wire::new(), loss }
    }

    /// Asks for a sign of life.
    pub(super) fn ping(&mut self) {
        self.connection.ping();
    }

    /// Asks for a logout within so many seconds.
    pub(super) fn ask_for_logout(&mut self, deadline: u16) {
        self.connection.announce(AsyncEvent::LogoutRequest { deadline }, Lun::ZERO, Rope::new());
    }

    /// Takes what has arrived.
    pub(super) fn receive(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
        self.work();
    }

    /// At most `room` bytes to send.
    pub(super) fn outgoing(&mut self, room: usize) -> Vec<u8> {
        self.work();
        let mut bytes = Vec::new();
        while bytes.len() < room && self.wire.has_remaining() {
            let chunk = self.wire.chunk();
            let part = chunk.get(..room - bytes.len()).unwrap_or(chunk);
            bytes.extend_from_slice(part);
            let len = part.len();
            self.wire.advance(len);
        }
        bytes
    }

    /// Whether it wants to close, all it had to say being said.
    pub(super) fn is_over(&self) -> bool {
        match self.connection.ending() {
            Ending::Open => false,
            Ending::Flush => self.wire.is_empty(),
            Ending::Now => true,
        }
    }

    fn work(&mut self) {
        self.connection.poll();
        if self.wire.len() < HIGH_WATER {
            let used = self.connection.receive(&self.input);
            self.input.drain(..used);
        }
        while let Some(pdu) = self.connection.next_pdu() {
            if !self.loses(pdu.header.opcode().ok()) {
                self.wire.push(&pdu);
            }
        }
    }

    /// Whether the network loses the next PDU.
    fn loses(&mut self, opcode: Option<Opcode>) -> bool {
        let can = matches!(opcode, Some(Opcode::DataIn | Opcode::ScsiResponse));
        self.loss.as_mut().filter(|_| can).is_some_and(|(loss, rng)| rng.random_ratio(1, *loss))
    }
}
