//! Error recovery level 1: what is damaged or lost comes again, or the connection ends.

use iscsi_proto::pdu::{
    AsyncEvent, AsyncMessage, NopIn, Opcode, Reject, RejectReason, Snack, SnackType, TaskResponse, TaskResult,
};
use iscsi_proto::scsi::{Sense, SenseKey};

use super::*;

const RESERVED: u32 = u32::MAX;
/// When recovery looks after what it waits for.
const AFTER: Duration = Duration::from_millis(3_750);

fn negotiated() -> Negotiated {
    Negotiated { error_recovery_level: 1, data_digest: true, ..Negotiated::default() }
}

fn world() -> World {
    World::with(negotiated())
}

impl World {
    /// The SNACKs that the core sends now, and nothing else.
    fn snacks(&mut self) -> Vec<Snack> {
        let snack = |(pdu, data): (Pdu, Bytes)| match pdu {
            Pdu::Snack(snack) if data.is_empty() => snack,
            other => panic!("{other:?}"),
        };
        self.sent().into_iter().map(snack).collect()
    }

    /// The only SNACK that the core sends now.
    fn snack(&mut self) -> Snack {
        let mut snacks = self.snacks();
        assert_eq!(snacks.len(), 1, "{snacks:?}");
        snacks.remove(0)
    }

    /// Says a PDU, the data of which is damaged on its way.
    fn say_damaged(&mut self, pdu: impl Into<Pdu>, data: &[u8]) {
        let mut wire = self.wire(&pdu.into(), data);
        wire[48] ^= 0x10;
        self.core.receive(LinkId::FIRST, &wire, self.now);
    }

    /// A command that reads as many pieces of 100 bytes, and the pieces.
    fn reading(&mut self, token: Token, pieces: u32) -> (Itt, Vec<DataIn>) {
        self.read(token, 100 * pieces as usize);
        let itt = self.command().itt;
        let piece = |at: u32| DataIn { fin: at + 1 == pieces, ..self.data_in(itt, at, 100 * at) };
        (itt, (0..pieces).map(piece).collect())
    }

    fn piece(&mut self, piece: &DataIn) {
        let offset = piece.offset as usize;
        let numbering = self.numbering();
        self.say(DataIn { numbering, ..piece.clone() }, &pattern(offset + 100)[offset..]);
    }

    /// Says GOOD with the number of Data-In PDUs that were sent.
    fn good(&mut self, itt: Itt, exp_data_sn: u32) -> ScsiResponse {
        let response = ScsiResponse { exp_data_sn: Serial(exp_data_sn), ..self.response(itt, Status::GOOD) };
        self.say(response.clone(), &[]);
        response
    }

    /// The next request acknowledges this StatSN less one.
    fn acknowledges(&mut self) -> Serial {
        self.core.submit(Request::Ping, 999, self.now);
        match &self.sent()[..] {
            [(Pdu::NopOut(ping), _)] => ping.exp_stat_sn,
            other => panic!("{other:?}"),
        }
    }

    fn rejects(&mut self, reason: RejectReason, rejected: impl Into<Pdu>) {
        let reject = Reject { reason, numbering: self.status(), data_sn: Serial(0) };
        self.say(reject, rejected.into().encode().as_bytes());
    }

    /// Answers the only ping that the core sends now.
    fn pong(&mut self) {
        let sent = self.sent();
        let [(Pdu::NopOut(ping), _)] = &sent[..] else { panic!("{sent:?}") };
        assert!(ping.immediate);
        let pong = NopIn { lun: Lun::ZERO, itt: ping.itt, ttt: Ttt::RESERVED, numbering: self.status() };
        self.say(pong, &[]);
    }

    fn unrecovered(&self) -> &'static str {
        match self.core.closed() {
            Some(ConnectionError::Unrecovered { what }) => what,
            other => panic!("{other:?}"),
        }
    }
}

