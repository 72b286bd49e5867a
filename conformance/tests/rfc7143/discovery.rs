//! Discovery by SendTargets (section 4.3 and appendix C).

use iscsi_initiator::core::CommandError;
use iscsi_initiator::core::targets::Targets;
use iscsi_initiator::{ConnectError, Discovery};
use iscsi_proto::keys::text;
use iscsi_proto::pdu::{
    LogoutReason, LogoutResponse, LogoutResult, Pdu, Reject, RejectReason, TextRequest, TextResponse,
};
use iscsi_proto::portal::Portal;
use iscsi_proto::scsi::Lun;
use iscsi_proto::serial::Serial;
use iscsi_proto::tags::{Itt, Ttt};

use crate::support::peer::Peer;
use crate::support::world::{Running, config, ended, initiator};

pub(crate) type Discovering = Running<Result<Targets, ConnectError>>;

fn portal() -> Portal {
    "192.0.2.7:3261".parse().expect("a portal")
}

/// A discovery that has logged in and asked; the question is checked.
pub(crate) async fn asked() -> (Discovering, Peer, TextRequest) {
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    let discovery = Discovery::new(&initiator()).config(config());
    let running = tokio::spawn(async move { discovery.send_targets_with(ours, &portal()).await });
    let mut peer = Peer::new(theirs);
    peer.log_in(&[]).await;
    let (Pdu::TextRequest(request), data) = peer.hear().await else { panic!("no text") };
    assert_eq!(data[..], b"SendTargets=All\0"[..]);
    assert!(request.fin && !request.more && request.ttt.is_reserved());
    (running, peer, request)
}

/// Answers, all at once.
pub(crate) async fn tell(peer: &mut Peer, itt: Itt, answer: &[u8]) {
    let numbering = peer.status();
    let lun = Lun::ZERO;
    peer.say(TextResponse { fin: true, more: false, lun, itt, ttt: Ttt::RESERVED, numbering }, answer).await;
}

/// The initiator logs out, and closes the connection.
pub(crate) async fn says_goodbye(peer: &mut Peer) {
    let (Pdu::LogoutRequest(logout), _) = peer.hear().await else { panic!("no logout") };
    assert_eq!(logout.reason, LogoutReason::CloseSession);
    let (itt, numbering) = (logout.itt, peer.status());
    let result = LogoutResult::Closed;
    peer.say(LogoutResponse { result, itt, numbering, time2wait: 0, time2retain: 0 }, &[]).await;
    peer.hears_the_end().await;
}

/// login as discovery, one question, a logout, and nothing else.
#[tokio::test(start_paused = true)]
async fn discovery_is_one_question_and_a_goodbye() {
    let (ours, theirs) = tokio::io::duplex(1 << 20);
    let discovery = Discovery::new(&initiator()).config(config());
    let running = tokio::spawn(async move { discovery.send_targets_with(ours, &portal()).await });
    let mut peer = Peer::new(theirs);
    let (first, pairs) = peer.login_request().await;
    let value = |key: &str| pairs.iter().find(|pair| pair.key == key).map(|pair| pair.value.as_str());
    assert_eq!((value("SessionType"), value("TargetName")), (Some("Discovery"), None));
    peer.grant(&first, &[("AuthMethod", "None")]).await;
    let (second, pairs) = peer.login_request().await;
    for key in ["MaxConnections", "InitialR2T", "ImmediateData", "MaxBurstLength", "FirstBurstLength"] {
        assert!(pairs.iter().all(|pair| pair.key != key), "{key} means nothing in discovery");
    }
    peer.grant(&second, &[]).await;
    let (Pdu::TextRequest(request), data) = peer.hear().await else { panic!() };
    assert_eq!(data[..], b"SendTargets=All\0"[..]);
    tell(&mut peer, request.itt, b"TargetName=iqn.2026-01.org.example:a\0").await;
    says_goodbye(&mut peer).await;
    let found = ended(running).await.unwrap();
    assert_eq!(found.targets.len(), 1);
    assert_eq!(found.targets[0].addresses, [portal().into()]);
}

