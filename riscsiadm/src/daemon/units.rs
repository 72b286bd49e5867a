//! The logical units of a session.

use std::time::Duration;

use iscsi_initiator::Session;
use iscsi_initiator::core::CommandError;
use iscsi_proto::scsi::{Lun, Qualifier};
use tokio::time::timeout;

use super::held::Held;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::session::{LunView, Scan};

/// How long a target may take to tell of its logical units when somebody waits for a list of all sessions.
const PATIENCE: Duration = Duration::from_secs(3);

/// Looks at the logical units for the first time, in the background. Who looks after that waits for it.
pub(super) fn first_look(held: &Held) {
    let (Some(session), Ok(mut known)) = (held.session(), held.units.clone().try_lock_owned()) else { return };
    tokio::spawn(async move {
        *known = numbers(&session).await.ok();
    });
}

/// What came and went since the last look.
pub(super) async fn rescan(held: &Held) -> Result<Scan, Failure> {
    let lost = || Failure::new(Exit::NotConnected, "the session has no connection at the moment");
    let session = held.session().ok_or_else(lost)?;
    let mut known = held.units.lock().await;
    let now = numbers(&session).await?;
    let before = known.replace(now.clone()).unwrap_or_default();
    let without = |a: &[u64], b: &[u64]| a.iter().filter(|lun| !b.contains(lun)).copied().collect();
    Ok(Scan { found: without(&now, &before), lost: without(&before, &now) })
}

/// The logical units as they are now, as far as the target tells in time.
pub(super) async fn list(session: &Session) -> Vec<LunView> {
    let Ok(Ok(luns)) = timeout(PATIENCE, session.luns()).await else { return Vec::new() };
    let mut views = Vec::new();
    for lun in luns {
        views.push(LunView { lun: number(lun), disk: None, state: String::new() });
    }
    // Those that had no time to answer keep an unknown state.
    let _ = timeout(PATIENCE, states(session, &mut views)).await;
    for view in views.iter_mut().filter(|view| view.state.is_empty()) {
        "unknown".clone_into(&mut view.state);
    }
    views
}

async fn states(session: &Session, views: &mut [LunView]) {
    for view in views {
        let Some(lun) = u32::try_from(view.lun).ok().and_then(Lun::from_number) else { continue };
        view.state = match session.inquiry(lun).await {
            Ok(data) if data.peripheral.qualifier == Qualifier::Connected => "running".to_owned(),
            Ok(_) => "offline".to_owned(),
            Err(error) => error.to_string(),
        };
    }
}

async fn numbers(session: &Session) -> Result<Vec<u64>, CommandError> {
    Ok(session.luns().await?.into_iter().map(number).collect())
}

/// The number of a logical unit; all eight bytes of one that has none.
fn number(lun: Lun) -> u64 {
    lun.number().map_or_else(|| u64::from_be_bytes(lun.to_bytes()), u64::from)
}
