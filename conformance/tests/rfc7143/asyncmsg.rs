//! Asynchronous messages (section 11.9).

use bytes::Bytes;
use iscsi_initiator::core::misbehaved::PeerMisbehaved;
use iscsi_initiator::core::{CommandError, ConnectionError, Event};
use iscsi_proto::pdu::{AsyncEvent, AsyncMessage, LogoutReason, LogoutResponse, LogoutResult, Pdu, sense_segment};
use iscsi_proto::scsi::{Lun, Sense, SenseKey};

use crate::support::world::{LUN, SECOND, World, ended};

impl World {
    async fn message(&mut self, event: AsyncEvent, data: &[u8]) {
        let numbering = self.peer.status();
        self.peer.say(AsyncMessage { lun: Lun::from(LUN), numbering, event }, data).await;
    }
}

/// A session that agreed to no fast abort is not to get this event; its tasks wait for their own ends.
#[tokio::test(start_paused = true)]
async fn r231_the_end_of_tasks_is_not_announced_without_fast_abort() {
    let mut world = World::new().await;
    let mut events = world.session.events();
    let read = world.read(512);
    let (command, _) = world.peer.command().await;
    world.message(AsyncEvent::TasksTerminated, &[]).await;
    assert_eq!(events.next().await, Some(Event::Message(AsyncEvent::TasksTerminated)));
    world.peer.hears_nothing().await;
    world.peer.good(command.itt).await;
    ended(read).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn r233_r234_events_of_a_vendor_do_no_harm_and_are_acknowledged() {
    let mut world = World::new().await;
    let mut events = world.session.events();
    for event in [248, 255] {
        let event = AsyncEvent::Vendor { event, code: 9, parameters: [1, 2, 3] };
        world.message(event, b"whatever").await;
        assert_eq!(events.next().await, Some(Event::Message(event)));
        let test = world.test();
        let (command, _) = world.peer.command().await;
        assert_eq!(command.exp_stat_sn, world.peer.stat_sn);
        world.peer.good(command.itt).await;
        ended(test).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn r232_sense_that_comes_of_its_own_accord_is_handed_on() {
    let mut world = World::new().await;
    let mut events = world.session.events();
    let sense = Sense::new(SenseKey::UnitAttention, 0x29, 0).to_fixed();
    world.message(AsyncEvent::Scsi, &sense_segment(&sense)).await;
    let expected = Event::Sense { lun: Lun::from(LUN), sense: Bytes::copy_from_slice(&sense) };
    assert_eq!(events.next().await, Some(expected));
    world.message(AsyncEvent::Scsi, &[0xff, 0xff, 0x70]).await;
    assert!(matches!(world.misbehaved().await, PeerMisbehaved::Pdu(_)));
}

#[tokio::test(start_paused = true)]
async fn r227_r256_r260_a_logout_is_sent_when_all_is_done_or_half_the_time_is_over() {
    for (deadline, answered) in [(10, true), (10, false), (0, false)] {
        let mut world = World::new().await;
        let read = world.read(512);
        let (command, _) = world.peer.command().await;
        let start = tokio::time::Instant::now();
        world.message(AsyncEvent::LogoutRequest { deadline }, &[]).await;
        world.message(AsyncEvent::LogoutRequest { deadline }, &[]).await;
        if answered {
            world.peer.hears_nothing().await;
            let refused = ended(world.test()).await;
            assert!(matches!(refused, Err(CommandError::Closed { sent: false, .. })));
            world.peer.good(command.itt).await;
            ended(read).await.unwrap();
        }
        let (Pdu::LogoutRequest(logout), _) = world.peer.hear().await else { panic!() };
        assert_eq!((logout.reason, logout.exp_stat_sn), (LogoutReason::CloseSession, world.peer.stat_sn));
        let due = if answered { SECOND } else { SECOND * u32::from(deadline) / 2 };
        assert!(start.elapsed() <= due, "{:?}", start.elapsed());
        let numbering = world.peer.status();
        let result = LogoutResult::Closed;
        world.peer.say(LogoutResponse { result, itt: logout.itt, numbering, time2wait: 2, time2retain: 0 }, &[]).await;
        world.peer.hears_the_end().await;
        assert!(matches!(world.session.closed(), Some(ConnectionError::LogoutRequested)));
    }
}

#[tokio::test(start_paused = true)]
async fn r228_r229_what_the_target_is_about_to_drop_is_lost_at_once() {
    for event in [
        AsyncEvent::ConnectionDrop { cid: 0, time2wait: 65535, time2retain: 7 },
        AsyncEvent::SessionDrop { time2wait: 65535, time2retain: 7 },
    ] {
        let mut world = World::new().await;
        let write = world.write(512);
        world.peer.command().await;
        world.message(event, &[]).await;
        let ConnectionError::DroppedByTarget { time2wait: 65535, time2retain: 7 } = world.failed().await else {
            panic!()
        };
        assert!(matches!(ended(write).await, Err(CommandError::Closed { sent: true, .. })));
    }
    let mut world = World::new().await;
    world.message(AsyncEvent::ConnectionDrop { cid: 0x1234, time2wait: 1, time2retain: 1 }, &[]).await;
    world.works().await;
}

#[tokio::test(start_paused = true)]
async fn r230_a_target_that_wants_to_negotiate_gets_one_text_request_at_a_time() {
    let mut world = World::new().await;
    for _ in 0..50 {
        world.message(AsyncEvent::Negotiate { deadline: 3 }, &[]).await;
    }
    let (Pdu::TextRequest(text), data) = world.peer.hear().await else { panic!() };
    assert!(text.fin && data.is_empty());
    world.peer.hears_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn r004_an_event_that_does_not_exist_ends_the_connection() {
    let mut world = World::new().await;
    let numbering = world.peer.status();
    let mut header = AsyncMessage { lun: Lun::ZERO, numbering, event: AsyncEvent::Scsi }.encode();
    header.0[36] = 100;
    world.peer.say_header(header, &[]).await;
    assert!(matches!(world.misbehaved().await, PeerMisbehaved::Pdu(_)));
}
