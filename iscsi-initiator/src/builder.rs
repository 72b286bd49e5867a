//! From a configuration to a session.

use std::net::IpAddr;
use std::sync::Arc;

use iscsi_proto::name::IscsiName;
use iscsi_proto::portal::{Portal, PortalGroupTag};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::broadcast;

use crate::config::{Config, Initiator};
use crate::core::Stats;
use crate::core::login::{LoggedIn, LoginConfig, Purpose};
use crate::core::secret::Auth;
use crate::core::session::Patience;
use crate::driver::Connection;
use crate::driver::connect::{Way, connect};
use crate::driver::dial::Dialer;
use crate::driver::line::Line;
use crate::driver::login::{Ended, log_in};
use crate::driver::mailbox::Mailbox;
use crate::error::ConnectError;
use crate::session::{Info, Session};
use crate::tap::Tap;

/// Events that a slow listener may fall behind.
const EVENTS: usize = 64;

/// Sets up a session; made by [`Session::builder`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until it connects"]
pub struct Builder {
    initiator: Initiator,
    purpose: Purpose,
    portals: Vec<Portal>,
    group: Option<PortalGroupTag>,
    auth: Auth,
    config: Config,
    way: Way,
    tap: Option<Arc<dyn Tap>>,
}

impl Session {
    /// Starts to set up a session of `initiator` with `target`.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// use iscsi_initiator::{Initiator, Session};
    ///
    /// let initiator = Initiator::new("iqn.2025-01.com.example:host".parse()?);
    /// let session = Session::builder(&initiator, "iqn.2025-01.com.example:disk".parse()?)
    ///     .portal("192.0.2.1".parse()?)
    ///     .connect()
    ///     .await?;
    /// let lun = session.open(0.into()).await?;
    /// let first_block = lun.read_at(0, lun.block_size() as usize).await?;
    /// session.logout().await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn builder(initiator: &Initiator, target: IscsiName) -> Builder {
        Builder::new(initiator, Purpose::Session { target })
    }
}

impl Builder {
    pub(crate) fn new(initiator: &Initiator, purpose: Purpose) -> Self {
        Self {
            initiator: initiator.clone(),
            purpose,
            portals: Vec::new(),
            group: None,
            auth: Auth::None,
            config: Config::default(),
            way: Way::default(),
            tap: None,
        }
    }

    /// Adds a portal to log in at. They are tried in order until one answers.
    pub fn portal(mut self, portal: Portal) -> Self {
        self.portals.push(portal);
        self
    }

    /// The portal group that has to answer. By default any may.
    pub const fn portal_group(mut self, group: PortalGroupTag) -> Self {
        self.group = Some(group);
        self
    }

    /// How both sides prove who they are; by default not at all.
    pub fn auth(mut self, auth: Auth) -> Self {
        self.auth = auth;
        self
    }

    /// What to offer, and how long to wait.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// The local address that connections go out from; by default the system chooses.
    pub const fn local_address(mut self, address: IpAddr) -> Self {
        self.way.address = Some(address);
        self
    }

    /// The network interface that connections go out by, such as `eth0`; by default the system chooses. Only Linux can do
    /// that; elsewhere no connection comes about.
    pub fn local_device(mut self, name: impl Into<String>) -> Self {
        self.way.device = Some(name.into());
        self
    }

    /// Who is told what goes over the wire, secrets included; by default nobody.
    pub fn tap(mut self, tap: Arc<dyn Tap>) -> Self {
        self.tap = Some(tap);
        self
    }

    /// Logs in, and runs the connection in a task of the current tokio runtime.
    ///
    /// # Cancellation
    ///
    /// The TCP connection is closed.
    pub async fn connect(self) -> Result<Session, ConnectError> {
        let (session, connection) = self.connect_unspawned().await?;
        tokio::spawn(connection);
        Ok(session)
    }

    /// Logs in over TCP, and leaves it to the caller to run the connection: nothing happens on the session unless the
    /// second value is polled.
    ///
    /// # Cancellation
    ///
    /// The TCP connection is closed.
    pub async fn connect_unspawned(self) -> Result<(Session, Connection<TcpStream>), ConnectError> {
        let mut last = ConnectError::NoPortal;
        for portal in &self.portals {
            match self.connect_to(portal.clone()).await {
                Err(error) if error.is_of_this_portal() => last = error,
                result => return result,
            }
        }
        Err(last)
    }

