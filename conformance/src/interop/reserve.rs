use iscsi_initiator::core::CommandError;
use iscsi_initiator::{Initiator, Lun, RegisterOptions, Session};
use iscsi_proto::scsi::{ReservationType, Status};

use super::{Outcome, host, same};
use crate::lab::{Lab, Refused, Role};

const KEYS: [u64; 2] = [0xA1, 0xB2];

/// The first disk of the open target as two hosts see it.
async fn hosts(lab: &dyn Lab) -> host::Made<[Lun; 2]> {
    let offer = lab.offer(Role::Open)?;
    let disk = offer.disks.first().ok_or(Refused::NotOffered("no disk"))?;
    let mut units = Vec::new();
    for name in ["iqn.2026-01.org.example:one", "iqn.2026-01.org.example:two"] {
        let initiator = Initiator::new(name.parse()?);
        let builder = Session::builder(&initiator, offer.target.parse()?).portal(host::first(&offer)?.into());
        units.push(builder.connect().await?.open(disk.lun.into()).await?);
    }
    units.try_into().map_err(|_| "two units".into())
}

fn conflict<T: std::fmt::Debug>(result: Result<T, CommandError>) -> Outcome {
    match result {
        Err(CommandError::Status(Status::RESERVATION_CONFLICT)) => Ok(()),
        other => Err(format!("instead of a conflict: {other:?}").into()),
    }
}

/// Whatever an earlier run has left is gone after this.
async fn clear(lun: &Lun, key: u64) -> Outcome {
    lun.reservations().register_and_ignore(key, &RegisterOptions::default()).await?;
    lun.reservations().clear(key).await?;
    Ok(())
}

pub(super) async fn two(lab: &dyn Lab) -> Outcome {
    let [one, two] = hosts(lab).await?;
    clear(&one, KEYS[0]).await?;
    for kind in [ReservationType::WriteExclusive, ReservationType::ExclusiveAccess] {
        one.reserve(KEYS[0], kind).await?;
        same("the holder", one.reservations().holder().await?.holder, Some((KEYS[0], kind)))?;
        same("the list of keys", two.reservations().keys().await?.keys, vec![KEYS[0]])?;
        one.write_at(0, vec![1; 512]).await?;
        conflict(two.write_at(0, vec![2; 512]).await)?;
        match kind {
            ReservationType::WriteExclusive => drop(two.read_at(0, 512).await?),
            _ => conflict(two.read_at(0, 512).await)?,
        }
        conflict(two.reserve(KEYS[1], kind).await)?;
        one.release(KEYS[0], kind).await?;
        two.write_at(0, vec![2; 512]).await?;
    }
    same("the holder", two.reservations().holder().await?.holder, None)
}

pub(super) async fn preempt(lab: &dyn Lab) -> Outcome {
    let [one, two] = hosts(lab).await?;
    let outcome = preempted(&one, &two).await;
    if outcome.is_err() {
        // What a target does wrong is not to stay for the scenarios that follow.
        for (host, key) in [(&one, KEYS[0]), (&two, KEYS[0]), (&one, KEYS[1]), (&two, KEYS[1])] {
            let _ = host.reservations().clear(key).await;
        }
    }
    outcome
}

async fn preempted(one: &Lun, two: &Lun) -> Outcome {
    clear(one, KEYS[0]).await?;
    let kind = ReservationType::WriteExclusiveRegistrants;
    one.reserve(KEYS[0], kind).await?;
    two.reservations().register(0, KEYS[1], &RegisterOptions::default()).await?;
    two.write_at(0, vec![2; 512]).await?;
    two.reservations().preempt(KEYS[1], KEYS[0], kind).await?;
    same("the holder", two.reservations().holder().await?.holder, Some((KEYS[1], kind)))?;
    same("the list of keys", two.reservations().keys().await?.keys, vec![KEYS[1]])?;
    // The one that lost hears of it by a unit attention, and may no longer write.
    let lost = one.write_at(0, vec![1; 512]).await;
    if !matches!(lost, Err(CommandError::Sense(_))) {
        conflict(lost)?;
    }
    conflict(one.write_at(0, vec![1; 512]).await)?;
    two.reservations().clear(KEYS[1]).await?;
    one.write_at(0, vec![1; 512]).await.or_else(|error| match error {
        CommandError::Sense(_) => Ok(()),
        error => Err(error),
    })?;
    Ok(())
}
