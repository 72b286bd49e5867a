//! SNACK and DataACK at error recovery level 1.

use std::sync::Arc;

use conformance::target::config::Limits;
use conformance::target::core::Node;
use iscsi_proto::keys::text;
use iscsi_proto::pdu::{
    NopOut, Pdu, RejectReason, ScsiCommand, ScsiResponse, Snack, SnackType, TaskFunction, TaskRequest, TextRequest,
};
use iscsi_proto::scsi::{Cdb, Command, Lun, Status};
use iscsi_proto::serial::Serial;
use iscsi_proto::tags::{Itt, Ttt};

use crate::peer::{Answer, BLOCK, Peer, data_out, done, node_with, pattern};

const RESERVED: u32 = u32::MAX;

/// A target that recovers up to this level.
pub(crate) fn recovering(level: u8, change: impl FnOnce(&mut Limits)) -> Arc<Node> {
    node_with(|target| {
        target.limits =
            Limits { error_recovery_level: level, max_connections: 3, time2retain: 20, ..Limits::default() };
        change(&mut target.limits);
    })
}

/// A connection whose Data-In has 1024 bytes.
pub(crate) fn logged_in(node: &Arc<Node>, level: &str) -> Peer {
    let keys = [
        ("ErrorRecoveryLevel", level),
        ("MaxRecvDataSegmentLength", "1024"),
        ("MaxBurstLength", "2048"),
        ("FirstBurstLength", "2048"),
        ("MaxConnections", "3"),
        ("DefaultTime2Wait", "2"),
        ("DefaultTime2Retain", "20"),
    ];
    let mut peer = Peer::logged_in(node, &keys);
    peer.repeats = true;
    peer
}

fn snack(kind: SnackType, itt: Itt, tag: u32, (begin, length): (u32, u32)) -> Snack {
    Snack { kind, lun: Lun::ZERO, itt, tag, exp_stat_sn: Serial(0), begin: Serial(begin), length }
}

fn refused(answers: &[Answer]) -> (RejectReason, u32) {
    let [Answer { pdu: Pdu::Reject(reject), .. }] = answers else { panic!("{answers:?}") };
    (reject.reason, reject.data_sn.0)
}

/// Reads four blocks twice as long as a segment: four Data-In PDUs.
fn read(peer: &mut Peer) -> (Itt, Vec<Answer>) {
    let command = ScsiCommand { read: true, ..peer.command(Cdb::read(0, 8), 8 * BLOCK) };
    (command.itt, peer.send(command, &[]))
}

/// Tells the target how far statuses have arrived.
fn acknowledge(peer: &mut Peer) {
    let nop = NopOut {
        immediate: true,
        lun: Lun::ZERO,
        itt: Itt::RESERVED,
        ttt: Ttt::RESERVED,
        cmd_sn: peer.cmd_sn,
        exp_stat_sn: peer.exp_stat_sn.unwrap(),
    };
    assert!(peer.send(nop, &[]).is_empty());
}

fn same(one: &[Answer], two: &[Answer]) -> bool {
    one.len() == two.len() && one.iter().zip(two).all(|(one, two)| one.pdu == two.pdu && one.data == two.data)
}

#[test]
fn data_comes_again_as_it_was_until_its_status_is_acknowledged() {
    for status_in_data in [true, false] {
        let mut peer = logged_in(&recovering(1, |limits| limits.status_in_data = status_in_data), "1");
        let bytes = pattern(8 * BLOCK, 3);
        assert_eq!(peer.write(Cdb::write(0, 8), &bytes, 0).status, Status::GOOD);
        let (itt, sent) = read(&mut peer);
        assert_eq!(done(&sent).data, bytes);
        for (run, expected) in
            [((1, 2), &sent[1..3]), ((0, 0), &sent[..4]), ((3, 1), &sent[3..4]), ((2, 0), &sent[2..4])]
        {
            let request = snack(SnackType::Data, itt, RESERVED, run);
            assert!(same(&peer.send(request, &[]), expected), "{run:?}");
        }
        for run in [(4, 0), (4, 1), (3, 2), (0, 5), (1, u32::MAX)] {
            let request = snack(SnackType::Data, itt, RESERVED, run);
            assert_eq!(refused(&peer.send(request, &[])), (RejectReason::ProtocolError, 4), "{run:?}");
        }
        acknowledge(&mut peer);
        let request = snack(SnackType::Data, itt, RESERVED, (0, 0));
        assert_eq!(refused(&peer.send(request, &[])), (RejectReason::ProtocolError, 0));
        assert!(peer.is_open());
    }
}

