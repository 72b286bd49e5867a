//! Data-Out that was damaged or lost, at error recovery level 1 (RFC 7143, sections 7.1.4.1, 7.8 and 7.9).

use std::sync::Arc;
use std::time::Duration;

use conformance::target::core::Node;
use iscsi_proto::pdu::{NopIn, Pdu, R2t, RejectReason, ScsiCommand, TaskFunction, TaskResult};
use iscsi_proto::scsi::{Cdb, Command, Status};
use iscsi_proto::serial::Serial;
use iscsi_proto::tags::{Itt, Ttt};

use crate::peer::{Answer, BLOCK, Peer, data_out, done, pattern, result};
use crate::snack::{logged_in, recovering};

fn r2t(answers: &[Answer]) -> R2t {
    match answers {
        [.., Answer { pdu: Pdu::R2t(r2t), .. }] => r2t.clone(),
        other => panic!("{other:?}"),
    }
}

fn with_digests(node: &Arc<Node>) -> Peer {
    let keys = [
        ("ErrorRecoveryLevel", "1"),
        ("DataDigest", "CRC32C"),
        ("InitialR2T", "No"),
        ("ImmediateData", "No"),
        ("MaxBurstLength", "2048"),
        ("FirstBurstLength", "2048"),
    ];
    let mut peer = Peer::logged_in(node, &keys);
    peer.use_digests(false, true);
    peer
}

/// Sends Data-Out whose digest is wrong; what comes behind the Reject.
fn damaged(peer: &mut Peer, pdu: iscsi_proto::pdu::DataOut, data: &[u8]) -> Vec<Answer> {
    let mut bytes = peer.encode(pdu, &[], data);
    bytes[50] ^= 1;
    let mut answers = peer.send_bytes(&bytes);
    let Pdu::Reject(reject) = &answers.remove(0).pdu else { panic!() };
    assert_eq!(reject.reason, RejectReason::DataDigestError);
    answers
}

/// Begins a write of eight blocks; the R2T for its first 2048 bytes.
fn begin(peer: &mut Peer) -> R2t {
    let command = ScsiCommand { write: true, ..peer.command(Cdb::write(0, 8), 8 * BLOCK) };
    r2t(&peer.send(command, &[]))
}

fn finish(peer: &mut Peer, answers: Vec<Answer>, bytes: &[u8]) {
    assert_eq!(peer.serve(answers, bytes).status, Status::GOOD);
    assert_eq!(peer.read(Cdb::read(0, (bytes.len() / BLOCK) as u32), bytes.len()).data, bytes);
}

#[test]
fn damaged_data_is_asked_for_again_behind_its_burst() {
    let bytes = pattern(8 * BLOCK, 1);
    for bad in 0..4 {
        let mut peer = with_digests(&recovering(1, |_| {}));
        let first = begin(&mut peer);
        assert_eq!((first.r2t_sn, first.offset, first.length), (Serial(0), 0, 2048));
        let mut answers = Vec::new();
        for n in 0..4 {
            let pdu = data_out(first.itt, first.ttt, n as u32, (n * BLOCK) as u32, n == 3);
            let data = &bytes[n * BLOCK..][..BLOCK];
            answers = if n == bad { damaged(&mut peer, pdu, data) } else { peer.send(pdu, data) };
            assert_eq!(answers.len(), usize::from(n == 3), "{answers:?}");
        }
        let again = r2t(&answers);
        assert_eq!((again.r2t_sn, again.offset as usize, again.length), (Serial(1), bad * BLOCK, 512));
        assert_ne!(again.ttt, first.ttt);
        finish(&mut peer, answers, &bytes);
    }
}

#[test]
fn neighbours_are_asked_for_together() {
    let bytes = pattern(8 * BLOCK, 2);
    let mut peer = with_digests(&recovering(1, |_| {}));
    let first = begin(&mut peer);
    let mut answers = Vec::new();
    for n in 0..4 {
        let pdu = data_out(first.itt, first.ttt, n as u32, (n * BLOCK) as u32, n == 3);
        let data = &bytes[n * BLOCK..][..BLOCK];
        answers = if matches!(n, 1 | 2) { damaged(&mut peer, pdu, data) } else { peer.send(pdu, data) };
    }
    assert_eq!((r2t(&answers).offset, r2t(&answers).length), (512, 1024));
    finish(&mut peer, answers, &bytes);
}

