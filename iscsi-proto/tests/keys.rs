//! The negotiation of every key in the table, seen from both sides (RFC 7143, section 6.2).

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use iscsi_proto::keys::negotiate::{Outcome, Rule, answer, check_together, conclude, declared, is_decided};
use iscsi_proto::keys::value::ValueError;
use iscsi_proto::keys::{IRRELEVANT, Key, KeySpec, NOT_UNDERSTOOD, REJECT, ResultFunction, TABLE, ValueKind};
use proptest::prelude::*;

fn keys(choose: impl Fn(&KeySpec) -> bool) -> impl Iterator<Item = Key> {
    TABLE.iter().filter(move |spec| choose(spec)).map(|spec| spec.key)
}

fn by(result: ResultFunction) -> impl Iterator<Item = Key> {
    keys(move |spec| spec.result == result)
}

/// The numbers that are negotiated, with their bounds.
fn numbers() -> impl Iterator<Item = (Key, u64, u64)> {
    let negotiated = |spec: &KeySpec| matches!(spec.result, ResultFunction::Minimum | ResultFunction::Maximum);
    keys(negotiated).map(|key| {
        let (min, max) = key.spec().bounds().unwrap();
        (key, min, max)
    })
}

fn agreed(value: &impl ToString) -> Outcome {
    Outcome::Agreed(value.to_string())
}

fn broken(key: Key, offer: &str, answer: &str) -> Rule {
    let error = conclude(key, offer, answer).unwrap_err();
    assert_eq!((error.key, error.offered.as_deref(), error.answered.as_deref()), (key, Some(offer), Some(answer)));
    error.rule
}

fn refused(key: Key, offer: &str, ours: &str) -> Rule {
    let error = answer(key, offer, ours).unwrap_err();
    assert_eq!((error.key, error.offered.as_deref(), error.answered), (key, Some(offer), None));
    error.rule
}

fn undeclared(key: Key, value: &str) -> Rule {
    declared(key, value).unwrap_err().rule
}

#[test]
fn r054_a_minimum_is_not_answered_by_more() {
    for key in by(ResultFunction::Minimum) {
        let (min, max) = key.spec().bounds().unwrap();
        let offer = u64::midpoint(min, max);
        for legal in [min, offer - 1, offer] {
            assert_eq!(conclude(key, &offer.to_string(), &legal.to_string()), Ok(agreed(&legal)), "{key}");
        }
        for illegal in [offer + 1, max] {
            let rule = broken(key, &offer.to_string(), &illegal.to_string());
            assert_eq!(rule, Rule::Result(ResultFunction::Minimum), "{key}");
        }
        for (theirs, ours, result) in [(offer, max, offer), (offer, min, min), (offer, offer, offer), (min, max, min)] {
            assert_eq!(answer(key, &theirs.to_string(), &ours.to_string()), Ok(result.to_string()), "{key}");
        }
    }
}

#[test]
fn r055_the_maximum_is_not_answered_by_less() {
    let key = Key::DefaultTime2Wait;
    assert_eq!(by(ResultFunction::Maximum).collect::<Vec<_>>(), [key]);
    for legal in [2, 3, 3600] {
        assert_eq!(conclude(key, "2", &legal.to_string()), Ok(agreed(&legal)));
    }
    for illegal in ["0", "1"] {
        assert_eq!(broken(key, "2", illegal), Rule::Result(ResultFunction::Maximum));
    }
    for (theirs, ours, result) in [("2", "0", "2"), ("2", "3600", "3600"), ("0", "0", "0")] {
        assert_eq!(answer(key, theirs, ours).as_deref(), Ok(result));
    }
}

#[test]
fn r060_every_number_has_its_bounds() {
    for (key, min, max) in numbers() {
        for (value, legal) in [(min, true), (max, true), (max + 1, false), (u64::MAX, false)] {
            let text = value.to_string();
            let bounds = Rule::Bounds { value, min, max };
            assert_eq!(declared(key, &text).is_ok(), legal, "{key}={text}");
            if legal {
                assert!(answer(key, &text, &text).is_ok() && conclude(key, &text, &text).is_ok(), "{key}={text}");
            } else {
                assert_eq!(undeclared(key, &text), bounds);
                assert_eq!(refused(key, &text, &min.to_string()), bounds);
                assert_eq!(broken(key, &max.to_string(), &text), bounds);
            }
        }
        if let Some(below) = min.checked_sub(1) {
            let bounds = Rule::Bounds { value: below, min, max };
            assert_eq!(broken(key, &max.to_string(), &below.to_string()), bounds);
            assert_eq!(refused(key, &below.to_string(), &max.to_string()), bounds);
        }
    }
}

