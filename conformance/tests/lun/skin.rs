//! The same calls without `async`.

use bytes::Bytes;
use iscsi_initiator::{Initiator, Session, TransferOptions, ZeroOptions, blocking};

use super::{DISK, HOST, KIND, MIB, SIZE, STEP, THIN, data, hole, name, serve};

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
