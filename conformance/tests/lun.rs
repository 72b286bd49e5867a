//! The calls of a LUN beyond reading and writing, against the bundled target.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::sync::LazyLock;

use bytes::{Bytes, BytesMut};
use conformance::lab::stamp;
use conformance::target::config::{Config as TargetConfig, LunConfig, TargetConfig as Target};
use conformance::target::server::Server;
use iscsi_initiator::core::{Command, CommandError, Data};
use iscsi_initiator::{
    Allocation, DestroyAllData, Erasure, Extent, Initiator, Lun, RegisterOptions, Session, TransferOptions,
    ZeroOptions, blocking,
};
use iscsi_proto::name::IscsiName;
use iscsi_proto::scsi::{
    AccessState, LongCommand, MoveList, OverwriteList, ReservationType, Sense, SenseKey, Status, Tags, Transfer,
    TransportId, WriteSame,
};

const DISK: &str = "iqn.2026-01.org.example:disk";
const HOST: &str = "iqn.2026-01.org.example:host";
const OTHER: &str = "iqn.2026-01.org.example:other";
/// Bytes of each logical unit.
const SIZE: u64 = 8 << 20;
const MIB: u64 = 1 << 20;
/// What the target's memory is given back in.
const STEP: u64 = 64 << 10;
const KIND: ReservationType = ReservationType::WriteExclusive;

static CONTENT: LazyLock<Vec<u8>> = LazyLock::new(|| stamp::pieces(0, (SIZE / 512) as usize, 1));

/// Numbers of the units that [`serve`] has.
const THIN: u8 = 0;
const THICK: u8 = 1;
const READ_ONLY: u8 = 2;
const LARGE_BLOCKS: u8 = 3;

fn name(text: &str) -> IscsiName {
    text.parse().unwrap()
}

async fn serve() -> Server {
    let memory = LunConfig::memory;
    let target = Target::new(name(DISK))
        .lun(memory(SIZE).thin())
        .lun(memory(SIZE))
        .lun(memory(SIZE).read_only())
        .lun(memory(SIZE).thin().block_size(4096));
    let config = TargetConfig { targets: vec![target], ..TargetConfig::default() };
    Server::bind(config, "127.0.0.1:0").await.unwrap()
}

async fn login(server: &Server, host: &str) -> Session {
    let initiator = Initiator::new(name(host));
    Session::builder(&initiator, name(DISK)).portal(server.local_addr().into()).connect().await.unwrap()
}

/// A unit of a fresh target, and the target, which lives as long as it is held.
async fn open(number: u8) -> (Server, Lun) {
    let server = serve().await;
    let lun = login(&server, HOST).await.open(number.into()).await.unwrap();
    (server, lun)
}

/// The same with all of it written.
async fn filled(number: u8) -> (Server, Lun, Vec<u8>) {
    let (server, lun) = open(number).await;
    let content = CONTENT.clone();
    lun.write_at(0, content.clone()).await.unwrap();
    (server, lun, content)
}

async fn all(lun: &Lun) -> Bytes {
    lun.read_at(0, SIZE as usize).await.unwrap()
}

async fn map(lun: &Lun, range: std::ops::Range<u64>) -> Vec<Extent> {
    let mut extents = lun.extents(range).unwrap();
    let mut found = Vec::new();
    while let Some(extent) = extents.next().await {
        found.push(extent.unwrap());
    }
    found
}

fn hole(offset: u64, length: u64) -> Extent {
    Extent { offset, length, allocation: Allocation::Deallocated, zero: true }
}

fn data(offset: u64, length: u64) -> Extent {
    Extent { offset, length, allocation: Allocation::Mapped, zero: false }
}

#[tokio::test]
async fn zeroes_are_where_they_were_asked_for_and_nowhere_else() {
    for number in [THIN, THICK, LARGE_BLOCKS] {
        for options in [ZeroOptions::default(), ZeroOptions::UNMAP] {
            let (_server, lun, mut expected) = filled(number).await;
            for (offset, length) in [(4096, 4096), (MIB - 4096, 5 * MIB), (SIZE - 4096, 4096), (8192, 0)] {
                lun.write_zeroes(offset, length, options).await.unwrap();
                expected[offset as usize..(offset + length) as usize].fill(0);
            }
            assert!(all(&lun).await == expected, "unit {number}, {options:?}");
        }
    }
}

