//! Several connections, lost ones, and tasks that are taken over (RFC 7143, sections 6.3.4, 7.1.4.3, 7.2.2 and 11.14).

use std::sync::Arc;
use std::time::Duration;

use conformance::target::core::{Ending, Node};
use iscsi_proto::pdu::{
    AsyncEvent, AsyncMessage, LoginStatus, LogoutReason, LogoutRequest, LogoutResponse, LogoutResult, NopOut, Pdu, R2t,
    ScsiCommand, Stage, TaskFunction, TaskRequest, TaskResult,
};
use iscsi_proto::scsi::{Cdb, Command, Lun, SenseKey, Status};
use iscsi_proto::serial::Serial;
use iscsi_proto::tags::{Itt, Ttt};

use crate::peer::{Answer, BLOCK, INITIATOR, Peer, TARGET, data_out, done, pattern, result};
use crate::snack::{logged_in, recovering};

/// One more connection of the leader's session, with Data-In of so many bytes.
fn join_with(node: &Arc<Node>, leader: &Peer, cid: u16, segment: &str) -> Peer {
    let mut peer = Peer::new(node);
    (peer.isid, peer.tsih, peer.cid, peer.cmd_sn) = (leader.isid, leader.tsih, cid, leader.cmd_sn);
    (peer.repeats, peer.next_itt) = (true, 1000 * u32::from(cid) + leader.next_itt);
    let keys = [("InitiatorName", INITIATOR), ("TargetName", TARGET), ("MaxRecvDataSegmentLength", segment)];
    let (response, _) = peer.login(Stage::Operational, Some(Stage::FullFeature), &keys);
    assert_eq!(response.status, LoginStatus::SUCCESS);
    peer
}

fn join(node: &Arc<Node>, leader: &Peer, cid: u16) -> Peer {
    join_with(node, leader, cid, "1024")
}

fn logout(peer: &mut Peer, reason: LogoutReason, cid: u16) -> LogoutResponse {
    let request =
        LogoutRequest { immediate: true, reason, itt: peer.itt(), cid, cmd_sn: peer.cmd_sn, exp_stat_sn: Serial(0) };
    let answers = peer.send(request, &[]);
    let [Answer { pdu: Pdu::LogoutResponse(response), .. }] = &answers[..] else { panic!("{answers:?}") };
    response.clone()
}

fn recover(peer: &mut Peer, cid: u16) {
    let response = logout(peer, LogoutReason::RemoveForRecovery, cid);
    assert_eq!((response.result, response.time2wait, response.time2retain), (LogoutResult::Closed, 2, 20));
}

fn request(peer: &mut Peer, itt: Itt, exp_data_sn: u32) -> TaskRequest {
    TaskRequest {
        immediate: true,
        function: TaskFunction::TaskReassign,
        lun: Lun::ZERO,
        itt: peer.itt(),
        referenced: itt,
        cmd_sn: peer.cmd_sn,
        exp_stat_sn: peer.exp_stat_sn.unwrap_or_default(),
        ref_cmd_sn: Serial(0),
        exp_data_sn: Serial(exp_data_sn),
    }
}

/// The result of a TASK REASSIGN, and what follows it.
fn reassign(peer: &mut Peer, itt: Itt, exp_data_sn: u32) -> (TaskResult, Vec<Answer>) {
    let request = request(peer, itt, exp_data_sn);
    let mut answers = peer.send(request, &[]);
    let first = answers.remove(0);
    (result(std::slice::from_ref(&first)).unwrap(), answers)
}

fn r2t(answers: &[Answer]) -> R2t {
    match answers {
        [Answer { pdu: Pdu::R2t(r2t), .. }] => r2t.clone(),
        other => panic!("{other:?}"),
    }
}

fn two() -> (Arc<Node>, Peer, Peer) {
    let node = recovering(2, |_| {});
    let leader = logged_in(&node, "2");
    let second = join(&node, &leader, 1);
    (node, leader, second)
}

/// Sends a command on one connection and counts it on the other.
fn on(peer: &mut Peer, other: &mut Peer, command: impl FnOnce(&mut Peer) -> ScsiCommand) -> (Itt, Vec<Answer>) {
    let command = command(peer);
    other.cmd_sn = peer.cmd_sn;
    (command.itt, peer.send(command, &[]))
}