/// A reset of the unit that acknowledges nothing.
fn reset(peer: &mut Peer) -> Vec<Answer> {
    let request = TaskRequest {
        immediate: true,
        function: TaskFunction::LogicalUnitReset,
        lun: Lun::ZERO,
        itt: peer.itt(),
        referenced: Itt::RESERVED,
        cmd_sn: peer.cmd_sn,
        exp_stat_sn: Serial(0),
        ref_cmd_sn: Serial(0),
        exp_data_sn: Serial(0),
    };
    peer.send(request, &[])
}

#[test]
fn statuses_come_again_until_they_are_acknowledged() {
    let mut peer = logged_in(&recovering(1, |_| {}), "1");
    let (_, sent) = read(&mut peer);
    let first = peer.exp_stat_sn.unwrap().0 - 1;
    let command = ScsiCommand { exp_stat_sn: Serial(0), ..peer.command(Command::TestUnitReady.encode(), 0) };
    let all = [&sent[3..], &peer.send(command, &[]), &reset(&mut peer)].concat();
    for (run, expected) in
        [((0, 0), &all[..]), ((first, 1), &all[..1]), ((first + 1, 0), &all[1..]), ((first + 2, 1), &all[2..])]
    {
        let request = snack(SnackType::Status, Itt::RESERVED, RESERVED, run);
        assert_eq!(replicas(&peer.send(request, &[])), replicas(expected), "{run:?}");
    }
    for run in [(first - 1, 1), (first, 9), (first + 9, 1)] {
        let request = snack(SnackType::Status, Itt::RESERVED, RESERVED, run);
        assert_eq!(refused(&peer.send(request, &[])).0, RejectReason::ProtocolError, "{run:?}");
    }
    acknowledge(&mut peer);
    let request = snack(SnackType::Status, Itt::RESERVED, RESERVED, (first, 1));
    assert_eq!(refused(&peer.send(request, &[])).0, RejectReason::ProtocolError);
}

/// What has to be the same when a response comes again: all but the command window.
fn replicas(answers: &[Answer]) -> Vec<(Vec<u8>, bytes::Bytes)> {
    let header = |answer: &Answer| {
        let mut bytes = answer.pdu.clone().encode().0;
        bytes[28..36].fill(0);
        bytes.to_vec()
    };
    answers.iter().map(|answer| (header(answer), answer.data.clone())).collect()
}

#[test]
fn data_acks_say_what_need_not_come_again() {
    let mut peer = logged_in(&recovering(1, |limits| limits.data_ack = true), "1");
    let (itt, sent) = read(&mut peer);
    let asked: Vec<(bool, bool, u32)> = sent
        .iter()
        .map(|answer| match &answer.pdu {
            Pdu::DataIn(pdu) => (pdu.acknowledge, pdu.fin, pdu.ttt.0),
            other => panic!("{other:?}"),
        })
        .collect();
    let ttt = asked[1].2;
    assert_eq!(asked, [(false, false, RESERVED), (true, true, ttt), (false, false, RESERVED), (true, true, ttt)]);
    let ack = |tag, begin| snack(SnackType::DataAck, Itt::RESERVED, tag, (begin, 0));
    for (tag, begin) in [(ttt + 1, 2), (ttt, 5)] {
        let request = ack(tag, begin);
        assert_eq!(refused(&peer.send(request, &[])).0, RejectReason::InvalidDataAck);
    }
    let elsewhere = Snack { lun: Lun::from_number(1).unwrap(), ..ack(ttt, 2) };
    assert_eq!(refused(&peer.send(elsewhere, &[])).0, RejectReason::InvalidDataAck);
    let request = ack(ttt, 2);
    assert!(peer.send(request.clone(), &[]).is_empty());
    assert!(peer.send(request, &[]).is_empty(), "the same once more does no harm");
    let all = snack(SnackType::Data, itt, RESERVED, (0, 0));
    assert!(same(&peer.send(all.clone(), &[]), &sent[2..]));
    let before = snack(SnackType::Data, itt, RESERVED, (1, 1));
    assert_eq!(refused(&peer.send(before, &[])), (RejectReason::ProtocolError, 4));
    let request = ack(ttt, 1);
    assert_eq!(refused(&peer.send(request, &[])).0, RejectReason::InvalidDataAck, "it goes back");
    let request = ack(ttt, 4);
    assert!(peer.send(request, &[]).is_empty());
    assert!(peer.send(all, &[]).is_empty());
}

