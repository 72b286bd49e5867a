//! The core on tokio: one task per session.

mod clock;
pub(crate) mod connect;
pub(crate) mod connection;
pub(crate) mod dial;
pub(crate) mod isns;
mod lane;
pub(crate) mod line;
pub(crate) mod login;
pub(crate) mod mailbox;
mod staging;

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};

pub use connection::Connection;

/// Runs `call` with the connection beside it: first the connection, so that what has come is there for the call.
///
/// A connection that ends is taken out; the call learns of it by its own error.
pub(crate) async fn beside<C, F>(connection: &mut Option<Pin<Box<C>>>, call: F) -> F::Output
where
    C: Future,
    F: Future,
{
    let mut call = pin!(call);
    poll_fn(|cx| {
        if let Some(running) = connection
            && running.as_mut().poll(cx).is_ready()
        {
            *connection = None;
        }
        call.as_mut().poll(cx)
    })
    .await
}
