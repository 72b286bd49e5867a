//! Error recovery level 1: what was damaged or lost on its way comes again (sections 7.1.4, 7.2.1, 7.8, 7.9 and 11.16).

use iscsi_initiator::core::{CommandError, ConnectionError, DigestOffer, Event};
use iscsi_proto::pdu::{
    AsyncEvent, AsyncMessage, DataIn, NopIn, NopOut, Opcode, Pdu, Reject, RejectReason, Residual, ScsiCommand,
    ScsiResponse, Snack, SnackType, sense_segment,
};
use iscsi_proto::scsi::{Lun, Sense, SenseKey, Status};
use iscsi_proto::serial::Serial;
use iscsi_proto::tags::{Itt, Ttt};
use tokio::time::Instant;

use crate::support::peer::{Peer, pattern};
use crate::support::world::{SECOND, World, config, ended, offering};

const NONE: u32 = u32::MAX;
const PIECE: usize = 512;

/// A session with data digests at error recovery level 1.
async fn world() -> World {
    with(&[]).await
}

async fn with(answers: &[(&str, &str)]) -> World {
    let config = offering(|offer| {
        offer.error_recovery_level = 1;
        offer.data_digest = DigestOffer::Crc32c;
    });
    let level = [("ErrorRecoveryLevel", "1"), ("DataDigest", "CRC32C"), ("MaxOutstandingR2T", "1")];
    World::with(config, &[&level, answers].concat()).await
}

/// Pieces of 512 bytes that answer a read, the last of them with the F bit.
fn pieces(peer: &Peer, itt: Itt, count: u32) -> Vec<DataIn> {
    (0..count).map(|at| DataIn { fin: at + 1 == count, ..peer.data_in(itt, at, at * PIECE as u32) }).collect()
}

async fn say(peer: &mut Peer, piece: &DataIn) {
    let data = bytes_of(piece);
    peer.say(piece.clone(), &data).await;
}

fn bytes_of(piece: &DataIn) -> Vec<u8> {
    pattern(piece.offset as usize + PIECE).split_off(piece.offset as usize)
}

/// GOOD status behind so many Data-In PDUs.
fn good(peer: &mut Peer, itt: Itt, exp_data_sn: u32) -> ScsiResponse {
    ScsiResponse { exp_data_sn: Serial(exp_data_sn), ..peer.response(itt, Status::GOOD) }
}

async fn reject(peer: &mut Peer, reason: RejectReason, rejected: impl Into<Pdu>) {
    let numbering = peer.status();
    let header = rejected.into().encode();
    peer.say(Reject { reason, numbering, data_sn: Serial(0) }, header.as_bytes()).await;
}

/// The next PDU, which has to be a ping.
async fn nop(peer: &mut Peer) -> NopOut {
    match peer.hear().await {
        (Pdu::NopOut(nop), _) => nop,
        (other, _) => panic!("{other:?} is no ping"),
    }
}

async fn pong(peer: &mut Peer, nop: &NopOut) {
    let numbering = peer.status();
    peer.say(NopIn { lun: Lun::ZERO, itt: nop.itt, ttt: Ttt::RESERVED, numbering }, &[]).await;
}

/// ExpStatSN of the next request.
async fn acknowledged(world: &mut World) -> Serial {
    let running = world.test();
    let (command, _) = world.peer.command().await;
    world.peer.good(command.itt).await;
    ended(running).await.expect("success");
    command.exp_stat_sn
}

fn fields(snack: &Snack) -> (SnackType, Itt, u32, u32, u32) {
    (snack.kind, snack.itt, snack.tag, snack.begin.0, snack.length)
}

