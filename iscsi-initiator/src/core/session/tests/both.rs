//! Commands that move data both ways.

use iscsi_proto::pdu::{Ahs, parse_ahs};

use super::*;

/// A write of 2000 bytes that reads 1000, after its command was sent.
fn begun() -> (World, Itt) {
    let mut world = World::with(Negotiated { immediate_data: false, max_burst_length: 1024, ..Negotiated::default() });
    world.both(1, 2000, 1000);
    let itt = world.command().itt;
    (world, itt)
}

impl World {
    fn both(&mut self, token: Token, written: usize, read: usize) {
        self.submit(token, Command::bidirectional(Cdb::read(0, 1), pattern(written), BytesMut::zeroed(read)));
    }

    /// The target sends data, and it is what a read of the pattern has there.
    fn data(&mut self, itt: Itt, data_sn: u32, offset: usize, length: usize) {
        let pdu = self.data_in(itt, data_sn, offset as u32);
        self.say(pdu, &pattern(offset + length)[offset..]);
    }

    /// The target asks for data; what is sent.
    fn ask(&mut self, itt: Itt, r2t_sn: u32, offset: u32, length: u32) -> Vec<u8> {
        let r2t = self.r2t(itt, r2t_sn, offset, length);
        self.say(r2t, &[]);
        self.sent().into_iter().flat_map(|(_, data)| data).collect()
    }
}

/// the segments of a long CDB and of a second length stand together.
#[test]
fn the_command_has_both_flags_and_both_lengths() {
    let mut world = World::new();
    let command = Command {
        extended_cdb: Bytes::from_static(&[7; 16]),
        ..Command::bidirectional(Cdb::read(0, 1), pattern(2000), BytesMut::zeroed(1000))
    };
    world.submit(1, command);
    let mut slices = [IoSlice::new(&[]); 8];
    let filled = world.core.outgoing(LinkId::FIRST, &mut slices);
    let bytes: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect();
    world.framer.feed(&bytes);
    let frame = world.framer.next_frame().unwrap().unwrap();
    let Pdu::ScsiCommand(command) = Pdu::parse(&frame.header).unwrap() else { panic!("{frame:?}") };
    assert!(command.read && command.write && command.fin);
    assert_eq!((command.expected_length, &frame.data[..]), (2000, &pattern(2000)[..]));
    assert_eq!(parse_ahs(&frame.ahs).unwrap(), [Ahs::ExtendedCdb(vec![7; 16]), Ahs::BidiReadLength(1000)]);
}

#[test]
fn the_expected_length_is_that_of_the_write_although_it_is_zero() {
    let mut world = World::new();
    world.both(1, 0, 1000);
    let command = world.command();
    assert!(command.read && command.write && command.fin);
    assert_eq!(command.expected_length, 0);
    world.data(command.itt, 0, 0, 1000);
    let response = ScsiResponse { exp_data_sn: Serial(1), ..world.response(command.itt, Status::GOOD) };
    world.say(response, &[]);
    assert_eq!(world.ended(1).data, pattern(1000));
    world.assert_clean();
}

#[test]
fn data_and_requests_for_data_share_their_numbers() {
    let (mut world, itt) = begun();
    assert_eq!(world.ask(itt, 0, 0, 1000), pattern(2000)[..1000]);
    world.data(itt, 1, 0, 600);
    world.data(itt, 2, 600, 300);
    assert_eq!(world.ask(itt, 3, 1000, 1000), pattern(2000)[1000..]);
    world.data(itt, 4, 900, 100);
    let response = ScsiResponse { exp_data_sn: Serial(5), ..world.response(itt, Status::GOOD) };
    world.say(response, &[]);
    let response = world.ended(1);
    assert_eq!(response.data, pattern(1000));
    assert_eq!(
        (response.status, response.residual, response.read_residual),
        (Status::GOOD, Residual::None, Residual::None)
    );
    world.assert_clean();
}

#[test]
fn numbers_that_are_not_shared_end_the_connection() {
    let (mut world, itt) = begun();
    world.data(itt, 0, 0, 500);
    assert!(world.ask(itt, 2, 0, 500).is_empty());
    assert_eq!(world.misbehaved(), PeerMisbehaved::R2tGap { expected: Serial(1), received: Serial(2) });
    let (mut world, itt) = begun();
    world.ask(itt, 0, 0, 500);
    world.data(itt, 2, 0, 500);
    assert_eq!(world.misbehaved(), PeerMisbehaved::DataGap { expected: Serial(1), received: Serial(2) });
    assert!(matches!(world.completion(1), Err(CommandError::Closed { sent: true, .. })));
}

