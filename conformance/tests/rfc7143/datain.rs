//! Data-In and SCSI responses (sections 11.4 and 11.7).

use iscsi_initiator::core::misbehaved::PeerMisbehaved;
use iscsi_initiator::core::{CommandError, Response};
use iscsi_initiator::good;
use iscsi_proto::pdu::{DataIn, Residual, ScsiResponse, ServiceResponse, sense_segment};
use iscsi_proto::scsi::{Sense, SenseKey, Status};
use iscsi_proto::serial::Serial;
use iscsi_proto::tags::{Itt, Ttt};

use crate::support::peer::pattern;
use crate::support::world::{World, ended, offering};

/// Ends a fresh command with this response, and gives what the caller gets.
async fn responded(change: impl FnOnce(&mut ScsiResponse), data: &[u8]) -> Response {
    let mut world = World::new().await;
    let test = world.test();
    let (command, _) = world.peer.command().await;
    let mut response = world.peer.response(command.itt, Status::GOOD);
    change(&mut response);
    world.peer.say(response, data).await;
    world.works().await;
    ended(test).await.expect("a response")
}

#[tokio::test(start_paused = true)]
async fn r195_a_read_may_end_with_its_data() {
    let mut world = World::new().await;
    let read = world.read(1000);
    let (command, immediate) = world.peer.command().await;
    assert!(command.read && command.fin && !command.write && immediate.is_empty());
    assert_eq!(command.expected_length, 1000);
    let first = DataIn { fin: false, ..world.peer.data_in(command.itt, 0, 0) };
    world.peer.say(first, &pattern(1000)[..600]).await;
    let numbering = world.peer.status();
    let status = Some((Status::GOOD, Residual::None));
    let last = DataIn { status, numbering, ..world.peer.data_in(command.itt, 1, 600) };
    world.peer.say(last, &pattern(1000)[600..]).await;
    let response = ended(read).await.unwrap();
    assert_eq!((response.status, response.residual), (Status::GOOD, Residual::None));
    assert_eq!(response.data, pattern(1000));
    world.works().await;
}

#[tokio::test(start_paused = true)]
async fn r202_a_sequence_longer_than_a_burst_does_no_harm() {
    let mut world = World::with(offering(|_| {}), &[("MaxBurstLength", "512"), ("FirstBurstLength", "512")]).await;
    assert_eq!(world.session.info().negotiated.max_burst_length, 512);
    let read = world.read(2048);
    let (command, _) = world.peer.command().await;
    for part in 0..4u32 {
        let data_in = DataIn { fin: part == 3, ..world.peer.data_in(command.itt, part, part * 512) };
        world.peer.say(data_in, &pattern(2048)[part as usize * 512..][..512]).await;
    }
    world.peer.good(command.itt).await;
    assert_eq!(ended(read).await.unwrap().data, pattern(2048));
}

#[tokio::test(start_paused = true)]
async fn r204_a_request_to_acknowledge_data_is_ignored_at_level_0() {
    let mut world = World::new().await;
    let read = world.read(1024);
    let (command, _) = world.peer.command().await;
    for part in 0..2u32 {
        let data_in = DataIn { acknowledge: true, ttt: Ttt(5), ..world.peer.data_in(command.itt, part, part * 512) };
        world.peer.say(data_in, &pattern(1024)[part as usize * 512..][..512]).await;
        world.peer.hears_nothing().await;
    }
    world.peer.good(command.itt).await;
    assert_eq!(ended(read).await.unwrap().data, pattern(1024));
}