/// the PDU whose data was damaged, and only that, is asked for with the tag of its command, before the status of
/// the command is acknowledged; data behind it is kept; the caller sees whole data or none.
#[tokio::test(start_paused = true)]
async fn damaged_data_is_asked_for_before_its_status_is_acknowledged() {
    let mut world = world().await;
    let read = world.read(6 * PIECE);
    let (command, _) = world.peer.command().await;
    let pieces = pieces(&world.peer, command.itt, 6);
    for piece in &pieces[..3] {
        say(&mut world.peer, piece).await;
    }
    world.peer.say_damaged(pieces[3].clone(), &bytes_of(&pieces[3])).await;
    for piece in &pieces[4..] {
        say(&mut world.peer, piece).await;
    }
    let response = good(&mut world.peer, command.itt, 6);
    world.peer.say(response.clone(), &[]).await;
    let snack = world.peer.snack().await;
    assert_eq!(fields(&snack), (SnackType::Data, command.itt, NONE, 3, 1));
    assert_eq!(snack.exp_stat_sn, response.numbering.stat_sn);
    assert_eq!(acknowledged(&mut world).await, response.numbering.stat_sn, "the status is not acknowledged yet");
    assert!(!read.is_finished());
    say(&mut world.peer, &pieces[3]).await;
    assert_eq!(ended(read).await.unwrap().data, pattern(6 * PIECE));
    assert_eq!(acknowledged(&mut world).await, response.numbering.stat_sn.add(2));
    let stats = world.session.stats().await.unwrap();
    assert_eq!((stats.pdus(Opcode::Snack), stats.digest_errors), (1, 1));
}

/// PDUs that never came are seen by the next one, or by what the status says, and asked for as one run.
#[tokio::test(start_paused = true)]
async fn gaps_in_data_are_asked_for_as_runs() {
    let mut world = world().await;
    let read = world.read(6 * PIECE);
    let (command, _) = world.peer.command().await;
    let pieces = pieces(&world.peer, command.itt, 6);
    say(&mut world.peer, &pieces[0]).await;
    world.peer.lose(pieces[1].clone(), &[]);
    world.peer.lose(pieces[2].clone(), &[]);
    say(&mut world.peer, &pieces[3]).await;
    assert_eq!(fields(&world.peer.snack().await), (SnackType::Data, command.itt, NONE, 1, 2));
    world.peer.lose(pieces[4].clone(), &[]);
    world.peer.lose(pieces[5].clone(), &[]);
    let response = good(&mut world.peer, command.itt, 6);
    world.peer.say(response, &[]).await;
    assert_eq!(fields(&world.peer.snack().await), (SnackType::Data, command.itt, NONE, 4, 2));
    for at in [1, 2, 4, 5] {
        assert!(!read.is_finished());
        say(&mut world.peer, &pieces[at]).await;
    }
    assert_eq!(ended(read).await.unwrap().data, pattern(6 * PIECE));
    world.works().await;
}

/// a hole in StatSN, however it shows, is asked for without the tag of a task, and ExpStatSN stays before it.
#[tokio::test(start_paused = true)]
async fn lost_and_damaged_responses_are_asked_for_by_their_numbers() {
    let mut world = world().await;
    let first = world.peer.stat_sn;
    // Shown by the next response.
    let (one, two) = (world.test(), world.test());
    let (a, _) = world.peer.command().await;
    let (b, _) = world.peer.command().await;
    let lost = world.peer.response(a.itt, Status::GOOD);
    world.peer.lose(lost.clone(), &[]);
    world.peer.good(b.itt).await;
    let snack = world.peer.snack().await;
    assert_eq!(fields(&snack), (SnackType::Status, Itt::RESERVED, NONE, first.0, 1));
    assert_eq!(snack.exp_stat_sn, first);
    ended(two).await.unwrap();
    assert!(!one.is_finished());
    assert_eq!(acknowledged(&mut world).await, first);
    world.peer.say(lost, &[]).await;
    ended(one).await.unwrap();
    // Damaged sense data.
    let sense = sense_segment(&Sense::new(SenseKey::MediumError, 0x11, 0).to_fixed());
    let (test, next) = (world.test(), world.peer.stat_sn);
    let (command, _) = world.peer.command().await;
    let response = world.peer.response(command.itt, Status::CHECK_CONDITION);
    world.peer.say_damaged(response.clone(), &sense).await;
    assert_eq!(fields(&world.peer.snack().await), (SnackType::Status, Itt::RESERVED, NONE, next.0, 1));
    world.peer.say(response, &sense).await;
    assert_eq!(ended(test).await.unwrap().status, Status::CHECK_CONDITION);
    // Something that the target said of its own accord, shown by a NOP-In that takes no number.
    let mut events = world.session.events();
    let (lun, numbering) = (Lun::ZERO, world.peer.status());
    let message = AsyncMessage { lun, numbering, event: AsyncEvent::Scsi };
    world.peer.lose(message.clone(), &sense);
    let ping = world.peer.ping(Ttt::RESERVED);
    world.peer.say(ping, &[]).await;
    assert_eq!(fields(&world.peer.snack().await), (SnackType::Status, Itt::RESERVED, NONE, numbering.stat_sn.0, 1));
    world.peer.say(message, &sense).await;
    assert!(matches!(events.next().await, Some(Event::Sense { .. })));
    world.works().await;
}

