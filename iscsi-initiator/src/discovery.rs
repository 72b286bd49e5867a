//! Discovery: SendTargets (RFC 7143, section 4.3 and appendix C) and iSNS (RFC 4171).

use std::sync::Arc;

use iscsi_proto::keys::{Key, text};
use iscsi_proto::portal::Portal;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::builder::Builder;
use crate::config::{Config, Initiator};
use crate::core::CommandError;
use crate::core::isns::{IsnsConfig, Registration};
use crate::core::login::Purpose;
use crate::core::secret::Auth;
use crate::core::targets::{self, Targets};
use crate::driver::connect::{Way, connect};
use crate::driver::line::Line;
use crate::driver::{Connection, beside, isns};
use crate::error::ConnectError;
use crate::session::Session;
use crate::tap::Tap;

/// Asks portals which targets they have, or an iSNS server which targets there are.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use iscsi_initiator::{Discovery, Initiator};
///
/// let initiator = Initiator::new("iqn.2025-01.com.example:host".parse()?);
/// for target in Discovery::new(&initiator).send_targets(&"192.0.2.1".parse()?).await?.targets {
///     println!("{} at {:?}", target.name, target.addresses);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "discovery does nothing until it is asked"]
pub struct Discovery {
    initiator: Initiator,
    auth: Auth,
    config: Config,
    registration: Registration,
    tap: Option<Arc<dyn Tap>>,
}

impl Discovery {
    /// Discovery by `initiator`, without authentication.
    pub fn new(initiator: &Initiator) -> Self {
        let (auth, config, registration) = (Auth::None, Config::default(), Registration::default());
        Self { initiator: initiator.clone(), auth, config, registration, tap: None }
    }

    /// How both sides prove who they are. An iSNS server is not asked for a proof, and asks for none.
    pub fn auth(mut self, auth: Auth) -> Self {
        self.auth = auth;
        self
    }

    /// What to offer, and how long to wait.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Whether to register with an iSNS server; by default only where it does not know this initiator.
    pub fn registration(mut self, registration: Registration) -> Self {
        self.registration = registration;
        self
    }

    /// Who is told what goes over the wire, secrets included; by default nobody.
    pub fn tap(mut self, tap: Arc<dyn Tap>) -> Self {
        self.tap = Some(tap);
        self
    }

    /// Logs in at `portal`, asks for all targets, and logs out. A target that names no address is at `portal` itself.
    ///
    /// # Cancellation
    ///
    /// The TCP connection is closed.
    pub async fn send_targets(&self, portal: &Portal) -> Result<Targets, ConnectError> {
        let (session, connection) = self.builder().portal(portal.clone()).connect_unspawned().await?;
        targets_of(&session, connection, portal).await
    }

    /// Does the same over a transport of the caller's, which leads to `portal`. A redirect is an error here.
    ///
    /// # Cancellation
    ///
    /// The transport is dropped.
    pub async fn send_targets_with<IO>(&self, io: IO, portal: &Portal) -> Result<Targets, ConnectError>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let (session, connection) = self.builder().connect_with(io).await?;
        targets_of(&session, connection, portal).await
    }

    /// Asks an iSNS server for all targets that it shows to this initiator: those of its discovery domains.
    ///
    /// The port of iSNS is [`iscsi_proto::isns::PORT`]. The connection, each answer, and the whole are bounded by
    /// [`Timeouts`](crate::Timeouts) as a login is. What the server says is not proved by anything: the targets have to prove
    /// who they are.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use iscsi_initiator::{Discovery, Initiator};
    /// use iscsi_proto::isns;
    /// use iscsi_proto::portal::Portal;
    ///
    /// let initiator = Initiator::new("iqn.2025-01.com.example:host".parse()?);
    /// let server = Portal::new("192.0.2.1".parse()?, isns::PORT);
    /// for target in Discovery::new(&initiator).isns(&server).await?.targets {
    ///     println!("{} at {:?}", target.name, target.addresses);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Cancellation
    ///
    /// The TCP connection is closed. If this initiator had just been registered, it stays so until the server's registration
    /// period is over.
    pub async fn isns(&self, server: &Portal) -> Result<Targets, ConnectError> {
        let io = connect(server, &Way::default(), self.config.timeouts.connect).await?;
        let mut line = Line::tcp(io, self.tap.as_ref());
        isns::ask(&mut line, self.isns_config(), &self.config.timeouts).await
    }

    /// Does the same over a transport of the caller's, which leads to the server.
    ///
    /// # Cancellation
    ///
    /// The transport is dropped; a registration may stay as with [`isns`](Self::isns).
    pub async fn isns_with<IO>(&self, io: IO) -> Result<Targets, ConnectError>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let mut line = Line::new(io, self.tap.as_ref());
        isns::ask(&mut line, self.isns_config(), &self.config.timeouts).await
    }

    fn isns_config(&self) -> IsnsConfig {
        let mut config = IsnsConfig::new(self.initiator.name().clone());
        config.alias = self.initiator.alias().map(str::to_owned);
        config.registration = self.registration;
        config
    }

    fn builder(&self) -> Builder {
        let builder = Builder::new(&self.initiator, Purpose::Discovery { target: None })
            .auth(self.auth.clone())
            .config(self.config.clone());
        match &self.tap {
            Some(tap) => builder.tap(Arc::clone(tap)),
            None => builder,
        }
    }
}

async fn targets_of<IO>(session: &Session, connection: Connection<IO>, portal: &Portal) -> Result<Targets, ConnectError>
where
    IO: AsyncRead + AsyncWrite + Unpin,
{
    let mut connection = Some(Box::pin(connection));
    let answer = beside(&mut connection, ask(session)).await.map_err(ConnectError::Discovery)?;
    let mut found = targets::parse(&answer)?;
    for target in &mut found.targets {
        if target.addresses.is_empty() {
            target.addresses.push(portal.clone().into());
        }
    }
    Ok(found)
}

async fn ask(session: &Session) -> Result<Vec<u8>, CommandError> {
    let answer = session.text(text::encode([(Key::SendTargets, "All")])).await?;
    // The answer is there; that the target fails to say goodbye does not change it.
    let _ = session.logout().await;
    Ok(answer)
}
