//! Peers that make no sense. Nothing that they send may make the target panic, hang, or break its own rules, which
//! [`Peer::answers`] checks of every PDU.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use conformance::target::config::{Limits, LunConfig};
use conformance::target::core::Node;
use iscsi_proto::isid::Isid;
use iscsi_proto::pdu::{
    Header, LoginStatus, LogoutReason, LogoutRequest, NopOut, Opcode, Pdu, ScsiCommand, Stage, TaskFunction,
    TaskRequest,
};
use iscsi_proto::scsi::{Cdb, Lun, Status};
use iscsi_proto::serial::Serial;
use iscsi_proto::tags::{Itt, Ttt};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::peer::{Answer, BLOCK, Peer, data_out, node, node_with};
use crate::snack::recovering;

const REQUESTS: [Opcode; 8] = [
    Opcode::NopOut,
    Opcode::ScsiCommand,
    Opcode::TaskRequest,
    Opcode::LoginRequest,
    Opcode::TextRequest,
    Opcode::DataOut,
    Opcode::LogoutRequest,
    Opcode::Snack,
];

/// A header whose fields are likely to mean something: small numbers in most places.
fn header() -> impl Strategy<Value = Header> {
    let field = prop_oneof![4 => Just(0u8), 2 => 0..4u8, 1 => any::<u8>()];
    (prop::sample::select(&REQUESTS[..]), any::<bool>(), any::<u8>(), vec(field, 48)).prop_map(
        |(opcode, immediate, flags, fields)| {
            let mut header = Header::new(opcode);
            for (to, from) in header.0[2..].iter_mut().zip(fields) {
                *to = from;
            }
            header.0[0] |= if immediate { 0x40 } else { 0 };
            header.0[1] = flags;
            header.with_ahs_len(0).with_data_len(0)
        },
    )
}

/// CDBs of all operation codes that the target looks at, with small numbers in them.
fn cdb() -> impl Strategy<Value = [u8; 16]> {
    let opcodes = vec![
        0x00u8, 0x03, 0x08, 0x0a, 0x12, 0x15, 0x1a, 0x1b, 0x25, 0x28, 0x2a, 0x2e, 0x2f, 0x35, 0x41, 0x42, 0x55, 0x5a,
        0x53, 0x5e, 0x5f, 0x88, 0x89, 0x8a, 0x8e, 0x8f, 0x91, 0x93, 0x9e, 0xa0, 0xa3, 0xa8, 0xaa, 0xae, 0xaf, 0x7f,
        0xc0,
    ];
    let field = prop_oneof![4 => Just(0u8), 2 => 0..9u8, 1 => any::<u8>()];
    (prop::sample::select(opcodes), vec(field, 15)).prop_map(|(opcode, fields)| {
        let mut cdb = [opcode; 16];
        cdb[1..].copy_from_slice(&fields);
        cdb
    })
}

/// Connections of one session.
struct Party {
    peers: BTreeMap<u16, Peer>,
    cmd_sn: Serial,
    isid: Isid,
    tsih: u16,
    /// What was asked for and may be waiting.
    asked: Vec<(Itt, Ttt)>,
    tags: u32,
}

impl Party {
    fn new(node: &Arc<Node>) -> Self {
        let leader = crate::snack::logged_in(node, "2");
        let (cmd_sn, isid, tsih) = (leader.cmd_sn, leader.isid, leader.tsih);
        Self { peers: BTreeMap::from([(0, leader)]), cmd_sn, isid, tsih, asked: Vec::new(), tags: 100 }
    }

    fn join(&mut self, node: &Arc<Node>, cid: u16) {
        let mut peer = Peer::new(node);
        (peer.isid, peer.tsih, peer.cid, peer.repeats) = (self.isid, self.tsih, cid, true);
        let names = [("InitiatorName", crate::peer::INITIATOR), ("TargetName", crate::peer::TARGET)];
        let (response, _) = peer.login(Stage::Operational, Some(Stage::FullFeature), &names);
        if response.status == LoginStatus::SUCCESS {
            self.peers.insert(cid, peer);
        }
    }

