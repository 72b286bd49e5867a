//! What the tool and the daemon say to each other.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::secret::{Hidden, Secrets};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::session::{ConnectionState, DaemonState, IfaceView, LunView, Params, Scan, SessionState, Timeouts};
use crate::output::stats::Counters;

/// The number of this form of messages. It rises with every change that an older side would not understand.
pub const PROTOCOL: u32 = 1;
/// The release of this program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The first message of both sides. Its form never changes; members may be added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`PROTOCOL`] of the sender.
    pub protocol: u32,
    /// [`VERSION`] of the sender.
    pub version: String,
}

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Log in to nodes. Answered by one [`Reply::Login`] for each, in order; by none if nobody is to wait.
    Login(Login),
    /// Log out of sessions. Answered by one [`Reply::Logout`] for each, in order.
    Logout {
        /// Which.
        sids: Vec<u32>,
    },
    /// Tell of all sessions. Answered by one [`Reply::Sessions`].
    Sessions {
        /// Ask the targets for their logical units.
        luns: bool,
        /// Tell the secrets too.
        secrets: bool,
    },
    /// Tell what was counted. Answered by one [`Reply::Stats`] for each, in order.
    Stats {
        /// Which.
        sids: Vec<u32>,
    },
    /// Look for logical units that came or went. Answered by one [`Reply::Rescan`] for each, in order.
    Rescan {
        /// Which.
        sids: Vec<u32>,
    },
    /// Log out of everything, forget it, and end.
    Stop,
}

/// A wish to log in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Login {
    /// The root of the records.
    pub db: PathBuf,
    /// Where `iscsid.conf` and the initiator's name are.
    pub config: PathBuf,
    /// The records to log in by.
    pub nodes: Vec<Node>,
    /// One session more for each, however many there are.
    pub additional: bool,
    /// Whether the client waits for the results.
    pub wait: bool,
    /// In place of the time limits of the records.
    pub timeout: Option<Duration>,
    /// Where to write what goes over the wire, as long as the sessions last.
    pub trace: Option<PathBuf>,
    /// Secrets that are in no record.
    pub secrets: Secrets,
}

/// A node: a target at a portal, through an interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    /// The name of the target.
    pub target: String,
    /// `HOST:PORT`.
    pub portal: String,
    /// The portal group, if it is known.
    pub tag: Option<u16>,
    /// The name of the interface.
    pub iface: String,
}

/// What the daemon answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// It is at work, and has nothing to tell yet.
    Working,
    /// What became of one node.
    Login {
        /// The sessions that came about.
        sids: Vec<u32>,
        /// Why not all that were wanted did.
        fault: Option<Fault>,
    },
    /// What became of one logout.
    Logout {
        /// Why there was none.
        fault: Option<Fault>,
    },
    /// All sessions, by their numbers.
    Sessions(Vec<Session>),
    /// What was counted in one session.
    Stats(Result<Box<Counters>, Fault>),
    /// What came and went in one session.
    Rescan(Result<Scan, Fault>),
    /// That was all.
    Done,
    /// Nothing can come of it.
    Failed(Fault),
}

/// Why something failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The exit code.
    pub code: u8,
    /// The reason, for people.
    pub message: String,
}

/// All about one session.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Its number.
    pub sid: u32,
    /// Where it was to log in.
    pub node: Node,
    /// `HOST:PORT` where it is.
    pub current: String,
    /// The portal group there, if it is known.
    pub current_tag: Option<u16>,
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
    /// Who the initiator is.
    pub username: String,
    /// Its secret, if that was asked for.
    pub password: Hidden,
    /// Who the target is.
    pub username_in: String,
    /// Its secret, if that was asked for.
    pub password_in: Hidden,
    /// What was negotiated.
    pub params: Params,
    /// Its logical units, if those were asked for.
    pub luns: Vec<LunView>,
}

impl Hello {
    /// What this program says.
    pub fn own() -> Self {
        Self { protocol: PROTOCOL, version: VERSION.to_owned() }
    }

    /// Whether both sides understand each other.
    pub fn fits(&self) -> bool {
        self.protocol == PROTOCOL
    }
}

impl From<Failure> for Fault {
    fn from(failure: Failure) -> Self {
        Self { code: failure.exit.code(), message: failure.message }
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::new(Exit::from_code(fault.code).unwrap_or(Exit::Failure), fault.message)
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Session({}, {:?}, {:?}, {:?})", self.sid, self.node, self.connection, self.problem)
    }
}
