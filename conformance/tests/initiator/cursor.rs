//! A disk as a file, when calls are given up or fail, and when others write beside it.

use std::io::{Read, Seek, SeekFrom};

use iscsi_initiator::{Cursor, Lun, blocking};
use iscsi_proto::scsi::SenseKey;
use tokio::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
use tokio::runtime::Runtime;

use super::cancel::polled;
use super::peer::{Answer, GOOD, disk};
use super::{builder, content, fill, serve};

/// A cursor at the start whose write of eight blocks of ones was given up.
async fn given_up(lun: &Lun) -> Cursor {
    let mut file = lun.cursor();
    assert!(!polled(1, file.write(&[1; 4096])).await);
    file
}

#[tokio::test]
async fn r300_a_write_after_one_that_was_given_up_writes_its_own_bytes_behind_it() {
    let server = serve().await;
    let session = builder(&server).connect().await.unwrap();
    let lun = fill(&session).await;
    let mut file = given_up(&lun).await;
    assert_eq!(file.write(&[2; 512]).await.unwrap(), 512);
    assert_eq!(file.position(), 4608);
    let now = lun.read_at(0, 5120).await.unwrap();
    assert_eq!((&now[..4096], &now[4096..4608]), (&[1; 4096][..], &[2; 512][..]));
    assert_eq!(now[4608..], content()[4608..5120]);
}

#[tokio::test]
async fn r300_the_same_write_again_goes_on_with_the_one_that_was_given_up() {
    let server = serve().await;
    let session = builder(&server).connect().await.unwrap();
    let lun = fill(&session).await;
    let mut file = given_up(&lun).await;
    assert_eq!(file.write(&[1; 5000]).await.unwrap(), 4096);
    assert_eq!(file.position(), 4096);
    assert_eq!(lun.read_at(4096, 512).await.unwrap(), content()[4096..4608]);
}

#[tokio::test]
async fn r300_reads_and_seeks_wait_for_a_write_that_was_given_up() {
    let server = serve().await;
    let session = builder(&server).connect().await.unwrap();
    let lun = fill(&session).await;
    let mut block = [0; 512];
    given_up(&lun).await.read_exact(&mut block).await.unwrap();
    assert_eq!(block, content()[4096..4608]);

    let mut file = given_up(&lun).await;
    assert_eq!(file.seek(SeekFrom::Current(-1)).await.unwrap(), 4095);
    assert_eq!(file.read_u8().await.unwrap(), 1);

    assert!(!polled(1, file.flush()).await);
    assert_eq!(file.seek(SeekFrom::Start(4096)).await.unwrap(), 4096);
    assert_eq!(file.read_u8().await.unwrap(), content()[4096]);
}

#[tokio::test]
async fn a_call_after_one_that_failed_is_a_new_one() {
    let mut given = 0;
    let (_session, lun) = disk(move |_| {
        given += 1;
        if given % 2 == 1 { Answer::Sense(SenseKey::MediumError, 0x0c, 0) } else { GOOD }
    })
    .await;
    let mut file = lun.cursor();
    assert!(file.flush().await.is_err());
    file.flush().await.unwrap();
    assert!(file.write(&[1; 512]).await.is_err());
    assert_eq!(file.position(), 0);
    assert_eq!(file.write(&[1; 512]).await.unwrap(), 512);
    assert!(file.read_u8().await.is_err());
    file.read_u8().await.unwrap();

    assert!(!polled(1, file.write(&[1; 512])).await);
    assert!(file.flush().await.is_err(), "the write that was given up failed");
    file.flush().await.unwrap();
}

#[tokio::test]
async fn a_write_beside_a_cursor_is_seen_by_its_next_read() {
    let server = serve().await;
    let session = builder(&server).connect().await.unwrap();
    let lun = fill(&session).await;
    let mut file = lun.cursor();
    let mut block = [0; 512];
    file.read_exact(&mut block).await.unwrap();
    lun.write_at(512, vec![9; 512]).await.unwrap();
    file.read_exact(&mut block).await.unwrap();
    assert_eq!(block, [9; 512]);

    file.seek(SeekFrom::Start(1 << 20)).await.unwrap();
    assert!(!polled(1, file.read(&mut block)).await);
    lun.clone().write_at(1 << 20, vec![8; 512]).await.unwrap();
    file.read_exact(&mut block).await.unwrap();
    assert_eq!(block, [8; 512]);
}

#[test]
fn a_write_by_position_is_seen_by_the_next_read_of_a_blocking_disk() {
    let runtime = Runtime::new().unwrap();
    let server = runtime.block_on(serve());
    let session = blocking::Session::connect(builder(&server)).unwrap();
    let mut lun = session.open(0.into()).unwrap();
    let mut block = [0; 512];
    lun.read_exact(&mut block).unwrap();
    lun.write_at(512, vec![9; 512]).unwrap();
    lun.seek(SeekFrom::Start(512)).unwrap();
    lun.read_exact(&mut block).unwrap();
    assert_eq!(block, [9; 512]);
    lun.write_unaligned_at(1024, vec![5; 3].into()).unwrap();
    lun.read_exact(&mut block).unwrap();
    assert_eq!(block[..4], [5, 5, 5, 0]);
    session.logout().unwrap();
}
