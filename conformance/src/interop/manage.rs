use iscsi_initiator::core::CommandError;
use iscsi_proto::pdu::TaskResult;

use super::{Outcome, ensure, host, same};
use crate::lab::{Lab, Refused, Role};

/// Room in the list of pages.
const SUPPORTED_PAGES: u8 = 0;
const HEAD: usize = 4;

pub(super) async fn inventory(lab: &dyn Lab) -> Outcome {
    let (_, session) = host::session(lab, Role::Open).await?;
    for lun in session.luns().await? {
        let inquiry = session.inquiry(lun).await?;
        ensure(!inquiry.vendor.trim().is_empty(), || format!("LUN {lun} has no vendor"))?;
        let pages = session.vital_product_data(lun, SUPPORTED_PAGES).await?;
        for page in pages.get(HEAD..).unwrap_or_default() {
            let data = session.vital_product_data(lun, *page).await?;
            same("the number of a page", data.get(1), Some(page))?;
        }
    }
    session.logout().await?;
    Ok(())
}

/// Afterwards the unit answers as before.
pub(super) async fn reset(lab: &dyn Lab) -> Outcome {
    let (offer, session) = host::session(lab, Role::Open).await?;
    let number = offer.disks.first().ok_or("no disk")?.lun.into();
    let lun = session.open(number).await?;
    same("the answer to LOGICAL UNIT RESET", session.reset_lun(number).await?, TaskResult::FunctionComplete)?;
    lun.read_at(0, 4096).await?;
    session.logout().await?;
    Ok(())
}

/// ABORT TASK SET is for targets to have or not.
pub(super) async fn abort(lab: &dyn Lab) -> Outcome {
    let (offer, session) = host::session(lab, Role::Open).await?;
    let number = offer.disks.first().ok_or("no disk")?.lun.into();
    let lun = session.open(number).await?;
    match session.abort_tasks(number).await? {
        TaskResult::FunctionNotSupported => return Err(Refused::NotOffered("no ABORT TASK SET").into()),
        result => same("the answer", result, TaskResult::FunctionComplete)?,
    }
    lun.read_at(0, 4096).await?;
    session.logout().await?;
    Ok(())
}

pub(super) async fn plug(lab: &dyn Lab) -> Outcome {
    const NEW: u8 = 9;
    let (offer, session) = host::session(lab, Role::Open).await?;
    let old = session.open(offer.disks.first().ok_or("no disk")?.lun.into()).await?;
    let before = session.luns().await?;
    lab.plug(&offer.target, NEW, true)?;
    let result = async {
        ensure(session.luns().await?.contains(&NEW.into()), || "the new unit is not in the list".to_owned())?;
        let lun = session.open(NEW.into()).await?;
        same("the size", lun.len(), 1 << 20)?;
        lun.write_at(0, vec![5; 4096]).await?;
        old.read_at(0, 4096).await?;
        host::Made::Ok(lun)
    }
    .await;
    lab.plug(&offer.target, NEW, false)?;
    let lun = result?;
    old.read_at(0, 4096).await?;
    same("the list of units", session.luns().await?, before)?;
    match lun.read_at(0, 4096).await {
        Err(CommandError::Sense(_)) => {}
        other => return Err(format!("a unit that is gone answered {other:?}").into()),
    }
    session.logout().await?;
    Ok(())
}
