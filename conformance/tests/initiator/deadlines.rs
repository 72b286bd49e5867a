//! Peers that stop answering, in virtual time.

use std::time::Duration;

use conformance::target::config::Config as TargetConfig;
use iscsi_initiator::core::{CommandError, ConnectionError};
use iscsi_initiator::{ConnectError, Phase, Session};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::time::Instant;

use super::{DISK, builder, initiator, name, serve};

const PATIENCE: Duration = Duration::from_secs(15);

#[tokio::test(start_paused = true)]
async fn r111_a_peer_that_never_answers_the_login_is_given_up() {
    let (ours, _theirs) = duplex(64 * 1024);
    let start = Instant::now();
    let error = Session::builder(&initiator(), name(DISK)).connect_with(ours).await.unwrap_err();
    assert!(matches!(error, ConnectError::TimedOut { phase: Phase::Login, after: PATIENCE }), "{error}");
    assert_eq!(start.elapsed(), PATIENCE);
}

#[tokio::test(start_paused = true)]
async fn r111_a_peer_that_dribbles_its_login_is_given_up() {
    let (ours, mut theirs) = duplex(64 * 1024);
    tokio::spawn(async move {
        // One byte of a Login Response a second: the whole header takes longer than anybody waits.
        for byte in [0x23; 48] {
            tokio::time::sleep(Duration::from_secs(1)).await;
            if theirs.write_all(&[byte]).await.is_err() {
                return;
            }
        }
    });
    let start = Instant::now();
    let error = Session::builder(&initiator(), name(DISK)).connect_with(ours).await.unwrap_err();
    assert!(matches!(error, ConnectError::TimedOut { .. }), "{error}");
    assert!(start.elapsed() <= PATIENCE * 4);
}

#[tokio::test(start_paused = true)]
async fn r021_a_peer_that_closes_in_the_middle_of_its_login_is_named() {
    let (ours, mut theirs) = duplex(64 * 1024);
    tokio::spawn(async move {
        let mut request = [0; 48];
        theirs.read_exact(&mut request).await.unwrap();
        theirs.write_all(&[0x23; 20]).await.unwrap();
    });
    let error = Session::builder(&initiator(), name(DISK)).connect_with(ours).await.unwrap_err();
    assert!(error.to_string().contains("closed the connection during login"), "{error}");
}

#[tokio::test]
async fn r261_a_target_that_goes_away_ends_every_command() {
    let server = serve().await;
    let (session, connection) = builder(&server).connect_unspawned().await.unwrap();
    let running = tokio::spawn(connection);
    let lun = session.open(0.into()).await.unwrap();
    server.shutdown().await;
    let error = lun.read_at(0, 512).await.unwrap_err();
    assert!(matches!(error, CommandError::Closed { error: ConnectionError::ClosedByTarget, .. }), "{error}");
    assert!(error.is_retriable());
    assert!(running.await.unwrap().is_err());
}

#[tokio::test]
async fn an_empty_target_refuses_by_name() {
    let server = conformance::target::server::Server::bind(TargetConfig::default(), "127.0.0.1:0").await.unwrap();
    let error = builder(&server).connect().await.unwrap_err();
    assert!(error.to_string().contains("target not found"), "{error}");
}
