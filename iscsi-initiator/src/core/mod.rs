//! Protocol state without IO: no socket, no clock, no task. Time and bytes are passed in.

pub mod chap;
pub mod command;
pub mod error;
pub mod event;
pub mod isns;
pub mod login;
pub mod misbehaved;
pub mod params;
pub mod payload;
pub mod secret;
pub mod session;
pub mod stats;
pub mod targets;

mod queue;
mod task;
mod window;

pub use command::{Command, Data, Response};
pub use error::{CommandError, ConnectionError};
pub use event::Event;
pub use misbehaved::PeerMisbehaved;
pub use params::{DigestOffer, Negotiated, Offer, TaskReporting};
pub use payload::Payload;
pub use stats::Stats;

/// A point in time: how long after a start of the owner's choice. It never goes back.
pub type Time = std::time::Duration;
