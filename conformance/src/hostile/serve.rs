//! Runs a hostile connection over a transport.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Wake, Waker};

use iscsi_proto::framer::{FrameLimits, Framing};
use iscsi_proto::pdu::MAX_DATA_SEGMENT;
use iscsi_proto::portal::Portal;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::{TcpListener, ToSocketAddrs};
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinSet;

use super::engine::{Engine, Step};
use super::script::Script;
use crate::target::config::Config;
use crate::target::core::{Connection, Ending, Node};
use crate::target::server::ServerError;
use crate::target::ticker::{Ticker, keep};

/// What one read can bring in.
const READ: usize = 64 * 1024;

/// A node that listens on TCP and misbehaves on every connection. It stops when it is dropped.
#[derive(Debug)]
pub struct Server {
    node: Arc<Node>,
    addr: SocketAddr,
    _tasks: JoinSet<()>,
}

impl Server {
    /// Starts a node that listens at `addr`. Must be called inside a tokio runtime with IO and time.
    pub async fn bind(config: Config, script: Script, addr: impl ToSocketAddrs) -> Result<Self, ServerError> {
        let node = Arc::new(Node::new(config)?);
        let listener = TcpListener::bind(addr).await?;
        let addr = listener.local_addr()?;
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, node.clone(), script));
        tasks.spawn(keep(node.clone()));
        Ok(Self { node, addr, _tasks: tasks })
    }

    /// The address that the node listens at.
    pub const fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// The node itself.
    pub const fn node(&self) -> &Arc<Node> {
        &self.node
    }
}

async fn accept(listener: TcpListener, node: Arc<Node>, script: Script) {
    let mut connections = JoinSet::new();
    let mut number = 0;
    while let Ok((stream, _)) = listener.accept().await {
        let (node, script) = (node.clone(), script.clone());
        number += 1;
        connections.spawn(async move {
            let Ok(portal) = stream.local_addr().map(Portal::from) else { return };
            let _ = stream.set_nodelay(true);
            if let Err(error) = serve_nth(stream, node, portal, script, number).await {
                tracing::debug!(%error, "a hostile connection ended");
            }
        });
    }
}

/// Serves one connection that came in at `portal`, as the script says, until either side closes it.
///
/// For the script it is the first. Several connections of one node can be served at a time; see
/// [`keep`](crate::target::ticker::keep) for the time of a node without connections.
pub async fn serve<IO>(io: IO, node: Arc<Node>, portal: Portal, script: Script) -> io::Result<()>
where
    IO: AsyncRead + AsyncWrite,
{
    serve_nth(io, node, portal, script, 1).await
}

/// [`serve`], for the connection with this number in the script, counted from 1.
pub async fn serve_nth<IO>(io: IO, node: Arc<Node>, portal: Portal, script: Script, number: u64) -> io::Result<()>
where
    IO: AsyncRead + AsyncWrite,
{
    let (reader, writer) = tokio::io::split(io);
    let (steps, queue) = mpsc::unbounded_channel();
    let (deaf, ears) = watch::channel(false);
    let target = Target::new(node, portal, script, number, steps);
    tokio::select! {
        result = target.run(reader, ears) => result,
        result = write(writer, queue, deaf) => result,
    }
}

/// The target's core and the script.
struct Target {
    node: Arc<Node>,
    ticker: Option<Ticker>,
    /// What has come in and was not looked at, and what of it the target is to see.
    input: Vec<u8>,
    passed: Vec<u8>,
    connection: Connection,
    engine: Engine,
    steps: mpsc::UnboundedSender<Step>,
    notify: Arc<Notifier>,
}

/// Wakes a connection for what others have left for it.
struct Notifier(Notify);

