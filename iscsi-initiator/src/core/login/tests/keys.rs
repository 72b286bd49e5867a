//! Negotiation of the operational keys.

use iscsi_proto::keys::negotiate::{NegotiateError, Rule};
use iscsi_proto::keys::{KeySpec, Party, ResultFunction, Stage as Phase, TABLE, ValueKind};

use super::*;
use crate::core::{DigestOffer, Negotiated, Offer, TaskReporting};

fn offering(change: impl FnOnce(&mut Offer)) -> LoginConfig {
    let mut config = config();
    change(&mut config.offer);
    config
}

fn joining(in_force: Negotiated) -> LoginConfig {
    let purpose = Purpose::Connection {
        target: TARGET.parse().unwrap(),
        tsih: NonZeroU16::MIN,
        in_force: Box::new(in_force),
        exp_stat_sn: Serial(0),
    };
    LoginConfig { purpose, ..config() }
}

#[track_caller]
fn negotiation(heard: Heard) -> NegotiateError {
    match heard.failed() {
        LoginError::Negotiation(error) => *error,
        other => panic!("expected a failed negotiation, not {other:?}"),
    }
}

/// What a target comes to that answers these pairs instead of agreeing.
fn negotiated(config: LoginConfig, instead: &[(&str, &str)]) -> Negotiated {
    operational(config).ends(instead).done().start.negotiated
}

/// Ends the login with these keys left unanswered.
fn leaving_out(config: LoginConfig, keys: &[&str]) -> Heard {
    let talk = operational(config);
    let answers = talk.agrees_but(&[]).into_iter().filter(|(key, _)| !keys.contains(&key.as_str()));
    let text = encode(answers);
    talk.sends(&text, |_| {})
}

#[test]
fn every_offer_that_the_target_agrees_to_is_in_force() {
    let config = offering(|offer| {
        offer.header_digest = DigestOffer::PreferCrc32c;
        offer.data_digest = DigestOffer::Crc32c;
        offer.max_connections = 2;
        offer.initial_r2t = true;
        offer.immediate_data = false;
        offer.max_recv_data_segment_length = 4096;
        offer.max_burst_length = 65_536;
        offer.first_burst_length = 1024;
        offer.default_time2wait = 5;
        offer.default_time2retain = 30;
        offer.max_outstanding_r2t = 3;
        offer.protocol_level = Some(2);
    });
    assert_eq!(
        negotiated(config, &[("MaxRecvDataSegmentLength", "0x200")]),
        Negotiated {
            header_digest: true,
            data_digest: true,
            max_connections: 2,
            initial_r2t: true,
            immediate_data: false,
            max_recv_data_segment_length: 4096,
            max_send_data_segment_length: 512,
            max_burst_length: 65_536,
            first_burst_length: 1024,
            default_time2wait: 5,
            default_time2retain: 30,
            max_outstanding_r2t: 3,
            data_pdu_in_order: true,
            data_sequence_in_order: true,
            error_recovery_level: 0,
            task_reporting: TaskReporting::Rfc3720,
            protocol_level: 2,
        }
    );
}

#[test]
fn r054_a_minimum_is_answered_by_no_more_than_the_offer() {
    let offers = offering(|offer| {
        offer.max_connections = 10;
        offer.max_burst_length = 100_000;
        offer.first_burst_length = 10_000;
        offer.default_time2retain = 10;
        offer.max_outstanding_r2t = 10;
        offer.protocol_level = Some(1);
    });
    for (key, less, offer, more) in [
        ("MaxConnections", "1", "10", "11"),
        ("MaxBurstLength", "10000", "100000", "100001"),
        ("FirstBurstLength", "512", "10000", "0x2711"),
        ("DefaultTime2Retain", "0", "10", "11"),
        ("MaxOutstandingR2T", "1", "10", "65535"),
        ("iSCSIProtocolLevel", "0", "1", "2"),
    ] {
        for answer in [less, offer] {
            operational(offers.clone()).ends(&[(key, answer)]).done();
        }
        let error = negotiation(operational(offers.clone()).ends(&[(key, more)]));
        assert_eq!((error.key.as_ref(), error.rule), (key, Rule::Result(ResultFunction::Minimum)));
        assert_eq!((error.offered.as_deref(), error.answered.as_deref()), (Some(offer), Some(more)));
    }
    let error = negotiation(operational(offers).ends(&[("ErrorRecoveryLevel", "1")]));
    assert_eq!(error.rule, Rule::Result(ResultFunction::Minimum));
    let recovering = offering(|offer| offer.error_recovery_level = 1);
    for (answer, level) in [("0", 0), ("1", 1)] {
        let found = negotiated(recovering.clone(), &[("ErrorRecoveryLevel", answer)]);
        assert_eq!(found.error_recovery_level, level);
    }
    let error = negotiation(operational(recovering).ends(&[("ErrorRecoveryLevel", "2")]));
    assert_eq!(error.rule, Rule::Result(ResultFunction::Minimum));
}

