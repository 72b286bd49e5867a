//! CHAP (RFC 1994; sections 9.2.1 and 12.1.3): a target that does not prove itself gets no session.

use iscsi_initiator::core::chap::{Algorithm, AuthError};
use iscsi_initiator::core::login::{Authentication, LoginError};
use iscsi_initiator::core::secret::{Auth, Chap, Credentials};
use iscsi_initiator::{Builder, ConnectError, Session};
use iscsi_proto::keys::text::{self, Pair};
use iscsi_proto::keys::value;
use iscsi_proto::pdu::{LoginRequest, LoginResponse, LoginStatus, Stage};
use md5::{Digest, Md5};

use crate::support::peer::Peer;
use crate::support::world::{Running, builder, ended, logging_in, refused};

type Login = Running<Result<Session, ConnectError>>;

const OURS: &str = "alicesecret12";
const THEIRS: &str = "arraysecret12";
const CHALLENGE: &str = "0x000102030405060708090a0b0c0d0e0f";

fn credentials(user: &str, secret: &str) -> Credentials {
    Credentials::new(user, secret.parse().expect("a secret")).expect("credentials")
}

fn one_way() -> Builder {
    builder().auth(Auth::Chap(Chap::new(credentials("alice", OURS))))
}

fn mutual() -> Builder {
    let chap = Chap::new(credentials("alice", OURS)).with_target(credentials("array", THEIRS));
    builder().auth(Auth::Chap(chap.expect("two secrets")))
}

fn md5(identifier: &str, secret: &str, challenge: &str) -> String {
    let identifier: u8 = identifier.parse().expect("a byte");
    let challenge = value::binary(challenge, 1024).expect("bytes");
    value::hex(&Md5::digest([&[identifier], secret.as_bytes(), &challenge].concat()))
}

fn get<'a>(pairs: &'a [Pair], key: &str) -> &'a str {
    pairs.iter().find(|pair| pair.key == key).map_or("", |pair| &pair.value)
}

/// The login up to the initiator's answer to the target's question.
async fn questioned(peer: &mut Peer) -> (LoginRequest, Vec<Pair>) {
    let (first, _) = peer.login_request().await;
    peer.grant(&first, &[("AuthMethod", "CHAP")]).await;
    let (second, _) = peer.login_request().await;
    peer.grant(&second, &[("CHAP_A", "5"), ("CHAP_I", "7"), ("CHAP_C", CHALLENGE)]).await;
    peer.login_request().await
}

async fn authenticated(login: Login, peer: &mut Peer) -> Authentication {
    peer.log_in(&[]).await;
    ended(login).await.expect("a session").info().authentication
}

/// Why there is no session.
async fn failed(login: Login, peer: &mut Peer) -> LoginError {
    match refused(login, peer).await {
        ConnectError::Login(error) => error,
        other => panic!("{other}"),
    }
}

///
#[tokio::test(start_paused = true)]
async fn the_initiator_proves_itself_and_never_sends_its_secret() {
    let (login, mut peer) = logging_in(one_way());
    let (first, pairs) = peer.login_request().await;
    assert_eq!(get(&pairs, "AuthMethod"), "CHAP");
    peer.grant(&first, &[("AuthMethod", "CHAP")]).await;
    let (second, pairs) = peer.login_request().await;
    assert!(get(&pairs, "CHAP_A").split(',').any(|algorithm| algorithm == "5"));
    peer.grant(&second, &[("CHAP_A", "5"), ("CHAP_I", "7"), ("CHAP_C", CHALLENGE)]).await;
    let (third, pairs) = peer.login_request().await;
    assert_eq!((get(&pairs, "CHAP_N"), get(&pairs, "CHAP_R")), ("alice", md5("7", OURS, CHALLENGE).as_str()));
    assert!(!format!("{pairs:?}").contains(OURS));
    peer.grant(&third, &[]).await;
    assert_eq!(authenticated(login, &mut peer).await, Authentication::Initiator(Algorithm::Md5));
}

