//! What the connections of one session share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::task::Waker;
use std::time::Duration;

use iscsi_proto::isid::Isid;
use iscsi_proto::name::IscsiName;
use iscsi_proto::pdu::{Header, LoginStatus, Opcode, TaskResult};
use iscsi_proto::portal::Portal;
use iscsi_proto::serial::Serial;
use iscsi_proto::tags::Itt;

use super::lost::{Leaving, Lost, Task, Tasks};
use super::node::Target;
use super::params::Params;
use super::window::{Arrival, Held, Window};
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
    /// Held while requests are worked on at error recovery level 2, where connections take over each other's tasks.
    turn: Mutex<()>,
    /// Held for reading while requests are worked on, so that whoever ends the session can wait for that.
    gate: RwLock<()>,
}

#[derive(Debug)]
struct State {
    window: Window,
    links: Vec<Arc<Link>>,
    /// Connections that have gone and whose tasks may be taken over.
    lost: Vec<Lost>,
}

/// How the session reaches one of its connections.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) cid: u16,
    waker: Waker,
    closed: AtomicBool,
    mail: Mutex<Vec<Mail>>,
    /// The connection's tasks between two of its turns, at error recovery level 2.
    parked: Mutex<Option<Tasks>>,
}

/// What others leave for a connection.
#[derive(Debug)]
pub(super) enum Mail {
    /// A request that came on it, and whose turn has come.
    Request(Held),
    /// The connection with this CID was lost.
    Lost(u16),
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
            state: Mutex::new(State { window, links: Vec::new(), lost: Vec::new() }),
            dead: AtomicBool::new(false),
            turn: Mutex::new(()),
            gate: RwLock::new(()),
        }
    }

    /// How many connections it has.
    pub(super) fn connections(&self) -> usize {
        self.state().links.len()
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

    /// Waits until no other connection of the session works, where one may take the tasks of another.
    pub(super) fn turn(&self) -> Option<MutexGuard<'_, ()>> {
        self.params.recovers_connections().then(|| self.turn.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Adds a connection; one with the same CID is closed first (connection reinstatement, section 6.3.4).
    ///
    /// At error recovery level 2 that is a logout for recovery. Needs [`Session::turn`].
    pub(super) fn join(&self, link: &Arc<Link>, now: Duration) -> Result<(), LoginStatus> {
        let mut state = self.state();
        if self.is_dead() {
            return Err(LoginStatus::NO_SUCH_SESSION);
        }
        let until = now + self.params.retention();
        state.remove(link.cid, self.params.recovers_connections().then_some(until));
        if state.links.len() >= usize::from(self.params.max_connections) {
            return Err(LoginStatus::TOO_MANY_CONNECTIONS);
        }
        state.links.push(link.clone());
        Ok(())
    }

    /// Takes a connection out, with its tasks. Whether the session has ended with it.
    pub(super) fn leave(&self, link: &Arc<Link>, leaving: Leaving, mut tasks: Tasks, now: Duration) -> bool {
        let mut state = self.state();
        if self.is_dead() {
            return true;
        }
        let Some(at) = state.links.iter().position(|other| Arc::ptr_eq(other, link)) else {
            // Whoever closed it has its tasks, unless there are none to have.
            state.discard(&tasks);
            return false;
        };
        state.links.swap_remove(at);
        state.window.forget(link.cid);
        tasks.collect(link);
        let is_kept = self.params.recovers_connections() && self.params.time2retain != 0;
        if leaving == Leaving::LoggedOut || !is_kept {
            state.discard(&tasks);
        } else {
            let until = now + self.params.retention();
            state.keep(Lost { cid: link.cid, tasks, logged_out: leaving == Leaving::ForRecovery, until });
            if leaving == Leaving::Failed {
                state.tell_all(link.cid);
            }
        }
        let over = state.links.is_empty() && (leaving == Leaving::LoggedOut || state.lost.is_empty());
        self.dead.fetch_or(over, Ordering::AcqRel);
        over
    }

    /// Logs the connection with this CID out; for recovery if `until` says how long its tasks are kept. Whether there was
    /// one. Needs [`Session::turn`].
    pub(super) fn close_connection(&self, cid: u16, until: Option<Duration>) -> bool {
        self.state().remove(cid, until)
    }

    /// Takes over a task of a connection that was logged out for recovery (section 7.2.2). Needs [`Session::turn`].
    pub(super) fn reassign(&self, itt: Itt) -> Result<Task, TaskResult> {
        let mut state = self.state();
        if state.links.iter().any(|link| link.parked().as_ref().is_some_and(|tasks| tasks.contains(itt))) {
            return Err(TaskResult::TaskStillAllegiant);
        }
        let found = state.lost.iter_mut().find(|lost| lost.tasks.contains(itt) || lost.tasks.has_other(itt));
        match found {
            None => Err(TaskResult::TaskDoesNotExist),
            Some(lost) if !lost.logged_out => Err(TaskResult::TaskStillAllegiant),
            Some(lost) => {
                let task = lost.tasks.take(itt).ok_or(TaskResult::FunctionRejected)?;
                if task.is_over() {
                    state.window.ended(task.takes_place());
                    return Err(TaskResult::TaskDoesNotExist);
                }
                Ok(task)
            }
        }
    }

    /// Ends a task of a lost connection. Whether there was one.
    pub(super) fn abort_lost(&self, itt: Itt) -> bool {
        let mut state = self.state();
        let logged_out = state.lost.iter_mut().filter(|lost| lost.logged_out);
        let Some(task) = logged_out.into_iter().find_map(|lost| lost.tasks.take(itt)) else { return false };
        state.window.ended(task.takes_place());
        true
    }

    /// Forgets the connections whose time is over. Whether the session has ended with them.
    pub(super) fn expire(&self, now: Duration) -> bool {
        let mut state = self.state();
        if state.lost.is_empty() {
            return false;
        }
        let (over, lost): (Vec<Lost>, Vec<Lost>) =
            std::mem::take(&mut state.lost).into_iter().partition(|lost| lost.until <= now);
        state.lost = lost;
        for lost in over {
            state.discard(&lost.tasks);
        }
        let dead = state.links.is_empty() && state.lost.is_empty();
        self.dead.fetch_or(dead, Ordering::AcqRel);
        dead
    }

    /// Whether a request takes a place in the command window when its turn comes, rather than when it waits for data.
    ///
    /// It does where there may be other connections: what they say meanwhile of MaxCmdSN must not go back.
    pub(super) fn places(&self, header: &Header) -> bool {
        self.params.max_connections > 1 && header.opcode() == Ok(Opcode::ScsiCommand)
    }

    /// Gives a request that is not immediate its place in the order.
    pub(super) fn arrive(&self, cmd_sn: Serial, header: &Header) -> Arrival {
        let places = self.places(header);
        self.window(|window| {
            let arrival = window.arrive(cmd_sn);
            if places && arrival == Arrival::Next {
                window.task_began();
            }
            arrival
        })
    }

    /// Keeps a request until its turn has come, unless its connection has gone meanwhile.
    pub(super) fn hold(&self, link: &Arc<Link>, held: Held) {
        let mut state = self.state();
        if state.links.iter().any(|other| Arc::ptr_eq(other, link)) {
            state.window.hold(held);
        }
    }

    /// Keeps Data-Out of a request that is held, up to `limit` bytes of it. False if none is held, or it has too much.
    pub(super) fn hold_data(&self, cid: u16, header: &Header, data: &[u8], limit: usize) -> bool {
        let mut state = self.state();
        let Some(request) = state.window.held_mut(cid, header.itt()) else { return false };
        let before: usize = request.data.len() + request.behind.iter().map(|(_, data)| data.len()).sum::<usize>();
        let fits = !data.is_empty() && before + data.len() <= limit;
        if fits {
            request.behind.push((*header, data.to_vec()));
        }
        fits
    }

    /// The next request that was held and whose turn it is, if it came on the connection `own`. Those of others that come
    /// before it are handed to them.
    pub(super) fn release(&self, own: u16) -> Option<Held> {
        let mut state = self.state();
        while let Some(held) = state.window.release() {
            if held.request.as_ref().is_some_and(|request| self.places(&request.header)) {
                state.window.task_began();
            }
            if held.cid == own {
                return Some(held);
            }
            // One that was aborted only had to have its number counted.
            if held.request.is_some()
                && let Some(link) = state.links.iter().find(|link| link.cid == held.cid)
            {
                link.post(Mail::Request(held));
            }
        }
        None
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

impl State {
    /// Takes the connection with this CID out and closes it, or finds that it was lost before. Whether there was one.
    fn remove(&mut self, cid: u16, until: Option<Duration>) -> bool {
        let mut found = false;
        for lost in self.lost.iter_mut().filter(|lost| lost.cid == cid) {
            found = true;
            lost.log_out(until.unwrap_or_default());
        }
        if let Some(at) = self.links.iter().position(|link| link.cid == cid) {
            found = true;
            let link = self.links.swap_remove(at);
            link.close();
            self.window.forget(cid);
            let mut tasks = link.parked().take().unwrap_or_default();
            tasks.collect(&link);
            self.keep(Lost { cid, tasks, logged_out: true, until: until.unwrap_or_default() });
        }
        if until.is_none() {
            let (gone, lost): (Vec<Lost>, Vec<Lost>) =
                std::mem::take(&mut self.lost).into_iter().partition(|lost| lost.cid == cid);
            self.lost = lost;
            for lost in gone {
                self.discard(&lost.tasks);
            }
        }
        found
    }

    fn keep(&mut self, mut lost: Lost) {
        let places = lost.tasks.prune();
        self.window.ended(places);
        self.lost.push(lost);
    }

    /// Gives the places of tasks that end in the command window back.
    fn discard(&mut self, tasks: &Tasks) {
        self.window.ended(tasks.places());
    }

    /// Tells the other connections that one was lost.
    fn tell_all(&self, cid: u16) {
        for link in &self.links {
            link.post(Mail::Lost(cid));
        }
    }
}

impl Link {
    pub(super) fn new(cid: u16, waker: Waker) -> Self {
        let (closed, mail, parked) = (AtomicBool::new(false), Mutex::default(), Mutex::default());
        Self { cid, waker, closed, mail, parked }
    }

    /// Tells the connection to close without a word.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.waker.wake_by_ref();
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// What others have left.
    pub(super) fn take_mail(&self) -> Vec<Mail> {
        std::mem::take(&mut *self.lock_mail())
    }

    /// Where the connection's tasks are between its turns.
    pub(super) fn parked(&self) -> MutexGuard<'_, Option<Tasks>> {
        self.parked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn post(&self, mail: Mail) {
        self.lock_mail().push(mail);
        self.waker.wake_by_ref();
    }

    fn lock_mail(&self) -> MutexGuard<'_, Vec<Mail>> {
        self.mail.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
