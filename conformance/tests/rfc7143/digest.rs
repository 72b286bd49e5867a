//! Digests (section 13.1).

use iscsi_initiator::core::DigestOffer;
use iscsi_initiator::core::{CommandError, ConnectionError};
use iscsi_proto::pdu::{DataIn, Residual, sense_segment};
use iscsi_proto::scsi::{Sense, SenseKey, Status};

use crate::support::peer::pattern;
use crate::support::world::{World, ended, offering};

const NONE: &str = "None";
const CRC: &str = "CRC32C";

async fn world(header: &str, data: &str) -> World {
    let config = offering(|offer| {
        offer.header_digest = DigestOffer::PreferNone;
        offer.data_digest = DigestOffer::PreferCrc32c;
    });
    World::with(config, &[("HeaderDigest", header), ("DataDigest", data), ("InitialR2T", "Yes")]).await
}

/// every combination works, for odd lengths too; the peer checks what it hears.
#[tokio::test(start_paused = true)]
async fn every_combination_of_digests_carries_data_both_ways() {
    for (header, data) in [(NONE, NONE), (NONE, CRC), (CRC, NONE), (CRC, CRC)] {
        let mut world = world(header, data).await;
        assert_eq!(world.session.info().negotiated.header_digest, header == CRC);
        assert_eq!(world.session.info().negotiated.data_digest, data == CRC);
        for length in [1, 2, 3, 4, 1001] {
            let write = world.write(length);
            let (command, sent) = world.peer.command().await;
            assert_eq!(sent, pattern(length));
            world.peer.good(command.itt).await;
            ended(write).await.unwrap();

            let read = world.read(length);
            let (command, _) = world.peer.command().await;
            let data_in = world.peer.data_in(command.itt, 0, 0);
            world.peer.say(data_in, &pattern(length)).await;
            world.peer.good(command.itt).await;
            assert_eq!(ended(read).await.unwrap().data, pattern(length));
        }
        assert_eq!(world.session.stats().await.unwrap().digest_errors, 0);
    }
}

#[tokio::test(start_paused = true)]
async fn r033_each_connection_has_its_own_digests() {
    let (mut with, mut without) = (world(CRC, CRC).await, world(NONE, NONE).await);
    with.works().await;
    without.works().await;
    with.works().await;
}

/// A status that was damaged on its way is as good as none: the command has no outcome.
#[tokio::test(start_paused = true)]
async fn r031_a_response_with_a_wrong_data_digest_is_not_used() {
    let mut world = world(NONE, CRC).await;
    let test = world.test();
    let (command, _) = world.peer.command().await;
    let response = world.peer.response(command.itt, Status::CHECK_CONDITION);
    let sense = Sense::new(SenseKey::MediumError, 0x11, 0).to_fixed();
    let mut wire = world.peer.wire(response, &sense_segment(&sense));
    wire[48 + 5] ^= 0x40;
    world.peer.say_bytes(&wire).await;
    assert!(matches!(world.failed().await, ConnectionError::Damaged(_)));
    assert_eq!(world.session.stats().await.unwrap().digest_errors, 1);
    let error = ended(test).await.unwrap_err();
    assert!(matches!(error, CommandError::Closed { error: ConnectionError::Damaged(_), sent: true }), "{error}");
}

#[tokio::test(start_paused = true)]
async fn r030_data_with_a_wrong_digest_is_not_handed_out_though_its_status_is_good() {
    let mut world = world(NONE, CRC).await;
    let read = world.read(512);
    let (command, _) = world.peer.command().await;
    let status = Some((Status::GOOD, Residual::None));
    let numbering = world.peer.status();
    let data_in = DataIn { status, numbering, ..world.peer.data_in(command.itt, 0, 0) };
    let mut wire = world.peer.wire(data_in, &pattern(512));
    wire[48 + 511] ^= 1;
    world.peer.say_bytes(&wire).await;
    assert!(matches!(world.failed().await, ConnectionError::Damaged(_)));
    assert_eq!(world.session.stats().await.unwrap().digest_errors, 1);
    assert!(matches!(ended(read).await, Err(CommandError::Closed { sent: true, .. })));
}

#[tokio::test(start_paused = true)]
async fn r029_a_wrong_header_digest_ends_the_connection() {
    let mut world = world(CRC, NONE).await;
    let test = world.test();
    let (command, _) = world.peer.command().await;
    let response = world.peer.response(command.itt, Status::GOOD);
    let mut wire = world.peer.wire(response, &[]);
    wire[3] ^= 0x80;
    world.peer.say_bytes(&wire).await;
    assert!(matches!(world.failed().await, ConnectionError::Damaged(_)));
    assert_eq!(world.session.stats().await.unwrap().digest_errors, 1);
    assert!(matches!(ended(test).await, Err(CommandError::Closed { sent: true, .. })));
}
