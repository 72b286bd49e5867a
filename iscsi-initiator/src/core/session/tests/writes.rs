use iscsi_proto::pdu::DataOut;

use super::*;

fn small_bursts() -> Negotiated {
    Negotiated {
        initial_r2t: true,
        immediate_data: false,
        max_send_data_segment_length: 1000,
        max_burst_length: 4096,
        first_burst_length: 2048,
        max_outstanding_r2t: 2,
        ..Negotiated::default()
    }
}

/// Data-Out PDUs with their data.
fn data_out(sent: Vec<(Pdu, Bytes)>) -> Vec<(DataOut, Bytes)> {
    sent.into_iter()
        .map(|(pdu, data)| match pdu {
            Pdu::DataOut(pdu) => (pdu, data),
            other => panic!("{other:?}"),
        })
        .collect()
}

#[test]
fn r181_r182_an_r2t_is_answered_to_the_byte() {
    let mut world = World::with(small_bursts());
    world.write(1, 5000);
    let command = world.command();
    assert!(command.write && command.fin && !command.read);
    assert_eq!(command.expected_length, 5000);
    for (r2t_sn, offset, length) in [(0, 0, 2500), (1, 2500, 2500)] {
        let r2t = world.r2t(command.itt, r2t_sn, offset, length);
        world.say(r2t.clone(), &[]);
        let pdus = data_out(world.sent());
        let lengths: Vec<usize> = pdus.iter().map(|(_, data)| data.len()).collect();
        assert_eq!(lengths, [1000, 1000, 500]);
        let mut expected = offset;
        for (index, (pdu, data)) in pdus.iter().enumerate() {
            assert_eq!((pdu.lun, pdu.itt, pdu.ttt), (Lun::from(3), command.itt, r2t.ttt));
            assert_eq!((pdu.data_sn, pdu.offset), (Serial(index as u32), expected));
            assert_eq!(pdu.fin, index == 2);
            assert_eq!(data[..], pattern(5000)[expected as usize..][..data.len()]);
            expected += data.len() as u32;
        }
    }
    let response = world.response(command.itt, Status::GOOD);
    world.say(response, &[]);
    assert_eq!(world.ended(1).status, Status::GOOD);
    assert_eq!(world.core.stats().data_sent, 5000);
    world.assert_clean();
}

#[test]
fn r173_to_r179_unasked_data_follows_its_command_at_once() {
    let mut world = World::with(Negotiated {
        initial_r2t: false,
        immediate_data: true,
        max_send_data_segment_length: 1000,
        first_burst_length: 2560,
        ..Negotiated::default()
    });
    world.write(1, 5000);
    world.write(2, 300);
    let sent = world.sent();
    let Pdu::ScsiCommand(first) = &sent[0].0 else { panic!() };
    assert!(!first.fin);
    assert_eq!(sent[0].1, pattern(5000)[..1000]);
    let Pdu::ScsiCommand(second) = &sent[3].0 else { panic!("{sent:?}") };
    assert!(second.fin);
    assert_eq!(sent[3].1, pattern(300));
    let pdus = data_out(sent[1..3].to_vec());
    for (index, (pdu, data)) in pdus.iter().enumerate() {
        assert_eq!((pdu.lun, pdu.itt, pdu.ttt), (Lun::ZERO, first.itt, Ttt::RESERVED));
        assert_eq!(pdu.data_sn, Serial(index as u32));
        assert_eq!(pdu.offset as usize, 1000 + 1000 * index);
        assert_eq!((pdu.fin, data.len()), (index == 1, [1000, 560][index]));
    }
    let r2t = world.r2t(first.itt, 0, 2560, 2440);
    world.say(r2t, &[]);
    assert_eq!(data_out(world.sent()).iter().map(|(_, data)| data.len()).sum::<usize>(), 2440);
    for itt in [first.itt, second.itt] {
        let response = world.response(itt, Status::GOOD);
        world.say(response, &[]);
    }
    assert_eq!(world.done().len(), 2);
    world.assert_clean();
}

