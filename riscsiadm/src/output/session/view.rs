//! What is known about a session.

use std::fmt;

use iscsi_initiator::core::params::Negotiated;
use iscsi_proto::name::IscsiName;
use iscsi_proto::portal::TargetAddress;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// All that is printed about one session.
#[derive(Clone, Debug)]
pub struct SessionView {
    /// Its number.
    pub sid: u32,
    /// `tcp`.
    pub transport: String,
    /// The target.
    pub target: IscsiName,
    /// Where it is connected now.
    pub current: TargetAddress,
    /// Where its record says that the target is, which a redirect does not change.
    pub persistent: TargetAddress,
    /// Whether a host adaptor made it by itself.
    pub flash: bool,
    /// What it is bound to.
    pub iface: IfaceView,
    /// The state of its connection.
    pub connection: ConnectionState,
    /// The state of the session.
    pub state: SessionState,
    /// What the daemon does about it.
    pub daemon: DaemonState,
    /// Why it has no connection, if it has none.
    pub problem: Option<String>,
    /// How long things may take.
    pub timeouts: Timeouts,
    /// The credentials that it logged in with.
    pub chap: ChapView,
    /// What was negotiated.
    pub params: Params,
    /// The number of its host: in user space each session is a host of its own.
    pub host: u32,
    /// Its logical units.
    pub luns: Vec<LunView>,
}

/// The interface of a session. Empty texts mean that nothing is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IfaceView {
    /// The name of the interface record.
    pub name: String,
    /// The transport.
    pub transport: String,
    /// The name that the initiator gave.
    pub initiator_name: String,
    /// The local IP address.
    pub ipaddress: String,
    /// The MAC address that the interface is bound by.
    pub hwaddress: String,
    /// The network interface that it is bound by.
    pub netdev: String,
}

/// The state of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConnectionState {
    /// There is none.
    Free,
    /// TCP is being connected.
    TransportWait,
    /// Logging in.
    InLogin,
    /// Logged in.
    LoggedIn,
    /// Logging out.
    InLogout,
    /// The target asked for a logout.
    LogoutRequested,
    /// Waiting for what is left of a lost connection.
    CleanupWait,
    /// Nobody knows.
    Unknown,
}

/// The state of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SessionState {
    /// Commands flow.
    LoggedIn,
    /// The connection is lost, and the session waits for another.
    Failed,
    /// It is being given up.
    Free,
}

/// What the daemon does about a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DaemonState {
    /// Nothing.
    NoChange,
    /// Cleaning up.
    Cleanup,
    /// Connecting anew.
    Reopen,
    /// Following a redirect.
    Redirect,
    /// The daemon did not say.
    Unknown,
}

/// How long things may take, in seconds. A negative recovery timeout means: for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timeouts {
    /// How long a lost session may stay away before its commands fail.
    pub recovery: i64,
    /// A target reset.
    pub target_reset: i64,
    /// A reset of a logical unit.
    pub lun_reset: i64,
    /// An abort.
    pub abort: i64,
}

/// CHAP credentials. Empty texts mean that nothing is set.
#[derive(Clone, Default)]
pub struct ChapView {
    /// Who the initiator is.
    pub username: String,
    /// Its secret.
    pub password: Zeroizing<String>,
    /// Who the target is.
    pub username_in: String,
    /// The target's secret.
    pub password_in: Zeroizing<String>,
}

/// What was negotiated; lengths in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Params {
    /// Whether header digests are in use.
    pub header_digest: bool,
    /// Whether data digests are in use.
    pub data_digest: bool,
    /// The longest data segment received.
    pub max_recv_data_segment_length: u32,
    /// The longest data segment sent.
    pub max_xmit_data_segment_length: u32,
    /// FirstBurstLength.
    pub first_burst_length: u32,
    /// MaxBurstLength.
    pub max_burst_length: u32,
    /// ImmediateData.
    pub immediate_data: bool,
    /// InitialR2T.
    pub initial_r2t: bool,
    /// MaxOutstandingR2T.
    pub max_outstanding_r2t: u16,
    /// ErrorRecoveryLevel.
    pub error_recovery_level: u8,
    /// MaxConnections.
    pub max_connections: u16,
}

/// One logical unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LunView {
    /// Its number.
    pub lun: u64,
    /// The block device that it is exported as, such as `sda`, if it is.
    pub disk: Option<String>,
    /// `running`, or what is wrong.
    pub state: String,
}