#[tokio::test(start_paused = true)]
async fn r197_r203_r206_data_that_has_no_place_is_written_nowhere() {
    for (data_sn, offset, length) in [(0, 1024, 4), (0, 1020, 8), (0, u32::MAX, 4), (0, 4, 4), (1, 0, 4)] {
        let mut world = World::new().await;
        let read = world.read(1024);
        let (command, _) = world.peer.command().await;
        let data_in = world.peer.data_in(command.itt, data_sn, offset);
        world.peer.say(data_in, &vec![0xee; length]).await;
        let rule = world.misbehaved().await;
        assert!(rule.section().is_some(), "{rule}");
        assert!(matches!(ended(read).await, Err(CommandError::Closed { sent: true, .. })));
    }
    let mut world = World::new().await;
    let write = world.write(1024);
    let (command, _) = world.peer.command().await;
    let data_in = world.peer.data_in(command.itt, 0, 0);
    world.peer.say(data_in, &[0xee; 4]).await;
    assert!(matches!(world.misbehaved().await, PeerMisbehaved::WrongTask { .. }));
    assert!(ended(write).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn r018_data_for_a_command_that_has_ended_ends_the_connection() {
    let mut world = World::new().await;
    let read = world.read(512);
    let (command, _) = world.peer.command().await;
    world.peer.good(command.itt).await;
    ended(read).await.unwrap();
    let data_in = world.peer.data_in(command.itt, 0, 0);
    world.peer.say(data_in, &[0xee; 512]).await;
    assert_eq!(world.misbehaved().await, PeerMisbehaved::UnknownTask { itt: command.itt });
}

#[tokio::test(start_paused = true)]
async fn r200_r201_good_status_does_not_make_up_for_missing_data() {
    let mut world = World::new().await;
    let read = world.read(1024);
    let (command, _) = world.peer.command().await;
    let data_in = world.peer.data_in(command.itt, 0, 0);
    world.peer.say(data_in, &pattern(512)).await;
    let response = ScsiResponse { exp_data_sn: Serial(2), ..world.peer.response(command.itt, Status::GOOD) };
    world.peer.say(response, &[]).await;
    let expected = PeerMisbehaved::DataGap { expected: Serial(1), received: Serial(2) };
    assert_eq!(world.misbehaved().await, expected);
    assert!(ended(read).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn r209_bytes_that_did_not_come_are_not_handed_out() {
    for sent in [0, 100, 511, 512] {
        let mut world = World::new().await;
        let read = world.read(512);
        let (command, _) = world.peer.command().await;
        if sent != 0 {
            let data_in = world.peer.data_in(command.itt, 0, 0);
            world.peer.say(data_in, &pattern(sent)).await;
        }
        world.peer.good(command.itt).await;
        assert_eq!(ended(read).await.unwrap().data, pattern(sent));
    }
}

#[tokio::test(start_paused = true)]
async fn r213_sense_comes_with_other_statuses_too() {
    let sense = Sense::new(SenseKey::NotReady, 0x04, 0x01).to_fixed();
    for status in [Status::BUSY, Status::TASK_SET_FULL, Status::RESERVATION_CONFLICT] {
        let response = responded(|response| response.status = status, &sense_segment(&sense)).await;
        assert_eq!((response.status, &response.sense[..]), (status, &sense[..]));
        assert!(matches!(good(response), Err(CommandError::Status(error)) if error == status));
    }
}

#[tokio::test(start_paused = true)]
async fn r214_the_status_qualifier_means_nothing_below_its_level() {
    for (status, qualifier) in [(Status::GOOD, 0xffff), (Status::BUSY, 0x4001), (Status::TASK_SET_FULL, 1)] {
        let mut seen = Vec::new();
        for qualifier in [0, qualifier] {
            let change = |response: &mut ScsiResponse| (response.status, response.qualifier) = (status, qualifier);
            seen.push(format!("{:?}", responded(change, &[]).await));
        }
        assert_eq!(seen[0], seen[1]);
    }
}

#[tokio::test(start_paused = true)]
async fn r210_a_command_that_was_not_delivered_has_no_status() {
    let mut world = World::new().await;
    let test = world.test();
    let (command, _) = world.peer.command().await;
    let response =
        ScsiResponse { response: ServiceResponse::TargetFailure, ..world.peer.response(command.itt, Status::GOOD) };
    world.peer.say(response, &[]).await;
    assert!(matches!(ended(test).await, Err(CommandError::Delivery(ServiceResponse::TargetFailure))));
    world.works().await;
}

#[tokio::test(start_paused = true)]
async fn r207_both_residuals_at_once_end_the_connection() {
    let mut world = World::new().await;
    let test = world.test();
    let (command, _) = world.peer.command().await;
    let mut header = world.peer.response(command.itt, Status::GOOD).encode();
    header.0[1] |= 0x06;
    world.peer.say_header(header, &[]).await;
    assert!(matches!(world.misbehaved().await, PeerMisbehaved::Pdu(_)));
    assert!(ended(test).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn r211_sense_longer_than_its_segment_ends_the_connection() {
    let mut world = World::new().await;
    let test = world.test();
    let (command, _) = world.peer.command().await;
    let response = world.peer.response(command.itt, Status::CHECK_CONDITION);
    world.peer.say(response, &[0, 19, 0x70, 0, 5, 0, 0, 0, 0, 10]).await;
    assert!(matches!(world.misbehaved().await, PeerMisbehaved::Pdu(_)));
    assert!(ended(test).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn r018_r166_a_response_counts_once() {
    let mut world = World::new().await;
    let (first, second) = (world.test(), world.test());
    let (command, _) = world.peer.command().await;
    let (other, _) = world.peer.command().await;
    let response = world.peer.response(command.itt, Status::GOOD);
    world.peer.say(response.clone(), &[]).await;
    world.peer.say(response, &[]).await;
    world.peer.good(other.itt).await;
    ended(first).await.unwrap();
    ended(second).await.unwrap();
    let stale = world.peer.response(command.itt, Status::GOOD);
    world.peer.say(stale, &[]).await;
    assert_eq!(world.misbehaved().await, PeerMisbehaved::UnknownTask { itt: command.itt });
    assert_ne!(command.itt, Itt::RESERVED);
}

/// 0960h and the level (RFC 7144, section 4.2).
#[tokio::test(start_paused = true)]
async fn the_device_server_can_be_asked_for_its_level() {
    for level in [0x0960, 0x0961, 0x0962] {
        let mut world = World::new().await;
        let inquiry = world.start(|session| async move { session.inquiry(0.into()).await });
        let (command, _) = world.peer.command().await;
        let mut data = vec![0; 96];
        data[4] = 91;
        data[58..60].copy_from_slice(&0x00c0u16.to_be_bytes());
        data[60..62].copy_from_slice(&u16::to_be_bytes(level));
        let data_in = world.peer.data_in(command.itt, 0, 0);
        world.peer.say(data_in, &data).await;
        let left = command.expected_length - 96;
        let response =
            ScsiResponse { residual: Residual::Underflow(left), ..world.peer.response(command.itt, Status::GOOD) };
        world.peer.say(response, &[]).await;
        assert_eq!(ended(inquiry).await.unwrap().standards, [0x00c0, level]);
    }
}
