use iscsi_initiator::Lun;
use iscsi_initiator::core::CommandError;
use iscsi_proto::scsi::AccessState;

use super::{Outcome, host, same};
use crate::lab::{Lab, Offer, Refused, Role};

const STATES: [(u8, AccessState); 4] = [
    (0, AccessState::Optimized),
    (1, AccessState::NonOptimized),
    (2, AccessState::Standby),
    (3, AccessState::Unavailable),
];

/// The unit through the n-th portal, which is in the portal group with the next number.
pub(super) async fn path(offer: &Offer, portal: usize) -> host::Made<Lun> {
    let address = *offer.portals.get(portal).ok_or(Refused::NotOffered("one portal"))?;
    let disk = offer.disks.first().ok_or("no disk")?;
    Ok(host::builder_at(offer, address)?.connect().await?.open(disk.lun.into()).await?)
}

/// The states of groups 1 and 2.
pub(super) async fn report(lun: &Lun) -> host::Made<[AccessState; 2]> {
    let groups = lun.port_groups().await?.groups;
    let state = |number| groups.iter().find(|group| group.group == number).map(|group| group.state);
    match (state(1), state(2)) {
        (Some(one), Some(two)) => Ok([one, two]),
        _ => Err(format!("groups 1 and 2 are not both in {groups:?}").into()),
    }
}

pub(super) async fn states(lab: &dyn Lab) -> Outcome {
    let offer = lab.offer(Role::Alua)?;
    let lun = path(&offer, 0).await?;
    for (number, state) in STATES {
        lab.alua(&offer.target, 2, number)?;
        same("the states", report(&lun).await?, [AccessState::Optimized, state])?;
    }
    lab.alua(&offer.target, 2, 1)?;
    Ok(())
}

pub(super) async fn explicit(lab: &dyn Lab) -> Outcome {
    let offer = lab.offer(Role::Alua)?;
    let lun = path(&offer, 0).await?;
    for (_, state) in STATES.into_iter().take(3).rev() {
        match lun.set_port_group(2, state).await {
            Err(CommandError::Unsupported(_)) => {
                return Err(Refused::NotOffered("states change by themselves only").into());
            }
            other => other?,
        }
        same("the states", report(&lun).await?, [AccessState::Optimized, state])?;
    }
    lun.set_port_group(2, AccessState::NonOptimized).await?;
    Ok(())
}

pub(super) async fn paths(lab: &dyn Lab) -> Outcome {
    let offer = lab.offer(Role::Alua)?;
    let disk = offer.disks.first().ok_or("no disk")?;
    let (one, two) = (path(&offer, 0).await?, path(&offer, 1).await?);
    for lun in [&one, &two] {
        host::exchange(lab, disk, lun, 0, 64 * 1024).await?;
    }
    lab.alua(&offer.target, 2, 2)?;
    let standby = two.read_at(0, 4096).await;
    let other = one.read_at(0, 4096).await;
    lab.alua(&offer.target, 2, 1)?;
    other?;
    if standby.is_ok() {
        return Err("a path in standby read data".into());
    }
    host::exchange(lab, disk, &two, 0, 64 * 1024).await
}
