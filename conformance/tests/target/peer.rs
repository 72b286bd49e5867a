//! An initiator that does exactly what a test tells it to.

use std::sync::Arc;
use std::task::Waker;

use bytes::{Buf, Bytes, BytesMut};
use conformance::target::config::{Config, LunConfig, TargetConfig};
use conformance::target::core::{Connection, Ending, Node, Wire};
use iscsi_proto::framer::{FrameLimits, Framer, encode_frame};
use iscsi_proto::isid::Isid;
use iscsi_proto::keys::text;
use iscsi_proto::pdu::{
    DataOut, LoginRequest, LoginResponse, LoginStatus, Pdu, Residual, ScsiCommand, ScsiResponse, Stage, TaskAttribute,
    TaskFunction, TaskRequest, TaskResult, split_sense,
};
use iscsi_proto::portal::Portal;
use iscsi_proto::scsi::{Cdb, Lun, Sense, Status};
use iscsi_proto::serial::Serial;
use iscsi_proto::tags::{Itt, Ttt};

pub(crate) const TARGET: &str = "iqn.2025-01.example:disk";
pub(crate) const INITIATOR: &str = "iqn.2025-01.example:host";
pub(crate) const BLOCK: usize = 512;

/// A target with one unit of 1 MiB, changed by `change`.
pub(crate) fn node_with(change: impl FnOnce(&mut TargetConfig)) -> Arc<Node> {
    let mut target = TargetConfig::new(TARGET.parse().unwrap()).lun(LunConfig::memory(1 << 20));
    target.unit_attention = false;
    change(&mut target);
    Arc::new(Node::new(Config { targets: vec![target], ..Config::default() }).unwrap())
}

pub(crate) fn node() -> Arc<Node> {
    node_with(|_| {})
}

/// One connection to a node.
pub(crate) struct Peer {
    pub(crate) connection: Connection,
    framer: Framer,
    limits: FrameLimits,
    pub(crate) cmd_sn: Serial,
    pub(crate) next_itt: u32,
    pub(crate) isid: Isid,
    pub(crate) tsih: u16,
    pub(crate) cid: u16,
    /// Whether the target may send again what it has sent.
    pub(crate) repeats: bool,
    /// StatSN of the next response that consumes one; `None` before the first.
    pub(crate) exp_stat_sn: Option<Serial>,
    pub(crate) exp_cmd_sn: Serial,
    pub(crate) max_cmd_sn: Serial,
}

/// A PDU of the target with its data.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) pdu: Pdu,
    pub(crate) data: Bytes,
}

/// How a command ended, and the data that it returned.
#[derive(Clone, Debug)]
pub(crate) struct Done {
    pub(crate) status: Status,
    pub(crate) residual: Residual,
    pub(crate) sense: Option<Sense>,
    pub(crate) data: Vec<u8>,
}

impl Peer {
    pub(crate) fn new(node: &Arc<Node>) -> Self {
        Self::woken_by(node, Waker::noop().clone())
    }

    pub(crate) fn woken_by(node: &Arc<Node>, waker: Waker) -> Self {
        let portal: Portal = "192.0.2.1:3260".parse().unwrap();
        Self {
            connection: Connection::new(node.clone(), portal, waker),
            framer: Framer::new(FrameLimits::LOGIN),
            limits: FrameLimits::LOGIN,
            cmd_sn: Serial(u32::MAX - 3),
            next_itt: 1,
            isid: Isid::random([1, 2, 3], 4),
            tsih: 0,
            cid: 0,
            repeats: false,
            exp_stat_sn: None,
            exp_cmd_sn: Serial(0),
            max_cmd_sn: Serial(0),
        }
    }

    /// A connection that has logged in with these operational keys.
    pub(crate) fn logged_in(node: &Arc<Node>, keys: &[(&str, &str)]) -> Self {
        let mut peer = Self::new(node);
        peer.log_in(keys);
        peer
    }

    pub(crate) fn log_in(&mut self, keys: &[(&str, &str)]) {
        let names = [("InitiatorName", INITIATOR), ("TargetName", TARGET)];
        let all: Vec<(&str, &str)> = names.iter().chain(keys).copied().collect();
        let (response, _) = self.login(Stage::Operational, Some(Stage::FullFeature), &all);
        assert_eq!(response.status, LoginStatus::SUCCESS);
        assert_eq!(response.next, Some(Stage::FullFeature));
    }

    /// Sends one login request; the response and its text as `key=value`.
    pub(crate) fn login(
        &mut self,
        current: Stage,
        next: Option<Stage>,
        keys: &[(&str, &str)],
    ) -> (LoginResponse, Vec<String>) {
        let request = self.login_request(current, next);
        self.login_with(request, &text::encode(keys.iter().copied()))
    }

