//! The login phase (sections 6.3, 11.12 and 11.13).

use iscsi_initiator::core::login::LoginError;
use iscsi_initiator::core::misbehaved::PeerMisbehaved;
use iscsi_initiator::core::{DigestOffer, Offer};
use iscsi_initiator::{ConnectError, Session};
use iscsi_proto::isid::Isid;
use iscsi_proto::keys::text;
use iscsi_proto::pdu::{LoginResponse, LoginStatus, NopIn, Pdu, R2t, Reject, RejectReason, ScsiResponse, Stage};
use iscsi_proto::scsi::{Lun, Status};
use iscsi_proto::serial::Serial;
use iscsi_proto::tags::{Itt, Ttt};
use tokio::net::TcpListener;

use crate::support::peer::{Peer, TSIH};
use crate::support::world::{builder, ended, initiator, logging_in, offering, refused};

const OPERATIONAL: [(&str, &str); 3] = [("HeaderDigest", "None"), ("DataDigest", "None"), ("ErrorRecoveryLevel", "0")];

/// Why a login fails whose first response (`round` 0) or second is changed.
async fn changed(round: usize, change: fn(&mut LoginResponse)) -> LoginError {
    let (login, mut peer) = logging_in(builder());
    for now in 0..=round {
        let (request, _) = peer.login_request().await;
        let mut response = peer.login_response(&request);
        if now == round {
            change(&mut response);
        }
        let answers: &[(&str, &str)] = if now == 0 { &[("AuthMethod", "None")] } else { &OPERATIONAL };
        peer.say(response, &text::encode(answers.iter().copied())).await;
    }
    match refused(login, &mut peer).await {
        ConnectError::Login(error) => error,
        other => panic!("{other}"),
    }
}

/// the connection is closed at once, without another word.
#[tokio::test(start_paused = true)]
async fn a_response_that_does_not_fit_its_request_ends_the_login() {
    type Change = (fn(&mut LoginResponse), fn(&PeerMisbehaved) -> bool);
    let both: [Change; 6] = [
        (|it| it.version_active = 1, |rule| matches!(rule, PeerMisbehaved::LoginVersion { version: 1 })),
        (|it| it.isid = Isid::random([9, 9, 9], 9), |rule| matches!(rule, PeerMisbehaved::LoginIsid { .. })),
        (|it| it.itt = Itt(it.itt.0 + 1), |rule| matches!(rule, PeerMisbehaved::LoginTag { .. })),
        (|it| it.current = Stage::FullFeature, |rule| matches!(rule, PeerMisbehaved::LoginStage { .. })),
        (|it| it.next = Some(Stage::Security), |rule| matches!(rule, PeerMisbehaved::LoginTransit { .. })),
        (|it| it.more = true, |rule| matches!(rule, PeerMisbehaved::Pdu(_))),
    ];
    let first: [Change; 2] = [
        (|it| it.current = Stage::Operational, |rule| matches!(rule, PeerMisbehaved::LoginStage { .. })),
        (|it| it.next = Some(Stage::FullFeature), |rule| matches!(rule, PeerMisbehaved::LoginTransit { .. })),
    ];
    let second: [Change; 4] = [
        (|it| it.current = Stage::Security, |rule| matches!(rule, PeerMisbehaved::LoginStage { .. })),
        (|it| it.tsih = 0, |rule| matches!(rule, PeerMisbehaved::LoginTsih { tsih: 0 })),
        (
            |it| it.numbering.stat_sn = it.numbering.stat_sn.next(),
            |rule| matches!(rule, PeerMisbehaved::LoginStatSn { .. }),
        ),
        (
            |it| it.numbering.exp_cmd_sn = it.numbering.exp_cmd_sn.next(),
            |rule| matches!(rule, PeerMisbehaved::LoginCmdSn { .. }),
        ),
    ];
    let cases = both.iter().map(|case| (0, case)).chain(both.iter().map(|case| (1, case)));
    let cases = cases.chain(first.iter().map(|case| (0, case))).chain(second.iter().map(|case| (1, case)));
    for (index, (round, (change, expected))) in cases.enumerate() {
        match changed(round, *change).await {
            LoginError::Misbehaved(rule) => assert!(expected(&rule), "case {index}: {rule}"),
            other => panic!("case {index}: {other}"),
        }
    }
}