#[test]
fn r184_to_r188_r019_bad_r2ts_end_the_connection() {
    let limit = 5000;
    let tell = |change: fn(&mut R2t)| {
        let mut world = World::with(small_bursts());
        world.write(1, limit);
        let itt = world.command().itt;
        let mut r2t = world.r2t(itt, 0, 0, 1000);
        change(&mut r2t);
        world.say(r2t, &[]);
        assert!(world.sent().is_empty());
        (world.misbehaved(), itt)
    };
    assert_eq!(tell(|r2t| r2t.offset = 4001).0, PeerMisbehaved::R2tBeyondEnd { offset: 4001, length: 1000, limit });
    let expected = PeerMisbehaved::R2tBeyondEnd { offset: u32::MAX, length: 1000, limit };
    assert_eq!(tell(|r2t| r2t.offset = u32::MAX).0, expected);
    assert_eq!(tell(|r2t| r2t.length = 4097).0, PeerMisbehaved::R2tTooLong { length: 4097, limit: 4096 });
    let expected = PeerMisbehaved::R2tGap { expected: Serial(0), received: Serial(1) };
    assert_eq!(tell(|r2t| r2t.r2t_sn = Serial(1)).0, expected);
    let (rule, itt) = tell(|r2t| r2t.lun = Lun::from(4));
    assert_eq!(rule, PeerMisbehaved::WrongLun { itt });
    assert_eq!(tell(|r2t| r2t.itt = Itt(0x9999)).0, PeerMisbehaved::UnknownTask { itt: Itt(0x9999) });
    assert!(matches!(tell(|r2t| r2t.length = 0).0, PeerMisbehaved::Pdu(_)));
    assert!(matches!(tell(|r2t| r2t.ttt = Ttt::RESERVED).0, PeerMisbehaved::Pdu(_)));
}

#[test]
fn r188_an_r2t_that_goes_back_ends_the_connection() {
    let mut world = World::with(small_bursts());
    world.write(1, 5000);
    let itt = world.command().itt;
    let r2t = world.r2t(itt, 0, 0, 2000);
    world.say(r2t, &[]);
    let r2t = world.r2t(itt, 1, 1999, 100);
    world.say(r2t, &[]);
    assert_eq!(world.misbehaved(), PeerMisbehaved::R2tBackwards { offset: 1999, end: 2000 });
}

#[test]
fn r188_an_r2t_that_skips_data_ends_the_connection() {
    let mut world = World::with(small_bursts());
    world.write(1, 5000);
    let itt = world.command().itt;
    let r2t = world.r2t(itt, 0, 2000, 2000);
    world.say(r2t, &[]);
    assert_eq!(world.misbehaved(), PeerMisbehaved::R2tSkips { offset: 2000, end: 0 });
    assert!(world.completion(1).is_err());
}

#[test]
fn r019_an_r2t_for_a_read_ends_the_connection() {
    let mut world = World::new();
    world.read(1, 512);
    let itt = world.command().itt;
    let r2t = world.r2t(itt, 0, 0, 512);
    world.say(r2t, &[]);
    assert!(matches!(world.misbehaved(), PeerMisbehaved::WrongTask { .. }));
}

#[test]
fn r186_r2ts_beyond_the_agreed_number_end_the_connection() {
    let mut world = World::with(small_bursts());
    world.write(1, 5000);
    let itt = world.command().itt;
    for (r2t_sn, offset) in [(0, 0), (1, 1000), (2, 2000)] {
        let r2t = world.r2t(itt, r2t_sn, offset, 1000);
        world.say(r2t, &[]);
    }
    assert_eq!(world.misbehaved(), PeerMisbehaved::TooManyR2ts { limit: 2 });
}

#[test]
fn r187_an_r2t_that_came_before_is_discarded() {
    let mut world = World::with(small_bursts());
    world.write(1, 5000);
    let itt = world.command().itt;
    let r2t = world.r2t(itt, 0, 0, 1000);
    world.say(r2t.clone(), &[]);
    assert_eq!(world.sent().len(), 1);
    world.say(r2t, &[]);
    assert!(world.sent().is_empty());
    assert!(world.core.closed().is_none());
}

