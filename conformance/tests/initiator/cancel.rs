//! Futures that are dropped after any number of polls.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use bytes::BytesMut;
use iscsi_initiator::Session;

use super::{SIZE, builder, content, fill, serve};

/// Polls `future` at most `polls` times, and drops it then. Says whether it had ended by itself.
pub(crate) async fn polled<T>(polls: usize, future: impl Future<Output = T>) -> bool {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        future.as_mut().poll(cx).map(|_| true)
    })
    .await
}

/// Waits until nothing is under way any more.
async fn drain(session: &Session) {
    for _ in 0..1000 {
        if session.stats().await.unwrap().in_flight == 0 {
            return;
        }
        session.ping().await.unwrap();
    }
    panic!("a request never ended: {:?}", session.stats().await);
}

#[tokio::test]
async fn r300_a_read_can_be_dropped_at_every_poll() {
    let server = serve().await;
    let session = builder(&server).connect().await.unwrap();
    let lun = fill(&session).await;
    let expected = content();
    for polls in 0.. {
        let ended = polled(polls, lun.read_into(0, BytesMut::zeroed(SIZE as usize))).await;
        assert_eq!(lun.read_at(4096, 8192).await.unwrap(), expected[4096..][..8192]);
        drain(&session).await;
        if ended {
            assert!(polls > 1, "nothing was cancelled");
            break;
        }
        assert!(polls < 10_000);
    }
    session.logout().await.unwrap();
}

#[tokio::test]
async fn r300_a_write_can_be_dropped_at_every_poll_and_neighbours_stay() {
    let server = serve().await;
    let session = builder(&server).connect().await.unwrap();
    let lun = fill(&session).await;
    let expected = content();
    let (start, length) = (1 << 20, 2 << 20);
    let noise = vec![0xa5; length];
    for polls in 0.. {
        let ended = polled(polls, lun.write_at(start as u64, noise.clone())).await;
        drain(&session).await;
        let now = lun.read_at(0, SIZE as usize).await.unwrap();
        assert_eq!(now[..start], expected[..start]);
        assert_eq!(now[start + length..], expected[start + length..]);
        for (piece, (new, old)) in now[start..][..length].chunks(512).zip(expected[start..].chunks(512)).enumerate() {
            assert!(new == old || new == &noise[..512], "block {piece} is neither old nor new");
        }
        if ended {
            assert_eq!(now[start..][..length], noise);
            assert!(polls > 1, "nothing was cancelled");
            break;
        }
        lun.write_at(start as u64, expected[start..][..length].to_vec()).await.unwrap();
        assert!(polls < 10_000);
    }
    session.logout().await.unwrap();
}

#[tokio::test]
async fn dropping_the_last_handle_logs_out() {
    let server = serve().await;
    let (session, connection) = builder(&server).connect_unspawned().await.unwrap();
    let running = tokio::spawn(connection);
    let lun = session.open(0.into()).await.unwrap();
    drop(session);
    lun.read_at(0, 512).await.unwrap();
    drop(lun);
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn dropping_the_connection_ends_what_waits() {
    let server = serve().await;
    let (session, connection) = builder(&server).connect_unspawned().await.unwrap();
    let running = tokio::spawn(connection);
    let lun = session.open(0.into()).await.unwrap();
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    let error = lun.read_at(0, 512).await.unwrap_err();
    assert!(error.to_string().contains("no longer being run"), "{error}");
    assert!(session.closed().is_some());
}
