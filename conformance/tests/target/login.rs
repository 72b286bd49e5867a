use conformance::target::config::{Chap, Credentials, DigestPolicy, Limits, Redirect};
use iscsi_proto::isid::Isid;
use iscsi_proto::keys::text;
use iscsi_proto::pdu::{LoginRequest, LoginStatus, Opcode, Stage};
use iscsi_proto::tags::Itt;

use crate::peer::{INITIATOR, Peer, TARGET, node, node_with};

const NAMES: [(&str, &str); 2] = [("InitiatorName", INITIATOR), ("TargetName", TARGET)];
const FULL: Option<Stage> = Some(Stage::FullFeature);

fn keys<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    NAMES.iter().chain(more).copied().collect()
}

/// The answer to keys in the operational stage, with the login ending or not.
fn negotiate(limits: Limits, next: Option<Stage>, more: &[(&str, &str)]) -> (LoginStatus, Option<Stage>, Vec<String>) {
    let node = node_with(|target| target.limits = limits);
    let (response, text) = Peer::new(&node).login(Stage::Operational, next, &keys(more));
    (response.status, response.next, text)
}

#[test]
fn a_login_may_skip_the_security_stage() {
    let mut peer = Peer::new(&node());
    let (response, text) = peer.login(Stage::Operational, FULL, &NAMES);
    assert_eq!((response.status, response.next), (LoginStatus::SUCCESS, FULL));
    assert_ne!(response.tsih, 0);
    assert_eq!((response.isid, response.itt), (peer.isid, Itt(7)));
    assert_eq!((response.numbering.exp_cmd_sn, response.numbering.max_cmd_sn), (peer.cmd_sn, peer.cmd_sn.add(127)));
    assert_eq!(text, ["TargetPortalGroupTag=1", "MaxRecvDataSegmentLength=262144"]);
}

#[test]
fn stages_are_passed_in_every_legal_order() {
    use Stage::{FullFeature, Operational, Security};
    for path in [
        &[(Security, None), (Security, Some(Operational)), (Operational, None), (Operational, FULL)][..],
        &[(Security, Some(FullFeature))],
        &[(Operational, None), (Operational, None), (Operational, FULL)],
    ] {
        let mut peer = Peer::new(&node());
        for (n, (current, next)) in path.iter().enumerate() {
            let (response, _) = peer.login(*current, *next, if n == 0 { &NAMES } else { &[] });
            assert_eq!((response.status, response.current, response.next), (LoginStatus::SUCCESS, *current, *next));
            assert_eq!(response.tsih != 0, *next == FULL);
        }
        assert!(peer.connection.is_logged_in());
    }
}

#[test]
fn what_the_header_gets_wrong_is_refused() {
    use Stage::{FullFeature, Operational, Security};
    let node = node();
    let start = Peer::new(&node).login_request(Operational, None);
    for (change, status) in [
        (LoginRequest { version_min: 1, version_max: 1, ..start.clone() }, LoginStatus::UNSUPPORTED_VERSION),
        (LoginRequest { current: FullFeature, ..start.clone() }, LoginStatus::INVALID_DURING_LOGIN),
        (LoginRequest { next: Some(Operational), ..start.clone() }, LoginStatus::INVALID_DURING_LOGIN),
        (LoginRequest { next: Some(Security), ..start.clone() }, LoginStatus::INVALID_DURING_LOGIN),
        (LoginRequest { more: true, next: FULL, ..start.clone() }, LoginStatus::INITIATOR_ERROR),
        (LoginRequest { tsih: 9, ..start.clone() }, LoginStatus::NO_SUCH_SESSION),
    ] {
        let mut peer = Peer::new(&node);
        let (response, _) = peer.login_with(change.clone(), &text::encode(NAMES));
        assert_eq!(response.status, status, "{change:?}");
        assert!(!peer.is_open());
    }
    for change in [
        LoginRequest { itt: Itt(8), ..start.clone() },
        LoginRequest { cid: 1, ..start.clone() },
        LoginRequest { isid: Isid([0; 6]), ..start.clone() },
        LoginRequest { current: Security, ..start.clone() },
    ] {
        let mut peer = Peer::new(&node);
        peer.login(Operational, None, &NAMES);
        let (response, _) = peer.login_with(change.clone(), &[]);
        assert_eq!(response.status, LoginStatus::INVALID_DURING_LOGIN, "{change:?}");
    }
    assert_eq!(node.counters().refused(), 10);
    assert_eq!(node.counters().logins(), 0);
}

