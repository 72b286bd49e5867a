use super::{Outcome, host, ports};
use crate::lab::{Lab, Role};
use iscsi_proto::scsi::AccessState;

/// The first gateway has the unit; the other is told to take it over.
pub(super) async fn both(lab: &dyn Lab) -> Outcome {
    let offer = lab.offer(Role::Gateways)?;
    let disk = offer.disks.first().ok_or("no disk")?;
    lab.alua(&offer.target, 2, 2)?;
    let (one, two) = (ports::path(&offer, 0).await?, ports::path(&offer, 1).await?);
    super::same("the states", ports::report(&two).await?, [AccessState::Optimized, AccessState::Standby])?;
    host::exchange(lab, disk, &one, 0, 256 * 1024).await?;
    if two.read_at(0, 4096).await.is_ok() {
        return Err("a path in standby read data".into());
    }
    lab.alua(&offer.target, 1, 2)?;
    lab.alua(&offer.target, 2, 0)?;
    let states = ports::report(&one).await;
    let moved = host::exchange(lab, disk, &two, 4096, 256 * 1024).await;
    lab.alua(&offer.target, 1, 0)?;
    lab.alua(&offer.target, 2, 2)?;
    super::same("the states", states?, [AccessState::Standby, AccessState::Optimized])?;
    moved?;
    host::exchange(lab, disk, &one, 0, 4096).await
}

pub(super) async fn stopped(lab: &dyn Lab) -> Outcome {
    let offer = lab.offer(Role::Gateways)?;
    let disk = offer.disks.first().ok_or("no disk")?;
    let (one, two) = (ports::path(&offer, 0).await?, ports::path(&offer, 1).await?);
    lab.gateway(&offer.target, 1, false)?;
    let lost = one.read_at(0, 4096).await;
    lab.alua(&offer.target, 2, 0)?;
    let other = host::exchange(lab, disk, &two, 0, 64 * 1024).await;
    let closed = ports::path(&offer, 0).await.is_err();
    lab.gateway(&offer.target, 1, true)?;
    lab.alua(&offer.target, 2, 2)?;
    other?;
    super::ensure(lost.is_err() && closed, || "a stopped gateway still serves".to_owned())?;
    host::exchange(lab, disk, &ports::path(&offer, 0).await?, 0, 4096).await
}
