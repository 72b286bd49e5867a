//! The kernel's target, which has level 2. With several commands under way its kernel does not survive a TASK REASSIGN, so
//! connections are lost while nothing is under way.

use std::time::Duration;

use conformance::lab::{self, Lab, LabError, Role, stamp};
use iscsi_initiator::core::Event;
use iscsi_initiator::{Events, Initiator, Lun, Session};
use tokio::time::timeout;

use crate::cutter::Cutter;
use crate::load::{Load, config};

const SOON: Duration = Duration::from_secs(30);
const CHUNK: usize = 64 << 10;

fn lio() -> Option<Box<dyn Lab>> {
    match (lab::kind("lio").unwrap().start)() {
        Ok(lab) => Some(lab),
        Err(LabError::NotRun(why)) => lab::require(Err(why)),
        Err(error) => panic!("{error}"),
    }
}

/// A session of level 2 through a way that can be cut.
async fn session(lab: &dyn Lab, connections: u16) -> (Session, Cutter) {
    let offer = lab.offer(Role::Recovery).unwrap();
    let way = Cutter::new(offer.portals[0]).await;
    let initiator = Initiator::new("iqn.2026-01.org.example:host".parse().unwrap());
    let load = Load { connections, workers: 0, rounds: 0, chunk: 0, cuts: 0 };
    let builder = Session::builder(&initiator, offer.target.parse().unwrap()).portal(way.addr().into());
    let session = builder.config(config(&load)).connect().await.unwrap();
    assert_eq!(session.info().negotiated.error_recovery_level, 2);
    for _ in 1..connections {
        session.add_connection(&way.addr().into()).await.unwrap();
    }
    (session, way)
}

async fn write_and_read(unit: &Lun, seed: u64) {
    let data = stamp::pieces(0, CHUNK / 512, seed);
    unit.write_at(0, data.clone()).await.unwrap();
    assert!(unit.read_at(0, CHUNK).await.unwrap() == data);
}

async fn heard(events: &mut Events, wanted: impl Fn(&Event) -> bool) {
    let hear = async {
        while let Some(event) = events.next().await {
            if wanted(&event) {
                return true;
            }
        }
        false
    };
    assert!(timeout(SOON, hear).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_with_lio_outlive_their_connections() {
    let Some(lab) = lio() else { return };
    let (alone, way) = session(&*lab, 1).await;
    let mut events = alone.events();
    let unit = alone.open(0.into()).await.unwrap();
    write_and_read(&unit, 1).await;
    way.cut();
    heard(&mut events, |event| matches!(event, Event::ConnectionLost { cid: 0, .. })).await;
    write_and_read(&unit, 2).await;
    heard(&mut events, |event| matches!(event, Event::ConnectionRestored { cid: 0 })).await;
    alone.logout().await.unwrap();

    let (several, way) = session(&*lab, 3).await;
    let mut events = several.events();
    let unit = several.open(0.into()).await.unwrap();
    for seed in 3..5 {
        write_and_read(&unit, seed).await;
        way.cut();
        heard(&mut events, |event| matches!(event, Event::ConnectionLost { .. })).await;
    }
    write_and_read(&unit, 5).await;
    assert_eq!(several.stats().await.unwrap().connections, 1);
    several.logout().await.unwrap();
}
