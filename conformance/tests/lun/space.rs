//! The allocation map, giving space back, and zeroes.

use bytes::Bytes;
use iscsi_initiator::ZeroOptions;
use iscsi_initiator::core::CommandError;
use iscsi_proto::scsi::SenseKey;

use super::{LARGE_BLOCKS, MIB, READ_ONLY, SIZE, STEP, THICK, THIN, all, data, filled, hole, map, open};

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
