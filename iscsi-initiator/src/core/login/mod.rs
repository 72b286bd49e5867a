//! The login phase (RFC 7143, sections 6.3, 11.12 and 11.13): from the TCP connection to a session.
//!
//! A [`Login`] is consumed by every response and comes back only if there is more to say, so nothing can be done with a
//! login that has failed, and nothing of the full feature phase before one has succeeded. The owner sends the requests
//! and receives under [`FrameLimits::LOGIN`](iscsi_proto::framer::FrameLimits::LOGIN); time is its business too.
//!
//! The dialogue always starts in the security stage, since some targets check the session's identity only there (tgt):
//!
//! ```text
//! I→ security     names, AuthMethod            →T
//! I→ security     CHAP_A, then CHAP_N CHAP_R   →T    with CHAP only
//! I→ operational  all keys, T bit              →T    answers; repeated with an empty request while T is refused
//! ```
//!
//! ```
//! use iscsi_initiator::core::chap::Nonce;
//! use iscsi_initiator::core::login::{Login, LoginConfig, Purpose};
//! use iscsi_proto::isid::Isid;
//!
//! let initiator = "iqn.2001-04.com.example:host".parse()?;
//! let target = "iqn.2001-04.com.example:disk1".parse()?;
//! let config = LoginConfig::new(initiator, Purpose::Session { target }, Isid::random([1, 2, 3], 0));
//! let (login, request) = Login::new(config, Nonce::random()?)?;
//! assert!(request.data.starts_with(b"InitiatorName=iqn.2001-04.com.example:host\0"));
//! // Send the request; then `login.receive(&header, &data)?` with each response until it is `Step::Done`.
//! # drop(login);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod config;
mod error;
mod identity;
mod outbox;
mod parameters;
mod security;
mod state;

#[cfg(test)]
mod tests;

use std::num::NonZeroU16;

use iscsi_proto::keys::Key;
use iscsi_proto::pdu::Header;
use iscsi_proto::portal::{PortalGroupTag, TargetAddress};

use super::chap::Nonce;
use super::misbehaved::PeerMisbehaved;
use super::session::Start;
use state::State;

pub use config::{LoginConfig, Purpose};
pub use error::LoginError;
pub use security::Authentication;

/// How many responses one login may take. The RFC asks for six at least; a text in small parts takes more.
pub const MAX_ROUNDS: usize = 64;
/// How many unknown keys are answered in one login.
pub const MAX_UNKNOWN_KEYS: usize = 128;

/// A Login Request to be sent. DataSegmentLength is set; digests are never in use during login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The basic header segment.
    pub header: Header,
    /// The data segment, without padding.
    pub data: Vec<u8>,
}

/// What follows from a response.
#[derive(Debug)]
pub enum Step {
    /// Send the request and wait for its response.
    Send(Login, Request),
    /// The session is there.
    Done(Box<LoggedIn>),
    /// The target is elsewhere: close this connection and log in there, by the same configuration.
    Redirect(Redirect),
}

/// What a successful login leaves.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LoggedIn {
    /// With what the full feature phase starts.
    pub start: Start,
    /// The target's name for the session.
    pub tsih: NonZeroU16,
    /// How both sides proved who they are.
    pub authentication: Authentication,
    /// The portal group that answered, if the target said so.
    pub tpgt: Option<PortalGroupTag>,
    /// What people call the target, if it said so. Any text without NUL: escape it before it reaches a terminal.
    pub target_alias: Option<String>,
    /// Addresses that the target declared besides, at most 64.
    pub target_addresses: Vec<TargetAddress>,
    /// Keys that the target should have answered and did not: their defaults are in force.
    pub unanswered: Vec<Key>,
}

/// Where the target is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// One or more addresses, in the order of the target.
    pub addresses: Vec<TargetAddress>,
    /// Whether records of the old address should be changed. If not, the next login starts at the old one again.
    pub permanent: bool,
    /// Whether the target had proved who it is before.
    pub authenticated: bool,
}

/// A login that waits for a response.
#[derive(Debug)]
pub struct Login(Box<State>);

impl Login {
    /// Checks the configuration and makes the first request.
    ///
    /// Values that cannot be offered and secrets that must not be used are refused here, before anything is sent.
    pub fn new(config: LoginConfig, nonce: Nonce) -> Result<(Self, Request), LoginError> {
        let (state, request) = State::new(config, nonce)?;
        Ok((Self(Box::new(state)), request))
    }

    /// Takes the PDU that came in answer to the last request. On an error the connection is to be closed.
    pub fn receive(self, header: &Header, data: &[u8]) -> Result<Step, LoginError> {
        let mut state = self.0;
        let response = state.open(header, data)?;
        match response.status.class {
            0 => state.accepted(&response, data),
            1 => state.redirected(response.status, data).map(Step::Redirect),
            2 | 3 => Err(state.refused(response.status)),
            class => Err(PeerMisbehaved::LoginStatusClass { class }.into()),
        }
    }

    /// The target closed the connection instead of answering the last request: what that may mean.
    #[must_use]
    pub fn closed(self) -> LoginError {
        self.0.closed()
    }
}
