//! The task of one session: reads, hands over, writes, sleeps.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::broadcast;
use tokio::time::{Sleep, sleep_until};

use super::clock::Clock;
use super::dial::{Dialer, Joined};
use super::lane::{Lane, Lanes};
use super::line::Line;
use super::mailbox::{Mailbox, Message};
use crate::core::command::{Completion, Finished, Request, Token};
use crate::core::session::{Core, LinkId, Patience, Start};
use crate::core::{CommandError, ConnectionError, Event, Stats, Time};
use crate::error::ConnectError;

/// Turns in one poll before other tasks of the runtime get theirs.
const TURNS: usize = 16;
/// The token under which the session itself asks for things; no caller has it.
const OWN: Token = usize::MAX;

/// Runs the connections of a session until it ends. It does nothing unless it is polled: spawn it, or poll it beside
/// the calls on the [`Session`](crate::Session).
///
/// The result is `Ok` after a logout.
///
/// # Cancellation
///
/// Dropping it closes all transports without a logout, and ends every command with
/// [`ConnectionError::Abandoned`].
#[must_use = "a connection does nothing unless it is polled"]
pub struct Connection<IO> {
    lanes: Lanes<IO>,
    core: Core,
    mailbox: Arc<Mailbox>,
    /// `None` once the session is over: listeners then see the end.
    events: Option<broadcast::Sender<Event>>,
    /// How a lost connection is taken up again.
    dialer: Option<Arc<Dialer>>,
    dialling: Option<Dialling>,
    clock: Clock,
    sleep: Pin<Box<Sleep>>,
    /// When `sleep` ends; `None` if it is not to be waited for.
    armed: Option<Time>,
    /// For how long it goes on looking before it sleeps.
    busy_poll: Duration,
    /// When it was last busy.
    busy: Time,
    inbox: Vec<Message>,
    done: Vec<(Token, Completion)>,
    wakers: Vec<Waker>,
}

/// An attempt to take up a lost connection again.
struct Dialling {
    lost: LinkId,
    attempt: Pin<Box<dyn Future<Output = Result<Joined, ConnectError>> + Send>>,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Connection<IO> {
    /// Takes over a connection that has just been logged in on. The login left bytes that came behind it, and its counts.
    pub(crate) fn new(
        io: Line<IO>,
        start: &Start,
        patience: Patience,
        (received, stats): (&[u8], &Stats),
        mailbox: Arc<Mailbox>,
        events: broadcast::Sender<Event>,
        dialer: Option<Arc<Dialer>>,
    ) -> Self {
        let clock = Clock::start();
        let now = clock.now();
        let mut core = Core::new(start.clone(), patience, now);
        core.add_stats(stats);
        let dialer = dialer.filter(|dialer| dialer.can_redial());
        if dialer.is_some() {
            core.reconnects();
        }
        let first = Lane::new(LinkId::FIRST, io, start, received, &mut core, now);
        Self {
            lanes: Lanes::new(first),
            core,
            mailbox,
            events: Some(events),
            dialer,
            dialling: None,
            clock,
            sleep: Box::pin(sleep_until(clock.at(Time::ZERO))),
            armed: None,
            busy_poll: Duration::ZERO,
            busy: Time::ZERO,
            inbox: Vec::new(),
            done: Vec::new(),
            wakers: Vec::new(),
        }
    }

    /// Has it go on looking for answers for so long before it sleeps.
    pub(crate) fn busy_poll(mut self, time: Duration) -> Self {
        self.busy_poll = time;
        self
    }

    /// Whether it looks again at once, after other tasks, instead of sleeping.
    fn stays_awake(&self) -> bool {
        !self.busy_poll.is_zero()
            && self.core.is_waiting()
            && self.clock.now() < self.busy.saturating_add(self.busy_poll)
    }

    /// Takes over what callers want. Says whether there was anything.
    fn take_requests(&mut self, waker: &Waker, now: Time) -> bool {
        self.mailbox.collect(&mut self.inbox, waker);
        let any = !self.inbox.is_empty();
        let Self { lanes, core, inbox, done, .. } = self;
        for message in inbox.drain(..) {
            match message {
                Message::Attach(token, joined) => match core.join(joined.start(), now) {
                    Ok(link) => {
                        lanes.add(link, *joined, core, now);
                        done.push((token, Ok(Finished::Joined)));
                    }
                    Err(error) => done.push((token, Err(error))),
                },
                message => hand_over(core, message, now),
            }
        }
        any
    }

    /// Takes up a lost connection again, if the core wants that. Says whether an attempt has ended.
    fn dial(&mut self, cx: &mut Context<'_>, now: Time) -> bool {
        let Some(dialer) = &self.dialer else { return false };
        if self.dialling.as_ref().is_some_and(|dialling| !self.core.is_wanted(dialling.lost)) {
            self.dialling = None;
        }
        if self.dialling.is_none()
            && let Some((lost, seat)) = self.core.dial()
        {
            let dialer = Arc::clone(dialer);
            self.dialling = Some(Dialling { lost, attempt: Box::pin(async move { dialer.redial(seat).await }) });
        }
        let Some(Dialling { lost, attempt }) = &mut self.dialling else { return false };
        let lost = *lost;
        let Poll::Ready(outcome) = attempt.as_mut().poll(cx) else { return false };
        self.dialling = None;
        match outcome {
            Ok(joined) => {
                if let Some(link) = self.core.reinstate(lost, joined.start(), now) {
                    self.lanes.add(link, joined, &mut self.core, now);
                }
            }
            Err(error) => {
                tracing::info!(%error, "a lost connection cannot be taken up again yet");
                self.core.not_reinstated(lost, now);
            }
        }
        true
    }

    /// Waits for the core's deadline. Says whether it has come.
    fn tick(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(deadline) = self.core.deadline() else { return false };
        if self.armed.is_none_or(|armed| deadline < armed) {
            self.sleep.as_mut().reset(self.clock.at(deadline));
            self.armed = Some(deadline);
        }
        if self.sleep.as_mut().poll(cx).is_pending() {
            return false;
        }
        self.armed = None;
        // A deadline passes where nothing has come for a while.
        self.lanes.shrink();
        self.core.expire(self.clock.now());
        true
    }

    /// One turn: reads come first. Says whether there may be more to do.
    fn turn(&mut self, cx: &mut Context<'_>) -> bool {
        let now = self.clock.now();
        let mut busy = self.lanes.read(&mut self.core, cx, now);
        self.lanes.sweep(&self.core);
        self.deliver();
        busy |= self.take_requests(cx.waker(), now);
        busy |= self.dial(cx, now);
        busy |= self.lanes.write(&mut self.core, cx, self.clock);
        self.deliver();
        busy = busy || self.tick(cx);
        self.lanes.sweep(&self.core);
        busy
    }
}

impl<IO> Connection<IO> {
    fn deliver(&mut self) {
        while let Some(event) = self.core.take_event() {
            tracing::info!(?event);
            // Nobody has to listen.
            let _ = self.events.as_ref().map(|events| events.send(event));
        }
        self.core.take_done(&mut self.done);
        self.mailbox.deliver(&mut self.done, &mut self.wakers);
        self.wakers.drain(..).for_each(Waker::wake);
    }

