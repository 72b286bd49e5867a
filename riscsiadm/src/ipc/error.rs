//! Why the tool could not talk to the daemon.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::frame::FrameError;
use super::message::{Hello, PROTOCOL, VERSION};
use crate::exit::Exit;
use crate::failure::Failure;

/// Why there is no conversation, or no end to it.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum IpcError {
    /// No daemon, and none was to be started.
    #[error("can not connect to iSCSI daemon (111)!")]
    NotRunning,
    /// The system did not let the client reach the socket.
    #[error("cannot reach the daemon at {}: {source}", path.display())]
    Socket {
        /// The socket.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The daemon runs as somebody else.
    #[error("the daemon at {} belongs to user {uid}, who could see what is sent there", path.display())]
    Stranger {
        /// The socket.
        path: PathBuf,
        /// Who answered.
        uid: u32,
    },
    /// The daemon is of a release that says things differently.
    #[error(
        "the daemon is riscsiadm {} (protocol {}) and this is {VERSION} (protocol {PROTOCOL}): end it with `kill {pid}`, \
         which logs out of its sessions, and the next login starts one of this release",
        theirs.version, theirs.protocol
    )]
    Version {
        /// What the daemon says of itself.
        theirs: Hello,
        /// Its process.
        pid: i32,
    },
    /// The daemon could not be started.
    #[error("cannot start the daemon: {0}")]
    Start(String),
    /// A message did not get through.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The daemon answered something else than what was asked.
    #[error("the daemon gave an answer to another question")]
    Confused,
}

impl IpcError {
    /// What the tool ends with.
    pub fn exit(&self) -> Exit {
        match self {
            Self::Stranger { .. } => Exit::Access,
            Self::Socket { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => Exit::Access,
            Self::NotRunning | Self::Start(_) | Self::Socket { .. } => Exit::DaemonNotConnected,
            Self::Frame(FrameError::TimedOut) => Exit::RequestTimeout,
            Self::Version { .. } | Self::Frame(_) | Self::Confused => Exit::DaemonCommunication,
        }
    }
}

impl From<IpcError> for Failure {
    fn from(error: IpcError) -> Self {
        Self::new(error.exit(), error)
    }
}
