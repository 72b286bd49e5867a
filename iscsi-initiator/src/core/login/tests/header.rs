//! What the headers of requests hold, and what those of responses have to hold.

use iscsi_proto::framer::FrameError;
use iscsi_proto::pdu::{NopIn, Opcode, PduError, Reject, RejectReason};
use iscsi_proto::tags::{Itt, Ttt};

use super::*;
use crate::core::Negotiated;

/// Lets a login without authentication run over several rounds and gives every request in it.
fn requests(config: LoginConfig) -> Vec<LoginRequest> {
    let mut talk = start(config);
    let mut requests = vec![talk.request.clone()];
    talk = talk.says_and_stays(&[("AuthMethod", "None")]).more();
    requests.push(talk.request.clone());
    talk = talk.says(&[]).more();
    for key in ["X-a", "X-b", "X-c"] {
        requests.push(talk.request.clone());
        talk = talk.says_and_stays(&[(key, "1")]).more();
    }
    requests.push(talk.request.clone());
    requests
}

#[test]
fn r086_r088_what_names_the_login_is_the_same_in_every_request() {
    let in_force = Box::new(Negotiated::default());
    let tsih = NonZeroU16::new(0x1234).unwrap();
    let target = TARGET.parse().unwrap();
    let purpose = Purpose::Connection { target, tsih, in_force, exp_stat_sn: Serial(55) };
    let joining = LoginConfig { purpose, cid: 3, itt: Itt(0x77), cmd_sn: Serial(500), ..config() };
    for (config, tsih, cid, itt, cmd_sn) in [(config(), 0, 0, Itt(0), 100), (joining, 0x1234, 3, Itt(0x77), 500)] {
        let requests = requests(config);
        assert_eq!(requests.len(), 6);
        for request in requests {
            assert_eq!((request.version_max, request.version_min), (0, 0));
            assert_eq!((request.isid, request.tsih, request.cid, request.itt), (ISID, tsih, cid, itt));
            assert_eq!(request.cmd_sn, Serial(cmd_sn), "login does not consume CmdSN (R-099)");
        }
    }
}

#[test]
fn r107_r109_a_session_that_is_reinstated_has_the_same_isid_and_no_handle_yet() {
    let config = config();
    for _ in 0..2 {
        let request = start(config.clone()).request;
        assert_eq!((request.isid, request.tsih), (ISID, 0));
    }
    let other = LoginConfig { isid: ISID.with_qualifier(5), ..config };
    assert_eq!(start(other).request.isid, Isid([0x80, 1, 2, 3, 0, 5]));
}

#[test]
fn r098_requests_acknowledge_the_responses() {
    let numbers: Vec<u32> = requests(config()).iter().map(|request| request.exp_stat_sn.0).collect();
    assert_eq!(numbers, [0, 8, 9, 10, 11, 12]);
}

#[test]
fn r110_the_first_request_of_a_reinstated_connection_says_what_the_old_one_expected() {
    let tsih = NonZeroU16::new(9).unwrap();
    let (target, in_force) = (TARGET.parse().unwrap(), Box::default());
    let purpose = Purpose::Connection { target, tsih, in_force, exp_stat_sn: Serial(55) };
    let talk = start(LoginConfig { purpose, cid: 1, ..config() });
    assert_eq!((talk.request.exp_stat_sn, talk.request.tsih, talk.request.cid), (Serial(55), 9, 1));
    let talk = talk.says(&[("AuthMethod", "None")]).more();
    assert_eq!(talk.request.exp_stat_sn, Serial(8));
    assert_eq!(talk.ends(&[]).done().tsih, tsih);
}

