//! An iscsiadm-like tool on a user-space iSCSI initiator.
//!
//! The library holds the parts of the tool; the program in `main.rs` puts them together.
//!
//! - [`cli`] is what was typed and what it means.
//! - [`mode`] carries out what iscsiadm does, [`command`] what it never had; [`failure`] says why they could not.
//! - [`daemon`] holds sessions, and [`ipc`] is how the tool talks with it.
//! - [`db`] is what lies on disk: records, `iscsid.conf`, the initiator's name.
//! - [`firmware`] reads what the boot firmware left.
//! - [`output`] turns data into the exact text, or the JSON, that is printed.
//! - [`trace`] writes what goes over the wire to a file.

pub mod cli;
pub mod command;
pub mod daemon;
pub mod db;
pub mod exit;
pub mod failure;
pub mod firmware;
pub mod ipc;
mod log;
pub mod mode;
pub mod output;
mod settings;
pub mod trace;
