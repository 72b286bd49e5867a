//! Text: its parts, its bounds, its form.

use iscsi_proto::keys::text::TextError;

use super::*;

fn text_error(heard: Heard) -> TextError {
    match heard.misbehaved() {
        PeerMisbehaved::Text { error } => error,
        other => panic!("expected broken text, not {other:?}"),
    }
}

#[test]
fn r037_r038_a_response_may_be_split_at_every_byte_and_each_part_is_answered_by_nothing() {
    let text = encode([("TargetAlias", "Gerät"), ("TargetPortalGroupTag", "3"), ("AuthMethod", "None")]);
    for cut in 1..text.len() {
        let part = |response: &mut LoginResponse| {
            response.more = true;
            response.next = None;
        };
        let talk = start(config()).sends(&text[..cut], part).more();
        assert_eq!((talk.data.len(), talk.request.next, talk.request.more), (0, None, false));
        assert_eq!(talk.request.current, Stage::Security);
        let talk = talk.sends(&text[cut..], |response| response.next = None).more();
        assert_eq!((talk.data.len(), talk.request.next), (0, Some(Stage::Operational)));
        let done = talk.says(&[]).more().ends(&[]).done();
        assert_eq!((done.target_alias.as_deref(), done.tpgt), (Some("Gerät"), Some(3)));
    }
}

#[test]
fn r038_an_empty_part_that_promises_more_ends_the_login() {
    let heard = start(config()).sends(b"", |response| {
        response.more = true;
        response.next = None;
    });
    assert_eq!(text_error(heard), TextError::EmptyFragment);
}

#[test]
fn r038_a_response_that_never_ends_is_given_up() {
    let mut talk = start(config());
    for _ in 0..MAX_ROUNDS {
        talk = talk
            .sends(b"a", |response| {
                response.more = true;
                response.next = None;
            })
            .more();
    }
    assert_eq!(talk.sends(b"a", |_| {}).failed(), LoginError::TooManyRounds);
}

#[test]
fn r040_a_response_cannot_end_the_stage_in_the_middle_of_its_text() {
    let rule = start(config()).says_but(&[("AuthMethod", "None")], |response| response.more = true).misbehaved();
    assert_eq!(rule, PeerMisbehaved::LoginContinues);
    let rule = operational(config()).says_but(&[], |response| response.more = true).misbehaved();
    assert_eq!(rule, PeerMisbehaved::LoginContinues);
}

#[test]
fn r041_64_kib_of_text_are_taken_and_no_more() {
    let more = |response: &mut LoginResponse| {
        response.more = true;
        response.next = None;
    };
    let run = |last: usize| {
        let mut talk = start(config()).sends(&[b"X-a=".as_slice(), &[b'a'; 8188]].concat(), more).more();
        for _ in 0..6 {
            talk = talk.sends(&[b'a'; 8192], more).more();
        }
        talk.sends(&[vec![b'a'; last - 17], b"\0AuthMethod=None\0".to_vec()].concat(), |response| response.next = None)
    };
    assert_eq!(run(8192).more().line(), "X-a=NotUnderstood");
    assert_eq!(text_error(start(config()).sends(&[b'a'; 8192], more).more().sends(b"\0", |_| {})), {
        TextError::NoValue { offset: 0 }
    });
    let mut talk = start(config());
    for _ in 0..8 {
        talk = talk.sends(&[b'a'; 8192], more).more();
    }
    assert_eq!(text_error(talk.sends(b"a", |_| {})), TextError::TooLong { limit: 65_536 });
}

/// As many keys as are answered, with names as long as can be.
fn many_keys() -> Vec<(String, String)> {
    (0..MAX_UNKNOWN_KEYS).map(|at| (format!("X-{at:0>61}"), String::new())).collect()
}

#[test]
fn r039_r113_own_text_goes_out_in_parts_of_8192_bytes_and_only_the_last_proposes_a_stage() {
    let talk = start(config()).says(&[("AuthMethod", "None")]).more();
    let keys = encode(many_keys().iter().map(|(key, value)| (key, value)));
    let (first, second) = keys.split_at(8000);
    let talk = talk
        .sends(first, |response| {
            response.more = true;
            response.next = None;
        })
        .more();
    let talk = talk.sends(second, |response| response.next = None).more();
    assert_eq!((talk.data.len(), talk.request.more, talk.request.next), (8192, true, None));
    let start = talk.data.clone();
    let talk = talk.says(&[]).more();
    assert!(!talk.request.more);
    assert_eq!(talk.request.next, Some(Stage::FullFeature));
    let whole = parse(&[start, talk.data.clone()].concat()).unwrap();
    let expected: Vec<Pair> = many_keys().into_iter().map(|(key, _)| Pair::new(key, "NotUnderstood")).collect();
    assert_eq!(whole, expected);
    talk.ends(&[]).done();
}

#[test]
fn a_target_that_interrupts_the_text_of_the_initiator_ends_the_login() {
    let interrupted = || {
        let keys = encode(many_keys().iter().map(|(key, value)| (key, value)));
        let (first, second) = keys.split_at(8000);
        let part = |response: &mut LoginResponse| {
            response.more = true;
            response.next = None;
        };
        let talk = operational(config()).sends(first, part).more();
        talk.sends(second, |response| response.next = None).more()
    };
    assert_eq!(interrupted().says(&[("X-b", "1")]).misbehaved(), PeerMisbehaved::LoginInterrupted);
    let rule = interrupted().says_but(&[], |response| response.more = true).misbehaved();
    assert_eq!(rule, PeerMisbehaved::LoginInterrupted);
    let rule = interrupted().says_but(&[], |response| response.next = Some(Stage::FullFeature)).misbehaved();
    assert!(matches!(rule, PeerMisbehaved::LoginTransit { proposed: None, .. }));
}

#[test]
fn r036_keys_and_constants_are_case_sensitive() {
    let talk = operational(config());
    let text = encode(talk.agrees_but(&[("initialr2t", "No")]));
    assert!(matches!(text_error(talk.sends(&text, |_| {})), TextError::Key { .. }));
    let talk = operational(config()).says_and_stays(&[("INITIALR2T", "No")]).more();
    assert_eq!(talk.line(), "INITIALR2T=NotUnderstood");
    for value in ["no", "NO", "yes"] {
        let error = operational(config()).ends(&[("ImmediateData", value)]).failed();
        assert!(matches!(error, LoginError::Negotiation(_)), "{value}");
    }
}

#[test]
fn r042_a_value_is_everything_after_the_first_equals_sign() {
    let talk = start(config()).says(&[("TargetAlias", "a=b="), ("AuthMethod", "None")]).more();
    assert_eq!(talk.ends(&[]).done().target_alias.as_deref(), Some("a=b="));
}

#[test]
fn r035_a_missing_or_repeated_last_nul_is_tolerated() {
    for text in [&b"AuthMethod=None"[..], b"AuthMethod=None\0\0\0"] {
        start(config()).sends(text, |_| {}).more();
    }
}

#[test]
fn r043_r044_r050_text_out_of_form_ends_the_login() {
    let long = format!("{}=1\0", "K".repeat(64));
    let value = format!("TargetAlias={}\0", "a".repeat(256));
    for text in [long.as_bytes(), value.as_bytes(), b"novalue\0", b"=1\0", b"\0A=1\0", b"TargetAlias=\xff\xfe\0"] {
        text_error(start(config()).sends(text, |_| {}));
    }
    let longest = "a".repeat(255);
    let talk = start(config()).says(&[("TargetAlias", &longest), ("AuthMethod", "None")]).more();
    assert_eq!(talk.ends(&[]).done().target_alias, Some(longest));
}
