//! Persistent reservations.

use bytes::Bytes;
use conformance::target::config::LunConfig;
use iscsi_initiator::RegisterOptions;
use iscsi_initiator::core::CommandError;
use iscsi_proto::scsi::{MoveList, ReservationType, Sense, SenseKey, Status, TransportId};

use super::{HOST, KIND, OTHER, THIN, login, open, serve_units};

fn is_conflict(error: &CommandError) -> bool {
    matches!(error, CommandError::Status(Status::RESERVATION_CONFLICT))
}

/// REGISTRATIONS PREEMPTED.
fn is_loss(error: &CommandError) -> bool {
    matches!(error, CommandError::Sense(Sense { key: SenseKey::UnitAttention, asc: 0x2a, ascq: 0x05, .. }))
}

#[tokio::test]
async fn a_reserved_unit_keeps_others_out() {
    let (server, lun) = open(THIN).await;
    let other = login(&server, OTHER).await.open(THIN.into()).await.unwrap();
    lun.reserve(0xaaaa, KIND).await.unwrap();
    let holder = lun.reservations().holder().await.unwrap().holder;
    assert_eq!(holder, Some((0xaaaa, KIND)));
    assert!(is_conflict(&other.write_at(0, vec![1; 512]).await.unwrap_err()));
    other.read_at(0, 512).await.unwrap();
    // Who cannot reserve leaves no key behind.
    assert!(is_conflict(&other.reserve(0xbbbb, KIND).await.unwrap_err()));
    assert_eq!(lun.reservations().keys().await.unwrap().keys, [0xaaaa]);
    lun.write_at(0, vec![2; 512]).await.unwrap();

    lun.release(0xaaaa, KIND).await.unwrap();
    assert!(lun.reservations().keys().await.unwrap().keys.is_empty());
    other.write_at(0, vec![3; 512]).await.unwrap();
    assert_eq!(lun.read_at(0, 1).await.unwrap()[..], [3]);
}

#[tokio::test]
async fn every_service_action_of_reservations_is_there() {
    let (server, lun) = open(THIN).await;
    let other = login(&server, OTHER).await.open(THIN.into()).await.unwrap();
    let (ours, theirs) = (lun.reservations(), other.reservations());
    let none = RegisterOptions::default();
    ours.register(0, 1, &none).await.unwrap();
    assert!(is_conflict(&ours.register(5, 2, &none).await.unwrap_err()), "a wrong old key");
    ours.register(1, 2, &none).await.unwrap();
    theirs.register_and_ignore(9, &none).await.unwrap();
    let mut keys = ours.keys().await.unwrap().keys;
    keys.sort_unstable();
    assert_eq!(keys, [2, 9]);

    theirs.reserve(9, ReservationType::ExclusiveAccess).await.unwrap();
    assert!(is_conflict(&lun.read_at(0, 512).await.unwrap_err()));
    let status = ours.registrants().await.unwrap();
    let held: Vec<_> = status.registrants.iter().filter(|one| one.holds.is_some()).collect();
    assert_eq!((status.registrants.len(), held.len(), held[0].key), (2, 1, 9));
    assert!(matches!(&held[0].initiator, TransportId::Named { name, .. } if name == OTHER));

    ours.preempt(2, 9, KIND).await.unwrap();
    assert!(is_loss(&theirs.holder().await.unwrap_err()), "who was preempted is told");
    assert_eq!(theirs.holder().await.unwrap().holder, Some((2, KIND)));
    theirs.register_and_ignore(9, &none).await.unwrap();
    theirs.preempt_and_abort(9, 2, KIND).await.unwrap();
    assert!(is_loss(&ours.holder().await.unwrap_err()));
    assert_eq!(ours.holder().await.unwrap().holder, Some((9, KIND)));
    theirs.release(9, KIND).await.unwrap();
    theirs.clear(9).await.unwrap();
    assert_eq!((theirs.keys().await.unwrap().keys, theirs.holder().await.unwrap().holder), (vec![], None));
    assert!(ours.capabilities().await.unwrap().supports(KIND).unwrap_or(true));

    let list = MoveList {
        key: 0,
        action_key: 1,
        unregister: false,
        persist: false,
        port: 1,
        initiator: TransportId::Named { name: OTHER.into(), port: None },
    };
    assert!(ours.register_and_move(&list).await.is_err(), "who is not registered moves nothing");
}

/// A reset is nothing to who holds no reservation, and an error, once, to who does.
#[tokio::test]
async fn a_reset_is_reported_to_who_relies_on_a_reservation() {
    let (server, lun) = open(THIN).await;
    let other = login(&server, OTHER).await;
    let old = Bytes::from(vec![0; 512]);
    other.reset_lun(THIN.into()).await.unwrap();
    lun.compare_and_write(0, old.clone(), old.clone()).await.unwrap();

    lun.reserve(1, KIND).await.unwrap();
    other.reset_lun(THIN.into()).await.unwrap();
    let error = lun.compare_and_write(0, old.clone(), old.clone()).await.unwrap_err();
    assert!(matches!(error, CommandError::Sense(Sense { key: SenseKey::UnitAttention, asc: 0x29, .. })), "{error}");
    lun.compare_and_write(0, old.clone(), old.clone()).await.unwrap();
    lun.release(1, KIND).await.unwrap();
    other.reset_lun(THIN.into()).await.unwrap();
    lun.compare_and_write(0, old.clone(), old).await.unwrap();
}

/// What was in a cache then may be lost, which is for the next flush to tell, and for that one only.
#[tokio::test]
async fn a_flush_tells_of_a_reset_that_a_write_was_told_of() {
    let disk = tempfile::NamedTempFile::new().unwrap();
    disk.as_file().set_len(1 << 20).unwrap();
    let server = serve_units([LunConfig::file(disk.path())]).await;
    let lun = login(&server, HOST).await.open(0.into()).await.unwrap();
    let other = login(&server, OTHER).await;
    assert_eq!(lun.has_write_cache(), Some(true));
    lun.reserve(1, KIND).await.unwrap();
    lun.flush().await.unwrap();

    other.reset_lun(0.into()).await.unwrap();
    assert!(lun.write_at(0, vec![1; 512]).await.is_err());
    lun.write_at(0, vec![1; 512]).await.unwrap();
    assert!(lun.flush().await.is_err(), "what was written before the reset may be lost");
    lun.flush().await.unwrap();

    other.reset_lun(0.into()).await.unwrap();
    assert!(lun.flush().await.is_err());
    lun.flush().await.unwrap();
}
