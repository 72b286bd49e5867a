//! The core on tokio: one task per connection.

mod clock;
pub(crate) mod connection;
pub(crate) mod mailbox;
mod staging;

pub use connection::Connection;
