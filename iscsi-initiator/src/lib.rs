//! An iSCSI initiator in user space: no kernel module, no root, one process (RFC 7143).
//!
//! It asks portals or an iSNS server for targets, logs in with or without CHAP, and gives logical units that are read and written
//! by position, as files, or by any SCSI command, async on tokio or blocking.
//!
//! ```no_run
//! use iscsi_initiator::{Discovery, Initiator, Session};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let initiator = Initiator::new("iqn.2025-01.com.example:host".parse()?);
//! let portal = "192.0.2.1".parse()?;
//! let found = Discovery::new(&initiator).send_targets(&portal).await?;
//! let target = found.targets.into_iter().next().ok_or("the portal has no targets")?;
//!
//! let session = Session::builder(&initiator, target.name).portal(portal).connect().await?;
//! let lun = session.open(0.into()).await?;
//! println!("{} bytes in blocks of {}", lun.len(), lun.block_size());
//! let boot_sector = lun.read_at(0, 512).await?;
//! session.logout().await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Where to look
//!
//! - [`Discovery`] asks a portal which targets it has, or an iSNS server which targets there are.
//! - [`Session::builder`] sets up a login: portals, [`core::secret::Auth`], [`Config`]. [`Builder::connect`] runs the
//!   connection in a task; [`Builder::connect_unspawned`] and [`Builder::connect_with`] leave that to the caller, the
//!   latter over any transport.
//! - [`Session`] is the logged-in session: [`Session::execute`] for any command, [`Session::open`] for a disk.
//! - [`Lun`] is a disk; [`Lun::cursor`] makes a file of it.
//! - [`blocking`] is the same without `async`, and without a thread of its own.
//! - [`url`] reads `iscsi://` URLs. [`core`] is the protocol without IO, for simulators and other runtimes.
//!
//! # What holds
//!
//! - **Errors name the guilty party.** [`ConnectError`] says why there is no session, [`core::CommandError`] why a command
//!   failed, [`core::ConnectionError`] why a connection ended; a target that breaks a rule is told by rule and section.
//! - **Every wait has a deadline** ([`Timeouts`]). A command that makes no progress is aborted; a target that does not
//!   even answer that is given up.
//! - **Nothing is called done that is not.** Data that was read reaches the caller only under GOOD status and with its
//!   digest checked; a write has succeeded when the target said so for all of its bytes. What is sent
//!   again after a lost connection is what the target never took; [`core::CommandError::is_known_not_executed`] tells what
//!   certainly did not happen.
//! - **Cancellation is safe.** A future that is dropped leaves no trace if its command was not sent yet. Otherwise the
//!   command runs to its end on the target, and its buffer lives as long. What a call leaves behind stands in its
//!   documentation under "Cancellation".
//! - **Pipelining needs no effort.** Calls from any number of clones and tasks share the connection; what piles up while
//!   it is busy goes out in one write. One task per session does all the work; more sessions use more cores.
//! - **A session can have several connections** ([`Session::add_connection`]) and outlive the loss of one. With
//!   [error recovery level 2](core::Offer::error_recovery_level) commands outlive it, too.
//! - **Secrets** are wiped after use and never printed. Without digests or TLS below, TCP is all that protects data.
//!
//! # Features
//!
//! - `tokio` (default): everything but [`core`] and [`url`].

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
pub use lun::{
    Allocation, DestroyAllData, Erasure, Extent, Extents, Lun, ReadOnlyLun, RegisterOptions, Reservations,
    TransferOptions, ZeroOptions,
};
#[cfg(feature = "tokio")]
pub use session::{Events, Info, Session, good};