#[test]
fn r084_r085_names_and_kind_of_session_are_in_the_first_request() {
    let first = |config| start(config).line();
    let names = format!("InitiatorName={INITIATOR} TargetName={TARGET}");
    assert_eq!(first(config()), format!("{names} SessionType=Normal AuthMethod=None"));
    let alias = LoginConfig { alias: Some("Büro 1".into()), ..config() };
    assert_eq!(
        first(alias),
        format!(
            "InitiatorName={INITIATOR} InitiatorAlias=Büro 1 TargetName={TARGET} SessionType=Normal AuthMethod=None"
        )
    );
    assert_eq!(first(discovery()), format!("InitiatorName={INITIATOR} SessionType=Discovery AuthMethod=None"));
    let purpose = Purpose::Discovery { target: Some(TARGET.parse().unwrap()) };
    assert_eq!(first(LoginConfig { purpose, ..config() }), format!("{names} SessionType=Discovery AuthMethod=None"));
    let purpose = Purpose::Connection {
        target: TARGET.parse().unwrap(),
        tsih: NonZeroU16::MIN,
        in_force: Box::default(),
        exp_stat_sn: Serial(0),
    };
    assert_eq!(first(LoginConfig { purpose, ..config() }), format!("{names} AuthMethod=None"));
}

#[test]
fn names_go_out_as_they_were_written() {
    let mut config = config();
    config.initiator = "iqn.2001-04.com.Example:Host".parse().unwrap();
    assert_eq!(start(config).value("InitiatorName").unwrap(), "iqn.2001-04.com.Example:Host");
}

#[test]
fn an_alias_has_255_bytes_without_nul() {
    let with = |alias: &str| Login::new(LoginConfig { alias: Some(alias.into()), ..config() }, nonce()).err();
    assert_eq!(with(&"a".repeat(255)), None);
    for alias in ["a".repeat(256), "a\0b".into()] {
        let Some(LoginError::InvalidOffer { key: Key::InitiatorAlias, .. }) = with(&alias) else { panic!("{alias}") };
    }
}

#[test]
fn r083_anything_but_a_login_response_ends_the_login() {
    for opcode in Opcode::ALL.into_iter().filter(|opcode| *opcode != Opcode::LoginResponse) {
        let rule = start(config()).hears(&Header::new(opcode), b"").misbehaved();
        assert_eq!(rule, PeerMisbehaved::UnexpectedPdu { opcode });
    }
    let ping =
        NopIn { lun: iscsi_proto::scsi::Lun::ZERO, itt: Itt::RESERVED, ttt: Ttt(1), numbering: Numbering::default() };
    let rule = operational(config()).hears(&ping.encode(), b"").misbehaved();
    assert_eq!(rule, PeerMisbehaved::UnexpectedPdu { opcode: Opcode::NopIn });
    let reject = Reject { reason: RejectReason::ProtocolError, numbering: Numbering::default(), data_sn: Serial(0) };
    let rule = start(config()).hears(&reject.encode(), &[0; 48]).misbehaved();
    assert_eq!(rule, PeerMisbehaved::UnexpectedPdu { opcode: Opcode::Reject });
    let mut banner = [0; 48];
    banner[..21].copy_from_slice(b"SSH-2.0-OpenSSH_9.2p1");
    assert!(matches!(start(config()).hears(&Header(banner), b"").misbehaved(), PeerMisbehaved::Pdu(_)));
}

#[test]
fn r113_a_response_has_at_most_8192_bytes_of_data_and_no_additional_header() {
    let text = |len: usize| format!("X-a={}\0", "a".repeat(len - 5));
    start(config()).sends(format!("AuthMethod=None\0{}", text(8176)).as_bytes(), |_| {}).more();
    let rule = start(config()).sends(text(8193).as_bytes(), |_| {}).misbehaved();
    assert_eq!(rule, PeerMisbehaved::Frame(FrameError::DataTooLong { len: 8193, limit: 8192 }));
    let talk = start(config());
    let header = talk.response().encode().with_ahs_len(4);
    assert_eq!(talk.hears(&header, b"").misbehaved(), PeerMisbehaved::Frame(FrameError::UnexpectedAhs));
}

#[test]
fn r025_no_digest_is_part_of_a_login_pdu() {
    let mut config = config();
    config.offer.header_digest = crate::core::DigestOffer::Crc32c;
    config.offer.data_digest = crate::core::DigestOffer::Crc32c;
    let talk = operational(config);
    assert!(parse(&talk.data).is_ok() && talk.data.ends_with(b"\0"));
    let done = talk.ends(&[]).done();
    assert!(done.start.negotiated.header_digest && done.start.negotiated.data_digest);
}

