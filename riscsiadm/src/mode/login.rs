//! Logging in and out, and what the daemon knows of sessions.

use super::Context;
use crate::db::node::NodeId;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::session::SessionView;

/// How to log in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Login {
    /// Wait until the sessions are up, or have failed.
    pub(crate) wait: bool,
    /// Make one session more, however many there are.
    pub(crate) additional: bool,
}

/// Logs in to nodes. The exit code is that of the first that failed.
pub(crate) fn login(_: &Context, _: &[NodeId], _: Login) -> Result<(), Failure> {
    Err(no_daemon())
}

/// Logs out of all sessions of these nodes.
pub(crate) fn logout(_: &Context, _: &[NodeId]) -> Result<(), Failure> {
    Err(no_daemon())
}

/// Looks for LUNs that came or went, in all sessions of these nodes.
pub(crate) fn rescan(_: &Context, _: &[NodeId]) -> Result<(), Failure> {
    Err(no_daemon())
}

/// Prints statistics of all sessions of these nodes.
pub(crate) fn stats(_: &Context, _: &[NodeId]) -> Result<(), Failure> {
    Err(no_daemon())
}

/// The sessions that the daemon holds; none where no daemon runs. Never starts one.
#[expect(clippy::unnecessary_wraps, reason = "asking a daemon can fail")]
pub(crate) fn live(_: &Context) -> Result<Vec<SessionView>, Failure> {
    Ok(Vec::new())
}

/// Ends the daemon.
pub(crate) fn stop(_: &Context) -> Result<(), Failure> {
    Err(no_daemon())
}

fn no_daemon() -> Failure {
    Failure::new(Exit::DaemonNotConnected, "can not connect to iSCSI daemon (111)!")
}
