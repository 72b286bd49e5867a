//! Whole logins, byte by byte.

use super::*;
use crate::core::Negotiated;

/// A header by its 48 bytes in hexadecimal; spaces are for the eye.
fn header(digits: &str) -> Header {
    let digits: String = digits.split_whitespace().collect();
    let byte = |at: usize| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap();
    Header(std::array::from_fn(byte))
}

fn next(step: Step) -> (Login, Request) {
    match step {
        Step::Send(login, request) => (login, request),
        other => panic!("expected another request, not {other:?}"),
    }
}

///
#[test]
fn a_login_without_authentication_is_two_exchanges() {
    let (login, request) = Login::new(config(), nonce()).unwrap();
    assert_eq!(
        request.header,
        header(
            "43810000 00000077 80010203 00040000 00000000 00000000
             00000064 00000000 00000000 00000000 00000000 00000000"
        )
    );
    assert_eq!(
        request.data,
        b"InitiatorName=iqn.2001-04.com.example:host\0TargetName=iqn.2001-04.com.example:disk1\0\
          SessionType=Normal\0AuthMethod=None\0"
    );
    let answer = b"TargetPortalGroupTag=1\0AuthMethod=None\0";
    let accepted = header(
        "23810000 00000027 80010203 00040000 00000000 00000000
         ffffffff 00000064 00000083 00000000 00000000 00000000",
    );
    let (login, request) = next(login.receive(&accepted, answer).unwrap());
    assert_eq!(
        request.header,
        header(
            "43870000 00000120 80010203 00040000 00000000 00000000
             00000064 00000000 00000000 00000000 00000000 00000000"
        )
    );
    assert_eq!(
        request.data,
        b"HeaderDigest=None\0DataDigest=None\0MaxConnections=1\0InitialR2T=No\0ImmediateData=Yes\0\
          MaxRecvDataSegmentLength=262144\0MaxBurstLength=16776192\0FirstBurstLength=262144\0DefaultTime2Wait=2\0\
          DefaultTime2Retain=0\0MaxOutstandingR2T=16\0DataPDUInOrder=Yes\0DataSequenceInOrder=Yes\0\
          ErrorRecoveryLevel=0\0"
    );
    let answer = b"HeaderDigest=None\0DataDigest=None\0MaxConnections=1\0InitialR2T=Yes\0ImmediateData=Yes\0\
                   MaxBurstLength=262144\0FirstBurstLength=65536\0DefaultTime2Wait=3\0DefaultTime2Retain=0\0\
                   MaxOutstandingR2T=1\0ErrorRecoveryLevel=0\0MaxRecvDataSegmentLength=65536\0";
    let accepted = header(
        "23870000 000000f1 80010203 00040506 00000000 00000000
         00000000 00000064 00000083 00000000 00000000 00000000",
    );
    let Step::Done(done) = login.receive(&accepted, answer).unwrap() else { panic!() };
    assert_eq!(done.tsih.get(), 0x0506);
    assert_eq!(done.tpgt, Some(1));
    assert_eq!(done.authentication, Authentication::None);
    assert_eq!(done.unanswered, []);
    let Start { negotiated, cid, cmd_sn, exp_cmd_sn, max_cmd_sn, exp_stat_sn } = done.start;
    assert_eq!((cid, cmd_sn, exp_cmd_sn, max_cmd_sn), (0, Serial(100), Serial(100), Serial(131)));
    assert_eq!(exp_stat_sn, Serial(1));
    assert_eq!(
        negotiated,
        Negotiated {
            max_recv_data_segment_length: 262_144,
            max_send_data_segment_length: 65_536,
            default_time2wait: 3,
            default_time2retain: 0,
            ..Negotiated::default()
        }
    );
}

/// The dialogue that tgt 1.0.85 holds, quirks and all: it declares in a response without T and offers markers.
#[test]
fn a_login_to_tgt_with_chap_of_both_sides() {
    let talk = start(mutual());
    assert_eq!(talk.request.next, None);
    assert!(talk.line().ends_with("SessionType=Normal AuthMethod=CHAP"));
    let talk = talk.says(&[("TargetPortalGroupTag", "1"), ("AuthMethod", "CHAP")]).more();
    assert_eq!((talk.line().as_str(), talk.request.next), ("CHAP_A=8,6,5,7", None));
    let challenge =
        "0xc54083960fd54a80dc880a4fda58e6b548d1f3f35ec9ab019cd0151488e7fcc7ccddcede02f7b888b051ec5febe1183007ad";
    let talk = talk.says(&[("CHAP_A", "5"), ("CHAP_I", "1"), ("CHAP_C", challenge)]).more();
    assert_eq!(
        talk.line(),
        "CHAP_N=alice CHAP_R=0xc0253f207a913291d9dafbaba9632e1d \
         CHAP_I=64 CHAP_C=0x4142434445464748494a4b4c4d4e4f50"
    );
    assert_eq!(talk.request.next, Some(Stage::Operational));
    // MD5 over 0x40, "arraysecret12" and the challenge, computed with Python's hashlib.
    let talk = talk.says(&[("CHAP_N", "array"), ("CHAP_R", "0x2e396af5e496ea8398d69d515b038ac9")]).more();
    assert_eq!(talk.request.current, Stage::Operational);
    let text = encode(talk.agrees_but(&[("MaxRecvDataSegmentLength", "65536"), ("IFMarker", "Yes")]));
    let talk = talk.sends(&text, |response| response.next = None).more();
    assert_eq!((talk.line().as_str(), talk.request.next), ("IFMarker=No", Some(Stage::FullFeature)));
    let done = talk.says(&[]).done();
    assert_eq!(done.authentication, Authentication::Mutual(crate::core::chap::Algorithm::Md5));
    assert_eq!(done.start.negotiated.max_send_data_segment_length, 65_536);
    assert_eq!(done.start.exp_stat_sn, Serial(12));
}