#[tokio::test]
async fn zeroes_give_space_back_only_where_that_was_allowed() {
    let (_server, lun, _) = filled(THIN).await;
    lun.write_zeroes(0, MIB, ZeroOptions::default()).await.unwrap();
    assert_eq!(map(&lun, 0..SIZE).await, [data(0, SIZE)]);
    lun.write_zeroes(MIB, MIB, ZeroOptions::UNMAP).await.unwrap();
    assert_eq!(map(&lun, 0..SIZE).await, [data(0, MIB), hole(MIB, MIB), data(2 * MIB, 6 * MIB)]);
}

#[tokio::test]
async fn space_is_given_back_in_one_range_and_in_many() {
    for number in [THIN, LARGE_BLOCKS] {
        let (_server, lun, mut expected) = filled(number).await;
        lun.unmap(STEP, 2 * STEP).await.unwrap();
        assert_eq!(map(&lun, 0..SIZE).await, [data(0, STEP), hole(STEP, 2 * STEP), data(3 * STEP, SIZE - 3 * STEP)]);
        expected[STEP as usize..3 * STEP as usize].fill(0);
        // More ranges than one command takes.
        let ranges: Vec<_> = (0..600).map(|n| MIB + n * 8192..MIB + n * 8192 + 4096).collect();
        lun.unmap_ranges(&ranges).await.unwrap();
        for range in ranges {
            expected[range.start as usize..range.end as usize].fill(0);
        }
        assert!(all(&lun).await == expected);
        lun.unmap(0, 0).await.unwrap();
        lun.unmap_ranges(&[]).await.unwrap();
        assert!(all(&lun).await == expected);
        lun.unmap(0, SIZE).await.unwrap();
        assert_eq!(map(&lun, 0..SIZE).await, [hole(0, SIZE)]);
    }
}

#[tokio::test]
async fn what_cannot_be_unmapped_or_cleared_is_told() {
    let (_server, lun) = open(THICK).await;
    assert!(!lun.can_unmap());
    let error = lun.unmap(0, 512).await.unwrap_err();
    assert!(matches!(error, CommandError::Unsupported(_)) && error.is_known_not_executed());
    assert!(error.to_string().contains("not thinly provisioned"), "{error}");

    let (_server, lun) = open(THIN).await;
    for (offset, length) in [(1, 512), (512, 100)] {
        let misaligned = |error| matches!(error, CommandError::Misaligned { block_size: 512, .. });
        assert!(misaligned(lun.unmap(offset, length).await.unwrap_err()));
        assert!(misaligned(lun.write_zeroes(offset, length, ZeroOptions::default()).await.unwrap_err()));
        assert!(misaligned(lun.verify(offset, length).await.unwrap_err()));
    }
    for (offset, length) in [(SIZE, 512), (0, SIZE + 512), (u64::MAX - 511, 512)] {
        let out = |error| matches!(error, CommandError::OutOfRange { size: SIZE, .. });
        assert!(out(lun.unmap(offset, length).await.unwrap_err()), "{offset}");
        assert!(out(lun.write_zeroes(offset, length, ZeroOptions::UNMAP).await.unwrap_err()));
        assert!(out(lun.verify(offset, length).await.unwrap_err()));
    }

    let (_server, lun) = open(READ_ONLY).await;
    for error in [
        lun.write_zeroes(0, 512, ZeroOptions::default()).await.unwrap_err(),
        lun.write_and_verify(0, vec![0; 512]).await.unwrap_err(),
        lun.compare_and_write(0, Bytes::from(vec![0; 512]), Bytes::from(vec![1; 512])).await.unwrap_err(),
    ] {
        assert!(matches!(error, CommandError::Sense(sense) if sense.key == SenseKey::DataProtect), "{error}");
    }
}

#[tokio::test]
async fn the_map_is_cut_to_the_range_that_was_asked_about() {
    let (_server, lun) = open(THIN).await;
    lun.write_at(MIB, vec![1; 8192]).await.unwrap();
    assert_eq!(map(&lun, 0..SIZE).await, [hole(0, MIB), data(MIB, STEP), hole(MIB + STEP, SIZE - MIB - STEP)]);
    assert_eq!(map(&lun, 100..MIB + 1).await, [hole(100, MIB - 100), data(MIB, 1)]);
    assert_eq!(map(&lun, MIB + 1..MIB + 2).await, [data(MIB + 1, 1)]);
    assert_eq!(map(&lun, SIZE..SIZE).await, []);
    assert!(matches!(lun.extents(0..SIZE + 1).unwrap_err(), CommandError::OutOfRange { .. }));
    let (_server, lun) = open(THICK).await;
    assert_eq!(map(&lun, 5..SIZE).await, [data(5, SIZE - 5)]);
}