/// a reject of any reason ends the negotiation too.
#[tokio::test(start_paused = true)]
async fn anything_but_a_login_response_ends_the_login() {
    for kind in 0..5 {
        for rounds in 0..2 {
            let (login, mut peer) = logging_in(builder());
            let (mut request, _) = peer.login_request().await;
            if rounds == 1 {
                peer.grant(&request, &[("AuthMethod", "None")]).await;
                request = peer.login_request().await.0;
            }
            let (itt, lun) = (request.itt, Lun::ZERO);
            let numbering = peer.status();
            let pdu: Pdu = match kind {
                0 => NopIn { lun, itt: Itt::RESERVED, ttt: Ttt(1), numbering }.into(),
                1 => peer.response(itt, Status::GOOD).into(),
                2 => R2t { lun, itt, ttt: Ttt(1), numbering, r2t_sn: Serial(0), offset: 0, length: 512 }.into(),
                3 => Reject { reason: RejectReason::NegotiationReset, numbering, data_sn: Serial(0) }.into(),
                _ => ScsiResponse { ..peer.response(Itt::RESERVED, Status::GOOD) }.into(),
            };
            let data = if kind == 3 { request.encode().as_bytes().to_vec() } else { Vec::new() };
            peer.say(pdu, &data).await;
            let error = refused(login, &mut peer).await;
            let ConnectError::Login(LoginError::Misbehaved(rule)) = error else { panic!("{error}") };
            assert!(matches!(rule, PeerMisbehaved::UnexpectedPdu { .. }), "{rule}");
        }
    }
}

/// the initiator speaks first; who speaks before it is no target.
#[tokio::test(start_paused = true)]
async fn a_server_with_a_banner_is_no_target() {
    for banner in ["SSH-2.0-x\r\n", "220 mail.example.org ESMTP ready and waiting for you\r\n", "\0\0\0\0", "#"] {
        let (login, mut peer) = logging_in(builder());
        peer.say_bytes(banner.repeat(10).as_bytes()).await;
        peer.login_request().await;
        let error = ended(login).await.unwrap_err();
        assert!(matches!(error, ConnectError::Login(_) | ConnectError::TimedOut { .. }), "{error}");
        peer.hears_the_end().await;
    }
}

/// the connection is closed, and nothing is tried again.
#[tokio::test(start_paused = true)]
async fn a_refusal_closes_the_connection() {
    for (class, detail) in [(2, 0), (2, 1), (2, 2), (2, 3), (2, 0x0a), (2, 0xff), (3, 0), (3, 1), (3, 2), (3, 0xee)] {
        let (login, mut peer) = logging_in(builder());
        let (request, _) = peer.login_request().await;
        let status = LoginStatus::new(class, detail);
        let response = LoginResponse { status, ..peer.login_response(&request) };
        peer.say(response, &[]).await;
        let error = refused(login, &mut peer).await;
        assert_eq!(error.is_retriable(), class == 3);
        assert!(matches!(error, ConnectError::Login(LoginError::Refused { status: found, .. }) if found == status));
    }
}

#[tokio::test(start_paused = true)]
async fn r113_a_response_with_more_than_8192_bytes_of_data_ends_the_login() {
    for (length, fits) in [(8192, true), (8193, false)] {
        let (login, mut peer) = logging_in(builder());
        let (request, _) = peer.login_request().await;
        let mut answer = text::encode([("AuthMethod", "None"), ("TargetAlias", "x")]);
        let filler = length - answer.len() - "X-long=\0".len();
        answer.extend_from_slice(&text::encode([("X-long", "y".repeat(filler))]));
        assert_eq!(answer.len(), length);
        let response = peer.login_response(&request);
        peer.say(response, &answer).await;
        if fits {
            let (second, _) = peer.login_request().await;
            peer.grant(&second, &OPERATIONAL).await;
            ended(login).await.unwrap();
        } else {
            let error = refused(login, &mut peer).await;
            let ConnectError::Login(LoginError::Misbehaved(PeerMisbehaved::Frame(_))) = error else {
                panic!("{error}")
            };
        }
    }
}

