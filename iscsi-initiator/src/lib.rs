//! A user-space iSCSI initiator.

pub mod core;
pub mod url;

#[cfg(feature = "tokio")]
mod driver;

#[cfg(feature = "tokio")]
pub use driver::Connection;