#[tokio::test]
async fn blocks_are_compared_and_written_in_one_step() {
    let (_server, lun, mut expected) = filled(THIN).await;
    let block = |lun: &[u8], at: usize| Bytes::copy_from_slice(&lun[at..at + 1024]);
    let new = Bytes::from(vec![7; 1024]);
    lun.compare_and_write(4096, block(&expected, 4096), new.clone()).await.unwrap();
    expected[4096..5120].fill(7);
    assert!(all(&lun).await == expected);

    let mut wrong = expected[8192..9216].to_vec();
    wrong[700] ^= 1;
    let error = lun.compare_and_write(8192, wrong.into(), new.clone()).await.unwrap_err();
    assert!(matches!(error, CommandError::Miscompare { offset: Some(700) }), "{error}");
    assert!(error.is_known_not_executed() && error.to_string().contains("byte 700"));
    assert!(all(&lun).await == expected);

    let most = lun.max_compare_and_write();
    assert_eq!(most, 128 * 512);
    let long = Bytes::from(vec![9; most + 512]);
    let whole = Bytes::copy_from_slice(&expected[..most]);
    lun.compare_and_write(0, whole, long.slice(..most)).await.unwrap();
    for (old, new) in
        [(long.clone(), long.clone()), (long.slice(..512), long.slice(..1024)), (Bytes::new(), Bytes::new())]
    {
        assert!(matches!(lun.compare_and_write(0, old, new).await.unwrap_err(), CommandError::Invalid(_)));
    }
    let error = lun.compare_and_write(1, new.clone(), new).await.unwrap_err();
    assert!(matches!(error, CommandError::Misaligned { .. }));
}

#[tokio::test]
async fn differences_are_found_with_their_place() {
    let (_server, lun, content) = filled(THIN).await;
    lun.verify(0, SIZE).await.unwrap();
    lun.compare_at(0, content.clone()).await.unwrap();
    lun.compare_at(SIZE, Bytes::new()).await.unwrap();
    let mut wrong = content.clone();
    wrong[5_000_001] ^= 0x80;
    let error = lun.compare_at(0, wrong.clone()).await.unwrap_err();
    assert!(matches!(error, CommandError::Miscompare { offset: Some(5_000_001) }), "{error}");
    let error = lun.compare_at(MIB, wrong.split_off(MIB as usize)).await.unwrap_err();
    assert!(matches!(error, CommandError::Miscompare { offset: Some(3_951_425) }), "{error}");
    let error = lun.compare_at(0, vec![0; 100]).await.unwrap_err();
    assert!(matches!(error, CommandError::Misaligned { .. }));
}

#[tokio::test]
async fn writes_past_the_cache_and_with_a_check_arrive() {
    let (_server, lun, mut expected) = filled(THIN).await;
    assert_eq!(lun.has_fua(), Some(true));
    let fresh = stamp::pieces(0, 3 << 11, 2);
    lun.write_and_verify(MIB, fresh.clone()).await.unwrap();
    expected[MIB as usize..][..fresh.len()].copy_from_slice(&fresh);
    lun.write_at_with(0, vec![3; 512], TransferOptions::FUA.dpo()).await.unwrap();
    expected[..512].fill(3);
    let buffer = BytesMut::zeroed(SIZE as usize);
    assert!(lun.read_into_with(0, buffer, TransferOptions::FUA).await.unwrap() == expected);
}

#[tokio::test]
async fn a_read_only_handle_reads() {
    let (_server, lun, content) = filled(THIN).await;
    let lun = lun.read_only();
    assert_eq!((lun.len(), lun.block_size(), lun.is_empty()), (SIZE, 512, false));
    assert_eq!(lun.read_at(100, 1000).await.unwrap(), content[100..1100]);
    lun.compare_at(0, content.clone()).await.unwrap();
    lun.verify(0, SIZE).await.unwrap();
    assert_eq!(lun.extents(0..SIZE).unwrap().next().await.unwrap().unwrap(), data(0, SIZE));
    let mut part = [0; 10];
    lun.read_exact_at(5, &mut part).await.unwrap();
    assert_eq!(part, content[5..15]);
}

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
    assert_eq!(lun.reservations().keys().await.unwrap().keys, []);
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

