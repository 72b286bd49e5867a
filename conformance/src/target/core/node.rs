//! The iSCSI node: its targets and the sessions to them.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use iscsi_proto::isid::Isid;
use iscsi_proto::name::IscsiName;
use iscsi_proto::pdu::LoginStatus;
use iscsi_proto::portal::Portal;
use iscsi_proto::scsi::Lun;

use super::lost::{Leaving, Tasks};
use super::params::Params;
use super::session::{Identity, Link, Session};
use super::window::Window;
use crate::target::config::{Chap, Config, Limits, TargetConfig};
use crate::target::counters::Counters;
use crate::target::unit::Device;

/// A running node, shared by all its connections.
#[derive(Debug)]
pub struct Node {
    targets: Vec<Arc<Target>>,
    discovery_chap: Option<Chap>,
    limits: Limits,
    /// Where the node listens, for SendTargets.
    portals: Mutex<Vec<Portal>>,
    sessions: Mutex<Registry>,
    counters: Counters,
    /// The time, as it was last told, in nanoseconds.
    now: AtomicU64,
}

/// A target with its units.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) config: TargetConfig,
    pub(super) device: Arc<Device>,
}

#[derive(Debug, Default)]
struct Registry {
    sessions: Vec<Arc<Session>>,
    last_tsih: u16,
}

/// A unit that cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("LUN {lun} of target {target}: {source}")]
pub struct UnitError {
    /// Which target, counted from 0.
    pub target: usize,
    /// Which of its units.
    pub lun: usize,
    /// What is wrong with its store.
    pub source: io::Error,
}

/// A session as an observer sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct SessionInfo {
    /// The target's name for it.
    pub tsih: u16,
    /// Who logged in.
    pub initiator: IscsiName,
    /// The initiator's part of its name.
    pub isid: Isid,
    /// The target, if the session has one.
    pub target: Option<IscsiName>,
    /// Whether it is a discovery session.
    pub discovery: bool,
    /// How many connections it has.
    pub connections: usize,
}

impl Node {
    /// A node as configured. Fails where the store of a unit cannot be opened.
    pub fn new(config: Config) -> Result<Self, UnitError> {
        let targets = config.targets.into_iter().enumerate().map(Target::new).collect::<Result<_, _>>()?;
        Ok(Self {
            targets,
            discovery_chap: config.discovery_chap,
            limits: config.limits,
            portals: Mutex::default(),
            sessions: Mutex::default(),
            counters: Counters::default(),
            now: AtomicU64::new(0),
        })
    }

    /// What the node has counted.
    pub const fn counters(&self) -> &Counters {
        &self.counters
    }

    /// The sessions that are up.
    pub fn sessions(&self) -> Vec<SessionInfo> {
        self.registry().sessions.iter().map(|session| session.info()).collect()
    }

    /// Bytes of a unit as its store holds them, past all commands: for tests to look at the medium. Targets and units are
    /// counted from 0; `None` if there is no such unit or it cannot be read.
    pub fn peek(&self, target: usize, unit: u32, offset: u64, len: usize) -> Option<Bytes> {
        self.targets.get(target)?.device.unit(Lun::from_number(unit)?)?.peek(offset, len)
    }

    /// Closes all connections of all sessions without a word, as a crash would.
    pub fn drop_sessions(&self) {
        let sessions = std::mem::take(&mut self.registry().sessions);
        for session in sessions {
            session.kill();
        }
    }

    /// Whether any target recovers from errors, so that the node has to be told the time.
    pub fn keeps_time(&self) -> bool {
        self.targets.iter().any(|target| target.config.limits.error_recovery_level != 0)
    }

    /// Tells the node the time: how long it has been running. It does not go back. Tasks and sessions whose connections
    /// were lost too long ago end; for what else is overdue see [`Connection::poll`](super::Connection::poll).
    pub fn advance(&self, now: Duration) {
        let nanoseconds = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        self.now.fetch_max(nanoseconds, Ordering::Relaxed);
        let sessions = self.registry().sessions.clone();
        for session in sessions.iter().filter(|session| session.expire(now)) {
            self.forget(session);
        }
    }

