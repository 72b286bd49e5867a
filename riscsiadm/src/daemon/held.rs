//! One session that is held: up, or lost and on its way back, until somebody logs it out.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use iscsi_initiator::core::{CommandError, ConnectionError, Stats};
use iscsi_initiator::{ConnectError, Info, Session};
use iscsi_proto::isid::Isid;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};

use super::rediscover;
use crate::output::escape;
use crate::settings::session::{Connection, Running, Setup};

/// The wait before the first attempt to come back; each further one takes twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest wait between attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A session that was up for this long starts over with the shortest wait when it is lost.
const STABLE: Duration = Duration::from_secs(30);

/// A session that is held.
pub(super) struct Held {
    pub(super) sid: u32,
    /// The same for each login, so that the target knows that it is the same session, and ends an old one.
    pub(super) isid: Isid,
    pub(super) setup: Setup,
    pub(super) places: Places,
    /// The logical units at the last look; `None` before the first.
    pub(super) units: Arc<tokio::sync::Mutex<Option<Vec<u64>>>>,
    phase: Mutex<Phase>,
    /// What went over the wire on connections that are no more.
    past: Mutex<Stats>,
    keeper: Mutex<Option<AbortHandle>>,
}

/// Where its record was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Places {
    pub(super) db: PathBuf,
    pub(super) config: PathBuf,
}

/// How a session is.
#[derive(Clone, Debug)]
pub(super) enum Phase {
    /// Commands flow.
    Up(Session),
    /// There is no connection.
    Lost {
        /// Why.
        problem: String,
        /// Whether a login is under way right now.
        connecting: bool,
        /// What was known when there was one.
        info: Option<Box<Info>>,
    },
    /// It was logged out.
    Out,
}

impl Held {
    /// A session that is up, or `None` one that is to come up.
    pub(super) fn new(sid: u32, isid: Isid, setup: Setup, places: Places, session: Option<Session>) -> Arc<Self> {
        let phase = session.map_or_else(
            || Phase::Lost { problem: "the daemon was started anew".to_owned(), connecting: true, info: None },
            Phase::Up,
        );
        let (units, phase, past, keeper) = (Arc::default(), Mutex::new(phase), Mutex::default(), Mutex::default());
        Arc::new(Self { sid, isid, setup, places, units, phase, past, keeper })
    }

    /// Sees to it from now on that the session is up. `connection` is the task of the connection that it has, if any;
    /// `gone` is called if it cannot be brought back.
    pub(super) fn keep(self: &Arc<Self>, connection: Option<Connection>, gone: impl FnOnce() + Send + 'static) {
        let held = Arc::clone(self);
        let task = tokio::spawn(async move {
            held.run(connection).await;
            gone();
        });
        *self.keeper.lock().unwrap_or_else(PoisonError::into_inner) = Some(task.abort_handle());
    }

    pub(super) fn phase(&self) -> Phase {
        self.lock().clone()
    }

    /// The session, if it is up.
    pub(super) fn session(&self) -> Option<Session> {
        match &*self.lock() {
            Phase::Up(session) => Some(session.clone()),
            _ => None,
        }
    }

    /// What went over the wire since it was made, over all its connections. Logins that failed are not in it, nor is what
    /// went before this daemon was started.
    pub(super) async fn stats(&self) -> Result<Stats, CommandError> {
        let (session, mut stats) = {
            let phase = self.lock();
            let session = if let Phase::Up(session) = &*phase { Some(session.clone()) } else { None };
            (session, self.past().clone())
        };
        if let Some(session) = session {
            stats += &session.stats().await?;
        }
        Ok(stats)
    }

    /// Ends it, whether it is up or not. It is over then, even if the target does not say so.
    pub(super) async fn log_out(&self) -> Result<(), CommandError> {
        let phase = std::mem::replace(&mut *self.lock(), Phase::Out);
        if let Some(keeper) = self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take() {
            keeper.abort();
        }
        match phase {
            Phase::Up(session) => session.logout().await,
            Phase::Lost { .. } | Phase::Out => Ok(()),
        }
    }

    async fn run(&self, mut connection: Option<Connection>) {
        let mut pause = FIRST_PAUSE;
        loop {
            if let Some(task) = connection.take() {
                let up = Instant::now();
                let end = task.await.ok().and_then(Result::err);
                if up.elapsed() >= STABLE {
                    pause = FIRST_PAUSE;
                }
                let last = self.last_words().await;
                let Some(wait) = self.lose(end.as_ref(), &last) else { return };
                sleep(pause.max(wait)).await;
                pause = longer(pause);
            }
            let Some((session, task)) = self.reconnect(&mut pause).await else { return };
            if !self.regain(session) {
                return;
            }
            connection = Some(task);
        }
    }

    /// What was counted on the connection that has just ended.
    async fn last_words(&self) -> Stats {
        match self.session() {
            Some(session) => session.stats().await.unwrap_or_default(),
            None => Stats::default(),
        }
    }

