//! Targets that try to get around authentication, or to break it. None of them may get a session.

use iscsi_proto::keys::negotiate::Rule;
use iscsi_proto::keys::{ResultFunction, value};

use super::chap::{CHALLENGE, QUESTION, answered, chosen, md5, proof};
use super::*;
use crate::core::chap::AuthError;

#[track_caller]
fn auth_error(heard: Heard) -> AuthError {
    match heard.failed() {
        LoginError::Auth(error) => error,
        other => panic!("expected failed authentication, not {other:?}"),
    }
}

const fn missing(key: Key) -> AuthError {
    AuthError::MissingKey { key }
}

const fn unexpected(key: Key) -> AuthError {
    AuthError::UnexpectedKey { key }
}

#[test]
fn r132_a_target_that_skips_the_challenge_by_entering_the_next_stage_gets_no_session() {
    for entered in [Stage::Operational, Stage::FullFeature] {
        for talk in [start(one_way()), chosen(one_way()), start(mutual()), chosen(mutual())] {
            let rule = talk.says_but(&[], |response| response.next = Some(entered)).misbehaved();
            assert_eq!(rule, PeerMisbehaved::LoginTransit { proposed: None, entered });
        }
        for talk in [start(one_way()), start(mutual())] {
            let heard = talk.says_but(&[("AuthMethod", "CHAP")], |response| response.next = Some(entered));
            assert_eq!(heard.misbehaved(), PeerMisbehaved::LoginTransit { proposed: None, entered });
        }
    }
}

#[test]
fn r132_a_target_that_jumps_to_the_full_feature_phase_before_its_proof_gets_no_session() {
    let entered = Stage::FullFeature;
    for talk in [answered(one_way()), answered(mutual())] {
        let rule = talk.says_but(&[], |response| response.next = Some(entered)).misbehaved();
        assert_eq!(rule, PeerMisbehaved::LoginTransit { proposed: Some(Stage::Operational), entered });
    }
}

#[test]
fn r092_a_target_that_claims_to_be_past_the_security_stage_gets_no_session() {
    for received in [Stage::Operational, Stage::FullFeature] {
        for talk in [start(mutual()), chosen(mutual()), answered(mutual())] {
            let heard = talk.says_but(&[], |response| {
                response.current = received;
                response.next = Some(Stage::FullFeature);
                response.tsih = 1;
            });
            assert_eq!(heard.misbehaved(), PeerMisbehaved::LoginStage { expected: Stage::Security, received });
        }
    }
}

#[test]
fn r132_a_target_that_chooses_no_method_gets_no_session() {
    for config in [one_way(), mutual()] {
        assert_eq!(auth_error(start(config.clone()).says(&[])), missing(Key::AuthMethod));
        let heard = start(config).says(&[("TargetPortalGroupTag", "1")]);
        assert_eq!(auth_error(heard), missing(Key::AuthMethod));
    }
}

#[test]
fn a_target_may_leave_out_the_choice_of_a_method_only_where_none_was_the_one_offer() {
    let done = start(config()).says(&[("TargetPortalGroupTag", "1")]).more().ends(&[]).done();
    assert_eq!(done.authentication, Authentication::None);
    let optional = Chap::new(credentials("alice", "alicesecret12")).or_none();
    let config = LoginConfig { auth: Auth::Chap(optional), ..config() };
    assert_eq!(auth_error(start(config).says(&[])), missing(Key::AuthMethod));
}

#[test]
fn r133_r053_a_target_that_chooses_a_method_that_was_not_offered_gets_no_session() {
    for (config, methods) in [
        (config(), &["CHAP", "SRP", "KRB5", "none", "None,CHAP", "", "NotUnderstood"][..]),
        (one_way(), &["None", "SRP", "chap", "CHAP,None", "NotUnderstood"]),
        (mutual(), &["None", "KRB5", "SPKM1", ""]),
    ] {
        for method in methods {
            match start(config.clone()).says(&[("AuthMethod", method)]).failed() {
                LoginError::Negotiation(error) => {
                    assert_eq!(error.key, Key::AuthMethod);
                    assert!(matches!(error.rule, Rule::Result(ResultFunction::First) | Rule::NotUnderstood));
                }
                other => panic!("{method}: {other:?}"),
            }
        }
    }
}

#[test]
fn r134_a_target_that_rejects_the_methods_gets_no_session() {
    for (config, offered) in [(config(), "None"), (one_way(), "CHAP"), (mutual(), "CHAP")] {
        for answer in ["Reject", "Irrelevant"] {
            let error = auth_error(start(config.clone()).says(&[("AuthMethod", answer)]));
            assert_eq!(error, AuthError::MethodRejected { offered: offered.into() });
        }
    }
}