fn write(peer: &mut Peer) -> ScsiCommand {
    ScsiCommand { write: true, ..peer.command(Cdb::write(0, 8), 8 * BLOCK) }
}

fn read(peer: &mut Peer) -> ScsiCommand {
    ScsiCommand { read: true, ..peer.command(Cdb::read(0, 8), 8 * BLOCK) }
}

#[test]
fn a_write_goes_on_where_it_was() {
    for (sent, exp_data_sn, r2t_sn, offset) in
        [(0, 0, 0, 0), (512, 0, 1, 512), (512, 1, 1, 512), (2048, 0, 1, 2048), (2048, 2, 2, 2048), (2048, 9, 1, 2048)]
    {
        let (node, mut leader, mut second) = two();
        let bytes = pattern(8 * BLOCK, 1);
        let (itt, answers) = on(&mut leader, &mut second, write);
        let first = r2t(&answers);
        if sent != 0 {
            leader.send(data_out(itt, first.ttt, 0, 0, sent == 2048), &bytes[..sent]);
        }
        drop(leader);
        second.connection.poll();
        let told = second.answers();
        assert!(matches!(
            &told[..],
            [Answer {
                pdu: Pdu::AsyncMessage(AsyncMessage {
                    event: AsyncEvent::ConnectionDrop { cid: 0, time2wait: 2, time2retain: 20 },
                    ..
                }),
                ..
            }]
        ));
        assert_eq!(reassign(&mut second, itt, 0).0, TaskResult::TaskStillAllegiant, "it was not logged out");
        recover(&mut second, 0);
        let (result, answers) = reassign(&mut second, itt, exp_data_sn);
        assert_eq!(result, TaskResult::FunctionComplete);
        let next = r2t(&answers);
        assert_eq!((next.r2t_sn, next.offset), (Serial(r2t_sn), offset), "{sent} {exp_data_sn}");
        assert_eq!(second.serve(answers, &bytes).status, Status::GOOD);
        assert_eq!(second.read(Cdb::read(0, 8), bytes.len()).data, bytes);
        assert_eq!(node.sessions().len(), 1);
        assert_eq!(second.max_cmd_sn.distance_from(second.exp_cmd_sn), 127, "no place in the window is lost");
    }
}

