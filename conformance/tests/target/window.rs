use conformance::target::config::Limits;
use iscsi_proto::pdu::{NopOut, Pdu, ScsiCommand};
use iscsi_proto::scsi::{Cdb, Command, Lun, Status};
use iscsi_proto::serial::Serial;
use iscsi_proto::tags::{Itt, Ttt};

use crate::peer::{BLOCK, Peer, data_out, done, node, node_with};

fn ready(peer: &mut Peer, cmd_sn: Serial) -> ScsiCommand {
    let command = peer.command(Command::TestUnitReady.encode(), 0);
    ScsiCommand { cmd_sn, ..command }
}

#[test]
fn numbers_outside_the_window_are_ignored_without_a_word() {
    let mut peer = Peer::logged_in(&node(), &[]);
    let next = peer.cmd_sn;
    assert_eq!(peer.exp_cmd_sn, next);
    for cmd_sn in [next.sub(1), next.add(128), next.add(1 << 31)] {
        let command = ready(&mut peer, cmd_sn);
        assert!(peer.send(command, &[]).is_empty(), "{cmd_sn}");
    }
    let command = ready(&mut peer, next);
    assert_eq!(done(&peer.send(command.clone(), &[])).status, Status::GOOD);
    assert!(peer.send(command, &[]).is_empty(), "a duplicate");
    assert_eq!((peer.exp_cmd_sn, peer.max_cmd_sn), (next.next(), next.add(128)));
    assert!(peer.is_open());
}

#[test]
fn data_of_an_ignored_command_is_ignored_too() {
    let mut peer = Peer::logged_in(&node(), &[("InitialR2T", "No")]);
    let far = peer.cmd_sn.add(500);
    let command = ScsiCommand { write: true, fin: false, cmd_sn: far, ..peer.command(Cdb::write(0, 1), BLOCK) };
    let itt = command.itt;
    assert!(peer.send(command, &[]).is_empty());
    assert!(peer.send(data_out(itt, Ttt::RESERVED, 0, 0, true), &[0; 512]).is_empty());
    assert!(peer.is_open());
}

#[test]
fn early_commands_wait_for_the_missing_ones() {
    let mut peer = Peer::logged_in(&node(), &[]);
    let next = peer.cmd_sn;
    let commands: Vec<ScsiCommand> = (0..4).map(|n| ready(&mut peer, next.add(n))).collect();
    for early in [3, 1, 2] {
        assert!(peer.send(commands[early].clone(), &[]).is_empty());
    }
    let answers = peer.send(commands[0].clone(), &[]);
    let order: Vec<Itt> = answers
        .iter()
        .map(|answer| match &answer.pdu {
            Pdu::ScsiResponse(response) => response.itt,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(order, commands.iter().map(|command| command.itt).collect::<Vec<_>>());
    assert_eq!(peer.exp_cmd_sn, next.add(4));
}

#[test]
fn immediate_requests_take_no_number() {
    let mut peer = Peer::logged_in(&node(), &[]);
    let next = peer.cmd_sn;
    for cmd_sn in [next, next.add(1000), next.sub(5)] {
        let command = ScsiCommand { immediate: true, ..ready(&mut peer, cmd_sn) };
        assert_eq!(done(&peer.send(command, &[])).status, Status::GOOD);
        assert_eq!(peer.exp_cmd_sn, next);
    }
}

#[test]
fn writes_that_wait_for_data_close_the_window() {
    let node = node_with(|target| target.limits = Limits { window: 3, ..Limits::default() });
    let mut peer = Peer::logged_in(&node, &[]);
    let first = peer.cmd_sn;
    assert_eq!(peer.max_cmd_sn, first.add(2));
    let mut asked = Vec::new();
    for _ in 0..3 {
        let command = ScsiCommand { write: true, ..peer.command(Cdb::write(0, 1), BLOCK) };
        let answers = peer.send(command, &[]);
        let [crate::peer::Answer { pdu: Pdu::R2t(r2t), .. }] = &answers[..] else { panic!("{answers:?}") };
        asked.push(r2t.clone());
    }
    assert_eq!((peer.exp_cmd_sn, peer.max_cmd_sn), (first.add(3), first.add(2)));
    let closed = ready(&mut peer, first.add(3));
    assert!(peer.send(closed.clone(), &[]).is_empty());
    let answers = peer.send(data_out(asked[1].itt, asked[1].ttt, 0, 0, true), &[0; 512]);
    assert_eq!(done(&answers).status, Status::GOOD);
    assert_eq!(peer.max_cmd_sn, first.add(3));
    assert_eq!(done(&peer.send(closed, &[])).status, Status::GOOD);
}

#[test]
fn pings_are_echoed_as_far_as_the_initiator_can_take() {
    let mut peer = Peer::logged_in(&node(), &[("MaxRecvDataSegmentLength", "512")]);
    for (data, echo) in [(&b""[..], 0), (b"nopping\0", 8), (&[7; 600], 512)] {
        let cmd_sn = peer.cmd_sn;
        peer.cmd_sn = cmd_sn.next();
        let nop = NopOut {
            immediate: false,
            lun: Lun::ZERO,
            itt: peer.itt(),
            ttt: Ttt::RESERVED,
            cmd_sn,
            exp_stat_sn: Serial(0),
        };
        let answers = peer.send(nop.clone(), data);
        let [crate::peer::Answer { pdu: Pdu::NopIn(answer), data: echoed }] = &answers[..] else {
            panic!("{answers:?}")
        };
        assert_eq!((answer.itt, answer.ttt), (nop.itt, Ttt::RESERVED));
        assert_eq!(echoed[..], data[..echo]);
        assert_eq!(peer.exp_cmd_sn, peer.cmd_sn);
    }
}

#[test]
fn pings_of_the_target_consume_no_number() {
    let mut peer = Peer::logged_in(&node(), &[]);
    peer.connection.ping();
    let answers = peer.answers();
    let [crate::peer::Answer { pdu: Pdu::NopIn(ping), .. }] = &answers[..] else { panic!("{answers:?}") };
    assert!(ping.itt.is_reserved() && !ping.ttt.is_reserved());
    let answer = NopOut {
        immediate: true,
        lun: ping.lun,
        itt: Itt::RESERVED,
        ttt: ping.ttt,
        cmd_sn: peer.cmd_sn,
        exp_stat_sn: Serial(0),
    };
    assert!(peer.send(answer.clone(), &[]).is_empty());
    let numbered = NopOut { immediate: false, ..answer };
    peer.cmd_sn = peer.cmd_sn.next();
    let answers = peer.send(numbered, &[]);
    assert!(matches!(&answers[..], [crate::peer::Answer { pdu: Pdu::Reject(_), .. }]), "{answers:?}");
}
