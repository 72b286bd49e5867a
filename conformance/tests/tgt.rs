//! The initiator against a real tgtd.

use std::fs;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use conformance::lab::{self, Lun as Disk, Target, stamp};
use iscsi_initiator::core::{CommandError, ConnectionError};
use iscsi_initiator::{Config, Discovery, Initiator, Session};

const DISK: &str = "iqn.2026-01.org.example:disk";
const HOST: &str = "iqn.2026-01.org.example:host";

#[tokio::test]
async fn a_disk_is_found_read_and_written() {
    let Some(setup) = lab::require(lab::tgt()) else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk.img");
    stamp::file(&path, 32 << 20, 1).unwrap();
    let tgt = setup.target(Target::new(DISK).lun(Disk::file(&path))).start().unwrap();
    let initiator = Initiator::new(HOST.parse().unwrap());
    let found = Discovery::new(&initiator).send_targets(&tgt.portal().into()).await.unwrap();
    assert_eq!(found.targets.len(), 1);
    assert_eq!(found.targets[0].name.as_str(), DISK);
    assert_eq!(found.targets[0].addresses[0].to_string(), format!("{},1", tgt.portal()));

    let session =
        Session::builder(&initiator, DISK.parse().unwrap()).portal(tgt.portal().into()).connect().await.unwrap();
    assert_eq!(session.luns().await.unwrap(), [0.into(), 1.into()]);
    let lun = session.open(1.into()).await.unwrap();
    assert_eq!(lun.len(), 32 << 20);
    let data = lun.read_into(0, BytesMut::zeroed(32 << 20)).await.unwrap();
    assert_eq!(data, fs::read(&path).unwrap());
    let fresh = stamp::pieces(0, (8 << 20) / 512, 2);
    lun.write_at(4 << 20, fresh.clone()).await.unwrap();
    lun.flush().await.unwrap();
    assert_eq!(fs::read(&path).unwrap()[4 << 20..12 << 20], fresh);
    session.logout().await.unwrap();
}

/// A target that tgt sets offline takes commands and never answers them, nor knows of them when they are aborted.
#[tokio::test]
// How long a real target is waited for can only be told by a real clock.
#[expect(clippy::disallowed_methods, reason = "a bound on real time")]
async fn r250_commands_that_are_never_answered_end_in_time() {
    let Some(setup) = lab::require(lab::tgt()) else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk.img");
    stamp::file(&path, 1 << 20, 1).unwrap();
    let tgt = setup.target(Target::new(DISK).lun(Disk::file(&path))).start().unwrap();
    let initiator = Initiator::new(HOST.parse().unwrap());
    let config = Config::default().with_timeout(Duration::from_millis(300));
    let builder = Session::builder(&initiator, DISK.parse().unwrap()).portal(tgt.portal().into()).config(config);
    let session = builder.connect().await.unwrap();
    let lun = session.open(1.into()).await.unwrap();
    tgt.update(DISK, "state", "offline").unwrap();

    let start = Instant::now();
    let error = lun.read_at(0, 512).await.unwrap_err();
    let timed_out = match &error {
        CommandError::TimedOut { sent, .. }
        | CommandError::Closed { error: ConnectionError::TimedOut { .. }, sent } => *sent,
        _ => false,
    };
    assert!(timed_out, "{error}");
    assert!(start.elapsed() < Duration::from_secs(5));
    assert!(!error.is_known_not_executed());
}
