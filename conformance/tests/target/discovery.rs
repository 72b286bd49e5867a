use std::sync::Arc;

use conformance::target::config::{Config, TargetConfig};
use conformance::target::core::Node;
use iscsi_proto::keys::text;
use iscsi_proto::pdu::{LogoutReason, LogoutRequest, LogoutResult, Pdu, RejectReason, ScsiCommand, Stage, TextRequest};
use iscsi_proto::scsi::{Command, Lun};
use iscsi_proto::serial::Serial;
use iscsi_proto::tags::Ttt;

use crate::peer::{Answer, INITIATOR, Peer, TARGET, node};

fn many(count: usize) -> Arc<Node> {
    let name = |n| format!("iqn.2025-01.example:target-{n:04}");
    let mut targets: Vec<_> = (0..count).map(|n| TargetConfig::new(name(n).parse().unwrap())).collect();
    targets[0].initiators = vec!["iqn.2025-01.example:friend".parse().unwrap()];
    Arc::new(Node::new(Config { targets, ..Config::default() }).unwrap())
}

fn discovery(node: &Arc<Node>, keys: &[(&str, &str)]) -> Peer {
    let mut peer = Peer::new(node);
    let all: Vec<(&str, &str)> =
        [("InitiatorName", INITIATOR), ("SessionType", "Discovery")].iter().chain(keys).copied().collect();
    let (response, _) = peer.login(Stage::Operational, Some(Stage::FullFeature), &all);
    assert_eq!(response.next, Some(Stage::FullFeature));
    peer
}

fn request(peer: &mut Peer, ttt: Ttt, fin: bool, more: bool) -> TextRequest {
    let cmd_sn = peer.cmd_sn;
    peer.cmd_sn = cmd_sn.next();
    let itt = iscsi_proto::tags::Itt(77);
    TextRequest { immediate: false, fin, more, lun: Lun::ZERO, itt, ttt, cmd_sn, exp_stat_sn: Serial(0) }
}

/// Asks, and fetches the whole answer; how many PDUs it took.
fn ask(peer: &mut Peer, keys: &[(&str, &str)]) -> (Vec<String>, usize) {
    let first = request(peer, Ttt::RESERVED, true, false);
    let mut answers = peer.send(first, &text::encode(keys.iter().copied()));
    let (mut bytes, mut pdus) = (Vec::new(), 0);
    loop {
        let [Answer { pdu: Pdu::TextResponse(response), data }] = &answers[..] else { panic!("{answers:?}") };
        assert!(data.len() <= 8192);
        assert_eq!((response.fin, response.ttt.is_reserved()), (!response.more, !response.more));
        bytes.extend_from_slice(data);
        pdus += 1;
        if response.fin {
            return (text::parse(&bytes).unwrap().iter().map(ToString::to_string).collect(), pdus);
        }
        let next = request(peer, response.ttt, true, false);
        answers = peer.send(next, &[]);
    }
}

#[test]
fn all_targets_are_listed_that_the_initiator_may_use() {
    let mut peer = discovery(&many(3), &[]);
    let (records, _) = ask(&mut peer, &[("SendTargets", "All")]);
    let expected: Vec<String> = (1..3)
        .flat_map(|n| {
            [format!("TargetName=iqn.2025-01.example:target-{n:04}"), "TargetAddress=192.0.2.1:3260,1".into()]
        })
        .collect();
    assert_eq!(records, expected);
}

#[test]
fn long_lists_take_several_pdus() {
    for (keys, count) in [(&[][..], 301), (&[("MaxRecvDataSegmentLength", "512")], 40)] {
        let mut peer = discovery(&many(count), keys);
        let (records, pdus) = ask(&mut peer, &[("SendTargets", "All")]);
        assert_eq!(records.len(), 2 * (count - 1));
        assert!(pdus > 2, "{pdus}");
        let (again, _) = ask(&mut peer, &[("SendTargets", "All")]);
        assert_eq!(again, records);
    }
}

#[test]
fn one_target_is_found_by_its_name() {
    let mut peer = discovery(&many(5), &[]);
    for (name, found) in [
        ("iqn.2025-01.example:target-0003", 2),
        ("iqn.2025-01.Example:TARGET-0003", 2),
        ("iqn.2025-01.example:x", 0),
        ("iqn.2025-01.example:target-0000", 0),
    ] {
        assert_eq!(ask(&mut peer, &[("SendTargets", name)]).0.len(), found, "{name}");
    }
}