/// whatever the configuration, nothing is offered that is not there.
#[tokio::test(start_paused = true)]
async fn no_offer_goes_beyond_what_is_there() {
    let digests = [DigestOffer::None, DigestOffer::Crc32c, DigestOffer::PreferCrc32c, DigestOffer::PreferNone];
    for (index, digest) in digests.into_iter().enumerate() {
        let change = |offer: &mut Offer| {
            (offer.header_digest, offer.data_digest) = (digest, digest);
            offer.max_outstanding_r2t = [1, 2, 16, 65535][index];
            offer.protocol_level = [None, Some(0), Some(1), Some(2)][index];
        };
        let (login, mut peer) = logging_in(builder().config(offering(change)));
        let (first, _) = peer.login_request().await;
        peer.grant(&first, &[("AuthMethod", "None")]).await;
        let (_, offered) = peer.login_request().await;
        let value = |key: &str| offered.iter().find(|pair| pair.key == key).map(|pair| pair.value.as_str());
        assert_eq!(value("ErrorRecoveryLevel"), Some("0"));
        assert_eq!(value("MaxConnections"), Some("1"));
        assert_eq!((value("DataPDUInOrder"), value("DataSequenceInOrder")), (Some("Yes"), Some("Yes")));
        for key in ["HeaderDigest", "DataDigest"] {
            assert!(value(key).unwrap().split(',').all(|digest| ["None", "CRC32C"].contains(&digest)));
        }
        let reporting = value("TaskReporting").unwrap_or("RFC3720,ResponseFence");
        assert!(reporting.contains("RFC3720") && reporting.contains("ResponseFence") && !reporting.contains("Fast"));
        drop(peer);
        assert!(ended(login).await.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn r097_status_numbers_start_anywhere() {
    for start in [0, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff] {
        let (login, mut peer) = logging_in(builder());
        peer.stat_sn = Serial(start);
        peer.log_in(&[]).await;
        let session = ended(login).await.unwrap();
        assert_eq!(session.info().tsih, TSIH);
        let ping = tokio::spawn(async move { session.ping().await });
        let (Pdu::NopOut(nop), _) = peer.hear().await else { panic!() };
        assert_eq!(nop.exp_stat_sn, Serial(start).add(2));
        drop(peer);
        assert!(ended(ping).await.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn r079_r096_a_target_may_take_its_time_but_not_for_ever() {
    for (delays, ends) in [(0, true), (5, true), (60, true), (70, false)] {
        let (login, mut peer) = logging_in(builder());
        let (first, _) = peer.login_request().await;
        peer.grant(&first, &[("AuthMethod", "None")]).await;
        for _ in 0..delays {
            let Some((Pdu::LoginRequest(request), _)) = peer.next().await else { break };
            assert_eq!(request.next, Some(Stage::FullFeature));
            let response = LoginResponse { next: None, tsih: 0, ..peer.login_response(&request) };
            peer.say(response, &[]).await;
        }
        if ends {
            let (last, _) = peer.login_request().await;
            peer.grant(&last, &[]).await;
            ended(login).await.unwrap();
        } else {
            let error = refused(login, &mut peer).await;
            assert!(matches!(error, ConnectError::Login(LoginError::TooManyRounds)), "{error}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn r105_another_portal_group_is_refused() {
    for (tag, fits) in [("1", true), ("2", false), ("0", false)] {
        let (login, mut peer) = logging_in(builder().portal_group(1));
        let (first, _) = peer.login_request().await;
        peer.grant(&first, &[("AuthMethod", "None"), ("TargetPortalGroupTag", tag)]).await;
        if fits {
            let (second, _) = peer.login_request().await;
            peer.grant(&second, &OPERATIONAL).await;
            ended(login).await.unwrap();
        } else {
            let error = refused(login, &mut peer).await;
            assert!(matches!(error, ConnectError::Login(LoginError::PortalGroup { .. })), "{error}");
        }
    }
}

/// over TCP, where redirections are followed. The clock is real: nothing here waits for it.
#[tokio::test]
async fn a_redirection_is_followed_a_limited_number_of_times() {
    for (limit, redirections, arrives) in [(4u8, 0u8, true), (4, 4, true), (4, 5, false), (0, 0, true), (0, 1, false)] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let target = tokio::spawn(async move {
            let mut seen = 0;
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                seen += 1;
                let (ours, mut theirs) = tokio::io::duplex(1 << 16);
                tokio::spawn(async move { tokio::io::copy_bidirectional(&mut stream, &mut theirs).await });
                let mut peer = Peer::new(ours);
                if seen > redirections {
                    peer.log_in(&[]).await;
                    return seen;
                }
                let (request, _) = peer.login_request().await;
                let response = LoginResponse { status: LoginStatus::new(1, 1), ..peer.login_response(&request) };
                peer.say(response, &text::encode([("TargetAddress", address.to_string())])).await;
                peer.hears_the_end().await;
                if seen > limit {
                    return seen;
                }
            }
        });
        let mut config = offering(|_| {});
        config.redirects.0 = limit;
        let target_name = "iqn.2026-01.org.example:disk".parse().unwrap();
        let builder = Session::builder(&initiator(), target_name).config(config).portal(address.into());
        let connected = builder.connect().await;
        assert_eq!(connected.is_ok(), arrives, "{limit} {redirections}");
        if let Err(error) = connected {
            assert!(matches!(error, ConnectError::TooManyRedirects { .. }), "{error}");
        }
        let expected = if arrives { redirections + 1 } else { limit + 1 };
        assert_eq!(ended(target).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn r101_a_redirection_without_a_usable_address_is_refused() {
    for address in [None, Some(""), Some("0.0.0.0:3260"), Some("[::1"), Some("host:99999"), Some("host:0")] {
        let (login, mut peer) = logging_in(builder());
        let (request, _) = peer.login_request().await;
        let response = LoginResponse { status: LoginStatus::new(1, 1), ..peer.login_response(&request) };
        peer.say(response, &text::encode(address.map(|address| ("TargetAddress", address)))).await;
        let error = refused(login, &mut peer).await;
        let ConnectError::Login(LoginError::Misbehaved(rule)) = error else { panic!("{address:?}: {error}") };
        assert_eq!(rule, PeerMisbehaved::RedirectWithoutAddress, "{address:?}");
    }
}