#[test]
fn r118_an_algorithm_that_was_not_offered_ends_the_login() {
    for answer in ["9", "4", "abc", "5,6", ""] {
        let heard = chosen(one_way()).says(&[("CHAP_A", answer), ("CHAP_I", "1"), ("CHAP_C", CHALLENGE)]);
        assert_eq!(auth_error(heard), AuthError::Algorithm { answered: answer.into() });
    }
    for answer in ["Reject", "None", "NotUnderstood"] {
        let heard = chosen(one_way()).says(&[("CHAP_A", answer), ("CHAP_I", "1"), ("CHAP_C", CHALLENGE)]);
        assert_eq!(auth_error(heard), AuthError::Algorithm { answered: answer.into() });
    }
}

#[test]
fn r119_keys_of_another_step_end_the_login() {
    let [a, i, c] = QUESTION;
    let name = ("CHAP_N", "array");
    let response = ("CHAP_R", "0x00112233445566778899aabbccddeeff");
    for (talk, pairs, key) in [
        (start(one_way()), vec![("AuthMethod", "CHAP"), a, i, c], Key::ChapA),
        (start(one_way()), vec![a, i, c], Key::ChapA),
        (start(config()), vec![("AuthMethod", "None"), a], Key::ChapA),
        (start(mutual()), vec![name, response], Key::ChapN),
        (chosen(one_way()), vec![name, response], Key::ChapN),
        (chosen(mutual()), vec![a, i, c, name, response], Key::ChapN),
        (answered(one_way()), vec![name, response], Key::ChapN),
        (answered(one_way()), vec![response], Key::ChapR),
    ] {
        assert_eq!(auth_error(talk.says(&pairs)), unexpected(key));
    }
    for key in [Key::SrpSalt, Key::SrpB, Key::KrbApRep] {
        let heard = start(one_way()).says(&[("AuthMethod", "CHAP"), (key.as_ref(), "0x01")]);
        assert_eq!(auth_error(heard), unexpected(key));
    }
}

#[test]
fn r119_a_second_challenge_ends_the_login() {
    let rule = answered(mutual()).says(&QUESTION).misbehaved();
    assert_eq!(rule, PeerMisbehaved::RepeatedKey { key: "CHAP_A".into() });
}

#[test]
fn r119_a_question_has_all_its_keys() {
    for (left_out, key) in [(0, Key::ChapA), (1, Key::ChapI), (2, Key::ChapC)] {
        let mut pairs = QUESTION.to_vec();
        pairs.remove(left_out);
        assert_eq!(auth_error(chosen(one_way()).says(&pairs)), missing(key));
    }
    assert_eq!(auth_error(chosen(one_way()).says(&[])), missing(Key::ChapA));
}

#[test]
fn r120_an_identifier_beyond_a_byte_ends_the_login() {
    for answer in ["256", "-1", "", "0x100"] {
        let heard = chosen(one_way()).says(&[("CHAP_A", "5"), ("CHAP_I", answer), ("CHAP_C", CHALLENGE)]);
        assert_eq!(auth_error(heard), AuthError::Identifier { answered: answer.into() });
    }
}

#[test]
fn r121_r047_a_challenge_that_is_none_ends_the_login() {
    let ask = |challenge: &str| chosen(one_way()).says(&[("CHAP_A", "5"), ("CHAP_I", "1"), ("CHAP_C", challenge)]);
    assert_eq!(auth_error(ask("0x")), AuthError::EmptyChallenge);
    assert_eq!(auth_error(ask("0b")), AuthError::EmptyChallenge);
    for challenge in ["", "1234", "0xzz", "0b!", "0bAAA", "0bAAE=\n"] {
        assert_eq!(auth_error(ask(challenge)), AuthError::Malformed { key: Key::ChapC });
    }
    let long = value::base64(&[7; 1025]);
    assert_eq!(auth_error(ask(&long)), AuthError::Malformed { key: Key::ChapC });
    let longer = value::hex(&[7; 1025]);
    assert!(matches!(ask(&longer).misbehaved(), PeerMisbehaved::Text { .. }));
}

#[test]
fn r124_a_target_that_asks_our_own_question_gets_no_answer() {
    let ours = answered(mutual()).value("CHAP_C").unwrap();
    let heard = chosen(mutual()).says(&[("CHAP_A", "5"), ("CHAP_I", "1"), ("CHAP_C", &ours)]);
    assert_eq!(auth_error(heard), AuthError::ReflectedChallenge);
}

#[test]
fn r125_a_challenge_of_ours_that_comes_back_on_another_connection_gets_no_answer() {
    let config = mutual();
    let first = answered(config.clone());
    let reflected = first.value("CHAP_C").unwrap();
    let question = [("CHAP_A", "5"), ("CHAP_I", "64"), ("CHAP_C", reflected.as_str())];
    // The second login has another nonce, as real ones have; only the shared set can find the reflection.
    let second = |config: LoginConfig| {
        let (login, request) = Login::new(config, Nonce::from_bytes([0x99; 33])).unwrap();
        Talk::new(login, &request, Serial(7)).says(&[("AuthMethod", "CHAP")]).more().says(&question)
    };
    assert_eq!(auth_error(second(config.clone())), AuthError::ReflectedChallenge);
    let one_way = LoginConfig { challenges: config.challenges.clone(), ..one_way() };
    assert_eq!(auth_error(second(one_way)), AuthError::ReflectedChallenge);
    // Once the first login has ended, nothing waits for that answer any more.
    drop(first);
    second(config).more();
}