    /// Logs in over a transport of the caller's: a TLS stream, a tunnel, a pipe. A redirect is an error here.
    ///
    /// # Cancellation
    ///
    /// The transport is dropped.
    pub async fn connect_with<IO>(self, io: IO) -> Result<(Session, Connection<IO>), ConnectError>
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let mut io = Line::new(io, self.tap.as_ref());
        let login = self.login_config();
        let mut stats = Stats::default();
        match log_in(&mut io, login.clone(), &self.config.timeouts, &mut stats).await? {
            Ended::Moved(redirect) => Err(ConnectError::Redirected(redirect)),
            Ended::In { logged_in, received } => {
                let info = self.info(&login, &logged_in);
                Ok(self.start(io, login, &logged_in, (&received, &stats), info))
            }
        }
    }

    /// Logs in at `portal`, or where it sends the login on to.
    async fn connect_to(&self, portal: Portal) -> Result<(Session, Connection<TcpStream>), ConnectError> {
        let limit = self.config.redirects.0;
        let login = self.login_config();
        let mut places = vec![portal];
        let mut stats = Stats::default();
        for _ in 0..=limit {
            let (portal, io) = self.connect_to_one_of(&places).await?;
            let mut io = Line::tcp(io, self.tap.as_ref());
            match log_in(&mut io, login.clone(), &self.config.timeouts, &mut stats).await? {
                Ended::Moved(redirect) => {
                    places = redirect.addresses.into_iter().map(|address| address.portal).collect();
                }
                Ended::In { logged_in, received } => {
                    let info = Info {
                        portal: Some(portal),
                        peer: io.get_ref().peer_addr().ok(),
                        local: io.get_ref().local_addr().ok(),
                        ..self.info(&login, &logged_in)
                    };
                    if !self.config.busy_poll.is_zero() {
                        io.read_at_once();
                    }
                    return Ok(self.start(io, login, &logged_in, (&received, &stats), info));
                }
            }
        }
        Err(ConnectError::TooManyRedirects { limit, last: places })
    }

    /// The first of some places of one target that can be connected to.
    async fn connect_to_one_of(&self, places: &[Portal]) -> Result<(Portal, TcpStream), ConnectError> {
        let mut last = ConnectError::NoPortal;
        for portal in places {
            match connect(portal, &self.way, self.config.timeouts.connect).await {
                Ok(io) => return Ok((portal.clone(), io)),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn login_config(&self) -> LoginConfig {
        let mut login =
            LoginConfig::new(self.initiator.name().clone(), self.purpose.clone(), self.initiator.next_isid());
        login.alias = self.initiator.alias().map(str::to_owned);
        login.auth = self.auth.clone();
        login.offer = self.config.offer.clone();
        login.expected_tpgt = self.group;
        login
    }

    fn info(&self, login: &LoginConfig, logged_in: &LoggedIn) -> Info {
        Info {
            target: self.purpose.target().cloned(),
            target_alias: logged_in.target_alias.clone(),
            portal: None,
            peer: None,
            local: None,
            isid: login.isid,
            tsih: logged_in.tsih.get(),
            portal_group: logged_in.tpgt,
            authentication: logged_in.authentication,
            unanswered: logged_in.unanswered.clone(),
            negotiated: logged_in.start.negotiated.clone(),
        }
    }

    fn start<IO>(
        &self,
        io: Line<IO>,
        login: LoginConfig,
        logged_in: &LoggedIn,
        left: (&[u8], &Stats),
        info: Info,
    ) -> (Session, Connection<IO>)
    where
        IO: AsyncRead + AsyncWrite + Unpin,
    {
        let timeouts = &self.config.timeouts;
        let patience = Patience {
            command: timeouts.command,
            management: timeouts.management,
            idle: timeouts.idle.filter(|_| !self.purpose.is_discovery()),
            ping: timeouts.ping,
        };
        let mailbox = Arc::new(Mailbox::default());
        let (events, _) = broadcast::channel(EVENTS);
        let (way, tap, portal) = (self.way.clone(), self.tap.clone(), info.portal.clone());
        let dialer = Dialer::new(login, logged_in, self.config.clone(), way, tap, portal).map(Arc::new);
        let session = Session::new(Arc::clone(&mailbox), events.downgrade(), info, timeouts.command, dialer.clone());
        let connection = Connection::new(io, &logged_in.start, patience, left, mailbox, events, dialer);
        (session, connection.busy_poll(self.config.busy_poll))
    }
}