#[test]
fn r060_the_bounds_are_those_of_the_standard() {
    let bounds: Vec<_> = TABLE.iter().filter_map(|spec| Some((spec.name, spec.bounds()?))).collect();
    assert_eq!(
        bounds,
        [
            ("CHAP_I", (0, 255)),
            ("MaxConnections", (1, 65535)),
            ("TargetPortalGroupTag", (0, 65535)),
            ("MaxRecvDataSegmentLength", (512, 16_777_215)),
            ("MaxBurstLength", (512, 16_777_215)),
            ("FirstBurstLength", (512, 16_777_215)),
            ("DefaultTime2Wait", (0, 3600)),
            ("DefaultTime2Retain", (0, 3600)),
            ("MaxOutstandingR2T", (1, 65535)),
            ("ErrorRecoveryLevel", (0, 2)),
            ("iSCSIProtocolLevel", (0, 31)),
        ]
    );
}

#[test]
fn r045_numbers_come_in_any_form_and_are_agreed_in_decimal() {
    assert_eq!(conclude(Key::MaxBurstLength, "262144", "0x10000"), Ok(agreed(&"65536")));
    assert_eq!(answer(Key::MaxBurstLength, "0X40000", "1048576").as_deref(), Ok("262144"));
    for (key, _, max) in numbers() {
        for text in ["", "-1", "+1", " 1", "1 ", "01", "1.5", "0x", "one", "Yes", "18446744073709551616", "512~1024"] {
            let malformed = Rule::Value(ValueError::Number(text.into()));
            assert_eq!(broken(key, &max.to_string(), text), malformed, "{key}={text}");
            assert_eq!(refused(key, text, &max.to_string()), malformed, "{key}={text}");
        }
    }
}

#[test]
fn r056_yes_wins_an_or() {
    for key in by(ResultFunction::Or) {
        for (theirs, ours, result) in
            [("No", "No", "No"), ("No", "Yes", "Yes"), ("Yes", "No", "Yes"), ("Yes", "Yes", "Yes")]
        {
            assert_eq!(answer(key, theirs, ours).as_deref(), Ok(result), "{key}");
            assert_eq!(conclude(key, theirs, result), Ok(agreed(&result)), "{key}");
        }
        assert_eq!(broken(key, "Yes", "No"), Rule::Result(ResultFunction::Or), "{key}");
    }
}

#[test]
fn r057_no_wins_an_and() {
    for key in by(ResultFunction::And) {
        for (theirs, ours, result) in
            [("No", "No", "No"), ("No", "Yes", "No"), ("Yes", "No", "No"), ("Yes", "Yes", "Yes")]
        {
            assert_eq!(answer(key, theirs, ours).as_deref(), Ok(result), "{key}");
            assert_eq!(conclude(key, theirs, result), Ok(agreed(&result)), "{key}");
        }
        assert_eq!(broken(key, "No", "Yes"), Rule::Result(ResultFunction::And), "{key}");
    }
}

#[test]
fn r058_only_a_boolean_offer_can_settle_its_key() {
    for spec in TABLE {
        let settled = ["Yes", "No", "0", "1", "None", ""].into_iter().filter(|offer| is_decided(spec.key, offer));
        let expected: &[&str] = match spec.result {
            ResultFunction::And => &["No"],
            ResultFunction::Or => &["Yes"],
            _ => &[],
        };
        assert_eq!(settled.collect::<Vec<_>>(), expected, "{}", spec.name);
    }
}

