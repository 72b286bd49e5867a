//! Comparing, writing with a check, and past the cache; reading without the means to write.

use bytes::{Bytes, BytesMut};
use conformance::lab::stamp;
use iscsi_initiator::TransferOptions;
use iscsi_initiator::core::CommandError;

use super::{MIB, SIZE, THIN, all, data, filled};

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