#[test]
fn no_acks_are_asked_for_at_level_0() {
    let mut peer = logged_in(&recovering(1, |limits| limits.data_ack = true), "0");
    let (_, sent) = read(&mut peer);
    assert!(sent.iter().all(|answer| matches!(&answer.pdu, Pdu::DataIn(pdu) if !pdu.acknowledge)));
    let request = snack(SnackType::Status, Itt::RESERVED, RESERVED, (0, 0));
    assert_eq!(refused(&peer.send(request, &[])).0, RejectReason::SnackReject);
}

fn declare(peer: &mut Peer, segment: &str) {
    let request = TextRequest {
        immediate: true,
        fin: true,
        more: false,
        lun: Lun::ZERO,
        itt: peer.itt(),
        ttt: Ttt::RESERVED,
        cmd_sn: peer.cmd_sn,
        exp_stat_sn: Serial(0),
    };
    let answers = peer.send(request, &text::encode([("MaxRecvDataSegmentLength", segment)]));
    assert!(matches!(&answers[..], [Answer { pdu: Pdu::TextResponse(_), .. }]));
}

/// Section 11.16.3.
#[test]
fn r_data_is_cut_anew_and_tagged() {
    for (status_in_data, acknowledged) in [(true, 0), (false, 0), (true, 2)] {
        let node = recovering(1, |limits| (limits.status_in_data, limits.data_ack) = (status_in_data, true));
        let mut peer = logged_in(&node, "1");
        let bytes = pattern(8 * BLOCK, 9);
        peer.write(Cdb::write(0, 8), &bytes, 0);
        let (itt, sent) = read(&mut peer);
        let number = Serial(peer.exp_stat_sn.unwrap().0 - 1);
        if acknowledged != 0 {
            let Pdu::DataIn(pdu) = &sent[1].pdu else { panic!() };
            let request = snack(SnackType::DataAck, Itt::RESERVED, pdu.ttt.0, (acknowledged, 0));
            assert!(peer.send(request, &[]).is_empty());
        }
        declare(&mut peer, "512");
        let request = snack(SnackType::RData, itt, 77, (0, 0));
        let answers = peer.send(request, &[]);
        let start = acknowledged as usize * 1024;
        let (last, pieces) = answers.split_last().unwrap();
        let mut data = Vec::new();
        for (answer, n) in pieces.iter().zip(acknowledged..) {
            let Pdu::DataIn(pdu) = &answer.pdu else { panic!("{answer:?}") };
            assert_eq!((pdu.data_sn, pdu.offset as usize, pdu.status), (Serial(n), start + data.len(), None));
            data.extend_from_slice(&answer.data);
        }
        assert!(data == bytes[start..] && pieces[0].data.len() == 512);
        let Pdu::ScsiResponse(ScsiResponse { snack_tag: 77, numbering, exp_data_sn, status, .. }) = &last.pdu else {
            panic!("{last:?}")
        };
        assert_eq!((numbering.stat_sn, *status), (number, Status::GOOD));
        assert_eq!(exp_data_sn.0, acknowledged + pieces.len() as u32);
        let request = snack(SnackType::Status, Itt::RESERVED, RESERVED, (number.0, 1));
        let again = peer.send(request, &[]);
        assert!(matches!(&again[..], [Answer { pdu: Pdu::ScsiResponse(ScsiResponse { snack_tag: 77, .. }), .. }]));
    }
}

#[test]
fn r2ts_come_again_while_they_are_open() {
    let mut peer = logged_in(&recovering(1, |_| {}), "1");
    let command = ScsiCommand { write: true, ..peer.command(Cdb::write(0, 8), 8 * BLOCK) };
    let itt = command.itt;
    let sent = peer.send(command, &[]);
    let Pdu::R2t(r2t) = &sent[0].pdu else { panic!("{sent:?}") };
    for run in [(0, 0), (0, 1)] {
        let request = snack(SnackType::Data, itt, RESERVED, run);
        assert!(same(&peer.send(request, &[]), &sent), "{run:?}");
    }
    let request = snack(SnackType::Data, itt, RESERVED, (1, 0));
    assert_eq!(refused(&peer.send(request, &[])), (RejectReason::ProtocolError, 1));
    let next = peer.send(data_out(itt, r2t.ttt, 0, 0, true), &[1; 2048]);
    assert!(matches!(&next[..], [Answer { pdu: Pdu::R2t(r2t), .. }] if r2t.r2t_sn == Serial(1)));
    let request = snack(SnackType::Data, itt, RESERVED, (0, 1));
    assert_eq!(refused(&peer.send(request, &[])), (RejectReason::ProtocolError, 2), "it was answered");
    let request = snack(SnackType::Data, itt, RESERVED, (0, 0));
    let again = peer.send(request, &[]);
    let [Answer { pdu: Pdu::R2t(again), .. }] = &again[..] else { panic!("{again:?}") };
    assert_eq!((again.r2t_sn, again.offset, again.length), (Serial(1), 2048, 2048));
}