/// the target's proof in either form.
#[tokio::test(start_paused = true)]
async fn the_target_proves_itself() {
    for base64 in [false, true] {
        let (login, mut peer) = logging_in(mutual());
        let (request, pairs) = questioned(&mut peer).await;
        let mut proof = md5(get(&pairs, "CHAP_I"), THEIRS, get(&pairs, "CHAP_C"));
        if base64 {
            proof = value::base64(&value::binary(&proof, 64).unwrap());
        }
        peer.grant(&request, &[("CHAP_N", "array"), ("CHAP_R", &proof)]).await;
        assert_eq!(authenticated(login, &mut peer).await, Authentication::Mutual(Algorithm::Md5));
    }
}

/// no proof, a wrong one, our own, one of another name.
#[tokio::test(start_paused = true)]
async fn a_target_without_a_proof_gets_no_session() {
    for case in 0..9 {
        let (login, mut peer) = logging_in(mutual());
        let (request, pairs) = questioned(&mut peer).await;
        let (identifier, challenge) = (get(&pairs, "CHAP_I"), get(&pairs, "CHAP_C"));
        let right = md5(identifier, THEIRS, challenge);
        let ours = md5(identifier, OURS, challenge);
        let (short, long) = (right[..right.len() - 2].to_owned(), format!("{right}00"));
        let answers: Vec<(&str, &str)> = match case {
            0 => vec![],
            1 => vec![("CHAP_N", "array")],
            2 => vec![("CHAP_R", &right)],
            3 => vec![("CHAP_N", "array"), ("CHAP_R", "0x00000000000000000000000000000000")],
            4 => vec![("CHAP_N", "array"), ("CHAP_R", &ours)],
            5 => vec![("CHAP_N", "array"), ("CHAP_R", get(&pairs, "CHAP_R"))],
            6 => vec![("CHAP_N", "array"), ("CHAP_R", &short)],
            7 => vec![("CHAP_N", "array"), ("CHAP_R", &long)],
            _ => vec![("CHAP_N", "mallory"), ("CHAP_R", &right)],
        };
        peer.grant(&request, &answers).await;
        let error = failed(login, &mut peer).await;
        assert!(matches!(error, LoginError::Auth(_)), "case {case}: {error}");
        assert!(!error.is_retriable());
    }
}

/// there is no way around the challenge, at no step and to no stage.
#[tokio::test(start_paused = true)]
async fn a_target_that_skips_a_step_gets_no_session() {
    for step in 0..3 {
        for stage in [Stage::Operational, Stage::FullFeature] {
            let (login, mut peer) = logging_in(mutual());
            let (mut request, _) = peer.login_request().await;
            for answers in [&[("AuthMethod", "CHAP")][..], &[("CHAP_A", "5"), ("CHAP_I", "7"), ("CHAP_C", CHALLENGE)]]
                .iter()
                .take(step)
            {
                peer.grant(&request, answers).await;
                request = peer.login_request().await.0;
            }
            let tsih = 0x77;
            let response = LoginResponse { next: Some(stage), tsih, ..peer.login_response(&request) };
            let answers: &[(&str, &str)] = if step == 0 { &[("AuthMethod", "CHAP")] } else { &[] };
            peer.say(response, &text::encode(answers.iter().copied())).await;
            let error = failed(login, &mut peer).await;
            assert!(matches!(error, LoginError::Auth(_) | LoginError::Misbehaved(_)), "{step} {stage:?}: {error}");
        }
    }
}

/// not even where the target would let us in.
#[tokio::test(start_paused = true)]
async fn a_target_that_does_not_choose_chap_gets_no_session() {
    for method in ["None", "Reject", "SRP", "KRB5", "chap", "CHAP,None", "", "NotUnderstood", "Irrelevant"] {
        let (login, mut peer) = logging_in(one_way());
        let (request, _) = peer.login_request().await;
        peer.grant(&request, &[("AuthMethod", method)]).await;
        let error = failed(login, &mut peer).await;
        assert!(!matches!(error, LoginError::Refused { .. } | LoginError::Closed { .. }), "{method}: {error}");
    }
}