#[test]
fn r055_a_maximum_is_answered_by_no_less_than_the_offer() {
    for (answer, value) in [("2", 2), ("3", 3), ("3600", 3600)] {
        assert_eq!(negotiated(config(), &[("DefaultTime2Wait", answer)]).default_time2wait, value);
    }
    let error = negotiation(operational(config()).ends(&[("DefaultTime2Wait", "1")]));
    assert_eq!(error.rule, Rule::Result(ResultFunction::Maximum));
}

#[test]
fn r056_yes_cannot_be_answered_by_no_where_either_side_decides() {
    let config = offering(|offer| offer.initial_r2t = true);
    for key in ["InitialR2T", "DataPDUInOrder", "DataSequenceInOrder"] {
        let error = negotiation(operational(config.clone()).ends(&[(key, "No")]));
        assert_eq!((error.key.as_ref(), error.rule), (key, Rule::Result(ResultFunction::Or)));
    }
    for (answer, value) in [("No", false), ("Yes", true)] {
        assert_eq!(negotiated(super::config(), &[("InitialR2T", answer)]).initial_r2t, value);
    }
}

#[test]
fn r057_no_cannot_be_answered_by_yes_where_both_have_to_agree() {
    let config = offering(|offer| offer.immediate_data = false);
    let error = negotiation(operational(config).ends(&[("ImmediateData", "Yes")]));
    assert_eq!(error.rule, Rule::Result(ResultFunction::And));
    for (answer, value) in [("No", false), ("Yes", true)] {
        assert_eq!(negotiated(super::config(), &[("ImmediateData", answer)]).immediate_data, value);
    }
}

#[test]
fn r058_a_boolean_that_the_offer_decides_needs_no_answer() {
    let config = offering(|offer| {
        offer.initial_r2t = true;
        offer.immediate_data = false;
    });
    let decided = ["InitialR2T", "ImmediateData", "DataPDUInOrder", "DataSequenceInOrder"];
    let done = leaving_out(config, &decided).done();
    assert_eq!(done.unanswered, []);
    assert!(done.start.negotiated.initial_r2t && !done.start.negotiated.immediate_data);
}

#[test]
fn r052_a_key_without_an_answer_keeps_its_default() {
    let keys = [
        "HeaderDigest",
        "MaxConnections",
        "InitialR2T",
        "ImmediateData",
        "MaxBurstLength",
        "FirstBurstLength",
        "DefaultTime2Wait",
        "DefaultTime2Retain",
        "MaxOutstandingR2T",
        "ErrorRecoveryLevel",
        "iSCSIProtocolLevel",
    ];
    let config = offering(|offer| {
        offer.header_digest = DigestOffer::PreferCrc32c;
        offer.max_connections = 4;
        offer.protocol_level = Some(2);
    });
    let done = leaving_out(config, &keys).done();
    let names: Vec<&str> = done.unanswered.iter().map(AsRef::as_ref).collect();
    assert_eq!(names, keys);
    let defaults = Negotiated { max_recv_data_segment_length: 262_144, ..Negotiated::default() };
    assert_eq!(done.start.negotiated, defaults);
}

