use std::collections::VecDeque;

use iscsi_proto::pdu::{Header, Numbering, padding};
use iscsi_proto::serial::Serial;

use super::session::Session;
use super::wire::{Digests, OutPdu};
use crate::target::rope::Rope;

/// PDUs of one connection that are ready to go, and the StatSN of the next one.
#[derive(Debug)]
pub(super) struct Outbox {
    pdus: VecDeque<OutPdu>,
    /// Bytes that `pdus` take, digests left out.
    bytes: usize,
    stat_sn: Serial,
    digests: Digests,
}

impl Outbox {
    pub(super) const fn new(first_stat_sn: Serial) -> Self {
        let digests = Digests { header: false, data: false };
        Self { pdus: VecDeque::new(), bytes: 0, stat_sn: first_stat_sn, digests }
    }

    /// Uses these digests from the next PDU on.
    pub(super) const fn set_digests(&mut self, digests: Digests) {
        self.digests = digests;
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn push(&mut self, header: Header, data: Rope) {
        self.bytes += header.0.len() + data.len() + padding(data.len());
        self.pdus.push_back(OutPdu { header, data, digests: self.digests });
    }

    pub(super) fn pop(&mut self) -> Option<OutPdu> {
        let pdu = self.pdus.pop_front()?;
        self.bytes -= pdu.header.0.len() + pdu.data.len() + padding(pdu.data.len());
        Some(pdu)
    }

    /// StatSN for a PDU that consumes it.
    pub(super) const fn take_stat_sn(&mut self) -> Serial {
        let stat_sn = self.stat_sn;
        self.stat_sn = stat_sn.next();
        stat_sn
    }

    /// Numbers for a PDU that consumes a StatSN.
    pub(super) fn status(&mut self, session: &Session) -> Numbering {
        let (exp_cmd_sn, max_cmd_sn) = session.numbers();
        Numbering { stat_sn: self.take_stat_sn(), exp_cmd_sn, max_cmd_sn }
    }

    /// Numbers for a PDU that carries the next StatSN without consuming it.
    pub(super) fn preview(&self, session: &Session) -> Numbering {
        let (exp_cmd_sn, max_cmd_sn) = session.numbers();
        Numbering { stat_sn: self.stat_sn, exp_cmd_sn, max_cmd_sn }
    }
}
