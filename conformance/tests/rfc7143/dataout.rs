//! Data that goes out unasked (sections 4.2.5.2, 11.3 and 11.7).
//!
//! The checker of traces holds every PDU to the limits; these tests see to it that the limits are met from both sides.

use iscsi_proto::pdu::Pdu;
use iscsi_proto::tags::Ttt;

use crate::support::peer::pattern;
use crate::support::world::{World, config, ended, offering};

/// The lengths of the data segments that a write starts with, before any R2T; the command's own is the first.
async fn unasked(answers: &[(&str, &str)], length: usize) -> Vec<usize> {
    let mut world = World::with(config(), answers).await;
    let write = world.write(length);
    let (command, immediate) = world.peer.command().await;
    assert!(command.write && !command.read);
    assert_eq!(command.expected_length as usize, length);
    let mut data = immediate.to_vec();
    let mut lengths = vec![immediate.len()];
    let mut fin = command.fin;
    while !fin {
        let (Pdu::DataOut(pdu), part) = world.peer.hear().await else { panic!() };
        assert_eq!((pdu.itt, pdu.ttt), (command.itt, Ttt::RESERVED));
        data.extend_from_slice(&part);
        lengths.push(part.len());
        fin = pdu.fin;
    }
    world.peer.hears_nothing().await;
    assert_eq!(data, pattern(length)[..data.len()]);
    if data.len() < length {
        let (offset, left) = (data.len() as u32, (length - data.len()) as u32);
        let r2t = world.peer.r2t(&command, 0, offset, left);
        world.peer.say(r2t, &[]).await;
        while data.len() < length {
            data.extend_from_slice(&world.peer.hear().await.1);
        }
        assert_eq!(data, pattern(length));
    }
    world.peer.good(command.itt).await;
    ended(write).await.expect("success");
    lengths
}

///
#[tokio::test(start_paused = true)]
async fn what_goes_out_unasked_is_what_was_agreed() {
    let small = ("MaxRecvDataSegmentLength", "512");
    let (no, yes) = (("InitialR2T", "No"), ("InitialR2T", "Yes"));
    let without = ("ImmediateData", "No");
    let first = ("FirstBurstLength", "1024");
    for (answers, length, expected) in [
        (&[yes, without, first][..], 2000, &[0][..]),
        (&[yes, first], 2000, &[1024]),
        (&[yes, first], 1024, &[1024]),
        (&[yes, first], 1023, &[1023]),
        (&[yes, first, small], 2000, &[512]),
        (&[no, without, first], 2000, &[0, 1024]),
        (&[no, without, first], 1000, &[0, 1000]),
        (&[no, without, first, small], 2000, &[0, 512, 512]),
        (&[no, first], 2000, &[1024]),
        (&[no, first, small], 2000, &[512, 512]),
        (&[no, first, small], 513, &[512, 1]),
        (&[no, first, small], 512, &[512]),
    ] {
        assert_eq!(unasked(answers, length).await, expected, "{answers:?} {length}");
    }
}

/// a limit that is not a multiple of four leaves the segments whole words.
#[tokio::test(start_paused = true)]
async fn segments_are_whole_words_but_for_the_last() {
    let answers = [("InitialR2T", "No"), ("FirstBurstLength", "2000"), ("MaxRecvDataSegmentLength", "513")];
    assert_eq!(unasked(&answers, 3000).await, [512, 512, 512, 464]);
    assert_eq!(unasked(&answers, 1026).await, [512, 512, 2]);
    assert_eq!(unasked(&answers, 513).await, [513]);
}

#[tokio::test(start_paused = true)]
async fn r172_what_we_do_not_want_to_send_unasked_the_peer_cannot_make_us_send() {
    let config = offering(|offer| (offer.initial_r2t, offer.immediate_data) = (true, false));
    let mut world = World::with(config, &[]).await;
    let write = world.write(1000);
    let (command, immediate) = world.peer.command().await;
    assert!(command.fin && immediate.is_empty());
    world.peer.hears_nothing().await;
    let r2t = world.peer.r2t(&command, 0, 0, 1000);
    world.peer.say(r2t, &[]).await;
    assert_eq!(world.peer.hear().await.1, pattern(1000));
    world.peer.good(command.itt).await;
    ended(write).await.unwrap();
}

/// unasked data of a command comes before the next command, which the checker of traces watches.
#[tokio::test(start_paused = true)]
async fn unasked_data_of_two_commands_is_not_mixed() {
    let answers = [("ImmediateData", "No"), ("InitialR2T", "No"), ("MaxRecvDataSegmentLength", "512")];
    let mut world = World::with(config(), &answers).await;
    let writes = [world.write(2048), world.write(2048)];
    for _ in 0..2 {
        let (command, _) = world.peer.command().await;
        for _ in 0..4 {
            let (Pdu::DataOut(data), _) = world.peer.hear().await else { panic!() };
            assert_eq!(data.itt, command.itt);
        }
        world.peer.good(command.itt).await;
    }
    for write in writes {
        ended(write).await.unwrap();
    }
}
