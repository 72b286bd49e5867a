//! A user-space iSCSI initiator.

pub mod core;

#[cfg(feature = "tokio")]
mod config;
#[cfg(feature = "tokio")]
mod driver;
#[cfg(feature = "tokio")]
mod lun;
#[cfg(feature = "tokio")]
mod session;

#[cfg(feature = "tokio")]
pub use config::{Config, Initiator, Redirects, Timeouts};
#[cfg(feature = "tokio")]
pub use driver::Connection;
#[cfg(feature = "tokio")]
pub use lun::Lun;
#[cfg(feature = "tokio")]
pub use session::{Events, Info, Session, good};
