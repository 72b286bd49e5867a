//! The core against hand-made PDUs, in virtual time.

mod both;
mod links;
mod management;
mod numbering;
mod reads;
mod reassign;
mod repair;
mod writes;

use std::io::IoSlice;

use bytes::{Bytes, BytesMut};
use iscsi_proto::framer::{FrameLimits, Framer, encode_frame};
use iscsi_proto::pdu::{DataIn, Numbering, Pdu, R2t, Residual, ScsiCommand, ScsiResponse, ServiceResponse};
use iscsi_proto::scsi::{Cdb, Status};
use iscsi_proto::tags::{Itt, Ttt};

use super::super::command::{Command, Response};
use super::super::misbehaved::PeerMisbehaved;
use super::*;

const SECOND: Duration = Duration::from_secs(1);
const PATIENCE: Patience =
    Patience { command: Duration::from_secs(15), management: Duration::from_secs(10), idle: None, ping: SECOND };

/// A core and a target that says what a test tells it to.
struct World {
    core: Core,
    now: Time,
    framer: Framer,
    digests: (bool, bool),
    stat_sn: Serial,
    exp_cmd_sn: Serial,
    max_cmd_sn: Serial,
}

impl World {
    fn new() -> Self {
        Self::with(Negotiated::default())
    }

    fn with(negotiated: Negotiated) -> Self {
        Self::patient(negotiated, PATIENCE)
    }

    fn patient(negotiated: Negotiated, patience: Patience) -> Self {
        let digests = (negotiated.header_digest, negotiated.data_digest);
        let limits =
            FrameLimits { max_data: 1 << 24, allow_ahs: true, header_digest: digests.0, data_digest: digests.1 };
        let (stat_sn, exp_cmd_sn, max_cmd_sn) = (Serial(100), Serial(7), Serial(38));
        let start = Start { negotiated, cid: 1, cmd_sn: exp_cmd_sn, exp_cmd_sn, max_cmd_sn, exp_stat_sn: stat_sn };
        let core = Core::new(start, patience, Time::ZERO);
        Self { core, now: Time::ZERO, framer: Framer::new(limits), digests, stat_sn, exp_cmd_sn, max_cmd_sn }
    }

    fn submit(&mut self, token: Token, command: Command) {
        self.core.submit(Request::Scsi { lun: Lun::from(3), command }, token, self.now);
    }

    fn read(&mut self, token: Token, length: usize) {
        self.submit(token, Command::read(Cdb::read(0, 1), BytesMut::zeroed(length)));
    }

    fn write(&mut self, token: Token, length: usize) {
        self.submit(token, Command::write(Cdb::write(0, 1), pattern(length)));
    }

    /// Takes what the core sends.
    fn sent(&mut self) -> Vec<(Pdu, Bytes)> {
        let mut pdus = Vec::new();
        loop {
            let mut slices = [IoSlice::new(&[]); 8];
            let filled = self.core.outgoing(LinkId::FIRST, &mut slices);
            let bytes: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect();
            if bytes.is_empty() {
                return pdus;
            }
            self.core.sent(LinkId::FIRST, bytes.len(), self.now);
            self.framer.feed(&bytes);
            while let Some(frame) = self.framer.next_frame().unwrap() {
                pdus.push((Pdu::parse(&frame.header).unwrap(), frame.data));
            }
        }
    }

    /// The only PDU that the core sends now, which has to be a SCSI command.
    fn command(&mut self) -> ScsiCommand {
        match &self.sent()[..] {
            [(Pdu::ScsiCommand(command), _)] => command.clone(),
            other => panic!("{other:?}"),
        }
    }

    fn numbering(&self) -> Numbering {
        Numbering { stat_sn: self.stat_sn, exp_cmd_sn: self.exp_cmd_sn, max_cmd_sn: self.max_cmd_sn }
    }

    /// The numbers of a PDU that takes a StatSN.
    fn status(&mut self) -> Numbering {
        let numbering = self.numbering();
        self.stat_sn = self.stat_sn.next();
        numbering
    }

    fn wire(&self, pdu: &Pdu, data: &[u8]) -> BytesMut {
        let mut wire = BytesMut::new();
        encode_frame(pdu.encode(), &[], data, self.digests.0, self.digests.1, &mut wire);
        wire
    }

    /// The target sends a PDU.
    fn say(&mut self, pdu: impl Into<Pdu>, data: &[u8]) {
        let wire = self.wire(&pdu.into(), data);
        let used = self.core.receive(LinkId::FIRST, &wire, self.now);
        if self.core.closed().is_none() {
            assert_eq!(used, wire.len());
        }
    }

    fn data_in(&self, itt: Itt, data_sn: u32, offset: u32) -> DataIn {
        DataIn {
            fin: true,
            acknowledge: false,
            status: None,
            lun: Lun::ZERO,
            itt,
            ttt: Ttt::RESERVED,
            numbering: self.numbering(),
            data_sn: Serial(data_sn),
            offset,
        }
    }

    fn response(&mut self, itt: Itt, status: Status) -> ScsiResponse {
        ScsiResponse {
            response: ServiceResponse::Completed,
            status,
            qualifier: 0,
            itt,
            snack_tag: 0,
            numbering: self.status(),
            exp_data_sn: Serial(0),
            bidi_residual: Residual::None,
            residual: Residual::None,
        }
    }

    fn r2t(&self, itt: Itt, r2t_sn: u32, offset: u32, length: u32) -> R2t {
        let (lun, ttt, numbering) = (Lun::from(3), Ttt(0x77 + r2t_sn), self.numbering());
        R2t { lun, itt, ttt, numbering, r2t_sn: Serial(r2t_sn), offset, length }
    }

    fn done(&mut self) -> Vec<(Token, Completion)> {
        let mut done = Vec::new();
        self.core.take_done(&mut done);
        done
    }

    /// The only completion there is, which has to be that of `token`.
    fn completion(&mut self, token: Token) -> Completion {
        let mut done = self.done();
        assert_eq!(done.len(), 1, "{done:?}");
        let (done, completion) = done.remove(0);
        assert_eq!(done, token);
        completion
    }

    fn ended(&mut self, token: Token) -> Response {
        match self.completion(token) {
            Ok(Finished::Scsi(response)) => response,
            other => panic!("{other:?}"),
        }
    }

    /// Lets time pass up to the core's next deadline.
    fn next_deadline(&mut self) {
        self.now = self.core.deadline().expect("a deadline").max(self.now);
        self.core.expire(self.now);
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.core.expire(self.now);
    }

    /// Why the connection ended; everything has to have ended with it.
    fn misbehaved(&mut self) -> PeerMisbehaved {
        assert_eq!(self.core.tasks.len(), 0);
        match self.core.closed() {
            Some(ConnectionError::Misbehaved(rule)) => rule.clone(),
            other => panic!("{other:?}"),
        }
    }

    /// Nothing is left of any task.
    fn assert_clean(&mut self) {
        assert_eq!(self.core.tasks.len(), 0);
        assert!(self.core.waiting.is_empty() && self.core.closed().is_none());
        assert!(self.core.links.iter().all(|(_, link)| link.writers.is_empty() && link.landing.is_none()));
        assert!(self.done().is_empty());
        assert!(self.sent().is_empty());
    }
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i % 253) as u8).collect()
}
