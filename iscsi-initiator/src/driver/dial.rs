//! Further connections of a session, and those that take the place of lost ones.

use std::num::NonZeroU16;
use std::sync::Arc;

use bytes::BytesMut;
use iscsi_proto::name::IscsiName;
use iscsi_proto::portal::{Portal, PortalGroupTag};
use iscsi_proto::serial::Serial;
use tokio::io::{AsyncRead, AsyncWrite};

use super::connect::{Way, connect};
use super::line::Line;
use super::login::{Ended, log_in};
use crate::config::Config;
use crate::core::command::Seat;
use crate::core::login::{LoggedIn, LoginConfig, Purpose};
use crate::core::session::Start;
use crate::core::{Negotiated, Stats};
use crate::error::ConnectError;
use crate::tap::Tap;

/// What bytes go over, whatever it is.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<IO: AsyncRead + AsyncWrite + Send + Unpin> Duplex for IO {}

pub(crate) type Transport = Box<dyn Duplex>;

/// A connection that was logged in on and waits to be taken into its session.
pub(crate) struct Joined {
    pub(super) io: Transport,
    pub(super) start: Start,
    /// What came behind the login.
    pub(super) received: BytesMut,
    /// What went over the wire in it.
    pub(super) stats: Stats,
}

impl Joined {
    /// What its login ended with.
    pub(super) const fn start(&self) -> &Start {
        &self.start
    }
}

impl std::fmt::Debug for Joined {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Joined").field("start", &self.start).finish_non_exhaustive()
    }
}

/// Knows how connections of one session are logged in.
#[derive(Clone, Debug)]
pub(crate) struct Dialer {
    login: LoginConfig,
    target: IscsiName,
    tsih: NonZeroU16,
    in_force: Negotiated,
    config: Config,
    way: Way,
    tap: Option<Arc<dyn Tap>>,
    /// Where the first connection was made; `None` if its transport was the caller's.
    portal: Option<Portal>,
}

impl Dialer {
    /// For the session that began with the login `logged_in`. Its further connections have to come to the same portal group
    /// (RFC 7143, section 6.3.3), as far as the target told which that is.
    pub(crate) fn new(
        mut login: LoginConfig,
        logged_in: &LoggedIn,
        config: Config,
        way: Way,
        tap: Option<Arc<dyn Tap>>,
        portal: Option<Portal>,
    ) -> Option<Self> {
        let Purpose::Session { target } = &login.purpose else { return None };
        let target = target.clone();
        let tpgt: Option<PortalGroupTag> = logged_in.tpgt;
        login.expected_tpgt = tpgt.or(login.expected_tpgt);
        let in_force = logged_in.start.negotiated.clone();
        Some(Self { login, target, tsih: logged_in.tsih, in_force, config, way, tap, portal })
    }

    /// Whether a lost connection can be taken up again without the caller's help.
    pub(super) const fn can_redial(&self) -> bool {
        self.portal.is_some()
    }

    /// Connects to where the session began.
    pub(super) async fn redial(&self, seat: Seat) -> Result<Joined, ConnectError> {
        match &self.portal {
            Some(portal) => self.dial(portal, seat).await,
            None => Err(ConnectError::NoPortal),
        }
    }

    /// Connects to `portal` and logs in.
    pub(crate) async fn dial(&self, portal: &Portal, seat: Seat) -> Result<Joined, ConnectError> {
        let io = connect(portal, &self.way, self.config.timeouts.connect).await?;
        let mut io = Line::tcp(io, self.tap.as_ref());
        if !self.config.busy_poll.is_zero() {
            io.read_at_once();
        }
        self.log_in(io, seat).await
    }

    /// Logs in over a transport of the caller's.
    pub(crate) async fn join_over<IO: Duplex + 'static>(&self, io: IO, seat: Seat) -> Result<Joined, ConnectError> {
        self.log_in(Line::new(io, self.tap.as_ref()), seat).await
    }

    async fn log_in<IO: Duplex + 'static>(&self, mut io: IO, seat: Seat) -> Result<Joined, ConnectError> {
        let mut stats = Stats::default();
        match log_in(&mut io, self.login_at(seat), &self.config.timeouts, &mut stats).await? {
            Ended::Moved(redirect) => Err(ConnectError::Redirected(redirect)),
            Ended::In { logged_in, received } => {
                Ok(Joined { io: Box::new(io), start: logged_in.start, received, stats })
            }
        }
    }

    fn login_at(&self, seat: Seat) -> LoginConfig {
        let Seat { cid, cmd_sn, exp_stat_sn } = seat;
        let mut login = self.login.clone();
        let exp_stat_sn: Serial = exp_stat_sn;
        let (target, in_force) = (self.target.clone(), Box::new(self.in_force.clone()));
        login.purpose = Purpose::Connection { target, tsih: self.tsih, in_force, exp_stat_sn };
        (login.cid, login.cmd_sn) = (cid, cmd_sn);
        login
    }
}
