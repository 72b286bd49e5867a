//! Work that checks itself.

use std::net::SocketAddr;
use std::time::Duration;

use conformance::lab::stamp;
use iscsi_initiator::core::Event;
use iscsi_initiator::{Config, Initiator, Lun, Session};
use iscsi_proto::name::IscsiName;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::cutter::Cutter;

const BLOCK: usize = 512;

/// How much work there is, and how often a connection is cut in it.
#[derive(Clone, Copy)]
pub(crate) struct Load {
    pub(crate) connections: u16,
    pub(crate) workers: usize,
    /// Writes and reads of each worker.
    pub(crate) rounds: usize,
    /// Bytes of each write and read.
    pub(crate) chunk: usize,
    pub(crate) cuts: usize,
}

/// A configuration that asks for level 2.
pub(crate) fn config(load: &Load) -> Config {
    let mut config = Config::default();
    config.offer.error_recovery_level = 2;
    config.offer.max_connections = load.connections;
    (config.offer.default_time2wait, config.offer.default_time2retain) = (0, 20);
    config
}

/// Writes and reads back through a way that is cut again and again. Every command has to succeed.
pub(crate) async fn run(target: &IscsiName, at: SocketAddr, lun: u8, config: Config, load: Load) {
    let way = Cutter::new(at).await;
    let initiator = Initiator::new("iqn.2026-01.org.example:host".parse().unwrap());
    let builder = Session::builder(&initiator, target.clone()).portal(way.addr().into()).config(config);
    let session = builder.connect().await.unwrap();
    assert_eq!(session.info().negotiated.error_recovery_level, 2);
    let mut events = session.events();
    for _ in 1..load.connections {
        session.add_connection(&way.addr().into()).await.unwrap();
    }
    let unit = session.open(lun.into()).await.unwrap();
    let works: Vec<JoinHandle<()>> =
        (0..load.workers).map(|worker| tokio::spawn(work(unit.clone(), worker, load))).collect();
    let whole = (load.workers * load.rounds * load.chunk) as u64;
    let mut lost = 0;
    for cut in 1..=load.cuts as u64 {
        while session.stats().await.unwrap().data_received < whole * cut / (load.cuts as u64 + 1) {
            tokio::task::yield_now().await;
        }
        way.cut();
        let event = timeout(Duration::from_secs(20), heard(&mut events)).await.expect("a loss");
        assert!(event);
        lost += 1;
        // A target does without more connections than were agreed on: each that is lost is replaced.
        if load.connections > 1 {
            let mut tries = 0;
            while let Err(error) = session.add_connection(&way.addr().into()).await {
                tries += 1;
                assert!(tries < 1000, "{error}");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
    for work in works {
        timeout(Duration::from_secs(60), work).await.expect("an end").unwrap();
    }
    assert_eq!(lost, load.cuts);
    session.logout().await.unwrap();
}

/// Waits for the loss of a connection.
async fn heard(events: &mut iscsi_initiator::Events) -> bool {
    while let Some(event) = events.next().await {
        if matches!(event, Event::ConnectionLost { .. }) {
            return true;
        }
    }
    false
}

async fn work(unit: Lun, worker: usize, load: Load) {
    let area = worker * load.chunk;
    for round in 0..load.rounds {
        let data = stamp::pieces((area / BLOCK) as u64, load.chunk / BLOCK, round as u64);
        unit.write_at(area as u64, data.clone()).await.unwrap_or_else(|error| panic!("{worker} {round}: {error}"));
        let back =
            unit.read_at(area as u64, load.chunk).await.unwrap_or_else(|error| panic!("{worker} {round}: {error}"));
        assert!(back == data, "{worker} {round}");
    }
}