#[test]
fn a_gap_in_data_sn_is_asked_for_again_and_a_repetition_is_ignored() {
    let bytes = pattern(8 * BLOCK, 3);
    let mut peer = logged_in(&recovering(1, |_| {}), "1");
    let first = begin(&mut peer);
    assert!(peer.send(data_out(first.itt, first.ttt, 0, 0, false), &bytes[..512]).is_empty());
    assert!(peer.send(data_out(first.itt, first.ttt, 0, 0, false), &[0xee; 512]).is_empty());
    let answers = peer.send(data_out(first.itt, first.ttt, 2, 1024, true), &bytes[1024..2048]);
    assert_eq!((r2t(&answers).offset, r2t(&answers).length, r2t(&answers).r2t_sn), (512, 512, Serial(1)));
    finish(&mut peer, answers, &bytes);
}

#[test]
fn unsolicited_data_is_asked_for_again_too() {
    let bytes = pattern(4 * BLOCK, 4);
    let mut peer = with_digests(&recovering(1, |_| {}));
    let command = ScsiCommand { write: true, fin: false, ..peer.command(Cdb::write(0, 4), 4 * BLOCK) };
    let itt = command.itt;
    assert!(peer.send(command, &[]).is_empty());
    assert!(damaged(&mut peer, data_out(itt, Ttt::RESERVED, 0, 0, false), &bytes[..1024]).is_empty());
    let answers = peer.send(data_out(itt, Ttt::RESERVED, 1, 1024, true), &bytes[1024..2048]);
    assert_eq!((r2t(&answers).offset, r2t(&answers).length), (0, 1024));
    finish(&mut peer, answers, &bytes);
}

#[test]
fn recovery_that_is_damaged_goes_on_for_a_while_only() {
    let mut peer = with_digests(&recovering(1, |_| {}));
    let mut asked = begin(&mut peer);
    for round in 0_u32.. {
        let pdu = data_out(asked.itt, asked.ttt, 0, asked.offset, true);
        let answers = damaged(&mut peer, pdu, &[1; 2048]);
        match &answers[..] {
            [Answer { pdu: Pdu::R2t(next), .. }] => {
                assert_eq!((next.r2t_sn, next.offset), (Serial(round + 1), 0));
                asked = next.clone();
            }
            answers => {
                assert_eq!((round, done(answers).status), (256, Status::CHECK_CONDITION));
                break;
            }
        }
    }
    assert_eq!(peer.read(Command::TestUnitReady.encode(), 0).status, Status::GOOD);
}

#[test]
fn what_an_initiator_must_not_send_still_fails_the_command() {
    for (data_sn, offset, len, fin) in [(0, 512, 512, true), (0, 0, 512, true), (1, 1024, 2048, true)] {
        let mut peer = logged_in(&recovering(1, |_| {}), "1");
        let first = begin(&mut peer);
        let mut answers = peer.send(data_out(first.itt, first.ttt, data_sn, offset, fin), &vec![1; len]);
        if answers.is_empty() {
            answers = peer.send(data_out(first.itt, first.ttt, data_sn + 1, 0, true), &[]);
        }
        assert_eq!(done(&answers).status, Status::CHECK_CONDITION, "{data_sn} {offset}");
    }
}

fn wait(node: &Node, peer: &mut Peer, seconds: u64) -> Vec<Answer> {
    node.advance(node.now() + Duration::from_secs(seconds));
    peer.connection.poll();
    peer.answers()
}

#[test]
fn an_r2t_that_nobody_answers_goes_out_again() {
    let node = recovering(1, |_| {});
    let bytes = pattern(8 * BLOCK, 5);
    let mut peer = logged_in(&node, "1");
    let first = begin(&mut peer);
    assert!(wait(&node, &mut peer, 4).is_empty());
    for _ in 0..2 {
        let answers = wait(&node, &mut peer, 5);
        assert!(matches!(&answers[..], [Answer { pdu: Pdu::R2t(r2t), .. }] if *r2t == first), "{answers:?}");
    }
    finish(&mut peer, vec![Answer { pdu: first.into(), data: bytes::Bytes::new() }], &bytes);
}

