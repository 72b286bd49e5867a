//! A user-space iSCSI initiator.

pub mod core;
pub mod url;

#[cfg(feature = "tokio")]
pub mod blocking;
#[cfg(feature = "tokio")]
mod builder;
#[cfg(feature = "tokio")]
mod config;
#[cfg(feature = "tokio")]
mod discovery;
#[cfg(feature = "tokio")]
mod driver;
#[cfg(feature = "tokio")]
mod error;
#[cfg(feature = "tokio")]
mod io;
#[cfg(feature = "tokio")]
mod lun;
#[cfg(feature = "tokio")]
mod session;
#[cfg(feature = "tokio")]
pub mod tap;

#[cfg(feature = "tokio")]
pub use builder::Builder;
#[cfg(feature = "tokio")]
pub use config::{Config, Initiator, Redirects, Timeouts};
#[cfg(feature = "tokio")]
pub use discovery::Discovery;
#[cfg(feature = "tokio")]
pub use driver::Connection;
#[cfg(feature = "tokio")]
pub use error::{ConnectError, Phase};
#[cfg(feature = "tokio")]
pub use io::Cursor;
#[cfg(feature = "tokio")]
pub use lun::Lun;
#[cfg(feature = "tokio")]
pub use session::{Events, Info, Session, good};
