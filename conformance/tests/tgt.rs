//! The initiator against a real tgtd.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use conformance::lab::{self, Lun as Disk, Target, stamp};
use iscsi_initiator::core::{CommandError, ConnectionError, Event};
use iscsi_initiator::{Config, Discovery, Initiator, Lun, Session, TransferOptions, ZeroOptions};
use iscsi_proto::scsi::ReservationType;

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
        | CommandError::Closed { error: ConnectionError::TimedOut { .. } | ConnectionError::NotAborted { .. }, sent } => {
            *sent
        }
        _ => false,
    };
    assert!(timed_out, "{error}");
    assert!(start.elapsed() < Duration::from_secs(5));
    assert!(!error.is_known_not_executed());
}

/// A thin disk of 4 MiB, the file behind it, and the open unit.
async fn thin_disk(setup: lab::Setup, path: &Path) -> (lab::Tgt, Lun) {
    stamp::file(path, 4 << 20, 1).unwrap();
    let disk = Disk::file(path).param("thin_provisioning=1");
    let tgt = setup.target(Target::new(DISK).lun(disk)).start().unwrap();
    let initiator = Initiator::new(HOST.parse().unwrap());
    let builder = Session::builder(&initiator, DISK.parse().unwrap()).portal(tgt.portal().into());
    let lun = builder.connect().await.unwrap().open(1.into()).await.unwrap();
    (tgt, lun)
}

#[tokio::test]
async fn blocks_are_cleared_given_back_and_compared() {
    let Some(setup) = lab::require(lab::tgt()) else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk.img");
    let (_tgt, lun) = thin_disk(setup, &path).await;
    let mut expected = fs::read(&path).unwrap();
    lun.write_zeroes(4096, 1 << 20, ZeroOptions::default()).await.unwrap();
    lun.write_zeroes(2 << 20, 1 << 20, ZeroOptions::UNMAP).await.unwrap();
    lun.unmap(3 << 20, 65536).await.unwrap();
    expected[4096..4096 + (1 << 20)].fill(0);
    expected[2 << 20..(3 << 20) + 65536].fill(0);
    let fresh = stamp::pieces(0, 64, 2);
    lun.write_and_verify(0, fresh[..4096].to_vec()).await.unwrap();
    lun.write_at_with(1 << 21, fresh[..512].to_vec(), TransferOptions::FUA).await.unwrap();
    expected[..4096].copy_from_slice(&fresh[..4096]);
    expected[1 << 21..][..512].copy_from_slice(&fresh[..512]);
    assert!(lun.read_at(0, 4 << 20).await.unwrap() == expected);
    assert!(fs::read(&path).unwrap() == expected);

    let mut extents = lun.extents(0..lun.len()).unwrap();
    let (mut at, mut holes) = (0, 0);
    while let Some(extent) = extents.next().await {
        let extent = extent.unwrap();
        assert_eq!(extent.offset, at);
        at += extent.length;
        holes += if extent.zero { extent.length } else { 0 };
        let range = &expected[extent.offset as usize..at as usize];
        assert!(!extent.zero || range.iter().all(|byte| *byte == 0), "{extent:?}");
    }
    // How much of a block that was written in part is mapped, the file system behind the disk decides: 64 KiB at most.
    assert!(at == 4 << 20 && ((1 << 20)..=(1 << 20) + 65536).contains(&holes), "{holes}");

    lun.verify(0, 4 << 20).await.unwrap();
    lun.compare_at(0, expected.clone()).await.unwrap();
    expected[3_000_000] ^= 1;
    let error = lun.compare_at(0, expected).await.unwrap_err();
    assert!(matches!(error, CommandError::Miscompare { .. }), "{error}");
}

