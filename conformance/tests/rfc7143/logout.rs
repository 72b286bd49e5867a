//! Logout, and what a lost session leaves behind (sections 7.14, 7.15, 11.14 and 11.15).

use iscsi_initiator::core::{CommandError, ConnectionError};
use iscsi_proto::pdu::{LogoutReason, LogoutRequest, LogoutResponse, LogoutResult, Pdu};
use iscsi_proto::tags::Itt;

use crate::support::peer::Peer;
use crate::support::world::{Running, SECOND, World, builder, config, ended};

async fn request(peer: &mut Peer) -> LogoutRequest {
    match peer.hear().await {
        (Pdu::LogoutRequest(request), data) if data.is_empty() => request,
        other => panic!("{other:?}"),
    }
}

async fn answer(peer: &mut Peer, itt: Itt, result: LogoutResult) {
    let numbering = peer.status();
    peer.say(LogoutResponse { result, itt, numbering, time2wait: 9, time2retain: 9 }, &[]).await;
}

fn log_out(world: &World) -> Running<Result<(), CommandError>> {
    world.start(|session| async move { session.logout().await })
}

///
#[tokio::test(start_paused = true)]
async fn a_logout_closes_the_session_and_nothing_follows_it() {
    let mut world = World::new().await;
    let read = world.read(512);
    world.peer.command().await;
    let logout = log_out(&world);
    let request = request(&mut world.peer).await;
    assert!(request.immediate);
    assert_eq!((request.reason, request.exp_stat_sn), (LogoutReason::CloseSession, world.peer.stat_sn));
    assert!(matches!(ended(world.test()).await, Err(CommandError::Closed { sent: false, .. })));
    world.peer.hears_nothing().await;
    answer(&mut world.peer, request.itt, LogoutResult::Closed).await;
    ended(logout).await.unwrap();
    let error = ended(read).await.unwrap_err();
    assert!(matches!(error, CommandError::Closed { error: ConnectionError::LoggedOut, sent: true }), "{error}");
    world.peer.hears_the_end().await;
}

#[tokio::test(start_paused = true)]
async fn r260_a_handle_that_is_dropped_logs_out_without_recovery() {
    let world = World::new().await;
    let World { session, mut peer, .. } = world;
    drop(session);
    let request = request(&mut peer).await;
    assert_eq!(request.reason, LogoutReason::CloseSession);
    answer(&mut peer, request.itt, LogoutResult::Closed).await;
    peer.hears_the_end().await;
}

#[tokio::test(start_paused = true)]
async fn r258_a_logout_that_fails_says_why_and_closes_all_the_same() {
    for result in [LogoutResult::CidNotFound, LogoutResult::RecoveryNotSupported, LogoutResult::CleanupFailed] {
        let mut world = World::new().await;
        let logout = log_out(&world);
        let request = request(&mut world.peer).await;
        answer(&mut world.peer, request.itt, result).await;
        assert!(
            matches!(world.failed().await, ConnectionError::LogoutFailed { result: found, time2wait: 9, time2retain: 9 } if found == result)
        );
        assert!(ended(logout).await.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn r259_a_logout_without_an_answer_ends_in_closing() {
    let mut config = config();
    config.timeouts.management = SECOND * 4;
    let mut world = World::with(config, &[]).await;
    let start = tokio::time::Instant::now();
    let logout = log_out(&world);
    request(&mut world.peer).await;
    assert!(matches!(world.failed().await, ConnectionError::TimedOut { what: "a logout", .. }));
    assert_eq!(start.elapsed(), SECOND * 4);
    assert!(ended(logout).await.is_err());
}

/// every handle, every command and every listener learns of it.
#[tokio::test(start_paused = true)]
async fn the_loss_of_a_session_is_told_to_all_who_use_it() {
    let mut world = World::new().await;
    let mut events = world.session.events();
    let clone = world.session.clone();
    assert!(clone.closed().is_none());
    let commands = [world.read(512), world.write(512), world.test()];
    let ping = world.start(|session| async move { session.ping().await });
    for _ in 0..4 {
        world.peer.hear().await;
    }
    let World { session, peer, .. } = world;
    drop(peer);
    for command in commands {
        let error = ended(command).await.unwrap_err();
        assert!(matches!(error, CommandError::Closed { error: ConnectionError::ClosedByTarget, sent: true }));
        assert!(error.is_retriable() && !error.is_known_not_executed());
    }
    assert!(ended(ping).await.is_err());
    assert_eq!(events.next().await, None);
    for handle in [session, clone] {
        assert!(matches!(handle.closed(), Some(ConnectionError::ClosedByTarget)));
        let late = handle.ping().await.unwrap_err();
        assert!(matches!(late, CommandError::Closed { sent: false, .. }));
        assert!(late.is_known_not_executed());
    }
}

/// whoever runs the connection itself need not drop it first.
#[tokio::test(start_paused = true)]
async fn events_end_with_the_connection_though_it_is_kept() {
    let (ours, theirs) = tokio::io::duplex(1 << 16);
    let mut peer = Peer::new(theirs);
    let (connected, ()) = tokio::join!(builder().connect_with(ours), peer.log_in(&[]));
    let (session, mut connection) = connected.unwrap();
    let mut events = session.events();
    drop(peer);
    assert!((&mut connection).await.is_err());
    assert_eq!(events.next().await, None);
    assert_eq!(session.events().next().await, None);
    drop(connection);
}
