//! An iscsiadm-like tool on a user-space iSCSI initiator.
//!
//! The library holds the parts of the tool; the program in `main.rs` puts them together.

pub mod cli;
pub mod exit;