#[test]
fn each_way_has_its_residual() {
    for (written, read, valid) in [
        (Residual::None, Residual::Underflow(400), 600),
        (Residual::Underflow(100), Residual::None, 1000),
        (Residual::Underflow(1000), Residual::Overflow(9), 1000),
        (Residual::Overflow(7), Residual::Underflow(u32::MAX), 0),
    ] {
        let (mut world, itt) = begun();
        assert_eq!(world.ask(itt, 0, 0, 1000).len() + world.ask(itt, 1, 1000, 1000).len(), 2000);
        world.data(itt, 2, 0, 1000);
        let good = world.response(itt, Status::GOOD);
        world.say(ScsiResponse { residual: written, bidi_residual: read, ..good }, &[]);
        let response = world.ended(1);
        assert_eq!((response.residual, response.read_residual), (written, read));
        assert_eq!(response.data, pattern(1000)[..valid], "{read:?}");
        world.assert_clean();
    }
}

#[test]
fn the_second_residual_means_nothing_for_a_command_of_one_way() {
    let mut world = World::new();
    world.read(1, 512);
    let itt = world.command().itt;
    world.data(itt, 0, 0, 512);
    let good = world.response(itt, Status::GOOD);
    world.say(ScsiResponse { bidi_residual: Residual::Underflow(500), ..good }, &[]);
    let response = world.ended(1);
    assert_eq!((response.data.len(), response.read_residual), (512, Residual::None));
}

#[test]
fn what_was_not_taken_or_failed_is_not_called_done() {
    let (mut world, itt) = begun();
    world.ask(itt, 0, 0, 1000);
    world.data(itt, 1, 0, 1000);
    let response = world.response(itt, Status::GOOD);
    world.say(response, &[]);
    assert!(matches!(world.completion(1), Err(CommandError::Short { expected: 2000, received: 1000 })));
    world.assert_clean();
    let (mut world, itt) = begun();
    world.data(itt, 0, 0, 1000);
    let response = world.response(itt, Status::CHECK_CONDITION);
    world.say(response, &[]);
    let response = world.ended(1);
    assert!(response.status == Status::CHECK_CONDITION && response.data.is_empty());
    world.assert_clean();
}

#[test]
fn data_that_never_came_ends_the_connection_when_the_status_tells_of_it() {
    let (mut world, itt) = begun();
    world.ask(itt, 0, 0, 1000);
    let response = ScsiResponse { exp_data_sn: Serial(2), ..world.response(itt, Status::GOOD) };
    world.say(response, &[]);
    assert_eq!(world.misbehaved(), PeerMisbehaved::DataGap { expected: Serial(1), received: Serial(2) });
}

#[test]
fn a_status_among_the_data_ends_the_connection() {
    let (mut world, itt) = begun();
    let pdu = DataIn { status: Some((Status::GOOD, Residual::None)), ..world.data_in(itt, 0, 0) };
    world.say(pdu, &pattern(1000));
    assert_eq!(world.misbehaved(), PeerMisbehaved::StatusInData { itt });
}

#[test]
fn both_ways_have_their_bounds() {
    let (mut world, itt) = begun();
    world.data(itt, 0, 0, 1000);
    let pdu = world.data_in(itt, 1, 1000);
    world.say(pdu, &[0; 1]);
    assert_eq!(world.misbehaved(), PeerMisbehaved::DataBeyondEnd { offset: 1000, length: 1, limit: 1000 });
    let (mut world, itt) = begun();
    world.ask(itt, 0, 0, 1000);
    assert!(world.ask(itt, 1, 1000, 1001).is_empty());
    assert_eq!(world.misbehaved(), PeerMisbehaved::R2tBeyondEnd { offset: 1000, length: 1001, limit: 2000 });
    let (mut world, itt) = begun();
    for number in 0.. {
        let pdu = world.data_in(itt, number, 0);
        world.say(pdu, &[]);
        if world.core.closed().is_some() {
            assert!(number <= 2 * 1000 + 2000 + 16);
            break;
        }
    }
    assert_eq!(world.misbehaved(), PeerMisbehaved::EmptyData);
}

#[test]
fn data_for_a_write_still_ends_the_connection() {
    let mut world = World::new();
    world.write(1, 512);
    let itt = world.command().itt;
    let pdu = world.data_in(itt, 0, 0);
    world.say(pdu, &[0; 4]);
    assert_eq!(world.misbehaved(), PeerMisbehaved::WrongTask { itt, opcode: Opcode::DataIn });
}

#[test]
fn with_error_recovery_nothing_is_sent() {
    for error_recovery_level in [1, 2] {
        let mut world = World::with(Negotiated { error_recovery_level, ..Negotiated::default() });
        world.both(1, 512, 512);
        assert!(matches!(world.completion(1), Err(error @ CommandError::Invalid(_)) if error.is_known_not_executed()));
        world.assert_clean();
    }
}
