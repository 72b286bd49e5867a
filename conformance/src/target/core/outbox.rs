use std::collections::VecDeque;

use iscsi_proto::pdu::{Header, Numbering, padding};
use iscsi_proto::serial::Serial;

use super::kept::{Kept, takes_stat_sn};
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
    /// At error recovery level 1 and up.
    kept: Option<Box<Kept>>,
}

impl Outbox {
    pub(super) const fn new(first_stat_sn: Serial) -> Self {
        let digests = Digests { header: false, data: false };
        Self { pdus: VecDeque::new(), bytes: 0, stat_sn: first_stat_sn, digests, kept: None }
    }

    /// Uses these digests from the next PDU on.
    pub(super) const fn set_digests(&mut self, digests: Digests) {
        self.digests = digests;
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Keeps responses from the next one on until they are acknowledged.
    pub(super) fn keep(&mut self) {
        self.kept = Some(Box::new(Kept::new(self.stat_sn)));
    }

    /// What is kept, if anything is.
    pub(super) const fn kept(&mut self) -> Option<&mut Kept> {
        match &mut self.kept {
            Some(kept) => Some(kept),
            None => None,
        }
    }

    /// Takes what is kept away, for [`Outbox::put_kept`].
    pub(super) const fn take_kept(&mut self) -> Option<Box<Kept>> {
        self.kept.take()
    }

    pub(super) fn put_kept(&mut self, kept: Option<Box<Kept>>) {
        self.kept = kept;
    }

    /// The initiator waits for this StatSN.
    pub(super) fn acknowledge(&mut self, expected: Serial) {
        let next = self.stat_sn;
        if let Some(kept) = &mut self.kept {
            kept.acknowledge(expected, next);
        }
    }

    pub(super) fn push(&mut self, header: Header, data: Rope) {
        if let Some(kept) = &mut self.kept
            && takes_stat_sn(&header)
        {
            kept.push(header, data.clone());
        }
        self.push_again(header, data);
    }

    /// Sends a PDU that was sent before, or one that takes no StatSN.
    pub(super) fn push_again(&mut self, header: Header, data: Rope) {
        self.bytes += header.0.len() + data.len() + padding(data.len());
        self.pdus.push_back(OutPdu { header, data, digests: self.digests });
    }

    pub(super) fn pop(&mut self) -> Option<OutPdu> {
        let pdu = self.pdus.pop_front()?;
        self.bytes -= pdu.header.0.len() + pdu.data.len() + padding(pdu.data.len());
        Some(pdu)
    }

    /// StatSN of the next PDU that consumes one.
    pub(super) const fn next_stat_sn(&self) -> Serial {
        self.stat_sn
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
