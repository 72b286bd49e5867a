use iscsi_proto::scsi::{Sense, SenseKey};

use super::*;

#[test]
fn r195_status_in_the_last_data_in_ends_the_command() {
    let mut world = World::new();
    world.read(1, 10_000);
    let command = world.command();
    assert!(command.read && command.fin && !command.write);
    assert_eq!((command.expected_length, command.lun), (10_000, Lun::from(3)));
    let data = pattern(10_000);
    let first = DataIn { fin: false, ..world.data_in(command.itt, 0, 0) };
    world.say(first, &data[..8192]);
    assert!(world.done().is_empty());
    let last = DataIn { status: Some((Status::GOOD, Residual::None)), ..world.data_in(command.itt, 1, 8192) };
    world.stat_sn = world.stat_sn.next();
    world.say(last, &data[8192..]);
    let response = world.ended(1);
    assert_eq!((response.status, response.residual), (Status::GOOD, Residual::None));
    assert_eq!(response.data, data);
    world.assert_clean();
}

#[test]
fn data_read_straight_into_its_place_is_the_same() {
    for digest in [false, true] {
        let mut world = World::with(Negotiated {
            data_digest: digest,
            max_recv_data_segment_length: 1 << 20,
            ..Negotiated::default()
        });
        world.read(1, 100_001);
        let itt = world.command().itt;
        let data = pattern(100_001);
        let pdu = DataIn { status: Some((Status::GOOD, Residual::None)), ..world.data_in(itt, 0, 0) };
        world.stat_sn = world.stat_sn.next();
        let wire = world.wire(&pdu.into(), &data);
        let mut at = world.core.receive(LinkId::FIRST, &wire[..1000], world.now);
        assert_eq!(at, 1000);
        assert!(world.core.landing(LinkId::FIRST, 1 << 20).is_none());
        while let Some(landing) = world.core.landing(LinkId::FIRST, 16) {
            let count = landing.len().min(7777);
            landing[..count].copy_from_slice(&wire[at..at + count]);
            world.core.landed(LinkId::FIRST, count, world.now);
            at += count;
        }
        at += world.core.receive(LinkId::FIRST, &wire[at..], world.now);
        assert_eq!(at, wire.len());
        assert_eq!(world.ended(1).data, data);
        assert_eq!(world.core.stats().bytes_received, wire.len() as u64);
        world.assert_clean();
    }
}

#[test]
fn r198_numbers_of_data_go_on_across_sequences() {
    let mut world = World::new();
    world.read(1, 2048);
    let itt = world.command().itt;
    for part in 0..4u32 {
        let pdu = world.data_in(itt, part, part * 512);
        world.say(pdu, &pattern(512));
    }
    let response = ScsiResponse { exp_data_sn: Serial(4), ..world.response(itt, Status::GOOD) };
    world.say(response, &[]);
    assert_eq!(world.ended(1).data.len(), 2048);
    world.assert_clean();
}

#[test]
fn r199_data_that_came_before_is_discarded() {
    let mut world = World::new();
    world.read(1, 1024);
    let itt = world.command().itt;
    let pdu = world.data_in(itt, 0, 0);
    world.say(pdu.clone(), &pattern(512));
    world.say(pdu, &[9; 512]);
    let last = DataIn { status: Some((Status::GOOD, Residual::None)), ..world.data_in(itt, 1, 512) };
    world.stat_sn = world.stat_sn.next();
    world.say(last, &[1; 512]);
    let data = world.ended(1).data;
    assert_eq!(data[..512], pattern(512));
    assert_eq!(data[512..], [1; 512]);
}

#[test]
fn r200_r203_r197_data_out_of_place_ends_the_connection() {
    for (data_sn, offset, expected) in [
        (1, 0, PeerMisbehaved::DataGap { expected: Serial(0), received: Serial(1) }),
        (0, 4, PeerMisbehaved::DataOffset { expected: 0, received: 4 }),
        (0, 1024, PeerMisbehaved::DataBeyondEnd { offset: 1024, length: 512, limit: 1024 }),
        (0, 513, PeerMisbehaved::DataBeyondEnd { offset: 513, length: 512, limit: 1024 }),
        (0, u32::MAX, PeerMisbehaved::DataBeyondEnd { offset: u32::MAX, length: 512, limit: 1024 }),
    ] {
        let mut world = World::new();
        world.read(1, 1024);
        let itt = world.command().itt;
        let pdu = world.data_in(itt, data_sn, offset);
        world.say(pdu, &[0; 512]);
        assert_eq!(world.misbehaved(), expected);
        assert!(matches!(world.completion(1), Err(CommandError::Closed { .. })));
    }
}