fn data_snack(itt: Itt, begin: u32, length: u32) -> Snack {
    let (kind, lun, tag, exp_stat_sn) = (SnackType::Data, Lun::ZERO, RESERVED, Serial(100));
    Snack { kind, lun, itt, tag, exp_stat_sn, begin: Serial(begin), length }
}

fn status_snack(begin: u32, length: u32) -> Snack {
    let (kind, exp_stat_sn) = (SnackType::Status, Serial(begin));
    Snack { kind, exp_stat_sn, begin: Serial(begin), length, ..data_snack(Itt::RESERVED, 0, 0) }
}

/// the damaged PDU is asked for by itself before its status is acknowledged, and what came behind it is kept.
#[test]
fn damaged_data_is_asked_for_and_put_in_its_place() {
    let mut world = world();
    let (itt, pieces) = world.reading(1, 5);
    for (at, piece) in pieces.iter().enumerate() {
        if at == 3 {
            world.say_damaged(piece.clone(), &[9; 100]);
            assert_eq!(world.snack(), data_snack(itt, 3, 1));
        } else {
            world.piece(piece);
        }
    }
    world.good(itt, 5);
    assert!(world.done().is_empty(), "not before the data is whole");
    assert_eq!(world.acknowledges(), Serial(100));
    world.piece(&pieces[3]);
    assert_eq!(world.ended(1).data, pattern(500));
    assert_eq!(world.acknowledges(), Serial(101));
    assert_eq!(world.core.stats().digest_errors, 1);
    assert_eq!(world.core.stats().pdus(Opcode::Snack), 1);
}

#[test]
fn r276_a_gap_in_the_numbers_of_data_is_asked_for_as_one_run() {
    let mut world = world();
    let (itt, pieces) = world.reading(1, 6);
    world.piece(&pieces[0]);
    world.piece(&pieces[4]);
    assert_eq!(world.snack(), data_snack(itt, 1, 3));
    world.piece(&pieces[2]);
    world.piece(&pieces[5]);
    world.piece(&pieces[1]);
    world.good(itt, 6);
    world.piece(&pieces[3]);
    assert_eq!(world.ended(1).data, pattern(600));
    // What was asked for once too often is nobody's any more, and harms nobody.
    world.piece(&pieces[3]);
    world.assert_clean();
}

#[test]
fn data_that_is_missing_at_the_end_is_known_from_the_status() {
    let mut world = world();
    let (itt, pieces) = world.reading(1, 4);
    world.piece(&pieces[0]);
    world.good(itt, 4);
    assert_eq!(world.snack(), data_snack(itt, 1, 3));
    for piece in &pieces[1..] {
        assert!(world.done().is_empty());
        world.piece(piece);
    }
    assert_eq!(world.ended(1).data, pattern(400));
    world.assert_clean();
}

#[test]
fn a_status_that_came_with_damaged_data_comes_again_with_it() {
    let mut world = world();
    let (itt, pieces) = world.reading(1, 1);
    let numbering = world.status();
    let whole = DataIn { status: Some((Status::GOOD, Residual::None)), numbering, ..pieces[0].clone() };
    world.say_damaged(whole.clone(), &pattern(100));
    assert_eq!(world.snack(), data_snack(itt, 0, 1));
    assert_eq!(world.acknowledges(), Serial(100));
    world.say(whole.clone(), &pattern(100));
    assert_eq!(world.ended(1).data, pattern(100));
    world.say(whole, &pattern(100));
    assert!(world.done().is_empty());
    assert_eq!(world.acknowledges(), Serial(101));
}

