//! Reject (section 11.17).

use iscsi_initiator::core::misbehaved::PeerMisbehaved;
use iscsi_initiator::core::{CommandError, ConnectionError, Event};
use iscsi_proto::pdu::{Header, NopOut, Pdu, Reject, RejectReason, ScsiCommand};
use iscsi_proto::scsi::Lun;
use iscsi_proto::serial::Serial;
use iscsi_proto::tags::{Itt, Ttt};

use crate::support::world::{World, config, ended};

impl World {
    async fn reject(&mut self, reason: RejectReason, rejected: &Header) {
        let numbering = self.peer.status();
        self.peer.say(Reject { reason, numbering, data_sn: Serial(0) }, rejected.as_bytes()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn r239_a_ping_for_which_there_was_no_room_may_be_sent_again() {
    let mut world = World::new().await;
    for rejected in [true, true, false] {
        let ping = world.start(|session| async move { session.ping().await });
        let (Pdu::NopOut(nop), _) = world.peer.hear().await else { panic!() };
        if rejected {
            world.reject(RejectReason::TooManyImmediate, &nop.encode()).await;
            let error = ended(ping).await.unwrap_err();
            assert!(matches!(error, CommandError::Rejected(RejectReason::TooManyImmediate)), "{error}");
            world.peer.hears_nothing().await;
        } else {
            let numbering = world.peer.status();
            let (lun, itt, ttt) = (Lun::ZERO, nop.itt, Ttt::RESERVED);
            world.peer.say(iscsi_proto::pdu::NopIn { lun, itt, ttt, numbering }, &[]).await;
            ended(ping).await.unwrap();
        }
    }
    world.works().await;
}

#[tokio::test(start_paused = true)]
async fn r235_r236_a_rejected_command_ends_alone_and_its_number_is_used() {
    let mut world = World::new().await;
    let (first, second) = (world.test(), world.test());
    let (rejected, _) = world.peer.command().await;
    let (other, _) = world.peer.command().await;
    world.peer.exp_cmd_sn = rejected.cmd_sn;
    world.reject(RejectReason::CommandNotSupported, &rejected.encode()).await;
    let error = ended(first).await.unwrap_err();
    assert!(matches!(error, CommandError::Rejected(RejectReason::CommandNotSupported)), "{error}");
    let (Pdu::NopOut(plug), _) = world.peer.hear().await else { panic!() };
    assert!(!plug.immediate && !plug.itt.is_reserved());
    assert_eq!(plug.cmd_sn, rejected.cmd_sn);
    world.peer.exp_cmd_sn = other.cmd_sn.next();
    world.peer.good(other.itt).await;
    ended(second).await.unwrap();
    world.works().await;
}

#[tokio::test(start_paused = true)]
async fn r235_a_reject_of_nothing_we_sent_ends_no_command() {
    let mut world = World::new().await;
    let mut events = world.session.events();
    let test = world.test();
    let (command, _) = world.peer.command().await;
    let (lun, itt, cmd_sn, exp_stat_sn) = (command.lun, command.itt, command.cmd_sn, command.exp_stat_sn);
    let ping = NopOut { immediate: false, lun, itt, ttt: Ttt::RESERVED, cmd_sn, exp_stat_sn };
    let stranger = ScsiCommand { itt: Itt(0x4321), ..command.clone() };
    let other = ScsiCommand { cmd_sn: cmd_sn.next(), ..command.clone() };
    for header in [ping.encode(), stranger.encode(), other.encode()] {
        world.reject(RejectReason::ProtocolError, &header).await;
        assert_eq!(events.next().await, Some(Event::Reject(RejectReason::ProtocolError)));
    }
    world.peer.good(command.itt).await;
    ended(test).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn r237_a_rejected_part_of_a_write_leaves_it_to_its_response() {
    let answers = [("InitialR2T", "Yes"), ("ImmediateData", "No")];
    let mut world = World::with(config(), &answers).await;
    let write = world.write(512);
    let (command, _) = world.peer.command().await;
    let r2t = world.peer.r2t(&command, 0, 0, 512);
    world.peer.say(r2t, &[]).await;
    let (Pdu::DataOut(data), _) = world.peer.hear().await else { panic!() };
    world.reject(RejectReason::DataDigestError, &data.encode()).await;
    world.peer.hears_nothing().await;
    world.peer.good(command.itt).await;
    ended(write).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn r240_a_target_that_waits_for_a_logout_gets_no_new_command() {
    let mut world = World::new().await;
    let test = world.test();
    let (command, _) = world.peer.command().await;
    world.peer.exp_cmd_sn = command.cmd_sn;
    world.reject(RejectReason::WaitingForLogout, &command.encode()).await;
    assert!(matches!(ended(test).await, Err(CommandError::Rejected(RejectReason::WaitingForLogout))));
    let (Pdu::LogoutRequest(_), _) = world.peer.hear().await else { panic!() };
    assert!(matches!(ended(world.test()).await, Err(CommandError::Closed { sent: false, .. })));
    world.peer.hears_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn r235_a_reject_without_a_whole_header_ends_the_connection() {
    for length in [0, 1, 47] {
        let mut world = World::new().await;
        let numbering = world.peer.status();
        let reject = Reject { reason: RejectReason::ProtocolError, numbering, data_sn: Serial(0) };
        world.peer.say(reject, &vec![0; length]).await;
        assert_eq!(world.misbehaved().await, PeerMisbehaved::ShortReject);
    }
}

#[tokio::test(start_paused = true)]
async fn r258_a_rejected_logout_is_told_as_such() {
    let mut world = World::new().await;
    let logout = world.start(|session| async move { session.logout().await });
    let (Pdu::LogoutRequest(request), _) = world.peer.hear().await else { panic!() };
    world.reject(RejectReason::ProtocolError, &request.encode()).await;
    assert!(matches!(world.failed().await, ConnectionError::LogoutRejected(RejectReason::ProtocolError)));
    assert!(ended(logout).await.is_err());
}
