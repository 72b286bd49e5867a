//! The target over TCP: one task for each connection.

use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use bytes::Buf;
use iscsi_proto::portal::Portal;
use rustix::io::Errno;
use rustix::net::RecvFlags;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::config::Config;
use super::core::{Connection, Ending, HIGH_WATER, Node, UnitError, Wire};
use super::counters::Counters;
use super::ticker::{Ticker, keep};

/// What one read can bring in.
const READ: usize = 256 * 1024;
/// Pieces of one vectored write.
const SLICES: usize = 128;
/// How long a login may take.
const LOGIN_TIME: Duration = Duration::from_secs(30);
/// How long an ending connection waits for its peer to read what is left.
const LINGER: Duration = Duration::from_secs(5);

/// A node that listens. It stops when it is dropped or [`Server::shutdown`].
#[derive(Debug)]
pub struct Server {
    node: Arc<Node>,
    addr: SocketAddr,
    stop: watch::Sender<bool>,
    listeners: JoinSet<()>,
    busy_poll: Duration,
    _clock: JoinSet<()>,
}

impl Server {
    /// Starts a node that listens at `addr`. Must be called inside a tokio runtime with IO and time.
    pub async fn bind(config: Config, addr: impl ToSocketAddrs) -> Result<Self, ServerError> {
        let busy_poll = config.busy_poll;
        let node = Arc::new(Node::new(config)?);
        let listener = TcpListener::bind(addr).await?;
        let addr = listener.local_addr()?;
        let mut clock = JoinSet::new();
        clock.spawn(keep(node.clone()));
        let (stop, listeners) = (watch::Sender::new(false), JoinSet::new());
        let mut server = Self { node, addr, stop, listeners, busy_poll, _clock: clock };
        server.serve(listener);
        Ok(server)
    }

    /// Listens at one more address, and lists it and all others in SendTargets from now on.
    pub async fn listen(&mut self, addr: impl ToSocketAddrs) -> io::Result<SocketAddr> {
        let listener = TcpListener::bind(addr).await?;
        let addr = listener.local_addr()?;
        if self.listeners.len() == 1 {
            self.node.add_portal(self.addr.into());
        }
        self.node.add_portal(addr.into());
        self.serve(listener);
        Ok(addr)
    }

    /// The first address that the node listens at.
    pub const fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// The node itself.
    pub const fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// What the node has counted.
    pub fn counters(&self) -> &Counters {
        self.node.counters()
    }

    /// Closes all connections and returns once their tasks have ended.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        while self.listeners.join_next().await.is_some() {}
    }

    fn serve(&mut self, listener: TcpListener) {
        self.listeners.spawn(accept(listener, self.node.clone(), self.busy_poll, self.stop.subscribe()));
    }
}

/// Accepts connections until told to stop, and then waits for them.
async fn accept(listener: TcpListener, node: Arc<Node>, busy_poll: Duration, mut stop: watch::Receiver<bool>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    tracing::debug!(%peer, "accepted");
                    connections.spawn(serve(stream, node.clone(), busy_poll, stop.clone()));
                }
                // Out of descriptors, or the peer has gone again: neither ends the listener.
                Err(error) => {
                    tracing::warn!(%error, "accepting a connection failed");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            },
            _ = stop.changed() => break,
            Some(_) = connections.join_next() => {}
        }
    }
    while connections.join_next().await.is_some() {}
}