    fn step(&mut self, node: &Arc<Node>, step: u8, cid: u16, number: u32) {
        let (itt, ttt) = self.asked.get(number as usize).copied().unwrap_or((Itt(1), Ttt(1)));
        match step {
            0 => self.join(node, cid),
            1 => drop(self.peers.remove(&cid)),
            2 => node.advance(node.now() + Duration::from_secs(number.into())),
            3 | 4 => self.command(cid, step == 3, number),
            5 => {
                let pdu = data_out(itt, ttt, number % 2, 512 * (number % 3), number.is_multiple_of(4));
                self.send(cid, pdu, &[1; 512]);
            }
            6 => self.manage(cid, TaskFunction::TaskReassign, itt, number),
            _ => {
                let reason = LogoutReason::RemoveForRecovery;
                let cid_of = (number % 3) as u16;
                let (itt, cmd_sn, exp_stat_sn) = (self.tag(), self.cmd_sn, Serial(0));
                self.send(cid, LogoutRequest { immediate: true, reason, itt, cid: cid_of, cmd_sn, exp_stat_sn }, &[]);
            }
        }
        for peer in self.peers.values_mut() {
            peer.connection.poll();
            self.asked.extend(asked(&peer.answers()));
        }
        self.peers.retain(|_, peer| peer.is_open());
    }

    /// A command in its turn, or one whose number skips another that comes behind it.
    fn command(&mut self, cid: u16, write: bool, number: u32) {
        let Some(peer) = self.peers.get_mut(&cid) else { return };
        peer.cmd_sn = self.cmd_sn.add(u32::from(number == 7));
        let cdb = if write { Cdb::write(0, 4) } else { Cdb::read(0, 4) };
        let command = ScsiCommand { write, read: !write, ..peer.command(cdb, 4 * BLOCK) };
        let command = ScsiCommand { itt: self.tag(), ..command };
        self.send(cid, command, &[]);
        if let Some(peer) = self.peers.get(&cid) {
            self.cmd_sn = peer.exp_cmd_sn;
        }
    }

    fn manage(&mut self, cid: u16, function: TaskFunction, referenced: Itt, exp_data_sn: u32) {
        let request = TaskRequest {
            immediate: true,
            function,
            lun: Lun::ZERO,
            itt: self.tag(),
            referenced,
            cmd_sn: self.cmd_sn,
            exp_stat_sn: Serial(0),
            ref_cmd_sn: self.cmd_sn.sub(1),
            exp_data_sn: Serial(exp_data_sn),
        };
        self.send(cid, request, &[]);
    }

    fn tag(&mut self) -> Itt {
        self.tags += 1;
        Itt(self.tags)
    }

    fn send(&mut self, cid: u16, pdu: impl Into<Pdu>, data: &[u8]) {
        let Some(peer) = self.peers.get_mut(&cid) else { return };
        let bytes = peer.encode(pdu, &[], data);
        peer.connection.receive(&bytes);
        self.asked.extend(asked(&peer.answers()));
        if self.asked.len() > 8 {
            self.asked.drain(..self.asked.len() - 8);
        }
    }

    /// All tasks end, and with them the places that they took.
    fn end(mut self, node: &Arc<Node>) {
        node.advance(node.now() + Duration::from_secs(100));
        if self.peers.is_empty() {
            return assert_eq!(node.sessions(), []);
        }
        for (cid, peer) in &mut self.peers {
            let (cmd_sn, exp_stat_sn) = (peer.exp_cmd_sn, peer.exp_stat_sn.unwrap());
            let nop = NopOut {
                immediate: true,
                lun: Lun::ZERO,
                itt: Itt(90_000 + u32::from(*cid)),
                ttt: Ttt::RESERVED,
                cmd_sn,
                exp_stat_sn,
            };
            peer.manage(TaskFunction::LogicalUnitReset, Itt::RESERVED, Serial(0));
            node.advance(node.now() + Duration::from_secs(100));
            peer.connection.poll();
            peer.answers();
            peer.send(nop, &[]);
        }
        for peer in self.peers.values_mut() {
            peer.connection.poll();
            peer.answers();
            peer.manage(TaskFunction::LogicalUnitReset, Itt::RESERVED, Serial(0));
        }
        let all: Vec<u32> = self.peers.values().map(|peer| peer.max_cmd_sn.distance_from(peer.exp_cmd_sn)).collect();
        assert_eq!(all.last(), Some(&127), "a task was left behind");
    }
}

