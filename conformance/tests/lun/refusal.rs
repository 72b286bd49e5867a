//! What is refused is remembered, and what must not be done twice is not sent twice.

use bytes::Bytes;
use conformance::target::server::Server;
use iscsi_initiator::core::CommandError;
use iscsi_initiator::{Initiator, Lun, RegisterOptions, Session, ZeroOptions};
use iscsi_proto::scsi::Status;

use super::proxy::{Proxy, Trick};
use super::{CONTENT, DISK, HOST, KIND, LONG, MIB, SIZE, THIN, all, data, map, name, serve};

const WRITE: u8 = 0x2a;
const WRITE_SAME: u8 = 0x93;
const UNMAP: u8 = 0x42;
const SERVICE_ACTION_IN: u8 = 0x9e;
const COMPARE_AND_WRITE: u8 = 0x89;
const RESERVE_OUT: u8 = 0x5f;

/// A thin unit behind a wire that plays a trick on commands with an operation code.
async fn open_by(opcode: u8, trick: Trick) -> (Server, Proxy, Lun) {
    let server = serve().await;
    let proxy = Proxy::start(server.local_addr(), opcode, trick).await;
    let builder = Session::builder(&Initiator::new(name(HOST)), name(DISK)).portal(proxy.address().into());
    let lun = builder.connect().await.unwrap().open(THIN.into()).await.unwrap();
    (server, proxy, lun)
}

#[tokio::test]
async fn a_unit_without_write_same_is_filled_by_writes() {
    let (_server, proxy, lun) = open_by(WRITE_SAME, Trick::Refuse).await;
    lun.write_at(0, CONTENT.clone()).await.unwrap();
    let mut expected = CONTENT.clone();
    for (offset, length) in [(512, 3 * MIB), (SIZE - MIB, MIB)] {
        lun.write_zeroes(offset, length, ZeroOptions::UNMAP).await.unwrap();
        expected[offset as usize..(offset + length) as usize].fill(0);
    }
    assert!(all(&lun).await == expected);
    assert_eq!((proxy.count(WRITE_SAME), proxy.count(WRITE)), (1, 8 + 3 + 1), "it is asked once");
}

#[tokio::test]
async fn a_long_range_of_zeroes_is_split_at_the_limit() {
    let (_server, proxy, lun) = open_by(UNMAP, Trick::Refuse).await;
    let long = lun.session().open(LONG.into()).await.unwrap();
    long.write_zeroes(0, long.len(), ZeroOptions::default()).await.unwrap();
    assert_eq!((proxy.count(WRITE_SAME), proxy.count(WRITE)), (3, 0), "16 MiB at a time");
    let error = lun.unmap(0, SIZE).await.unwrap_err();
    assert!(matches!(error, CommandError::Unsupported("UNMAP")), "{error}");
}

#[tokio::test]
async fn a_unit_without_a_map_is_mapped_and_asked_once() {
    // READ CAPACITY(16) shares the operation code; the 10-byte form takes its place.
    let (_server, proxy, lun) = open_by(SERVICE_ACTION_IN, Trick::Refuse).await;
    let before = proxy.count(SERVICE_ACTION_IN);
    for _ in 0..2 {
        assert_eq!(map(&lun, 100..SIZE).await, [data(100, SIZE - 100)]);
        assert_eq!(map(&lun.clone(), 0..1).await, [data(0, 1)]);
    }
    assert_eq!(proxy.count(SERVICE_ACTION_IN), before + 1);
}

#[tokio::test]
async fn what_must_not_be_done_twice_is_sent_again_only_if_it_was_not_done() {
    let zeroes = || Bytes::from(vec![0; 512]);
    for (status, sent) in
        [(Status::BUSY, 2), (Status::TASK_SET_FULL, 2), (Status::TASK_ABORTED, 1), (Status::RESERVATION_CONFLICT, 1)]
    {
        let (_server, proxy, lun) = open_by(COMPARE_AND_WRITE, Trick::Answer(status.0)).await;
        let result = lun.compare_and_write(0, zeroes(), zeroes()).await;
        assert_eq!((proxy.count(COMPARE_AND_WRITE), result.is_ok()), (sent, sent == 2), "{status}");

        let (_server, proxy, lun) = open_by(RESERVE_OUT, Trick::Answer(status.0)).await;
        let result = lun.reservations().register_and_ignore(1, &RegisterOptions::default()).await;
        assert_eq!((proxy.count(RESERVE_OUT), result.is_ok()), (sent, sent == 2), "{status}");
        if let Err(error) = result {
            assert!(matches!(error, CommandError::Status(found) if found == status), "{error}");
        }
    }
}

/// The wire shows it: all that a read-only handle sends asks or reads.
#[tokio::test]
async fn a_read_only_handle_sends_no_write() {
    let (_server, proxy, lun) = open_by(0xff, Trick::Refuse).await;
    let lun = lun.read_only();
    lun.read_at(5, MIB as usize).await.unwrap();
    lun.verify(0, SIZE).await.unwrap();
    lun.compare_at(0, vec![0; 512]).await.unwrap();
    lun.extents(0..SIZE).unwrap().next().await.unwrap().unwrap();
    // TEST UNIT READY, INQUIRY, MODE SENSE, READ, VERIFY, READ CAPACITY(16) and GET LBA STATUS.
    let harmless = [0x00, 0x12, 0x1a, 0x28, 0x2f, 0x9e];
    let seen = proxy.seen();
    assert!(seen.iter().all(|opcode| harmless.contains(opcode)), "{seen:02x?}");
    assert!(harmless.iter().all(|opcode| seen.contains(opcode)), "{seen:02x?}");
}

#[tokio::test]
async fn a_reservation_is_told_by_its_commands() {
    let (_server, proxy, lun) = open_by(0xff, Trick::Refuse).await;
    lun.reserve(1, KIND).await.unwrap();
    lun.release(1, KIND).await.unwrap();
    assert_eq!(proxy.count(RESERVE_OUT), 4, "register, reserve, release, unregister");
}
