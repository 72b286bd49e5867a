//! Text keys in login (sections 6 and 13).

use iscsi_initiator::core::login::LoginError;
use iscsi_initiator::{ConnectError, Session};
use iscsi_proto::keys::text::{self, Pair};

use crate::support::peer::Peer;
use crate::support::world::{Running, builder, ended, logging_in, offering, refused};

type Login = Running<Result<Session, ConnectError>>;

/// A login whose operational offers wait for their answers.
async fn offered() -> (Login, Peer, iscsi_proto::pdu::LoginRequest, Vec<Pair>) {
    let (login, mut peer) = logging_in(builder().config(offering(|offer| {
        offer.max_burst_length = 65536;
        offer.first_burst_length = 8192;
        offer.max_outstanding_r2t = 4;
        offer.default_time2wait = 5;
        offer.default_time2retain = 5;
        (offer.initial_r2t, offer.immediate_data) = (true, false);
    })));
    let (first, _) = peer.login_request().await;
    peer.grant(&first, &[("AuthMethod", "None")]).await;
    let (second, pairs) = peer.login_request().await;
    (login, peer, second, pairs)
}

/// The operational offers are answered by this text.
async fn answered(answer: &[u8]) -> Result<Session, ConnectError> {
    let (login, mut peer, request, _) = offered().await;
    let response = peer.login_response(&request);
    peer.say(response, answer).await;
    if peer.next_within_login().await {
        return Err(refused(login, &mut peer).await);
    }
    ended(login).await
}

impl Peer {
    /// Whether the initiator has closed the connection rather than waiting in its full feature phase.
    async fn next_within_login(&mut self) -> bool {
        let patience = std::time::Duration::from_millis(1);
        tokio::time::timeout(patience, self.next()).await.is_ok_and(|heard| heard.is_none())
    }
}

/// the connection is closed.
#[tokio::test(start_paused = true)]
async fn answers_that_break_a_rule_end_the_login_and_the_connection() {
    for answer in [
        "MaxBurstLength=65537",
        "MaxBurstLength=511",
        "MaxBurstLength=16777216",
        "MaxBurstLength=18446744073709551616",
        "MaxBurstLength=-1",
        "MaxBurstLength=512 ",
        "MaxBurstLength=0x",
        "MaxBurstLength=512~1024",
        "MaxBurstLength=",
        "MaxBurstLength=Yes",
        "MaxBurstLength=NotUnderstood",
        "FirstBurstLength=8193",
        "FirstBurstLength=511",
        "MaxOutstandingR2T=5",
        "MaxOutstandingR2T=0",
        "MaxConnections=2",
        "ErrorRecoveryLevel=1",
        "ErrorRecoveryLevel=3",
        "DefaultTime2Wait=4",
        "DefaultTime2Wait=3601",
        "DefaultTime2Retain=6",
        "InitialR2T=No",
        "InitialR2T=yes",
        "InitialR2T=Maybe",
        "ImmediateData=Yes",
        "DataPDUInOrder=No",
        "DataSequenceInOrder=No",
        "HeaderDigest=CRC32C",
        "DataDigest=crc32c",
        "MaxRecvDataSegmentLength=0",
        "MaxRecvDataSegmentLength=511",
        "MaxRecvDataSegmentLength=16777216",
        "MaxBurstLength=8192\0MaxBurstLength=8192",
        "InitiatorName=iqn.2026-01.org.example:a",
        "AuthMethod=None",
        "CHAP_A=5",
        "SendTargets=All",
        "lower=case",
        "NoEqualsSign",
        "TargetAlias=\u{0}=",
    ] {
        let mut answer = answer.as_bytes().to_vec();
        answer.push(0);
        let result = answered(&answer).await;
        let Err(ConnectError::Login(error)) = result else {
            panic!("{}: {result:?}", String::from_utf8_lossy(&answer))
        };
        assert!(!matches!(error, LoginError::Refused { .. } | LoginError::Closed { .. }), "{error}");
        assert!(!error.is_retriable());
    }
}

/// both sides of the bounds, and what may be left out.
#[tokio::test(start_paused = true)]
async fn answers_within_the_rules_are_taken() {
    for (answer, check) in [
        ("", (|it| it.max_burst_length == 262_144) as fn(&iscsi_initiator::core::Negotiated) -> bool),
        ("MaxBurstLength=65536", |it| it.max_burst_length == 65536),
        ("MaxBurstLength=0x2000", |it| it.max_burst_length == 8192),
        ("MaxBurstLength=512\0FirstBurstLength=512", |it| (it.max_burst_length, it.first_burst_length) == (512, 512)),
        ("MaxBurstLength=Reject", |it| it.max_burst_length == 262_144),
        ("FirstBurstLength=Irrelevant", |it| it.first_burst_length == 65536),
        ("DefaultTime2Wait=5", |it| it.default_time2wait == 5),
        ("DefaultTime2Wait=3600", |it| it.default_time2wait == 3600),
        ("DefaultTime2Retain=0", |it| it.default_time2retain == 0),
        ("InitialR2T=Yes\0ImmediateData=No", |it| it.initial_r2t && !it.immediate_data),
        ("MaxRecvDataSegmentLength=512", |it| it.max_send_data_segment_length == 512),
        ("MaxRecvDataSegmentLength=16777215", |it| it.max_send_data_segment_length == 16_777_215),
        ("TargetAlias=a=b", |it| it.max_send_data_segment_length == 8192),
    ] {
        let mut text = answer.as_bytes().to_vec();
        if !answer.is_empty() {
            text.push(0);
        }
        let session = answered(&text).await.unwrap_or_else(|error| panic!("{answer}: {error}"));
        let negotiated = &session.info().negotiated;
        assert!(check(negotiated), "{answer}: {negotiated:?}");
        assert!(negotiated.initial_r2t && !negotiated.immediate_data, "decided by the offer");
    }
}

/// in the next request, each once.
#[tokio::test(start_paused = true)]
async fn what_the_target_offers_is_answered() {
    let (login, mut peer, request, _) = offered().await;
    let response = iscsi_proto::pdu::LoginResponse { next: None, tsih: 0, ..peer.login_response(&request) };
    let offers = [
        ("X-com.example.foo", "1"),
        ("OFMarker", "Yes"),
        ("IFMarker", "No"),
        ("OFMarkInt", "1~65535"),
        ("IFMarkInt", "2048"),
        ("TaskReporting", "FastAbort"),
    ];
    peer.say(response, &text::encode(offers)).await;
    let (request, pairs) = peer.login_request().await;
    let value = |key: &str| pairs.iter().find(|pair| pair.key == key).map(|pair| pair.value.as_str());
    assert_eq!(value("X-com.example.foo"), Some("NotUnderstood"));
    for key in ["OFMarker", "IFMarker", "OFMarkInt", "IFMarkInt"] {
        assert!(matches!(value(key), Some("Reject" | "No")), "{key}={:?}", value(key));
    }
    assert_eq!(value("TaskReporting"), Some("Reject"));
    assert_eq!(pairs.len(), offers.len());
    peer.grant(&request, &[]).await;
    ended(login).await.unwrap();
}