/// The R2Ts among answers.
fn asked(answers: &[Answer]) -> Vec<(Itt, Ttt)> {
    let r2ts = answers.iter().filter_map(|answer| match &answer.pdu {
        Pdu::R2t(r2t) => Some((r2t.itt, r2t.ttt)),
        Pdu::DataIn(data) => Some((data.itt, data.ttt)),
        _ => None,
    });
    r2ts.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn bytes_before_login_do_no_harm(bytes in vec(any::<u8>(), 0..300), login: bool) {
        let mut peer = Peer::new(&node());
        let bytes = if login { [&Header::new(Opcode::LoginRequest).0[..], &bytes].concat() } else { bytes };
        let used = peer.connection.receive(&bytes);
        prop_assert!(used <= bytes.len() && peer.connection.wanted(&bytes[used..]) > 0);
        peer.answers();
    }

    #[test]
    fn login_text_of_any_kind_does_no_harm(text in vec("[A-Z][A-Za-z]{0,12}=[A-Za-z0-9,~:.-]{0,20}", 0..8), stage in 0..16u8) {
        let mut peer = Peer::new(&node());
        let mut header = Header::new(Opcode::LoginRequest);
        header.0[1] = stage << 4 | stage;
        let names = format!("InitiatorName={}\0TargetName={}\0", crate::peer::INITIATOR, crate::peer::TARGET);
        let text = names + &text.join("\0");
        let mut bytes = header.with_data_len(text.len() as u32).0.to_vec();
        bytes.extend_from_slice(text.as_bytes());
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        for _ in 0..3 {
            peer.connection.receive(&bytes);
            peer.answers();
        }
    }

    #[test]
    fn requests_of_any_kind_do_no_harm(level in 0..3u8, requests in vec((header(), vec(any::<u8>(), 0..600)), 1..30)) {
        let node = node_with(|target| {
            target.luns = vec![LunConfig::memory(1 << 16).thin(), LunConfig::null(1 << 40)];
            target.limits = Limits {
                error_recovery_level: 2, max_connections: 2, time2retain: 1, data_ack: true, ..Limits::default()
            };
        });
        let keys = [("InitialR2T", "No"), ("ErrorRecoveryLevel", &level.to_string()), ("MaxConnections", "2")];
        let mut peer = Peer::logged_in(&node, &keys);
        peer.repeats = true;
        for (mut header, data) in requests {
            // Numbers near the window, so that some requests get through.
            let near = peer.cmd_sn.add(u32::from(header.0[27] & 1)).0.to_be_bytes();
            header.0[24..28].copy_from_slice(&near);
            let bytes = peer.encode_raw(header, &data);
            peer.connection.receive(&bytes);
            peer.answers();
            peer.cmd_sn = peer.exp_cmd_sn;
            node.advance(node.now() + Duration::from_secs(1));
            peer.connection.poll();
            peer.answers();
        }
        drop(peer);
        node.advance(node.now() + Duration::from_secs(3600));
        prop_assert_eq!(node.sessions(), vec![]);
    }

    #[test]
    fn connections_that_come_and_go_leave_nothing_behind(steps in vec((0..8u8, 0..3u16, 0..8u32), 1..60)) {
        let node = recovering(2, |_| {});
        let mut party = Party::new(&node);
        for (step, cid, number) in steps {
            party.step(&node, step, cid, number);
        }
        party.end(&node);
    }

    #[test]
    fn commands_of_any_kind_are_answered_and_leave_the_unit_usable(
        commands in vec((cdb(), 0..5000usize, any::<bool>(), vec(any::<u8>(), 0..200)), 1..20),
    ) {
        let node = node_with(|target| target.luns = vec![LunConfig::memory(1 << 16).thin()]);
        let mut peer = Peer::logged_in(&node, &[]);
        for (cdb, len, write, data) in commands {
            let cdb = Cdb::from_bytes(&cdb).unwrap();
            let done = if write {
                let data: Vec<u8> = data.iter().copied().cycle().take(if data.is_empty() { 0 } else { len }).collect();
                peer.write(cdb, &data, len / 2)
            } else {
                peer.read(cdb, len)
            };
            prop_assert_eq!(done.status == Status::CHECK_CONDITION, done.sense.is_some());
            prop_assert!(done.data.len() <= len);
        }
        prop_assert_eq!(peer.max_cmd_sn.distance_from(peer.exp_cmd_sn), 127, "a task was left behind");
        let status = peer.read(Cdb::read(0, 1), BLOCK).status;
        prop_assert!(matches!(status, Status::GOOD | Status::RESERVATION_CONFLICT));
    }

    #[test]
    fn a_flipped_bit_does_no_harm(at in 0..560usize, bit in 0..8u8, digests: bool) {
        let list = if digests { "CRC32C" } else { "None" };
        let mut peer = Peer::logged_in(&node(), &[("HeaderDigest", list), ("DataDigest", list)]);
        peer.use_digests(digests, digests);
        let command = ScsiCommand { write: true, ..peer.command(Cdb::write(0, 1), BLOCK) };
        let mut bytes = peer.encode(command, &[], &[1; BLOCK]);
        let at = at.min(bytes.len() - 1);
        bytes[at] ^= 1 << bit;
        peer.connection.receive(&bytes);
        let answers = peer.answers();
        if digests {
            prop_assert!(answers.iter().all(|answer| !matches!(answer.pdu, iscsi_proto::pdu::Pdu::ScsiResponse(_))));
        }
    }
}