#[test]
fn r126_a_target_that_proves_itself_with_our_secret_gets_no_session() {
    let talk = answered(mutual());
    let reflected = proof(&talk, "alicesecret12");
    let heard = talk.says(&[("CHAP_N", "array"), ("CHAP_R", &reflected)]);
    assert_eq!(auth_error(heard), AuthError::ReflectedResponse);
}

#[test]
fn r126_a_target_that_sends_our_own_response_back_gets_no_session() {
    let talk = answered(mutual());
    let own = talk.value("CHAP_R").unwrap();
    assert_eq!(own, md5("42", "alicesecret12", CHALLENGE));
    let heard = talk.says(&[("CHAP_N", "array"), ("CHAP_R", &own)]);
    assert_eq!(auth_error(heard), AuthError::WrongResponse);
}

#[test]
fn r130_a_target_that_has_to_prove_itself_and_does_not_gets_no_session() {
    let right = |talk: &Talk| proof(talk, "arraysecret12");
    for stays in [false, true] {
        let says =
            |talk: Talk, pairs: &[(&str, &str)]| if stays { talk.says_and_stays(pairs) } else { talk.says(pairs) };
        assert_eq!(auth_error(says(answered(mutual()), &[])), missing(Key::ChapN));
        assert_eq!(auth_error(says(answered(mutual()), &[("TargetAlias", "x")])), missing(Key::ChapN));
        assert_eq!(auth_error(says(answered(mutual()), &[("CHAP_N", "array")])), missing(Key::ChapR));
        let talk = answered(mutual());
        let proof = right(&talk);
        assert_eq!(auth_error(says(talk, &[("CHAP_R", &proof)])), missing(Key::ChapN));
    }
}

#[test]
fn r130_a_wrong_proof_gets_no_session() {
    let zero = value::hex(&[0; 16]);
    let (short, long) = (value::hex(&[0; 15]), value::hex(&[0; 17]));
    for wrong in [zero.as_str(), &short, &long, "0x"] {
        let heard = answered(mutual()).says(&[("CHAP_N", "array"), ("CHAP_R", wrong)]);
        assert_eq!(auth_error(heard), AuthError::WrongResponse, "{wrong}");
    }
    for malformed in ["", "0xzz", "abc"] {
        let heard = answered(mutual()).says(&[("CHAP_N", "array"), ("CHAP_R", malformed)]);
        assert_eq!(auth_error(heard), AuthError::Malformed { key: Key::ChapR });
    }
    let talk = answered(mutual());
    let wrong = proof(&talk, "arraysecret13");
    assert_eq!(auth_error(talk.says(&[("CHAP_N", "array"), ("CHAP_R", &wrong)])), AuthError::WrongResponse);
}

#[test]
fn r131_a_target_of_another_name_gets_no_session() {
    for name in ["alice", "other", "Array"] {
        let talk = answered(mutual());
        let right = proof(&talk, "arraysecret12");
        let error = auth_error(talk.says(&[("CHAP_N", name), ("CHAP_R", &right)]));
        assert_eq!(error, AuthError::WrongName { expected: "array".into(), answered: name.into() });
    }
    let longest = "n".repeat(256);
    let heard = answered(mutual()).says(&[("CHAP_N", &longest), ("CHAP_R", "0x00")]);
    assert!(matches!(heard.misbehaved(), PeerMisbehaved::Text { .. }), "R-044");
}

#[test]
fn r132_the_operational_stage_has_no_room_for_authentication() {
    for key in [Key::ChapN, Key::ChapR, Key::SrpB] {
        let talk = answered(one_way()).says(&[]).more();
        let rule = talk.says_and_stays(&[(key.as_ref(), "0x00")]).misbehaved();
        assert_eq!(rule, PeerMisbehaved::MisplacedKey { key });
    }
}

#[test]
fn r136_no_step_sends_a_secret_in_the_clear() {
    let mut sent = Vec::new();
    let talk = start(mutual());
    sent.extend(talk.data.clone());
    let talk = talk.says(&[("AuthMethod", "CHAP")]).more();
    sent.extend(talk.data.clone());
    let talk = talk.says(&QUESTION).more();
    sent.extend(talk.data.clone());
    let sent = String::from_utf8(sent).unwrap();
    for secret in ["alicesecret12", "arraysecret12"] {
        assert!(!sent.contains(secret));
        assert!(!sent.contains(&value::hex(secret.as_bytes())[2..]));
        assert!(!sent.contains(&value::base64(secret.as_bytes())[2..]));
    }
}
