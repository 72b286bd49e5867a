use std::sync::Arc;

use conformance::target::core::Node;
use iscsi_proto::pdu::{Pdu, ScsiCommand, TaskFunction, TaskRequest, TaskResult};
use iscsi_proto::scsi::{Cdb, Command, Lun, SenseKey, Status};
use iscsi_proto::serial::Serial;
use iscsi_proto::tags::{Itt, Ttt};

use crate::peer::{Answer, BLOCK, Peer, data_out, done, node, pattern, result};

/// A write that waits for the data of its only R2T.
fn open_write(peer: &mut Peer, lba: u64) -> (Itt, Ttt, Serial) {
    let command = ScsiCommand { write: true, ..peer.command(Cdb::write(lba, 1), BLOCK) };
    let (itt, cmd_sn) = (command.itt, command.cmd_sn);
    let answers = peer.send(command, &[]);
    let [Answer { pdu: Pdu::R2t(r2t), .. }] = &answers[..] else { panic!("{answers:?}") };
    (itt, r2t.ttt, cmd_sn)
}

fn second_peer(node: &Arc<Node>) -> Peer {
    let mut peer = Peer::new(node);
    peer.isid.0[5] = 99;
    peer.log_in(&[]);
    peer
}

fn sense_of_ready(peer: &mut Peer) -> Option<(SenseKey, u8, u8)> {
    let done = peer.read(Command::TestUnitReady.encode(), 0);
    done.sense.map(|sense| sense.code())
}

#[test]
fn an_aborted_write_gets_no_status_and_changes_nothing() {
    let mut peer = Peer::logged_in(&node(), &[]);
    let (itt, ttt, cmd_sn) = open_write(&mut peer, 0);
    let answers = peer.manage(TaskFunction::AbortTask, itt, cmd_sn);
    assert_eq!(result(&answers), Some(TaskResult::FunctionComplete));
    assert!(peer.send(data_out(itt, ttt, 0, 0, true), &[1; 512]).is_empty());
    assert_eq!(peer.read(Cdb::read(0, 1), BLOCK).data, [0; 512]);
    assert_eq!(result(&peer.manage(TaskFunction::AbortTask, itt, cmd_sn)), Some(TaskResult::TaskDoesNotExist));
    assert_eq!(peer.max_cmd_sn.distance_from(peer.exp_cmd_sn), 127, "its place in the window is free again");
}

#[test]
fn the_tag_of_an_aborted_task_can_be_used_again_at_once() {
    let mut peer = Peer::logged_in(&node(), &[]);
    let (itt, _, cmd_sn) = open_write(&mut peer, 0);
    peer.manage(TaskFunction::AbortTask, itt, cmd_sn);
    let command = ScsiCommand { write: true, itt, ..peer.command(Cdb::write(0, 1), BLOCK) };
    assert_eq!(done(&peer.send(command, &[5; 512])).status, Status::GOOD);
}

/// RFC 7143, section 11.6.1: what the target never saw counts as received if its number is inside the window.
#[test]
fn a_task_that_never_came_is_aborted_by_its_number() {
    let mut peer = Peer::logged_in(&node(), &[]);
    let missing = peer.cmd_sn;
    let late = peer.command(Command::TestUnitReady.encode(), 0);
    let next = peer.command(Command::TestUnitReady.encode(), 0);
    assert!(peer.send(next, &[]).is_empty());
    let answers = peer.manage(TaskFunction::AbortTask, late.itt, missing);
    assert_eq!(result(&answers), Some(TaskResult::FunctionComplete));
    assert!(peer.send(late, &[]).is_empty(), "it comes too late now");
    assert_eq!(
        result(&peer.manage(TaskFunction::AbortTask, Itt(4711), missing.sub(9))),
        Some(TaskResult::TaskDoesNotExist)
    );
}

#[test]
fn a_task_that_waits_for_its_turn_is_aborted_and_leaves_no_hole() {
    let mut peer = Peer::logged_in(&node(), &[]);
    let first = peer.command(Command::TestUnitReady.encode(), 0);
    let second = peer.command(Command::TestUnitReady.encode(), 0);
    assert!(peer.send(second.clone(), &[]).is_empty());
    let answers = peer.manage(TaskFunction::AbortTask, second.itt, second.cmd_sn);
    assert_eq!(result(&answers), Some(TaskResult::FunctionComplete));
    assert_eq!(peer.send(first, &[]).len(), 1);
    let third = peer.command(Command::TestUnitReady.encode(), 0);
    assert_eq!(peer.send(third, &[]).len(), 1);
}

#[test]
fn functions_for_a_set_of_tasks_answer_after_the_last_burst() {
    for function in [
        TaskFunction::AbortTaskSet,
        TaskFunction::ClearTaskSet,
        TaskFunction::LogicalUnitReset,
        TaskFunction::TargetWarmReset,
    ] {
        let mut peer = Peer::logged_in(&node(), &[]);
        let (one, one_ttt, _) = open_write(&mut peer, 0);
        let (two, two_ttt, _) = open_write(&mut peer, 1);
        assert_eq!(result(&peer.manage(function, Itt::RESERVED, Serial(0))), None);
        assert!(peer.send(data_out(one, one_ttt, 0, 0, true), &[1; 512]).is_empty());
        let answers = peer.send(data_out(two, two_ttt, 0, 0, true), &[]);
        assert_eq!(result(&answers), Some(TaskResult::FunctionComplete), "{function:?}");
        let reset = matches!(function, TaskFunction::LogicalUnitReset | TaskFunction::TargetWarmReset);
        let attention = reset.then_some((SenseKey::UnitAttention, 0x29, 0x03));
        assert_eq!(sense_of_ready(&mut peer), attention, "{function:?}");
        assert_eq!(peer.read(Cdb::read(0, 2), 2 * BLOCK).data, [0; 1024]);
        assert_eq!(result(&peer.manage(function, Itt::RESERVED, Serial(0))), Some(TaskResult::FunctionComplete));
    }
}

