//! Sessions of several connections (sections 4.2.5.1, 6.3.3, 7.14 and 11.14).

use iscsi_initiator::core::misbehaved::PeerMisbehaved;
use iscsi_initiator::core::{CommandError, ConnectionError, Event, Offer};
use iscsi_initiator::{ConnectError, Session};
use iscsi_proto::pdu::{LogoutReason, LogoutRequest, LogoutResponse, LogoutResult, Pdu, TaskFunction};
use iscsi_proto::tags::Itt;
use tokio::time::Instant;

use crate::support::peer::{Peer, TSIH, pattern};
use crate::support::world::{PIPE, Running, SECOND, World, ended, offering};

/// The keys that only the first login of a session may hold.
const OF_THE_SESSION: [&str; 8] = [
    "SessionType",
    "MaxConnections",
    "InitialR2T",
    "ImmediateData",
    "MaxBurstLength",
    "FirstBurstLength",
    "MaxOutstandingR2T",
    "ErrorRecoveryLevel",
];

impl World {
    /// A session of one connection to which others can be added.
    pub(crate) async fn of_many(change: impl FnOnce(&mut Offer)) -> Self {
        let config = offering(|offer| {
            offer.max_connections = 3;
            change(offer);
        });
        let mut world = Self::with(config, &[]).await;
        // The checker of traces knows sessions of one connection.
        world.peer.stop_watching();
        world
    }

    /// Starts to add a connection to which this peer is the other end.
    pub(crate) fn joining(&self) -> (Running<Result<u16, ConnectError>>, Peer) {
        let (ours, theirs) = tokio::io::duplex(PIPE);
        let joining = self.start(|session: Session| async move { session.add_connection_with(ours).await });
        let mut peer = Peer::new(theirs);
        peer.stop_watching();
        (joining, peer)
    }

    /// Adds a connection.
    pub(crate) async fn join(&self) -> (u16, Peer) {
        let (joining, mut peer) = self.joining();
        peer.log_in(&[]).await;
        peer.stop_watching();
        (ended(joining).await.expect("a connection"), peer)
    }
}

/// The next PDU, which has to be a logout.
pub(crate) async fn logout(peer: &mut Peer) -> LogoutRequest {
    match peer.hear().await {
        (Pdu::LogoutRequest(logout), _) => logout,
        (other, _) => panic!("{other:?} is no logout"),
    }
}

/// Answers a logout.
pub(crate) async fn log_out(peer: &mut Peer, itt: Itt, time2wait: u16, time2retain: u16) {
    let (result, numbering) = (LogoutResult::Closed, peer.status());
    peer.say(LogoutResponse { result, itt, numbering, time2wait, time2retain }, &[]).await;
}

#[tokio::test(start_paused = true)]
async fn r290_a_further_connection_is_of_the_same_session_and_says_nothing_of_its_values() {
    let world = World::of_many(|_| {}).await;
    let isid = world.session.info().isid;
    let (joining, mut peer) = world.joining();
    let mut names = Vec::new();
    loop {
        let (request, pairs) = peer.login_request().await;
        assert_eq!((request.tsih, request.isid, request.cid), (TSIH, isid, 1));
        names.extend(pairs.into_iter().map(|pair| pair.key));
        peer.grant(&request, &[]).await;
        if request.next == Some(iscsi_proto::pdu::Stage::FullFeature) {
            break;
        }
    }
    assert_eq!(ended(joining).await.unwrap(), 1);
    assert!(names.iter().any(|name| name == "HeaderDigest"), "{names:?}");
    assert!(!names.iter().any(|name| OF_THE_SESSION.contains(&name.as_str())), "{names:?}");
    assert_eq!(world.session.stats().await.unwrap().connections, 2);
}

