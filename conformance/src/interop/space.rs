use bytes::Bytes;
use iscsi_initiator::ZeroOptions;
use iscsi_initiator::core::CommandError;

use super::{Outcome, ensure, host};
use crate::lab::{Disk, Lab, Refused, stamp};

const MIB: u64 = 1 << 20;

/// The command is one that this target does not have.
fn optional(result: Result<(), CommandError>, what: &'static str) -> Outcome {
    match result {
        Err(CommandError::Unsupported(_)) => Err(Refused::NotOffered(what).into()),
        other => Ok(other?),
    }
}

async fn all_zero(lab: &dyn Lab, disk: &Disk, lun: &iscsi_initiator::Lun, offset: u64, length: u64) -> Outcome {
    let read = lun.read_at(offset, length as usize).await?;
    ensure(read.iter().all(|byte| *byte == 0), || "the range reads as something else than zeroes".to_owned())?;
    match lab.stored(disk, offset, length as usize) {
        Ok(stored) => ensure(stored.iter().all(|byte| *byte == 0), || "what is stored is not zero".to_owned()),
        Err(Refused::NotOffered(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Neighbours stay as they are.
pub(super) async fn unmap(lab: &dyn Lab) -> Outcome {
    let (disk, lun) = host::disk(lab, |disk| disk.thin).await?;
    ensure(lun.can_unmap(), || "a thin unit does not say that it is one".to_owned())?;
    host::exchange(lab, &disk, &lun, MIB, 3 << 20).await?;
    let (before, after) = (lun.read_at(MIB, 1 << 20).await?, lun.read_at(3 * MIB, 1 << 20).await?);
    lun.unmap(2 * MIB, MIB).await?;
    if lun.unmapped_reads_zeroes() {
        all_zero(lab, &disk, &lun, 2 * MIB, MIB).await?;
    }
    ensure(lun.read_at(MIB, 1 << 20).await? == before, || "what is before the range has changed".to_owned())?;
    ensure(lun.read_at(3 * MIB, 1 << 20).await? == after, || "what is after the range has changed".to_owned())
}

pub(super) async fn zeroes(lab: &dyn Lab) -> Outcome {
    let (disk, lun) = host::disk(lab, |disk| disk.store.is_some()).await?;
    for (length, options) in
        [(4096, ZeroOptions::default()), (MIB, ZeroOptions::default()), (64 * 1024, ZeroOptions::UNMAP)]
    {
        host::exchange(lab, &disk, &lun, 0, 2 << 20).await?;
        optional(lun.write_zeroes(4096, length, options).await, "no WRITE SAME")?;
        all_zero(lab, &disk, &lun, 4096, length).await?;
        let after = lun.read_at(4096 + length, 4096).await?;
        ensure(after.iter().any(|byte| *byte != 0), || "what is after the range has changed".to_owned())?;
    }
    Ok(())
}

pub(super) async fn compare_and_write(lab: &dyn Lab) -> Outcome {
    let (_, lun) = host::disk(lab, |_| true).await?;
    let [old, new] = [1, 2].map(|seed| Bytes::from(stamp::pieces(0, 1, seed)));
    lun.write_at(0, old.clone()).await?;
    optional(lun.compare_and_write(0, old.clone(), new.clone()).await, "no COMPARE AND WRITE")?;
    ensure(lun.read_at(0, 512).await? == new, || "the new data was not written".to_owned())?;
    match lun.compare_and_write(0, old.clone(), old).await {
        Err(CommandError::Miscompare { .. }) => {}
        other => return Err(format!("instead of a miscompare: {other:?}").into()),
    }
    ensure(lun.read_at(0, 512).await? == new, || "data was written in spite of the miscompare".to_owned())
}

pub(super) async fn verify(lab: &dyn Lab) -> Outcome {
    let (_, lun) = host::disk(lab, |_| true).await?;
    let data = Bytes::from(stamp::pieces(0, 128, 3));
    lun.write_and_verify(0, data.clone()).await?;
    lun.compare_at(0, data).await?;
    let other = Bytes::from(stamp::pieces(0, 128, 4));
    match lun.compare_at(0, other).await {
        Err(CommandError::Miscompare { .. }) => Ok(()),
        other => Err(format!("instead of a miscompare: {other:?}").into()),
    }
}

/// The extents cover the range without gaps, and what is said to be zero is.
pub(super) async fn extents(lab: &dyn Lab) -> Outcome {
    let (disk, lun) = host::disk(lab, |disk| disk.thin).await?;
    host::exchange(lab, &disk, &lun, 0, 1 << 20).await?;
    lun.unmap(512 * 1024, 512 * 1024).await?;
    let mut extents = lun.extents(0..MIB)?;
    let (mut at, mut holes) = (0, 0);
    while let Some(extent) = extents.next().await {
        let extent = match extent {
            Err(CommandError::Unsupported(_)) => return Err(Refused::NotOffered("no GET LBA STATUS").into()),
            other => other?,
        };
        ensure(extent.offset == at, || format!("an extent begins at {} instead of {at}", extent.offset))?;
        at += extent.length;
        holes += if extent.zero { extent.length } else { 0 };
    }
    ensure(at == MIB, || format!("the extents end at {at}"))?;
    match holes {
        0 => Err(Refused::NotOffered("no GET LBA STATUS").into()),
        _ => ensure(holes <= 512 * 1024, || format!("{holes} bytes are said to be zero")),
    }
}