/// DataACK with the tag, the LUN and the next DataSN; not while there is a hole; and what was acknowledged is not asked
/// for, even if it comes damaged once more.
#[tokio::test(start_paused = true)]
async fn data_is_acknowledged_when_asked_and_whole() {
    let mut world = world().await;
    let read = world.read(4 * PIECE);
    let (command, _) = world.peer.command().await;
    let mut pieces = pieces(&world.peer, command.itt, 4);
    for (at, piece) in pieces.iter_mut().enumerate().skip(2) {
        (piece.acknowledge, piece.ttt, piece.lun) = (true, Ttt(0x4400 + at as u32), command.lun);
    }
    say(&mut world.peer, &pieces[0]).await;
    world.peer.lose(pieces[1].clone(), &[]);
    say(&mut world.peer, &pieces[2]).await;
    assert_eq!(world.peer.snack().await.kind, SnackType::Data);
    world.peer.hears_nothing().await;
    say(&mut world.peer, &pieces[1]).await;
    let ack = world.peer.snack().await;
    assert_eq!(fields(&ack), (SnackType::DataAck, Itt::RESERVED, 0x4402, 3, 0));
    assert_eq!(ack.lun, command.lun);
    world.peer.say_damaged(pieces[0].clone(), &bytes_of(&pieces[0])).await;
    world.peer.hears_nothing().await;
    // With the status in the same PDU the acknowledgement comes first.
    let numbering = world.peer.status();
    let last = DataIn { status: Some((Status::GOOD, Residual::None)), numbering, ..pieces[3].clone() };
    say(&mut world.peer, &last).await;
    let ack = world.peer.snack().await;
    assert_eq!(fields(&ack), (SnackType::DataAck, Itt::RESERVED, 0x4403, 4, 0));
    assert_eq!(ack.exp_stat_sn, numbering.stat_sn);
    assert_eq!(ended(read).await.unwrap().data, pattern(4 * PIECE));
    world.works().await;
}

/// a target that wants every PDU acknowledged gets that.
#[tokio::test(start_paused = true)]
async fn an_aggressive_target_is_humoured() {
    let mut world = world().await;
    let read = world.read(20 * PIECE);
    let (command, _) = world.peer.command().await;
    for piece in pieces(&world.peer, command.itt, 20) {
        let piece = DataIn { acknowledge: true, ttt: Ttt(piece.data_sn.0), lun: command.lun, ..piece };
        say(&mut world.peer, &piece).await;
        let ack = world.peer.snack().await;
        assert_eq!(fields(&ack), (SnackType::DataAck, Itt::RESERVED, piece.ttt.0, piece.data_sn.0 + 1, 0));
    }
    let response = good(&mut world.peer, command.itt, 20);
    world.peer.say(response, &[]).await;
    assert_eq!(ended(read).await.unwrap().data, pattern(20 * PIECE));
}

/// the target rejects the SNACK; the status is waited for, and the command fails with an error of delivery although the
/// status is GOOD. The session goes on.
#[tokio::test(start_paused = true)]
async fn data_that_cannot_be_had_again_fails_the_command_after_its_status() {
    let mut world = world().await;
    let mut events = world.session.events();
    let read = world.read(3 * PIECE);
    let (command, _) = world.peer.command().await;
    let pieces = pieces(&world.peer, command.itt, 3);
    world.peer.say_damaged(pieces[0].clone(), &bytes_of(&pieces[0])).await;
    let snack = world.peer.snack().await;
    reject(&mut world.peer, RejectReason::SnackReject, snack).await;
    assert!(matches!(events.next().await, Some(Event::Reject(RejectReason::SnackReject))));
    for piece in &pieces[1..] {
        say(&mut world.peer, piece).await;
    }
    world.peer.hears_nothing().await;
    assert!(!read.is_finished());
    let response = good(&mut world.peer, command.itt, 3);
    let stat_sn = response.numbering.stat_sn;
    world.peer.say(response, &[]).await;
    let error = ended(read).await.unwrap_err();
    assert!(matches!(error, CommandError::Damaged), "{error}");
    assert!(error.is_retriable() && !error.is_known_not_executed());
    assert_eq!(acknowledged(&mut world).await, stat_sn.next());
}