#[test]
fn r059_booleans_are_yes_and_no() {
    for key in keys(|spec| matches!(spec.result, ResultFunction::And | ResultFunction::Or)) {
        for text in ["", "yes", "NO", "Maybe", "1", "Yes,No", "None"] {
            let malformed = Rule::Value(ValueError::Boolean(text.into()));
            for offer in ["Yes", "No"] {
                assert_eq!(broken(key, offer, text), malformed, "{key}");
            }
            assert_eq!(refused(key, text, "Yes"), malformed, "{key}");
        }
    }
}

#[test]
fn r032_r053_r076_a_list_is_answered_by_one_of_its_items() {
    for key in by(ResultFunction::First) {
        for legal in ["A", "B2", "None"] {
            assert_eq!(conclude(key, "A,B2,None", legal), Ok(agreed(&legal)), "{key}");
        }
        for illegal in ["", "C", "a", "B", "A,B2", "A ", "A,B2,None", ",", "none"] {
            assert_eq!(broken(key, "A,B2,None", illegal), Rule::Result(ResultFunction::First), "{key}={illegal}");
        }
        assert_eq!(broken(key, "A", "None"), Rule::Result(ResultFunction::First), "{key}");
    }
}

#[test]
fn r053_the_first_offered_item_that_is_supported_is_chosen() {
    for key in by(ResultFunction::First) {
        for (theirs, ours, result) in [
            ("A,B,None", "None,B", "B"),
            ("None,A", "A,None", "None"),
            ("X,Y", "A,None", REJECT),
            ("A", "", REJECT),
            ("", "A", REJECT),
            (",", ",", REJECT),
            ("a,A", "A", "A"),
        ] {
            assert_eq!(answer(key, theirs, ours).as_deref(), Ok(result), "{key}={theirs}");
        }
    }
}

#[test]
fn r063_reject_keeps_what_was() {
    for spec in TABLE {
        let outcome = conclude(spec.key, "1", REJECT);
        assert_eq!(outcome == Ok(Outcome::Kept), spec.needs_answer(), "{}: {outcome:?}", spec.name);
    }
}

#[test]
fn r064_irrelevant_concludes_what_is_negotiated() {
    for spec in TABLE {
        let outcome = conclude(spec.key, "1", IRRELEVANT);
        assert_eq!(outcome == Ok(Outcome::Irrelevant), spec.needs_answer(), "{}: {outcome:?}", spec.name);
    }
    let rule = broken(Key::InitiatorName, "iqn.2024-01.com.example:a", IRRELEVANT);
    assert_eq!(rule, Rule::Result(ResultFunction::Declarative));
}

#[test]
fn r065_r292_only_keys_later_than_rfc_3720_may_be_unknown() {
    let later = [Key::TaskReporting, Key::ProtocolLevel, Key::NodeArchitecture];
    for spec in TABLE {
        if later.contains(&spec.key) {
            assert_eq!(conclude(spec.key, "1", NOT_UNDERSTOOD), Ok(Outcome::NotUnderstood), "{}", spec.name);
        } else {
            assert_eq!(broken(spec.key, "1", NOT_UNDERSTOOD), Rule::NotUnderstood, "{}", spec.name);
        }
    }
}

#[test]
fn r066_private_and_later_keys_are_not_in_the_table() {
    for name in ["X-com.example.foo", "X#Other", "Y-com.example.digest", "MaxBurstLength2"] {
        assert_eq!(Key::from_name(name), None);
    }
}

#[test]
fn r067_obsolete_keys_are_rejected_whatever_they_say() {
    for key in [Key::OfMarker, Key::IfMarker, Key::OfMarkInt, Key::IfMarkInt] {
        for offer in ["Yes", "No", "2048", "2048~8192", "", REJECT] {
            assert_eq!(answer(key, offer, "Yes").as_deref(), Ok(REJECT), "{key}={offer}");
        }
        assert_eq!(broken(key, "Yes", "Yes"), Rule::Result(ResultFunction::Obsolete));
    }
    assert_eq!(conclude(Key::OfMarker, "Yes", "No"), Ok(agreed(&"No")));
    assert_eq!(broken(Key::IfMarkInt, "2048~8192", "No"), Rule::Result(ResultFunction::Obsolete));
}