#[test]
fn r063_r064_reject_and_irrelevant_leave_the_default() {
    for answer in ["Reject", "Irrelevant"] {
        let keys = ["MaxBurstLength", "FirstBurstLength", "InitialR2T", "DefaultTime2Retain", "MaxOutstandingR2T"];
        let instead = keys.map(|key| (key, answer));
        let found = negotiated(offering(|offer| offer.max_burst_length = 1_000_000), &instead);
        let defaults = Negotiated { max_recv_data_segment_length: 262_144, ..Negotiated::default() };
        assert_eq!(found, defaults, "{answer}");
    }
}

#[test]
fn r063_a_digest_that_was_demanded_is_not_given_up() {
    for (offer, answer) in
        [(DigestOffer::Crc32c, "Reject"), (DigestOffer::Crc32c, "Irrelevant"), (DigestOffer::Crc32c, "None")]
    {
        let config = offering(|offers| offers.data_digest = offer);
        let error = operational(config).ends(&[("DataDigest", answer)]).failed();
        assert_eq!(error, LoginError::Declined { key: Key::DataDigest, offered: "CRC32C".into() });
    }
    let config = offering(|offer| offer.header_digest = DigestOffer::Crc32c);
    let error = leaving_out(config, &["HeaderDigest"]).failed();
    assert_eq!(error, LoginError::Declined { key: Key::HeaderDigest, offered: "CRC32C".into() });
    let config = offering(|offer| offer.header_digest = DigestOffer::PreferCrc32c);
    assert!(!negotiated(config, &[("HeaderDigest", "Reject")]).header_digest);
}

#[test]
fn r032_r053_a_digest_is_one_that_was_offered() {
    for (offer, good, bad) in [
        (DigestOffer::None, vec![("None", false)], vec!["CRC32C", "none", "CRC32C,None", ""]),
        (DigestOffer::Crc32c, vec![("CRC32C", true)], vec!["crc32c", "CRC32"]),
        (DigestOffer::PreferCrc32c, vec![("CRC32C", true), ("None", false)], vec!["CRC32C,None", "MD5"]),
        (DigestOffer::PreferNone, vec![("CRC32C", true), ("None", false)], vec!["None,CRC32C"]),
    ] {
        let config = offering(|offers| offers.header_digest = offer);
        for (answer, in_use) in good {
            assert_eq!(negotiated(config.clone(), &[("HeaderDigest", answer)]).header_digest, in_use);
        }
        for answer in bad {
            let error = negotiation(operational(config.clone()).ends(&[("HeaderDigest", answer)]));
            assert_eq!(error.rule, Rule::Result(ResultFunction::First), "{answer}");
        }
    }
}

#[test]
fn r045_r048_r049_r059_r060_values_out_of_form_or_range_end_the_login() {
    for (key, values) in [
        ("MaxBurstLength", &["511", "16777216", "", "x", "-1", "+512", "00512", " 512", "512~1024", "512,1024"][..]),
        ("FirstBurstLength", &["511", "0", "18446744073709551616"]),
        ("MaxOutstandingR2T", &["0", "65536"]),
        ("MaxConnections", &["0"]),
        ("DefaultTime2Wait", &["3601"]),
        ("ErrorRecoveryLevel", &["3"]),
        ("MaxRecvDataSegmentLength", &["0", "511", "16777216", "Reject", "Irrelevant", "NotUnderstood", ""]),
        ("InitialR2T", &["Maybe", "", "1", "Yes,No"]),
        ("TaskReporting", &["Reject", "RFC3720,NotUnderstood"]),
        ("IFMarkInt", &[]),
    ] {
        for value in values {
            negotiation(operational(config()).ends(&[(key, value)]));
        }
    }
    for value in ["512", "16777215", "0xFFFFFF"] {
        operational(config()).ends(&[("MaxRecvDataSegmentLength", value)]).done();
    }
}

#[test]
fn r061_the_first_burst_fits_into_the_burst() {
    let error = negotiation(operational(config()).ends(&[("MaxBurstLength", "4096"), ("FirstBurstLength", "65536")]));
    assert_eq!(error.rule, Rule::FirstBurst { first: 65_536, max: 4096 });
    let found = negotiated(config(), &[("MaxBurstLength", "4096"), ("FirstBurstLength", "4096")]);
    assert_eq!((found.first_burst_length, found.max_burst_length), (4096, 4096));
}

