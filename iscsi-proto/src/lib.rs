//! The iSCSI wire format (RFC 7143, with the additions of RFC 7144).
//!
//! This crate parses and encodes; it does no IO, keeps no clock and knows no connection. Everything
//! that comes off a wire is checked before it is used: lengths before memory is set aside, header
//! digests before header fields, reserved code values before they reach a `match`.
//!
//! - [`framer`] cuts a byte stream into PDUs, [`pdu`] holds the 18 PDUs and their headers.
//! - [`keys`] is the table of text keys with parsing and negotiation.
//! - [`name`], [`portal`] and [`isid`] are who and where.
//! - [`serial`], [`tags`] and [`digest`] are the small parts that all of them use.
//! - [`isns`] has the messages of the name service that knows targets beyond one portal (RFC 4171).
//! - [`scsi`] has commands and data of SAM, SPC and SBC, and knows nothing of iSCSI.

#[cfg(feature = "codec")]
pub mod codec;
pub mod digest;
pub mod framer;
pub mod isid;
pub mod isns;
pub mod keys;
pub mod name;
pub mod pdu;
pub mod portal;
pub mod scsi;
pub mod serial;
pub mod tags;