#[tokio::test(start_paused = true)]
async fn r290_there_are_no_more_connections_than_both_sides_agreed_on() {
    let world = World::of_many(|_| {}).await;
    let mut events = world.session.events();
    let (_one, _two) = (world.join().await, world.join().await);
    assert_eq!(events.next().await, Some(Event::ConnectionAdded { cid: 1 }));
    assert_eq!(events.next().await, Some(Event::ConnectionAdded { cid: 2 }));
    let (refused, mut peer) = world.joining();
    let error = ended(refused).await.unwrap_err();
    assert!(matches!(error, ConnectError::NotAdded(CommandError::TooManyConnections { limit: 3 })), "{error}");
    peer.hears_the_end().await;
    // What was offered does not count.
    let world = World::with(offering(|offer| offer.max_connections = 8), &[("MaxConnections", "1")]).await;
    let (refused, _peer) = world.joining();
    let error = ended(refused).await.unwrap_err();
    assert!(matches!(error, ConnectError::NotAdded(CommandError::TooManyConnections { limit: 1 })), "{error}");
}

#[tokio::test(start_paused = true)]
async fn r290_a_connection_to_another_portal_group_is_none_of_the_session() {
    let config = offering(|offer| offer.max_connections = 2);
    let mut world = World::with(config, &[("TargetPortalGroupTag", "1")]).await;
    world.peer.stop_watching();
    let (joining, mut peer) = world.joining();
    peer.stop_watching();
    peer.log_in(&[("TargetPortalGroupTag", "2")]).await;
    let error = ended(joining).await.unwrap_err();
    assert!(matches!(error, ConnectError::Login(_)), "{error}");
    assert!(error.to_string().contains("portal group"), "{error}");
    peer.hears_the_end().await;
    world.works().await;
}