/// whatever answers are missing, they are asked for by their numbers, without the tag of a task.
#[test]
fn a_gap_in_status_is_asked_for_and_what_comes_behind_it_is_acted_on() {
    let mut world = world();
    for token in 1..=4 {
        world.submit(token, Command::new(Cdb::from_bytes(&[0; 6]).unwrap()));
    }
    let itts: Vec<Itt> = world.sent().iter().map(|(pdu, _)| pdu.encode().itt()).collect();
    let lost: Vec<_> = itts[..2].iter().map(|itt| world.response(*itt, Status::GOOD)).collect();
    world.good(itts[2], 0);
    assert_eq!(world.snack(), status_snack(100, 2));
    assert_eq!(world.ended(3).status, Status::GOOD);
    world.good(itts[3], 0);
    world.ended(4);
    assert!(world.snacks().is_empty(), "what was asked for is not asked for again at once");
    assert_eq!(world.acknowledges(), Serial(100));
    world.say(lost[1].clone(), &[]);
    world.ended(2);
    assert_eq!(world.acknowledges(), Serial(100));
    world.say(lost[0].clone(), &[]);
    world.ended(1);
    assert_eq!(world.acknowledges(), Serial(104));
    world.say(lost[0].clone(), &[]);
    assert!(world.done().is_empty() && world.core.closed().is_none());
}

#[test]
fn r277_a_damaged_response_is_asked_for() {
    let mut world = world();
    world.read(1, 100);
    let itt = world.command().itt;
    let sense = Sense::new(SenseKey::MediumError, 0x11, 0).to_fixed();
    let response = world.response(itt, Status::CHECK_CONDITION);
    let data = iscsi_proto::pdu::sense_segment(&sense);
    world.say_damaged(response.clone(), &data);
    assert_eq!(world.snack(), status_snack(100, 1));
    assert!(world.done().is_empty());
    world.say(response, &data);
    assert_eq!(world.ended(1).sense[..], sense);
    // So is what the target says without being asked.
    let (lun, numbering) = (Lun::ZERO, world.status());
    let message = AsyncMessage { lun, numbering, event: AsyncEvent::Scsi };
    world.say_damaged(message.clone(), &data);
    assert_eq!(world.snack(), status_snack(101, 1));
    world.say(message, &data);
    assert!(matches!(world.core.take_event(), Some(Event::Sense { .. })));
    world.assert_clean();
}

#[test]
fn a_number_in_passing_shows_that_a_response_is_missing() {
    let mut world = world();
    world.submit(1, Command::new(Cdb::from_bytes(&[0; 6]).unwrap()));
    let itt = world.command().itt;
    let lost = world.response(itt, Status::GOOD);
    let ping = NopIn { lun: Lun::ZERO, itt: Itt::RESERVED, ttt: Ttt::RESERVED, numbering: world.numbering() };
    world.say(ping.clone(), &[]);
    assert_eq!(world.snack(), status_snack(100, 1));
    world.say(ping, &[]);
    assert!(world.snacks().is_empty());
    world.say(lost, &[]);
    world.ended(1);
    world.assert_clean();
}

/// data is acknowledged when all before it is there, and never asked for after that.
#[test]
fn the_target_hears_of_data_once_it_is_whole() {
    let mut world = world();
    let (itt, mut pieces) = world.reading(1, 4);
    (pieces[2].acknowledge, pieces[2].ttt, pieces[2].lun) = (true, Ttt(0x5555), Lun::from(3));
    world.piece(&pieces[0]);
    world.piece(&pieces[2]);
    assert_eq!(world.snack(), data_snack(itt, 1, 1), "the acknowledgement waits for the hole");
    world.piece(&pieces[1]);
    let acknowledgement = Snack {
        kind: SnackType::DataAck,
        lun: Lun::from(3),
        itt: Itt::RESERVED,
        tag: 0x5555,
        exp_stat_sn: Serial(100),
        begin: Serial(3),
        length: 0,
    };
    assert_eq!(world.snack(), acknowledgement);
    // More comes of what was acknowledged, damaged at that.
    world.say_damaged(pieces[1].clone(), &[0; 100]);
    world.piece(&pieces[0]);
    assert!(world.snacks().is_empty());
    let numbering = world.status();
    let last = DataIn {
        acknowledge: true,
        ttt: Ttt(0x5556),
        numbering,
        status: Some((Status::GOOD, Residual::None)),
        ..pieces[3].clone()
    };
    world.say(last, &pattern(400)[300..]);
    let snack = world.snack();
    assert_eq!((snack.tag, snack.begin, snack.exp_stat_sn), (0x5556, Serial(4), Serial(100)), "before its status is");
    assert_eq!(world.ended(1).data, pattern(400));
    world.assert_clean();
}