#[test]
fn r091_a_response_to_another_task_ends_the_login() {
    let rule = start(config()).says_but(&[], |response| response.itt = Itt(1)).misbehaved();
    assert_eq!(rule, PeerMisbehaved::LoginTag { itt: Itt(1) });
}

#[test]
fn r088_a_response_with_another_isid_ends_the_login_but_a_missing_one_does_not() {
    let other = Isid([0x80, 9, 9, 9, 0, 4]);
    let rule = start(config()).says_but(&[], |response| response.isid = other).misbehaved();
    assert_eq!(rule, PeerMisbehaved::LoginIsid { isid: other });
    start(config()).says_but(&[("AuthMethod", "None")], |response| response.isid = Isid::default()).more();
}

#[test]
fn r087_another_version_ends_the_login_at_any_time() {
    let rule = start(config()).says_but(&[("AuthMethod", "None")], |response| response.version_active = 1).misbehaved();
    assert_eq!(rule, PeerMisbehaved::LoginVersion { version: 1 });
    let rule = operational(config()).says_but(&[], |response| response.version_active = 1).misbehaved();
    assert_eq!(rule, PeerMisbehaved::LoginVersion { version: 1 });
    start(config()).says_but(&[("AuthMethod", "None")], |response| response.version_max = 5).more();
}

#[test]
fn r092_a_response_of_another_stage_ends_the_login() {
    for received in [Stage::Operational, Stage::FullFeature] {
        let rule = start(one_way()).says_but(&[], |response| response.current = received).misbehaved();
        assert_eq!(rule, PeerMisbehaved::LoginStage { expected: Stage::Security, received });
    }
    let rule = operational(config()).says_but(&[], |response| response.current = Stage::Security).misbehaved();
    assert_eq!(rule, PeerMisbehaved::LoginStage { expected: Stage::Operational, received: Stage::Security });
}

#[test]
fn r093_a_response_enters_the_proposed_stage_or_none() {
    for entered in [Stage::Security, Stage::FullFeature] {
        let rule = start(config()).says_but(&[("AuthMethod", "None")], |response| response.next = Some(entered));
        assert_eq!(rule.misbehaved(), PeerMisbehaved::LoginTransit { proposed: Some(Stage::Operational), entered });
    }
    for entered in [Stage::Security, Stage::Operational] {
        let rule = operational(config()).says_but(&[], |response| response.next = Some(entered)).misbehaved();
        assert_eq!(rule, PeerMisbehaved::LoginTransit { proposed: Some(Stage::FullFeature), entered });
    }
}

#[test]
fn r093_the_reserved_stage_ends_the_login() {
    for flags in [0x82, 0x08, 0x8b] {
        let talk = start(config());
        let mut header = talk.response().encode();
        header.0[1] = flags;
        assert!(matches!(talk.hears(&header, b"").misbehaved(), PeerMisbehaved::Pdu(PduError::ReservedValue { .. })));
    }
}

#[test]
fn r094_a_stage_that_was_not_proposed_is_not_entered() {
    for entered in [Stage::Security, Stage::Operational, Stage::FullFeature] {
        let talk = start(one_way());
        assert_eq!(talk.request.next, None);
        let rule = talk.says_but(&[("AuthMethod", "CHAP")], |response| response.next = Some(entered)).misbehaved();
        assert_eq!(rule, PeerMisbehaved::LoginTransit { proposed: None, entered });
    }
}

#[test]
fn r096_the_initiator_keeps_proposing_until_the_target_agrees() {
    let mut talk = start(config()).says_and_stays(&[("AuthMethod", "None")]).more();
    for _ in 0..5 {
        assert_eq!((talk.request.next, talk.data.len()), (Some(Stage::Operational), 0));
        talk = talk.says_and_stays(&[]).more();
    }
    talk = talk.says(&[]).more();
    let text = encode(talk.agrees_but(&[]));
    talk = talk.sends(&text, |response| response.next = None).more();
    for _ in 0..5 {
        assert_eq!((talk.request.next, talk.data.len()), (Some(Stage::FullFeature), 0));
        talk = talk.says_and_stays(&[]).more();
    }
    talk.says(&[]).done();
}

