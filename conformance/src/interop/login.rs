use iscsi_initiator::core::login::Authentication;
use iscsi_initiator::{Initiator, Session};

use super::{Outcome, ensure, host, same};
use crate::lab::{Lab, Role};

/// Status class and detail: not found, and what targets say instead of it.
const NOT_FOUND: &[(u8, u8)] = &[(2, 3), (3, 1)];
/// Authorization failure; some do not even admit that there is such a target.
const NOT_LET_IN: &[(u8, u8)] = &[(2, 2), (2, 3)];

pub(super) async fn plain(lab: &dyn Lab) -> Outcome {
    let (offer, session) = host::session(lab, Role::Open).await?;
    same("the way of authentication", session.info().authentication, Authentication::None)?;
    ensure(session.info().unanswered.is_empty(), || format!("not answered: {:?}", session.info().unanswered))?;
    let luns = session.luns().await?;
    for disk in &offer.disks {
        ensure(luns.contains(&disk.lun.into()), || format!("LUN {} is not among {luns:?}", disk.lun))?;
        let lun = session.open(disk.lun.into()).await?;
        same("the block size", lun.block_size(), disk.block)?;
        same("the size", lun.len(), disk.size)?;
    }
    session.ping().await?;
    session.logout().await?;
    super::tool::listing(lab)
}

pub(super) async fn again(lab: &dyn Lab) -> Outcome {
    for _ in 0..20 {
        let (_, session) = host::session(lab, Role::Open).await?;
        session.logout().await?;
    }
    Ok(())
}

pub(super) async fn sessions(lab: &dyn Lab) -> Outcome {
    let offer = lab.offer(Role::Open)?;
    let initiator = host::initiator(&offer)?;
    let mut sessions = Vec::new();
    for _ in 0..4 {
        let builder = Session::builder(&initiator, offer.target.parse()?).portal(host::first(&offer)?.into());
        sessions.push(builder.connect().await?);
    }
    for session in &sessions {
        session.ping().await?;
    }
    for session in sessions {
        session.logout().await?;
    }
    Ok(())
}

pub(super) async fn nobody(lab: &dyn Lab) -> Outcome {
    let offer = lab.offer(Role::Open)?;
    let name = "iqn.2026-01.org.example:no-such-target".parse()?;
    let builder = Session::builder(&host::initiator(&offer)?, name).portal(host::first(&offer)?.into());
    host::refused(builder, NOT_FOUND).await
}

pub(super) async fn stranger(lab: &dyn Lab) -> Outcome {
    let (offer, session) = host::session(lab, Role::Acl).await?;
    session.logout().await?;
    let stranger = Initiator::new("iqn.2026-01.org.example:stranger".parse()?);
    let builder = Session::builder(&stranger, offer.target.parse()?).portal(host::first(&offer)?.into());
    host::refused(builder, NOT_LET_IN).await
}

/// The units that this initiator is to see are there, and no others.
pub(super) async fn mapped(lab: &dyn Lab) -> Outcome {
    let (offer, session) = host::session(lab, Role::Acl).await?;
    for disk in &offer.disks {
        same("the size", session.open(disk.lun.into()).await?.len(), disk.size)?;
    }
    session.logout().await?;
    Ok(())
}