#[test]
fn r061_a_default_first_burst_is_cut_to_the_burst() {
    let found = negotiated(config(), &[("MaxBurstLength", "4096"), ("FirstBurstLength", "Irrelevant")]);
    assert_eq!((found.first_burst_length, found.max_burst_length), (4096, 4096));
    let found = negotiated(config(), &[("MaxBurstLength", "70000"), ("FirstBurstLength", "Reject")]);
    assert_eq!((found.first_burst_length, found.max_burst_length), (65_536, 70_000));
}

#[test]
fn r062_error_recovery_is_offered_at_level_0_with_any_number_of_r2ts() {
    let talk = operational(config());
    assert_eq!(talk.value("ErrorRecoveryLevel").as_deref(), Some("0"));
    assert_eq!(talk.value("MaxOutstandingR2T").as_deref(), Some("16"));
    assert_eq!(talk.ends(&[]).done().start.negotiated.error_recovery_level, 0);
}

#[test]
fn r062_with_error_recovery_one_r2t_is_offered() {
    for level in [1, 2] {
        let talk = operational(offering(|offer| offer.error_recovery_level = level));
        assert_eq!(talk.value("ErrorRecoveryLevel"), Some(level.to_string()));
        assert_eq!(talk.value("MaxOutstandingR2T").as_deref(), Some("1"));
        let found = talk.ends(&[]).done().start.negotiated;
        assert_eq!((found.error_recovery_level, found.max_outstanding_r2t), (level, 1));
    }
}

#[test]
fn r065_not_understood_is_no_answer_to_a_key_that_all_know() {
    for key in ["MaxBurstLength", "HeaderDigest", "InitialR2T", "DefaultTime2Wait", "ErrorRecoveryLevel"] {
        let error = negotiation(operational(config()).ends(&[(key, "NotUnderstood")]));
        assert_eq!((error.key.as_ref(), error.rule), (key, Rule::NotUnderstood));
    }
    let newer = offering(|offer| offer.protocol_level = Some(2));
    let found = negotiated(newer, &[("iSCSIProtocolLevel", "NotUnderstood")]);
    assert_eq!(found.protocol_level, 1, "R-292");
}

#[test]
fn r066_unknown_keys_are_answered_in_the_next_request() {
    let talk = start(config()).says_and_stays(&[("X-com.example.a", "1"), ("AuthMethod", "None")]).more();
    assert_eq!(talk.line(), "X-com.example.a=NotUnderstood");
    assert_eq!(talk.request.next, Some(Stage::Operational));
    let talk = talk.says(&[]).more().says_and_stays(&[("Foo", "1"), ("Bar", "")]).more();
    assert_eq!(talk.line(), "Foo=NotUnderstood Bar=NotUnderstood");
    assert_eq!(talk.request.next, Some(Stage::FullFeature));
}

#[test]
fn r066_an_unknown_key_in_the_last_response_of_a_stage_is_passed_over() {
    let talk = start(config()).says(&[("X-com.example.a", "1"), ("AuthMethod", "None")]).more();
    assert!(!talk.line().contains("NotUnderstood"));
    talk.ends(&[("X-com.example.b", "1")]).done();
}

#[test]
fn r066_the_number_of_unknown_keys_is_bounded() {
    let name = |at: usize| format!("X-{at}");
    let mut talk = operational(config());
    for at in 0..MAX_UNKNOWN_KEYS / 4 {
        let names: Vec<String> = (4 * at..4 * at + 4).map(name).collect();
        let pairs: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "1")).collect();
        talk = talk.says_and_stays(&pairs).more();
    }
    assert_eq!(talk.says_and_stays(&[("X-more", "1")]).failed(), LoginError::TooManyKeys);
}

#[test]
fn r067_obsolete_markers_are_answered_and_never_not_understood() {
    let offers = [("IFMarker", "Yes"), ("OFMarker", "No"), ("IFMarkInt", "2048~8192"), ("OFMarkInt", "2048")];
    let talk = operational(config()).says_and_stays(&offers).more();
    assert_eq!(talk.line(), "IFMarker=No OFMarker=No IFMarkInt=Reject OFMarkInt=Reject");
    let line = start(config()).line() + &operational(config()).line();
    assert!(!line.contains("Mark"), "they are not offered");
    operational(config()).ends(&[("OFMarker", "No")]).done();
}