#[test]
fn r097_stat_sn_starts_anywhere_and_goes_up_by_one() {
    for first in [0, 1, 12345, u32::MAX - 1, u32::MAX] {
        let mut talk = start(config());
        talk.stat_sn = Serial(first);
        let talk = talk.says(&[("AuthMethod", "None")]).more();
        assert_eq!(talk.request.exp_stat_sn, Serial(first).next());
        let done = talk.ends(&[]).done();
        assert_eq!(done.start.exp_stat_sn, Serial(first).add(2));
    }
    for (wrong, received) in [(0, 7), (2, 9), (100, 107), (u32::MAX, 6)] {
        let mut talk = start(config()).says(&[("AuthMethod", "None")]).more();
        talk.stat_sn = Serial(7).add(wrong);
        let rule = talk.ends(&[]).misbehaved();
        assert_eq!(rule, PeerMisbehaved::LoginStatSn { expected: Serial(8), received: Serial(received) });
    }
}

#[test]
fn r090_the_final_response_of_a_new_session_names_it() {
    for config in [config(), discovery()] {
        let rule = operational(config).says_but(&[], |response| response.tsih = 0).misbehaved();
        assert_eq!(rule, PeerMisbehaved::LoginTsih { tsih: 0 });
    }
    let done = operational(config()).says_but(&[], |response| response.tsih = u16::MAX).done();
    assert_eq!(done.tsih, NonZeroU16::MAX);
}

#[test]
fn r089_a_connection_joins_the_session_that_it_names() {
    let tsih = NonZeroU16::new(0x55).unwrap();
    let purpose =
        Purpose::Connection { target: TARGET.parse().unwrap(), tsih, in_force: Box::default(), exp_stat_sn: Serial(0) };
    let talk = || operational(LoginConfig { purpose: purpose.clone(), cid: 1, ..config() });
    assert_eq!(talk().ends(&[]).done().tsih, tsih);
    for wrong in [0, 0x56] {
        let rule = talk().says_but(&[], |response| response.tsih = wrong).misbehaved();
        assert_eq!(rule, PeerMisbehaved::LoginTsih { tsih: wrong });
    }
}

#[test]
fn r099_a_new_session_starts_at_the_cmd_sn_of_its_login() {
    for wrong in [99, 101, 0] {
        let change = |response: &mut LoginResponse| response.numbering.exp_cmd_sn = Serial(wrong);
        let rule = operational(config()).says_but(&[], change).misbehaved();
        assert_eq!(rule, PeerMisbehaved::LoginCmdSn { expected: Serial(100), received: Serial(wrong) });
        let done = operational(discovery()).says_but(&[], change).done();
        assert_eq!(done.start.exp_cmd_sn, Serial(wrong));
    }
    let done = operational(config()).ends(&[]).done();
    assert_eq!((done.start.cmd_sn, done.start.exp_cmd_sn), (Serial(100), Serial(100)));
}

#[test]
fn r003_reserved_bits_are_ignored() {
    let talk = start(config());
    let text = encode([("AuthMethod", "None")]);
    let mut header = talk.response().encode().with_data_len(text.len() as u32);
    header.0[0] |= 0xc0;
    header.0[1] |= 0x30;
    for at in (20..24).chain(38..48) {
        header.0[at] = 0xff;
    }
    talk.hears(&header, &text).more();
}

#[test]
fn r079_a_login_without_end_is_given_up_after_more_than_six_exchanges() {
    let mut talk = start(config()).says_and_stays(&[("AuthMethod", "None")]).more();
    for _ in 1..MAX_ROUNDS {
        talk = talk.says_and_stays(&[]).more();
    }
    assert_eq!(talk.says_and_stays(&[]).failed(), LoginError::TooManyRounds);
}