#[tokio::test(start_paused = true)]
async fn r289_a_command_and_its_data_stay_on_one_connection() {
    let mut world = World::of_many(|offer| offer.initial_r2t = true).await;
    let (_, mut other) = world.join().await;
    let writes: Vec<Running> = (0..2).map(|_| world.write(30_000)).collect();
    let ((one, here), (two, there)) = (world.peer.command().await, other.command().await);
    assert_ne!(one.cmd_sn, two.cmd_sn);
    assert_eq!((here.len(), there.len()), (8192, 8192));
    for (peer, command) in [(&mut world.peer, &one), (&mut other, &two)] {
        let r2t = peer.r2t(command, 0, 8192, 30_000 - 8192);
        peer.say(r2t, &[]).await;
    }
    for (peer, command) in [(&mut world.peer, &one), (&mut other, &two)] {
        let mut sent = Vec::new();
        while sent.len() < 30_000 - 8192 {
            let (Pdu::DataOut(data), bytes) = peer.hear().await else { panic!() };
            assert_eq!(data.itt, command.itt);
            sent.extend_from_slice(&bytes);
        }
        assert_eq!(sent, pattern(30_000)[8192..]);
        peer.good(command.itt).await;
    }
    for write in writes {
        ended(write).await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn r289_an_answer_on_another_connection_ends_the_session() {
    let mut world = World::of_many(|_| {}).await;
    let (_, mut other) = world.join().await;
    let read = world.read(512);
    let (command, _) = world.peer.command().await;
    other.good(command.itt).await;
    assert!(matches!(ended(read).await, Err(CommandError::Closed { sent: true, .. })));
    other.hears_the_end().await;
    assert!(matches!(world.misbehaved().await, PeerMisbehaved::WrongConnection { itt } if itt == command.itt));
}

#[tokio::test(start_paused = true)]
async fn r249_an_abort_takes_the_connection_of_its_task() {
    let mut world = World::of_many(|_| {}).await;
    let (_, mut other) = world.join().await;
    let (one, two) = (world.read(512), world.read(512));
    let ((first, _), (second, _)) = (world.peer.command().await, other.command().await);
    world.peer.exp_cmd_sn = second.cmd_sn.next();
    world.peer.good(first.itt).await;
    ended(one).await.unwrap();
    let (Pdu::TaskRequest(abort), _) = other.hear().await else { panic!() };
    assert_eq!((abort.function, abort.referenced), (TaskFunction::AbortTask, second.itt));
    other.good(second.itt).await;
    ended(two).await.unwrap();
    world.peer.hears_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn r291_the_session_goes_on_when_one_connection_is_lost() {
    let mut world = World::of_many(|_| {}).await;
    let mut events = world.session.events();
    let (cid, mut other) = world.join().await;
    events.next().await;
    let reads: Vec<Running> = (0..4).map(|_| world.read(512)).collect();
    let mut here = Vec::new();
    let mut there = Vec::new();
    for _ in 0..2 {
        here.push(world.peer.command().await.0);
        there.push(other.command().await.0);
    }
    // The target has taken all commands but the last, which was on the connection that is lost.
    let last = there[1].cmd_sn;
    assert!(last.gt(here[1].cmd_sn));
    world.peer.exp_cmd_sn = last;
    let lost_at = Instant::now();
    drop(other);
    let Some(Event::ConnectionLost { cid: lost, time2wait: 2, .. }) = events.next().await else { panic!() };
    assert_eq!(lost, cid);
    let request = logout(&mut world.peer).await;
    assert!(lost_at.elapsed() >= SECOND * 2 && lost_at.elapsed() < SECOND * 3, "{:?}", lost_at.elapsed());
    assert_eq!((request.reason, request.cid), (LogoutReason::CloseConnection, cid));
    log_out(&mut world.peer, request.itt, 0, 0).await;
    let (again, _) = world.peer.command().await;
    assert_eq!((again.itt, again.cmd_sn, again.cdb), (there[1].itt, last, there[1].cdb));
    for itt in [here[0].itt, here[1].itt, again.itt] {
        world.peer.good(itt).await;
    }
    let mut outcomes = Vec::new();
    for read in reads {
        outcomes.push(ended(read).await);
    }
    let closed = |outcome: &Result<_, CommandError>| {
        matches!(outcome, Err(CommandError::Closed { error: ConnectionError::ClosedByTarget, sent: true }))
    };
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 3);
    assert_eq!(outcomes.iter().filter(|outcome| closed(outcome)).count(), 1);
    world.works().await;
    assert_eq!(world.session.stats().await.unwrap().connections, 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_was_lost_can_be_replaced_under_another_number() {
    let mut world = World::of_many(|_| {}).await;
    let (cid, other) = world.join().await;
    drop(other);
    let request = logout(&mut world.peer).await;
    log_out(&mut world.peer, request.itt, 0, 0).await;
    world.works().await;
    let (next, _peer) = world.join().await;
    assert_ne!(next, cid);
}

#[tokio::test(start_paused = true)]
async fn the_logout_of_a_session_goes_over_one_connection_and_closes_all() {
    let mut world = World::of_many(|_| {}).await;
    let (_, mut other) = world.join().await;
    let leaving = world.start(|session| async move { session.logout().await });
    let request = logout(&mut world.peer).await;
    assert_eq!(request.reason, LogoutReason::CloseSession);
    log_out(&mut world.peer, request.itt, 0, 0).await;
    ended(leaving).await.unwrap();
    world.peer.hears_the_end().await;
    other.hears_the_end().await;
}

/// A login that fails, or that nobody waits for, leaves the session as it was.
#[tokio::test(start_paused = true)]
async fn an_attempt_to_add_a_connection_that_is_given_up_leaves_no_trace() {
    let mut world = World::of_many(|_| {}).await;
    for _ in 0..5 {
        let (joining, mut peer) = world.joining();
        let (request, _) = peer.login_request().await;
        joining.abort();
        peer.hears_the_end().await;
        assert_eq!(request.tsih, TSIH);
    }
    assert_eq!(world.session.stats().await.unwrap().connections, 1);
    world.works().await;
    let (_, _one) = world.join().await;
    let (_, _two) = world.join().await;
}
