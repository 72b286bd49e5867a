//! The task of one connection: reads, hands over, writes, sleeps.

use std::future::Future;
use std::io::IoSlice;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use iscsi_proto::framer::FrameLimits;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::broadcast;
use tokio::time::{Sleep, sleep_until};

use super::clock::Clock;
use super::line::Line;
use super::mailbox::{Mailbox, Message};
use super::staging::Staging;
use crate::core::command::{Completion, Request, Token};
use crate::core::session::{Core, LinkId, Patience, Start};
use crate::core::{ConnectionError, Event, Stats, Time};

/// What is left of a data segment goes straight into its buffer if it is at least this long.
const DIRECT: usize = 16 * 1024;
/// Bytes read in one turn before the queue gets its turn.
const READ_BUDGET: usize = 512 * 1024;
/// Turns in one poll before other tasks of the runtime get theirs.
const TURNS: usize = 16;
/// Buffers per vectored write.
const SLICES: usize = 64;
/// How many bytes more than its data segment a PDU takes at most: header, AHS, padding, digests.
const OVERHEAD: usize = 48 + 1020 + 3 + 8;
/// The token under which the connection itself asks for things; no caller has it.
const OWN: Token = usize::MAX;

/// Runs the connection of a session until it ends. It does nothing unless it is polled: spawn it, or poll it beside
/// the calls on the [`Session`](crate::Session).
///
/// The result is `Ok` after a logout.
///
/// # Cancellation
///
/// Dropping it closes the transport without a logout, and ends every command with
/// [`ConnectionError::Abandoned`].
#[must_use = "a connection does nothing unless it is polled"]
pub struct Connection<IO> {
    io: Line<IO>,
    core: Core,
    mailbox: Arc<Mailbox>,
    /// `None` once the connection is over: listeners then see the end.
    events: Option<broadcast::Sender<Event>>,
    staging: Staging,
    staging_limit: usize,
    clock: Clock,
    sleep: Pin<Box<Sleep>>,
    /// When `sleep` ends; `None` if it is not to be waited for.
    armed: Option<Time>,
    /// For how long it goes on looking before it sleeps.
    busy_poll: Duration,
    /// When it was last busy.
    busy: Time,
    /// Whether the transport may still hold bytes that were written.
    unflushed: bool,
    inbox: Vec<Message>,
    done: Vec<(Token, Completion)>,
    wakers: Vec<Waker>,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Connection<IO> {
    /// Takes over a connection that has just been logged in on. The login left bytes that came behind it, and its counts.
    pub(crate) fn new(
        io: Line<IO>,
        start: Start,
        patience: Patience,
        (received, stats): (&[u8], &Stats),
        mailbox: Arc<Mailbox>,
        events: broadcast::Sender<Event>,
    ) -> Self {
        let clock = Clock::start();
        let max_data = start.negotiated.max_recv_data_segment_length.max(FrameLimits::LOGIN.max_data);
        let mut core = Core::new(start, patience, clock.now());
        core.add_stats(stats);
        let mut staging = Staging::new(received);
        let used = core.receive(LinkId::FIRST, staging.bytes(), clock.now());
        staging.consume(used);
        Self {
            io,
            core,
            mailbox,
            events: Some(events),
            staging,
            staging_limit: max_data as usize + OVERHEAD,
            clock,
            sleep: Box::pin(sleep_until(clock.at(Time::ZERO))),
            armed: None,
            busy_poll: Duration::ZERO,
            busy: Time::ZERO,
            unflushed: false,
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

    /// Reads what has come, up to the budget. Says whether there was anything.
    fn read(&mut self, cx: &mut Context<'_>, now: Time) -> bool {
        let mut count = 0;
        while count < READ_BUDGET && self.core.closed().is_none() {
            let result = if let Some(landing) = self.core.landing(LinkId::FIRST, DIRECT) {
                let mut room = ReadBuf::new(landing);
                let poll = Pin::new(&mut self.io).poll_read(cx, &mut room);
                let filled = room.filled().len();
                poll.map_ok(|()| {
                    self.core.landed(LinkId::FIRST, filled, now);
                    filled
                })
            } else {
                let poll = self.staging.poll_fill(&mut self.io, cx, self.staging_limit);
                poll.map_ok(|filled| {
                    let used = self.core.receive(LinkId::FIRST, self.staging.bytes(), now);
                    self.staging.consume(used);
                    filled
                })
            };
            match result {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) => self.core.lost(LinkId::FIRST, &ConnectionError::ClosedByTarget),
                Poll::Ready(Ok(filled)) => count += filled,
                Poll::Ready(Err(error)) => self.core.lost(LinkId::FIRST, &error.into()),
            }
        }
        count != 0
    }

    /// Takes over what callers want. Says whether there was anything.
    fn take_requests(&mut self, waker: &Waker, now: Time) -> bool {
        self.mailbox.collect(&mut self.inbox, waker);
        let any = !self.inbox.is_empty();
        for message in self.inbox.drain(..) {
            hand_over(&mut self.core, message, now);
        }
        any
    }

    /// Writes what is queued until the transport takes no more. Says whether it took anything.
    fn write(&mut self, cx: &mut Context<'_>) -> bool {
        let mut any = false;
        while self.core.has_outgoing(LinkId::FIRST) {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let filled = self.core.outgoing(LinkId::FIRST, &mut slices);
            let slices = slices.get(..filled).unwrap_or_default();
            match Pin::new(&mut self.io).poll_write_vectored(cx, slices) {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) => return self.lose(cx, &ConnectionError::ClosedByTarget),
                Poll::Ready(Ok(count)) => self.core.sent(LinkId::FIRST, count, self.clock.now()),
                Poll::Ready(Err(error)) => return self.lose(cx, &error.into()),
            }
            (any, self.unflushed) = (true, true);
        }
        if self.unflushed {
            match Pin::new(&mut self.io).poll_flush(cx) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(error)) => return self.lose(cx, &error.into()),
            }
        }
        any
    }

    /// The transport takes nothing any more.
    fn lose(&mut self, cx: &mut Context<'_>, error: &ConnectionError) -> bool {
        // What has come until now counts: answers, and perhaps a better reason than "closed".
        let now = self.clock.now();
        let _ = (0..TURNS).all(|_| self.read(cx, now));
        self.core.lost(LinkId::FIRST, error);
        false
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
        self.staging.shrink();
        self.core.expire(self.clock.now());
        true
    }

    /// One turn: reads come first. Says whether there may be more to do.
    fn turn(&mut self, cx: &mut Context<'_>) -> bool {
        let now = self.clock.now();
        let mut busy = self.read(cx, now);
        self.deliver();
        busy |= self.take_requests(cx.waker(), now);
        busy |= self.write(cx);
        self.deliver();
        busy || self.tick(cx)
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
            hand_over(&mut self.core, message, now);
        }
        self.deliver();
        self.events = None;
    }
}

fn hand_over(core: &mut Core, message: Message, now: Time) {
    match message {
        Message::Submit(token, request) => core.submit(request, token, now),
        Message::Cancel(token) => core.cancel(token),
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
                tracing::info!(reason = %error, "the connection has ended");
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