#[test]
fn names_are_required_and_looked_up() {
    let other = "iqn.2025-01.example:other";
    for (keys, status) in [
        (&[("TargetName", TARGET)][..], LoginStatus::MISSING_PARAMETER),
        (&[("InitiatorName", INITIATOR)], LoginStatus::MISSING_PARAMETER),
        (&[("InitiatorName", INITIATOR), ("SessionType", "Discovery")], LoginStatus::SUCCESS),
        (
            &[("InitiatorName", INITIATOR), ("SessionType", "Other"), ("TargetName", TARGET)],
            LoginStatus::INITIATOR_ERROR,
        ),
        (&[("InitiatorName", INITIATOR), ("TargetName", other)], LoginStatus::NOT_FOUND),
        (&[("InitiatorName", INITIATOR), ("TargetName", "x")], LoginStatus::INITIATOR_ERROR),
        (&[("InitiatorName", ""), ("TargetName", TARGET)], LoginStatus::INITIATOR_ERROR),
        (
            &[("InitiatorName", INITIATOR), ("TargetName", &TARGET.to_uppercase().replace("IQN", "iqn"))],
            LoginStatus::SUCCESS,
        ),
    ] {
        let (response, _) = Peer::new(&node()).login(Stage::Operational, FULL, keys);
        assert_eq!(response.status, status, "{keys:?}");
    }
}

#[test]
fn operational_keys_are_answered_by_their_result_functions() {
    let offers = [
        ("HeaderDigest", "CRC32C,None"),
        ("DataDigest", "None"),
        ("MaxConnections", "8"),
        ("InitialR2T", "No"),
        ("ImmediateData", "Yes"),
        ("MaxRecvDataSegmentLength", "65536"),
        ("FirstBurstLength", "0x1000000"),
        ("MaxBurstLength", "131072"),
        ("DefaultTime2Wait", "5"),
        ("DefaultTime2Retain", "20"),
        ("MaxOutstandingR2T", "4"),
        ("DataPDUInOrder", "No"),
        ("DataSequenceInOrder", "No"),
        ("ErrorRecoveryLevel", "2"),
        ("TaskReporting", "ResponseFence,RFC3720"),
        ("iSCSIProtocolLevel", "2"),
        ("IFMarker", "No"),
        ("OFMarkInt", "1~2"),
        ("X-com.example.key", "a"),
        ("InitiatorAlias", "a host"),
        ("X#NodeArchitecture", "test"),
    ];
    // FirstBurstLength in the offer is out of range: 2^24 is one too many.
    let (status, ..) = negotiate(Limits::default(), None, &offers);
    assert_eq!(status, LoginStatus::INITIATOR_ERROR);
    let offers = offers.map(|(key, value)| if key == "FirstBurstLength" { (key, "262144") } else { (key, value) });
    let (status, next, mut text) = negotiate(Limits::default(), FULL, &offers);
    assert_eq!((status, next), (LoginStatus::SUCCESS, FULL));
    text.sort();
    assert_eq!(
        text,
        [
            "DataDigest=None",
            "DataPDUInOrder=Yes",
            "DataSequenceInOrder=Yes",
            "DefaultTime2Retain=0",
            "DefaultTime2Wait=5",
            "ErrorRecoveryLevel=0",
            "FirstBurstLength=131072",
            "HeaderDigest=CRC32C",
            "IFMarker=Reject",
            "ImmediateData=Yes",
            "InitialR2T=No",
            "MaxBurstLength=131072",
            "MaxConnections=1",
            "MaxOutstandingR2T=4",
            "MaxRecvDataSegmentLength=262144",
            "OFMarkInt=Reject",
            "TargetPortalGroupTag=1",
            "TaskReporting=RFC3720",
            "X-com.example.key=NotUnderstood",
            "iSCSIProtocolLevel=1",
        ]
    );
}

#[test]
fn keys_that_break_a_rule_end_the_login() {
    for (stage, pairs) in [
        (Stage::Operational, &[("MaxBurstLength", "511")][..]),
        (Stage::Operational, &[("MaxBurstLength", "4096"), ("MaxBurstLength", "4096")]),
        (Stage::Operational, &[("InitialR2T", "yes")]),
        (Stage::Operational, &[("InitialR2T", "Reject")]),
        (Stage::Operational, &[("TargetPortalGroupTag", "1")]),
        (Stage::Operational, &[("SendTargets", "All")]),
        (Stage::Operational, &[("AuthMethod", "None")]),
        (Stage::Security, &[("MaxBurstLength", "4096")]),
        (Stage::Operational, &[("HeaderDigest", "Y-md5")]),
        (Stage::Operational, &[("MaxRecvDataSegmentLength", "511")]),
        (Stage::Operational, &[("MaxRecvDataSegmentLength", "16777216")]),
    ] {
        let mut peer = Peer::new(&node());
        let (response, _) = peer.login(stage, None, &keys(pairs));
        assert_eq!(response.status, LoginStatus::INITIATOR_ERROR, "{pairs:?}");
        assert!(!peer.is_open());
    }
    let mut peer = Peer::new(&node());
    peer.login(Stage::Operational, None, &keys(&[("InitialR2T", "No")]));
    let (response, _) = peer.login(Stage::Operational, None, &[("InitialR2T", "No")]);
    assert_eq!(response.status, LoginStatus::INITIATOR_ERROR);
    let (response, _) = Peer::new(&node()).login_with(peer.login_request(Stage::Operational, None), b"no pair");
    assert_eq!(response.status, LoginStatus::INITIATOR_ERROR);
}