///
#[tokio::test(start_paused = true)]
async fn a_question_that_is_none_gets_no_answer() {
    let long = format!("0x{}", "ab".repeat(1025));
    for question in [
        [("CHAP_A", "9"), ("CHAP_I", "7"), ("CHAP_C", CHALLENGE)],
        [("CHAP_A", "abc"), ("CHAP_I", "7"), ("CHAP_C", CHALLENGE)],
        [("CHAP_A", "5,6"), ("CHAP_I", "7"), ("CHAP_C", CHALLENGE)],
        [("CHAP_A", "5"), ("CHAP_I", "256"), ("CHAP_C", CHALLENGE)],
        [("CHAP_A", "5"), ("CHAP_I", "-1"), ("CHAP_C", CHALLENGE)],
        [("CHAP_A", "5"), ("CHAP_I", ""), ("CHAP_C", CHALLENGE)],
        [("CHAP_A", "5"), ("CHAP_I", "7"), ("CHAP_C", "0x")],
        [("CHAP_A", "5"), ("CHAP_I", "7"), ("CHAP_C", &long)],
        [("CHAP_A", "5"), ("CHAP_I", "7"), ("CHAP_C", "0xgg")],
        [("CHAP_A", "5"), ("CHAP_N", "array"), ("CHAP_C", CHALLENGE)],
        [("CHAP_N", "array"), ("CHAP_R", CHALLENGE), ("CHAP_A", "5")],
    ] {
        let (login, mut peer) = logging_in(mutual());
        let (first, _) = peer.login_request().await;
        peer.grant(&first, &[("AuthMethod", "CHAP")]).await;
        let (second, _) = peer.login_request().await;
        peer.grant(&second, &question).await;
        let error = failed(login, &mut peer).await;
        assert!(matches!(error, LoginError::Auth(_) | LoginError::Misbehaved(_)), "{question:?}: {error}");
    }
}

/// our challenge on one connection comes back as the question on another.
#[tokio::test(start_paused = true)]
async fn a_challenge_that_is_reflected_gets_no_answer() {
    let (first, mut peer) = logging_in(mutual());
    let (_, pairs) = questioned(&mut peer).await;
    let (identifier, challenge) = (get(&pairs, "CHAP_I").to_owned(), get(&pairs, "CHAP_C").to_owned());
    let (second, mut other) = logging_in(mutual());
    let (request, _) = other.login_request().await;
    other.grant(&request, &[("AuthMethod", "CHAP")]).await;
    let (request, _) = other.login_request().await;
    other.grant(&request, &[("CHAP_A", "5"), ("CHAP_I", &identifier), ("CHAP_C", &challenge)]).await;
    let error = failed(second, &mut other).await;
    assert!(matches!(error, LoginError::Auth(AuthError::ReflectedChallenge)), "{error}");
    drop(peer);
    assert!(ended(first).await.is_err());
}

///
#[tokio::test(start_paused = true)]
async fn every_login_asks_another_question() {
    let mut challenges = Vec::new();
    for _ in 0..20 {
        let (login, mut peer) = logging_in(mutual());
        let (_, pairs) = questioned(&mut peer).await;
        let challenge = get(&pairs, "CHAP_C").to_owned();
        assert!(challenge.len() >= 2 + 2 * 16 && challenge != CHALLENGE);
        assert!(!challenges.contains(&challenge));
        challenges.push(challenge);
        drop(peer);
        assert!(ended(login).await.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn r138_a_wrong_password_is_told_as_such_and_not_tried_again() {
    let (login, mut peer) = logging_in(one_way());
    let (request, _) = questioned(&mut peer).await;
    let response = LoginResponse { status: LoginStatus::new(2, 1), ..peer.login_response(&request) };
    peer.say(response, &[]).await;
    let error = failed(login, &mut peer).await;
    assert!(!error.is_retriable());
    assert_eq!(error.status(), Some(LoginStatus::new(2, 1)));
    assert!(error.to_string().contains("secret"), "{error}");
}
