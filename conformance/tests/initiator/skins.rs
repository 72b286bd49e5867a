//! The same disk through every skin: async file, blocking file, positional calls.

use std::io::{Read, Seek, SeekFrom, Write};

use bytes::{Bytes, BytesMut};
use iscsi_initiator::core::CommandError;
use iscsi_initiator::{Discovery, blocking};
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use tokio::runtime::Runtime;

use super::{DISK, SIZE, builder, content, fill, initiator, serve};

#[tokio::test]
async fn a_disk_is_discovered() {
    let server = serve().await;
    let found = Discovery::new(&initiator()).send_targets(&server.local_addr().into()).await.unwrap();
    assert_eq!(found.targets.len(), 1);
    assert_eq!(found.targets[0].name.as_str(), DISK);
    assert!(found.skipped.is_empty());
}

#[tokio::test]
async fn a_cursor_reads_writes_and_seeks_like_a_file() {
    let server = serve().await;
    let session = builder(&server).connect().await.unwrap();
    let lun = fill(&session).await;
    let mut expected = content();
    let mut file = lun.cursor();

    let mut part = vec![0; 100_003];
    file.read_exact(&mut part).await.unwrap();
    assert_eq!(part, expected[..100_003]);
    assert_eq!(file.position(), 100_003);

    assert_eq!(file.seek(SeekFrom::Current(-3)).await.unwrap(), 100_000);
    file.write_all(b"neither starts nor ends on a block").await.unwrap();
    expected[100_000..][..34].copy_from_slice(b"neither starts nor ends on a block");
    let mut rest = Vec::new();
    file.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, expected[100_034..]);

    assert_eq!(file.seek(SeekFrom::End(-5)).await.unwrap(), SIZE - 5);
    assert!(file.write_all(b"too long").await.is_err());
    assert!(file.seek(SeekFrom::Current(-SIZE.cast_signed() - 1)).await.is_err());
    file.flush().await.unwrap();
    expected[SIZE as usize - 5..].copy_from_slice(b"too l");
    assert_eq!(lun.read_at(0, SIZE as usize).await.unwrap(), expected);
    session.logout().await.unwrap();
}

#[test]
fn a_blocking_disk_is_read_and_written_without_another_thread() {
    let runtime = Runtime::new().unwrap();
    let server = runtime.block_on(serve());
    let session = blocking::Session::connect(builder(&server)).unwrap();
    let mut lun = session.open(0.into()).unwrap();
    let expected = content();
    lun.write_at(0, expected.clone()).unwrap();

    let mut part = [0; 1000];
    lun.read_exact(&mut part).unwrap();
    assert_eq!(part, expected[..1000]);
    lun.seek(SeekFrom::Start(1_000_001)).unwrap();
    lun.write_all(&[7; 3]).unwrap();
    Write::flush(&mut lun).unwrap();
    assert_eq!(lun.read_at(1_000_000, 5).unwrap()[..], [expected[1_000_000], 7, 7, 7, expected[1_000_004]]);
    let mut back = [0; 4];
    lun.read_exact_at(SIZE - 4, &mut back).unwrap();
    assert_eq!(back, expected[SIZE as usize - 4..]);
    assert_eq!(session.luns().unwrap().len(), 1);
    session.logout().unwrap();
    assert!(lun.read_at(0, 1).is_err());
}

#[tokio::test]
async fn whole_blocks_are_asked_for_where_nothing_may_be_read_to_write() {
    let server = serve().await;
    let session = builder(&server).connect().await.unwrap();
    let lun = fill(&session).await;
    let error = lun.write_at(1, vec![0; 512]).await.unwrap_err();
    assert!(matches!(error, CommandError::Misaligned { offset: 1, length: 512, block_size: 512 }));
    assert!(error.is_known_not_executed());
    let error = lun.read_into(0, BytesMut::zeroed(100)).await.unwrap_err();
    assert!(matches!(error, CommandError::Misaligned { length: 100, .. }));
    let error = lun.write_at(SIZE, vec![0; 512]).await.unwrap_err();
    assert!(matches!(error, CommandError::OutOfRange { .. }));
    lun.write_vectored_at(512, vec![Bytes::from_static(&[1; 200]), Bytes::from_static(&[2; 312])]).await.unwrap();
    let block = lun.read_at(512, 512).await.unwrap();
    assert_eq!((&block[..200], &block[200..]), (&[1; 200][..], &[2; 312][..]));
    lun.write_unaligned_at(0, Bytes::new()).await.unwrap();
    session.logout().await.unwrap();
}

#[tokio::test]
async fn many_commands_of_many_handles_share_one_session() {
    let server = serve().await;
    let session = builder(&server).connect().await.unwrap();
    let lun = fill(&session).await;
    let expected = content();
    let tasks: Vec<_> = (0..200)
        .map(|index| {
            let (lun, offset) = (lun.clone(), index * 512 * 7 % (1 << 20));
            tokio::spawn(async move { (offset, lun.read_at(offset as u64, 4096).await.unwrap()) })
        })
        .collect();
    for task in tasks {
        let (offset, data) = task.await.unwrap();
        assert_eq!(data, expected[offset..][..4096]);
    }
    assert_eq!(session.stats().await.unwrap().in_flight, 0);
    session.logout().await.unwrap();
}