/// what a normal session asks for is its user's to say; it asks for nothing on its own.
#[tokio::test(start_paused = true)]
async fn a_normal_session_asks_for_no_targets() {
    let mut world = crate::support::world::World::new().await;
    world.works().await;
    world.peer.hears_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn r146_no_target_is_an_answer() {
    let (running, mut peer, request) = asked().await;
    tell(&mut peer, request.itt, b"").await;
    says_goodbye(&mut peer).await;
    assert!(ended(running).await.unwrap().targets.is_empty());
}

///
#[tokio::test(start_paused = true)]
async fn a_long_answer_comes_in_parts_of_any_length() {
    let names: Vec<String> = (0..1000).map(|i| format!("iqn.2026-01.org.example:disk{i}")).collect();
    let pairs = names.iter().flat_map(|name| [("TargetName", name.as_str()), ("TargetAddress", "192.0.2.9:3260,1")]);
    let twice: Vec<u8> = [text::encode(pairs.clone()), text::encode(pairs)].concat();
    let (running, mut peer, request) = asked().await;
    let parts: Vec<&[u8]> = twice.chunks(511).collect();
    for (index, part) in parts.iter().enumerate() {
        let (numbering, lun) = (peer.status(), Lun::from(1));
        let last = index + 1 == parts.len();
        let ttt = if last { Ttt::RESERVED } else { Ttt(index as u32) };
        peer.say(TextResponse { fin: last, more: false, lun, itt: request.itt, ttt, numbering }, part).await;
        if !last {
            let (Pdu::TextRequest(next), data) = peer.hear().await else { panic!() };
            assert!(data.is_empty() && next.ttt == ttt && next.itt == request.itt);
        }
    }
    says_goodbye(&mut peer).await;
    let found = ended(running).await.unwrap();
    let told: Vec<String> = found.targets.iter().map(|target| target.name.to_string()).collect();
    assert_eq!(told, names);
    assert!(found.targets.iter().all(|target| target.addresses.len() == 1));
}

/// a target that starts to negotiate gets no answer to that, and the session still ends well.
#[tokio::test(start_paused = true)]
async fn an_answer_with_other_keys_is_refused_after_a_goodbye() {
    for answer in [
        &b"TargetName=iqn.2026-01.org.example:a\0MaxBurstLength=512\0"[..],
        b"MaxRecvDataSegmentLength=512\0",
        b"TargetName=iqn.2026-01.org.example:a\0TargetAlias=x\0",
        b"TargetAddress=192.0.2.9,1\0TargetName=iqn.2026-01.org.example:a\0",
    ] {
        let (running, mut peer, request) = asked().await;
        tell(&mut peer, request.itt, answer).await;
        says_goodbye(&mut peer).await;
        assert!(matches!(ended(running).await, Err(ConnectError::Targets(_))));
    }
}

#[tokio::test(start_paused = true)]
async fn r152_an_error_leaves_no_connection_behind() {
    let (running, mut peer, request) = asked().await;
    let numbering = peer.status();
    let reject = Reject { reason: RejectReason::CommandNotSupported, numbering, data_sn: Serial(0) };
    peer.say(reject, request.encode().as_bytes()).await;
    let error = ended(running).await.unwrap_err();
    assert!(matches!(error, ConnectError::Discovery(CommandError::Rejected(_))), "{error}");
    peer.hears_the_end().await;

    let (running, mut peer, _) = asked().await;
    peer.hears_nothing().await;
    assert!(matches!(ended(running).await, Err(ConnectError::Discovery(CommandError::Closed { .. }))));
    peer.hears_the_end().await;

    let (running, peer, _) = asked().await;
    drop(peer);
    assert!(matches!(ended(running).await, Err(ConnectError::Discovery(CommandError::Closed { .. }))));

    let (running, mut peer, _) = asked().await;
    running.abort();
    peer.hears_the_end().await;
}
