//! NOP-Out and NOP-In (sections 11.18 and 11.19).

use iscsi_initiator::core::misbehaved::PeerMisbehaved;
use iscsi_initiator::core::{CommandError, ConnectionError};
use iscsi_proto::pdu::{NopIn, Pdu};
use iscsi_proto::scsi::Lun;
use iscsi_proto::tags::{Itt, Ttt};

use crate::support::world::{SECOND, World, config, ended};

#[tokio::test(start_paused = true)]
async fn r220_r223_a_ping_is_answered_with_its_tag_and_lun_immediately() {
    let mut world = World::new().await;
    let ping = world.peer.ping(Ttt(0x55));
    world.peer.say(ping, &[]).await;
    let (Pdu::NopOut(answer), data) = world.peer.hear().await else { panic!() };
    assert!(answer.immediate && answer.itt.is_reserved() && data.is_empty());
    assert_eq!((answer.ttt, answer.lun, answer.cmd_sn), (Ttt(0x55), Lun::from(9), world.peer.exp_cmd_sn));
    let expected = world.peer.exp_cmd_sn;
    let test = world.test();
    let (command, _) = world.peer.command().await;
    assert_eq!(command.cmd_sn, expected);
    world.peer.good(command.itt).await;
    ended(test).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn r221_a_ping_that_wants_no_answer_gets_none() {
    let mut world = World::new().await;
    let ping = world.peer.ping(Ttt::RESERVED);
    world.peer.say(ping, &[]).await;
    world.peer.hears_nothing().await;
    world.works().await;
}

#[tokio::test(start_paused = true)]
async fn r222_a_ping_of_ours_has_a_tag_and_no_transfer_tag_and_takes_any_answer() {
    let mut world = World::new().await;
    for echo in [&b""[..], b"something else", &[0; 4096]] {
        let ping = world.start(|session| async move { session.ping().await });
        let (Pdu::NopOut(nop), data) = world.peer.hear().await else { panic!() };
        assert!(nop.immediate && !nop.itt.is_reserved() && nop.ttt.is_reserved() && data.is_empty());
        assert_eq!((nop.lun, nop.cmd_sn), (Lun::ZERO, world.peer.exp_cmd_sn));
        let numbering = world.peer.status();
        world.peer.say(NopIn { lun: Lun::ZERO, itt: nop.itt, ttt: Ttt::RESERVED, numbering }, echo).await;
        ended(ping).await.unwrap();
    }
    world.works().await;
}

/// Format errors: nothing that waits is left waiting, and the connection is closed at once.
#[tokio::test(start_paused = true)]
async fn r015_r225_a_ping_that_contradicts_itself_ends_the_connection_and_every_command() {
    for (answers, asks, data) in [(true, true, 0), (false, true, 4), (false, false, 4)] {
        let mut world = World::new().await;
        let ping = world.start(|session| async move { session.ping().await });
        let (Pdu::NopOut(nop), _) = world.peer.hear().await else { panic!() };
        let (first, second) = (world.read(512), world.write(512));
        world.peer.command().await;
        world.peer.command().await;
        let itt = if answers { nop.itt } else { Itt::RESERVED };
        let ttt = if asks { Ttt(1) } else { Ttt::RESERVED };
        let numbering = if answers { world.peer.status() } else { world.peer.numbering() };
        world.peer.say(NopIn { lun: Lun::ZERO, itt, ttt, numbering }, &vec![0; data]).await;
        assert!(matches!(world.misbehaved().await, PeerMisbehaved::Pdu(_)));
        for running in [first, second] {
            assert!(matches!(ended(running).await, Err(CommandError::Closed { sent: true, .. })));
        }
        assert!(ended(ping).await.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn r226_a_silent_peer_is_pinged_and_given_up() {
    let mut config = config();
    config.timeouts.idle = Some(SECOND * 5);
    config.timeouts.ping = SECOND * 3;
    let mut world = World::with(config, &[]).await;
    let start = tokio::time::Instant::now();
    for round in 1..4 {
        let (Pdu::NopOut(nop), _) = world.peer.hear().await else { panic!() };
        assert_eq!(start.elapsed().as_secs(), 5 * round);
        let numbering = world.peer.status();
        world.peer.say(NopIn { lun: Lun::ZERO, itt: nop.itt, ttt: Ttt::RESERVED, numbering }, &[]).await;
    }
    let (Pdu::NopOut(_), _) = world.peer.hear().await else { panic!() };
    assert!(matches!(world.failed().await, ConnectionError::TimedOut { what: "a ping", .. }));
    assert_eq!(start.elapsed().as_secs(), 23);
}

#[tokio::test(start_paused = true)]
async fn r224_an_answer_to_a_ping_that_was_not_sent_ends_the_connection() {
    let mut world = World::new().await;
    let numbering = world.peer.status();
    world.peer.say(NopIn { lun: Lun::ZERO, itt: Itt(0x1234), ttt: Ttt::RESERVED, numbering }, &[]).await;
    assert_eq!(world.misbehaved().await, PeerMisbehaved::UnknownPing { itt: Itt(0x1234) });
}