#[test]
fn r049_reserved_words_are_no_offers() {
    for spec in TABLE {
        for word in [REJECT, IRRELEVANT, NOT_UNDERSTOOD] {
            match (spec.result, spec.value) {
                (ResultFunction::Obsolete, _) => assert_eq!(answer(spec.key, word, "No").as_deref(), Ok(REJECT)),
                (_, ValueKind::LocalName | ValueKind::Text) => assert_eq!(declared(spec.key, word), Ok(())),
                _ => {
                    assert_eq!(undeclared(spec.key, word), Rule::Reserved, "{}", spec.name);
                    assert_eq!(refused(spec.key, word, word), Rule::Reserved, "{}", spec.name);
                }
            }
        }
    }
    assert_eq!(refused(Key::HeaderDigest, "CRC32C,Reject", "CRC32C"), Rule::Reserved);
    assert!(answer(Key::HeaderDigest, "CRC32C,Rejected,None", "CRC32C").is_ok());
}

#[test]
fn r073_declarations_and_steps_of_an_exchange_have_no_answer() {
    for spec in TABLE.iter().filter(|spec| !spec.needs_answer()) {
        let sample = match spec.value {
            ValueKind::Boolean => "Yes",
            ValueKind::Number { .. } => "200",
            ValueKind::Name => "iqn.2024-01.com.example:a",
            ValueKind::Address => "10.0.0.1:3260,1",
            ValueKind::Binary { .. } => "0x00",
            ValueKind::Targets => "All",
            ValueKind::Choice { known } => known[0],
            _ => "text",
        };
        let sample = if spec.key == Key::MaxRecvDataSegmentLength { "8192" } else { sample };
        assert_eq!(declared(spec.key, sample), Ok(()), "{}", spec.name);
        assert_eq!(refused(spec.key, sample, sample), Rule::Result(spec.result), "{}", spec.name);
        assert_eq!(broken(spec.key, sample, sample), Rule::Result(spec.result), "{}", spec.name);
    }
}

#[test]
fn r074_r105_declared_values_have_the_form_of_their_key() {
    for (key, legal, illegal) in [
        (Key::MaxRecvDataSegmentLength, &["512", "16777215", "0x1000"][..], &["0", "511", "16777216", "8k", ""][..]),
        (Key::TargetPortalGroupTag, &["0", "1", "65535", "0xffff"], &["65536", "-1", "", "1,2"]),
        (Key::TargetAlias, &["", "Ger\u{e4}t 1", "None"], &[]),
        (Key::TargetName, &["iqn.2024-01.com.example:disk"], &["", "disk", "iqn.2024-13.com.example:disk"]),
        (Key::TargetAddress, &["10.0.0.1", "[2001:db8::1]:3260,1"], &["", "10.0.0.1:0", "10.0.0.1,65536"]),
        (Key::SessionType, &["Normal", "Discovery"], &["", "normal", "Other", "Normal,Discovery"]),
        (Key::SendTargets, &["", "All", "iqn.2024-01.com.example:disk"], &["all", "disk"]),
        (Key::ChapI, &["0", "255", "0xff"], &["256", "-1", "0b1"]),
        (Key::ChapC, &["0x00", "0babcd"], &["", "00", "0xz"]),
        (Key::TargetAuth, &["Yes", "No"], &["", "yes"]),
        (Key::OfMarkInt, &["1~65535"], &["2048", "2~1"]),
        (Key::NodeArchitecture, &["None", "a,b", ""], &["a,NotUnderstood"]),
    ] {
        for value in legal {
            assert_eq!(declared(key, value), Ok(()), "{key}={value}");
        }
        for value in illegal {
            let error = declared(key, value).unwrap_err();
            assert_eq!((error.key, error.offered.as_deref(), &error.answered), (key, Some(*value), &None));
        }
    }
}

#[test]
fn r129_a_challenge_has_1024_bytes() {
    assert_eq!(declared(Key::ChapC, &format!("0x{}", "00".repeat(1024))), Ok(()));
    let error = declared(Key::ChapC, &format!("0x{}", "00".repeat(1025))).unwrap_err();
    assert!(matches!(error.rule, Rule::Value(ValueError::TooLong { len: 1025, max: 1024, .. })), "{error}");
}