#[test]
fn text_is_put_together_over_continued_requests() {
    let mut peer = Peer::new(&node());
    let text = text::encode(keys(&[("MaxBurstLength", "65536")]));
    let (head, tail) = text.split_at(30);
    let more = LoginRequest { more: true, ..peer.login_request(Stage::Operational, None) };
    let (response, answer) = peer.login_with(more, head);
    assert_eq!((response.status, response.next, answer), (LoginStatus::SUCCESS, None, vec![]));
    let (response, answer) = peer.login_with(peer.login_request(Stage::Operational, FULL), tail);
    assert_eq!(response.next, FULL);
    assert!(answer.contains(&"MaxBurstLength=65536".to_owned()));
}

#[test]
fn long_answers_are_cut_and_fetched_piece_by_piece() {
    let mut peer = Peer::new(&node());
    let names: Vec<String> = (0..400).map(|n| format!("X-com.example.{n:040}")).collect();
    let offers: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "1")).collect();
    let text = text::encode(keys(&offers));
    let mut answer = Vec::new();
    let pieces: Vec<&[u8]> = text.chunks(8192).collect();
    for (n, piece) in pieces.iter().enumerate() {
        let more = n + 1 < pieces.len();
        let next = if more { None } else { FULL };
        let request = LoginRequest { more, ..peer.login_request(Stage::Operational, next) };
        answer = peer.send(request, piece);
    }
    let mut bytes = Vec::new();
    let last = loop {
        let [crate::peer::Answer { pdu: iscsi_proto::pdu::Pdu::LoginResponse(response), data }] = &answer[..] else {
            panic!("{answer:?}")
        };
        bytes.extend_from_slice(data);
        if !response.more {
            break response.clone();
        }
        assert_eq!((response.next, data.len()), (None, 8192));
        let request = peer.login_request(Stage::Operational, None);
        answer = peer.send(request, &[]);
    };
    assert_eq!(last.next, None);
    let answers = text::parse(&bytes).unwrap();
    assert_eq!(answers.iter().filter(|pair| pair.value == "NotUnderstood").count(), 400);
    assert_eq!(peer.login(Stage::Operational, FULL, &[]).0.next, FULL);
}

#[test]
fn a_first_burst_beyond_the_burst_is_brought_in_line() {
    let mut peer = Peer::new(&node());
    let (response, text) = peer.login(Stage::Operational, FULL, &keys(&[("MaxBurstLength", "4096")]));
    assert_eq!(response.next, None);
    assert!(text.contains(&"FirstBurstLength=4096".to_owned()), "{text:?}");
    assert_eq!(peer.login(Stage::Operational, FULL, &[("FirstBurstLength", "4096")]).0.next, FULL);
}

#[test]
fn the_target_offers_what_the_initiator_left_out() {
    let limits = Limits {
        max_burst: 4096,
        first_burst: 1024,
        immediate_data: false,
        header_digest: DigestPolicy::Always,
        ..Limits::default()
    };
    let node = node_with(|target| target.limits = limits.clone());
    let mut peer = Peer::new(&node);
    let (response, text) = peer.login(Stage::Operational, FULL, &NAMES);
    assert_eq!((response.status, response.next), (LoginStatus::SUCCESS, None));
    for offer in ["HeaderDigest=CRC32C", "ImmediateData=No", "MaxBurstLength=4096", "FirstBurstLength=1024"] {
        assert!(text.contains(&offer.to_owned()), "{text:?}");
    }
    let answers = [("HeaderDigest", "CRC32C"), ("ImmediateData", "No"), ("MaxBurstLength", "2048")];
    let (response, _) = peer.login(Stage::Operational, None, &answers);
    assert_eq!(response.status, LoginStatus::SUCCESS);
    let (response, text) = peer.login(Stage::Operational, FULL, &[("FirstBurstLength", "512")]);
    assert_eq!((response.next, text), (FULL, vec![]));

    for answers in [
        &[("HeaderDigest", "None")][..],
        &[("HeaderDigest", "Reject")],
        &[("MaxBurstLength", "8192")],
        &[("MaxBurstLength", "Reject")],
        &[],
    ] {
        let mut peer = Peer::new(&node);
        peer.login(Stage::Operational, FULL, &NAMES);
        let (response, _) = peer.login(Stage::Operational, FULL, answers);
        assert_eq!(response.status, LoginStatus::INITIATOR_ERROR, "{answers:?}");
    }
    let mut peer = Peer::new(&node);
    let (response, _) = peer.login(Stage::Security, FULL, &NAMES);
    assert_eq!(response.next, Some(Stage::Operational), "there is something to negotiate first");
}

