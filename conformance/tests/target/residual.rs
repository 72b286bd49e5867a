use iscsi_proto::pdu::{Ahs, Pdu, Residual, ScsiCommand};
use iscsi_proto::scsi::{Cdb, Command, Inquiry, LunList, ReportLuns, Status};

use crate::peer::{BLOCK, Peer, done, node, pattern};

use Residual::{None as Exact, Overflow, Underflow};

/// RFC 7143, section 11.4.5: what is expected against what the command moves, for each direction.
#[test]
fn residuals_are_exact_in_both_directions() {
    let mut peer = Peer::logged_in(&node(), &[]);
    let stored = pattern(2 * BLOCK, 7);
    peer.write(Cdb::write(0, 2), &stored, 1024);
    for (expected, residual) in [
        (1024, Exact),
        (0, Overflow(1024)),
        (1, Overflow(1023)),
        (512, Overflow(512)),
        (1025, Underflow(1)),
        (10_000, Underflow(8976)),
    ] {
        let read = peer.read(Cdb::read(0, 2), expected);
        assert_eq!((read.status, read.residual), (Status::GOOD, residual), "read {expected}");
        assert_eq!(read.data, stored[..expected.min(1024)]);

        for immediate in [0, 512, usize::MAX] {
            let data = pattern(expected, immediate as u8);
            let written = peer.write(Cdb::write(8, 2), &data, immediate);
            assert_eq!((written.status, written.residual), (Status::GOOD, residual), "write {expected} {immediate}");
            let moved = expected.min(1024);
            assert_eq!(peer.read(Cdb::read(8, 2), 1024).data[..moved], data[..moved]);
        }
    }
    assert_eq!(peer.read(Cdb::read(10, 1), BLOCK).data, [0; BLOCK], "nothing is written past the command's own length");
}

#[test]
fn commands_with_an_allocation_length_never_overflow_it() {
    let mut peer = Peer::logged_in(&node(), &[]);
    let inquiry = |allocation| Command::Inquiry(Inquiry { page: None, allocation }).encode();
    for (allocation, expected, residual, len) in [
        (255, 255, Underflow(255 - 74), 74),
        (36, 36, Exact, 36),
        (36, 255, Underflow(255 - 36), 36),
        (255, 36, Overflow(74 - 36), 36),
        (0, 0, Exact, 0),
    ] {
        let done = peer.read(inquiry(allocation), expected);
        assert_eq!((done.residual, done.data.len()), (residual, len), "{allocation} {expected}");
    }
    let luns = Command::ReportLuns(ReportLuns { select: 0, allocation: 16 }).encode();
    let done = peer.read(luns, 16);
    assert_eq!((done.residual, LunList::parse(&done.data).unwrap().luns.len()), (Exact, 1));
}

#[test]
fn a_failed_command_has_moved_nothing() {
    let mut peer = Peer::logged_in(&node(), &[]);
    let past_the_end = peer.read(Cdb::read(1 << 40, 1), BLOCK);
    assert_eq!((past_the_end.status, past_the_end.residual), (Status::CHECK_CONDITION, Underflow(512)));
    assert!(past_the_end.data.is_empty());
}

#[test]
fn data_the_wrong_way_is_not_moved() {
    let mut peer = Peer::logged_in(&node(), &[]);
    let command = ScsiCommand { write: true, ..peer.command(Cdb::read(0, 1), BLOCK) };
    let answers = peer.send(command, &[]);
    let read = done(&answers);
    assert_eq!((read.status, read.data.len()), (Status::GOOD, 0));
    let command = ScsiCommand { read: true, ..peer.command(Cdb::write(0, 2), BLOCK) };
    let write = done(&peer.send(command, &[]));
    assert_eq!((write.status, write.residual), (Status::GOOD, Overflow(512)));
    let command = ScsiCommand { write: true, ..peer.command(Command::TestUnitReady.encode(), BLOCK) };
    let ready = done(&peer.send(command, &[1; 512]));
    assert_eq!((ready.status, ready.residual), (Status::GOOD, Underflow(512)));
}

#[test]
fn bidirectional_commands_report_both_residuals() {
    let mut peer = Peer::logged_in(&node(), &[]);
    let command = ScsiCommand { read: true, write: true, ..peer.command(Cdb::read(0, 2), 100) };
    let mut ahs = Vec::new();
    Ahs::BidiReadLength(1500).encode_to(&mut ahs);
    peer.use_digests(false, false);
    let bytes = peer.encode(command, &ahs, &[0; 100]);
    let answers = peer.send_bytes(&bytes);
    let Pdu::ScsiResponse(response) = &answers.last().unwrap().pdu else { panic!("{answers:?}") };
    assert_eq!((response.residual, response.bidi_residual), (Underflow(100), Underflow(476)));
}