impl Target {
    fn new(node: Arc<Node>, portal: Portal, script: Script, number: u64, steps: mpsc::UnboundedSender<Step>) -> Self {
        let notify = Arc::new(Notifier(Notify::new()));
        let engine = Engine::new(script, portal.to_string(), number);
        let connection = Connection::new(node.clone(), portal, Waker::from(notify.clone()));
        let (input, passed) = (Vec::new(), Vec::new());
        Self { node, ticker: None, input, passed, connection, engine, steps, notify }
    }

    async fn run<IO: AsyncRead>(mut self, mut reader: ReadHalf<IO>, mut ears: watch::Receiver<bool>) -> io::Result<()> {
        self.queue(self.engine.connect());
        while self.connection.ending() == Ending::Open {
            if self.ticker.is_none() && self.connection.keeps_time() {
                self.ticker = Some(Ticker::new(self.node.clone()));
            }
            let mut room = vec![0; READ];
            tokio::select! {
                biased;
                () = deafness(&mut ears) => return std::future::pending().await,
                () = self.notify.0.notified() => self.connection.poll(),
                () = Ticker::tick_of(self.ticker.as_mut()), if self.ticker.is_some() => self.connection.poll(),
                result = reader.read(&mut room) => match result? {
                    0 => return Ok(()),
                    len => self.input.extend_from_slice(room.get(..len).unwrap_or_default()),
                },
            }
            self.work();
        }
        self.queue(vec![Step::Close]);
        std::future::pending().await
    }

    /// Hands request after request to the target, and its answers to the script.
    fn work(&mut self) {
        loop {
            let used = self.connection.receive(&self.passed);
            self.passed.drain(..used);
            while let Some(pdu) = self.connection.next_pdu() {
                let steps = self.engine.pdu(&pdu);
                self.queue(steps);
            }
            let is_stuck = !self.passed.is_empty() && used == 0;
            if is_stuck || (self.passed.is_empty() && !self.take_request()) {
                return;
            }
        }
    }

    /// Puts the next request in front of the target, as the script has it. Whether there was one.
    fn take_request(&mut self) -> bool {
        let digests = self.connection.digests();
        let limits = FrameLimits {
            max_data: MAX_DATA_SEGMENT,
            allow_ahs: true,
            header_digest: digests.header,
            data_digest: digests.data,
        };
        match Framing::new(limits).head(&self.input) {
            Ok(Some((header, layout))) if self.input.len() >= layout.total() => {
                let bytes = self.input.drain(..layout.total()).collect();
                let (bytes, steps) = self.engine.request(&header, bytes, digests);
                self.queue(steps);
                self.passed = bytes;
                true
            }
            Ok(_) => false,
            // That is for the target to judge.
            Err(_) => {
                self.passed = std::mem::take(&mut self.input);
                !self.passed.is_empty()
            }
        }
    }

    fn queue(&self, steps: Vec<Step>) {
        for step in steps {
            // Nobody takes them any more once the writer has closed.
            let _ = self.steps.send(step);
        }
    }
}

async fn deafness(ears: &mut watch::Receiver<bool>) {
    // The writer that could say so does not end before this does.
    let _ = ears.wait_for(|deaf| *deaf).await;
}

/// Does the steps, and ends when the connection is to be closed.
async fn write<IO: AsyncWrite>(
    mut writer: WriteHalf<IO>,
    mut queue: mpsc::UnboundedReceiver<Step>,
    deaf: watch::Sender<bool>,
) -> io::Result<()> {
    while let Some(step) = queue.recv().await {
        match step {
            Step::Write(bytes) => {
                writer.write_all(&bytes).await?;
                writer.flush().await?;
                // The other side gets a chance to see this piece by itself.
                tokio::task::yield_now().await;
            }
            Step::Wait(time) => tokio::time::sleep(time).await,
            Step::Close => return writer.shutdown().await,
            Step::Silence => return std::future::pending().await,
            Step::Deaf => {
                deaf.send_replace(true);
            }
        }
    }
    Ok(())
}

impl Wake for Notifier {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }
}
