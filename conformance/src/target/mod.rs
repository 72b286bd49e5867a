//! The bundled iSCSI target.
//!
//! [`core`] is the protocol without IO, [`mod@unit`] the SCSI device behind it, and both are driven over TCP.

pub mod args;
pub mod config;
pub mod core;
pub mod counters;
pub mod rope;
pub mod server;
pub mod ticker;
pub mod unit;