#[test]
fn r068_a_key_that_comes_twice_ends_the_login() {
    let twice = |key: &str| PeerMisbehaved::RepeatedKey { key: key.into() };
    let rule = operational(config()).says_and_stays(&[("ImmediateData", "Yes"), ("ImmediateData", "Yes")]);
    assert_eq!(rule.misbehaved(), twice("ImmediateData"));
    let talk = operational(config()).says_and_stays(&[("MaxRecvDataSegmentLength", "65536")]).more();
    let rule = talk.says(&[("MaxRecvDataSegmentLength", "512")]).misbehaved();
    assert_eq!(rule, twice("MaxRecvDataSegmentLength"));
    let talk = start(config()).says(&[("TargetPortalGroupTag", "1"), ("AuthMethod", "None")]).more();
    assert_eq!(talk.says(&[("TargetPortalGroupTag", "1")]).misbehaved(), twice("TargetPortalGroupTag"));
    let talk = operational(config()).says_and_stays(&[("X-a", "1")]).more();
    assert_eq!(talk.says_and_stays(&[("X-a", "1")]).misbehaved(), twice("X-a"));
    let addresses = [("TargetAddress", "10.0.0.1,1"), ("TargetAddress", "10.0.0.1,1"), ("TargetAddress", "[::1],1")];
    let done = operational(config()).ends(&addresses).done();
    assert_eq!(done.target_addresses.len(), 3);
}

#[test]
fn r069_the_initiator_sends_no_key_twice_in_a_login() {
    let mut sent: Vec<String> = Vec::new();
    let mut keep = |talk: &Talk| sent.extend(talk.sent().into_iter().map(|(key, _)| key));
    let talk = start(config());
    keep(&talk);
    let talk = talk.says_and_stays(&[("AuthMethod", "None")]).more();
    keep(&talk);
    let talk = talk.says(&[]).more();
    keep(&talk);
    let talk = talk.says_and_stays(&[("MaxBurstLength", "8192"), ("IFMarker", "No"), ("X-a", "1")]).more();
    keep(&talk);
    let talk = talk.says_and_stays(&[("FirstBurstLength", "8192"), ("TaskReporting", "RFC3720")]).more();
    keep(&talk);
    talk.says(&[]).done();
    let all = sent.len();
    sent.sort_unstable();
    sent.dedup();
    assert_eq!(sent.len(), all);
}

#[test]
fn r070_a_key_outside_its_stage_or_from_the_wrong_side_ends_the_login() {
    let legal = |spec: &KeySpec, stage| spec.allowed(Party::Target, stage);
    for spec in TABLE.iter().filter(|spec| !legal(spec, Phase::Security)) {
        let rule = start(config()).says(&[(spec.name, "1")]).misbehaved();
        assert_eq!(rule, PeerMisbehaved::MisplacedKey { key: spec.key }, "{}", spec.name);
    }
    for spec in TABLE.iter().filter(|spec| !legal(spec, Phase::Operational)) {
        let rule = operational(config()).says(&[(spec.name, "1")]).misbehaved();
        let expected = match spec.key {
            Key::AuthMethod => PeerMisbehaved::RepeatedKey { key: "AuthMethod".into() },
            key => PeerMisbehaved::MisplacedKey { key },
        };
        assert_eq!(rule, expected);
    }
}

#[test]
fn r071_only_the_leading_login_carries_the_keys_of_the_session() {
    let in_force = Negotiated {
        header_digest: true,
        data_digest: true,
        max_connections: 4,
        max_burst_length: 8192,
        first_burst_length: 4096,
        max_outstanding_r2t: 4,
        max_send_data_segment_length: 1024,
        max_recv_data_segment_length: 2048,
        ..Negotiated::default()
    };
    let talk = operational(joining(in_force.clone()));
    assert_eq!(talk.line(), "HeaderDigest=None DataDigest=None MaxRecvDataSegmentLength=262144");
    let done = talk.ends(&[]).done();
    let expected = Negotiated {
        header_digest: false,
        data_digest: false,
        max_recv_data_segment_length: 262_144,
        max_send_data_segment_length: 8192,
        ..in_force.clone()
    };
    assert_eq!(done.start.negotiated, expected, "digests and segment lengths are the connection's own (R-033)");
    for spec in TABLE.iter().filter(|spec| spec.leading_only && spec.target.contains(Phase::Operational)) {
        let rule = operational(joining(in_force.clone())).says_and_stays(&[(spec.name, "1")]).misbehaved();
        assert_eq!(rule, PeerMisbehaved::MisplacedKey { key: spec.key });
    }
}

