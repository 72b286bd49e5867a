//! Commands that move data both ways, over TCP.

use bytes::BytesMut;
use conformance::target::config::{Config as TargetConfig, LunConfig, TargetConfig as Target};
use conformance::target::server::Server;
use iscsi_initiator::core::{Command, CommandError};
use iscsi_initiator::{Config, Initiator, Session};
use iscsi_proto::pdu::Residual;
use iscsi_proto::scsi::{Sense, Status, XdWriteRead};

use super::{DISK, HOST, SIZE, THICK, filled, name};

const LBA: u64 = 3;
/// Half a MiB and a bit: more than goes out unasked.
const BLOCKS: u16 = 1030;
const LENGTH: usize = BLOCKS as usize * 512;
const COMMAND: XdWriteRead = XdWriteRead {
    lba: LBA as u32,
    blocks: BLOCKS,
    dpo: false,
    fua: false,
    disable_write: false,
    xor_protection: false,
    protect: 0,
    group: 0,
};

fn xor(one: &[u8], two: &[u8]) -> Vec<u8> {
    one.iter().zip(two).map(|(one, two)| one ^ two).collect()
}

#[tokio::test]
async fn the_old_data_comes_back_combined_and_the_new_data_is_there() {
    let (_server, lun, content) = filled(THICK).await;
    let session = lun.session();
    let old = &content[LBA as usize * 512..][..LENGTH];
    let new: Vec<u8> = (0..LENGTH).map(|i| (i % 251) as u8).collect();
    let command = Command::bidirectional(COMMAND.encode(), new.clone(), BytesMut::zeroed(LENGTH));
    let response = session.execute(THICK.into(), command).await.unwrap();
    assert_eq!(
        (response.status, response.residual, response.read_residual),
        (Status::GOOD, Residual::None, Residual::None)
    );
    assert!(response.data == xor(old, &new));
    assert!(lun.read_at(LBA * 512, LENGTH).await.unwrap() == new, "the new data");
    let (before, behind) = (LBA as usize * 512, LBA as usize * 512 + LENGTH);
    assert!(lun.read_at(0, before).await.unwrap() == content[..before]);
    assert!(lun.read_at(behind as u64, 512).await.unwrap() == content[behind..][..512]);
}

#[tokio::test]
async fn a_buffer_of_another_size_has_its_residual() {
    let (_server, lun, content) = filled(THICK).await;
    let old = &content[LBA as usize * 512..][..LENGTH];
    let cdb = XdWriteRead { disable_write: true, ..COMMAND }.encode();
    for (room, residual) in [(1000, Residual::Overflow(LENGTH as u32 - 1000)), (LENGTH + 9, Residual::Underflow(9))] {
        let command = Command::bidirectional(cdb, vec![0xff; LENGTH], BytesMut::zeroed(room));
        let response = lun.session().execute(THICK.into(), command).await.unwrap();
        assert_eq!((response.residual, response.read_residual), (Residual::None, residual));
        assert!(response.data == xor(old, &vec![0xff; LENGTH])[..room.min(LENGTH)]);
    }
    assert!(lun.read_at(LBA * 512, LENGTH).await.unwrap() == old, "nothing was written");
    let command = Command::bidirectional(COMMAND.encode(), vec![0; 512], BytesMut::zeroed(LENGTH));
    let response = lun.session().execute(THICK.into(), command).await.unwrap();
    assert_eq!(Sense::parse(&response.sense).unwrap().code(), Sense::INVALID_FIELD.code());
    assert!(response.data.is_empty());
}

#[tokio::test]
async fn with_error_recovery_it_is_refused_and_the_session_works() {
    let mut target = Target::new(name(DISK)).lun(LunConfig::memory(SIZE));
    target.limits.error_recovery_level = 1;
    let targets = TargetConfig { targets: vec![target], ..TargetConfig::default() };
    let server = Server::bind(targets, "127.0.0.1:0").await.unwrap();
    let mut config = Config::default();
    config.offer.error_recovery_level = 1;
    let builder = Session::builder(&Initiator::new(name(HOST)), name(DISK)).portal(server.local_addr().into());
    let session = builder.config(config).connect().await.unwrap();
    let level = session.info().negotiated.error_recovery_level;
    let command = Command::bidirectional(COMMAND.encode(), vec![1; LENGTH], BytesMut::zeroed(LENGTH));
    let ended = session.execute(0.into(), command).await;
    assert_eq!(level, 1);
    assert!(matches!(ended, Err(CommandError::Invalid(_))), "{ended:?}");
    session.open(0.into()).await.unwrap();
}
