//! The conversation of the tool with the daemon, over a Unix stream socket.
//!
//! Each message is one JSON object behind its length, four bytes, the most significant first. Both sides begin with a
//! [`Hello`](message::Hello); then the client asks one thing, and the daemon answers with parts and an end. While it has
//! nothing to say yet it says so every few seconds, so silence means that something is broken. No wait is without a limit.
//!
//! - [`message`] is what is said, [`secret`] those parts of it that must not be seen.
//! - [`frame`] turns messages into bytes and back.
//! - [`client`] is the tool's side, [`start`] brings a daemon up where there is none.

pub mod client;
pub mod error;
pub mod frame;
pub mod message;
pub mod secret;
pub mod start;

use std::path::{Path, PathBuf};
use std::time::Duration;

/// Between two signs of life of a daemon that is at work.
pub const SIGN_OF_LIFE: Duration = Duration::from_secs(5);
/// How long either side waits for the other's next message.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Where the daemon's socket is.
pub fn socket(run: &Path) -> PathBuf {
    run.join("riscsid.sock")
}

/// What the daemon that a client started has to say.
pub fn log(run: &Path) -> PathBuf {
    run.join("riscsid.log")
}