    /// The time that the node was last told.
    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.now.load(Ordering::Relaxed))
    }

    /// Adds an address to those that SendTargets lists. Without any it lists the one that it was asked at.
    pub fn add_portal(&self, portal: Portal) {
        self.lock_portals().push(portal);
    }

    pub(super) fn portals(&self) -> Vec<Portal> {
        self.lock_portals().clone()
    }

    pub(super) fn targets(&self) -> &[Arc<Target>] {
        &self.targets
    }

    pub(super) fn target(&self, name: &IscsiName) -> Option<&Arc<Target>> {
        self.targets.iter().find(|target| target.config.name == *name)
    }

    pub(super) const fn discovery_chap(&self) -> Option<&Chap> {
        self.discovery_chap.as_ref()
    }

    pub(super) const fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The session that a login wants to join (the table in RFC 7143, section 6.3.1).
    pub(super) fn session_to_join(&self, identity: &Identity, tsih: u16) -> Result<Arc<Session>, LoginStatus> {
        let registry = self.registry();
        let session = registry.sessions.iter().find(|session| session.tsih == tsih);
        session
            .filter(|session| session.identity.is_same(identity) && !session.is_dead())
            .cloned()
            .ok_or(LoginStatus::NO_SUCH_SESSION)
    }

    /// Starts a session with its first connection. One of the same identity ends before this returns: reinstatement.
    pub(super) fn open_session(
        &self,
        identity: Identity,
        params: Params,
        window: Window,
        link: &Arc<Link>,
    ) -> Result<Arc<Session>, LoginStatus> {
        let mut registry = self.registry();
        let old = registry.take(&identity);
        if registry.count(&identity) >= self.session_limit(&identity) {
            return Err(LoginStatus::OUT_OF_RESOURCES);
        }
        let tsih = registry.next_tsih().ok_or(LoginStatus::OUT_OF_RESOURCES)?;
        let nexus = match (&identity.discovery, &identity.target) {
            (None, Some(target)) => Some(target.device.attach(&identity.initiator, identity.isid)),
            _ => None,
        };
        let session = Arc::new(Session::new(tsih, identity, nexus, params, window));
        session.join(link, self.now())?;
        registry.sessions.push(session.clone());
        drop(registry);
        if let Some(old) = old {
            old.kill();
            old.wait();
        }
        Ok(session)
    }

    /// Takes a connection out of its session, and the session out of the node if that was its last one.
    pub(super) fn leave(&self, session: &Arc<Session>, link: &Arc<Link>, leaving: Leaving, tasks: Tasks) {
        if session.leave(link, leaving, tasks, self.now()) {
            self.forget(session);
        }
    }

    /// Ends a session.
    pub(super) fn close_session(&self, session: &Arc<Session>) {
        self.forget(session);
        session.kill();
    }

    /// Ends all sessions to a target but `spared`.
    pub(super) fn close_sessions_to(&self, target: &Target, spared: &Arc<Session>) {
        let doomed: Vec<_> = {
            let registry = self.registry();
            registry.sessions.iter().filter(|session| session.is_to(target)).cloned().collect()
        };
        for session in doomed.iter().filter(|session| !Arc::ptr_eq(session, spared)) {
            self.close_session(session);
        }
    }

    fn forget(&self, session: &Arc<Session>) {
        self.registry().sessions.retain(|other| !Arc::ptr_eq(other, session));
    }

    fn session_limit(&self, identity: &Identity) -> usize {
        identity.target.as_ref().map_or(self.limits.max_sessions, |target| target.config.limits.max_sessions)
    }

    fn registry(&self) -> MutexGuard<'_, Registry> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_portals(&self) -> MutexGuard<'_, Vec<Portal>> {
        self.portals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Target {
    fn new((index, config): (usize, TargetConfig)) -> Result<Arc<Self>, UnitError> {
        let device = Device::new(&config);
        let device = Arc::new(device.map_err(|(lun, source)| UnitError { target: index, lun, source })?);
        Ok(Arc::new(Self { config, device }))
    }
}

impl Registry {
    fn take(&mut self, identity: &Identity) -> Option<Arc<Session>> {
        let at = self.sessions.iter().position(|session| session.identity.is_same(identity))?;
        Some(self.sessions.swap_remove(at))
    }

    /// Sessions to the same target.
    fn count(&self, identity: &Identity) -> usize {
        let same = |session: &&Arc<Session>| match (&session.identity.target, &identity.target) {
            (Some(one), Some(two)) => Arc::ptr_eq(one, two),
            (one, two) => one.is_none() && two.is_none(),
        };
        self.sessions.iter().filter(same).count()
    }

    /// A handle that is neither 0 nor in use.
    fn next_tsih(&mut self) -> Option<u16> {
        let in_use = |tsih| self.sessions.iter().any(|session| session.tsih == tsih);
        let from = self.last_tsih;
        let tsih = (1..=u16::MAX).map(|step| from.wrapping_add(step)).find(|tsih| *tsih != 0 && !in_use(*tsih))?;
        self.last_tsih = tsih;
        Some(tsih)
    }
}

impl Session {
    fn info(&self) -> SessionInfo {
        let identity = &self.identity;
        SessionInfo {
            tsih: self.tsih,
            initiator: identity.initiator.clone(),
            isid: identity.isid,
            target: identity.target.as_ref().map(|target| target.config.name.clone()),
            discovery: identity.discovery.is_some(),
            connections: self.connections(),
        }
    }

    fn is_to(&self, target: &Target) -> bool {
        self.identity.target.as_ref().is_some_and(|own| std::ptr::eq(&raw const **own, &raw const *target))
    }
}