/// tgt names what is not as usual in every login.
#[test]
fn a_value_of_the_session_that_is_in_force_may_be_repeated() {
    let in_force = Negotiated { max_connections: 4, initial_r2t: false, ..Negotiated::default() };
    let repeated = [("MaxConnections", "4"), ("InitialR2T", "No")];
    let done = operational(joining(in_force.clone())).says_and_stays(&repeated).more().ends(&[]).done();
    assert_eq!((done.start.negotiated.max_connections, done.start.negotiated.initial_r2t), (4, false));
    let rule = operational(joining(in_force)).says_and_stays(&[("MaxConnections", "5")]).misbehaved();
    assert_eq!(rule, PeerMisbehaved::MisplacedKey { key: Key::MaxConnections });
}

#[test]
fn r072_the_security_stage_carries_no_operational_key() {
    for config in [config(), discovery(), one_way(), mutual()] {
        let talk = start(config);
        for (key, _) in talk.sent() {
            let spec = Key::from_name(&key).unwrap().spec();
            assert!(spec.allowed(Party::Initiator, Phase::Security), "{key}");
        }
    }
}

#[test]
fn r073_offers_of_the_target_are_answered_by_what_we_want() {
    let talk = operational(config()).says_and_stays(&[("TaskReporting", "FastAbort,ResponseFence,RFC3720")]).more();
    assert_eq!(talk.line(), "TaskReporting=RFC3720");
    let talk = talk.says_and_stays(&[("iSCSIProtocolLevel", "2"), ("X#NodeArchitecture", "a,b")]).more();
    assert_eq!(talk.line(), "iSCSIProtocolLevel=1");
    let done = talk.says(&[]).done();
    assert_eq!(done.start.negotiated.task_reporting, TaskReporting::Rfc3720);
    assert_eq!(done.start.negotiated.protocol_level, 1);
}

#[test]
fn r076_task_reporting_that_needs_more_than_we_do_is_rejected() {
    let talk = operational(config()).says_and_stays(&[("TaskReporting", "FastAbort")]).more();
    assert_eq!(talk.line(), "TaskReporting=Reject");
    assert_eq!(talk.says(&[]).done().start.negotiated.task_reporting, TaskReporting::Rfc3720);
}

#[test]
fn an_offer_that_waits_for_an_answer_cannot_end_the_stage() {
    for (key, value) in [("TaskReporting", "RFC3720"), ("IFMarker", "Yes"), ("OFMarkInt", "2048")] {
        let rule = operational(config()).ends(&[(key, value)]).misbehaved();
        assert_eq!(rule, PeerMisbehaved::LateOffer { key: Key::from_name(key).unwrap() });
    }
}

#[test]
fn r074_each_direction_has_its_own_segment_length() {
    let config = offering(|offer| offer.max_recv_data_segment_length = 512);
    let found = negotiated(config.clone(), &[("MaxRecvDataSegmentLength", "16777215")]);
    assert_eq!((found.max_recv_data_segment_length, found.max_send_data_segment_length), (512, 16_777_215));
    let found = negotiated(config, &[]);
    assert_eq!((found.max_recv_data_segment_length, found.max_send_data_segment_length), (512, 8192));
}