    /// Ends everything that waits.
    fn close(&mut self, error: &ConnectionError) {
        self.core.fail(error);
        let error = self.core.closed().unwrap_or(error).clone();
        let now = self.clock.now();
        let mut last = self.core.stats();
        (last.in_flight, last.room) = (0, 0);
        for message in self.mailbox.close(&error, last) {
            match message {
                Message::Attach(token, _) => {
                    let closed = CommandError::Closed { error: error.clone(), sent: false };
                    self.done.push((token, Err(closed)));
                }
                message => hand_over(&mut self.core, message, now),
            }
        }
        self.deliver();
        self.events = None;
    }
}

fn hand_over(core: &mut Core, message: Message, now: Time) {
    match message {
        Message::Submit(token, request) => core.submit(request, token, now),
        Message::Cancel(token) => core.cancel(token),
        Message::Attach(..) => {}
        Message::Shutdown => core.submit(Request::Logout, OWN, now),
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Future for Connection<IO> {
    type Output = Result<(), ConnectionError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        for _ in 0..TURNS {
            let busy = this.turn(cx);
            if let Some(error) = this.core.closed().cloned() {
                tracing::info!(reason = %error, "the session has ended");
                this.close(&error);
                return Poll::Ready(match error {
                    ConnectionError::LoggedOut => Ok(()),
                    error => Err(error),
                });
            }
            if !busy {
                if this.stays_awake() {
                    cx.waker().wake_by_ref();
                }
                return Poll::Pending;
            }
            if !this.busy_poll.is_zero() {
                this.busy = this.clock.now();
            }
        }
        // However busy it is, time passes.
        this.tick(cx);
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<IO> Drop for Connection<IO> {
    fn drop(&mut self) {
        self.close(&ConnectionError::Abandoned);
    }
}

impl<IO> std::fmt::Debug for Connection<IO> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("closed", &self.core.closed()).finish_non_exhaustive()
    }
}
