//! Why there is no session, by who is at fault.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use iscsi_proto::portal::Portal;

use crate::core::CommandError;
use crate::core::isns::IsnsError;
use crate::core::login::{LoginError, Redirect};
use crate::core::targets::TargetsError;

/// Why a target could not be reached, logged in to, or asked for its targets.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The name of the portal's host has no address.
    #[error("cannot resolve {portal}: {source}")]
    Resolve {
        /// The portal.
        portal: Portal,
        /// Why.
        source: io::Error,
    },
    /// There is no TCP connection to be had.
    #[error("cannot connect to {portal}: {source}")]
    Tcp {
        /// The portal.
        portal: Portal,
        /// The address that was tried last.
        addr: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The portal said nothing for too long.
    #[error("{phase} timed out after {after:?}: the portal does not answer")]
    TimedOut {
        /// What was under way.
        phase: Phase,
        /// How long was waited.
        after: Duration,
    },
    /// The connection broke during login, or before an iSNS server had answered.
    #[error("the connection broke: {0}")]
    Io(#[source] io::Error),
    /// The login failed.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// The target sends the login from portal to portal.
    #[error("the target sent the login on more than {limit} times, at last to {}", places(last))]
    TooManyRedirects {
        /// How often it may.
        limit: u8,
        /// Where it was to go next.
        last: Vec<Portal>,
    },
    /// The target sends the login to another portal, and the transport is not this crate's to open.
    #[error("the target has moved to {}", places(.0.addresses.iter().map(|address| &address.portal)))]
    Redirected(Redirect),
    /// No portal was named.
    #[error("no portal was named")]
    NoPortal,
    /// The session takes no further connection.
    #[error("the session takes no further connection: {0}")]
    NotAdded(#[source] CommandError),
    /// The discovery session ended before it had answered.
    #[error("discovery failed: {0}")]
    Discovery(#[source] CommandError),
    /// The answer to SendTargets is malformed.
    #[error("the portal answered discovery with nonsense: {0}")]
    Targets(#[from] TargetsError),
    /// The iSNS server told no targets.
    #[error(transparent)]
    Isns(#[from] IsnsError),
}

fn places<'a>(portals: impl IntoIterator<Item = &'a Portal>) -> String {
    let portals: Vec<String> = portals.into_iter().map(Portal::to_string).collect();
    portals.join(", ")
}

/// What can time out on the way to a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Name resolution and the TCP connection.
    Connect,
    /// Login.
    Login,
    /// Asking an iSNS server.
    Isns,
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Connect => "connecting",
            Self::Login => "login",
            Self::Isns => "the iSNS query",
        })
    }
}

impl ConnectError {
    /// Whether the same attempt may succeed later, without any change on either side's configuration.
    pub const fn is_retriable(&self) -> bool {
        match self {
            Self::Tcp { .. } | Self::TimedOut { .. } | Self::Io(_) => true,
            Self::Login(error) => error.is_retriable(),
            Self::Isns(error) => error.is_retriable(),
            _ => false,
        }
    }

    /// Whether another portal of the same target may succeed.
    pub(crate) const fn is_of_this_portal(&self) -> bool {
        matches!(
            self,
            Self::Resolve { .. }
                | Self::Tcp { .. }
                | Self::TimedOut { .. }
                | Self::Io(_)
                | Self::Login(LoginError::Closed { .. })
        ) || self.is_retriable()
    }
}

impl From<ConnectError> for io::Error {
    fn from(error: ConnectError) -> Self {
        let kind = match &error {
            ConnectError::TimedOut { .. } => io::ErrorKind::TimedOut,
            ConnectError::Tcp { source, .. } | ConnectError::Resolve { source, .. } | ConnectError::Io(source) => {
                source.kind()
            }
            ConnectError::Login(LoginError::Closed { .. }) | ConnectError::Isns(IsnsError::Closed) => {
                io::ErrorKind::ConnectionAborted
            }
            ConnectError::NoPortal => io::ErrorKind::InvalidInput,
            _ => io::ErrorKind::Other,
        };
        Self::new(kind, error)
    }
}
