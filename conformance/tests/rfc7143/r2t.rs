//! R2T (section 11.8).

use bytes::BytesMut;
use iscsi_initiator::core::misbehaved::PeerMisbehaved;
use iscsi_initiator::core::{Command, CommandError};
use iscsi_proto::pdu::{Pdu, R2t, Residual, ScsiCommand, ScsiResponse};
use iscsi_proto::scsi::{Cdb, Lun, Status};
use iscsi_proto::serial::Serial;
use iscsi_proto::tags::{Itt, Ttt};

use crate::support::peer::pattern;
use crate::support::world::{Running, World, config, ended};

/// A write of 5000 bytes for which nothing has been sent; bursts of 2048, segments of 512, two R2Ts at a time.
async fn writing() -> (World, Running, ScsiCommand) {
    let answers = [
        ("InitialR2T", "Yes"),
        ("ImmediateData", "No"),
        ("MaxBurstLength", "2048"),
        ("FirstBurstLength", "2048"),
        ("MaxRecvDataSegmentLength", "512"),
        ("MaxOutstandingR2T", "2"),
    ];
    let mut world = World::with(config(), &answers).await;
    let write = world.write(5000);
    let (command, immediate) = world.peer.command().await;
    assert!(immediate.is_empty());
    (world, write, command)
}

/// the checker of traces compares each Data-Out with the R2T that is due.
#[tokio::test(start_paused = true)]
async fn r2ts_are_answered_to_the_byte_in_their_order() {
    let (mut world, write, command) = writing().await;
    for (r2t_sn, offset, length) in [(0, 0, 2048), (1, 2048, 1)] {
        let r2t = world.peer.r2t(&command, r2t_sn, offset, length);
        world.peer.say(r2t, &[]).await;
    }
    let mut data = Vec::new();
    for (ttt, data_sn, length) in
        [(0x7000, 0, 512), (0x7000, 1, 512), (0x7000, 2, 512), (0x7000, 3, 512), (0x7001, 0, 1)]
    {
        let (Pdu::DataOut(pdu), part) = world.peer.hear().await else { panic!() };
        assert_eq!((pdu.ttt, pdu.data_sn, part.len()), (Ttt(ttt), Serial(data_sn), length));
        data.extend_from_slice(&part);
    }
    for (r2t_sn, offset, length) in [(2, 2049, 2048), (3, 4097, 903)] {
        let r2t = world.peer.r2t(&command, r2t_sn, offset, length);
        world.peer.say(r2t, &[]).await;
    }
    while data.len() < 5000 {
        data.extend_from_slice(&world.peer.hear().await.1);
    }
    assert_eq!(data, pattern(5000));
    world.peer.hears_nothing().await;
    world.peer.good(command.itt).await;
    ended(write).await.unwrap();
}

/// nothing is sent for any of them.
#[tokio::test(start_paused = true)]
async fn bad_r2ts_get_no_data_and_end_the_connection() {
    let changes: [fn(&mut R2t); 9] = [
        |r2t| r2t.offset = 5000,
        |r2t| r2t.offset = 4489,
        |r2t| r2t.offset = u32::MAX,
        |r2t| (r2t.offset, r2t.length) = (0xffff_fe00, 0x200),
        |r2t| r2t.length = 2049,
        |r2t| r2t.length = 0,
        |r2t| r2t.ttt = Ttt::RESERVED,
        |r2t| r2t.r2t_sn = Serial(1),
        |r2t| r2t.lun = Lun::ZERO,
    ];
    for change in changes {
        let (mut world, write, command) = writing().await;
        let mut r2t = world.peer.r2t(&command, 0, 0, 512);
        change(&mut r2t);
        world.peer.say(r2t, &[]).await;
        world.misbehaved().await;
        assert!(matches!(ended(write).await, Err(CommandError::Closed { sent: true, .. })));
    }
}

#[tokio::test(start_paused = true)]
async fn r185_an_r2t_may_reach_to_the_last_byte() {
    let (mut world, write, command) = writing().await;
    for (r2t_sn, offset, length) in [(0, 0, 2048), (1, 2048, 2048), (2, 4096, 904)] {
        let r2t = world.peer.r2t(&command, r2t_sn, offset, length);
        world.peer.say(r2t, &[]).await;
        let mut heard = Vec::new();
        while heard.len() < length as usize {
            heard.extend(world.peer.hear().await.1);
        }
        assert_eq!(heard, pattern(5000)[offset as usize..][..length as usize]);
    }
    let response = world.peer.response(command.itt, Status::CHECK_CONDITION);
    world.peer.say(response, &[]).await;
    assert_eq!(ended(write).await.unwrap().status, Status::CHECK_CONDITION);
}

