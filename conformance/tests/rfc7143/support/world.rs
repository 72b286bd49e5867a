//! A session and its peer.

use std::future::Future;
use std::time::Duration;

use bytes::BytesMut;
use iscsi_initiator::core::misbehaved::PeerMisbehaved;
use iscsi_initiator::core::{Command, CommandError, ConnectionError, Offer, Response};
use iscsi_initiator::{Builder, Config, ConnectError, Initiator, Session};
use iscsi_proto::scsi::{Cdb, Lun};
use tokio::task::JoinHandle;

use super::peer::{Peer, pattern};

/// The logical unit of all commands.
pub(crate) const LUN: u8 = 3;
/// Room in each direction of the pipe: more than any test says at once.
pub(crate) const PIPE: usize = 1 << 20;
pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// A session that has logged in, and its peer.
pub(crate) struct World {
    pub(crate) session: Session,
    pub(crate) peer: Peer,
    connection: JoinHandle<Result<(), ConnectionError>>,
}

/// A command that is under way.
pub(crate) type Running<T = Result<Response, CommandError>> = JoinHandle<T>;

/// Nothing is pinged unless a test wants it to be.
pub(crate) fn config() -> Config {
    let mut config = Config::default();
    config.timeouts.idle = None;
    config
}

/// A configuration with another offer.
pub(crate) fn offering(change: impl FnOnce(&mut Offer)) -> Config {
    let mut config = config();
    change(&mut config.offer);
    config
}

pub(crate) fn initiator() -> Initiator {
    Initiator::new("iqn.2026-01.org.example:host".parse().expect("a name"))
}

pub(crate) fn builder() -> Builder {
    let target = "iqn.2026-01.org.example:disk".parse().expect("a name");
    Session::builder(&initiator(), target).config(config())
}

/// A login that is under way, and the peer that it talks to.
pub(crate) fn logging_in(builder: Builder) -> (Running<Result<Session, ConnectError>>, Peer) {
    let (ours, theirs) = tokio::io::duplex(PIPE);
    let login = async {
        let (session, connection) = builder.connect_with(ours).await?;
        tokio::spawn(connection);
        Ok(session)
    };
    (tokio::spawn(login), Peer::new(theirs))
}

/// Ends a login that has to fail, and gives the reason; the connection is closed.
pub(crate) async fn refused(login: Running<Result<Session, ConnectError>>, peer: &mut Peer) -> ConnectError {
    let error = ended(login).await.expect_err("no session");
    peer.hears_the_end().await;
    error
}

/// Waits for what has to end.
pub(crate) async fn ended<T>(running: Running<T>) -> T {
    running.await.expect("no panic")
}

impl World {
    /// A session with the defaults of this project, every offer of which is accepted.
    pub(crate) async fn new() -> Self {
        Self::with(config(), &[]).await
    }

    /// A session with this offer and these answers of the peer.
    pub(crate) async fn with(config: Config, answers: &[(&str, &str)]) -> Self {
        let (ours, theirs) = tokio::io::duplex(PIPE);
        let mut peer = Peer::new(theirs);
        let login = builder().config(config).connect_with(ours);
        let (connected, ()) = tokio::join!(login, peer.log_in(answers));
        let (session, connection) = connected.expect("a login");
        Self { session, peer, connection: tokio::spawn(connection) }
    }

    /// Starts something with the session.
    pub(crate) fn start<F, T>(&self, work: impl FnOnce(Session) -> F) -> Running<T>
    where
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        tokio::spawn(work(self.session.clone()))
    }

    /// Starts a command.
    pub(crate) fn execute(&self, command: Command) -> Running {
        self.start(|session| async move { session.execute(Lun::from(LUN), command).await })
    }

    /// Starts to read this many bytes.
    pub(crate) fn read(&self, length: usize) -> Running {
        self.execute(Command::read(Cdb::read(0, 1), BytesMut::zeroed(length)))
    }

    /// Starts to write this many bytes of the pattern.
    pub(crate) fn write(&self, length: usize) -> Running {
        self.execute(Command::write(Cdb::write(0, 1), pattern(length)))
    }

    /// Starts a command without data.
    pub(crate) fn test(&self) -> Running {
        self.execute(Command::new(Cdb::from_bytes(&[0; 6]).expect("a CDB")))
    }

    /// Why the connection ended; it is closed without another word.
    pub(crate) async fn failed(&mut self) -> ConnectionError {
        self.peer.hears_the_end().await;
        (&mut self.connection).await.expect("no panic").expect_err("no logout")
    }

    /// The rule for which the connection was closed.
    pub(crate) async fn misbehaved(&mut self) -> PeerMisbehaved {
        match self.failed().await {
            ConnectionError::Misbehaved(rule) => rule,
            other => panic!("{other:?}"),
        }
    }

    /// The connection is open, and works.
    pub(crate) async fn works(&mut self) {
        let running = self.test();
        let (command, _) = self.peer.command().await;
        self.peer.good(command.itt).await;
        ended(running).await.expect("success");
    }
}
