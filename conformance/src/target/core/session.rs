//! What the connections of one session share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::task::Waker;

use iscsi_proto::isid::Isid;
use iscsi_proto::name::IscsiName;
use iscsi_proto::pdu::LoginStatus;
use iscsi_proto::portal::Portal;
use iscsi_proto::serial::Serial;

use super::node::Target;
use super::params::Params;
use super::window::{Held, Window};
use crate::target::unit::Nexus;

/// What tells sessions apart (RFC 7143, sections 4.4.3 and 7.4.2).
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub(super) initiator: IscsiName,
    pub(super) isid: Isid,
    /// The target, unless this is a discovery session that names none.
    pub(super) target: Option<Arc<Target>>,
    /// Discovery sessions apart from normal ones; those without a target also by where they came in.
    pub(super) discovery: Option<Portal>,
}

/// A session from the end of its first login to the end of its last connection.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) tsih: u16,
    pub(super) identity: Identity,
    /// Present in normal sessions.
    pub(super) nexus: Option<Arc<Nexus>>,
    /// What the first connection agreed on; the keys of session scope hold for all.
    pub(super) params: Params,
    state: Mutex<State>,
    dead: AtomicBool,
    /// Held for reading while requests are worked on, so that whoever ends the session can wait for that.
    gate: RwLock<()>,
}

#[derive(Debug)]
struct State {
    window: Window,
    links: Vec<Arc<Link>>,
}

/// How the session reaches one of its connections.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) cid: u16,
    waker: Waker,
    closed: AtomicBool,
    mail: Mutex<Vec<Held>>,
}

impl Identity {
    pub(super) fn is_same(&self, other: &Self) -> bool {
        let target = match (&self.target, &other.target) {
            (Some(one), Some(two)) => Arc::ptr_eq(one, two),
            (None, None) => self.discovery == other.discovery,
            _ => false,
        };
        target
            && self.discovery.is_some() == other.discovery.is_some()
            && self.isid == other.isid
            && self.initiator == other.initiator
    }
}

impl Session {
    pub(super) fn new(
        tsih: u16,
        identity: Identity,
        nexus: Option<Arc<Nexus>>,
        params: Params,
        window: Window,
    ) -> Self {
        Self {
            tsih,
            identity,
            nexus,
            params,
            state: Mutex::new(State { window, links: Vec::new() }),
            dead: AtomicBool::new(false),
            gate: RwLock::new(()),
        }
    }

    pub(super) fn window<T>(&self, work: impl FnOnce(&mut Window) -> T) -> T {
        work(&mut self.state().window)
    }

    /// ExpCmdSN and MaxCmdSN.
    pub(super) fn numbers(&self) -> (Serial, Serial) {
        self.window(|window| (window.expected(), window.max()))
    }

    /// Permission to work on requests, or `None` once the session has ended.
    pub(super) fn enter(&self) -> Option<RwLockReadGuard<'_, ()>> {
        let guard = self.gate.read().unwrap_or_else(PoisonError::into_inner);
        (!self.is_dead()).then_some(guard)
    }

    pub(super) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Acquire)
    }

    /// Adds a connection; one with the same CID is closed first (connection reinstatement, section 6.3.4).
    pub(super) fn join(&self, link: &Arc<Link>) -> Result<(), LoginStatus> {
        let mut state = self.state();
        if self.is_dead() {
            return Err(LoginStatus::NO_SUCH_SESSION);
        }
        if let Some(at) = state.links.iter().position(|other| other.cid == link.cid) {
            state.links.swap_remove(at).close();
        }
        if state.links.len() >= usize::from(self.params.max_connections) {
            return Err(LoginStatus::TOO_MANY_CONNECTIONS);
        }
        state.links.push(link.clone());
        Ok(())
    }

    /// Takes a connection out. Whether the session has ended with it.
    pub(super) fn leave(&self, link: &Arc<Link>) -> bool {
        let mut state = self.state();
        state.links.retain(|other| !Arc::ptr_eq(other, link));
        if state.links.is_empty() {
            self.dead.store(true, Ordering::Release);
        }
        state.links.is_empty()
    }

    /// Closes the connection with this CID. Whether there was one.
    pub(super) fn close_connection(&self, cid: u16) -> bool {
        let link = self.state().links.iter().find(|link| link.cid == cid).cloned();
        link.inspect(|link| link.close()).is_some()
    }

    /// Hands a request to the connection that it came on. Requests of closed connections are dropped.
    pub(super) fn deliver(&self, held: Held) {
        let link = self.state().links.iter().find(|link| link.cid == held.cid).cloned();
        if let Some(link) = link {
            link.lock_mail().push(held);
            link.waker.wake_by_ref();
        }
    }

    /// Ends the session: all its connections close as soon as they notice.
    pub(super) fn kill(&self) {
        let links = {
            let state = self.state();
            self.dead.store(true, Ordering::Release);
            state.links.clone()
        };
        for link in links {
            link.close();
        }
    }

    /// Waits until no request of an ended session is being worked on. Not for use by one of its own connections.
    pub(super) fn wait(&self) {
        drop(self.gate.write().unwrap_or_else(PoisonError::into_inner));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Link {
    pub(super) fn new(cid: u16, waker: Waker) -> Self {
        Self { cid, waker, closed: AtomicBool::new(false), mail: Mutex::new(Vec::new()) }
    }

    /// Tells the connection to close without a word.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.waker.wake_by_ref();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Requests whose turn has come.
    pub(super) fn take_mail(&self) -> Vec<Held> {
        std::mem::take(&mut *self.lock_mail())
    }

    fn lock_mail(&self) -> MutexGuard<'_, Vec<Held>> {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
