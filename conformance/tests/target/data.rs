use conformance::target::config::{Limits, LunConfig};
use iscsi_proto::pdu::{DataOut, Pdu, R2t, RejectReason, ScsiCommand};
use iscsi_proto::scsi::{Cdb, Lun, SenseKey, Status};
use iscsi_proto::serial::Serial;
use iscsi_proto::tags::{Itt, Ttt};

use crate::peer::{Answer, BLOCK, Peer, data_out, done, node, node_with, pattern};

fn r2ts(answers: &[Answer]) -> Vec<R2t> {
    let r2t = |answer: &Answer| if let Pdu::R2t(r2t) = &answer.pdu { r2t.clone() } else { panic!("{answer:?}") };
    answers.iter().map(r2t).collect()
}

#[test]
fn data_in_is_split_by_segment_and_burst_with_status_in_the_last() {
    for (segment, burst, blocks, expected) in [
        ("512", "1024", 5, &[(0, false), (512, true), (1024, false), (1536, true), (2048, true)][..]),
        ("1000", "1536", 3, &[(0, false), (1000, true)]),
        ("8192", "262144", 1, &[(0, true)]),
    ] {
        let keys = [("MaxRecvDataSegmentLength", segment), ("MaxBurstLength", burst), ("FirstBurstLength", "512")];
        let mut peer = Peer::logged_in(&node(), &keys);
        let data = pattern(blocks * BLOCK, 1);
        peer.write(Cdb::write(8, blocks as u32), &data, 0);
        let command = ScsiCommand { read: true, ..peer.command(Cdb::read(8, blocks as u32), data.len()) };
        let answers = peer.send(command, &[]);
        let cuts: Vec<(u32, bool)> = answers
            .iter()
            .map(|answer| match &answer.pdu {
                Pdu::DataIn(pdu) => {
                    assert_eq!((pdu.lun, pdu.ttt, pdu.acknowledge), (Lun::ZERO, Ttt::RESERVED, false));
                    (pdu.offset, pdu.fin)
                }
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(cuts, expected, "{segment} {burst}");
        assert_eq!(done(&answers).data, data);
    }
}

#[test]
fn status_comes_by_itself_where_the_target_is_told_to_send_it_so() {
    let node = node_with(|target| target.limits.status_in_data = false);
    let mut peer = Peer::logged_in(&node, &[]);
    let command = ScsiCommand { read: true, ..peer.command(Cdb::read(0, 1), BLOCK) };
    let answers = peer.send(command, &[]);
    let [Answer { pdu: Pdu::DataIn(data), .. }, Answer { pdu: Pdu::ScsiResponse(response), .. }] = &answers[..] else {
        panic!("{answers:?}")
    };
    assert_eq!((data.fin, data.status.is_none()), (true, true));
    assert_eq!((response.status, response.exp_data_sn), (Status::GOOD, Serial(1)));
}

#[test]
fn r2ts_ask_for_bursts_in_order_and_no_more_than_allowed_at_once() {
    let keys = [
        ("MaxBurstLength", "1024"),
        ("FirstBurstLength", "512"),
        ("MaxOutstandingR2T", "2"),
        ("InitialR2T", "Yes"),
        ("ImmediateData", "Yes"),
    ];
    let mut peer = Peer::logged_in(&node(), &keys);
    let data = pattern(8 * BLOCK, 2);
    let command = ScsiCommand { write: true, ..peer.command(Cdb::write(4, 8), data.len()) };
    let itt = command.itt;
    let mut answers = peer.send(command, &data[..512]);
    let first = r2ts(&answers);
    let places: Vec<_> = first.iter().map(|r2t| (r2t.r2t_sn.0, r2t.offset, r2t.length)).collect();
    assert_eq!(places, [(0, 512, 1024), (1, 1536, 1024)]);
    assert!(first.iter().all(|r2t| r2t.itt == itt && !r2t.ttt.is_reserved()));
    assert_ne!(first[0].ttt, first[1].ttt);

    assert_eq!(peer.send(data_out(itt, first[0].ttt, 0, 512, false), &data[512..1000]).len(), 0);
    let more = peer.send(data_out(itt, first[0].ttt, 1, 1000, true), &data[1000..1536]);
    let third = r2ts(&more);
    assert_eq!((third[0].r2t_sn, third[0].offset, third[0].length), (Serial(2), 2560, 1024));
    answers = peer.send(data_out(itt, first[1].ttt, 0, 1536, true), &data[1536..2560]);
    let last = r2ts(&answers);
    assert_eq!((last[0].r2t_sn, last[0].offset, last[0].length), (Serial(3), 3584, 512));
    assert!(peer.send(data_out(itt, third[0].ttt, 0, 2560, true), &data[2560..3584]).is_empty());
    answers = peer.send(data_out(itt, last[0].ttt, 0, 3584, true), &data[3584..]);
    assert_eq!(done(&answers).status, Status::GOOD);
    assert_eq!(peer.read(Cdb::read(4, 8), data.len()).data, data);
}

#[test]
fn unsolicited_data_comes_with_the_command_and_behind_it() {
    let keys = [("InitialR2T", "No"), ("FirstBurstLength", "2048"), ("MaxBurstLength", "4096")];
    let mut peer = Peer::logged_in(&node(), &keys);
    for (len, immediate) in [(4096, 0), (4096, 512), (4096, 1024), (1024, 512), (2048, 0)] {
        let data = pattern(len, immediate as u8);
        let fin = immediate == len;
        let command = ScsiCommand { write: true, fin, ..peer.command(Cdb::write(0, (len / BLOCK) as u32), len) };
        let itt = command.itt;
        let mut answers = peer.send(command, &data[..immediate]);
        let end = len.min(2048);
        let middle = immediate.midpoint(end);
        answers.extend(peer.send(data_out(itt, Ttt::RESERVED, 0, immediate as u32, false), &data[immediate..middle]));
        answers.extend(peer.send(data_out(itt, Ttt::RESERVED, 1, middle as u32, true), &data[middle..end]));
        assert_eq!(peer.serve(answers, &data).status, Status::GOOD, "{len} {immediate}");
        assert_eq!(peer.read(Cdb::read(0, (len / BLOCK) as u32), len).data, data, "{len} {immediate}");
    }
}

/// What a write of one block that sends its only R2T's data like this comes to.
fn answer_to(change: impl FnOnce(DataOut) -> DataOut, len: usize) -> Vec<Answer> {
    let mut peer = Peer::logged_in(&node(), &[]);
    let command = ScsiCommand { write: true, ..peer.command(Cdb::write(0, 1), BLOCK) };
    let itt = command.itt;
    let r2t = r2ts(&peer.send(command, &[])).remove(0);
    peer.send(change(data_out(itt, r2t.ttt, 0, 0, true)), &[1; 512][..len])
}

#[test]
fn data_that_does_not_fit_its_burst_fails_the_command() {
    let lost = (SenseKey::AbortedCommand, 0x47, 0x05);
    let amount = (SenseKey::AbortedCommand, 0x0c, 0x0d);
    let same = |pdu| pdu;
    assert_eq!(done(&answer_to(same, 512)).status, Status::GOOD);
    assert_eq!(done(&answer_to(same, 511)).sense.unwrap().code(), amount);
    for (sn, len, code) in [(1, 512, lost), (27, 512, lost), (u32::MAX, 512, lost)] {
        let answer = answer_to(|pdu| DataOut { data_sn: Serial(sn), ..pdu }, len);
        assert_eq!(done(&answer).sense.unwrap().code(), code);
    }
    for (offset, len) in [(1, 511), (512, 0), (u32::MAX, 512)] {
        let answer = answer_to(|pdu| DataOut { offset, ..pdu }, len);
        assert_eq!(done(&answer).sense.unwrap().code(), amount);
    }
    let answer = answer_to(|pdu| DataOut { lun: Lun::from(3), ..pdu }, 512);
    assert_eq!(done(&answer).sense.unwrap().code(), amount);
}

#[test]
fn the_status_of_a_failed_write_waits_for_the_end_of_its_data() {
    let mut peer = Peer::logged_in(&node(), &[]);
    let command = ScsiCommand { write: true, ..peer.command(Cdb::write(0, 2), 2 * BLOCK) };
    let itt = command.itt;
    let r2t = r2ts(&peer.send(command, &[])).remove(0);
    assert!(peer.send(data_out(itt, r2t.ttt, 5, 0, false), &[1; 512]).is_empty());
    let answers = peer.send(data_out(itt, r2t.ttt, 1, 512, true), &[1; 512]);
    assert_eq!(done(&answers).status, Status::CHECK_CONDITION);
}

#[test]
fn data_for_nothing_is_rejected() {
    for change in [
        (|pdu| DataOut { itt: Itt(9999), ..pdu }) as fn(DataOut) -> DataOut,
        |pdu| DataOut { ttt: Ttt(pdu.ttt.0 + 1), ..pdu },
        |pdu| DataOut { ttt: Ttt::RESERVED, ..pdu },
    ] {
        let answers = answer_to(change, 512);
        let [Answer { pdu: Pdu::Reject(reject), data }] = &answers[..] else { panic!("{answers:?}") };
        assert_eq!(reject.reason, RejectReason::InvalidPduField);
        assert_eq!(data.len(), 48);
    }
}

#[test]
fn unsolicited_data_where_none_is_allowed_fails_the_command() {
    let unexpected = (SenseKey::AbortedCommand, 0x0c, 0x0c);
    for (keys, immediate, fin) in [
        (&[("ImmediateData", "No")][..], 512, true),
        (&[("InitialR2T", "Yes")], 0, false),
        (&[("FirstBurstLength", "512")], 1024, true),
    ] {
        let mut peer = Peer::logged_in(&node(), keys);
        let command = ScsiCommand { write: true, fin, ..peer.command(Cdb::write(0, 4), 4 * BLOCK) };
        let itt = command.itt;
        let mut answers = peer.send(command, &pattern(immediate, 0));
        if !fin {
            assert!(answers.is_empty(), "the data that is on its way comes first");
            answers = peer.send(data_out(itt, Ttt::RESERVED, 0, 0, true), &[0; 2048]);
        }
        assert_eq!(done(&answers).sense.unwrap().code(), unexpected, "{keys:?}");
    }
    let mut peer = Peer::logged_in(&node(), &[]);
    let command = ScsiCommand { read: true, ..peer.command(Cdb::read(0, 1), BLOCK) };
    assert_eq!(done(&peer.send(command, &[0; 512])).sense.unwrap().code(), unexpected);
}

#[test]
fn a_command_that_fails_at_once_swallows_its_unsolicited_data() {
    let node = node_with(|target| target.luns = vec![LunConfig::memory(1 << 20).read_only()]);
    let mut peer = Peer::logged_in(&node, &[("InitialR2T", "No")]);
    let command = ScsiCommand { write: true, fin: false, ..peer.command(Cdb::write(0, 2), 2 * BLOCK) };
    let itt = command.itt;
    assert!(peer.send(command, &[1; 512]).is_empty());
    let answers = peer.send(data_out(itt, Ttt::RESERVED, 0, 512, true), &[1; 512]);
    assert_eq!(done(&answers).sense.unwrap().code(), (SenseKey::DataProtect, 0x27, 0));
}

#[test]
fn commands_that_contradict_themselves_are_rejected() {
    let mut peer = Peer::logged_in(&node(), &[]);
    let first = ScsiCommand { write: true, ..peer.command(Cdb::write(0, 1), BLOCK) };
    let itt = first.itt;
    peer.send(first, &[]);
    let again = ScsiCommand { write: true, itt, ..peer.command(Cdb::write(0, 1), BLOCK) };
    let reserved = ScsiCommand { itt: Itt::RESERVED, ..peer.command(Cdb::read(0, 0), 0) };
    let endless = ScsiCommand { read: true, fin: false, ..peer.command(Cdb::read(0, 1), BLOCK) };
    for (command, reason) in [
        (again, RejectReason::TaskInProgress),
        (reserved, RejectReason::InvalidPduField),
        (endless, RejectReason::InvalidPduField),
    ] {
        let answers = peer.send(command, &[]);
        let [Answer { pdu: Pdu::Reject(reject), .. }] = &answers[..] else { panic!("{answers:?}") };
        assert_eq!(reject.reason, reason);
    }
    assert!(peer.is_open());
}

#[test]
fn immediate_commands_that_wait_for_data_are_few() {
    let mut peer = Peer::logged_in(&node(), &[]);
    for n in 0..17 {
        let command = ScsiCommand { immediate: true, write: true, ..peer.command(Cdb::write(0, 1), BLOCK) };
        peer.cmd_sn = peer.cmd_sn.sub(1);
        let answers = peer.send(command, &[]);
        match &answers[..] {
            [Answer { pdu: Pdu::R2t(_), .. }] if n < 16 => {}
            [Answer { pdu: Pdu::Reject(reject), .. }] if n == 16 => {
                assert_eq!(reject.reason, RejectReason::TooManyImmediate);
            }
            _ => panic!("{n}: {answers:?}"),
        }
    }
}

#[test]
fn every_split_of_a_write_arrives_whole() {
    let limits = Limits { max_recv_data_segment: 65536, ..Limits::default() };
    let node = node_with(|target| target.limits = limits);
    for (burst, first, initial, outstanding) in [
        ("512", "512", "Yes", "1"),
        ("4096", "1024", "No", "3"),
        ("65536", "65536", "No", "16"),
        ("1536", "512", "Yes", "2"),
    ] {
        let keys = [
            ("MaxBurstLength", burst),
            ("FirstBurstLength", first),
            ("InitialR2T", initial),
            ("MaxOutstandingR2T", outstanding),
        ];
        let mut peer = Peer::logged_in(&node, &keys);
        peer.isid.0[5] += 1;
        for blocks in [1, 2, 7, 64] {
            let data = pattern(blocks * BLOCK, blocks as u8);
            let done = peer.write(Cdb::write(100, blocks as u32), &data, first.parse().unwrap());
            assert_eq!(done.status, Status::GOOD);
            assert_eq!(peer.read(Cdb::read(100, blocks as u32), data.len()).data, data, "{keys:?} {blocks}");
        }
    }
}
