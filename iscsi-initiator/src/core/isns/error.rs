use iscsi_proto::isns::{self, Function, Status};

use super::MAX_STRAYS;
use crate::core::targets::MAX_ENTRIES;

/// Why an iSNS server told no targets. The TCP connection has to be closed in every case.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IsnsError {
    /// The server refused the query.
    #[error("the iSNS server refused the query: {status}")]
    QueryRefused {
        /// Its reason.
        status: Status,
    },
    /// The server refused to register this initiator.
    #[error("the iSNS server refused to register this initiator: {status}")]
    RegistrationRefused {
        /// Its reason.
        status: Status,
    },
    /// What the server sent is not iSNS.
    #[error("the iSNS server sent nonsense: {0}")]
    Message(#[from] isns::IsnsError),
    /// The response belongs to another kind of request.
    #[error("the iSNS server answered with {found} instead of {expected} (RFC 4171, section 5.1.2)")]
    WrongFunction {
        /// The response that was due.
        expected: Function,
        /// The one that came.
        found: Function,
    },
    /// The response belongs to another request.
    #[error("the iSNS server answered transaction {found} instead of {expected} (RFC 4171, section 5.1.5)")]
    WrongTransaction {
        /// The transaction that is under way.
        expected: u16,
        /// The one that the response names.
        found: u16,
    },
    /// The server sends requests instead of the response.
    #[error("the iSNS server sent more than {MAX_STRAYS} requests instead of a response")]
    TooManyStrays,
    /// The server closed the connection instead of answering.
    #[error("the iSNS server closed the connection instead of answering")]
    Closed,
    /// The server names no target where it has another.
    #[error("the iSNS server has another target without a name (RFC 4171, section 5.7.5.3)")]
    NoName,
    /// The server tells of a target again that it had told of before.
    #[error("the iSNS server goes round in a circle instead of telling each target once (RFC 4171, section 5.6.5.3)")]
    Circle,
    /// More targets and portals than anybody needs.
    #[error("the answer of the iSNS server holds more than {MAX_ENTRIES} targets and portals")]
    TooMany,
}

impl IsnsError {
    /// Whether the same request may succeed later: the server says that it is busy.
    pub const fn is_retriable(&self) -> bool {
        matches!(self, Self::QueryRefused { status: Status::BUSY } | Self::RegistrationRefused { status: Status::BUSY })
    }
}