#[test]
fn without_recovery_nobody_hears_of_data() {
    let mut world = World::new();
    let (itt, pieces) = world.reading(1, 2);
    world.piece(&DataIn { acknowledge: true, ttt: Ttt(1), ..pieces[0].clone() });
    world.piece(&pieces[1]);
    world.good(itt, 2);
    world.ended(1);
    world.assert_clean();
}

/// the status is waited for, and then the command has failed although it is GOOD.
#[test]
fn data_that_the_target_will_not_send_again_fails_its_command() {
    for status_first in [false, true] {
        let mut world = world();
        let (itt, pieces) = world.reading(1, 3);
        world.piece(&pieces[0]);
        world.piece(&pieces[2]);
        let snack = world.snack();
        if status_first {
            world.good(itt, 3);
        }
        world.rejects(RejectReason::SnackReject, snack);
        if !status_first {
            assert!(world.done().is_empty());
            world.good(itt, 3);
        }
        assert!(matches!(world.completion(1), Err(CommandError::Damaged)));
        assert!(matches!(world.core.take_event(), Some(Event::Reject(RejectReason::SnackReject))));
        assert_eq!(world.acknowledges(), Serial(102));
    }
}

#[test]
fn r281_a_target_that_has_failed_the_command_says_why() {
    let mut world = world();
    let (itt, pieces) = world.reading(1, 3);
    world.piece(&pieces[1]);
    let snack = world.snack();
    world.rejects(RejectReason::SnackReject, snack);
    let response = world.response(itt, Status::CHECK_CONDITION);
    let sense = Sense::new(SenseKey::AbortedCommand, 0x11, 0x13).to_fixed();
    world.say(response, &iscsi_proto::pdu::sense_segment(&sense));
    let response = world.ended(1);
    assert_eq!(
        (response.status, response.sense.as_ref(), response.data.len()),
        (Status::CHECK_CONDITION, &sense[..], 0)
    );
    world.assert_clean();
}

#[test]
fn a_status_that_was_damaged_with_data_is_asked_for_when_the_data_is_refused() {
    let mut world = world();
    let (_, pieces) = world.reading(1, 1);
    let numbering = world.status();
    let whole = DataIn { status: Some((Status::GOOD, Residual::None)), numbering, ..pieces[0].clone() };
    world.say_damaged(whole.clone(), &pattern(100));
    let snack = world.snack();
    world.rejects(RejectReason::SnackReject, snack);
    let mut snacks = world.snacks();
    assert_eq!(snacks.pop(), Some(status_snack(100, 1)));
    world.stat_sn = Serial(100);
    world.good(whole.itt, 1);
    assert!(matches!(world.completion(1), Err(CommandError::Damaged)));
}

#[test]
fn a_response_that_the_target_will_not_send_again_ends_the_connection() {
    let mut world = world();
    world.read(1, 100);
    let itt = world.command().itt;
    let response = world.response(itt, Status::BUSY);
    world.say_damaged(response, &[0; 4]);
    let snack = world.snack();
    world.rejects(RejectReason::SnackReject, snack);
    assert_eq!(world.unrecovered(), "a response");
    assert!(matches!(world.completion(1), Err(CommandError::Closed { sent: true, .. })));
}

#[test]
fn a_header_that_was_damaged_ends_the_connection_all_the_same() {
    let mut world = World::with(Negotiated { header_digest: true, ..negotiated() });
    world.read(1, 100);
    let itt = world.command().itt;
    let response = world.response(itt, Status::GOOD);
    let mut wire = world.wire(&response.into(), &[]);
    wire[19] ^= 1;
    world.core.receive(LinkId::FIRST, &wire, world.now);
    assert!(matches!(world.core.closed(), Some(ConnectionError::Damaged(_))));
}