#[tokio::test]
async fn a_unit_tells_of_its_ports_and_commands() {
    let (_server, lun) = open(THIN).await;
    let groups = lun.port_groups().await.unwrap();
    assert_eq!((groups.groups.len(), groups.groups[0].state), (1, AccessState::Optimized));
    assert_eq!(lun.identity().unwrap().port_group(), Some(groups.groups[0].group));
    let opcodes = lun.supported_opcodes().await.unwrap();
    assert!(opcodes.contains(0x28, None) && opcodes.contains(0x9e, Some(0x12)) && !opcodes.contains(0x4d, None));
    assert!(lun.supported_opcode(0x42, None).await.unwrap().support.is_supported());
    assert!(!lun.supported_opcode(0x9c, None).await.unwrap().support.is_supported());
    assert!(lun.supported_opcode(0x9e, Some(0x10)).await.unwrap().support.is_supported());
    lun.start_stop(true).await.unwrap();
    assert_eq!(lun.progress().await.unwrap(), None);
}

#[tokio::test]
async fn what_a_unit_does_not_know_is_called_unsupported() {
    let (_server, lun) = open(THIN).await;
    let overwrite = OverwriteList { invert: false, passes: 1, pattern: vec![0] };
    for error in [
        lun.log_pages().await.unwrap_err(),
        lun.log_page(0x0d, 0).await.unwrap_err(),
        lun.set_port_group(1, AccessState::Standby).await.unwrap_err(),
        lun.prevent_removal(true).await.unwrap_err(),
        lun.sanitize(DestroyAllData::on(&lun), Erasure::Block).await.unwrap_err(),
        lun.sanitize(DestroyAllData::on(&lun), Erasure::Overwrite(overwrite)).await.unwrap_err(),
    ] {
        assert!(matches!(error, CommandError::Unsupported(_)), "{error}");
    }
    let other = lun.session().open(THICK.into()).await.unwrap();
    let error = lun.sanitize(DestroyAllData::on(&other), Erasure::Block).await.unwrap_err();
    assert!(matches!(error, CommandError::Invalid(_)), "consent for another unit");
    assert!(lun.extended_inquiry().await.is_err() && lun.third_party_copy().await.is_err());
}

/// The bundled target takes CDBs of 16 bytes, and says so of a longer one instead of losing its footing.
#[tokio::test]
async fn a_long_cdb_arrives_with_its_segment() {
    let (_server, lun) = open(THIN).await;
    let cdb = LongCommand::Read(Transfer::new(0, 1), Tags::default()).encode();
    let command = Command { data: Data::In(BytesMut::zeroed(512)), ..Command::long(&cdb) };
    let response = lun.session().execute(THIN.into(), command).await.unwrap();
    let sense = Sense::parse(&response.sense).unwrap();
    assert_eq!((response.status, sense.code()), (Status::CHECK_CONDITION, Sense::INVALID_OPCODE.code()));
    let cdb = LongCommand::WriteSame(WriteSame { no_data: true, ..WriteSame::new(0, 1) }, Tags::default()).encode();
    let response = lun.session().execute(THIN.into(), Command::long(&cdb)).await.unwrap();
    assert_eq!(response.status, Status::CHECK_CONDITION);
    lun.read_at(0, 512).await.unwrap();
}

#[test]
fn the_blocking_skin_has_the_same_calls() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(serve());
    let initiator = Initiator::new(name(HOST));
    let builder = Session::builder(&initiator, name(DISK)).portal(server.local_addr().into());
    let session = blocking::Session::connect(builder).unwrap();
    let lun = session.open(THIN.into()).unwrap();
    lun.write_and_verify(MIB, vec![5; 8192]).unwrap();
    lun.write_at_with(0, vec![6; 4096], TransferOptions::FUA).unwrap();
    lun.write_zeroes(MIB + 8192, STEP, ZeroOptions::UNMAP).unwrap();
    lun.unmap(0, STEP).unwrap();
    lun.verify(0, SIZE).unwrap();
    lun.compare_at(MIB + 4096, vec![5; 4096]).unwrap();
    lun.compare_and_write(MIB + 4096, Bytes::from(vec![5; 512]), Bytes::from(vec![4; 512])).unwrap();
    let found: Result<Vec<_>, _> = lun.extents(0..SIZE).unwrap().collect();
    assert_eq!(found.unwrap(), [hole(0, MIB), data(MIB, STEP), hole(MIB + STEP, SIZE - MIB - STEP)]);
    lun.reserve(1, KIND).unwrap();
    lun.release(1, KIND).unwrap();
    assert_eq!(lun.port_groups().unwrap().groups.len(), 1);
    assert!(lun.run(async |unit| unit.supported_opcodes().await).unwrap().contains(0x28, None));
    session.logout().unwrap();
}
