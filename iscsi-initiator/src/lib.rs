//! A user-space iSCSI initiator.

pub mod core;
pub mod url;