#[test]
fn r075_r077_r078_discovery_offers_only_what_has_a_meaning_there() {
    let mut config = discovery();
    config.offer.protocol_level = Some(2);
    config.offer.error_recovery_level = 2;
    let talk = operational(config);
    assert_eq!(
        talk.line(),
        "HeaderDigest=None DataDigest=None MaxRecvDataSegmentLength=262144 DefaultTime2Wait=2 DefaultTime2Retain=0 \
         ErrorRecoveryLevel=0"
    );
    let found = talk.ends(&[]).done().start.negotiated;
    let expected =
        Negotiated { max_recv_data_segment_length: 262_144, default_time2retain: 0, ..Negotiated::default() };
    assert_eq!(found, expected);
    for config in [super::config(), discovery()] {
        let all = start(config.clone()).line() + &operational(config).line();
        assert!(!all.contains("X-") && !all.contains("X#"), "{all}");
    }
}

#[test]
fn r075_in_discovery_an_offer_without_meaning_is_irrelevant() {
    let offers =
        [("MaxConnections", "4"), ("InitialR2T", "No"), ("MaxBurstLength", "65536"), ("TaskReporting", "RFC3720")];
    let talk = operational(discovery()).says_and_stays(&offers).more();
    assert_eq!(
        talk.line(),
        "MaxConnections=Irrelevant InitialR2T=Irrelevant MaxBurstLength=Irrelevant TaskReporting=Irrelevant"
    );
    let found = talk.says(&[]).done().start.negotiated;
    assert_eq!((found.max_connections, found.initial_r2t, found.max_burst_length), (1, true, 262_144));
    negotiation(operational(discovery()).says_and_stays(&[("MaxConnections", "0")]));
}

#[test]
fn r051_r081_nothing_is_in_force_before_the_last_exchange_succeeds() {
    let talk = operational(config()).says_and_stays(&[("MaxBurstLength", "8192")]).more();
    let error = negotiation(talk.says(&[("FirstBurstLength", "262144")]));
    assert_eq!(error.rule, Rule::FirstBurst { first: 262_144, max: 8192 });
}

#[test]
fn r080_the_initiator_sends_no_empty_request_unless_it_has_to() {
    for talk in [start(config()), operational(config()), operational(discovery())] {
        assert!(!talk.data.is_empty());
    }
}

#[test]
fn values_that_cannot_be_offered_are_refused_before_anything_is_sent() {
    let refused = |change: fn(&mut Offer)| match Login::new(offering(change), nonce()).err() {
        Some(LoginError::InvalidOffer { key, value, range }) => format!("{key}={value} {range}"),
        other => panic!("expected a refused offer, not {other:?}"),
    };
    for (change, expected) in [
        ((|offer| offer.max_connections = 0) as fn(&mut Offer), "MaxConnections=0 1 to 65535"),
        (|offer| offer.max_recv_data_segment_length = 511, "MaxRecvDataSegmentLength=511 512 to 16777215"),
        (|offer| offer.max_recv_data_segment_length = 1 << 24, "MaxRecvDataSegmentLength=16777216 512 to 16777215"),
        (|offer| offer.max_burst_length = 511, "MaxBurstLength=511 512 to 16777215"),
        (|offer| offer.max_burst_length = 65_536, "FirstBurstLength=262144 512 to 65536"),
        (|offer| offer.default_time2wait = 3601, "DefaultTime2Wait=3601 0 to 3600"),
        (|offer| offer.default_time2retain = 3601, "DefaultTime2Retain=3601 0 to 3600"),
        (|offer| offer.max_outstanding_r2t = 0, "MaxOutstandingR2T=0 1 to 65535"),
        (|offer| offer.error_recovery_level = 3, "ErrorRecoveryLevel=3 0 to 2"),
        (|offer| offer.protocol_level = Some(3), "iSCSIProtocolLevel=3 0 to 2"),
    ] {
        assert_eq!(refused(change), expected);
    }
    Login::new(offering(|offer| offer.first_burst_length = offer.max_burst_length), nonce()).unwrap();
}

#[test]
fn r049_no_offer_is_a_reserved_word() {
    let line = operational(offering(|offer| offer.protocol_level = Some(2)));
    for (key, value) in line.sent() {
        let spec = Key::from_name(&key).unwrap().spec();
        assert!(!["Reject", "Irrelevant", "NotUnderstood"].contains(&value.as_str()));
        assert!(value != "None" || matches!(spec.value, ValueKind::List { .. }));
    }
}
