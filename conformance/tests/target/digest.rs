use iscsi_proto::pdu::{Opcode, Pdu, RejectReason, ScsiCommand};
use iscsi_proto::scsi::{Cdb, Command, SenseKey, Status};

use crate::peer::{Answer, BLOCK, Peer, data_out, done, node, pattern};

fn peer(header: bool, data: bool) -> Peer {
    let list = |on| if on { "CRC32C" } else { "None" };
    let mut peer = Peer::logged_in(&node(), &[("HeaderDigest", list(header)), ("DataDigest", list(data))]);
    peer.use_digests(header, data);
    peer
}

#[test]
fn both_digests_work_in_every_combination() {
    for (header, data) in [(false, false), (true, false), (false, true), (true, true)] {
        let mut peer = peer(header, data);
        let bytes = pattern(3 * BLOCK, 5);
        assert_eq!(peer.write(Cdb::write(1, 3), &bytes, 700).status, Status::GOOD);
        assert_eq!(peer.read(Cdb::read(1, 3), bytes.len()).data, bytes);
    }
}

#[test]
fn a_wrong_header_digest_closes_the_connection() {
    let mut peer = peer(true, false);
    let command = peer.command(Command::TestUnitReady.encode(), 0);
    let mut bytes = peer.encode(command, &[], &[]);
    bytes[40] ^= 1;
    peer.connection.receive(&bytes);
    assert!(peer.answers().is_empty() && !peer.is_open());
}

#[test]
fn a_wrong_data_digest_on_a_command_rejects_it_and_leaves_its_number_open() {
    let mut peer = peer(true, true);
    let command = ScsiCommand { write: true, ..peer.command(Cdb::write(0, 1), BLOCK) };
    let mut bytes = peer.encode(command.clone(), &[], &[3; 512]);
    bytes[100] ^= 1;
    let answers = peer.send_bytes(&bytes);
    let [Answer { pdu: Pdu::Reject(reject), data }] = &answers[..] else { panic!("{answers:?}") };
    assert_eq!(reject.reason, RejectReason::DataDigestError);
    assert_eq!(data[..48], bytes[..48]);
    assert_eq!(peer.exp_cmd_sn, command.cmd_sn);
    assert_eq!(done(&peer.send(command, &[3; 512])).status, Status::GOOD, "sent again as it was");
}

#[test]
fn a_wrong_data_digest_on_data_fails_the_command_once_all_data_is_there() {
    let mut peer = peer(false, true);
    let command = ScsiCommand { write: true, ..peer.command(Cdb::write(0, 2), 2 * BLOCK) };
    let itt = command.itt;
    let answers = peer.send(command, &[]);
    let [Answer { pdu: Pdu::R2t(r2t), .. }] = &answers[..] else { panic!("{answers:?}") };
    let mut bytes = peer.encode(data_out(itt, r2t.ttt, 0, 0, false), &[], &[1; 512]);
    bytes[60] ^= 1;
    let answers = peer.send_bytes(&bytes);
    let [Answer { pdu: Pdu::Reject(reject), .. }] = &answers[..] else { panic!("{answers:?}") };
    assert_eq!(reject.reason, RejectReason::DataDigestError);
    let failed = done(&peer.send(data_out(itt, r2t.ttt, 1, 512, true), &[1; 512]));
    assert_eq!(failed.sense.unwrap().code(), (SenseKey::AbortedCommand, 0x47, 0x05));
    assert_eq!(peer.read(Cdb::read(0, 1), BLOCK).data, [0; 512], "the damaged data went nowhere");
}

#[test]
fn oversize_segments_and_stray_additional_headers_close_the_connection() {
    let oversize = iscsi_proto::pdu::Header::new(Opcode::NopOut).with_data_len(262_145);
    let stray = iscsi_proto::pdu::Header::new(Opcode::NopOut).with_ahs_len(4);
    for header in [oversize, stray] {
        let mut peer = peer(false, false);
        peer.connection.receive(header.as_bytes());
        assert!(!peer.is_open());
    }
}

#[test]
fn bytes_may_come_one_at_a_time() {
    let mut peer = peer(true, true);
    let command = ScsiCommand { write: true, ..peer.command(Cdb::write(0, 1), BLOCK) };
    let bytes = peer.encode(command, &[], &[9; 512]);
    for len in 0..bytes.len() {
        assert_eq!(peer.connection.receive(&bytes[..len]), 0);
        assert!(peer.connection.wanted(&bytes[..len]) >= 48);
    }
    assert_eq!(peer.connection.wanted(&bytes[..60]), bytes.len());
    assert_eq!(done(&peer.send_bytes(&bytes)).status, Status::GOOD);
}