#[test]
fn r201_a_response_that_counts_more_data_than_came_is_no_success() {
    let mut world = World::new();
    world.read(1, 1024);
    let itt = world.command().itt;
    let pdu = world.data_in(itt, 0, 0);
    world.say(pdu, &[0; 512]);
    let response = ScsiResponse { exp_data_sn: Serial(2), ..world.response(itt, Status::GOOD) };
    world.say(response, &[]);
    assert_eq!(world.misbehaved(), PeerMisbehaved::DataGap { expected: Serial(1), received: Serial(2) });
    assert!(world.completion(1).is_err());
}

#[test]
fn r206_data_for_a_write_or_for_nobody_ends_the_connection() {
    let mut world = World::new();
    world.write(1, 512);
    let itt = world.command().itt;
    let pdu = world.data_in(itt, 0, 0);
    world.say(pdu, &[0; 512]);
    assert!(matches!(world.misbehaved(), PeerMisbehaved::WrongTask { .. }));

    let mut world = World::new();
    let pdu = world.data_in(Itt(0), 0, 0);
    world.say(pdu, &[0; 512]);
    assert_eq!(world.misbehaved(), PeerMisbehaved::UnknownTask { itt: Itt(0) });
}

#[test]
fn r207_r209_only_what_came_counts_as_data() {
    for (sent, residual, valid) in [
        (1024, Residual::None, 1024),
        (512, Residual::Underflow(512), 512),
        (0, Residual::Underflow(1024), 0),
        (512, Residual::None, 512),
        (1024, Residual::Underflow(24), 1000),
        (1024, Residual::Underflow(u32::MAX), 0),
        (1024, Residual::Overflow(77), 1024),
    ] {
        let mut world = World::new();
        world.read(1, 1024);
        let itt = world.command().itt;
        if sent != 0 {
            let pdu = world.data_in(itt, 0, 0);
            world.say(pdu, &pattern(sent));
        }
        let response = ScsiResponse { residual, ..world.response(itt, Status::GOOD) };
        world.say(response, &[]);
        let response = world.ended(1);
        assert_eq!(response.data, pattern(sent)[..valid], "{sent} {residual:?}");
        assert_eq!(response.residual, residual);
        world.assert_clean();
    }
}

#[test]
fn data_counts_only_under_a_good_status() {
    for (status, key, valid) in [
        (Status::CHECK_CONDITION, SenseKey::MediumError, 0),
        (Status::CHECK_CONDITION, SenseKey::RecoveredError, 512),
        (Status::BUSY, SenseKey::NoSense, 0),
        (Status::CONDITION_MET, SenseKey::NoSense, 512),
    ] {
        let mut world = World::new();
        world.read(1, 512);
        let itt = world.command().itt;
        let pdu = world.data_in(itt, 0, 0);
        world.say(pdu, &pattern(512));
        let response = world.response(itt, status);
        let sense = Sense::new(key, 0x11, 0).to_fixed();
        world.say(response, &iscsi_proto::pdu::sense_segment(&sense));
        let response = world.ended(1);
        assert_eq!((response.status, response.data.len()), (status, valid));
        assert_eq!(response.sense, sense[..]);
        world.assert_clean();
    }
}

#[test]
fn sense_of_an_earlier_command_is_no_recovery_of_this_one() {
    let mut world = World::new();
    world.read(1, 512);
    let itt = world.command().itt;
    let pdu = world.data_in(itt, 0, 0);
    world.say(pdu, &pattern(512));
    let response = world.response(itt, Status::CHECK_CONDITION);
    let mut sense = Sense::new(SenseKey::RecoveredError, 0x0c, 0).to_fixed();
    sense[0] = 0x71;
    world.say(response, &iscsi_proto::pdu::sense_segment(&sense));
    let response = world.ended(1);
    assert!(response.data.is_empty());
    assert!(!super::super::super::command::is_success(response.status, &response.sense));
}

#[test]
fn r210_a_delivery_failure_is_no_status() {
    let mut world = World::new();
    world.read(1, 512);
    let itt = world.command().itt;
    let response = ScsiResponse { response: ServiceResponse::TargetFailure, ..world.response(itt, Status::GOOD) };
    world.say(response, &[]);
    assert!(matches!(world.completion(1), Err(CommandError::Delivery(ServiceResponse::TargetFailure))));
    world.assert_clean();
}

