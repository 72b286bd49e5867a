//! Protocol state without IO: no socket, no clock, no task. Time and bytes are passed in.

pub mod chap;
pub mod misbehaved;
pub mod params;
pub mod secret;
pub mod targets;

pub use misbehaved::PeerMisbehaved;
pub use params::{DigestOffer, Negotiated, Offer, TaskReporting};