#[test]
fn r183_r2ts_of_a_task_are_answered_in_order_and_tasks_take_turns() {
    let mut world = World::with(small_bursts());
    world.write(1, 4000);
    world.write(2, 4000);
    let itts: Vec<Itt> = world.sent().iter().map(|(pdu, _)| pdu.encode().itt()).collect();
    for (index, itt) in itts.iter().enumerate() {
        for (r2t_sn, offset) in [(0, 0), (1, 2000)] {
            let r2t = R2t { ttt: Ttt((index * 10) as u32 + r2t_sn), ..world.r2t(*itt, r2t_sn, offset, 2000) };
            world.say(r2t, &[]);
        }
    }
    let order: Vec<(u32, u32)> = data_out(world.sent()).iter().map(|(pdu, _)| (pdu.ttt.0, pdu.data_sn.0)).collect();
    assert_eq!(order, [(0, 0), (10, 0), (0, 1), (10, 1), (1, 0), (11, 0), (1, 1), (11, 1)]);
}

#[test]
fn r194_data_is_sent_while_the_window_is_closed() {
    let mut world = World::with(small_bursts());
    world.write(1, 1000);
    let itt = world.command().itt;
    world.core.window = Window::new(Serial(8), Serial(8), Serial(7));
    world.write(2, 1000);
    assert!(world.sent().is_empty());
    let r2t = R2t { numbering: Numbering { max_cmd_sn: Serial(7), ..world.numbering() }, ..world.r2t(itt, 0, 0, 1000) };
    world.max_cmd_sn = Serial(7);
    world.say(r2t, &[]);
    assert_eq!(data_out(world.sent()).len(), 1);
}

#[test]
fn r192_data_of_a_task_that_has_ended_is_not_sent() {
    let mut world = World::with(small_bursts());
    world.write(1, 4000);
    let itt = world.command().itt;
    let r2t = world.r2t(itt, 0, 0, 4000);
    world.say(r2t, &[]);
    let response = world.response(itt, Status::CHECK_CONDITION);
    world.say(response, &[]);
    assert_eq!(world.ended(1).status, Status::CHECK_CONDITION);
    assert!(world.sent().is_empty());
    let r2t = world.r2t(itt, 1, 0, 10);
    world.say(r2t, &[]);
    assert_eq!(world.misbehaved(), PeerMisbehaved::UnknownTask { itt });
}

#[test]
fn a_write_whose_data_was_never_taken_is_not_called_done() {
    for (residual, ends_well) in
        [(Residual::None, false), (Residual::Underflow(4000), true), (Residual::Underflow(3999), false)]
    {
        let mut world = World::with(small_bursts());
        world.write(1, 4000);
        let itt = world.command().itt;
        let response = ScsiResponse { residual, ..world.response(itt, Status::GOOD) };
        world.say(response, &[]);
        let completion = world.completion(1);
        if ends_well {
            assert!(matches!(completion, Ok(Finished::Scsi(_))));
        } else {
            assert!(matches!(completion, Err(CommandError::Short { received: 0, .. })), "{completion:?}");
        }
        world.assert_clean();
    }
}

#[test]
fn r014_an_r2t_with_data_ends_the_connection() {
    let mut world = World::with(small_bursts());
    world.write(1, 1000);
    let itt = world.command().itt;
    let r2t = world.r2t(itt, 0, 0, 1000);
    world.say(r2t, &[0; 512]);
    assert!(matches!(world.misbehaved(), PeerMisbehaved::Pdu(_)));
}

#[test]
fn r011_r012_a_long_cdb_travels_in_an_additional_header_segment() {
    let mut world = World::new();
    let command =
        Command { extended_cdb: Bytes::from_static(&[7; 16]), ..Command::read(Cdb::read(0, 1), BytesMut::zeroed(512)) };
    world.submit(1, command);
    let mut slices = [IoSlice::new(&[]); 8];
    let filled = world.core.outgoing(LinkId::FIRST, &mut slices);
    let bytes: Vec<u8> = slices[..filled].iter().flat_map(|slice| slice.to_vec()).collect();
    assert_eq!(bytes.len(), 48 + 20);
    assert_eq!(bytes[4], 5);
    assert_eq!(bytes[48..53], [0, 17, 1, 0, 7]);
}