#[test]
fn portals_are_listed_with_their_tag() {
    let node = node();
    for portal in ["192.0.2.1:3260", "[2001:db8::1]:3261"] {
        node.add_portal(portal.parse().unwrap());
    }
    let mut peer = discovery(&node, &[]);
    let (records, _) = ask(&mut peer, &[("SendTargets", "All")]);
    assert_eq!(
        records,
        [
            format!("TargetName={TARGET}").as_str(),
            "TargetAddress=192.0.2.1:3260,1",
            "TargetAddress=[2001:db8::1]:3261,1"
        ]
    );
}

#[test]
fn a_normal_session_hears_of_its_own_target_only() {
    let node = many(3);
    let mut peer = Peer::new(&node);
    let names = [("InitiatorName", INITIATOR), ("TargetName", "iqn.2025-01.example:target-0002")];
    peer.login(Stage::Operational, Some(Stage::FullFeature), &names);
    for value in ["", "All", "iqn.2025-01.example:target-0002"] {
        let (records, _) = ask(&mut peer, &[("SendTargets", value)]);
        assert_eq!(records[0], "TargetName=iqn.2025-01.example:target-0002", "{value}");
        assert_eq!(records.len(), 2);
    }
    assert!(ask(&mut peer, &[("SendTargets", "iqn.2025-01.example:target-0001")]).0.is_empty());
}

#[test]
fn what_is_not_a_question_is_rejected_and_a_good_one_still_works() {
    let mut peer = discovery(&many(2), &[]);
    for text in [
        &b"SendTargets=Alle\0"[..],
        b"sendtargets=All\0",
        b"SendTargets\0",
        b"SendTargets=\0",
        b"SendTargets=All\0SendTargets=All\0",
        b"MaxBurstLength=512\0",
        b"InitiatorName=iqn.2025-01.example:x\0",
        b"SendTargets=Reject\0",
    ] {
        let bad = request(&mut peer, Ttt::RESERVED, true, false);
        let answers = peer.send(bad, text);
        let [Answer { pdu: Pdu::Reject(reject), .. }] = &answers[..] else { panic!("{answers:?}") };
        assert_eq!(reject.reason, RejectReason::ProtocolError, "{}", text.escape_ascii());
    }
    assert_eq!(ask(&mut peer, &[("X-com.example.key", "1")]).0, ["X-com.example.key=NotUnderstood"]);
    assert_eq!(ask(&mut peer, &[("SendTargets", "All")]).0.len(), 2);
    let stale = request(&mut peer, Ttt(4711), true, false);
    let answers = peer.send(stale, &[]);
    assert!(matches!(&answers[..], [Answer { pdu: Pdu::Reject(_), .. }]));
}

#[test]
fn a_question_may_span_requests() {
    let mut peer = discovery(&many(2), &[]);
    let first = request(&mut peer, Ttt::RESERVED, false, true);
    let answers = peer.send(first, b"SendTar");
    let [Answer { pdu: Pdu::TextResponse(response), data }] = &answers[..] else { panic!("{answers:?}") };
    assert!(!response.fin && !response.ttt.is_reserved() && data.is_empty());
    let second = request(&mut peer, response.ttt, true, false);
    let answers = peer.send(second, b"gets=All\0");
    let [Answer { pdu: Pdu::TextResponse(response), data }] = &answers[..] else { panic!("{answers:?}") };
    assert!(response.fin && !data.is_empty());
}

#[test]
fn the_segment_length_can_be_changed_and_holds_from_then_on() {
    let mut peer = discovery(&many(40), &[]);
    assert_eq!(ask(&mut peer, &[("MaxRecvDataSegmentLength", "512")]).0, Vec::<String>::new());
    assert!(ask(&mut peer, &[("SendTargets", "All")]).1 > 4);
}

#[test]
fn a_discovery_session_carries_no_commands() {
    let mut peer = discovery(&many(2), &[]);
    let command = ScsiCommand { read: true, ..peer.command(Command::TestUnitReady.encode(), 0) };
    let answers = peer.send(command, &[]);
    let [Answer { pdu: Pdu::Reject(reject), .. }] = &answers[..] else { panic!("{answers:?}") };
    assert_eq!(reject.reason, RejectReason::ProtocolError);
    let logout = LogoutRequest {
        immediate: true,
        reason: LogoutReason::CloseSession,
        itt: peer.itt(),
        cid: 0,
        cmd_sn: peer.cmd_sn,
        exp_stat_sn: Serial(0),
    };
    let answers = peer.send(logout, &[]);
    let [Answer { pdu: Pdu::LogoutResponse(response), .. }] = &answers[..] else { panic!("{answers:?}") };
    assert_eq!(response.result, LogoutResult::Closed);
    assert!(!peer.is_open());
}