    pub(crate) fn login_request(&self, current: Stage, next: Option<Stage>) -> LoginRequest {
        LoginRequest {
            more: false,
            current,
            next,
            version_max: 0,
            version_min: 0,
            isid: self.isid,
            tsih: self.tsih,
            itt: Itt(7),
            cid: self.cid,
            cmd_sn: self.cmd_sn,
            exp_stat_sn: Serial(0),
        }
    }

    pub(crate) fn login_with(&mut self, request: LoginRequest, data: &[u8]) -> (LoginResponse, Vec<String>) {
        let mut answers = self.send(request, data);
        let Some(Answer { pdu: Pdu::LoginResponse(response), data }) = answers.pop() else {
            panic!("no login response")
        };
        assert!(answers.is_empty());
        let pairs = text::parse(&data).unwrap();
        if response.status == LoginStatus::SUCCESS && response.next == Some(Stage::FullFeature) {
            self.tsih = response.tsih;
        }
        (response, pairs.iter().map(ToString::to_string).collect())
    }

    /// Uses digests from now on, as the login has agreed.
    pub(crate) fn use_digests(&mut self, header: bool, data: bool) {
        self.limits = FrameLimits { max_data: 1 << 20, allow_ahs: false, header_digest: header, data_digest: data };
        self.framer.set_limits(self.limits);
    }

    /// Sends a PDU; what comes back.
    pub(crate) fn send(&mut self, pdu: impl Into<Pdu>, data: &[u8]) -> Vec<Answer> {
        let bytes = self.encode(pdu, &[], data);
        self.send_bytes(&bytes)
    }

    pub(crate) fn encode(&self, pdu: impl Into<Pdu>, ahs: &[u8], data: &[u8]) -> BytesMut {
        let mut bytes = BytesMut::new();
        let (header, digest) = (self.limits.header_digest, self.limits.data_digest);
        encode_frame(pdu.into().encode(), ahs, data, header, digest, &mut bytes);
        bytes
    }

    /// A header that need not be a PDU, with data.
    pub(crate) fn encode_raw(&self, header: iscsi_proto::pdu::Header, data: &[u8]) -> BytesMut {
        let mut bytes = BytesMut::new();
        encode_frame(header, &[], data, self.limits.header_digest, self.limits.data_digest, &mut bytes);
        bytes
    }

    /// Sends bytes; what comes back. All of them have to be taken.
    pub(crate) fn send_bytes(&mut self, bytes: &[u8]) -> Vec<Answer> {
        assert_eq!(self.connection.receive(bytes), bytes.len(), "bytes were left");
        self.answers()
    }

    /// Everything that the target wants to send.
    pub(crate) fn answers(&mut self) -> Vec<Answer> {
        let mut wire = Wire::new();
        while let Some(pdu) = self.connection.next_pdu() {
            wire.push(&pdu);
        }
        while wire.has_remaining() {
            let chunk = wire.chunk().to_vec();
            self.framer.feed(&chunk);
            wire.advance(chunk.len());
        }
        let mut answers = Vec::new();
        while let Some(frame) = self.framer.next_frame().unwrap() {
            assert!(frame.ahs.is_empty(), "a target sends no additional headers");
            let pdu = Pdu::parse(&frame.header).unwrap();
            self.check_numbers(&pdu, &frame.header);
            answers.push(Answer { pdu, data: frame.data });
        }
        answers
    }

    /// The rules that hold for every PDU of a target (sections 4.2.2.1 and 4.2.2.2).
    fn check_numbers(&mut self, pdu: &Pdu, header: &iscsi_proto::pdu::Header) {
        let numbering = header.numbering();
        let (consumes, shows) = match pdu {
            Pdu::LoginResponse(response) if response.status != LoginStatus::SUCCESS => return,
            Pdu::DataIn(data) => (data.status.is_some(), data.status.is_some()),
            Pdu::NopIn(nop) => (!nop.itt.is_reserved(), true),
            Pdu::R2t(_) => (false, true),
            _ => (true, true),
        };
        let known = self.exp_stat_sn.unwrap_or(numbering.stat_sn);
        if self.repeats && shows && numbering.stat_sn.lt(known) {
            return;
        }
        if shows {
            let expected = *self.exp_stat_sn.get_or_insert(numbering.stat_sn);
            assert_eq!(numbering.stat_sn, expected, "StatSN of {pdu:?}");
        }
        if consumes {
            self.exp_stat_sn = Some(numbering.stat_sn.next());
        }
        if !matches!(pdu, Pdu::LoginResponse(_)) {
            assert!(self.max_cmd_sn.le(numbering.max_cmd_sn), "MaxCmdSN goes back in {pdu:?}");
            assert!(self.exp_cmd_sn.le(numbering.exp_cmd_sn), "ExpCmdSN goes back in {pdu:?}");
        }
        (self.exp_cmd_sn, self.max_cmd_sn) = (numbering.exp_cmd_sn, numbering.max_cmd_sn);
    }