#[test]
fn what_never_comes_is_asked_for_a_few_times_and_then_the_connection_ends() {
    for lost_status in [true, false] {
        let mut world = world();
        let (itt, pieces) = world.reading(1, 3);
        world.submit(2, Command::new(Cdb::from_bytes(&[0; 6]).unwrap()));
        let other = world.command().itt;
        if lost_status {
            world.response(itt, Status::GOOD);
            world.good(other, 0);
            world.ended(2);
        } else {
            world.piece(&pieces[0]);
            world.piece(&pieces[2]);
        }
        let first = world.snack();
        world.exp_cmd_sn = Serial(9);
        for _ in 1..3 {
            world.pass(AFTER);
            let again: Vec<Pdu> = world.sent().into_iter().map(|(pdu, _)| pdu).collect();
            let same =
                |pdu: &Pdu| matches!(pdu, Pdu::Snack(snack) if (snack.kind, snack.itt) == (first.kind, first.itt));
            assert_eq!(again.iter().filter(|pdu| same(pdu)).count(), 1, "{again:?}");
            // The ping that looks after the command is answered, and shows nothing new.
            for pdu in again {
                if let Pdu::NopOut(ping) = pdu {
                    let numbering = world.status();
                    world.say(NopIn { lun: Lun::ZERO, itt: ping.itt, ttt: Ttt::RESERVED, numbering }, &[]);
                }
            }
        }
        world.pass(AFTER);
        assert_eq!(world.unrecovered(), if lost_status { "a response" } else { "data" });
        assert!(world.now < PATIENCE.command);
        assert_eq!(world.core.deadline(), None);
    }
}

#[test]
fn what_comes_damaged_again_and_again_ends_the_connection() {
    let mut world = world();
    let (itt, pieces) = world.reading(1, 2);
    for _ in 0..3 {
        world.say_damaged(pieces[0].clone(), &pattern(100));
        assert_eq!(world.snack(), data_snack(itt, 0, 1));
    }
    world.say_damaged(pieces[0].clone(), &pattern(100));
    assert_eq!(world.unrecovered(), "data");
    assert_eq!(world.core.stats().digest_errors, 4);
}

/// the range is answered once more from the payload, under the new tag.
#[test]
fn an_r2t_for_data_that_was_sent_before_is_honoured() {
    let mut world = world();
    world.write(1, 20_000);
    let (Pdu::ScsiCommand(command), _) = world.sent().remove(0) else { panic!() };
    for (r2t_sn, offset, length) in [(0, 8192, 11_808), (1, 10_000, 3_000), (2, 0, 8_192)] {
        world.exp_cmd_sn = Serial(8);
        let r2t = world.r2t(command.itt, r2t_sn, offset, length);
        world.say(r2t, &[]);
        let mut sent = Vec::new();
        for (pdu, data) in world.sent() {
            let Pdu::DataOut(out) = pdu else { panic!("{pdu:?}") };
            assert_eq!((out.ttt, out.offset as usize), (Ttt(0x77 + r2t_sn), offset as usize + sent.len()));
            sent.extend_from_slice(&data);
        }
        assert_eq!(sent, pattern(20_000)[offset as usize..][..length as usize]);
    }
    // A repeated number is a repeated PDU.
    let again = world.r2t(command.itt, 1, 10_000, 3_000);
    world.say(again, &[]);
    assert!(world.sent().is_empty());
    world.good(command.itt, 0);
    world.ended(1);
    world.assert_clean();
}

#[test]
fn r191_a_target_that_never_has_enough_ends_the_connection() {
    let mut world = world();
    world.write(1, 8192);
    let (Pdu::ScsiCommand(command), _) = world.sent().remove(0) else { panic!() };
    for r2t_sn in 0..16 {
        let r2t = world.r2t(command.itt, r2t_sn, 0, 512);
        world.say(r2t, &[]);
        assert_eq!(world.sent().len(), 1);
    }
    let r2t = world.r2t(command.itt, 16, 0, 512);
    world.say(r2t, &[]);
    assert!(matches!(world.misbehaved(), PeerMisbehaved::R2tBackwards { .. }));
}

