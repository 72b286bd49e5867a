//! The parts of `riscsiadm`, an iscsiadm-like tool on a user-space iSCSI initiator.
//!
//! - [`db`] is what lies on disk: records, `iscsid.conf`, the initiator's name.
//! - [`output`] turns data into the exact text, or the JSON, that is printed.

pub mod db;
pub mod output;
