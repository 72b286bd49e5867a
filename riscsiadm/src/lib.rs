//! The parts of `riscsiadm`, an iscsiadm-like tool on a user-space iSCSI initiator.
//!
//! - [`db`] is what lies on disk: records, `iscsid.conf`, the initiator's name.

pub mod db;
