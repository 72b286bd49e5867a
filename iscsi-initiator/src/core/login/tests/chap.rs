//! The steps of CHAP with a target that keeps to them.

use iscsi_proto::keys::value;
use md5::{Digest, Md5};

use super::*;
use crate::core::chap::Algorithm;
use crate::core::secret::CredentialError;

pub(super) const CHALLENGE: &str = "0x000102030405060708090a0b0c0d0e0f";
pub(super) const QUESTION: [(&str, &str); 3] = [("CHAP_A", "5"), ("CHAP_I", "42"), ("CHAP_C", CHALLENGE)];

/// A login by CHAP after the target has chosen it.
pub(super) fn chosen(config: LoginConfig) -> Talk {
    start(config).says(&[("AuthMethod", "CHAP")]).more()
}

/// A login by CHAP that has answered the target's question.
pub(super) fn answered(config: LoginConfig) -> Talk {
    chosen(config).says(&QUESTION).more()
}

/// An MD5 response, by other code than that under test.
pub(super) fn md5(identifier: &str, secret: &str, challenge: &str) -> String {
    let identifier: u8 = identifier.parse().unwrap();
    let challenge = value::binary(challenge, 1024).unwrap();
    value::hex(&Md5::digest([&[identifier], secret.as_bytes(), &challenge].concat()))
}

/// The proof that a target with this secret owes to the challenge in `talk`.
pub(super) fn proof(talk: &Talk, secret: &str) -> String {
    md5(&talk.value("CHAP_I").unwrap(), secret, &talk.value("CHAP_C").unwrap())
}

#[test]
fn r115_the_initiator_proves_itself() {
    let talk = answered(one_way());
    let expected = md5("42", "alicesecret12", CHALLENGE);
    assert_eq!(talk.line(), format!("CHAP_N=alice CHAP_R={expected}"));
    assert_eq!(talk.request.next, Some(Stage::Operational));
    let talk = talk.says(&[]).more();
    assert_eq!(talk.request.current, Stage::Operational);
    assert_eq!(talk.ends(&[]).done().authentication, Authentication::Initiator(Algorithm::Md5));
}

#[test]
fn r115_both_sides_prove_themselves_with_every_algorithm() {
    for algorithm in Algorithm::ALL {
        let number = algorithm.number().to_string();
        let talk = chosen(mutual()).says(&[("CHAP_A", &number), ("CHAP_I", "1"), ("CHAP_C", CHALLENGE)]).more();
        let length = |key| value::binary(&talk.value(key).unwrap(), 1024).unwrap().len();
        assert_eq!((length("CHAP_R"), length("CHAP_C")), (algorithm.response_len(), algorithm.response_len()));
        let proof = match algorithm {
            Algorithm::Md5 => proof(&talk, "arraysecret12"),
            // Over 0x40, "arraysecret12" and the challenge 0x41 0x42 …, computed with Python's hashlib.
            Algorithm::Sha1 => "0xce858baeaec3441e6b147ab26a2bd2da7bf82f38".into(),
            Algorithm::Sha256 => "0x9093e2acb69d2c9c1cf0b3f9885055e0f1a92bcbab14af3bbe78339ebe135f02".into(),
            Algorithm::Sha3_256 => "0x026db48bdad0f5dda1b45b696dfb0c09ab63743e5508af81dcffbb3934aaac25".into(),
        };
        let done = talk.says(&[("CHAP_N", "array"), ("CHAP_R", &proof)]).more().ends(&[]).done();
        assert_eq!(done.authentication, Authentication::Mutual(algorithm));
    }
}

#[test]
fn r115_a_target_may_prove_itself_before_it_ends_the_stage() {
    let talk = answered(mutual());
    let proof = proof(&talk, "arraysecret12");
    let talk = talk.says_and_stays(&[("CHAP_N", "array"), ("CHAP_R", &proof)]).more();
    assert_eq!((talk.data.len(), talk.request.next), (0, Some(Stage::Operational)));
    let talk = talk.says(&[]).more();
    assert_eq!(talk.ends(&[]).done().authentication, Authentication::Mutual(Algorithm::Md5));
}

#[test]
fn r116_the_initiator_makes_the_first_step_in_the_request_after_the_choice() {
    let talk = start(one_way());
    assert_eq!((talk.value("AuthMethod").as_deref(), talk.request.next), (Some("CHAP"), None));
    let talk = talk.says(&[("AuthMethod", "CHAP"), ("TargetPortalGroupTag", "1")]).more();
    assert_eq!((talk.line().as_str(), talk.request.next), ("CHAP_A=8,6,5,7", None));
}

#[test]
fn r117_the_offered_algorithms_are_the_configured_ones_in_their_order() {
    let chap = Chap::new(credentials("alice", "alicesecret12"));
    let chap = chap.with_algorithms(&[Algorithm::Md5, Algorithm::Sha256]).unwrap();
    let talk = chosen(LoginConfig { auth: Auth::Chap(chap), ..config() });
    assert_eq!(talk.line(), "CHAP_A=5,7");
}

