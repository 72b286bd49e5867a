//! What a unit says of itself, and how it is told that it does not know a command.

use bytes::BytesMut;
use iscsi_initiator::core::{Command, CommandError, Data};
use iscsi_initiator::{DestroyAllData, Erasure};
use iscsi_proto::scsi::{AccessState, LongCommand, OverwriteList, Sense, Status, Tags, Transfer, WriteSame};

use super::{THICK, THIN, open};

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
