//! How sessions end on purpose.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use iscsi_initiator::blocking;
use iscsi_initiator::tap::{Direction, Ends, Tap, Wire};
use iscsi_proto::pdu::Opcode;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::peer::{GOOD, disk};
use super::{builder, serve};

#[tokio::test(start_paused = true)]
async fn every_logout_returns_when_the_session_is_over_and_not_before() {
    let (session, _lun) = disk(|_| GOOD).await;
    let first = tokio::spawn({
        let session = session.clone();
        async move { session.logout().await }
    });
    tokio::task::yield_now().await;
    assert!(session.closed().is_none());
    session.logout().await.unwrap();
    assert!(session.closed().is_some());
    first.await.unwrap().unwrap();
    session.logout().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn events_end_with_the_session() {
    let (session, _lun) = disk(|_| GOOD).await;
    let mut events = session.events();
    session.logout().await.unwrap();
    let limit = Duration::from_secs(1);
    assert_eq!(timeout(limit, events.next()).await, Ok(None));
    assert_eq!(timeout(limit, session.events().next()).await, Ok(None));
}

/// Keeps the first byte of what was received last: the operation code of a PDU that came alone.
#[derive(Debug, Default)]
struct Last(Arc<AtomicU8>);

impl Tap for Last {
    fn connected(&self, _: Option<Ends>) -> Box<dyn Wire> {
        Box::new(Self(Arc::clone(&self.0)))
    }
}

impl Wire for Last {
    fn saw(&mut self, direction: Direction, bytes: &[u8]) {
        if let (Direction::Received, Some(first)) = (direction, bytes.first()) {
            self.0.store(*first, Ordering::Relaxed);
        }
    }
}

#[test]
fn dropping_the_last_handle_of_a_blocking_session_logs_out() {
    let runtime = Runtime::new().unwrap();
    let server = runtime.block_on(serve());
    let last = Arc::new(AtomicU8::new(0));
    let session = blocking::Session::connect(builder(&server).tap(Arc::new(Last(Arc::clone(&last))))).unwrap();
    let lun = session.open(0.into()).unwrap();
    let logged_out = || last.load(Ordering::Relaxed) == Opcode::LogoutResponse as u8;
    drop(session);
    lun.read_at(0, 512).unwrap();
    assert!(!logged_out());
    drop(lun);
    assert!(logged_out());
}