#[test]
fn r123_a_challenge_may_be_base64() {
    let question = [("CHAP_A", "5"), ("CHAP_I", "42"), ("CHAP_C", "0bAAECAwQFBgcICQoLDA0ODw==")];
    let talk = chosen(one_way()).says(&question).more();
    assert_eq!(talk.value("CHAP_R"), Some(md5("42", "alicesecret12", CHALLENGE)));
}

#[test]
fn r046_an_odd_number_of_hexadecimal_digits_means_a_leading_zero() {
    let talk = chosen(one_way()).says(&[("CHAP_A", "5"), ("CHAP_I", "42"), ("CHAP_C", "0xabc")]).more();
    assert_eq!(talk.value("CHAP_R"), Some(md5("42", "alicesecret12", "0x0abc")));
}

#[test]
fn r121_challenges_of_1_to_1024_bytes_are_answered() {
    for len in [1, 1024] {
        let challenge = value::hex(&vec![9; len]);
        let talk = chosen(one_way()).says(&[("CHAP_A", "5"), ("CHAP_I", "0"), ("CHAP_C", &challenge)]).more();
        assert_eq!(talk.value("CHAP_R"), Some(md5("0", "alicesecret12", &challenge)));
    }
}

#[test]
fn r128_a_short_secret_is_refused_at_the_start_where_policy_says_so() {
    let login = |chap: Chap| Login::new(LoginConfig { auth: Auth::Chap(chap), ..config() }, nonce()).err();
    let short = Chap::new(credentials("alice", "elevenbytes"));
    assert_eq!(login(short.clone()), None);
    let error = CredentialError::ShortSecret { user: "alice".into() };
    assert_eq!(login(short.strong_secrets_only()), Some(error.into()));
}

#[test]
fn r133_none_is_offered_only_where_it_is_allowed() {
    let offered = |config| start(config).value("AuthMethod").unwrap();
    assert_eq!(offered(config()), "None");
    assert_eq!(offered(one_way()), "CHAP");
    assert_eq!(offered(mutual()), "CHAP");
    let optional = Chap::new(credentials("alice", "alicesecret12")).or_none();
    let config = LoginConfig { auth: Auth::Chap(optional.clone()), ..config() };
    assert_eq!(offered(config.clone()), "CHAP,None");
    let talk = start(config.clone()).says(&[("AuthMethod", "None")]).more();
    assert_eq!((talk.data.len(), talk.request.next), (0, Some(Stage::Operational)));
    assert_eq!(talk.says(&[]).more().ends(&[]).done().authentication, Authentication::None);
    let talk = answered(config.clone()).says(&[]).more();
    assert_eq!(talk.ends(&[]).done().authentication, Authentication::Initiator(Algorithm::Md5));
    let both = optional.with_target(credentials("array", "arraysecret12")).unwrap();
    let error = Login::new(LoginConfig { auth: Auth::Chap(both), ..config }, nonce()).unwrap_err();
    assert_eq!(error, CredentialError::MutualOrNone.into());
}

#[test]
fn r135_a_further_connection_authenticates_like_the_first() {
    let purpose = Purpose::Connection {
        target: TARGET.parse().unwrap(),
        tsih: NonZeroU16::MIN,
        in_force: Box::default(),
        exp_stat_sn: Serial(0),
    };
    let talk = start(LoginConfig { purpose, ..mutual() });
    assert_eq!(talk.value("AuthMethod").as_deref(), Some("CHAP"));
    let talk = talk.says(&[("AuthMethod", "CHAP")]).more().says(&QUESTION).more();
    assert!(talk.value("CHAP_C").is_some());
}

#[test]
fn r137_no_secret_is_printed_with_a_login_or_its_configuration() {
    let config = mutual();
    let printed = format!("{config:?} {:?} {:?}", start(config.clone()), answered(config.clone()));
    assert!(printed.contains("alice") && printed.contains("Secret(***)"));
    assert!(!printed.contains("secret12"), "{printed}");
}

#[test]
fn r101_a_redirection_says_whether_the_target_had_proved_itself() {
    let moved = |response: &mut LoginResponse| response.status = LoginStatus::MOVED_TEMPORARILY;
    let address = [("TargetAddress", "10.0.0.9")];
    for talk in [start(mutual()), chosen(mutual()), answered(mutual()), answered(one_way()).says(&[]).more()] {
        assert!(!talk.says_but(&address, moved).redirect().authenticated);
    }
    let talk = answered(mutual());
    let proof = proof(&talk, "arraysecret12");
    let talk = talk.says(&[("CHAP_N", "array"), ("CHAP_R", &proof)]).more();
    assert!(talk.says_but(&address, moved).redirect().authenticated);
}
