//! XDWRITEREAD, whose data goes both ways.

use iscsi_proto::pdu::{Ahs, Pdu, Residual, ScsiCommand, ScsiResponse, split_sense};
use iscsi_proto::scsi::{Cdb, Command, OpcodeQuery, OpcodeReport, ReportOpcodes, Sense, Status, XdWriteRead};
use iscsi_proto::serial::Serial;

use crate::peer::{Answer, BLOCK, Peer, data_out, node, node_with, pattern};

/// How a command ended, what it returned, and the number of R2Ts that it took.
struct Both {
    data: Vec<u8>,
    response: ScsiResponse,
    sense: Option<Sense>,
    r2ts: u32,
}

/// Runs a command that sends all of `data` as R2Ts ask for it, and takes `read` bytes. The PDUs of the target have their numbers
/// in one row (RFC 7143, section 11.8.2).
fn run(peer: &mut Peer, command: XdWriteRead, data: &[u8], read: u32) -> Both {
    let request = ScsiCommand { read: true, write: true, ..peer.command(command.encode(), data.len()) };
    let mut ahs = Vec::new();
    Ahs::BidiReadLength(read).encode_to(&mut ahs);
    let bytes = peer.encode(request, &ahs, &[]);
    let mut answers = peer.send_bytes(&bytes);
    let (mut returned, mut number, mut r2ts) = (Vec::new(), 0, 0);
    loop {
        let Answer { pdu, data: segment } = answers.remove(0);
        match pdu {
            Pdu::R2t(r2t) => {
                assert_eq!(r2t.r2t_sn, Serial(number));
                (number, r2ts) = (number + 1, r2ts + 1);
                let part = &data[r2t.offset as usize..][..r2t.length as usize];
                answers.extend(peer.send(data_out(r2t.itt, r2t.ttt, 0, r2t.offset, true), part));
            }
            Pdu::DataIn(pdu) => {
                assert_eq!((pdu.data_sn, pdu.offset as usize), (Serial(number), returned.len()));
                assert!(pdu.status.is_none());
                number += 1;
                returned.extend_from_slice(&segment);
            }
            Pdu::ScsiResponse(response) => {
                assert_eq!(response.exp_data_sn, Serial(if returned.is_empty() { 0 } else { number }));
                let sense = split_sense(&segment).unwrap().0;
                let sense = (!sense.is_empty()).then(|| Sense::parse(sense).unwrap());
                assert!(answers.is_empty());
                return Both { data: returned, response, sense, r2ts };
            }
            other => panic!("{other:?}"),
        }
    }
}

fn xor(one: &[u8], two: &[u8]) -> Vec<u8> {
    one.iter().zip(two).map(|(one, two)| one ^ two).collect()
}

#[test]
fn what_was_there_comes_back_combined_with_what_is_written() {
    let mut peer = Peer::logged_in(&node(), &[("MaxBurstLength", "8192"), ("FirstBurstLength", "8192")]);
    let (old, new) = (pattern(40 * BLOCK, 1), pattern(40 * BLOCK, 2));
    peer.write(Cdb::write(5, 40), &old, 0);
    let command = XdWriteRead { lba: 5, blocks: 40, fua: true, ..XdWriteRead::default() };
    let both = run(&mut peer, XdWriteRead { disable_write: true, ..command }, &new, new.len() as u32);
    assert_eq!((both.response.status, both.r2ts, both.data == xor(&old, &new)), (Status::GOOD, 3, true));
    assert!(peer.read(Cdb::read(5, 40), old.len()).data == old, "nothing was written");
    let both = run(&mut peer, command, &new, new.len() as u32);
    assert_eq!((both.response.status, both.data == xor(&old, &new)), (Status::GOOD, true));
    assert_eq!((both.response.residual, both.response.bidi_residual), (Residual::None, Residual::None));
    assert!(peer.read(Cdb::read(5, 40), new.len()).data == new, "the new data is there");
}

#[test]
fn each_way_has_its_residual() {
    let mut peer = Peer::logged_in(&node(), &[]);
    let data = pattern(2 * BLOCK, 9);
    for (read, residual) in [(1000, Residual::Overflow(24)), (1024, Residual::None), (2000, Residual::Underflow(976))] {
        let command = XdWriteRead { blocks: 2, disable_write: true, ..XdWriteRead::default() };
        let both = run(&mut peer, command, &data, read);
        assert_eq!((both.response.residual, both.response.bidi_residual), (Residual::None, residual));
        assert_eq!(both.data, data[..both.data.len()]);
        assert_eq!(both.data.len(), data.len().min(read as usize));
    }
}

#[test]
fn what_cannot_be_done_returns_nothing() {
    let mut peer = Peer::logged_in(&node(), &[]);
    let one = XdWriteRead { blocks: 1, ..XdWriteRead::default() };
    let data = pattern(BLOCK, 3);
    for (command, sense) in [
        (XdWriteRead { lba: 2048, ..one }, Sense::LBA_OUT_OF_RANGE),
        (XdWriteRead { blocks: 2, ..one }, Sense::INVALID_FIELD),
        (XdWriteRead { protect: 1, ..one }, Sense::INVALID_FIELD),
        (XdWriteRead { xor_protection: true, ..one }, Sense::INVALID_FIELD),
    ] {
        let both = run(&mut peer, command, &data, BLOCK as u32);
        assert_eq!(both.sense.map(|sense| sense.code()), Some(sense.code()), "{command:?}");
        assert_eq!((both.data.len(), both.response.bidi_residual), (0, Residual::Underflow(512)));
    }
    assert_eq!(peer.read(Cdb::read(0, 1), BLOCK).data, [0; BLOCK]);
    let node = node_with(|target| target.luns[0].read_only = true);
    let mut peer = Peer::logged_in(&node, &[]);
    let refused = run(&mut peer, one, &data, BLOCK as u32);
    assert_eq!(refused.sense.map(|sense| sense.code()), Some(Sense::WRITE_PROTECTED.code()));
    let looked = run(&mut peer, XdWriteRead { disable_write: true, ..one }, &data, BLOCK as u32);
    assert_eq!((looked.response.status, looked.data), (Status::GOOD, data));
}

#[test]
fn a_unit_lists_it() {
    let mut peer = Peer::logged_in(&node(), &[]);
    let query = OpcodeQuery::Opcode(XdWriteRead::OPCODE);
    let command = Command::ReportOpcodes(ReportOpcodes { query, timeouts: false, allocation: 8192 });
    let report = OpcodeReport::parse(&peer.read(command.encode(), 8192).data).unwrap();
    assert!(report.support.is_supported());
    assert_eq!(report.usage, [0x53, 0xfc, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff, 0]);
}