/// a lost R2T is asked for when the next one shows that it is lost, and not by the clock.
#[test]
fn a_lost_r2t_is_asked_for_once() {
    let mut world = world();
    world.write(1, 40_000);
    let (Pdu::ScsiCommand(command), _) = world.sent().remove(0) else { panic!() };
    world.exp_cmd_sn = Serial(8);
    let lost = world.r2t(command.itt, 0, 8_192, 10_000);
    let next = world.r2t(command.itt, 1, 18_192, 10_000);
    world.say(next, &[]);
    let sent = world.sent();
    assert_eq!(sent[0].0, data_snack(command.itt, 0, 1).into());
    assert!(sent[1..].iter().all(|(pdu, _)| matches!(pdu, Pdu::DataOut(data) if data.ttt == Ttt(0x78))));
    for _ in 0..3 {
        world.pass(Duration::from_millis(3_749));
        world.pass(Duration::from_millis(1));
        world.pong();
        assert!(world.sent().is_empty());
    }
    world.say(lost, &[]);
    let sent = world.sent();
    assert!(sent.iter().all(|(pdu, _)| matches!(pdu, Pdu::DataOut(data) if data.ttt == Ttt(0x77))));
    let length: usize = sent.iter().map(|(_, data)| data.len()).sum();
    assert_eq!(length, 10_000);
    let last = world.r2t(command.itt, 2, 28_192, 11_808);
    world.say(last, &[]);
    world.sent();
    world.good(command.itt, 0);
    world.ended(1);
    world.assert_clean();
}

#[test]
fn a_write_whose_data_was_never_asked_for_is_not_called_done() {
    let mut world = world();
    world.write(1, 40_000);
    let (Pdu::ScsiCommand(command), _) = world.sent().remove(0) else { panic!() };
    let next = world.r2t(command.itt, 1, 18_192, 21_808);
    world.say(next, &[]);
    world.sent();
    world.good(command.itt, 0);
    assert!(matches!(world.completion(1), Err(CommandError::Short { expected: 40_000, received: 30_000 })));
    world.assert_clean();
}

/// a ping shows that the target waits for the number; the command goes out again just as it was.
#[test]
fn a_lost_command_is_sent_again() {
    let mut world = World::with(Negotiated { initial_r2t: false, ..negotiated() });
    world.write(1, 20_000);
    world.read(2, 100);
    let first = world.sent();
    let [(Pdu::ScsiCommand(command), _), .., (Pdu::ScsiCommand(behind), _)] = &first[..] else { panic!("{first:?}") };
    // Both reach the target, which drops the first: the second waits for it.
    world.pass(AFTER);
    world.pong();
    let mut again = world.sent();
    assert!(matches!(again.pop(), Some((Pdu::NopOut(_), _))), "another ping looks for the next hole");
    let acknowledging = |(pdu, data): &(Pdu, Bytes)| {
        let mut header = pdu.encode();
        header.0[28..32].copy_from_slice(&101u32.to_be_bytes());
        (Pdu::parse(&header).unwrap(), data.clone())
    };
    let as_before: Vec<_> = first[..first.len() - 1].iter().map(acknowledging).collect();
    assert!(again == as_before, "with its immediate and its unasked data");
    let stats = world.core.stats();
    assert_eq!(stats.retries, 1);
    world.exp_cmd_sn = Serial(9);
    world.good(command.itt, 0);
    world.ended(1);
    let (data_in, all) = (world.data_in(behind.itt, 0, 0), pattern(100));
    world.say(data_in, &all);
    world.good(behind.itt, 1);
    world.ended(2);
}

#[test]
fn r283_what_the_target_has_taken_is_not_sent_again() {
    let mut world = world();
    world.read(1, 100);
    world.command();
    world.exp_cmd_sn = Serial(8);
    world.pass(AFTER);
    world.pong();
    assert!(world.sent().is_empty());
    assert_eq!(world.core.stats().retries, 0);
}