/// MaxRecvDataSegmentLength never changes in this initiator's full feature phase, but data in tatters is asked for
/// anew in the same way: the old data is dropped, the tag is fresh, and only the response that bears it counts.
#[tokio::test(start_paused = true)]
async fn after_all_data_was_asked_for_anew_only_the_status_with_its_tag_counts() {
    let mut world = world().await;
    let read = world.read(36 * PIECE);
    let (command, _) = world.peer.command().await;
    let pieces = pieces(&world.peer, command.itt, 36);
    for pair in pieces.chunks(2) {
        world.peer.lose(pair[0].clone(), &[]);
        say(&mut world.peer, &pair[1]).await;
    }
    let mut anew = None;
    for _ in 0..17 {
        let snack = world.peer.snack().await;
        if snack.kind == SnackType::RData {
            anew = Some(snack);
        }
    }
    let anew = anew.expect("a request to send all data anew");
    assert_eq!(fields(&anew), (SnackType::RData, command.itt, anew.tag, 0, 0));
    assert!(anew.tag != 0 && anew.tag != NONE);
    // The answer that was on its way, with GOOD status.
    let old = good(&mut world.peer, command.itt, 36);
    world.peer.say(old.clone(), &[]).await;
    world.peer.hears_nothing().await;
    assert!(!read.is_finished());
    for piece in &pieces {
        say(&mut world.peer, piece).await;
    }
    assert!(!read.is_finished());
    world.peer.say(ScsiResponse { snack_tag: anew.tag ^ 4, ..old.clone() }, &[]).await;
    assert_eq!(acknowledged(&mut world).await, old.numbering.stat_sn);
    assert!(!read.is_finished());
    world.peer.say(ScsiResponse { snack_tag: anew.tag, ..old.clone() }, &[]).await;
    assert_eq!(ended(read).await.unwrap().data, pattern(36 * PIECE));
    assert_eq!(acknowledged(&mut world).await, old.numbering.stat_sn.add(2));
}

/// Data-Out that the target lost is asked for by another R2T for the same bytes.
#[tokio::test(start_paused = true)]
async fn data_is_sent_again_for_a_recovery_r2t() {
    let mut world = with(&[("InitialR2T", "Yes"), ("ImmediateData", "No")]).await;
    let write = world.write(8192);
    let (command, _) = world.peer.command().await;
    for (r2t_sn, offset, length) in [(0, 0, 8192), (1, 4096, 1024), (2, 0, 8192)] {
        let r2t = world.peer.r2t(&command, r2t_sn, offset, length);
        world.peer.say(r2t.clone(), &[]).await;
        let (Pdu::DataOut(data), bytes) = world.peer.hear().await else { panic!() };
        assert_eq!((data.ttt, data.offset, data.data_sn, data.fin), (r2t.ttt, offset, Serial(0), true));
        assert_eq!(bytes, pattern(8192)[offset as usize..][..length as usize]);
        // The same number again is a copy, and nothing new.
        world.peer.say(r2t, &[]).await;
        world.peer.hears_nothing().await;
        let header = Pdu::DataOut(data).encode();
        let numbering = world.peer.status();
        let rejected = Reject { reason: RejectReason::DataDigestError, numbering, data_sn: Serial(0) };
        world.peer.say(rejected, header.as_bytes()).await;
    }
    world.peer.good(command.itt).await;
    ended(write).await.unwrap();
    world.works().await;
}