fn together(pairs: &[(Key, &'static str)]) -> Result<(), Rule> {
    let in_force = |key| pairs.iter().find(|pair| pair.0 == key).map(|pair| pair.1);
    check_together(in_force).map_err(|error| error.rule)
}

#[test]
fn r061_the_first_burst_is_no_longer_than_a_burst() {
    use Key::{FirstBurstLength, ImmediateData, InitialR2T, MaxBurstLength};
    assert_eq!(together(&[]), Ok(()));
    assert_eq!(together(&[(FirstBurstLength, "4096"), (MaxBurstLength, "4096")]), Ok(()));
    let rule = Rule::FirstBurst { first: 4097, max: 4096 };
    assert_eq!(together(&[(FirstBurstLength, "4097"), (MaxBurstLength, "4096")]), Err(rule));
    let rule = Rule::FirstBurst { first: 65536, max: 4096 };
    assert_eq!(together(&[(MaxBurstLength, "4096")]), Err(rule.clone()));
    assert_eq!(together(&[(MaxBurstLength, "4096"), (ImmediateData, "No")]), Ok(()));
    assert_eq!(together(&[(MaxBurstLength, "4096"), (ImmediateData, "No"), (InitialR2T, "No")]), Err(rule));
}

#[test]
fn r062_error_recovery_with_ordered_sequences_takes_one_r2t() {
    use Key::{DataSequenceInOrder, ErrorRecoveryLevel, MaxOutstandingR2T};
    let rule = |level| Err(Rule::OutstandingR2t { level, outstanding: 2 });
    for (level, in_order, outstanding, expected) in [
        ("0", "Yes", "2", Ok(())),
        ("1", "Yes", "1", Ok(())),
        ("1", "Yes", "2", rule(1)),
        ("2", "Yes", "2", rule(2)),
        ("2", "No", "2", Ok(())),
    ] {
        let pairs = [(ErrorRecoveryLevel, level), (DataSequenceInOrder, in_order), (MaxOutstandingR2T, outstanding)];
        assert_eq!(together(&pairs), expected, "{pairs:?}");
    }
}

#[test]
fn errors_name_the_key_both_values_and_the_section() {
    let error = conclude(Key::MaxBurstLength, "262144", "524288").unwrap_err();
    assert_eq!(
        error.to_string(),
        "MaxBurstLength=262144 was answered by \"524288\": the answer may not be greater than the offer \
         (RFC 7143, section 13.13)"
    );
    assert_eq!(error.section(), "RFC 7143, section 13.13");
    let error = declared(Key::MaxRecvDataSegmentLength, "0").unwrap_err();
    assert_eq!(
        error.to_string(),
        "MaxRecvDataSegmentLength=0: 0 is not within 512 and 16777215 (RFC 7143, section 13.12)"
    );
    let error = conclude(Key::InitialR2T, "Yes", &"\u{1b}".repeat(1 << 20)).unwrap_err();
    assert!(error.to_string().len() < 2000 && !error.to_string().contains('\u{1b}'));
}

proptest! {
    #[test]
    fn r054_r055_every_answer_is_a_legal_result(pick: prop::sample::Index, theirs: u64, ours: u64) {
        let all: Vec<_> = numbers().collect();
        let (key, min, max) = all[pick.index(all.len())];
        let within = |value: u64| (min + value % (max - min + 1)).to_string();
        let (offer, ours) = (within(theirs), within(ours));
        let reply = answer(key, &offer, &ours).unwrap();
        prop_assert_eq!(conclude(key, &offer, &reply), Ok(agreed(&reply)));
        prop_assert_eq!(answer(key, &ours, &offer), Ok(reply));
    }

    #[test]
    fn r298_arbitrary_values_never_panic(
        pick: prop::sample::Index, offer in ".*", ours in "[A-Za-z0-9,~]{0,12}", reply in "(Yes|No|[0-9]{0,20}|.*)",
    ) {
        let key = TABLE[pick.index(TABLE.len())].key;
        let _ = (answer(key, &offer, &ours), conclude(key, &offer, &reply), declared(key, &reply));
        if let Ok(Outcome::Agreed(value)) = conclude(key, &ours, &reply) {
            prop_assert_eq!(conclude(key, &ours, &value), Ok(agreed(&value)));
        }
    }
}