#[test]
fn a_command_that_is_lost_every_time_is_aborted_in_the_end() {
    let mut world = world();
    world.read(1, 100);
    let command = world.command();
    let mut abort = None;
    let mut copies = 0;
    while abort.is_none() {
        world.next_deadline();
        while let [.., (last, _)] = &world.sent()[..] {
            match last {
                Pdu::NopOut(ping) => {
                    let numbering = world.status();
                    let pong = NopIn { lun: Lun::ZERO, itt: ping.itt, ttt: Ttt::RESERVED, numbering };
                    let before = world.core.stats().retries;
                    world.say(pong, &[]);
                    copies += world.core.stats().retries - before;
                }
                Pdu::TaskRequest(request) => abort = Some(request.clone()),
                other => panic!("{other:?}"),
            }
        }
    }
    let abort = abort.unwrap();
    assert_eq!((copies, abort.referenced, abort.ref_cmd_sn), (3, command.itt, command.cmd_sn));
    world.exp_cmd_sn = Serial(8);
    let numbering = world.status();
    world.say(
        TaskResponse { result: TaskResult::FunctionComplete, information: [0; 3], itt: abort.itt, numbering },
        &[],
    );
    assert!(matches!(world.completion(1), Err(CommandError::TimedOut { sent: true, .. })));
}

#[test]
fn a_command_whose_data_came_damaged_at_the_target_is_sent_again() {
    let mut world = world();
    world.write(1, 4000);
    let first = world.sent();
    world.rejects(RejectReason::DataDigestError, first[0].0.clone());
    assert_eq!(world.sent(), {
        let (Pdu::ScsiCommand(command), data) = first[0].clone() else { panic!() };
        vec![(ScsiCommand { exp_stat_sn: Serial(101), ..command }.into(), data)]
    });
    world.exp_cmd_sn = Serial(8);
    world.good(first[0].0.encode().itt(), 0);
    world.ended(1);
    world.assert_clean();
}

/// with too many holes all data is asked for anew; what was on its way is dropped, and only the status with the
/// new tag counts.
#[test]
fn data_in_tatters_is_asked_for_anew() {
    let mut world = world();
    let (itt, pieces) = world.reading(1, 40);
    for at in 0..16 {
        world.piece(&pieces[2 * at + 1]);
        assert_eq!(world.snack(), data_snack(itt, 2 * at as u32, 1));
    }
    world.piece(&pieces[33]);
    let anew = world.snack();
    assert_eq!((anew.kind, anew.itt, anew.begin, anew.length), (SnackType::RData, itt, Serial(0), 0));
    assert!(![0, RESERVED].contains(&anew.tag));
    world.piece(&pieces[34]);
    assert!(world.snacks().is_empty(), "what was on its way is no gap");
    // The status that was on its way too.
    let old = world.good(itt, 40);
    assert!(world.snacks().is_empty() && world.done().is_empty());
    assert_eq!(world.acknowledges(), Serial(100));
    // The target may cut the data anew.
    for at in 0..20u32 {
        let offset = 200 * at as usize;
        let piece = DataIn { fin: at == 19, ..world.data_in(itt, at, 200 * at) };
        world.say(piece, &pattern(offset + 200)[offset..]);
    }
    world.say(ScsiResponse { exp_data_sn: Serial(20), snack_tag: anew.tag + 1, ..old.clone() }, &[]);
    assert!(world.done().is_empty(), "a tag that was never sent");
    world.say(ScsiResponse { exp_data_sn: Serial(20), snack_tag: anew.tag, ..old }, &[]);
    assert_eq!(world.ended(1).data, pattern(4000));
    assert_eq!(world.acknowledges(), Serial(101));
}

