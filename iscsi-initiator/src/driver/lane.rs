//! One transport of a session: what it brings goes to the core, what the core has for it is written.

use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll};

use iscsi_proto::framer::FrameLimits;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::clock::Clock;
use super::dial::{Joined, Transport};
use super::line::Line;
use super::staging::Staging;
use crate::core::session::{Core, LinkId, Start};
use crate::core::{ConnectionError, Time};

/// What is left of a data segment goes straight into its buffer if it is at least this long.
const DIRECT: usize = 16 * 1024;
/// Bytes read in one turn before the queue gets its turn.
const READ_BUDGET: usize = 512 * 1024;
/// Rounds of reading what has come before a transport is given up that takes nothing any more.
const LAST_READS: usize = 16;
/// Buffers per vectored write.
const SLICES: usize = 64;
/// How many bytes more than its data segment a PDU takes at most: header, AHS, padding, digests.
const OVERHEAD: usize = 48 + 1020 + 3 + 8;

/// A transport and its place in the core.
pub(super) struct Lane<IO> {
    link: LinkId,
    io: IO,
    staging: Staging,
    staging_limit: usize,
    /// Whether the transport may still hold bytes that were written.
    unflushed: bool,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Lane<IO> {
    /// Takes over a transport that has just been logged in on; `received` came behind the login.
    pub(super) fn new(link: LinkId, io: IO, start: &Start, received: &[u8], core: &mut Core, now: Time) -> Self {
        let max_data = start.negotiated.max_recv_data_segment_length.max(FrameLimits::LOGIN.max_data);
        let mut staging = Staging::new(received);
        let used = core.receive(link, staging.bytes(), now);
        staging.consume(used);
        Self { link, io, staging, staging_limit: max_data as usize + OVERHEAD, unflushed: false }
    }

    /// Reads what has come, up to the budget. Says whether there was anything.
    fn read(&mut self, core: &mut Core, cx: &mut Context<'_>, now: Time) -> bool {
        let link = self.link;
        let mut count = 0;
        while count < READ_BUDGET && core.is_live(link) {
            let result = if let Some(landing) = core.landing(link, DIRECT) {
                let mut room = ReadBuf::new(landing);
                let poll = Pin::new(&mut self.io).poll_read(cx, &mut room);
                let filled = room.filled().len();
                poll.map_ok(|()| {
                    core.landed(link, filled, now);
                    filled
                })
            } else {
                let poll = self.staging.poll_fill(&mut self.io, cx, self.staging_limit);
                poll.map_ok(|filled| {
                    let used = core.receive(link, self.staging.bytes(), now);
                    self.staging.consume(used);
                    filled
                })
            };
            match result {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) => core.lost(link, &ConnectionError::ClosedByTarget, now),
                Poll::Ready(Ok(filled)) => count += filled,
                Poll::Ready(Err(error)) => core.lost(link, &error.into(), now),
            }
        }
        count != 0
    }

    /// Writes what is queued until the transport takes no more. Says whether it took anything.
    fn write(&mut self, core: &mut Core, cx: &mut Context<'_>, clock: Clock) -> bool {
        let mut any = false;
        while core.has_outgoing(self.link) {
            let mut slices = [IoSlice::new(&[]); SLICES];
            let filled = core.outgoing(self.link, &mut slices);
            let slices = slices.get(..filled).unwrap_or_default();
            match Pin::new(&mut self.io).poll_write_vectored(cx, slices) {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) => return self.lose(core, cx, clock, &ConnectionError::ClosedByTarget),
                Poll::Ready(Ok(count)) => core.sent(self.link, count, clock.now()),
                Poll::Ready(Err(error)) => return self.lose(core, cx, clock, &error.into()),
            }
            (any, self.unflushed) = (true, true);
        }
        if self.unflushed {
            match Pin::new(&mut self.io).poll_flush(cx) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => self.unflushed = false,
                Poll::Ready(Err(error)) => return self.lose(core, cx, clock, &error.into()),
            }
        }
        any
    }

    /// The transport takes nothing any more.
    fn lose(&mut self, core: &mut Core, cx: &mut Context<'_>, clock: Clock, error: &ConnectionError) -> bool {
        // What has come until now counts: answers, and perhaps a better reason than "closed".
        let now = clock.now();
        let _ = (0..LAST_READS).all(|_| self.read(core, cx, now));
        core.lost(self.link, error, now);
        false
    }
}

/// The transports of a session: the first as its owner gave it, later ones in boxes.
pub(super) struct Lanes<IO> {
    first: Option<Lane<Line<IO>>>,
    more: Vec<Lane<Transport>>,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Lanes<IO> {
    pub(super) const fn new(first: Lane<Line<IO>>) -> Self {
        Self { first: Some(first), more: Vec::new() }
    }

    /// Adds the transport of a connection that the core has taken in.
    pub(super) fn add(&mut self, link: LinkId, joined: Joined, core: &mut Core, now: Time) {
        let Joined { io, start, received, stats } = joined;
        core.add_stats(&stats);
        self.more.push(Lane::new(link, io, &start, &received, core, now));
    }

    /// Reads from all. Says whether there was anything.
    pub(super) fn read(&mut self, core: &mut Core, cx: &mut Context<'_>, now: Time) -> bool {
        let first = self.first.as_mut().is_some_and(|lane| lane.read(core, cx, now));
        self.more.iter_mut().fold(first, |any, lane| lane.read(core, cx, now) || any)
    }

    /// Writes to all. Says whether any took anything.
    pub(super) fn write(&mut self, core: &mut Core, cx: &mut Context<'_>, clock: Clock) -> bool {
        let first = self.first.as_mut().is_some_and(|lane| lane.write(core, cx, clock));
        self.more.iter_mut().fold(first, |any, lane| lane.write(core, cx, clock) || any)
    }

    /// Gives the room of busy times back.
    pub(super) fn shrink(&mut self) {
        self.first.iter_mut().for_each(|lane| lane.staging.shrink());
        self.more.iter_mut().for_each(|lane| lane.staging.shrink());
    }

    /// Closes the transports whose connections are over, as long as the session goes on.
    pub(super) fn sweep(&mut self, core: &Core) {
        if core.closed().is_none() {
            self.first.take_if(|lane| !core.is_live(lane.link));
            self.more.retain(|lane| core.is_live(lane.link));
        }
    }
}