#[test]
fn other_initiators_keep_their_tasks_only_if_the_function_is_about_ours() {
    for (function, survives, attention) in [
        (TaskFunction::AbortTaskSet, true, None),
        (TaskFunction::ClearTaskSet, false, Some((SenseKey::UnitAttention, 0x2f, 0x00))),
        (TaskFunction::LogicalUnitReset, false, Some((SenseKey::UnitAttention, 0x29, 0x03))),
        (TaskFunction::TargetWarmReset, false, Some((SenseKey::UnitAttention, 0x29, 0x03))),
    ] {
        let node = node();
        let (mut ours, mut other) = (Peer::logged_in(&node, &[]), second_peer(&node));
        let (itt, ttt, _) = open_write(&mut other, 3);
        let answers = ours.manage(function, Itt::RESERVED, Serial(0));
        assert_eq!(result(&answers), Some(TaskResult::FunctionComplete));
        let answers = other.send(data_out(itt, ttt, 0, 0, true), &[8; 512]);
        assert_eq!(answers.len(), usize::from(survives), "{function:?}");
        assert_eq!(sense_of_ready(&mut other), attention, "{function:?}");
        if attention.is_some_and(|(_, asc, _)| asc == 0x29) {
            assert!(sense_of_ready(&mut ours).is_some());
            while sense_of_ready(&mut other).is_some() {}
        }
        let stored = other.read(Cdb::read(3, 1), BLOCK).data;
        assert_eq!(stored == [8; 512], survives, "{function:?}");
    }
}

#[test]
fn a_cold_reset_ends_all_sessions() {
    let node = node();
    let (mut ours, other) = (Peer::logged_in(&node, &[]), second_peer(&node));
    let answers = ours.manage(TaskFunction::TargetColdReset, Itt::RESERVED, Serial(0));
    assert_eq!(result(&answers), Some(TaskResult::FunctionComplete));
    assert!(!ours.is_open() && !other.is_open());
    assert!(node.sessions().is_empty());
}

#[test]
fn what_cannot_be_done_is_said_so() {
    let mut peer = Peer::logged_in(&node(), &[]);
    for (function, expected) in [
        (TaskFunction::ClearAca, TaskResult::FunctionNotSupported),
        (TaskFunction::TaskReassign, TaskResult::ReassignmentNotSupported),
        (TaskFunction::QueryTask, TaskResult::FunctionNotSupported),
        (TaskFunction::ItNexusReset, TaskResult::FunctionNotSupported),
    ] {
        assert_eq!(result(&peer.manage(function, Itt::RESERVED, Serial(0))), Some(expected), "{function:?}");
    }
    for function in [TaskFunction::AbortTaskSet, TaskFunction::ClearTaskSet, TaskFunction::LogicalUnitReset] {
        let request = TaskRequest {
            immediate: true,
            function,
            lun: Lun::from(9),
            itt: peer.itt(),
            referenced: Itt::RESERVED,
            cmd_sn: peer.cmd_sn,
            exp_stat_sn: Serial(0),
            ref_cmd_sn: Serial(0),
            exp_data_sn: Serial(0),
        };
        assert_eq!(result(&peer.send(request, &[])), Some(TaskResult::LunDoesNotExist), "{function:?}");
    }
    let bad = iscsi_proto::pdu::Header::new(iscsi_proto::pdu::Opcode::TaskRequest);
    let mut bytes = bad.0;
    bytes[1] = 0x8d;
    let answers = peer.send_bytes(&bytes);
    assert!(matches!(&answers[..], [Answer { pdu: Pdu::Reject(_), .. }]), "{answers:?}");
}

#[test]
fn tasks_of_other_units_are_left_alone() {
    let node = crate::peer::node_with(|target| {
        target.luns.push(conformance::target::config::LunConfig::memory(1 << 20));
    });
    let mut peer = Peer::logged_in(&node, &[]);
    let data = pattern(BLOCK, 1);
    let command = ScsiCommand { write: true, lun: Lun::from(1), ..peer.command(Cdb::write(0, 1), BLOCK) };
    let itt = command.itt;
    let answers = peer.send(command, &[]);
    let [Answer { pdu: Pdu::R2t(r2t), .. }] = &answers[..] else { panic!("{answers:?}") };
    assert!(result(&peer.manage(TaskFunction::LogicalUnitReset, Itt::RESERVED, Serial(0))).is_some());
    let pdu = iscsi_proto::pdu::DataOut { lun: Lun::from(1), ..data_out(itt, r2t.ttt, 0, 0, true) };
    assert_eq!(done(&peer.send(pdu, &data)).status, Status::GOOD);
}