#[tokio::test]
async fn a_disk_is_reserved_and_what_tgtd_lacks_is_told() {
    let Some(setup) = lab::require(lab::tgt()) else { return };
    let dir = tempfile::tempdir().unwrap();
    let (_tgt, lun) = thin_disk(setup, &dir.path().join("disk.img")).await;
    let kind = ReservationType::WriteExclusive;
    lun.reserve(1, kind).await.unwrap();
    assert_eq!(lun.reservations().holder().await.unwrap().holder, Some((1, kind)));
    assert_eq!(lun.reservations().keys().await.unwrap().keys, [1]);
    assert_eq!(lun.reservations().capabilities().await.unwrap().supports(kind), Some(true));
    lun.write_at(0, vec![0; 512]).await.unwrap();
    lun.release(1, kind).await.unwrap();
    assert!(lun.reservations().keys().await.unwrap().keys.is_empty());

    assert!(lun.supported_opcodes().await.unwrap().contains(0x42, None));
    assert!(lun.supported_opcode(0x42, None).await.unwrap().support.is_supported());
    assert_eq!(lun.progress().await.unwrap(), None);
    // It says in page B0h that it knows COMPARE AND WRITE, and then does not.
    assert!(lun.max_compare_and_write() > 0);
    let block = || vec![0; 512].into();
    for error in [
        lun.compare_and_write(0, block(), block()).await.unwrap_err(),
        lun.reservations().registrants().await.unwrap_err(),
        lun.port_groups().await.unwrap_err(),
        lun.log_pages().await.unwrap_err(),
        lun.extended_inquiry().await.unwrap_err(),
    ] {
        assert!(matches!(error, CommandError::Unsupported(_)), "{error}");
    }
}

/// Four connections share the work; one of them is closed by tgtd, and the session goes on over the others. Nothing is under way
/// then: tgtd closes every connection that brings a command under a number that it has seen, which a lost one may have brought.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn r291_a_session_of_four_connections_outlives_one_of_them() {
    let Some(setup) = lab::require(lab::tgt()) else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("disk.img");
    stamp::file(&path, 32 << 20, 1).unwrap();
    let target = Target::new(DISK).lun(Disk::file(&path)).param("MaxConnections", "4");
    let tgt = setup.target(target).start().unwrap();
    let initiator = Initiator::new(HOST.parse().unwrap());
    let mut config = Config::default();
    config.offer.max_connections = 4;
    config.offer.default_time2wait = 0;
    let builder = Session::builder(&initiator, DISK.parse().unwrap()).portal(tgt.portal().into()).config(config);
    let session = builder.connect().await.unwrap();
    assert_eq!(session.info().negotiated.max_connections, 4);
    for cid in 1..4 {
        assert_eq!(session.add_connection(&tgt.portal().into()).await.unwrap(), cid);
    }
    assert_eq!(tgt.connections(DISK).unwrap().len(), 4);
    let mut events = session.events();
    let lun = session.open(1.into()).await.unwrap();
    work(&lun, 2).await;
    assert_eq!(tgt.kick_those(DISK, |nexus| nexus.connection == 2).unwrap(), 1);
    let lost = events.next().await;
    assert!(matches!(lost, Some(Event::ConnectionLost { cid: 2, .. })), "{lost:?}");
    work(&lun, 3).await;
    assert_eq!(session.stats().await.unwrap().connections, 3);
    session.logout().await.unwrap();
}

/// Sixteen workers write, and read back what they wrote.
async fn work(lun: &Lun, seed: u64) {
    const CHUNK: usize = 64 << 10;
    let works: Vec<_> = (0..16)
        .map(|worker: usize| {
            let lun = lun.clone();
            tokio::spawn(async move {
                for round in 0..20 {
                    let at = (worker * 32 + round) * CHUNK;
                    let fresh = stamp::pieces(at as u64 / 512, CHUNK / 512, seed);
                    lun.write_at(at as u64, fresh.clone()).await.unwrap();
                    assert!(lun.read_at(at as u64, CHUNK).await.unwrap() == fresh, "{at}");
                }
            })
        })
        .collect();
    for work in works {
        work.await.unwrap();
    }
}
