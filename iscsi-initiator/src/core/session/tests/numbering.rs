use iscsi_proto::pdu::{NopIn, Opcode};
use iscsi_proto::scsi::Cdb;

use super::*;

fn test_unit_ready() -> Command {
    Command::new(Cdb::from_bytes(&[0; 6]).unwrap())
}

#[test]
fn r156_r163_commands_are_numbered_in_order() {
    let mut world = World::new();
    for token in 0..5 {
        world.submit(token, test_unit_ready());
    }
    let numbers: Vec<u32> = world
        .sent()
        .into_iter()
        .map(|(pdu, _)| match pdu {
            Pdu::ScsiCommand(command) => command.cmd_sn.0,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(numbers, [7, 8, 9, 10, 11]);
}

#[test]
fn r099_r157_immediate_requests_do_not_move_the_number() {
    let mut world = World::new();
    world.core.submit(Request::Ping, 1, world.now);
    let [(Pdu::NopOut(ping), _)] = &world.sent()[..] else { panic!() };
    assert!(ping.immediate && !ping.itt.is_reserved() && ping.ttt.is_reserved());
    assert_eq!(ping.cmd_sn, Serial(7));
    world.submit(2, test_unit_ready());
    assert_eq!(world.command().cmd_sn, Serial(7));
}

#[test]
fn r159_commands_wait_for_the_window() {
    let mut world = World::new();
    for token in 0..40 {
        world.submit(token, test_unit_ready());
    }
    let sent = world.sent();
    assert_eq!(sent.len(), 32);
    assert!(world.sent().is_empty());
    let Pdu::ScsiCommand(first) = &sent[0].0 else { panic!() };
    world.exp_cmd_sn = Serial(8);
    world.max_cmd_sn = Serial(39);
    let response = world.response(first.itt, Status::GOOD);
    world.say(response, &[]);
    assert_eq!(world.ended(0).status, Status::GOOD);
    assert_eq!(world.command().cmd_sn, Serial(39));
}

#[test]
fn r159_the_room_in_the_window_can_be_asked_for() {
    let mut world = World::new();
    assert_eq!(world.core.stats().room, 32);
    world.read(1, 512);
    assert_eq!(world.core.stats().room, 31);
    world.core.window = Window::new(Serial(7), Serial(7), Serial(6));
    assert_eq!(world.core.stats().room, 0);
}

#[test]
fn r162_every_pdu_moves_the_window() {
    let mut world = World::new();
    world.core.window = Window::new(Serial(7), Serial(7), Serial(6));
    world.submit(1, test_unit_ready());
    assert!(world.sent().is_empty());
    world.max_cmd_sn = Serial(7);
    let unsolicited = NopIn { lun: Lun::ZERO, itt: Itt::RESERVED, ttt: Ttt::RESERVED, numbering: world.numbering() };
    world.say(unsolicited, &[]);
    assert_eq!(world.command().cmd_sn, Serial(7));
}

#[test]
fn r098_r167_the_next_request_acknowledges_the_status() {
    let mut world = World::new();
    world.submit(1, test_unit_ready());
    let first = world.command();
    assert_eq!(first.exp_stat_sn, Serial(100));
    let response = world.response(first.itt, Status::GOOD);
    world.say(response, &[]);
    world.ended(1);
    world.submit(2, test_unit_ready());
    assert_eq!(world.command().exp_stat_sn, Serial(101));
}

#[test]
fn r165_a_status_gap_ends_the_connection() {
    let mut world = World::new();
    world.submit(1, test_unit_ready());
    let itt = world.command().itt;
    world.stat_sn = world.stat_sn.next();
    let response = world.response(itt, Status::GOOD);
    world.say(response, &[]);
    let rule = world.misbehaved();
    assert_eq!(rule, PeerMisbehaved::StatusGap { expected: Serial(100), received: Serial(101) });
    assert!(matches!(world.completion(1), Err(CommandError::Closed { sent: true, .. })));
}

#[test]
fn r166_a_status_that_came_before_is_discarded() {
    let mut world = World::new();
    world.submit(1, test_unit_ready());
    world.submit(2, test_unit_ready());
    let sent = world.sent();
    let Pdu::ScsiCommand(first) = &sent[0].0 else { panic!() };
    let response = world.response(first.itt, Status::GOOD);
    world.say(response.clone(), &[]);
    world.ended(1);
    world.say(response, &[]);
    assert!(world.done().is_empty());
    assert!(world.core.closed().is_none());
}

#[test]
fn r168_pings_without_an_answer_take_no_status_number() {
    let mut world = World::new();
    let ping = NopIn { lun: Lun::from(9), itt: Itt::RESERVED, ttt: Ttt(5), numbering: world.numbering() };
    world.say(ping, &[]);
    let [(Pdu::NopOut(answer), _)] = &world.sent()[..] else { panic!() };
    assert!(answer.immediate && answer.itt.is_reserved());
    assert_eq!((answer.ttt, answer.lun, answer.cmd_sn), (Ttt(5), Lun::from(9), Serial(7)));
    assert_eq!(answer.exp_stat_sn, Serial(100));
}

#[test]
fn r018_a_response_for_no_task_ends_the_connection() {
    let mut world = World::new();
    let response = world.response(Itt(0x1234), Status::GOOD);
    world.say(response, &[]);
    assert_eq!(world.misbehaved(), PeerMisbehaved::UnknownTask { itt: Itt(0x1234) });
}

#[test]
fn r005_a_request_from_the_target_ends_the_connection() {
    for opcode in Opcode::ALL.into_iter().filter(|opcode| opcode.is_request()) {
        let mut world = World::new();
        let header = iscsi_proto::pdu::Header::new(opcode);
        world.core.receive(LinkId::FIRST, header.as_bytes(), world.now);
        assert_eq!(world.misbehaved(), PeerMisbehaved::UnexpectedPdu { opcode });
    }
}

#[test]
fn r020_pdus_may_come_byte_by_byte() {
    for digests in [(false, false), (true, false), (false, true), (true, true)] {
        let negotiated = Negotiated { header_digest: digests.0, data_digest: digests.1, ..Negotiated::default() };
        let mut world = World::with(negotiated);
        world.read(1, 1001);
        let itt = world.command().itt;
        let data_in = DataIn { status: Some((Status::GOOD, Residual::None)), ..world.data_in(itt, 0, 0) };
        world.stat_sn = world.stat_sn.next();
        let wire = world.wire(&data_in.into(), &pattern(1001));
        let mut held = Vec::new();
        for byte in wire {
            held.push(byte);
            let used = world.core.receive(LinkId::FIRST, &held, world.now);
            held.drain(..used);
        }
        assert_eq!(world.ended(1).data, pattern(1001));
        assert!(held.is_empty());
        world.assert_clean();
    }
}

#[test]
fn r007_a_segment_longer_than_declared_ends_the_connection_before_it_comes() {
    let mut world = World::new();
    let header = iscsi_proto::pdu::Header::new(Opcode::DataIn).with_data_len(8193);
    world.core.receive(LinkId::FIRST, header.as_bytes(), world.now);
    assert!(matches!(world.misbehaved(), PeerMisbehaved::Frame(_)));
}

#[test]
fn r029_a_damaged_header_ends_the_connection_as_damage() {
    let mut world = World::with(Negotiated { header_digest: true, ..Negotiated::default() });
    world.submit(1, test_unit_ready());
    let itt = world.command().itt;
    let response = world.response(itt, Status::GOOD);
    let mut wire = world.wire(&response.into(), &[]);
    wire[19] ^= 1;
    world.core.receive(LinkId::FIRST, &wire, world.now);
    assert!(matches!(world.core.closed(), Some(ConnectionError::Damaged(_))));
    assert!(matches!(world.completion(1), Err(CommandError::Closed { sent: true, .. })));
}