async fn serve(stream: TcpStream, node: Arc<Node>, busy_poll: Duration, mut stop: watch::Receiver<bool>) {
    let result = async {
        stream.set_nodelay(true)?;
        let portal = Portal::from(stream.local_addr()?);
        let mut driver = Driver::new(stream, node, portal, busy_poll);
        tokio::select! {
            result = driver.run() => result,
            _ = stop.changed() => Ok(()),
        }
    };
    if let Err(error) = result.await {
        tracing::debug!(%error, "a connection failed");
    }
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// A logical unit cannot be served.
    #[error(transparent)]
    Unit(#[from] UnitError),
    /// The address cannot be listened at.
    #[error(transparent)]
    Listen(#[from] io::Error),
}

/// A connection and its socket.
struct Driver {
    node: Arc<Node>,
    /// At error recovery level 1 and up.
    ticker: Option<Ticker>,
    stream: TcpStream,
    connection: Connection,
    input: Input,
    wire: Wire,
    notify: Arc<Notifier>,
    /// For how long it looks for more before it sleeps.
    busy_poll: Duration,
}

/// Wakes the task of a connection for what others have left for it.
struct Notifier(Notify);

/// Bytes that came in and are not worked on yet: `buffer[start..end]`.
struct Input {
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

/// What a turn at the socket has brought.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Event {
    Read,
    Wrote,
    Closed,
}

impl Driver {
    fn new(stream: TcpStream, node: Arc<Node>, portal: Portal, busy_poll: Duration) -> Self {
        let notify = Arc::new(Notifier(Notify::new()));
        let connection = Connection::new(node.clone(), portal, Waker::from(notify.clone()));
        Self { node, ticker: None, stream, connection, input: Input::new(), wire: Wire::new(), notify, busy_poll }
    }

    async fn run(&mut self) -> io::Result<()> {
        match tokio::time::timeout(LOGIN_TIME, self.turns(true)).await {
            Ok(result) => result?,
            Err(_) => return Err(io::Error::new(io::ErrorKind::TimedOut, "no login within the time for it")),
        }
        self.ticker = self.connection.keeps_time().then(|| Ticker::new(self.node.clone()));
        self.turns(false).await?;
        if self.connection.ending() == Ending::Flush {
            let _ = tokio::time::timeout(LINGER, self.flush()).await;
        }
        Ok(())
    }

    /// Works until the connection ends, or until its login has ended if `login` is set.
    async fn turns(&mut self, login: bool) -> io::Result<()> {
        loop {
            self.work();
            if self.connection.ending() != Ending::Open || (login && self.connection.is_logged_in()) {
                return Ok(());
            }
            let room = self.input.make_room(&self.connection);
            let (stream, input, wire) = (&mut self.stream, &mut self.input, &mut self.wire);
            let awake = (!self.busy_poll.is_zero()).then(|| Instant::now() + self.busy_poll);
            let event = tokio::select! {
                biased;
                () = Ticker::tick_of(self.ticker.as_mut()), if self.ticker.is_some() => {
                    self.connection.poll();
                    Event::Wrote
                }
                event = poll_fn(|cx| restless(stream, input, wire, room, awake, cx)) => event?,
                () = self.notify.0.notified() => {
                    self.connection.poll();
                    Event::Wrote
                }
            };
            if event == Event::Closed {
                return Err(io::ErrorKind::ConnectionReset.into());
            }
        }
    }

    /// Works on what has come in and puts the answers on the wire.
    fn work(&mut self) {
        if self.wire.len() < HIGH_WATER {
            self.input.start += self.connection.receive(self.input.bytes());
        }
        while let Some(pdu) = self.connection.next_pdu() {
            self.wire.push(&pdu);
        }
    }

    async fn flush(&mut self) -> io::Result<()> {
        while !self.wire.is_empty() {
            let (stream, wire) = (&mut self.stream, &mut self.wire);
            poll_fn(|cx| write(stream, wire, cx)).await?;
        }
        poll_fn(|cx| Pin::new(&mut self.stream).poll_shutdown(cx)).await
    }
}

/// A turn that does not let the task sleep before `awake`: with nothing to do it is called again at once, after other tasks.
fn restless(
    stream: &mut TcpStream,
    input: &mut Input,
    wire: &mut Wire,
    room: bool,
    awake: Option<Instant>,
    cx: &mut Context<'_>,
) -> Poll<io::Result<Event>> {
    let Some(awake) = awake else { return turn(stream, input, wire, room, cx) };
    let polled = turn(stream, input, wire, room, cx);
    if polled.is_ready() {
        return polled;
    }
    if room && let Some(event) = read_now(stream, input)? {
        return Poll::Ready(Ok(event));
    }
    if Instant::now() < awake {
        cx.waker().wake_by_ref();
    }
    Poll::Pending
}

/// Reads without asking the runtime first, which learns of new data only when it looks at all sockets.
fn read_now(stream: &TcpStream, input: &mut Input) -> io::Result<Option<Event>> {
    match rustix::net::recv(stream, input.spare(), RecvFlags::DONTWAIT) {
        Ok((0, _)) => Ok(Some(Event::Closed)),
        Ok((len, _)) => {
            input.end += len;
            Ok(Some(Event::Read))
        }
        Err(Errno::AGAIN | Errno::INTR) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Writes all that the socket takes, then reads what it has. Ready as soon as either has moved something.
fn turn(
    stream: &mut TcpStream,
    input: &mut Input,
    wire: &mut Wire,
    room: bool,
    cx: &mut Context<'_>,
) -> Poll<io::Result<Event>> {
    let mut wrote = false;
    while !wire.is_empty() {
        match write(stream, wire, cx) {
            Poll::Ready(result) => result?,
            Poll::Pending => break,
        }
        wrote = true;
    }
    if room {
        let mut buffer = ReadBuf::new(input.spare());
        if let Poll::Ready(result) = Pin::new(stream).poll_read(cx, &mut buffer) {
            result?;
            let len = buffer.filled().len();
            input.end += len;
            return Poll::Ready(Ok(if len == 0 { Event::Closed } else { Event::Read }));
        }
    }
    if wrote && !room { Poll::Ready(Ok(Event::Wrote)) } else { Poll::Pending }
}

fn write(stream: &mut TcpStream, wire: &mut Wire, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
    let mut slices = [IoSlice::new(&[]); SLICES];
    let filled = wire.chunks_vectored(&mut slices);
    let slices = slices.get(..filled).unwrap_or_default();
    let written = std::task::ready!(Pin::new(stream).poll_write_vectored(cx, slices))?;
    if written == 0 {
        return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
    }
    wire.advance(written);
    Poll::Ready(Ok(()))
}

impl Input {
    fn new() -> Self {
        Self { buffer: vec![0; READ], start: 0, end: 0 }
    }

    fn bytes(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }

    fn spare(&mut self) -> &mut [u8] {
        self.buffer.get_mut(self.end..).unwrap_or_default()
    }

    /// Makes room for the rest of the PDU that has begun; whether there is room at all.
    ///
    /// A connection that leaves complete PDUs lying has enough to write first.
    fn make_room(&mut self, connection: &Connection) -> bool {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
            return true;
        }
        let wanted = connection.wanted(self.bytes());
        if self.end - self.start >= wanted {
            return false;
        }
        if self.start + wanted > self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
            if wanted > self.buffer.len() {
                self.buffer.resize(wanted.next_multiple_of(READ), 0);
            }
        }
        true
    }
}

impl Wake for Notifier {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }
}
