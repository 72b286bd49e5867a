//! From a record to what a session is set up with.

pub(crate) mod auth;
pub(crate) mod session;