#[test]
fn data_and_status_of_a_read_come_again() {
    for (status_in_data, segment, exp_data_sn, pieces) in [
        (true, "1024", 0, 4),
        (false, "1024", 0, 4),
        (true, "1024", 3, 1),
        (true, "512", 2, 4),
        (true, "1024", 4, 0),
        (false, "1024", 7, 4),
    ] {
        let node = recovering(2, |limits| limits.status_in_data = status_in_data);
        let mut leader = logged_in(&node, "2");
        let mut second = join_with(&node, &leader, 1, segment);
        let bytes = pattern(8 * BLOCK, 2);
        leader.write(Cdb::write(0, 8), &bytes, 0);
        second.cmd_sn = leader.cmd_sn;
        let (itt, _) = on(&mut leader, &mut second, read);
        recover(&mut second, 0);
        assert_eq!(leader.connection.ending(), Ending::Now);
        let (result, answers) = reassign(&mut second, itt, exp_data_sn);
        assert_eq!(result, TaskResult::FunctionComplete);
        let data: Vec<&Answer> = answers.iter().filter(|answer| matches!(answer.pdu, Pdu::DataIn(_))).collect();
        assert_eq!(data.len(), pieces);
        let expected = if exp_data_sn == 7 { 0 } else { exp_data_sn };
        for (answer, n) in data.iter().zip(expected..) {
            let Pdu::DataIn(pdu) = &answer.pdu else { panic!() };
            let offset = pdu.offset as usize;
            assert_eq!(pdu.data_sn, Serial(n));
            assert!(answer.data == bytes[offset..offset + answer.data.len()]);
        }
        let ended = match &answers.last().unwrap().pdu {
            Pdu::DataIn(pdu) => pdu.status.map(|(status, _)| (status, status_in_data)),
            Pdu::ScsiResponse(response) => {
                assert_eq!((response.exp_data_sn.0, response.snack_tag), (expected + pieces as u32, 0));
                Some((response.status, status_in_data && pieces != 0))
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(ended, Some((Status::GOOD, status_in_data && pieces != 0)));
        // It is allegiant here now, until its status is acknowledged.
        assert_eq!(reassign_without_acknowledging(&mut second, itt), TaskResult::TaskStillAllegiant);
        assert_eq!(reassign(&mut second, itt, 0).0, TaskResult::TaskDoesNotExist);
    }
}

fn reassign_without_acknowledging(peer: &mut Peer, itt: Itt) -> TaskResult {
    let request = TaskRequest { exp_stat_sn: Serial(0), ..request(peer, itt, 0) };
    result(&peer.send(request, &[])).unwrap()
}

#[test]
fn failed_commands_keep_their_sense() {
    let (_, mut leader, mut second) = two();
    let bad = |peer: &mut Peer| ScsiCommand { read: true, ..peer.command(Cdb::read(1 << 30, 1), BLOCK) };
    let (itt, _) = on(&mut leader, &mut second, bad);
    recover(&mut second, 0);
    let (_, answers) = reassign(&mut second, itt, 0);
    assert_eq!(done(&answers).sense.unwrap().code(), (SenseKey::IllegalRequest, 0x21, 0));
}

#[test]
fn a_new_connection_of_the_same_cid_logs_the_old_one_out_for_recovery() {
    for gone in [false, true] {
        let node = recovering(2, |limits| limits.max_connections = 1);
        let mut leader = logged_in(&node, "2");
        let bytes = pattern(8 * BLOCK, 3);
        let command = write(&mut leader);
        let itt = command.itt;
        leader.send(command, &[]);
        let old = (leader.isid, leader.tsih, leader.cmd_sn, leader.next_itt);
        let mut stale = Some(leader);
        if gone {
            stale = None;
            assert_eq!(node.sessions().len(), 1, "it waits for its connection to come back");
        }
        let mut again = Peer::new(&node);
        (again.isid, again.tsih, again.cmd_sn, again.next_itt) = old;
        let again_ref = join_as(&mut again);
        let (result, answers) = reassign(again_ref, itt, 0);
        assert_eq!(result, TaskResult::FunctionComplete);
        assert_eq!(again_ref.serve(answers, &bytes).status, Status::GOOD);
        if let Some(mut stale) = stale {
            assert_eq!(stale.connection.ending(), Ending::Now);
            let nop = stale.command(Command::TestUnitReady.encode(), 0);
            let bytes = stale.encode(nop, &[], &[]);
            stale.connection.receive(&bytes);
            assert!(stale.answers().is_empty());
        }
        assert!(again.is_open());
    }
}

fn join_as(peer: &mut Peer) -> &mut Peer {
    let keys = [("InitiatorName", INITIATOR), ("TargetName", TARGET), ("MaxRecvDataSegmentLength", "1024")];
    let (response, _) = peer.login(Stage::Operational, Some(Stage::FullFeature), &keys);
    assert_eq!(response.status, LoginStatus::SUCCESS);
    peer
}

#[test]
fn commands_that_had_their_turn_while_the_connection_was_lost_are_begun_anew() {
    let (_, mut leader, mut second) = two();
    let bytes = pattern(8 * BLOCK, 4);
    let first = second.command(Command::TestUnitReady.encode(), 0);
    leader.cmd_sn = second.cmd_sn;
    let (early, _) = on(&mut leader, &mut second, write);
    assert_eq!(done(&second.send(first, &[])).status, Status::GOOD);
    // The write has had its turn, and its connection does not come to it any more.
    drop(leader);
    recover_quietly(&mut second, 0);
    let (result, answers) = reassign(&mut second, early, 0);
    assert_eq!(result, TaskResult::FunctionComplete);
    assert_eq!(second.serve(answers, &bytes).status, Status::GOOD);
    second.read(Command::TestUnitReady.encode(), 0);
    assert_eq!(second.max_cmd_sn.distance_from(second.exp_cmd_sn), 127);
}

/// The place of a command that was not begun comes back when nobody takes it over.
#[test]
fn commands_that_were_not_begun_end_too() {
    for reason in [LogoutReason::CloseConnection, LogoutReason::RemoveForRecovery] {
        let (node, mut leader, mut second) = two();
        let first = second.command(Command::TestUnitReady.encode(), 0);
        leader.cmd_sn = second.cmd_sn;
        let (early, _) = on(&mut leader, &mut second, write);
        second.send(first, &[]);
        assert_eq!(second.max_cmd_sn.distance_from(second.exp_cmd_sn), 127);
        assert_eq!(logout(&mut second, reason, 0).result, LogoutResult::Closed);
        node.advance(Duration::from_secs(100));
        assert_eq!(reassign(&mut second, early, 0).0, TaskResult::TaskDoesNotExist);
        second.read(Command::TestUnitReady.encode(), 0);
        assert_eq!(second.max_cmd_sn.distance_from(second.exp_cmd_sn), 127);
    }
}

fn recover_quietly(peer: &mut Peer, cid: u16) {
    peer.connection.poll();
    peer.answers();
    recover(peer, cid);
}

#[test]
fn early_commands_of_a_lost_connection_leave_a_hole_that_a_retry_fills() {
    for level in ["0", "1", "2"] {
        let node = recovering(2, |_| {});
        let mut leader = logged_in(&node, level);
        let mut second = join(&node, &leader, 1);
        let first = second.command(Command::TestUnitReady.encode(), 0);
        leader.cmd_sn = second.cmd_sn;
        let early = read(&mut leader);
        assert!(leader.send(early.clone(), &[]).is_empty());
        drop(leader);
        second.connection.poll();
        second.answers();
        assert_eq!(done(&second.send(first, &[])).status, Status::GOOD);
        assert_eq!(second.exp_cmd_sn, early.cmd_sn, "it was not received");
        assert_eq!(done(&second.send(early, &[])).data, [0; 8 * BLOCK]);
    }
}

#[test]
fn what_cannot_be_taken_over_says_why() {
    let (node, mut leader, mut second) = two();
    let (itt, _) = on(&mut leader, &mut second, write);
    assert_eq!(reassign(&mut second, itt, 0).0, TaskResult::TaskStillAllegiant, "its connection lives");
    assert_eq!(reassign(&mut leader, itt, 0).0, TaskResult::TaskStillAllegiant, "it is here");
    assert_eq!(reassign(&mut second, Itt(0x7777), 0).0, TaskResult::TaskDoesNotExist);
    let managed = leader.itt();
    let abort = TaskRequest { function: TaskFunction::AbortTaskSet, itt: managed, ..request(&mut leader, itt, 0) };
    assert!(leader.send(abort, &[]).is_empty(), "it waits for the burst");
    recover(&mut second, 0);
    assert_eq!(reassign(&mut second, itt, 0).0, TaskResult::TaskDoesNotExist, "it was aborted");
    assert_eq!(reassign(&mut second, managed, 0).0, TaskResult::FunctionRejected, "it is no SCSI command");
    let numbered = TaskRequest { immediate: false, ..request(&mut second, itt, 0) };
    second.cmd_sn = second.cmd_sn.next();
    assert_eq!(result(&second.send(numbered, &[])), Some(TaskResult::FunctionRejected));

    let mut low = logged_in(&recovering(2, |_| {}), "1");
    assert_eq!(reassign(&mut low, itt, 0).0, TaskResult::ReassignmentNotSupported);
    assert_eq!(logout(&mut low, LogoutReason::RemoveForRecovery, 0).result, LogoutResult::RecoveryNotSupported);
    assert_eq!(node.sessions().len(), 1);
}

#[test]
fn immediate_commands_do_not_outlive_their_connection() {
    let (_, mut leader, mut second) = two();
    let cmd_sn = leader.cmd_sn;
    let command = ScsiCommand { immediate: true, ..write(&mut leader) };
    leader.cmd_sn = cmd_sn;
    let itt = command.itt;
    r2t(&leader.send(command, &[]));
    recover(&mut second, 0);
    assert_eq!(reassign(&mut second, itt, 0).0, TaskResult::TaskDoesNotExist);
}

#[test]
fn a_lost_task_can_be_aborted_from_another_connection() {
    let (_, mut leader, mut second) = two();
    let (itt, _) = on(&mut leader, &mut second, write);
    let ref_cmd_sn = second.cmd_sn.sub(1);
    let aborted = second.manage(TaskFunction::AbortTask, itt, ref_cmd_sn);
    assert_eq!(result(&aborted), Some(TaskResult::TaskDoesNotExist), "its own connection lives");
    recover(&mut second, 0);
    let aborted = second.manage(TaskFunction::AbortTask, itt, ref_cmd_sn);
    assert_eq!(result(&aborted), Some(TaskResult::FunctionComplete));
    assert_eq!(reassign(&mut second, itt, 0).0, TaskResult::TaskDoesNotExist);
    assert_eq!(second.max_cmd_sn.distance_from(second.exp_cmd_sn), 127);
}

#[test]
fn a_reset_ends_lost_tasks_too() {
    let (_, mut leader, mut second) = two();
    let (itt, _) = on(&mut leader, &mut second, write);
    recover(&mut second, 0);
    assert_eq!(
        result(&second.manage(TaskFunction::LogicalUnitReset, Itt::RESERVED, Serial(0))),
        Some(TaskResult::FunctionComplete)
    );
    assert_eq!(reassign(&mut second, itt, 0).0, TaskResult::TaskDoesNotExist);
    second.read(Command::TestUnitReady.encode(), 0);
    assert_eq!(second.max_cmd_sn.distance_from(second.exp_cmd_sn), 127);
}

#[test]
fn time_ends_what_nobody_takes_over() {
    let (node, mut leader, mut second) = two();
    let (itt, _) = on(&mut leader, &mut second, write);
    node.advance(Duration::from_secs(100));
    drop(leader);
    node.advance(Duration::from_secs(121));
    recover_quietly(&mut second, 0);
    // The logout has started the time anew.
    node.advance(Duration::from_secs(142));
    assert_eq!(reassign_twice(&mut second, itt), TaskResult::FunctionComplete);

    let (node, mut leader, mut second) = two();
    let (itt, _) = on(&mut leader, &mut second, write);
    drop(leader);
    node.advance(Duration::from_secs(22));
    second.connection.poll();
    second.answers();
    assert_eq!(logout(&mut second, LogoutReason::RemoveForRecovery, 0).result, LogoutResult::CidNotFound);
    assert_eq!(reassign(&mut second, itt, 0).0, TaskResult::TaskDoesNotExist);
    assert_eq!(second.max_cmd_sn.distance_from(second.exp_cmd_sn), 127);
}

fn reassign_twice(peer: &mut Peer, itt: Itt) -> TaskResult {
    let (result, answers) = reassign(peer, itt, 0);
    r2t(&answers);
    assert_eq!(reassign(peer, itt, 0).0, TaskResult::TaskStillAllegiant);
    result
}

#[test]
fn a_session_without_connections_ends_with_its_time() {
    for (seconds, sessions) in [(21, 1), (22, 0)] {
        let node = recovering(2, |_| {});
        let leader = logged_in(&node, "2");
        drop(leader);
        node.advance(Duration::from_secs(seconds));
        assert_eq!(node.sessions().len(), sessions);
    }
    for (level, retain) in [("1", 20), ("2", 0)] {
        let node = recovering(2, |limits| limits.time2retain = retain);
        drop(logged_in(&node, level));
        assert_eq!(node.sessions().len(), 0, "nothing is kept");
    }
}

#[test]
fn logouts_without_recovery_end_tasks() {
    let (node, mut leader, mut second) = two();
    let (itt, _) = on(&mut leader, &mut second, write);
    assert_eq!(logout(&mut second, LogoutReason::CloseConnection, 0).result, LogoutResult::Closed);
    assert_eq!(leader.connection.ending(), Ending::Now);
    assert_eq!(reassign(&mut second, itt, 0).0, TaskResult::TaskDoesNotExist);
    assert_eq!(second.max_cmd_sn.distance_from(second.exp_cmd_sn), 127);
    drop(leader);
    let third = join(&node, &second, 2);
    drop(third);
    second.connection.poll();
    second.answers();
    assert_eq!(logout(&mut second, LogoutReason::CloseConnection, 2).result, LogoutResult::Closed, "it was lost");
    assert_eq!(logout(&mut second, LogoutReason::CloseConnection, 2).result, LogoutResult::CidNotFound);
    assert_eq!(logout(&mut second, LogoutReason::CloseSession, 0).result, LogoutResult::Closed);
    assert!(node.sessions().is_empty());
}

#[test]
fn a_connection_may_log_itself_out_for_recovery() {
    let (_, mut leader, mut second) = two();
    let (itt, _) = on(&mut leader, &mut second, write);
    recover(&mut leader, 0);
    assert_eq!(leader.connection.ending(), Ending::Flush);
    let (result, answers) = reassign(&mut second, itt, 0);
    assert_eq!((result, r2t(&answers).offset), (TaskResult::FunctionComplete, 0));
}

#[test]
fn data_belongs_on_the_connection_of_its_command() {
    let (_, mut leader, mut second) = two();
    let (itt, answers) = on(&mut leader, &mut second, write);
    let first = r2t(&answers);
    let answers = second.send(data_out(itt, first.ttt, 0, 0, true), &[1; 2048]);
    assert!(matches!(&answers[..], [Answer { pdu: Pdu::Reject(_), .. }]));
    assert!(leader.answers().is_empty());
    let answers = leader.send(data_out(itt, first.ttt, 0, 0, true), &[1; 2048]);
    assert_eq!(r2t(&answers).offset, 2048);
}

#[test]
fn places_in_the_window_come_back_when_a_connection_of_several_is_lost() {
    for level in ["0", "1"] {
        let node = recovering(2, |_| {});
        let mut leader = logged_in(&node, level);
        let mut second = join(&node, &leader, 1);
        on(&mut leader, &mut second, write);
        drop(leader);
        second.connection.poll();
        assert!(second.answers().is_empty(), "below level 2 there is nothing to take over");
        let nop = NopOut {
            immediate: true,
            lun: Lun::ZERO,
            itt: Itt(9),
            ttt: Ttt::RESERVED,
            cmd_sn: second.cmd_sn,
            exp_stat_sn: Serial(0),
        };
        assert_eq!(second.send(nop, &[]).len(), 1);
        assert_eq!(second.max_cmd_sn.distance_from(second.exp_cmd_sn), 127);
    }
}

/// Its command waits for one that was sent before it over another connection.
#[test]
fn data_that_comes_unasked_behind_an_early_command_waits_with_it() {
    let node = recovering(2, |limits| limits.initial_r2t = false);
    let keys = [("ErrorRecoveryLevel", "2"), ("MaxConnections", "4"), ("InitialR2T", "No")];
    let mut leader = Peer::logged_in(&node, &keys);
    let mut second = join(&node, &leader, 1);
    let bytes = pattern(4 * BLOCK, 3);
    let first = second.command(Command::TestUnitReady.encode(), 0);
    leader.cmd_sn = second.cmd_sn;
    let write = ScsiCommand { write: true, fin: false, ..leader.command(Cdb::write(0, 4), bytes.len()) };
    let itt = write.itt;
    assert!(leader.send(write, &bytes[..BLOCK]).is_empty());
    let (one, two) = (BLOCK as u32, 2 * BLOCK as u32);
    assert!(leader.send(data_out(itt, Ttt::RESERVED, 0, one, false), &bytes[BLOCK..2 * BLOCK]).is_empty());
    assert!(leader.send(data_out(itt, Ttt::RESERVED, 1, two, true), &bytes[2 * BLOCK..]).is_empty());
    assert_eq!(done(&second.send(first, &[])).status, Status::GOOD);
    leader.connection.poll();
    assert_eq!(done(&leader.answers()).status, Status::GOOD);
    assert_eq!(node.peek(0, 0, 0, bytes.len()).unwrap(), bytes);
    assert_eq!(node.counters().rejects(), 0);
}