#[test]
fn a_burst_that_stops_half_way_is_asked_for_by_a_new_r2t() {
    let node = recovering(1, |_| {});
    let bytes = pattern(8 * BLOCK, 6);
    let mut peer = logged_in(&node, "1");
    let first = begin(&mut peer);
    assert!(wait(&node, &mut peer, 4).is_empty());
    assert!(peer.send(data_out(first.itt, first.ttt, 0, 0, false), &bytes[..512]).is_empty());
    assert!(wait(&node, &mut peer, 4).is_empty());
    let answers = wait(&node, &mut peer, 2);
    let again = r2t(&answers);
    assert_eq!((again.r2t_sn, again.offset, again.length), (Serial(1), 512, 1536));
    let late = peer.send(data_out(first.itt, first.ttt, 1, 512, true), &bytes[512..2048]);
    assert!(
        matches!(&late[..], [Answer { pdu: Pdu::Reject(reject), .. }] if reject.reason == RejectReason::InvalidPduField)
    );
    finish(&mut peer, answers, &bytes);
}

#[test]
fn unsolicited_data_that_stays_away_is_asked_for() {
    let node = recovering(1, |_| {});
    let bytes = pattern(4 * BLOCK, 7);
    let keys =
        [("ErrorRecoveryLevel", "1"), ("InitialR2T", "No"), ("MaxBurstLength", "2048"), ("FirstBurstLength", "2048")];
    let mut peer = Peer::logged_in(&node, &keys);
    let command = ScsiCommand { write: true, fin: false, ..peer.command(Cdb::write(0, 4), 4 * BLOCK) };
    assert!(peer.send(command, &bytes[..512]).is_empty());
    let answers = wait(&node, &mut peer, 6);
    assert_eq!((r2t(&answers).offset, r2t(&answers).length, r2t(&answers).r2t_sn), (512, 1536, Serial(0)));
    finish(&mut peer, answers, &bytes);
}

#[test]
fn task_management_does_not_wait_for_ever_for_data_that_was_lost() {
    let node = recovering(1, |_| {});
    let mut peer = logged_in(&node, "1");
    begin(&mut peer);
    assert!(peer.manage(TaskFunction::AbortTaskSet, Itt::RESERVED, Serial(0)).is_empty());
    assert_eq!(result(&wait(&node, &mut peer, 6)), Some(TaskResult::FunctionComplete));
}

/// The data of a command that has failed is not asked for, and not waited for without an end.
#[test]
fn a_failed_command_is_answered_although_its_burst_does_not_end() {
    let node = recovering(1, |_| {});
    let mut peer = logged_in(&node, "1");
    let first = begin(&mut peer);
    assert!(peer.send(data_out(first.itt, first.ttt, 0, 512, false), &[1; 512]).is_empty());
    assert_eq!(done(&wait(&node, &mut peer, 6)).status, Status::CHECK_CONDITION);
}

#[test]
fn a_ping_shows_once_that_statuses_were_not_acknowledged() {
    let node = recovering(1, |_| {});
    let mut peer = logged_in(&node, "1");
    peer.read(Command::TestUnitReady.encode(), 0);
    assert!(wait(&node, &mut peer, 1).is_empty());
    let answers = wait(&node, &mut peer, 5);
    let [Answer { pdu: Pdu::NopIn(NopIn { itt: Itt::RESERVED, ttt, numbering, .. }), .. }] = &answers[..] else {
        panic!("{answers:?}")
    };
    assert!(!ttt.is_reserved());
    assert_eq!(Some(numbering.stat_sn), peer.exp_stat_sn);
    assert!(wait(&node, &mut peer, 60).is_empty());
}

#[test]
fn nothing_is_overdue_at_level_0() {
    let node = recovering(1, |_| {});
    let mut peer = logged_in(&node, "0");
    peer.read(Command::TestUnitReady.encode(), 0);
    begin(&mut peer);
    assert!(!peer.connection.keeps_time());
    assert!(wait(&node, &mut peer, 1000).is_empty());
}
