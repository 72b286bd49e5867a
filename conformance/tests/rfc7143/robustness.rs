//! What bytes a target may send and what must come of it: an end, and no harm.

use iscsi_initiator::core::misbehaved::PeerMisbehaved;
use iscsi_initiator::core::{CommandError, ConnectionError};
use iscsi_proto::pdu::{DataIn, Header, Opcode, Residual};
use iscsi_proto::scsi::Status;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::support::peer::pattern;
use crate::support::world::{SECOND, World, config, ended};

/// What a good target says to a read of 1001 bytes, and the read.
async fn answer(world: &mut World) -> (crate::support::world::Running, Vec<u8>) {
    let read = world.read(1001);
    let (command, _) = world.peer.command().await;
    let first = DataIn { fin: false, ..world.peer.data_in(command.itt, 0, 0) };
    let mut wire = world.peer.wire(first, &pattern(1001)[..600]).to_vec();
    let numbering = world.peer.status();
    let status = Some((Status::GOOD, Residual::None));
    let last = DataIn { status, numbering, ..world.peer.data_in(command.itt, 1, 600) };
    wire.extend_from_slice(&world.peer.wire(last, &pattern(1001)[600..]));
    (read, wire)
}

#[tokio::test(start_paused = true)]
async fn r020_pdus_may_come_byte_by_byte_or_many_at_once() {
    for size in [1, 7, 47, 48, 49, 100_000] {
        let mut world = World::new().await;
        let (read, wire) = answer(&mut world).await;
        for part in wire.chunks(size) {
            world.peer.say_bytes(part).await;
            tokio::task::yield_now().await;
        }
        assert_eq!(ended(read).await.unwrap().data, pattern(1001));
    }
}

/// wherever the stream ends, the command ends with it, and never with success.
#[tokio::test(start_paused = true)]
async fn a_stream_may_end_after_any_byte() {
    let whole = answer(&mut World::new().await).await.1.len();
    for length in (0..whole).step_by(13).chain([1, 47, 48, 49, 647, 648, 649, whole - 1]) {
        let mut world = World::new().await;
        let (read, wire) = answer(&mut world).await;
        world.peer.say_bytes(&wire[..length]).await;
        let World { session, peer, .. } = world;
        drop(peer);
        let error = ended(read).await.expect_err("no status came");
        let closed = matches!(error, CommandError::Closed { error: ConnectionError::ClosedByTarget, sent: true });
        assert!(closed, "after {length} bytes: {error}");
        assert!(session.closed().is_some());
    }
}

/// every bit that has no meaning is set.
#[tokio::test(start_paused = true)]
async fn reserved_bits_of_the_target_do_no_harm() {
    let mut world = World::new().await;
    let test = world.test();
    let (command, _) = world.peer.command().await;
    let mut header = world.peer.response(command.itt, Status::GOOD).encode();
    header.0[0] |= 0xc0;
    header.0[1] |= 0x61;
    header.0[8..16].fill(0xff);
    header.0[44..48].fill(0xff);
    world.peer.say_header(header, &[]).await;
    assert_eq!(ended(test).await.unwrap().status, Status::GOOD);
    world.works().await;
}

/// one word that does not exist, and everything ends.
#[tokio::test(start_paused = true)]
async fn headers_that_cannot_be_end_the_connection() {
    let of = |opcode: Opcode| Header::new(opcode);
    let mut headers: Vec<Header> = Opcode::ALL.into_iter().filter(|opcode| opcode.is_request()).map(of).collect();
    for code in (0..0x40).filter(|code| Opcode::from_code(*code).is_none()) {
        let mut header = of(Opcode::NopIn);
        header.0[0] = code;
        headers.push(header);
    }
    headers.push(of(Opcode::LoginResponse));
    headers.push(of(Opcode::R2t).with_ahs_len(255 * 4));
    for header in headers {
        let mut world = World::new().await;
        let read = world.read(512);
        world.peer.command().await;
        world.peer.say_bytes(header.as_bytes()).await;
        world.misbehaved().await;
        assert!(matches!(ended(read).await, Err(CommandError::Closed { sent: true, .. })), "{header:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn r007_a_length_beyond_what_was_declared_ends_the_connection_before_the_data_comes() {
    let declared = World::new().await.session.info().negotiated.max_recv_data_segment_length;
    for opcode in [Opcode::DataIn, Opcode::ScsiResponse, Opcode::NopIn, Opcode::TextResponse, Opcode::Reject] {
        for length in [declared + 1, (1 << 24) - 1] {
            let mut world = World::new().await;
            world.peer.say_bytes(Header::new(opcode).with_data_len(length).as_bytes()).await;
            assert!(matches!(world.misbehaved().await, PeerMisbehaved::Frame(_)));
        }
    }
}

/// whatever comes, each command ends once, in time, and only with bytes that came.
#[tokio::test(start_paused = true)]
async fn damaged_answers_end_every_command() {
    for seed in 0..300 {
        let mut random = StdRng::seed_from_u64(seed);
        let mut config = config();
        config.timeouts.command = SECOND * 5;
        config.timeouts.management = SECOND * 5;
        let mut world = World::with(config, &[]).await;
        let (read, mut wire) = answer(&mut world).await;
        let write = world.write(2000);
        for _ in 0..random.random_range(1..4) {
            let at =
                if random.random_bool(0.7) { random.random_range(0..48) } else { random.random_range(0..wire.len()) };
            wire[at] ^= 1 << random.random_range(0..8);
        }
        world.peer.stop_watching();
        world.peer.say_bytes(&wire).await;
        while world.peer.next().await.is_some() {}
        let outcome = ended(read).await;
        if let Ok(response) = outcome {
            assert!(response.data.len() <= 1001, "seed {seed}");
        }
        assert!(ended(write).await.is_err(), "seed {seed}");
        assert!(world.session.closed().is_some(), "seed {seed}");
    }
}

/// silence is not waited for without end, whatever was asked.
#[tokio::test(start_paused = true)]
async fn a_silent_target_is_given_up_by_everyone() {
    let mut world = World::new().await;
    let (read, write) = (world.read(512), world.write(512));
    let ping = world.start(|session| async move { session.ping().await });
    let text = world.start(|session| async move { session.text(b"A=1\0".to_vec()).await });
    while world.peer.next().await.is_some() {}
    assert!(ended(read).await.is_err() && ended(write).await.is_err());
    assert!(ended(ping).await.is_err() && ended(text).await.is_err());
}