#[test]
fn r212_check_condition_without_sense_is_told_as_it_is() {
    let mut world = World::new();
    world.read(1, 512);
    let itt = world.command().itt;
    let response = world.response(itt, Status::CHECK_CONDITION);
    world.say(response, &[]);
    let response = world.ended(1);
    assert_eq!(response.status, Status::CHECK_CONDITION);
    assert!(response.sense.is_empty() && response.data.is_empty());
}

#[test]
fn r030_damaged_data_never_reaches_the_caller() {
    let mut world = World::with(Negotiated { data_digest: true, ..Negotiated::default() });
    world.read(1, 512);
    let itt = world.command().itt;
    let pdu = DataIn { status: Some((Status::GOOD, Residual::None)), ..world.data_in(itt, 0, 0) };
    let mut wire = world.wire(&pdu.into(), &pattern(512));
    wire[48 + 100] ^= 0x10;
    world.core.receive(LinkId::FIRST, &wire, world.now);
    assert!(matches!(world.core.closed(), Some(ConnectionError::Damaged(_))));
    assert!(matches!(world.completion(1), Err(CommandError::Closed { sent: true, .. })));
}

#[test]
fn r010_empty_data_in_is_taken_but_not_for_ever() {
    let mut world = World::new();
    world.read(1, 512);
    let itt = world.command().itt;
    let mut count = 0;
    while world.core.closed().is_none() {
        let pdu = world.data_in(itt, count, 0);
        world.say(pdu, &[]);
        count += 1;
        assert!(count < 5000);
    }
    assert!(count > 1000);
    assert_eq!(world.misbehaved(), PeerMisbehaved::EmptyData);
}

#[test]
fn r300_a_read_that_nobody_waits_for_keeps_its_buffer_to_its_end() {
    let mut world = World::new();
    world.read(1, 512);
    let itt = world.command().itt;
    world.core.cancel(1);
    // Whoever keeps a place for the answer learns that none will come.
    assert!(matches!(world.completion(1), Err(CommandError::Aborted)));
    let pdu = world.data_in(itt, 0, 0);
    world.say(pdu, &pattern(512));
    let response = world.response(itt, Status::GOOD);
    world.say(response, &[]);
    world.assert_clean();
}

#[test]
fn r300_a_command_cancelled_while_it_waits_is_never_sent() {
    let mut world = World::new();
    world.core.window = Window::new(Serial(7), Serial(7), Serial(6));
    for token in 1..100 {
        world.read(token, 512);
        world.core.cancel(token);
        // Its owner can forget the token now.
        assert!(matches!(world.completion(token), Err(CommandError::Aborted)));
    }
    world.assert_clean();
}

#[test]
fn r261_everything_ends_when_the_connection_does() {
    let mut world = World::new();
    for token in 0..40 {
        world.read(token, 512);
    }
    world.sent();
    world.core.fail(&ConnectionError::ClosedByTarget);
    let done = world.done();
    assert_eq!(done.len(), 40);
    for (token, completion) in done {
        let Err(CommandError::Closed { error: ConnectionError::ClosedByTarget, sent }) = completion else { panic!() };
        assert_eq!(sent, token < 32);
    }
    world.read(41, 512);
    assert!(matches!(world.completion(41), Err(CommandError::Closed { sent: false, .. })));
}

/// Found by the hostile target: a Data-In that carries status may be a duplicate like any status.
#[test]
fn r166_r199_a_repeated_data_in_with_status_is_discarded() {
    let mut world = World::new();
    world.read(1, 512);
    let itt = world.command().itt;
    let numbering = world.status();
    let last = DataIn { status: Some((Status::GOOD, Residual::None)), numbering, ..world.data_in(itt, 0, 0) };
    world.say(last.clone(), &pattern(512));
    assert_eq!(world.ended(1).data, pattern(512));
    world.read(2, 512);
    let next = world.command().itt;
    world.say(last, &pattern(512));
    let numbering = world.status();
    let last = DataIn { status: Some((Status::GOOD, Residual::None)), numbering, ..world.data_in(next, 0, 0) };
    world.say(last, &pattern(512));
    assert_eq!(world.ended(2).data, pattern(512));
    world.assert_clean();
}