    pub(crate) fn itt(&mut self) -> Itt {
        self.next_itt += 1;
        Itt(self.next_itt)
    }

    /// A command that is numbered and ready to send.
    pub(crate) fn command(&mut self, cdb: Cdb, expected_length: usize) -> ScsiCommand {
        let cmd_sn = self.cmd_sn;
        self.cmd_sn = cmd_sn.next();
        ScsiCommand {
            immediate: false,
            fin: true,
            read: false,
            write: false,
            attribute: TaskAttribute::Simple,
            priority: 0,
            lun: Lun::ZERO,
            itt: self.itt(),
            expected_length: expected_length as u32,
            cmd_sn,
            exp_stat_sn: self.exp_stat_sn.unwrap_or_default(),
            cdb: cdb.as_padded(),
        }
    }

    /// Runs a command that returns up to `len` bytes.
    pub(crate) fn read(&mut self, cdb: Cdb, len: usize) -> Done {
        let command = ScsiCommand { read: len != 0, ..self.command(cdb, len) };
        let answers = self.send(command, &[]);
        done(&answers)
    }

    /// Runs a command that sends `data`: immediate as far as `immediate` goes, the rest as R2Ts ask for it.
    pub(crate) fn write(&mut self, cdb: Cdb, data: &[u8], immediate: usize) -> Done {
        let command = ScsiCommand { write: true, ..self.command(cdb, data.len()) };
        let answers = self.send(command, &data[..immediate.min(data.len())]);
        self.serve(answers, data)
    }

    /// Answers R2Ts until there is a status.
    pub(crate) fn serve(&mut self, mut answers: Vec<Answer>, data: &[u8]) -> Done {
        let mut rest = Vec::new();
        while !answers.is_empty() {
            let answer = answers.remove(0);
            match &answer.pdu {
                Pdu::R2t(r2t) => {
                    let (start, len) = (r2t.offset as usize, r2t.length as usize);
                    for (n, part) in data[start..start + len].chunks(8192).enumerate() {
                        let offset = r2t.offset + (n * 8192) as u32;
                        let fin = offset + part.len() as u32 == r2t.offset + r2t.length;
                        let pdu = data_out(r2t.itt, r2t.ttt, n as u32, offset, fin);
                        answers.extend(self.send(pdu, part));
                    }
                }
                _ => rest.push(answer),
            }
        }
        done(&rest)
    }

    /// Sends an immediate task management request.
    pub(crate) fn manage(&mut self, function: TaskFunction, referenced: Itt, ref_cmd_sn: Serial) -> Vec<Answer> {
        let request = TaskRequest {
            immediate: true,
            function,
            lun: Lun::ZERO,
            itt: self.itt(),
            referenced,
            cmd_sn: self.cmd_sn,
            exp_stat_sn: self.exp_stat_sn.unwrap_or_default(),
            ref_cmd_sn,
            exp_data_sn: Serial(0),
        };
        self.send(request, &[])
    }

    pub(crate) fn is_open(&self) -> bool {
        self.connection.ending() == Ending::Open
    }
}

pub(crate) fn data_out(itt: Itt, ttt: Ttt, data_sn: u32, offset: u32, fin: bool) -> DataOut {
    DataOut { fin, lun: Lun::ZERO, itt, ttt, exp_stat_sn: Serial(0), data_sn: Serial(data_sn), offset }
}

/// Status, residual, sense and data of a command that is over.
pub(crate) fn done(answers: &[Answer]) -> Done {
    let mut data = Vec::new();
    let mut count = 0;
    for answer in answers {
        match &answer.pdu {
            Pdu::DataIn(pdu) => {
                assert_eq!((pdu.offset as usize, pdu.data_sn), (data.len(), Serial(count)));
                count += 1;
                data.extend_from_slice(&answer.data);
                if let Some((status, residual)) = pdu.status {
                    return Done { status, residual, sense: None, data };
                }
            }
            Pdu::ScsiResponse(ScsiResponse { status, residual, exp_data_sn, .. }) => {
                assert_eq!(*exp_data_sn, Serial(count));
                let (sense, _) = split_sense(&answer.data).unwrap();
                let sense = (!sense.is_empty()).then(|| Sense::parse(sense).unwrap());
                return Done { status: *status, residual: *residual, sense, data };
            }
            other => panic!("{other:?}"),
        }
    }
    panic!("no status in {answers:?}")
}

/// The result of a task management function, if it is the only answer.
pub(crate) fn result(answers: &[Answer]) -> Option<TaskResult> {
    match answers {
        [Answer { pdu: Pdu::TaskResponse(response), .. }] => Some(response.result),
        _ => None,
    }
}

/// Data that tells where it belongs.
pub(crate) fn pattern(len: usize, seed: u8) -> Vec<u8> {
    (0..len).map(|i| (i / 7) as u8 ^ (i >> 8) as u8 ^ seed).collect()
}