    /// Notes that the connection is lost, and what was counted on it. Says how long the target is to be left alone; `None` if
    /// nobody wants it back.
    fn lose(&self, end: Option<&ConnectionError>, last: &Stats) -> Option<Duration> {
        let mut phase = self.lock();
        let Phase::Up(session) = &*phase else { return None };
        let problem = end.map_or_else(|| "the target asked for a logout".to_owned(), ToString::to_string);
        let wait = time2wait(end, session.info().negotiated.default_time2wait);
        let info = Some(Box::new(session.info().clone()));
        tracing::warn!("session {} to {} is lost: {}", self.sid, self.setup.node.target, escape(&problem));
        *phase = Phase::Lost { problem, connecting: false, info };
        *self.past() += last;
        Some(wait)
    }

    /// Logs in until that works. `None` if that is over the limit of the record.
    async fn reconnect(&self, pause: &mut Duration) -> Option<Running> {
        let mut told = String::new();
        let mut attempt = 1;
        loop {
            self.note(true, None);
            let error = match self.setup.connect(self.isid).await {
                Ok(running) => return Some(running),
                Err(error) => error,
            };
            self.report(&error, &mut told);
            if let Some(running) = self.elsewhere(&error).await {
                return Some(running);
            }
            if attempt == self.setup.reopen_max {
                tracing::warn!("session {} is given up after {attempt} attempts (reopen_max)", self.sid);
                return None;
            }
            attempt = attempt.saturating_add(1);
            sleep(*pause).await;
            *pause = longer(*pause);
        }
    }

    /// Logs in where the target is told to be now, if that is elsewhere. The target may have been moved, or this portal may
    /// be the one that broke.
    async fn elsewhere(&self, error: &ConnectError) -> Option<Running> {
        if !rediscover::may_help(error) {
            return None;
        }
        for portal in rediscover::portals(&self.setup, &self.places).await {
            let mut setup = self.setup.clone();
            setup.node.portal = portal;
            if let Ok(running) = setup.connect(self.isid).await {
                tracing::warn!("session {} is at {} now, as discovery told", self.sid, setup.node.portal);
                return Some(running);
            }
        }
        None
    }

    /// Says once why it does not work, and again only if the reason is another.
    fn report(&self, error: &ConnectError, told: &mut String) {
        let text = error.to_string();
        if *told != text {
            tracing::warn!("session {} to {} stays lost: {}", self.sid, self.setup.node.target, escape(&text));
            told.clone_from(&text);
        }
        self.note(false, Some(text));
    }

    fn note(&self, now: bool, why: Option<String>) {
        if let Phase::Lost { problem, connecting, .. } = &mut *self.lock() {
            *connecting = now;
            if let Some(why) = why {
                *problem = why;
            }
        }
    }

    /// Takes up the new session. False if nobody wants it any more.
    fn regain(&self, session: Session) -> bool {
        let mut phase = self.lock();
        if matches!(*phase, Phase::Out) {
            return false;
        }
        tracing::info!("session {} to {} is up again", self.sid, self.setup.node.target);
        *phase = Phase::Up(session);
        true
    }

    /// Taken while the phase is locked: what is past belongs to it.
    fn past(&self) -> MutexGuard<'_, Stats> {
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn longer(pause: Duration) -> Duration {
    (pause * 2).min(LONGEST_PAUSE)
}

/// How long the target wants to be left alone after its connection was lost: what it said last, else what was negotiated.
fn time2wait(end: Option<&ConnectionError>, negotiated: u16) -> Duration {
    let seconds = match end {
        Some(ConnectionError::DroppedByTarget { time2wait, .. } | ConnectionError::LogoutFailed { time2wait, .. }) => {
            *time2wait
        }
        _ => negotiated,
    };
    Duration::from_secs(seconds.into())
}

#[cfg(test)]
mod tests {
    use iscsi_proto::pdu::LogoutResult;

    use super::*;

    #[test]
    fn the_target_is_left_alone_for_as_long_as_it_wants() {
        let dropped = |time2wait| ConnectionError::DroppedByTarget { time2wait, time2retain: 0 };
        let failed = |time2wait| ConnectionError::LogoutFailed {
            result: LogoutResult::CleanupFailed,
            time2wait,
            time2retain: 0,
        };
        for (end, negotiated, expected) in [
            (Some(failed(9)), 2, 9),
            (Some(dropped(0)), 2, 0),
            (Some(dropped(65535)), 2, 65535),
            (Some(ConnectionError::ClosedByTarget), 2, 2),
            (Some(ConnectionError::ClosedByTarget), 3600, 3600),
            (None, 0, 0),
        ] {
            assert_eq!(time2wait(end.as_ref(), negotiated).as_secs(), expected, "{end:?}");
        }
    }

    ///
    #[test]
    fn attempts_are_spaced_out_up_to_a_bound() {
        let pauses = std::iter::successors(Some(FIRST_PAUSE), |pause| Some(longer(*pause)));
        assert_eq!(pauses.take(7).map(|pause| pause.as_secs()).collect::<Vec<_>>(), [1, 2, 4, 8, 16, 30, 30]);
    }
}
