//! CmdSN, StatSN and the window (section 4.2.2).

use iscsi_initiator::core::misbehaved::PeerMisbehaved;
use iscsi_initiator::core::{Command, CommandError};
use iscsi_proto::pdu::{NopIn, Numbering, Pdu, sense_segment};
use iscsi_proto::scsi::{Cdb, Lun, Sense, SenseKey, Status};
use iscsi_proto::serial::Serial;
use iscsi_proto::tags::{Itt, Ttt};

use crate::support::world::{LUN, SECOND, World, ended, offering};

/// the checker of traces compares every number.
#[tokio::test(start_paused = true)]
async fn commands_and_pings_of_many_callers_are_numbered_in_wire_order() {
    let mut world = World::new().await;
    let mut tests = Vec::new();
    let mut pings = Vec::new();
    for round in 0..20 {
        tests.push(world.test());
        if round % 3 == 0 {
            pings.push(world.start(|session| async move { session.ping().await }));
        }
    }
    for _ in 0..tests.len() + pings.len() {
        match world.peer.hear().await.0 {
            Pdu::ScsiCommand(command) => world.peer.good(command.itt).await,
            Pdu::NopOut(nop) => {
                let numbering = world.peer.status();
                world.peer.say(NopIn { lun: Lun::ZERO, itt: nop.itt, ttt: Ttt::RESERVED, numbering }, &[]).await;
            }
            other => panic!("{other:?}"),
        }
    }
    for test in tests {
        ended(test).await.unwrap();
    }
    for ping in pings {
        ended(ping).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn r159_r161_r162_commands_wait_until_the_window_opens_and_it_never_closes_again() {
    let mut world = World::new().await;
    world.peer.window = 0;
    let mut tests = Vec::new();
    for _ in 0..40 {
        tests.push(world.test());
    }
    let mut itts = Vec::new();
    for _ in 0..32 {
        itts.push(world.peer.command().await.0.itt);
    }
    world.peer.hears_nothing().await;
    for (window, freed) in [(0, 0), (1, 1), (0, 0), (3, 3)] {
        world.peer.window = window;
        let ping = world.peer.ping(Ttt::RESERVED);
        world.peer.say(ping, &[]).await;
        for _ in 0..freed {
            itts.push(world.peer.command().await.0.itt);
        }
        world.peer.hears_nothing().await;
    }
    // Four more, and in the same breath a PDU that was overtaken.
    let overtaken = world.peer.ping(Ttt::RESERVED);
    world.peer.window = 4;
    let opens = world.peer.ping(Ttt::RESERVED);
    world.peer.say_together([opens, overtaken]).await;
    for _ in 0..4 {
        itts.push(world.peer.command().await.0.itt);
    }
    for itt in itts {
        world.peer.good(itt).await;
    }
    for test in tests {
        ended(test).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn r160_a_window_that_contradicts_itself_is_ignored() {
    let mut world = World::new().await;
    let exp_cmd_sn = world.peer.exp_cmd_sn;
    for (exp, max) in [(5, 3), (1000, 40)] {
        let (stat_sn, exp_cmd_sn, max_cmd_sn) = (world.peer.stat_sn, exp_cmd_sn.add(exp), exp_cmd_sn.add(max));
        let numbering = Numbering { stat_sn, exp_cmd_sn, max_cmd_sn };
        world.peer.say(NopIn { lun: Lun::ZERO, itt: Itt::RESERVED, ttt: Ttt::RESERVED, numbering }, &[]).await;
    }
    world.peer.window = 0;
    let mut tests: Vec<_> = (0..33).map(|_| world.test()).collect();
    for _ in 0..32 {
        world.peer.command().await;
    }
    world.peer.hears_nothing().await;
    assert!(matches!(ended(tests.pop().unwrap()).await, Err(CommandError::TimedOut { sent: false, .. })));
}

/// nothing that came behind the gap is acknowledged or handed out.
#[tokio::test(start_paused = true)]
async fn a_status_number_that_skips_ends_the_connection() {
    for gap in [1, 5, 1 << 20, (1 << 31) - 1] {
        let mut world = World::new().await;
        let test = world.test();
        let (command, _) = world.peer.command().await;
        let expected = world.peer.stat_sn;
        world.peer.stat_sn = expected.add(gap);
        world.peer.good(command.itt).await;
        assert_eq!(world.misbehaved().await, PeerMisbehaved::StatusGap { expected, received: expected.add(gap) });
        assert!(matches!(ended(test).await, Err(CommandError::Closed { sent: true, .. })));
    }
}

/// busy or not, another try is a new command.
#[tokio::test(start_paused = true)]
async fn a_command_is_tried_again_under_a_new_number_only() {
    let mut world = World::new().await;
    let inquiry = world.start(|session| async move { session.inquiry(Lun::from(LUN)).await });
    let attention = sense_segment(&Sense::new(SenseKey::UnitAttention, 0x29, 0).to_fixed());
    let mut seen = Vec::new();
    for (status, sense) in
        [(Status::BUSY, &[][..]), (Status::TASK_SET_FULL, &[]), (Status::CHECK_CONDITION, &attention)]
    {
        let (command, _) = world.peer.command().await;
        assert!(!seen.contains(&command.cmd_sn));
        seen.push(command.cmd_sn);
        let response = world.peer.response(command.itt, status);
        world.peer.say(response, sense).await;
    }
    let (command, _) = world.peer.command().await;
    assert_eq!(command.cmd_sn, seen[0].add(3));
    let response = world.peer.response(command.itt, Status::RESERVATION_CONFLICT);
    world.peer.say(response, &[]).await;
    let error = ended(inquiry).await.unwrap_err();
    assert!(matches!(error, CommandError::Status(Status::RESERVATION_CONFLICT)), "{error}");
    world.peer.hears_nothing().await;
}

/// what the caller sends itself is never sent twice, and neither is what gets no answer.
#[tokio::test(start_paused = true)]
async fn a_command_without_an_answer_is_not_sent_again() {
    let mut world = World::new().await;
    let mut command = Command::new(Cdb::from_bytes(&[0; 6]).unwrap());
    command.timeout = Some(SECOND);
    let running = world.execute(command);
    world.peer.command().await;
    assert!(matches!(world.peer.hear().await, (Pdu::TaskRequest(_), _)));
    world.peer.hears_nothing().await;
    drop(running);
}

/// the numbers of this connection wrap, those of the peer's status do in every test of this crate.
#[tokio::test(start_paused = true)]
async fn status_numbers_wrap() {
    let mut world = World::new().await;
    for _ in 0..4 {
        world.works().await;
    }
    assert!(world.peer.stat_sn.lt(Serial(100)));
}

#[tokio::test(start_paused = true)]
async fn r293_no_priority_is_sent_whatever_the_level() {
    for level in [None, Some("1"), Some("2"), Some("NotUnderstood")] {
        let config = offering(|offer| offer.protocol_level = level.map(|_| 2));
        let answers: Vec<(&str, &str)> = level.iter().map(|level| ("iSCSIProtocolLevel", *level)).collect();
        let mut world = World::with(config, &answers).await;
        let expected = if level == Some("2") { 2 } else { 1 };
        assert_eq!(world.session.info().negotiated.protocol_level, expected);
        let read = world.read(512);
        let (command, _) = world.peer.command().await;
        assert_eq!(command.priority, 0);
        world.peer.good(command.itt).await;
        ended(read).await.unwrap();
    }
}
