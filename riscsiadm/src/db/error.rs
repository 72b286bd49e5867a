//! What can go wrong with the database, and the exit code that scripts expect for it.

use std::io;
use std::path::{Path, PathBuf};

use iscsi_proto::name::NameError;
use iscsi_proto::portal::Portal;
use thiserror::Error;

use super::keys::KeyError;
use super::node::IfaceName;

/// Why a call on the database failed. The texts are those that scripts know from open-iscsi, where it has one.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DbError {
    /// The system refused.
    #[error("Could not {action} {}: {source}", path.display())]
    Io {
        /// What was attempted, as a verb.
        action: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Another process held the lock for 30 seconds.
    #[error("Timeout on acquiring lock on DB: {}", .0.display())]
    LockTimeout(PathBuf),
    /// No node record matches.
    #[error("No records found")]
    NoRecords,
    /// There is no record of this discovery address.
    #[error("Discovery record [{},{}] not found.", .0.host, .0.port)]
    NoDiscovery(Portal),
    /// There is no such interface.
    #[error("Could not read iface info for {0}.")]
    NoIface(IfaceName),
    /// A key or value that a record cannot take.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// `default` and `iser` are built in.
    #[error("iface {iface} is a special interface and cannot be {verb}.")]
    SpecialIface {
        /// Which.
        iface: IfaceName,
        /// `modified` or `deleted`.
        verb: &'static str,
    },
    /// An interface is bound by MAC address or by network interface, not by both, and not by the one and then the other.
    #[error("Can not update interface binding from {from} to {to}. You must delete the interface and create a new one")]
    Binding {
        /// How it is bound.
        from: &'static str,
        /// How it was to be bound.
        to: &'static str,
    },
    /// Not the name of an interface.
    #[error("Invalid iface name {0}. Must be from 1 to 64 characters.")]
    IfaceName(String),
    /// A text that cannot be one component of a path.
    #[error("{0:?} cannot be part of a path")]
    Component(String),
    /// Neither a variable nor a home directory says where an ordinary user's files are.
    #[error("Could not find a place for records: set RISCSI_DB, XDG_STATE_HOME or HOME to an absolute path")]
    NoHome,
    /// The file with the initiator's name holds none.
    #[error("{} holds no line InitiatorName=NAME", .0.display())]
    NoInitiatorName(PathBuf),
    /// The file with the initiator's name holds something else.
    #[error("{}: {source}", path.display())]
    InitiatorName {
        /// The file.
        path: PathBuf,
        /// What is wrong with the name.
        source: NameError,
    },
}

impl DbError {
    /// The number that the tool ends with: 6 for trouble with the database, 7 for what the caller got wrong, 21 where
    /// there is nothing to act on.
    pub const fn code(&self) -> u8 {
        match self {
            Self::NoRecords => 21,
            Self::Key(_)
            | Self::SpecialIface { .. }
            | Self::Binding { .. }
            | Self::IfaceName(_)
            | Self::Component(_) => 7,
            _ => 6,
        }
    }

    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { action, path: path.to_owned(), source }
    }
}
