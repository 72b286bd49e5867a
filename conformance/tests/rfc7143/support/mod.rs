//! A peer whose every word a test writes, and the initiator that talks to it.

pub(crate) mod peer;
pub(crate) mod trace;
pub(crate) mod world;
