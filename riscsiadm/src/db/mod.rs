//! What lies on disk: records of targets, discovery addresses and interfaces, in the layout and with the key names of
//! open-iscsi, so that either tool reads what the other wrote.
//!
//! - [`keys`] is the table of record keys, [`record`] one record, [`text`] the syntax of files.
//! - [`node`] says how a record is named, [`store`] lists, reads and changes records.
//! - [`paths`] says where all of it is, [`config`] reads `iscsid.conf`, [`initiator`] the initiator's own name.
//!
//! Rules that hold throughout:
//! - A file is replaced whole or not at all, and only its owner may read it.
//! - Changes run one at a time, under a lock that the kernel drops with the process, and where open-iscsi has its records
//!   under its lock too. No call here touches the network, so a lock is never held across it. Reading takes no lock.
//! - What becomes part of a path is a checked name. What becomes part of a record holds no control character.
//! - Half-written, foreign or damaged files never stop a listing; they are named in the log and passed over.

pub mod config;
pub mod error;
pub mod initiator;
pub mod keys;
pub mod node;
pub mod paths;
pub mod record;
pub mod store;
pub mod text;

mod file;
mod lock;
mod rival;