/// Logical units that came and went, by their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scan {
    /// New since the last look.
    pub found: Vec<u64>,
    /// Gone since the last look.
    pub lost: Vec<u64>,
}

/// How much a tree shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Where the session is, through what, and its states.
    Connections,
    /// Also timeouts, credentials and what was negotiated.
    Params,
    /// Also the logical units.
    Devices,
}

impl fmt::Debug for ChapView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ChapView({:?}, {:?})", self.username, self.username_in)
    }
}

impl ConnectionState {
    /// The words that are printed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Free => "FREE",
            Self::TransportWait => "TRANSPORT WAIT",
            Self::InLogin => "IN LOGIN",
            Self::LoggedIn => "LOGGED IN",
            Self::InLogout => "IN LOGOUT",
            Self::LogoutRequested => "LOGOUT REQUESTED",
            Self::CleanupWait => "CLEANUP WAIT",
            Self::Unknown => "Unknown",
        }
    }
}

impl SessionState {
    /// The word that is printed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LoggedIn => "LOGGED_IN",
            Self::Failed => "FAILED",
            Self::Free => "FREE",
        }
    }
}

impl DaemonState {
    /// The words that are printed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoChange => "NO CHANGE",
            Self::Cleanup => "CLEANUP",
            Self::Reopen => "REOPEN",
            Self::Redirect => "REDIRECT",
            Self::Unknown => "Unknown",
        }
    }
}

impl From<&Negotiated> for Params {
    fn from(negotiated: &Negotiated) -> Self {
        Self {
            header_digest: negotiated.header_digest,
            data_digest: negotiated.data_digest,
            max_recv_data_segment_length: negotiated.max_recv_data_segment_length,
            max_xmit_data_segment_length: negotiated.max_send_data_segment_length,
            first_burst_length: negotiated.first_burst_length,
            max_burst_length: negotiated.max_burst_length,
            immediate_data: negotiated.immediate_data,
            initial_r2t: negotiated.initial_r2t,
            max_outstanding_r2t: negotiated.max_outstanding_r2t,
            error_recovery_level: negotiated.error_recovery_level,
            max_connections: negotiated.max_connections,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_have_the_words_of_iscsiadm() {
        let connection = [
            (ConnectionState::Free, "FREE"),
            (ConnectionState::TransportWait, "TRANSPORT WAIT"),
            (ConnectionState::InLogin, "IN LOGIN"),
            (ConnectionState::LoggedIn, "LOGGED IN"),
            (ConnectionState::InLogout, "IN LOGOUT"),
            (ConnectionState::LogoutRequested, "LOGOUT REQUESTED"),
            (ConnectionState::CleanupWait, "CLEANUP WAIT"),
            (ConnectionState::Unknown, "Unknown"),
        ];
        assert!(connection.iter().all(|(state, word)| state.as_str() == *word));
        let session =
            [(SessionState::LoggedIn, "LOGGED_IN"), (SessionState::Failed, "FAILED"), (SessionState::Free, "FREE")];
        assert!(session.iter().all(|(state, word)| state.as_str() == *word));
        let daemon = [
            (DaemonState::NoChange, "NO CHANGE"),
            (DaemonState::Cleanup, "CLEANUP"),
            (DaemonState::Reopen, "REOPEN"),
            (DaemonState::Redirect, "REDIRECT"),
            (DaemonState::Unknown, "Unknown"),
        ];
        assert!(daemon.iter().all(|(state, word)| state.as_str() == *word));
    }

    #[test]
    fn what_was_negotiated_is_carried_over() {
        let mut negotiated = Negotiated::default();
        negotiated.header_digest = true;
        negotiated.max_send_data_segment_length = 1;
        negotiated.max_recv_data_segment_length = 2;
        (negotiated.error_recovery_level, negotiated.max_connections) = (2, 4);
        let params = Params::from(&negotiated);
        assert!(params.header_digest && !params.data_digest && params.initial_r2t && params.immediate_data);
        assert_eq!((params.max_xmit_data_segment_length, params.max_recv_data_segment_length), (1, 2));
        assert_eq!((params.error_recovery_level, params.max_connections), (2, 4));
        assert_eq!(
            (params.first_burst_length, params.max_burst_length, params.max_outstanding_r2t),
            (65_536, 262_144, 1)
        );
    }
}
