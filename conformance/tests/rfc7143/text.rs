//! Text exchanges after login (sections 6.4, 11.10 and 11.11).

use iscsi_initiator::core::CommandError;
use iscsi_initiator::core::misbehaved::PeerMisbehaved;
use iscsi_proto::pdu::{Pdu, Reject, RejectReason, TextRequest, TextResponse};
use iscsi_proto::scsi::Lun;
use iscsi_proto::serial::Serial;
use iscsi_proto::tags::{Itt, Ttt};

use crate::support::peer::Peer;
use crate::support::world::{Running, World, config, ended};

type Exchange = Running<Result<Vec<u8>, CommandError>>;

fn exchange(world: &World, text: &'static [u8]) -> Exchange {
    world.start(move |session| async move { session.text(text.to_vec()).await })
}

async fn request(peer: &mut Peer) -> (TextRequest, bytes::Bytes) {
    match peer.hear().await {
        (Pdu::TextRequest(request), data) => (request, data),
        (other, _) => panic!("{other:?}"),
    }
}

async fn answer(peer: &mut Peer, itt: Itt, ttt: Option<u32>, data: &[u8]) {
    let numbering = peer.status();
    let (fin, ttt) = (ttt.is_none(), ttt.map_or(Ttt::RESERVED, Ttt));
    let lun = if fin { Lun::ZERO } else { Lun::from(5) };
    peer.say(TextResponse { fin, more: false, lun, itt, ttt, numbering }, data).await;
}

///
#[tokio::test(start_paused = true)]
async fn a_long_answer_is_asked_for_to_its_end_under_one_tag() {
    let mut world = World::new().await;
    let (first, second) = (exchange(&world, b"A=1\0"), exchange(&world, b"B=2\0"));
    let (start, data) = request(&mut world.peer).await;
    assert!(start.fin && !start.more && start.ttt.is_reserved());
    assert_eq!(data[..], b"A=1\0"[..]);
    for ttt in [9, 9, 10] {
        answer(&mut world.peer, start.itt, Some(ttt), b"some ").await;
        let (next, data) = request(&mut world.peer).await;
        assert!(next.fin && data.is_empty());
        assert_eq!((next.itt, next.ttt, next.lun), (start.itt, Ttt(ttt), Lun::from(5)));
    }
    world.peer.hears_nothing().await;
    answer(&mut world.peer, start.itt, None, b"end").await;
    assert_eq!(ended(first).await.unwrap(), b"some some some end");
    let (next, data) = request(&mut world.peer).await;
    assert_ne!(next.itt, start.itt);
    assert_eq!(data[..], b"B=2\0"[..]);
    answer(&mut world.peer, next.itt, None, b"").await;
    assert_eq!(ended(second).await.unwrap(), b"");
}

#[tokio::test(start_paused = true)]
async fn r273_text_longer_than_the_segment_of_the_target_is_sent_in_parts() {
    let mut world = World::with(config(), &[("MaxRecvDataSegmentLength", "512")]).await;
    let text = [b'A'; 1025].map(|letter| letter).to_vec();
    let sent = text.clone();
    let running = world.start(|session| async move { session.text(sent).await });
    let mut heard = Vec::new();
    for (length, last) in [(512, false), (512, false), (1, true)] {
        let (part, data) = request(&mut world.peer).await;
        assert_eq!((data.len(), part.fin, part.more), (length, last, !last));
        heard.extend_from_slice(&data);
        answer(&mut world.peer, part.itt, (!last).then_some(3), b"").await;
    }
    assert_eq!(heard, text);
    assert_eq!(ended(running).await.unwrap(), b"");
}

#[tokio::test(start_paused = true)]
async fn r267_the_target_does_not_end_what_we_have_not_ended() {
    let mut world = World::with(config(), &[("MaxRecvDataSegmentLength", "512")]).await;
    let running = world.start(|session| async move { session.text(vec![b'A'; 513]).await });
    let (part, _) = request(&mut world.peer).await;
    assert!(!part.fin);
    answer(&mut world.peer, part.itt, None, b"").await;
    assert_eq!(world.misbehaved().await, PeerMisbehaved::TextSequence);
    assert!(matches!(ended(running).await, Err(CommandError::Closed { sent: true, .. })));
}

#[tokio::test(start_paused = true)]
async fn r266_an_exchange_goes_on_with_a_tag_and_ends_without() {
    let mut world = World::new().await;
    let running = exchange(&world, b"A=1\0");
    let (start, _) = request(&mut world.peer).await;
    let numbering = world.peer.status();
    let ttt = Ttt(77);
    let last = TextResponse { fin: true, more: false, lun: Lun::ZERO, itt: start.itt, ttt, numbering };
    world.peer.say(last, b"B=2\0").await;
    assert_eq!(ended(running).await.unwrap(), b"B=2\0");

    let running = exchange(&world, b"A=1\0");
    let (start, _) = request(&mut world.peer).await;
    answer(&mut world.peer, start.itt, Some(0xffff_ffff), b"B=2\0").await;
    assert_eq!(world.misbehaved().await, PeerMisbehaved::TextSequence);
    assert!(ended(running).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn r269_a_rejected_text_leaves_values_and_connection_as_they_were() {
    let mut world = World::new().await;
    let before = world.session.info().negotiated.clone();
    let running = exchange(&world, b"MaxRecvDataSegmentLength=1024\0");
    let (start, _) = request(&mut world.peer).await;
    let numbering = world.peer.status();
    let reject = Reject { reason: RejectReason::ProtocolError, numbering, data_sn: Serial(0) };
    world.peer.say(reject, start.encode().as_bytes()).await;
    assert!(matches!(ended(running).await, Err(CommandError::Rejected(RejectReason::ProtocolError))));
    assert_eq!(world.session.info().negotiated, before);
    world.works().await;
    let running = exchange(&world, b"A=1\0");
    let (start, _) = request(&mut world.peer).await;
    answer(&mut world.peer, start.itt, None, b"").await;
    ended(running).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn r040_an_answer_that_ends_in_the_middle_of_its_text_ends_the_connection() {
    let mut world = World::new().await;
    let running = exchange(&world, b"A=1\0");
    let (start, _) = request(&mut world.peer).await;
    let numbering = world.peer.status();
    let mut header =
        TextResponse { fin: true, more: false, lun: Lun::ZERO, itt: start.itt, ttt: Ttt::RESERVED, numbering }.encode();
    header.0[1] |= 0x40;
    world.peer.say_header(header, b"B=").await;
    assert!(matches!(world.misbehaved().await, PeerMisbehaved::Pdu(_)));
    assert!(ended(running).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn r041_r297_an_answer_without_end_is_given_up() {
    let mut world = World::new().await;
    let running = exchange(&world, b"A=1\0");
    let (start, _) = request(&mut world.peer).await;
    let part = vec![b'x'; 200_000];
    let mut total = 0;
    loop {
        answer(&mut world.peer, start.itt, Some(1), &part).await;
        total += part.len();
        if world.peer.next().await.is_none() {
            break;
        }
        assert!(total < 32 << 20);
    }
    assert!(total > 16 << 20);
    assert!(matches!(world.misbehaved().await, PeerMisbehaved::TextTooLong { .. }));
    assert!(ended(running).await.is_err());
}