/// nothing asks for an R2T that does not come, for as long as the target takes; when the next one shows that it was sent, it
/// is asked for once.
#[tokio::test(start_paused = true)]
async fn an_r2t_is_not_asked_for_by_the_clock() {
    let mut world = with(&[("InitialR2T", "Yes"), ("ImmediateData", "No")]).await;
    let write = world.write(8192);
    let (command, _) = world.peer.command().await;
    let lost = world.peer.r2t(&command, 0, 0, 4096);
    world.peer.lose(lost.clone(), &[]);
    let start = Instant::now();
    for _ in 0..3 {
        let ping = nop(&mut world.peer).await;
        pong(&mut world.peer, &ping).await;
    }
    assert!(start.elapsed() > 10 * SECOND);
    let again = world.peer.r2t(&command, 1, 0, 4096);
    world.peer.say(again, &[]).await;
    assert_eq!(fields(&world.peer.snack().await), (SnackType::Data, command.itt, NONE, 0, 1));
    let (Pdu::DataOut(data), _) = world.peer.hear().await else { panic!() };
    assert_eq!(data.ttt, Ttt(0x7001));
    let rest = world.peer.r2t(&command, 2, 4096, 4096);
    world.peer.say(rest, &[]).await;
    let (Pdu::DataOut(_), _) = world.peer.hear().await else { panic!() };
    world.peer.hears_nothing().await;
    world.peer.good(command.itt).await;
    ended(write).await.unwrap();
}

/// a ping shows that the target still waits for the command's number; it is sent again over its connection, with the
/// same tag, number, flags, LUN and CDB (the checker of traces compares all of the header).
#[tokio::test(start_paused = true)]
async fn a_command_that_the_target_lacks_is_sent_again_as_it_was() {
    let mut world = with(&[("InitialR2T", "No")]).await;
    let write = world.write(3000);
    let (command, data) = world.peer.command().await;
    world.peer.exp_cmd_sn = command.cmd_sn;
    let ping = nop(&mut world.peer).await;
    world.peer.exp_cmd_sn = command.cmd_sn;
    pong(&mut world.peer, &ping).await;
    let (again, data_again) = world.peer.command().await;
    assert_eq!(ScsiCommand { exp_stat_sn: command.exp_stat_sn, ..again }, command);
    assert_eq!(data_again, data);
    let ping = nop(&mut world.peer).await;
    pong(&mut world.peer, &ping).await;
    world.peer.good(command.itt).await;
    ended(write).await.unwrap();
    assert_eq!(world.session.stats().await.unwrap().retries, 1);
    world.works().await;
}

/// what the target has acknowledged is never sent again, however long it takes.
#[tokio::test(start_paused = true)]
async fn a_command_that_the_target_has_is_waited_for() {
    let mut world = world().await;
    let test = world.test();
    let (command, _) = world.peer.command().await;
    for _ in 0..3 {
        let ping = nop(&mut world.peer).await;
        pong(&mut world.peer, &ping).await;
        world.peer.hears_nothing().await;
    }
    world.peer.good(command.itt).await;
    ended(test).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_response_that_never_comes_ends_the_connection_in_bounded_time() {
    let mut world = world().await;
    let (one, two) = (world.test(), world.test());
    let (a, _) = world.peer.command().await;
    let (b, _) = world.peer.command().await;
    let lost = world.peer.response(a.itt, Status::GOOD);
    world.peer.lose(lost, &[]);
    let start = Instant::now();
    world.peer.good(b.itt).await;
    ended(two).await.unwrap();
    let mut snacks = 0;
    while let Some((pdu, _)) = world.peer.next().await {
        match pdu {
            Pdu::Snack(_) => snacks += 1,
            Pdu::NopOut(ping) => pong(&mut world.peer, &ping).await,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(snacks, 3);
    assert!(start.elapsed() <= config().timeouts.command);
    let error = ended(one).await.unwrap_err();
    let CommandError::Closed { error: ConnectionError::Unrecovered { what }, sent: true } = error else {
        panic!("{error}")
    };
    assert_eq!(what, "a response");
}

/// At level 0 there is nothing to ask with: the connection ends, as before.
#[tokio::test(start_paused = true)]
async fn at_level_0_nothing_is_asked_for() {
    let mut world = World::new().await;
    let (_one, two) = (world.test(), world.test());
    let (a, _) = world.peer.command().await;
    let (b, _) = world.peer.command().await;
    let lost = world.peer.response(a.itt, Status::GOOD);
    world.peer.lose(lost, &[]);
    world.peer.good(b.itt).await;
    world.failed().await;
    assert!(matches!(ended(two).await, Err(CommandError::Closed { sent: true, .. })));
}
