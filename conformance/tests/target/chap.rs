use conformance::target::config::{Chap, Config, Credentials, TargetConfig};
use conformance::target::core::Node;
use iscsi_proto::keys::value;
use iscsi_proto::pdu::{LoginResponse, LoginStatus, Stage};
use md5::{Digest, Md5};

use crate::peer::{INITIATOR, Peer, TARGET};

const FULL: Option<Stage> = Some(Stage::FullFeature);
const SECRET: &str = "secretsecret";
const OTHER: &str = "othersecret1";

fn md5(id: u8, secret: &str, challenge: &[u8]) -> Vec<u8> {
    Md5::new().chain_update([id]).chain_update(secret).chain_update(challenge).finalize().to_vec()
}

/// A node whose target wants CHAP, and which wants other CHAP for discovery.
fn node() -> std::sync::Arc<Node> {
    let chap = Chap::new(Credentials::new("user", SECRET)).mutual(Credentials::new("disk", OTHER));
    let target = TargetConfig::new(TARGET.parse().unwrap()).chap(chap);
    let discovery_chap = Some(Chap::new(Credentials::new("finder", OTHER)));
    Node::new(Config { targets: vec![target], discovery_chap, ..Config::default() }).unwrap().into()
}

/// The challenge, after a method and an algorithm were agreed on.
fn challenge(peer: &mut Peer, names: &[(&str, &str)]) -> (u8, Vec<u8>) {
    let keys: Vec<(&str, &str)> = names.iter().copied().chain([("AuthMethod", "CHAP,None")]).collect();
    let (response, text) = peer.login(Stage::Security, Some(Stage::Operational), &keys);
    assert_eq!((response.status, response.next), (LoginStatus::SUCCESS, None), "not before authentication");
    assert!(text.contains(&"AuthMethod=CHAP".to_owned()));
    let (_, text) = peer.login(Stage::Security, None, &[("CHAP_A", "5")]);
    let [algorithm, id, challenge] = &text[..] else { panic!("{text:?}") };
    assert_eq!(algorithm, "CHAP_A=5");
    let id = id.strip_prefix("CHAP_I=").unwrap().parse().unwrap();
    (id, value::binary(challenge.strip_prefix("CHAP_C=").unwrap(), 1024).unwrap())
}

fn target_names() -> Vec<(&'static str, &'static str)> {
    vec![("InitiatorName", INITIATOR), ("TargetName", TARGET)]
}

fn log_in(names: &[(&str, &str)], user: &str, secret: &str) -> LoginResponse {
    let mut peer = Peer::new(&node());
    let (id, challenge) = challenge(&mut peer, names);
    let response = value::hex(&md5(id, secret, &challenge));
    peer.login(Stage::Security, FULL, &[("CHAP_N", user), ("CHAP_R", &response)]).0
}

#[test]
fn good_credentials_log_in_and_others_do_not() {
    let discovery = [("InitiatorName", INITIATOR), ("SessionType", "Discovery")];
    for (names, user, secret, ok) in [
        (&target_names()[..], "user", SECRET, true),
        (&target_names(), "user", OTHER, false),
        (&target_names(), "finder", SECRET, false),
        (&target_names(), "finder", OTHER, false),
        (&discovery, "finder", OTHER, true),
        (&discovery, "user", SECRET, false),
    ] {
        let response = log_in(names, user, secret);
        let status = if ok { LoginStatus::SUCCESS } else { LoginStatus::AUTHENTICATION_FAILURE };
        assert_eq!((response.status, response.next), (status, FULL.filter(|_| ok)), "{names:?} {user} {secret}");
    }
}

#[test]
fn nobody_gets_past_authentication_without_it() {
    for (stage, keys) in [
        (Stage::Operational, &[][..]),
        (Stage::Security, &[]),
        (Stage::Security, &[("AuthMethod", "None")]),
        (Stage::Security, &[("CHAP_A", "5")]),
        (Stage::Security, &[("AuthMethod", "CHAP"), ("CHAP_A", "5")]),
    ] {
        let mut peer = Peer::new(&node());
        let keys: Vec<(&str, &str)> = target_names().into_iter().chain(keys.iter().copied()).collect();
        let (response, _) = peer.login(stage, FULL, &keys);
        assert_eq!(response.status, LoginStatus::AUTHENTICATION_FAILURE, "{keys:?}");
        assert!(!peer.is_open());
    }
}

#[test]
fn an_initiator_that_stops_halfway_stays_in_the_security_stage() {
    let mut peer = Peer::new(&node());
    challenge(&mut peer, &target_names());
    let (response, text) = peer.login(Stage::Security, FULL, &[]);
    assert_eq!((response.status, response.next, text), (LoginStatus::SUCCESS, None, vec![]));
}

#[test]
fn mutual_authentication_gives_the_proof_with_the_transition() {
    let mut peer = Peer::new(&node());
    let (id, challenge) = challenge(&mut peer, &target_names());
    let response = value::base64(&md5(id, SECRET, &challenge));
    let ours = value::hex(&[7; 20]);
    let keys = [("CHAP_N", "user"), ("CHAP_R", &response), ("CHAP_I", "200"), ("CHAP_C", &ours)];
    let (response, text) = peer.login(Stage::Security, FULL, &keys);
    assert_eq!((response.status, response.next), (LoginStatus::SUCCESS, FULL));
    assert_eq!(text, ["CHAP_N=disk".to_owned(), format!("CHAP_R={}", value::hex(&md5(200, OTHER, &[7; 20])))]);
}

#[test]
fn keys_after_the_end_of_authentication_are_refused() {
    let mut peer = Peer::new(&node());
    let (id, challenge) = challenge(&mut peer, &target_names());
    let response = value::hex(&md5(id, SECRET, &challenge));
    peer.login(Stage::Security, None, &[("CHAP_N", "user"), ("CHAP_R", &response)]);
    let (response, _) = peer.login(Stage::Security, FULL, &[("CHAP_I", "1")]);
    assert_eq!(response.status, LoginStatus::AUTHENTICATION_FAILURE);
}