#[test]
fn authentication_methods_are_chosen_by_what_the_target_wants() {
    let chap = Chap::new(Credentials::new("user", "secret"));
    for (chap, offer, expected) in [
        (None, "None", Ok("AuthMethod=None")),
        (None, "CHAP,None", Ok("AuthMethod=None")),
        (None, "CHAP", Err(LoginStatus::AUTHENTICATION_FAILURE)),
        (Some(chap.clone()), "None,CHAP", Ok("AuthMethod=CHAP")),
        (Some(chap.clone()), "None", Err(LoginStatus::AUTHENTICATION_FAILURE)),
        (Some(chap), "SRP,KRB5", Err(LoginStatus::AUTHENTICATION_FAILURE)),
    ] {
        let node = node_with(|target| target.chap = chap);
        let (response, text) = Peer::new(&node).login(Stage::Security, None, &keys(&[("AuthMethod", offer)]));
        match expected {
            Ok(answer) => assert_eq!(text, ["TargetPortalGroupTag=1", answer]),
            Err(status) => assert_eq!(response.status, status),
        }
    }
}

#[test]
fn a_redirect_names_the_new_address_without_a_tag() {
    for (permanent, status) in [(false, LoginStatus::MOVED_TEMPORARILY), (true, LoginStatus::MOVED_PERMANENTLY)] {
        let redirect = Redirect { portal: "[2001:db8::1]:3261".parse().unwrap(), permanent };
        let node = node_with(|target| target.redirect = Some(redirect));
        let mut peer = Peer::new(&node);
        let (response, text) = peer.login(Stage::Security, Some(Stage::Operational), &NAMES);
        assert_eq!((response.status, response.next), (status, None));
        assert_eq!(text, ["TargetAddress=[2001:db8::1]:3261"]);
        assert!(!peer.is_open());
    }
}

#[test]
fn initiators_that_are_not_listed_are_not_admitted() {
    let node = node_with(|target| target.initiators = vec!["iqn.2025-01.example:friend".parse().unwrap()]);
    let (response, _) = Peer::new(&node).login(Stage::Operational, FULL, &NAMES);
    assert_eq!(response.status, LoginStatus::AUTHORIZATION_FAILURE);
}

#[test]
fn anything_but_a_login_closes_the_connection_without_a_word() {
    for opcode in Opcode::ALL.into_iter().filter(|opcode| *opcode != Opcode::LoginRequest) {
        let mut peer = Peer::new(&node());
        assert!(peer.send_bytes(iscsi_proto::pdu::Header::new(opcode).as_bytes()).is_empty());
        assert!(!peer.is_open(), "{opcode:?}");
    }
    let mut peer = Peer::new(&node());
    let oversize = iscsi_proto::pdu::Header::new(Opcode::LoginRequest).with_data_len(8193);
    peer.send_bytes(oversize.as_bytes());
    assert!(!peer.is_open());
}

#[test]
fn a_login_that_does_not_end_is_ended() {
    let mut peer = Peer::new(&node());
    let rounds = (0..1000).take_while(|n| {
        let keys: &[_] = if *n == 0 { &NAMES } else { &[] };
        peer.login(Stage::Operational, None, keys).0.status == LoginStatus::SUCCESS
    });
    assert_eq!(rounds.count(), 64);
}

#[test]
fn alias_and_tag_are_told_once() {
    let node = node_with(|target| {
        target.alias = Some("a disk".into());
        target.portal_group = 7;
    });
    let mut peer = Peer::new(&node);
    let (_, text) = peer.login(Stage::Security, Some(Stage::Operational), &NAMES);
    assert_eq!(text, ["TargetPortalGroupTag=7", "TargetAlias=a disk"]);
    assert_eq!(peer.login(Stage::Operational, None, &[]).1, ["MaxRecvDataSegmentLength=262144"]);
    assert_eq!(peer.login(Stage::Operational, FULL, &[]).1, Vec::<String>::new());
}
