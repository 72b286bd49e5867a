//! Logging in to nodes.

use std::sync::Arc;
use std::time::Duration;

use iscsi_initiator::ConnectError;
use iscsi_initiator::tap::Tap;
use iscsi_proto::isid::Isid;
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, sleep};

use super::gate::Entered;
use super::held::Places;
use super::registry::Registry;
use super::view;
use crate::db::config::Config;
use crate::db::node::NodeId;
use crate::db::store::Store;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::ipc::message::{Fault, Login, Node, Reply};
use crate::settings::session::{Running, Setup};
use crate::trace::Trace;

/// The wait before a first login is tried again.
const PAUSE: Duration = Duration::from_secs(1);

/// A wish to log in, with the records at hand.
struct Order {
    login: Login,
    store: Store,
    places: Places,
    trace: Option<Trace>,
}

/// Logs in to all nodes at once, and tells of each in order.
pub(super) async fn all(registry: &Arc<Registry>, login: Login, out: &Sender<Reply>) -> Result<(), Failure> {
    let places = Places { db: login.db.clone(), config: login.config.clone() };
    let store = Store::at(&places.db, Config::read(&places.config)?)?;
    let trace = login.trace.as_deref().map(Trace::create).transpose()?;
    let order = Arc::new(Order { login, store, places, trace });
    let one = |node: &Node| {
        let (registry, order, node) = (Arc::clone(registry), Arc::clone(&order), node.clone());
        tokio::spawn(async move {
            let mut sids = Vec::new();
            let result = order.node(&registry, &node, &mut sids).await;
            if let Err(failure) = &result {
                tracing::warn!("no session with {} at {}: {failure}", node.target, node.portal);
            }
            Reply::Login { sids, fault: result.err().map(Fault::from) }
        })
    };
    let tasks: Vec<_> = order.login.nodes.iter().map(one).collect();
    if !order.login.wait {
        return Ok(());
    }
    for task in tasks {
        let broken = |_| Failure::new(Exit::Internal, "the daemon has a fault: see its log");
        // A client that is gone does not stop what it began.
        let _ = out.send(task.await.map_err(broken)?).await;
    }
    Ok(())
}

impl Order {
    /// Makes the sessions of one node that are missing.
    async fn node(&self, registry: &Arc<Registry>, node: &Node, sids: &mut Vec<u32>) -> Result<(), Failure> {
        let id = view::node(node)?;
        let gate = registry.gates.of(&id);
        let mut entered = gate.enter().await?;
        let mut setup = Setup::read(&self.store, &self.places.config, &id, &self.login.secrets, self.login.timeout)?;
        setup.tap = self.trace.clone().map(|trace| Arc::new(trace) as Arc<dyn Tap>);
        let missing = missing(registry, &id, &setup, self.login.additional)?;
        for _ in 0..missing {
            sids.push(self.session(registry, &setup, &mut entered).await?);
        }
        Ok(())
    }

    async fn session(
        &self,
        registry: &Arc<Registry>,
        setup: &Setup,
        entered: &mut Entered<'_>,
    ) -> Result<u32, Failure> {
        let isid = registry.isid();
        let running = patiently(setup, isid).await.map_err(|error| {
            let failure = Failure::from(error);
            entered.fail(&failure);
            failure
        })?;
        let sid = registry.add(isid, setup.clone(), self.places.clone(), running).await?;
        tracing::info!("session {sid} to {} is up", setup.node.target);
        Ok(sid)
    }
}

/// How many sessions a node lacks; a failure if it has all.
fn missing(registry: &Registry, id: &NodeId, setup: &Setup, additional: bool) -> Result<u32, Failure> {
    if additional {
        return Ok(1);
    }
    let (wanted, present) = (setup.sessions, registry.count(id));
    if present < wanted {
        return Ok(wanted - present);
    }
    let plural = if wanted == 1 { "" } else { "s" };
    let message = format!("{}: {wanted} session{plural} requested, but {present} already present.", id.iface);
    Err(Failure::new(Exit::SessionExists, message))
}

/// Logs in, again where that may help, as often and for as long as the record says.
async fn patiently(setup: &Setup, isid: Isid) -> Result<Running, ConnectError> {
    let begin = Instant::now();
    let mut left = setup.retries;
    loop {
        match setup.connect(isid).await {
            Err(error) if error.is_retriable() && left > 0 && begin.elapsed() + PAUSE < setup.budget => {
                tracing::info!("login to {} at {}: {error}; once more", setup.node.target, setup.node.portal);
            }
            result => return result,
        }
        left -= 1;
        sleep(PAUSE).await;
    }
}
