//! `riscsiadm ls`: targets, portals and LUNs.

use iscsi_initiator::core::targets::DiscoveredTarget;
use iscsi_initiator::{Lun, Session};
use iscsi_proto::name::IscsiName;
use iscsi_proto::portal::TargetAddress;
use iscsi_proto::scsi::{Lun as LunNumber, Qualifier};

use super::access::Access;
use super::{print, within};
use crate::cli::command::Ls;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::json;
use crate::output::table::{self, DeviceView, TargetView};

pub(super) async fn run(args: Ls) -> Result<(), Failure> {
    let access = Access::to_place(&args.place, &args.common)?;
    let targets = match access.url.target.clone() {
        Some(name) => vec![DiscoveredTarget { name, addresses: vec![access.url.portal.clone().into()] }],
        None => access.discovery().send_targets(&access.url.portal).await?.targets,
    };
    let mut views = Vec::new();
    let mut failures = Vec::new();
    for target in targets {
        let (view, result) = look_at(&access, target).await;
        failures.extend(result.err());
        views.push(view);
    }
    if let (Some(_), Some(failure)) = (&access.url.target, failures.first()) {
        return Err(failure.clone());
    }
    if views.is_empty() && !args.common.json {
        return Err(Failure::new(
            Exit::NothingFound,
            format!("{} has no targets for this initiator", access.url.portal),
        ));
    }
    print(&if args.common.json { json::targets(&views) } else { table::targets(&views) })?;
    match failures.into_iter().next() {
        Some(failure) if views.iter().all(|view| view.error.is_some()) => {
            Err(failure.during("no target could be looked at"))
        }
        _ => Ok(()),
    }
}

/// A target with its logical units, or with the reason why they cannot be told.
async fn look_at(access: &Access, target: DiscoveredTarget) -> (TargetView, Result<(), Failure>) {
    let DiscoveredTarget { name, addresses } = target;
    let result = async {
        let session = enter(access, &name, &addresses).await?;
        within(session.clone(), devices(&session)).await
    };
    let (luns, result) = match result.await {
        Ok(luns) => (luns, Ok(())),
        Err(failure) => (Vec::new(), Err(failure)),
    };
    let error = result.as_ref().err().map(|failure: &Failure| failure.message.clone());
    (TargetView { name, portals: addresses, luns, error }, result)
}

/// Logs in at the portal that was asked, which is known to answer, or at one of the others.
async fn enter(access: &Access, name: &IscsiName, addresses: &[TargetAddress]) -> Result<Session, Failure> {
    let asked = &access.url.portal;
    let listed = || addresses.iter().map(|address| &address.portal);
    let others = listed().filter(|portal| *portal != asked).cloned();
    if addresses.is_empty() || listed().any(|portal| portal == asked) {
        return access.log_in(name.clone(), std::iter::once(asked.clone()).chain(others)).await;
    }
    // The target does not say that it is here: a refusal is no last word.
    match access.log_in(name.clone(), [asked.clone()]).await {
        Ok(session) => Ok(session),
        Err(_) => access.log_in(name.clone(), others).await,
    }
}

async fn devices(session: &Session) -> Result<Vec<DeviceView>, Failure> {
    let mut views = Vec::new();
    for lun in session.luns().await? {
        views.push(device(session, lun).await);
    }
    Ok(views)
}

async fn device(session: &Session, number: LunNumber) -> DeviceView {
    let lun = number.number().map_or_else(|| u64::from_be_bytes(number.to_bytes()), u64::from);
    let mut view = DeviceView { lun, ..DeviceView::default() };
    let inquiry = match session.inquiry(number).await {
        Ok(inquiry) => inquiry,
        Err(error) => return DeviceView { error: Some(error.to_string()), ..view },
    };
    view.kind = inquiry.peripheral.device.to_string();
    view.vendor = inquiry.vendor;
    view.product = inquiry.product;
    if inquiry.peripheral.qualifier == Qualifier::Connected && inquiry.peripheral.device.is_block() {
        match session.open(number).await {
            Ok(lun) => measure(&mut view, &lun),
            Err(error) => view.error = Some(error.to_string()),
        }
    }
    view
}

fn measure(view: &mut DeviceView, lun: &Lun) {
    view.size = Some(lun.len());
    view.block_size = Some(lun.block_size());
    view.read_only = lun.is_read_only();
}
