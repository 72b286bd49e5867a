use bytes::{Bytes, BytesMut};
use iscsi_initiator::TransferOptions;
use iscsi_initiator::core::CommandError;
use rand::RngExt;

use super::{Outcome, host};
use crate::lab::{Lab, stamp};

const PIECE: u64 = stamp::PIECE as u64;

/// Lengths are powers of two, and one piece more or less.
pub(super) async fn sizes(lab: &dyn Lab) -> Outcome {
    let (disk, lun) = host::disk(lab, |disk| disk.store.is_some()).await?;
    for power in 0..=15 {
        let length = stamp::PIECE << power;
        let offset = place(disk.size, length as u64);
        host::exchange(lab, &disk, &lun, offset, length)
            .await
            .map_err(|error| format!("{length} at {offset}: {error}"))?;
    }
    for pieces in [3, 127, 129, 1023, 1025] {
        let length = pieces * stamp::PIECE;
        let offset = place(disk.size, length as u64);
        host::exchange(lab, &disk, &lun, offset, length)
            .await
            .map_err(|error| format!("{length} at {offset}: {error}"))?;
    }
    Ok(())
}

fn place(size: u64, length: u64) -> u64 {
    rand::rng().random_range(0..=(size - length) / PIECE) * PIECE
}

/// Many commands under way at once, each on its own part of the disk.
pub(super) async fn depth(lab: &dyn Lab) -> Outcome {
    const SLOT: u64 = 128 * 1024;
    let (disk, lun) = host::disk(lab, |disk| disk.store.is_some()).await?;
    let slots = (disk.size / SLOT).min(64);
    let seed = rand::random();
    let mut tasks = tokio::task::JoinSet::new();
    for slot in 0..slots {
        let (lun, offset) = (lun.clone(), slot * SLOT);
        let length = stamp::PIECE << (slot % 9);
        tasks.spawn(async move {
            let first = offset / PIECE;
            let data = Bytes::from(stamp::pieces(first, length / stamp::PIECE, seed));
            lun.write_at(offset, data).await?;
            let data = lun.read_at(offset, length).await?;
            stamp::check(&data, first, seed).map_err(|error| error.to_string())?;
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

pub(super) async fn large_blocks(lab: &dyn Lab) -> Outcome {
    let (disk, lun) = host::disk(lab, |disk| disk.block == 4096).await?;
    for (offset, length) in [(0, 4096), (disk.size - 4096, 4096), (8192, 256 * 1024), (disk.size / 2, 1 << 20)] {
        host::exchange(lab, &disk, &lun, offset, length).await?;
    }
    Ok(())
}

pub(super) async fn durable(lab: &dyn Lab) -> Outcome {
    let (disk, lun) = host::disk(lab, |_| true).await?;
    host::exchange(lab, &disk, &lun, 0, 4096).await?;
    lun.flush().await?;
    let data = Bytes::from(stamp::pieces(16, 8, 7));
    match lun.write_at_with(16 * PIECE, data.clone(), TransferOptions::FUA).await {
        // It says so (MODE SENSE, bit DPOFUA), and is not asked then.
        Err(CommandError::Unsupported(_)) => lun.write_at(16 * PIECE, data).await?,
        result => result?,
    }
    let read = match lun.read_into_with(16 * PIECE, BytesMut::zeroed(4096), TransferOptions::FUA).await {
        Err(CommandError::Unsupported(_)) => lun.read_into(16 * PIECE, BytesMut::zeroed(4096)).await?,
        result => result?,
    };
    stamp::check(&read, 16, 7)?;
    Ok(())
}
