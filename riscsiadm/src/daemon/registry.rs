//! All sessions that are held.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use iscsi_initiator::Session;
use iscsi_initiator::core::CommandError;
use iscsi_proto::isid::{Isid, IsidError};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::gate::Gates;
use super::held::{Held, Places};
use super::state::{Promise, State, StateFile};
use super::{units, view};
use crate::db::config::Config;
use crate::db::node::NodeId;
use crate::db::store::Store;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::ipc::secret::Secrets;
use crate::settings::session::{Connection, Running, Setup};

/// How long all logouts together may take when the daemon ends.
const GOODBYE: Duration = Duration::from_secs(10);

/// All sessions.
#[derive(Debug)]
pub(super) struct Registry {
    pub(super) gates: Gates,
    table: Mutex<Table>,
    file: StateFile,
}

struct Table {
    sessions: BTreeMap<u32, Arc<Held>>,
    /// The number of the next session.
    next: u32,
    /// The random part of session identifiers.
    isid: [u8; 3],
    /// The qualifier of the last one.
    qualifier: u16,
    /// Nothing is let in any more.
    ending: bool,
    /// What the last daemon held, until it is taken up.
    left: Vec<Promise>,
}

impl Registry {
    /// The registry whose state is in `dir`, of the daemon whose directory is `run`.
    pub(super) fn open(dir: &Path, run: &Path) -> Result<Self, Failure> {
        let file = StateFile::claim(&std::path::absolute(dir)?, &std::fs::canonicalize(run)?)?;
        let state = file.read();
        let fresh = state == State::default();
        let table = Table {
            sessions: BTreeMap::new(),
            next: state.next.max(1),
            isid: if fresh { rand::random() } else { state.isid },
            qualifier: state.qualifier,
            ending: false,
            left: state.sessions,
        };
        Ok(Self { gates: Gates::default(), table: Mutex::new(table), file })
    }

    /// Takes up what the last daemon held.
    pub(super) fn restore(self: &Arc<Self>) {
        let left = std::mem::take(&mut self.lock().left);
        for promise in left {
            match take_up(&promise) {
                Ok(held) => {
                    tracing::info!("session {} to {} is being set up again", held.sid, held.setup.node.target);
                    self.lock().sessions.insert(held.sid, Arc::clone(&held));
                    self.keep(&held, None);
                }
                Err(failure) => tracing::warn!("session {} is given up: {failure}", promise.sid),
            }
        }
        self.lock().save(&self.file);
    }

    /// All sessions, by their numbers.
    pub(super) fn all(&self) -> Vec<Arc<Held>> {
        self.lock().sessions.values().cloned().collect()
    }

    /// One session.
    pub(super) fn get(&self, sid: u32) -> Result<Arc<Held>, Failure> {
        self.lock().sessions.get(&sid).cloned().ok_or_else(not_found)
    }

    /// How many sessions a node has.
    pub(super) fn count(&self, node: &NodeId) -> u32 {
        self.lock().sessions.values().filter(|held| held.setup.node.is_same(node)).count() as u32
    }

    /// A session identifier that no other session has.
    pub(super) fn isid(&self) -> Isid {
        let mut table = self.lock();
        loop {
            table.qualifier = table.qualifier.wrapping_add(1);
            let isid = Isid::random(table.isid, table.qualifier);
            if table.sessions.values().all(|held| held.isid != isid) {
                return isid;
            }
        }
    }

    /// Holds a session from now on, and gives it a number.
    pub(super) async fn add(
        self: &Arc<Self>,
        isid: Isid,
        setup: Setup,
        places: Places,
        (session, task): Running,
    ) -> Result<u32, Failure> {
        let held = self.lock().add(isid, setup, places, session.clone(), &self.file);
        let Some(held) = held else {
            let _ = session.logout().await;
            return Err(Failure::new(Exit::DaemonNotConnected, "the daemon is ending"));
        };
        if held.setup.scan {
            units::first_look(&held);
        }
        self.keep(&held, Some(task));
        Ok(held.sid)
    }

    fn keep(self: &Arc<Self>, held: &Arc<Held>, task: Option<Connection>) {
        let (registry, sid) = (Arc::downgrade(self), held.sid);
        held.keep(task, move || {
            if let Some(registry) = registry.upgrade() {
                registry.lock().remove(sid, &registry.file);
            }
        });
    }

    /// Logs out of a session. It is struck out first, so that no later daemon brings it back.
    pub(super) async fn log_out(&self, sid: u32) -> Result<(), Failure> {
        let held = self.lock().remove(sid, &self.file).ok_or_else(not_found)?;
        if let Err(error) = held.log_out().await {
            // The connection is closed all the same: there is nothing left that could be logged out again.
            tracing::warn!("session {sid}: the logout went unanswered: {error}");
        }
        Ok(())
    }

    /// Logs out of everything, and lets nothing in any more. What was held is for the next daemon to take up, unless it
    /// is to be forgotten.
    pub(super) async fn stop(&self, forget: bool) {
        let sessions = {
            let mut table = self.lock();
            table.ending = true;
            let sessions = std::mem::take(&mut table.sessions);
            if forget {
                table.save(&self.file);
            }
            sessions
        };
        let mut logouts: JoinSet<Result<(), CommandError>> = JoinSet::new();
        for held in sessions.into_values() {
            logouts.spawn(async move { held.log_out().await });
        }
        if timeout(GOODBYE, logouts.join_all()).await.is_err() {
            tracing::warn!("not every target answered the logout in time");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn add(
        &mut self,
        isid: Isid,
        setup: Setup,
        places: Places,
        session: Session,
        file: &StateFile,
    ) -> Option<Arc<Held>> {
        if self.ending {
            return None;
        }
        let sid = self.next;
        self.next = self.next.checked_add(1).unwrap_or(1);
        let held = Held::new(sid, isid, setup, places, Some(session));
        self.sessions.insert(sid, Arc::clone(&held));
        self.save(file);
        Some(held)
    }

    fn remove(&mut self, sid: u32, file: &StateFile) -> Option<Arc<Held>> {
        let held = self.sessions.remove(&sid)?;
        self.save(file);
        Some(held)
    }

    /// Writes down what is held. A full disk must not end sessions that are up.
    fn save(&self, file: &StateFile) {
        if let Err(error) = self.try_save(file) {
            tracing::error!("what is held cannot be written down, and a restart would not know of it: {error}");
        }
    }

    fn try_save(&self, file: &StateFile) -> io::Result<()> {
        let sessions = self.sessions.values().map(|held| Promise {
            sid: held.sid,
            isid: held.isid.to_string(),
            node: view::wire(&held.setup.node),
            db: held.places.db.clone(),
            config: held.places.config.clone(),
        });
        let sessions = sessions.collect();
        file.write(State { isid: self.isid, qualifier: self.qualifier, next: self.next, sessions, ..State::default() })
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.sessions.keys()).finish()
    }
}

/// A session that the last daemon held, to be set up again. Secrets that were in no record are gone.
fn take_up(promise: &Promise) -> Result<Arc<Held>, Failure> {
    let places = Places { db: promise.db.clone(), config: promise.config.clone() };
    let isid = promise.isid.parse().map_err(|error: IsidError| Failure::invalid(error))?;
    let store = Store::at(&places.db, Config::read(&places.config)?)?;
    let setup = Setup::read(&store, &places.config, &view::node(&promise.node)?, &Secrets::default(), None)?;
    Ok(Held::new(promise.sid, isid, setup, places, None))
}

fn not_found() -> Failure {
    Failure::new(Exit::SessionNotFound, Exit::SessionNotFound.text())
}
