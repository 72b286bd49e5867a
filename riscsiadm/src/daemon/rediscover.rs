//! Looking for a target that cannot be reached any more where its record says (RFC 7143, section 10.1.2).
//!
//! Whoever told of the target is asked again: the portal by SendTargets, or the iSNS server. The records stay as they are:
//! they change when a person discovers.

use iscsi_initiator::core::login::LoginError;
use iscsi_initiator::core::targets::Targets;
use iscsi_initiator::{ConnectError, Discovery};
use iscsi_proto::portal::Portal;

use super::held::Places;
use crate::db::config::Config;
use crate::db::node::Source;
use crate::db::store::Store;
use crate::failure::Failure;
use crate::ipc::secret::Secrets;
use crate::output::escape;
use crate::settings::auth::auth;
use crate::settings::session::Setup;

/// The most other portals that are tried at a time.
const MOST: usize = 8;

/// Whether a login that failed so may work elsewhere. Secrets that are wrong are wrong everywhere.
pub(super) fn may_help(error: &ConnectError) -> bool {
    !matches!(
        error,
        ConnectError::Login(LoginError::Auth(_) | LoginError::Credentials(_) | LoginError::InvalidOffer { .. })
    ) && !matches!(error, ConnectError::Login(LoginError::Refused { status, .. }) if status.class == 2 && status.detail <= 2)
}

/// Where the target is now, apart from where it was: the portals that are told of it, each once.
pub(super) async fn portals(setup: &Setup, places: &Places) -> Vec<Portal> {
    let found = match ask(setup, places).await {
        Ok(Some(found)) => found,
        Ok(None) => return Vec::new(),
        Err(failure) => {
            tracing::info!("{} is not to be found anew: {failure}", escape(setup.node.target.as_written()));
            return Vec::new();
        }
    };
    let own = found.targets.into_iter().filter(|target| target.name == setup.node.target);
    let mut portals: Vec<Portal> = Vec::new();
    for address in own.flat_map(|target| target.addresses) {
        if address.portal != setup.node.portal && !portals.contains(&address.portal) {
            portals.push(address.portal);
        }
    }
    portals.truncate(MOST);
    portals
}

/// `None` if nobody told of the target: a person did, or the firmware.
async fn ask(setup: &Setup, places: &Places) -> Result<Option<Targets>, Failure> {
    let store = Store::at(&places.db, Config::read(&places.config)?)?;
    let Some(source) = store.source_of(&setup.node)? else { return Ok(None) };
    let discovery = setup.discovery();
    Ok(match &source {
        Source::SendTargets(portal) => Some(with_credentials(discovery, &store, &source)?.send_targets(portal).await?),
        Source::Isns(server) => Some(discovery.isns(server).await?),
        Source::Static | Source::Firmware => None,
    })
}

/// Those of the discovery record; one that is gone had none.
fn with_credentials(discovery: Discovery, store: &Store, source: &Source) -> Result<Discovery, Failure> {
    let Ok(record) = store.discovery(source) else { return Ok(discovery) };
    Ok(discovery.auth(auth(&record, "discovery.sendtargets", false, &Secrets::default())?))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use iscsi_initiator::Phase;
    use iscsi_proto::pdu::LoginStatus;

    use super::*;

    #[test]
    fn who_refuses_the_initiator_is_not_looked_for() {
        let refused = |class, detail| {
            ConnectError::Login(LoginError::Refused { status: LoginStatus::new(class, detail), advice: "" })
        };
        for (error, helps) in [
            (refused(2, 1), false),
            (refused(2, 2), false),
            (refused(2, 3), true),
            (refused(3, 1), true),
            (ConnectError::TimedOut { phase: Phase::Connect, after: Duration::ZERO }, true),
        ] {
            assert_eq!(may_help(&error), helps, "{error}");
        }
    }
}