#[tokio::test(start_paused = true)]
async fn r190_bytes_that_were_asked_for_before_are_not_asked_for_again() {
    for (offset, length) in [(0, 2048), (0, 1), (2047, 2), (1024, 512)] {
        let (mut world, write, command) = writing().await;
        let r2t = world.peer.r2t(&command, 0, 0, 2048);
        world.peer.say(r2t, &[]).await;
        for part in 0..4 {
            assert_eq!(world.peer.hear().await.1, pattern(5000)[part * 512..][..512]);
        }
        let r2t = world.peer.r2t(&command, 1, offset, length);
        world.peer.say(r2t, &[]).await;
        assert_eq!(world.misbehaved().await, PeerMisbehaved::R2tBackwards { offset, end: 2048 });
        assert!(ended(write).await.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn r186_more_r2ts_than_agreed_end_the_connection() {
    let (mut world, write, command) = writing().await;
    let r2ts = [0, 1, 2].map(|r2t_sn| world.peer.r2t(&command, r2t_sn, r2t_sn * 512, 512));
    world.peer.say_together(r2ts).await;
    assert_eq!(world.misbehaved().await, PeerMisbehaved::TooManyR2ts { limit: 2 });
    assert!(ended(write).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn r192_an_r2t_for_a_command_that_has_ended_gets_no_data() {
    let (mut world, write, command) = writing().await;
    let response = world.peer.response(command.itt, Status::CHECK_CONDITION);
    world.peer.say(response, &[]).await;
    assert_eq!(ended(write).await.unwrap().status, Status::CHECK_CONDITION);
    let r2t = world.peer.r2t(&command, 0, 0, 512);
    world.peer.say(r2t, &[]).await;
    assert_eq!(world.misbehaved().await, PeerMisbehaved::UnknownTask { itt: command.itt });
}

#[tokio::test(start_paused = true)]
async fn r019_an_r2t_for_a_read_or_for_nothing_gets_no_data() {
    let mut world = World::new().await;
    let read = world.read(512);
    let (command, _) = world.peer.command().await;
    let r2t = world.peer.r2t(&command, 0, 0, 512);
    world.peer.say(r2t, &[]).await;
    assert!(matches!(world.misbehaved().await, PeerMisbehaved::WrongTask { .. }));
    assert!(ended(read).await.is_err());

    let (mut world, _write, command) = writing().await;
    let r2t = R2t { itt: Itt(0x777), ..world.peer.r2t(&command, 0, 0, 512) };
    world.peer.say(r2t, &[]).await;
    assert_eq!(world.misbehaved().await, PeerMisbehaved::UnknownTask { itt: Itt(0x777) });
}

#[tokio::test(start_paused = true)]
async fn r194_data_leaves_though_the_window_is_closed() {
    let (mut world, write, command) = writing().await;
    world.peer.window = 0;
    world.peer.exp_cmd_sn = world.peer.exp_cmd_sn.add(31);
    for r2t_sn in 0..2 {
        let r2t = world.peer.r2t(&command, r2t_sn, r2t_sn * 2048, 2048);
        world.peer.say(r2t, &[]).await;
        for _ in 0..4 {
            assert!(matches!(world.peer.hear().await, (Pdu::DataOut(_), _)));
        }
    }
    let r2t = world.peer.r2t(&command, 2, 4096, 904);
    world.peer.say(r2t, &[]).await;
    world.peer.hear().await;
    world.peer.hear().await;
    world.peer.good(command.itt).await;
    ended(write).await.unwrap();
}

/// Sections 4.2.2.4, 11.7.5 and 11.8.2: Data-In and R2Ts of a command that moves data both ways are numbered in one row. The checker of
/// traces sees to the length in its additional header segment.
#[tokio::test(start_paused = true)]
async fn data_and_r2ts_of_one_command_share_their_numbers() {
    let mut world = World::with(config(), &[("InitialR2T", "Yes"), ("ImmediateData", "No")]).await;
    let both = world.execute(Command::bidirectional(Cdb::read(0, 1), pattern(1000), BytesMut::zeroed(600)));
    let (command, immediate) = world.peer.command().await;
    assert!(command.read && command.write && immediate.is_empty());
    assert_eq!(command.expected_length, 1000);
    for (r2t_sn, offset, length) in [(0, 0, 700), (2, 700, 300)] {
        let r2t = world.peer.r2t(&command, r2t_sn, offset, length);
        world.peer.say(r2t, &[]).await;
        assert_eq!(world.peer.hear().await.1, pattern(1000)[offset as usize..][..length as usize]);
        let data = world.peer.data_in(command.itt, r2t_sn + 1, r2t_sn * 150);
        world.peer.say(data, &pattern(600)[r2t_sn as usize * 150..][..300]).await;
    }
    let good = world.peer.response(command.itt, Status::GOOD);
    world.peer.say(ScsiResponse { exp_data_sn: Serial(4), bidi_residual: Residual::Underflow(100), ..good }, &[]).await;
    let response = ended(both).await.unwrap();
    assert_eq!((response.residual, response.read_residual), (Residual::None, Residual::Underflow(100)));
    assert_eq!(response.data, pattern(600)[..500]);
}