#[test]
fn r280_a_status_with_data_does_not_count_after_all_was_asked_for_anew() {
    let mut world = world();
    let (itt, pieces) = world.reading(1, 35);
    for at in 0..17 {
        world.piece(&pieces[2 * at + 1]);
    }
    let anew = world.snacks().pop().unwrap();
    assert_eq!(anew.kind, SnackType::RData);
    for piece in &pieces[..34] {
        world.piece(piece);
    }
    let numbering = world.status();
    let last = DataIn { status: Some((Status::GOOD, Residual::None)), numbering, ..pieces[34].clone() };
    world.say(last, &pattern(3500)[3400..]);
    assert!(world.done().is_empty());
    world.stat_sn = numbering.stat_sn;
    let response = ScsiResponse { exp_data_sn: Serial(35), snack_tag: anew.tag, ..world.response(itt, Status::GOOD) };
    world.say(response, &[]);
    assert_eq!(world.ended(1).data, pattern(3500));
    world.assert_clean();
}

#[test]
fn a_status_that_does_not_come_with_its_data_is_asked_for_by_itself() {
    let mut world = world();
    let (itt, pieces) = world.reading(1, 1);
    world.exp_cmd_sn = Serial(8);
    let numbering = world.status();
    let whole = DataIn { status: Some((Status::GOOD, Residual::None)), numbering, ..pieces[0].clone() };
    world.say_damaged(whole, &pattern(100));
    world.snack();
    world.piece(&pieces[0]);
    assert!(world.done().is_empty() && world.snacks().is_empty());
    world.pass(AFTER);
    let sent = world.sent();
    assert_eq!(sent[0].0, status_snack(100, 1).into());
    world.stat_sn = Serial(100);
    world.good(itt, 1);
    assert_eq!(world.ended(1).data, pattern(100));
}

#[test]
fn an_aborted_command_keeps_no_status_back() {
    let mut world = world();
    let (itt, pieces) = world.reading(1, 3);
    world.exp_cmd_sn = Serial(8);
    world.piece(&pieces[0]);
    world.piece(&pieces[2]);
    world.snack();
    world.good(itt, 3);
    assert_eq!(world.acknowledges(), Serial(100));
    let (function, lun) = (TaskFunction::LogicalUnitReset, Lun::from(3));
    world.core.submit(Request::Task { function, lun }, 2, world.now);
    let sent = world.sent();
    let Pdu::TaskRequest(reset) = &sent.last().unwrap().0 else { panic!("{sent:?}") };
    let numbering = world.status();
    world.say(
        TaskResponse { result: TaskResult::FunctionComplete, information: [0; 3], itt: reset.itt, numbering },
        &[],
    );
    assert!(world.done().iter().any(|(token, done)| *token == 1 && matches!(done, Err(CommandError::Aborted))));
    world.core.cancel(999);
    world.done();
    world.piece(&pieces[1]);
    assert_eq!(world.core.links[LinkId::FIRST].exp_stat_sn, Serial(102));
    assert!(world.snacks().is_empty());
}

#[test]
fn absurd_numbers_end_the_connection_at_any_level() {
    let mut first = world();
    let (itt, pieces) = first.reading(1, 3);
    first.say(DataIn { data_sn: Serial(1 << 30), ..pieces[1].clone() }, &[1; 100]);
    assert!(matches!(first.misbehaved(), PeerMisbehaved::DataGap { .. }));
    let mut second = world();
    let (_, pieces) = second.reading(1, 3);
    second.piece(&pieces[0]);
    second.say(DataIn { offset: 50, ..pieces[2].clone() }, &[1; 100]);
    assert!(matches!(second.misbehaved(), PeerMisbehaved::DataOffset { .. }));
    let mut third = world();
    third.read(1, 100);
    third.stat_sn = Serial(1 << 30);
    third.good(itt, 0);
    assert!(matches!(third.misbehaved(), PeerMisbehaved::StatusGap { .. }));
    let mut fourth = world();
    let (itt, _) = fourth.reading(1, 3);
    fourth.good(itt, 1 << 30);
    assert!(matches!(fourth.misbehaved(), PeerMisbehaved::DataGap { .. }));
}