#[test]
fn fields_that_make_no_sense_are_refused() {
    let mut peer = logged_in(&recovering(1, |_| {}), "1");
    let (itt, _) = read(&mut peer);
    for (kind, itt, tag, run) in [
        (SnackType::Data, Itt::RESERVED, RESERVED, (0, 0)),
        (SnackType::Data, itt, 5, (0, 0)),
        (SnackType::Status, itt, RESERVED, (0, 0)),
        (SnackType::Status, Itt::RESERVED, 5, (0, 0)),
        (SnackType::DataAck, itt, 5, (1, 0)),
        (SnackType::DataAck, Itt::RESERVED, RESERVED, (1, 0)),
        (SnackType::DataAck, Itt::RESERVED, 5, (1, 1)),
        (SnackType::RData, itt, 0, (0, 0)),
        (SnackType::RData, itt, RESERVED, (0, 0)),
        (SnackType::RData, itt, 5, (1, 0)),
    ] {
        let request = snack(kind, itt, tag, run);
        assert_eq!(refused(&peer.send(request.clone(), &[])).0, RejectReason::InvalidPduField, "{request:?}");
    }
    let request = snack(SnackType::Data, Itt(0x9999), RESERVED, (0, 0));
    assert_eq!(refused(&peer.send(request, &[])), (RejectReason::ProtocolError, 0));
}

/// Section 4.2.2.1: a command that comes twice is done once.
#[test]
fn a_repeated_command_is_ignored() {
    let mut peer = logged_in(&recovering(1, |_| {}), "1");
    let command = ScsiCommand { write: true, ..peer.command(Cdb::write(0, 1), BLOCK) };
    let sent = peer.send(command.clone(), &[]);
    let Pdu::R2t(r2t) = &sent[0].pdu else { panic!("{sent:?}") };
    assert!(peer.send(command.clone(), &[]).is_empty());
    let answers = peer.send(data_out(command.itt, r2t.ttt, 0, 0, true), &[1; 512]);
    assert_eq!(done(&answers).status, Status::GOOD);
    assert!(peer.send(command, &[]).is_empty());
}

/// Section 13.19: with data in order there is one R2T at a time; and a discovery session recovers nothing.
#[test]
fn the_level_is_the_lower_one_and_limits_r2ts() {
    let names = [("InitiatorName", crate::peer::INITIATOR), ("TargetName", crate::peer::TARGET)];
    for (offers, level, r2ts) in [
        (&[("MaxOutstandingR2T", "8"), ("ErrorRecoveryLevel", "2")][..], "1", "1"),
        (&[("MaxOutstandingR2T", "8"), ("ErrorRecoveryLevel", "0")][..], "0", "8"),
    ] {
        let mut peer = Peer::new(&recovering(1, |_| {}));
        let keys: Vec<(&str, &str)> = names.iter().chain(offers).copied().collect();
        let (_, text) =
            peer.login(iscsi_proto::pdu::Stage::Operational, Some(iscsi_proto::pdu::Stage::FullFeature), &keys);
        assert!(text.contains(&format!("ErrorRecoveryLevel={level}")), "{text:?}");
        assert!(text.contains(&format!("MaxOutstandingR2T={r2ts}")), "{text:?}");
    }
}

/// What comes again is what the command returned, whatever was written since.
#[test]
fn data_that_comes_again_is_as_old_as_its_command() {
    let mut peer = logged_in(&recovering(1, |_| {}), "1");
    let (itt, sent) = read(&mut peer);
    let command = ScsiCommand { write: true, exp_stat_sn: Serial(0), ..peer.command(Cdb::write(0, 2), 2 * BLOCK) };
    assert_eq!(done(&peer.send(command, &[0xee; 2 * BLOCK])).status, Status::GOOD);
    let request = snack(SnackType::Data, itt, RESERVED, (0, 0));
    let again = peer.send(request, &[]);
    assert_eq!(again.len(), sent.len());
    assert!(
        again
            .iter()
            .zip(&sent)
            .all(|(again, sent)| again.data == sent.data && again.data.iter().all(|byte| *byte == 0))
    );
}
